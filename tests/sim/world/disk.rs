//! A disk in memory that is slow, full, torn, gone, or lies: what is written, and what of it outlives the power.
//!
//! ```text
//!   create, append ──▶ written ──sync──▶ durable
//!                         │
//!                         └──sync fails──▶ doomed: durable never, though it is read as it was written until the power goes (durability.md)
//!
//!   the process is killed: written stays · the power goes: durable stays, and of the rest what happens to
//! ```
//!
//! It also watches its user: keys before content, nothing twice, nothing after the end, nothing more to a file whose sync has
//! failed.

mod spare;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use mitschnitt::catalogue::{Reason, Seal, Write};
use mitschnitt::ids::RecordingId;
use mitschnitt::time::Wall;
use mitschnitt::vault::{Digest, NodeKey, Salvage, Salvaged, Shelf, Verdict, Volume, salvage};

use super::chance::Chance;
use super::model::Fault;
use super::plan::Pace;
use spare::Spare;

/// What is wrong with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nothing any more.
    Works,
    /// Each batch takes so long.
    Slow(Duration),
    /// It takes so many bytes more, and the last write ends in its middle.
    Full(u64),
    /// The next sync fails, and what was written since the last good one is not durable; the sync after it says that all is
    /// well.
    FailsToSync,
    /// Syncs say that all is well, and make nothing durable.
    Lies,
    /// Nothing works.
    Gone,
}

impl Trouble {
    /// Draws a trouble.
    pub fn drawn(chance: &mut Chance, pace: Pace) -> Self {
        match chance.below(8) {
            0..3 => Self::Slow(pace.span(Duration::from_millis(chance.between(20, 2500)))),
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
#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    /// How many of them are there after the power was lost.
    durable: usize,
    /// How many of them a sync has called durable.
    promised: usize,
    is_open: bool,
    /// How many of them were written well: behind them may be what a write left that failed in its middle.
    whole: usize,
    /// A sync failed since it was made: it must be left alone.
    is_doomed: bool,
    /// Something of it went with the power.
    has_crumbled: bool,
    /// The process died before it had written what the file begins with.
    is_headless: bool,
}

impl File {
    fn new(bytes: &[u8], is_open: bool) -> Self {
        let bytes = bytes.to_vec();
        Self {
            whole: bytes.len(),
            bytes,
            durable: 0,
            promised: 0,
            is_open,
            is_doomed: false,
            has_crumbled: false,
            is_headless: false,
        }
    }

    /// The power is lost: what was not durable is there in part, as it happens.
    fn lose_power(&mut self, chance: &mut Chance) {
        self.is_open = false;
        let (durable, written) = (self.durable, self.bytes.len());
        if durable < written {
            let torn = chance.between(durable as u64, written as u64 - 1) as usize;
            match chance.below(5) {
                // The length was not written either.
                0 => self.bytes.truncate(durable),
                1 => self.bytes.truncate(torn),
                // The length was, and the blocks were not.
                2 => self.bytes[torn..].fill(0),
                // Some blocks were: a failed writeback leaves the others as zeros between them.
                3 => {
                    for block in (durable / BLOCK_BYTES)..=(written / BLOCK_BYTES) {
                        if chance.below(2) == 0 {
                            let (from, to) = (block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
                            self.bytes[from.max(durable)..to.min(written)].fill(0);
                        }
                    }
                }
                // The kernel had written all of it by itself.
                _ => {}
            }
            self.has_crumbled = true;
        }
        // What lies there now lies there for good.
        (self.durable, self.promised, self.is_doomed) = (self.bytes.len(), self.bytes.len(), false);
    }
}

/// Bytes that a disk writes, or does not write, at once.
const BLOCK_BYTES: usize = 4096;

/// A disk.
#[derive(Debug)]
pub struct Disk {
    chance: Chance,
    trouble: Trouble,
    recordings: BTreeMap<RecordingId, File>,
    keys: BTreeMap<RecordingId, File>,
    /// Keys that an operator destroyed: no part of the disk any more, kept for the judge.
    erased: BTreeMap<RecordingId, File>,
    has_lied: bool,
    /// How many deeds more its user does before it dies in the middle of one; none where it is not to die.
    fuse: Option<u32>,
    /// The user died at its disk, and does nothing any more.
    is_dead: bool,
    broken: Option<String>,
    /// The spare disk, where there is one.
    spare: Option<Spare>,
}

/// What becomes of a deed of the disk's user.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Done,
    /// It dies in it.
    Half,
    /// It is dead.
    Never,
}

impl Disk {
    pub const fn new(chance: Chance) -> Self {
        Self {
            chance,
            trouble: Trouble::Works,
            recordings: BTreeMap::new(),
            keys: BTreeMap::new(),
            erased: BTreeMap::new(),
            has_lied: false,
            fuse: None,
            is_dead: false,
            broken: None,
            spare: None,
        }
    }

    /// The same beside a spare one.
    pub fn with_spare(chance: Chance) -> Self {
        Self { spare: Some(Spare::default()), ..Self::new(chance) }
    }

    /// Whether this trouble loses nothing: there is a spare disk, and what can be read of this one is right.
    pub const fn is_spared(&self, trouble: Trouble) -> bool {
        self.spare.is_some() && matches!(trouble, Trouble::Full(_) | Trouble::FailsToSync)
    }

    /// Puts it in trouble, or out of it.
    pub const fn trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
    }

    /// How long it takes for what it was just given.
    pub fn takes(&mut self) -> Duration {
        match self.trouble {
            Trouble::Slow(span) => span,
            Trouble::Works | Trouble::Full(_) | Trouble::FailsToSync | Trouble::Lies | Trouble::Gone => {
                Duration::from_micros(self.chance.below(2000))
            }
        }
    }

    /// What its user did that must not be done.
    pub const fn broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Whether something that a sync called durable is not, or was not when the power was lost: no promise for that holds then.
    pub fn lied(&self) -> bool {
        self.has_lied || self.recordings.values().chain(self.keys.values()).any(|file| file.promised > file.durable)
    }

    /// Whether a recording would be there whole, with its keys, if the power was lost now. Keys that were destroyed are missed
    /// by nobody.
    pub fn is_durable(&self, recording: RecordingId) -> bool {
        let is_durable = |file: &File| file.durable == file.bytes.len() && !file.is_doomed;
        if let Some(spare) = self.spare.as_ref().filter(|spare| spare.recordings.contains_key(&recording)) {
            let has_keys = [&self.keys, &spare.keys].iter().any(|keys| keys.get(&recording).is_some_and(is_durable));
            return spare.whole(recording).is_some_and(is_durable) && (has_keys || self.erased.contains_key(&recording));
        }
        self.recordings.get(&recording).is_some_and(is_durable) && self.keys.get(&recording).is_none_or(is_durable)
    }

    /// Whether anything of a recording lies there.
    pub fn has(&self, recording: RecordingId) -> bool {
        let on_spare = |spare: &Spare| spare.recordings.contains_key(&recording) || spare.keys.contains_key(&recording);
        self.recordings.contains_key(&recording)
            || self.keys.contains_key(&recording)
            || self.spare.as_ref().is_some_and(on_spare)
    }

    /// Whether a recording's file is open: of one that is over it must not be.
    pub fn is_open(&self, recording: RecordingId) -> bool {
        self.files_of(recording).any(|file| file.is_open)
    }

    /// What lies there of a recording: on the spare disk, and on this one.
    fn files_of(&self, recording: RecordingId) -> impl Iterator<Item = &File> {
        let on_spare = self.spare.as_ref().and_then(|spare| spare.recordings.get(&recording));
        on_spare.into_iter().chain(self.recordings.get(&recording))
    }

    /// Whether a loss of power took something of a recording or of its keys.
    pub fn has_crumbled(&self, recording: RecordingId) -> bool {
        let keys = self.keys.get(&recording).or_else(|| self.erased.get(&recording));
        // Keys that are not there and that nobody destroyed went with the power as well.
        keys.is_none_or(|file| file.has_crumbled) || self.files_of(recording).any(|file| file.has_crumbled)
    }

    /// Lets its user die in the middle of a deed, so many deeds from here: of what it writes then a part is written.
    pub const fn light(&mut self, deeds: u32) {
        self.fuse = Some(deeds);
    }

    /// Lets its user live on, if it has not died yet.
    pub const fn spare(&mut self) {
        self.fuse = None;
    }

    /// Whether its user died at it, and whoever owns it has not seen that yet.
    pub const fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Whether the process died before it had written what a recording's file begins with: who reads it cannot know whose it is.
    pub fn is_headless(&self, recording: RecordingId) -> bool {
        self.files_of(recording).any(|file| file.is_headless)
    }

    /// The process dies, or ends: what was written stays, and nobody writes on until the next begins.
    pub fn kill(&mut self) {
        (self.fuse, self.is_dead) = (None, false);
        self.recordings.values_mut().for_each(|file| file.is_open = false);
        self.spare.iter_mut().for_each(Spare::kill);
    }

    /// The power is lost: of what was not durable some is there, some is zeros, and some is not there, in each file as it
    /// happens.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        (self.fuse, self.is_dead) = (None, false);
        self.has_lied = self.lied();
        for file in self.recordings.values_mut().chain(self.keys.values_mut()) {
            file.lose_power(chance);
        }
        // A name that was never durable may be gone with its file.
        self.recordings.retain(|_, file| !file.bytes.is_empty());
        self.keys.retain(|_, file| !file.bytes.is_empty());
        self.spare.iter_mut().for_each(|spare| spare.lose_power(chance));
    }

    /// Every recording that lies there, with its keys, in order of their names.
    pub fn recordings(&self) -> impl Iterator<Item = (RecordingId, &[u8], Option<&[u8]>)> {
        let whole_on_spare = self.spare.iter().flat_map(Spare::all_whole);
        let here = self.recordings.iter().filter(|&(&id, _)| self.spare.as_ref().is_none_or(|spare| spare.whole(id).is_none()));
        let mut all: Vec<_> = whole_on_spare.chain(here.map(|(&id, file)| (id, file))).collect();
        all.sort_unstable_by_key(|&(id, _)| id);
        all.into_iter().map(|(id, file)| {
            let keys = self.keys.get(&id).or_else(|| self.spare.as_ref().and_then(|spare| spare.keys.get(&id)));
            (id, &*file.bytes, keys.map(|keys| &*keys.bytes))
        })
    }

    /// The keys of a recording that an operator has destroyed. They lie on the disk no more: whoever judges the box has kept a
    /// copy, to see that what was recorded until then was right.
    pub fn erased(&self, recording: RecordingId) -> Option<&[u8]> {
        self.erased.get(&recording).map(|keys| &*keys.bytes)
    }

    /// The next start closes what was left torn, as `node::salvage` does: a copy that is durable takes the file's place. Returns what the
    /// recording's row is told.
    pub fn salvage(&mut self, recording: RecordingId, node: &NodeKey) -> Option<Write> {
        let at = Wall::from_unix_micros(0);
        let on_spare = match &mut self.spare {
            // It lies in two pieces, and stays so.
            Some(spare) if spare.is_part(recording) => return None,
            Some(spare) => spare.recordings.get_mut(&recording),
            None => None,
        };
        let file = on_spare.or_else(|| self.recordings.get_mut(&recording))?;
        match salvage(file.bytes.as_slice(), file.bytes.len() as u64, node, at).expect("memory is read") {
            Salvage::Close { keep, closing, chunks, root, .. } => {
                file.bytes.truncate(keep as usize);
                file.bytes.extend_from_slice(&closing);
                (file.durable, file.promised) = (file.bytes.len(), file.bytes.len());
                (file.is_doomed, file.whole) = (false, file.bytes.len());
                Some(Write::Salvaged(recording, at, file.bytes.len() as u64, seal(root, chunks)))
            }
            Salvage::Closed(Verdict::Salvaged(Salvaged { at, bytes, root, chunks, .. })) => {
                Some(Write::Salvaged(recording, at, bytes, seal(root, chunks)))
            }
            Salvage::Closed(Verdict::Complete(complete)) => {
                (file.durable, file.promised) = (file.bytes.len(), file.bytes.len());
                Some(Write::Closed(recording, complete.bytes, seal(complete.root, complete.chunks)))
            }
            Salvage::Empty => {
                self.recordings.remove(&recording);
                self.keys.remove(&recording);
                self.spare.iter_mut().for_each(|spare| spare.forget(recording));
                Some(Write::Lost(recording, Reason::Interrupted))
            }
            Salvage::Broken(_) | Salvage::Closed(_) => None,
            Salvage::NotOurs => panic!("every file of this disk is this node's"),
        }
    }

    /// The next start joins what lies in two pieces.
    pub fn join_all(&mut self) {
        for recording in self.spare.iter().flat_map(Spare::parts).collect::<Vec<_>>() {
            self.join(recording);
        }
    }

    /// Copies what the spare disk is without, durably; says whether this disk gave it.
    fn join(&mut self, recording: RecordingId) -> bool {
        let beginning = self.recordings.get(&recording).map(|file| &*file.bytes);
        let is_to_be_had = self.trouble != Trouble::Gone;
        self.spare.as_mut().is_some_and(|spare| is_to_be_had && spare.join(recording, beginning.unwrap_or_default()))
    }

    /// An operator destroys the keys of a recording, durably. Nobody opens it any more, and its writer does not notice: it goes
    /// on if it was open, is sealed, and its structure verifies; the ledger says `sealed`.
    pub fn erase(&mut self, recording: RecordingId) {
        let on_spare = self.spare.as_mut().and_then(|spare| spare.keys.remove(&recording));
        if let Some(keys) = self.keys.remove(&recording).or(on_spare) {
            self.erased.insert(recording, keys);
        }
    }

    /// An operator destroys the keys of one recording that is closed.
    pub fn erase_one(&mut self, chance: &mut Chance) -> Option<RecordingId> {
        let with_keys = self.recordings().filter(|(_, _, keys)| keys.is_some()).map(|(id, ..)| id);
        let closed: Vec<_> = with_keys.filter(|&id| !self.is_open(id)).collect();
        let id = *closed.get(chance.below(closed.len() as u64) as usize)?;
        self.erase(id);
        Some(id)
    }

    /// What becomes of the next deed.
    const fn deed(&mut self) -> Deed {
        match self.fuse {
            _ if self.is_dead => Deed::Never,
            None => Deed::Done,
            Some(0) => {
                self.is_dead = true;
                Deed::Half
            }
            Some(deeds) => {
                self.fuse = Some(deeds - 1);
                Deed::Done
            }
        }
    }

    /// What is written of these bytes by whoever dies while it writes them.
    fn half<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..self.chance.below(bytes.len() as u64 + 1) as usize]
    }

    /// Takes as many bytes as there is room for.
    fn room(&mut self, wanted: usize) -> (usize, io::Result<()>) {
        match &mut self.trouble {
            Trouble::Works | Trouble::Slow(_) | Trouble::FailsToSync | Trouble::Lies => (wanted, Ok(())),
            Trouble::Gone => (0, Err(input_output())),
            Trouble::Full(left) => {
                let fits = wanted.min(*left as usize);
                *left -= fits as u64;
                let full = if fits < wanted { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) };
                (fits, full)
            }
        }
    }
}

/// The one error that a disk that fails has a word for.
fn input_output() -> io::Error {
    io::Error::other("Input/output error")
}

/// What nobody hears, since nobody is there.
fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

impl Volume for Disk {
    fn shelf(&self) -> Shelf {
        if self.spare.is_some() && self.trouble == Trouble::Gone { Shelf::Spare } else { Shelf::Main }
    }

    fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    fn create_keys(&mut self, shelf: Shelf, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
        let bytes = match self.deed() {
            Deed::Done => bytes,
            Deed::Half => self.half(bytes),
            Deed::Never => return Err(dead()),
        };
        if let (Shelf::Spare, Some(spare)) = (shelf, &mut self.spare) {
            spare.keys.insert(recording, File::new(bytes, false));
            return Ok(());
        }
        if self.keys.contains_key(&recording) {
            self.breaks(format!("the keys of {recording} are made twice"));
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.recordings.contains_key(&recording) {
            self.breaks(format!("the keys of {recording} are made after it"));
        }
        let (fits, result) = self.room(bytes.len());
        if self.trouble != Trouble::Gone {
            self.keys.insert(recording, File::new(&bytes[..fits], false));
        }
        result
    }

    fn create_recording(&mut self, shelf: Shelf, recording: RecordingId, head: &[u8]) -> io::Result<()> {
        let whole = head.len();
        let head = match self.deed() {
            Deed::Done => head,
            Deed::Half => self.half(head),
            Deed::Never => return Err(dead()),
        };
        if let (Shelf::Spare, Some(spare)) = (shelf, &mut self.spare) {
            let is_durable = spare.keys.get(&recording).is_some_and(|keys| keys.durable == keys.bytes.len());
            spare.recordings.insert(recording, File { is_headless: head.len() < whole, ..File::new(head, true) });
            if !is_durable && !self.erased.contains_key(&recording) {
                self.breaks(format!("{recording} is written before its keys are durable"));
            }
            return Ok(());
        }
        if self.recordings.contains_key(&recording) {
            self.breaks(format!("{recording} is made twice"));
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Of what a sync has promised the writer cannot know better.
        match self.keys.get(&recording) {
            Some(keys) if keys.promised == keys.bytes.len() && !keys.is_doomed => {}
            Some(_) => self.breaks(format!("{recording} is written before its keys are durable")),
            None if self.erased.contains_key(&recording) => {}
            None => self.breaks(format!("{recording} is written without keys")),
        }
        let (fits, result) = self.room(head.len());
        if self.trouble != Trouble::Gone {
            let is_headless = head.len() < whole;
            self.recordings.insert(recording, File { is_headless, ..File::new(&head[..fits], result.is_ok()) });
        }
        result
    }

    fn write_at(&mut self, recording: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()> {
        let bytes = match self.deed() {
            Deed::Done => bytes,
            Deed::Half => self.half(bytes),
            Deed::Never => return Err(dead()),
        };
        if let Some(file) = self.spare.as_mut().and_then(|spare| spare.recordings.get_mut(&recording)) {
            let is_right = file.is_open && file.bytes.len() == at as usize;
            file.bytes.extend_from_slice(bytes);
            file.whole = file.bytes.len();
            if !is_right {
                self.breaks(format!(
                    "{recording} is written on the spare disk where it is not open, or elsewhere than at its end"
                ));
            }
            return Ok(());
        }
        let wrong = match self.recordings.get(&recording) {
            None => Some("is written and does not exist"),
            Some(file) if file.is_doomed => Some("is written after its sync has failed"),
            Some(file) if file.whole != at as usize => Some("is written elsewhere than behind what was written well"),
            // Of whoever dies in it a part is written, or less than lay there.
            Some(file) if !bytes.starts_with(&file.bytes[file.whole..]) && !file.bytes[file.whole..].starts_with(bytes) => {
                Some("is written over with other bytes than those that failed")
            }
            Some(file) if !file.is_open => Some("is written after it was closed"),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            self.breaks(format!("{recording} {wrong}"));
            return Err(io::Error::other("not open"));
        }
        let there = self.recordings.get(&recording).map_or(0, |file| file.bytes.len() - file.whole).min(bytes.len());
        let (fits, result) = self.room(bytes.len() - there);
        if let Some(file) = self.recordings.get_mut(&recording) {
            file.bytes.extend_from_slice(&bytes[there..there + fits]);
            if result.is_ok() {
                file.whole = file.bytes.len();
            }
        }
        result
    }

    fn close(&mut self, recording: RecordingId) {
        if self.deed() == Deed::Never {
            return;
        }
        let on_spare = self.spare.as_mut().and_then(|spare| spare.recordings.get_mut(&recording));
        match on_spare.or_else(|| self.recordings.get_mut(&recording)) {
            Some(file) if file.is_open => file.is_open = false,
            Some(_) | None => self.breaks(format!("{recording} is closed and was not open")),
        }
    }

    fn remove(&mut self, recording: RecordingId) -> io::Result<()> {
        let deed = self.deed();
        if deed == Deed::Never {
            return Err(dead());
        }
        if self.is_open(recording) {
            self.breaks(format!("{recording} is removed while it is open"));
        }
        self.spare.iter_mut().for_each(|spare| spare.forget(recording));
        if self.trouble == Trouble::Gone {
            return if self.recordings.contains_key(&recording) { Err(input_output()) } else { Ok(()) };
        }
        // The keys first, and who dies in between leaves the other.
        let recordings = if deed == Deed::Half { None } else { self.recordings.remove(&recording) };
        let gone = [self.keys.remove(&recording), recordings];
        if let Trouble::Full(left) = &mut self.trouble {
            *left += gone.into_iter().flatten().map(|file| file.bytes.len() as u64).sum::<u64>();
        }
        Ok(())
    }

    fn sync(&mut self, shelf: Shelf) -> io::Result<()> {
        // Who dies in a sync has not heard that anything is durable; whether it is, the loss of the power says.
        if self.deed() != Deed::Done {
            return Err(dead());
        }
        if let (Shelf::Spare, Some(spare)) = (shelf, &mut self.spare) {
            spare.sync();
            return Ok(());
        }
        let files = self.recordings.values_mut().chain(self.keys.values_mut());
        match self.trouble {
            Trouble::Gone | Trouble::FailsToSync => {
                for file in files {
                    file.is_doomed |= file.durable < file.bytes.len() || file.is_open;
                }
                if self.trouble == Trouble::FailsToSync {
                    self.trouble = Trouble::Works;
                }
                Err(input_output())
            }
            Trouble::Lies => {
                // What a failed sync has dropped it has told: that is no lie.
                files.filter(|file| !file.is_doomed).for_each(|file| file.promised = file.bytes.len());
                Ok(())
            }
            Trouble::Works | Trouble::Slow(_) | Trouble::Full(_) => {
                // What a failed sync has dropped is clean to the kernel, and stays lost (durability.md).
                for file in files.filter(|file| !file.is_doomed) {
                    (file.durable, file.promised) = (file.bytes.len(), file.bytes.len());
                }
                Ok(())
            }
        }
    }

    fn move_over(&mut self, recording: RecordingId, keys: &[u8], from: u64, bytes: &[u8]) -> io::Result<()> {
        let deed = self.deed();
        if self.spare.is_none() || deed == Deed::Never {
            return Err(dead());
        }
        let from = from as usize;
        let wrong = match self.recordings.get_mut(&recording) {
            None => Some("is moved and does not exist"),
            Some(file) if file.durable < from && self.trouble != Trouble::Lies && file.promised < from => {
                Some("is moved without what is not durable")
            }
            Some(file) if file.bytes.get(from..file.whole) != Some(bytes) => Some("is moved with other bytes than it has"),
            Some(file) => {
                file.is_open = false;
                None
            }
        };
        if let Some(wrong) = wrong {
            self.breaks(format!("{recording} {wrong}"));
        }
        let keys = if deed == Deed::Half { self.half(keys).to_vec() } else { keys.to_vec() };
        if let Some(spare) = &mut self.spare {
            spare.keys.insert(recording, File::new(&keys, false));
            // Who dies has made the keys, or a part of them.
            if deed == Deed::Done {
                spare.takes(recording, from, bytes);
            }
        }
        Ok(())
    }

    fn joined(&mut self) -> Option<(RecordingId, io::Result<()>)> {
        let recording = self.spare.as_mut()?.awaited.pop_front()?;
        Some((recording, if self.join(recording) { Ok(()) } else { Err(input_output()) }))
    }
}

fn seal(root: [u8; 32], chunks: u32) -> Seal {
    Seal { root: Digest::from_bytes(root), chunks: chunks.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use mitschnitt::codec::Codec;
    use mitschnitt::consent::{
        Clip, Consent, Fact, Facts, Mode, Output, Parties, Permit, Player, PriorTerms, SentAs, Terms, WithoutConsent,
    };
    use mitschnitt::digit::Digit;
    use mitschnitt::ids::{CallId, Direction, Leg, TrunkName};
    use mitschnitt::time::{Moment, Period, Wall};
    use mitschnitt::vault::{
        Buffers, EndReason, GapReason, Listener, NodeKey, Outcome, RecipientSecret, Recorder, Verdict, Work, Writer, verify,
    };

    use super::*;

    const ONE: RecordingId = RecordingId::from_bytes([1; 16]);

    impl Disk {
        /// Writes behind what was written well.
        fn append(&mut self, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
            let whole = self.recordings.get(&recording).map_or(0, |file| file.whole);
            self.write_at(recording, whole as u64, bytes)
        }
    }

    /// A disk on which a recording lies: keys and head durable, and then so many bytes that are not.
    fn written(seed: u64, bytes: usize) -> Disk {
        let mut disk = Disk::new(Chance::new(seed));
        disk.create_keys(Shelf::Main, ONE, b"keys").unwrap();
        disk.sync(Shelf::Main).unwrap();
        disk.create_recording(Shelf::Main, ONE, b"head").unwrap();
        disk.sync(Shelf::Main).unwrap();
        disk.append(ONE, &vec![7; bytes]).unwrap();
        disk
    }

    fn bytes(disk: &Disk) -> Vec<u8> {
        disk.recordings.get(&ONE).map(|file| file.bytes.clone()).unwrap_or_default()
    }

    fn after_a_loss_of_power(mut disk: Disk, seed: u64) -> Vec<u8> {
        disk.lose_power(&mut Chance::new(seed));
        assert!(disk.broken().is_none());
        bytes(&disk)
    }

    #[test]
    fn what_was_synced_outlives_the_power_and_the_rest_ends_in_one_of_five_ways() {
        let mut seen = BTreeMap::new();
        for seed in 0..400 {
            let left = after_a_loss_of_power(written(seed, 12_000), seed);

            assert_eq!(&left[..4], b"head");
            let tail = &left[4..];
            let zeros = tail.iter().rev().take_while(|byte| **byte == 0).count();
            let way = match (tail.len(), zeros) {
                (0, _) => "nothing",
                (12_000, 0) if tail.contains(&0) => "blocks",
                (12_000, 0) => "whole",
                (12_000, _) if tail[..12_000 - zeros].contains(&0) => "blocks",
                (12_000, _) => "zeros",
                (_, 0) => "cut",
                (length, zeros) => panic!("{length} bytes, {zeros} zeros at their end"),
            };
            *seen.entry(way).or_insert(0) += 1;
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), ["blocks", "cut", "nothing", "whole", "zeros"], "{seen:?}");
    }

    #[test]
    fn one_seed_is_one_disk() {
        for seed in 0..50 {
            let twice = [(); 2].map(|()| {
                let mut disk = written(seed, 9000);
                (disk.takes(), after_a_loss_of_power(disk, seed))
            });
            assert_eq!(twice[0], twice[1]);
        }
    }

    #[test]
    fn a_killed_process_leaves_all_that_it_wrote() {
        let mut disk = written(1, 9000);

        disk.kill();

        assert_eq!(bytes(&disk).len(), 9004);
        assert!(disk.append(ONE, b"more").is_err());
        assert_eq!(disk.broken().unwrap(), format!("{ONE} is written after it was closed"));
        disk.sync(Shelf::Main).unwrap();
        assert_eq!(after_a_loss_of_power(disk, 1).len(), 9004, "whoever syncs next makes it durable");
    }

    #[test]
    fn a_full_disk_takes_the_beginning_of_what_it_is_given() {
        let mut disk = written(1, 0);
        disk.trouble(Trouble::Full(10));

        disk.append(ONE, b"12345678").unwrap();
        let full = disk.append(ONE, b"abcd").unwrap_err();

        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(bytes(&disk), b"head12345678ab");
        disk.trouble(Trouble::Full(2));
        disk.append(ONE, b"abcd").unwrap();
        assert_eq!(bytes(&disk), b"head12345678abcd", "the same once more, where there is room");
        disk.trouble(Trouble::Full(0));
        let two = RecordingId::from_bytes([2; 16]);
        assert!(disk.create_keys(Shelf::Main, two, b"keys").is_err());
        disk.remove(two).unwrap();
        assert!(!disk.keys.contains_key(&two));
    }

    #[test]
    fn what_could_not_be_begun_gives_its_room_back() {
        let mut disk = Disk::new(Chance::new(1));
        disk.trouble(Trouble::Full(6));
        disk.create_keys(Shelf::Main, ONE, b"keys").unwrap();
        disk.sync(Shelf::Main).unwrap();
        assert!(disk.create_recording(Shelf::Main, ONE, b"head").is_err());

        disk.remove(ONE).unwrap();

        assert_eq!(disk.trouble, Trouble::Full(6));
        assert_eq!(disk.recordings().count(), 0);
    }

    #[test]
    fn a_failed_sync_is_told_once_and_what_it_lost_stays_lost() {
        let mut shorter = false;
        for seed in 0..50 {
            let mut disk = written(seed, 9000);
            disk.trouble(Trouble::FailsToSync);
            assert!(disk.sync(Shelf::Main).is_err());
            assert!(disk.sync(Shelf::Main).is_ok(), "the next one says that all is well");
            assert_eq!(bytes(&disk).len(), 9004, "and it is read as it was written");
            assert!(!disk.is_durable(ONE) && !disk.lied());

            let left = after_a_loss_of_power(disk, seed);

            assert_eq!(&left[..4], b"head");
            shorter |= left.len() < 9004;
        }
        assert!(shorter);
    }

    #[test]
    fn a_disk_that_lies_says_so_to_the_world_alone() {
        let mut disk = written(3, 9000);
        disk.trouble(Trouble::Lies);
        disk.sync(Shelf::Main).unwrap();
        assert!(disk.lied() && !disk.is_durable(ONE));

        disk.trouble(Trouble::Works);
        assert!(disk.lied(), "until a sync is true");
        disk.sync(Shelf::Main).unwrap();
        assert!(!disk.lied() && disk.is_durable(ONE));

        disk.append(ONE, b"more").unwrap();
        disk.trouble(Trouble::Lies);
        disk.sync(Shelf::Main).unwrap();
        disk.lose_power(&mut Chance::new(1));
        assert!(disk.lied(), "what the power took stays taken");
    }

    #[test]
    fn a_disk_that_is_gone_does_nothing() {
        let mut disk = written(1, 10);
        disk.trouble(Trouble::Gone);
        let two = RecordingId::from_bytes([2; 16]);

        assert!(
            disk.append(ONE, b"more").is_err()
                && disk.sync(Shelf::Main).is_err()
                && disk.create_keys(Shelf::Main, two, b"keys").is_err()
        );
        disk.remove(two).unwrap();

        assert_eq!(bytes(&disk).len(), 14);
        assert!(!disk.keys.contains_key(&two) && disk.broken().is_none());
    }

    #[test]
    fn the_watch_sees_what_must_not_be_done() {
        let broken = |wrong: &dyn Fn(&mut Disk)| {
            let mut disk = written(1, 10);
            assert!(disk.broken().is_none());
            wrong(&mut disk);
            disk.broken().map(|what| what.replace(&ONE.to_string(), "1").replace(&"02".repeat(16), "2"))
        };
        let two = RecordingId::from_bytes([2; 16]);

        let early = |disk: &mut Disk| {
            disk.create_keys(Shelf::Main, two, b"keys").unwrap();
            disk.create_recording(Shelf::Main, two, b"head").unwrap();
        };
        assert_eq!(broken(&early).unwrap(), "2 is written before its keys are durable");
        let failed = |disk: &mut Disk| {
            disk.create_keys(Shelf::Main, two, b"keys").unwrap();
            disk.trouble(Trouble::FailsToSync);
            assert!(disk.sync(Shelf::Main).is_err() && disk.sync(Shelf::Main).is_ok());
            disk.create_recording(Shelf::Main, two, b"head").unwrap();
        };
        assert_eq!(broken(&failed).unwrap(), "2 is written before its keys are durable", "the second sync made nothing durable");
        let bare = |disk: &mut Disk| drop(disk.create_recording(Shelf::Main, two, b"head"));
        assert_eq!(broken(&bare).unwrap(), "2 is written without keys");
        let keys = |disk: &mut Disk| assert!(disk.create_keys(Shelf::Main, ONE, b"keys").is_err());
        assert_eq!(broken(&keys).unwrap(), "the keys of 1 are made twice");
        let twice = |disk: &mut Disk| assert!(disk.create_recording(Shelf::Main, ONE, b"head").is_err());
        assert_eq!(broken(&twice).unwrap(), "1 is made twice");
        let doomed = |disk: &mut Disk| {
            disk.trouble(Trouble::FailsToSync);
            assert!(disk.sync(Shelf::Main).is_err() && disk.append(ONE, b"more").is_err());
        };
        assert_eq!(broken(&doomed).unwrap(), "1 is written after its sync has failed");
        let cut = |disk: &mut Disk| {
            disk.trouble(Trouble::Full(2));
            assert!(disk.append(ONE, b"more").is_err());
            disk.trouble(Trouble::Works);
            assert!(disk.append(ONE, b"less").is_err());
        };
        assert_eq!(broken(&cut).unwrap(), "1 is written over with other bytes than those that failed");
        let elsewhere = |disk: &mut Disk| assert!(disk.write_at(ONE, 13, b"more").is_err());
        assert_eq!(broken(&elsewhere).unwrap(), "1 is written elsewhere than behind what was written well");
        let closed = |disk: &mut Disk| {
            disk.close(ONE);
            assert!(disk.append(ONE, b"more").is_err());
        };
        assert_eq!(broken(&closed).unwrap(), "1 is written after it was closed");
        assert_eq!(broken(&|disk: &mut Disk| drop(disk.append(two, b"more"))).unwrap(), "2 is written and does not exist");
        assert_eq!(broken(&|disk: &mut Disk| disk.close(two)).unwrap(), "2 is closed and was not open");
        assert_eq!(broken(&|disk: &mut Disk| drop(disk.remove(ONE))).unwrap(), "1 is removed while it is open");
    }

    #[test]
    fn an_erased_recording_lies_there_without_its_keys() {
        let mut disk = written(1, 10);
        assert_eq!(disk.erase_one(&mut Chance::new(1)), None, "it is open");
        disk.close(ONE);

        assert_eq!(disk.erase_one(&mut Chance::new(1)), Some(ONE));

        let lies: Vec<_> = disk.recordings().map(|(id, rec, keys)| (id, rec.len(), keys)).collect();
        assert_eq!(lies, [(ONE, 14, None)]);
        assert_eq!(disk.erased(ONE), Some(b"keys".as_slice()));
        assert!(!disk.has_crumbled(ONE));
        assert_eq!(disk.erase_one(&mut Chance::new(1)), None, "once");
    }

    /// The product's own writer on this disk, through all troubles: whatever happens, the watch has nothing to say, a recording
    /// that was told to be sealed is complete after the power was lost, and every other is complete, torn, or excused.
    #[test]
    fn the_writer_keeps_its_promises_on_every_disk() {
        let (node, secret) = (|| NodeKey::generate(&mut Chance::new(1)), RecipientSecret::generate(&mut Chance::new(2)));
        let (mut sealed, mut failed, mut torn, mut lied, mut moved) = (0, 0, 0, 0, 0);
        for seed in 0..150 {
            let mut chance = Chance::new(seed);
            let has_spare = seed >= 100;
            let mut disk = if has_spare { Disk::with_spare(chance.split(1)) } else { Disk::new(chance.split(1)) };
            let mut entropy = chance.split(2);
            let mut now = Moment::from_millis(5000);
            let listener = Listener { purposes: vec!["quality".into()], key: *secret.public(), period: Period::ALWAYS };
            let mut writer = Writer::new(node(), vec![listener], now);
            let mut open: BTreeMap<RecordingId, Recorder> = BTreeMap::new();
            let (mut told, mut over) = (BTreeSet::new(), BTreeSet::new());
            for step in 0..40_u8 {
                now = now + Duration::from_millis(chance.between(1, 300));
                match chance.below(12) {
                    0 => disk.trouble(Trouble::drawn(&mut chance, Pace::Usual)),
                    1 => disk.trouble(Trouble::Works),
                    _ => {}
                }
                let mut batch = Vec::new();
                if chance.below(3) == 0 {
                    let permit = permit(step, now);
                    batch.push(Work::Begin(Box::new(permit.evidence().clone())));
                    open.insert(permit.evidence().recording(), Recorder::begin(&permit, &Buffers::new()));
                }
                for (&id, recorder) in &mut open {
                    for _ in 0..chance.below(400) {
                        let full = recorder.gap(Some(Leg::Pbx), GapReason::DiskFailed, now, now, chance.next());
                        batch.extend(full.map(|chunk| Work::Chunk(id, chunk)));
                    }
                    batch.extend(recorder.age(now).map(|chunk| Work::Chunk(id, chunk)));
                }
                if chance.below(3) == 0
                    && let Some((id, recorder)) = open.pop_first()
                {
                    batch.push(Work::End(id, recorder.end(EndReason::Stopped, [0, 0], now)));
                }
                writer.work(batch, &mut disk, &mut entropy, now);
                if writer.deadline().is_some_and(|at| at <= now) {
                    writer.sync(&mut disk, now);
                }
                assert_eq!(disk.broken(), None, "seed {seed}, step {step}");
                while let Some(outcome) = writer.poll() {
                    match outcome {
                        Outcome::Sealed { recording, .. } => {
                            assert!(disk.is_durable(recording) || disk.lied(), "seed {seed}: sealed and not durable");
                            assert!(!disk.is_open(recording) && over.insert(recording), "seed {seed}: sealed and not over");
                            told.insert(recording);
                            sealed += 1;
                        }
                        // Its recorder goes on for a while, as that of a lane that was not told yet.
                        Outcome::Failed { recording, left_a_file, .. } => {
                            let is_right = disk.has(recording) == left_a_file || disk.trouble == Trouble::Gone;
                            assert!(is_right, "seed {seed}: it is wrong that there is a file: {left_a_file}");
                            assert!(!disk.is_open(recording) && over.insert(recording), "seed {seed}: failed and not over");
                            failed += 1;
                        }
                        Outcome::Begun { .. }
                        | Outcome::Written { .. }
                        | Outcome::Closed { .. }
                        | Outcome::SyncFailed { .. }
                        | Outcome::Stuck { .. }
                        | Outcome::Dropping { .. }
                        | Outcome::Flowing { .. }
                        | Outcome::Parted { .. } => {}
                        Outcome::Moved { .. } => moved += 1,
                    }
                }
            }
            let is_honest = !disk.lied();
            lied += u32::from(!is_honest);

            disk.lose_power(&mut chance);

            for (id, rec, keys) in disk.recordings() {
                let verdict = verify(rec, node().public()).unwrap();
                assert!(keys.is_some() || !is_honest, "seed {seed}: {id} lies there without keys");
                if told.contains(&id) && is_honest {
                    assert!(matches!(verdict, Verdict::Complete(_)), "seed {seed}: {id} was sealed and is {verdict}");
                } else if !disk.has_crumbled(id) {
                    assert!(!matches!(verdict, Verdict::Broken(_)), "seed {seed}: {id} is {verdict}");
                    torn += u32::from(matches!(verdict, Verdict::Cut(_)));
                }
            }
            if is_honest {
                let there: BTreeSet<_> = disk.recordings().map(|(id, ..)| id).collect();
                assert!(told.is_subset(&there), "seed {seed}: a sealed recording is gone");
            }
        }
        assert!(
            sealed > 150 && failed > 60 && torn > 10 && lied > 3 && moved > 60,
            "{sealed} sealed, {failed} failed, {torn} torn, {lied} lied, {moved} moved"
        );
    }

    /// A permit as the consent machine makes it.
    fn permit(recording: u8, granted: Moment) -> Permit {
        let terms = Terms {
            policy: "all".into(),
            policy_hash: [0xab; 32],
            purpose: "quality".into(),
            legal_basis: "consent".into(),
            mode: Mode::Announce,
            must_agree: [false, true],
            key: Digit::from_char('1').unwrap(),
            withdraw: None,
            answer: Duration::from_secs(5),
            language: Arc::from("de"),
            without_consent: WithoutConsent::GoOn,
            longest_pause: Duration::from_secs(60),
            prior: PriorTerms::default(),
            announcement_version: None,
        };
        let facts = Facts {
            call: CallId::from_u64(recording.into()),
            recording: RecordingId::from_bytes([recording; 16]),
            direction: Direction::Inbound,
            trunk: TrunkName::new("carrier"),
            parties: Parties::default(),
            clocks: (Moment::START, Wall::from_unix_micros(1_795_512_600_000_000)),
        };
        let mut consent = Consent::new(terms, facts);
        let told = Leg::BOTH.map(|leg| {
            let clip = Clip::new(Codec::Pcma, &[1; 160], [0xcd; 32], "de").unwrap();
            let played = Player::new(leg, clip, 20).sent(SentAs { ssrc: 5, sequence: 6, timestamp: 7 }, granted).unwrap();
            consent.handle(Fact::Played(played), granted)
        });
        match told {
            [_, Some(Output::Begin(permit))] => permit,
            _ => panic!("both were told"),
        }
    }
}
