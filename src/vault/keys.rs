//! The keys of the vault, in PEM as `openssl genpkey` and `openssl pkey` write and read them, and their fingerprints.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, Kem, Serializable};
use pem_rfc7468::LineEnding;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

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
    signing: SigningKey,
    public: NodePublic,
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
        Ok(Self::from_seed(&*decode(text, Container::Private, Algorithm::Ed25519)?))
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        encode(self.signing.as_bytes(), Container::Private, Algorithm::Ed25519)
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
        Hkdf::<Sha256>::new(Some(b"mitschnitt/0 node"), self.signing.as_bytes())
            .expand(what.as_bytes(), secret.as_mut_slice())
            .expect("32 bytes are fewer than HKDF gives");
        secret
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = NodePublic::new(signing.verifying_key());
        Self { signing, public }
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
        let bytes = decode(text, Container::Public, Algorithm::Ed25519)?;
        VerifyingKey::from_bytes(&bytes).map(Self::new).map_err(|_| BadKey::NotOnTheCurve)
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn to_pem(self) -> String {
        encode(self.verifying.as_bytes(), Container::Public, Algorithm::Ed25519).to_string()
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

/// The private key of one who may listen (X25519). It is never on the recording machine.
///
/// It has no `Debug`; the secret is wiped when it is dropped.
pub struct RecipientSecret {
    /// As it stood in the file: `hpke` clamps what it serialises, so its form would not be the file's.
    bytes: Zeroizing<[u8; 32]>,
    key: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: Recipient,
}

impl RecipientSecret {
    /// Makes a new key.
    #[must_use]
    pub fn generate(entropy: &mut impl CryptoRng) -> Self {
        Self::from_bytes(fresh(entropy))
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS#8, RFC 8410).
    ///
    /// # Errors
    /// Where the text is something else.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        Ok(Self::from_bytes(decode(text, Container::Private, Algorithm::X25519)?))
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        encode(&self.bytes, Container::Private, Algorithm::X25519)
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public(&self) -> &Recipient {
        &self.public
    }

    pub(super) const fn key(&self) -> &<X25519HkdfSha256 as Kem>::PrivateKey {
        &self.key
    }

    fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*bytes).expect("any 32 bytes are a private key of X25519");
        let public = X25519HkdfSha256::sk_to_pk(&key);
        let mut point = [0; 32];
        public.write_exact(&mut point);
        Self { bytes, key, public: Recipient::new(point) }
    }
}

/// The public key of one who may listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipient {
    point: [u8; 32],
    fingerprint: Fingerprint,
}

impl Recipient {
    /// Reads `-----BEGIN PUBLIC KEY-----` (SPKI, RFC 8410).
    ///
    /// # Errors
    /// Where the text is something else.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        decode(text, Container::Public, Algorithm::X25519).map(|bytes| Self::new(*bytes))
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn to_pem(self) -> String {
        encode(&self.point, Container::Public, Algorithm::X25519).to_string()
    }

    /// Returns the key's name.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn key(&self) -> <X25519HkdfSha256 as Kem>::PublicKey {
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&self.point).expect("any 32 bytes are a public key of X25519")
    }

    fn new(point: [u8; 32]) -> Self {
        Self { point, fingerprint: fingerprint(&point, Algorithm::X25519) }
    }
}

/// The operator gave a key that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadKey {
    /// No PEM block, or a malformed one.
    NotPem,
    /// A PEM block of another kind: wanted, found.
    OtherBlock(&'static str, String),
    /// It is protected by a passphrase.
    Protected,
    /// A key of the other algorithm: wanted, found.
    OtherAlgorithm(&'static str, &'static str),
    /// A key of an algorithm that is not used here: wanted.
    UnknownAlgorithm(&'static str),
    /// Not a point of the curve.
    NotOnTheCurve,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str("expected a PEM file (`-----BEGIN …-----`), found none that is well formed"),
            Self::OtherBlock(wanted, found) => write!(f, "expected a PEM block `{wanted}`, found `{}`", found.escape_debug()),
            Self::Protected => {
                f.write_str("the key is protected by a passphrase; `openssl pkey -in KEY -out PLAIN` takes it off")
            }
            Self::OtherAlgorithm(wanted, found) => write!(f, "expected an {wanted} key, found an {found} key"),
            Self::UnknownAlgorithm(wanted) => {
                write!(f, "expected an {wanted} key of RFC 8410, found another; `openssl genpkey -algorithm {wanted}` makes one")
            }
            Self::NotOnTheCurve => f.write_str("the public key is not a point of the curve"),
        }
    }
}

impl std::error::Error for BadKey {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ed25519,
    X25519,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Ed25519 => Self::X25519,
            Self::X25519 => Self::Ed25519,
        }
    }

    /// The last byte of the object identifier 1.3.101.*n* (RFC 8410 §3): 110 is X25519, 112 Ed25519.
    const fn oid(self) -> u8 {
        match self {
            Self::Ed25519 => 112,
            Self::X25519 => 110,
        }
    }
}

#[derive(Clone, Copy)]
enum Container {
    Private,
    Public,
}

impl Container {
    const fn label(self) -> &'static str {
        match self {
            Self::Private => "PRIVATE KEY",
            Self::Public => "PUBLIC KEY",
        }
    }

    /// The DER that stands before the 32 bytes of the key (RFC 8410 §4 and §7); everything in it has a fixed length.
    fn prefix(self, algorithm: Algorithm) -> Vec<u8> {
        let oid = algorithm.oid();
        match self {
            // SEQUENCE(46) { INTEGER 0, SEQUENCE(5) { OID 1.3.101.n }, OCTET STRING(34) { OCTET STRING(32) } }
            Self::Private => vec![0x30, 46, 0x02, 1, 0, 0x30, 5, 0x06, 3, 0x2b, 101, oid, 0x04, 34, 0x04, 32],
            // SEQUENCE(42) { SEQUENCE(5) { OID 1.3.101.n }, BIT STRING(33) { 0 unused bits } }
            Self::Public => vec![0x30, 42, 0x30, 5, 0x06, 3, 0x2b, 101, oid, 0x03, 33, 0],
        }
    }
}

fn decode(text: &[u8], container: Container, algorithm: Algorithm) -> Result<Zeroizing<[u8; 32]>, BadKey> {
    // 48 bytes are the longer of the two; other keys (RSA) are longer and only wanted for the words.
    let mut buffer = Zeroizing::new([0; 16 * 1024]);
    let (label, der) = pem_rfc7468::decode(text, buffer.as_mut_slice()).map_err(|_| BadKey::NotPem)?;
    if label == "ENCRYPTED PRIVATE KEY" {
        return Err(BadKey::Protected);
    }
    if label != container.label() {
        return Err(BadKey::OtherBlock(container.label(), label.to_owned()));
    }
    let key = |algorithm| der.strip_prefix(container.prefix(algorithm).as_slice()).and_then(|key| <[u8; 32]>::try_from(key).ok());
    match (key(algorithm), key(algorithm.other())) {
        (Some(key), _) => Ok(Zeroizing::new(key)),
        (None, Some(_)) => Err(BadKey::OtherAlgorithm(algorithm.name(), algorithm.other().name())),
        (None, None) => Err(BadKey::UnknownAlgorithm(algorithm.name())),
    }
}

fn encode(key: &[u8; 32], container: Container, algorithm: Algorithm) -> Zeroizing<String> {
    let der = Zeroizing::new([container.prefix(algorithm).as_slice(), key].concat());
    let text =
        pem_rfc7468::encode_string(container.label(), LineEnding::LF, &der).expect("48 bytes and a short label are encodable");
    Zeroizing::new(text)
}

fn fingerprint(key: &[u8; 32], algorithm: Algorithm) -> Fingerprint {
    let digest = Sha256::new().chain_update(Container::Public.prefix(algorithm)).chain_update(key).finalize();
    Fingerprint(digest.into())
}

fn fresh(entropy: &mut impl CryptoRng) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill_bytes(bytes.as_mut_slice());
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::Chance;

    // RFC 8410 §10.3 and §10.1.
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn the_keys_of_rfc_8410_are_read_and_written_to_the_byte() {
        let key = NodeKey::from_pem(ED25519.as_bytes()).unwrap();

        assert_eq!(key.public().to_pem(), ED25519_PUBLIC);
        assert_eq!(*key.to_pem(), ED25519);
        assert_eq!(NodePublic::from_pem(ED25519_PUBLIC.as_bytes()).unwrap(), *key.public());
    }

    #[test]
    fn a_recipients_key_is_written_as_it_was_read_although_it_is_used_clamped() {
        let key = RecipientSecret::from_bytes(Zeroizing::new([0xff; 32]));

        let again = RecipientSecret::from_pem(key.to_pem().as_bytes()).unwrap();

        assert_eq!(*again.bytes, [0xff; 32]);
        assert_eq!(again.public(), key.public());
        assert_eq!(Recipient::from_pem(key.public().to_pem().as_bytes()).unwrap(), *key.public());
    }

    #[test]
    fn a_secret_is_the_keys_and_its_uses_own() {
        let [key, other] = [ED25519.to_owned(), NodeKey::from_seed(&[1; 32]).to_pem().to_string()]
            .map(|pem| NodeKey::from_pem(pem.as_bytes()).unwrap());

        assert_eq!(key.secret_for("a"), NodeKey::from_pem(ED25519.as_bytes()).unwrap().secret_for("a"));
        assert_ne!(key.secret_for("a"), key.secret_for("b"));
        assert_ne!(key.secret_for("a"), other.secret_for("a"));
    }

    #[test]
    fn the_public_key_is_the_one_of_rfc_7748() {
        // RFC 7748 §6.1, Alice.
        let secret = *b"\x77\x07\x6d\x0a\x73\x18\xa5\x7d\x3c\x16\xc1\x72\x51\xb2\x66\x45\xdf\x4c\x2f\x87\xeb\xc0\x99\x2a\xb1\x77\xfb\xa5\x1d\xb9\x2c\x2a";
        let public = *b"\x85\x20\xf0\x09\x89\x30\xa7\x54\x74\x8b\x7d\xdc\xb4\x3e\xf7\x5a\x0d\xbf\x3a\x0d\x26\x38\x1a\xf4\xeb\xa4\xa9\x8e\xaa\x9b\x4e\x6a";

        assert_eq!(RecipientSecret::from_bytes(Zeroizing::new(secret)).public().point, public);
    }

    #[test]
    fn a_wrong_key_is_told_from_no_key() {
        let recipient = RecipientSecret::generate(&mut Chance::from(1));
        let protected = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";

        assert_eq!(NodeKey::from_pem(recipient.to_pem().as_bytes()).err(), Some(BadKey::OtherAlgorithm("Ed25519", "X25519")));
        assert_eq!(RecipientSecret::from_pem(ED25519.as_bytes()).err(), Some(BadKey::OtherAlgorithm("X25519", "Ed25519")));
        assert_eq!(
            NodeKey::from_pem(ED25519_PUBLIC.as_bytes()).err(),
            Some(BadKey::OtherBlock("PRIVATE KEY", "PUBLIC KEY".into()))
        );
        assert_eq!(NodeKey::from_pem(protected.as_bytes()).err(), Some(BadKey::Protected));
        let p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
        assert_eq!(Recipient::from_pem(p256.as_bytes()).err(), Some(BadKey::UnknownAlgorithm("X25519")));
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
