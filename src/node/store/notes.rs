//! Notes in SQLite: what was noted, in rows that stay, and what says who somebody is, in rows that may be cleared.

use rusqlite::{Connection, Row, Transaction, params};

use crate::catalogue::{About, Bound, Event, Note, NoteKind, Number, Part};
use crate::ids::{CallId, RecordingId};
use crate::node::store::chain::{Writer, fresh};
use crate::node::store::rows::{count, unknown, word};
use crate::private::Private;
use crate::time::Wall;
use crate::vault::Digest;

/// A note's columns as they are bound.
const NOTE: &str = "
    json_array(number, at_us, hex(who), kind, recording, field, earlier, iif(reason IS NULL, NULL, hex(reason)), calls, recordings, is_done)";

const ADD: &str = "
    INSERT INTO notes (at_us, who, kind, recording, field, earlier, reason, calls, recordings, is_done, salt)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// What of a note may be cleared, as it is bound: with the note's number, so that no two are alike.
const WORDS: &str = "SELECT json_array(?1, hex(?2))";

const NOTES: &str = "SELECT notes.*, text FROM notes LEFT JOIN words ON note = number ORDER BY number";

/// Writes a note and its event; returns its number.
pub(super) fn note_down(transaction: &Transaction<'_>, note: &Note, chain: &mut Writer<'_>) -> rusqlite::Result<u64> {
    let (salt, [calls, recordings]) = (fresh()?, note.counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
    let (field, earlier) = match &note.about {
        About::Field { field, .. } => (Some(field.as_str()), None),
        About::Earlier(number) => (None, Some(i64::try_from(*number).unwrap_or(i64::MAX))),
        About::Person(_) | About::Calls(_) | About::Complaint { .. } => (None, None),
    };
    let recording = note.about.recording();
    transaction.prepare_cached(ADD)?.execute(params![
        note.at.unix_micros(),
        note.who,
        note.kind.as_str(),
        recording.map(|recording| recording.to_string()),
        field,
        earlier,
        note.reason,
        calls,
        recordings,
        note.is_done,
        salt.as_slice(),
    ])?;
    let number = transaction.last_insert_rowid();
    let columns: String =
        transaction.query_row(&format!("SELECT {NOTE} FROM notes WHERE number = ?1"), [number], |row| row.get(0))?;
    let words = note.about.words().map(|words| put_words(transaction, number, note, words)).transpose()?;
    chain.add(&Event::Note { kind: note.kind, recording, line: Part::Note.digest(&salt, &columns), words })?;
    Ok(u64::try_from(number).unwrap_or(0))
}

fn put_words(transaction: &Transaction<'_>, number: i64, note: &Note, words: &Private<String>) -> rusqlite::Result<Digest> {
    let salt = fresh()?;
    let digest = digest(transaction, number, words.reveal(), &salt)?;
    // Whoever was looked for is known again by the digest alone.
    let text = if matches!(note.about, About::Person(_)) { None } else { Some(words.reveal()) };
    transaction.execute(
        "INSERT INTO words (note, text, digest, salt) VALUES (?1, ?2, ?3, ?4)",
        params![number, text, digest.as_bytes().as_slice(), salt.as_slice()],
    )?;
    Ok(digest)
}

fn digest(db: &Connection, number: i64, words: &str, salt: &[u8; 32]) -> rusqlite::Result<Digest> {
    let columns: String = db.prepare_cached(WORDS)?.query_row(params![number, words], |row| row.get(0))?;
    Ok(Part::Words.digest(salt, &columns))
}

pub(super) fn notes(db: &Connection) -> rusqlite::Result<Vec<Note>> {
    db.prepare(NOTES)?.query_map([], note)?.collect()
}

fn note(row: &Row<'_>) -> rusqlite::Result<Note> {
    let recording: Option<RecordingId> =
        row.get::<_, Option<String>>("recording")?.map(|text| text.parse()).transpose().map_err(|_| unknown("recording"))?;
    let words = || row.get::<_, Option<String>>("text").map(|text| text.map(Private::new));
    let kind: NoteKind = word(row, "kind")?;
    let about = match kind {
        NoteKind::Sought | NoteKind::HandedOver => About::Person(None),
        NoteKind::Cleared => About::Calls(recording),
        NoteKind::Corrected => About::Field {
            recording: recording.ok_or_else(|| unknown("recording"))?,
            field: word(row, "field")?,
            value: words()?,
        },
        NoteKind::Complaint => About::Complaint { recording, text: words()? },
        NoteKind::Closed => About::Earlier(count(row, "earlier")?),
    };
    Ok(Note {
        number: count(row, "number")?,
        at: Wall::from_unix_micros(row.get("at_us")?),
        who: row.get("who")?,
        kind,
        about,
        reason: row.get("reason")?,
        counts: [count(row, "calls")?, count(row, "recordings")?],
        is_done: row.get("is_done")?,
    })
}

/// Those whose digest is that of this number under their salt.
pub(super) fn of_person(db: &Connection, number: &Number) -> rusqlite::Result<Vec<u64>> {
    let mut statement = db.prepare("SELECT note, digest, salt FROM words WHERE text IS NULL ORDER BY note")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let note: i64 = row.get("note")?;
        let (told, salt): ([u8; 32], [u8; 32]) = (row.get("digest")?, row.get("salt")?);
        if digest(db, note, number.form().reveal(), &salt)? == Digest::from_bytes(told) {
            found.push(u64::try_from(note).unwrap_or(0));
        }
    }
    Ok(found)
}

/// Clears who talked in these calls, and what is known of the person.
pub(super) fn clear(transaction: &Transaction<'_>, calls: &[CallId], person: Option<&Number>) -> rusqlite::Result<u64> {
    let mut cleared = 0;
    let mut parties = transaction.prepare("DELETE FROM parties WHERE call = ?1")?;
    let mut headers = transaction.prepare("DELETE FROM headers WHERE call = ?1")?;
    let mut corrected = transaction.prepare(
        "DELETE FROM words WHERE note IN (SELECT number FROM notes JOIN calls USING (recording)
                                          WHERE kind = 'corrected' AND calls.call = ?1)",
    )?;
    for call in calls {
        let call = call.to_string();
        cleared += u64::try_from(parties.execute([&call])?).unwrap_or(0);
        headers.execute([&call])?;
        corrected.execute([&call])?;
    }
    let known = person.map(|person| of_person(transaction, person)).transpose()?.unwrap_or_default();
    for note in known {
        let note = i64::try_from(note).unwrap_or(i64::MAX);
        transaction.execute("DELETE FROM words WHERE note = ?1", [note])?;
    }
    Ok(cleared)
}

pub(super) fn bound(db: &Connection, each: &mut dyn FnMut(Bound)) -> rusqlite::Result<()> {
    let query = format!(
        "SELECT n.salt, n.columns, words.salt AS words_salt, json_array(note, hex(text)) AS words, digest AS told, text IS NULL AS is_alone
         FROM (SELECT number, salt, {NOTE} AS columns FROM notes) AS n LEFT JOIN words ON note = n.number"
    );
    let mut statement = db.prepare(&query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line = Part::Note.digest(&row.get("salt")?, &row.get::<_, String>("columns")?);
        let words = match row.get::<_, Option<[u8; 32]>>("words_salt")? {
            None => None,
            // The digest stands for the number, which is nowhere.
            Some(_) if row.get("is_alone")? => Some(Digest::from_bytes(row.get("told")?)),
            Some(salt) => Some(Part::Words.digest(&salt, &row.get::<_, String>("words")?)),
        };
        each(Bound::Note { line, words });
    }
    Ok(())
}
