//! What holds of the whole product for any small world that bytes decide: all that `tests/sim` holds it to.

#[path = "../../tests/sim/world/mod.rs"]
#[allow(dead_code, reason = "the scenarios of tests/sim use what the fuzzer does not")]
mod world;

use world::{Plan, World};

/// Plays the world that the bytes decide: how many calls, what each party does and when, wires, threads, faults.
pub(crate) fn check(data: &[u8]) {
    if let Err(failure) = World::run(&Plan::read(data)) {
        panic!("{failure}");
    }
}
