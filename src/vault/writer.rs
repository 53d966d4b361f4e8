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
//! was written since the last good one may be lost although every write went well, and no second sync tells.

mod stuck;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::time::Duration;

use self::stuck::{Stuck, Taken};
use crate::consent::Evidence;
use crate::ids::{CallId, RecordingId};
use crate::limits::{CHUNK_BYTES, CHUNKS_HELD};
use crate::sabotage;
use crate::time::{Moment, Wall};
use crate::vault::{CryptoRng, LastChunk, Listener, NodeKey, PlainChunk, Recipient, SealError, Sealed, Sealer};

/// What the writer needs of a disk.
pub trait Volume {
    /// Makes the key file of a recording, with all its bytes.
    ///
    /// # Errors
    /// It was there before, or the disk.
    fn create_keys(&mut self, recording: RecordingId, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file of a recording with its first bytes. It stays open for [`Volume::write_at`] until [`Volume::close`].
    ///
    /// # Errors
    /// It was there before, or the disk. It is not open then.
    fn create_recording(&mut self, recording: RecordingId, head: &[u8]) -> io::Result<()>;

    /// Writes bytes to a recording's file, from this offset on: the end of what was written, or of what was written well before a write
    /// that failed.
    ///
    /// # Errors
    /// The disk. Some of the bytes may lie there.
    fn write_at(&mut self, recording: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Closes a recording's file: nothing more is written to it.
    fn close(&mut self, recording: RecordingId);

    /// Removes what little there is of a recording that could not be begun, as far as it can.
    ///
    /// # Errors
    /// The disk: the recording's file may be there still.
    fn remove(&mut self, recording: RecordingId) -> io::Result<()>;

    /// Makes durable all that was written, closed files included.
    ///
    /// # Errors
    /// What was written since the last good sync may be lost, although every write succeeded and the next sync may succeed as well.
    fn sync(&mut self) -> io::Result<()>;
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
    closed: Vec<(CallId, RecordingId, Sealed)>,
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
}

/// A recording whose keys are written and not durable yet.
struct Beginning {
    recording: RecordingId,
    open: Open,
    head: Vec<u8>,
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
        let mut begun = Vec::new();
        let mut rest = Vec::with_capacity(batch.len());
        for work in batch {
            match work {
                Work::Begin(evidence) => begun.extend(self.write_keys(&evidence, volume, entropy)),
                Work::Chunk(..) | Work::End(..) => rest.push(work),
            }
        }
        if !begun.is_empty() {
            let are_durable = sabotage::is("keys-late") || self.make_durable(volume);
            for beginning in begun {
                self.begin(beginning, are_durable, volume);
            }
        }
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
    /// sync would succeed as well (durability.md). So every recording that was open or closed since then ends here, torn.
    pub fn sync(&mut self, volume: &mut impl Volume, now: Moment) -> bool {
        self.unstick(volume, now);
        let is_durable = self.make_durable(volume);
        // What is stuck is tried again with the next sync.
        self.worked = self.open.values().any(|open| open.stuck.is_some()).then_some(now);
        self.synced = now;
        is_durable
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
        Some(if self.open.is_empty() { worked } else { self.synced + SYNC_EVERY })
    }

    /// Returns the next outcome, in the order in which they came about.
    pub fn poll(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Draws a recording's keys and writes them. They are not durable yet.
    fn write_keys(&mut self, evidence: &Evidence, volume: &mut impl Volume, entropy: &mut impl CryptoRng) -> Option<Beginning> {
        let (call, recording) = (evidence.call(), evidence.recording());
        let recipients = self.recipients_of(evidence.purpose(), evidence.wall(evidence.granted()));
        let written = recipients
            .and_then(|recipients| Sealer::begin(evidence, self.node.public(), &recipients, entropy))
            .map_err(io::Error::other)
            .and_then(|begun| volume.create_keys(recording, &begun.key_file).map(|()| begun));
        match written {
            Ok(begun) => Some(Beginning {
                recording,
                open: Open { call, sealer: Some(begun.sealer), written: begun.head.len() as u64, sealed: None, stuck: None },
                head: begun.head,
            }),
            Err(error) => {
                self.not_begun(call, recording, error, volume);
                None
            }
        }
    }

    fn begin(&mut self, beginning: Beginning, are_durable: bool, volume: &mut impl Volume) {
        let Beginning { recording, open, head } = beginning;
        let created =
            if are_durable { volume.create_recording(recording, &head) } else { Err(io::Error::other("keys are not durable")) };
        match created {
            Ok(()) => {
                self.open.insert(recording, open);
                self.outcomes.push_back(Outcome::Begun { recording });
            }
            Err(error) => self.not_begun(open.call, recording, error, volume),
        }
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
        match volume.write_at(recording, open.written, &self.sealed) {
            Ok(()) => {
                open.written += self.sealed.len() as u64;
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
        if let Some(Open { call, sealed: Some(sealed), .. }) = self.open.remove(&recording) {
            self.closed.push((call, recording, sealed));
            self.outcomes.push_back(Outcome::Closed { recording });
        }
    }

    fn failed(&mut self, recording: RecordingId, error: Option<io::Error>, volume: &mut impl Volume) {
        let Some(open) = self.open.remove(&recording) else { return };
        volume.close(recording);
        self.held -= open.stuck.as_ref().map_or(0, |stuck| stuck.held.len());
        self.outcomes.push_back(Outcome::Failed { call: open.call, recording, left_a_file: true, error });
    }

    /// Syncs, and tells what that makes of the recordings that are open or closed. What is beginning is told by whoever begins it.
    fn make_durable(&mut self, volume: &mut impl Volume) -> bool {
        let closed = mem::take(&mut self.closed);
        let Err(error) = volume.sync() else {
            let sealed = closed.into_iter().map(|(_, recording, sealed)| Outcome::Sealed { recording, sealed });
            self.outcomes.extend(sealed);
            return true;
        };
        self.outcomes.push_back(Outcome::SyncFailed { error });
        let mut lost: Vec<_> = closed.into_iter().map(|(call, recording, _)| (call, recording)).collect();
        for (recording, open) in mem::take(&mut self.open) {
            volume.close(recording);
            lost.push((open.call, recording));
        }
        self.held = 0;
        lost.sort_unstable();
        let failed =
            lost.into_iter().map(|(call, recording)| Outcome::Failed { call, recording, left_a_file: true, error: None });
        self.outcomes.extend(failed);
        false
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
mod tests {
    use super::*;
    use crate::consent::Permit;
    use crate::ids::Leg;
    use crate::limits::CHUNKS_HELD_PER_RECORDING;
    use crate::time::Period;
    use crate::vault::fixture::{Chance, at, packet, permit};
    use crate::vault::{Buffers, EndReason, GapReason, KeyFile, NodePublic, RecipientSecret, Recorder, Verdict, verify};

    #[test]
    fn keys_are_durable_before_anything_of_the_recording_is_written() {
        let mut scene = Scene::with([1]);

        scene.work([chunk(1), begin(2), end(1), begin(3), chunk(2)]);

        assert_eq!(scene.done(), ["keys 2", "keys 3", "sync", "head 2", "head 3", "append 1", "append 1", "close 1", "append 2"]);
        assert_eq!(scene.told(), ["begun 2", "begun 3", "written 1", "closed 1", "written 2"]);
    }

    #[test]
    fn a_recording_is_sealed_once_it_is_durable_and_not_before() {
        let mut scene = Scene::with([1, 2]);
        scene.work([chunk(1), end(1)]);
        assert_eq!(scene.told(), ["written 1", "closed 1"]);

        assert!(scene.sync());

        assert_eq!(scene.told(), ["sealed 1"]);
        assert_eq!(scene.verdict(1), "complete");
        assert!(scene.sync() && scene.told().is_empty(), "once");
    }

    #[test]
    fn the_keys_sync_of_another_recording_makes_a_closed_one_durable() {
        let mut scene = Scene::with([1]);
        scene.work([end(1)]);

        scene.work([begin(2)]);

        assert_eq!(scene.told(), ["closed 1", "sealed 1", "begun 2"]);
    }

    #[test]
    fn a_failed_sync_ends_all_that_is_open_or_closed_since() {
        let mut scene = Scene::with([1, 2, 3]);
        scene.work([chunk(1), chunk(2), end(2)]);
        assert_eq!(scene.told(), ["written 1", "written 2", "closed 2"]);
        assert_eq!(scene.done(), ["append 1", "append 2", "append 2", "close 2"]);
        scene.volume.fails.push("sync");

        assert!(!scene.sync());

        assert_eq!(scene.told(), ["sync failed", "torn 1", "torn 2", "torn 3"]);
        scene.work([chunk(1), end(1), chunk(3), end(3)]);
        assert!(scene.sync());
        assert_eq!(scene.done(), ["sync", "close 1", "close 3", "sync"], "nothing is written to them any more");
        assert_eq!(scene.told(), [""; 0]);
    }

    #[test]
    fn keys_that_are_not_durable_begin_nothing() {
        let mut scene = Scene::with([1]);
        scene.volume.fails.push("sync");

        scene.work([begin(2), chunk(2), end(2)]);

        assert_eq!(scene.done(), ["keys 2", "sync", "close 1", "remove 2"]);
        assert_eq!(scene.told(), ["sync failed", "torn 1", "lost 2: keys are not durable"]);
        assert!(!scene.volume.files.contains_key("keys 2"));
    }

    #[test]
    fn a_recording_that_cannot_be_begun_is_removed_and_the_others_go_on() {
        for fails in ["keys 1", "head 1"] {
            let mut scene = Scene::with([]);
            scene.volume.fails.push(fails);

            scene.work([begin(1), begin(2), chunk(1), chunk(2), end(1), end(2)]);
            scene.sync();

            let told = scene.told();
            assert!(told.contains(&"lost 1: it fails".to_owned()), "{fails}: {told:?}");
            assert!(["begun 2", "written 2", "closed 2", "sealed 2"].iter().all(|word| told.iter().any(|told| told == word)));
            let done = scene.done();
            assert_eq!(done.iter().rfind(|call| call.ends_with('1')).unwrap(), "remove 1");
            assert!(scene.volume.files.keys().all(|file| file.ends_with('2')), "{:?}", scene.volume.files.keys());
        }
    }

    #[test]
    fn what_could_not_be_removed_is_told_as_left() {
        let mut scene = Scene::with([]);
        scene.volume.fails.extend(["head 1", "remove 1"]);

        scene.work([begin(1)]);

        assert_eq!(scene.told(), ["torn 1: it fails"]);
        assert!(scene.volume.files.contains_key("head 1"), "half of its head");
    }

    #[test]
    fn a_recording_nobody_may_listen_to_is_not_begun() {
        let mut scene = Scene::with([]);
        scene.writer.listeners[0].purposes = vec!["another purpose".into()];

        scene.work([begin(1)]);

        assert_eq!(scene.done(), ["remove 1"]);
        assert_eq!(scene.told(), ["lost 1: nobody may listen to it at this time: no recipient for its purpose is in force"]);
    }

    #[test]
    fn a_recording_is_sealed_to_those_whose_time_it_is() {
        let evidence = permit(1);
        let began = evidence.evidence().wall(evidence.evidence().granted());
        let later = began + Duration::from_secs(1);
        let periods = [
            (Period::ALWAYS, true),
            (Period { from: Some(began), until: Some(later) }, true),
            (Period { from: Some(later), until: None }, false),
            (Period { from: None, until: Some(began) }, false),
        ];
        let mut scene = Scene::with([]);
        let own = scene.writer.listeners[0].clone();
        let keys = [10, 11, 12, 13].map(|seed| *RecipientSecret::generate(&mut Chance::from(seed)).public());
        scene.writer.listeners =
            keys.iter().zip(periods).map(|(&key, (period, _))| Listener { key, period, ..own.clone() }).collect();

        scene.work([begin(1)]);

        let file = KeyFile::parse(&scene.volume.files["keys 1"]).unwrap();
        let wanted: Vec<_> =
            keys.iter().zip(periods).filter(|(_, (_, is_in))| *is_in).map(|(key, _)| key.fingerprint()).collect();
        assert_eq!(file.recipients().collect::<Vec<_>>(), wanted);
        // Nobody's time any more: nothing is written at all.
        scene.done();
        scene.writer.listeners.retain(|listener| listener.period.until == Some(began));
        scene.work([begin(2)]);
        assert_eq!(scene.done(), ["remove 2"]);
    }

    #[test]
    fn a_failed_write_is_tried_again_with_the_same_bytes_at_the_same_place() {
        let mut scene = Scene::with([1, 2]);
        scene.work([chunk(1)]);
        scene.volume.fails.extend(["append 1", "append 1"]);

        scene.work([chunk(1), chunk(1), chunk(2), end(1)]);
        assert_eq!(scene.told(), ["written 1", "stuck 1: it fails", "written 2"]);
        scene.sync();
        assert_eq!(scene.told(), [""; 0]);
        assert_eq!(scene.verdict(1), "cut", "what stands before it is whole");
        assert!(scene.writer.deadline().is_some(), "it is tried again although nothing comes");
        scene.sync();

        assert_eq!(scene.told(), ["written 1", "written 1", "flowing 1", "closed 1", "sealed 1"]);
        assert_eq!(scene.verdict(1), "complete");
        assert_eq!(scene.gaps(1), []);
        assert_eq!(scene.writer.held, 0);
    }

    #[test]
    fn what_comes_while_it_fails_for_long_is_dropped_and_becomes_a_gap() {
        let mut scene = Scene::with([1]);
        scene.volume.is_full = true;
        scene.work([chunk(1)]);
        assert_eq!(scene.told(), ["stuck 1: it is full"]);
        for _ in 0..CHUNKS_HELD_PER_RECORDING {
            scene.work([chunk(1)]);
        }
        assert_eq!(scene.told(), [""; 0], "half a minute is held");
        scene.work([chunk(1), chunk(1), chunk(1)]);
        assert_eq!(scene.told(), ["dropping 1"], "once");
        scene.sync();

        scene.volume.is_full = false;
        scene.sync();

        let told = scene.told();
        assert_eq!(told.iter().filter(|told| *told == "written 1").count(), 1 + CHUNKS_HELD_PER_RECORDING + 1, "{told:?}");
        assert_eq!(told.last().unwrap(), "flowing 1");
        scene.work([chunk(1), end(1)]);
        scene.sync();
        assert_eq!(scene.told(), ["written 1", "closed 1", "sealed 1"]);
        assert_eq!(scene.verdict(1), "complete");
        assert_eq!(scene.gaps(1), [(Some(Leg::Pbx), GapReason::DiskFull, 3)], "its packets are counted, and why");
        assert_eq!(scene.formats(1), CHUNKS_HELD_PER_RECORDING + 4, "what a dropped chunk said of formats is said again");
        assert_eq!(scene.writer.held, 0);
    }

    #[test]
    fn so_many_chunks_are_held_and_no_more() {
        let all: Vec<u8> = (1..=200).collect();
        let mut scene = Scene::with([]);
        for &number in &all {
            scene.work([begin(number)]);
        }
        scene.told();
        scene.volume.is_full = true;
        for _ in 0..=CHUNKS_HELD_PER_RECORDING {
            for &number in &all {
                scene.work([chunk(number)]);
            }
        }

        assert_eq!(scene.writer.held, CHUNKS_HELD);
        let dropping = scene.told().into_iter().filter(|told| told.starts_with("dropping")).count();
        assert_eq!(dropping, all.len(), "200 of 64 are more than there may be: each has one that is dropped");
    }

    #[test]
    fn an_end_that_cannot_be_written_for_a_minute_leaves_the_recording_torn() {
        let mut scene = Scene::with([1, 2]);
        scene.volume.is_full = true;
        scene.work([chunk(1), end(1), end(2)]);
        assert_eq!(scene.told(), ["stuck 1: it is full", "stuck 2: it is full"]);

        scene.sync();
        scene.now = at(59_000);
        scene.sync();
        assert_eq!(scene.told(), [""; 0]);
        scene.now = at(60_000);
        scene.sync();

        assert_eq!(scene.told(), ["torn 1: it is full", "torn 2: it is full"]);
        assert_eq!((scene.verdict(1), scene.verdict(2)), ("cut", "cut"));
        assert_eq!(scene.writer.held, 0);
        assert_eq!(scene.writer.deadline(), None);
    }

    #[test]
    fn a_sync_that_fails_ends_what_is_stuck_as_well() {
        let mut scene = Scene::with([1]);
        scene.volume.is_full = true;
        scene.work([chunk(1), chunk(1)]);
        scene.volume.fails.push("sync");

        assert!(!scene.sync());

        assert_eq!(scene.told(), ["stuck 1: it is full", "sync failed", "torn 1"]);
        assert_eq!(scene.writer.held, 0);
    }

    #[test]
    fn a_chunk_under_anothers_name_ends_the_recording_it_was_given_for() {
        let mut scene = Scene::with([1, 2]);
        let Work::Chunk(_, of_one) = chunk(1) else { unreachable!() };

        scene.work([Work::Chunk(RecordingId::from_bytes([2; 16]), of_one)]);

        assert_eq!(scene.told(), [format!("torn 2: the chunk belongs to recording {}", "01".repeat(16))]);
        assert_eq!(scene.done(), ["close 2"]);
    }

    #[test]
    fn a_sync_is_due_half_a_second_after_the_last_and_at_once_with_nothing_open() {
        let mut scene = Scene::with([]);
        assert_eq!(scene.writer.deadline(), Some(at(0)), "a killed run may have left something");

        scene.sync();
        assert_eq!(scene.writer.deadline(), None);
        scene.now = at(100);
        scene.work([begin(1)]);
        assert_eq!(scene.writer.deadline(), Some(at(500)), "half a second after it was made");
        scene.now = at(600);
        scene.sync();
        assert_eq!(scene.writer.deadline(), None, "nothing was written since");
        scene.writer.synced(at(700));
        scene.now = at(800);
        scene.work([chunk(1)]);
        assert_eq!(scene.writer.deadline(), Some(at(1200)), "the sync took until 700");
        scene.work([end(1)]);
        assert_eq!(scene.writer.deadline(), Some(at(800)));
        scene.work([]);
        scene.sync();
        assert_eq!(scene.writer.deadline(), None);
    }

    #[test]
    fn at_shutdown_what_was_closed_is_sealed_and_what_is_open_stays_torn() {
        let mut scene = Scene::with([1, 2]);
        scene.work([chunk(1), chunk(2), end(1)]);

        scene.sync();
        let Scene { writer, volume, node, .. } = scene;
        drop(writer);

        let word = |number| verify(volume.files[&format!("head {number}")].as_slice(), &node).unwrap().as_str();
        assert_eq!((word(1), word(2)), ("complete", "cut"));
    }

    #[test]
    fn one_seed_gives_the_same_bytes() {
        let files = || {
            let mut scene = Scene::with([1, 2]);
            scene.work([chunk(1), end(2), chunk(1), end(1)]);
            scene.volume.files
        };

        assert_eq!(files(), files());
    }

    /// A writer with its volume; recordings are named by one digit.
    struct Scene {
        writer: Writer,
        volume: Memory,
        entropy: Chance,
        now: Moment,
        node: NodePublic,
    }

    impl Scene {
        /// With these recordings open.
        fn with<const N: usize>(open: [u8; N]) -> Self {
            let node = NodeKey::generate(&mut Chance::from(1));
            let recipient = RecipientSecret::generate(&mut Chance::from(2));
            let public = *node.public();
            let writer = Writer::new(
                node,
                vec![Listener { purposes: vec!["quality".into()], key: *recipient.public(), period: Period::ALWAYS }],
                at(0),
            );
            let mut scene = Self { writer, volume: Memory::default(), entropy: Chance::from(3), now: at(0), node: public };
            scene.work(open.map(begin));
            assert_eq!(scene.told(), open.map(|number| format!("begun {number}")));
            scene.done();
            scene
        }

        fn work<const N: usize>(&mut self, batch: [Work; N]) {
            self.writer.work(batch.into(), &mut self.volume, &mut self.entropy, self.now);
        }

        fn sync(&mut self) -> bool {
            self.writer.sync(&mut self.volume, self.now)
        }

        /// What was asked of the volume since it was last looked at.
        fn done(&mut self) -> Vec<String> {
            mem::take(&mut self.volume.done)
        }

        fn told(&mut self) -> Vec<String> {
            std::iter::from_fn(|| self.writer.poll()).map(word).collect()
        }

        fn records(&self, number: u8) -> Vec<crate::vault::Record> {
            let (rec, keys) = (&self.volume.files[&format!("head {number}")], &self.volume.files[&format!("keys {number}")]);
            let secret = RecipientSecret::generate(&mut Chance::from(2));
            crate::vault::Recording::open(rec.as_slice(), keys, &secret).unwrap().records().map(Result::unwrap).collect()
        }

        fn gaps(&self, number: u8) -> Vec<(Option<Leg>, GapReason, u64)> {
            let records = self.records(number);
            let gaps = records.iter().filter_map(|record| {
                let crate::vault::Record::Gap(gap) = record else { return None };
                Some((gap.leg, gap.reason, gap.packets))
            });
            gaps.collect()
        }

        fn formats(&self, number: u8) -> usize {
            self.records(number).iter().filter(|record| matches!(record, crate::vault::Record::Format(_))).count()
        }

        fn verdict(&self, number: u8) -> &'static str {
            let verdict: Verdict = verify(self.volume.files[&format!("head {number}")].as_slice(), &self.node).unwrap();
            verdict.as_str()
        }
    }

    fn word(outcome: Outcome) -> String {
        let because = |error: Option<io::Error>| error.map(|error| format!(": {error}")).unwrap_or_default();
        match outcome {
            Outcome::Begun { recording } => format!("begun {}", digit(recording)),
            Outcome::Written { recording, opened } => {
                assert_eq!(opened, at(0));
                format!("written {}", digit(recording))
            }
            Outcome::Stuck { recording, error } => format!("stuck {}: {error}", digit(recording)),
            Outcome::Dropping { recording, .. } => format!("dropping {}", digit(recording)),
            Outcome::Flowing { recording } => format!("flowing {}", digit(recording)),
            Outcome::Closed { recording } => format!("closed {}", digit(recording)),
            Outcome::Sealed { recording, .. } => format!("sealed {}", digit(recording)),
            Outcome::Failed { recording, left_a_file: true, error, .. } => {
                format!("torn {}{}", digit(recording), because(error))
            }
            Outcome::Failed { recording, left_a_file: false, error, .. } => {
                format!("lost {}{}", digit(recording), because(error))
            }
            Outcome::SyncFailed { .. } => "sync failed".into(),
        }
    }

    fn digit(recording: RecordingId) -> u8 {
        recording.as_bytes()[0]
    }

    fn begin(number: u8) -> Work {
        Work::Begin(Box::new(permit(number).evidence().clone()))
    }

    fn chunk(number: u8) -> Work {
        let permit = permit(number);
        let chunk = recorder(&permit).age(at(500)).unwrap();
        Work::Chunk(chunk.recording(), chunk)
    }

    fn end(number: u8) -> Work {
        let permit = permit(number);
        let recorder = recorder(&permit);
        Work::End(recorder.recording(), recorder.end(EndReason::HungUp(Leg::Pbx), [0, 0], at(20)))
    }

    fn recorder(permit: &Permit) -> Recorder {
        let mut recorder = Recorder::begin(permit, &Buffers::new());
        assert!(recorder.format(Leg::Pbx, 8, "PCMA", 8000, 1, at(0)).is_none());
        assert!(recorder.append(permit.cover(Leg::Pbx, at(0), &packet(Leg::Pbx, 1)).unwrap()).is_none());
        recorder
    }

    /// A volume in memory that says what was asked of it.
    #[derive(Default)]
    struct Memory {
        files: BTreeMap<String, Vec<u8>>,
        done: Vec<String>,
        /// Calls that fail, once each; a write that fails leaves half its bytes.
        fails: Vec<&'static str>,
        /// Nothing can be written.
        is_full: bool,
    }

    impl Memory {
        fn call(&mut self, call: String) -> io::Result<()> {
            let fails = self.fails.iter().position(|fails| *fails == call);
            self.done.push(call);
            fails.map_or(Ok(()), |at| {
                self.fails.remove(at);
                Err(io::Error::other("it fails"))
            })
        }

        fn create(&mut self, file: String, bytes: &[u8]) -> io::Result<()> {
            let called = self.call(file.clone());
            let bytes = if called.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
            assert!(self.files.insert(file, bytes.to_vec()).is_none(), "it was there before");
            called
        }
    }

    impl Volume for Memory {
        fn create_keys(&mut self, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
            self.create(format!("keys {}", digit(recording)), bytes)
        }

        fn create_recording(&mut self, recording: RecordingId, head: &[u8]) -> io::Result<()> {
            self.create(format!("head {}", digit(recording)), head)
        }

        fn write_at(&mut self, recording: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()> {
            let mut called = self.call(format!("append {}", digit(recording)));
            if self.is_full {
                called = Err(io::Error::new(io::ErrorKind::StorageFull, "it is full"));
            }
            let bytes = if called.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
            let file = self.files.get_mut(&format!("head {}", digit(recording))).unwrap();
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            assert!(file.len() >= at, "no hole");
            let again = file.get(at..).unwrap();
            assert!(bytes.starts_with(again), "what lies there is written over by the same bytes alone");
            file.truncate(at);
            file.extend_from_slice(bytes);
            called
        }

        fn close(&mut self, recording: RecordingId) {
            self.call(format!("close {}", digit(recording))).unwrap();
        }

        fn remove(&mut self, recording: RecordingId) -> io::Result<()> {
            self.call(format!("remove {}", digit(recording)))?;
            for file in ["keys", "head"] {
                self.files.remove(&format!("{file} {}", digit(recording)));
            }
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.call("sync".into())
        }
    }
}
