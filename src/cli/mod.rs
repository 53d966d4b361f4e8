//! What an operator types and reads: one file a verb, and one door, [`main`].
//!
//! ```text
//!  argv ─▶ words (clap) ─▶ a verb ─▶ control, catalogue, vault, export ─▶ Term ─▶ stdout, stderr, exit code
//! ```
//!
//! What is asked for goes to standard output, as text or with `--json` as lines of JSON; what went wrong, and a progress bar, to standard
//! error.

#![expect(clippy::disallowed_methods, reason = "the command line reads and writes files, the clock and the control socket")]

mod approvals;
mod asked;
mod audit;
mod bundle;
mod bundled;
mod calls;
mod check;
mod clerk;
mod closed;
mod complaint;
mod correct;
mod deed;
mod demo;
mod doors;
mod drain;
mod erase;
mod exit;
mod export;
mod exported;
mod exposure;
mod files;
mod gate;
mod handed;
mod held;
mod hold;
mod http;
mod json;
mod kept;
mod keyname;
mod keys;
mod known;
mod list;
mod named;
mod opened;
mod output;
mod part;
mod party;
mod play;
mod processing;
mod progress;
mod public;
mod receipt;
mod redact;
mod retention;
mod rewrap;
mod rotate;
mod run;
mod secret;
mod show;
mod site;
mod span;
mod staff;
mod subject;
mod table;
mod term;
mod timestamps;
mod tokens;
mod trunks;
mod verify;
mod who;
mod words;

pub use clerk::{Clerk, OpenLedger};
pub use doors::{Doors, OpenStore, ReadPayloads, main};
pub use exit::Exit;
pub use known::{Known, known};
pub use who::session;

#[cfg(test)]
mod tests;
