//! What all chunks come to: one hash, over a tree (RFC 9162 §2.1), so that a span of them can be proven without the rest.
//!
//! ```text
//!              root = H(1 ‖ ab ‖ cde)
//!             ╱                       ╲
//!    ab = H(1 ‖ a ‖ b)        cde = H(1 ‖ cd ‖ e)        leaves: H(0 ‖ header hash ‖ frame ‖ ciphertext ‖ tag)
//! ```
//!
//! A file of version 0 has a chain in its place: each value is a hash over the one before and a chunk.

use std::ops::Range;

pub(super) use crate::vault::format::Hash;
use crate::vault::format::{Version, sha256};

const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// The sum over a file's chunks, one after the other.
#[derive(Clone)]
pub(super) enum Sum {
    /// Version 0: the last value of the chain.
    Chain(Hash),
    /// Version 1: the header's hash, and the tree as far as it has grown.
    Tree(Hash, Tree),
}

impl Sum {
    pub(super) const fn new(version: Version, header_hash: Hash) -> Self {
        match version {
            Version::Zero => Self::Chain(header_hash),
            Version::One => Self::Tree(header_hash, Tree { peaks: Vec::new(), leaves: 0 }),
        }
    }

    /// Returns the hash of the chunk that comes next, given its parts, which are hashed as if they were one.
    pub(super) fn hash_of(&self, frame: &[u8], sealed: &[u8], tag: &[u8]) -> Hash {
        match self {
            Self::Chain(before) => sha256(&[before, frame, sealed, tag]),
            Self::Tree(header_hash, _) => sha256(&[LEAF, header_hash, frame, sealed, tag]),
        }
    }

    /// Takes in the chunk of this hash.
    pub(super) fn take(&mut self, hash: Hash) {
        match self {
            Self::Chain(last) => *last = hash,
            Self::Tree(_, tree) => tree.push(hash),
        }
    }

    /// Returns what all that was taken in comes to.
    pub(super) fn root(&self) -> Hash {
        match self {
            Self::Chain(last) => *last,
            Self::Tree(_, tree) => tree.root(),
        }
    }
}

/// A tree that grows to the right. It holds one hash for each whole subtree: at most 32 for 2³² leaves.
#[derive(Clone)]
pub(super) struct Tree {
    /// From the left, the largest first.
    peaks: Vec<Hash>,
    leaves: u32,
}

impl Tree {
    fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each one at the end of the number of leaves is a subtree of the size of the one that came about.
        for _ in 0..self.leaves.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = sha256(&[NODE, &left, &hash]);
        }
        self.peaks.push(hash);
        self.leaves = self.leaves.saturating_add(1);
    }

    /// Of no leaf: the hash of nothing, as RFC 9162 has it.
    fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(&last) = peaks.next() else { return sha256(&[]) };
        peaks.fold(last, |right, left| sha256(&[NODE, left, &right]))
    }
}

/// Returns what proves some of the leaves to be of the tree over all of them: from the left, the hash of every largest subtree that has none of them.
pub(super) fn prove(leaves: &[Hash], spans: &[Range<u32>]) -> Vec<Hash> {
    let mut hashes = Vec::new();
    let count = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
    let mut left_out = |whole: Range<u32>| {
        let mut tree = Tree { peaks: Vec::new(), leaves: 0 };
        let at = |edge: u32| usize::try_from(edge).unwrap_or(usize::MAX);
        leaves.get(at(whole.start)..at(whole.end)).unwrap_or_default().iter().for_each(|leaf| tree.push(*leaf));
        let root = tree.root();
        hashes.push(root);
        Some(root)
    };
    descend(0..count, spans, &mut left_out, &mut |leaf| leaves.get(usize::try_from(leaf).ok()?).copied());
    hashes
}

/// Returns the root over so many leaves of which only those of the spans are there, given in their order, and the hashes of the rest; nothing where
/// there are not exactly as many of both as that takes.
pub(super) fn proven(count: u32, spans: &[Range<u32>], leaves: Vec<Hash>, hashes: &[Hash]) -> Option<Hash> {
    let (mut leaves, mut hashes) = (leaves.into_iter(), hashes.iter().copied());
    let root = descend(0..count, spans, &mut |_| hashes.next(), &mut |_| leaves.next())?;
    (leaves.next().is_none() && hashes.next().is_none()).then_some(root)
}

/// The root over a part of the tree: `left_out` gives that of a subtree without a leaf of the spans, `leaf` a leaf of them.
fn descend(
    part: Range<u32>,
    spans: &[Range<u32>],
    left_out: &mut impl FnMut(Range<u32>) -> Option<Hash>,
    leaf: &mut impl FnMut(u32) -> Option<Hash>,
) -> Option<Hash> {
    if !spans.iter().any(|span| span.start < part.end && part.start < span.end) {
        return left_out(part);
    }
    let count = part.end.saturating_sub(part.start);
    if count <= 1 {
        return leaf(part.start);
    }
    // The largest power of two below the count.
    let middle = part.start + (1 << (count - 1).ilog2());
    let left = descend(part.start..middle, spans, left_out, leaf)?;
    let right = descend(middle..part.end, spans, left_out, leaf)?;
    Some(sha256(&[NODE, &left, &right]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// The tree as RFC 9162 §2.1.1 defines it.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let left = (1..).map(|bits| 1 << bits).find(|&size: &usize| size * 2 >= leaves.len()).unwrap();
                let left = if leaves.len() == 2 { 1 } else { left };
                sha256(&[NODE, &defined(&leaves[..left]), &defined(&leaves[left..])])
            }
        }
    }

    #[test]
    fn it_is_the_tree_of_rfc_9162_at_every_size() {
        let leaves: Vec<Hash> = (0..200_u8).map(|nth| sha256(&[LEAF, &[nth]])).collect();
        let mut tree = Tree { peaks: Vec::new(), leaves: 0 };

        for (nth, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), defined(&leaves[..nth]), "of {nth}");
            tree.push(*leaf);
            assert!(tree.peaks.len() <= 8, "one for each bit of the count");
        }
    }

    #[test]
    fn it_is_the_root_of_the_known_answer() {
        // The eight inputs, and the root, of the test data of Google's certificate-transparency (RFC 6962's first implementation).
        let inputs: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut tree = Tree { peaks: Vec::new(), leaves: 0 };
        inputs.iter().for_each(|input| tree.push(sha256(&[LEAF, input])));

        let root: String = tree.root().iter().map(|byte| format!("{byte:02x}")).collect();

        assert_eq!(root, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one span of leaves, and not the numbers in it")]
    fn what_is_proven_of_a_part_is_the_root_over_all_and_of_no_other_part() {
        let leaves: Vec<Hash> = (0..21_u8).map(|nth| sha256(&[LEAF, &[nth]])).collect();
        let number = |length: usize| u32::try_from(length).unwrap();
        for count in 1..=leaves.len() {
            let all = &leaves[..count];
            for first in 0..count {
                for end in first + 1..=count {
                    let spans = [number(first)..number(end)];
                    let hashes = prove(all, &spans);
                    let own = all[first..end].to_vec();

                    assert_eq!(
                        proven(number(count), &spans, own.clone(), &hashes),
                        Some(defined(all)),
                        "{first}..{end} of {count}"
                    );
                    let fewer = hashes.get(1..).unwrap_or_default();
                    assert!(hashes.is_empty() || proven(number(count), &spans, own.clone(), fewer).is_none());
                    let more = [hashes.as_slice(), &[leaves[0]]].concat();
                    assert_eq!(proven(number(count), &spans, own.clone(), &more), None);
                    assert_eq!(proven(number(count), &spans, own[1..].to_vec(), &hashes), None);
                }
            }
        }
        let two = [0..1, 5..7];
        let own = [&leaves[..1], &leaves[5..7]].concat();
        assert_eq!(proven(21, &two, own, &prove(&leaves, &two)), Some(defined(&leaves)));
    }

    #[test]
    fn a_leaf_is_never_a_node() {
        let (a, b) = (sha256(&[b"a"]), sha256(&[b"b"]));
        let mut tree = Tree { peaks: Vec::new(), leaves: 0 };
        tree.push(a);
        tree.push(b);

        assert_ne!(tree.root(), sha256(&[LEAF, &a, &b]));
    }
}
