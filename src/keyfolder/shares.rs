//! The local shares of a folder of keys: without its share a key file in its envelope opens for nobody, whatever private key they have.
//!
//! ```text
//!  .epoch                      .shares                                  <id>.key
//!  two blocks, one of which    the epoch, and for each recording its ─▶ the key file of `manual/format.md`
//!  has the key of the epoch ─▶ share, sealed under the epoch's key      in its envelope
//! ```
//!
//! To forget shares is to seal the others anew under another epoch's key, and to overwrite the old one where it lies: then every copy of the old
//! table is dead, and every copy of the key files whose shares are not in the new one.
//!
//! Where a TPM has the key, `.epoch` says in which, and by what password; then there is no old block that a flash disk could keep.
//!
//! Whoever appends, reads or renews holds the lock of a file that is never replaced, so that nobody has a table that was.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::tpm::{Place, Tpm};
use super::{LONGEST, NO_FOLLOW, beside, key, overwrite};
use crate::ids::RecordingId;
use crate::limits::SHARES_PATIENCE;
use crate::vault::CryptoRng;
use crate::vault::share::{self, Drawn, ENTRY, EpochKey, Lain, SLOT_BYTES, Share, TABLE_HEAD};

/// A block of a disk: the key of one epoch is overwritten without touching that of the other.
const BLOCK: usize = 4096;

/// The shares of one folder of keys.
pub(crate) struct Shares {
    folder: PathBuf,
    /// What was read of the table, and which it was: whoever opens many reads it once.
    seen: RefCell<Option<Seen>>,
    /// The key that a TPM gave, and of which table: it takes longer than a recording should wait each time.
    given: RefCell<Option<((u64, u64), EpochKey)>>,
}

/// The entries of a table.
struct Seen {
    /// Its number on the disk, its length, and its epoch: of one that is only added to the number stays and the length grows.
    which: (u64, u64, u64),
    /// In the order in which they were added.
    entries: HashMap<RecordingId, Vec<[u8; ENTRY]>>,
}

/// What of a renewal is done, in this order; a kill may follow each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The new key lies in the other block.
    NewKey,
    /// The new table lies beside the old one.
    NewTable,
    /// It has its name.
    Replaced,
    /// The old key is overwritten: from now on copies of the old table open nothing.
    OldKey,
    /// The old table is overwritten.
    OldTable,
}

/// What a renewal has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Renewed {
    epoch: u64,
    kept: u64,
    dropped: u64,
    /// Entries that did not open, which are not in the new table.
    broken: u64,
}

/// Why a share is not to be had.
#[derive(Debug)]
pub(crate) enum NoShare {
    /// The disk, a permission, or whoever holds the table for too long.
    Io(io::Error),
    /// The key of the epoch is there, and no table; or a key file needs one, and neither is there.
    TableMissing,
    /// The table is there, and no file with the epoch's key.
    EpochMissing,
    /// It is no table of a version that is known.
    TableUnreadable,
    /// No block has the key of the table's epoch: the two are not of one time, or the block is damaged.
    EpochUnreadable,
    /// The key is in another TPM, or elsewhere in it.
    OtherTpm(Place),
    /// The table has no share by which this key file opens.
    Forgotten,
}

impl From<io::Error> for NoShare {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<NoShare> for io::Error {
    fn from(fault: NoShare) -> Self {
        let text = fault.to_string();
        if let NoShare::Io(error) = fault { error } else { Self::new(io::ErrorKind::InvalidData, text) }
    }
}

impl fmt::Display for NoShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(error) => return error.fmt(f),
            Self::TableMissing => {
                "the table of local shares, `.shares`, is not there, and key files need it: put it back with its `.epoch`"
            }
            Self::EpochMissing => "the key of the table of local shares, `.epoch`, is not there: put it back",
            Self::TableUnreadable => "`.shares` is no table of local shares, or one of a later version",
            Self::EpochUnreadable => "`.epoch` has not the key of this `.shares`: the two are not of one time",
            Self::OtherTpm(Place { device, index }) => {
                return write!(
                    f,
                    "the key of the table lies in the TPM `{}` at {index:#010x}: name that in the configuration",
                    device.display()
                );
            }
            Self::Forgotten => {
                "its local share is forgotten: the recording was erased or its keys were made anew, and this is a copy of before"
            }
        })
    }
}

/// A table and the key that opens it, under the lock.
struct Opened {
    /// Locked until it is dropped.
    _lock: File,
    table: File,
    epoch: u64,
    key: EpochKey,
    keys: Slots,
}

/// Where the keys of this epoch and of the next one lie.
enum Slots {
    /// In two blocks of a file.
    File(File),
    /// In two spaces of a TPM.
    Tpm(Tpm),
}

impl Shares {
    /// Takes a folder of keys, whether it has a table or not.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), seen: RefCell::new(None), given: RefCell::new(None) }
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether the folder has a table: then what is written into it lies in envelopes.
    pub(crate) fn is_there(&self) -> bool {
        self.path(TABLE).symlink_metadata().is_ok()
    }

    /// Sees that there is a table, and that it can be opened; makes an empty one where none was ever needed. Where a place in a TPM is named, the key
    /// moves there, and the one that lay on the disk is dead.
    pub(crate) fn begin(&self, entropy: &mut impl CryptoRng, tpm: Option<&Place>) -> Result<(), NoShare> {
        self.begin_on_disk(entropy)?;
        let Some(place) = tpm else { return Ok(()) };
        let opened = self.opened()?;
        match &opened.keys {
            Slots::Tpm(tpm) if tpm.place() == place => return Ok(()),
            Slots::Tpm(tpm) => return Err(NoShare::OtherTpm(tpm.place().clone())),
            Slots::File(_) => {}
        }
        // The password is on the disk before the TPM has it: a kill in between leaves no space that nobody opens.
        let beside = self.path(NEW_EPOCH);
        let left = fs::read(&beside).ok().map(Zeroizing::new);
        let tpm = match left.and_then(|left| Tpm::from_file(&left)).filter(|tpm| tpm.place() == place) {
            Some(tpm) => tpm,
            None => {
                let mut password = Zeroizing::new([0; 32]);
                entropy.fill_bytes(password.as_mut_slice());
                let tpm = Tpm::new(place.clone(), password);
                let mut file = options().create(true).truncate(true).open(&beside)?;
                self.give(&file)?;
                file.write_all(&tpm.to_file())?;
                file.sync_all()?;
                self.sync()?;
                tpm
            }
        };
        Slots::Tpm(tpm).write(opened.epoch, &opened.key)?;
        fs::rename(&beside, self.path(EPOCH))?;
        self.sync()?;
        if let Slots::File(old) = &opened.keys {
            overwrite(old)?;
        }
        drop(opened);
        // What the disk has had opens nothing from here on.
        self.renew_by_steps(entropy, |_| Ok(())).map(drop)
    }

    fn begin_on_disk(&self, entropy: &mut impl CryptoRng) -> Result<(), NoShare> {
        if self.is_there() {
            return self.opened().map(drop);
        }
        let lock = self.lock()?;
        // Whoever had the lock may have made one.
        if self.is_there() {
            drop(lock);
            return self.opened().map(drop);
        }
        if self.has_envelopes()? {
            return Err(NoShare::TableMissing);
        }
        let file = options().create(true).truncate(false).open(self.path(EPOCH))?;
        self.give(&file)?;
        let key = fresh(entropy);
        file.write_all_at(&[0; 2 * BLOCK], 0)?;
        Slots::File(file).write(1, &key)?;
        self.write_table(&share::table_head(1), |_| Ok(()))?;
        fs::rename(self.path(NEW), self.path(TABLE))?;
        self.sync()?;
        drop(lock);
        Ok(())
    }

    /// Looks whether what key files need is there, and changes nothing but what a killed renewal has left; where nothing was ever made, nothing is
    /// missing. What this process may not read it does not judge.
    pub(crate) fn look(&self, is_wanted: bool) -> Result<(), NoShare> {
        let is_begun = self.is_there() || self.path(EPOCH).symlink_metadata().is_ok();
        let looked = match (is_begun, is_wanted) {
            (true, _) => self.opened().map(drop),
            (false, true) if self.has_envelopes()? => Err(NoShare::TableMissing),
            (false, _) => Ok(()),
        };
        match looked {
            Err(NoShare::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            looked => looked,
        }
    }

    /// Puts a key file into an envelope under a share of its own, and has it written while nobody renews: a share without a file is forgotten. `before` is how
    /// the one has lain whose place it takes; nothing where the recording begins.
    ///
    /// The caller makes both durable. Of a recording that is begun anew both shares stay until the next renewal.
    pub(crate) fn seal<T>(
        &self,
        id: RecordingId,
        (keys, before): (&[u8], Option<Lain>),
        entropy: &mut impl CryptoRng,
        write: impl FnOnce(&[u8]) -> io::Result<T>,
    ) -> Result<T, NoShare> {
        let opened = self.opened()?;
        let (own, nonce) = Share::of(&drawn(entropy));
        let entry = opened.key.entry(opened.epoch, id, chance(entropy), &own);
        let length = opened.table.metadata()?.len();
        // Behind the last whole entry: what a power cut has left of another is overwritten.
        let torn = length.saturating_sub(TABLE_HEAD as u64) % ENTRY as u64;
        opened.table.write_all_at(&entry, length - torn)?;
        let now = if matches!(opened.keys, Slots::Tpm(_)) { Lain::InTpm } else { Lain::OnDisk };
        let lain = before.map_or(now, |before| before.min(now));
        Ok(write(&own.envelop(id, lain, nonce, keys))?)
    }

    /// Returns the key file that lies in an envelope; one that lies in none as it is.
    pub(crate) fn open(&self, id: RecordingId, bytes: Vec<u8>) -> Result<Vec<u8>, NoShare> {
        if !share::is_enveloped(&bytes) {
            return Ok(bytes);
        }
        let opened = self.opened()?;
        let metadata = opened.table.metadata()?;
        let which = (metadata.ino(), metadata.len(), opened.epoch);
        let mut seen = self.seen.borrow_mut();
        if seen.as_ref().is_none_or(|seen| seen.which != which) {
            *seen = Some(Seen { which, entries: opened.by_recording()? });
        }
        // The last was added when the key file was written anew.
        let entries = seen.iter().filter_map(|seen| seen.entries.get(&id)).flatten().rev();
        let mut shares = entries.filter_map(|entry| opened.key.open(opened.epoch, entry));
        shares.find_map(|(_, share)| share.open(id, &bytes)).ok_or(NoShare::Forgotten)
    }

    /// Forgets every share that opens no key file which lies here, durably; without a table there is none.
    pub(crate) fn renew(&self, entropy: &mut impl CryptoRng) -> Result<(), NoShare> {
        if self.is_there() { self.renew_by_steps(entropy, |_| Ok(())).map(drop) } else { Ok(()) }
    }

    /// `after` is told of each step; its error ends the renewal there, as a kill does.
    fn renew_by_steps(
        &self,
        entropy: &mut impl CryptoRng,
        mut after: impl FnMut(Step) -> io::Result<()>,
    ) -> Result<Renewed, NoShare> {
        let old = self.opened()?;
        let epoch = old.epoch.checked_add(1).ok_or(NoShare::TableUnreadable)?;
        let several = old.several()?;
        let new_key = fresh(entropy);
        old.keys.write(epoch, &new_key)?;
        after(Step::NewKey)?;

        let mut renewed = Renewed { epoch, kept: 0, dropped: 0, broken: 0 };
        self.write_table(&share::table_head(epoch), |file| {
            old.each(|entry| {
                let Some((id, share)) = old.key.open(old.epoch, entry) else {
                    renewed.broken += 1;
                    return Ok(());
                };
                if self.is_needed(id, &share, several.contains_key(&id))? {
                    file.write_all(&new_key.entry(epoch, id, chance(entropy), &share))?;
                    renewed.kept += 1;
                } else {
                    renewed.dropped += 1;
                }
                Ok(())
            })
        })?;
        after(Step::NewTable)?;
        fs::rename(self.path(NEW), self.path(TABLE))?;
        self.sync()?;
        after(Step::Replaced)?;
        old.keys.wipe(old.epoch)?;
        after(Step::OldKey)?;
        overwrite(&old.table)?;
        after(Step::OldTable)?;
        Ok(renewed)
    }

    /// Returns whether a share opens something that lies here. Of the only one of a recording that is taken for granted: to try each would be to
    /// read every key file.
    fn is_needed(&self, id: RecordingId, share: &Share, is_one_of_several: bool) -> io::Result<bool> {
        for path in [key(&self.folder, id), beside(&self.folder, id)] {
            if !is_one_of_several {
                if path.symlink_metadata().is_ok() {
                    return Ok(true);
                }
                continue;
            }
            let mut bytes = Vec::new();
            match options().write(false).open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
                Ok(_) if share.open(id, &bytes).is_some() => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Waits for the lock as long as a recording may wait: whoever holds it for longer hangs.
    fn lock(&self) -> io::Result<File> {
        let lock = options().create(true).truncate(false).open(self.path(LOCK))?;
        self.give(&lock)?;
        let since = Instant::now();
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if since.elapsed() < SHARES_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let what =
                        "another process has held the table of local shares for too long: `fuser` on `.shares.lock` names it";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Opens the table, and ends what a kill has left of a renewal.
    fn opened(&self) -> Result<Opened, NoShare> {
        let lock = self.lock()?;
        let there = |name| match options().open(self.path(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let table = there(TABLE)?.ok_or(NoShare::TableMissing)?;
        let keys = Slots::of(there(EPOCH)?.ok_or(NoShare::EpochMissing)?)?;
        let mut head = [0; TABLE_HEAD];
        table.read_exact_at(&mut head, 0).map_err(|_| NoShare::TableUnreadable)?;
        let epoch = share::epoch_of(&head).ok_or(NoShare::TableUnreadable)?;
        let which = (table.metadata()?.ino(), epoch);
        let mut given = self.given.borrow_mut();
        let known = given.take().filter(|(of, _)| *of == which).map(|(_, key)| key);
        let is_known = known.is_some();
        let key = match known {
            Some(key) => key,
            None => keys.read(epoch)?.ok_or(NoShare::EpochUnreadable)?,
        };
        let other = epoch.wrapping_add(1);
        // Of a key that is known it was seen before.
        if !is_known && !keys.is_wiped(other)? {
            // The table that is seen may not be durable yet: without its key, the one that a power cut brings back would be lost.
            self.sync()?;
            keys.wipe(other)?;
        }
        if matches!(keys, Slots::Tpm(_)) {
            *given = Some((which, key.clone()));
        }
        if let Some(left) = there(NEW)? {
            overwrite(&left)?;
            fs::remove_file(self.path(NEW))?;
        }
        Ok(Opened { _lock: lock, table, epoch, key, keys })
    }

    fn write_table(&self, head: &[u8], entries: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
        let file = options().create(true).truncate(true).open(self.path(NEW))?;
        self.give(&file)?;
        let mut file = BufWriter::new(file);
        file.write_all(head)?;
        entries(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    /// Gives a file to whom the folder belongs to: the proxy's user, also where root renews.
    fn give(&self, file: &File) -> io::Result<()> {
        let (owner, ours) = (fs::metadata(&self.folder)?, file.metadata()?);
        if (ours.uid(), ours.gid()) == (owner.uid(), owner.gid()) {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
    }

    fn has_envelopes(&self) -> io::Result<bool> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                let mut first = Vec::new();
                options().write(false).open(path)?.take(16).read_to_end(&mut first)?;
                if share::is_enveloped(&first) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Opened {
    /// Lends each whole entry, in the order in which they were added; one that is torn is none.
    fn each(&self, mut with: impl FnMut(&[u8; ENTRY]) -> io::Result<()>) -> io::Result<()> {
        let mut table = BufReader::with_capacity(64 * 1024, &self.table);
        table.seek(SeekFrom::Start(TABLE_HEAD as u64))?;
        let mut entry = [0; ENTRY];
        loop {
            match table.read_exact(&mut entry) {
                Ok(()) => with(&entry)?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn by_recording(&self) -> io::Result<HashMap<RecordingId, Vec<[u8; ENTRY]>>> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        self.each(|entry| {
            found.entry(share::recording_of(entry)).or_default().push(*entry);
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the recordings that have more than one share, with how many more.
    fn several(&self) -> io::Result<HashMap<RecordingId, u32>> {
        let mut count: HashMap<RecordingId, u32> = HashMap::new();
        self.each(|entry| {
            count.entry(share::recording_of(entry)).and_modify(|more| *more = more.saturating_add(1)).or_insert(0);
            Ok(())
        })?;
        count.retain(|_, more| *more > 0);
        Ok(count)
    }
}

fn drawn(entropy: &mut impl CryptoRng) -> Zeroizing<Drawn> {
    let mut bytes = Zeroizing::new([0; size_of::<Drawn>()]);
    entropy.fill_bytes(bytes.as_mut_slice());
    bytes
}

fn fresh(entropy: &mut impl CryptoRng) -> EpochKey {
    EpochKey::of(&drawn(entropy))
}

fn chance(entropy: &mut impl CryptoRng) -> [u8; 12] {
    let mut bytes = [0; 12];
    entropy.fill_bytes(&mut bytes);
    bytes
}

impl Slots {
    fn of(file: File) -> io::Result<Self> {
        let mut first = Zeroizing::new(Vec::new());
        (&file).take(1024).read_to_end(&mut first)?;
        Ok(Tpm::from_file(&first).map_or(Self::File(file), Self::Tpm))
    }

    /// Writes an epoch's key into its place: the next one's is the other.
    fn write(&self, epoch: u64, key: &EpochKey) -> io::Result<()> {
        match self {
            Self::Tpm(tpm) => tpm.write(epoch, key.to_slot(epoch).as_slice()),
            Self::File(file) => {
                let mut block = Zeroizing::new([0; BLOCK]);
                block.iter_mut().zip(key.to_slot(epoch).iter()).for_each(|(byte, part)| *byte = *part);
                file.write_all_at(block.as_slice(), place(epoch))?;
                file.sync_all()
            }
        }
    }

    fn read(&self, epoch: u64) -> io::Result<Option<EpochKey>> {
        let slot = match self {
            Self::Tpm(tpm) => match tpm.read(epoch, SLOT_BYTES)? {
                Some(slot) => slot,
                None => return Ok(None),
            },
            Self::File(file) => {
                let mut slot = Zeroizing::new(vec![0; SLOT_BYTES]);
                match file.read_exact_at(slot.as_mut_slice(), place(epoch)) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    read => read?,
                }
                slot
            }
        };
        Ok(EpochKey::from_slot(slot.as_slice()).filter(|(said, _)| *said == epoch).map(|(_, key)| key))
    }

    fn is_wiped(&self, epoch: u64) -> io::Result<bool> {
        match self {
            Self::Tpm(tpm) => Ok(tpm.read(epoch, SLOT_BYTES)?.is_none_or(|slot| slot.iter().all(|byte| *byte == 0))),
            Self::File(file) => {
                let mut block = Zeroizing::new([0; BLOCK]);
                match file.read_exact_at(block.as_mut_slice(), place(epoch)) {
                    // It is made whole.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                    read => read.map(|()| block.iter().all(|byte| *byte == 0)),
                }
            }
        }
    }

    fn wipe(&self, epoch: u64) -> io::Result<()> {
        match self {
            Self::Tpm(tpm) => tpm.write(epoch, &[0; SLOT_BYTES]),
            Self::File(file) => {
                file.write_all_at(&[0; BLOCK], place(epoch))?;
                file.sync_all()
            }
        }
    }
}

const fn place(epoch: u64) -> u64 {
    epoch % 2 * BLOCK as u64
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(NO_FOLLOW);
    options
}

const TABLE: &str = ".shares";
const NEW: &str = ".shares.new";
const EPOCH: &str = ".epoch";
const NEW_EPOCH: &str = ".epoch.new";
const LOCK: &str = ".shares.lock";

#[cfg(test)]
mod tests;
