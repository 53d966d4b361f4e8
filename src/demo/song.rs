//! What the demo's people sing, and the chime that stands for an announcement: made of sines, so that no file is needed.

use std::f32::consts::TAU;

/// Sound at 8 kHz, 16 bit.
pub(super) type Samples = Vec<i16>;

/// Returns a deep voice that sings up and down on «ah», for as long as wanted.
pub(super) fn deep_voice(seconds: f32) -> Samples {
    sing(&[110.0, 130.8, 146.8, 164.8, 146.8, 130.8], 0.55, [700.0, 1200.0], seconds)
}

/// Returns a high voice that sings other notes on «oo», for as long as wanted.
pub(super) fn high_voice(seconds: f32) -> Samples {
    sing(&[392.0, 329.6, 293.7, 349.2, 440.0], 0.4, [350.0, 900.0], seconds)
}

/// Returns what both say before anybody agreed: a murmur on one note each, which no recording may hold.
pub(super) fn murmur(note: f32, seconds: f32) -> Samples {
    sing(&[note, note * 1.06], 0.3, [500.0, 1500.0], seconds)
}

/// Returns the announcement: a chime of four notes, 1.9 s long.
pub(super) fn chime() -> Samples {
    let notes = [523.3, 659.3, 784.0, 1046.5];
    samples(1.9, |t| {
        let struck = notes.iter().enumerate().map(|(at, note)| {
            let since = t - at as f32 * 0.4;
            if since < 0.0 { 0.0 } else { (TAU * note * since).sin() * (-since * 2.5).exp() * (since * 200.0).min(1.0) }
        });
        struck.sum::<f32>() * 0.3
    })
}

/// Sings notes in turn: a source rich in harmonics, made a vowel by two formants, with a little vibrato.
fn sing(notes: &[f32], note_seconds: f32, formants: [f32; 2], seconds: f32) -> Samples {
    let mut phase = 0.0_f32;
    samples(seconds, |t| {
        let at = (t / note_seconds) as usize % notes.len();
        let within = t % note_seconds;
        let note = notes.get(at).copied().unwrap_or(220.0) * 0.012_f32.mul_add((TAU * 5.5 * t).sin(), 1.0);
        phase = (phase + note / RATE) % 1.0;
        let voice: f32 = (1..=20_u8)
            .map(f32::from)
            .take_while(|harmonic| harmonic * note < 3400.0)
            .map(|harmonic| {
                let near = |formant: f32| 1.0 / (1.0 + ((harmonic * note - formant) / 180.0).powi(2));
                (TAU * harmonic * phase).sin() * formants.map(near).iter().sum::<f32>() / harmonic.sqrt()
            })
            .sum();
        let envelope = (within * 40.0).min(1.0) * ((note_seconds - within) * 25.0).min(1.0);
        voice * envelope * 0.25
    })
}

const RATE: f32 = 8000.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a few seconds at 8 kHz, each sample clamped to 16 bits"
)]
fn samples(seconds: f32, mut of: impl FnMut(f32) -> f32) -> Samples {
    let count = (seconds * RATE) as u32;
    (0..count).map(|i| (of(i as f32 / RATE).clamp(-1.0, 1.0) * 30_000.0) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_songs_are_loud_enough_and_differ() {
        let songs = [deep_voice(2.0), high_voice(2.0), murmur(200.0, 2.0), chime()];

        for song in &songs {
            let loudest = song.iter().map(|sample| sample.unsigned_abs()).max();
            assert!(loudest > Some(4000) && loudest < Some(30_000), "{loudest:?}");
        }
        assert_eq!(songs.each_ref().map(Vec::len), [16_000, 16_000, 16_000, 15_200]);
        assert_ne!(songs.first(), songs.get(1));
    }
}
