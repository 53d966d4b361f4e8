//! Band-limited resampling between any two rates from 4 to 192 kHz: a windowed sinc, evaluated at each output sample's own place.
//!
//! Made for sound that is converted once (announcements) and, as [`Riser`], for an export of one rate beside another.

use super::sine::sine;

/// Zero crossings of the sinc on either side. With the window below the stop band begins at the lower rate's half.
const CROSSINGS: usize = 48;

/// Kernel values between two zero crossings. Linear interpolation between them errs by less than (π/512)²/24 ≈ 2·10⁻⁶ (−115 dB).
const STEPS: usize = 512;

/// The sinc's own cut-off, as a share of half the lower rate: half a transition band (6 %) below it.
const CUTOFF: f64 = 0.94;

/// Shape of the Kaiser window: 90 dB of stop band.
const BETA: f64 = 8.96;

/// Returns the samples at rate `to`. Level and clipping are left alone: a full-scale input may overshoot ±1 a little.
///
/// Where the rates are equal, the samples are the same. The sound's first sample stays its first, so that nothing is delayed.
#[must_use]
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to || from == 0 || to == 0 {
        return samples.to_vec();
    }
    let kernel = Kernel::new();
    // Zero crossings of the kernel that go by from one input sample to the next.
    let stretch = CUTOFF * (f64::from(to) / f64::from(from)).min(1.0);
    let reach = (CROSSINGS as f64 / stretch).ceil();
    let length = samples.len() as u64 * u64::from(to) / u64::from(from);
    let mut row = Vec::new();
    (0..length)
        .map(|index| {
            // index·from/to, as a whole number of input samples and a rest, without rounding on the way.
            let place = index * u64::from(from);
            let (whole, rest) = (place / u64::from(to), (place % u64::from(to)) as f64 / f64::from(to));
            row.clear();
            row.extend(taps(rest, reach).map(|distance| kernel.at((distance * stretch).abs())));
            weigh(samples, whole, reach, &row)
        })
        .collect()
}

/// Returns the samples as 16-bit ones, rounded; what is louder than full scale becomes full scale.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
pub fn to_i16(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|&sample| (f64::from(sample) * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// Distances from the output's place to each input sample within reach.
fn taps(rest: f64, reach: f64) -> impl Iterator<Item = f64> {
    let first = 1.0 - reach;
    let count = if reach > 0.0 { count(2.0 * reach) } else { 0 };
    (0..count).map(move |tap| first + f64::from(tap) - rest)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "twice the reach: at most 2·48·48/0.94, whole and positive"
)]
fn count(whole: f64) -> u32 {
    whole as u32
}

/// The weighted sum around `whole`. Weights are divided by their sum, so that every place between two samples has the same gain.
fn weigh(samples: &[f32], whole: u64, reach: f64, row: &[f64]) -> f32 {
    let first = whole as i64 + 1 - i64::from(count(reach));
    let skipped = usize::try_from(-first).unwrap_or(0);
    let start = usize::try_from(first).unwrap_or(0);
    let within = samples.get(start..).unwrap_or(&[]);
    let sum: f64 = row.iter().skip(skipped).zip(within).map(|(&weight, &sample)| weight * f64::from(sample)).sum();
    narrow(sum / row.iter().sum::<f64>())
}

#[expect(clippy::cast_possible_truncation, reason = "to the nearest single-precision value, which is meant")]
const fn narrow(sum: f64) -> f32 {
    sum as f32
}

/// Half of a symmetric windowed sinc, tabulated.
struct Kernel(Vec<f64>);

impl Kernel {
    fn new() -> Self {
        let points = CROSSINGS * STEPS;
        let value = |point: usize| windowed_sinc(point as f64 / STEPS as f64, CROSSINGS as f64);
        Self((0..points).map(value).chain([0.0, 0.0]).collect())
    }

    /// Its value this many zero crossings from the middle.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a distance is positive and within reach")]
    fn at(&self, crossings: f64) -> f64 {
        let place = crossings * STEPS as f64;
        let point = place as usize;
        match self.0.get(point..point + 2) {
            Some(&[here, next]) => here + (next - here) * (place - point as f64),
            _ => 0.0,
        }
    }
}

/// The Kaiser window at a share of its half width.
fn kaiser(share: f64) -> f64 {
    bessel(BETA * (1.0 - share * share).max(0.0).sqrt()) / bessel(BETA)
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= (x / 2.0 / n) * (x / 2.0 / n);
        sum += term;
        n += 1.0;
    }
    sum
}

/// Raises the rate of an endless sound: where an output sample falls on an input sample it is that sample unchanged, the others are
/// interpolated.
#[derive(Clone, Debug)]
pub struct Riser {
    /// Input and output rate without their common factor.
    from: u64,
    to: u64,
    /// For each place between two input samples in `to`ths, the weights of those around it, oldest first; in Q30.
    taps: Vec<[i32; 2 * Self::LAG]>,
    /// The last input samples, oldest first.
    line: Vec<i16>,
    /// How many input samples have been taken.
    taken: u64,
    /// How many output samples have been given.
    given: u64,
}

impl Riser {
    /// Input samples that must be known on either side of an output sample.
    pub const LAG: usize = 24;

    /// Returns one from `from` to `to` Hz that has heard nothing but silence and whose next output is the one with this number. Its input
    /// goes on from where [`Self::taken`] says.
    ///
    /// `to` is the higher rate; where it is not, what the lower rate cannot carry comes out as what it is not.
    #[must_use]
    pub fn new(from: u32, to: u32, next: u64) -> Self {
        let common = common_factor(u64::from(from.max(1)), u64::from(to.max(1)));
        let (from, to) = (u64::from(from.max(1)) / common, u64::from(to.max(1)) / common);
        // A sinc through all input samples, under a window of LAG samples on either side.
        let weights = |phase: u64| {
            let share = phase as f64 / to as f64;
            let place = |tap: usize| ((tap + 1) as f64 - Self::LAG as f64 - share).abs();
            let raw: [f64; 2 * Self::LAG] = std::array::from_fn(|tap| windowed_sinc(place(tap), Self::LAG as f64));
            let sum: f64 = raw.iter().sum();
            raw.map(|weight| fixed(weight / sum))
        };
        let taps = (0..to).map(weights).collect();
        Self { from, to, taps, line: vec![0; Self::LAG - 1], taken: next * from / to, given: next }
    }

    /// Returns how many input samples have been taken, those of the silence before the beginning as well.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns how many input samples must have been taken before the outputs up to this number can be given.
    #[must_use]
    pub const fn reach(&self, outputs: u64) -> u64 {
        match outputs.checked_sub(1) {
            Some(last) => last * self.from / self.to + 1 + Self::LAG as u64,
            None => 0,
        }
    }

    /// Takes input samples, and appends what outputs can be had by now, up to the one with this number.
    pub fn rise(&mut self, samples: &[i16], until: u64, out: &mut Vec<i16>) {
        self.line.extend_from_slice(samples);
        self.taken += samples.len() as u64;
        let is_silent = self.line.iter().all(|&sample| sample == 0);
        // Of the outputs that are due, those whose input is here.
        while self.given < until && self.reach(self.given + 1) <= self.taken {
            out.push(if is_silent { 0 } else { self.at(self.given) });
            self.given += 1;
        }
        let needed = self.taken + Self::LAG as u64 - 1 - (self.given * self.from / self.to).min(self.taken);
        let spare = self.line.len().saturating_sub(usize::try_from(needed).unwrap_or(usize::MAX));
        self.line.drain(..spare);
    }

    /// One output, all of whose input is here.
    fn at(&self, output: u64) -> i16 {
        let place = output * self.from;
        let (whole, phase) = (place / self.to, place % self.to);
        let begin = whole + 1 + self.line.len() as u64 - Self::LAG as u64 - self.taken;
        let within = usize::try_from(begin).ok().and_then(|begin| self.line.get(begin..)).unwrap_or_default();
        let taps = usize::try_from(phase).ok().and_then(|phase| self.taps.get(phase));
        match taps {
            // On an input sample.
            Some(_) if phase == 0 => within.get(Self::LAG - 1).copied().unwrap_or(0),
            Some(taps) => rounded(within.iter().zip(taps).map(|(&sample, &tap)| i64::from(sample) * i64::from(tap)).sum()),
            None => 0,
        }
    }
}

/// Half of a sinc with zero crossings at whole numbers, under a Kaiser window that ends at `reach`.
fn windowed_sinc(crossing: f64, reach: f64) -> f64 {
    let sinc = if crossing == 0.0 { 1.0 } else { sine(crossing / 2.0) / (std::f64::consts::PI * crossing) };
    sinc * kaiser((crossing / reach).min(1.0))
}

const fn common_factor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[expect(clippy::cast_possible_truncation, reason = "a weight is 1 at most, which in Q30 has 31 bits")]
fn fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << 30)).round() as i32
}

fn rounded(sum: i64) -> i16 {
    let whole = (sum + (1 << 29)) >> 30;
    i16::try_from(whole).unwrap_or(if whole < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn equal_rates_leave_every_sample_as_it_is() {
        let samples: Vec<f32> = (-500..500).map(|step| step as f32 / 500.0).collect();

        assert_eq!(resample(&samples, 16_000, 16_000), samples);
    }

    #[test]
    fn a_tone_in_the_telephone_band_comes_out_as_itself() {
        for (from, to) in [
            (48_000, 8000),
            (44_100, 16_000),
            (44_100, 8000),
            (22_050, 8000),
            (11_025, 16_000),
            (8000, 16_000),
            (192_000, 8000),
            (16_001, 8000),
        ] {
            for hz in [300.0, 1000.0, 3400.0] {
                let out = resample(&tone(hz, from, from / 4), from, to);
                let ideal = tone(hz, to, to / 4);

                assert!(snr(&out, &ideal) > 80.0, "{from} to {to}, {hz} Hz: {} dB", snr(&out, &ideal));
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_gone() {
        for (from, hz) in [(16_000, 4100.0), (44_100, 5000.0), (48_000, 7000.0), (48_000, 20_000.0)] {
            let out = resample(&tone(hz, from, from / 4), from, 8000);
            let loudest = out[400..1600].iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));

            assert!(loudest < 1e-4, "{hz} Hz of {from}: {loudest}");
        }
    }

    #[test]
    fn a_steady_level_stays_what_it_is() {
        let out = resample(&[0.5; 4000], 44_100, 16_000);

        assert!(out[200..1200].iter().all(|s| (s - 0.5).abs() < 1e-6));
    }

    #[test]
    fn the_length_follows_the_rates() {
        assert_eq!(resample(&[0.0; 44_100], 44_100, 8000).len(), 8000);
        assert_eq!(resample(&[0.0; 4000], 4000, 16_000).len(), 16_000);
        assert!(resample(&[], 4000, 16_000).is_empty());
    }

    #[test]
    fn too_loud_is_full_scale_and_not_the_other_sign() {
        assert_eq!(to_i16(&[1.5, -1.5, 1.0, 0.5, -1.0]), [32_767, -32_768, 32_767, 16_384, -32_768]);
    }

    #[test]
    fn a_raised_sound_holds_the_sound_itself() {
        let samples: Vec<i16> = (0..4000_i32).map(|at| i16::try_from(at * 7919 % 20_011 - 10_000).unwrap()).collect();
        for times in [1, 2, 6] {
            let mut out = Vec::new();
            Riser::new(8000, 8000 * times, 0).rise(&samples, u64::MAX, &mut out);

            let kept: Vec<i16> = out.iter().copied().step_by(times as usize).collect();
            assert_eq!(kept, samples[..4000 - Riser::LAG]);
        }
    }

    #[test]
    fn a_raised_tone_is_the_tone_at_the_higher_rate() {
        for (from, to) in [(8000, 16_000), (8000, 48_000), (16_000, 48_000), (11_025, 16_000), (22_050, 48_000), (44_100, 48_000)]
        {
            for hz in [300.0, 1000.0, 3000.0] {
                let mut out = Vec::new();
                Riser::new(from, to, 0).rise(&to_i16(&tone(hz, from, from / 2)), u64::MAX, &mut out);
                let out: Vec<f32> = out.iter().map(|&s| f32::from(s) / 32_768.0).collect();
                let ideal = tone(hz, to, to / 2 - 200);

                assert!(snr(&out, &ideal) > 70.0, "{from} to {to}, {hz} Hz: {} dB", snr(&out, &ideal));
            }
        }
    }

    #[test]
    fn pieces_of_any_length_come_out_as_the_whole_does() {
        let samples = to_i16(&tone(700.0, 11_025, 5000));
        let mut whole = Vec::new();
        Riser::new(11_025, 48_000, 0).rise(&samples, u64::MAX, &mut whole);

        let mut riser = Riser::new(11_025, 48_000, 0);
        let mut pieces = Vec::new();
        let mut at = 0;
        for piece in 0_u64.. {
            let length = (piece * 37 % 101) as usize;
            if at + length > samples.len() {
                break;
            }
            riser.rise(&samples[at..at + length], piece * 211, &mut pieces);
            at += length;
        }

        assert!(pieces.len() > 15_000);
        assert!(pieces == whole[..pieces.len()], "a piece differs");
    }

    #[test]
    fn what_begins_later_lies_where_it_would_have_lain() {
        let samples = to_i16(&tone(700.0, 44_100, 44_100));
        let (mut all, mut late) = (Vec::new(), Vec::new());
        Riser::new(44_100, 48_000, 0).rise(&samples, 40_000, &mut all);

        let mut riser = Riser::new(44_100, 48_000, 20_001);
        let from = usize::try_from(riser.taken()).unwrap();
        riser.rise(&samples[from..], 40_000, &mut late);

        // The first still hear the silence before.
        assert_eq!(late.len(), 40_000 - 20_001);
        assert!(late[60..] == all[20_061..], "it is shifted");
    }

    fn tone(hz: f64, rate: u32, length: u32) -> Vec<f32> {
        (0..length).map(|at| (0.5 * (std::f64::consts::TAU * hz * f64::from(at) / f64::from(rate)).sin()) as f32).collect()
    }

    /// Over the middle, where neither end of the sound is within the filter's reach.
    fn snr(heard: &[f32], ideal: &[f32]) -> f64 {
        let middle = ideal.len() / 4..ideal.len() * 3 / 4;
        let power = |x: f32| f64::from(x).powi(2);
        let signal: f64 = ideal[middle.clone()].iter().map(|&x| power(x)).sum();
        let noise: f64 = heard[middle.clone()].iter().zip(&ideal[middle]).map(|(&a, &b)| power(a - b)).sum();
        10.0 * (signal / noise).log10()
    }
}
