//! SIP as the phones read and write it: a small forgiving reader and a writer, on purpose not the product's.

use std::fmt::Write as _;

use bytes::Bytes;

use super::sdp::ENDLESS;

/// A message that came from the box.
pub(super) struct Heard<'a> {
    pub(super) start: Start<'a>,
    lines: Vec<(&'a str, &'a str)>,
    pub(super) body: &'a str,
}

/// What its first line says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start<'a> {
    Request { method: &'a str, uri: &'a str },
    Response { status: u16 },
}

impl<'a> Heard<'a> {
    /// Reads a message, or nothing where it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.splitn(3, ' ');
        let (first, second) = (words.next()?, words.next()?);
        let start = if first == "SIP/2.0" {
            Start::Response { status: second.parse().ok()? }
        } else {
            Start::Request { method: first, uri: second }
        };
        let lines: Vec<_> =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let heard = Self { start, lines, body };
        // A datagram that was cut on its way is as good as lost (RFC 3261 §18.3).
        let length = heard.first("Content-Length").and_then(|length| length.parse::<usize>().ok())?;
        (body.len() >= length).then_some(heard)
    }

    /// Returns the first value of this name.
    pub(super) fn first(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Returns all values of this name, in order; those on one line are not taken apart.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    /// Returns the tag of `From` or `To`.
    pub(super) fn tag(&self, name: &str) -> Option<&'a str> {
        parameter(self.first(name)?, "tag")
    }

    /// Returns the branch of the topmost `Via`.
    pub(super) fn branch(&self) -> Option<&'a str> {
        parameter(self.first("Via")?, "branch")
    }

    /// Returns number and method of `CSeq`.
    pub(super) fn cseq(&self) -> Option<(u32, &'a str)> {
        let (number, method) = self.first("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// Returns the URI of `Contact`.
    pub(super) fn contact(&self) -> Option<&'a str> {
        let value = self.first("Contact")?;
        Some(value.split_once('<').map_or(value, |(_, rest)| rest.split('>').next().unwrap_or(rest)))
    }

    /// Returns the values of `Record-Route`, topmost first.
    pub(super) fn record_route(&self) -> impl Iterator<Item = &'a str> {
        self.all("Record-Route").flat_map(|line| line.split(',')).map(str::trim)
    }
}

fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    // Behind the URI, whose own parameters stand within the brackets.
    let after = value.rsplit_once('>').map_or(value, |(_, after)| after);
    after
        .split(';')
        .find_map(|part| part.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)))
        .map(|(_, v)| v)
}

/// Ends a message: the kind of its body where it has one, the length, the body.
pub(super) fn finish(mut text: String, kind: &str, body: &str) -> Bytes {
    if !body.is_empty() {
        push(&mut text, "Content-Type", kind);
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).expect(ENDLESS);
    Bytes::from(text)
}

/// Adds a line.
pub(super) fn push(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(": ");
    text.push_str(value);
    text.push_str("\r\n");
}

/// Makes of an INVITE that was sent the ACK to a refusal, or the CANCEL: the same branch, and the answer's `To` in an ACK.
pub(super) fn hop_by_hop(invite: &[u8], method: &str, to: Option<&str>) -> Option<Bytes> {
    let heard = Heard::read(invite)?;
    let Start::Request { uri, .. } = heard.start else { return None };
    let (number, _) = heard.cseq()?;
    let mut text = format!("{method} {uri} SIP/2.0\r\n");
    for name in ["Via", "Max-Forwards", "Route", "From", "To", "Call-ID"] {
        let values = heard.all(name).take(if name == "Via" { 1 } else { usize::MAX });
        for value in values {
            push(&mut text, name, if name == "To" { to.unwrap_or(value) } else { value });
        }
    }
    push(&mut text, "CSeq", &format!("{number} {method}"));
    Some(finish(text, "", ""))
}

/// The phrase beside a status.
pub(super) const fn phrase(status: u16) -> &'static str {
    match status {
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        401 => "Unauthorized",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        603 => "Decline",
        _ => "So",
    }
}
