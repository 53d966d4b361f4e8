//! `subject export`: all that is held on a number in one archive, with an index that a layman reads and one for programs.
//!
//! ```text
//!   mitschnitt-subject/index.html   what is held, call by call, and why what is missing is
//!                      index.json   the same for programs
//!                      <id>.wav     what was heard
//!                      <id>.json    who was told what, who agreed, how and when
//! ```

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::catalogue::{Access, Deed, Entry, NoteKind, Opening, Role};
use crate::cli::bundle::Archive;
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::json;
use crate::cli::list::{counted, seconds};
use crate::cli::opened::{self, Opened, Refused, opened_by};
use crate::cli::output::{Output, not_written};
use crate::cli::party::{self, Asked, note_down, sought};
use crate::cli::secret::read_secret;
use crate::cli::site::Site;
use crate::cli::span;
use crate::cli::subject::{Held, of_person, part};
use crate::cli::term::Term;
use crate::cli::verify::unopened;
use crate::cli::who;
use crate::cli::words::SecretKey;
use crate::export::{self, Channels, ExportError};
use crate::ids::{Leg, RecordingId};
use crate::vault::RecipientSecret;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) key: SecretKey,
    /// Both sides of each call.
    pub(super) both: bool,
    pub(super) span: party::Span,
    pub(super) out: PathBuf,
    pub(super) node: Option<PathBuf>,
    pub(super) json: bool,
}

/// Hands it over.
pub(super) fn export(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let number = wanted.asked.number()?;
    let secret = Rc::new(read_secret(&wanted.key)?);
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let out = Output::create(&wanted.out)?;
    let mut held = Held::find(store.as_ref(), number, wanted.span)?;
    let earlier = store.of_person(&held.number)?;
    let requests: Vec<_> = store.notes()?.into_iter().filter(|note| earlier.contains(&note.number)).collect();
    note_down(store.as_mut(), &sought(NoteKind::HandedOver, &held.number, &wanted.asked.purpose, &held.entries))?;
    held.entries = std::mem::take(&mut held.entries).into_iter().map(|entry| site.as_it_is(entry)).collect();

    let failed = |error: std::io::Error| not_written(&wanted.out, &error);
    let mut archive = Archive::begin(out.file(), "mitschnitt-subject".into(), who::now().unix_micros());
    let mut calls = Vec::new();
    for entry in &held.entries {
        let mut call = Call { entry, sound: Err(String::new()), accesses: Vec::new() };
        if let Some(id) = entry.recording {
            call.sound = sound(config, wanted, &held, entry, &secret, (doors, term), &mut archive)?;
            call.accesses = store.accesses(id)?;
        } else {
            call.sound = Err(format!("It was not recorded. {}", entry.reason.sentence()));
        }
        calls.push(call);
    }
    let requests: Vec<Value> = requests
        .iter()
        .map(|note| json!({ "at": note.at.to_string(), "who": note.who, "kind": note.kind.as_str(), "reason": note.reason }))
        .collect();
    let index = json!({
        "made": who::now().to_string(),
        "purpose": wanted.asked.purpose,
        "channels": if wanted.both { "both" } else { "own" },
        "matched": held.matched(),
        "calls": calls.iter().map(|call| call.to_json(&held, wanted.both)).collect::<Vec<_>>(),
        "earlier_requests": requests,
    });
    archive.put("index.json", format!("{index:#}\n").as_bytes()).map_err(failed)?;
    archive.put("index.html", page(&calls, &held, wanted).as_bytes()).map_err(failed)?;
    archive.end().map_err(failed)?;
    let hash = out.hash()?;
    out.publish()?;
    tell(wanted, &calls, &hash, term)
}

/// A call, and its sound: the name of the file, or why there is none.
struct Call<'e> {
    entry: &'e Entry,
    sound: Result<String, String>,
    accesses: Vec<Access>,
}

impl Call<'_> {
    fn to_json(&self, held: &Held, is_in_full: bool) -> Value {
        let mut value = of_person(self.entry, &held.number, is_in_full);
        if let Value::Object(fields) = &mut value {
            fields.insert("sound".into(), self.sound.as_ref().ok().cloned().into());
            fields.insert("why_none".into(), self.sound.as_ref().err().cloned().into());
            fields.insert("accesses".into(), self.accesses.iter().map(json::access).collect());
        }
        value
    }
}

/// Puts the sound of a recording, and its record of consent, into the archive; or says why it cannot.
fn sound(
    config: &Path,
    wanted: &Wanted,
    held: &Held,
    entry: &Entry,
    secret: &Rc<RecipientSecret>,
    (doors, term): (&Doors<'_>, &mut Term<'_>),
    archive: &mut Archive<'_>,
) -> Result<Result<String, String>, Stop> {
    let Some(id) = entry.recording else { return Ok(Err(String::new())) };
    let (role, leg) = part(&held.number, entry);
    let channels = match (wanted.both || role == Some(Role::Both), leg) {
        (true, _) => Channels::Stereo,
        (false, Some(leg)) => Channels::Only(leg),
        (false, None) => return Ok(Err("It is not known on which side the number was heard.".into())),
    };
    let asked = opened::Asked {
        id,
        deed: Deed::Export,
        key: wanted.key.clone(),
        // Whoever was recorded may hear it for whatever purpose that was.
        purpose: entry.purpose.clone().unwrap_or_default(),
        reason: Some(wanted.asked.purpose.clone()),
        span: span::Asked { from: None, to: None },
        node: wanted.node.clone(),
    };
    let made = opened_by(
        config,
        &asked,
        doors,
        term,
        || Ok(Rc::clone(secret)),
        || Ok(()),
        |opened| write(opened, &wanted.out, channels),
    );
    match made {
        Ok(((file, length, evidence), _)) => {
            let failed = |error: std::io::Error| not_written(&wanted.out, &error);
            archive.put_file(&format!("{id}.wav"), file, length).map_err(failed)?;
            archive.put(&format!("{id}.json"), format!("{evidence:#}\n").as_bytes()).map_err(failed)?;
            Ok(Ok(format!("{id}.wav")))
        }
        // One that cannot be opened does not keep the others from being handed over.
        Err(Stop::Trouble(_, trouble)) => Ok(Err(trouble.what().to_owned())),
        Err(stop) => Err(stop),
    }
}

/// Writes the sound into a file without a name.
fn write(opened: &Opened<'_>, beside: &Path, channels: Channels) -> Result<(File, u64, Value), Refused> {
    let surveyed = opened.survey()?;
    let id = opened.id();
    let output = Output::create(&beside.with_file_name(format!("{id}.wav")))?;
    let mut records = opened.records("exporting")?;
    let mut out = BufWriter::with_capacity(256 * 1024, output.file());
    let failed = |error: std::io::Error| not_written(beside, &error);
    export::wav(&surveyed.survey, channels, &mut records, &mut out).map_err(|error| match error {
        ExportError::Recording(error) => unopened(id, &error),
        ExportError::Disk(error) => failed(error),
        ExportError::TooLong { .. } => {
            Stop::cannot("it is too long for WAV", "`recordings export --format opus` has no such bound")
        }
    })?;
    out.flush().map_err(failed)?;
    drop(out);
    let mut file = output.file().try_clone().map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.rewind().map_err(failed)?;
    Ok((file, length, surveyed.evidence))
}

fn tell(wanted: &Wanted, calls: &[Call<'_>], hash: &str, term: &mut Term<'_>) -> Result<(), Stop> {
    let given = calls.iter().filter(|call| call.sound.is_ok()).count();
    let missing: Vec<(RecordingId, &String)> =
        calls.iter().filter_map(|call| Some((call.entry.recording?, call.sound.as_ref().err()?))).collect();
    let out = wanted.out.display().to_string();
    if wanted.json {
        let missing: Vec<_> = missing.iter().map(|(id, why)| json!({ "recording": id.to_string(), "why": why })).collect();
        term.out
            .line(json!({ "archive": out, "sha256": hash, "calls": calls.len(), "recordings": given, "missing": missing }))?;
    } else {
        term.out.line(format_args!(
            "{out}\n  {}, {} handed over as {}\n  sha256  {hash}",
            counted(calls.len(), "call"),
            counted(given, "recording"),
            if wanted.both { "both sides" } else { "the own side alone" }
        ))?;
        for (id, why) in &missing {
            term.out.line(format_args!("  without {id}: {why}"))?;
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Stop::Said(Exit::NotSo)) }
}

/// The index for people.
fn page(calls: &[Call<'_>], held: &Held, wanted: &Wanted) -> String {
    let mut rows = String::new();
    for call in calls {
        let entry = call.entry;
        let (role, leg) = part(&held.number, entry);
        let was = match role {
            Some(Role::Calling) => "you called",
            Some(Role::Called) => "you were called",
            Some(Role::Both) | None => "you called yourself",
        };
        let side = match (wanted.both, leg) {
            (true, _) => "both sides: the company left, the outside right",
            (false, Some(Leg::Pbx)) => "your side, within the company",
            (false, Some(Leg::Trunk) | None) => "your side",
        };
        let sound = match (&call.sound, entry.recording) {
            (Ok(file), Some(id)) => {
                format!("<a href=\"{file}\">hear it</a> ({side}), <a href=\"{id}.json\">the record of consent</a>")
            }
            (Ok(_), None) => String::new(),
            (Err(why), _) => escaped(why),
        };
        let heard: String = call
            .accesses
            .iter()
            .map(|access| {
                let why = [&access.purpose, &access.reason].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
                let (deed, outcome) = (access.deed.as_str(), access.outcome.as_str());
                escaped(&format!("{} {}: {deed}, {outcome}, {why}", seconds(access.at), access.who)) + "<br>"
            })
            .collect();
        let purpose = entry.purpose.as_deref().unwrap_or("–");
        rows += &format!(
            "<tr><td>{}</td><td>{was}</td><td>{}</td><td>{sound}</td><td>{heard}</td></tr>\n",
            seconds(entry.began),
            escaped(purpose)
        );
    }
    let (made, purpose, matched) = (seconds(who::now()), escaped(&wanted.asked.purpose), escaped(&held.matched()));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>What is held on you</title>\n\
         <style>body{{font:16px sans-serif;margin:2em}}td,th{{border:1px solid #999;padding:.4em;vertical-align:top;text-align:left}}\
         table{{border-collapse:collapse}}</style></head><body>\n\
         <h1>What is held on you</h1>\n\
         <p>Made on {made} UTC for: {purpose}. These are the calls in which your number took part, {calls} in all. {matched}</p>\n\
         <p>A recording is a sound file beside this page. With it is a record of consent: who was told what, who agreed, how and when.\n\
         Where a call was transferred, others may be heard on the same side. All times are UTC.</p>\n\
         <table><tr><th>When</th><th>What</th><th>Recorded for</th><th>Recording</th><th>Who has opened it, when and why</th></tr>\n\
         {rows}</table>\n\
         <p>The same for programs: <a href=\"index.json\">index.json</a>.</p>\n</body></html>\n",
        calls = calls.len()
    )
}

/// A text as it stands in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_no_part_of_the_page() {
        assert_eq!(escaped("a<script>\"&"), "a&lt;script&gt;&quot;&amp;");
    }
}
