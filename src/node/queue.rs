//! A queue with a bound that keeps none of its givers waiting: what finds no place comes back.
//!
//! `tests/threads.rs` runs this file in a model checker, on that one's `sync` in the place of the standard library's.

use std::time::Duration;

use super::sync::Arc;
use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

/// Makes a queue in which at most `bound` items wait, not counting those of [`Giver::give_beyond`].
pub(super) fn bounded<T>(bound: usize) -> (Giver<T>, Taker<T>) {
    let (items, waits) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Giver { items, waiting: Arc::clone(&waiting), bound }, Taker { items: waits, waiting })
}

/// The end that puts items in; cheap to clone, and all clones have one bound together.
#[derive(Debug)]
pub(super) struct Giver<T> {
    items: Sender<T>,
    /// Never fewer than there are in the queue: an item is counted before it is sent, and until after it was taken.
    waiting: Arc<AtomicUsize>,
    bound: usize,
}

impl<T> Giver<T> {
    /// Puts an item in where there is a place.
    ///
    /// # Errors
    /// As many wait as may, or nobody is left to take: the item comes back.
    pub(super) fn give(&self, item: T) -> Result<(), T> {
        let place = |waiting: usize| (waiting < self.bound).then_some(waiting + 1);
        // Relaxed: nothing but the number is told by it. The items themselves pass through the channel.
        match self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place) {
            Ok(_) => self.send(item),
            Err(_) => Err(item),
        }
    }

    /// Puts an item in, whether or not there is a place: for what another bound already holds down.
    ///
    /// # Errors
    /// Nobody is left to take: the item comes back.
    pub(super) fn give_beyond(&self, item: T) -> Result<(), T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.send(item)
    }

    fn send(&self, item: T) -> Result<(), T> {
        self.items.send(item).map_err(|refused| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            refused.0
        })
    }
}

impl<T> Clone for Giver<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), waiting: Arc::clone(&self.waiting), bound: self.bound }
    }
}

/// The end that takes items out.
#[derive(Debug)]
pub(super) struct Taker<T> {
    items: Receiver<T>,
    waiting: Arc<AtomicUsize>,
}

impl<T> Taker<T> {
    /// Takes up to `most` items once there is one, in the order in which they came; none where there is none for as long as `patience`.
    /// Each gives up its place to another item.
    ///
    /// Returns nothing once every [`Giver`] is dropped and everything is taken.
    pub(super) fn take(&self, most: usize, patience: Duration) -> Option<Vec<T>> {
        let first = match self.items.recv_timeout(patience) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(item) = self.items.try_recv()
        {
            batch.push(item);
        }
        self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        Some(batch)
    }

    /// Returns how many items wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
