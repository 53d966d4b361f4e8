//! Both legs on one timeline: takes packets as they came, gives stereo sound as it is settled, and holds no more than [`KEEP`] of it.

use std::collections::{BTreeMap, VecDeque};

use crate::codec::Codec;
use crate::export::coding::{Coding, Codings};
use crate::export::stream::{HOLD, LATEST, MS, Sink, Stream, Taken, Tick, per_tick};
use crate::ids::Leg;
use crate::sound::resample::Doubler;
use crate::vault::Format;
use crate::wire::rtp::{self, Rtp};

/// How long sound may still be put into place: a packet is held, lies so long before it came, and its stream jumped no farther.
pub(super) const KEEP: Tick = HOLD + LATEST + 1000 * MS;

/// Streams of one leg that are followed at once. More: the one that has been quiet the longest ends.
const STREAMS: usize = 16;

/// Names of codings that are counted apart. More are counted as one.
const NAMES: usize = 32;

/// Ticks that the doubler must see ahead.
#[expect(clippy::cast_possible_wrap, reason = "it is 24")]
const LAG: Tick = Doubler::LAG as Tick;

/// Samples a second of what is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rate {
    /// 8 kHz: all of the sound is G.711, and comes out sample for sample.
    Narrow,
    /// 16 kHz: some of it is G.722; G.711 is doubled.
    Wide,
}

/// Both legs of a recording.
#[derive(Debug)]
pub(super) struct Timeline {
    rate: Rate,
    legs: [Track; 2],
    /// The latest arrival.
    now: Tick,
    /// How far the sound has been given away.
    given: Tick,
}

impl Timeline {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, legs: [Track::new(), Track::new()], now: 0, given: 0 }
    }

    /// Learns what a payload type means on a leg from here on.
    pub(super) fn learn(&mut self, format: &Format) {
        self.leg(format.leg).codings.learn(format);
    }

    /// Takes a packet of a leg. What came before it by [`HOLD`] is placed.
    pub(super) fn take(&mut self, leg: Leg, came: Tick, packet: &[u8]) {
        self.pass(came);
        let rate = self.rate;
        self.leg(leg).take(rate, came, packet);
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
            track.give(self.rate, self.given, until, out);
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
    pub(super) sounding: Tick,
    pub(super) stretched: Tick,
    pub(super) shortened: Tick,
    pub(super) anchors: u64,
    pub(super) undecoded: BTreeMap<String, u64>,
}

/// One leg: its streams, and the sound they make.
#[derive(Debug)]
struct Track {
    codings: Codings,
    streams: Vec<Stream>,
    lines: Lines,
    doubler: Doubler,
}

impl Track {
    fn new() -> Self {
        Self { codings: Codings::new(), streams: Vec::new(), lines: Lines::default(), doubler: Doubler::new() }
    }

    fn take(&mut self, rate: Rate, came: Tick, packet: &[u8]) {
        let tally = &mut self.lines.tally;
        tally.packets += 1;
        let rtp = if rtp::is_rtcp(packet) { None } else { Rtp::parse(packet) };
        let Some(rtp) = rtp else {
            tally.ignored += 1;
            return;
        };
        match self.codings.of(rtp.payload_type()) {
            Coding::Silence => {}
            // The survey heard none of it, so that the rate has no room for it.
            Coding::Sound(Codec::G722) if rate == Rate::Narrow => tally.not_decoded("G722".to_owned()),
            Coding::Unknown(name) => tally.not_decoded(name),
            Coding::Sound(codec) => {
                let place = self.stream(&rtp);
                let stream = self.streams.get_mut(place);
                if stream.map(|stream| stream.take(&rtp, codec, came, &mut self.lines)) != Some(Taken::Held) {
                    self.lines.tally.ignored += 1;
                }
            }
        }
    }

    /// The place of the stream that a packet is of: of two, since a sender began anew, the one that was heard last; or a new one.
    fn stream(&mut self, rtp: &Rtp<'_>) -> usize {
        let known = self.streams.iter().enumerate().filter(|(_, stream)| stream.is_of(rtp));
        if let Some((place, _)) = known.max_by_key(|(_, stream)| stream.heard()) {
            return place;
        }
        if self.streams.len() >= STREAMS
            && let Some((place, _)) = self.streams.iter().enumerate().min_by_key(|(_, stream)| stream.heard())
        {
            self.streams.remove(place).release(Tick::MAX, &mut self.lines);
        }
        self.streams.push(Stream::begin(rtp));
        self.streams.len() - 1
    }

    fn release(&mut self, due: Tick) {
        self.streams.iter_mut().for_each(|stream| stream.release(due, &mut self.lines));
    }

    fn end(&self) -> Tick {
        let Lines { narrow, wide, .. } = &self.lines;
        // Half a tick of sound counts as a whole one.
        narrow.end().max((wide.end() + 1) / 2)
    }

    fn give(&mut self, rate: Rate, from: Tick, until: Tick, out: &mut Vec<i16>) {
        let Lines { narrow, wide, .. } = &mut self.lines;
        match rate {
            Rate::Narrow => narrow.give(until, out),
            Rate::Wide => {
                let mut ahead = Vec::new();
                narrow.give(until + LAG, &mut ahead);
                self.doubler.double(&ahead, out);
                // Its first outputs are of before the beginning.
                let unborn = if from == 0 { (2 * Doubler::LAG).min(out.len()) } else { 0 };
                out.drain(..unborn);
                let mut sound = Vec::new();
                wide.give(2 * until, &mut sound);
                for (sample, more) in out.iter_mut().zip(sound) {
                    *sample = sample.saturating_add(more);
                }
            }
        }
    }
}

/// The sound of one leg that is not settled: G.711 at 8 kHz, G.722 at 16 kHz.
#[derive(Debug, Default)]
struct Lines {
    narrow: Line,
    wide: Line,
    tally: Tally,
}

impl Sink for Lines {
    fn put(&mut self, at: Tick, codec: Codec, samples: &[i16]) {
        let line = match codec {
            Codec::Pcmu | Codec::Pcma => &mut self.narrow,
            Codec::G722 => &mut self.wide,
        };
        let per_tick = per_tick(codec);
        let put = line.put(at * width(per_tick), samples);
        self.tally.sounding += width(put / per_tick);
        if put == 0 && !samples.is_empty() {
            self.tally.ignored += 1;
        }
    }

    fn moved(&mut self, by: Tick) {
        self.tally.stretched += by.max(0);
        self.tally.shortened += (-by).max(0);
    }

    fn anchored(&mut self) {
        self.tally.anchors += 1;
    }
}

impl Tally {
    fn not_decoded(&mut self, name: String) {
        let is_known = self.undecoded.contains_key(&name) || self.undecoded.len() < NAMES;
        *self.undecoded.entry(if is_known { name } else { "others".to_owned() }).or_default() += 1;
    }
}

/// Samples from a place on, silence where none has been put.
#[derive(Debug, Default)]
struct Line {
    /// The place of the first sample, counted in samples.
    base: i64,
    samples: VecDeque<i16>,
}

impl Line {
    /// The most that may be ahead of what was given: bounds the memory, whatever is put.
    const SPAN: i64 = 4 * KEEP;

    /// Puts samples at a place, and returns how many found room: not before what was given away, not far ahead of it. Where there
    /// is sound already, from another stream of the leg, both are heard.
    fn put(&mut self, at: i64, samples: &[i16]) -> usize {
        let first = at - self.base;
        let before = usize::try_from(-first).unwrap_or(0);
        let samples = samples.get(before..).unwrap_or(&[]);
        let first = first.max(0);
        if first > Self::SPAN {
            return 0;
        }
        let first = usize::try_from(first).unwrap_or(0);
        let end = first + samples.len();
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
        out.extend(self.samples.drain(..there));
        out.extend(std::iter::repeat_n(0, count - there));
        self.base = self.base.max(until);
    }
}

fn width(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
