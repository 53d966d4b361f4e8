//! `recordings bundle`: everything that somebody needs elsewhere to verify a recording, in one archive.
//!
//! ```text
//!   mitschnitt-<id>/README.txt        what is what, and how to verify it with openssl and with the second reader
//!                   node.pub.pem      whose signature it is
//!                   closing.msg/.sig  what the node has signed of the recording
//!                   ledger.jsonl      the ledger's chain from the recording's first event to a head that the node has signed
//!                   head.msg/.sig     that head; head.txt: the same in print
//!                   read.py format.md chain.md
//!                   <id>.key <id>.rec
//! ```
//!
//! Of a span, `<id>.span` and `proof.json` take the place of the recording: some of its chunks, and what proves them to be of it.
//!
//! The recording comes last, so that whoever reads the archive once has all that it is verified by before it.

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::catalogue::{Access, Deed, Link, Opening, Outcome, State, Store, Tip};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::output::{Output, not_written};
use crate::cli::part::{self, Part};
use crate::cli::show::no_such;
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::cli::verify::unopened;
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::vault::{NodePublic, SignedClosing, SignedHead, TakenOut};

/// The second reader and the specifications, as of this version.
const READER: &str = include_str!("../../tests/vault/read.py");
const FORMAT: &str = include_str!("../manual/format.md");
const CHAIN: &str = include_str!("../manual/chain.md");

/// What is wanted.
pub(super) struct Wanted {
    pub(super) id: RecordingId,
    pub(super) out: PathBuf,
    pub(super) reason: String,
    /// What of it; nothing where it is all.
    pub(super) part: Option<part::Asked>,
    pub(super) node: Option<PathBuf>,
    pub(super) json: bool,
}

/// A piece of the chain, and the head that the node has signed at its end.
pub(super) struct Proof {
    /// Where the chain stood before it.
    pub(super) before: Tip,
    pub(super) links: Vec<Link>,
    pub(super) head: SignedHead,
}

/// Makes the archive.
pub(super) fn bundle(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let id = wanted.id;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let Some(entry) = store.recording(id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {id}")));
    };
    if matches!(entry.state, State::Recording | State::Torn) {
        let what = format!("recording {id} is not closed");
        return Err(Stop::Trouble(
            Exit::Refused,
            Trouble::new(what, "it can be bundled once it is sealed, or salvaged at the next start"),
        ));
    }
    let node = site.node(wanted.node.as_deref())?;
    let opened = || {
        site.open(id)?.ok_or_else(|| Stop::cannot(format!("the file of recording {id} is not there"), "take it from a backup"))
    };
    let (file, _) = opened()?;
    let (closing, taken) =
        SignedClosing::read(BufReader::with_capacity(256 * 1024, &file)).map_err(|error| unopened(id, &error))?;
    let proof = proof(store.as_ref(), id)?;
    let keys = (entry.state != State::Erased).then(|| site.wrapped(id)).transpose()?;

    log(store.as_mut(), wanted, Outcome::Granted)?;
    let part = match find(wanted, &file, keys.as_deref(), &node) {
        Ok(part) => part,
        Err(stop) => {
            log(store.as_mut(), wanted, Outcome::Failed)?;
            return Err(stop);
        }
    };
    let out = Output::create(&wanted.out)?;
    let written = (|| -> Result<(), Stop> {
        let failed = |error: std::io::Error| not_written(&wanted.out, &error);
        let mut archive = Archive::begin(out.file(), format!("mitschnitt-{id}"), entry.began.unix_micros());
        archive
            .put("README.txt", readme(id, (&closing, taken.as_ref()), proof.as_ref(), keys.is_some(), part.as_ref()).as_bytes())
            .map_err(failed)?;
        archive.put("node.pub.pem", node.to_pem().as_bytes()).map_err(failed)?;
        archive.put("closing.msg", &closing.message).map_err(failed)?;
        archive.put("closing.sig", &closing.signature).map_err(failed)?;
        if let Some(proof) = &proof {
            archive.put("ledger.jsonl", lines(proof).as_bytes()).map_err(failed)?;
            archive.put("head.msg", proof.head.head.message().as_bytes()).map_err(failed)?;
            archive.put("head.sig", &proof.head.signature).map_err(failed)?;
            archive.put("head.txt", format!("{}\n", proof.head).as_bytes()).map_err(failed)?;
        }
        archive.put("read.py", READER.as_bytes()).map_err(failed)?;
        archive.put("format.md", FORMAT.as_bytes()).map_err(failed)?;
        archive.put("chain.md", CHAIN.as_bytes()).map_err(failed)?;
        if let Some(keys) = &keys {
            archive.put(&format!("{id}.key"), keys).map_err(failed)?;
        }
        match &part {
            Some(part) => {
                archive.put("proof.json", part.to_json(id).as_bytes()).map_err(failed)?;
                archive.append(&format!("{id}.span"), part.bytes(), part.reader(&file)).map_err(failed)?;
            }
            None => {
                let (file, length) = opened()?;
                archive.put_file(&format!("{id}.rec"), file, length).map_err(failed)?;
            }
        }
        archive.end().map_err(failed)
    })();
    let done = written.and_then(|()| out.hash()).and_then(|hash| out.publish().map(|()| hash));
    log(store.as_mut(), wanted, if done.is_ok() { Outcome::Done } else { Outcome::Failed })?;
    tell(
        wanted,
        &Told { closing: &closing, taken: taken.as_ref(), proof: proof.as_ref(), part: part.as_ref(), hash: &done? },
        term,
    )
}

fn find(wanted: &Wanted, file: &File, keys: Option<&[u8]>, node: &NodePublic) -> Result<Option<Part>, Stop> {
    let Some(asked) = &wanted.part else { return Ok(None) };
    let Some(keys) = keys else {
        let what = format!("no span of recording {} can be found: its keys were destroyed", wanted.id);
        return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, "all of it can be bundled, without --from and --to")));
    };
    asked.find(wanted.id, file, keys, node).map(Some)
}

/// What is said of an archive.
struct Told<'b> {
    closing: &'b SignedClosing,
    taken: Option<&'b TakenOut>,
    proof: Option<&'b Proof>,
    part: Option<&'b Part>,
    hash: &'b str,
}

fn tell(wanted: &Wanted, told: &Told<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let Told { closing, taken, proof, part, hash } = told;
    let word = if closing.is_complete { "complete" } else { "salvaged" };
    if wanted.json {
        let events = proof.map(|proof| proof.links.len());
        let mut value = json!({
            "recording": wanted.id.to_string(), "file": wanted.out.display().to_string(), "sha256": hash, "node": closing.node.to_string(),
            "closed": word, "events": events, "taken_out": taken.map(|taken| taken.chunks),
        });
        if let (Some(part), Value::Object(fields)) = (part, &mut value) {
            let (span, chunks) = (part.span, part.chunks());
            let said =
                json!({ "from_s": span.from.as_secs_f64(), "to_s": span.to.as_secs_f64(), "chunks": [chunks.start, chunks.end] });
            fields.insert("span".into(), said);
        }
        return Ok(term.out.line(value)?);
    }
    term.out.line(format_args!("{}", wanted.out.display()))?;
    term.out.line(format_args!("  recording {}, {word}, {} chunks", wanted.id, closing.chunks))?;
    if let Some(taken) = taken {
        term.out.line(format_args!("  of it {taken}, as the bundle says"))?;
    }
    if let Some(part) = part {
        let chunks = part.chunks();
        let chunks = format!("chunks {} to {}, and that of the evidence", chunks.start, chunks.end.saturating_sub(1));
        term.out.line(format_args!("  of it {}: {chunks}", part.in_words()))?;
    }
    match proof {
        Some(proof) => {
            let events = proof.links.len();
            term.out.line(format_args!("  with {events} events of the ledger, up to head {}", proof.head.head.seq))?;
        }
        None => term.out.line("  without the ledger's word for it: it is older than the ledger's chain")?,
    }
    term.out.line(format_args!("  node {}", closing.node))?;
    term.out.line(format_args!("  sha256 {hash}"))?;
    Ok(term
        .out
        .line(format_args!("  mitschnitt recordings verify --bundle {} verifies it, here and elsewhere", wanted.out.display()))?)
}

/// Returns the chain from the recording's first event up to the first head that is signed after its closing, and after all that was taken out of it.
fn proof(store: &dyn Store, id: RecordingId) -> Result<Option<Proof>, Stop> {
    let mut last = None;
    store.links(0, &mut |link: Link, _| {
        let event = link.event().filter(|event| event.recording() == Some(id));
        if event.is_some_and(|event| matches!(event.kind(), "sealed" | "salvaged" | "redacted")) {
            last = Some(link.seq);
        }
    })?;
    let Some(last) = last else { return Ok(None) };
    let (mut before, mut links, mut is_closed, mut head) = (Tip::EMPTY, Vec::new(), false, None);
    store.links(0, &mut |link: Link, signed: Option<SignedHead>| {
        if head.is_some() {
            return;
        }
        let kind = link.event().filter(|event| event.recording() == Some(id)).map(|event| event.kind());
        if links.is_empty() && kind.is_none() {
            before = link.tip();
            return;
        }
        is_closed |= matches!(kind, Some("sealed" | "salvaged"));
        let is_all = is_closed && link.seq >= last;
        links.push(link);
        if is_all {
            head = signed;
        }
    })?;
    match (is_closed, head) {
        (false, _) => Ok(None),
        (true, Some(head)) => Ok(Some(Proof { before, links, head })),
        (true, None) => Err(Stop::cannot(
            format!("the ledger's word for recording {id} is not signed yet"),
            "the running proxy signs it within a moment, or the next start does",
        )),
    }
}

/// The links as lines of JSON; the first line says what the chain's last hash was before.
fn lines(proof: &Proof) -> String {
    let mut text = format!("{}\n", json!({ "seq": proof.before.seq, "hash": proof.before.hash.to_string() }));
    for Link { seq, at, kind, body, hash } in &proof.links {
        let line = json!({ "seq": seq, "at_us": at.unix_micros(), "kind": kind, "body": body, "hash": hash.to_string() });
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// Reads what [`lines`] has written; nothing where it is not that.
pub(super) fn read_lines(text: &str) -> Option<(Tip, Vec<Link>)> {
    let mut lines = text.lines().map(serde_json::from_str::<Value>);
    let hash = |line: &Value| line.get("hash")?.as_str()?.parse().ok();
    let seq = |line: &Value| line.get("seq")?.as_u64();
    let first = lines.next()?.ok()?;
    let before = Tip { seq: seq(&first)?, hash: hash(&first)? };
    let link = |line: Value| {
        let text = |name: &str| line.get(name)?.as_str().map(str::to_owned);
        let at = crate::time::Wall::from_unix_micros(line.get("at_us")?.as_i64()?);
        Some(Link { seq: seq(&line)?, at, kind: text("kind")?, body: text("body")?, hash: hash(&line)? })
    };
    Some((before, lines.map(|line| link(line.ok()?)).collect::<Option<_>>()?))
}

fn log(store: &mut dyn Store, wanted: &Wanted, outcome: Outcome) -> Result<(), Stop> {
    let part = wanted.part.as_ref().map_or_else(String::new, |part| format!(", {}", part.span));
    let reason = Some(format!("{}{part}", wanted.reason));
    let (recording, deed) = (wanted.id, Deed::Bundle);
    let access = Access { at: who::now(), who: who::who(), deed, recording, purpose: None, reason, outcome };
    store
        .record_access(&access)
        .map_err(|error| Stop::cannot(format!("nothing is given out that cannot be logged: {error}"), error.remedy()))
}

/// The archive on its way. The same recording gives the same bytes: its files are of the time at which the call began.
pub(super) struct Archive<'f> {
    tar: tar::Builder<&'f File>,
    folder: String,
    at: u64,
}

impl<'f> Archive<'f> {
    /// Begins one, with all of it in this folder and of this time.
    pub(super) fn begin(file: &'f File, folder: String, at_us: i64) -> Self {
        let at = u64::try_from(at_us / 1_000_000).unwrap_or(0);
        Self { tar: tar::Builder::new(file), folder, at }
    }

    /// Puts in a file.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.append(name, bytes.len() as u64, bytes)
    }

    /// Puts in what lies in another file.
    pub(super) fn put_file(&mut self, name: &str, file: File, length: u64) -> std::io::Result<()> {
        self.append(name, length, BufReader::with_capacity(256 * 1024, file).take(length))
    }

    fn append(&mut self, name: &str, length: u64, bytes: impl Read) -> std::io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(length);
        header.set_mode(0o644);
        header.set_mtime(self.at);
        header.set_entry_type(tar::EntryType::Regular);
        self.tar.append_data(&mut header, format!("{}/{name}", self.folder), bytes)
    }

    /// Comes to the end.
    pub(super) fn end(self) -> std::io::Result<()> {
        let mut file: &File = self.tar.into_inner()?;
        file.flush()
    }
}

fn readme(
    id: RecordingId,
    (closing, taken): (&SignedClosing, Option<&TakenOut>),
    proof: Option<&Proof>,
    has_keys: bool,
    part: Option<&Part>,
) -> String {
    let closed = if closing.is_complete {
        "The recorder came to its end and signed it: it is complete."
    } else {
        "The recorder did not come to its end; a later start of it closed the recording after the last part that was whole, and signed that."
    };
    let (file, is_here) = match part {
        None => (
            format!("{id}.rec"),
            "That the recording here is the one that was signed. The second reader computes that root from the recording, and checks the signature:",
        ),
        Some(_) => (
            format!("{id}.span --proof proof.json"),
            "That the span here is of the recording that was signed. The second reader computes that root from the span and from the hashes of\n   \
             what is left out (format.md, «A span apart»), and checks the signature:",
        ),
    };
    let of_it = part.map_or_else(String::new, |part| {
        let chunks = part.chunks();
        format!(
            "Of it, here is only what came from {}: chunks {} to {} of {}, whole as they are, so that up to a second\n\
             more is at either end; and chunk 0, the evidence of consent. Of the rest only hashes are here (proof.json; what that says of times and\n\
             formats is the word of whoever made this archive). The wrapped keys are those of the whole recording, as everywhere: they open what is here.\n\n",
            part.in_words(), chunks.start, chunks.end.saturating_sub(1), part.cut.proof.chunks()
        )
    });
    let taken = taken.map_or_else(String::new, |taken| {
        format!(
            "Since then {taken} (redacted), of {}: in the place of each stands its hash, so that the signature holds, and nobody opens it any more\n\
             (format.md, «Taken out»). When that was done the ledger says, where it is here, in an event of the kind `redacted`.\n\n",
            closing.chunks
        )
    });
    let mut text = format!(
        "A recording by mitschnitt, and what it is verified by\n\
         =====================================================\n\n\
         Recording {id}\n\
         Node      {node}\n\n\
         {closed}\n\n{taken}{of_it}\
         Nothing here can be heard without a recipient's private key, and nothing here but that is needed to verify it. All commands are for\n\
         this folder, on any machine with openssl 3 and, for steps 3 and 5, Python 3.9 with the package `cryptography`.\n\n\
         1. Whose signature it is. This prints the fingerprint of the node's public key. Compare it with one that you have from elsewhere, for\n   \
            whoever made this archive could have put another key into it:\n\n       \
            openssl pkey -pubin -in node.pub.pem -outform DER | sha256sum\n       \
            {node}\n\n\
         2. That the node has signed this recording. closing.msg is what was signed, closing.sig the signature; format.md says what stands where.\n   \
            The last 32 bytes are the root of a tree over the recording's parts:\n\n       \
            openssl pkeyutl -verify -pubin -inkey node.pub.pem -rawin -in closing.msg -sigfile closing.sig\n       \
            tail -c 32 closing.msg | od -An -v -tx1 | tr -d ' \\n'; echo\n       \
            {root}\n\n\
         3. {is_here}\n\n       \
            python3 read.py verify {file} --node node.pub.pem\n\n",
        node = closing.node,
        root = closing.root.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    );
    match proof {
        Some(proof) => text.push_str(&format!(
            "4. That the node's ledger has it so. ledger.jsonl has what the ledger says from the recording's beginning on; each line is bound to the\n   \
                one before by its hash, the last one is what the node has signed in head.msg, and one of them is of the kind `sealed` or `salvaged`\n   \
                with this recording's root. chain.md says how the hashes are made. `mitschnitt audit head`, and the log of the node, have printed\n   \
                heads: one that was printed later, and that lies on the same chain, shows that the ledger was not made up afterwards.\n\n       \
                openssl pkeyutl -verify -pubin -inkey node.pub.pem -rawin -in head.msg -sigfile head.sig\n       \
                tail -n 1 head.msg\n       \
                tail -n 1 ledger.jsonl\n       \
                {}\n\n",
            proof.head.head.hash
        )),
        None => text.push_str(
            "4. The ledger's word for it is not here: the recording is older than the ledger's chain.\n\n",
        ),
    }
    let totals = if part.is_none() { ", and the totals must be those of the packets" } else { "" };
    if has_keys {
        text.push_str(&format!(
            "5. What is in it, for whoever has a recipient's private key (SECRET.pem): every part must open{totals}. The\n   \
                second command prints every packet, and the evidence of consent as the first record:\n\n       \
                python3 read.py verify {file} --node node.pub.pem --keys {id}.key --key SECRET.pem\n       \
                python3 read.py open {file} --keys {id}.key --key SECRET.pem --json\n\n"
        ));
    } else {
        text.push_str("5. Its keys were destroyed: nobody opens it any more. Steps 1 to 4 hold all the same.\n\n");
    }
    text.push_str("With the program itself, without any configuration: mitschnitt recordings verify --bundle ARCHIVE.tar [--node FILE] [--key FILE]\n");
    text
}
