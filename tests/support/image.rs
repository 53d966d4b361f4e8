//! The memory of a running process, as root reads it, and what of a list of secrets is in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::child::Running;
use super::{A_WHILE, until};

/// What is looked for: 16 bytes or more, and what they are.
pub(crate) struct Needle {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Needle {
    pub(crate) fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= 16, "fewer would be found by chance");
        Self { name: name.into(), bytes: bytes.to_vec() }
    }

    /// Both halves of 32 bytes or more: what was written over in part shows too.
    pub(crate) fn halves(name: &str, bytes: &[u8]) -> [Self; 2] {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        [Self::new(format!("{name}, first half"), first), Self::new(format!("{name}, second half"), second)]
    }
}

/// All memory of a process that can be read, at one moment.
pub(crate) struct Image {
    regions: Vec<(String, Vec<u8>)>,
}

impl Image {
    /// Stops the process, does `meanwhile`, reads all, and lets it go on.
    pub(crate) fn of<T>(process: &Running, meanwhile: impl FnOnce() -> T) -> (Self, T) {
        let pid = process.pid();
        process.signal(Signal::STOP);
        until("the process to stand still", A_WHILE, || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
            let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            threads
                .flatten()
                .map(stat)
                .all(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
                .then_some(())
        });
        let regions = read(pid);
        let told = meanwhile();
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not nought");
        kill_process(pid, Signal::CONT).expect("it lives");
        (Self { regions }, told)
    }

    /// Reads all memory of a process as it runs.
    pub(crate) fn running(pid: u32) -> Self {
        Self { regions: read(pid) }
    }

    /// Returns the lines of the process's map whose memory has it.
    pub(crate) fn regions_with(&self, is_in: impl Fn(&[u8]) -> bool) -> Vec<String> {
        self.regions.iter().filter(|(_, bytes)| is_in(bytes)).map(|(name, _)| name.clone()).collect()
    }

    /// Returns the names of those that are in it, and where.
    pub(crate) fn holds(&self, needles: &[Needle]) -> Vec<String> {
        // By their first eight bytes, of which a bit set says at once that most places have none.
        let mut by_head: BTreeMap<u64, Vec<&Needle>> = BTreeMap::new();
        let mut maybe = vec![0_u64; 1 << 14];
        for needle in needles {
            let head = head(&needle.bytes);
            by_head.entry(head).or_default().push(needle);
            maybe[bit(head) / 64] |= 1 << (bit(head) % 64);
        }
        let mut found = Vec::new();
        for (name, bytes) in &self.regions {
            let mut at = 0;
            while at + 8 <= bytes.len() {
                let head = head(&bytes[at..]);
                // A page that was never written to.
                if head == 0 && at % 4096 == 0 && bytes[at..].get(..4096).is_some_and(|page| page.iter().all(|&byte| byte == 0)) {
                    at += 4096 - 7;
                    continue;
                }
                if maybe[bit(head) / 64] & 1 << (bit(head) % 64) != 0 {
                    let here = by_head.get(&head).into_iter().flatten().filter(|needle| bytes[at..].starts_with(&needle.bytes));
                    found.extend(here.map(|needle| format!("{} at {at:#x} of {name}", needle.name)));
                }
                at += 1;
            }
        }
        found
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.regions.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

fn head(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// One of 2²⁰ bits.
fn bit(head: u64) -> usize {
    usize::try_from(head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44).expect("20 bits")
}

fn read(pid: u32) -> Vec<(String, Vec<u8>)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process lives");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("whoever started a process may read its memory");
    let regions = maps.lines().filter(|line| !line.ends_with("[vvar]") && !line.ends_with("[vsyscall]")).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let (begin, end) = range.split_once('-')?;
        let [begin, end] = [begin, end].map(|at| u64::from_str_radix(at, 16).expect("hexadecimal"));
        rights.starts_with('r').then(|| (line.to_owned(), region(&memory, begin, end)))
    });
    regions.collect()
}

/// Reads a region; pages that cannot be read are left as zeros.
fn region(memory: &File, begin: u64, end: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(end - begin).expect("it fits in memory")];
    let mut at = 0;
    while at < bytes.len() {
        match memory.read_at(&mut bytes[at..], begin + at as u64) {
            Ok(len @ 1..) => at += len,
            _ => at = (at / 4096 + 1) * 4096,
        }
    }
    bytes
}
