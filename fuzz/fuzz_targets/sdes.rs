//! Feeds bytes to the properties of `wire::sdp::Crypto`: `cargo fuzz run sdes`.
#![no_main]

#[path = "../properties/sdes.rs"]
mod sdes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sdes::check(data));
