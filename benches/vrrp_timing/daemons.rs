//! What a host with the whole daemon on it costs and how steady it is: pace of adverts, reloads, 255 instances, memory, minutes
//! without an election. Both programs are measured in one run, in turns or side by side.

use crate::common::Daemon;
use crate::director::Lan;
use crate::floor::{Floor, Readings};
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
/// The goal for adverts with every core busy.
const LATE: Duration = Duration::from_millis(2);
/// A stall that may make a backup at 10 ms lose patience.
const NOTABLE: Duration = Duration::from_millis(10);
/// Between a stall and the wake-up that shows it.
const MARGIN: Duration = Duration::from_millis(1);

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

/// Deviations of the pauses between adverts from the interval, with every core busy, beside a bare thread's.
pub fn jitter(seconds: usize) {
    println!(
        "{:<58} {:>5} {:>8} {:>8} {:>8} {:>8}",
        "all cores busy, milliseconds", "n", "median", "p99", "p99.9", "max"
    );
    for (name, interval) in [("0.01", 10), ("0.1", 100)] {
        let mut paces = [Pace::default(), Pace::default()];
        let stolen = stolen_ticks();
        for _ in 0..seconds.div_ceil(TURN) {
            for (program, pace) in PROGRAMS.iter().zip(&mut paces) {
                pace.join(self::pace(program, name, Duration::from_millis(interval)));
            }
        }
        for (program, pace) in PROGRAMS.iter().zip(paces) {
            pace.print(program, name);
        }
        println!("ticks that the host of this virtual machine took away meanwhile: {}", stolen_ticks() - stolen);
    }
}

/// Pauses between adverts, and what the machine did meanwhile.
#[derive(Default)]
struct Pace {
    /// Deviations from the interval, in milliseconds.
    errors: Vec<f64>,
    /// Of these, those of pauses during which no processor stood still.
    undisturbed: Vec<f64>,
    /// Pauses longer than the interval by more than [`LATE`].
    late: usize,
    /// Of these, those that are so even without the time for which a processor stood still.
    own: usize,
    floor: Readings,
}

impl Pace {
    fn of(moments: &[Duration], interval: Duration, floor: Readings) -> Self {
        let mut pace = Self::default();
        for pair in moments.windows(2) {
            let excess = (pair[1] - pair[0]).as_secs_f64() - interval.as_secs_f64();
            pace.errors.push(excess.abs() * 1e3);
            // A late advert shortens the pause after it.
            if floor.longest(pair[0] - interval, pair[1]).is_zero() {
                pace.undisturbed.push(excess.abs() * 1e3);
            }
            let due = pair[0] + interval;
            if excess > LATE.as_secs_f64() {
                pace.late += 1;
                let stalled = floor.stalled(due - MARGIN, pair[1]);
                pace.own += usize::from(excess - stalled.as_secs_f64() > LATE.as_secs_f64());
            }
        }
        pace.floor = floor;
        pace
    }

    fn join(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.undisturbed.extend(other.undisturbed);
        (self.late, self.own) = (self.late + other.late, self.own + other.own);
        self.floor.join(other.floor);
    }

    fn print(self, program: &str, interval: &str) {
        let (stalls, longest) = self.floor.summary(LATE);
        print(&format!("{program}: error of the interval, adverts {interval} s"), self.errors);
        print("  of these, while no processor stood still", self.undisturbed);
        print("  a bare thread beside it", self.floor.control);
        println!(
            "  {} adverts late by more than 2 ms, {} of them by more than 2 ms beyond the time for which a processor stood still; \
             {stalls} such stalls, the longest {:.1} ms",
            self.late,
            self.own,
            longest.as_secs_f64() * 1e3
        );
    }
}

fn pace(program: &str, name: &str, interval: Duration) -> Pace {
    let lan = Lan::new("jitter");
    let capture = Capture::start(&lan.client);
    let _daemon = start(&lan, &lan.one, program, &usual(100, name));
    await_master(&capture);
    std::thread::sleep(Duration::from_millis(500));
    let _load = Load::start();
    let floor = Floor::start(interval);
    std::thread::sleep(2 * interval);
    capture.forget();
    std::thread::sleep(Duration::from_secs(TURN as u64));
    let frames = capture.pick(|frame| frame.advert(1).is_some());
    let moments: Vec<Duration> = frames.iter().map(|frame| frame.at).collect();
    Pace::of(&moments, interval, floor.finish())
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
        let capture = Capture::start(&lan.client);
        (lan, master, backup, capture)
    });
    let floor = Floor::start(Duration::from_millis(100));
    std::thread::sleep(Duration::from_secs(seconds));
    let floor = floor.finish();
    for (program, (_, _, backup, capture)) in PROGRAMS.iter().zip(&pairs) {
        let elections = backup.log().matches("Entering MASTER STATE").count();
        let false_adverts: Vec<Duration> =
            capture.pick(|frame| frame.advert(2).is_some()).iter().map(|frame| frame.at).collect();
        println!(
            "{program}: {elections} false elections in {seconds} s at adverts of 100 ms; {}",
            explained(&false_adverts, &floor, Duration::from_millis(100))
        );
    }
    print_stalls(&floor);
}

/// How many false adverts came soon after a processor had stood still: within the time in which a backup loses patience.
pub fn explained(moments: &[Duration], floor: &Readings, interval: Duration) -> String {
    let disturbed = |at: &&Duration| floor.longest(**at - 4 * interval, **at) > NOTABLE;
    let explained = moments.iter().filter(disturbed).count();
    format!(
        "{} false adverts, {explained} of them after a processor had stood still for more than 10 ms",
        moments.len()
    )
}

pub fn print_stalls(floor: &Readings) {
    let (stalls, longest) = floor.summary(NOTABLE);
    println!(
        "processors stood still for more than 10 ms {stalls} times meanwhile, at most for {:.0} ms",
        longest.as_secs_f64() * 1e3
    );
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
