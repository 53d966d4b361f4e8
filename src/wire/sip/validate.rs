//! What a proxy checks before it works with a message (RFC 3261 §16.3): what it needs must be right, the rest is not its business.

use super::header::is_token;
use super::{Malformed, Message, Method, Name, NameAddr, Scheme, StartLine, Uri, Via};

impl Message {
    /// Checks a request as RFC 3261 §16.3(1) asks: the start line and the fields that a proxy works with. `Max-Forwards` of 0,
    /// `Proxy-Require` and loops are not looked at here.
    ///
    /// # Errors
    /// 505 for another version, 416 for a scheme that cannot be routed, 501 for an unknown method that `CSeq` does not name, else 400.
    pub fn validate_request(&self) -> Result<(), Malformed> {
        let StartLine::Request { method, uri } = self.start() else {
            return Err(Malformed::bad("start line", "is not a request's"));
        };
        self.check_version()?;
        if method.as_bytes().is_empty() || !method.as_bytes().iter().all(|&b| is_token(b)) {
            return Err(Malformed::bad("start line", "has no method"));
        }
        self.check_common()?;
        let cseq = self.cseq()?;
        if cseq.method != method {
            // RFC 4475 §3.1.2.18: 501 says that the method is unknown, which is the cause more often than not.
            let status = if matches!(method, Method::Other(_)) { 501 } else { 400 };
            return Err(Malformed { field: "CSeq", what: "has not the request's method", status });
        }
        self.max_forwards()?;
        check_request_uri(uri)?;
        for name in [Name::Route, Name::RecordRoute] {
            self.check_routes(name)?;
        }
        // Only a dialog's target is ours to know; what a REGISTER lists passes as it came.
        if matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Refer) {
            self.contact()?;
        }
        Ok(())
    }

    /// Checks a response: what is needed to find its transaction and to pass it on.
    ///
    /// # Errors
    /// Where the version is not 2.0, or `Via`, `From`, `To`, `Call-ID` or `CSeq` are missing, doubled or malformed. A response is never
    /// answered, so the status says nothing.
    pub fn validate_response(&self) -> Result<(), Malformed> {
        if self.is_request() {
            return Err(Malformed::bad("start line", "is not a response's"));
        }
        self.check_version()?;
        self.check_common()?;
        self.cseq().map(|_| ())
    }

    fn check_common(&self) -> Result<(), Malformed> {
        let via = self.top_via()?;
        if via.version != b"2.0" {
            return Err(Malformed::bad("Via", "has a version that is not 2.0"));
        }
        // The cookie and nothing after it would make one transaction of all such requests (RFC 4475 §3.2.1).
        if via.branch == Some(Via::COOKIE) {
            return Err(Malformed::bad("Via", "has a branch that names nothing"));
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq, Name::MaxForwards] {
            if self.count(name) > 1 {
                return Err(Malformed::bad(name.as_str(), "is there more than once"));
            }
        }
        self.call_id()?;
        self.from()?;
        self.to()?;
        Ok(())
    }

    fn check_version(&self) -> Result<(), Malformed> {
        let version = self.version();
        if version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Ok(());
        }
        let number =
            version.get(..4).filter(|name| name.eq_ignore_ascii_case(b"SIP/")).and_then(|_| version.get(4..)).unwrap_or_default();
        let mut parts = number.split(|&b| b == b'.').map(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
        match (parts.next(), parts.next(), parts.next()) {
            (Some(true), Some(true), None) => {
                Err(Malformed { field: "start line", what: "has a version that is not 2.0", status: 505 })
            }
            _ => Err(Malformed::bad("start line", "has no version at its end")),
        }
    }

    fn check_routes(&self, name: Name) -> Result<(), Malformed> {
        self.values(name).try_for_each(|value| {
            let route = NameAddr::parse(value, name.as_str())?;
            // The next hop is read from it (§16.6(7)): what cannot be routed must not be passed over for the Request-URI.
            if name == Name::Route && route.sip_address().is_none() {
                return Err(Malformed::bad(name.as_str(), "has a URI that cannot be routed"));
            }
            Ok(())
        })
    }
}

fn check_request_uri(uri: &[u8]) -> Result<(), Malformed> {
    let uri = Uri::parse(uri).map_err(|fault| Malformed { field: "Request-URI", ..fault })?;
    if uri.scheme == Scheme::Other {
        return Err(Malformed { field: "Request-URI", what: "has a scheme that cannot be routed", status: 416 });
    }
    // RFC 3261 §19.1.1, table 1: not allowed there; and never to be made header fields of (RFC 4475 §3.1.2.11).
    if !uri.headers.is_empty() {
        return Err(Malformed::bad("Request-URI", "has header fields"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use bytes::Bytes;

    use super::*;

    const GOOD: &str = "INVITE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bK1\r\nFrom: <sip:al@example.test>;tag=1\r\n\
        To: <sip:bob@example.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:al@h.test>\r\n\r\n";

    #[test]
    fn what_a_proxy_does_not_need_is_not_its_business() {
        for (old, new) in [
            ("", ""),
            ("To: <sip:bob@example.test>", "To: isbn:2983792873"),
            ("To: <sip:bob@example.test>", "To: caller<sip:bob@example.test>"),
            ("Max-Forwards: 70\r\n", ""),
            ("Max-Forwards: 70", "Max-Forwards: 0"),
            (";tag=1", ""),
            (";branch=z9hG4bK1", ""),
            (";branch=z9hG4bK1", ";branch=z9hG4bK1\r\nVia: SIP/2.0/UNKNOWN !!;;,"),
            ("Contact: <sip:al@h.test>\r\n", ""),
            ("Max-", "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nExpires: -1\r\nRequire: nothingSupportsThis\r\nMax-"),
            ("INVITE", "!inter%esting+_`'~.*"),
            ("sip:bob@example.test SIP", "tel:+4930 SIP"),
            ("sip:bob@example.test SIP", "sip:[2001:db8::1] sip"),
        ] {
            assert_eq!(verdict(&GOOD.replace(old, new)), 0, "{new:?}");
        }
    }

    #[test]
    fn what_a_proxy_needs_must_be_right() {
        for (old, new, status) in [
            ("SIP/2.0/UDP h.test", "SIP/2.0/UDP h.test;;,;,,", 400),
            ("SIP/2.0/UDP h.test", "SIP/7.0/UDP h.test", 400),
            ("branch=z9hG4bK1", "branch=z9hG4bK", 400),
            ("test SIP/2.0\r\n", "test SIP/7.0\r\n", 505),
            ("test SIP/2.0\r\n", "test SIP/2.0 \r\n", 400),
            ("test SIP/2.0\r\n", "test SIP/2\r\n", 400),
            ("INVITE sip:bob", "INVITE  sip:bob", 400),
            ("INVITE sip", "IN\"VITE sip", 400),
            ("sip:bob@example.test SIP", "<sip:bob@example.test> SIP", 400),
            ("sip:bob@example.test SIP", "sip:bob@example.test; lr SIP", 400),
            ("sip:bob@example.test SIP", "sip:bob@example.test?Route=%3Csip:r%3E SIP", 400),
            ("sip:bob@example.test SIP", "nobodyKnowsThisScheme:totallyopaque SIP", 416),
            ("sip:bob@example.test SIP", "sip:2001:db8::10 SIP", 400),
            ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
            ("INVITE sip", "NEWMETHOD sip", 501),
            ("CSeq: 1 INVITE", "CSeq: 36893488147419103232 INVITE", 400),
            ("CSeq: 1 INVITE", "CSeq: 1 INVITE\r\nCSeq: 1 INVITE", 400),
            ("Call-ID: c1", "Call-ID: c1\r\ni: c2", 400),
            ("Call-ID: c1", "Call-ID:", 400),
            ("Call-ID: c1\r\n", "", 400),
            ("To: <sip:bob@example.test>", "To: \"Mr. Bob <sip:bob@example.test>", 400),
            ("To: <sip:bob@example.test>", "To: \"Bob\" < sip:bob@example.test>", 400),
            ("From: <", "From: Bell, Alexander <", 400),
            ("Max-Forwards: 70", "Max-Forwards: many", 400),
            ("Max-Forwards: 70", "Route: ;;\r\nMax-Forwards: 70", 400),
            ("Max-Forwards: 70", "Route: <tel:+4930>\r\nMax-Forwards: 70", 400),
            ("Max-Forwards: 70", "Route: <sip:h.test;lr>, <sip:a@h..test:x>\r\nMax-Forwards: 70", 400),
            ("<sip:al@h.test>\r\n\r\n", "sip:al@h.test?Route=%3Csip:r%3E\r\n\r\n", 400),
        ] {
            let request = GOOD.replacen(old, new, 1);
            assert_ne!(request, GOOD);
            assert_eq!(verdict(&request), status, "{new:?}");
        }
    }

    #[test]
    fn the_contacts_of_a_register_pass_as_they_came() {
        let register = GOOD.replace("INVITE", "REGISTER").replace("<sip:al@h.test>", "sip:al@h.test?Route=%3Csip:r%3E");

        assert_eq!(verdict(&register), 0);
    }

    #[test]
    fn a_response_must_lead_to_its_transaction() {
        let response = GOOD.replace("INVITE sip:bob@example.test SIP/2.0", "SIP/2.0 200 OK");

        assert!(parse(&response).validate_response().is_ok());
        assert!(parse(&response).validate_request().is_err());
        assert!(parse(&response.replace("CSeq: 1", "CSeq: 9292394834772304023312")).validate_response().is_err());
        assert!(parse(&response.replace("SIP/2.0 200", "SIP/3.0 200")).validate_response().is_err());
        assert!(parse(&response.replace("Via", "X")).validate_response().is_err());
    }

    fn verdict(request: &str) -> u16 {
        parse(request).validate_request().err().map_or(0, |fault| fault.status)
    }

    fn parse(message: &str) -> Message {
        Message::parse_datagram(Bytes::copy_from_slice(message.as_bytes())).unwrap()
    }
}
