//! Redaction: chunks taken out of a recording that is closed, so that nobody has their keys any more, and all the rest stays as the node has signed it.
//!
//! What stays is copied, byte for byte. In the place of what goes stands its hash, so that the root is the same and the node's signature holds; and
//! the secret from which every key comes is replaced by a new one, which opens the keys of what is left and no other (`manual/format.md`).

use std::fmt;
use std::io::Read;
use std::mem;
use std::ops::Range;
use std::time::Duration;

use hpke::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ids::Leg;
use crate::limits::REDACTION_BYTES_READ;
use crate::vault::chunkkeys::ChunkKeys;
use crate::vault::content::{put_end, put_format, put_gap, put_quality};
use crate::vault::format::{HEADER_BYTES, Hash, KIND_HOLE, Version, wide};
use crate::vault::ratchet::{CHUNK_KEY_BYTES, Ratchet, Secret};
use crate::vault::redaction::{Hole, Redaction, Statement};
use crate::vault::wraps::{KeyFile, Segment};
use crate::vault::{
    Fingerprint, Gap, GapReason, LegTotals, OpenError, Recipient, RecipientSecret, Record, Recording, SignedClosing,
};

/// A recording without the chunks that were taken out: both of its files.
#[must_use = "nothing is taken out until both files are in their places, and the old ones gone"]
pub struct Redacted {
    /// The whole of `<id>.key`.
    pub key_file: Vec<u8>,
    /// What `<id>.rec` is made of, one after the other.
    pub pieces: Vec<Piece>,
    /// What the node has signed, which stays as it is.
    pub closing: SignedClosing,
    /// How many packets of the PBX and of the trunk were taken out this time.
    pub packets: [u64; 2],
    /// When the first of them came, and the last.
    pub came: Option<(Duration, Duration)>,
}

/// A piece of the new file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// So much of the old file, as it stands there.
    Copied(Range<u64>),
    /// These bytes.
    Made(Vec<u8>),
}

/// Prints no key.
impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redacted({:?})", self.closing.recording)
    }
}

/// Takes chunks out of a recording. Every other one is opened on the way; the signature is not checked.
///
/// Who holds a key does it: the recipients are those of the new key file, and their public keys are not in the old one.
///
/// # Errors
/// Where the recording is not closed, the key does not open it, or these chunks cannot be taken out of it.
pub fn redact(
    rec: impl Read,
    key_file: &[u8],
    secret: &RecipientSecret,
    gone: Range<u32>,
    recipients: &[Recipient],
    entropy: &mut impl CryptoRng,
) -> Result<Redacted, NotRedacted> {
    let recording = Recording::open(rec, key_file, secret).map_err(NotRedacted::Open)?;
    if recording.header().version == Version::Zero {
        return Err(NotRedacted::Version);
    }
    if recipients.is_empty() || recipients.iter().any(|one| recipients.iter().any(|other| !goes_with(one, other))) {
        return Err(NotRedacted::Mixed);
    }
    let work = Work::begin(&recording, gone)?;
    let (recording, work) = work.through(recording)?;
    work.end(&recording, (key_file, secret), recipients, entropy)
}

fn goes_with(one: &Recipient, other: &Recipient) -> bool {
    one.kem().strength() == other.kem().strength()
}

/// A new file as it comes about.
struct Work {
    gone: Range<u32>,
    /// Where the last hole ends, of those that are made and those that were there.
    end: u32,
    holes: Vec<Hole>,
    open: Option<Open>,
    keys: Zeroizing<Vec<u8>>,
    rest: Option<Ratchet>,
    pieces: Vec<Piece>,
    taken: Tally,
    is_more: bool,
}

/// A hole that may go on.
struct Open {
    chunks: Range<u32>,
    records: Zeroizing<Vec<u8>>,
    tally: Tally,
    /// Whether it says that something was taken out.
    is_said: bool,
}

/// Packets that are taken out.
#[derive(Clone, Copy, Default)]
struct Tally([LegTotals; 2]);

impl Work {
    fn begin<R: Read>(recording: &Recording<R>, gone: Range<u32>) -> Result<Self, NotRedacted> {
        // What was begun before is ended, whatever else there is to do.
        let is_unfinished = recording.is_between();
        if gone.is_empty() && !is_unfinished || !gone.is_empty() && gone.start == 0 {
            return Err(NotRedacted::NoSuchChunks);
        }
        let end = gone.end.max(recording.redacted().map_or(0, |statement| statement.end()));
        let bytes = usize::try_from(end).ok().and_then(|end| end.checked_mul(CHUNK_KEY_BYTES));
        let bytes = bytes.filter(|bytes| *bytes <= REDACTION_BYTES_READ).ok_or(NotRedacted::TooLong)?;
        Ok(Self {
            gone,
            end,
            holes: Vec::new(),
            open: None,
            // With room for all: growing leaves no copy of a key behind.
            keys: Zeroizing::new(Vec::with_capacity(bytes)),
            rest: None,
            pieces: vec![Piece::Copied(0..wide(HEADER_BYTES)), Piece::Made(Vec::new())],
            taken: Tally::default(),
            is_more: is_unfinished,
        })
    }

    fn through<R: Read>(mut self, mut recording: Recording<R>) -> Result<(Recording<R>, Self), NotRedacted> {
        loop {
            let index = recording.walk().chunks();
            let (key, rest) = recording.keys().map_or((None, None), |keys| (keys.key(), self.rest_at(index, keys)));
            let was_out = recording.redacted().is_some_and(|statement| statement.hole(index).is_some());
            let is_out = was_out || self.gone.contains(&index);
            let Some(chunk) = recording.next_chunk().map_err(NotRedacted::Open)? else { break };
            if is_out {
                let open = self.open.get_or_insert_with(|| Open::at(index));
                open.chunks.end = index.saturating_add(1);
                for record in chunk.records() {
                    open.tell(&record.map_err(|_| NotRedacted::Unreadable(index))?);
                }
            }
            let at = recording.walk().last_frame()..recording.walk().bytes();
            if is_out {
                self.is_more |= !was_out;
                self.made(&hole(index, recording.walk().leaf()));
                continue;
            }
            self.close();
            if index < self.end {
                self.keys.extend_from_slice(key.ok_or(NotRedacted::Unreadable(index))?.as_slice());
            }
            self.rest = self.rest.take().or(rest);
            self.copied(at);
        }
        self.close();
        let at = recording.walk().last_frame()..recording.walk().bytes();
        self.copied(at);
        if self.gone.end > recording.walk().chunks() {
            return Err(NotRedacted::NoSuchChunks);
        }
        if self.is_more { Ok((recording, self)) } else { Err(NotRedacted::Already) }
    }

    fn rest_at(&self, index: u32, keys: &ChunkKeys) -> Option<Ratchet> {
        if index == self.end { keys.rest() } else { None }
    }

    fn close(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        self.taken.add(open.tally);
        open.flush();
        self.holes.push(Hole { chunks: open.chunks, records: open.records });
    }

    fn made(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Made(last)) => last.extend_from_slice(bytes),
            Some(Piece::Copied(_)) | None => self.pieces.push(Piece::Made(bytes.to_vec())),
        }
    }

    fn copied(&mut self, at: Range<u64>) {
        match self.pieces.last_mut() {
            Some(Piece::Copied(last)) if last.end == at.start => last.end = at.end,
            Some(_) | None => self.pieces.push(Piece::Copied(at)),
        }
    }

    fn end<R: Read>(
        mut self,
        recording: &Recording<R>,
        (key_file, own): (&[u8], &RecipientSecret),
        recipients: &[Recipient],
        entropy: &mut impl CryptoRng,
    ) -> Result<Redacted, NotRedacted> {
        let closing = recording.closing().expect("it was gone through to its closing");
        let closing = SignedClosing::of(recording.walk(), closing);
        let file = KeyFile::parse(key_file).map_err(|fault| NotRedacted::Open(OpenError::KeyFile(fault)))?;
        let before = file.unwrap(own).map_err(|wrong| NotRedacted::Open(OpenError::Key(wrong)))?;
        let mut secret: Secret = Zeroizing::new([0; 32]);
        entropy.fill_bytes(secret.as_mut_slice());
        let statement = Statement::new(mem::take(&mut self.holes), mem::take(&mut self.keys), self.rest.take());
        let redaction = Redaction::seal(file.segment(), recording.walk().header_hash(), (&before, &secret), &statement);
        let redaction = redaction.ok_or(NotRedacted::TooLong)?;
        let segment = Segment { commitment: *redaction.commitment(), ..*file.segment() };
        let key_file = KeyFile::wrap(segment, &secret, recipients, entropy).map_err(NotRedacted::Recipient)?.to_bytes();
        if let Some(place @ Piece::Made(_)) = self.pieces.get_mut(1) {
            *place = Piece::Made(redaction.as_bytes().to_vec());
        }
        let Tally([pbx, trunk]) = self.taken;
        let packets = [pbx.packets, trunk.packets];
        Ok(Redacted { key_file, pieces: self.pieces, closing, packets, came: self.taken.came() })
    }
}

fn hole(index: u32, leaf: &Hash) -> Vec<u8> {
    [[KIND_HOLE].as_slice(), &index.to_be_bytes(), leaf].concat()
}

impl Open {
    fn at(index: u32) -> Self {
        Self { chunks: index..index, records: Zeroizing::default(), tally: Tally::default(), is_said: false }
    }

    /// Keeps what is said of the call, and counts what was heard.
    fn tell(&mut self, record: &Record<&[u8]>) {
        match record {
            Record::Rtp { leg, came, packet } => self.tally.count(*leg, *came, packet.len()),
            Record::Format(format) => put_format(&mut self.records, format),
            Record::Gap(gap) => self.put(gap),
            Record::Quality(quality) => put_quality(&mut self.records, quality),
            Record::End(totals) => {
                self.flush();
                put_end(&mut self.records, totals);
            }
            // The evidence is in chunk 0, which stays; what a record of a later version holds, nobody knows.
            Record::Evidence(_) | Record::Other { .. } => {}
        }
    }

    /// Says what was taken out: of each leg that had packets, or of both where none had.
    fn flush(&mut self) {
        let Tally(legs) = mem::take(&mut self.tally);
        let reason = GapReason::Redacted;
        for (leg, totals) in Leg::BOTH.into_iter().zip(legs) {
            let LegTotals { packets, first: from, last: to, .. } = totals;
            if packets > 0 {
                self.put(&Gap { leg: Some(leg), reason, from, to, packets });
            }
        }
        if !self.is_said {
            let nothing = Duration::ZERO;
            self.put(&Gap { leg: None, reason, from: nothing, to: nothing, packets: 0 });
        }
    }

    fn put(&mut self, gap: &Gap) {
        self.is_said |= gap.reason == GapReason::Redacted;
        put_gap(&mut self.records, gap);
    }
}

impl Tally {
    fn count(&mut self, leg: Leg, came: Duration, bytes: usize) {
        let Self([pbx, trunk]) = self;
        match leg {
            Leg::Pbx => pbx.count(came, bytes),
            Leg::Trunk => trunk.count(came, bytes),
        }
    }

    fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(leg, other)| leg.merge(other));
    }

    fn came(self) -> Option<(Duration, Duration)> {
        let heard = self.0.iter().filter(|leg| leg.packets > 0);
        let first = heard.clone().map(|leg| leg.first).min()?;
        Some((first, heard.map(|leg| leg.last).max()?))
    }
}

/// Nothing was taken out.
#[derive(Debug)]
pub enum NotRedacted {
    /// It cannot be opened, or not to its closing.
    Open(OpenError),
    /// It is of version 0, whose signature does not hold without all of it.
    Version,
    /// It has not these chunks, or one of them has the evidence.
    NoSuchChunks,
    /// They were taken out before.
    Already,
    /// What is in this chunk is not as specified.
    Unreadable(u32),
    /// It is so long that the keys of what is left have no room.
    TooLong,
    /// The recipients are none, or their keys are of different strength.
    Mixed,
    /// This key cannot be sealed to.
    Recipient(Fingerprint),
}

impl fmt::Display for NotRedacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Version => f.write_str("its format is version 0, of which nothing can be taken out"),
            Self::NoSuchChunks => f.write_str("it has not these chunks, or they have the evidence"),
            Self::Already => f.write_str("this was taken out of it before"),
            Self::Unreadable(chunk) => write!(f, "chunk {chunk} cannot be read"),
            Self::TooLong => f.write_str("it is too long for the keys of what would be left"),
            Self::Mixed => f.write_str("it would be wrapped for nobody, or for keys of different strength"),
            Self::Recipient(key) => write!(f, "the recipient key {} cannot be sealed to", key.short()),
        }
    }
}

impl std::error::Error for NotRedacted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::Version
            | Self::NoSuchChunks
            | Self::Already
            | Self::Unreadable(_)
            | Self::TooLong
            | Self::Mixed
            | Self::Recipient(_) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::{Chance, Made, make};
    use crate::vault::format::{CLOSING_BYTES, FRAME_BYTES};
    use crate::vault::vectors_redacted::{put_together, without};
    use crate::vault::{KeyFileFault, Verdict, verify, verify_content};

    fn records(rec: &[u8], key: &[u8], made: &Made) -> Vec<Record> {
        Recording::open(rec, key, &made.secret).unwrap().records().map(Result::unwrap).collect()
    }

    fn packets(records: &[Record]) -> Vec<&Record> {
        records.iter().filter(|record| matches!(record, Record::Rtp { .. })).collect()
    }

    fn are_redacted(records: &[Record]) -> u64 {
        let gaps = records.iter().filter_map(|record| match record {
            Record::Gap(gap) if gap.reason == GapReason::Redacted => Some(gap.packets),
            Record::Gap(_)
            | Record::Evidence(_)
            | Record::Format(_)
            | Record::Rtp { .. }
            | Record::Quality(_)
            | Record::End(_)
            | Record::Other { .. } => None,
        });
        gaps.sum()
    }

    #[test]
    fn what_is_taken_out_is_gone_and_all_the_rest_is_as_the_node_has_signed_it() {
        let made = make(1, 60);
        let all = records(&made.rec, &made.key, &made);
        let chunks = made.sealed.chunks;
        for first in 1..chunks {
            for end in first + 1..=chunks {
                let (rec, key) = without(&made.rec, &made.key, &made, first..end);

                let bare = verify(rec.as_slice(), made.node.public()).unwrap();
                let content = verify_content(rec.as_slice(), &key, &made.secret, made.node.public()).unwrap();
                let (Verdict::Complete(bare), Verdict::Complete(content)) = (bare, content) else { panic!("{first}..{end}") };
                assert_eq!((bare.root, bare.chunks, content.totals), (made.sealed.root, chunks, Some(made.sealed.totals)));
                let taken = bare.taken_out.unwrap();
                assert_eq!((taken.chunks, taken.spans, taken.first, taken.last), (end - first, 1, first, end - 1));
                let left = records(&rec, &key, &made);
                let gone = content.taken_out.unwrap().packets.unwrap().iter().sum::<u64>();
                assert_eq!(packets(&left).len() as u64 + gone, packets(&all).len() as u64, "{first}..{end}");
                assert_eq!(are_redacted(&left), gone);
                assert!(packets(&left).iter().all(|record| all.contains(record)));
                // The others are said, whatever was taken out.
                let said =
                    |records: &[Record]| records.iter().filter(|one| matches!(one, Record::Format(_) | Record::End(_))).count();
                assert_eq!(said(&left), said(&all), "{first}..{end}");
                for chunk in first..end {
                    let (from, to) = (made.ends[chunk as usize], made.ends[chunk as usize + 1]);
                    let sealed = &made.rec[from + FRAME_BYTES..to - 24];
                    assert!(!rec.windows(sealed.len()).any(|window| window == sealed), "chunk {chunk}");
                }
            }
        }
    }

    /// Whoever has the new files and every private key has nothing that opens the old ciphertext of what was taken out, should they have that.
    #[test]
    fn no_key_that_is_left_opens_what_was_taken_out() {
        let made = make(1, 60);
        let (rec, key) = without(&made.rec, &made.key, &made, 3..6);

        let recording = Recording::open(rec.as_slice(), &key, &made.secret).unwrap();
        let mut keys = Some(recording.begin_again());
        for chunk in 0..made.sealed.chunks {
            let own = Recording::open(made.rec.as_slice(), &made.key, &made.secret).unwrap();
            let all = (0..chunk).try_fold(own.begin_again(), |keys, _| keys.after()).unwrap();
            let wanted = all.key().unwrap();
            let found = keys.as_ref().unwrap().key();
            assert_eq!(found.as_ref().map(|key| **key), if (3..6).contains(&chunk) { None } else { Some(*wanted) }, "{chunk}");
            let statement = recording.redacted().unwrap();
            assert_eq!((0..made.sealed.chunks).any(|any| statement.key_of(any).is_some_and(|key| *key == *wanted)), chunk < 3);
            keys = keys.and_then(ChunkKeys::after);
        }
        let old = Recording::open(made.rec.as_slice(), &key, &made.secret);
        assert!(matches!(old, Err(OpenError::KeyFile(KeyFileFault::OtherSegment))), "the new key file opens no old file");
    }

    #[test]
    fn between_the_two_files_the_old_key_file_opens_the_new_file_and_it_can_be_done_again() {
        let made = make(1, 60);
        let (rec, key) = without(&made.rec, &made.key, &made, 3..6);

        assert!(records(&rec, &made.key, &made) == records(&rec, &key, &made));
        let (again, again_key) = without(&rec, &made.key, &made, 3..7);
        assert!(records(&again, &made.key, &made) == records(&again, &again_key, &made));
        let (third, third_key) = without(&again, &again_key, &made, 1..2);
        assert!(records(&third, &again_key, &made) == records(&third, &third_key, &made));
        let old = Recording::open(third.as_slice(), &made.key, &made.secret);
        assert!(matches!(old, Err(OpenError::KeyFile(KeyFileFault::OtherSegment))), "that is two key files ago");
    }

    #[test]
    fn more_is_taken_out_beside_before_and_over_what_was() {
        let made = make(1, 80);
        let chunks = made.sealed.chunks;
        let spans = [1..2, 2..4, 3..5, 5..6, 4..7, 1..chunks, 6..chunks];
        for first in &spans {
            let (rec, key) = without(&made.rec, &made.key, &made, first.clone());
            for second in &spans {
                let gone: Vec<u32> = (0..chunks).filter(|chunk| first.contains(chunk) || second.contains(chunk)).collect();
                let recipients = [*made.secret.public()];
                let redacted = redact(rec.as_slice(), &key, &made.secret, second.clone(), &recipients, &mut Chance::from(70));
                let redacted = match redacted {
                    Ok(redacted) => redacted,
                    Err(NotRedacted::Already) => {
                        assert!(second.clone().all(|chunk| first.contains(&chunk)), "{first:?} {second:?}");
                        continue;
                    }
                    Err(error) => panic!("{first:?} {second:?}: {error}"),
                };
                let both = put_together(&rec, &redacted);

                let verdict = verify_content(both.as_slice(), &redacted.key_file, &made.secret, made.node.public()).unwrap();

                let Verdict::Complete(complete) = verdict else { panic!("{first:?} {second:?}: {verdict}") };
                let taken = complete.taken_out.unwrap();
                assert_eq!((complete.root, taken.chunks as usize), (made.sealed.root, gone.len()));
                assert_eq!(taken.packets.unwrap().iter().sum::<u64>(), are_redacted(&records(&both, &redacted.key_file, &made)));
                let all = records(&made.rec, &made.key, &made);
                assert!(packets(&records(&both, &redacted.key_file, &made)).iter().all(|record| all.contains(record)));
            }
        }
    }

    #[test]
    fn no_bit_of_what_is_left_can_change_unseen() {
        let made = make(1, 24);
        let (rec, key) = without(&made.rec, &made.key, &made, 2..3);

        for at in 0..rec.len() {
            let mut bad = rec.clone();
            bad[at] ^= 1 << (at % 8);
            let bare = verify(bad.as_slice(), made.node.public());
            assert!(!matches!(bare, Ok(Verdict::Complete(_) | Verdict::Salvaged(_))), "byte {at}: {bare:?}");
            let opened = verify_content(bad.as_slice(), &key, &made.secret, made.node.public());
            assert!(!matches!(opened, Ok(Verdict::Complete(_) | Verdict::Salvaged(_))), "byte {at}: {opened:?}");
            let cut = verify(&rec[..at], made.node.public()).unwrap();
            assert!(matches!(cut, Verdict::Cut(_)), "cut at {at}: {cut:?}");
        }
    }

    #[test]
    fn what_cannot_be_taken_out_is_said() {
        let made = make(1, 24);
        let chunks = made.sealed.chunks;
        let own = [*made.secret.public()];
        let attempt = |rec: &[u8], gone: Range<u32>, recipients: &[Recipient]| {
            redact(rec, &made.key, &made.secret, gone, recipients, &mut Chance::from(70)).map(|_| ()).unwrap_err().to_string()
        };

        for (gone, says) in [
            (0..2, "it has not these chunks, or they have the evidence"),
            (2..2, "it has not these chunks, or they have the evidence"),
            (2..chunks + 1, "it has not these chunks, or they have the evidence"),
            (2..u32::MAX, "it is too long for the keys of what would be left"),
        ] {
            assert_eq!(attempt(&made.rec, gone.clone(), &own), says, "{gone:?}");
        }
        assert_eq!(attempt(&made.rec, 1..2, &[]), "it would be wrapped for nobody, or for keys of different strength");
        let torn = attempt(&made.rec[..made.rec.len() - CLOSING_BYTES], 1..2, &own);
        assert!(torn.contains("before the signature"), "{torn}");
    }
}
