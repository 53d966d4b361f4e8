//! SIP signalling: transactions (RFC 3261 §17, RFC 6026) and the stateful, record-routing proxy (RFC 3261 §16) behind one door, [`Stack`].
//!
//! Reading order: `stack` (what goes in and comes out), `transaction` (the four machines), `proxy` and `route` (what is checked and
//! changed in a request), then the rest.

mod branch;
mod bucket;
mod flow;
mod glance;
mod help;
mod hop;
pub mod locate;
mod matching;
mod proxy;
mod queue;
mod route;
mod slab;
mod stack;
mod tally;
pub mod transaction;
mod transport;

pub use bucket::{Bucket, Buckets, Rate};
pub use flow::{End, EndId, Flow, Transport};
pub use glance::Glance;
pub use help::calls_for_help;
pub use route::{By, Hop};
pub use stack::{Answer, Config, Input, Output, ServerKey, Stack};
pub use tally::{Tallies, Tally};
pub use transaction::Timers;
