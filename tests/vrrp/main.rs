//! The VRRP thread on a network: two of ours, and ours with the distribution's keepalived.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]
#![expect(clippy::panic, reason = "a test without the test attribute")]

mod addresses;
mod director;
mod election;
mod faults;
mod frr;
mod interop;
mod logs;
mod wire;

use standfast_labkit::harness::{self, Test};
use std::process::ExitCode;

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--list") {
        logs::collect();
    }
    let parts = [election::tests(), interop::tests(), addresses::tests(), faults::tests(), frr::tests()];
    harness::main(parts.into_iter().flatten())
}
