//! A recording as bare payloads: one file a party for the decoder of whatever it spoke, and an index of what came when.

use std::io::{self, Write};
use std::time::Duration;

use crate::export::coding::Formats;
use crate::export::handed::Run;
use crate::export::{ExportError, HandedOver, Source};
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
pub fn payloads<S: Source>(records: S, files: &mut PayloadFiles<impl Write>) -> Result<HandedOver, ExportError<S::Error>> {
    let mut sides: [Side; 2] = Default::default();
    let mut handed = HandedOver::default();
    writeln!(files.index, "{NAMES}").map_err(ExportError::Disk)?;
    records.each(|record| {
        match record {
            Record::Format(format) => {
                let side = of(&mut sides, format.leg);
                handed.count(format.leg, side.run.take());
                side.formats.learn(format);
            }
            Record::Rtp { leg, came, packet } => {
                let side = of(&mut sides, *leg);
                handed.duration = handed.duration.max(*came);
                let ended = Run::next(&mut side.run, &side.formats, packet);
                handed.count(*leg, ended);
                if !side.put(*leg, *came, packet, files)? {
                    handed.ignored += 1;
                }
            }
            Record::End(totals) => handed.duration = handed.duration.max(totals.ended),
            Record::Evidence(_) | Record::Gap(_) | Record::Quality(_) | Record::Other { .. } => {}
        }
        Ok(())
    })?;
    for leg in Leg::BOTH {
        handed.count(leg, of(&mut sides, leg).run.take());
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
    run: Option<Run>,
    /// A line of the index.
    line: Vec<u8>,
    /// Bytes in its file.
    written: u64,
}

impl Side {
    /// Returns whether there is a payload in it.
    fn put(&mut self, leg: Leg, came: Duration, packet: &[u8], files: &mut PayloadFiles<impl Write>) -> io::Result<bool> {
        let rtp = if rtp::is_rtcp(packet) { None } else { Rtp::parse(packet) };
        let Some(rtp) = rtp else { return Ok(false) };
        let (came_us, bytes) = (u64::try_from(came.as_micros()).unwrap_or(u64::MAX), rtp.payload().len() as u64);
        let (ssrc, sequence, timestamp) = (rtp.ssrc().into(), rtp.sequence().into(), rtp.timestamp().into());
        self.line.clear();
        self.line.extend_from_slice(leg.as_str().as_bytes());
        for number in [came_us, ssrc, sequence, timestamp, rtp.marker().into(), rtp.payload_type().into()] {
            put_number(&mut self.line, number);
        }
        self.line.push(b',');
        let name = self.run.as_ref().map_or("", |run| &run.name);
        self.line.extend(name.chars().map(cell));
        put_number(&mut self.line, self.written);
        put_number(&mut self.line, bytes);
        self.line.push(b'\n');
        files.index.write_all(&self.line)?;
        let file = match leg {
            Leg::Pbx => &mut files.pbx,
            Leg::Trunk => &mut files.trunk,
        };
        file.write_all(rtp.payload())?;
        self.written += bytes;
        Ok(true)
    }
}

/// A letter of a name, so that it stays in its cell, whatever the peer called it.
fn cell(letter: char) -> u8 {
    let is_plain = letter.is_ascii_graphic() && !matches!(letter, ',' | '"') || letter == ' ';
    if is_plain { u8::try_from(letter).unwrap_or(b'?') } else { b'?' }
}

/// Puts a comma and a number, two digits at a time. `write!` takes many times as long, and there are eight of them in a line.
fn put_number(line: &mut Vec<u8>, number: u64) {
    let (mut digits, mut at, mut left) = ([b','; 22], 22, number);
    while left >= 100 {
        at -= 2;
        put_pair(&mut digits, at, left % 100);
        left /= 100;
    }
    if left >= 10 {
        at -= 2;
        put_pair(&mut digits, at, left);
    } else {
        at -= 1;
        put_digit(&mut digits, at, left);
    }
    // What stands before the digits is a comma.
    line.extend_from_slice(digits.get(at - 1..).unwrap_or_default());
}

fn put_pair(digits: &mut [u8; 22], at: usize, pair: u64) {
    put_digit(digits, at, pair / 10);
    put_digit(digits, at + 1, pair % 10);
}

fn put_digit(digits: &mut [u8; 22], at: usize, digit: u64) {
    if let Some(place) = digits.get_mut(at) {
        *place = b'0' + u8::try_from(digit).unwrap_or(0);
    }
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
