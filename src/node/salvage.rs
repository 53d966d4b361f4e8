//! Recordings that an earlier run left torn are closed and signed, in the background: nothing waits for it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::catalogue::{Reason, Seal, Write};
use crate::ids::RecordingId;
use crate::node::clock;
use crate::node::files::remove;
use crate::node::folders::{Folder, Folders};
use crate::node::join;
use crate::node::ledger::Ledger;
use crate::node::metrics::Metrics;
use crate::vault::{Digest, NodeKey, NotSigned, Salvage, Verdict, salvage};

/// The thread, and what tells it to end before it is through.
pub(super) struct Salvaging {
    thread: JoinHandle<()>,
    told: Sender<Told>,
    is_through: Arc<AtomicBool>,
}

/// What the thread is told.
enum Told {
    /// This one is whole and was not signed.
    Unsigned(RecordingId),
    /// To end.
    Over,
}

/// Tells the thread of recordings whose end was not signed; cheap to clone.
#[derive(Clone)]
pub(super) struct Unsigned(Sender<Told>);

impl Unsigned {
    /// Hands one over: nobody writes to it any more.
    pub(super) fn give(&self, recording: RecordingId) {
        if self.0.send(Told::Unsigned(recording)).is_err() {
            // The process ends: the next start finds it torn.
            tracing::debug!(%recording, "left_to_the_next_start");
        }
    }
}

impl Salvaging {
    /// Tells the thread to end, once it is through with the file it has in hand, and gives it to be waited for.
    pub(super) fn stop(self) -> JoinHandle<()> {
        // Where it is gone already, its end says why.
        self.told.send(Told::Over).ok();
        self.thread
    }

    /// Returns what says whether nothing is left to be closed of which the thread knows.
    pub(super) fn is_through(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_through)
    }

    /// Returns the way to it.
    pub(super) fn unsigned(&self) -> Unsigned {
        Unsigned(self.told.clone())
    }
}

/// Starts the thread; these were torn when the process began, so that nobody writes to them.
///
/// While a spare disk is missing nothing is done: any of them may have moved there, and what lies here would be closed without its end.
///
/// What the node's key does not sign, because its token is gone, is tried again until it does.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn start(
    torn: Vec<RecordingId>,
    folders: Folders,
    node: NodeKey,
    ledger: Ledger,
    metrics: Arc<Metrics>,
) -> io::Result<Salvaging> {
    let (told, hears) = mpsc::channel();
    let is_through = Arc::new(AtomicBool::new(false));
    // Here, and not in the thread: the disk's is not started yet.
    let parts = join::left_parted(&folders);
    let salvager = Salvager { folders, node, ledger, metrics, is_through: Arc::clone(&is_through) };
    let thread = std::thread::Builder::new().name("salvage".into()).spawn(move || salvager.run(torn, parts, &hears))?;
    Ok(Salvaging { thread, told, is_through })
}

/// How long after a recording was not signed the next try is.
const AGAIN: Duration = Duration::from_secs(10);

struct Salvager {
    folders: Folders,
    node: NodeKey,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    is_through: Arc<AtomicBool>,
}

impl Salvager {
    fn run(&self, torn: Vec<RecordingId>, parts: Vec<(RecordingId, u64)>, hears: &Receiver<Told>) {
        if self.folders.is_spare_missing {
            if !torn.is_empty() {
                tracing::error!(torn = torn.len(), "torn_recordings_wait_for_the_spare_disk");
            }
            return;
        }
        let mut parted = join::join_all(&self.folders, parts);
        let mut left = VecDeque::from(torn);
        loop {
            self.is_through.store(left.is_empty(), Ordering::Relaxed);
            let told = match left.pop_front() {
                None => hears.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(recording) => {
                    let closed = match parted.remove(&recording) {
                        Some(error) => self.tell(recording, Err(error)),
                        None => self.close(recording),
                    };
                    match closed {
                        Closed::Done => hears.recv_timeout(Duration::ZERO),
                        Closed::NotYet => {
                            left.push_back(recording);
                            hears.recv_timeout(AGAIN)
                        }
                    }
                }
            };
            match told {
                Ok(Told::Unsigned(recording)) => left.push_back(recording),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Told::Over) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn close(&self, recording: RecordingId) -> Closed {
        match self.is_in_two_pieces(recording) {
            Ok(false) => self.tell(recording, one(recording, &self.folders, &self.node)),
            Ok(true) => Closed::NotYet,
            Err(error) => self.tell(recording, Err(error)),
        }
    }

    /// Whether this run has moved it to the spare disk, and not yet copied its beginning: closed now it would be without its end.
    fn is_in_two_pieces(&self, recording: RecordingId) -> io::Result<bool> {
        let parts = self.folders.spare.as_ref().map_or_else(|| Ok(Vec::new()), Folder::parts)?;
        Ok(parts.iter().any(|(part, _)| *part == recording))
    }

    fn tell(&self, recording: RecordingId, came: io::Result<Option<Write>>) -> Closed {
        match came {
            Ok(Some(line)) => {
                if matches!(line, Write::Salvaged(..)) {
                    self.metrics.recordings_salvaged.inc();
                }
                self.ledger.salvaged(line);
                join::tidy(&self.folders, recording);
            }
            Ok(None) => {}
            Err(error) if error.get_ref().is_some_and(|error| error.is::<NotSigned>()) => {
                tracing::warn!(%recording, %error, "not_signed_yet");
                return Closed::NotYet;
            }
            Err(error) => {
                self.metrics.file_errors.inc();
                tracing::error!(%recording, %error, "not_salvaged");
            }
        }
        Closed::Done
    }
}

/// What came of trying to close one.
enum Closed {
    Done,
    /// It is tried again.
    NotYet,
}

/// Closes one, durably, and returns what its row is told then: nothing where it is left as it is.
fn one(recording: RecordingId, folders: &Folders, node: &NodeKey) -> io::Result<Option<Write>> {
    let path = folders.of(recording).recording(recording);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        // Killed after the grant and before the disk had made the file. Keys that lie there alone open nothing; should the file turn up
        // after all, on a disk that was not there, its keys are what it is found by.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(%recording, "recording_was_not_begun");
            return Ok(Some(Write::Lost(recording, Reason::Interrupted)));
        }
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let at = clock::wall();
    match salvage(BufReader::with_capacity(READ_BYTES, &file), length, node, at)? {
        Salvage::Close { keep, closing, chunks, cut_off, root } => {
            close(&mut file, &path, keep, &closing)?;
            tracing::info!(%recording, chunks, cut_off, "recording_salvaged");
            Ok(Some(Write::Salvaged(recording, at, keep + closing.len() as u64, seal(root, chunks))))
        }
        // Closed, and the process died before its row said so.
        Salvage::Closed(Verdict::Salvaged(salvaged)) => {
            Ok(Some(Write::Salvaged(recording, salvaged.at, length, seal(salvaged.root, salvaged.chunks))))
        }
        Salvage::Closed(Verdict::Complete(complete)) => {
            file.sync_all()?;
            tracing::info!(%recording, "recording_was_complete");
            Ok(Some(Write::Closed(recording, length, seal(complete.root, complete.chunks))))
        }
        Salvage::Empty => {
            // Keys first: a file without keys is what an erased recording is, too.
            for folder in folders.all() {
                remove(&folder.key(recording))?;
                remove(&folder.recording(recording))?;
            }
            tracing::warn!(%recording, "recording_was_empty");
            Ok(Some(Write::Lost(recording, Reason::Interrupted)))
        }
        Salvage::NotOurs => {
            tracing::warn!(%recording, "another_nodes_or_versions_recording_stays_torn");
            Ok(None)
        }
        Salvage::Closed(Verdict::Broken(broken)) | Salvage::Broken(broken) => {
            tracing::error!(%recording, %broken, "torn_recording_is_broken");
            Ok(None)
        }
        Salvage::Closed(Verdict::Cut(_)) => Ok(None),
    }
}

fn seal(root: [u8; 32], chunks: u32) -> Seal {
    Seal { root: Digest::from_bytes(root), chunks: chunks.into() }
}

/// Read at once: a file is read from its beginning to its end.
const READ_BYTES: usize = 256 * 1024;

/// Copies what is whole to a file of its own, closes that, and puts it in the place of the torn one.
///
/// A copy, because a sync of the torn file proves nothing: where one has failed before, the kernel shows bytes that are not on the disk and
/// calls them clean (durability.md). Killed in the middle, it leaves the torn file as it was.
fn close(torn: &mut File, path: &Path, keep: u64, closing: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("rec.salvaging");
    let written = (|| {
        let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        torn.seek(SeekFrom::Start(0))?;
        if io::copy(&mut torn.take(keep), &mut copy)? != keep {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        copy.write_all(closing)?;
        copy.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()
    })();
    if written.is_err() {
        // It may not be there. What is left of it is written over at the next start.
        fs::remove_file(&beside).ok();
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_was_granted_and_not_begun_is_told_so_and_its_keys_stay() {
        let data = tempfile::tempdir().unwrap();
        let folders = Folders::make(data.path(), None).unwrap();
        let recording = RecordingId::from_bytes([7; 16]);
        let keys = folders.main.key(recording);
        fs::write(&keys, b"of nothing").unwrap();
        let node = NodeKey::generate(&mut crate::node::entropy::source());

        let line = one(recording, &folders, &node).unwrap();

        assert_eq!(line, Some(Write::Lost(recording, Reason::Interrupted)));
        assert!(keys.exists());
    }
}
