//! The ledger's chain: what happened, each event bound to all before it by its hash.

use serde_json::Value;

use crate::catalogue::{Deed, NoteKind, Outcome, Reason, RosterDeed, StoreError, WarrantKind, What};
use crate::ids::{CallId, RecordingId};
use crate::time::Wall;
use crate::vault::{Digest, Fingerprint, HeadKey, SignedHead};

/// Keeps the chain, beside the rows that it speaks of.
///
/// It only grows. An event is written with the row that it speaks of, in one transaction, and what the node's process writes is signed with it.
pub trait Chain {
    /// Has every transaction from here on signed with this key.
    fn sign_with(&mut self, key: HeadKey);

    /// Adds events that speak of no row.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write).
    fn note(&mut self, events: &[Event]) -> Result<(), StoreError>;

    /// Signs the end of the chain where it is not signed yet: operators' commands add events and have no key. Returns the last head that is
    /// signed.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write).
    fn sign(&mut self) -> Result<Option<SignedHead>, StoreError>;

    /// Returns the last head that is signed.
    ///
    /// # Errors
    /// The disk.
    fn head(&self) -> Result<Option<SignedHead>, StoreError>;

    /// Returns the number of the last event that says that the node's process began; nothing where none does.
    ///
    /// # Errors
    /// The disk.
    fn last_start(&self) -> Result<Option<u64>, StoreError>;

    /// Has all that is read from here on be of this moment, whatever others write meanwhile.
    ///
    /// # Errors
    /// The disk.
    fn freeze(&self) -> Result<(), StoreError>;

    /// Shows the events from this number on, in order, each with the signature on it where there is one.
    ///
    /// # Errors
    /// The disk, or an event that cannot be read.
    fn links(&self, from: u64, each: &mut dyn FnMut(Link, Option<SignedHead>)) -> Result<(), StoreError>;

    /// Shows what every row is, as the events about it should have it.
    ///
    /// # Errors
    /// The disk.
    fn bound(&self, each: &mut dyn FnMut(Bound)) -> Result<(), StoreError>;
}

/// Something that happened. Nothing of it may ever have to be erased: it names no party, and what is said of a row is a digest of the row and
/// of a random salt beside it, which says nothing once the two are gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The chain begins, in a ledger that may have rows already: these are in no event.
    Chained {
        /// The program's version.
        version: String,
        /// Calls that have a row.
        calls: u64,
        /// Lines of the access log.
        accesses: u64,
    },
    /// The node's process began.
    Started {
        /// The program's version.
        version: String,
        /// Whose key signs from here on.
        node: Fingerprint,
        /// SHA-256 of the configuration's text: another one says that it was changed. Events of before have none.
        settings: Option<Digest>,
    },
    /// The node's process was told to stop, and has written all.
    Stopped,
    /// A recording's keys are durable, and its file is made.
    Begun(RecordingId),
    /// A recording is closed and signed.
    Sealed {
        /// Which.
        recording: RecordingId,
        /// The root of the tree over its chunks.
        root: Digest,
        /// How many chunks it has.
        chunks: u64,
        /// How long its file is.
        bytes: u64,
    },
    /// A recording ends before its end.
    Torn {
        /// Which.
        recording: RecordingId,
        /// Why.
        reason: Reason,
    },
    /// A recording was torn, and is closed and signed where it was.
    Salvaged {
        /// Which.
        recording: RecordingId,
        /// The root of the tree over its chunks.
        root: Digest,
        /// How many chunks it has.
        chunks: u64,
        /// How long its file is.
        bytes: u64,
    },
    /// A recording could not be begun, or nothing of it is left that was written whole.
    Lost {
        /// Which.
        recording: RecordingId,
        /// Why.
        reason: Reason,
    },
    /// A recording lay on the disk, and no row named it.
    Found(RecordingId),
    /// The row of a call is final, or was changed after it was.
    Row {
        /// Which call's.
        call: CallId,
        /// What it is.
        row: Digest,
        /// Who talked.
        parties: Option<Digest>,
    },
    /// Somebody asked for what a recording holds, or that it be erased or kept.
    Access {
        /// Which.
        recording: RecordingId,
        /// What was asked for.
        deed: Deed,
        /// What came of it.
        outcome: Outcome,
        /// The line of the access log: who, when, for what.
        line: Digest,
    },
    /// A recording's key is wrapped for others: its key file is written anew, and is so once an [`Event::Access`] says that it was done. Until
    /// then it may be either.
    Rewrapped {
        /// Which.
        recording: RecordingId,
        /// SHA-256 of the key file as it was.
        before: Digest,
        /// And as it is to be.
        after: Digest,
        /// Whose key opens it from there on.
        added: Vec<Fingerprint>,
        /// Whose does not any more.
        removed: Vec<Fingerprint>,
    },
    /// A line was added to the register of those who have agreed, or are never recorded.
    Roster {
        /// Its number.
        number: u64,
        /// What it says.
        deed: RosterDeed,
        /// The line: who, whose number, for what.
        line: Digest,
    },
    /// Whose line of the register it is was cleared, with the digest's salt.
    RosterCleared {
        /// Its number.
        number: u64,
    },
    /// Somebody did something to a call's recording while the call went on.
    Turn {
        /// The line's number.
        number: u64,
        /// To which call.
        call: CallId,
        /// The call's recording, where it had one.
        recording: Option<RecordingId>,
        /// What.
        what: What,
        /// The line: who, how, when.
        line: Digest,
    },
    /// Something was noted: that somebody looked for a person, a correction, a complaint.
    Note {
        /// What kind of note.
        kind: NoteKind,
        /// About which recording, where it is about one.
        recording: Option<RecordingId>,
        /// The note: who, when, why.
        line: Digest,
        /// What of it may be cleared.
        words: Option<Digest>,
    },
    /// Something was allowed or denied: a token, an approval, a broken glass.
    Warrant {
        /// The number of the line.
        number: u64,
        /// What kind of line.
        kind: WarrantKind,
        /// With which recording something was wanted, where the line says so.
        recording: Option<RecordingId>,
        /// The line: who, what, when, why.
        line: Digest,
    },
    /// The chain did not hold when it was looked through, at a start.
    Broken {
        /// From which event on.
        at: u64,
    },
}

impl Event {
    /// Returns the word for what happened.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Chained { .. } => "chained",
            Self::Started { .. } => "started",
            Self::Stopped => "stopped",
            Self::Begun(_) => "begun",
            Self::Sealed { .. } => "sealed",
            Self::Torn { .. } => "torn",
            Self::Salvaged { .. } => "salvaged",
            Self::Lost { .. } => "lost",
            Self::Found(_) => "found",
            Self::Row { .. } => "row",
            // An erasure, and what keeps from it, is looked for by its own word.
            Self::Access { deed: Deed::Erase, outcome: Outcome::Done, .. } => "erased",
            Self::Access { deed: Deed::Redact, outcome: Outcome::Done, .. } => "redacted",
            Self::Access { deed: Deed::Hold, outcome: Outcome::Done, .. } => "held",
            Self::Access { deed: Deed::Release, outcome: Outcome::Done, .. } => "released",
            Self::Access { .. } => "access",
            Self::Rewrapped { .. } => "rewrapped",
            Self::Roster { .. } => "roster",
            Self::RosterCleared { .. } => "roster-cleared",
            Self::Turn { what, .. } => what.as_str(),
            Self::Note { kind, .. } => kind.as_str(),
            Self::Warrant { kind, .. } => kind.as_str(),
            Self::Broken { .. } => "broken",
        }
    }

    /// Returns what happened in JSON, on one line: the members of each kind in the order of the manual, without a space.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Chained { version, calls, accesses } => {
                format!(r#"{{"version":{},"calls":{calls},"accesses":{accesses}}}"#, quoted(version))
            }
            Self::Started { version, node, settings } => {
                let settings = settings.map_or_else(String::new, |settings| format!(r#","settings":"{settings}""#));
                format!(r#"{{"version":{},"node":"{node}"{settings}}}"#, quoted(version))
            }
            Self::Stopped => "{}".into(),
            Self::Begun(recording) | Self::Found(recording) => format!(r#"{{"recording":"{recording}"}}"#),
            Self::Sealed { recording, root, chunks, bytes } | Self::Salvaged { recording, root, chunks, bytes } => {
                format!(r#"{{"recording":"{recording}","root":"{root}","chunks":{chunks},"bytes":{bytes}}}"#)
            }
            Self::Torn { recording, reason } | Self::Lost { recording, reason } => {
                format!(r#"{{"recording":"{recording}","reason":"{reason}"}}"#)
            }
            Self::Row { call, row, parties } => {
                let parties = parties.map_or_else(|| "null".into(), |parties| format!(r#""{parties}""#));
                format!(r#"{{"call":"{call}","row":"{row}","parties":{parties}}}"#)
            }
            Self::Access { recording, deed, outcome, line } => {
                let (deed, outcome) = (deed.as_str(), outcome.as_str());
                format!(r#"{{"recording":"{recording}","deed":"{deed}","outcome":"{outcome}","line":"{line}"}}"#)
            }
            Self::Rewrapped { recording, before, after, added, removed } => {
                let names = |names: &[Fingerprint]| names.iter().map(|name| format!(r#""{name}""#)).collect::<Vec<_>>().join(",");
                let (added, removed) = (names(added), names(removed));
                format!(
                    r#"{{"recording":"{recording}","before":"{before}","after":"{after}","added":[{added}],"removed":[{removed}]}}"#
                )
            }
            Self::RosterCleared { number } => format!(r#"{{"number":{number}}}"#),
            Self::Roster { number, deed, line } => format!(r#"{{"number":{number},"deed":"{deed}","line":"{line}"}}"#),
            Self::Turn { number, call, recording, line, .. } => {
                let recording = recording.map_or_else(|| "null".into(), |recording| format!(r#""{recording}""#));
                format!(r#"{{"number":{number},"call":"{call}","recording":{recording},"line":"{line}"}}"#)
            }
            Self::Note { recording, line, words, .. } => {
                let recording = recording.map_or_else(|| "null".into(), |recording| format!(r#""{recording}""#));
                let words = words.map_or_else(|| "null".into(), |words| format!(r#""{words}""#));
                format!(r#"{{"recording":{recording},"line":"{line}","words":{words}}}"#)
            }
            Self::Warrant { number, recording, line, .. } => {
                let recording = recording.map_or_else(|| "null".into(), |recording| format!(r#""{recording}""#));
                format!(r#"{{"number":{number},"recording":{recording},"line":"{line}"}}"#)
            }
            Self::Broken { at } => format!(r#"{{"at":{at}}}"#),
        }
    }

    /// Reads an event; nothing where a later version wrote it, or it is none.
    #[must_use]
    pub fn read(kind: &str, body: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(body).ok()?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        let recording = || text("recording")?.parse().ok();
        let reason = || text("reason")?.parse().ok();
        let digest = |name: &str| text(name)?.parse::<Digest>().ok();
        Some(match kind {
            "chained" => {
                Self::Chained { version: text("version")?.into(), calls: number("calls")?, accesses: number("accesses")? }
            }
            "started" => {
                let node = Fingerprint::from_bytes(*digest("node")?.as_bytes());
                let settings = if body.get("settings").is_some() { Some(digest("settings")?) } else { None };
                Self::Started { version: text("version")?.into(), node, settings }
            }
            "stopped" => Self::Stopped,
            "begun" => Self::Begun(recording()?),
            "sealed" => Self::Sealed {
                recording: recording()?,
                root: digest("root")?,
                chunks: number("chunks")?,
                bytes: number("bytes")?,
            },
            "salvaged" => Self::Salvaged {
                recording: recording()?,
                root: digest("root")?,
                chunks: number("chunks")?,
                bytes: number("bytes")?,
            },
            "torn" => Self::Torn { recording: recording()?, reason: reason()? },
            "lost" => Self::Lost { recording: recording()?, reason: reason()? },
            "found" => Self::Found(recording()?),
            "row" => Self::Row { call: text("call")?.parse().ok()?, row: digest("row")?, parties: digest("parties") },
            "access" | "erased" | "redacted" | "held" | "released" => Self::Access {
                recording: recording()?,
                deed: text("deed")?.parse().ok()?,
                outcome: text("outcome")?.parse().ok()?,
                line: digest("line")?,
            },
            "rewrapped" => {
                let names = |name: &str| {
                    let read = |one: &Value| Some(Fingerprint::from_bytes(*one.as_str()?.parse::<Digest>().ok()?.as_bytes()));
                    body.get(name)?.as_array()?.iter().map(read).collect::<Option<Vec<_>>>()
                };
                Self::Rewrapped {
                    recording: recording()?,
                    before: digest("before")?,
                    after: digest("after")?,
                    added: names("added")?,
                    removed: names("removed")?,
                }
            }
            "roster-cleared" => Self::RosterCleared { number: number("number")? },
            "roster" => Self::Roster { number: number("number")?, deed: text("deed")?.parse().ok()?, line: digest("line")? },
            "broken" => Self::Broken { at: number("at")? },
            other => {
                let is_none = |name: &str| body.get(name).is_some_and(Value::is_null);
                let about = if is_none("recording") { None } else { Some(recording()?) };
                if let Ok(what) = other.parse() {
                    let call = text("call")?.parse().ok()?;
                    return Some(Self::Turn { number: number("number")?, call, recording: about, what, line: digest("line")? });
                }
                if let Ok(kind) = other.parse::<WarrantKind>() {
                    return Some(Self::Warrant { number: number("number")?, kind, recording: about, line: digest("line")? });
                }
                let words = if is_none("words") { None } else { Some(digest("words")?) };
                Self::Note { kind: other.parse().ok()?, recording: about, line: digest("line")?, words }
            }
        })
    }

    /// Returns the recording that it speaks of.
    #[must_use]
    pub const fn recording(&self) -> Option<RecordingId> {
        match self {
            Self::Begun(recording)
            | Self::Found(recording)
            | Self::Sealed { recording, .. }
            | Self::Torn { recording, .. }
            | Self::Salvaged { recording, .. }
            | Self::Lost { recording, .. }
            | Self::Rewrapped { recording, .. }
            | Self::Access { recording, .. } => Some(*recording),
            Self::Note { recording, .. } | Self::Turn { recording, .. } | Self::Warrant { recording, .. } => *recording,
            Self::Chained { .. }
            | Self::Started { .. }
            | Self::Stopped
            | Self::Row { .. }
            | Self::Roster { .. }
            | Self::RosterCleared { .. }
            | Self::Broken { .. } => None,
        }
    }
}

fn quoted(text: &str) -> Value {
    Value::from(text)
}

/// Where the chain stands: the number and the hash of its last event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// The number; 0 where there is none yet.
    pub seq: u64,
    /// The hash.
    pub hash: Digest,
}

impl Tip {
    /// Before the first event.
    pub const EMPTY: Self = Self { seq: 0, hash: Digest::ZERO };
}

/// An event at its place in the chain, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number, from 1 on and without a gap.
    pub seq: u64,
    /// When it was written.
    pub at: Wall,
    /// [`Event::kind`].
    pub kind: String,
    /// [`Event::body`].
    pub body: String,
    /// What binds it to all before it.
    pub hash: Digest,
}

impl Link {
    /// Puts an event behind the last one.
    #[must_use]
    pub fn behind(tip: Tip, at: Wall, event: &Event) -> Self {
        let link = Self { seq: tip.seq + 1, at, kind: event.kind().into(), body: event.body(), hash: Digest::ZERO };
        Self { hash: link.hash_after(tip.hash), ..link }
    }

    /// Returns whether it stands behind that one, as it was written.
    #[must_use]
    pub fn is_behind(&self, tip: Tip) -> bool {
        self.seq == tip.seq.wrapping_add(1) && self.hash == self.hash_after(tip.hash)
    }

    /// Returns the end of a chain that ends with it.
    #[must_use]
    pub const fn tip(&self) -> Tip {
        Tip { seq: self.seq, hash: self.hash }
    }

    /// Reads what happened; nothing where a later version wrote it.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        Event::read(&self.kind, &self.body)
    }

    /// Neither kind nor body has a line end in it, so no two events have one text.
    fn hash_after(&self, before: Digest) -> Digest {
        let Self { seq, at, kind, body, .. } = self;
        Digest::of(format!("mitschnitt event 1\n{seq}\n{before}\n{}\n{kind}\n{body}\n", at.unix_micros()).as_bytes())
    }
}

/// What is bound by a digest, and can be erased apart from the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A call's row, with how good it was heard.
    Row,
    /// Who talked.
    Parties,
    /// A line of the access log.
    Access,
    /// A line of the register.
    Roster,
    /// A turn of a call's recording.
    Turn,
    /// A note.
    Note,
    /// What of a note may be cleared.
    Words,
    /// A line of what was allowed and denied.
    Warrant,
}

impl Part {
    /// Returns the digest of a part: of its salt in hexadecimal digits, and of its columns in JSON.
    #[must_use]
    pub fn digest(self, salt: &[u8; 32], columns: &str) -> Digest {
        let word = match self {
            Self::Row => "row",
            Self::Parties => "parties",
            Self::Access => "access",
            Self::Roster => "roster",
            Self::Turn => "turn",
            Self::Note => "note",
            Self::Words => "words",
            Self::Warrant => "warrant",
        };
        Digest::of(format!("mitschnitt {word} 1\n{}\n{columns}\n", Digest::from_bytes(*salt)).as_bytes())
    }
}

/// A row as it lies in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// A call's.
    Call {
        /// Which.
        call: CallId,
        /// Whether its call, and its recording, is over.
        is_final: bool,
        /// What it is; nothing where it never was bound.
        row: Option<Digest>,
        /// Who talked; nothing where that was erased, or never bound.
        parties: Option<Digest>,
    },
    /// A line of the access log; nothing where it never was bound.
    Access(Option<Digest>),
    /// A line of the register.
    Roster {
        /// Its number.
        number: u64,
        /// What it is; nothing once it was cleared whose line it is.
        line: Option<Digest>,
    },
    /// A turn.
    Turn {
        /// Its number.
        number: u64,
        /// What it is.
        line: Digest,
    },
    /// A note.
    Note {
        /// What it is.
        line: Digest,
        /// What of it may be cleared; nothing once it was.
        words: Option<Digest>,
    },
    /// A line of what was allowed and denied.
    Warrant {
        /// Its number.
        number: u64,
        /// What it is.
        line: Digest,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_as_it_was_written_and_its_body_is_one_line_of_json() {
        for event in all() {
            let body = event.body();

            assert_eq!(Event::read(event.kind(), &body), Some(event), "{body}");
            assert!(body.starts_with('{') && !body.contains(['\n', ' ']), "{body}");
        }
        assert_eq!(Event::read("reread", "{}"), None, "a later version's");
        assert_eq!(Event::read("rewrapped", "{}"), None);
        assert_eq!(Event::read("begun", "{}"), None);
        assert_eq!(Event::read("begun", "no JSON"), None);
    }

    #[test]
    fn a_hash_is_over_the_text_of_the_manual() {
        let first = Link::behind(Tip::EMPTY, Wall::from_unix_micros(5), &Event::Stopped);
        let text = format!("mitschnitt event 1\n1\n{}\n5\nstopped\n{{}}\n", "0".repeat(64));

        assert_eq!((first.seq, first.hash), (1, Digest::of(text.as_bytes())));
        assert!(first.is_behind(Tip::EMPTY) && !first.is_behind(first.tip()));
    }

    #[test]
    fn an_event_that_was_changed_is_behind_nothing() {
        let first = Link::behind(Tip::EMPTY, Wall::from_unix_micros(5), &Event::Stopped);
        let second = Link::behind(first.tip(), Wall::from_unix_micros(6), &Event::Broken { at: 1 });

        assert!(second.is_behind(first.tip()));
        for changed in [
            Link { seq: 3, ..second.clone() },
            Link { at: Wall::from_unix_micros(7), ..second.clone() },
            Link { kind: "brokem".into(), ..second.clone() },
            Link { body: "{\"at\":2}".into(), ..second.clone() },
            Link { hash: Digest::ZERO, ..second },
        ] {
            assert!(!changed.is_behind(first.tip()), "{changed:?}");
        }
    }

    /// One of each kind.
    fn all() -> Vec<Event> {
        let (recording, call) = (RecordingId::from_bytes([1; 16]), CallId::from_u64(2));
        let (version, digest) = (String::from("0.1.0"), Digest::of(b"x"));
        let access = |deed, outcome| Event::Access { recording, deed, outcome, line: digest };
        vec![
            Event::Chained { version: version.clone(), calls: 3, accesses: 4 },
            Event::Started { version: version.clone(), node: Fingerprint::from_bytes([7; 32]), settings: None },
            Event::Started { version, node: Fingerprint::from_bytes([7; 32]), settings: Some(digest) },
            Event::Stopped,
            Event::Begun(recording),
            Event::Sealed { recording, root: digest, chunks: 5, bytes: 6 },
            Event::Torn { recording, reason: Reason::Torn },
            Event::Salvaged { recording, root: digest, chunks: 5, bytes: 6 },
            Event::Lost { recording, reason: Reason::VaultUnavailable },
            Event::Found(recording),
            Event::Row { call, row: digest, parties: None },
            Event::Row { call, row: digest, parties: Some(digest) },
            access(Deed::Export, Outcome::OtherPurpose),
            access(Deed::Erase, Outcome::Granted),
            access(Deed::Erase, Outcome::Done),
            access(Deed::Hold, Outcome::Done),
            access(Deed::Release, Outcome::Done),
            access(Deed::Release, Outcome::Holds),
            Event::Rewrapped {
                recording,
                before: digest,
                after: Digest::ZERO,
                added: vec![Fingerprint::from_bytes([7; 32]), Fingerprint::from_bytes([8; 32])],
                removed: Vec::new(),
            },
            Event::Roster { number: 9, deed: RosterDeed::NotExempt, line: digest },
            Event::RosterCleared { number: 9 },
            Event::Turn { number: 1, call, recording: None, what: What::Demanded, line: digest },
            Event::Turn { number: 2, call, recording: Some(recording), what: What::Shredded, line: digest },
            Event::Note { kind: NoteKind::Sought, recording: None, line: digest, words: Some(digest) },
            Event::Note { kind: NoteKind::Corrected, recording: Some(recording), line: digest, words: None },
            Event::Warrant { number: 10, kind: WarrantKind::Broke, recording: Some(recording), line: digest },
            Event::Warrant { number: 11, kind: WarrantKind::Given, recording: None, line: digest },
            Event::Broken { at: 8 },
        ]
    }
}
