//! Both legs on one timeline: takes packets as they came, gives stereo sound as it is settled, and holds no more than [`KEEP`] of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use crate::codec::Codec;
use crate::export::coding::{Coding, Codings};
use crate::export::stream::{HOLD, LATEST, MS, Sink, Step, Stream, TICKS, Taken, Tick, per_step};
use crate::ids::Leg;
use crate::sound::resample::Riser;
use crate::vault::Format;
use crate::wire::rtp::{self, Rtp};

/// How long sound may still be put into place: a packet is held, lies so long before it came, and its stream jumped no farther.
pub(super) const KEEP: Tick = HOLD + LATEST + 1000 * MS;

/// How long before a window sound is given, so that its resamplers know what came before it.
const LEAD: Tick = 1000 * MS;

/// Streams of one leg that are followed at once. More: the one that has been quiet the longest ends.
const STREAMS: usize = 16;

/// Names of codings that are counted apart. More are counted as one.
const NAMES: usize = 32;

/// Samples a second of what is written. Sound of a lower rate is raised to it, sound of this rate comes out sample for sample.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rate {
    /// 8 kHz: all of the sound is G.711, or as narrow.
    Narrow,
    /// 16 kHz: the widest of it is G.722, or as wide.
    Wide,
    /// 48 kHz: some of it is wider.
    Full,
}

impl Rate {
    /// Returns the lowest that has room for sound of so many samples a second.
    pub(super) const fn above(sample_rate: u32) -> Self {
        match sample_rate {
            ..=8000 => Self::Narrow,
            8001..=16_000 => Self::Wide,
            16_001.. => Self::Full,
        }
    }

    pub(super) const fn hz(self) -> u32 {
        match self {
            Self::Narrow => 8000,
            Self::Wide => 16_000,
            Self::Full => 48_000,
        }
    }

    /// How many samples are before this tick.
    fn samples(self, ticks: Tick) -> u64 {
        u64::try_from(ticks).unwrap_or(0).saturating_mul(u64::from(self.hz() / 8000))
    }
}

/// Both legs of a recording.
#[derive(Debug)]
pub(super) struct Timeline {
    legs: [Track; 2],
    /// The latest arrival.
    now: Tick,
    /// How far the sound has been given away.
    given: Tick,
}

impl Timeline {
    /// Of all of a recording, or of what lies in the window: that is given from a second before it on, and counted from its beginning on.
    pub(super) fn new(rate: Rate, window: Option<Range<Tick>>) -> Self {
        let given = window.as_ref().map_or(0, |window| (window.start - LEAD).max(0));
        Self { legs: [(); 2].map(|()| Track::new(rate, given, window.clone())), now: 0, given }
    }

    /// Returns how many of the samples that are given next lie before there.
    pub(super) fn lead(&self, start: Tick) -> usize {
        let [track, _] = &self.legs;
        usize::try_from(track.lines.rate.samples(start).saturating_sub(track.lines.given)).unwrap_or(usize::MAX)
    }

    /// Learns what a payload type means on a leg from here on.
    pub(super) fn learn(&mut self, format: &Format) {
        self.leg(format.leg).codings.learn(format);
    }

    /// Takes a packet of a leg. What came before it by [`HOLD`] is placed.
    pub(super) fn take(&mut self, leg: Leg, came: Tick, packet: &[u8]) {
        self.pass(came);
        self.leg(leg).take(came, packet);
    }

    /// Lets time pass without a packet.
    pub(super) fn pass(&mut self, now: Tick) {
        self.now = self.now.max(now);
        let due = self.now - HOLD;
        self.legs.iter_mut().for_each(|track| track.release(due));
    }

    /// Returns how far the sound is settled: nothing will be put before it.
    pub(super) fn settled(&self) -> Tick {
        self.now - KEEP
    }

    /// Returns how far the sound has been given away.
    pub(super) const fn given(&self) -> Tick {
        self.given
    }

    /// Places all that is held, and returns where the last of it ends.
    pub(super) fn finish(&mut self) -> Tick {
        self.legs.iter_mut().for_each(|track| track.release(Tick::MAX));
        self.legs.iter().map(Track::end).max().unwrap_or(0)
    }

    /// Gives the sound up to there into the two buffers, PBX and trunk, which it empties first.
    pub(super) fn give(&mut self, until: Tick, sound: &mut [Vec<i16>; 2]) {
        for (track, out) in self.legs.iter_mut().zip(sound) {
            out.clear();
            track.lines.give(until, out);
        }
        self.given = self.given.max(until);
    }

    /// Returns what has been counted, PBX first.
    pub(super) fn tallies(&self) -> [&Tally; 2] {
        let [pbx, trunk] = &self.legs;
        [&pbx.lines.tally, &trunk.lines.tally]
    }

    const fn leg(&mut self, leg: Leg) -> &mut Track {
        let [pbx, trunk] = &mut self.legs;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }
}

/// What has been counted of one leg.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) packets: u64,
    pub(super) ignored: u64,
    pub(super) sounding: Duration,
    pub(super) concealed: Duration,
    pub(super) stretched: Duration,
    pub(super) shortened: Duration,
    pub(super) anchors: u64,
    pub(super) undecoded: BTreeMap<String, u64>,
}

/// One leg: its streams, and the sound they make.
#[derive(Debug)]
struct Track {
    codings: Codings,
    streams: Vec<Stream>,
    lines: Lines,
}

impl Track {
    fn new(rate: Rate, given: Tick, window: Option<Range<Tick>>) -> Self {
        Self { codings: Codings::new(), streams: Vec::new(), lines: Lines::new(rate, given, window) }
    }

    fn take(&mut self, came: Tick, packet: &[u8]) {
        let counts = u64::from(self.lines.counts(came));
        let tally = &mut self.lines.tally;
        tally.packets += counts;
        let rtp = if rtp::is_rtcp(packet) { None } else { Rtp::parse(packet) };
        let Some(rtp) = rtp else {
            tally.ignored += counts;
            return;
        };
        let (coding, payload) = self.codings.of_packet(&rtp);
        match coding {
            Coding::Silence => {}
            Coding::Redundant => tally.not_decoded("red".to_owned(), counts),
            // The survey heard none of it, so that the rate has no room for it.
            Coding::Sound(codec) if Rate::above(codec.sample_rate()) > self.lines.rate => {
                tally.not_decoded(codec.name().to_owned(), counts)
            }
            Coding::Unknown(name) => tally.not_decoded(name, counts),
            Coding::Sound(codec) => {
                let place = self.stream(&rtp, codec);
                let stream = self.streams.get_mut(place);
                if stream.map(|stream| stream.take(&rtp, payload, codec, came, &mut self.lines)) != Some(Taken::Held) {
                    self.lines.tally.ignored += counts;
                }
            }
        }
    }

    /// The place of the stream that a packet is of: of two, since a sender began anew, the one that was heard last; or a new one.
    fn stream(&mut self, rtp: &Rtp<'_>, codec: Codec) -> usize {
        let known = self.streams.iter().enumerate().filter(|(_, stream)| stream.is_of(rtp, codec));
        if let Some((place, _)) = known.max_by_key(|(_, stream)| stream.heard()) {
            return place;
        }
        if self.streams.len() >= STREAMS
            && let Some((place, _)) = self.streams.iter().enumerate().min_by_key(|(_, stream)| stream.heard())
        {
            self.streams.remove(place).release(Tick::MAX, &mut self.lines);
        }
        self.streams.push(Stream::begin(rtp, codec));
        self.streams.len() - 1
    }

    fn release(&mut self, due: Tick) {
        self.streams.iter_mut().for_each(|stream| stream.release(due, &mut self.lines));
    }

    fn end(&self) -> Tick {
        // A part of a tick of sound counts as a whole one.
        self.lines
            .lanes
            .iter()
            .map(|(&rate, lane)| (lane.line.end() * TICKS + i64::from(rate) - 1) / i64::from(rate))
            .max()
            .unwrap_or(0)
    }
}

/// The sound of one leg that is not settled.
#[derive(Debug)]
struct Lines {
    /// Of what is given.
    rate: Rate,
    /// How many samples have been given.
    given: u64,
    /// Those of one sampling rate, by that rate.
    lanes: BTreeMap<u32, Lane>,
    tally: Tally,
    /// What is counted; nothing where it is all.
    window: Option<Range<Tick>>,
    /// What was said of the packet that is put next.
    said: Said,
}

/// What is said of a packet before it is put.
#[derive(Debug, Default)]
struct Said {
    stretched: Duration,
    shortened: Duration,
    concealed: Duration,
    ignored: u64,
    anchors: u64,
}

/// Sound of one sampling rate, and how it becomes what is given.
#[derive(Debug)]
struct Lane {
    line: Line,
    /// Nothing where it has that rate already.
    riser: Option<Riser>,
}

impl Lines {
    fn new(rate: Rate, given: Tick, window: Option<Range<Tick>>) -> Self {
        let (given, said) = (rate.samples(given), Said::default());
        Self { rate, given, lanes: BTreeMap::new(), tally: Tally::default(), window, said }
    }

    /// Returns whether what is there is counted.
    fn counts(&self, at: Tick) -> bool {
        self.window.as_ref().is_none_or(|window| window.contains(&at))
    }

    /// Returns how many of so many samples from there on are counted.
    fn counted(&self, at: i64, samples: i64, rate: u32) -> i64 {
        let Some(window) = &self.window else { return samples };
        let [from, to] = [window.start, window.end].map(|edge| edge * i64::from(rate) / TICKS);
        ((at + samples).min(to) - at.max(from)).max(0)
    }

    /// Appends the sound up to there.
    fn give(&mut self, until: Tick, out: &mut Vec<i16>) {
        let until = self.rate.samples(until);
        out.resize(usize::try_from(until.saturating_sub(self.given)).unwrap_or(0), 0);
        let mut sound = Vec::new();
        for lane in self.lanes.values_mut() {
            sound.clear();
            lane.give(until, &mut sound);
            for (sample, &more) in out.iter_mut().zip(&sound) {
                *sample = sample.saturating_add(more);
            }
        }
        self.given = self.given.max(until);
    }
}

impl Lane {
    /// One whose first sample will be the one that is given next.
    fn new(from: u32, to: Rate, given: u64) -> Self {
        let riser = (from != to.hz()).then(|| Riser::new(from, to.hz(), given));
        let base = i64::try_from(riser.as_ref().map_or(given, Riser::taken)).unwrap_or(i64::MAX);
        Self { line: Line { base, samples: VecDeque::new(), span: Line::SPAN * i64::from(from) / TICKS }, riser }
    }

    fn give(&mut self, until: u64, out: &mut Vec<i16>) {
        match &mut self.riser {
            None => self.line.give(i64::try_from(until).unwrap_or(i64::MAX), out),
            Some(riser) => {
                let mut ahead = Vec::new();
                self.line.give(i64::try_from(riser.reach(until)).unwrap_or(i64::MAX), &mut ahead);
                riser.rise(&ahead, until, out);
            }
        }
    }
}

impl Sink for Lines {
    fn put(&mut self, at: Step, codec: Codec, samples: &[i16]) {
        let (rate, given) = (self.rate, self.given);
        let from = codec.sample_rate();
        let lane = self.lanes.entry(from).or_insert_with(|| Lane::new(from, rate, given));
        let place = at * width(per_step(codec));
        let put = lane.line.put(place, samples);
        // What was put is the end of it, where the beginning was too early.
        let first = place + width(samples.len() - put);
        self.tally.sounding += span(self.counted(first, width(put), from), from);
        let Said { stretched, shortened, concealed, ignored, anchors } = std::mem::take(&mut self.said);
        if self.counts(place * TICKS / i64::from(from)) {
            let tally = &mut self.tally;
            tally.stretched += stretched;
            tally.shortened += shortened;
            tally.concealed += concealed;
            tally.anchors += anchors;
            tally.ignored += ignored + u64::from(put == 0 && !samples.is_empty());
        }
    }

    fn moved(&mut self, by: Step, codec: Codec) {
        self.said.stretched += span(by.max(0), codec.clock());
        self.said.shortened += span((-by).max(0), codec.clock());
    }

    fn concealed(&mut self, codec: Codec, samples: usize) {
        self.said.concealed += span(width(samples), codec.sample_rate());
    }

    fn spoiled(&mut self) {
        self.said.ignored += 1;
    }

    fn anchored(&mut self) {
        self.said.anchors += 1;
    }
}

impl Tally {
    fn not_decoded(&mut self, name: String, packets: u64) {
        if packets == 0 {
            return;
        }
        let is_known = self.undecoded.contains_key(&name) || self.undecoded.len() < NAMES;
        *self.undecoded.entry(if is_known { name } else { "others".to_owned() }).or_default() += packets;
    }
}

/// Samples from a place on, silence where none has been put.
#[derive(Debug)]
struct Line {
    /// The place of the first sample, counted in samples.
    base: i64,
    samples: VecDeque<i16>,
    /// The most that may be ahead of what was given: bounds the memory, whatever is put.
    span: i64,
}

impl Line {
    /// So much as time.
    const SPAN: Tick = 4 * KEEP;

    /// Puts samples at a place, and returns how many found room: not before what was given away, not far ahead of it. Where there
    /// is sound already, from another stream of the leg, both are heard.
    fn put(&mut self, at: i64, samples: &[i16]) -> usize {
        let first = at - self.base;
        let before = usize::try_from(-first).unwrap_or(0);
        let samples = samples.get(before..).unwrap_or(&[]);
        let first = first.max(0);
        if first > self.span {
            return 0;
        }
        let first = usize::try_from(first).unwrap_or(0);
        let end = first + samples.len();
        if self.samples.len() <= first {
            // Nothing is there yet, which is how it is with one stream.
            self.samples.resize(first, 0);
            self.samples.extend(samples);
            return samples.len();
        }
        if self.samples.len() < end {
            self.samples.resize(end, 0);
        }
        for (sample, &more) in self.samples.range_mut(first..end).zip(samples) {
            *sample = sample.saturating_add(more);
        }
        samples.len()
    }

    fn end(&self) -> i64 {
        self.base + width(self.samples.len())
    }

    /// Appends the samples up to a place.
    fn give(&mut self, until: i64, out: &mut Vec<i16>) {
        let count = usize::try_from(until - self.base).unwrap_or(0);
        let there = count.min(self.samples.len());
        let (front, back) = self.samples.as_slices();
        let of_front = there.min(front.len());
        out.extend_from_slice(front.get(..of_front).unwrap_or_default());
        out.extend_from_slice(back.get(..there - of_front).unwrap_or_default());
        self.samples.drain(..there);
        out.extend(std::iter::repeat_n(0, count - there));
        self.base = self.base.max(until);
    }
}

/// How long so many steps or samples last.
fn span(count: i64, rate: u32) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or(0).saturating_mul(1_000_000) / u64::from(rate.max(1)))
}

fn width(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
