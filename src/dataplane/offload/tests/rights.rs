//! Two capabilities are enough, and without them it says so.

use std::process::Command;

use super::super::{Unavailable, open};

/// Which capabilities the second process has; unset in the first.
const GIVEN: &str = "STANDFAST_OFFLOAD_TEST_CAPABILITIES";

#[test]
fn two_capabilities_are_enough() {
    if open(1).is_err_and(|error| error.is_ordinary()) || standfast_labkit::require_tools(&["setpriv"]).is_err() {
        eprintln!("SKIPPED: needs CAP_BPF, Linux 6.6 and setpriv");
        return;
    }
    for given in ["+bpf,+net_admin", ""] {
        let bounding = format!("--bounding-set=-all,{given}");
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("setpriv");
        command.args([bounding.trim_end_matches(','), "--inh-caps=-all"]).arg(program).env(GIVEN, given);
        let test = "dataplane::offload::tests::rights::with_what_is_given";
        let output = command.args([test, "--exact", "--include-ignored", "--nocapture"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{given}: {output:?}");
    }
}

#[test]
#[ignore = "run by the other test, with few capabilities"]
fn with_what_is_given() {
    match (std::env::var(GIVEN).as_deref(), open(1)) {
        (Ok(""), Err(Unavailable::Forbidden { .. })) => {}
        (Ok("") | Err(_), Ok(_)) => assert!(std::env::var(GIVEN).is_err(), "allowed without capabilities"),
        (Ok(_), Ok((programs, _))) => drop(programs.filter(&[super::bench::returning(0)]).unwrap()),
        (Err(_), Err(error)) if error.is_ordinary() => eprintln!("SKIPPED: {error}"),
        (given, other) => panic!("{given:?}: {other:?}"),
    }
}
