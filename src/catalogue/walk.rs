//! The chain looked through from one end to the other: where it does not hold, and what it says.

use std::fmt;

use crate::catalogue::{Link, NoteKind, Tip, WarrantKind};
use crate::vault::{NodePublic, SignedHead};

/// Looks through the chain, event by event.
///
/// Where it does not hold it is told, and it goes on from there: one event that was changed is one fault.
#[derive(Debug)]
pub struct Walk<'n> {
    nodes: &'n [NodePublic],
    tip: Option<Tip>,
    breaks: Vec<Break>,
    signed: u64,
    unsigned: Option<u64>,
    of_others: u64,
}

impl<'n> Walk<'n> {
    /// Begins with the first event that there is. Signatures must be of these nodes.
    #[must_use]
    pub const fn begin(nodes: &'n [NodePublic]) -> Self {
        Self::after(Some(Tip::EMPTY), nodes)
    }

    /// Begins with an event in the middle, which is believed.
    #[must_use]
    pub const fn amid(nodes: &'n [NodePublic]) -> Self {
        Self::after(None, nodes)
    }

    const fn after(tip: Option<Tip>, nodes: &'n [NodePublic]) -> Self {
        Self { nodes, tip, breaks: Vec::new(), signed: 0, unsigned: None, of_others: 0 }
    }

    /// Looks at the next event, and at the signature on it.
    pub fn step(&mut self, link: &Link, head: Option<&SignedHead>) {
        if self.tip.is_some_and(|tip| !link.is_behind(tip)) {
            self.breaks.push(Break::Event(link.seq));
        }
        self.tip = Some(link.tip());
        if let Some(signed) = head {
            (self.signed, self.unsigned) = (link.seq, None);
            self.weigh(link, signed);
        } else if !needs_no_key(&link.kind) {
            self.unsigned.get_or_insert(link.seq);
        }
    }

    fn weigh(&mut self, link: &Link, signed: &SignedHead) {
        let Some(node) = self.nodes.iter().find(|node| node.fingerprint() == signed.node) else {
            self.of_others += 1;
            return;
        };
        if signed.head.hash != link.hash || !node.has_signed_head(signed) {
            self.breaks.push(Break::Signature(link.seq));
        }
    }

    /// Comes to the end; the last head that is signed says how far the chain went.
    #[must_use]
    pub fn end(mut self, last: Option<&SignedHead>) -> Walked {
        let tip = self.tip.unwrap_or(Tip::EMPTY);
        if let Some(last) = last.filter(|last| last.head.seq > tip.seq) {
            self.breaks.push(Break::Cut { ends: tip.seq, signed: last.head.seq });
        }
        self.breaks.extend(self.unsigned.map(Break::Unsigned));
        Walked { tip, signed: self.signed, of_others: self.of_others, breaks: self.breaks }
    }
}

/// What anybody may add who can write to the ledger, beside notes and warrants: operators' commands, and the program that made the chain.
const WITHOUT_KEY: [&str; 9] =
    ["access", "erased", "rewrapped", "redacted", "held", "released", "roster", "roster-cleared", "chained"];

/// Returns whether events of this kind come from who has no key to sign with.
fn needs_no_key(kind: &str) -> bool {
    WITHOUT_KEY.contains(&kind) || kind.parse::<NoteKind>().is_ok() || kind.parse::<WarrantKind>().is_ok()
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walked {
    /// Where the chain ends.
    pub tip: Tip,
    /// The last event that is signed.
    pub signed: u64,
    /// How many signatures are of nodes whose key was not at hand.
    pub of_others: u64,
    /// Where it does not hold.
    pub breaks: Vec<Break>,
}

/// The chain does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// An event is not behind the one before: it, or one before it, was changed, put in or taken out.
    Event(u64),
    /// The chain was signed up to here, and ends before.
    Cut {
        /// Where it ends.
        ends: u64,
        /// Up to where it was signed.
        signed: u64,
    },
    /// The signature on the event is not the node's over it.
    Signature(u64),
    /// What only the node writes is behind its last signature.
    Unsigned(u64),
}

impl Break {
    /// Returns the event from which on the chain does not hold.
    #[must_use]
    pub const fn at(self) -> u64 {
        match self {
            Self::Event(seq) | Self::Signature(seq) | Self::Unsigned(seq) => seq,
            Self::Cut { ends, .. } => ends,
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(seq) => {
                write!(f, "event {seq} is not behind the one before it: one of them was changed, put in or taken out")
            }
            Self::Cut { ends, signed } => write!(f, "the chain was signed up to event {signed}, and ends with {ends}"),
            Self::Signature(seq) => write!(f, "the signature on event {seq} is not the node's over what is there"),
            Self::Unsigned(seq) => {
                write!(f, "event {seq} is behind the node's last signature, and only the node writes such events")
            }
        }
    }
}

impl std::error::Error for Break {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::catalogue::{Deed, Event, Outcome};
    use crate::ids::RecordingId;
    use crate::time::Wall;
    use crate::vault::{Digest, Head, HeadKey, NodeKey};

    #[test]
    fn a_chain_holds_as_it_was_written_and_operators_need_no_key() {
        let key = key(1);
        let mut links = chain(6);
        links.push((Link::behind(links[5].0.tip(), wall(9), &access()), None));
        sign(&mut links, 5, &key);

        let walked = walk(&links, &[public(1)]);

        assert_eq!(walked.breaks, []);
        assert_eq!((walked.tip.seq, walked.signed, walked.of_others), (7, 6, 0));
    }

    #[test]
    fn what_was_changed_put_in_or_taken_out_is_found_where_it_is() {
        let key = key(1);
        let mut links = chain(6);
        sign(&mut links, 5, &key);
        let broken = |change: &dyn Fn(&mut Vec<Told>)| {
            let mut links = links.clone();
            change(&mut links);
            walk(&links, &[public(1)]).breaks
        };

        assert_eq!(broken(&|links| links[2].0.body = "{\"recording\":\"x\"}".into()), [Break::Event(3)]);
        assert_eq!(broken(&|links| drop(links.remove(2))), [Break::Event(4)]);
        assert_eq!(broken(&|links| links.swap(2, 3)), [Break::Event(4), Break::Event(3), Break::Event(5)]);
        assert_eq!(broken(&|links| links[5].0.hash = Digest::ZERO), [Break::Event(6), Break::Signature(6)]);
        let rewritten = |links: &mut Vec<Told>| {
            let head = links[5].1;
            *links = chain_of(6, &access());
            links[5].1 = head;
        };
        assert_eq!(broken(&rewritten), [Break::Signature(6)], "all hashes are right, and the signature is of others");
    }

    #[test]
    fn a_chain_that_ends_before_its_signature_or_goes_on_without_one_is_told() {
        let key = key(1);
        let mut links = chain(6);
        sign(&mut links, 3, &key);
        let last = key.sign(Head { seq: 9, at: wall(1), hash: Digest::ZERO }).unwrap();

        let mut walk = Walk::begin(&[]);
        links.iter().for_each(|(link, head)| walk.step(link, head.as_ref()));
        let walked = walk.end(Some(&last));

        assert_eq!(walked.breaks, [Break::Cut { ends: 6, signed: 9 }, Break::Unsigned(5)]);
        assert_eq!(walked.of_others, 1);
    }

    #[test]
    fn from_the_middle_on_the_first_is_believed() {
        let links = chain(6);
        let mut walk = Walk::amid(&[]);
        links[3..].iter().for_each(|(link, head)| walk.step(link, head.as_ref()));

        assert_eq!(walk.end(None).breaks, [Break::Unsigned(4)]);
    }

    type Told = (Link, Option<SignedHead>);

    fn chain(events: u64) -> Vec<Told> {
        chain_of(events, &Event::Begun(RecordingId::from_bytes([1; 16])))
    }

    fn chain_of(events: u64, event: &Event) -> Vec<Told> {
        let mut tip = Tip::EMPTY;
        let behind = |_| {
            let link = Link::behind(tip, wall(1), event);
            tip = link.tip();
            (link, None)
        };
        (0..events).map(behind).collect()
    }

    fn access() -> Event {
        let (recording, line) = (RecordingId::from_bytes([1; 16]), Digest::ZERO);
        Event::Access { recording, deed: Deed::Export, outcome: Outcome::Done, line }
    }

    fn sign(links: &mut [Told], at: usize, key: &HeadKey) {
        let Tip { seq, hash } = links[at].0.tip();
        links[at].1 = Some(key.sign(Head { seq, at: wall(2), hash }).unwrap());
    }

    fn walk(links: &[Told], nodes: &[NodePublic]) -> Walked {
        let mut walk = Walk::begin(nodes);
        links.iter().for_each(|(link, head)| walk.step(link, head.as_ref()));
        walk.end(links.iter().rev().find_map(|(_, head)| head.as_ref()))
    }

    fn node(seed: u8) -> NodeKey {
        let der = [[0x30, 46, 0x02, 1, 0, 0x30, 5, 0x06, 3, 0x2b, 101, 112, 0x04, 34, 0x04, 32].as_slice(), &[seed; 32]].concat();
        let pem = pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, &der).unwrap();
        NodeKey::from_pem(pem.as_bytes()).unwrap()
    }

    fn key(seed: u8) -> HeadKey {
        HeadKey::of(node(seed))
    }

    fn public(seed: u8) -> NodePublic {
        *node(seed).public()
    }

    fn wall(s: i64) -> Wall {
        Wall::from_unix_micros(s * 1_000_000)
    }
}
