//! Which calls came by, which of them were recorded, and why the others were not: one row for every call.
//!
//! [`Entry`] is the row, [`Reason`] the code that says why, [`Store`] what is needed of whatever keeps the rows. Nothing here knows of
//! SQL: the shell has that.

mod audit;
mod chain;
mod entry;
mod index;
mod reason;
mod retention;
mod roster;
mod signed;
mod stamp;
mod walk;

pub use audit::{Audit, Audited, End, Fault, Standing};
pub use chain::{Bound, Chain, Event, Link, Part, Tip};
pub use entry::{Entry, NotAState, Parties, Quality, State, Totals};
pub use index::{
    Access, Deed, Filter, Heard, KeptCall, NotInTheLog, Opening, Outcome, Seal, Store, StoreError, Which, Write, erasure,
};
pub use reason::{NotAReason, Reason};
pub use retention::{
    Bar, CATCH_UP, Cause, Keeping, Limits, Order, Plan, Retention, Rules, Span, Stored, Used, due, locked_until, paced, plan,
};
pub use roster::{Roster, RosterDeed, RosterLine, standing};
pub use signed::{StampHash, StampSignature};
pub use stamp::{NotStamped, Question, Stamp, Stamps, Subject, Told};
pub use walk::{Break, Walk, Walked};
