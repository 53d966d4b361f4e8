//! The writer lane: seals chunks and writes them, on a thread of its own, so that no disk ever delays a packet.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::consent::Evidence;
use crate::ids::{CallId, RecordingId};
use crate::limits;
use crate::node::alive::Alive;
use crate::node::clock::Clock;
use crate::node::metrics::Metrics;
use crate::node::queue::{self, Giver, Taker};
use crate::vault::{LastChunk, NodeKey, PlainChunk, Recipient, Sealed, Sealer};

/// What the media threads hand over.
#[derive(Debug)]
pub(super) enum Work {
    /// A recording begins: its keys become durable before anything of it is written.
    Begin(Box<Evidence>),
    /// A chunk is full, or old enough.
    Chunk(RecordingId, PlainChunk),
    /// The recording is over.
    End(RecordingId, LastChunk),
}

/// What became of it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The recording is closed and signed.
    Sealed { recording: RecordingId, sealed: Sealed },
    /// The recording could not be begun, or goes on no longer; what was sealed stays readable.
    Failed {
        call: CallId,
        recording: RecordingId,
        /// Whether anything of it lies on the disk.
        left_a_file: bool,
    },
}

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
    /// Who may listen, by purpose.
    pub(super) recipients: Vec<(Vec<String>, Recipient)>,
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

    fn recipients_of(&self, purpose: &str) -> Vec<Recipient> {
        self.recipients
            .iter()
            .filter(|(purposes, _)| purposes.iter().any(|own| own == purpose))
            .map(|&(_, recipient)| recipient)
            .collect()
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
    let mut directories: Vec<(u64, File)> = Vec::new();
    for folder in [Place::keys(&place.directory), Place::recordings(&place.directory)] {
        let directory = File::open(&folder)?;
        let device = directory.metadata()?.dev();
        if directories.iter().all(|&(known, _)| known != device) {
            directories.push((device, directory));
        }
    }
    let (lane, waits) = queue::bounded(limits::CHUNKS_WAITING);
    let writer = Writer {
        place,
        clock,
        metrics,
        outcome: Box::new(outcome),
        directories: directories.into_iter().map(|(_, directory)| directory).collect(),
        ended: Vec::new(),
        open: HashMap::new(),
        sealed: Vec::with_capacity(limits::CHUNK_BYTES + 1024),
    };
    let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
        let _alive = alive;
        writer.run(&waits);
    })?;
    Ok((DiskLane(lane), thread))
}

struct Writer {
    place: Place,
    clock: Clock,
    metrics: Arc<Metrics>,
    outcome: Box<dyn Fn(Outcome) + Send>,
    /// One of each filesystem that is written to.
    directories: Vec<File>,
    /// Recordings that were closed and are not durable yet: they are not called sealed before they are.
    ended: Vec<(CallId, RecordingId, Sealed)>,
    open: HashMap<RecordingId, Recording>,
    sealed: Vec<u8>,
}

struct Recording {
    call: CallId,
    sealer: Sealer,
    /// Nothing until the keys are durable.
    file: Option<File>,
    /// The file's first bytes, until it is made.
    head: Vec<u8>,
}

/// Work that is done between two looks at the clock.
const BATCH: usize = 4096;

/// How often what was written is made durable (durability.md: one `syncfs` for all calls costs 18 ms, one sync a file 3.6 s).
const SYNC_EVERY: Duration = Duration::from_millis(500);

impl Writer {
    fn run(mut self, waits: &Taker<Work>) {
        let mut synced = Instant::now();
        let mut is_dirty = false;
        loop {
            // With nothing open a closed recording need not wait to be called sealed.
            let wait = if self.open.is_empty() { Duration::ZERO } else { SYNC_EVERY.saturating_sub(synced.elapsed()) };
            let timeout = if is_dirty { wait } else { Duration::from_secs(60) };
            let Some(batch) = waits.take(BATCH, timeout) else { break };
            self.metrics.disk_queue.set(i64::try_from(waits.waiting()).unwrap_or(i64::MAX));
            is_dirty |= !batch.is_empty();
            self.work(batch);
            if is_dirty && (synced.elapsed() >= SYNC_EVERY || self.open.is_empty()) {
                self.sync();
                (synced, is_dirty) = (Instant::now(), false);
            }
        }
        self.sync();
    }

    /// Does a batch: all new recordings' keys first, made durable by one sync, and only then anything else.
    fn work(&mut self, batch: Vec<Work>) {
        let (begins, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|work| matches!(work, Work::Begin(_)));
        let mut begun = Vec::new();
        for work in begins {
            let Work::Begin(evidence) = work else { continue };
            let (call, recording) = (evidence.call(), evidence.recording());
            match self.begin(&evidence) {
                Ok(()) => begun.push(recording),
                Err(error) => {
                    tracing::error!(%recording, %error, "recording_not_begun");
                    self.remove(recording);
                    self.fail(call, recording, false);
                }
            }
        }
        if !begun.is_empty() {
            let durable = self.sync();
            for recording in begun {
                let opened = if durable { self.open_file(recording) } else { Err(io::Error::other("keys are not durable")) };
                if let Err(error) = opened {
                    tracing::error!(%recording, %error, "recording_not_begun");
                    if let Some(gone) = self.open.remove(&recording) {
                        self.remove(recording);
                        self.fail(gone.call, recording, false);
                    }
                }
            }
        }
        for work in rest {
            match work {
                Work::Chunk(recording, chunk) => self.write(recording, chunk),
                Work::End(recording, last) => self.end(recording, last),
                Work::Begin(_) => unreachable!("begins were parted from the rest above"),
            }
        }
    }

    fn begin(&mut self, evidence: &Evidence) -> io::Result<()> {
        let recording = evidence.recording();
        let recipients = self.place.recipients_of(evidence.purpose());
        let mut entropy = super::entropy::source();
        let begun = Sealer::begin(evidence, self.place.node.public(), &recipients, &mut entropy).map_err(io::Error::other)?;
        let mut file = create(&self.key_path(recording))?;
        file.write_all(&begun.key_file)?;
        let entry = Recording { call: evidence.call(), sealer: begun.sealer, file: None, head: begun.head };
        self.open.insert(recording, entry);
        Ok(())
    }

    fn open_file(&mut self, recording: RecordingId) -> io::Result<()> {
        let path = self.recording_path(recording);
        let Some(entry) = self.open.get_mut(&recording) else { return Ok(()) };
        let mut file = create(&path)?;
        file.write_all(&entry.head)?;
        entry.head = Vec::new();
        entry.file = Some(file);
        self.metrics.recordings_begun.inc();
        Ok(())
    }

    fn write(&mut self, recording: RecordingId, chunk: PlainChunk) {
        let Some(entry) = self.open.get_mut(&recording) else { return };
        let oldest = chunk.opened();
        self.sealed.clear();
        let written = entry
            .sealer
            .seal(chunk, &mut self.sealed)
            .map_err(io::Error::other)
            .and_then(|()| entry.file.as_mut().ok_or_else(|| io::Error::other("not open")))
            .and_then(|file| file.write_all(&self.sealed));
        match written {
            Ok(()) => {
                self.metrics.chunks_sealed.inc();
                self.metrics.seal_latency.observe(self.clock.now().since(oldest).as_secs_f64());
            }
            Err(error) => {
                // A chunk that was torn is never sealed again: the file ends here, and what stands before it opens.
                tracing::error!(%recording, %error, "recording_ends_torn");
                let call = entry.call;
                self.open.remove(&recording);
                self.fail(call, recording, true);
            }
        }
    }

    fn end(&mut self, recording: RecordingId, last: LastChunk) {
        let Some(mut entry) = self.open.remove(&recording) else { return };
        self.sealed.clear();
        let written =
            entry.sealer.finish(last, &self.place.node, &mut self.sealed).map_err(io::Error::other).and_then(|sealed| {
                let file = entry.file.as_mut().ok_or_else(|| io::Error::other("not open"))?;
                file.write_all(&self.sealed)?;
                Ok(sealed)
            });
        match written {
            Ok(sealed) => {
                self.metrics.recordings_sealed.inc();
                self.ended.push((entry.call, recording, sealed));
            }
            Err(error) => {
                tracing::error!(%recording, %error, "recording_ends_torn");
                self.fail(entry.call, recording, true);
            }
        }
    }

    fn fail(&self, call: CallId, recording: RecordingId, left_a_file: bool) {
        self.metrics.file_errors.inc();
        (self.outcome)(Outcome::Failed { call, recording, left_a_file });
    }

    /// Makes all that was written durable, and says whether it is.
    ///
    /// A sync that fails is told once: what was written since the last good one may be lost although every write succeeded and a second
    /// sync would succeed as well (durability.md). So every recording that was open or closed since then ends here, torn.
    fn sync(&mut self) -> bool {
        // All of them, even after one has failed: each tells its error once.
        let failed = self.directories.iter().fold(None, |failed, directory| rustix::fs::syncfs(directory).err().or(failed));
        let Some(error) = failed else {
            for (_, recording, sealed) in std::mem::take(&mut self.ended) {
                (self.outcome)(Outcome::Sealed { recording, sealed });
            }
            return true;
        };
        tracing::error!(%error, "sync_failed");
        let mut lost: Vec<_> =
            std::mem::take(&mut self.ended).into_iter().map(|(call, recording, _)| (call, recording)).collect();
        // What was not begun yet is told by whoever begins it.
        lost.extend(
            self.open.iter().filter(|(_, entry)| entry.file.is_some()).map(|(&recording, entry)| (entry.call, recording)),
        );
        lost.sort_unstable();
        for (call, recording) in lost {
            self.open.remove(&recording);
            self.fail(call, recording, true);
        }
        false
    }

    /// Removes what little there is of a recording that could not be begun.
    fn remove(&self, recording: RecordingId) {
        for path in [self.key_path(recording), self.recording_path(recording)] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::error!(%recording, %error, "leftover_not_removed");
            }
        }
    }

    fn recording_path(&self, recording: RecordingId) -> PathBuf {
        Place::recordings(&self.place.directory).join(format!("{recording}.rec"))
    }

    fn key_path(&self, recording: RecordingId) -> PathBuf {
        Place::keys(&self.place.directory).join(format!("{recording}.key"))
    }
}

/// Makes a file that only the service's user may read, and that was not there before.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
