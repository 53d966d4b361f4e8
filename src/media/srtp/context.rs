//! A cryptographic context (RFC 3711 §3.2): one master key, what was derived from it, and which packets were used under it.

use std::fmt;

use crate::media::srtp::cipher::{Cipher, E_BIT, Packet, RTCP_HEADER};
use crate::media::srtp::keying::Keying;
use crate::media::srtp::opener::Refused;
use crate::media::srtp::sealer::NotSealed;
use crate::media::srtp::sources::Sources;
use crate::media::srtp::trailer::{INDEX, Protocol, Trailer};
use crate::media::srtp::window::RTCP_INDEX_MAX;
use crate::wire::rtp::Rtp;

/// One master key in one direction.
pub(super) struct Context {
    pub(super) keying: Keying,
    rtp: Half,
    rtcp: Half,
    pub(super) sources: Sources,
}

/// What is of one protocol.
struct Half {
    cipher: Cipher,
    trailer: Trailer,
    /// Packets that the key may still be used for, in all streams together (RFC 3711 §9.2).
    left: u64,
}

impl Context {
    pub(super) fn new(keying: Keying, sources: Sources) -> Self {
        let [rtp_packets, rtcp_packets] = keying.lifetimes;
        let half = |protocol, left| {
            let cipher = Cipher::new(&keying, protocol);
            let trailer = cipher.trailer(protocol, keying.mki.len());
            Half { cipher, trailer, left }
        };
        let (rtp, rtcp) = (half(Protocol::Rtp, rtp_packets), half(Protocol::Rtcp, rtcp_packets));
        Self { keying, rtp, rtcp, sources }
    }

    /// Opens an SRTP packet; returns how long it is then. A packet that is refused stays as it came, and so does the context.
    pub(super) fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let Self { keying, rtp: Half { cipher, trailer, left }, sources, .. } = self;
        let (text, behind) = split(packet, trailer.len)?;
        let rtp = Rtp::parse(text).ok_or(Refused::Malformed)?;
        let (ssrc, sequence, header_len) = (rtp.ssrc(), rtp.sequence(), rtp.header_len());
        if part(behind, &trailer.mki) != keying.mki {
            return Err(Refused::KeyName);
        }
        let tag = part(behind, &trailer.tag);
        let window = sources.window(ssrc, Protocol::Rtp).ok_or(Refused::TooManySources)?;
        if *left == 0 {
            return Err(Refused::Exhausted);
        }
        let mut refused = Refused::Exhausted;
        for index in window.guesses(sequence) {
            if window.has(index) {
                return Err(Refused::Replayed);
            }
            match cipher.open(Packet { protocol: Protocol::Rtp, ssrc, index, header_len, text }, tag) {
                Ok(()) => {
                    *left -= 1;
                    sources.add(ssrc, Protocol::Rtp, index);
                    return Ok(text.len());
                }
                Err(_) => refused = Refused::Tag,
            }
        }
        Err(refused)
    }

    /// Opens an SRTCP packet, likewise.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let Self { keying, rtcp: Half { cipher, trailer, left }, sources, .. } = self;
        let (text, behind) = split(packet, trailer.len)?;
        let ssrc = rtcp_ssrc(text).ok_or(Refused::Malformed)?;
        if part(behind, &trailer.mki) != keying.mki {
            return Err(Refused::KeyName);
        }
        let &[e, rest @ ..]: &[u8; INDEX] = part(behind, &trailer.index).try_into().map_err(|_| Refused::Malformed)?;
        if e & E_BIT == 0 {
            return Err(Refused::Unencrypted);
        }
        let [a, b, c] = rest;
        let index = u64::from(u32::from_be_bytes([e & !E_BIT, a, b, c]));
        let window = sources.window(ssrc, Protocol::Rtcp).ok_or(Refused::TooManySources)?;
        if *left == 0 {
            return Err(Refused::Exhausted);
        }
        if window.has(index) {
            return Err(Refused::Replayed);
        }
        let packet = Packet { protocol: Protocol::Rtcp, ssrc, index, header_len: RTCP_HEADER, text };
        cipher.open(packet, part(behind, &trailer.tag)).map_err(|_| Refused::Tag)?;
        *left -= 1;
        sources.add(ssrc, Protocol::Rtcp, index);
        Ok(text.len())
    }

    /// Seals the RTP packet that `buffer` begins with; returns how long it is then.
    pub(super) fn seal_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, NotSealed> {
        let Self { keying, rtp: Half { cipher, trailer, left }, sources, .. } = self;
        let (text, behind) = room(buffer, len, trailer.len)?;
        let rtp = Rtp::parse(text).ok_or(NotSealed::Malformed)?;
        let (ssrc, sequence, header_len) = (rtp.ssrc(), rtp.sequence(), rtp.header_len());
        let window = sources.window(ssrc, Protocol::Rtp).ok_or(NotSealed::TooManySources)?;
        let index = window.guess(sequence).filter(|_| *left > 0).ok_or(NotSealed::Exhausted)?;
        if window.has(index) {
            return Err(NotSealed::Repeated);
        }
        *left -= 1;
        sources.add(ssrc, Protocol::Rtp, index);
        put(behind, &trailer.mki, &keying.mki);
        if let Some(tag) = behind.get_mut(trailer.tag.clone()) {
            cipher.seal(Packet { protocol: Protocol::Rtp, ssrc, index, header_len, text }, tag);
        }
        Ok(len + trailer.len)
    }

    /// Seals the compound that `buffer` begins with, likewise.
    pub(super) fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, NotSealed> {
        let Self { keying, rtcp: Half { cipher, trailer, left }, sources, .. } = self;
        let (text, behind) = room(buffer, len, trailer.len)?;
        let ssrc = rtcp_ssrc(text).ok_or(NotSealed::Malformed)?;
        let window = sources.window(ssrc, Protocol::Rtcp).ok_or(NotSealed::TooManySources)?;
        let index = Some(window.next()).filter(|&index| *left > 0 && index <= RTCP_INDEX_MAX).ok_or(NotSealed::Exhausted)?;
        *left -= 1;
        sources.add(ssrc, Protocol::Rtcp, index);
        put(behind, &trailer.mki, &keying.mki);
        let [_, _, _, _, e, a, b, c] = index.to_be_bytes();
        put(behind, &trailer.index, &[e | E_BIT, a, b, c]);
        if let Some(tag) = behind.get_mut(trailer.tag.clone()) {
            cipher.seal(Packet { protocol: Protocol::Rtcp, ssrc, index, header_len: RTCP_HEADER, text }, tag);
        }
        Ok(len + trailer.len)
    }
}

/// Shows no key.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = [self.rtp.left, self.rtcp.left];
        f.debug_struct("Context")
            .field("keying", &self.keying)
            .field("sources", &self.sources.len())
            .field("left", &left)
            .finish()
    }
}

/// The text of a packet that came, and what stands behind it.
fn split(packet: &mut [u8], trailer: usize) -> Result<(&mut [u8], &[u8]), Refused> {
    let len = packet.len().checked_sub(trailer).ok_or(Refused::Malformed)?;
    let (text, behind) = packet.split_at_mut_checked(len).ok_or(Refused::Malformed)?;
    Ok((text, behind))
}

/// The text of a packet that is to be sent, and the room behind it.
fn room(buffer: &mut [u8], len: usize, trailer: usize) -> Result<(&mut [u8], &mut [u8]), NotSealed> {
    let (text, behind) = buffer.split_at_mut_checked(len).ok_or(NotSealed::NoRoom)?;
    Ok((text, behind.get_mut(..trailer).ok_or(NotSealed::NoRoom)?))
}

/// The SSRC of whoever sends a compound: of its first packet, whatever that is.
const fn rtcp_ssrc(text: &[u8]) -> Option<u32> {
    match text {
        [first, _, _, _, a, b, c, d, ..] if *first >> 6 == 2 => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

fn part<'b>(behind: &'b [u8], range: &std::ops::Range<usize>) -> &'b [u8] {
    behind.get(range.clone()).unwrap_or_default()
}

fn put(behind: &mut [u8], range: &std::ops::Range<usize>, bytes: &[u8]) {
    behind.get_mut(range.clone()).unwrap_or_default().copy_from_slice(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::media::srtp::window::RTP_INDEX_MAX;
    use crate::wire::rtp::Header;
    use crate::wire::sdp::{Crypto, Suite};

    #[test]
    fn after_the_last_index_nothing_is_sealed_and_nothing_opened() {
        let mut sender = context(RTP_INDEX_MAX - 1, RTCP_INDEX_MAX - 1);
        let mut receiver = context(RTP_INDEX_MAX - 1, RTCP_INDEX_MAX - 1);
        let mut packet = rtp(0xffff);
        let len = sender.seal_rtp(&mut packet, 17).unwrap();
        assert_eq!(receiver.open_rtp(&mut packet[..len]), Ok(17));
        let mut compound = rtcp();
        let len = sender.seal_rtcp(&mut compound, 28).unwrap();
        assert_eq!(receiver.open_rtcp(&mut compound[..len]), Ok(28));

        assert_eq!(sender.seal_rtp(&mut rtp(0), 17), Err(NotSealed::Exhausted));
        assert_eq!(sender.seal_rtcp(&mut rtcp(), 28), Err(NotSealed::Exhausted));
        // A sender that begins anew with its indexes is not followed.
        let mut anew = context(0, 0);
        let mut packet = rtp(1);
        let len = anew.seal_rtp(&mut packet, 17).unwrap();
        assert_eq!(receiver.open_rtp(&mut packet[..len]), Err(Refused::Exhausted));
        let mut compound = rtcp();
        let len = anew.seal_rtcp(&mut compound, 28).unwrap();
        assert_eq!(receiver.open_rtcp(&mut compound[..len]), Err(Refused::Replayed));
    }

    #[test]
    fn what_is_not_sealed_or_opened_stays_as_it_was() {
        let mut context = context(7, 7);
        let mut packet = rtp(7);
        assert_eq!(context.seal_rtp(&mut packet, 17), Err(NotSealed::Repeated));
        assert_eq!(packet, rtp(7));
        assert!(context.open_rtp(&mut packet).is_err());
        assert_eq!(packet, rtp(7));
    }

    /// One whose stream has got to these indexes.
    fn context(rtp: u64, rtcp: u64) -> Context {
        let crypto = Crypto::new(1, Suite::AeadAes128Gcm, &[7; 28]).unwrap();
        let mut sources = Sources::default();
        sources.add(SSRC, Protocol::Rtp, rtp);
        sources.add(SSRC, Protocol::Rtcp, rtcp);
        Context::new(Keying::of(&crypto).unwrap(), sources)
    }

    /// A packet of 17 bytes, and room behind it.
    fn rtp(sequence: u16) -> [u8; 64] {
        let header = Header { payload_type: 8, marker: false, sequence, timestamp: 0, ssrc: SSRC };
        let mut buffer = [5; 64];
        buffer[..12].copy_from_slice(&header.to_bytes());
        buffer
    }

    /// A report of 28 bytes, and room behind it.
    fn rtcp() -> [u8; 64] {
        let mut buffer = [5; 64];
        buffer[..8].copy_from_slice(&[0x80, 200, 0, 6, 0, 0, 0, 9]);
        buffer
    }

    const SSRC: u32 = 9;
}
