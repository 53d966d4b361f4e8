//! The folders of wrapped keys, as those change them who erase and rewrap: alone, and so that a kill leaves the old file or the new one.
//!
//! There is one on each disk. A recording that moved to the spare disk in mid-call has its keys on both, and what is done is done to both.

#![expect(clippy::disallowed_methods, reason = "two rooms of the shell destroy and replace files by it")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::ids::RecordingId;
use crate::keyfolder::shares::{NoShare, Shares};
use crate::vault::share::{LAIN_BYTES, Lain};
use crate::vault::{KeyFile, UnwrapErr};

pub(crate) mod shares;
pub(crate) mod tpm;

/// The folders, held so that no other command of ours changes them. The proxy only ever makes a file that was not there.
pub(crate) struct KeyFolder(Vec<Held>);

/// What becomes of copies of key files that were destroyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// They open still.
    Open,
    /// They open no more, unless what a disk has put aside of the epoch's key is found.
    Unreachable,
    /// They open no more: a TPM had the epoch's key, and has overwritten it.
    Erased,
}

/// One of them.
struct Held {
    path: PathBuf,
    shares: Shares,
    /// Locked until it is closed: at the end, or by a kill.
    folder: File,
}

/// A key file that was read.
pub(crate) struct OldKeys {
    /// Where it lies, by the number of the folder, with its handle.
    files: Vec<(usize, File)>,
    pub(crate) bytes: Vec<u8>,
}

/// What could not be done to a file.
#[derive(Debug)]
pub(crate) struct Undone {
    pub(crate) doing: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl KeyFolder {
    /// Waits until it is alone. All folders must be there: keys in one that is not would be forgotten.
    pub(crate) fn alone(paths: &[PathBuf]) -> Result<Self, Undone> {
        let held = paths.iter().map(|path| {
            let folder = File::open(path).map_err(failed("open", path))?;
            flock(&folder, FlockOperation::LockExclusive).map_err(|errno| failed("lock", path)(errno.into()))?;
            Ok(Held { path: path.clone(), shares: Shares::of(path), folder })
        });
        held.collect::<Result<_, _>>().map(Self)
    }

    /// The same, where nobody else has one of them; nothing where somebody has.
    pub(crate) fn alone_at_once(paths: &[PathBuf]) -> Result<Option<Self>, Undone> {
        let mut all = Vec::new();
        for path in paths {
            let folder = File::open(path).map_err(failed("open", path))?;
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => all.push(Held { path: path.clone(), shares: Shares::of(path), folder }),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(failed("lock", path)(errno.into())),
            }
        }
        Ok(Some(Self(all)))
    }

    /// Returns whether nothing that opens a recording is there.
    pub(crate) fn is_without(paths: &[PathBuf], id: RecordingId) -> bool {
        let mut files = paths.iter().flat_map(|path| [key(path, id), beside(path, id)]);
        files.all(|path| path.symlink_metadata().is_err())
    }

    /// Returns a recording's keys; nothing where they are not there. A link in their place is not followed: what is behind it is somebody
    /// else's.
    pub(crate) fn read(&self, id: RecordingId) -> Result<Option<OldKeys>, Undone> {
        let (mut files, mut all, mut failure) = (Vec::new(), Vec::new(), None);
        for (number, held) in self.0.iter().enumerate() {
            let path = key(&held.path, id);
            let mut bytes = Vec::new();
            let read = OpenOptions::new().read(true).write(true).custom_flags(NO_FOLLOW).open(&path).and_then(|file| {
                (&file).take(LONGEST).read_to_end(&mut bytes)?;
                Ok(file)
            });
            match read {
                Ok(file) => {
                    files.push((number, file));
                    match held.shares.open(id, bytes) {
                        Ok(bytes) => all.push(bytes),
                        Err(fault) => failure = failure.or_else(|| Some(failed("open the envelope of", &path)(fault.into()))),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
        if all.is_empty() {
            return failure.map_or(Ok(None), Err);
        }
        // The first is replaced first, so that after a kill between the two it is the one that counts; unless a disk that failed has left
        // half of it.
        let whole = all.iter().position(|bytes| KeyFile::parse(bytes).is_ok());
        Ok(Some(OldKeys { files, bytes: all.swap_remove(whole.unwrap_or(0)) }))
    }

    /// Puts new keys into the place of those that were read, which are destroyed once the new ones are durable.
    ///
    /// The two change places, which fails where the old one is gone: a recording that was erased by whatever means stays so. Until the
    /// change is durable both are whole, so that a power cut leaves one of them under the name; what it leaves beside it is destroyed by
    /// whoever comes next.
    pub(crate) fn replace(&self, id: RecordingId, old: &OldKeys, bytes: &[u8]) -> Result<(), Undone> {
        for (number, file) in &old.files {
            if let Some(held) = self.0.get(*number) {
                held.replace(id, file, bytes)?;
            }
        }
        Ok(())
    }

    /// Returns what becomes of copies of a recording's key files, whenever they were made, once these are destroyed and their shares forgotten. Of what
    /// cannot be read nobody says that they open no more.
    pub(crate) fn reach(&self, id: RecordingId) -> Reach {
        let lain = |path: PathBuf| {
            let mut first = Vec::new();
            let read = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path);
            match read.and_then(|file| file.take(LAIN_BYTES as u64).read_to_end(&mut first)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Ok(_) => Some(Lain::of(&first)),
                Err(_) => Some(Lain::Plain),
            }
        };
        let places = self.0.iter().flat_map(|held| [key(&held.path, id), beside(&held.path, id)]);
        match places.filter_map(lain).min() {
            None | Some(Lain::Plain) => Reach::Open,
            Some(Lain::OnDisk) => Reach::Unreachable,
            Some(Lain::InTpm) => Reach::Erased,
        }
    }

    /// Forgets, durably, the local shares of all key files that were destroyed or made anew: whoever destroys says that it is done after this.
    pub(crate) fn forget(&self) -> Result<(), Undone> {
        self.0.iter().try_for_each(|held| {
            held.shares
                .renew(&mut UnwrapErr(getrandom::SysRng))
                .map_err(|fault| failed("forget shares in", &held.path)(fault.into()))
        })
    }

    /// Destroys what opens a recording, whatever a kill has left of it; it may be gone already. [`Self::forget`] ends it.
    pub(crate) fn destroy(&self, id: RecordingId) -> Result<(), Undone> {
        for held in &self.0 {
            destroy(&key(&held.path, id))?;
            held.tidy(id)?;
            held.sync()?;
        }
        Ok(())
    }

    /// Destroys what a kill has left beside a key file.
    pub(crate) fn tidy(&self, id: RecordingId) -> Result<(), Undone> {
        self.0.iter().try_for_each(|held| held.tidy(id))
    }

    /// Returns the recordings that have a key file, or something beside one, in the order of their names.
    pub(crate) fn recordings(paths: &[PathBuf]) -> Result<Vec<RecordingId>, Undone> {
        let mut found = Vec::new();
        for path in paths {
            for entry in fs::read_dir(path).map_err(failed("read", path))? {
                let name = entry.map_err(failed("read", path))?.file_name();
                let name = name.to_string_lossy();
                let id = name.strip_suffix(BESIDE).unwrap_or(&name).strip_suffix(".key");
                found.extend(id.and_then(|id| id.parse::<RecordingId>().ok()));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Returns what opens a recording, without waiting to be alone: its key file, and what a rewrap has beside it, which is marked. One that cannot
    /// be taken out of its envelope is returned in it.
    pub(crate) fn all_of(folders: &[Shares], id: RecordingId) -> Result<Vec<(Vec<u8>, bool)>, Undone> {
        let mut found = Vec::new();
        let places = folders.iter().flat_map(|shares| {
            let folder = shares.folder();
            [(shares, key(folder, id), false), (shares, beside(folder, id), true)]
        });
        for (shares, path, is_beside) in places {
            let mut bytes = Vec::new();
            let read = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(&path);
            let read = read.and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
            if read.is_ok() {
                bytes = opened_or_not(shares, id, bytes).map_err(|fault| failed("open the envelope of", &path)(fault.into()))?;
            }
            match read {
                Ok(_) if found.contains(&(bytes.clone(), is_beside)) => {}
                Ok(_) => found.push((bytes, is_beside)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
        Ok(found)
    }
}

impl Held {
    fn replace(&self, id: RecordingId, old: &File, bytes: &[u8]) -> Result<(), Undone> {
        let (path, new) = (key(&self.path, id), beside(&self.path, id));
        self.write(id, &new, old, bytes).map_err(failed("write", &new)).and_then(|()| exchange(&path, &new, old)).inspect_err(
            |_| {
                // What could not be put into its place opens the recording all the same.
                drop(destroy(&new));
            },
        )?;
        self.sync()?;
        // By its handle, for where the two could not change places it has no name any more.
        overwrite(old).map_err(failed("overwrite", &new))?;
        remove(&new)?;
        self.sync()
    }

    /// Writes it into an envelope where the folder has a table of shares, and as it is otherwise.
    fn write(&self, id: RecordingId, path: &Path, old: &File, bytes: &[u8]) -> io::Result<()> {
        if !self.shares.is_there() {
            return write(path, old, bytes);
        }
        let sealed = |bytes: &[u8]| write(path, old, bytes);
        let mut first = [0; LAIN_BYTES];
        // Half a file is what a disk that failed has left: of that nothing is said.
        let read = old.read_at(&mut first, 0)?;
        let before = Lain::of(first.get(..read).unwrap_or_default());
        Ok(self.shares.seal(id, (bytes, Some(before)), &mut UnwrapErr(getrandom::SysRng), sealed)?)
    }

    fn tidy(&self, id: RecordingId) -> Result<(), Undone> {
        let left = beside(&self.path, id);
        if left.symlink_metadata().is_err() {
            return Ok(());
        }
        // It may be what the name stands for on the disk still.
        self.sync()?;
        destroy(&left)
    }

    fn sync(&self) -> Result<(), Undone> {
        self.folder.sync_all().map_err(failed("make durable what was changed in", &self.path))
    }
}

/// Takes a key file out of its envelope, or where its share is forgotten leaves it there: it opens nothing.
fn opened_or_not(shares: &Shares, id: RecordingId, bytes: Vec<u8>) -> Result<Vec<u8>, NoShare> {
    match shares.open(id, bytes.clone()) {
        Err(NoShare::Forgotten) => Ok(bytes),
        opened => opened,
    }
}

fn exchange(path: &Path, new: &Path, old: &File) -> Result<(), Undone> {
    let error = match renameat_with(CWD, path, CWD, new, RenameFlags::EXCHANGE) {
        Ok(()) => return Ok(()),
        // Some filesystems cannot: then the lock must do.
        Err(Errno::INVAL | Errno::NOSYS) => take_the_place(path, new, old),
        Err(errno) => Err(errno.into()),
    };
    error.map_err(failed("replace", path))
}

fn key(folder: &Path, id: RecordingId) -> PathBuf {
    folder.join(format!("{id}.key"))
}

fn beside(folder: &Path, id: RecordingId) -> PathBuf {
    folder.join(format!("{id}.key{BESIDE}"))
}

/// What the new file is called until it is in its place, and the old one from then on.
const BESIDE: &str = ".rewrap";

/// Longer than any key file: of 256 entries, each of 1,206 bytes.
const LONGEST: u64 = 1024 * 1024;

/// A link in the place of the keys is not followed.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Writes a file that belongs to whom the old one belongs to: the proxy's user, also where root rewraps.
fn write(path: &Path, old: &File, bytes: &[u8]) -> io::Result<()> {
    let (owner, mode) = (old.metadata()?, 0o600);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(NO_FOLLOW).open(path)?;
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Destroys a file that may be gone already: overwritten in its place, made durable, removed.
///
/// Removed alone, it would stay in the disk's image (durability.md: 50 of 50); overwritten first, it did not.
fn destroy(path: &Path) -> Result<(), Undone> {
    match OpenOptions::new().write(true).custom_flags(NO_FOLLOW).open(path) {
        Ok(file) => {
            overwrite(&file).map_err(failed("overwrite", path))?;
            remove(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("open", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), Undone> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives the new file the name of the old one, where that has it still.
fn take_the_place(path: &Path, new: &Path, old: &File) -> io::Result<()> {
    let (there, ours) = (fs::symlink_metadata(path)?, old.metadata()?);
    if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) {
        return Err(io::ErrorKind::NotFound.into());
    }
    fs::rename(new, path)
}

fn overwrite(mut file: &File) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    file.rewind()?;
    let zeros = [0; 4096];
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..part).unwrap_or_default())?;
        left -= part as u64;
    }
    file.sync_all()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Undone {
    let path = path.to_owned();
    move |error| Undone { doing, path, error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const ID: RecordingId = RecordingId::from_bytes([7; 16]);

    /// A folder with one key file.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = key(home.path(), ID);
        fs::write(&path, b"the old wraps").unwrap();
        (home, path)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_file_takes_the_place_and_the_old_one_is_overwritten() {
        let (home, path) = folder();
        let folder = KeyFolder::alone(&[home.path().to_owned()]).unwrap();
        let old = folder.read(ID).unwrap().unwrap();
        assert_eq!(old.bytes, b"the old wraps");

        folder.replace(ID, &old, b"the new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"the new");
        let mut left = Vec::new();
        let mut handle = &old.files[0].1;
        handle.rewind().unwrap();
        handle.read_to_end(&mut left).unwrap();
        assert_eq!(left, [0; 13]);
        assert_eq!(names(home.path()), [format!("{ID}.key")]);
        // The same where the two cannot change places.
        let second = folder.read(ID).unwrap().unwrap().files.remove(0).1;
        let new = beside(home.path(), ID);
        write(&new, &second, b"the third").unwrap();
        take_the_place(&path, &new, &second).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"the third");
        write(&new, &second, b"the fourth").unwrap();
        assert_eq!(take_the_place(&path, &new, &second).unwrap_err().kind(), io::ErrorKind::NotFound, "another is there");
    }

    #[test]
    fn a_key_file_that_is_gone_meanwhile_is_not_brought_back() {
        let (home, path) = folder();
        let folder = KeyFolder::alone(&[home.path().to_owned()]).unwrap();
        let old = folder.read(ID).unwrap().unwrap();
        fs::remove_file(&path).unwrap();

        let undone = folder.replace(ID, &old, b"the new").unwrap_err();

        assert_eq!((undone.doing, undone.error.kind()), ("replace", io::ErrorKind::NotFound));
        assert_eq!(names(home.path()), [""; 0], "nor is anything left beside it");
    }

    #[test]
    fn what_a_kill_has_left_is_destroyed_by_the_next_and_by_erasing() {
        let (home, path) = folder();
        let left = beside(home.path(), ID);
        fs::hard_link(&path, home.path().join("witness")).unwrap();
        fs::write(&left, b"wraps").unwrap();
        fs::hard_link(&left, home.path().join("other witness")).unwrap();
        let folder = KeyFolder::alone(&[home.path().to_owned()]).unwrap();
        let witness = |name| fs::read(home.path().join(name)).unwrap();

        folder.tidy(ID).unwrap();
        assert_eq!((left.exists(), witness("other witness")), (false, vec![0; 5]));
        assert_eq!(KeyFolder::recordings(&[home.path().to_owned()]).unwrap(), [ID]);
        fs::write(&left, b"wraps").unwrap();
        folder.destroy(ID).unwrap();

        assert!(KeyFolder::is_without(&[home.path().to_owned()], ID));
        assert_eq!(witness("witness"), [0; 13]);
    }

    #[test]
    fn a_link_in_the_place_of_the_keys_is_not_followed() {
        let (home, path) = folder();
        let others = home.path().join("others");
        fs::rename(&path, &others).unwrap();
        std::os::unix::fs::symlink(&others, &path).unwrap();
        let folder = KeyFolder::alone(&[home.path().to_owned()]).unwrap();

        assert_eq!(folder.read(ID).err().unwrap().doing, "read");
        assert_eq!(folder.destroy(ID).unwrap_err().doing, "open");
        assert_eq!(fs::read(others).unwrap(), b"the old wraps");
    }

    #[test]
    fn what_is_done_to_keys_is_done_on_both_disks() {
        let (home, path) = folder();
        let spare = tempfile::tempdir().unwrap();
        let [main, spare] = [home.path().to_owned(), spare.path().to_owned()];
        let both = [main, spare.clone()];
        fs::copy(&path, key(&spare, ID)).unwrap();
        let folder = KeyFolder::alone(&both).unwrap();
        assert_eq!(KeyFolder::recordings(&both).unwrap(), [ID]);
        let shares: Vec<_> = both.iter().map(|path| Shares::of(path)).collect();
        assert_eq!(KeyFolder::all_of(&shares, ID).unwrap().len(), 1, "the same is told once");

        let old = folder.read(ID).unwrap().unwrap();
        folder.replace(ID, &old, b"the new").unwrap();

        assert_eq!([&path, &key(&spare, ID)].map(|path| fs::read(path).unwrap()), [b"the new"; 2]);
        fs::remove_file(&path).unwrap();
        assert!(!KeyFolder::is_without(&both, ID));
        assert_eq!(folder.read(ID).unwrap().unwrap().bytes, b"the new");
        folder.destroy(ID).unwrap();
        assert!(KeyFolder::is_without(&both, ID));
        drop(folder);
        fs::remove_dir(&spare).unwrap();
        assert_eq!(KeyFolder::alone(&both).err().unwrap().doing, "open", "a disk that is not there may have keys");
    }
}
