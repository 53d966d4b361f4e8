//! RTP packets (RFC 3550 §5.1): a view over the bytes, and the few fields that are written in place.

/// A packet, read where it lies: nothing is copied and nothing allocated.
#[derive(Clone, Copy)]
pub struct Rtp<'p> {
    fixed: &'p [u8; Header::LEN],
    header_len: usize,
    payload: &'p [u8],
}

impl<'p> Rtp<'p> {
    /// Reads a packet; `None` where it is shorter than its header says, or not of version 2.
    ///
    /// Tell RTCP apart with [`is_rtcp`] first: this does not. A padding count that cannot be is taken for no padding, because of an SRTP
    /// packet the count is encrypted.
    #[must_use]
    pub fn parse(packet: &'p [u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<{ Header::LEN }>()?;
        let [first, ..] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        let (_, mut rest) = rest.split_at_checked(usize::from(first & 0x0f) * 4)?;
        if first & 0x10 != 0 {
            let (&[_, _, high, low], after) = rest.split_first_chunk::<4>()?;
            (_, rest) = after.split_at_checked(usize::from(u16::from_be_bytes([high, low])) * 4)?;
        }
        let header_len = packet.len() - rest.len();
        let padding = if first & 0x20 == 0 { 0 } else { rest.last().map_or(0, |&count| usize::from(count)) };
        let payload = rest.len().checked_sub(padding).and_then(|len| rest.get(..len)).unwrap_or(rest);
        Some(Self { fixed, header_len, payload })
    }

    /// Returns the payload type.
    #[must_use]
    pub const fn payload_type(&self) -> u8 {
        let [_, second, ..] = *self.fixed;
        second & 0x7f
    }

    /// Returns the marker: of sound, the first packet after a silence (RFC 3551 §4.1).
    #[must_use]
    pub const fn marker(&self) -> bool {
        let [_, second, ..] = *self.fixed;
        second & 0x80 != 0
    }

    /// Returns the sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        let [_, _, a, b, ..] = *self.fixed;
        u16::from_be_bytes([a, b])
    }

    /// Returns the timestamp, in ticks of the payload type's clock.
    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = *self.fixed;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Returns which stream it is of.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        let [.., a, b, c, d] = *self.fixed;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Returns the payload, without header, extension and padding.
    #[must_use]
    pub const fn payload(&self) -> &'p [u8] {
        self.payload
    }

    /// Returns the bytes before the payload: the fixed header, contributing sources, the extension.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header_len
    }
}

/// Shows the header, nothing of what is said.
impl std::fmt::Debug for Rtp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, sequence, timestamp, ssrc) = (self.payload_type(), self.sequence(), self.timestamp(), self.ssrc());
        write!(f, "RTP {kind} seq {sequence} time {timestamp} ssrc {ssrc:08x}, {} bytes", self.payload.len())
    }
}

/// The fixed header of a packet of our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The payload type, 0 to 127; a higher bit is lost.
    pub payload_type: u8,
    /// The marker.
    pub marker: bool,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// Which stream it is of.
    pub ssrc: u32,
}

impl Header {
    /// Bytes of the fixed header.
    pub const LEN: usize = 12;

    /// Returns the header as it is sent: version 2, no padding, no extension, no contributing sources.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.to_be_bytes();
        let second = self.payload_type & 0x7f | if self.marker { 0x80 } else { 0 };
        [0x80, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]
    }
}

/// Writes the header of a packet of our own.
pub const fn write_header(out: &mut [u8; Header::LEN], header: Header) {
    *out = header.to_bytes();
}

/// Sets the payload type and keeps the marker. A packet without a whole header stays as it is, here and below.
pub fn set_payload_type(packet: &mut [u8], payload_type: u8) {
    if let Some([_, second, ..]) = packet.first_chunk_mut::<{ Header::LEN }>() {
        *second = *second & 0x80 | payload_type & 0x7f;
    }
}

/// Sets the marker.
pub fn set_marker(packet: &mut [u8], marker: bool) {
    if let Some([_, second, ..]) = packet.first_chunk_mut::<{ Header::LEN }>() {
        *second = *second & 0x7f | if marker { 0x80 } else { 0 };
    }
}

/// Sets the sequence number.
pub fn set_sequence(packet: &mut [u8], sequence: u16) {
    if let Some([_, _, a, b, ..]) = packet.first_chunk_mut::<{ Header::LEN }>() {
        [*a, *b] = sequence.to_be_bytes();
    }
}

/// Sets the timestamp.
pub fn set_timestamp(packet: &mut [u8], timestamp: u32) {
    if let Some([_, _, _, _, a, b, c, d, ..]) = packet.first_chunk_mut::<{ Header::LEN }>() {
        [*a, *b, *c, *d] = timestamp.to_be_bytes();
    }
}

/// Sets which stream it is of.
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    if let Some([.., a, b, c, d]) = packet.first_chunk_mut::<{ Header::LEN }>() {
        [*a, *b, *c, *d] = ssrc.to_be_bytes();
    }
}

/// Returns whether this is RTCP: version 2 and a second byte of 192 to 223, which no RTP payload type may look like (RFC 5761 §4).
#[must_use]
pub const fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, ..] if *first >> 6 == 2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { payload_type: 101, marker: true, sequence: 0xfffe, timestamp: 0x0102_0304, ssrc: 0xa0b0_c0d0 };

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let mut packet = vec![0; 12];
        write_header(packet.first_chunk_mut().unwrap(), HEADER);
        packet.extend_from_slice(b"sound");

        let rtp = Rtp::parse(&packet).unwrap();

        assert_eq!((rtp.payload_type(), rtp.marker(), rtp.sequence()), (101, true, 0xfffe));
        assert_eq!((rtp.timestamp(), rtp.ssrc(), rtp.payload(), rtp.header_len()), (0x0102_0304, 0xa0b0_c0d0, &b"sound"[..], 12));
    }

    #[test]
    fn sources_extension_and_padding_are_no_payload() {
        let mut packet = HEADER.to_bytes().to_vec();
        packet[0] |= 0x32; // padding, extension, two sources
        packet.extend_from_slice(&[1; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        packet.extend_from_slice(&[7, 7, 0, 0, 3]);

        let rtp = Rtp::parse(&packet).unwrap();

        assert_eq!((rtp.header_len(), rtp.payload()), (28, &[7, 7][..]));
    }

    #[test]
    fn a_packet_shorter_than_its_header_says_is_none() {
        let mut packet = HEADER.to_bytes().to_vec();
        assert!(Rtp::parse(&packet).is_some_and(|rtp| rtp.payload().is_empty()));
        packet[0] = 0x81;
        assert!(Rtp::parse(&packet).is_none(), "a source is missing");
        packet[0] = 0x90;
        assert!(Rtp::parse(&packet).is_none(), "the extension is missing");
        packet.extend_from_slice(&[0, 0, 0xff, 0xff]);
        assert!(Rtp::parse(&packet).is_none(), "the extension is cut");
        packet[0] = 0x40;
        assert!(Rtp::parse(&packet).is_none(), "version 1");
        assert!((0..12).all(|len| Rtp::parse(&HEADER.to_bytes()[..len]).is_none()));
    }

    #[test]
    fn an_impossible_padding_is_no_padding() {
        let mut packet = HEADER.to_bytes().to_vec();
        packet[0] |= 0x20;
        assert!(Rtp::parse(&packet).unwrap().payload().is_empty());
        packet.extend_from_slice(&[1, 2, 200]);
        assert_eq!(Rtp::parse(&packet).unwrap().payload(), [1, 2, 200]);
    }

    #[test]
    fn a_field_is_set_and_no_other() {
        let mut packet = [&HEADER.to_bytes()[..], b"sound"].concat();
        set_payload_type(&mut packet, 0x88);
        set_marker(&mut packet, false);
        set_sequence(&mut packet, 0);
        set_timestamp(&mut packet, 5);
        set_ssrc(&mut packet, 6);

        let expected = Header { payload_type: 8, marker: false, sequence: 0, timestamp: 5, ssrc: 6 };
        assert_eq!(packet, [&expected.to_bytes()[..], b"sound"].concat());
    }

    #[test]
    fn a_cut_header_is_not_written() {
        let mut packet = [0xaa; 11];
        set_payload_type(&mut packet, 1);
        set_marker(&mut packet, false);
        set_sequence(&mut packet, 1);
        set_timestamp(&mut packet, 1);
        set_ssrc(&mut packet, 1);

        assert_eq!(packet, [0xaa; 11]);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_type() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x81, 206, 0]) && is_rtcp(&[0x80, 223]));
        assert!(
            !is_rtcp(&[0x80, 0x80 | 8])
                && !is_rtcp(&[0x80, 191])
                && !is_rtcp(&[0x80, 224])
                && !is_rtcp(&[0, 200])
                && !is_rtcp(&[0x80])
        );
    }
}
