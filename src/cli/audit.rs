//! `audit`: the chain that the ledger is bound by: its head, its events, and whether all of it holds.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::catalogue::{Audit, Audited, End, Fault, Link, Opening};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::{counted, seconds};
use crate::cli::site::{Site, read_file};
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::time::Wall;
use crate::vault::{Digest, NodePublic, SignedHead};

/// Prints the head.
pub(super) fn head(config: &Path, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let Some(signed) = store.head()? else { return Err(unsigned()) };
    let said = if is_json { term.out.line(head_json(&signed)) } else { term.out.line(signed) };
    Ok(said?)
}

fn unsigned() -> Stop {
    let remedy = "start the proxy once: it signs the chain, and goes on with it";
    Stop::Trouble(Exit::NotFound, Trouble::new("no head of the ledger's chain is signed yet", remedy))
}

fn head_json(signed: &SignedHead) -> Value {
    let SignedHead { head, node, .. } = signed;
    let (seq, at, hash) = (head.seq, head.at.to_string(), head.hash.to_string());
    json!({ "seq": seq, "at": at, "hash": hash, "node": node.to_string(), "line": signed.to_string() })
}

/// Which events are wanted.
pub(super) struct Wanted {
    pub(super) recording: Option<RecordingId>,
    pub(super) kind: Option<String>,
    pub(super) since: Option<Wall>,
    pub(super) until: Option<Wall>,
    pub(super) last: Option<usize>,
    pub(super) json: bool,
}

impl Wanted {
    fn has(&self, link: &Link) -> bool {
        let of_recording = |id| link.event().and_then(|event| event.recording()) == Some(id);
        self.kind.as_ref().is_none_or(|kind| *kind == link.kind)
            && self.since.is_none_or(|since| link.at >= since)
            && self.until.is_none_or(|until| link.at < until)
            && self.recording.is_none_or(of_recording)
    }
}

/// Shows events.
pub(super) fn show(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let mut shown = VecDeque::new();
    store.links(0, &mut |link, head| {
        if wanted.has(&link) {
            shown.push_back((link, head));
        }
        if wanted.last.is_some_and(|last| shown.len() > last) {
            shown.pop_front();
        }
    })?;
    if wanted.json {
        for (link, head) in &shown {
            let event: Value = serde_json::from_str(&link.body).unwrap_or(Value::Null);
            let (at, hash, node) = (link.at.to_string(), link.hash.to_string(), head.map(|head| head.node.to_string()));
            term.out
                .line(json!({ "seq": link.seq, "at": at, "kind": link.kind, "event": event, "hash": hash, "signed_by": node }))?;
        }
        return Ok(());
    }
    if shown.is_empty() {
        return Ok(term.out.line("There are no such events.")?);
    }
    let mut table =
        Table::new([("EVENT", Align::Right), ("AT (UTC)", Align::Left), ("KIND", Align::Left), ("WHAT", Align::Left)]);
    for (link, _) in &shown {
        table.row([Cell::new(link.seq.to_string()), Cell::new(seconds(link.at)), Cell::new(&link.kind), Cell::new(what(link))]);
    }
    Ok(term.out.text(&table.text(term.out.colour(), 0))?)
}

/// What an event says, for people: digests by their first digits.
fn what(link: &Link) -> String {
    let Ok(Value::Object(members)) = serde_json::from_str(&link.body) else { return link.body.clone() };
    let short = |value: &Value| match value.as_str() {
        Some(text) if text.len() == 64 => format!("{}…", text.get(..16).unwrap_or(text)),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    members.iter().map(|(name, value)| format!("{name} {}", short(value))).collect::<Vec<_>>().join(", ")
}

/// What the ledger is held against.
pub(super) struct Compared {
    pub(super) heads: Vec<String>,
    pub(super) nodes: Vec<PathBuf>,
    pub(super) json: bool,
}

/// Verifies all of it.
pub(super) fn verify(config: &Path, compared: &Compared, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let nodes = match compared.nodes.as_slice() {
        [] => vec![site.node(None)?],
        named => named.iter().map(|path| site.node(Some(path))).collect::<Result<Vec<_>, _>>()?,
    };
    let mut published = Vec::new();
    for text in &compared.heads {
        published.extend(heads_in(text)?);
    }
    let store = site.store(Opening::Read, doors)?;
    // The proxy writes on meanwhile.
    store.freeze()?;
    let mut audit = Audit::begin(&nodes, &published);
    store.links(0, &mut |link, head| audit.step(&link, head.as_ref()))?;
    store.bound(&mut |bound| audit.row(bound))?;
    let last = store.head()?;
    let mut audited = audit.end(last.as_ref());
    let files = files(&site, &audited);
    audited.faults.extend(files);
    if compared.json {
        tell_json(&audited, published.len(), term)?
    } else {
        tell(&audited, &nodes, published.len(), term)?
    }
    if audited.faults.is_empty() { Ok(()) } else { Err(Stop::Said(Exit::NotSo)) }
}

/// The heads in a text, or in the file of that name.
fn heads_in(text: &str) -> Result<Vec<SignedHead>, Stop> {
    if let Ok(signed) = text.parse() {
        return Ok(vec![signed]);
    }
    let path = Path::new(text);
    let bytes =
        read_file(path, "the published head", "name the line that `mitschnitt audit head` printed, or a file that has it")?;
    let found: Vec<SignedHead> = String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.parse().ok()).collect();
    if found.is_empty() {
        let what = format!("there is no head in `{}`", path.display());
        return Err(Stop::cannot(what, "it is a line that begins with mitschnitt-head/1, as `mitschnitt audit head` prints it"));
    }
    Ok(found)
}

/// What is wrong with the files of recordings, as far as that is seen from outside.
fn files(site: &Site, audited: &Audited) -> Vec<Fault> {
    let wrong = audited.recordings.iter().filter_map(|(&recording, standing)| {
        let length = fs::metadata(site.recording(recording)).ok().map(|metadata| metadata.len());
        match (standing.end, length) {
            (End::Lost, _) => None,
            // Whoever has erased a recording may delete what is left of it.
            (_, None) => (!standing.is_erased).then_some(Fault::FileGone(recording)),
            // What is left of it `recordings verify` holds against what was signed.
            (End::Sealed { .. }, Some(_)) if standing.is_redacted => None,
            (End::Sealed { bytes }, Some(found)) if bytes != found => Some(Fault::FileLength { recording, sealed: bytes, found }),
            (End::Sealed { .. } | End::Torn | End::Open, Some(_)) => None,
        }
    });
    let rewrapped = audited.recordings.iter().filter_map(|(&recording, standing)| {
        let keys = standing.keys.filter(|_| !standing.is_erased)?;
        // Where it is not there, `recordings verify` says so: nobody opens it by that.
        let bytes = site.keys(recording).ok()?;
        (!keys.is(Digest::of(&bytes))).then_some(Fault::KeysChanged(recording))
    });
    wrong.chain(rewrapped).collect()
}

fn tell_json(audited: &Audited, published: usize, term: &mut Term<'_>) -> Result<(), Stop> {
    let faults: Vec<String> = audited.faults.iter().map(ToString::to_string).collect();
    let [calls, lines] = audited.before;
    let value = json!({
        "holds": faults.is_empty(),
        "faults": faults,
        "events": audited.walked.tip.seq,
        "signed": audited.walked.signed,
        "hash": audited.walked.tip.hash.to_string(),
        "heads_compared": published,
        "rows": audited.rows,
        "recordings": audited.recordings.len(),
        "parties_erased": audited.parties_erased,
        "signed_by_others": audited.walked.of_others,
        "older_calls": calls,
        "older_accesses": lines,
        "unknown_events": audited.later,
    });
    Ok(term.out.line(value)?)
}

fn tell(audited: &Audited, nodes: &[NodePublic], published: usize, term: &mut Term<'_>) -> Result<(), Stop> {
    for fault in &audited.faults {
        let word = term.out.styled(Style::Bad, "wrong");
        term.out.line(format_args!("{word}  {fault}"))?;
    }
    if !audited.faults.is_empty() {
        term.out.line("")?;
    }
    let walked = &audited.walked;
    let names: Vec<_> = nodes.iter().map(|node| node.fingerprint().short()).collect();
    term.out.line(format_args!(
        "{}, signed up to event {} by {}.",
        counted(walked.tip.seq, "event"),
        walked.signed,
        names.join(" and ")
    ))?;
    let with_heads = match published {
        0 => "no published head was compared: `--head` says what a chain that was cut back hides".into(),
        heads => format!("{} compared", counted(heads as u64, "published head")),
    };
    let (rows, recordings) = (counted(audited.rows, "call"), counted(audited.recordings.len() as u64, "recording"));
    term.out.line(format_args!("{rows} and {recordings} are in it; {with_heads}."))?;
    for (count, what) in beside(audited) {
        term.out.line(format_args!("{} {what}.", counted(count.0, count.1)))?;
    }
    let verdict = match audited.faults.len() {
        0 => term.out.styled(Style::Good, "All of it holds."),
        faults => term.out.styled(Style::Bad, &format!("{} wrong.", things(faults))),
    };
    Ok(term.out.line(verdict)?)
}

fn things(faults: usize) -> String {
    if faults == 1 { "One thing is".into() } else { format!("{faults} things are") }
}

/// What is not wrong, and ought to be known.
fn beside(audited: &Audited) -> impl Iterator<Item = ((u64, &'static str), &'static str)> {
    let [calls, lines] = audited.before;
    let all = [
        ((audited.walked.of_others, "signature"), "of a node whose key is not at hand: name it with --node"),
        ((audited.parties_erased, "call"), "whose parties were erased"),
        ((calls, "call"), "older than the chain, and not bound by it"),
        ((lines, "line"), "of the access log older than the chain, and not bound by it"),
        ((audited.later, "event"), "that only a later version knows"),
    ];
    all.into_iter().filter(|((count, _), _)| *count > 0)
}
