//! The daemon alone dies: its host lives on, and has the virtual address until the other director announces itself.

use super::common::ELECTION;
use super::{BATCH, Site, VIP, echo, ipvsadm};
use nix::sys::signal::Signal;
use standfast_labkit::{Host, eventually};
use std::time::Duration;

const WILL: &str = "standfast-will";
/// It holds by then, and has ended by then after a kill.
const HELD: Duration = Duration::from_secs(20);

fn tables(host: &Host) -> String {
    host.run_checked("nft", "list tables netdev").unwrap()
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
    eventually(HELD, "what stays behind is written", || tables(&host).contains(WILL));
    let listed = host.run_checked("nft", &format!("list table netdev {WILL}")).unwrap();
    assert!(listed.contains("10.7.0.100 . tcp . 80") && listed.contains("10.8.0.21 . tcp . 80"), "{listed}");
    director.signal(Signal::SIGTERM);
    assert!(director.process().wait(ELECTION).is_some());
    assert!(!tables(&host).contains("standfast"), "{}", tables(&host));
    director.launch();
    eventually(HELD, "what stays behind is written again", || tables(&host).contains(WILL));
    director.process().kill();
    eventually(HELD, "an end without a process", || {
        !host.run_checked("nft", &format!("list set netdev {WILL} alive")).unwrap().contains("elements")
    });
}
