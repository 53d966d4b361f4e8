//! `recordings erase`: a recording's wrapped keys destroyed, so that nobody opens it any more; the access log says who did it and why.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::catalogue::{Access, Deed, Entry, Opening, Outcome, State, Store};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::seconds;
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::RecordingId;

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
    let keys = site.key_file(wanted.id);
    match entry.state {
        State::Recording => {
            log(store.as_mut(), wanted, Outcome::Unfinished)?;
            let what = format!("recording {} is still being made", wanted.id);
            let remedy = format!("`mitschnitt calls withdraw {}` ends it; then it can be erased", entry.call);
            return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, remedy)));
        }
        // Keys that are there again were put back from a backup, and are destroyed again.
        State::Erased if keys.symlink_metadata().is_err() => {
            return say(wanted, true, &erased(&store.accesses(wanted.id)?), term);
        }
        State::Erased | State::None | State::Sealed | State::Torn | State::Salvaged => {}
    }
    if !wanted.is_meant {
        ask(wanted, &entry, term)?;
    }
    log(store.as_mut(), wanted, Outcome::Granted)?;
    let destroyed = destroy(&keys);
    log(store.as_mut(), wanted, if destroyed.is_ok() { Outcome::Done } else { Outcome::Failed })?;
    destroyed.map_err(|Undestroyed { doing, path, error }| {
        Stop::cannot(
            format!("recording {} is not erased: cannot {doing} `{}`: {error}", wanted.id, path.display()),
            "until that is done it may still be opened; erase it again once the disk or the permission is put right",
        )
    })?;
    say(wanted, false, &erased(&store.accesses(wanted.id)?), term)
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
            | Outcome::Erased => format!("nothing is erased that cannot be logged: {error}"),
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

/// What could not be done to destroy a file.
struct Undestroyed {
    doing: &'static str,
    path: PathBuf,
    error: io::Error,
}

/// Destroys a file that may be gone already: overwritten in its place, made durable, removed, and that made durable too.
///
/// Removed alone, it would stay in the disk's image (durability.md: 50 of 50); overwritten first, it did not.
fn destroy(path: &Path) -> Result<(), Undestroyed> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |error| Undestroyed { doing, path, error }
    };
    match OpenOptions::new().write(true).custom_flags(NO_FOLLOW).open(path) {
        Ok(mut file) => {
            overwrite(&mut file).map_err(failed("overwrite", path))?;
            fs::remove_file(path).map_err(failed("remove", path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("open", path)(error)),
    }
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("make durable what was removed from", folder))
}

fn overwrite(file: &mut File) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    let zeros = [0; 4096];
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..part).unwrap_or_default())?;
        left -= part as u64;
    }
    file.sync_all()
}

/// A link in the place of the keys is not followed: what is behind it is somebody else's.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
