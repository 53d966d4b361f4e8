//! What the demo makes sure of afterwards, with eyes of its own: the exported sound is what was said, sample for sample.

use std::cmp::Reverse;
use std::time::Instant;

use super::line::Sent;

/// A WAV of 16-bit samples, read by the demo itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wav {
    pub rate: u32,
    pub channels: Vec<Vec<i16>>,
}

/// What one phone said, decoded, on the clock of its RTP timestamps.
pub(super) struct Said {
    samples: Vec<Option<i16>>,
    /// When each frame was sent, by its first sample's place.
    sent: Vec<(usize, Instant)>,
}

/// Where a channel and what was said are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Match {
    /// The channel's first sample that is not silence.
    pub channel_from: usize,
    /// How many samples are the same from there on, the last that is not silence included.
    pub samples: usize,
    /// When the frame with the first of them was sent.
    pub sent_from: Instant,
}

impl Wav {
    /// Reads RIFF chunk by chunk; the text of the error is what came.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let riff = bytes.strip_prefix(b"RIFF").and_then(|rest| rest.get(4..)?.strip_prefix(b"WAVE"));
        let mut rest = riff.ok_or("no RIFF file of kind WAVE")?;
        let mut format = None;
        while let Some((head, after)) = rest.split_at_checked(8) {
            let (name, length) = head.split_at(4);
            let length = usize::try_from(number(length)).unwrap_or(usize::MAX);
            let body = after.get(..length.min(after.len())).unwrap_or_default();
            if name == b"fmt " {
                let field = |from: usize, to: usize| body.get(from..to).map_or(0, number);
                format = Some((field(0, 2), field(2, 4), field(4, 8), field(14, 16)));
            } else if name == b"data" {
                let Some((1 | 0xfffe, count @ 1..=8, rate, 16)) = format else {
                    return Err(format!("format, channels, rate and bits {format:?}"));
                };
                let samples: Vec<i16> = body.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
                let count = usize::try_from(count).unwrap_or(1);
                let channel = |first| samples.iter().skip(first).step_by(count).copied().collect();
                return Ok(Self { rate, channels: (0..count).map(channel).collect() });
            }
            rest = after.get(length + length % 2..).unwrap_or_default();
        }
        Err("no chunk `data`".to_owned())
    }
}

impl Said {
    /// Decodes what was sent with this payload type.
    pub(super) fn of(sent: &[Sent], payload_type: u8, decode: impl Fn(u8) -> i16) -> Self {
        let mut said = Self { samples: Vec::new(), sent: Vec::new() };
        let mut frames = sent.iter().filter(|frame| frame.payload_type == payload_type).peekable();
        let Some(start) = frames.peek().map(|first| first.timestamp) else { return said };
        for frame in frames {
            let at = usize::try_from(frame.timestamp.wrapping_sub(start)).unwrap_or(usize::MAX);
            said.samples.resize(at.max(said.samples.len()), None);
            said.samples.extend(frame.payload.iter().map(|code| Some(decode(*code))));
            said.sent.push((at, frame.at));
        }
        said
    }

    /// Finds what was said in a channel and compares every sample of the channel with it; where nothing was said, the channel must be
    /// silent. The text of the error is what differs.
    pub(super) fn compare(&self, channel: &[i16]) -> Result<Match, String> {
        let from = channel.iter().position(|sample| *sample != 0).ok_or("the channel is silent")?;
        let to = channel.iter().rposition(|sample| *sample != 0).map_or(0, |last| last + 1);
        let recorded = channel.get(from..to).unwrap_or_default();
        let expected: Vec<i16> = self.samples.iter().map(|sample| sample.unwrap_or(0)).collect();
        // The place where the most of it fits: a beginning of 20 ms stands in several places where a voice repeats itself.
        let probe = recorded.get(..160.min(recorded.len())).unwrap_or_default();
        let places = expected.windows(probe.len().max(1)).enumerate().filter(|(_, window)| *window == probe).map(|(at, _)| at);
        let same = |at: usize| {
            recorded.iter().zip(expected.get(at..).unwrap_or_default()).take_while(|(came, sent)| came == sent).count()
        };
        let best = places.map(|at| (same(at), Reverse(at))).max().ok_or("it begins with 20 ms of sound that nobody sent")?;
        // Of two that fit alike the earlier one: the worse for us.
        let (samples, Reverse(at)) = best;
        if samples < recorded.len() {
            let second = samples / 8000;
            let differing =
                recorded.iter().zip(expected.get(at..).unwrap_or_default()).filter(|(came, sent)| came != sent).count();
            return Err(format!(
                "from second {second} (sample {samples} of {}) on it differs: {:?} came for {:?}; {differing} samples differ in all",
                recorded.len(),
                recorded.get(samples),
                expected.get(at + samples),
            ));
        }
        let frame = self.sent.partition_point(|(first, _)| *first <= at).checked_sub(1).and_then(|frame| self.sent.get(frame));
        let sent_from = frame.ok_or("it begins before anything was sent")?.1;
        Ok(Match { channel_from: from, samples, sent_from })
    }
}

/// Returns how alike two sounds are, from 0 to 1: the correlation at the best of some shifts. `wide` has twice the sampling rate.
///
/// It knows nothing of how the one was made of the other; telephone sound of a file is above 0.95 where a different one is below 0.2.
pub(super) fn likeness(narrow: &[i16], wide: &[i16]) -> f64 {
    // The shortest half-band filter that keeps the consonants' hiss from folding down: -1 0 9 16 9 0 -1, over 32.
    let weights = [-1.0, 0.0, 9.0, 16.0, 9.0, 0.0, -1.0].map(|weight| weight / 32.0);
    let smooth: Vec<f64> = wide
        .windows(weights.len())
        .map(|window| window.iter().zip(weights).map(|(sample, weight)| f64::from(*sample) * weight).sum())
        .collect();
    let correlation = |shift: usize| {
        let pairs = narrow.iter().skip(8).zip(smooth.iter().skip(shift).step_by(2)).map(|(one, other)| (f64::from(*one), *other));
        let (product, one, other) = pairs.fold((0.0, 1.0, 1.0), |(product, one, other), (a, b)| {
            (a.mul_add(b, product), a.mul_add(a, one), b.mul_add(b, other))
        });
        product / f64::sqrt(one * other)
    };
    (0..32).map(correlation).fold(0.0, f64::max)
}

/// Reads a little-endian number of up to four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_was_said_is_found_in_a_channel_with_its_gap() {
        let begin = Instant::now();
        // 10 frames, of which the fifth and sixth are a key's.
        let sent: Vec<_> = (0..10_u32).map(|i| frame(begin, i, if i == 4 || i == 5 { 101 } else { 0 })).collect();
        let said = Said::of(&sent, 0, |code| i16::from(code) * 7);
        let mut channel = vec![0; 100];
        channel.extend(said.samples[350..].iter().map(|sample| sample.unwrap_or(0)));
        channel.extend([0; 50]);

        let found = said.compare(&channel).unwrap();

        assert_eq!(found, Match { channel_from: 100, samples: 1250, sent_from: sent[2].at });

        channel[1000] ^= 1;
        assert!(said.compare(&channel).unwrap_err().contains("1 samples differ"));
        assert!(said.compare(&[9; 400]).is_err());
        assert!(said.compare(&[0; 400]).is_err());
    }

    #[test]
    fn a_sound_is_like_itself_at_half_the_rate_and_like_no_other() {
        let wave = |pitch: f64, rate: f64, from: f64, count: u32| -> Vec<i16> {
            let at = |i| std::f64::consts::TAU * pitch * (f64::from(i) + from) / rate;
            (0..count).map(|i| (f64::sin(at(i)) * 9000.0).round()).map(|sample| format!("{sample}").parse().unwrap()).collect()
        };
        let wide = wave(441.0, 16_000.0, 0.0, 8000);

        assert!(likeness(&wave(441.0, 8000.0, 0.5, 4000), &wide) > 0.99);
        assert!(likeness(&wave(523.0, 8000.0, 0.5, 4000), &wide) < 0.2);
        assert!(likeness(&[], &wide) < 0.2);
    }

    #[test]
    fn a_wav_is_read_past_chunks_that_are_not_known() {
        let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0LIST\x03\0\0\0abc\0".to_vec();
        wav.extend(b"data\x08\0\0\0\x01\0\xff\xff\x02\0\xfe\xff");

        assert_eq!(Wav::read(&wav), Ok(Wav { rate: 8000, channels: vec![vec![1, 2], vec![-1, -2]] }));
        assert!(Wav::read(b"RIFF").is_err());
        assert!(Wav::read(&wav[..30]).is_err());
    }

    fn frame(begin: Instant, i: u32, payload_type: u8) -> Sent {
        let payload: Vec<u8> = (0..160_u32).map(|at| u8::try_from(((i * 160 + at) * 31 + i * i) % 250 + 1).unwrap()).collect();
        let at = begin + std::time::Duration::from_millis(20) * i;
        Sent { at, payload_type, sequence: u16::try_from(i).unwrap(), timestamp: 900 + i * 160, payload: Bytes::from(payload) }
    }
}
