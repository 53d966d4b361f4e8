//! Recordings that moved to the spare disk in mid-call get their beginning from the main one, in a thread of its own: a disk that failed may
//! take long to be read, and nothing waits for it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::ids::RecordingId;
use crate::node::folders::{Folder, Folders};

/// The thread. It ends once this is dropped, and is not waited for: what it leaves undone the next start does.
pub(super) struct Joiner {
    jobs: Sender<Job>,
    joined: Receiver<(RecordingId, io::Result<()>)>,
}

enum Job {
    /// The spare disk's file is without so many of its first bytes.
    Join(RecordingId, u64),
    /// It is whole and sealed there: what the main disk has of it is needed no more.
    Tidy(RecordingId),
}

impl Joiner {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is none to be had.
    pub(super) fn start(main: Folder, spare: Folder) -> io::Result<Self> {
        let ((jobs, to_do), (done, joined)) = (mpsc::channel(), mpsc::channel());
        std::thread::Builder::new().name("join".into()).spawn(move || {
            for job in to_do {
                match job {
                    Job::Join(recording, from) => {
                        let result = join(&main, &spare, recording, from);
                        if done.send((recording, result)).is_err() {
                            break;
                        }
                    }
                    Job::Tidy(recording) => remove_from(&main, recording),
                }
            }
        })?;
        Ok(Self { jobs, joined })
    }

    /// Has the beginning copied: so many bytes.
    pub(super) fn join(&self, recording: RecordingId, from: u64) {
        self.jobs.send(Job::Join(recording, from)).ok();
    }

    /// Has removed what the main disk has of a recording that is whole on the spare one.
    pub(super) fn tidy(&self, recording: RecordingId) {
        self.jobs.send(Job::Tidy(recording)).ok();
    }

    /// Returns the next that was copied, or could not be.
    pub(super) fn joined(&self) -> Option<(RecordingId, io::Result<()>)> {
        self.joined.try_recv().ok()
    }
}

/// Copies what is missing of a recording on the spare disk, durably; it has the name of a whole one then. Killed in the middle, it leaves the
/// part as it was, with more or less of the hole filled.
///
/// # Errors
/// The main disk has less of it, or one of the disks.
pub(super) fn join(main: &Folder, spare: &Folder, recording: RecordingId, from: u64) -> io::Result<()> {
    let (beginning, part) = (File::open(main.recording(recording))?, spare.part(recording, from));
    let file = OpenOptions::new().write(true).open(&part)?;
    let (mut at, mut buffer) = (0, vec![0; COPIED_BYTES]);
    while at < from {
        let wanted = usize::try_from(from - at).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        beginning.read_exact_at(piece, at)?;
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    file.sync_all()?;
    fs::rename(&part, spare.recording(recording))?;
    File::open(spare.recordings())?.sync_all()
}

/// Copied at once.
const COPIED_BYTES: usize = 256 * 1024;

/// Removes what the main disk has of a recording that is whole on the spare one.
pub(super) fn tidy(folders: &Folders, recording: RecordingId) {
    if folders.spare.as_ref().is_some_and(|spare| spare.recording(recording).exists()) {
        remove_from(&folders.main, recording);
    }
}

fn remove_from(main: &Folder, recording: RecordingId) {
    match fs::remove_file(main.recording(recording)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(%recording, %error, "leftover_not_removed"),
        Ok(()) | Err(_) => {}
    }
}

/// Returns what an earlier run has left in two pieces. To be called before this one may leave any: those its [`Joiner`] joins.
pub(super) fn left_parted(folders: &Folders) -> Vec<(RecordingId, u64)> {
    folders.spare.as_ref().map_or_else(Vec::new, |spare| {
        spare.parts().unwrap_or_else(|error| {
            tracing::error!(%error, "spare_disk_not_read");
            Vec::new()
        })
    })
}

/// Joins these, as far as it can, and returns those of which the beginning is not to be had.
pub(super) fn join_all(folders: &Folders, parts: Vec<(RecordingId, u64)>) -> HashMap<RecordingId, io::Error> {
    let mut parted = HashMap::new();
    let Some(spare) = &folders.spare else { return parted };
    for (recording, from) in parts {
        match join(&folders.main, spare, recording, from) {
            Ok(()) => tracing::info!(%recording, "recording_joined"),
            Err(error) => {
                parted.insert(recording, error);
            }
        }
    }
    parted
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: RecordingId = RecordingId::from_bytes([7; 16]);

    /// Two disks: the main one has a recording's beginning and what was not durable, the spare one what comes after the beginning.
    fn two() -> (tempfile::TempDir, Folders, Vec<u8>) {
        let home = tempfile::tempdir().unwrap();
        let [main, spare] = ["main", "spare"].map(|name| Folder::of(&home.path().join(name)));
        main.make().unwrap();
        spare.make().unwrap();
        let whole: Vec<u8> = (0..=250).cycle().take(COPIED_BYTES + 1000).collect();
        let (beginning, rest) = whole.split_at(COPIED_BYTES + 100);
        fs::write(main.recording(ID), [beginning, b"and what was not durable"].concat()).unwrap();
        let part = File::create(spare.part(ID, beginning.len() as u64)).unwrap();
        part.write_all_at(rest, beginning.len() as u64).unwrap();
        let folders = Folders { main, spare: Some(spare), is_spare_missing: false };
        (home, folders, whole)
    }

    #[test]
    fn what_a_part_is_without_is_copied_and_what_was_left_behind_removed() {
        let (_home, folders, whole) = two();

        assert!(join_all(&folders, left_parted(&folders)).is_empty());

        assert_eq!(fs::read(folders.of(ID).recording(ID)).unwrap(), whole);
        assert!(folders.main.recording(ID).exists(), "until it is sealed");
        tidy(&folders, ID);
        assert!(!folders.main.recording(ID).exists());
        assert_eq!(fs::read(folders.of(ID).recording(ID)).unwrap(), whole);
        tidy(&folders, ID);
    }

    #[test]
    fn a_part_whose_beginning_is_not_to_be_had_stays_one() {
        let (_home, folders, whole) = two();
        File::options().write(true).open(folders.main.recording(ID)).unwrap().set_len(10).unwrap();

        let parted = join_all(&folders, left_parted(&folders));

        assert_eq!(parted[&ID].kind(), io::ErrorKind::UnexpectedEof);
        let spare = folders.spare.as_ref().unwrap();
        assert_eq!(spare.parts().unwrap(), [(ID, COPIED_BYTES as u64 + 100)]);
        // Where only the spare disk has something of it, nothing of the other is removed.
        tidy(&folders, ID);
        fs::write(folders.main.recording(ID), &whole).unwrap();
        assert!(join_all(&folders, left_parted(&folders)).is_empty());
        assert_eq!(fs::read(spare.recording(ID)).unwrap(), whole);
    }

    #[test]
    fn a_part_of_this_run_is_left_to_the_thread_that_joins_those() {
        let (_home, folders, _) = two();
        let spare = folders.spare.clone().unwrap();
        let part = spare.part(ID, COPIED_BYTES as u64 + 100);
        let aside = part.with_extension("aside");
        fs::rename(&part, &aside).unwrap();
        let left = left_parted(&folders);
        fs::rename(&aside, &part).unwrap();

        assert!(join_all(&folders, left).is_empty());

        assert_eq!(spare.parts().unwrap(), [(ID, COPIED_BYTES as u64 + 100)]);
    }

    #[test]
    fn the_thread_copies_and_says_so() {
        let (_home, folders, whole) = two();
        let spare = folders.spare.clone().unwrap();
        let joiner = Joiner::start(folders.main, spare.clone()).unwrap();

        joiner.join(ID, COPIED_BYTES as u64 + 100);
        let (recording, joined) = joiner.joined.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((recording, joined.is_ok()), (ID, true));
        joiner.join(ID, 7);
        let (_, joined) = joiner.joined.recv_timeout(Duration::from_secs(20)).unwrap();

        assert_eq!(joined.unwrap_err().kind(), io::ErrorKind::NotFound, "there is no such part");
        assert_eq!(fs::read(spare.recording(ID)).unwrap(), whole);
    }
}
