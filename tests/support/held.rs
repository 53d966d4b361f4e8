//! What a recording holds of a crowd's calls, read by the product's own reader: for thousands of files that are to be looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mitschnitt::ids::Leg;
use mitschnitt::vault::{NodePublic, RecipientSecret, Record, Recording, Verdict, verify, verify_content};
use rusqlite::{Connection, OpenFlags};

use super::crowd::{LEGS, Mark, Spoken, call_id};
use super::site::Site;

/// Of each recording that a row names, its state and its reason; and how many rows there are.
pub(crate) type ReadRows = (BTreeMap<String, (String, String)>, usize);

/// A site's data directory, and the keys that open what lies there.
pub(crate) struct Vault {
    data: PathBuf,
    /// The directory on a spare disk.
    spare: Option<PathBuf>,
    node: NodePublic,
    secret: RecipientSecret,
}

/// A recording's file, opened.
pub(crate) struct Held {
    pub(crate) verdict: Verdict,
    /// The call of which it is; nothing where no packet is in it.
    pub(crate) call: Option<usize>,
    /// Gap records.
    pub(crate) gaps: usize,
    /// Packets that are missing between others.
    missing: usize,
    /// The first packet of each leg and the one after the last, in order.
    runs: [Option<(usize, usize)>; 2],
}

impl Vault {
    pub(crate) fn of(site: &Site) -> Self {
        let read = |name: &str| std::fs::read(site.path().join("keys").join(name)).expect("the keys were generated");
        let node = NodePublic::from_pem(&read("node.pub.pem")).expect("it is a node's key");
        let secret = RecipientSecret::from_pem(&read("desk.secret.pem")).expect("it is a recipient's key");
        Self { data: site.data(), spare: None, node, secret }
    }

    /// Of a site that has a spare disk.
    pub(crate) fn with_spare(site: &Site, spare: PathBuf) -> Self {
        Self { spare: Some(spare), ..Self::of(site) }
    }

    /// The names of what lies in the folder of the recordings, or of the keys, of all that end so.
    pub(crate) fn names(&self, folder: &str, ending: &str) -> Vec<String> {
        let folders = std::iter::once(&self.data).chain(&self.spare);
        let entries = folders.flat_map(|data| std::fs::read_dir(data.join(folder)).into_iter().flatten());
        let names = entries.map(|entry| entry.expect("it can be listed").file_name().into_string().expect("a plain name"));
        let mut names: Vec<_> = names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn rec(&self, id: &str) -> Vec<u8> {
        read(&self.on_spare(&format!("recordings/{id}.rec")))
    }

    /// Where a file lies: on the spare disk, if it is there.
    fn on_spare(&self, file: &str) -> PathBuf {
        let on_spare = self.spare.as_ref().map(|spare| spare.join(file)).filter(|path| path.exists());
        on_spare.unwrap_or_else(|| self.data.join(file))
    }

    /// Without a key that opens it.
    pub(crate) fn verdict(&self, rec: &[u8]) -> Verdict {
        verify(rec, &self.node).expect("it is of this node")
    }

    /// Opens what lies there; panics where a byte of it is not as it was written, or a packet is missing in the middle and no gap says so.
    pub(crate) fn open(&self, id: &str, rec: &[u8]) -> Held {
        let key_file = read(&self.on_spare(&format!("keys/{id}.key")));
        let mut held = Held { verdict: self.verdict(rec), call: None, gaps: 0, missing: 0, runs: [None; 2] };
        let Ok(recording) = Recording::open(rec, &key_file, &self.secret) else {
            assert!(matches!(held.verdict, Verdict::Cut(cut) if cut.chunks == 0), "{id} does not open: {}", held.verdict);
            return held;
        };
        held.verdict = verify_content(rec, &key_file, &self.secret, &self.node).expect("it is of this node, and opens");
        assert!(!matches!(held.verdict, Verdict::Broken(_)), "{id}: {}", held.verdict);
        for record in recording.records().map_while(Result::ok) {
            match record {
                Record::Rtp { leg, packet, .. } => held.take(id, leg, &packet),
                Record::Gap(_) => held.gaps += 1,
                Record::Evidence(_) | Record::Format(_) | Record::Quality(_) | Record::End(_) | Record::Other { .. } => {}
            }
        }
        assert!(held.missing == 0 || held.gaps > 0, "{id}: {} packets are missing, and nothing says so", held.missing);
        held
    }

    fn ledger(&self) -> Connection {
        let ledger = self.data.join("ledger.db");
        let db = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the ledger opens");
        db.busy_timeout(Duration::from_secs(15)).expect("a time-out can be set");
        db
    }

    /// State and reason by recording; of the calls without one, only their number.
    pub(crate) fn rows(&self) -> (BTreeMap<String, (String, String)>, usize) {
        self.read_rows().expect("the ledger opens, and a row is as it should be")
    }

    /// The same, where the disk still gives what was written: one that has failed may show zeros in its place.
    pub(crate) fn read_rows(&self) -> rusqlite::Result<ReadRows> {
        let db = self.ledger();
        let mut rows = db.prepare(ROWS)?;
        let rows = rows.query_map([], |row| Ok((row.get::<_, Option<String>>(0)?, (row.get(1)?, row.get(2)?))))?;
        let (mut recorded, mut without) = (BTreeMap::new(), 0);
        for row in rows {
            match row? {
                (Some(recording), said) => {
                    recorded.insert(recording, said);
                }
                (None, _) => without += 1,
            }
        }
        Ok((recorded, without))
    }

    /// What the ledger says of the recordings of these calls of the crowd.
    pub(crate) fn states_of(&self, calls: std::ops::Range<usize>) -> Vec<(Option<String>, String, String)> {
        let db = self.ledger();
        let mut row = db.prepare(ROW_OF_CALL).expect("the ledger has its tables");
        let rows = calls.map(|number| row.query_row([call_id(number)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))));
        rows.map(|row| row.unwrap_or_else(|error| (None, "nothing".to_owned(), error.to_string()))).collect()
    }

    /// The recordings of which the ledger says this.
    pub(crate) fn rows_in(&self, state: &str) -> Vec<String> {
        self.rows().0.into_iter().filter(|(_, (this, _))| this == state).map(|(recording, _)| recording).collect()
    }
}

/// The same of one call.
const ROW_OF_CALL: &str = "SELECT recording, state, reason FROM calls JOIN parties USING (call) WHERE call_id = ?1";

/// `salvaged` is no state of its own in the tables.
const ROWS: &str = "SELECT recording, CASE WHEN salvaged_us IS NULL THEN state ELSE 'salvaged' END, reason FROM calls";

impl Held {
    fn take(&mut self, id: &str, leg: Leg, packet: &[u8]) {
        let mark = Mark::of(packet).unwrap_or_else(|| panic!("{id}: nobody said this"));
        assert_eq!(
            (mark.leg, *self.call.get_or_insert(mark.call)),
            (leg.index(), mark.call),
            "{id} is of one call, each leg its own"
        );
        let (_, next) = self.runs[mark.leg].get_or_insert((mark.number, mark.number));
        assert!(mark.number >= *next, "{id}: each packet of {} once, and in order", LEGS[mark.leg]);
        self.missing += mark.number - *next;
        *next = mark.number + 1;
    }

    /// How many packets are there, of both.
    pub(crate) fn packets(&self) -> usize {
        self.runs.iter().flatten().map(|(first, next)| next - first).sum::<usize>() - self.missing
    }

    /// How long before this moment the first packet was sent that is not there.
    pub(crate) fn lost_before(&self, spoken: &Spoken, at: Instant) -> Duration {
        let talked = spoken.talked_from().unwrap_or(at);
        let of_leg = |leg: usize| {
            let sent = &spoken.legs[leg].sent;
            let missing = match self.runs[leg] {
                Some((_, next)) => sent.get(next),
                None => sent.iter().find(|&&sent| sent >= talked),
            };
            missing.map_or(Duration::ZERO, |&sent| at.saturating_duration_since(sent))
        };
        of_leg(0).max(of_leg(1))
    }

    /// How long after both had heard each other the first packet was sent that is there.
    pub(crate) fn began_after(&self, spoken: &Spoken) -> Duration {
        let Some(talked) = spoken.talked_from() else { return Duration::ZERO };
        let first = (0..2).filter_map(|leg| spoken.legs[leg].sent.get(self.runs[leg]?.0));
        first.map(|&sent| sent.saturating_duration_since(talked)).max().unwrap_or_default()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
