//! SIP messages, kept as they came: an index of lines over the received bytes, values on demand, edits by line.

mod edit;
mod header;
mod malformed;
mod message;
mod name;
mod reply;
mod splice;
mod stream;
mod uri;
mod validate;

pub use edit::Edit;
pub use header::{CSeq, NameAddr, Params, Via, list};
pub use malformed::Malformed;
pub use message::{Line, Message, StartLine, salvage_for_reply};
pub use name::{Method, Name};
pub use reply::{reason_phrase, reply};
pub use stream::{Framer, Piece, Unframed};
pub use uri::{Scheme, Uri};
