//! Feeds bytes to the properties of `wire::sdp`: `cargo fuzz run sdp`.
#![no_main]

#[path = "../properties/sdp.rs"]
mod sdp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sdp::check(data));
