//! One RTP stream of one leg: puts its packets in order, finds each one's place in time, follows its clock, and decodes it.
//!
//! A packet has two times: when it came (the recorder's clock, with the network's jitter) and its RTP timestamp (the sender's clock,
//! exact from packet to packet, of unknown beginning and slightly wrong speed). Their difference is the packet's *transit*. Within a
//! stream places follow the timestamps, so that jitter does not shift sound; what ties them to the recorder's clock is the smallest
//! transit of many packets, since a packet may come late but never early. So a packet is held for [`HOLD`], until those after it are
//! known, and then:
//!
//! ```text
//!  first of its stream ─────────────────────────────────────▶ anchored at the smallest transit of those held
//!  its place is more than JUMP after it came ──────────────▶ anchored anew (its clock jumped forward)
//!  more than JUMP before it, and all of those held as well ▶ anchored anew (its clock jumped back, or stood still)
//!  marker after a pause, and off by more than SLACK ───────▶ moved: nobody hears it in a pause
//!  otherwise ──────────────────────────────────────────────▶ by its timestamp, and where the clocks have drifted apart
//!                                                            by more than SLACK in quiet or DRIFT anyhow, a little nearer
//! ```

use std::collections::VecDeque;

use crate::codec::Codec;
use crate::sound::Decoder;
use crate::wire::rtp::Rtp;

/// Time on the recording's clock in ticks of 1/8000 s: one sample of G.711, two of G.722, one step of their RTP timestamps.
pub(super) type Tick = i64;

/// Time on the recording's clock in steps of a stream's own RTP timestamps.
pub(super) type Step = i64;

/// Ticks of a second.
pub(super) const TICKS: Tick = 8000;

/// Ticks of a millisecond.
pub(super) const MS: Tick = TICKS / 1000;

/// How long a packet is held for those that belong before it, and for what later ones tell about its transit.
pub(super) const HOLD: Tick = 2000 * MS;

/// The farthest that a place may be before its packet came: a network that stalls this long and then delivers all of it.
pub(super) const LATEST: Tick = 9000 * MS;

/// Between RTP time and arrival: more is a jump of the sender's clock and no jitter.
const JUMP: Millis = Millis(200);

/// How far sound that came in a burst may run ahead of its arrival. What is beyond is cut, or a flood would fill the disk.
const AHEAD: Millis = Millis(500);

/// How far the places may be off before a pause or quiet is used to put it right.
const SLACK: Millis = Millis(5);

/// How far they may be off before a step is put in or taken out of every packet, quiet or not.
const DRIFT: Millis = Millis(10);

/// A packet whose loudest sample is below this (−42 dBFS) is quiet.
const QUIET: u16 = 256;

/// Packets held at once, 2 ms each. A stream that sends more gets the rest released early.
const HELD: usize = 1000;

/// Sequence numbers this far ahead of the highest begin a new stream (RFC 3550 §A.1: `MAX_DROPOUT`).
const DROPOUT: i16 = 3000;

/// So do those this far behind it, or behind it with a timestamp that is not: a sender that began anew, and no reordering.
const MISORDER: i16 = 1000;
const MISORDER_TIME: Millis = Millis(20_000);

/// A span that is the same on every clock.
#[derive(Clone, Copy, Debug)]
struct Millis(i64);

impl Millis {
    const fn on(self, clock: Step) -> Step {
        self.0 * clock / 1000
    }
}

/// One RTP stream.
#[derive(Debug)]
pub(super) struct Stream {
    ssrc: u32,
    /// Steps of its timestamps in a second.
    rate: Step,
    /// When a packet last came.
    heard: Tick,
    /// Sequence number and timestamp of the packet with the highest sequence number, both without wrap.
    top: (i64, i64),
    /// Those that are held, by their sequence numbers, in order.
    held: VecDeque<(i64, Packet)>,
    /// When each came, in that order.
    arrivals: VecDeque<(Tick, i64)>,
    last: Option<Last>,
    clock: Clock,
    decoder: Option<Decoder>,
    /// Buffers of payloads that were placed, for those that come.
    spare: Vec<Vec<u8>>,
    /// The samples of the packet that is placed, kept for the next.
    samples: Vec<i16>,
}

#[derive(Debug)]
struct Packet {
    came: Step,
    timestamp: i64,
    marker: bool,
    codec: Codec,
    payload: Vec<u8>,
}

/// The packet that was placed last.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: i64,
    came: Step,
    /// Where its sound ends.
    end: Step,
    sample: i16,
    /// A place is its timestamp and this.
    offset: Step,
}

/// Where a stream's sound goes.
pub(super) trait Sink {
    /// Puts decoded samples at their place on the codec's RTP clock: one for each step of it, or two from G.722.
    fn put(&mut self, at: Step, codec: Codec, samples: &[i16]);

    /// Counts steps that were put in (positive) or taken out, so that both clocks agree.
    fn moved(&mut self, by: Step, codec: Codec);

    /// Counts samples of what was put that no packet brought: they were made up for what was lost.
    fn concealed(&mut self, codec: Codec, samples: usize);

    /// Counts a packet whose payload is none of its codec.
    fn spoiled(&mut self);

    /// Counts a place that was found by arrival and not by the stream's own clock.
    fn anchored(&mut self);
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// It is held and will be placed.
    Held,
    /// It came twice, or after its place was passed.
    Ignored,
}

impl Stream {
    /// Begins a stream with the first packet that was heard of it.
    pub(super) fn begin(rtp: &Rtp<'_>, codec: Codec) -> Self {
        Self {
            ssrc: rtp.ssrc(),
            rate: Step::from(codec.clock()),
            heard: 0,
            top: (i64::from(rtp.sequence()), i64::from(rtp.timestamp())),
            held: VecDeque::new(),
            arrivals: VecDeque::new(),
            last: None,
            clock: Clock::new(Step::from(codec.clock())),
            decoder: None,
            spare: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Returns whether a packet is one of this stream's: its source, on the same clock, and a sequence number near the highest.
    pub(super) fn is_of(&self, rtp: &Rtp<'_>, codec: Codec) -> bool {
        let is_near = match self.ahead(rtp) {
            0.. => self.ahead(rtp) < DROPOUT,
            _ => {
                let later = Step::from(self.later(rtp));
                self.ahead(rtp) > -MISORDER && (-MISORDER_TIME.on(self.rate)..=0).contains(&later)
            }
        };
        self.ssrc == rtp.ssrc() && self.rate == Step::from(codec.clock()) && is_near
    }

    /// Returns when a packet last came.
    pub(super) const fn heard(&self) -> Tick {
        self.heard
    }

    /// Takes a packet of this stream, and holds the payload that is its sound.
    pub(super) fn take(&mut self, rtp: &Rtp<'_>, payload: &[u8], codec: Codec, came: Tick, sink: &mut impl Sink) -> Taken {
        self.heard = came;
        let (highest, newest) = self.top;
        let sequence = highest + i64::from(self.ahead(rtp));
        let timestamp = newest + i64::from(self.later(rtp));
        if sequence >= highest {
            self.top = (sequence, timestamp);
        }
        let is_next = self.held.back().is_none_or(|(last, _)| *last < sequence);
        let place = if is_next { self.held.len() } else { self.held.partition_point(|(held, _)| *held < sequence) };
        let is_held = self.held.get(place).is_some_and(|(held, _)| *held == sequence);
        if is_held || self.last.is_some_and(|last| sequence <= last.sequence) {
            return Taken::Ignored;
        }
        let steps = came * self.rate / TICKS;
        let mut own = self.spare.pop().unwrap_or_default();
        own.extend_from_slice(payload);
        let packet = Packet { came: steps, timestamp, marker: rtp.marker(), codec, payload: own };
        self.held.insert(place, (sequence, packet));
        self.arrivals.push_back((came, sequence));
        while self.held.len() > HELD {
            self.release_first(sink);
        }
        Taken::Held
    }

    /// Places what came at `due` or before, and what belongs before it.
    pub(super) fn release(&mut self, due: Tick, sink: &mut impl Sink) {
        while let Some(&(came, sequence)) = self.arrivals.front()
            && came <= due
        {
            self.arrivals.pop_front();
            while self.held.front().is_some_and(|&(first, _)| first <= sequence) {
                self.release_first(sink);
            }
        }
    }

    fn release_first(&mut self, sink: &mut impl Sink) {
        if let Some((sequence, packet)) = self.held.pop_front() {
            self.place(sequence, &packet, sink);
            let mut payload = packet.payload;
            payload.clear();
            if self.spare.len() < HELD {
                self.spare.push(payload);
            }
        }
    }

    fn place(&mut self, sequence: i64, packet: &Packet, sink: &mut impl Sink) {
        self.clock.note(packet.came, packet.transit());
        let mut concealed = self.conceal(sequence, packet);
        let mut samples = self.decode(packet, sink);
        let per_step = per_step(packet.codec);
        let off = self.last.map(|last| (last, self.off(packet, last)));
        if !matches!(off, Some((_, Off::Little))) {
            concealed.clear();
        }
        let start = packet.timestamp - steps(concealed.len() / per_step);
        let (offset, step) = match off {
            None => (self.anchor(packet, sink), 0),
            Some((last, off)) => match off {
                Off::Little => (last.offset, self.correction(start, last, &samples)),
                Off::Marked { to } => {
                    sink.anchored();
                    (self.after(last, packet, to), 0)
                }
                Off::Jumped { to } => {
                    self.clock = Clock::new(self.rate);
                    sink.anchored();
                    (self.after(last, packet, to), 0)
                }
            },
        };
        if !concealed.is_empty() {
            sink.concealed(packet.codec, concealed.len());
            concealed.append(&mut samples);
            samples = concealed;
        }
        let offset = offset + step;
        let mut at = start + offset;
        if step != 0 {
            sink.moved(step, packet.codec);
        }
        if let Some(last) = self.last {
            // A stream never lies over itself: what would is cut.
            if at < last.end {
                let cut = usize::try_from(last.end - at).unwrap_or(usize::MAX).saturating_mul(per_step);
                samples.drain(..cut.min(samples.len()));
                at = last.end;
            }
            // Steps that were put in are no silence.
            if step > 0 && at - last.end == step && step <= SLACK.on(self.rate) {
                bridge(last.sample, step, per_step, &mut samples);
                at = last.end;
            }
        }
        sink.put(at, packet.codec, &samples);
        let end = at + steps(samples.len() / per_step);
        let end = self.last.map_or(end, |last| last.end.max(end));
        let sample = samples.last().copied().unwrap_or(0);
        self.last = Some(Last { sequence, came: packet.came, end, sample, offset });
        self.samples = samples;
    }

    /// The offset of a stream that begins, or begins anew: by arrival, less what the first packet was later than those after it.
    fn anchor(&self, packet: &Packet, sink: &mut impl Sink) -> Step {
        sink.anchored();
        let offset = self.least_transit(packet, packet.transit() - JUMP.on(self.rate));
        // Not before the recording began.
        offset.max(-packet.timestamp)
    }

    /// How far a packet is from where the stream's clock has it.
    fn off(&self, packet: &Packet, last: Last) -> Off {
        let offset = last.offset;
        let late = packet.transit() - offset;
        let [jump, slack] = [JUMP, SLACK].map(|span| span.on(self.rate));
        if late < -jump {
            return Off::Jumped { to: self.least_transit(packet, packet.transit() - jump) };
        }
        if late > jump {
            // Jitter, if one of those behind it came in time; a clock that jumped back or stood still, if none.
            let least = self.least_transit(packet, offset - jump);
            if least - offset > jump || late > LATEST * self.rate / TICKS {
                return Off::Jumped { to: least };
            }
        }
        let is_after_pause = packet.timestamp + offset - last.end >= Millis(20).on(self.rate)
            || packet.came - last.came >= Millis(60).on(self.rate);
        if packet.marker && is_after_pause {
            let least = self.least_transit(packet, offset - jump);
            if (least - offset).abs() > slack {
                return Off::Marked { to: least };
            }
        }
        Off::Little
    }

    /// The smallest transit of a packet and those held behind it, leaving out those that jumped to below `floor`.
    fn least_transit(&self, packet: &Packet, floor: Step) -> Step {
        let behind = self.held.iter().map(|(_, packet)| packet.transit()).filter(|&transit| transit >= floor);
        behind.fold(packet.transit(), Step::min)
    }

    /// By how many steps to move a packet, so that the stream comes nearer to the recorder's clock.
    fn correction(&self, start: Step, last: Last, samples: &[i16]) -> Step {
        let Some(least) = self.clock.least() else { return 0 };
        let off = least - last.offset;
        let [slack, drift] = [SLACK, DRIFT].map(|span| span.on(self.rate));
        let is_apart = start + last.offset - last.end >= Millis(10).on(self.rate);
        let is_quiet = samples.iter().all(|sample| sample.unsigned_abs() < QUIET);
        if off.abs() > slack && is_apart {
            // Earlier only as far as there is room.
            off.max(last.end - start - last.offset)
        } else if off.abs() > slack && is_quiet {
            off.clamp(-slack, slack)
        } else if off.abs() > drift {
            off.signum()
        } else {
            0
        }
    }

    fn decode(&mut self, packet: &Packet, sink: &mut impl Sink) -> Vec<i16> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        if self.decoder(packet.codec).decode(&packet.payload, &mut samples).is_err() {
            sink.spoiled();
        }
        samples
    }

    /// What the decoder makes of packets that were lost just before this one. Where none was, its sender was silent.
    fn conceal(&mut self, sequence: i64, packet: &Packet) -> Vec<i16> {
        let mut samples = Vec::new();
        if let Some(last) = self.last.filter(|last| sequence > last.sequence + 1) {
            let missing = packet.timestamp + last.offset - last.end;
            let missing = usize::try_from(missing).unwrap_or(0).saturating_mul(per_step(packet.codec));
            self.decoder(packet.codec).conceal(missing, &packet.payload, &mut samples);
        }
        samples
    }

    fn decoder(&mut self, codec: Codec) -> &mut Decoder {
        let decoder = self.decoder.take().filter(|decoder| decoder.codec() == codec);
        self.decoder.insert(decoder.unwrap_or_else(|| Decoder::new(codec)))
    }

    /// The offset `to`, put off as far as it must be so that the packet does not lie over the sound before it.
    fn after(&self, last: Last, packet: &Packet, to: Step) -> Step {
        let earliest = last.end.min(packet.came + AHEAD.on(self.rate));
        to.max(earliest - packet.timestamp).max(-packet.timestamp)
    }

    /// How far its sequence number is ahead of the highest; of two ways round the circle, the shorter.
    fn ahead(&self, rtp: &Rtp<'_>) -> i16 {
        rtp.sequence().wrapping_sub(low16(self.top.0)).cast_signed()
    }

    /// How far its timestamp is after that of the highest, likewise.
    fn later(&self, rtp: &Rtp<'_>) -> i32 {
        rtp.timestamp().wrapping_sub(low32(self.top.1)).cast_signed()
    }
}

impl Packet {
    const fn transit(&self) -> Step {
        self.came - self.timestamp
    }
}

/// Whether a packet is where the stream's clock has it.
enum Off {
    /// It is, or it is only late.
    Little,
    /// A pause ended: it may go where it came.
    Marked { to: Step },
    /// The stream's clock has jumped.
    Jumped { to: Step },
}

/// Puts a few steps before the samples: a line from the last sample of what was before to the first of these.
fn bridge(from: i16, step: Step, per_step: usize, samples: &mut Vec<i16>) {
    let Some(&next) = samples.first() else { return };
    let (from, to) = (i64::from(from), i64::from(next));
    let count = step * steps(per_step);
    let line = (1..=count).map(|place| i16::try_from(from + (to - from) * place / (count + 1)).unwrap_or(0));
    samples.splice(..0, line);
}

/// The sender's clock against the recorder's: the smallest transit of each of the last buckets.
#[derive(Debug)]
struct Clock {
    /// How long a bucket is.
    bucket: Step,
    done: VecDeque<Step>,
    /// Where the open bucket began, and its smallest transit.
    open: Option<(Step, Step)>,
}

impl Clock {
    /// A bucket is as long as jitter may need to show its least, and drifts by 1 ms at 200 ppm.
    const BUCKET: Millis = Millis(5000);

    /// Buckets that must agree: no shorter congestion is taken for drift.
    const BUCKETS: usize = 4;

    const fn new(rate: Step) -> Self {
        Self { bucket: Self::BUCKET.on(rate), done: VecDeque::new(), open: None }
    }

    fn note(&mut self, came: Step, transit: Step) {
        match &mut self.open {
            Some((since, least)) if came - *since < self.bucket => *least = transit.min(*least),
            open => {
                if let Some((_, least)) = open.replace((came, transit)) {
                    self.done.push_back(least);
                }
                if self.done.len() > Self::BUCKETS {
                    self.done.pop_front();
                }
            }
        }
    }

    /// The smallest transit, once enough is known.
    fn least(&self) -> Option<Step> {
        if self.done.len() < Self::BUCKETS { None } else { self.done.iter().copied().min() }
    }
}

/// Samples for each step of the RTP clock.
pub(super) const fn per_step(codec: Codec) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::L16 { .. } | Codec::Opus => 1,
        Codec::G722 => 2,
    }
}

fn steps(samples: usize) -> Step {
    Step::try_from(samples).unwrap_or(Step::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low bits are what the packet carries")]
const fn low16(number: i64) -> u16 {
    number as u16
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low bits are what the packet carries")]
const fn low32(number: i64) -> u32 {
    number as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use crate::export::fixture::{FRAME, FRAME_US, Heard, Sent, assert_same, delay, hear, phone, records, trimmed, voice};
    use crate::ids::Leg;
    use crate::sound::g711;
    use crate::wire::rtp::Header;

    #[test]
    fn jitter_shifts_no_sound() {
        let sound = voice(1, 500);
        proptest!(ProptestConfig::with_cases(64), |(seed: u32, most in 1..180_000_u64)| {
            let mut sent = phone(Leg::Pbx, 300_000, &sound);
            delay(&mut sent, seed, most);

            let heard = hear(records(sent));

            let (before, rest) = trimmed(&heard.pbx);
            assert_same(rest, &decoded(&sound), "jitter");
            // 300 ms are 2,400 samples; the stream lies behind by its smallest delay, below `most`: 125 µs a sample.
            prop_assert!((2400..=2400 + most.div_ceil(125) as usize).contains(&before));
        });
    }

    #[test]
    fn late_and_double_packets_change_nothing() {
        let sound = voice(2, 300);
        proptest!(ProptestConfig::with_cases(64), |(
            late in prop::collection::vec((20..200_usize, 1..1_900_000_u64), 0..20),
            double in prop::collection::vec((0..300_usize, 0..4_000_000_u64), 0..20),
        )| {
            let mut sent = phone(Leg::Trunk, 0, &sound);
            let copies: Vec<Sent> =
                double.iter().map(|&(at, by)| Sent { came: sent[at].came + by, ..sent[at].clone() }).collect();
            for (at, by) in late {
                sent[at].came = at as u64 * FRAME_US + by;
            }
            sent.extend(copies);

            // A copy that comes late makes the recording longer, by silence.
            let heard = hear(records(sent)).trunk;
            assert_same(&heard[..300 * FRAME], &decoded(&sound), "late and double");
            prop_assert!(heard[300 * FRAME..].iter().all(|&sample| sample == 0));
        });
    }

    #[test]
    fn a_lost_packet_is_its_own_length_of_silence() {
        let sound = voice(3, 300);
        proptest!(ProptestConfig::with_cases(64), |(lost in prop::collection::btree_set(1..300_usize, 1..200))| {
            let mut index = 0;
            let mut sent = phone(Leg::Pbx, 0, &sound);
            sent.retain(|_| (!lost.contains(&index), index += 1).0);
            let mut expected = decoded(&sound);
            lost.iter().for_each(|&at| expected[at * FRAME..(at + 1) * FRAME].fill(0));

            let heard = hear(records(sent));

            let end = heard.pbx.len();
            assert_same(&heard.pbx, &expected[..end], "lost");
            prop_assert!(expected[end..].iter().all(|&sample| sample == 0));
        });
    }

    #[test]
    fn a_network_that_stalls_and_catches_up_loses_nothing() {
        let sound = voice(4, 1000);
        let mut sent = phone(Leg::Pbx, 0, &sound);
        // For 7 s nothing comes, then all of it within 20 ms.
        sent[300..650].iter_mut().zip(0..).for_each(|(packet, place)| packet.came = 13_000_000 + place * 50);

        let heard = hear(records(sent));

        assert_same(&heard.pbx, &decoded(&sound), "after the stall");
        assert_eq!(heard.exported.pbx.anchors, 1);
    }

    #[test]
    fn a_congestion_that_passes_shifts_nothing() {
        let sound = voice(5, 3000);
        let mut sent = phone(Leg::Pbx, 0, &sound);
        sent[1000..1700].iter_mut().for_each(|packet| packet.came += 80_000);

        assert_same(&hear(records(sent)).pbx, &decoded(&sound), "congestion");
    }

    #[test]
    fn a_new_source_is_placed_by_its_own_arrival() {
        let (first, second) = (voice(6, 50), voice(7, 50));
        let mut sent = phone(Leg::Trunk, 0, &first);
        let mut next = phone(Leg::Trunk, 1_300_000, &second);
        next.iter_mut().for_each(|packet| packet.header.ssrc = 0xbeef);
        sent.append(&mut next);

        let heard = hear(records(sent));

        assert_same(&heard.trunk[..8000], &decoded(&first), "the first");
        assert!(heard.trunk[8000..10_400].iter().all(|&sample| sample == 0));
        assert_same(&heard.trunk[10_400..], &decoded(&second), "the second");
        assert_eq!(heard.exported.trunk.anchors, 2);
    }

    #[test]
    fn a_clock_that_jumps_either_way_is_placed_by_arrival() {
        let sound = voice(8, 200);
        for jump in [100_000, 0x7000_0000, 0x9000_0000, 0_u32.wrapping_sub(50_000)] {
            let mut sent = phone(Leg::Pbx, 0, &sound);
            for packet in &mut sent[100..] {
                packet.header.timestamp = packet.header.timestamp.wrapping_add(jump);
            }

            let heard = hear(records(sent));

            assert_same(&heard.pbx, &decoded(&sound), &format!("jump of {jump}"));
            assert_eq!(heard.exported.pbx.anchors, 2);
        }
    }

    #[test]
    fn a_clock_that_stands_still_in_a_pause_is_placed_by_arrival() {
        let sound = voice(9, 100);
        let mut sent = phone(Leg::Pbx, 0, &sound);
        sent[50..].iter_mut().for_each(|packet| packet.came += 3_000_000);

        let heard = hear(records(sent));

        assert_same(&heard.pbx[..8000], &decoded(&sound)[..8000], "before");
        assert!(heard.pbx[8000..32_000].iter().all(|&sample| sample == 0));
        assert_same(&heard.pbx[32_000..], &decoded(&sound)[8000..], "after");
    }

    #[test]
    fn a_marker_after_a_pause_is_placed_by_arrival_and_one_without_is_not() {
        let sound = voice(10, 100);
        for (marker, expected) in [(true, 50 * FRAME + 4000 + 480), (false, 50 * FRAME + 4000)] {
            let mut sent = phone(Leg::Pbx, 0, &sound);
            // A pause of 500 ms by its clock and of 560 ms by ours.
            for packet in &mut sent[50..] {
                packet.header.timestamp = packet.header.timestamp.wrapping_add(4000);
                packet.came += 560_000;
            }
            sent[50].header.marker = marker;

            let heard = hear(records(sent));

            assert!(heard.pbx[50 * FRAME..expected].iter().all(|&sample| sample == 0));
            assert_eq!(trimmed(&heard.pbx[expected..]).0, 0);
            assert_same(trimmed(&heard.pbx[expected..]).1, &decoded(&sound)[50 * FRAME..], &format!("marker {marker}"));
        }
    }

    #[test]
    fn a_sender_that_begins_anew_is_heard_at_once() {
        let sound = voice(11, 200);
        for sequence in [0_u16, 0xff00, 0x8000, 0xffb0] {
            let mut sent = phone(Leg::Pbx, 0, &sound);
            for (packet, index) in sent[100..].iter_mut().zip(0_u16..) {
                packet.header.sequence = sequence.wrapping_add(index);
                packet.header.timestamp = 0x4000_0000 + u32::from(index) * 160;
            }

            assert_same(&hear(records(sent)).pbx, &decoded(&sound), &format!("from sequence number {sequence}"));
        }
    }

    #[test]
    fn a_drifting_clock_stays_within_20_ms_of_arrival_for_30_minutes() {
        for (ppm, quiet) in [(100, false), (-100, false), (100, true), (-100, true), (300, true), (0, false)] {
            let heard = drifting(ppm, quiet);

            let worst = beeps(&heard.pbx).zip(0_i64..).map(|(at, second)| {
                let came = second * 8000 + second * 8000 * ppm / 1_000_000;
                (at - came).abs()
            });
            let (count, worst) = worst.fold((0, 0), |(count, worst), off| (count + 1, off.max(worst)));
            assert_eq!(count, 1800, "{ppm} ppm");
            assert!(worst <= if ppm.abs() > 100 { 160 } else { 120 }, "{ppm} ppm: {worst} ticks off");
            let moved = heard.exported.pbx.stretched + heard.exported.pbx.shortened;
            let whole = Duration::from_micros(ppm.unsigned_abs() * 1800);
            assert!(
                moved <= whole && moved + Duration::from_millis(13) >= whole.min(Duration::from_secs(1)),
                "{ppm} ppm: {moved:?}"
            );
        }
    }

    #[test]
    fn a_correction_is_a_sample_at_a_time_where_there_is_sound() {
        let heard = drifting(100, false);

        // The voice is a square of ±2,000: a step is none, from side to side, or to a beep; at a seam it is no larger.
        let mut steps = heard.pbx.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs());
        assert!(steps.all(|step| !(4200..=20_000).contains(&step)));
        assert_eq!(heard.exported.pbx.silence, Duration::ZERO);
    }

    #[test]
    fn a_flood_and_a_forger_make_no_more_sound_than_there_was_time() {
        // Of 48 kHz a second takes six times as long.
        for (cases, span, payload_types) in [(64, 200_000_u64, 0..10_u8), (4, 20_000, 0..20)] {
            proptest!(ProptestConfig::with_cases(cases), |(packets in prop::collection::vec(
                (any::<bool>(), 0..span, any::<u16>(), any::<u32>(), 0..4_u32, payload_types, 0..400_usize), 1..300))| {
                let mut now = 0;
                let mut sent = Vec::new();
                for (side, later, sequence, timestamp, ssrc, payload_type, length) in packets {
                    now += later;
                    let leg = if side { Leg::Pbx } else { Leg::Trunk };
                    let header = Header { payload_type, marker: side, sequence, timestamp, ssrc };
                    sent.push(Sent { leg, came: now, header, payload: vec![0x55; length] });
                }
                let records = records(sent);

                let first = hear(records.clone());

                // A place is at most 0.7 s after its packet came, and a payload 0.05 s long.
                let most = now / 125 + 8 * 750;
                prop_assert!(first.exported.frames <= most * u64::from(first.exported.rate) / 8000);
                prop_assert!(first.bytes == hear(records).bytes);
            });
        }
    }

    #[test]
    fn a_sender_faster_than_time_is_cut_to_half_a_second_ahead() {
        let sound = voice(12, 5000);
        let mut sent = phone(Leg::Pbx, 0, &sound);
        sent.iter_mut().zip(0..).for_each(|(packet, index)| packet.came = index * 1000);

        let heard = hear(records(sent));

        assert!(heard.exported.duration < Duration::from_millis(5800), "{:?}", heard.exported.duration);
    }

    #[test]
    fn one_forged_packet_costs_the_sound_after_it_nothing() {
        let sound = voice(13, 400);
        for (sequence, timestamp) in [(0x0000_u16, 0x1234_5678_u32), (0x8000, 0), (0x00f0, 0x7fff_ffff), (0x0058, 0xffff_0000)] {
            let mut sent = phone(Leg::Pbx, 0, &sound);
            let forged = Header { sequence, timestamp, ..sent[100].header };
            sent.push(Sent { came: 100 * FRAME_US + 10_000, header: forged, payload: vec![], ..sent[100].clone() });

            let heard = hear(records(sent));

            let silent = heard.pbx[..400 * FRAME].iter().filter(|&&sample| sample == 0).count();
            assert!(silent <= FRAME, "{sequence} {timestamp}: {silent} samples are missing");
        }
    }

    #[test]
    fn payloads_of_g722_lost_and_late_keep_its_place() {
        let mut sent = phone(Leg::Pbx, 0, &vec![0xfa; 200 * FRAME]);
        sent.iter_mut().for_each(|packet| packet.header.payload_type = 9);
        sent.swap_remove(50);
        sent[80].came += 500_000;

        let heard = hear(records(sent));

        assert_eq!((heard.exported.rate, heard.exported.frames), (16_000, 64_000));
        assert_eq!(heard.exported.pbx.silence, Duration::from_millis(20));
    }

    /// 30 minutes of a phone whose packets come `ppm` later than its clock says, on a network with 3 ms of jitter; every second it
    /// beeps for a sample in the middle of a packet. Between, it hums a tone, or is quiet in every other packet.
    fn drifting(ppm: i64, quiet: bool) -> Heard {
        let hum: Vec<u8> = (0..FRAME as i32).map(|at| g711::encode_ulaw(if at % 8 < 4 { 2000 } else { -2000 })).collect();
        let mut sound = Vec::new();
        for packet in 0..90_000 {
            if quiet && packet % 2 == 0 {
                sound.extend_from_slice(&[0xfe; FRAME])
            } else {
                sound.extend_from_slice(&hum)
            }
            if packet % 50 == 0 {
                let middle = sound.len() - FRAME / 2;
                sound[middle] = 0x80;
            }
        }
        let mut sent = phone(Leg::Pbx, 0, &sound);
        for (packet, index) in sent.iter_mut().zip(0_i64..) {
            packet.came = (index * 20_000 + index * ppm / 50).try_into().unwrap();
        }
        if ppm != 0 {
            delay(&mut sent, 1, 3000);
        }
        hear(records(sent))
    }

    /// Where the beeps are, less the half packet before the first.
    fn beeps(sound: &[i16]) -> impl Iterator<Item = i64> {
        sound.iter().enumerate().filter(|&(_, &sample)| sample == 32_124).map(|(at, _)| at as i64 - 80)
    }

    fn decoded(sound: &[u8]) -> Vec<i16> {
        sound.iter().map(|&code| g711::decode_ulaw(code)).collect()
    }
}
