//! What is noted beside the calls, and what is cleared: whom it can still be told of, and what the file has left of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::catalogue::fixture::recorded;
use crate::catalogue::{
    About, Audit, Entry, Fault, Field, Filter, Note, NoteKind, Number, Opening, Parties, Purged, Store, Which, Whose, Write,
};
use crate::ids::{CallId, RecordingId};
use crate::node::store::open;
use crate::node::store::schema::{APPLICATION, STEPS};
use crate::private::Private;
use crate::time::Wall;

#[test]
fn calls_are_found_by_number_and_by_time_and_the_newest_of_them_are_those_of_the_party() {
    let (_home, mut store) = kept();
    let writes: Vec<_> = (0..40)
        .map(|n| put(&Entry { began: wall(n), ..of(n, if n.is_multiple_of(4) { "0049 30 777-0001" } else { "200" }) }))
        .collect();
    store.write(&writes).unwrap();
    let filter = Filter { which: Which::All, party: Some(Whose::Of(number("+49307770001"))), ..Filter::default() };
    let found = |filter: &Filter| {
        let found = store.list(filter).unwrap();
        found.iter().map(|entry| entry.call.as_u64()).collect::<Vec<_>>()
    };

    assert_eq!(found(&filter), (0..40).step_by(4).collect::<Vec<_>>());
    assert_eq!(found(&Filter { newest: Some(2), ..filter.clone() }), [32, 36]);
    assert_eq!(found(&Filter { from: Some(wall(8)), to: Some(wall(16)), ..filter }), [8, 12], "the end is not of it");
}

#[test]
fn a_note_is_read_as_it_was_written_and_of_a_person_nothing_is_kept_but_that_it_is_the_same() {
    let (home, mut store) = kept();
    store.write(&[put(&of(1, "200"))]).unwrap();
    let sought = note(NoteKind::Sought, About::Person(Some(Private::new("+4930999888".into()))));
    let corrected = note(
        NoteKind::Corrected,
        About::Field { recording: id(1), field: Field::Calling, value: Some(Private::new("Ms Roe".into())) },
    );

    assert_eq!([store.note_down(&sought).unwrap(), store.note_down(&corrected).unwrap()], [1, 2]);

    let notes = store.notes().unwrap();
    assert_eq!(notes, [Note { number: 1, about: About::Person(None), ..sought }, Note { number: 2, ..corrected }]);
    assert_eq!(store.of_person(&number("0049 30 999 888")).unwrap(), [1]);
    assert_eq!(store.of_person(&number("+4930999887")).unwrap(), [0; 0]);
    assert!(!holds(home.path(), b"30999888"));
    let mut chain = String::new();
    store.links(0, &mut |link, _| chain += &link.body).unwrap();
    assert!(!chain.contains("Roe") && !chain.contains("999888") && !chain.contains("GDPR"), "{chain}");
    assert_eq!(faults(home.path()), []);
}

#[test]
fn whoever_changes_a_note_is_found_out_and_what_may_be_cleared_may_be_gone() {
    let (home, mut store) = kept();
    store
        .note_down(&note(NoteKind::Complaint, About::Complaint { recording: None, text: Some(Private::new("loud".into())) }))
        .unwrap();
    let tampered = |sql: &str| {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("ledger.db");
        let db = Connection::open(home.path().join("ledger.db")).unwrap();
        db.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        let triggers =
            "DROP TRIGGER notes_are_not_changed; DROP TRIGGER notes_are_not_removed; DROP TRIGGER words_are_not_changed;";
        Connection::open(&path).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF; {triggers} {sql}")).unwrap();
        faults(copy.path())
    };

    assert_eq!(tampered("UPDATE notes SET who = 'bob'"), [Fault::LineUnknown, Fault::LineGone { seq: 2 }]);
    assert_eq!(tampered("UPDATE words SET text = 'quiet'"), [Fault::LineUnknown]);
    assert_eq!(tampered("DELETE FROM words; DELETE FROM notes"), [Fault::LineGone { seq: 2 }]);
    assert_eq!(tampered("DELETE FROM words"), []);
    assert!(Connection::open(home.path().join("ledger.db")).unwrap().execute_batch("UPDATE notes SET who = 'bob'").is_err());
}

#[test]
fn what_was_cleared_is_in_none_of_the_files_however_its_rows_have_moved() {
    let (home, mut store) = kept();
    // In the order of a hash: so pages are split, and rows move between them.
    let scattered = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let whose = |n: u64| if n.is_multiple_of(50) { "+4930777000111" } else { "+49897654321" };
    for batch in (1..4000_u64).collect::<Vec<_>>().chunks(97) {
        store.write(&batch.iter().map(|&n| put(&of(scattered(n), whose(n)))).collect::<Vec<_>>()).unwrap();
    }
    let person = number("+4930777000111");
    store.note_down(&note(NoteKind::Sought, About::Person(Some(person.form().clone())))).unwrap();
    let calls: Vec<CallId> = (50..4000).step_by(50).map(|n| CallId::from_u64(scattered(n))).collect();
    assert!(holds(home.path(), b"777000111"));
    let _reader = open(&home.path().join("ledger.db"), Opening::Read).unwrap();

    assert_eq!(store.clear(&calls, Some(&person)).unwrap().calls, 79);
    let purged = store.purge(&[Private::new("777000111".into())]).unwrap();

    assert_eq!(purged, Purged::Clean);
    assert!(!holds(home.path(), b"777000111"));
    assert!(holds(home.path(), b"897654321"));
    assert_eq!(store.of_person(&person).unwrap(), [0; 0], "the salt went as well");
    assert_eq!(store.list(&Filter { which: Which::All, ..Filter::default() }).unwrap().len(), 3999);
    assert_eq!(faults(home.path()), []);
}

#[test]
fn what_stands_in_somebodys_words_or_is_read_at_the_moment_is_not_said_to_be_gone() {
    let (home, mut store) = kept();
    let complaint = About::Complaint { recording: None, text: Some(Private::new("call me at 0307770001".into())) };
    store.note_down(&note(NoteKind::Complaint, complaint)).unwrap();
    let gone = [Private::new("307770001".into())];

    assert_eq!(store.purge(&gone).unwrap(), Purged::Left);
    store.write(&[put(&of(1, "200"))]).unwrap();
    let reader = Connection::open(home.path().join("ledger.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT seq FROM chain LIMIT 1").unwrap();
    store.write(&[put(&of(2, "200"))]).unwrap();
    assert_eq!(store.purge(&[]).unwrap(), Purged::Journal);
    drop(reader);
    assert_eq!(store.purge(&[]).unwrap(), Purged::Clean);
}

#[test]
fn calls_are_found_by_what_their_headers_said_until_they_are_cleared_and_whoever_changes_that_is_found_out() {
    let (home, mut store) = kept();
    let said = |n: u64, headers: &[(&str, &str)]| {
        let entry = of(n, "200");
        let indexed = headers.iter().map(|&(name, value)| (name.to_owned(), Private::new(value.to_owned()))).collect();
        put(&Entry { parties: entry.parties.clone().map(|parties| Parties { indexed, ..parties }), ..entry })
    };
    let deal = ("X-Deal", "D-4711-0815");
    store
        .write(&[said(1, &[deal]), said(2, &[("X-Desk", "D-4711-0815")]), said(3, &[("X-Deal", "D-4712"), deal]), said(4, &[])])
        .unwrap();
    // As the call is answered, with what was said before and more.
    store.write(&[said(3, &[deal, ("X-Deal", "D-4712"), ("X-Desk", "3")])]).unwrap();
    let found = |store: &dyn Store, name: &str, value: &str| {
        let indexed = Some((name.to_owned(), Private::new(value.to_owned())));
        let found = store.list(&Filter { which: Which::All, indexed, ..Filter::default() }).unwrap();
        found.iter().map(|entry| entry.call.as_u64()).collect::<Vec<_>>()
    };

    assert_eq!(found(store.as_ref(), "x-deal", "D-4711-0815"), [1, 3]);
    assert_eq!(found(store.as_ref(), "X-Deal", "d-4711-0815"), [0; 0]);
    let third = store.call(CallId::from_u64(3)).unwrap().unwrap().parties.unwrap().indexed;
    let pair = |(name, value): (&str, &str)| (name.to_owned(), Private::new(value.to_owned()));
    assert_eq!(third, [deal, ("X-Deal", "D-4712"), ("X-Desk", "3")].map(pair));
    assert_eq!(faults(home.path()), []);

    let rows = [format!("{}X-DealD-4711-0815", CallId::from_u64(1)), format!("D-4711-0815X-Deal{}", CallId::from_u64(1))];
    assert!(rows.iter().all(|row| holds(home.path(), row.as_bytes())), "as `erase` looks for them");

    assert_eq!(store.clear(&[CallId::from_u64(1), CallId::from_u64(2), CallId::from_u64(3)], None).unwrap().calls, 3);
    assert_eq!(store.purge(&[Private::new("D-4711-0815".into())]).unwrap(), Purged::Clean);
    assert!(!holds(home.path(), b"D-4711-0815"));
    assert_eq!(found(store.as_ref(), "x-deal", "D-4711-0815"), [0; 0]);
    assert_eq!(faults(home.path()), []);

    store.write(&[said(5, &[deal])]).unwrap();
    let db = Connection::open(home.path().join("ledger.db")).unwrap();
    db.execute_batch("UPDATE headers SET value = 'D-1'").unwrap();
    assert_eq!(faults(home.path()), [Fault::PartiesChanged(CallId::from_u64(5))]);
}

#[test]
fn a_ledger_from_before_the_notes_is_brought_up_to_date() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    let old = Connection::open(&path).unwrap();
    STEPS[..7].iter().for_each(|step| old.execute_batch(step).unwrap());
    old.pragma_update(None, "application_id", APPLICATION).unwrap();
    old.pragma_update(None, "user_version", 7).unwrap();
    drop(old);

    let mut store = open(&path, Opening::Keep).unwrap();

    store.note_down(&note(NoteKind::Cleared, About::Calls(None))).unwrap();
    assert_eq!(store.notes().unwrap().len(), 1);
}

fn note(kind: NoteKind, about: About) -> Note {
    Note {
        number: 0,
        at: wall(9),
        who: "alice".into(),
        kind,
        about,
        reason: Some("GDPR 15".into()),
        counts: [3, 2],
        is_done: true,
    }
}

fn of(n: u64, calling: &str) -> Entry {
    let private = |text: &str| Private::new(text.to_owned());
    let parties = Parties {
        calling: private(calling),
        called: private("100"),
        call_id: Private::new(format!("{n}@pbx")),
        indexed: Vec::new(),
    };
    Entry { parties: Some(parties), ..recorded(n) }
}

fn number(text: &str) -> Number {
    Number::read(text, None).unwrap()
}

fn faults(home: &Path) -> Vec<Fault> {
    let store = open(&home.join("ledger.db"), Opening::Read).unwrap();
    let mut audit = Audit::begin(&[], &[]);
    store.links(0, &mut |link, head| audit.step(&link, head.as_ref())).unwrap();
    store.bound(&mut |bound| audit.row(bound)).unwrap();
    let faults = audit.end(None).faults;
    faults.into_iter().filter(|fault| !matches!(fault, Fault::Chain(_))).collect()
}

/// Whether one of the ledger's files has this.
fn holds(home: &Path, what: &[u8]) -> bool {
    ["ledger.db", "ledger.db-wal", "ledger.db-shm"].iter().any(|name| {
        let bytes = fs::read(home.join(name)).unwrap_or_default();
        bytes.windows(what.len()).any(|window| window == what)
    })
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
