//! G.722 at 64 kbit/s (ITU-T G.722, mode 1): 16 kHz of sound in two bands, each coded by adaptive differential PCM.
//!
//! ```text
//!           ┌──────────┐ xl ┌─────────┐ 6 bits
//!  16 kHz ─▶│ transmit │───▶│ lower   │────────▶┐
//!  samples  │ QMF      │ xh ├─────────┤ 2 bits  ├─▶ one byte for two samples: ih ih il il il il il il
//!           │          │───▶│ higher  │────────▶┘
//!           └──────────┘    └─────────┘              the decoder is the mirror image
//! ```
//!
//! Blocks and variables have the names of the Recommendation (§6.2), lower case. Arithmetic is that of its 16-bit words:
//! `add` and `sub` saturate, `mult` is a product in Q15. A coder keeps state from sample to sample, so that packets
//! must be coded in order, each stream by a coder of its own.

use self::tables::{IHN, IHP, ILB, ILN, ILP, OQ4, OQ6, Q6, QMF, QMF_TAPS, RIL4, WH, WL};

/// Encodes 16 kHz samples, two of them to a byte.
#[derive(Clone, Debug)]
pub struct Encoder {
    qmf: [i32; QMF_TAPS],
    lower: Band,
    higher: Band,
    odd: Option<i16>,
}

impl Encoder {
    /// Returns an encoder in the reset state (§6.2.1.3, §6.2.2.3).
    #[must_use]
    pub const fn new() -> Self {
        Self { qmf: [0; QMF_TAPS], lower: Band::LOWER, higher: Band::HIGHER, odd: None }
    }

    /// Appends a byte for every two samples. A sample without a partner waits for the next call.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        for &sample in samples {
            match self.odd.take() {
                None => self.odd = Some(sample),
                Some(first) => out.push(self.pair(first, sample)),
            }
        }
    }

    fn pair(&mut self, first: i16, second: i16) -> u8 {
        self.qmf.copy_within(..QMF_TAPS - 2, 2);
        let [newest, before, ..] = &mut self.qmf;
        (*newest, *before) = (i32::from(second), i32::from(first));
        let (even, odd) = split_sums(&self.qmf);
        // 12 bits take off the filter's gain (its coefficients are in Q13, and each sum is half of them), one more the sum of two
        // filters, one more brings 16-bit samples to the 15 bits of the bands.
        let xl = saturate((even + odd) >> 14);
        let xh = saturate((even - odd) >> 14);

        let il = quantl(sub(xl, self.lower.s), self.lower.det);
        self.lower.adapt_lower(il);
        let ih = quanth(sub(xh, self.higher.s), self.higher.det);
        self.higher.adapt_higher(ih);
        ih << 6 | il
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Decodes bytes to 16 kHz samples, each byte to two.
#[derive(Clone, Debug)]
pub struct Decoder {
    qmf: [i32; QMF_TAPS],
    lower: Band,
    higher: Band,
}

impl Decoder {
    /// Returns a decoder in the reset state.
    #[must_use]
    pub const fn new() -> Self {
        Self { qmf: [0; QMF_TAPS], lower: Band::LOWER, higher: Band::HIGHER }
    }

    /// Appends two samples for every byte.
    pub fn decode(&mut self, codes: &[u8], out: &mut Vec<i16>) {
        out.extend(codes.iter().flat_map(|&code| self.pair(code)));
    }

    fn pair(&mut self, code: u8) -> [i16; 2] {
        let (il, ih) = (code & 0x3f, code >> 6);
        let rl = limit(add(self.lower.s, mult(self.lower.det, invqbl(il))));
        self.lower.adapt_lower(il);
        let rh = limit(self.higher.adapt_higher(ih));

        self.qmf.copy_within(..QMF_TAPS - 2, 2);
        let [newest, before, ..] = &mut self.qmf;
        (*newest, *before) = (rl - rh, rl + rh);
        let (even, odd) = split_sums(&self.qmf);
        // Here the gain of 2 of an interpolating filter and the way back to 16 bits take two shifts less, and one is for the sum.
        [even, odd].map(|sum| sample(sum >> 11))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// One band's adaptive predictor and quantiser step: the part that encoder and decoder have in common.
#[derive(Clone, Debug)]
struct Band {
    /// SL, SH: the predicted signal.
    s: i32,
    /// SZL, SZH: the zero section's share of it.
    sz: i32,
    /// DETL, DETH: the quantiser's scale factor.
    det: i32,
    /// NBL, NBH: its logarithm.
    nb: i32,
    /// AL1 and AL2, AH1 and AH2: the pole section's coefficients.
    a: [i32; 2],
    /// BL1 to BL6, BH1 to BH6: the zero section's coefficients.
    b: [i32; 6],
    /// DLT1 to DLT6, DH1 to DH6: the last quantised differences.
    d: [i32; 6],
    /// PLT1 and PLT2, PH1 and PH2: the last partially reconstructed signals.
    p: [i32; 2],
    /// RLT1, RH1: the last reconstructed signal.
    r: i32,
}

impl Band {
    const LOWER: Self = Self { s: 0, sz: 0, det: 32, nb: 0, a: [0; 2], b: [0; 6], d: [0; 6], p: [0; 2], r: 0 };
    const HIGHER: Self = Self { det: 8, ..Self::LOWER };

    /// Adapts the lower band to the code `il`: INVQAL, LOGSCL, SCALEL, and the predictor.
    ///
    /// Only the upper 4 of its 6 bits count, so that modes 2 and 3, which steal the others, adapt alike.
    fn adapt_lower(&mut self, il: u8) {
        let ril4 = usize::from(at(&RIL4, usize::from(il >> 2)));
        let level = at(&OQ4, ril4) << 3;
        let dlt = mult(self.det, if il & 0x20 == 0 { -level } else { level });

        self.nb = (mult(self.nb, 32_512) + at(&WL, ril4)).clamp(0, 18_432);
        self.det = scale(self.nb, 8);
        self.predict(dlt);
    }

    /// Adapts the higher band to the code `ih`: INVQAH, LOGSCH, SCALEH, and the predictor. Returns RH, the reconstructed signal.
    fn adapt_higher(&mut self, ih: u8) -> i32 {
        // The codes are −large, −small, +large, +small.
        let level = if ih & 1 == 0 { 926 << 3 } else { 202 << 3 };
        let dh = mult(self.det, if ih & 2 == 0 { -level } else { level });

        self.nb = (mult(self.nb, 32_512) + at(&WH, usize::from(2 - (ih & 1)))).clamp(0, 22_528);
        self.det = scale(self.nb, 10);
        self.predict(dh)
    }

    /// PARREC, RECONS, UPZERO, UPPOL2, UPPOL1, DELAYA, FILTEZ, FILTEP, PREDIC (§6.2.1.4). Returns the reconstructed signal.
    fn predict(&mut self, d0: i32) -> i32 {
        let p0 = add(d0, self.sz);
        let r0 = add(self.s, d0);

        // UPZERO: each coefficient leaks by 1/256 and moves by the product of two signs.
        let step = if d0 == 0 { 0 } else { 128 };
        for (b, &d) in self.b.iter_mut().zip(&self.d) {
            *b = add(if is_same_sign(d, d0) { step } else { -step }, mult(*b, 32_640));
        }

        // UPPOL2, then UPPOL1 within the limits that the new second coefficient sets.
        let ([a1, a2], [p1, p2]) = (self.a, self.p);
        let slope = saturate(a1 << 2);
        let slope = if is_same_sign(p0, p1) { sub(0, slope) } else { slope };
        let sign = if is_same_sign(p0, p2) { 128 } else { -128 };
        let apl2 = add(add(slope >> 7, sign), mult(a2, 32_512)).clamp(-12_288, 12_288);
        let step = if is_same_sign(p0, p1) { 192 } else { -192 };
        let bound = sub(15_360, apl2);
        let apl1 = add(step, mult(a1, 32_640)).clamp(-bound, bound);

        // DELAYA
        self.a = [apl1, apl2];
        self.p = [p0, p1];
        self.d.copy_within(..5, 1);
        let [newest, ..] = &mut self.d;
        *newest = d0;

        // FILTEZ from the oldest to the newest, since each sum saturates; then FILTEP.
        self.sz = self.d.iter().zip(&self.b).rev().fold(0, |sum, (&d, &b)| add(sum, mult(add(d, d), b)));
        let poles = add(mult(apl1, add(r0, r0)), mult(apl2, add(self.r, self.r)));
        self.r = r0;
        self.s = add(poles, self.sz);
        r0
    }
}

/// QUANTL: the 6-bit code of a difference in the lower band. A code of 4 bits' worth `0000` does not occur in it.
fn quantl(el: i32, detl: i32) -> u8 {
    let magnitude = if el < 0 { !el } else { el };
    // Entry 0 of Q6 is 0: every magnitude is at least that, so that the place found begins at 1.
    let mil = Q6.iter().take_while(|&&level| magnitude >= mult(level << 3, detl)).count();
    at(if el < 0 { &ILN } else { &ILP }, mil)
}

/// QUANTH: the 2-bit code of a difference in the higher band.
fn quanth(eh: i32, deth: i32) -> u8 {
    let magnitude = if eh < 0 { !eh } else { eh };
    let mih = usize::from(magnitude >= mult(564 << 3, deth));
    at(if eh < 0 { &IHN } else { &IHP }, mih)
}

/// INVQBL: the level of a 6-bit code. The four codes that QUANTL does not give mean what the nearest do (table 18).
fn invqbl(il: u8) -> i32 {
    at(&OQ6, usize::from(il)) << 3
}

/// SCALEL, SCALEH: from the logarithm to the scale factor, by a table of 32 steps an octave.
fn scale(nb: i32, octaves: i32) -> i32 {
    let mantissa = at(&ILB, usize::try_from(nb >> 6 & 31).expect("five bits are an index"));
    let shift = octaves - (nb >> 11);
    (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2
}

/// The two halves of the quadrature mirror filter, over the even and the odd places of the delay line (newest first).
fn split_sums(line: &[i32; QMF_TAPS]) -> (i32, i32) {
    let (pairs, _) = line.as_chunks::<2>();
    let newest = pairs.iter().zip(&QMF).map(|(&[x, _], &h)| x * h).sum();
    let before = pairs.iter().zip(QMF.iter().rev()).map(|(&[_, x], &h)| x * h).sum();
    (newest, before)
}

/// LIMIT: reconstructed signals have 15 bits.
fn limit(signal: i32) -> i32 {
    signal.clamp(-16_384, 16_383)
}

fn saturate(wide: i32) -> i32 {
    wide.clamp(-32_768, 32_767)
}

fn add(a: i32, b: i32) -> i32 {
    saturate(a + b)
}

fn sub(a: i32, b: i32) -> i32 {
    saturate(a - b)
}

fn mult(a: i32, b: i32) -> i32 {
    saturate((a * b) >> 15)
}

/// Zero counts as positive.
const fn is_same_sign(a: i32, b: i32) -> bool {
    (a ^ b) >= 0
}

fn sample(wide: i32) -> i16 {
    i16::try_from(saturate(wide)).expect("saturated to 16 bits")
}

/// An entry of a table at an index that is a code's own bits, or counted within another table.
fn at<T: Copy, const N: usize>(table: &[T; N], index: usize) -> T {
    *table.get(index).expect("the index has no more bits than the table has entries")
}

/// The tables of the Recommendation.
mod tables {
    /// Length of the quadrature mirror filter.
    pub(super) const QMF_TAPS: usize = 24;

    /// Table 11: h0, h2, … h22; the odd ones are the same backwards, since the filter is symmetric. In Q13.
    pub(super) const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

    /// Table 14, Q6: decision levels of the 6-bit quantiser.
    pub(super) const Q6: [i32; 30] = [
        0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458,
        1612, 1765, 1980, 2195, 2557, 2919,
    ];

    /// Table 16, ILN and ILP: the code of a negative and of a positive difference, by MIL from 1; entry 0 does not occur.
    pub(super) const ILN: [u8; 31] =
        [0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4];
    pub(super) const ILP: [u8; 31] = [
        0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32,
    ];

    /// IHN and IHP, by MIH from 1 (here from 0): the code of a negative and of a positive difference in the higher band.
    pub(super) const IHN: [u8; 2] = [1, 0];
    pub(super) const IHP: [u8; 2] = [3, 2];

    /// Table 18: levels of the 6-bit code with its sign, so that a code is an index. Codes 0 to 3 are never sent in mode 1.
    pub(super) const OQ6: [i32; 64] = [
        -17, -17, -17, -17, -3101, -2738, -2376, -2088, -1873, -1689, -1535, -1399, -1279, -1170, -1072, -982, -899, -822, -750,
        -682, -618, -558, -501, -447, -396, -347, -300, -254, -211, -170, -130, -91, 3101, 2738, 2376, 2088, 1873, 1689, 1535,
        1399, 1279, 1170, 1072, 982, 899, 822, 750, 682, 618, 558, 501, 447, 396, 347, 300, 254, 211, 170, 130, 91, 54, 17, -54,
        -17,
    ];

    /// Magnitudes of the 4-bit quantiser (Table 17), by RIL4.
    pub(super) const OQ4: [i32; 8] = [0, 150, 323, 530, 786, 1121, 1612, 2557];

    /// RIL4: which of them a code's upper four bits mean.
    pub(super) const RIL4: [u8; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];

    /// WL, by RIL4, and WH, by 1 for small and 2 for large: how a code moves the logarithm of the scale factor.
    pub(super) const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
    pub(super) const WH: [i32; 3] = [0, -214, 798];

    /// ILB: 2048·2^(i/32).
    pub(super) const ILB: [i32; 32] = [
        2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091,
        3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
    ];
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use super::*;

    // How these were made, and by which programs, is said in tests/sound/README.md.
    const SOUND: &[u8] = include_bytes!("../../tests/sound/mixed.s16");
    const CODED: &[u8] = include_bytes!("../../tests/sound/mixed.g722");
    const DECODED: u64 = 0x0f98_979a_4ac1_e396;
    const NOISE_DECODED: u64 = 0xf68e_74b2_6d06_8ea5;

    #[test]
    fn speech_a_tone_noise_and_clipping_are_coded_to_the_bytes_of_ffmpeg() {
        let mut out = Vec::new();
        Encoder::new().encode(&samples(SOUND), &mut out);

        assert_eq!(out, CODED);
    }

    #[test]
    fn they_are_decoded_to_the_samples_of_ffmpeg() {
        let mut out = Vec::new();
        Decoder::new().decode(CODED, &mut out);

        assert_eq!(checksum(&out), DECODED);
    }

    #[test]
    fn codes_that_no_encoder_sends_are_decoded_as_ffmpeg_does() {
        let mut out = Vec::new();
        Decoder::new().decode(&noise(), &mut out);

        assert_eq!(checksum(&out), NOISE_DECODED);
    }

    #[test]
    fn a_sound_may_come_in_pieces_of_any_length() {
        let sound = samples(SOUND);
        let mut encoder = Encoder::new();
        let mut pieces = Vec::new();
        for piece in sound.chunks(37) {
            encoder.encode(piece, &mut pieces);
        }

        assert_eq!(pieces, CODED);
    }

    #[test]
    fn a_tone_comes_back_as_itself_a_filter_later() {
        let tone: Vec<i16> = (0..16_000).map(|at| (8000.0 * (f64::from(at) * 0.15).sin()) as i16).collect();
        let (mut coded, mut heard) = (Vec::new(), Vec::new());
        Encoder::new().encode(&tone, &mut coded);
        Decoder::new().decode(&coded, &mut heard);

        // 22 samples: two filters of 24 taps, whose middles lie 11.5 and 10.5 samples back.
        let pairs = || tone.iter().zip(&heard[22..]).skip(1000);
        let signal: f64 = pairs().map(|(&a, _)| f64::from(a).powi(2)).sum();
        let noise: f64 = pairs().map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
        assert!(10.0 * (signal / noise).log10() > 35.0, "{} dB", 10.0 * (signal / noise).log10());
    }

    /// 20,000 bytes of a linear congruential generator.
    fn noise() -> Vec<u8> {
        let next = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some(state.to_be_bytes()[0])
        };
        std::iter::from_fn({
            let mut state = 1;
            move || next(&mut state)
        })
        .take(20_000)
        .collect()
    }

    fn samples(bytes: &[u8]) -> Vec<i16> {
        bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
    }

    /// FNV-1a of the samples' bytes, little-endian, 64 bits.
    fn checksum(samples: &[i16]) -> u64 {
        let bytes = samples.iter().flat_map(|sample| sample.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }
}
