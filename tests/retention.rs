//! What is past its time is erased by the running proxy, what is held is not, and a policy keeps to its quota.

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

use std::path::PathBuf;

use serde_json::Value;
use support::child::{Ended, Running};
use support::pair::{Pair, recordings_begun};
use support::site::{Site, files_under, policy};
use support::{A_WHILE, CALLED, until};

#[test]
fn a_recording_whose_time_is_over_is_gone_and_one_that_is_held_stays() {
    let site = Site::new(policy("announce"));
    site.add("[[retention]]\npurpose = \"quality\"\nlongest = \"2s\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let ids = [1.0, 2.0].map(|nth| recorded_and_held(&site, &pair, nth));
    let [gone, held] = &ids;
    ids.iter().for_each(|id| drop(site.verify(id)));

    site.cli(&["recordings", "release", gone, "--reason", "the case is closed"]).must_succeed();
    until("the recording erased", A_WHILE, || (state(&site, gone) == "erased").then_some(()));

    assert_eq!(files(&site, gone).map(|path| path.exists()), [false, false]);
    assert_eq!(files(&site, held).map(|path| path.exists()), [true, true]);
    assert_eq!(export(&site, gone).status.code(), Some(5), "nobody opens it");
    assert_eq!(export(&site, held).status.code(), Some(0));
    let verified = site.cli(&["recordings", "verify", "--all"]).must_succeed();
    assert!(verified.out.contains("1 complete, 1 erased"), "{}", verified.out);
    let shown = site.cli(&["recordings", "show", gone]).must_succeed().out;
    assert!(shown.contains(" by retention: longest time for quality: 2s."), "{shown}");
    let report = site.json(&["recordings", "retention"]).remove(0);
    let counts = ["recordings", "overdue", "overdue_held", "held", "erased_in_30_days_by_itself"].map(|key| report[key].as_u64());
    assert_eq!(counts, [1, 1, 1, 1, 1].map(Some), "{report}");
    assert_eq!(site.metric("mitschnitt_retention_erased_total"), 1.0);
    site.metric_reaches("mitschnitt_retention_overdue", 1.0);
    let log = stopped(proxy);
    assert!(log.contains("recordings_erased") && !log.contains("not_erased"), "{log}");
    site.cli(&["audit", "verify"]).must_succeed();

    // It outlives a restart that it is held.
    let _proxy = site.start();
    site.metric_reaches("mitschnitt_retention_overdue", 1.0);
    assert_eq!(files(&site, held).map(|path| path.exists()), [true, true]);
    let refused = site.cli(&["recordings", "erase", held, "--reason", "GDPR 17", "--yes"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(refused.err.contains(": case 4711"), "{}", refused.err);
}

#[test]
fn a_policy_over_its_quota_records_no_more_until_the_oldest_may_go() {
    let site = Site::new(policy("announce"));
    site.set("[[policy]]", "quota = \"1 KiB\"");
    site.add("[[retention]]\npurpose = \"quality\"\nshortest = \"1h\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.recorded_call(&site, 1.0);
    talk.each_is_heard(60);
    talk.caller_hangs_up();
    let id = site.recorded();

    site.metric_reaches("mitschnitt_quota_full", 1.0);
    // Signalling is told within a second.
    let unrecorded = until("a call that is not recorded", A_WHILE, || {
        let talk = pair.call();
        let reason = until("its reason", A_WHILE, || {
            let calls = site.json(&["calls", "list"]);
            calls.first().map(|call| call["reason"].as_str().unwrap().to_owned())
        });
        talk.goes_on_and_ends();
        (reason == "quota").then_some(reason)
    });
    assert_eq!(unrecorded, "quota");
    assert_eq!(state(&site, &id), "sealed", "it is locked");
    let log = stopped(proxy);
    assert!(log.contains("quota_is_nearly_full"), "{log}");

    // The new limits hold from the next start on.
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replace("shortest = \"1h\"", "shortest = \"0s\"")).unwrap();
    let _proxy = site.start();
    until("the recording erased", A_WHILE, || (state(&site, &id) == "erased").then_some(()));

    assert_eq!(files(&site, &id).map(|path| path.exists()), [false, false]);
    assert_eq!(site.metric("mitschnitt_quota_full"), 0.0);
    let shown = site.cli(&["recordings", "show", &id]).must_succeed().out;
    assert!(shown.contains(" by retention: quota of policy all: 1024 bytes."), "{shown}");
}

#[test]
fn what_is_withdrawn_is_shredded_as_soon_as_it_may_be_and_over_a_restart() {
    let site = Site::new(policy("announce"));
    site.set("[[policy]]", "on_withdrawal = \"shred\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let withdrawn = |nth: f64, is_held: bool| {
        let talk = pair.call();
        talk.both_speak();
        recordings_begun(&site, nth);
        talk.each_is_heard(60);
        let row =
            until("its row", A_WHILE, || site.json(&["recordings", "list"]).into_iter().find(|row| row["state"] == "recording"));
        let [id, call] = ["recording", "call"].map(|name| row[name].as_str().unwrap().to_owned());
        if is_held {
            site.cli(&["recordings", "hold", &id, "--reason", "case 4711"]).must_succeed();
        }
        let said = site.cli(&["calls", "withdraw", &call]).must_succeed().out;
        assert!(said.contains("is being shredded"), "{said}");
        talk.goes_on_and_ends();
        id
    };

    let gone = withdrawn(1.0, false);
    until("the recording shredded", A_WHILE, || (state(&site, &gone) == "erased").then_some(()));
    assert_eq!(files(&site, &gone).map(|path| path.exists()), [false, false]);
    assert_eq!(export(&site, &gone).status.code(), Some(5), "nobody opens it");
    let shown = site.cli(&["recordings", "show", &gone]).must_succeed().out;
    assert!(shown.contains(" by retention: consent was withdrawn."), "{shown}");
    assert_eq!(site.json(&["recordings", "show", &gone])[0]["reason"], "withdrawn-shred");
    // Nor does anything below the data directory say who talked, nor anything there open with the private key.
    let digits = CALLED.trim_start_matches('+').as_bytes();
    until("who talked to be cleared", A_WHILE, || {
        let stands =
            |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.windows(digits.len()).any(|window| window == digits));
        (!files_under(&site.data()).iter().any(stands)).then_some(())
    });
    let left: Vec<_> = files_under(&site.data()).into_iter().filter(|path| path.to_string_lossy().contains(&gone)).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "neither keys nor ciphertext");

    // Somebody has said that it is not to be erased, and the proxy ends meanwhile.
    let held = withdrawn(2.0, true);
    std::thread::sleep(std::time::Duration::from_secs(3));
    eprintln!("{}\n{}", site.cli(&["recordings", "show", &held]).out, proxy.said());
    until("the recording closed", A_WHILE, || (state(&site, &held) == "sealed").then_some(()));
    stopped(proxy);
    assert_eq!(files(&site, &held).map(|path| path.exists()), [true, true]);
    let proxy = site.start();
    site.metric_reaches("mitschnitt_retention_overdue", 1.0);

    site.cli(&["recordings", "release", &held, "--reason", "the case is closed"]).must_succeed();

    until("the recording shredded", A_WHILE, || (state(&site, &held) == "erased").then_some(()));
    assert_eq!(files(&site, &held).map(|path| path.exists()), [false, false]);
    stopped(proxy);
    site.cli(&["audit", "verify"]).must_succeed();
}

/// A recording that is held before its time can be over.
fn recorded_and_held(site: &Site, pair: &Pair, nth: f64) -> String {
    let talk = pair.call();
    talk.both_speak();
    recordings_begun(site, nth);
    talk.each_is_heard(60);
    let row =
        until("its row", A_WHILE, || site.json(&["recordings", "list"]).into_iter().find(|row| row["state"] == "recording"));
    let id = row["recording"].as_str().unwrap().to_owned();
    site.cli(&["recordings", "hold", &id, "--reason", "case 4711"]).must_succeed();
    talk.caller_hangs_up();
    until("the recording to be sealed", A_WHILE, || (state(site, &id) == "sealed").then_some(()));
    id
}

fn state(site: &Site, id: &str) -> String {
    let row: Value = site.json(&["recordings", "show", id]).remove(0);
    row["state"].as_str().unwrap().to_owned()
}

fn files(site: &Site, id: &str) -> [PathBuf; 2] {
    let data = site.data();
    [data.join("recordings").join(format!("{id}.rec")), data.join("keys").join(format!("{id}.key"))]
}

fn export(site: &Site, id: &str) -> Ended {
    let (key, out) = (site.recipient_secret(), site.path().join(format!("{id}.wav")));
    let [key, out] = [&key, &out].map(|path| path.to_str().unwrap());
    site.cli(&["recordings", "export", id, "--key", key, "--purpose", "quality", "--out", out])
}

/// Ends the proxy; returns what it has logged.
fn stopped(proxy: Running) -> String {
    proxy.signal(rustix::process::Signal::TERM);
    let ended = proxy.finish(A_WHILE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    ended.err
}
