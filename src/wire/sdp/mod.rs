//! Session descriptions (RFC 8866), read as tolerantly as they are written, and changed in place.

mod anchor;
mod crypto;
mod description;
mod format;
mod media;
mod multipart;
mod profile;
mod record;
mod restrict;

pub use anchor::Here;
pub use crypto::{Crypto, CryptoFault, FecOrder, Inline, KeyParam, Lifetime, MalformedCrypto, Mki, SessionParam, Suite};
pub use description::{MalformedSdp, Sdp};
pub use format::Format;
pub use media::{Flow, Kind, Media};
pub use multipart::{find, is_hidden, may_describe};
pub use profile::{Profile, Secured};
pub use record::{RecordIndication, RecordPreference};
