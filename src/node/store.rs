//! The ledger in SQLite: one row for each call, the parties in a table of their own so that they can be erased, and the access log.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, Statement, Transaction, TransactionBehavior, named_params,
    params,
};

use crate::catalogue::{
    Access, Entry, Filter, Opening, Parties, Quality, Reason, State, Store, StoreError, Totals, Which, Write,
};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::Wall;

/// The ledger's file, opened.
///
/// It is in WAL mode, so that the command line reads while the proxy writes. `secure_delete` overwrites what is erased.
pub(crate) struct SqliteStore {
    path: PathBuf,
    db: Connection,
}

/// Opens the ledger.
///
/// # Errors
/// It is not there, may not be opened, is another program's or a newer version's, or is damaged.
pub(crate) fn open(path: &Path, opening: Opening) -> Result<Box<dyn Store>, StoreError> {
    SqliteStore::open(path, opening).map(|store| Box::new(store) as Box<dyn Store>)
}

/// "mits": what `file` and SQLite find in the header of every ledger.
const APPLICATION: i64 = 0x6d69_7473;

/// How long another process may hold the ledger. The proxy writes for some milliseconds at a time.
const PATIENCE: Duration = Duration::from_secs(5);

/// What brings a ledger of version *n* to *n + 1*; a new one goes through all.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE calls (
        call          TEXT PRIMARY KEY,
        began_us      INTEGER NOT NULL,
        answered_us   INTEGER,
        ended_us      INTEGER,
        direction     TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
        trunk         TEXT NOT NULL,
        policy        TEXT,
        purpose       TEXT,
        state         TEXT NOT NULL CHECK (state IN ('none', 'recording', 'sealed', 'torn')),
        reason        TEXT NOT NULL,
        leg           TEXT CHECK (leg IN ('pbx', 'trunk')),
        recording     TEXT UNIQUE,
        pbx_packets   INTEGER,
        trunk_packets INTEGER,
        gaps          INTEGER,
        lost          INTEGER,
        size_bytes    INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX calls_by_time ON calls (began_us);
    CREATE INDEX calls_recorded_by_time ON calls (began_us) WHERE recording IS NOT NULL;
    CREATE INDEX calls_open ON calls (call) WHERE state = 'recording' OR reason = 'in-progress';

    CREATE TABLE parties (
        call    TEXT PRIMARY KEY REFERENCES calls (call),
        calling TEXT NOT NULL,
        called  TEXT NOT NULL,
        call_id TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE accesses (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us     INTEGER NOT NULL,
        who       TEXT NOT NULL,
        deed      TEXT NOT NULL,
        recording TEXT NOT NULL,
        purpose   TEXT,
        outcome   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX accesses_by_recording ON accesses (recording, number);
    CREATE TRIGGER accesses_are_not_changed BEFORE UPDATE ON accesses
        BEGIN SELECT RAISE(ABORT, 'the access log only grows'); END;
    CREATE TRIGGER accesses_are_not_removed BEFORE DELETE ON accesses
        BEGIN SELECT RAISE(ABORT, 'the access log only grows'); END;
",
    "
    ALTER TABLE accesses ADD COLUMN reason TEXT;
    CREATE INDEX erasures ON accesses (recording) WHERE deed = 'erase' AND outcome = 'done';
",
    "
    CREATE TABLE quality (
        call            TEXT NOT NULL REFERENCES calls (call),
        leg             TEXT NOT NULL CHECK (leg IN ('pbx', 'trunk')),
        expected        INTEGER NOT NULL,
        received        INTEGER NOT NULL,
        duplicates      INTEGER NOT NULL,
        reordered       INTEGER NOT NULL,
        jitter_us       INTEGER,
        worst_jitter_us INTEGER,
        longest_gap_us  INTEGER NOT NULL,
        round_trip_us   INTEGER,
        mos_hundredths  INTEGER,
        is_one_way      INTEGER NOT NULL CHECK (is_one_way IN (0, 1)),
        PRIMARY KEY (call, leg)
    ) STRICT, WITHOUT ROWID;
",
];

/// The version that [`STEPS`] lead to.
const VERSION: i64 = 3;

/// A row that is sealed or torn keeps its state, its totals and its recording; a torn one keeps its reason too, which is why.
const PUT_CALL: &str = "
    INSERT INTO calls (call, began_us, answered_us, ended_us, direction, trunk, policy, purpose, state, reason, leg, recording,
                       pbx_packets, trunk_packets, gaps, lost, size_bytes)
    VALUES (:call, :began_us, :answered_us, :ended_us, :direction, :trunk, :policy, :purpose, :state, :reason, :leg, :recording,
            :pbx_packets, :trunk_packets, :gaps, :lost, :size_bytes)
    ON CONFLICT (call) DO UPDATE SET
        began_us = excluded.began_us, answered_us = excluded.answered_us, ended_us = excluded.ended_us,
        direction = excluded.direction, trunk = excluded.trunk, policy = excluded.policy, purpose = excluded.purpose,
        reason = CASE state WHEN 'torn' THEN reason ELSE excluded.reason END,
        leg = excluded.leg,
        recording = CASE WHEN state IN ('sealed', 'torn') THEN recording ELSE excluded.recording END,
        pbx_packets = coalesce(excluded.pbx_packets, pbx_packets), trunk_packets = coalesce(excluded.trunk_packets, trunk_packets),
        gaps = coalesce(excluded.gaps, gaps), lost = coalesce(excluded.lost, lost),
        size_bytes = coalesce(excluded.size_bytes, size_bytes),
        state = CASE WHEN state IN ('sealed', 'torn') THEN state ELSE excluded.state END";

const PUT_PARTIES: &str = "
    INSERT INTO parties (call, calling, called, call_id) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (call) DO UPDATE SET calling = excluded.calling, called = excluded.called, call_id = excluded.call_id";

const SEAL: &str = "
    UPDATE calls SET state = 'sealed', pbx_packets = ?2, trunk_packets = ?3, gaps = ?4, lost = ?5, size_bytes = ?6
    WHERE recording = ?1";

const TEAR: &str = "UPDATE calls SET state = 'torn', reason = ?2 WHERE recording = ?1 AND state <> 'sealed'";

const LOSE: &str =
    "UPDATE calls SET state = 'none', recording = NULL, reason = ?2 WHERE recording = ?1 AND state NOT IN ('sealed', 'torn')";

/// Only of a call that was answered; and only where no bridge was measured before that carried more.
const MEASURE: &str = "
    INSERT OR REPLACE INTO quality
    SELECT :call, :leg, :expected, :received, :duplicates, :reordered, :jitter_us, :worst_jitter_us, :longest_gap_us, :round_trip_us,
           :mos_hundredths, :is_one_way
    FROM calls WHERE call = :call AND answered_us IS NOT NULL";

const MEASURED: &str = "SELECT coalesce(sum(received), 0) FROM quality WHERE call = ?1";

const QUALITY: &str = "SELECT * FROM quality WHERE call = ?1 AND leg = ?2";

const SELECT: &str = "
    SELECT calls.*, parties.calling, parties.called, parties.call_id,
           EXISTS (SELECT 1 FROM accesses AS a WHERE a.recording = calls.recording AND a.deed = 'erase' AND a.outcome = 'done')
               AS is_erased
    FROM calls LEFT JOIN parties USING (call)";

impl SqliteStore {
    fn open(path: &Path, opening: Opening) -> Result<Self, StoreError> {
        let is_kept = opening == Opening::Keep;
        if is_kept {
            make(path)?;
        }
        // SQLite says of every file it cannot have that it is «unable to open»; the system says why.
        if let Err(error) = OpenOptions::new().read(true).write(opening != Opening::Read).open(path) {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let path = path.to_owned();
            return Err(if is_missing { StoreError::Missing { path } } else { StoreError::Denied { path, source: error } });
        }
        let access = if opening == Opening::Read { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let db =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|error| failed(path, error))?;
        let mut store = Self { path: path.into(), db };
        store.prepare(opening)?;
        Ok(store)
    }

    fn prepare(&mut self, opening: Opening) -> Result<(), StoreError> {
        let path = self.path.clone();
        let sql = |error| failed(&path, error);
        self.db.busy_timeout(PATIENCE).map_err(sql)?;
        let number = |db: &Connection, pragma: &str| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let (application, found) =
            (number(&self.db, "application_id").map_err(sql)?, number(&self.db, "user_version").map_err(sql)?);
        let is_new = application == 0 && found == 0 && self.is_empty().map_err(sql)?;
        if !is_new && application != APPLICATION {
            return Err(StoreError::NotALedger { path });
        }
        if found > VERSION {
            return Err(StoreError::Newer { path, found, known: VERSION });
        }
        if opening == Opening::Keep {
            // SQLite answers with the mode that is then in force.
            self.db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(sql)?;
        }
        if opening != Opening::Read {
            self.db.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(())).map_err(sql)?;
            // In WAL mode a power cut may take the last transactions, never the ledger's wholeness.
            self.db.pragma_update(None, "synchronous", "NORMAL").map_err(sql)?;
            self.db.pragma_update(None, "foreign_keys", "ON").map_err(sql)?;
        }
        match opening {
            Opening::Keep => self.migrate(found).map_err(sql),
            Opening::Read | Opening::ReadAndLog if found < VERSION => Err(StoreError::Older { path }),
            Opening::Read | Opening::ReadAndLog => Ok(()),
        }
    }

    fn is_empty(&self) -> rusqlite::Result<bool> {
        self.db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
    }

    fn migrate(&mut self, found: i64) -> rusqlite::Result<()> {
        let done = usize::try_from(found).unwrap_or(0);
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in STEPS.iter().skip(done) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    }

    fn transaction(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        let written = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            work(&transaction)?;
            transaction.commit()
        });
        written.map_err(|error| failed(&self.path, error))
    }

    fn one(&self, condition: &str, id: &str) -> Result<Option<Entry>, StoreError> {
        let mut quality = self.db.prepare(QUALITY).map_err(|error| failed(&self.path, error))?;
        let found = self
            .db
            .prepare(&format!("{SELECT} WHERE {condition} = ?1"))
            .and_then(|mut statement| statement.query_row([id], entry).optional())
            .and_then(|found| found.map(|entry| measured(entry, &mut quality)).transpose());
        found.map_err(|error| failed(&self.path, error))
    }
}

impl Store for SqliteStore {
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.transaction(|transaction| writes.iter().try_for_each(|write| do_write(transaction, write)))
    }

    fn mark_torn(&mut self) -> Result<[u64; 2], StoreError> {
        let mut marked = [0; 2];
        self.transaction(|transaction| {
            let torn = transaction
                .execute("UPDATE calls SET state = 'torn', reason = ?1 WHERE state = 'recording'", [Reason::Torn.as_str()])?;
            let interrupted = transaction.execute(
                "UPDATE calls SET reason = ?1 WHERE reason = ?2",
                [Reason::Interrupted.as_str(), Reason::InProgress.as_str()],
            )?;
            marked = [torn, interrupted].map(|rows| u64::try_from(rows).unwrap_or(u64::MAX));
            Ok(())
        })?;
        Ok(marked)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        let recorded = match filter.which {
            Which::Recorded => "recording IS NOT NULL",
            Which::All => "TRUE",
        };
        // The newest ones are found by the index, and turned round here.
        let query =
            format!("{SELECT} WHERE {recorded} AND (?1 IS NULL OR reason = ?1) ORDER BY began_us DESC, call DESC LIMIT ?2");
        let newest = filter.newest.map_or(-1, |newest| i64::try_from(newest).unwrap_or(i64::MAX));
        let rows = self.db.prepare(&query).and_then(|mut statement| {
            let mut quality = self.db.prepare(QUALITY)?;
            let rows = statement.query_map(params![filter.reason.map(Reason::as_str), newest], entry)?;
            rows.map(|row| measured(row?, &mut quality)).collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut rows = rows.map_err(|error| failed(&self.path, error))?;
        rows.reverse();
        Ok(rows)
    }

    fn recording(&self, recording: RecordingId) -> Result<Option<Entry>, StoreError> {
        self.one("recording", &recording.to_string())
    }

    fn call(&self, call: CallId) -> Result<Option<Entry>, StoreError> {
        self.one("call", &call.to_string())
    }

    fn record_access(&mut self, access: &Access) -> Result<(), StoreError> {
        // Durable before anything is given out: a power cut must not take this line with it.
        let path = self.path.clone();
        self.db.pragma_update(None, "synchronous", "FULL").map_err(|error| failed(&path, error))?;
        let logged = self.transaction(|transaction| {
            transaction.execute(
                "INSERT INTO accesses (at_us, who, deed, recording, purpose, reason, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    access.at.unix_micros(),
                    access.who,
                    access.deed.as_str(),
                    access.recording.to_string(),
                    access.purpose,
                    access.reason,
                    access.outcome.as_str(),
                ],
            )?;
            Ok(())
        });
        self.db.pragma_update(None, "synchronous", "NORMAL").map_err(|error| failed(&path, error))?;
        logged
    }

    fn accesses(&self, recording: RecordingId) -> Result<Vec<Access>, StoreError> {
        let query =
            "SELECT at_us, who, deed, recording, purpose, reason, outcome FROM accesses WHERE recording = ?1 ORDER BY number";
        let rows = self.db.prepare(query).and_then(|mut statement| {
            let rows = statement.query_map([recording.to_string()], |row| {
                Ok(Access {
                    at: Wall::from_unix_micros(row.get("at_us")?),
                    who: row.get("who")?,
                    deed: word(row, "deed")?,
                    recording: word(row, "recording")?,
                    purpose: row.get("purpose")?,
                    reason: row.get("reason")?,
                    outcome: word(row, "outcome")?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.map_err(|error| failed(&self.path, error))
    }
}

/// Says which file it is.
impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteStore({})", self.path.display())
    }
}

fn do_write(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<()> {
    match write {
        Write::Put(entry) => put(transaction, entry),
        Write::Sealed(recording, Totals { packets: [pbx, trunk], gaps, lost, size_bytes }) => {
            let mut statement = transaction.prepare(SEAL)?;
            let [pbx, trunk, gaps, lost, size] = [*pbx, *trunk, *gaps, *lost, *size_bytes].map(number);
            statement.execute(params![recording.to_string(), pbx, trunk, gaps, lost, size]).map(drop)
        }
        Write::Lost(recording, reason) => {
            transaction.prepare(LOSE)?.execute([recording.to_string().as_str(), reason.as_str()]).map(drop)
        }
        Write::Torn(recording, reason) => {
            transaction.prepare(TEAR)?.execute([recording.to_string().as_str(), reason.as_str()]).map(drop)
        }
        Write::Measured(call, quality) => measure(transaction, *call, quality),
    }
}

fn measure(transaction: &Transaction<'_>, call: CallId, legs: &[Quality; 2]) -> rusqlite::Result<()> {
    let call = call.to_string();
    let carried = legs.iter().map(|quality| quality.received).sum();
    let before: i64 = transaction.query_row(MEASURED, [&call], |row| row.get(0))?;
    if before > number(carried) {
        return Ok(());
    }
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let mut statement = transaction.prepare(MEASURE)?;
    for (leg, quality) in Leg::BOTH.into_iter().zip(legs) {
        statement.execute(named_params! {
            ":call": call,
            ":leg": leg.as_str(),
            ":expected": number(quality.expected),
            ":received": number(quality.received),
            ":duplicates": number(quality.duplicates),
            ":reordered": number(quality.reordered),
            ":jitter_us": quality.jitter.map(micros),
            ":worst_jitter_us": quality.worst_jitter.map(micros),
            ":longest_gap_us": micros(quality.longest_gap),
            ":round_trip_us": quality.round_trip.map(micros),
            ":mos_hundredths": quality.mos_hundredths,
            ":is_one_way": quality.is_one_way,
        })?;
    }
    Ok(())
}

/// Adds how good what came from the call's legs was.
fn measured(entry: Entry, statement: &mut Statement<'_>) -> rusqlite::Result<Entry> {
    let call = entry.call.to_string();
    let mut of = |leg: Leg| statement.query_row([call.as_str(), leg.as_str()], quality).optional();
    let quality = of(Leg::Pbx)?.zip(of(Leg::Trunk)?).map(|(pbx, trunk)| [pbx, trunk]);
    Ok(Entry { quality, ..entry })
}

fn quality(row: &Row<'_>) -> rusqlite::Result<Quality> {
    let count = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
    let time =
        |column| row.get::<_, Option<i64>>(column).map(|us| us.map(|us| Duration::from_micros(u64::try_from(us).unwrap_or(0))));
    Ok(Quality {
        expected: count("expected")?,
        received: count("received")?,
        duplicates: count("duplicates")?,
        reordered: count("reordered")?,
        jitter: time("jitter_us")?,
        worst_jitter: time("worst_jitter_us")?,
        longest_gap: time("longest_gap_us")?.unwrap_or_default(),
        round_trip: time("round_trip_us")?,
        mos_hundredths: row.get("mos_hundredths")?,
        is_one_way: row.get("is_one_way")?,
    })
}

fn put(transaction: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let call = entry.call.to_string();
    let total = |of: fn(&Totals) -> u64| entry.totals.as_ref().map(of).map(number);
    transaction.prepare(PUT_CALL)?.execute(named_params! {
        ":call": call,
        ":began_us": entry.began.unix_micros(),
        ":answered_us": entry.answered.map(Wall::unix_micros),
        ":ended_us": entry.ended.map(Wall::unix_micros),
        ":direction": entry.direction.as_str(),
        ":trunk": entry.trunk.as_str(),
        ":policy": entry.policy,
        ":purpose": entry.purpose,
        ":state": entry.state.as_str(),
        ":reason": entry.reason.as_str(),
        ":leg": entry.leg.map(Leg::as_str),
        ":recording": entry.recording.map(|recording| recording.to_string()),
        ":pbx_packets": total(|Totals { packets: [pbx, _], .. }| *pbx),
        ":trunk_packets": total(|Totals { packets: [_, trunk], .. }| *trunk),
        ":gaps": total(|totals| totals.gaps),
        ":lost": total(|totals| totals.lost),
        ":size_bytes": total(|totals| totals.size_bytes),
    })?;
    if let Some(quality) = &entry.quality {
        measure(transaction, entry.call, quality)?;
    }
    if let Some(Parties { calling, called, call_id }) = &entry.parties {
        transaction.prepare(PUT_PARTIES)?.execute([call.as_str(), calling.reveal(), called.reveal(), call_id.reveal()])?;
    }
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let wall = |column| row.get::<_, Option<i64>>(column).map(|us| us.map(Wall::from_unix_micros));
    let count = |column| row.get::<_, Option<i64>>(column).map(|count| count.map(|count| u64::try_from(count).unwrap_or(0)));
    let totals = match (count("pbx_packets")?, count("trunk_packets")?) {
        (Some(pbx), Some(trunk)) => Some(Totals {
            packets: [pbx, trunk],
            gaps: count("gaps")?.unwrap_or(0),
            lost: count("lost")?.unwrap_or(0),
            size_bytes: count("size_bytes")?.unwrap_or(0),
        }),
        _ => None,
    };
    let parties = match row.get::<_, Option<String>>("calling")? {
        Some(calling) => Some(Parties {
            calling: Private::new(calling),
            called: Private::new(row.get("called")?),
            call_id: Private::new(row.get("call_id")?),
        }),
        None => None,
    };
    Ok(Entry {
        call: word(row, "call")?,
        began: Wall::from_unix_micros(row.get("began_us")?),
        answered: wall("answered_us")?,
        ended: wall("ended_us")?,
        direction: row.get::<_, Word<Direction>>("direction")?.0,
        trunk: TrunkName::new(&row.get::<_, String>("trunk")?),
        policy: row.get("policy")?,
        purpose: row.get("purpose")?,
        state: if row.get("is_erased")? { State::Erased } else { word(row, "state")? },
        reason: word(row, "reason")?,
        leg: row.get::<_, Option<Word<Leg>>>("leg")?.map(|word| word.0),
        recording: row
            .get::<_, Option<String>>("recording")?
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| unknown("recording"))?,
        totals,
        quality: None,
        parties,
    })
}

/// A word of the floor's that has no reader of its own.
struct Word<T>(T);

impl FromSql for Word<Direction> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let all = [Direction::Inbound, Direction::Outbound];
        let text = value.as_str()?;
        all.into_iter().find(|word| word.as_str() == text).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for Word<Leg> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Leg::BOTH.into_iter().find(|word| word.as_str() == text).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

fn word<T: std::str::FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|_| unknown(column))
}

/// A word in a column that this version does not know. The row's text is not told: it may be a number.
fn unknown(column: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, format!("an unknown word in the column `{column}`").into())
}

/// SQLite counts up to 2^63 - 1, which no call reaches.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Makes the file where it is not there: for the service's user alone, before SQLite makes it for everybody.
///
/// The files beside it (`-wal`, `-shm`) get their mode from it.
fn make(path: &Path) -> Result<(), StoreError> {
    let denied = |source| StoreError::Denied { path: path.into(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(denied)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(denied)?.permissions().mode();
            // Whoever else could read it can no more.
            if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(denied) }
        }
        Err(error) => Err(denied(error)),
    }
}

fn failed(path: &Path, error: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { path },
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::NotADatabase) => StoreError::NotALedger { path },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { path, what: error.to_string() },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Denied { path, source: io::Error::new(io::ErrorKind::PermissionDenied, error) }
        }
        Some(_) => StoreError::Engine { path, source: Box::new(error) },
        None => StoreError::Damaged { path, what: error.to_string() },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::catalogue::{Deed, Outcome};

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let (_home, mut store) = kept();
        let (one, two) = (Entry { quality: Some(measured()), ..entry(1) }, Entry { parties: None, ..unrecorded(2) });

        store.write(&[put(&one), put(&two)]).unwrap();

        assert_eq!(store.call(one.call).unwrap(), Some(one.clone()));
        assert_eq!(store.recording(id(1)).unwrap(), Some(one));
        assert_eq!(store.call(two.call).unwrap(), Some(two));
        assert_eq!(store.call(CallId::from_u64(3)).unwrap(), None);
    }

    #[test]
    fn a_recordings_state_only_goes_forward() {
        let (_home, mut store) = kept();
        let totals = Totals { packets: [250, 249], gaps: 1, lost: 3, size_bytes: 99_000 };
        store.write(&[put(&entry(1)), put(&entry(2)), Write::Sealed(id(1), totals)]).unwrap();
        store.write(&[Write::Torn(id(2), Reason::VaultUnavailable)]).unwrap();

        store
            .write(&[put(&Entry { ended: Some(wall(99)), ..entry(1) }), put(&entry(2)), Write::Torn(id(1), Reason::Torn)])
            .unwrap();

        let sealed = store.recording(id(1)).unwrap().unwrap();
        assert_eq!((sealed.state, sealed.reason, sealed.totals), (State::Sealed, Reason::Recorded, Some(totals)));
        assert_eq!(sealed.ended, Some(wall(99)));
        let torn = store.recording(id(2)).unwrap().unwrap();
        assert_eq!((torn.state, torn.reason, torn.totals), (State::Torn, Reason::VaultUnavailable, None));
    }

    #[test]
    fn a_recording_that_left_nothing_is_none() {
        let (_home, mut store) = kept();
        store.write(&[put(&entry(1))]).unwrap();

        store
            .write(&[put(&Entry { state: State::None, recording: None, reason: Reason::VaultUnavailable, ..entry(1) })])
            .unwrap();

        assert_eq!(store.recording(id(1)).unwrap(), None);
        assert_eq!(store.call(CallId::from_u64(1)).unwrap().unwrap().state, State::None);
    }

    #[test]
    fn what_a_killed_process_left_open_is_marked_and_nothing_else() {
        let (_home, mut store) = kept();
        let going_on = Entry { reason: Reason::InProgress, ended: None, ..unrecorded(3) };
        store
            .write(&[
                put(&entry(1)),
                put(&entry(2)),
                Write::Sealed(id(2), Totals::default()),
                put(&going_on),
                put(&unrecorded(4)),
            ])
            .unwrap();

        assert_eq!(store.mark_torn().unwrap(), [1, 1]);

        let all = store.list(&Filter { which: Which::All, ..Filter::default() }).unwrap();
        let states: Vec<_> = all.iter().map(|entry| (entry.state, entry.reason)).collect();
        assert_eq!(
            states,
            [
                (State::Torn, Reason::Torn),
                (State::Sealed, Reason::Recorded),
                (State::None, Reason::Interrupted),
                (State::None, Reason::NotAnswered)
            ]
        );
        assert_eq!(store.mark_torn().unwrap(), [0, 0]);
    }

    #[test]
    fn a_list_has_the_newest_in_the_order_of_time() {
        let (_home, mut store) = kept();
        let writes: Vec<_> = [5, 3, 9, 1].map(|n| put(&entry(n))).into_iter().chain([put(&unrecorded(7))]).collect();
        store.write(&writes).unwrap();
        let calls = |filter: Filter| store.list(&filter).unwrap().iter().map(|entry| entry.call.as_u64()).collect::<Vec<_>>();

        assert_eq!(calls(Filter::default()), [1, 3, 5, 9]);
        assert_eq!(calls(Filter { which: Which::All, ..Filter::default() }), [1, 3, 5, 7, 9]);
        assert_eq!(calls(Filter { newest: Some(2), ..Filter::default() }), [5, 9]);
        assert_eq!(calls(Filter { which: Which::All, reason: Some(Reason::NotAnswered), newest: None }), [7]);
    }

    #[test]
    fn the_access_log_only_grows() {
        let (home, mut store) = kept();
        let access = Access {
            at: wall(5),
            who: "alice (uid 1000)".into(),
            deed: Deed::Export,
            recording: id(1),
            purpose: Some("marketing".into()),
            reason: Some("for the court".into()),
            outcome: Outcome::OtherPurpose,
        };
        store.record_access(&access).unwrap();
        store.record_access(&Access { purpose: None, outcome: Outcome::Granted, ..access.clone() }).unwrap();

        assert_eq!(store.accesses(id(1)).unwrap()[0], access);
        assert_eq!(store.accesses(id(1)).unwrap().len(), 2);
        assert_eq!(store.accesses(id(2)).unwrap(), []);
        let other = Connection::open(home.path().join("ledger.db")).unwrap();
        assert!(other.execute("DELETE FROM accesses", []).is_err());
        assert!(other.execute("UPDATE accesses SET who = 'bob'", []).is_err());
    }

    #[test]
    fn what_was_erased_stays_erased_whatever_is_written_of_it_later() {
        let (home, mut store) = kept();
        store.write(&[put(&entry(1)), put(&entry(2)), Write::Sealed(id(1), Totals::default())]).unwrap();
        let mut operator = open(&home.path().join("ledger.db"), Opening::ReadAndLog).unwrap();
        let state = |store: &dyn Store| store.recording(id(1)).unwrap().unwrap().state;

        operator.record_access(&erasing(1, Outcome::Granted)).unwrap();
        assert_eq!(state(store.as_ref()), State::Sealed, "not before it is done");
        operator.record_access(&erasing(1, Outcome::Done)).unwrap();
        store.write(&[put(&entry(1)), Write::Torn(id(1), Reason::Torn)]).unwrap();
        store.mark_torn().unwrap();

        assert_eq!(state(store.as_ref()), State::Erased);
        let listed: Vec<_> = store.list(&Filter::default()).unwrap().iter().map(|entry| entry.state).collect();
        assert_eq!(listed, [State::Erased, State::Torn]);
        let accesses = store.accesses(id(1)).unwrap();
        assert_eq!(crate::catalogue::erasure(&accesses), Some(&erasing(1, Outcome::Done)));
        assert_eq!(crate::catalogue::erasure(&accesses[..1]), None);
    }

    #[test]
    fn a_ledger_of_the_first_version_is_brought_up_to_date_with_all_that_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(STEPS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute(
            "INSERT INTO accesses (at_us, who, deed, recording, purpose, outcome) VALUES (5000000, 'alice', 'export', ?1, 'quality', 'done')",
            [id(1).to_string()],
        )
        .unwrap();
        assert!(matches!(open(&path, Opening::Read), Err(StoreError::Older { .. })));
        drop(old);

        let mut store = open(&path, Opening::Keep).unwrap();

        let access = Access { deed: Deed::Export, purpose: Some("quality".into()), reason: None, ..erasing(1, Outcome::Done) };
        assert_eq!(store.accesses(id(1)).unwrap(), [Access { at: wall(5), who: "alice".into(), ..access }]);
        store.write(&[put(&entry(1))]).unwrap();
        store.record_access(&erasing(1, Outcome::Done)).unwrap();
        assert_eq!(store.recording(id(1)).unwrap().unwrap().state, State::Erased);
    }

    #[test]
    fn a_ledger_of_the_second_version_is_brought_up_to_date_and_its_calls_were_never_measured() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        STEPS[..2].iter().for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 2).unwrap();
        old.execute(
            "INSERT INTO calls (call, began_us, answered_us, direction, trunk, state, reason)
             VALUES (?1, 1000000, 2000000, 'inbound', 'carrier', 'none', 'no-policy')",
            [CallId::from_u64(1).to_string()],
        )
        .unwrap();
        assert!(matches!(open(&path, Opening::Read), Err(StoreError::Older { .. })));
        drop(old);

        let mut store = open(&path, Opening::Keep).unwrap();

        let row = store.call(CallId::from_u64(1)).unwrap().unwrap();
        assert_eq!((row.answered, row.quality), (Some(wall(2)), None));
        store.write(&[Write::Measured(CallId::from_u64(1), Box::new(measured()))]).unwrap();
        assert_eq!(store.call(CallId::from_u64(1)).unwrap().unwrap().quality, Some(measured()));
    }

    #[test]
    fn of_several_bridges_the_one_that_carried_the_most_is_the_calls_quality() {
        let (_home, mut store) = kept();
        let fork = [Quality { received: 90, expected: 90, ..Quality::default() }, Quality::default()];
        let [pbx, trunk] = measured();
        let silent = [Quality { is_one_way: true, received: 0, ..pbx }, trunk];
        store.write(&[put(&entry(1)), put(&unrecorded(2))]).unwrap();

        for quality in [fork, silent, fork] {
            store.write(&[Write::Measured(entry(1).call, Box::new(quality))]).unwrap();
        }
        store.write(&[put(&entry(1)), Write::Measured(unrecorded(2).call, Box::new(fork))]).unwrap();
        store.write(&[Write::Measured(CallId::from_u64(9), Box::new(fork))]).unwrap();

        assert_eq!(store.list(&Filter { which: Which::All, ..Filter::default() }).unwrap().len(), 2);
        assert_eq!(store.call(entry(1).call).unwrap().unwrap().quality, Some(silent));
        assert_eq!(store.call(unrecorded(2).call).unwrap().unwrap().quality, None, "it was not answered");
    }

    #[test]
    fn the_ledger_is_read_and_logged_to_while_the_proxy_writes() {
        let (home, mut store) = kept();
        let path = home.path().join("ledger.db");
        store.write(&[put(&entry(1))]).unwrap();

        let reader = open(&path, Opening::Read).unwrap();
        let mut logger = open(&path, Opening::ReadAndLog).unwrap();
        store.write(&[put(&entry(2))]).unwrap();

        assert_eq!(reader.list(&Filter::default()).unwrap().len(), 2);
        let access = Access { deed: Deed::Verify, ..erasing(2, Outcome::Done) };
        logger.record_access(&access).unwrap();
        assert_eq!(reader.accesses(id(2)).unwrap(), [access]);
        store.write(&[put(&entry(3))]).unwrap();
    }

    #[test]
    fn a_reader_cannot_write() {
        let (home, _store) = kept();

        let mut reader = open(&home.path().join("ledger.db"), Opening::Read).unwrap();

        assert!(reader.write(&[put(&entry(1))]).is_err());
    }

    #[test]
    fn a_ledger_is_for_its_user_alone() {
        let (home, mut store) = kept();
        store.write(&[put(&entry(1))]).unwrap();

        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            assert_eq!(fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_ledger_others_could_read_is_closed_to_them() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        drop(open(&path, Opening::Keep).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

        drop(open(&path, Opening::Keep).unwrap());

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_ledger_is_said_to_be_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.db");
        assert!(matches!(open(&path, Opening::Read), Err(StoreError::Missing { .. })));

        fs::write(
            &path,
            "this is a text, and much longer than the header of a database would have to be, to be sure that it is read",
        )
        .unwrap();
        assert!(matches!(open(&path, Opening::Keep), Err(StoreError::NotALedger { .. })));

        fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(open(&path, Opening::Keep), Err(StoreError::NotALedger { .. })));

        let denied = open(Path::new("/proc/no/ledger.db"), Opening::Keep).err().unwrap();
        assert!(matches!(denied, StoreError::Denied { .. }), "{denied}");
    }

    #[test]
    fn a_newer_ledger_is_left_alone() {
        let (home, store) = kept();
        drop(store);
        let path = home.path().join("ledger.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();

        let error = open(&path, Opening::Keep).err().unwrap();

        assert!(error.to_string().ends_with("is of version 9, and this program knows up to 3"), "{error}");
    }

    #[test]
    fn parties_that_are_erased_are_not_in_the_file() {
        let (home, mut store) = kept();
        store.write(&[put(&entry(1))]).unwrap();
        let path = home.path().join("ledger.db");
        let holds = || {
            let files = ["ledger.db", "ledger.db-wal"].map(|name| fs::read(home.path().join(name)).unwrap_or_default());
            files.iter().any(|bytes| bytes.windows(11).any(|window| window == b"+4930123456"))
        };
        assert!(holds());

        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA secure_delete = ON; DELETE FROM parties; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();

        assert!(!holds());
        assert_eq!(store.call(CallId::from_u64(1)).unwrap().unwrap().parties, None);
    }

    #[test]
    fn a_thousand_rows_are_written_in_well_under_a_second() {
        let (_home, mut store) = kept();
        let writes: Vec<_> = (0..1000).map(|n| put(&entry(n))).collect();
        let begin = std::time::Instant::now();

        for batch in writes.chunks(100) {
            store.write(batch).unwrap();
        }

        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}: 100 calls a second must be kept up with", begin.elapsed());
    }

    fn kept() -> (TempDir, Box<dyn Store>) {
        let home = tempfile::tempdir().unwrap();
        let store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
        (home, store)
    }

    fn put(entry: &Entry) -> Write {
        Write::Put(Box::new(entry.clone()))
    }

    fn id(n: u64) -> RecordingId {
        RecordingId::from_bytes(u128::from(n).to_be_bytes())
    }

    fn wall(seconds: u64) -> Wall {
        Wall::from_unix_micros(i64::try_from(seconds).unwrap() * 1_000_000)
    }

    fn entry(n: u64) -> Entry {
        Entry {
            call: CallId::from_u64(n),
            began: wall(n),
            answered: Some(wall(n + 1)),
            ended: None,
            direction: Direction::Inbound,
            trunk: TrunkName::new("carrier"),
            policy: Some("all".into()),
            purpose: Some("quality".into()),
            state: State::Recording,
            reason: Reason::Recorded,
            leg: Some(Leg::Trunk),
            recording: Some(id(n)),
            totals: None,
            quality: None,
            parties: Some(Parties {
                calling: Private::new("+4930123456".into()),
                called: Private::new("100".into()),
                call_id: Private::new("a@b".into()),
            }),
        }
    }

    fn measured() -> [Quality; 2] {
        let pbx = Quality {
            expected: 3000,
            received: 2991,
            duplicates: 1,
            reordered: 2,
            jitter: Some(Duration::from_micros(458)),
            worst_jitter: Some(Duration::from_micros(1210)),
            longest_gap: Duration::from_millis(80),
            round_trip: None,
            mos_hundredths: Some(437),
            is_one_way: false,
        };
        [
            pbx,
            Quality {
                jitter: None,
                worst_jitter: None,
                round_trip: Some(Duration::from_millis(31)),
                mos_hundredths: None,
                ..pbx
            },
        ]
    }

    fn erasing(n: u64, outcome: Outcome) -> Access {
        let (who, reason) = ("alice (uid 1000)".into(), Some("GDPR 17".into()));
        Access { at: wall(7), who, deed: Deed::Erase, recording: id(n), purpose: None, reason, outcome }
    }

    fn unrecorded(n: u64) -> Entry {
        Entry {
            answered: None,
            ended: Some(wall(n + 2)),
            state: State::None,
            reason: Reason::NotAnswered,
            recording: None,
            leg: None,
            ..entry(n)
        }
    }
}
