//! SRTP (RFC 3711): what one leg sends is opened in place, what is sent to it is sealed in place; nothing is allocated for a packet.
//!
//! ```text
//!   a=crypto that the peer said ──▶ Keying ──▶ Opener   SRTP from the peer ──▶ plain packet ──▶ recorder, other leg
//!   a=crypto that we said       ──▶ Keying ──▶ Sealer   plain packet ──▶ SRTP to the peer
//! ```
//!
//! The suites are AES in counter mode with HMAC-SHA1 (RFC 3711, RFC 6188) and AES-GCM (RFC 7714). The ciphers, the hash and the
//! comparison of tags are RustCrypto's; what is here is where in a packet they apply, and which packet comes next.

mod cipher;
mod context;
mod keying;
mod opener;
mod sealer;
mod sources;
mod trailer;
#[cfg(test)]
mod vectors;
mod window;

pub use keying::{Keying, Unusable};
pub use opener::{Opener, Refused};
pub use sealer::{NotSealed, Sealer};
