//! The volume of real files: two folders on each disk, each recording's file open while it is written.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use crate::ids::RecordingId;
use crate::keyfolder::shares::Shares;
use crate::node::clock::Clock;
use crate::node::folders::{Folder, Folders};
use crate::node::join::Joiner;
use crate::node::metrics::Metrics;
use crate::node::room::Choice;
use crate::time::Moment;
use crate::vault::{Shelf, Volume};

/// The files of all disks.
pub(super) struct Files {
    folders: Folders,
    /// Of each filesystem of the main disk that is written to, a folder. Opened once and never again: a failed sync is told to those who
    /// held the directory open when it happened.
    main: Vec<File>,
    spare: Option<Spare>,
    /// Where key files lie in envelopes: what makes them.
    shares: Option<Shares>,
    open: HashMap<RecordingId, File>,
    /// When each append ended that was not told of yet: a batch is told of as a whole, and may take longer than its first chunk waited.
    pub(super) written: VecDeque<Moment>,
    clock: Clock,
    room: Arc<Choice>,
    metrics: Arc<Metrics>,
}

/// The spare disk.
struct Spare {
    folder: Folder,
    filesystems: Vec<File>,
    shares: Option<Shares>,
    joiner: Joiner,
    /// What went there from the main disk and is not over yet.
    moved: HashSet<RecordingId>,
}

impl Files {
    /// Opens the folders. `has_shares` has the keys lie in envelopes, whose tables were begun.
    ///
    /// # Errors
    /// They are not there, or there is no thread to be had.
    pub(super) fn open(
        folders: Folders,
        has_shares: bool,
        room: Arc<Choice>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let main = folders.main.filesystems()?;
        let shares_of = |folder: &Folder| has_shares.then(|| Shares::of(&folder.keys()));
        let shares = shares_of(&folders.main);
        let spare = folders.spare.clone().map(|folder| {
            let (filesystems, joiner) = (folder.filesystems()?, Joiner::start(folders.main.clone(), folder.clone())?);
            io::Result::Ok(Spare { shares: shares_of(&folder), folder, filesystems, joiner, moved: HashSet::new() })
        });
        let spare = spare.transpose()?;
        Ok(Self { folders, main, spare, shares, open: HashMap::new(), written: VecDeque::new(), clock, room, metrics })
    }

    /// A recording is over. One that was moved has left something behind, which goes once the rest is sealed, durably.
    pub(super) fn is_over(&mut self, recording: RecordingId, is_sealed: bool) {
        let Some(spare) = &mut self.spare else { return };
        if spare.moved.remove(&recording) && is_sealed {
            spare.joiner.tidy(recording);
        }
    }
}

impl Volume for Files {
    fn shelf(&self) -> Shelf {
        let is_main_out = self.room.is_shut(Shelf::Main) || self.metrics.vault_failing.get() != 0;
        if self.spare.is_some() && is_main_out { Shelf::Spare } else { Shelf::Main }
    }

    fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    fn create_keys(&mut self, shelf: Shelf, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
        let path = on(&self.folders, shelf)?.key(recording);
        let shares = match (shelf, &self.spare) {
            (Shelf::Main, _) => &self.shares,
            (Shelf::Spare, Some(spare)) => &spare.shares,
            (Shelf::Spare, None) => &None,
        };
        create_keys(&path, shares.as_ref(), recording, bytes)
    }

    fn create_recording(&mut self, shelf: Shelf, recording: RecordingId, head: &[u8]) -> io::Result<()> {
        let mut file = create(&on(&self.folders, shelf)?.recording(recording))?;
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
        let mut removed = Ok(());
        for folder in self.folders.all() {
            // Keys of a recording that has no file open nothing.
            remove(&folder.key(recording)).inspect_err(told).ok();
            let here = remove(&folder.recording(recording)).inspect_err(told);
            removed = removed.and(here);
        }
        removed
    }

    fn sync(&mut self, shelf: Shelf) -> io::Result<()> {
        let filesystems = match (shelf, &self.spare) {
            (Shelf::Main, _) => &self.main,
            (Shelf::Spare, Some(spare)) => &spare.filesystems,
            (Shelf::Spare, None) => return Ok(()),
        };
        // All of them, even after one has failed: each tells its error once.
        let failed = filesystems.iter().fold(None, |failed, folder| rustix::fs::syncfs(folder).err().or(failed));
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn move_over(&mut self, recording: RecordingId, keys: &[u8], from: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(spare) = &mut self.spare else { return Err(io::ErrorKind::Unsupported.into()) };
        let key = spare.folder.key(recording);
        let path = if from == 0 { spare.folder.recording(recording) } else { spare.folder.part(recording, from) };
        let made = (|| {
            create_keys(&key, spare.shares.as_ref(), recording, keys)?;
            let file = create(&path)?;
            file.write_all_at(bytes, from)?;
            Ok(file)
        })();
        match made {
            Ok(file) => {
                self.open.insert(recording, file);
                spare.moved.insert(recording);
                if from > 0 {
                    spare.joiner.join(recording, from);
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%recording, %error, "not_moved_to_the_spare_disk");
                self.metrics.spare_failing.set(1);
                // The next try makes them anew.
                for path in [path, key] {
                    remove(&path).inspect_err(|error| tracing::error!(%recording, %error, "leftover_not_removed")).ok();
                }
                Err(error)
            }
        }
    }

    fn joined(&mut self) -> Option<(RecordingId, io::Result<()>)> {
        self.spare.as_ref().and_then(|spare| spare.joiner.joined())
    }
}

fn on(folders: &Folders, shelf: Shelf) -> io::Result<&Folder> {
    folders.on(shelf).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a key file, where there are shares in its envelope.
fn create_keys(path: &Path, shares: Option<&Shares>, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
    let write = |bytes: &[u8]| create(path)?.write_all(bytes);
    match shares {
        Some(shares) => Ok(shares.seal(recording, (bytes, None), &mut super::entropy::source(), write)?),
        None => write(bytes),
    }
}

/// Makes a file that only the service's user may read, and that was not there before.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::keyfolder::{KeyFolder, Reach};
    use crate::node::entropy::source;

    const ID: RecordingId = RecordingId::from_bytes([7; 16]);
    const OTHER: RecordingId = RecordingId::from_bytes([8; 16]);

    #[test]
    fn keys_lie_in_envelopes_on_both_disks_and_are_forgotten_on_both() {
        let home = tempfile::tempdir().unwrap();
        let [main, spare] = ["main", "spare"].map(|name| Folder::of(&home.path().join(name)));
        main.make().unwrap();
        spare.make().unwrap();
        let folders = Folders { main, spare: Some(spare), is_spare_missing: false };
        let paths: Vec<_> = folders.all().map(Folder::keys).collect();
        let shares: Vec<_> = paths.iter().map(|path| Shares::of(path)).collect();
        shares.iter().for_each(|shares| shares.begin(&mut source(), None).unwrap());
        let metrics = Arc::new(Metrics::new());
        let mut files = Files::open(folders.clone(), true, Arc::default(), Clock::start(), metrics).unwrap();

        files.create_keys(Shelf::Main, ID, b"wraps").unwrap();
        files.create_recording(Shelf::Main, ID, b"head").unwrap();
        files.move_over(ID, b"wraps", 0, b"head").unwrap();
        files.create_keys(Shelf::Spare, OTHER, b"others").unwrap();

        let copies: Vec<_> = folders.all().map(|folder| fs::read(folder.key(ID)).unwrap()).collect();
        assert!(copies.iter().all(|bytes| !bytes.windows(5).any(|window| window == b"wraps")));
        for (shares, copy) in shares.iter().zip(&copies) {
            assert_eq!(shares.open(ID, copy.clone()).unwrap(), b"wraps");
        }
        let folder = KeyFolder::alone(&paths).unwrap();
        assert_eq!((folder.reach(ID), folder.reach(RecordingId::from_bytes([9; 16]))), (Reach::Unreachable, Reach::Open));
        assert_eq!(folder.read(ID).unwrap().unwrap().bytes, b"wraps");
        folder.destroy(ID).unwrap();
        folder.forget().unwrap();
        for (shares, copy) in shares.iter().zip(copies) {
            assert!(shares.open(ID, copy).unwrap_err().to_string().contains("forgotten"));
        }
        assert_eq!(folder.read(OTHER).unwrap().unwrap().bytes, b"others");
    }
}
