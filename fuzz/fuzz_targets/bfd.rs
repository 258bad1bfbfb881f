#![no_main]

#[path = "../packet_bodies.rs"]
#[allow(dead_code, reason = "each target uses one of them")]
mod packet_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet_bodies::bfd(bytes, std::time::Instant::now()));
