//! The same script played by keepalived and by us, each on a network of its own at the same time: logs, adverts, addresses,
//! notifications and exit codes must be the same, but for what `docs/vrrp-differences.md` explains.
//!
//! `cargo test --test scenarios` plays a short selection; `STANDFAST_SCENARIOS=all` plays every one of them (with
//! `-- --test-threads 8`, some four minutes), `STANDFAST_SCENARIOS_MIXED=1` puts one of ours beside one keepalived in all of them,
//! and `STANDFAST_SCENARIOS_SHOW=1` prints both records.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]
#![expect(clippy::panic, reason = "a test without the test attribute")]

mod compare;
mod inject;
mod script;
mod stage;
mod table;
#[expect(dead_code, reason = "shared with the tests of the VRRP thread, which use more of it")]
#[path = "../vrrp/wire.rs"]
mod wire;

use script::Scenario;
use stage::{Cast, play};
use standfast_labkit::harness;
use std::process::ExitCode;

fn main() -> ExitCode {
    let all = std::env::var_os("STANDFAST_SCENARIOS").is_some_and(|value| value == "all");
    harness::main(table::tests(all).into_iter().map(|test| test.needs(&["keepalived", "bridge"])))
}

/// A busy machine makes either daemon late, and then one of them elects where the other does not: only a difference that is
/// there each time is a fault.
const ATTEMPTS: usize = 3;

/// Plays a scenario with keepalived and with us, or with both together, and compares.
pub fn run(scenario: &Scenario) {
    let mut found = Vec::new();
    for _ in 0..ATTEMPTS {
        match attempt(scenario) {
            Ok(()) => return,
            Err(differences) => {
                eprintln!("{}: {differences}", scenario.name);
                found.push(differences);
            }
        }
    }
    panic!("{} times of {ATTEMPTS} (- keepalived, + ours)\n{}", found.len(), found.join("\n\n"));
}

fn attempt(scenario: &Scenario) -> Result<(), String> {
    let mixed = scenario.mixed || std::env::var_os("STANDFAST_SCENARIOS_MIXED").is_some();
    let casts: &[Cast] = if mixed { &[Cast::OursFirst, Cast::OursSecond] } else { &[Cast::Standfast] };
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| play(scenario, Cast::Keepalived));
        let ours: Vec<_> = casts.iter().map(|cast| scope.spawn(|| play(scenario, *cast))).collect();
        (theirs.join().unwrap(), ours.into_iter().map(|play| play.join().unwrap()).collect::<Vec<_>>())
    });
    for (cast, ours) in casts.iter().zip(&ours) {
        let name = scenario.name;
        if std::env::var_os("STANDFAST_SCENARIOS_SHOW").is_some() {
            eprintln!("=== {name}: keepalived\n{theirs}\n=== {name}: {cast:?}\n{ours}");
        }
        let differences = compare::differences(&theirs, ours, scenario.known);
        if !differences.is_empty() {
            return Err(format!("{name}, {cast:?}:\n{}", differences.join("\n")));
        }
    }
    Ok(())
}
