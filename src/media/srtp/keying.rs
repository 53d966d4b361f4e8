//! Keying material: what one `a=crypto` line says about the packets of its sender, as far as it can be done.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::private::Private;
use crate::wire::sdp::{Crypto, Inline, KeyParam, SessionParam, Suite};

/// The master key and salt of one direction, with the suite, the MKI and for how many packets they may be used.
///
/// It prints no key.
#[derive(Clone, Debug)]
pub struct Keying {
    pub(super) method: Method,
    pub(super) key: Private<Zeroizing<Vec<u8>>>,
    pub(super) salt: Private<Zeroizing<Vec<u8>>>,
    /// Empty where the packets name no key.
    pub(super) mki: Vec<u8>,
    /// Packets of SRTP, and of SRTCP, that the master key may be used for.
    pub(super) lifetimes: [u64; 2],
}

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// AES-128 in counter mode, HMAC-SHA1.
    Cm128 {
        /// Bytes of an SRTP packet's tag; an SRTCP packet's are always [`LONG_TAG`].
        rtp_tag: usize,
    },
    /// The same with AES-256.
    Cm256 {
        /// Likewise.
        rtp_tag: usize,
    },
    /// AES-128 in Galois/counter mode.
    Gcm128,
    /// AES-256 in Galois/counter mode.
    Gcm256,
}

/// 80 bits (RFC 4568 §6.2.1): also of SRTCP in the suites of 32 bits (RFC 4568 §6.2.2).
pub(super) const LONG_TAG: usize = 10;

/// 32 bits (RFC 4568 §6.2.2).
const SHORT_TAG: usize = 4;

impl Method {
    const fn of(suite: &Suite) -> Option<Self> {
        match suite {
            Suite::AesCm128HmacSha1_80 => Some(Self::Cm128 { rtp_tag: LONG_TAG }),
            Suite::AesCm128HmacSha1_32 => Some(Self::Cm128 { rtp_tag: SHORT_TAG }),
            Suite::Aes256CmHmacSha1_80 => Some(Self::Cm256 { rtp_tag: LONG_TAG }),
            Suite::Aes256CmHmacSha1_32 => Some(Self::Cm256 { rtp_tag: SHORT_TAG }),
            Suite::AeadAes128Gcm => Some(Self::Gcm128),
            Suite::AeadAes256Gcm => Some(Self::Gcm256),
            Suite::F8_128HmacSha1_80 | Suite::Aes192CmHmacSha1_80 | Suite::Aes192CmHmacSha1_32 | Suite::Other(_) => None,
        }
    }
}

impl Keying {
    /// Takes what is needed from a line that was offered and accepted; the line may be ours or the peer's.
    ///
    /// `WSH` is a hint, and the window here is larger than the least that it may say; parameters that may be ignored are.
    ///
    /// # Errors
    /// Where the line wants what is not done here. Such a line is not to be accepted: another of the offer may do.
    pub fn of(crypto: &Crypto) -> Result<Self, Unusable> {
        let method = Method::of(crypto.suite()).ok_or(Unusable::Suite)?;
        for param in crypto.session() {
            match param {
                SessionParam::Wsh(_) => {}
                SessionParam::Other(_) if param.may_be_ignored() => {}
                SessionParam::Other(_) => return Err(Unusable::UnknownParameter),
                SessionParam::Kdr(_) => return Err(Unusable::KeyDerivationRate),
                SessionParam::UnencryptedSrtp | SessionParam::UnencryptedSrtcp => return Err(Unusable::Unencrypted),
                SessionParam::UnauthenticatedSrtp => return Err(Unusable::Unauthenticated),
                SessionParam::FecOrder(_) | SessionParam::FecKey(_) => return Err(Unusable::Redundancy),
            }
        }
        let [KeyParam::Inline(Inline { key, salt, lifetime, mki })] = crypto.keys() else {
            return Err(Unusable::SeveralKeys);
        };
        let said = lifetime.map_or(u64::MAX, |lifetime| lifetime.packets());
        Ok(Self {
            method,
            key: key.clone(),
            salt: salt.clone(),
            mki: mki.as_ref().map(|mki| mki.as_bytes().to_vec()).unwrap_or_default(),
            lifetimes: [said.min(RTP_PACKETS), said.min(RTCP_PACKETS)],
        })
    }

    /// Whether both are one: packets of the one are packets of the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.method, &self.mki) == (other.method, &other.mki) && self.has_key_of(other)
    }

    /// Whether both have one master key, whatever else is said of it. Then they have one keystream.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        bool::from(self.key.reveal().ct_eq(other.key.reveal()) & self.salt.reveal().ct_eq(other.salt.reveal()))
    }
}

/// Packets that one master key may be used for: as many as the index tells apart (RFC 3711 §9.2, RFC 7714 §10).
const RTP_PACKETS: u64 = 1 << 48;

/// Likewise, of SRTCP.
const RTCP_PACKETS: u64 = 1 << 31;

/// The peer's `a=crypto` line wants what is not done here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unusable {
    /// The suite is another than the six.
    Suite,
    /// There are several keys, which the sender may use in any order, or one by another method than `inline`.
    SeveralKeys,
    /// `KDR`: session keys are derived anew every 2^n packets. Also of 0, which some mean as «never».
    KeyDerivationRate,
    /// `UNENCRYPTED_SRTP` or `UNENCRYPTED_SRTCP`: it would be SRTP in name only.
    Unencrypted,
    /// `UNAUTHENTICATED_SRTP`: anybody could change what is said.
    Unauthenticated,
    /// `FEC_ORDER` or `FEC_KEY`: redundancy below SRTP, or under a key of its own.
    Redundancy,
    /// A parameter that is not known, and must not be ignored (RFC 4568 §6.3.7).
    UnknownParameter,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suite => "a=crypto has a suite that is not supported",
            Self::SeveralKeys => "a=crypto has not one inline key, but several or another method",
            Self::KeyDerivationRate => "a=crypto has a key derivation rate, which is not supported",
            Self::Unencrypted => "a=crypto wants packets unencrypted",
            Self::Unauthenticated => "a=crypto wants packets unauthenticated",
            Self::Redundancy => "a=crypto wants forward error correction, which is not supported",
            Self::UnknownParameter => "a=crypto has a session parameter that is not known",
        })
    }
}

impl std::error::Error for Unusable {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn six_suites_are_done_and_no_other() {
        let done = Suite::KNOWN.into_iter().filter(|suite| {
            let (key, salt) = suite.lengths().unwrap();
            let crypto = Crypto::new(1, suite.clone(), &vec![1; key + salt]).unwrap();
            Keying::of(&crypto).is_ok()
        });

        assert_eq!(
            done.map(|suite| suite.as_str().to_owned()).collect::<Vec<_>>(),
            [
                "AES_CM_128_HMAC_SHA1_80",
                "AES_CM_128_HMAC_SHA1_32",
                "AES_256_CM_HMAC_SHA1_80",
                "AES_256_CM_HMAC_SHA1_32",
                "AEAD_AES_128_GCM",
                "AEAD_AES_256_GCM",
            ]
        );
    }

    #[test]
    fn what_weakens_or_is_not_done_is_refused_by_name() {
        for (rest, expected) in [
            (" UNENCRYPTED_SRTP", Unusable::Unencrypted),
            (" UNENCRYPTED_SRTCP", Unusable::Unencrypted),
            (" UNAUTHENTICATED_SRTP", Unusable::Unauthenticated),
            (" KDR=1", Unusable::KeyDerivationRate),
            (" KDR=0", Unusable::KeyDerivationRate),
            (" FEC_ORDER=SRTP_FEC", Unusable::Redundancy),
            (" NEW=1", Unusable::UnknownParameter),
            ("|1:1;inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2:1", Unusable::SeveralKeys),
        ] {
            assert_eq!(Keying::of(&read(rest)).unwrap_err(), expected, "{rest}");
        }
        let mikey = Crypto::parse(b"1 AES_CM_128_HMAC_SHA1_80 mikey:x").unwrap();
        assert_eq!(Keying::of(&mikey).unwrap_err(), Unusable::SeveralKeys);
        assert!(Keying::of(&read(" WSH=64 -NEW")).is_ok());
    }

    #[test]
    fn a_lifetime_is_at_most_what_the_indexes_tell_apart() {
        assert_eq!(Keying::of(&read("")).unwrap().lifetimes, [1 << 48, 1 << 31]);
        assert_eq!(Keying::of(&read("|2^40")).unwrap().lifetimes, [1 << 40, 1 << 31]);
        assert_eq!(Keying::of(&read("|2^20|1:4")).unwrap().lifetimes, [1 << 20, 1 << 20]);
        assert_eq!(Keying::of(&read("|2^20|1:4")).unwrap().mki, [0, 0, 0, 1]);
    }

    #[test]
    fn no_key_is_printed() {
        let shown = format!("{:?}", Keying::of(&read("")).unwrap());

        assert!(shown.contains("[private]") && !shown.contains("61, 45, 110"), "{shown}");
    }

    fn read(rest: &str) -> Crypto {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR{rest}");
        Crypto::parse(line.as_bytes()).unwrap()
    }
}
