//! From an operator's WAV file to the payload of a codec, once, before any call needs it.

use super::wav::{self, BadWav};
use super::{g711, g722, resample};
use crate::codec::Codec;

/// Reads a WAV file, mixes its channels to one, brings it to the codec's rate and encodes it; the loudness stays as it is.
///
/// # Errors
/// Says what is wrong with the file; [`BadWav::remedy`] says what to do.
pub fn encode_wav(bytes: &[u8], codec: Codec) -> Result<Vec<u8>, BadWav> {
    let sound = wav::read(bytes)?;
    let samples = resample::to_i16(&resample::resample(&sound.mono(), sound.rate(), codec.sample_rate()));
    Ok(match codec {
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
    })
}
