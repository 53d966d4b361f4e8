//! A recording's sound as other programs hear it: ffmpeg decodes what was exported, and it is what the WAV export has.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test may panic, and this one writes files for ffmpeg"
)]

use std::convert::Infallible;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mitschnitt::codec::Codec;
use mitschnitt::export::{self, Channels, Exported};
use mitschnitt::ids::{Leg, RecordingId};
use mitschnitt::sound::encode_wav;
use mitschnitt::vault::{Format, Record};

/// What is said, in English and in German: the PBX's party speaks first, then the trunk's.
const SAID: [&[u8]; 2] = [include_bytes!("../deploy/announcement.en.wav"), include_bytes!("../deploy/announcement.de.wav")];

/// Milliseconds of a frame: so much longer or shorter it may be.
const FRAME_MS: u32 = 20;

#[test]
fn ffmpeg_hears_of_an_opus_file_what_the_wav_has_and_as_long() {
    for (codec, payload_type) in [(Codec::Pcmu, 0), (Codec::G722, 9), (Codec::L16 { rate: 48_000, channels: 1 }, 96)] {
        let records = conversation(codec, payload_type);
        let wav = stereo_wav(&records);

        for channels in [Channels::Stereo, Channels::Mono, Channels::Only(Leg::Trunk)] {
            let (exported, file) = opus(&records, channels);

            let heard = ffmpeg(&file, "opus", wav.rate);
            assert_eq!(exported.rate, wav.rate);
            assert_eq!(heard.channels.len(), usize::from(channels.count()));
            let frame = (wav.rate * FRAME_MS / 1000) as usize;
            let expected = match channels {
                Channels::Stereo => wav.channels.clone(),
                Channels::Mono => vec![mean(&wav.channels)],
                Channels::Only(leg) => vec![wav.channels[leg.index()].clone()],
            };
            for (side, (heard, expected)) in heard.channels.iter().zip(&expected).enumerate() {
                let case = format!("{codec:?} {channels:?}, channel {side}");
                assert!(heard.len().abs_diff(expected.len()) <= frame, "{case}: {} for {}", heard.len(), expected.len());
                let alike = alike(heard, expected);
                assert!(alike > 0.98, "{case}: {alike:.3} alike");
                // A drift between beginning and end would show in the last third.
                let late = expected.len() * 2 / 3;
                let alike = crate::alike(&heard[late..], &expected[late..]);
                assert!(alike > 0.98 || is_silent(&expected[late..]), "{case}: {alike:.3} alike at its end");
            }
            let seconds = duration(&file);
            let due = wav.channels[0].len() as f64 / f64::from(wav.rate);
            assert!((seconds - due).abs() < 0.02, "ffprobe: {seconds} s of {due} s");
        }
    }
}

#[test]
fn of_one_party_nothing_is_heard_on_the_others_channel() {
    let records = conversation(Codec::Pcmu, 0);
    let only_pbx: Vec<_> = records.into_iter().filter(|record| !matches!(record, Record::Rtp { leg: Leg::Trunk, .. })).collect();

    let (_, file) = opus(&only_pbx, Channels::Stereo);

    let heard = ffmpeg(&file, "opus", 8000);
    let loudest = |side: usize| heard.channels[side].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!(loudest(0) > 3000 && loudest(1) <= 1, "{} and {}", loudest(0), loudest(1));
}

/// Both parties' packets, the trunk's party from two seconds on, and a format where the payload type has no fixed meaning.
fn conversation(codec: Codec, payload_type: u8) -> Vec<Record> {
    let (clock, name) = (codec.clock(), codec.name().to_owned());
    let step = clock / 50;
    let mut records: Vec<Record> = Leg::BOTH
        .map(|leg| {
            let (since, channels, name) = (Duration::ZERO, codec.channels(), name.clone());
            Record::Format(Format { leg, since, payload_type, clock, channels, name })
        })
        .into();
    let mut packets = Vec::new();
    for ((leg, said), began_ms) in Leg::BOTH.into_iter().zip(SAID).zip([0_u64, 2000]) {
        let sound = encode_wav(said, codec).unwrap().into_bytes();
        for (n, payload) in (0_u32..).zip(sound.chunks(step as usize * bytes_a_step(codec))) {
            let mut packet = vec![0x80, payload_type];
            packet.extend_from_slice(&(n as u16).to_be_bytes());
            packet.extend_from_slice(&(n * step).to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0, leg.index() as u8 + 1]);
            packet.extend_from_slice(payload);
            packets.push((Duration::from_millis(began_ms + u64::from(n) * 20), leg, packet));
        }
    }
    packets.sort_by_key(|(came, ..)| *came);
    records.extend(packets.into_iter().map(|(came, leg, packet)| Record::Rtp { leg, came, packet }));
    records
}

/// Bytes for each step of the RTP clock.
fn bytes_a_step(codec: Codec) -> usize {
    if matches!(codec, Codec::L16 { .. }) { 2 } else { 1 }
}

/// Sound as it came out of a file.
struct Sound {
    rate: u32,
    channels: Vec<Vec<i16>>,
}

impl Sound {
    fn of(samples: &[u8], rate: u32, channels: usize) -> Self {
        let samples: Vec<i16> = samples.as_chunks().0.iter().map(|&two| i16::from_le_bytes(two)).collect();
        let channel = |n| samples.iter().skip(n).step_by(channels).copied().collect();
        Self { rate, channels: (0..channels).map(channel).collect() }
    }
}

fn stereo_wav(records: &[Record]) -> Sound {
    let survey = export::survey(None, reading(records)).unwrap();
    let mut file = Cursor::new(Vec::new());
    let exported = export::wav(&survey, Channels::Stereo, reading(records), &mut file).unwrap();
    Sound::of(&file.into_inner()[44..], exported.rate, 2)
}

fn opus(records: &[Record], channels: Channels) -> (Exported, Vec<u8>) {
    let survey = export::survey(None, reading(records)).unwrap();
    let mut file = Vec::new();
    let id = RecordingId::from_bytes([7; 16]);
    let exported = export::opus(id, &survey, channels, reading(records), &mut file).unwrap();
    (exported, file)
}

fn reading(records: &[Record]) -> impl Iterator<Item = Result<Record, Infallible>> + '_ {
    records.iter().cloned().map(Ok)
}

/// What ffmpeg decodes of a file, at this rate.
fn ffmpeg(file: &[u8], ending: &str, rate: u32) -> Sound {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join(format!("call.{ending}")), folder.path().join("heard.raw"));
    fs::write(&from, file).unwrap();
    let channels = probe(&from, "stream=channels").parse().unwrap();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-xerror", "-i"])
        .arg(&from)
        .args(["-f", "s16le", "-ar", &rate.to_string()])
        .arg(&to)
        .output()
        .expect("ffmpeg is installed: tests/run.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "ffmpeg has nothing to complain of");
    Sound::of(&fs::read(to).unwrap(), rate, channels)
}

/// How many seconds ffprobe says a file lasts.
fn duration(file: &[u8]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call");
    fs::write(&path, file).unwrap();
    probe(&path, "format=duration").parse().unwrap()
}

fn probe(path: &Path, entry: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", entry, "-of", "default=noprint_wrappers=1:nokey=1"]).arg(path);
    let output = command.output().expect("ffprobe is installed: tests/run.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn mean(channels: &[Vec<i16>]) -> Vec<i16> {
    channels[0].iter().zip(&channels[1]).map(|(a, b)| ((i32::from(*a) + i32::from(*b)) / 2) as i16).collect()
}

fn is_silent(samples: &[i16]) -> bool {
    samples.iter().all(|&sample| sample == 0)
}

/// How much alike two sounds are where they lie, or a sample before or after, by which resampling of 8 kHz is off: 1 for the same.
fn alike(heard: &[i16], expected: &[i16]) -> f64 {
    correlation(heard, expected).max(correlation(&heard[1..], expected)).max(correlation(heard, &expected[1..]))
}

/// The same, sample by sample.
fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let product = |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}
