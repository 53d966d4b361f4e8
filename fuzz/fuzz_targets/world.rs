//! Lets bytes decide what happens in the world around the product: `cargo fuzz run world`.
#![no_main]

#[path = "../properties/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| world::check(data));
