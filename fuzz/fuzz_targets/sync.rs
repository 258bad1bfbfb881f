#![no_main]

#[path = "../sync.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes, std::time::Instant::now()));
