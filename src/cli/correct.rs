//! `recordings correct`: what was noted wrongly, put right beside it. The original stays.

use std::path::Path;

use serde_json::{Value, json};

use crate::catalogue::{About, Field, Note, NoteKind, Opening, State, Store};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::seconds;
use crate::cli::party::{note, note_down};
use crate::cli::show::no_such;
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::control::{Trouble, masked};
use crate::ids::RecordingId;
use crate::private::Private;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) id: RecordingId,
    pub(super) field: Field,
    pub(super) value: Private<String>,
    pub(super) reason: String,
    pub(super) json: bool,
}

/// Corrects it.
pub(super) fn correct(config: &Path, wanted: Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let Wanted { id, field, value, reason, json: is_json } = wanted;
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let Some(entry) = store.recording(id)? else { return Err(no_such(&format!("recording {id}"))) };
    if entry.state == State::Erased {
        let what = format!("recording {id} was erased: nothing of it is corrected any more");
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "who talked was cleared, and would be there again")));
    }
    let about = About::Field { recording: id, field, value: Some(value) };
    let number = note_down(store.as_mut(), &note(NoteKind::Corrected, about, Some(reason), [1, 1]))?;
    if is_json {
        return Ok(term.out.line(json!({ "recording": id.to_string(), "field": field.as_str(), "note": number }))?);
    }
    let field = field.as_str();
    Ok(term
        .out
        .line(format_args!("Noted as {number}: `{field}` of recording {id} is corrected. What was there stays beside it."))?)
}

/// Returns what was corrected of a recording, the oldest first.
pub(super) fn of(store: &dyn Store, id: RecordingId) -> Result<Vec<Note>, Stop> {
    let mut notes = store.notes()?;
    notes.retain(|note| note.kind == NoteKind::Corrected && note.about.recording() == Some(id));
    Ok(notes)
}

/// Says it in a line with a name.
pub(super) fn in_words(note: &Note, is_in_full: bool) -> (&'static str, String) {
    let (field, value) = told(note, is_in_full);
    let (at, who, why) = (seconds(note.at), &note.who, note.reason.as_deref().unwrap_or_default());
    ("corrected", format!("{field} should be: {}; {at} by {who}: {why}", value.as_deref().unwrap_or("erased")))
}

/// The same as JSON.
pub(super) fn as_json(note: &Note, is_in_full: bool) -> Value {
    let (field, value) = told(note, is_in_full);
    json!({ "at": note.at.to_string(), "who": note.who, "field": field, "value": value, "reason": note.reason })
}

fn told(note: &Note, is_in_full: bool) -> (&'static str, Option<String>) {
    let About::Field { field, value, .. } = &note.about else { return ("", None) };
    let is_shown = is_in_full || !matches!(field, Field::Calling | Field::Called);
    let value = value.as_ref().map(|value| if is_shown { value.reveal().clone() } else { masked(value) });
    (field.as_str(), value)
}
