//! How loud both parties were over time, in a bounded number of stretches however long the recording is.

use std::io;

use crate::export::sound::Ear;

/// The most stretches that are kept. Where there would be more, each two become one.
const STRETCHES: usize = 4096;

/// How loud a party was in a stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Level {
    /// The least and the greatest sample.
    pub(super) least: i16,
    pub(super) most: i16,
    /// The sum of the squares of so many samples.
    energy: u64,
    samples: u64,
}

impl Level {
    fn take(&mut self, sample: i16) {
        self.least = self.least.min(sample);
        self.most = self.most.max(sample);
        self.energy += u64::from(sample.unsigned_abs()).pow(2);
        self.samples += 1;
    }

    fn merge(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
            energy: self.energy + other.energy,
            samples: self.samples + other.samples,
        }
    }

    /// Returns the root of the mean of the squares.
    pub(super) fn rms(self) -> f64 {
        (self.energy as f64 / self.samples.max(1) as f64).sqrt()
    }
}

/// Both parties' levels.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Samples of a stretch.
    stretch: u64,
    done: Vec<[Level; 2]>,
    open: [Level; 2],
}

impl Envelope {
    /// Begins with stretches of a millisecond.
    pub(super) fn new(rate: u32) -> Self {
        Self { stretch: u64::from(rate / 1000).max(1), done: Vec::new(), open: [Level::default(); 2] }
    }

    /// Returns the levels, PBX first, in at most so many columns of the same width.
    pub(super) fn columns(&self, most: usize) -> Vec<[Level; 2]> {
        let is_open = self.open.iter().any(|level| level.samples > 0);
        let all: Vec<_> = self.done.iter().copied().chain(is_open.then_some(self.open)).collect();
        let count = most.min(all.len());
        (0..count)
            .map(|column| {
                let [from, to] = [column, column + 1].map(|edge| edge * all.len() / count);
                all.get(from..to).unwrap_or_default().iter().copied().reduce(merge).unwrap_or_default()
            })
            .collect()
    }

    /// Returns the loudest sample of both.
    pub(super) fn loudest(&self) -> u16 {
        let levels = self.done.iter().chain([&self.open]).flatten();
        levels.map(|level| level.least.unsigned_abs().max(level.most.unsigned_abs())).max().unwrap_or(0)
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.open));
        if self.done.len() == STRETCHES {
            self.done = self.done.as_chunks().0.iter().map(|&[first, second]| merge(first, second)).collect();
            self.stretch *= 2;
        }
    }
}

impl Ear for Envelope {
    fn hear(&mut self, pbx: &[i16], trunk: &[i16]) -> io::Result<()> {
        for (&pbx, &trunk) in pbx.iter().zip(trunk) {
            let [of_pbx, of_trunk] = &mut self.open;
            of_pbx.take(pbx);
            of_trunk.take(trunk);
            if of_pbx.samples >= self.stretch {
                self.close();
            }
        }
        Ok(())
    }
}

fn merge([a, b]: [Level; 2], [c, d]: [Level; 2]) -> [Level; 2] {
    [a.merge(c), b.merge(d)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn however_long_it_is_each_sample_counts_at_its_place() {
        let mut envelope = Envelope::new(8000);
        // 100 s, and a click at 25 s and at the very end.
        for second in 0..100 {
            let mut pbx = vec![100; 8000];
            if second == 25 {
                pbx[0] = -30_000;
            }
            if second == 99 {
                pbx[7999] = 20_000;
            }
            envelope.hear(&pbx, &vec![0; 8000]).unwrap();
        }

        let columns = envelope.columns(1000);

        assert_eq!(columns.len(), 1000);
        let loud: Vec<_> = (0..1000).filter(|&column| columns[column][0].most > 100 || columns[column][0].least < 0).collect();
        assert!(loud.len() == 2 && (248..=252).contains(&loud[0]) && loud[1] == 999, "{loud:?}");
        assert_eq!((columns[500][0].most, columns[500][1], envelope.loudest()), (100, columns[0][1], 30_000));
        assert!((columns[500][0].rms() - 100.0).abs() < 0.01 && envelope.done.len() < STRETCHES);
    }

    #[test]
    fn a_moment_is_a_column_and_nothing_is_none() {
        let mut envelope = Envelope::new(8000);
        assert_eq!((envelope.columns(10), envelope.loudest()), (vec![], 0));
        envelope.hear(&[1; 9], &[0; 9]).unwrap();
        assert_eq!(envelope.columns(10).len(), 2);
    }
}
