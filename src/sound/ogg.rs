//! Opus in Ogg (RFC 7845): writes sound as it comes, each channel as a stream of its own.
//!
//! A stereo encoder looks for what two channels have in common and codes that once, so that something of one is heard in the other. Here
//! two channels are two people, and who said what must stay clear: each is encoded apart (channel mapping family 1, two streams, none
//! coupled; RFC 7845 §5.1.1.2), and a packet holds one of each, the first with its own length (RFC 6716 appendix B).

use std::io::{self, Write};

use opus_pure::{Application, Error, OggOpusWriter, OpusEncoder, OpusHead, OpusTags, Repacketizer, Signal};

/// Packets of 20 ms: what every decoder takes, and what loses least to framing without waiting long.
const PACKETS_A_SECOND: usize = 50;

/// Opus counts time in this (RFC 7845 §4), whatever the rate of the sound.
const CLOCK: u64 = 48_000;

/// Writes a file as sound comes.
#[derive(Debug)]
pub struct OggOpus<W: Write> {
    ogg: OggOpusWriter<W>,
    /// One a channel.
    encoders: Vec<OpusEncoder>,
    rate: u32,
    /// What the encoders delay the sound by, and decoders leave out, on the clock of 48 kHz.
    pre_skip: u64,
    /// Samples of all channels, one after the other, that are not encoded: fewer than a packet holds.
    held: Vec<i16>,
    /// Samples of each channel by now.
    frames: u64,
    /// The last packet: how long it counts is known once it is known whether it is the last.
    waiting: Option<Vec<u8>>,
    framer: Repacketizer,
}

/// What a file says of itself.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The serial number of its stream: the same for the same recording.
    pub serial: u32,
    /// Names and values (RFC 7845 §5.2), without dates.
    pub tags: &'a [(&'a str, &'a str)],
}

impl<W: Write> OggOpus<W> {
    /// Begins a file: 8,000, 16,000 or 48,000 samples a second, one channel or two.
    ///
    /// # Errors
    /// What the disk says; [`io::ErrorKind::InvalidInput`] for another rate or number of channels.
    pub fn begin(out: W, rate: u32, channels: u16, about: &About<'_>) -> io::Result<Self> {
        let encoders: Vec<_> = (0..channels).map(|_| encoder(rate)).collect::<Result<_, _>>()?;
        let mut head = match encoders.first() {
            Some(first) if channels <= 2 => OpusHead::for_encoder(first, rate),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        if channels == 2 {
            head.channel_count = 2;
            (head.mapping_family, head.stream_count, head.coupled_count) = (1, 2, 0);
            head.channel_mapping = vec![0, 1];
        }
        let pre_skip = u64::from(head.pre_skip);
        let mut tags = OpusTags::new();
        for (name, value) in about.tags {
            tags.push(name, value).map_err(io_error)?;
        }
        let ogg = OggOpusWriter::with_serial(out, head, tags, about.serial).map_err(io_error)?;
        let framer = Repacketizer::new();
        Ok(Self { ogg, encoders, rate, pre_skip, held: Vec::new(), frames: 0, waiting: None, framer })
    }

    /// Appends samples, those of all channels one after the other.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        self.frames += samples.len() as u64 / self.encoders.len().max(1) as u64;
        self.held.extend_from_slice(samples);
        let mut held = std::mem::take(&mut self.held);
        let size = self.packet_frames() * self.encoders.len();
        let whole = held.len() - held.len() % size;
        held.get(..whole).unwrap_or_default().chunks(size).try_for_each(|packet| self.encode(packet))?;
        held.drain(..whole);
        self.held = held;
        Ok(())
    }

    /// Writes what is held, and how long the sound is: to the sample (RFC 7845 §4.4). Returns the output.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self) -> io::Result<W> {
        let size = self.packet_frames() * self.encoders.len();
        let until = self.pre_skip + self.frames * CLOCK / u64::from(self.rate);
        let mut rest = std::mem::take(&mut self.held);
        // What is decoded lags behind: the end of the sound would stay in the encoder.
        while self.encoded() < until {
            rest.resize(size, 0);
            self.encode(&rest)?;
            rest.clear();
        }
        if let Some(last) = self.waiting.take() {
            let length = until.saturating_sub(self.written());
            self.ogg.write_packet_with_duration(&last, u32::try_from(length).unwrap_or(0)).map_err(io_error)?;
        }
        self.ogg.finish().map_err(io_error)
    }

    fn packet_frames(&self) -> usize {
        self.rate as usize / PACKETS_A_SECOND
    }

    /// Where the last packet that was written ends, on the clock of 48 kHz.
    fn written(&self) -> u64 {
        u64::try_from(self.ogg.granule()).unwrap_or(0)
    }

    /// Where the one that waits ends.
    fn encoded(&self) -> u64 {
        self.written() + if self.waiting.is_some() { CLOCK / PACKETS_A_SECOND as u64 } else { 0 }
    }

    fn encode(&mut self, samples: &[i16]) -> io::Result<()> {
        let (frames, count) = (self.packet_frames(), self.encoders.len());
        let mut packet = Vec::new();
        let mut own = vec![0; opus_pure::MAX_PACKET_BYTES];
        for (channel, encoder) in self.encoders.iter_mut().enumerate() {
            let sound: Vec<i16> = samples.iter().skip(channel).step_by(count).copied().collect();
            let length = encoder.encode_s16(&sound, frames, &mut own).map_err(io_error)?;
            let own = own.get(..length).unwrap_or_default();
            if channel + 1 < count {
                self.framer.clear();
                self.framer.cat(own).map_err(io_error)?;
                self.framer.out_self_delimited_into(&mut packet).map_err(io_error)?;
            } else {
                packet.extend_from_slice(own);
            }
        }
        if let Some(before) = self.waiting.replace(packet) {
            let length = u32::try_from(CLOCK / PACKETS_A_SECOND as u64).unwrap_or(0);
            self.ogg.write_packet_with_duration(&before, length).map_err(io_error)?;
        }
        Ok(())
    }
}

/// One party's encoder: as true to the sound as it can be, and bits enough that a voice is not told from the original.
fn encoder(rate: u32) -> io::Result<OpusEncoder> {
    let hz = i32::try_from(rate).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut encoder = OpusEncoder::new(hz, 1, Application::Audio).map_err(io_error)?;
    encoder.signal_type = Some(Signal::Voice);
    encoder.bitrate_bps = match rate {
        ..=8000 => 24_000,
        8001..=16_000 => 32_000,
        16_001.. => 48_000,
    };
    Ok(encoder)
}

fn io_error(error: Error) -> io::Error {
    if let Error::Io(error) = error {
        return error;
    }
    let kind = if matches!(error, Error::InvalidArgument(_)) { io::ErrorKind::InvalidInput } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use opus_pure::{OggOpusReader, OpusDecoder};

    use super::*;
    use crate::sound::{MELODY_RATE, Voice, melody};

    const ABOUT: About<'_> = About { serial: 0x5eed, tags: &[("TITLE", "a song")] };

    #[test]
    fn a_sound_is_as_long_as_it_was_to_the_sample_and_as_it_was() {
        for (rate, frames) in [(8000, 24_000), (8000, 1), (8000, 0), (8000, 7_987), (16_000, 16_111), (48_000, 48_959)] {
            // Between two samples of the melody, what lies between: steps are a hiss that no codec of voices keeps.
            let song: Vec<i16> = (0..frames)
                .map(|at| {
                    let (before, past) = (at * MELODY_RATE / rate, at * MELODY_RATE % rate);
                    let [from, to] = [before, before + 1].map(|at| i64::from(melody(Voice::Low, u64::from(at))));
                    (from + (to - from) * i64::from(past) / i64::from(rate)) as i16
                })
                .collect();

            let file = file(rate, 1, &song, 1000);

            let (samples, granule, head) = decoded(&file);
            let step = (48_000 / rate) as usize;
            let skip = usize::from(head.pre_skip);
            assert_eq!(granule, skip as u64 + song.len() as u64 * step as u64, "{rate} Hz, {frames} samples");
            assert_eq!((head.channel_count, head.input_sample_rate, head.mapping_family), (1, rate, 0));
            let heard: Vec<i16> = samples[skip..].iter().step_by(step).take(song.len()).copied().collect();
            assert_eq!(heard.len(), song.len());
            if frames > 7000 {
                let alike = correlation(&heard, &song);
                assert!(alike > 0.95, "{rate} Hz: {alike}");
            }
        }
    }

    #[test]
    fn it_is_the_same_in_whatever_pieces_it_comes() {
        let song: Vec<i16> = (0..12_345).map(|at| melody(Voice::High, at)).collect();

        let whole = file(8000, 2, &song[..12_344], 12_344);

        assert!([2, 320, 322, 5000].into_iter().all(|piece| file(8000, 2, &song[..12_344], piece) == whole));
        assert!(!whole.windows(2).all(|two| two[0] == two[1]));
    }

    #[test]
    fn other_rates_and_channels_are_refused() {
        for (rate, channels) in [(44_100, 1), (8000, 0), (8000, 3), (0, 1)] {
            let refused = OggOpus::begin(Vec::new(), rate, channels, &ABOUT);
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{rate} {channels}");
        }
    }

    fn file(rate: u32, channels: u16, samples: &[i16], piece: usize) -> Vec<u8> {
        let mut writer = OggOpus::begin(Vec::new(), rate, channels, &ABOUT).unwrap();
        samples.chunks(piece).for_each(|piece| writer.write(piece).unwrap());
        writer.finish().unwrap()
    }

    /// The samples of a file with one channel, at 48 kHz and before anything is left out; where it says that it ends; its head.
    fn decoded(file: &[u8]) -> (Vec<i16>, u64, OpusHead) {
        let mut reader = OggOpusReader::new(file).unwrap();
        assert_eq!((reader.serial(), reader.tags().get("title")), (0x5eed, Some("a song")));
        let head = reader.head().clone();
        let mut decoder = OpusDecoder::new(48_000, 1).unwrap();
        let (mut samples, mut granule) = (Vec::new(), 0);
        while let Some(packet) = reader.read_packet().unwrap() {
            let mut room = [0; 960];
            let count = decoder.decode_s16(&packet.data, 960, &mut room).unwrap();
            samples.extend_from_slice(&room[..count]);
            granule = packet.page_granule;
        }
        (samples, u64::try_from(granule).unwrap(), head)
    }

    fn correlation(a: &[i16], b: &[i16]) -> f64 {
        let product = |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    }
}
