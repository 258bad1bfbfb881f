//! `no_accept` and strict mode: addresses that answer to their neighbours and to nobody else.

use crate::common::{Daemon, ELECTION, SOON, await_address};
use crate::{quick, two_legs};
use nix::sys::signal::Signal;
use standfast_labkit::harness::Test;
use standfast_labkit::{Host, Lab, eventually, tests};

pub fn tests() -> Vec<Test> {
    let tests = tests![
        no_accept_answers_neighbours_and_nobody_else,
        strict_routers_accept_only_what_they_own,
        a_link_local_address_is_refused_on_its_own_interface,
        the_rules_go_with_a_killed_daemon,
    ];
    tests.into_iter().map(|test: Test| test.needs(&["nft", "ping", "arping"])).collect()
}

fn answers(from: &Host, address: &str) -> bool {
    from.run("ping", ["-c", "1", "-W", "1", address]).is_ok_and(|finished| finished.code() == 0)
}

fn ruleset(host: &Host) -> String {
    host.run_checked("nft", "list ruleset").unwrap()
}

fn body(more: &str) -> String {
    format!("{more} virtual_ipaddress {{\n  10.7.0.100/24\n }}\n virtual_ipaddress_excluded {{\n  fd77::100/64\n }}")
}

fn no_accept_answers_neighbours_and_nobody_else() {
    let lab = Lab::new("noaccept").unwrap();
    let (host, peer) = two_legs(&lab);
    peer.ip("addr add fd77::2/64 dev eth0 nodad").unwrap();
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &body(" no_accept\n")));
    await_address(&host, "fd77::100", ELECTION);
    assert!(!answers(&peer, "10.7.0.100") && !answers(&peer, "fd77::100"), "{}", ruleset(&host));
    assert!(answers(&peer, "10.7.0.11"), "other addresses answer");
    assert_eq!(
        peer.run("arping", ["-c", "1", "-w", "2", "-I", "eth0", "10.7.0.100"]).unwrap().code(),
        0,
        "neighbours find it"
    );
    let neighbour = peer.run_checked("ip", "-6 neigh show fd77::100").unwrap();
    assert!(neighbour.contains("lladdr"), "{neighbour}");
    daemon.configure(&quick("VI_1", 51, &body(" accept\n")));
    daemon.signal(Signal::SIGHUP);
    eventually(SOON, "an answer after the reload", || answers(&peer, "10.7.0.100") && answers(&peer, "fd77::100"));
    daemon.configure(&quick("VI_1", 51, &body(" no_accept\n")));
    daemon.signal(Signal::SIGHUP);
    eventually(SOON, "silence after another reload", || !answers(&peer, "10.7.0.100"));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(ruleset(&host), "");
}

fn strict_routers_accept_only_what_they_own() {
    let lab = Lab::new("strict").unwrap();
    let (host, peer) = two_legs(&lab);
    let owner = quick("OWNER", 52, " state MASTER\n strict_mode on\n virtual_ipaddress {\n  10.7.0.101/24\n }");
    let owner = owner.replace("priority 200", "priority 255");
    let other = quick("VI_1", 51, " strict_mode on\n virtual_ipaddress {\n  10.7.0.100/24\n }");
    let _daemon = Daemon::start(&lab, &host, &(owner + &other));
    await_address(&host, "10.7.0.100", ELECTION);
    await_address(&host, "10.7.0.101", ELECTION);
    assert!(answers(&peer, "10.7.0.101") && !answers(&peer, "10.7.0.100"), "{}", ruleset(&host));
}

fn a_link_local_address_is_refused_on_its_own_interface() {
    let lab = Lab::new("linklocal").unwrap();
    let (host, peer) = two_legs(&lab);
    let body = " no_accept\n virtual_ipaddress {\n  fe80::100/64\n }";
    let _daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    await_address(&host, "fe80::100", ELECTION);
    host.ip("addr add fe80::100/64 dev eth2 nodad").unwrap();
    eventually(SOON, "an answer on the other interface", || answers(&peer, "fe80::100%eth2"));
    assert!(!answers(&peer, "fe80::100%eth0"), "{}", ruleset(&host));
}

fn the_rules_go_with_a_killed_daemon() {
    let lab = Lab::new("killedrules").unwrap();
    let (host, peer) = two_legs(&lab);
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &body(" no_accept\n")));
    await_address(&host, "10.7.0.100", ELECTION);
    assert!(!answers(&peer, "10.7.0.100"));
    daemon.signal(Signal::SIGKILL);
    daemon.process().wait(SOON).unwrap();
    assert_eq!(ruleset(&host), "");
}
