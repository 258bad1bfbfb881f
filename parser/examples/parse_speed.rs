//! Parses 10,000 virtual servers with four real servers each, and lets the real `keepalived -t` do the same.
//!
//! `cargo run --release -p standfast-parser --example parse_speed [SERVICES [alone|names]]` prints times, tokens and peak memory;
//! `alone` leaves out keepalived and the hostile files, `names` reads only that many of everything that has a name: both
//! for a profiler.
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock and writes its input")]
#![expect(clippy::disallowed_types, reason = "a benchmark runs the program that it compares with")]

use standfast_parser::{MemoryLoader, Options, parse};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Each program reads the file this often, and the best time counts.
const RUNS: usize = 5;

fn main() {
    let services = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(10_000);
    if std::env::args().nth(2).is_some_and(|word| word == "names") {
        return hostile_case("names", names(services));
    }
    let text = configuration(services);
    let bytes = text.len();
    let path = std::env::temp_dir().join(format!("standfast-parse-speed-{}.conf", std::process::id()));
    let written = std::fs::write(&path, &text);
    let loader = MemoryLoader::single("speed.conf", text);
    let before = peak_kib();
    let start = Instant::now();
    let parsed = parse(&loader, Path::new("speed.conf"), &Options::default());
    let first = start.elapsed();
    let grown = (peak_kib().saturating_sub(before)) * 1024;
    let again = (1..RUNS).map(|_| {
        let start = Instant::now();
        drop(parse(&loader, Path::new("speed.conf"), &Options::default()));
        start.elapsed()
    });
    let ours = again.min().unwrap_or(first).min(first);
    println!("{services} virtual servers, {bytes} bytes, {} words", parsed.words);
    println!(
        "standfast:  {ours:?} (the best of {RUNS}; the first {first:?}), {} services, {} findings",
        parsed.config.virtual_servers.len(),
        parsed.diagnostics.len()
    );
    println!("memory:     {grown} bytes at most, {} for each word", grown / (parsed.words as u64).max(1));
    if std::env::args().nth(2).is_some_and(|word| word == "alone") {
        let _ = std::fs::remove_file(&path);
        return;
    }
    match written.ok().and_then(|()| keepalived(&path)) {
        Some(theirs) => {
            println!("keepalived: {theirs:?}, {:.1} times as long", theirs.as_secs_f64() / ours.as_secs_f64());
        }
        None => println!("keepalived: not found, no comparison"),
    }
    let _ = std::fs::remove_file(&path);
    hostile();
}

/// How long it takes to end what nobody should write.
fn hostile() {
    let cases = [
        ("100 MB file", "a b c d\n".repeat(12_500_000)),
        ("60 MB of words", "a b c d\n".repeat(7_500_000)),
        ("10 MB line", "x ".repeat(5_000_000)),
        ("100,000 braces", "a {\n".repeat(100_000)),
        ("bomb", format!("$A=x\n{}x $A\n", "$A=$A$A\n".repeat(1000))),
        ("sequences", "~SEQ(A,1,9999) ~SEQ(B,1,9999) bogus $A $B\n".to_owned()),
        ("references", format!("x {}\n", "${a}".repeat(15_000)).repeat(100)),
        ("50,000 of each name", names(50_000)),
        ("100,000 unknown", (0..100_000).map(|n| format!("bogus{n} x\n")).collect()),
        ("include cycle", "include hostile.conf\n".repeat(10_000)),
    ];
    for (name, text) in cases {
        hostile_case(name, text);
    }
}

fn hostile_case(name: &str, text: String) {
    let loader = MemoryLoader::single("hostile.conf", text);
    let start = Instant::now();
    let parsed = parse(&loader, Path::new("hostile.conf"), &Options::default());
    println!("{name}: {:?}, {} findings", start.elapsed(), parsed.diagnostics.len());
}

/// Everything that has a name, each naming another.
fn names(count: usize) -> String {
    let each = |n: usize| {
        format!(
            "vrrp_script s{n} {{\nscript /bin/true\n}}\ntrack_file f{n} {{\nfile /f\n}}\n\
             vrrp_sync_group g{n} {{\ngroup {{\ni{n}\n}}\n}}\nvirtual_server_group v{n} {{\n10.0.0.1 80\n}}\n\
             vrrp_instance i{n} {{\ninterface e{n}\nvirtual_router_id 1\nvirtual_ipaddress {{\n10.0.0.1\n}}\n\
             track_script {{\ns{n}\n}}\ntrack_file {{\nf{n}\n}}\n}}\n"
        )
    };
    (0..count).map(each).collect()
}

fn configuration(services: usize) -> String {
    let mut text = String::new();
    for service in 0..services {
        let (b, c) = (service / 250, service % 250);
        let _ = write!(
            text,
            "virtual_server 10.{b}.{c}.1 80 {{\n    delay_loop 6\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in 2..6 {
            let _ = write!(
                text,
                "    real_server 10.{b}.{c}.{server} 80 {{\n        weight 1\n        TCP_CHECK {{\n            \
                 connect_timeout 3\n        }}\n    }}\n"
            );
        }
        text.push_str("}\n");
    }
    text
}

/// The best time of `keepalived -t`; `None` where it does not run.
fn keepalived(path: &Path) -> Option<Duration> {
    let once = || {
        let start = Instant::now();
        Command::new("keepalived").arg("-t").arg("-f").arg(path).output().ok()?;
        Some(start.elapsed())
    };
    (0..RUNS).filter_map(|_| once()).min()
}

/// Peak resident memory of this process, in KiB; 0 where it is unknown.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}
