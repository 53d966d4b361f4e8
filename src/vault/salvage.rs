//! Salvage: what a later start makes of a file that its recorder did not come to close.
//!
//! Nothing is opened, nothing is sealed and nothing is guessed: the chunks that are whole stay as they are, what is not is taken off, and
//! the node signs that it was so. A file that is damaged elsewhere than at its end is left alone, for people to look at.

use std::io::{self, Read};

use crate::time::Wall;
use crate::vault::format::{Closing, Word};
use crate::vault::verify::close as verdict;
use crate::vault::walk::{Step, Stop, Walk};
use crate::vault::{Broken, Damage, NodeKey, Verdict};

/// What is to be done with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "it is a plan, and nothing is done yet"]
pub enum Salvage {
    /// Copy so much of it to a file of its own, put these bytes behind, make that durable, and put it in this one's place.
    Close {
        /// The length of what is whole.
        keep: u64,
        /// The closing, signed.
        closing: Vec<u8>,
        /// How many chunks are whole, that of the evidence included.
        chunks: u32,
        /// How many bytes of a chunk that was not whole are taken off.
        cut_off: u64,
        /// The root over the chunks, which the node has signed.
        root: [u8; 32],
    },
    /// Nothing: not even its evidence is whole, so that nothing was recorded. It can be removed.
    Empty,
    /// Nothing: it is closed, and this is the verdict on it.
    Closed(Verdict),
    /// Nothing: it is of version 0, which has no word for this, or another node made it.
    NotOurs,
    /// Nothing: it is damaged, and not by a recorder that came to no end.
    Broken(Broken),
}

/// Says how a file is closed of which it is known from elsewhere (the ledger) that its recorder did not come to its end.
///
/// `length` is the file's, `at` is now. The whole file is read once.
///
/// # Errors
/// The disk: nothing is known then. Or, with a [`NotSigned`](crate::vault::NotSigned) in it, the node's key, which may sign later.
pub fn salvage(rec: impl Read, length: u64, node: &NodeKey, at: Wall) -> io::Result<Salvage> {
    let mut walk = match Walk::begin(rec) {
        Ok(walk) => walk,
        Err(Stop::Cut(_)) => return Ok(Salvage::Empty),
        Err(Stop::Broken(broken)) => return Ok(Salvage::Broken(broken)),
        Err(Stop::Disk(error)) => return Err(error),
    };
    // Nobody takes anything out of a file that is not closed, and nothing is taken off one of which something was.
    let is_redacted = walk.redaction().is_some();
    if walk.header().node != node.public().fingerprint() || !walk.header().version.can_be_salvaged() {
        return Ok(Salvage::NotOurs);
    }
    loop {
        match walk.step() {
            Ok(Step::Chunk(_) | Step::Hole(_)) => {}
            Ok(Step::Closing(closing)) => return Ok(Salvage::Closed(verdict(&walk, &closing, node.public(), None))),
            Err(Stop::Cut(_)) if is_redacted => {
                return Ok(Salvage::Broken(Broken { what: Damage::Signature, chunk: walk.chunks(), at: walk.bytes() }));
            }
            Err(Stop::Cut(_)) if walk.has_a_chunk_in_the_tail() => {
                return Ok(Salvage::Broken(Broken { what: Damage::Frame, chunk: walk.chunks(), at: walk.bytes() }));
            }
            Err(Stop::Cut(_)) => return close(&walk, length, node, at),
            // A write whose last blocks never reached the disk has zeros in their place.
            Err(Stop::Broken(_)) if !is_redacted && walk.stopped_in_the_tail() => return close(&walk, length, node, at),
            Err(Stop::Broken(broken)) => return Ok(Salvage::Broken(broken)),
            Err(Stop::Disk(error)) => return Err(error),
        }
    }
}

fn close<R: Read>(walk: &Walk<R>, length: u64, node: &NodeKey, at: Wall) -> io::Result<Salvage> {
    let (keep, chunks) = (walk.bytes(), walk.chunks());
    if chunks == 0 {
        return Ok(Salvage::Empty);
    }
    let cut_off = length.saturating_sub(keep);
    let word = Word::Salvaged { at, cut_off };
    let (root, message) = walk.to_sign(word);
    let signature = node.sign(&message).map_err(io::Error::other)?;
    let closing = Closing { word, chunks, signature }.to_bytes();
    Ok(Salvage::Close { keep, closing, chunks, cut_off, root })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::{Chance, make};
    use crate::vault::format::HEADER_BYTES;
    use crate::vault::verify;

    const AT: Wall = Wall::from_unix_micros(1_795_516_200_000_000);

    fn of(rec: &[u8], node: &NodeKey) -> Salvage {
        salvage(rec, rec.len() as u64, node, AT).unwrap()
    }

    #[test]
    fn cut_anywhere_it_is_closed_after_the_last_whole_chunk() {
        let made = make(1, 20);

        for cut in 0..made.rec.len() {
            let torn = &made.rec[..cut];
            let plan = of(torn, &made.node);
            if cut < made.ends[1] {
                assert_eq!(plan, Salvage::Empty, "cut at {cut}");
                continue;
            }
            let Salvage::Close { keep, closing, chunks, cut_off, root } = plan else { panic!("cut at {cut}: {plan:?}") };
            let keep = usize::try_from(keep).unwrap();
            let last = made.ends[..made.ends.len() - 1].iter().rposition(|&end| end <= cut).unwrap();
            let numbers = [u64::from(chunks), cut_off].map(|number| usize::try_from(number).unwrap());
            assert_eq!((keep, numbers), (made.ends[last], [last, cut - keep]), "cut at {cut}");
            let closed = [&torn[..keep], &closing].concat();
            let Ok(Verdict::Salvaged(said)) = verify(closed.as_slice(), made.node.public()) else { panic!("cut at {cut}") };
            assert_eq!((said.chunks, said.at, said.cut_off, said.root), (chunks, AT, cut_off, root));
            assert_eq!(of(&closed, &made.node), Salvage::Closed(Verdict::Salvaged(said)), "once");
        }
    }

    #[test]
    fn done_by_half_it_is_done_again() {
        let made = make(1, 20);
        let torn = &made.rec[..made.ends[2] + 40];
        let Salvage::Close { keep, closing, .. } = of(torn, &made.node) else { panic!("it is to be closed") };
        let keep = usize::try_from(keep).unwrap();

        for written in 0..closing.len() {
            let half = [&torn[..keep], &closing[..written]].concat();
            assert!(matches!(of(&half, &made.node), Salvage::Close { keep: again, .. } if again == keep as u64), "{written}");
        }
    }

    #[test]
    fn zeros_in_the_place_of_the_end_of_the_last_write_are_taken_off() {
        let made = make(1, 20);
        let (from, to) = (made.ends[2], made.ends[3]);

        for zeros_from in from..to - 8 {
            let mut torn = made.rec[..to].to_vec();
            torn[zeros_from..].fill(0);
            for tail in [0, 5000] {
                torn.resize(to + tail, 0);
                let plan = of(&torn, &made.node);
                assert!(matches!(plan, Salvage::Close { keep, .. } if keep == from as u64), "{zeros_from}: {plan:?}");
            }
        }
    }

    #[test]
    fn what_is_damaged_elsewhere_is_left_as_it_is() {
        let made = make(1, 40);
        let torn = &made.rec[..made.ends[4]];

        for at in HEADER_BYTES..made.ends[3] {
            let mut bad = torn.to_vec();
            bad[at] ^= 0x10;
            assert!(matches!(of(&bad, &made.node), Salvage::Broken(_)), "byte {at}");
        }
        let mut bad = torn.to_vec();
        bad[0] ^= 1;
        assert!(matches!(of(&bad, &made.node), Salvage::Broken(Broken { what: Damage::NotARecording, .. })));
    }

    #[test]
    fn another_nodes_file_and_a_closed_one_are_left_as_they_are() {
        let made = make(1, 20);
        let other = NodeKey::generate(&mut Chance::from(77));

        assert_eq!(of(&made.rec[..made.ends[2]], &other), Salvage::NotOurs);
        assert!(matches!(of(&made.rec, &made.node), Salvage::Closed(Verdict::Complete(_))));
        let draft = include_bytes!("../../tests/vault/version-0/cut-between-chunks.rec");
        let node = include_bytes!("../../tests/vault/vectors/node.pem");
        assert_eq!(of(draft, &NodeKey::from_pem(node).unwrap()), Salvage::NotOurs);
    }
}
