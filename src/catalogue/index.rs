//! What is needed of whatever keeps the ledger, and who has listened.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use crate::catalogue::{Chain, Entry, Event, Keeping, Number, Quality, Reason, Rights, Roster, Stamps, Totals, Turn, Warrants};
use crate::ids::{CallId, RecordingId};
use crate::private::Private;
use crate::sabotage;
use crate::time::Wall;
use crate::vault::Digest;

/// Keeps the ledger, the access log, the [`Chain`] of what happened, its timestamps, what decides how long recordings are kept, the
/// register of those who have agreed, what is noted beside the calls, and what was allowed and denied.
pub trait Store: Chain + Stamps + Keeping + Roster + Rights + Warrants + Send {
    /// Does all of this, or nothing of it: one transaction.
    ///
    /// A recording's state only goes forward: a [`Write::Put`] that comes after its [`Write::Sealed`] or [`Write::Torn`] leaves state and
    /// totals as they are. What names a recording that no row has changes nothing.
    ///
    /// # Errors
    /// The disk, or another process that holds the store.
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// Returns those of these recordings that no row names, in the order of their names. One pass over the index, whatever their number.
    ///
    /// # Errors
    /// The disk.
    fn without_row(&self, recordings: Vec<RecordingId>) -> Result<Vec<RecordingId>, StoreError>;

    /// Returns what is kept of calls that were up ([`Write::Keep`]), the oldest first.
    ///
    /// # Errors
    /// The disk.
    fn kept(&self) -> Result<Vec<KeptCall>, StoreError>;

    /// Marks what a killed process left open: recordings as torn, other calls as interrupted. Returns how many of each.
    ///
    /// # Errors
    /// As for [`Store::write`].
    fn mark_torn(&mut self) -> Result<[u64; 2], StoreError>;

    /// Returns the recordings that are torn, in the order of their names: those that nobody has closed since, or erased.
    ///
    /// # Errors
    /// The disk.
    fn torn(&self) -> Result<Vec<RecordingId>, StoreError>;

    /// Returns the rows that the filter lets through, the oldest first.
    ///
    /// # Errors
    /// The disk.
    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError>;

    /// Returns the row of a recording.
    ///
    /// # Errors
    /// The disk.
    fn recording(&self, recording: RecordingId) -> Result<Option<Entry>, StoreError>;

    /// Returns the row of a call.
    ///
    /// # Errors
    /// The disk.
    fn call(&self, call: CallId) -> Result<Option<Entry>, StoreError>;

    /// Adds a line to the access log, durably. Whoever gives out what a recording holds does this first. A recording that was erased
    /// ([`Deed::Erase`], [`Outcome::Done`]) is [`State::Erased`](crate::catalogue::State::Erased) from there on.
    ///
    /// # Errors
    /// As for [`Store::write`]; then nothing may be given out.
    fn record_access(&mut self, access: &Access) -> Result<(), StoreError>;

    /// Returns the access log of a recording, the oldest first.
    ///
    /// # Errors
    /// The disk.
    fn accesses(&self, recording: RecordingId) -> Result<Vec<Access>, StoreError>;

    /// Returns what was done to a call's recording while it went on, in order.
    ///
    /// # Errors
    /// The disk.
    fn turns(&self, call: CallId) -> Result<Vec<Turn>, StoreError>;
}

/// One change of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// The call's row is this, whether there was one or not.
    Put(Box<Entry>),
    /// The recording's keys are durable, and its file is made. That changes no row: the chain has it, so that a recording of which file and
    /// row are gone is missed.
    Begun(RecordingId),
    /// The recording is closed and signed.
    Sealed(RecordingId, Totals, Seal),
    /// The recording ends before its end, for this reason.
    Torn(RecordingId, Reason),
    /// The recording could not be begun, or nothing of it is left that was written whole, for this reason: there is none.
    Lost(RecordingId, Reason),
    /// The recording is closed and signed, as was found when nobody had told: of so many bytes. What is in it nobody here can read.
    Closed(RecordingId, u64, Seal),
    /// The recording was torn, and is closed and signed where it was; at this time, with so many bytes.
    Salvaged(RecordingId, Wall, u64, Seal),
    /// The recording lies on the disk, and no row named it: the process was killed, or lost power, before its row was written. The row of
    /// its call ([`RecordingId::call`]) has it from there on, torn; where there is none, or that has another, one is made that knows no more
    /// than this, for the reason [`Reason::Found`]. A recording that a row names already changes nothing.
    Found {
        /// Which.
        recording: RecordingId,
        /// When it began, as its file says.
        began: Wall,
    },
    /// What came from each leg of the call was so good. Of a call that was not answered nothing is kept, and of several bridges, as of
    /// forks, the one that carried the most counts.
    Measured(CallId, Box<[Quality; 2]>),
    /// A call of before a restart ended then: of its row nothing else changes.
    Ended(CallId, Wall),
    /// This is kept of a call that is up, in the place of what was kept of it before.
    Keep(KeptCall),
    /// The call is over: nothing is kept of it.
    Forget(CallId),
    /// Somebody did something to a call's recording while the call went on.
    Turn(Turn),
    /// What waited for a timestamp has one.
    Stamped {
        /// Which of those that wait.
        number: u64,
        /// The authority's answer.
        answer: Vec<u8>,
    },
    /// What waits for a timestamp was tried in vain.
    NotStamped {
        /// Which of those that wait.
        number: u64,
    },
}

impl Write {
    /// Returns what the chain has of it. Rows have events of their own, once they are final; and what was found has one where no row named it.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self {
            Self::Sealed(..) if sabotage::is("skip-an-event") => None,
            Self::Begun(recording) => Some(Event::Begun(*recording)),
            Self::Sealed(recording, totals, Seal { root, chunks }) => {
                Some(Event::Sealed { recording: *recording, root: *root, chunks: *chunks, bytes: totals.size_bytes })
            }
            Self::Closed(recording, bytes, Seal { root, chunks }) => {
                Some(Event::Sealed { recording: *recording, root: *root, chunks: *chunks, bytes: *bytes })
            }
            Self::Salvaged(recording, _, bytes, Seal { root, chunks }) => {
                Some(Event::Salvaged { recording: *recording, root: *root, chunks: *chunks, bytes: *bytes })
            }
            Self::Torn(recording, reason) => Some(Event::Torn { recording: *recording, reason: *reason }),
            Self::Lost(recording, reason) => Some(Event::Lost { recording: *recording, reason: *reason }),
            Self::Put(_) | Self::Found { .. } | Self::Measured(..) | Self::Ended(..) | Self::Keep(_) | Self::Forget(_) => None,
            // It is of its line, which is not written yet.
            Self::Turn(_) => None,
            // They prove themselves.
            Self::Stamped { .. } | Self::NotStamped { .. } => None,
        }
    }
}

/// What a sealed recording is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// The root of the tree over its chunks.
    pub root: Digest,
    /// How many chunks it has.
    pub chunks: u64,
}

/// What is kept of a call, so that it goes on after a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptCall {
    /// Which.
    pub call: CallId,
    /// When it was written.
    pub at: Wall,
    /// What: the call's own matter.
    pub kept: Private<Vec<u8>>,
}

/// Which rows are wanted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// Recorded calls, or all.
    pub which: Which,
    /// For this reason only.
    pub reason: Option<Reason>,
    /// How good they were.
    pub heard: Heard,
    /// Those that began then or later only.
    pub from: Option<Wall>,
    /// Those that began before then only.
    pub to: Option<Wall>,
    /// Those of a party only.
    pub party: Option<Whose>,
    /// Those of which an indexed header field ([`indexed`](crate::indexed)) has this value only: its name, whatever its letters, and the value.
    pub indexed: Option<(String, Private<String>)>,
    /// The newest so many only.
    pub newest: Option<u64>,
}

/// Which party's calls are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Those of this number.
    Of(Number),
    /// Those of numbers that look like it and are written otherwise.
    Alike(Number),
}

impl Whose {
    /// Returns whether a call is one of them.
    #[must_use]
    pub fn is_of(&self, entry: &Entry) -> bool {
        match self {
            Self::Of(number) => number.role(entry).is_some(),
            Self::Alike(number) => number.is_alike(entry),
        }
    }
}

/// Recorded calls, or all.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Which {
    /// Calls that have a recording.
    #[default]
    Recorded,
    /// All calls.
    All,
}

/// How good what came from the sides of a call was ([`Quality`]).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Heard {
    /// However good, measured or not.
    #[default]
    Any,
    /// However good; calls that were measured, which are those that were answered.
    Measured,
    /// Calls of which a side was one-way, or scored below this: a mean opinion score in hundredths, 100 to 450.
    Below(u16),
}

/// What a store is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// To look, while the proxy runs or not. The store must be there.
    Read,
    /// To add to the access log as well. The store must be there.
    ReadAndLog,
    /// To keep the ledger: made where it is not there, brought up to date where it is old.
    Keep,
}

/// One line of the access log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// When.
    pub at: Wall,
    /// Who: the Unix user.
    pub who: String,
    /// What was asked for.
    pub deed: Deed,
    /// Of which recording.
    pub recording: RecordingId,
    /// For what.
    pub purpose: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Returns the line of an access log that says that the recording was erased: who did it, when and why.
#[must_use]
pub fn erasure(accesses: &[Access]) -> Option<&Access> {
    accesses.iter().rev().find(|access| access.deed == Deed::Erase && access.outcome == Outcome::Done)
}

/// What may be asked of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// Its sound, or what came, as a file.
    Export,
    /// Its sound, to be heard at once.
    Play,
    /// Whether its content is whole: it is decrypted, and nothing of it is shown.
    Verify,
    /// That nobody opens it any more.
    Erase,
    /// That others open it: its key is unwrapped and wrapped anew, and nothing of the recording is decrypted.
    Rewrap,
    /// That a span of it is taken out.
    Redact,
    /// All that it is verified by, with the recording as it lies there, still encrypted.
    Bundle,
    /// That nobody erases it until it is released.
    Hold,
    /// That it is held no longer, by whomever it was.
    Release,
}

impl Deed {
    /// Every deed there is.
    pub const ALL: [Self; 9] = [
        Self::Export,
        Self::Play,
        Self::Verify,
        Self::Erase,
        Self::Rewrap,
        Self::Redact,
        Self::Bundle,
        Self::Hold,
        Self::Release,
    ];

    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Play => "play",
            Self::Verify => "verify",
            Self::Erase => "erase",
            Self::Rewrap => "rewrap",
            Self::Redact => "redact",
            Self::Bundle => "bundle",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }
}

impl FromStr for Deed {
    type Err = NotInTheLog;

    fn from_str(text: &str) -> Result<Self, NotInTheLog> {
        Self::ALL.into_iter().find(|deed| deed.as_str() == text).ok_or(NotInTheLog)
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It was begun: written before the first byte is decrypted.
    Granted,
    /// It was done.
    Done,
    /// It failed, on the way or before it was begun: the key could not be read, the recording is broken, the file was there already.
    Failed,
    /// It was refused: the recording was made for another purpose.
    OtherPurpose,
    /// It was refused: the key does not open the recording.
    WrongKey,
    /// It was refused: the recording is still being made.
    Unfinished,
    /// It was refused: the recording was erased.
    Erased,
    /// It was refused: the recording is held.
    Held,
    /// It was refused: the recording is kept at least for a time that is not over.
    Locked,
    /// It was refused: the recording is not held, or more than one hold would be lifted.
    Holds,
    /// It was refused: none of the roles of whoever asked may, or not for this purpose, or not what is held.
    Denied,
}

impl Outcome {
    /// Every outcome there is.
    pub const ALL: [Self; 11] = [
        Self::Granted,
        Self::Done,
        Self::Failed,
        Self::OtherPurpose,
        Self::WrongKey,
        Self::Unfinished,
        Self::Erased,
        Self::Held,
        Self::Locked,
        Self::Holds,
        Self::Denied,
    ];

    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::OtherPurpose => "refused-purpose",
            Self::WrongKey => "refused-key",
            Self::Unfinished => "refused-unfinished",
            Self::Erased => "refused-erased",
            Self::Held => "refused-held",
            Self::Locked => "refused-locked",
            Self::Holds => "refused-holds",
            Self::Denied => "refused-role",
        }
    }
}

impl FromStr for Outcome {
    type Err = NotInTheLog;

    fn from_str(text: &str) -> Result<Self, NotInTheLog> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(NotInTheLog)
    }
}

/// The text is no word of the access log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotInTheLog;

impl fmt::Display for NotInTheLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no word of the access log")
    }
}

impl Error for NotInTheLog {}

/// The ledger cannot be read or written.
#[derive(Debug)]
pub enum StoreError {
    /// There is none yet.
    Missing {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The file, or its folder, may not be opened or made.
    Denied {
        /// The ledger's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer version of the program made it.
    Newer {
        /// The ledger's file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version this program keeps.
        known: i64,
    },
    /// It was made by an older version, and is only read: keeping it brings it up to date.
    Older {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The file is no ledger.
    NotALedger {
        /// The ledger's file.
        path: PathBuf,
    },
    /// Another process holds it.
    Busy {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The disk is full.
    Full {
        /// The ledger's file.
        path: PathBuf,
    },
    /// It is damaged.
    Damaged {
        /// The ledger's file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Anything else that the store's engine says.
    Engine {
        /// The ledger's file.
        path: PathBuf,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Returns one line that says what to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Missing { .. } => {
                "the first `mitschnitt run` makes it; is `data.directory` the one the proxy runs with?".into()
            }
            Self::Denied { path, .. } => {
                format!(
                    "run this as the service's user, or let that user own it: `ls -ld {}` shows whose it is",
                    parent(path).display()
                )
            }
            Self::Newer { .. } => "use the newer program, or restore the ledger that was kept before the upgrade".into(),
            Self::Older { .. } => "start the proxy once: it brings its ledger up to date".into(),
            Self::NotALedger { .. } => "move that file away, or name another `data.directory`".into(),
            Self::Busy { path } => format!("try again; `fuser {}` shows who holds it", path.display()),
            Self::Full { path } => format!("free some space: `df -h {}` shows how much there is", parent(path).display()),
            Self::Damaged { path, .. } => {
                format!("the recordings are whole without it; `sqlite3 {} .recover` saves what can be read of it", path.display())
            }
            Self::Engine { .. } => "if it happens again, please report it with this line".into(),
        }
    }
}

fn parent(path: &std::path::Path) -> &std::path::Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| std::path::Path::new("."))
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "there is no ledger `{}`", path.display()),
            Self::Denied { path, source } => write!(f, "cannot open the ledger `{}`: {}", path.display(), words(source)),
            Self::Newer { path, found, known } => {
                write!(f, "the ledger `{}` is of version {found}, and this program knows up to {known}", path.display())
            }
            Self::Older { path } => write!(f, "the ledger `{}` was made by an older version", path.display()),
            Self::NotALedger { path } => write!(f, "`{}` is no ledger of mitschnitt", path.display()),
            Self::Busy { path } => write!(f, "the ledger `{}` is held by another process", path.display()),
            Self::Full { path } => write!(f, "cannot write the ledger `{}`: the disk is full", path.display()),
            Self::Damaged { path, what } => write!(f, "the ledger `{}` is damaged: {what}", path.display()),
            Self::Engine { path, source } => write!(f, "the ledger `{}` failed: {source}", path.display()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied { source, .. } => Some(source),
            Self::Engine { source, .. } => Some(&**source),
            Self::Missing { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::NotALedger { .. }
            | Self::Busy { .. }
            | Self::Full { .. }
            | Self::Damaged { .. } => None,
        }
    }
}

/// The system's words without its number.
fn words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied { "permission denied".into() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_access_log_are_read_as_they_are_written() {
        for deed in Deed::ALL {
            assert_eq!(deed.as_str().parse(), Ok(deed));
        }
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
    }

    #[test]
    fn a_ledger_that_may_not_be_opened_says_what_to_do() {
        let error = StoreError::Denied { path: "lab-data/ledger.db".into(), source: io::ErrorKind::PermissionDenied.into() };

        assert_eq!(error.to_string(), "cannot open the ledger `lab-data/ledger.db`: permission denied");
        assert_eq!(
            error.remedy(),
            "run this as the service's user, or let that user own it: `ls -ld lab-data` shows whose it is"
        );
    }
}
