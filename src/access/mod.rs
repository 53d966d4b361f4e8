//! Who may do what: four roles, a table of what each may do, and who somebody is.
//!
//! ```text
//!  a Unix user, a token, a certificate ─▶ Rules ─▶ Identity ──may(Action)──▶ done, or Denied
//! ```
//!
//! Nothing here asks the system who somebody is: whoever does brings a [`Person`].

mod action;
mod identity;
mod person;
mod role;
mod rules;
mod token;

pub use action::Action;
pub use identity::{Denied, Identity, Purposes};
pub use person::{NotAPerson, Person, User};
pub use role::{NotARole, Role, Roles};
pub use rules::{FourEyes, Rule, Rules, Subject};
pub use token::{Token, TokenHash, TokenSecret, Tokens};
