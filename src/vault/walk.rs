//! The walk over a recording's frames, without any key: how far it is whole, and where it is not.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use zeroize::Zeroizing;

use crate::vault::format::{
    CHECK_BYTES, Closing, FRAME_BYTES, Frame, HEADER_BYTES, HOLE_BYTES, Hash, KIND_CHUNK, KIND_CLOSING, KIND_HOLE,
    KIND_REDACTION, MAGIC, Place, Signed, TAG_BYTES, Version, Word, check, sha256, wide,
};
use crate::vault::redaction::{Holes, REDACTION_HEAD_BYTES, Redaction, TakenOut};
use crate::vault::tree::Sum;
use crate::vault::{Damage, Header};

/// A recording that ends before its end: whole as far as it goes.
///
/// A crash of the recorder and a cut by someone look alike: only what is kept outside the file can tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Chunks that are whole, that of the evidence included.
    pub chunks: u32,
    /// The length of what is whole.
    pub bytes: u64,
    /// How it breaks off.
    pub tail: Tail,
}

/// How a torn recording breaks off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Within the header.
    InHeader,
    /// Within a chunk, or within the closing.
    InFrame,
    /// After a chunk that is not the last.
    BetweenChunks,
    /// After a chunk that is not the last, and then come zeros, as a power cut leaves them.
    Zeros,
    /// Before or within the closing: the signature is missing.
    Unsigned,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = match self.tail {
            Tail::InHeader => "within its header",
            Tail::InFrame => "within the chunk that follows",
            Tail::BetweenChunks => "where more chunks should follow",
            Tail::Zeros => "in zeros",
            Tail::Unsigned => "before the signature",
        };
        write!(f, "{} chunks ({} bytes) are whole, then it ends {tail}; a crash and a cut look alike", self.chunks, self.bytes)
    }
}

/// A recording that is not as it was written, and not merely cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// What is wrong.
    pub what: Damage,
    /// The chunk at which it shows; as many are whole before it.
    pub chunk: u32,
    /// The offset in the file of the frame at which it shows.
    pub at: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {} at byte {}: {}", self.chunk, self.at, self.what)
    }
}

/// Why a walk goes no further.
pub(super) enum Stop {
    Cut(Cut),
    Broken(Broken),
    Disk(io::Error),
}

/// One step of a walk.
pub(super) enum Step {
    /// A chunk that is whole; its ciphertext and tag are in [`Walk::sealed`].
    Chunk(Frame),
    /// What stands in the place of a chunk that was taken out.
    Hole(u32),
    /// The closing, and the end of the file after it.
    Closing(Closing),
}

/// Whether the chunks are hashed on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hashing {
    /// Each is held against its check.
    Each,
    /// That was done before, and whoever walks opens each chunk, whose tag shows what was changed since.
    Done,
}

pub(super) struct Walk<R> {
    input: R,
    header: Header,
    header_hash: Hash,
    sum: Sum,
    hashing: Hashing,
    /// The hash of the last chunk.
    leaf: Hash,
    /// What follows the header where something was taken out.
    redaction: Option<Redaction>,
    /// What was taken out, as far as was walked.
    holes: Holes,
    /// A byte that was read before its time.
    ahead: Option<u8>,
    /// Where the first chunk begins.
    first: u64,
    chunks: u32,
    /// Where the frame begins that the next step reads.
    at: u64,
    /// Where the frame began that the last step read.
    before: u64,
    last_seen: bool,
    is_tail: bool,
    /// The last chunk; wiped in the end, since it is opened in place.
    buffer: Zeroizing<Vec<u8>>,
}

impl<R: Read> Walk<R> {
    pub(super) fn begin(mut input: R) -> Result<Self, Stop> {
        let mut bytes = [0; HEADER_BYTES];
        let read = read_full(&mut input, &mut bytes).map_err(Stop::Disk)?;
        let broken = |what| Stop::Broken(Broken { what, chunk: 0, at: 0 });
        if read < HEADER_BYTES {
            let is_ours = bytes.iter().zip(MAGIC).take(read).all(|(found, wanted)| *found == wanted);
            let torn = Cut { chunks: 0, bytes: 0, tail: Tail::InHeader };
            return Err(if is_ours { Stop::Cut(torn) } else { broken(Damage::NotARecording) });
        }
        let header = Header::parse(&bytes).map_err(broken)?;
        let header_hash = sha256(&[&bytes]);
        let at = wide(HEADER_BYTES);
        let mut walk = Self {
            input,
            header,
            header_hash,
            sum: Sum::new(header.version, header_hash),
            hashing: Hashing::Each,
            leaf: header_hash,
            redaction: None,
            holes: Holes::default(),
            ahead: None,
            first: at,
            chunks: 0,
            at,
            before: 0,
            last_seen: false,
            is_tail: false,
            buffer: Zeroizing::default(),
        };
        walk.begin_redaction()?;
        Ok(walk)
    }

    /// Reads what follows the header where something was taken out, before any chunk.
    fn begin_redaction(&mut self) -> Result<(), Stop> {
        let mut kind = [0; 1];
        if self.header.version == Version::Zero || self.read(&mut kind)? == 0 {
            return Ok(());
        }
        if kind != [KIND_REDACTION] {
            [self.ahead] = kind.map(Some);
            return Ok(());
        }
        let mut head = [KIND_REDACTION; REDACTION_HEAD_BYTES];
        let (_, rest) = head.split_at_mut(1);
        if self.read(rest)? < rest.len() {
            return Err(self.torn(Tail::InFrame));
        }
        let length = Redaction::rest_of(&head).ok_or_else(|| self.broken_here(Damage::Frame))?;
        let mut bytes = head.to_vec();
        bytes.resize(head.len() + length, 0);
        let (_, rest) = bytes.split_at_mut(head.len());
        if self.read(rest)? < rest.len() {
            return Err(self.torn(Tail::InFrame));
        }
        self.at += wide(bytes.len());
        self.first = self.at;
        self.redaction = Some(Redaction::parse(bytes).ok_or_else(|| self.broken_here(Damage::Check))?);
        Ok(())
    }

    /// Returns the same walk where it stands, going on over other bytes.
    #[cfg(test)]
    pub(super) fn over<'b>(&self, input: &'b [u8]) -> Walk<&'b [u8]> {
        let (sum, buffer) = (self.sum.clone(), Zeroizing::default());
        let (redaction, holes, ahead) = (self.redaction.clone(), self.holes.clone(), None);
        let Self { header, header_hash, hashing, leaf, first, chunks, at, before, last_seen, is_tail, .. } = *self;
        Walk {
            input,
            header,
            header_hash,
            sum,
            hashing,
            leaf,
            redaction,
            holes,
            ahead,
            first,
            chunks,
            at,
            before,
            last_seen,
            is_tail,
            buffer,
        }
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) const fn header_hash(&self) -> &Hash {
        &self.header_hash
    }

    /// Goes on with this chunk, which begins there. What the chunks before come to is not known any more, unless there is none.
    pub(super) fn stand_at(&mut self, chunk: u32, at: u64) {
        if chunk == 0 {
            self.sum = Sum::new(self.header.version, self.header_hash);
        }
        self.holes = Holes::default();
        (self.chunks, self.at, self.before) = (chunk, at, at);
        (self.last_seen, self.is_tail) = (false, false);
    }

    /// Goes on with this chunk where it stands: those between are not there.
    pub(super) fn go_on_with(&mut self, chunk: u32) {
        self.stand_at(chunk, self.at);
    }

    /// Takes note that whoever walks has moved in the input.
    pub(super) const fn has_moved(&mut self) {
        self.ahead = None;
    }

    /// Returns what follows the header where something was taken out.
    pub(super) const fn redaction(&self) -> Option<&Redaction> {
        self.redaction.as_ref()
    }

    /// Returns where the first chunk begins.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// Returns what was taken out of a file that was walked to its end.
    pub(super) fn taken_out(&self) -> Result<Option<TakenOut>, Damage> {
        match (&self.redaction, self.holes.is_empty()) {
            (None, true) => Ok(None),
            (Some(redaction), false) => Ok(Some(self.holes.taken_out(&self.header_hash, redaction))),
            (Some(_), true) | (None, false) => Err(Damage::Hole),
        }
    }

    /// Hashes no more chunks. What they come to is not known then: there is no root, and nothing to be signed.
    pub(super) const fn hash_no_more(&mut self) {
        self.hashing = Hashing::Done;
    }

    pub(super) const fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// Returns what a node signs that closes the file after what was walked: the root over it, and the message with this word.
    pub(super) fn to_sign(&self, word: Word) -> (Hash, Vec<u8>) {
        let root = self.sum.root();
        (root, self.message(self.chunks, &root, word))
    }

    /// Returns what a node signs of a file with this header, so many chunks and this root over them.
    pub(super) fn message(&self, chunks: u32, root: &Hash, word: Word) -> Vec<u8> {
        Signed { header: &self.header, header_hash: &self.header_hash, chunks, root }.message(word)
    }

    /// Returns the hash of the last chunk: its leaf of the tree.
    pub(super) const fn leaf(&self) -> &Hash {
        &self.leaf
    }

    pub(super) const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Returns the length of what was walked.
    pub(super) const fn bytes(&self) -> u64 {
        self.at
    }

    /// Returns where the last frame walked begins.
    pub(super) const fn last_frame(&self) -> u64 {
        self.before
    }

    /// Returns the ciphertext of the last chunk, to be opened in place, and its tag.
    pub(super) fn sealed(&mut self) -> (&mut [u8], [u8; TAG_BYTES]) {
        let length = self.buffer.len().saturating_sub(TAG_BYTES + CHECK_BYTES);
        let (ciphertext, rest) = self.buffer.split_at_mut(length);
        (ciphertext, rest.first_chunk().copied().unwrap_or_default())
    }

    /// Returns the last chunk's plaintext, once it was opened in place.
    pub(super) fn plain(&self) -> &[u8] {
        self.buffer.get(..self.buffer.len().saturating_sub(TAG_BYTES + CHECK_BYTES)).unwrap_or_default()
    }

    /// Returns the verdict that something is wrong with the last chunk walked.
    pub(super) const fn broken(&self, what: Damage) -> Broken {
        Broken { what, chunk: self.chunks.saturating_sub(1), at: self.before }
    }

    pub(super) fn step(&mut self) -> Result<Step, Stop> {
        let mut kind = [0; 1];
        if self.read(&mut kind)? == 0 {
            return Err(self.torn(if self.last_seen { Tail::Unsigned } else { Tail::BetweenChunks }));
        }
        match (kind, self.last_seen) {
            ([KIND_CHUNK], false) => self.chunk(),
            ([KIND_CHUNK | KIND_HOLE], true) => Err(self.broken_here(Damage::AfterLast)),
            ([KIND_HOLE], false) if self.header.version == Version::One => self.hole(),
            ([KIND_CLOSING], _) => self.closing(),
            ([0], last_seen) => {
                if self.is_zeros()? {
                    return Err(self.torn(if last_seen { Tail::Unsigned } else { Tail::Zeros }));
                }
                Err(self.broken_here(Damage::Frame))
            }
            ([_], _) => Err(self.broken_here(Damage::Frame)),
        }
    }

    fn chunk(&mut self) -> Result<Step, Stop> {
        let mut bytes = [KIND_CHUNK; FRAME_BYTES];
        let (_, rest) = bytes.split_at_mut(1);
        if self.read(rest)? < FRAME_BYTES - 1 {
            return Err(self.torn(Tail::InFrame));
        }
        let frame = Frame::parse(bytes).map_err(|what| self.damaged(what))?;
        if frame.index != self.chunks {
            return Err(self.damaged(Damage::Order(frame.index)));
        }
        let length = frame.length();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length + TAG_BYTES + CHECK_BYTES, 0);
        let read = self.read(&mut buffer)?;
        if read < buffer.len() {
            buffer.truncate(read);
            self.buffer = buffer;
            return Err(self.torn(Tail::InFrame));
        }
        let (sealed, found) = buffer.split_at(length + TAG_BYTES);
        match self.hashing {
            Hashing::Each => {
                let hash = self.sum.hash_of(&bytes, sealed, &[]);
                if check(&hash).as_slice() != found {
                    return Err(self.damaged(Damage::Check));
                }
                self.sum.take(hash);
                self.leaf = hash;
            }
            Hashing::Done => {}
        }
        self.chunks = self.chunks.checked_add(1).ok_or_else(|| self.broken_here(Damage::Order(frame.index)))?;
        self.last_seen = frame.place == Place::Last;
        self.before = self.at;
        self.at += wide(FRAME_BYTES + buffer.len());
        self.buffer = buffer;
        Ok(Step::Chunk(frame))
    }

    fn hole(&mut self) -> Result<Step, Stop> {
        let mut bytes = [0; HOLE_BYTES - 1];
        if self.read(&mut bytes)? < bytes.len() {
            return Err(self.torn(Tail::InFrame));
        }
        let [i0, i1, i2, i3, leaf @ ..] = bytes;
        let index = u32::from_be_bytes([i0, i1, i2, i3]);
        if index != self.chunks {
            return Err(self.broken_here(Damage::Order(index)));
        }
        // The evidence says who agreed to what, and is never taken out.
        if index == 0 || self.redaction.is_none() {
            return Err(self.broken_here(Damage::Hole));
        }
        self.leaf = leaf;
        self.sum.take(leaf);
        self.holes.take(index);
        self.chunks = self.chunks.checked_add(1).ok_or_else(|| self.broken_here(Damage::Order(index)))?;
        self.before = self.at;
        self.at += wide(HOLE_BYTES);
        Ok(Step::Hole(index))
    }

    fn closing(&mut self) -> Result<Step, Stop> {
        let version = self.header.version;
        // Only whoever closes a torn file does so before its last chunk, and version 0 has no word for it.
        if version == Version::Zero && !self.last_seen {
            return Err(self.broken_here(Damage::NotLast));
        }
        let mut word = [0; 1];
        if self.read(&mut word)? == 0 {
            return Err(self.torn(Tail::Unsigned));
        }
        let head = [KIND_CLOSING, u8::from_be_bytes(word)];
        let length = Closing::length(version, head).ok_or_else(|| self.broken_here(Damage::Frame))?;
        let mut bytes = head.to_vec();
        bytes.resize(length, 0);
        let (_, rest) = bytes.split_at_mut(head.len());
        if self.read(rest)? < rest.len() {
            return Err(self.torn(Tail::Unsigned));
        }
        let closing = Closing::parse(version, &bytes).map_err(|what| self.broken_here(what))?;
        // Whether a chunk that was taken out was the last, only the signature says.
        let is_at_end = self.last_seen || self.holes.end() == Some(self.chunks);
        if closing.word == Word::Complete && !is_at_end {
            return Err(self.broken_here(Damage::NotLast));
        }
        if closing.chunks != self.chunks {
            return Err(self.broken_here(Damage::Count(closing.chunks)));
        }
        if self.read(&mut [0; 1])? > 0 {
            return Err(self.broken_here(Damage::AfterClosing));
        }
        self.before = self.at;
        self.at += wide(length);
        Ok(Step::Closing(closing))
    }

    /// Returns whether the chunk at which the last step stopped is damaged, and the file has nothing behind it, or only zeros: a write
    /// whose last blocks never reached the disk looks like this.
    pub(super) const fn stopped_in_the_tail(&self) -> bool {
        self.is_tail
    }

    /// Returns whether the chunk after the one at which the file ends is there, whole. Then that one was not torn: its frame is damaged, and
    /// claims a length that leads beyond the end.
    pub(super) fn has_a_chunk_in_the_tail(&self) -> bool {
        let Some(index) = self.chunks.checked_add(1) else { return false };
        let tail = self.buffer.as_slice();
        (0..tail.len()).filter(|&at| tail.get(at) == Some(&KIND_CHUNK)).any(|at| {
            let Some((bytes, rest)) = tail.get(at..).and_then(<[u8]>::split_first_chunk::<FRAME_BYTES>) else { return false };
            let Ok(frame) = Frame::parse(*bytes) else { return false };
            let Some((sealed, rest)) = rest.split_at_checked(frame.length() + TAG_BYTES) else { return false };
            frame.index == index && rest.starts_with(&check(&self.sum.hash_of(bytes, sealed, &[])))
        })
    }

    /// Looks at what follows a chunk that is damaged.
    fn damaged(&mut self, what: Damage) -> Stop {
        match self.is_zeros() {
            Ok(is_zeros) => self.is_tail = is_zeros,
            Err(stop) => return stop,
        }
        self.broken_here(what)
    }

    fn is_zeros(&mut self) -> Result<bool, Stop> {
        let mut bytes = [0; 4096];
        loop {
            let read = self.read(&mut bytes)?;
            if bytes.iter().take(read).any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read < bytes.len() {
                return Ok(true);
            }
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Stop> {
        let ahead = if into.is_empty() { None } else { self.ahead.take() };
        let (first, rest) = into.split_at_mut(usize::from(ahead.is_some()));
        first.copy_from_slice(ahead.as_slice());
        let read = read_full(&mut self.input, rest).map_err(Stop::Disk)?;
        Ok(first.len() + read)
    }

    const fn torn(&self, tail: Tail) -> Stop {
        Stop::Cut(Cut { chunks: self.chunks, bytes: self.at, tail })
    }

    const fn broken_here(&self, what: Damage) -> Stop {
        Stop::Broken(Broken { what, chunk: self.chunks, at: self.at })
    }
}

/// Fills `into`, or reads to the end; returns how much was read.
fn read_full(input: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut rest = &mut *into;
    let mut read = 0;
    while !rest.is_empty() {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => {
                read += count;
                rest = rest.get_mut(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
