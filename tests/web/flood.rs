//! What an attacker on the network does to the web address, and a local one to the control socket, while adverts are captured.

use super::http::get;
use crate::common::site::{NOTICED, Site, TCP_CHECK};
use crate::common::{Daemon, ELECTION, SOON, plugged};
use standfast_labkit::harness::Test;
use standfast_labkit::{Host, Process, eventually, tests};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ADDRESS: &str = "10.7.0.11:9650";
const ATTACK: Duration = Duration::from_secs(6);
/// Of adverts.
const INTERVAL: f64 = 0.5;
/// A silence of three intervals makes a backup take over (RFC 9568 section 6.1, without the skew time).
const MASTER_DOWN: f64 = 3.0 * INTERVAL;
const GIGABYTE: u64 = 1 << 30;
/// What the daemon may need beyond what it had, bytes.
const GROWTH: f64 = 64e6;

pub fn tests() -> Vec<Test> {
    tests![adverts_and_forwarding_go_on_under_a_flood].map(|test: Test| test.needs(&["tcpdump"])).into()
}

fn adverts_and_forwarding_go_on_under_a_flood() {
    let site = Site::nat("web-flood", 1);
    let _web = site.web_servers();
    let backup_host = plugged(&site.lab, &site.front, "backup", "10.7.0.12/24").0;
    let master = site.start(&format!("{}{}", vrrp(150, ADDRESS), site.service("rr", "", TCP_CHECK)));
    let backup = Daemon::start(&site.lab, &backup_host, &vrrp(100, "127.0.0.1"));
    master.await_log("Entering MASTER STATE", ELECTION);
    eventually(NOTICED, "an answer", || site.ask().is_ok_and(|answer| answer == "web1"));
    let before = memory(&site.client);
    let dump = site.client.start("tcpdump", ["-l", "-n", "-tt", "-i", "eth0", "ip proto 112"]).unwrap();
    eventually(SOON, "tcpdump", || dump.output().contains("listening"));
    let began = Instant::now();
    let attack = Attack::begin(&site.client, master.directory.join("parent.sock"));
    let (mut asked, mut answered) = (0, 0);
    while began.elapsed() < ATTACK {
        asked += 1;
        answered += u32::from(site.ask().is_ok_and(|answer| answer == "web1"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let attempts = attack.end();
    let lasted = began.elapsed().as_secs_f64();
    judge_adverts(&dump, lasted);
    assert!(attempts > 1000, "the flood was {attempts} connections");
    assert_eq!(answered, asked, "forwarding lost requests");
    assert_eq!(backup.log().matches("Entering MASTER STATE").count(), 0, "the backup took over:\n{}", backup.log());
    assert_eq!(master.log().matches("Entering MASTER STATE").count(), 1, "{}", master.log());
    eventually(NOTICED, "health", || get(&site.client, ADDRESS, "/healthz").is_ok_and(|answer| answer.status == 200));
    let grown = memory(&site.client) - before;
    assert!(grown < GROWTH, "the daemon's memory grew by {grown} bytes");
}

fn vrrp(priority: u8, web: &str) -> String {
    format!(
        "global_defs {{\n vrrp_version 3\n web_address {web}\n}}\n\
         vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int {INTERVAL}\n \
         virtual_ipaddress {{\n 10.7.0.200/24\n }}\n}}\n"
    )
}

fn memory(from: &Host) -> f64 {
    let mut bytes = None;
    eventually(NOTICED, "the daemon's memory", || {
        let text = get(from, ADDRESS, "/metrics").map(|answer| answer.body).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        bytes = line.and_then(|value| value.parse().ok());
        bytes.is_some()
    });
    bytes.unwrap()
}

/// None is missing for longer than a backup waits, and nearly all are there.
#[track_caller]
fn judge_adverts(dump: &Process, lasted: f64) {
    let text = dump.output();
    let moments: Vec<f64> = text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let longest = moments.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(longest < MASTER_DOWN, "{longest} s without an advert:\n{text}");
    assert!(moments.len() as f64 > 0.7 * lasted / INTERVAL, "{} adverts in {lasted} s", moments.len());
}

/// Threads that attack until they are told to end.
struct Attack {
    over: Arc<AtomicBool>,
    attempts: Arc<AtomicU32>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Attack {
    fn begin(client: &Host, socket: PathBuf) -> Attack {
        let mut attack = Attack { over: Arc::default(), attempts: Arc::default(), threads: Vec::new() };
        for _ in 0..2 {
            attack.add(client, half_open);
        }
        attack.add(client, ask_without_end);
        attack.add(client, || send_much("POST /metrics HTTP/1.1\r\nHost: x\r\n"));
        attack.add(client, || send_much("GET / HTTP/1.1\r\nHost: x\r\nX: "));
        let path = socket.clone();
        attack.add(client, move || send_much_to(&path));
        attack.add(client, move || open_many(&socket));
        attack
    }

    fn add(&mut self, client: &Host, turn: impl Fn() -> u32 + Send + 'static) {
        let (over, attempts) = (Arc::clone(&self.over), Arc::clone(&self.attempts));
        let body = move || {
            while !over.load(Relaxed) {
                attempts.fetch_add(turn(), Relaxed);
            }
        };
        self.threads.push(client.spawn(body).unwrap());
    }

    /// How many connections were tried.
    fn end(self) -> u32 {
        self.over.store(true, Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        self.attempts.load(Relaxed)
    }
}

fn knock(patience: Duration) -> Option<TcpStream> {
    let address: SocketAddr = ADDRESS.parse().unwrap();
    let stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(500))).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    Some(stream)
}

/// Two hundred connections that say half a word, held for a while.
fn half_open() -> u32 {
    let held: Vec<_> = (0..200).filter_map(|_| knock(Duration::from_millis(5))).collect();
    held.iter().for_each(|mut stream| drop(stream.write_all(b"GE")));
    std::thread::sleep(Duration::from_millis(200));
    200
}

/// Whole requests, as fast as they are answered.
fn ask_without_end() -> u32 {
    if let Some(mut stream) = knock(Duration::from_millis(50)) {
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    1
}

/// A gigabyte behind this beginning, or as much of it as the other end takes.
fn send_much(beginning: &str) -> u32 {
    if let Some(mut stream) = knock(Duration::from_millis(200)) {
        let head = match beginning.starts_with("POST") {
            true => format!("{beginning}Content-Length: {GIGABYTE}\r\n\r\n"),
            false => beginning.to_owned(),
        };
        let _ = stream.write_all(head.as_bytes());
        pour(&mut stream);
    }
    1
}

fn send_much_to(socket: &Path) -> u32 {
    if let Ok(mut stream) = UnixStream::connect(socket) {
        let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
        pour(&mut stream);
    }
    1
}

fn open_many(socket: &Path) -> u32 {
    let held: Vec<_> = (0..50).filter_map(|_| dial(socket)).collect();
    std::thread::sleep(Duration::from_millis(200));
    u32::try_from(held.len()).unwrap()
}

/// The socket's queue is short: who finds it full does not wait.
fn dial(socket: &Path) -> Option<std::os::fd::OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket as open};
    use std::os::fd::AsRawFd as _;
    let descriptor = open(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).ok()?;
    connect(descriptor.as_raw_fd(), &UnixAddr::new(socket).ok()?).ok()?;
    Some(descriptor)
}

fn pour(sink: &mut impl std::io::Write) {
    let piece = vec![b'a'; 1 << 16];
    let mut left = GIGABYTE;
    while left > 0 && sink.write_all(&piece).is_ok() {
        left -= piece.len() as u64;
    }
}
