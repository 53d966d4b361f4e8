//! Whether the vault has room and works: watched once a second by a thread of its own, which a disk that hangs may keep waiting.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use prometheus::IntGauge;

use crate::node::folders::{Folder, Folders};
use crate::node::metrics::Metrics;
use crate::vault::Shelf;

/// The threads; they end once this is dropped, and are not waited for: a disk that hangs may hold one.
pub(super) struct Room {
    _ends: Vec<mpsc::Sender<()>>,
}

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// No answer for so long: the vault is shut, for a disk that hangs takes no recording either. Longer than any sync that is only slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept free where the operator says nothing: 5 percent of the disk, and no more than this.
const RESERVE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What is kept free where the operator says nothing.
const RESERVE_PERCENT: u64 = 5;

/// Above the reserve so much must be free, as a part of it, before recordings begin again: it does not go to and fro with each of them.
const AGAIN: u64 = 5;

/// Which disks take no recordings, as it was found last.
#[derive(Default, Debug)]
pub(super) struct Choice {
    is_main_shut: AtomicBool,
    is_spare_shut: AtomicBool,
}

impl Choice {
    /// Returns whether this disk takes no recordings.
    pub(super) fn is_shut(&self, shelf: Shelf) -> bool {
        self.of(shelf).load(Ordering::Relaxed)
    }

    const fn of(&self, shelf: Shelf) -> &AtomicBool {
        match shelf {
            Shelf::Main => &self.is_main_shut,
            Shelf::Spare => &self.is_spare_shut,
        }
    }
}

/// Watches the disks, and says in the metrics what it finds: signalling looks at them once a second. Each disk is watched alone, for the one
/// that hangs must not keep the other waiting.
///
/// # Errors
/// There are no threads to be had.
pub(super) fn watch(folders: &Folders, reserve_percent: Option<u64>, metrics: &Arc<Metrics>) -> io::Result<(Room, Arc<Choice>)> {
    let choice = Arc::new(Choice::default());
    // One that is not there is shut.
    choice.is_spare_shut.store(folders.spare.is_none(), Ordering::Relaxed);
    metrics.spare_failing.set(folders.is_spare_missing.into());
    let mut ends = Vec::new();
    for shelf in [Shelf::Main, Shelf::Spare] {
        if let Some(folder) = folders.on(shelf) {
            let watched = Watched { shelf, choice: Arc::clone(&choice), metrics: Arc::clone(metrics) };
            ends.push(watch_one(watched, folder, reserve_percent)?);
        }
    }
    Ok((Room { _ends: ends }, choice))
}

fn watch_one(mut watched: Watched, folder: &Folder, reserve_percent: Option<u64>) -> io::Result<mpsc::Sender<()>> {
    let folders = [folder.recordings(), folder.keys()];
    let (ends, end) = mpsc::channel();
    let (answers, answered) = mpsc::channel();
    let (shelf, measures) = (watched.shelf, Arc::clone(&watched.metrics));
    // Who looks, and who minds how long that takes.
    std::thread::Builder::new().name("room".into()).spawn(move || {
        while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let found = look(&folders, reserve_percent, failing(&measures, shelf).get() != 0);
            if answers.send(found).is_err() {
                break;
            }
        }
    })?;
    std::thread::Builder::new().name("room-clock".into()).spawn(move || {
        loop {
            let found = match answered.recv_timeout(PATIENCE) {
                Ok(found) => found,
                Err(RecvTimeoutError::Timeout) => Err(io::Error::from(io::ErrorKind::TimedOut)),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            watched.tell(found);
        }
    })?;
    Ok(ends)
}

/// A disk that is watched.
struct Watched {
    shelf: Shelf,
    choice: Arc<Choice>,
    metrics: Arc<Metrics>,
}

const fn failing(metrics: &Metrics, shelf: Shelf) -> &IntGauge {
    match shelf {
        Shelf::Main => &metrics.vault_failing,
        Shelf::Spare => &metrics.spare_failing,
    }
}

/// What is found of the disk.
struct Found {
    free: u64,
    reserve: u64,
    /// A file could be written and synced: it works again. What fails after that is another matter.
    was_probed: bool,
}

/// Looks at the disks of both folders; the one with less room counts. While something fails, a file is written, synced and removed again, for
/// without recordings nothing else would show that it works again.
fn look(folders: &[PathBuf], reserve_percent: Option<u64>, is_failing: bool) -> io::Result<Found> {
    let mut least: Option<Found> = None;
    for folder in folders {
        let disk = rustix::fs::statvfs(folder)?;
        let [free, all] = [disk.f_bavail, disk.f_blocks].map(|blocks| blocks.saturating_mul(disk.f_frsize));
        let percent = |percent| all / 100 * percent;
        let reserve = reserve_percent.map_or_else(|| percent(RESERVE_PERCENT).min(RESERVE_BYTES), percent);
        let found = Found { free, reserve, was_probed: is_failing };
        if least.as_ref().is_none_or(|least| found.room() < least.room()) {
            least = Some(found);
        }
        if is_failing {
            probe(folder)?;
        }
    }
    least.ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Found {
    const fn room(&self) -> u64 {
        self.free.saturating_sub(self.reserve)
    }

    /// Returns whether no recording may begin: from the reserve on, and until there is somewhat more than that again.
    const fn is_full(&self, was_shut: bool) -> bool {
        self.room() == 0 || (was_shut && self.room() < self.reserve / AGAIN)
    }
}

fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(".probe");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    fs::remove_file(&path)
}

impl Watched {
    /// Says in metrics and log what was found.
    fn tell(&mut self, found: io::Result<Found>) {
        let Self { shelf, choice, metrics } = self;
        let was_shut = choice.is_shut(*shelf);
        let is_shut = match &found {
            Ok(found) => {
                let free = match shelf {
                    Shelf::Main => &metrics.vault_free,
                    Shelf::Spare => &metrics.spare_free,
                };
                free.set(i64::try_from(found.free).unwrap_or(i64::MAX));
                if found.was_probed {
                    failing(metrics, *shelf).set(0);
                }
                found.is_full(was_shut)
            }
            Err(_) => true,
        };
        choice.of(*shelf).store(is_shut, Ordering::Relaxed);
        metrics.vault_shut.set((choice.is_shut(Shelf::Main) && choice.is_shut(Shelf::Spare)).into());
        match (was_shut, is_shut, found) {
            (false, true, Ok(Found { free, reserve, .. })) => tracing::error!(?shelf, free, reserve, "vault_is_full"),
            (false, true, Err(error)) => tracing::error!(?shelf, %error, "vault_does_not_work"),
            (true, false, _) => tracing::warn!(?shelf, "vault_takes_recordings_again"),
            (false | true, _, _) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn from_the_reserve_on_it_is_full_until_there_is_a_fifth_more() {
        let found = |free| Found { free, reserve: 100, was_probed: false };

        assert_eq!([99, 100, 101, 119, 120].map(|free| found(free).is_full(false)), [true, true, false, false, false]);
        assert_eq!([99, 100, 101, 119, 120].map(|free| found(free).is_full(true)), [true, true, true, true, false]);
    }

    #[test]
    fn what_fails_shuts_it_and_what_works_opens_it_again() {
        let metrics = Arc::new(Metrics::new());
        metrics.vault_failing.set(1);
        let choice = Arc::new(Choice::default());
        choice.is_spare_shut.store(true, Ordering::Relaxed);
        let mut main = Watched { shelf: Shelf::Main, choice: Arc::clone(&choice), metrics: Arc::clone(&metrics) };

        main.tell(Err(io::Error::other("EIO")));
        assert_eq!((metrics.vault_shut.get(), metrics.vault_failing.get()), (1, 1));
        main.tell(Ok(Found { free: 200, reserve: 100, was_probed: false }));
        assert_eq!(metrics.vault_shut.get(), 0);
        assert_eq!(metrics.vault_failing.get(), 1, "what failed since it was looked at is not forgotten for there being room");
        main.tell(Err(io::Error::other("EIO")));
        main.tell(Ok(Found { free: 110, reserve: 100, was_probed: true }));
        assert_eq!((metrics.vault_shut.get(), metrics.vault_failing.get()), (1, 0), "it works, and is nearly full");
        main.tell(Ok(Found { free: 200, reserve: 100, was_probed: false }));
        assert_eq!((metrics.vault_shut.get(), metrics.vault_free.get()), (0, 200));
    }

    #[test]
    fn with_a_spare_disk_the_vault_is_shut_once_neither_takes_recordings() {
        let metrics = Arc::new(Metrics::new());
        let choice = Arc::new(Choice::default());
        let [mut main, mut spare] = [Shelf::Main, Shelf::Spare].map(|shelf| Watched {
            shelf,
            choice: Arc::clone(&choice),
            metrics: Arc::clone(&metrics),
        });
        metrics.spare_failing.set(1);

        main.tell(Err(io::Error::other("EIO")));
        assert!(choice.is_shut(Shelf::Main) && metrics.vault_shut.get() == 0);
        spare.tell(Ok(Found { free: 100, reserve: 100, was_probed: true }));
        assert!(choice.is_shut(Shelf::Spare) && metrics.vault_shut.get() == 1);
        assert_eq!((metrics.spare_free.get(), metrics.spare_failing.get()), (100, 0));
        main.tell(Ok(Found { free: 200, reserve: 100, was_probed: false }));
        assert_eq!(metrics.vault_shut.get(), 0);
    }

    #[test]
    fn a_folder_that_is_gone_or_cannot_be_written_to_fails() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_path_buf();

        let works = look(std::slice::from_ref(&folder), Some(1), true).unwrap();
        assert!(works.free > 0 && works.reserve > 0);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing of the probe is left");
        assert!(look(&[folder.join("gone")], Some(1), false).is_err());
        fs::create_dir(folder.join(".probe")).unwrap();
        assert!(look(std::slice::from_ref(&folder), Some(1), true).is_err());
        assert!(look(&[folder], Some(1), false).is_ok(), "it is only looked at where something has failed");
    }
}
