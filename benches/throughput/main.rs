//! What passes through a director: Standfast beside plain kernel forwarding, nftables, HAProxy and nginx, in one run.
//!
//! `cargo bench --bench throughput [-- ROUNDS [SECONDS]] [WORDS]`. Words choose paths or loads whose names contain one; plain forwarding
//! is always there. Client, director and server are network namespaces joined by veth pairs with the
//! offloads that the kernel gives them. nginx needs its stream module (Debian: libnginx-mod-stream). Rounds are interleaved: each runs every load over every path in a fresh lab, and the
//! table shows the median of the rounds as a ratio to plain forwarding of the same run.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]

mod load;
mod path;

use load::{LOADS, Load, Servers};
use path::{PATHS, Path, Running};
use standfast_labkit::{Host, Lab, require_tools, sandbox};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

const DEFAULT_ROUNDS: usize = 5;
const DEFAULT_SECONDS: f64 = 1.0;

/// Results by load and path, one a round.
type Results = BTreeMap<(usize, usize), Vec<f64>>;

/// Words of the command line.
struct Chosen(Vec<String>);

impl Chosen {
    /// Whether a name is meant, if any of its kind is.
    fn holds(&self, name: &str, kind: &[&str]) -> bool {
        let names = |word: &&String, name: &str| name.to_lowercase().contains(&word.to_lowercase());
        let mut meant = self.0.iter().filter(|word| kind.iter().any(|name| names(word, name))).peekable();
        meant.peek().is_none() || meant.any(|word| names(&word, name))
    }

    fn path(&self, path: &Path) -> bool {
        path.name == PATHS[0].name || self.holds(path.name, &PATHS.map(|path| path.name))
    }

    fn load(&self, load: &Load) -> bool {
        self.holds(load.name, &LOADS.map(|load| load.name))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<f64>().ok());
    let is_word = |argument: &&String| !argument.starts_with('-') && argument.parse::<f64>().is_err();
    let chosen = Chosen(arguments.iter().filter(is_word).cloned().collect());
    if arguments.iter().any(|argument| argument == "--test") {
        // `cargo test --benches` only has to know that it builds.
        return ExitCode::SUCCESS;
    }
    let needed = ["ip", "nft", "haproxy", "nginx", "wrk"];
    if let Err(reason) = sandbox::enter().and_then(|_| require_tools(&needed)) {
        eprintln!("cannot measure here: {reason}");
        return ExitCode::FAILURE;
    }
    let rounds = numbers.next().map_or(DEFAULT_ROUNDS, |rounds| rounds as usize);
    let time = Duration::from_secs_f64(numbers.next().unwrap_or(DEFAULT_SECONDS));
    let mut results = Results::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (number, path) in PATHS.iter().enumerate().filter(|(_, path)| chosen.path(path)) {
            measure((number, path), &chosen, time, &mut results);
        }
    }
    print_table(&results);
    print_judgement(&results);
    ExitCode::SUCCESS
}

/// Client 10.0.0.10, director 10.0.0.2 with the virtual address 10.0.0.100, and 10.1.0.254, server 10.1.0.1.
struct Site {
    client: Host,
    director: Host,
    server: Host,
    lab: Lab,
}

impl Site {
    fn new() -> Site {
        let lab = Lab::new("bench").unwrap();
        let [client, director, server] = ["client", "director", "server"].map(|name| lab.host(name).unwrap());
        lab.cable(&client, "eth0", &director, "eth0").unwrap();
        lab.cable(&director, "eth1", &server, "eth0").unwrap();
        for (host, commands) in [
            (&client, ["addr add 10.0.0.10/24 dev eth0", "route add default via 10.0.0.2"].as_slice()),
            (
                &director,
                &[
                    "addr add 10.0.0.2/24 dev eth0",
                    "addr add 10.0.0.100/32 dev eth0",
                    "addr add 10.1.0.254/24 dev eth1",
                ],
            ),
            (&server, &["addr add 10.1.0.1/24 dev eth0", "route add default via 10.1.0.254"]),
        ] {
            commands.iter().for_each(|command| host.ip(command).unwrap());
            host.sysctl("net.ipv4.ip_local_port_range", "1024 65535").unwrap();
            host.sysctl("net.ipv4.tcp_tw_reuse", "1").unwrap();
        }
        director.sysctl("net.ipv4.ip_forward", "1").unwrap();
        Site { client, director, server, lab }
    }
}

fn measure((number, path): (usize, &Path), chosen: &Chosen, time: Duration, results: &mut Results) {
    let site = Site::new();
    let servers = Servers::start(&site);
    let _running: Running = path.start(&site);
    load::await_path(&site, path.target);
    for (load_number, load) in LOADS.iter().enumerate() {
        if path.carries(load) && chosen.load(load) {
            let value = load.run(&site, &servers, path.target, time);
            results.entry((load_number, number)).or_default().push(value);
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ratio(results: &Results, load: usize, path: usize) -> Option<f64> {
    Some(median(results.get(&(load, path))?) / median(results.get(&(load, 0))?))
}

fn print_table(results: &Results) {
    print!("| path |");
    LOADS.iter().for_each(|load| print!(" {} |", load.name));
    print!("\n|---|");
    LOADS.iter().for_each(|_| print!("---|"));
    println!();
    for (number, path) in PATHS.iter().enumerate() {
        print!("| {} |", path.name);
        for (load_number, load) in LOADS.iter().enumerate() {
            match (ratio(results, load_number, number), number) {
                (Some(_), 0) => print!(" 1.00 ({}) |", shown(load, median(&results[&(load_number, 0)]))),
                (Some(ratio), _) => print!(" {ratio:.2} |"),
                (None, _) => print!(" - |"),
            }
        }
        println!();
    }
}

fn shown(load: &Load, value: f64) -> String {
    let (divisor, digits) = if load.unit == "Gbit/s" { (1e9, 1) } else { (1e3, 0) };
    format!("{:.digits$} {}", value / divisor, load.unit)
}

/// Standfast against the better of the two proxies, over the loads that they carry.
fn print_judgement(results: &Results) {
    let place = |name: &str| PATHS.iter().position(|path| path.name == name).unwrap();
    let (ours, proxies) = (place("Standfast"), [place("HAProxy, TCP mode"), place("nginx stream")]);
    let mut sum = (0.0, 0);
    for (number, load) in LOADS.iter().enumerate() {
        let best = proxies.iter().filter_map(|proxy| ratio(results, number, *proxy)).reduce(f64::max);
        if let (Some(best), Some(ours)) = (best, ratio(results, number, ours)) {
            println!("{}: {:.2} of the better proxy", load.name, ours / best);
            sum = (sum.0 + (ours / best).ln(), sum.1 + 1);
        }
    }
    println!("geometric mean: {:.2} of the better proxy", (sum.0 / f64::from(sum.1)).exp());
}
