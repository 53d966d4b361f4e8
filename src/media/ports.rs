//! Which port pairs of the configured range are free: drawn at random, and left to rest after a call.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::ops::RangeInclusive;

use crate::limits::PORT_REST;
use crate::media::chance::Chance;
use crate::time::Moment;

/// The port pairs of one address: an even port for RTP and the odd one after it for RTCP (RFC 3550 §11).
///
/// ```text
///   free ──take──▶ taken ──give_back──▶ resting ──PORT_REST──▶ free
/// ```
#[derive(Debug)]
pub struct Ports {
    free: Vec<u16>,
    taken: BTreeSet<u16>,
    /// In the order in which they were given back.
    resting: VecDeque<(Moment, u16)>,
    chance: Chance,
}

/// How many pairs there are in each state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PortCounts {
    /// Pairs that may be taken.
    pub free: usize,
    /// Pairs that calls have.
    pub taken: usize,
    /// Pairs that wait until nobody sends to them any more.
    pub resting: usize,
}

/// The operator's range holds no pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoPorts;

impl fmt::Display for NoPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the range of media ports holds no even port with the odd one after it")
    }
}

impl std::error::Error for NoPorts {}

impl Ports {
    /// Takes the range, both ends included; the seed decides in which order its pairs are given out.
    ///
    /// # Errors
    /// A range without a pair.
    pub fn new(range: RangeInclusive<u16>, seed: u64) -> Result<Self, NoPorts> {
        let free: Vec<u16> = range.clone().filter(|&port| port % 2 == 0 && port > 0 && range.contains(&(port + 1))).collect();
        match free.is_empty() {
            true => Err(NoPorts),
            false => Ok(Self { free, taken: BTreeSet::new(), resting: VecDeque::new(), chance: Chance::new(seed) }),
        }
    }

    /// Takes a pair and returns its even port, or nothing where every pair is taken or rests.
    pub fn take(&mut self, now: Moment) -> Option<u16> {
        self.wake_rested(now);
        if self.free.is_empty() {
            return None;
        }
        let port = self.free.swap_remove(self.chance.draw_place(self.free.len()));
        self.taken.insert(port);
        Some(port)
    }

    /// Takes this very pair, and says whether it was free.
    pub fn take_this(&mut self, port: u16) -> bool {
        let Some(at) = self.free.iter().position(|&free| free == port) else { return false };
        self.free.swap_remove(at);
        self.taken.insert(port)
    }

    /// Gives a pair back, which rests from here on: after its call, or because somebody else on this machine has the port.
    ///
    /// A port that was not taken changes nothing.
    pub fn give_back(&mut self, port: u16, now: Moment) {
        if self.taken.remove(&port) {
            self.resting.push_back((now, port));
        }
    }

    /// Returns how many pairs there are in each state.
    #[must_use]
    pub fn counts(&mut self, now: Moment) -> PortCounts {
        self.wake_rested(now);
        PortCounts { free: self.free.len(), taken: self.taken.len(), resting: self.resting.len() }
    }

    fn wake_rested(&mut self, now: Moment) {
        while let Some(&(since, port)) = self.resting.front()
            && now >= since + PORT_REST
        {
            self.resting.pop_front();
            self.free.push(port);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Calls come and go at any pace, over a range that is too small for them more often than not.
        #[test]
        fn no_port_is_had_by_two_or_again_before_it_has_rested(
            pairs in 1_u16..12,
            seed in any::<u64>(),
            steps in prop::collection::vec((0_u64..20_000, any::<bool>(), any::<prop::sample::Index>()), 1..200),
        ) {
            let mut ports = Ports::new(20_000..=20_000 + 2 * pairs - 1, seed).unwrap();
            let mut now = Moment::START;
            let mut had: Vec<u16> = Vec::new();
            let mut given_back: Vec<(u16, Moment)> = Vec::new();
            for (wait_ms, takes, which) in steps {
                now = now + Duration::from_millis(wait_ms);
                let is_resting = |port: u16| given_back.iter().any(|&(back, at)| back == port && now.since(at) < PORT_REST);
                if takes {
                    let port = ports.take(now);
                    match port {
                        Some(port) => {
                            prop_assert!(!had.contains(&port), "two calls have it");
                            prop_assert!(!is_resting(port), "it has not rested");
                            had.push(port);
                        }
                        None => {
                            let resting = (0..pairs).filter(|nth| is_resting(20_000 + 2 * nth)).count();
                            prop_assert_eq!(had.len() + resting, usize::from(pairs), "one was free");
                        }
                    }
                } else if !had.is_empty() {
                    let port = had.swap_remove(which.index(had.len()));
                    ports.give_back(port, now);
                    given_back.push((port, now));
                }
                let counts = ports.counts(now);
                prop_assert_eq!(counts.free + counts.taken + counts.resting, usize::from(pairs));
                prop_assert_eq!(counts.taken, had.len());
            }
        }
    }

    #[test]
    fn only_whole_pairs_are_given_out() {
        let all = |range| {
            let mut ports = Ports::new(range, 1).unwrap();
            std::iter::from_fn(|| ports.take(Moment::START)).collect::<BTreeSet<_>>()
        };

        assert_eq!(all(20_001..=20_006), BTreeSet::from([20_002, 20_004]));
        assert_eq!(all(65_530..=65_535), BTreeSet::from([65_530, 65_532, 65_534]));
        assert_eq!(all(0..=3), BTreeSet::from([2]), "port 0 is nobody's");
        assert_eq!(Ports::new(7..=8, 1).err(), Some(NoPorts));
    }

    #[test]
    fn the_order_is_random_and_the_seed_gives_it() {
        let order = |seed| {
            let mut ports = Ports::new(20_000..=20_999, seed).unwrap();
            (0..100).map(|_| ports.take(Moment::START).unwrap()).collect::<Vec<_>>()
        };

        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert!(!order(1).is_sorted());
    }

    #[test]
    fn a_port_rests_after_its_call() {
        let mut ports = Ports::new(20_000..=20_001, 1).unwrap();
        let port = ports.take(Moment::START).unwrap();
        assert_eq!(ports.counts(Moment::START), PortCounts { free: 0, taken: 1, resting: 0 });

        let ended = Moment::from_millis(5000);
        ports.give_back(port, ended);

        assert_eq!(ports.take(ended + PORT_REST.saturating_sub(Duration::from_micros(1))), None);
        assert_eq!(ports.counts(ended), PortCounts { free: 0, taken: 0, resting: 1 });
        assert_eq!(ports.take(ended + PORT_REST), Some(port));
    }

    #[test]
    fn a_pair_that_is_free_can_be_taken_by_its_number() {
        let mut ports = Ports::new(20_000..=20_003, 1).unwrap();

        assert!(ports.take_this(20_002));

        assert!(!ports.take_this(20_002), "it is taken");
        assert!(![20_001, 20_004, 0].into_iter().any(|port| ports.take_this(port)), "none of the range");
        assert_eq!(ports.take(Moment::START), Some(20_000));
        assert_eq!(ports.counts(Moment::START), PortCounts { free: 0, taken: 2, resting: 0 });
    }

    #[test]
    fn what_was_not_taken_cannot_be_given_back() {
        let mut ports = Ports::new(20_000..=20_003, 1).unwrap();
        let port = ports.take(Moment::START).unwrap();

        [port, port, port + 1, 19_998, 30_000, 0].into_iter().for_each(|port| ports.give_back(port, Moment::START));

        assert_eq!(ports.counts(Moment::START), PortCounts { free: 1, taken: 0, resting: 1 });
    }
}
