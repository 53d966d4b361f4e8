//! What waits while a recording's file cannot be written, and how it comes to be written after all.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::Duration;

use crate::ids::RecordingId;
use crate::limits::CHUNKS_HELD_PER_RECORDING;
use crate::time::Moment;
use crate::vault::record::Lost;
use crate::vault::writer::{Outcome, Volume, Writer};
use crate::vault::{GapReason, LastChunk, PlainChunk};

/// What waits while writes fail.
pub(super) struct Stuck {
    /// What was sealed and could not be written.
    pub(super) unwritten: Vec<u8>,
    /// The moment of its oldest record, where it is a chunk and not the end.
    pub(super) opened: Option<Moment>,
    why: GapReason,
    pub(super) held: VecDeque<PlainChunk>,
    /// What was dropped after those.
    lost: Option<Lost>,
    pub(super) last: Option<LastChunk>,
    /// When the call's end was first waited with.
    ended: Option<Moment>,
    /// Why the last try failed.
    pub(super) error: io::Error,
}

/// What becomes of a chunk that comes meanwhile.
pub(super) enum Taken {
    Held,
    /// It is dropped, and is the first.
    FirstDropped,
    Dropped,
}

/// How long the end of a recording is tried to be written, after the call: a minute, in which an operator who was paged may have made room.
const LAST_TRIES: Duration = Duration::from_secs(60);

impl Stuck {
    /// A write of these bytes has failed; `opened` is the moment of their oldest record, where they are a chunk.
    pub(super) fn new(unwritten: Vec<u8>, opened: Option<Moment>, error: io::Error) -> Self {
        let (held, why) = (VecDeque::new(), reason_of(&error));
        Self { unwritten, opened, why, held, lost: None, last: None, ended: None, error }
    }

    /// Holds a chunk where there is room; what is dropped becomes a gap, and so does all that comes after it.
    pub(super) fn take(&mut self, chunk: PlainChunk, is_room: bool) -> Taken {
        if let Some(lost) = &mut self.lost {
            lost.add(&chunk, self.why);
            return Taken::Dropped;
        }
        if is_room && self.held.len() < CHUNKS_HELD_PER_RECORDING {
            self.held.push_back(chunk);
            return Taken::Held;
        }
        self.lost = Some(Lost::begin(chunk, self.why));
        Taken::FirstDropped
    }
}

impl Writer {
    /// Tries all that is stuck once more.
    pub(super) fn unstick(&mut self, volume: &mut impl Volume, now: Moment) {
        let stuck: Vec<_> = self.open.iter().filter(|(_, open)| open.stuck.is_some()).map(|(&recording, _)| recording).collect();
        for recording in stuck {
            if self.flows(recording, volume) {
                self.outcomes.push_back(Outcome::Flowing { recording });
                if self.open.get(&recording).is_some_and(|open| open.sealed.is_some()) {
                    self.close(recording, volume);
                }
            } else if self.is_given_up(recording, now) {
                let stuck = self.open.get_mut(&recording).and_then(|open| open.stuck.as_mut());
                let error = stuck.map(|stuck| mem::replace(&mut stuck.error, io::ErrorKind::Other.into()));
                self.failed(recording, error, volume);
            }
        }
    }

    /// Writes what waits of a recording, in order, and says whether nothing waits any more.
    fn flows(&mut self, recording: RecordingId, volume: &mut impl Volume) -> bool {
        loop {
            let Some(stuck) = self.open.get_mut(&recording).and_then(|open| open.stuck.as_mut()) else { return false };
            let opened = stuck.opened;
            self.sealed = mem::take(&mut stuck.unwritten);
            if !self.sealed.is_empty() && !self.put(recording, opened, volume) {
                return false;
            }
            let Some(open) = self.open.get_mut(&recording) else { return false };
            let Some(stuck) = open.stuck.as_mut() else { return false };
            if let Some(chunk) = stuck.held.pop_front() {
                self.held -= 1;
                self.seal_and_write(recording, chunk, volume);
            } else if let Some(lost) = stuck.lost.take() {
                self.seal_and_write(recording, lost.into_chunk(), volume);
            } else if let Some(last) = stuck.last.take() {
                self.seal_the_end(recording, last, volume);
            } else {
                open.stuck = None;
                return true;
            }
            let is_stuck_again =
                self.open.get(&recording).and_then(|open| open.stuck.as_ref()).is_none_or(|stuck| !stuck.unwritten.is_empty());
            if is_stuck_again {
                return false;
            }
        }
    }

    /// Returns whether the call was over for so long that its end is waited with no longer.
    fn is_given_up(&mut self, recording: RecordingId, now: Moment) -> bool {
        let Some(open) = self.open.get_mut(&recording) else { return false };
        let is_over = open.sealed.is_some();
        let Some(stuck) = open.stuck.as_mut() else { return false };
        if !is_over && stuck.last.is_none() {
            return false;
        }
        now.since(*stuck.ended.get_or_insert(now)) >= LAST_TRIES
    }
}

/// What a gap says that comes of a write that failed so.
fn reason_of(error: &io::Error) -> GapReason {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if is_full { GapReason::DiskFull } else { GapReason::DiskFailed }
}
