//! A spare disk: nothing befalls it but a loss of power. What was moved to it is without its first bytes until they are copied.

use std::collections::{BTreeMap, VecDeque};

use mitschnitt::ids::RecordingId;

use super::{Chance, File};

#[derive(Default, Debug)]
pub struct Spare {
    pub(super) recordings: BTreeMap<RecordingId, File>,
    pub(super) keys: BTreeMap<RecordingId, File>,
    /// How many bytes are missing of which.
    parts: BTreeMap<RecordingId, usize>,
    /// Those of them that the writer waits for.
    pub(super) awaited: VecDeque<RecordingId>,
}

impl Spare {
    /// A recording of which all lies here.
    pub(super) fn whole(&self, recording: RecordingId) -> Option<&File> {
        self.recordings.get(&recording).filter(|_| !self.is_part(recording))
    }

    pub(super) fn all_whole(&self) -> impl Iterator<Item = (RecordingId, &File)> {
        self.recordings.iter().filter(|&(&id, _)| !self.is_part(id)).map(|(&id, file)| (id, file))
    }

    pub(super) fn is_part(&self, recording: RecordingId) -> bool {
        self.parts.contains_key(&recording)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = RecordingId> {
        self.parts.keys().copied()
    }

    /// Takes a recording from this byte on.
    pub(super) fn takes(&mut self, recording: RecordingId, from: usize, bytes: &[u8]) {
        let with_hole = [&vec![0; from], bytes].concat();
        self.recordings.insert(recording, File::new(&with_hole, true));
        if from > 0 {
            self.parts.insert(recording, from);
            self.awaited.push_back(recording);
        }
    }

    /// Fills the hole with the beginning of these bytes, and makes all of the file durable; says whether they were enough.
    pub(super) fn join(&mut self, recording: RecordingId, beginning: &[u8]) -> bool {
        let (Some(&from), Some(file)) = (self.parts.get(&recording), self.recordings.get_mut(&recording)) else { return false };
        let Some(beginning) = beginning.get(..from) else { return false };
        // What lost its power may be shorter than the hole was.
        file.bytes.resize(file.bytes.len().max(from), 0);
        file.bytes[..from].copy_from_slice(beginning);
        (file.durable, file.promised, file.whole) = (file.bytes.len(), file.bytes.len(), file.bytes.len());
        self.parts.remove(&recording);
        true
    }

    pub(super) fn sync(&mut self) {
        for file in self.recordings.values_mut().chain(self.keys.values_mut()) {
            (file.durable, file.promised) = (file.bytes.len(), file.bytes.len());
        }
    }

    pub(super) fn forget(&mut self, recording: RecordingId) {
        self.recordings.remove(&recording);
        self.keys.remove(&recording);
        self.parts.remove(&recording);
    }

    pub(super) fn kill(&mut self) {
        self.awaited.clear();
        self.recordings.values_mut().for_each(|file| file.is_open = false);
    }

    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        self.kill();
        for file in self.recordings.values_mut().chain(self.keys.values_mut()) {
            file.lose_power(chance);
        }
        self.keys.retain(|_, file| !file.bytes.is_empty());
        self.recordings.retain(|_, file| !file.bytes.is_empty());
        self.parts.retain(|id, _| self.recordings.contains_key(id));
    }
}
