//! `keys rewrap`: one who can open recordings lets others open them too, or takes some out; the ciphertext stays as it is.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::catalogue::{Deed, Event, Opening, Outcome, State, Store};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::keyname::KeyName;
use crate::cli::list::counted;
use crate::cli::progress::Progress;
use crate::cli::secret::read_secret;
use crate::cli::show::erased;
use crate::cli::site::{self, Site};
use crate::cli::term::{Style, Term};
use crate::cli::verify::{Which, log, missing, unopened};
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::keyfolder::{KeyFolder, Undone};
use crate::vault::{
    Digest, Entries, Fingerprint, KeyFile, Leave, NotRewrapped, OpenError, Recipient, RecipientSecret, Recording, UnwrapErr,
};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) which: Which,
    pub(super) key: SecretKey,
    pub(super) add: Vec<PathBuf>,
    pub(super) remove: Vec<String>,
    pub(super) only: bool,
    pub(super) json: bool,
}

/// Who is to be able to open them.
struct Change {
    add: Vec<Recipient>,
    remove: Vec<KeyName>,
    only: bool,
}

/// What came of one recording.
enum Came {
    /// It has other entries now: for whom.
    Rewrapped(Vec<Fingerprint>),
    /// It had them already.
    Already,
    /// It is not for the key: nothing was opened, and nothing need be logged.
    NotOurs,
    /// It is still being made.
    Unfinished,
    /// It was left as it was.
    Failed(Exit, Trouble),
}

impl Came {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Rewrapped(_) => "rewrapped",
            Self::Already => "already",
            Self::NotOurs => "not-for-this-key",
            Self::Unfinished => "unfinished",
            Self::Failed(..) => "failed",
        }
    }
}

/// How many of each there were.
#[derive(Default)]
struct Tally {
    rewrapped: u64,
    already: u64,
    not_ours: u64,
    unfinished: u64,
    failed: u64,
    worst: Option<Exit>,
}

/// Rewraps recordings.
pub(super) fn rewrap(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let change = change(wanted)?;
    let secret = read_secret(&wanted.key)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let (ids, is_all) = match &wanted.which {
        Which::These(ids) => (ids.clone(), false),
        Which::All => (KeyFolder::recordings(&site.key_folders()).map_err(|undone| stopped(&undone))?, true),
    };
    let mut tally = Tally::default();
    let mut progress = Progress::begin("rewrapping", ids.len() as u64);
    for (done, &id) in (1..).zip(&ids) {
        let came = one(&site, store.as_mut(), id, &secret, &change)?;
        tell(id, &came, is_all, wanted.json, term)?;
        tally.count(came);
        progress.done(done);
    }
    drop(progress);
    // One that was killed before it came here has found all of them rewrapped already.
    if tally.rewrapped + tally.already > 0 {
        let forgotten = KeyFolder::alone(&site.key_folders()).and_then(|folder| folder.forget());
        forgotten.map_err(|undone| stopped(&undone))?;
    }
    if is_all {
        tally.tell(wanted.json, term)?;
    }
    // Of one that was named it is wanted; of all of them it comes the next time.
    let is_done = tally.failed == 0 && (is_all || tally.unfinished + tally.not_ours == 0);
    if is_done { Ok(()) } else { Err(Stop::Said(tally.worst.unwrap_or(Exit::NotSo))) }
}

fn change(wanted: &Wanted) -> Result<Change, Stop> {
    let add = wanted.add.iter().map(|path| {
        let pem = site::read_file(path, "the public key", "name the *.pub.pem file of whoever is to listen")?;
        Recipient::from_pem(&pem).map_err(|error| site::bad_key(path, &error))
    });
    let add = add.collect::<Result<Vec<_>, _>>()?;
    let remove = wanted.remove.iter().map(|text| KeyName::read(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(both) = add.iter().find(|one| remove.iter().any(|name| name.is_of(&one.fingerprint()))) {
        let what = format!("the key {} is to be added, and to be removed", both.fingerprint().short());
        return Err(Stop::cannot(what, "say one of the two"));
    }
    Ok(Change { add, remove, only: wanted.only })
}

/// Rewraps one, where that can be; what stops the others too is an error.
fn one(site: &Site, store: &mut dyn Store, id: RecordingId, secret: &RecipientSecret, change: &Change) -> Result<Came, Stop> {
    let folder = match KeyFolder::alone(&site.key_folders()) {
        Ok(folder) => folder,
        Err(undone) => return Err(stopped(&undone)),
    };
    let Some(entry) = store.recording(id)?.map(|entry| site.as_it_is(entry)) else {
        let what = format!("the ledger has no recording {id}");
        return Ok(failed(what, "what a kill parted from its row is found when the proxy starts", Exit::NotFound));
    };
    let is_ours = |file: &KeyFile| file.recipients().any(|name| name == secret.public().fingerprint());
    let read = folder.tidy(id).and_then(|()| folder.read(id));
    let found = match read {
        Ok(Some(old)) => KeyFile::parse(&old.bytes).map(|file| (old, file)).map_err(OpenError::KeyFile),
        Ok(None) if entry.state != State::Erased => {
            let what = format!("recording {id} has no wrapped keys");
            return Ok(failed(what, "take them from a backup of the `keys` folder", Exit::Cannot));
        }
        Ok(None) => return erased_one(store, id),
        Err(undone) => return Ok(undone_of(id, &undone)),
    };
    match (&found, entry.state) {
        (_, State::Erased) => return erased_one(store, id),
        (Ok((_, file)), _) if !is_ours(file) => return Ok(Came::NotOurs),
        (_, State::Recording) => {
            log(store, id, None, Deed::Rewrap, Outcome::Unfinished)?;
            return Ok(Came::Unfinished);
        }
        (_, State::None | State::Sealed | State::Salvaged | State::Torn) => {}
    }
    log(store, id, None, Deed::Rewrap, Outcome::Granted)?;
    let made = found
        .map_err(|error| unopened(id, &error))
        .and_then(|(old, file)| anew(site, id, &old.bytes, &file, secret, change).map(|new| (old, new)));
    let came = match made {
        Ok((old, Some(new))) => {
            note(store, id, &old.bytes, &new)?;
            match folder.replace(id, &old, &new.to_bytes()) {
                Ok(()) => Came::Rewrapped(new.recipients().collect()),
                Err(undone) => undone_of(id, &undone),
            }
        }
        Ok((_, None)) => Came::Already,
        Err(Stop::Trouble(exit, trouble)) => Came::Failed(exit, trouble),
        Err(stop) => return Err(stop),
    };
    let outcome = match &came {
        Came::Rewrapped(_) | Came::Already => Outcome::Done,
        Came::Failed(Exit::Refused, _) => Outcome::WrongKey,
        Came::Failed(..) | Came::NotOurs | Came::Unfinished => Outcome::Failed,
    };
    log(store, id, None, Deed::Rewrap, outcome)?;
    Ok(came)
}

/// Has the chain say whose key opens it from now on, and whose does not any more, before the key file is written anew.
fn note(store: &mut dyn Store, id: RecordingId, bytes: &[u8], new: &KeyFile) -> Result<(), Stop> {
    let names = |file: &KeyFile| file.recipients().collect::<BTreeSet<_>>();
    let had = KeyFile::parse(bytes).map(|old| names(&old)).unwrap_or_default();
    let has = names(new);
    let event = Event::Rewrapped {
        recording: id,
        before: Digest::of(bytes),
        after: Digest::of(&new.to_bytes()),
        added: has.difference(&had).copied().collect(),
        removed: had.difference(&has).copied().collect(),
    };
    store.note(&[event]).map_err(|error| {
        Stop::cannot(format!("nothing is rewrapped that cannot be written into the ledger: {error}"), error.remedy())
    })
}

/// Makes the new key file, of one that the recording commits to; nothing where it would be the same.
fn anew(
    site: &Site,
    id: RecordingId,
    bytes: &[u8],
    file: &KeyFile,
    secret: &RecipientSecret,
    change: &Change,
) -> Result<Option<KeyFile>, Stop> {
    let Some((recording, _)) = site.open(id)? else {
        let missing = missing(site, id, None)?;
        return Err(Stop::Trouble(Exit::NotSo, missing));
    };
    Recording::open(BufReader::new(recording), bytes, secret).map_err(|error| unopened(id, &error))?;
    let gone: Vec<_> = file.recipients().filter(|name| change.remove.iter().any(|key| key.is_of(name))).collect();
    let leave = if change.only { Leave::None } else { Leave::AllBut(&gone) };
    let entries = Entries { add: &change.add, leave };
    file.rewrap(secret, &entries, &mut UnwrapErr(getrandom::SysRng)).map_err(|error| {
        let remedy = match error {
            NotRewrapped::Key(wrong) => return unopened(id, &OpenError::Key(wrong)),
            NotRewrapped::Recipient(_) => "make another key: this one is no point that a secret can be had with",
            NotRewrapped::Nobody => "erase the recording where that is meant: `recordings erase`",
            NotRewrapped::TooMany(_) => "take those out that have no use for it any more: --remove",
            NotRewrapped::Mixed => "take out the entries of the other kind in the same go: --remove KEY for each, or --only",
        };
        Stop::cannot(format!("recording {id}: {error}"), remedy)
    })
}

fn erased_one(store: &mut dyn Store, id: RecordingId) -> Result<Came, Stop> {
    log(store, id, None, Deed::Rewrap, Outcome::Erased)?;
    let how = erased(&store.accesses(id)?).replacen("Its", "its", 1);
    Ok(failed(format!("recording {id} was erased: {how}"), "what was erased stays so", Exit::NotFound))
}

fn failed(what: String, remedy: &str, exit: Exit) -> Came {
    Came::Failed(exit, Trouble::new(what, remedy))
}

fn undone_of(id: RecordingId, undone: &Undone) -> Came {
    let what = format!("recording {id}: {}", in_words(undone));
    failed(what, "it opens for those whom it opened for; try again once the disk or the permission is put right", Exit::Cannot)
}

fn stopped(undone: &Undone) -> Stop {
    Stop::cannot(in_words(undone), "is this the machine of the recordings, and the service's user or root?")
}

pub(super) fn in_words(Undone { doing, path, error }: &Undone) -> String {
    format!("cannot {doing} `{}`: {error}", path.display())
}

fn tell(id: RecordingId, came: &Came, is_all: bool, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    if let Came::Failed(_, trouble) = came {
        term.error(trouble)?;
    }
    let is_passed_over = is_all && !matches!(came, Came::Rewrapped(_) | Came::Failed(..));
    if is_passed_over {
        return Ok(());
    }
    let names = if let Came::Rewrapped(names) = came { names.clone() } else { Vec::new() };
    if is_json {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        return Ok(term.out.line(json!({ "recording": id.to_string(), "came": came.as_str(), "recipients": names }))?);
    }
    let (style, text) = match came {
        Came::Rewrapped(_) => {
            let names: Vec<_> = names.iter().map(Fingerprint::short).collect();
            (Style::Good, format!("it opens for {}", names.join(", ")))
        }
        Came::Already => (Style::Quiet, "it opens for them already".into()),
        Came::NotOurs => (Style::Bad, "it does not open for this key; `mitschnitt recordings show` names those that do".into()),
        Came::Unfinished => (Style::Care, "it is still being made: rewrap it once it is over".into()),
        Came::Failed(..) => return Ok(()),
    };
    let word = term.out.styled(style, came.as_str());
    Ok(term.out.line(format_args!("{id}  {word}  {text}"))?)
}

impl Tally {
    fn count(&mut self, came: Came) {
        match came {
            Came::Rewrapped(_) => self.rewrapped += 1,
            Came::Already => self.already += 1,
            Came::NotOurs => self.not_ours += 1,
            Came::Unfinished => self.unfinished += 1,
            Came::Failed(exit, _) => {
                self.failed += 1;
                self.worst = self.worst.or(Some(exit));
            }
        }
    }

    fn tell(&self, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
        let Self { rewrapped, already, not_ours, unfinished, failed, worst: _ } = self;
        if is_json {
            return Ok(term.out.line(json!({
                "rewrapped": rewrapped, "already": already, "not_for_this_key": not_ours, "unfinished": unfinished, "failed": failed,
            }))?);
        }
        let rest =
            [(already, "had it already"), (not_ours, "not for this key"), (unfinished, "still being made"), (failed, "failed")];
        let rest: String =
            rest.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!(", {count} {what}")).collect();
        Ok(term.out.line(format_args!("{} rewrapped{rest}.", counted(*rewrapped, "recording")))?)
    }
}
