//! Classes of defects that other SIP and RTP products have had, each as a test of this one. Where another file has the test already, the
//! table `ELSEWHERE` names it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "a test may panic")]

mod call_scene;

use call_scene::{Calls, PBX, STRANGER, TRUNK, US, addr, answer, first_word, request, sdp};
use mitschnitt::wire::sip::Name;

/// What went wrong elsewhere, and the test that it does not here.
const ELSEWHERE: [(&str, &str, &str); 17] = [
    ("two messages in one (Linux nf_conntrack_sip, CVE-2026-23457)", "tests/torture.rs", "each_request_has_its_verdict"),
    ("a length that lies, seen from the wire", "tests/bad_input.rs", "a_content_length_beyond_the_datagram_is_a_bad_request"),
    ("double and missing fields (CVE-2018-14767, CVE-2018-16657)", "tests/torture.rs", "each_request_has_its_verdict"),
    ("boundaries of parts that are read another way", "tests/corpus.rs", "bodies_of_several_parts_hold_their_properties"),
    ("more media than there is room for", "tests/calls.rs", "a_description_with_more_lines_or_more_media_than_may_be_gets_488"),
    ("short RTCP (after CVE-2017-14099)", "tests/corpus.rs", "rtcp_packets_hold_their_properties"),
    ("short and broken RTP", "tests/corpus.rs", "rtp_packets_hold_their_properties"),
    ("broken SRTP", "tests/srtp.rs", "a_packet_of_any_length_is_refused_without_a_panic"),
    (
        "bad SRTP packets end the call (CVE-2021-41105)",
        "tests/media_plane/secured.rs",
        "nothing_is_taken_that_the_partys_key_does_not_open",
    ),
    (
        "media of others is heard (CVE-2017-14099, CVE-2025-53399)",
        "tests/bad_input.rs",
        "forged_rtp_over_the_whole_range_is_neither_relayed_nor_recorded_nor_answered",
    ),
    (
        "a flood of INVITEs fills the memory (CVE-2021-41145)",
        "tests/sip_stack.rs",
        "at_the_limit_a_new_invite_is_503_and_a_bye_still_passes",
    ),
    ("ports that are not given back", "tests/calls.rs", "a_hundred_calls_leave_no_port_and_no_timer_behind"),
    ("a BYE in the other party's name", "tests/calls.rs", "a_bye_in_the_other_partys_name_is_refused_and_ends_nothing"),
    ("a CANCEL from elsewhere", "tests/sip_timers.rs", "a_cancel_from_another_address_than_the_invites_is_481"),
    ("a request that is played again", "tests/calls.rs", "a_request_that_was_sent_before_one_that_was_seen_is_refused"),
    ("an offer that points at ourselves", "tests/calls.rs", "an_offer_that_names_a_port_of_its_own_call_is_refused"),
    ("a response that nobody waits for (RFC 6026)", "tests/sip_timers.rs", "a_stray_response_is_dropped"),
];

#[test]
fn the_tests_that_stand_elsewhere_are_there() {
    for (class, file, test) in ELSEWHERE {
        let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let declared = text.lines().position(|line| line.trim().starts_with(&format!("fn {test}(")));
        assert!(
            declared.is_some_and(|at| text.lines().nth(at - 1).unwrap().trim().starts_with("#[test]")),
            "{class}: {file}::{test}"
        );
    }
}

// ── what a message is ──────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_content_length_that_wraps_around_or_lies_parts_no_second_message_off() {
    let mut calls = Calls::new();
    let smuggled = request("BYE", "smuggled", PBX, 2, Some("b"), "");
    let invite = request("INVITE", "length", PBX, 1, None, &sdp("192.0.2.10", 4000));
    let length = format!("Content-Length: {}", sdp("192.0.2.10", 4000).len());
    for wrong in [
        "-1",
        "2147483648",
        "4294967295",
        "4294967296",
        "4294967328",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551648",
        "1e3",
        "0x10",
        "+5",
        "5 5",
        "5,5",
        "",
        "\u{665}",
        "5\r\nContent-Length: 6",
        "5\r\nl: 6",
        "99999",
    ] {
        let invite = invite.replace(&length, &format!("Content-Length: {wrong}"));

        calls.arrive(PBX, format!("{invite}{smuggled}").as_bytes());

        assert_eq!(calls.lines(PBX), ["400"], "{wrong:?}");
        assert_eq!(calls.lines(TRUNK), Vec::<String>::new(), "{wrong:?}");
    }
    // One that is right, or the same twice, cuts the rest off.
    for right in [length.clone(), format!("{length}\r\nl: {}", &length[16..]), format!("Content-Length:\t00{}", &length[16..])] {
        calls.arrive(PBX, format!("{}{smuggled}", invite.replace(&length, &right).replace("length", "right")).as_bytes());
        let sent = calls.take(TRUNK);
        assert!(sent.iter().all(|message| first_word(message) == "INVITE" && !message.as_bytes().ends_with(smuggled.as_bytes())));
        calls.run_for(100_000);
        calls.sent.clear();
    }
    calls.assert_served();
}

#[test]
fn a_space_before_the_colon_hides_no_field() {
    // CVE-2020-28361: who looks for `name:` does not see `name :`, and the next one down the line does.
    let with = |line: &str| request("OPTIONS", "hidden", PBX, 1, None, "").replace("Max-Forwards: 70\r\n", line);
    for (line, status) in [
        ("Max-Forwards: 70\r\nProxy-Require : x\r\n", "420"),
        ("Max-Forwards: 70\r\nProxy-Require\t: x\r\n", "420"),
        ("Max-Forwards \t : 0\r\n", "483"),
        ("Max-Forwards: 70\r\nCall-ID : other\r\n", "400"),
        ("Max-Forwards: 70\r\nTo : <sip:other@example.test>\r\n", "400"),
        ("Max-Forwards: 70\r\nContent-Length : 9\r\n", "400"),
        // And a name that is none hides nothing either.
        ("Max-Forwards: 70\r\nProxy Require: x\r\n", "400"),
        ("Max-Forwards: 70\r\n: x\r\n", "400"),
        ("Max-Forwards: 70\r\nProxy-Require\u{a0}: x\r\n", "400"),
        ("Max-Forwards: 70\r\nProxy-Require\0: x\r\n", "400"),
    ] {
        let mut calls = Calls::new();
        calls.arrive(PBX, with(line).as_bytes());
        assert_eq!((calls.lines(PBX), calls.lines(TRUNK)), (vec![status.to_owned()], vec![]), "{line:?}");
    }

    let mut calls = Calls::new();
    calls.arrive(PBX, with(&format!("Max-Forwards: 70\r\nRoute : <sip:{US};lr>\r\n")).as_bytes());
    let sent = calls.take(TRUNK).pop().unwrap();
    assert_eq!(sent.value(Name::Route), None, "our own Route is taken out however it is written");
}

#[test]
fn no_line_break_but_the_one_of_sip_ends_a_line() {
    let options = request("OPTIONS", "breaks", PBX, 1, None, "");
    for broken in ["\r", "\n\r", "\r\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\0"] {
        let mut calls = Calls::new();
        let text =
            options.replace("Max-Forwards: 70\r\n", &format!("Max-Forwards: 70\r\nSubject: a{broken}Proxy-Require: x\r\n"));
        calls.arrive(PBX, text.as_bytes());
        let (to_pbx, to_trunk) = (calls.lines(PBX), calls.take(TRUNK));
        match to_trunk.as_slice() {
            // What passes has it within its line, as it came.
            [sent] => {
                assert!(String::from_utf8_lossy(sent.as_bytes()).contains(&format!("a{broken}Proxy-Require: x")), "{broken:?}");
                assert!(!broken.contains(['\r', '\n']), "{broken:?}");
            }
            [] => assert!(["400", "420"].contains(&to_pbx[0].as_str()), "{broken:?}: {to_pbx:?}"),
            more => panic!("{} messages went on", more.len()),
        }
    }
}

#[test]
fn a_token_of_any_length_is_one_token() {
    // Kamailio's lrkproxy had 50 bytes for a Call-ID, and one of its modules fewer for a From tag (CVE-2018-8828).
    let mut calls = Calls::new();
    let mut number = 0;
    for (place, make) in [
        ("Call-ID: long", (|x: &str| format!("Call-ID: {x}")) as fn(&str) -> String),
        (";tag=a\r\n", |x| format!(";tag={x}\r\n")),
        ("branch=z9hG4bK", |x| format!("branch=z9hG4bK{x}")),
        ("sip:100@198.51.100.20:5060", |x| format!("sip:{x}@198.51.100.20:5060")),
        ("<sip:x@example.test>", |x| format!("\"{x}\" <sip:x@example.test>")),
        ("OPTIONS", |x| format!("OPTIONS{x}")),
    ] {
        for length in (0..16).map(|power| 1_usize << power).chain([49, 50, 51, 254, 255, 256, 257, 1023, 1025, 60_000]) {
            let token = "x".repeat(length);
            number += 1;
            let text = request("OPTIONS", &format!("long{number}"), PBX, 1, None, "").replace(place, &make(&token));
            calls.arrive(PBX, text.as_bytes());
            if text.len() > 65_535 {
                assert_eq!(
                    calls.sent.len(),
                    0,
                    "{place}, {length}: no datagram is as long, and no more is looked at than there can be"
                );
                continue;
            }
            let sent = calls.take(TRUNK);
            let [sent] = sent.as_slice() else { panic!("{place}, {length}: {:?}", calls.lines(PBX)) };
            assert!(String::from_utf8_lossy(sent.as_bytes()).contains(&make(&token)), "{place}, {length}");
            calls.arrive(TRUNK, answer(sent, 200, "b", "").as_bytes());
            assert_eq!(calls.lines(PBX), ["200"], "{place}, {length}");
        }
    }
    calls.assert_served();
}

#[test]
fn an_empty_to_or_via_is_refused() {
    for (old, new) in [
        ("To: <sip:y@example.test>", "To:"),
        ("To: <sip:y@example.test>", "To: <>"),
        ("To: <sip:y@example.test>", "To: ,"),
        ("From: <sip:x@example.test>;tag=a", "From: ;tag=a"),
        ("Via: SIP/2.0/UDP 192.0.2.10:5060", "Via: SIP/2.0/UDP "),
        ("Via: SIP/2.0/UDP 192.0.2.10:5060", "Via: SIP/2.0/UDP 192.0.2.10:99999"),
        ("Via: SIP/2.0/UDP 192.0.2.10:5060", "Via: SIP/2.0/UDP [::1"),
        ("Call-ID: empty", "Call-ID:"),
        ("CSeq: 1 OPTIONS", "CSeq:"),
    ] {
        let mut calls = Calls::new();
        let text = request("OPTIONS", "empty", PBX, 1, None, "").replace(old, new);
        assert!(text.contains(new));
        calls.arrive(PBX, text.as_bytes());
        assert_eq!((calls.lines(PBX), calls.lines(TRUNK)), (vec!["400".to_owned()], vec![]), "{new:?}");
    }
}

// ── bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn no_boundary_of_a_body_hides_a_description() {
    // Kamailio, OpenSIPS and pjsip each had such a one: whoever reads the boundaries another way finds another description.
    let part = |content: &str, text: &str| format!("Content-Type: {content}\r\n\r\n{text}");
    let (isup, description) = (part("application/isup", "\u{1}\0x"), part("application/sdp", &sdp("192.0.2.10", 4000)));
    let bodies = [
        ("b", format!("--b\r\n{isup}\r\n--b\r\n{description}\r\n--b--\r\n")),
        ("b", format!("preamble\r\n--b\r\n{description}\r\n--b--\r\nepilogue")),
        ("b", format!("--b\r\n{description}\r\n--b\r\n{description}\r\n--b--\r\n")),
        ("b", format!("--b\r\n{description}")),
        ("b", format!("--b  \r\n{description}\r\n--b--")),
        ("b", format!("--bb\r\n{isup}\r\n--b\r\n{description}\r\n--b--\r\n")),
        ("b", format!("--b\n{}\n--b--\n", description.replace("\r\n", "\n"))),
        (
            "b",
            format!(
                "--b\r\n{}\r\n--c\r\n{description}\r\n--c--\r\n\r\n--b--\r\n",
                "Content-Type: multipart/mixed;boundary=c\r\n"
            ),
        ),
        ("b", format!("--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\n{BASE64}\r\n--b--\r\n")),
        ("b", format!("--b\r\n content-type : application/sdp\r\n\r\n{}\r\n--b--\r\n", sdp("192.0.2.10", 4000))),
        ("\"b c\"", format!("--b c\r\n{description}\r\n--b c--\r\n")),
        ("\"\"", format!("--\r\n{description}\r\n----\r\n")),
        ("", format!("--b\r\n{description}\r\n--b--\r\n")),
        ("b;boundary=c", format!("--b\r\n{isup}\r\n--c\r\n{description}\r\n--c--\r\n--b--\r\n")),
    ];
    let long = "b".repeat(5000);
    let bodies = bodies
        .into_iter()
        .map(|(name, body)| (name.to_owned(), body))
        .chain([(long.clone(), format!("--{long}\r\n{description}\r\n--{long}--\r\n"))]);
    for (boundary, body) in bodies {
        for kind in ["multipart/mixed", "MULTIPART/alternative", "multipart/related"] {
            let mut calls = Calls::new();
            let invite = request("INVITE", "parts", PBX, 1, None, &body).replace(
                "Content-Type: application/sdp\r\nContent-Length",
                &format!("Content-Type: {kind};boundary={boundary}\r\nContent-Length"),
            );
            calls.arrive(PBX, invite.as_bytes());

            let (to_pbx, to_trunk) = (calls.lines(PBX), calls.take(TRUNK));
            match to_trunk.as_slice() {
                [sent] => {
                    let text = String::from_utf8_lossy(sent.body()).into_owned();
                    assert!(
                        !text.contains("c=IN IP4 192.0.2.10") && !text.contains(&BASE64[..40]),
                        "media would go past us: {kind};boundary={boundary:.20}\n{text}"
                    );
                }
                [] => assert_eq!(to_pbx, ["100", "488"], "{kind};boundary={boundary:.20}"),
                more => panic!("{} messages went on", more.len()),
            }
        }
    }
}

#[test]
fn no_attribute_of_a_description_is_more_than_text_to_us() {
    // ES2018-02, ES2018-03 (fmtp), CVE-2026-41416 (ptime): fields that a proxy has no use for, or believes too much.
    let mut calls = Calls::new();
    let long = "9".repeat(20_000);
    for line in [
        "a=fmtp:",
        "a=fmtp:0",
        "a=fmtp:x y",
        "a=fmtp:-1 a",
        "a=fmtp:99999999999 a=b",
        "a=rtpmap:",
        "a=rtpmap:0",
        "a=rtpmap:0 /",
        "a=rtpmap:0 PCMU/0",
        "a=rtpmap:0 PCMU/4294967296",
        "a=rtpmap:0 PCMU/8000/0",
        "a=rtpmap:0 PCMU/8000/99999",
        "a=rtpmap:300 X/8000",
        "a=ptime:",
        "a=ptime:0",
        "a=ptime:-20",
        "a=ptime:4294967296",
        "a=ptime:1e9",
        "a=maxptime:0",
        "a=ptime:20 20",
        "a=crypto:1",
        "a=rtcp:",
        "a=rtcp:0",
        "a=rtcp:99999",
        "a=rtcp:1 IN IP4",
        "a=rtcp-mux",
        "a=candidate:",
        "a=",
        "a=:",
        "b=AS:-1",
        "b=:",
        "k=",
        "a=sendrecv a=sendonly",
        "a=mid:",
        "a=setup:",
        "a=\u{fffd}",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("a=ptime:{long}"), format!("a=fmtp:0 {long}"), format!("a=rtpmap:0 {long}/8000"), format!("a={long}")])
    {
        let body = format!("{}{line}\r\n", sdp("192.0.2.10", 4000));
        calls.arrive(PBX, request("INVITE", "text", PBX, 1, None, &body).as_bytes());

        let (to_pbx, to_trunk) = (calls.take(PBX), calls.take(TRUNK));
        match to_trunk.as_slice() {
            [sent] => {
                let text = String::from_utf8_lossy(sent.body()).into_owned();
                assert!(!text.contains("192.0.2.10 ") && !text.contains("c=IN IP4 192.0.2.10"), "{line:.40}: {text:.200}");
                if !line.starts_with("a=rtcp:") {
                    assert!(text.contains(&format!("\r\n{line}\r\n")), "{line:.40} is kept");
                }
                calls.arrive(TRUNK, answer(sent, 200, "b", &format!("{}{line}\r\n", sdp("198.51.100.20", 6000))).as_bytes());
                assert_eq!(calls.lines(PBX), ["200"], "{line:.40}");
            }
            [] => assert_eq!(to_pbx.iter().map(first_word).collect::<Vec<_>>(), ["100", "488"], "{line:.40}"),
            more => panic!("{} messages went on", more.len()),
        }
        calls.run_for(300_000);
        calls.sent.clear();
    }
    calls.assert_served();
}

#[test]
fn the_body_of_an_event_is_not_read() {
    // CVE-2026-57191: a Message-Account of more than 512 bytes took the transport with it.
    let mut calls = Calls::new();
    for length in [0, 511, 512, 513, 4096, 60_000] {
        let body = format!(
            "Messages-Waiting: yes\r\nMessage-Account: sip:{}@h.test\r\nVoice-Message: 99999999999/-1 (",
            "a".repeat(length)
        );
        let notify =
            request("NOTIFY", "event", PBX, 1, Some("b"), &body).replace("application/sdp", "application/simple-message-summary");
        calls.arrive(PBX, notify.as_bytes());
        let sent = calls.take(TRUNK).pop().unwrap();
        assert_eq!(sent.body(), body.as_bytes());
        calls.arrive(TRUNK, answer(&sent, 200, "b", "").as_bytes());
        assert_eq!(calls.lines(PBX), ["200"]);
        calls.run_for(40_000);
    }
    calls.assert_served();
}

// ── who may say what ───────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_re_invite_after_the_bye_is_refused_and_brings_nothing_back() {
    // CVE-2021-31878: the dialog was gone, and the session was not.
    let mut calls = Calls::new();
    let id = calls.set_up();
    calls.hang_up(&id);

    for (from, to_tag) in [(PBX, "b"), (TRUNK, "b")] {
        calls.arrive(from, request("INVITE", &id, from, 100, Some(to_tag), &sdp("192.0.2.10", 4002)).as_bytes());
        assert_eq!(calls.lines(from), ["100", "481"], "from {from}");
        assert_eq!((calls.sent.len(), calls.table.count()), (0, 0));
    }

    // Also while the BYE is on its way: it passes or it is refused, and when the BYE is answered the call is over.
    let id = calls.set_up();
    calls.arrive(PBX, request("BYE", &id, PBX, 2, Some("b"), "").as_bytes());
    let bye = calls.take(TRUNK).pop().unwrap();
    calls.arrive(TRUNK, request("INVITE", &id, TRUNK, 7, Some("b"), &sdp("198.51.100.20", 6002)).as_bytes());
    calls.arrive(TRUNK, answer(&bye, 200, "b", "").as_bytes());
    assert_eq!(calls.table.count(), 0);
    calls.run_for(300_000);
    assert_eq!((calls.table.count(), calls.table.deadline()), (0, None));
    calls.assert_served();
}

#[test]
fn a_spoofed_bye_ends_no_call() {
    let mut calls = Calls::new();
    let id = calls.set_up();
    let bye = request("BYE", &id, PBX, 2, Some("b"), "");
    for (number, (from, text)) in [
        // In the caller's name, from the trunk; with tags that are not the dialog's; with none.
        (TRUNK, bye.clone()),
        (PBX, bye.replace("tag=a", "tag=x")),
        (PBX, bye.replace("tag=b", "tag=x")),
        (PBX, bye.replace(";tag=b", "")),
        (PBX, bye.replace(&format!("Call-ID: {id}"), "Call-ID: another")),
        (STRANGER, bye.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let text = text.replace("z9hG4bK", &format!("z9hG4bK{number}"));
        calls.arrive(from, text.as_bytes());
        // Whatever came of it, it is not this call's.
        while let Some(sent) = calls.take(TRUNK).pop().filter(|sent| sent.is_request()) {
            calls.arrive(TRUNK, answer(&sent, 200, "b", "").as_bytes());
        }
        assert_eq!(calls.table.count(), 1, "from {from}: {text}");
    }
    calls.sent.clear();
    calls.hang_up(&id);
    assert_eq!(calls.table.count(), 0);
}

#[test]
fn a_spoofed_cancel_cancels_nothing() {
    let mut calls = Calls::new();
    let invite = request("INVITE", "ringing", PBX, 1, None, &sdp("192.0.2.10", 4000));
    calls.arrive(PBX, invite.as_bytes());
    let sent = calls.take(TRUNK).pop().unwrap();
    calls.arrive(TRUNK, answer(&sent, 180, "b", "").as_bytes());
    calls.sent.clear();
    let cancel = request("CANCEL", "ringing", PBX, 1, None, "").replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1");

    for (from, text) in [
        (TRUNK, cancel.clone()),
        (STRANGER, cancel.clone()),
        (PBX, cancel.replace("z9hG4bKINVITE1", "z9hG4bKINVITE2")),
        (PBX, cancel.replace("UDP 192.0.2.10:5060", "UDP 192.0.2.11:5060")),
    ] {
        calls.arrive(from, text.as_bytes());
        assert!(calls.sent.iter().all(|(_, bytes)| bytes.starts_with(b"SIP/2.0 481")), "from {from}: {text}");
        calls.sent.clear();
    }

    calls.arrive(PBX, cancel.as_bytes());
    assert_eq!((calls.lines(PBX), calls.lines(TRUNK)), (vec!["200".to_owned()], vec!["CANCEL".to_owned()]));
}

#[test]
fn no_uri_of_a_peer_sends_a_request_to_a_third_host() {
    let mut calls = Calls::new();
    let id = calls.set_up();
    let third = "203.0.113.99";
    let mut number = 10;
    for (old, new) in [
        ("sip:100@198.51.100.20:5060", format!("sip:100@{third}")),
        ("sip:100@198.51.100.20:5060", format!("sip:100@198.51.100.20;maddr={third}")),
        (&*format!("Route: <sip:{US};lr>"), format!("Route: <sip:{US};lr>, <sip:{third};lr>")),
        (&*format!("Route: <sip:{US};lr>"), format!("Route: <sip:{third}>")),
    ] {
        for method in ["INFO", "OPTIONS", "MESSAGE"] {
            number += 1;
            calls.arrive(PBX, request(method, &id, PBX, number, Some("b"), "").replace(old, &new).as_bytes());
        }
    }
    // Nor does a Via a response, nor a Contact what we send ourselves.
    let options =
        request("OPTIONS", "via", PBX, 1, None, "").replace("UDP 192.0.2.10:5060;", &format!("UDP {third};maddr={third};"));
    calls.arrive(PBX, options.as_bytes());
    let peers = [addr(PBX).ip(), addr(TRUNK).ip()];
    assert!(calls.sent.len() > 8);
    assert!(calls.sent.iter().all(|(to, _)| peers.contains(&to.ip())));
}

#[test]
fn a_challenge_of_any_realm_passes_and_is_never_answered_by_us() {
    // CVE-2021-41158: credentials for one realm were given to whoever asked.
    let mut calls = Calls::new();
    for (status, name) in [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")] {
        calls.arrive(PBX, request("INVITE", &format!("realm{status}"), PBX, 1, None, &sdp("192.0.2.10", 4000)).as_bytes());
        let sent = calls.take(TRUNK).pop().unwrap();
        let challenge = format!("{name}: Digest realm=\"evil\", nonce=\"n\", algorithm=MD5\r\nContact:");
        calls.arrive(TRUNK, answer(&sent, status, "b", "").replace("Contact:", &challenge).as_bytes());

        assert_eq!(calls.lines(TRUNK), ["ACK"]);
        let passed = calls.take(PBX).pop().unwrap();
        assert_eq!(passed.named(name.as_bytes()).count(), 1);
    }
}

#[test]
fn who_is_no_peer_can_neither_message_nor_subscribe_nor_register() {
    // ES2021-07, ES2021-08: methods that nobody had thought of to ask who sends them.
    let mut calls = Calls::new();
    let id = calls.set_up();
    for method in [
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REGISTER",
        "PUBLISH",
        "OPTIONS",
        "INFO",
        "REFER",
        "UPDATE",
        "BYE",
        "ACK",
        "PRACK",
        "X",
    ] {
        for to_tag in [None, Some("b")] {
            calls.arrive(STRANGER, request(method, &id, PBX, 50, to_tag, "").as_bytes());
        }
    }
    calls.arrive(STRANGER, b"\r\n\r\n");
    calls.arrive(STRANGER, b"SIP/2.0 200 OK\r\n\r\n");

    assert_eq!((calls.sent.len(), calls.table.tallies().strangers, calls.table.count()), (0, 28, 1));
    calls.hang_up(&id);
}

/// `sdp("192.0.2.10", 4000)`, encoded.
const BASE64: &str = "dj0wDQpvPS0gNyA5IElOIElQNCAxOTIuMC4yLjEwDQpzPS0NCmM9SU4gSVA0IDE5Mi4wLjIuMTANCnQ9MCAwDQptPWF1ZGlvIDQwMDAgUlRQL0FWUCAwIDgNCmE9c2VuZHJlY3YNCg==";
