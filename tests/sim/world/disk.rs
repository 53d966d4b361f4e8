//! A disk in memory that is slow, full, torn, gone, or lies: what is written, and what of it would be there after the power was lost.
//!
//! It also watches its user: keys before content, nothing twice, nothing after the end, nothing more to a file whose sync has failed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use mitschnitt::ids::RecordingId;
use mitschnitt::vault::Volume;

use super::chance::Chance;
use super::model::Fault;

/// What is wrong with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nothing any more.
    Works,
    /// Each batch takes so long.
    Slow(Duration),
    /// It takes so many bytes more, and the last write ends in its middle.
    Full(u64),
    /// The next sync fails, and what was written since the last good one is not durable; the sync after it says that all is well.
    FailsToSync,
    /// Syncs say that all is well, and make nothing durable.
    Lies,
    /// Nothing works.
    Gone,
}

impl Trouble {
    /// Draws a trouble.
    pub fn drawn(chance: &mut Chance) -> Self {
        match chance.below(8) {
            0..3 => Self::Slow(Duration::from_millis(chance.between(20, 2500))),
            3 => Self::Full(chance.between(0, 20_000)),
            4..6 => Self::FailsToSync,
            6 => Self::Lies,
            _ => Self::Gone,
        }
    }

    /// What the model is told of it.
    pub const fn told(self) -> Option<Fault> {
        match self {
            Self::Works => Some(Fault::DiskWorks),
            // A disk that is slow loses nothing while the process lives: what is late is the model's `sync_every`.
            Self::Slow(_) | Self::Full(_) | Self::FailsToSync | Self::Gone => Some(Fault::DiskFails),
            Self::Lies => Some(Fault::DiskLies),
        }
    }
}

/// A file.
#[derive(Default, Debug)]
struct File {
    bytes: Vec<u8>,
    /// How many of them are there after the power was lost.
    durable: usize,
    is_open: bool,
    /// A sync failed since it was made: it must be left alone.
    is_doomed: bool,
}

/// A disk.
pub struct Disk {
    chance: Chance,
    trouble: Trouble,
    recordings: BTreeMap<RecordingId, File>,
    keys: BTreeMap<RecordingId, File>,
    erased: BTreeSet<RecordingId>,
    broken: Option<String>,
}

impl Disk {
    pub const fn new(chance: Chance) -> Self {
        Self {
            chance,
            trouble: Trouble::Works,
            recordings: BTreeMap::new(),
            keys: BTreeMap::new(),
            erased: BTreeSet::new(),
            broken: None,
        }
    }

    /// Puts it in trouble, or out of it.
    pub const fn trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
    }

    /// How long it takes for what it was just given.
    pub fn takes(&mut self) -> Duration {
        match self.trouble {
            Trouble::Slow(span) => span,
            _ => Duration::from_micros(self.chance.below(2000)),
        }
    }

    /// What its user did that must not be done.
    pub const fn broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// The process dies: what was written stays, and nobody writes on.
    pub fn kill(&mut self) {
        self.recordings.values_mut().for_each(|file| file.is_open = false);
    }

    /// The power is lost: of what was not durable some is there, some is zeros, and some is not there, in each file as it happens.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        for file in self.recordings.values_mut().chain(self.keys.values_mut()) {
            file.is_open = false;
            let lost = file.bytes.len() - file.durable;
            if lost == 0 {
                continue;
            }
            let torn = file.durable + chance.below(lost as u64 + 1) as usize;
            match chance.below(3) {
                0 => file.bytes.truncate(file.durable),
                1 => file.bytes.truncate(torn),
                _ => file.bytes[torn..].fill(0),
            }
            file.durable = file.bytes.len();
        }
        // A name that was never durable may be gone with its file.
        self.recordings.retain(|_, file| !file.bytes.is_empty());
        self.keys.retain(|_, file| !file.bytes.is_empty());
    }

    /// Every recording that lies there, with its keys, in order.
    pub fn recordings(&self) -> impl Iterator<Item = (RecordingId, &[u8], Option<&[u8]>)> {
        self.recordings.iter().map(|(&id, file)| (id, &*file.bytes, self.keys.get(&id).map(|keys| &*keys.bytes)))
    }

    /// Recordings whose keys an operator has destroyed.
    pub fn is_erased(&self, recording: RecordingId) -> bool {
        self.erased.contains(&recording)
    }

    /// A recording that is closed, and not erased yet.
    pub fn erasable(&self, chance: &mut Chance) -> Option<RecordingId> {
        let is_there = |(id, file): &(&RecordingId, &File)| !file.is_open && !self.erased.contains(id);
        let closed: Vec<_> = self.recordings.iter().filter(is_there).map(|(&id, _)| id).collect();
        closed.get(chance.below(closed.len() as u64) as usize).copied()
    }

    /// An operator destroys its keys.
    pub fn erase(&mut self, recording: RecordingId) {
        self.keys.remove(&recording);
        self.erased.insert(recording);
    }

    /// Takes as many bytes as there is room for.
    fn room(&mut self, wanted: usize) -> (usize, io::Result<()>) {
        match &mut self.trouble {
            Trouble::Works | Trouble::Slow(_) | Trouble::FailsToSync | Trouble::Lies => (wanted, Ok(())),
            Trouble::Gone => (0, Err(io::Error::other("Input/output error"))),
            Trouble::Full(left) => {
                let fits = wanted.min(*left as usize);
                *left -= fits as u64;
                let full = if fits < wanted { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) };
                (fits, full)
            }
        }
    }
}

impl Volume for Disk {
    fn create_keys(&mut self, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
        let (fits, result) = self.room(bytes.len());
        if self.trouble == Trouble::Gone {
            return result;
        }
        let file = File { bytes: bytes[..fits].to_vec(), ..File::default() };
        if self.keys.insert(recording, file).is_some() {
            self.breaks(format!("the keys of {recording} were made twice"));
        }
        result
    }

    fn create_recording(&mut self, recording: RecordingId, head: &[u8]) -> io::Result<()> {
        match self.keys.get(&recording) {
            Some(keys) if keys.durable == keys.bytes.len() || self.trouble == Trouble::Lies => {}
            Some(_) => self.breaks(format!("{recording} is written before its keys are durable")),
            None => self.breaks(format!("{recording} is written without keys")),
        }
        let (fits, result) = self.room(head.len());
        if self.trouble == Trouble::Gone {
            return result;
        }
        let file = File { bytes: head[..fits].to_vec(), is_open: result.is_ok(), ..File::default() };
        if self.recordings.insert(recording, file).is_some() {
            self.breaks(format!("{recording} was made twice"));
        }
        result
    }

    fn append(&mut self, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
        let (fits, result) = self.room(bytes.len());
        let wrong = match self.recordings.get_mut(&recording) {
            None => Some("is written and was never made"),
            Some(file) if !file.is_open => Some("is written after it was closed"),
            Some(file) if file.is_doomed => Some("is written after its sync has failed"),
            Some(file) => {
                file.bytes.extend_from_slice(&bytes[..fits]);
                None
            }
        };
        if let Some(wrong) = wrong {
            self.breaks(format!("{recording} {wrong}"));
        }
        result
    }

    fn close(&mut self, recording: RecordingId) {
        if let Some(file) = self.recordings.get_mut(&recording) {
            file.is_open = false;
        }
    }

    fn remove(&mut self, recording: RecordingId) {
        if self.trouble != Trouble::Gone {
            self.keys.remove(&recording);
            self.recordings.remove(&recording);
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let files = self.recordings.values_mut().chain(self.keys.values_mut());
        match self.trouble {
            Trouble::Gone | Trouble::FailsToSync => {
                for file in files {
                    file.is_doomed |= file.durable < file.bytes.len() || file.is_open;
                }
                if self.trouble == Trouble::FailsToSync {
                    self.trouble = Trouble::Works;
                }
                Err(io::Error::other("Input/output error"))
            }
            Trouble::Lies => Ok(()),
            Trouble::Works | Trouble::Slow(_) | Trouble::Full(_) => {
                for file in files {
                    // What a failed sync has dropped is clean to the kernel, and stays lost (durability.md).
                    if !file.is_doomed {
                        file.durable = file.bytes.len();
                    }
                }
                Ok(())
            }
        }
    }
}
