//! The ledger as the proxy and the command line find it: what was written, what an older version left, and who may read it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::catalogue::{
    Access, Deed, Entry, Filter, Heard, KeptCall, Opening, Outcome, Parties, Quality, Reason, Seal, State, Store, StoreError,
    Totals, Which, Write,
};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::node::store::open;
use crate::node::store::schema::{APPLICATION, STEPS, VERSION};
use crate::private::Private;
use crate::time::Wall;
use crate::vault::Digest;

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
    store.write(&[put(&entry(1)), put(&entry(2)), sealed(id(1), totals)]).unwrap();
    store.write(&[Write::Torn(id(2), Reason::VaultUnavailable)]).unwrap();

    store.write(&[put(&Entry { ended: Some(wall(99)), ..entry(1) }), put(&entry(2)), Write::Torn(id(1), Reason::Torn)]).unwrap();

    let sealed = store.recording(id(1)).unwrap().unwrap();
    assert_eq!((sealed.state, sealed.reason, sealed.totals), (State::Sealed, Reason::Recorded, Some(totals)));
    assert_eq!(sealed.ended, Some(wall(99)));
    let torn = store.recording(id(2)).unwrap().unwrap();
    assert_eq!((torn.state, torn.reason, torn.totals), (State::Torn, Reason::VaultUnavailable, None));
}

#[test]
fn a_torn_recording_is_closed_once_and_one_that_was_erased_is_not() {
    let (_home, mut store) = kept();
    let torn = |nth| Write::Torn(id(nth), Reason::VaultUnavailable);
    store.write(&[put(&entry(1)), put(&entry(2)), put(&entry(3)), put(&entry(4)), put(&entry(5))]).unwrap();
    store.write(&[torn(1), torn(2), torn(3), torn(4)]).unwrap();
    store.record_access(&erasing(3, Outcome::Done)).unwrap();
    assert_eq!(store.torn().unwrap(), [id(1), id(2), id(4)]);

    store
        .write(&[
            Write::Salvaged(id(1), wall(50), 900, seal()),
            Write::Closed(id(2), 800, seal()),
            Write::Lost(id(4), Reason::Interrupted),
        ])
        .unwrap();
    // What comes late changes nothing of it.
    store.write(&[put(&Entry { ended: Some(wall(99)), ..entry(1) }), Write::Salvaged(id(5), wall(50), 7, seal())]).unwrap();

    let row = |nth| store.recording(id(nth)).unwrap().map(|row| (row.state, row.reason));
    assert_eq!(row(1), Some((State::Salvaged, Reason::VaultUnavailable)));
    assert_eq!(row(2), Some((State::Sealed, Reason::VaultUnavailable)));
    assert_eq!(row(3), Some((State::Erased, Reason::VaultUnavailable)));
    assert_eq!((row(4), row(5)), (None, Some((State::Recording, Reason::Recorded))));
    assert_eq!(store.torn().unwrap(), []);
}

#[test]
fn a_recording_without_a_row_is_its_calls_where_that_has_none_and_stands_alone_otherwise() {
    let (_home, mut store) = kept();
    let found = |recording| Write::Found { recording, began: wall(77) };
    let going_on = Entry { reason: Reason::InProgress, ended: None, ..unrecorded(7) };
    let [of_seven, of_one, of_none] = [7, 1, 5].map(|call| RecordingId::of_call(CallId::from_u64(call), 3));
    store.write(&[put(&entry(1)), put(&going_on)]).unwrap();
    store.mark_torn().unwrap();
    assert_eq!(store.without_row(vec![of_none, id(1), of_seven, of_one]).unwrap(), [of_one, of_none, of_seven]);

    store.write(&[of_seven, of_one, of_none, id(1), of_none].map(found)).unwrap();

    assert_eq!(store.without_row(vec![of_none, id(1), of_seven, of_one]).unwrap(), []);
    let row = |recording| store.recording(recording).unwrap().unwrap();
    let its_calls = Entry { reason: Reason::Torn, state: State::Torn, recording: Some(of_seven), ..going_on };
    assert_eq!(row(of_seven), its_calls);
    assert_eq!(row(id(1)), Entry { state: State::Torn, reason: Reason::Torn, ..entry(1) }, "it was named already");
    let alone = |call, recording| Entry {
        call: CallId::from_u64(call),
        answered: None,
        began: wall(77),
        direction: None,
        trunk: None,
        policy: None,
        purpose: None,
        state: State::Torn,
        reason: Reason::Found,
        leg: None,
        recording: Some(recording),
        parties: None,
        is_redacted: false,
        ..entry(call)
    };
    assert_eq!(row(of_none), alone(5, of_none));
    assert_eq!(row(of_one), alone(2, of_one), "its call has another recording, and the next number is free");
}

#[test]
fn a_recording_that_left_nothing_is_none() {
    let (_home, mut store) = kept();
    store.write(&[put(&entry(1))]).unwrap();

    store.write(&[put(&Entry { state: State::None, recording: None, reason: Reason::VaultUnavailable, ..entry(1) })]).unwrap();

    assert_eq!(store.recording(id(1)).unwrap(), None);
    assert_eq!(store.call(CallId::from_u64(1)).unwrap().unwrap().state, State::None);
}

#[test]
fn what_a_killed_process_left_open_is_marked_and_nothing_else() {
    let (_home, mut store) = kept();
    let going_on = Entry { reason: Reason::InProgress, ended: None, ..unrecorded(3) };
    store
        .write(&[put(&entry(1)), put(&entry(2)), sealed(id(2), Totals::default()), put(&going_on), put(&unrecorded(4))])
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
    assert_eq!(calls(Filter { which: Which::All, reason: Some(Reason::NotAnswered), ..Filter::default() }), [7]);
}

#[test]
fn bad_calls_are_found_by_their_worse_side() {
    let (_home, mut store) = kept();
    let [good, unscored] = measured();
    let scored = |mos: u16| Quality { mos_hundredths: Some(mos), ..good };
    let one_way = Quality { is_one_way: true, received: 0, ..unscored };
    let sides = [(1, [good, unscored]), (2, [scored(349), good]), (3, [good, scored(350)]), (4, [good, one_way])];
    for (n, quality) in sides {
        store.write(&[put(&Entry { quality: Some(quality), ..entry(n) })]).unwrap();
    }
    store.write(&[put(&entry(5)), put(&unrecorded(6))]).unwrap();
    let calls = |heard: Heard, newest: Option<u64>| -> Vec<u64> {
        let rows = store.list(&Filter { which: Which::All, heard, newest, ..Filter::default() }).unwrap();
        rows.iter().map(|entry| entry.call.as_u64()).collect()
    };

    assert_eq!(calls(Heard::Any, None), [1, 2, 3, 4, 5, 6]);
    assert_eq!(calls(Heard::Measured, None), [1, 2, 3, 4]);
    assert_eq!(calls(Heard::Below(350), None), [2, 4]);
    assert_eq!(calls(Heard::Below(351), None), [2, 3, 4]);
    assert_eq!(calls(Heard::Below(450), Some(2)), [3, 4], "the newest of those");
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
    store.write(&[put(&entry(1)), put(&entry(2)), sealed(id(1), Totals::default())]).unwrap();
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
    Connection::open(&path).unwrap().pragma_update(None, "user_version", VERSION + 2).unwrap();

    let error = open(&path, Opening::Keep).err().unwrap();

    let told = format!("is of version {}, and this program knows up to {VERSION}", VERSION + 2);
    assert!(error.to_string().ends_with(&told), "{error}");
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
fn rows_are_written_twice_as_fast_as_a_hundred_calls_a_second_end() {
    let (_home, mut store) = kept();
    let writes: Vec<_> = (0..1000).map(|n| put(&entry(n))).collect();
    let begin = std::time::Instant::now();

    for batch in writes.chunks(100) {
        store.write(batch).unwrap();
    }

    assert!(begin.elapsed() < Duration::from_secs(5), "a thousand took {:?}", begin.elapsed());
}

fn kept() -> (TempDir, Box<dyn Store>) {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
    (home, store)
}

fn sealed(recording: RecordingId, totals: Totals) -> Write {
    Write::Sealed(recording, totals, seal())
}

fn seal() -> Seal {
    Seal { root: Digest::of(b"chunks"), chunks: 3 }
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
        direction: Some(Direction::Inbound),
        trunk: Some(TrunkName::new("carrier")),
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
            indexed: Vec::new(),
        }),
        is_redacted: false,
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
    [pbx, Quality { jitter: None, worst_jitter: None, round_trip: Some(Duration::from_millis(31)), mos_hundredths: None, ..pbx }]
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

#[test]
fn what_is_kept_of_a_call_is_the_last_that_was_said_until_it_is_forgotten() {
    let (_home, mut store) = kept();
    let keep = |call: u64, at: u64, text: &str| {
        Write::Keep(KeptCall { call: CallId::from_u64(call), at: wall(at), kept: Private::new(text.as_bytes().to_vec()) })
    };
    store.write(&[keep(1, 10, "one"), keep(2, 20, "two"), keep(3, 30, "three"), keep(1, 40, "one again")]).unwrap();

    store.write(&[Write::Forget(CallId::from_u64(2)), Write::Forget(CallId::from_u64(9))]).unwrap();

    let rows: Vec<_> =
        store.kept().unwrap().into_iter().map(|row| (row.call.as_u64(), row.at, row.kept.reveal().clone())).collect();
    assert_eq!(rows, [(3, wall(30), b"three".to_vec()), (1, wall(40), b"one again".to_vec())]);
}

#[test]
fn the_end_of_a_call_that_was_restored_changes_nothing_else_of_its_row() {
    let (_home, mut store) = kept();
    store.write(&[put(&entry(1)), put(&Entry { reason: Reason::InProgress, ended: None, ..unrecorded(2) })]).unwrap();
    store.mark_torn().unwrap();
    let before = [1, 2].map(|call| store.call(CallId::from_u64(call)).unwrap().unwrap());

    store.write(&[1, 2, 9].map(|call| Write::Ended(CallId::from_u64(call), wall(500)))).unwrap();

    for row in before {
        assert_eq!(store.call(row.call).unwrap(), Some(Entry { ended: Some(wall(500)), ..row }));
    }
    assert_eq!(store.call(CallId::from_u64(9)).unwrap(), None);
}
