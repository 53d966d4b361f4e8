//! Which calls came by, which of them were recorded, and why the others were not: one row for every call.
//!
//! [`Entry`] is the row, [`Reason`] the code that says why, [`Store`] what is needed of whatever keeps the rows. Nothing here knows of
//! SQL: the shell has that.

mod entry;
mod index;
mod reason;

pub use entry::{Entry, NotAState, Parties, Quality, State, Totals};
pub use index::{Access, Deed, Filter, Heard, KeptCall, NotInTheLog, Opening, Outcome, Store, StoreError, Which, Write, erasure};
pub use reason::{NotAReason, Reason};
