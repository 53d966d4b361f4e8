//! The sealer: the half of the vault on the disk thread, which owns the ratchet and makes the bytes of the file.

use std::fmt;

use aes_gcm::aead::AeadInOut;
use hpke::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::consent::Evidence;
use crate::ids::RecordingId;
use crate::limits::{CHUNK_BYTES_READ, RECIPIENTS};
use crate::vault::content;
use crate::vault::format::{Closing, Frame, Hash, Header, Place, Signed, Version, Word, check, recipients_hash, sha256, wide};
use crate::vault::ratchet::{Ratchet, Secret};
use crate::vault::record::Count;
use crate::vault::stack;
use crate::vault::tree::Sum;
use crate::vault::wraps::{KeyFile, Segment};
use crate::vault::{Fingerprint, LastChunk, NodeKey, NodePublic, NotSigned, PlainChunk, Recipient, Totals};

/// What begins a recording: bytes that must be durable in this order, `key_file` before `head`.
#[must_use = "a sealer that is dropped leaves a torn recording"]
pub struct Begun {
    /// Seals what follows.
    pub sealer: Sealer,
    /// The whole of `<id>.key`.
    pub key_file: Vec<u8>,
    /// The first bytes of `<id>.rec`: the header, and chunk 0 with the evidence.
    pub head: Vec<u8>,
}

/// Says which recording it is.
impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Begun({:?})", self.sealer.header.recording)
    }
}

/// Seals the chunks of one recording, and closes it.
///
/// Every chunk has its own key, and the state it came from is gone when `seal` returns. What was sealed can only be copied, never
/// sealed again: where a write failed, the same bytes go elsewhere.
#[must_use = "a sealer that is dropped leaves a torn recording"]
pub struct Sealer {
    header: Header,
    header_hash: Hash,
    /// Nothing once the last possible chunk was sealed.
    ratchet: Option<Ratchet>,
    chunks: u32,
    sum: Sum,
    bytes: u64,
    count: Count,
}

/// A recording that was sealed to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// What it holds.
    pub totals: Totals,
    /// Its chunks, that of the evidence included.
    pub chunks: u32,
    /// The length of the file.
    pub bytes: u64,
    /// The root of the tree over its chunks: what the node has signed.
    pub root: [u8; 32],
}

impl Sealer {
    /// Begins a recording: draws its secret, wraps it for the recipients, and seals the evidence.
    ///
    /// # Errors
    /// Where the recipients are none, too many, one of them twice or unusable, or the evidence is too long.
    pub fn begin(
        evidence: &Evidence,
        node: &NodePublic,
        recipients: &[Recipient],
        entropy: &mut impl CryptoRng,
    ) -> Result<Begun, SealError> {
        let mut names: Vec<_> = recipients.iter().map(Recipient::fingerprint).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != recipients.len() || names.is_empty() || names.len() > RECIPIENTS {
            return Err(SealError::Recipients(recipients.len()));
        }
        if recipients.iter().any(|one| recipients.iter().any(|other| one.kem().strength() != other.kem().strength())) {
            return Err(SealError::Mixed);
        }
        let recording = evidence.recording();
        let version = Version::WRITTEN;
        let Drawn { commitment, ratchet, key_file } =
            stack::wiped::<WRAPS_STACK, _>(|| draw(version, recording, recipients, entropy))?;
        let header = Header {
            version,
            recording,
            segment: 0,
            node: node.fingerprint(),
            commitment,
            recipients: recipients_hash(recipients),
            began: evidence.wall(evidence.granted()),
        };
        let mut head = header.to_bytes().to_vec();
        let header_hash = sha256(&[&head]);
        let bytes = wide(head.len());
        let sum = Sum::new(version, header_hash);
        let mut sealer = Self { header, header_hash, ratchet: Some(ratchet), chunks: 0, sum, bytes, count: Count::default() };
        let json = Zeroizing::new(evidence.to_json());
        if json.len() + EVIDENCE_OVERHEAD > CHUNK_BYTES_READ {
            return Err(SealError::Evidence(json.len()));
        }
        let mut plain = Zeroizing::new(Vec::with_capacity(json.len() + EVIDENCE_OVERHEAD));
        content::put_evidence(&mut plain, &json);
        sealer.seal_bytes(Place::Middle, plain.as_mut_slice(), &mut head)?;
        Ok(Begun { sealer, key_file, head })
    }

    /// Returns the recording's name.
    #[must_use]
    pub const fn recording(&self) -> RecordingId {
        self.header.recording
    }

    /// Seals a chunk, and puts its bytes behind those in `out`.
    ///
    /// # Errors
    /// Where the chunk is another recording's, or no chunk can follow. `out` is then as it was.
    pub fn seal(&mut self, mut chunk: PlainChunk, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.owns(chunk.recording())?;
        self.seal_bytes(Place::Middle, chunk.bytes_mut(), out)?;
        self.count.merge(chunk.count());
        chunk.is_sealed();
        Ok(())
    }

    /// Seals the last chunk with the end record in it, and signs the whole.
    ///
    /// # Errors
    /// Where the chunk is another recording's, or the key is not the one the recording was begun with. `out` is then as it was. Where the
    /// key does not sign ([`SealError::NotSigned`]), `out` has the last chunk, and only the closing is missing.
    pub fn finish(mut self, last: LastChunk, node: &NodeKey, out: &mut Vec<u8>) -> Result<Sealed, SealError> {
        let LastChunk { mut chunk, why, withheld, ended } = last;
        self.owns(chunk.recording())?;
        if node.public().fingerprint() != self.header.node {
            return Err(SealError::OtherNode(self.header.node));
        }
        self.count.merge(chunk.count());
        let mut legs = self.count.legs;
        legs.iter_mut().zip(withheld).for_each(|(leg, withheld)| leg.withheld = withheld);
        let totals = Totals { reason: why, ended, legs, gaps: self.count.gap_records, lost: self.count.gap_packets };
        content::put_end(chunk.bytes_mut(), &totals);
        self.seal_bytes(Place::Last, chunk.bytes_mut(), out)?;
        chunk.is_sealed();
        let root = self.sum.root();
        let signed = Signed { header: &self.header, header_hash: &self.header_hash, chunks: self.chunks, root: &root };
        let signature = node.sign(&signed.message(Word::Complete)).map_err(SealError::NotSigned)?;
        let closing = Closing { word: Word::Complete, chunks: self.chunks, signature }.to_bytes();
        out.extend_from_slice(&closing);
        let bytes = self.bytes + wide(closing.len());
        Ok(Sealed { totals, chunks: self.chunks, bytes, root })
    }

    const fn owns(&self, recording: RecordingId) -> Result<(), SealError> {
        let (ours, given) = (u128::from_be_bytes(*self.header.recording.as_bytes()), u128::from_be_bytes(*recording.as_bytes()));
        if ours == given { Ok(()) } else { Err(SealError::OtherRecording(recording)) }
    }

    /// Seals in place: where there was plaintext there is ciphertext when it returns.
    fn seal_bytes(&mut self, place: Place, plain: &mut [u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let length = u32::try_from(plain.len()).map_err(|_| SealError::Evidence(plain.len()))?;
        let ratchet = self.ratchet.take().ok_or(SealError::Exhausted)?;
        let index = ratchet.index();
        let frame = Frame { place, index, length }.to_bytes();
        let aad = aad(&self.header_hash, &frame);
        let (tag, next) = stack::wiped::<STEP_STACK, _>(|| {
            ratchet.step(|cipher, nonce| {
                cipher.encrypt_inout_detached(nonce, &aad, (&mut *plain).into()).expect("a chunk is shorter than what GCM seals")
            })
        });
        self.ratchet = next;
        let hash = self.sum.hash_of(&frame, plain, &tag);
        self.sum.take(hash);
        let before = out.len();
        out.reserve(frame.len() + plain.len() + tag.len() + 8);
        out.extend_from_slice(&frame);
        out.extend_from_slice(plain);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&check(&hash));
        self.chunks = index.saturating_add(1);
        self.bytes += wide(out.len() - before);
        Ok(())
    }
}

/// What a recording begins with.
struct Drawn {
    commitment: [u8; 32],
    ratchet: Ratchet,
    key_file: Vec<u8>,
}

/// Draws the secret, and wraps it; it is nowhere else afterwards.
fn draw(
    version: Version,
    recording: RecordingId,
    recipients: &[Recipient],
    entropy: &mut impl CryptoRng,
) -> Result<Drawn, SealError> {
    let mut secret: Secret = Zeroizing::new([0; 32]);
    entropy.fill_bytes(secret.as_mut_slice());
    let (commitment, ratchet) = Ratchet::begin(version, &secret, recording, 0);
    let segment = Segment { version, recording, number: 0, commitment };
    let key_file = KeyFile::wrap(segment, &secret, recipients, entropy).map_err(SealError::Recipient)?.to_bytes();
    Ok(Drawn { commitment, ratchet, key_file })
}

/// Bytes of stack that ML-KEM, HPKE and HKDF use, and some more: a tenth of what the thread has.
const WRAPS_STACK: usize = 256 * 1024;

/// Bytes of stack that HKDF and AES-GCM use, and some more.
const STEP_STACK: usize = 16 * 1024;

/// Says which recording it is.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({:?}, {} chunks)", self.header.recording, self.chunks)
    }
}

/// What a chunk is sealed to beside its key: the header, and its own frame.
pub(super) fn aad(header_hash: &Hash, frame: &[u8]) -> Vec<u8> {
    [header_hash.as_slice(), frame].concat()
}

/// Kind and length of an evidence record.
const EVIDENCE_OVERHEAD: usize = 1 + 4;

/// Nothing was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealError {
    /// The operator has no recipient for the purpose whose time it is.
    NobodyInForce,
    /// The operator named no recipient, too many, or one twice: how many.
    Recipients(usize),
    /// The operator named recipients with keys of different strength: the recording would be as weak as the weaker.
    Mixed,
    /// The operator's key cannot be sealed to: it is a point of small order.
    Recipient(Fingerprint),
    /// The evidence is longer than a chunk may be: its length.
    Evidence(usize),
    /// The shell handed in a chunk of another recording.
    OtherRecording(RecordingId),
    /// The shell handed in another node's key: the one it began with.
    OtherNode(Fingerprint),
    /// The recording has 2³² chunks.
    Exhausted,
    /// All is sealed, and the node's key has not signed it.
    NotSigned(NotSigned),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyInForce => f.write_str("nobody may listen to it at this time: no recipient for its purpose is in force"),
            Self::Recipients(count) => write!(f, "expected 1 to {RECIPIENTS} recipients, each named once, found {count}"),
            Self::Mixed => {
                f.write_str("its recipients' keys are of different strength, X-Wing beside X25519 or P-256: expected one")
            }
            Self::Recipient(key) => write!(f, "the recipient key {} cannot be sealed to", key.short()),
            Self::Evidence(bytes) => write!(f, "the evidence has {bytes} bytes, more than fit a chunk"),
            Self::OtherRecording(recording) => write!(f, "the chunk belongs to recording {recording}"),
            Self::OtherNode(node) => write!(f, "the recording was begun with the node key {}", node.short()),
            Self::NotSigned(why) => write!(f, "the end is not signed: {why}"),
            Self::Exhausted => f.write_str("the recording has 2^32 chunks, and can have no more"),
        }
    }
}

impl std::error::Error for SealError {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::ids::Leg;
    use crate::vault::fixture::{Chance, at, make, packet, permit, permit_under};
    use crate::vault::{Buffers, Damage, EndReason, Kem, RecipientSecret, Recorder, Recording, Verdict, verify};

    fn begin(recording: u8) -> Begun {
        let node = NodeKey::generate(&mut Chance::from(1));
        let recipient = RecipientSecret::generate(&mut Chance::from(2));
        Sealer::begin(permit(recording).evidence(), node.public(), &[*recipient.public()], &mut Chance::from(3)).unwrap()
    }

    fn chunk(recording: u8) -> PlainChunk {
        let permit = permit(recording);
        let mut recorder = Recorder::begin(&permit, &Buffers::new());
        assert!(recorder.append(permit.cover(Leg::Pbx, at(0), &packet(Leg::Pbx, 1)).unwrap()).is_none());
        recorder.age(at(500)).unwrap()
    }

    #[test]
    fn nothing_of_the_call_stands_in_the_clear() {
        let made = make(1, 20);
        let has =
            |needle: &[u8]| [&made.rec, &made.key].iter().any(|file| file.windows(needle.len()).any(|window| window == needle));

        for needle in [b"4930123456".as_slice(), b"quality", b"pc33", b"carrier", b"PCMA", &packet(Leg::Pbx, 3)[12..28]] {
            assert!(!has(needle), "{}", String::from_utf8_lossy(needle));
        }
    }

    #[test]
    fn the_recipients_are_one_to_sixteen_and_each_named_once() {
        let node = NodeKey::generate(&mut Chance::from(1));
        let recipients: Vec<_> = (0..17).map(|seed| *RecipientSecret::generate(&mut Chance::from(seed)).public()).collect();
        let begin = |recipients: &[Recipient]| {
            Sealer::begin(permit(1).evidence(), node.public(), recipients, &mut Chance::from(3)).map(|_| ())
        };

        assert_eq!(begin(&[]), Err(SealError::Recipients(0)));
        assert_eq!(begin(&recipients), Err(SealError::Recipients(17)));
        assert_eq!(begin(&[recipients[0], recipients[0]]), Err(SealError::Recipients(2)));
        assert_eq!(begin(&recipients[..16]), Ok(()));
    }

    #[test]
    fn evidence_that_is_longer_than_a_reader_takes_begins_no_recording() {
        let node = NodeKey::generate(&mut Chance::from(1));
        let recipient = *RecipientSecret::generate(&mut Chance::from(2)).public();
        let begin = |length: usize| {
            let permit = permit_under(1, &"x".repeat(length));
            Sealer::begin(permit.evidence(), node.public(), &[recipient], &mut Chance::from(3)).map(|begun| begun.head.len())
        };
        let beside = permit_under(1, "").evidence().to_json().len();
        let longest = CHUNK_BYTES_READ - EVIDENCE_OVERHEAD - beside;

        assert!(begin(longest).unwrap() > CHUNK_BYTES_READ);
        assert_eq!(begin(longest + 1), Err(SealError::Evidence(beside + longest + 1)));
    }

    #[test]
    fn keys_of_different_strength_begin_no_recording() {
        let node = NodeKey::generate(&mut Chance::from(1));
        let key = |strength, seed| *RecipientSecret::generate_as(strength, &mut Chance::from(seed)).public();
        let begin = |recipients: &[Recipient]| {
            Sealer::begin(permit(1).evidence(), node.public(), recipients, &mut Chance::from(3)).map(|_| ())
        };

        assert_eq!(begin(&[key(Kem::XWing, 2), key(Kem::XWing, 4)]), Ok(()));
        assert_eq!(begin(&[key(Kem::P256, 2), key(Kem::X25519, 4)]), Ok(()));
        for weaker in [Kem::X25519, Kem::P256] {
            assert_eq!(begin(&[key(Kem::XWing, 2), key(weaker, 4)]), Err(SealError::Mixed));
        }
    }

    #[test]
    fn a_key_of_small_order_is_no_recipient() {
        let zero = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
        let zero = Recipient::from_pem(zero.as_bytes()).unwrap();
        let node = NodeKey::generate(&mut Chance::from(1));

        let begun = Sealer::begin(permit(1).evidence(), node.public(), &[zero], &mut Chance::from(3));

        assert_eq!(begun.err(), Some(SealError::Recipient(zero.fingerprint())));
    }

    #[test]
    fn a_chunk_of_another_recording_is_not_sealed() {
        let Begun { mut sealer, .. } = begin(1);
        let mut out = Vec::new();

        assert_eq!(sealer.seal(chunk(2), &mut out), Err(SealError::OtherRecording(RecordingId::from_bytes([2; 16]))));
        assert!(out.is_empty());
        assert_eq!(sealer.seal(chunk(1), &mut out), Ok(()));
    }

    #[test]
    fn another_nodes_key_does_not_close_it() {
        let Begun { sealer, .. } = begin(1);
        let last = Recorder::begin(&permit(1), &Buffers::new()).end(EndReason::Stopped, [0, 0], at(0));
        let node = NodeKey::generate(&mut Chance::from(77));

        assert!(matches!(sealer.finish(last, &node, &mut Vec::new()), Err(SealError::OtherNode(_))));
    }

    #[test]
    fn the_last_number_is_sealed_and_none_after_it() {
        let Begun { mut sealer, .. } = begin(1);
        sealer.ratchet = sealer.ratchet.take().map(|ratchet| ratchet.at(u32::MAX));
        let mut out = Vec::new();

        assert_eq!(sealer.seal(chunk(1), &mut out), Ok(()));
        let length = out.len();
        assert_eq!(sealer.seal(chunk(1), &mut out), Err(SealError::Exhausted));
        assert_eq!(out.len(), length);
    }

    #[test]
    fn the_same_packets_are_sealed_to_other_bytes_each_time() {
        let Begun { mut sealer, .. } = begin(1);
        let (mut first, mut second) = (Vec::new(), Vec::new());

        sealer.seal(chunk(1), &mut first).unwrap();
        sealer.seal(chunk(1), &mut second).unwrap();

        let same = first.iter().zip(&second).skip(10).filter(|(a, b)| a == b).count();
        assert!(same < 16, "{same} of {} bytes are equal; 1 in 256 is chance", first.len());
    }

    #[test]
    fn a_recipient_who_seals_a_chunk_anew_is_found_out_by_the_nodes_signature() {
        let made = make(1, 20);
        let (from, to) = (made.ends[1], made.ends[2]);
        let secret = KeyFile::parse(&made.key).unwrap().unwrap(&made.secret).unwrap();
        let (_, ratchet) = Ratchet::begin(Version::WRITTEN, &secret, RecordingId::from_bytes([1; 16]), 0);
        let header_hash = sha256(&[&made.rec[..made.ends[0]]]);
        let mut rec = made.rec.clone();

        // Chunk 1 opened, changed, sealed under its own key and nonce, and its check made to fit.
        let (frame, sealed) = rec[from..to].split_at_mut(crate::vault::format::FRAME_BYTES);
        let (sealed, tail) = sealed.split_at_mut(sealed.len() - 24);
        let (tag, sum) = tail.split_at_mut(16);
        let aad = aad(&header_hash, frame);
        ratchet.after().unwrap().step(|cipher, nonce| {
            let given: &[u8; 16] = (&*tag).try_into().unwrap();
            cipher.decrypt_inout_detached(nonce, &aad, (&mut *sealed).into(), given.into()).unwrap();
            *sealed.last_mut().unwrap() ^= 1;
            tag.copy_from_slice(&cipher.encrypt_inout_detached(nonce, &aad, (&mut *sealed).into()).unwrap());
        });
        sum.copy_from_slice(&check(&Sum::new(Version::WRITTEN, header_hash).hash_of(frame, sealed, tag)));

        let records = |rec: &[u8]| {
            let opened = Recording::open(rec, &made.key, &made.secret).unwrap();
            opened.records().filter_map(Result::ok).collect::<Vec<_>>()
        };
        assert_eq!(records(&rec).len(), records(&made.rec).len(), "it opens, and says something else");
        assert_ne!(records(&rec), records(&made.rec));
        assert!(
            matches!(verify(rec.as_slice(), made.node.public()), Ok(Verdict::Broken(broken)) if broken.what == Damage::Signature)
        );
    }

    #[test]
    fn the_sum_is_that_of_what_was_sealed() {
        let made = make(1, 20);

        let [pbx, trunk] = made.sealed.totals.legs;
        assert_eq!((pbx.packets, trunk.packets, trunk.withheld), (20, 20, 3));
        assert_eq!((pbx.bytes, made.sealed.totals.gaps, made.sealed.totals.lost), (20 * 172, 1, 2));
        assert_eq!(made.sealed.bytes, u64::try_from(made.rec.len()).unwrap());
    }
}
