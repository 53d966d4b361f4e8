//! The rules of a proxy (RFC 3261 §16 and what amends it) that no scene of a whole call shows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod call_scene;
mod sip_scene;

use call_scene::{Calls, request};
use mitschnitt::limits::SIP_BREADTH;
use mitschnitt::sip::{End, EndId, Flow, Input, Tally, Transport};
use mitschnitt::wire::sip::{Name, reply};
use sip_scene::{INVITE, PBX, Scene, TRUNK, US, addr, in_dialog, lossy, replaced};

#[test]
fn a_merged_request_is_no_error() {
    // The same From tag, Call-ID and CSeq by two ways: a fork before us has come together here (RFC 3261 §8.2.2.2, §16.3).
    let mut scene = Scene::new();

    scene.arrive(PBX, INVITE);
    scene.arrive(PBX, &INVITE.replace("bKpbx1", "bKother"));

    let invite = format!("{TRUNK} INVITE");
    assert_eq!(scene.lines().iter().filter(|line| **line == invite).count(), 2);
    assert_eq!(scene.stack.tallies().of(Tally::Refused), 0);
}

#[test]
fn a_request_goes_on_once_whatever_the_call_asks() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let server = scene.server.unwrap();
    let sent = scene.last_to(TRUNK);
    scene.lines();

    scene.tell(Input::Forward { server, to: Flow::first(addr(TRUNK)), body: None });
    assert_eq!(scene.lines(), Vec::<String>::new());
    scene.answer(TRUNK, &sent, 603, Some("b1"));
    scene.lines();
    scene.tell(Input::Forward { server, to: Flow::first(addr(TRUNK)), body: None });

    assert_eq!((scene.lines(), scene.stack.tallies().of(Tally::Unasked)), (vec![], 2));
}

#[test]
fn every_final_response_passes_as_it_came() {
    for status in
        [300, 302, 305, 380, 400, 403, 404, 415, 420, 480, 484, 486, 488, 491, 500, 502, 503, 504, 513, 600, 603, 606, 699]
    {
        for request in [INVITE.to_owned(), in_dialog("INFO", PBX, 2)] {
            let mut scene = Scene::new();
            scene.arrive(PBX, &request);
            let sent = scene.last_to(TRUNK);
            let extra = [("Contact", "<sip:one@h.test>;q=0.7, <sip:two@h.test>"), ("Retry-After", "18"), ("X-More", " ;; ")];
            let answer = reply(&sent, status, "As it says", Some(b"b1"), &extra);

            scene.arrive_bytes(TRUNK, &answer);

            let ours = format!("Via: {}\r\n", lossy(sent.value(Name::Via).unwrap()));
            assert_eq!(lossy(scene.last_to(PBX).as_bytes()), lossy(&replaced(&answer, ours.as_bytes(), b"")), "{status}");
        }
    }
}

#[test]
fn a_challenge_passes_with_all_its_fields() {
    for (status, name) in [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")] {
        let mut scene = Scene::new();
        scene.arrive(PBX, INVITE);
        let sent = scene.last_to(TRUNK);
        let challenges = ["Digest realm=\"a\", nonce=\"1,2\"", "Digest realm=\"b\", nonce=\"3\"", "Unheard of=scheme"];
        let extra = challenges.map(|challenge| (name, challenge));

        scene.arrive_bytes(TRUNK, &reply(&sent, status, "Who are you", Some(b"b1"), &extra));

        let passed = scene.last_to(PBX);
        assert_eq!(
            (passed.status(), passed.named(name.as_bytes()).map(lossy).collect::<Vec<_>>()),
            (Some(status), challenges.map(str::to_owned).into())
        );
    }
}

#[test]
fn the_to_of_a_response_passes_as_it_came() {
    for status in [180, 183, 200, 404] {
        for tag in ["", ";tag=b1", " ; TAG = b-2;x=\"y\""] {
            let mut scene = Scene::new();
            scene.arrive(PBX, INVITE);
            let sent = scene.last_to(TRUNK);
            let answer = lossy(&reply(&sent, status, "So", None, &[]));
            let to = "To: <sip:+4930123456@198.51.100.20>";

            scene.arrive(TRUNK, &answer.replace(to, &format!("{to}{tag}")));

            assert_eq!(lossy(scene.last_to(PBX).value(Name::To).unwrap()), format!("{}{tag}", &to[4..]), "{status}");
        }
    }
}

#[test]
fn what_was_noted_in_a_via_comes_back_with_the_response() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &INVITE.replace("192.0.2.10:5060;", "pbx.test;rport;"));
    let sent = scene.last_to(TRUNK);

    scene.answer(TRUNK, &sent, 200, Some("b1"));

    let noted = "SIP/2.0/UDP pbx.test;rport=5060;branch=z9hG4bKpbx1;received=192.0.2.10";
    assert_eq!(lossy(sent.values(Name::Via).nth(1).unwrap()), noted);
    assert_eq!(scene.last_to(PBX).values(Name::Via).map(lossy).collect::<Vec<_>>(), [noted]);
}

#[test]
fn a_response_that_ends_before_its_body_is_dropped() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.lines();
    let answer = lossy(&reply(&sent, 200, "OK", Some(b"b1"), &[]));

    for length in
        ["Content-Length: 7", "Content-Length: -1", "Content-Length: 0\r\nContent-Length: 1", "Content-Length: 4294967296"]
    {
        scene.arrive(TRUNK, &answer.replace("Content-Length: 0", length));
    }

    assert_eq!((scene.lines(), scene.stack.tallies().of(Tally::Malformed)), (vec![], 4));
    scene.arrive(TRUNK, &answer);
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);
}

#[test]
fn a_request_that_may_have_more_branches_than_anybody_needs_goes_on_with_fewer() {
    // RFC 5393 §5.3.3.
    for (came, sent) in
        [("1", "1"), ("60", "60"), ("61", "60"), ("255", "60"), ("256", "60"), ("99999999999999999999", "60"), ("007", "007")]
    {
        let mut scene = Scene::new();
        scene.arrive(PBX, &INVITE.replace("Max-", &format!("max-breadth : {came}\r\nMax-")));
        let line = format!("max-breadth : {sent}\r\n");
        assert!(lossy(scene.last_to(TRUNK).as_bytes()).contains(&line), "{came}");
    }
    assert_eq!(SIP_BREADTH, 60);
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    assert_eq!(scene.last_to(TRUNK).value(Name::MaxBreadth), None, "who forks nothing has nothing to divide");
}

#[test]
fn a_request_that_may_have_no_branch_at_all_is_440() {
    for method in ["INVITE", "OPTIONS", "BYE"] {
        let mut scene = Scene::new();
        scene.arrive(PBX, &in_dialog(method, PBX, 2).replace("Max-", "Max-Breadth: 0\r\nMax-"));
        assert_eq!(scene.lines(), [format!("{PBX} 440 Max-Breadth Exceeded")], "{method}");
    }
    for wrong in ["", "-1", "many", "1, 2", "1\r\nMax-Breadth: 1"] {
        let mut scene = Scene::new();
        scene.arrive(PBX, &INVITE.replace("Max-", &format!("Max-Breadth: {wrong}\r\nMax-")));
        assert_eq!(scene.lines(), [format!("{PBX} 400 Bad Request")], "{wrong}");
    }
    let mut scene = Scene::new();
    scene.arrive(PBX, &in_dialog("ACK", PBX, 2).replace("Max-", "Max-Breadth: 0\r\nMax-"));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")], "an ACK cannot be refused");
}

#[test]
fn what_came_without_a_length_has_one_on_a_stream() {
    let ends = [Transport::Udp, Transport::Tcp].map(|transport| End { transport, address: addr(US) });
    let without = INVITE.replace("Content-Length: 5\r\n", "");

    // A request that came in a datagram, and leaves over a stream.
    let mut scene = Scene::with(|config| config.ends = ends.into());
    scene.auto = false;
    scene.arrive(PBX, &without);
    let to = Flow { end: EndId(1), far: addr(TRUNK) };
    scene.tell(Input::Forward { server: scene.server.unwrap(), to, body: None });
    let sent = scene.last_to(TRUNK);
    assert_eq!((sent.value(Name::ContentLength), sent.body()), (Some(&b"5"[..]), &b"v=0\r\n"[..]));

    // And a response.
    let mut scene = Scene::with(|config| config.ends = ends.into());
    let from = Flow { end: EndId(1), far: addr(PBX) };
    scene.tell(Input::Message { from, bytes: INVITE.replace("UDP", "TCP").into_bytes().into() });
    let answer = lossy(&reply(&scene.last_to(TRUNK), 200, "OK", Some(b"b1"), &[]));
    scene.arrive(TRUNK, &(answer.replace("Content-Length: 0\r\n", "") + "body"));
    let passed = scene.last_to(PBX);
    assert_eq!((passed.value(Name::ContentLength), passed.body()), (Some(&b"4"[..]), &b"body"[..]));

    // Over datagrams it stays as it came.
    let mut scene = Scene::new();
    scene.arrive(PBX, &without);
    assert_eq!(scene.last_to(TRUNK).value(Name::ContentLength), None);
}

#[test]
fn what_is_for_sips_goes_to_no_peer_without_tls() {
    // RFC 3261 §16.6(7), §26.2.2; of calls see tests/routing.rs.
    let mut calls = Calls::new();
    for method in ["OPTIONS", "MESSAGE", "REGISTER"] {
        let text = request(method, "secret", PBX, 1, None, "").replace(&format!("{method} sip:"), &format!("{method} sips:"));
        calls.arrive(PBX, text.as_bytes());
        let refusal = calls.take(PBX).pop().unwrap();
        assert_eq!((refusal.status(), calls.take(TRUNK).len()), (Some(480), 0), "{method}");
        assert!(refusal.named(b"Warning").next().unwrap().starts_with(b"380 "));
    }

    // A dialog that is has its peers.
    let id = calls.set_up();
    calls.arrive(PBX, request("BYE", &id, PBX, 2, Some("b"), "").replace("BYE sip:", "BYE sips:").as_bytes());
    assert_eq!(calls.lines(TRUNK), ["BYE"]);
}

#[test]
fn each_way_that_is_tried_has_a_branch_of_its_own() {
    let mut scene = Scene::new();
    scene.auto = false;
    scene.arrive(PBX, INVITE);
    let server = scene.server.unwrap();
    let second = "198.51.100.21:5060";

    scene.tell(Input::Try { server, to: Flow::first(addr(TRUNK)), body: None });
    let first = scene.last_to(TRUNK);
    scene.answer(TRUNK, &first, 503, Some("b1"));
    scene.tell(Input::Forward { server, to: Flow::first(addr(second)), body: None });

    let other = scene.last_to(second);
    assert_ne!(first.value(Name::Via), other.value(Name::Via));
    assert_eq!(lossy(scene.last_to(TRUNK).method().as_bytes()), "ACK", "the first has its ACK");
    assert_eq!(scene.sent.iter().filter(|sent| sent.to == addr(PBX)).count(), 1, "and the caller hears of none but the 100");
}
