//! What holds of `wire::rtcp` for any bytes: a mapping changes no length and no type, and can be undone.

use mitschnitt::wire::rtcp::{Mapping, Packet, is_valid, map, packets};

/// Checks all properties with one compound.
pub(crate) fn check(data: &[u8]) {
    let bytes: usize = packets(data).map(|packet| packet.bytes.len()).sum();
    assert!(bytes <= data.len());
    assert!(!is_valid(data) || bytes == data.len());

    // The names are of the data, so that the mapping finds them: of the first packet, and of its first report.
    let word = |at: usize| data.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(7, u32::from_be_bytes);
    let (sender, reported) = (word(4), if data.get(1) == Some(&200) { word(28) } else { word(8) });
    if sender == reported || [sender, reported].iter().any(|&ssrc| ssrc == NEW || ssrc == OLD) {
        return;
    }
    let mapping = Mapping { sender: (sender, NEW), timestamp: 0x1234_5678, reported: (reported, OLD), sequence: 0x0001_0203 };
    let mut mapped = data.to_vec();
    map(&mut mapped, &mapping);

    assert_eq!(mapped.len(), data.len());
    assert!(packets(&mapped).map(frame).eq(packets(data).map(frame)), "types, counts and lengths stay");
    assert_eq!(is_valid(&mapped), is_valid(data));
    let known = |kind: u8| matches!(kind, 200..=203 | 205..=207);
    for (old, new) in packets(data).zip(packets(&mapped)) {
        assert!(known(old.kind) || old.bytes == new.bytes, "an unknown packet is as it came");
    }

    if !contains(data, NEW) && !contains(data, OLD) {
        let back = Mapping {
            sender: (NEW, sender),
            timestamp: mapping.timestamp.wrapping_neg(),
            reported: (OLD, reported),
            sequence: mapping.sequence.wrapping_neg(),
        };
        map(&mut mapped, &back);
        assert_eq!(mapped, data, "mapped back, it is as it came");
    }
}

fn frame(packet: Packet<'_>) -> (u8, u8, usize) {
    (packet.kind, packet.count, packet.bytes.len())
}

fn contains(data: &[u8], ssrc: u32) -> bool {
    data.windows(4).any(|window| window == ssrc.to_be_bytes())
}

const NEW: u32 = 0x9e37_79b9;
const OLD: u32 = 0x7f4a_7c15;
