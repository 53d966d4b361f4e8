//! The file as types: what stands at which byte of `<id>.rec` and `<id>.key`, and nothing of what is inside a chunk.
//!
//! `manual/format.md` is the specification; the constants here are its numbers. All integers are big-endian.

use std::fmt;
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::ids::RecordingId;
use crate::limits::CHUNK_BYTES_READ;
use crate::time::Wall;
use crate::vault::{Fingerprint, Recipient};

/// The first bytes of a recording: not text, not UTF-8, and no transfer that changes line ends leaves it as it is.
pub(super) const MAGIC: [u8; 8] = *b"\x8dmschnR\n";

/// The first bytes of a key file.
pub(super) const KEY_MAGIC: [u8; 8] = *b"\x8dmschnK\n";

/// The version of both files that is written. Those of version 0, the draft, are read.
pub(super) const VERSION: u8 = Version::WRITTEN.byte();

/// AES-256-GCM, HKDF-SHA-256, SHA-256, Ed25519.
pub(super) const SUITE: u8 = 1;

/// DHKEM(X25519, HKDF-SHA256) in the registry of RFC 9180 §7.1.
pub(super) const KEM_X25519: u16 = 0x0020;

/// DHKEM(P-256, HKDF-SHA256) in the same registry.
pub(super) const KEM_P256: u16 = 0x0010;

/// X-Wing (draft-ietf-hpke-pq).
pub(super) const KEM_XWING: u16 = 0x647a;

pub(super) const HEADER_BYTES: usize = 144;
pub(super) const FRAME_BYTES: usize = 10;
pub(super) const CLOSING_BYTES: usize = 70;
/// A closing that says of a torn file when it was closed, and what was taken off.
pub(super) const SALVAGED_BYTES: usize = CLOSING_BYTES + 16;
pub(super) const TAG_BYTES: usize = 16;
pub(super) const CHECK_BYTES: usize = 8;

/// No frame begins with 0, so that a tail of zeros, as a power cut leaves it, is no chunk.
pub(super) const KIND_CHUNK: u8 = 0xc5;
pub(super) const KIND_CLOSING: u8 = 0xc6;
pub(super) const KIND_REDACTION: u8 = 0xc7;
pub(super) const KIND_HOLE: u8 = 0xc8;
/// What stands in the place of a chunk that was taken out: kind, index, and the chunk's hash.
pub(super) const HOLE_BYTES: usize = 1 + 4 + 32;

const FLAG_LAST: u8 = 1;

/// Any SHA-256.
pub(super) type Hash = [u8; 32];

/// A version of the format that this program reads. What is hashed, signed or derived names it, so that nothing of one passes in another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// The draft: a chain over the chunks, and no word but *complete*.
    Zero,
    /// A tree over the chunks, each of which is checked alone.
    One,
}

impl Version {
    /// The one that is written.
    pub(super) const WRITTEN: Self = Self::One;

    pub(super) const fn parse(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Zero),
            1 => Some(Self::One),
            _ => None,
        }
    }

    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }

    /// Returns whether a closing may say that a later start has closed the file.
    pub(super) const fn can_be_salvaged(self) -> bool {
        matches!(self, Self::One)
    }

    /// Returns the text that parts one use of a hash or a key from all others: `mitschnitt/1 chunk`.
    pub(super) fn label(self, of: &str) -> Vec<u8> {
        format!("mitschnitt/{} {of}", self.byte()).into_bytes()
    }
}

/// The head of a segment, in the clear: what it takes to find the keys, and nothing about the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub(super) version: Version,
    /// The recording's name.
    pub recording: RecordingId,
    /// The number of this segment, from 0.
    pub segment: u32,
    /// The node that signs.
    pub node: Fingerprint,
    /// What binds the file to one segment secret.
    pub commitment: [u8; 32],
    /// SHA-256 over the sorted fingerprints of those for whom it was recorded.
    pub recipients: [u8; 32],
    /// When recording began: the moment from which every time in the file counts.
    pub began: Wall,
}

impl Header {
    /// Reads what a recording's file begins with, without any key; nothing where that is not whole.
    #[must_use]
    pub fn read(mut file: impl Read) -> Option<Self> {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact(&mut bytes).ok()?;
        Self::parse(&bytes).ok()
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[self.version.byte(), SUITE]);
        bytes.extend_from_slice(&[0, 144]); // HEADER_BYTES as u16
        bytes.extend_from_slice(&self.segment.to_be_bytes());
        bytes.extend_from_slice(self.recording.as_bytes());
        bytes.extend_from_slice(self.node.as_bytes());
        bytes.extend_from_slice(&self.commitment);
        bytes.extend_from_slice(&self.recipients);
        bytes.extend_from_slice(&self.began.unix_micros().to_be_bytes());
        bytes.extend_from_slice(&check(&sha256(&[&bytes])));
        bytes.try_into().expect("the fields are 144 bytes long")
    }

    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Damage> {
        let mut fields = Fields(bytes);
        let body = bytes.get(..HEADER_BYTES - CHECK_BYTES).unwrap_or_default();
        if fields.take() != Some(MAGIC) {
            return Err(Damage::NotARecording);
        }
        // Version and suite come before the check: a later version may have another length.
        let [version, suite] = fields.take().ok_or(Damage::Header)?;
        let version = Version::parse(version).ok_or(Damage::Version(version))?;
        if suite != SUITE {
            return Err(Damage::Suite(suite));
        }
        if fields.take() != Some([0, 144]) || bytes.strip_prefix(body) != Some(check(&sha256(&[body])).as_slice()) {
            return Err(Damage::Header);
        }
        let segment = fields.take().map(u32::from_be_bytes).ok_or(Damage::Header)?;
        if segment != 0 {
            return Err(Damage::Header);
        }
        Ok(Self {
            version,
            segment,
            recording: fields.take().map(RecordingId::from_bytes).ok_or(Damage::Header)?,
            node: fields.take().map(Fingerprint::from_bytes).ok_or(Damage::Header)?,
            commitment: fields.take().ok_or(Damage::Header)?,
            recipients: fields.take().ok_or(Damage::Header)?,
            began: fields.take().map(i64::from_be_bytes).map(Wall::from_unix_micros).ok_or(Damage::Header)?,
        })
    }
}

/// The head of a chunk: kind, flags, index, length of the ciphertext without its tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) place: Place,
    pub(super) index: u32,
    pub(super) length: u32,
}

/// Whether chunks follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Middle,
    Last,
}

impl Frame {
    /// Returns the length as what it is in memory.
    pub(super) fn length(self) -> usize {
        usize::try_from(self.length).expect("a machine that records addresses 32 bits")
    }

    pub(super) fn to_bytes(self) -> [u8; FRAME_BYTES] {
        let flags = match self.place {
            Place::Middle => 0,
            Place::Last => FLAG_LAST,
        };
        let [i0, i1, i2, i3] = self.index.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [KIND_CHUNK, flags, i0, i1, i2, i3, l0, l1, l2, l3]
    }

    pub(super) fn parse(bytes: [u8; FRAME_BYTES]) -> Result<Self, Damage> {
        let [kind, flags, i0, i1, i2, i3, l0, l1, l2, l3] = bytes;
        let place = match (kind, flags) {
            (KIND_CHUNK, 0) => Place::Middle,
            (KIND_CHUNK, FLAG_LAST) => Place::Last,
            (_, _) => return Err(Damage::Frame),
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length == 0 || usize::try_from(length).is_ok_and(|length| length > CHUNK_BYTES_READ) {
            return Err(Damage::Frame);
        }
        Ok(Self { place, index: u32::from_be_bytes([i0, i1, i2, i3]), length })
    }
}

/// The end of a segment: how it ended, how many chunks it has, and the node's signature.
#[derive(Clone, Copy)]
pub(super) struct Closing {
    pub(super) word: Word,
    pub(super) chunks: u32,
    pub(super) signature: [u8; 64],
}

/// How a segment ended, by the word of whoever signed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// By the recorder, after its last chunk.
    Complete,
    /// By a later start, after the last chunk that is whole.
    Salvaged {
        /// When that was.
        at: Wall,
        /// How many bytes of a chunk that was not whole were taken off.
        cut_off: u64,
    },
}

/// What a closing signs beside its own word: which file, and all of its chunks.
#[derive(Clone, Copy)]
pub(super) struct Signed<'f> {
    pub(super) header: &'f Header,
    pub(super) header_hash: &'f Hash,
    pub(super) chunks: u32,
    /// The tree's root; in version 0, the chain's last value.
    pub(super) root: &'f Hash,
}

impl Closing {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [[KIND_CLOSING, self.word.code()].as_slice(), &self.chunks.to_be_bytes(), &self.word.fields(), &self.signature].concat()
    }

    /// Returns how long a closing is whose first two bytes these are.
    pub(super) const fn length(version: Version, head: [u8; 2]) -> Option<usize> {
        match (version, head) {
            (_, [KIND_CLOSING, COMPLETE]) => Some(CLOSING_BYTES),
            (Version::One, [KIND_CLOSING, SALVAGED]) => Some(SALVAGED_BYTES),
            (_, _) => None,
        }
    }

    pub(super) fn parse(version: Version, bytes: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(bytes);
        let head = fields.take().ok_or(Damage::Frame)?;
        if Self::length(version, head) != Some(bytes.len()) {
            return Err(Damage::Frame);
        }
        let chunks = fields.take().map(u32::from_be_bytes).ok_or(Damage::Frame)?;
        let word = match head {
            [_, SALVAGED] => Word::Salvaged {
                at: fields.take().map(i64::from_be_bytes).map(Wall::from_unix_micros).ok_or(Damage::Frame)?,
                cut_off: fields.take().map(u64::from_be_bytes).ok_or(Damage::Frame)?,
            },
            _ => Word::Complete,
        };
        let signature = fields.take().ok_or(Damage::Frame)?;
        Ok(Self { word, chunks, signature })
    }
}

impl Signed<'_> {
    /// Returns what the node signs.
    pub(super) fn message(self, word: Word) -> Vec<u8> {
        let Self { header: Header { version, recording, segment, .. }, header_hash, chunks, root } = self;
        let mut message = version.label("closing\0");
        message.extend_from_slice(recording.as_bytes());
        message.extend_from_slice(&segment.to_be_bytes());
        message.push(word.code());
        message.extend_from_slice(&chunks.to_be_bytes());
        message.extend_from_slice(&word.fields());
        if *version == Version::One {
            message.extend_from_slice(header_hash);
        }
        message.extend_from_slice(root);
        message
    }
}

const COMPLETE: u8 = 1;
const SALVAGED: u8 = 2;

impl Word {
    const fn code(self) -> u8 {
        match self {
            Self::Complete => COMPLETE,
            Self::Salvaged { .. } => SALVAGED,
        }
    }

    fn fields(self) -> Vec<u8> {
        match self {
            Self::Complete => Vec::new(),
            Self::Salvaged { at, cut_off } => [at.unix_micros().to_be_bytes(), cut_off.to_be_bytes()].concat(),
        }
    }
}

/// SHA-256 over the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// Returns a length as the file counts it.
pub(super) fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("no machine addresses more than 64 bits")
}

/// What a file carries of a hash so that damage is found, and its place told, without any key.
pub(super) fn check(hash: &Hash) -> [u8; CHECK_BYTES] {
    let (head, _) = hash.split_first_chunk().expect("8 bytes are the head of 32");
    *head
}

/// The hash by which a header names those for whom it was recorded.
pub(super) fn recipients_hash(recipients: &[Recipient]) -> Hash {
    let mut names: Vec<_> = recipients.iter().map(Recipient::fingerprint).collect();
    names.sort_unstable();
    names.iter().fold(Sha256::new(), |hash, name| hash.chain_update(name.as_bytes())).finalize().into()
}

/// Bytes that are taken from the front, by the length that is asked for.
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Fields<'b> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }
}

/// What is wrong with a file that is not merely cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// It does not begin as a recording.
    NotARecording,
    /// It is of a version this program does not know.
    Version(u8),
    /// It uses algorithms this program does not know.
    Suite(u8),
    /// The header is not as it was written.
    Header,
    /// What stands where a chunk or the closing should begin is neither.
    Frame,
    /// A chunk stands where another belongs: the index it carries.
    Order(u32),
    /// The chunk is not the one that was written here: its check differs.
    Check,
    /// The chunk does not open although its check is right: someone made it who has not the key.
    Tag,
    /// What is inside the chunk is not as specified.
    Content(&'static str),
    /// The totals in the end record are not those of the records.
    Totals,
    /// A chunk follows the one that is marked as the last.
    AfterLast,
    /// The closing follows a chunk that is not marked as the last.
    NotLast,
    /// The closing counts another number of chunks.
    Count(u32),
    /// The node did not sign this.
    Signature,
    /// Bytes follow the closing.
    AfterClosing,
    /// What was taken out is not what its redaction says.
    Hole,
    /// The hashes that should prove a span to be of it are not as many as that takes.
    Proof,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => f.write_str("it does not begin as a recording does"),
            Self::Version(version) => write!(f, "it is of version {version}, and this program reads versions 0 to {VERSION}"),
            Self::Suite(suite) => write!(f, "it uses suite {suite}, and this program knows suite {SUITE}"),
            Self::Header => f.write_str("the header is not as it was written"),
            Self::Frame => f.write_str("neither a chunk nor the closing begins here"),
            Self::Order(found) => write!(f, "chunk {found} stands here"),
            Self::Check => f.write_str("the bytes are not those that were written here"),
            Self::Tag => f.write_str(
                "the chunk was not sealed with this recording's key, or was changed since by someone who knew how to hide it",
            ),
            Self::Content(what) => write!(f, "what was sealed is malformed: {what}"),
            Self::Totals => f.write_str("the end record counts other packets than the file has"),
            Self::AfterLast => f.write_str("something follows the last chunk that is not the closing"),
            Self::NotLast => f.write_str("the closing stands before the last chunk"),
            Self::Count(chunks) => write!(f, "the closing counts {chunks} chunks"),
            Self::Signature => f.write_str("the signature is not the node's over this file"),
            Self::AfterClosing => f.write_str("bytes follow the closing"),
            Self::Hole => {
                f.write_str("chunks are missing here that its redaction does not name, or there that it says are taken out")
            }
            Self::Proof => f.write_str("the proof has not the hashes that it takes"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            version: Version::WRITTEN,
            recording: RecordingId::from_bytes([1; 16]),
            segment: 0,
            node: Fingerprint::from_bytes([2; 32]),
            commitment: [3; 32],
            recipients: [4; 32],
            began: Wall::from_unix_micros(-5),
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(Header::parse(&header().to_bytes()), Ok(header()));
    }

    #[test]
    fn no_bit_of_a_header_can_change_unseen() {
        let good = header().to_bytes();

        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_is_never_empty_never_zero_and_never_longer_than_a_reader_takes() {
        let frame = Frame { place: Place::Last, index: 7, length: 1 };
        assert_eq!(Frame::parse(frame.to_bytes()), Ok(frame));

        let longest = u32::try_from(CHUNK_BYTES_READ).unwrap();
        assert!(Frame::parse(Frame { length: longest, ..frame }.to_bytes()).is_ok());
        assert_eq!(Frame::parse(Frame { length: longest + 1, ..frame }.to_bytes()), Err(Damage::Frame));
        assert_eq!(Frame::parse(Frame { length: 0, ..frame }.to_bytes()), Err(Damage::Frame));
        assert_eq!(Frame::parse([0; FRAME_BYTES]), Err(Damage::Frame));
    }

    #[test]
    fn recipients_have_one_hash_in_whatever_order_they_are_given() {
        let [a, b] =
            [1, 2].map(|seed| *crate::vault::RecipientSecret::generate(&mut crate::vault::fixture::Chance::from(seed)).public());

        assert_eq!(recipients_hash(&[a, b]), recipients_hash(&[b, a]));
        assert_ne!(recipients_hash(&[a, b]), recipients_hash(&[a]));
    }
}
