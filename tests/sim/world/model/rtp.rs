//! An RTP packet as the model reads it (RFC 3550 §5.1), and a pressed key in one (RFC 4733 §2.3).

/// What the model looks at.
#[derive(Clone, Copy)]
pub(super) struct Rtp<'a> {
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    /// The padding bit is set: the model does not judge such a packet.
    pub(super) padded: bool,
    pub(super) payload: &'a [u8],
}

impl<'a> Rtp<'a> {
    /// Reads a packet; `None` where it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3], rest) = bytes.split_first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut payload = rest.get(usize::from(first & 0x0f) * 4..)?;
        if first & 0x10 != 0 {
            let (&[_, _, high, low], after) = payload.split_first_chunk::<4>()?;
            payload = after.get(usize::from(u16::from_be_bytes([high, low])) * 4..)?;
        }
        Some(Self {
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            padded: first & 0x20 != 0,
            payload,
        })
    }

    /// Returns the key of a telephone-event, and whether this packet says that it was let go.
    pub(super) fn key(&self) -> Option<(char, bool)> {
        let &[event, flags, _, _] = self.payload.first_chunk::<4>()?;
        Some((char::from(*b"0123456789*#ABCD".get(usize::from(event))?), flags & 0x80 != 0))
    }
}

/// Is this RTCP, by its second byte (RFC 5761 §4)?
pub(super) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// A hash by which two byte strings are taken for equal (FNV-1a, 64 bits): the same in each run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
