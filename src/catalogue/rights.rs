//! What is noted beside the calls: who looked for a person, what was handed over or cleared, corrections, and complaints.

use std::fmt;
use std::str::FromStr;

use crate::catalogue::{Entry, Number, StoreError};
use crate::ids::{CallId, RecordingId};
use crate::private::Private;
use crate::time::Wall;

/// Keeps notes, which only grow, and clears what says who a person is.
pub trait Rights {
    /// Writes a note, durably and into the chain; returns its number. Where it is about a person ([`About::Person`]) nothing is kept of the
    /// number but a salted digest, by which it is found again ([`Rights::of_person`]).
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write); then nothing may be given out.
    fn note_down(&mut self, note: &Note) -> Result<u64, StoreError>;

    /// Returns every note, the oldest first; the words of some were cleared since.
    ///
    /// # Errors
    /// The disk.
    fn notes(&self) -> Result<Vec<Note>, StoreError>;

    /// Returns the numbers of those notes that are about this person.
    ///
    /// # Errors
    /// The disk.
    fn of_person(&self, number: &Number) -> Result<Vec<u64>, StoreError>;

    /// Clears who talked in these calls, with the salts, and what was corrected of them; and of the person by whose number they were found
    /// all by which it could be found again, and whose lines of the register they are that stand no more ([`standing`](crate::catalogue::standing)).
    /// What stands there stays: it is what the person wants.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write); then nothing was cleared.
    fn clear(&mut self, calls: &[CallId], person: Option<&Number>) -> Result<Cleared, StoreError>;

    /// Has the store's files keep nothing of what was cleared, neither their journals nor the room in between, and looks for it: for these
    /// texts, of which no row may have one any more.
    ///
    /// # Errors
    /// The disk. What was cleared may still be in the files then.
    fn purge(&mut self, gone: &[Private<String>]) -> Result<Purged, StoreError>;
}

/// What was cleared.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cleared {
    /// Who talked, in so many calls.
    pub calls: u64,
    /// Whose so many lines of the register are.
    pub lines: u64,
}

/// What the store's files have of what was cleared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purged {
    /// Nothing.
    Clean,
    /// Another process reads the ledger, and its journal could not be emptied.
    Journal,
    /// It stands there all the same.
    Left,
}

/// Something that was noted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Its number; 0 until it is written.
    pub number: u64,
    /// When.
    pub at: Wall,
    /// Who: the Unix user.
    pub who: String,
    /// What kind of note.
    pub kind: NoteKind,
    /// About what.
    pub about: About,
    /// For what, or why, in the operator's words.
    pub reason: Option<String>,
    /// Of how many calls, and how many recordings, it is.
    pub counts: [u64; 2],
    /// What came of it.
    pub is_done: bool,
}

/// What a note is about. What says who somebody is may be cleared apart from the note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// A person, by a number: none is known of a note that was read.
    Person(Option<Private<String>>),
    /// No person in particular: calls of before some time, or one recording.
    Calls(Option<RecordingId>),
    /// A field of a recording's row, and what it should be; nothing once that was cleared.
    Field {
        /// Whose.
        recording: RecordingId,
        /// Which.
        field: Field,
        /// What it should be.
        value: Option<Private<String>>,
    },
    /// A complaint: about a recording, if it is about one, and what it says.
    Complaint {
        /// About which.
        recording: Option<RecordingId>,
        /// What it says.
        text: Option<Private<String>>,
    },
    /// An earlier complaint, by its number.
    Earlier(u64),
}

impl About {
    /// Returns the recording that it is about.
    #[must_use]
    pub const fn recording(&self) -> Option<RecordingId> {
        match self {
            Self::Calls(recording) | Self::Complaint { recording, .. } => *recording,
            Self::Field { recording, .. } => Some(*recording),
            Self::Person(_) | Self::Earlier(_) => None,
        }
    }

    /// Returns what of it may be cleared.
    #[must_use]
    pub const fn words(&self) -> Option<&Private<String>> {
        match self {
            Self::Person(words) | Self::Field { value: words, .. } | Self::Complaint { text: words, .. } => words.as_ref(),
            Self::Calls(_) | Self::Earlier(_) => None,
        }
    }
}

/// What kind of note it is: its word is that of its event in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoteKind {
    /// Somebody looked for a person.
    Sought,
    /// What is held on a person was handed over.
    HandedOver,
    /// Who talked was cleared.
    Cleared,
    /// A field was noted wrongly.
    Corrected,
    /// Somebody complains.
    Complaint,
    /// A complaint is closed.
    Closed,
}

impl NoteKind {
    /// Every kind there is.
    pub const ALL: [Self; 6] = [Self::Sought, Self::HandedOver, Self::Cleared, Self::Corrected, Self::Complaint, Self::Closed];

    /// Returns its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sought => "sought",
            Self::HandedOver => "handed-over",
            Self::Cleared => "cleared",
            Self::Corrected => "corrected",
            Self::Complaint => "complaint",
            Self::Closed => "complaint-closed",
        }
    }
}

/// What of a recording's row may be corrected. What the proxy has measured is no opinion, and stays.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// Who called: a number or a name.
    Calling,
    /// Who was called.
    Called,
    /// What it was recorded for, in words: whom it may be opened for does not change by that.
    Purpose,
    /// A note.
    Remark,
}

impl Field {
    /// Every field there is.
    pub const ALL: [Self; 4] = [Self::Calling, Self::Called, Self::Purpose, Self::Remark];

    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Called => "called",
            Self::Purpose => "purpose",
            Self::Remark => "remark",
        }
    }
}

/// The text is no word of a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotInANote;

impl fmt::Display for NotInANote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no word of a note")
    }
}

impl std::error::Error for NotInANote {}

impl FromStr for NoteKind {
    type Err = NotInANote;

    fn from_str(text: &str) -> Result<Self, NotInANote> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NotInANote)
    }
}

impl FromStr for Field {
    type Err = NotInANote;

    fn from_str(text: &str) -> Result<Self, NotInANote> {
        Self::ALL.into_iter().find(|field| field.as_str() == text).ok_or(NotInANote)
    }
}
/// What the ledger's files must not have any more: who talked, as it stood there; and the number, however it was written.
#[must_use]
pub fn traces(entries: &[&Entry], person: Option<&Number>) -> Vec<Private<String>> {
    let mut traces: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.parties.as_ref())
        .map(|parties| {
            let [calling, called, call_id] = [&parties.calling, &parties.called, &parties.call_id].map(Private::reveal);
            Private::new(format!("{calling}{called}{call_id}"))
        })
        .collect();
    // As a table and its index have them: another call may have said the same.
    traces.extend(entries.iter().flat_map(|entry| {
        let said = entry.parties.iter().flat_map(|parties| &parties.indexed);
        said.flat_map(|(name, value)| {
            let (call, value) = (entry.call, value.reveal());
            [format!("{call}{name}{value}"), format!("{value}{name}{call}")].map(Private::new)
        })
    }));
    let digits = person.map(|person| person.form().reveal().trim_start_matches('+'));
    // Fewer stand anywhere by chance.
    traces.extend(digits.filter(|digits| digits.len() >= Number::ALIKE).map(|digits| Private::new(digits.to_owned())));
    traces
}
