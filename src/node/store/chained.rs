//! The chain of a ledger as it is written, and what is found when somebody has laid hands on the file.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::catalogue::fixture::recorded;
use crate::catalogue::{
    Access, Audit, Audited, Break, Deed, End, Entry, Event, Fault, Opening, Outcome, Quality, Reason, Seal, State, Store,
    Subject, Totals, Write,
};
use crate::ids::{CallId, RecordingId};
use crate::node::store::open;
use crate::node::store::schema::{APPLICATION, STEPS};
use crate::time::Wall;
use crate::vault::{Digest, HeadKey, NodeKey, SignedHead};

#[test]
fn what_happens_is_in_the_chain_in_its_order_and_everything_accounts_for_itself() {
    let (home, mut store) = kept();
    a_day(store.as_mut());

    let kinds = kinds(store.as_ref());
    let audited = audit(home.path(), &[]);

    let start = ["chained", "started"];
    let day = ["begun", "sealed", "row", "begun", "torn", "row", "lost", "row", "row", "access", "access", "erased", "stopped"];
    assert_eq!(kinds, [start.as_slice(), &day].concat());
    assert_eq!(audited.faults, []);
    assert_eq!((audited.rows, audited.walked.tip.seq, audited.walked.signed, audited.before), (4, 15, 15, [0, 0]));
    let ends: Vec<_> = audited.recordings.values().map(|standing| (standing.end, standing.is_erased)).collect();
    assert_eq!(ends, [(End::Sealed { bytes: 99_000 }, true), (End::Torn, false), (End::Lost, false)]);
}

#[test]
fn a_row_is_bound_once_it_is_final_and_anew_whenever_it_changes() {
    let (home, mut store) = kept();
    let going_on = Entry { reason: Reason::InProgress, state: State::None, recording: None, ended: None, ..recorded(1) };
    store.write(&[put(&going_on)]).unwrap();
    assert_eq!(rows(store.as_ref()), 0);

    store.write(&[put(&Entry { reason: Reason::ConsentRefused, ..going_on.clone() })]).unwrap();
    store.write(&[put(&going_on)]).unwrap();
    store
        .write(&[Write::Ended(going_on.call, wall(9)), Write::Measured(going_on.call, Box::new([quality(), quality()]))])
        .unwrap();

    assert_eq!(rows(store.as_ref()), 3);
    assert_eq!(audit(home.path(), &[]).faults, []);
}

#[test]
fn what_a_kill_left_open_and_what_was_found_is_in_the_chain() {
    let (home, mut store) = kept();
    store.write(&[Write::Begun(id(1)), put(&Entry { ended: None, state: State::Recording, ..recorded(1) })]).unwrap();
    store.write(&[put(&Entry { reason: Reason::InProgress, state: State::None, recording: None, ..recorded(2) })]).unwrap();

    store.mark_torn().unwrap();
    store.write(&[Write::Found { recording: id(3), began: wall(3) }, Write::Found { recording: id(1), began: wall(1) }]).unwrap();

    assert_eq!(kinds(store.as_ref())[2..], ["begun", "torn", "row", "row", "found", "row"]);
    assert_eq!(audit(home.path(), &[]).faults, []);
}

#[test]
fn a_recording_of_which_row_and_file_are_gone_was_begun_all_the_same() {
    let (home, mut store) = kept();
    store.write(&[Write::Begun(id(1)), put(&Entry { ended: None, state: State::Recording, ..recorded(1) })]).unwrap();
    drop(store);
    assert_eq!(audit(home.path(), &[]).faults, [], "it goes on");
    tamper(home.path(), "DELETE FROM parties; DELETE FROM calls");

    let mut store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
    store.sign_with(key());
    store.note(&[Event::Started { version: "0.1.0".into(), node: key().public().fingerprint(), settings: None }]).unwrap();
    store.mark_torn().unwrap();

    assert_eq!(audit(home.path(), &[]).faults, [Fault::Unended(id(1))]);
}

#[test]
fn whoever_changes_or_takes_out_a_row_is_found_out() {
    let found = |sql: &str| {
        let (home, mut store) = kept();
        a_day(store.as_mut());
        drop(store);
        tamper(home.path(), sql);
        audit(home.path(), &[]).faults
    };
    let call = |n| CallId::from_u64(n);

    assert_eq!(found("UPDATE calls SET reason = 'no-policy' WHERE call LIKE '%4'"), [Fault::RowChanged(call(4))]);
    assert_eq!(found("UPDATE calls SET policy = NULL WHERE call LIKE '%4'"), [Fault::RowChanged(call(4))]);
    assert_eq!(found("UPDATE quality SET received = 1"), [Fault::RowChanged(call(1))]);
    assert_eq!(found("UPDATE parties SET called = '112' WHERE call LIKE '%4'"), [Fault::PartiesChanged(call(4))]);
    assert_eq!(
        found("DELETE FROM parties WHERE call LIKE '%4'; DELETE FROM calls WHERE call LIKE '%4'"),
        [Fault::RowGone { call: call(4), seq: 11 }]
    );
    assert_eq!(found("UPDATE calls SET salt = NULL WHERE call LIKE '%4'"), [Fault::RowChanged(call(4))]);
    assert_eq!(
        found("UPDATE calls SET state = 'recording', reason = 'in-progress' WHERE call LIKE '%4'"),
        [Fault::RowChanged(call(4))]
    );
    assert_eq!(
        found(
            "INSERT INTO calls (call, began_us, direction, trunk, state, reason) VALUES ('00000000000000ff', 1, 'inbound', '', 'none', 'busy')"
        ),
        [Fault::RowsOutside(1)]
    );
    let line = "DROP TRIGGER accesses_are_not_changed; DROP TRIGGER accesses_are_not_removed;";
    assert_eq!(
        found(&format!("{line} UPDATE accesses SET who = 'bob' WHERE number = 2")),
        [Fault::LineUnknown, Fault::LineGone { seq: 13 }]
    );
    assert_eq!(found(&format!("{line} DELETE FROM accesses WHERE number = 2")), [Fault::LineGone { seq: 13 }]);
}

#[test]
fn who_talked_may_be_erased_and_the_row_is_proven_all_the_same() {
    let (home, mut store) = kept();
    a_day(store.as_mut());
    drop(store);

    tamper(home.path(), "DELETE FROM parties WHERE call LIKE '%4'");

    let audited = audit(home.path(), &[]);
    assert_eq!((audited.faults, audited.parties_erased), (vec![], 1));
}

#[test]
fn whoever_changes_or_cuts_the_chain_is_found_out() {
    let free = "DROP TRIGGER chain_is_not_changed; DROP TRIGGER chain_is_not_cut;";
    let found = |sql: &str| {
        let (home, mut store) = kept();
        a_day(store.as_mut());
        let published = store.head().unwrap().unwrap();
        drop(store);
        tamper(home.path(), &format!("{free} {sql}"));
        let (plain, compared) = (audit(home.path(), &[]), audit(home.path(), &[published]));
        (plain.faults, compared.faults)
    };
    let chain = |fault| Fault::Chain(fault);

    let (plain, _) = found("UPDATE chain SET body = replace(body, '99000', '98000') WHERE kind = 'sealed'");
    assert_eq!(plain, [chain(Break::Event(4))]);
    let (plain, _) = found("DELETE FROM chain WHERE seq = 3");
    assert_eq!(plain, [chain(Break::Event(4))]);
    let (plain, _) = found("DELETE FROM chain WHERE seq = 15");
    assert_eq!(plain, [chain(Break::Cut { ends: 14, signed: 15 })]);
    // With the signatures, and back to one that was good: only who has kept a head sees that.
    let (plain, compared) = found("DELETE FROM chain WHERE seq > 14; DELETE FROM heads WHERE seq > 14");
    assert_eq!((plain, compared), (vec![], vec![Fault::Beyond { published: 15, ends: 14 }]));
    let (plain, _) = found("UPDATE heads SET signature = zeroblob(64) WHERE seq = 15");
    assert_eq!(plain, [chain(Break::Signature(15))]);
    let (plain, _) = found("DELETE FROM heads WHERE seq > 13");
    assert_eq!(plain, [chain(Break::Unsigned(15))]);
}

#[test]
fn a_head_of_another_chain_or_another_node_is_told() {
    let (home, mut store) = kept();
    a_day(store.as_mut());
    let (_other_home, mut other) = kept();
    a_day(other.as_mut());
    let published = other.head().unwrap().unwrap();
    let forged = SignedHead { signature: [1; 64], ..published };

    assert_eq!(audit(home.path(), &[published]).faults, [Fault::Forked(15)]);
    assert_eq!(audit(home.path(), &[forged]).faults, [Fault::Forged(15)]);
}

#[test]
fn an_operators_event_is_signed_by_the_next_that_the_node_writes_or_publishes() {
    let (home, mut store) = kept();
    let path = home.path().join("ledger.db");
    let mut operator = open(&path, Opening::ReadAndLog).unwrap();
    let signed = |store: &dyn Store| store.head().unwrap().unwrap().head.seq;

    operator.record_access(&access(1, Deed::Export, Outcome::Granted)).unwrap();
    assert_eq!(signed(store.as_ref()), 2);
    assert_eq!(audit(home.path(), &[]).faults, []);
    store.write(&[Write::Begun(id(1))]).unwrap();
    assert_eq!(signed(store.as_ref()), 4);

    operator.record_access(&access(1, Deed::Export, Outcome::Done)).unwrap();
    assert_eq!(store.sign().unwrap().unwrap().head.seq, 5);
    assert_eq!(store.sign().unwrap().unwrap().head.seq, 5, "it is signed once");
    assert_eq!(audit(home.path(), &[]).faults, []);
}

#[test]
fn nothing_is_in_the_chain_that_would_ever_have_to_be_erased() {
    let (_home, mut store) = kept();
    a_day(store.as_mut());

    let mut text = String::new();
    store.links(0, &mut |link, _| text.push_str(&link.body)).unwrap();

    assert!(text.contains("00000000000000000000000000000001"), "{text}");
    for private in ["4930123456", "a@b", "alice", "for the court", "marketing"] {
        assert!(!text.contains(private), "{private} is in {text}");
    }
}

#[test]
fn a_ledger_from_before_the_chain_says_what_was_there_and_is_bound_from_there_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    let old = Connection::open(&path).unwrap();
    STEPS[..5].iter().for_each(|step| old.execute_batch(step).unwrap());
    old.pragma_update(None, "application_id", APPLICATION).unwrap();
    old.pragma_update(None, "user_version", 5).unwrap();
    old.execute_batch(
        "INSERT INTO calls (call, began_us, ended_us, direction, trunk, state, reason)
         VALUES ('000000000000000a', 1000000, 2000000, 'inbound', 'carrier', 'none', 'no-policy');
         INSERT INTO accesses (at_us, who, deed, recording, outcome) VALUES (1, 'alice', 'export', '01', 'done')",
    )
    .unwrap();
    drop(old);

    let mut store = open(&path, Opening::Keep).unwrap();
    store.sign_with(key());
    store.write(&[put(&Entry { state: State::None, recording: None, reason: Reason::Busy, ..recorded(1) })]).unwrap();

    let mut events = Vec::new();
    store.links(0, &mut |link, _| events.extend(link.event())).unwrap();
    assert!(matches!(&events[0], Event::Chained { calls: 1, accesses: 1, .. }), "{events:?}");
    assert_eq!(events.len(), 2);
    let audited = audit(home.path(), &[]);
    assert_eq!((audited.faults, audited.before, audited.rows), (vec![], [1, 1], 1));
}

#[test]
fn what_is_read_of_a_frozen_ledger_is_of_one_moment() {
    let (home, mut store) = kept();
    let reader = open(&home.path().join("ledger.db"), Opening::Read).unwrap();

    reader.freeze().unwrap();
    store.write(&[Write::Begun(id(1))]).unwrap();

    assert_eq!((kinds(reader.as_ref()).len(), kinds(store.as_ref()).len()), (2, 3));
}

#[test]
fn what_waits_for_a_timestamp_gets_it_once_and_the_least_tried_first() {
    let (_home, mut store) = kept();
    let head = Subject::Head(store.head().unwrap().unwrap());
    let root = Subject::Root { recording: id(1), root: Digest::of(b"chunks") };
    let next = |store: &dyn Store| {
        let (next, waiting) = store.next().unwrap();
        (next.map(|stamp| (stamp.number, stamp.subject, stamp.tries)), waiting)
    };
    assert_eq!(next(store.as_ref()), (None, 0));

    assert_eq!(store.wait(&[head, root], 10).unwrap(), 0);
    assert_eq!(next(store.as_ref()), (Some((1, head, 0)), 2));
    store.write(&[Write::NotStamped { number: 1 }]).unwrap();
    assert_eq!(next(store.as_ref()), (Some((2, root, 0)), 2));
    store.write(&[Write::Stamped { number: 2, answer: vec![7] }, Write::Stamped { number: 2, answer: vec![8] }]).unwrap();

    assert_eq!(next(store.as_ref()), (Some((1, head, 1)), 1));
    let mut all = Vec::new();
    store.stamps(&mut |stamp| all.push((stamp.subject, stamp.answer))).unwrap();
    assert_eq!(all, [(head, None), (root, Some(vec![7]))]);
}

#[test]
fn more_than_may_wait_for_a_timestamp_are_given_up_the_oldest_first() {
    let (_home, mut store) = kept();
    let root = |n| Subject::Root { recording: id(n), root: Digest::of(b"chunks") };
    store.wait(&[root(1), root(2)], 3).unwrap();
    store.write(&[Write::Stamped { number: 1, answer: vec![7] }]).unwrap();

    assert_eq!(store.wait(&[root(3), root(4)], 3).unwrap(), 0);
    assert_eq!(store.wait(&[root(5), root(6)], 3).unwrap(), 2);
    store.write(&[Write::Stamped { number: 2, answer: vec![8] }]).unwrap();

    let mut left = Vec::new();
    store.stamps(&mut |stamp| left.push((stamp.number, stamp.answer.is_some()))).unwrap();
    assert_eq!(left, [(1, true), (4, false), (5, false), (6, false)]);
}

/// A recording that is sealed, heard and erased, one that is torn, one that could not be begun, and a call that was not answered.
fn a_day(store: &mut dyn Store) {
    let recording = |n| Entry { state: State::Recording, recording: Some(id(n)), ..recorded(n) };
    let totals = Totals { packets: [250, 249], gaps: 1, lost: 3, size_bytes: 99_000 };
    let seal = Seal { root: Digest::of(b"chunks"), chunks: 3 };
    store.write(&[Write::Begun(id(1)), put(&recording(1))]).unwrap();
    store
        .write(&[Write::Sealed(id(1), totals, seal), Write::Measured(recorded(1).call, Box::new([quality(), quality()]))])
        .unwrap();
    store.write(&[Write::Begun(id(2)), put(&recording(2))]).unwrap();
    store.write(&[Write::Torn(id(2), Reason::VaultUnavailable)]).unwrap();
    store.write(&[put(&recording(3)), Write::Lost(id(3), Reason::VaultUnavailable)]).unwrap();
    store.write(&[put(&Entry { state: State::None, recording: None, reason: Reason::NotAnswered, ..recorded(4) })]).unwrap();
    store.record_access(&access(1, Deed::Export, Outcome::OtherPurpose)).unwrap();
    store.record_access(&access(1, Deed::Erase, Outcome::Granted)).unwrap();
    store.record_access(&access(1, Deed::Erase, Outcome::Done)).unwrap();
    store.note(&[Event::Stopped]).unwrap();
}

fn audit(home: &Path, published: &[SignedHead]) -> Audited {
    let nodes = [*key().public()];
    let store = open(&home.join("ledger.db"), Opening::Read).unwrap();
    let mut audit = Audit::begin(&nodes, published);
    store.links(0, &mut |link, head| audit.step(&link, head.as_ref())).unwrap();
    store.bound(&mut |bound| audit.row(bound)).unwrap();
    audit.end(store.head().unwrap().as_ref())
}

/// Does what whoever can write the file can do.
fn tamper(home: &Path, sql: &str) {
    Connection::open(home.join("ledger.db")).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
}

fn kinds(store: &dyn Store) -> Vec<String> {
    let mut kinds = Vec::new();
    store.links(0, &mut |link, _| kinds.push(link.kind)).unwrap();
    kinds
}

fn rows(store: &dyn Store) -> usize {
    kinds(store).iter().filter(|kind| *kind == "row").count()
}

fn kept() -> (TempDir, Box<dyn Store>) {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
    store.sign_with(key());
    store.note(&[Event::Started { version: "0.1.0".into(), node: key().public().fingerprint(), settings: None }]).unwrap();
    (home, store)
}

/// The key of RFC 8410 §10.3.
fn key() -> HeadKey {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    HeadKey::of(NodeKey::from_pem(pem.as_bytes()).unwrap())
}

fn put(entry: &Entry) -> Write {
    Write::Put(Box::new(entry.clone()))
}

fn access(n: u64, deed: Deed, outcome: Outcome) -> Access {
    let (who, purpose, reason) = ("alice (uid 1000)".into(), Some("marketing".into()), Some("for the court".into()));
    Access { at: wall(7), who, deed, recording: id(n), purpose, reason, outcome }
}

fn id(n: u64) -> RecordingId {
    RecordingId::from_bytes(u128::from(n).to_be_bytes())
}

fn wall(seconds: i64) -> Wall {
    Wall::from_unix_micros(seconds * 1_000_000)
}

fn quality() -> Quality {
    Quality { expected: 250, received: 249, ..Quality::default() }
}
