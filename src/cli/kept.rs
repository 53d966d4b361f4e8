//! How long a recording is kept, as `list` and `show` say it: held, locked, or to be erased.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalogue::{Access, Bar, Entry, Limits, Retention, Span, State, Store, Stored};
use crate::cli::exit::Stop;
use crate::cli::list::seconds;
use crate::cli::site::Site;
use crate::cli::who;
use crate::ids::RecordingId;
use crate::time::Wall;

/// What is known of all recordings' keeping.
pub(super) struct Kept<'s> {
    /// Nothing where the configuration does not say it in a way that can be read.
    retention: Option<&'s Retention>,
    held: BTreeSet<RecordingId>,
    now: Wall,
}

impl<'s> Kept<'s> {
    /// Asks the ledger which recordings are held.
    pub(super) fn find(site: &'s Site, store: &dyn Store) -> Result<Self, Stop> {
        let held = store.holds(None)?.into_iter().map(|hold| hold.recording).collect();
        Ok(Self { retention: site.retention(), held, now: who::now() })
    }

    /// Says it in a few words, for a column.
    pub(super) fn words(&self, entry: &Entry) -> String {
        let Some(stored) = self.stored(entry) else { return String::new() };
        if stored.is_held {
            return "held".into();
        }
        let Some(retention) = self.retention else { return String::new() };
        match stored.bar(retention, self.now) {
            Some(Bar::Locked(until)) => format!("locked until {}", day(until)),
            Some(Bar::Held | Bar::Unfinished) => String::new(),
            None => stored.due(retention).map(|due| format!("until {}", day(due))).unwrap_or_default(),
        }
    }

    /// Says it in lines with a name each, with who holds it and why.
    pub(super) fn facts(&self, entry: &Entry, holds: &[Access]) -> Vec<(&'static str, String)> {
        let mut facts: Vec<_> = holds.iter().map(|hold| ("held", format!("since {}", hold_in_words(hold)))).collect();
        let (Some(stored), Some(retention)) = (self.stored(entry), self.retention) else { return facts };
        let Limits { longest, .. } = retention.of(entry.purpose.as_deref());
        let locked = stored.locked_until(retention).filter(|until| *until > self.now);
        facts.extend(locked.map(|until| ("locked", format!("until {} UTC", seconds(until)))));
        facts.extend(stored.due(retention).zip(longest).map(|(due, longest)| {
            ("kept", format!("until {} UTC, {} after the call, unless it is held", seconds(due), Span(longest)))
        }));
        facts
    }

    /// Adds it to a row in JSON.
    pub(super) fn fill(&self, value: &mut Value, entry: &Entry) {
        let Value::Object(fields) = value else { return };
        let stored = self.stored(entry);
        let of = |time: fn(&Stored, &Retention) -> Option<Wall>| Some(time(stored.as_ref()?, self.retention?)?.to_string());
        fields.insert("held".into(), stored.as_ref().is_some_and(|stored| stored.is_held).into());
        fields.insert("locked_until".into(), of(Stored::locked_until).into());
        fields.insert("erase_on".into(), of(Stored::due).into());
    }

    /// Returns a recording that is over and not erased.
    fn stored(&self, entry: &Entry) -> Option<Stored> {
        let stored = Stored::of(entry, entry.recording.is_some_and(|recording| self.held.contains(&recording)))?;
        match entry.state {
            State::Sealed | State::Torn | State::Salvaged => Some(stored),
            // When it ends nobody knows; a hold is there all the same.
            State::Recording => Some(stored).filter(|stored| stored.is_held),
            State::None | State::Erased => None,
        }
    }
}

/// Says since when, by whom and why: `2026-11-24 09:30:00 by alice (uid 1000): case 4711`.
pub(super) fn hold_in_words(hold: &Access) -> String {
    let why = hold.reason.as_deref().unwrap_or("no reason was given");
    format!("{} by {}: {why}", seconds(hold.at), hold.who)
}

/// A date, as people read it.
pub(super) fn day(wall: Wall) -> String {
    wall.to_string().chars().take(10).collect()
}
