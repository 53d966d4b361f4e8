//! By what a recipient's key has secrets sealed to it, and against whom that holds.

use crate::vault::format::{KEM_P256, KEM_X25519, KEM_XWING};
use crate::vault::pem::Algorithm;

/// A key encapsulation mechanism (RFC 9180 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kem {
    /// X25519 (RFC 7748).
    X25519,
    /// P-256 (NIST SP 800-186): what tokens can do.
    P256,
    /// X-Wing, which is X25519 and ML-KEM-768 (FIPS 203) together, and falls only with both.
    XWing,
}

/// Against whom a key holds. All keys of one recording are of one strength, for it is as weak as the weakest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Strength {
    /// Against those who have no quantum computer.
    Classical,
    /// Against those who have one, too.
    PostQuantum,
}

impl Kem {
    const ALL: [Self; 3] = [Self::X25519, Self::P256, Self::XWing];

    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "X25519",
            Self::P256 => "P-256",
            Self::XWing => "X-Wing",
        }
    }

    /// Returns against whom it holds.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            Self::X25519 | Self::P256 => Strength::Classical,
            Self::XWing => Strength::PostQuantum,
        }
    }

    /// Returns its number in HPKE (RFC 9180 §7.1).
    pub(super) const fn id(self) -> u16 {
        match self {
            Self::X25519 => KEM_X25519,
            Self::P256 => KEM_P256,
            Self::XWing => KEM_XWING,
        }
    }

    /// Returns whether what is sealed by both of these is as strong as by either. Of what is not known here that is only sure where both are
    /// the same.
    pub(super) fn go_together(one: u16, other: u16) -> bool {
        let strength = |id| Self::ALL.into_iter().find(|kem| kem.id() == id).map(Self::strength);
        one == other || strength(one).is_some_and(|own| strength(other) == Some(own))
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::X25519 => Algorithm::X25519,
            Self::P256 => Algorithm::P256,
            Self::XWing => Algorithm::XWing,
        }
    }

    pub(super) const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::XWing => Self::XWing,
            Algorithm::P256 => Self::P256,
            Algorithm::X25519 | Algorithm::Ed25519 => Self::X25519,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_together_where_they_hold_against_the_same() {
        let go = |one: Kem, other: Kem| Kem::go_together(one.id(), other.id());

        assert!(go(Kem::X25519, Kem::P256) && go(Kem::P256, Kem::X25519) && go(Kem::XWing, Kem::XWing));
        assert!(!go(Kem::X25519, Kem::XWing) && !go(Kem::XWing, Kem::P256));
        assert!(!Kem::go_together(0x0011, 0x0012) && !Kem::go_together(0x0011, KEM_P256), "nobody knows");
        assert!(Kem::go_together(0x0011, 0x0011));
    }
}
