//! How long a client that probes a virtual address hears nothing when its master is lost in one of four ways.
//!
//! Every round starts two daemons anew, waits for their election, loses the master and measures the longest pause between
//! answers. Rounds of both programs take turns, so that both see the same machine.

use crate::common::{Daemon, Pair};
use nix::sys::signal::Signal;
use standfast_labkit::{Host, wait_until};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const VIP: &str = "10.7.0.100";
const PORT: u16 = 7777;
const PROBE_PERIOD: Duration = Duration::from_millis(1);
const INTERVALS: [&str; 3] = ["1", "0.1", "0.01"];

#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Killed,
    Stopped,
    LinkDown,
    Cut,
}

impl Loss {
    const ALL: [(Self, &str); 4] = [
        (Self::Killed, "killed (SIGKILL)"),
        (Self::Stopped, "stopped (SIGTERM)"),
        (Self::LinkDown, "link down in the master"),
        (Self::Cut, "cable cut in silence"),
    ];

    fn strike(self, pair: &Pair, master: &mut Daemon) {
        match self {
            Self::Killed => kill_all(master),
            Self::Stopped => master.signal(Signal::SIGTERM),
            Self::LinkDown => pair.directors[0].ip("link set eth0 down").unwrap(),
            Self::Cut => pair.switch.host().ip(&format!("link set {} nomaster", pair.ports[0])).unwrap(),
        }
    }
}

/// keepalived's children would be respawned or end in good order: all of its processes go at once.
fn kill_all(master: &mut Daemon) {
    let child = std::fs::read_to_string(master.directory.join("vrrp.pid"));
    let child = child.ok().and_then(|text| text.trim().parse::<i32>().ok());
    master.signal(Signal::SIGSTOP);
    if let Some(child) = child {
        // Ours has written its own number.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGKILL);
    }
    master.signal(Signal::SIGKILL);
}

/// Measures all losses at all intervals; `rounds` of each for each program.
pub fn measure(rounds: usize) {
    println!("{:<34} {:>9} {:>24} {:>24}", "outage in ms, median (max)", "adverts", "Standfast", "keepalived");
    for (loss, name) in Loss::ALL {
        for interval in INTERVALS {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                ours.push(round(loss, interval, None));
                theirs.push(round(loss, interval, Some("keepalived")));
            }
            println!("{name:<34} {interval:>7} s {:>24} {:>24}", summary(ours), summary(theirs));
        }
    }
}

fn summary(mut outages: Vec<f64>) -> String {
    outages.sort_by(f64::total_cmp);
    format!("{:.1} ({:.1})", outages[(outages.len() - 1) / 2], outages[outages.len() - 1])
}

/// The outage of one round in milliseconds.
fn round(loss: Loss, interval: &str, program: Option<&'static str>) -> f64 {
    let pair = Pair::new("outage");
    let echoes = pair.directors.clone().map(|host| Echo::start(&host));
    let mut daemons = [(0, 150), (1, 100)].map(|(index, priority)| {
        let daemon = Daemon::prepare(&pair.lab, &pair.directors[index], &config(interval, priority));
        let mut daemon = match program {
            None => daemon.with_path(PathBuf::from(env!("CARGO_BIN_EXE_standfast"))),
            Some(program) => daemon.with_program(program).with_arguments("-P"),
        };
        daemon.launch();
        daemon
    });
    let elected = wait_until(Duration::from_secs(20), || pair.directors[0].has_address("eth0", VIP));
    assert!(elected.is_some(), "no master: {}", daemons[0].log());
    let interval: f64 = interval.parse().unwrap();
    std::thread::sleep(Duration::from_secs_f64(0.5 + interval));
    let probe = Probe::start(&pair.client);
    std::thread::sleep(Duration::from_millis(200));
    loss.strike(&pair, &mut daemons[0]);
    std::thread::sleep(Duration::from_secs_f64(0.7 + interval * 5.0));
    let outage = probe.finish();
    drop(echoes);
    outage
}

fn config(interval: &str, priority: u8) -> String {
    let version = if interval == "1" { 2 } else { 3 };
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n version {version}\n priority {priority}\n \
         advert_int {interval}\n virtual_ipaddress {{\n  {VIP}/24\n }}\n}}\n"
    )
}

/// Answers probes to any of the host's addresses from the address that was asked.
struct Echo {
    stop: Arc<AtomicBool>,
}

impl Echo {
    fn start(host: &Host) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        host.ip("addr add 10.7.0.100/32 dev lo").unwrap();
        let socket = host.enter(|| UdpSocket::bind((VIP, PORT))).unwrap().unwrap();
        host.ip("addr del 10.7.0.100/32 dev lo").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        std::thread::spawn(move || {
            let mut datagram = [0; 64];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut datagram) {
                    let _ = socket.send_to(&datagram[..length], from);
                }
            }
        });
        Self { stop }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Asks every millisecond and remembers the longest wait for an answer.
struct Probe {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Duration>,
}

impl Probe {
    fn start(client: &Host) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let socket = client.enter(|| UdpSocket::bind(("0.0.0.0", 0))).unwrap().unwrap();
        socket.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            let mut datagram = [0; 64];
            while !stopped.load(Ordering::Relaxed) {
                // A neighbour that cannot be reached is reported here; the next probe tells more.
                let _ = socket.send_to(b"probe", (VIP, PORT));
                std::thread::sleep(PROBE_PERIOD);
                while let Ok((5, _)) = socket.recv_from(&mut datagram) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
            }
            longest.max(last.elapsed())
        });
        Self { stop, thread }
    }

    /// The longest pause between answers, in milliseconds.
    fn finish(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap().as_secs_f64() * 1e3
    }
}
