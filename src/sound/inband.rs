//! Keys that are heard: the two tones of a key of the telephone (ITU-T Q.23) in speech at 8 kHz.
//!
//! ```text
//!            1209  1336  1477  1633 Hz
//!    697 Hz     1     2     3     A         a block of 12.75 ms: the energy at each of the eight frequencies (Goertzel),
//!    770 Hz     4     5     6     B         ─▶ one of each group far above the others of its group, both about as loud,
//!    852 Hz     7     8     9     C            and nothing much beside them
//!    941 Hz     *     0     #     D
//! ```
//!
//! What is heard decides on a consent, so it is better to miss a key than to hear one in somebody's voice: a key is one that sounds for five blocks in a
//! row. People press for longer; machines that press for 40 ms, the shortest that exchanges take (ITU-T Q.24), are not heard.

use crate::digit::Digit;

/// Listens to one party.
#[derive(Debug)]
pub struct Listener {
    /// Of each frequency, what the recursion needs of the two samples before.
    state: [[f32; 2]; 8],
    energy: f32,
    filled: usize,
    /// What the last blocks sounded like, and how many in a row.
    run: (Option<Digit>, u32),
    /// The key that sounds, and for how many blocks it has not.
    pressed: Option<(Digit, u32)>,
}

/// What was heard in a stretch of sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// A key whose press is certain from here on. Once for each press.
    pub key: Option<Digit>,
    /// Whether the stretch ends in the tones of a key, perhaps too short to be one: what is not to be kept of a key is not to be kept then.
    pub is_tone: bool,
}

/// Samples of a block, 12.75 ms: long enough to tell neighbours apart, 73 Hz, and so short that two whole ones lie in the shortest key.
const BLOCK: usize = 102;

/// Blocks in a row that are a key: 64 ms, so that any key of 77 ms is heard.
const CERTAIN: u32 = 5;

/// Blocks in a row that are not kept: any tone of 38 ms has so many. What is kept of a key before is shorter than any receiver takes for one.
const LIKELY: u32 = 2;

/// Blocks in a row of anything else that are the end of a press: 38 ms. A pause of 51 ms has so many, and a click has fewer.
const OVER: u32 = 3;

/// 2·cos(2π·f / 8000), of the low and of the high group.
const TURNS: [f32; 8] = [1.707_737_8, 1.645_281_1, 1.568_687, 1.478_204_6, 1.164_104, 0.996_370_2, 0.798_618_4, 0.568_532_7];

/// The keys by their tones.
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// The energy of a block of two tones of −30 dBm0 each: fainter is none (ITU-T Q.24 wants −24 to −29 dBm at most to be heard).
const FAINTEST: f32 = 102.0 * 700.0 * 700.0;

/// By how much a tone is above the others of its group: 8 dB. A neighbour's filter sees less than that of a tone that is 1.5 % off.
const ABOVE: f32 = 6.3;

/// How much louder the one tone may be than the other: 9 dB as the filters see it, which are 6.7 dB where the fainter is off by 1.5 %
/// (ITU-T Q.24 wants 4 to 10 dB to be taken, by country).
const TWIST: f32 = 8.0;

/// The least share of all energy that the two tones have. Where both are off by 1.5 %, as they may be, it is 0.77.
const SHARE: f32 = 0.7;

impl Listener {
    /// Begins to listen.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: [[0.0; 2]; 8], energy: 0.0, filled: 0, run: (None, 0), pressed: None }
    }

    /// Listens on; samples of 16 bits at 8 kHz.
    pub fn hear(&mut self, samples: impl Iterator<Item = i16>) -> Heard {
        let mut key = None;
        for sample in samples {
            let sample = f32::from(sample);
            self.energy += sample * sample;
            for (state, turn) in self.state.iter_mut().zip(TURNS) {
                let [last, before] = *state;
                *state = [sample + turn * last - before, last];
            }
            self.filled += 1;
            if self.filled == BLOCK {
                key = self.block().or(key);
            }
        }
        Heard { key, is_tone: self.is_tone() }
    }

    /// Returns whether what was heard last are the tones of a key.
    #[must_use]
    pub const fn is_tone(&self) -> bool {
        self.pressed.is_some() || (self.run.0.is_some() && self.run.1 >= LIKELY)
    }

    /// Ends a block, and returns the key that is certain by it.
    fn block(&mut self) -> Option<Digit> {
        let sounds = self.sounds();
        (self.state, self.energy, self.filled) = ([[0.0; 2]; 8], 0.0, 0);
        let (known, count) = self.run;
        self.run = (sounds, if known == sounds { count.saturating_add(1) } else { 1 });
        // A click in the middle of a key is no second press.
        self.pressed = self.pressed.and_then(|(pressed, since)| {
            let since = if sounds == Some(pressed) { 0 } else { since + 1 };
            (since < OVER).then_some((pressed, since))
        });
        let is_another = self.pressed.map(|(pressed, _)| pressed) != sounds;
        let certain = sounds.filter(|_| is_another && self.run.1 == CERTAIN)?;
        self.pressed = Some((certain, 0));
        Some(certain)
    }

    /// Returns the key that the block sounds like.
    fn sounds(&self) -> Option<Digit> {
        if self.energy < FAINTEST {
            return None;
        }
        let mut powers = [0.0; 8];
        for ((power, [last, before]), turn) in powers.iter_mut().zip(self.state).zip(TURNS) {
            *power = last * last + before * before - turn * last * before;
        }
        let (low, high) = powers.split_at(4);
        let ((row, low), (column, high)) = (foremost(low)?, foremost(high)?);
        // Of a tone alone its power is half as many times its energy as the block has samples.
        let share = (low + high) / (self.energy * (BLOCK as f32 / 2.0));
        let is_key = low <= high * TWIST && high <= low * TWIST && share >= SHARE;
        let key = *KEYS.get(row)?.get(column)?;
        Digit::from_char(key).filter(|_| is_key)
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self::new()
    }
}

/// The one of a group that is far above the others.
fn foremost(group: &[f32]) -> Option<(usize, f32)> {
    let (at, &most) = group.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let is_alone = group.iter().enumerate().all(|(other, &power)| other == at || power * ABOVE <= most);
    is_alone.then_some((at, most))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::sound::g711::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};
    use crate::sound::{resample, wav};

    const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

    #[test]
    fn every_key_is_heard_once_at_any_moment_of_a_block() {
        for (row, keys) in KEYS.iter().enumerate() {
            for (column, &key) in keys.iter().enumerate() {
                for lead in [0, 17, 50, 101] {
                    let sound = [silence(lead), key_of(row, column, 77, 1.0, [3000.0; 2]), silence(800)].concat();
                    assert_eq!(heard(&sound), [Digit::from_char(key).unwrap()], "{key} after {lead}");
                }
            }
        }
    }

    #[test]
    fn a_key_may_be_off_by_what_telephones_are_and_no_more() {
        for (row, column) in [(0, 0), (3, 3), (1, 2), (2, 1)] {
            for off in [0.985, 1.015] {
                for amplitudes in [[3000.0, 3000.0], [5000.0, 2300.0], [2300.0, 5000.0], [800.0, 800.0], [15_000.0, 15_000.0]] {
                    assert_eq!(heard(&key_of(row, column, 100, off, amplitudes)).len(), 1, "{row} {column} {off} {amplitudes:?}");
                }
            }
            assert_eq!(heard(&key_of(row, column, 100, 1.0, [6000.0, 1000.0])), [], "one tone far above the other");
            assert_eq!(heard(&key_of(row, column, 100, 1.0, [300.0, 300.0])), [], "too faint");
        }
    }

    #[test]
    fn two_presses_are_two_and_a_click_is_none() {
        let key = || key_of(0, 0, 100, 1.0, [3000.0; 2]);

        assert_eq!(heard(&[key(), silence(420), key(), silence(420)].concat()).len(), 2);
        let mut clicked = key_of(0, 0, 200, 1.0, [3000.0; 2]);
        clicked[700..720].fill(20_000);
        assert_eq!(heard(&clicked).len(), 1);
        assert_eq!(heard(&key_of(0, 0, 50, 1.0, [3000.0; 2])), [], "too short to be certain");
    }

    #[test]
    fn companded_sound_is_heard_as_well() {
        let key = key_of(2, 0, 100, 1.0, [2000.0; 2]);
        let mu: Vec<i16> = key.iter().map(|&sample| decode_ulaw(encode_ulaw(sample))).collect();
        let a: Vec<i16> = key.iter().map(|&sample| decode_alaw(encode_alaw(sample))).collect();

        assert_eq!((heard(&mu).len(), heard(&a).len()), (1, 1));
    }

    #[test]
    fn no_key_is_heard_in_speech_in_noise_or_in_other_tones() {
        for text in [&include_bytes!("../../deploy/opt-in.en.wav")[..], include_bytes!("../../deploy/opt-in.de.wav")] {
            let wav = wav::read(text).unwrap();
            let speech = resample::to_i16(&resample::resample(&wav.mono(), wav.rate(), 8000));
            assert!(speech.len() > 16_000);
            for lead in (0..BLOCK).step_by(7) {
                assert_eq!(heard(&[silence(lead), speech.clone()].concat()), [], "speech, {lead} later");
            }
        }
        let mut chance = 1_u64;
        let noise: Vec<i16> = (0..400_000)
            .map(|_| {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (chance >> 49) as i16 - 16_384
            })
            .collect();
        assert_eq!(heard(&noise), []);
        // Dial tone, ringing, busy (Europe and North America), fax's CNG, and a melody's fifth.
        for tones in
            [[425.0, 425.0], [350.0, 440.0], [440.0, 480.0], [480.0, 620.0], [1100.0, 1100.0], [697.0, 1046.0], [770.0, 770.0]]
        {
            let sound: Vec<i16> = (0..8000).map(|n| sample(n, tones, [3000.0; 2])).collect();
            assert_eq!(heard(&sound), [], "{tones:?}");
        }
    }

    #[test]
    fn what_is_kept_before_the_tones_are_likely_is_shorter_than_a_key() {
        for lead in 0..160 {
            let sound = [silence(lead), key_of(0, 0, 100, 1.0, [3000.0; 2]), silence(800)].concat();
            let mut listener = Listener::new();
            let mut kept = 0;
            for (nth, packet) in sound.chunks(160).enumerate() {
                let is_tone = listener.hear(packet.iter().copied()).is_tone;
                let of_key = (nth * 160..nth * 160 + packet.len()).filter(|at| (lead..lead + 800).contains(at)).count();
                kept += if is_tone { 0 } else { of_key };
            }
            assert!(kept <= 320, "{kept} samples of the key, {lead} later");
        }
    }

    fn heard(sound: &[i16]) -> Vec<Digit> {
        let mut listener = Listener::new();
        sound.chunks(160).filter_map(|packet| listener.hear(packet.iter().copied()).key).collect()
    }

    fn key_of(row: usize, column: usize, ms: usize, off: f64, amplitudes: [f64; 2]) -> Vec<i16> {
        let tones = [LOW[row] * off, HIGH[column] * off];
        (0..ms * 8).map(|n| sample(n, tones, amplitudes)).collect()
    }

    fn sample(n: usize, tones: [f64; 2], amplitudes: [f64; 2]) -> i16 {
        let wave = |hertz: f64| (std::f64::consts::TAU * hertz * n as f64 / 8000.0).sin();
        tones.iter().zip(amplitudes).map(|(&hertz, amplitude)| amplitude * wave(hertz)).sum::<f64>() as i16
    }

    fn silence(samples: usize) -> Vec<i16> {
        vec![0; samples]
    }
}
