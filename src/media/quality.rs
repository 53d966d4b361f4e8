//! How good is what comes from one party: loss, order, jitter and silence, by its RTP alone (RFC 3550 §A.1, §A.3, §A.8).
//!
//! It is measured where it comes in, so that what happens on the way to the other party, and in the party's own phone, is not in it. A
//! packet costs an addition or two for each figure, and allocates nothing; what has to be divided is divided when it is asked for.

use std::time::Duration;

use crate::limits::{MEDIA_DROPOUT, MEDIA_MISORDER};
use crate::time::Moment;
use crate::wire::rtp::Rtp;

/// What came from one leg, measured.
///
/// `received - duplicates + lost() = expected`, whatever came in whatever order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LegQuality {
    /// Packets that the sequence numbers promise: from the lowest to the highest that came of each source (RFC 3550 §A.3).
    pub expected: u64,
    /// Packets that came, duplicates included.
    pub received: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came behind one with a higher number, duplicates not counted.
    pub reordered: u64,
    /// The mean of the interarrival jitter (RFC 3550 §6.4.1) as it stood at each packet; nothing where the clock is not known.
    pub jitter: Option<Duration>,
    /// The highest that the interarrival jitter stood at.
    pub worst_jitter: Option<Duration>,
    /// The longest time between two packets while media was due from the party, or from the last one to the end.
    pub longest_gap: Duration,
    /// How long media was due from the party: the other one was described, and not on hold.
    pub due: Duration,
    /// The mean of the round trips to the party and back that RTCP told of: the sender report that passed to it, and its own report on it
    /// (RFC 3550 §6.4.1, LSR and DLSR).
    pub round_trip: Option<Duration>,
    /// Nothing came from the party for as long as one is watched ([`Order::Watch`](crate::media::Order::Watch)), while the other talked.
    pub fell_silent: bool,
}

impl LegQuality {
    /// Returns how many packets never came.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received.saturating_sub(self.duplicates))
    }

    /// Returns how much was lost, from 0 to 1; nothing where too little was expected to say so.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        (self.expected >= ENOUGH).then(|| ratio(self.lost(), self.expected))
    }

    /// Returns whether nothing was heard of the party although the other one talked.
    #[must_use]
    pub fn is_one_way(&self, other: &Self) -> bool {
        self.fell_silent || (self.received == 0 && other.received >= ENOUGH && self.due >= ONE_WAY_AFTER)
    }

    /// Estimates the mean opinion score, from 1 to 4.41; nothing where too little came to say so.
    ///
    /// The E-model (ITU-T G.107) with its default values, but for the loss and the delay; as if the codec were G.711 with the concealment
    /// of its Appendix I, and the loss random: Ie = 0, Bpl = 25.1 (ITU-T G.113 Appendix I). It says how the party would be heard *here*,
    /// by an ear behind a jitter buffer of twice the mean jitter. It is an estimate: what another codec, the other leg, echo and the room
    /// add is not in it.
    #[must_use]
    pub fn mos(&self) -> Option<f64> {
        let delay = self.round_trip.unwrap_or_default() / 2 + self.jitter.unwrap_or_default() * 2;
        self.loss().map(|loss| mos(rating(loss, delay)))
    }
}

/// Packets that must be expected before anything is said in per cent: one lost of 50 is 2 %, which is as fine as it gets in a second.
const ENOUGH: u64 = 50;

/// How long media must be due from a party of which nothing comes at all, before the call was one-way: phones open their sound within
/// a second or two of the answer.
const ONE_WAY_AFTER: Duration = Duration::from_secs(5);

/// The transmission rating factor R (ITU-T G.107 (06/2015) §7): R = (Ro − Is) − Id − Ie,eff + A, with A = 0.
fn rating(loss: f64, delay: Duration) -> f64 {
    // Ro − Is, all parameters being the defaults of table 2: §7.7 gives R = 93.2 for them.
    const BASE: f64 = 93.2;
    const IE: f64 = 0.0;
    const BPL: f64 = 25.1;

    let percent = loss * 100.0;
    // Ie,eff (§7.5) with BurstR = 1.
    let equipment = IE + (95.0 - IE) * percent / (percent + BPL);
    // Idd (§7.4): too long a delay, the echo being cancelled.
    let ms = delay.as_secs_f64() * 1000.0;
    let delayed = if ms <= 100.0 {
        0.0
    } else {
        let x = (ms / 100.0).log2();
        25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
    };
    BASE - delayed - equipment
}

/// The mean opinion score of a rating (ITU-T G.107 Annex B).
fn mos(rating: f64) -> f64 {
    // The curve has a dip below 1 between 0 and 6.5.
    let rating = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).clamp(1.0, 4.5)
}

#[expect(clippy::cast_precision_loss, reason = "a call has fewer packets than 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// What comes from one party, as it comes.
#[derive(Debug)]
pub(super) struct Quality {
    /// The source that is heard, and the one before it, whose last packets may come late.
    sources: [Option<Source>; 2],
    /// What the sources before them brought.
    before: Count,
    jitter: Jitter,
    /// Since when media is due from the party, while it is.
    due: Option<Moment>,
    /// How long it was due before.
    was_due: Duration,
    /// When the last packet came, since media is due.
    last: Option<Moment>,
    /// When the party last showed that it is there by something else than audio: by RTCP, say.
    sign: Option<Moment>,
    longest_gap_us: u64,
    /// Sender reports that passed to the party: the middle of their NTP times, as LSR has it, and when they passed. A report that is under
    /// way while the next one passes speaks of the one before.
    asked: [Option<(u32, Moment)>; 2],
    round_trips_us: u64,
    round_trips: u64,
    /// See [`LegQuality::fell_silent`].
    pub(super) fell_silent: bool,
}

impl Quality {
    pub(super) const fn new() -> Self {
        Self {
            sources: [None, None],
            before: Count::NONE,
            jitter: Jitter::NONE,
            due: None,
            was_due: Duration::ZERO,
            last: None,
            sign: None,
            longest_gap_us: 0,
            asked: [None, None],
            round_trips_us: 0,
            round_trips: 0,
            fell_silent: false,
        }
    }

    /// Takes a packet of the party's; the clock in Hz is that of its payload type, and none of a key or of what nobody described.
    #[inline]
    pub(super) fn packet(&mut self, rtp: &Rtp<'_>, clock: Option<u32>, now: Moment) {
        if self.due.is_some() {
            self.longest_gap_us = self.longest_gap_us.max(self.open_gap_us(now));
            self.last = Some(now);
        }
        if self.source(rtp.ssrc(), rtp.sequence()) == Place::Counts
            && let Some(clock) = clock
        {
            self.jitter.packet(rtp.ssrc(), clock, rtp.timestamp(), now);
        }
    }

    /// Counts the packet with its source, and makes that the one that is heard.
    #[inline]
    fn source(&mut self, ssrc: u32, sequence: u16) -> Place {
        if let [Some(heard), _] = &mut self.sources
            && heard.ssrc == ssrc
        {
            return heard.packet(sequence);
        }
        self.sources.swap(0, 1);
        let [heard, _] = &mut self.sources;
        match heard {
            Some(back) if back.ssrc == ssrc => back.packet(sequence),
            Some(_) | None => {
                if let Some(gone) = heard.replace(Source::begin(ssrc, sequence)) {
                    self.before = self.before.and(gone.count());
                }
                Place::Counts
            }
        }
    }

    /// Takes note of a sign of life that is no audio.
    pub(super) const fn sign(&mut self, now: Moment) {
        self.sign = Some(now);
    }

    /// Takes note of whether media is due from the party: whether the other one takes any.
    pub(super) fn expect(&mut self, is_due: bool, now: Moment) {
        match (self.due, is_due) {
            (None, true) => self.due = Some(now),
            (Some(since), false) => {
                self.longest_gap_us = self.longest_gap_us.max(self.open_gap_us(now));
                self.was_due += now.since(since);
                (self.due, self.last) = (None, None);
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// A sender report passed to the party, with this LSR.
    pub(super) const fn asked(&mut self, lsr: u32, now: Moment) {
        let [last, _] = self.asked;
        self.asked = [Some((lsr, now)), last];
    }

    /// The party reports on the sender report with this LSR, which it had for `dlsr` / 65,536 s.
    pub(super) fn answered(&mut self, lsr: u32, dlsr: u32, now: Moment) {
        let Some(&(_, passed)) = self.asked.iter().flatten().find(|(asked, _)| *asked == lsr) else { return };
        // 1,000,000 / 65,536 = 15,625 / 1,024.
        let held_us = u64::from(dlsr) * 15_625 / 1024;
        let elapsed_us = now.as_micros().saturating_sub(passed.as_micros());
        // A report that says it was held for longer than it was away is no measure of anything.
        if let Some(round_trip_us) = elapsed_us.checked_sub(held_us) {
            self.round_trips_us = self.round_trips_us.saturating_add(round_trip_us);
            self.round_trips += 1;
        }
    }

    /// Returns since when media is due from the party, while it is.
    pub(super) const fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Returns when audio came last, since media is due.
    pub(super) const fn last(&self) -> Option<Moment> {
        self.last
    }

    /// Returns when the party last showed that it is there.
    pub(super) fn life(&self) -> Option<Moment> {
        self.last.max(self.sign)
    }

    /// Returns what was measured until now; the time since the last packet counts where the end is told.
    pub(super) fn report(&self, end: Option<Moment>) -> LegQuality {
        let counts = self.sources.iter().flatten().map(Source::count);
        let Count { expected, received, duplicates, reordered } = counts.fold(self.before, Count::and);
        let [jitter, worst_jitter] = self.jitter.report();
        let open_gap_us = end.map_or(0, |end| self.open_gap_us(end));
        let due = self.due.zip(end).map_or(Duration::ZERO, |(since, end)| end.since(since));
        LegQuality {
            expected,
            received,
            duplicates,
            reordered,
            jitter,
            worst_jitter,
            longest_gap: Duration::from_micros(self.longest_gap_us.max(open_gap_us)),
            due: self.was_due + due,
            round_trip: self.round_trips_us.checked_div(self.round_trips).map(Duration::from_micros),
            fell_silent: self.fell_silent,
        }
    }

    fn open_gap_us(&self, now: Moment) -> u64 {
        self.last.map_or(0, |last| now.as_micros().saturating_sub(last.as_micros()))
    }
}

/// One source, by its sequence numbers (RFC 3550 §A.1).
#[derive(Debug)]
struct Source {
    ssrc: u32,
    /// The lowest and the highest number, counted over 64 bits: the wraps are in it.
    lowest: u64,
    highest: u64,
    /// Which of the last 128 numbers came: bit *n* is `highest` − *n*.
    came: u128,
    /// The number that would show that the source counts anew: the one after a packet that was far from all others.
    anew: Option<u16>,
    /// What it brought, but for what is expected since it last counted anew.
    count: Count,
}

// What is late is within what is remembered.
const _: () = assert!((MEDIA_MISORDER as u32) < u128::BITS);

/// What a packet is to its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// It came first of its number.
    Counts,
    /// It came again, or from afar: it measures nothing.
    Stray,
}

impl Source {
    fn begin(ssrc: u32, sequence: u16) -> Self {
        let first = Self::first(sequence);
        Self { ssrc, lowest: first, highest: first, came: 1, anew: None, count: Count { received: 1, ..Count::NONE } }
    }

    /// A first number, with a wrap below it for what comes late.
    fn first(sequence: u16) -> u64 {
        (1 << 16) + u64::from(sequence)
    }

    #[inline]
    fn packet(&mut self, sequence: u16) -> Place {
        let [.., high, low] = self.highest.to_be_bytes();
        let ahead = sequence.wrapping_sub(u16::from_be_bytes([high, low]));
        let behind = ahead.wrapping_neg();
        if ahead == 1 {
            // Nearly always: a shift of 128 bits by what is known is two instructions.
            self.highest += 1;
            self.came = self.came << 1 | 1;
        } else if (2..MEDIA_DROPOUT).contains(&ahead) {
            self.highest += u64::from(ahead);
            self.came = self.came.checked_shl(ahead.into()).unwrap_or(0) | 1;
        } else if behind <= MEDIA_MISORDER.unsigned_abs() {
            let bit = 1 << behind;
            if self.came & bit != 0 {
                self.count.received += 1;
                self.count.duplicates += 1;
                return Place::Stray;
            }
            self.came |= bit;
            self.count.reordered += 1;
            // Where the first that came was not the first that was sent, the count begins with the one that was (RFC 3550 counts
            // from the first that came, so that the others make up for losses).
            self.lowest = self.lowest.min(self.highest - u64::from(behind));
        } else if self.anew == Some(sequence) {
            let first = Self::first(sequence.wrapping_sub(1));
            self.count.expected += self.highest - self.lowest + 1;
            (self.lowest, self.highest, self.came) = (first, first + 1, 0b11);
            // The one before it was not counted when it came.
            self.count.received += 1;
        } else {
            self.anew = Some(sequence.wrapping_add(1));
            return Place::Stray;
        }
        self.anew = None;
        self.count.received += 1;
        Place::Counts
    }

    fn count(&self) -> Count {
        Count { expected: self.count.expected + (self.highest - self.lowest + 1), ..self.count }
    }
}

/// Packets of one source or of several.
#[derive(Clone, Copy, Debug)]
struct Count {
    expected: u64,
    received: u64,
    duplicates: u64,
    reordered: u64,
}

impl Count {
    const NONE: Self = Self { expected: 0, received: 0, duplicates: 0, reordered: 0 };

    const fn and(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            received: self.received + other.received,
            duplicates: self.duplicates + other.duplicates,
            reordered: self.reordered + other.reordered,
        }
    }
}

/// The interarrival jitter (RFC 3550 §A.8), in integers: of one source at one clock at a time, and over all of them.
#[derive(Debug)]
struct Jitter {
    ssrc: u32,
    /// In Hz; 0 before the first packet.
    clock: u32,
    /// Arrival less timestamp, in ticks.
    transit: u32,
    /// The estimate, in sixteenths of a tick.
    estimate: u32,
    /// The estimates at each packet since the clock is this, added up; and the highest.
    sum: u64,
    worst: u32,
    /// The same of the clocks before, in microseconds.
    before: [u64; 2],
    /// How many estimates there were, at all clocks.
    count: u64,
}

impl Jitter {
    const NONE: Self = Self { ssrc: 0, clock: 0, transit: 0, estimate: 0, sum: 0, worst: 0, before: [0; 2], count: 0 };

    #[inline]
    fn packet(&mut self, ssrc: u32, clock: u32, timestamp: u32, now: Moment) {
        let transit = ticks(now, clock).wrapping_sub(timestamp);
        if clock != self.clock {
            self.before = self.so_far();
            (self.clock, self.sum, self.worst, self.estimate) = (clock, 0, 0, 0);
        } else if ssrc != self.ssrc {
            self.estimate = 0;
        } else {
            let difference = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
            if difference < clock.saturating_mul(SET_ANEW_S) {
                self.estimate = self.estimate + difference - ((self.estimate + 8) >> 4);
                self.sum += u64::from(self.estimate);
                self.worst = self.worst.max(self.estimate);
                self.count += 1;
            }
        }
        (self.ssrc, self.transit) = (ssrc, transit);
    }

    /// The mean and the highest.
    fn report(&self) -> [Option<Duration>; 2] {
        let [sum, worst] = self.so_far();
        [sum.checked_div(self.count), (self.count > 0).then_some(worst)].map(|us| us.map(Duration::from_micros))
    }

    /// The sum and the highest of all clocks, in microseconds.
    fn so_far(&self) -> [u64; 2] {
        let [sum, worst] = self.before;
        let micros = |estimate: u64| {
            let sixteenths = u128::from(self.clock.max(1)) * 16;
            u64::try_from(u128::from(estimate) * 1_000_000 / sixteenths).unwrap_or(u64::MAX)
        };
        [sum.saturating_add(micros(self.sum)), worst.max(micros(self.worst.into()))]
    }
}

/// Seconds by which a packet must be off before its timestamps count anew, as many phones let them after hold; a network that holds a
/// packet back for so long has lost it for every jitter buffer.
const SET_ANEW_S: u32 = 2;

/// The moment on a clock of so many Hz; RTP's timestamps wrap just so.
#[expect(clippy::cast_possible_truncation, reason = "only the difference of two of them is looked at, on a circle of 2^32")]
const fn ticks(now: Moment, clock: u32) -> u32 {
    (now.as_micros().wrapping_mul(clock as u64) / 1_000_000) as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::rtp::Header;

    proptest! {
        /// Packets are lost, come late by up to 90 numbers, and come again, over any wrap.
        #[test]
        fn what_came_and_what_was_lost_is_what_was_expected(
            start in any::<u16>(),
            fates in prop::collection::vec((0_u64..4, 0_u64..90, prop::option::of(0_u64..90)), 1..600),
            skips in prop::collection::vec((0_usize..600, 1_u64..2800), 0..6),
        ) {
            let mut arrivals = Vec::new();
            let (mut number, mut last_kept) = (0, 0);
            for (nth, (kept, delay, again)) in fates.into_iter().enumerate() {
                let skip: u64 = skips.iter().filter(|(at, _)| *at == nth).map(|(_, skip)| skip).sum();
                // What is lost before and after a skip is one gap with it, and a longer one would be another beginning.
                number += 1 + skip.min(2200_u64.saturating_sub(number - last_kept));
                if kept > 0 {
                    last_kept = number;
                    arrivals.push((number + delay, number));
                    arrivals.extend(again.map(|again| (number + delay.max(again), number)));
                }
            }
            arrivals.sort_by_key(|&(at, _)| at);
            let mut quality = Quality::new();
            for &(_, number) in &arrivals {
                quality.source(7, start.wrapping_add(u16::try_from(number % 65_536).unwrap()));
            }

            let report = quality.report(None);

            let distinct: BTreeSet<u64> = arrivals.iter().map(|&(_, number)| number).collect();
            let span = distinct.first().zip(distinct.last()).map_or(0, |(first, last)| last - first + 1);
            prop_assert_eq!(report.expected, span);
            prop_assert_eq!(report.received, arrivals.len() as u64);
            prop_assert_eq!(report.duplicates, (arrivals.len() - distinct.len()) as u64);
            prop_assert_eq!(report.lost(), span - distinct.len() as u64);
            prop_assert_eq!(report.received + report.lost() - report.duplicates, report.expected);
        }

        /// Whatever comes, nothing overflows and the sums agree.
        #[test]
        fn any_packets_are_measured(packets in prop::collection::vec((0_u32..3, any::<u16>(), any::<u32>(), prop::option::of(1_u32..200_000), 0_u64..1 << 40), 1..300)) {
            let mut quality = Quality::new();
            quality.expect(true, Moment::START);
            for (ssrc, sequence, timestamp, clock, at) in packets {
                packet(&mut quality, ssrc, sequence, timestamp, clock, Moment::from_micros(at));
            }
            let report = quality.report(Some(Moment::from_micros(1 << 40)));
            prop_assert_eq!(report.received + report.lost() - report.duplicates, report.expected);
            prop_assert!(report.mos().is_none_or(|mos| (1.0..=4.5).contains(&mos)));
        }
    }

    #[test]
    fn a_wrap_is_no_loss() {
        let quality = numbers(&[65_534, 65_535, 0, 2]);

        assert_eq!((quality.expected, quality.received, quality.lost()), (5, 4, 1));
    }

    #[test]
    fn what_came_late_is_reordered_and_what_came_twice_a_duplicate() {
        let quality = numbers(&[10, 12, 11, 11, 13]);

        assert_eq!((quality.expected, quality.received, quality.lost()), (4, 5, 0));
        assert_eq!((quality.reordered, quality.duplicates), (1, 1));
    }

    #[test]
    fn a_source_that_counts_anew_has_lost_nothing() {
        // 30,000 behind: the first packet from there may be a stray, the second one shows that it is not.
        let quality = numbers(&[40_000, 40_001, 10_000, 10_001, 10_002]);
        assert_eq!((quality.expected, quality.received, quality.lost()), (5, 5, 0));

        let stray = numbers(&[40_000, 40_001, 10_000, 40_002]);
        assert_eq!((stray.expected, stray.received, stray.lost()), (3, 3, 0));
    }

    #[test]
    fn a_jump_beyond_what_may_be_missing_is_a_source_that_counts_anew() {
        let missing = numbers(&[1, MEDIA_DROPOUT, MEDIA_DROPOUT + 1]);
        assert_eq!((missing.received, missing.lost()), (3, u64::from(MEDIA_DROPOUT) - 2));

        let anew = numbers(&[1, MEDIA_DROPOUT + 1, MEDIA_DROPOUT + 2]);
        assert_eq!((anew.received, anew.lost()), (3, 0));
    }

    #[test]
    fn a_packet_behind_what_may_be_late_is_a_source_that_counts_anew() {
        let behind = MEDIA_MISORDER.unsigned_abs();
        let late = numbers(&[1000, 1001, 1001 - behind, 1002]);
        assert_eq!((late.received, late.reordered), (4, 1));

        let anew = numbers(&[1000, 1001, 999 - behind, 1000 - behind]);
        assert_eq!((anew.received, anew.reordered, anew.lost()), (4, 0, 0));
    }

    #[test]
    fn each_source_is_counted_by_itself_and_the_last_of_the_old_one_may_come_late() {
        let mut quality = Quality::new();
        for (ssrc, sequence) in [(1, 100), (1, 101), (2, 5000), (1, 102), (2, 5001), (3, 9), (3, 11), (2, 5002)] {
            quality.source(ssrc, sequence);
        }

        let report = quality.report(None);

        // 100 to 102, 5000 to 5002 and 9 to 11, of which 10 is lost.
        assert_eq!((report.expected, report.received, report.lost(), report.duplicates), (9, 8, 1, 0));
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        // 20 ms are 160 ticks. The fourth packet comes 10 ms late: D is 80 ticks for it, and 80 for the next, which is in time.
        let mut quality = Quality::new();
        for (nth, at_ms) in [0, 20, 40, 70, 80].into_iter().enumerate() {
            let nth = u16::try_from(nth).unwrap();
            packet(&mut quality, 1, nth, 160 * u32::from(nth), Some(8000), Moment::from_millis(at_ms));
        }

        // §A.8, in sixteenths: 0, 0, 0 + 80 − (8 >> 4) = 80, 80 + 80 − (88 >> 4) = 155.
        let report = quality.report(None);
        // (0 + 0 + 80 + 155) / 16 / 4 = 3.67 ticks of 125 µs; 155 / 16 = 9.69 ticks.
        assert_eq!(report.jitter, Some(Duration::from_micros(458)));
        assert_eq!(report.worst_jitter, Some(Duration::from_micros(1210)));
    }

    #[test]
    fn keys_other_clocks_and_clocks_that_are_set_anew_are_no_jitter() {
        let mut quality = Quality::new();
        let mut at = |nth: u16, timestamp, clock| {
            packet(&mut quality, 1, nth, timestamp, clock, Moment::from_millis(20 * u64::from(nth)));
        };
        at(0, 0, Some(8000));
        at(1, 160, Some(8000));
        // A key keeps the timestamp of its beginning.
        at(2, 320, None);
        at(3, 320, None);
        at(4, 640, Some(8000));
        at(5, 5_000_000, Some(48_000));
        at(6, 5_000_960, Some(48_000));
        at(7, 90, Some(48_000));
        at(8, 1050, Some(48_000));

        let report = quality.report(None);

        assert_eq!((report.jitter, report.worst_jitter), (Some(Duration::ZERO), Some(Duration::ZERO)));
        assert_eq!(quality.jitter.count, 4);
        assert_eq!(numbers(&[1, 2]).jitter, None, "no clock, no jitter");
    }

    #[test]
    fn a_gap_counts_only_while_media_is_due() {
        let mut quality = Quality::new();
        let mut nth = 0;
        let mut at = |quality: &mut Quality, ms| {
            nth += 1;
            packet(quality, 1, nth, 0, None, Moment::from_millis(ms));
        };
        at(&mut quality, 0);
        quality.expect(true, Moment::from_millis(900));
        at(&mut quality, 1000);
        at(&mut quality, 1060);
        quality.expect(false, Moment::from_millis(1100));
        at(&mut quality, 3000);
        quality.expect(true, Moment::from_millis(5000));
        at(&mut quality, 5010);
        at(&mut quality, 5030);

        assert_eq!(quality.report(None).longest_gap, Duration::from_millis(60));
        let report = quality.report(Some(Moment::from_millis(5200)));
        assert_eq!((report.longest_gap, report.due), (Duration::from_millis(170), Duration::from_millis(400)));
    }

    #[test]
    fn a_round_trip_is_what_passed_less_what_the_party_held_it_for() {
        let mut quality = Quality::new();
        quality.asked(0xb705_2000, Moment::from_millis(1000));
        quality.asked(0xb70a_0000, Moment::from_millis(6000));

        // The figure of RFC 3550 §6.4.1: DLSR 0x0005:4000 is 5.25 s.
        quality.answered(0xb705_2000, 0x0005_4000, Moment::from_millis(1000 + 5250 + 6125));
        quality.answered(0xb70a_0000, 0x0001_0000, Moment::from_millis(7025));
        quality.answered(1, 0, Moment::from_millis(7025));
        quality.answered(0xb70a_0000, u32::MAX, Moment::from_millis(7025));

        assert_eq!(quality.report(None).round_trip, Some(Duration::from_millis((6125 + 25) / 2)));
    }

    #[test]
    fn the_score_is_that_of_g_107() {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        // Table B.1 of ITU-T G.107, and its ends; the table has 4.03 where the formula gives 4.024.
        for (rating, score) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.6), (60.0, 3.1), (50.0, 2.58), (-5.0, 1.0), (100.0, 4.5)] {
            assert!((mos(rating) - score).abs() < 0.01, "{rating}: {}", mos(rating));
        }
        // §7.4: nothing up to 100 ms; at 400 ms, with X = 2, 25 · (65^⅙ − 3 · (1 + (2/3)^6)^⅙ + 2) = 24.1.
        assert_eq!(rating(0.0, Duration::from_millis(100)), 93.2);
        assert_eq!(rounded(93.2 - rating(0.0, Duration::from_millis(400))), 24.07);
        // §7.5: 95 · 1 / (1 + 25.1) = 3.64, and 95 · 25.1 / 50.2 = 47.5.
        assert_eq!(rounded(93.2 - rating(0.01, Duration::ZERO)), 3.64);
        assert_eq!(rounded(93.2 - rating(0.251, Duration::ZERO)), 47.5);

        let clean = LegQuality { expected: 1000, received: 1000, ..LegQuality::default() };
        assert_eq!(clean.mos().map(rounded), Some(4.41));
        assert_eq!(LegQuality { received: 990, ..clean }.mos().map(rounded), Some(4.33));
        assert_eq!(LegQuality { expected: 49, received: 49, ..clean }.mos(), None);
    }

    #[test]
    fn a_party_of_which_nothing_came_is_one_way_only_where_it_was_due_and_the_other_talked() {
        let nothing = LegQuality { due: Duration::from_secs(5), ..LegQuality::default() };
        let talk = LegQuality { received: 250, ..nothing };

        assert!(nothing.is_one_way(&talk));
        assert!(!talk.is_one_way(&nothing));
        assert!(!nothing.is_one_way(&nothing));
        assert!(!LegQuality { due: Duration::from_secs(4), ..nothing }.is_one_way(&talk));
        assert!(!nothing.is_one_way(&LegQuality { received: 49, ..talk }));
        assert!(LegQuality { fell_silent: true, ..talk }.is_one_way(&talk));
    }

    fn numbers(numbers: &[u16]) -> LegQuality {
        let mut quality = Quality::new();
        for &number in numbers {
            packet(&mut quality, 1, number, 0, None, Moment::START);
        }
        quality.report(None)
    }

    fn packet(quality: &mut Quality, ssrc: u32, sequence: u16, timestamp: u32, clock: Option<u32>, now: Moment) {
        let bytes = Header { payload_type: 8, marker: false, sequence, timestamp, ssrc }.to_bytes();
        quality.packet(&Rtp::parse(&bytes).unwrap(), clock, now);
    }
}
