//! Feeds bytes to the properties of the configuration's reader: `cargo fuzz run config`.
#![no_main]

#[path = "../properties/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::check(data));
