//! Chance that can be had again: one seed, the same numbers.

use std::ops::Range;
use std::time::Duration;

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// Takes `SEED` of the environment or draws one, and says it: who failed once can be asked again, although threads and disks never
    /// come in the same order twice.
    #[allow(clippy::print_stdout, reason = "the seed is shown where the test fails")]
    pub(crate) fn of_the_day() -> Self {
        let said = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let drawn =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
        let seed = said.unwrap_or_else(drawn);
        println!("SEED={seed}");
        Self(seed)
    }

    /// One of its own for something that goes on beside.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn ms(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.next() % (range.end - range.start))
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
