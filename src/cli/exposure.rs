//! `keys exposure`: what a key opens that was lost, from the key files alone.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::catalogue::{Entry, Opening, State, Store, StoreError};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::keyname::KeyName;
use crate::cli::list::{counted, seconds};
use crate::cli::progress::Progress;
use crate::cli::rewrap::in_words;
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::control::Trouble;
use crate::ids::RecordingId;
use crate::keyfolder::KeyFolder;
use crate::time::Wall;
use crate::vault::KeyFile;

/// One recording that the key opens.
struct Opened {
    id: RecordingId,
    /// What it was made for, and when; nothing where the ledger does not know it.
    purpose: Option<String>,
    began: Option<Wall>,
    state: Option<State>,
    /// Nobody else opens it.
    is_alone: bool,
}

/// What the recordings of one purpose come to.
#[derive(Default)]
struct Sum {
    count: u64,
    first: Option<Wall>,
    last: Option<Wall>,
}

/// Tells what a key opens.
pub(super) fn exposure(
    config: &Path,
    key: &str,
    is_list: bool,
    is_json: bool,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let name = KeyName::read(key)?;
    let site = Site::find(config, term)?;
    // Where the ledger is not, the key files say what is opened all the same, and not when and what for.
    let store = match (doors.open_store)(&site.ledger(), Opening::Read) {
        Ok(store) => Some(store),
        Err(StoreError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let (opened, unread) = look(&site, store.as_deref(), &name, term)?;
    let mut sums: BTreeMap<Option<String>, Sum> = BTreeMap::new();
    opened.iter().for_each(|one| sums.entry(one.purpose.clone()).or_default().add(one.began));
    let alone = opened.iter().filter(|one| one.is_alone).count() as u64;
    if is_json {
        if is_list {
            opened.iter().try_for_each(|one| term.out.line(one.json()))?;
        }
        term.out.line(sum_json(&sums, opened.len(), alone, unread))?;
    } else {
        tell(&opened, &sums, alone, is_list, term)?;
    }
    if unread == 0 { Ok(()) } else { Err(Stop::Said(Exit::NotSo)) }
}

/// Goes through all key files; returns how many could not be read as well.
fn look(site: &Site, store: Option<&dyn Store>, name: &KeyName, term: &mut Term<'_>) -> Result<(Vec<Opened>, u64), Stop> {
    let folders = site.key_folders();
    let stopped =
        |undone| Stop::cannot(in_words(&undone), "is this the machine of the recordings, and the service's user or root?");
    let ids = KeyFolder::recordings(&folders).map_err(stopped)?;
    let mut progress = Progress::begin("looking", ids.len() as u64);
    let (mut opened, mut unread) = (Vec::new(), 0);
    for (done, &id) in (1..).zip(&ids) {
        progress.done(done);
        for (bytes, is_beside) in KeyFolder::all_of(site.shares(), id).map_err(stopped)? {
            let file = match KeyFile::parse(&bytes) {
                Ok(file) => file,
                // What a rewrap left half-written opens nothing yet, or nothing any more.
                Err(_) if is_beside => continue,
                Err(fault) => {
                    unread += 1;
                    term.error(&Trouble::new(format!("recording {id}: {fault}"), "whom it opens for cannot be told"))?;
                    continue;
                }
            };
            if file.recipients().any(|recipient| name.is_of(&recipient)) {
                let entry = store.map(|store| store.recording(id)).transpose()?.flatten().map(|entry| site.as_it_is(entry));
                opened.push(Opened::of(id, &file, entry.as_ref()));
                break;
            }
        }
    }
    Ok((opened, unread))
}

impl Opened {
    fn of(id: RecordingId, file: &KeyFile, entry: Option<&Entry>) -> Self {
        Self {
            id,
            purpose: entry.and_then(|entry| entry.purpose.clone()),
            began: entry.map(|entry| entry.began),
            state: entry.map(|entry| entry.state),
            is_alone: file.recipients().count() == 1,
        }
    }

    fn json(&self) -> Value {
        let (began, state) = (self.began.map(|wall| wall.to_string()), self.state.map(State::as_str));
        json!({ "recording": self.id.to_string(), "purpose": self.purpose, "began": began, "state": state, "only_key": self.is_alone })
    }
}

impl Sum {
    fn add(&mut self, began: Option<Wall>) {
        self.count += 1;
        self.first = self.first.into_iter().chain(began).min();
        self.last = self.last.into_iter().chain(began).max();
    }
}

fn sum_json(sums: &BTreeMap<Option<String>, Sum>, count: usize, alone: u64, unread: u64) -> Value {
    let purposes: Vec<_> = sums
        .iter()
        .map(|(purpose, Sum { count, first, last })| {
            let [first, last] = [first, last].map(|wall| wall.map(|wall| wall.to_string()));
            json!({ "purpose": purpose, "recordings": count, "first": first, "last": last })
        })
        .collect();
    json!({ "recordings": count, "only_key": alone, "unread": unread, "purposes": purposes })
}

fn tell(
    opened: &[Opened],
    sums: &BTreeMap<Option<String>, Sum>,
    alone: u64,
    is_list: bool,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    if opened.is_empty() {
        return Ok(term.out.line(
            "This key opens no recording whose key file is here. Backups and other machines have key files of their own.",
        )?);
    }
    let when = |wall: Option<Wall>| wall.map_or_else(|| "not known".into(), seconds);
    if is_list {
        let mut table = Table::new([
            ("BEGAN (UTC)", Align::Left),
            ("PURPOSE", Align::Left),
            ("STATE", Align::Left),
            ("RECORDING", Align::Left),
        ]);
        for one in opened {
            let state = one.state.map_or("not known", State::as_str);
            let purpose = one.purpose.clone().unwrap_or_default();
            table.row([Cell::new(when(one.began)), Cell::new(purpose), Cell::new(state), Cell::new(one.id.to_string())]);
        }
        term.out.text(&(table.text(term.out.colour(), 0) + "\n"))?;
    }
    let count = counted(opened.len() as u64, "recording");
    let head = term.out.styled(Style::Care, &format!("This key opens {count}:"));
    let mut table = Table::new([
        ("PURPOSE", Align::Left),
        ("RECORDINGS", Align::Right),
        ("FIRST (UTC)", Align::Left),
        ("LAST (UTC)", Align::Left),
    ]);
    for (purpose, sum) in sums {
        let purpose = purpose.clone().unwrap_or_else(|| "not known".into());
        table.row([Cell::new(purpose), Cell::new(sum.count.to_string()), Cell::new(when(sum.first)), Cell::new(when(sum.last))]);
    }
    term.out.text(&format!("{head}\n\n{}", table.text(term.out.colour(), 2)))?;
    if alone > 0 {
        let them = if alone == 1 {
            "One of them opens for no other key".into()
        } else {
            format!("{alone} of them open for no other key")
        };
        term.out.line(format_args!("\n{them}: rewrap before you take it out."))?;
    }
    Ok(term.out.text(NEXT)?)
}

/// What is to be done, and what it does not do.
const NEXT: &str = "
If it was lost to others:
  1. Have nothing more sealed to it: `mitschnitt keys rotate` makes another, and says what to write.
  2. Take it out of the key files that are here: `mitschnitt keys rewrap --all --key OTHER --remove KEY`. That keeps the
     recordings from whoever gets at this machine later. It does not help against one who has copies of the recordings and
     of their key files already: those open for ever. Backups of the `keys` folder are such copies.
  3. Whoever may have both the key and the files may have heard all of the above: those who talked are to be told, by law.
  4. What need not be kept: `mitschnitt recordings erase`.
";
