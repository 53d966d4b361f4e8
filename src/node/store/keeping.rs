//! How long recordings are kept, in SQLite: holds, what is stored, and the clock that recordings are erased by.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use crate::catalogue::{Access, Stored};
use crate::ids::RecordingId;
use crate::node::store::rows::{access, count_if, state, word};
use crate::time::Wall;

/// Those lines that no release came after. By an index that has nothing else: the order by number would have SQLite read the whole log.
const HOLDS: &str = "
    SELECT at_us, who, deed, recording, purpose, reason, outcome FROM accesses AS a INDEXED BY holds
    WHERE a.deed = 'hold' AND a.outcome = 'done'
      AND NOT EXISTS (SELECT 1 FROM accesses AS b
                      WHERE b.recording = a.recording AND b.number > a.number AND b.deed = 'release' AND b.outcome = 'done')";

const STORED: &str = "
    SELECT calls.recording, began_us, ended_us, policy, calls.purpose, state,
           calls.reason = 'withdrawn-shred' AS is_shredded, salvaged_us, size_bytes, e.who AS erased_by,
           e.number IS NOT NULL AS is_erased,
           EXISTS (SELECT 1 FROM accesses AS a
                   WHERE a.recording = calls.recording AND a.deed = 'hold' AND a.outcome = 'done'
                     AND NOT EXISTS (SELECT 1 FROM accesses AS b
                                     WHERE b.recording = a.recording AND b.number > a.number
                                       AND b.deed = 'release' AND b.outcome = 'done')) AS is_held
    FROM calls LEFT JOIN accesses AS e
      ON e.number = (SELECT max(a.number) FROM accesses AS a
                     WHERE a.recording = calls.recording AND a.deed = 'erase' AND a.outcome = 'done')
    WHERE calls.recording IS NOT NULL AND (e.number IS NULL OR e.at_us >= ?1)";

const PACE: &str = "SELECT at_us FROM pace";

const SET_PACE: &str = "INSERT INTO pace (one, at_us) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at_us = excluded.at_us";

pub(super) fn holds(db: &Connection, recording: Option<RecordingId>) -> rusqlite::Result<Vec<Access>> {
    match recording {
        Some(recording) => {
            let mut statement = db.prepare_cached(&format!("{HOLDS} AND a.recording = ?1 ORDER BY a.number"))?;
            statement.query_map([recording.to_string()], access)?.collect()
        }
        None => db.prepare_cached(&format!("{HOLDS} ORDER BY a.number"))?.query_map([], access)?.collect(),
    }
}

pub(super) fn stored(db: &Connection, erased_since: Option<Wall>) -> rusqlite::Result<Vec<Stored>> {
    let since = erased_since.map_or(i64::MAX, Wall::unix_micros);
    let mut statement = db.prepare_cached(STORED)?;
    let mut rows = statement.query([since])?;
    // A few names stand in a million rows.
    let mut names = BTreeMap::new();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(one(row, &mut names)?);
    }
    Ok(found)
}

fn one(row: &Row<'_>, names: &mut BTreeMap<String, Arc<str>>) -> rusqlite::Result<Stored> {
    let mut name = |column| {
        let text: Option<String> = row.get(column)?;
        Ok::<_, rusqlite::Error>(text.map(|text| Arc::clone(names.entry(text.clone()).or_insert_with(|| text.into()))))
    };
    let (policy, purpose, erased_by) = (name("policy")?, name("purpose")?, name("erased_by")?);
    let ended: Option<i64> = row.get("ended_us")?;
    Ok(Stored {
        recording: word(row, "recording")?,
        from: Wall::from_unix_micros(ended.map_or_else(|| row.get("began_us"), Ok)?),
        policy,
        purpose,
        state: state(row)?,
        size_bytes: count_if(row, "size_bytes")?,
        is_held: row.get("is_held")?,
        erased_by,
        is_shredded: row.get("is_shredded")?,
    })
}

pub(super) fn pace(db: &Connection) -> rusqlite::Result<Option<Wall>> {
    db.query_row(PACE, [], |row| row.get("at_us").map(Wall::from_unix_micros)).optional()
}

pub(super) fn set_pace(transaction: &Transaction<'_>, at: Wall) -> rusqlite::Result<()> {
    transaction.prepare_cached(SET_PACE)?.execute([at.unix_micros()]).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tempfile::TempDir;

    use crate::catalogue::{Audit, Break, Deed, Entry, Event, Fault, Link, Opening, Outcome, Reason, State, Store, Write};
    use crate::ids::{CallId, Direction, TrunkName};
    use crate::node::store::open;
    use crate::node::store::schema::{APPLICATION, STEPS};

    use super::*;

    #[test]
    fn a_hold_is_in_force_until_the_release_that_comes_after_it_and_over_a_restart() {
        let (home, mut store) = kept();
        for (deed, outcome) in [
            (Deed::Hold, Outcome::Done),
            (Deed::Release, Outcome::Done),
            (Deed::Hold, Outcome::Done),
            (Deed::Release, Outcome::Holds),
            (Deed::Hold, Outcome::Done),
            (Deed::Hold, Outcome::Erased),
        ] {
            store.record_access(&line(1, deed, outcome)).unwrap();
        }
        store.record_access(&line(2, Deed::Hold, Outcome::Done)).unwrap();
        drop(store);

        let store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();

        let held = |recording| store.holds(recording).unwrap().iter().map(|hold| hold.recording).collect::<Vec<_>>();
        assert_eq!(held(None), [id(1), id(1), id(2)]);
        assert_eq!(held(Some(id(2))), [id(2)]);
        assert_eq!(held(Some(id(3))), []);
        assert_eq!(kinds(store.as_ref()), ["chained", "held", "released", "held", "access", "held", "access", "held"]);
        let mut audit = Audit::begin(&[], &[]);
        store.links(0, &mut |link: Link, _| audit.step(&link, None)).unwrap();
        store.bound(&mut |bound| audit.row(bound)).unwrap();
        let faults = audit.end(None).faults;
        let is_unsigned = |fault: &Fault| matches!(fault, Fault::Chain(Break::Unsigned(_)));
        assert!(faults.iter().all(is_unsigned), "every line accounts for itself: {faults:?}");
    }

    #[test]
    fn what_is_stored_has_its_time_its_state_and_whether_it_is_held() {
        let (_home, mut store) = kept();
        let torn = Entry { ended: None, state: State::Torn, ..entry(2) };
        store.write(&[put(&entry(1)), put(&torn), put(&entry(3)), put(&Entry { recording: None, ..entry(4) })]).unwrap();
        store.record_access(&line(1, Deed::Hold, Outcome::Done)).unwrap();
        store.record_access(&line(3, Deed::Erase, Outcome::Done)).unwrap();

        let found = |since| {
            let mut found = store.stored(since).unwrap();
            found.sort_by_key(|one| one.recording);
            found.into_iter().map(|one| (one.recording, one.from, one.state, one.is_held)).collect::<Vec<_>>()
        };

        let kept = [(id(1), wall(9), State::Sealed, true), (id(2), wall(5), State::Torn, false)];
        assert_eq!(found(None), kept);
        assert_eq!(found(Some(wall(21))), kept);
        assert_eq!(found(Some(wall(20))).last(), Some(&(id(3), wall(9), State::Erased, false)));
        let by = store.stored(Some(wall(20))).unwrap().into_iter().find_map(|one| one.erased_by);
        assert_eq!(by.as_deref(), Some("alice"));
    }

    #[test]
    fn that_a_recording_is_to_be_shredded_outlasts_a_kill_and_a_torn_end() {
        let (home, mut store) = kept();
        let shredded = |n, state| Entry { state, reason: Reason::Shredded, ..entry(n) };
        store
            .write(&[
                put(&shredded(1, State::Recording)),
                put(&shredded(2, State::Recording)),
                put(&Entry { state: State::Recording, ..entry(3) }),
            ])
            .unwrap();
        store.write(&[Write::Torn(id(2), Reason::VaultUnavailable), Write::Torn(id(3), Reason::VaultUnavailable)]).unwrap();
        store.write(&[put(&shredded(3, State::Recording))]).unwrap();
        store.mark_torn().unwrap();
        drop(store);

        let store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();

        let found: Vec<_> = store.stored(None).unwrap().into_iter().map(|one| (one.state, one.is_shredded)).collect();
        assert_eq!(found, [(State::Torn, true); 3]);
    }

    #[test]
    fn the_clock_that_recordings_are_erased_by_is_kept() {
        let (home, mut store) = kept();
        assert_eq!(store.pace().unwrap(), None);

        store.set_pace(wall(1)).unwrap();
        store.set_pace(wall(2)).unwrap();
        drop(store);

        let store = open(&home.path().join("ledger.db"), Opening::Read).unwrap();
        assert_eq!(store.pace().unwrap(), Some(wall(2)));
    }

    #[test]
    fn a_ledger_of_the_sixth_version_is_brought_up_to_date_and_nothing_of_it_is_held() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        STEPS.iter().take(6).for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 6).unwrap();
        drop(old);

        let mut store = open(&path, Opening::Keep).unwrap();

        assert_eq!(store.holds(None).unwrap(), []);
        store.write(&[put(&entry(1))]).unwrap();
        store.record_access(&line(1, Deed::Hold, Outcome::Done)).unwrap();
        assert_eq!(store.holds(Some(id(1))).unwrap(), [line(1, Deed::Hold, Outcome::Done)]);
    }

    #[test]
    fn neither_a_hold_nor_what_is_stored_is_looked_for_in_the_whole_log() {
        let (home, _store) = kept();
        let db = Connection::open(home.path().join("ledger.db")).unwrap();

        for query in [
            format!("{HOLDS} ORDER BY a.number"),
            format!("{HOLDS} AND a.recording = '' ORDER BY a.number"),
            STORED.replace("?1", "0"),
        ] {
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let steps = statement.query_map([], |row| row.get::<_, String>("detail")).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            let is_by_index = |step: &String| !step.contains("SCAN a") || step.contains("USING INDEX holds");
            assert!(!steps.is_empty() && steps.iter().all(is_by_index), "{steps:#?}");
        }
    }

    fn kinds(store: &dyn Store) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        store.links(0, &mut |link, _| kinds.extend(link.event().as_ref().map(Event::kind))).unwrap();
        kinds
    }

    fn kept() -> (TempDir, Box<dyn Store>) {
        let home = tempfile::tempdir().unwrap();
        let store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
        (home, store)
    }

    fn put(entry: &Entry) -> Write {
        Write::Put(Box::new(entry.clone()))
    }

    fn line(n: u64, deed: Deed, outcome: Outcome) -> Access {
        let (at, who, reason) = (wall(20), "alice".into(), Some("case 4711".into()));
        Access { at, who, deed, recording: id(n), purpose: None, reason, outcome }
    }

    fn id(n: u64) -> RecordingId {
        RecordingId::of_call(CallId::from_u64(n), 0)
    }

    fn wall(seconds: i64) -> Wall {
        Wall::from_unix_micros(seconds * 1_000_000)
    }

    fn entry(n: u64) -> Entry {
        Entry {
            call: CallId::from_u64(n),
            began: wall(5),
            answered: Some(wall(6)),
            ended: Some(wall(9)),
            direction: Some(Direction::Inbound),
            trunk: Some(TrunkName::new("carrier")),
            policy: Some("all".into()),
            purpose: Some("quality".into()),
            state: State::Sealed,
            reason: Reason::Recorded,
            leg: None,
            recording: Some(id(n)),
            totals: None,
            quality: None,
            parties: None,
            is_redacted: false,
        }
    }
}
