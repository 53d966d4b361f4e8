//! Feeds bytes to the properties of the vault's keys: `cargo fuzz run pem`.
#![no_main]

#[path = "../properties/pem.rs"]
mod pem;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pem::check(data));
