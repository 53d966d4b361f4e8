//! What the payload types of one leg mean: as the recording says, or else as RFC 3551 does.

use std::collections::BTreeMap;

use crate::codec::Codec;
use crate::vault::Format;
use crate::wire::red;
use crate::wire::rtp::{self, Rtp};

/// What a payload is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    /// Sound that can be decoded here.
    Sound(Codec),
    /// Comfort noise (RFC 3389) or a telephone event (RFC 4733): no one's voice, silence on the timeline.
    Silence,
    /// Several payloads of other types in one, the newest last (RFC 2198).
    Redundant,
    /// Something that is not decoded here, by the name its users know.
    Unknown(String),
}

/// The payload types of one leg.
#[derive(Debug)]
pub(super) struct Codings(Vec<Option<Coding>>);

impl Codings {
    pub(super) fn new() -> Self {
        Self(vec![None; 128])
    }

    /// Learns what a payload type means from here on.
    pub(super) fn learn(&mut self, format: &Format) {
        if let Some(coding) = self.0.get_mut(usize::from(format.payload_type)) {
            *coding = Some(dynamic(format));
        }
    }

    /// Returns what a packet's own sound is, and where it lies: of a packet with redundancy, the newest payload in it.
    pub(super) fn of_packet<'p>(&self, rtp: &Rtp<'p>) -> (Coding, &'p [u8]) {
        match self.of(rtp.payload_type()) {
            Coding::Redundant => match red::newest(rtp.payload()).map(|(payload_type, payload)| (self.of(payload_type), payload))
            {
                Some((Coding::Redundant, _)) | None => (Coding::Unknown("red that is damaged".to_owned()), &[]),
                Some(found) => found,
            },
            coding @ (Coding::Sound(_) | Coding::Silence | Coding::Unknown(_)) => (coding, rtp.payload()),
        }
    }

    /// Returns whether a packet may have several payloads of other types in it.
    pub(super) fn is_redundant(&self, packet: &[u8]) -> bool {
        Formats::payload_type(packet).is_some_and(|payload_type| self.of(payload_type) == Coding::Redundant)
    }

    /// Returns what this payload type means.
    pub(super) fn of(&self, payload_type: u8) -> Coding {
        let known = self.0.get(usize::from(payload_type)).and_then(Option::as_ref);
        known.cloned().unwrap_or_else(|| fixed(payload_type))
    }
}

/// What the recording says of the payload types of one leg, for those who decode elsewhere.
#[derive(Debug, Default)]
pub(super) struct Formats(BTreeMap<u8, Format>);

impl Formats {
    /// Learns what a payload type means from here on.
    pub(super) fn learn(&mut self, format: &Format) {
        if format.payload_type < 128 {
            self.0.insert(format.payload_type, format.clone());
        }
    }

    /// Returns what has been said, by payload type.
    pub(super) fn said(&self) -> impl Iterator<Item = &Format> {
        self.0.values()
    }

    /// Returns a packet's payload type; none where it is no RTP.
    pub(super) fn payload_type(packet: &[u8]) -> Option<u8> {
        let rtp = if rtp::is_rtcp(packet) { None } else { Rtp::parse(packet) };
        rtp.map(|rtp| rtp.payload_type())
    }

    /// Returns what comes in a packet, by the name its users know: encoding, clock, channels if more than one.
    pub(super) fn name_in(&self, packet: &[u8]) -> String {
        match Self::payload_type(packet) {
            None => "no RTP".to_owned(),
            Some(payload_type) => match (self.0.get(&payload_type), Codec::from_payload_type(payload_type)) {
                (Some(format), _) => name(&format.name, format.clock, format.channels),
                (None, Some(codec)) => name(codec.name(), codec.clock(), codec.channels()),
                (None, None) => match fixed(payload_type) {
                    Coding::Unknown(name) => name,
                    Coding::Sound(_) | Coding::Silence | Coding::Redundant => "CN".to_owned(),
                },
            },
        }
    }
}

fn name(name: &str, clock: u32, channels: u8) -> String {
    if channels > 1 { format!("{name}/{clock}/{channels}") } else { format!("{name}/{clock}") }
}

fn dynamic(format: &Format) -> Coding {
    match Codec::from_rtpmap(&format.name, format.clock, format.channels) {
        Some(codec) => Coding::Sound(codec),
        None if ["CN", "telephone-event"].iter().any(|name| format.name.eq_ignore_ascii_case(name)) => Coding::Silence,
        None if format.name.eq_ignore_ascii_case("red") => Coding::Redundant,
        None => Coding::Unknown(name(&format.name, format.clock, format.channels)),
    }
}

/// RFC 3551 §6, tables 4 and 5.
fn fixed(payload_type: u8) -> Coding {
    let name = match payload_type {
        // 19 was comfort noise before RFC 3389, and some gateways still send it.
        13 | 19 => return Coding::Silence,
        3 => "GSM",
        4 => "G723",
        5 | 6 | 16 | 17 => "DVI4",
        7 => "LPC",
        12 => "QCELP",
        14 => "MPA",
        15 => "G728",
        18 => "G729",
        other => match Codec::from_payload_type(other) {
            Some(codec) => return Coding::Sound(codec),
            None => return Coding::Unknown(format!("payload type {other}")),
        },
    };
    Coding::Unknown(name.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Leg;

    #[test]
    fn what_the_recording_says_goes_before_the_static_table() {
        let mut codings = Codings::new();
        assert_eq!(codings.of(0), Coding::Sound(Codec::Pcmu));

        codings.learn(&format(0, "pcma", 8000, 1));
        codings.learn(&format(96, "G722", 8000, 1));
        codings.learn(&format(97, "opus", 48_000, 2));
        codings.learn(&format(98, "telephone-event", 8000, 1));
        codings.learn(&format(99, "PCMU", 16_000, 1));
        codings.learn(&format(100, "l16", 16_000, 0));
        codings.learn(&format(101, "L16", 48_000, 2));
        codings.learn(&format(102, "L16", 8123, 1));
        codings.learn(&format(103, "L16", 48_000, 6));
        codings.learn(&format(200, "PCMU", 8000, 1));

        assert_eq!(codings.of(0), Coding::Sound(Codec::Pcma));
        assert_eq!(codings.of(96), Coding::Sound(Codec::G722));
        assert_eq!(codings.of(97), Coding::Sound(Codec::Opus));
        assert_eq!(codings.of(98), Coding::Silence);
        assert_eq!(codings.of(99), Coding::Unknown("PCMU/16000".into()));
        assert_eq!(codings.of(100), Coding::Sound(Codec::L16 { rate: 16_000, channels: 1 }));
        assert_eq!(codings.of(101), Coding::Sound(Codec::L16 { rate: 48_000, channels: 2 }));
        assert_eq!(codings.of(102), Coding::Unknown("L16/8123".into()));
        assert_eq!(codings.of(103), Coding::Unknown("L16/48000/6".into()));
    }

    #[test]
    fn of_a_packet_with_redundancy_the_newest_payload_counts() {
        let mut codings = Codings::new();
        codings.learn(&format(121, "RED", 8000, 1));
        let of = |payload: &[u8]| {
            let packet = [&[0x80, 121, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], payload].concat();
            let (coding, found) = codings.of_packet(&Rtp::parse(&packet).unwrap());
            (coding, found.to_vec())
        };
        let damaged = (Coding::Unknown("red that is damaged".into()), vec![]);

        // Two bytes of A-law from 160 ticks before, one from 80, and then three of µ-law.
        let two = [0x80 | 8, 0x02, 0x80, 2, 0x80 | 8, 0x01, 0x40, 1, 0, 1, 2, 3, 7, 8, 9];
        assert_eq!(of(&two), (Coding::Sound(Codec::Pcmu), vec![7, 8, 9]));
        assert_eq!(of(&[13, 60]), (Coding::Silence, vec![60]));
        assert_eq!(of(&[18, 1, 2]), (Coding::Unknown("G729".into()), vec![1, 2]));
        for wrong in [&two[..10], &two[..8], &two[..3], &[][..], &[121, 0, 1]] {
            assert_eq!(of(wrong), damaged);
        }
    }

    #[test]
    fn without_a_word_the_static_table_holds() {
        let codings = Codings::new();

        assert_eq!([0, 8, 9].map(|kind| codings.of(kind)), Codec::TELEPHONE.map(Coding::Sound));
        assert_eq!(codings.of(10), Coding::Sound(Codec::L16 { rate: 44_100, channels: 2 }));
        assert_eq!(codings.of(11), Coding::Sound(Codec::L16 { rate: 44_100, channels: 1 }));
        assert_eq!(codings.of(13), Coding::Silence);
        assert_eq!(codings.of(18), Coding::Unknown("G729".into()));
        assert_eq!(codings.of(111), Coding::Unknown("payload type 111".into()));
    }

    fn format(payload_type: u8, name: &str, clock: u32, channels: u8) -> Format {
        Format { leg: Leg::Pbx, since: Duration::ZERO, payload_type, clock, channels, name: name.into() }
    }
}
