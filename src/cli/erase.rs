//! `recordings erase`: a recording's wrapped keys destroyed, so that nobody opens it any more; the access log says who did it and why.

use std::io;
use std::path::Path;

use serde_json::json;

use crate::catalogue::{Access, Bar, Deed, Entry, Opening, Outcome, Span, State, Store, Stored};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::kept::hold_in_words;
use crate::cli::list::seconds;
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::keyfolder::{KeyFolder, Undone};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) id: RecordingId,
    pub(super) reason: String,
    /// Nobody need be asked.
    pub(super) is_meant: bool,
    pub(super) json: bool,
}

/// Erases a recording.
pub(super) fn erase(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let Some(entry) = store.recording(wanted.id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {}", wanted.id)));
    };
    let keys = site.key_folders();
    match entry.state {
        State::Recording => {
            log(store.as_mut(), wanted, Outcome::Unfinished)?;
            let what = format!("recording {} is still being made", wanted.id);
            let remedy = format!("`mitschnitt calls withdraw {}` ends it; then it can be erased", entry.call);
            return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, remedy)));
        }
        // Keys that are there again were put back from a backup, and are destroyed again.
        State::Erased if KeyFolder::is_without(&keys, wanted.id) => {
            return say(wanted, true, &erased(&store.accesses(wanted.id)?), term);
        }
        State::Erased | State::None | State::Sealed | State::Torn | State::Salvaged => {}
    }
    is_free(&site, store.as_mut(), wanted, &entry)?;
    if !wanted.is_meant {
        ask(wanted, &entry, term)?;
    }
    let folder = KeyFolder::alone(&keys);
    // Whoever holds it is alone as well: it was held until now, or is erased.
    is_free(&site, store.as_mut(), wanted, &entry)?;
    log(store.as_mut(), wanted, Outcome::Granted)?;
    let destroyed = folder.and_then(|folder| folder.destroy(wanted.id));
    log(store.as_mut(), wanted, if destroyed.is_ok() { Outcome::Done } else { Outcome::Failed })?;
    destroyed.map_err(|Undone { doing, path, error }| {
        Stop::cannot(
            format!("recording {} is not erased: cannot {doing} `{}`: {error}", wanted.id, path.display()),
            "until that is done it may still be opened; erase it again once the disk or the permission is put right",
        )
    })?;
    say(wanted, false, &erased(&store.accesses(wanted.id)?), term)
}

/// Refuses what is held or locked, and says until when.
fn is_free(site: &Site, store: &mut dyn Store, wanted: &Wanted, entry: &Entry) -> Result<(), Stop> {
    let holds = store.holds(Some(wanted.id))?;
    let Some(stored) = Stored::of(entry, !holds.is_empty()).filter(|stored| stored.state != State::Erased) else {
        return Ok(());
    };
    let Some(retention) = site.retention() else { return Err(site.without_retention()) };
    let id = wanted.id;
    let (outcome, what, remedy) = match stored.bar(retention, who::now()) {
        Some(Bar::Held) => {
            let each = holds.iter().map(hold_in_words).collect::<Vec<_>>().join("; ");
            let locked = stored.locked_until(retention).filter(|until| *until > who::now());
            let from = locked.map(|until| format!(", from {} UTC on", seconds(until))).unwrap_or_default();
            let remedy =
                format!("`mitschnitt recordings release {id} --reason TEXT` lifts the hold; then it can be erased{from}");
            (Outcome::Held, format!("recording {id} is held since {each}"), remedy)
        }
        Some(Bar::Locked(until)) => {
            let (purpose, limits) = (entry.purpose.as_deref(), retention.of(entry.purpose.as_deref()));
            let what = format!(
                "recording {id} is locked until {} UTC: what is recorded for `{}` is kept for {} at least",
                seconds(until),
                purpose.unwrap_or("none"),
                Span(limits.shortest)
            );
            (Outcome::Locked, what, "from then on it can be erased; the access log has it that this was asked for".into())
        }
        Some(Bar::Unfinished) | None => return Ok(()),
    };
    log(store, wanted, outcome)?;
    Err(Stop::Trouble(Exit::Refused, Trouble::new(what, remedy)))
}

fn ask(wanted: &Wanted, entry: &Entry, term: &mut Term<'_>) -> Result<(), Stop> {
    let (id, began, purpose) = (wanted.id, seconds(entry.began), entry.purpose.as_deref().unwrap_or("none"));
    term.err.line(format_args!("Recording {id}, of {began} UTC, for {purpose}:"))?;
    term.err.line("its keys will be destroyed, and nothing on this machine will open it again. Type `yes` to go on:")?;
    let mut answer = String::new();
    let is_read = io::stdin().read_line(&mut answer).is_ok();
    if is_read && answer.trim() == "yes" {
        return Ok(());
    }
    let what = format!("recording {id} was not erased: the answer was not `yes`");
    Err(Stop::Trouble(Exit::Refused, Trouble::new(what, "where nobody can answer, --yes says that it is meant")))
}

fn log(store: &mut dyn Store, wanted: &Wanted, outcome: Outcome) -> Result<(), Stop> {
    let (at, who, reason) = (who::now(), who::who(), Some(wanted.reason.clone()));
    let access = Access { at, who, deed: Deed::Erase, recording: wanted.id, purpose: None, reason, outcome };
    store.record_access(&access).map_err(|error| {
        let what = match outcome {
            Outcome::Done => format!("recording {} is erased, and that cannot be logged: {error}", wanted.id),
            Outcome::Granted
            | Outcome::Failed
            | Outcome::OtherPurpose
            | Outcome::WrongKey
            | Outcome::Unfinished
            | Outcome::Erased
            | Outcome::Held
            | Outcome::Locked
            | Outcome::Holds => format!("nothing is erased that cannot be logged: {error}"),
        };
        Stop::cannot(what, error.remedy())
    })
}

fn say(wanted: &Wanted, was_before: bool, how: &str, term: &mut Term<'_>) -> Result<(), Stop> {
    if wanted.json {
        let id = wanted.id.to_string();
        return Ok(term
            .out
            .line(json!({ "recording": id, "state": State::Erased.as_str(), "before": was_before, "text": how }))?);
    }
    let already = if was_before { " already" } else { "" };
    Ok(term.out.line(format_args!("Recording {} is erased{already}. {how}.", wanted.id))?)
}
