//! Sound: the codecs that the recorder speaks itself, WAV files in and out, and resampling between rates.
//!
//! Everything is arithmetic on samples, without I/O of its own: integers where a Recommendation gives bit-exact results, and
//! elsewhere only operations that IEEE 754 rounds exactly, so that the same input gives the same bytes on every machine. Opus is the
//! exception: RFC 6716 §6 lets decoders differ a little, and one machine's vector instructions round otherwise than another's.

mod decode;
mod encode;
pub mod g711;
pub mod g722;
pub mod inband;
mod melody;
pub mod ogg;
mod opus;
pub mod resample;
mod sine;
mod tone;
pub mod wav;

pub use decode::{Decoder, Spoiled};
pub use encode::{Encoded, encode_wav};
pub use melody::{MELODY_RATE, Voice, melody};
pub use tone::{beeps, telling};
pub use wav::BadWav;
