//! The bell by which a thread is woken that sleeps in `epoll_wait`: an eventfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Rings until it is stilled, however often it was rung.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    /// Makes a bell that is still.
    ///
    /// # Errors
    /// The kernel gives no eventfd.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// Wakes the thread, now or when it next goes to sleep. A counter that is full wakes it just as well.
    pub(super) fn ring(&self) {
        if let Err(error) = rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
            tracing::trace!(%error, "already_awake");
        }
    }

    /// Takes the eventfd back to zero, so that it wakes once.
    pub(super) fn still(&self) {
        if let Err(error) = rustix::io::read(&self.0, &mut [0; 8]) {
            tracing::trace!(%error, "woken_for_nothing");
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
