//! The writer lane: the writer's thread, its queue and its files, so that no disk ever delays a packet.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::limits;
use crate::node::alive::Alive;
use crate::node::clock::Clock;
use crate::node::files::Files;
use crate::node::folders::Folders;
use crate::node::metrics::Metrics;
use crate::node::queue::{self, Giver, Taker};
use crate::node::room::Choice;
use crate::vault::{Listener, NodeKey, SealError, Shelf, Writer};
pub(super) use crate::vault::{Outcome, Work};

/// The media threads' end: takes work until it is full, and never waits.
#[derive(Clone, Debug)]
pub(super) struct DiskLane(Giver<Work>);

impl DiskLane {
    /// Hands work over.
    ///
    /// # Errors
    /// The lane has as many chunks as it may hold, or its thread is gone: the work comes back, and a chunk of it becomes a gap.
    #[expect(clippy::result_large_err, reason = "what finds no place comes back whole, once, to become a gap")]
    pub(super) fn give(&self, work: Work) -> Result<(), Work> {
        match work {
            Work::Begin(_) | Work::Chunk(..) => self.0.give(work),
            // An end always finds a place: there is one for each recording that was begun, and without it the file stays torn.
            Work::End(..) => self.0.give_beyond(work),
        }
    }
}

/// Where recordings go, and who may open them.
pub(super) struct Place {
    /// The folders of all disks, which are there.
    pub(super) folders: Folders,
    /// Whether keys lie in envelopes (`data.local_share`).
    pub(super) has_shares: bool,
    /// What is known of the disks.
    pub(super) room: Arc<Choice>,
    /// The node's signing key.
    pub(super) node: NodeKey,
    /// Who may listen to what, and when.
    pub(super) listeners: Vec<Listener>,
}

/// Starts the thread. The lane ends once every [`DiskLane`] is dropped and its work is done.
///
/// # Errors
/// The folders cannot be opened, or there is no thread to be had.
pub(super) fn start(
    place: Place,
    clock: Clock,
    metrics: Arc<Metrics>,
    outcome: impl Fn(Outcome) + Send + 'static,
    alive: Alive,
) -> io::Result<(DiskLane, JoinHandle<()>)> {
    let (lane, waits) = queue::bounded(limits::CHUNKS_WAITING);
    let Place { folders, has_shares, room, node, listeners } = place;
    let disk = Disk {
        writer: Writer::new(node, listeners, clock.now()),
        files: Files::open(folders, has_shares, room, clock, Arc::clone(&metrics))?,
        clock,
        metrics,
        outcome: Box::new(outcome),
    };
    let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
        let _alive = alive;
        disk.run(&waits);
    })?;
    Ok((DiskLane(lane), thread))
}

/// The thread: a writer, its files, and those who are told.
struct Disk {
    writer: Writer,
    files: Files,
    clock: Clock,
    metrics: Arc<Metrics>,
    outcome: Box<dyn Fn(Outcome) + Send>,
}

/// Work that is done between two looks at the clock.
const BATCH: usize = 4096;

/// The longest wait with nothing to do; any will do, for work ends it.
const IDLE: Duration = Duration::from_secs(60);

impl Disk {
    fn run(mut self, waits: &Taker<Work>) {
        let mut entropy = super::entropy::source();
        loop {
            let timeout = self.writer.deadline().map_or(IDLE, |at| at.since(self.clock.now()));
            let Some(batch) = waits.take(BATCH, timeout) else { break };
            self.metrics.disk_queue.set(i64::try_from(waits.waiting()).unwrap_or(i64::MAX));
            self.writer.work(batch, &mut self.files, &mut entropy, self.clock.now());
            self.tell();
            if self.writer.deadline().is_some_and(|at| at <= self.clock.now()) {
                self.sync();
            }
        }
        self.sync();
    }

    fn sync(&mut self) {
        self.writer.sync(&mut self.files, self.clock.now());
        self.writer.synced(self.clock.now());
        self.tell();
    }

    /// Counts, logs and passes on what became of the work.
    fn tell(&mut self) {
        while let Some(outcome) = self.writer.poll() {
            match &outcome {
                Outcome::Begun { .. } => {
                    self.metrics.recordings_begun.inc();
                    (self.outcome)(outcome);
                }
                Outcome::Written { opened, .. } => {
                    self.metrics.chunks_sealed.inc();
                    let written = self.files.written.pop_front().unwrap_or_else(|| self.clock.now());
                    self.metrics.seal_latency.observe(written.since(*opened).as_secs_f64());
                }
                Outcome::Closed { .. } => {
                    self.files.written.pop_front();
                    self.metrics.recordings_sealed.inc();
                }
                Outcome::Stuck { recording, error } => {
                    self.metrics.file_errors.inc();
                    self.metrics.vault_failing.set(1);
                    tracing::error!(%recording, %error, "recording_is_stuck");
                }
                Outcome::Dropping { recording, .. } => {
                    self.metrics.recordings_dropping.inc();
                    tracing::error!(%recording, "recording_has_a_gap");
                    (self.outcome)(outcome);
                }
                Outcome::Flowing { recording } => tracing::warn!(%recording, "recording_goes_on"),
                Outcome::Moved { recording } => {
                    self.metrics.recordings_moved.inc();
                    self.metrics.vault_failing.set(1);
                    tracing::error!(%recording, "recording_goes_on_on_the_spare_disk");
                }
                Outcome::Parted { recording, error } => {
                    self.metrics.file_errors.inc();
                    tracing::error!(%recording, %error, "recording_lies_in_two_pieces");
                }
                Outcome::SyncFailed { shelf, error } => {
                    match shelf {
                        Shelf::Main => self.metrics.vault_failing.set(1),
                        Shelf::Spare => self.metrics.spare_failing.set(1),
                    }
                    tracing::error!(?shelf, %error, "sync_failed");
                }
                Outcome::Sealed { recording, .. } => {
                    self.files.is_over(*recording, true);
                    (self.outcome)(outcome);
                }
                Outcome::Failed { recording, left_a_file, error, .. } => {
                    self.files.is_over(*recording, false);
                    match (error, left_a_file) {
                        (Some(error), true) => tracing::error!(%recording, %error, "recording_ends_torn"),
                        (Some(error), false) => tracing::error!(%recording, %error, "recording_not_begun"),
                        // `sync_failed` was told of them all.
                        (None, _) => {}
                    }
                    if is_unsigned(&outcome) {
                        self.metrics.recordings_unsigned.inc();
                    } else {
                        self.metrics.file_errors.inc();
                    }
                    if error.as_ref().is_some_and(is_the_disks) {
                        self.metrics.vault_failing.set(1);
                    }
                    (self.outcome)(outcome);
                }
            }
        }
    }
}

/// Whether all of a recording is written, and only the node's signature is missing.
pub(super) fn is_unsigned(outcome: &Outcome) -> bool {
    let Outcome::Failed { error: Some(error), .. } = outcome else { return false };
    matches!(error.get_ref().and_then(|error| error.downcast_ref()), Some(SealError::NotSigned(_)))
}

/// Whether an error is the disk's, and not ours or the operator's.
fn is_the_disks(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}
