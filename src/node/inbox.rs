//! The way to a thread that sleeps until its bell rings: what was sent before a ring is never overlooked.
//!
//! `tests/threads.rs` runs this file in a model checker, on that one's `sync` and a bell of its own.

use super::bell::Bell;
use super::sync::Arc;
use super::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Makes both ends of the way to the thread that this bell wakes.
pub(super) fn inbox<T>(bell: Bell) -> (Post<T>, Inbox<T>) {
    let bell = Arc::new(bell);
    let (items, waits) = channel();
    (Post { items, bell: Ringer(Arc::clone(&bell)) }, Inbox { items: waits, bell })
}

/// The sender's end. Once it is dropped the thread is woken and finds that nothing will come any more.
#[derive(Debug)]
pub(super) struct Post<T> {
    // Dropped in this order: the last ring comes when there is no sender.
    items: Sender<T>,
    bell: Ringer,
}

impl<T> Post<T> {
    /// Sends an item; the thread has it at the latest after the next [`Post::ring`].
    ///
    /// # Errors
    /// The thread is gone: the item comes back.
    pub(super) fn send(&self, item: T) -> Result<(), T> {
        self.items.send(item).map_err(|refused| refused.0)
    }

    /// Wakes the thread.
    pub(super) fn ring(&self) {
        self.bell.0.ring();
    }
}

#[derive(Debug)]
struct Ringer(Arc<Bell>);

impl Drop for Ringer {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct Inbox<T> {
    items: Receiver<T>,
    bell: Arc<Bell>,
}

/// What woke the thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woken {
    /// The bell, perhaps among others.
    ByBell,
    /// Something else: a packet, or the time.
    Otherwise,
}

impl<T> Inbox<T> {
    /// Returns the bell to sleep by.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Hands out all that waits, and says whether there may be more some day.
    pub(super) fn take(&self, woken: Woken, mut each: impl FnMut(T)) -> bool {
        // First the bell: stilled after the last look, it would take the ring of what came in between with it.
        if woken == Woken::ByBell {
            self.bell.still();
        }
        loop {
            match self.items.try_recv() {
                Ok(item) => each(item),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}
