//! What waits for a timestamp, and the timestamps, in SQLite.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::catalogue::{Stamp, Subject};
use crate::node::clock;
use crate::node::store::rows::{count, unknown, word};
use crate::time::Wall;
use crate::vault::Digest;

const WAIT: &str = "INSERT INTO stamps (since_us, head, recording, root) VALUES (?1, ?2, ?3, ?4)";

const WAITING: &str = "SELECT count(*) AS n FROM stamps WHERE answer IS NULL";

const GIVE_UP: &str = "
    DELETE FROM stamps WHERE number IN (SELECT number FROM stamps WHERE answer IS NULL ORDER BY number LIMIT ?1)";

const NEXT: &str = "SELECT * FROM stamps WHERE answer IS NULL ORDER BY tries, number LIMIT 1";

/// Has these wait; gives up the oldest of what waits beyond `most`, and returns how many these were.
pub(super) fn wait(transaction: &Transaction<'_>, subjects: &[Subject], most: u64) -> rusqlite::Result<u64> {
    let since = clock::wall().unix_micros();
    for subject in subjects {
        let (head, recording, root) = match subject {
            Subject::Head(signed) => (Some(signed.to_string()), None, None),
            Subject::Root { recording, root } => (None, Some(recording.to_string()), Some(root.as_bytes().as_slice())),
        };
        transaction.prepare_cached(WAIT)?.execute(params![since, head, recording, root])?;
    }
    let too_many = waiting(transaction)?.saturating_sub(most);
    if too_many > 0 {
        transaction.execute(GIVE_UP, [i64::try_from(too_many).unwrap_or(i64::MAX)])?;
    }
    Ok(too_many)
}

/// Keeps an answer; nothing where what it is of was given up meanwhile.
pub(super) fn stamped(transaction: &Transaction<'_>, number: u64, answer: &[u8]) -> rusqlite::Result<()> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    transaction.execute("UPDATE stamps SET answer = ?2 WHERE number = ?1 AND answer IS NULL", params![number, answer]).map(drop)
}

pub(super) fn not_stamped(transaction: &Transaction<'_>, number: u64) -> rusqlite::Result<()> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    transaction.execute("UPDATE stamps SET tries = tries + 1 WHERE number = ?1", [number]).map(drop)
}

pub(super) fn next(db: &Connection) -> rusqlite::Result<(Option<Stamp>, u64)> {
    Ok((db.prepare_cached(NEXT)?.query_row([], stamp).optional()?, waiting(db)?))
}

pub(super) fn all(db: &Connection, each: &mut dyn FnMut(Stamp)) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT * FROM stamps ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(stamp(row)?);
    }
    Ok(())
}

fn waiting(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached(WAITING)?.query_row([], |row| count(row, "n"))
}

fn stamp(row: &Row<'_>) -> rusqlite::Result<Stamp> {
    let subject = match row.get::<_, Option<String>>("head")? {
        Some(line) => Subject::Head(line.parse().map_err(|_| unknown("head"))?),
        None => Subject::Root { recording: word(row, "recording")?, root: Digest::from_bytes(row.get("root")?) },
    };
    let since = Wall::from_unix_micros(row.get("since_us")?);
    Ok(Stamp { number: count(row, "number")?, subject, since, tries: count(row, "tries")?, answer: row.get("answer")? })
}
