//! What holds of `wire::sip` for any bytes: an unedited message is as it came, an edited one differs in the lines that were named.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use bytes::Bytes;
use mitschnitt::wire::sip::{Edit, Message, Name, NameAddr, StartLine, Uri, Via, list, reason_phrase, reply, salvage_for_reply};

/// Checks all properties with one datagram.
pub(crate) fn check(data: &[u8]) {
    let datagram = Bytes::copy_from_slice(data);
    if let Some(salvaged) = salvage_for_reply(&datagram) {
        check_reply(&salvaged);
    }
    let Ok(message) = Message::parse_datagram(datagram) else { return };
    check_values(&message);
    check_unedited(&message, data);
    if message.is_request() {
        check_reply(&message);
    }
    // Near the limits an edited message may be one that is refused.
    if message.headers().count() < 240 && data.len() < 60_000 {
        check_edited(&message);
        if message.validate_request().is_ok() {
            check_forwarded(&message);
        }
    }
}

fn check_values(message: &Message) {
    assert!(message.validate_request().is_err() || message.validate_response().is_err(), "it is one or the other");
    if message.validate_request().is_ok() {
        assert!(message.request_uri().is_some_and(|uri| Uri::parse(uri).is_ok()));
        assert!(message.cseq().is_ok_and(|cseq| cseq.method == message.method()));
        assert!(message.call_id().is_ok_and(|id| !id.is_empty()));
        assert!(message.max_forwards().is_ok());
    }
    for line in message.headers() {
        assert!(line.raw.starts_with(line.name) && line.raw.ends_with(b"\n"));
        assert!(line.value.len() + line.name.len() < line.raw.len());
        assert_eq!(Name::of(line.name), line.kind);
        assert!(list(line.value).all(|value| !value.is_empty()));
    }
    for name in [Name::From, Name::To, Name::Contact, Name::Route, Name::RecordRoute] {
        for address in message.values(name).filter_map(|value| NameAddr::parse(value, "field").ok()) {
            let _number = address.address().ok().and_then(|uri| uri.number());
            let _tag = address.tag();
        }
    }
    let _shown = format!("{message:?} {:?} {:?}", message.top_via(), message.contact());
}

fn check_unedited(message: &Message, data: &[u8]) {
    let bytes = message.as_bytes();
    assert!(data.windows(bytes.len()).any(|window| window == bytes), "it is a piece of what came");
    assert_eq!(Edit::new(message).finish(), bytes, "unedited, it is as it came");

    let again = Message::parse_datagram(bytes.clone()).expect("what was read once is read again");
    assert_eq!(again.as_bytes(), bytes);
    assert!(raw_lines(&again, &[]).eq(raw_lines(message, &[])));
}

fn check_reply(request: &Message) {
    // All its Via and a few lines more: near the limits the answer may be one that we would not read.
    if request.headers().count() >= 240 || request.as_bytes().len() >= 60_000 {
        return;
    }
    let answer = reply(request, 400, reason_phrase(400), Some(b"tag"), &[("Retry-After", "1")]);

    let answer = Message::parse_datagram(answer).expect("our own response is well-formed");
    assert_eq!(answer.status(), Some(400));
    let vias = |message: &Message| {
        message.headers().filter(|line| line.kind == Name::Via).map(|line| line.raw.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(vias(request), vias(&answer));
}

fn check_edited(message: &Message) {
    let count = |name: Name| message.values(name).count();
    let popped = count(Name::Route).min(2);
    let edited = Edit::new(message)
        .request_uri(b"sip:new.test")
        .amend_top_via(Some(SOURCE), Some(5062))
        .push_via(VIA)
        .push_record_route(b"<sip:us.test;lr>")
        .pop_route(popped)
        .append_route(b"<sip:last.test;lr>")
        .max_forwards(69)
        .body(b"new body")
        .finish();
    let edited = Message::parse_datagram(edited).expect("an edited message is well-formed");

    let named = [Name::Via, Name::Route, Name::RecordRoute, Name::MaxForwards, Name::ContentLength];
    assert!(raw_lines(&edited, &named).eq(raw_lines(message, &named)), "lines that were not named are as they came");
    match (message.start(), edited.start()) {
        (StartLine::Request { method: old, .. }, StartLine::Request { method: new, uri }) => {
            assert_eq!((old, uri), (new, &b"sip:new.test"[..]));
        }
        (old, new) => assert!(old == new, "a response has no Request-URI"),
    }
    assert_eq!(edited.body(), b"new body");
    assert_eq!(edited.value(Name::ContentLength), Some(&b"8"[..]));
    assert!(edited.headers().filter(|line| line.kind == Name::MaxForwards).all(|line| line.value == b"69"));

    let routes: Vec<_> = edited.values(Name::Route).collect();
    let expected: Vec<_> = message.values(Name::Route).skip(popped).chain([&b"<sip:last.test;lr>"[..]]).collect();
    assert_eq!(routes, expected);
    assert_eq!(edited.values(Name::RecordRoute).count(), count(Name::RecordRoute) + 1);
    assert_eq!(edited.value(Name::RecordRoute), Some(&b"<sip:us.test;lr>"[..]));

    assert!(edited.value(Name::Via) == Some(VIA) || count(Name::Via) == 0);
    assert_eq!(edited.values(Name::Via).count(), count(Name::Via) + 1);
    assert!(edited.values(Name::Via).skip(2).eq(message.values(Name::Via).skip(1)), "Via below the top are opaque");
    if let (Ok(old), Some(Ok(new))) = (message.top_via(), edited.values(Name::Via).nth(1).map(Via::parse)) {
        assert_eq!((old.host, old.port, old.branch), (new.host, new.port, new.branch));
        assert_eq!(new.received_ip(), Some(SOURCE));
        assert_eq!(new.rport, old.rport.map(|_| Some(5062)));
    }

    let popped = Message::parse_datagram(Edit::new(message).pop_via().finish()).expect("a shorter message is well-formed");
    assert!(popped.values(Name::Via).eq(message.values(Name::Via).skip(1)));
    assert!(raw_lines(&popped, &[Name::Via]).eq(raw_lines(message, &[Name::Via])));
}

/// A request as a proxy sends it on: two lines more, one number less, and every other byte in its place.
fn check_forwarded(message: &Message) {
    let hops = message.max_forwards().expect("it is valid").map_or(70, |hops| hops.saturating_sub(1));
    let sent = Edit::new(message).push_via(VIA).push_record_route(b"<sip:us.test;lr>").max_forwards(hops).finish();
    let sent = Message::parse_datagram(sent).expect("what is sent on is well-formed");

    // Our lines are taken out, and their number is put in where theirs was.
    let [mut via, mut record_route] =
        [Some(&b"Via: SIP/2.0/UDP us.test;branch=z9hG4bK1\r\n"[..]), Some(b"Record-Route: <sip:us.test;lr>\r\n")];
    let mut theirs = message.headers();
    let mut back = sent.as_bytes().to_vec();
    back.truncate(place(&sent, sent.headers().next().expect("a Via").raw).start);
    for line in sent.headers() {
        if via.take_if(|via| *via == line.raw).is_some() || record_route.take_if(|ours| *ours == line.raw).is_some() {
            continue;
        }
        if line.kind == Name::MaxForwards && message.value(Name::MaxForwards).is_none() {
            assert_eq!(line.raw, format!("Max-Forwards: {hops}\r\n").as_bytes());
            continue;
        }
        let their = theirs.next().expect("no line is added but ours");
        if line.kind == Name::MaxForwards {
            assert_eq!(line.value, hops.to_string().as_bytes());
            let [whole, value] = [place(&sent, line.raw), place(&sent, line.value)];
            back.extend_from_slice(sent.as_bytes().get(whole.start..value.start).expect("the value is in its line"));
            back.extend_from_slice(their.value);
            back.extend_from_slice(sent.as_bytes().get(value.end..whole.end).expect("the value is in its line"));
        } else {
            back.extend_from_slice(line.raw);
        }
    }
    let end = sent.headers().last().map_or(0, |line| place(&sent, line.raw).end);
    back.extend_from_slice(sent.as_bytes().get(end..).expect("the lines end within the message"));
    assert_eq!(back, *message.as_bytes());
    assert!(via.is_none() && record_route.is_none(), "both lines are there");
}

/// Where a piece of a message stands in it.
fn place(message: &Message, piece: &[u8]) -> Range<usize> {
    let start = piece.as_ptr().addr() - message.as_bytes().as_ptr().addr();
    start..start + piece.len()
}

/// The lines as they came, but for those of these names.
fn raw_lines<'m>(message: &'m Message, without: &'m [Name]) -> impl Iterator<Item = &'m [u8]> {
    message.headers().filter(|line| !without.contains(&line.kind)).map(|line| line.raw)
}

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const VIA: &[u8] = b"SIP/2.0/UDP us.test;branch=z9hG4bK1";
