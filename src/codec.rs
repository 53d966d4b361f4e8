//! The speech codecs that the recorder itself speaks and hears; all other codecs are relayed and recorded as they come.

/// A codec of 64 kbit/s: 8 bytes and 8 RTP clock ticks a millisecond for each of them (RFC 3551 §4.5.2, §4.5.14).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s: 16 kHz of sound under an RTP clock of 8 kHz, for historical reasons (RFC 3551 §4.5.2).
    G722,
}

impl Codec {
    /// All of them, in the order of their static payload types.
    pub const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// Payload bytes for each millisecond, and RTP clock ticks for each millisecond as well.
    pub const BYTES_PER_MS: usize = 8;

    /// Returns the encoding name of RFC 3551, as it stands in `a=rtpmap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    /// Returns the codec of this encoding name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Returns the static payload type (RFC 3551 §6, table 4).
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
        }
    }

    /// Returns the sound's sampling rate in Hz (not the RTP clock).
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
            Self::G722 => 16_000,
        }
    }

    /// Returns the byte that pads a last frame: silence in G.711, a zero codeword pair of the lowest energy in G.722.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
            Self::G722 => 0xfa,
        }
    }
}
