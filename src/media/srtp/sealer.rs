//! What goes to one leg: a packet is encrypted and authenticated where it lies, and none twice.

use std::fmt;

use crate::media::srtp::Keying;
use crate::media::srtp::context::Context;
use crate::media::srtp::sources::Sources;

/// Seals the RTP and RTCP that is sent to one party, all streams (SSRCs) under one master key of ours.
///
/// There must be one sealer for a key, and one only: two would use one keystream for two packets, and both could be read.
#[derive(Debug)]
pub struct Sealer {
    context: Context,
}

impl Sealer {
    /// Bytes that a packet grows by at most: a tag of GCM, the index of SRTCP, an MKI of 128 bytes.
    pub const GROWTH_MAX: usize = 16 + 4 + 128;

    /// Begins with the key that we said we send with.
    #[must_use]
    pub fn new(keying: Keying) -> Self {
        Self { context: Context::new(keying, Sources::default()) }
    }

    /// Seals under another key of ours from here on; with the same one, all goes on as it was.
    ///
    /// Rollover counters and SRTCP indexes count on (RFC 3711 §3.3.1, §3.4), and what was sealed stays known. A party that counts from 0
    /// under each key is served by [`Sealer::new`], or by another SSRC, for which both count from 0.
    pub fn succeed(&mut self, keying: Keying) {
        if !self.context.keying.is_same(&keying) {
            let sources = std::mem::take(&mut self.context.sources);
            self.context = Context::new(keying, sources);
        }
    }

    /// Returns whether it seals under this key.
    #[must_use]
    pub fn is_under(&self, keying: &Keying) -> bool {
        self.context.keying.is_same(keying)
    }

    /// Seals in place the RTP packet that is the first `len` bytes of the buffer, and returns the SRTP packet, which is longer by
    /// [`Sealer::GROWTH_MAX`] bytes at most.
    ///
    /// # Errors
    /// Where it must not be sent; the packet is left as it was.
    pub fn seal_rtp<'b>(&mut self, buffer: &'b mut [u8], len: usize) -> Result<&'b mut [u8], NotSealed> {
        let len = self.context.seal_rtp(buffer, len)?;
        Ok(buffer.get_mut(..len).unwrap_or_default())
    }

    /// Seals in place the compound RTCP packet that is the first `len` bytes of the buffer, likewise.
    ///
    /// # Errors
    /// Where it must not be sent; the packet is left as it was.
    pub fn seal_rtcp<'b>(&mut self, buffer: &'b mut [u8], len: usize) -> Result<&'b mut [u8], NotSealed> {
        let len = self.context.seal_rtcp(buffer, len)?;
        Ok(buffer.get_mut(..len).unwrap_or_default())
    }
}

/// A packet that must not be sent under this key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotSealed {
    /// It is not of version 2, or shorter than its header says.
    Malformed,
    /// The buffer has no room for the packet as it would be.
    NoRoom,
    /// One with its SSRC and sequence number was sealed, or it comes more than
    /// [`SRTP_REPLAY_WINDOW`](crate::limits::SRTP_REPLAY_WINDOW) packets late: two packets under one keystream could both be read
    /// (RFC 3711 §9.1).
    Repeated,
    /// It is of one stream more than [`SRTP_SOURCES`](crate::limits::SRTP_SOURCES).
    TooManySources,
    /// The key was used for as many packets as it may be: the parties must agree on another.
    Exhausted,
}

impl NotSealed {
    /// All that there are, each at its [`NotSealed::index`].
    pub const ALL: [Self; 5] = [Self::Malformed, Self::NoRoom, Self::Repeated, Self::TooManySources, Self::Exhausted];

    /// Returns its place among them.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns one word for it, as a metric has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoRoom => "no-room",
            Self::Repeated => "repeated",
            Self::TooManySources => "too-many-sources",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the packet is shorter than it says, or not of version 2",
            Self::NoRoom => "the buffer is too short for the packet once it is sealed",
            Self::Repeated => "the packet was sealed before, or comes too late to tell",
            Self::TooManySources => "the packet is of one stream too many under one key",
            Self::Exhausted => "the key was used for as many packets as it may be",
        })
    }
}

impl std::error::Error for NotSealed {}
