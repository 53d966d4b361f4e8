//! `recordings retention`: what is kept for which purpose, what falls due when, what is overdue and why, and what was erased.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::catalogue::{Deed, Opening, Outcome, Retention, State, Store, Stored};
use crate::cli::check::kept;
use crate::cli::doors::Doors;
use crate::cli::exit::Stop;
use crate::cli::kept::{day, hold_in_words};
use crate::cli::list::seconds;
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::time::Wall;

/// Who erases in the background, in the access log.
pub(super) const BY_ITSELF: &str = "retention";

const DAY: Duration = Duration::from_secs(86_400);

/// How far ahead is looked, and how far back.
const WEEK: u32 = 7;
const MONTH: u32 = 30;

/// Overdue recordings that are named, each with why: more are only counted.
const NAMED: usize = 50;

/// Tells it.
pub(super) fn retention(config: &Path, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let Some(retention) = site.retention() else { return Err(site.without_retention()) };
    let store = site.store(Opening::Read, doors)?;
    let now = who::now();
    let stored = store.stored(Some(earlier(now, DAY * MONTH)))?;
    let report = Report::of(&stored, store.as_ref(), retention, now)?;
    if is_json {
        report.purposes.iter().try_for_each(|(purpose, tally)| term.out.line(tally.json(*purpose, retention)))?;
        return Ok(());
    }
    if report.purposes.is_empty() {
        return Ok(term.out.line("No recordings, and nothing says how long they are to be kept.")?);
    }
    term.out.text(&report.table(retention).text(term.out.colour(), 0))?;
    for (stored, due, why) in report.overdue.iter().take(NAMED) {
        let overdue = term.out.styled(Style::Care, "overdue");
        term.out.line(format_args!("\n{}  {overdue} since {}: {why}", stored.recording, seconds(*due)))?;
    }
    if report.overdue.len() > NAMED {
        term.out.line(format_args!("\nand {} more.", report.overdue.len() - NAMED))?;
    }
    Ok(())
}

/// What there is.
struct Report<'s> {
    /// By purpose; of recordings that were found nobody knows it.
    purposes: BTreeMap<Option<&'s str>, Tally>,
    /// What should have been erased by now, since when, and why it was not.
    overdue: Vec<(&'s Stored, Wall, String)>,
}

/// What there is for one purpose.
#[derive(Default)]
struct Tally {
    recordings: u64,
    oldest: Option<Wall>,
    due_in_week: u64,
    due_in_month: u64,
    held: u64,
    overdue: BTreeMap<Why, u64>,
    erased: u64,
    erased_by_itself: u64,
}

/// Why something is overdue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Held,
    Failed,
    Waiting,
}

impl<'s> Report<'s> {
    fn of(all: &'s [Stored], store: &dyn Store, retention: &'s Retention, now: Wall) -> Result<Self, Stop> {
        let mut purposes: BTreeMap<Option<&str>, Tally> = BTreeMap::new();
        let mut overdue = Vec::new();
        for (purpose, _) in retention.iter() {
            purposes.entry(Some(purpose)).or_default();
        }
        let held: BTreeSet<_> = store.holds(None)?.into_iter().map(|hold| hold.recording).collect();
        for one in all {
            let tally = purposes.entry(one.purpose.as_deref()).or_default();
            if one.state == State::Erased {
                tally.erased += 1;
                tally.erased_by_itself += u64::from(one.erased_by.as_deref() == Some(BY_ITSELF));
                continue;
            }
            tally.recordings += 1;
            tally.oldest = tally.oldest.into_iter().chain([one.from]).min();
            tally.held += u64::from(held.contains(&one.recording));
            let Some(due) = one.due(retention).filter(|_| one.state != State::Recording) else { continue };
            if due <= now {
                let (why, words) = overdue_why(one, store)?;
                *tally.overdue.entry(why).or_default() += 1;
                overdue.push((one, due, words));
            } else {
                tally.due_in_week += u64::from(due <= now + DAY * WEEK);
                tally.due_in_month += u64::from(due <= now + DAY * MONTH);
            }
        }
        overdue.sort_by_key(|(one, due, _)| (*due, one.recording));
        Ok(Self { purposes, overdue })
    }

    fn table(&self, retention: &Retention) -> Table {
        let mut table = Table::new([
            ("PURPOSE", Align::Left),
            ("KEPT", Align::Left),
            ("RECORDINGS", Align::Right),
            ("OLDEST", Align::Left),
            ("DUE IN 7 d", Align::Right),
            ("IN 30 d", Align::Right),
            ("OVERDUE", Align::Right),
            ("HELD", Align::Right),
            ("ERASED IN 30 d", Align::Right),
        ]);
        for (purpose, tally) in &self.purposes {
            let overdue: u64 = tally.overdue.values().sum();
            table.row([
                Cell::new(purpose.unwrap_or("not known")),
                Cell::new(kept(retention.of(*purpose))),
                Cell::new(tally.recordings.to_string()),
                Cell::new(tally.oldest.map(day).unwrap_or_default()),
                Cell::new(tally.due_in_week.to_string()),
                Cell::new(tally.due_in_month.to_string()),
                Cell::styled(overdue.to_string(), if overdue > 0 { Style::Care } else { Style::Plain }),
                Cell::new(tally.held.to_string()),
                Cell::new(tally.erased.to_string()),
            ]);
        }
        table
    }
}

impl Tally {
    fn json(&self, purpose: Option<&str>, retention: &Retention) -> serde_json::Value {
        let limits = retention.of(purpose);
        let overdue = |why| self.overdue.get(&why).copied().unwrap_or(0);
        json!({
            "purpose": purpose,
            "shortest_s": limits.shortest.as_secs(),
            "longest_s": limits.longest.map(|longest| longest.as_secs()),
            "recordings": self.recordings,
            "oldest": self.oldest.map(|oldest| oldest.to_string()),
            "due_in_7_days": self.due_in_week,
            "due_in_30_days": self.due_in_month,
            "overdue": self.overdue.values().sum::<u64>(),
            "overdue_held": overdue(Why::Held),
            "overdue_failed": overdue(Why::Failed),
            "overdue_waiting": overdue(Why::Waiting),
            "held": self.held,
            "erased_in_30_days": self.erased,
            "erased_in_30_days_by_itself": self.erased_by_itself,
        })
    }
}

/// Says why a recording that is due is still there.
fn overdue_why(one: &Stored, store: &dyn Store) -> Result<(Why, String), Stop> {
    if one.is_held {
        let holds = store.holds(Some(one.recording))?;
        let since = holds.iter().map(hold_in_words).collect::<Vec<_>>().join("; ");
        return Ok((Why::Held, format!("held since {since}")));
    }
    let accesses = store.accesses(one.recording)?;
    let last = accesses.iter().rfind(|access| access.deed == Deed::Erase);
    Ok(match last {
        Some(last) if last.outcome == Outcome::Failed => {
            let what = format!("erasing failed on {}, and is tried again; the proxy's log says why", seconds(last.at));
            (Why::Failed, what)
        }
        Some(_) | None => (Why::Waiting, "the running proxy erases it; where it runs, its log says what it waits for".into()),
    })
}

fn earlier(now: Wall, span: Duration) -> Wall {
    Wall::from_unix_micros(now.unix_micros().saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}
