//! What lies on the disk and in the ledger, read with the product's own reader, for the model to judge.

use std::collections::BTreeMap;

use mitschnitt::catalogue::{Entry, State};
use mitschnitt::ids::RecordingId;
use mitschnitt::time::Moment;
use mitschnitt::vault::{NodePublic, OpenError, RecipientSecret, Record, Recording, Verdict, verify, verify_content};

use super::disk::Disk;
use super::model::{File, FileState, Row};
use super::node::KEYS;

/// Reads every recording but those that do not say whose they are, since the power took so much of them, or since the process died before
/// it had written that. Of one that an operator
/// erased the judge has kept the keys: what was recorded was right or wrong all the same. `granted` says when each began, as
/// the box said when it began it; evidence has the time of day only.
pub fn read(disk: &Disk, granted: &BTreeMap<RecordingId, Moment>) -> BTreeMap<RecordingId, File> {
    let (node, secret) = &*KEYS;
    disk.recordings()
        .map(|(id, rec, keys)| {
            let since = granted.get(&id).copied().unwrap_or_default();
            let keys = keys.or_else(|| disk.erased(id)).unwrap_or_default();
            (id, file(id, rec, keys, since, node.public(), secret))
        })
        .filter(|(id, file)| {
            let has_no_head = file.state == FileState::Torn && disk.is_headless(*id);
            !(file.call_id.is_empty() && (has_no_head || disk.has_crumbled(*id)))
        })
        .collect()
}

fn file(id: RecordingId, rec: &[u8], keys: &[u8], granted: Moment, node: &NodePublic, secret: &RecipientSecret) -> File {
    let mut file = File {
        call_id: String::new(),
        state: state(rec, keys, node, secret),
        granted,
        packets: Vec::new(),
        gaps: Vec::new(),
        end: None,
        withheld: [0; 2],
    };
    let mut recording = match Recording::open(rec, keys, secret) {
        Ok(recording) => recording,
        // Torn before its header was whole: nothing can be read of it.
        Err(OpenError::Cut(_)) => return file,
        Err(error) => {
            file.state = FileState::Broken(format!("{error:?}"));
            return file;
        }
    };
    let began = recording.header().began.to_string();
    if recording.header().recording != id {
        file.state = FileState::Broken(format!("the file of {id} says that it is {}", recording.header().recording));
    }
    while let Ok(Some(chunk)) = recording.next_chunk() {
        for record in chunk.records() {
            match record {
                Ok(Record::Evidence(json)) => {
                    let json: serde_json::Value = serde_json::from_slice(json).expect("evidence is JSON");
                    let says = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("evidence has `{name}`")).to_owned();
                    file.call_id = says("call_id");
                    if (says("recording"), says("granted_at")) != (id.to_string(), began.clone()) {
                        file.state = FileState::Broken(format!("header and evidence of {id} differ"));
                    }
                }
                Ok(Record::Rtp { leg, came, packet }) => file.packets.push((leg, came, packet.to_vec())),
                Ok(Record::Gap(gap)) => file.gaps.push((
                    gap.leg,
                    gap.reason.as_str().to_owned(),
                    gap.from,
                    gap.to.saturating_sub(gap.from),
                    gap.packets,
                )),
                Ok(Record::End(totals)) => {
                    file.end = Some(totals.reason.as_str().to_owned());
                    file.withheld = totals.legs.map(|leg| leg.withheld);
                }
                Ok(Record::Format(_) | Record::Quality(_) | Record::Other { .. }) => {}
                Err(unreadable) => file.state = FileState::Broken(format!("{unreadable:?}")),
            }
        }
    }
    file
}

/// The verdict without a key and the verdict with one, which must be the same word.
fn state(rec: &[u8], keys: &[u8], node: &NodePublic, secret: &RecipientSecret) -> FileState {
    match (verify(rec, node), verify_content(rec, keys, secret, node)) {
        (Ok(Verdict::Complete(_)), Ok(Verdict::Complete(_))) => FileState::Complete,
        (Ok(Verdict::Cut(without)), Ok(Verdict::Cut(with))) if without == with => FileState::Torn,
        // Closed or not: its recorder did not come to its end.
        (Ok(Verdict::Salvaged(without)), Ok(Verdict::Salvaged(with))) if without == with => FileState::Torn,
        (without, with) => FileState::Broken(format!("{without:?}, with its content {with:?}")),
    }
}

/// A row of the ledger.
/// A row as the model knows it. One that was made for a recording alone says no Call-ID: the recording does; and where nothing of that can be
/// read, the power having failed before its head was synced, the row is of no call that anybody could name.
pub fn row(entry: &Entry, files: &BTreeMap<RecordingId, File>) -> Option<Row> {
    let of_file = || Some(files.get(&entry.recording?)?.call_id.clone());
    let call_id = entry.parties.as_ref().map_or_else(of_file, |parties| Some(parties.call_id.reveal().clone()))?;
    Some(Row {
        call_id,
        reason: entry.reason.as_str().to_owned(),
        state: entry.state.as_str().to_owned(),
        ended: entry.ended.is_some(),
        recording: entry.recording.is_some() && entry.state != State::None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mitschnitt::ids::Leg;

    use super::*;

    const NODE: &[u8] = include_bytes!("../../vault/vectors/node.pub.pem");
    const RECIPIENT: &[u8] = include_bytes!("../../vault/vectors/recipient.pem");
    const KEY_FILE: &[u8] = include_bytes!("../../vault/vectors/complete.key");
    const COMPLETE: &[u8] = include_bytes!("../../vault/vectors/complete.rec");

    /// A vector of the format, read: two legs, 16 packets each, one gap.
    fn of(rec: &[u8]) -> File {
        let secret = RecipientSecret::from_pem(RECIPIENT).unwrap();
        let id = Recording::open(COMPLETE, KEY_FILE, &secret).unwrap().header().recording;
        file(id, rec, KEY_FILE, Moment::from_millis(7), &NodePublic::from_pem(NODE).unwrap(), &secret)
    }

    #[test]
    fn all_that_a_recording_holds_is_there_to_be_judged() {
        let file = of(COMPLETE);

        assert_eq!((&file.state, file.granted), (&FileState::Complete, Moment::from_millis(7)));
        assert!(file.call_id.contains('@'), "{}", file.call_id);
        assert_eq!(Leg::BOTH.map(|leg| file.packets.iter().filter(|packet| packet.0 == leg).count()), [16, 16]);
        assert!(file.packets.iter().all(|(_, _, packet)| packet.len() > 12 && packet[0] == 0x80));
        assert_eq!(file.packets[2].1.saturating_sub(file.packets[0].1), Duration::from_millis(20));
        assert_eq!(file.gaps.len(), 1);
        let (leg, reason, _, lasts, packets) = &file.gaps[0];
        assert_eq!((*leg, reason.as_str(), *lasts, *packets), (Some(Leg::Trunk), "disk-failed", Duration::from_millis(40), 2));
        assert_eq!(file.end.as_deref(), Some("trunk-hung-up"));
        assert_eq!(file.withheld, [0, 3]);
    }

    #[test]
    fn a_torn_recording_has_what_stands_before_the_cut() {
        let file = of(include_bytes!("../../vault/vectors/zeros-after-a-cut.rec"));

        assert_eq!((&file.state, &file.end), (&FileState::Torn, &None));
        assert_eq!(file.packets.len(), of(COMPLETE).packets.len() / 2);
        assert!(!file.call_id.is_empty());
        let bare = of(include_bytes!("../../vault/vectors/cut-after-header.rec"));
        assert_eq!((bare.state, bare.call_id.as_str()), (FileState::Torn, ""));
        assert_eq!(of(b"").state, FileState::Torn);
    }

    #[test]
    fn a_broken_recording_is_called_so() {
        let broken: [&[u8]; 3] = [
            include_bytes!("../../vault/vectors/bit-in-signature.rec"),
            include_bytes!("../../vault/vectors/chunks-swapped.rec"),
            include_bytes!("../../vault/vectors/bit-in-magic.rec"),
        ];
        for rec in broken {
            assert!(matches!(of(rec).state, FileState::Broken(_)));
        }
    }
}
