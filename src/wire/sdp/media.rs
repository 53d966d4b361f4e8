//! One `m=` line of a session description and what is said about it.

use std::net::{IpAddr, SocketAddr};

use super::{Crypto, Format};

/// What one `m=` line offers or accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Which kind of media it is.
    pub kind: Kind,
    /// The port; 0 where the media is refused or at an end.
    pub port: u16,
    /// The transport as it came: `RTP/AVP`, `udptl`.
    pub proto: String,
    /// The formats in order of preference; none unless it is RTP.
    pub formats: Vec<Format>,
    /// The address of its own `c=` line or the session's; none where that is a name, or absent.
    pub addr: Option<IpAddr>,
    /// Where `a=rtcp` (RFC 3605) wants RTCP to go.
    pub rtcp: Option<(Option<IpAddr>, u16)>,
    /// RTP and RTCP on one port, if both sides say so (RFC 5761).
    pub rtcp_mux: bool,
    /// Which way media flows as the sender of this description sees it; that of the session where the media says nothing.
    pub direction: Flow,
    /// Milliseconds of sound that the sender wants in a packet.
    pub ptime: Option<u8>,
    /// Milliseconds of sound that a packet to the sender may have.
    pub max_ptime: Option<u8>,
    /// Keys of SRTP are offered in the open (RFC 4568).
    pub crypto: bool,
    /// Those of them that can be read, in order of preference; at most [`CRYPTO_LINES`](crate::limits::CRYPTO_LINES).
    pub keys: Vec<Crypto>,
    /// Keys of SRTP are agreed upon by DTLS (RFC 5763).
    pub fingerprint: bool,
    /// ICE candidates are offered. Once anchored, `c=` is none of them, and ICE falls away as a mismatch (RFC 8839).
    pub ice: bool,
    /// The media can be anchored: one port, at one address that is not multicast.
    pub anchorable: bool,
}

/// A kind of media.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `image`: fax by T.38.
    Image,
    /// Anything else.
    Other,
}

/// Which way media flows, as the sender of the description sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flow {
    /// Both ways; what is meant where nothing is said.
    SendRecv,
    /// The sender sends and wants nothing: a call on hold, with music.
    SendOnly,
    /// The sender wants media and sends none.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Media {
    /// Returns whether it is carried by RTP, secured or not.
    #[must_use]
    pub fn is_rtp(&self) -> bool {
        let proto = self.proto.to_ascii_uppercase();
        proto.starts_with("RTP/") || proto.contains("/RTP/")
    }

    /// Returns whether it is carried by SRTP.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_rtp() && self.proto.to_ascii_uppercase().contains("/SAVP")
    }

    /// Returns whether the sender has put the other side on hold (RFC 3264 §8.4), by a direction or by an address of zeroes.
    #[must_use]
    pub fn is_on_hold(&self) -> bool {
        matches!(self.direction, Flow::SendOnly | Flow::Inactive) || self.addr.is_some_and(|addr| addr.is_unspecified())
    }

    /// Returns the format that carries keys (RFC 4733): that with the first format's clock, if there are several.
    #[must_use]
    pub fn telephone_event(&self) -> Option<&Format> {
        let events = || self.formats.iter().filter(|format| format.is("telephone-event"));
        let clock = self.formats.first().map(|format| format.clock);
        events().find(|event| Some(event.clock) == clock).or_else(|| events().next())
    }

    /// Returns the format of this payload type.
    #[must_use]
    pub fn format(&self, payload_type: u8) -> Option<&Format> {
        self.formats.iter().find(|format| format.payload_type == payload_type)
    }

    /// Returns where the sender wants its RTP (or T.38), if there is a place to send to.
    #[must_use]
    pub fn rtp_to(&self) -> Option<SocketAddr> {
        let addr = self.addr.filter(|addr| !addr.is_unspecified() && self.port != 0)?;
        Some(SocketAddr::new(addr, self.port))
    }

    /// Returns where the sender wants its RTCP, if it is not multiplexed: by `a=rtcp`, or on the next port (RFC 3550 §11).
    #[must_use]
    pub fn rtcp_to(&self) -> Option<SocketAddr> {
        let rtp = self.rtp_to().filter(|_| self.is_rtp())?;
        match self.rtcp {
            Some((addr, port)) => Some(SocketAddr::new(addr.unwrap_or_else(|| rtp.ip()), port)),
            None => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
        }
    }
}

/// Shows nothing of where it leads.
impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.kind, self.direction, self.formats)
    }
}
