//! What signalling tells the media plane: which parties a bridge joins, where they are, what to play, and whether to record.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::{Codec, Foreign};
use crate::consent::{Clip, Permit};
use crate::ids::{CallId, Leg};
use crate::media::Latching;
use crate::media::srtp::Keying;

/// The number that the shell gives to an open socket; an RTP socket and its RTCP socket have one each. Small, and used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(pub u32);

/// The two sockets of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PairIds {
    /// The RTP socket, on an even port.
    pub rtp: PortId,
    /// The RTCP socket, on the port after it.
    pub rtcp: PortId,
}

/// A bridge's name: one `m=` line of one dialog of one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BridgeId {
    /// The call.
    pub call: CallId,
    /// Which of the call's dialogs: each fork that answers has one.
    pub dialog: u16,
    /// Which of the `m=` lines, from 0.
    pub line: u16,
}

/// What is told to the plane.
#[derive(Debug)]
pub enum Order {
    /// Two port pairs are open: join them. Bridges of one call may share a pair, as the forks of one offer do.
    Bridge(Box<Bridging>),
    /// An offer/answer was completed: this is where the party on this leg is, and what it takes. Replaces what was described before.
    Describe {
        /// Which bridge.
        id: BridgeId,
        /// The party.
        leg: Leg,
        /// What its session description says.
        remote: Remote,
        /// The keys, where its media is SRTP: then nothing else is taken from it or sent to it.
        srtp: Option<Box<Srtp>>,
    },
    /// Play an announcement to this leg in place of the other party; [`Event::Played`](crate::media::Event::Played) or
    /// [`Event::Cut`](crate::media::Event::Cut) follows, unless it is stopped, replaced or the bridge closed.
    Announce(Announcing),
    /// Stop playing to this leg; the other party is heard again. What was stopped was not played.
    StopAnnouncement {
        /// Which bridge.
        id: BridgeId,
        /// The party that hears it.
        leg: Leg,
    },
    /// Both parties are in the call: tell from here on when nothing comes from either of them, or from one alone, for so long. Once for
    /// a bridge: another such order changes nothing, but that silence is told again where it is said to be.
    Watch {
        /// Which bridge.
        id: BridgeId,
        /// How long.
        patience: Duration,
        /// Whether it is to be told once more that nothing comes from either, if that is so.
        again: bool,
    },
    /// Mirror from here on what both parties send. The permit of another call is dropped.
    Record {
        /// Which bridge.
        id: BridgeId,
        /// The right to do so, held until `Unrecord` or `Close`.
        permit: Permit,
    },
    /// Mirror no more: the permit is dropped.
    Unrecord {
        /// Which bridge.
        id: BridgeId,
    },
    /// Take the bridge down; [`Event::Closed`](crate::media::Event::Closed) follows. The sockets stay the shell's.
    Close {
        /// Which bridge.
        id: BridgeId,
    },
}

/// The keys of one leg, one for each direction (RFC 4568).
#[derive(Clone, Debug)]
pub struct Srtp {
    /// What the party seals with.
    pub theirs: Keying,
    /// What we seal with towards the party. It must be of this line of this call alone; the forks of one offer share it, and what goes to
    /// each has an SSRC of its own.
    pub ours: Keying,
}

/// A bridge to build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bridging {
    /// Its name.
    pub id: BridgeId,
    /// The place of the call's recorder in the shell's table; handed back with each packet that may be kept, and not looked into.
    pub slot: u32,
    /// The sockets that face the PBX and the trunk ([`Leg::index`]).
    pub ports: [PairIds; 2],
    /// What it carries.
    pub content: Content,
    /// From where else than their descriptions say media of the PBX and of the trunk may come ([`Leg::index`]).
    pub latching: [Latching; 2],
}

/// What a bridge carries, and so what may be done with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Content {
    /// RTP audio: announced into, and recorded with a permit.
    Audio,
    /// Other RTP, as video: relayed.
    OtherRtp,
    /// Datagrams that are no RTP, as T.38 over UDPTL: relayed byte for byte.
    Datagrams,
}

/// An announcement to play.
#[derive(Clone, Debug)]
pub struct Announcing {
    /// Over which bridge.
    pub id: BridgeId,
    /// To whom.
    pub leg: Leg,
    /// What, in a coding that the party takes.
    pub clip: Clip,
    /// As which payload type; the party's description must give it the clip's coding.
    pub payload_type: u8,
}

/// One party as its session description has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Where it takes RTP, and where its RTP is taken from unless [`Bridging::latching`] allows more. An unspecified address or port 0
    /// takes nothing.
    pub rtp: SocketAddr,
    /// Where it takes RTCP if `a=rtcp` said so; otherwise the port after RTP.
    pub rtcp: Option<SocketAddr>,
    /// Whether RTCP goes over the RTP port for this party (RFC 5761), as offer and answer agreed.
    pub rtcp_mux: bool,
    /// Whether it takes media: not while it is `sendonly` or `inactive`.
    pub receives: bool,
    /// What it can receive, and so what may be sent to it.
    pub formats: Vec<PayloadFormat>,
    /// Milliseconds of sound in each packet that it likes best (`a=ptime`); 20 where it does not say.
    pub ptime_ms: u8,
}

/// What one payload type means to a party.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PayloadFormat {
    /// 0 to 127.
    pub payload_type: u8,
    /// What comes under it.
    pub payload: Payload,
}

/// What comes under a payload type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Payload {
    /// Speech that an announcement can be had in.
    Speech(Codec),
    /// Keys (RFC 4733): passed on, told, never kept.
    TelephoneEvent,
    /// Several payloads of other types in one (RFC 2198): kept as it came, unless a key is among them.
    Redundant {
        /// Its RTP clock in Hz.
        clock: u32,
    },
    /// Anything else: another speech codec, or comfort noise.
    Other(Foreign),
}
