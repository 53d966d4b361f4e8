//! Redundancy (RFC 2198): several payloads in one packet, each of a type of its own.
//!
//! ```text
//!  F=1 │ type │ how long ago, 14 bits │ length, 10 bits    of each older payload
//!  F=0 │ type                                              of the newest
//!  the older payloads, and behind them the newest
//! ```

/// Returns the payload types that the headers name, the newest last. What is cut ends there.
pub fn types(payload: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = Some(payload);
    std::iter::from_fn(move || {
        let (&first, after) = rest.take()?.split_first()?;
        if first & MORE != 0 {
            rest = after.get(OLDER..);
        }
        Some(first & !MORE)
    })
}

/// Returns the newest payload and its type; nothing where the packet is cut.
#[must_use]
pub fn newest(payload: &[u8]) -> Option<(u8, &[u8])> {
    let (mut rest, mut before) = (payload, 0);
    loop {
        let (&first, after) = rest.split_first()?;
        if first & MORE == 0 {
            return Some((first, after.get(before..)?));
        }
        let (&[_, middle, low], after) = after.split_first_chunk::<OLDER>()?;
        before += usize::from(middle & 3) << 8 | usize::from(low);
        rest = after;
    }
}

/// F: another header follows.
const MORE: u8 = 0x80;

/// Bytes of an older payload's header behind its type.
const OLDER: usize = 3;

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Two older payloads of 2 and 1 bytes, and one of 3.
    const PACKET: [u8; 15] = [0x80 | 8, 0, 0, 2, 0x80 | 101, 0, 0, 1, 8, 1, 1, 2, 3, 3, 3];

    #[test]
    fn each_payload_has_its_type_and_the_newest_stands_last() {
        assert_eq!(types(&PACKET).collect::<Vec<_>>(), [8, 101, 8]);
        assert_eq!(newest(&PACKET), Some((8, &[3, 3, 3][..])));
        assert_eq!((types(&[8, 1]).collect::<Vec<_>>(), newest(&[8, 1])), (vec![8], Some((8, &[1][..]))));
    }

    #[test]
    fn what_is_cut_anywhere_ends_there() {
        for end in 0..12 {
            assert_eq!(newest(&PACKET[..end]), None, "{end}");
        }
        assert_eq!(types(&PACKET[..5]).collect::<Vec<_>>(), [8, 101]);
        assert_eq!(types(&PACKET[..7]).collect::<Vec<_>>(), [8, 101]);
        assert_eq!(types(&[]).count(), 0);
    }
}
