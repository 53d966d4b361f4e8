//! Chance from a seed: the same seed gives the same draws, and what one peer learns of its own draws tells nothing about the next.

use std::hash::{DefaultHasher, Hasher as _};

/// Draws numbers: the SipHash of the seed and of how many were drawn before.
///
/// Not for keys: for ports and for what RFC 3550 §5.1 wants random in a stream, which a stranger should not guess.
#[derive(Debug)]
pub(super) struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Draws 64 bits.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }

    /// Draws 32 bits.
    pub(super) fn draw_u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.draw().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Draws a place in a list of this length; 0 where it is empty.
    pub(super) fn draw_place(&mut self, length: usize) -> usize {
        // 2^64 draws over at most 2^15 ports: no place is likelier than another by more than 2^-49.
        let place = self.draw().checked_rem(length as u64).unwrap_or(0);
        usize::try_from(place).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_series() {
        let draws = |seed| {
            let mut chance = Chance::new(seed);
            [chance.draw(), chance.draw(), chance.draw()]
        };

        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        assert_ne!(draws(7)[0], draws(7)[1]);
    }

    #[test]
    fn a_place_lies_within_the_list() {
        let mut chance = Chance::new(1);

        assert!((0..1000).all(|_| chance.draw_place(3) < 3));
        assert_eq!(chance.draw_place(0), 0);
    }
}
