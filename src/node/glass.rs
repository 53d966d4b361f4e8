//! Who breaks the glass, whose process is another: the ledger has it, and the proxy tells those who watch it.

use std::time::Duration;

use crate::catalogue::{Says, Store, Warrant};
use crate::node::clock::Clock;
use crate::node::metrics::Metrics;
use crate::time::Moment;

/// What is told of what was denied, and done all the same.
pub(super) struct Glass {
    /// The last line that was looked at.
    after: u64,
    due: Moment,
    clock: Clock,
}

/// How often is looked: an alarm is no later than a scrape is anyway, and reading nothing new costs a look into an index.
const EVERY: Duration = Duration::from_secs(5);

impl Glass {
    /// Begins where the last process ended: what was told is counted again, and not told again.
    pub(super) fn begin(store: &dyn Store, clock: Clock, metrics: &Metrics) -> Self {
        let mut glass = Self { after: 0, due: clock.now(), clock };
        drop(glass.new_lines(store, metrics));
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
        for line in self.new_lines(store, metrics) {
            if let Says::Broke(wanted) = &line.says {
                // Of the reason nothing: there may be a number in it.
                let (who, action) = (&line.who, wanted.action.as_str());
                match wanted.recording {
                    Some(recording) => tracing::error!(who, action, %recording, remedy = REMEDY, "glass_broken"),
                    None => tracing::error!(who, action, remedy = REMEDY, "glass_broken"),
                }
            }
        }
    }

    /// Counts what has come since.
    fn new_lines(&mut self, store: &dyn Store, metrics: &Metrics) -> Vec<Warrant> {
        self.due = self.clock.now() + EVERY;
        let lines = store.warrants_after(self.after).unwrap_or_else(|error| {
            // It is looked again; whatever writes rows meanwhile tells the same.
            tracing::warn!(%error, "warrants_unreadable");
            Vec::new()
        });
        for line in &lines {
            match &line.says {
                Says::Broke(_) => metrics.glass_broken.inc(),
                Says::Denied(_) => metrics.access_denied.inc(),
                Says::Given { .. } | Says::Revoked(_) | Says::Asked(_) | Says::Approved(_) | Says::Refused(_) | Says::Used(_) => {
                }
            }
        }
        self.after = lines.last().map_or(self.after, |last| last.number);
        lines
    }
}

const REMEDY: &str = "`mitschnitt audit show --kind glass-broken` says why; see whether it had to be";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use crate::access::Action;
    use crate::catalogue::{Opening, Wanted};
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

        glass.look(store.as_ref(), &metrics);
        assert_eq!((metrics.glass_broken.get(), metrics.access_denied.get()), (0, 0), "it is not due");
        assert!(glass.patience() <= EVERY && !glass.patience().is_zero());
        for _ in 0..2 {
            glass.due = Moment::START;
            glass.look(store.as_ref(), &metrics);
            assert_eq!((metrics.glass_broken.get(), metrics.access_denied.get()), (1, 1));
        }

        let metrics = Metrics::new();
        Glass::begin(store.as_ref(), clock, &metrics);
        assert_eq!((metrics.glass_broken.get(), metrics.access_denied.get()), (1, 1));
    }
}
