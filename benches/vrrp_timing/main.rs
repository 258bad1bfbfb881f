//! How late VRRP is: takeovers after the protocol's own moment, the pace of adverts, advert to first gratuitous ARP; ours and
//! the distribution's keepalived side by side, idle and with every core busy.
//!
//! `cargo bench --bench vrrp_timing [-- [ROUNDS] [PART...] [--full]]`: some parts or all, quick or in full (`--full`: more rounds,
//! 300 rounds of a second each in search of false masters with every core busy, ten minutes of `steady`). The parts are `lateness`,
//! `outage`, `false-masters`, `jitter`, `reload`, `scale`, `memory` and `steady`; the last five measure whole daemons.
//! "Ordinary" is ours without real-time priority.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]
#![expect(clippy::panic, reason = "a benchmark ends at the first surprise")]
#![expect(dead_code, reason = "shares the kit of the tests, which use more of it")]

#[path = "../../tests/common/mod.rs"]
mod common;
mod daemons;
#[path = "../../tests/vrrp/director.rs"]
mod director;
mod floor;
mod load;
#[path = "../../tests/vrrp/logs.rs"]
mod logs;
mod master;
mod outage;
#[path = "../../tests/vrrp/wire.rs"]
mod wire;

use director::{Director, Keepalived, Lan, instance};
use floor::Floor;
use load::Load;
use master::FakeMaster;
use standfast::vrrp::{Priority, Scheduling, VrrpSetup};
use standfast_labkit::{Host, require_tools, sandbox};
use std::process::ExitCode;
use std::time::Duration;
use wire::{Capture, Frame};

/// How much of each part is measured.
struct Size {
    /// Rounds of lateness.
    lateness: usize,
    /// Rounds of each outage.
    outages: usize,
    /// Seconds in search of false masters.
    false_masters: usize,
    /// Seconds of adverts with every core busy, for each program and interval.
    jitter: usize,
    /// Reloads of each program.
    reloads: usize,
    /// Seconds for which the processor time of 255 instances is taken.
    scale: u64,
    /// Seconds in search of elections.
    steady: u64,
}

const QUICK: Size =
    Size { lateness: 20, outages: 1, false_masters: 10, jitter: 10, reloads: 10, scale: 10, steady: 20 };
const FULL: Size =
    Size { lateness: 200, outages: 5, false_masters: 300, jitter: 100, reloads: 100, scale: 60, steady: 600 };
const SHORT: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    if let Err(reason) = sandbox::enter().and_then(|_| require_tools(&["ip", "keepalived"])) {
        eprintln!("cannot measure here: {reason}");
        return ExitCode::FAILURE;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |word: &str| arguments.iter().any(|argument| argument == word);
    let mut size = if given("--full") { FULL } else { QUICK };
    if let Some(rounds) = arguments.iter().find_map(|argument| argument.parse().ok()) {
        (size.lateness, size.outages, size.reloads) = (rounds, rounds, rounds);
    }
    let parts: [(&str, &dyn Fn()); 8] = [
        ("lateness", &|| measure_lateness(size.lateness)),
        ("outage", &|| outage::measure(size.outages)),
        ("false-masters", &|| count_false_masters(size.false_masters)),
        ("jitter", &|| daemons::jitter(size.jitter)),
        ("reload", &|| daemons::reload(size.reloads)),
        ("scale", &|| daemons::scale(size.scale)),
        ("memory", &daemons::memory),
        ("steady", &|| daemons::steady(size.steady)),
    ];
    let all = !parts.iter().any(|(part, _)| given(part));
    parts.iter().filter(|(part, _)| all || given(part)).for_each(|(_, measure)| measure());
    ExitCode::SUCCESS
}

fn measure_lateness(rounds: usize) {
    println!("{:<58} {:>5} {:>8} {:>8} {:>8} {:>8}", "milliseconds", "n", "median", "p99", "p99.9", "max");
    for busy in [false, true] {
        for kind in [Kind::Standfast, Kind::Ordinary, Kind::Keepalived] {
            let _load = busy.then(Load::start);
            measure(kind, if busy { "busy" } else { "idle" }, rounds);
        }
    }
}

/// A round is a second at 10 ms adverts, with every core busy; programs take turns.
fn count_false_masters(rounds: usize) {
    const TURN: usize = 10;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let _load = Load::start();
    let floor = Floor::start(SHORT);
    for _ in 0..rounds.div_ceil(TURN) {
        ours.extend(false_masters(Kind::Standfast, SHORT, TURN * 100));
        theirs.extend(false_masters(Kind::Keepalived, SHORT, TURN * 100));
    }
    let floor = floor.finish();
    println!("{rounds} rounds of a second at 10 ms, all cores busy:");
    for (program, moments) in [("Standfast", ours), ("keepalived", theirs)] {
        println!("{program}: {}", daemons::explained(&moments, &floor, SHORT));
    }
    daemons::print_stalls(&floor);
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Standfast,
    Ordinary,
    Keepalived,
}

enum Running {
    Standfast(Box<Director>),
    Keepalived(Box<Keepalived>),
}

fn start(kind: Kind, lan: &Lan, interval: Duration) -> Running {
    match kind {
        Kind::Standfast | Kind::Ordinary => Running::Standfast(Box::new(ours(kind, &lan.one, 100, interval))),
        Kind::Keepalived => {
            let seconds = interval.as_secs_f64();
            let body = format!(
                " version 3\n priority 100\n advert_int {seconds}\n virtual_ipaddress {{\n 10.77.0.200/24\n }}\n"
            );
            Running::Keepalived(Box::new(Keepalived::start(lan, &lan.one, &body)))
        }
    }
}

fn ours(kind: Kind, host: &Host, priority: u8, interval: Duration) -> Director {
    let priority_of_threads = if kind == Kind::Ordinary { Priority::Nice(0) } else { Priority::Automatic };
    let scheduling = Scheduling { priority: priority_of_threads, ..Scheduling::default() };
    let setup = VrrpSetup { routers: vec![instance(priority, interval)], scheduling, ..VrrpSetup::default() };
    Director::start_with(host, setup, None)
}

fn measure(kind: Kind, circumstances: &str, rounds: usize) {
    let title = |what: &str| format!("{kind:?} {circumstances}: {what}");
    for (name, interval) in [("10 ms", Duration::from_millis(10)), ("100 ms", Duration::from_millis(100))] {
        let rounds = if interval < Duration::from_millis(50) { rounds } else { rounds.div_ceil(4) };
        let (silent, resigned, garps) = takeovers(kind, interval, rounds);
        print(&title(&format!("takeover after silence, adverts {name}")), silent);
        print(&title(&format!("takeover after priority 0, adverts {name}")), resigned);
        print(&title(&format!("advert to first GARP, adverts {name}")), garps);
        print(&title(&format!("error of the interval, adverts {name}")), pace(kind, interval, rounds * 10));
    }
}

/// Lateness of takeovers after the last advert of a master that falls silent, and after one that resigns; advert to GARP.
fn takeovers(kind: Kind, interval: Duration, rounds: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let lan = Lan::new("takeover");
    let capture = Capture::start(&lan.client);
    let master = FakeMaster::new(&lan.client, interval);
    let _running = start(kind, &lan, interval);
    let skew = interval * 156 / 256;
    let (mut silent, mut resigned, mut garps) = (Vec::new(), Vec::new(), Vec::new());
    await_master(&capture);
    for round in 0..2 * rounds {
        let resigns = round % 2 == 1;
        master.reign(12);
        if resigns {
            master.resign();
        }
        let moment = if resigns { skew } else { interval * 3 + skew };
        let last = last_of(&capture, |frame| frame.advert(100).is_some());
        let heard = |frame: &Frame| frame.at > last && frame.advert(1).is_some();
        let taken = capture.await_some(1, interval * 20 + Duration::from_secs(3), heard)[0].at;
        let announced = |frame: &Frame| frame.at > last && frame.is_garp([10, 77, 0, 200], 1);
        let garp = capture.await_some(1, Duration::from_secs(1), announced)[0].at;
        let lateness = (taken - last).as_secs_f64() - moment.as_secs_f64();
        if resigns { &mut resigned } else { &mut silent }.push(lateness * 1e3);
        garps.push((garp.as_secs_f64() - taken.as_secs_f64()) * 1e3);
        capture.forget();
    }
    (silent, resigned, garps)
}

/// Deviations of the pauses between a master's adverts from the interval.
fn pace(kind: Kind, interval: Duration, adverts: usize) -> Vec<f64> {
    let lan = Lan::new("pace");
    let capture = Capture::start(&lan.client);
    let _running = start(kind, &lan, interval);
    await_master(&capture);
    std::thread::sleep(interval * u32::try_from(adverts).unwrap());
    let frames = capture.pick(|frame| frame.advert(1).is_some());
    let pauses = frames.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64() - interval.as_secs_f64());
    pauses.map(|error| error.abs() * 1e3).collect()
}

/// When a backup advertised while a master spoke on a loaded machine.
fn false_masters(kind: Kind, interval: Duration, adverts: usize) -> Vec<Duration> {
    let lan = Lan::new("false");
    let capture = Capture::start(&lan.client);
    let _backup = start(kind, &lan, interval);
    await_master(&capture);
    // The same master for both: what is counted is a backup that does not hear it in time.
    let _master = ours(Kind::Standfast, &lan.two, 200, interval);
    capture.await_some(1, Duration::from_secs(10), |frame| frame.advert(2).is_some());
    std::thread::sleep(Duration::from_millis(200));
    capture.forget();
    std::thread::sleep(interval * u32::try_from(adverts).unwrap());
    capture.pick(|frame| frame.advert(1).is_some()).iter().map(|frame| frame.at).collect()
}

fn await_master(capture: &Capture) {
    capture.await_some(1, Duration::from_secs(10), |frame| frame.advert(1).is_some());
}

fn last_of(capture: &Capture, wanted: impl Fn(&Frame) -> bool) -> Duration {
    // The capture runs a little behind.
    std::thread::sleep(Duration::from_millis(2));
    capture.pick(wanted).last().unwrap().at
}

fn print(title: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let (n, max) = (values.len(), at(1.0));
    println!("{title:<58} {n:>5} {:>8.3} {:>8.3} {:>8.3} {max:>8.3}", at(0.5), at(0.99), at(0.999));
}
