//! The ledger's chain over the life of a process: looked through at the start, signed as it grows, its heads published.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::catalogue::{Event, Seal, Stamp, Store, StoreError, Subject, Walk, Walked, Write};
use crate::limits::{LEDGER_EVENTS_CHECKED, STAMPS_WAITING};
use crate::node::clock::Clock;
use crate::node::metrics::Metrics;
use crate::node::stamper::Order;
use crate::time::Moment;
use crate::vault::{Digest, HeadKey};

/// What the ledger's thread does for the chain beside writing rows.
pub(super) struct Heads {
    every: Duration,
    stamping: Option<Stamping>,
    /// The last that was to be stamped.
    stamped: u64,
    due: Moment,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Heads {
    /// Looks through the chain, says that the process began, and has all that is written from here on signed.
    ///
    /// A chain that does not hold is told, and goes on: calls come first.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn begin(
        store: &mut dyn Store,
        (key, settings): (HeadKey, Digest),
        (every, stamping): (Duration, Option<Stamping>),
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let mut events = Vec::new();
        match check(store, &key, LEDGER_EVENTS_CHECKED) {
            Ok(walked) => {
                for fault in walked.breaks.iter().take(TOLD) {
                    tracing::error!(%fault, remedy = "`mitschnitt audit verify` says what there is to be said", "ledger_chain_broken");
                }
                metrics.ledger_chain_broken.set(i64::try_from(walked.breaks.len()).unwrap_or(i64::MAX));
                events.extend(walked.breaks.iter().map(|fault| fault.at()).min().map(|at| Event::Broken { at }));
            }
            Err(error) => {
                tracing::error!(%error, "ledger_chain_unreadable");
                metrics.ledger_chain_broken.set(1);
            }
        }
        let (version, node) = (env!("CARGO_PKG_VERSION").into(), key.public().fingerprint());
        events.push(Event::Started { version, node, settings: Some(settings) });
        store.sign_with(key);
        store.note(&events)?;
        let mut heads = Self { every, stamping, stamped: 0, due: clock.now(), clock, metrics };
        heads.gauge(store);
        // What the last process left waiting.
        heads.order(store);
        Ok(heads)
    }

    /// Returns how long nothing is due.
    pub(super) fn patience(&self) -> Duration {
        self.due.since(self.clock.now())
    }

    /// Publishes the head where that is due.
    pub(super) fn publish(&mut self, store: &mut dyn Store) {
        let now = self.clock.now();
        if now < self.due {
            return;
        }
        self.due = now + self.every;
        match store.sign() {
            Ok(Some(head)) => {
                tracing::info!(%head, "ledger_head");
                if head.head.seq > self.stamped {
                    self.stamped = head.head.seq;
                    self.wait(store, &[Subject::Head(head)]);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "ledger_head_not_published"),
        }
        self.gauge(store);
    }

    /// Has stamped what these writes want stamped.
    pub(super) fn stamp(&mut self, store: &mut dyn Store, writes: &[Write]) {
        let Some(stamping) = &mut self.stamping else { return };
        let mut roots = Vec::new();
        for write in writes {
            match write {
                Write::Sealed(recording, _, Seal { root, .. })
                | Write::Closed(recording, _, Seal { root, .. })
                | Write::Salvaged(recording, _, _, Seal { root, .. })
                    if stamping.each_recording =>
                {
                    roots.push(Subject::Root { recording: *recording, root: *root });
                }
                Write::Stamped { .. } => {
                    stamping.is_asked = false;
                    self.metrics.timestamps.inc();
                }
                Write::NotStamped { .. } => {
                    stamping.is_asked = false;
                    self.metrics.timestamp_failures.inc();
                }
                Write::Put(_)
                | Write::Turn(_)
                | Write::Begun(_)
                | Write::Sealed(..)
                | Write::Torn(..)
                | Write::Lost(..)
                | Write::Closed(..)
                | Write::Salvaged(..)
                | Write::Found { .. }
                | Write::Measured(..)
                | Write::Ended(..)
                | Write::Keep(_)
                | Write::Forget(_) => {}
            }
        }
        if roots.is_empty() { self.order(store) } else { self.wait(store, &roots) }
    }

    /// Has these wait for a timestamp.
    fn wait(&mut self, store: &mut dyn Store, subjects: &[Subject]) {
        if self.stamping.is_none() {
            return;
        }
        match store.wait(subjects, STAMPS_WAITING) {
            Ok(0) => {}
            Ok(given_up) => {
                self.metrics.timestamps_given_up.inc_by(given_up);
                tracing::warn!(given_up, "timestamps_given_up");
            }
            Err(error) => tracing::warn!(%error, "timestamp_not_wanted"),
        }
        self.order(store);
    }

    /// Orders the next timestamp, where none is being asked for.
    fn order(&mut self, store: &dyn Store) {
        let Some(stamping) = self.stamping.as_mut().filter(|stamping| !stamping.is_asked) else { return };
        match store.next() {
            Ok((next, waiting)) => {
                self.metrics.timestamps_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                let Some(Stamp { number, subject, .. }) = next else { return };
                // Nobody asks any more while the process ends.
                stamping.is_asked = stamping.orders.try_send(Order { number, digest: subject.digest() }).is_ok();
            }
            Err(error) => tracing::warn!(%error, "timestamp_not_ordered"),
        }
    }

    /// Says how far the chain is signed.
    pub(super) fn gauge(&self, store: &dyn Store) {
        if let Ok(Some(signed)) = store.head() {
            self.metrics.ledger_head.set(i64::try_from(signed.head.seq).unwrap_or(i64::MAX));
        }
    }

    /// Says that the process ends as it should.
    pub(super) fn end(self, store: &mut dyn Store) {
        if let Err(error) = store.note(&[Event::Stopped]) {
            tracing::warn!(%error, "ledger_end_not_written");
        }
    }
}

/// The way to whoever asks the authority for timestamps.
pub(super) struct Stamping {
    orders: mpsc::Sender<Order>,
    each_recording: bool,
    /// One at a time.
    is_asked: bool,
}

impl Stamping {
    pub(super) const fn new(orders: mpsc::Sender<Order>, each_recording: bool) -> Self {
        Self { orders, each_recording, is_asked: false }
    }
}

/// Faults that are told one by one.
const TOLD: usize = 8;

/// Looks through what was added since the last start, or the newest `most` events where that is more.
fn check(store: &dyn Store, key: &HeadKey, most: u64) -> Result<Walked, StoreError> {
    let nodes = [*key.public()];
    let last = store.head()?;
    let newest = last.map_or(0, |signed| signed.head.seq.saturating_sub(most));
    let from = store.last_start()?.unwrap_or(0).max(newest);
    let mut walk = if from == 0 { Walk::begin(&nodes) } else { Walk::amid(&nodes) };
    store.links(from, &mut |link, head| walk.step(&link, head.as_ref()))?;
    Ok(walk.end(last.as_ref()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::catalogue::{Break, Opening, Reason};
    use crate::ids::RecordingId;
    use crate::node::store;
    use crate::vault::NodeKey;

    #[test]
    fn a_chain_that_does_not_hold_is_told_once_and_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let start = || {
            let mut store = store::open(&path, Opening::Keep).unwrap();
            let metrics = Arc::new(Metrics::new());
            let heads = Heads::begin(
                store.as_mut(),
                (key(), Digest::ZERO),
                (Duration::from_secs(60), None),
                Clock::start(),
                Arc::clone(&metrics),
            )
            .unwrap();
            (store, heads, metrics)
        };
        let (mut store, heads, metrics) = start();
        store.write(&[lost(1), lost(2), lost(3)]).unwrap();
        heads.end(store.as_mut());
        assert_eq!((metrics.ledger_chain_broken.get(), metrics.ledger_head.get()), (0, 2));
        drop(store);
        let tampered = "DROP TRIGGER chain_is_not_changed; UPDATE chain SET body = '{}' WHERE seq = 4";
        Connection::open(&path).unwrap().execute_batch(tampered).unwrap();

        let (store, _, metrics) = start();
        let (_, _, again) = start();

        assert_eq!(metrics.ledger_chain_broken.get(), 1);
        assert_eq!(again.ledger_chain_broken.get(), 0, "it was looked through from there on");
        let mut events = Vec::new();
        store.links(7, &mut |link, _| events.extend(link.event())).unwrap();
        assert!(
            matches!(events.as_slice(), [Event::Broken { at: 4 }, Event::Started { .. }, Event::Started { .. }]),
            "{events:?}"
        );
    }

    #[test]
    fn more_events_than_may_be_are_not_looked_through_at_a_start() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let mut store = store::open(&path, Opening::Keep).unwrap();
        store.sign_with(key());
        store.write(&[lost(1), lost(2), lost(3), lost(4)]).unwrap();
        let tampered = "DROP TRIGGER chain_is_not_changed; UPDATE chain SET body = '{}' WHERE seq = 2";
        Connection::open(&path).unwrap().execute_batch(tampered).unwrap();

        let breaks = |most| check(store.as_ref(), &key(), most).unwrap().breaks;

        assert_eq!(breaks(LEDGER_EVENTS_CHECKED), [Break::Event(2)]);
        assert_eq!((breaks(4), breaks(3)), (vec![Break::Event(2)], vec![]));
    }

    #[test]
    fn a_head_is_published_when_it_is_due() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let mut store = store::open(&path, Opening::Keep).unwrap();
        let metrics = Arc::new(Metrics::new());
        let hour = Duration::from_secs(3600);
        let mut heads =
            Heads::begin(store.as_mut(), (key(), Digest::ZERO), (hour, None), Clock::start(), Arc::clone(&metrics)).unwrap();
        let mut other = store::open(&path, Opening::Keep).unwrap();
        assert_eq!(heads.patience(), Duration::ZERO, "the first at once");

        other.write(&[lost(1)]).unwrap();
        heads.publish(store.as_mut());
        let first = metrics.ledger_head.get();
        other.write(&[lost(2)]).unwrap();
        heads.publish(store.as_mut());

        assert_eq!((first, metrics.ledger_head.get()), (3, 3));
        assert!(heads.patience() > hour / 2);
    }

    fn key() -> HeadKey {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        HeadKey::of(NodeKey::from_pem(pem.as_bytes()).unwrap())
    }

    fn lost(n: u8) -> Write {
        Write::Lost(RecordingId::from_bytes([n; 16]), Reason::VaultUnavailable)
    }
}
