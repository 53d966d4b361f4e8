//! Keys in files: PKCS#8 and `SubjectPublicKeyInfo` in PEM, and private ones behind a passphrase (PBES2, RFC 8018).

use hpke::rand_core::CryptoRng;
use pem_rfc7468::LineEnding;
use pkcs8::der::asn1::OctetString;
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::limits::{PBKDF2_ITERATIONS, SCRYPT_BLOCKS, SCRYPT_BYTES};
use crate::vault::{BadKey, Fingerprint};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Algorithm {
    Ed25519,
    X25519,
    P256,
    XWing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Private,
    Public,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Ed25519, Self::X25519, Self::P256, Self::XWing];

    const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
            Self::P256 => "P-256",
            Self::XWing => "X-Wing",
        }
    }

    /// The DER that stands before the key; everything in it has a fixed length, and what follows it has the length that is returned.
    ///
    /// RFC 8410 §4 and §7 for the curves 25519. P-256 is RFC 5480 §2 and RFC 5915 §3, the private key with its public one behind it. X-Wing, as draft-connolly-cfrg-xwing-kem-08 and later have it: the seed alone is the private key,
    /// without the second OCTET STRING that the curves have.
    const fn prefix(self, half: Half) -> (&'static [u8], usize) {
        match (self, half) {
            // SEQUENCE(46) { INTEGER 0, SEQUENCE(5) { OID 1.3.101.n }, OCTET STRING(34) { OCTET STRING(32) } }
            (Self::Ed25519, Half::Private) => (b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 32),
            (Self::X25519, Half::Private) => (b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20", 32),
            // SEQUENCE(42) { SEQUENCE(5) { OID 1.3.101.n }, BIT STRING(33) { 0 unused bits } }
            (Self::Ed25519, Half::Public) => (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\0", 32),
            (Self::X25519, Half::Public) => (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\0", 32),
            // SEQUENCE(135) { INTEGER 0, SEQUENCE(19) { OIDs }, OCTET STRING(109) { SEQUENCE(107) { INTEGER 1, OCTET STRING(32), [1] … } } }
            (Self::P256, Half::Private) => (
                b"\x30\x81\x87\x02\x01\0\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20",
                32 + P256_BETWEEN.len() + P256_PUBLIC_BYTES,
            ),
            // SEQUENCE(89) { SEQUENCE(19) { OID 1.2.840.10045.2.1, OID 1.2.840.10045.3.1.7 }, BIT STRING(66) { 0 unused bits } }
            (Self::P256, Half::Public) => (
                b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\0",
                P256_PUBLIC_BYTES,
            ),
            // SEQUENCE(52) { INTEGER 0, SEQUENCE(13) { OID 1.3.6.1.4.1.62253.25722 }, OCTET STRING(32) }
            (Self::XWing, Half::Private) => {
                (b"\x30\x34\x02\x01\0\x30\x0d\x06\x0b\x2b\x06\x01\x04\x01\x83\xe6\x2d\x81\xc8\x7a\x04\x20", 32)
            }
            // SEQUENCE(1236) { SEQUENCE(13) { OID 1.3.6.1.4.1.62253.25722 }, BIT STRING(1217) { 0 unused bits } }
            (Self::XWing, Half::Public) => (
                b"\x30\x82\x04\xd4\x30\x0d\x06\x0b\x2b\x06\x01\x04\x01\x83\xe6\x2d\x81\xc8\x7a\x03\x82\x04\xc1\0",
                XWING_PUBLIC_BYTES,
            ),
        }
    }
}

/// Bytes of a public key of P-256: 4, and both coordinates (SEC 1 §2.3.3, uncompressed).
pub(super) const P256_PUBLIC_BYTES: usize = 65;

/// What stands between the two halves of P-256 in a private key: the tag a1, and in it BIT STRING(66) { 0 unused bits }.
pub(super) const P256_BETWEEN: &[u8] = b"\xa1\x44\x03\x42\0";

/// The container of a private key of P-256 without the public one, which may be left out (RFC 5915 §3): SEQUENCE(65) and so on.
pub(super) const P256_ALONE: &[u8] =
    b"\x30\x41\x02\x01\0\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";

/// Bytes of a public key of X-Wing: 1,184 of ML-KEM-768 and 32 of X25519.
pub(super) const XWING_PUBLIC_BYTES: usize = 1216;

impl Half {
    const fn label(self) -> &'static str {
        match self {
            Self::Private => "PRIVATE KEY",
            Self::Public => "PUBLIC KEY",
        }
    }
}

/// Reads a key of one of these algorithms: which, and its bytes, as many as the algorithm has; of a private key of P-256 that stands alone, 32.
pub(super) fn decode(text: &[u8], half: Half, wanted: &[Algorithm]) -> Result<(Algorithm, Zeroizing<Vec<u8>>), BadKey> {
    let mut buffer = Zeroizing::new([0; LONGEST]);
    let (label, der) = pem_rfc7468::decode(text, buffer.as_mut_slice()).map_err(|_| BadKey::NotPem)?;
    if label == PROTECTED {
        return Err(BadKey::Protected);
    }
    if label != half.label() {
        return Err(BadKey::OtherBlock(half.label(), label.to_owned()));
    }
    key(der, half, wanted)
}

/// The same of a private key that may be protected by this passphrase.
pub(super) fn decode_protected(
    text: &[u8],
    passphrase: &[u8],
    wanted: &[Algorithm],
) -> Result<(Algorithm, Zeroizing<Vec<u8>>), BadKey> {
    let mut buffer = Zeroizing::new([0; LONGEST]);
    let (label, der) = pem_rfc7468::decode(text, buffer.as_mut_slice()).map_err(|_| BadKey::NotPem)?;
    if label != PROTECTED {
        return decode(text, Half::Private, wanted);
    }
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| BadKey::UnknownProtection)?;
    is_bearable(&info.encryption_algorithm)?;
    let plain = info.decrypt(passphrase).map_err(|_| BadKey::WrongPassphrase)?;
    key(plain.as_bytes(), Half::Private, wanted)
}

/// Other keys (RSA) are longer than ours, and only wanted for the words.
const LONGEST: usize = 16 * 1024;

const PROTECTED: &str = "ENCRYPTED PRIVATE KEY";

fn key(der: &[u8], half: Half, wanted: &[Algorithm]) -> Result<(Algorithm, Zeroizing<Vec<u8>>), BadKey> {
    let is_of = |algorithm: Algorithm| {
        let (prefix, length) = algorithm.prefix(half);
        let alone = || {
            der.strip_prefix(P256_ALONE).filter(|key| (algorithm, half) == (Algorithm::P256, Half::Private) && key.len() == 32)
        };
        let key = der.strip_prefix(prefix).filter(|key| key.len() == length).or_else(alone)?;
        Some((algorithm, Zeroizing::new(key.to_vec())))
    };
    let names = match wanted {
        [Algorithm::Ed25519] => "Ed25519",
        _ => "X25519, P-256 or X-Wing",
    };
    match Algorithm::ALL.into_iter().find_map(is_of) {
        Some((algorithm, key)) if wanted.contains(&algorithm) => Ok((algorithm, key)),
        Some((algorithm, _)) => Err(BadKey::OtherAlgorithm(names, algorithm.name())),
        None => Err(BadKey::UnknownAlgorithm(names)),
    }
}

/// Whoever gives the file says how much work it is to try a passphrase: more than is bearable is not begun.
fn is_bearable(scheme: &EncryptionScheme) -> Result<(), BadKey> {
    let EncryptionScheme::Pbes2(Parameters { kdf, .. }) = scheme else { return Err(BadKey::UnknownProtection) };
    let is_bearable = match kdf {
        Kdf::Pbkdf2(params) => params.iteration_count <= PBKDF2_ITERATIONS,
        Kdf::Scrypt(params) => {
            let (n, r, p) = (params.cost_parameter, u64::from(params.block_size), u64::from(params.parallelization));
            let blocks = n.checked_mul(r);
            blocks.and_then(|blocks| blocks.checked_mul(128)).is_some_and(|bytes| bytes <= SCRYPT_BYTES)
                && blocks.and_then(|blocks| blocks.checked_mul(p)).is_some_and(|blocks| blocks <= SCRYPT_BLOCKS)
        }
        _ => return Err(BadKey::UnknownProtection),
    };
    if is_bearable { Ok(()) } else { Err(BadKey::TooCostly) }
}

/// Writes a key.
pub(super) fn encode(key: &[u8], half: Half, algorithm: Algorithm) -> Zeroizing<String> {
    block(half.label(), &der(key, half, algorithm))
}

/// Writes a private key behind a passphrase: scrypt, AES-256-CBC.
pub(super) fn encode_protected(
    key: &[u8],
    algorithm: Algorithm,
    passphrase: &[u8],
    entropy: &mut impl CryptoRng,
) -> Zeroizing<String> {
    let mut params =
        Parameters::generate_scrypt(entropy).expect("this source of chance does not fail, and its parameters are in range");
    if let Kdf::Scrypt(scrypt) = &mut params.kdf {
        scrypt.parallelization = PARALLELIZATION;
    }
    let sealed = params.encrypt(passphrase, &der(key, Half::Private, algorithm)).expect("scrypt has the memory that it needs");
    let info = EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: params.into(),
        encrypted_data: OctetString::new(sealed).expect("some 150 bytes are an octet string"),
    };
    block(PROTECTED, &info.to_der().expect("what was just made can be written"))
}

/// With N = 2¹⁴ and r = 8 it is as much work as N = 2¹⁷ and p = 1 within a factor of two (OWASP names both), and 16 MiB: openssl refuses
/// more than 32 MiB.
const PARALLELIZATION: u16 = 5;

fn der(key: &[u8], half: Half, algorithm: Algorithm) -> Zeroizing<Vec<u8>> {
    let (prefix, length) = algorithm.prefix(half);
    debug_assert_eq!(key.len(), length, "the DER says so");
    Zeroizing::new([prefix, key].concat())
}

fn block(label: &'static str, der: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(pem_rfc7468::encode_string(label, LineEnding::LF, der).expect("1.3 kB and a short label are encodable"))
}

/// Returns the fingerprint of a public key.
pub(super) fn fingerprint(key: &[u8], algorithm: Algorithm) -> Fingerprint {
    Fingerprint::from_bytes(Sha256::new().chain_update(algorithm.prefix(Half::Public).0).chain_update(key).finalize().into())
}
