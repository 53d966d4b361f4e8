//! `recordings hold`, `release` and `holds`: a recording that nobody erases until it is released, with who said so and why.

use std::io;
use std::path::Path;

use serde_json::json;

use crate::catalogue::{Access, Deed, Entry, Opening, Outcome, State, Store};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::kept::hold_in_words;
use crate::cli::list::{counted, seconds};
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::keyfolder::KeyFolder;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) id: RecordingId,
    pub(super) reason: String,
    /// Every hold may be lifted, whosever it is.
    pub(super) all: bool,
    pub(super) json: bool,
}

/// Holds a recording.
pub(super) fn hold(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    find(store.as_ref(), wanted.id)?;
    let _alone = alone(&site)?;
    // Whoever erases it does so alone as well: it is held in time, or erased already.
    if find(store.as_ref(), wanted.id)?.state == State::Erased {
        log(store.as_mut(), wanted, Deed::Hold, Outcome::Erased)?;
        let what = format!("recording {} cannot be held: {}", wanted.id, erased(&store.accesses(wanted.id)?));
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "nothing on this machine opens it any more")));
    }
    let before = store.holds(Some(wanted.id))?.len();
    log(store.as_mut(), wanted, Deed::Hold, Outcome::Done)?;
    let also = if before > 0 { format!(" It was held already: {} now.", counted(before + 1, "hold")) } else { String::new() };
    say(wanted, before + 1, &format!("Recording {} is held: nobody erases it until it is released.{also}", wanted.id), term)
}

/// Releases a recording.
pub(super) fn release(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    find(store.as_ref(), wanted.id)?;
    let _alone = alone(&site)?;
    let holds = store.holds(Some(wanted.id))?;
    if holds.is_empty() {
        log(store.as_mut(), wanted, Deed::Release, Outcome::Holds)?;
        let remedy = "`mitschnitt recordings holds` lists those that are";
        return Err(refused(format!("recording {} is not held", wanted.id), remedy.into()));
    }
    if holds.len() > 1 && !wanted.all {
        log(store.as_mut(), wanted, Deed::Release, Outcome::Holds)?;
        let each = holds.iter().map(|hold| format!("\n    {}", hold_in_words(hold))).collect::<String>();
        let what = format!("recording {} has {}: {each}", wanted.id, counted(holds.len(), "hold"));
        return Err(refused(what, "--all lifts them all; where one is to stay, hold it again for that".into()));
    }
    log(store.as_mut(), wanted, Deed::Release, Outcome::Done)?;
    say(wanted, 0, &format!("Recording {} is released: it may be erased once its time is up.", wanted.id), term)
}

/// Lists what is held.
pub(super) fn holds(config: &Path, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let holds = store.holds(None)?;
    if is_json {
        for hold in &holds {
            let (id, at) = (hold.recording.to_string(), hold.at.to_string());
            term.out.line(json!({ "recording": id, "at": at, "who": hold.who, "reason": hold.reason }))?;
        }
        return Ok(());
    }
    if holds.is_empty() {
        return Ok(term.out.line("No recording is held.")?);
    }
    let mut table =
        Table::new([("SINCE (UTC)", Align::Left), ("WHO", Align::Left), ("RECORDING", Align::Left), ("WHY", Align::Left)]);
    for hold in &holds {
        table.row([
            Cell::new(seconds(hold.at)),
            Cell::new(&hold.who),
            Cell::new(hold.recording.to_string()),
            Cell::new(hold.reason.as_deref().unwrap_or_default()),
        ]);
    }
    term.out.text(&table.text(term.out.colour(), 0))?;
    Ok(term.out.line(format_args!("\n{}.", counted(holds.len(), "hold")))?)
}

fn find(store: &dyn Store, id: RecordingId) -> Result<Entry, Stop> {
    store.recording(id)?.ok_or_else(|| no_such(&format!("recording {id}")))
}

/// Waits until nobody else changes the folder of keys; where there is none there is nothing that could be erased.
fn alone(site: &Site) -> Result<Option<KeyFolder>, Stop> {
    match KeyFolder::alone(&site.key_folders()) {
        Ok(folder) => Ok(Some(folder)),
        Err(undone) if undone.error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(undone) => Err(Stop::cannot(
            format!("cannot {} `{}`: {}", undone.doing, undone.path.display(), undone.error),
            "run this as the service's user: who erases waits for who holds, by a lock on that folder",
        )),
    }
}

fn log(store: &mut dyn Store, wanted: &Wanted, deed: Deed, outcome: Outcome) -> Result<(), Stop> {
    let (at, who, reason) = (who::now(), who::who(), Some(wanted.reason.clone()));
    let access = Access { at, who, deed, recording: wanted.id, purpose: None, reason, outcome };
    let logged = store.record_access(&access);
    logged.map_err(|error| Stop::cannot(format!("recording {} stays as it is: {error}", wanted.id), error.remedy()))
}

fn refused(what: String, remedy: String) -> Stop {
    Stop::Trouble(Exit::Refused, Trouble::new(what, remedy))
}

fn say(wanted: &Wanted, holds: usize, how: &str, term: &mut Term<'_>) -> Result<(), Stop> {
    if wanted.json {
        let id = wanted.id.to_string();
        return Ok(term.out.line(json!({ "recording": id, "held": holds > 0, "holds": holds }))?);
    }
    Ok(term.out.line(how)?)
}
