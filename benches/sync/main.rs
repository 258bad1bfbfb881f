//! What telling connections to another director costs, measured on whole daemons: processor time of each thread that has a
//! part in it, loss, memory, a flood of datagrams that nobody should believe, and takeovers with many connections and with none.
//!
//! `cargo bench --bench sync [-- [PART...] [rate=N] [seconds=N] [rounds=N]]`. The parts are `cost`, `flood` and `takeover`; without a
//! word all of them. Times of processors are those that the scheduler counts for each thread (`/proc/PID/task/TID/schedstat`), so that
//! they are sums of user and system time to the nanosecond; on a busy machine cold caches still lengthen them. It needs root or
//! unprivileged user namespaces.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark stops at the first surprise")]

mod cost;
mod crowd;
mod flood;
mod site;
mod takeover;
mod threads;

use std::process::ExitCode;

/// What the command line asks for.
struct Size {
    /// New connections a second.
    rate: usize,
    /// How long they come, and how long each flood lasts.
    seconds: usize,
    /// Takeovers with and without connections.
    rounds: usize,
}

type Part = fn(&Size);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("daemon") {
        return standfast::run::main(std::env::args_os().skip(1));
    }
    if let Err(reason) = standfast_labkit::sandbox::enter() {
        eprintln!("cannot measure here: {reason}");
        return ExitCode::FAILURE;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, usual| {
        let given = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        given.unwrap_or(usual)
    };
    let size = Size { rate: number("rate", 100_000), seconds: number("seconds", 10), rounds: number("rounds", 10) };
    println!("load average {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    let parts: [(&str, Part); 3] =
        [("cost", cost::measure), ("flood", flood::measure), ("takeover", takeover::measure)];
    let all = !parts.iter().any(|(part, _)| words.iter().any(|word| word == part));
    parts.iter().filter(|(part, _)| all || words.iter().any(|word| word == part)).for_each(|(_, part)| part(&size));
    ExitCode::SUCCESS
}
