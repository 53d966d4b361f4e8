//! A recording's sound as a WAV file of 16 bits, which everything plays.

use std::io::{self, Seek, Write};

use crate::export::Source;
use crate::export::sound::{self, Channels, Ear, ExportError, Exported, Survey};
use crate::sound::wav::WavWriter;

/// Writes a recording as WAV of 16 bits, from the recording's beginning to its end.
///
/// `records` are those that `survey` was made of, from the beginning again. The same records give the same bytes.
///
/// # Errors
/// What the reader of the recording or the disk says; what was written by then is no whole file.
pub fn wav<S: Source>(
    survey: &Survey,
    channels: Channels,
    records: S,
    out: impl Write + Seek,
) -> Result<Exported, ExportError<S::Error>> {
    let frames = survey.duration.as_secs().saturating_mul(u64::from(survey.rate()));
    if frames > WavWriter::<io::Empty>::most_frames(channels.count()) {
        return Err(ExportError::TooLong { duration: survey.duration });
    }
    let writer = WavWriter::begin(out, survey.rate(), channels.count()).map_err(ExportError::Disk)?;
    let mut file = File { writer, channels, samples: Vec::new() };
    let exported = sound::listen(survey, records, &mut file, |_| ())?;
    file.writer.finish().map_err(ExportError::Disk)?;
    Ok(exported)
}

/// A file on its way.
struct File<W> {
    writer: WavWriter<W>,
    channels: Channels,
    samples: Vec<i16>,
}

impl<W: Write + Seek> Ear for File<W> {
    fn hear(&mut self, pbx: &[i16], trunk: &[i16]) -> io::Result<()> {
        self.channels.put(pbx, trunk, &mut self.samples);
        self.writer.write(&self.samples)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use std::convert::Infallible;
    use std::fmt;
    use std::io::Cursor;

    use super::*;
    use crate::export::fixture::{hear, phone, records, voice};
    use crate::export::survey;
    use crate::ids::Leg;
    use crate::sound::{MELODY_RATE, Voice, g711, melody};
    use crate::vault::Record;

    #[test]
    fn the_same_recording_gives_the_same_bytes_for_ever() {
        // In tests/sound/export.wav a low voice is left and a high one right from 0.1 s on; there a packet is missing at 0.2 s.
        let song = |which| (0..3200).map(|at| g711::encode_ulaw(melody(which, at))).collect::<Vec<u8>>();
        let mut sent = [phone(Leg::Pbx, 0, &song(Voice::Low)), phone(Leg::Trunk, 100_000, &song(Voice::High))].concat();
        sent.remove(25);
        assert_eq!(MELODY_RATE, 8000);

        let heard = hear(records(sent));

        assert!(heard.bytes == include_bytes!("../../tests/sound/export.wav"), "another file came out");
    }

    #[test]
    fn an_hour_of_years_is_refused_before_anything_is_written() {
        let mut sent = phone(Leg::Pbx, 0, &voice(7, 2));
        sent[1].came = u64::MAX;
        let records = records(sent);
        let survey = survey(None, records.iter().cloned().map(Ok::<_, Infallible>)).unwrap();
        let mut out = Cursor::new(Vec::new());

        let refused = wav(&survey, Channels::Stereo, records.into_iter().map(Ok::<_, Infallible>), &mut out);

        assert!(matches!(refused, Err(ExportError::TooLong { .. })));
        assert!(out.into_inner().is_empty());
    }

    #[test]
    fn what_the_reader_or_the_disk_says_is_passed_on() {
        let survey = survey(None, std::iter::empty::<Result<Record, Infallible>>()).unwrap();
        let torn = std::iter::once(Err::<Record, _>(fmt::Error));

        assert!(matches!(wav(&survey, Channels::Mono, torn, Cursor::new(Vec::new())), Err(ExportError::Recording(fmt::Error))));
        let nothing = std::iter::empty::<Result<Record, Infallible>>();
        assert!(matches!(wav(&survey, Channels::Mono, nothing, Cursor::new([0; 8].as_mut_slice())), Err(ExportError::Disk(_))));
    }

    #[test]
    fn mixed_both_are_heard_at_their_places_and_nothing_overflows() {
        // Both as loud as µ-law can be, of the same sign and of different ones, and one alone.
        let loud = |code: u8, packets: usize| vec![code; 160 * packets];
        let mut sent = phone(Leg::Pbx, 0, &[loud(0x80, 2), loud(0x00, 2)].concat());
        sent.extend(phone(Leg::Trunk, 0, &loud(0x80, 3)));
        let records = records(sent);
        let survey = survey(None, records.iter().cloned().map(Ok::<_, Infallible>)).unwrap();
        let mut file = Cursor::new(Vec::new());

        let exported = wav(&survey, Channels::Mono, records.into_iter().map(Ok::<_, Infallible>), &mut file).unwrap();

        let bytes = file.into_inner();
        let samples: Vec<i16> = bytes[44..].as_chunks().0.iter().map(|&two| i16::from_le_bytes(two)).collect();
        assert_eq!((exported.frames, samples.len(), bytes[22]), (640, 640, 1));
        assert!(samples[..320].iter().all(|&sample| sample == 32_124), "both");
        assert!(samples[320..480].iter().all(|&sample| sample == 0), "one against the other");
        assert!(samples[480..].iter().all(|&sample| sample == -16_062), "one alone");
        assert_eq!([Channels::Mono, Channels::Only(Leg::Pbx)].map(Channels::count), [1, 1]);
        let mut one = Vec::new();
        for (leg, alone) in [(Leg::Pbx, [1, 2]), (Leg::Trunk, [3, 4])] {
            Channels::Only(leg).put(&[1, 2], &[3, 4], &mut one);
            assert_eq!(one, alone, "{leg}");
        }
        let mut mixed = Vec::new();
        Channels::Mono.put(&[i16::MIN, i16::MAX, i16::MIN, 1], &[i16::MIN, i16::MAX, i16::MAX, 0], &mut mixed);
        assert_eq!(mixed, [i16::MIN, i16::MAX, 0, 0]);
    }
}
