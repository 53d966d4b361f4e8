//! Whether somebody who is known by a certificate has signed a timestamp.

use crate::catalogue::{NotStamped, StampHash, StampSignature, Told};
use crate::tls::{SignatureHash, Witness};
use crate::vault::Digest;

/// Sees that an authority's answer is a timestamp of this digest, signed by who is known by the certificate. Whether the certificate was in
/// force at that time, and who believes it, is not looked at (`openssl ts -verify`).
///
/// # Errors
/// It is not.
pub fn witnessed(witness: &Witness, answer: &[u8], digest: &Digest) -> Result<(), NotStamped> {
    if Told::read(answer)?.digest != *digest {
        return Err(NotStamped::OtherDigest);
    }
    let StampSignature { message, hash, signature } = StampSignature::read(answer)?;
    let hash = match hash {
        StampHash::Sha256 => SignatureHash::Sha256,
        StampHash::Sha384 => SignatureHash::Sha384,
        StampHash::Sha512 => SignatureHash::Sha512,
    };
    if witness.has_signed(&message, hash, &signature) { Ok(()) } else { Err(NotStamped::OtherSigner) }
}
