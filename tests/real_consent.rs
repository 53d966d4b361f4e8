//! Consent on real calls of SIPp: who must agree, who is known to have agreed or never to be recorded, who takes it back and by what, what pauses, and who is
//! told that it is recorded.

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

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::child::Running;
use support::pcap;
use support::sipp::{Plays, Sipp, Traces, VOICE};
use support::site::{Policy, Site, policy};
use support::sound::{assert_the_end_of, noise};
use support::{A_WHILE, CALLED, CALLER, until};

#[test]
fn both_must_press_and_one_alone_is_not_enough() {
    let site = Site::new(Policy { announcement_ms: 300, answer_s: 2, ..policy("opt-in") });
    site.set("[[policy]]", "must_agree = [\"remote\", \"local\"]");
    let _proxy = site.start();

    outbound(&site, ("uac_key_talk", 1000), ("uas_talk", 100));
    assert_eq!(reasons(&site), ["consent-timeout"]);
    outbound(&site, ("uac_key_talk", 1000), ("uas_key_talk", 1000));

    assert_eq!(reasons(&site), ["consent-timeout", "recorded"]);
    assert_eq!(site.recordings().len(), 1);
    let evidence = evidence(&site, 1);
    let how: Vec<_> = evidence["consents"].as_array().unwrap().iter().map(|one| (&one["of"], &one["how"])).collect();
    assert_eq!(how, [(&"pbx".into(), &"key-rfc4733".into()), (&"trunk".into(), &"key-rfc4733".into())], "{evidence}");
}

#[test]
fn an_employee_is_recorded_until_the_register_has_it_that_he_takes_it_back_and_never_once_exempt() {
    let site = Site::new(Policy { announcement_ms: 300, answer_s: 2, ..policy("opt-in") });
    site.set("[[policy]]", "must_agree = [\"remote\", \"local\"]");
    site.set("[[policy]]", "registered_local = \"untold\"");
    let _proxy = site.start();
    let call = |reason: &str, nth: usize| {
        outbound(&site, ("uac_talk", 100), ("uas_key_talk", 1000));
        assert_eq!(reasons(&site)[nth], reason);
    };

    site.cli(&["staff", "add", CALLER, "--evidence", "HR 17"]).must_succeed();
    call("recorded", 0);
    site.cli(&["staff", "revoke", CALLER, "--reason", "HR 18"]).must_succeed();
    call("consent-timeout", 1);
    site.cli(&["staff", "exempt", CALLER, "--reason", "works council"]).must_succeed();
    call("exempt", 2);

    assert_eq!(site.recordings().len(), 1);
    assert_eq!(evidence(&site, 0)["consents"][0]["how"], "registered");
}

#[test]
fn a_star_and_digits_before_the_number_keep_the_call_unrecorded_and_it_goes_to_the_number() {
    let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
    site.set("[sip]", "unrecorded_code = \"*31\"");
    let _proxy = site.start();

    let [_, callee] = turns(&site, 500, &[("prefix", "*31"), ("first", "a=x:1"), ("second", "a=x:2")]);

    // Who was dialled stands in To as the caller has it: that a proxy does not touch (RFC 3261 §16.6).
    assert!(callee.messages.contains(&format!("INVITE sip:{CALLED}@")), "{}", callee.messages);
    assert!(!callee.messages.contains("INVITE sip:*31"), "{}", callee.messages);
    let row = site.ledger(1).remove(0);
    assert!(row["recording"].is_null() && row["reason"] == "unrecorded-by-code", "{row}");
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
}

#[test]
fn the_hook_allows_and_denies_and_one_that_is_slow_lies_or_is_down_is_no_answer() {
    let site = Site::new(Policy { announcement_ms: 300, answer_s: 1, ..policy("opt-in") });
    site.set("[[policy]]", "registered_remote = \"told\"");
    site.set("[[policy]]", "web_hook = \"ask\"");
    let (secret, table) = (site.path().join("hook.secret"), site.path().join("customers.csv"));
    std::fs::write(&secret, "0123456789abcdef".repeat(4)).unwrap();
    let at = site.ports.stranger();
    site.add(&format!("[hook]\nurl = \"http://{at}/consent\"\nsecret = \"{}\"\ndeadline_ms = 300", secret.display()));
    let _proxy = site.start();
    let call = || drop(outbound(&site, ("uac_talk", 100), ("uas_talk", 100)));

    let known = |answer: &str| {
        std::fs::write(&table, format!("number,answer,reference,version,policy\n{CALLED},{answer},CRM 17,,\n")).unwrap();
    };
    known("allow");
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/hook.py");
    let mut command = Command::new("python3");
    command.arg(server).arg("--secret").arg(&secret).arg("--table").arg(&table).arg(format!("--listen={at}"));
    let mut hook = Running::start("hook.py", &mut command);
    hook.wait_for("hook ready", A_WHILE);
    call();
    known("deny");
    call();
    hook.signal(rustix::process::Signal::KILL);
    drop(hook.finish(A_WHILE));
    call();
    let slow = Server::answering(at, None);
    call();
    slow.end();
    let liar = Server::answering(at, Some(r#"{"answer":"allow","reference":"CRM 17"}"#));
    call();
    liar.end();

    assert_eq!(reasons(&site), ["recorded", "hook-denied", "consent-timeout", "consent-timeout", "consent-timeout"]);
    assert_eq!(site.recordings().len(), 1);
    assert_eq!(evidence(&site, 0)["consents"][0]["how"], "web-hook");
}

#[test]
fn a_key_takes_consent_back_and_what_was_kept_until_then_stays_or_goes_with_its_keys() {
    for (ends, state) in [("keep", "sealed"), ("shred", "erased")] {
        let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
        site.set("[[policy]]", "withdraw_key = \"1\"");
        site.set("[[policy]]", &format!("on_withdrawal = \"{ends}\""));
        let _proxy = site.start();

        let voice = outbound(&site, ("uac_talk", 100), ("uas_key_talk", 2500));

        let row = site.ledger(1).remove(0);
        assert_eq!(row["reason"], if ends == "keep" { "withdrawn" } else { "withdrawn-shred" }, "{row}");
        let id = row["recording"].as_str().unwrap();
        until("what becomes of it", A_WHILE, || (site.json(&["recordings", "show", id])[0]["state"] == state).then_some(()));
        if ends == "keep" {
            let wav = site.export(id);
            let seconds = wav.channels[0].len() as f64 / 8000.0;
            assert!((1.0..3.5).contains(&seconds), "{seconds} s from the announcement to the key");
            assert!(wav.channels[0].iter().any(|sample| *sample != 0), "the caller spoke");
            assert!(wav.channels[1].iter().all(|sample| *sample == 0), "the callee spoke after the key: {} packets", voice.len());
        } else {
            let keys = site.data().join(format!("keys/{id}.key"));
            assert!(!keys.exists() && site.recordings().is_empty());
        }
    }
}

#[test]
fn a_telephone_that_prefers_no_recording_and_one_that_says_so_by_info_take_it_back_as_well() {
    let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
    site.set("[[policy]]", "withdraw_key = \"1\"");
    let _proxy = site.start();

    turns(&site, 2500, &[("prefix", ""), ("first", "a=x:1"), ("second", "a=recordpref:off")]);
    let (at, whom) = (site.ports.trunk(), site.ports.pbx());
    calls(&site, (at, whom), ("uac_info_talk", 2500), ("uas_talk", 100));

    assert_eq!(reasons(&site), ["withdrawn", "withdrawn"]);
    for (nth, how) in [(0, "recordpref"), (1, "key-sip-info")] {
        let id = site.ledger(2)[nth]["recording"].as_str().unwrap().to_owned();
        let shown = site.json(&["recordings", "show", &id]).remove(0);
        assert_eq!((&shown["turns"][0]["what"], &shown["turns"][0]["how"]), (&"withdrawn".into(), &how.into()), "{shown}");
        let seconds = site.export(&id).channels[0].len() as f64 / 8000.0;
        assert!((1.0..3.5).contains(&seconds), "{seconds} s up to then");
    }
}

#[test]
fn the_agents_pause_outlasts_a_hold_and_the_outside_partys_key_pauses_nothing() {
    let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
    site.set("[[policy]]", "pause_key = \"1\"");
    let _proxy = site.start();

    let voice = caller_voice();
    outbound(&site, ("uac_key_hold", 1500), ("uas_hold", 0));
    calls(&site, (site.ports.trunk(), site.ports.pbx()), ("uac_key_talk", 1500), ("uas_talk", 1500));

    assert_eq!(reasons(&site), ["recorded", "recorded"]);
    let ids: Vec<String> = site.ledger(2).iter().map(|row| row["recording"].as_str().unwrap().to_owned()).collect();
    let paused = site.json(&["recordings", "show", &ids[0]]).remove(0);
    let what: Vec<_> = paused["turns"].as_array().unwrap().iter().map(|turn| (&turn["what"], &turn["by"])).collect();
    assert_eq!(what, [(&"paused".into(), &"pbx".into())], "{paused}");
    let wav = site.export(&ids[0]);
    assert!(wav.channels[0].iter().all(|sample| *sample == 0), "what was said after the hold was said in the pause");
    let all = site.json(&["recordings", "show", &ids[1]]).remove(0);
    assert_eq!(all["turns"], Value::Array(Vec::new()), "{all}");
    let wav = site.export(&ids[1]);
    assert_eq!(assert_the_end_of(&wav.channels[1], &voice, "the trunk's side"), 236, "every word after its key");
}

#[test]
fn another_phone_that_the_pbx_puts_into_the_call_is_not_recorded_unasked() {
    let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
    let _proxy = site.start();
    let from = |number: &str| format!("P-Asserted-Identity: <sip:{number}@127.0.0.1>");

    let moved = [("prefix", ""), ("first", "a=x:1"), ("second", "a=x:2")];
    let [then, now] = [from("100"), from("200")];
    turns(&site, 2500, &[&moved[..], &[("asserts", &then), ("asserts_then", &now)]].concat());
    turns(&site, 2500, &[&moved[..], &[("asserts", &then), ("asserts_then", &then)]].concat());

    assert_eq!(reasons(&site), ["transferred", "recorded"], "the same party that describes itself anew is the same");
    let seconds: Vec<_> =
        site.ledger(2).iter().map(|row| site.export(row["recording"].as_str().unwrap()).channels[0].len() / 8000).collect();
    assert!(seconds[0] < seconds[1], "it ends with the party that was told: {seconds:?}");
}

#[test]
fn a_pause_outlasts_the_end_of_the_recording_by_a_transfer() {
    let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
    let _proxy = site.start();
    let from = |number: &str| format!("P-Asserted-Identity: <sip:{number}@127.0.0.1>");
    let (then, now) = (from("100"), from("200"));
    let words =
        [("prefix", ""), ("first", "a=x:1"), ("second", "a=x:2"), ("asserts", then.as_str()), ("asserts_then", now.as_str())];

    std::thread::scope(|scope| {
        let calling = scope.spawn(|| turns(&site, 6000, &words));
        let live = until("the recording", A_WHILE, || {
            site.json(&["calls", "list"]).into_iter().find(|call| call["state"] == "recording")
        });
        site.cli(&["calls", "pause", live["call"].as_str().unwrap()]).must_succeed();
        calling.join().unwrap();
    });

    assert_eq!(reasons(&site), ["transferred"]);
    let id = site.ledger(1)[0]["recording"].as_str().unwrap().to_owned();
    let shown = site.json(&["recordings", "show", &id]).remove(0);
    let turns: Vec<_> = shown["turns"].as_array().unwrap().iter().map(|turn| &turn["what"]).collect();
    assert_eq!(turns, ["paused"], "nobody has resumed it: {shown}");
    let wav = site.export(&id);
    let last = wav.channels[0].iter().rposition(|sample| *sample != 0).unwrap_or(0);
    assert!(last < 3 * 8000, "nothing from the pause on: the last sound is at sample {last}");
}

#[test]
fn a_telephone_that_knows_of_recordings_is_told_and_one_that_does_not_is_not() {
    let site = Site::new(Policy { announcement_ms: 300, ..policy("announce") });
    let _proxy = site.start();

    let [aware, _] = turns(&site, 2500, &[("prefix", ""), ("first", "a=recordpref:on"), ("second", "a=recordpref:on")]);
    let [plain, callee] = turns(&site, 2500, &[("prefix", ""), ("first", "a=x:1"), ("second", "a=x:2")]);

    assert!(aware.messages.contains("a=record:on"), "{}", aware.messages);
    assert!(!plain.messages.contains("a=record:") && !callee.messages.contains("a=record:"), "{}", plain.messages);
    assert_eq!(reasons(&site), ["recorded", "recorded"]);
}

/// Calls from the PBX to the trunk; returns what the callee says.
fn outbound(site: &Site, caller: (&str, u32), callee: (&str, u32)) -> Vec<Vec<u8>> {
    calls(site, (site.ports.pbx(), site.ports.trunk()), caller, callee)
}

fn calls(site: &Site, (at, whom): (SocketAddr, SocketAddr), caller: (&str, u32), callee: (&str, u32)) -> Vec<Vec<u8>> {
    let voice = noise(350, 160, 7);
    let file = site.path().join("callee.pcap");
    pcap::write_alaw(&file, &voice, 20, 0x0bad_cafe);
    let called = Sipp::called(site, whom, &Plays { scenario: callee.0, voice: &file, waits_ms: callee.1 });
    let calling = Sipp::calling(site, at, whom, &Plays { scenario: caller.0, voice: Path::new(VOICE), waits_ms: caller.1 });
    calling.must_succeed();
    called.must_succeed();
    voice
}

/// A call in which the caller describes itself anew after a while; returns what both have written down.
fn turns(site: &Site, waits_ms: u32, words: &[(&str, &str)]) -> [Traces; 2] {
    let (at, whom) = (site.ports.pbx(), site.ports.trunk());
    let called = Sipp::listening(site, whom, &Plays::silent("uas_turns", 0), &[]);
    let uas = whom.to_string();
    let others = [("uas", uas.as_str()), ("asserts", "X-Said: nothing"), ("asserts_then", "X-Said: nothing")];
    let others = others.into_iter().filter(|(name, _)| words.iter().all(|(own, _)| own != name));
    let words: Vec<_> = words.iter().copied().chain(others).collect();
    let calling = Sipp::asking(site, at, whom, &Plays::silent("uac_turns", waits_ms), &words);
    [calling.must_succeed(), called.must_succeed()]
}

/// Why each call so far was recorded, or was not, once all of them are over.
fn reasons(site: &Site) -> Vec<String> {
    let rows = until("the calls to be over", A_WHILE, || {
        let rows = site.json(&["recordings", "list", "--all"]);
        rows.iter()
            .all(|row| !row["ended"].is_null() && row["state"] != "recording" && row["reason"] != "in-progress")
            .then_some(rows)
    });
    rows.iter().map(|row| row["reason"].as_str().unwrap().to_owned()).collect()
}

/// The evidence in the recording of the nth call.
fn evidence(site: &Site, nth: usize) -> Value {
    let rows = site.json(&["recordings", "list", "--all"]);
    let opened = support::reader::open(site, rows[nth]["recording"].as_str().unwrap());
    serde_json::from_str(opened.only("evidence")["json"].as_str().unwrap()).unwrap()
}

fn caller_voice() -> Vec<Vec<u8>> {
    pcap::rtp(Path::new(VOICE)).into_iter().map(|packet| packet.payload).collect()
}

/// A hook that is none: it takes the question, and says nothing, or says yes without a signature.
struct Server {
    at: SocketAddr,
    thread: std::thread::JoinHandle<usize>,
}

impl Server {
    fn answering(at: SocketAddr, answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let thread = std::thread::spawn(move || {
            let mut asked = 0;
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).unwrap();
                if bytes[..read].starts_with(b"END") {
                    break;
                }
                asked += 1;
                if let Some(body) = answer {
                    let length = body.len();
                    let text =
                        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
                    stream.write_all(text.as_bytes()).unwrap();
                }
                // Who is slow leaves the connection open.
                open.push(stream);
            }
            asked
        });
        Self { at, thread }
    }

    /// Ends it; it must have been asked.
    fn end(self) {
        std::net::TcpStream::connect(self.at).unwrap().write_all(b"END").unwrap();
        assert!(self.thread.join().unwrap() > 0, "nobody asked it");
    }
}
