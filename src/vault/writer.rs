//! The writer: the mind of the disk thread, which says what is written in what order, and what is durable when.
//!
//! ```text
//!  Begin ──keys, sync, head──▶ open ──End, signed──▶ closed ──sync──▶ Sealed
//!    │                          │                      │
//!    └─ any of them fails       ├─ a sync fails ────────┘──▶ Failed, torn: what was sealed stays readable
//!       ▼                       └─ a write fails ──▶ stuck ──it goes well again──▶ open, with a gap if chunks were dropped
//!      Failed, removed again
//! ```
//!
//! A write that failed is tried again with every sync, with the same bytes at the same place: nothing is sealed twice. Chunks that come
//! meanwhile are held, and dropped once there are too many; what was dropped is a gap in the file. A sync that failed is another matter: what
//! was written since the last good one may be lost although every write went well, and no second sync tells. Where there is a spare disk
//! either of them moves the recording there, with the bytes that were not durable; without one a failed sync is its end.

mod spare;
mod stuck;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::time::Duration;

use self::spare::{Beginning, Closed, Kept, Start};
use self::stuck::{Stuck, Taken};
use crate::consent::Evidence;
use crate::ids::{CallId, RecordingId};
use crate::limits::{CHUNK_BYTES, CHUNKS_HELD};
use crate::sabotage;
use crate::time::{Moment, Wall};
use crate::vault::{CryptoRng, LastChunk, Listener, NodeKey, PlainChunk, Recipient, SealError, Sealed, Sealer};

/// One of the disks that recordings are written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shelf {
    /// That of the data directory.
    Main,
    /// The other one, for when that fails or is full.
    Spare,
}

/// What the writer needs of its disks: of the main one, and of a spare one where there is any.
pub trait Volume {
    /// Returns on which disk a recording that begins now is made.
    fn shelf(&self) -> Shelf {
        Shelf::Main
    }

    /// Returns whether there is a spare disk.
    fn has_spare(&self) -> bool {
        false
    }

    /// Makes the key file of a recording, with all its bytes.
    ///
    /// # Errors
    /// It was there before, or the disk.
    fn create_keys(&mut self, shelf: Shelf, recording: RecordingId, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file of a recording with its first bytes. It stays open for [`Volume::write_at`] until [`Volume::close`].
    ///
    /// # Errors
    /// It was there before, or the disk. It is not open then.
    fn create_recording(&mut self, shelf: Shelf, recording: RecordingId, head: &[u8]) -> io::Result<()>;

    /// Writes bytes to a recording's file, from this offset on: the end of what was written, or of what was written well before a write
    /// that failed.
    ///
    /// # Errors
    /// The disk. Some of the bytes may lie there.
    fn write_at(&mut self, recording: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Closes a recording's file: nothing more is written to it.
    fn close(&mut self, recording: RecordingId);

    /// Removes what little there is of a recording that could not be begun, on either disk, as far as it can.
    ///
    /// # Errors
    /// The disk: the recording's file may be there still.
    fn remove(&mut self, recording: RecordingId) -> io::Result<()>;

    /// Makes durable all that was written to a disk, closed files included.
    ///
    /// # Errors
    /// What was written since the last good sync may be lost, although every write succeeded and the next sync may succeed as well.
    fn sync(&mut self, shelf: Shelf) -> io::Result<()>;

    /// Moves a recording of the main disk to the spare one: makes its key file there, and a file with these bytes from this offset on,
    /// which [`Volume::write_at`] writes to from now on, whether the file was open or closed. What stands before that offset is durable on
    /// the main disk, and is copied by the volume in its own time: [`Volume::joined`] says when. Of offset 0 there is nothing to copy.
    ///
    /// # Errors
    /// There is no spare disk, or it failed; all is as it was before.
    fn move_over(&mut self, recording: RecordingId, keys: &[u8], from: u64, bytes: &[u8]) -> io::Result<()> {
        let _ = (recording, keys, from, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns the next moved recording whose beginning was copied, durably, or could not be.
    fn joined(&mut self) -> Option<(RecordingId, io::Result<()>)> {
        None
    }
}

/// What the writer is given to do.
#[derive(Debug)]
pub enum Work {
    /// A recording begins: its keys become durable before anything of it is written.
    Begin(Box<Evidence>),
    /// A chunk is full, or old enough.
    Chunk(RecordingId, PlainChunk),
    /// The recording is over.
    End(RecordingId, LastChunk),
}

/// What became of it. [`Outcome::Sealed`] and [`Outcome::Failed`] are final: each recording that was begun has one of them, unless the
/// writer is dropped before its end. The others are steps on the way.
#[derive(Debug)]
pub enum Outcome {
    /// The recording's keys are durable, and its file is made.
    Begun {
        /// Which.
        recording: RecordingId,
    },
    /// A chunk was sealed and written.
    Written {
        /// Whose.
        recording: RecordingId,
        /// The moment of the chunk's oldest record.
        opened: Moment,
    },
    /// A write failed: nothing more of this recording is written until it goes well.
    Stuck {
        /// Which.
        recording: RecordingId,
        /// Why.
        error: io::Error,
    },
    /// So long has the disk failed that a chunk was dropped: a part of the recording will be missing. Told once for each time it is stuck.
    Dropping {
        /// Whose.
        call: CallId,
        /// Which.
        recording: RecordingId,
    },
    /// What failed went well: all that was held is written, and what was dropped is a gap.
    Flowing {
        /// Which.
        recording: RecordingId,
    },
    /// The main disk failed to write it or to make it durable: it goes on on the spare one, and nothing of it was lost.
    Moved {
        /// Which.
        recording: RecordingId,
    },
    /// What the main disk has of a recording that was moved could not be copied: it stays in two pieces, which the next start joins. It is
    /// called failed once it is over.
    Parted {
        /// Which.
        recording: RecordingId,
        /// Why.
        error: io::Error,
    },
    /// The recording's end was signed and written; it is not durable yet.
    Closed {
        /// Which.
        recording: RecordingId,
    },
    /// The recording is closed, signed and durable.
    Sealed {
        /// Which.
        recording: RecordingId,
        /// What it holds.
        sealed: Sealed,
    },
    /// The recording could not be begun, or goes on no longer; what was sealed stays readable.
    Failed {
        /// Whose.
        call: CallId,
        /// Which.
        recording: RecordingId,
        /// Whether anything of it lies on the disk.
        left_a_file: bool,
        /// Why. Nothing where it was open, or closed and not durable, when a sync failed: [`Outcome::SyncFailed`] stands before it then.
        error: Option<io::Error>,
    },
    /// A sync failed: what it ends follows.
    SyncFailed {
        /// Of which disk.
        shelf: Shelf,
        /// Why.
        error: io::Error,
    },
}

/// Seals chunks and writes them, one batch of work after the other.
///
/// Whoever owns it hands in the clock, the chance and the disk, and looks at [`Writer::deadline`] after each batch: a sync that is due is
/// done with [`Writer::sync`]. Before it is dropped it is synced once more.
pub struct Writer {
    node: NodeKey,
    listeners: Vec<Listener>,
    open: BTreeMap<RecordingId, Open>,
    /// Recordings that were closed and are not durable yet: they are not called sealed before they are.
    closed: Vec<Closed>,
    /// Nothing was synced yet.
    is_new: bool,
    /// When the last sync was done that was due.
    synced: Moment,
    /// When work was last done that no sync has followed, perhaps before the writer was made.
    worked: Option<Moment>,
    /// The bytes of one chunk on their way to the disk: ciphertext.
    sealed: Vec<u8>,
    /// Chunks that are held, of all recordings that are stuck.
    held: usize,
    outcomes: VecDeque<Outcome>,
}

struct Open {
    call: CallId,
    /// Nothing once the end was sealed.
    sealer: Option<Sealer>,
    /// The length of what was written well.
    written: u64,
    /// What it holds, once its end was sealed.
    sealed: Option<Sealed>,
    stuck: Option<Box<Stuck>>,
    shelf: Shelf,
    /// What it needs to go on on the spare disk, while there is one and it is not there.
    kept: Option<Box<Kept>>,
    start: Start,
}

/// How often what was written is made durable (durability.md: one `syncfs` for all calls costs 18 ms, one sync a file 3.6 s).
const SYNC_EVERY: Duration = Duration::from_millis(500);

impl Writer {
    /// Takes the node's signing key, and who may listen to what and when.
    #[must_use]
    pub fn new(node: NodeKey, listeners: Vec<Listener>, now: Moment) -> Self {
        Self {
            node,
            listeners,
            open: BTreeMap::new(),
            closed: Vec::new(),
            synced: now,
            // What an earlier run wrote, and was killed before it made it durable, must not wait for the first call of this one.
            worked: Some(now),
            is_new: true,
            sealed: Vec::with_capacity(CHUNK_BYTES + 1024),
            held: 0,
            outcomes: VecDeque::new(),
        }
    }

    /// Does a batch: all new recordings' keys first, made durable by one sync, and only then anything else.
    ///
    /// Work for a recording that is not open, or no longer, is dropped: its failure was told.
    pub fn work(&mut self, batch: Vec<Work>, volume: &mut impl Volume, entropy: &mut impl CryptoRng, now: Moment) {
        if !batch.is_empty() {
            self.worked = Some(now);
        }
        let mut begins = Vec::new();
        let mut rest = Vec::with_capacity(batch.len());
        for work in batch {
            match work {
                Work::Begin(evidence) => begins.push(*evidence),
                Work::Chunk(..) | Work::End(..) => rest.push(work),
            }
        }
        self.begin(begins, volume, entropy);
        for work in rest {
            match work {
                Work::Chunk(recording, chunk) => self.write(recording, chunk, volume),
                Work::End(recording, last) => self.end(recording, last, volume),
                Work::Begin(_) => unreachable!("begins were parted from the rest above"),
            }
        }
    }

    /// Makes all that was written durable, and says whether it is.
    ///
    /// A sync that fails is told once: what was written since the last good one may be lost although every write succeeded and a second
    /// sync would succeed as well (durability.md). So every recording that was open or closed since then moves to the spare disk, and
    /// without one ends here, torn.
    pub fn sync(&mut self, volume: &mut impl Volume, now: Moment) -> bool {
        self.unstick(volume, now);
        self.join(volume);
        let is_first = mem::replace(&mut self.is_new, false);
        let is_main = is_first || !volume.has_spare() || self.has_any_on(Shelf::Main);
        let is_main_durable = !is_main || self.make_durable(Shelf::Main, volume);
        // After the main one, which may have moved something here.
        let is_spare = volume.has_spare() && (is_first || self.has_any_on(Shelf::Spare));
        let is_spare_durable = !is_spare || self.make_durable(Shelf::Spare, volume);
        // What is stuck is tried again with the next sync, and what lies in two pieces is asked after.
        let waits = self.waits_for_a_join() || self.open.values().any(|open| open.stuck.is_some());
        self.worked = waits.then_some(now);
        self.synced = now;
        is_main_durable && is_spare_durable
    }

    /// Says that the last [`Writer::sync`] took until now: the time to the next one counts from here, so that a slow disk is not kept
    /// busy with syncs alone.
    pub const fn synced(&mut self, now: Moment) {
        self.synced = now;
    }

    /// Returns when the next sync is due: nothing where there is nothing to be made durable.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let worked = self.worked?;
        // With nothing open a closed recording need not wait to be called sealed.
        let is_at_once = self.open.is_empty() && !self.waits_for_a_join();
        Some(if is_at_once { worked } else { self.synced + SYNC_EVERY })
    }

    /// Returns the next outcome, in the order in which they came about.
    pub fn poll(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Begins recordings: where it cannot be done on the main disk, on the spare one.
    fn begin(&mut self, begins: Vec<Evidence>, volume: &mut impl Volume, entropy: &mut impl CryptoRng) {
        let mut drawn = Vec::with_capacity(begins.len());
        for evidence in begins {
            match self.draw(&evidence, entropy) {
                Ok(beginning) => drawn.push(beginning),
                Err(error) => self.not_begun(evidence.call(), evidence.recording(), io::Error::other(error), volume),
            }
        }
        let shelf = volume.shelf();
        let mut failed = self.begin_on(shelf, drawn, volume);
        if shelf == Shelf::Main && volume.has_spare() {
            let again = failed.into_iter().map(|(beginning, _)| {
                // The reason why it failed is told of by those that were open, or by the spare disk's own. What cannot be removed here opens
                // nothing: there are keys of a recording that lies elsewhere.
                volume.remove(beginning.recording).ok();
                beginning
            });
            let again = again.collect();
            failed = self.begin_on(Shelf::Spare, again, volume);
        }
        for (beginning, error) in failed {
            self.not_begun(beginning.call, beginning.recording, error, volume);
        }
    }

    fn draw(&self, evidence: &Evidence, entropy: &mut impl CryptoRng) -> Result<Beginning, SealError> {
        let recipients = self.recipients_of(evidence.purpose(), evidence.wall(evidence.granted()))?;
        let begun = Sealer::begin(evidence, self.node.public(), &recipients, entropy)?;
        let (call, recording) = (evidence.call(), evidence.recording());
        Ok(Beginning { call, recording, sealer: begun.sealer, keys: begun.key_file, head: begun.head })
    }

    /// Writes the keys of all, makes them durable by one sync, and only then makes the files; returns those that could not be begun.
    fn begin_on(&mut self, shelf: Shelf, drawn: Vec<Beginning>, volume: &mut impl Volume) -> Vec<(Beginning, io::Error)> {
        let (mut with_keys, mut failed) = (Vec::with_capacity(drawn.len()), Vec::new());
        for beginning in drawn {
            match volume.create_keys(shelf, beginning.recording, &beginning.keys) {
                Ok(()) => with_keys.push(beginning),
                Err(error) => failed.push((beginning, error)),
            }
        }
        if with_keys.is_empty() {
            return failed;
        }
        let are_durable = sabotage::is("keys-late") || self.make_durable(shelf, volume);
        for beginning in with_keys {
            let recording = beginning.recording;
            let created = if are_durable {
                volume.create_recording(shelf, recording, &beginning.head)
            } else {
                Err(io::Error::other("keys are not durable"))
            };
            match created {
                Ok(()) => {
                    self.open.insert(recording, beginning.open(shelf, volume.has_spare()));
                    self.outcomes.push_back(Outcome::Begun { recording });
                }
                Err(error) => failed.push((beginning, error)),
            }
        }
        failed
    }

    fn not_begun(&mut self, call: CallId, recording: RecordingId, error: io::Error, volume: &mut impl Volume) {
        let left_a_file = volume.remove(recording).is_err();
        self.outcomes.push_back(Outcome::Failed { call, recording, left_a_file, error: Some(error) });
    }

    fn write(&mut self, recording: RecordingId, chunk: PlainChunk, volume: &mut impl Volume) {
        let Some(open) = self.open.get_mut(&recording) else { return };
        let Some(stuck) = &mut open.stuck else { return self.seal_and_write(recording, chunk, volume) };
        match stuck.take(chunk, self.held < CHUNKS_HELD) {
            Taken::Held => self.held += 1,
            Taken::Dropped => {}
            Taken::FirstDropped => self.outcomes.push_back(Outcome::Dropping { call: open.call, recording }),
        }
    }

    fn seal_and_write(&mut self, recording: RecordingId, chunk: PlainChunk, volume: &mut impl Volume) {
        let Some(sealer) = self.open.get_mut(&recording).and_then(|open| open.sealer.as_mut()) else { return };
        let opened = chunk.opened();
        self.sealed.clear();
        match sealer.seal(chunk, &mut self.sealed) {
            Ok(()) => {
                self.put(recording, Some(opened), volume);
            }
            Err(error) => self.failed(recording, Some(io::Error::other(error)), volume),
        }
    }

    fn end(&mut self, recording: RecordingId, last: LastChunk, volume: &mut impl Volume) {
        let Some(open) = self.open.get_mut(&recording) else { return };
        if let Some(stuck) = &mut open.stuck {
            stuck.last = Some(last);
            return;
        }
        self.finish(recording, last, volume);
    }

    fn finish(&mut self, recording: RecordingId, last: LastChunk, volume: &mut impl Volume) {
        if self.seal_the_end(recording, last, volume) {
            self.close(recording, volume);
        }
    }

    /// Seals and writes the end, and says whether that went well.
    fn seal_the_end(&mut self, recording: RecordingId, last: LastChunk, volume: &mut impl Volume) -> bool {
        let Some(open) = self.open.get_mut(&recording) else { return false };
        let Some(sealer) = open.sealer.take() else { return false };
        self.sealed.clear();
        match sealer.finish(last, &self.node, &mut self.sealed) {
            Ok(sealed) => open.sealed = Some(sealed),
            Err(error) => {
                // What is sealed is kept all the same, where the disk takes it: salvage signs it later. It is not tried again.
                if matches!(error, SealError::NotSigned(_)) {
                    let at = open.written;
                    volume.write_at(recording, at, &self.sealed).ok();
                }
                self.failed(recording, Some(io::Error::other(error)), volume);
                return false;
            }
        }
        if sabotage::is("forget-the-end") {
            self.sealed.clear();
        }
        self.put(recording, None, volume)
    }

    /// Writes what was just sealed, a chunk or the end, and says whether that went well.
    fn put(&mut self, recording: RecordingId, opened: Option<Moment>, volume: &mut impl Volume) -> bool {
        let Some(open) = self.open.get_mut(&recording) else { return false };
        let mut written = volume.write_at(recording, open.written, &self.sealed);
        if written.is_err() && open.moves_over(recording, volume) {
            self.outcomes.push_back(Outcome::Moved { recording });
            written = volume.write_at(recording, open.written, &self.sealed);
        }
        match written {
            Ok(()) => {
                open.has_written(&self.sealed);
                self.outcomes.extend(opened.map(|opened| Outcome::Written { recording, opened }));
                true
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                let unwritten = mem::take(&mut self.sealed);
                match &mut open.stuck {
                    Some(stuck) => (stuck.unwritten, stuck.opened, stuck.error) = (unwritten, opened, error),
                    None => {
                        open.stuck = Some(Box::new(Stuck::new(unwritten, opened, error)));
                        self.outcomes.push_back(Outcome::Stuck { recording, error: told });
                    }
                }
                false
            }
        }
    }

    fn close(&mut self, recording: RecordingId, volume: &mut impl Volume) {
        volume.close(recording);
        if let Some(open) = self.open.remove(&recording) {
            self.closed.push(Closed { recording, open, is_durable: false });
            self.outcomes.push_back(Outcome::Closed { recording });
        }
    }

    fn failed(&mut self, recording: RecordingId, error: Option<io::Error>, volume: &mut impl Volume) {
        let Some(open) = self.open.remove(&recording) else { return };
        volume.close(recording);
        self.held -= open.stuck.as_ref().map_or(0, |stuck| stuck.held.len());
        self.outcomes.push_back(Outcome::Failed { call: open.call, recording, left_a_file: true, error });
    }

    /// Syncs a disk, and tells what that makes of the recordings that are open or closed there. What is beginning is told by whoever begins
    /// it.
    fn make_durable(&mut self, shelf: Shelf, volume: &mut impl Volume) -> bool {
        match volume.sync(shelf) {
            Ok(()) => {
                self.all_are_durable(shelf);
                true
            }
            Err(error) => {
                self.outcomes.push_back(Outcome::SyncFailed { shelf, error });
                self.leave(shelf, volume);
                false
            }
        }
    }

    /// Returns to whom a recording is sealed that begins now; to nobody is an error, for it is not kept in the clear either.
    fn recipients_of(&self, purpose: &str, now: Wall) -> Result<Vec<Recipient>, SealError> {
        let hearing: Vec<_> =
            self.listeners.iter().filter(|listener| listener.hears(purpose, now)).map(|listener| listener.key).collect();
        if hearing.is_empty() { Err(SealError::NobodyInForce) } else { Ok(hearing) }
    }
}

/// Says how many recordings are open.
impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} open, {} closed)", self.open.len(), self.closed.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
