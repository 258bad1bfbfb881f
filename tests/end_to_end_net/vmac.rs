//! Virtual routers with a MAC address of their own.

use crate::common::{Daemon, ELECTION, SOON};
use crate::{quick, two_legs};
use nix::sys::signal::Signal;
use standfast_labkit::harness::Test;
use standfast_labkit::{Host, Lab, eventually, tests};

pub fn tests() -> Vec<Test> {
    let tests = tests![
        an_interface_with_the_router_s_mac_carries_address_and_adverts,
        adverts_may_leave_through_the_base,
        ipv6_uses_the_link_local_address_of_the_base,
        addresses_on_other_interfaces_get_one_of_their_own,
        it_follows_its_base_and_is_made_again,
        a_killed_daemon_s_interface_is_used_again,
        a_reload_switches_it_on_and_off,
        switches_are_reminded_of_interfaces_without_adverts,
    ];
    tests.into_iter().map(|test: Test| test.needs(&["tcpdump", "ping"]).needs_device("macvlan")).collect()
}

fn site(name: &str) -> (Lab, Host, Host) {
    let lab = Lab::new(name).unwrap();
    let (host, peer) = two_legs(&lab);
    (lab, host, peer)
}

fn shown(host: &Host, what: &str) -> String {
    host.run("ip", what.split(' ')).map(|finished| finished.output).unwrap_or_default()
}

#[track_caller]
fn await_on(host: &Host, interface: &str, address: &str) {
    let holds = || shown(host, &format!("addr show dev {interface}")).contains(&format!("{address}/"));
    eventually(ELECTION, &format!("{address} on {interface}\n{}", shown(host, "addr")), holds);
}

const VIP: &str = " virtual_ipaddress {\n  10.7.0.100/24\n }";

/// The first frames that a capture on the peer's `eth0` sees.
fn frames(peer: &Host, filter: &str, count: &str) -> String {
    let arguments = ["-n", "-e", "-i", "eth0", "-c", count, filter];
    peer.run("timeout", ["5", "tcpdump"].into_iter().chain(arguments)).unwrap().output
}

fn an_interface_with_the_router_s_mac_carries_address_and_adverts() {
    let (lab, host, peer) = site("vmac");
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &format!(" use_vmac\n{VIP}")));
    await_on(&host, "vrrp.51", "10.7.0.100");
    let link = shown(&host, "-d link show vrrp.51");
    for text in ["link/ether 00:00:5e:00:01:33", "macvlan mode private", "addrgenmode none"] {
        assert!(link.contains(text), "{text} is missing in {link}");
    }
    let adverts = frames(&peer, "proto 112", "2");
    assert!(adverts.contains("00:00:5e:00:01:33 > 01:00:5e:00:00:12") && adverts.contains("10.7.0.11 >"), "{adverts}");
    assert_eq!(peer.run("ping", ["-c", "1", "-W", "2", "10.7.0.100"]).unwrap().code(), 0);
    assert_eq!(peer.run("ping", ["-c", "1", "-W", "2", "10.7.0.11"]).unwrap().code(), 0);
    let neighbours = shown(&peer, "neigh show dev eth0");
    assert!(neighbours.contains("10.7.0.100 lladdr 00:00:5e:00:01:33"), "{neighbours}");
    assert!(!neighbours.contains("10.7.0.11 lladdr 00:00:5e"), "{neighbours}");
    assert_eq!(daemon.stop(), 0);
    assert!(!shown(&host, "link").contains("vrrp.51"));
    let setting = host.run_checked("cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore").unwrap();
    assert_eq!(setting.trim(), "0", "the base is as it was");
}

fn adverts_may_leave_through_the_base() {
    let (lab, host, peer) = site("xmitbase");
    let body = format!(" use_vmac router51 02:11:22:33:44:55\n vmac_xmit_base\n{VIP}");
    let _daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &body));
    await_on(&host, "router51", "10.7.0.100");
    assert!(shown(&host, "link show router51").contains("02:11:22:33:44:55"));
    let adverts = frames(&peer, "proto 112", "2");
    assert!(adverts.contains("01:00:5e:00:00:12") && !adverts.contains("02:11:22:33:44:55"), "{adverts}");
}

fn ipv6_uses_the_link_local_address_of_the_base() {
    let (lab, host, peer) = site("vmac6");
    host.ip("addr add fe80::11/64 dev eth0 nodad").unwrap();
    let body = " use_vmac\n virtual_ipaddress {\n  fe80::100/64\n  fd77::100/64\n }";
    let _daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    await_on(&host, "vrrp.51", "fd77::100");
    assert!(shown(&host, "link show vrrp.51").contains("00:00:5e:00:02:33"));
    let adverts = frames(&peer, "ip6 proto 112", "1");
    assert!(adverts.contains("00:00:5e:00:02:33 > 33:33:00:00:00:12"), "{adverts}");
    peer.ip("addr add fd77::2/64 dev eth0 nodad").unwrap();
    assert_eq!(peer.run("ping", ["-c", "1", "-W", "2", "fd77::100"]).unwrap().code(), 0);
}

fn addresses_on_other_interfaces_get_one_of_their_own() {
    let (lab, host, _peer) = site("vmacaddr");
    let body = " use_vmac\n virtual_ipaddress {\n  10.7.0.100/24\n  10.66.0.100/24 dev eth2 use_vmac\n }";
    let _daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    await_on(&host, "vrrp.51", "10.7.0.100");
    await_on(&host, "vrrp4.51", "10.66.0.100");
    assert!(shown(&host, "link show vrrp4.51").contains("vrrp4.51@eth2"));
}

fn it_follows_its_base_and_is_made_again() {
    let (lab, host, _peer) = site("vmacbase");
    let daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &format!(" use_vmac\n{VIP}")));
    await_on(&host, "vrrp.51", "10.7.0.100");
    host.ip("link set eth0 down").unwrap();
    daemon.await_log("(VI_1) Entering FAULT STATE", SOON);
    host.ip("link set eth0 up").unwrap();
    await_on(&host, "vrrp.51", "10.7.0.100");
    host.ip("link del vrrp.51").unwrap();
    let made = || daemon.log().matches("Success creating VMAC interface vrrp.51").count();
    eventually(SOON, "another interface", || made() == 2);
    await_on(&host, "vrrp.51", "10.7.0.100");
}

fn a_killed_daemon_s_interface_is_used_again() {
    let (lab, host, _peer) = site("vmackill");
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &format!(" use_vmac\n{VIP}")));
    await_on(&host, "vrrp.51", "10.7.0.100");
    daemon.signal(Signal::SIGKILL);
    daemon.process().wait(SOON).unwrap();
    daemon.launch();
    daemon.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    await_on(&host, "vrrp.51", "10.7.0.100");
    assert_eq!(daemon.stop(), 0);
    assert!(!shown(&host, "link").contains("vrrp.51"));
}

fn a_reload_switches_it_on_and_off() {
    let (lab, host, peer) = site("vmacreload");
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, VIP));
    await_on(&host, "eth0", "10.7.0.100");
    let capture = peer.start("tcpdump", ["-n", "-e", "-l", "-i", "eth0", "proto 112"]).unwrap();
    daemon.configure(&quick("VI_1", 51, &format!(" use_vmac\n{VIP}")));
    daemon.signal(Signal::SIGHUP);
    await_on(&host, "vrrp.51", "10.7.0.100");
    assert!(!host.has_address("eth0", "10.7.0.100"));
    daemon.configure(&quick("VI_1", 51, VIP));
    daemon.signal(Signal::SIGHUP);
    await_on(&host, "eth0", "10.7.0.100");
    eventually(SOON, "no interface", || !shown(&host, "link").contains("vrrp.51"));
    let resigned = |line: &str| line.contains("00:00:5e:00:01:33 >") && line.contains("prio 0");
    eventually(SOON, &format!("a resignation\n{}", capture.output()), || capture.output().lines().any(resigned));
}

fn switches_are_reminded_of_interfaces_without_adverts() {
    let (lab, host, peer) = site("garpextra");
    let capture = |interface: &str| peer.start("tcpdump", ["-n", "-e", "-l", "-i", interface, "arp"]).unwrap();
    let (silent, sending) = (capture("eth2"), capture("eth0"));
    let addresses = "10.7.0.100/24\n  10.66.0.100/24 dev eth2\n  10.66.0.101/24 dev eth2 use_vmac";
    let body = format!(
        " garp_master_delay 0\n garp_master_repeat 1\n garp_extra_if 1\n virtual_ipaddress {{\n  {addresses}\n }}"
    );
    let _daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, &body));
    let count = |output: String, address: &str| output.matches(&format!("tell {address},")).count();
    eventually(ELECTION, "reminders of the VMAC", || count(silent.output(), "10.66.0.101") >= 3);
    assert_eq!(count(silent.output(), "10.66.0.100"), 1, "no VMAC, and not `all`");
    assert_eq!(count(sending.output(), "10.7.0.100"), 1, "adverts remind already");
}
