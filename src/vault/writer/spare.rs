//! The spare disk: what is kept of a recording until it is durable, and how it moves when the main disk fails.
//!
//! After a failed sync the file is written no more, nor synced: what was durable before stays as it is, and the same bytes that were not go to
//! another file on the other disk. No second sync of the first could be believed, and nothing is sealed twice.

use std::io;
use std::mem;

use crate::ids::{CallId, RecordingId};
use crate::vault::Sealer;
use crate::vault::writer::{Open, Outcome, Shelf, Volume, Writer};

/// A recording whose keys were drawn.
pub(super) struct Beginning {
    pub(super) call: CallId,
    pub(super) recording: RecordingId,
    pub(super) sealer: Sealer,
    pub(super) keys: Vec<u8>,
    pub(super) head: Vec<u8>,
}

/// What a recording on the main disk needs to go on on the spare one: ciphertext and wrapped keys, as they lie on the disk. It holds what was
/// written between two syncs, so that the memory for it is bounded by the queue of chunks.
pub(super) struct Kept {
    keys: Vec<u8>,
    /// How much of the file a sync has called durable.
    durable: u64,
    /// What was written after that.
    unsynced: Vec<u8>,
}

/// Where what a recording begins with lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// With the rest of it.
    Here,
    /// On the main disk; it is being copied.
    Awaited,
    /// On the main disk, and it could not be copied.
    Elsewhere,
}

/// A recording whose end was written.
pub(super) struct Closed {
    pub(super) recording: RecordingId,
    pub(super) open: Open,
    pub(super) is_durable: bool,
}

#[cfg(test)]
impl Kept {
    /// Returns how many bytes are kept.
    pub(super) const fn unsynced(&self) -> usize {
        self.unsynced.len()
    }
}

impl Beginning {
    /// Returns what is open once its file is made.
    pub(super) fn open(self, shelf: Shelf, has_spare: bool) -> Open {
        let Self { call, sealer, keys, head, .. } = self;
        let written = head.len() as u64;
        let is_kept = has_spare && shelf == Shelf::Main;
        Open {
            call,
            sealer: Some(sealer),
            written,
            sealed: None,
            stuck: None,
            shelf,
            kept: is_kept.then(|| Box::new(Kept { keys, durable: 0, unsynced: head })),
            start: Start::Here,
        }
    }
}

impl Open {
    /// Bytes were written to its end.
    pub(super) fn has_written(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.unsynced.extend_from_slice(bytes);
        }
    }

    /// Moves it to the spare disk, with what is not durable on the main one, and says whether it is there now.
    pub(super) fn moves_over(&mut self, recording: RecordingId, volume: &mut impl Volume) -> bool {
        let Some(kept) = &self.kept else { return false };
        if volume.move_over(recording, &kept.keys, kept.durable, &kept.unsynced).is_err() {
            return false;
        }
        let start = if kept.durable > 0 { Start::Awaited } else { Start::Here };
        (self.shelf, self.start, self.kept) = (Shelf::Spare, start, None);
        true
    }
}

impl Writer {
    /// Returns whether anything lies on this disk that is not durable yet.
    pub(super) fn has_any_on(&self, shelf: Shelf) -> bool {
        self.open.values().any(|open| open.shelf == shelf)
            || self.closed.iter().any(|closed| closed.open.shelf == shelf && !closed.is_durable)
    }

    /// Returns whether what is over waits for its beginning.
    pub(super) fn waits_for_a_join(&self) -> bool {
        self.closed.iter().any(|closed| closed.open.start == Start::Awaited)
    }

    /// A sync of this disk went well.
    pub(super) fn all_are_durable(&mut self, shelf: Shelf) {
        for open in self.open.values_mut().filter(|open| open.shelf == shelf) {
            if let Some(kept) = &mut open.kept {
                kept.durable = open.written;
                kept.unsynced.clear();
            }
        }
        for closed in self.closed.iter_mut().filter(|closed| closed.open.shelf == shelf) {
            closed.is_durable = true;
        }
        self.tell_what_is_through();
    }

    /// A sync of this disk failed: what is not durable there moves, or ends torn.
    pub(super) fn leave(&mut self, shelf: Shelf, volume: &mut impl Volume) {
        let mut lost = Vec::new();
        for mut closed in mem::take(&mut self.closed) {
            let recording = closed.recording;
            if closed.open.shelf != shelf || closed.is_durable {
                self.closed.push(closed);
            } else if closed.open.moves_over(recording, volume) {
                volume.close(recording);
                self.outcomes.push_back(Outcome::Moved { recording });
                self.closed.push(closed);
            } else {
                lost.push((closed.open.call, recording));
            }
        }
        for (recording, mut open) in mem::take(&mut self.open) {
            if open.shelf != shelf {
                self.open.insert(recording, open);
            } else if open.moves_over(recording, volume) {
                self.outcomes.push_back(Outcome::Moved { recording });
                self.open.insert(recording, open);
            } else {
                volume.close(recording);
                self.held -= open.stuck.as_ref().map_or(0, |stuck| stuck.held.len());
                lost.push((open.call, recording));
            }
        }
        lost.sort_unstable();
        let failed =
            lost.into_iter().map(|(call, recording)| Outcome::Failed { call, recording, left_a_file: true, error: None });
        self.outcomes.extend(failed);
    }

    /// Hears which of those that moved lie in one piece now.
    pub(super) fn join(&mut self, volume: &mut impl Volume) {
        while let Some((recording, joined)) = volume.joined() {
            let start = if joined.is_ok() { Start::Here } else { Start::Elsewhere };
            self.outcomes.extend(joined.err().map(|error| Outcome::Parted { recording, error }));
            let closed = self.closed.iter_mut().find(|closed| closed.recording == recording).map(|closed| &mut closed.open);
            if let Some(open) = self.open.get_mut(&recording).or(closed) {
                // Of one that stays in two pieces the second is written on all the same: the next start may join them.
                open.start = start;
            }
        }
        self.tell_what_is_through();
    }

    /// Tells of those that are closed and durable, and wait for nothing.
    fn tell_what_is_through(&mut self) {
        for Closed { recording, open, .. } in
            self.closed.extract_if(.., |closed| closed.is_durable && closed.open.start != Start::Awaited)
        {
            let Open { call, sealed: Some(sealed), start, .. } = open else { continue };
            self.outcomes.push_back(match start {
                Start::Here | Start::Awaited => Outcome::Sealed { recording, sealed },
                Start::Elsewhere => {
                    let error = Some(io::Error::other("its beginning lies on the main disk"));
                    Outcome::Failed { call, recording, left_a_file: true, error }
                }
            });
        }
    }
}
