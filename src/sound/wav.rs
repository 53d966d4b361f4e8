//! WAV files: reads what an operator may have, and writes a recording as a stream.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};

use super::g711;

/// Sampling rates that are taken, in Hz: from half the telephone's to the highest of studios.
const RATES: std::ops::RangeInclusive<u32> = 4000..=192_000;

/// A sound as it was in its file: samples from −1 to 1, the channels interleaved.
#[derive(Clone, PartialEq, Debug)]
pub struct Wav {
    rate: u32,
    channels: u16,
    samples: Vec<f32>,
}

impl Wav {
    /// Returns the samples a second of each channel.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Returns how many channels there are.
    #[must_use]
    pub const fn channels(&self) -> u16 {
        self.channels
    }

    /// Returns the samples of all channels, interleaved; at 16 bits and fewer, and at 24, each is exact.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Returns the mean of the channels.
    #[must_use]
    pub fn mono(&self) -> Vec<f32> {
        let frames = self.samples.chunks_exact(usize::from(self.channels.max(1)));
        frames.map(|frame| frame.iter().sum::<f32>() / f32::from(self.channels)).collect()
    }
}

/// Reads a WAV file: 8, 16, 24 or 32 bits of PCM, 32 or 64 of float, G.711 A-law or µ-law, also as `WAVE_FORMAT_EXTENSIBLE`.
///
/// Chunks that are neither format nor sound are passed over. A program that wrote to a pipe did not know the length: its sound goes
/// to the end of the file.
///
/// # Errors
/// Says what is wrong with the file; [`BadWav::remedy`] says what to do.
pub fn read(bytes: &[u8]) -> Result<Wav, BadWav> {
    let mut rest = body(bytes)?;
    let mut format = None;
    while let Some((id, declared, content)) = chunk(rest) {
        match id {
            b"fmt " => format = Some(Format::read(content.get(..declared).unwrap_or(content))?),
            b"data" => {
                let format = format.ok_or(BadWav::NoFormat)?;
                return format.decode(data(declared, content)?);
            }
            _ => {}
        }
        // A chunk of odd length is followed by a byte that counts for nothing.
        rest = content.get(declared.saturating_add(declared % 2)..).unwrap_or(&[]);
    }
    Err(BadWav::NoSound)
}

/// What follows the file's first twelve bytes.
fn body(bytes: &[u8]) -> Result<&[u8], BadWav> {
    match bytes {
        [] => Err(BadWav::EmptyFile),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', rest @ ..] => Ok(rest),
        [b'R', b'F', b'6', b'4', ..] | [b'R', b'I', b'F', b'X', ..] => Err(BadWav::NotWav { looks_like: "another form of RIFF" }),
        [b'I', b'D', b'3', ..] | [0xff, 0xe2..=0xfb, ..] => Err(BadWav::NotWav { looks_like: "MP3" }),
        [b'O', b'g', b'g', b'S', ..] => Err(BadWav::NotWav { looks_like: "Ogg" }),
        [b'f', b'L', b'a', b'C', ..] => Err(BadWav::NotWav { looks_like: "FLAC" }),
        [b'F', b'O', b'R', b'M', ..] => Err(BadWav::NotWav { looks_like: "AIFF" }),
        [b'.', b's', b'n', b'd', ..] => Err(BadWav::NotWav { looks_like: "Sun audio" }),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Err(BadWav::NotWav { looks_like: "MP4 or M4A" }),
        _ => Err(BadWav::NotWav { looks_like: "something else" }),
    }
}

/// The chunk at the front: its name, the length it claims, and everything behind its head.
fn chunk(rest: &[u8]) -> Option<(&[u8; 4], usize, &[u8])> {
    let (id, rest) = rest.split_first_chunk::<4>()?;
    let (length, content) = rest.split_first_chunk::<4>()?;
    Some((id, usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX), content))
}

/// The sound's bytes, of which `declared` should be there.
fn data(declared: usize, content: &[u8]) -> Result<&[u8], BadWav> {
    /// What programs declare that cannot go back to the head: sox 0x7ffff000 less the head, ffmpeg 0xffffffff.
    const UNKNOWN: usize = 0x7fff_0000;
    match content.get(..declared) {
        Some([]) => Err(BadWav::NoSound),
        Some(sound) => Ok(sound),
        None if declared >= UNKNOWN => Ok(content),
        None => Err(BadWav::CutShort { declared, found: content.len() }),
    }
}

/// The format chunk.
#[derive(Clone, Copy)]
struct Format {
    coding: Coding,
    channels: u16,
    rate: u32,
}

#[derive(Clone, Copy)]
enum Coding {
    Pcm8,
    Pcm16,
    Pcm24,
    Pcm32,
    Float32,
    Float64,
    Alaw,
    Ulaw,
}

impl Format {
    fn read(content: &[u8]) -> Result<Self, BadWav> {
        let (head, extension) = content.split_first_chunk::<16>().ok_or(BadWav::NoFormat)?;
        let [tag0, tag1, channels0, channels1, rate0, rate1, rate2, rate3, .., bits0, bits1] = *head;
        let bits = u16::from_le_bytes([bits0, bits1]);
        let tag = match u16::from_le_bytes([tag0, tag1]) {
            // WAVE_FORMAT_EXTENSIBLE: after its size, the bits that count and the loudspeakers, the tag begins a GUID.
            0xfffe => match extension {
                [_, _, _, _, _, _, _, _, low, high, ..] => u16::from_le_bytes([*low, *high]),
                _ => return Err(BadWav::NoFormat),
            },
            tag => tag,
        };
        let coding = match (tag, bits) {
            (1, 8) => Coding::Pcm8,
            (1, 16) => Coding::Pcm16,
            (1, 24) => Coding::Pcm24,
            (1, 32) => Coding::Pcm32,
            (3, 32) => Coding::Float32,
            (3, 64) => Coding::Float64,
            (6, 8) => Coding::Alaw,
            (7, 8) => Coding::Ulaw,
            (tag, bits) => return Err(BadWav::Coding { tag, bits }),
        };
        let rate = u32::from_le_bytes([rate0, rate1, rate2, rate3]);
        if !RATES.contains(&rate) {
            return Err(BadWav::Rate { hz: rate });
        }
        match u16::from_le_bytes([channels0, channels1]) {
            0 => Err(BadWav::NoFormat),
            channels => Ok(Self { coding, channels, rate }),
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<Wav, BadWav> {
        let mut samples = self.coding.samples(bytes);
        // A last frame of which a channel is missing is none.
        samples.truncate(samples.len() - samples.len() % usize::from(self.channels));
        if samples.is_empty() {
            return Err(BadWav::NoSound);
        }
        Ok(Wav { rate: self.rate, channels: self.channels, samples })
    }
}

impl Coding {
    fn samples(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::Pcm8 => bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0).collect(),
            Self::Pcm16 => bytes.as_chunks().0.iter().map(|&b| unit(i16::from_le_bytes(b))).collect(),
            Self::Pcm24 => bytes.as_chunks().0.iter().map(|&[a, b, c]| wide(i32::from_le_bytes([0, a, b, c]))).collect(),
            Self::Pcm32 => bytes.as_chunks().0.iter().map(|&b| wide(i32::from_le_bytes(b))).collect(),
            Self::Float32 => bytes.as_chunks().0.iter().map(|&b| finite(f64::from(f32::from_le_bytes(b)))).collect(),
            Self::Float64 => bytes.as_chunks().0.iter().map(|&b| finite(f64::from_le_bytes(b))).collect(),
            Self::Alaw => bytes.iter().map(|&b| unit(g711::decode_alaw(b))).collect(),
            Self::Ulaw => bytes.iter().map(|&b| unit(g711::decode_ulaw(b))).collect(),
        }
    }
}

fn unit(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

fn wide(sample: i32) -> f32 {
    finite(f64::from(sample) / 2_147_483_648.0)
}

/// What is no number is silence; what is far too loud is loud enough.
#[expect(clippy::cast_possible_truncation, reason = "to the nearest single-precision value, which is meant")]
const fn finite(sample: f64) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-16.0, 16.0) as f32 }
}

/// The operator's sound file cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadWav {
    /// There is nothing in it.
    EmptyFile,
    /// It is no WAV file; by its first bytes it is this.
    NotWav {
        /// What it seems to be.
        looks_like: &'static str,
    },
    /// It does not say how its sound is coded, or says it in too few bytes.
    NoFormat,
    /// Its sound is coded in a way that is not read here.
    Coding {
        /// The format tag.
        tag: u16,
        /// Bits a sample.
        bits: u16,
    },
    /// Its sampling rate is none for sound.
    Rate {
        /// Samples a second.
        hz: u32,
    },
    /// It has no sound in it.
    NoSound,
    /// It is shorter than it says itself.
    CutShort {
        /// Bytes of sound that it says it has.
        declared: usize,
        /// Bytes of sound that are there.
        found: usize,
    },
}

impl BadWav {
    /// Returns what the operator can do about it, as one line.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::EmptyFile | Self::NoSound => "record or make it again; to see what is in it: soxi FILE",
            Self::NotWav { .. } | Self::NoFormat | Self::Coding { .. } | Self::Rate { .. } => {
                "convert it: ffmpeg -i FILE -ar 16000 -ac 1 -c:a pcm_s16le new.wav"
            }
            Self::CutShort { .. } => "copy it again, whole; an announcement must not end in mid-sentence",
        }
    }
}

impl fmt::Display for BadWav {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFile => f.write_str("the file is empty"),
            Self::NotWav { looks_like } => write!(f, "it is no WAV file but {looks_like}"),
            Self::NoFormat => f.write_str("it does not say how its sound is coded"),
            Self::Coding { tag, bits } => {
                write!(
                    f,
                    "its sound is coded as format {tag:#06x} of {bits} bits, expected PCM of 8, 16, 24 or 32 bits, float or G.711"
                )
            }
            Self::Rate { hz } => write!(f, "its sampling rate is {hz} Hz, expected {} to {}", RATES.start(), RATES.end()),
            Self::NoSound => f.write_str("there is no sound in it"),
            Self::CutShort { declared, found } => {
                write!(f, "it ends too early: it says {declared} bytes of sound, {found} are there")
            }
        }
    }
}

impl std::error::Error for BadWav {}

/// Writes a WAV file of 16 bits as it comes; the lengths in its head are put in at the end.
#[derive(Debug)]
pub struct WavWriter<W> {
    out: W,
    start: u64,
    rate: u32,
    channels: u16,
    frames: u64,
    buffer: Vec<u8>,
}

/// Bytes of the head that [`WavWriter`] writes.
const HEAD_BYTES: u32 = 44;

impl<W: Write + Seek> WavWriter<W> {
    /// Returns the most samples of each channel that a file can hold, since its lengths have 32 bits: of two channels 37 h at 8 kHz.
    #[must_use]
    pub fn most_frames(channels: u16) -> u64 {
        u64::from((u32::MAX - HEAD_BYTES) / frame_bytes(channels))
    }

    /// Writes the head of a file with so many channels, at where `out` stands.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(mut out: W, rate: u32, channels: u16) -> io::Result<Self> {
        let start = out.stream_position()?;
        let mut writer = Self { out, start, rate, channels, frames: 0, buffer: Vec::new() };
        writer.write_head()?;
        Ok(writer)
    }

    /// Appends samples, those of all channels one after the other.
    ///
    /// # Errors
    /// What the disk says, or [`io::ErrorKind::FileTooLarge`] beyond [`Self::most_frames`], before anything of it is written.
    pub fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        let frames = self.frames + samples.len() as u64 / u64::from(self.channels.max(1));
        if frames > Self::most_frames(self.channels) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.frames = frames;
        self.buffer.resize(2 * samples.len(), 0);
        let (bytes, _) = self.buffer.as_chunks_mut::<2>();
        bytes.iter_mut().zip(samples).for_each(|(bytes, sample)| *bytes = sample.to_le_bytes());
        self.out.write_all(&self.buffer)
    }

    /// Puts the lengths into the head, and returns the output, standing at the end.
    ///
    /// # Errors
    /// What the disk says; the file then has a head that says «no sound».
    pub fn finish(mut self) -> io::Result<W> {
        self.out.seek(SeekFrom::Start(self.start))?;
        self.write_head()?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_head(&mut self) -> io::Result<()> {
        self.out.write_all(&head(self.rate, self.channels, self.frames))
    }
}

/// Bytes of one sample of all channels.
fn frame_bytes(channels: u16) -> u32 {
    2 * u32::from(channels.max(1))
}

/// Returns the head of a file of 16 bits with so many samples of each channel; what is beyond 4 GiB is left out of its lengths.
#[must_use]
pub fn head(rate: u32, channels: u16, frames: u64) -> [u8; HEAD_BYTES as usize] {
    let most = u32::MAX - HEAD_BYTES;
    let bytes = u32::try_from(frames.saturating_mul(u64::from(frame_bytes(channels)))).unwrap_or(most).min(most);
    let mut head = [0; HEAD_BYTES as usize];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(HEAD_BYTES - 8 + bytes).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(), // PCM
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &rate.saturating_mul(frame_bytes(channels)).to_le_bytes(),
        &channels.max(1).saturating_mul(2).to_le_bytes(), // bytes a frame
        &16_u16.to_le_bytes(),                            // bits a sample
        b"data",
        &bytes.to_le_bytes(),
    ];
    head.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, &from)| *to = from);
    head
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn each_coding_gives_the_same_samples() {
        let half = 0.5_f32;

        assert_eq!(read(&file(1, 8, &[192, 64])).unwrap().samples(), [half, -half]);
        assert_eq!(read(&file(1, 16, &[0, 0x40, 0, 0xc0])).unwrap().samples(), [half, -half]);
        assert_eq!(read(&file(1, 24, &[0, 0, 0x40, 0, 0, 0xc0])).unwrap().samples(), [half, -half]);
        assert_eq!(read(&file(1, 32, &[0, 0, 0, 0x40, 0, 0, 0, 0xc0])).unwrap().samples(), [half, -half]);
        assert_eq!(read(&file(3, 32, &[0.5_f32, -0.5].map(f32::to_le_bytes).concat())).unwrap().samples(), [half, -half]);
        assert_eq!(read(&file(3, 64, &[0.5_f64, -0.5].map(f64::to_le_bytes).concat())).unwrap().samples(), [half, -half]);
        assert_eq!(read(&file(6, 8, &[0xd5])).unwrap().samples(), [8.0 / 32_768.0]);
        assert_eq!(read(&file(7, 8, &[0x80])).unwrap().samples(), [32_124.0 / 32_768.0]);
    }

    #[test]
    fn an_extensible_format_is_what_its_guid_says() {
        let mut format = format_of(0xfffe, 1, 8000, 16);
        format.extend_from_slice(&[22, 0, 16, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);

        assert_eq!(read(&riff(&[(b"fmt ", &format), (b"data", &[0, 0x40])])).unwrap().samples(), [0.5]);
    }

    #[test]
    fn other_chunks_and_their_padding_are_passed_over() {
        let bytes = riff(&[
            (b"LIST", b"odd"),
            (b"fmt ", &format_of(1, 1, 8000, 16)),
            (b"junk", b""),
            (b"data", &[0, 0x40, 0]),
            (b"id3 ", b"x"),
        ]);

        assert_eq!(read(&bytes).unwrap().samples(), [0.5]);
    }

    #[test]
    fn channels_are_mixed_to_their_mean() {
        let bytes = riff(&[(b"fmt ", &format_of(1, 2, 8000, 16)), (b"data", &[0, 0x40, 0, 0x20, 0, 0xc0, 0, 0x40, 1, 1])]);
        let wav = read(&bytes).unwrap();

        assert_eq!((wav.channels(), wav.mono()), (2, vec![0.375, 0.0]));
    }

    #[test]
    fn a_sound_of_unknown_length_goes_to_the_end() {
        let mut bytes = file(1, 16, &[0, 0x40, 0, 0x40]);
        bytes[40..44].copy_from_slice(&u32::MAX.to_le_bytes());

        assert_eq!(read(&bytes).unwrap().samples().len(), 2);
    }

    #[test]
    fn a_bad_file_is_refused_with_the_reason() {
        let mut short = file(1, 16, &[0; 100]);
        short.truncate(90);

        assert_eq!(read(b""), Err(BadWav::EmptyFile));
        assert_eq!(read(b"ID3\x04 la la"), Err(BadWav::NotWav { looks_like: "MP3" }));
        assert_eq!(read(b"OggS"), Err(BadWav::NotWav { looks_like: "Ogg" }));
        assert_eq!(read(b"hello, world"), Err(BadWav::NotWav { looks_like: "something else" }));
        assert_eq!(read(&riff(&[(b"data", b"12")])), Err(BadWav::NoFormat));
        assert_eq!(read(&riff(&[(b"fmt ", b"short"), (b"data", b"12")])), Err(BadWav::NoFormat));
        assert_eq!(read(&riff(&[(b"fmt ", &format_of(1, 0, 8000, 16)), (b"data", b"12")])), Err(BadWav::NoFormat));
        assert_eq!(read(&riff(&[(b"fmt ", &format_of(1, 1, 8000, 16))])), Err(BadWav::NoSound));
        assert_eq!(read(&file(1, 16, &[])), Err(BadWav::NoSound));
        assert_eq!(read(&file(1, 16, &[7])), Err(BadWav::NoSound));
        assert_eq!(read(&file(0x55, 16, &[7, 7])), Err(BadWav::Coding { tag: 0x55, bits: 16 }));
        assert_eq!(read(&riff(&[(b"fmt ", &format_of(1, 1, 1, 16)), (b"data", b"12")])), Err(BadWav::Rate { hz: 1 }));
        assert_eq!(read(&short), Err(BadWav::CutShort { declared: 100, found: 46 }));
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        proptest::proptest!(|(tag: u16, bits: u16, channels: u16, data: Vec<u8>, cut in 0..200_usize, flip in 0..60_usize, with: u8)| {
            let mut bytes = riff(&[(b"fmt ", &format_of(tag % 8, channels, 8000, bits)), (b"data", &data)]);
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Some(byte) = bytes.get_mut(flip) { *byte ^= with; }
            drop(read(&bytes));
            drop(read(&data));
        });
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut writer = WavWriter::begin(Cursor::new(Vec::new()), 16_000, 2).unwrap();
        writer.write(&[16_384, -16_384, -1, 0]).unwrap();
        writer.write(&[]).unwrap();
        let bytes = writer.finish().unwrap().into_inner();

        let wav = read(&bytes).unwrap();
        assert_eq!((wav.rate(), wav.channels()), (16_000, 2));
        assert_eq!(wav.samples(), [0.5, -0.5, -1.0 / 32_768.0, 0.0]);
        assert_eq!(bytes.len(), 44 + 8);
        assert_eq!(bytes[4..8], 44_u32.to_le_bytes());
    }

    fn file(tag: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        riff(&[(b"fmt ", &format_of(tag, 1, 8000, bits)), (b"data", data)])
    }

    fn format_of(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let frame = channels.wrapping_mul(bits / 8);
        let mut format = [tag, channels].map(u16::to_le_bytes).concat();
        format.extend_from_slice(&rate.to_le_bytes());
        format.extend_from_slice(&(rate * u32::from(frame)).to_le_bytes());
        format.extend_from_slice(&[frame, bits].map(u16::to_le_bytes).concat());
        format
    }

    fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        for (id, content) in chunks {
            bytes.extend_from_slice(*id);
            bytes.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(content);
            bytes.extend(std::iter::repeat_n(0, content.len() % 2));
        }
        bytes
    }
}
