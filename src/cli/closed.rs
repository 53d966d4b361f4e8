//! How the ledger's chain has a recording closed, and whether its file is that one.

use std::collections::BTreeMap;

use crate::catalogue::{Event, Link, Store};
use crate::cli::exit::Stop;
use crate::cli::list::counted;
use crate::ids::RecordingId;
use crate::vault::{Digest, Proven, SignedHead, Verdict};

/// How the chain has a recording closed: by its last event that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Closed {
    pub(super) seq: u64,
    word: &'static str,
    root: Digest,
    chunks: u64,
    pub(super) bytes: u64,
}

impl Closed {
    /// Returns which recording an event has closed, and how.
    pub(super) fn of(link: &Link) -> Option<(RecordingId, Self)> {
        let seq = link.seq;
        match link.event()? {
            Event::Sealed { recording, root, chunks, bytes } => {
                Some((recording, Self { seq, word: "sealed", root, chunks, bytes }))
            }
            Event::Salvaged { recording, root, chunks, bytes } => {
                Some((recording, Self { seq, word: "salvaged", root, chunks, bytes }))
            }
            Event::Chained { .. }
            | Event::Started { .. }
            | Event::Stopped
            | Event::Begun(_)
            | Event::Torn { .. }
            | Event::Lost { .. }
            | Event::Found(_)
            | Event::Row { .. }
            | Event::Access { .. }
            | Event::Roster { .. }
            | Event::RosterCleared { .. }
            | Event::Rewrapped { .. }
            | Event::Turn { .. }
            | Event::Warrant { .. }
            | Event::Note { .. }
            | Event::Broken { .. } => None,
        }
    }

    /// Finds how one recording was closed.
    pub(super) fn find(store: &dyn Store, id: RecordingId) -> Result<Option<Self>, Stop> {
        let (mut found, name) = (None, id.to_string());
        store.links(0, &mut |link: Link, _: Option<SignedHead>| {
            // Most events are of other recordings, and are not read for that.
            let is_of_it = matches!(link.kind.as_str(), "sealed" | "salvaged") && link.body.contains(&name);
            if let Some((_, closed)) = is_of_it.then(|| Self::of(&link)).flatten() {
                found = Some(closed);
            }
        })?;
        Ok(found)
    }

    /// Finds how each recording was closed. The chain itself is not verified by it: `audit verify` does that.
    pub(super) fn all(store: &dyn Store) -> Result<BTreeMap<RecordingId, Self>, Stop> {
        let mut all = BTreeMap::new();
        store.links(0, &mut |link: Link, _: Option<SignedHead>| all.extend(Self::of(&link)))?;
        Ok(all)
    }
}

/// What the node has signed of a recording, as it was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Signed {
    /// The kind of event that says so.
    word: &'static str,
    root: Digest,
    chunks: u64,
    /// How long its file is; nothing where the file is not there.
    bytes: Option<u64>,
}

impl Signed {
    /// Returns what was found; nothing where there is no signature.
    pub(super) fn of(verdict: &Verdict) -> Option<Self> {
        let (word, root, chunks, bytes) = match verdict {
            Verdict::Complete(it) => ("sealed", it.root, it.chunks, it.bytes),
            Verdict::Salvaged(it) => ("salvaged", it.root, it.chunks, it.bytes),
            Verdict::Cut(_) | Verdict::Broken(_) => return None,
        };
        // Of what was taken out the hashes are there, so that the root is the same, and the length is not.
        let bytes = verdict.taken_out().is_none().then_some(bytes);
        Some(Self { word, root: Digest::from_bytes(root), chunks: chunks.into(), bytes })
    }

    /// Returns what was found of a span: the same, but for the length of the whole.
    pub(super) fn of_span(proven: &Proven, chunks: u32) -> Self {
        let word = if proven.is_complete { "sealed" } else { "salvaged" };
        Self { word, root: Digest::from_bytes(proven.root), chunks: chunks.into(), bytes: None }
    }

    /// Returns whether the chain has the same.
    pub(super) fn is(&self, closed: &Closed) -> bool {
        let Closed { word, root, chunks, bytes, .. } = *closed;
        (self.word, self.root, self.chunks) == (word, root, chunks) && self.bytes.is_none_or(|own| own == bytes)
    }
}

/// What the chain says of a recording that verifies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chained {
    /// The same: the root is that of this event.
    Same(u64),
    /// Another.
    Other(Closed),
    /// Nothing: the recording is older than the chain, or was made elsewhere.
    Nothing,
}

impl Chained {
    /// Holds what was found against the chain.
    pub(super) fn of(signed: &Signed, closed: Option<&Closed>) -> Self {
        match closed {
            None => Self::Nothing,
            Some(closed) if signed.is(closed) => Self::Same(closed.seq),
            Some(closed) => Self::Other(*closed),
        }
    }

    /// For programs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Same(_) => "same",
            Self::Other(_) => "other",
            Self::Nothing => "nothing",
        }
    }

    /// For people, behind what was found of the file.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Same(seq) => format!("event {seq} of the ledger's chain has the same root"),
            Self::Other(closed) => format!(
                "but event {} of the ledger's chain has another recording under this name, {} of {}: the file was put in the place of that one, \
                 or the ledger in the place of its own; `mitschnitt audit verify` looks at the chain, and a backup may have the file",
                closed.seq,
                closed.word,
                counted(closed.bytes, "byte")
            ),
            Self::Nothing => "the ledger's chain has nothing of it".into(),
        }
    }
}
