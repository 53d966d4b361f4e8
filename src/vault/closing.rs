//! What a node has signed of a recording, taken out of it for others to verify with tools of their own.

use std::io::Read;

use crate::ids::RecordingId;
use crate::vault::format::{Closing, Word};
use crate::vault::walk::{Step, Stop, Walk};
use crate::vault::{Fingerprint, OpenError, TakenOut};

/// The signature that closes a recording, and what it is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedClosing {
    /// Which recording.
    pub recording: RecordingId,
    /// The node that it says has signed.
    pub node: Fingerprint,
    /// The root over its chunks.
    pub root: [u8; 32],
    /// How many there are.
    pub chunks: u32,
    /// Whether the recorder came to its end; otherwise a later start has closed it.
    pub is_complete: bool,
    /// The bytes that were signed (`manual/format.md`).
    pub message: Vec<u8>,
    /// Ed25519 (RFC 8032).
    pub signature: [u8; 64],
}

impl SignedClosing {
    /// Reads a recording to its closing, and returns also what was taken out of it. Every chunk's hash is compared on the way; the signature is not
    /// checked.
    ///
    /// # Errors
    /// Where the recording has no closing, is not as it was written, or the disk does not give it.
    pub fn read(rec: impl Read) -> Result<(Self, Option<TakenOut>), OpenError> {
        let mut walk = Walk::begin(rec)?;
        let closing = loop {
            match walk.step().map_err(|stop: Stop| OpenError::from(stop))? {
                Step::Chunk(_) | Step::Hole(_) => {}
                Step::Closing(closing) => break closing,
            }
        };
        let taken_out = walk.taken_out().map_err(|what| OpenError::Broken(walk.broken(what)))?;
        Ok((Self::of(&walk, &closing), taken_out))
    }

    /// Returns that of a recording that was walked to it.
    pub(super) fn of<R: Read>(walk: &Walk<R>, closing: &Closing) -> Self {
        let (root, message) = walk.to_sign(closing.word);
        let header = walk.header();
        Self {
            recording: header.recording,
            node: header.node,
            root,
            chunks: closing.chunks,
            is_complete: closing.word == Word::Complete,
            message,
            signature: closing.signature,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::make;

    #[test]
    fn what_is_taken_out_is_what_the_node_has_signed() {
        let made = make(1, 20);

        let (signed, taken_out) = SignedClosing::read(made.rec.as_slice()).unwrap();
        assert_eq!(taken_out, None);

        assert!(made.node.public().has_signed(&signed.message, &signed.signature));
        assert_eq!((signed.node, signed.root), (made.node.public().fingerprint(), made.sealed.root));
        assert_eq!((signed.chunks, signed.is_complete), (made.sealed.chunks, true));
        let end = made.ends.iter().rev().nth(1).copied().unwrap();
        assert!(matches!(SignedClosing::read(made.rec.get(..end).unwrap()), Err(OpenError::Cut(_))), "there is none");
    }
}
