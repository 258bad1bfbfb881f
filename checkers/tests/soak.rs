//! Nothing is left behind: descriptors, processes and tasks are counted around many attempts, good ones and bad ones.
//! One test, alone in its binary, because it counts what the whole process has.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use standfast_checkers::probe::attempt;
use standfast_checkers::script::Command;
use standfast_checkers::{ConnectSpec, DnsSpec, HttpSpec, HttpUrl, MiscSpec, ProbeSpec, SmtpSpec, UdpReply, UdpSpec};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::sleep;

const ROUNDS: usize = 20;
const LIMIT: Duration = Duration::from_millis(60);

/// Accepts, reads a little, never answers, and closes after a while.
async fn silent_tcp() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                // The end or an error of the connection; both are the probe's business.
                while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
            });
        }
    });
    address
}

async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

fn http(connect: ConnectSpec, tls: bool, path: &str) -> ProbeSpec {
    let url = HttpUrl::new(path);
    ProbeSpec::Http(HttpSpec { tls, ..HttpSpec::new(connect, vec![url]) })
}

fn misc(text: &str) -> ProbeSpec {
    let command = Command::new("/bin/sh").with_arguments(["-c", text]).with_timeout(LIMIT);
    ProbeSpec::Misc(MiscSpec { command, dynamic: false })
}

fn all_kinds(target: SocketAddr, udp: SocketAddr) -> Vec<ProbeSpec> {
    let connect = ConnectSpec::new(target, LIMIT);
    let datagram = ConnectSpec::new(udp, LIMIT);
    let reply = UdpReply { pattern: Vec::new(), ignored_bits: Vec::new(), min_length: 0, max_length: 255 };
    vec![
        ProbeSpec::Tcp(connect.clone()),
        http(connect.clone(), false, "/check"),
        http(connect.clone(), true, "/library"),
        http(connect.clone(), true, "/x/../direct"),
        ProbeSpec::Smtp(SmtpSpec { connect, helo_name: "checker".to_owned() }),
        ProbeSpec::Dns(DnsSpec { connect: datagram.clone(), record_type: DnsSpec::SOA, name: String::new() }),
        ProbeSpec::Udp(UdpSpec { connect: datagram.clone(), payload: None, reply: Some(reply) }),
        ProbeSpec::Ping(datagram),
        misc("exit 1"),
        misc("sleep 1000 & wait"),
    ]
}

async fn round(specs: &[ProbeSpec]) {
    let mut attempts = tokio::task::JoinSet::new();
    for spec in specs {
        let spec = spec.clone();
        attempts.spawn(async move { attempt(&spec, 0).await });
    }
    attempts.join_all().await;
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn children() -> usize {
    let own = std::process::id().to_string();
    let parent = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(1).map(str::to_owned);
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| parent(stat.clone()).is_some_and(|parent| parent == own))
        .count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until the counts are back at what they were.
async fn settles(before: (usize, usize, usize)) {
    for _ in 0..500 {
        let now = (descriptors(), children(), tasks());
        if now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("descriptors, children, tasks: {before:?} became {:?}", (descriptors(), children(), tasks()));
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent = all_kinds(silent_tcp().await, sink.local_addr().unwrap());
    let closed = all_kinds(refusing().await, refusing().await);
    // The first round makes what lives as long as the process: the forking thread, its signal descriptors, HTTP clients.
    round(&silent).await;
    round(&closed).await;
    sleep(Duration::from_millis(200)).await;
    let before = (descriptors(), children(), tasks());
    for _ in 0..ROUNDS {
        round(&silent).await;
        round(&closed).await;
    }
    settles(before).await;
    for _ in 0..ROUNDS {
        // The time-out drops every attempt in the middle.
        let _ = tokio::time::timeout(LIMIT / 4, round(&silent)).await;
    }
    settles(before).await;
}

/// Attempts of the long soak; another number comes from this variable.
const SOAK: &str = "STANDFAST_SOAK";
const MILLION: usize = 1_000_000;
const ABREAST: usize = 64;

/// Answers as an HTTP server would, on every loopback address: so many connections to one would use up its ports.
async fn answering() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                // A TCP check says nothing and goes.
                if stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
                }
            });
        }
    });
    port
}

/// The nth probe of the soak: connections and HTTP requests in turn, every thousandth a program.
fn nth(index: usize, port: u16) -> ProbeSpec {
    let [_, a, b, _] = u32::try_from(index % 4096).unwrap().to_be_bytes().map(|byte| byte % 16);
    let host = Ipv4Addr::new(127, 1 + a, 1 + b, u8::try_from(1 + index % 200).unwrap());
    let connect = ConnectSpec::new(SocketAddr::from((host, port)), Duration::from_secs(5));
    match index {
        _ if index.is_multiple_of(1000) => misc("exit 0"),
        _ if index.is_multiple_of(2) => http(connect, false, "/check"),
        _ => ProbeSpec::Tcp(connect),
    }
}

#[tokio::test]
#[ignore = "long: a million probes, minutes"]
async fn a_million_probes_leave_nothing_behind() {
    let total = std::env::var(SOAK).map_or(MILLION, |count| count.parse().unwrap());
    let port = answering().await;
    let mut running = tokio::task::JoinSet::new();
    let mut failed = 0;
    let mut before = None;
    for index in 0..total {
        if running.len() >= ABREAST {
            let attempt: standfast_checkers::judge::Attempt = running.join_next().await.unwrap().unwrap();
            failed += usize::from(matches!(attempt, standfast_checkers::judge::Attempt::Failed(_)));
        }
        if index == 10 * ABREAST {
            while running.join_next().await.is_some() {}
            sleep(Duration::from_millis(200)).await;
            before = Some((descriptors(), children(), tasks()));
        }
        running.spawn(async move { attempt(&nth(index, port), 0).await });
    }
    while running.join_next().await.is_some() {}
    settles(before.unwrap()).await;
    println!(
        "{total} probes, {failed} failed; descriptors, children, tasks: {:?} became {:?}",
        before.unwrap(),
        (descriptors(), children(), tasks())
    );
}
