//! The configuration: one TOML file, read whole, with every mistake told at once.
//!
//! All paths that do not begin with `/` are relative to the directory in which the program runs.

mod access;
mod address;
mod api;
mod audit;
mod hook;
mod in_force;
mod keys;
mod mistake;
mod network;
mod parse;
mod peers;
mod policies;
mod policy;
mod retention;
mod section;
mod settings;
mod similar;

pub use crate::call::{End, EndId, MediaAs, Spread, Transport};
pub use mistake::{Mistake, Weight};
pub use network::{Network, NotANetwork};
pub use parse::{Report, parse};
pub use policy::{Mode, Payloads, Policy, PolicyTerms, Registered, Review, WithoutConsent};
pub use settings::{
    ApiTls, Audit, Authority, FileUse, Hook, HookTls, Host, Latching, Media, MediaIo, NamedFile, NodeKeyFile, Peer, Recipient,
    Settings, Sip, Strangers, Timestamps, TlsFiles, Trunk,
};

/// A complete sample: every setting, with what it means and what it is when left out. It is `deploy/mitschnitt.toml`.
pub const SAMPLE: &str = include_str!("../../../deploy/mitschnitt.toml");

#[cfg(test)]
mod tests;
