//! `recordings verify`: whether recordings are whole, and the node's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::access::Action;
use crate::catalogue::{Access, Deed, Entry, Filter, Opening, Outcome, State, Store, StoreError};
use crate::cli::closed::{Chained, Closed, Signed};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::gate::Pass;
use crate::cli::list::{are, counted, seconds};
use crate::cli::progress::Progress;
use crate::cli::secret::read_secret;
use crate::cli::show::erased;
use crate::cli::site::Site;
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::vault::{self, Digest, NodePublic, OpenError, RecipientSecret, TakenOut, Verdict, WrongKey};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) which: Which,
    pub(super) key: Option<SecretKey>,
    pub(super) node: Option<PathBuf>,
    pub(super) json: bool,
}

/// Which recordings.
pub(super) enum Which {
    These(Vec<RecordingId>),
    All,
}

/// What was found of one recording.
pub(super) struct Finding {
    pub(super) word: Word,
    pub(super) text: String,
    /// What the ledger's chain says of it, where that was asked.
    pub(super) chained: Option<Chained>,
}

/// What a recording is, by its file and by the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// All of it is there, as the node signed it.
    Complete,
    /// A span of it is there, and is of what the node signed.
    Proven,
    /// It is whole and signed, and the ledger's chain has another in its place.
    Disputed,
    /// It is being written.
    Unfinished,
    /// The recorder did not come to its end; a later start closed it, and signed that.
    Salvaged,
    /// It ends before its end; or it is closed before the end that the ledger knows of.
    Cut,
    /// It ends before its end, as the ledger says: its recorder did not come to it, and no start has closed it yet.
    Torn,
    /// It is not as it was written.
    Broken,
    /// The ledger has it, and its file is not there.
    Missing,
    /// Its keys were destroyed.
    Erased,
    /// Its keys were destroyed, and are there again.
    Restored,
}

impl Word {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Salvaged => "salvaged",
            Self::Proven => "proven",
            Self::Disputed => "disputed",
            Self::Unfinished => "unfinished",
            Self::Cut => "cut",
            Self::Torn => "torn",
            Self::Broken => "broken",
            Self::Missing => "missing",
            Self::Erased => "erased",
            Self::Restored => "restored",
        }
    }
}

/// Verifies recordings.
pub(super) fn verify(config: &Path, wanted: &Wanted, pass: &Pass, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let node = site.node(wanted.node.as_deref())?;
    let secret = wanted.key.as_ref().map(read_secret).transpose()?;
    let opening = if secret.is_some() { Opening::ReadAndLog } else { Opening::Read };
    let mut store = match (doors.open_store)(&site.ledger(), opening) {
        Ok(store) => Some(store),
        // Whoever verifies elsewhere has the files alone.
        Err(StoreError::Missing { path }) if matches!(wanted.which, Which::These(_)) => {
            let what = format!("there is no ledger `{}` to compare with", path.display());
            term.note(&Trouble::new(
                what,
                "a recording that was cut at a chunk's end cannot be told from one that a crash ended",
            ))?;
            None
        }
        Err(error) => return Err(error.into()),
    };
    let ids = match &wanted.which {
        Which::These(ids) => ids.clone(),
        Which::All => {
            let (ids, unfinished) = finished(&site, store.as_deref())?;
            if ids.is_empty() && !wanted.json {
                let still = match unfinished {
                    0 => "there are no recordings.".into(),
                    unfinished => format!("{} still being made.", counted(unfinished, "recording")),
                };
                return Ok(term.out.line(format_args!("Nothing to verify: {still}"))?);
            }
            ids
        }
    };
    let closed = store.as_deref().map(Closed::all).transpose()?;
    let (mut complete, mut salvaged, mut erased, mut bad) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut worst = None;
    for &id in &ids {
        let entry = store.as_ref().map(|store| store.recording(id)).transpose()?.flatten().map(|entry| site.as_it_is(entry));
        // What was erased is verified without its content: there are no keys.
        let is_erased = entry.as_ref().is_some_and(|entry| entry.state == State::Erased);
        let secret = secret.as_ref().filter(|_| !is_erased);
        if let (Some(store), Some(_)) = (&mut store, secret) {
            let is_held = !store.holds(Some(id))?.is_empty();
            let may = pass.identity.may_open(Action::VerifyContent, None, is_held);
            if let (Err(denied), false) = (may, pass.is_glass_broken) {
                log(store.as_mut(), id, None, Deed::Verify, Outcome::Denied)?;
                (bad, worst) = (bad + 1, worst.or(Some(Exit::Refused)));
                term.error(&Trouble::new(format!("recording {id}: {denied}"), denied.remedy()))?;
                continue;
            }
            log(store.as_mut(), id, None, Deed::Verify, Outcome::Granted)?;
        }
        let accesses = store.as_ref().map(|store| store.accesses(id)).transpose()?;
        let found = one(&site, id, entry.as_ref(), &node, secret, closed.as_ref(), accesses.as_deref());
        if let (Some(store), Some(_)) = (&mut store, secret) {
            let outcome = match &found {
                Ok(_) => Outcome::Done,
                Err(Stop::Trouble(Exit::Refused, _)) => Outcome::WrongKey,
                Err(_) => Outcome::Failed,
            };
            log(store.as_mut(), id, None, Deed::Verify, outcome)?;
        }
        match found {
            Ok(mut found) => {
                if let (true, Some(store)) = (is_erased, &store) {
                    found = of_erased(&site, id, found, &store.accesses(id)?);
                }
                match found.word {
                    Word::Complete | Word::Proven => complete += 1,
                    Word::Salvaged => salvaged += 1,
                    Word::Erased => erased += 1,
                    Word::Disputed
                    | Word::Unfinished
                    | Word::Cut
                    | Word::Torn
                    | Word::Broken
                    | Word::Missing
                    | Word::Restored => bad += 1,
                }
                tell(id, &found, wanted.json, term)?;
            }
            // One of which nothing is known does not keep the others from being verified.
            Err(Stop::Trouble(exit, trouble)) => {
                bad += 1;
                worst = worst.or(Some(exit));
                term.error(&trouble)?;
            }
            Err(stop) => return Err(stop),
        }
    }
    if ids.len() != 1 && !wanted.json {
        let also = |count: u64, word| if count > 0 { format!(", {count} {word}") } else { String::new() };
        let (salvaged, erased) = (also(salvaged, "salvaged"), also(erased, "erased"));
        term.out.line(format_args!("\n{}, {complete} complete{salvaged}{erased}.", counted(ids.len() as u64, "recording")))?;
    }
    if bad == 0 { Ok(()) } else { Err(Stop::Said(worst.unwrap_or(Exit::NotSo))) }
}

/// Returns the recordings that are no longer being made, and how many are.
fn finished(site: &Site, store: Option<&dyn Store>) -> Result<(Vec<RecordingId>, usize), Stop> {
    let Some(store) = store else { return Ok((Vec::new(), 0)) };
    let (unfinished, finished): (Vec<_>, Vec<_>) = store
        .list(&Filter::default())?
        .into_iter()
        .map(|entry| site.as_it_is(entry))
        .partition(|entry| entry.state == State::Recording);
    Ok((finished.iter().filter_map(|entry| entry.recording).collect(), unfinished.len()))
}

fn tell(id: RecordingId, found: &Finding, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    if is_json {
        let (verdict, is_complete) = (found.word.as_str(), found.word == Word::Complete);
        let ledger = found.chained.map(Chained::as_str);
        let text = &found.text;
        let value =
            json!({ "recording": id.to_string(), "verdict": verdict, "complete": is_complete, "text": text, "ledger": ledger });
        return Ok(term.out.line(value)?);
    }
    let style = match found.word {
        Word::Complete | Word::Proven => Style::Good,
        Word::Unfinished | Word::Salvaged => Style::Care,
        Word::Erased => Style::Quiet,
        Word::Disputed | Word::Cut | Word::Torn | Word::Broken | Word::Missing | Word::Restored => Style::Bad,
    };
    let word = term.out.styled(style, found.word.as_str());
    Ok(term.out.line(format_args!("{id}  {word}  {}", found.text))?)
}

/// What is found of a recording whose keys were destroyed.
fn of_erased(site: &Site, id: RecordingId, found: Finding, accesses: &[Access]) -> Finding {
    let keys = site.key_file(id);
    if keys.symlink_metadata().is_ok() {
        let text =
            format!("{}, and are there again, in `{}`: erase it once more", uncapitalized(&erased(accesses)), keys.display());
        return Finding { word: Word::Restored, text, chained: found.chained };
    }
    let word = if matches!(found.word, Word::Broken | Word::Disputed) { found.word } else { Word::Erased };
    let Finding { text, chained, .. } = found;
    Finding { word, chained, text: format!("{text}; {}", uncapitalized(&erased(accesses))) }
}

fn uncapitalized(sentence: &str) -> String {
    sentence.replacen("Its", "its", 1)
}

fn one(
    site: &Site,
    id: RecordingId,
    entry: Option<&Entry>,
    node: &NodePublic,
    secret: Option<&RecipientSecret>,
    closed: Option<&BTreeMap<RecordingId, Closed>>,
    accesses: Option<&[Access]>,
) -> Result<Finding, Stop> {
    let Some((file, length)) = site.open(id)? else {
        let missing = missing(site, id, entry)?;
        let text = format!("{}; {}", missing.what(), missing.remedy());
        return Ok(Finding { word: Word::Missing, text, chained: None });
    };
    let input = Progress::begin("verifying", length).reading(std::io::BufReader::with_capacity(64 * 1024, file));
    let verdict = match secret {
        None => vault::verify(input, node),
        Some(secret) => vault::verify_content(input, &site.wrapped(id)?, secret, node),
    };
    let verdict = verdict.map_err(|error| unopened(id, &error))?;
    let found = finding(&verdict, length, entry);
    let found = match (closed, Signed::of(&verdict)) {
        (Some(closed), Some(signed)) => held_against(found, Chained::of(&signed, closed.get(&id))),
        (_, _) => found,
    };
    Ok(match verdict.taken_out() {
        Some(taken) => redacted(found, taken, accesses),
        None => found,
    })
}

/// Adds what was taken out, and who has done it. Whoever can write to the disk can put a hash in a chunk's place; that somebody was to, the access
/// log knows, and it is bound by the chain.
fn redacted(found: Finding, taken: &TakenOut, accesses: Option<&[Access]>) -> Finding {
    let digest = Digest::from_bytes(taken.digest).to_string();
    let is_of_it =
        |access: &&Access| access.deed == Deed::Redact && access.reason.as_ref().is_some_and(|reason| reason.contains(&digest));
    let Some(accesses) = accesses else {
        return Finding { text: format!("{}; {}, as it says itself", found.text, taken_in_words(taken)), ..found };
    };
    let is_done = accesses.iter().filter(is_of_it).any(|access| access.outcome == Outcome::Done);
    let (word, who) = match (accesses.iter().rfind(is_of_it), is_done) {
        (Some(access), true) => (found.word, format!(" by {} on {} UTC", access.who, seconds(access.at))),
        (Some(access), false) => (
            found.word,
            format!(" by {}, who did not come to the end: the keys of it may be there still, take it out again", access.who),
        ),
        (None, _) => {
            let word = if matches!(found.word, Word::Complete | Word::Salvaged) { Word::Disputed } else { found.word };
            (word, ", of which the access log knows nothing: a backup may have the file".into())
        }
    };
    Finding { word, text: format!("{}; {}{who}", found.text, taken_in_words(taken)), ..found }
}

/// What was taken out, and how much that was, where a key has opened the recording.
pub(super) fn taken_in_words(taken: &TakenOut) -> String {
    let packets = taken.packets.map_or_else(String::new, |[pbx, trunk]| {
        format!(" with {} from the PBX and {trunk} from the trunk", counted(pbx, "packet"))
    });
    format!("{taken}{packets}")
}

/// Adds what the ledger's chain says of a recording that verifies: it is not the one that was made here where that has another.
fn held_against(found: Finding, chained: Chained) -> Finding {
    let word = match (found.word, chained) {
        (Word::Complete | Word::Salvaged, Chained::Other(_)) => Word::Disputed,
        (word, _) => word,
    };
    Finding { word, text: format!("{}; {}", found.text, chained.in_words()), chained: Some(chained) }
}

/// Says what the ledger knows of a recording whose file is not there, and what to do.
pub(super) fn missing(site: &Site, id: RecordingId, entry: Option<&Entry>) -> Result<Trouble, Stop> {
    let path = site.recording(id);
    let shown = path.display();
    let (known, remedy) = match entry.map(|entry| (entry.state, entry.totals)) {
        None | Some((State::None, _)) => {
            return Err(Stop::Trouble(
                Exit::NotFound,
                Trouble::new(format!("there is no recording `{shown}`"), "`mitschnitt recordings list` shows those there are"),
            ));
        }
        Some((State::Recording, _)) => ("it is being recorded".to_owned(), "the proxy's log says what became of it"),
        Some((State::Sealed, totals)) => {
            let size = totals.map(|totals| format!(" with {}", counted(totals.size_bytes, "byte"))).unwrap_or_default();
            (format!("the ledger has it sealed{size}"), "take it from a backup")
        }
        Some((State::Torn, _)) => ("the ledger has it torn".to_owned(), "take it from a backup"),
        Some((State::Salvaged, _)) => ("the ledger has it salvaged".to_owned(), "take it from a backup"),
        Some((State::Erased, _)) => ("it was erased".to_owned(), "its keys are gone too"),
    };
    Ok(Trouble::new(format!("{known}, and its file `{shown}` is not there"), remedy))
}

/// Weighs the verdict on the file against what the ledger knows, which is what tells a crash from a cut.
pub(super) fn finding(verdict: &Verdict, length: u64, entry: Option<&Entry>) -> Finding {
    let finding = |word, text| Finding { word, text, chained: None };
    let sealed = entry.filter(|entry| entry.state == State::Sealed);
    match verdict {
        Verdict::Complete(complete) => {
            let content = complete.totals.map_or_else(
                || "signature and hashes are good".to_owned(),
                |totals| {
                    let [pbx, trunk] = totals.legs.map(|leg| leg.packets);
                    format!("signature, hashes and content are good; {pbx} packets from the PBX, {trunk} from the trunk")
                },
            );
            let (chunks, bytes) = (counted(complete.chunks, "chunk"), counted(complete.bytes, "byte"));
            finding(Word::Complete, format!("{chunks}, {bytes}; {content}"))
        }
        Verdict::Salvaged(salvaged) => {
            let lacking = sealed.and_then(|entry| entry.totals).map(|totals| totals.size_bytes);
            let chunks = are(salvaged.chunks, "chunk");
            if let Some(size) = lacking {
                let text = format!(
                    "the ledger has it sealed with {}, and it was closed before its end; {chunks} whole",
                    counted(size, "byte")
                );
                return finding(Word::Cut, text);
            }
            let taken = match salvaged.cut_off {
                0 => String::new(),
                bytes => {
                    format!("; {} of a torn chunk {} taken off", counted(bytes, "byte"), if bytes == 1 { "was" } else { "were" })
                }
            };
            let text = format!(
                "its recorder did not come to its end; {chunks} whole, {}, closed and signed {}{taken}",
                counted(salvaged.bytes, "byte"),
                salvaged.at
            );
            finding(Word::Salvaged, text)
        }
        Verdict::Cut(torn) => match (entry.map(|entry| entry.state), sealed.and_then(|entry| entry.totals)) {
            (Some(State::Recording), _) => {
                finding(Word::Unfinished, format!("it is being recorded; {} whole so far", are(torn.chunks, "chunk")))
            }
            (_, Some(totals)) => {
                let (size, lacking) = (totals.size_bytes, totals.size_bytes.saturating_sub(length));
                let text = format!(
                    "the ledger has it sealed with {}: {} missing; {} whole",
                    counted(size, "byte"),
                    are(lacking, "byte"),
                    are(torn.chunks, "chunk")
                );
                finding(Word::Cut, text)
            }
            (Some(State::Torn), _) => {
                let text = format!(
                    "its recorder did not come to its end; {} whole ({}). The next start of the proxy closes it",
                    are(torn.chunks, "chunk"),
                    counted(torn.bytes, "byte")
                );
                finding(Word::Torn, text)
            }
            _ => finding(Word::Cut, torn.to_string()),
        },
        Verdict::Broken(broken) => finding(Word::Broken, broken.to_string()),
    }
}

/// Says why nothing is known of a recording.
pub(super) fn unopened(id: RecordingId, error: &OpenError) -> Stop {
    match error {
        OpenError::Key(wrong @ WrongKey::Token(_)) => {
            Stop::cannot(format!("recording {id}: {wrong}"), "does `pkcs11-tool --login --list-objects` answer?")
        }
        OpenError::Key(wrong) => {
            let remedy = match wrong {
                WrongKey::NotARecipient(_) => "`mitschnitt recordings show` names the keys that do",
                WrongKey::DoesNotOpen(_) | WrongKey::OtherKem(_) | WrongKey::OtherSecret(_) | WrongKey::Token(_) => {
                    "the wrapped keys are not those the recorder wrote"
                }
            };
            Stop::Trouble(Exit::Refused, Trouble::new(format!("recording {id}: {wrong}"), remedy))
        }
        OpenError::OtherNode(..) => Stop::Trouble(
            Exit::NotSo,
            Trouble::new(
                format!("recording {id}: {error}"),
                "verify it with the public key of the node that made it: --node FILE",
            ),
        ),
        OpenError::Disk(cause) => {
            Stop::cannot(format!("recording {id}: {error}: {cause}"), "look at the disk: `dmesg` tells its errors")
        }
        OpenError::KeyFile(fault) => {
            Stop::cannot(format!("recording {id}: {fault}"), "take the wrapped keys from a backup of the `keys` folder")
        }
        OpenError::Cut(_) | OpenError::Broken(_) => Stop::Trouble(
            Exit::NotSo,
            Trouble::new(format!("recording {id}: {error}"), "`mitschnitt recordings verify` says how far it is whole"),
        ),
    }
}

/// Writes a line to the access log.
pub(super) fn log(
    store: &mut dyn Store,
    recording: RecordingId,
    purpose: Option<&str>,
    deed: Deed,
    outcome: Outcome,
) -> Result<(), Stop> {
    log_part(store, recording, (purpose, None), deed, outcome)
}

/// Writes a line to the access log: for what purpose, and what of the recording.
pub(super) fn log_part(
    store: &mut dyn Store,
    recording: RecordingId,
    (purpose, part): (Option<&str>, Option<String>),
    deed: Deed,
    outcome: Outcome,
) -> Result<(), Stop> {
    let purpose = purpose.map(str::to_owned);
    let access = Access { at: who::now(), who: who::who(), deed, recording, purpose, reason: part, outcome };
    store
        .record_access(&access)
        .map_err(|error| Stop::cannot(format!("nothing is opened that cannot be logged: {error}"), error.remedy()))
}
