//! Feeds bytes to the properties of `media::srtp`: `cargo fuzz run srtp`.
#![no_main]

#[path = "../properties/srtp.rs"]
mod srtp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| srtp::check(data));
