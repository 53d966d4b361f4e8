//! Which calls came by, which of them were recorded, and why the others were not: one row for every call.
//!
//! [`Entry`] is the row, [`Reason`] the code that says why, [`Store`] what is needed of whatever keeps the rows. Nothing here knows of
//! SQL: the shell has that.

mod approval;
mod audit;
mod chain;
mod entry;
#[cfg(test)]
pub(crate) mod fixture;
mod index;
mod reason;
mod retention;
mod rights;
mod roster;
mod signed;
mod stamp;
mod telephone;
mod turn;
mod walk;
mod warrant;

pub use approval::{Approval, Decided, approvals, open};
pub use audit::{Audit, Audited, End, Fault, Rewrapped, Standing};
pub use chain::{Bound, Chain, Event, Link, Part, Tip};
pub use entry::{Entry, NotAState, Parties, Quality, State, Totals};
pub use index::{
    Access, Deed, Filter, Heard, KeptCall, NotInTheLog, Opening, Outcome, Seal, Store, StoreError, Which, Whose, Write, erasure,
};
pub use reason::{NotAReason, Reason};
pub use retention::{
    Bar, CATCH_UP, Cause, Keeping, Limits, Order, Plan, Retention, Rules, Span, Stored, Used, due, locked_until, paced, plan,
};
pub use rights::{About, Cleared, Field, NotInANote, Note, NoteKind, Purged, Rights, traces};
pub use roster::{Roster, RosterDeed, RosterLine, standing};
pub use signed::{StampHash, StampSignature};
pub use stamp::{NotStamped, Question, Stamp, Stamps, Subject, Told};
pub use telephone::{Country, Likeness, NotANumber, Number, Role};
pub use turn::{Doer, Turn, What};
pub use walk::{Break, Walk, Walked};
pub use warrant::{Says, Wanted, Warrant, WarrantKind, Warrants, tokens};
