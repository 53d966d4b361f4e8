//! Sound as the tests know it: A-law by ITU-T G.711, written from the standard and not from the product's; WAV files.

use std::path::Path;

/// Decodes one octet of A-law to 16 bits (ITU-T G.711 table 1a, 13 bits shifted by 3). No octet means 0.
pub(crate) fn alaw(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let mantissa = i16::from(octet & 15) << 4;
    let magnitude = match (octet >> 4) & 7 {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    if octet & 0x80 == 0 { -magnitude } else { magnitude }
}

/// A WAV file of 16-bit samples.
pub(crate) struct Wav {
    pub(crate) rate: u32,
    pub(crate) channels: Vec<Vec<i16>>,
}

impl Wav {
    /// Reads a file of 16-bit PCM.
    pub(crate) fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        assert_eq!((&file[..4], &file[8..12]), (&b"RIFF"[..], &b"WAVE"[..]), "{} is a WAV", path.display());
        let word = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
        let mut at = 12;
        let (mut rate, mut count) = (0, 0);
        while at + 8 <= file.len() {
            let (body, len) = (at + 8, word(at + 4) as usize);
            match &file[at..at + 4] {
                b"fmt " => {
                    assert_eq!(word(body + 14) & 0xffff, 16, "16 bits a sample");
                    (rate, count) = (word(body + 4), (word(body) >> 16) as usize);
                }
                b"data" => {
                    let end = file.len().min(body + len);
                    let samples: Vec<i16> =
                        file[body..end].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
                    let channels = (0..count).map(|n| samples.iter().skip(n).step_by(count).copied().collect()).collect();
                    return Self { rate, channels };
                }
                _ => {}
            }
            at = body + len + len % 2;
        }
        panic!("{} has no samples", path.display());
    }
}

/// Writes a mono file of a sine tone at 8000 samples a second.
pub(crate) fn write_tone(path: &Path, hertz: f64, ms: u32) {
    let sample = |n: u32| ((f64::from(n) * hertz * std::f64::consts::TAU / 8000.0).sin() * 12_000.0) as i16;
    write_wav(path, 8000, &(0..ms * 8).map(sample).collect::<Vec<_>>());
}

/// Writes a mono file of these samples.
pub(crate) fn write_wav(path: &Path, rate: u32, samples: &[i16]) {
    let len = samples.len() as u32 * 2;
    let mut file = b"RIFF".to_vec();
    file.extend((len + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(rate.to_le_bytes());
    file.extend((rate * 2).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(len.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    std::fs::write(path, file).expect("the test's own directory can be written");
}

/// Payloads of A-law that sound like nothing else: noise from a seed, so that any stretch of it is found at one place only.
pub(crate) fn noise(packets: usize, octets: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut octet = || {
        // Knuth's MMIX generator; its high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..packets).map(|_| (0..octets).map(|_| octet()).collect()).collect()
}

/// Panics unless a channel of an export is silence, then the last packets of `sent` sample for sample, then silence; returns how many.
///
/// The silence of an export is 0, which no octet of A-law means: so the first and the last sample that was heard are known.
pub(crate) fn assert_the_end_of(channel: &[i16], sent: &[Vec<u8>], whose: &str) -> usize {
    let begin = channel.iter().position(|&sample| sample != 0).unwrap_or_else(|| panic!("nothing of {whose} is in the export"));
    let end = channel.iter().rposition(|&sample| sample != 0).expect("there is a first") + 1;
    let heard = &channel[begin..end];
    let mut spoken: Vec<i16> = Vec::new();
    for (kept, packet) in (1..).zip(sent.iter().rev()) {
        spoken.extend(packet.iter().rev().map(|&octet| alaw(octet)));
        if spoken.len() >= heard.len() {
            let differs = spoken.iter().zip(heard.iter().rev()).position(|(spoken, heard)| spoken != heard);
            assert_eq!(
                differs, None,
                "{whose}: this many samples before the end the export is not what was sent ({kept} packets)"
            );
            assert_eq!(spoken.len(), heard.len(), "{whose}: the export begins in the middle of a packet");
            return kept;
        }
    }
    panic!("{whose}: {} samples were heard, {} were sent", heard.len(), spoken.len());
}

/// How much of a sound is one frequency: 1 for that tone alone, about 0 for silence or another tone.
pub(crate) fn share_of(hertz: f64, samples: &[i16], rate: u32) -> f64 {
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (n, &sample) in (0_u32..).zip(samples) {
        let angle = f64::from(n) * hertz * std::f64::consts::TAU / f64::from(rate);
        sine += f64::from(sample) * angle.sin();
        cosine += f64::from(sample) * angle.cos();
        power += f64::from(sample) * f64::from(sample);
    }
    if power == 0.0 { 0.0 } else { 2.0 * (sine * sine + cosine * cosine) / (power * samples.len() as f64) }
}
