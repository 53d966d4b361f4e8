//! The file, opened by SQLite: made for its user alone, brought up to date, read and written.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};
use rustix::fs::{Access as Mode, access as may};

use crate::catalogue::{
    Access, Bound, Chain, Cleared, Entry, Event, Filter, Heard, Keeping, KeptCall, Link, Note, Number, Opening, Purged, Reason,
    Rights, Roster, RosterLine, Stamp, Stamps, Store, StoreError, Stored, Subject, Turn, Warrant, Warrants, Which, Write,
};
use crate::ids::{CallId, RecordingId};
use crate::node::store::rows::{
    IS_INDEXED, IS_MEASURED, KEPT, QUALITY, SELECT, TORN, access, count, do_write, entry, measured, word,
};
use crate::node::store::schema::{APPLICATION, CHAINED, STEPS, VERSION};
use crate::node::store::{chain, keeping, notes, purge, roster, stamps, turns, warrants};
use crate::private::Private;
use crate::time::Wall;
use crate::vault::{HeadKey, SignedHead};

/// The ledger's file, opened.
///
/// It is in WAL mode, so that the command line reads while the proxy writes. `secure_delete` overwrites what is erased.
pub(crate) struct SqliteStore {
    path: PathBuf,
    db: Connection,
    key: Option<HeadKey>,
}

/// Opens the ledger.
///
/// # Errors
/// It is not there, may not be opened, is another program's or a newer version's, or is damaged.
pub(crate) fn open(path: &Path, opening: Opening) -> Result<Box<dyn Store>, StoreError> {
    SqliteStore::open(path, opening).map(|store| Box::new(store) as Box<dyn Store>)
}

/// How long another process may hold the ledger. The proxy writes for some milliseconds at a time.
const PATIENCE: Duration = Duration::from_secs(5);

impl SqliteStore {
    fn open(path: &Path, opening: Opening) -> Result<Self, StoreError> {
        let is_kept = opening == Opening::Keep;
        if is_kept {
            make(path)?;
        }
        // SQLite says of every file it cannot have that it is «unable to open»; the system says why. It is asked and the file not opened: to close it again
        // would drop the locks of whichever connection this process has already (`purge`).
        let wanted = if opening == Opening::Read { Mode::READ_OK } else { Mode::READ_OK | Mode::WRITE_OK };
        if let Err(errno) = may(path, wanted) {
            let (path, error) = (path.to_owned(), io::Error::from(errno));
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            return Err(if is_missing { StoreError::Missing { path } } else { StoreError::Denied { path, source: error } });
        }
        let access = if opening == Opening::Read { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let db =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|error| failed(path, error))?;
        let mut store = Self { path: path.into(), db, key: None };
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
        if done < CHAINED {
            let count = |table| transaction.query_row(&format!("SELECT count(*) AS n FROM {table}"), [], |row| count(row, "n"));
            let (calls, accesses) = (count("calls")?, count("accesses")?);
            let mut chain = chain::Writer::begin(&transaction)?;
            chain.add(&Event::Chained { version: env!("CARGO_PKG_VERSION").into(), calls, accesses })?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    }

    /// Does this, adds to the chain what is to be added, and signs that: all of it, or nothing.
    fn transaction(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut chain::Writer<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let key = self.key.as_ref();
        let written = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let mut chain = chain::Writer::begin(&transaction)?;
            work(&transaction, &mut chain)?;
            chain.end(key)?;
            transaction.commit()
        });
        written.map_err(|error| failed(&self.path, error))
    }

    /// As [`SqliteStore::transaction`], and synced: no power cut takes it back.
    fn durably(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut chain::Writer<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let synchronous = |db: &Connection, how| db.pragma_update(None, "synchronous", how).map_err(|error| failed(&path, error));
        synchronous(&self.db, "FULL")?;
        let done = self.transaction(work);
        synchronous(&self.db, "NORMAL")?;
        done
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
        self.transaction(|transaction, chain| {
            let mut touched = BTreeSet::new();
            for write in writes {
                touched.extend(do_write(transaction, write, chain)?);
            }
            touched.iter().try_for_each(|call| chain.bind(call))
        })
    }

    fn without_row(&self, mut recordings: Vec<RecordingId>) -> Result<Vec<RecordingId>, StoreError> {
        recordings.sort_unstable();
        let sought = self.db.prepare("SELECT recording FROM calls WHERE recording IS NOT NULL ORDER BY recording");
        let without = sought.and_then(|mut statement| {
            let mut rows = statement.query([])?;
            let mut named: Option<RecordingId> = rows.next()?.map(|row| word(row, "recording")).transpose()?;
            let mut without = Vec::new();
            for recording in recordings {
                while named.is_some_and(|named| named < recording) {
                    named = rows.next()?.map(|row| word(row, "recording")).transpose()?;
                }
                if named != Some(recording) {
                    without.push(recording);
                }
            }
            Ok(without)
        });
        without.map_err(|error| failed(&self.path, error))
    }

    fn kept(&self) -> Result<Vec<KeptCall>, StoreError> {
        let rows = self.db.prepare(KEPT).and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                let at = Wall::from_unix_micros(row.get("at_us")?);
                Ok(KeptCall { call: word(row, "call")?, at, kept: Private::new(row.get("kept")?) })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.map_err(|error| failed(&self.path, error))
    }

    fn mark_torn(&mut self) -> Result<[u64; 2], StoreError> {
        let mut marked = [0; 2];
        self.transaction(|transaction, chain| {
            let torn = "
                UPDATE calls SET state = 'torn', reason = CASE reason WHEN 'withdrawn-shred' THEN reason ELSE ?1 END
                WHERE state = 'recording' RETURNING call, recording";
            let torn = transaction
                .prepare(torn)?
                .query_map([Reason::Torn.as_str()], |row| Ok((row.get::<_, String>(0)?, word(row, "recording")?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let interrupted = transaction
                .prepare("UPDATE calls SET reason = ?1 WHERE reason = ?2 RETURNING call")?
                .query_map([Reason::Interrupted.as_str(), Reason::InProgress.as_str()], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            for &(_, recording) in &torn {
                chain.add(&Event::Torn { recording, reason: Reason::Torn })?;
            }
            torn.iter().map(|(call, _)| call).chain(&interrupted).try_for_each(|call| chain.bind(call))?;
            marked = [torn.len(), interrupted.len()].map(|rows| u64::try_from(rows).unwrap_or(u64::MAX));
            Ok(())
        })?;
        Ok(marked)
    }

    fn torn(&self) -> Result<Vec<RecordingId>, StoreError> {
        let rows = self.db.prepare(TORN).and_then(|mut statement| {
            let rows = statement.query_map([], |row| word(row, "recording"))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.map_err(|error| failed(&self.path, error))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        let recorded = match filter.which {
            Which::Recorded => "recording IS NOT NULL",
            Which::All => "TRUE",
        };
        let (heard, below) = match filter.heard {
            Heard::Any => ("?3 IS NULL", None),
            Heard::Measured => (IS_MEASURED, None),
            Heard::Below(hundredths) => (IS_MEASURED, Some(hundredths)),
        };
        let header = if filter.indexed.is_some() { IS_INDEXED } else { "?6 IS ?7" };
        // The newest ones are found by the index, and turned round here.
        let query = format!(
            "{SELECT} WHERE {recorded} AND (?1 IS NULL OR reason = ?1) AND {heard} AND {header}
               AND began_us >= ?4 AND began_us < ?5
             ORDER BY began_us DESC, call DESC LIMIT ?2"
        );
        let newest = filter.newest.map_or(-1, |newest| i64::try_from(newest).unwrap_or(i64::MAX));
        // Whose number is meant SQLite does not know: the newest of those are counted here.
        let limit = if filter.party.is_some() { -1 } else { newest };
        let from = filter.from.map_or(i64::MIN, Wall::unix_micros);
        let to = filter.to.map_or(i64::MAX, Wall::unix_micros);
        let (name, value) = filter.indexed.as_ref().map(|(name, value)| (name, value.reveal())).unzip();
        let rows = self.db.prepare(&query).and_then(|mut statement| {
            let mut quality = self.db.prepare(QUALITY)?;
            let rows =
                statement.query_map(params![filter.reason.map(Reason::as_str), limit, below, from, to, name, value], entry)?;
            let is_of = |entry: &Entry| filter.party.as_ref().is_none_or(|party| party.is_of(entry));
            let rows = rows.filter(|row| row.as_ref().map_or(true, is_of)).take(usize::try_from(newest).unwrap_or(usize::MAX));
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
        self.durably(|transaction, chain| {
            transaction.execute(
                "INSERT INTO accesses (at_us, who, deed, recording, purpose, reason, outcome, salt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    access.at.unix_micros(),
                    access.who,
                    access.deed.as_str(),
                    access.recording.to_string(),
                    access.purpose,
                    access.reason,
                    access.outcome.as_str(),
                    chain::fresh()?.as_slice(),
                ],
            )?;
            let &Access { recording, deed, outcome, .. } = access;
            let line = chain.line(transaction.last_insert_rowid())?;
            chain.add(&Event::Access { recording, deed, outcome, line })
        })
    }

    fn turns(&self, call: CallId) -> Result<Vec<Turn>, StoreError> {
        turns::of_call(&self.db, call).map_err(|error| failed(&self.path, error))
    }

    fn accesses(&self, recording: RecordingId) -> Result<Vec<Access>, StoreError> {
        let query =
            "SELECT at_us, who, deed, recording, purpose, reason, outcome FROM accesses WHERE recording = ?1 ORDER BY number";
        let rows = self.db.prepare(query).and_then(|mut statement| {
            let rows = statement.query_map([recording.to_string()], access)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.map_err(|error| failed(&self.path, error))
    }
}

impl Chain for SqliteStore {
    fn sign_with(&mut self, key: HeadKey) {
        self.key = Some(key);
    }

    fn note(&mut self, events: &[Event]) -> Result<(), StoreError> {
        self.transaction(|_, chain| events.iter().try_for_each(|event| chain.add(event)))
    }

    fn sign(&mut self) -> Result<Option<SignedHead>, StoreError> {
        let signed = match &self.key {
            Some(key) => self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
                chain::sign_tip(&transaction, key)?;
                transaction.commit()
            }),
            None => Ok(()),
        };
        signed.and_then(|()| chain::head(&self.db)).map_err(|error| failed(&self.path, error))
    }

    fn head(&self) -> Result<Option<SignedHead>, StoreError> {
        chain::head(&self.db).map_err(|error| failed(&self.path, error))
    }

    fn last_start(&self) -> Result<Option<u64>, StoreError> {
        chain::last_start(&self.db).map_err(|error| failed(&self.path, error))
    }

    fn freeze(&self) -> Result<(), StoreError> {
        // A transaction that only reads is of the moment of its first reading, and ends with the connection.
        let frozen = self.db.execute_batch("BEGIN; SELECT seq FROM chain LIMIT 1;");
        frozen.map_err(|error| failed(&self.path, error))
    }

    fn links(&self, from: u64, each: &mut dyn FnMut(Link, Option<SignedHead>)) -> Result<(), StoreError> {
        chain::links(&self.db, from, each).map_err(|error| failed(&self.path, error))
    }

    fn bound(&self, each: &mut dyn FnMut(Bound)) -> Result<(), StoreError> {
        let bound = chain::bound(&self.db, each).and_then(|()| notes::bound(&self.db, each));
        let bound = bound.and_then(|()| turns::bound(&self.db, each));
        bound.and_then(|()| warrants::bound(&self.db, each)).map_err(|error| failed(&self.path, error))
    }
}

impl Keeping for SqliteStore {
    fn holds(&self, recording: Option<RecordingId>) -> Result<Vec<Access>, StoreError> {
        keeping::holds(&self.db, recording).map_err(|error| failed(&self.path, error))
    }

    fn stored(&self, erased_since: Option<Wall>) -> Result<Vec<Stored>, StoreError> {
        keeping::stored(&self.db, erased_since).map_err(|error| failed(&self.path, error))
    }

    fn pace(&self) -> Result<Option<Wall>, StoreError> {
        keeping::pace(&self.db).map_err(|error| failed(&self.path, error))
    }

    fn set_pace(&mut self, at: Wall) -> Result<(), StoreError> {
        self.transaction(|transaction, _| keeping::set_pace(transaction, at))
    }
}

impl Roster for SqliteStore {
    fn enter(&mut self, lines: &[RosterLine]) -> Result<(), StoreError> {
        self.durably(|transaction, chain| lines.iter().try_for_each(|line| roster::enter(transaction, line, chain)))
    }

    fn roster(&self) -> Result<Vec<RosterLine>, StoreError> {
        roster::all(&self.db).map_err(|error| failed(&self.path, error))
    }
}

impl Warrants for SqliteStore {
    fn warrant(&mut self, warrant: &Warrant) -> Result<u64, StoreError> {
        let mut number = 0;
        self.durably(|transaction, chain| {
            number = warrants::add(transaction, warrant, chain)?;
            Ok(())
        })?;
        Ok(number)
    }

    fn warrants(&self) -> Result<Vec<Warrant>, StoreError> {
        warrants::all(&self.db).map_err(|error| failed(&self.path, error))
    }

    fn warrants_after(&self, number: u64) -> Result<Vec<Warrant>, StoreError> {
        warrants::after(&self.db, number).map_err(|error| failed(&self.path, error))
    }

    fn denied_after(&self, number: u64) -> Result<(u64, u64), StoreError> {
        warrants::denied_after(&self.db, number).map_err(|error| failed(&self.path, error))
    }

    fn exports(&self, since: Wall) -> Result<Vec<Access>, StoreError> {
        warrants::exports(&self.db, since).map_err(|error| failed(&self.path, error))
    }
}

impl Rights for SqliteStore {
    fn note_down(&mut self, note: &Note) -> Result<u64, StoreError> {
        let mut number = 0;
        self.durably(|transaction, chain| {
            number = notes::note_down(transaction, note, chain)?;
            Ok(())
        })?;
        Ok(number)
    }

    fn notes(&self) -> Result<Vec<Note>, StoreError> {
        notes::notes(&self.db).map_err(|error| failed(&self.path, error))
    }

    fn of_person(&self, number: &Number) -> Result<Vec<u64>, StoreError> {
        notes::of_person(&self.db, number).map_err(|error| failed(&self.path, error))
    }

    fn clear(&mut self, calls: &[CallId], person: Option<&Number>) -> Result<Cleared, StoreError> {
        let mut cleared = Cleared::default();
        self.durably(|transaction, chain| {
            cleared.calls = notes::clear(transaction, calls, person)?;
            cleared.lines = person.map_or(Ok(0), |person| roster::clear(transaction, person, chain))?;
            Ok(())
        })?;
        Ok(cleared)
    }

    fn purge(&mut self, gone: &[Private<String>]) -> Result<Purged, StoreError> {
        purge::purge(&self.db, &self.path, gone).map_err(|error| failed(&self.path, error))
    }
}

impl Stamps for SqliteStore {
    fn wait(&mut self, subjects: &[Subject], most: u64) -> Result<u64, StoreError> {
        let mut given_up = 0;
        self.transaction(|transaction, _| {
            given_up = stamps::wait(transaction, subjects, most)?;
            Ok(())
        })?;
        Ok(given_up)
    }

    fn next(&self) -> Result<(Option<Stamp>, u64), StoreError> {
        stamps::next(&self.db).map_err(|error| failed(&self.path, error))
    }

    fn stamps(&self, each: &mut dyn FnMut(Stamp)) -> Result<(), StoreError> {
        stamps::all(&self.db, each).map_err(|error| failed(&self.path, error))
    }
}

/// Says which file it is.
impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteStore({})", self.path.display())
    }
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
