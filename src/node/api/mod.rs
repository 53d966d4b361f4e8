//! The HTTP API of the running proxy: on a thread of its own, so that nobody who asks or listens keeps a call waiting.

mod door;
mod serve;

pub(super) use door::{Asked, bind, start};

#[cfg(test)]
mod tests;
