//! Requests that live for one hop: the ACK to a refusal (RFC 3261 §17.1.1.3) and our CANCEL (§9.1), made from the INVITE that was sent.

use bytes::Bytes;

use crate::wire::sip::{Message, Method, Name};

/// Returns the ACK to a refusal of our INVITE: its `To` is the refusal's.
pub(super) fn ack(invite: &Message, refusal: &Message) -> Bytes {
    request(Method::Ack, invite, refusal)
}

/// Returns the CANCEL of our INVITE.
pub(super) fn cancel(invite: &Message) -> Bytes {
    request(Method::Cancel, invite, invite)
}

/// Request-URI, From, Call-ID, CSeq number, Route and the topmost Via are the INVITE's, byte for byte where that can be.
fn request(method: Method<'_>, invite: &Message, to_of: &Message) -> Bytes {
    let mut out = Vec::with_capacity(512);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    put(&[method.as_bytes(), b" ", invite.request_uri().unwrap_or_default(), b" SIP/2.0\r\nVia: "]);
    put(&[invite.value(Name::Via).unwrap_or_default(), b"\r\n"]);
    for line in invite.headers().filter(|line| line.kind == Name::Route) {
        put(&[line.raw]);
    }
    put(&[b"Max-Forwards: 70\r\n"]);
    for (name, source) in [(Name::From, invite), (Name::To, to_of), (Name::CallId, invite)] {
        if let Some(line) = source.headers().find(|line| line.kind == name) {
            put(&[line.raw]);
        }
    }
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    put(&[format!("CSeq: {number} ").as_bytes(), method.as_bytes(), b"\r\nContent-Length: 0\r\n\r\n"]);
    out.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP us.test;branch=z9hG4bK1, SIP/2.0/UDP them.test\r\n\
        Via: SIP/2.0/UDP far.test\r\nf:  <sip:a@h.test>;tag=1\r\nTo: <sip:b@h.test>\r\nRoute: <sip:r1.test;lr>,\r\n <sip:r2.test;lr>\r\n\
        Proxy-Require: x\r\nRequire: y\r\ni: c1\r\nCSeq: 007 INVITE\r\nMax-Forwards: 3\r\n\r\nbody";

    #[test]
    fn an_ack_to_a_refusal_has_the_invites_lines_and_the_refusals_to() {
        let refusal = parse("SIP/2.0 486 Busy\r\nt :<sip:b@h.test>\r\n ;tag=9\r\n\r\n");

        assert_eq!(
            String::from_utf8_lossy(&ack(&parse(INVITE), &refusal)),
            "ACK sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP us.test;branch=z9hG4bK1\r\nRoute: <sip:r1.test;lr>,\r\n <sip:r2.test;lr>\r\n\
             Max-Forwards: 70\r\nf:  <sip:a@h.test>;tag=1\r\nt :<sip:b@h.test>\r\n ;tag=9\r\ni: c1\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_cancel_has_one_via_and_neither_require_nor_proxy_require() {
        assert_eq!(
            String::from_utf8_lossy(&cancel(&parse(INVITE))),
            "CANCEL sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP us.test;branch=z9hG4bK1\r\nRoute: <sip:r1.test;lr>,\r\n <sip:r2.test;lr>\r\n\
             Max-Forwards: 70\r\nf:  <sip:a@h.test>;tag=1\r\nTo: <sip:b@h.test>\r\ni: c1\r\nCSeq: 7 CANCEL\r\nContent-Length: 0\r\n\r\n"
        );
    }

    fn parse(message: &str) -> Message {
        Message::parse_datagram(Bytes::copy_from_slice(message.as_bytes())).unwrap()
    }
}
