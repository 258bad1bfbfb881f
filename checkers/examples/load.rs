//! Measures what checkers cost: `cargo run --release -p standfast-checkers --example load -- [tcp|http] [CHECKERS] [SECONDS] [THREADS]`.
//!
//! A child process answers on all loopback addresses, and each checker asks one of its own once a second, as real servers have
//! addresses of their own. Printed are attempts, CPU time of both processes for each, lateness, memory for each idle checker, how
//! long a server that goes away takes to be noticed, and what the machine did meanwhile: the share of its time that the host took
//! away, and how late a bare thread wakes that sleeps for a millisecond again and again.

use standfast_checkers::{
    CheckEvent, CheckerId, CheckerSpec, ConnectSpec, HttpSpec, HttpUrl, JudgeSettings, ProbeSpec, Runner, RunnerOptions,
};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PERIOD: Duration = Duration::from_secs(1);

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("answer") => answer(words.get(1).is_some_and(|kind| kind == "http")),
        kind => {
            let threads = words.get(3).map_or(Ok(2), |word| word.parse())?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
            let checkers = words.get(1).map_or(Ok(10_000), |word| word.parse())?;
            let seconds = words.get(2).map_or(Ok(20), |word| word.parse())?;
            runtime.block_on(measure(kind.unwrap_or("tcp"), checkers, seconds))
        }
    }
}

/// The child: answers anything on a port that it prints, one connection after the other.
fn answer(http: bool) -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(4096)?)?;
    println!("{}", listener.local_addr()?.port());
    let mut request = [0; 1024];
    loop {
        let (mut stream, _) = listener.accept()?;
        if http && matches!(stream.read(&mut request), Ok(1..)) {
            // The other side may have gone.
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
}

async fn measure(kind: &str, checkers: u64, seconds: u64) -> Outcome<()> {
    let (mut child, port) = responder(kind)?;
    let memory = resident()?;
    let (sender, mut events) = unbounded_channel();
    let specs = (0..checkers).map(|id| spec(id, port, kind)).collect();
    let runner = Runner::start(specs, sender, &RunnerOptions::default());
    // The first second of the runner is quiet: what it holds are idle checkers.
    sleep(PERIOD / 2).await;
    println!("memory        {:.2} KiB a checker", (resident()? - memory) / 1024.0 / checkers as f64);
    sleep(PERIOD * 3).await;
    drain(&mut events);
    let (statistics, bare) = (runner.statistics(), Bare::start());
    let (attempts, before, begun) = (statistics.attempts(), Spent::so_far(&child)?, Instant::now());
    sleep(Duration::from_secs(seconds)).await;
    let attempts = statistics.attempts() - attempts;
    let (spent, elapsed) = (Spent::so_far(&child)?.since(&before), begun.elapsed());
    let [user, system, server] = [spent.user, spent.system, spent.server].map(|spent| spent * 1e6 / attempts as f64);
    let mut down = downs(&mut events);
    println!("attempts      {attempts} in {elapsed:.1?}, {} checkers down", down.len());
    println!("cpu           {:.1} us an attempt: {user:.1} here, {system:.1} in the kernel", user + system);
    println!("responder     {server:.1} us an attempt");
    println!(
        "machine       {:.0} % of its time taken away by the host; a bare thread woke {}",
        spent.stolen * 100.0,
        bare.end()
    );
    println!("under way     {} attempts at most", statistics.peak());
    println!(
        "lateness      p50 {:?}, p99 {:?}, p99.9 {:?}",
        statistics.lateness(0.5),
        statistics.lateness(0.99),
        statistics.lateness(0.999)
    );
    child.kill()?;
    let killed = Instant::now();
    child.wait()?;
    while (down.len() as u64) < checkers {
        take(&events.recv().await.ok_or("the runner has ended")?, &mut down);
    }
    println!("detection     all {checkers} down {:?} after the server's end", killed.elapsed());
    runner.stop().await;
    Ok(())
}

fn responder(kind: &str) -> Outcome<(Child, u16)> {
    let mut child = Command::new(std::env::current_exe()?).args(["answer", kind]).stdout(Stdio::piped()).spawn()?;
    let mut port = String::new();
    let output = child.stdout.as_mut().ok_or("the child has no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut port)?;
    Ok((child, port.trim().parse()?))
}

fn spec(id: u64, port: u16, kind: &str) -> CheckerSpec {
    // Past 127.0.0.0/16, one address for each.
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + id as u32);
    let connect = ConnectSpec::new(SocketAddr::from((address, port)), Duration::from_secs(2));
    let url = HttpUrl { status_codes: vec![(200, 200)], ..HttpUrl::new("/check") };
    let probe =
        if kind == "tcp" { ProbeSpec::Tcp(connect) } else { ProbeSpec::Http(HttpSpec::new(connect, vec![url])) };
    CheckerSpec {
        id: CheckerId(id),
        probe,
        settings: JudgeSettings {
            delay_loop: PERIOD,
            retry: 0,
            delay_before_retry: PERIOD,
            warmup: PERIOD,
            alpha: false,
            log_all_failures: false,
        },
        service: format!("[10.1.{}.{}]:tcp:80", id / 256, id % 256),
        virtual_service: "[10.0.0.100]:tcp:80".to_owned(),
    }
}

fn drain(events: &mut UnboundedReceiver<CheckEvent>) {
    while events.try_recv().is_ok() {}
}

fn downs(events: &mut UnboundedReceiver<CheckEvent>) -> BTreeSet<CheckerId> {
    let mut down = BTreeSet::new();
    while let Ok(event) = events.try_recv() {
        take(&event, &mut down);
    }
    down
}

fn take(event: &CheckEvent, down: &mut BTreeSet<CheckerId>) {
    match event {
        CheckEvent::Down { id, .. } => drop(down.insert(*id)),
        CheckEvent::Up { id, .. } => drop(down.remove(id)),
        _ => {}
    }
}

/// Seconds of processor time: of this process, of the responder, and the share of the machine's that its host took away.
struct Spent {
    user: f64,
    system: f64,
    server: f64,
    stolen: f64,
    machine: f64,
}

impl Spent {
    fn so_far(child: &Child) -> Outcome<Self> {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let (user, system) = (seconds(usage.user_time()), seconds(usage.system_time()));
        // Fields 14 and 15 of /proc/PID/stat, in hundredths of a second; the name before them has no space.
        let server: f64 = numbers(&format!("/proc/{}/stat", child.id()))?.iter().skip(10).take(2).sum();
        let machine = numbers("/proc/stat")?;
        let stolen = machine.get(7).copied().ok_or("/proc/stat is short")?;
        Ok(Self { user, system, server: server / 100.0, stolen, machine: machine.iter().take(8).sum() })
    }

    fn since(&self, before: &Self) -> Self {
        let machine = self.machine - before.machine;
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
            server: self.server - before.server,
            stolen: (self.stolen - before.stolen) / machine,
            machine,
        }
    }
}

/// The numbers in the first line of a file.
fn numbers(path: &str) -> Outcome<Vec<f64>> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().next().ok_or("an empty file")?;
    Ok(line.split(' ').skip(2).filter_map(|word| word.parse().ok()).collect())
}

/// What any program bears on this machine: a thread that sleeps for a millisecond at a time.
struct Bare {
    goes_on: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Bare {
    fn start() -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let told = goes_on.clone();
        let nap = Duration::from_millis(1);
        let sleep = move || {
            let begun = Instant::now();
            std::thread::sleep(nap);
            begun.elapsed() - nap
        };
        let thread = std::thread::spawn(move || {
            std::iter::repeat_with(sleep).take_while(|_| told.load(Ordering::Relaxed)).collect()
        });
        Self { goes_on, thread }
    }

    /// How late it woke, in words.
    fn end(self) -> String {
        self.goes_on.store(false, Ordering::Relaxed);
        let mut late = self.thread.join().unwrap_or_default();
        late.sort_unstable();
        let at = |share: f64| late.get((late.len() as f64 * share) as usize).copied().unwrap_or_default();
        format!("p50 {:?}, p99 {:?}, worst {:?} late", at(0.5), at(0.99), late.last().copied().unwrap_or_default())
    }
}

/// Resident bytes of this process.
fn resident() -> Outcome<f64> {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm")?.split(' ').nth(1).ok_or("statm is short")?.parse()?;
    Ok(pages * 4096.0)
}
