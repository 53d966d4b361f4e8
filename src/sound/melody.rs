//! Two sung voices made by arithmetic, so that a demonstration needs no sound files and a listener tells one side from the other.

use super::sine::sine;

/// Samples a second of [`melody`].
pub const MELODY_RATE: u32 = 8000;

/// Which of the two sings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voice {
    /// A low voice, slowly down and up again on «ah».
    Low,
    /// A high voice, quicker, on «ee».
    High,
}

/// Returns the sample at this place of the voice's melody, at [`MELODY_RATE`]; it repeats for ever.
///
/// A note is a fundamental with vibrato and its harmonics, weighted by the vowel's two formants, under an envelope that begins and
/// ends at nothing. The peak is near −9 dBFS and the mean near −20 dBFS, as telephone speech has them.
#[must_use]
pub fn melody(voice: Voice, sample: u64) -> i16 {
    let song = voice.song();
    let note_samples = u64::from(song.note_ms) * u64::from(MELODY_RATE) / 1000;
    let note = usize::try_from(sample / note_samples % song.notes_hz.len() as u64).unwrap_or(0);
    let pitch = song.notes_hz.get(note).copied().unwrap_or(220.0);
    let into = as_f64(sample % note_samples);
    let seconds = into / f64::from(MELODY_RATE);

    // The phase is the integral of pitch·(1 + depth·sin(2π·rate·t)), which comes in over the first quarter second.
    let depth = 0.012 * (seconds * 4.0).min(1.0);
    let sway = (1.0 - sine(song.vibrato_hz * seconds + 0.25)) / (std::f64::consts::TAU * song.vibrato_hz);
    let phase = pitch * (seconds + depth * sway);
    let tone: f64 = (1..=40_u16)
        .map(f64::from)
        .take_while(|harmonic| harmonic * pitch < 3600.0)
        .map(|harmonic| song.weight(harmonic * pitch) / harmonic.sqrt() * sine(harmonic * phase))
        .sum();

    let envelope = (into / 320.0).min(as_f64(note_samples - sample % note_samples) / 800.0).min(1.0);
    round(tone * envelope * song.gain)
}

/// A voice: what it sings, and the vowel it sings it on.
struct Song {
    notes_hz: &'static [f64],
    note_ms: u32,
    vibrato_hz: f64,
    formants_hz: [f64; 2],
    gain: f64,
}

impl Voice {
    fn song(self) -> Song {
        match self {
            // A, F, D, E, A in the bass; formants of «ah».
            Self::Low => Song {
                notes_hz: &[110.0, 87.31, 73.42, 82.41, 110.0],
                note_ms: 800,
                vibrato_hz: 4.7,
                formants_hz: [700.0, 1150.0],
                gain: 2600.0,
            },
            // E, F, A, G, E, C above it; formants of «ee».
            Self::High => Song {
                notes_hz: &[659.26, 698.46, 880.0, 783.99, 659.26, 523.25],
                note_ms: 500,
                vibrato_hz: 5.9,
                formants_hz: [400.0, 2300.0],
                gain: 7000.0,
            },
        }
    }
}

impl Song {
    /// How loud a harmonic of this frequency is: two resonances 200 Hz wide over a floor.
    fn weight(&self, hz: f64) -> f64 {
        0.15 + self.formants_hz.iter().map(|formant| 1.0 / (1.0 + ((hz - formant) / 200.0).powi(2))).sum::<f64>()
    }
}

/// A count of samples within one note.
fn as_f64(samples: u64) -> f64 {
    f64::from(u32::try_from(samples).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
fn round(level: f64) -> i16 {
    level.round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn both_voices_are_as_loud_as_speech_and_never_clip() {
        for voice in [Voice::Low, Voice::High] {
            let samples: Vec<f64> = (0..80_000).map(|at| f64::from(melody(voice, at))).collect();
            let peak = samples.iter().fold(0.0_f64, |peak, s| peak.max(s.abs()));
            let rms = (samples.iter().map(|s| s * s).sum::<f64>() / 80_000.0).sqrt();

            assert!((6000.0..16_000.0).contains(&peak), "{voice:?}: peak {peak}");
            assert!((2000.0..5000.0).contains(&rms), "{voice:?}: rms {rms}");
        }
    }

    #[test]
    fn a_note_begins_and_ends_without_a_click() {
        for (voice, note_samples) in [(Voice::Low, 6400), (Voice::High, 4000)] {
            for border in (0..10).map(|note| note * note_samples) {
                assert!((border..border + 4).all(|at| melody(voice, at).abs() < 400), "{voice:?} begins at {border}");
                assert!((border + note_samples - 4..border + note_samples).all(|at| melody(voice, at).abs() < 400), "{voice:?}");
            }
        }
    }

    #[test]
    fn the_voices_are_an_octave_and_more_apart() {
        let crossings = |voice| (0..80_000).filter(|&at| melody(voice, at) < 0 && melody(voice, at + 1) >= 0).count();

        assert!(crossings(Voice::High) > 2 * crossings(Voice::Low).min(5000) / 3);
        assert_ne!(melody(Voice::Low, 1000), melody(Voice::High, 1000));
    }
}
