//! The one queue of deadlines: at most one live entry a transaction, at the moment of its earliest timer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::transaction::Alarms;
use crate::time::Moment;

/// Whose deadline it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Who {
    /// A request that came to us, by its key.
    Server(u64),
    /// A request of ours, by its key.
    Client(u64),
}

/// Deadlines in order; of equal ones, the one that was entered first comes first.
///
/// A timer that is stopped or moved leaves its entry behind. The stack takes such entries out when they come to the front.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Moment, u64, Who)>>,
    entered: u64,
}

impl Queue {
    /// Sees to it that the earliest of these timers is in the queue.
    pub(super) fn schedule(&mut self, who: Who, alarms: &mut Alarms) {
        let Some(earliest) = alarms.earliest() else { return };
        if alarms.queued.is_none_or(|queued| earliest < queued) {
            alarms.queued = Some(earliest);
            self.entered += 1;
            self.heap.push(Reverse((earliest, self.entered, who)));
        }
    }

    /// Returns the front entry.
    pub(super) fn front(&self) -> Option<(Moment, Who)> {
        self.heap.peek().map(|&Reverse((at, _, who))| (at, who))
    }

    /// Removes the front entry.
    pub(super) fn pop(&mut self) {
        self.heap.pop();
    }
}
