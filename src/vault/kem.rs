//! By what a recipient's key has secrets sealed to it.

use crate::vault::format::{KEM_X25519, KEM_XWING};
use crate::vault::pem::Algorithm;

/// A key encapsulation mechanism (RFC 9180 §4). All keys of one recording are of one strength, for it is as weak as the weakest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kem {
    /// X25519 (RFC 7748): holds against those who have no quantum computer.
    X25519,
    /// X-Wing, which is X25519 and ML-KEM-768 (FIPS 203) together, and falls only with both: holds against those, too.
    XWing,
}

impl Kem {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "X25519",
            Self::XWing => "X-Wing",
        }
    }

    /// Returns its number in HPKE (RFC 9180 §7.1).
    pub(super) const fn id(self) -> u16 {
        match self {
            Self::X25519 => KEM_X25519,
            Self::XWing => KEM_XWING,
        }
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::X25519 => Algorithm::X25519,
            Self::XWing => Algorithm::XWing,
        }
    }

    pub(super) const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::XWing => Self::XWing,
            Algorithm::X25519 | Algorithm::Ed25519 => Self::X25519,
        }
    }
}
