//! The verdict on a recording: complete, salvaged, cut or broken; without any private key, or with one and then on its content too.

use std::fmt;
use std::io::Read;

use crate::ids::Leg;
use crate::time::Wall;
use crate::vault::content::LegTotals;
use crate::vault::format::{Closing, Word};
use crate::vault::record::Count;
use crate::vault::walk::{Step, Walk};
use crate::vault::{
    Broken, Cut, Damage, GapReason, Header, NodePublic, OpenError, RecipientSecret, Record, Recording, TakenOut, Totals,
};

/// What a recording is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a verdict nobody reads protects nothing"]
pub enum Verdict {
    /// All of it is there, as the node signed it.
    Complete(Complete),
    /// The recorder did not come to its end; a later start closed it after the last chunk that was whole, and signed that.
    Salvaged(Salvaged),
    /// It ends before its end; as far as it goes it is whole.
    Cut(Cut),
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
    /// What the node has signed: the root over its chunks.
    pub root: [u8; 32],
    /// What was taken out of it since; its hashes are there, so that the root is the same.
    pub taken_out: Option<TakenOut>,
}

/// What is known of a salvaged recording. What came after its last chunk is lost, and nothing is guessed about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Salvaged {
    /// Its chunks, that of the evidence included.
    pub chunks: u32,
    /// The length of the file.
    pub bytes: u64,
    /// When it was closed.
    pub at: Wall,
    /// How many bytes of a chunk that was not whole were taken off.
    pub cut_off: u64,
    /// What the node has signed: the root over its chunks.
    pub root: [u8; 32],
    /// What was taken out of it since.
    pub taken_out: Option<TakenOut>,
}

impl Verdict {
    /// Returns what was taken out of it since it was made.
    #[must_use]
    pub const fn taken_out(&self) -> Option<&TakenOut> {
        match self {
            Self::Complete(complete) => complete.taken_out.as_ref(),
            Self::Salvaged(salvaged) => salvaged.taken_out.as_ref(),
            Self::Cut(_) | Self::Broken(_) => None,
        }
    }

    fn with_packets(mut self, packets: [u64; 2]) -> Self {
        let taken_out = match &mut self {
            Self::Complete(complete) => complete.taken_out.as_mut(),
            Self::Salvaged(salvaged) => salvaged.taken_out.as_mut(),
            Self::Cut(_) | Self::Broken(_) => None,
        };
        if let Some(taken_out) = taken_out {
            taken_out.packets = Some(packets);
        }
        self
    }

    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete(_) => "complete",
            Self::Salvaged(_) => "salvaged",
            Self::Cut(_) => "cut",
            Self::Broken(_) => "broken",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(complete) => write!(f, "complete: {} chunks, {} bytes", complete.chunks, complete.bytes),
            Self::Salvaged(Salvaged { chunks, bytes, at, cut_off, .. }) => {
                write!(
                    f,
                    "salvaged: {chunks} chunks, {bytes} bytes; closed at {at}, after {cut_off} bytes of a torn chunk were taken off"
                )
            }
            Self::Cut(cut) => write!(f, "cut: {cut}"),
            Self::Broken(broken) => write!(f, "broken: {broken}"),
        }
    }
}

/// Verifies a recording without any private key: every byte against its chunk's hash, and all of them against the node's signature.
///
/// A recording that was cut has no signature. What it has is then only known to be undamaged, not to be the node's: for that it takes a
/// recipient's key and [`verify_content`].
///
/// # Errors
/// Where the disk does not give it, or it says it is another node's. That is no verdict: nothing is known then.
pub fn verify(rec: impl Read, node: &NodePublic) -> Result<Verdict, OpenError> {
    verdict(structure(rec, node))
}

/// Verifies a recording with a recipient's key: the signature, every tag, every record, and the totals against the records.
///
/// # Errors
/// Where the disk does not give it, it says it is another node's, or the key does not open it. That is no verdict.
pub fn verify_content(
    rec: impl Read,
    key_file: &[u8],
    secret: &RecipientSecret,
    node: &NodePublic,
) -> Result<Verdict, OpenError> {
    verdict(content(rec, key_file, secret, node))
}

/// A recording that was cut or is broken is a verdict; what says nothing of it is an error.
fn verdict(found: Result<Verdict, OpenError>) -> Result<Verdict, OpenError> {
    match found {
        Err(OpenError::Cut(torn)) => Ok(Verdict::Cut(torn)),
        Err(OpenError::Broken(broken)) => Ok(Verdict::Broken(broken)),
        other => other,
    }
}

fn structure(rec: impl Read, node: &NodePublic) -> Result<Verdict, OpenError> {
    let mut walk = Walk::begin(rec)?;
    is_of(walk.header(), node)?;
    loop {
        if let Step::Closing(closing) = walk.step()? {
            return Ok(close(&walk, &closing, node, None));
        }
    }
}

fn is_of(header: &Header, node: &NodePublic) -> Result<(), OpenError> {
    let given = node.fingerprint();
    if header.node == given { Ok(()) } else { Err(OpenError::OtherNode(header.node, given)) }
}

fn content(rec: impl Read, key_file: &[u8], secret: &RecipientSecret, node: &NodePublic) -> Result<Verdict, OpenError> {
    let mut recording = Recording::open(rec, key_file, secret)?;
    is_of(recording.header(), node)?;
    let mut story = Story::default();
    while let Some(chunk) = recording.next_chunk()? {
        let (index, is_last) = (chunk.index, chunk.is_last());
        let told = chunk
            .records()
            .try_for_each(|record| story.tell(&record.map_err(|unreadable| Damage::Content(unreadable.0))?, index))
            .and_then(|()| if is_last { story.end() } else { Ok(()) });
        told.map_err(|what| OpenError::Broken(recording.walk().broken(what)))?;
    }
    let closing = recording.closing().expect("`next_chunk` gives nothing only after the closing");
    let verdict = close(recording.walk(), closing, node, story.totals);
    Ok(if recording.redacted().is_some() { verdict.with_packets(story.taken_out) } else { verdict })
}

/// Returns the verdict on a file that was walked to its closing.
pub(super) fn close<R: Read>(walk: &Walk<R>, closing: &Closing, node: &NodePublic, totals: Option<Totals>) -> Verdict {
    let Closing { word, signature, .. } = closing;
    let (root, message) = walk.to_sign(*word);
    if !node.has_signed(&message, signature) {
        return Verdict::Broken(Broken { what: Damage::Signature, chunk: walk.chunks(), at: walk.last_frame() });
    }
    let (chunks, bytes) = (walk.chunks(), walk.bytes());
    let taken_out = match walk.taken_out() {
        Ok(taken_out) => taken_out,
        Err(what) => return Verdict::Broken(Broken { what, chunk: walk.chunks(), at: walk.last_frame() }),
    };
    match *word {
        Word::Complete => Verdict::Complete(Complete { chunks, bytes, totals, root, taken_out }),
        Word::Salvaged { at, cut_off } => Verdict::Salvaged(Salvaged { chunks, bytes, at, cut_off, root, taken_out }),
    }
}

/// What the records say, one after the other.
#[derive(Default)]
struct Story {
    count: Count,
    records: u64,
    totals: Option<Totals>,
    /// What was taken out of each leg, by those who have done it; the node has not signed that, but how much there was in all.
    taken_out: [u64; 2],
    is_redacted: bool,
}

impl Story {
    fn tell<P: AsRef<[u8]>>(&mut self, record: &Record<P>, chunk: u32) -> Result<(), Damage> {
        if self.totals.is_some() {
            return Err(Damage::Content("a record follows the end record"));
        }
        let is_first = self.records == 0;
        self.records += 1;
        if is_first != matches!(record, Record::Evidence(_)) || is_first != (chunk == 0) {
            return Err(Damage::Content("evidence is the one record of chunk 0 and of no other"));
        }
        match record {
            Record::Evidence(_) => {}
            Record::Format(_) | Record::Quality(_) | Record::Other { .. } => {}
            Record::Rtp { leg, came, packet } => self.count.packet(*leg, *came, packet.as_ref().len()),
            Record::Gap(gap) if gap.reason == GapReason::Redacted => {
                self.is_redacted = true;
                let [pbx, trunk] = &mut self.taken_out;
                match gap.leg {
                    Some(Leg::Pbx) => *pbx = pbx.saturating_add(gap.packets),
                    Some(Leg::Trunk) => *trunk = trunk.saturating_add(gap.packets),
                    None => {}
                }
            }
            Record::Gap(gap) => self.count.gap(*gap),
            Record::End(totals) => self.totals = Some(*totals),
        }
        Ok(())
    }

    /// Compares the end record with what was told.
    fn end(&self) -> Result<(), Damage> {
        let totals = self.totals.ok_or(Damage::Content("the last chunk has no end record"))?;
        let counted = totals.legs.map(|leg| LegTotals { withheld: 0, ..leg });
        if self.is_redacted {
            return if self.is_rest_of(&totals) { Ok(()) } else { Err(Damage::Totals) };
        }
        let is_so = counted == self.count.legs && totals.gaps == self.count.gap_records && totals.lost == self.count.gap_packets;
        if is_so { Ok(()) } else { Err(Damage::Totals) }
    }

    /// Compares the end record with what was told of a recording of which something was taken out: no packet is missing that was not taken out, and
    /// every gap that the recorder knew of is still said.
    fn is_rest_of(&self, totals: &Totals) -> bool {
        let legs = totals.legs.iter().zip(&self.count.legs).zip(self.taken_out);
        let mut are_rest = legs.map(|((all, left), gone)| {
            let is_within = left.packets == 0 || left.first >= all.first && left.last <= all.last;
            all.packets == left.packets.saturating_add(gone) && left.bytes <= all.bytes && is_within
        });
        are_rest.all(|one| one) && (totals.gaps, totals.lost) == (self.count.gap_records, self.count.gap_packets)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Leg;
    use crate::vault::content::{put_end, put_evidence, put_rtp};
    use crate::vault::fixture::{Chance, Made, make, make_of};
    use crate::vault::format::{CLOSING_BYTES, HEADER_BYTES, wide};
    use crate::vault::walk::Stop;
    use crate::vault::{EndReason, NodeKey, Salvage, Sealed, Tail, WrongKey, salvage};

    fn both(rec: &[u8], made: &Made) -> (Verdict, Verdict) {
        let bare = verify(rec, made.node.public()).unwrap();
        let content = verify_content(rec, &made.key, &made.secret, made.node.public());
        let content = match content {
            Ok(verdict) => verdict,
            // A header that names another recording no longer fits the key file; it is no bit of a key.
            Err(error) => panic!("{error}"),
        };
        (bare, content)
    }

    fn word(rec: &[u8], made: &Made) -> &'static str {
        let (bare, content) = both(rec, made);
        assert_eq!(bare.as_str(), content.as_str());
        bare.as_str()
    }

    #[test]
    fn a_recording_that_was_closed_is_complete() {
        let made = make(1, 20);

        let (bare, content) = both(&made.rec, &made);

        let Sealed { chunks, bytes, root, .. } = made.sealed;
        let complete = Complete { chunks, bytes, root, totals: None, taken_out: None };
        assert_eq!(bare, Verdict::Complete(complete));
        assert_eq!(content, Verdict::Complete(Complete { totals: Some(made.sealed.totals), ..complete }));
    }

    #[test]
    fn no_bit_can_change_unseen() {
        let made = make(1, 2);

        for bit in 0..made.rec.len() * 8 {
            let mut bad = made.rec.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let verdict = verify(bad.as_slice(), made.node.public());
            assert!(matches!(verdict, Ok(Verdict::Broken(_) | Verdict::Cut(_))), "bit {bit}: {verdict:?}");
            if bit % 8 != bit / 8 % 8 {
                continue; // one bit of each byte is enough for the longer way
            }
            let content = verify_content(bad.as_slice(), &made.key, &made.secret, made.node.public());
            assert!(matches!(content, Ok(Verdict::Broken(_) | Verdict::Cut(_))), "bit {bit}: {content:?}");
        }
    }

    /// A minute of a call, chunk for chunk: each bit of each byte changed, or one bit of each byte where `MITSCHNITT_EVERY_BIT` is not set
    /// (`tests/by_hand.sh` sets it). What stands before a chunk is as it was, so that the walk over it need not be done again.
    #[test]
    fn no_bit_of_a_minute_can_change_unseen_and_no_cut_either() {
        let made = make(1, 3000);
        let every = std::env::var_os("MITSCHNITT_EVERY_BIT").is_some();
        let mut rec = made.rec.clone();
        let mut walk = Walk::begin(made.rec.as_slice()).unwrap_or_else(|_| panic!("a good header"));
        let node = made.node.public();
        let (mut flips, mut cuts) = (0_usize, 0_usize);
        for frame in made.ends.windows(2) {
            let (from, to) = (frame[0], frame[1]);
            for at in from..to {
                for bit in (0..8).filter(|bit| every || *bit == at % 8) {
                    rec[at] ^= 1 << bit;
                    let seen = match walk.over(&rec[from..]).step() {
                        Ok(Step::Closing(closing)) => matches!(close(&walk, &closing, node, None), Verdict::Broken(_)),
                        Ok(Step::Chunk(_) | Step::Hole(_)) => false,
                        Err(_) => true,
                    };
                    assert!(seen, "byte {at}, bit {bit}");
                    rec[at] ^= 1 << bit;
                    flips += 1;
                }
                let step = walk.over(&made.rec[from..at]).step();
                assert!(matches!(step, Err(Stop::Cut(Cut { bytes, .. })) if bytes == wide(from)), "cut at {at}");
                cuts += 1;
            }
            assert!(walk.step().is_ok());
        }
        let expected = made.rec.len() - HEADER_BYTES;
        assert_eq!((flips, cuts), (expected * if every { 8 } else { 1 }, expected));
    }

    #[test]
    fn none_of_a_thousand_good_files_is_accused() {
        let mut chance = Chance::from(80);
        for _ in 0..500 {
            use hpke::rand_core::Rng;
            let [recording, packets, payload, cut] = chance.next_u32().to_be_bytes();
            let made = make_of(recording, u16::from(packets % 40), payload, |_| ());
            let node = made.node.public();
            assert!(matches!(verify(made.rec.as_slice(), node), Ok(Verdict::Complete(_))));
            let content = verify_content(made.rec.as_slice(), &made.key, &made.secret, node);
            assert!(matches!(content, Ok(Verdict::Complete(_))), "{content:?}");

            // And what of it is closed after a crash, anywhere behind its evidence.
            let room = made.rec.len() - 1 - made.ends[1];
            let torn = &made.rec[..made.ends[1] + room * usize::from(cut) / 255];
            let closed = closed(torn, &made.node);
            assert!(matches!(verify(closed.as_slice(), node), Ok(Verdict::Salvaged(_))));
            let content = verify_content(closed.as_slice(), &made.key, &made.secret, node);
            assert!(matches!(content, Ok(Verdict::Salvaged(_))), "{content:?}");
        }
    }

    /// What a later start makes of it.
    fn closed(torn: &[u8], node: &NodeKey) -> Vec<u8> {
        let plan = salvage(torn, wide(torn.len()), node, Wall::from_unix_micros(5)).unwrap();
        let Salvage::Close { keep, closing, .. } = plan else { panic!("{plan:?}") };
        [&torn[..usize::try_from(keep).unwrap()], &closing].concat()
    }

    #[test]
    fn cut_anywhere_it_is_cut_and_says_how_far_it_is_whole() {
        let made = make(1, 20);

        for cut in 0..made.rec.len() {
            let Ok(Verdict::Cut(torn)) = verify(&made.rec[..cut], made.node.public()) else { panic!("cut at {cut}") };
            let whole = made.ends[..made.ends.len() - 1].iter().rfind(|&&end| end <= cut).copied().unwrap_or(0);
            assert_eq!(usize::try_from(torn.bytes).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn chunks_that_changed_places_are_broken() {
        let made = make(1, 40);
        let [a, b, c] = [made.ends[1], made.ends[2], made.ends[3]];
        let swapped = [&made.rec[..a], &made.rec[b..c], &made.rec[a..b], &made.rec[c..]].concat();

        let (bare, _) = both(&swapped, &made);

        assert_eq!(bare, Verdict::Broken(Broken { what: Damage::Order(2), chunk: 1, at: u64::try_from(a).unwrap() }));
        assert_eq!(word(&swapped, &made), "broken");
    }

    #[test]
    fn a_chunk_left_out_or_said_twice_is_broken() {
        let made = make(1, 40);
        let [a, b] = [made.ends[1], made.ends[2]];

        assert_eq!(word(&[&made.rec[..a], &made.rec[b..]].concat(), &made), "broken");
        assert_eq!(word(&[&made.rec[..b], &made.rec[a..]].concat(), &made), "broken");
    }

    #[test]
    fn a_chunk_of_another_recording_is_broken() {
        let (one, two) = (make(1, 40), make(2, 40));
        let [a, b] = [one.ends[1], one.ends[2]];
        let [c, d] = [two.ends[1], two.ends[2]];

        assert_eq!(word(&[&one.rec[..a], &two.rec[c..d], &one.rec[b..]].concat(), &one), "broken");
    }

    #[test]
    fn the_header_or_the_closing_of_another_recording_is_broken() {
        let (one, two) = (make(1, 20), make(2, 20));
        let closing = one.rec.len() - CLOSING_BYTES;
        let other_closing = &two.rec[two.rec.len() - CLOSING_BYTES..];

        let headed = [&two.rec[..HEADER_BYTES], &one.rec[HEADER_BYTES..]].concat();
        assert!(matches!(verify(headed.as_slice(), one.node.public()), Ok(Verdict::Broken(_))));
        let (bare, _) = both(&[&one.rec[..closing], other_closing].concat(), &one);
        assert!(matches!(bare, Verdict::Broken(Broken { what: Damage::Signature, .. })));
    }

    #[test]
    fn a_closing_put_behind_a_cut_is_broken() {
        let made = make(1, 40);
        let cut = made.ends[2];
        let closing = &made.rec[made.rec.len() - CLOSING_BYTES..];

        let (bare, _) = both(&[&made.rec[..cut], closing].concat(), &made);

        assert!(matches!(bare, Verdict::Broken(Broken { what: Damage::NotLast, .. })));
    }

    #[test]
    fn bytes_behind_the_end_are_broken() {
        let made = make(1, 8);

        assert_eq!(word(&[&made.rec, [0].as_slice()].concat(), &made), "broken");
        assert_eq!(word(&[made.rec.as_slice(), &made.rec].concat(), &made), "broken");
    }

    #[test]
    fn a_tail_of_zeros_is_torn() {
        let made = make(1, 40);
        let cut = made.ends[2];
        let zeros = [&made.rec[..cut], [0; 5000].as_slice()].concat();

        let (bare, _) = both(&zeros, &made);
        assert!(matches!(bare, Verdict::Cut(Cut { tail: Tail::Zeros, chunks: 2, .. })));
        assert_eq!(word(&[zeros.as_slice(), &[1]].concat(), &made), "broken");
    }

    #[test]
    fn what_the_end_record_does_not_count_is_broken() {
        let made = make_of(1, 8, 160, |last| {
            let mut clock = 0;
            put_rtp(last.chunk.bytes_mut(), &mut clock, Leg::Pbx, Duration::ZERO, b"smuggled in");
        });

        assert!(matches!(verify(made.rec.as_slice(), made.node.public()), Ok(Verdict::Complete(_))));
        let content = verify_content(made.rec.as_slice(), &made.key, &made.secret, made.node.public());
        assert!(matches!(content, Ok(Verdict::Broken(Broken { what: Damage::Totals, .. }))));
    }

    #[test]
    fn evidence_stands_at_the_beginning_and_nothing_behind_the_end() {
        let end = Totals { reason: EndReason::Stopped, ended: Duration::ZERO, legs: Default::default(), gaps: 0, lost: 0 };
        let evidence_again = make_of(1, 8, 160, |last| put_evidence(last.chunk.bytes_mut(), b"{}"));
        let end_twice = make_of(1, 8, 160, |last| put_end(last.chunk.bytes_mut(), &end));

        for (made, says) in [(evidence_again, "evidence is the one record"), (end_twice, "a record follows the end")] {
            assert!(matches!(verify(made.rec.as_slice(), made.node.public()), Ok(Verdict::Complete(_))));
            let content = verify_content(made.rec.as_slice(), &made.key, &made.secret, made.node.public());
            let Ok(Verdict::Broken(Broken { what: Damage::Content(what), .. })) = content else { panic!("{content:?}") };
            assert!(what.starts_with(says), "{what}");
        }
    }

    #[test]
    fn a_chunk_behind_the_last_is_broken() {
        let made = make(1, 40);
        let [.., before, closing, _] = made.ends[..] else { panic!("it has chunks and a closing") };
        let again = [&made.rec[..closing], &made.rec[before..]].concat();

        let (bare, _) = both(&again, &made);

        assert!(matches!(bare, Verdict::Broken(Broken { what: Damage::AfterLast, .. })), "{bare:?}");
        assert_eq!(word(&again, &made), "broken");
    }

    #[test]
    fn another_nodes_key_gives_no_verdict() {
        let made = make(1, 8);
        let other = NodeKey::generate(&mut Chance::from(60));

        let error = verify(made.rec.as_slice(), other.public()).unwrap_err();

        assert!(matches!(error, OpenError::OtherNode(says, _) if says == made.node.public().fingerprint()));
    }

    #[test]
    fn a_wrong_key_gives_no_verdict() {
        let made = make(1, 8);
        let stranger = RecipientSecret::generate(&mut Chance::from(61));

        let error = verify_content(made.rec.as_slice(), &made.key, &stranger, made.node.public()).unwrap_err();

        assert!(matches!(error, OpenError::Key(WrongKey::NotARecipient(_))));
    }

    #[test]
    fn a_minute_on_disk_is_less_than_a_twentieth_more_than_what_came() {
        let made = make(1, 3000);
        let rtp: u64 = made.sealed.totals.legs.iter().map(|leg| leg.bytes).sum();

        let permille = made.sealed.bytes * 1000 / rtp;

        assert!(permille <= 1050, "{} bytes for {rtp} bytes of RTP: {permille} per mille", made.sealed.bytes);
    }

    #[test]
    fn any_bytes_get_a_verdict_and_none_is_complete() {
        let made = make(1, 8);
        let mut chance = Chance::from(70);

        for round in 0..2000 {
            let mut bad = made.rec.clone();
            for _ in 0..=round % 4 {
                use hpke::rand_core::Rng;
                let at = usize::try_from(chance.next_u32()).unwrap() % bad.len();
                bad[at] = bad[at].wrapping_add(1 + u8::try_from(chance.next_u32() % 255).unwrap());
            }
            let verdict = verify_content(bad.as_slice(), &made.key, &made.secret, made.node.public());
            assert!(!matches!(verdict, Ok(Verdict::Complete(_))) || bad == made.rec);
        }
    }
}
