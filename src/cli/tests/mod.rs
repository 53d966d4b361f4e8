//! What the command line says, word for word, of a small installation made of the vault's test vectors.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::indexing_slicing, reason = "a test may panic")]

mod calls;
mod check;
mod erase;
mod export;
mod gate;
mod hold;
mod keys;
mod ledger;
mod noted;
mod play;
mod redact;
mod rewrap;
mod rotate;
mod site;
mod subject;
mod tokens;
mod usage;
mod verify;
