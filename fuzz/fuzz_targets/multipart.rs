//! Feeds bytes to the properties of `wire::sdp::find`: `cargo fuzz run multipart`.
#![no_main]

#[path = "../properties/multipart.rs"]
mod multipart;

libfuzzer_sys::fuzz_target!(|data: &[u8]| multipart::check(data));
