//! Heads of the ledger's chain: what a node signs of it, and the line by which that is published.

use std::fmt;
use std::str::FromStr;

use crate::time::Wall;
use crate::vault::digest::{hex, unhex};
use crate::vault::{Digest, Fingerprint, NodeKey, NodePublic, NotSigned};

/// The end of the ledger's chain at one time: whoever knows it knows all that came before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of its last event.
    pub seq: u64,
    /// When it was signed.
    pub at: Wall,
    /// The hash of that event, and by it of all before.
    pub hash: Digest,
}

impl Head {
    /// Returns what is signed. The first line keeps it apart from all else that the key signs, for that begins otherwise (`format.md`).
    #[must_use]
    pub fn message(&self) -> String {
        format!("mitschnitt head 1\n{}\n{}\n{}\n", self.seq, self.at.unix_micros(), self.hash)
    }
}

/// The node's key, where it signs heads and nothing else.
pub struct HeadKey(NodeKey);

impl HeadKey {
    /// Keeps the key for that.
    #[must_use]
    pub const fn of(node: NodeKey) -> Self {
        Self(node)
    }

    /// Signs a head.
    ///
    /// # Errors
    /// The key lies in a token, and that does not sign now.
    pub fn sign(&self, head: Head) -> Result<SignedHead, NotSigned> {
        let signature = self.0.sign(head.message().as_bytes())?;
        Ok(SignedHead { head, node: self.public().fingerprint(), signature })
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public(&self) -> &NodePublic {
        self.0.public()
    }
}

/// Says whose it is.
impl fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadKey({:?})", self.public().fingerprint())
    }
}

/// A head, and the node's word for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedHead {
    /// What was signed.
    pub head: Head,
    /// By whom.
    pub node: Fingerprint,
    /// Ed25519 (RFC 8032).
    pub signature: [u8; 64],
}

impl NodePublic {
    /// Returns whether the node of this key has signed the head.
    #[must_use]
    pub fn has_signed_head(&self, signed: &SignedHead) -> bool {
        signed.node == self.fingerprint() && self.has_signed(signed.head.message().as_bytes(), &signed.signature)
    }
}

/// One line, for a log, a mail or a sheet of paper.
impl fmt::Display for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head: Head { seq, at, hash }, node, signature } = self;
        write!(f, "mitschnitt-head/1 seq={seq} at_us={} hash={hash} node={node} signature=", at.unix_micros())?;
        hex(signature, f)
    }
}

/// Finds the line in a text, wherever it stands: in a line of a log, say.
impl FromStr for SignedHead {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (_, rest) = text.split_once("mitschnitt-head/1").ok_or(NotAHead)?;
        let mut words = rest.split_whitespace();
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let mut read = || {
            let seq = field("seq")?.parse().ok()?;
            let at = Wall::from_unix_micros(field("at_us")?.parse().ok()?);
            let hash = field("hash")?.parse().ok()?;
            let node = Fingerprint::from_bytes(unhex(field("node")?)?);
            // In a log the line may end in a quotation mark.
            let signature = field("signature")?.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
            Some(Self { head: Head { seq, at, hash }, node, signature: unhex(signature)? })
        };
        read().ok_or(NotAHead)
    }
}

/// There is no head in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAHead;

impl fmt::Display for NotAHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no head in it, as `mitschnitt audit head` prints it")
    }
}

impl std::error::Error for NotAHead {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::Chance;

    #[test]
    fn a_head_is_its_nodes_and_nobody_elses() {
        let [key, other] = [1, 2].map(|seed| HeadKey::of(NodeKey::generate(&mut Chance::from(seed))));
        let signed = key.sign(head()).unwrap();
        let public = *key.public();

        assert!(public.has_signed_head(&signed));
        assert!(!other.public().has_signed_head(&signed));
        let renamed = SignedHead { node: other.public().fingerprint(), ..signed };
        assert!(!public.has_signed_head(&renamed) && !other.public().has_signed_head(&renamed));
        for head in [
            Head { seq: 8, ..head() },
            Head { at: Wall::from_unix_micros(1_795_512_600_250_002), ..head() },
            Head { hash: Digest::from_bytes([0xac; 32]), ..head() },
        ] {
            assert!(!public.has_signed_head(&SignedHead { head, ..signed }), "{head:?}");
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written_wherever_it_stands() {
        let signed = HeadKey::of(NodeKey::generate(&mut Chance::from(1))).sign(head()).unwrap();
        let line = signed.to_string();

        assert_eq!(line.parse(), Ok(signed));
        assert_eq!(format!("Nov 30 18:00:00 box mitschnitt: ledger_head head=\"{line}\"\n").parse(), Ok(signed));
        assert!(line.starts_with("mitschnitt-head/1 seq=7 at_us=1795512600250001 hash=abab"), "{line}");
    }

    #[test]
    fn what_is_no_head_is_told() {
        let line = HeadKey::of(NodeKey::generate(&mut Chance::from(1))).sign(head()).unwrap().to_string();

        for text in [
            String::new(),
            line.replace("head/1", "head/2"),
            line.replace("seq=7", "seq=-7"),
            line.replace("hash=ab", "hash=+b"),
            line.replace("hash=ab", "hash="),
            line.replace(" node=", " knot="),
            line.trim_end_matches(|_| true).to_owned(),
            line.split(" signature").next().unwrap().to_owned(),
        ] {
            assert_eq!(text.parse::<SignedHead>(), Err(NotAHead), "{text}");
        }
    }

    #[test]
    fn what_is_signed_is_the_text_of_the_manual() {
        let message = head().message();

        assert_eq!(message, format!("mitschnitt head 1\n7\n1795512600250001\n{}\n", "ab".repeat(32)));
    }

    fn head() -> Head {
        Head { seq: 7, at: Wall::from_unix_micros(1_795_512_600_250_001), hash: Digest::from_bytes([0xab; 32]) }
    }
}
