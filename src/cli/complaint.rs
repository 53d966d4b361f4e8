//! `complaint add`, `list` and `close`: who complained of what, when, about which recording, and what came of it.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use crate::catalogue::{About, Note, NoteKind, Opening, Store};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::hold;
use crate::cli::list::{counted, seconds};
use crate::cli::party::{note, note_down};
use crate::cli::show::no_such;
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::Term;
use crate::cli::words::{self, Form, sentence};
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::private::Private;

/// What is done with a complaint.
#[derive(Subcommand, Debug)]
pub(super) enum Complaint {
    /// Note a complaint, about a recording or about none in particular
    Add {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: Option<RecordingId>,
        /// What it says, and who says it: a sentence, kept until nobody needs it
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        text: String,
        /// Hold the recording as well, so that nobody erases it
        #[arg(long, requires = "id")]
        hold: bool,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
    /// List the complaints that are open
    List {
        /// Those that are closed as well
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
    /// Close a complaint, with what came of it; a hold stays until it is released
    Close {
        /// The complaint, by its number
        #[arg(value_name = "N")]
        number: u64,
        /// What came of it
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
}

/// Does it.
pub(super) fn complaint(complaint: Complaint, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    match complaint {
        Complaint::Add { id, text, hold, site, form } => {
            let number = add(&site.config, id, text, doors, term)?;
            if form.json {
                term.out.line(json!({ "complaint": number, "recording": id.map(|id| id.to_string()) }))?;
            } else {
                term.out.line(format_args!("Complaint {number} is noted."))?;
            }
            let Some(id) = id.filter(|_| hold) else { return Ok(()) };
            let wanted = hold::Wanted { id, reason: format!("complaint {number}"), all: false, json: form.json };
            hold::hold(&site.config, &wanted, doors, term)
        }
        Complaint::List { all, site, form } => list(&site.config, all, form.json, doors, term),
        Complaint::Close { number, reason, site, form } => close(&site.config, number, reason, form.json, doors, term),
    }
}

fn add(config: &Path, id: Option<RecordingId>, text: String, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<u64, Stop> {
    let mut store = Site::find(config, term)?.store(Opening::ReadAndLog, doors)?;
    if let Some(id) = id
        && store.recording(id)?.is_none()
    {
        return Err(no_such(&format!("recording {id}")));
    }
    let about = About::Complaint { recording: id, text: Some(Private::new(text)) };
    note_down(store.as_mut(), &note(NoteKind::Complaint, about, None, [0, u64::from(id.is_some())]))
}

/// The complaints, each with the note that closed it.
fn all(store: &dyn Store) -> Result<Vec<(Note, Option<Note>)>, Stop> {
    let notes = store.notes()?;
    let end = |number| notes.iter().find(|note| note.about == About::Earlier(number)).cloned();
    let complaints = notes.iter().filter(|note| note.kind == NoteKind::Complaint);
    Ok(complaints.map(|note| (note.clone(), end(note.number))).collect())
}

fn list(config: &Path, is_all: bool, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let mut complaints = all(store.as_ref())?;
    complaints.retain(|(_, end)| is_all || end.is_none());
    let text = |note: &Note| note.about.words().map(|words| words.reveal().clone());
    if is_json {
        for (note, end) in &complaints {
            let end = end.as_ref().map(|end| json!({ "at": end.at.to_string(), "who": end.who, "reason": end.reason }));
            let recording = note.about.recording().map(|id| id.to_string());
            let (number, at, who) = (note.number, note.at.to_string(), &note.who);
            term.out.line(
                json!({ "complaint": number, "at": at, "who": who, "recording": recording, "text": text(note), "closed": end }),
            )?;
        }
        return Ok(());
    }
    if complaints.is_empty() {
        return Ok(term.out.line(if is_all { "No complaints." } else { "No complaint is open." })?);
    }
    let mut table = Table::new([
        ("N", Align::Right),
        ("SINCE (UTC)", Align::Left),
        ("WHO", Align::Left),
        ("RECORDING", Align::Left),
        ("TEXT", Align::Left),
        ("CLOSED", Align::Left),
    ]);
    for (note, end) in &complaints {
        let end = end.as_ref().map(|end| format!("{}: {}", seconds(end.at), end.reason.as_deref().unwrap_or_default()));
        table.row([
            Cell::new(note.number.to_string()),
            Cell::new(seconds(note.at)),
            Cell::new(&note.who),
            Cell::new(note.about.recording().map(|id| id.to_string()).unwrap_or_default()),
            Cell::new(text(note).unwrap_or_default()),
            Cell::new(end.unwrap_or_default()),
        ]);
    }
    term.out.text(&table.text(term.out.colour(), 0))?;
    Ok(term.out.line(format_args!("\n{}.", counted(complaints.len(), "complaint")))?)
}

fn close(config: &Path, number: u64, reason: String, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let mut store = Site::find(config, term)?.store(Opening::ReadAndLog, doors)?;
    match all(store.as_ref())?.into_iter().find(|(note, _)| note.number == number) {
        None => {
            let what = format!("there is no complaint {number}");
            return Err(Stop::Trouble(
                Exit::NotFound,
                Trouble::new(what, "`mitschnitt complaint list --all` shows those there are"),
            ));
        }
        Some((_, Some(end))) => {
            let what = format!("complaint {number} was closed on {} by {}", seconds(end.at), end.who);
            return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, "add another where there is more to say")));
        }
        Some((_, None)) => {}
    }
    note_down(store.as_mut(), &note(NoteKind::Closed, About::Earlier(number), Some(reason), [0, 0]))?;
    if is_json {
        return Ok(term.out.line(json!({ "complaint": number, "closed": true }))?);
    }
    Ok(term.out.line(format_args!("Complaint {number} is closed. A hold stays until it is released."))?)
}
