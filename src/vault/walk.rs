//! The walk over a recording's frames, without any key: how far it is whole, and where it is not.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use zeroize::Zeroizing;

use crate::vault::format::{
    CHECK_BYTES, CLOSING_BYTES, Closing, FRAME_BYTES, Frame, HEADER_BYTES, Hash, KIND_CHUNK, KIND_CLOSING, MAGIC, Place,
    TAG_BYTES, check, sha256, wide,
};
use crate::vault::{Damage, Header};

/// A recording that ends before its end: whole as far as it goes.
///
/// A crash of the recorder and a cut by someone look alike: only what is kept outside the file can tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
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
    /// After the last chunk: only the closing with the signature is missing.
    Unsigned,
}

impl fmt::Display for Torn {
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
    Torn(Torn),
    Broken(Broken),
    Disk(io::Error),
}

/// One step of a walk.
pub(super) enum Step {
    /// A chunk that is whole; its ciphertext and tag are in [`Walk::sealed`].
    Chunk(Frame),
    /// The closing, and the end of the file after it.
    Closing(Closing),
}

pub(super) struct Walk<R> {
    input: R,
    header: Header,
    header_hash: Hash,
    chain: Hash,
    chunks: u32,
    /// Where the frame begins that the next step reads.
    at: u64,
    /// Where the frame began that the last step read.
    before: u64,
    last_seen: bool,
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
            let torn = Torn { chunks: 0, bytes: 0, tail: Tail::InHeader };
            return Err(if is_ours { Stop::Torn(torn) } else { broken(Damage::NotARecording) });
        }
        let header = Header::parse(&bytes).map_err(broken)?;
        let header_hash = sha256(&[&bytes]);
        let at = wide(HEADER_BYTES);
        Ok(Self {
            input,
            header,
            header_hash,
            chain: header_hash,
            chunks: 0,
            at,
            before: 0,
            last_seen: false,
            buffer: Zeroizing::default(),
        })
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) const fn header_hash(&self) -> &Hash {
        &self.header_hash
    }

    /// Returns the chain value over all that was walked.
    pub(super) const fn chain(&self) -> &Hash {
        &self.chain
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
            ([KIND_CHUNK], true) => Err(self.broken_here(Damage::AfterLast)),
            ([KIND_CLOSING], true) => self.closing(),
            ([KIND_CLOSING], false) => Err(self.broken_here(Damage::NotLast)),
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
        let frame = Frame::parse(bytes).map_err(|what| self.broken_here(what))?;
        if frame.index != self.chunks {
            return Err(self.broken_here(Damage::Order(frame.index)));
        }
        let length = frame.length();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length + TAG_BYTES + CHECK_BYTES, 0);
        let read = self.read(&mut buffer)?;
        if read < buffer.len() {
            return Err(self.torn(Tail::InFrame));
        }
        let (sealed, found) = buffer.split_at(length + TAG_BYTES);
        let chain = sha256(&[&self.chain, &bytes, sealed]);
        if check(&chain).as_slice() != found {
            return Err(self.broken_here(Damage::Check));
        }
        self.chain = chain;
        self.chunks = self.chunks.checked_add(1).ok_or_else(|| self.broken_here(Damage::Order(frame.index)))?;
        self.last_seen = frame.place == Place::Last;
        self.before = self.at;
        self.at += wide(FRAME_BYTES + buffer.len());
        self.buffer = buffer;
        Ok(Step::Chunk(frame))
    }

    fn closing(&mut self) -> Result<Step, Stop> {
        let mut bytes = [KIND_CLOSING; CLOSING_BYTES];
        let (_, rest) = bytes.split_at_mut(1);
        if self.read(rest)? < CLOSING_BYTES - 1 {
            return Err(self.torn(Tail::Unsigned));
        }
        let closing = Closing::parse(&bytes).map_err(|what| self.broken_here(what))?;
        if closing.chunks != self.chunks {
            return Err(self.broken_here(Damage::Count(closing.chunks)));
        }
        if self.read(&mut [0; 1])? > 0 {
            return Err(self.broken_here(Damage::AfterClosing));
        }
        self.before = self.at;
        self.at += wide(CLOSING_BYTES);
        Ok(Step::Closing(closing))
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
        read_full(&mut self.input, into).map_err(Stop::Disk)
    }

    const fn torn(&self, tail: Tail) -> Stop {
        Stop::Torn(Torn { chunks: self.chunks, bytes: self.at, tail })
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
