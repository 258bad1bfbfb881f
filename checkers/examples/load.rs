//! Measures what checkers cost: `cargo run --release -p standfast-checkers --example load -- [tcp|http|hyper] [CHECKERS] [SECONDS]`.
//!
//! A child process answers on 127.0.0.1; each checker asks once a second. Printed are attempts, CPU time of this process for each,
//! lateness, memory for each idle checker, and how long a server that goes away takes to be noticed. `hyper` asks for a path that
//! reqwest would change, so that the requests go through hyper alone.

use standfast_checkers::{
    CheckEvent, CheckerId, CheckerSpec, ConnectSpec, HttpSpec, HttpUrl, JudgeSettings, ProbeSpec, Runner, RunnerOptions,
};
use std::collections::BTreeSet;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PERIOD: Duration = Duration::from_secs(1);

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match words.first().map(String::as_str) {
        Some("answer") => runtime.block_on(answer()),
        kind => {
            let checkers = words.get(1).map_or(Ok(10_000), |word| word.parse())?;
            let seconds = words.get(2).map_or(Ok(20), |word| word.parse())?;
            runtime.block_on(measure(kind.unwrap_or("tcp"), checkers, seconds))
        }
    }
}

/// The child: answers anything on a port that it prints.
async fn answer() -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut request = [0; 1024];
            if matches!(stream.read(&mut request).await, Ok(1..)) {
                // The other side may have gone.
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        });
    }
}

async fn measure(kind: &str, checkers: u64, seconds: u64) -> Outcome<()> {
    let (mut child, target) = responder()?;
    let memory = resident()?;
    let (sender, mut events) = unbounded_channel();
    let specs = (0..checkers).map(|id| spec(id, target, kind)).collect();
    let runner = Runner::start(specs, sender, &RunnerOptions::default());
    // The first second of the runner is quiet: what it holds are idle checkers.
    sleep(PERIOD / 2).await;
    println!("memory        {:.2} KiB a checker", (resident()? - memory) / 1024.0 / checkers as f64);
    sleep(PERIOD * 3).await;
    drain(&mut events);
    let (statistics, cpu, begun) = (runner.statistics(), cpu_time()?, Instant::now());
    let before = statistics.attempts();
    sleep(Duration::from_secs(seconds)).await;
    let attempts = statistics.attempts() - before;
    let (after, elapsed) = (cpu_time()?, begun.elapsed());
    let [user, system] = [after[0] - cpu[0], after[1] - cpu[1]].map(|spent| spent * 1e6 / attempts as f64);
    let mut down = downs(&mut events);
    println!("attempts      {attempts} in {elapsed:.1?}, {} checkers down", down.len());
    println!("cpu           {:.1} us an attempt: {user:.1} here, {system:.1} in the kernel", user + system);
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

fn responder() -> Outcome<(Child, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?).arg("answer").stdout(Stdio::piped()).spawn()?;
    let mut port = String::new();
    let output = child.stdout.as_mut().ok_or("the child has no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut port)?;
    Ok((child, SocketAddr::from((Ipv4Addr::LOCALHOST, port.trim().parse()?))))
}

fn spec(id: u64, target: SocketAddr, kind: &str) -> CheckerSpec {
    let connect = ConnectSpec::new(target, Duration::from_secs(2));
    let url =
        HttpUrl { status_codes: vec![(200, 200)], ..HttpUrl::new(if kind == "hyper" { "/./check" } else { "/check" }) };
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

/// Seconds of user and system time of this process.
fn cpu_time() -> Outcome<[f64; 2]> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok([seconds(usage.user_time()), seconds(usage.system_time())])
}

/// Resident bytes of this process.
fn resident() -> Outcome<f64> {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm")?.split(' ').nth(1).ok_or("statm is short")?.parse()?;
    Ok(pages * 4096.0)
}
