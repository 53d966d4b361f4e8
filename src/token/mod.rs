//! Keys that stay in a token: a PKCS#11 library loaded at run time, one thread that speaks to it, and those who sign by that thread.
//!
//! ```text
//!  disk thread ───▶ Hasty ──┐
//!  ledger thread ─▶ Hasty ──┼─orders─▶ thread `token` ─▶ Line: session, key ─▶ the token's library
//!  salvage ───────▶ Patient ┘          (one at a time)
//! ```
//!
//! Whoever asks in haste waits a bounded time, and a bounded share of its time: a token that is slow, hangs or is gone costs signatures,
//! which are made later, and no packet.

#![expect(
    clippy::disallowed_methods,
    reason = "this room speaks to hardware: it starts the thread that waits for it, and reads the PIN's file"
)]

mod asked;
mod error;
mod line;
mod pin;

pub use asked::Token;
pub use error::TokenError;

use crate::vault::{NodePublic, TokenUri};

/// Makes an Ed25519 key in the token, which never leaves it, unless it has one of that name; returns its public half, and whether it was made.
///
/// # Errors
/// The token is not there, does not open, or makes no such key.
pub fn make(uri: &TokenUri) -> Result<(NodePublic, bool), TokenError> {
    let mut line = line::Line::open(uri)?;
    match line.public() {
        Ok(public) => Ok((public, false)),
        Err(TokenError::NoKey) => line.make().map(|public| (public, true)),
        Err(error) => Err(error),
    }
}

/// Returns the public half of the key that a URI names.
///
/// # Errors
/// The token is not there, does not open, or has no such key.
pub fn public(uri: &TokenUri) -> Result<NodePublic, TokenError> {
    line::Line::open(uri)?.public()
}
