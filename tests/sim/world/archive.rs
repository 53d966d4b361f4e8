//! What lies on the disk and in the ledger, read with the product's own reader, for the model to judge.

use std::collections::BTreeMap;

use mitschnitt::catalogue::{Entry, State};
use mitschnitt::ids::RecordingId;
use mitschnitt::time::Moment;
use mitschnitt::vault::{OpenError, Record, Recording, Verdict, verify, verify_content};

use super::disk::Disk;
use super::model::{File, FileState, Row};
use super::node::KEYS;

/// Reads every recording. `granted` says when each began, as the box said when it began it.
pub fn read(disk: &Disk, granted: &BTreeMap<RecordingId, Moment>) -> Vec<File> {
    disk.recordings()
        .filter(|(id, ..)| !disk.is_erased(*id))
        .map(|(id, rec, keys)| file(rec, keys.unwrap_or_default(), granted.get(&id).copied().unwrap_or_default()))
        .collect()
}

/// Reads one recording.
pub fn read_one(disk: &Disk, granted: &BTreeMap<RecordingId, Moment>, wanted: RecordingId) -> Option<File> {
    let (_, rec, keys) = disk.recordings().find(|(id, ..)| *id == wanted)?;
    Some(file(rec, keys.unwrap_or_default(), granted.get(&wanted).copied().unwrap_or_default()))
}

fn file(rec: &[u8], keys: &[u8], granted: Moment) -> File {
    let (node, secret) = &*KEYS;
    let public = node.public();
    let structure = verify(rec, public);
    let state = match (&structure, verify_content(rec, keys, secret, public)) {
        (Ok(Verdict::Complete(_)), Ok(Verdict::Complete(_))) => FileState::Complete,
        (Ok(Verdict::Torn(_)), Ok(Verdict::Torn(_))) => FileState::Torn,
        (structure, content) => FileState::Broken(format!("{structure:?}, with its content {content:?}")),
    };
    let mut file =
        File { call_id: String::new(), state, granted, packets: Vec::new(), gaps: Vec::new(), end: None, withheld: [0; 2] };
    let mut recording = match Recording::open(rec, keys, secret) {
        Ok(recording) => recording,
        Err(error) => {
            // Torn before its first chunk was whole: nothing can be read of it.
            if !matches!(error, OpenError::Torn(_)) {
                file.state = FileState::Broken(format!("{error:?}"));
            }
            return file;
        }
    };
    while let Ok(Some(chunk)) = recording.next_chunk() {
        for record in chunk.records() {
            match record {
                Ok(Record::Evidence(json)) => {
                    let json: serde_json::Value = serde_json::from_slice(json).expect("evidence is JSON");
                    json["call_id"].as_str().expect("evidence names the call").clone_into(&mut file.call_id);
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
                Ok(Record::Format(_) | Record::Other { .. }) => {}
                Err(unreadable) => file.state = FileState::Broken(format!("{unreadable:?}")),
            }
        }
    }
    file
}

/// A row of the ledger.
pub fn row(entry: &Entry) -> Row {
    Row {
        call_id: entry.parties.as_ref().map(|parties| parties.call_id.reveal().clone()).unwrap_or_default(),
        reason: entry.reason.as_str().to_owned(),
        state: entry.state.as_str().to_owned(),
        ended: entry.ended.is_some(),
        recording: entry.recording.is_some() && entry.state != State::None,
    }
}
