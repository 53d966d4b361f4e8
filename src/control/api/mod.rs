//! The HTTP API: which routes there are, what is asked over them, and what is answered. The shell has the sockets.

mod answer;
mod ask;
mod clerk;
mod event;
mod ledger;
mod openapi;
mod problem;
mod route;

pub use answer::{Deed, NotAnAnswer, reply, told};
pub use ask::{Fields, NotUnderstood, question};
pub use clerk::{Clerk, Fetched, Inquiry, Shown, body};
pub use event::{CallEvent, CallState, missed};
pub use ledger::fits;
pub use openapi::openapi;
pub use problem::{Fault, Problem};
pub use route::{Field, Kind, Method, Route};
