//! Bad input, from the network, from the operator and from the disk: each has its clear outcome, and the next call goes well.

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
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use support::child::Ended;
use support::phone::{Mouth, Phone, call, every_20_ms, hang_up, sdp};
use support::site::{Site, policy};
use support::{A_WHILE, CALLED, CALLER};

#[test]
fn garbage_is_dropped_and_the_proxy_lives() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);

    for garbage in [
        &b"\0\x01\xff garbage \r\n\r\n"[..],
        b"INVITE",
        b"\r\n",
        b"SIP/2.0 200\r\n",
        b"INVITE sip:x SIP/2.0\r\nVia:\r\n\r\n",
        &[0xff; 1400],
    ] {
        ends.pbx.send(garbage);
    }

    ends.assert_served("garbage");
    site.metric_reaches("mitschnitt_sip_dropped_total", 1.0);
}

#[test]
fn the_longest_datagram_there_is_does_no_harm() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    // 65,507 bytes are all that UDP over IPv4 can carry (65,535 less the two headers).
    let mut valid = ends.pbx.options("long", site.ports.trunk());
    let end = valid.len() - 2;
    let filler = format!("X-Filler: {}\r\n", "x".repeat(65_507 - valid.len() - 12));
    valid.splice(end..end, filler.into_bytes());
    assert_eq!(valid.len(), 65_507);

    ends.pbx.send(&[b'A'; 65_507]);
    ends.pbx.send(&valid);

    ends.assert_served("after");
}

#[test]
fn a_content_length_beyond_the_datagram_is_a_bad_request() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    for (n, wrong) in ["9999", "-999", "five", "+5", "5 5", "4294967328"].into_iter().enumerate() {
        let id = format!("length{n}");
        let invite = String::from_utf8(ends.pbx.invite(&id, site.ports.trunk(), &sdp(6000))).unwrap();
        let (head, body) = invite.split_once("\r\nContent-Length: ").unwrap();
        let body = body.split_once("\r\n").unwrap().1;

        ends.pbx.send(format!("{head}\r\nContent-Length: {wrong}\r\n{body}").as_bytes());

        ends.pbx.expect(&id, "SIP/2.0 400");
    }
    ends.assert_served("after");
}

#[test]
fn what_follows_the_content_length_is_cut_off() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    let mut invite = ends.pbx.invite("cut", site.ports.trunk(), &sdp(6000));
    invite.extend(b"BYE sip:smuggled@127.0.0.1 SIP/2.0\r\n\r\n");

    ends.pbx.send(&invite);

    let arrived = ends.trunk.expect("cut", "INVITE");
    assert!(!arrived.body.contains("smuggled"), "{}", arrived.body);
    ends.trunk.reply(&arrived, "486 Busy Here", "");
    ends.pbx.expect("cut", "SIP/2.0 486");
}

#[test]
fn a_call_without_audio_passes_and_the_ledger_says_so() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    let fax = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image 6000 udptl t38\r\n";
    let id = "fax";
    let invite = String::from_utf8(ends.pbx.invite(id, site.ports.trunk(), fax)).unwrap();
    ends.pbx.send(invite.as_bytes());

    let arrived = ends.trunk.expect(id, "INVITE");
    assert!(arrived.body.contains("m=image ") && arrived.body.contains(" udptl t38"), "{}", arrived.body);
    ends.trunk.reply(&arrived, "200 OK", fax);
    let answer = ends.pbx.expect(id, "SIP/2.0 200");
    for (method, number) in [("ACK", 1), ("BYE", 2)] {
        let (uri, route) = (site.ports.trunk(), answer.header("Record-Route"));
        ends.pbx.send(
            format!(
                "{method} sip:{CALLED}@{uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{id}{number};rport\r\nMax-Forwards: 70\r\n\
                 Route: {route}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {id}\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
                site.ports.pbx(),
                answer.header("From"),
                answer.header("To"),
            )
            .as_bytes(),
        );
        let arrived = ends.trunk.expect(id, method);
        if method == "BYE" {
            ends.trunk.reply(&arrived, "200 OK", "");
        }
    }

    site.ledger_says("no-audio");
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
}

#[test]
fn rtp_from_a_stranger_is_neither_relayed_nor_recorded_but_counted() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let call = call("stranger", &mut ends.pbx, &mut ends.trunk, a, b);
    let (mut pbx, mut trunk, mut stranger) = (Mouth::new(a), Mouth::new(b), Mouth::new(b + 2));

    every_20_ms(100, |_| {
        pbx.says(call.caller_sends_to, &[0x11; 160]);
        stranger.says(call.caller_sends_to, &[0x22; 160]);
        stranger.says(call.callee_sends_to, &[0x22; 160]);
    });
    let heard = trunk.hears(Duration::from_millis(300));
    let said_to_stranger = stranger.hears(Duration::from_millis(50));
    hang_up(&call, &mut ends.pbx, &mut ends.trunk);

    assert!(heard.iter().any(|payload| payload == &[0x11; 160]), "the caller is heard");
    assert!(!heard.iter().any(|payload| payload == &[0x22; 160]), "the stranger is not");
    assert_eq!(said_to_stranger, Vec::<Vec<u8>>::new(), "and hears nothing");
    site.metric_reaches("mitschnitt_media_strangers_packets_total", 200.0);
    let wav = site.export(&site.recorded());
    let foreign = support::sound::alaw(0x22);
    assert!(!wav.channels.iter().flatten().any(|&sample| sample == foreign), "nor is it in the recording");
}

#[test]
fn forged_rtp_over_the_whole_range_is_neither_relayed_nor_recorded_nor_answered() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let (mut pbx, mut trunk, mut forger) = (Mouth::new(a), Mouth::new(b), Mouth::new(b + 2));
    let spray = |forger: &mut Mouth| {
        for port in site.ports.proxy_media() {
            forger.says((Ipv4Addr::LOCALHOST, port).into(), &[0x22; 160]);
        }
    };

    (0..5).for_each(|_| spray(&mut forger));
    let call = call("sprayed", &mut ends.pbx, &mut ends.trunk, a, b);
    every_20_ms(100, |_| {
        pbx.says(call.caller_sends_to, &[0x11; 160]);
        trunk.says(call.callee_sends_to, &[0x33; 160]);
        spray(&mut forger);
    });
    let patience = Duration::from_millis(300);
    let (by_trunk, by_pbx) = (trunk.hears(patience), pbx.hears(patience));
    hang_up(&call, &mut ends.pbx, &mut ends.trunk);
    spray(&mut forger);

    assert!(by_trunk.iter().any(|payload| payload == &[0x11; 160]), "the parties hear each other");
    assert!(!by_trunk.iter().chain(&by_pbx).any(|payload| payload == &[0x22; 160]), "and nobody else");
    assert_eq!(forger.hears(patience), Vec::<Vec<u8>>::new(), "who is told nothing");
    let wav = site.export(&site.recorded());
    let foreign = support::sound::alaw(0x22);
    assert!(!wav.channels.iter().flatten().any(|&sample| sample == foreign), "nor is it in the recording");
}

#[test]
fn sip_from_a_stranger_gets_no_answer() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    let stranger = Phone::new(site.ports.stranger(), site.ports.proxy());

    stranger.send(&stranger.invite("stranger", site.ports.trunk(), &sdp(6000)));

    ends.assert_served("after");
    assert!(ends.trunk.receive(Duration::from_millis(200)).is_none(), "the trunk never hears of it");
    // A refusal (403) is an outcome as well; what counts is that nothing passes and that it is counted.
    if let Some(answer) = stranger.receive(Duration::from_millis(50)) {
        assert!(answer.start.starts_with("SIP/2.0 403"), "{}", answer.start);
    }
    site.metric_reaches("mitschnitt_sip_strangers_total", 1.0);
}

#[test]
fn without_a_free_port_a_call_is_refused_with_503() {
    // Two pairs: one call.
    let site = Site::with_media_ports(policy("announce"), 4);
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let first = call("first", &mut ends.pbx, &mut ends.trunk, a, b);

    ends.pbx.send(&ends.pbx.invite("second", site.ports.trunk(), &sdp(a + 2)));

    let refused = ends.pbx.expect("second", "SIP/2.0 503");
    assert_ne!(refused.header("Retry-After"), "", "it says when to try again");
    ends.assert_served("after");
    hang_up(&first, &mut ends.pbx, &mut ends.trunk);
    let rows = site.ledger(2);
    assert!(rows.iter().any(|row| row["reason"] == "ports-exhausted"), "{rows:?}");
}

#[test]
fn an_announcement_that_cannot_be_read_keeps_the_proxy_from_starting() {
    for (spoil, what) in [
        ((|site: &Site| std::fs::remove_file(site.announcement()).unwrap()) as fn(&Site), "is not there"),
        (|site| std::fs::write(site.announcement(), b"ID3 this is no WAV").unwrap(), "is no WAV"),
    ] {
        let site = Site::new(policy("announce"));
        spoil(&site);

        let ended = site.start_unready().finish(A_WHILE);

        assert_refused(&ended, "announcement.wav", what);
    }
}

#[test]
fn missing_keys_keep_the_proxy_from_starting_and_the_remedy_is_said() {
    let site = Site::without_keys(policy("announce"));

    let ended = site.start_unready().finish(A_WHILE);

    assert_refused(&ended, "keys generate", "has no keys");
}

#[test]
fn a_key_that_is_no_key_keeps_the_proxy_from_starting() {
    let site = Site::new(policy("announce"));
    let key = site.node_key();
    std::fs::write(&key, b"-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n").unwrap();

    let ended = site.start_unready().finish(A_WHILE);

    assert_refused(&ended, key.file_name().unwrap().to_str().unwrap(), "is no key");
}

#[test]
fn a_data_directory_that_cannot_be_written_keeps_the_proxy_from_starting() {
    let site = Site::new(policy("announce"));
    // Root may write anywhere: so a file stands in the way.
    drop(std::fs::remove_dir_all(site.data()));
    std::fs::write(site.data(), b"in the way").unwrap();

    let ended = site.start_unready().finish(A_WHILE);

    assert_refused(&ended, site.data().to_str().unwrap(), "is no directory");
}

#[test]
fn a_disk_that_fails_later_leaves_the_call_alone_and_the_ledger_says_why() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::new(&site);
    // Root may write anywhere: so a file stands where the recordings' directory was.
    std::fs::remove_dir_all(site.data().join("recordings")).unwrap();
    std::fs::write(site.data().join("recordings"), b"in the way").unwrap();
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let call = call("disk", &mut ends.pbx, &mut ends.trunk, a, b);
    let (mut pbx, mut trunk) = (Mouth::new(a), Mouth::new(b));

    // 1 s of announcement, 1 s after it.
    every_20_ms(100, |_| pbx.says(call.caller_sends_to, &[0x11; 160]));
    let heard = trunk.hears(Duration::from_millis(300));
    hang_up(&call, &mut ends.pbx, &mut ends.trunk);

    let talked = heard.iter().filter(|payload| **payload == [0x11; 160]).count();
    assert!((40..=52).contains(&talked), "after the announcement every word is heard: {talked} of 50 packets");
    site.ledger_says("vault-unavailable");
    site.metric_reaches("mitschnitt_vault_file_errors_total", 1.0);
}

/// Two plain telephones.
struct Ends {
    pbx: Phone,
    trunk: Phone,
}

impl Ends {
    fn new(site: &Site) -> Self {
        Self { pbx: Phone::new(site.ports.pbx(), site.ports.proxy()), trunk: Phone::new(site.ports.trunk(), site.ports.proxy()) }
    }

    /// Panics unless an OPTIONS passes and its answer comes back.
    fn assert_served(&mut self, id: &str) {
        self.pbx.send(&self.pbx.options(id, self.trunk.at()));
        let asked = self.trunk.expect(id, "OPTIONS");
        self.trunk.reply(&asked, "200 Still here", "");
        assert_eq!(self.pbx.expect(id, "SIP/2.0 200").start, "SIP/2.0 200 Still here");
    }
}

/// Panics unless the program ended badly, named the culprit, and said in a second line what to do.
fn assert_refused(ended: &Ended, names: &str, what: &str) {
    assert!(!ended.status.success(), "the proxy starts although its announcement, key or directory {what}");
    assert!(ended.err.contains(names), "it does not name `{names}`, which {what}:\n{}", ended.err);
    assert!(ended.err.lines().any(|line| line.starts_with("  ")), "it does not say what to do:\n{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    assert!(!ended.err.contains(CALLED) && !ended.err.contains(&format!("sip:{CALLER}")), "{}", ended.err);
}
