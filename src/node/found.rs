//! Recordings that lie on the disk and in no row of the ledger: a kill may come between the two. They are given a row at the next start.

use std::fs::{self, File};
use std::io;
use std::time::SystemTime;

use crate::catalogue::{Store, Write};
use crate::ids::RecordingId;
use crate::node::clock;
use crate::node::folders::{Folder, Folders};
use crate::vault::Header;

/// Gives a row to every recording that has none, and returns how many there were.
///
/// Keys are looked for, for what has none nobody opens; and where there are keys alone, nothing was recorded. Beside one look at the folder
/// and one at the ledger's index (a million recordings: some two seconds) only what was found costs anything.
///
/// # Errors
/// The folder, or the ledger.
pub(super) fn adopt(store: &mut dyn Store, folders: &Folders) -> io::Result<u64> {
    let mut with_keys = Vec::new();
    for folder in folders.all() {
        for entry in fs::read_dir(folder.keys())? {
            with_keys.extend(entry?.file_name().to_str().and_then(|name| name.strip_suffix(".key")?.parse::<RecordingId>().ok()));
        }
    }
    if folders.spare.is_some() {
        with_keys.sort_unstable();
        with_keys.dedup();
    }
    let without_row = store.without_row(with_keys).map_err(io::Error::other)?;
    let found: Vec<_> = without_row.into_iter().filter_map(|recording| found(folders.of(recording), recording)).collect();
    for rows in found.chunks(ROWS) {
        store.write(rows).map_err(io::Error::other)?;
    }
    Ok(found.len() as u64)
}

/// Rows in one transaction.
const ROWS: usize = 4096;

/// What can be told of it without any key. Where the file's head is not whole, the time of its last bytes has to do.
fn found(folder: &Folder, recording: RecordingId) -> Option<Write> {
    let file = File::open(folder.recording(recording)).ok()?;
    let written = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let began = Header::read(file).map_or_else(|| clock::of(written), |header| header.began);
    Some(Write::Found { recording, began })
}
