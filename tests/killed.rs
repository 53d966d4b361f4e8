//! The proxy is killed in the middle of its calls: what was sealed opens, the ledger says what was cut, and it starts again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::time::{Duration, Instant};

use mitschnitt::demo::Flow;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;
use support::child::Running;
use support::pair::{Pair, Talk, alaw, recordings_begun};
use support::reader;
use support::site::{Policy, Site, policy};
use support::{A_WHILE, until};

#[test]
fn all_but_the_last_half_second_before_the_kill_is_in_the_file_and_opens() {
    let scene = Scene::killed();

    let opened = reader::open(&scene.site, &scene.id);

    assert_eq!((opened.verdict.as_str(), opened.code), ("cut", Some(1)));
    for (leg, call) in scene.talk.legs() {
        let run = opened.run(leg, call);
        let lost = run.missing().iter().filter(|sent| sent.at < scene.killed);
        let oldest = lost.map(|sent| scene.killed - sent.at).max().unwrap_or_default();
        assert!(oldest < LOST, "{leg}: {oldest:?} before the kill begins what is not in the file");
        assert!(run.recorded >= 75, "{leg}: of 2 s at least 1.5 are there: {} packets", run.recorded);
    }
}

#[test]
fn what_is_left_is_torn_and_the_next_start_closes_and_signs_it() {
    let scene = Scene::killed();
    assert_eq!(reader::verify(&scene.site, &scene.id), ("cut".to_owned(), Some(1)));
    assert_eq!(scene.verify().1, Some(1), "nobody has told the ledger yet; whole it is not");

    let _proxy = scene.site.start();

    let before = reader::open(&scene.site, &scene.id).records;
    let row =
        until("the recording salvaged", A_WHILE, || scene.row_of(&scene.talk_number).filter(|row| row["state"] == "salvaged"));
    assert_eq!((&row["reason"], &row["recording"]), (&"torn".into(), &scene.id.as_str().into()));
    let (said, code) = scene.verify();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("  salvaged  its recorder did not come to its end; "), "{said}");
    assert_eq!(reader::verify(&scene.site, &scene.id), ("salvaged".to_owned(), Some(4)));
    let opened = reader::open(&scene.site, &scene.id);
    assert_eq!(opened.records, before, "what was whole is all there, and nothing else");
    assert!(opened.records.len() > 150, "1.5 s of two legs: {}", opened.records.len());
    let left: Vec<_> = std::fs::read_dir(scene.site.data().join("recordings")).unwrap().collect();
    assert_eq!(left.len(), 1, "no copy lies beside it: {left:?}");
}

#[test]
fn a_call_that_was_not_recorded_yet_is_called_interrupted() {
    let scene = Scene::killed();

    let _proxy = scene.site.start();

    let row = scene.row_of(&scene.held_number).expect("the call has a row");
    assert_eq!(
        (&row["state"], &row["reason"], &row["recording"]),
        (&"none".into(), &"interrupted".into(), &Value::Null),
        "{row}"
    );
}

#[test]
fn the_next_call_after_a_restart_is_recorded() {
    let scene = Scene::killed();
    scene.talk.both().into_iter().for_each(|call| call.line().unwrap().say_nothing());

    let _proxy = scene.site.start();
    let next = scene.pair.call();
    recordings_begun(&scene.site, 1.0);
    next.goes_on_and_ends();

    let row = until("the third call's row", A_WHILE, || {
        scene.rows().into_iter().find(|row| row["state"] == "sealed" && !row["ended"].is_null())
    });
    assert_eq!(row["reason"], "recorded");
    scene.site.verify(row["recording"].as_str().unwrap());
}

#[test]
fn a_recording_whose_row_was_not_written_yet_belongs_to_its_call_after_a_restart_and_can_be_erased() {
    let site = Site::new(Policy { announcement_ms: 3000, ..policy("announce") });
    let proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    until("the call in the ledger", A_WHILE, || Some(rows(&site)).filter(|rows| rows.len() == 1));
    let held = held_ledger(&site);
    let before = held.query_row("SELECT count(*), count(recording) FROM calls", [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(before, Ok((1, 0)), "the call has a row, and its recording is in none");
    talk.both_speak();
    recordings_begun(&site, 1.0);
    kill(proxy);
    drop(held);
    talk.both().into_iter().for_each(|call| call.line().unwrap().say_nothing());

    let _proxy = site.start();

    let rows = rows(&site);
    let [row] = rows.as_slice() else { panic!("one call has one row: {rows:?}") };
    let id = row["recording"].as_str().expect("the row has the recording");
    assert_eq!((&row["reason"], &row["trunk"]), (&"torn".into(), &"carrier".into()));
    assert_eq!(&id[..16], row["call"].as_str().unwrap());
    until("the recording salvaged", A_WHILE, || rows_are(&site, "salvaged"));
    assert_eq!(reader::verify(&site, id), ("salvaged".to_owned(), Some(4)));
    site.cli(&["recordings", "erase", id, "--reason", "a test", "--yes"]).must_succeed();
    assert!(!site.data().join("keys").join(format!("{id}.key")).exists());
}

#[test]
fn a_recording_of_which_the_ledger_knows_nothing_is_found_and_opens_for_its_purpose_alone() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let pair = Pair::new(&site);
    let held = held_ledger(&site);
    let talk = pair.recorded_call(&site, 1.0);
    talk.each_is_heard(50);
    kill(proxy);
    drop(held);
    talk.both().into_iter().for_each(|call| call.line().unwrap().say_nothing());
    assert_eq!(rows(&site), Vec::<Value>::new());

    let _proxy = site.start();

    let rows = rows(&site);
    let [row] = rows.as_slice() else { panic!("there is one recording: {rows:?}") };
    let id = row["recording"].as_str().expect("the row has the recording");
    assert_eq!((&row["reason"], &row["direction"]), (&"found".into(), &Value::Null));
    until("the recording salvaged", A_WHILE, || rows_are(&site, "salvaged"));
    let export = |purpose: &str| {
        let (key, out) = (site.recipient_secret(), site.path().join("found.wav"));
        site.cli(&[
            "recordings",
            "export",
            id,
            "--key",
            key.to_str().unwrap(),
            "--purpose",
            purpose,
            "--out",
            out.to_str().unwrap(),
        ])
    };
    assert_eq!(export("training").status.code(), Some(4), "the evidence inside names another");
    export("quality").must_succeed();
}

/// Keeps the proxy from writing to its ledger until it is dropped.
fn held_ledger(site: &Site) -> Connection {
    let held = Connection::open(site.data().join("ledger.db")).unwrap();
    held.busy_timeout(A_WHILE).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    held
}

/// Two calls when the proxy was killed: one was recorded for two seconds, the other, on hold, was not told yet.
struct Scene {
    site: Site,
    pair: Pair,
    talk: Talk,
    killed: Instant,
    id: String,
    talk_number: String,
    held_number: String,
}

impl Scene {
    fn killed() -> Self {
        let site = Site::new(policy("announce"));
        let proxy = site.start();
        let pair = Pair::new(&site);
        let talk = pair.recorded_call(&site, 1.0);
        let _held = pair.call_as(alaw().flowing(Flow::Inactive), &alaw());
        talk.each_is_heard(100);
        let rows = until("both calls in the ledger", A_WHILE, || Some(rows(&site)).filter(|rows| rows.len() == 2));
        let number = |reason: &str| {
            let row = rows.iter().find(|row| row["reason"] == reason).unwrap_or_else(|| panic!("one is {reason}: {rows:?}"));
            (row["call"].as_str().unwrap().to_owned(), row["recording"].as_str().map(str::to_owned))
        };
        let ((talk_number, id), (held_number, _)) = (number("recorded"), number("in-progress"));

        let killed = kill(proxy);

        Self { site, pair, talk, killed, id: id.unwrap(), talk_number, held_number }
    }

    fn verify(&self) -> (String, Option<i32>) {
        let ended = self.site.cli(&["recordings", "verify", &self.id]);
        (ended.out, ended.status.code())
    }

    fn rows(&self) -> Vec<Value> {
        rows(&self.site)
    }

    fn row_of(&self, call: &str) -> Option<Value> {
        self.rows().into_iter().find(|row| row["call"] == call)
    }
}

fn rows(site: &Site) -> Vec<Value> {
    site.json(&["recordings", "list", "--all"])
}

fn rows_are(site: &Site, state: &str) -> Option<()> {
    rows(site).iter().all(|row| row["state"] == state).then_some(())
}

/// Returns when it was still alive for certain.
fn kill(proxy: Running) -> Instant {
    let killed = Instant::now();
    proxy.signal(Signal::KILL);
    let ended = proxy.finish(A_WHILE);
    assert_eq!(ended.status.code(), None, "it had no time to end by itself: {}", ended.err);
    killed
}

/// The age at which a chunk is closed, 0.5 s; a packet's length; and 80 ms for threads that wait for two loaded cores.
const LOST: Duration = Duration::from_millis(500 + 20 + 80);
