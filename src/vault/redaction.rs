//! What a file has of chunks that were taken out: their hashes in their places, and behind the header, sealed, what is known of them and the keys of
//! the chunks that are left.
//!
//! ```text
//!   header │ redaction │ 0 │ 1 │ … │ a−1 │ hole a │ … │ hole b−1 │ b │ … │ n−1 │ closing
//!            keys of 0 … a−1, and the state s_b: those of a … b−1 come of neither
//! ```

use std::fmt;
use std::ops::Range;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ids::RecordingId;
use crate::limits::REDACTION_BYTES_READ;
use crate::vault::content::{GapReason, Record, Records};
use crate::vault::format::{CHECK_BYTES, Fields, Hash, KIND_REDACTION, TAG_BYTES, Version, check, sha256};
use crate::vault::ratchet::{CHUNK_KEY_BYTES, Ratchet, Secret, lend};
use crate::vault::wraps::Segment;

/// Kind, length of what is sealed, commitment, the commitment before it, and the secret for whoever has the one before.
pub(super) const REDACTION_HEAD_BYTES: usize = 1 + 4 + 32 + 32 + BRIDGE_BYTES;

const BRIDGE_BYTES: usize = 32 + TAG_BYTES;

/// What follows the header of a file of which something was taken out, as it stands there.
#[derive(Clone)]
pub(super) struct Redaction {
    bytes: Vec<u8>,
    commitment: Hash,
    before: Hash,
}

impl Redaction {
    /// Returns how many bytes follow those that it begins with.
    pub(super) fn rest_of(head: &[u8; REDACTION_HEAD_BYTES]) -> Option<usize> {
        let mut fields = Fields(head);
        let [KIND_REDACTION] = fields.take()? else { return None };
        let length = usize::try_from(u32::from_be_bytes(fields.take()?)).ok()?;
        (1..=REDACTION_BYTES_READ).contains(&length).then_some(length + TAG_BYTES + CHECK_BYTES)
    }

    /// Takes the bytes as they stand in the file; nothing where they are damaged.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let (body, tail) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        if check(&sha256(&[body])) != *tail {
            return None;
        }
        let mut fields = Fields(body);
        let _: [u8; 5] = fields.take()?;
        let (commitment, before) = (fields.take()?, fields.take()?);
        Some(Self { commitment, before, bytes })
    }

    /// Seals what is known, for those who have the secret; `before` is that of the key file so far, and opens it too until that is gone.
    pub(super) fn seal(
        segment: &Segment,
        header_hash: &Hash,
        (before, secret): (&Secret, &Secret),
        statement: &Statement,
    ) -> Option<Self> {
        let mut plain = statement.to_bytes();
        let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= REDACTION_BYTES_READ)?;
        let Derived { commitment, key } = Derived::of(segment, secret);
        let mut bridge = Zeroizing::new(**secret);
        let bridge_tag = lend(&bridge_key(segment, before, &commitment), |cipher, nonce| {
            seal(cipher, nonce, &[header_hash, &commitment], bridge.as_mut_slice())
        });
        let mut bytes = [[KIND_REDACTION].as_slice(), &length.to_be_bytes(), &commitment, &segment.commitment].concat();
        bytes.extend_from_slice(bridge.as_slice());
        bytes.extend_from_slice(&bridge_tag);
        let tag = lend(&key, |cipher, nonce| seal(cipher, nonce, &[header_hash, &bytes], plain.as_mut_slice()));
        bytes.extend_from_slice(&plain);
        bytes.extend_from_slice(&tag);
        bytes.extend_from_slice(&check(&sha256(&[&bytes])));
        Some(Self { bytes, commitment, before: segment.commitment })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What binds it to the key file that belongs to it.
    pub(super) const fn commitment(&self) -> &Hash {
        &self.commitment
    }

    /// Returns whether a key file with this commitment opens it.
    pub(super) fn is_for(&self, commitment: &Hash) -> bool {
        *commitment == self.commitment || *commitment == self.before
    }

    /// Opens it with the secret of a key file for which [`Self::is_for`] holds.
    pub(super) fn open(&self, of: &Segment, header_hash: &Hash, secret: &Secret) -> Result<Statement, NotOpen> {
        let mut own = Zeroizing::new(**secret);
        let mut fields = Fields(&self.bytes);
        let (head, rest) = self.bytes.split_at_checked(REDACTION_HEAD_BYTES).ok_or(NotOpen::Sealed)?;
        if of.commitment != self.commitment {
            let _: [u8; REDACTION_HEAD_BYTES - BRIDGE_BYTES] = fields.take().ok_or(NotOpen::Sealed)?;
            own = Zeroizing::new(fields.take().ok_or(NotOpen::Sealed)?);
            let tag = fields.take().ok_or(NotOpen::Sealed)?;
            lend(&bridge_key(of, secret, &self.commitment), |cipher, nonce| {
                open(cipher, nonce, &[header_hash, &self.commitment], own.as_mut_slice(), tag)
            })?;
        }
        let Derived { commitment, key } = Derived::of(of, &own);
        if !bool::from(commitment.ct_eq(&self.commitment)) {
            return Err(NotOpen::Sealed);
        }
        let (sealed, rest) = rest.split_at_checked(rest.len().saturating_sub(TAG_BYTES + CHECK_BYTES)).ok_or(NotOpen::Sealed)?;
        let tag = Fields(rest).take().ok_or(NotOpen::Sealed)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        lend(&key, |cipher, nonce| open(cipher, nonce, &[header_hash, head], plain.as_mut_slice(), tag))?;
        Statement::parse(of.version, &plain).ok_or(NotOpen::Malformed)
    }
}

/// Why a redaction does not open for one who has the secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotOpen {
    /// It was not sealed with it.
    Sealed,
    /// What was sealed is not as specified.
    Malformed,
}

/// Returns whether a key file's commitment is to this secret, be it that of a recording as it was made or of one of which something was taken out.
pub(super) fn commits(segment: &Segment, secret: &Secret) -> bool {
    let (as_made, _) = Ratchet::begin(segment.version, secret, segment.recording, segment.number);
    let redacted = Derived::of(segment, secret).commitment;
    bool::from(as_made.ct_eq(&segment.commitment) | redacted.ct_eq(&segment.commitment))
}

/// What is known of what was taken out, and the keys of what is left.
pub(super) struct Statement {
    /// In the order of their chunks; between two there is at least one chunk.
    pub(super) holes: Vec<Hole>,
    /// The keys of the chunks that are there before the end of the last hole.
    keys: Zeroizing<Vec<u8>>,
    /// From where the keys of the chunks behind the last hole come; nothing where there are none.
    rest: Option<Ratchet>,
}

/// Chunks that were taken out, one behind the other.
pub(super) struct Hole {
    pub(super) chunks: Range<u32>,
    /// What is said in their place: records, but no packets.
    pub(super) records: Zeroizing<Vec<u8>>,
}

impl Statement {
    /// `keys` are those of the chunks that are left before the end of the last hole, in order.
    pub(super) const fn new(holes: Vec<Hole>, keys: Zeroizing<Vec<u8>>, rest: Option<Ratchet>) -> Self {
        Self { holes, keys, rest }
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let records = self.holes.iter().map(|hole| 12 + hole.records.len()).sum::<usize>();
        // With room for all: growing leaves no copy of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 + records + self.keys.len() + 32));
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        bytes.extend_from_slice(&number(self.holes.len()));
        for Hole { chunks, records } in &self.holes {
            bytes.extend_from_slice(&chunks.start.to_be_bytes());
            bytes.extend_from_slice(&chunks.end.to_be_bytes());
            bytes.extend_from_slice(&number(records.len()));
            bytes.extend_from_slice(records);
        }
        bytes.extend_from_slice(&self.keys);
        if let Some(rest) = &self.rest {
            bytes.extend_from_slice(rest.state());
        }
        bytes
    }

    /// Reads one. It has the keys of the chunks that are there, and no room for another.
    fn parse(version: Version, bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let mut number = || fields.take().map(u32::from_be_bytes);
        let count = number()?;
        let (mut holes, mut end, mut gone) = (Vec::new(), 0, 0);
        for _ in 0..count {
            let chunks = u32::from_be_bytes(fields.take()?)..u32::from_be_bytes(fields.take()?);
            let length = usize::try_from(u32::from_be_bytes(fields.take()?)).ok()?;
            let records = Zeroizing::new(fields.bytes(length)?.to_vec());
            if chunks.start <= end || chunks.is_empty() || !are_said_of_a_hole(&records) {
                return None;
            }
            (end, gone) = (chunks.end, gone + (chunks.end - chunks.start));
            holes.push(Hole { chunks, records });
        }
        let length = usize::try_from(end - gone).ok()?.checked_mul(CHUNK_KEY_BYTES)?;
        let keys = Zeroizing::new(fields.bytes(length)?.to_vec());
        let rest = if fields.0.is_empty() { None } else { Some(fields.take::<32>()?) };
        let rest = rest.map(Zeroizing::new).map(|state| Ratchet::resumed(version, &state, end));
        (count > 0 && fields.0.is_empty()).then_some(Self { holes, keys, rest })
    }

    /// Returns the hole in which a chunk was.
    pub(super) fn hole(&self, chunk: u32) -> Option<&Hole> {
        self.holes.iter().find(|hole| hole.chunks.contains(&chunk))
    }

    /// Returns where the last hole ends.
    pub(super) fn end(&self) -> u32 {
        self.holes.last().map_or(0, |hole| hole.chunks.end)
    }

    /// Returns the key of a chunk before the end of the last hole, where it is there.
    fn key(&self, chunk: u32) -> Option<&[u8; CHUNK_KEY_BYTES]> {
        if self.hole(chunk).is_some() {
            return None;
        }
        let before = self.holes.iter().filter(|hole| hole.chunks.end <= chunk);
        let gone: u32 = before.map(|hole| hole.chunks.end - hole.chunks.start).sum();
        let at = usize::try_from(chunk - gone).ok()?.checked_mul(CHUNK_KEY_BYTES)?;
        self.keys.get(at..)?.first_chunk()
    }

    /// Returns the keys behind the last hole.
    pub(super) fn rest(&self) -> Option<Ratchet> {
        self.rest.as_ref().map(Ratchet::copy)
    }

    /// Opens or passes over a chunk: lends its key to `with` where there is one.
    pub(super) fn with_key<R>(&self, chunk: u32, with: impl FnOnce(&Aes256Gcm, &Nonce<U12>) -> R) -> Option<R> {
        self.key(chunk).map(|key| lend(key, with))
    }

    /// Returns the key of a chunk before the end of the last hole.
    pub(super) fn key_of(&self, chunk: u32) -> Option<Zeroizing<[u8; CHUNK_KEY_BYTES]>> {
        self.key(chunk).map(|key| Zeroizing::new(*key))
    }
}

/// Prints no key.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.holes.iter().map(|hole| &hole.chunks)).finish()
    }
}

/// Nobody but the node says what was heard: in a hole's place there is no packet, and no evidence.
fn are_said_of_a_hole(records: &[u8]) -> bool {
    let (mut is_redacted, mut is_over) = (false, false);
    let are_all = Records::new(records).all(|record| {
        let is_before = !is_over;
        match record {
            Ok(Record::Gap(gap)) => is_redacted |= gap.reason == GapReason::Redacted,
            Ok(Record::Format(_) | Record::Quality(_)) => {}
            Ok(Record::End(_)) => is_over = true,
            Ok(Record::Evidence(_) | Record::Rtp { .. } | Record::Other { .. }) | Err(_) => return false,
        }
        is_before
    });
    are_all && is_redacted
}

/// Returns whether the recording's end is told in a hole's place.
pub(super) fn has_end(records: &[u8]) -> bool {
    Records::new(records).any(|record| matches!(record, Ok(Record::End(_))))
}

/// What comes of the secret of a redaction.
struct Derived {
    commitment: Hash,
    key: Zeroizing<[u8; CHUNK_KEY_BYTES]>,
}

impl Derived {
    fn of(segment: &Segment, secret: &Secret) -> Self {
        let mut okm = Zeroizing::new([0; 32 + CHUNK_KEY_BYTES]);
        expand(segment, secret, &[&segment.version.label("redaction")], okm.as_mut_slice());
        let (mut commitment, mut key) = ([0; 32], Zeroizing::new([0; CHUNK_KEY_BYTES]));
        let (head, tail) = okm.split_at(32);
        commitment.copy_from_slice(head);
        key.copy_from_slice(tail);
        Self { commitment, key }
    }
}

fn bridge_key(segment: &Segment, secret: &Secret, commitment: &Hash) -> Zeroizing<[u8; CHUNK_KEY_BYTES]> {
    let mut key = Zeroizing::new([0; CHUNK_KEY_BYTES]);
    expand(segment, secret, &[&segment.version.label("redaction bridge"), commitment], key.as_mut_slice());
    key
}

fn expand(segment: &Segment, secret: &Secret, info: &[&[u8]], okm: &mut [u8]) {
    let Segment { version, recording, number, .. } = segment;
    let salt = salt(*version, *recording, *number);
    Hkdf::<Sha256>::new(Some(&salt), secret.as_slice()).expand_multi_info(info, okm).expect("76 bytes are fewer than HKDF gives");
}

fn salt(version: Version, recording: RecordingId, number: u32) -> Vec<u8> {
    [version.label("segment").as_slice(), recording.as_bytes().as_slice(), &number.to_be_bytes()].concat()
}

fn seal(cipher: &Aes256Gcm, nonce: &Nonce<U12>, aad: &[&[u8]], plain: &mut [u8]) -> [u8; TAG_BYTES] {
    let sealed = cipher.encrypt_inout_detached(nonce, &aad.concat(), plain.into());
    sealed.expect("it is shorter than what GCM seals").into()
}

fn open(cipher: &Aes256Gcm, nonce: &Nonce<U12>, aad: &[&[u8]], sealed: &mut [u8], tag: [u8; TAG_BYTES]) -> Result<(), NotOpen> {
    cipher.decrypt_inout_detached(nonce, &aad.concat(), sealed.into(), &tag.into()).map_err(|_| NotOpen::Sealed)
}

/// The chunks that a file has holes for, as far as it was walked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Holes(Vec<Range<u32>>);

impl Holes {
    /// Takes the next.
    pub(super) fn take(&mut self, chunk: u32) {
        match self.0.last_mut() {
            Some(last) if last.end == chunk => last.end = chunk.saturating_add(1),
            Some(_) | None => self.0.push(chunk..chunk.saturating_add(1)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns where the last one ends.
    pub(super) fn end(&self) -> Option<u32> {
        self.0.last().map(|last| last.end)
    }

    /// Returns what they come to, with the redaction that names them.
    pub(super) fn taken_out(&self, header_hash: &Hash, redaction: &Redaction) -> TakenOut {
        let mut message = [b"mitschnitt/1 redacted\0".as_slice(), header_hash, &sha256(&[&redaction.bytes])].concat();
        for hole in &self.0 {
            message.extend_from_slice(&hole.start.to_be_bytes());
            message.extend_from_slice(&hole.end.to_be_bytes());
        }
        let chunks = self.0.iter().map(|hole| hole.end - hole.start).sum();
        let [first, end] = [self.0.first().map(|hole| hole.start), self.end()].map(Option::unwrap_or_default);
        TakenOut {
            chunks,
            spans: u32::try_from(self.0.len()).unwrap_or(u32::MAX),
            first,
            last: end.saturating_sub(1),
            digest: sha256(&[&message]),
            packets: None,
        }
    }
}

/// What was taken out of a recording after it was made. What the node has signed has it still, as hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakenOut {
    /// How many chunks.
    pub chunks: u32,
    /// In how many spans.
    pub spans: u32,
    /// The first of them.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// SHA-256 over which they are and what is said of them: what the ledger's chain has of it.
    pub digest: [u8; 32],
    /// The packets of the PBX and of the trunk that were in them, where a key has opened what is said of them.
    pub packets: Option<[u64; 2]>,
}

/// `chunks 140 to 179 of 300 are taken out` without the number of all.
impl fmt::Display for TakenOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunks, spans, first, last, .. } = self;
        match (*chunks, *spans) {
            (1, _) => write!(f, "chunk {first} was taken out"),
            (_, 1) => write!(f, "chunks {first} to {last} were taken out"),
            (_, _) => write!(f, "{chunks} chunks in {spans} spans from {first} to {last} were taken out"),
        }
    }
}
