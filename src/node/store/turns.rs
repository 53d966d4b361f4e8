//! Turns in SQLite: lines that are only added, each bound in the chain.

use rusqlite::{Connection, Row, Transaction, params};

use crate::catalogue::{Bound, Event, Part, Turn};
use crate::ids::CallId;
use crate::node::store::chain::{Writer, fresh};
use crate::node::store::rows::{count, unknown, word};
use crate::time::Wall;

/// A turn's columns as they are bound.
const TURN: &str = "
    json_array(number, at_us, call, recording, what, doer, how, iif(who IS NULL, NULL, hex(who)))";

const ADD: &str = "
    INSERT INTO turns (at_us, call, recording, what, doer, how, who, salt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const OF_CALL: &str = "
    SELECT number, at_us, call, recording, what, doer, how, who FROM turns WHERE call = ?1 ORDER BY number";

/// Writes a turn and its event.
pub(super) fn add(transaction: &Transaction<'_>, turn: &Turn, chain: &mut Writer<'_>) -> rusqlite::Result<()> {
    let salt = fresh()?;
    transaction.prepare_cached(ADD)?.execute(params![
        turn.at.unix_micros(),
        turn.call.to_string(),
        turn.recording.map(|recording| recording.to_string()),
        turn.what.as_str(),
        turn.by.as_str(),
        turn.how,
        turn.who,
        salt.as_slice(),
    ])?;
    let number = transaction.last_insert_rowid();
    let query = format!("SELECT {TURN} FROM turns WHERE number = ?1");
    let columns: String = transaction.prepare_cached(&query)?.query_row([number], |row| row.get(0))?;
    chain.add(&Event::Turn {
        number: u64::try_from(number).unwrap_or(0),
        call: turn.call,
        recording: turn.recording,
        what: turn.what,
        line: Part::Turn.digest(&salt, &columns),
    })
}

/// Returns what was done to a call, in order.
pub(super) fn of_call(db: &Connection, call: CallId) -> rusqlite::Result<Vec<Turn>> {
    db.prepare(OF_CALL)?.query_map([call.to_string()], turn)?.collect()
}

fn turn(row: &Row<'_>) -> rusqlite::Result<Turn> {
    let recording: Option<String> = row.get("recording")?;
    Ok(Turn {
        number: count(row, "number")?,
        at: Wall::from_unix_micros(row.get("at_us")?),
        call: word(row, "call")?,
        recording: recording.map(|text| text.parse()).transpose().map_err(|_| unknown("recording"))?,
        what: word(row, "what")?,
        by: word(row, "doer")?,
        how: row.get("how")?,
        who: row.get("who")?,
    })
}

pub(super) fn bound(db: &Connection, each: &mut dyn FnMut(Bound)) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT number, salt, {TURN} AS columns FROM turns"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line = Part::Turn.digest(&row.get("salt")?, &row.get::<_, String>("columns")?);
        each(Bound::Turn { number: count(row, "number")?, line });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tempfile::TempDir;

    use crate::catalogue::{Audit, Break, Doer, Fault, Opening, Store, What, Write};
    use crate::ids::RecordingId;
    use crate::node::store::open;
    use crate::node::store::schema::{APPLICATION, STEPS};

    use super::*;

    const CALL: CallId = CallId::from_u64(0xc0);

    fn turn(number: u64, what: What, by: Doer) -> Turn {
        let (how, who) = match by {
            Doer::Operator => (None, Some("alice (uid 1000)".into())),
            Doer::Pbx | Doer::Trunk => (Some("key-rfc4733".into()), None),
            Doer::Register | Doer::Time => (None, None),
        };
        let recording = (what != What::Demanded).then(|| RecordingId::from_bytes([7; 16]));
        Turn { number, at: Wall::from_unix_micros(9), call: CALL, recording, what, by, how, who }
    }

    fn kept(turns: &[Turn]) -> (TempDir, Box<dyn Store>) {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
        let writes: Vec<_> = turns.iter().cloned().map(Write::Turn).collect();
        store.write(&writes).unwrap();
        (home, store)
    }

    fn faults(store: &dyn Store) -> Vec<Fault> {
        let mut audit = Audit::begin(&[], &[]);
        store.links(0, &mut |link, _| audit.step(&link, None)).unwrap();
        store.bound(&mut |bound| audit.row(bound)).unwrap();
        let mut faults = audit.end(None).faults;
        faults.retain(|fault| !matches!(fault, Fault::Chain(Break::Unsigned(_))));
        faults
    }

    #[test]
    fn turns_are_read_as_they_were_written_and_the_chain_accounts_for_them_and_names_nobody() {
        let all: Vec<_> = (1..)
            .zip([
                (What::Demanded, Doer::Pbx),
                (What::Paused, Doer::Operator),
                (What::Resumed, Doer::Time),
                (What::Withdrawn, Doer::Register),
                (What::Shredded, Doer::Trunk),
            ])
            .map(|(number, (what, by))| turn(number, what, by))
            .collect();
        let (home, store) = kept(&all);
        drop(store);

        let store = open(&home.path().join("ledger.db"), Opening::Read).unwrap();

        assert_eq!(store.turns(CALL).unwrap(), all);
        assert_eq!(store.turns(CallId::from_u64(1)).unwrap(), []);
        assert_eq!(faults(store.as_ref()), []);
        let mut kinds = Vec::new();
        store
            .links(2, &mut |link, _| {
                assert!(!link.body.contains("alice"), "{}", link.body);
                kinds.push(link.kind);
            })
            .unwrap();
        assert_eq!(kinds, ["demanded", "paused", "resumed", "withdrawn", "withdrawn-shred"]);
    }

    #[test]
    fn whoever_changes_takes_out_or_adds_a_turn_is_found_out() {
        let found = |sql: &str| {
            let (home, store) = kept(&[turn(1, What::Paused, Doer::Operator)]);
            let db = Connection::open(home.path().join("ledger.db")).unwrap();
            let refused = db.execute_batch(sql);
            db.execute_batch("DROP TRIGGER turns_are_not_changed; DROP TRIGGER turns_are_not_removed").unwrap();
            if refused.is_err() {
                db.execute_batch(sql).unwrap();
            }
            (refused.is_err(), faults(store.as_ref()))
        };

        assert_eq!(found("UPDATE turns SET who = 'bob'"), (true, vec![Fault::TurnChanged(1)]));
        assert_eq!(found("DELETE FROM turns"), (true, vec![Fault::TurnGone { number: 1, seq: 2 }]));
        let added =
            "INSERT INTO turns (at_us, call, what, doer, salt) VALUES (1, '00000000000000c0', 'resumed', 'time', zeroblob(32))";
        assert_eq!(found(added), (false, vec![Fault::TurnChanged(2)]));
    }

    #[test]
    fn a_ledger_of_the_version_before_has_no_turns() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        STEPS.iter().take(9).for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 9).unwrap();
        drop(old);

        let store = open(&path, Opening::Keep).unwrap();

        assert_eq!(store.turns(CALL).unwrap(), []);
    }
}
