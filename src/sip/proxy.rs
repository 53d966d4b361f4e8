//! What a proxy checks in a request and changes in it: RFC 3261 §16.3 to §16.6, for one branch a request.

use bytes::Bytes;

use super::branch::{Branch, Chance};
use super::flow::{Ours, Own, Transport};
use super::route::{HANDLE, Way};
use super::transport::{self, Return};
use crate::limits;
use crate::wire::sip::{Edit, Message, Method, Name, Via};

/// A request that is not forwarded, and the answer to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// A header line of the answer.
    pub(super) extra: Option<(&'static str, String)>,
}

impl Refusal {
    const fn of(status: u16) -> Self {
        Self { status, extra: None }
    }
}

/// Checks a request as RFC 3261 §16.3 asks, in its order.
pub(super) fn check(request: &Message, ours: Ours<'_>, chance: &Chance) -> Result<(), Refusal> {
    // (1) and (2): syntax and scheme.
    request.validate_request().map_err(|fault| Refusal::of(fault.status))?;
    // (3)
    if request.max_forwards() == Ok(Some(0)) {
        return Err(Refusal::of(483));
    }
    // RFC 5393 §5.3.3: one branch is what going on takes. Who names none has them all; as nothing is forked here, none is named for him.
    let breadth = request.max_breadth().map_err(|fault| Refusal::of(fault.status))?;
    if breadth == Some(0) && !matches!(request.method(), Method::Ack | Method::Cancel) {
        return Err(Refusal::of(440));
    }
    // (4)
    if has_looped(request, ours, chance) {
        return Err(Refusal::of(482));
    }
    // (5): no extension is understood here, so each that is named is unsupported. A CANCEL has none (§9.1), an ACK cannot be refused.
    let mut unsupported = request.values(Name::ProxyRequire).peekable();
    if unsupported.peek().is_some() && !matches!(request.method(), Method::Ack | Method::Cancel) {
        let tags: Vec<&[u8]> = unsupported.collect();
        // An option tag is a token; anything else would be a peer's bytes in a line of ours.
        let is_tag = |tag: &&[u8]| tag.iter().all(|byte| byte.is_ascii_graphic());
        if !tags.iter().all(is_tag) {
            return Err(Refusal::of(400));
        }
        let tags = String::from_utf8_lossy(&tags.join(&b", "[..])).into_owned();
        return Err(Refusal { status: 420, extra: Some(("Unsupported", tags)) });
    }
    Ok(())
}

/// Returns whether the request has been here before with everything that decides its way unchanged (RFC 3261 §16.3(4)).
fn has_looped(request: &Message, ours: Ours<'_>, chance: &Chance) -> bool {
    let mut own = request
        .values(Name::Via)
        .filter(|value| Branch::may_stand_in(value))
        .filter_map(|value| Via::parse(value).ok())
        .filter(|via| transport::is_ours(via, ours))
        .filter_map(|via| via.branch.and_then(Branch::parse))
        .peekable();
    if own.peek().is_none() {
        return false;
    }
    let hash = chance.loop_hash(request);
    own.any(|branch| branch.loop_hash == hash)
}

/// What is put into a request that goes on.
pub(super) struct Passage<'p> {
    pub(super) ours: Ours<'p>,
    /// What is noted of where it came from.
    pub(super) back: Return,
    /// The end that it leaves by.
    pub(super) out: &'p Own,
    /// The end that is named in `Record-Route`, where the next hop is to come back by another than the one that it leaves by now.
    pub(super) facing: &'p Own,
    pub(super) branch: Branch,
    /// The body instead of its own.
    pub(super) body: Option<&'p [u8]>,
    /// The name of the call in our `Record-Route`.
    pub(super) handle: Option<&'p str>,
}

/// Returns the request as it goes to the next hop (RFC 3261 §16.6); every line that is not named there is copied byte for byte.
pub(super) fn forwarded(request: &Message, passage: &Passage<'_>) -> Bytes {
    let way = Way::of(request, passage.ours);
    let mut edit = way.edit(Edit::new(request));
    // (3): a number that cannot be one is as if absent, and 0 has been refused.
    edit = edit.max_forwards(match request.max_forwards() {
        Ok(Some(hops)) => hops.saturating_sub(1),
        Ok(None) | Err(_) => 70,
    });
    if request.max_breadth().is_ok_and(|breadth| breadth.is_some_and(|breadth| breadth > limits::SIP_BREADTH)) {
        edit = edit.max_breadth(limits::SIP_BREADTH);
    }
    // (4)
    if is_record_routed(request.method()) {
        // RFC 5658 §6: where it leaves by another end than it came by, both are named, so that each side comes back by its own.
        if let Some(came_by) = passage.ours.get(passage.back.to.end).filter(|own| own.end != passage.facing.end) {
            edit = edit.push_record_route(record_route(came_by, way.is_sips(), passage.handle).as_bytes());
        }
        edit = edit.push_record_route(record_route(passage.facing, way.is_sips(), passage.handle).as_bytes());
    }
    // (8), and §18.2.1: what the server transport notes in the Via that came.
    edit = passage.back.note(edit);
    edit = edit.push_via(&transport::own_via(&passage.out.via_start, passage.branch));
    with_body(edit, request, passage.body, passage.out.end.transport).finish()
}

/// Returns what is put into `Record-Route` for one of our ends: for a request that asks for TLS all the way a SIPS URI (RFC 3261 §16.6(4)),
/// where the end speaks that. One that does not would not be found by it.
fn record_route(own: &Own, is_sips: bool, handle: Option<&str>) -> String {
    let scheme = if is_sips && own.end.transport == Transport::Tls { "sips" } else { "sip" };
    match handle {
        Some(handle) => format!("<{scheme}:{};{HANDLE}={handle}>", own.record_route),
        None => format!("<{scheme}:{}>", own.record_route),
    }
}

/// Gives the message its body, and over a stream its length: the peer finds no end without one (RFC 3261 §16.6(9), §18.3).
fn with_body<'m>(edit: Edit<'m>, message: &'m Message, body: Option<&[u8]>, over: Transport) -> Edit<'m> {
    let is_endless = over.is_reliable() && message.value(Name::ContentLength).is_none();
    match body.or_else(|| is_endless.then(|| message.body())) {
        Some(body) => edit.body(body),
        None => edit,
    }
}

/// Returns whether we stay on the path of the dialog that such a request may begin or repair (RFC 3261 §16.6(4)).
///
/// INVITE, also within its dialog, so that an endpoint that has failed comes back by us; SUBSCRIBE and NOTIFY (RFC 6665 §4.3) and REFER,
/// which make dialogs; and what is unknown, since it may. The others never do.
const fn is_record_routed(method: Method<'_>) -> bool {
    match method {
        Method::Invite | Method::Subscribe | Method::Notify | Method::Refer | Method::Other(_) => true,
        Method::Ack
        | Method::Cancel
        | Method::Bye
        | Method::Options
        | Method::Register
        | Method::Info
        | Method::Update
        | Method::Prack
        | Method::Message
        | Method::Publish => false,
    }
}

/// Returns a response as it goes to the previous hop (RFC 3261 §16.7(3)): without our `Via`, and with another body where one is given.
///
/// A 503 passes as it came. §16.7(6) would have a 500 of it, unless the proxy knows that later requests fare no better: behind each
/// side there is one next hop, whose 503 speaks for all that follows, and the PBX needs it to choose another trunk.
pub(super) fn passed(response: &Message, body: Option<&[u8]>, over: Transport) -> Bytes {
    with_body(Edit::new(response).pop_via(), response, body, over).finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::super::flow::{End, Flow};
    use super::*;
    use crate::wire::sip::Uri;

    const REQUEST: &str = "INVITE sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test:5070;rport;branch=z9hG4bK1\r\nFrom: <sip:a@h.test>;tag=1\r\n\
        To: <sip:b@h.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 2\r\n\r\nhi";
    const RECORD_ROUTE: &str = "<sip:192.0.2.1:5060;lr>";

    #[test]
    fn max_forwards_of_zero_is_483() {
        assert_eq!(verdict(&REQUEST.replace("Forwards: 70", "Forwards: 0")), 483);
        assert_eq!(verdict(&REQUEST.replace("Forwards: 70", "Forwards: 1")), 0);
        assert_eq!(verdict(&REQUEST.replace("Max-Forwards: 70\r\n", "")), 0);
    }

    #[test]
    fn a_proxy_require_is_420_with_its_tags_and_no_others() {
        let request = REQUEST.replace("Max-", "Require: uas\r\nProxy-Require: one,\r\n two\r\nProxy-Require: three\r\nMax-");

        let refusal = check(&parse(&request), Ours(&[own()]), &Chance::new(1)).unwrap_err();

        assert_eq!(refusal, Refusal { status: 420, extra: Some(("Unsupported", "one, two, three".into())) });
    }

    #[test]
    fn nothing_but_a_tag_goes_from_proxy_require_into_a_line_of_ours() {
        assert_eq!(verdict(&REQUEST.replace("Max-", "Proxy-Require: a\r\n b\r\nMax-")), 400);
        assert_eq!(verdict(&REQUEST.replace("Max-", "Proxy-Require: \u{e9}\r\nMax-")), 400);
        assert_eq!(verdict(&REQUEST.replace("Max-", "Proxy-Require:\r\nMax-")), 0);
    }

    #[test]
    fn a_request_that_comes_back_unchanged_has_looped() {
        let chance = Chance::new(1);
        let sent = parse(std::str::from_utf8(&pass(&parse(REQUEST), &chance)).unwrap());
        let back = |change: fn(&str) -> String| {
            let text = String::from_utf8(sent.as_bytes().to_vec()).unwrap();
            let text = text.replacen("Via:", "Via: SIP/2.0/UDP p.test;branch=z9hG4bKp\r\nVia:", 1);
            check(&parse(&change(&text)), Ours(&[own()]), &chance).map_err(|refusal| refusal.status)
        };

        assert_eq!(back(str::to_owned), Err(482));
        assert_eq!(back(|text| text.replace("sip:b@h.test SIP", "sip:c@h.test SIP")), Ok(()), "a spiral");
        assert_eq!(back(|text| text.replace("UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060")), Ok(()), "another proxy's");
    }

    #[test]
    fn a_forwarded_request_has_our_lines_and_its_own() {
        let sent = pass(&parse(REQUEST), &Chance::new(1));

        let branch = Branch { unique: 5, loop_hash: Chance::new(1).loop_hash(&parse(REQUEST)) };
        let via = String::from_utf8(transport::own_via(&own().via_start, branch)).unwrap();
        let expected = REQUEST
            .replace("Via:", &format!("Via: {via}\r\nVia:"))
            .replace("5070;rport;branch=z9hG4bK1", "5070;rport=40000;branch=z9hG4bK1;received=192.0.2.9")
            .replace("From:", &format!("Record-Route: {RECORD_ROUTE}\r\nFrom:"))
            .replace("Forwards: 70", "Forwards: 69");
        assert_eq!(String::from_utf8_lossy(&sent), expected);
    }

    #[test]
    fn between_two_ends_both_are_in_the_route() {
        let sent = pass_by(1, &parse(REQUEST), &Chance::new(1));

        let sent = parse(std::str::from_utf8(&sent).unwrap());
        let routes: Vec<_> = sent.values(Name::RecordRoute).map(String::from_utf8_lossy).collect();
        assert_eq!(routes, ["<sip:203.0.113.1:5061;transport=tls;lr>", RECORD_ROUTE], "the end that it left by comes first");
        assert!(sent.value(Name::Via).unwrap().starts_with(b"SIP/2.0/TLS 203.0.113.1:5061;rport;branch="));
    }

    #[test]
    fn a_request_for_sips_is_record_routed_by_sips_where_we_speak_tls() {
        let routes = |request: &str, out| {
            let sent = parse(std::str::from_utf8(&pass_by(out, &parse(request), &Chance::new(1))).unwrap());
            sent.values(Name::RecordRoute).map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        let secure = "<sips:203.0.113.1:5061;transport=tls;lr>";
        let sips = REQUEST.replace("INVITE sip:", "INVITE sips:");

        assert_eq!(routes(&sips, 1), [secure, RECORD_ROUTE], "the end that it came by speaks no TLS");
        assert_eq!(routes(&sips, 0), [RECORD_ROUTE]);
        assert_eq!(routes(&REQUEST.replace("Max-", "Route: <sips:h.test;lr>\r\nMax-"), 1), [secure, RECORD_ROUTE]);
        assert_eq!(
            routes(&REQUEST.replace("Max-", "Route: <sips:h.test>\r\nMax-"), 1),
            [secure, RECORD_ROUTE],
            "a strict router"
        );
        // And by it we are found again.
        let tls = Own::of(End { transport: Transport::Tls, address: "203.0.113.1:5061".parse().unwrap() });
        assert!(Ours(&[tls]).named_by(&Uri::parse(secure.trim_matches(['<', '>']).as_bytes()).unwrap()).is_some());
    }

    #[test]
    fn max_forwards_is_70_where_there_is_none() {
        for came in ["", "Max-Forwards: 300\r\n"] {
            let sent = pass(&parse(&REQUEST.replace("Max-Forwards: 70\r\n", came)), &Chance::new(1));
            assert!(String::from_utf8_lossy(&sent).contains("\r\nMax-Forwards: 70\r\n"), "{came}");
        }
    }

    #[test]
    fn what_may_make_a_dialog_is_record_routed() {
        for (method, expected) in [
            ("INVITE", true),
            ("SUBSCRIBE", true),
            ("NOTIFY", true),
            ("REFER", true),
            ("INVENTED", true),
            ("BYE", false),
            ("UPDATE", false),
            ("REGISTER", false),
            ("OPTIONS", false),
            ("ACK", false),
        ] {
            let sent = pass(&parse(&REQUEST.replace("INVITE", method)), &Chance::new(1));
            assert_eq!(String::from_utf8_lossy(&sent).contains("Record-Route"), expected, "{method}");
        }
    }

    fn pass(request: &Message, chance: &Chance) -> Bytes {
        pass_by(0, request, chance)
    }

    /// Passes a request that came by UDP, and leaves by the end of this place.
    fn pass_by(out: usize, request: &Message, chance: &Chance) -> Bytes {
        let tls = Own::of(End { transport: Transport::Tls, address: "203.0.113.1:5061".parse().unwrap() });
        let owns = [own(), tls];
        let ours = Ours(&owns);
        let passage = Passage {
            ours,
            back: Return::of(request, Flow::first("192.0.2.9:40000".parse().unwrap()), ours),
            out: &owns[out],
            facing: &owns[out],
            branch: Branch { unique: 5, loop_hash: chance.loop_hash(request) },
            body: None,
            handle: None,
        };
        forwarded(request, &passage)
    }

    fn verdict(request: &str) -> u16 {
        check(&parse(request), Ours(&[own()]), &Chance::new(1)).err().map_or(0, |refusal| refusal.status)
    }

    fn own() -> Own {
        Own::of(End { transport: Transport::Udp, address: "192.0.2.1:5060".parse().unwrap() })
    }

    fn parse(message: &str) -> Message {
        Message::parse_datagram(Bytes::copy_from_slice(message.as_bytes())).unwrap()
    }
}
