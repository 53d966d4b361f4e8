//! The only way a message is changed: the lines that are named are written anew, all others are copied byte for byte, in order.

use std::net::IpAddr;

use bytes::Bytes;

use super::header::ListRanges;
use super::message::Span;
use super::{Message, Name, Via};

/// A set of changes to one message; the order in which they are asked for does not matter, but for pushes among themselves.
///
/// Where new lines go: `Via` above the first `Via`; `Record-Route` above the first `Record-Route`; `Route` below the last `Route`. Where
/// the message has no such line, and for a new `Max-Forwards`: directly below the first block of `Via` lines, in the order
/// Route, Record-Route, Max-Forwards. A new `Content-Length` is the last line. What is popped or amended is what the message came with,
/// never what this edit pushed.
#[must_use = "an edit changes nothing until it is finished"]
pub struct Edit<'m> {
    message: &'m Message,
    request_uri: Option<Vec<u8>>,
    /// Topmost last.
    vias: Vec<Vec<u8>>,
    popped_vias: usize,
    amend: Option<(Option<IpAddr>, Option<u16>)>,
    /// Topmost last.
    record_routes: Vec<Vec<u8>>,
    popped_routes: usize,
    routes: Vec<Vec<u8>>,
    max_forwards: Option<u8>,
    max_breadth: Option<u8>,
    body: Option<Vec<u8>>,
}

impl<'m> Edit<'m> {
    /// Begins with no change.
    pub const fn new(message: &'m Message) -> Self {
        Self {
            message,
            request_uri: None,
            vias: Vec::new(),
            popped_vias: 0,
            amend: None,
            record_routes: Vec::new(),
            popped_routes: 0,
            routes: Vec::new(),
            max_forwards: None,
            max_breadth: None,
            body: None,
        }
    }

    /// Replaces the Request-URI. Nothing happens to a response.
    pub fn request_uri(mut self, uri: &[u8]) -> Self {
        self.request_uri = Some(uri.to_vec());
        self
    }

    /// Puts a `Via` on top; of several, the last is topmost.
    pub fn push_via(mut self, value: &[u8]) -> Self {
        self.vias.push(value.to_vec());
        self
    }

    /// Removes the topmost `Via` value; its line goes only with its last value.
    pub fn pop_via(mut self) -> Self {
        self.popped_vias += 1;
        self
    }

    /// Notes in the topmost `Via` where the request came from (RFC 3261 §18.2.1, RFC 3581 §4).
    ///
    /// `received` is added, or replaces one that is there. `rport` is filled in where the client has asked by naming it, and never added.
    pub const fn amend_top_via(mut self, received: Option<IpAddr>, rport: Option<u16>) -> Self {
        self.amend = Some((received, rport));
        self
    }

    /// Puts a `Record-Route` above all others; of several, the last is topmost.
    pub fn push_record_route(mut self, value: &[u8]) -> Self {
        self.record_routes.push(value.to_vec());
        self
    }

    /// Removes the first `count` values of `Route`, over as many lines as they take.
    pub const fn pop_route(mut self, count: usize) -> Self {
        self.popped_routes += count;
        self
    }

    /// Puts a `Route` below all others.
    pub fn append_route(mut self, value: &[u8]) -> Self {
        self.routes.push(value.to_vec());
        self
    }

    /// Sets `Max-Forwards`.
    pub const fn max_forwards(mut self, hops: u8) -> Self {
        self.max_forwards = Some(hops);
        self
    }

    /// Sets `Max-Breadth` where the message has one; none is added.
    pub const fn max_breadth(mut self, branches: u8) -> Self {
        self.max_breadth = Some(branches);
        self
    }

    /// Replaces the body, and the number in `Content-Length`.
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    /// Returns the changed message's bytes.
    pub fn finish(self) -> Bytes {
        let message = self.message;
        let added: usize =
            [&self.vias, &self.record_routes, &self.routes].into_iter().flatten().map(|value| value.len() + 16).sum();
        let body = self.body.as_deref().unwrap_or_else(|| message.body());
        let mut out = Vec::with_capacity(message.as_bytes().len() + added + body.len() + 128);

        self.print_start(&mut out);
        let spans = message.spans();
        let first = |name: Name| spans.iter().position(|span| span.kind == name);
        let after_last = |name: Name| spans.iter().rposition(|span| span.kind == name).map(|at| at + 1);
        let via_at = first(Name::Via).unwrap_or(0);
        let below_vias = via_at + spans.iter().skip(via_at).take_while(|span| span.kind == Name::Via).count();
        let record_route_at = first(Name::RecordRoute).unwrap_or(below_vias);
        let route_at = after_last(Name::Route).unwrap_or(below_vias);

        let (mut vias_to_pop, mut routes_to_pop, mut amend) = (self.popped_vias, self.popped_routes, self.amend);
        for at in 0..=spans.len() {
            if at == via_at {
                self.vias.iter().rev().for_each(|value| push_line(&mut out, Name::Via, value));
            }
            if at == route_at {
                self.routes.iter().for_each(|value| push_line(&mut out, Name::Route, value));
            }
            if at == record_route_at {
                self.record_routes.iter().rev().for_each(|value| push_line(&mut out, Name::RecordRoute, value));
            }
            if let Some(hops) = self.max_forwards.filter(|_| at == below_vias && first(Name::MaxForwards).is_none()) {
                push_line(&mut out, Name::MaxForwards, hops.to_string().as_bytes());
            }
            let Some(span) = spans.get(at) else { break };
            let (raw, value) = span.raw_and_value(message);
            match (span.kind, self.max_forwards, &self.body) {
                // A list without a value has nothing to take or to amend.
                (Name::Via | Name::Route, _, _)
                    if ListRanges::new(raw.get(value.clone()).unwrap_or_default()).next().is_none() =>
                {
                    out.extend_from_slice(raw)
                }
                (Name::Via, _, _) if vias_to_pop > 0 => pop(&mut out, span, message, &mut vias_to_pop),
                (Name::Via, _, _) if amend.is_some() => {
                    let (received, rport) = amend.take().unwrap_or_default();
                    print_amended(&mut out, raw, value, received, rport);
                }
                (Name::Route, _, _) if routes_to_pop > 0 => pop(&mut out, span, message, &mut routes_to_pop),
                (Name::MaxForwards, Some(hops), _) => replace(&mut out, raw, value, hops.to_string().as_bytes()),
                (Name::MaxBreadth, _, _) if self.max_breadth.is_some() => {
                    replace(&mut out, raw, value, self.max_breadth.unwrap_or_default().to_string().as_bytes());
                }
                (Name::ContentLength, _, Some(body)) => replace(&mut out, raw, value, body.len().to_string().as_bytes()),
                (_, _, _) => out.extend_from_slice(raw),
            }
        }
        if let Some(body) = self.body.as_ref().filter(|_| first(Name::ContentLength).is_none()) {
            push_line(&mut out, Name::ContentLength, body.len().to_string().as_bytes());
        }
        out.extend_from_slice(message.empty_line());
        out.extend_from_slice(body);
        out.into()
    }

    fn print_start(&self, out: &mut Vec<u8>) {
        let start = self.message.start_raw();
        match (&self.request_uri, self.message.request_uri()) {
            (Some(new), Some(old)) => {
                let before = self.message.method().as_bytes().len() + 1;
                replace(out, start, before..before + old.len(), new);
            }
            (Some(_) | None, Some(_) | None) => out.extend_from_slice(start),
        }
    }
}

fn push_line(out: &mut Vec<u8>, name: Name, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn replace(out: &mut Vec<u8>, raw: &[u8], old: std::ops::Range<usize>, new: &[u8]) {
    out.extend_from_slice(raw.get(..old.start).unwrap_or_default());
    out.extend_from_slice(new);
    out.extend_from_slice(raw.get(old.end..).unwrap_or_default());
}

/// Copies the line without as many of its first values as are to go; without any left, it goes as a whole.
fn pop(out: &mut Vec<u8>, span: &Span, message: &Message, to_pop: &mut usize) {
    let (raw, value) = span.raw_and_value(message);
    let text = raw.get(value.clone()).unwrap_or_default();
    let values = ListRanges::new(text).count();
    let popped = values.min(*to_pop);
    *to_pop -= popped;
    if let Some(kept) = ListRanges::new(text).nth(popped) {
        replace(out, raw, value.start..value.start + kept.start, b"");
    }
}

/// Copies the line with `received` and `rport` set in its first value.
fn print_amended(out: &mut Vec<u8>, raw: &[u8], value: std::ops::Range<usize>, received: Option<IpAddr>, rport: Option<u16>) {
    let text = raw.get(value.clone()).unwrap_or_default();
    let first = ListRanges::new(text).next().unwrap_or(0..0);
    let Ok(via) = Via::parse(text.get(first.clone()).unwrap_or_default()) else { return out.extend_from_slice(raw) };
    // The parameters are the value's tail.
    let params_at = value.start + first.end - via.params.as_bytes().len();
    let end = value.start + first.end;

    let mut received = received.map(|ip| ip.to_string());
    let mut copied = 0;
    for param in via.params.ranges() {
        let name = via.params.as_bytes().get(param.name.clone()).unwrap_or_default();
        let new = if name.eq_ignore_ascii_case(b"received") {
            received.take()
        } else if name.eq_ignore_ascii_case(b"rport") {
            rport.map(|port| port.to_string())
        } else {
            None
        };
        if let Some(new) = new {
            out.extend_from_slice(raw.get(copied..params_at + param.name.end).unwrap_or_default());
            out.push(b'=');
            out.extend_from_slice(new.as_bytes());
            copied = params_at + param.value.map_or(param.name.end, |value| value.end);
        }
    }
    out.extend_from_slice(raw.get(copied..end).unwrap_or_default());
    if let Some(received) = received {
        out.extend_from_slice(b";received=");
        out.extend_from_slice(received.as_bytes());
    }
    out.extend_from_slice(raw.get(end..).unwrap_or_default());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Folds, compact names, odd spacing, a NUL, a Latin-1 byte, a line that ends in LF.
    const ODD: &[u8] = b"INVITE sip:b@h.test SIP/2.0\r\nTO :\r\n sip:b@h.test ;   tag    = 19\r\nfrom: \"M\xfcller \\\\\" <sip:a@h.test>\r\n  ;\r\n  tag = 98\r\n\
        MaX-fOrWaRdS: 0068\r\nCall-ID: c1\r\nContent-Length   : 4\r\ncseq: 9\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390;rport , SIP/2.0/TCP h2.test\r\n\
        s :\r\nX-Nul: \"a\0b\"\nROUTE:\r\n <sip:r1.test;lr>,\r\n\t<sip:r2.test;lr>\r\nRoute: <sip:r3.test>\r\nRecord-Route: <sip:q.test;lr>\r\nm:<sip:a@h.test>\r\n\r\nbody";

    #[test]
    fn without_a_change_the_message_is_as_it_came() {
        let message = parse(ODD);

        assert_eq!(Edit::new(&message).finish(), ODD);
        assert_eq!(Edit::new(&message).pop_route(0).finish(), ODD);
    }

    #[test]
    fn a_proxy_changes_its_lines_and_no_other() {
        let message = parse(ODD);

        let out = Edit::new(&message)
            .request_uri(b"sip:new@h.test")
            .push_via(b"SIP/2.0/UDP us.test;branch=z9hG4bK1")
            .amend_top_via(Some("192.0.2.9".parse().unwrap()), Some(5062))
            .push_record_route(b"<sip:us.test;lr>")
            .pop_route(1)
            .append_route(b"<sip:last.test>")
            .max_forwards(67)
            .body(b"longer body")
            .finish();

        let expected = String::from_utf8_lossy(ODD)
            .replace("INVITE sip:b@h", "INVITE sip:new@h")
            .replace("Via  :", "Via: SIP/2.0/UDP us.test;branch=z9hG4bK1\r\nVia  :")
            .replace(";rport ,", ";rport=5062;received=192.0.2.9 ,")
            .replace("Record-Route:", "Record-Route: <sip:us.test;lr>\r\nRecord-Route:")
            .replace("<sip:r1.test;lr>,\r\n\t", "")
            .replace("<sip:r3.test>\r\n", "<sip:r3.test>\r\nRoute: <sip:last.test>\r\n")
            .replace("0068", "67")
            .replace("Length   : 4", "Length   : 11")
            .replace("\r\n\r\nbody", "\r\n\r\nlonger body");
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert!(out.windows(8).any(|bytes| bytes == b"M\xfcller \\"), "the Latin-1 byte is kept");
    }

    #[test]
    fn lines_that_are_new_stand_below_the_via_block() {
        let message = parse(
            b"BYE sip:a SIP/2.0\r\nTo: x\r\nVia: SIP/2.0/UDP h1\r\nv: SIP/2.0/UDP h2\r\nFrom: y\r\nVia: SIP/2.0/UDP h3\r\n\r\n",
        );

        let out = Edit::new(&message)
            .max_forwards(70)
            .append_route(b"<sip:r>")
            .push_record_route(b"<sip:q>")
            .push_via(b"V")
            .body(b"ab")
            .finish();

        assert_eq!(
            out,
            &b"BYE sip:a SIP/2.0\r\nTo: x\r\nVia: V\r\nVia: SIP/2.0/UDP h1\r\nv: SIP/2.0/UDP h2\r\nRoute: <sip:r>\r\nRecord-Route: <sip:q>\r\nMax-Forwards: 70\r\nFrom: y\r\n\
               Via: SIP/2.0/UDP h3\r\nContent-Length: 2\r\n\r\nab"[..]
        );
    }

    #[test]
    fn a_message_without_via_and_lines_takes_new_ones() {
        let message = parse(b"BYE sip:a SIP/2.0\r\n\r\n");

        let out = Edit::new(&message).max_forwards(70).push_via(b"V1").push_via(b"V2").pop_via().pop_route(3).finish();

        assert_eq!(out, &b"BYE sip:a SIP/2.0\r\nVia: V2\r\nVia: V1\r\nMax-Forwards: 70\r\n\r\n"[..]);
    }

    #[test]
    fn a_value_is_popped_from_its_line_and_a_line_with_its_last() {
        let after = |count: usize| {
            let message = parse(
                b"BYE sip:a SIP/2.0\r\nRoute: , <sip:1,x> ,<sip:2>\r\n ,\r\n \"a,b\" <sip:3>\r\nX: y\r\nroute: <sip:4>\r\n\r\n",
            );
            String::from_utf8(Edit::new(&message).pop_route(count).finish().to_vec()).unwrap()
        };

        assert!(after(1).contains("Route: <sip:2>\r\n ,\r\n \"a,b\" <sip:3>\r\nX"), "{}", after(1));
        assert!(after(2).contains("SIP/2.0\r\nRoute: \"a,b\" <sip:3>\r\nX: y\r\nroute: <sip:4>"), "{}", after(2));
        assert_eq!(after(3), "BYE sip:a SIP/2.0\r\nX: y\r\nroute: <sip:4>\r\n\r\n");
        assert_eq!(after(4), "BYE sip:a SIP/2.0\r\nX: y\r\n\r\n");
        assert_eq!(after(9), after(4));
    }

    #[test]
    fn the_via_of_a_response_is_popped_out_of_a_list() {
        let message = parse(
            b"SIP/2.0 180 Es klingelt\r\nv: SIP/2.0/UDP us.test,\r\n SIP/2.0/UDP them.test\r\nVia: SIP/2.0/UDP far.test\r\n\r\n",
        );

        let out = Edit::new(&message).pop_via().request_uri(b"sip:ignored").finish();

        assert_eq!(out, &b"SIP/2.0 180 Es klingelt\r\nv: SIP/2.0/UDP them.test\r\nVia: SIP/2.0/UDP far.test\r\n\r\n"[..]);
    }

    #[test]
    fn a_via_is_told_where_it_came_from_in_its_own_words() {
        for (came, amended) in [
            ("SIP/2.0/UDP h;rport;branch=1", "SIP/2.0/UDP h;rport=7;branch=1;received=192.0.2.1"),
            ("SIP/2.0/UDP h;RPort = 9 ;received=a ;x", "SIP/2.0/UDP h;RPort=7 ;received=192.0.2.1 ;x"),
            ("SIP/2.0/UDP h", "SIP/2.0/UDP h;received=192.0.2.1"),
            ("SIP/2.0/UDP h;;", "SIP/2.0/UDP h;;"),
            (
                "SIP/2.0/UDP h;x=\"a;b,c\" , SIP/2.0/UDP i;rport",
                "SIP/2.0/UDP h;x=\"a;b,c\";received=192.0.2.1 , SIP/2.0/UDP i;rport",
            ),
        ] {
            let bytes = |via: &str| format!("BYE sip:a SIP/2.0\r\nVia:{via}\r\nVia: SIP/2.0/UDP z;rport\r\n\r\n").into_bytes();
            let message = parse(&bytes(came));
            let out = Edit::new(&message).amend_top_via(Some("192.0.2.1".parse().unwrap()), Some(7)).finish();
            assert_eq!(out, bytes(amended), "{came}");
        }
    }

    #[test]
    fn every_content_length_follows_the_body() {
        let message = parse(b"BYE sip:a SIP/2.0\r\nl:\r\n\t1 \r\nContent-Length: 1\r\n\r\nx");

        assert_eq!(Edit::new(&message).body(b"").finish(), &b"BYE sip:a SIP/2.0\r\nl:\r\n\t0 \r\nContent-Length: 0\r\n\r\n"[..]);
    }

    fn parse(bytes: &[u8]) -> Message {
        Message::parse_datagram(Bytes::copy_from_slice(bytes)).unwrap()
    }
}
