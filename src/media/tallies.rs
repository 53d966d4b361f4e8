//! What is counted: nothing is dropped without a name.

use crate::media::LegQuality;
use crate::media::srtp::{NotSealed, Refused};

/// What one bridge carried.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BridgeTallies {
    /// By the leg it came from, and what was played to that leg ([`Leg::index`](crate::ids::Leg::index)).
    pub legs: [LegTallies; 2],
    /// How good what came from each leg was, where the bridge carries audio.
    pub quality: [LegQuality; 2],
}

/// What came from one leg, what became of it, and what was played to it.
///
/// `packets` = forwarded + `replaced` + `held` + `late` + `not_sealed`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LegTallies {
    /// RTP packets (or other datagrams) that came from the party.
    pub packets: u64,
    /// Their bytes, headers of RTP included.
    pub bytes: u64,
    /// Packets that were handed out to be kept.
    pub kept: u64,
    /// Telephone-events, and packets in which the tones of a key sound: passed on, and withheld from the recording.
    pub withheld: u64,
    /// Packets whose payload type means no audio in either description: passed on, and not kept.
    pub unlisted: u64,
    /// Packets that the other party did not get, because it heard an announcement.
    pub replaced: u64,
    /// Packets that the other party did not get, because it is on hold or not described yet.
    pub held: u64,
    /// Packets that came too late: the other party's stream had gone on with something else.
    pub late: u64,
    /// Packets that the other party did not get, because they could not be sealed for it: repeated, say.
    pub not_sealed: u64,
    /// Packets from the party's address that its key does not open: dropped before anything else was thought of them.
    pub refused: u64,
    /// Datagrams from the party's address that are not what they should be: dropped.
    pub malformed: u64,
    /// RTCP packets that came from the party.
    pub rtcp: u64,
    /// Packets on this side's sockets from an address that was not described: dropped, never answered.
    pub strangers: u64,
    /// Packets of announcements that were sent to the party.
    pub announced: u64,
}

impl LegTallies {
    /// Returns how many of the party's packets went to the other one.
    #[must_use]
    pub const fn forwarded(&self) -> u64 {
        self.packets
            .saturating_sub(self.replaced)
            .saturating_sub(self.held)
            .saturating_sub(self.late)
            .saturating_sub(self.not_sealed)
    }
}

/// What the whole plane did since it was made, and what belongs to no bridge.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PlaneTallies {
    /// Bridges there are.
    pub bridges: u64,
    /// Every packet that was handed in.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that went on to the other party, RTCP included.
    pub forwarded: u64,
    /// Packets that were handed out to be kept.
    pub kept: u64,
    /// Packets of announcements that were sent.
    pub announced: u64,
    /// Packets to sockets that no bridge has: what is left of calls that ended.
    pub unowned: u64,
    /// Packets from addresses that no description gave.
    pub strangers: u64,
    /// Packets of SRTP and SRTCP that were not opened ([`Refused::index`]).
    pub refused: [u64; Refused::ALL.len()],
    /// Packets that were to go on by SRTP or SRTCP, those of announcements included, and were not sealed ([`NotSealed::index`]).
    pub not_sealed: [u64; NotSealed::ALL.len()],
    /// Orders about bridges that do not exist, or that ask for what cannot be: a fault of ours, not of a peer.
    pub misdirected: u64,
    /// Keys that were not told, because signalling did not fetch what it was told before.
    pub digits_lost: u64,
}
