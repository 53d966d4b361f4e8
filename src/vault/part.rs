//! A span of a recording apart from the rest: some of its chunks, and the hashes by which they are proven to be of it.
//!
//! ```text
//!   <id>.rec     header │ 0 │ 1 │ … │ a │ … │ b−1 │ b │ … │ n−1 │ closing
//!   <id>.span    header │ 0         │ a │ … │ b−1 │              closing        and of the tree over all: the hashes of what is left out
//! ```

use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use crate::ids::Leg;
use crate::vault::format::{CLOSING_BYTES, Closing, SALVAGED_BYTES, Version, Word, wide};
use crate::vault::tree::{self, Hash};
use crate::vault::walk::{Step, Stop, Walk};
use crate::vault::{Broken, Cut, Damage, NodePublic, OpenError, RecipientSecret, Record, Recording, SignedClosing, Tail};

/// What proves chunks to be of a recording without the rest of it (`manual/format.md`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    chunks: u32,
    spans: Vec<Range<u32>>,
    hashes: Vec<Hash>,
}

impl Proof {
    /// Takes a proof as it was handed over; nothing where it can be none: spans that are empty, out of order, or beyond the last chunk.
    #[must_use]
    pub fn new(chunks: u32, spans: Vec<Range<u32>>, hashes: Vec<[u8; 32]>) -> Option<Self> {
        let mut end = 0;
        for span in &spans {
            if span.start < end || span.is_empty() || span.end > chunks {
                return None;
            }
            end = span.end;
        }
        (end > 0).then_some(Self { chunks, spans, hashes })
    }

    /// Returns how many chunks the recording has.
    #[must_use]
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Returns which of them are handed over.
    #[must_use]
    pub fn spans(&self) -> &[Range<u32>] {
        &self.spans
    }

    /// Returns the hashes of what is left out, from the left.
    #[must_use]
    pub fn hashes(&self) -> &[[u8; 32]] {
        &self.hashes
    }
}

/// Chunks of a recording to be handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CutOut {
    /// What the node has signed of the whole.
    pub closing: SignedClosing,
    /// How they are proven to be of it.
    pub proof: Proof,
    /// Where what is handed over lies in the recording's file: header, chunks, closing.
    pub parts: Vec<Range<u64>>,
}

impl CutOut {
    /// Reads a recording to its closing for what it takes to hand over these chunks of it. Every chunk's hash is compared on the way; the
    /// signature is not checked.
    ///
    /// # Errors
    /// Where the recording has no closing, is not as it was written, has not these chunks, or the disk does not give it. A recording of version 0
    /// has no tree, and [`Damage::Version`] says so.
    pub fn find(rec: impl Read, spans: Vec<Range<u32>>) -> Result<Self, OpenError> {
        let mut walk = Walk::begin(rec)?;
        if walk.header().version == Version::Zero {
            return Err(OpenError::Broken(Broken { what: Damage::Version(0), chunk: 0, at: 0 }));
        }
        let (mut leaves, mut ends) = (Vec::new(), vec![walk.first()]);
        let closing = loop {
            match walk.step()? {
                Step::Chunk(_) | Step::Hole(_) => {
                    leaves.push(*walk.leaf());
                    ends.push(walk.bytes());
                }
                Step::Closing(closing) => break closing,
            }
        };
        let chunks = closing.chunks;
        let proof = Proof::new(chunks, spans, Vec::new()).ok_or_else(|| OpenError::Broken(walk.broken(Damage::Count(chunks))))?;
        let hashes = tree::prove(&leaves, &proof.spans);
        let end = |chunk: u32| usize::try_from(chunk).ok().and_then(|chunk| ends.get(chunk)).copied().unwrap_or_default();
        let chunks = proof.spans.iter().map(|span| end(span.start)..end(span.end));
        let last = ends.last().copied().unwrap_or_default();
        let parts = std::iter::once(0..walk.first()).chain(chunks).chain(std::iter::once(last..walk.bytes())).collect();
        Ok(Self { closing: SignedClosing::of(&walk, &closing), proof: Proof { hashes, ..proof }, parts })
    }
}

/// Chunks that are of a recording, as the node signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// What the node has signed: the root over all chunks.
    pub root: [u8; 32],
    /// Whether the recorder came to its end; otherwise a later start has closed the recording.
    pub is_complete: bool,
    /// How many of them were taken out of the recording since: their hashes stand in their places.
    pub holes: u32,
    /// What is in the others, where a key has opened them.
    pub content: Option<Opened>,
}

/// What is in chunks that a key has opened.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Opened {
    /// Packets of the PBX and of the trunk.
    pub packets: [u64; 2],
    /// When the first of them came, and the last.
    pub came: Option<(Duration, Duration)>,
}

/// Verifies chunks that were handed over without the rest: every byte of them against the proof, and that against the node's signature; with a key
/// file and a recipient's key, that each opens and can be read as well. What the rest of the recording is, nobody learns from it.
///
/// # Errors
/// As a recording's: [`OpenError::Broken`] where they are not what the node signed, [`OpenError::Cut`] where they are not all there.
pub fn verify_part(
    part: impl Read,
    proof: &Proof,
    node: &NodePublic,
    key: Option<(&[u8], &RecipientSecret)>,
) -> Result<Proven, OpenError> {
    let Some((key_file, secret)) = key else {
        let mut walk = Walk::begin(part)?;
        let (mut leaves, mut holes) = (Vec::new(), 0);
        for span in &proof.spans {
            walk.go_on_with(span.start);
            for _ in span.clone() {
                holes += u32::from(is_hole(&walk.step()?, &walk)?);
                leaves.push(*walk.leaf());
            }
        }
        return close(&mut walk, proof, (leaves, holes), node, None);
    };
    let mut recording = Recording::open(part, key_file, secret)?;
    let (mut leaves, mut holes, mut content) = (Vec::new(), 0, Opened::default());
    for span in &proof.spans {
        recording.go_on_with(span.start);
        for index in span.clone() {
            let told = match recording.next_chunk()? {
                Some(chunk) => chunk.records().try_for_each(|record| content.tell(&record.map_err(|error| error.0)?, index)),
                None => return Err(OpenError::Broken(recording.walk().broken(Damage::Count(proof.chunks)))),
            };
            told.map_err(|what| OpenError::Broken(recording.walk().broken(Damage::Content(what))))?;
            holes += u32::from(recording.redacted().is_some_and(|statement| statement.hole(index).is_some()));
            leaves.push(*recording.walk().leaf());
        }
    }
    close(recording.walk_mut(), proof, (leaves, holes), node, Some(content))
}

fn is_hole<R: Read>(step: &Step, walk: &Walk<R>) -> Result<bool, OpenError> {
    match step {
        Step::Chunk(_) => Ok(false),
        Step::Hole(_) => Ok(true),
        Step::Closing(closing) => Err(OpenError::Broken(walk.broken(Damage::Count(closing.chunks)))),
    }
}

/// What is left is the closing; it must have been signed over what the chunks and the proof come to.
fn close<R: Read>(
    walk: &mut Walk<R>,
    proof: &Proof,
    (leaves, holes): (Vec<Hash>, u32),
    node: &NodePublic,
    content: Option<Opened>,
) -> Result<Proven, OpenError> {
    let (header, given) = (*walk.header(), node.fingerprint());
    if header.node != given {
        return Err(OpenError::OtherNode(header.node, given));
    }
    let (chunks, bytes) = (walk.chunks(), walk.bytes());
    let broken = |what| OpenError::Broken(Broken { what, chunk: chunks, at: bytes });
    if header.version == Version::Zero {
        return Err(broken(Damage::Version(0)));
    }
    let mut rest = Vec::new();
    walk.input().take(wide(SALVAGED_BYTES) + 1).read_to_end(&mut rest).map_err(OpenError::Disk)?;
    if rest.len() < CLOSING_BYTES {
        return Err(Stop::Cut(Cut { chunks, bytes, tail: Tail::Unsigned }).into());
    }
    let closing = Closing::parse(header.version, &rest).map_err(broken)?;
    if closing.chunks != proof.chunks {
        return Err(broken(Damage::Count(closing.chunks)));
    }
    let root = tree::proven(proof.chunks, &proof.spans, leaves, &proof.hashes).ok_or_else(|| broken(Damage::Proof))?;
    if !node.has_signed(&walk.message(closing.chunks, &root, closing.word), &closing.signature) {
        return Err(broken(Damage::Signature));
    }
    Ok(Proven { root, is_complete: closing.word == Word::Complete, holes, content })
}

impl Opened {
    fn tell(&mut self, record: &Record<&[u8]>, chunk: u32) -> Result<(), &'static str> {
        if (chunk == 0) != matches!(record, Record::Evidence(_)) {
            return Err("evidence is the one record of chunk 0 and of no other");
        }
        let Record::Rtp { leg, came, .. } = record else { return Ok(()) };
        let [pbx, trunk] = &mut self.packets;
        match leg {
            Leg::Pbx => *pbx += 1,
            Leg::Trunk => *trunk += 1,
        }
        let (first, last) = self.came.unwrap_or((*came, *came));
        self.came = Some((first.min(*came), last.max(*came)));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
#[allow(clippy::single_range_in_vec_init, reason = "one span of chunks, and not the numbers in it")]
mod tests {
    use super::*;
    use crate::vault::fixture::{Chance, Made, make};

    fn cut_out(made: &Made, spans: &[Range<u32>]) -> (Vec<u8>, Proof) {
        let found = CutOut::find(made.rec.as_slice(), spans.to_vec()).unwrap();
        assert!(made.node.public().has_signed(&found.closing.message, &found.closing.signature));
        let part = found.parts.iter().flat_map(|part| &made.rec[part.start as usize..part.end as usize]).copied().collect();
        (part, found.proof)
    }

    fn both(made: &Made, part: &[u8], proof: &Proof) -> [Result<Proven, OpenError>; 2] {
        let key = (made.key.as_slice(), &made.secret);
        [None, Some(key)].map(|key| verify_part(part, proof, made.node.public(), key))
    }

    #[test]
    fn every_span_of_a_recording_is_proven_without_the_rest_and_nothing_of_that_is_in_it() {
        let made = make(1, 80);
        let chunks = made.sealed.chunks;
        for first in 1..chunks {
            for end in first + 1..=chunks {
                let (part, proof) = cut_out(&made, &[0..1, first..end]);

                let [bare, opened] = both(&made, &part, &proof).map(Result::unwrap);

                assert_eq!((bare.root, bare.is_complete, &bare.content), (made.sealed.root, true, &None));
                let packets = opened.content.unwrap().packets;
                assert!(packets.iter().sum::<u64>() > 0 || end == chunks, "{first}..{end}: {packets:?}");
                let own = made.ends[1] + (made.ends[end as usize] - made.ends[first as usize]) + CLOSING_BYTES;
                assert_eq!(part.len(), own, "header and evidence, the span, the closing");
                assert!(proof.hashes().len() <= 2 * 5, "{}", proof.hashes().len());
            }
        }
    }

    #[test]
    fn no_bit_of_a_span_or_of_its_proof_can_change_unseen() {
        let made = make(1, 60);
        let (part, proof) = cut_out(&made, &[0..1, 3..5]);

        for at in 0..part.len() {
            let mut bad = part.clone();
            bad[at] ^= 1 << (at % 8);
            let verdict = verify_part(bad.as_slice(), &proof, made.node.public(), None);
            assert!(verdict.is_err(), "byte {at}");
            assert!(verify_part(&part[..at], &proof, made.node.public(), None).is_err(), "cut at {at}");
        }
        for nth in 0..proof.hashes.len() {
            let mut bad = proof.clone();
            bad.hashes[nth][7] ^= 1;
            assert!(both(&made, &part, &bad).iter().all(Result::is_err), "hash {nth}");
        }
        for (chunks, spans) in [
            (proof.chunks + 1, vec![0..1, 3..5]),
            (proof.chunks, vec![0..1, 4..6]),
            (proof.chunks, vec![0..1, 3..6]),
            (proof.chunks, vec![0..1, 3..4]),
        ] {
            let bad = Proof::new(chunks, spans.clone(), proof.hashes.clone()).unwrap();
            assert!(both(&made, &part, &bad).iter().all(Result::is_err), "{spans:?} of {chunks}");
        }
        let longer = [part.as_slice(), &[0]].concat();
        assert!(both(&made, &longer, &proof).iter().all(Result::is_err));
    }

    #[test]
    fn chunks_of_another_recording_and_those_that_a_recipient_made_are_not_proven() {
        let (one, two) = (make(1, 60), make(2, 60));
        let (part, proof) = cut_out(&one, &[0..1, 3..5]);
        let (other, other_proof) = cut_out(&two, &[0..1, 3..5]);

        let head = one.ends[1];
        let mixed = [&part[..head], &other[two.ends[1]..]].concat();
        assert!(both(&one, &mixed, &proof).iter().all(Result::is_err));
        assert!(both(&one, &part, &other_proof).iter().all(Result::is_err));
        let stranger = RecipientSecret::generate(&mut Chance::from(50));
        let key = Some((one.key.as_slice(), &stranger));
        assert!(matches!(verify_part(part.as_slice(), &proof, one.node.public(), key), Err(OpenError::Key(_))));
        let node = crate::vault::NodeKey::generate(&mut Chance::from(9));
        assert!(matches!(verify_part(part.as_slice(), &proof, node.public(), None), Err(OpenError::OtherNode(..))));
    }

    #[test]
    fn what_can_be_no_proof_is_none() {
        let new = |chunks, spans: &[Range<u32>]| Proof::new(chunks, spans.to_vec(), Vec::new()).is_some();

        assert!(new(1, &[0..1]) && new(9, &[0..1, 1..9]) && new(9, &[8..9]));
        assert!(
            !new(0, &[])
                && !new(9, &[])
                && !new(9, &[8..10])
                && !new(9, &[3..3])
                && !new(9, &[3..5, 4..6])
                && !new(9, &[5..6, 1..2])
        );
        let made = make(1, 20);
        assert!(CutOut::find(made.rec.as_slice(), vec![0..1, 90..91]).is_err());
        assert!(CutOut::find(&made.rec[..made.rec.len() - 1], vec![0..1]).is_err(), "it has no closing");
    }
}
