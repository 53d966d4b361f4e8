//! Where a recording and its wrapped keys lie: in the data directory, or on a spare disk.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::ids::RecordingId;
use crate::vault::Shelf;

/// A directory with recordings and keys.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The data directory, or the spare one.
    pub(super) fn of(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The folder of the ciphertext.
    pub(super) fn recordings(&self) -> PathBuf {
        self.0.join("recordings")
    }

    /// The folder of the wrapped keys: apart, so that destroying them erases a call even where its ciphertext stays.
    pub(super) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// A recording's file.
    pub(super) fn recording(&self, recording: RecordingId) -> PathBuf {
        self.recordings().join(format!("{recording}.rec"))
    }

    /// The file of a recording's wrapped keys.
    pub(super) fn key(&self, recording: RecordingId) -> PathBuf {
        self.keys().join(format!("{recording}.key"))
    }

    /// What a recording's file on the spare disk is called while it has a hole in the place of its first bytes, which the main disk has.
    pub(super) fn part(&self, recording: RecordingId, from: u64) -> PathBuf {
        self.recordings().join(format!("{recording}{PART}{from}"))
    }

    /// Returns the parts that lie here, with the number of bytes that each is without.
    ///
    /// # Errors
    /// The folder cannot be read. One that is not there has none.
    pub(super) fn parts(&self) -> io::Result<Vec<(RecordingId, u64)>> {
        let entries = match fs::read_dir(self.recordings()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut parts = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let split = name.to_str().and_then(|name| name.split_once(PART));
            parts.extend(split.and_then(|(recording, from)| Some((recording.parse().ok()?, from.parse().ok()?))));
        }
        Ok(parts)
    }

    /// Makes the folders, and sees that they can be written to.
    ///
    /// # Errors
    /// They cannot.
    pub(super) fn make(&self) -> io::Result<()> {
        for folder in [self.recordings(), self.keys()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let probe = folder.join(".probe");
            fs::write(&probe, b"")?;
            fs::remove_file(&probe)?;
        }
        Ok(())
    }

    /// Opens a folder of each filesystem that is written to: keys and recordings may lie on filesystems of their own.
    ///
    /// # Errors
    /// The folders are not there.
    pub(super) fn filesystems(&self) -> io::Result<Vec<File>> {
        let mut found: Vec<(u64, File)> = Vec::new();
        for folder in [self.keys(), self.recordings()] {
            let folder = File::open(&folder)?;
            let device = folder.metadata()?.dev();
            if found.iter().all(|&(known, _)| known != device) {
                found.push((device, folder));
            }
        }
        Ok(found.into_iter().map(|(_, folder)| folder).collect())
    }
}

const PART: &str = ".rec.from-";

/// The folders of all disks.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    pub(super) main: Folder,
    /// Nothing where there is no spare disk, or it does not work.
    pub(super) spare: Option<Folder>,
    /// There is one, and it does not work: what lies on it is not to be had.
    pub(super) is_spare_missing: bool,
}

impl Folders {
    /// Makes the folders of both disks. A spare one that does not work is none: the main one does.
    ///
    /// # Errors
    /// The main one does not work.
    pub(super) fn make(data: &Path, spare: Option<&Path>) -> io::Result<Self> {
        let main = Folder::of(data);
        main.make()?;
        let made = spare.map(|path| Self::make_spare(&main, path));
        let is_spare_missing = matches!(made, Some(Err(_)));
        if let Some(Err(error)) = &made {
            tracing::error!(%error, "spare_disk_does_not_work");
        }
        Ok(Self { main, spare: made.and_then(Result::ok), is_spare_missing })
    }

    fn make_spare(main: &Folder, path: &Path) -> io::Result<Folder> {
        // It is not made where it is not there: that is how a disk looks that is not mounted.
        let device = fs::metadata(path)?.dev();
        let is_the_same =
            [main.recordings(), main.keys()].iter().any(|folder| fs::metadata(folder).is_ok_and(|it| it.dev() == device));
        if is_the_same {
            return Err(io::Error::other("it lies on the disk of the data directory: is it mounted?"));
        }
        let spare = Folder::of(path);
        spare.make()?;
        Ok(spare)
    }

    /// Returns the folder of a disk.
    pub(super) fn on(&self, shelf: Shelf) -> Option<&Folder> {
        match shelf {
            Shelf::Main => Some(&self.main),
            Shelf::Spare => self.spare.as_ref(),
        }
    }

    /// Returns all folders.
    pub(super) fn all(&self) -> impl Iterator<Item = &Folder> {
        std::iter::once(&self.main).chain(&self.spare)
    }

    /// Returns where a recording lies. What the main disk has of one that was moved is a part of it at most.
    pub(super) fn of(&self, recording: RecordingId) -> &Folder {
        self.spare.as_ref().filter(|spare| spare.recording(recording).exists()).unwrap_or(&self.main)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const ID: RecordingId = RecordingId::from_bytes([7; 16]);

    #[test]
    fn a_spare_directory_on_the_same_disk_or_not_there_is_no_spare() {
        let home = tempfile::tempdir().unwrap();
        let (data, spare) = (home.path().join("data"), home.path().join("spare"));
        assert!(Folders::make(&data, None).is_ok_and(|folders| folders.spare.is_none() && !folders.is_spare_missing));

        assert!(Folders::make(&data, Some(&spare)).is_ok_and(|folders| folders.spare.is_none() && folders.is_spare_missing));
        assert!(!spare.exists(), "a place where a disk is to be mounted is not made");
        fs::create_dir(&spare).unwrap();
        assert!(Folders::make(&data, Some(&spare)).is_ok_and(|folders| folders.spare.is_none() && folders.is_spare_missing));
        assert_eq!(fs::read_dir(&spare).unwrap().count(), 0);
    }

    #[test]
    fn a_recording_lies_where_all_of_it_is() {
        let home = tempfile::tempdir().unwrap();
        let [main, spare] = ["main", "spare"].map(|name| Folder::of(&home.path().join(name)));
        main.make().unwrap();
        spare.make().unwrap();
        fs::write(main.recording(ID), b"its begin").unwrap();
        fs::write(spare.part(ID, 9), b"").unwrap();
        fs::write(spare.recordings().join("something else.rec.from-9"), b"").unwrap();
        let folders = Folders { main: main.clone(), spare: Some(spare.clone()), is_spare_missing: false };

        assert_eq!(folders.of(ID).recording(ID), main.recording(ID));
        assert_eq!(spare.parts().unwrap(), [(ID, 9)]);
        fs::rename(spare.part(ID, 9), spare.recording(ID)).unwrap();
        assert_eq!(folders.of(ID).recording(ID), spare.recording(ID));
        assert_eq!(spare.parts().unwrap(), []);
        assert_eq!(Folder::of(&home.path().join("gone")).parts().unwrap(), []);
    }
}
