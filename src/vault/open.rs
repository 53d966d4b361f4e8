//! The reader: opens a recording with a recipient's key, chunk by chunk, and gives what is in it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::Arc;

use aes_gcm::aead::AeadInOut;

use crate::vault::chunkkeys::ChunkKeys;
use crate::vault::format::{Closing, HEADER_BYTES, Place, Version, wide};
use crate::vault::ratchet::Ratchet;
use crate::vault::redaction::{self, NotOpen, Statement};
use crate::vault::seal::aad;
use crate::vault::walk::{Step, Stop, Walk};
use crate::vault::wraps::{KeyFile, Segment};
use crate::vault::{
    Broken, Cut, Damage, Fingerprint, Header, KeyFileFault, RecipientSecret, Record, Records, Unreadable, WrongKey,
};

/// A recording that a key has opened.
///
/// What it gives was sealed with the recording's key, in this order. Who sealed it is `verify`'s question: a recipient could have.
pub struct Recording<R> {
    walk: Walk<R>,
    /// The keys from chunk 0 on, from which a reader that goes back begins again.
    first: ChunkKeys,
    /// Nothing after the last possible chunk.
    keys: Option<ChunkKeys>,
    /// What was taken out of it.
    redacted: Option<Arc<Statement>>,
    /// Whether the key file is that of before something was taken out.
    is_between: bool,
    closing: Option<Closing>,
    is_over: bool,
}

/// The plaintext of one chunk.
#[derive(Debug)]
pub struct Chunk<'r> {
    /// Its number.
    pub index: u32,
    plain: &'r [u8],
    place: Place,
}

impl<'r> Chunk<'r> {
    /// Returns its records, in order.
    #[must_use]
    pub const fn records(&self) -> Records<'r> {
        Records::new(self.plain)
    }

    /// Returns whether it is marked as the last.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.place == Place::Last
    }
}

impl<R: Read> Recording<R> {
    /// Opens a recording with the bytes of its key file and a recipient's key.
    ///
    /// # Errors
    /// Where the key does not open it, the key file is not its own, or the header cannot be read.
    pub fn open(rec: R, key_file: &[u8], secret: &RecipientSecret) -> Result<Self, OpenError> {
        let walk = Walk::begin(rec)?;
        let Header { version, recording, segment, commitment, .. } = *walk.header();
        let key_file = KeyFile::parse(key_file).map_err(OpenError::KeyFile)?;
        if key_file.recording() != recording {
            return Err(OpenError::KeyFile(KeyFileFault::OtherRecording(key_file.recording())));
        }
        let of = key_file.segment();
        let is_its = walk.redaction().map_or(of.commitment == commitment, |redaction| redaction.is_for(&of.commitment));
        if !is_its || *of != (Segment { version, recording, number: segment, commitment: of.commitment }) {
            return Err(OpenError::KeyFile(KeyFileFault::OtherSegment));
        }
        let shared = key_file.unwrap(secret).map_err(OpenError::Key)?;
        if !redaction::commits(of, &shared) {
            return Err(OpenError::Key(WrongKey::OtherSecret(secret.public().fingerprint())));
        }
        let redacted = match walk.redaction() {
            Some(redaction) => Some(redaction.open(of, walk.header_hash(), &shared).map(Arc::new).map_err(|error| {
                let what = match error {
                    NotOpen::Sealed => Damage::Tag,
                    NotOpen::Malformed => Damage::Content("what is said of what was taken out"),
                };
                OpenError::Broken(Broken { what, chunk: 0, at: wide(HEADER_BYTES) })
            })?),
            None => None,
        };
        let first = match &redacted {
            Some(statement) => ChunkKeys::left(Arc::clone(statement)),
            None => ChunkKeys::of(Ratchet::begin(version, &shared, recording, segment).1),
        };
        let is_between = walk.redaction().is_some_and(|redaction| *redaction.commitment() != of.commitment);
        Ok(Self { walk, keys: Some(first.copy()), first, redacted, is_between, closing: None, is_over: false })
    }

    /// Opens a recording that was verified before: its chunks are not held against their hashes again. Each must open, at its place, so that what
    /// was changed since is found all the same.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_verified(rec: R, key_file: &[u8], secret: &RecipientSecret) -> Result<Self, OpenError> {
        let mut recording = Self::open(rec, key_file, secret)?;
        recording.walk.hash_no_more();
        Ok(recording)
    }

    /// Returns what stands in the clear.
    #[must_use]
    pub const fn header(&self) -> &Header {
        self.walk.header()
    }

    /// Returns the next chunk, or nothing after the closing.
    ///
    /// # Errors
    /// Where the recording is torn or broken. A reader that takes this for the end accepts a cut.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, OpenError> {
        if self.is_over {
            return Ok(None);
        }
        self.is_over = true; // until this chunk has opened
        let frame = match self.walk.step()? {
            Step::Chunk(frame) => frame,
            Step::Hole(index) => return self.pass(index).map(Some),
            Step::Closing(closing) => {
                let end = self.redacted.as_ref().map_or(0, |statement| statement.end());
                if end > self.walk.chunks() {
                    return Err(OpenError::Broken(self.walk.broken(Damage::Hole)));
                }
                self.closing = Some(closing);
                return Ok(None);
            }
        };
        let keys = self.keys.take().ok_or_else(|| OpenError::Broken(self.walk.broken(Damage::Order(frame.index))))?;
        let aad = aad(self.walk.header_hash(), &frame.to_bytes());
        let (sealed, tag) = self.walk.sealed();
        let (opened, next) = keys.step(|cipher, nonce| cipher.decrypt_inout_detached(nonce, &aad, sealed.into(), &tag.into()));
        self.keys = next;
        match opened {
            Some(Ok(())) => {}
            Some(Err(_)) => return Err(OpenError::Broken(self.walk.broken(Damage::Tag))),
            None => return Err(OpenError::Broken(self.walk.broken(Damage::Hole))),
        }
        self.is_over = false;
        Ok(Some(Chunk { index: frame.index, plain: self.walk.plain(), place: frame.place }))
    }

    /// Gives what is said in the place of a chunk that was taken out: with the last of its hole, all that is said of it.
    fn pass(&mut self, index: u32) -> Result<Chunk<'_>, OpenError> {
        self.keys = self.keys.take().and_then(ChunkKeys::after);
        let Some(hole) = self.redacted.as_ref().and_then(|statement| statement.hole(index)) else {
            return Err(OpenError::Broken(self.walk.broken(Damage::Hole)));
        };
        self.is_over = false;
        if hole.chunks.end != index.saturating_add(1) {
            return Ok(Chunk { index, plain: &[], place: Place::Middle });
        }
        let place = if redaction::has_end(&hole.records) { Place::Last } else { Place::Middle };
        Ok(Chunk { index, plain: &hole.records, place })
    }

    /// Lends each record to `take`, chunk after chunk, until the recording ends or `take` breaks off; returns with what, if it did.
    ///
    /// # Errors
    /// As [`Recording::next_chunk`], after all records before it were lent.
    pub fn lend<B>(&mut self, mut take: impl FnMut(&Record<&[u8]>) -> ControlFlow<B>) -> Result<Option<B>, OpenError> {
        while let Some(chunk) = self.next_chunk()? {
            let mut unreadable = None;
            for record in chunk.records() {
                match record {
                    Ok(record) => {
                        if let ControlFlow::Break(with) = take(&record) {
                            return Ok(Some(with));
                        }
                    }
                    Err(Unreadable(what)) => unreadable = Some(what),
                }
            }
            if let Some(what) = unreadable {
                return Err(OpenError::Broken(self.walk.broken(Damage::Content(what))));
            }
        }
        Ok(None)
    }

    /// Returns all records, in order; the last item is an error where the recording is torn or broken.
    #[must_use]
    pub fn records(self) -> OwnedRecords<R> {
        OwnedRecords { recording: Some(self), ready: VecDeque::new() }
    }

    pub(super) fn version(&self) -> Version {
        self.walk.header().version
    }

    /// Returns the keys from chunk 0 on.
    pub(super) fn begin_again(&self) -> ChunkKeys {
        self.first.copy()
    }

    pub(super) const fn input(&mut self) -> &mut R {
        self.walk.input()
    }

    /// Goes on with this chunk, which begins there and has this key.
    pub(super) fn stand_at(&mut self, chunk: u32, at: u64, key: ChunkKeys) -> io::Result<()>
    where
        R: Seek,
    {
        self.walk.input().seek(SeekFrom::Start(at))?;
        self.walk.has_moved();
        self.walk.stand_at(chunk, at);
        (self.keys, self.closing, self.is_over) = (Some(key), None, false);
        Ok(())
    }

    /// Goes on with a later chunk where it stands: those between are not there.
    pub(super) fn go_on_with(&mut self, chunk: u32) {
        while let Some(keys) = self.keys.take_if(|keys| keys.index() < chunk) {
            self.keys = keys.after();
        }
        self.walk.go_on_with(chunk);
        self.is_over = false;
    }

    pub(super) const fn walk_mut(&mut self) -> &mut Walk<R> {
        &mut self.walk
    }

    /// Returns the keys from the next chunk on.
    pub(super) const fn keys(&self) -> Option<&ChunkKeys> {
        self.keys.as_ref()
    }

    /// Returns what was taken out of it.
    pub(super) const fn redacted(&self) -> Option<&Arc<Statement>> {
        self.redacted.as_ref()
    }

    /// Returns whether something was taken out of it, and the key file is still that of before.
    pub(super) const fn is_between(&self) -> bool {
        self.is_between
    }

    /// Returns the closing, once it was reached.
    pub(super) const fn closing(&self) -> Option<&Closing> {
        self.closing.as_ref()
    }

    pub(super) const fn walk(&self) -> &Walk<R> {
        &self.walk
    }
}

/// Says which recording it is.
impl<R: Read> fmt::Debug for Recording<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({:?})", self.header().recording)
    }
}

/// The records of a recording, each with bytes of its own. At most one chunk is held.
///
/// A torn recording ends with `Err(OpenError::Cut)`, so that nobody takes a cut for the end unawares.
pub struct OwnedRecords<R> {
    recording: Option<Recording<R>>,
    ready: VecDeque<Result<Record, OpenError>>,
}

impl<R: Read> Iterator for OwnedRecords<R> {
    type Item = Result<Record, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                if record.is_err() {
                    self.recording = None;
                }
                return Some(record);
            }
            let recording = self.recording.as_mut()?;
            match recording.next_chunk() {
                Ok(Some(chunk)) => {
                    let records: Vec<_> = chunk.records().map(|record| record.map(Record::into_owned)).collect();
                    let broken = |unreadable: Unreadable| OpenError::Broken(recording.walk.broken(Damage::Content(unreadable.0)));
                    self.ready.extend(records.into_iter().map(|record| record.map_err(broken)));
                }
                Ok(None) => self.recording = None,
                Err(error) => self.ready.push_back(Err(error)),
            }
        }
    }
}

/// Says which recording it is.
impl<R: Read> fmt::Debug for OwnedRecords<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedRecords({:?})", self.recording)
    }
}

/// A recording cannot be opened, or no further.
#[derive(Debug)]
pub enum OpenError {
    /// The disk did not give it.
    Disk(io::Error),
    /// The key does not open it. The recording may be good.
    Key(WrongKey),
    /// The key file is not this recording's, or is damaged. The recording may be good.
    KeyFile(KeyFileFault),
    /// It says another node made it than the one whose key was given: its own words, the key given.
    OtherNode(Fingerprint, Fingerprint),
    /// It ends before its end.
    Cut(Cut),
    /// It is not as it was written.
    Broken(Broken),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(_) => f.write_str("the disk did not give the recording"),
            Self::Key(wrong) => wrong.fmt(f),
            Self::KeyFile(fault) => fault.fmt(f),
            Self::OtherNode(says, given) => {
                write!(f, "it says node {} made it, and the key given is {}", says.short(), given.short())
            }
            Self::Cut(torn) => write!(f, "the recording is torn: {torn}"),
            Self::Broken(broken) => write!(f, "the recording is broken: {broken}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(error) => Some(error),
            Self::Key(_) | Self::KeyFile(_) | Self::OtherNode(..) | Self::Cut(_) | Self::Broken(_) => None,
        }
    }
}

impl From<Stop> for OpenError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cut(torn) => Self::Cut(torn),
            Stop::Broken(broken) => Self::Broken(broken),
            Stop::Disk(error) => Self::Disk(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Leg;
    use crate::vault::fixture::{Chance, Made, make, packet, permit};
    use crate::vault::format::{CHECK_BYTES, HEADER_BYTES, check, sha256};
    use crate::vault::{EndReason, Sealer, Tail};

    fn records(rec: &[u8], made: &Made) -> Result<Vec<Record>, OpenError> {
        Recording::open(rec, &made.key, &made.secret)?.records().collect()
    }

    #[test]
    fn what_was_recorded_is_what_is_read() {
        let made = make(1, 20);

        let records = records(&made.rec, &made).unwrap();

        assert!(matches!(&records[0], Record::Evidence(json) if json.starts_with(b"{\"evidence\":1")));
        let packets: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Rtp { leg, came, packet } => Some((*leg, *came, packet.clone())),
                Record::Evidence(_)
                | Record::Format(_)
                | Record::Gap(_)
                | Record::Quality(_)
                | Record::End(_)
                | Record::Other { .. } => None,
            })
            .collect();
        assert_eq!(packets.len(), 40);
        assert_eq!(packets[0], (Leg::Pbx, Duration::ZERO, packet(Leg::Pbx, 0)));
        assert_eq!(packets[39], (Leg::Trunk, Duration::from_millis(19 * 20 + 7), packet(Leg::Trunk, 19)));
        assert!(matches!(records.last(), Some(Record::End(totals)) if totals.reason == EndReason::HungUp(Leg::Trunk)));
    }

    #[test]
    fn what_is_lent_is_what_is_read_until_who_takes_it_has_enough() {
        let made = make(1, 20);
        let all = records(&made.rec, &made).unwrap();
        let open = || Recording::open(made.rec.as_slice(), &made.key, &made.secret).unwrap();

        let mut lent = Vec::new();
        let ended = open().lend(|record| -> ControlFlow<()> {
            lent.push(record.clone().into_owned());
            ControlFlow::Continue(())
        });
        let mut count = 0;
        let broken_off = open().lend(|_| {
            count += 1;
            if count == 7 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
        });

        assert!(matches!(ended, Ok(None)) && lent == all);
        assert_eq!((broken_off.unwrap(), count), (Some("enough"), 7));
    }

    #[test]
    fn a_torn_recording_gives_every_whole_chunk_and_then_says_that_it_is_torn() {
        let made = make(1, 20);
        let whole = records(&made.rec, &made).unwrap();

        for cut in HEADER_BYTES..made.rec.len() {
            let torn: Vec<_> = Recording::open(&made.rec[..cut], &made.key, &made.secret).unwrap().records().collect();

            let (last, before) = torn.split_last().unwrap();
            let chunks = made.ends[1..made.ends.len() - 1].iter().filter(|&&end| end <= cut).count();
            assert!(matches!(last, Err(OpenError::Cut(torn)) if usize::try_from(torn.chunks).unwrap() == chunks), "cut at {cut}");
            assert!(before.iter().zip(&whole).all(|(found, wanted)| found.as_ref().unwrap() == wanted));
        }
    }

    #[test]
    fn without_the_hashes_no_byte_of_what_is_read_can_change_unseen_either() {
        let made = make(1, 4);
        let whole = records(&made.rec, &made).unwrap();
        let open = |rec: &[u8]| -> Result<Vec<Record>, OpenError> {
            Recording::open_verified(rec, &made.key, &made.secret)?.records().collect()
        };
        assert!(open(&made.rec).unwrap() == whole);

        let mut unseen = 0;
        for at in 0..made.ends[made.ends.len() - 2] {
            let mut bad = made.rec.clone();
            bad[at] ^= 1 << (at % 8);
            match open(&bad) {
                // The check itself is for those who have no key, and guards nothing else.
                Ok(read) if made.ends[1..].iter().any(|end| (end - CHECK_BYTES..*end).contains(&at)) => {
                    assert!(read == whole, "byte {at}");
                    unseen += 1;
                }
                Ok(_) => panic!("byte {at}"),
                Err(_) => {}
            }
        }
        assert_eq!(unseen, CHECK_BYTES * (made.ends.len() - 3 + 1));
    }

    #[test]
    fn a_wrong_key_is_not_called_damage() {
        let made = make(1, 8);
        let stranger = RecipientSecret::generate(&mut Chance::from(50));

        let error = Recording::open(made.rec.as_slice(), &made.key, &stranger).unwrap_err();

        assert!(matches!(error, OpenError::Key(WrongKey::NotARecipient(_))));
        assert!(error.to_string().starts_with("this key does not open it"));
    }

    #[test]
    fn the_key_file_of_another_recording_does_not_serve() {
        let (one, two) = (make(1, 8), make(2, 8));

        let error = Recording::open(one.rec.as_slice(), &two.key, &one.secret).unwrap_err();

        assert!(matches!(error, OpenError::KeyFile(KeyFileFault::OtherRecording(id)) if id == two_id()));
        fn two_id() -> crate::ids::RecordingId {
            crate::ids::RecordingId::from_bytes([2; 16])
        }
    }

    #[test]
    fn the_key_file_of_another_capture_under_the_same_name_does_not_serve() {
        let made = make(1, 8);
        let other =
            Sealer::begin(permit(1).evidence(), made.node.public(), &[*made.secret.public()], &mut Chance::from(50)).unwrap();

        let error = Recording::open(made.rec.as_slice(), &other.key_file, &made.secret).unwrap_err();

        assert!(matches!(error, OpenError::KeyFile(KeyFileFault::OtherSegment)), "{error}");
    }

    #[test]
    fn a_reader_that_is_interrupted_and_gives_a_byte_at_a_time_reads_the_same() {
        struct Slow<'r>(&'r [u8], bool);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(into.get_mut(..1).unwrap_or_default()) }
            }
        }
        let made = make(1, 8);

        let slow: Result<Vec<_>, _> =
            Recording::open(Slow(&made.rec, false), &made.key, &made.secret).unwrap().records().collect();

        assert_eq!(slow.unwrap(), records(&made.rec, &made).unwrap());
    }

    #[test]
    fn a_chunk_opens_under_no_other_header() {
        let made = make(1, 8);
        let mut forged = made.rec.clone();
        forged[HEADER_BYTES - CHECK_BYTES - 1] ^= 1; // another beginning, with a header check and a hash that fit it
        let body = forged[..HEADER_BYTES - CHECK_BYTES].to_vec();
        forged[HEADER_BYTES - CHECK_BYTES..HEADER_BYTES].copy_from_slice(&check(&sha256(&[&body])));
        let end = made.ends[1];
        let leaf = sha256(&[&[0], &sha256(&[&forged[..HEADER_BYTES]]), &forged[HEADER_BYTES..end - CHECK_BYTES]]);
        forged[end - CHECK_BYTES..end].copy_from_slice(&check(&leaf));

        let error = records(&forged, &made).unwrap_err();

        assert!(matches!(error, OpenError::Broken(Broken { what: Damage::Tag, chunk: 0, .. })), "{error}");
    }

    #[test]
    fn what_is_whole_but_unsigned_is_torn() {
        let made = make(1, 8);
        let closing = made.ends[made.ends.len() - 2];

        let error = records(&made.rec[..closing], &made).unwrap_err();

        assert!(matches!(error, OpenError::Cut(Cut { tail: Tail::Unsigned, .. })));
    }

    #[test]
    fn a_disk_error_is_neither_torn_nor_broken() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("EIO"))
            }
        }
        let made = make(1, 8);
        let rec = made.rec[..300].chain(Failing);

        assert!(matches!(Recording::open(rec, &made.key, &made.secret).unwrap().next_chunk(), Err(OpenError::Disk(_))));
    }
}
