//! Opus (RFC 6716) as RTP carries it (RFC 7587): one packet a payload, its clock 48 kHz whatever is in it.

use opus_pure::{Application, OpusDecoder, OpusEncoder, packet};

use super::decode::Spoiled;

/// The shortest that a frame can be is 2.5 ms, and all others are multiples of it.
const SHORTEST: usize = 120;

/// What is lost at once and made up for: 120 ms, as much as the longest packet holds. Longer is a guess at what was said.
const CONCEALED: usize = packet::MAX_PACKET_SAMPLES;

/// Bits a second of an announcement: speech of full band, and below what most descriptions allow at most (RFC 7587 §6.1).
const BITRATE: i32 = 24_000;

/// Samples of an announcement's packet: 20 ms, which every receiver takes (RFC 7587 §4.2).
pub(super) const FRAME: usize = 960;

/// Decodes one stream to one channel.
#[derive(Debug)]
pub(super) struct Decoder {
    inner: OpusDecoder,
    /// How long the last packet was; 0 before the first.
    last: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        let inner = OpusDecoder::new(48_000, 1).expect("48 kHz and one channel are among what RFC 6716 names");
        Self { inner, last: 0 }
    }

    /// Appends the sound of the next packet. Of one that is spoiled nothing comes, and the next is decoded as after a loss.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Spoiled> {
        // Without a byte it would be a loss that is to be made up for.
        let samples = packet::samples_48k(payload).map_err(|_| Spoiled)?;
        let begin = out.len();
        out.resize(begin + samples, 0);
        let room = out.get_mut(begin..).unwrap_or_default();
        let produced = self.inner.decode_s16(payload, samples, room);
        out.truncate(begin + produced.as_ref().map_or(0, |&produced| produced.min(samples)));
        if produced.is_err() {
            return Err(Spoiled);
        }
        self.last = samples;
        Ok(())
    }

    /// Appends so many samples in the place of packets that were lost, the last of them from what the packet after them says of it.
    /// Appends nothing where there is nothing to go by, or where it was longer than can be made up for.
    pub(super) fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) {
        let can = self.last > 0 && samples <= CONCEALED && samples.is_multiple_of(SHORTEST);
        if !can {
            return;
        }
        let told = packet::samples_per_frame(next, 48_000).map_or(0, |of_next| of_next.min(samples));
        let mut left = samples;
        while left > 0 {
            let (count, is_told) = if left > told { (self.last.min(left - told), false) } else { (left, true) };
            let begin = out.len();
            out.resize(begin + count, 0);
            let room = out.get_mut(begin..).unwrap_or_default();
            // What it does not fill stays silent.
            drop(if is_told { self.inner.decode_fec_s16(next, count, room) } else { self.inner.decode_s16(&[], count, room) });
            left -= count;
        }
    }
}

/// Encodes a whole sound of one channel into packets of [`FRAME`] samples, the last filled up with silence.
pub(super) fn encode(samples: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder =
        OpusEncoder::new(48_000, 1, Application::Voip).expect("48 kHz and one channel are among what RFC 6716 names");
    encoder.bitrate_bps = BITRATE;
    let mut sound = samples.to_vec();
    // What is decoded lags behind by so much: the end of the sound would stay in the encoder.
    sound.resize((samples.len() + encoder.lookahead()).next_multiple_of(FRAME), 0);
    let mut packet = vec![0; opus_pure::MAX_PACKET_BYTES];
    let frames = sound.chunks_exact(FRAME);
    frames
        .map(|frame| {
            let length = encoder.encode_s16(frame, FRAME, &mut packet).expect("a frame of 20 ms has room in the longest packet");
            packet.get(..length).unwrap_or_default().to_vec()
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What libopus made of 0.6 s of speech, each packet after its length; and what `opusdec` made of that.
    const PACKETS: &[u8] = include_bytes!("../../tests/sound/opus.packets");
    const DECODED: &[u8] = include_bytes!("../../tests/sound/opus.pcm");

    /// The samples that `opusdec` left out at the beginning, as the file told it to.
    const SKIPPED: usize = 312;

    #[test]
    fn what_libopus_encoded_is_decoded_as_libopus_decodes_it() {
        let (mut decoder, mut heard) = (Decoder::new(), Vec::new());

        packets().iter().for_each(|packet| decoder.decode(packet, &mut heard).unwrap());

        assert_eq!(heard.len(), 31 * FRAME);
        let reference = reference();
        assert!(snr(&heard[SKIPPED..], &reference) > 50.0, "{} dB", snr(&heard[SKIPPED..], &reference));
    }

    #[test]
    fn a_lost_packet_is_made_up_for_and_one_that_is_told_again_sounds_like_itself() {
        let packets = packets();
        let reference = reference();
        let without = |lost: usize, next: &[u8]| {
            let (mut decoder, mut heard) = (Decoder::new(), Vec::new());
            packets[..lost].iter().for_each(|packet| decoder.decode(packet, &mut heard).unwrap());
            decoder.conceal(FRAME, next, &mut heard);
            assert_eq!(heard.len(), (lost + 1) * FRAME);
            let place = lost * FRAME..(lost + 1) * FRAME;
            snr(&heard[place.clone()], &reference[place.start - SKIPPED..place.end - SKIPPED])
        };

        // Those packets of a voice that the encoder says again in the next, at a lower rate.
        let [told, made_up]: [Vec<f64>; 2] = [true, false]
            .map(|is_told| (14..26).map(|lost| without(lost, if is_told { &packets[lost + 1] } else { &[] })).collect());

        let better = told.iter().zip(&made_up).filter(|(told, made_up)| **told > **made_up + 3.0).count();
        assert!(better >= 4, "told again {told:.1?}, made up {made_up:.1?}");
    }

    #[test]
    fn what_was_lost_is_as_long_as_it_was_and_no_longer_than_can_be_made_up_for() {
        let packets = packets();
        let (mut decoder, mut heard) = (Decoder::new(), Vec::new());
        decoder.conceal(FRAME, &packets[0], &mut heard);
        assert_eq!(heard.len(), 0, "nothing was heard yet");
        decoder.decode(&packets[0], &mut heard).unwrap();

        for (samples, expected) in [(120, 120), (2880, 2880), (5760, 5760), (5880, 0), (100, 0), (0, 0), (usize::MAX, 0)] {
            heard.clear();
            decoder.conceal(samples, &packets[1], &mut heard);
            assert_eq!(heard.len(), expected, "{samples}");
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_and_none_make_more_sound_than_they_may() {
        let packets = packets();
        let changed = (0..packets.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), 0..80_usize);
        let made = prop::collection::vec(any::<u8>(), 0..400);
        let one = prop_oneof![
            changed.prop_map(move |(which, changes, length)| {
                let mut packet = packets[which].clone();
                changes.iter().for_each(|(at, to)| *at.get_mut(&mut packet) = *to);
                packet.truncate(length.max(1));
                packet
            }),
            made
        ];
        proptest!(ProptestConfig::with_cases(64), |(stream in prop::collection::vec((one, 0..8_usize), 1..20))| {
            let (mut decoder, mut heard) = (Decoder::new(), Vec::new());
            for (packet, lost) in stream {
                heard.clear();
                decoder.conceal(lost * 480, &packet, &mut heard);
                prop_assert!([0, lost * 480].contains(&heard.len()));
                heard.clear();
                let is_good = decoder.decode(&packet, &mut heard).is_ok();
                prop_assert!(heard.len() <= CONCEALED && (is_good || heard.is_empty()));
            }
        });
    }

    #[test]
    fn what_is_encoded_ends_with_the_end_of_the_sound() {
        let sound: Vec<i16> = (0..4800).map(|at| if at % 96 < 48 { 6000 } else { -6000 }).collect();
        let (mut decoder, mut heard) = (Decoder::new(), Vec::new());

        let packets = encode(&sound);
        packets.iter().for_each(|packet| decoder.decode(packet, &mut heard).unwrap());

        assert_eq!(packets.len(), 6, "100 ms, and what lags behind");
        let loud = |range: std::ops::Range<usize>| heard[range].iter().map(|s| i32::from(*s).abs()).max().unwrap();
        assert!(loud(4400..4800) > 3000 && loud(5500..5760) < 1000, "{} {}", loud(4400..4800), loud(5500..5760));
        assert!(encode(&[]).len() <= 1);
    }

    fn packets() -> Vec<Vec<u8>> {
        let mut rest = PACKETS;
        std::iter::from_fn(|| {
            let (length, after) = rest.split_first_chunk()?;
            let (packet, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            rest = after;
            Some(packet.to_vec())
        })
        .collect()
    }

    fn reference() -> Vec<i16> {
        DECODED.as_chunks().0.iter().map(|&code| i16::from_le_bytes(code)).collect()
    }

    fn snr(heard: &[i16], ideal: &[i16]) -> f64 {
        let signal: f64 = ideal.iter().map(|&x| f64::from(x).powi(2)).sum();
        let noise: f64 = heard.iter().zip(ideal).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
        10.0 * (signal / noise.max(1.0)).log10()
    }
}
