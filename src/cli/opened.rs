//! How somebody comes to hear a recording: with a key that opens it, for the purpose it was made for, and with a line in the access log
//! before and after.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::catalogue::{Deed, Entry, Opening, Outcome, State, Store};
use crate::cli::closed::{Chained, Closed, Signed};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::progress::{Progress, Reading};
use crate::cli::secret::read_secret;
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::span;
use crate::cli::term::Term;
use crate::cli::verify::{Word, finding, log_part, missing, unopened};
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::export::{self, ExportError, Source, Span, Survey};
use crate::ids::RecordingId;
use crate::time::Wall;
use crate::vault::{self, Cut, NodePublic, OpenError, RecipientSecret, Record, Recording, Verdict};

/// What is asked for.
pub(super) struct Asked {
    pub(super) id: RecordingId,
    pub(super) deed: Deed,
    pub(super) key: SecretKey,
    pub(super) purpose: String,
    /// In whose name, or by which right, where that is more than the purpose says.
    pub(super) reason: Option<String>,
    pub(super) span: span::Asked,
    pub(super) node: Option<PathBuf>,
}

/// Opens a recording for what is asked, and writes into the access log that it was, or why not.
///
/// `ready` says what else must be so before it is opened. `work` does what is asked. Returns what came of it, and what the recording is; nothing
/// where only a span of it was looked at, for then nobody knows.
pub(super) fn opened<T>(
    config: &Path,
    asked: &Asked,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
    ready: impl FnOnce() -> Result<(), Stop>,
    work: impl FnOnce(&Opened<'_>) -> Result<T, Refused>,
) -> Result<(T, Option<Word>), Stop> {
    opened_by(config, asked, doors, term, || read_secret(&asked.key).map(Rc::new), ready, work)
}

/// The same with a secret key that was read before.
pub(super) fn opened_by<T>(
    config: &Path,
    asked: &Asked,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
    secret: impl FnOnce() -> Result<Rc<RecipientSecret>, Stop>,
    ready: impl FnOnce() -> Result<(), Stop>,
    work: impl FnOnce(&Opened<'_>) -> Result<T, Refused>,
) -> Result<(T, Option<Word>), Stop> {
    asked.span.check()?;
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let Some(entry) = store.recording(asked.id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {}", asked.id)));
    };
    if entry.state == State::Erased {
        tell(store.as_mut(), asked, Outcome::Erased)?;
        let what = format!("recording {} was erased: {}", asked.id, erased(&store.accesses(asked.id)?).replacen("Its", "its", 1));
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "nothing on this machine can open it any more")));
    }
    let closed = if asked.span.is_all() { Closed::find(store.as_ref(), asked.id)? } else { None };
    let mut tell = |outcome| tell(store.as_mut(), asked, outcome);
    // Where the row does not know what it was made for, the evidence inside does, and decides all the same.
    if let Some(own) = entry.purpose.as_deref().filter(|own| *own != asked.purpose) {
        tell(Outcome::OtherPurpose)?;
        return Err(other_purpose(asked, own));
    }
    let begin = secret().and_then(|secret| {
        ready()?;
        let node = site.node(asked.node.as_deref())?;
        let word = if asked.span.is_all() { Some(verified(&site, &entry, asked, (&node, closed.as_ref()), term)?) } else { None };
        // Where a span is asked for it is looked for when it is opened; that the file is there is known before.
        if word.is_none() && site.open(asked.id)?.is_none() {
            return Err(not_there(&site, &entry, asked)?);
        }
        Ok((secret, node, word))
    });
    let (secret, node, word) = match begin {
        Ok(begin) => begin,
        Err(stop) => {
            tell(Outcome::Failed)?;
            return Err(stop);
        }
    };
    tell(Outcome::Granted)?;
    let mut is_redacted = false;
    let done = Opened::begin(&site, asked, secret, &node).map_err(Refused::Stop).and_then(|opened| {
        let done = work(&opened);
        is_redacted = opened.is_redacted.get();
        done
    });
    tell(match &done {
        Ok(_) => Outcome::Done,
        Err(Refused::Purpose(_)) => Outcome::OtherPurpose,
        Err(Refused::Stop(Stop::Trouble(Exit::Refused, _))) => Outcome::WrongKey,
        Err(Refused::Stop(_)) => Outcome::Failed,
    })?;
    // Of a whole recording the verdict says it, and of what.
    if is_redacted && word.is_none() && done.is_ok() {
        tell_of_hole(asked, entry.is_redacted, term)?;
    }
    match done {
        Ok(done) => Ok((done, word)),
        Err(Refused::Purpose(own)) => Err(other_purpose(asked, &own)),
        Err(Refused::Stop(stop)) => Err(stop),
    }
}

fn tell(store: &mut dyn Store, asked: &Asked, outcome: Outcome) -> Result<(), Stop> {
    let span = (!asked.span.is_all()).then(|| asked.span.to_string());
    let part = match (asked.reason.clone(), span) {
        (Some(reason), Some(span)) => Some(format!("{reason}; {span}")),
        (reason, span) => reason.or(span),
    };
    log_part(store, asked.id, (Some(&asked.purpose), part), asked.deed, outcome)
}

/// Says that something of a span was taken out. Whoever can write to the disk can put a hash in a chunk's place; that somebody was to, the
/// access log says.
fn tell_of_hole(asked: &Asked, is_logged: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    let what = format!("recording {}: something of this span was taken out", asked.id);
    let known = "`mitschnitt recordings verify` says what, and by whom; there is silence in its place";
    if is_logged {
        return Ok(term.note(&Trouble::new(what, known))?);
    }
    let what = what + ", and the access log knows of nobody who did it";
    Ok(term.warning(&Trouble::new(what, "`mitschnitt recordings verify` looks at all of it; there is silence in its place"))?)
}

fn not_there(site: &Site, entry: &Entry, asked: &Asked) -> Result<Stop, Stop> {
    let missing = missing(site, asked.id, Some(entry))?;
    let what = format!("recording {} is missing: {}", asked.id, missing.what());
    Ok(Stop::Trouble(Exit::NotSo, Trouble::new(what, missing.remedy())))
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
fn verified(
    site: &Site,
    entry: &Entry,
    asked: &Asked,
    (node, closed): (&NodePublic, Option<&Closed>),
    term: &mut Term<'_>,
) -> Result<Word, Stop> {
    let done = if asked.deed == Deed::Export { "exported" } else { "played" };
    let Some((file, length)) = site.open(asked.id)? else { return Err(not_there(site, entry, asked)?) };
    let input = Progress::begin("verifying", length).reading(BufReader::with_capacity(64 * 1024, file));
    let verdict = vault::verify(input, node).map_err(|error| unopened(asked.id, &error))?;
    let found = finding(&verdict, length, Some(entry));
    let chained = Signed::of(&verdict).map(|signed| Chained::of(&signed, closed));
    if let Some(other @ Chained::Other(_)) = chained {
        let what = format!("recording {} is whole and signed, {}", asked.id, other.in_words());
        let remedy = format!("nothing is {done} of what may not be that recording");
        return Err(Stop::Trouble(Exit::NotSo, Trouble::new(what, remedy)));
    }
    if let Some(taken) = verdict.taken_out() {
        let what = format!("recording {}: {taken}", asked.id);
        term.note(&Trouble::new(what, "`mitschnitt recordings verify` says by whom; what was said there is missing"))?;
    }
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
    secret: Rc<RecipientSecret>,
    key_file: Vec<u8>,
    /// What of it is wanted; nothing where it is all.
    span: Option<Part>,
    /// Something of what is wanted was taken out, as was seen when it was read.
    is_redacted: Cell<bool>,
}

/// A span of a recording, and how long all of it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) span: Span,
    pub(super) of: Duration,
}

/// What a first reading says.
pub(super) struct Surveyed {
    pub(super) survey: Survey,
    /// When the recording began, by the evidence.
    pub(super) began: Wall,
    /// Who was told what, who agreed, how and when.
    pub(super) evidence: serde_json::Value,
}

impl<'o> Opened<'o> {
    fn begin(site: &'o Site, asked: &'o Asked, secret: Rc<RecipientSecret>, node: &NodePublic) -> Result<Self, Stop> {
        let mut opened =
            Self { site, asked, secret, key_file: site.wrapped(asked.id)?, span: None, is_redacted: Cell::new(false) };
        if !asked.span.is_all() {
            opened.span = Some(opened.find(node)?);
        }
        Ok(opened)
    }

    /// Finds the span that is asked for. That the recording is the node's is its own word here: the signature is over all of it.
    fn find(&self, node: &NodePublic) -> Result<Part, Stop> {
        let (file, _) = self.file()?;
        let mut recording = self.recording(Input::Part(file))?;
        let failed = |error: OpenError| unopened(self.asked.id, &error);
        let (says, given) = (recording.header().node, node.fingerprint());
        if says != given {
            return Err(failed(OpenError::OtherNode(says, given)));
        }
        let index = recording.index().map_err(failed)?;
        let of = recording.length(&index).map_err(failed)?;
        Ok(Part { span: self.asked.span.of(of)?, of })
    }

    /// Returns which it is.
    pub(super) const fn id(&self) -> RecordingId {
        self.asked.id
    }

    /// Returns what of it is wanted; nothing where it is all.
    pub(super) const fn part(&self) -> Option<Part> {
        self.span
    }

    /// Reads it for what must be known before its sound is written, and for what it was made for.
    pub(super) fn survey(&self) -> Result<Surveyed, Refused> {
        let mut records = self.records("reading")?;
        let span = self.span.map(|part| part.span);
        let survey = export::survey(span, &mut records).map_err(|error| match error {
            ExportError::Recording(error) => unopened(self.asked.id, &error),
            ExportError::Disk(_) | ExportError::TooLong { .. } => unreachable!("a survey writes nothing"),
        })?;
        let evidence = records.evidence.unwrap_or_default();
        self.is_redacted.set(survey.is_redacted);
        let own = purpose_of(&evidence).unwrap_or_default();
        if own != self.asked.purpose {
            return Err(Refused::Purpose(own));
        }
        let began = began_of(&evidence).unwrap_or(Wall::from_unix_micros(0));
        Ok(Surveyed { survey, began, evidence })
    }

    /// Begins to read its records; `doing` is what the progress bar says.
    pub(super) fn records(&self, doing: &'static str) -> Result<Records, Stop> {
        let (file, length) = self.file()?;
        let input = match self.span {
            Some(_) => Input::Part(file),
            None => Input::All(Progress::begin(doing, length).reading(BufReader::with_capacity(64 * 1024, file))),
        };
        let span = self.span.map(|part| part.span);
        Ok(Records { recording: self.recording(input)?, span, evidence: None, torn: None })
    }

    fn recording(&self, input: Input) -> Result<Recording<Input>, Stop> {
        // All of it was verified before; of a span nothing was.
        let opened = match input {
            Input::All(_) => Recording::open_verified(input, &self.key_file, &self.secret),
            Input::Part(_) => Recording::open(input, &self.key_file, &self.secret),
        };
        opened.map_err(|error| unopened(self.asked.id, &error))
    }

    fn file(&self) -> Result<(File, u64), Stop> {
        self.site.open(self.asked.id)?.ok_or_else(|| {
            let path = self.site.recording(self.asked.id);
            Stop::cannot(format!("`{}` was taken away while it was read", path.display()), "try again once it is back")
        })
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

/// A recording's file, as it is read.
enum Input {
    /// From its beginning to its end.
    All(Reading<BufReader<File>>),
    /// Here and there. Nothing is read ahead: between two frames lies what is not wanted.
    Part(File),
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::All(input) => input.read(into),
            Self::Part(file) => file.read(into),
        }
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::All(input) => input.seek(to),
            Self::Part(file) => file.seek(to),
        }
    }
}

/// The records of a recording, up to where it is torn; or its evidence, and those of a span, with what must be known from before and after it.
pub(super) struct Records {
    recording: Recording<Input>,
    span: Option<Span>,
    /// The evidence, once it was read.
    evidence: Option<serde_json::Value>,
    /// Where all of it is torn, once that was reached.
    pub(super) torn: Option<Cut>,
}

impl Records {
    /// Goes to where the span can be understood, and gives the evidence before that.
    fn go_to_span(&mut self, take: &mut impl FnMut(&Record<&[u8]>) -> io::Result<()>) -> Result<(), ExportError<OpenError>> {
        let Some(span) = self.span else { return Ok(()) };
        if let Some(chunk) = self.recording.next_chunk().map_err(ExportError::Recording)? {
            for record in chunk.records().filter_map(Result::ok) {
                note(&mut self.evidence, &record);
                take(&record).map_err(ExportError::Disk)?;
            }
        }
        let index = self.recording.index().map_err(ExportError::Recording)?;
        self.recording.seek(&index, span.from).map_err(ExportError::Recording)
    }
}

impl Source for &mut Records {
    type Error = OpenError;

    fn each(self, mut take: impl FnMut(&Record<&[u8]>) -> io::Result<()>) -> Result<(), ExportError<OpenError>> {
        self.go_to_span(&mut take)?;
        let end = self.span.map(|span| span.to.saturating_add(Span::AFTER));
        let evidence = &mut self.evidence;
        let lent = self.recording.lend(|record| {
            note(evidence, record);
            if let (Record::Rtp { came, .. }, Some(end)) = (record, end)
                && *came >= end
            {
                return ControlFlow::Break(Ok(()));
            }
            match take(record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        });
        match lent {
            Ok(None | Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Err(ExportError::Disk(error)),
            Err(OpenError::Cut(torn)) => {
                self.torn = self.span.is_none().then_some(torn);
                Ok(())
            }
            Err(error) => Err(ExportError::Recording(error)),
        }
    }
}

fn note(evidence: &mut Option<serde_json::Value>, record: &Record<&[u8]>) {
    if let (None, Record::Evidence(json)) = (&evidence, record) {
        *evidence = Some(serde_json::from_slice(json).unwrap_or_default());
    }
}
