//! The speech codecs that the recorder itself speaks and hears; all other codecs are relayed and recorded as they come, and announced in
//! where an announcement's payloads lie ready for them.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

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

/// What speech is in, as a description says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Coding {
    /// A codec of ours.
    Ours(Codec),
    /// Another.
    Foreign(Foreign),
}

impl Coding {
    /// Returns the coding that `a=rtpmap` and `a=fmtp` say.
    #[must_use]
    pub fn of(name: &str, clock: u32, channels: u8, fmtp: &str) -> Self {
        Codec::from_rtpmap(name, clock, channels)
            .map_or_else(|| Self::Foreign(Foreign::of(name, clock, channels, fmtp)), Self::Ours)
    }

    /// Reads what an operator writes: `a=rtpmap` without its payload type, and after a blank the parameters of `a=fmtp` that the payload
    /// depends on, as `AMR-WB/16000 octet-align=1`.
    ///
    /// # Errors
    /// The text is not of this form, or names what is no speech.
    pub fn parse(text: &str) -> Result<Self, NotACoding> {
        let (rtpmap, fmtp) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = rtpmap.split('/');
        let (name, clock, channels) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let clock = clock.and_then(|clock| clock.parse().ok()).filter(|&clock| clock > 0);
        let channels = channels.map_or(Some(1), |channels| channels.parse().ok());
        let (Some(clock), Some(channels), true, None) = (clock, channels, is_name, parts.next()) else {
            return Err(NotACoding::Form);
        };
        if NO_SPEECH.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            return Err(NotACoding::NoSpeech);
        }
        Ok(Self::of(name, clock, channels, fmtp))
    }

    /// Returns the RTP clock in Hz.
    #[must_use]
    pub const fn clock(self) -> u32 {
        match self {
            Self::Ours(codec) => codec.clock(),
            Self::Foreign(foreign) => foreign.clock,
        }
    }
}

/// Audio formats that carry no speech of their own (RFC 4733, RFC 3389, RFC 2198).
const NO_SPEECH: [&str; 3] = ["telephone-event", "CN", "red"];

/// A codec that is not spoken here, told from any other by its description: name, clock, channels, and those parameters that change what a
/// payload looks like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Foreign {
    clock: u32,
    fingerprint: u64,
}

impl Foreign {
    /// Parameters by which two payloads of one codec are not of one form: those of AMR (RFC 4867 §8.1), and the frame of iLBC (RFC 3952 §4.2).
    /// All others, as `annexb` of G.729, say what may come as well, or what is liked.
    const OF_FORM: [&str; 6] = ["octet-align", "crc", "robust-sorting", "interleaving", "mode-set", "mode"];

    /// Returns the codec of this description.
    #[must_use]
    pub fn of(name: &str, clock: u32, channels: u8, fmtp: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (name.to_ascii_lowercase(), clock, channels.max(1)).hash(&mut hasher);
        for parameter in Self::OF_FORM {
            let said = fmtp
                .split(';')
                .filter_map(|said| said.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(parameter));
            // 0 is what is meant where nothing is said.
            let value = said.map(|(_, value)| value.split_ascii_whitespace().collect::<String>()).filter(|value| value != "0");
            value.hash(&mut hasher);
        }
        Self { clock, fingerprint: hasher.finish() }
    }

    /// Returns the RTP clock in Hz; 0 where its description gave none.
    #[must_use]
    pub const fn clock(self) -> u32 {
        self.clock
    }
}

/// The text is no coding of speech.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotACoding {
    /// It is not of the form of `a=rtpmap`.
    Form,
    /// What it names carries keys, comfort noise or other payloads.
    NoSpeech,
}

impl fmt::Display for NotACoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it has a name and a clock, as G729/8000",
            Self::NoSpeech => "it carries no speech",
        })
    }
}

impl std::error::Error for NotACoding {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_codec_is_told_by_what_its_payload_depends_on() {
        let amr = |fmtp| Coding::of("AMR", 8000, 1, fmtp);

        assert_eq!(amr("octet-align=1; mode-change-capability=2"), Coding::of("amr", 8000, 0, "OCTET-ALIGN = 1"));
        assert_eq!(amr(""), amr("octet-align=0;crc=0"));
        assert_ne!(amr(""), amr("octet-align=1"));
        assert_ne!(amr("mode-set=0,2"), amr("mode-set=7"));
        assert_eq!(Coding::of("G729", 8000, 1, "annexb=no"), Coding::of("G729", 8000, 1, ""));
        assert_ne!(amr(""), Coding::of("AMR-WB", 8000, 1, ""));
        assert_ne!(amr(""), Coding::of("AMR", 8000, 2, ""));
    }

    #[test]
    fn an_operators_words_are_read_as_a_description_is() {
        assert_eq!(Coding::parse("AMR-WB/16000 octet-align=1"), Ok(Coding::of("AMR-WB", 16_000, 1, "octet-align=1")));
        assert_eq!(Coding::parse("pcma/8000"), Ok(Coding::Ours(Codec::Pcma)));
        assert_eq!(Coding::parse("G729/8000").map(Coding::clock), Ok(8000));
        for wrong in ["", "G729", "G729/", "G729/0", "G729/8k", "G729/8000/x", "G729/8000/1/1", "a b/8000", "/8000"] {
            assert_eq!(Coding::parse(wrong), Err(NotACoding::Form), "{wrong}");
        }
        assert_eq!(Coding::parse("telephone-event/8000"), Err(NotACoding::NoSpeech));
    }
}
