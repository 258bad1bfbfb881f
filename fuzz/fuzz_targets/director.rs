#![no_main]

#[path = "../director.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::director(bytes));
