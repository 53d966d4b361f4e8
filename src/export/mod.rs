//! A recording made audible: the packets of both legs, decoded, on one timeline, as a stereo WAV file.
//!
//! ```text
//!  Record ─▶ coding ──▶ stream ───────────────▶ timeline ────────────▶ wav
//!            what a     order, place, drift,     two legs, silence      PBX left,
//!            type means decoding; one an SSRC    between, one rate      trunk right
//! ```
//!
//! A recording is read twice: [`survey`] finds out how long it is and at which rate it must be written, [`wav()`] writes it. Neither holds
//! more than some seconds of it.

mod coding;
mod stream;
mod timeline;
mod wav;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod fixture;

pub use wav::{ExportError, Exported, LegExport, Survey, Undecoded, survey, wav};
