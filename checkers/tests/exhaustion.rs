//! A process without descriptors to spare says nothing about its servers. One test, alone in its binary, because the limit is
//! the process's.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use standfast_checkers::judge::Attempt;
use standfast_checkers::probe::attempt;
use standfast_checkers::script::Command;
use standfast_checkers::{ConnectSpec, DnsSpec, HttpSpec, HttpUrl, MiscSpec, ProbeSpec, SmtpSpec, UdpSpec};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpListener;

fn http(connect: &ConnectSpec, tls: bool, path: &str) -> ProbeSpec {
    let url = HttpUrl::new(path);
    ProbeSpec::Http(HttpSpec { tls, ..HttpSpec::new(connect.clone(), vec![url]) })
}

#[tokio::test]
async fn without_descriptors_nothing_is_judged() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let connect = ConnectSpec::new(listener.local_addr().unwrap(), Duration::from_millis(200));
    let specs = [
        ProbeSpec::Tcp(connect.clone()),
        http(&connect, false, "/check"),
        http(&connect, true, "/library"),
        http(&connect, true, "/x/../direct"),
        ProbeSpec::Smtp(SmtpSpec { connect: connect.clone(), helo_name: String::new() }),
        ProbeSpec::Dns(DnsSpec { connect: connect.clone(), record_type: DnsSpec::SOA, name: String::new() }),
        ProbeSpec::Udp(UdpSpec { connect: connect.clone(), payload: None, reply: None }),
        ProbeSpec::Ping(connect),
        ProbeSpec::Misc(MiscSpec { command: Command::new("/bin/true"), dynamic: false }),
    ];
    // What lives as long as the process is made now.
    for spec in &specs {
        attempt(spec, 0).await;
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let lowest_free = std::fs::File::open("/dev/null").map(|file| std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, u64::try_from(lowest_free).unwrap(), hard).unwrap();
    let mut attempts = Vec::new();
    for spec in &specs {
        attempts.push((spec, attempt(spec, 0).await));
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    for (spec, attempt) in attempts {
        assert!(matches!(attempt, Attempt::Unjudged(_)), "{spec:?} {attempt:?}");
    }
}
