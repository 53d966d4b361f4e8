//! Feeds bytes to the properties of the vault's readers: `cargo fuzz run file`.
#![no_main]

#[path = "../properties/file.rs"]
mod file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| file::check(data));
