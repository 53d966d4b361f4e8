//! The shell: sockets, clocks, threads, files, signals, `/metrics`; the only room that does anything outside the process.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the room that reads clocks, opens sockets and files, and starts threads, so that no other need do so"
)]

mod admin;
mod announcements;
mod clock;
mod disk;
mod entropy;
mod lane;
mod ledger;
mod metrics;
mod run;
mod scrape;
mod setup;
mod sockets;

