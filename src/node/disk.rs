//! The writer lane: the writer's thread, its queue and its files, so that no disk ever delays a packet.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt as _, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ids::RecordingId;
use crate::limits;
use crate::node::alive::Alive;
use crate::node::clock::Clock;
use crate::node::metrics::Metrics;
use crate::node::queue::{self, Giver, Taker};
use crate::time::Moment;
use crate::vault::{Listener, NodeKey, Volume, Writer};
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

/// Where recordings lie, and who may open them.
pub(super) struct Place {
    /// The data directory.
    pub(super) directory: PathBuf,
    /// The node's signing key.
    pub(super) node: NodeKey,
    /// Who may listen to what, and when.
    pub(super) listeners: Vec<Listener>,
}

impl Place {
    /// The folder of the ciphertext.
    pub(super) fn recordings(directory: &Path) -> PathBuf {
        directory.join("recordings")
    }

    /// The folder of the wrapped keys: apart, so that destroying them erases a call even where its ciphertext stays.
    pub(super) fn keys(directory: &Path) -> PathBuf {
        directory.join("keys")
    }

    /// A recording's file.
    pub(super) fn recording(directory: &Path, recording: RecordingId) -> PathBuf {
        Self::recordings(directory).join(format!("{recording}.rec"))
    }

    /// The file of a recording's wrapped keys.
    pub(super) fn key(directory: &Path, recording: RecordingId) -> PathBuf {
        Self::keys(directory).join(format!("{recording}.key"))
    }
}

/// Makes the folders and starts the thread. The lane ends once every [`DiskLane`] is dropped and its work is done.
///
/// # Errors
/// The folders cannot be made or written.
pub(super) fn start(
    place: Place,
    clock: Clock,
    metrics: Arc<Metrics>,
    outcome: impl Fn(Outcome) + Send + 'static,
    alive: Alive,
) -> io::Result<(DiskLane, JoinHandle<()>)> {
    for folder in [Place::recordings(&place.directory), Place::keys(&place.directory)] {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let probe = folder.join(".probe");
        fs::write(&probe, b"")?;
        fs::remove_file(&probe)?;
    }
    // Opened once and never again: a failed sync is told to those who held the directory open when it happened. Keys and recordings may
    // lie on filesystems of their own.
    let mut filesystems: Vec<(u64, File)> = Vec::new();
    for folder in [Place::keys(&place.directory), Place::recordings(&place.directory)] {
        let folder = File::open(&folder)?;
        let device = folder.metadata()?.dev();
        if filesystems.iter().all(|&(known, _)| known != device) {
            filesystems.push((device, folder));
        }
    }
    let (lane, waits) = queue::bounded(limits::CHUNKS_WAITING);
    let Place { directory, node, listeners } = place;
    let disk = Disk {
        writer: Writer::new(node, listeners, clock.now()),
        files: Files {
            directory,
            filesystems: filesystems.into_iter().map(|(_, folder)| folder).collect(),
            open: HashMap::new(),
            written: VecDeque::new(),
            clock,
        },
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
                Outcome::SyncFailed { error } => {
                    self.metrics.vault_failing.set(1);
                    tracing::error!(%error, "sync_failed");
                }
                Outcome::Sealed { .. } => (self.outcome)(outcome),
                Outcome::Failed { recording, left_a_file, error, .. } => {
                    match (error, left_a_file) {
                        (Some(error), true) => tracing::error!(%recording, %error, "recording_ends_torn"),
                        (Some(error), false) => tracing::error!(%recording, %error, "recording_not_begun"),
                        // `sync_failed` was told of them all.
                        (None, _) => {}
                    }
                    self.metrics.file_errors.inc();
                    if error.as_ref().is_some_and(is_the_disks) {
                        self.metrics.vault_failing.set(1);
                    }
                    (self.outcome)(outcome);
                }
            }
        }
    }
}

/// Whether an error is the disk's, and not ours or the operator's.
fn is_the_disks(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}

/// The volume of real files: two folders, each recording's file open while it is written.
struct Files {
    directory: PathBuf,
    /// A folder of each filesystem that is written to.
    filesystems: Vec<File>,
    open: HashMap<RecordingId, File>,
    /// When each append ended that was not told of yet: a batch is told of as a whole, and may take longer than its first chunk waited.
    written: VecDeque<Moment>,
    clock: Clock,
}

impl Volume for Files {
    fn create_keys(&mut self, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
        create(&Place::key(&self.directory, recording))?.write_all(bytes)
    }

    fn create_recording(&mut self, recording: RecordingId, head: &[u8]) -> io::Result<()> {
        let mut file = create(&Place::recording(&self.directory, recording))?;
        file.write_all(head)?;
        self.open.insert(recording, file);
        Ok(())
    }

    fn write_at(&mut self, recording: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.open.get_mut(&recording).ok_or_else(|| io::Error::other("not open"))?;
        file.write_all_at(bytes, at)?;
        self.written.push_back(self.clock.now());
        Ok(())
    }

    fn close(&mut self, recording: RecordingId) {
        self.open.remove(&recording);
    }

    fn remove(&mut self, recording: RecordingId) -> io::Result<()> {
        let told = |error: &io::Error| tracing::error!(%recording, %error, "leftover_not_removed");
        // Keys of a recording that has no file open nothing.
        remove(&Place::key(&self.directory, recording)).inspect_err(told).ok();
        remove(&Place::recording(&self.directory, recording)).inspect_err(told)
    }

    fn sync(&mut self) -> io::Result<()> {
        // All of them, even after one has failed: each tells its error once.
        let failed = self.filesystems.iter().fold(None, |failed, folder| rustix::fs::syncfs(folder).err().or(failed));
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a file that only the service's user may read, and that was not there before.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
