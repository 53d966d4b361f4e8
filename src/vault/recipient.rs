//! The keys of those who may listen, of each kind.

use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing};
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, HpkeError, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use zeroize::Zeroizing;

use crate::vault::agreement::{self, Agreed};
use crate::vault::keys::{fresh, thirty_two};
use crate::vault::pem::{
    Algorithm, Half, P256_BETWEEN, P256_PUBLIC_BYTES, XWING_PUBLIC_BYTES, decode, decode_protected, encode, encode_protected,
    fingerprint,
};
use crate::vault::{Agreement, BadKey, Fingerprint, Kem, NotAgreed};

/// What a recipient's key may be.
const WANTED: [Algorithm; 3] = [Algorithm::X25519, Algorithm::P256, Algorithm::XWing];

/// The private key of one who may listen. It is never on the recording machine.
///
/// It has no `Debug`; the secret is wiped when it is dropped.
pub struct RecipientSecret {
    private: Private,
    public: Recipient,
}

enum Private {
    /// As it stood in the file: `hpke` clamps what it serialises of X25519, so its form would not be the file's. Of X-Wing it is the seed.
    Here(Zeroizing<[u8; 32]>),
    /// In a token, of P-256.
    Elsewhere(Box<dyn Agreement>),
}

/// What was sealed to a key was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotOpened {
    /// It was not sealed to it, or is not as it was sealed: nobody can tell.
    Otherwise,
    /// The key lies in a token, and that has not done its part.
    NotAgreed(NotAgreed),
}

impl From<HpkeError> for NotOpened {
    fn from(_: HpkeError) -> Self {
        Self::Otherwise
    }
}

impl RecipientSecret {
    /// Makes a new key of X25519.
    #[must_use]
    pub fn generate(entropy: &mut impl CryptoRng) -> Self {
        Self::generate_as(Kem::X25519, entropy)
    }

    /// Makes a new key for this mechanism.
    #[must_use]
    pub fn generate_as(kem: Kem, entropy: &mut impl CryptoRng) -> Self {
        let bytes = match kem {
            Kem::X25519 | Kem::XWing => fresh(entropy),
            // Not all 32 bytes are one.
            Kem::P256 => drawn::<DhP256HkdfSha256>(entropy),
        };
        Self::from_bytes(kem, bytes).expect("a key that was drawn is one")
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS#8).
    ///
    /// # Errors
    /// Where the text is something else; [`BadKey::Protected`] where it takes a passphrase.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        let (algorithm, bytes) = decode(text, Half::Private, &WANTED)?;
        Self::read(algorithm, &bytes)
    }

    /// Reads the same, or `-----BEGIN ENCRYPTED PRIVATE KEY-----` (PKCS#8, PBES2) with its passphrase. That takes some tenths of a second, and
    /// at most a second or two.
    ///
    /// # Errors
    /// Where the text is something else, the passphrase does not open it, or to try it would take too long.
    pub fn from_protected_pem(text: &[u8], passphrase: &[u8]) -> Result<Self, BadKey> {
        let (algorithm, bytes) = decode_protected(text, passphrase, &WANTED)?;
        Self::read(algorithm, &bytes)
    }

    /// Takes a key of P-256 that lies elsewhere, by whoever agrees with it. It is tried at once.
    ///
    /// # Errors
    /// It does not agree, or not on what this public half says.
    pub fn held(public: Recipient, by: Box<dyn Agreement>, entropy: &mut impl CryptoRng) -> Result<Self, NotAgreed> {
        let held = Self { private: Private::Elsewhere(by), public };
        let (enc, sealed) = public.seal(TRIAL, TRIAL, &[], entropy).map_err(|_| NotAgreed::Wrong)?;
        match held.open(&enc, TRIAL, &sealed, &[]) {
            Ok(_) => Ok(held),
            Err(NotOpened::NotAgreed(error)) => Err(error),
            Err(NotOpened::Otherwise) => Err(NotAgreed::Wrong),
        }
    }

    /// Returns the PEM text; nothing where the key lies elsewhere.
    #[must_use]
    pub fn to_pem(&self) -> Option<Zeroizing<String>> {
        Some(encode(&self.contained()?, Half::Private, self.kem().algorithm()))
    }

    /// Returns the PEM text behind a passphrase, as `openssl pkey` reads it too; nothing where the key lies elsewhere.
    #[must_use]
    pub fn to_protected_pem(&self, passphrase: &[u8], entropy: &mut impl CryptoRng) -> Option<Zeroizing<String>> {
        Some(encode_protected(&self.contained()?, self.kem().algorithm(), passphrase, entropy))
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public(&self) -> &Recipient {
        &self.public
    }

    /// Returns its mechanism.
    #[must_use]
    pub const fn kem(&self) -> Kem {
        self.public.kem
    }

    /// Opens what was sealed to the public half; of a key that is here it says nothing of why it does not.
    pub(super) fn open(&self, enc: &[u8], info: &[u8], sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let bytes = match &self.private {
            Private::Here(bytes) => bytes,
            Private::Elsewhere(token) => {
                let agreed = token.agree(&agreement::point(enc)?).map_err(NotOpened::NotAgreed)?;
                let half = Zeroizing::new([agreed.as_slice(), self.public.bytes()].concat());
                return Ok(open::<Agreed>(&half, enc, info, sealed, aad)?);
            }
        };
        Ok(match self.kem() {
            Kem::X25519 => open::<X25519HkdfSha256>(bytes.as_slice(), enc, info, sealed, aad),
            Kem::P256 => open::<DhP256HkdfSha256>(bytes.as_slice(), enc, info, sealed, aad),
            Kem::XWing => open::<XWing>(bytes.as_slice(), enc, info, sealed, aad),
        }?)
    }

    /// Takes what stands in a container: of P-256 both halves, or the private one alone.
    fn read(algorithm: Algorithm, contained: &[u8]) -> Result<Self, BadKey> {
        let (private, rest) = contained.split_at_checked(32).unwrap_or((contained, &[]));
        let own = Self::from_bytes(Kem::of(algorithm), thirty_two(private))?;
        if rest.is_empty() || rest == [P256_BETWEEN, own.public.bytes()].concat() { Ok(own) } else { Err(BadKey::OtherHalf) }
    }

    /// Returns what stands in its container.
    fn contained(&self) -> Option<Zeroizing<Vec<u8>>> {
        let Private::Here(bytes) = &self.private else { return None };
        let behind = match self.kem() {
            Kem::X25519 | Kem::XWing => Vec::new(),
            Kem::P256 => [P256_BETWEEN, self.public.bytes()].concat(),
        };
        Some(Zeroizing::new([bytes.as_slice(), &behind].concat()))
    }

    fn from_bytes(kem: Kem, bytes: Zeroizing<[u8; 32]>) -> Result<Self, BadKey> {
        let point = match kem {
            Kem::X25519 => public_of::<X25519HkdfSha256>(&bytes),
            Kem::P256 => public_of::<DhP256HkdfSha256>(&bytes),
            Kem::XWing => public_of::<XWing>(&bytes),
        };
        // Any 32 bytes are a private key of X25519, and a seed of X-Wing.
        let public = Recipient::new(kem, &point.ok_or(BadKey::NotAScalar)?);
        Ok(Self { private: Private::Here(bytes), public })
    }
}

/// What a token's key is tried with.
const TRIAL: &[u8] = b"mitschnitt trial";

/// The public key of one who may listen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    kem: Kem,
    /// Of X25519 the first 32, of P-256 the first 65, the rest being zero.
    point: [u8; XWING_PUBLIC_BYTES],
    fingerprint: Fingerprint,
}

impl Recipient {
    /// Reads `-----BEGIN PUBLIC KEY-----` (SPKI).
    ///
    /// # Errors
    /// Where the text is something else, or no key of its algorithm.
    pub fn from_pem(text: &[u8]) -> Result<Self, BadKey> {
        let (algorithm, bytes) = decode(text, Half::Public, &WANTED)?;
        Self::from_point(Kem::of(algorithm), &bytes)
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn to_pem(self) -> String {
        encode(self.bytes(), Half::Public, self.kem.algorithm()).to_string()
    }

    /// Returns the key's name.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns its mechanism.
    #[must_use]
    pub const fn kem(&self) -> Kem {
        self.kem
    }

    /// Seals a message to it: the encapsulated key, and the ciphertext with its tag.
    pub(super) fn seal(
        &self,
        info: &[u8],
        plain: &[u8],
        aad: &[u8],
        entropy: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
        match self.kem {
            Kem::X25519 => seal::<X25519HkdfSha256>(self.bytes(), info, plain, aad, entropy),
            Kem::P256 => seal::<DhP256HkdfSha256>(self.bytes(), info, plain, aad, entropy),
            Kem::XWing => seal::<XWing>(self.bytes(), info, plain, aad, entropy),
        }
    }

    /// Takes a point of P-256, uncompressed, as a token has it.
    ///
    /// # Errors
    /// It is no point of the curve, or in another form.
    pub fn from_p256(point: &[u8; 65]) -> Result<Self, BadKey> {
        Self::from_point(Kem::P256, point)
    }

    /// Returns the point, uncompressed, of a key of P-256; nothing of another.
    #[must_use]
    pub fn p256(&self) -> Option<&[u8; P256_PUBLIC_BYTES]> {
        self.point.first_chunk().filter(|_| self.kem == Kem::P256)
    }

    /// Takes the bytes of a public key, as many as those of its kind have.
    fn from_point(kem: Kem, bytes: &[u8]) -> Result<Self, BadKey> {
        match kem {
            Kem::X25519 => {}
            Kem::P256 => {
                <DhP256HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(bytes).map_err(|_| BadKey::NotOnTheCurve)?;
            }
            Kem::XWing => {
                <XWing as hpke::Kem>::PublicKey::from_bytes(bytes).map_err(|_| BadKey::OutOfRange)?;
            }
        }
        Ok(Self::new(kem, bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self.kem {
            Kem::X25519 => self.point.get(..32).unwrap_or(&self.point),
            Kem::P256 => self.point.get(..P256_PUBLIC_BYTES).unwrap_or(&self.point),
            Kem::XWing => &self.point,
        }
    }

    fn new(kem: Kem, bytes: &[u8]) -> Self {
        let mut point = [0; XWING_PUBLIC_BYTES];
        point.iter_mut().zip(bytes).for_each(|(own, byte)| *own = *byte);
        Self { kem, point, fingerprint: fingerprint(bytes, kem.algorithm()) }
    }
}

/// Says which key it is.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({}, {:?})", self.kem.as_str(), self.fingerprint)
    }
}

fn public_of<K: hpke::Kem>(secret: &[u8; 32]) -> Option<Vec<u8>> {
    let key = K::PrivateKey::from_bytes(secret).ok()?;
    Some(K::sk_to_pk(&key).to_bytes().to_vec())
}

fn drawn<K: hpke::Kem>(entropy: &mut impl CryptoRng) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    K::gen_keypair_with_rng(entropy).0.write_exact(bytes.as_mut_slice());
    bytes
}

fn open<K: hpke::Kem>(
    secret: &[u8],
    enc: &[u8],
    info: &[u8],
    sealed: &[u8],
    aad: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
    let (key, enc) = (K::PrivateKey::from_bytes(secret)?, K::EncappedKey::from_bytes(enc)?);
    single_shot_open::<AesGcm256, HkdfSha256, K>(&OpModeR::Base, &key, &enc, info, sealed, aad).map(Zeroizing::new)
}

fn seal<K: hpke::Kem>(
    public: &[u8],
    info: &[u8],
    plain: &[u8],
    aad: &[u8],
    entropy: &mut impl CryptoRng,
) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
    let key = K::PublicKey::from_bytes(public)?;
    let (enc, sealed) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(&OpModeS::Base, &key, info, plain, aad, entropy)?;
    Ok((enc.to_bytes().to_vec(), sealed))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::vault::fixture::{Chance, SoftToken, unhex};
    use crate::vault::format::sha256;

    #[test]
    fn a_recipients_key_is_written_as_it_was_read_although_it_is_used_clamped() {
        let key = RecipientSecret::from_bytes(Kem::X25519, Zeroizing::new([0xff; 32])).unwrap();

        let again = RecipientSecret::from_pem(key.to_pem().unwrap().as_bytes()).unwrap();

        assert_eq!(again.to_pem(), key.to_pem(), "all its bits are 1");
        assert_eq!(again.public(), key.public());
        assert_eq!(Recipient::from_pem(key.public().to_pem().as_bytes()).unwrap(), *key.public());
    }

    #[test]
    fn the_public_key_is_the_one_of_rfc_7748() {
        // RFC 7748 §6.1, Alice.
        let secret = *b"\x77\x07\x6d\x0a\x73\x18\xa5\x7d\x3c\x16\xc1\x72\x51\xb2\x66\x45\xdf\x4c\x2f\x87\xeb\xc0\x99\x2a\xb1\x77\xfb\xa5\x1d\xb9\x2c\x2a";
        let public = *b"\x85\x20\xf0\x09\x89\x30\xa7\x54\x74\x8b\x7d\xdc\xb4\x3e\xf7\x5a\x0d\xbf\x3a\x0d\x26\x38\x1a\xf4\xeb\xa4\xa9\x8e\xaa\x9b\x4e\x6a";

        assert_eq!(RecipientSecret::from_bytes(Kem::X25519, Zeroizing::new(secret)).unwrap().public().bytes(), public);
    }

    /// draft-connolly-cfrg-xwing-kem-10, appendix D: the seed 00 01 … 1f.
    const XWING: &str = "-----BEGIN PRIVATE KEY-----\nMDQCAQAwDQYLKwYBBAGD5i2ByHoEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ\nGhscHR4f\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_of_x_wing_is_in_the_container_of_its_draft() {
        let key = RecipientSecret::from_pem(XWING.as_bytes()).unwrap();

        let pem = key.public().to_pem();
        assert_eq!(key.kem(), Kem::XWing);
        assert_eq!(*key.to_pem().unwrap(), XWING);
        // The beginning of the draft's public key, whose first line is cut after 48 bytes.
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMIIE1DANBgsrBgEEAYPmLYHIegOCBMEAb1QJigoOZBFGYUtpYLpg2GA9YvRH+atJ\nm0e9aQbMQLBh2GNKPoiQbyhJWOdEHKbHJcu5cJW3ZxpGK2aByeZYC7yNYLFJ+mAm\n"), "{pem}");
        assert_eq!(Recipient::from_pem(pem.as_bytes()).unwrap(), *key.public());
        assert_eq!(
            key.public().fingerprint().as_bytes(),
            &sha256(&[&[
                b"\x30\x82\x04\xd4\x30\x0d\x06\x0b\x2b\x06\x01\x04\x01\x83\xe6\x2d\x81\xc8\x7a\x03\x82\x04\xc1\0",
                key.public().bytes()
            ]
            .concat()])
        );
    }

    /// RFC 9180 appendix A.3.1: skRm, pkRm.
    const P256: &str = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2";
    const P256_PUBLIC: &str = "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0";

    #[test]
    fn a_key_of_p_256_has_both_halves_in_its_container_and_is_read_without_the_public_one() {
        let key = RecipientSecret::from_bytes(Kem::P256, thirty_two(&unhex(P256))).unwrap();
        let alone = [crate::vault::pem::P256_ALONE, &unhex(P256)].concat();
        let alone = pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, &alone).unwrap();

        assert_eq!(key.public().bytes(), unhex(P256_PUBLIC));
        for text in [key.to_pem().unwrap().as_str(), &alone] {
            assert_eq!(RecipientSecret::from_pem(text.as_bytes()).unwrap().public(), key.public());
        }
        assert_eq!(Recipient::from_pem(key.public().to_pem().as_bytes()).unwrap(), *key.public());
    }

    #[test]
    fn what_is_no_key_of_p_256_is_told() {
        let key = RecipientSecret::generate_as(Kem::P256, &mut Chance::from(1));
        let other = *RecipientSecret::generate_as(Kem::P256, &mut Chance::from(2)).public();
        let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

        for none in [[0; 32].to_vec(), unhex(order), vec![0xff; 32]] {
            assert_eq!(RecipientSecret::from_bytes(Kem::P256, thirty_two(&none)).err(), Some(BadKey::NotAScalar));
        }
        let mixed = RecipientSecret { private: key.private, public: other };
        assert_eq!(RecipientSecret::from_pem(mixed.to_pem().unwrap().as_bytes()).err(), Some(BadKey::OtherHalf));
        for at in [0, 1, 64] {
            let mut off = other;
            off.point[at] ^= 1;
            assert_eq!(Recipient::from_pem(off.to_pem().as_bytes()).err(), Some(BadKey::NotOnTheCurve), "{at}");
        }
    }

    #[test]
    fn what_is_no_key_of_ml_kem_is_no_recipient() {
        let mut key = *RecipientSecret::generate_as(Kem::XWing, &mut Chance::from(1)).public();
        key.point[..3].fill(0xff); // two numbers of 12 bits: 4,095 each, and 3,328 is the highest

        assert_eq!(Recipient::from_pem(key.to_pem().as_bytes()).err(), Some(BadKey::OutOfRange));
    }

    #[test]
    fn each_kind_opens_what_was_sealed_to_it_and_not_the_other() {
        for kem in [Kem::X25519, Kem::P256, Kem::XWing] {
            let [own, other] = [1, 2].map(|seed| RecipientSecret::generate_as(kem, &mut Chance::from(seed)));
            let (enc, sealed) = own.public().seal(b"info", b"plain", b"aad", &mut Chance::from(3)).unwrap();

            assert_eq!(*own.open(&enc, b"info", &sealed, b"aad").unwrap(), b"plain");
            assert!(other.open(&enc, b"info", &sealed, b"aad").is_err());
            assert!(own.open(&enc, b"info", &sealed, b"other").is_err());
            assert!(own.open(&enc[1..], b"info", &sealed, b"aad").is_err(), "a shorter one");
        }
    }

    #[test]
    fn a_passphrase_protects_a_key_of_each_kind() {
        for kem in [Kem::X25519, Kem::P256, Kem::XWing] {
            let key = RecipientSecret::generate_as(kem, &mut Chance::from(1));
            let pem = key.to_protected_pem("Gänsefüßchen".as_bytes(), &mut Chance::from(2)).unwrap();

            assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
            assert_eq!(RecipientSecret::from_pem(pem.as_bytes()).err(), Some(BadKey::Protected));
            assert_eq!(RecipientSecret::from_protected_pem(pem.as_bytes(), b"guess").err(), Some(BadKey::WrongPassphrase));
            let again = RecipientSecret::from_protected_pem(pem.as_bytes(), "Gänsefüßchen".as_bytes()).unwrap();
            assert_eq!(again.public(), key.public());
            let plain = RecipientSecret::from_protected_pem(key.to_pem().unwrap().as_bytes(), b"none is needed").unwrap();
            assert_eq!(plain.public(), key.public());
        }
    }

    /// A key of P-256, and the same where it lies in a token.
    fn held(change: impl FnOnce(&mut SoftToken)) -> (RecipientSecret, Result<RecipientSecret, NotAgreed>, Arc<AtomicU32>) {
        let here = RecipientSecret::generate_as(Kem::P256, &mut Chance::from(1));
        let Private::Here(bytes) = &here.private else { panic!("it was made here") };
        let mut token = SoftToken::of(bytes.as_slice());
        change(&mut token);
        let asked = Arc::clone(&token.asked);
        let held = RecipientSecret::held(*here.public(), Box::new(token), &mut Chance::from(2));
        (here, held, asked)
    }

    #[test]
    fn a_key_in_a_token_opens_what_it_opens_here_and_does_not_leave_it() {
        let (here, held, _) = held(|_| ());
        let held = held.unwrap();
        let (enc, sealed) = here.public().seal(b"info", b"plain", b"aad", &mut Chance::from(3)).unwrap();

        assert_eq!(*held.open(&enc, b"info", &sealed, b"aad").unwrap(), b"plain");
        assert_eq!(held.open(&enc, b"info", &sealed, b"other").err(), Some(NotOpened::Otherwise));
        assert!(held.to_pem().is_none() && held.to_protected_pem(b"correct horse", &mut Chance::from(4)).is_none());
    }

    #[test]
    fn what_is_no_point_is_not_shown_to_a_token() {
        let (_, held, asked) = held(|_| ());
        let (held, before) = (held.unwrap(), asked.load(Ordering::Relaxed));
        let off = [&[4][..], &[1; 64]].concat();

        for enc in [&[][..], &[0], &[0; 65], &[4; 65], &off, &off[..64]] {
            assert_eq!(held.open(enc, b"info", &[0; 48], b"aad").err(), Some(NotOpened::Otherwise));
        }
        assert_eq!(asked.load(Ordering::Relaxed), before);
    }

    #[test]
    fn a_token_that_refuses_or_gives_something_else_is_told_at_once() {
        let refuses = held(|token| token.answers = |_| Err(NotAgreed::Refused)).1;
        let lies = held(|token| {
            token.answers = |[first, rest @ ..]| Ok(std::array::from_fn(|at| rest.get(at).copied().unwrap_or(first)))
        })
        .1;
        let other = *RecipientSecret::generate_as(Kem::P256, &mut Chance::from(5)).public();
        let anothers = RecipientSecret::held(other, Box::new(SoftToken::of(&[7; 32])), &mut Chance::from(2));
        let no_curve = *RecipientSecret::generate(&mut Chance::from(5)).public();
        let no_curve = RecipientSecret::held(no_curve, Box::new(SoftToken::of(&[7; 32])), &mut Chance::from(2));

        assert_eq!(refuses.err(), Some(NotAgreed::Refused));
        assert_eq!([lies.err(), anothers.err(), no_curve.err()], [Some(NotAgreed::Wrong); 3]);
    }

    #[test]
    fn a_file_that_asks_for_too_much_work_is_refused_before_it_is_begun() {
        let protected = |kdf: &[u8]| {
            let cbc = [b"\x30\x1d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a\x04\x10".as_slice(), &[7; 16]].concat();
            let scheme = sequence(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d".as_slice(), &sequence(&[kdf, &cbc])]);
            let der = sequence(&[scheme.as_slice(), &[&[0x04, 64][..], &[9; 64]].concat()]);
            let pem = pem_rfc7468::encode_string("ENCRYPTED PRIVATE KEY", pem_rfc7468::LineEnding::LF, &der).unwrap();
            RecipientSecret::from_protected_pem(pem.as_bytes(), b"guess").err().unwrap()
        };
        let salt = [&[0x04, 8][..], &[5; 8]].concat();
        let number = |n: u64| [&[0x02, 9, 0][..], &n.to_be_bytes()].concat().into_iter().collect::<Vec<u8>>();
        let shortest = |n: u64| {
            let whole = number(n);
            let zeros = whole[2..].iter().take_while(|byte| **byte == 0).count().min(8);
            let body = &whole[2 + zeros..];
            let body = if body[0] & 0x80 == 0 { body.to_vec() } else { [&[0][..], body].concat() };
            [&[0x02, u8::try_from(body.len()).unwrap()][..], &body].concat()
        };
        let pbkdf2 = |iterations| {
            let sha256 = b"\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x09\x05\0";
            let params = sequence(&[salt.as_slice(), &shortest(iterations), sha256]);
            protected(&sequence(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c".as_slice(), &params]))
        };
        let scrypt = |n, r, p| {
            let params = sequence(&[salt.as_slice(), &shortest(n), &shortest(r), &shortest(p)]);
            protected(&sequence(&[b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x04\x0b".as_slice(), &params]))
        };

        assert_eq!([pbkdf2(2048), pbkdf2(2_000_001)], [BadKey::WrongPassphrase, BadKey::TooCostly]);
        assert_eq!(scrypt(1 << 10, 8, 1), BadKey::WrongPassphrase);
        // 512 MiB; more blocks than may be; what overflows.
        for (n, r, p) in [(1 << 19, 8, 1), (1 << 14, 8, 17), (1 << 62, 65_535, 65_535), (1 << 55, 512, 1)] {
            assert_eq!(scrypt(n, r, p), BadKey::TooCostly, "{n} {r} {p}");
        }
        assert_eq!(protected(&sequence(&[b"\x06\x03\x2b\x65\x70".as_slice()])), BadKey::UnknownProtection);
    }

    /// DER: SEQUENCE of what is shorter than 256 bytes.
    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u8::try_from(body.len()).unwrap();
        let head = if length < 128 { vec![0x30, length] } else { vec![0x30, 0x81, length] };
        [head, body].concat()
    }
}
