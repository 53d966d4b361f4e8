//! What was deleted, taken out of the files too: the journal emptied, and the file made anew where it stands there all the same.
//!
//! `secure_delete` overwrites what is deleted where it stands. What it leaves are copies: in the journal, until that is emptied; and in the room
//! between the rows of a page, where rows once stood that have moved to another page since.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem::Finder;
use rusqlite::Connection;

use crate::catalogue::Purged;
use crate::private::Private;

/// More than so many texts are not looked for one by one: the file is made anew, which leaves nothing.
const SOUGHT: usize = 64;

/// Empties the journal, looks for these texts, and makes the file anew where one stands there.
pub(super) fn purge(db: &Connection, path: &Path, gone: &[Private<String>]) -> rusqlite::Result<Purged> {
    let sought = || stands(path, gone).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()));
    if !empty_journal(db)? {
        return Ok(Purged::Journal);
    }
    if gone.len() <= SOUGHT && !sought()? {
        return Ok(Purged::Clean);
    }
    // What SQLite keeps on the way would else lie in a file in /var/tmp, with everybody's numbers.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.execute_batch("VACUUM")?;
    if !empty_journal(db)? {
        return Ok(Purged::Journal);
    }
    Ok(if gone.len() <= SOUGHT && sought()? { Purged::Left } else { Purged::Clean })
}

/// Writes the journal into the file and empties it, once nobody reads what it has.
fn empty_journal(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

/// Whether one of the texts stands in the ledger's file, or one beside it.
fn stands(path: &Path, gone: &[Private<String>]) -> io::Result<bool> {
    let finders: Vec<_> =
        gone.iter().map(|text| Finder::new(text.reveal().as_bytes())).filter(|text| !text.needle().is_empty()).collect();
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match kept_open(&PathBuf::from(name)) {
            Ok(file) => {
                if is_in(FromStart { file: &file, at: 0 }, &finders)? {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// A file's disk, and its number there.
type Inode = (u64, u64);

/// Opens one of the ledger's files, for good: SQLite's locks are the process's, and the kernel drops all of them when any handle of the file is closed
/// (fcntl(2)). Another connection of ours would go on without the locks that it believes to have.
fn kept_open(path: &Path) -> io::Result<Arc<File>> {
    static OPEN: Mutex<Vec<(Inode, Arc<File>)>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let there = fs::metadata(path)?;
    let which = (there.dev(), there.ino());
    if let Some((_, file)) = open.iter().find(|(own, _)| *own == which) {
        return Ok(Arc::clone(file));
    }
    let file = Arc::new(File::open(path)?);
    let opened = file.metadata()?;
    open.push(((opened.dev(), opened.ino()), Arc::clone(&file)));
    Ok(file)
}

/// Reads a file that others read as well.
struct FromStart<'f> {
    file: &'f File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Whether one of the texts is in what is read.
fn is_in(mut input: impl Read, finders: &[Finder<'_>]) -> io::Result<bool> {
    let longest = finders.iter().map(|text| text.needle().len()).max().unwrap_or(0);
    let mut window = Vec::new();
    loop {
        // What the end of one part and the beginning of the next have together is looked at with the latter.
        let kept = window.len().min(longest.saturating_sub(1));
        window.drain(..window.len() - kept);
        if (&mut input).take(1024 * 1024).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
        if finders.iter().any(|text| text.find(&window).is_some()) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::catalogue::Opening;

    #[test]
    fn a_text_is_found_wherever_one_part_ends_and_the_next_begins() {
        let finders = [Finder::new(b"4711")];
        for before in [0, 5, 1024 * 1024 - 2, 1024 * 1024, 1024 * 1024 * 2 - 1] {
            let mut bytes = vec![b'.'; before];
            assert!(!is_in(&bytes[..], &finders).unwrap());
            bytes.extend(b"4711");
            assert!(is_in(&bytes[..], &finders).unwrap(), "{before}");
        }
    }

    #[test]
    fn whoever_has_the_ledger_open_keeps_its_locks_whatever_else_this_process_does_with_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let mut kept = crate::node::store::open(&path, Opening::Keep).unwrap();
        let locked = || {
            let locks = fs::read_to_string("/proc/locks").unwrap();
            let own = format!(" {} ", std::process::id());
            ["ledger.db", "ledger.db-shm"].map(|name| {
                let file = format!(":{} ", fs::metadata(home.path().join(name)).unwrap().ino());
                locks.lines().any(|line| line.contains(&own) && line.contains(&file))
            })
        };
        drop(kept.kept().unwrap());
        assert_eq!(locked(), [true; 2], "the connection that was opened first");

        drop(crate::node::store::open(&path, Opening::Read).unwrap());
        assert_eq!(locked(), [true; 2], "after another was opened and closed");
        assert_eq!(kept.purge(&[Private::new("nobody's number".into())]).unwrap(), Purged::Clean);
        assert_eq!(locked(), [true; 2], "after its files were looked through");
    }
}
