//! Some 5,000 messages with one exceptional element each: every one ends in 4xx, 5xx or a drop, or goes on where a proxy has no business
//! to stop it; and a call goes through afterwards.
//!
//! A message may go on with an exceptional element for one of two reasons. A proxy does not work with the element, so that RFC 3261
//! §16.3(1) has it ignored and forwarded unchanged: [`NOT_OURS`]. Or the value is exceptional and still right, as a display name of 60,000
//! bytes, a `Max-Forwards` above 255 (as if there were none), or a folded value: then [`is_right`] says so, by rules of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod call_scene;
#[path = "exceptional/generator.rs"]
mod generator;

use call_scene::{Calls, PBX, TRUNK, request, sdp};
use generator::{Case, cases, pieces};
use mitschnitt::wire::sip::Name;

/// Change it to see others; a failure names the element and the value.
const SEED: u64 = 0x5eed_5007;

const INVITE: &str = "{method|INVITE} {Request-URI|sip:100@198.51.100.20} {version|SIP/2.0}{line end|\r\n}\
    Via: {Via protocol|SIP/2.0/UDP} {Via host|192.0.2.10}:{Via port|5060};branch={branch|z9hG4bKexceptional};{Via parameter|x=y}\r\n\
    From: {From name|\"Al\"} <{From URI|sip:x@example.test}>;tag={From tag|a}\r\nTo: {To|<sip:y@example.test>}\r\n\
    Call-ID: {Call-ID|exceptional}\r\nCSeq: {CSeq number|1} {CSeq method|INVITE}\r\nMax-Forwards: {Max-Forwards|70}\r\n\
    Route: {Route|<sip:203.0.113.1:5060;lr>}\r\nRecord-Route: {Record-Route|<sip:192.0.2.9;lr>}\r\nProxy-Require: {Proxy-Require|}\r\n\
    Contact: {Contact|<sip:100@192.0.2.10:5060>}\r\n{name of a field|X-Other}: {value of a field|any}\r\nSubject: {Subject|none}\r\n\
    Session-Expires: {Session-Expires|1800}\r\nContent-Type: {Content-Type|application/sdp}\r\n\
    Content-Length: {Content-Length|0}\r\n{empty line|\r\n}\
    v={v|0}\r\no={o|- 7 9 IN IP4 192.0.2.10}\r\ns={s|-}\r\nc=IN {c type|IP4} {c address|192.0.2.10}\r\nt={t|0 0}\r\n\
    m={media|audio} {port|4000} {profile|RTP/AVP} {format|0}\r\na=rtpmap:{rtpmap|0 PCMU/8000}\r\na=ptime:{ptime|20}\r\na={a|sendrecv}\r\n";

const RESPONSE: &str = "{version|SIP/2.0} {status|183} {reason|Session Progress}{line end|\r\n}\
    Via: {top Via|OURS}\r\nVia: {next Via|SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKgood}\r\n\
    From: {From|<sip:x@example.test>;tag=a}\r\nTo: {To|<sip:y@example.test>;tag=b}\r\nCall-ID: {Call-ID|waiting}\r\n\
    CSeq: {CSeq number|1} {CSeq method|INVITE}\r\nContact: {Contact|<sip:200@198.51.100.20:5060>}\r\nRSeq: {RSeq|1}\r\n\
    Record-Route: {Record-Route|<sip:203.0.113.1:5060;lr>}\r\nContent-Type: {Content-Type|application/sdp}\r\n\
    Content-Length: {Content-Length|0}\r\n{empty line|\r\n}\
    v=0\r\no=- 7 9 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 {c address|198.51.100.20}\r\nt=0 0\r\nm=audio {port|6000} RTP/AVP {format|0}\r\n";

/// What a proxy does not work with (RFC 3261 §16.3(1)): it goes on as it came, whatever it is.
const NOT_OURS: [&str; 20] = [
    "value of a field",
    "name of a field",
    "Subject",
    "Session-Expires",
    "Via parameter",
    "o",
    "s",
    "t",
    "v",
    "media",
    "profile",
    "format",
    "rtpmap",
    "ptime",
    "a",
    "reason",
    "RSeq",
    "next Via",
    "Content-Type",
    "Record-Route",
];

#[test]
fn every_exceptional_request_is_refused_or_dropped_or_rightly_goes_on() {
    let template = pieces(INVITE);
    let cases = cases(&template, SEED);
    assert!(cases.len() >= 3_800, "{}", cases.len());
    let mut calls = Calls::new();
    let (mut refused, mut dropped, mut passed) = (0, 0, 0);
    for case in &cases {
        match outcome(&mut calls, case) {
            Outcome::Refused => refused += 1,
            Outcome::Dropped => dropped += 1,
            Outcome::Passed => passed += 1,
        }
        assert_served(&mut calls, case);
    }
    assert!(refused > 1_200 && passed > 600 && dropped > 0, "{refused} refused, {dropped} dropped, {passed} passed");
}

#[test]
fn every_exceptional_response_is_dropped_or_rightly_passes() {
    let template = pieces(RESPONSE);
    let cases = cases(&template, SEED);
    assert!(cases.len() >= 1_600, "{}", cases.len());
    let mut calls = Calls::new();
    let (mut dropped, mut passed) = (0, 0);
    for case in &cases {
        calls.arrive(PBX, request("INVITE", "waiting", PBX, 1, None, &sdp("192.0.2.10", 4000)).as_bytes());
        let sent = calls.take(TRUNK).pop().expect("the INVITE goes on");
        let ours = sent.value(Name::Via).unwrap().to_vec();
        calls.sent.clear();

        calls.arrive(TRUNK, &placed(&case.message, &ours));

        let told: Vec<_> = std::mem::take(&mut calls.sent).into_iter().map(|(to, bytes)| (to, bytes.to_vec())).collect();
        let to_pbx: Vec<_> = told.iter().filter(|(to, _)| *to == call_scene::addr(PBX)).collect();
        let to_trunk = told.len() - to_pbx.len();
        assert!(to_pbx.len() <= 1 && to_trunk <= 1, "{}: {} {}", named(case), to_pbx.len(), to_trunk);
        match to_pbx.first() {
            None => dropped += 1,
            Some((_, bytes)) => {
                passed += 1;
                assert!(bytes.starts_with(b"SIP/2.0 "), "{}", named(case));
                check_passed(case, bytes);
            }
        }
        assert_served(&mut calls, case);
    }
    assert!(dropped > 500 && passed > 300, "{dropped} dropped, {passed} passed");
}

enum Outcome {
    Refused,
    Dropped,
    Passed,
}

fn outcome(calls: &mut Calls, case: &Case) -> Outcome {
    calls.arrive(PBX, &case.message);

    let to_trunk = calls.take(TRUNK);
    let answers: Vec<u16> = std::mem::take(&mut calls.sent)
        .into_iter()
        .filter_map(|(_, bytes)| std::str::from_utf8(bytes.get(8..11)?).ok()?.parse().ok())
        .filter(|status| *status != 100)
        .collect();
    match (to_trunk.as_slice(), answers.as_slice()) {
        ([], []) => Outcome::Dropped,
        ([], [status]) => {
            assert!((400..600).contains(status), "{}: {status}", named(case));
            Outcome::Refused
        }
        ([sent], []) => {
            assert!(
                !sent.body().windows(8).any(|piece| piece == b"smuggled") || NOT_OURS.contains(&case.element),
                "{}",
                named(case)
            );
            check_passed(case, sent.as_bytes());
            Outcome::Passed
        }
        (sent, answers) => panic!("{}: {} went on, and {answers:?}", named(case), sent.len()),
    }
}

/// What goes on does so for a reason, and with the exceptional value as it came, where that is not the proxy's to change.
fn check_passed(case: &Case, sent: &[u8]) {
    assert!(NOT_OURS.contains(&case.element) || is_right(case.element, &case.value), "{} goes on", named(case));
    let owned = [
        "Max-Forwards",
        "Route",
        "Content-Length",
        "c type",
        "c address",
        "port",
        "top Via",
        "line end",
        "empty line",
        "version",
        "method",
    ];
    // White space at either end is of the line, and a value of line breaks alone is none.
    let is_kept = case.value.is_empty() || sent.windows(case.value.len()).any(|piece| piece == case.value);
    // Of a body that is replaced only what is media is ours; and where a value ends the head or the body, what follows it is no more.
    let cuts = case.value.windows(2).any(|two| two == b"\n\n" || two == b"\n\r") || case.value.ends_with(b"\n");
    assert!(
        is_kept || cuts || owned.contains(&case.element) || case.element.len() <= 9 && is_described(case.element),
        "{} is changed",
        named(case)
    );
}

/// Whether it is an element of a description, which is written anew in part where media are rejected.
fn is_described(element: &str) -> bool {
    ["v", "o", "s", "t", "media", "profile", "format", "rtpmap", "ptime", "a"].contains(&element)
}

/// Whether a value is right, though exceptional, in a field that a proxy works with.
fn is_right(element: &str, value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let bare = text.trim_matches([' ', '\t', '\r', '\n']);
    let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
    let has_no_space = !bare.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    match element {
        "method" | "CSeq method" => bare == "INVITE",
        "version" => text.eq_ignore_ascii_case("SIP/2.0"),
        // A line may end in LF alone, and a folded one goes on.
        "line end" | "empty line" => value.contains(&b'\n'),
        "Max-Forwards" => is_number,
        "CSeq number" => is_number && bare.parse::<u64>().is_ok_and(|number| number < 1 << 32),
        "Content-Length" => is_number && bare.parse::<usize>().is_ok_and(|length| length < 300),
        "status" => bare.parse::<u16>().is_ok_and(|status| (100..700).contains(&status)),
        "Call-ID" | "branch" | "From tag" => has_no_space && !bare.is_empty() || value.contains(&b';') || value.contains(&b'\n'),
        "Proxy-Require" => bare.bytes().all(|byte| byte == b',' || byte <= b' '),
        "Route" => bare.contains("<sip:") || bare.bytes().all(|byte| byte == b',' || byte <= b' '),
        "Request-URI" | "From URI" => has_no_space && bare.contains(':'),
        "Via host" | "Via port" | "Via protocol" => !value.contains(&0) && !value.contains(&b'<') || bare.is_empty(),
        "From name" => !bare.contains(['\0', '\u{7f}']),
        "To" | "From" | "Contact" => bare.contains(':') || element == "Contact",
        "top Via" => bare.starts_with("OURS"),
        // Media that cannot be anchored are rejected with port 0, or the description with 488.
        "c type" | "c address" | "port" => true,
        _ => false,
    }
}

/// Panics unless a call goes through, and nothing is left of what came before it.
fn assert_served(calls: &mut Calls, case: &Case) {
    // 64·T1 for the request, and as long for the ACK to its refusal; a call that was never acknowledged is given up meanwhile.
    calls.run_for(300_000);
    assert_eq!((calls.table.count(), calls.table.stack().transactions()), (0, 0), "{} leaves something", named(case));
    calls.sent.clear();
    calls.assert_served();
    calls.run_for(40_000);
    calls.sent.clear();
}

/// The response with our `Via` in the place that is left for it.
fn placed(message: &[u8], ours: &[u8]) -> Vec<u8> {
    match message.windows(4).position(|piece| piece == b"OURS") {
        Some(at) => [&message[..at], ours, &message[at + 4..]].concat(),
        None => message.to_vec(),
    }
}

fn named(case: &Case) -> String {
    let shown = case.value.escape_ascii().to_string();
    format!("{} of {} bytes: {:.60}", case.element, case.value.len(), shown)
}
