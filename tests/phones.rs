//! Two of the demo's telephones call each other with nothing between them: what the other tests rely on is tested here by itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use mitschnitt::codec::Codec;
use mitschnitt::demo::{Call, Event, Extra, Flow, Offer, Phone, Stream, Way, sound};
use rsip::Method;

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_call_is_set_up_heard_on_both_sides_and_ended() {
    let (pbx, carrier) = phones();
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu, Codec::Pcma]));
    let into = carrier.incoming(PATIENCE).unwrap();
    assert!(!out.is_up());
    into.ring();
    out.wait(&Event::Progress { status: 180, with_sound: false }, PATIENCE).unwrap();
    into.accept(&Offer::of(&[Codec::Pcma])).unwrap();
    out.wait(&Event::Answered, PATIENCE).unwrap();
    into.wait(&Event::Acknowledged, PATIENCE).unwrap();
    out.line().unwrap().say(|frame| [low(frame); 160]);
    into.line().unwrap().say(|frame| [0x80 | low(frame); 160]);

    for (speaker, listener) in [(&out, &into), (&into, &out)] {
        let (speaker, listener) = (speaker.line().unwrap(), listener.line().unwrap());
        assert!(listener.wait_heard(PATIENCE, |heard| heard.len() >= 50));
        let heard = listener.heard();
        assert_eq!(heard[0].header.payload_type, 8, "the only codec both know");
        assert!(heard[0].header.marker, "a talkspurt begins with the marker");
        assert!(Stream::of(&heard, Some(101)).is_steady(), "{}", Stream::of(&heard, Some(101)));
        let sent: Vec<u8> = speaker.sent().iter().flat_map(|sent| sent.payload.to_vec()).collect();
        let heard = sound(&heard, 8);
        assert_eq!(sent[..heard.len()], heard, "byte for byte");
    }
    let time = out.line().unwrap().sent();
    let (first, last) = (time.first().unwrap().at, time.last().unwrap().at);
    let ideal = Duration::from_millis(20) * u32::try_from(time.len() - 1).unwrap();
    assert!(
        (last - first).abs_diff(ideal) < Duration::from_millis(60),
        "20 ms a packet, however many: {:?}, {ideal:?}",
        last - first
    );

    assert_eq!(out.hang_up(PATIENCE).unwrap(), 200);
    into.wait(&Event::Ended, PATIENCE).unwrap();
    assert!(out.is_over() && into.is_over());
}

#[test]
fn keys_are_pressed_by_rfc_4733_and_by_info() {
    let (pbx, carrier) = phones();
    let (out, into) = up(&pbx, &carrier, &Offer::of(&[Codec::Pcmu]), &Offer::of(&[Codec::Pcmu]));
    let line = into.line().unwrap();

    assert!(line.press('1'));
    assert!(line.press('#'));
    assert_eq!(out.info_key('9', PATIENCE).unwrap(), 200);

    into.wait(&Event::Key('9'), PATIENCE).unwrap();
    let ears = out.line().unwrap();
    assert!(ears.wait_heard(PATIENCE, |heard| heard.iter().filter(|packet| packet.header.payload_type == 101).count() == 14));
    let heard = ears.heard();
    let keys: Vec<_> = heard.iter().filter(|packet| packet.header.payload_type == 101).collect();
    for (key, event) in keys.chunks(7).zip([1, 11]) {
        let durations: Vec<u16> = key.iter().map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let ends: Vec<bool> = key.iter().map(|p| p.payload[1] & 0x80 != 0).collect();
        assert_eq!(ends, [false, false, false, false, true, true, true], "the end is said three times");
        assert!(key.iter().all(|p| p.payload[0] == event && p.header.timestamp == key[0].header.timestamp));
        assert!(key[0].header.marker && key[1..].iter().all(|p| !p.header.marker));
    }
    assert!(Stream::of(&heard, Some(101)).is_steady(), "{}", Stream::of(&heard, Some(101)));
}

#[test]
fn a_key_needs_an_agreed_payload_type() {
    let (pbx, carrier) = phones();
    let (out, _into) = up(&pbx, &carrier, &Offer::of(&[Codec::G722]).without_keys(), &Offer::of(&[Codec::G722]));

    assert!(!out.line().unwrap().press('1'));
}

#[test]
fn hold_stops_the_sound_and_resuming_brings_it_back() {
    let (pbx, carrier) = phones();
    let mine = Offer::of(&[Codec::Pcmu]);
    let (out, into) = up(&pbx, &carrier, &mine, &mine);
    assert!(out.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > 5));

    for hold in [mine.clone().flowing(Flow::SendOnly), mine.clone().flowing(Flow::Inactive), mine.clone().at_zero()] {
        assert_eq!(out.reoffer(&hold, PATIENCE).unwrap(), 200);
        let flow = if hold.flow == Flow::Inactive { Flow::Inactive } else { Flow::SendOnly };
        into.wait(&Event::Reoffered { flow }, PATIENCE).unwrap();
        into.wait(&Event::Acknowledged, PATIENCE).unwrap();
        let silent_from = into.line().unwrap().sent().len();
        if hold.flow != Flow::Inactive {
            let before = into.line().unwrap().heard().len();
            assert!(into.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > before + 5), "music on hold");
            assert_eq!(into.line().unwrap().sent().len(), silent_from, "who is held is silent");
        }
        assert!(matches!(out.remote().unwrap().flow, Flow::RecvOnly | Flow::Inactive), "the answer mirrors the hold");

        assert_eq!(out.hold(&mine, Flow::SendRecv, PATIENCE).unwrap(), 200);
        into.wait(&Event::Reoffered { flow: Flow::SendRecv }, PATIENCE).unwrap();
        let before = out.line().unwrap().heard().len();
        assert!(out.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > before + 5));
        let sent = into.line().unwrap().sent();
        let resumed = &sent[silent_from];
        let steps = resumed.timestamp.wrapping_sub(sent[silent_from - 1].timestamp) / 160;
        assert!(steps >= 1, "the clock ran on");
    }
    assert_eq!(into.reoffer(&mine.late(), PATIENCE).unwrap(), 200, "the callee may offer too, and leave it to the other");
    assert_eq!(into.hang_up(PATIENCE).unwrap(), 200, "and may hang up");
    out.wait(&Event::Ended, PATIENCE).unwrap();
}

#[test]
fn a_refused_reinvite_leaves_the_call_as_it_was() {
    let (pbx, carrier) = phones();
    let mine = Offer::of(&[Codec::Pcmu]);
    let (out, into) = up(&pbx, &carrier, &mine, &mine);

    into.refuse_next(488);

    assert_eq!(out.hold(&mine, Flow::SendOnly, PATIENCE).unwrap(), 488);
    assert!(out.is_up() && into.is_up());
    assert_eq!(out.hang_up(PATIENCE).unwrap(), 200);
}

#[test]
fn a_cancelled_call_ends_with_487() {
    let (pbx, carrier) = phones();
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu]));
    let into = carrier.incoming(PATIENCE).unwrap();
    into.ring();
    out.wait(&Event::Progress { status: 180, with_sound: false }, PATIENCE).unwrap();

    out.cancel();

    into.wait(&Event::Cancelled, PATIENCE).unwrap();
    assert_eq!(out.wait_refused(PATIENCE).unwrap(), 487);
    carrier.wait_message("the ACK of the 487", PATIENCE, |m| m.way == Way::Received && m.summary() == "ACK").unwrap();
    assert!(out.is_over() && into.is_over());
    assert!(into.accept(&Offer::of(&[Codec::Pcmu])).is_err(), "there is nothing to accept any more");
}

#[test]
fn a_call_given_up_at_once_is_cancelled_once_that_is_allowed() {
    let (pbx, carrier) = phones();
    carrier.lose(1);
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu]));

    out.cancel();

    let into = carrier.incoming(PATIENCE).unwrap();
    into.wait(&Event::Cancelled, PATIENCE).unwrap();
    assert_eq!(out.wait_refused(PATIENCE).unwrap(), 487);
}

#[test]
fn early_media_is_heard_before_the_answer() {
    let (pbx, carrier) = phones();
    let out = call(&pbx, &carrier, Offer::of(&[Codec::G722, Codec::Pcmu]));
    let into = carrier.incoming(PATIENCE).unwrap();

    into.progress(&Offer::of(&[Codec::Pcmu])).unwrap();
    out.wait(&Event::Progress { status: 183, with_sound: true }, PATIENCE).unwrap();

    assert!(out.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > 5));
    assert!(into.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > 5), "the caller speaks early too");
    assert!(!out.is_up());
    into.accept(&Offer::of(&[Codec::Pcmu])).unwrap();
    out.wait(&Event::Answered, PATIENCE).unwrap();
    let before = out.line().unwrap().heard().len();
    assert!(out.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > before + 5));
    assert!(Stream::of(&out.line().unwrap().heard(), None).is_steady());
}

#[test]
fn an_offer_left_to_the_callee_is_answered_in_the_ack() {
    let (pbx, carrier) = phones();
    let (out, into) = up(&pbx, &carrier, &Offer::of(&[Codec::Pcma]).late(), &Offer::of(&[Codec::Pcmu, Codec::Pcma]));

    assert!(out.invite().unwrap().body.is_empty());
    for call in [&out, &into] {
        assert!(call.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > 5));
        assert_eq!(call.line().unwrap().heard()[0].header.payload_type, 8);
    }
}

#[test]
fn a_refusal_comes_with_its_own_words_and_is_acknowledged() {
    let (pbx, carrier) = phones();
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu]));
    let into = carrier.incoming(PATIENCE).unwrap();

    assert!(into.respond(486, "Besetzt, leider", None, &vec![("X-Why".to_owned(), "talking".to_owned())]));

    let came = out.wait_for("a refusal", PATIENCE, |event| matches!(event, Event::Refused { .. })).unwrap();
    assert_eq!(came, Event::Refused { status: 486, reason: "Besetzt, leider".to_owned() });
    carrier.wait_message("the ACK", PATIENCE, |m| m.way == Way::Received && m.summary() == "ACK").unwrap();
    assert!(pbx.log().iter().any(|m| String::from_utf8_lossy(&m.bytes).contains("X-Why: talking\r\n")));
}

#[test]
fn what_the_network_loses_is_said_again() {
    let (pbx, carrier) = phones();
    carrier.lose(2);
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu]));

    let into = carrier.incoming(PATIENCE).unwrap();
    let sent: Vec<_> = pbx.log().into_iter().filter(|m| m.way == Way::Sent).collect();
    assert_eq!(sent.len(), 3);
    assert!(sent[1].at - sent[0].at >= Duration::from_millis(500) && sent[2].at - sent[1].at >= Duration::from_millis(1000));
    assert!(sent[1].is_again && sent[0].bytes == sent[2].bytes);

    out.wait(&Event::Progress { status: 100, with_sound: false }, PATIENCE).unwrap();
    pbx.lose(2); // the 200, twice
    into.accept(&Offer::of(&[Codec::Pcmu])).unwrap();
    out.wait(&Event::Answered, PATIENCE).unwrap();
    into.wait(&Event::Acknowledged, PATIENCE).unwrap();
    carrier.lose(1);
    assert_eq!(out.hang_up(PATIENCE).unwrap(), 200);
}

#[test]
fn a_lost_ack_is_said_again_for_the_next_200() {
    let (pbx, carrier) = phones();
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu]));
    let into = carrier.incoming(PATIENCE).unwrap();
    carrier.lose(1);

    into.accept(&Offer::of(&[Codec::Pcmu])).unwrap();

    out.wait(&Event::Answered, PATIENCE).unwrap();
    into.wait(&Event::Acknowledged, PATIENCE).unwrap();
    assert_eq!(pbx.log().iter().filter(|m| m.way == Way::Sent && m.summary() == "ACK").count(), 2);
}

#[test]
fn a_request_outside_of_a_call_is_answered() {
    let (pbx, carrier) = phones();

    let ok = pbx.ask(carrier.addr(), Method::Options, &uri(carrier.addr()), &Extra::new(), None, PATIENCE).unwrap();
    let gone = pbx.ask(carrier.addr(), Method::Bye, &uri(carrier.addr()), &Extra::new(), None, PATIENCE).unwrap();

    assert_eq!((ok.status_code.code(), gone.status_code.code()), (200, 481));
}

#[test]
fn the_route_set_is_followed_both_ways() {
    let (pbx, carrier) = phones();
    let middle = Phone::bind("middle", loopback()).unwrap();
    let route = ("Record-Route".to_owned(), format!("<sip:{};lr>", middle.addr()));
    let out = pbx.call_with(carrier.addr(), &uri(carrier.addr()), Offer::of(&[Codec::Pcmu]), None, vec![route], None).unwrap();
    let into = carrier.incoming(PATIENCE).unwrap();
    into.accept(&Offer::of(&[Codec::Pcmu])).unwrap();
    out.wait(&Event::Answered, PATIENCE).unwrap();

    let route = format!("\r\nRoute: <sip:{};lr>\r\n", middle.addr());
    let is_routed = |method: &'static str| {
        let start = format!("{method} sip:");
        let route = route.clone();
        move |m: &mitschnitt::demo::Exchange| {
            let text = String::from_utf8_lossy(&m.bytes).into_owned();
            m.way == Way::Received && text.starts_with(&start) && text.contains(&route)
        }
    };
    middle.wait_message("the ACK", PATIENCE, is_routed("ACK")).unwrap();
    let _wait = into.hang_up(Duration::from_millis(1)); // nobody forwards it
    middle.wait_message("the BYE", PATIENCE, is_routed("BYE")).unwrap();
}

#[test]
fn rtcp_goes_to_the_next_port_and_other_things_are_not_taken_for_rtp() {
    let (pbx, carrier) = phones();
    let (out, into) = up(&pbx, &carrier, &Offer::of(&[Codec::Pcmu]), &Offer::of(&[Codec::Pcmu]));

    out.line().unwrap().send_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 7]).unwrap();
    out.line().unwrap().send_raw(b"garbage", into.line().unwrap().addr()).unwrap();

    assert!(into.line().unwrap().wait_report(PATIENCE));
    assert_eq!(into.line().unwrap().reports()[0].2[..], [0x80, 201, 0, 1, 0, 0, 0, 7]);
    let before = into.line().unwrap().heard().len();
    assert!(into.line().unwrap().wait_heard(PATIENCE, |heard| heard.len() > before + 1));
    assert_eq!(into.line().unwrap().unreadable(), 1);
}

#[test]
fn what_did_not_come_is_said_with_what_came() {
    let (pbx, carrier) = phones();
    let out = call(&pbx, &carrier, Offer::of(&[Codec::Pcmu]));
    carrier.incoming(PATIENCE).unwrap();
    out.wait(&Event::Progress { status: 100, with_sound: false }, PATIENCE).unwrap();

    let missed = out.wait(&Event::Answered, Duration::from_millis(20)).unwrap_err();

    assert_eq!(
        missed.to_string(),
        "the phone `pbx` expected Answered within 0.0 s; what came: [Progress { status: 100, with_sound: false }]"
    );
}

fn phones() -> (Phone, Phone) {
    (Phone::bind("pbx", loopback()).unwrap(), Phone::bind("carrier", loopback()).unwrap())
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn uri(addr: SocketAddr) -> String {
    format!("sip:+4930123456@{addr}")
}

fn call(from: &Phone, to: &Phone, offer: Offer) -> Call {
    from.call(to.addr(), &uri(to.addr()), offer).unwrap()
}

fn up(from: &Phone, to: &Phone, offer: &Offer, answer: &Offer) -> (Call, Call) {
    let out = call(from, to, offer.clone());
    let into = to.incoming(PATIENCE).unwrap();
    into.accept(answer).unwrap();
    out.wait(&Event::Answered, PATIENCE).unwrap();
    into.wait(&Event::Acknowledged, PATIENCE).unwrap();
    (out, into)
}

fn low(frame: u64) -> u8 {
    u8::try_from(frame % 128).unwrap()
}
