//! One call from beginning to end, for somebody to see: a small PBX, a small carrier, and the real proxy between them.
//!
//! The phones are built on other people's parsers (`rsip` for SIP, `rtp` for RTP), so that neither the demo nor the tests that use
//! them are this crate's code agreeing with itself.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the demo is a world of its own: sockets, clock, threads, files"
)]

mod agent;
mod checks;
mod child;
mod exchange;
mod failed;
mod heard;
mod ladder;
mod line;
mod message;
mod offer;
mod phone;
mod play;
mod stage;

pub use agent::Event;
pub use exchange::{Exchange, Way};
pub use failed::DemoFailed;
pub use heard::{Heard, Stream, find, sound};
pub use ladder::{Ladder, Rung, Side};
pub use line::{Frames, Line, Sent};
pub use message::{Extra, summary};
pub use offer::{Described, Flow, Offer};
pub use phone::{Call, Missed, Phone};
pub use play::{Doors, play};
