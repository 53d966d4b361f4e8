//! A file that is written: it has its name once it is whole, and until then none.
//!
//! What is written is a voice in the clear, and the file is for whoever writes it alone. It lies in its folder without a name, so that
//! nothing is left of it however the program ends; where the file system has no such files (NFS, FAT), under a hidden name that says what
//! it is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::cli::exit::Stop;
use crate::cli::progress::Progress;
use crate::cli::who;

/// A file on its way.
#[must_use = "a file that is not published is none"]
pub(super) struct Output {
    file: File,
    path: PathBuf,
    /// Its name until then, where it must have one.
    hidden: Option<PathBuf>,
}

impl Output {
    /// Begins a file that will have this name.
    pub(super) fn create(path: &Path) -> Result<Self, Stop> {
        Self::begin(path.to_owned(), path).map_err(|error| not_written(path, &error))
    }

    /// Begins a file that will lie under this name in a folder which is made once all in it is whole.
    pub(super) fn create_in(folder: &Path, name: &str) -> Result<Self, Stop> {
        // Beside the folder: from there it can be moved into it.
        let beside = folder.with_file_name(format!("{}-{name}", folder.file_name().unwrap_or_default().display()));
        Self::begin(folder.join(name), &beside).map_err(|error| not_written(folder, &error))
    }

    fn begin(path: PathBuf, beside: &Path) -> io::Result<Self> {
        let (file, hidden) = match nameless(folder_of(beside)) {
            Ok(file) => (file, None),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => hidden(beside)?,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file, path, hidden })
    }

    /// Returns the file, to be written to.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Writes a text into it.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Stop> {
        let mut file = &self.file;
        file.write_all(bytes).map_err(|error| not_written(&self.path, &error))
    }

    /// Returns the name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its SHA-256 in hexadecimal.
    pub(super) fn hash(&self) -> Result<String, Stop> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut file = &self.file;
        let read = file.rewind().and_then(|()| {
            let mut file = Progress::begin("hashing", file.metadata()?.len()).reading(file);
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    return Ok(());
                }
                hasher.update(buffer.get(..read).unwrap_or_default());
            }
        });
        read.map_err(|error| Stop::cannot(format!("cannot read `{}` again: {error}", self.path.display()), "look at the disk"))?;
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Gives it its name, which nothing else may have. Its content is durable before.
    pub(super) fn publish(self) -> Result<(), Stop> {
        self.publish_as(&self.path).map_err(|error| not_written(&self.path, &error))
    }

    fn publish_as(&self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match &self.hidden {
            None => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                Ok(rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
            }
            Some(hidden) => rename(hidden, path),
        }
    }
}

/// Where it has not got its name, it is gone. After a rename there is nothing under the hidden one.
impl Drop for Output {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            drop(fs::remove_file(hidden));
        }
    }
}

/// Gives a folder its name, with all these files of [`Output::create_in`] in it.
pub(super) fn publish_folder(folder: &Path, files: Vec<Output>) -> Result<(), Stop> {
    let failed = |error: io::Error| not_written(folder, &error);
    let hidden = hidden_name(folder);
    DirBuilder::new().mode(0o700).create(&hidden).map_err(failed)?;
    let published = files
        .iter()
        .try_for_each(|file| file.publish_as(&hidden.join(file.path.file_name().unwrap_or_default())))
        .and_then(|()| rename(&hidden, folder));
    if published.is_err() {
        drop(fs::remove_dir_all(&hidden));
    }
    published.map_err(failed)
}

/// Takes back what was published just now: a file, or a folder of them.
pub(super) fn take_back(path: &Path) {
    drop(fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)));
}

/// Says that a file cannot be written, and why.
pub(super) fn not_written(path: &Path, error: &io::Error) -> Stop {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return is_there(path);
    }
    let folder = folder_of(path).display();
    let remedy = if error.kind() == io::ErrorKind::NotFound {
        format!("there is no folder `{folder}`: make it first")
    } else {
        format!("this runs as {}; `ls -ld {folder}` shows who may write there", who::user())
    };
    Stop::cannot(format!("cannot write `{}`: {error}", path.display()), remedy)
}

/// Says that there is a file already.
pub(super) fn is_there(path: &Path) -> Stop {
    Stop::cannot(format!("`{}` is there already", path.display()), "name another file: none is overwritten")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// A file in a folder that has no name there.
fn nameless(folder: &Path) -> Result<File, Errno> {
    // It gets its name through this.
    if !Path::new("/proc/self/fd").exists() {
        return Err(Errno::NOSYS);
    }
    let file = rustix::fs::open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
    Ok(file.into())
}

fn hidden(path: &Path) -> io::Result<(File, Option<PathBuf>)> {
    let hidden = hidden_name(path);
    let file = OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(&hidden)?;
    Ok((file, Some(hidden)))
}

/// `.call.wav.4711.unfinished` for `call.wav`.
fn hidden_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.unfinished", std::process::id()))
}

/// Renames, and overwrites nothing.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know how; between the look and the renaming somebody might make one.
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        other => Ok(other?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_has_no_name_until_it_is_whole_and_is_nobody_elses() {
        for is_nameless in [true, false] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("call.wav");
            let output = begin(&path, is_nameless);
            output.file().write_all(b"half").unwrap();
            assert!(!path.exists());
            let shown = names(home.path());
            assert!(shown.is_empty() || shown == [format!(".call.wav.{}.unfinished", std::process::id())], "{shown:?}");
            assert_eq!(shown.is_empty(), is_nameless);
            output.file().write_all(b" and half").unwrap();
            assert_eq!(output.hash().unwrap(), "c26d7757b5540ad43f288bc4d70a80e2f57e737b368103aebe1487738599b8bd");

            output.publish().unwrap();

            assert_eq!(fs::read(&path).unwrap(), b"half and half");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(names(home.path()), ["call.wav"]);
        }
    }

    #[test]
    fn what_is_not_published_is_gone_and_what_is_there_stays() {
        for is_nameless in [true, false] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("call.wav");
            drop(begin(&path, is_nameless));
            assert_eq!(names(home.path()), [""; 0]);

            let late = begin(&path, is_nameless);
            fs::write(&path, "mine").unwrap();
            let refused = late.publish();

            assert!(matches!(refused, Err(Stop::Trouble(_, trouble)) if trouble.what().ends_with("is there already")));
            assert_eq!(fs::read(&path).unwrap(), b"mine");
            assert_eq!(names(home.path()), ["call.wav"]);
        }
    }

    #[test]
    fn a_folder_appears_with_all_that_is_in_it_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("call");
        let files = || ["a", "b"].map(|name| Output::create_in(&folder, name).unwrap()).into();

        let files_of_first = files();
        assert_eq!(names(home.path()), [""; 0]);
        publish_folder(&folder, files_of_first).unwrap();

        assert_eq!(names(&folder), ["a", "b"]);
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(publish_folder(&folder, files()).is_err());
        assert_eq!(names(home.path()), ["call"]);
    }

    fn begin(path: &Path, is_nameless: bool) -> Output {
        if is_nameless {
            return Output::create(path).unwrap();
        }
        let (file, hidden) = hidden(path).unwrap();
        Output { file, path: path.to_owned(), hidden }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
