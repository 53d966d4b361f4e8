//! What goes into a lane, what comes out of it, and what it needs of whoever drives it.

use std::net::SocketAddr;

use crate::call::{RecordedFormat, Suspension};
use crate::consent::{Evidence, Permit};
use crate::ids::{CallId, RecordingId};
use crate::limits::MEDIA_PACKET_BYTES;
use crate::media::srtp::{NotSealed, Refused, Sealer};
use crate::media::{BridgeId, Event, Order, PortId, Sent};
use crate::vault::{EndReason, LastChunk, PlainChunk};

/// What signalling sends down.
#[derive(Debug)]
pub enum Down {
    /// An order for the plane.
    Order(Order),
    /// Begin to record.
    Record {
        /// The bridge that is mirrored.
        id: BridgeId,
        /// The call's recorder slot.
        slot: u32,
        /// The right to do so.
        permit: Permit,
        /// What the payload types mean.
        formats: Vec<RecordedFormat>,
    },
    /// What payload types mean from here on.
    Formats {
        /// The call's recorder slot.
        slot: u32,
        /// The meanings.
        formats: Vec<RecordedFormat>,
    },
    /// Keep nothing more of a recorded call, for now.
    Suspend {
        /// The call's recorder slot.
        slot: u32,
        /// Why.
        why: Suspension,
    },
    /// Go on keeping.
    Resume {
        /// The call's recorder slot.
        slot: u32,
    },
    /// End a recording.
    End {
        /// The call's recorder slot.
        slot: u32,
        /// Why.
        why: EndReason,
    },
}

/// What a lane sends up.
#[derive(Debug)]
pub enum Up {
    /// The plane saw something.
    Event(Event),
    /// This call cannot be recorded: the disk has more to do than it may have.
    NotRecorded(CallId),
}

/// What a lane needs of whoever drives it. Nothing of it may wait.
pub trait Outside {
    /// Sends a packet from a socket.
    fn send(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent;

    /// Passes a packet on from a socket, now or with others. What fails afterwards is told by [`Lane::not_relayed`](crate::lane::Lane::not_relayed).
    fn relay(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        self.send(port, to, packet)
    }

    /// Takes the next packet that lies in a socket already, into the buffer: its length and its source. Nothing where none lies there. What
    /// does not fit is cut.
    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)>;

    /// Hands the beginning of a recording to the disk, and says whether it was taken.
    #[must_use]
    fn begin(&mut self, evidence: Evidence) -> bool;

    /// Hands a chunk to the disk.
    ///
    /// # Errors
    /// The disk has as much to do as it may have: the chunk comes back, and becomes a gap.
    #[expect(clippy::result_large_err, reason = "what finds no place comes back whole, once, to become a gap")]
    fn chunk(&mut self, recording: RecordingId, chunk: PlainChunk) -> Result<(), PlainChunk>;

    /// Hands the end of a recording to the disk. It is always taken, unless the disk's thread is gone: the recording is torn then.
    fn end(&mut self, recording: RecordingId, last: LastChunk);

    /// Tells signalling.
    fn tell(&mut self, up: Up);
}

/// Bytes of a buffer that packets are taken into: one more than a packet may have, so that a longer one is seen to be longer; and behind
/// them what it may grow by when it is sealed, into which nothing is received.
pub const BUFFER_BYTES: usize = RECEIVED_BYTES + Sealer::GROWTH_MAX;

/// Bytes of them that a packet is received into.
pub const RECEIVED_BYTES: usize = MEDIA_PACKET_BYTES + 1;

/// What a lane counted since it was last asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tallies {
    /// Packets that came.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Packets that were passed on.
    pub forwarded: u64,
    /// Frames of announcements.
    pub announced: u64,
    /// Packets that the kernel did not take.
    pub send_errors: u64,
    /// Packets that were kept.
    pub recorded: u64,
    /// Chunks and recordings that the disk had no place for.
    pub gaps: u64,
    /// Packets from addresses that no party of the call has.
    pub strangers: u64,
    /// Packets of SRTP that were not opened ([`Refused::index`]).
    pub refused: [u64; Refused::ALL.len()],
    /// Packets that were not sealed, and so not sent ([`NotSealed::index`]).
    pub not_sealed: [u64; NotSealed::ALL.len()],
    /// Packets in whose place an announcement was heard; told when the call ends.
    pub replaced: u64,
    /// Packets to a party on hold; told when the call ends.
    pub held: u64,
    /// Packets of pressed keys, relayed and not kept; told when the call ends.
    pub withheld: u64,
}
