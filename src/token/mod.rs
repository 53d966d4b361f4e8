//! Keys that stay in a token: a PKCS#11 library loaded at run time, one thread that speaks to it, and those who sign by that thread.
//!
//! ```text
//!  disk thread ───▶ Hasty ──┐
//!  ledger thread ─▶ Hasty ──┼─orders─▶ thread `token` ─▶ Line: session, key ─▶ the token's library
//!  salvage ───────▶ Patient ┘          (one at a time)
//!
//!  whoever opens a recording ─▶ RecipientSecret ─▶ Agrees ─▶ Line
//! ```
//!
//! Whoever asks in haste waits a bounded time, and a bounded share of its time: a token that is slow, hangs or is gone costs signatures,
//! which are made later, and no packet.

#![expect(
    clippy::disallowed_methods,
    reason = "this room speaks to hardware: it starts the thread that waits for it, and reads the PIN's file"
)]

mod agree;
mod asked;
mod error;
mod line;
mod pin;

pub use asked::Token;
pub use error::TokenError;
pub use pin::Pin;

use crate::vault::{CryptoRng, NodePublic, RecipientSecret, TokenUri};

/// Makes an Ed25519 key in the token, which never leaves it, unless it has one of that name; returns its public half, and whether it was made.
///
/// # Errors
/// The token is not there, does not open, or makes no such key.
pub fn make(uri: &TokenUri) -> Result<(NodePublic, bool), TokenError> {
    let mut line = line::Line::open(uri, Pin::InFile)?;
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
    line::Line::open(uri, Pin::InFile)?.public()
}

/// Opens a recipient's key of P-256. It is tried at once: the token may derive by it, and it goes with its public half.
///
/// # Errors
/// The token is not there, does not open, has no such key, or that does not agree.
pub fn recipient(uri: &TokenUri, pin: Pin, entropy: &mut impl CryptoRng) -> Result<RecipientSecret, TokenError> {
    held(line::Line::open(uri, pin)?, entropy)
}

/// Makes a recipient's key of P-256 in the token, which never leaves it, unless it has one of that name; returns it, and whether it was made.
///
/// # Errors
/// The token is not there, does not open, or makes no such key.
pub fn make_recipient(uri: &TokenUri, pin: Pin, entropy: &mut impl CryptoRng) -> Result<(RecipientSecret, bool), TokenError> {
    let line = line::Line::open(uri, pin)?;
    let is_made = match line.recipient() {
        Ok(_) => false,
        Err(TokenError::NoRecipient) => line.make_recipient().map(|_| true)?,
        Err(error) => return Err(error),
    };
    held(line, entropy).map(|secret| (secret, is_made))
}

fn held(line: line::Line, entropy: &mut impl CryptoRng) -> Result<RecipientSecret, TokenError> {
    let public = line.recipient()?;
    // With itself: it is a point of the curve, and what the token says of why it does not is not lost yet.
    line.agree(public.p256().ok_or(TokenError::OtherKind)?)?;
    RecipientSecret::held(public, Box::new(agree::Agrees::by(line)), entropy).map_err(TokenError::NotAgreed)
}
