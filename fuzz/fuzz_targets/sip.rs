//! Feeds bytes to the properties of `wire::sip`: `cargo fuzz run sip`.
#![no_main]

#[path = "../properties/sip.rs"]
mod sip;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::check(data));
