//! Opening what was sealed to a key of P-256 that does not leave its token: the token does Diffie-Hellman, and `hpke` all the rest.

use std::fmt;

use hpke::hybrid_array::Array;
use hpke::hybrid_array::typenum::{U32, U97};
use hpke::kdf::{HkdfSha256, Kdf as _};
use hpke::kem::{DhP256HkdfSha256, Kem, SharedSecret};
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, HpkeError, Serializable};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::vault::format::KEM_P256;
use crate::vault::pem::P256_PUBLIC_BYTES;

/// Does Diffie-Hellman with a private key of P-256 that does not leave where it lies.
pub trait Agreement: Send + Sync {
    /// Returns the x-coordinate of the key times this point (SEC 1 §3.3.1; CKM_ECDH1_DERIVE with CKD_NULL), which is uncompressed and on the
    /// curve.
    ///
    /// # Errors
    /// There is none now.
    fn agree(&self, point: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, NotAgreed>;
}

/// The token with a recipient's key has not done its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAgreed {
    /// It does not answer, or refuses.
    Refused,
    /// What it gave is not what the key's public half says.
    Wrong,
}

impl fmt::Display for NotAgreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the token with the key does not answer, or refuses",
            Self::Wrong => "what the token derives does not go with the key's public half",
        })
    }
}

impl std::error::Error for NotAgreed {}

/// Returns the point in an encapsulated key. One that is none is not shown to a token: some give their key away by it.
pub(super) fn point(enc: &[u8]) -> Result<[u8; P256_PUBLIC_BYTES], HpkeError> {
    <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).map(|point| point.to_bytes().into())
}

/// DHKEM(P-256, HKDF-SHA256) (RFC 9180 §4.1) where `DH(skR, pkE)` of `Decap` was done elsewhere.
pub(super) struct Agreed;

/// In the place of the private key: what was agreed on, and the public key.
#[derive(Clone)]
pub(super) struct Half(Zeroizing<[u8; HALF_BYTES]>);

pub(super) const HALF_BYTES: usize = 32 + P256_PUBLIC_BYTES;

impl Kem for Agreed {
    type PublicKey = <DhP256HkdfSha256 as Kem>::PublicKey;
    type PrivateKey = Half;
    type EncappedKey = <DhP256HkdfSha256 as Kem>::EncappedKey;
    type NSecret = U32;
    const KEM_ID: u16 = KEM_P256;

    fn decap(half: &Half, sender: Option<&Self::PublicKey>, enc: &Self::EncappedKey) -> Result<SharedSecret<Self>, HpkeError> {
        if sender.is_some() {
            return Err(HpkeError::DecapError);
        }
        let (agreed, public) = half.0.split_at(32);
        let mut shared = SharedSecret::<Self>::default();
        // `ExtractAndExpand(dh, concat(enc, pkRm))`, with the suite id of §4.1.
        HkdfSha256::extract_and_expand(agreed, b"KEM\0\x10", &[&enc.to_bytes(), public].concat(), &mut shared.0)?;
        Ok(shared)
    }

    fn encap_with_rng(
        _: &Self::PublicKey,
        _: Option<(&Half, &Self::PublicKey)>,
        _: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, Self::EncappedKey), HpkeError> {
        // Whoever seals has no need of a token.
        Err(HpkeError::EncapError)
    }

    fn sk_to_pk(half: &Half) -> Self::PublicKey {
        let (_, public) = half.0.split_at(32);
        Self::PublicKey::from_bytes(public).expect("`from_bytes` has looked at it")
    }

    fn derive_keypair(_: &[u8]) -> (Half, Self::PublicKey) {
        unreachable!("a token makes its keys itself, and nothing else here asks for one")
    }
}

impl Serializable for Half {
    type OutputSize = U97;

    fn write_exact(&self, to: &mut [u8]) {
        to.copy_from_slice(self.0.as_slice());
    }
}

impl Deserializable for Half {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let half: &[u8; HALF_BYTES] = bytes.try_into().map_err(|_| HpkeError::IncorrectInputLength(HALF_BYTES, bytes.len()))?;
        let (_, public) = half.split_at(32);
        <Agreed as Kem>::PublicKey::from_bytes(public)?;
        Ok(Self(Zeroizing::new(*half)))
    }
}

impl ConstantTimeEq for Half {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

/// The sizes that HPKE is told are those that are meant.
const _: () = assert!(size_of::<Array<u8, U97>>() == HALF_BYTES);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use hpke::aead::AesGcm128;
    use hpke::{OpModeR, single_shot_open};

    use super::*;
    use crate::vault::fixture::{Chance, SoftToken, unhex};

    /// RFC 9180 appendix A.3.1.
    const SECRET: &str = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2";
    const PUBLIC: &str = "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0";
    const ENC: &str = "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4";
    const SHARED: &str = "c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8";
    const SEALED: &str = "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434";

    /// What stands in the place of the private key, with what a token agrees on.
    fn half(secret: &[u8], public: &[u8], enc: &[u8]) -> Half {
        let agreed = SoftToken::of(secret).agree(&point(enc).unwrap()).unwrap();
        Half::from_bytes(&[agreed.as_slice(), public].concat()).unwrap()
    }

    #[test]
    fn the_known_answer_of_rfc_9180_is_given() {
        let half = half(&unhex(SECRET), &unhex(PUBLIC), &unhex(ENC));
        let enc = <Agreed as Kem>::EncappedKey::from_bytes(&unhex(ENC)).unwrap();

        assert_eq!(Agreed::decap(&half, None, &enc).unwrap().0.as_slice(), unhex(SHARED));
        let info = b"Ode on a Grecian Urn";
        let opened =
            single_shot_open::<AesGcm128, HkdfSha256, Agreed>(&OpModeR::Base, &half, &enc, info, &unhex(SEALED), b"Count-0");
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
    }

    #[test]
    fn it_is_what_hpke_gives_with_the_private_key() {
        for seed in 0..64 {
            let (secret, public) = DhP256HkdfSha256::gen_keypair_with_rng(&mut Chance::from(seed));
            let (shared, enc) = DhP256HkdfSha256::encap_with_rng(&public, None, &mut Chance::from(seed + 1000)).unwrap();

            let half = half(&secret.to_bytes(), &public.to_bytes(), &enc.to_bytes());

            assert_eq!(Agreed::decap(&half, None, &enc).unwrap().0, shared.0, "seed {seed}");
            assert_eq!(Agreed::sk_to_pk(&half), public);
        }
    }

    #[test]
    fn no_sender_is_authenticated_and_nothing_is_sealed() {
        let half = half(&unhex(SECRET), &unhex(PUBLIC), &unhex(ENC));
        let (enc, public) = (<Agreed as Kem>::EncappedKey::from_bytes(&unhex(ENC)).unwrap(), Agreed::sk_to_pk(&half));

        assert!(Agreed::decap(&half, Some(&public), &enc).is_err());
        assert!(Agreed::encap_with_rng(&public, None, &mut Chance::from(1)).is_err());
    }
}
