//! G.711: 8 bits a sample at 8 kHz, µ-law and A-law (ITU-T G.711), with the results of ITU-T's reference code (G.191).
//!
//! A linear sample has 16 bits. µ-law fills the upper 14 of them, A-law the upper 13.

/// Returns the sample that a µ-law code means: tables 2a and 2b of G.711, times 4.
#[must_use]
pub fn decode_ulaw(code: u8) -> i16 {
    ULAW.get(usize::from(code)).copied().unwrap_or(0)
}

/// Returns the sample that an A-law code means: tables 1a and 1b of G.711, times 8.
#[must_use]
pub fn decode_alaw(code: u8) -> i16 {
    ALAW.get(usize::from(code)).copied().unwrap_or(0)
}

/// Returns the µ-law code of a sample, by the decision values of G.711; beyond them it is the outermost code.
#[must_use]
pub fn encode_ulaw(sample: i16) -> u8 {
    // 33 moves the segments' borders to powers of two: 31, 95, 223, … become 64, 128, 256, … (table 2a, column 2).
    let magnitude = ((magnitude(sample) >> 2) + 33).min(0x1fff);
    let exponent = magnitude.ilog2() - 5;
    let mantissa = (magnitude >> (exponent + 1)) & 0x0f;
    let code = byte(exponent << 4 | mantissa);
    // All bits are sent inverted (table 2, note 2); the sign bit is 1 for what is not negative.
    if sample < 0 { !(code | 0x80) } else { !code }
}

/// Returns the A-law code of a sample, by the decision values of G.711.
#[must_use]
pub fn encode_alaw(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    // Segments 0 and 1 share the smallest step; from 32 on each segment's step is twice the last.
    let exponent = if magnitude < 16 { 0 } else { magnitude.ilog2() - 3 };
    let mantissa = (magnitude >> exponent.saturating_sub(1)) & 0x0f;
    let code = byte(exponent << 4 | mantissa);
    // Even bits are sent inverted (table 1, note 2); the sign bit is 1 for what is not negative.
    if sample < 0 { code ^ 0x55 } else { (code | 0x80) ^ 0x55 }
}

/// The magnitude of a sample in ones' complement, as the reference takes it: −1 is the smallest negative, not the second.
fn magnitude(sample: i16) -> u32 {
    u32::from(if sample < 0 { !sample } else { sample }.unsigned_abs())
}

/// The seven bits of exponent and mantissa.
fn byte(seven_bits: u32) -> u8 {
    u8::try_from(seven_bits).expect("three bits of exponent and four of mantissa are a byte")
}

static ULAW: [i16; 256] = table(Law::Mu);
static ALAW: [i16; 256] = table(Law::A);

#[derive(Clone, Copy)]
enum Law {
    Mu,
    A,
}

/// Every code's sample, computed once by the compiler.
#[expect(clippy::indexing_slicing, reason = "an index of 0 to 255 into 256 entries, and checked by the compiler at that")]
#[expect(clippy::cast_possible_truncation, reason = "the largest magnitude is 32,256")]
const fn table(law: Law) -> [i16; 256] {
    let mut samples = [0_i16; 256];
    let mut code = 0;
    while code < 256 {
        let bits = match law {
            Law::Mu => code as i32 ^ 0xff,
            Law::A => code as i32 ^ 0x55,
        };
        let (exponent, mantissa) = (bits >> 4 & 7, bits & 0x0f);
        let magnitude = match law {
            // Half a step above the lower border, in a segment that begins at 33·2^exponent − 33, in quarters of 14 bits.
            Law::Mu => (((mantissa << 1) + 33) << (exponent + 2)) - 4 * 33,
            Law::A if exponent == 0 => (mantissa << 4) + 8,
            Law::A => ((mantissa << 4) + 0x108) << (exponent - 1),
        };
        let is_negative = match law {
            Law::Mu => bits & 0x80 != 0,
            Law::A => bits & 0x80 == 0,
        };
        samples[code] = (if is_negative { -magnitude } else { magnitude }) as i16;
        code += 1;
    }
    samples
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_code_means_what_other_decoders_hear() {
        // The 256 codes in order, decoded to signed 16-bit little-endian by `ffmpeg -f mulaw|alaw` 5.1 and by
        // `sox -t ul|al` 14.4, which agree.
        assert_eq!(checksum((0..=255).map(decode_ulaw)), ULAW_DECODED);
        assert_eq!(checksum((0..=255).map(decode_alaw)), ALAW_DECODED);
    }

    #[test]
    fn every_sample_is_encoded_as_the_reference_does() {
        // All samples from −32,768 to 32,767 in order, encoded by the arithmetic of ITU-T G.191's g711.c, run
        // as a C program. ffmpeg 5.1 differs on 964 of them for each law, sox 14.4 on 510 (µ) and 1,020 (A): both round at a border
        // between two codes, where the reference goes by the decision value.
        assert_eq!(fnv((i16::MIN..=i16::MAX).map(encode_ulaw)), ULAW_ENCODED);
        assert_eq!(fnv((i16::MIN..=i16::MAX).map(encode_alaw)), ALAW_ENCODED);
    }

    #[test]
    fn the_corner_codes_are_those_of_the_tables() {
        assert_eq!([0x80, 0xff, 0x7f, 0x00].map(decode_ulaw), [32_124, 0, 0, -32_124]);
        assert_eq!([0xaa, 0xd5, 0x55, 0x2a].map(decode_alaw), [32_256, 8, -8, -32_256]);
        assert_eq!([i16::MAX, 0, -1, i16::MIN].map(encode_ulaw), [0x80, 0xff, 0x7f, 0x00]);
        assert_eq!([i16::MAX, 0, -1, -8, i16::MIN].map(encode_alaw), [0xaa, 0xd5, 0x55, 0x55, 0x2a]);
    }

    #[test]
    fn a_decoded_code_is_encoded_to_itself() {
        for code in 0..=255 {
            assert_eq!(encode_alaw(decode_alaw(code)), code);
            // 0x7f is the negative zero of µ-law; as a linear sample it is zero, whose code is 0xff.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode_ulaw(decode_ulaw(code)), expected);
        }
    }

    #[test]
    fn a_sample_goes_to_a_level_no_farther_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            // µ-law: steps of 8·2^e (the first of a segment too); beyond 32,635 the outermost level. A-law: 16, 16, 32, 64, …
            let magnitude = i32::from(sample).abs();
            let mu_step = 8 << ((magnitude.min(32_635) + 132).ilog2() - 7);
            let a_step = 16 << magnitude.clamp(256, 32_767).ilog2().saturating_sub(8);
            let mu_error = (magnitude.min(32_636) - i32::from(decode_ulaw(encode_ulaw(sample))).abs()).abs();
            let a_error = (magnitude - i32::from(decode_alaw(encode_alaw(sample))).abs()).abs();

            assert!(mu_error <= mu_step / 2 + 4, "{sample}: {mu_error} of {mu_step}");
            assert!(a_error <= a_step / 2, "{sample}: {a_error} of {a_step}");
        }
    }

    #[test]
    fn a_louder_sample_never_gets_a_quieter_code() {
        for pair in (i16::MIN..=i16::MAX).collect::<Vec<_>>().windows(2) {
            assert!(decode_ulaw(encode_ulaw(pair[0])) <= decode_ulaw(encode_ulaw(pair[1])));
            assert!(decode_alaw(encode_alaw(pair[0])) <= decode_alaw(encode_alaw(pair[1])));
        }
    }

    const ULAW_DECODED: u64 = 0xb91e_65d6_8481_a1a8;
    const ALAW_DECODED: u64 = 0x693a_40ca_62a3_d2a5;
    const ULAW_ENCODED: u64 = 0x04ec_1f08_3fd7_8c2d;
    const ALAW_ENCODED: u64 = 0xf030_666e_b780_cf25;

    fn checksum(samples: impl Iterator<Item = i16>) -> u64 {
        fnv(samples.flat_map(i16::to_le_bytes))
    }

    /// FNV-1a, 64 bits.
    fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }
}
