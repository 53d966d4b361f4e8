//! Every key of a recording, computed from its files and the recipient's key as `format.md` has it, apart from the program.

use std::path::Path;

use hkdf::Hkdf;
use hkdf::hmac::{Hmac, Mac as _};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable as _, Kem, OpModeR, single_shot_open};
use sha2::Sha256;
use sha2::block_api::compress256;

use super::image::Needle;
use super::site::Site;

/// A recording's keys.
pub(crate) struct Schedule {
    /// What the key file wraps.
    secret: [u8; 32],
    /// What of it opens the wrap: HPKE's own secrets.
    wrapping: Vec<(&'static str, [u8; 32])>,
    recording: [u8; 16],
}

impl Schedule {
    /// Opens the key file of an installation's recording with the recipient's key, which is of X-Wing.
    pub(crate) fn of(site: &Site, id: &str) -> Self {
        let file = std::fs::read(site.data().join("keys").join(format!("{id}.key"))).expect("the key file is there");
        let pem = std::fs::read(site.recipient_secret()).expect("the key is there");
        let mut buffer = vec![0; pem.len()];
        let (_, der) = pem_rfc7468::decode(&pem, &mut buffer).expect("it is PEM");
        let seed = &der[der.len() - 32..];
        let key = <XWing as Kem>::PrivateKey::from_bytes(seed).expect("32 bytes are a seed");

        assert_eq!((file[8], &file[10..12]), (1, &[0, 1][..]), "version 1, one entry");
        let (segment, recording, commitment) = (&file[12..16], &file[16..32], &file[32..64]);
        let (kem, name) = (&file[64..66], &file[66..98]);
        assert_eq!(kem, [0x64, 0x7a], "X-Wing");
        let enc = <XWing as Kem>::EncappedKey::from_bytes(&file[100..1220]).expect("1,120 bytes");
        let wrap = &file[1222..1270];
        let aad = [recording, segment, commitment, name].concat();
        let info = b"mitschnitt/1 wrap";
        let plain = single_shot_open::<AesGcm256, HkdfSha256, XWing>(&OpModeR::Base, &key, &enc, info, wrap, &aad);
        let shared = XWing::decap(&key, None, &enc).expect("it can be decapsulated");
        Self {
            secret: plain.expect("the wrap opens").try_into().expect("32 bytes"),
            wrapping: wrapping(&shared.0, info),
            recording: recording.try_into().expect("16 bytes"),
        }
    }

    /// All by which chunks below this number are opened, or the secret from which they come; each in the forms in which AES, HMAC and
    /// HKDF have it in memory.
    pub(crate) fn below(&self, chunks: u32) -> Vec<Needle> {
        let mut needles = Vec::new();
        forms(&mut needles, "the segment's secret", &self.secret);
        for (name, secret) in &self.wrapping {
            forms(&mut needles, name, secret);
        }
        let salt = [b"mitschnitt/1 segment".as_slice(), &self.recording, &[0; 4]].concat();
        let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(&salt), &self.secret);
        forms(&mut needles, "the segment's PRK", &prk.into());
        let mut state = [0; 64];
        hkdf.expand(b"mitschnitt/1 segment", &mut state).expect("64 bytes");
        let mut state: [u8; 32] = state[32..].try_into().expect("32 bytes");
        for index in 0..chunks {
            forms(&mut needles, &format!("the state of chunk {index}"), &state);
            let okm = step(&state, index);
            forms(&mut needles, &format!("the key of chunk {index}"), okm[..32].try_into().expect("32 bytes"));
            state = okm[44..].try_into().expect("32 bytes");
        }
        needles
    }

    /// The state of this chunk, as it must be in the process's memory while that chunk is not sealed.
    pub(crate) fn state(&self, chunk: u32) -> Needle {
        let name = format!("the state of chunk {chunk}");
        let [needle] = self
            .below(chunk + 1)
            .into_iter()
            .filter(|needle| needle.name == name)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("one"));
        needle
    }
}

/// How many chunks are in a recording's file, by its frames.
pub(crate) fn chunks_in(rec: &Path) -> u32 {
    let bytes = std::fs::read(rec).expect("the file is there");
    let (mut at, mut count) = (144, 0);
    while let Some(frame) = bytes.get(at..at + 10).filter(|frame| frame[0] == 0xc5) {
        let length = u32::from_be_bytes(frame[6..10].try_into().expect("4 bytes"));
        at += 10 + usize::try_from(length).expect("a chunk is short") + 16 + 8;
        count += u32::from(at <= bytes.len());
    }
    count
}

fn step(state: &[u8; 32], index: u32) -> [u8; 76] {
    let mut okm = [0; 76];
    let info = [b"mitschnitt/1 chunk".as_slice(), &index.to_be_bytes()].concat();
    Hkdf::<Sha256>::from_prk(state).expect("32 bytes").expand(&info, &mut okm).expect("76 bytes");
    okm
}

/// HPKE's key schedule (RFC 9180 §5.1), base mode.
fn wrapping(shared: &[u8], info: &[u8]) -> Vec<(&'static str, [u8; 32])> {
    const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x02";
    let extract = |salt: &[u8], label: &[u8], ikm: &[u8]| -> [u8; 32] {
        let ikm = [b"HPKE-v1".as_slice(), SUITE, label, ikm].concat();
        Hkdf::<Sha256>::extract(Some(salt), &ikm).0.into()
    };
    let context = [&[0][..], &extract(b"", b"psk_id_hash", b""), &extract(b"", b"info_hash", info)].concat();
    let secret = extract(shared, b"secret", b"");
    let mut key = [0; 32];
    let info = [&[0, 32][..], b"HPKE-v1", SUITE, b"key", &context].concat();
    Hkdf::<Sha256>::from_prk(&secret).expect("32 bytes").expand(&info, &mut key).expect("32 bytes");
    let shared: [u8; 32] = shared.try_into().expect("X-Wing's secret has 32 bytes");
    vec![("HPKE's shared secret", shared), ("HPKE's secret", secret), ("HPKE's key", key)]
}

/// A secret as itself, as the key block of HMAC, as the states that come of that, and as the round keys of AES-256.
fn forms(needles: &mut Vec<Needle>, name: &str, secret: &[u8; 32]) {
    needles.push(Needle::new(name, secret));
    needles.extend(Needle::halves(name, secret));
    for (pad, what) in [(0x36, "inner"), (0x5c, "outer")] {
        let mut block = [pad; 64];
        block.iter_mut().zip(secret).for_each(|(byte, key)| *byte ^= key);
        needles.extend(Needle::halves(&format!("{name}, {what} block of HMAC"), &block[..32]));
        let mut state = SHA256_BEGIN;
        compress256(&mut state, &[block]);
        let state: Vec<u8> = state.iter().flat_map(|word| word.to_ne_bytes()).collect();
        needles.push(Needle::new(format!("{name}, {what} state of HMAC"), &state));
    }
    let rounds = rounds(secret);
    needles.extend((2..).zip(&rounds[2..]).map(|(nth, round)| Needle::new(format!("{name}, round key {nth} of AES"), round)));
}

/// FIPS 180-4 §5.3.3.
const SHA256_BEGIN: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The round keys of AES-256 (FIPS 197 §5.2).
fn rounds(key: &[u8; 32]) -> Vec<[u8; 16]> {
    let sbox = sbox();
    let mut words: Vec<[u8; 4]> = key.chunks_exact(4).map(|word| word.try_into().expect("4 bytes")).collect();
    let mut rcon = 1_u8;
    for nth in 8..60 {
        let mut word = words[nth - 1];
        if nth % 8 == 0 {
            word.rotate_left(1);
            word = word.map(|byte| sbox[usize::from(byte)]);
            word[0] ^= rcon;
            rcon <<= 1;
        } else if nth % 8 == 4 {
            word = word.map(|byte| sbox[usize::from(byte)]);
        }
        let before = words[nth - 8];
        words.push([0, 1, 2, 3].map(|at| word[at] ^ before[at]));
    }
    words.chunks_exact(4).map(|round| round.concat().try_into().expect("16 bytes")).collect()
}

/// FIPS 197 §5.1.1: the inverse in GF(2⁸), and an affine map.
fn sbox() -> [u8; 256] {
    let (mut sbox, mut p, mut q) = ([0x63; 256], 1_u8, 1_u8);
    loop {
        p = p ^ (p << 1) ^ if p & 0x80 != 0 { 0x1b } else { 0 };
        q ^= q << 1;
        q ^= q << 2;
        q ^= q << 4;
        if q & 0x80 != 0 {
            q ^= 0x09;
        }
        sbox[usize::from(p)] = q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4) ^ 0x63;
        if p == 1 {
            return sbox;
        }
    }
}

/// That what is looked for is what the ciphers have.
pub(crate) fn known_answers() {
    // FIPS 197, appendix A.3: the last round key.
    let key: [u8; 32] = *b"\x60\x3d\xeb\x10\x15\xca\x71\xbe\x2b\x73\xae\xf0\x85\x7d\x77\x81\x1f\x35\x2c\x07\x3b\x61\x08\xd7\x2d\x98\x10\xa3\x09\x14\xdf\xf4";
    assert_eq!(rounds(&key)[14], *b"\xfe\x48\x90\xd1\xe6\x18\x8d\x0b\x04\x6d\xf3\x44\x70\x6c\x63\x1e");
    // The inner and outer states give the HMAC that the crate gives, of nothing.
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).expect("any length");
    mac.update(b"");
    let pad = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(&key).for_each(|(byte, key)| *byte ^= key);
        let mut state = SHA256_BEGIN;
        compress256(&mut state, &[block]);
        state
    };
    let finish = |mut state: [u32; 8], text: &[u8]| {
        let mut block = [0; 64];
        block[..text.len()].copy_from_slice(text);
        block[text.len()] = 0x80;
        block[56..].copy_from_slice(&(8 * (64 + text.len() as u64)).to_be_bytes());
        compress256(&mut state, &[block]);
        state.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
    };
    let inner = finish(pad(0x36), b"");
    assert_eq!(finish(pad(0x5c), &inner), mac.finalize().into_bytes().to_vec());
}
