//! A thread's sign of life: dropped with the thread, however it ends, so that its end is noticed at once.

use tokio::sync::mpsc;

/// Held by a thread for as long as it runs.
#[derive(Debug)]
pub(super) struct Alive {
    name: &'static str,
    ended: mpsc::Sender<&'static str>,
}

impl Alive {
    /// Makes the sign of life of a thread; its name comes out of the channel when it ends.
    pub(super) const fn new(name: &'static str, ended: mpsc::Sender<&'static str>) -> Self {
        Self { name, ended }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // A full channel has told enough; a closed one has nobody to tell, as while stopping.
        if self.ended.try_send(self.name).is_err() {
            tracing::trace!(thread = self.name, "ended");
        }
    }
}
