//! Payloads of an announcement out of an rtpdump file, the format of rtptools that Wireshark writes too: one stream of RTP, whole.
//!
//! ```text
//!  #!rtpplay1.0 ADDRESS/PORT\n    and 16 bytes: when and where it was recorded
//!  length, 2 │ length of the RTP packet, 2 │ offset in ms, 4 │ packet    again and again
//! ```

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::limits::ANNOUNCEMENT_PACKET_BYTES;
use crate::wire::rtp::Rtp;

/// The payloads of one stream, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payloads {
    /// Each as it was in its packet.
    pub packets: Vec<Vec<u8>>,
    /// How many ticks of the RTP clock each of them is long.
    pub ticks: u32,
}

impl Payloads {
    /// Returns how long they are all together, by an RTP clock of so many Hz.
    #[must_use]
    pub fn duration(&self, clock: u32) -> Duration {
        let ticks = self.packets.len() as u64 * u64::from(self.ticks);
        Duration::from_micros(ticks * 1_000_000 / u64::from(clock.max(1)))
    }
}

/// Reads a file. Packets that came twice count once, and may have overtaken each other; RTCP among them is passed over.
///
/// # Errors
/// The file is none, or what it has is not one stream without a gap of packets that are all equally long; [`BadDump::remedy`] says what to
/// do.
pub fn read(bytes: &[u8]) -> Result<Payloads, BadDump> {
    let packets = packets(bytes)?;
    let [first, _, ..] = packets.as_slice() else { return Err(BadDump::TooFew) };
    if packets.iter().any(|packet| (packet.ssrc(), packet.payload_type()) != (first.ssrc(), first.payload_type())) {
        return Err(BadDump::Streams);
    }
    let mut in_order: Vec<_> =
        packets.iter().map(|packet| (packet.sequence().wrapping_sub(first.sequence()).cast_signed(), packet)).collect();
    if packets.len() > LONGEST {
        return Err(BadDump::TooLong);
    }
    in_order.sort_by_key(|&(place, _)| place);
    in_order.dedup_by_key(|&mut (place, _)| place);
    let steps = || in_order.iter().zip(in_order.iter().skip(1));
    if let Some(((_, before), _)) = steps().find(|((before, _), (place, _))| *place != before + 1) {
        return Err(BadDump::Gap { after: before.sequence() });
    }
    let ticks = steps().map(|((_, before), (_, packet))| packet.timestamp().wrapping_sub(before.timestamp()));
    let each = ticks.clone().next().unwrap_or(0);
    if each == 0 || ticks.clone().any(|ticks| ticks != each) {
        return Err(BadDump::Uneven);
    }
    if in_order.iter().any(|(_, packet)| !(1..=ANNOUNCEMENT_PACKET_BYTES).contains(&packet.payload().len())) {
        return Err(BadDump::Payload);
    }
    Ok(Payloads { packets: in_order.into_iter().map(|(_, packet)| packet.payload().to_vec()).collect(), ticks: each })
}

/// Half of what sequence numbers tell apart, so that which packet is which is certain: 10 minutes of 20 ms.
const LONGEST: usize = 1 << 15;

fn packets(bytes: &[u8]) -> Result<Vec<Rtp<'_>>, BadDump> {
    let rest = bytes.strip_prefix(b"#!rtpplay1.0 ").ok_or_else(|| BadDump::NotADump { looks_like: looks_like(bytes) })?;
    let line = rest.iter().position(|&byte| byte == b'\n').ok_or(BadDump::Cut)?;
    let mut rest = rest.get(line + 1 + FILE_HEADER..).ok_or(BadDump::Cut)?;
    let mut packets = Vec::new();
    while let Some((&[l0, l1, p0, p1, _, _, _, _], after)) = rest.split_first_chunk::<8>() {
        let [length, of_packet] = [[l0, l1], [p0, p1]].map(|two| usize::from(u16::from_be_bytes(two)));
        let (packet, next) = length.checked_sub(8).and_then(|length| after.split_at_checked(length)).ok_or(BadDump::Cut)?;
        rest = next;
        // 0 marks a packet of RTCP.
        if of_packet == 0 {
            continue;
        }
        if of_packet > packet.len() {
            return Err(BadDump::Shortened);
        }
        packets.extend(packet.get(..of_packet).and_then(Rtp::parse));
    }
    if rest.is_empty() { Ok(packets) } else { Err(BadDump::Cut) }
}

/// When it was recorded, from where, and two bytes that mean nothing.
const FILE_HEADER: usize = 16;

fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => "pcapng",
        [0xd4, 0xc3, 0xb2, 0xa1, ..] | [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => "pcap",
        [b'R', b'I', b'F', b'F', ..] => "WAV",
        [b'#', b'!', b'A', b'M', b'R', ..] => "AMR",
        _ => "no rtpdump file",
    }
}

/// Why a file of payloads cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadDump {
    /// It does not begin as an rtpdump file does.
    NotADump {
        /// What it seems to be.
        looks_like: &'static str,
    },
    /// It ends within a packet, or before the first.
    Cut,
    /// Its packets were not written whole.
    Shortened,
    /// It has fewer than two packets.
    TooFew,
    /// It has more packets than sequence numbers tell apart for certain.
    TooLong,
    /// It has packets of several sources, or of several payload types.
    Streams,
    /// A packet is missing.
    Gap {
        /// The sequence number of the one before it.
        after: u16,
    },
    /// Its packets are not all of one length.
    Uneven,
    /// A packet has no payload, or more than an announcement's packet may have.
    Payload,
}

impl BadDump {
    /// Returns what to do, in one line.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotADump { .. } => "Wireshark makes one: Telephony, RTP, RTP Streams, choose the stream, Export",
            Self::Cut | Self::Shortened => "write it again, with whole packets: rtpdump -F dump, or Wireshark's export",
            Self::TooFew => "is it the stream with the announcement?",
            Self::TooLong => "an announcement of ten minutes tells nobody anything",
            Self::Streams => "export the one stream of the announcement, without keys and comfort noise",
            Self::Gap { .. } => "record it again where no packet is lost, as on one machine",
            Self::Uneven => "record it without suppression of silence (VAD, DTX), and with one ptime",
            Self::Payload => "record it with a shorter ptime",
        }
    }
}

impl fmt::Display for BadDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADump { looks_like } => write!(f, "it is no rtpdump file, it looks like {looks_like}"),
            Self::Cut => f.write_str("it is cut off"),
            Self::Shortened => f.write_str("its packets are not whole"),
            Self::TooFew => f.write_str("it has fewer than two packets of RTP"),
            Self::TooLong => write!(f, "it has more than {LONGEST} packets"),
            Self::Streams => f.write_str("it has packets of several sources or payload types"),
            Self::Gap { after } => write!(f, "the packet after number {after} is missing"),
            Self::Uneven => f.write_str("its packets are not all of one length"),
            Self::Payload => write!(f, "a packet has no payload, or one of more than {ANNOUNCEMENT_PACKET_BYTES} bytes"),
        }
    }
}

impl Error for BadDump {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::wire::rtp::Header;

    #[test]
    fn a_stream_gives_its_payloads_in_order() {
        let rtcp = (vec![0x80, 200, 0, 6], 0);
        let stream = [packet(65_535, 0, b"one"), packet(1, 320, b"three"), rtcp, packet(0, 160, b"two"), packet(0, 160, b"two")];

        let payloads = read(&dump(&stream)).unwrap();

        assert_eq!(payloads, Payloads { packets: [&b"one"[..], b"two", b"three"].map(<[u8]>::to_vec).to_vec(), ticks: 160 });
    }

    #[test]
    fn what_is_not_one_whole_stream_is_refused_for_what_it_is() {
        let one = || packet(7, 0, b"one");
        let other = Header { payload_type: 19, marker: false, sequence: 8, timestamp: 160, ssrc: 5 };
        let cases: [(Vec<Entry>, BadDump); 8] = [
            (vec![], BadDump::TooFew),
            (vec![one()], BadDump::TooFew),
            (vec![one(), packet(9, 320, b"three")], BadDump::Gap { after: 7 }),
            (vec![one(), packet(8, 160, b"two"), packet(9, 400, b"three")], BadDump::Uneven),
            (vec![one(), packet(8, 0, b"two")], BadDump::Uneven),
            (vec![one(), packet(8, 160, b"")], BadDump::Payload),
            (vec![one(), (other.to_bytes().to_vec(), 12)], BadDump::Streams),
            (vec![one(), (vec![0x80; 12], 300)], BadDump::Shortened),
        ];
        for (packets, wrong) in cases {
            assert_eq!(read(&dump(&packets)), Err(wrong));
        }
        let whole = dump(&[one(), packet(8, 160, b"two")]);
        for end in (15..whole.len()).filter(|&end| end != whole.len() - 23 && end != whole.len() - 46) {
            assert_eq!(read(&whole[..end]), Err(BadDump::Cut), "{end}");
        }
        assert_eq!(read(b"RIFF...."), Err(BadDump::NotADump { looks_like: "WAV" }));
        assert_eq!(read(b""), Err(BadDump::NotADump { looks_like: "no rtpdump file" }));
    }

    /// A packet, and the length that the file gives it.
    type Entry = (Vec<u8>, u16);

    fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Entry {
        let header = Header { payload_type: 18, marker: false, sequence, timestamp, ssrc: 5 }.to_bytes();
        let packet = [&header[..], payload].concat();
        let length = packet.len().try_into().unwrap();
        (packet, length)
    }

    fn dump(packets: &[Entry]) -> Vec<u8> {
        let mut file = b"#!rtpplay1.0 127.0.0.1/4000\n0123456789abcdef".to_vec();
        for (packet, length) in packets {
            file.extend_from_slice(&u16::try_from(packet.len() + 8).unwrap().to_be_bytes());
            file.extend_from_slice(&length.to_be_bytes());
            file.extend_from_slice(&[0; 4]);
            file.extend_from_slice(packet);
        }
        file
    }
}
