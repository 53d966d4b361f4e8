//! Over what SIP is spoken: the transports, our own ends of them, and the flow between one of these and a peer.

use std::net::SocketAddr;

use crate::wire::sip::{Scheme, Uri};

/// A transport of SIP (RFC 3261 §18).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// Datagrams; whoever knows a peer's address can send in its name.
    Udp,
    /// A stream, in the clear.
    Tcp,
    /// A stream within TLS.
    Tls,
}

impl Transport {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// Returns its name as it stands in a `transport` parameter, in the configuration and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Returns its name as it stands in a `Via`.
    pub(super) const fn in_via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Returns what a URI says that leads over it: UDP goes without saying.
    #[must_use]
    pub const fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }

    /// Returns whether it delivers in order and by itself: then nothing is sent twice (RFC 3261 §17).
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Returns the port where nothing names one (RFC 3261 §19.1.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// Returns what a URI asks for: `sips` is TLS, whatever else it says (RFC 3261 §26.2.2); nothing where it asks for a transport that is
    /// not spoken here, and UDP where it asks for none (RFC 3263 §4.1, of an IP address).
    #[must_use]
    pub fn of_uri(uri: &Uri<'_>) -> Option<Self> {
        if uri.scheme == Scheme::Sips {
            return Some(Self::Tls);
        }
        match uri.param(b"transport") {
            None => Some(Self::Udp),
            Some(name) => {
                Self::ALL.into_iter().find(|known| name.unwrap_or_default().eq_ignore_ascii_case(known.as_str().as_bytes()))
            }
        }
    }
}

/// One of our own ends: where others reach us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct End {
    /// Over what.
    pub transport: Transport,
    /// At which address of ours.
    pub address: SocketAddr,
}

/// The place of an end in [`Config::ends`](super::Config::ends).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndId(pub u8);

impl EndId {
    /// Returns its place in a list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A way between us and somebody: a connection, or the datagrams between two addresses (RFC 5626 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Flow {
    /// Our end.
    pub end: EndId,
    /// The address at the other end. Of a connection that a peer has opened it has a port which nobody listens at.
    pub far: SocketAddr,
}

impl Flow {
    /// Returns the flow between our first end and this address.
    #[must_use]
    pub const fn first(far: SocketAddr) -> Self {
        Self { end: EndId(0), far }
    }
}

/// An end, with what stands of it in each message.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) end: End,
    /// What every `Via` of ours begins with. It asks for `rport`, so that a translator on the way does no harm.
    pub(super) via_start: Vec<u8>,
    /// The URI in `Record-Route`, without its scheme: where requests within a dialog go.
    pub(super) record_route: String,
}

impl Own {
    pub(super) fn of(end: End) -> Self {
        let End { transport, address } = end;
        let parameter = transport.uri_parameter();
        Self {
            end,
            via_start: format!("SIP/2.0/{} {address};rport", transport.in_via()).into_bytes(),
            record_route: format!("{address}{parameter};lr"),
        }
    }
}

/// Our own ends, as they may stand in a `Via` or a `Route`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours<'o>(pub(super) &'o [Own]);

impl<'o> Ours<'o> {
    pub(super) fn get(self, end: EndId) -> Option<&'o Own> {
        self.0.get(end.index())
    }

    /// Returns which end a URI names: the one with its address and transport, else one with its address.
    pub(super) fn named_by(self, uri: &Uri<'_>) -> Option<EndId> {
        let transport = Transport::of_uri(uri);
        let at = uri.socket_addr(transport.unwrap_or(Transport::Udp).default_port())?;
        let by = |wanted: Option<Transport>| {
            self.0.iter().position(|own| own.end.address == at && wanted.is_none_or(|wanted| own.end.transport == wanted))
        };
        transport.and_then(|transport| by(Some(transport))).or_else(|| by(None)).and_then(|at| u8::try_from(at).ok()).map(EndId)
    }

    /// Returns whether we are reached at this address.
    pub(super) fn has(self, address: SocketAddr) -> bool {
        self.0.iter().any(|own| own.end.address == address)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_end_says_in_each_message_how_it_is_reached() {
        let own = |transport, address: &str| Own::of(End { transport, address: address.parse().unwrap() });

        let tcp = own(Transport::Tcp, "[2001:db8::1]:5060");
        assert_eq!(String::from_utf8_lossy(&tcp.via_start), "SIP/2.0/TCP [2001:db8::1]:5060;rport");
        assert_eq!(tcp.record_route, "[2001:db8::1]:5060;transport=tcp;lr");
        assert_eq!(own(Transport::Udp, "192.0.2.1:5060").record_route, "192.0.2.1:5060;lr");
        assert_eq!(own(Transport::Tls, "192.0.2.1:5061").record_route, "192.0.2.1:5061;transport=tls;lr");
    }

    #[test]
    fn a_uri_names_the_end_with_its_transport_first() {
        let address = "192.0.2.1:5060".parse().unwrap();
        let owns: Vec<Own> = [Transport::Udp, Transport::Tcp].map(|transport| Own::of(End { transport, address })).into();
        let named = |uri: &str| Ours(&owns).named_by(&Uri::parse(uri.as_bytes()).unwrap()).map(EndId::index);

        assert_eq!(named("sip:192.0.2.1:5060;transport=TCP;lr"), Some(1));
        assert_eq!(named("sip:192.0.2.1;lr"), Some(0));
        assert_eq!(named("sip:192.0.2.1;transport=sctp"), Some(0), "whatever it says, it is our address");
        assert_eq!(named("sips:192.0.2.1"), None, "that is port 5061");
        assert_eq!(named("sip:h.test"), None);
    }

    #[test]
    fn sips_is_tls() {
        let asked = |uri: &str| Transport::of_uri(&Uri::parse(uri.as_bytes()).unwrap());

        assert_eq!(asked("sips:h.test;transport=tcp"), Some(Transport::Tls));
        assert_eq!(asked("sip:h.test;transport=tls"), Some(Transport::Tls));
        assert_eq!(asked("sip:h.test"), Some(Transport::Udp));
        assert_eq!(asked("sip:h.test;transport=ws"), None);
    }
}
