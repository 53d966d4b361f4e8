//! One call's life, and the table of all of them: SIP and SDP in, orders to media and the vault out.
//!
//! [`Table`] is the door. It owns the SIP stack, matches requests and responses to calls, anchors their session descriptions, asks for
//! consent, and tells the shell what to send, open, relay and write down. It has no clock, socket, file or thread of its own.

mod advice;
mod anchor;
mod announce;
mod body;
mod desk;
mod dialog;
mod door;
mod guard;
mod handle;
mod hangup;
mod hours;
mod kept;
mod keys;
mod life;
mod overload;
mod peers;
mod policy;
mod registration;
mod session_timer;
mod story;
mod table;
mod ways;

pub use crate::sip::{End, EndId, Flow, Rate, Transport};
pub use advice::{Advice, Consulting, WhenSilent, Word};
pub use anchor::{Line, Session};
pub use door::{
    Config, DeadMedia, Deed, Doer, Done, Input, Live, NotDone, Output, PortPair, RecordedFormat, Silence, Strangers, Suspension,
    Tallies, Turn, WhenDead,
};
pub use guard::Guarding;
pub use handle::HandleKey;
pub use hours::{Hours, NoSuchZone, Span};
pub use kept::{Kept, NotKept};
pub use keys::{KeySource, MediaAs};
pub use overload::{Backlog, Load, Overload, Pairs, Watermark};
pub use peers::{Peer, Peers, Source};
pub use policy::{AfterPause, Beep, Begins, Codecs, InCall, Policy, Selector, Selects, Shred, Signs};
pub use registration::{ContactKey, Registering, Registrations};
pub use story::{Reason, Story};
pub use table::Table;
pub use ways::{Reached, Routing, Spread};
