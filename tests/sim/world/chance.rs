//! Chance from a seed: the same numbers in every run, on every machine.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use hpke::rand_core::{TryCryptoRng, TryRng};

/// A source of numbers: SplitMix64, or a tape that somebody else has written.
#[derive(Clone, Debug)]
pub struct Chance(Source);

#[derive(Clone, Debug)]
enum Source {
    Seed(u64),
    Tape(Arc<Mutex<Tape>>),
}

/// Bytes that decide, one after the other; after the last all is drawn from a fixed seed.
#[derive(Debug)]
struct Tape {
    bytes: Vec<u8>,
    read: usize,
    rest: u64,
    /// Is in each number of 64 bits, for keys and ids are drawn from them: no two are alike, whatever the bytes say.
    unlike: u64,
}

impl Chance {
    /// Begins with a seed.
    pub const fn new(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// Begins with a tape.
    pub fn tape(bytes: &[u8]) -> Self {
        Self(Source::Tape(Arc::new(Mutex::new(Tape { bytes: bytes.to_vec(), read: 0, rest: 1, unlike: 2 }))))
    }

    /// Returns a source for this label: to draw more from a seed's changes no other. All that is split from a tape reads that tape.
    pub fn split(&self, label: u64) -> Self {
        match &self.0 {
            Source::Seed(state) => {
                let mut child = state ^ label.wrapping_mul(0xd6e8_feb8_6659_fd93);
                Self(Source::Seed(mix(&mut child)))
            }
            Source::Tape(tape) => Self(Source::Tape(Arc::clone(tape))),
        }
    }

    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => mix(state),
            Source::Tape(tape) => {
                let mut tape = tape.lock().expect("nobody panics with it");
                let number = tape.number(8);
                number ^ mix(&mut tape.unlike)
            }
        }
    }

    /// Returns a number below `n`; 0 where `n` is.
    pub fn below(&mut self, n: u64) -> u64 {
        let number = match &mut self.0 {
            Source::Seed(state) => mix(state),
            Source::Tape(tape) => tape.lock().expect("nobody panics with it").number(if n <= 256 { 1 } else { 2 }),
        };
        number.checked_rem(n).unwrap_or(0)
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Returns whether something that happens `n` times in a thousand happens.
    pub fn per_mille(&mut self, n: u32) -> bool {
        n > 0 && self.below(1000) < u64::from(n)
    }
}

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Tape {
    fn number(&mut self, bytes: usize) -> u64 {
        let Some(read) = self.bytes.get(self.read..self.read + bytes) else {
            self.read = self.bytes.len();
            return mix(&mut self.rest);
        };
        self.read += bytes;
        read.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

// Keys and nonces of a simulated box are as random as the rest of it: for the world, and for nothing else.
impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes()[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Chance {}
