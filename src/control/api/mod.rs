//! The HTTP API: which routes there are, what is asked over them, and what is answered. The shell has the sockets.

mod answer;
mod ask;
mod openapi;
mod problem;
mod route;

pub use answer::{Deed, NotAnAnswer, reply, told};
pub use ask::{NotUnderstood, question};
pub use openapi::openapi;
pub use problem::{Fault, Problem};
pub use route::{Method, Route};
