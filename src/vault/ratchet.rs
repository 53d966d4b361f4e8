//! The key schedule: from the segment's secret to one key for each chunk, forwards only.

use aes_gcm::aead::KeyInit;
use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U12;
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::RecordingId;
use crate::vault::format::Version;

/// 32 random bytes from which all keys of one segment come; what the recipients' wraps hold.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// A chunk's key and its nonce.
pub(super) const CHUNK_KEY_BYTES: usize = 32 + 12;

/// The state from which the key of the next chunk comes, and no key of an earlier one.
///
/// A step consumes it and writes the next state over it, at the same place on the heap: moving the ratchet leaves no copy.
pub(super) struct Ratchet {
    state: Box<Zeroizing<[u8; 32]>>,
    index: u32,
    version: Version,
}

/// What parts a chunk's keys from all else, without an allocation for each chunk.
const fn chunk_label(version: Version) -> &'static [u8] {
    match version {
        Version::Zero => b"mitschnitt/0 chunk",
        Version::One => b"mitschnitt/1 chunk",
    }
}

impl Ratchet {
    /// Returns the commitment to a secret, and the ratchet at chunk 0.
    ///
    /// Both come from one expansion, so that whoever has the commitment has bound themselves to every key that follows.
    pub(super) fn begin(version: Version, secret: &[u8; 32], recording: RecordingId, segment: u32) -> ([u8; 32], Self) {
        let label = version.label("segment");
        let salt = [&label, recording.as_bytes().as_slice(), &segment.to_be_bytes()].concat();
        let mut okm = Zeroizing::new([0; 64]);
        Hkdf::<Sha256>::new(Some(&salt), secret).expand(&label, okm.as_mut_slice()).expect("64 bytes are fewer than HKDF gives");
        let mut commitment = [0; 32];
        let mut state = Box::new(Zeroizing::new([0; 32]));
        let (head, tail) = okm.split_at(32);
        commitment.copy_from_slice(head);
        state.copy_from_slice(tail);
        (commitment, Self { state, index: 0, version })
    }

    /// Returns the number of the chunk whose key comes next.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Returns the ratchet after this one, and leaves this as it is.
    #[cfg(test)]
    pub(super) fn after(&self) -> Option<Self> {
        self.copy().step(|_, _| ()).1
    }

    /// Returns the same ratchet once more: for a reader, who may go back. A writer that had two could seal a chunk twice.
    pub(super) fn copy(&self) -> Self {
        Self { state: self.state.clone(), index: self.index, version: self.version }
    }

    /// Returns the ratchet that has come to this state, from which the keys of this chunk and of all after it come.
    pub(super) fn resumed(version: Version, state: &[u8; 32], index: u32) -> Self {
        Self { state: Box::new(Zeroizing::new(*state)), index, version }
    }

    /// Returns the state.
    pub(super) fn state(&self) -> &[u8; 32] {
        &self.state
    }

    /// Returns key and nonce of the next chunk, for a reader who is to have them and none after it.
    pub(super) fn key(&self) -> Zeroizing<[u8; CHUNK_KEY_BYTES]> {
        let mut key = Zeroizing::new([0; CHUNK_KEY_BYTES]);
        let okm = self.expand();
        key.copy_from_slice(okm.split_at(CHUNK_KEY_BYTES).0);
        key
    }

    /// Lends the key and nonce of the next chunk to `with`, and returns the ratchet after it, or nothing after chunk 2³² − 1.
    pub(super) fn step<R>(mut self, with: impl FnOnce(&Aes256Gcm, &Nonce<U12>) -> R) -> (R, Option<Self>) {
        let okm = self.expand();
        let (key, next) = okm.split_at(CHUNK_KEY_BYTES);
        self.state.copy_from_slice(next);
        let result = lend(key.try_into().expect("they are 44 bytes"), with);
        let Self { state, index, version } = self;
        let next = index.checked_add(1).map(|index| Self { state, index, version });
        (result, next)
    }

    /// Key, nonce and next state.
    fn expand(&self) -> Zeroizing<[u8; 76]> {
        let mut okm = Zeroizing::new([0; 76]);
        Hkdf::<Sha256>::from_prk(self.state.as_slice())
            .expect("32 bytes are a key of HMAC-SHA-256")
            .expand_multi_info(&[chunk_label(self.version), &self.index.to_be_bytes()], okm.as_mut_slice())
            .expect("76 bytes are fewer than HKDF gives");
        okm
    }

    /// Returns the ratchet as if it had come to this chunk.
    #[cfg(test)]
    pub(super) fn at(mut self, index: u32) -> Self {
        self.index = index;
        self
    }
}

/// Lends the key and the nonce in these bytes to `with`.
pub(super) fn lend<R>(key: &[u8; CHUNK_KEY_BYTES], with: impl FnOnce(&Aes256Gcm, &Nonce<U12>) -> R) -> R {
    let (key, nonce) = key.split_at(32);
    let cipher = Aes256Gcm::new_from_slice(key).expect("32 bytes are a key of AES-256");
    let nonce: &Nonce<U12> = <&Array<u8, U12>>::try_from(nonce).expect("12 bytes are a nonce");
    with(&cipher, nonce)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::HashSet;

    use aes_gcm::aead::Aead;

    use super::*;

    const ID: RecordingId = RecordingId::from_bytes([7; 16]);

    #[test]
    fn no_two_chunks_have_a_key_and_nonce_in_common() {
        let (_, ratchet) = Ratchet::begin(Version::One, &[1; 32], ID, 0);
        let mut ratchet = Some(ratchet);
        let mut seen = HashSet::new();

        for _ in 0..1000 {
            let (sealed, next) = ratchet.take().unwrap().step(|key, nonce| key.encrypt(nonce, [0; 32].as_slice()).unwrap());
            assert!(seen.insert(sealed), "the same key stream twice");
            ratchet = next;
        }
    }

    #[test]
    fn the_commitment_binds_version_secret_recording_and_segment() {
        let other = RecordingId::from_bytes([8; 16]);
        let versions = [(Version::One, 1, ID, 0), (Version::Zero, 1, ID, 0)];
        let commitments: HashSet<_> = [(Version::One, 2, ID, 0), (Version::One, 1, other, 0), (Version::One, 1, ID, 1)]
            .into_iter()
            .chain(versions)
            .map(|(version, secret, id, segment)| Ratchet::begin(version, &[secret; 32], id, segment).0)
            .collect();

        assert_eq!(commitments.len(), 5);
    }

    #[test]
    fn a_step_writes_the_next_state_over_the_last() {
        let (_, ratchet) = Ratchet::begin(Version::One, &[1; 32], ID, 0);
        let (place, before) = (ratchet.state.as_ptr(), **ratchet.state);

        let next = ratchet.step(|_, _| ()).1.unwrap();

        assert_eq!(next.state.as_ptr(), place, "it was not copied to another place");
        assert_ne!(**next.state, before);
    }

    #[test]
    fn after_the_last_number_there_is_no_chunk() {
        let ratchet = Ratchet::begin(Version::One, &[1; 32], ID, 0).1.at(u32::MAX);

        assert!(ratchet.step(|_, _| ()).1.is_none());
    }
}
