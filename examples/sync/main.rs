//! A pair of directors, thousands of long-lived connections, and the master killed under them: with connections told to the
//! other director, and without.
//!
//! ```text
//! cargo run --release --example sync                          # NAT and DR, 2,000 connections each
//! cargo run --release --example sync -- nat 500               # one way of forwarding, fewer connections
//! cargo run --release --example sync -- crash 50 rounds=20    # the daemon alone is killed, twenty times each
//! ```
//!
//! `crash` leaves the host of the killed daemon alive, with the virtual address: once with the rules that a killed daemon leaves behind
//! for some seconds, and once without them, so that its host's own stack answers clients with RST.
//!
//! Half of the connections are in the middle of a transfer, the other half talk every half second. It needs root or unprivileged
//! user namespaces, and leaves nothing behind.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "an experiment stops at the first surprise")]

mod crowd;
mod network;
mod server;

use crowd::{Crowd, Fate};
use network::{Death, Left, Mode, Network};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a connection may be silent after the kill before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(25);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("daemon") {
        return standfast::run::main(std::env::args_os().skip(1));
    }
    if let Err(reason) = standfast_labkit::sandbox::enter() {
        eprintln!("this lab cannot run here: {reason}");
        return ExitCode::FAILURE;
    }
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, most) = nix::sys::resource::getrlimit(limit).unwrap();
    nix::sys::resource::setrlimit(limit, most, most).unwrap();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given = |word: &str| words.iter().any(|given| given == word);
    let modes = [Mode::Nat, Mode::Dr].into_iter().filter(|mode| match (given("nat"), given("dr")) {
        (false, false) => true,
        (nat, dr) => {
            if *mode == Mode::Nat {
                nat
            } else {
                dr
            }
        }
    });
    let connections = words.iter().find_map(|word| word.parse().ok()).unwrap_or(2000);
    let rounds = words.iter().find_map(|word| word.strip_prefix("rounds=")?.parse().ok()).unwrap_or(1);
    println!("load average {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    println!(
        "{:<6} {:<12} {:<8} {:>11} {:>7} {:>12} {:>14}",
        "mode", "killed", "sync", "connections", "broken", "takeover", "longest stall"
    );
    let mut lost = 0;
    for mode in modes {
        for _ in 0..rounds {
            if given("crash") {
                lost += run(mode, true, Death::Daemon(Left::Rules), connections);
                run(mode, true, Death::Daemon(Left::Nothing), connections);
            } else {
                lost += run(mode, true, Death::Machine, connections);
                run(mode, false, Death::Machine, connections);
            }
        }
    }
    if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One kill; gives the number of broken connections.
fn run(mode: Mode, sync: bool, death: Death, connections: usize) -> usize {
    let mut network = Network::build(mode, sync);
    network.await_master();
    let mut crowd = Crowd::connect(&network.client, connections);
    // Long enough for every transfer and talk to be under way, and no longer than the last connection is young.
    crowd.live(Duration::from_secs(3));
    crowd.forget_stalls();
    network.kill_master(death);
    let killed = Instant::now();
    let takeover = crowd.live_until(PATIENCE, || network.taken_over());
    crowd.live(PATIENCE.saturating_sub(killed.elapsed()).min(Duration::from_secs(12)));
    let fates = crowd.fates(killed);
    let broken = fates.iter().filter(|fate| **fate == Fate::Broken).count();
    let stall = fates.iter().filter_map(|fate| match fate {
        Fate::Alive { stall } => Some(*stall),
        Fate::Broken => None,
    });
    let stall = stall.max().map_or("-".to_owned(), |stall| format!("{:.1} s", stall.as_secs_f64()));
    let takeover = takeover.map_or("never".to_owned(), |takeover| format!("{:.1} s", takeover.as_secs_f64()));
    let sync = if sync { "yes" } else { "no" };
    println!(
        "{:<6} {:<12} {sync:<8} {:>11} {broken:>7} {takeover:>12} {stall:>14}",
        mode.name(),
        death.name(),
        fates.len()
    );
    broken
}
