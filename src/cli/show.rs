//! `recordings show`: all that is known of one recording, or of a call that has none.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::catalogue::{Access, Entry, Opening, Quality, Reason, State, Store, Turn, erasure};
use crate::cli::correct;
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::json::{self, percent};
use crate::cli::kept::Kept;
use crate::cli::list::{self, counted, length, number, seconds};
use crate::cli::named::Named;
use crate::cli::site::{Site, style};
use crate::cli::table::{Align, Cell, Table, pairs};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::control::{Trouble, masked};
use crate::ids::RecordingId;
use crate::private::Private;
use crate::vault::KeyFile;

/// Shows it.
pub(super) fn show(
    config: &Path,
    id: Named,
    is_json: bool,
    is_in_full: bool,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let store = site.store(Opening::Read, doors)?;
    let entry = find(store.as_ref(), id)?;
    let accesses = entry.recording.map(|id| store.accesses(id)).transpose()?.unwrap_or_default();
    let holds = entry.recording.map(|id| store.holds(Some(id))).transpose()?.unwrap_or_default();
    let kept = Kept::find(&site, store.as_ref())?;
    let turns = store.turns(entry.call)?;
    let corrected = entry.recording.map(|id| correct::of(store.as_ref(), id)).transpose()?.unwrap_or_default();
    if is_json {
        let mut value = json::entry(&entry, is_in_full);
        kept.fill(&mut value, &entry);
        if let Value::Object(fields) = &mut value {
            fields.insert("why".into(), sentence(&entry, &accesses).into());
            fields.insert("corrections".into(), corrected.iter().map(|note| correct::as_json(note, is_in_full)).collect());
            fields.insert("turns".into(), turns.iter().map(json::turn).collect());
            fields.insert("accesses".into(), accesses.iter().map(json::access).collect());
        }
        return Ok(term.out.line(value)?);
    }
    let state = term.out.styled(style(entry.state), &list::state(&entry));
    let head = match entry.recording {
        Some(recording) => format!("recording {recording}  {state}\n"),
        None => format!("call {}  not recorded\n", entry.call),
    };
    let mut text = head + &format!("  {}\n\n", sentence(&entry, &accesses));
    let corrected = corrected.iter().map(|note| correct::in_words(note, is_in_full));
    let facts = facts(&entry, is_in_full).into_iter().chain(corrected).chain(kept.facts(&entry, &holds));
    text += &pairs(facts, term.out.colour(), 2);
    if !turns.is_empty() {
        text += "\nduring the call\n";
        text += &told(&turns).text(term.out.colour(), 2);
    }
    if let Some(recording) = entry.recording {
        text += "\n";
        text += &pairs(files(&site, recording, entry.state), term.out.colour(), 2);
        text += "\naccess log\n";
        if accesses.is_empty() {
            text += "  nobody has opened it\n";
        } else {
            let mut table = Table::new([
                ("AT (UTC)", Align::Left),
                ("WHO", Align::Left),
                ("DEED", Align::Left),
                ("OUTCOME", Align::Left),
                ("WHY", Align::Left),
            ]);
            for access in &accesses {
                let is_refusal = access.outcome.as_str().starts_with("refused");
                table.row([
                    Cell::new(seconds(access.at)),
                    Cell::new(&access.who),
                    Cell::new(access.deed.as_str()),
                    Cell::styled(access.outcome.as_str(), if is_refusal { Style::Bad } else { Style::Plain }),
                    Cell::new([&access.purpose, &access.reason].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")),
                ]);
            }
            text += &table.text(term.out.colour(), 2);
        }
    }
    Ok(term.out.text(&text)?)
}

/// What was done to the recording while the call went on, and by whom.
fn told(turns: &[Turn]) -> Table {
    let mut table = Table::new([("AT (UTC)", Align::Left), ("WHAT", Align::Left), ("WHO", Align::Left), ("HOW", Align::Left)]);
    for turn in turns {
        table.row([
            Cell::new(seconds(turn.at)),
            Cell::new(turn.what.as_str()),
            Cell::new(turn.who.as_deref().unwrap_or_else(|| turn.by.in_words())),
            Cell::new(turn.how.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

/// Finds the row.
fn find(store: &dyn Store, id: Named) -> Result<Entry, Stop> {
    let (found, what) = match id {
        Named::Recording(id) => (store.recording(id)?, format!("recording {id}")),
        Named::Call(id) => (store.call(id)?, format!("call {id}")),
    };
    found.ok_or_else(|| no_such(&what))
}

/// Says that the ledger has no such thing.
pub(super) fn no_such(what: &str) -> Stop {
    let remedy = "`mitschnitt recordings list --all` shows what there is";
    Stop::Trouble(Exit::NotFound, Trouble::new(format!("the ledger has no {what}"), remedy))
}

/// Why it has a recording or none; a recording that goes on is none that was made.
fn sentence(entry: &Entry, accesses: &[Access]) -> String {
    match (entry.state, entry.reason) {
        (State::Recording, Reason::Recorded) => "The terms of the policy are met, and the call is being recorded.".into(),
        (State::Erased, _) => erased(accesses) + ".",
        (State::None | State::Recording | State::Sealed | State::Torn | State::Salvaged, reason) => reason.sentence().into(),
    }
}

/// Says when a recording was erased, by whom and why.
pub(super) fn erased(accesses: &[Access]) -> String {
    let Some(access) = erasure(accesses) else { return "Its keys were destroyed".into() };
    let why = access.reason.as_deref().unwrap_or("no reason was given");
    format!("Its keys were destroyed on {} by {}: {why}", seconds(access.at), access.who)
}

fn facts(entry: &Entry, is_in_full: bool) -> Vec<(&'static str, String)> {
    let leg = entry.leg.map(|leg| format!(", on the {} side", if leg == crate::ids::Leg::Pbx { "PBX's" } else { "trunk's" }));
    let mut facts = vec![
        ("reason", format!("{}{}", entry.reason, leg.unwrap_or_default())),
        ("call", entry.call.to_string()),
        (
            "way",
            match (entry.direction, &entry.trunk) {
                (Some(direction), Some(trunk)) => format!("{direction} over {trunk}"),
                (_, _) => "not known".into(),
            },
        ),
        ("from", or_erased(number(entry, |parties| &parties.calling, is_in_full), entry)),
        ("to", or_erased(number(entry, |parties| &parties.called, is_in_full), entry)),
    ];
    facts.extend(headers(entry, is_in_full));
    facts.extend([
        ("policy", entry.policy.clone().unwrap_or_else(|| "none".into())),
        ("purpose", entry.purpose.clone().unwrap_or_else(|| "none".into())),
        ("began", entry.began.to_string()),
    ]);
    facts.extend(entry.answered.map(|wall| ("answered", wall.to_string())));
    facts.extend(entry.ended.map(|wall| ("ended", wall.to_string())));
    facts.extend(entry.talked().map(|talked| ("talked", length(talked))));
    if let Some([pbx, trunk]) = &entry.quality {
        facts.push(("PBX", heard(pbx)));
        facts.push(("trunk", heard(trunk)));
    }
    if let Some(totals) = entry.totals {
        let [pbx, trunk] = totals.packets;
        facts.push(("packets", format!("{pbx} from the PBX, {trunk} from the trunk")));
        facts.push((
            "gaps",
            if totals.gaps == 0 {
                "none".into()
            } else {
                format!("{}, {} known to be missing", totals.gaps, counted(totals.lost, "packet"))
            },
        ));
    }
    facts
}

/// What the indexed header fields said, by which the call is found; that may say who somebody is, as a number does.
fn headers(entry: &Entry, is_in_full: bool) -> Vec<(&'static str, String)> {
    let indexed = entry.parties.iter().flat_map(|parties| &parties.indexed);
    let shown = |(name, value): &(String, Private<String>)| {
        let value = if is_in_full { value.reveal().clone() } else { masked(value) };
        ("header", format!("{name}: {value}"))
    };
    indexed.map(shown).collect()
}

/// How good what came from a leg was, in words.
fn heard(quality: &Quality) -> String {
    let mut words = Vec::new();
    if quality.received == 0 {
        words.push("nothing came".to_owned());
    } else {
        words.push(match quality.lost() {
            0 => format!("none of {} lost", counted(quality.expected, "packet")),
            lost => {
                format!("{lost} of {} lost ({} %)", counted(quality.expected, "packet"), percent(quality).unwrap_or_default())
            }
        });
        words.extend(quality.jitter.map(|jitter| format!("jitter {}", ms(jitter))));
        words.push(format!("longest gap {}", ms(quality.longest_gap)));
        words.extend(quality.round_trip.map(|round_trip| format!("round trip {}", ms(round_trip))));
        words.extend(quality.mos_hundredths.map(|score| format!("MOS {:.1} (estimated)", f64::from(score) / 100.0)));
    }
    if quality.is_one_way {
        words.push("one-way: the other side talked".into());
    }
    words.join(", ")
}

/// Milliseconds, with a tenth where there are few.
fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

fn or_erased(number: String, entry: &Entry) -> String {
    match &entry.parties {
        Some(_) => number,
        None if entry.reason == Reason::Found => "not known".into(),
        None => "erased".into(),
    }
}

fn files(site: &Site, recording: RecordingId, state: State) -> Vec<(&'static str, String)> {
    let path = site.recording(recording);
    let size = match fs::metadata(&path) {
        Ok(metadata) => counted(metadata.len(), "byte"),
        Err(error) => absent(&error),
    };
    let keys = site.key_file(recording);
    let who = match site.keys(recording).map(|bytes| KeyFile::parse(&bytes)) {
        Ok(Ok(file)) => format!("for {}", file.recipients().map(|name| name.short()).collect::<Vec<_>>().join(" and ")),
        Ok(Err(_)) => "damaged: nobody can open the recording until they are taken from a backup".into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound && state == State::Erased => "destroyed".into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "not there: nobody can open the recording".into(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => format!("in an envelope that does not open: {error}"),
        Err(error) => absent(&error),
    };
    vec![("file", format!("{}, {size}", path.display())), ("keys", format!("{}, {who}", keys.display()))]
}

fn absent(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "not there".into()
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        format!("which {} may not read", who::user())
    } else {
        format!("which cannot be read: {error}")
    }
}
