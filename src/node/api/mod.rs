//! The HTTP API of the running proxy: on a thread of its own, so that nobody who asks or listens keeps a call waiting.

mod door;
mod events;
mod serve;

pub(super) use door::{Asked, Doors, bind, listen, start};
pub(super) use events::Feed;

#[cfg(test)]
mod tests;
