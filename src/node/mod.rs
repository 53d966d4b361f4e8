//! The shell: sockets, clocks, threads, files, signals, `/metrics`; the only room that does anything outside the process.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the room that reads clocks, opens sockets and files, and starts threads, so that no other need do so"
)]

mod alive;
mod announcements;
mod api;
mod bell;
mod certificates;
mod clock;
mod disk;
mod entropy;
mod files;
mod folders;
mod found;
mod glass;
mod heads;
mod hook;
mod hosts;
mod inbox;
mod join;
mod lane;
mod ledger;
mod load;
mod metrics;
mod post;
mod queue;
mod register;
mod restored;
mod retention;
mod ring;
mod ringed;
mod room;
mod run;
mod salvage;
mod scrape;
mod setup;
mod sockets;
mod stamper;
mod store;
mod streams;
mod wires;

// What threads meet through. `queue` and `inbox` name it through this door, where the model checker's tests have another.
use std::sync;

use crate::catalogue::Store;
use crate::control::api::Clerk;
use crate::control::{Settings, Trouble};

/// Runs the proxy until it is told to stop by SIGTERM or SIGINT; whoever asks over HTTP for the ledger or for files is answered by the clerk.
///
/// # Errors
/// It cannot start, or a thread of it ended by a fault of ours; the text says what, and what to do.
pub fn run(settings: &Settings, store: Box<dyn Store>, clerk: sync::Arc<dyn Clerk>) -> Result<(), Trouble> {
    run::run(setup::Setup::of(settings, store)?, clerk).map_err(Trouble::from)
}

/// Opens the ledger.
///
/// # Errors
/// There is none, it cannot be opened or made, or it is of another version.
pub fn open_store(
    path: &std::path::Path,
    opening: crate::catalogue::Opening,
) -> Result<Box<dyn Store>, crate::catalogue::StoreError> {
    store::open(path, opening)
}
