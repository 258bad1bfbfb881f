//! The failover example: it plays to its end in both modes, and leaves nothing when it is interrupted or cannot run.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use standfast_labkit::harness::{self, Test};
use standfast_labkit::{Finished, Lab, eventually, tests};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// For things that take an instant on an idle machine; the kernel takes namespaces apart slowly on a busy one.
const PATIENCE: Duration = Duration::from_secs(30);
const WHOLE_RUN: Duration = Duration::from_secs(150);

fn main() -> ExitCode {
    let plain = tests![
        nat_mode_plays_to_its_end,
        dr_mode_plays_to_its_end,
        an_interrupt_leaves_no_process,
        a_wrong_argument_is_explained,
    ];
    let forbidden = Test::new("without_namespaces_it_says_so", without_namespaces_it_says_so);
    harness::main(plain.into_iter().chain([forbidden.needs(&["unshare"])]))
}

/// `cargo test` builds the examples beside the binaries.
fn example() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_standfast")).with_file_name("examples").join("failover");
    assert!(program.is_file(), "{} is missing: cargo build --example failover", program.display());
    program
}

fn play(arguments: &[&str], limit: Duration) -> Finished {
    let lab = Lab::new("play").unwrap();
    let host = lab.host("here").unwrap();
    host.start(example().to_str().unwrap(), arguments).unwrap().finish(limit).unwrap()
}

fn nat_mode_plays_to_its_end() {
    let finished = play(&["--mode", "nat"], WHOLE_RUN);
    assert_eq!(finished.code(), 0, "{}", finished.output);
    assert!(finished.output.contains("Everything was as expected"), "{}", finished.output);
}

fn dr_mode_plays_to_its_end() {
    let finished = play(&["--mode", "dr"], WHOLE_RUN);
    assert_eq!(finished.code(), 0, "{}", finished.output);
}

/// How many processes have this text among their arguments?
fn processes_with(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

fn an_interrupt_leaves_no_process() {
    let lab = Lab::new("interrupt").unwrap();
    let host = lab.host("here").unwrap();
    // An argument of our own makes these processes recognisable.
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("failover-to-interrupt");
    std::fs::copy(example(), &program).unwrap();
    let mut command = host.command(&program);
    let mut process = host.start_command(command.process_group(0)).unwrap();
    eventually(PATIENCE, "the start of the directors", || process.output().contains("directors start"));
    eventually(PATIENCE, "several processes", || processes_with("failover-to-interrupt") >= 5);
    killpg(Pid::from_raw(process.pid().cast_signed()), Signal::SIGINT).unwrap();
    let status = process.wait(PATIENCE).unwrap();
    assert_ne!(status.code(), Some(0));
    eventually(PATIENCE, "no process of the lab", || processes_with("failover-to-interrupt") == 0);
}

fn a_wrong_argument_is_explained() {
    let finished = play(&["--mode", "tunnel"], Duration::from_secs(10));
    assert_eq!(finished.code(), 2, "{}", finished.output);
    assert!(finished.output.contains("--mode is nat or dr, not `tunnel`"), "{}", finished.output);
}

/// In a user namespace without a mapped user nothing is permitted, not even another user namespace.
fn without_namespaces_it_says_so() {
    let lab = Lab::new("forbidden").unwrap();
    let host = lab.host("here").unwrap();
    let finished = host.run("unshare", ["--user", example().to_str().unwrap()]).unwrap();
    assert_eq!(finished.code(), 2, "{}", finished.output);
    assert!(finished.output.starts_with("failover: network namespaces are not permitted here"), "{}", finished.output);
    assert_eq!(finished.output.lines().count(), 1, "{}", finished.output);
}
