//! The gate before every command: whoever runs it may, or is refused and that is logged; what takes two waits for the second; and whoever breaks
//! the glass is let through, and it is told.

use std::collections::BTreeSet;

use crate::access::{Action, Denied, Identity, Person, Rules};
use crate::catalogue::{
    self, Access, Decided, Deed, Filter, Opening, Outcome, Says, State, Store, Stored, Wanted, Warrant, Which, Whose,
};
use crate::cli::asked::{Asked, HeldOn};
use crate::cli::doors::Doors;
use crate::cli::exit::{Lack, Stop};
use crate::cli::list::{counted, seconds};
use crate::cli::party;
use crate::cli::site;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Trouble;
use crate::control::config::Report;
use crate::ids::RecordingId;
use crate::private::Private;
use crate::time::Wall;
use crate::vault::Digest;

/// Somebody was let through.
#[derive(Debug)]
pub(super) struct Pass {
    /// Who.
    pub(super) identity: Identity,
    /// Who else has approved it, where it takes two.
    pub(super) second: Option<String>,
    /// Whether it is done although the recording is locked.
    pub(super) lifts_lock: bool,
    /// Whether it is done although he may not.
    pub(super) is_glass_broken: bool,
}

impl Pass {
    const fn alone(identity: Identity) -> Self {
        Self { identity, second: None, lifts_lock: false, is_glass_broken: false }
    }

    /// Returns why something is done, with who has approved it: for the access log, whose line is in the chain.
    pub(super) fn reason(&self, reason: String) -> String {
        match &self.second {
            Some(second) => format!("{reason}; approved by {second}"),
            None => reason,
        }
    }
}

/// Lets somebody through, or says why not; `glass` is why he does what he may not, where he does.
pub(super) fn pass(asked: Option<Asked<'_>>, glass: Option<&str>, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<Pass, Stop> {
    let user = (doors.user)();
    let anybody = Identity::unrestricted(user.in_words(), Person::Unix(user.uid));
    through(asked, glass, |rules| rules.map_or(anybody, |rules| rules.of_user(&user)), doors, term)
}

/// Lets through whoever is known already, as one who asks over HTTP is; or says why not. Nobody breaks the glass there.
pub(super) fn pass_known(
    asked: Option<Asked<'_>>,
    identity: &Identity,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<Pass, Stop> {
    through(asked, None, |_| identity.clone(), doors, term)
}

fn through(
    asked: Option<Asked<'_>>,
    glass: Option<&str>,
    who: impl FnOnce(Option<&Rules>) -> Identity,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<Pass, Stop> {
    let Some(asked) = asked else { return Ok(Pass::alone(who(None))) };
    let report = site::read(asked.config)?;
    // The command itself says that.
    if report.data.is_none() && report.access.is_none() {
        return Ok(Pass::alone(who(None)));
    }
    let Some(rules) = rules(&report)? else { return Ok(Pass::alone(who(None))) };
    let identity = who(Some(rules));
    let mut gate = Gate { asked, identity, rules, report: &report, doors, glass, is_broken: false };
    let (second, lifts_lock) = gate.pass(term)?;
    Ok(Pass { identity: gate.identity, second, lifts_lock, is_glass_broken: gate.is_broken })
}

/// Returns who may do what; nothing where nothing is said.
pub(super) fn rules(report: &Report) -> Result<Option<&Rules>, Stop> {
    report.access.as_ref().map(Option::as_ref).ok_or_else(|| {
        let what = "[access] and [[identity]] of the configuration cannot be read: nobody knows who may do what";
        Stop::cannot(what, "`mitschnitt check` tells its mistakes")
    })
}

fn count<'i>(recordings: impl Iterator<Item = &'i RecordingId>) -> u64 {
    u64::try_from(recordings.count()).unwrap_or(u64::MAX)
}

fn together(exports: &[(RecordingId, Deed)]) -> BTreeSet<RecordingId> {
    exports.iter().map(|(recording, _)| *recording).collect()
}

/// Something that takes two.
struct Two {
    why: String,
    /// What the other approves, in words: what for, or why.
    words: Option<String>,
}

struct Gate<'g> {
    asked: Asked<'g>,
    identity: Identity,
    rules: &'g Rules,
    report: &'g Report,
    doors: &'g Doors<'g>,
    glass: Option<&'g str>,
    /// Whether the glass is broken already: once is enough.
    is_broken: bool,
}

impl Gate<'_> {
    /// Returns who else has approved it, and whether what takes two may be done.
    fn pass(&mut self, term: &mut Term<'_>) -> Result<(Option<String>, bool), Stop> {
        if let Err(denied) = self.may()? {
            self.deny(&denied, term)?;
        }
        if self.asked.is_dry {
            return Ok((None, false));
        }
        match self.takes_two()? {
            Some(_) if self.is_broken => Ok((None, true)),
            Some(two) if self.glass.is_some() && self.identity.breaks_glass => {
                self.break_it(&two.why, term).map(|()| (None, true))
            }
            Some(two) => self.second(&two).map(|second| (Some(second), true)),
            None => Ok((None, false)),
        }
    }

    /// Returns whether his roles allow it.
    fn may(&self) -> Result<Result<(), Denied>, Stop> {
        let Asked { action, recording, reason, .. } = self.asked;
        match (action, recording) {
            (Action::Export | Action::Play, Some(id)) => Ok(self.identity.may_open(action, reason, self.is_held(id)?)),
            // For which purpose it may be given out, its own says.
            (Action::Fetch, Some(id)) => Ok(self.identity.may_open(action, None, self.is_held(id)?)),
            // Which of them are held is seen one by one.
            (Action::VerifyContent, _) => Ok(self.identity.may(action).or_else(|denied| {
                let is_for_held = self.identity.may(Action::OpenHeld).is_ok();
                is_for_held.then_some(()).ok_or(denied)
            })),
            _ => Ok(self.identity.may(action)),
        }
    }

    fn is_held(&self, id: RecordingId) -> Result<bool, Stop> {
        Ok(!self.store()?.holds(Some(id))?.is_empty())
    }

    /// Says why something takes two, where it does.
    fn takes_two(&self) -> Result<Option<Two>, Stop> {
        let (eyes, name) = (self.rules.four_eyes, &self.identity.name);
        let alone = |why: String| Two { why, words: self.asked.reason.map(str::to_owned) };
        match (self.asked.action, self.asked.recording) {
            // With its wrapped keys it is opened elsewhere: what leaves the machine counts, in whatever form.
            (action @ (Action::Export | Action::Fetch | Action::Bundle), Some(id)) => {
                let Some(most) = eyes.export else { return Ok(None) };
                let all = self.exports()?;
                // The file and its keys are fetched one after the other.
                let is_second_half = action == Action::Fetch && all.contains(&(id, Deed::Bundle));
                let exported = count(together(&all).iter().filter(|other| **other != id));
                let why = || {
                    let (recordings, most) = (counted(exported, "recording"), counted(most, "export"));
                    format!("{name} has exported {recordings} within 24 hours, and more than {most} take a second person")
                };
                Ok((exported >= most && !is_second_half).then(why).map(alone))
            }
            (Action::SubjectExport, _) => {
                let Some(most) = eyes.export else { return Ok(None) };
                let Some(held) = self.asked.held else { return Ok(None) };
                let (held, words) = self.held(held)?;
                let together = count(held.union(&together(&self.exports()?)));
                let why = || {
                    let (recordings, most) = (counted(together, "recording"), counted(most, "export"));
                    format!("with it {name} has exported {recordings} within 24 hours, and more than {most} take a second person")
                };
                Ok((together > most).then(|| Two { why: why(), words: Some(words) }))
            }
            (Action::Release, Some(_)) if eyes.release => Ok(Some(alone("to lift a hold takes a second person".into()))),
            (Action::Erase, Some(id)) if eyes.erase_locked => Ok(self.locked_until(id)?.map(|until| {
                alone(format!("recording {id} is locked until {} UTC, and to erase it takes a second person", seconds(until)))
            })),
            _ => Ok(None),
        }
    }

    /// Returns the recordings of the person whose calls are asked for, and the words by which another approves that these calls are handed over:
    /// the chain has them, and nobody's number.
    fn held(&self, asked: HeldOn<'_>) -> Result<(BTreeSet<RecordingId>, String), Stop> {
        let HeldOn { number, country, span, both } = asked;
        let number = party::read(&Private::new(number.to_owned()), country)?;
        let filter =
            Filter { which: Which::All, from: span.from, to: span.to, party: Some(Whose::Of(number)), ..Filter::default() };
        let entries = self.store()?.list(&filter)?;
        let calls: BTreeSet<String> = entries.iter().map(|entry| entry.call.to_string()).collect();
        let digest = Digest::of(calls.iter().map(String::as_str).collect::<Vec<_>>().join("\n").as_bytes()).to_string();
        let there = entries.iter().filter(|entry| entry.state != State::Erased);
        let recordings: BTreeSet<_> = there.filter_map(|entry| entry.recording).collect();
        let sides = if both { ", both sides" } else { "" };
        let (calls, found) = (counted(calls.len(), "call"), counted(recordings.len(), "recording"));
        let mark = digest.get(..MARK).unwrap_or(&digest);
        Ok((recordings, format!("{}; {calls} with {found}{sides}, marked {mark}", self.asked.reason.unwrap_or_default())))
    }

    /// Returns the recordings that he has given out within a day, and how.
    fn exports(&self) -> Result<Vec<(RecordingId, Deed)>, Stop> {
        let day = Wall::from_unix_micros(who::now().unix_micros() - DAY_US);
        let own = |access: &Access| who::person_in(&access.who).is_some_and(|person| self.identity.persons.contains(&person));
        let exports = self.store()?.exports(day)?;
        Ok(exports.iter().filter(|access| own(access)).map(|access| (access.recording, access.deed)).collect())
    }

    /// Says until when a recording is locked that is.
    fn locked_until(&self, id: RecordingId) -> Result<Option<Wall>, Stop> {
        let (Some(retention), Some(entry)) = (&self.report.retention, self.store()?.recording(id)?) else { return Ok(None) };
        let until = Stored::of(&entry, false).and_then(|stored| stored.locked_until(retention));
        Ok(until.filter(|until| *until > who::now()))
    }

    /// Uses what another has approved; and where nobody has, asks for it.
    fn second(&self, two: &Two) -> Result<String, Stop> {
        let reason = two.words.as_deref();
        let mut store = self.store()?;
        let warrants = store.warrants()?;
        let found = catalogue::open(&warrants, self.wanted(), reason, &self.identity.persons, who::now());
        let number = match found.map(|found| (found.asked.number, found.standing)) {
            Some((number, Decided::Approved(by))) => {
                let used = store.warrant(&self.warrant(Says::Used(number), reason));
                return used.map(|_| by.who.clone()).map_err(|error| {
                    Stop::cannot(
                        format!("approval {number} cannot be used: {error}"),
                        "`mitschnitt approvals list` says how it stands",
                    )
                });
            }
            Some((number, Decided::Waiting | Decided::Refused(_) | Decided::Used(_) | Decided::Over)) => number,
            None => store.warrant(&self.warrant(Says::Asked(self.wanted()), reason))?,
        };
        let remedy = format!("another has to say `mitschnitt approvals give {number}`; then run this again, with the same words");
        Err(Stop::Denied(Lack::Second, Trouble::new(two.why.as_str(), remedy)))
    }

    /// Refuses what his roles do not allow, and logs it; or lets it be.
    fn deny(&mut self, denied: &Denied, term: &mut Term<'_>) -> Result<(), Stop> {
        if self.glass.is_some() && self.identity.breaks_glass {
            return self.break_it(&denied.to_string(), term);
        }
        let logged = self.store().and_then(|mut store| self.log_denied(store.as_mut()));
        let breaks =
            if self.identity.breaks_glass { "; --break-glass WHY does it all the same, and the chain has it" } else { "" };
        let told = if logged.is_err() { "; and that this was asked for could not be logged" } else { "" };
        Err(Stop::Denied(Lack::Role, Trouble::new(format!("{denied}{told}"), denied.remedy() + breaks)))
    }

    /// Where the deed would have stood.
    fn log_denied(&self, store: &mut dyn Store) -> Result<(), Stop> {
        let Asked { action, recording, reason, .. } = self.asked;
        match (deed(action), recording) {
            (Some(deed), Some(recording)) if store.recording(recording)?.is_some() => {
                let is_for = matches!(action, Action::Export | Action::Play | Action::Fetch);
                let words = reason.map(str::to_owned);
                let (purpose, reason) = if is_for { (words, None) } else { (None, words) };
                let who = self.identity.name.clone();
                let outcome = Outcome::Denied;
                Ok(store.record_access(&Access { at: who::now(), who, deed, recording, purpose, reason, outcome })?)
            }
            _ => Ok(store.warrant(&self.warrant(Says::Denied(self.wanted()), reason)).map(drop)?),
        }
    }

    fn break_it(&mut self, why: &str, term: &mut Term<'_>) -> Result<(), Stop> {
        let broke = self
            .store()
            .and_then(|mut store| Ok(store.warrant(&self.warrant(Says::Broke(self.wanted()), self.glass)).map(drop)?));
        broke.map_err(|_| {
            let what = format!("{why}; and nobody breaks the glass where it cannot be logged");
            Stop::cannot(what, "the ledger cannot be written: run this as the service's user")
        })?;
        self.is_broken = true;
        Ok(term.warning(&Trouble::new(format!("the glass is broken: {why}"), "it is done all the same, and the chain has it"))?)
    }

    fn wanted(&self) -> Wanted {
        Wanted { action: self.asked.action, recording: self.asked.recording }
    }

    fn warrant(&self, says: Says, reason: Option<&str>) -> Warrant {
        warrant(&self.identity, says, reason)
    }

    fn store(&self) -> Result<Box<dyn Store>, Stop> {
        let data = self.report.data.as_ref().ok_or_else(|| Stop::cannot("there is no ledger", "name `directory` in [data]"))?;
        Ok((self.doors.open_store)(&data.join("ledger.db"), Opening::ReadAndLog)?)
    }
}

/// A line by somebody.
pub(super) fn warrant(identity: &Identity, says: Says, reason: Option<&str>) -> Warrant {
    let (at, who, persons) = (who::now(), identity.name.clone(), identity.persons.clone());
    Warrant { number: 0, at, who, persons, says, reason: reason.map(str::to_owned) }
}

/// What the access log calls it.
fn deed(action: Action) -> Option<Deed> {
    DEEDS.into_iter().find(|(own, _)| *own == action).map(|(_, deed)| deed)
}

/// What stands in the access log of a recording. What else was denied is in the chain alone.
const DEEDS: [(Action, Deed); 8] = [
    (Action::Export, Deed::Export),
    (Action::Fetch, Deed::Bundle),
    (Action::Play, Deed::Play),
    (Action::Erase, Deed::Erase),
    (Action::Redact, Deed::Redact),
    (Action::Bundle, Deed::Bundle),
    (Action::Hold, Deed::Hold),
    (Action::Release, Deed::Release),
];

/// Of the digest of the calls of a person, so many digits tell them from those of another.
const MARK: usize = 16;

const DAY_US: i64 = 24 * 3600 * 1_000_000;
