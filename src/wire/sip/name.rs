//! The words of SIP that the recorder knows: methods and the names of header fields, long and compact.

use std::fmt;

/// A request's method. Names are case-sensitive (RFC 3261 §7.1), so `invite` is an `Other`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the methods' names")]
pub enum Method<'m> {
    Invite,
    Ack,
    Cancel,
    Bye,
    Options,
    Register,
    Info,
    Update,
    Prack,
    Refer,
    Message,
    Subscribe,
    Notify,
    Publish,
    /// Any other token, as it came.
    Other(&'m [u8]),
}

impl<'m> Method<'m> {
    /// Returns the method of this name.
    #[must_use]
    pub fn of(name: &'m [u8]) -> Self {
        match name {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"CANCEL" => Self::Cancel,
            b"BYE" => Self::Bye,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"INFO" => Self::Info,
            b"UPDATE" => Self::Update,
            b"PRACK" => Self::Prack,
            b"REFER" => Self::Refer,
            b"MESSAGE" => Self::Message,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"PUBLISH" => Self::Publish,
            other => Self::Other(other),
        }
    }

    /// Returns the name as it stands in the request line.
    #[must_use]
    pub const fn as_bytes(self) -> &'m [u8] {
        match self {
            Self::Invite => b"INVITE",
            Self::Ack => b"ACK",
            Self::Cancel => b"CANCEL",
            Self::Bye => b"BYE",
            Self::Options => b"OPTIONS",
            Self::Register => b"REGISTER",
            Self::Info => b"INFO",
            Self::Update => b"UPDATE",
            Self::Prack => b"PRACK",
            Self::Refer => b"REFER",
            Self::Message => b"MESSAGE",
            Self::Subscribe => b"SUBSCRIBE",
            Self::Notify => b"NOTIFY",
            Self::Publish => b"PUBLISH",
            Self::Other(name) => name,
        }
    }
}

/// Prints a known method's name, and `other` for the rest: those are a peer's bytes.
impl fmt::Debug for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = if matches!(self, Self::Other(_)) { b"other" } else { self.as_bytes() };
        f.write_str(str::from_utf8(known).unwrap_or("other"))
    }
}

macro_rules! names {
    ($($variant:ident $full:literal $($compact:literal)?,)*) => {
        /// A header field's name. Case does not matter, and the compact form is the same name (RFC 3261 §7.3.3).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "the variants are the fields' names")]
        pub enum Name {
            $($variant,)*
            /// A field that nothing here looks into; `Message::named` finds it by its bytes.
            Other,
        }

        impl Name {
            /// Returns the name in its long form, and nothing for `Other`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $full,)*
                    Self::Other => "",
                }
            }

            fn of_compact(letter: u8) -> Self {
                match letter.to_ascii_lowercase() {
                    $($($compact => Self::$variant,)?)*
                    _ => Self::Other,
                }
            }

            /// All names but `Other`.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

names! {
    Via "Via" b'v',
    From "From" b'f',
    To "To" b't',
    CallId "Call-ID" b'i',
    CSeq "CSeq",
    Contact "Contact" b'm',
    MaxForwards "Max-Forwards",
    MaxBreadth "Max-Breadth",
    Route "Route",
    RecordRoute "Record-Route",
    Path "Path",
    ContentLength "Content-Length" b'l',
    ContentType "Content-Type" b'c',
    ContentEncoding "Content-Encoding" b'e',
    ContentDisposition "Content-Disposition",
    Require "Require",
    ProxyRequire "Proxy-Require",
    Supported "Supported" b'k',
    Unsupported "Unsupported",
    Allow "Allow",
    RetryAfter "Retry-After",
    Reason "Reason",
    RSeq "RSeq",
    RAck "RAck",
    Expires "Expires",
    Event "Event" b'o',
    SessionExpires "Session-Expires" b'x',
    MinSe "Min-SE",
    Authorization "Authorization",
    ProxyAuthorization "Proxy-Authorization",
    WwwAuthenticate "WWW-Authenticate",
    ProxyAuthenticate "Proxy-Authenticate",
    ReferTo "Refer-To" b'r',
    ReferredBy "Referred-By" b'b',
    Replaces "Replaces",
    PAssertedIdentity "P-Asserted-Identity",
    PPreferredIdentity "P-Preferred-Identity",
    Diversion "Diversion",
    HistoryInfo "History-Info",
    Timestamp "Timestamp",
    Subject "Subject" b's',
}

impl Name {
    /// Returns the name that these bytes are, in any case, long or compact.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let among = |names: &[Self]| {
            names.iter().copied().find(|known| known.as_str().as_bytes().eq_ignore_ascii_case(name)).unwrap_or(Self::Other)
        };
        match name.len() {
            1 => name.first().map_or(Self::Other, |&letter| Self::of_compact(letter)),
            2 => among(&[Self::To]),
            3 => among(&[Self::Via]),
            4 => among(&[Self::From, Self::CSeq, Self::Path, Self::RSeq, Self::RAck]),
            5 => among(&[Self::Route, Self::Allow, Self::Event]),
            6 => among(&[Self::Reason, Self::MinSe]),
            7 => among(&[Self::CallId, Self::Contact, Self::Require, Self::Expires, Self::Subject]),
            8 => among(&[Self::ReferTo, Self::Replaces]),
            9 => among(&[Self::Supported, Self::Diversion, Self::Timestamp]),
            11 => among(&[Self::RetryAfter, Self::ReferredBy, Self::Unsupported, Self::MaxBreadth]),
            12 => among(&[Self::MaxForwards, Self::ContentType, Self::RecordRoute, Self::HistoryInfo]),
            13 => among(&[Self::Authorization, Self::ProxyRequire]),
            14 => among(&[Self::ContentLength]),
            15 => among(&[Self::SessionExpires]),
            16 => among(&[Self::ContentEncoding, Self::WwwAuthenticate]),
            18 => among(&[Self::ProxyAuthenticate]),
            19 => among(&[Self::PAssertedIdentity, Self::ContentDisposition, Self::ProxyAuthorization]),
            20 => among(&[Self::PPreferredIdentity]),
            _ => Self::Other,
        }
    }

    /// Returns whether several values may stand in one line, parted by commas (RFC 3261 §7.3.1).
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Via
                | Self::Contact
                | Self::Route
                | Self::RecordRoute
                | Self::Path
                | Self::ContentEncoding
                | Self::Require
                | Self::ProxyRequire
                | Self::Supported
                | Self::Unsupported
                | Self::Allow
                | Self::Reason
                | Self::PAssertedIdentity
                | Self::PPreferredIdentity
                | Self::Diversion
                | Self::HistoryInfo
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_in_any_case() {
        for &name in Name::ALL {
            assert_eq!(Name::of(name.as_str().as_bytes()), name, "{name:?}");
            assert_eq!(Name::of(name.as_str().to_ascii_uppercase().as_bytes()), name, "{name:?}");
        }
        assert_eq!(Name::of(b"L"), Name::ContentLength);
        assert_eq!(Name::of(b"v"), Name::Via);
    }

    #[test]
    fn an_escaped_name_is_another_name() {
        assert_eq!(Name::of(b"C%6Fntact"), Name::Other);
        assert_eq!(Method::of(b"RE%47IST%45R"), Method::Other(b"RE%47IST%45R"));
        assert_eq!(Method::of(b"invite"), Method::Other(b"invite"));
    }

    #[test]
    fn a_foreign_method_is_not_printed() {
        assert_eq!(format!("{:?} {:?}", Method::Bye, Method::of(b"+4930123")), "BYE other");
    }
}
