//! `calls`: what the running proxy answers.

use std::fs;

use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;
use crate::control::{Consent, Done, LiveCall, LiveState, NotDone, Reply, Standing, TrunkAddress};

#[test]
fn the_running_proxy_is_asked_for_its_calls() {
    let site = Site::with_recordings();
    let call = |state, consent, reason: &str, number: &str| LiveCall {
        call: "00000000000000c0".into(),
        since: "2026-11-24T09:30:00.250Z".into(),
        age_s: 61,
        direction: "inbound".into(),
        trunk: "carrier".into(),
        policy: Some("all".into()),
        state,
        resumes_in_s: None,
        consent,
        reason: reason.into(),
        recording: None,
        calling: number.into(),
        called: "…0".into(),
    };
    let calls = vec![
        call(LiveState::Ringing, None, "in-progress", "…456"),
        call(LiveState::Up, Some(Consent::Refused), "consent-timeout", "…456"),
        call(LiveState::Recording, Some(Consent::Granted), "recorded", "\u{1b}[2J"),
        call(LiveState::Paused, Some(Consent::Granted), "recorded", "…456"),
    ];
    let asked = site.proxy_answers(&Reply::Calls { calls });

    let said = site.says(&["calls", "list"]);

    assert_eq!(
        said,
        "\x20AGE  WAY      TRUNK    FROM  TO  STATE      CONSENT          POLICY  CALL
1:01  inbound  carrier  …456  …0  ringing    –                all     00000000000000c0
1:01  inbound  carrier  …456  …0  up         consent-timeout  all     00000000000000c0
1:01  inbound  carrier  \u{fffd}[2J  …0  recording  granted          all     00000000000000c0
1:01  inbound  carrier  …456  …0  paused     granted          all     00000000000000c0

4 calls, 1 of them recorded at this moment, 1 paused.
"
    );
    assert_eq!(asked.join().unwrap(), "GET /v1/calls ");
}

#[test]
fn the_running_proxy_is_asked_for_the_addresses_of_its_peers() {
    let address = |trunk: Option<&str>, address: &str, standing, is_asked| TrunkAddress {
        trunk: trunk.map(str::to_owned),
        address: address.into(),
        transport: if is_asked { "tls" } else { "udp" }.into(),
        standing,
        since_s: 61,
        is_asked,
    };
    let addresses = vec![
        address(None, "192.0.2.10:5060", Standing::Up, false),
        address(Some("carrier"), "198.51.100.20:5061", Standing::Down, true),
        address(Some("carrier"), "[2001:db8::20]:5061", Standing::Avoided, true),
    ];
    let site = Site::with_recordings();
    let asked = site.proxy_answers(&Reply::Trunks { addresses });

    let said = site.says(&["trunks", "list"]);

    assert_eq!(
        said,
        "TRUNK    ADDRESS                  STATE     FOR  ASKED
(PBX)    udp 192.0.2.10:5060      up       1:01  no: by its calls alone
carrier  tls 198.51.100.20:5061   down     1:01  by OPTIONS
carrier  tls [2001:db8::20]:5061  avoided  1:01  by OPTIONS
"
    );
    assert_eq!(asked.join().unwrap(), "GET /v1/trunks ");
}

#[test]
fn what_an_operator_does_to_a_call_is_said_as_it_was_done() {
    let paused = Reply::Done(Done::Paused { resumes_in_s: 120 });
    let site = Site::with_recordings();
    for (deed, form, reply, says) in [
        ("pause", &[][..], paused.clone(), "The recording of call 00000000000000c0 is paused; it goes on by itself in 120 s.\n"),
        ("pause", &["--json"], paused, "{\"call\":\"00000000000000c0\",\"done\":\"paused\",\"resumes_in_s\":120}\n"),
        (
            "start",
            &[],
            Reply::Done(Done::Asks),
            "The parties of call 00000000000000c0 are being told and asked; what they say decides.\n`mitschnitt calls list` shows where that stands.\n",
        ),
        ("start", &["--json"], Reply::Done(Done::Asks), "{\"call\":\"00000000000000c0\",\"done\":\"asks\"}\n"),
        ("resume", &[], Reply::Done(Done::Resumed), "The recording of call 00000000000000c0 goes on.\n"),
        ("withdraw", &[], Reply::Done(Done::Withdrawn), "Nothing of call 00000000000000c0 is kept from here on.\n"),
    ] {
        let asked = site.proxy_answers(&reply);

        let said = site.says(&[&["calls", deed, "00000000000000c0"], form].concat());

        assert_eq!(said, says);
        let body = if deed == "withdraw" { "{\"shreds\":false}" } else { "" };
        let asks = format!("POST /v1/calls/00000000000000c0/{deed} {body}");
        assert_eq!(asked.join().unwrap(), asks);
        fs::remove_file(site.home().join("data/control.sock")).unwrap();
    }
}

#[test]
fn that_a_recording_is_shredded_is_not_said_before_it_is() {
    let site = Site::with_recordings();
    let asked = site.proxy_answers(&Reply::Done(Done::Shreds));

    let said = site.says(&["calls", "withdraw", "00000000000000c0", "--shred"]);

    assert_eq!(
        said,
        "Nothing of call 00000000000000c0 is kept from here on; its recording is being shredded.\n`mitschnitt recordings show 00000000000000c0` says `erased` once that is done.\n"
    );
    assert_eq!(asked.join().unwrap(), "POST /v1/calls/00000000000000c0/withdraw {\"shreds\":true}");
}

#[test]
fn what_cannot_be_done_to_a_call_is_said_with_its_reason() {
    let site = Site::with_recordings();
    for (deed, why, reason, exit, begins) in [
        ("pause", NotDone::NoSuchCall, None, Exit::NotFound, "error: there is no call 00000000000000c0 at this moment\n"),
        (
            "pause",
            NotDone::NotRecorded,
            Some("no-policy"),
            Exit::Refused,
            "error: call 00000000000000c0 is not recorded: no-policy; ",
        ),
        ("pause", NotDone::NotRecorded, Some("in-progress"), Exit::Refused, "error: call 00000000000000c0 is not recorded yet; "),
        (
            "pause",
            NotDone::NotRecorded,
            Some("recorded"),
            Exit::Refused,
            "error: the recording of call 00000000000000c0 has ended; ",
        ),
        (
            "pause",
            NotDone::AlreadyPaused,
            None,
            Exit::Refused,
            "error: the recording of call 00000000000000c0 is paused already\n",
        ),
        (
            "start",
            NotDone::AlreadyStarted,
            None,
            Exit::Refused,
            "error: call 00000000000000c0 is recorded already, or its parties are being asked\n",
        ),
        (
            "start",
            NotDone::NotRecorded,
            Some("in-progress"),
            Exit::Refused,
            "error: call 00000000000000c0 is not recorded on demand, ",
        ),
        (
            "start",
            NotDone::NotRecorded,
            Some("recorded"),
            Exit::Refused,
            "error: the recording of call 00000000000000c0 has ended; ",
        ),
        (
            "start",
            NotDone::NotRecorded,
            Some("exempt"),
            Exit::Refused,
            "error: call 00000000000000c0 is not to be recorded: exempt\n",
        ),
        (
            "pause",
            NotDone::NotRecorded,
            Some("not-demanded"),
            Exit::Refused,
            "error: call 00000000000000c0 is not recorded yet; ",
        ),
        ("resume", NotDone::NotPaused, None, Exit::Refused, "error: the recording of call 00000000000000c0 is not paused\n"),
        (
            "withdraw",
            NotDone::Locked,
            None,
            Exit::Refused,
            "error: what was recorded of call 00000000000000c0 must be kept: nothing was done\n",
        ),
        (
            "withdraw",
            NotDone::AlreadyWithdrawn,
            None,
            Exit::Refused,
            "error: consent to call 00000000000000c0 was withdrawn already\n",
        ),
    ] {
        let asked = site.proxy_answers(&Reply::NotDone { why, reason: reason.map(str::to_owned) });

        let said = site.run(&["calls", deed, "00000000000000c0"]);

        assert_eq!((said.exit, said.out.as_str()), (exit, ""), "{}", said.err);
        assert!(said.err.starts_with(begins) && said.err.lines().count() == 2, "{}", said.err);
        asked.join().unwrap();
        fs::remove_file(site.home().join("data/control.sock")).unwrap();
    }
}

#[test]
fn a_proxy_that_is_drained_says_how_many_calls_are_left() {
    let site = Site::with_recordings();
    let asked = site.proxy_answers(&Reply::Draining { calls: 2, limit_s: 600 });

    let said = site.says(&["calls", "drain", "--limit-s", "600"]);

    assert_eq!(said, "No new calls are taken: 2 calls are left, and the proxy ends after the last, or in 600 s.\n");
    assert_eq!(asked.join().unwrap(), "POST /v1/drain {\"limit_s\":600}");
}

#[test]
fn where_no_proxy_runs_that_is_said() {
    let site = Site::with_recordings();

    let said = site.run(&["calls", "list"]);

    assert_eq!(said.exit, Exit::Cannot);
    assert_eq!(
        said.err,
        "error: no proxy runs on this data directory: nobody listens on `HOME/data/control.sock`\n  start it with `mitschnitt run`, or `systemctl status mitschnitt` says why it does not run\n"
    );
}
