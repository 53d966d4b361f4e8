//! What becomes of one packet: what may be kept of it, where it goes on, and how it is rewritten for that.

use std::net::SocketAddr;

use crate::consent::Covered;
use crate::ids::Leg;
use crate::media::PortId;
use crate::media::secure::Protocol;
use crate::wire::{rtcp, rtp};

/// What becomes of one packet.
#[derive(Debug, Default)]
#[must_use = "a packet whose verdict is dropped is lost to the other party"]
pub struct Verdict<'p> {
    /// The recorder's slot and the packet, where a permit covers it. It borrows the receive buffer: store it before the rewrite.
    pub keep: Option<(u32, Covered<'p>)>,
    /// Where it goes.
    pub forward: Option<Forward>,
}

/// Where a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forward {
    /// The socket to send it from.
    pub port: PortId,
    /// The party's address.
    pub to: SocketAddr,
    /// What to change in it; without one it goes on byte for byte.
    pub rewrite: Option<Rewrite>,
    /// How many bytes of what came go on: all, but where SRTP came.
    pub len: usize,
    /// With what it is sealed; nothing where the party takes plain RTP.
    pub seal: Option<Seal>,
}

/// With what a packet is sealed before it is sent: [`Plane::prepare`](crate::media::Plane::prepare) knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    pub(super) bridge: u32,
    /// Whose it is.
    pub(super) leg: Leg,
    pub(super) protocol: Protocol,
}

/// What to change in a packet so that it fits the stream which its receiver has heard so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewrite(pub(super) Change);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// The header of an RTP packet; its flags, CSRC, extension, payload and padding stay.
    Rtp(Place),
    /// Sources and counts of a compound RTCP packet.
    Rtcp(rtcp::Mapping),
    /// The source of an RTP packet, and nothing else.
    Source(u32),
    /// All sources of a compound RTCP packet, each by a mask.
    Masks {
        /// Of the streams that the sender of the compound sends.
        sent: u32,
        /// Of those that it was sent.
        heard: u32,
    },
}

/// A packet's place in the stream towards its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) talkspurt: Talkspurt,
}

/// Whether a packet is marked as the first after a silence (RFC 3551 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Talkspurt {
    /// The marker bit is set.
    Begins,
    /// The marker bit stays as it is.
    AsItCame,
}

impl Rewrite {
    /// Changes the packet in place. The bytes must be those that the verdict was about.
    pub fn apply(&self, packet: &mut [u8]) {
        match &self.0 {
            Change::Rtp(place) => {
                rtp::set_ssrc(packet, place.ssrc);
                rtp::set_sequence(packet, place.sequence);
                rtp::set_timestamp(packet, place.timestamp);
                match place.talkspurt {
                    Talkspurt::Begins => rtp::set_marker(packet, true),
                    Talkspurt::AsItCame => {}
                }
            }
            Change::Rtcp(mapping) => rtcp::map(packet, mapping),
            Change::Source(ssrc) => rtp::set_ssrc(packet, *ssrc),
            Change::Masks { sent, heard } => rtcp::mask(packet, *sent, *heard),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_changes_the_place_and_nothing_else() {
        // Padding, an extension, a source; the marker is not set.
        let before = [&[0xb1, 8, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0xbe, 0xde, 0, 0][..], b"sound", &[0, 2]].concat();
        let place = Place { ssrc: 0xa0a1_a2a3, sequence: 0xb0b1, timestamp: 0xc0c1_c2c3, talkspurt: Talkspurt::AsItCame };
        let mut packet = before.clone();

        Rewrite(Change::Rtp(place)).apply(&mut packet);

        assert_eq!(packet[..12], [0xb1, 8, 0xb0, 0xb1, 0xc0, 0xc1, 0xc2, 0xc3, 0xa0, 0xa1, 0xa2, 0xa3]);
        assert_eq!(packet[12..], before[12..]);

        Rewrite(Change::Rtp(Place { talkspurt: Talkspurt::Begins, ..place })).apply(&mut packet);
        assert_eq!(packet[1], 0x88);
    }
}
