//! URIs as SIP uses them: `sip:`, `sips:`, `tel:`, `urn:`; any other scheme is kept whole.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use super::header::{host_and_port, ip};
use super::{Malformed, Params};
use crate::private::Private;

/// The scheme of a URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// `urn:`, as in `urn:service:sos` (RFC 5031)
    Urn,
    /// Any other: a proxy cannot route it (416).
    Other,
}

/// A URI's parts, borrowed from the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uri<'u> {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part as it came, escapes and `;` included, the password not; of a `tel:` URI the number.
    pub user: Option<&'u [u8]>,
    /// The host, an IPv6 address without its brackets; empty for `tel:`, `urn:` and others.
    pub host: &'u [u8],
    /// The port.
    pub port: Option<u16>,
    /// The URI's parameters.
    pub params: Params<'u>,
    /// What follows the `?`; empty where there is none.
    pub headers: &'u [u8],
    /// The whole URI as it came.
    pub raw: &'u [u8],
}

impl<'u> Uri<'u> {
    /// Parses a URI without its `<>`.
    ///
    /// # Errors
    /// Where there is no scheme, a byte stands that must be escaped, or host and port of a `sip:` URI are malformed.
    pub fn parse(raw: &'u [u8]) -> Result<Self, Malformed> {
        let bad = |what| Malformed::bad("URI", what);
        if !Self::has_scheme(raw) {
            return Err(bad("has no scheme"));
        }
        if raw.iter().any(|b| matches!(b, 0..=b' ' | 0x7f | b'<' | b'>' | b'"')) {
            return Err(bad("has a byte that must be escaped"));
        }
        let (scheme, rest) = raw.split_at(memchr::memchr(b':', raw).unwrap_or(raw.len()));
        let rest = rest.get(1..).unwrap_or_default();
        let scheme = Self::scheme(scheme);
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::parse_sip(scheme, rest, raw),
            Scheme::Tel => {
                let (number, params) = rest.split_at(memchr::memchr(b';', rest).unwrap_or(rest.len()));
                let params = Params::new(params);
                Ok(Self { scheme, user: Some(number), host: b"", port: None, params, headers: b"", raw })
            }
            Scheme::Urn | Scheme::Other => {
                Ok(Self { scheme, user: None, host: b"", port: None, params: Params::default(), headers: b"", raw })
            }
        }
    }

    fn parse_sip(scheme: Scheme, rest: &'u [u8], raw: &'u [u8]) -> Result<Self, Malformed> {
        // The user part may hold `;`, `?` and `/` unescaped, but no `@`: so that is looked for first (RFC 3261 §25.1).
        let (user, rest) = match memchr::memchr(b'@', rest) {
            Some(at) => (rest.get(..at), rest.get(at + 1..).unwrap_or_default()),
            None => (None, rest),
        };
        let user = user.map(|user| user.split(|&b| b == b':').next().unwrap_or_default());
        let (rest, headers) = match memchr::memchr(b'?', rest) {
            Some(at) => rest.split_at(at),
            None => (rest, &[][..]),
        };
        let (host, params) = rest.split_at(memchr::memchr(b';', rest).unwrap_or(rest.len()));
        let (host, port) = host_and_port(host).ok_or(Malformed::bad("URI", "has a malformed host or port"))?;
        let headers = headers.get(1..).unwrap_or_default();
        Ok(Self { scheme, user, host, port, params: Params::new(params), headers, raw })
    }

    fn scheme(name: &[u8]) -> Scheme {
        let known = [(&b"sip"[..], Scheme::Sip), (b"sips", Scheme::Sips), (b"tel", Scheme::Tel), (b"urn", Scheme::Urn)];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(Scheme::Other, |(_, scheme)| scheme)
    }

    /// Returns whether the text begins as a URI does.
    pub(super) fn has_scheme(text: &[u8]) -> bool {
        let Some((scheme, rest)) = memchr::memchr(b':', text).and_then(|at| text.split_at_checked(at)) else { return false };
        scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && rest.len() > 1
    }

    /// Returns the URI parameter of this name: `Some(None)` where it has no value.
    ///
    /// Names are compared unescaped: `%6C%72` is `lr` (RFC 3261 §19.1.4).
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<Option<&'u [u8]>> {
        self.params.iter().find(|(known, _)| unescape(known).eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns where the URI leads, if that is an IP address: no name is ever looked up here. `maddr` goes before the host (RFC 3261
    /// §19.1.1).
    #[must_use]
    pub fn socket_addr(&self, default_port: u16) -> Option<SocketAddr> {
        let host = self.param(b"maddr").map_or(self.host, Option::unwrap_or_default);
        let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
        Some(SocketAddr::new(ip(host)?, self.port.unwrap_or(default_port)))
    }

    /// Returns the telephone number, or the user's name, to be compared with a policy's prefixes and for nothing else.
    ///
    /// That is the user part up to its first `;`, unescaped once, without visual separators (RFC 3966 §5.1.1).
    #[must_use]
    pub fn number(&self) -> Option<Private<String>> {
        let user = self.user?.split(|&b| b == b';').next()?;
        let bare: Vec<u8> = unescape(user).iter().copied().filter(|b| !matches!(b, b'-' | b'.' | b'(' | b')')).collect();
        Some(Private::new(String::from_utf8_lossy(&bare).into_owned()))
    }
}

/// Shows nothing of whose address it is.
impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("URI [private]")
    }
}

/// Returns the text with each `%XX` replaced once; what is no escape stays as it is.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let hex = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                (None, _) | (_, None) => (b'%', tail),
            },
            _ => (*first, tail),
        };
        plain.push(byte);
        rest = after;
    }
    Cow::Owned(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn number(uri: &str) -> Option<String> {
        Uri::parse(uri.as_bytes()).unwrap().number().map(|number| number.reveal().clone())
    }

    #[test]
    fn a_sip_uri_has_user_host_port_parameters_and_headers() {
        let uri = Uri::parse(b"sips:alice:secret@Example.COM:5061;transport=tcp;lr?X=1&Y=2").unwrap();

        assert_eq!(
            (uri.scheme, uri.user, uri.host, uri.port),
            (Scheme::Sips, Some(&b"alice"[..]), &b"Example.COM"[..], Some(5061))
        );
        assert_eq!((uri.param(b"Transport"), uri.param(b"lr"), uri.param(b"x")), (Some(Some(&b"tcp"[..])), Some(None), None));
        assert_eq!(uri.headers, b"X=1&Y=2");
    }

    #[test]
    fn semicolons_and_question_marks_may_be_of_the_user_part() {
        let uri = Uri::parse(b"sip:user;par=u%40x.test?a@example.test").unwrap();

        assert_eq!((uri.user, uri.host), (Some(&b"user;par=u%40x.test?a"[..]), &b"example.test"[..]));
        assert_eq!(uri.headers, b"");
    }

    #[test]
    fn an_escaped_parameter_name_is_the_same_name() {
        assert_eq!(Uri::parse(b"sip:h.test;%6C%72").unwrap().param(b"lr"), Some(None));
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets() {
        let with_port = Uri::parse(b"sip:a@[2001:db8::10]:5070").unwrap();
        let without = Uri::parse(b"sip:[2001:db8::10:5070]").unwrap();

        assert_eq!(with_port.socket_addr(5060), "[2001:db8::10]:5070".parse().ok());
        assert_eq!(without.socket_addr(5060), "[2001:db8::10:5070]:5060".parse().ok());
        assert!(Uri::parse(b"sip:2001:db8::10").is_err());
        assert!(Uri::parse(b"sip:[2001:db8:::192.0.2.1]").is_ok(), "three colons are tolerated (RFC 5118 §4.10)");
    }

    #[test]
    fn maddr_goes_before_the_host() {
        let leads = |uri: &str| Uri::parse(uri.as_bytes()).unwrap().socket_addr(5060);

        assert_eq!(leads("sip:a@192.0.2.1:5070;maddr=192.0.2.9"), "192.0.2.9:5070".parse().ok());
        assert_eq!(leads("sip:a@h.test;MADDR=[2001:db8::9];lr"), "[2001:db8::9]:5060".parse().ok());
        assert_eq!(leads("sip:a@192.0.2.1;maddr=h.test"), None, "a name");
        assert_eq!(leads("sip:a@192.0.2.1;maddr"), None);
    }

    #[test]
    fn a_number_is_the_user_part_without_parameters_escapes_and_separators() {
        assert_eq!(number("tel:+49-30-(12).34;phone-context=x").as_deref(), Some("+49301234"));
        assert_eq!(number("sip:%2B4930;npdi@h.test").as_deref(), Some("+4930"));
        assert_eq!(number("sip:%25%34%31@h.test").as_deref(), Some("%41"), "unescaped once, not twice");
        assert_eq!(number("sip:a%00b@h.test").as_deref(), Some("a\0b"), "not cut at a NUL");
        assert_eq!(number("sip:h.test"), None);
        assert_eq!(number("urn:service:sos"), None);
    }

    #[test]
    fn a_foreign_scheme_is_kept_whole() {
        let uri = Uri::parse(b"soap.beep://192.0.2.103:3002").unwrap();

        assert_eq!((uri.scheme, uri.host, uri.raw), (Scheme::Other, &b""[..], &b"soap.beep://192.0.2.103:3002"[..]));
    }

    #[test]
    fn text_that_is_no_uri_is_refused() {
        for text in [
            &b""[..],
            b"sip:",
            b"sip",
            b"<sip:a@b>",
            b"sip:a@b; lr",
            b"sip:a@b@c",
            b"sip:@",
            b"sip:a@h:",
            b"1sip:a@b",
            b"sip:a\0@b",
        ] {
            assert!(Uri::parse(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
