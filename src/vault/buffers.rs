//! The buffers of chunks between two uses: handed on from recording to recording, wiped each time, so that none is made on the packet path.
//!
//! `tests/threads.rs` runs this file in a model checker, on that one's `sync` in the place of the standard library's.

use std::fmt;

use zeroize::Zeroize;

use super::sync::{Arc, Mutex};
use crate::limits::{CHUNK_BUFFERS_RESTING, CHUNK_BYTES};

/// The chunk buffers of one media thread that rest between two uses.
///
/// It never waits: a thread that finds it taken makes a new buffer, or frees the one it has.
#[derive(Clone, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// Returns an empty stock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty buffer with room for a chunk.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut buffer =
            self.0.try_lock().ok().and_then(|mut stock| stock.pop()).unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES));
        buffer.clear();
        buffer
    }

    /// Takes a buffer back, and wipes what is in it.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.as_mut_slice().zeroize();
        if let Ok(mut stock) = self.0.try_lock()
            && stock.len() < CHUNK_BUFFERS_RESTING
        {
            stock.push(buffer);
        }
    }

    /// Returns copies of those that rest, as they lie there.
    #[cfg(test)]
    pub(super) fn resting(&self) -> Vec<Vec<u8>> {
        self.0.lock().map(|stock| stock.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffers")
    }
}
