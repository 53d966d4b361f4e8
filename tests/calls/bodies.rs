//! Bodies that are more, or other, than a session description in plain text: SIP-I, compressed ones, very long ones.

use super::*;

#[test]
fn binary_isup_that_looks_like_the_boundary_goes_on_as_it_came() {
    let isup = b"\x01\x00\r\n--x1\x00\r\n--x1y\r\n--x\r\n\r\n\xff\xfe--x1\r\n\x80\r\r\n";
    let mut world = World::with(Mode::Announce);

    world.invites(&isup_beside(isup, &offer("192.0.2.10", 4000, "0")), "multipart/mixed;boundary=x1");

    let went = world.to_trunk("INVITE");
    let at = memchr::memmem::find(went.body(), isup).expect("byte for byte");
    let (before, after) = (&went.body()[..at], &went.body()[at + isup.len()..]);
    assert_eq!(before, b"--x1\r\nContent-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal\r\n\r\n");
    let after = String::from_utf8(after.to_vec()).unwrap();
    assert!(after.contains("c=IN IP4 203.0.113.1") && !after.contains("c=IN IP4 192.0.2.10"), "{after}");
    assert!(after.contains("a=x-unknown:kept as it is\r\n") && after.ends_with("--x1--\r\n"), "{after}");
}

#[test]
fn the_isup_of_an_answer_goes_on_as_it_came_too() {
    let isup = b"\x07\x01\r\n--x1\x00\r\n";
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));

    let body = isup_beside(isup, &offer("198.51.100.20", 6000, "0"));
    let head = world.answer(200, "b", "").replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
    let head = head.replacen("Contact:", "Content-Type: multipart/mixed;boundary=x1\r\nContact:", 1);
    world.bytes(TRUNK, [head.as_bytes(), &body].concat());
    world.pbx_acks("b");

    assert!(memchr::memmem::find(world.to_pbx("200").body(), isup).is_some());
    assert_eq!(world.announced().len(), 2, "the description beside it was read");
}

#[test]
fn a_description_that_is_compressed_is_refused_with_415_and_what_is_taken() {
    for (content_type, coding) in [("application/sdp", "gzip"), ("multipart/mixed;boundary=x1", "identity, X-OWN")] {
        let mut world = World::with(Mode::Announce);

        world.invites_encoded(b"\x1f\x8b\x08\x00", content_type, coding);

        let refused = world.to_pbx("415");
        assert_eq!(refused.named(b"Accept-Encoding").collect::<Vec<_>>(), [b"identity"], "{content_type}");
        assert!(world.messages(TRUNK).is_empty(), "{content_type}");
        assert_eq!((world.last_story().reason, world.table.count()), (Reason::BadOffer, 0));
    }
}

#[test]
fn what_is_compressed_and_describes_nothing_passes() {
    for (content_type, coding) in [("application/isup", "gzip"), ("application/sdp", "IDENTITY")] {
        let mut world = World::with(Mode::Announce);
        let sdp = offer("192.0.2.10", 4000, "0");

        world.invites_encoded(sdp.as_bytes(), content_type, coding);

        let is_anchored = world.to_trunk("INVITE").body() != sdp.as_bytes();
        assert_eq!(is_anchored, content_type == "application/sdp", "{content_type}");
    }
}

#[test]
fn within_a_call_a_compressed_offer_is_refused_and_the_call_goes_on_as_it_was() {
    for method in ["INVITE", "UPDATE", "PRACK"] {
        let mut world = World::recorded_call();
        let orders = world.orders().count();

        world.pbx_sends(method, 7, "b", "Content-Type: application/sdp\r\nContent-Encoding: deflate\r\n", "x\u{1}");

        assert_eq!(world.to_pbx("415").status(), Some(415), "{method}");
        assert_eq!((world.orders().count(), world.table.count()), (orders, 1), "{method}");
        assert_eq!(world.recording(), ["record"], "{method}");
    }
}

#[test]
fn a_compressed_answer_goes_on_without_its_body() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));

    let text = world.answer(200, "b", &offer("198.51.100.20", 6000, "0"));
    world.datagram(TRUNK, &text.replacen("Contact:", "e: gzip\r\nContact:", 1));

    assert_eq!(world.to_pbx("200").body(), b"", "no media goes past us");
}

#[test]
fn a_call_for_help_passes_however_its_body_is_encoded() {
    let mut world = World::with(Mode::Announce);
    let lines = "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n";

    world.datagram(PBX, &numbered("INVITE", "sip:112@192.0.2.1", PBX, 1, "a", None, lines, "\u{1f}x", 0));

    assert_eq!(world.to_trunk("INVITE").body(), b"\x1fx");
}

#[test]
fn a_message_of_nearly_64_kb_is_read_to_its_end() {
    let isup = vec![b'x'; 63_000];
    let mut world = World::with(Mode::Announce);

    world.invites(&isup_beside(&isup, &offer("192.0.2.10", 4000, "0")), "multipart/mixed;boundary=x1");

    let went = world.to_trunk("INVITE");
    assert!(memchr::memmem::find(went.body(), &isup).is_some() && went.body().ends_with(b"--x1--\r\n"));
    assert!(memchr::memmem::find(went.body(), b"c=IN IP4 203.0.113.1").is_some());
}

/// A body of SIP-I (ITU-T Q.1912.5): ISUP first, then the description.
fn isup_beside(isup: &[u8], sdp: &str) -> Vec<u8> {
    let head = b"--x1\r\nContent-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal\r\n\r\n";
    let tail = format!("\r\n--x1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--x1--\r\n");
    [&head[..], isup, tail.as_bytes()].concat()
}

impl World {
    fn bytes(&mut self, from: &str, bytes: Vec<u8>) {
        self.input(Input::Message { from: Flow::first(addr(from)), bytes: bytes.into() });
    }

    fn invites(&mut self, body: &[u8], content_type: &str) {
        self.invites_encoded(body, content_type, "identity");
    }

    fn invites_encoded(&mut self, body: &[u8], content_type: &str, coding: &str) {
        let lines = format!("Content-Type: {content_type}\r\nContent-Encoding: {coding}\r\n");
        let head = numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, &lines, "", 0);
        let head = head.replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
        self.bytes(PBX, [head.as_bytes(), body].concat());
    }
}
