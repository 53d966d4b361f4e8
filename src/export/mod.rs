//! A recording made audible: the packets of both legs, decoded, on one timeline, as a sound file; or handed over as they came, to
//! those who decode what is not decoded here.
//!
//! ```text
//!  Record ─▶ coding ──▶ stream ───────────────▶ timeline ────────────▶ wav
//!            what a     order, place, drift,     two legs, silence      PBX left,
//!            type means decoding; one an SSRC    between, one rate      trunk right
//! ```
//!
//! [`pcapng()`] and [`payloads`] leave all of that to others and write what came, when it came, and what it is.
//!
//! For sound a recording is read twice: [`survey`] finds out how long it is and at which rate it must be written, [`wav()`] writes it. Neither holds
//! more than some seconds of it.

mod coding;
mod handed;
mod opus;
mod payload;
mod pcapng;
mod picture;
mod sound;
mod source;
mod span;
mod stream;
mod timeline;
mod wav;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod fixture;

pub use handed::HandedOver;
pub use opus::opus;
pub use payload::{PayloadFiles, payloads};
pub use pcapng::{Origin, pcapng};
pub use picture::picture;
pub use sound::{Channels, ExportError, Exported, LegExport, Survey, Undecoded, survey};
pub use source::{Part, Source};
pub use span::{Offset, Span};
pub use wav::wav;
