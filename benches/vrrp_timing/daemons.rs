//! What a host with the whole daemon on it costs and how steady it is: pace of adverts, reloads, 255 instances, memory, minutes
//! without an election. Both programs are measured in one run, in turns or side by side.

use crate::common::Daemon;
use crate::director::Lan;
use crate::load::Load;
use crate::wire::Capture;
use crate::{await_master, print};
use nix::sys::signal::Signal;
use standfast_labkit::{Host, wait_until};
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PROGRAMS: [&str; 2] = ["Standfast", "keepalived"];
/// Seconds of adverts before the programs take turns.
const TURN: usize = 10;
const INSTANCES: u8 = 255;

fn instance(vrid: u8, priority: u8, interval: &str, address: &str) -> String {
    format!(
        "vrrp_instance V{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n version 3\n priority {priority}\n \
         advert_int {interval}\n virtual_ipaddress {{\n  {address}\n }}\n}}\n"
    )
}

fn usual(priority: u8, interval: &str) -> String {
    instance(51, priority, interval, "10.77.0.200/24")
}

fn start(lan: &Lan, host: &Host, program: &str, config: &str) -> Daemon {
    let daemon = Daemon::prepare(&lan.lab, host, config);
    let mut daemon = if program == "keepalived" { daemon.with_program(program) } else { daemon };
    daemon.launch();
    daemon
}

/// Deviations of the pauses between adverts from the interval, with every core busy.
pub fn jitter(seconds: usize) {
    println!(
        "{:<58} {:>5} {:>8} {:>8} {:>8} {:>8}",
        "all cores busy, milliseconds", "n", "median", "p99", "p99.9", "max"
    );
    for (name, interval) in [("0.01", 10), ("0.1", 100)] {
        let mut errors = [Vec::new(), Vec::new()];
        let stolen = stolen_ticks();
        for _ in 0..seconds.div_ceil(TURN) {
            for (program, errors) in PROGRAMS.iter().zip(&mut errors) {
                errors.extend(pace(program, name, Duration::from_millis(interval)));
            }
        }
        for (program, errors) in PROGRAMS.iter().zip(errors) {
            print(&format!("{program}: error of the interval, adverts {name} s"), errors);
        }
        println!("ticks that the host of this virtual machine took away meanwhile: {}", stolen_ticks() - stolen);
    }
}

fn pace(program: &str, name: &str, interval: Duration) -> Vec<f64> {
    let lan = Lan::new("jitter");
    let capture = Capture::start(&lan.client);
    let _daemon = start(&lan, &lan.one, program, &usual(100, name));
    await_master(&capture);
    std::thread::sleep(Duration::from_millis(500));
    let _load = Load::start();
    capture.forget();
    std::thread::sleep(Duration::from_secs(TURN as u64));
    let frames = capture.pick(|frame| frame.advert(1).is_some());
    let pauses = frames.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64() - interval.as_secs_f64());
    pauses.map(|error| error.abs() * 1e3).collect()
}

/// The eighth number of the first line, proc(5).
fn stolen_ticks() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap();
    text.split_whitespace().nth(8).unwrap().parse().unwrap()
}

/// From the signal to the first advert of the new priority, and the longest pause between adverts when nothing has changed.
pub fn reload(rounds: usize) {
    println!("{:<58} {:>5} {:>8} {:>8} {:>8} {:>8}", "reload, milliseconds", "n", "median", "p99", "p99.9", "max");
    for program in PROGRAMS {
        print(&format!("{program}: SIGHUP to the first advert of a new priority"), first_adverts(program, rounds));
        print(&format!("{program}: longest pause, nothing new, adverts 10 ms"), pauses(program, rounds));
    }
}

fn first_adverts(program: &str, rounds: usize) -> Vec<f64> {
    let lan = Lan::new("reload");
    let capture = Capture::start(&lan.client);
    let mut daemon = start(&lan, &lan.one, program, &usual(150, "1"));
    await_master(&capture);
    let round = |round: usize| {
        let priority = if round.is_multiple_of(2) { 160 } else { 150 };
        daemon.configure(&usual(priority, "1"));
        // Somewhere between two adverts.
        std::thread::sleep(Duration::from_millis(137 * (round as u64 % 7)));
        capture.forget();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        daemon.signal(Signal::SIGHUP);
        let heard = capture.await_some(1, Duration::from_secs(5), |frame| frame.advert(1) == Some(priority));
        (heard[0].at.as_secs_f64() - began.as_secs_f64()) * 1e3
    };
    (0..rounds).map(round).collect()
}

fn pauses(program: &str, rounds: usize) -> Vec<f64> {
    let lan = Lan::new("pauses");
    let capture = Capture::start(&lan.client);
    let mut daemon = start(&lan, &lan.one, program, &usual(150, "0.01"));
    await_master(&capture);
    let round = |_| {
        std::thread::sleep(Duration::from_millis(200));
        capture.forget();
        daemon.signal(Signal::SIGHUP);
        std::thread::sleep(Duration::from_millis(500));
        let frames = capture.pick(|frame| frame.advert(1).is_some());
        let pauses = frames.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 1e3);
        pauses.fold(0.0, f64::max)
    };
    (0..rounds).map(round).collect()
}

/// 255 instances with one address each and nobody else on the link.
pub fn scale(seconds: u64) {
    for program in PROGRAMS {
        let lan = Lan::new("scale");
        let instances = (1..=INSTANCES).map(|vrid| instance(vrid, 254, "1", &format!("10.77.1.{vrid}/32")));
        let config: String = instances.collect::<String>().replace("version 3", "version 2");
        let began = Instant::now();
        let mut daemon = start(&lan, &lan.one, program, &config);
        let standing =
            || lan.one.addresses("eth0").unwrap().iter().filter(|address| address.starts_with("10.77.1.")).count();
        let up = wait_until(Duration::from_secs(60), || standing() == usize::from(INSTANCES));
        let up = up.map(|_| began.elapsed()).unwrap();
        std::thread::sleep(Duration::from_secs(15));
        let before = cost(daemon.process().pid());
        std::thread::sleep(Duration::from_secs(seconds));
        let after = cost(daemon.process().pid());
        let share = (after.ticks - before.ticks) as f64 / seconds as f64;
        println!(
            "{program}: {INSTANCES} addresses stand {:.2} s after the start; {share:.2} % of a core at 1 s adverts; {:.1} MB",
            up.as_secs_f64(),
            after.resident as f64 / 1e3
        );
    }
}

/// Resident memory with one instance, a minute of adverts at 10 ms behind it.
pub fn memory() {
    for program in PROGRAMS {
        let lan = Lan::new("memory");
        let mut daemon = start(&lan, &lan.one, program, &usual(150, "0.01"));
        std::thread::sleep(Duration::from_secs(20));
        let cost = cost(daemon.process().pid());
        println!(
            "{program}: {:.1} MB resident with one instance, {:.1} MB of its own, in {} processes",
            cost.resident as f64 / 1e3,
            cost.own as f64 / 1e3,
            cost.processes
        );
    }
}

/// Elections of a pair that has no reason for any, at adverts of 100 ms; both programs at the same time.
pub fn steady(seconds: u64) {
    let pairs = PROGRAMS.map(|program| {
        let lan = Lan::new("steady");
        let master = start(&lan, &lan.one, program, &usual(200, "0.1"));
        master.await_log("Entering MASTER STATE", Duration::from_secs(10));
        let backup = start(&lan, &lan.two, program, &usual(100, "0.1"));
        backup.await_log("Entering BACKUP STATE", Duration::from_secs(10));
        (lan, master, backup)
    });
    std::thread::sleep(Duration::from_secs(seconds));
    for (program, (_, _, backup)) in PROGRAMS.iter().zip(&pairs) {
        let elections = backup.log().matches("Entering MASTER STATE").count();
        println!("{program}: {elections} false elections in {seconds} s at adverts of 100 ms");
    }
}

/// What a program and its children have used.
#[derive(Default)]
struct Cost {
    /// Of processor time, 1/100 s.
    ticks: u64,
    /// In kB.
    resident: u64,
    /// Of that, shared with nobody's files, in kB.
    own: u64,
    processes: usize,
}

fn cost(pid: u32) -> Cost {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Cost::default() };
    let fields: Vec<u64> =
        stat.rsplit(") ").next().unwrap().split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let mut cost =
        Cost { ticks: fields[11] + fields[12], resident: number("VmRSS:"), own: number("RssAnon:"), processes: 1 };
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace() {
        let child = self::cost(child.parse().unwrap());
        cost.ticks += child.ticks;
        cost.resident += child.resident;
        cost.own += child.own;
        cost.processes += child.processes;
    }
    cost
}
