//! Band-limited resampling between any two rates from 4 to 192 kHz: a windowed sinc, evaluated at each output sample's own place.
//!
//! Made for sound that is converted once (announcements) and, as [`Doubler`], for an export of 8 kHz beside 16 kHz.

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
        let value = |point: usize| {
            let crossing = point as f64 / STEPS as f64;
            let sinc = if point == 0 { 1.0 } else { sine(crossing / 2.0) / (std::f64::consts::PI * crossing) };
            sinc * kaiser(point as f64 / points as f64)
        };
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

/// Doubles the rate of an endless sound: every other output sample is an input sample unchanged, the ones between are interpolated.
#[derive(Clone, Debug)]
pub struct Doubler {
    /// The last samples, oldest first: as many before the place that is being interpolated as after it.
    line: [i16; 2 * Self::LAG],
    taps: [i64; Self::LAG],
}

impl Doubler {
    /// Input samples by which the output lags behind.
    pub const LAG: usize = 24;

    /// Returns one that has heard silence.
    #[must_use]
    pub fn new() -> Self {
        // A sinc through all input samples, at the places half-way between them, under the same window; in Q30.
        let weight = |tap: usize| {
            let crossing = tap as f64 + 0.5;
            sine(crossing / 2.0) / (std::f64::consts::PI * crossing) * kaiser(crossing / Self::LAG as f64)
        };
        let sum: f64 = (0..Self::LAG).map(weight).sum::<f64>() * 2.0;
        Self { line: [0; 2 * Self::LAG], taps: std::array::from_fn(|tap| fixed(weight(tap) / sum)) }
    }

    /// Appends two samples for each one, [`Self::LAG`] input samples later.
    pub fn double(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        for &sample in samples {
            self.line.copy_within(1.., 0);
            let [.., newest] = &mut self.line;
            *newest = sample;
            let (past, future) = self.line.split_at(Self::LAG);
            out.extend(past.last());
            let pairs = past.iter().rev().zip(future);
            let sum: i64 = pairs.zip(&self.taps).map(|((&a, &b), tap)| (i64::from(a) + i64::from(b)) * tap).sum();
            out.push(rounded(sum));
        }
    }
}

impl Default for Doubler {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a weight is below 1, so that Q30 fits with 33 bits to spare")]
fn fixed(weight: f64) -> i64 {
    (weight * f64::from(1 << 30)).round() as i64
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
    fn a_doubled_sound_holds_the_sound_itself() {
        let samples: Vec<i16> = (0..4000_i32).map(|at| i16::try_from(at * 7919 % 20_011 - 10_000).unwrap()).collect();
        let mut out = Vec::new();
        Doubler::new().double(&samples, &mut out);

        let kept: Vec<i16> = out.iter().copied().step_by(2).skip(Doubler::LAG).collect();
        assert_eq!(kept, samples[..4000 - Doubler::LAG]);
    }

    #[test]
    fn a_doubled_tone_is_the_tone_at_the_double_rate() {
        for hz in [300.0, 1000.0, 3000.0] {
            let mut out = Vec::new();
            Doubler::new().double(&to_i16(&tone(hz, 8000, 4000)), &mut out);
            let out: Vec<f32> = out[2 * Doubler::LAG..].iter().map(|&s| f32::from(s) / 32_768.0).collect();
            let ideal = tone(hz, 16_000, 8000);

            assert!(snr(&out, &ideal) > 70.0, "{hz} Hz: {} dB", snr(&out, &ideal));
        }
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
