//! Feeds bytes to the properties of `wire::rtcp`: `cargo fuzz run rtcp`.
#![no_main]

#[path = "../properties/rtcp.rs"]
mod rtcp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtcp::check(data));
