//! The verdict on a recording: complete, torn or broken; without any private key, or with one and then on its content too.

use std::fmt;
use std::io::{self, Read};

use crate::vault::content::LegTotals;
use crate::vault::format::{Closing, Word};
use crate::vault::record::Count;
use crate::vault::walk::{Step, Stop, Walk};
use crate::vault::{Broken, Damage, NodePublic, OpenError, Record, RecipientSecret, Recording, Torn, Totals};

/// What a recording is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a verdict nobody reads protects nothing"]
pub enum Verdict {
    /// All of it is there, as the node signed it.
    Complete(Complete),
    /// It ends before its end; as far as it goes it is whole.
    Torn(Torn),
    /// It is not as it was written.
    Broken(Broken),
}

/// What is known of a complete recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Complete {
    /// Its chunks, that of the evidence included.
    pub chunks: u32,
    /// The length of the file.
    pub bytes: u64,
    /// What it holds, where a key has opened it.
    pub totals: Option<Totals>,
}

impl Verdict {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete(_) => "complete",
            Self::Torn(_) => "torn",
            Self::Broken(_) => "broken",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(complete) => write!(f, "complete: {} chunks, {} bytes", complete.chunks, complete.bytes),
            Self::Torn(torn) => write!(f, "torn: {torn}"),
            Self::Broken(broken) => write!(f, "broken: {broken}"),
        }
    }
}

/// Verifies a recording without any private key: every byte against the chain, and the chain against the node's signature.
///
/// A torn recording has no signature. What it has is then only known to be undamaged, not to be the node's: for that it takes a
/// recipient's key and [`verify_content`].
///
/// # Errors
/// Where the disk does not give it, or it says it is another node's. That is no verdict: nothing is known then.
pub fn verify(rec: impl Read, node: &NodePublic) -> Result<Verdict, OpenError> {
    let verdict = || {
        let mut walk = Walk::begin(rec)?;
        if walk.header().node != node.fingerprint() {
            return Ok(Err(OpenError::OtherNode(walk.header().node, node.fingerprint())));
        }
        loop {
            if let Step::Closing(closing) = walk.step()? {
                return Ok(Ok(close(&walk, &closing, node, None)));
            }
        }
    };
    match verdict() {
        Ok(verdict) => verdict,
        Err(Stop::Torn(torn)) => Ok(Verdict::Torn(torn)),
        Err(Stop::Broken(broken)) => Ok(Verdict::Broken(broken)),
        Err(Stop::Disk(error)) => Err(OpenError::Disk(error)),
    }
}

/// Verifies a recording with a recipient's key: the signature, every tag, every record, and the totals against the records.
///
/// # Errors
/// Where the disk does not give it, it says it is another node's, or the key does not open it. That is no verdict.
pub fn verify_content(rec: impl Read, key_file: &[u8], secret: &RecipientSecret, node: &NodePublic) -> Result<Verdict, OpenError> {
    match content(rec, key_file, secret, node) {
        Ok(verdict) => Ok(verdict),
        Err(OpenError::Torn(torn)) => Ok(Verdict::Torn(torn)),
        Err(OpenError::Broken(broken)) => Ok(Verdict::Broken(broken)),
        Err(error @ (OpenError::Disk(_) | OpenError::Key(_) | OpenError::KeyFile(_) | OpenError::OtherNode(..))) => Err(error),
    }
}

fn content(rec: impl Read, key_file: &[u8], secret: &RecipientSecret, node: &NodePublic) -> Result<Verdict, OpenError> {
    let mut recording = Recording::open(rec, key_file, secret)?;
    let says = recording.header().node;
    if says != node.fingerprint() {
        return Err(OpenError::OtherNode(says, node.fingerprint()));
    }
    let mut story = Story::default();
    while let Some(chunk) = recording.next_chunk()? {
        let (index, is_last) = (chunk.index, chunk.is_last());
        let told = chunk
            .records()
            .try_for_each(|record| story.tell(&record.map_err(|unreadable| Damage::Content(unreadable.0))?, index))
            .and_then(|()| if is_last { story.end() } else { Ok(()) });
        told.map_err(|what| OpenError::Broken(recording.walk().broken(what)))?;
    }
    let closing = recording.closing().ok_or_else(|| OpenError::Disk(io::ErrorKind::UnexpectedEof.into()))?;
    Ok(close(recording.walk(), &closing, node, story.totals))
}

fn close<R: Read>(walk: &Walk<R>, closing: &Closing, node: &NodePublic, totals: Option<Totals>) -> Verdict {
    let header = walk.header();
    let Closing { word: word @ Word::Complete, chunks, signature } = closing;
    let message = Closing::message(header.recording, header.segment, *word, *chunks, walk.chain());
    if node.has_signed(&message, signature) {
        Verdict::Complete(Complete { chunks: walk.chunks(), bytes: walk.bytes(), totals })
    } else {
        let at = walk.bytes().saturating_sub(u64::try_from(crate::vault::format::CLOSING_BYTES).unwrap_or_default());
        Verdict::Broken(Broken { what: Damage::Signature, chunk: walk.chunks(), at })
    }
}

/// What the records say, one after the other.
#[derive(Default)]
struct Story {
    count: Count,
    records: u64,
    totals: Option<Totals>,
}

impl Story {
    fn tell<P: AsRef<[u8]>>(&mut self, record: &Record<P>, chunk: u32) -> Result<(), Damage> {
        if self.totals.is_some() {
            return Err(Damage::Content("a record follows the end record"));
        }
        let is_first = self.records == 0;
        self.records += 1;
        match record {
            Record::Evidence(_) if is_first => {}
            Record::Evidence(_) => return Err(Damage::Content("evidence stands elsewhere than at the beginning")),
            _ if chunk == 0 => return Err(Damage::Content("chunk 0 holds more than the evidence")),
            Record::Format(_) | Record::Other { .. } => {}
            Record::Rtp { leg, came, packet } => self.count.packet(*leg, *came, packet.as_ref().len()),
            Record::Gap(gap) => self.count.gap(*gap),
            Record::End(totals) => self.totals = Some(*totals),
        }
        Ok(())
    }

    /// Compares the end record with what was told.
    fn end(&self) -> Result<(), Damage> {
        let totals = self.totals.ok_or(Damage::Content("the last chunk has no end record"))?;
        let counted = totals.legs.map(|leg| LegTotals { withheld: 0, ..leg });
        let is_so = counted == self.count.legs && totals.gaps == self.count.gap_records && totals.lost == self.count.gap_packets;
        if is_so { Ok(()) } else { Err(Damage::Totals) }
    }
}
