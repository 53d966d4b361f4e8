//! The recorder: the half of the vault on the media thread, which gathers covered packets into chunks and knows no key.

use std::fmt;
use std::mem;
use std::time::Duration;

use crate::consent::{Covered, Permit};
use crate::ids::{CallId, Leg, RecordingId};
use crate::limits::{CHUNK_AGE, CHUNK_BYTES, FORMAT_NAME_BYTES, FORMATS, FORMATS_AGAIN, MEDIA_PACKET_BYTES};
use crate::time::Moment;
use crate::vault::content::{self, END_BYTES, GAP_BYTES, QUALITY_BYTES, RTP_OVERHEAD, offset};
use crate::vault::{Buffers, EndReason, Format, Gap, GapReason, LegTotals, Quality};

/// Gathers one recording's packets into chunks.
///
/// Each verb that may fill a chunk returns the full one: it must go to the sealer's lane, or, where the lane is full, back through
/// [`Recorder::lost`]. One chunk of at most [`CHUNK_BYTES`] is held, from its first record until it is full or [`CHUNK_AGE`] old;
/// its buffer never grows, so that growing leaves no copy of a voice behind.
#[must_use = "a recorder that is dropped leaves a torn recording"]
pub struct Recorder {
    recording: RecordingId,
    call: CallId,
    began: Moment,
    buffers: Buffers,
    open: Option<PlainChunk>,
    formats: Vec<Format>,
    /// When all of them were said last.
    said_at: Moment,
    /// What a lost chunk said, and the next one must say again.
    owed: Owed,
    /// How good the legs were, once that is known.
    quality: [Option<Quality>; 2],
}

#[derive(Default)]
struct Owed {
    formats: bool,
    gaps: Vec<Gap>,
}

impl Recorder {
    /// Begins a recording; its times count from the moment of the grant.
    pub fn begin(permit: &Permit, buffers: &Buffers) -> Self {
        Self {
            recording: permit.evidence().recording(),
            call: permit.call(),
            began: permit.granted(),
            buffers: buffers.clone(),
            open: None,
            formats: Vec::new(),
            said_at: permit.granted(),
            owed: Owed::default(),
            quality: [None, None],
        }
    }

    /// Returns the name of the recording.
    #[must_use]
    pub const fn recording(&self) -> RecordingId {
        self.recording
    }

    /// Says what a payload type means on a leg, from here on.
    #[must_use = "the chunk must reach the sealer, or `lost`"]
    pub fn format(
        &mut self,
        leg: Leg,
        payload_type: u8,
        name: &str,
        clock: u32,
        channels: u8,
        now: Moment,
    ) -> Option<PlainChunk> {
        let name = name.get(..name.floor_char_boundary(FORMAT_NAME_BYTES)).unwrap_or(name).to_owned();
        let format = Format { leg, since: offset(self.began, now), payload_type, clock, channels, name };
        self.formats.retain(|known| (known.leg, known.payload_type) != (leg, payload_type));
        if self.formats.len() == FORMATS {
            self.formats.remove(0);
        }
        self.formats.push(format.clone());
        let full = self.make_room(FORMAT_BYTES, now);
        let says_all = self.open.is_none() && (self.owed.formats || now.since(self.said_at) >= FORMATS_AGAIN);
        let chunk = self.chunk(now);
        if !says_all {
            content::put_format(&mut chunk.bytes, &format);
        }
        full
    }

    /// Takes a packet.
    ///
    /// One of another call, or from before the grant, is a bug of ours; it is not kept.
    #[must_use = "the chunk must reach the sealer, or `lost`"]
    pub fn append(&mut self, covered: Covered<'_>) -> Option<PlainChunk> {
        let (leg, came, packet) = (covered.leg(), covered.came(), covered.packet());
        let is_ours = covered.call() == self.call && came >= self.began;
        debug_assert!(is_ours, "a permit covers its own call, from its grant on");
        if !is_ours {
            return None;
        }
        if packet.len() > MEDIA_PACKET_BYTES {
            return self.gap(Some(leg), GapReason::TooLong, came, came, 1);
        }
        let full = self.make_room(RTP_OVERHEAD + packet.len(), came);
        let came_after = offset(self.began, came);
        let chunk = self.chunk(came);
        content::put_rtp(&mut chunk.bytes, &mut chunk.clock, leg, came_after, packet);
        chunk.count.packet(leg, came_after, packet.len());
        full
    }

    /// Says that packets are missing: of a leg, or of both.
    #[must_use = "the chunk must reach the sealer, or `lost`"]
    pub fn gap(&mut self, leg: Option<Leg>, reason: GapReason, from: Moment, to: Moment, packets: u64) -> Option<PlainChunk> {
        let full = self.make_room(GAP_BYTES, to);
        let gap = Gap { leg, reason, from: offset(self.began, from), to: offset(self.began, to), packets };
        self.chunk(to).put_gap(gap);
        full
    }

    /// Takes back a chunk that found no place in the lane: what was in it becomes gaps in the next chunk.
    ///
    /// Gaps that were already in it are said again with their own reasons; those of one leg and reason become one.
    pub fn lost(&mut self, chunk: PlainChunk) {
        self.owed.take(&chunk, GapReason::LaneFull);
        self.owed.formats = true;
    }

    /// Returns when to call [`Recorder::age`]: when the open chunk's oldest record will be [`CHUNK_AGE`] old.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.open.as_ref().map(|chunk| chunk.opened + CHUNK_AGE)
    }

    /// Returns the open chunk where it is old enough.
    #[must_use = "the chunk must reach the sealer, or `lost`"]
    pub fn age(&mut self, now: Moment) -> Option<PlainChunk> {
        if self.deadline()? <= now { self.open.take() } else { None }
    }

    /// Says how good what came from a leg was. It stands before the end record; said again, the last counts.
    pub const fn quality(&mut self, quality: Quality) {
        let [pbx, trunk] = &mut self.quality;
        match quality.leg {
            Leg::Pbx => *pbx = Some(quality),
            Leg::Trunk => *trunk = Some(quality),
        }
    }

    /// Ends the recording. `withheld` counts the packets of each leg that were not stored on purpose (pressed keys).
    #[must_use = "without its last chunk the recording stays torn"]
    pub fn end(mut self, why: EndReason, withheld: [u64; 2], now: Moment) -> LastChunk {
        let ended = offset(self.began, now);
        // What is still owed has its room: `make_room` keeps it free.
        let owed = mem::take(&mut self.owed.gaps);
        let quality = self.quality;
        let chunk = self.chunk(now);
        owed.into_iter().for_each(|gap| chunk.put_gap(gap));
        quality.iter().flatten().for_each(|quality| content::put_quality(&mut chunk.bytes, quality));
        let chunk = self.open.take().expect("`chunk` has just opened it");
        LastChunk { chunk, why, withheld, ended }
    }

    /// Returns the open chunk if it has no room for `bytes` more or is too old to take them.
    fn make_room(&mut self, bytes: usize, now: Moment) -> Option<PlainChunk> {
        let chunk = self.open.as_ref()?;
        let is_full = chunk.bytes.len() + bytes > ROOM;
        let is_old = now >= chunk.opened + CHUNK_AGE;
        if is_full || is_old { self.open.take() } else { None }
    }

    /// Returns the open chunk, or opens one, which begins with what is owed.
    fn chunk(&mut self, now: Moment) -> &mut PlainChunk {
        let Self { open, owed, formats, said_at, buffers, recording, .. } = self;
        open.get_or_insert_with(|| {
            let mut chunk = PlainChunk::new(*recording, buffers, now);
            let owed = mem::take(owed);
            if owed.formats || now.since(*said_at) >= FORMATS_AGAIN {
                *said_at = now;
                formats.iter().for_each(|format| content::put_format(&mut chunk.bytes, format));
            }
            owed.gaps.into_iter().for_each(|gap| chunk.put_gap(gap));
            chunk
        })
    }
}

/// Says which recording it is, and nothing of what is in it.
impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({:?})", self.recording)
    }
}

impl Owed {
    fn add(&mut self, gap: Gap) {
        merge(&mut self.gaps, gap);
    }

    /// Owes what was in a chunk: its packets as gaps for this reason, its gaps for their own.
    fn take(&mut self, chunk: &PlainChunk, why: GapReason) {
        let [pbx, trunk] = chunk.count.legs;
        for (leg, totals) in [(Leg::Pbx, pbx), (Leg::Trunk, trunk)] {
            if totals.packets > 0 {
                let (from, to, packets) = (totals.first, totals.last, totals.packets);
                self.add(Gap { leg: Some(leg), reason: why, from, to, packets });
            }
        }
        chunk.count.gaps.iter().for_each(|gap| self.add(*gap));
    }
}

/// A chunk before it is sealed. It is wiped when it is dropped, and its buffer goes back to [`Buffers`].
#[must_use = "a chunk that reaches neither the sealer nor `Recorder::lost` is missing without a gap"]
pub struct PlainChunk {
    recording: RecordingId,
    bytes: Vec<u8>,
    /// Where the times in it have come to.
    clock: u64,
    opened: Moment,
    count: Count,
    home: Buffers,
}

impl PlainChunk {
    fn new(recording: RecordingId, home: &Buffers, now: Moment) -> Self {
        Self { recording, bytes: home.take(), clock: 0, opened: now, count: Count::default(), home: home.clone() }
    }

    /// Returns the recording it belongs to.
    #[must_use]
    pub const fn recording(&self) -> RecordingId {
        self.recording
    }

    /// Returns the bytes of its records.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the moment of its oldest record.
    #[must_use]
    pub const fn opened(&self) -> Moment {
        self.opened
    }

    /// Returns how many packets it holds.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        let [pbx, trunk] = self.count.legs;
        pbx.packets + trunk.packets
    }

    pub(super) const fn count(&self) -> &Count {
        &self.count
    }

    pub(super) const fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes note that the buffer holds ciphertext, of which nothing need be wiped.
    pub(super) fn is_sealed(&mut self) {
        self.bytes.clear();
    }

    fn put_gap(&mut self, gap: Gap) {
        content::put_gap(&mut self.bytes, &gap);
        self.count.gap(gap);
    }
}

/// What chunks that found no place on the disk held: packets that are gaps from now on, and formats that are said again.
pub(super) struct Lost {
    recording: RecordingId,
    opened: Moment,
    home: Buffers,
    owed: Owed,
    formats: Vec<Format>,
}

impl Lost {
    /// Begins with this chunk, which is wiped.
    pub(super) fn begin(chunk: PlainChunk, why: GapReason) -> Self {
        let (recording, opened, home) = (chunk.recording, chunk.opened, chunk.home.clone());
        let mut lost = Self { recording, opened, home, owed: Owed::default(), formats: Vec::new() };
        lost.add(&chunk, why);
        lost
    }

    /// Adds another; its packets become part of the same gaps.
    pub(super) fn add(&mut self, chunk: &PlainChunk, why: GapReason) {
        self.owed.take(chunk, why);
        for record in content::Records::new(&chunk.bytes) {
            let Ok(content::Record::Format(format)) = record else { continue };
            self.formats.retain(|known| (known.leg, known.payload_type) != (format.leg, format.payload_type));
            self.formats.truncate(FORMATS - 1);
            self.formats.push(format);
        }
    }

    /// Returns the chunk that says it.
    pub(super) fn into_chunk(self) -> PlainChunk {
        let mut chunk = PlainChunk::new(self.recording, &self.home, self.opened);
        self.formats.iter().for_each(|format| content::put_format(&mut chunk.bytes, format));
        self.owed.gaps.into_iter().for_each(|gap| chunk.put_gap(gap));
        chunk
    }
}

impl Drop for PlainChunk {
    fn drop(&mut self) {
        self.home.give(mem::take(&mut self.bytes));
    }
}

/// Says whose it is and how long, and nothing of what is in it.
impl fmt::Debug for PlainChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainChunk({:?}, {} bytes)", self.recording, self.bytes.len())
    }
}

/// The last chunk of a recording; the sealer adds the end record to it.
#[must_use = "without its last chunk the recording stays torn"]
#[derive(Debug)]
pub struct LastChunk {
    pub(super) chunk: PlainChunk,
    pub(super) why: EndReason,
    pub(super) withheld: [u64; 2],
    pub(super) ended: Duration,
}

impl LastChunk {
    /// Returns the recording it belongs to.
    #[must_use]
    pub const fn recording(&self) -> RecordingId {
        self.chunk.recording
    }
}

/// What a chunk holds.
#[derive(Default)]
pub(super) struct Count {
    pub(super) legs: [LegTotals; 2],
    /// Its gaps, those of one leg and reason as one.
    gaps: Vec<Gap>,
    pub(super) gap_records: u64,
    pub(super) gap_packets: u64,
}

impl Count {
    pub(super) fn packet(&mut self, leg: Leg, came: Duration, bytes: usize) {
        let [pbx, trunk] = &mut self.legs;
        match leg {
            Leg::Pbx => pbx.count(came, bytes),
            Leg::Trunk => trunk.count(came, bytes),
        }
    }

    pub(super) fn gap(&mut self, gap: Gap) {
        self.gap_records += 1;
        self.gap_packets = self.gap_packets.saturating_add(gap.packets);
        merge(&mut self.gaps, gap);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.legs.iter_mut().zip(other.legs).for_each(|(leg, other)| leg.merge(other));
        self.gap_records += other.gap_records;
        self.gap_packets = self.gap_packets.saturating_add(other.gap_packets);
    }
}

fn merge(gaps: &mut Vec<Gap>, gap: Gap) {
    match gaps.iter_mut().find(|known| (known.leg, known.reason) == (gap.leg, gap.reason)) {
        Some(known) => {
            known.from = known.from.min(gap.from);
            known.to = known.to.max(gap.to);
            known.packets = known.packets.saturating_add(gap.packets);
        }
        None => gaps.push(gap),
    }
}

/// The most a format record takes: kind, length, leg, payload type, channels, clock, time, name.
const FORMAT_BYTES: usize = 6 + 5 + 10 + FORMAT_NAME_BYTES;

/// Up to here records are put. Behind it is room for the end record, the quality of both legs, and every gap that can be owed: three kinds of
/// leg by the six reasons that we write.
const ROOM: usize = CHUNK_BYTES - END_BYTES - 2 * QUALITY_BYTES - 18 * GAP_BYTES;

// A new chunk has room for all that is owed, and for the longest packet after it.
const _: () = assert!(FORMATS * FORMAT_BYTES + 18 * GAP_BYTES + RTP_OVERHEAD + MEDIA_PACKET_BYTES <= ROOM);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::limits::CHUNK_BUFFERS_RESTING;
    use crate::vault::fixture::{GRANTED, at, packet, permit};
    use crate::vault::{Record, Records};

    fn recorder() -> (Permit, Recorder) {
        let permit = permit(1);
        let recorder = Recorder::begin(&permit, &Buffers::new());
        (permit, recorder)
    }

    fn records(chunk: &PlainChunk) -> Vec<Record> {
        Records::new(&chunk.bytes).map(|record| record.unwrap().into_owned()).collect()
    }

    fn append(recorder: &mut Recorder, permit: &Permit, leg: Leg, number: u16, came: Moment) -> Option<PlainChunk> {
        let packet = packet(leg, number);
        recorder.append(permit.cover(leg, came, &packet).unwrap())
    }

    #[test]
    fn within_a_minute_every_format_is_said_again() {
        let permit = permit(1);
        let mut recorder = Recorder::begin(&permit, &Buffers::new());
        assert!(recorder.format(Leg::Pbx, 8, "PCMA", 8000, 1, at(0)).is_none());
        assert!(recorder.format(Leg::Trunk, 0, "PCMU", 8000, 1, at(0)).is_none());
        let mut said = Vec::new();
        for number in 0..400_u16 {
            let came = at(u64::from(number) * 500);
            let full = recorder.append(permit.cover(Leg::Pbx, came, &packet(Leg::Pbx, number)).unwrap());
            said.extend(full.map(|chunk| {
                let records = Records::new(&chunk.bytes).map(Result::unwrap);
                let formats = records.filter(|record| matches!(record, Record::Format(_))).count();
                (chunk.opened, formats)
            }));
        }

        let again: Vec<_> = said.iter().filter(|(_, formats)| *formats > 0).map(|&(opened, formats)| (opened, formats)).collect();
        assert_eq!(again, [(at(0), 2), (at(60_000), 2), (at(120_000), 2), (at(180_000), 2)]);
    }

    #[test]
    fn a_packet_is_kept_as_it_came() {
        let (permit, mut recorder) = recorder();
        assert!(append(&mut recorder, &permit, Leg::Trunk, 1, at(20)).is_none());

        let chunk = recorder.age(at(520)).unwrap();

        let expected = Record::Rtp { leg: Leg::Trunk, came: Duration::from_millis(20), packet: packet(Leg::Trunk, 1) };
        assert_eq!(records(&chunk), [expected]);
        assert_eq!(chunk.packets(), 1);
    }

    #[test]
    fn a_chunk_is_handed_out_at_half_a_second_and_not_before() {
        let (permit, mut recorder) = recorder();
        assert_eq!(recorder.deadline(), None);
        assert!(append(&mut recorder, &permit, Leg::Pbx, 1, at(0)).is_none());
        assert_eq!(recorder.deadline(), Some(at(500)));

        assert!(recorder.age(at(499)).is_none());
        assert!(recorder.age(at(500)).is_some());
        assert_eq!(recorder.deadline(), None);
    }

    #[test]
    fn a_packet_that_finds_the_chunk_too_old_goes_into_the_next() {
        let (permit, mut recorder) = recorder();
        assert!(append(&mut recorder, &permit, Leg::Pbx, 1, at(0)).is_none());

        let full = append(&mut recorder, &permit, Leg::Pbx, 2, at(500)).unwrap();

        assert_eq!((full.packets(), recorder.deadline()), (1, Some(at(1000))));
    }

    #[test]
    fn a_full_chunk_is_handed_out_and_its_buffer_has_not_grown() {
        let (permit, mut recorder) = recorder();
        let full = (0..).find_map(|number| append(&mut recorder, &permit, Leg::Pbx, number, at(u64::from(number)))).unwrap();

        assert!(full.size_bytes() <= ROOM && full.size_bytes() > ROOM - 200);
        assert_eq!(full.bytes.capacity(), CHUNK_BYTES);
        assert_eq!(
            full.packets() * 177 - 1,
            u64::try_from(full.size_bytes()).unwrap(),
            "5 bytes each at 1 ms, the first at 0 has 4"
        );
    }

    #[test]
    fn a_lost_chunk_becomes_gaps_and_what_was_said_in_it_is_said_again() {
        let (permit, mut recorder) = recorder();
        assert!(recorder.format(Leg::Pbx, 8, "PCMA", 8000, 1, GRANTED).is_none());
        assert!(append(&mut recorder, &permit, Leg::Pbx, 1, at(10)).is_none());
        assert!(append(&mut recorder, &permit, Leg::Pbx, 2, at(30)).is_none());
        assert!(recorder.gap(None, GapReason::Paused, at(40), at(50), 0).is_none());
        let chunk = recorder.age(at(500)).unwrap();
        recorder.lost(chunk);
        assert!(append(&mut recorder, &permit, Leg::Trunk, 3, at(600)).is_none());

        let chunk = recorder.age(at(1100)).unwrap();

        let ms = Duration::from_millis;
        let gap = |leg, reason, from, to, packets| Record::Gap(Gap { leg, reason, from: ms(from), to: ms(to), packets });
        let records = records(&chunk);
        assert!(matches!(&records[0], Record::Format(format) if format.name == "PCMA"));
        assert_eq!(records[1], gap(Some(Leg::Pbx), GapReason::LaneFull, 10, 30, 2));
        assert_eq!(records[2], gap(None, GapReason::Paused, 40, 50, 0));
        assert!(matches!(records[3], Record::Rtp { leg: Leg::Trunk, .. }));
    }

    #[test]
    fn chunks_lost_one_after_the_other_are_one_gap_of_each_leg_from_their_first_packet_to_their_last() {
        let (permit, mut recorder) = recorder();
        for number in 0..3 {
            let came = 1000 * u64::from(number);
            assert!(append(&mut recorder, &permit, Leg::Pbx, number, at(came)).is_none());
            assert!(append(&mut recorder, &permit, Leg::Trunk, number, at(came + 5)).is_none());
            // Its gap lies in the next, which is lost as well.
            let chunk = recorder.age(at(came + 500)).unwrap();
            recorder.lost(chunk);
        }

        let last = recorder.end(EndReason::Stopped, [0, 0], at(3000));

        let ms = Duration::from_millis;
        let gap = |leg, from, to| {
            Record::Gap(Gap { leg: Some(leg), reason: GapReason::LaneFull, from: ms(from), to: ms(to), packets: 3 })
        };
        assert_eq!(records(&last.chunk), [gap(Leg::Pbx, 0, 2000), gap(Leg::Trunk, 5, 2005)]);
    }

    #[test]
    fn a_chunk_lost_just_before_the_end_is_a_gap_in_the_last() {
        let (permit, mut recorder) = recorder();
        assert!(append(&mut recorder, &permit, Leg::Pbx, 1, at(10)).is_none());
        let full = append(&mut recorder, &permit, Leg::Pbx, 2, at(510)).unwrap();
        recorder.lost(full);

        let last = recorder.end(EndReason::Stopped, [0, 0], at(511));

        let records = records(&last.chunk);
        assert!(matches!(records[0], Record::Rtp { .. }));
        assert!(matches!(records[1], Record::Gap(Gap { reason: GapReason::LaneFull, packets: 1, .. })));
    }

    #[test]
    fn a_packet_that_is_too_long_is_a_gap() {
        let (permit, mut recorder) = recorder();
        let packet = [0; MEDIA_PACKET_BYTES + 1];
        assert!(recorder.append(permit.cover(Leg::Pbx, at(5), &packet).unwrap()).is_none());

        let chunk = recorder.age(at(505)).unwrap();

        assert!(matches!(records(&chunk)[..], [Record::Gap(Gap { reason: GapReason::TooLong, packets: 1, .. })]));
    }

    #[test]
    fn a_dropped_chunk_leaves_a_wiped_buffer_that_is_used_again() {
        let (permit, mut recorder) = recorder();
        assert!(append(&mut recorder, &permit, Leg::Pbx, 1, at(0)).is_none());
        let chunk = recorder.age(at(500)).unwrap();
        let (place, written) = (chunk.bytes.as_ptr(), chunk.bytes.len());
        drop(chunk);

        let rested = recorder.buffers.resting().remove(0);
        let again = recorder.buffers.take();

        assert_eq!(rested, vec![0; written]);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn no_more_buffers_rest_than_may() {
        let buffers = Buffers::new();

        (0..=CHUNK_BUFFERS_RESTING).for_each(|_| buffers.give(Vec::new()));

        assert_eq!(buffers.resting().len(), CHUNK_BUFFERS_RESTING);
    }

    #[test]
    fn formats_beyond_the_limit_push_out_the_oldest() {
        let (_permit, mut recorder) = recorder();
        for payload_type in 0..40 {
            assert!(recorder.format(Leg::Pbx, payload_type, &"Ä".repeat(90), 8000, 1, GRANTED).is_none());
        }

        assert_eq!(recorder.formats.len(), FORMATS);
        assert_eq!(recorder.formats[0].payload_type, 8);
        assert_eq!(recorder.formats[0].name, "Ä".repeat(32));
    }

    #[test]
    fn nothing_of_a_voice_is_printed() {
        let (permit, mut recorder) = recorder();
        assert!(append(&mut recorder, &permit, Leg::Pbx, 1, at(0)).is_none());
        let chunk = recorder.age(at(500)).unwrap();

        assert_eq!(format!("{chunk:?}"), "PlainChunk(rec-01010101010101010101010101010101, 176 bytes)");
    }
}
