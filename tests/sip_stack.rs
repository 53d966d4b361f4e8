//! The SIP stack as its neighbours see it: calls both ways, what passes byte for byte, what is refused, our own requests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod sip_scene;

use bytes::Bytes;
use mitschnitt::limits::{ACKS_HELD, SIP_HEADER_LINES};
use mitschnitt::sip::{Config, Flow, Input, Output, Stack, Tally};
use mitschnitt::time::Moment;
use mitschnitt::wire::sip::{Message, Name, Via, reply};
use sip_scene::{INVITE, PBX, Scene, TRUNK, US, ack_to, addr, cancel_of, in_dialog, invite_from, lossy, parse, replaced};

// ── a call ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_call_goes_through_in_either_direction() {
    for (caller, callee) in [(PBX, TRUNK), (TRUNK, PBX)] {
        let mut scene = Scene::new();
        let invite = invite_from(caller);

        scene.arrive(caller, &invite);
        assert_eq!(scene.lines(), [format!("{caller} 100 Trying"), format!("{callee} INVITE")]);
        let sent = scene.last_to(callee);

        scene.answer(callee, &sent, 100, None);
        assert_eq!(scene.lines(), Vec::<String>::new(), "a 100 is for the next hop alone");
        scene.answer(callee, &sent, 180, Some("b1"));
        assert_eq!(scene.lines(), [format!("{caller} 180 Ringing")]);
        scene.answer(callee, &sent, 200, Some("b1"));
        assert_eq!(scene.lines(), [format!("{caller} 200 OK")]);

        scene.arrive(caller, &in_dialog("ACK", caller, 1));
        assert_eq!(scene.lines(), [format!("{callee} ACK")]);
        scene.arrive(caller, &in_dialog("BYE", caller, 2));
        assert_eq!(scene.lines(), [format!("{callee} BYE")]);
        let bye = scene.last_to(callee);
        scene.answer(callee, &bye, 200, Some("b1"));
        assert_eq!(scene.lines(), [format!("{caller} 200 OK")]);

        scene.run_for(40_000);
        assert_eq!(scene.lines(), Vec::<String>::new());
        assert_eq!(scene.count("ended"), 2, "INVITE and BYE");
        assert_eq!((scene.stack.transactions(), scene.stack.deadline()), (0, None), "nothing is left");
    }
}

#[test]
fn the_other_requests_pass_and_their_answers_come_back_once() {
    for method in
        ["OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "MESSAGE", "REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "WHATEVER"]
    {
        let mut scene = Scene::new();

        scene.arrive(PBX, &in_dialog(method, PBX, 2));
        assert_eq!(scene.lines(), [format!("{TRUNK} {method}")]);
        let sent = scene.last_to(TRUNK);
        scene.answer(TRUNK, &sent, 202, Some("b1"));
        scene.answer(TRUNK, &sent, 202, Some("b1"));

        assert_eq!(scene.lines(), [format!("{PBX} 202 Accepted")], "{method}");
    }
}

#[test]
fn what_a_proxy_does_not_own_passes_byte_for_byte() {
    let odd = b"INVITE sip:+4930123456@198.51.100.20;x=%6C SIP/2.0\r\nTO :\r\n sip:b@h.test ;   x=\"\\\"\"\r\n\
        from: \"M\xfcller \\\\\" <sip:a@h.test>\r\n  ;\r\n  tag = 98\r\nMaX-fOrWaRdS: 0068\r\ni:  c1\r\ncseq: 0009\r\n  INVITE\r\n\
        Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.10:5060;branch=z9hG4bKodd , SIP/2.0/TCP h2.test;;,\r\nv: SIP/2.0/UNKNOWN x\r\n\
        s :\r\nX-Nul: \"a\0b\"\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
        UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nDate: Fri, 01 Jan 2010 16:00:00 EST\r\n\
        m:\"Quoted \\\"\" <sip:a@h.test> ; x = y\r\nl :  004\r\n\r\n\0\xff\r\n";
    let mut scene = Scene::new();
    scene.arrive_bytes(PBX, odd);
    let sent = scene.last_to(TRUNK);

    let ours: Vec<u8> = format!("Via: {}\r\n", lossy(sent.value(Name::Via).unwrap())).into_bytes();
    let route = format!("Record-Route: <sip:{US};lr>\r\n").into_bytes();
    let expected = replaced(odd, b"0068", b"67");
    let expected = replaced(&expected, b"Via  :", &[&ours[..], b"Via  :"].concat());
    let expected = replaced(&expected, b"s :\r\n", &[&route[..], b"s :\r\n"].concat());
    assert_eq!(lossy(sent.as_bytes()), lossy(&expected));

    let answer = [
        b"SIP/2.0 183 = 2**3 * \xd0\xbf \r\nv: ".as_slice(),
        sent.value(Name::Via).unwrap(),
        b" ,\r\n SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKodd\r\nX-Odd:\t \xff\0\r\nf: <sip:a@h.test>;tag=98\r\nt:<sip:b@h.test>;tag=b\r\ni:c1\r\n\
        Call-Info :  <http://x>\r\nCSeq: 9  INVITE\r\nRecord-Route:<sip:x;lr>,\r\n <sip:y>\r\n\r\nbody without length",
    ]
    .concat();
    scene.arrive_bytes(TRUNK, &answer);

    let passed = scene.last_to(PBX);
    let expected = replaced(&answer, &[sent.value(Name::Via).unwrap(), b" ,\r\n "].concat(), b"");
    assert_eq!(lossy(passed.as_bytes()), lossy(&expected));
}

#[test]
fn a_body_of_the_calls_goes_in_place_of_its_own_both_ways() {
    let mut scene = Scene::new();
    scene.body = Some(Bytes::from_static(b"anchored"));

    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 183, Some("b1"));

    assert_eq!((sent.body(), sent.value(Name::ContentLength)), (&b"anchored"[..], Some(&b"8"[..])));
    assert_eq!(scene.last_to(PBX).body(), b"anchored");
}

#[test]
fn responses_go_where_rport_and_received_say() {
    for (via, to, noted) in [
        ("192.0.2.10:5060;branch=z9hG4bK1", PBX, "192.0.2.10:5060;branch=z9hG4bK1"),
        ("192.0.2.10:5070;branch=z9hG4bK1", "192.0.2.10:5070", "192.0.2.10:5070;branch=z9hG4bK1"),
        ("pbx.test:5070;branch=z9hG4bK1", "192.0.2.10:5070", "pbx.test:5070;branch=z9hG4bK1;received=192.0.2.10"),
        ("pbx.test;rport;branch=z9hG4bK1", PBX, "pbx.test;rport=5060;branch=z9hG4bK1;received=192.0.2.10"),
    ] {
        let mut scene = Scene::new();
        scene.arrive(PBX, &INVITE.replace("192.0.2.10:5060;branch=z9hG4bKpbx1", via));
        let trying = scene.last_to(to);
        let sent = scene.last_to(TRUNK);

        assert_eq!(lossy(trying.value(Name::Via).unwrap()), format!("SIP/2.0/UDP {noted}"));
        assert_eq!(lossy(sent.values(Name::Via).nth(1).unwrap()), format!("SIP/2.0/UDP {noted}"));
    }
}

#[test]
fn an_invite_within_a_dialog_is_record_routed_and_a_bye_is_not() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &in_dialog("INVITE", PBX, 5));
    let invite = scene.last_to(TRUNK);
    scene.arrive(PBX, &in_dialog("BYE", PBX, 6));
    let bye = scene.last_to(TRUNK);

    assert_eq!(lossy(invite.value(Name::RecordRoute).unwrap()), format!("<sip:{US};lr>"));
    assert_eq!((bye.value(Name::RecordRoute), bye.value(Name::Route)), (None, None), "and our own Route is gone");
}

#[test]
fn a_strict_router_downstream_gets_its_uri_in_the_request_line() {
    let mut scene = Scene::new();
    let bye = in_dialog("BYE", PBX, 2).replace(";lr>\r\n", ";lr>, <sip:198.51.100.20>, <sip:far.test;lr>\r\n");
    scene.arrive(PBX, &bye);
    let sent = scene.last_to(TRUNK);

    assert_eq!(lossy(sent.request_uri().unwrap()), "sip:198.51.100.20");
    let routes: Vec<String> = sent.values(Name::Route).map(lossy).collect();
    assert_eq!(routes, ["<sip:far.test;lr>", "<sip:b@198.51.100.20>"]);
}

// ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_request_that_has_no_hop_left_is_483() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &INVITE.replace("Forwards: 70", "Forwards: 0"));

    assert_eq!(scene.lines(), [format!("{PBX} 483 Too Many Hops")]);
    assert_eq!((scene.count("request"), scene.count("failed")), (0, 0), "the call never hears of it");
}

#[test]
fn a_refusal_is_sent_again_until_its_ack() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &INVITE.replace("Forwards: 70", "Forwards: 0"));
    let refusal = scene.last_to(PBX);
    scene.lines();
    scene.run_for(1_600);
    assert_eq!(scene.times(), [500, 1500], "timer G");

    scene.arrive(PBX, &ack_to(INVITE, &refusal));
    scene.run_for(60_000);
    assert_eq!((scene.times(), scene.count("ack")), (vec![], 0), "the ACK ends it and is absorbed");
}

#[test]
fn an_extension_that_a_proxy_must_understand_is_420() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &INVITE.replace("Max-", "Require: fine\r\nProxy-Require: first, second\r\nMax-"));

    assert_eq!(scene.lines(), [format!("{PBX} 420 Bad Extension")]);
    assert_eq!(scene.last_to(PBX).values(Name::Unsupported).map(lossy).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn a_request_that_comes_back_unchanged_is_482_and_a_spiral_passes() {
    let back = |uri: &str| {
        let mut scene = Scene::new();
        scene.arrive(PBX, INVITE);
        let sent = lossy(scene.last_to(TRUNK).as_bytes());
        scene.lines();
        let again = sent
            .replacen("Via:", "Via: SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bKt\r\nVia:", 1)
            .replace("sip:+4930123456@198.51.100.20 SIP", uri);
        scene.arrive(TRUNK, &again);
        scene.lines()
    };

    assert_eq!(back("sip:+4930123456@198.51.100.20 SIP"), [format!("{TRUNK} 482 Loop Detected")]);
    assert_eq!(back("sip:al@192.0.2.10 SIP"), [format!("{TRUNK} 100 Trying"), format!("{PBX} INVITE")]);
}

#[test]
fn a_malformed_request_is_told_so_and_a_malformed_response_is_not() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &INVITE.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"));
    scene.arrive(PBX, &INVITE.replace("bKpbx1", "bKpbx2").replace("Content-Length: 5", "Content-Length: 9999"));
    scene.arrive(PBX, &INVITE.replace("bKpbx1", "bKpbx3").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"));
    scene.arrive(PBX, &INVITE.replace("bKpbx1", "bKpbx4").replace("INVITE sip:+49", "INVITE unknown:+49"));
    assert_eq!(
        scene.lines(),
        ["400 Bad Request", "400 Bad Request", "505 Version Not Supported", "416 Unsupported URI Scheme"]
            .map(|l| format!("{PBX} {l}"))
    );

    scene.arrive(TRUNK, "SIP/2.0 200 OK\r\nVia: ;;\r\n\r\n");
    scene.arrive(PBX, "garbage\r\n\r\n");
    scene.arrive(PBX, "\r\n\r\n");
    assert_eq!(scene.lines(), Vec::<String>::new());
    assert_eq!((scene.stack.tallies().of(Tally::KeepAlive), scene.stack.tallies().of(Tally::Malformed)), (1, 6));
}

#[test]
fn a_request_with_more_lines_than_may_be_is_400_and_nothing_is_kept() {
    let with = |lines: usize| {
        let more = "X-More: 1\r\n".repeat(lines + 3 - INVITE.matches("\r\n").count());
        INVITE.replace("Content-Length:", &format!("{more}Content-Length:"))
    };
    let mut scene = Scene::new();

    scene.arrive(PBX, &with(SIP_HEADER_LINES + 1));

    assert_eq!(scene.lines(), [format!("{PBX} 400 Bad Request")]);
    assert_eq!(scene.stack.transactions(), 0);
    // Two of ours come to those that it has.
    scene.arrive(PBX, &with(SIP_HEADER_LINES - 2));
    assert_eq!(scene.lines(), [format!("{PBX} 100 Trying"), format!("{TRUNK} INVITE")]);
}

#[test]
fn an_ack_is_never_answered() {
    let mut scene = Scene::new();
    let ack = in_dialog("ACK", PBX, 1);
    for broken in [
        ack.replace("CSeq: 1 ACK", "CSeq: 1 INVITE"),
        ack.replace("Forwards: 70", "Forwards: 0"),
        ack.replace("SIP/2.0\r\n", "SIP/7.0\r\n"),
        ack.replace("Content-Length: 0", "Content-Length: 7"),
    ] {
        scene.arrive(PBX, &broken);
    }

    assert_eq!((scene.lines(), scene.count("ack")), (vec![], 0));
}

#[test]
fn at_the_limit_a_new_invite_is_503_and_a_bye_still_passes() {
    let mut scene = Scene::with(|config| config.transactions = 16);
    for number in 0..8 {
        scene.arrive(PBX, &INVITE.replace("bKpbx1", &format!("bKfull{number}")));
    }
    scene.lines();

    scene.arrive(PBX, &INVITE.replace("bKpbx1", "bKmore"));
    assert_eq!(scene.lines(), [format!("{PBX} 503 Service Unavailable")]);
    let after: u32 = lossy(scene.last_to(PBX).value(Name::RetryAfter).unwrap()).parse().unwrap();
    assert!((5..=30).contains(&after));
    let refusal = scene.last_to(PBX);
    scene.arrive(PBX, &ack_to(&INVITE.replace("bKpbx1", "bKmore"), &refusal));
    assert_eq!(
        (scene.lines(), scene.count("ack")),
        (vec![], 0),
        "the ACK to a refusal without a transaction is known by its tag"
    );

    let mut scene = Scene::with(|config| config.transactions = 16);
    for number in 0..7 {
        scene.arrive(PBX, &INVITE.replace("bKpbx1", &format!("bKfull{number}")));
    }
    scene.arrive(PBX, &in_dialog("BYE", PBX, 2));
    assert_eq!(scene.lines().last(), Some(&format!("{TRUNK} BYE")));
}

#[test]
fn at_the_limit_other_requests_are_dropped_and_a_cancel_is_answered_and_obeyed() {
    let mut scene = Scene::with(|config| config.transactions = 16);
    for number in 0..7 {
        scene.arrive(PBX, &INVITE.replace("bKpbx1", &format!("bKfull{number}")));
    }
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.lines();

    scene.arrive(PBX, &in_dialog("OPTIONS", PBX, 2));
    assert_eq!((scene.lines(), scene.stack.transactions()), (vec![format!("{TRUNK} OPTIONS")], 16));
    scene.arrive(PBX, &in_dialog("OPTIONS", PBX, 3));
    assert_eq!(scene.lines(), Vec::<String>::new());
    assert_eq!(scene.stack.tallies().of(Tally::Full), 1);

    let cancel = cancel_of(&INVITE.replace("bKpbx1", "bKfull6"));
    scene.arrive(PBX, &cancel);
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK"), format!("{TRUNK} CANCEL")]);
    scene.arrive(PBX, &cancel);
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")], "sent again it has the same answer, and no second CANCEL goes on");
}

#[test]
fn acks_that_the_call_leaves_lying_push_out_the_oldest() {
    let mut stack = Stack::new(Config::new(addr(US)), 1, Moment::START);
    let mut acks = Vec::new();
    for number in 0..=u32::try_from(ACKS_HELD).unwrap() {
        let ack = in_dialog("ACK", PBX, number);
        stack.handle(Input::Message { from: Flow::first(addr(PBX)), bytes: ack.into() }, Moment::START);
        while let Some(output) = stack.poll() {
            if let Output::Ack { server, .. } = output {
                acks.push(server);
            }
        }
    }
    assert_eq!((acks.len(), stack.tallies().of(Tally::Unasked)), (ACKS_HELD + 1, 1));

    let mut forward = |server| {
        stack.handle(Input::Forward { server, to: Flow::first(addr(TRUNK)), body: None }, Moment::START);
        std::iter::from_fn(|| stack.poll()).filter(|output| matches!(output, Output::Send { .. })).count()
    };
    assert_eq!((forward(acks[0]), forward(acks[1]), forward(acks[ACKS_HELD])), (0, 1, 1));
    assert_eq!(forward(acks[1]), 0, "each goes on once");
}

// ── our own answers and requests ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_calls_own_answer_is_a_complete_response() {
    let mut scene = Scene::new();
    scene.auto = false;
    scene.arrive(PBX, INVITE);
    let server = scene.server.unwrap();

    scene.tell(Input::Reply { server, status: 503, extra: vec![("Retry-After", "7".into())] });

    let answer = scene.last_to(PBX);
    assert_eq!((answer.status(), answer.value(Name::RetryAfter)), (Some(503), Some(&b"7"[..])));
    assert!(answer.to().unwrap().tag().is_some());
    scene.arrive(PBX, &ack_to(INVITE, &answer));
    scene.run_for(5_000);
    assert_eq!(scene.events(), ["request", "ended"], "no Failed for what the call did itself");
}

#[test]
fn what_the_call_says_of_a_request_that_is_answered_or_gone_is_counted_and_not_sent() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let server = scene.server.unwrap();
    scene.tell(Input::Reply { server, status: 486, extra: Vec::new() });
    let refusal = scene.last_to(PBX);
    scene.lines();

    scene.tell(Input::Reply { server, status: 503, extra: Vec::new() });
    assert_eq!((scene.lines(), scene.stack.tallies().of(Tally::Unasked)), (vec![], 1), "its answer stays what it was");

    scene.arrive(PBX, &ack_to(INVITE, &refusal));
    scene.run_for(300_000);
    scene.lines();
    scene.tell(Input::PassResponse { server, response: refusal, body: None });
    assert_eq!((scene.lines(), scene.stack.tallies().of(Tally::Unasked)), (vec![], 2));
}

#[test]
fn neither_a_provisional_response_but_100_nor_a_408_answers_another_request_than_invite() {
    // RFC 4320 §4.1 and §4.2, whoever of the two sides says it.
    let mut scene = Scene::new();
    scene.arrive(PBX, &in_dialog("INFO", PBX, 2));
    let sent = scene.last_to(TRUNK);
    scene.lines();
    scene.answer(TRUNK, &sent, 183, Some("b1"));
    assert_eq!(scene.lines(), Vec::<String>::new());
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);

    scene.auto = false;
    scene.arrive(PBX, &in_dialog("INFO", PBX, 3));
    scene.tell(Input::Reply { server: scene.server.unwrap(), status: 408, extra: Vec::new() });
    scene.run_for(40_000);
    assert_eq!((scene.lines(), scene.stack.transactions()), (vec![], 0));
}

#[test]
fn a_branch_that_still_rings_when_the_call_answers_is_cancelled() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.lines();
    let server = scene.server.unwrap();

    scene.tell(Input::Reply { server, status: 488, extra: Vec::new() });
    assert_eq!(scene.lines(), [format!("{PBX} 488 Not Acceptable Here"), format!("{TRUNK} CANCEL")]);
    scene.answer(TRUNK, &sent, 487, Some("b1"));

    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")], "the second final response goes no further");
}

#[test]
fn a_request_of_our_own_has_its_answer() {
    let bye = "BYE sip:al@192.0.2.10:5060 SIP/2.0\r\nFrom: <sip:b@h.test>;tag=b1\r\nTo: <sip:al@192.0.2.10>;tag=a1\r\nCall-ID: call-1\r\n\
        CSeq: 77 BYE\r\nMax-Forwards: 70\r\nReason: SIP;cause=503\r\nContent-Length: 0\r\n\r\n";
    let mut scene = Scene::new();
    scene.tell(Input::Originate { to: Flow::first(addr(PBX)), request: Bytes::from_static(bye.as_bytes()) });
    let sent = scene.last_to(PBX);
    let via = lossy(sent.value(Name::Via).unwrap());
    assert_eq!(lossy(sent.as_bytes()), bye.replacen("\r\n", &format!("\r\nVia: {via}\r\n"), 1));

    scene.run_for(1_000);
    assert_eq!(scene.times(), [0, 500]);
    scene.answer(PBX, &sent, 100, None);
    scene.answer(PBX, &sent, 200, None);
    assert_eq!(scene.events(), ["own 200"]);

    scene.tell(Input::Originate { to: Flow::first(addr(TRUNK)), request: Bytes::from_static(bye.as_bytes()) });
    scene.run_for(32_000);
    scene.tell(Input::Originate { to: Flow::first(addr(TRUNK)), request: Bytes::from_static(bye.as_bytes()) });
    scene.tell(Input::Unreachable { to: Flow::first(addr(TRUNK)) });
    assert_eq!(scene.events(), ["own 200", "own timed out", "own unreachable"]);
    scene.run_for(40_000);
    assert_eq!(scene.stack.transactions(), 0);
}

// ── RFC 2543, and sameness ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_peer_of_rfc_2543_without_a_branch_is_matched_by_its_fields() {
    let old = INVITE.replace(";branch=z9hG4bKpbx1", "");
    let mut scene = Scene::new();
    scene.arrive(PBX, &old);
    let sent = scene.last_to(TRUNK);
    scene.lines();
    scene.arrive(PBX, &old);
    assert_eq!(scene.lines(), [format!("{PBX} 100 Trying")]);
    scene.arrive(PBX, &cancel_of(&old));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);

    scene.answer(TRUNK, &sent, 486, Some("b1"));
    let refusal = scene.last_to(PBX);
    scene.lines();
    scene.arrive(PBX, &ack_to(&old, &refusal));
    scene.run_for(40_000);
    assert_eq!((scene.lines(), scene.count("ack"), scene.stack.transactions()), (vec![], 0, 0));
}

#[test]
fn an_rfc_2543_ack_to_a_2xx_is_told_from_one_to_a_refusal_by_its_tag() {
    let old = INVITE.replace(";branch=z9hG4bKpbx1", "");
    let mut scene = Scene::new();
    scene.arrive(PBX, &old);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    let ok = scene.last_to(PBX);
    scene.lines();
    scene.arrive(PBX, &ack_to(&old, &ok));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")]);

    let other = old.replace("call-1", "call-2");
    scene.arrive(PBX, &other);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 486, Some("b1"));
    let refusal = lossy(scene.last_to(PBX).as_bytes());
    scene.lines();
    scene.arrive(PBX, &ack_to(&other, &parse(refusal.replace("tag=b1", "tag=b9").as_bytes())));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")], "not the tag of the refusal");
}

#[test]
fn the_same_seed_and_the_same_inputs_give_the_same_outputs() {
    let run = |seed: u64| {
        let mut scene = Scene::new();
        scene.stack = Stack::new(Config::new(addr(US)), seed, Moment::START);
        for number in 0..50 {
            scene.arrive(PBX, &INVITE.replace("bKpbx1", &format!("bK{number}")).replace("call-1", &format!("call-{number}")));
        }
        scene.run_for(500);
        scene.tell(Input::Unreachable { to: Flow::first(addr(TRUNK)) });
        scene.run_for(100_000);
        scene.sent.iter().map(|sent| (sent.at, sent.to, sent.message.as_bytes().clone())).collect::<Vec<_>>()
    };

    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_branch_of_ours_has_the_cookie_64_bits_of_its_own_and_the_loop_hash() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let first = scene.last_to(TRUNK);
    scene.arrive(PBX, &INVITE.replace("bKpbx1", "bKpbx2"));
    let second = scene.last_to(TRUNK);

    let branch = |message: &Message| lossy(Via::parse(message.value(Name::Via).unwrap()).unwrap().branch.unwrap());
    let (first, second) = (branch(&first), branch(&second));
    assert!(first.starts_with("z9hG4bK") && first.len() == 7 + 16 + 1 + 16);
    assert_ne!(first[7..23], second[7..23]);
    assert_eq!(first[24..], second[24..], "the same request by its routing");
}

#[test]
fn no_datagram_makes_it_panic() {
    let samples = [INVITE.to_owned(), in_dialog("BYE", PBX, 2), in_dialog("ACK", PBX, 1), cancel_of(INVITE)];
    let mut scene = Scene::new();
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: usize| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        usize::try_from(chance % u64::try_from(below).unwrap()).unwrap()
    };
    for round in 0..20_000 {
        let mut bytes = samples[draw(samples.len())].clone().into_bytes();
        if round % 3 == 0
            && let Some(sent) = scene.sent.last()
        {
            bytes = reply(&sent.message, 200, "OK", Some(b"x"), &[]).to_vec();
        }
        for _ in 0..=draw(4) {
            let at = draw(bytes.len());
            match draw(3) {
                0 => bytes[at] = u8::try_from(draw(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"\r\n;,<>\"= :"[draw(10)]),
            }
        }
        scene.arrive_bytes([PBX, TRUNK][draw(2)], &bytes);
        scene.sent.drain(..scene.sent.len().saturating_sub(1));
    }
    scene.run_for(600_000);
    assert_eq!((scene.stack.transactions(), scene.stack.deadline()), (0, None));
}
