//! The ledger's thread: every call's story and every recording's outcome becomes a row, in batches.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::call::{Kept, Story};
use crate::catalogue::{KeptCall, Quality, Store, StoreError, Write};
use crate::control::row;
use crate::ids::{CallId, RecordingId};
use crate::limits::LEDGER_ROWS_WAITING;
use crate::media::{BridgeTallies, LegQuality};
use crate::node::alive::Alive;
use crate::node::clock::Clock;
use crate::node::folders::Folders;
use crate::node::found;
use crate::node::glass::Glass;
use crate::node::heads::{Heads, Stamping};
use crate::node::metrics::Metrics;
use crate::node::queue::{self, Giver, Taker};
use crate::private::Private;
use crate::time::{Moment, Wall};
use crate::vault::{Digest, HeadKey, Outcome};

/// The way to the ledger's thread; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    lines: Giver<Write>,
    metrics: Arc<Metrics>,
}

/// Starts the thread. It ends once every [`Ledger`] is dropped and all is written. Also returns the recordings that are torn.
///
/// # Errors
/// The store cannot be written, or there is no thread to be had.
pub(super) fn start(
    mut store: Box<dyn Store>,
    folders: &Folders,
    Signing { key, settings, publish_every, stamping, clock }: Signing,
    metrics: Arc<Metrics>,
    alive: Alive,
) -> io::Result<(Ledger, JoinHandle<()>, Vec<RecordingId>)> {
    // First of all, before anything is added to it.
    let heads = Heads::begin(store.as_mut(), (key, settings), (publish_every, stamping), clock, Arc::clone(&metrics))
        .map_err(io::Error::other)?;
    let glass = Glass::begin(store.as_ref(), clock, &metrics);
    let [torn, interrupted] = store.mark_torn().map_err(io::Error::other)?;
    // After the rest: a call that is now taken for one that nothing was recorded of may have a recording after all.
    let found = found::adopt(store.as_mut(), folders)?;
    if found > 0 {
        metrics.recordings_torn.inc_by(found);
        tracing::warn!(found, "recordings_without_row");
    }
    if torn + interrupted > 0 {
        metrics.recordings_torn.inc_by(torn);
        tracing::warn!(torn, interrupted, "left_open_by_the_last_run");
    }
    let left_torn = store.torn().map_err(io::Error::other)?;
    let (lines, waits) = queue::bounded(LEDGER_ROWS_WAITING);
    let ledger = Ledger { lines, metrics: Arc::clone(&metrics) };
    let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || {
        let _alive = alive;
        write(store.as_mut(), &waits, (heads, glass), &metrics);
    })?;
    Ok((ledger, thread, left_torn))
}

/// How the ledger's chain is signed.
pub(super) struct Signing {
    /// By whom.
    pub(super) key: HeadKey,
    /// SHA-256 of the configuration that it is started with.
    pub(super) settings: Digest,
    /// How often its head is published.
    pub(super) publish_every: Duration,
    /// Who has heads stamped, where anybody does.
    pub(super) stamping: Option<Stamping>,
    pub(super) clock: Clock,
}

/// Rows in one transaction: enough that a burst of calls costs one write of the log.
const BATCH: usize = 512;

/// How long rows gather after a transaction, unless as many wait as go into one: it costs the same for one row as for thirty. A row
/// that is killed with the process is younger than this.
const GATHERING: Duration = Duration::from_millis(50);

/// How long to wait for a row before looking again, where nothing is due in between.
const PATIENCE: Duration = Duration::from_secs(60);

fn write(store: &mut dyn Store, waits: &Taker<Write>, (mut heads, mut glass): (Heads, Glass), metrics: &Metrics) {
    while let Some(batch) = waits.take(BATCH, PATIENCE.min(heads.patience()).min(glass.patience())) {
        heads.publish(store);
        glass.look(store, metrics);
        metrics.ledger_queue.set(i64::try_from(waits.waiting()).unwrap_or(i64::MAX));
        if batch.is_empty() {
            continue;
        }
        let outcome = persist(store, &batch);
        if outcome.is_ok() {
            metrics.ledger_rows.inc_by(batch.len() as u64);
            heads.gauge(store);
        }
        heads.stamp(store, &batch);
        if let Err(error) = outcome {
            // Not even with patience: the ledger is broken, or its disk is full for good. Each row's loss is told.
            metrics.ledger_errors.inc_by(batch.len() as u64);
            tracing::error!(%error, rows = batch.len(), "rows_lost");
            for line in &batch {
                match line {
                    Write::Put(entry) => tracing::error!(call = %entry.call, reason = %entry.reason, "row_lost"),
                    Write::Begun(recording) => tracing::error!(%recording, "beginning_lost"),
                    Write::Sealed(recording, ..)
                    | Write::Torn(recording, _)
                    | Write::Lost(recording, _)
                    | Write::Closed(recording, ..)
                    | Write::Salvaged(recording, ..) => {
                        tracing::error!(%recording, "row_lost");
                    }
                    Write::Found { recording, .. } => tracing::error!(%recording, "row_lost"),
                    Write::Measured(call, _) => tracing::error!(%call, "quality_lost"),
                    Write::Ended(call, _) => tracing::error!(%call, "row_lost"),
                    Write::Stamped { number, .. } => tracing::error!(number, "timestamp_lost"),
                    Write::Turn(turn) => tracing::error!(call = %turn.call, what = %turn.what, "turn_lost"),
                    Write::NotStamped { .. } => {}
                    Write::Keep(KeptCall { call, .. }) | Write::Forget(call) => tracing::error!(%call, "call_not_kept"),
                }
            }
        }
        if batch.len() < BATCH {
            std::thread::sleep(GATHERING);
        }
    }
    heads.end(store);
}

/// Writes a batch, again and again while another process holds the ledger or its disk is full.
fn persist(store: &mut dyn Store, batch: &[Write]) -> Result<(), StoreError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match store.write(batch) {
            Ok(()) => return Ok(()),
            Err(error) if pause > LAST_PAUSE => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "ledger_waits");
                std::thread::sleep(pause);
                pause *= 2;
            }
        }
    }
}

/// How long to wait before a row is tried again, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest wait: 100 ms doubled nine times, after 102 s in all. An operator's tool that holds the ledger has ended by then.
const LAST_PAUSE: Duration = Duration::from_millis(51_200);

impl Ledger {
    /// Writes a call's story.
    pub(super) fn story(&self, story: Story, clocks: (Moment, Wall)) {
        self.send(row::of_story(story, clocks));
    }

    /// Keeps what a call goes on by after a restart.
    pub(super) fn keep(&self, kept: &Kept, at: Wall) {
        self.send(Write::Keep(KeptCall { call: kept.call(), at, kept: Private::new(kept.to_bytes()) }));
    }

    /// Keeps nothing of a call any more.
    pub(super) fn forget(&self, call: CallId) {
        self.send(Write::Forget(call));
    }

    /// Writes what became of a recording.
    pub(super) fn outcome(&self, outcome: &Outcome) {
        let Some(line) = row::of_outcome(outcome) else { return };
        if matches!(line, Write::Torn(..)) {
            self.metrics.recordings_torn.inc();
        }
        self.send(line);
    }

    /// Writes how good what a bridge carried was, where it carried audio.
    pub(super) fn measured(&self, call: CallId, tallies: &BridgeTallies) {
        let [pbx, trunk] = &tallies.quality;
        if pbx.received + trunk.received > 0 {
            self.send(Write::Measured(call, Box::new([quality(pbx, trunk), quality(trunk, pbx)])));
        }
    }

    /// Writes what was made of a recording that an earlier run had left torn.
    pub(super) fn salvaged(&self, line: Write) {
        self.send(line);
    }

    pub(super) fn send(&self, line: Write) {
        // As many wait as may, or the thread is gone, which only a panic brings about and the end of the run reports.
        if self.lines.give(line).is_err() {
            self.metrics.ledger_errors.inc();
        }
    }
}

/// The ledger's figures of a leg.
fn quality(leg: &LegQuality, other: &LegQuality) -> Quality {
    Quality {
        expected: leg.expected,
        received: leg.received,
        duplicates: leg.duplicates,
        reordered: leg.reordered,
        jitter: leg.jitter,
        worst_jitter: leg.worst_jitter,
        longest_gap: leg.longest_gap,
        round_trip: leg.round_trip,
        mos_hundredths: leg.mos().map(hundredths),
        is_one_way: leg.is_one_way(other),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score is 1 to 4.5")]
fn hundredths(score: f64) -> u16 {
    (score * 100.0).round() as u16
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::catalogue::{
        Access, Bound, Chain, Cleared, Entry, Event, Filter, Keeping, KeptCall, Link, Note, Number, Purged, Reason, Rights,
        Roster, RosterLine, Stamp, Stamps, Stored, Subject, Warrant, Warrants,
    };
    use crate::vault::{NodeKey, SignedHead};

    #[test]
    fn a_row_beyond_those_that_may_wait_is_lost_and_counted() {
        let metrics = Arc::new(Metrics::new());
        let (began, begins) = mpsc::channel();
        let (go_on, waits) = mpsc::channel();
        let store = Box::new(Slow { began, waits });
        let alive = Alive::new("ledger", tokio::sync::mpsc::channel(1).0);
        let nothing = tempfile::tempdir().unwrap();
        let key = HeadKey::of(NodeKey::generate(&mut crate::node::entropy::source()));
        let signing = Signing {
            key,
            settings: Digest::ZERO,
            publish_every: Duration::from_secs(3600),
            stamping: None,
            clock: Clock::start(),
        };
        let (ledger, thread, _) =
            start(store, &Folders::make(nothing.path(), None).unwrap(), signing, Arc::clone(&metrics), alive).unwrap();
        let lines =
            |count: usize| (0..count).for_each(|_| ledger.send(Write::Torn(RecordingId::from_bytes([1; 16]), Reason::Torn)));

        lines(1);
        begins.recv().unwrap();
        lines(LEDGER_ROWS_WAITING);
        assert_eq!(metrics.ledger_errors.get(), 0);
        lines(1);

        assert_eq!(metrics.ledger_errors.get(), 1);
        drop(go_on);
        drop(ledger);
        thread.join().unwrap();
    }

    /// A store whose first write lasts until it may go on.
    struct Slow {
        began: mpsc::Sender<()>,
        waits: mpsc::Receiver<()>,
    }

    impl Store for Slow {
        fn write(&mut self, _: &[Write]) -> Result<(), StoreError> {
            // Nobody waits for the later ones to begin, and nothing keeps them.
            let _nobody = self.began.send(());
            let _hung_up = self.waits.recv();
            Ok(())
        }

        fn without_row(&self, _: Vec<RecordingId>) -> Result<Vec<RecordingId>, StoreError> {
            Ok(Vec::new())
        }

        fn kept(&self) -> Result<Vec<KeptCall>, StoreError> {
            Ok(Vec::new())
        }

        fn mark_torn(&mut self) -> Result<[u64; 2], StoreError> {
            Ok([0, 0])
        }

        fn torn(&self) -> Result<Vec<RecordingId>, StoreError> {
            Ok(Vec::new())
        }

        fn list(&self, _: &Filter) -> Result<Vec<Entry>, StoreError> {
            Ok(Vec::new())
        }

        fn recording(&self, _: RecordingId) -> Result<Option<Entry>, StoreError> {
            Ok(None)
        }

        fn call(&self, _: CallId) -> Result<Option<Entry>, StoreError> {
            Ok(None)
        }

        fn record_access(&mut self, _: &Access) -> Result<(), StoreError> {
            Ok(())
        }

        fn turns(&self, _: CallId) -> Result<Vec<crate::catalogue::Turn>, StoreError> {
            Ok(Vec::new())
        }

        fn accesses(&self, _: RecordingId) -> Result<Vec<Access>, StoreError> {
            Ok(Vec::new())
        }
    }

    impl Chain for Slow {
        fn sign_with(&mut self, _: HeadKey) {}

        fn note(&mut self, _: &[Event]) -> Result<(), StoreError> {
            Ok(())
        }

        fn sign(&mut self) -> Result<Option<SignedHead>, StoreError> {
            Ok(None)
        }

        fn head(&self) -> Result<Option<SignedHead>, StoreError> {
            Ok(None)
        }

        fn last_start(&self) -> Result<Option<u64>, StoreError> {
            Ok(None)
        }

        fn freeze(&self) -> Result<(), StoreError> {
            Ok(())
        }

        fn links(&self, _: u64, _: &mut dyn FnMut(Link, Option<SignedHead>)) -> Result<(), StoreError> {
            Ok(())
        }

        fn bound(&self, _: &mut dyn FnMut(Bound)) -> Result<(), StoreError> {
            Ok(())
        }
    }

    impl Keeping for Slow {
        fn holds(&self, _: Option<RecordingId>) -> Result<Vec<Access>, StoreError> {
            Ok(Vec::new())
        }

        fn stored(&self, _: Option<Wall>) -> Result<Vec<Stored>, StoreError> {
            Ok(Vec::new())
        }

        fn pace(&self) -> Result<Option<Wall>, StoreError> {
            Ok(None)
        }

        fn set_pace(&mut self, _: Wall) -> Result<(), StoreError> {
            Ok(())
        }
    }

    impl Roster for Slow {
        fn enter(&mut self, _: &[RosterLine]) -> Result<(), StoreError> {
            Ok(())
        }

        fn roster(&self) -> Result<Vec<RosterLine>, StoreError> {
            Ok(Vec::new())
        }
    }

    impl Warrants for Slow {
        fn warrant(&mut self, _: &Warrant) -> Result<u64, StoreError> {
            Ok(0)
        }

        fn warrants(&self) -> Result<Vec<Warrant>, StoreError> {
            Ok(Vec::new())
        }

        fn warrants_after(&self, _: u64) -> Result<Vec<Warrant>, StoreError> {
            Ok(Vec::new())
        }

        fn denied_after(&self, _: u64) -> Result<(u64, u64), StoreError> {
            Ok((0, 0))
        }

        fn exports(&self, _: Wall) -> Result<Vec<Access>, StoreError> {
            Ok(Vec::new())
        }
    }

    impl Rights for Slow {
        fn note_down(&mut self, _: &Note) -> Result<u64, StoreError> {
            Ok(0)
        }

        fn notes(&self) -> Result<Vec<Note>, StoreError> {
            Ok(Vec::new())
        }

        fn of_person(&self, _: &Number) -> Result<Vec<u64>, StoreError> {
            Ok(Vec::new())
        }

        fn clear(&mut self, _: &[CallId], _: Option<&Number>) -> Result<Cleared, StoreError> {
            Ok(Cleared::default())
        }

        fn purge(&mut self, _: &[Private<String>]) -> Result<Purged, StoreError> {
            Ok(Purged::Clean)
        }
    }

    impl Stamps for Slow {
        fn wait(&mut self, _: &[Subject], _: u64) -> Result<u64, StoreError> {
            Ok(0)
        }

        fn next(&self) -> Result<(Option<Stamp>, u64), StoreError> {
            Ok((None, 0))
        }

        fn stamps(&self, _: &mut dyn FnMut(Stamp)) -> Result<(), StoreError> {
            Ok(())
        }
    }
}
