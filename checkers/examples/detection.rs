//! Measures how exactly a dead server is noticed: `cargo run --release -p standfast-checkers --example detection -- [SERVERS]`.
//!
//! Every server dies just behind a good answer. From that answer on the settings say when the verdict must fall; printed is by how
//! much it comes later. Beside it stands what the machine does to anybody: for each verdict a bare thread sleeps until the moment
//! at which it is due, and is late, too.

use standfast_checkers::{
    CheckEvent, CheckerId, CheckerSpec, ConnectSpec, HttpSpec, HttpUrl, JudgeSettings, ProbeSpec, Runner, RunnerOptions,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::mpsc::unbounded_channel;

type Outcome<T> = Result<T, Box<dyn Error>>;

const RETRIES: u32 = 3;
const PERIOD: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_millis(400);
/// Good answers before the end.
const LIFE: usize = 3;

/// How a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// TCP_CHECK: nobody listens any more.
    Refused,
    /// TCP_CHECK: the connection is not answered.
    Silent,
    /// HTTP_GET: status 500.
    Error,
}

fn main() -> Outcome<()> {
    let servers = std::env::args().nth(1).map_or(Ok(50), |word| word.parse())?;
    let settings =
        format!("delay_loop {PERIOD:?}, retry {RETRIES}, delay_before_retry {PAUSE:?}, connect_timeout {PATIENCE:?}");
    println!("{servers} servers each; {settings}");
    for death in [Death::Refused, Death::Silent, Death::Error] {
        let late = measure(death, servers)?;
        println!(
            "{death:?}: due {:?} after the last good answer; later than that, median, ninth tenth and worst",
            due(death)
        );
        println!("    the verdict              {}", spread(late.iter().map(|late| late.verdict)));
        println!("    a bare thread            {}", spread(late.iter().map(|late| late.bare)));
        println!(
            "    the verdict beyond that  {}",
            spread(late.iter().map(|late| late.verdict.saturating_sub(late.bare)))
        );
    }
    Ok(())
}

fn spread(late: impl Iterator<Item = Duration>) -> String {
    let mut late: Vec<_> = late.collect();
    late.sort_unstable();
    let at = |share: f64| {
        late.get(((late.len() - 1) as f64 * share) as usize).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    format!("{:.2}, {:.2}, {:.2} ms", at(0.5), at(0.9), at(1.0))
}

/// By how much a verdict, and the thread that slept until it was due, were late.
struct Late {
    verdict: Duration,
    bare: Duration,
}

/// What the settings say: from the last good answer to the verdict.
fn due(death: Death) -> Duration {
    let attempts = if death == Death::Silent { PATIENCE * (RETRIES + 1) } else { Duration::ZERO };
    PERIOD + PAUSE * RETRIES + attempts
}

/// By how much each verdict was later than the settings say.
fn measure(death: Death, servers: u64) -> Outcome<Vec<Late>> {
    let (ends, ended) = mpsc::channel();
    let mut specs = Vec::new();
    for id in 0..servers {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        specs.push(spec(id, listener.local_addr()?, death));
        let ends = ends.clone();
        spawn(move || {
            // A server that fails to do its part is missing below.
            if let Ok(last) = live(listener, death) {
                let moment = last + due(death);
                sleep(moment.saturating_duration_since(Instant::now()));
                let _ = ends.send((id, (moment, moment.elapsed())));
            }
        });
    }
    drop(ends);
    let fallen = downs(specs, servers)?;
    let slept: BTreeMap<u64, (Instant, Duration)> = ended.iter().collect();
    let late = fallen.iter().filter_map(|(id, fell)| {
        let (moment, bare) = slept.get(id)?;
        Some(Late { verdict: fell.saturating_duration_since(*moment), bare: *bare })
    });
    let late: Vec<_> = late.collect();
    if late.len() as u64 == servers { Ok(late) } else { Err("a server did not do its part".into()) }
}

/// When each server was judged to be down.
fn downs(specs: Vec<CheckerSpec>, servers: u64) -> Outcome<BTreeMap<u64, Instant>> {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        let (sender, mut events) = unbounded_channel();
        let runner = Runner::start(specs, sender, &RunnerOptions::default());
        let mut fallen = BTreeMap::new();
        while (fallen.len() as u64) < servers {
            if let CheckEvent::Down { id, .. } = events.recv().await.ok_or("the runner has ended")? {
                fallen.entry(id.0).or_insert_with(Instant::now);
            }
        }
        runner.stop().await;
        Ok(fallen)
    })
}

/// Answers a few times, dies, and tells when the last answer was given.
fn live(listener: TcpListener, death: Death) -> Outcome<Instant> {
    let mut last = Instant::now();
    for _ in 0..LIFE {
        let (stream, _) = listener.accept()?;
        last = Instant::now();
        answer(stream, death, "200 OK");
    }
    match death {
        Death::Refused => drop(listener),
        Death::Silent => fill(&listener)?,
        Death::Error => drop(spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                answer(stream, death, "500 Internal Server Error");
            }
        })),
    }
    Ok(last)
}

fn answer(mut stream: TcpStream, death: Death, status: &str) {
    if death != Death::Error {
        return;
    }
    let mut request = [0; 1024];
    // The other side may have gone.
    let _ = stream.read(&mut request);
    let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
}

/// Makes the kernel drop whoever wants to connect: nobody takes the connections that wait.
fn fill(listener: &TcpListener) -> Outcome<()> {
    nix::sys::socket::listen(listener, nix::sys::socket::Backlog::new(0)?)?;
    let target = listener.local_addr()?;
    let waiting = TcpStream::connect(target)?;
    let kept = listener.try_clone()?;
    spawn(move || {
        sleep(due(Death::Silent) * 4);
        drop((waiting, kept));
    });
    Ok(())
}

fn spec(id: u64, target: SocketAddr, death: Death) -> CheckerSpec {
    let connect = ConnectSpec::new(target, PATIENCE);
    let probe = if death == Death::Error { http(connect) } else { ProbeSpec::Tcp(connect) };
    CheckerSpec {
        id: CheckerId(id),
        probe,
        settings: JudgeSettings {
            delay_loop: PERIOD,
            retry: RETRIES,
            delay_before_retry: PAUSE,
            warmup: PERIOD,
            alpha: false,
            log_all_failures: false,
        },
        service: format!("[10.1.{}.{}]:tcp:80", id / 256, id % 256),
        virtual_service: "[10.0.0.100]:tcp:80".to_owned(),
    }
}

fn http(connect: ConnectSpec) -> ProbeSpec {
    let url = HttpUrl::new("/check");
    ProbeSpec::Http(HttpSpec::new(connect, vec![url]))
}
