//! Short tones that tell one party something without words.

use super::sine::sine;
use super::wav;

/// Samples a second.
const RATE: u32 = 16_000;

/// A sign: 440 Hz, which is in every band, for 160 ms.
const SIGN: Tone = Tone { pitch_hz: 440.0, samples: RATE * 160 / 1000 };

/// The tone that tells of a recording while it is made: 1400 Hz for 200 ms (47 CFR 64.501).
const TELLING: Tone = Tone { pitch_hz: 1400.0, samples: RATE * 200 / 1000 };

/// A pitch, and how long it is held.
#[derive(Clone, Copy)]
struct Tone {
    pitch_hz: f64,
    samples: u32,
}

/// Between two beeps: 120 ms, so that they are heard as two.
const REST: u32 = RATE * 120 / 1000;

/// How long a beep swells and fades, so that it does not click: 10 ms.
const EDGE: u32 = RATE / 100;

/// A quarter of what there is (−12 dB): loud enough beside a voice.
const LOUDNESS: f64 = 0.25 * 32_767.0;

/// Returns so many beeps, as a WAV file.
#[must_use]
pub fn beeps(count: u32) -> Vec<u8> {
    as_wav((0..count).flat_map(|nth| beep(if nth == 0 { 0 } else { REST }, SIGN)).collect())
}

/// Returns the tone that tells of a recording while it is made, as a WAV file.
#[must_use]
pub fn telling() -> Vec<u8> {
    as_wav(beep(0, TELLING).collect())
}

fn as_wav(samples: Vec<i16>) -> Vec<u8> {
    let mut wav = wav::head(RATE, 1, samples.len() as u64).to_vec();
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}

/// One beep, after a rest.
fn beep(rest: u32, Tone { pitch_hz, samples }: Tone) -> impl Iterator<Item = i16> {
    let swell = move |at: u32| f64::from(at.min(samples - 1 - at).min(EDGE)) / f64::from(EDGE);
    let sample = move |at: u32| LOUDNESS * swell(at) * sine(f64::from(at) * pitch_hz / f64::from(RATE));
    #[expect(clippy::cast_possible_truncation, reason = "a quarter of what an i16 holds")]
    let sound = (0..samples).map(move |at| sample(at) as i16);
    (0..rest).map(|_| 0).chain(sound)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_tone_that_tells_of_a_recording_has_the_pitch_and_the_length_of_the_rule() {
        let samples = wav::read(&telling()).unwrap().mono();

        assert_eq!(samples.len(), 3200, "200 ms");
        let rising = samples.windows(2).filter(|pair| matches!(pair, [before, after] if *before < 0.0 && *after >= 0.0)).count();
        assert!((278..=281).contains(&rising), "1400 periods a second: {rising} in 200 ms");
    }

    #[test]
    fn one_beep_is_not_two_and_neither_clicks() {
        let [one, two] = [1, 2].map(|count| wav::read(&beeps(count)).unwrap().mono());

        assert_eq!((one.len(), two.len()), (2560, 2 * 2560 + 1920));
        let loudest = |samples: &[f32]| samples.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
        assert!((0.2..0.26).contains(&loudest(&one)) && loudest(&two) < 0.26);
        assert!([one.first(), one.last()].into_iter().flatten().all(|sample| sample.abs() < 0.001));
        assert!(two.get(2560..2560 + 1920).unwrap().iter().all(|sample| *sample == 0.0), "silence lies between them");
    }
}
