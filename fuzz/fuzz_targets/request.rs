//! Feeds bytes to the properties of the HTTP API: `cargo fuzz run request`.
#![no_main]

#[path = "../properties/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| request::check(data));
