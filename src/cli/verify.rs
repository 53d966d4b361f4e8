//! `recordings verify`: whether recordings are whole, and the node's.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::catalogue::{Access, Deed, Entry, Filter, Opening, Outcome, State, Store, StoreError};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::counted;
use crate::cli::progress::Progress;
use crate::cli::site::{self, Site};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::vault::{self, NodePublic, OpenError, RecipientSecret, Verdict, WrongKey};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) which: Which,
    pub(super) key: Option<PathBuf>,
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
    pub(super) word: &'static str,
    pub(super) text: String,
    pub(super) is_complete: bool,
}

/// Verifies recordings.
pub(super) fn verify(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let node = site.node(wanted.node.as_deref())?;
    let secret = wanted.key.as_deref().map(read_secret).transpose()?;
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
        Which::All => finished(store.as_deref())?,
    };
    let mut bad = 0;
    let mut worst = None;
    for &id in &ids {
        let entry = store.as_ref().map(|store| store.recording(id)).transpose()?.flatten();
        if let (Some(store), Some(_)) = (&mut store, &secret) {
            log(store.as_mut(), id, None, Deed::Verify, Outcome::Granted)?;
        }
        let found = one(&site, id, entry.as_ref(), &node, secret.as_ref());
        if let (Some(store), Some(_)) = (&mut store, &secret) {
            let outcome = match &found {
                Ok(_) => Outcome::Done,
                Err(Stop::Trouble(Exit::Refused, _)) => Outcome::WrongKey,
                Err(_) => Outcome::Failed,
            };
            log(store.as_mut(), id, None, Deed::Verify, outcome)?;
        }
        match found {
            Ok(found) => {
                bad += usize::from(!found.is_complete);
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
        let good = ids.len() - bad;
        term.out.line(format_args!("\n{}, {good} complete.", counted(ids.len(), "recording")))?;
    }
    if bad == 0 { Ok(()) } else { Err(Stop::Said(worst.unwrap_or(Exit::NotSo))) }
}

fn finished(store: Option<&dyn Store>) -> Result<Vec<RecordingId>, Stop> {
    let Some(store) = store else { return Ok(Vec::new()) };
    let entries = store.list(&Filter::default())?;
    Ok(entries.iter().filter(|entry| entry.state != State::Recording).filter_map(|entry| entry.recording).collect())
}

fn tell(id: RecordingId, found: &Finding, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    if is_json {
        let value =
            json!({ "recording": id.to_string(), "verdict": found.word, "complete": found.is_complete, "text": found.text });
        return Ok(term.out.line(value)?);
    }
    let style = if found.is_complete { Style::Good } else { Style::Bad };
    let word = term.out.styled(style, found.word);
    Ok(term.out.line(format_args!("{id}  {word}  {}", found.text))?)
}

fn one(
    site: &Site,
    id: RecordingId,
    entry: Option<&Entry>,
    node: &NodePublic,
    secret: Option<&RecipientSecret>,
) -> Result<Finding, Stop> {
    let (file, length) = site.open(id)?;
    let input = Progress::begin("verifying", length).reading(std::io::BufReader::with_capacity(64 * 1024, file));
    let verdict = match secret {
        None => vault::verify(input, node),
        Some(secret) => vault::verify_content(input, &site.wrapped(id)?, secret, node),
    };
    let verdict = verdict.map_err(|error| unopened(id, &error))?;
    Ok(finding(&verdict, length, entry))
}

/// Weighs the verdict on the file against what the ledger knows, which is what tells a crash from a cut.
pub(super) fn finding(verdict: &Verdict, length: u64, entry: Option<&Entry>) -> Finding {
    let finding = |word, text: String, is_complete| Finding { word, text, is_complete };
    let sealed = entry.filter(|entry| entry.state == State::Sealed);
    match verdict {
        Verdict::Complete(complete) => {
            let content = complete.totals.map_or_else(
                || "signature and chain are good".to_owned(),
                |totals| {
                    let [pbx, trunk] = totals.legs.map(|leg| leg.packets);
                    format!("signature, chain and content are good; {pbx} packets from the PBX, {trunk} from the trunk")
                },
            );
            finding("complete", format!("{} chunks, {} bytes; {content}", complete.chunks, complete.bytes), true)
        }
        Verdict::Torn(torn) => match (entry.map(|entry| entry.state), sealed.and_then(|entry| entry.totals)) {
            (Some(State::Recording), _) => {
                finding("unfinished", format!("it is being recorded; {} chunks are whole so far", torn.chunks), false)
            }
            (_, Some(totals)) => {
                let missing = totals.size_bytes.saturating_sub(length);
                finding(
                    "cut",
                    format!(
                        "the ledger has it sealed with {} bytes: {missing} bytes are missing; {} chunks are whole",
                        totals.size_bytes, torn.chunks
                    ),
                    false,
                )
            }
            _ => finding("torn", torn.to_string(), false),
        },
        Verdict::Broken(broken) => finding("broken", broken.to_string(), false),
    }
}

/// Says why nothing is known of a recording.
pub(super) fn unopened(id: RecordingId, error: &OpenError) -> Stop {
    match error {
        OpenError::Key(wrong) => {
            let remedy = match wrong {
                WrongKey::NotARecipient(_) => "`mitschnitt recordings show` names the keys that do",
                WrongKey::DoesNotOpen(_) | WrongKey::OtherKem(_) | WrongKey::OtherSecret(_) => {
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
        OpenError::Torn(_) | OpenError::Broken(_) => Stop::Trouble(
            Exit::NotSo,
            Trouble::new(format!("recording {id}: {error}"), "`mitschnitt recordings verify` says how far it is whole"),
        ),
    }
}

/// Reads a recipient's secret key.
pub(super) fn read_secret(path: &Path) -> Result<RecipientSecret, Stop> {
    let remedy = "name the *.secret.pem file of somebody who may listen";
    let text = zeroize::Zeroizing::new(site::read_file(path, "the secret key", remedy)?);
    RecipientSecret::from_pem(&text).map_err(|error| site::bad_key(path, &error))
}

/// Writes a line to the access log.
pub(super) fn log(
    store: &mut dyn Store,
    recording: RecordingId,
    purpose: Option<&str>,
    deed: Deed,
    outcome: Outcome,
) -> Result<(), Stop> {
    let access = Access { at: who::now(), who: who::who(), deed, recording, purpose: purpose.map(str::to_owned), outcome };
    store
        .record_access(&access)
        .map_err(|error| Stop::cannot(format!("nothing is opened that cannot be logged: {error}"), error.remedy()))
}
