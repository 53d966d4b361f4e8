//! The folder of wrapped keys, as those change it who erase and rewrap: alone, and so that a kill leaves the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::ids::RecordingId;

/// The folder, held so that no other command of ours changes it. The proxy only ever makes a file that was not there.
pub(super) struct KeyFolder {
    path: PathBuf,
    /// Locked until it is closed: at the end, or by a kill.
    folder: File,
}

/// What could not be done to a file.
#[derive(Debug)]
pub(super) struct Undone {
    pub(super) doing: &'static str,
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

impl KeyFolder {
    /// Waits until it is alone.
    pub(super) fn alone(path: &Path) -> Result<Self, Undone> {
        let folder = File::open(path).map_err(failed("open", path))?;
        flock(&folder, FlockOperation::LockExclusive).map_err(|errno| failed("lock", path)(errno.into()))?;
        Ok(Self { path: path.to_owned(), folder })
    }

    /// Returns whether nothing that opens a recording is there.
    pub(super) fn is_without(path: &Path, id: RecordingId) -> bool {
        [key(path, id), beside(path, id)].iter().all(|path| path.symlink_metadata().is_err())
    }

    /// Returns a key file; nothing where it is not there. A link in its place is not followed: what is behind it is somebody else's.
    pub(super) fn read(&self, id: RecordingId) -> Result<Option<(File, Vec<u8>)>, Undone> {
        let path = key(&self.path, id);
        let mut bytes = Vec::new();
        let read = OpenOptions::new().read(true).write(true).custom_flags(NO_FOLLOW).open(&path).and_then(|file| {
            (&file).take(LONGEST).read_to_end(&mut bytes)?;
            Ok(file)
        });
        match read {
            Ok(file) => Ok(Some((file, bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Puts a new key file into the place of the one that was read, which is destroyed once the new one is durable.
    ///
    /// The two change places, which fails where the old one is gone: a recording that was erased by whatever means stays so. Until the
    /// change is durable both are whole, so that a power cut leaves one of them under the name; what it leaves beside it is destroyed by
    /// whoever comes next.
    pub(super) fn replace(&self, id: RecordingId, old: &File, bytes: &[u8]) -> Result<(), Undone> {
        let (path, new) = (key(&self.path, id), beside(&self.path, id));
        write(&new, old, bytes).map_err(failed("write", &new)).and_then(|()| self.exchange(&path, &new, old)).inspect_err(
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

    fn exchange(&self, path: &Path, new: &Path, old: &File) -> Result<(), Undone> {
        let error = match renameat_with(CWD, path, CWD, new, RenameFlags::EXCHANGE) {
            Ok(()) => return Ok(()),
            // Some filesystems cannot: then the lock must do.
            Err(Errno::INVAL | Errno::NOSYS) => take_the_place(path, new, old),
            Err(errno) => Err(errno.into()),
        };
        error.map_err(failed("replace", path))
    }

    /// Destroys what opens a recording, whatever a kill has left of it; it may be gone already.
    pub(super) fn destroy(&self, id: RecordingId) -> Result<(), Undone> {
        destroy(&key(&self.path, id))?;
        self.tidy(id)?;
        self.sync()
    }

    /// Destroys what a kill has left beside a key file.
    pub(super) fn tidy(&self, id: RecordingId) -> Result<(), Undone> {
        let left = beside(&self.path, id);
        if left.symlink_metadata().is_err() {
            return Ok(());
        }
        // It may be what the name stands for on the disk still.
        self.sync()?;
        destroy(&left)
    }

    /// Returns the recordings that have a key file, or something beside one, in the order of their names.
    pub(super) fn recordings(path: &Path) -> Result<Vec<RecordingId>, Undone> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(failed("read", path))? {
            let name = entry.map_err(failed("read", path))?.file_name();
            let name = name.to_string_lossy();
            let id = name.strip_suffix(BESIDE).unwrap_or(&name).strip_suffix(".key");
            found.extend(id.and_then(|id| id.parse::<RecordingId>().ok()));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Returns what opens a recording, without waiting to be alone: its key file, and what a rewrap has beside it, which is marked.
    pub(super) fn all_of(path: &Path, id: RecordingId) -> Result<Vec<(Vec<u8>, bool)>, Undone> {
        let mut found = Vec::new();
        for (path, is_beside) in [(key(path, id), false), (beside(path, id), true)] {
            let mut bytes = Vec::new();
            let read = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(&path);
            match read.and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
                Ok(_) => found.push((bytes, is_beside)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
        Ok(found)
    }

    fn sync(&self) -> Result<(), Undone> {
        self.folder.sync_all().map_err(failed("make durable what was changed in", &self.path))
    }
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
#[allow(clippy::unwrap_used, reason = "a test may panic")]
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
        let folder = KeyFolder::alone(home.path()).unwrap();
        let (old, bytes) = folder.read(ID).unwrap().unwrap();
        assert_eq!(bytes, b"the old wraps");

        folder.replace(ID, &old, b"the new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"the new");
        let mut left = Vec::new();
        (&old).rewind().unwrap();
        (&old).read_to_end(&mut left).unwrap();
        assert_eq!(left, [0; 13]);
        assert_eq!(names(home.path()), [format!("{ID}.key")]);
        // The same where the two cannot change places.
        let (second, _) = folder.read(ID).unwrap().unwrap();
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
        let folder = KeyFolder::alone(home.path()).unwrap();
        let (old, _) = folder.read(ID).unwrap().unwrap();
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
        let folder = KeyFolder::alone(home.path()).unwrap();
        let witness = |name| fs::read(home.path().join(name)).unwrap();

        folder.tidy(ID).unwrap();
        assert_eq!((left.exists(), witness("other witness")), (false, vec![0; 5]));
        assert_eq!(KeyFolder::recordings(home.path()).unwrap(), [ID]);
        fs::write(&left, b"wraps").unwrap();
        folder.destroy(ID).unwrap();

        assert!(KeyFolder::is_without(home.path(), ID));
        assert_eq!(witness("witness"), [0; 13]);
    }

    #[test]
    fn a_link_in_the_place_of_the_keys_is_not_followed() {
        let (home, path) = folder();
        let others = home.path().join("others");
        fs::rename(&path, &others).unwrap();
        std::os::unix::fs::symlink(&others, &path).unwrap();
        let folder = KeyFolder::alone(home.path()).unwrap();

        assert_eq!(folder.read(ID).unwrap_err().doing, "read");
        assert_eq!(folder.destroy(ID).unwrap_err().doing, "open");
        assert_eq!(fs::read(others).unwrap(), b"the old wraps");
    }
}
