//! Virtual routers on ipvlan interfaces of their own, and in a VRF. Not every kernel has these.

use crate::common::{Daemon, ELECTION, SOON};
use crate::{quick, two_legs};
use nix::sys::signal::Signal;
use standfast_labkit::harness::Test;
use standfast_labkit::{Host, Lab, eventually, tests};

pub fn tests() -> Vec<Test> {
    let ipvlan = tests![
        adverts_leave_with_the_address_of_the_ipvlan,
        ipv6_waits_for_the_link_local_address_of_the_ipvlan,
        a_killed_daemon_s_ipvlan_is_used_again,
    ];
    let vrf = tests![unicast_works_inside_a_vrf];
    let ipvlan = ipvlan.into_iter().map(|test: Test| test.needs(&["tcpdump"]).needs_device("ipvlan"));
    let vrf = vrf.into_iter().map(|test: Test| test.needs(&["tcpdump"]).needs_device("vrf"));
    ipvlan.chain(vrf).collect()
}

fn shown(host: &Host, what: &str) -> String {
    host.run("ip", what.split(' ')).map(|finished| finished.output).unwrap_or_default()
}

fn advert(peer: &Host, filter: &str) -> String {
    peer.run("timeout", ["5", "tcpdump", "-n", "-e", "-i", "eth0", "-c", "1", filter]).unwrap().output
}

fn adverts_leave_with_the_address_of_the_ipvlan() {
    let lab = Lab::new("ipvlan").unwrap();
    let (host, peer) = two_legs(&lab);
    let body = " use_ipvlan 10.7.0.9/24\n virtual_ipaddress {\n  10.7.0.100/24\n  10.66.0.100/24 dev eth2\n }";
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    // The virtual address is on the base: an ipvlan cannot be reached from there.
    eventually(ELECTION, "the address", || host.has_address("eth0", "10.7.0.100"));
    assert!(host.has_address("vrrp.51", "10.7.0.9") && host.has_address("eth2", "10.66.0.100"));
    let link = shown(&host, "-d link show vrrp.51");
    assert!(link.contains("vrrp.51@eth0") && link.contains("ipvlan") && link.contains("mode l2 bridge"), "{link}");
    let advert = advert(&peer, "proto 112");
    assert!(advert.contains("10.7.0.9 > 224.0.0.18"), "{advert}");
    daemon.await_log("(VI_1): Success creating ipvlan interface vrrp.51", SOON);
    assert_eq!(daemon.stop(), 0);
    assert!(!shown(&host, "link").contains("vrrp.51"));
}

fn ipv6_waits_for_the_link_local_address_of_the_ipvlan() {
    let lab = Lab::new("ipvlan6").unwrap();
    let (host, peer) = two_legs(&lab);
    let body = " use_ipvlan name inner private\n virtual_ipaddress {\n  fe80::100/64\n  fd77::100/64\n }";
    let _daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    eventually(ELECTION, "the address", || host.has_address("eth0", "fd77::100"));
    assert!(shown(&host, "-d link show inner").contains("mode l2 private"));
    let own = shown(&host, "-6 -o addr show dev inner scope link");
    let own = own.split_whitespace().skip_while(|word| *word != "inet6").nth(1).unwrap_or_default();
    let source = own.split('/').next().unwrap_or_default();
    let advert = advert(&peer, "ip6 proto 112");
    assert!(source.starts_with("fe80:") && advert.contains(&format!("{source} > ff02::12")), "{source} {advert}");
}

fn a_killed_daemon_s_ipvlan_is_used_again() {
    let lab = Lab::new("ipvlankill").unwrap();
    let (host, _peer) = two_legs(&lab);
    let body = " use_ipvlan 10.7.0.9/24\n virtual_ipaddress {\n  10.7.0.100/24\n }";
    let mut daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    eventually(ELECTION, "the address", || host.has_address("eth0", "10.7.0.100"));
    daemon.signal(Signal::SIGKILL);
    daemon.process().wait(SOON).unwrap();
    daemon.launch();
    daemon.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    assert_eq!(daemon.log().matches("Success creating").count(), 0);
    assert_eq!(daemon.stop(), 0);
    assert!(!shown(&host, "link").contains("vrrp.51"));
}

fn unicast_works_inside_a_vrf() {
    let lab = Lab::new("vrf").unwrap();
    let (host, peer) = two_legs(&lab);
    for command in ["link add red type vrf table 100", "link set red up", "link set eth0 master red"] {
        host.ip(command).unwrap();
    }
    let instance = |own: &str, other: &str, vrf: &str, priority: u8| {
        format!(
            "vrrp_instance VI_1 {{\n{vrf}\n virtual_router_id 51\n version 3\n priority {priority}\n advert_int 0.1\n \
             unicast_src_ip {own}\n unicast_peer {{\n  {other}\n }}\n virtual_ipaddress {{\n  10.7.0.100/24 dev eth0\n }}\n}}\n"
        )
    };
    let inside = Daemon::start(&lab, &host, &instance("10.7.0.11", "10.7.0.12", " vrf red", 200));
    eventually(ELECTION, "the address", || host.has_address("eth0", "10.7.0.100"));
    let outside = Daemon::start(&lab, &peer, &instance("10.7.0.12", "10.7.0.11", "", 250));
    inside.await_log("(VI_1) Master received advert from 10.7.0.12 with higher priority 250", ELECTION);
    eventually(ELECTION, "the address goes", || !host.has_address("eth0", "10.7.0.100"));
    drop(outside);
    eventually(ELECTION, "the address returns", || host.has_address("eth0", "10.7.0.100"));
}
