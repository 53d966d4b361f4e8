//! What stands behind the text of a packet: the index of SRTCP, the name of the key, the tag (RFC 3711 §3.1, §3.4; RFC 7714 §8.2, §9.2).

use std::ops::Range;

/// Which of the two protocols a packet is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

/// Where each part stands, counted from the end of the text.
///
/// ```text
///   counter mode  RTP   text │ MKI │ tag           RTCP   text │ E, index │ MKI │ tag
///   GCM           RTP   text │ tag │ MKI           RTCP   text │ tag │ E, index │ MKI
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trailer {
    /// Empty of RTP.
    pub(super) index: Range<usize>,
    /// Empty where packets name no key.
    pub(super) mki: Range<usize>,
    pub(super) tag: Range<usize>,
    pub(super) len: usize,
}

/// Bytes of the E bit and the index.
pub(super) const INDEX: usize = 4;

impl Trailer {
    /// With the tag last: it is about all before it, but for the MKI.
    pub(super) const fn counter_mode(protocol: Protocol, mki: usize, tag: usize) -> Self {
        let index = Self::index(protocol);
        Self { index: 0..index, mki: index..index + mki, tag: index + mki..index + mki + tag, len: index + mki + tag }
    }

    /// With the tag first: it is part of the cipher text.
    pub(super) const fn gcm(protocol: Protocol, mki: usize, tag: usize) -> Self {
        let index = Self::index(protocol);
        Self { tag: 0..tag, index: tag..tag + index, mki: tag + index..tag + index + mki, len: tag + index + mki }
    }

    const fn index(protocol: Protocol) -> usize {
        match protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => INDEX,
        }
    }
}
