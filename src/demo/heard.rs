//! What a phone heard: every RTP packet as it arrived, and what can be said of the stream they make.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtp::header::Header;

/// One RTP packet as it arrived, read by the crate `rtp`.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When it arrived.
    pub at: Instant,
    /// Who sent it.
    pub from: SocketAddr,
    /// Its header.
    pub header: Header,
    /// Its payload, without padding.
    pub payload: Bytes,
}

/// What an RTP receiver can tell of a stream, in the order of arrival.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stream {
    /// Packets that arrived.
    pub packets: u64,
    /// The synchronisation sources, in the order in which each took over; a steady stream has one.
    pub ssrcs: Vec<u32>,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets whose timestamp is not what their place after the packet before them asks for: 20 ms for each sequence number, or, in
    /// and after a key, the clock's time.
    pub timestamp_jumps: u64,
    /// The longest time between two packets.
    pub longest_pause: Duration,
    /// Audio packets with the marker.
    pub markers: u64,
}

impl Stream {
    /// Looks through the packets of one stream; `keys` is the payload type of `telephone-event`.
    #[must_use]
    pub fn of(packets: &[Heard], keys: Option<u8>) -> Self {
        let mut stream = Self::default();
        let mut before: Option<&Heard> = None;
        // The sequence number and timestamp that place a packet in time. A key's packets all carry the timestamp of its start.
        let mut place: Option<(u16, u32)> = None;
        let mut seen = std::collections::HashSet::new();
        for packet in packets {
            let header = &packet.header;
            stream.packets += 1;
            if stream.ssrcs.last() != Some(&header.ssrc) {
                stream.ssrcs.push(header.ssrc);
                (before, place) = (None, None);
                seen.clear();
            }
            let is_key = keys == Some(header.payload_type);
            stream.markers += u64::from(header.marker && !is_key);
            if !seen.insert(header.sequence_number) {
                stream.duplicate += 1;
                continue;
            }
            if let Some(last) = before {
                stream.longest_pause = stream.longest_pause.max(packet.at.duration_since(last.at));
                match header.sequence_number.wrapping_sub(last.header.sequence_number) {
                    1 => {}
                    ahead @ 2..0x8000 => stream.lost += u64::from(ahead - 1),
                    _ => {
                        stream.late += 1;
                        stream.lost = stream.lost.saturating_sub(1);
                        continue;
                    }
                }
                // 64k packets on, the same number is another packet.
                seen.remove(&header.sequence_number.wrapping_sub(0x8000));
            }
            if let Some((sequence, timestamp)) = place
                && !is_key
            {
                let steps = u32::from(header.sequence_number.wrapping_sub(sequence));
                stream.timestamp_jumps += u64::from(header.timestamp.wrapping_sub(timestamp) != steps * TICKS);
            }
            if !is_key {
                place = Some((header.sequence_number, header.timestamp));
            }
            before = Some(packet);
        }
        stream
    }

    /// Returns whether the receiver heard one source, every packet of it, each in its place.
    #[must_use]
    pub const fn is_steady(&self) -> bool {
        self.ssrcs.len() == 1 && self.lost == 0 && self.late == 0 && self.duplicate == 0 && self.timestamp_jumps == 0
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} packets, {} source(s), {} lost, {} late, {} twice, {} timestamp jump(s), longest pause {} ms",
            self.packets,
            self.ssrcs.len(),
            self.lost,
            self.late,
            self.duplicate,
            self.timestamp_jumps,
            self.longest_pause.as_millis()
        )
    }
}

/// Returns the sound that was heard with this payload type as one string of bytes, in the order of the sequence numbers.
///
/// A packet that never came leaves no hole: use [`Stream`] to know.
#[must_use]
pub fn sound(packets: &[Heard], payload_type: u8) -> Vec<u8> {
    let mut ordered: Vec<(u32, &Heard)> = Vec::with_capacity(packets.len());
    let mut last = packets.first().map_or(0, |first| 0x1_0000 + u32::from(first.header.sequence_number));
    for packet in packets.iter().filter(|packet| packet.header.payload_type == payload_type) {
        // The number nearest to the last one, of all with these low 16 bits.
        let ahead = packet.header.sequence_number.wrapping_sub(low_bits(last));
        last = if ahead < 0x8000 { last + u32::from(ahead) } else { last.saturating_sub(0x1_0000 - u32::from(ahead)) };
        ordered.push((last, packet));
    }
    ordered.sort_by_key(|(number, _)| *number);
    ordered.dedup_by_key(|(number, _)| *number);
    ordered.iter().flat_map(|(_, packet)| packet.payload.iter().copied()).collect()
}

/// Returns where `needle` stands in `hay`, if it does.
#[must_use]
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    hay.windows(needle.len()).position(|window| window == needle)
}

/// RTP clock ticks in a packet of 20 ms.
pub(super) const TICKS: u32 = 160;

fn low_bits(number: u32) -> u16 {
    u16::try_from(number & 0xffff).expect("16 bits fit")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_a_hole_is_steady_across_the_wrap() {
        let packets: Vec<_> = (0..4).map(|i| packet(0xfffe_u16.wrapping_add(i), u32::from(i) * 160, 7, 0)).collect();

        assert!(Stream::of(&packets, None).is_steady(), "{}", Stream::of(&packets, None));
        assert_eq!(sound(&packets, 0), [0xfe, 0xff, 0, 1]);
    }

    #[test]
    fn a_key_keeps_its_timestamp_and_the_sound_after_it_its_place() {
        let mut packets = vec![packet(1, 0, 7, 0)];
        packets.extend((2..6).map(|i| packet(i, 160, 7, 101)));
        packets.push(packet(6, 5 * 160, 7, 0));

        assert!(Stream::of(&packets, Some(101)).is_steady());
        assert_eq!(Stream::of(&packets, None).timestamp_jumps, 4, "with nobody knowing the keys");
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let packets = [
            packet(1, 0, 7, 0),
            packet(3, 320, 7, 0),
            packet(2, 160, 7, 0),
            packet(4, 480, 7, 0),
            packet(4, 480, 7, 0),
            packet(6, 800, 7, 0),
            packet(7, 1000, 7, 0),
            packet(1, 0, 8, 0),
        ];

        let stream = Stream::of(&packets, None);

        assert_eq!((stream.lost, stream.late, stream.duplicate, stream.timestamp_jumps), (1, 1, 1, 1));
        assert_eq!(stream.ssrcs, [7, 8]);
        assert_eq!(sound(&packets[..5], 0), [1, 2, 3, 4]);
    }

    fn packet(sequence_number: u16, timestamp: u32, ssrc: u32, payload_type: u8) -> Heard {
        Heard {
            at: Instant::now(),
            from: "127.0.0.1:1".parse().unwrap(),
            header: Header { version: 2, sequence_number, timestamp, ssrc, payload_type, ..Header::default() },
            payload: Bytes::copy_from_slice(&[u8::try_from(sequence_number & 0xff).unwrap()]),
        }
    }
}
