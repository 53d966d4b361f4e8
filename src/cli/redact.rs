//! `recordings redact`: what was said in a span taken out of a recording, so that nobody has its keys any more, and the rest stays as it was signed.
//!
//! ```text
//!  log ─▶ new file beside the old, verified ─▶ log ─▶ it takes the old one's place ─▶ new keys take the old ones' place, which are destroyed ─▶ log
//!                                                  a kill here leaves both sound: the keys so far open the new file, and the next go ends it;
//!                                                  it says so too of one that was killed before the last line
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::catalogue::{Access, Deed, Entry, Opening, Outcome, State, Store};
use crate::cli::closed::{Chained, Closed, Signed};
use crate::cli::doors::Doors;
use crate::cli::erase;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::counted;
use crate::cli::rewrap::in_words;
use crate::cli::secret::read_secret;
use crate::cli::show::no_such;
use crate::cli::site::{self, Site};
use crate::cli::span;
use crate::cli::term::Term;
use crate::cli::verify::{log_part, missing, unopened};
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::export::Span;
use crate::ids::RecordingId;
use crate::keyfolder::{KeyFolder, OldKeys};
use crate::vault::{
    self, Digest, KeyFile, NotRedacted, OpenError, Piece, Recipient, RecipientSecret, Recording, Redacted, TakenOut, UnwrapErr,
    Verdict,
};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) id: RecordingId,
    pub(super) span: span::Asked,
    pub(super) key: SecretKey,
    pub(super) purpose: String,
    pub(super) reason: String,
    pub(super) public: Vec<PathBuf>,
    pub(super) json: bool,
}

/// Takes a span out of a recording.
pub(super) fn redact(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    wanted.span.check()?;
    if wanted.span.is_all() {
        let trouble =
            Trouble::new("what is to be taken out?", "say it with --from and --to; `recordings erase` destroys all of it");
        return Err(Stop::Trouble(Exit::Usage, trouble));
    }
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let id = wanted.id;
    let Some(entry) = store.recording(id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {id}")));
    };
    // Alone before it is looked at: a hold, an erasure or a rewrap comes before this, or after it.
    let folder = KeyFolder::alone(&site.key_folders()).map_err(|undone| Stop::cannot(in_words(&undone), WHERE))?;
    let mut work = Work { site: &site, store: store.as_mut(), wanted, said: wanted.span.to_string() };
    if let Some((outcome, trouble)) = work.bar(&entry)? {
        work.log(outcome)?;
        return Err(Stop::Trouble(Exit::Refused, trouble));
    }
    work.log(Outcome::Granted)?;
    let done = work.take_out(config, &entry, &folder);
    work.log(match &done {
        Ok(_) => Outcome::Done,
        Err(Stop::Trouble(Exit::Refused, _)) => Outcome::WrongKey,
        Err(_) => Outcome::Failed,
    })?;
    let Done { packets: [pbx, trunk], came, root, chunks, taken, is_late } = done?;
    if wanted.json {
        let value = json!({
            "recording": id.to_string(), "taken_out": { "chunks": taken.chunks, "first": taken.first, "last": taken.last },
            "packets": [pbx, trunk], "root": Digest::from_bytes(root).to_string(),
            "digest": Digest::from_bytes(taken.digest).to_string(), "by_an_earlier_go": is_late,
        });
        return Ok(term.out.line(value)?);
    }
    let came = came.map_or_else(String::new, |(from, to)| format!(", that came from {}", Span { from, to }));
    let earlier = if is_late { " by an earlier go, which was cut short before it could say so" } else { "" };
    term.out.line(format_args!(
        "Recording {id}: {} from the PBX and {trunk} from the trunk were taken out{came}{earlier}; their keys are destroyed.",
        counted(pbx, "packet")
    ))?;
    Ok(term.out.line(format_args!("In all {taken}, of {chunks}; the rest is as the node has signed it."))?)
}

/// What is done.
struct Done {
    /// How many packets of the PBX and of the trunk were taken out: this time, or where it was an earlier one, in all.
    packets: [u64; 2],
    came: Option<(Duration, Duration)>,
    root: [u8; 32],
    chunks: u32,
    taken: TakenOut,
    /// Whether an earlier go has done it, and was cut short before it could say so.
    is_late: bool,
}

const WHERE: &str = "is this the machine of the recordings, and the service's user or root?";

const AS_IT_WAS: &str = "nothing was taken out";

/// What takes out.
struct Work<'w> {
    site: &'w Site,
    store: &'w mut dyn Store,
    wanted: &'w Wanted,
    /// What the access log says of it: the span, and once they are known, the chunks and the digest of what was done.
    said: String,
}

impl Work<'_> {
    /// Says why it may not be.
    fn bar(&mut self, entry: &Entry) -> Result<Option<(Outcome, Trouble)>, Stop> {
        let id = self.wanted.id;
        let refused = |outcome, what: String, remedy: &str| Ok(Some((outcome, Trouble::new(what, remedy))));
        match entry.state {
            State::Erased => {
                return refused(Outcome::Erased, format!("recording {id} was erased"), "nothing of it can be opened any more");
            }
            State::Recording => {
                let what = format!("recording {id} is still being made");
                return refused(
                    Outcome::Unfinished,
                    what,
                    "`mitschnitt calls pause` keeps out what is to come; take it out once the call is over",
                );
            }
            State::None | State::Torn => {
                let what = format!("recording {id} is torn: no signature covers it, and what would be left could not be proven");
                return refused(Outcome::Unfinished, what, "the next start of the proxy closes it; or erase all of it");
            }
            State::Sealed | State::Salvaged => {}
        }
        if let Some(own) = entry.purpose.as_deref().filter(|own| *own != self.wanted.purpose) {
            let what = format!("recording {id} was made for `{own}`, not for `{}`", self.wanted.purpose);
            return refused(
                Outcome::OtherPurpose,
                what,
                "a recording is opened for its own purpose only; this refusal is in the access log",
            );
        }
        // What must be kept must be kept whole: who may not erase it may not erase a part of it.
        Ok(erase::bar(self.site, self.store, entry, id)?.map(|(outcome, trouble)| {
            let remedy = if outcome == Outcome::Held {
                format!("`mitschnitt recordings release {id} --reason TEXT` lifts the hold")
            } else {
                "what must be kept is kept whole: from then on a span can be taken out".to_owned()
            };
            (outcome, Trouble::new(trouble.what(), remedy))
        }))
    }

    fn take_out(&mut self, config: &Path, entry: &Entry, folder: &KeyFolder) -> Result<Done, Stop> {
        let id = self.wanted.id;
        let secret = read_secret(&self.wanted.key)?;
        let node = self.site.node(None)?;
        let cannot = |undone| Stop::cannot(format!("recording {id}: {}", in_words(&undone)), AS_IT_WAS);
        folder.tidy(id).map_err(cannot)?;
        let Some(old) = folder.read(id).map_err(cannot)? else {
            return Err(Stop::cannot(
                format!("recording {id} has no wrapped keys"),
                "take them from a backup of the `keys` folder",
            ));
        };
        let keys = KeyFile::parse(&old.bytes).map_err(|fault| unopened(id, &OpenError::KeyFile(fault)))?;
        let recipients = self.recipients(config, &keys, &secret)?;
        let path = self.site.only_file(id)?.ok_or_else(|| match missing(self.site, id, Some(entry)) {
            Ok(trouble) => Stop::Trouble(Exit::NotSo, trouble),
            Err(stop) => stop,
        })?;
        let read = |error: io::Error| site::cannot_read(&path, "the recording", &error, AS_IT_WAS);
        let file = File::open(&path).map_err(read)?;
        let gone = self.chunks(&file, &old.bytes, &secret)?;
        let is_nothing = gone.is_empty();
        (&file).rewind().map_err(read)?;
        let input = BufReader::with_capacity(256 * 1024, &file);
        let redacted = vault::redact(input, &old.bytes, &secret, gone, &recipients, &mut UnwrapErr(getrandom::SysRng));
        let redacted = match redacted {
            Ok(redacted) => redacted,
            Err(error @ (NotRedacted::Already | NotRedacted::NoSuchChunks))
                if is_nothing || matches!(error, NotRedacted::Already) =>
            {
                let ended = self.end_late(&path, (folder, &old), &secret, &node)?;
                return ended.ok_or_else(|| not_redacted(id, &error));
            }
            Err(error) => return Err(not_redacted(id, &error)),
        };

        let beside = site::redacting(&path);
        let write = |error: io::Error| Stop::cannot(format!("cannot write `{}`: {error}", beside.display()), AS_IT_WAS);
        put_together(&file, &beside, &redacted).map_err(write)?;
        let checked = self.check(&beside, &redacted.key_file, &secret, &node).and_then(|found| {
            let is_same = found.0 == redacted.closing.root;
            is_same.then_some(found).ok_or_else(|| not_so(format!("the new file of recording {id} has another root")))
        });
        let (root, chunks, taken) = checked.inspect_err(|_| drop(fs::remove_file(&beside)))?;
        self.said = format!("{}, {taken}, {}", self.said, Digest::from_bytes(taken.digest));
        self.log(Outcome::Granted)?;

        fs::rename(&beside, &path)
            .and_then(|()| File::open(path.parent().unwrap_or_else(|| Path::new("/")))?.sync_all())
            .map_err(|error| self.half(&format!("cannot replace `{}`: {error}", path.display())))?;
        let replaced = folder.replace(id, &old, &redacted.key_file).and_then(|()| folder.forget());
        replaced.map_err(|undone| self.half(&in_words(&undone)))?;
        let Redacted { packets, came, .. } = redacted;
        Ok(Done { packets, came, root, chunks, taken, is_late: false })
    }

    /// Ends what an earlier go has made, to the end but for the last line of the log; says nothing where it is not so. What a kill had left beside
    /// the keys is destroyed by now, and of two disks the other may have the old ones still.
    fn end_late(
        &mut self,
        path: &Path,
        (folder, keys): (&KeyFolder, &OldKeys),
        secret: &RecipientSecret,
        node: &vault::NodePublic,
    ) -> Result<Option<Done>, Stop> {
        let id = self.wanted.id;
        let accesses = self.store.accesses(id)?;
        if !accesses.iter().any(|access| access.deed == Deed::Redact) {
            return Ok(None);
        }
        let (root, chunks, taken) = self.check(path, &keys.bytes, secret, node)?;
        let digest = Digest::from_bytes(taken.digest).to_string();
        let is_of_it = |access: &&Access| {
            access.deed == Deed::Redact && access.reason.as_ref().is_some_and(|reason| reason.contains(&digest))
        };
        let has = |outcome| accesses.iter().filter(is_of_it).any(|access| access.outcome == outcome);
        if !has(Outcome::Granted) || has(Outcome::Done) {
            return Ok(None);
        }
        let ended = folder.replace(id, keys, &keys.bytes).and_then(|()| folder.forget());
        ended.map_err(|undone| self.half(&in_words(&undone)))?;
        self.said = format!("{}, {taken}, {digest}", self.said);
        Ok(Some(Done { packets: taken.packets.unwrap_or_default(), came: None, root, chunks, taken, is_late: true }))
    }

    fn half(&self, what: &str) -> Stop {
        let remedy = "what was said there may still be opened: take it out again once the disk or the permission is put right";
        Stop::cannot(format!("recording {}: {what}", self.wanted.id), remedy)
    }

    /// Returns the public keys of all who are to open it: those who do now.
    fn recipients(&self, config: &Path, keys: &KeyFile, secret: &RecipientSecret) -> Result<Vec<Recipient>, Stop> {
        let named = self.wanted.public.iter().map(|path| {
            let pem = site::read_file(path, "the public key", "name the *.pub.pem file of one who opens the recording")?;
            Recipient::from_pem(&pem).map_err(|error| site::bad_key(path, &error))
        });
        let mut known = named.collect::<Result<Vec<_>, _>>()?;
        known.push(*secret.public());
        let settings = site::read(config)?.settings;
        let configured = settings.iter().flat_map(|settings| &settings.recipients);
        known.extend(configured.filter_map(|one| Recipient::from_pem(&fs::read(&one.public_key).ok()?).ok()));
        let found = keys.recipients().map(|name| {
            known.iter().find(|one| one.fingerprint() == name).copied().ok_or_else(|| {
                let what = format!("recording {} opens for {}, whose public key is not known here", self.wanted.id, name.short());
                let remedy = "name its file with --public; or take the key out before, with `mitschnitt keys rewrap --remove`";
                Stop::cannot(what, remedy)
            })
        });
        found.collect()
    }

    /// Returns the chunks that have what is to be taken out.
    fn chunks(&self, file: &File, keys: &[u8], secret: &RecipientSecret) -> Result<std::ops::Range<u32>, Stop> {
        let id = self.wanted.id;
        let failed = |error: OpenError| unopened(id, &error);
        let mut recording = Recording::open(file, keys, secret).map_err(failed)?;
        let index = recording.index().map_err(failed)?;
        let span = self.wanted.span.of(recording.length(&index).map_err(failed)?)?;
        recording.chunks_heard(&index, span.from..span.to).map_err(failed)
    }

    /// Verifies a file something was taken out of with its keys, as if it were in its place: nothing takes a place that does not. Returns the root,
    /// how many chunks it is of, and what was taken out.
    fn check(
        &self,
        path: &Path,
        keys: &[u8],
        secret: &RecipientSecret,
        node: &vault::NodePublic,
    ) -> Result<([u8; 32], u32, TakenOut), Stop> {
        let id = self.wanted.id;
        let file = File::open(path).map_err(|error| site::cannot_read(path, "the new file", &error, AS_IT_WAS))?;
        let input = BufReader::with_capacity(256 * 1024, file);
        let verdict = vault::verify_content(input, keys, secret, node).map_err(|error| unopened(id, &error))?;
        let closed = Closed::find(self.store, id)?;
        if let Some(other @ Chained::Other(_)) = Signed::of(&verdict).map(|signed| Chained::of(&signed, closed.as_ref())) {
            return Err(not_so(format!("recording {id} is whole and signed, {}", other.in_words())));
        }
        let found = match &verdict {
            Verdict::Complete(it) => it.taken_out.map(|taken| (it.root, it.chunks, taken)),
            Verdict::Salvaged(it) => it.taken_out.map(|taken| (it.root, it.chunks, taken)),
            Verdict::Cut(_) | Verdict::Broken(_) => None,
        };
        found.ok_or_else(|| not_so(format!("recording {id} is {verdict}")))
    }

    fn log(&mut self, outcome: Outcome) -> Result<(), Stop> {
        let Wanted { id, purpose, reason, .. } = self.wanted;
        let part = Some(format!("{}: {reason}", self.said));
        log_part(self.store, *id, (Some(purpose), part), Deed::Redact, outcome)
    }
}

fn not_so(what: String) -> Stop {
    Stop::Trouble(Exit::NotSo, Trouble::new(what, "nothing is taken out of what does not verify"))
}

fn put_together(old: &File, beside: &Path, redacted: &Redacted) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What a kill has left.
        Ok(()) | Err(_) => {}
    }
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let (owner, ours) = (old.metadata()?, new.metadata()?);
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(&new, Some(owner.uid()), Some(owner.gid()))?;
    }
    let (mut from, mut to) = (old, BufWriter::with_capacity(256 * 1024, &new));
    for piece in &redacted.pieces {
        match piece {
            Piece::Made(bytes) => to.write_all(bytes)?,
            Piece::Copied(part) => {
                from.seek(SeekFrom::Start(part.start))?;
                io::copy(&mut from.take(part.end.saturating_sub(part.start)), &mut to)?;
            }
        }
    }
    to.flush()?;
    drop(to);
    new.sync_all()
}

fn not_redacted(id: RecordingId, error: &NotRedacted) -> Stop {
    let what = || format!("recording {id}: {error}");
    match error {
        NotRedacted::Open(error) => unopened(id, error),
        NotRedacted::NoSuchChunks | NotRedacted::Already => {
            let what = format!("recording {id}: nothing came in this span, or it was taken out before");
            Stop::cannot(what, "`mitschnitt recordings show` has what was done to it; --from and --to count from its beginning")
        }
        NotRedacted::Version | NotRedacted::TooLong => Stop::cannot(what(), "erase all of it: `mitschnitt recordings erase`"),
        NotRedacted::Unreadable(_) => Stop::Trouble(Exit::NotSo, Trouble::new(what(), AS_IT_WAS)),
        NotRedacted::Mixed | NotRedacted::Recipient(_) => {
            Stop::cannot(what(), "`mitschnitt keys rewrap --remove` takes out the keys of the other kind")
        }
    }
}
