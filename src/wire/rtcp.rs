//! RTCP (RFC 3550 §6): the packets of a compound, and their mapping in place for a stream that was spliced.

/// One packet of a compound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'p> {
    /// The packet type: 200 to 207 are known here.
    pub kind: u8,
    /// The five bits beside the version: how many report blocks, chunks or sources follow, or the format of a feedback.
    pub count: u8,
    /// The whole packet, its header of 4 bytes and its padding included.
    pub bytes: &'p [u8],
}

impl Packet<'_> {
    /// Returns when a sender report says it was sent: the middle 32 bits of its NTP time, as a report on it has them (RFC 3550 §6.4.1, LSR).
    #[must_use]
    pub fn lsr(&self) -> Option<u32> {
        let bytes = self.bytes.get(10..).filter(|_| self.kind == SR)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    }

    /// Returns LSR and DLSR of each report block: the sender report that it speaks of, and for how many 1/65,536 s the reporter had it.
    /// Blocks that speak of none are left out.
    pub fn heard_reports(&self) -> impl Iterator<Item = (u32, u32)> {
        let blocks = match self.kind {
            SR => self.bytes.get(28..),
            RR => self.bytes.get(8..),
            _ => None,
        };
        let (blocks, _) = blocks.unwrap_or_default().as_chunks::<24>();
        blocks.iter().take(self.count.into()).filter_map(|block| {
            let [.., a, b, c, d, e, f, g, h] = *block;
            let lsr = u32::from_be_bytes([a, b, c, d]);
            (lsr != 0).then_some((lsr, u32::from_be_bytes([e, f, g, h])))
        })
    }
}

/// Sender report.
pub const SR: u8 = 200;
/// Receiver report.
pub const RR: u8 = 201;
/// Source description.
pub const SDES: u8 = 202;
/// Goodbye.
pub const BYE: u8 = 203;
/// Transport layer feedback (RFC 4585).
pub const RTPFB: u8 = 205;
/// Payload-specific feedback (RFC 4585).
pub const PSFB: u8 = 206;
/// Extended report (RFC 3611).
pub const XR: u8 = 207;

/// Returns the packets of a compound; it ends before one that is cut or not of version 2.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let (bytes, after) = rest.split_at_checked(packet_len(rest)?)?;
        rest = after;
        let (&[first, kind], _) = bytes.split_first_chunk::<2>()?;
        Some(Packet { kind, count: first & 0x1f, bytes })
    })
}

/// Returns whether the datagram is packets from end to end, each of an RTCP type, and padded in none but the last (RFC 3550 §A.2).
///
/// A compound need not begin with a report: reduced-size RTCP does not (RFC 5506). SRTCP fails, because of its trailer.
#[must_use]
pub fn is_valid(compound: &[u8]) -> bool {
    let mut known = 0;
    let mut padded = false;
    for packet in packets(compound) {
        if padded || !(192..=223).contains(&packet.kind) {
            return false;
        }
        padded = packet.bytes.first().is_some_and(|first| first & 0x20 != 0);
        known += packet.bytes.len();
    }
    known > 0 && known == compound.len()
}

/// Returns the length that the packet at the head gives itself, if its version is 2.
fn packet_len(bytes: &[u8]) -> Option<usize> {
    let (&[first, _, high, low], _) = bytes.split_first_chunk::<4>()?;
    (first >> 6 == 2).then_some((usize::from(u16::from_be_bytes([high, low])) + 1) * 4)
}

/// Returns the SSRC of whoever sends a compound: that of its first packet, whatever it is.
#[must_use]
pub fn sender(compound: &[u8]) -> Option<u32> {
    compound.get(4..)?.first_chunk::<4>().map(|ssrc| u32::from_be_bytes(*ssrc))
}

/// How the RTCP of one peer changes on its way to the other, so that it fits the RTP as the other has received it.
///
/// The peer sends a stream, which goes on with its name and timestamps changed; and it reports on the stream that it receives, which had
/// been changed on its way to it, so that the report must be changed back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The SSRC that the peer sends with, and the one that it goes on with.
    pub sender: (u32, u32),
    /// What was added to the timestamps of the peer's RTP.
    pub timestamp: u32,
    /// The SSRC of the stream that the peer receives, and the one that its source had given it.
    pub reported: (u32, u32),
    /// What was added to the sequence numbers of the stream that the peer receives, counted over 32 bits.
    pub sequence: u32,
}

/// Maps a compound in place. Its length does not change; packets of unknown types and sources of other names stay as they are.
///
/// Reports (SR, RR), SDES, BYE, feedback and extended reports are mapped. Not to be used on SRTCP, which is encrypted.
pub fn map(compound: &mut [u8], mapping: &Mapping) {
    let &Mapping { sender, timestamp, reported, sequence } = mapping;
    map_all(compound, &Names { sender: Name::One(sender), timestamp, reported: Name::One(reported), sequence });
}

/// Masks in place the SSRCs of a compound: those that its sender sends with by one mask, those that it reports on by another. Each mask is
/// what an RTP stream's SSRCs are masked with (XOR), and 0 changes nothing. A report on the SSRC 0, which stands where none is meant, keeps it.
pub fn mask(compound: &mut [u8], sender: u32, reported: u32) {
    map_all(compound, &Names { sender: Name::Each(sender), timestamp: 0, reported: Name::EachMeant(reported), sequence: 0 });
}

/// A mapping or two masks.
struct Names {
    sender: Name,
    timestamp: u32,
    reported: Name,
    sequence: u32,
}

/// How a source is renamed.
#[derive(Clone, Copy)]
enum Name {
    /// One, from the first name to the second.
    One((u32, u32)),
    /// Whichever it is, by this mask.
    Each(u32),
    /// Likewise, but for 0.
    EachMeant(u32),
}

fn map_all(compound: &mut [u8], mapping: &Names) {
    let mut rest = compound;
    while let Some((packet, after)) = packet_len(rest).and_then(|len| rest.split_at_mut_checked(len)) {
        map_packet(packet, mapping);
        rest = after;
    }
}

fn map_packet(packet: &mut [u8], mapping: &Names) {
    let Some(&[first, kind]) = packet.first_chunk::<2>() else { return };
    let count = usize::from(first & 0x1f);
    match kind {
        SR => {
            if rename(packet, 4, mapping.sender) {
                add_u32(packet, 16, mapping.timestamp);
            }
            map_report_blocks(packet, 28, count, mapping);
        }
        RR => {
            rename(packet, 4, mapping.sender);
            map_report_blocks(packet, 8, count, mapping);
        }
        SDES => map_chunks(packet, count, mapping),
        BYE => (0..count).for_each(|source| {
            rename(packet, 4 + 4 * source, mapping.sender);
        }),
        RTPFB | PSFB => {
            rename(packet, 4, mapping.sender);
            rename(packet, 8, mapping.reported);
            // Entries of 8 bytes that begin with whom they are for: FIR, TMMBR and TMMBN (RFC 5104 §4.2.1, §4.2.2, §4.3.1).
            if matches!((kind, count), (PSFB, 4) | (RTPFB, 3 | 4)) {
                for entry in (12..packet.len()).step_by(8) {
                    rename(packet, entry, mapping.reported);
                }
            }
        }
        XR => {
            rename(packet, 4, mapping.sender);
            map_extended(packet, mapping);
        }
        _ => {}
    }
}

/// Report blocks of 24 bytes: the SSRC first, the extended highest sequence number at byte 8 (RFC 3550 §6.4.1).
fn map_report_blocks(packet: &mut [u8], at: usize, count: usize, mapping: &Names) {
    for block in (at..packet.len()).step_by(24).take(count) {
        if rename(packet, block, mapping.reported) {
            add_u32(packet, block + 8, mapping.sequence.wrapping_neg());
        }
    }
}

/// Chunks of an SSRC and items, ended by a zero and filled up to 32 bits (RFC 3550 §6.5).
fn map_chunks(packet: &mut [u8], count: usize, mapping: &Names) {
    let mut at = 4;
    for _ in 0..count {
        rename(packet, at, mapping.sender);
        at += 4;
        while let Some(&[kind, len]) = packet.get(at..).and_then(|item| item.first_chunk::<2>()) {
            if kind == 0 {
                break;
            }
            at += 2 + usize::from(len);
        }
        at = (at / 4 + 1) * 4;
    }
}

/// Blocks of extended reports (RFC 3611 §4): those about a source begin with its SSRC, and some give a range of sequence numbers.
fn map_extended(packet: &mut [u8], mapping: &Names) {
    const LOSS_RLE: u8 = 1;
    const DUPLICATE_RLE: u8 = 2;
    const RECEIPT_TIMES: u8 = 3;
    const DLRR: u8 = 5;
    const STATISTICS: u8 = 6;
    const VOIP_METRICS: u8 = 7;

    let mut at = 8;
    while let Some(&[kind, _, high, low]) = packet.get(at..).and_then(|block| block.first_chunk::<4>()) {
        let end = at + (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let Some(block) = packet.get_mut(at..end) else { return };
        match kind {
            LOSS_RLE | DUPLICATE_RLE | RECEIPT_TIMES | STATISTICS => map_range(block, mapping),
            VOIP_METRICS => {
                rename(block, 4, mapping.reported);
            }
            DLRR => (4..block.len()).step_by(12).for_each(|sub_block| {
                rename(block, sub_block, mapping.reported);
            }),
            _ => {}
        }
        at = end;
    }
}

/// A block that gives an SSRC, a first sequence number and the one after the last: the 16 bits of the packets themselves.
fn map_range(block: &mut [u8], mapping: &Names) {
    let [.., high, low] = mapping.sequence.wrapping_neg().to_be_bytes();
    let sequence = u16::from_be_bytes([high, low]);
    if rename(block, 4, mapping.reported) {
        add_u16(block, 8, sequence);
        add_u16(block, 10, sequence);
    }
}

/// Renames the source whose SSRC stands at this place, if it is meant. Returns whether it was.
fn rename(packet: &mut [u8], at: usize, name: Name) -> bool {
    let Some(ssrc) = word_mut(packet, at) else { return false };
    let old = u32::from_be_bytes(*ssrc);
    let new = match name {
        Name::One((from, to)) if from == old => to,
        Name::Each(mask) => old ^ mask,
        Name::EachMeant(mask) if old != 0 => old ^ mask,
        Name::One(_) | Name::EachMeant(_) => return false,
    };
    *ssrc = new.to_be_bytes();
    true
}

fn add_u32(packet: &mut [u8], at: usize, more: u32) {
    if let Some(word) = word_mut(packet, at) {
        *word = u32::from_be_bytes(*word).wrapping_add(more).to_be_bytes();
    }
}

fn add_u16(packet: &mut [u8], at: usize, more: u16) {
    if let Some(half) = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        *half = u16::from_be_bytes(*half).wrapping_add(more).to_be_bytes();
    }
}

fn word_mut(packet: &mut [u8], at: usize) -> Option<&mut [u8; 4]> {
    packet.get_mut(at..)?.first_chunk_mut::<4>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const MAPPING: Mapping =
        Mapping { sender: (0xaaaa_aaaa, 0xbbbb_bbbb), timestamp: 160, reported: (0xcccc_cccc, 0xdddd_dddd), sequence: 100 };

    #[test]
    fn a_compound_is_its_packets() {
        let compound = [sender_report(0xaaaa_aaaa, 0, &[]), sdes(0xaaaa_aaaa, b"a@b"), packet(0, 204, &[1; 8])].concat();

        let kinds: Vec<_> = packets(&compound).map(|packet| (packet.kind, packet.count, packet.bytes.len())).collect();

        assert_eq!(kinds, [(SR, 0, 28), (SDES, 1, 16), (204, 0, 12)]);
        assert!(is_valid(&compound));
        assert_eq!(packets(&compound[..compound.len() - 1]).count(), 2);
        assert!((0..compound.len()).filter(|&len| is_valid(&compound[..len])).eq([28, 44]));
    }

    #[test]
    fn only_the_last_packet_may_be_padded() {
        let mut padded = packet(0, RR, &[0; 8]);
        padded[0] |= 0x20;
        let plain = packet(0, RR, &[0; 4]);

        assert!(is_valid(&[&plain[..], &padded[..]].concat()));
        assert!(!is_valid(&[&padded[..], &plain[..]].concat()));
        assert!(!is_valid(&packet(0, 8, &[0; 8])), "not a type of RTCP");
    }

    #[test]
    fn a_sender_report_follows_its_stream() {
        let mut compound = sender_report(0xaaaa_aaaa, u32::MAX - 9, &[report(0xcccc_cccc, 0x0001_0010), report(0x1111_1111, 7)]);

        map(&mut compound, &MAPPING);

        assert_eq!(compound, sender_report(0xbbbb_bbbb, 150, &[report(0xdddd_dddd, 0x0000_ffac), report(0x1111_1111, 7)]));
    }

    #[test]
    fn a_report_of_another_sender_keeps_its_name_and_time() {
        let mut compound = sender_report(0x1111_1111, 5, &[report(0xcccc_cccc, 100)]);

        map(&mut compound, &MAPPING);

        assert_eq!(compound, sender_report(0x1111_1111, 5, &[report(0xdddd_dddd, 0)]));
    }

    #[test]
    fn receiver_report_description_and_goodbye_follow() {
        let with = |sender: u32, reported: u32, sequence: u32| {
            [
                packet(1, RR, &[&sender.to_be_bytes()[..], &report(reported, sequence)].concat()),
                [sdes(7, b"odd"), sdes(sender, b""), sdes(sender, b"four")].concat(),
                packet(2, BYE, &[&7_u32.to_be_bytes()[..], &sender.to_be_bytes(), b"\x03bye"].concat()),
                packet(1, PSFB, &[sender.to_be_bytes(), reported.to_be_bytes()].concat()),
                packet(1, 204, &sender.to_be_bytes()),
            ]
            .concat()
        };
        let mut compound = with(0xaaaa_aaaa, 0xcccc_cccc, 500);

        map(&mut compound, &MAPPING);

        let mut expected = with(0xbbbb_bbbb, 0xdddd_dddd, 400);
        let application = expected.len() - 4;
        expected[application..].copy_from_slice(&0xaaaa_aaaa_u32.to_be_bytes());
        assert_eq!(compound, expected);
    }

    #[test]
    fn all_chunks_of_a_description_follow() {
        let chunks = |a: u32, b: u32| {
            packet(2, SDES, &[&a.to_be_bytes()[..], b"\x01\x03a@b\0\0\0", &b.to_be_bytes(), b"\x01\x02cd\0\0\0\0"].concat())
        };
        let mut compound = chunks(1, 0xaaaa_aaaa);

        map(&mut compound, &MAPPING);

        assert_eq!(compound, chunks(1, 0xbbbb_bbbb));
    }

    #[test]
    fn a_mask_renames_all_sources_and_can_be_taken_off_again() {
        let with = |mask: u32, other: u32| {
            [
                sender_report(0xaaaa_aaaa ^ mask, 7, &[report(0xcccc_cccc ^ other, 100), report(0x1111_1111 ^ other, 7)]),
                sdes(0xaaaa_aaaa ^ mask, b"a@b"),
                packet(4, PSFB, &[0xaaaa_aaaa ^ mask, 0, 0xcccc_cccc ^ other, 1 << 24].map(u32::to_be_bytes).concat()),
                packet(15, RTPFB, &[0xaaaa_aaaa ^ mask, 0xcccc_cccc ^ other, 0xcccc_cccc].map(u32::to_be_bytes).concat()),
            ]
            .concat()
        };
        let mut compound = with(0, 0);

        mask(&mut compound, 0x1234_5678, 0x9abc_def0);
        assert_eq!(compound, with(0x1234_5678, 0x9abc_def0));
        assert_eq!(sender(&compound), Some(0xaaaa_aaaa ^ 0x1234_5678));

        mask(&mut compound, 0x1234_5678, 0x9abc_def0);
        assert_eq!(compound, with(0, 0));
        assert_eq!(sender(&compound[..7]), None);
    }

    #[test]
    fn extended_reports_follow() {
        let with = |sender: u32, reported: u32, first: u16| {
            let blocks = [
                &[4, 0, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9][..],
                &[7, 0, 0, 8],
                &reported.to_be_bytes(),
                &[5; 28],
                &[5, 0, 0, 3],
                &reported.to_be_bytes(),
                &[6; 8],
                &[1, 0, 0, 2],
                &reported.to_be_bytes(),
                &first.to_be_bytes(),
                &first.to_be_bytes(),
            ];
            packet(0, XR, &[&sender.to_be_bytes()[..], &blocks.concat()].concat())
        };
        let mut compound = with(0xaaaa_aaaa, 0xcccc_cccc, 50);

        map(&mut compound, &MAPPING);

        assert_eq!(compound, with(0xbbbb_bbbb, 0xdddd_dddd, 50_u16.wrapping_sub(100)));
    }

    #[test]
    fn a_count_beyond_the_packet_does_no_harm() {
        for kind in 192..=223 {
            for words in 0..8 {
                let mut compound = packet(31, kind, &[0xaa; 32][..words * 4]);
                let len = compound.len();
                map(&mut compound, &MAPPING);
                assert_eq!(compound.len(), len);
            }
        }
    }

    fn packet(count: u8, kind: u8, content: &[u8]) -> Vec<u8> {
        let words = u16::try_from(content.len().div_ceil(4)).unwrap();
        let mut packet = [&[0x80 | count, kind], &words.to_be_bytes()[..], content].concat();
        packet.resize(usize::from(words) * 4 + 4, 0);
        packet
    }

    fn sender_report(ssrc: u32, timestamp: u32, reports: &[[u8; 24]]) -> Vec<u8> {
        let content = [&ssrc.to_be_bytes()[..], &[1; 8], &timestamp.to_be_bytes(), &[2; 8], &reports.concat()].concat();
        packet(u8::try_from(reports.len()).unwrap(), SR, &content)
    }

    fn report(ssrc: u32, sequence: u32) -> [u8; 24] {
        let mut report = [3; 24];
        report[..4].copy_from_slice(&ssrc.to_be_bytes());
        report[8..12].copy_from_slice(&sequence.to_be_bytes());
        report
    }

    fn sdes(ssrc: u32, name: &[u8]) -> Vec<u8> {
        let len = u8::try_from(name.len()).unwrap();
        packet(1, SDES, &[&ssrc.to_be_bytes()[..], &[1, len], name, b"\0"].concat())
    }
}
