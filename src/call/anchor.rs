//! Session descriptions: what of them matters to a recorder, and the addresses that they are given in passing (RFC 3264, RFC 8866).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

use crate::codec::Coding;
use crate::limits;
use crate::media::{Content, Payload, PayloadFormat, Remote};
use crate::wire::sdp::{Crypto, Flow, Format, Here, Kind, Media, Profile, Sdp, Secured};

use super::door::PortPair;
use super::kept::keyless;
use super::policy::Policy;

/// One party's session description, as far as the recorder cares.
#[derive(Clone, Debug)]
pub struct Session {
    lines: Vec<Line>,
    /// The description as it came, without keys.
    said: Bytes,
}

/// One `m=` line.
#[derive(Clone, Debug)]
pub struct Line {
    kind: Kind,
    is_rtp: bool,
    /// SRTP: what is said is not ours to hear.
    is_secure: bool,
    /// SRTP ends here, if it is SRTP: what is said is ours to hear.
    ends_here: bool,
    /// The transport as it came.
    proto: String,
    /// The profile of RTP, where it is one that can be had both plain and secure.
    profile: Option<Profile>,
    /// Keys that the party says it sends with.
    keys: Vec<Crypto>,
    /// Keys stand in it, as in SRTP that is offered under the name of RTP (RFC 8643).
    has_keys: bool,
    /// Whether its address is one that can be given another: not multicast, say.
    anchorable: bool,
    /// Where the party wants its media; nothing where the line is rejected (port 0) or gives no address.
    remote: Option<SocketAddr>,
    /// Whether it is not rejected.
    is_wanted: bool,
    rtcp: Option<SocketAddr>,
    rtcp_mux: bool,
    flow: Flow,
    ptime_ms: u8,
    formats: Vec<Format>,
}

impl Session {
    /// Reads what matters out of a description; `ends_here` says whether SRTP, where it is that, is between the party and us.
    pub(super) fn of(sdp: &Sdp, ends_here: bool) -> Self {
        Self { lines: sdp.media().iter().map(|media| Line::of(media, ends_here)).collect(), said: keyless(sdp.as_bytes()) }
    }

    /// Returns its `m=` lines, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the description as it came, without keys.
    pub(super) fn said(&self) -> &[u8] {
        &self.said
    }

    pub(super) fn line(&self, at: usize) -> Option<&Line> {
        self.lines.get(at)
    }
}

impl Line {
    fn of(media: &Media, ends_here: bool) -> Self {
        Self {
            kind: media.kind,
            is_rtp: media.is_rtp(),
            is_secure: media.is_secure(),
            ends_here,
            proto: media.proto.clone(),
            profile: media.profile(),
            keys: media.keys.clone(),
            has_keys: media.crypto || media.fingerprint,
            anchorable: media.anchorable,
            // An address of zeroes is a party on hold (RFC 3264 §5.1), not a rejected line.
            remote: media.addr.filter(|_| media.port != 0).map(|ip| SocketAddr::new(ip, media.port)),
            is_wanted: media.port != 0,
            rtcp: media.rtcp_to(),
            rtcp_mux: media.rtcp_mux,
            flow: media.direction,
            ptime_ms: media.ptime.unwrap_or(20),
            formats: media.formats.clone(),
        }
    }

    /// Returns whether it is audio over RTP that was not rejected, and plain to us: what a recording can be made of.
    #[must_use]
    pub fn is_audio(&self) -> bool {
        self.kind == Kind::Audio && self.is_rtp && (!self.is_secure || self.ends_here) && self.remote.is_some()
    }

    /// Returns whether it is not rejected.
    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Returns whether it is SRTP, by whatever keys.
    pub(super) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Returns the profile, where it is one of the four of RTP over UDP.
    pub(super) const fn profile(&self) -> Option<Profile> {
        self.profile
    }

    /// Returns the keys that the party says it sends with.
    pub(super) fn keys(&self) -> &[Crypto] {
        &self.keys
    }

    /// Returns how it is said where we have nothing to say about it, such as one that answers no line: as it came, without its keys. Not
    /// of what is no RTP, where DTLS is between the parties.
    pub(super) fn keyless(&self) -> Option<Secured> {
        (self.is_rtp || !self.is_wanted).then(|| Secured { proto: self.proto.clone(), keys: Vec::new() })
    }

    /// Returns whether keys stand in it, readable or not, or how they are to be agreed upon.
    pub(super) const fn has_keys(&self) -> bool {
        self.has_keys
    }

    /// Returns whether it is RTP in which keys stand.
    pub(super) const fn is_rtp_with_keys(&self) -> bool {
        self.is_rtp && self.has_keys
    }

    /// Returns whether it is audio, of whatever kind.
    pub(super) fn is_sound(&self) -> bool {
        self.kind == Kind::Audio
    }

    /// Returns whether both parties' descriptions of the line make it audio that a recording can be made of.
    pub(super) fn is_recordable(&self, other: &Self) -> bool {
        self.is_audio() && other.is_audio() && (self.ends_here || !(self.has_keys && other.has_keys))
    }

    /// Returns whether both parties' descriptions of the line make it audio that they encrypt between themselves.
    pub(super) fn is_encrypted(&self, other: &Self) -> bool {
        let is_audio = |line: &Self| line.kind == Kind::Audio && line.remote.is_some();
        !self.ends_here && is_audio(self) && is_audio(other) && (self.is_secure || (self.has_keys && other.has_keys))
    }

    /// Returns whether media is wanted at an address that cannot be given another: a host name, a multicast group, another IP version.
    pub(super) fn escapes(&self, here: IpAddr) -> bool {
        self.is_wanted && !self.can_be_anchored(here)
    }

    /// Returns whether it can be given an address of ours: not rejected, and of a family that we have.
    pub(super) fn can_be_anchored(&self, here: IpAddr) -> bool {
        self.anchorable && self.remote.is_some_and(|remote| remote.is_ipv4() == here.is_ipv4())
    }

    /// Returns whether the party wants its media elsewhere than before, hold apart.
    pub(super) fn is_elsewhere_than(&self, before: &Self) -> bool {
        let place = |line: &Self| line.remote.filter(|remote| !remote.ip().is_unspecified());
        place(self).zip(place(before)).is_some_and(|(is, was)| is != was)
    }

    /// Returns whether this is where the party wants its media.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        self.remote == Some(address) || self.rtcp == Some(address)
    }

    /// Returns whether the party hears what is sent to it: not on hold by direction, nor by the old `c=0.0.0.0` (RFC 3264 §8.4).
    #[must_use]
    pub fn receives(&self) -> bool {
        matches!(self.flow, Flow::SendRecv | Flow::RecvOnly) && self.remote.is_some_and(|remote| !remote.ip().is_unspecified())
    }

    /// Returns what the line carries, the other party having described `other`.
    pub(super) fn content(&self, other: &Self) -> Content {
        match (self.kind, self.is_rtp) {
            (Kind::Audio, true) if !self.is_encrypted(other) => Content::Audio,
            (_, true) => Content::OtherRtp,
            (_, false) => Content::Datagrams,
        }
    }

    /// Returns what the media plane must know of this party, the other having described `other`. A rejected line takes nothing.
    pub(super) fn remote(&self, other: &Self) -> Remote {
        let Some(rtp) = self.remote.filter(|_| other.remote.is_some()) else { return nowhere() };
        Remote {
            rtp,
            rtcp: self.rtcp,
            rtcp_mux: self.rtcp_mux && other.rtcp_mux,
            receives: self.receives(),
            formats: self
                .formats
                .iter()
                .map(|format| PayloadFormat { payload_type: format.payload_type, payload: payload(format) })
                .collect(),
            ptime_ms: self.ptime_ms,
        }
    }

    /// Returns the coding in which this party can be spoken to, with its own payload type for it; `can` says in which an announcement is to
    /// be had.
    ///
    /// The answer's order is the preference of the one who answered (RFC 3264 §6.1); what the offer does not name is not taken.
    pub(super) fn speech(&self, offer: &Self, answer: &Self, can: impl Fn(Coding) -> bool) -> Option<(Coding, u8)> {
        answer
            .formats
            .iter()
            .map(coding)
            .filter(|&wanted| can(wanted) && offer.formats.iter().any(|format| coding(format) == wanted))
            .find_map(|wanted| {
                self.formats.iter().find(|format| coding(format) == wanted).map(|format| (wanted, format.payload_type))
            })
    }

    /// Returns what the payload types mean that are sent *to* this party.
    pub(super) fn formats(&self) -> &[Format] {
        &self.formats
    }
}

/// A party on hold by an address of zeroes (RFC 3264 §5.1) takes nothing, but may send: music, from where it was before.
pub(super) fn keep_source(remote: &mut Remote, place: &mut Option<SocketAddr>) {
    if remote.rtp.port() == 0 {
        return;
    }
    if !remote.rtp.ip().is_unspecified() {
        *place = Some(remote.rtp);
    } else if let Some(place) = *place {
        remote.rtp = place;
        remote.rtcp = None;
    }
}

/// A party that takes no media on a line.
pub(super) fn nowhere() -> Remote {
    Remote {
        rtp: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        rtcp: None,
        rtcp_mux: false,
        receives: false,
        formats: Vec::new(),
        ptime_ms: 20,
    }
}

fn payload(format: &Format) -> Payload {
    match coding(format) {
        Coding::Ours(codec) => Payload::Speech(codec),
        Coding::Foreign(_) if format.name.eq_ignore_ascii_case("telephone-event") => Payload::TelephoneEvent,
        Coding::Foreign(_) if format.name.eq_ignore_ascii_case("red") => Payload::Redundant { clock: format.clock },
        Coding::Foreign(foreign) => Payload::Other(foreign),
    }
}

/// The coding that a format is.
fn coding(format: &Format) -> Coding {
    Coding::of(&format.name, format.clock, format.channels, format.fmtp.as_deref().unwrap_or(""))
}

/// Takes what the policy does not let be offered out of an offer; nothing where all of it may be.
pub(super) fn restricted(offer: &Sdp, policy: &Policy) -> Option<Sdp> {
    let left = offer.with_only(|format| policy.lets(coding(format)))?;
    Sdp::parse(&left).ok()
}

/// Reads a description, or says why it cannot be anchored.
pub(super) fn read(body: &[u8]) -> Result<Sdp, Unreadable> {
    let sdp = Sdp::parse(body).map_err(|_| Unreadable)?;
    if sdp.media().len() > limits::MEDIA_LINES { Err(Unreadable) } else { Ok(sdp) }
}

/// The peer's session description cannot be read: 488.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unreadable;

/// Gives each line the pair that faces the one who will read it, and where SRTP is ours the profile and the keys.
pub(super) fn rewrite(sdp: &Sdp, facing: &[Option<PortPair>], ip: IpAddr, secured: Option<&[Option<Secured>]>) -> Vec<u8> {
    let here: Vec<Option<Here>> =
        facing.iter().map(|pair| pair.as_ref().map(|pair| Here { ip, rtp: pair.rtp, rtcp: pair.rtcp })).collect();
    let anchored = sdp.anchored(&here);
    // Its lines are those of one that was read, and at most `MEDIA_LINES` more.
    match secured {
        Some(secured) => Sdp::parse(&anchored).map_or_else(|_| sdp.rejected(), |sdp| sdp.secured(secured)),
        None => anchored,
    }
}
