//! Answers of our own: what a response takes from its request (RFC 3261 §8.2.6), copied as it came.

use bytes::Bytes;

use super::message::without_line_end;
use super::{Line, Message, Name};

/// Makes a response to this request: all `Via` lines, the first `From`, `To`, `Call-ID` and `CSeq` byte for byte, and no body.
///
/// `to_tag` is added where `To` can be read and has none. `extra` are further lines, name and value. A 100 takes the `Timestamp` along
/// (§8.2.6.1). It works for a malformed request as well, as far as that could be read.
#[must_use]
pub fn reply(request: &Message, status: u16, reason: &str, to_tag: Option<&[u8]>, extra: &[(&str, &str)]) -> Bytes {
    let mut out = Vec::with_capacity(request.as_bytes().len().min(2048) + 128);
    out.extend_from_slice(format!("SIP/2.0 {status} {reason}\r\n").as_bytes());
    for line in request.headers().filter(|line| line.kind == Name::Via) {
        push_line(&mut out, &line, None);
    }
    let first = |name: Name| request.headers().find(|line| line.kind == name);
    let tag_of_ours = to_tag.filter(|_| request.to().is_ok_and(|to| to.params.get(b"tag").is_none()));
    for (name, tag) in [(Name::From, None), (Name::To, tag_of_ours), (Name::CallId, None), (Name::CSeq, None)] {
        if let Some(line) = first(name) {
            push_line(&mut out, &line, tag);
        }
    }
    if let Some(line) = first(Name::Timestamp).filter(|_| status == 100) {
        push_line(&mut out, &line, None);
    }
    for (name, value) in extra {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out.into()
}

fn push_line(out: &mut Vec<u8>, line: &Line<'_>, tag: Option<&[u8]>) {
    let Some(tag) = tag else { return out.extend_from_slice(line.raw) };
    out.extend_from_slice(without_line_end(line.raw));
    out.extend_from_slice(b";tag=");
    out.extend_from_slice(tag);
    out.extend_from_slice(b"\r\n");
}

/// Returns the phrase that RFC 3261 §21 and its extensions give a status; their class where they give none.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        440 => "Max-Breadth Exceeded",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        101..200 => "Progress",
        201..300 => "Success",
        303..400 => "Redirection",
        402..500 => "Request Failure",
        506..600 => "Server Failure",
        _ => "Global Failure",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::super::salvage_for_reply;
    use super::*;

    #[test]
    fn a_reply_has_the_requests_own_lines() {
        let request = parse(
            b"INVITE sip:a SIP/2.0\r\nTo :\r\n  <sip:b@h.test>\r\nv:SIP/2.0/UDP h1.test\r\nMax-Forwards: 5\r\nTimestamp: 54\r\ni: c1\r\nFrom: sip:c@h.test;tag=1\r\n\
              Via: SIP/2.0/UDP h2.test\r\nCSeq:  7   INVITE\r\n\r\n",
        );

        let refused = reply(&request, 486, reason_phrase(486), Some(b"t1"), &[("Retry-After", "5")]);
        let trying = reply(&request, 100, "Trying", None, &[]);

        assert_eq!(
            refused,
            &b"SIP/2.0 486 Busy Here\r\nv:SIP/2.0/UDP h1.test\r\nVia: SIP/2.0/UDP h2.test\r\nFrom: sip:c@h.test;tag=1\r\nTo :\r\n  <sip:b@h.test>;tag=t1\r\n\
               i: c1\r\nCSeq:  7   INVITE\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"[..]
        );
        assert!(trying.ends_with(b"Timestamp: 54\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn a_tag_that_is_there_stays_the_only_one() {
        let request = parse(b"BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nt: <sip:b@h>;TAG=x\r\n\r\n");

        let answer = reply(&request, 481, "", Some(b"new"), &[]);

        assert_eq!(answer, &b"SIP/2.0 481 \r\nVia: SIP/2.0/UDP h\r\nt: <sip:b@h>;TAG=x\r\nContent-Length: 0\r\n\r\n"[..]);
    }

    #[test]
    fn of_doubled_fields_the_first_is_copied() {
        let broken = Bytes::from_static(
            b"BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 BYE\r\nCSeq: 2 BYE\r\nTo: \"x <sip:b@h>\r\nContent-Length: 13\r\nContent-Length: 5\r\n\r\n",
        );

        let answer = reply(&salvage_for_reply(&broken).unwrap(), 400, "Bad Request", Some(b"t"), &[]);

        assert_eq!(
            answer,
            &b"SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP h\r\nTo: \"x <sip:b@h>\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"[..]
        );
    }

    fn parse(bytes: &'static [u8]) -> Message {
        Message::parse_datagram(Bytes::from_static(bytes)).unwrap()
    }
}
