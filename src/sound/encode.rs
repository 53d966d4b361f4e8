//! From an operator's WAV file to the payload of a codec, once, before any call needs it.

use super::wav::{self, BadWav};
use super::{g711, g722, opus, resample};
use crate::codec::Codec;

/// A sound that was encoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Encoded {
    /// Packets may be cut out of it at any sample.
    Stream(Vec<u8>),
    /// Packets as they must be sent, each of 20 ms.
    Packets(Vec<Vec<u8>>),
}

impl Encoded {
    /// Returns its bytes, those of packets one after the other.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Stream(bytes) => bytes,
            Self::Packets(packets) => packets.concat(),
        }
    }
}

/// Reads a WAV file, mixes its channels to one, brings it to the codec's rate and encodes it; the loudness stays as it is.
///
/// # Errors
/// Says what is wrong with the file; [`BadWav::remedy`] says what to do.
pub fn encode_wav(bytes: &[u8], codec: Codec) -> Result<Encoded, BadWav> {
    let sound = wav::read(bytes)?;
    let samples = resample::to_i16(&resample::resample(&sound.mono(), sound.rate(), codec.sample_rate()));
    Ok(Encoded::Stream(match codec {
        Codec::Opus => return Ok(Encoded::Packets(opus::encode(&samples))),
        Codec::Pcmu => samples.iter().map(|&sample| g711::encode_ulaw(sample)).collect(),
        Codec::Pcma => samples.iter().map(|&sample| g711::encode_alaw(sample)).collect(),
        Codec::G722 => {
            let mut payload = Vec::with_capacity(samples.len() / 2 + 1);
            let mut encoder = g722::Encoder::new();
            encoder.encode(&samples, &mut payload);
            // Two samples make a byte: silence goes with the last of an odd number.
            if samples.len() % 2 == 1 {
                encoder.encode(&[0], &mut payload);
            }
            payload
        }
        Codec::L16 { channels, .. } => {
            let frame = |&sample: &i16| std::iter::repeat_n(sample.to_be_bytes(), usize::from(channels)).flatten();
            samples.iter().flat_map(frame).collect()
        }
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::sound::Decoder;

    const ANNOUNCEMENT: &[u8] = include_bytes!("../../deploy/announcement.en.wav");

    #[test]
    fn an_announcement_is_as_long_and_as_loud_in_every_codec() {
        let sound = wav::read(ANNOUNCEMENT).unwrap();
        let seconds = sound.samples().len() as f64 / f64::from(sound.rate());
        let others = [Codec::L16 { rate: 16_000, channels: 1 }, Codec::L16 { rate: 44_100, channels: 2 }, Codec::Opus];
        for codec in Codec::TELEPHONE.into_iter().chain(others) {
            let payload = encode_wav(ANNOUNCEMENT, codec).unwrap();

            let heard = decode(payload, codec);
            let longer = heard.len() as f64 / f64::from(codec.sample_rate()) - seconds;
            // A last packet is filled up, and what Opus decodes lags 6.5 ms behind.
            let slack = if codec == Codec::Opus { -0.0001..0.027 } else { -0.001..0.001 };
            assert!(slack.contains(&longer), "{codec:?}: {longer} s longer");
            // −20 dBFS; the telephone band leaves out what is above 3.5 kHz, which in speech is little.
            assert!((rms_db(&heard) + 20.0).abs() < 1.0, "{codec:?}: {} dBFS", rms_db(&heard));
        }
    }

    #[test]
    fn a_file_in_the_codec_s_own_form_keeps_every_sample() {
        let codes: Vec<u8> = (0..=255).collect();
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x06\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\0\x01\0\0".to_vec();
        file.extend_from_slice(&codes);

        assert_eq!(encode_wav(&file, Codec::Pcma), Ok(Encoded::Stream(codes)));
    }

    #[test]
    fn linear_samples_are_in_network_order_the_same_for_each_channel() {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x04\0\0\0".to_vec();
        file.extend_from_slice(&[0x34, 0x12, 0xcc, 0xed]);

        assert_eq!(encode_wav(&file, Codec::L16 { rate: 8000, channels: 1 }), Ok(Encoded::Stream(vec![0x12, 0x34, 0xed, 0xcc])));
        let twice = vec![0x12, 0x34, 0x12, 0x34, 0xed, 0xcc, 0xed, 0xcc];
        assert_eq!(encode_wav(&file, Codec::L16 { rate: 8000, channels: 2 }), Ok(Encoded::Stream(twice)));
    }

    #[test]
    fn a_bad_file_is_refused() {
        assert_eq!(encode_wav(b"", Codec::G722), Err(BadWav::EmptyFile));
    }

    fn decode(encoded: Encoded, codec: Codec) -> Vec<i16> {
        let packets = match encoded {
            Encoded::Stream(bytes) => vec![bytes],
            Encoded::Packets(packets) => packets,
        };
        let (mut decoder, mut samples) = (Decoder::new(codec), Vec::new());
        packets.iter().for_each(|packet| decoder.decode(packet, &mut samples).unwrap());
        samples
    }

    fn rms_db(samples: &[i16]) -> f64 {
        let mean = samples.iter().map(|&s| (f64::from(s) / 32_768.0).powi(2)).sum::<f64>() / samples.len() as f64;
        10.0 * mean.log10()
    }
}
