//! Key files of the vectors that are wrapped for X-Wing or for P-256, named by their fault. The recordings are those of the others.

use zeroize::Zeroizing;

use crate::vault::fixture::{Chance, Made};
use crate::vault::format::{CHECK_BYTES, check, sha256};
use crate::vault::ratchet::Secret;
use crate::vault::wraps::KeyFile;
use crate::vault::{Kem, Recipient, RecipientSecret};

/// A key file: its name, what is the matter with it, whose key is to be tried, and what a reader with it must say.
pub(super) struct Wrapped {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) key: Vec<u8>,
    pub(super) recipient: &'static str,
    pub(super) content: &'static str,
}

/// The recipient of X-Wing, and that of P-256.
pub(super) fn recipients() -> [RecipientSecret; 2] {
    [(Kem::XWing, 6), (Kem::P256, 10)].map(|(kem, seed)| RecipientSecret::generate_as(kem, &mut Chance::from(seed)))
}

/// Key files for one recording, with another one's at hand.
pub(super) fn x_wing(good: &Made, two: &Made) -> Vec<Wrapped> {
    let [own, _] = recipients();
    let other = RecipientSecret::generate_as(Kem::XWing, &mut Chance::from(7));
    let alone = wrap(good, &[*own.public()]);
    let file = |name, what, key, content| Wrapped { name, what, key, recipient: "x-wing", content };
    let flipped = |at: usize, bits: u8| {
        let mut key = alone.clone();
        key[at] ^= bits;
        checked(key)
    };
    let renamed = renamed(&wrap(good, &[*other.public()]), &own);
    let moved = moved(&alone, &wrap(two, &[*own.public()]));
    vec![
        file("x-wing", "wrapped for a key of X-Wing", alone.clone(), "complete"),
        file(
            "x-wing-beside-x25519",
            "wrapped for X25519, too: no writer makes it",
            wrap(good, &[*good.secret.public(), *own.public()]),
            "complete",
        ),
        Wrapped {
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
        file("x-wing-under-another-kem", "the entry says that it is of X25519", as_x25519(&alone), "wrong-key"),
    ]
}

/// The same for P-256.
pub(super) fn p256(good: &Made, two: &Made) -> Vec<Wrapped> {
    let [_, own] = recipients();
    let other = RecipientSecret::generate_as(Kem::P256, &mut Chance::from(11));
    let alone = wrap(good, &[*own.public()]);
    let point = alone[ENC..ENC + 65].to_vec();
    let file = |name, what, key, content| Wrapped { name, what, key, recipient: "p-256", content };
    let with_enc = |enc: &[u8]| {
        let length = u16::try_from(enc.len()).expect("it is short").to_be_bytes();
        checked([&alone[..ENC - 2], &length, enc, &alone[ENC + 65..]].concat())
    };
    let (x, y) = (&point[1..33], &point[33..]);
    let off = [&point[..64], &[point[64] ^ 1]].concat();
    let compressed = [&[2 + (y[31] & 1)], x].concat();
    let hybrid = [&[6 + (y[31] & 1)], x, y].concat();
    vec![
        file("p-256", "wrapped for a key of P-256", alone.clone(), "complete"),
        file(
            "p-256-beside-x25519",
            "wrapped for X25519, too, which is as strong",
            wrap(good, &[*good.secret.public(), *own.public()]),
            "complete",
        ),
        Wrapped {
            recipient: "recipient",
            ..file("p-256-alone", "a key of X25519, for which it is not wrapped", alone.clone(), "wrong-key")
        },
        file(
            "p-256-wrong-key",
            "the entry under the key's name was made for another",
            renamed(&wrap(good, &[*other.public()]), &own),
            "wrong-key",
        ),
        file("p-256-wrap-moved", "the wrap of another recording", moved(&alone, &wrap(two, &[*own.public()])), "wrong-key"),
        file(
            "p-256-other-side",
            "the point with the same x, of which the same secret comes by Diffie-Hellman alone",
            with_enc(&[&[4], x, &negated(y)].concat()),
            "wrong-key",
        ),
        file("p-256-off-the-curve", "one bit of y", with_enc(&off), "wrong-key"),
        file("p-256-zero", "a point whose coordinates are zero", with_enc(&[&[4][..], &[0; 64]].concat()), "wrong-key"),
        file("p-256-infinity", "the point at infinity", with_enc(&[0]), "wrong-key"),
        file("p-256-cut", "the last byte of the point is missing", with_enc(&point[..64]), "wrong-key"),
        file("p-256-compressed", "the point in its short form", with_enc(&compressed), "wrong-key"),
        file("p-256-hybrid", "the point in a form that HPKE does not have", with_enc(&hybrid), "wrong-key"),
        file("p-256-under-another-kem", "the entry says that it is of X25519", as_x25519(&alone), "wrong-key"),
    ]
}

/// The prime of P-256, less this.
fn negated(y: &[u8]) -> Vec<u8> {
    let prime = b"\xff\xff\xff\xff\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let mut borrowed = false;
    let mut bytes: Vec<u8> = std::iter::zip(prime, y)
        .rev()
        .map(|(&prime, &byte)| {
            let (less, one) = prime.overflowing_sub(byte);
            let (less, two) = less.overflowing_sub(u8::from(borrowed));
            borrowed = one || two;
            less
        })
        .collect();
    bytes.reverse();
    bytes
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

/// The first entry under this one's name.
fn renamed(key: &[u8], own: &RecipientSecret) -> Vec<u8> {
    let mut key = key.to_vec();
    key[ENTRY + 2..ENTRY + 34].copy_from_slice(own.public().fingerprint().as_bytes());
    checked(key)
}

/// Another file's entries under this one's head.
fn moved(key: &[u8], other: &[u8]) -> Vec<u8> {
    checked([&key[..ENTRY], &other[ENTRY..]].concat())
}

fn as_x25519(key: &[u8]) -> Vec<u8> {
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
