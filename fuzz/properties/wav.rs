//! What holds of `sound::wav` for any bytes: sound that can be played, and written again sample for sample; or what is wrong, for people.

use std::io::Cursor;

use mitschnitt::codec::Codec;
use mitschnitt::sound::encode_wav;
use mitschnitt::sound::resample::to_i16;
use mitschnitt::sound::wav::{WavWriter, read};

/// Checks all properties with one file.
pub(crate) fn check(data: &[u8]) {
    let sound = match read(data) {
        Ok(sound) => sound,
        Err(error) => {
            assert!(!error.to_string().chars().chain(error.remedy().chars()).any(char::is_control), "{error}");
            assert!(Codec::TELEPHONE.into_iter().all(|codec| encode_wav(data, codec) == Err(error)));
            return;
        }
    };
    let channels = usize::from(sound.channels());
    assert!((4000..=192_000).contains(&sound.rate()) && !sound.samples().is_empty());
    assert_eq!(sound.samples().len() % channels, 0);
    assert!(sound.samples().len() <= data.len(), "no more samples than bytes");
    assert!(sound.samples().iter().all(|sample| (-16.0..=16.0).contains(sample)), "{:?}", sound.samples());
    let mono = sound.mono();
    assert_eq!(mono.len() * channels, sound.samples().len());
    assert!(mono.iter().all(|sample| (-16.1..=16.1).contains(sample)));

    check_encoded(data, mono.len(), sound.rate());
    check_written(sound.samples(), sound.rate());
}

/// The payload is as long as the sound: at 8,000 bytes a second, whatever the codec.
fn check_encoded(data: &[u8], frames: usize, rate: u32) {
    for codec in Codec::TELEPHONE {
        // Another rate costs a thousand times as much; one file in 1,024 is enough.
        let is_chosen =
            data.iter().fold(7_u32, |sum, &byte| sum * 31 % 1021 + u32::from(byte)).is_multiple_of(1024) && frames < 64;
        if codec.sample_rate() != rate && !is_chosen {
            continue;
        }
        let payload = encode_wav(data, codec).expect("it was read").into_bytes();
        let expected = frames as u64 * 8000 / u64::from(rate);
        assert!((payload.len() as u64).abs_diff(expected) <= 1, "{} of {expected} bytes", payload.len());
    }
}

fn check_written(samples: &[f32], rate: u32) {
    let samples = to_i16(samples);
    let mut writer = WavWriter::begin(Cursor::new(Vec::new()), rate, 2).expect("memory takes everything");
    let both: Vec<i16> = samples.iter().flat_map(|&left| [left, 0]).collect();
    writer.write(&both).expect("memory takes everything");
    let file = writer.finish().expect("memory takes everything").into_inner();

    let again = read(&file).expect("what is written is read");

    assert_eq!((again.rate(), again.channels()), (rate, 2));
    let both: Vec<_> = both.into_iter().map(|sample| f32::from(sample) / 32_768.0).collect();
    assert_eq!(again.samples(), both);
}
