//! The media plane of one thread: which packet goes where, what is played in its place, and what may be kept.
//!
//! [`Plane`] is the door. It has no socket and no clock: the shell hands it each packet with where and when it came, and gets a
//! [`Verdict`]: what may be kept, and where the packet goes on. A packet waits for nothing and is stored nowhere in this room.
//!
//! ```text
//!   PBX ──▶ port facing the PBX ──┐  Bridge  ┌── port facing the trunk ◀── trunk
//!                                 │          │
//!                   towards PBX ◀─┤  Splice  ├─▶ towards trunk
//!                                 └── Permit ┘      └▶ Covered ─▶ recorder
//! ```

mod bridge;
mod chance;
mod event;
mod inject;
mod latch;
mod order;
mod plane;
mod ports;
mod quality;
mod secure;
mod side;
mod splice;
pub mod srtp;
mod table;
mod tallies;
mod verdict;

pub use event::Event;
pub use latch::{LatchRule, Latching};
pub use order::{Announcing, BridgeId, Bridging, Content, Order, PairIds, Payload, PayloadFormat, PortId, Remote, Srtp};
pub use plane::{Plane, Sent};
pub use ports::{NoPorts, PortCounts, Ports};
pub use quality::LegQuality;
pub use tallies::{BridgeTallies, LegTallies, PlaneTallies};
pub use verdict::{Forward, Rewrite, Seal, Verdict};
