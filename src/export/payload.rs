//! A recording as bare payloads: one file a party for the decoder of whatever it spoke, and an index of what came when.

use std::io::{self, Write};
use std::time::Duration;

use crate::export::coding::Formats;
use crate::export::{ExportError, HandedOver};
use crate::ids::Leg;
use crate::vault::Record;
use crate::wire::rtp::{self, Rtp};

/// Where the payloads go.
#[derive(Debug)]
pub struct PayloadFiles<W> {
    /// What the PBX sent, payload after payload.
    pub pbx: W,
    /// What the trunk sent.
    pub trunk: W,
    /// One line for each payload, as comma-separated values under a line of names.
    pub index: W,
}

/// The line of names of the index: who sent it, when it came in microseconds after the beginning, the RTP header's fields, what it is, and
/// where it lies in the party's file.
const NAMES: &str = "party,came_us,ssrc,sequence,timestamp,marker,payload_type,coding,offset,bytes";

/// Writes the payloads of a recording, in the order in which they came: twice what came twice, late what came late; the index tells. The
/// same records give the same bytes.
///
/// # Errors
/// What the reader of the recording or the disk says; what was written by then is no whole export.
pub fn payloads<P: AsRef<[u8]>, E>(
    records: impl IntoIterator<Item = Result<Record<P>, E>>,
    files: &mut PayloadFiles<impl Write>,
) -> Result<HandedOver, ExportError<E>> {
    let mut sides: [Side; 2] = Default::default();
    let mut handed = HandedOver::default();
    writeln!(files.index, "{NAMES}").map_err(ExportError::Disk)?;
    for record in records {
        match record.map_err(ExportError::Recording)? {
            Record::Format(format) => of(&mut sides, format.leg).formats.learn(&format),
            Record::Rtp { leg, came, packet } => {
                let side = of(&mut sides, leg);
                handed.count(leg, came, side.formats.name_in(packet.as_ref()));
                if !side.put(leg, came, packet.as_ref(), files).map_err(ExportError::Disk)? {
                    handed.ignored += 1;
                }
            }
            Record::End(totals) => handed.duration = handed.duration.max(totals.ended),
            Record::Evidence(_) | Record::Gap(_) | Record::Quality(_) | Record::Other { .. } => {}
        }
    }
    for file in [&mut files.pbx, &mut files.trunk, &mut files.index] {
        file.flush().map_err(ExportError::Disk)?;
    }
    Ok(handed)
}

/// One party.
#[derive(Default)]
struct Side {
    formats: Formats,
    /// Bytes in its file.
    written: u64,
}

impl Side {
    /// Returns whether there is a payload in it.
    fn put(&mut self, leg: Leg, came: Duration, packet: &[u8], files: &mut PayloadFiles<impl Write>) -> io::Result<bool> {
        let rtp = if rtp::is_rtcp(packet) { None } else { Rtp::parse(packet) };
        let Some(rtp) = rtp else { return Ok(false) };
        let coding = cell(&self.formats.name_in(packet));
        let (offset, bytes) = (self.written, rtp.payload().len());
        let (ssrc, sequence, timestamp) = (rtp.ssrc(), rtp.sequence(), rtp.timestamp());
        let (marker, payload_type) = (u8::from(rtp.marker()), rtp.payload_type());
        writeln!(
            files.index,
            "{leg},{},{ssrc},{sequence},{timestamp},{marker},{payload_type},{coding},{offset},{bytes}",
            came.as_micros()
        )?;
        let file = match leg {
            Leg::Pbx => &mut files.pbx,
            Leg::Trunk => &mut files.trunk,
        };
        file.write_all(rtp.payload())?;
        self.written += bytes as u64;
        Ok(true)
    }
}

/// A name that stays in its cell, whatever the peer called it.
fn cell(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, ',' | '"') || c == ' ' { c } else { '?' }).collect()
}

fn of(sides: &mut [Side; 2], leg: Leg) -> &mut Side {
    let [pbx, trunk] = sides;
    match leg {
        Leg::Pbx => pbx,
        Leg::Trunk => trunk,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::export::fixture::{phone, records, voice};
    use crate::vault::Format;

    #[test]
    fn payloads_lie_one_after_the_other_and_the_index_tells_each_of_them() {
        let sound = voice(1, 3);
        let mut sent = phone(Leg::Pbx, 20_000, &sound);
        sent[1].header.payload_type = 96;
        sent[2].header.payload_type = 18;
        sent.extend(phone(Leg::Trunk, 30_000, &sound[..160]));
        let mut records = records(sent);
        let (leg, since, name) = (Leg::Pbx, Duration::ZERO, "AMR,\"\n".to_owned());
        records.insert(0, Record::Format(Format { leg, since, payload_type: 96, clock: 8000, channels: 2, name }));
        records.push(Record::Rtp { leg, came: Duration::from_secs(1), packet: vec![0x80, 200, 0, 0] });

        let mut files = PayloadFiles { pbx: Vec::new(), trunk: Vec::new(), index: Vec::new() };
        let handed = payloads(records.into_iter().map(Ok::<_, Infallible>), &mut files).unwrap();

        assert!(files.pbx == sound && files.trunk == sound[..160], "the payloads differ");
        let index = String::from_utf8(files.index).unwrap();
        assert_eq!(
            index.lines().collect::<Vec<_>>(),
            [
                NAMES,
                "pbx,20000,24301,65520,4294967040,0,0,PCMU/8000,0,160",
                "trunk,30000,24301,65520,4294967040,0,0,PCMU/8000,0,160",
                "pbx,40000,24301,65521,4294967200,0,96,AMR???/8000/2,160,160",
                "pbx,60000,24301,65522,64,0,18,G729,320,160",
            ]
        );
        assert_eq!((handed.packets, handed.ignored, handed.duration), ([4, 1], 1, Duration::from_secs(1)));
        assert_eq!(handed.codings[&(Leg::Pbx, "G729".to_owned())], 1);
    }
}
