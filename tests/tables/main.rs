//! The product's machines as tables, states × inputs, against golden files; `UPDATE=1` writes them anew.
//!
//! A table is learned from outside: a state is prepared by the shortest inputs that lead there, and is known by how it answers to
//! what is fed next. So a row that is missing, or two that are one, is found as well as a cell that changed.
//!
//! How to read one: `·` is nothing at all, an empty cell an input that cannot come then; `Begin` comes out; `⇒granted` is the next
//! state where it is another.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test names what it looks for")]
#![allow(clippy::disallowed_methods, reason = "a test reads its golden files")]
#![allow(missing_docs, unreachable_pub, reason = "a test")]

mod call;
mod consent;
mod grid;
mod media;
mod parties;
mod roles;
mod telling;
#[allow(dead_code, reason = "each file of tests uses its part")]
#[path = "../support/terms.rs"]
mod terms;
mod vault;
