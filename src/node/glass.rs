//! Who breaks the glass, whose process is another: the ledger has it, and the proxy tells those who watch it.

use std::time::Duration;

use crate::catalogue::{Says, Store, StoreError, Wanted};
use crate::node::clock::Clock;
use crate::node::metrics::Metrics;
use crate::time::Moment;

/// What is told of what was denied, and done all the same.
pub(super) struct Glass {
    /// What was looked at; nothing before the first time.
    seen: Option<Seen>,
    due: Moment,
    clock: Clock,
}

/// The last lines that were looked at: of warrants, and of the access log.
#[derive(Clone, Copy, Default)]
struct Seen {
    warrant: u64,
    access: u64,
}

/// How often is looked: an alarm is no later than a scrape is anyway, and reading nothing new costs a look into an index.
const EVERY: Duration = Duration::from_secs(5);

impl Glass {
    /// Begins with what the ledger has: it is counted, and was told before.
    pub(super) fn begin(store: &dyn Store, clock: Clock, metrics: &Metrics) -> Self {
        let mut glass = Self { seen: None, due: clock.now(), clock };
        glass.look(store, metrics);
        glass
    }

    /// Returns how long nothing is due.
    pub(super) fn patience(&self) -> Duration {
        self.due.since(self.clock.now())
    }

    /// Looks whether there is anything new, where that is due.
    pub(super) fn look(&mut self, store: &dyn Store, metrics: &Metrics) {
        if self.clock.now() < self.due {
            return;
        }
        self.due = self.clock.now() + EVERY;
        if let Err(error) = self.new_lines(store, metrics) {
            // It is looked again, from where it stood.
            tracing::warn!(%error, "warrants_unreadable");
        }
    }

    fn new_lines(&mut self, store: &dyn Store, metrics: &Metrics) -> Result<(), StoreError> {
        let before = self.seen.unwrap_or_default();
        let lines = store.warrants_after(before.warrant)?;
        let (denied, access) = store.denied_after(before.access)?;
        metrics.access_denied.inc_by(denied);
        for line in &lines {
            match &line.says {
                Says::Broke(wanted) => {
                    metrics.glass_broken.inc();
                    if self.seen.is_some() {
                        tell(&line.who, *wanted);
                    }
                }
                Says::Denied(_) => metrics.access_denied.inc(),
                Says::Given { .. } | Says::Revoked(_) | Says::Asked(_) | Says::Approved(_) | Says::Refused(_) | Says::Used(_) => {
                }
            }
        }
        let warrant = lines.last().map_or(before.warrant, |last| last.number);
        self.seen = Some(Seen { warrant, access });
        Ok(())
    }
}

/// Of the reason nothing: there may be a number in it.
fn tell(who: &str, wanted: Wanted) {
    let action = wanted.action.as_str();
    match wanted.recording {
        Some(recording) => tracing::error!(who, action, %recording, remedy = REMEDY, "glass_broken"),
        None => tracing::error!(who, action, remedy = REMEDY, "glass_broken"),
    }
}

const REMEDY: &str = "`mitschnitt audit show --kind glass-broken` says why; see whether it had to be";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use crate::access::Action;
    use crate::catalogue::{Access, Deed, Opening, Outcome, Warrant};
    use crate::ids::RecordingId;
    use crate::node::store::open;
    use crate::time::Wall;

    use super::*;

    #[test]
    fn what_was_denied_and_done_all_the_same_is_counted_once_and_again_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
        let wanted = Wanted { action: Action::Export, recording: None };
        let says = |says| Warrant {
            number: 0,
            at: Wall::from_unix_micros(1),
            who: "eve (uid 1001)".into(),
            persons: BTreeSet::new(),
            says,
            reason: Some("the house is on fire".into()),
        };
        let clock = Clock::start();
        let metrics = Metrics::new();
        let mut glass = Glass::begin(store.as_ref(), clock, &metrics);
        store.warrant(&says(Says::Denied(wanted))).unwrap();
        store.warrant(&says(Says::Broke(wanted))).unwrap();
        // With one recording the access log has it.
        for outcome in [Outcome::Denied, Outcome::Granted] {
            let (at, who, deed) = (Wall::from_unix_micros(2), "eve (uid 1001)".into(), Deed::Export);
            let recording = RecordingId::from_bytes([7; 16]);
            store.record_access(&Access { at, who, deed, recording, purpose: None, reason: None, outcome }).unwrap();
        }

        glass.look(store.as_ref(), &metrics);
        assert_eq!((metrics.glass_broken.get(), metrics.access_denied.get()), (0, 0), "it is not due");
        assert!(glass.patience() <= EVERY && !glass.patience().is_zero());
        for _ in 0..2 {
            glass.due = Moment::START;
            glass.look(store.as_ref(), &metrics);
            assert_eq!((metrics.glass_broken.get(), metrics.access_denied.get()), (1, 2));
        }

        let metrics = Metrics::new();
        Glass::begin(store.as_ref(), clock, &metrics);
        assert_eq!((metrics.glass_broken.get(), metrics.access_denied.get()), (1, 2));
    }
}
