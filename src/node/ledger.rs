//! The ledger's thread: every call's story and every recording's outcome becomes a row, in batches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::call::{self, Story};
use crate::catalogue::{Entry, Parties, Reason, State, Store, Totals, Write};
use crate::node::disk::Outcome;
use crate::node::metrics::Metrics;
use crate::time::{Moment, Wall};

/// The way to the ledger's thread; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    lines: Sender<Write>,
    waiting: Arc<AtomicI64>,
    metrics: Arc<Metrics>,
    clocks: (Moment, Wall),
}

/// Starts the thread. It ends once every [`Ledger`] is dropped and all is written.
///
/// # Errors
/// The store cannot be written, or there is no thread to be had.
pub(super) fn start(
    mut store: Box<dyn Store>,
    clocks: (Moment, Wall),
    metrics: Arc<Metrics>,
) -> io::Result<(Ledger, JoinHandle<()>)> {
    let [torn, interrupted] = store.mark_torn().map_err(io::Error::other)?;
    if torn + interrupted > 0 {
        metrics.recordings_torn.inc_by(torn);
        tracing::warn!(torn, interrupted, "left_open_by_the_last_run");
    }
    let (lines, waits) = channel();
    let waiting = Arc::new(AtomicI64::new(0));
    let ledger = Ledger { lines, waiting: Arc::clone(&waiting), metrics: Arc::clone(&metrics), clocks };
    let thread =
        std::thread::Builder::new().name("ledger".into()).spawn(move || write(store.as_mut(), &waits, &waiting, &metrics))?;
    Ok((ledger, thread))
}

/// Rows in one transaction: enough that a burst of calls costs one write of the log.
const BATCH: usize = 512;

fn write(store: &mut dyn Store, waits: &Receiver<Write>, waiting: &AtomicI64, metrics: &Metrics) {
    while let Ok(first) = waits.recv() {
        let mut batch = vec![first];
        batch.extend(waits.try_iter().take(BATCH));
        let left = waiting.fetch_sub(batch.len() as i64, Ordering::Relaxed) - batch.len() as i64;
        metrics.ledger_queue.set(left);
        if store.write(&batch).is_err() {
            // One by one, so that a row that cannot be written does not take the others with it.
            for line in &batch {
                if let Err(error) = store.write(std::slice::from_ref(line)) {
                    metrics.ledger_errors.inc();
                    match line {
                        Write::Put(entry) => tracing::error!(call = %entry.call, reason = %entry.reason, %error, "row_lost"),
                        Write::Sealed(recording, _) | Write::Torn(recording, _) => {
                            tracing::error!(%recording, %error, "row_lost");
                        }
                    }
                }
            }
        }
    }
}

impl Ledger {
    /// Writes a call's story.
    pub(super) fn story(&self, story: Story) {
        self.send(Write::Put(Box::new(self.entry(story))));
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
                }
                self.send(Write::Torn(recording, Reason::VaultUnavailable));
            }
        }
    }

    fn send(&self, line: Write) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.lines.send(line).is_err() {
            // The thread is gone only if it panicked, which the end of the run reports.
            self.metrics.ledger_errors.inc();
        }
    }

    fn entry(&self, story: Story) -> Entry {
        let wall = |moment: Moment| {
            let (then, wall) = self.clocks;
            let micros = i64::try_from(moment.since(then).as_micros()).unwrap_or(i64::MAX);
            Wall::from_unix_micros(wall.unix_micros().saturating_add(micros))
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
            parties: Some(Parties {
                calling: story.parties.calling,
                called: story.parties.called,
                call_id: story.parties.call_id,
            }),
        }
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
