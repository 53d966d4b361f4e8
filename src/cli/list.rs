//! `recordings list`: the ledger, a line a call.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::catalogue::{Entry, Filter, Heard, Opening, Parties, Quality, Reason, State, Which, Whose};
use crate::cli::doors::Doors;
use crate::cli::exit::Stop;
use crate::cli::json::{self, percent};
use crate::cli::kept::Kept;
use crate::cli::party::{self, Span};
use crate::cli::site::{Site, style};
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::control::masked;
use crate::ids::{Direction, TrunkName};
use crate::private::Private;
use crate::time::Wall;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) all: bool,
    pub(super) reason: Option<Reason>,
    pub(super) heard: Heard,
    pub(super) last: Option<u64>,
    /// What an indexed header field says.
    pub(super) header: Option<(String, Private<String>)>,
    pub(super) span: Span,
    /// Whose calls, and for what they are looked for.
    pub(super) party: Option<party::Asked>,
    pub(super) json: bool,
    pub(super) numbers: bool,
}

/// Lists recordings, or all calls.
pub(super) fn list(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let opening = if wanted.party.is_some() { Opening::ReadAndLog } else { Opening::Read };
    let mut store = site.store(opening, doors)?;
    let is_of_quality = wanted.heard != Heard::Any;
    // Most reasons are why a call was not recorded, and a call that sounds bad does so recorded or not.
    let is_all = wanted.all || wanted.reason.is_some() || is_of_quality;
    let which = if is_all { Which::All } else { Which::Recorded };
    let number = wanted.party.as_ref().map(|asked| asked.number()).transpose()?;
    let (from, to, newest) = (wanted.span.from, wanted.span.to, wanted.last);
    let party = number.clone().map(Whose::Of);
    let indexed = wanted.header.clone();
    let entries = store.list(&Filter { which, reason: wanted.reason, heard: wanted.heard, from, to, party, indexed, newest })?;
    if let (Some(asked), Some(number)) = (&wanted.party, &number) {
        asked.log(store.as_mut(), number, &entries)?;
    }
    let kept = Kept::find(&site, store.as_ref())?;
    if wanted.json {
        for entry in &entries {
            let mut value = json::entry(entry, wanted.numbers);
            kept.fill(&mut value, entry);
            term.out.line(value)?;
        }
        return Ok(());
    }
    if entries.is_empty() {
        return Ok(term.out.line(nothing(wanted, is_all))?);
    }
    let table = match (is_of_quality, is_all) {
        (true, _) => heard(&entries),
        (false, true) => all(&entries, wanted.numbers),
        (false, false) => recorded(&entries, &kept, wanted.numbers),
    };
    term.out.text(&table.text(term.out.colour(), 0))?;
    let recorded = entries.iter().filter(|entry| entry.recording.is_some()).count();
    let summary = match (is_all, entries.len()) {
        (true, calls) => format!("\n{}, {recorded} of them recorded.\n", counted(calls, "call")),
        (false, recordings) => {
            let talked: Duration = entries.iter().filter_map(Entry::talked).sum();
            format!("\n{}, {} in all.\n", counted(recordings, "recording"), length(talked))
        }
    };
    Ok(term.out.text(&summary)?)
}

/// Says that there is nothing of what was asked for.
fn nothing(wanted: &Wanted, is_all: bool) -> String {
    if wanted.party.is_some() || wanted.header.is_some() || !wanted.span.is_all() {
        let what = if is_all { "calls" } else { "recordings" };
        return format!("No {what} of what was asked for.");
    }
    let calls = match wanted.reason {
        Some(reason) => format!("No calls with the reason {reason}"),
        None => "No calls".into(),
    };
    match wanted.heard {
        Heard::Below(hundredths) => {
            format!("{calls} of which a side was one-way or scored below {}.", f64::from(hundredths) / 100.0)
        }
        Heard::Measured => format!("{calls} that were measured: those are that were answered, and are over."),
        Heard::Any if is_all => calls + ".",
        Heard::Any => "No recordings. `mitschnitt recordings list --all` shows the calls that were not recorded, and why.".into(),
    }
}

/// The id stands last: it is the longest, and what one copies.
fn recorded(entries: &[Entry], kept: &Kept<'_>, is_in_full: bool) -> Table {
    let mut table = Table::new([
        ("BEGAN (UTC)", Align::Left),
        ("LENGTH", Align::Right),
        ("WAY", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("PURPOSE", Align::Left),
        ("STATE", Align::Left),
        ("KEPT", Align::Left),
        ("RECORDING", Align::Left),
    ]);
    for entry in entries {
        table.row([
            Cell::new(seconds(entry.began)),
            Cell::new(entry.talked().map(length).unwrap_or_default()),
            Cell::new(entry.direction.map(Direction::as_str).unwrap_or_default()),
            Cell::new(number(entry, |parties| &parties.calling, is_in_full)),
            Cell::new(number(entry, |parties| &parties.called, is_in_full)),
            Cell::new(entry.purpose.as_deref().unwrap_or_default()),
            Cell::styled(state(entry), style(entry.state)),
            Cell::new(kept.words(entry)),
            Cell::new(entry.recording.map(|id| id.to_string()).unwrap_or_default()),
        ]);
    }
    table
}

fn all(entries: &[Entry], is_in_full: bool) -> Table {
    let mut table = Table::new([
        ("BEGAN (UTC)", Align::Left),
        ("LENGTH", Align::Right),
        ("WAY", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("POLICY", Align::Left),
        ("STATE", Align::Left),
        ("REASON", Align::Left),
        ("CALL", Align::Left),
    ]);
    for entry in entries {
        table.row([
            Cell::new(seconds(entry.began)),
            Cell::new(entry.talked().map(length).unwrap_or_default()),
            Cell::new(entry.direction.map(Direction::as_str).unwrap_or_default()),
            Cell::new(number(entry, |parties| &parties.calling, is_in_full)),
            Cell::new(number(entry, |parties| &parties.called, is_in_full)),
            Cell::new(entry.policy.as_deref().unwrap_or_default()),
            Cell::styled(state(entry), style(entry.state)),
            Cell::styled(entry.reason.as_str(), weight(entry.reason)),
            Cell::new(entry.call.to_string()),
        ]);
    }
    table
}

/// How good what came from each side was; nothing of who talked.
fn heard(entries: &[Entry]) -> Table {
    let mut table = Table::new([
        ("BEGAN (UTC)", Align::Left),
        ("LENGTH", Align::Right),
        ("OVER", Align::Left),
        ("PBX (MOS)", Align::Left),
        ("TRUNK (MOS)", Align::Left),
        ("REASON", Align::Left),
        ("CALL", Align::Left),
    ]);
    for entry in entries {
        let [pbx, trunk] = entry.quality.as_ref().map_or_else(|| ["", ""].map(Cell::new), |legs| legs.each_ref().map(score));
        table.row([
            Cell::new(seconds(entry.began)),
            Cell::new(entry.talked().map(length).unwrap_or_default()),
            Cell::new(entry.trunk.as_ref().map(TrunkName::as_str).unwrap_or_default()),
            pbx,
            trunk,
            Cell::styled(entry.reason.as_str(), weight(entry.reason)),
            Cell::new(entry.call.to_string()),
        ]);
    }
    table
}

/// A side's score with what cost it most, in short: `recordings show` has the rest.
fn score(quality: &Quality) -> Cell {
    let score = match quality.mos_hundredths {
        Some(hundredths) => format!("{:.1}", f64::from(hundredths) / 100.0),
        None if quality.received == 0 => "nothing came".into(),
        None => "too little came".into(),
    };
    let lost = percent(quality).filter(|percent| *percent > 0.0).map(|percent| format!(", {percent} % lost"));
    let text = score + &lost.unwrap_or_default() + if quality.is_one_way { ", one-way" } else { "" };
    // ITU-T G.109: below 3.6 many are dissatisfied, below 3.1 nearly all.
    let style = match quality.mos_hundredths {
        _ if quality.is_one_way => Style::Bad,
        Some(..310) => Style::Bad,
        Some(310..360) => Style::Care,
        Some(360..) | None => Style::Plain,
    };
    Cell::styled(text, style)
}

/// What an operator should look at stands out.
fn weight(reason: Reason) -> Style {
    match reason {
        Reason::Torn
        | Reason::Found
        | Reason::VaultUnavailable
        | Reason::Quota
        | Reason::PortsExhausted
        | Reason::Overload
        | Reason::Interrupted => Style::Bad,
        Reason::AnnouncementCodec
        | Reason::AnnouncementHeld
        | Reason::AnnouncementInterrupted
        | Reason::AnnouncementNotSent
        | Reason::MediaEncrypted
        | Reason::Draining
        | Reason::BadOffer
        | Reason::Stopped
        | Reason::DeadMedia
        | Reason::SessionExpired
        | Reason::HookSilent
        | Reason::ReviewOverdue
        | Reason::Transferred => Style::Care,
        Reason::InProgress
        | Reason::Recorded
        | Reason::Withdrawn
        | Reason::WithdrawnByOperator
        | Reason::WithdrawnInRegister
        | Reason::Shredded
        | Reason::NoPolicy
        | Reason::PolicyNever
        | Reason::Exempt
        | Reason::Unrecorded
        | Reason::NotSampled
        | Reason::NotDemanded
        | Reason::HookDenied
        | Reason::Emergency
        | Reason::NotAnswered
        | Reason::Busy
        | Reason::Challenged
        | Reason::Failed
        | Reason::EndedBeforeConsent
        | Reason::ConsentRefused
        | Reason::ConsentTimeout
        | Reason::NoAudio => Style::Plain,
    }
}

/// A party's number: its last digits, unless it was asked for; nothing once it was erased.
pub(super) fn number(entry: &Entry, of: fn(&Parties) -> &Private<String>, is_in_full: bool) -> String {
    let number = entry.parties.as_ref().map(of);
    number.map(|number| if is_in_full { number.reveal().clone() } else { masked(number) }).unwrap_or_default()
}

/// Where the recording stands, and whether a span of it was taken out.
pub(super) fn state(entry: &Entry) -> String {
    let is_redacted = entry.is_redacted && entry.state != State::Erased;
    format!("{}{}", entry.state, if is_redacted { ", redacted" } else { "" })
}

/// A time to the second, as people read it: `2026-11-24 09:30:00`.
pub(super) fn seconds(wall: Wall) -> String {
    wall.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// A length as `1:02:03`, or `2:03`.
pub(super) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A size as people read it: `3.5 GiB`; below 1 KiB in bytes.
pub(super) fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fitting = units.into_iter().find(|&(_, shift)| bytes >> shift > 0);
    let Some((unit, shift)) = fitting else { return counted(bytes, "byte") };
    let tenths = (u128::from(bytes) * 10) >> shift;
    if tenths.is_multiple_of(10) { format!("{} {unit}", tenths / 10) } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

/// `1 call`, `2 calls`.
pub(super) fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, of: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {of}{plural}")
}

/// `1 chunk is`, `2 chunks are`.
pub(super) fn are<N: fmt::Display + PartialEq + From<u8>>(count: N, of: &str) -> String {
    let verb = if count == N::from(1) { "is" } else { "are" };
    format!("{} {verb}", counted(count, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_are_as_people_read_them() {
        assert_eq!(seconds(Wall::from_unix_micros(1_795_512_600_250_000)), "2026-11-24 09:30:00");
        assert_eq!(length(Duration::from_millis(63_999)), "1:03");
        assert_eq!(length(Duration::from_secs(3723)), "1:02:03");
        assert_eq!((counted(1_u32, "call"), counted(0_u64, "call")), ("1 call".into(), "0 calls".into()));
        assert_eq!([0, 1023, 1536, 200 << 30].map(size), ["0 bytes", "1023 bytes", "1.5 KiB", "200 GiB"]);
        assert_eq!((are(1_u32, "chunk"), are(2_u32, "chunk")), ("1 chunk is".into(), "2 chunks are".into()));
    }
}
