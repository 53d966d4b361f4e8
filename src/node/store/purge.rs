//! What was deleted, taken out of the files too: the journal emptied, and the file made anew where it stands there all the same.
//!
//! `secure_delete` overwrites what is deleted where it stands. What it leaves are copies: in the journal, until that is emptied; and in the room
//! between the rows of a page, where rows once stood that have moved to another page since.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

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
        match File::open(PathBuf::from(name)) {
            Ok(file) => {
                if is_in(file, &finders)? {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
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
}
