//! The whole ledger held against its chain: what is missing, what was changed, and what nobody accounts for.

use std::collections::BTreeMap;
use std::fmt;

use crate::catalogue::{Bound, Break, Deed, Event, Link, Outcome, Walk, Walked};
use crate::ids::{CallId, RecordingId};
use crate::vault::{Digest, NodePublic, SignedHead};

/// Looks through the chain and then at every row.
#[derive(Debug)]
pub struct Audit<'n> {
    nodes: &'n [NodePublic],
    walk: Walk<'n>,
    published: BTreeMap<u64, Vec<SignedHead>>,
    recordings: BTreeMap<RecordingId, Standing>,
    rows: BTreeMap<CallId, Told>,
    lines: BTreeMap<Digest, u64>,
    /// The lines of the register: the event that has each, and what it is.
    /// By their numbers; without a digest those of which it was cleared whose they are.
    roster: BTreeMap<u64, (u64, Option<Digest>)>,
    turns: BTreeMap<u64, (u64, Digest)>,
    /// What was allowed and denied, likewise.
    warrants: BTreeMap<u64, (u64, Digest)>,
    words: BTreeMap<Digest, Option<Digest>>,
    before: [u64; 2],
    unbound: [u64; 2],
    parties_erased: u64,
    later: u64,
    started: u64,
    faults: Vec<Fault>,
}

/// What the chain says of a row.
#[derive(Clone, Copy, Debug)]
struct Told {
    seq: u64,
    row: Digest,
    parties: Option<Digest>,
    is_there: bool,
}

/// Where a recording stands, by the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The event that says that it was begun, or found.
    pub begun: u64,
    /// How it ended.
    pub end: End,
    /// Whether its keys were destroyed.
    pub is_erased: bool,
    /// Whether a span was, or was to be, taken out of it: its file is then as `recordings verify` has it, and its keys are others.
    pub is_redacted: bool,
    /// Whether somebody is about to take out a span, and has nothing to put in its place yet.
    is_looked_at: bool,
    /// What its key file was made by the last rewrapping, where there was one.
    pub keys: Option<Rewrapped>,
}

/// What a key file is by the chain: SHA-256 of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rewrapped {
    /// The one or the other: that it was written anew nobody has said.
    Either {
        /// As it was.
        before: Digest,
        /// As it was to be.
        after: Digest,
        /// Whether who was about to write it may still say so.
        goes_on: bool,
    },
    /// This one.
    Is(Digest),
}

impl Rewrapped {
    /// Returns whether a key file may be the one.
    #[must_use]
    pub fn is(self, digest: Digest) -> bool {
        match self {
            Self::Either { before, after, .. } => digest == before || digest == after,
            Self::Is(after) => digest == after,
        }
    }
}

/// How a recording ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Not yet.
    Open,
    /// It was sealed, or salvaged, and its file is so long.
    Sealed {
        /// In bytes.
        bytes: u64,
    },
    /// Before its end.
    Torn,
    /// It could not be begun: there is no file.
    Lost,
}

impl<'n> Audit<'n> {
    /// Begins. Signatures must be of these nodes, and the heads that were published must be on the chain.
    #[must_use]
    pub fn begin(nodes: &'n [NodePublic], published: &[SignedHead]) -> Self {
        let mut by_seq: BTreeMap<u64, Vec<SignedHead>> = BTreeMap::new();
        published.iter().for_each(|signed| by_seq.entry(signed.head.seq).or_default().push(*signed));
        Self {
            nodes,
            walk: Walk::begin(nodes),
            published: by_seq,
            recordings: BTreeMap::new(),
            rows: BTreeMap::new(),
            lines: BTreeMap::new(),
            roster: BTreeMap::new(),
            turns: BTreeMap::new(),
            warrants: BTreeMap::new(),
            words: BTreeMap::new(),
            before: [0; 2],
            unbound: [0; 2],
            parties_erased: 0,
            later: 0,
            started: 0,
            faults: Vec::new(),
        }
    }

    /// Looks at the next event, and at the signature on it.
    pub fn step(&mut self, link: &Link, head: Option<&SignedHead>) {
        self.walk.step(link, head);
        for signed in self.published.remove(&link.seq).unwrap_or_default() {
            self.weigh(&signed, link.hash);
        }
        let Some(event) = link.event() else {
            self.later += 1;
            return;
        };
        match event {
            Event::Chained { calls, accesses, .. } => self.before = [calls, accesses],
            Event::Begun(recording) => drop(self.standing(recording, link.seq)),
            Event::Found(recording) => self.standing(recording, link.seq).end = End::Torn,
            Event::Sealed { recording, bytes, .. } | Event::Salvaged { recording, bytes, .. } => {
                self.standing(recording, link.seq).end = End::Sealed { bytes }
            }
            Event::Torn { recording, .. } => self.standing(recording, link.seq).end = End::Torn,
            Event::Lost { recording, .. } => self.standing(recording, link.seq).end = End::Lost,
            Event::Row { call, row, parties } => {
                self.rows.insert(call, Told { seq: link.seq, row, parties, is_there: false });
            }
            Event::Rewrapped { recording, before, after, .. } => {
                self.standing(recording, link.seq).keys = Some(Rewrapped::Either { before, after, goes_on: true });
            }
            Event::Access { recording, line, deed, outcome } => {
                self.lines.insert(line, link.seq);
                if let Some(standing) = self.recordings.get_mut(&recording) {
                    standing.is_erased |= link.kind == "erased";
                    // Allowed once it looks, and once more when it has the new file: whoever has the wrong key comes to the first.
                    if deed == Deed::Redact {
                        if standing.is_looked_at && outcome == Outcome::Granted {
                            (standing.is_redacted, standing.keys) = (true, None);
                        }
                        standing.is_looked_at = outcome == Outcome::Granted;
                    }
                    if let (Deed::Rewrap, Some(Rewrapped::Either { before, after, goes_on })) = (deed, standing.keys) {
                        // Whoever begins says nothing of what another has left undone.
                        standing.keys = Some(if goes_on && outcome == Outcome::Done {
                            Rewrapped::Is(after)
                        } else {
                            Rewrapped::Either { before, after, goes_on: false }
                        });
                    }
                }
            }
            Event::Roster { number, line, .. } => drop(self.roster.insert(number, (link.seq, Some(line)))),
            Event::RosterCleared { number } => {
                if let Some((_, line)) = self.roster.get_mut(&number) {
                    *line = None;
                }
            }
            Event::Turn { number, line, .. } => drop(self.turns.insert(number, (link.seq, line))),
            Event::Warrant { number, line, .. } => drop(self.warrants.insert(number, (link.seq, line))),
            Event::Note { line, words, .. } => {
                self.lines.insert(line, link.seq);
                self.words.insert(line, words);
            }
            Event::Started { .. } => self.started = link.seq,
            Event::Stopped | Event::Broken { .. } => {}
        }
    }

    fn standing(&mut self, recording: RecordingId, seq: u64) -> &mut Standing {
        self.recordings.entry(recording).or_insert(Standing {
            begun: seq,
            end: End::Open,
            is_erased: false,
            is_redacted: false,
            is_looked_at: false,
            keys: None,
        })
    }

    fn weigh(&mut self, signed: &SignedHead, hash: Digest) {
        let seq = signed.head.seq;
        match self.nodes.iter().find(|node| node.fingerprint() == signed.node) {
            Some(node) if !node.has_signed_head(signed) => self.faults.push(Fault::Forged(seq)),
            None => self.faults.push(Fault::OtherNode(seq)),
            Some(_) if signed.head.hash != hash => self.faults.push(Fault::Forked(seq)),
            Some(_) => {}
        }
    }

    /// Looks at a row, once all events were looked at.
    pub fn row(&mut self, bound: Bound) {
        match bound {
            Bound::Call { call, is_final, row, parties } => match self.rows.get_mut(&call) {
                Some(told) => {
                    told.is_there = true;
                    if row != Some(told.row) {
                        self.faults.push(Fault::RowChanged(call));
                    }
                    match (told.parties, parties) {
                        // Who talked was erased: that is allowed, and told.
                        (Some(_), None) => self.parties_erased += 1,
                        (told, found) if told == found => {}
                        _ => self.faults.push(Fault::PartiesChanged(call)),
                    }
                }
                None if row.is_some() => self.faults.push(Fault::RowUnknown(call)),
                None => {
                    let [calls, _] = &mut self.unbound;
                    *calls += u64::from(is_final);
                }
            },
            Bound::Access(Some(line)) => {
                if self.lines.remove(&line).is_none() {
                    self.faults.push(Fault::LineUnknown);
                }
            }
            Bound::Roster { number, line } => {
                if self.roster.remove(&number).is_none_or(|(_, told)| told != line) {
                    self.faults.push(Fault::RosterChanged(number));
                }
            }
            Bound::Turn { number, line } => {
                if self.turns.remove(&number).is_none_or(|(_, told)| told != line) {
                    self.faults.push(Fault::TurnChanged(number));
                }
            }
            Bound::Warrant { number, line } => {
                if self.warrants.remove(&number).is_none_or(|(_, told)| told != line) {
                    self.faults.push(Fault::WarrantChanged(number));
                }
            }
            Bound::Note { line, words } => {
                let told = self.words.get(&line).copied().flatten();
                if self.lines.remove(&line).is_none() || words.is_some() && words != told {
                    self.faults.push(Fault::LineUnknown);
                }
            }
            Bound::Access(None) => {
                let [_, lines] = &mut self.unbound;
                *lines += 1;
            }
        }
    }

    /// Comes to the end; the last head that is signed says how far the chain went.
    #[must_use]
    pub fn end(self, last: Option<&SignedHead>) -> Audited {
        let walked = self.walk.end(last);
        let mut faults: Vec<Fault> = walked.breaks.iter().copied().map(Fault::Chain).collect();
        faults.extend(self.faults);
        faults.extend(self.published.keys().map(|&seq| Fault::Beyond { published: seq, ends: walked.tip.seq }));
        let gone = self.rows.iter().filter(|(_, told)| !told.is_there);
        faults.extend(gone.map(|(&call, told)| Fault::RowGone { call, seq: told.seq }));
        faults.extend(self.lines.values().map(|&seq| Fault::LineGone { seq }));
        faults.extend(self.roster.iter().map(|(&number, &(seq, _))| Fault::RosterGone { number, seq }));
        faults.extend(self.turns.iter().map(|(&number, &(seq, _))| Fault::TurnGone { number, seq }));
        faults.extend(self.warrants.iter().map(|(&number, &(seq, _))| Fault::WarrantGone { number, seq }));
        // What a process leaves open the next one ends, by its row or by its file: where it did not, both were gone.
        let unended = self.recordings.iter().filter(|(_, is)| is.end == End::Open && is.begun < self.started);
        faults.extend(unended.map(|(&recording, _)| Fault::Unended(recording)));
        let more = |nth: fn([u64; 2]) -> u64| nth(self.unbound).saturating_sub(nth(self.before));
        let (calls, lines) = (more(|[calls, _]| calls), more(|[_, lines]| lines));
        faults.extend((calls > 0).then_some(Fault::RowsOutside(calls)));
        faults.extend((lines > 0).then_some(Fault::LinesOutside(lines)));
        Audited {
            rows: self.rows.len() as u64,
            parties_erased: self.parties_erased,
            later: self.later,
            before: self.unbound,
            recordings: self.recordings,
            faults,
            walked,
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Audited {
    /// The chain itself.
    pub walked: Walked,
    /// Every recording that the chain knows. Whether its file is there is for others to see.
    pub recordings: BTreeMap<RecordingId, Standing>,
    /// Rows that the chain knows.
    pub rows: u64,
    /// Calls of which it was erased who talked.
    pub parties_erased: u64,
    /// Calls, and lines of the access log, that are older than the chain.
    pub before: [u64; 2],
    /// Events that a later version wrote, and this one does not know.
    pub later: u64,
    /// All that is wrong.
    pub faults: Vec<Fault>,
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The chain does not hold.
    Chain(Break),
    /// The head that was published here is of another chain.
    Forked(u64),
    /// The head that was published here was not signed by the node.
    Forged(u64),
    /// The head that was published here was signed by a node whose key is not at hand.
    OtherNode(u64),
    /// A head was published of an event that is not there.
    Beyond {
        /// Of which.
        published: u64,
        /// Where the chain ends.
        ends: u64,
    },
    /// The row of a call is gone.
    RowGone {
        /// Which call's.
        call: CallId,
        /// The event that has it.
        seq: u64,
    },
    /// The row of a call is not as it was written.
    RowChanged(CallId),
    /// Who talked is not as it was written.
    PartiesChanged(CallId),
    /// The row of a call says that it is in the chain, and is not.
    RowUnknown(CallId),
    /// So many rows are in no event, beyond those that are older than the chain.
    RowsOutside(u64),
    /// A line of the access log, or a note, is gone.
    LineGone {
        /// The event that has it.
        seq: u64,
    },
    /// A line of the access log, or a note, is not as it was written.
    LineUnknown,
    /// So many lines of the access log are in no event, beyond those that are older than the chain.
    LinesOutside(u64),
    /// A line of the register is gone.
    RosterGone {
        /// Which.
        number: u64,
        /// The event that has it.
        seq: u64,
    },
    /// A line of the register is not as it was written, or was never written by this program.
    RosterChanged(u64),
    /// What somebody did to a call's recording is gone.
    TurnGone {
        /// Which line.
        number: u64,
        /// The event that has it.
        seq: u64,
    },
    /// A line of what was allowed and denied is gone.
    WarrantGone {
        /// Which.
        number: u64,
        /// The event that has it.
        seq: u64,
    },
    /// What somebody did to a call's recording is not as it was written, or was never written by this program.
    TurnChanged(u64),
    /// A line of what was allowed and denied is not as it was written, or was never written by this program.
    WarrantChanged(u64),
    /// A recording was begun, and the next start found neither its row nor its file.
    Unended(RecordingId),
    /// A recording's file is gone.
    FileGone(RecordingId),
    /// The key file of a recording is not what the last rewrapping made of it.
    KeysChanged(RecordingId),
    /// A recording's file is not as long as it was sealed.
    FileLength {
        /// Which.
        recording: RecordingId,
        /// As it was sealed.
        sealed: u64,
        /// As it is.
        found: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(fault) => fault.fmt(f),
            Self::Forked(seq) => {
                write!(f, "the head that was published for event {seq} is of another chain: this one was written anew since")
            }
            Self::Forged(seq) => {
                write!(f, "the head for event {seq} that was to be compared is not the node's: its signature is wrong")
            }
            Self::OtherNode(seq) => {
                write!(f, "the head for event {seq} that was to be compared was signed by another node, whose key is not at hand")
            }
            Self::Beyond { published, ends } => {
                write!(f, "a head was published for event {published}, and the chain ends with {ends}: what came after is gone")
            }
            Self::RowGone { call, seq } => write!(f, "the row of call {call} is gone, which event {seq} has"),
            Self::RowChanged(call) => write!(f, "the row of call {call} is not as it was written"),
            Self::PartiesChanged(call) => write!(f, "the parties of call {call} are not as they were written"),
            Self::RowUnknown(call) => write!(f, "the row of call {call} is in no event"),
            Self::RowsOutside(rows) => write!(f, "{rows} calls have a row that is in no event, and is not older than the chain"),
            Self::LineGone { seq } => write!(f, "a line of the access log, or a note, is gone, which event {seq} has"),
            Self::LineUnknown => write!(f, "a line of the access log, or a note, is not as it was written"),
            Self::LinesOutside(lines) => {
                write!(f, "{lines} lines of the access log are in no event, and are not older than the chain")
            }
            Self::RosterGone { number, seq } => write!(f, "line {number} of the register is gone, which event {seq} has"),
            Self::RosterChanged(number) => write!(f, "line {number} of the register is not as it was written"),
            Self::TurnGone { number, seq } => {
                write!(f, "line {number} of what was done to calls is gone, which event {seq} has")
            }
            Self::TurnChanged(number) => write!(f, "line {number} of what was done to calls is not as it was written"),
            Self::WarrantGone { number, seq } => {
                write!(f, "line {number} of what was allowed and denied is gone, which event {seq} has")
            }
            Self::WarrantChanged(number) => {
                write!(f, "line {number} of what was allowed and denied is not as it was written")
            }
            Self::Unended(recording) => {
                write!(f, "recording {recording} was begun, and at the next start neither its row nor its file was there")
            }
            Self::KeysChanged(recording) => {
                write!(f, "the key file of recording {recording} is not what the last rewrapping made of it: others may open it")
            }
            Self::FileGone(recording) => write!(f, "recording {recording} was made, and its file is gone"),
            Self::FileLength { recording, sealed, found } => {
                write!(f, "recording {recording} was sealed with {sealed} bytes, and its file has {found}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Tip;
    use crate::time::Wall;

    const RECORDING: RecordingId = RecordingId::from_bytes([1; 16]);

    /// Where a recording's key file stands after these.
    fn keys(events: &[Event]) -> Option<Rewrapped> {
        let (mut audit, mut tip) = (Audit::begin(&[], &[]), Tip::EMPTY);
        for event in events {
            let link = Link::behind(tip, Wall::from_unix_micros(1), event);
            tip = link.tip();
            audit.step(&link, None);
        }
        audit.end(None).recordings.get(&RECORDING).and_then(|standing| standing.keys)
    }

    fn access(outcome: Outcome) -> Event {
        Event::Access { recording: RECORDING, deed: Deed::Rewrap, outcome, line: Digest::of(outcome.as_str().as_bytes()) }
    }

    #[test]
    fn a_key_file_is_the_new_one_once_that_was_said_and_either_until_then() {
        let [old, new, other] = [b"old", b"new", b"who"].map(|text| Digest::of(text));
        let rewrapped =
            || Event::Rewrapped { recording: RECORDING, before: old, after: new, added: Vec::new(), removed: Vec::new() };
        let is = |keys: Option<Rewrapped>| [old, new, other].map(|digest| keys.is_none_or(|keys| keys.is(digest)));

        assert_eq!(is(keys(&[access(Outcome::Granted), rewrapped(), access(Outcome::Done)])), [false, true, false]);
        for undone in [
            &[access(Outcome::Granted), rewrapped()][..],
            &[access(Outcome::Granted), rewrapped(), access(Outcome::Failed)],
            // The next one found nothing to do: that says nothing of what the killed one has left.
            &[access(Outcome::Granted), rewrapped(), access(Outcome::Granted), access(Outcome::Done)],
        ] {
            assert_eq!(is(keys(undone)), [true, true, false], "{undone:?}");
        }
        assert_eq!(is(keys(&[Event::Begun(RECORDING), access(Outcome::Done)])), [true; 3], "it was never rewrapped");
        // A span was taken out: the keys are others. Whoever only tried to with a wrong key has changed nothing.
        let redact = |outcome| {
            let line = Digest::of(outcome_line(outcome).as_bytes());
            Event::Access { recording: RECORDING, deed: Deed::Redact, outcome, line }
        };
        let [granted, wrong, done] = [Outcome::Granted, Outcome::WrongKey, Outcome::Done].map(redact);
        let before = || [access(Outcome::Granted), rewrapped(), access(Outcome::Done)];
        let after = |tried: &[&Event]| is(keys(&before().into_iter().chain(tried.iter().copied().cloned()).collect::<Vec<_>>()));
        assert_eq!(after(&[&granted, &wrong, &granted, &wrong]), [false, true, false]);
        assert_eq!(after(&[&granted, &granted]), [true; 3], "cut short");
        assert_eq!(after(&[&granted, &granted, &done]), [true; 3]);
    }

    fn outcome_line(outcome: Outcome) -> String {
        format!("redact {}", outcome.as_str())
    }
}
