//! Session descriptions (RFC 8866), read as tolerantly as they are written, and changed in place.

mod anchor;
mod description;
mod format;
mod media;
mod multipart;

pub use anchor::Here;
pub use description::{MalformedSdp, Sdp};
pub use format::Format;
pub use media::{Flow, Kind, Media};
pub use multipart::find;
