//! The keys of the vault, in PEM as `openssl genpkey` and `openssl pkey` write and read them, and their fingerprints.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::limits::{PBKDF2_ITERATIONS, SCRYPT_BLOCKS, SCRYPT_BYTES};
use crate::vault::pem::{Algorithm, Half, decode, encode, fingerprint};
use crate::vault::signer::{self, NotSigned, Signer};

/// SHA-256 of a public key as `SubjectPublicKeyInfo` (DER): the key's name.
///
/// `openssl pkey -pubin -in KEY.pub.pem -outform DER | sha256sum` prints the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns its first 8 bytes in groups of four digits, as `3f2a-9c01-77de-1b04`: for people to compare, never for code.
    #[must_use]
    pub fn short(&self) -> String {
        let groups: Vec<String> = self.0.chunks(2).take(4).map(hex).collect();
        groups.join("-")
    }
}

/// All 64 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// The key with which a node signs its recordings (Ed25519, RFC 8032). Its holder can say "this node recorded that".
///
/// It has no `Debug`; the secret is wiped when it is dropped.
#[derive(Clone)]
pub struct NodeKey {
    signing: Signing,
    public: NodePublic,
}

#[derive(Clone)]
enum Signing {
    Here(SigningKey),
    /// In a token.
    Elsewhere {
        signer: Arc<dyn Signer>,
        /// What its secrets come of (RFC 5869: the input keying material).
        seed: Zeroizing<[u8; 32]>,
    },
}

impl NodeKey {
    /// Makes a new key.
    #[must_use]
    pub fn generate(entropy: &mut impl CryptoRng) -> Self {
        Self::from_seed(&fresh(entropy))
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS#8, RFC 8410).
    ///
    /// # Errors
    /// Where the text is something else.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        let (_, seed) = decode(text, Half::Private, &[Algorithm::Ed25519])?;
        Ok(Self::from_seed(&thirty_two(&seed)))
    }

    /// Takes a key that lies elsewhere, by whoever signs with it. It is tried at once, twice.
    ///
    /// # Errors
    /// It does not sign, not with this key, or not by RFC 8032.
    pub fn held(public: NodePublic, signer: Arc<dyn Signer>) -> Result<Self, NotSigned> {
        let seed = signer::seed(signer.as_ref(), &public)?;
        Ok(Self { signing: Signing::Elsewhere { signer, seed }, public })
    }

    /// Returns the same key, where it lies elsewhere with another who signs with it: one who is asked in another way.
    #[must_use]
    pub fn by(&self, other: Arc<dyn Signer>) -> Self {
        let signing = match &self.signing {
            Signing::Here(key) => Signing::Here(key.clone()),
            Signing::Elsewhere { seed, .. } => Signing::Elsewhere { signer: other, seed: seed.clone() },
        };
        Self { signing, public: self.public }
    }

    /// Returns the PEM text; nothing where the key lies elsewhere.
    #[must_use]
    pub fn to_pem(&self) -> Option<Zeroizing<String>> {
        match &self.signing {
            Signing::Here(key) => Some(encode(key.as_bytes(), Half::Private, Algorithm::Ed25519)),
            Signing::Elsewhere { .. } => None,
        }
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public(&self) -> &NodePublic {
        &self.public
    }

    /// Returns a secret that comes of the key and of nothing else, for a use that this names; it tells nothing of the key.
    #[must_use]
    pub fn secret_for(&self, what: &str) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        let seed = match &self.signing {
            Signing::Here(key) => key.as_bytes(),
            Signing::Elsewhere { seed, .. } => seed,
        };
        Hkdf::<Sha256>::new(Some(b"mitschnitt/0 node"), seed)
            .expand(what.as_bytes(), secret.as_mut_slice())
            .expect("32 bytes are fewer than HKDF gives");
        secret
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
        match &self.signing {
            Signing::Here(key) => Ok(key.sign(message).to_bytes()),
            Signing::Elsewhere { signer, .. } => signer::checked(signer.as_ref(), &self.public, message),
        }
    }

    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = NodePublic::new(signing.verifying_key());
        Self { signing: Signing::Here(signing), public }
    }
}

/// The public half of a node's key: whoever verifies needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodePublic {
    verifying: VerifyingKey,
    fingerprint: Fingerprint,
}

impl NodePublic {
    /// Reads `-----BEGIN PUBLIC KEY-----` (SPKI, RFC 8410).
    ///
    /// # Errors
    /// Where the text is something else, or the point is none of the curve.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        let (_, bytes) = decode(text, Half::Public, &[Algorithm::Ed25519])?;
        VerifyingKey::from_bytes(&thirty_two(&bytes)).map(Self::new).map_err(|_| BadKey::NotOnTheCurve)
    }

    /// Takes the 32 bytes of RFC 8032, as a token has them.
    ///
    /// # Errors
    /// They are no point of the curve.
    pub fn from_point(bytes: &[u8; 32]) -> Result<Self, BadKey> {
        VerifyingKey::from_bytes(bytes).map(Self::new).map_err(|_| BadKey::NotOnTheCurve)
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn to_pem(self) -> String {
        encode(self.verifying.as_bytes(), Half::Public, Algorithm::Ed25519).to_string()
    }

    /// Returns the key's name.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns whether the signature is this key's over the message, by the strict rules (no small-order keys, RFC 8032 §5.1.7).
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.verifying.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn new(verifying: VerifyingKey) -> Self {
        Self { verifying, fingerprint: fingerprint(verifying.as_bytes(), Algorithm::Ed25519) }
    }
}

/// The operator gave a key that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadKey {
    /// No PEM block, or a malformed one.
    NotPem,
    /// A PEM block of another kind: wanted, found.
    OtherBlock(&'static str, String),
    /// It is protected by a passphrase, and none was given.
    Protected,
    /// The passphrase does not open it, or it was changed: nobody can tell.
    WrongPassphrase,
    /// It is protected in a way that is not known here.
    UnknownProtection,
    /// To try one passphrase would take more work than any honest file asks for.
    TooCostly,
    /// A key of the other algorithm: wanted, found.
    OtherAlgorithm(&'static str, &'static str),
    /// A key of an algorithm that is not used here: wanted.
    UnknownAlgorithm(&'static str),
    /// Not a point of the curve.
    NotOnTheCurve,
    /// Not a key of ML-KEM: a number in it is out of range.
    OutOfRange,
    /// Not a private key of P-256: zero, or too high.
    NotAScalar,
    /// The file has a public half beside the private one, and it is another's.
    OtherHalf,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str("expected a PEM file (`-----BEGIN …-----`), found none that is well formed"),
            Self::OtherBlock(wanted, found) => write!(f, "expected a PEM block `{wanted}`, found `{}`", found.escape_debug()),
            Self::Protected => f.write_str("the key is protected by a passphrase"),
            Self::WrongPassphrase => f.write_str("the passphrase does not open it, or it is not as it was written"),
            Self::UnknownProtection => f.write_str(
                "it is protected in a way that is not known here: known are PBES2 with scrypt or PBKDF2-HMAC-SHA2, and AES in CBC mode",
            ),
            Self::TooCostly => write!(
                f,
                "one try at its passphrase would take more than {PBKDF2_ITERATIONS} iterations of PBKDF2, or {} MiB or {SCRYPT_BLOCKS} blocks of scrypt",
                SCRYPT_BYTES / (1024 * 1024)
            ),
            Self::OtherAlgorithm(wanted, found) => write!(f, "expected an {wanted} key, found an {found} key"),
            Self::UnknownAlgorithm(wanted) => {
                write!(f, "expected an {wanted} key, found another; `mitschnitt keys generate` makes one")
            }
            Self::NotOnTheCurve => f.write_str("the public key is not a point of the curve"),
            Self::NotAScalar => f.write_str("the private key is none: it is zero, or not below the order of P-256"),
            Self::OtherHalf => f.write_str("the public key that stands in it is not that of the private one"),
            Self::OutOfRange => f.write_str("the public key is none: a number in its ML-KEM half is out of range"),
        }
    }
}

impl std::error::Error for BadKey {}

pub(super) fn fresh(entropy: &mut impl CryptoRng) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill_bytes(bytes.as_mut_slice());
    bytes
}

/// Returns the bytes of a key that has 32 of them, as [`decode`] has made sure of.
pub(super) fn thirty_two(bytes: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(bytes.try_into().expect("`decode` gives as many bytes as the algorithm has"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::Chance;
    use crate::vault::{Recipient, RecipientSecret};

    // RFC 8410 §10.3 and §10.1.
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn the_keys_of_rfc_8410_are_read_and_written_to_the_byte() {
        let key = NodeKey::from_pem(ED25519.as_bytes()).unwrap();

        assert_eq!(key.public().to_pem(), ED25519_PUBLIC);
        assert_eq!(*key.to_pem().unwrap(), ED25519);
        assert_eq!(NodePublic::from_pem(ED25519_PUBLIC.as_bytes()).unwrap(), *key.public());
    }

    #[test]
    fn a_secret_is_the_keys_and_its_uses_own() {
        let [key, other] = [ED25519.to_owned(), NodeKey::from_seed(&[1; 32]).to_pem().unwrap().to_string()]
            .map(|pem| NodeKey::from_pem(pem.as_bytes()).unwrap());

        assert_eq!(key.secret_for("a"), NodeKey::from_pem(ED25519.as_bytes()).unwrap().secret_for("a"));
        assert_ne!(key.secret_for("a"), key.secret_for("b"));
        assert_ne!(key.secret_for("a"), other.secret_for("a"));
    }

    #[test]
    fn a_wrong_key_is_told_from_no_key() {
        let recipient = RecipientSecret::generate(&mut Chance::from(1));
        let protected = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";

        assert_eq!(
            NodeKey::from_pem(recipient.to_pem().unwrap().as_bytes()).err(),
            Some(BadKey::OtherAlgorithm("Ed25519", "X25519"))
        );
        assert_eq!(
            RecipientSecret::from_pem(ED25519.as_bytes()).err(),
            Some(BadKey::OtherAlgorithm("X25519, P-256 or X-Wing", "Ed25519"))
        );
        assert_eq!(
            NodeKey::from_pem(ED25519_PUBLIC.as_bytes()).err(),
            Some(BadKey::OtherBlock("PRIVATE KEY", "PUBLIC KEY".into()))
        );
        assert_eq!(NodeKey::from_pem(protected.as_bytes()).err(), Some(BadKey::Protected));
        let cut = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
        assert_eq!(Recipient::from_pem(cut.as_bytes()).err(), Some(BadKey::UnknownAlgorithm("X25519, P-256 or X-Wing")));
        assert_eq!(NodeKey::from_pem(b"ssh-ed25519 AAAA").err(), Some(BadKey::NotPem));
        assert_eq!(NodeKey::from_pem(b"").err(), Some(BadKey::NotPem));
    }

    #[test]
    fn a_short_fingerprint_is_the_head_of_the_long_one() {
        let fingerprint = NodeKey::from_pem(ED25519.as_bytes()).unwrap().public().fingerprint();

        assert_eq!(fingerprint.short().replace('-', ""), fingerprint.to_string()[..16]);
        assert_eq!(fingerprint.short().len(), 19);
    }
}
