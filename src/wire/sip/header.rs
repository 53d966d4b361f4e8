//! Values of header fields, parsed on demand: name-addr, Via, CSeq, parameters and comma lists.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use super::{Malformed, Method, Scheme, Uri};

/// Returns the values of a comma list, trimmed, without empty ones; commas in quotes and in `<>` part nothing.
pub fn list(values: &[u8]) -> impl Iterator<Item = &[u8]> {
    ListRanges::new(values).filter_map(|range| values.get(range))
}

/// The places of a comma list's values.
pub(super) struct ListRanges<'m> {
    whole: &'m [u8],
    at: usize,
}

impl<'m> ListRanges<'m> {
    pub(super) const fn new(whole: &'m [u8]) -> Self {
        Self { whole, at: 0 }
    }
}

impl Iterator for ListRanges<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while self.at < self.whole.len() {
            let start = self.at;
            let end = find_outside(self.whole, start, b',', Brackets::Protect);
            self.at = end + 1;
            let range = trimmed(self.whole, start..end);
            if !range.is_empty() {
                return Some(range);
            }
        }
        None
    }
}

/// Whether `<>` hides what stands in it, as `""` always does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brackets {
    Protect,
    Plain,
}

/// Returns where `wanted` stands next outside of quotes, or the end.
fn find_outside(whole: &[u8], from: usize, wanted: u8, brackets: Brackets) -> usize {
    // Nothing hides what comes before the first quote or bracket, and most values have none.
    let rest = whole.get(from..).unwrap_or_default();
    let first = memchr::memchr(wanted, rest).unwrap_or(rest.len());
    let before = rest.get(..first).unwrap_or_default();
    let hides = if brackets == Brackets::Protect { memchr::memchr2(b'"', b'<', before) } else { memchr::memchr(b'"', before) };
    if hides.is_none() {
        return from + first;
    }
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for (at, &byte) in whole.iter().enumerate().skip(from) {
        if escaped {
            escaped = false;
        } else if quoted {
            escaped = byte == b'\\';
            quoted = byte != b'"';
        } else if byte == wanted && !bracketed {
            return at;
        } else if byte == b'"' && !bracketed {
            quoted = true;
        } else if brackets == Brackets::Protect {
            bracketed = (bracketed || byte == b'<') && byte != b'>';
        }
    }
    whole.len()
}

/// White space of a header's value: LWS, where a fold has been left as it came.
pub(super) const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Returns the range without white space at either end.
pub(super) fn trimmed(whole: &[u8], range: Range<usize>) -> Range<usize> {
    let slice = whole.get(range.clone()).unwrap_or_default();
    let Some(first) = slice.iter().position(|&b| !is_lws(b)) else { return range.start..range.start };
    let last = slice.iter().rposition(|&b| !is_lws(b)).unwrap_or(first);
    range.start + first..range.start + last + 1
}

pub(super) fn trim(slice: &[u8]) -> &[u8] {
    slice.get(trimmed(slice, 0..slice.len())).unwrap_or_default()
}

const fn ascii_set(alphanumeric: bool, others: &[u8]) -> u128 {
    let mut set = 0;
    let mut byte = 0_u8;
    while alphanumeric && byte < 128 {
        if byte.is_ascii_alphanumeric() {
            set |= 1 << byte;
        }
        byte += 1;
    }
    let mut rest = others;
    while let [first, tail @ ..] = rest {
        set |= 1 << *first;
        rest = tail;
    }
    set
}

/// Returns whether the byte may stand in a `token` (RFC 3261 §25.1).
pub(super) const fn is_token(byte: u8) -> bool {
    const TOKEN: u128 = ascii_set(true, b"-.!%*_+`'~");
    byte < 128 && TOKEN >> byte & 1 == 1
}

/// Returns the number that these digits are: no sign, no space, nothing but digits, and no wrapping.
pub(super) fn digits<N: TryFrom<u64>>(text: &[u8]) -> Option<N> {
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    N::try_from(number).ok()
}

/// Parameters: `;name=value` or `;name`, as they follow a URI, a name-addr or a Via.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'m> {
    /// From the first `;` to the end, or nothing.
    raw: &'m [u8],
}

impl<'m> Params<'m> {
    pub(super) const fn new(raw: &'m [u8]) -> Self {
        Self { raw }
    }

    /// Returns the parameters as they came, from the first `;`.
    #[must_use]
    pub const fn as_bytes(self) -> &'m [u8] {
        self.raw
    }

    /// Returns the names and values in order; a value in quotes keeps them.
    pub fn iter(self) -> impl Iterator<Item = (&'m [u8], Option<&'m [u8]>)> {
        self.ranges().map(move |param| {
            let slice = |range: Range<usize>| self.raw.get(range).unwrap_or_default();
            (slice(param.name), param.value.map(slice))
        })
    }

    /// Returns the parameter of this name, in any case: `Some(None)` where it has no value.
    #[must_use]
    pub fn get(self, name: &[u8]) -> Option<Option<&'m [u8]>> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the value of this parameter, where it has one.
    #[must_use]
    pub fn value(self, name: &[u8]) -> Option<&'m [u8]> {
        self.get(name).flatten()
    }

    pub(super) fn ranges(self) -> impl Iterator<Item = ParamRange> + use<'m> {
        let raw = self.raw;
        let mut at = 1;
        std::iter::from_fn(move || {
            if at > raw.len() || raw.is_empty() {
                return None;
            }
            let whole = at..find_outside(raw, at, b';', Brackets::Plain);
            at = whole.end + 1;
            let equals = find_outside(raw.get(..whole.end).unwrap_or_default(), whole.start, b'=', Brackets::Plain);
            let name = trimmed(raw, whole.start..equals);
            let value = (equals < whole.end).then(|| trimmed(raw, equals + 1..whole.end));
            Some(ParamRange { name, value })
        })
    }

    /// Returns whether each is a token, alone or with a value that is in quotes or has no space: what `;;` is not.
    pub(super) fn is_well_formed(self) -> bool {
        self.raw.first().is_none_or(|&first| first == b';')
            && self
                .iter()
                .all(|(name, value)| !name.is_empty() && name.iter().all(|&b| is_token(b)) && value.is_none_or(is_param_value))
    }
}

/// Shows nothing of what they say.
impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters [private]")
    }
}

/// Where one parameter stands in `Params::as_bytes`.
pub(super) struct ParamRange {
    pub(super) name: Range<usize>,
    pub(super) value: Option<Range<usize>>,
}

/// A token, a host (also IPv6, with and without its brackets), or a quoted string. What is no token but cannot be misread, as the
/// `=` of base64, is let through.
fn is_param_value(value: &[u8]) -> bool {
    match value {
        [] => false,
        [b'"', ..] => quoted_end(value) == Some(value.len()),
        plain => !plain.iter().any(|b| matches!(b, 0..=b' ' | 0x7f | b'"' | b'<' | b'>' | b',')),
    }
}

/// Returns the place after a quoted string that begins the slice, or nothing where it does not end.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The value of From, To, Contact, Route and their like: `display <uri>;params` or `uri;params`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'m> {
    /// The display name as it came, quotes and escapes included; often empty.
    pub display: &'m [u8],
    /// The URI without its `<>`.
    pub uri: &'m [u8],
    /// The field's parameters, not the URI's.
    pub params: Params<'m>,
}

impl<'m> NameAddr<'m> {
    /// Parses one value; `field` is the name that an error gives.
    ///
    /// A display name may lack the space before `<` (RFC 4475 §3.1.1.6) and may hold bytes above 127.
    ///
    /// # Errors
    /// Where the quotes or the `<>` do not close, the URI has no scheme or holds white space, a display name without quotes holds
    /// more than words, or a parameter is empty.
    pub fn parse(value: &'m [u8], field: &'static str) -> Result<Self, Malformed> {
        let bad = |what| Err(Malformed::bad(field, what));
        let value = trim(value);
        let open = if value.first() == Some(&b'"') {
            let Some(end) = quoted_end(value) else { return bad("has a quote that does not end") };
            let blanks = value.iter().skip(end).take_while(|&&b| is_lws(b)).count();
            if value.get(end + blanks) != Some(&b'<') {
                return bad("has no < after its quoted name");
            }
            Some(end + blanks)
        } else {
            match value.iter().position(|b| matches!(b, b'<' | b';' | b'"')) {
                Some(at) if value.get(at) == Some(&b'<') => Some(at),
                Some(at) if value.get(at) == Some(&b'"') => return bad("has a quote where none may stand"),
                Some(_) | None => None,
            }
        };
        let (display, uri, rest) = match open {
            Some(open) => {
                let (display, inside) = value.split_at(open);
                let inside = inside.get(1..).unwrap_or_default();
                let Some(close) = memchr::memchr(b'>', inside) else { return bad("has a < that does not close") };
                (trim(display), inside.get(..close).unwrap_or_default(), inside.get(close + 1..).unwrap_or_default())
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                let (uri, rest) = value.split_at(end);
                // RFC 3261 §20: a URI with a comma, a question mark or a semicolon MUST stand in <>.
                if uri.iter().any(|b| matches!(b, b'?' | b',')) {
                    return bad("has a URI that must stand in <>");
                }
                (&[][..], trim(uri), rest)
            }
        };
        if !display.starts_with(b"\"")
            && display.iter().any(|b| matches!(b, b',' | b';' | b'>' | b'\\' | 0..9 | 0x0e..0x20 | 0x7f))
        {
            return bad("has a name that must be quoted");
        }
        if !Uri::has_scheme(uri) {
            return bad("has no URI");
        }
        if uri.iter().any(|&b| matches!(b, 0..=b' ' | 0x7f | b'<' | b'>' | b'"')) {
            return bad("has a URI with a byte that must be escaped");
        }
        let params = Params::new(trim(rest));
        if !params.is_well_formed() {
            return bad("has malformed parameters");
        }
        Ok(Self { display, uri, params })
    }

    /// Returns the dialog tag.
    #[must_use]
    pub fn tag(&self) -> Option<&'m [u8]> {
        self.params.value(b"tag")
    }

    /// Returns the URI's parts.
    ///
    /// # Errors
    /// Where they cannot be told apart.
    pub fn address(&self) -> Result<Uri<'m>, Malformed> {
        Uri::parse(self.uri)
    }

    /// Returns the parts of the URI where it is one that requests can be sent to: `sip` or `sips`.
    #[must_use]
    pub fn sip_address(&self) -> Option<Uri<'m>> {
        self.address().ok().filter(|uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips))
    }
}

/// Shows nothing of whose address it is.
impl fmt::Debug for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("name-addr [private]")
    }
}

/// The value of CSeq.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'m> {
    /// The sequence number.
    pub number: u32,
    /// The method.
    pub method: Method<'m>,
}

impl<'m> CSeq<'m> {
    /// Parses the field's value.
    ///
    /// # Errors
    /// Where it is not a number below 2³² and a method.
    pub fn parse(value: &'m [u8]) -> Result<Self, Malformed> {
        let value = trim(value);
        let end = value.iter().position(|&b| is_lws(b)).unwrap_or(value.len());
        let (number, method) = value.split_at(end);
        let number = digits(number).ok_or(Malformed::bad("CSeq", "has no number below 2^32"))?;
        let method = trim(method);
        if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
            return Err(Malformed::bad("CSeq", "has no method"));
        }
        Ok(Self { number, method: Method::of(method) })
    }
}

/// One value of Via.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Via<'m> {
    /// The version: `2.0`.
    pub version: &'m [u8],
    /// The transport, in whatever case it came.
    pub transport: &'m [u8],
    /// The host of sent-by, an IPv6 address without its brackets.
    pub host: &'m [u8],
    /// The port of sent-by.
    pub port: Option<u16>,
    /// The branch.
    pub branch: Option<&'m [u8]>,
    /// `Some(None)` where the client asks to be told its port (RFC 3581 §3).
    pub rport: Option<Option<u16>>,
    /// The address that a server on the way saw, an IPv6 address without its brackets.
    pub received: Option<&'m [u8]>,
    /// All parameters.
    pub params: Params<'m>,
    /// The whole value as it came.
    pub raw: &'m [u8],
}

impl<'m> Via<'m> {
    /// What a branch begins with if its maker follows RFC 3261 (§8.1.1.7).
    pub const COOKIE: &'static [u8] = b"z9hG4bK";

    /// Parses one value.
    ///
    /// # Errors
    /// Where the protocol is not `SIP`, or transport, host, port or a parameter are malformed.
    pub fn parse(value: &'m [u8]) -> Result<Self, Malformed> {
        let bad = |what| Malformed::bad("Via", what);
        let raw = trim(value);
        let (protocol, rest) = raw.split_at(memchr::memchr(b'/', raw).ok_or_else(|| bad("has no protocol"))?);
        let rest = rest.get(1..).unwrap_or_default();
        let (version, rest) = rest.split_at(memchr::memchr(b'/', rest).ok_or_else(|| bad("has no transport"))?);
        let rest = rest.get(1..).unwrap_or_default();
        let rest = rest.get(rest.iter().take_while(|&&b| is_lws(b)).count()..).unwrap_or_default();
        let (transport, rest) = rest.split_at(rest.iter().position(|&b| is_lws(b)).ok_or_else(|| bad("has no host"))?);
        let (protocol, version) = (trim(protocol), trim(version));
        if !protocol.eq_ignore_ascii_case(b"SIP") || version.is_empty() || !version.iter().all(|&b| is_token(b)) {
            return Err(bad("has a protocol that is not SIP"));
        }
        if transport.is_empty() || !transport.iter().all(|&b| is_token(b)) {
            return Err(bad("has no transport"));
        }
        let (sent_by, params) = rest.split_at(memchr::memchr(b';', rest).unwrap_or(rest.len()));
        let (host, port) = host_and_port(trim(sent_by)).ok_or_else(|| bad("has no host and port"))?;
        let params = Params::new(params);
        if !params.is_well_formed() {
            return Err(bad("has malformed parameters"));
        }
        let rport = match params.get(b"rport") {
            None => None,
            Some(None) => Some(None),
            Some(Some(port)) => Some(Some(digits(port).ok_or_else(|| bad("has a malformed rport"))?)),
        };
        let received = params.value(b"received").map(without_brackets);
        Ok(Self { version, transport, host, port, branch: params.value(b"branch"), rport, received, params, raw })
    }

    /// Returns the sent-by address where the host is an IP address.
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        ip(self.host)
    }

    /// Returns the `received` address.
    #[must_use]
    pub fn received_ip(&self) -> Option<IpAddr> {
        self.received.and_then(ip)
    }

    /// Returns whether the branch was made under RFC 3261, so that it alone names the transaction (§17.2.3).
    #[must_use]
    pub fn has_cookie(&self) -> bool {
        self.branch.is_some_and(|branch| branch.starts_with(Self::COOKIE) && branch.len() > Self::COOKIE.len())
    }
}

/// Shows no more than which kind of value it is.
impl fmt::Debug for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Via [private]")
    }
}

/// Returns the address that this text is.
pub(super) fn ip(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn without_brackets(host: &[u8]) -> &[u8] {
    host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`, with spaces around the colon allowed (RFC 3261 §25.1, COLON).
///
/// Of an IPv6 address only the alphabet is checked: three colons in a row must be tolerated (RFC 5118 §4.10).
pub(super) fn host_and_port(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (host, rest) = match text.strip_prefix(b"[") {
        Some(inside) => {
            let close = memchr::memchr(b']', inside)?;
            let host = inside.get(..close)?;
            let plausible =
                memchr::memchr(b':', host).is_some() && host.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
            (plausible.then_some(host)?, inside.get(close + 1..)?)
        }
        None => {
            let (host, rest) = text.split_at(memchr::memchr(b':', text).unwrap_or(text.len()));
            let host = trim(host);
            // `_` is no letter of a host name, but half the world's test beds and many a Docker network use it.
            let plausible = !host.is_empty() && host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
            (plausible.then_some(host)?, rest)
        }
    };
    match trim(rest) {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(digits(trim(port))?))),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_not_split_in_quotes_nor_in_brackets() {
        let values: Vec<_> = list(b"\"Bell, \\\", Al\" <sip:a,b@c>;q=1,\r\n , sip:d@e ").collect();

        assert_eq!(values, [&b"\"Bell, \\\", Al\" <sip:a,b@c>;q=1"[..], b"sip:d@e"]);
    }

    #[test]
    fn a_number_has_digits_and_nothing_else() {
        assert_eq!(digits::<u8>(b"0068"), Some(68));
        for text in [&b""[..], b"-1", b"+5", b"5 5", b"0x10", b"1e3", b"256", b"36893488147419103232", b" 5"] {
            assert_eq!(digits::<u8>(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_addr_is_parted_into_name_uri_and_parameters() {
        let quoted = NameAddr::parse(b"\"J. \\\"R\\\" User\"<sip:j@x.test;lr> ; Tag = 1a ;x", "To").unwrap();
        let plain = NameAddr::parse(b"sip:+49301@x.test;tag=b", "To").unwrap();
        let latin = NameAddr::parse(b"M\xfcller caller <tel:+4930>", "To").unwrap();

        assert_eq!((quoted.uri, quoted.tag()), (&b"sip:j@x.test;lr"[..], Some(&b"1a"[..])));
        assert_eq!(quoted.params.get(b"X"), Some(None));
        assert_eq!((plain.uri, plain.tag()), (&b"sip:+49301@x.test"[..], Some(&b"b"[..])));
        assert_eq!(latin.display, b"M\xfcller caller");
    }

    #[test]
    fn a_name_addr_that_can_be_read_in_two_ways_is_refused() {
        for text in [
            &b"\"J. User <sip:j@x.test>"[..],
            b"Doe, John <sip:j@x.test>",
            b"< sip:j@x.test>",
            b"<sip:j@x.test",
            b"<sip:j@x.test>;;",
            b"<sip:j@x.test>;tag=",
            b"<sip:j@x.test> x",
            b"sip:j@x.test?Route=%3Csip:y%3E",
            b"\"J\" sip:j@x.test",
            b"<j@x.test>",
            b"",
        ] {
            assert!(NameAddr::parse(text, "To").is_err(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_via_is_read_with_white_space_wherever_the_grammar_has_it() {
        let via = Via::parse(b"SIP  / 2.0\r\n /UDP\r\n    192.0.2.2 : 5062 ;branch= 390skdjuw ;\t rport").unwrap();

        assert_eq!((via.transport, via.host, via.port), (&b"UDP"[..], &b"192.0.2.2"[..], Some(5062)));
        assert_eq!((via.branch, via.rport), (Some(&b"390skdjuw"[..]), Some(None)));
        assert!(!via.has_cookie());
    }

    #[test]
    fn a_via_holds_an_ipv6_address_with_and_without_brackets() {
        let via = Via::parse(b"SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];rport=5;branch=z9hG4bKas3").unwrap();
        let bare = Via::parse(b"SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255").unwrap();

        assert_eq!(via.received, bare.received);
        assert_eq!(via.received_ip(), "2001:db8::9:255".parse().ok());
        assert_eq!((via.host_ip(), via.rport), ("2001:db8::9:1".parse().ok(), Some(Some(5))));
        assert!(via.has_cookie());
    }

    #[test]
    fn a_via_that_cannot_be_answered_is_refused() {
        for text in [
            &b"SIP/2.0/UDP 192.0.2.15;;"[..],
            b"SIP/2.0/UDP",
            b"SIP/2.0/UDP ",
            b"SIP/2.0 192.0.2.1",
            b"HTTP/1.1/TCP x",
            b"SIP/2.0/UDP a:b",
            b"SIP/2.0/UDP a:70000",
            b"SIP/2.0/UDP [::1",
            b"SIP/2.0/UDP a b",
            b"SIP/2.0/UDP a;rport=x",
            b"SIP/2.0/UDP a;branch=",
            b";",
        ] {
            assert!(Via::parse(text).is_err(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_cseq_is_a_number_and_a_method() {
        let cseq = CSeq::parse(b" 0009\r\n  INVITE ").unwrap();

        assert_eq!(cseq, CSeq { number: 9, method: Method::Invite });
        for text in [&b"INVITE"[..], b"1", b"-1 INVITE", b"36893488147419103232 REGISTER", b"1 INVITE X", b""] {
            assert!(CSeq::parse(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
