//! How many messages one source may send: a token bucket for each, and no more of them than are remembered.

use std::hash::{DefaultHasher, Hasher as _};
use std::net::IpAddr;
use std::time::Duration;

use super::glance::Glance;
use crate::limits;
use crate::time::Moment;

/// How many messages a second, and how many at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Messages a second; at least one, below which nothing would ever come in.
    per_s: u32,
    /// Messages at once.
    burst: u32,
}

impl Rate {
    /// Returns this many messages a second, and those of two seconds at once; none of it where there is no limit (0).
    #[must_use]
    pub const fn per_s(messages: u32) -> Option<Self> {
        if messages == 0 { None } else { Some(Self { per_s: messages, burst: messages.saturating_mul(2) }) }
    }

    /// Returns that of so many together.
    #[must_use]
    pub const fn times(self, sources: u32) -> Self {
        Self { per_s: self.per_s.saturating_mul(sources), burst: self.burst.saturating_mul(sources) }
    }

    const fn full(self) -> u64 {
        self.burst as u64 * TOKEN
    }

    /// What must be left for a message to be taken: one token; for the first INVITE of a call half of them, so that a flood of calls leaves
    /// room for what ends them.
    const fn wanted(self, glance: Glance) -> u64 {
        match glance {
            Glance::NewCall => self.full() / 2 + TOKEN,
            Glance::Other => TOKEN,
        }
    }
}

/// A message, in what a bucket counts by: a millionth of one, so that a rate of one a second fills it by one each microsecond.
const TOKEN: u64 = 1_000_000;

/// One source's bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    rate: Rate,
    level: u64,
    at: Moment,
}

impl Bucket {
    /// Makes a full one.
    #[must_use]
    pub const fn full(rate: Rate, now: Moment) -> Self {
        Self { rate, level: rate.full(), at: now }
    }

    /// Takes a message, where it is within the rate.
    ///
    /// # Errors
    /// It is beyond it: how long until one like it is not, if nothing else comes.
    pub fn take(&mut self, glance: Glance, now: Moment) -> Result<(), Duration> {
        self.fill(now);
        let wanted = self.rate.wanted(glance);
        if self.level >= wanted {
            self.level -= TOKEN;
            return Ok(());
        }
        Err(Duration::from_micros((wanted - self.level).div_ceil(u64::from(self.rate.per_s))))
    }

    fn fill(&mut self, now: Moment) {
        let passed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let more = passed.saturating_mul(u64::from(self.rate.per_s));
        self.level = self.level.saturating_add(more).min(self.rate.full());
        self.at = self.at.max(now);
    }
}

/// The buckets of all sources: so much memory, whatever comes.
///
/// A source may lie in one of `WAYS` places, which follow from its address and a seed, so that nobody can aim at another's. Where these are
/// taken, it takes over the bucket that has most left, as it stands: a source that sends little yields its place, and who comes by many
/// addresses gains nothing by it.
#[derive(Debug)]
pub struct Buckets {
    seed: u64,
    places: Vec<Place>,
}

/// A bucket, and whose it is; that of nobody is full.
type Place = (Option<Prefix>, Bucket);

/// Places that one source may have.
const WAYS: usize = 4;

impl Buckets {
    /// Makes full buckets for [`SIP_SOURCES`](limits::SIP_SOURCES) sources. The seed must come from the system's random source.
    #[must_use]
    pub fn new(rate: Rate, seed: u64, now: Moment) -> Self {
        Self { seed, places: vec![(None, Bucket::full(rate, now)); limits::SIP_SOURCES] }
    }

    /// Takes a message of this source, or does not because it is beyond the rate.
    pub fn takes(&mut self, source: IpAddr, glance: Glance, now: Moment) -> bool {
        let prefix = Prefix::of(source);
        let first = self.first_place(prefix);
        let Some(ways) = self.places.get_mut(first..first + WAYS) else { return false };
        let known = ways.iter().position(|(whose, _)| *whose == Some(prefix));
        let at = known.or_else(|| {
            ways.iter_mut().for_each(|(_, bucket)| bucket.fill(now));
            ways.iter().enumerate().max_by_key(|(_, (_, bucket))| bucket.level).map(|(at, _)| at)
        });
        let Some((whose, bucket)) = at.and_then(|at| ways.get_mut(at)) else { return false };
        *whose = Some(prefix);
        bucket.take(glance, now).is_ok()
    }

    fn first_place(&self, Prefix(prefix): Prefix) -> usize {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u128(prefix);
        let sets = (self.places.len() / WAYS).max(1) as u64;
        usize::try_from(hasher.finish() % sets).unwrap_or(0) * WAYS
    }
}

/// What one source has of an address: all of IPv4, and of IPv6 the network of 64 bits, within which a host may have any address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Prefix(u128);

impl Prefix {
    fn of(source: IpAddr) -> Self {
        match source {
            IpAddr::V4(four) => Self(u128::from(u32::from(four))),
            // Its lower half is never that of an IPv4 address, whose upper half is zero, but for ::/64, which nobody has.
            IpAddr::V6(six) => Self(u128::from(six) >> 64 << 64),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn rate(per_s: u32) -> Rate {
        Rate::per_s(per_s).unwrap()
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    /// How many of so many messages are taken at this moment.
    fn taken(bucket: &mut Bucket, glance: Glance, count: u32, now: Moment) -> usize {
        (0..count).filter(|_| bucket.take(glance, now).is_ok()).count()
    }

    #[test]
    fn a_source_sends_a_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(rate(10), Moment::START);
        let at = Moment::from_millis;

        assert_eq!(taken(&mut bucket, Glance::Other, 100, at(0)), 20, "two seconds of it at once");
        assert_eq!(bucket.take(Glance::Other, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(taken(&mut bucket, Glance::Other, 100, at(99)), 0);
        assert_eq!(taken(&mut bucket, Glance::Other, 100, at(1000)), 10);
        assert_eq!(taken(&mut bucket, Glance::Other, 100, at(1_000_000)), 20, "and never more at once");
        assert_eq!(taken(&mut bucket, Glance::Other, 100, at(5)), 0, "a clock that seems to go back fills nothing");
    }

    #[test]
    fn new_calls_leave_half_of_the_bucket_to_what_ends_them() {
        let mut bucket = Bucket::full(rate(10), Moment::START);

        assert_eq!(taken(&mut bucket, Glance::NewCall, 100, Moment::START), 10);
        assert_eq!(taken(&mut bucket, Glance::Other, 100, Moment::START), 10);
        assert_eq!(bucket.take(Glance::NewCall, Moment::START), Err(Duration::from_millis(1100)));
        assert_eq!(Rate::per_s(0), None, "no limit");
    }

    #[test]
    fn each_source_has_its_own_and_a_host_of_ipv6_is_one() {
        let mut buckets = Buckets::new(rate(1), 7, Moment::START);
        let mut takes = |source: IpAddr| buckets.takes(source, Glance::Other, Moment::START);
        let six = |text: &str| text.parse::<IpAddr>().unwrap();

        assert_eq!([takes(v4(1)), takes(v4(1)), takes(v4(1)), takes(v4(2))], [true, true, false, true]);
        assert!(takes(six("2001:db8::1")) && takes(six("2001:db8::2")) && !takes(six("2001:db8::3")));
        assert!(takes(six("2001:db8:0:1::1")));
    }

    #[test]
    fn a_flood_from_more_sources_than_are_remembered_gains_nothing_and_takes_no_memory() {
        let mut buckets = Buckets::new(rate(10), 7, Moment::START);
        let most = limits::SIP_SOURCES * 20;

        let taken = (0..1_000_000).filter(|&source| buckets.takes(v4(source), Glance::Other, Moment::START)).count();

        assert_eq!(taken, most, "what all places together hold");
        assert_eq!(buckets.places.len(), limits::SIP_SOURCES);
    }

    #[test]
    fn who_sends_little_among_many_is_still_heard() {
        let mut buckets = Buckets::new(rate(10), 7, Moment::START);
        let mut now = Moment::START;
        let mut heard = 0;
        for second in 0..100_u32 {
            // A thousand strange addresses, a message of each, for one of the known one's.
            for stranger in 0..1000 {
                buckets.takes(v4(1000 * (second + 1) + stranger), Glance::Other, now);
            }
            heard += u32::from(buckets.takes(v4(1), Glance::Other, now));
            now = now + Duration::from_secs(1);
        }

        assert_eq!(heard, 100);
    }
}
