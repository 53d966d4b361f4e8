//! The proxy is told to stop in the middle of its calls: recordings are sealed, the ledger has the last word, and it ends soon and well.

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
use rustix::process::Signal;
use support::child::{Ended, Running};
use support::pair::{Pair, Talk, alaw, recordings_begun};
use support::reader;
use support::site::{Site, policy};

#[test]
fn a_recording_is_sealed_and_complete() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let (_pair, talk) = recorded(&site);

    let (stopped, _) = stop(proxy);

    let row = site.ledger_says("recorded");
    assert_eq!(row["state"], "sealed", "{row}");
    let id = row["recording"].as_str().unwrap();
    let key = site.recipient_secret();
    let verified = site.cli(&["recordings", "verify", id, "--key", key.to_str().unwrap()]).must_succeed();
    assert!(verified.out.contains("complete"), "{}", verified.out);
    let opened = reader::open(&site, id);
    assert_eq!(opened.only("end")["reason"], 9, "format.md: `shutdown`");
    for (leg, call) in talk.legs() {
        let run = opened.run(leg, call);
        // A packet that was sent more than 40 ms before was received, even by a thread that waits for two loaded cores.
        let missing = run.missing().iter().filter(|sent| sent.at + Duration::from_millis(40) < stopped).count();
        assert_eq!(missing, 0, "{leg}: every packet up to the signal is there");
    }
}

#[test]
fn it_ends_well_within_two_seconds() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let (_pair, _talk) = recorded(&site);

    let (_, ended) = stop(proxy);

    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

#[test]
fn the_ledger_says_of_calls_that_were_not_recorded_that_they_were_stopped() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let pair = Pair::new(&site);
    let _untold = pair.call_as(alaw().flowing(Flow::Inactive), &alaw());
    let _ringing = pair.rings();

    stop(proxy);

    let rows = site.ledger(2);
    assert!(rows.iter().all(|row| row["reason"] == "stopped" && row["state"] == "none"), "{rows:?}");
    assert_eq!(site.recordings(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn it_can_be_started_again_at_once_and_records() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let (pair, talk) = recorded(&site);
    stop(proxy);
    talk.both().into_iter().for_each(|call| call.line().unwrap().say_nothing());

    let _proxy = site.start();
    let next = pair.call();
    recordings_begun(&site, 1.0);
    next.goes_on_and_ends();

    let rows = site.ledger(2);
    assert!(rows.iter().all(|row| row["state"] == "sealed" && row["reason"] == "recorded"), "{rows:?}");
}

/// A call that was recorded for a second and goes on.
fn recorded(site: &Site) -> (Pair, Talk) {
    let pair = Pair::new(site);
    let talk = pair.recorded_call(site, 1.0);
    talk.each_is_heard(50);
    (pair, talk)
}

/// Tells it to stop; panics unless it does so in time. Returns when it was told.
fn stop(proxy: Running) -> (Instant, Ended) {
    let told = Instant::now();
    proxy.signal(Signal::TERM);
    (told, proxy.finish(Duration::from_secs(2)))
}
