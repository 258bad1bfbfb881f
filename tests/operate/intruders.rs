//! Clients of the control socket that behave badly, while adverts go on: a backup that would take over if three were missing counts them.

use crate::common::{Daemon, ELECTION, Pair, SOON, await_address};
use serde_json::Value;
use standfast_labkit::eventually;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Adverts that the backup hears during each attack; at an interval of 200 ms.
const HEARD: u64 = 12;
/// A loaded machine may need this long for them.
const LONG: Duration = Duration::from_secs(30);
/// Most memory that an attack may cost, KiB.
const MEMORY: u64 = 64 << 10;

fn config(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n version 3\n priority {priority}\n advert_int 0.2\n \
         virtual_ipaddress {{\n 10.9.9.51/24\n }}\n}}\n"
    )
}

fn socket(daemon: &Daemon) -> PathBuf {
    daemon.directory.join("parent.sock")
}

fn instance(daemon: &Daemon) -> Value {
    let mut command = daemon.host.command(crate::common::program().0);
    command.args(["status", "--json"]).env("STANDFAST_SOCKET", socket(daemon));
    let output = daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap().output;
    serde_json::from_str::<Value>(&output).unwrap()["instances"][0].clone()
}

fn heard(backup: &Daemon) -> u64 {
    instance(backup)["statistics"]["advert_rcvd"].as_u64().unwrap()
}

fn memory(daemon: &mut Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

pub fn adverts_go_on_whatever_strangers_do_at_the_socket() {
    let pair = Pair::new("intruders");
    let mut master = pair.start(0, &config(200));
    await_address(&master.host, "10.9.9.51", ELECTION);
    let backup = pair.start(1, &config(100));
    backup.await_log("Startup complete", SOON);
    eventually(ELECTION, "adverts", || instance(&backup)["master"]["priority"] == 200);
    let before = memory(&mut master);
    let history = instance(&backup)["history"].clone();
    for attack in [thousands, half_open, endless_line, garbage, deep_json, unread] {
        let start = heard(&backup);
        let held = attack(&socket(&master));
        eventually(LONG, "adverts during an attack", || heard(&backup) >= start + HEARD);
        drop(held);
    }
    assert_eq!(instance(&backup)["history"], history, "the backup never missed the master");
    let after = memory(&mut master);
    assert!(after < before + MEMORY, "{before} KiB grew to {after} KiB");
    let lives = || instance_or_nothing(&master).is_some_and(|found| found["state"] == "MASTER");
    eventually(LONG, "an answer after all", lives);
}

fn instance_or_nothing(daemon: &Daemon) -> Option<Value> {
    let mut stream = UnixStream::connect(socket(daemon)).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    stream.write_all(b"{\"version\":1,\"request\":\"status\"}\n").ok()?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).ok()?;
    let reply: Value = serde_json::from_str(&line).ok()?;
    Some(reply["answer"]["status"]["instances"][0].clone())
}

type Held = Vec<UnixStream>;

/// Connections that come and go, three thousand of them, as fast as they can.
fn thousands(path: &Path) -> Held {
    let come_and_go = |_| {
        let path = path.to_owned();
        std::thread::spawn(move || (0..750).filter(|_| try_connect(&path).is_some()).count())
    };
    let threads: Vec<_> = (0..4).map(come_and_go).collect();
    let made: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(made >= 1000, "only {made} connections");
    Vec::new()
}

/// Without waiting where the queue of the socket is full.
fn try_connect(path: &Path) -> Option<UnixStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    connect(stream.as_raw_fd(), &UnixAddr::new(path).unwrap()).ok()?;
    let stream = UnixStream::from(stream);
    stream.set_nonblocking(false).ok()?;
    Some(stream)
}

/// Hundreds that begin a call and never end it.
fn half_open(path: &Path) -> Held {
    let begun = |_| {
        let mut stream = try_connect(path)?;
        stream.write_all(b"{\"version\":1,").ok()?;
        Some(stream)
    };
    let held: Held = (0..500).filter_map(begun).collect();
    assert!(held.len() >= 100, "only {} are held", held.len());
    held
}

/// A gigabyte without a line end: refused long before its end.
fn endless_line(path: &Path) -> Held {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    let block = vec![b'x'; 1 << 20];
    let sent = (0..1024).take_while(|_| stream.write_all(&block).is_ok()).count();
    assert!(sent < 1024, "a gigabyte was taken");
    Vec::new()
}

/// Bytes that are no call, line after line; each is answered with a refusal.
fn garbage(path: &Path) -> Held {
    for seed in 0..200_u8 {
        let Ok(mut stream) = UnixStream::connect(path) else { continue };
        let line: Vec<u8> = (0..997_u32)
            .map(|at| (at.wrapping_mul(u32::from(seed) + 7) >> 3) as u8)
            .filter(|byte| *byte != b'\n')
            .collect();
        let _ = stream.write_all(&[&line[..], b"\n"].concat());
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut start = [0; 12];
        if stream.read_exact(&mut start).is_ok() {
            assert_eq!(&start, b"{\"version\":1");
        }
    }
    Vec::new()
}

/// Sixty thousand open brackets, and calls with fields of absurd values.
fn deep_json(path: &Path) -> Held {
    let deep = "[".repeat(60_000);
    let absurd = [
        deep.as_str(),
        "{\"version\":1,\"request\":{\"plan\":{\"file\":\"/dev/zero\"}}}",
        "{\"version\":1,\"request\":{\"reload\":{\"file\":\"/proc/self/mem\",\"refuse_destructive\":true}}}",
        "{\"version\":1,\"request\":{\"events\":{\"after\":18446744073709551615,\"wait_ms\":18446744073709551615}}}",
        "{\"version\":99999999999,\"request\":\"status\"}",
        "{\"version\":1,\"request\":{\"failover\":{\"instance\":\"VI_2\",\"lasts_ms\":18446744073709551615}}}",
        "{\"version\":1,\"request\":{\"connections\":{\"skip\":18446744073709551615}}}",
    ];
    for call in absurd {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(format!("{call}\n").as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{call:.60}: {error}"));
    }
    Vec::new()
}

/// Clients that ask again and again and never read.
fn unread(path: &Path) -> Held {
    let ask = |_| {
        let mut stream = try_connect(path)?;
        stream.set_nonblocking(true).ok()?;
        let call = b"{\"version\":1,\"request\":\"status\"}\n".repeat(2000);
        let _ = stream.write(&call);
        Some(stream)
    };
    (0..16).filter_map(ask).collect()
}
