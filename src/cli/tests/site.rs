//! A small installation made of the vault's test vectors, and a ledger in memory.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::access::User;
use crate::catalogue::{
    About, Access, Bound, Chain, Cleared, Deed, Entry, Event, Filter, Heard, Keeping, KeptCall, Likeness, Link, Note, Number,
    Opening, Outcome, Parties, Purged, Reason, Rights, Roster, RosterLine, Stamp, Stamps, State, Store, StoreError, Stored,
    Subject, Totals, Turn, Warrant, Warrants, Which, Write, erasure, standing,
};
use crate::cli::asked::Asked;
use crate::cli::doors::{Doors, exit};
use crate::cli::exit::{Exit, Stop};
use crate::cli::gate;
use crate::cli::term::{Colour, Stream, Term};
use crate::control::{Reply, Trouble, api};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::Wall;
use crate::vault::{HeadKey, SignedHead};

pub(super) const CONFIG: &str = r#"[sip]
listen = "udp 127.0.0.1:5060"
strangers = "drop"
[pbx]
address = "127.0.0.1:5090"
[[trunk]]
name = "carrier"
address = "127.0.0.1:5080"
[media]
address = "127.0.0.1"
ports = "20000-60000"
[metrics]
listen = "127.0.0.1:9464"
[data]
directory = "HOME/data"
[[recipient]]
name = "desk"
purposes = ["quality"]
public_key = "HOME/keys/desk.pub.pem"
[[policy]]
name = "vip"
direction = "outbound"
called_prefix = "+4989"
mode = "never"
[[policy]]
name = "all"
purpose = "quality"
legal_basis = "consent, GDPR 6(1)(a)"
mode = "opt-in"
must_agree = ["remote"]
key = "1"
answer_s = 5
announcement = { de = "HOME/a.wav" }
[[retention]]
purpose = "quality"
longest = "90d"
"#;

pub(super) const COMPLETE: &[u8] = include_bytes!("../../../tests/vault/vectors/complete.rec");

pub(super) struct Site {
    pub(super) home: TempDir,
    pub(super) store: Arc<Mutex<Memory>>,
    /// Who types the commands.
    pub(super) user: User,
}

/// The answer as the proxy writes it.
fn answered(first: &str, body: &[u8], reply: Reply) -> Vec<u8> {
    let (method, target) = first.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (route, id) = api::Route::find(method, path).unwrap();
    let request = api::question(route, id, &api::Fields::read(route, query, body).unwrap()).unwrap();
    let (status, body) = match api::told(&request, reply) {
        Ok(value) => (200, value.to_string()),
        Err(problem) => (problem.status, serde_json::to_string(&problem).unwrap()),
    };
    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(super) struct Said {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

impl Site {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let site = Self { home, store: Arc::default(), user: User { uid: 0, name: Some("root".into()), groups: Vec::new() } };
        fs::write(site.config(), CONFIG.replace("HOME", site.home().to_str().unwrap())).unwrap();
        fs::write(site.home().join("a.wav"), "RIFF").unwrap();
        site
    }

    /// A sealed recording, a torn one, and a call without one.
    pub(super) fn with_recordings() -> Self {
        let site = Self::new();
        let files: [(String, &[u8]); 7] = [
            ("data/node.pub.pem".into(), include_bytes!("../../../tests/vault/vectors/node.pub.pem")),
            ("recipient.pem".into(), include_bytes!("../../../tests/vault/vectors/recipient.pem")),
            ("stranger.pem".into(), include_bytes!("../../../tests/vault/vectors/stranger.pem")),
            (format!("data/recordings/{}.rec", id()), COMPLETE),
            (format!("data/keys/{}.key", id()), include_bytes!("../../../tests/vault/vectors/complete.key")),
            (format!("data/recordings/{}.rec", other()), include_bytes!("../../../tests/vault/vectors/cut-between-chunks.rec")),
            (format!("data/keys/{}.key", other()), include_bytes!("../../../tests/vault/vectors/complete.key")),
        ];
        for (name, bytes) in files {
            let path = site.home().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let sealed = Entry {
            totals: Some(Totals { packets: [40, 39], gaps: 1, lost: 2, size_bytes: u64::try_from(COMPLETE.len()).unwrap() }),
            ..entry(1, 0, 62)
        };
        let torn = Entry {
            direction: Some(Direction::Outbound),
            state: State::Torn,
            reason: Reason::Torn,
            recording: Some(other()),
            ended: None,
            ..entry(2, 600, 0)
        };
        let unrecorded = Entry {
            state: State::None,
            reason: Reason::ConsentTimeout,
            leg: Some(Leg::Trunk),
            recording: None,
            purpose: None,
            parties: None,
            ..entry(3, 1200, 20)
        };
        site.store.lock().unwrap().entries = vec![sealed, torn, unrecorded];
        site
    }

    pub(super) fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    /// What lies in its folder, hidden or not.
    pub(super) fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    pub(super) fn config(&self) -> PathBuf {
        self.home().join("site.toml")
    }

    pub(super) fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    pub(super) fn export(&self, purpose: &'static str, out: &str) -> Vec<&'static str> {
        let out = if out == "one.wav" { "HOME/one.wav" } else { "HOME/two.wav" };
        vec!["recordings", "export", "ID", "--key", "HOME/recipient.pem", "--purpose", purpose, "--format", "wav", "--out", out]
    }

    pub(super) fn outcomes(&self) -> Vec<(Deed, Outcome)> {
        self.store.lock().unwrap().accesses.iter().map(|access| (access.deed, access.outcome)).collect()
    }

    /// Answers one request to the running proxy's API, and returns its first line and its body.
    pub(super) fn proxy_answers(&self, reply: &Reply) -> std::thread::JoinHandle<String> {
        let listener = UnixListener::bind(self.home().join("data/control.sock")).unwrap();
        let reply = reply.clone();
        std::thread::Builder::new()
            .spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut length) = (String::new(), 0);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.split_once(':') else { break };
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let first = first.trim_end().trim_end_matches(" HTTP/1.1");
                stream.write_all(&answered(first, &body, reply)).unwrap();
                format!("{first} {}", String::from_utf8(body).unwrap())
            })
            .unwrap()
    }

    /// Says what a command says that must end well.
    pub(super) fn says(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""), "{}", said.out);
        said.out
    }

    pub(super) fn run(&self, words: &[&str]) -> Said {
        let config = self.config();
        self.bare(&[words, &["--config", config.to_str().unwrap()]].concat())
    }

    /// Asks over HTTP for its file, as far as whether he may.
    pub(super) fn fetches(&self, (name, uid): (&str, u32), purpose: Option<&str>) -> Result<(), Stop> {
        let store = Arc::clone(&self.store);
        let open = move |_: &Path, _: Opening| Ok(Box::new(Shared(Arc::clone(&store))) as Box<dyn Store>);
        let user = User { uid, name: Some(name.to_owned()), groups: Vec::new() };
        let doors = Doors {
            run: &|_, _| unreachable!("nothing is run"),
            demo: &|_, _| unreachable!("nothing is shown"),
            open_store: &open,
            user: &|| user.clone(),
            payloads: &|_, _| unreachable!("nothing is announced"),
            announcement: &|_| unreachable!("nothing is announced"),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut term =
            Term { out: Stream::new(&mut out, Colour::Plain), err: Stream::new(&mut err, Colour::Plain), may_ask: false };
        let config = self.config();
        gate::pass(Some(Asked::to_fetch(&config, id(), purpose)), None, &doors, &mut term).map(drop)
    }

    pub(super) fn bare(&self, words: &[&str]) -> Said {
        let home = self.home().to_str().unwrap().to_owned();
        let names = [("HOME", home), ("ID", id().to_string()), ("OTHER", other().to_string())];
        let words = words.iter().map(|word| {
            let whole = names.iter().find(|(name, _)| name == word).map(|(_, value)| value.clone());
            OsString::from(whole.unwrap_or_else(|| word.replace("HOME", &names[0].1)))
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let store = Arc::clone(&self.store);
        let user = self.user.clone();
        let doors = Doors {
            run: &|settings, _| Err(Trouble::new(format!("ran with {} policies", settings.policies.len()), "as the test wanted")),
            demo: &|_, _| Ok(()),
            open_store: &move |path, _: Opening| {
                let memory = Arc::clone(&store);
                let is_empty = memory.lock().unwrap().entries.is_empty();
                if is_empty { Err(StoreError::Missing { path: path.into() }) } else { Ok(Box::new(Shared(memory))) }
            },
            user: &|| user.clone(),
            payloads: &|bytes, _| match bytes {
                b"#!rtpplay1.0 " => Ok(Duration::from_millis(1500)),
                _ => Err(Trouble::new("it is no rtpdump file", "export it again")),
            },
            announcement: &|bytes| match bytes {
                b"RIFF" => Ok(Duration::from_millis(1500)),
                _ => Err(Trouble::new("it is no WAV", "record it again")),
            },
        };
        let mut term =
            Term { out: Stream::new(&mut out, Colour::Plain), err: Stream::new(&mut err, Colour::Plain), may_ask: false };
        let exit = exit([OsString::from("mitschnitt")].into_iter().chain(words), &doors, &mut term);
        let plain = |bytes: Vec<u8>| {
            let mut text = String::from_utf8(bytes).unwrap();
            for (name, value) in &names {
                text = text.replace(value, name);
            }
            fingerprints(&text.replace(&format!("{} bytes", COMPLETE.len()), "SIZE bytes"))
        };
        Said { exit, out: plain(out), err: plain(err) }
    }
}

/// `3f2a-9c01-77de-1b04` is another in every run.
fn fingerprints(text: &str) -> String {
    let is_one = |word: &str| {
        word.len() == 19 && word.split('-').all(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    text.split_inclusive([' ', '\n'])
        .map(|word| {
            let bare = word.trim_end();
            if is_one(bare) { word.replace(bare, "FINGERPRINT") } else { word.to_owned() }
        })
        .collect()
}

/// The complete vector's name for itself.
pub(super) fn id() -> RecordingId {
    RecordingId::from_bytes([1; 16])
}

pub(super) fn other() -> RecordingId {
    RecordingId::from_bytes([0xee; 16])
}

pub(super) fn wall(seconds: i64) -> Wall {
    Wall::from_unix_micros(1_795_512_600_250_000 + seconds * 1_000_000)
}

pub(super) fn entry(call: u64, began: i64, talked: i64) -> Entry {
    Entry {
        call: CallId::from_u64(call),
        began: wall(began),
        answered: Some(wall(began + 2)),
        ended: Some(wall(began + 2 + talked)),
        direction: Some(Direction::Inbound),
        trunk: Some(TrunkName::new("carrier")),
        policy: Some("all".into()),
        purpose: Some("quality".into()),
        state: State::Sealed,
        reason: Reason::Recorded,
        leg: None,
        recording: Some(id()),
        totals: None,
        quality: None,
        parties: Some(Parties {
            calling: Private::new("+4930123456".into()),
            called: Private::new("100".into()),
            call_id: Private::new("a@b".into()),
            indexed: vec![
                ("Session-ID".into(), Private::new("ab30317f1a784dc48ff824d0d3715d86".into())),
                ("X-Deal".into(), Private::new("D-4711".into())),
            ],
        }),
        is_redacted: false,
    }
}

/// A ledger in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) entries: Vec<Entry>,
    pub(super) accesses: Vec<Access>,
    pub(super) log_is_full: bool,
    pub(super) links: Vec<Link>,
    pub(super) roster: Vec<RosterLine>,
    pub(super) notes: Vec<Note>,
    pub(super) turns: Vec<Turn>,
    pub(super) events: Vec<Event>,
    pub(super) warrants: Vec<Warrant>,
    /// What is found of what was cleared.
    pub(super) purged: Option<Purged>,
}

struct Shared(Arc<Mutex<Memory>>);

impl Store for Shared {
    fn write(&mut self, _: &[Write]) -> Result<(), StoreError> {
        unreachable!("the command line writes no rows")
    }

    fn without_row(&self, _: Vec<RecordingId>) -> Result<Vec<RecordingId>, StoreError> {
        unreachable!("the command line looks for no rows that were lost")
    }

    fn kept(&self) -> Result<Vec<KeptCall>, StoreError> {
        unreachable!("the command line restores no calls")
    }

    fn mark_torn(&mut self) -> Result<[u64; 2], StoreError> {
        unreachable!("the command line marks no rows")
    }

    fn torn(&self) -> Result<Vec<RecordingId>, StoreError> {
        unreachable!("the command line closes no recordings")
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        let memory = self.0.lock().unwrap();
        let wanted = memory.entries.iter().filter(|entry| {
            (filter.which == Which::All || entry.recording.is_some())
                && filter.reason.is_none_or(|reason| reason == entry.reason)
                && (filter.heard == Heard::Any || entry.quality.is_some())
                && filter.from.is_none_or(|from| from <= entry.began)
                && filter.to.is_none_or(|to| entry.began < to)
                && filter.party.as_ref().is_none_or(|party| party.is_of(entry))
                && filter.indexed.as_ref().is_none_or(|wanted| {
                    entry.parties.iter().flat_map(|parties| &parties.indexed).any(|indexed| indexed == wanted)
                })
        });
        let wanted: Vec<_> = wanted.cloned().collect();
        let skipped = filter.newest.map_or(0, |newest| wanted.len().saturating_sub(usize::try_from(newest).unwrap()));
        Ok(wanted.into_iter().skip(skipped).collect())
    }

    fn recording(&self, recording: RecordingId) -> Result<Option<Entry>, StoreError> {
        Ok(self.0.lock().unwrap().entries.iter().find(|entry| entry.recording == Some(recording)).cloned())
    }

    fn call(&self, call: CallId) -> Result<Option<Entry>, StoreError> {
        Ok(self.0.lock().unwrap().entries.iter().find(|entry| entry.call == call).cloned())
    }

    fn record_access(&mut self, access: &Access) -> Result<(), StoreError> {
        let mut memory = self.0.lock().unwrap();
        if memory.log_is_full {
            return Err(StoreError::Full { path: "ledger.db".into() });
        }
        memory.accesses.push(access.clone());
        if (access.deed, access.outcome) == (Deed::Redact, Outcome::Done) {
            let redacted = memory.entries.iter_mut().filter(|entry| entry.recording == Some(access.recording));
            redacted.for_each(|entry| entry.is_redacted = true);
        }
        if (access.deed, access.outcome) == (Deed::Erase, Outcome::Done) {
            let erased = memory.entries.iter_mut().filter(|entry| entry.recording == Some(access.recording));
            erased.for_each(|entry| entry.state = State::Erased);
        }
        Ok(())
    }

    fn turns(&self, call: CallId) -> Result<Vec<Turn>, StoreError> {
        Ok(self.0.lock().unwrap().turns.iter().filter(|turn| turn.call == call).cloned().collect())
    }

    fn accesses(&self, recording: RecordingId) -> Result<Vec<Access>, StoreError> {
        Ok(self.0.lock().unwrap().accesses.iter().filter(|access| access.recording == recording).cloned().collect())
    }
}

impl Chain for Shared {
    fn sign_with(&mut self, _: HeadKey) {
        unreachable!("the command line signs nothing")
    }

    fn note(&mut self, events: &[Event]) -> Result<(), StoreError> {
        self.0.lock().unwrap().events.extend_from_slice(events);
        Ok(())
    }

    fn sign(&mut self) -> Result<Option<SignedHead>, StoreError> {
        unreachable!("the command line signs nothing")
    }

    fn head(&self) -> Result<Option<SignedHead>, StoreError> {
        Ok(None)
    }

    fn last_start(&self) -> Result<Option<u64>, StoreError> {
        unreachable!("the command line looks through all")
    }

    fn freeze(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn links(&self, _: u64, each: &mut dyn FnMut(Link, Option<SignedHead>)) -> Result<(), StoreError> {
        self.0.lock().unwrap().links.iter().cloned().for_each(|link| each(link, None));
        Ok(())
    }

    fn bound(&self, _: &mut dyn FnMut(Bound)) -> Result<(), StoreError> {
        unreachable!("tests/audit.rs has a ledger with a chain")
    }
}

impl Rights for Shared {
    fn note_down(&mut self, note: &Note) -> Result<u64, StoreError> {
        let mut memory = self.0.lock().unwrap();
        if memory.log_is_full {
            return Err(StoreError::Full { path: "ledger.db".into() });
        }
        let number = memory.notes.len() as u64 + 1;
        memory.notes.push(Note { number, ..note.clone() });
        Ok(number)
    }

    fn notes(&self) -> Result<Vec<Note>, StoreError> {
        Ok(self.0.lock().unwrap().notes.clone())
    }

    fn of_person(&self, number: &Number) -> Result<Vec<u64>, StoreError> {
        let memory = self.0.lock().unwrap();
        let is_of = |note: &&Note| matches!(&note.about, About::Person(Some(person)) if person == number.form());
        Ok(memory.notes.iter().filter(is_of).map(|note| note.number).collect())
    }

    fn clear(&mut self, calls: &[CallId], person: Option<&Number>) -> Result<Cleared, StoreError> {
        let memory = &mut *self.0.lock().unwrap();
        let cleared = memory.entries.iter_mut().filter(|entry| calls.contains(&entry.call));
        let calls = cleared.filter_map(|entry| entry.parties.take()).count() as u64;
        let stand: Vec<u64> = standing(&memory.roster).iter().map(|line| line.number).collect();
        let gone = memory.roster.iter_mut().filter(|line| !stand.contains(&line.number));
        let gone = gone.filter(|line| person.is_some_and(|person| person.likeness(&line.party) == Likeness::Same));
        let lines = gone.map(|line| line.party = Private::new(String::new())).count() as u64;
        Ok(Cleared { calls, lines })
    }

    fn purge(&mut self, _: &[Private<String>]) -> Result<Purged, StoreError> {
        Ok(self.0.lock().unwrap().purged.unwrap_or(Purged::Clean))
    }
}

impl Keeping for Shared {
    fn holds(&self, recording: Option<RecordingId>) -> Result<Vec<Access>, StoreError> {
        let mut held: Vec<Access> = Vec::new();
        let memory = self.0.lock().unwrap();
        for access in memory.accesses.iter().filter(|access| access.outcome == Outcome::Done) {
            match access.deed {
                Deed::Hold => held.push(access.clone()),
                Deed::Release => held.retain(|hold| hold.recording != access.recording),
                Deed::Export | Deed::Play | Deed::Verify | Deed::Erase | Deed::Rewrap | Deed::Redact | Deed::Bundle => {}
            }
        }
        held.retain(|hold| recording.is_none_or(|recording| recording == hold.recording));
        Ok(held)
    }

    fn stored(&self, erased_since: Option<Wall>) -> Result<Vec<Stored>, StoreError> {
        let held = self.holds(None)?;
        let memory = self.0.lock().unwrap();
        let stored = memory.entries.iter().filter_map(|entry| {
            let is_held = held.iter().any(|hold| Some(hold.recording) == entry.recording);
            let of_it =
                || memory.accesses.iter().filter(|access| Some(access.recording) == entry.recording).cloned().collect::<Vec<_>>();
            let erased = erasure(&of_it()).cloned();
            let is_wanted = erased.as_ref().is_none_or(|erased| erased_since.is_some_and(|since| since <= erased.at));
            Stored::of(entry, is_held)
                .map(|stored| Stored { erased_by: erased.map(|erased| erased.who.into()), ..stored })
                .filter(|_| is_wanted)
        });
        Ok(stored.collect())
    }

    fn pace(&self) -> Result<Option<Wall>, StoreError> {
        Ok(None)
    }

    fn set_pace(&mut self, _: Wall) -> Result<(), StoreError> {
        unreachable!("the command line erases by the wall clock")
    }
}

impl Roster for Shared {
    fn enter(&mut self, lines: &[RosterLine]) -> Result<(), StoreError> {
        let mut memory = self.0.lock().unwrap();
        for line in lines {
            let number = memory.roster.len() as u64 + 1;
            memory.roster.push(RosterLine { number, ..line.clone() });
        }
        Ok(())
    }

    fn roster(&self) -> Result<Vec<RosterLine>, StoreError> {
        Ok(self.0.lock().unwrap().roster.clone())
    }
}

impl Warrants for Shared {
    fn warrant(&mut self, warrant: &Warrant) -> Result<u64, StoreError> {
        let mut memory = self.0.lock().unwrap();
        let number = memory.warrants.len() as u64 + 1;
        memory.warrants.push(Warrant { number, ..warrant.clone() });
        Ok(number)
    }

    fn warrants(&self) -> Result<Vec<Warrant>, StoreError> {
        Ok(self.0.lock().unwrap().warrants.clone())
    }

    fn warrants_after(&self, _: u64) -> Result<Vec<Warrant>, StoreError> {
        unreachable!("the command line reads all of them")
    }

    fn denied_after(&self, _: u64) -> Result<(u64, u64), StoreError> {
        unreachable!("the proxy alone counts them")
    }

    fn exports(&self, since: Wall) -> Result<Vec<Access>, StoreError> {
        let is_out = |access: &Access| matches!(access.deed, Deed::Export | Deed::Bundle);
        let begun = |access: &&Access| is_out(access) && access.outcome == Outcome::Granted && access.at >= since;
        Ok(self.0.lock().unwrap().accesses.iter().filter(begun).cloned().collect())
    }
}

impl Stamps for Shared {
    fn wait(&mut self, _: &[Subject], _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn next(&self) -> Result<(Option<Stamp>, u64), StoreError> {
        Ok((None, 0))
    }

    fn stamps(&self, _: &mut dyn FnMut(Stamp)) -> Result<(), StoreError> {
        Ok(())
    }
}
