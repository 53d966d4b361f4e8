//! Recordings at rest: written by whoever cannot read them, read by whoever cannot have written them.
//!
//! ```text
//!  media thread                    disk thread                              whoever may listen
//!  Covered ─▶ Recorder ─PlainChunk─▶ Sealer ─bytes─▶ <id>.rec, <id>.key ─▶ Recording ─▶ Record …
//!             no crypto, no I/O     ratchet, chain, signature               verify · verify_content
//! ```
//!
//! The disk thread's mind is [`Writer`]: it has the sealers, and says in what order their bytes go to a [`Volume`].
//!
//! `manual/format.md` has every byte; `manual/threats.md` says what it protects against, and what not.

mod agreement;
mod buffers;
mod chunkkeys;
mod closing;
mod content;
mod digest;
mod format;
mod head;
mod kem;
mod keys;
mod listener;
mod open;
mod part;
mod pem;
mod ratchet;
mod recipient;
mod record;
mod redact;
mod redaction;
mod salvage;
mod seal;
mod seek;
pub(crate) mod share;
mod signer;
mod stack;
mod token;
mod tree;
mod verify;
mod walk;
mod wraps;
mod writer;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod vectors_kem;
#[cfg(test)]
mod vectors_redacted;

// What threads meet through. `buffers` names it through this door, where the model checker's tests have another.
use std::sync;

pub use agreement::{Agreement, NotAgreed};
pub use buffers::Buffers;
pub use closing::SignedClosing;
pub use content::{EndReason, Format, Gap, GapReason, LegTotals, Quality, Record, Records, Totals, Unreadable};
pub use digest::{Digest, NotADigest};
pub use format::{Damage, Header};
pub use head::{Head, HeadKey, NotAHead, SignedHead};
pub use kem::{Kem, Strength};
pub use keys::{BadKey, Fingerprint, NodeKey, NodePublic};
pub use listener::Listener;
pub use open::{Chunk, OpenError, OwnedRecords, Recording};
pub use part::{CutOut, Opened, Proof, Proven, verify_part};
pub use recipient::{Recipient, RecipientSecret};
pub use record::{LastChunk, PlainChunk, Recorder};
pub use redact::{NotRedacted, Piece, Redacted, redact};
pub use redaction::TakenOut;
pub use salvage::{Salvage, salvage};
pub use seal::{Begun, SealError, Sealed, Sealer};
pub use seek::Index;
pub use signer::{NotSigned, Signer};
pub use token::{BadTokenUri, TokenUri};
pub use verify::{Complete, Salvaged, Verdict, verify, verify_content};
pub use walk::{Broken, Cut, Tail};
pub use wraps::{Entries, KeyFile, KeyFileFault, Leave, NotRewrapped, WrongKey};
pub use writer::{Outcome, Shelf, Volume, Work, Writer};

/// The random numbers the shell hands in: `UnwrapErr(getrandom::SysRng)` is one.
pub use hpke::rand_core::{CryptoRng, UnwrapErr};
