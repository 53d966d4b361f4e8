//! A certificate that somebody is known by who signs, and not over TLS: an authority for timestamps.

use std::fmt;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::{EndEntityCert, ring};

/// The certificate. That it is the right one is the operator's word: no chain is followed, and its own time is not looked at.
#[derive(Clone)]
pub struct Witness(CertificateDer<'static>);

/// How a message is hashed before it is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignatureHash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Returns the DNS names that a certificate (DER) is for; none where it cannot be read. Whether it is believed was seen before.
#[must_use]
pub fn dns_names(der: &[u8]) -> Vec<String> {
    let der = CertificateDer::from(der);
    EndEntityCert::try_from(&der)
        .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
        .unwrap_or_default()
}

impl Witness {
    /// Reads the first certificate of a PEM text; nothing where there is none that can be read.
    #[must_use]
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::pem_slice_iter(text).next()?.ok()?;
        EndEntityCert::try_from(&certificate).ok()?;
        Some(Self(certificate))
    }

    /// Returns whether its key has signed the message: RSA (PKCS#1 v1.5, 2048 bits or more), or ECDSA on P-256 or P-384.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], hash: SignatureHash, signature: &[u8]) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(&self.0) else { return false };
        let algorithms: &[&dyn SignatureVerificationAlgorithm] = match hash {
            SignatureHash::Sha256 => &[ring::RSA_PKCS1_2048_8192_SHA256, ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA256],
            SignatureHash::Sha384 => &[ring::RSA_PKCS1_2048_8192_SHA384, ring::ECDSA_P256_SHA384, ring::ECDSA_P384_SHA384],
            SignatureHash::Sha512 => &[ring::RSA_PKCS1_2048_8192_SHA512],
        };
        algorithms.iter().any(|algorithm| certificate.verify_signature(*algorithm, message, signature).is_ok())
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}
