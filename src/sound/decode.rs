//! From the payloads of one stream to its sound, in the order in which they were sent.

use std::fmt;

use super::{g711, g722, opus};
use crate::codec::Codec;

/// Decodes one stream; what a payload means may depend on those before it.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Each sample stands for itself.
    None,
    G722(Box<g722::Decoder>),
    Opus(Box<opus::Decoder>),
}

impl Decoder {
    /// Returns one that has decoded nothing.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let state = match codec {
            Codec::Pcmu | Codec::Pcma | Codec::L16 { .. } => State::None,
            Codec::G722 => State::G722(Box::default()),
            Codec::Opus => State::Opus(Box::new(opus::Decoder::new())),
        };
        Self { codec, state }
    }

    /// Returns what it decodes.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends what can be had for so many samples that were lost before `next`: nothing where each sample stands for itself, or where
    /// more was lost than can be made up for. Of Opus the last of it may be what `next` says again of it (RFC 6716 §2.1.7), and the rest is
    /// what the decoder makes up.
    pub fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) {
        match &mut self.state {
            State::None | State::G722(_) => {}
            State::Opus(decoder) => decoder.conceal(samples, next, out),
        }
    }

    /// Appends the sound of the next payload at [`Codec::sample_rate`]; two channels become one.
    ///
    /// # Errors
    /// The payload is none of this codec, and nothing was appended.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Spoiled> {
        match (&mut self.state, self.codec) {
            (State::Opus(decoder), _) => return decoder.decode(payload, out),
            (State::G722(decoder), _) => decoder.decode(payload, out),
            (State::None, Codec::Pcma) => out.extend(payload.iter().map(|&code| g711::decode_alaw(code))),
            (State::None, Codec::L16 { channels: 2, .. }) => out.extend(payload.as_chunks().0.iter().map(|&[a, b, c, d]| {
                let [left, right] = [[a, b], [c, d]].map(|code| i32::from(i16::from_be_bytes(code)));
                i16::try_from((left + right) / 2).unwrap_or(0)
            })),
            (State::None, Codec::L16 { .. }) => {
                out.extend(payload.as_chunks().0.iter().map(|&code| i16::from_be_bytes(code)));
            }
            (State::None, Codec::Pcmu | Codec::G722 | Codec::Opus) => {
                out.extend(payload.iter().map(|&code| g711::decode_ulaw(code)));
            }
        }
        Ok(())
    }
}

/// A payload that its codec cannot have made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spoiled;

impl fmt::Display for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload is none of its codec")
    }
}

impl std::error::Error for Spoiled {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_samples_come_in_network_order_and_two_channels_become_one() {
        let decoded = |channels, payload: &[u8]| {
            let mut out = Vec::new();
            Decoder::new(Codec::L16 { rate: 44_100, channels }).decode(payload, &mut out).map(|()| out)
        };

        assert_eq!(decoded(1, &[0x12, 0x34, 0xff, 0xff]), Ok(vec![0x1234, -1]));
        assert_eq!(decoded(2, &[0x7f, 0xff, 0x7f, 0xff, 0x80, 0, 0x80, 0, 0, 10, 0, 20]), Ok(vec![0x7fff, -0x8000, 15]));
        assert_eq!(decoded(1, &[0x12, 0x34, 0xff]), Ok(vec![0x1234]), "half a sample is none");
        assert_eq!(decoded(2, &[0x12, 0x34, 0xff]), Ok(vec![]));
    }

    #[test]
    fn what_g722_has_heard_goes_on_in_the_next_payload() {
        let payload: Vec<u8> = (0..=255).cycle().take(640).collect();
        let (mut whole, mut halves) = (Vec::new(), Vec::new());
        assert_eq!(Decoder::new(Codec::G722).decode(&payload, &mut whole), Ok(()));
        let mut decoder = Decoder::new(Codec::G722);
        assert!(payload.chunks(160).all(|chunk| decoder.decode(chunk, &mut halves).is_ok()));

        assert_eq!(whole, halves);
    }
}
