//! Our branches: the cookie, 64 bits that are never used again, and a hash that tells a loop from a spiral (RFC 3261 §16.6(8)).

use std::hash::{DefaultHasher, Hasher};

use crate::wire::sip::{Message, Name, Via};

/// The branch of one request of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Branch {
    /// Names the transaction.
    pub(super) unique: u64,
    /// What decided how the request was routed.
    pub(super) loop_hash: u64,
}

impl Branch {
    /// The cookie, two numbers in hexadecimal, and a dot between them.
    pub(super) const LEN: usize = 7 + 16 + 1 + 16;

    /// Returns the branch that this text is, if it may be one of ours.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (unique, loop_hash) = text.strip_prefix(Via::COOKIE)?.split_at_checked(16)?;
        Some(Self { unique: from_hex(unique)?, loop_hash: from_hex(loop_hash.strip_prefix(b".")?)? })
    }

    /// Returns whether a value of `Via` has such a text in it: a look that spares most values their parsing.
    pub(super) fn may_stand_in(via: &[u8]) -> bool {
        memchr::memmem::find(via, Via::COOKIE)
            .and_then(|at| via.get(at..at + Self::LEN))
            .is_some_and(|text| Self::parse(text).is_some())
    }

    /// Appends the branch as it stands in `Via`.
    pub(super) fn print(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Via::COOKIE);
        push_hex(out, self.unique);
        out.push(b'.');
        push_hex(out, self.loop_hash);
    }
}

/// The source of all chance here: the SipHash of the seed and of how many numbers were drawn.
///
/// A branch must be unique, and what one peer sees of its own must not tell it another's: a forged response would need it. Of 2^32 draws two
/// are the same with a chance of one in two, and a transaction lives for a minute: at 1,000 requests a second no two that live together are.
pub(super) struct Chance {
    drawn: u64,
    seed: u64,
}

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self { drawn: 0, seed }
    }

    /// Draws a number.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hash = Fields::new(self.seed);
        hash.field(b"draw");
        hash.0.write_u64(self.drawn);
        hash.0.finish()
    }

    /// Returns a hash of everything that decides how this request is routed (RFC 3261 §16.6(8), RFC 5393 §4.2).
    ///
    /// The topmost Via is left out, against the letter of RFC 3261: it differs at each passage, so that no loop would be seen. Who sent
    /// the request is left out as well: a peer that returns a request unchanged has not routed it.
    pub(super) fn loop_hash(&self, request: &Message) -> u64 {
        let mut hash = Fields::new(self.seed);
        hash.field(request.request_uri().unwrap_or_default());
        hash.field(request.to().ok().and_then(|to| to.tag()).unwrap_or_default());
        hash.field(request.from().ok().and_then(|from| from.tag()).unwrap_or_default());
        hash.field(request.call_id().unwrap_or_default());
        hash.number(request.cseq().map_or(0, |cseq| cseq.number));
        for name in [Name::Route, Name::ProxyRequire, Name::ProxyAuthorization] {
            request.values(name).for_each(|value| hash.field(value));
            hash.field(b"");
        }
        hash.0.finish()
    }

    /// Returns the number that stands for this request at each of its transmissions: for what is done without a transaction, as RFC 3261
    /// §16.11 wants a branch, and §8.2.7 a tag.
    pub(super) fn steady(&self, request: &Message, use_as: &[u8]) -> u64 {
        let mut hash = Fields::new(self.seed);
        hash.field(use_as);
        if let Ok(via) = request.top_via() {
            hash.field(via.host);
            hash.field(via.branch.unwrap_or(via.raw));
        }
        hash.field(request.from().ok().and_then(|from| from.tag()).unwrap_or_default());
        hash.field(request.call_id().unwrap_or_default());
        hash.number(request.cseq().map_or(0, |cseq| cseq.number));
        hash.0.finish()
    }
}

/// A hash over fields, each with its length, so that two lists of fields are never one text.
struct Fields(DefaultHasher);

impl Fields {
    fn new(seed: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        Self(hasher)
    }

    fn field(&mut self, field: &[u8]) {
        self.0.write_usize(field.len());
        self.0.write(field);
    }

    fn number(&mut self, number: u32) {
        self.0.write_u32(number);
    }
}

/// Appends 16 hexadecimal digits.
pub(super) fn push_hex(out: &mut Vec<u8>, number: u64) {
    out.extend((0..16).rev().map(|digit| match (number >> (4 * digit)).to_le_bytes() {
        [low, ..] if low & 15 < 10 => b'0' + (low & 15),
        [low, ..] => b'a' + (low & 15) - 10,
    }));
}

fn from_hex(text: &[u8]) -> Option<u64> {
    if text.len() != 16 {
        return None;
    }
    text.iter().try_fold(0, |number: u64, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use bytes::Bytes;

    use super::*;

    const REQUEST: &str = "INVITE sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bK1\r\nFrom: <sip:a@h.test>;tag=1\r\n\
        To: <sip:b@h.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nRoute: <sip:r.test;lr>\r\n\r\n";

    #[test]
    fn a_branch_is_read_as_it_is_printed() {
        let branch = Branch { unique: 0x0123_4567_89ab_cdef, loop_hash: u64::MAX };
        let mut text = Vec::new();
        branch.print(&mut text);

        assert_eq!(text, b"z9hG4bK0123456789abcdef.ffffffffffffffff");
        assert_eq!((Branch::parse(&text), text.len()), (Some(branch), Branch::LEN));
        assert!(
            Branch::may_stand_in(&[b"SIP/2.0/UDP h;branch=", &text[..], b";x"].concat()) && !Branch::may_stand_in(&text[..39])
        );
        for other in [&b""[..], b"z9hG4bK", b"z9hG4bK0123456789abcdef", b"z9hG4bK0123456789ABCDEF.ffffffffffffffff", b"\xff"] {
            assert_eq!(Branch::parse(other), None);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_branches_and_no_branch_comes_twice() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..1000).map(|_| chance.draw()).collect::<Vec<_>>()
        };

        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let mut sorted = draw(7);
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 1000);
    }

    #[test]
    fn the_loop_hash_is_of_what_decides_the_route_and_of_nothing_else() {
        let hash = |request: &str| {
            Chance::new(1).loop_hash(&Message::parse_datagram(Bytes::copy_from_slice(request.as_bytes())).unwrap())
        };

        for (old, new) in [("z9hG4bK1", "z9hG4bK2"), ("INVITE", "CANCEL"), ("\r\n\r\n", "\r\nSubject: x\r\n\r\n")] {
            assert_eq!(hash(&REQUEST.replace(old, new)), hash(REQUEST), "{new}");
        }
        for (old, new) in [
            ("INVITE sip:b", "INVITE sip:c"),
            ("To: <sip:b@h.test>", "To: <sip:b@h.test>;tag=2"),
            (";tag=1", ";tag=2"),
            ("c1", "c2"),
            ("CSeq: 1", "CSeq: 2"),
            ("Route: <sip:r.test;lr>\r\n", ""),
            ("Route: <sip:r.test;lr>", "Proxy-Require: <sip:r.test;lr>"),
        ] {
            assert_ne!(hash(&REQUEST.replace(old, new)), hash(REQUEST), "{new}");
        }
    }
}
