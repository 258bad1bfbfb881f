//! The daemon alone dies: its host lives on, and has the virtual address until the other director announces itself.

use super::common::{Daemon, ELECTION, SOON, plugged};
use super::{BATCH, Site, VIP, echo, ipvsadm};
use nix::sys::signal::Signal;
use standfast_labkit::{Host, Lab, eventually};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const WILL: &str = "standfast-will";
/// It holds by then, and has ended by then after a kill.
const HELD: Duration = Duration::from_secs(20);

fn tables(host: &Host) -> String {
    host.run_checked("nft", "list tables netdev").unwrap()
}

/// Names of the tables that stay behind.
fn wills(host: &Host) -> Vec<String> {
    tables(host).split_whitespace().filter(|word| word.starts_with(WILL)).map(str::to_owned).collect()
}

/// Whether a table still counts.
fn holds(host: &Host, will: &str) -> bool {
    host.run_checked("nft", &format!("list set netdev {will} alive")).unwrap().contains("elements")
}

pub fn a_daemon_killed_on_a_living_host_breaks_nothing() {
    let mut site = Site::new("sync-crash", "");
    site.directors[0].await_log("(VI_1) Entering MASTER STATE", ELECTION);
    let first = site.directors[0].host.clone();
    eventually(HELD, "what stays behind is written", || tables(&first).contains(WILL));
    let (mut talk, mut stream) = (site.connect(b'e'), site.connect(b's'));
    (0..5).for_each(|byte| echo(&mut talk, byte));
    eventually(BATCH, "both connections on the backup", || {
        ipvsadm(&site.directors[1], "-Lnc").0.matches("ESTABLISHED 10.7.0.1:").count() == 2
    });
    site.directors[0].process().kill();
    // Without what stays behind, the first of these is answered with RST.
    echo(&mut talk, 77);
    std::io::Read::read_exact(&mut stream, &mut vec![0; 64 << 10]).unwrap();
    assert!(first.has_address("eth0", VIP), "nobody has taken it from the host");
}

pub fn an_orderly_end_leaves_nothing_and_a_kill_what_ends_by_itself() {
    let mut site = Site::new("sync-will", "");
    let director = &mut site.directors[0];
    let host = director.host.clone();
    director.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    let listed = || {
        let will = wills(&host).pop()?;
        host.run_checked("nft", &format!("list table netdev {will}")).ok()
    };
    eventually(HELD, "what stays behind is written", || {
        listed().is_some_and(|listed| {
            ["10.7.0.100 . tcp . 80", "10.8.0.21 . tcp . 80"].iter().all(|end| listed.contains(end))
        })
    });
    director.signal(Signal::SIGTERM);
    assert!(director.process().wait(ELECTION).is_some());
    assert!(!tables(&host).contains("standfast"), "{}", tables(&host));
    director.launch();
    eventually(HELD, "what stays behind is written again", || !wills(&host).is_empty());
    director.process().kill();
    let left = wills(&host);
    // The next one has its own beside it, and deletes it when it has ended.
    director.launch();
    eventually(HELD, "another one", || wills(&host).iter().any(|will| !left.contains(will)));
    assert!(left.len() == 1 && wills(&host).contains(&left[0]), "{left:?}, {:?}", wills(&host));
    eventually(HELD, "the first one is deleted", || !wills(&host).contains(&left[0]));
    director.process().kill();
    let left = wills(&host).pop().unwrap();
    eventually(HELD, "an end without a process", || !holds(&host, &left));
}

/// Packets with a firewall mark come to the engine by a queue, which a kill ends; the host's own stack must not have them then, either.
pub fn marked_services_are_silent_after_a_kill() {
    let lab = Lab::new("sync-marks").unwrap();
    let switch = lab.switch("lan").unwrap();
    let client = plugged(&lab, &switch, "client", "10.7.0.1/24").0;
    let host = plugged(&lab, &switch, "director", "10.7.0.11/24").0;
    let rules = format!(
        "add table ip m; add chain ip m p {{ type filter hook prerouting priority -150; }}; add rule ip m p ip daddr {VIP} meta mark set 7"
    );
    assert_eq!(host.run("nft", [rules]).unwrap().code(), 0);
    // The server is nowhere: who asks it waits.
    let configuration = format!(
        "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance VI_1 {{\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 150\n \
         advert_int 1\n virtual_ipaddress {{\n {VIP}/24\n }}\n}}\nvirtual_server fwmark 7 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         real_server 10.7.0.99 80 {{\n }}\n}}\n"
    );
    let mut director = Daemon::start(&lab, &host, &configuration);
    director.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    let target = SocketAddr::from(([10, 7, 0, 100], 80));
    let connect =
        |patience| client.enter(|| TcpStream::connect_timeout(&target, patience)).unwrap().unwrap_err().kind();
    let left = || host.run_checked("nft", "list tables inet").unwrap().contains(WILL);
    eventually(HELD, "what stays behind is written", left);
    assert_ne!(connect(Duration::from_millis(300)), ErrorKind::ConnectionRefused);
    assert!(
        client.run_checked("ping", &format!("-c 1 -W 2 {VIP}")).is_ok(),
        "what the engine leaves to the host gets there"
    );
    director.process().kill();
    assert_ne!(connect(Duration::from_secs(1)), ErrorKind::ConnectionRefused);
    eventually(HELD, "the host's own answer", || connect(SOON) == ErrorKind::ConnectionRefused);
    assert!(left());
    director.launch();
    director.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    director.signal(Signal::SIGTERM);
    assert!(director.process().wait(ELECTION).is_some());
    assert!(!left(), "an orderly end leaves nothing, and deletes what had ended");
}
