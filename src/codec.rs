//! The speech codecs that the recorder itself speaks and hears; all other codecs are relayed and recorded as they come.

/// A codec, with all that its RTP clock and its bytes depend on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s: 16 kHz of sound under an RTP clock of 8 kHz, for historical reasons (RFC 3551 §4.5.2).
    G722,
    /// Linear samples of 16 bits in network order (RFC 3551 §4.5.11).
    L16 {
        /// Samples a second, which is the RTP clock: one of [`Codec::L16_RATES`].
        rate: u32,
        /// 1, or 2: left and right in turn.
        channels: u8,
    },
    /// Opus, whose RTP clock is 48 kHz and whose description says two channels, whatever is in it (RFC 7587 §4.1, §7).
    Opus,
}

impl Codec {
    /// The three of 64 kbit/s, in the order of their static payload types: 8 bytes and 8 RTP clock ticks a millisecond for each of them
    /// (RFC 3551 §4.5.2, §4.5.14).
    pub const TELEPHONE: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// Those that an announcement is made in: of linear samples the rates that telephones and studios have, in one channel.
    pub const ANNOUNCED: [Self; 8] = [
        Self::Pcmu,
        Self::Pcma,
        Self::G722,
        Self::Opus,
        Self::L16 { rate: 8000, channels: 1 },
        Self::L16 { rate: 16_000, channels: 1 },
        Self::L16 { rate: 44_100, channels: 1 },
        Self::L16 { rate: 48_000, channels: 1 },
    ];

    /// The rates of linear samples that RFC 3551 §4.1 wants used, in Hz.
    pub const L16_RATES: [u32; 8] = [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

    /// Payload bytes for each millisecond of [`Codec::TELEPHONE`], and RTP clock ticks for each millisecond as well.
    pub const BYTES_PER_MS: usize = 8;

    /// Returns the encoding name of RFC 3551, as it stands in `a=rtpmap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::L16 { .. } => "L16",
            Self::Opus => "opus",
        }
    }

    /// Returns the codec of [`Codec::TELEPHONE`] with this encoding name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::TELEPHONE.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Returns the codec that `a=rtpmap` says: its encoding name in any case, its RTP clock in Hz, its channels, where 0 and 1 are one.
    #[must_use]
    pub fn from_rtpmap(name: &str, clock: u32, channels: u8) -> Option<Self> {
        let channels = channels.max(1);
        if name.eq_ignore_ascii_case("L16") {
            let is_known = Self::L16_RATES.contains(&clock) && channels <= 2;
            return is_known.then_some(Self::L16 { rate: clock, channels });
        }
        if name.eq_ignore_ascii_case("opus") {
            return (clock == 48_000).then_some(Self::Opus);
        }
        Self::from_name(name).filter(|_| (clock, channels) == (8000, 1))
    }

    /// Returns the static payload type, where it has one (RFC 3551 §6, table 4).
    #[must_use]
    pub const fn payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::L16 { rate: 44_100, channels: 2 } => Some(10),
            Self::L16 { rate: 44_100, channels: 1 } => Some(11),
            Self::L16 { .. } | Self::Opus => None,
        }
    }

    /// Returns the codec of a static payload type.
    #[must_use]
    pub const fn from_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            9 => Some(Self::G722),
            10 => Some(Self::L16 { rate: 44_100, channels: 2 }),
            11 => Some(Self::L16 { rate: 44_100, channels: 1 }),
            _ => None,
        }
    }

    /// Returns the sound's sampling rate in Hz (not the RTP clock).
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
            Self::G722 => 16_000,
            Self::L16 { rate, .. } => rate,
            Self::Opus => 48_000,
        }
    }

    /// Returns the RTP clock in Hz.
    #[must_use]
    pub const fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8000,
            Self::L16 { rate, .. } => rate,
            Self::Opus => 48_000,
        }
    }

    /// Returns how many channels its description says the sound has.
    #[must_use]
    pub const fn channels(self) -> u8 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
            Self::L16 { channels, .. } => channels,
            Self::Opus => 2,
        }
    }

    /// Returns the byte that pads a last frame: silence in G.711 and in linear samples, a zero codeword pair of the lowest energy in G.722.
    /// Frames of Opus are whole by themselves.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
            Self::G722 => 0xfa,
            Self::L16 { .. } | Self::Opus => 0,
        }
    }
}
