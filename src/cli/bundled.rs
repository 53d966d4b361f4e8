//! `recordings verify --bundle`: the verification of an archive that `recordings bundle` made, without configuration, ledger or anything else.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::catalogue::{Link, Tip};
use crate::cli::bundle::read_lines;
use crate::cli::closed::{Closed, Signed};
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::{counted, seconds};
use crate::cli::part;
use crate::cli::progress::Progress;
use crate::cli::secret::read_secret;
use crate::cli::site::{bad_key, read_file};
use crate::cli::term::{Style, Term};
use crate::cli::verify::{Finding, Word, finding, taken_in_words, unopened};
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::time::Wall;
use crate::vault::{self, Fingerprint, NodePublic, OpenError, Proof, RecipientSecret, SignedHead, TakenOut};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) bundle: PathBuf,
    pub(super) key: Option<SecretKey>,
    pub(super) node: Option<PathBuf>,
    pub(super) json: bool,
}

/// The longest of what lies beside the recording: a ledger of a million events. More: it is none of ours.
const BESIDE_BYTES: u64 = 512 * 1024 * 1024;

/// What was found of an archive.
struct Found {
    id: RecordingId,
    node: Fingerprint,
    recording: Finding,
    ledger: Ledger,
}

/// What the ledger says, as far as it is in the archive.
enum Ledger {
    /// It has the recording so, in this event; and the node has signed a head behind it.
    Bound { seq: u64, events: usize, head: SignedHead },
    /// The archive has nothing of it.
    Absent,
    /// It does not hold, or says something else.
    Wrong(String),
}

/// What lies beside the recording, before it.
#[derive(Default)]
struct Beside {
    node: Option<NodePublic>,
    keys: Option<Vec<u8>>,
    ledger: Option<String>,
    proof: Option<String>,
    head: Option<String>,
}

/// Verifies an archive.
pub(super) fn verify(wanted: &Wanted, term: &mut Term<'_>) -> Result<(), Stop> {
    let secret = wanted.key.as_ref().map(read_secret).transpose()?;
    let node = wanted.node.as_deref().map(node).transpose()?;
    let found = read(&wanted.bundle, node, secret.as_ref())?;
    let is_good = matches!(found.recording.word, Word::Complete | Word::Salvaged | Word::Proven)
        && !matches!(found.ledger, Ledger::Wrong(_));
    tell(wanted, &found, term)?;
    if is_good { Ok(()) } else { Err(Stop::Said(Exit::NotSo)) }
}

fn node(path: &Path) -> Result<NodePublic, Stop> {
    let text = read_file(path, "the node's public key", "name the *.pub.pem of the node that made it")?;
    NodePublic::from_pem(&text).map_err(|error| bad_key(path, &error))
}

fn read(bundle: &Path, known: Option<NodePublic>, secret: Option<&RecipientSecret>) -> Result<Found, Stop> {
    let none_of_ours = |what: String| {
        let what = format!("`{}` is no bundle: {what}", bundle.display());
        Stop::cannot(what, "`mitschnitt recordings bundle` makes one")
    };
    let torn = |error: std::io::Error| none_of_ours(error.to_string());
    let file = File::open(bundle)
        .map_err(|error| Stop::cannot(format!("cannot read `{}`: {error}", bundle.display()), "name the archive"))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(256 * 1024, file));
    let mut beside = Beside::default();
    for entry in archive.entries().map_err(torn)? {
        let mut entry = entry.map_err(torn)?;
        let path = entry.path().map_err(torn)?.into_owned();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if let Some(id) = name.strip_suffix(".span") {
            let id = id.parse().map_err(|_| none_of_ours(format!("its span is named `{}`", name.escape_debug())))?;
            let node = known.or(beside.node).ok_or_else(|| none_of_ours("it has no public key of a node".into()))?;
            let proof = beside.proof.as_deref().and_then(part::read_proof);
            let proof = proof.ok_or_else(|| none_of_ours("it has a span, and no proof that this is of a recording".into()))?;
            return judge_part(id, entry, &proof, &beside, &node, secret);
        }
        if let Some(id) = name.strip_suffix(".rec") {
            let id = id.parse().map_err(|_| none_of_ours(format!("its recording is named `{}`", name.escape_debug())))?;
            let length = entry.size();
            let node = known.or(beside.node).ok_or_else(|| none_of_ours("it has no public key of a node".into()))?;
            return judge(id, (entry, length), &beside, &node, secret);
        }
        if !matches!(name.as_str(), "node.pub.pem" | "ledger.jsonl" | "head.txt" | "proof.json") && !name.ends_with(".key") {
            continue;
        }
        if entry.size() > BESIDE_BYTES {
            return Err(none_of_ours(format!("`{}` is longer than any that is made", name.escape_debug())));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(torn)?;
        match name.as_str() {
            "node.pub.pem" => beside.node = Some(NodePublic::from_pem(&bytes).map_err(|error| bad_key(&path, &error))?),
            "ledger.jsonl" => beside.ledger = Some(String::from_utf8_lossy(&bytes).into_owned()),
            "proof.json" => beside.proof = Some(String::from_utf8_lossy(&bytes).into_owned()),
            "head.txt" => beside.head = Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => beside.keys = Some(bytes),
        }
    }
    Err(none_of_ours("it has no recording".into()))
}

fn judge(
    id: RecordingId,
    (rec, length): (impl Read, u64),
    beside: &Beside,
    node: &NodePublic,
    secret: Option<&RecipientSecret>,
) -> Result<Found, Stop> {
    let input = BufReader::with_capacity(64 * 1024, Progress::begin("verifying", length).reading(rec));
    let verdict = match (secret, &beside.keys) {
        (None, _) => vault::verify(input, node),
        (Some(secret), Some(keys)) => vault::verify_content(input, keys, secret, node),
        (Some(_), None) => {
            let what = format!("the keys of recording {id} were destroyed before it was bundled");
            return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, "verify it without --key")));
        }
    };
    let verdict = verdict.map_err(|error| unopened(id, &error))?;
    let ledger = ledger(id, Signed::of(&verdict), beside, node);
    let found = finding(&verdict, length, None);
    let recording = match verdict.taken_out() {
        Some(taken) => redacted(found, taken, redactions(id, beside)),
        None => found,
    };
    Ok(Found { id, node: node.fingerprint(), recording, ledger })
}

/// Returns the events of the ledger by which something was taken out of the recording; nothing where the archive has no ledger.
fn redactions(id: RecordingId, beside: &Beside) -> Option<Vec<(u64, Wall)>> {
    let (_, links) = beside.ledger.as_deref().and_then(read_lines)?;
    let is_one = |link: &&Link| link.event().is_some_and(|event| event.recording() == Some(id) && event.kind() == "redacted");
    Some(links.iter().filter(is_one).map(|link| (link.seq, link.at)).collect())
}

/// Adds what was taken out, and what the ledger in the archive says of that. What it does not know of, anybody may have done.
fn redacted(found: Finding, taken: &TakenOut, redactions: Option<Vec<(u64, Wall)>>) -> Finding {
    let (word, who) = match redactions.as_deref().map(<[_]>::last) {
        None => (found.word, ", as it says itself".to_owned()),
        Some(Some((seq, at))) => (found.word, format!("; event {seq} of the ledger says so, of {} UTC", seconds(*at))),
        Some(None) => {
            let word = if matches!(found.word, Word::Complete | Word::Salvaged) { Word::Disputed } else { found.word };
            (word, ", of which the ledger knows nothing".to_owned())
        }
    };
    Finding { word, text: format!("{}; {}{who}", found.text, taken_in_words(taken)), ..found }
}

/// The same of a span: what is there is proven or not, and of the rest nothing is known.
fn judge_part(
    id: RecordingId,
    span: impl Read,
    proof: &Proof,
    beside: &Beside,
    node: &NodePublic,
    secret: Option<&RecipientSecret>,
) -> Result<Found, Stop> {
    let key = match (secret, &beside.keys) {
        (None, _) => None,
        (Some(secret), Some(keys)) => Some((keys.as_slice(), secret)),
        (Some(_), None) => {
            return Err(Stop::Trouble(Exit::Refused, Trouble::new("the bundle has no keys", "verify it without --key")));
        }
    };
    let found = |word, text| Finding { word, text, chained: None };
    let (recording, signed) = match vault::verify_part(BufReader::with_capacity(64 * 1024, span), proof, node, key) {
        Ok(proven) => {
            let signed = Signed::of_span(&proven, proof.chunks());
            (found(Word::Proven, part::in_words(proof, &proven)), Some(signed))
        }
        Err(OpenError::Broken(broken)) => (found(Word::Broken, broken.to_string()), None),
        Err(OpenError::Cut(cut)) => {
            (found(Word::Cut, format!("the span's file ends at byte {}, before its end", cut.bytes)), None)
        }
        Err(error) => return Err(unopened(id, &error)),
    };
    Ok(Found { id, node: node.fingerprint(), recording, ledger: ledger(id, signed, beside, node) })
}

/// Holds what the archive has of the ledger against the recording.
fn ledger(id: RecordingId, signed: Option<Signed>, beside: &Beside, node: &NodePublic) -> Ledger {
    let Some(text) = &beside.ledger else { return Ledger::Absent };
    let Some((before, links)) = read_lines(text) else {
        return Ledger::Wrong("what is said to be of the ledger cannot be read".into());
    };
    let head = beside.head.as_deref().and_then(|head| head.parse::<SignedHead>().ok());
    let Some(head) = head else { return Ledger::Wrong("there is no head that the node has signed".into()) };
    match bound(id, signed, before, &links, &head, node) {
        Ok(seq) => Ledger::Bound { seq, events: links.len(), head },
        Err(why) => Ledger::Wrong(why),
    }
}

fn bound(
    id: RecordingId,
    signed: Option<Signed>,
    before: Tip,
    links: &[Link],
    head: &SignedHead,
    node: &NodePublic,
) -> Result<u64, String> {
    let mut tip = before;
    for link in links {
        if !link.is_behind(tip) {
            return Err(format!("event {} of the ledger is not behind the one before it", link.seq));
        }
        tip = link.tip();
    }
    if (tip.seq, tip.hash) != (head.head.seq, head.head.hash) {
        return Err(format!("the head is of event {}, and the ledger's events end with {}", head.head.seq, tip.seq));
    }
    if !node.has_signed_head(head) {
        return Err("the node has not signed the head".into());
    }
    let closed = links.iter().rev().filter_map(Closed::of).find(|(recording, _)| *recording == id);
    let Some((_, closed)) = closed else { return Err("the ledger does not say that it was closed".into()) };
    let Closed { seq, bytes, .. } = closed;
    let is_so = signed.is_some_and(|signed| signed.is(&closed));
    if is_so {
        Ok(seq)
    } else {
        Err(format!("event {seq} of the ledger has another recording under this name: {}", counted(bytes, "byte")))
    }
}

fn tell(wanted: &Wanted, found: &Found, term: &mut Term<'_>) -> Result<(), Stop> {
    let Found { id, node, recording, ledger } = found;
    let said = match ledger {
        Ledger::Bound { seq, events, head } => {
            format!(
                "event {seq} has it so; {} hold, up to head {}, which the node has signed",
                counted(*events as u64, "event"),
                head.head.seq
            )
        }
        Ledger::Absent => "nothing of the ledger is in the bundle".into(),
        Ledger::Wrong(why) => why.clone(),
    };
    let word = match ledger {
        Ledger::Bound { .. } => "bound",
        Ledger::Absent => "absent",
        Ledger::Wrong(_) => "wrong",
    };
    if wanted.json {
        let is_complete = recording.word == Word::Complete;
        let value = json!({
            "recording": id.to_string(), "verdict": recording.word.as_str(), "complete": is_complete, "text": recording.text,
            "node": node.to_string(), "ledger": word, "ledger_text": said,
        });
        return Ok(term.out.line(value)?);
    }
    let style = match recording.word {
        Word::Complete | Word::Proven => Style::Good,
        Word::Salvaged => Style::Care,
        Word::Unfinished
        | Word::Disputed
        | Word::Cut
        | Word::Torn
        | Word::Broken
        | Word::Missing
        | Word::Erased
        | Word::Restored => Style::Bad,
    };
    let verdict = term.out.styled(style, recording.word.as_str());
    term.out.line(format_args!("{id}  {verdict}  {}", recording.text))?;
    let style = match ledger {
        Ledger::Bound { .. } => Style::Good,
        Ledger::Absent => Style::Care,
        Ledger::Wrong(_) => Style::Bad,
    };
    let word = term.out.styled(style, word);
    term.out.line(format_args!("ledger  {word}  {said}"))?;
    term.out.line(format_args!("node    {node}"))?;
    if wanted.node.is_none() {
        term.out.line("        this key is the bundle's own: compare it with one from elsewhere, or name that with --node")?;
    }
    Ok(())
}
