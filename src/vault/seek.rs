//! Opening a recording in its middle: only frames are read on the way there, and a handful of chunks.
//!
//! ```text
//!   header │ 0 │ 1 │ 2 │ … │ j │ … │ k │ …          k: what came from the wanted time on
//!            frames alone     └ 60 s ┘               j: where every format has been said again (`manual/format.md`)
//! ```

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::time::Duration;

use crate::limits::FORMATS_AGAIN;
use crate::vault::format::{CHECK_BYTES, FRAME_BYTES, Frame, HEADER_BYTES, Place, TAG_BYTES, Version, wide};
use crate::vault::ratchet::Ratchet;
use crate::vault::{OpenError, Record, Recording};

impl<R: Read + Seek> Recording<R> {
    /// Moves to a chunk from which on all is given that came from this time of the recording on, and before it every format that was in force:
    /// [`Recording::next_chunk`] goes on from there. What came somewhat earlier is given too.
    ///
    /// Of what is passed over only the frames are read, and some twenty chunks are opened. Each chunk that is given is checked and opened as
    /// ever; the recording as a whole is not verified by it. A recording of version 0, whose chunks are not checked alone, begins at its beginning.
    ///
    /// # Errors
    /// As [`Recording::next_chunk`], for the chunks that are looked at; it is over then.
    pub fn seek(&mut self, from: Duration) -> Result<(), OpenError> {
        if self.version() != Version::One {
            return self.stand_at(0, wide(HEADER_BYTES), self.begin_again()).map_err(OpenError::Disk);
        }
        let ratchet = self.begin_again();
        let chunks = self.frames().map_err(OpenError::Disk)?;
        // The key of a chunk comes from the one before: forwards only, so that those of all are kept while it is searched.
        let mut keys = Vec::with_capacity(chunks.len());
        let mut next = Some(ratchet);
        while let (Some(ratchet), true) = (next.take(), keys.len() < chunks.len()) {
            next = ratchet.after();
            keys.push(ratchet);
        }
        let from = from.saturating_sub(FORMATS_AGAIN);
        // Chunk 0 is the evidence. The last chunk after it that begins no later than that, or else the first.
        let (mut low, mut high) = (1, chunks.len());
        while low + 1 < high {
            let middle = low.midpoint(high);
            match self.begins(&chunks, &keys, middle, high)? {
                Some(begins) if begins <= from => low = middle,
                Some(_) | None => high = middle,
            }
        }
        self.go_to(&chunks, &keys, low).map_err(OpenError::Disk)
    }

    /// Returns when the chunk begins: the arrival of its first packet, or of the first in a chunk after it, below `end`.
    fn begins(&mut self, chunks: &[u64], keys: &[Ratchet], chunk: usize, end: usize) -> Result<Option<Duration>, OpenError> {
        self.go_to(chunks, keys, chunk).map_err(OpenError::Disk)?;
        for _ in chunk..end {
            let Some(opened) = self.next_chunk()? else { break };
            let arrival = opened.records().find_map(|record| match record {
                Ok(Record::Rtp { came, .. }) => Some(came),
                Ok(
                    Record::Evidence(_)
                    | Record::Format(_)
                    | Record::Gap(_)
                    | Record::Quality(_)
                    | Record::End(_)
                    | Record::Other { .. },
                )
                | Err(_) => None,
            });
            if arrival.is_some() {
                return Ok(arrival);
            }
        }
        Ok(None)
    }

    fn go_to(&mut self, chunks: &[u64], keys: &[Ratchet], chunk: usize) -> io::Result<()> {
        let (Some(&at), Some(key)) = (chunks.get(chunk), keys.get(chunk)) else { return Ok(()) };
        let index = u32::try_from(chunk).unwrap_or(u32::MAX);
        self.stand_at(index, at, key.copy())
    }

    /// Returns where each chunk begins, as far as frames follow one another; what is wrong behind is found by whoever reads on.
    fn frames(&mut self) -> io::Result<Vec<u64>> {
        let mut chunks = Vec::new();
        let mut at = wide(HEADER_BYTES);
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
            let Ok(frame) = Frame::parse(bytes) else { break };
            let next = at + wide(FRAME_BYTES + frame.length() + TAG_BYTES + CHECK_BYTES);
            if next > end || u32::try_from(chunks.len()) != Ok(frame.index) {
                break;
            }
            chunks.push(at);
            at = next;
            if frame.place == Place::Last {
                break;
            }
        }
        Ok(chunks)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
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
        recording.seek(Duration::from_secs(7140)).unwrap();
        let read = recording.walk_mut().input().1;
        let (tail, formats) = packets(&mut recording);

        assert!(tail.iter().zip(all.iter().skip(all.len() - tail.len())).all(|(found, wanted)| found == wanted));
        assert!(tail[0] <= Duration::from_secs(7080) && tail[0] >= Duration::from_secs(7070), "{:?}", tail[0]);
        assert!(formats >= 2, "both formats are said before what is wanted");
        let most = wide(made.rec.len()) / 3;
        assert!(read < most, "{read} bytes of {} were read to get there, frames alone", made.rec.len());
    }

    #[test]
    fn every_second_of_it_is_found_and_nothing_is_missing_from_there_on() {
        let made = long(300);
        let all = packets(&mut open(&made)).0;

        let mut recording = open(&made);
        for second in [0, 1, 59, 60, 61, 119, 120, 121, 150, 239, 240, 241, 299, 300, 100_000, 7] {
            let from = Duration::from_secs(second);
            recording.seek(from).unwrap();
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

        recording.seek(Duration::from_secs(140)).unwrap();

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

        recording.seek(Duration::from_secs(5)).unwrap();

        assert!(recording.next_chunk().unwrap().is_some_and(|chunk| chunk.index == 1));
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
