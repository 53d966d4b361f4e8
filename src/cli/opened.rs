//! How somebody comes to hear a recording: with a key that opens it, for the purpose it was made for, and with a line in the access log
//! before and after.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::catalogue::{Deed, Entry, Opening, Outcome, State};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::progress::{Progress, Reading};
use crate::cli::secret::read_secret;
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::cli::verify::{Word, finding, log, missing, unopened};
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::export::{self, Survey};
use crate::ids::RecordingId;
use crate::time::Wall;
use crate::vault::{self, Cut, OpenError, OwnedRecords, RecipientSecret, Record, Recording, Verdict};

/// What is asked for.
pub(super) struct Asked {
    pub(super) id: RecordingId,
    pub(super) deed: Deed,
    pub(super) key: SecretKey,
    pub(super) purpose: String,
    pub(super) node: Option<PathBuf>,
}

/// Opens a recording for what is asked, and writes into the access log that it was, or why not.
///
/// `ready` says what else must be so before it is opened. `work` does what is asked. Returns what came of it, and what the recording is.
pub(super) fn opened<T>(
    config: &Path,
    asked: &Asked,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
    ready: impl FnOnce() -> Result<(), Stop>,
    work: impl FnOnce(&Opened<'_>) -> Result<T, Refused>,
) -> Result<(T, Word), Stop> {
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let Some(entry) = store.recording(asked.id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {}", asked.id)));
    };
    if entry.state == State::Erased {
        log(store.as_mut(), asked.id, Some(&asked.purpose), asked.deed, Outcome::Erased)?;
        let what = format!("recording {} was erased: {}", asked.id, erased(&store.accesses(asked.id)?).replacen("Its", "its", 1));
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "nothing on this machine can open it any more")));
    }
    let mut tell = |outcome| log(store.as_mut(), asked.id, Some(&asked.purpose), asked.deed, outcome);
    // Where the row does not know what it was made for, the evidence inside does, and decides all the same.
    if let Some(own) = entry.purpose.as_deref().filter(|own| *own != asked.purpose) {
        tell(Outcome::OtherPurpose)?;
        return Err(other_purpose(asked, own));
    }
    let begin = read_secret(&asked.key).and_then(|secret| {
        ready()?;
        Ok((secret, verified(&site, &entry, asked, term)?))
    });
    let (secret, word) = match begin {
        Ok(begin) => begin,
        Err(stop) => {
            tell(Outcome::Failed)?;
            return Err(stop);
        }
    };
    tell(Outcome::Granted)?;
    let done = Opened::begin(&site, asked, secret).map_err(Refused::Stop).and_then(|opened| work(&opened));
    tell(match &done {
        Ok(_) => Outcome::Done,
        Err(Refused::Purpose(_)) => Outcome::OtherPurpose,
        Err(Refused::Stop(Stop::Trouble(Exit::Refused, _))) => Outcome::WrongKey,
        Err(Refused::Stop(_)) => Outcome::Failed,
    })?;
    match done {
        Ok(done) => Ok((done, word)),
        Err(Refused::Purpose(own)) => Err(other_purpose(asked, &own)),
        Err(Refused::Stop(stop)) => Err(stop),
    }
}

/// Why nothing is given out.
pub(super) enum Refused {
    /// The evidence inside the recording names this purpose.
    Purpose(String),
    Stop(Stop),
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn other_purpose(asked: &Asked, own: &str) -> Stop {
    let what = format!("recording {} was made for `{own}`, not for `{}`", asked.id, asked.purpose);
    Stop::Trouble(
        Exit::Refused,
        Trouble::new(what, "a recording is opened for its own purpose only; this refusal is in the access log"),
    )
}

/// Sound is given out of nothing that is not as it was written; of what is torn, what there is.
fn verified(site: &Site, entry: &Entry, asked: &Asked, term: &mut Term<'_>) -> Result<Word, Stop> {
    let done = if asked.deed == Deed::Export { "exported" } else { "played" };
    let node = site.node(asked.node.as_deref())?;
    let Some((file, length)) = site.open(asked.id)? else {
        let missing = missing(site, asked.id, Some(entry))?;
        let what = format!("recording {} is missing: {}", asked.id, missing.what());
        return Err(Stop::Trouble(Exit::NotSo, Trouble::new(what, missing.remedy())));
    };
    let input = Progress::begin("verifying", length).reading(BufReader::with_capacity(64 * 1024, file));
    let verdict = vault::verify(input, &node).map_err(|error| unopened(asked.id, &error))?;
    let found = finding(&verdict, length, Some(entry));
    match verdict {
        Verdict::Complete(_) => Ok(found.word),
        Verdict::Salvaged(_) => {
            let what = format!("recording {} is {}: {}", asked.id, found.word.as_str(), found.text);
            let rest = if found.word == Word::Cut { "a backup has the rest" } else { "what came after it was lost" };
            term.warning(&Trouble::new(what, format!("what is whole is {done}; {rest}")))?;
            Ok(found.word)
        }
        Verdict::Cut(_) => {
            let what = format!("recording {} is {}: {}", asked.id, found.word.as_str(), found.text);
            let rest = if found.word == Word::Cut { "; a backup has the rest" } else { "" };
            term.warning(&Trouble::new(what, format!("what is whole is {done}, and no signature covers it{rest}")))?;
            Ok(found.word)
        }
        Verdict::Broken(_) => {
            let what = format!("recording {} is broken: {}", asked.id, found.text);
            Err(Stop::Trouble(
                Exit::NotSo,
                Trouble::new(what, format!("nothing is {done} of what was changed; take the recording from a backup")),
            ))
        }
    }
}

/// A recording that may be read, and with what.
pub(super) struct Opened<'o> {
    site: &'o Site,
    asked: &'o Asked,
    secret: RecipientSecret,
    key_file: Vec<u8>,
}

/// What a first reading says.
pub(super) struct Surveyed {
    pub(super) survey: Survey,
    /// When the recording began, by the evidence.
    pub(super) began: Wall,
}

impl<'o> Opened<'o> {
    fn begin(site: &'o Site, asked: &'o Asked, secret: RecipientSecret) -> Result<Self, Stop> {
        Ok(Self { site, asked, secret, key_file: site.wrapped(asked.id)? })
    }

    /// Returns which it is.
    pub(super) const fn id(&self) -> RecordingId {
        self.asked.id
    }

    /// Reads it for what must be known before its sound is written, and for what it was made for.
    pub(super) fn survey(&self) -> Result<Surveyed, Refused> {
        let mut input = self.records("reading")?;
        let mut evidence = None;
        let records = input.by_ref().inspect(|record| {
            if let (None, Ok(Record::Evidence(json))) = (&evidence, record) {
                evidence = Some(serde_json::from_slice(json).unwrap_or_default());
            }
        });
        let survey = export::survey(records).map_err(|error| unopened(self.asked.id, &error))?;
        let evidence = evidence.unwrap_or_default();
        let own = purpose_of(&evidence).unwrap_or_default();
        if own != self.asked.purpose {
            return Err(Refused::Purpose(own));
        }
        let began = began_of(&evidence).unwrap_or(Wall::from_unix_micros(0));
        Ok(Surveyed { survey, began })
    }

    /// Begins to read its records; `doing` is what the progress bar says.
    pub(super) fn records(&self, doing: &'static str) -> Result<Records, Stop> {
        let id = self.asked.id;
        let (file, length) = self.site.open(id)?.ok_or_else(|| {
            let path = self.site.recording(id);
            Stop::cannot(format!("`{}` was taken away while it was read", path.display()), "try again once it is back")
        })?;
        let input = Progress::begin(doing, length).reading(BufReader::with_capacity(64 * 1024, file));
        let recording = Recording::open(input, &self.key_file, &self.secret).map_err(|error| unopened(id, &error))?;
        Ok(Records { records: recording.records(), torn: None })
    }
}

/// The purpose that the evidence names.
fn purpose_of(evidence: &serde_json::Value) -> Option<String> {
    Some(evidence.get("policy")?.get("purpose")?.as_str()?.to_owned())
}

/// When the recording began, as the evidence says.
fn began_of(evidence: &serde_json::Value) -> Option<Wall> {
    evidence.get("granted_at")?.as_str()?.parse().ok()
}

/// The records of a recording, up to where it is torn.
pub(super) struct Records {
    records: OwnedRecords<Reading<BufReader<File>>>,
    /// Where it is torn, once that was reached.
    pub(super) torn: Option<Cut>,
}

impl Iterator for Records {
    type Item = Result<Record, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.records.next() {
            Some(Err(OpenError::Cut(torn))) => {
                self.torn = Some(torn);
                None
            }
            other => other,
        }
    }
}
