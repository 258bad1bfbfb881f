//! The programs in the kernel that runs the tests: single packets by test runs, and real traffic.

mod bench;
mod classic;
mod cost;
mod director;
mod frames;
mod rights;
mod verdicts;
mod wire;

use standfast_labkit::{Host, Lab};

use super::{Carrier, Programs, open};

/// A host with an interface of this name, and both halves opened in it; None, with a reason printed, where that is not permitted.
fn opened(connections: u32) -> Option<(Lab, Host, Programs, Carrier)> {
    let lab = match Lab::new("offload") {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("SKIPPED: {reason}");
            return None;
        }
    };
    let host = lab.host("director").unwrap();
    match open(connections) {
        Ok((programs, carrier)) => Some((lab, host, programs, carrier)),
        Err(reason) if reason.is_ordinary() => {
            eprintln!("SKIPPED: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
