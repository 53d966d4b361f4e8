//! A recording's sound as Opus in Ogg: a fifth of a WAV file or less, and what mail, browsers and telephones play.

use std::io::{self, Write};

use crate::export::Source;
use crate::export::sound::{self, Channels, Ear, ExportError, Exported, Survey};
use crate::ids::{Leg, RecordingId};
use crate::sound::ogg::{About, OggOpus};

/// Writes a recording as Opus in Ogg, from the recording's beginning to its end.
///
/// `records` are those that `survey` was made of, from the beginning again. The same records give the same bytes, on processors that
/// round alike.
///
/// # Errors
/// What the reader of the recording or the disk says; what was written by then is no whole file.
pub fn opus<S: Source>(
    recording: RecordingId,
    survey: &Survey,
    channels: Channels,
    records: S,
    out: impl Write,
) -> Result<Exported, ExportError<S::Error>> {
    let part = survey.span().map_or_else(String::new, |span| format!(", {span}"));
    let title = format!("Recording {recording}{part}");
    let [a, b, c, d, ..] = *recording.as_bytes();
    let sides = match channels {
        Channels::Stereo => "left: what the PBX sent; right: what the trunk sent",
        Channels::Mono => "the mean of what the PBX sent and what the trunk sent",
        Channels::Only(Leg::Pbx) => "what the PBX sent",
        Channels::Only(Leg::Trunk) => "what the trunk sent",
    };
    let program = concat!("mitschnitt ", env!("CARGO_PKG_VERSION"));
    let tags = [("TITLE", title.as_str()), ("DESCRIPTION", sides), ("ENCODER", program)];
    let about = About { serial: u32::from_be_bytes([a, b, c, d]), tags: &tags };
    let writer = OggOpus::begin(out, survey.rate(), channels.count(), &about).map_err(ExportError::Disk)?;
    let mut file = File { writer, channels, samples: Vec::new() };
    let exported = sound::listen(survey, records, &mut file, |_| ())?;
    file.writer.finish().map_err(ExportError::Disk)?;
    Ok(exported)
}

/// A file on its way.
struct File<W: Write> {
    writer: OggOpus<W>,
    channels: Channels,
    samples: Vec<i16>,
}

impl<W: Write> Ear for File<W> {
    fn hear(&mut self, pbx: &[i16], trunk: &[i16]) -> io::Result<()> {
        self.channels.put(pbx, trunk, &mut self.samples);
        self.writer.write(&self.samples)
    }
}
