//! Feeds bytes to the properties of `sound::wav`: `cargo fuzz run wav`.
#![no_main]

#[path = "../properties/wav.rs"]
mod wav;

libfuzzer_sys::fuzz_target!(|data: &[u8]| wav::check(data));
