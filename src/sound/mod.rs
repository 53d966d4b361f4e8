//! Sound: the two codec families that the recorder speaks itself, WAV files in and out, and resampling between rates.
//!
//! Everything is arithmetic on samples, without I/O of its own: integers where a Recommendation gives bit-exact results, and
//! elsewhere only operations that IEEE 754 rounds exactly, so that the same input gives the same bytes on every machine.

mod decode;
mod encode;
pub mod g711;
pub mod g722;
pub mod inband;
mod melody;
pub mod resample;
mod sine;
pub mod wav;

pub use decode::Decoder;
pub use encode::encode_wav;
pub use melody::{MELODY_RATE, Voice, melody};
pub use wav::BadWav;
