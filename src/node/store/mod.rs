//! The ledger in SQLite: one row for each call, the parties in a table of their own so that they can be erased, and the access log.

mod chain;
mod keeping;
mod notes;
mod purge;
mod roster;
mod rows;
mod schema;
mod sqlite;
mod stamps;
mod turns;
mod warrants;

pub(crate) use sqlite::open;

#[cfg(test)]
mod chained;
#[cfg(test)]
mod noted;
#[cfg(test)]
mod tests;
