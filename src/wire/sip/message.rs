//! A SIP message as an index of its lines over the bytes that came.

use std::fmt;

use bytes::{Buf, Bytes};

use super::header::{ListRanges, digits, is_token, trim, trimmed};
use super::{CSeq, Malformed, Method, Name, NameAddr, Via};
use crate::limits::{SIP_HEADER_LINES, SIP_MESSAGE_BYTES};

/// A message as it came. The frame has been checked (start line, line ends, names, length of the body), no value has.
///
/// Reading costs one allocation, for the places of the lines; values are parsed when they are asked for. It is changed by
/// [`Edit`](super::Edit) alone, which makes new bytes and copies every line that it was not told to change.
#[derive(Clone)]
pub struct Message {
    /// From the first byte of the start line to the last of the body.
    bytes: Bytes,
    start: Start,
    lines: Vec<Span>,
    body_at: usize,
}

/// The first line of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'m> {
    /// `INVITE sip:… SIP/2.0`
    Request {
        /// The method.
        method: Method<'m>,
        /// The Request-URI as it came; not checked.
        uri: &'m [u8],
    },
    /// `SIP/2.0 200 OK`
    Response {
        /// The status code, 100 to 699.
        status: u16,
        /// The reason phrase as it came: often empty, any bytes.
        reason: &'m [u8],
    },
}

/// One header line, with all lines that it is folded over.
#[derive(Clone, Copy)]
pub struct Line<'m> {
    /// The name as it came.
    pub name: &'m [u8],
    /// Which field that is.
    pub kind: Name,
    /// The value: trimmed, folds within it left as they came.
    pub value: &'m [u8],
    /// The whole line, line end and folds included.
    pub raw: &'m [u8],
}

/// Where the start line's parts stand.
#[derive(Clone, Copy)]
enum Start {
    Request { method_end: u16, uri_end: u16, end: u16 },
    Response { status: u16, reason_at: u16, end: u16 },
}

/// Where a header line stands. A message has at most 65,535 bytes, so 16 bits are enough (8 bytes a line).
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u16,
    colon: u16,
    end: u16,
    pub(super) kind: Name,
}

impl Message {
    /// Reads the message of a UDP datagram.
    ///
    /// Line ends before the start line are skipped (RFC 3261 §7.5). A `Content-Length` below what is there cuts the rest off, and
    /// without one the body goes to the end (§18.3). A line may end in LF alone; it stays as it came.
    ///
    /// # Errors
    /// Where the frame is broken: no start line, no empty line, a line that is no header field, a bare CR, a length that is no number,
    /// that differs from another, or that is more than there is. A datagram of nothing but line ends is a keep-alive, see
    /// [`Malformed::is_keep_alive`].
    pub fn parse_datagram(bytes: Bytes) -> Result<Self, Malformed> {
        let mut message = Self::frame(bytes, Frame::Whole)?;
        let there = message.body().len();
        match message.content_length()? {
            None => {}
            Some(length) if length > there => return Err(Malformed::bad("Content-Length", "is more than the datagram holds")),
            Some(length) if length < there => message.bytes.truncate(message.body_at + length),
            Some(_) => {}
        }
        Ok(message)
    }

    /// Returns the first line.
    #[must_use]
    pub fn start(&self) -> StartLine<'_> {
        match self.start {
            Start::Request { method_end, uri_end, .. } => StartLine::Request {
                method: Method::of(self.slice(0, method_end.into())),
                uri: self.slice(usize::from(method_end) + 1, uri_end.into()),
            },
            Start::Response { status, reason_at, end } => {
                StartLine::Response { status, reason: without_line_end(self.slice(reason_at.into(), end.into())) }
            }
        }
    }

    /// Returns whether this is a request.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// Returns a request's method, or that of a response's `CSeq`; an empty `Other` where that cannot be read.
    #[must_use]
    pub fn method(&self) -> Method<'_> {
        match self.start() {
            StartLine::Request { method, .. } => method,
            StartLine::Response { .. } => self.cseq().map_or(Method::Other(b""), |cseq| cseq.method),
        }
    }

    /// Returns a request's Request-URI as it came, unchecked; nothing of a response.
    #[must_use]
    pub fn request_uri(&self) -> Option<&[u8]> {
        match self.start() {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// Returns a response's status.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// Returns the header lines in order.
    pub fn headers(&self) -> impl DoubleEndedIterator<Item = Line<'_>> {
        self.lines.iter().map(|span| self.line(span))
    }

    /// Returns every value of this field, in order; comma lists are split for fields that may have them.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |span| span.kind == name).flat_map(|span| {
            let value = self.line(span).value;
            let (split, whole) = if span.kind.is_list() { (value, None) } else { (&[][..], Some(value)) };
            ListRanges::new(split).filter_map(|range| split.get(range)).chain(whole)
        })
    }

    /// Returns the first value of this field.
    #[must_use]
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Returns the values of the lines with this name, in any case, unsplit: for fields that [`Name`] does not list.
    pub fn named<'m>(&'m self, name: &'m [u8]) -> impl Iterator<Item = &'m [u8]> {
        self.headers().filter(move |line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body_at..).unwrap_or_default()
    }

    /// Returns the message's bytes as they came, without what stood before and after it in the datagram.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the `Call-ID`.
    ///
    /// # Errors
    /// Where it is absent, empty or has white space in it.
    pub fn call_id(&self) -> Result<&[u8], Malformed> {
        let value = self.required(Name::CallId)?;
        if value.is_empty() || value.iter().any(|&b| b <= b' ' || b == 0x7f) {
            return Err(Malformed::bad(Name::CallId.as_str(), "is not one word"));
        }
        Ok(value)
    }

    /// Returns the `CSeq`.
    ///
    /// # Errors
    /// Where it is absent or malformed.
    pub fn cseq(&self) -> Result<CSeq<'_>, Malformed> {
        CSeq::parse(self.required(Name::CSeq)?)
    }

    /// Returns who sent the request.
    ///
    /// # Errors
    /// Where the field is absent or malformed.
    pub fn from(&self) -> Result<NameAddr<'_>, Malformed> {
        NameAddr::parse(self.required(Name::From)?, Name::From.as_str())
    }

    /// Returns whom the request was first meant for.
    ///
    /// # Errors
    /// Where the field is absent or malformed.
    pub fn to(&self) -> Result<NameAddr<'_>, Malformed> {
        NameAddr::parse(self.required(Name::To)?, Name::To.as_str())
    }

    /// Returns the first contact; none where the field is absent or the `*` of a REGISTER.
    ///
    /// # Errors
    /// Where it is malformed.
    pub fn contact(&self) -> Result<Option<NameAddr<'_>>, Malformed> {
        match self.value(Name::Contact) {
            None | Some(b"*") => Ok(None),
            Some(value) => NameAddr::parse(value, Name::Contact.as_str()).map(Some),
        }
    }

    /// Returns the topmost `Via`.
    ///
    /// # Errors
    /// Where there is none or it is malformed.
    pub fn top_via(&self) -> Result<Via<'_>, Malformed> {
        Via::parse(self.required(Name::Via)?)
    }

    /// Returns `Max-Forwards`; a number above 255 is as if there were none.
    ///
    /// # Errors
    /// Where it is not a number.
    pub fn max_forwards(&self) -> Result<Option<u8>, Malformed> {
        match self.value(Name::MaxForwards) {
            None => Ok(None),
            Some(value) if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => Ok(digits(value)),
            Some(_) => Err(Malformed::bad(Name::MaxForwards.as_str(), "is not a number")),
        }
    }

    /// Returns `Max-Breadth` (RFC 5393 §5.3.3); of a number above 255 that.
    ///
    /// # Errors
    /// Where it is not a number, or there more than once.
    pub fn max_breadth(&self) -> Result<Option<u8>, Malformed> {
        let bad = |what| Err(Malformed::bad(Name::MaxBreadth.as_str(), what));
        match self.value(Name::MaxBreadth) {
            None => Ok(None),
            Some(_) if self.count(Name::MaxBreadth) > 1 => bad("is there more than once"),
            Some(value) if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => Ok(digits(value).or(Some(u8::MAX))),
            Some(_) => bad("is not a number"),
        }
    }

    /// Returns the first value of a field that must be there.
    pub(super) fn required(&self, name: Name) -> Result<&[u8], Malformed> {
        self.value(name).ok_or_else(|| Malformed::bad(name.as_str(), "is missing"))
    }

    /// Returns how many lines have this field.
    pub(super) fn count(&self, name: Name) -> usize {
        self.lines.iter().filter(|span| span.kind == name).count()
    }

    /// Returns the start line with its line end.
    pub(super) fn start_raw(&self) -> &[u8] {
        match self.start {
            Start::Request { end, .. } | Start::Response { end, .. } => self.slice(0, end.into()),
        }
    }

    /// Returns the end of the head: the empty line as it came.
    pub(super) fn empty_line(&self) -> &[u8] {
        let start = self.lines.last().map_or_else(|| self.start_raw().len(), |span| span.end.into());
        self.slice(start, self.body_at)
    }

    /// Returns what follows the Request-URI in a request's first line, without the line end.
    pub(super) fn version(&self) -> &[u8] {
        match self.start {
            Start::Request { uri_end, end, .. } => without_line_end(self.slice(usize::from(uri_end) + 1, end.into())),
            Start::Response { .. } => self.slice(0, memchr::memchr(b' ', &self.bytes).unwrap_or_default()),
        }
    }

    fn line(&self, span: &Span) -> Line<'_> {
        let raw = self.slice(span.start.into(), span.end.into());
        let (name, value) = raw.split_at_checked(usize::from(span.colon - span.start)).unwrap_or_default();
        Line { name: trim(name), kind: span.kind, value: trim(value.get(1..).unwrap_or_default()), raw }
    }

    fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Returns the length that the message gives of its body.
    pub(super) fn content_length(&self) -> Result<Option<usize>, Malformed> {
        let mut known = None;
        for value in self.values(Name::ContentLength) {
            let length = digits::<usize>(value).ok_or(Malformed::bad("Content-Length", "is not a number"))?;
            if known.is_some_and(|known| known != length) {
                return Err(Malformed::bad("Content-Length", "has two values that differ"));
            }
            known = Some(length);
        }
        Ok(known)
    }

    pub(super) fn frame(mut bytes: Bytes, frame: Frame) -> Result<Self, Malformed> {
        let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if bytes.iter().skip(blank).all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0)) {
            return Err(Malformed::KEEP_ALIVE);
        }
        bytes.advance(blank);
        if bytes.len() > SIP_MESSAGE_BYTES {
            return Err(Malformed::bad("message", "is too long"));
        }
        let data = bytes.as_ref();
        let end = line_end(data, 0).map_err(|_| Malformed::bad("start line", "does not end"))?;
        let start = start_line(data.get(..end).unwrap_or_default())?;

        // Lines of real messages have 40 bytes and more: one allocation, seldom too small.
        let mut lines = Vec::with_capacity((data.len() / 32).min(SIP_HEADER_LINES));
        let mut at = end;
        let body_at = loop {
            if let Some(blank) = blank_line(data, at) {
                break at + blank;
            }
            match header_line(data, at) {
                Ok(span) => {
                    at = span.end.into();
                    lines.push(span);
                }
                Err(fault) if frame == Frame::Whole => return Err(fault),
                Err(_) => match next_line(data, at) {
                    Some(next) => at = next,
                    None => break data.len(),
                },
            }
            if lines.len() > SIP_HEADER_LINES {
                if frame == Frame::Whole {
                    return Err(Malformed::bad("header", "has too many lines"));
                }
                lines.truncate(SIP_HEADER_LINES);
                break data.len();
            }
        };
        Ok(Self { bytes, start, lines, body_at })
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.lines
    }
}

/// Two messages are the same where their bytes are.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

/// Shows the method or the status and the length, nothing of who is called.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} bytes", self.start(), self.bytes.len())
    }
}

/// Shows the method or the status.
impl fmt::Debug for StartLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { method, .. } => write!(f, "request {method:?}"),
            Self::Response { status, .. } => write!(f, "response {status}"),
        }
    }
}

/// Shows which field it is.
impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {:?}", self.kind)
    }
}

impl Span {
    /// Returns the line's bytes, and where its value stands in them, trimmed.
    pub(super) fn raw_and_value<'m>(&self, message: &'m Message) -> (&'m [u8], std::ops::Range<usize>) {
        let raw = message.slice(self.start.into(), self.end.into());
        let value = usize::from(self.colon - self.start) + 1;
        (raw, trimmed(raw, value..raw.len()))
    }
}

/// Returns what can still be read of a datagram that [`Message::parse_datagram`] refused, so that the peer can be told.
///
/// Lines that are no header fields are left out, the body is empty, and nothing but [`reply`](super::reply()) should be made of it.
/// `None` where it is no request, or has no `Via` that an answer could carry.
#[must_use]
pub fn salvage_for_reply(bytes: &Bytes) -> Option<Message> {
    let mut message = Message::frame(bytes.clone(), Frame::Salvage).ok()?;
    message.bytes.truncate(message.body_at);
    (message.is_request() && message.count(Name::Via) > 0).then_some(message)
}

/// Whether a frame must be whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Whole,
    Salvage,
}

/// Returns where the line that goes on at `at` ends, its CRLF or LF included.
fn line_end(data: &[u8], at: usize) -> Result<usize, Malformed> {
    let rest = data.get(at..).unwrap_or_default();
    let end = memchr::memchr2(b'\r', b'\n', rest).ok_or(Malformed::bad("header", "has no empty line at its end"))?;
    match rest.get(end..) {
        Some([b'\n', ..]) => Ok(at + end + 1),
        Some([b'\r', b'\n', ..]) => Ok(at + end + 2),
        // Some parsers take it for a line end and others do not: the one message would be two.
        Some(_) | None => Err(Malformed::bad("header", "has a CR without its LF")),
    }
}

/// Returns the place after the next LF, whatever the line is.
fn next_line(data: &[u8], at: usize) -> Option<usize> {
    memchr::memchr(b'\n', data.get(at..)?).map(|end| at + end + 1)
}

/// Returns the length of an empty line that stands here.
pub(super) fn blank_line(data: &[u8], at: usize) -> Option<usize> {
    match data.get(at..) {
        Some([b'\n', ..]) => Some(1),
        Some([b'\r', b'\n', ..]) => Some(2),
        Some(_) | None => None,
    }
}

fn header_line(data: &[u8], at: usize) -> Result<Span, Malformed> {
    let rest = data.get(at..).unwrap_or_default();
    let name_len = rest.iter().take_while(|&&b| is_token(b)).count();
    // White space before the colon is in the grammar (RFC 3261 §25.1, HCOLON), and the name is the same name.
    let blanks = rest.iter().skip(name_len).take_while(|b| matches!(b, b' ' | b'\t')).count();
    let colon = name_len + blanks;
    if name_len == 0 || rest.get(colon) != Some(&b':') {
        // The end of the datagram rather than a bad name.
        line_end(data, at)?;
        return Err(Malformed::bad("header", "has a line that is no field"));
    }
    let mut end = line_end(data, at + colon)?;
    while let Some(b' ' | b'\t') = data.get(end) {
        end = line_end(data, end)?;
    }
    let kind = Name::of(rest.get(..name_len).unwrap_or_default());
    Ok(Span { start: place(at), colon: place(at + colon), end: place(end), kind })
}

/// Finds the parts of a first line. What may be wrong with method, URI and version is for `validate_request` to say.
fn start_line(line: &[u8]) -> Result<Start, Malformed> {
    let text = without_line_end(line);
    let end = place(line.len());
    let first = memchr::memchr(b' ', text);
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        let status_at = first.unwrap_or(text.len()) + 1;
        let status = digits(text.get(status_at..status_at + 3).unwrap_or_default());
        let status = status.filter(|status| (100..700).contains(status)).ok_or(Malformed::bad("start line", "has no status"))?;
        return match text.get(status_at + 3) {
            // The space before an empty reason phrase is often forgotten.
            None => Ok(Start::Response { status, reason_at: place(status_at + 3), end }),
            Some(b' ') => Ok(Start::Response { status, reason_at: place(status_at + 4), end }),
            Some(_) => Err(Malformed::bad("start line", "has no status")),
        };
    }
    let last = memchr::memrchr(b' ', text);
    let begins_blank = matches!(text.first(), Some(b' ' | b'\t' | 0));
    match (first, last) {
        // What begins with a space has no method; it may be all that is left of a keep-alive.
        (Some(first), Some(last)) if first < last && !begins_blank => {
            Ok(Start::Request { method_end: place(first), uri_end: place(last), end })
        }
        (Some(_) | None, Some(_) | None) => Err(Malformed::bad("start line", "is neither a request's nor a response's")),
    }
}

pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

const _: () = assert!(SIP_MESSAGE_BYTES <= u16::MAX as usize, "a place in a message has 16 bits");

/// A place in a message. Its length has been checked, so the fallback is never taken.
fn place(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_start_line_begins_with_a_method() {
        for start in ["  ", "\t  ", "\0  ", " INVITE sip:a SIP/2.0", "INVITE", "INVITE sip:a"] {
            let datagram = Bytes::from(format!("{start}\r\nVia: SIP/2.0/UDP h\r\n\r\n"));
            let fault = Message::parse_datagram(datagram).unwrap_err();
            assert_eq!(fault.to_string(), "start line is neither a request's nor a response's", "{start:?}");
        }
    }

    #[test]
    fn a_message_is_lines_over_the_bytes_that_came() {
        let message = parse(
            b"OPTIONS sip:a@b.test SIP/2.0\r\nv: SIP/2.0/UDP h1.test\r\nX-Odd \t:  one\r\n  two \r\nVIA:SIP/2.0/UDP h2.test , SIP/2.0/TCP h3.test\r\n\
              Subject:\r\n\r\nbody",
        )
        .unwrap();

        let lines: Vec<_> = message.headers().map(|line| (line.name, line.kind, line.value)).collect();
        assert_eq!(lines[1], (&b"X-Odd"[..], Name::Other, &b"one\r\n  two"[..]));
        assert_eq!(lines[3], (&b"Subject"[..], Name::Subject, &b""[..]));
        assert_eq!(message.headers().nth(1).unwrap().raw, b"X-Odd \t:  one\r\n  two \r\n");
        let vias: Vec<_> = message.values(Name::Via).collect();
        assert_eq!(vias, [&b"SIP/2.0/UDP h1.test"[..], b"SIP/2.0/UDP h2.test", b"SIP/2.0/TCP h3.test"]);
        assert_eq!(message.named(b"x-odd").count(), 1);
        assert_eq!((message.method(), message.body()), (Method::Options, &b"body"[..]));
    }

    #[test]
    fn line_ends_before_the_start_line_are_no_part_of_the_message() {
        let message = parse(b"\r\n\r\nBYE sip:a SIP/2.0\r\n\r\n").unwrap();

        assert_eq!(message.as_bytes(), &b"BYE sip:a SIP/2.0\r\n\r\n"[..]);
    }

    #[test]
    fn a_datagram_without_a_word_is_a_keep_alive() {
        for bytes in [&b""[..], b"\r\n\r\n", b"\r\n", b" \r\n", b"\0\0\0\0"] {
            assert!(parse(bytes).unwrap_err().is_keep_alive(), "{bytes:?}");
        }
        assert!(!parse(b"x").unwrap_err().is_keep_alive());
    }

    #[test]
    fn a_response_has_a_status_of_three_digits_and_any_phrase() {
        for (line, reason) in [
            (&b"SIP/2.0 200 = 2**3 * \xd0\xbf \r\n"[..], &b"= 2**3 * \xd0\xbf "[..]),
            (b"SIP/2.0 100 \r\n", b""),
            (b"sip/2.0 100\n", b""),
        ] {
            let message = parse(&[line, b"CSeq: 1 INVITE\r\n\r\n"].concat()).unwrap();
            assert!(
                matches!(message.start(), StartLine::Response { reason: came, .. } if came == reason),
                "{}",
                line.escape_ascii()
            );
            assert_eq!(message.method(), Method::Invite);
        }
        for line in
            [&b"SIP/2.0 4294967301 x\r\n\r\n"[..], b"SIP/2.0 20 x\r\n\r\n", b"SIP/2.0 700 x\r\n\r\n", b"SIP/2.0  200 x\r\n\r\n"]
        {
            assert!(parse(line).is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn content_length_cuts_what_follows_the_body() {
        let message = parse(b"BYE sip:a SIP/2.0\r\nl: 3\r\n\r\nabcINVITE sip:b SIP/2.0\r\n\r\n").unwrap();

        assert_eq!(message.body(), b"abc");
        assert_eq!(message.as_bytes(), &b"BYE sip:a SIP/2.0\r\nl: 3\r\n\r\nabc"[..]);
    }

    #[test]
    fn a_content_length_that_is_no_length_is_refused() {
        for length in
            ["-1", "+5", "5 5", "0x10", "1e3", "five", "", "5,5", "4294967328", "18446744073709551621", "6", "5\r\nl: 4"]
        {
            let bytes = format!("BYE sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\nabcde");
            assert_eq!(parse(bytes.as_bytes()).unwrap_err().field, "Content-Length", "{length}");
        }
        for length in ["5", "0005", "\r\n 5", "5\r\nl:5"] {
            let bytes = format!("BYE sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\nabcde");
            assert_eq!(parse(bytes.as_bytes()).unwrap().body(), b"abcde", "{length}");
        }
    }

    #[test]
    fn a_frame_that_two_parsers_could_read_in_two_ways_is_refused() {
        for bytes in [
            &b"BYE sip:a SIP/2.0\r\nTo: x"[..],
            b"BYE sip:a SIP/2.0\r\nTo: x\r\n",
            b"BYE sip:a SIP/2.0\r\nTo: x\rRoute: y\r\n\r\n",
            b"BYE sip:a SIP/2.0\r\nTo\r\n\r\n",
            b"BYE sip:a SIP/2.0\r\n folded: start\r\n\r\n",
            b"BYE sip:a SIP/2.0\r\n: no name\r\n\r\n",
            b"BYE sip:a SIP/2.0\r\nX\0Y: z\r\n\r\n",
            b"BYE sip:a SIP/2.0\r\nX\r\n : z\r\n\r\n",
            b"BYE SIP/2.0\r\n\r\n",
            b"hello\r\n\r\n",
        ] {
            assert_eq!(parse(bytes).unwrap_err().status, 400, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_line_may_end_in_lf_alone() {
        let message = parse(b"BYE sip:a SIP/2.0\nTo: x\n y\nFrom: z\n\nbody\r\n").unwrap();

        assert_eq!((message.value(Name::To), message.body()), (Some(&b"x\n y"[..]), &b"body\r\n"[..]));
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let many = |lines: usize| [&b"BYE sip:a SIP/2.0\r\n"[..], &b"a:\r\n".repeat(lines), b"\r\n"].concat();

        assert!(parse(&many(SIP_HEADER_LINES)).is_ok());
        assert_eq!(parse(&many(SIP_HEADER_LINES + 1)).unwrap_err().what, "has too many lines");
    }

    #[test]
    fn max_forwards_above_255_is_as_if_absent() {
        let hops =
            |value: &str| parse(format!("BYE sip:a SIP/2.0\r\nMax-Forwards: {value}\r\n\r\n").as_bytes()).unwrap().max_forwards();

        assert_eq!((hops("0068"), hops("300"), hops("99999999999999999999999")), (Ok(Some(68)), Ok(None), Ok(None)));
        assert!(hops("-1").is_err() && hops("").is_err());
    }

    #[test]
    fn nothing_of_a_message_is_printed_by_debug() {
        let message = parse(b"INVITE sip:+4930@h.test SIP/2.0\r\nTo: <sip:+4930@h.test>\r\n\r\n").unwrap();

        let shown = format!("{message:?} {:?} {:?} {:?}", message.to(), message.start(), message.headers().next());
        assert!(!shown.contains("4930"), "{shown}");
    }

    #[test]
    fn what_can_be_read_of_a_broken_request_is_salvaged() {
        let broken = Bytes::from_static(
            b"\r\nBYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nno field\r\nCall-ID: 1\r\nContent-Length: 99\r\nTo: cut of",
        );
        let salvaged = salvage_for_reply(&broken).unwrap();

        let kinds: Vec<_> = salvaged.headers().map(|line| line.kind).collect();
        assert_eq!(kinds, [Name::Via, Name::CallId, Name::ContentLength]);
        assert!(salvage_for_reply(&Bytes::from_static(b"BYE sip:a SIP/2.0\r\nTo: x\r\n\r\n")).is_none(), "nowhere to answer to");
        assert!(
            salvage_for_reply(&Bytes::from_static(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n")).is_none(),
            "responses are not answered"
        );
    }

    fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
        Message::parse_datagram(Bytes::copy_from_slice(bytes))
    }
}
