//! The mind of a media thread: its bridges, its recorders, and what passes between the two.
//!
//! [`Lane`] joins a [`Plane`](crate::media::Plane) with the recorders of its calls. It has no socket, no disk and no clock: whoever drives
//! it hands in packets and orders, and lends it an [`Outside`] for what they lead to. The shell does so with a thread, a simulation
//! without one.
//!
//! ```text
//!              Down                              Up
//!   signalling ─────▶ ┌──────────────────────┐ ─────▶ signalling
//!                     │ Plane ──Covered<'_>─▶│
//!      packet ──────▶ │            Recorder  │ ─────▶ send
//!                     └──────────────────────┘
//!                             │ evidence, chunks, the end
//!                             ▼
//!                        the disk's thread
//! ```

mod door;
#[expect(clippy::module_inception, reason = "the room is named after its one machine")]
mod lane;

pub use door::{BUFFER_BYTES, Down, Outside, RECEIVED_BYTES, Tallies, Up};
pub use lane::Lane;
