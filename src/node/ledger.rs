//! The ledger's thread: every call's story and every recording's outcome becomes a row, in batches.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::call::{self, Story};
use crate::catalogue::{Entry, Parties, Reason, State, Store, StoreError, Totals, Write};
use crate::limits::LEDGER_ROWS_WAITING;
use crate::node::alive::Alive;
use crate::node::disk::Outcome;
use crate::node::metrics::Metrics;
use crate::node::queue::{self, Giver, Taker};
use crate::time::{Moment, Wall};

/// The way to the ledger's thread; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    lines: Giver<Write>,
    metrics: Arc<Metrics>,
}

/// Starts the thread. It ends once every [`Ledger`] is dropped and all is written.
///
/// # Errors
/// The store cannot be written, or there is no thread to be had.
pub(super) fn start(mut store: Box<dyn Store>, metrics: Arc<Metrics>, alive: Alive) -> io::Result<(Ledger, JoinHandle<()>)> {
    let [torn, interrupted] = store.mark_torn().map_err(io::Error::other)?;
    if torn + interrupted > 0 {
        metrics.recordings_torn.inc_by(torn);
        tracing::warn!(torn, interrupted, "left_open_by_the_last_run");
    }
    let (lines, waits) = queue::bounded(LEDGER_ROWS_WAITING);
    let ledger = Ledger { lines, metrics: Arc::clone(&metrics) };
    let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || {
        let _alive = alive;
        write(store.as_mut(), &waits, &metrics);
    })?;
    Ok((ledger, thread))
}

/// Rows in one transaction: enough that a burst of calls costs one write of the log.
const BATCH: usize = 512;

/// How long to wait for a row before looking again; nothing is due in between.
const PATIENCE: Duration = Duration::from_secs(60);

fn write(store: &mut dyn Store, waits: &Taker<Write>, metrics: &Metrics) {
    while let Some(batch) = waits.take(BATCH, PATIENCE) {
        metrics.ledger_queue.set(i64::try_from(waits.waiting()).unwrap_or(i64::MAX));
        if batch.is_empty() {
            continue;
        }
        if let Err(error) = persist(store, &batch) {
            // Not even with patience: the ledger is broken, or its disk is full for good. Each row's loss is told.
            metrics.ledger_errors.inc_by(batch.len() as u64);
            tracing::error!(%error, rows = batch.len(), "rows_lost");
            for line in &batch {
                match line {
                    Write::Put(entry) => tracing::error!(call = %entry.call, reason = %entry.reason, "row_lost"),
                    Write::Sealed(recording, _) | Write::Torn(recording, _) | Write::Lost(recording, _) => {
                        tracing::error!(%recording, "row_lost");
                    }
                }
            }
        }
    }
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
        self.send(Write::Put(Box::new(entry(story, clocks))));
    }

    /// Writes what became of a recording.
    pub(super) fn outcome(&self, outcome: Outcome) {
        match outcome {
            Outcome::Sealed { recording, sealed } => {
                let totals = Totals {
                    packets: sealed.totals.legs.map(|leg| leg.packets),
                    gaps: sealed.totals.gaps,
                    lost: sealed.totals.lost,
                    size_bytes: sealed.bytes,
                };
                self.send(Write::Sealed(recording, totals));
            }
            Outcome::Failed { recording, left_a_file, .. } => {
                if left_a_file {
                    self.metrics.recordings_torn.inc();
                    self.send(Write::Torn(recording, Reason::VaultUnavailable));
                } else {
                    self.send(Write::Lost(recording, Reason::VaultUnavailable));
                }
            }
        }
    }

    fn send(&self, line: Write) {
        // As many wait as may, or the thread is gone, which only a panic brings about and the end of the run reports.
        if self.lines.give(line).is_err() {
            self.metrics.ledger_errors.inc();
        }
    }
}

/// The row of a story; its moments become times of day by two clock readings that were taken when it was told.
fn entry(story: Story, clocks: (Moment, Wall)) -> Entry {
    let wall = |moment: Moment| {
        let (now, wall) = clocks;
        let ago = i64::try_from(now.since(moment).as_micros()).unwrap_or(i64::MAX);
        Wall::from_unix_micros(wall.unix_micros().saturating_sub(ago))
    };
    Entry {
        call: story.call,
        began: wall(story.began),
        answered: story.answered.map(wall),
        ended: story.ended.map(wall),
        direction: story.direction,
        trunk: story.trunk,
        policy: story.policy.as_deref().map(str::to_owned),
        purpose: story.purpose.as_deref().map(str::to_owned),
        state: if story.recording.is_some() { State::Recording } else { State::None },
        reason: reason(story.reason),
        leg: story.leg,
        recording: story.recording,
        totals: None,
        parties: Some(Parties { calling: story.parties.calling, called: story.parties.called, call_id: story.parties.call_id }),
    }
}

/// The ledger's code of a call's reason: the words are the same.
fn reason(reason: call::Reason) -> Reason {
    reason.as_str().parse().unwrap_or(Reason::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_call_has_its_code_in_the_ledger() {
        for from in call::Reason::ALL {
            assert_eq!(reason(*from).as_str(), from.as_str());
        }
    }
}
