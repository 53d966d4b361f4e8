//! `recordings erase`: what opens recordings destroyed, so that nobody does any more; their files removed, and who talked cleared.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalogue::{
    About, Access, Bar, Cleared, Deed, Entry, Filter, Likeness, NoteKind, Number, Opening, Outcome, Purged, Reason, RosterLine,
    Span, State, Store, Stored, Which, standing, traces,
};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::kept::hold_in_words;
use crate::cli::list::{counted, seconds};
use crate::cli::output::Output;
use crate::cli::party::{self, note, note_down};
use crate::cli::receipt::{Answer, Answered, Receipt};
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::subject::Held;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::{CallId, RecordingId};
use crate::keyfolder::{KeyFolder, Reach, Undone};
use crate::private::Private;
use crate::time::Wall;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) which: These,
    pub(super) reason: String,
    /// Nobody need be asked.
    pub(super) is_meant: bool,
    /// Say what would be done, and do nothing.
    pub(super) is_dry: bool,
    /// Another has approved that it is erased although it is locked.
    pub(super) lifts_lock: bool,
    pub(super) receipt: Option<PathBuf>,
    pub(super) json: bool,
}

/// Which are to be erased.
pub(super) enum These {
    /// One recording.
    One(RecordingId),
    /// All calls of a party.
    Party { number: Private<String>, country: Option<String> },
    /// All calls that began before then.
    Before(Wall),
}

/// Erases recordings.
pub(super) fn erase(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let person = match &wanted.which {
        These::Party { number, country } => Some(party::read(number, country.as_deref())?),
        These::One(_) | These::Before(_) => None,
    };
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let from = store.head()?.map_or(0, |signed| signed.head.seq);
    let held = find(&site, store.as_mut(), wanted, person)?;
    let mut work = Work { site: &site, store: store.as_mut(), reason: &wanted.reason, lifts_lock: wanted.lifts_lock };
    if wanted.is_dry {
        let answered = held.entries.iter().map(|entry| work.weigh(entry, false)).collect::<Result<Vec<_>, _>>()?;
        let copies = work.copies(&answered)?;
        let cleared = Cleared::default();
        return Receipt { wanted, answered, copies, cleared, stand: Vec::new(), purged: None, events: Vec::new() }.say(term);
    }
    // A receipt that cannot be written is known before anything is done.
    let file = wanted.receipt.as_deref().map(Output::create).transpose()?;
    let foreseen = held.entries.iter().map(|entry| work.weigh(entry, true)).collect::<Result<Vec<_>, _>>()?;
    if let ([only], These::One(_)) = (foreseen.as_slice(), &wanted.which)
        && let Answer::Refused(trouble) = &only.answer
    {
        return Err(Stop::Trouble(Exit::Refused, trouble.clone()));
    }
    if !wanted.is_meant && foreseen.iter().any(|one| matches!(one.answer, Answer::Will)) {
        ask(wanted, &held, &foreseen, term)?;
    }
    let answered = work.erase(&held.entries, foreseen)?;
    let (cleared, purged, stand) = work.clear(&held, &answered)?;
    let events = work.events(from, &answered)?;
    let copies = work.copies(&answered)?;
    let receipt = Receipt { wanted, answered, copies, cleared, stand, purged: Some(purged), events };
    if let Some(file) = file {
        file.write(receipt.text().as_bytes()).and_then(|()| file.publish())?;
    }
    receipt.say(term)?;
    receipt.end(&store.accesses(receipt.only().unwrap_or_else(|| RecordingId::from_bytes([0; 16])))?, term)
}

fn find(site: &Site, store: &mut dyn Store, wanted: &Wanted, person: Option<Number>) -> Result<Calls, Stop> {
    let mut calls = match (&wanted.which, person) {
        (These::One(id), _) => {
            let Some(entry) = store.recording(*id)? else { return Err(no_such(&format!("recording {id}"))) };
            Calls { entries: vec![entry], person: None }
        }
        (These::Party { .. }, Some(number)) => {
            let found = Held::find(store, number, party::Span { from: None, to: None })?;
            // Whoever looks, if only to see what would be erased, has looked.
            note_down(store, &party::sought(NoteKind::Sought, &found.number, &wanted.reason, &found.entries))?;
            Calls { entries: found.entries, person: Some(found.number) }
        }
        (These::Before(to), _) => {
            let filter = Filter { which: Which::All, to: Some(*to), ..Filter::default() };
            let mut entries = store.list(&filter)?;
            // Of what was erased and cleared before there is nothing to do.
            entries.retain(|entry| entry.parties.is_some() || entry.recording.is_some() && entry.state != State::Erased);
            Calls { entries, person: None }
        }
        (These::Party { .. }, None) => Calls { entries: Vec::new(), person: None },
    };
    calls.entries = calls.entries.into_iter().map(|entry| site.as_it_is(entry)).collect();
    Ok(calls)
}

/// The calls that are meant, and by whose number they were found.
struct Calls {
    entries: Vec<Entry>,
    person: Option<Number>,
}

/// What erases.
struct Work<'w> {
    site: &'w Site,
    store: &'w mut dyn Store,
    reason: &'w str,
    lifts_lock: bool,
}

impl Work<'_> {
    /// Says what is to be done with a call, or why nothing may be; `is_logged` writes a refusal into the access log.
    fn weigh(&mut self, entry: &Entry, is_logged: bool) -> Result<Answered, Stop> {
        let answered = |answer| Answered { call: entry.call, recording: entry.recording, answer, reach: Reach::Open };
        let Some(id) = entry.recording else {
            let is_up = entry.reason == Reason::InProgress && self.site.is_running();
            let up = || Trouble::new(format!("call {} goes on still", entry.call), "erase it once it is over");
            return Ok(answered(if is_up { Answer::Refused(up()) } else { Answer::Will }));
        };
        if entry.state == State::Recording {
            if is_logged {
                self.log(id, Outcome::Unfinished)?;
            }
            let what = format!("recording {id} is still being made");
            let remedy = format!("`mitschnitt calls withdraw {}` ends it; then it can be erased", entry.call);
            return Ok(answered(Answer::Refused(Trouble::new(what, remedy))));
        }
        Ok(answered(match bar(self.site, self.store, entry, id)? {
            // Two have said that it is erased all the same.
            Some((Outcome::Locked, _)) if self.lifts_lock => Answer::Will,
            Some((outcome, trouble)) => {
                if is_logged {
                    self.log(id, outcome)?;
                }
                Answer::Refused(trouble)
            }
            // Keys that are there again were put back from a backup, and are destroyed again.
            None if entry.state == State::Erased && self.is_gone(id) => Answer::Before,
            None => Answer::Will,
        }))
    }

    fn is_gone(&self, id: RecordingId) -> bool {
        KeyFolder::is_without(&self.site.key_folders(), id) && !self.site.has_files(id)
    }

    /// Destroys keys and files of those that may be: the keys one by one, then what a copy of them needs, at once; and says so then.
    fn erase(&mut self, entries: &[Entry], foreseen: Vec<Answered>) -> Result<Vec<Answered>, Stop> {
        let has_work = foreseen.iter().any(|one| one.recording.is_some() && matches!(one.answer, Answer::Will));
        let folder = if has_work { Some(KeyFolder::alone(&self.site.key_folders())) } else { None };
        let (mut answered, mut destroyed) = (Vec::with_capacity(foreseen.len()), BTreeMap::new());
        for (entry, one) in entries.iter().zip(foreseen) {
            let (Some(id), Answer::Will, Some(folder)) = (one.recording, &one.answer, &folder) else {
                answered.push(if matches!(one.answer, Answer::Will) { Answered { answer: Answer::Done, ..one } } else { one });
                continue;
            };
            // Whoever holds it is alone as well: it was held until now, or is erased.
            let again = self.weigh(entry, true)?;
            if !matches!(again.answer, Answer::Will) {
                answered.push(again);
                continue;
            }
            self.log(id, Outcome::Granted)?;
            let keys = folder.as_ref().map_err(in_words).and_then(|folder| {
                let reach = folder.reach(id);
                folder.destroy(id).map(|()| reach).map_err(|undone| in_words(&undone))
            });
            destroyed.insert(answered.len(), keys);
            answered.push(one);
        }
        let forgotten = match &folder {
            Some(Ok(folder)) if !destroyed.is_empty() => folder.forget().map_err(|undone| in_words(&undone)),
            Some(_) | None => Ok(()),
        };
        for (one, destroyed) in answered.iter_mut().enumerate().filter_map(|(at, one)| Some((one, destroyed.remove(&at)?))) {
            let Some(id) = one.recording else { continue };
            let done = destroyed.and_then(|reach| forgotten.clone().map(|()| reach)).and_then(|reach| {
                let is_gone = self.site.remove_files(id).map(|()| reach);
                is_gone
                    .map_err(|(path, error)| format!("its keys are destroyed, but cannot remove `{}`: {error}", path.display()))
            });
            self.log(id, if done.is_ok() { Outcome::Done } else { Outcome::Failed })?;
            let failed = |why: String| {
                let remedy =
                    "until that is done it may still be opened; erase it again once the disk or the permission is put right";
                Answer::Failed(Trouble::new(format!("recording {id} is not erased: {why}"), remedy))
            };
            one.reach = done.as_ref().copied().unwrap_or(Reach::Open);
            one.answer = done.map_or_else(failed, |_| Answer::Done);
        }
        Ok(answered)
    }

    /// Clears who talked in those calls that nothing keeps, and has the ledger's files keep nothing of it. Returns also which lines of the
    /// register are of the person and stand, and stay so.
    fn clear(&mut self, held: &Calls, answered: &[Answered]) -> Result<(Cleared, Purged, Vec<u64>), Stop> {
        let is_clear = |one: &Answered| matches!(one.answer, Answer::Done | Answer::Before);
        let pairs = held.entries.iter().zip(answered).filter(|(_, one)| is_clear(one));
        let entries: Vec<&Entry> = pairs.map(|(entry, _)| entry).filter(|entry| entry.parties.is_some()).collect();
        let calls: Vec<CallId> = entries.iter().map(|entry| entry.call).collect();
        // As long as anything of the person is kept, who has asked for it is known.
        let person = held.person.as_ref().filter(|_| answered.iter().all(is_clear));
        let cleared = self.store.clear(&calls, person)?;
        let roster = self.store.roster()?;
        let is_theirs = |line: &&RosterLine| person.is_some_and(|person| person.likeness(&line.party) == Likeness::Same);
        let stand = standing(&roster).into_iter().filter(is_theirs).map(|line| line.number).collect();
        let purged = self.store.purge(&traces(&entries, person))?;
        let about = About::Calls(held.entries.first().and_then(|entry| entry.recording).filter(|_| held.entries.len() == 1));
        let recordings = answered.iter().filter(|one| one.recording.is_some() && matches!(one.answer, Answer::Done)).count();
        let counts = [cleared.calls, u64::try_from(recordings).unwrap_or(u64::MAX)];
        let is_done = purged == Purged::Clean;
        if cleared != Cleared::default() || person.is_some() {
            let note = note(NoteKind::Cleared, about, Some(self.reason.to_owned()), counts);
            note_down(self.store, &crate::catalogue::Note { is_done, ..note })?;
        }
        Ok((cleared, purged, stand))
    }

    /// Returns who was given a copy of what is erased: they are to be told (GDPR 19), and only they can destroy it.
    fn copies(&self, answered: &[Answered]) -> Result<Vec<Access>, Stop> {
        let mut copies = Vec::new();
        for one in answered.iter().filter(|one| matches!(one.answer, Answer::Will | Answer::Done | Answer::Before)) {
            let accesses = one.recording.map(|id| self.store.accesses(id)).transpose()?.unwrap_or_default();
            let is_copy = |access: &Access| matches!(access.deed, Deed::Export | Deed::Bundle) && access.outcome == Outcome::Done;
            copies.extend(accesses.into_iter().filter(is_copy));
        }
        Ok(copies)
    }

    /// Returns the events of the chain that say so, by their numbers.
    fn events(&self, from: u64, answered: &[Answered]) -> Result<Vec<u64>, Stop> {
        let mut events = Vec::new();
        self.store.links(from, &mut |link, _| {
            let recording = link.event().and_then(|event| event.recording());
            let is_ours = answered.iter().any(|one| one.recording.is_some() && one.recording == recording);
            if link.kind == "erased" && is_ours || [NoteKind::Cleared.as_str(), "roster-cleared"].contains(&link.kind.as_str()) {
                events.push(link.seq);
            }
        })?;
        Ok(events)
    }

    fn log(&mut self, recording: RecordingId, outcome: Outcome) -> Result<(), Stop> {
        let (at, who, reason) = (who::now(), who::who(), Some(self.reason.to_owned()));
        let access = Access { at, who, deed: Deed::Erase, recording, purpose: None, reason, outcome };
        self.store.record_access(&access).map_err(|error| {
            let what = if outcome == Outcome::Done {
                format!("recording {recording} is erased, and that cannot be logged: {error}")
            } else {
                format!("nothing is erased that cannot be logged: {error}")
            };
            Stop::cannot(what, error.remedy())
        })
    }
}

/// Says what is held or locked, and until when.
pub(super) fn bar(site: &Site, store: &dyn Store, entry: &Entry, id: RecordingId) -> Result<Option<(Outcome, Trouble)>, Stop> {
    let holds = store.holds(Some(id))?;
    let Some(stored) = Stored::of(entry, !holds.is_empty()).filter(|stored| stored.state != State::Erased) else {
        return Ok(None);
    };
    let Some(retention) = site.retention() else { return Err(site.without_retention()) };
    Ok(match stored.bar(retention, who::now()) {
        Some(Bar::Held) => {
            let each = holds.iter().map(hold_in_words).collect::<Vec<_>>().join("; ");
            let locked = stored.locked_until(retention).filter(|until| *until > who::now());
            let from = locked.map(|until| format!(", from {} UTC on", seconds(until))).unwrap_or_default();
            let remedy =
                format!("`mitschnitt recordings release {id} --reason TEXT` lifts the hold; then it can be erased{from}");
            Some((Outcome::Held, Trouble::new(format!("recording {id} is held since {each}"), remedy)))
        }
        Some(Bar::Locked(until)) => {
            let (purpose, limits) = (entry.purpose.as_deref(), retention.of(entry.purpose.as_deref()));
            let what = format!(
                "recording {id} is locked until {} UTC: what is recorded for `{}` is kept for {} at least",
                seconds(until),
                purpose.unwrap_or("none"),
                Span(limits.shortest)
            );
            let remedy = "from then on it can be erased; the access log has it that this was asked for";
            Some((Outcome::Locked, Trouble::new(what, remedy)))
        }
        Some(Bar::Unfinished) | None => None,
    })
}

fn ask(wanted: &Wanted, calls: &Calls, foreseen: &[Answered], term: &mut Term<'_>) -> Result<(), Stop> {
    let what = if let ([entry], These::One(id)) = (calls.entries.as_slice(), &wanted.which) {
        let (began, purpose) = (seconds(entry.began), entry.purpose.as_deref().unwrap_or("none"));
        term.err.line(format_args!("Recording {id}, of {began} UTC, for {purpose}:"))?;
        format!("recording {id} was not erased")
    } else {
        let will = foreseen.iter().filter(|one| matches!(one.answer, Answer::Will));
        let recordings = will.clone().filter(|one| one.recording.is_some()).count();
        let (recordings, calls) = (counted(recordings, "recording"), counted(will.count(), "call"));
        term.err.line(format_args!("{recordings}, and who talked in {calls}:"))?;
        "nothing was erased".into()
    };
    term.err.line("its keys will be destroyed, and nothing on this machine will open it again. Type `yes` to go on:")?;
    let mut answer = String::new();
    let is_read = io::stdin().read_line(&mut answer).is_ok();
    if is_read && answer.trim() == "yes" {
        return Ok(());
    }
    let what = format!("{what}: the answer was not `yes`");
    Err(Stop::Trouble(Exit::Refused, Trouble::new(what, "where nobody can answer, --yes says that it is meant")))
}

fn in_words(undone: &Undone) -> String {
    format!("cannot {} `{}`: {}", undone.doing, undone.path.display(), undone.error)
}

/// The sentence about one recording.
pub(super) fn sentence(id: RecordingId, was_before: bool, accesses: &[Access]) -> String {
    let already = if was_before { " already" } else { "" };
    format!("Recording {id} is erased{already}. {}.", erased(accesses))
}
