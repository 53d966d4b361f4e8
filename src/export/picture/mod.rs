//! A recording as a picture: how loud each party was and when, where consent was given, and where something is missing and why.
//!
//! ```text
//!  Record ─▶ sound ─▶ envelope: least, most and power of each stretch of time ─┐
//!     └─ evidence, gaps, end ─▶ marks: a place on the timeline, and words ─────┴─▶ drawing (SVG)
//! ```

mod drawing;
mod envelope;
mod marks;

use std::io::Write;

use crate::export::picture::envelope::Envelope;
use crate::export::picture::marks::Marks;
use crate::export::sound::{self, ExportError, Exported, Survey};
use crate::export::{Origin, Source};

/// Draws a recording as SVG: a lane for each party, one scale of loudness for both, the time since the beginning and the time of day.
///
/// The picture has no telephone numbers and no keys in it. `records` are those that `survey` was made of, from the beginning again. The
/// same records give the same bytes.
///
/// # Errors
/// What the reader of the recording or the disk says; what was written by then is no whole picture.
pub fn picture<S: Source>(
    origin: &Origin,
    survey: &Survey,
    records: S,
    mut out: impl Write,
) -> Result<Exported, ExportError<S::Error>> {
    let (mut marks, mut envelope) = (Marks::new(origin.began, survey.span()), Envelope::new(survey.rate()));
    let exported = sound::listen(survey, records, &mut envelope, |record| marks.note(record))?;
    let drawn = drawing::draw(origin, &exported, &envelope, &marks);
    out.write_all(drawn.as_bytes()).and_then(|()| out.flush()).map_err(ExportError::Disk)?;
    Ok(exported)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;
    use crate::export::fixture::{phone, records, voice};
    use crate::export::survey;
    use crate::ids::{Leg, RecordingId};
    use crate::time::Wall;
    use crate::vault::{EndReason, Format, Gap, GapReason, LegTotals, Record, Totals};

    #[test]
    fn a_picture_says_what_it_is_of_and_when_it_was() {
        let svg = draw(&records(phone(Leg::Pbx, 0, &voice(1, 600))));

        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" ") && svg.ends_with("</svg>\n"));
        for said in [
            "<title>Recording 07070707070707070707070707070707</title>",
            "begun 2026-11-24 09:30:00 UTC · 0:12 long · for `training &amp; &lt;quality&gt;`",
            ">PBX<",
            ">trunk<",
            ">0:00<",
            ">0:10<",
            ">09:30:10<",
        ] {
            assert!(svg.contains(said), "{said}");
        }
        for outside in ["http:", "https:", "href", "url(", "@import", "<script"] {
            let own = if outside == "http:" { 1 } else { usize::from(outside == "url(") * svg.matches("url(#missing)").count() };
            assert_eq!(svg.matches(outside).count(), own, "{outside}");
        }
    }

    #[test]
    fn consents_are_marked_and_neither_numbers_nor_keys_are() {
        let evidence = br#"{"calling":"+4930123456","called":"+498955","call_id":"x@y","policy":{"key":"7"},"consents":[
            {"of":"pbx","how":"stayed","at":"2026-11-24T09:29:58.250Z"},
            {"of":"trunk","how":"key-rfc4733","at":"2026-11-24T09:30:00.250Z"}]}"#;
        let mut records = records(phone(Leg::Pbx, 0, &voice(1, 300)));
        records.insert(0, Record::Evidence(evidence.to_vec()));
        let mut totals = totals(6);
        totals.legs[0].withheld = 4711;
        records.push(Record::End(totals));

        let svg = draw(&records);

        assert!(svg.contains(">A<") || svg.contains(">A, B<"), "both are at the beginning");
        assert!(
            svg.contains("consent of the PBX’s party, who stayed after the announcement: 09:29:58, 2.0 s before the beginning")
        );
        assert!(svg.contains("consent of the trunk’s party, by a key: 09:30:00, at the beginning"));
        for hidden in ["4930123456", "498955", "x@y", "4711", "rfc4733", "withheld", "pressed"] {
            assert!(!svg.contains(hidden), "{hidden}");
        }
    }

    #[test]
    fn what_is_missing_is_hatched_and_its_reason_said_in_words() {
        let gap = |leg, reason, from_s, to_s, packets| {
            let [from, to] = [from_s, to_s].map(Duration::from_secs);
            Record::Gap(Gap { leg, reason, from, to, packets })
        };
        let mut records = records(phone(Leg::Pbx, 0, &voice(1, 600)));
        records.push(gap(None, GapReason::Paused, 3, 5, 0));
        records.push(gap(Some(Leg::Trunk), GapReason::DiskFull, 7, 8, 50));
        records.push(gap(Some(Leg::Trunk), GapReason::DiskFull, 8, 9, 50));
        records.push(gap(Some(Leg::Pbx), GapReason::Other(99), 10, 10, 1));
        records.push(Record::End(totals(12)));

        let svg = draw(&records);

        assert!(svg.contains("0:03 – 0:05: paused, both sides"));
        assert!(svg.contains("0:07 – 0:09: the disk was full, 100 packets of the trunk’s side"), "two in a row are one");
        assert!(svg.contains("0:10: a reason that this program does not know (99), 1 packet of the PBX’s side"));
        // Two lanes of the pause, one of each other gap, and the sample in the key below.
        assert_eq!(svg.matches("url(#missing)").count(), 5);
        assert!(!svg.contains("no end"));
    }

    #[test]
    fn what_cannot_be_decoded_and_what_has_no_end_is_said() {
        let mut sent = phone(Leg::Trunk, 0, &voice(4, 100));
        sent.iter_mut().for_each(|packet| packet.header.payload_type = 18);
        let svg = draw(&records([phone(Leg::Pbx, 0, &voice(1, 100)), sent].concat()));

        assert!(svg.contains("100 packets of the trunk’s side are G729, which is not decoded here: nothing is drawn of them"));
        assert!(svg.contains(">G729: not decoded here<"));
        assert!(svg.contains("the recording has no end: what came after 0:02 is missing"));
        let svg = draw(&[]);
        assert!(svg.contains("0:00 long") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn however_many_marks_there_are_it_stays_small() {
        let mut records = records(phone(Leg::Pbx, 0, &voice(1, 3000)));
        for n in 0..5000_u64 {
            let [from, to] = [12 * n, 12 * n + 3].map(Duration::from_millis);
            records.push(Record::Gap(Gap { leg: Some(Leg::Pbx), reason: GapReason::LaneFull, from, to, packets: 1 }));
        }

        let svg = draw(&records);

        assert!(svg.contains("4,980 more, not listed"), "{}", &svg[svg.len() - 600..]);
        assert!(svg.len() < 250_000, "{} bytes", svg.len());
    }

    #[test]
    fn a_name_that_a_peer_chose_stays_text() {
        let (leg, since, name) = (Leg::Pbx, Duration::ZERO, "<script>\u{7}&".to_owned());
        let mut sent = phone(Leg::Pbx, 0, &voice(1, 10));
        sent.iter_mut().for_each(|packet| packet.header.payload_type = 96);
        let mut records = records(sent);
        records.insert(0, Record::Format(Format { leg, since, payload_type: 96, clock: 8000, channels: 1, name }));

        let svg = draw(&records);

        assert!(svg.contains("are &lt;script&gt;&amp;/8000,") && !svg.contains('\u{7}'));
    }

    fn draw(records: &[Record]) -> String {
        let origin = Origin {
            recording: RecordingId::from_bytes([7; 16]),
            purpose: "training & <quality>".into(),
            began: Wall::from_unix_micros(1_795_512_600_250_000),
            span: None,
        };
        let reading = || records.iter().cloned().map(Ok::<_, Infallible>);
        let survey = survey(None, reading()).unwrap();
        let [first, second] = [(); 2].map(|()| {
            let mut svg = Vec::new();
            picture(&origin, &survey, reading(), &mut svg).unwrap();
            String::from_utf8(svg).unwrap()
        });
        assert!(first == second, "another picture came out");
        first
    }

    fn totals(seconds: u64) -> Totals {
        let ended = Duration::from_secs(seconds);
        Totals { reason: EndReason::Stopped, ended, legs: [LegTotals::default(); 2], gaps: 0, lost: 0 }
    }
}
