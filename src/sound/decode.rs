//! From the payloads of one stream to its sound, in the order in which they were sent.

use super::{g711, g722};
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
}

impl Decoder {
    /// Returns one that has decoded nothing.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let state = match codec {
            Codec::Pcmu | Codec::Pcma | Codec::L16 { .. } => State::None,
            Codec::G722 => State::G722(Box::default()),
        };
        Self { codec, state }
    }

    /// Returns what it decodes.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the sound of the next payload at [`Codec::sample_rate`]; two channels become their mean.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        match (&mut self.state, self.codec) {
            (State::G722(decoder), _) => decoder.decode(payload, out),
            (State::None, Codec::Pcma) => out.extend(payload.iter().map(|&code| g711::decode_alaw(code))),
            (State::None, Codec::L16 { channels: 2, .. }) => out.extend(payload.as_chunks().0.iter().map(|&[a, b, c, d]| {
                let [left, right] = [[a, b], [c, d]].map(|code| i32::from(i16::from_be_bytes(code)));
                i16::try_from((left + right) / 2).unwrap_or(0)
            })),
            (State::None, Codec::L16 { .. }) => {
                out.extend(payload.as_chunks().0.iter().map(|&code| i16::from_be_bytes(code)));
            }
            (State::None, Codec::Pcmu | Codec::G722) => out.extend(payload.iter().map(|&code| g711::decode_ulaw(code))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_samples_come_in_network_order_and_two_channels_become_one() {
        let decoded = |channels, payload: &[u8]| {
            let mut out = Vec::new();
            Decoder::new(Codec::L16 { rate: 44_100, channels }).decode(payload, &mut out);
            out
        };

        assert_eq!(decoded(1, &[0x12, 0x34, 0xff, 0xff]), [0x1234, -1]);
        assert_eq!(decoded(2, &[0x7f, 0xff, 0x7f, 0xff, 0x80, 0, 0x80, 0, 0, 10, 0, 20]), [0x7fff, -0x8000, 15]);
        assert_eq!(decoded(1, &[0x12, 0x34, 0xff]), [0x1234], "half a sample is none");
        assert_eq!(decoded(2, &[0x12, 0x34, 0xff]), [0_i16; 0]);
    }

    #[test]
    fn what_g722_has_heard_goes_on_in_the_next_payload() {
        let payload: Vec<u8> = (0..=255).cycle().take(640).collect();
        let (mut whole, mut halves) = (Vec::new(), Vec::new());
        Decoder::new(Codec::G722).decode(&payload, &mut whole);
        let mut decoder = Decoder::new(Codec::G722);
        payload.chunks(160).for_each(|chunk| decoder.decode(chunk, &mut halves));

        assert_eq!(whole, halves);
    }
}
