//! What the daemon does to the kernel's networking besides addresses: routes, rules, static things, interfaces, firewall.
//!
//! The expectations hold for keepalived, too (`STANDFAST_UNDER_TEST`), except where a test says otherwise.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

#[path = "../common/mod.rs"]
mod common;
mod firewall;
mod ipvlan;
mod life;
mod links;
mod routes;
mod vmac;

use standfast_labkit::harness;
use standfast_labkit::{Host, Lab};
use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [routes::tests(), firewall::tests(), links::tests(), vmac::tests(), ipvlan::tests(), life::tests()];
    harness::main(tests.into_iter().flatten())
}

/// A host with `eth0` (10.7.0.11/24) and `eth2` (10.66.0.1/24), both cabled to a peer.
fn two_legs(lab: &Lab) -> (Host, Host) {
    let (host, peer) = (lab.host("director1").unwrap(), lab.host("peer").unwrap());
    // A link-local address is of use at once, instead of after one to two seconds.
    for each in [&host, &peer] {
        each.sysctl("net.ipv6.conf.default.accept_dad", "0").unwrap();
    }
    for (interface, address) in [("eth0", "10.7.0.11/24"), ("eth2", "10.66.0.1/24")] {
        lab.cable(&host, interface, &peer, interface).unwrap();
        host.ip(&format!("addr add {address} dev {interface}")).unwrap();
    }
    peer.ip("addr add 10.7.0.12/24 dev eth0").unwrap();
    (host, peer)
}

/// An instance that becomes master in a third of a second.
fn quick(name: &str, vrid: u8, body: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n version 3\n priority 200\n advert_int 0.1\n{body}\n}}\n"
    )
}
