//! Key files of the vectors that are wrapped for X-Wing, named by their fault. The recordings are those of the others.

use zeroize::Zeroizing;

use crate::vault::fixture::{Chance, Made};
use crate::vault::format::{CHECK_BYTES, check, sha256};
use crate::vault::ratchet::Secret;
use crate::vault::wraps::KeyFile;
use crate::vault::{Kem, Recipient, RecipientSecret};

/// A key file: its name, what is the matter with it, whose key is to be tried, and what a reader with it must say.
pub(super) struct XWing {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) key: Vec<u8>,
    pub(super) recipient: &'static str,
    pub(super) content: &'static str,
}

/// The recipient of X-Wing.
pub(super) fn recipient() -> RecipientSecret {
    RecipientSecret::generate_as(Kem::XWing, &mut Chance::from(6))
}

/// Key files for one recording, with another one's at hand.
pub(super) fn key_files(good: &Made, two: &Made) -> Vec<XWing> {
    let own = recipient();
    let other = RecipientSecret::generate_as(Kem::XWing, &mut Chance::from(7));
    let alone = wrap(good, &[*own.public()]);
    let file = |name, what, key, content| XWing { name, what, key, recipient: "x-wing", content };
    let flipped = |at: usize, bits: u8| {
        let mut key = alone.clone();
        key[at] ^= bits;
        checked(key)
    };
    let renamed = {
        let mut key = wrap(good, &[*other.public()]);
        key[ENTRY + 2..ENTRY + 34].copy_from_slice(own.public().fingerprint().as_bytes());
        checked(key)
    };
    let moved = {
        let theirs = wrap(two, &[*own.public()]);
        checked([&alone[..ENTRY], &theirs[ENTRY..]].concat())
    };
    vec![
        file("x-wing", "wrapped for a key of X-Wing", alone.clone(), "complete"),
        file(
            "x-wing-beside-x25519",
            "wrapped for X25519, too: no writer makes it",
            wrap(good, &[*good.secret.public(), *own.public()]),
            "complete",
        ),
        XWing {
            recipient: "recipient",
            ..file("x-wing-alone", "a key of X25519, for which it is not wrapped", alone.clone(), "wrong-key")
        },
        file("x-wing-wrong-key", "the entry under the key's name was made for another", renamed, "wrong-key"),
        file("x-wing-wrap-moved", "the wrap of another recording", moved, "wrong-key"),
        file(
            "x-wing-bit-in-ml-kem",
            "one bit of the ciphertext of ML-KEM, which rejects implicitly",
            flipped(ENC + 500, 1),
            "wrong-key",
        ),
        file(
            "x-wing-bit-in-x25519",
            "one bit of the other half of the encapsulated key",
            flipped(ENC + 1088 + 5, 1),
            "wrong-key",
        ),
        file("x-wing-under-another-kem", "the entry says that it is of X25519", flipped_kem(&alone), "wrong-key"),
    ]
}

/// Where the first entry begins, and its encapsulated key.
const ENTRY: usize = 64;
const ENC: usize = ENTRY + 2 + 32 + 2;

/// The recording's secret, wrapped for these and nobody else.
fn wrap(made: &Made, recipients: &[Recipient]) -> Vec<u8> {
    let file = KeyFile::parse(&made.key).expect("it was just made");
    let secret: Secret = Zeroizing::new(*file.unwrap(&made.secret).expect("it is the recipient's"));
    KeyFile::wrap(*file.segment(), &secret, recipients, &mut Chance::from(9)).expect("good keys").to_bytes()
}

fn flipped_kem(key: &[u8]) -> Vec<u8> {
    let mut key = key.to_vec();
    key[ENTRY..ENTRY + 2].copy_from_slice(&0x0020_u16.to_be_bytes());
    checked(key)
}

/// The check made to fit.
fn checked(mut key: Vec<u8>) -> Vec<u8> {
    key.truncate(key.len() - CHECK_BYTES);
    key.extend_from_slice(&check(&sha256(&[&key])));
    key
}
