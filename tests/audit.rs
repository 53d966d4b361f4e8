//! The ledger's chain over the life of an installation: it holds, it says what was done, and it misses what is gone.

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

use std::process::Command;
use std::time::Duration;

use mitschnitt::vault::SignedHead;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;
use support::child::{Ended, Running};
use support::pair::Pair;
use support::site::{Site, policy};
use support::{A_WHILE, until};

#[test]
fn a_recorded_call_is_in_the_chain_and_all_of_it_holds_while_the_proxy_runs_and_after() {
    let day = Day::with_a_recording();

    let kinds: Vec<_> =
        day.site.json(&["audit", "show"]).iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    let sealed = &day.site.json(&["audit", "show", "--kind", "sealed"])[0];
    let verified = day.verify(&[]);

    assert_eq!(kinds.first().map(String::as_str), Some("chained"), "{kinds:?}");
    for kind in ["started", "begun", "sealed", "row", "stopped"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind} is not in {kinds:?}");
    }
    assert_eq!(sealed["event"]["recording"], day.id.as_str());
    assert_ne!(sealed["event"]["root"], "0".repeat(64));
    assert_eq!((verified.1, &verified.0["holds"], &verified.0["recordings"]), (Some(0), &true.into(), &1.into()), "{verified:?}");
}

#[test]
fn the_chain_goes_on_over_restarts_and_an_operators_deed_is_signed_by_the_next() {
    let day = Day::with_a_recording();
    let before = day.head();
    day.site.cli(&["recordings", "erase", &day.id, "--reason", "GDPR 17", "--yes"]).must_succeed();
    assert_eq!(day.head(), before, "nobody has signed that yet");

    let proxy = day.site.start();
    let after = until("the head to be published", A_WHILE, || Some(day.head()).filter(|head| head.head.seq > before.head.seq));
    let ended = stopped(proxy);

    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.err.contains("ledger_head") && ended.err.contains(&after.to_string()), "{}", ended.err);
    assert_eq!(day.site.json(&["audit", "show", "--kind", "erased"])[0]["event"]["recording"], day.id.as_str());
    let (verified, code) = day.verify(&[&before.to_string(), &after.to_string()]);
    assert_eq!((code, &verified["heads_compared"]), (Some(0), &2.into()), "{verified}");
    assert!(!day.recording().exists(), "its file went with its keys, and is not missed");
}

#[test]
fn a_recording_that_was_deleted_with_its_row_and_keys_is_missed() {
    let day = Day::with_a_recording();
    let published = day.head().to_string();
    std::fs::remove_file(day.recording()).unwrap();
    std::fs::remove_file(day.site.data().join(format!("keys/{}.key", day.id))).unwrap();

    let (verified, code) = day.verify(&[&published]);
    let gone = format!("recording {} was made, and its file is gone", day.id);
    assert_eq!((code, &verified["faults"]), (Some(1), &vec![gone].into()));

    day.tamper(
        "PRAGMA foreign_keys = OFF; DELETE FROM calls; DELETE FROM parties; DELETE FROM quality;
         DROP TRIGGER turns_are_not_removed; DELETE FROM turns",
    );
    let (verified, code) = day.verify(&[&published]);
    assert_eq!((code, verified["faults"].as_array().unwrap().len()), (Some(1), 4), "{verified}");

    // The whole of it cut off, to before the recording was begun, with every signature on it.
    day.tamper(
        "DROP TRIGGER chain_is_not_cut; DELETE FROM chain WHERE seq >= (SELECT seq FROM chain WHERE kind = 'begun');
         DELETE FROM heads WHERE seq > (SELECT max(seq) FROM chain)",
    );
    assert_eq!(day.verify(&[]).1, Some(0), "nothing here says that there was more");
    let (verified, code) = day.verify(&[&published]);
    assert_eq!(code, Some(1));
    assert!(verified["faults"][0].as_str().unwrap().starts_with("a head was published for event "), "{verified}");
}

#[test]
fn a_key_file_that_is_put_back_for_a_key_that_was_taken_out_is_told() {
    let day = Day::with_a_recording();
    let (old, keys) = (day.site.recipient_secret(), day.site.data().join(format!("keys/{}.key", day.id)));
    let stick = tempfile::tempdir().unwrap();
    let (new, public) = (stick.path().join("new.pem"), stick.path().join("new.pub.pem"));
    let made = ["keys", "rotate", "desk", "--private-to", new.to_str().unwrap(), "--no-passphrase"];
    day.site.cli(&made).must_succeed();
    let made = day.site.cli_alone(&["keys", "public", new.to_str().unwrap()]).must_succeed();
    std::fs::write(&public, made.out).unwrap();
    let backup = std::fs::read(&keys).unwrap();
    let public = public.to_str().unwrap();

    let wrapped = ["keys", "rewrap", &day.id, "--key", old.to_str().unwrap(), "--add", public, "--only"];
    day.site.cli(&wrapped).must_succeed();

    let event = &day.site.json(&["audit", "show", "--kind", "rewrapped"])[0]["event"];
    let count = |name: &str| event[name].as_array().map(Vec::len);
    assert_eq!((count("added"), count("removed")), (Some(1), Some(1)), "{event}");
    let (verified, code) = day.verify(&[]);
    assert_eq!(code, Some(0), "it is what it was made: {verified}");
    std::fs::write(&keys, backup).unwrap();
    let (verified, code) = day.verify(&[]);
    let told = format!("the key file of recording {} is not what the last rewrapping made of it: others may open it", day.id);
    assert_eq!((code, &verified["faults"]), (Some(1), &vec![told].into()));
}

#[test]
fn what_operators_do_while_the_proxy_is_down_is_unsigned_and_no_fault() {
    let day = Day::with_a_recording();
    for words in [
        &["staff", "exempt", "150", "--reason", "works council"][..],
        &["tokens", "add", "wall", "--role", "operator"],
        &["subject", "find", "100", "--purpose", "GDPR 15"],
        &["recordings", "hold", &day.id, "--reason", "case"],
        &["recordings", "release", &day.id, "--reason", "case"],
    ] {
        day.site.cli(words).must_succeed();

        let (verified, code) = day.verify(&[]);
        assert_eq!(code, Some(0), "{words:?}: {verified}");
    }
}

#[test]
fn a_chain_that_was_changed_is_told_at_the_start_and_the_proxy_runs() {
    let day = Day::with_a_recording();
    day.tamper("DROP TRIGGER chain_is_not_changed; UPDATE chain SET body = '{}' WHERE kind = 'sealed'");

    let proxy = day.site.start();
    let metrics = day.site.metrics();
    let ended = stopped(proxy);

    assert!(ended.err.contains("ledger_chain_broken"), "{}", ended.err);
    assert!(metrics.contains("mitschnitt_ledger_chain_broken 1"), "{metrics}");
    assert_eq!(day.site.json(&["audit", "show", "--kind", "broken"]).len(), 1);
    assert_eq!(day.verify(&[]).1, Some(1));
}

#[test]
fn heads_are_read_from_a_log_and_what_is_none_is_told() {
    let day = Day::with_a_recording();
    let log = day.site.path().join("published.log");
    std::fs::write(&log, format!("a line\nNov 30 box: head={}\n", day.head())).unwrap();

    let (verified, code) = day.verify(&[log.to_str().unwrap()]);
    assert_eq!((code, &verified["heads_compared"]), (Some(0), &1.into()));

    std::fs::write(&log, "a line\n").unwrap();
    let none = day.site.cli(&["audit", "verify", "--head", log.to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(3));
    assert!(none.err.contains("there is no head in"), "{}", none.err);
}

#[test]
fn a_stranger_checks_it_by_the_commands_of_the_manual() {
    let day = Day::with_a_recording();
    let blocks = commands();
    let [events, head, row, line, roster, note, turn] = blocks.as_slice() else {
        panic!("the manual has other commands: {blocks:?}")
    };

    assert_eq!(day.shell(events).out, "", "every event holds");
    let said = day.shell(head).out;
    assert!(said.contains("Signature Verified Successfully") && said.contains("is as it was signed"), "{said}");
    let said = day.shell(row).out;
    let [digest, parties, body] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(body.contains(&format!(r#""row":"{digest}","parties":"{parties}""#)), "{said}");
    day.site.cli(&["recordings", "erase", &day.id, "--reason", "GDPR 17", "--yes"]).must_succeed();
    day.site.cli(&["staff", "exempt", "150", "--reason", "works council"]).must_succeed();
    day.site.cli(&["subject", "find", "100", "--purpose", "GDPR 15"]).must_succeed();
    for commands in [line, roster, note, turn] {
        let said = day.shell(commands).out;
        let (digest, body) = said.split_once('\n').unwrap();
        assert!(body.contains(&format!(r#""line":"{digest}""#)), "{said}");
    }

    day.tamper("DROP TRIGGER chain_is_not_changed; UPDATE chain SET body = '{}' WHERE seq = 2");
    assert_eq!(day.shell(events).out, "event 2 does not hold\n");
}

/// An installation in which one call was recorded, and whose proxy has ended.
struct Day {
    site: Site,
    id: String,
    call: String,
}

impl Day {
    fn with_a_recording() -> Self {
        let site = Site::new(policy("announce"));
        let proxy = site.start();
        let pair = Pair::new(&site);
        let talk = pair.recorded_call(&site, 1.0);
        talk.each_is_heard(25);
        let call = site.json(&["calls", "list"])[0]["call"].as_str().unwrap().to_owned();
        site.cli(&["calls", "pause", &call]).must_succeed();
        site.cli(&["calls", "resume", &call]).must_succeed();
        talk.caller_hangs_up();
        let id = site.recorded();
        let row = site.ledger(1).remove(0);
        let ended = stopped(proxy);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        Self { id, call: row["call"].as_str().unwrap().to_owned(), site }
    }

    fn head(&self) -> SignedHead {
        self.site.cli(&["audit", "head"]).must_succeed().out.parse().unwrap()
    }

    fn verify(&self, heads: &[&str]) -> (Value, Option<i32>) {
        let heads = heads.iter().flat_map(|head| ["--head", head]);
        let words: Vec<_> = ["audit", "verify", "--json"].into_iter().chain(heads).collect();
        let ended = self.site.cli(&words);
        (serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{} {}", ended.out, ended.err)), ended.status.code())
    }

    fn recording(&self) -> std::path::PathBuf {
        self.site.data().join(format!("recordings/{}.rec", self.id))
    }

    /// Does what whoever can write the file can do.
    fn tamper(&self, sql: &str) {
        Connection::open(self.site.data().join("ledger.db")).unwrap().execute_batch(sql).unwrap();
    }

    /// Types commands beside the ledger and the node's public key.
    fn shell(&self, commands: &str) -> Ended {
        let data = self.site.data();
        std::fs::copy(self.site.path().join("keys/node.pub.pem"), data.join("node.pub.pem")).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(commands).current_dir(data).env("CALL", &self.call);
        let ended = Running::run("the manual's commands", &mut shell, Duration::from_secs(60));
        assert_eq!(ended.err, "", "{commands}");
        ended
    }
}

/// Has the proxy end as it should.
fn stopped(proxy: Running) -> Ended {
    proxy.signal(Signal::TERM);
    proxy.finish(Duration::from_secs(15))
}

/// The commands that the manual shows.
fn commands() -> Vec<String> {
    let manual = include_str!("../src/manual/chain.md");
    manual.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}
