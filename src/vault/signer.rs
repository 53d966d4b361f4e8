//! Who signs for the node where its key lies elsewhere, in a token that does not give it away.

use std::fmt;

use zeroize::Zeroizing;

use crate::vault::NodePublic;

/// Signs with a key that does not leave where it lies.
pub trait Signer: Send + Sync {
    /// Signs by Ed25519 (RFC 8032, no context, no hash before it). Waits no longer than its owner can.
    ///
    /// # Errors
    /// There is no signature now; there may be one later.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned>;
}

/// The node's key has signed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotSigned {
    /// It has not answered in time.
    Late,
    /// It was late before and has not answered since, or was slow for too long: it was not asked.
    NotAsked,
    /// It has answered, and not with a signature.
    Refused,
    /// What it gave is not the key's signature.
    Wrong,
    /// It signs the same text in two ways: secrets that come of the key would be others at each start.
    Unsteady,
}

impl fmt::Display for NotSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "the token with the node's key has not answered in time",
            Self::NotAsked => "the token with the node's key is too slow to be asked",
            Self::Refused => "the token with the node's key does not sign",
            Self::Wrong => "what the token signed is not the node key's signature",
            Self::Unsteady => "the token signs the same text in two ways, which Ed25519 (RFC 8032) does not",
        })
    }
}

impl std::error::Error for NotSigned {}

/// Has the signer sign, and looks at what it gives: a token whose memory has failed must not close a recording that nobody can verify.
pub(super) fn checked(signer: &dyn Signer, public: &NodePublic, message: &[u8]) -> Result<[u8; 64], NotSigned> {
    let signature = signer.sign(message)?;
    if public.has_signed(message, &signature) { Ok(signature) } else { Err(NotSigned::Wrong) }
}

/// Returns a secret that nobody has who cannot have the key sign this text, and that is the same each time: the nonce of Ed25519 comes of key
/// and text (RFC 8032 §5.1.6). It is asked for twice, so that a signer which draws its nonces is told at the start, and not by what is
/// not known again after the next.
///
/// The signature goes nowhere else, and nothing else that the node signs begins with this text.
pub(super) fn seed(signer: &dyn Signer, public: &NodePublic) -> Result<Zeroizing<[u8; 32]>, NotSigned> {
    let sign = || checked(signer, public, SEED).map(Zeroizing::new);
    let (first, again) = (sign()?, sign()?);
    if first != again {
        return Err(NotSigned::Unsteady);
    }
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(crate::vault::format::sha256(&[first.as_slice()]).as_slice());
    Ok(seed)
}

/// Begins unlike all else that is signed: closings begin with `mitschnitt/` (`format.md`), heads with `mitschnitt head`.
const SEED: &[u8] = b"mitschnitt node secrets 1\n";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::vault::NodeKey;

    #[test]
    fn a_key_that_lies_elsewhere_signs_what_it_signs_here_and_has_secrets_of_its_own() {
        let (own, held) = (key(), NodeKey::held(*key().public(), Arc::new(Faulty::of(Fault::None))).unwrap());

        assert_eq!(held.sign(b"text"), own.sign(b"text"));
        assert_eq!(
            held.secret_for("a"),
            NodeKey::held(*key().public(), Arc::new(Faulty::of(Fault::None))).unwrap().secret_for("a")
        );
        assert_ne!(held.secret_for("a"), held.secret_for("b"));
        assert_ne!(held.secret_for("a"), own.secret_for("a"), "nobody has the seed of the other");
        assert_eq!((held.to_pem().is_none(), own.to_pem().is_some()), (true, true));
    }

    #[test]
    fn what_is_no_signature_of_the_key_is_none() {
        let held = |fault| NodeKey::held(*key().public(), Arc::new(Faulty::of(fault))).err();

        assert_eq!(held(Fault::OtherKey), Some(NotSigned::Wrong));
        assert_eq!(held(Fault::Gone), Some(NotSigned::Refused));
        assert_eq!(held(Fault::None), None);
    }

    #[test]
    fn a_bit_that_flips_in_the_token_is_seen() {
        let faulty = Arc::new(Faulty::of(Fault::None));
        let held = NodeKey::held(*key().public(), Arc::<Faulty>::clone(&faulty)).unwrap();
        faulty.0.store(Fault::Flips as u8, Ordering::Relaxed);

        assert_eq!(held.sign(b"text"), Err(NotSigned::Wrong));
    }

    #[test]
    fn a_signer_that_draws_its_nonces_is_told_at_once() {
        let unsteady = Arc::new(Faulty::of(Fault::Draws));

        assert_eq!(NodeKey::held(*key().public(), unsteady).err(), Some(NotSigned::Unsteady));
    }

    fn key() -> NodeKey {
        NodeKey::from_seed(&[7; 32])
    }

    #[derive(Clone, Copy)]
    enum Fault {
        None,
        Gone,
        OtherKey,
        Flips,
        Draws,
    }

    struct Faulty(AtomicU8, AtomicU8);

    impl Faulty {
        fn of(fault: Fault) -> Self {
            Self(AtomicU8::new(fault as u8), AtomicU8::new(0))
        }
    }

    impl Signer for Faulty {
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
            let with = |seed| SigningKey::from_bytes(&[seed; 32]).sign(message).to_bytes();
            match self.0.load(Ordering::Relaxed) {
                fault if fault == Fault::None as u8 => Ok(with(7)),
                fault if fault == Fault::OtherKey as u8 => Ok(with(8)),
                fault if fault == Fault::Flips as u8 => Ok(with(7).map(|byte| byte ^ 1)),
                fault if fault == Fault::Draws as u8 => Ok(drawn(message, self.1.fetch_add(1, Ordering::Relaxed))),
                _ => Err(NotSigned::Refused),
            }
        }
    }

    /// A signature that verifies, with a nonce that comes of neither key nor text.
    fn drawn(message: &[u8], nonce: u8) -> [u8; 64] {
        use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
        let mut expanded = ExpandedSecretKey::from(&[7; 32]);
        expanded.hash_prefix = [nonce; 32];
        raw_sign::<sha2::Sha512>(&expanded, message, &SigningKey::from_bytes(&[7; 32]).verifying_key()).to_bytes()
    }
}
