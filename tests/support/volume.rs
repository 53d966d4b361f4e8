//! A filesystem of its own for a site's data: one that can be cut from its power, frozen, filled, and mounted again. As root only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::child::Running;
use super::site::Site;

/// A filesystem that is mounted where the site has its data.
pub(crate) struct Volume {
    at: PathBuf,
    image: Option<PathBuf>,
}

impl Volume {
    /// An ext4 of so many MiB in a file, by a loop device. The file lies in this folder.
    pub(crate) fn ext4(site: &Site, folder: &Path, mib: u32) -> Self {
        let image = folder.join("volume.img");
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(u64::from(mib) << 20))
            .expect("there is room for a sparse file");
        does("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", text(&image)]);
        let volume = Self { at: site.data(), image: Some(image) };
        std::fs::create_dir_all(&volume.at).expect("the site's directory can be written");
        volume.mount();
        volume
    }

    /// A filesystem in memory that holds so many MiB.
    pub(crate) fn tmpfs(at: &Path, mib: u32) -> Self {
        std::fs::create_dir_all(at).expect("the site's directory can be written");
        does("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m,mode=700"), "mitschnitt-test", text(at)]);
        Self { at: at.to_owned(), image: None }
    }

    /// Where it is mounted.
    pub(crate) fn at(&self) -> &Path {
        &self.at
    }

    /// Cuts it from its power: what its journal has not written is lost, and nothing goes to it any more. Returns when it still had power.
    pub(crate) fn cut(&self) -> Instant {
        static CUTTER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
        let (_, cutter) = CUTTER.get_or_init(|| {
            let folder = tempfile::tempdir().expect("there is room for a directory");
            let program = folder.path().join("cut");
            does("cc", &["-O1", "-o", text(&program), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cut.c")]);
            (folder, program)
        });
        let powered = Instant::now();
        does(text(cutter), &[text(&self.at)]);
        powered
    }

    /// Mounts it anew: what is not on the disk is gone then, whatever memory has shown. Nobody may have a file of it open.
    pub(crate) fn mount_again(&self) {
        does("umount", &[text(&self.at)]);
        self.mount();
    }

    /// Whoever writes to it waits from now on, until it thaws.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        does("fsfreeze", &["-f", text(&self.at)]);
        Frozen(self)
    }

    /// Makes it read-only as a kernel does that has found a fault on it: whoever writes gets `EROFS`, until it is mounted again.
    pub(crate) fn becomes_read_only(&self) {
        does("mount", &["-o", "remount,abort", text(&self.at)]);
    }

    /// Takes all the room there is, but for so many bytes; gives it back when it is dropped.
    pub(crate) fn fill(&self, but: u64) -> Ballast {
        let path = self.at.join("ballast");
        let mut ballast = std::fs::File::create(&path).expect("it can be written");
        // It takes what is there, and then less and less.
        for size in [1 << 20, 1 << 16, 1 << 12] {
            while std::io::Write::write_all(&mut ballast, &vec![0xbb; size]).is_ok() {}
        }
        let length = ballast.metadata().expect("it is open").len();
        ballast.set_len(length.saturating_sub(but)).expect("it can become shorter");
        Ballast(path)
    }

    /// Looks after it as a system does that starts, and mounts it again.
    pub(crate) fn check_and_mount_again(&self) {
        does("umount", &[text(&self.at)]);
        let image = self.image.as_deref().expect("it lies in a file");
        let ended = Running::run("e2fsck", Command::new("e2fsck").args(["-f", "-y", text(image)]), Duration::from_secs(60));
        assert!(ended.status.code().is_some_and(|code| code < 4), "{}{}", ended.out, ended.err);
        self.mount();
    }

    fn mount(&self) {
        let image = self.image.as_deref().expect("it lies in a file");
        does("mount", &["-o", "loop", text(image), text(&self.at)]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left somebody there.
        Command::new("umount").arg("-l").arg(&self.at).status().ok();
    }
}

/// What takes all the room.
pub(crate) struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// A filesystem that is frozen; it thaws in the end, for nobody could even remove it otherwise.
pub(crate) struct Frozen<'v>(&'v Volume);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        Command::new("fsfreeze").arg("-u").arg(&self.0.at).status().ok();
    }
}

/// Runs a tool of the system.
fn does(tool: &str, words: &[&str]) {
    let ended = Running::run(tool, Command::new(tool).args(words), Duration::from_secs(60));
    let why = "filesystems of one's own want root and loop devices; tests/run.sh installs what else the tests need";
    assert!(ended.status.success(), "{tool} {words:?}: {}{}\n  {why}", ended.out, ended.err);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the test's own directory has a plain name")
}
