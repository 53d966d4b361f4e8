//! What a payload type means: by `a=rtpmap`, or by the static table of RFC 3551 §6.

/// One format of an RTP media.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format {
    /// The RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// The encoding's name as it came, or that of the static table; empty where neither gives one.
    pub name: String,
    /// The RTP clock in Hz; 0 where nothing gives one.
    pub clock: u32,
    /// Channels of sound; 1 where nothing else is said.
    pub channels: u8,
    /// The format's parameters, `a=fmtp` without its payload type.
    pub fmtp: Option<String>,
}

impl Format {
    /// Returns whether it has this encoding name, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the format as the static table has it.
    pub(super) fn from_table(payload_type: u8) -> Self {
        let (name, clock, channels) = match payload_type {
            0 => ("PCMU", 8000, 1),
            3 => ("GSM", 8000, 1),
            4 => ("G723", 8000, 1),
            5 => ("DVI4", 8000, 1),
            6 => ("DVI4", 16_000, 1),
            7 => ("LPC", 8000, 1),
            8 => ("PCMA", 8000, 1),
            9 => ("G722", 8000, 1),
            10 => ("L16", 44_100, 2),
            11 => ("L16", 44_100, 1),
            12 => ("QCELP", 8000, 1),
            13 => ("CN", 8000, 1),
            14 => ("MPA", 90_000, 1),
            15 => ("G728", 8000, 1),
            16 => ("DVI4", 11_025, 1),
            17 => ("DVI4", 22_050, 1),
            18 => ("G729", 8000, 1),
            25 => ("CelB", 90_000, 1),
            26 => ("JPEG", 90_000, 1),
            28 => ("nv", 90_000, 1),
            31 => ("H261", 90_000, 1),
            32 => ("MPV", 90_000, 1),
            33 => ("MP2T", 90_000, 1),
            34 => ("H263", 90_000, 1),
            _ => ("", 0, 1),
        };
        Self { payload_type, name: name.to_owned(), clock, channels, fmtp: None }
    }

    /// Takes over what `a=rtpmap` says after its payload type: `name/clock` or `name/clock/channels`.
    pub(super) fn map(&mut self, encoding: &str) {
        let mut parts = encoding.split('/').map(str::trim);
        let (name, clock, channels) = (parts.next(), parts.next(), parts.next());
        if let (Some(name), Some(Ok(clock))) = (name.filter(|name| !name.is_empty()), clock.map(str::parse)) {
            name.clone_into(&mut self.name);
            self.clock = clock;
            self.channels = channels.and_then(|channels| channels.parse().ok()).unwrap_or(1);
        }
    }
}
