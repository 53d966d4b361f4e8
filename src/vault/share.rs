//! The local share: what opens a key file where it lies, beside its recipients' keys, and is destroyed with it.
//!
//! An unlinked key file stays in a disk's image, in backups and in snapshots, and opens there for whoever has a recipient's key. So it lies on the
//! disk inside another envelope, sealed under a share of its own; all shares lie in one table, sealed under the key of an epoch. Who erases
//! writes the table anew, without those shares, under another epoch's key, and overwrites the old one: what was copied before opens no more.
//!
//! `manual/format.md` has every byte. Here is no disk and no chance: the shell brings both.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::RecordingId;
use crate::vault::format::{CHECK_BYTES, TAG_BYTES, check};

/// The first bytes of a key file in its envelope, of whatever version.
const MAGIC: [u8; 8] = *b"\x8dmschnE\n";
/// The same, with the version.
const ENVELOPE: [u8; 9] = *b"\x8dmschnE\n\x00";
/// The first bytes of a table of shares, with the version.
const TABLE: [u8; 9] = *b"\x8dmschnT\n\x00";
/// The first bytes of an epoch's key where it lies, with the version.
const SLOT: [u8; 9] = *b"\x8dmschnP\n\x00";

const LABEL: &[u8] = b"mitschnitt local share 1";

const SECRET: usize = 32;
const NONCE: usize = 12;
const ENVELOPE_HEAD: usize = ENVELOPE.len() + 1 + 16 + NONCE;

/// So many bytes of an envelope say how its keys have lain.
pub(crate) const LAIN_BYTES: usize = ENVELOPE.len() + 1;

/// Random bytes, from the shell: a share or a key of 32, and a nonce of 12.
pub(crate) type Drawn = [u8; SECRET + NONCE];

/// Bytes of a table before its first entry: what it is, and its epoch.
pub(crate) const TABLE_HEAD: usize = TABLE.len() + 8;
/// Bytes of an entry: the recording, a nonce, and the share with its tag.
pub(crate) const ENTRY: usize = 16 + NONCE + SECRET + TAG_BYTES;
/// Bytes of an epoch's key where it lies: what it is, its epoch, the key, and a check.
pub(crate) const SLOT_BYTES: usize = SLOT.len() + 8 + SECRET + CHECK_BYTES;

/// The share of one key file.
pub(crate) struct Share(Zeroizing<[u8; SECRET]>);

/// The key of an epoch.
#[derive(Clone)]
pub(crate) struct EpochKey(Zeroizing<[u8; SECRET]>);

/// How the keys of a recording have lain since it was begun, at worst: what a copy of some time needs in order to open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Lain {
    /// In no envelope, for a while or still.
    Plain = 0,
    /// In envelopes, and the key of the epoch on a disk.
    OnDisk = 1,
    /// In envelopes, and the key of the epoch in a TPM.
    InTpm = 2,
}

impl Lain {
    /// Reads it from the beginning of a key file; of one that lies in no envelope, or in one that is not known, the worst.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes.strip_prefix(&ENVELOPE).and_then(<[u8]>::first) {
            Some(1) => Self::OnDisk,
            Some(2) => Self::InTpm,
            Some(_) | None => Self::Plain,
        }
    }
}

/// Returns whether these are the bytes of a key file in its envelope, or the beginning of one.
pub(crate) fn is_enveloped(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl Share {
    /// Takes a new one, and returns the nonce that was drawn with it.
    pub(crate) fn of(drawn: &Zeroizing<Drawn>) -> (Self, [u8; NONCE]) {
        let (secret, nonce) = parted(drawn);
        (Self(secret), nonce)
    }

    /// Puts a key file into its envelope. A nonce is used once with a share.
    pub(crate) fn envelop(&self, recording: RecordingId, lain: Lain, nonce: [u8; NONCE], keys: &[u8]) -> Vec<u8> {
        let mut bytes = [ENVELOPE.as_slice(), &[lain as u8], recording.as_bytes(), &nonce].concat();
        let sealed = self.cipher(recording).encrypt(&Nonce::from(nonce), Payload { msg: keys, aad: &bytes });
        bytes.extend(sealed.expect("a key file is shorter than what GCM seals"));
        bytes
    }

    /// Takes the key file out of its envelope; nothing where this is not its share, or a bit of it is another one.
    pub(crate) fn open(&self, recording: RecordingId, bytes: &[u8]) -> Option<Vec<u8>> {
        let (head, sealed) = bytes.split_at_checked(ENVELOPE_HEAD)?;
        let nonce: [u8; NONCE] = head.get(ENVELOPE_HEAD - NONCE..)?.try_into().ok()?;
        let is_its = head.starts_with(&ENVELOPE) && head.get(LAIN_BYTES..)?.starts_with(recording.as_bytes());
        is_its.then(|| self.cipher(recording).decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: head }).ok())?
    }

    fn cipher(&self, recording: RecordingId) -> Aes256Gcm {
        let mut key = Zeroizing::new([0; SECRET]);
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand_multi_info(&[LABEL, recording.as_bytes()], key.as_mut_slice())
            .expect("32 bytes are fewer than HKDF gives");
        Aes256Gcm::new_from_slice(key.as_slice()).expect("32 bytes are a key of AES-256")
    }
}

impl EpochKey {
    /// Takes a new one.
    pub(crate) fn of(drawn: &Zeroizing<Drawn>) -> Self {
        Self(parted(drawn).0)
    }

    /// Returns the bytes by which it lies in its slot.
    pub(crate) fn to_slot(&self, epoch: u64) -> Zeroizing<[u8; SLOT_BYTES]> {
        let mut bytes = Zeroizing::new([0; SLOT_BYTES]);
        let body = Zeroizing::new([SLOT.as_slice(), &epoch.to_be_bytes(), self.0.as_slice()].concat());
        let check = check(&super::format::sha256(&[&body]));
        let (front, back) = bytes.split_at_mut(SLOT_BYTES - CHECK_BYTES);
        front.copy_from_slice(&body);
        back.copy_from_slice(&check);
        bytes
    }

    /// Reads what a slot has; nothing where it is empty, or half written.
    pub(crate) fn from_slot(bytes: &[u8]) -> Option<(u64, Self)> {
        let (front, back) = bytes.get(..SLOT_BYTES)?.split_at_checked(SLOT_BYTES - CHECK_BYTES)?;
        let is_whole = front.starts_with(&SLOT) && check(&super::format::sha256(&[front])) == *back;
        let (epoch, key) = front.get(SLOT.len()..)?.split_at_checked(8)?;
        let key = Zeroizing::new(<[u8; SECRET]>::try_from(key).ok()?);
        is_whole.then_some((u64::from_be_bytes(epoch.try_into().ok()?), Self(key)))
    }

    /// Seals a share into an entry of the table.
    pub(crate) fn entry(&self, epoch: u64, recording: RecordingId, nonce: [u8; NONCE], share: &Share) -> Vec<u8> {
        let payload = Payload { msg: share.0.as_slice(), aad: &aad(epoch, recording) };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).expect("a share is shorter than what GCM seals");
        [recording.as_bytes().as_slice(), &nonce, &sealed].concat()
    }

    /// Opens an entry; nothing where it is not of this epoch, or a bit of it is another one.
    pub(crate) fn open(&self, epoch: u64, entry: &[u8]) -> Option<(RecordingId, Share)> {
        let (recording, rest) = entry.split_at_checked(16)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE)?;
        let recording = RecordingId::from_bytes(recording.try_into().ok()?);
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let opened = self.cipher().decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: &aad(epoch, recording) });
        let share = Zeroizing::new(opened.ok()?);
        Some((recording, Share(Zeroizing::new(share.as_slice().try_into().ok()?))))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(self.0.as_slice()).expect("32 bytes are a key of AES-256")
    }
}

/// Returns the beginning of a table.
pub(crate) fn table_head(epoch: u64) -> [u8; TABLE_HEAD] {
    let mut head = [0; TABLE_HEAD];
    let (front, back) = head.split_at_mut(TABLE.len());
    front.copy_from_slice(&TABLE);
    back.copy_from_slice(&epoch.to_be_bytes());
    head
}

/// Returns whose an entry says that it is.
pub(crate) fn recording_of(entry: &[u8; ENTRY]) -> RecordingId {
    let mut id = [0; 16];
    id.iter_mut().zip(entry).for_each(|(byte, part)| *byte = *part);
    RecordingId::from_bytes(id)
}

/// Returns of which epoch a table is; nothing where it is none of a version that is known.
pub(crate) fn epoch_of(table: &[u8]) -> Option<u64> {
    let epoch = table.strip_prefix(&TABLE)?.get(..8)?;
    Some(u64::from_be_bytes(epoch.try_into().ok()?))
}

fn aad(epoch: u64, recording: RecordingId) -> Vec<u8> {
    [table_head(epoch).as_slice(), recording.as_bytes()].concat()
}

fn parted(drawn: &Zeroizing<Drawn>) -> (Zeroizing<[u8; SECRET]>, [u8; NONCE]) {
    let (mut secret, mut nonce) = (Zeroizing::new([0; SECRET]), [0; NONCE]);
    let (front, back) = drawn.split_at(SECRET);
    secret.copy_from_slice(front);
    nonce.copy_from_slice(back);
    (secret, nonce)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn drawn(seed: u8) -> Zeroizing<Drawn> {
        Zeroizing::new([seed; SECRET + NONCE])
    }

    fn id(n: u8) -> RecordingId {
        RecordingId::from_bytes([n; 16])
    }

    #[test]
    fn an_envelope_opens_with_its_share_alone_and_no_bit_of_it_can_be_another() {
        let (share, nonce) = Share::of(&drawn(1));
        let bytes = share.envelop(id(7), Lain::OnDisk, nonce, b"the wraps");

        assert!(is_enveloped(&bytes) && !is_enveloped(b"the wraps"));
        assert_eq!(
            (Lain::of(&bytes[..LAIN_BYTES]), Lain::of(b"the wraps"), Lain::of(b"")),
            (Lain::OnDisk, Lain::Plain, Lain::Plain)
        );
        assert!(!bytes.windows(5).any(|window| window == b"wraps"));
        assert_eq!(share.open(id(7), &bytes).unwrap(), b"the wraps");
        assert_eq!(share.open(id(8), &bytes), None, "of another recording");
        assert_eq!(Share::of(&drawn(2)).0.open(id(7), &bytes), None);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(share.open(id(7), &other), None, "{bit}");
        }
        assert!((0..bytes.len()).all(|length| share.open(id(7), &bytes[..length]).is_none()));
    }

    #[test]
    fn an_entry_opens_with_the_key_of_its_epoch_alone_and_no_bit_of_it_can_be_another() {
        let [key, other] = [9, 8].map(|seed| EpochKey::of(&drawn(seed)));
        let entry = key.entry(5, id(1), [1; NONCE], &Share::of(&drawn(3)).0);
        let envelope = Share::of(&drawn(3)).0.envelop(id(1), Lain::InTpm, [0; NONCE], b"x");

        let (recording, share) = key.open(5, &entry).unwrap();
        assert_eq!((recording, recording_of(&entry.clone().try_into().unwrap()), entry.len()), (id(1), id(1), ENTRY));
        assert_eq!(share.open(id(1), &envelope).unwrap(), b"x");
        assert!(key.open(6, &entry).is_none() && other.open(5, &entry).is_none());
        for bit in 0..entry.len() * 8 {
            let mut changed = entry.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(5, &changed).is_none(), "{bit}");
        }
    }

    #[test]
    fn a_table_says_of_which_epoch_it_is() {
        assert_eq!(
            (epoch_of(&table_head(77)), epoch_of(&table_head(77)[..TABLE_HEAD - 1]), epoch_of(b"")),
            (Some(77), None, None)
        );
        let mut of_another_version = table_head(77);
        of_another_version[8] = 1;
        assert_eq!(epoch_of(&of_another_version), None);
    }

    #[test]
    fn a_slot_that_is_empty_or_half_written_has_no_key() {
        let slot = EpochKey::of(&drawn(9)).to_slot(77);

        let (epoch, key) = EpochKey::from_slot(slot.as_slice()).unwrap();
        assert_eq!((epoch, *key.0), (77, [9; SECRET]));
        assert!(EpochKey::from_slot(&[0; SLOT_BYTES]).is_none());
        for length in 0..SLOT_BYTES {
            let mut half = [0; SLOT_BYTES];
            half[..length].copy_from_slice(&slot[..length]);
            assert!(EpochKey::from_slot(&half).is_none() || half == *slot, "{length}");
            assert!(EpochKey::from_slot(&slot[..length]).is_none());
        }
    }
}
