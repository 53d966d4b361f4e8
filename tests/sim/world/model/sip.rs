//! A SIP message as the model reads it (RFC 3261 §7): the start line, the few fields it needs, the body.

/// What can be read of one message. Borrowed from the datagram.
pub(super) struct Message<'a> {
    pub(super) start: Start<'a>,
    pub(super) call_id: &'a str,
    pub(super) from: Party<'a>,
    pub(super) to: Party<'a>,
    pub(super) cseq: u32,
    /// The method of the request, or of the request that this answers.
    pub(super) method: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    /// The seconds of `Session-Expires` (RFC 4028).
    pub(super) session_expires: Option<u32>,
    /// The header ended, the body is as long as it says, and `CSeq` has the request's method. Where not, the box may refuse it.
    pub(super) whole: bool,
}

/// The start line.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Request { user: &'a str },
    Response { status: u16 },
}

/// `From` or `To`; both are empty where they are not there.
#[derive(Clone, Copy, Default)]
pub(super) struct Party<'a> {
    pub(super) user: &'a str,
    pub(super) tag: &'a str,
}

impl<'a> Message<'a> {
    /// Reads a datagram, cut ones as far as they go; `None` where not even a start line, `Call-ID` and `CSeq` can be read.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut lines = Lines { rest: bytes, was_whole: true };
        let first = lines.next()?;
        let (mut call_id, mut cseq, mut length, mut content_type, mut session_expires) = (None, None, None, "", None);
        let (mut from, mut to) = (Party::default(), Party::default());
        let mut ended = false;
        while let Some(line) = lines.next() {
            let is_whole = lines.was_whole;
            if line.is_empty() {
                ended = is_whole;
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim_end().to_ascii_lowercase().as_str() {
                "call-id" | "i" if call_id.is_none() => call_id = Some(value),
                "cseq" if cseq.is_none() => cseq = value.split_once([' ', '\t']).map(|(n, m)| (n.parse().ok(), m.trim())),
                "from" | "f" if from.tag.is_empty() => from = Party::read(value),
                "to" | "t" if to.tag.is_empty() => to = Party::read(value),
                "content-type" | "c" => content_type = value,
                "content-length" | "l" => length = Some(value),
                "session-expires" | "x" => session_expires = value.split(';').next().and_then(|s| s.trim().parse().ok()),
                _ => {}
            }
        }
        let (number, method) = cseq?;
        let (start, own_method) = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => (Start::Response { status: status.get(..3)?.parse().ok()? }, method),
            None => {
                let (own, rest) = first.split_once(' ')?;
                (Start::Request { user: user_of(rest.split(' ').next()?) }, own)
            }
        };
        let body = lines.rest;
        let length = length.map_or(Some(body.len()), |text| text.parse().ok());
        let whole = ended && own_method == method && length.is_some_and(|length| length <= body.len());
        let body = length.and_then(|length| body.get(..length)).unwrap_or(body);
        Some(Self {
            start,
            call_id: call_id?,
            from,
            to,
            cseq: number?,
            method: own_method,
            content_type,
            body,
            session_expires,
            whole,
        })
    }

    pub(super) const fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// For people: `request`, or the status.
    pub(super) fn kind(&self) -> String {
        match self.start {
            Start::Request { .. } => "request".to_owned(),
            Start::Response { status } => format!("{status} to"),
        }
    }

    /// Returns the SDP that it carries, also as a part of a multipart body.
    pub(super) fn sdp(&self) -> Option<&'a [u8]> {
        let kind = self.content_type.to_ascii_lowercase();
        if kind.starts_with("application/sdp") {
            return (!self.body.is_empty()).then_some(self.body);
        }
        if !kind.starts_with("multipart/") {
            return None;
        }
        let begin = find(self.body, b"\nv=0")? + 1;
        let part = self.body.get(begin..)?;
        part.get(..find(part, b"\r\n--").unwrap_or(part.len()))
    }

    /// Returns the key that an INFO says was pressed: `Signal=5` of `application/dtmf-relay`, or the bare digit of
    /// `application/dtmf`.
    pub(super) fn key(&self) -> Option<char> {
        let body = std::str::from_utf8(self.body).ok()?;
        let kind = self.content_type.split(';').next()?.trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/dtmf-relay" => {
                let line = body.lines().find(|line| line.to_ascii_lowercase().starts_with("signal"))?;
                line.split_once('=')?.1.trim().chars().next()
            }
            "application/dtmf" => body.trim().chars().next(),
            _ => None,
        }
    }
}

impl<'a> Party<'a> {
    /// Reads `"Name" <sip:user@host>;tag=x` or `sip:user@host;tag=x`.
    fn read(value: &'a str) -> Self {
        let (uri, rest) = match value.split_once('<') {
            Some((_, after)) => after.split_once('>').unwrap_or((after, "")),
            None => value.split_once(';').unwrap_or((value, "")),
        };
        let tag = rest.split(';').find_map(|parameter| parameter.trim().strip_prefix("tag="));
        Self { user: user_of(uri), tag: tag.unwrap_or_default().trim() }
    }
}

/// Returns the user part of a SIP or tel URI, without its parameters.
fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let user = rest.split_once('@').map_or(rest, |(user, _)| user);
    user.split(';').next().unwrap_or_default()
}

/// The lines of a header; a folded line is one with the line it continues. Lines that are not UTF-8 are passed over.
struct Lines<'a> {
    rest: &'a [u8],
    /// The line that was read last had a line end.
    was_whole: bool,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let mut end = 0;
            loop {
                end += self.rest.get(end..)?.iter().position(|&byte| byte == b'\n').unwrap_or(self.rest.len() - end);
                let folds = end > 1 && matches!(self.rest.get(end + 1), Some(b' ' | b'\t'));
                if !folds {
                    break;
                }
                end += 1;
            }
            let line = self.rest.get(..end)?;
            self.was_whole = end < self.rest.len();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if let Ok(line) = std::str::from_utf8(line) {
                return Some(line.strip_suffix('\r').unwrap_or(line));
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
