//! Opening a recording in its middle: only frames are read on the way there, and a handful of chunks.
//!
//! ```text
//!   header │ 0 │ 1 │ 2 │ … │ j │ … │ k │ …          k: what came from the wanted time on
//!            frames alone     └ 60 s ┘               j: where every format has been said again (`manual/format.md`)
//! ```

use std::fmt;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::Duration;

use crate::limits::FORMATS_AGAIN;
use crate::vault::chunkkeys::ChunkKeys;
use crate::vault::format::{CHECK_BYTES, FRAME_BYTES, Frame, HOLE_BYTES, KIND_HOLE, Place, TAG_BYTES, Version, wide};
use crate::vault::{OpenError, Record, Recording};

/// Where the chunks of a recording begin, as far as frames follow one another, and the key of each.
///
/// It opens everything that its recording has, as that does.
pub struct Index {
    chunks: Vec<u64>,
    /// The key of a chunk comes from the one before: forwards only, so that all are kept by whoever goes back.
    keys: Vec<ChunkKeys>,
}

impl Index {
    /// Returns how many chunks there are, that of the evidence included.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        self.chunks.len()
    }
}

/// Prints no key.
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} chunks)", self.chunks.len())
    }
}

impl<R: Read + Seek> Recording<R> {
    /// Finds where the chunks begin. Of each only the frame is read; what is wrong in one is found by whoever reads it.
    ///
    /// # Errors
    /// Where the disk does not give it.
    pub fn index(&mut self) -> Result<Index, OpenError> {
        let chunks = self.frames().map_err(OpenError::Disk)?;
        let mut keys = Vec::with_capacity(chunks.len());
        let mut next = Some(self.begin_again());
        while let (Some(key), true) = (next.take(), keys.len() < chunks.len()) {
            next = key.copy().after();
            keys.push(key);
        }
        Ok(Index { chunks, keys })
    }

    /// Moves to a chunk from which on all is given that came from this time of the recording on, and before it every format that was in force:
    /// [`Recording::next_chunk`] goes on from there. What came somewhat earlier is given too.
    ///
    /// Some twenty chunks are opened. Each chunk that is given is checked and opened as ever; the recording as a whole is not verified by it. A
    /// recording of version 0, whose chunks are not checked alone, begins at its beginning.
    ///
    /// # Errors
    /// As [`Recording::next_chunk`], for the chunks that are looked at; it is over then.
    pub fn seek(&mut self, index: &Index, from: Duration) -> Result<(), OpenError> {
        let chunk = match self.version() {
            Version::Zero => 0,
            Version::One => self.last_before(index, from.saturating_sub(FORMATS_AGAIN))?.min(index.chunks().saturating_sub(1)),
        };
        self.go_to(index, chunk).map_err(OpenError::Disk)
    }

    /// Returns when the recording ends: by its end record; where it has none, when its last packet came.
    ///
    /// # Errors
    /// As [`Recording::next_chunk`], for the chunks that are looked at; it is over then.
    pub fn length(&mut self, index: &Index) -> Result<Duration, OpenError> {
        let mut length = Duration::ZERO;
        for chunk in (0..index.chunks()).rev() {
            let first = if self.version() == Version::Zero { 0 } else { chunk };
            self.go_to(index, first).map_err(OpenError::Disk)?;
            for _ in first..=chunk {
                let Some(opened) = self.next_chunk()? else { break };
                length = opened.records().filter_map(Result::ok).filter_map(|record| ends(&record)).fold(length, Duration::max);
            }
            if !length.is_zero() || first == 0 {
                break;
            }
        }
        Ok(length)
    }

    /// Returns the chunks that have all which came from the one time on and before the other, whole as they are, and without that of the
    /// evidence; none of version 0, of whose chunks no span can be proven.
    ///
    /// # Errors
    /// As [`Recording::next_chunk`], for the chunks that are looked at; it is over then.
    pub fn chunks_of(&mut self, index: &Index, span: Range<Duration>) -> Result<Range<u32>, OpenError> {
        if self.version() == Version::Zero || index.chunks() < 2 {
            return Ok(0..0);
        }
        let first = self.last_before(index, span.start)?;
        let last = self.last_before(index, span.end.saturating_sub(Duration::from_micros(1)))?;
        let number = |chunk: usize| u32::try_from(chunk).unwrap_or(u32::MAX);
        Ok(number(first)..number(last + 1))
    }

    /// Returns the chunks from the first that has a packet of the span to the last that has one; none where none came then. Those between may have
    /// been taken out.
    ///
    /// # Errors
    /// As [`Recording::next_chunk`], for the chunks that are looked at; it is over then.
    pub fn chunks_heard(&mut self, index: &Index, span: Range<Duration>) -> Result<Range<u32>, OpenError> {
        let all = self.chunks_of(index, span.clone())?;
        let mut heard = None;
        self.go_to(index, usize::try_from(all.start).unwrap_or(usize::MAX)).map_err(OpenError::Disk)?;
        for chunk in all {
            let Some(opened) = self.next_chunk()? else { break };
            let came =
                opened.records().filter_map(Result::ok).filter_map(|record| arrived(&record)).any(|came| span.contains(&came));
            if came {
                heard = Some(heard.map_or(chunk..chunk + 1, |heard: Range<u32>| heard.start..chunk + 1));
            }
        }
        Ok(heard.unwrap_or_default())
    }

    /// Returns the last chunk that begins no later than this; or else the first after chunk 0, which is the evidence.
    fn last_before(&mut self, index: &Index, at: Duration) -> Result<usize, OpenError> {
        let (mut low, mut high) = (1, index.chunks());
        while low + 1 < high {
            let middle = low.midpoint(high);
            match self.begins(index, middle, high)? {
                Some(begins) if begins <= at => low = middle,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Returns when the chunk begins: the arrival of its first packet, or of the first in a chunk after it, below `end`.
    fn begins(&mut self, index: &Index, chunk: usize, end: usize) -> Result<Option<Duration>, OpenError> {
        self.go_to(index, chunk).map_err(OpenError::Disk)?;
        for _ in chunk..end {
            let Some(opened) = self.next_chunk()? else { break };
            let arrival = opened.records().filter_map(Result::ok).find_map(|record| arrived(&record));
            if arrival.is_some() {
                return Ok(arrival);
            }
        }
        Ok(None)
    }

    fn go_to(&mut self, index: &Index, chunk: usize) -> io::Result<()> {
        match (index.chunks.get(chunk), index.keys.get(chunk)) {
            (Some(&at), Some(key)) => self.stand_at(u32::try_from(chunk).unwrap_or(u32::MAX), at, key.copy()),
            (_, _) => self.stand_at(0, self.walk().first(), self.begin_again()),
        }
    }

    /// Returns where each chunk begins, as far as frames follow one another; what is wrong behind is found by whoever reads on.
    fn frames(&mut self) -> io::Result<Vec<u64>> {
        let mut chunks = Vec::new();
        let mut at = self.walk().first();
        let input = self.input();
        let end = input.seek(SeekFrom::End(0))?;
        loop {
            let mut bytes = [0; FRAME_BYTES];
            input.seek(SeekFrom::Start(at))?;
            match input.read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            let (index, length, place) = match (bytes, Frame::parse(bytes)) {
                ([KIND_HOLE, i0, i1, i2, i3, ..], _) => (u32::from_be_bytes([i0, i1, i2, i3]), HOLE_BYTES, Place::Middle),
                (_, Ok(frame)) => (frame.index, FRAME_BYTES + frame.length() + TAG_BYTES + CHECK_BYTES, frame.place),
                (_, Err(_)) => break,
            };
            let next = at + wide(length);
            if next > end || u32::try_from(chunks.len()) != Ok(index) {
                break;
            }
            chunks.push(at);
            at = next;
            if place == Place::Last {
                break;
            }
        }
        Ok(chunks)
    }
}

/// When a packet came.
const fn arrived<P>(record: &Record<P>) -> Option<Duration> {
    match record {
        Record::Rtp { came, .. } => Some(*came),
        Record::Evidence(_) | Record::Format(_) | Record::Gap(_) | Record::Quality(_) | Record::End(_) | Record::Other { .. } => {
            None
        }
    }
}

/// How long the recording goes on at least, by this record.
const fn ends<P>(record: &Record<P>) -> Option<Duration> {
    match record {
        Record::End(totals) => Some(totals.ended),
        Record::Rtp { .. }
        | Record::Evidence(_)
        | Record::Format(_)
        | Record::Gap(_)
        | Record::Quality(_)
        | Record::Other { .. } => arrived(record),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::ids::Leg;
    use crate::vault::fixture::{Made, at, make, packet};
    use crate::vault::{Buffers, EndReason, Recorder};

    /// A reader that counts.
    struct Counting<'r>(Cursor<&'r [u8]>, u64);

    impl Read for Counting<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(into)?;
            self.1 += read as u64;
            Ok(read)
        }
    }

    impl Seek for Counting<'_> {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn packets(recording: &mut Recording<Counting<'_>>) -> (Vec<Duration>, usize) {
        let (mut came, mut formats_before) = (Vec::new(), 0);
        while let Some(chunk) = recording.next_chunk().unwrap() {
            for record in chunk.records() {
                let record = record.unwrap();
                if let Record::Rtp { came: at, .. } = record {
                    came.push(at);
                }
                formats_before += usize::from(matches!(record, Record::Format(_)) && came.len() < 2000);
            }
        }
        (came, formats_before)
    }

    fn open(made: &Made) -> Recording<Counting<'_>> {
        Recording::open(Counting(Cursor::new(&made.rec), 0), &made.key, &made.secret).unwrap()
    }

    #[test]
    fn the_last_minute_of_two_hours_is_read_without_the_first() {
        // A packet a second of each leg: two hours are 7,200, and a chunk has one or two.
        let made = long(7200);
        let all = packets(&mut open(&made)).0;

        let mut recording = open(&made);
        let index = recording.index().unwrap();
        recording.seek(&index, Duration::from_secs(7140)).unwrap();
        let read = recording.walk_mut().input().1;
        let (tail, formats) = packets(&mut recording);

        assert!(tail.iter().zip(all.iter().skip(all.len() - tail.len())).all(|(found, wanted)| found == wanted));
        assert!(tail[0] <= Duration::from_secs(7080) && tail[0] >= Duration::from_secs(7070), "{:?}", tail[0]);
        assert!(formats >= 2, "both formats are said before what is wanted");
        let most = wide(made.rec.len()) / 3;
        assert!(read < most, "{read} bytes of {} were read to get there, frames alone", made.rec.len());
    }

    /// Half an hour of a call as calls are: 20 ms of A-law a packet, 16 KiB a chunk.
    #[test]
    fn a_minute_of_a_call_costs_that_minute_and_the_one_before_it() {
        let made = crate::vault::fixture::made_by(1, |permit, keep| {
            let mut recorder = Recorder::begin(permit, &Buffers::new());
            for number in 0..90_000_u64 {
                let packet = packet(Leg::Pbx, (number & 0xffff) as u16);
                keep(recorder.append(permit.cover(Leg::Pbx, at(number * 20), &packet).unwrap()));
            }
            recorder.end(EndReason::HungUp(Leg::Trunk), [0, 0], at(1_800_000))
        });

        let mut recording = open(&made);
        let index = recording.index().unwrap();
        let frames = recording.walk_mut().input().1;
        recording.seek(&index, Duration::from_secs(1740)).unwrap();
        let sought = recording.walk_mut().input().1;
        let (tail, _) = packets(&mut recording);
        let read = recording.walk_mut().input().1;

        let whole = wide(made.rec.len());
        // One byte more says whether something was taken out.
        let before = wide(crate::vault::format::HEADER_BYTES) + 1;
        assert_eq!(frames, before + 10 * wide(index.chunks()), "nothing but the frames");
        assert!(sought - frames < 20 * 17_000, "{sought} of {whole}");
        assert!(tail.len() >= 3000 && read < whole * 2 / 30 + whole / 50, "{read} of {whole}");
    }

    #[test]
    fn every_second_of_it_is_found_and_nothing_is_missing_from_there_on() {
        let made = long(300);
        let all = packets(&mut open(&made)).0;

        let mut recording = open(&made);
        let index = recording.index().unwrap();
        for second in [0, 1, 59, 60, 61, 119, 120, 121, 150, 239, 240, 241, 299, 300, 100_000, 7] {
            let from = Duration::from_secs(second);
            recording.seek(&index, from).unwrap();
            let (tail, formats) = packets(&mut recording);
            let wanted = all.iter().filter(|came| **came >= from).count();
            assert!(
                tail.len() >= wanted && (formats >= 2 || wanted == 0),
                "{second}: {} of {wanted}, {formats} formats",
                tail.len()
            );
            assert_eq!(tail, all[all.len() - tail.len()..], "{second}");
        }
    }

    #[test]
    fn a_recording_that_was_cut_is_sought_as_far_as_it_is_whole() {
        let made = long(200);
        let cut = &made.rec[..made.rec.len() * 3 / 4];
        let mut recording = Recording::open(Counting(Cursor::new(cut), 0), &made.key, &made.secret).unwrap();

        let index = recording.index().unwrap();
        recording.seek(&index, Duration::from_secs(140)).unwrap();

        let mut came = Vec::new();
        let end = loop {
            match recording.next_chunk() {
                Ok(Some(chunk)) => came.extend(chunk.records().filter_map(|record| {
                    let Record::Rtp { came, .. } = record.unwrap() else { return None };
                    Some(came)
                })),
                Ok(None) => panic!("it has no end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(end, OpenError::Cut(_)), "{end}");
        assert!(came[0] <= Duration::from_secs(80) && came.last().unwrap() > &Duration::from_secs(140));
    }

    #[test]
    fn one_without_packets_begins_at_its_beginning() {
        let made = make(3, 0);
        let mut recording = open(&made);

        let index = recording.index().unwrap();
        recording.seek(&index, Duration::from_secs(5)).unwrap();

        assert!(recording.next_chunk().unwrap().is_some_and(|chunk| chunk.index == 1));
    }

    #[test]
    fn it_is_known_how_long_a_recording_is_by_its_end_or_its_last_packet() {
        let made = long(100);
        let cut = &made.rec[..made.rec.len() * 3 / 4];
        let empty = make(3, 0);
        let lengths = [made.rec.as_slice(), cut].map(|rec| {
            let mut recording = Recording::open(Counting(Cursor::new(rec), 0), &made.key, &made.secret).unwrap();
            let index = recording.index().unwrap();
            recording.length(&index).unwrap()
        });
        let mut recording = open(&empty);
        let index = recording.index().unwrap();

        assert_eq!(lengths[0], Duration::from_secs(100));
        assert!((70..80).contains(&lengths[1].as_secs()) && lengths[1].subsec_micros() == 0, "{lengths:?}");
        assert_eq!(recording.length(&index).unwrap(), Duration::from_millis(50), "by its end record alone");
    }

    #[test]
    fn the_chunks_of_a_span_have_all_of_it_and_less_than_a_chunk_more_at_either_end() {
        let made = long(300);
        let mut recording = open(&made);
        let index = recording.index().unwrap();
        for (from, to) in [(0, 1), (0, 300), (17, 18), (100, 160), (299, 300), (250, 1000)] {
            let chunks = recording.chunks_of(&index, Duration::from_secs(from)..Duration::from_secs(to)).unwrap();

            recording.go_to(&index, chunks.start as usize).unwrap();
            let mut came = Vec::new();
            for _ in chunks.clone() {
                let chunk = recording.next_chunk().unwrap().unwrap();
                came.extend(chunk.records().filter_map(|record| arrived(&record.unwrap())).map(|came| came.as_secs()));
            }
            came.dedup();
            let (first, last) = (came[0], came[came.len() - 1]);
            assert!(first <= from && first + 2 > from && chunks.start >= 1, "{from}–{to}: {came:?}");
            assert!(last + 1 >= to.min(300) && last <= to, "{from}–{to}: {came:?}");
        }
    }

    /// A recording of so many seconds, with a packet of each leg in each.
    fn long(seconds: u16) -> Made {
        crate::vault::fixture::made_by(1, |permit, keep| {
            let mut recorder = Recorder::begin(permit, &Buffers::new());
            for leg in Leg::BOTH {
                keep(recorder.format(leg, 8, "PCMA", 8000, 1, at(0)));
            }
            for second in 0..seconds {
                for leg in Leg::BOTH {
                    let came = at(u64::from(second) * 1000);
                    keep(recorder.append(permit.cover(leg, came, &packet(leg, second)).unwrap()));
                }
            }
            recorder.end(EndReason::HungUp(Leg::Trunk), [0, 0], at(u64::from(seconds) * 1000))
        })
    }
}
