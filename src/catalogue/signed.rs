//! What an authority has signed of a timestamp (RFC 3161 §2.4.2, RFC 5652 §5): the parts by which its signature is verified.

use der::{AnyRef, Encode as _, Tag, TagNumber, Tagged as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::catalogue::NotStamped;
use crate::catalogue::stamp::{TST_INFO, content, is, members, parts, signed_data};

/// The one signature over a timestamp.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StampSignature {
    /// What it is over: the attributes, among which is the digest of what the timestamp says.
    pub message: Vec<u8>,
    /// How that is hashed for it.
    pub hash: StampHash,
    /// The signature, as its algorithm has it.
    pub signature: Vec<u8>,
}

/// A hash that authorities use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StampHash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl StampSignature {
    /// Reads the signature in an answer, and sees that what it is over is about what the answer says (RFC 5652 §5.4, §11).
    ///
    /// # Errors
    /// There is none, or more than one, or one over something else.
    pub fn read(answer: &[u8]) -> Result<Self, NotStamped> {
        let signed = signed_data(answer)?;
        let info = content(signed)?;
        let signers = members(signed)?.into_iter().last().filter(|last| last.tag() == Tag::Set).ok_or(NotStamped::Garbled)?;
        let [Some(signer), None] = parts(signers.value())? else { return Err(NotStamped::Garbled) };
        // version, sid, digestAlgorithm, signedAttrs, signatureAlgorithm, signature
        let [_, _, Some(hash), Some(attributes), Some(_), Some(signature)] = parts(signer.value())? else {
            return Err(NotStamped::Garbled);
        };
        let is_attributes = attributes.tag() == (Tag::ContextSpecific { constructed: true, number: TagNumber(0) });
        if !is_attributes || signature.tag() != Tag::OctetString {
            return Err(NotStamped::Garbled);
        }
        let hash = StampHash::named(hash)?;
        let (mut is_timestamp, mut is_of_info) = (false, false);
        for attribute in members(attributes.value())? {
            let [name, values] = parts(attribute.value())?;
            let [Some(value), None] = parts(values.ok_or(NotStamped::Garbled)?.value())? else { continue };
            if is(name, CONTENT_TYPE).is_ok() {
                is_timestamp = is(Some(value), TST_INFO).is_ok();
            } else if is(name, MESSAGE_DIGEST).is_ok() {
                is_of_info = value.tag() == Tag::OctetString && value.value() == hash.of(info);
            }
        }
        if !is_timestamp || !is_of_info {
            return Err(NotStamped::OtherSigner);
        }
        // Hashed is the SET that they are, whatever tag they have where they stand (RFC 5652 §5.4).
        let message = AnyRef::new(Tag::Set, attributes.value()).and_then(|set| set.to_der()).map_err(|_| NotStamped::Garbled)?;
        Ok(Self { message, hash, signature: signature.value().to_vec() })
    }
}

impl StampHash {
    /// By its `AlgorithmIdentifier`.
    fn named(algorithm: AnyRef<'_>) -> Result<Self, NotStamped> {
        let [name] = parts(algorithm.value())?;
        let name = name.filter(|name| name.tag() == Tag::ObjectIdentifier).ok_or(NotStamped::Garbled)?;
        match name.value().strip_prefix(SHA_2) {
            Some([1]) => Ok(Self::Sha256),
            Some([2]) => Ok(Self::Sha384),
            Some([3]) => Ok(Self::Sha512),
            Some(_) | None => Err(NotStamped::OtherSigner),
        }
    }

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// 2.16.840.1.101.3.4.2, of which 1, 2 and 3 are SHA-256, SHA-384 and SHA-512 (RFC 5754 §2).
const SHA_2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// 1.2.840.113549.1.9.3 (RFC 5652 §11.1).
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];

/// 1.2.840.113549.1.9.4 (RFC 5652 §11.2).
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_signature_in_it_has_none() {
        for answer in [&b""[..], &[0x30, 5, 0x30, 3, 0x02, 1, 0], b"<html>", &[0x30, 0x80, 0, 0]] {
            assert_eq!(StampSignature::read(answer), Err(NotStamped::Garbled), "{answer:?}");
        }
    }
}
