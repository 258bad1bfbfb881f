//! Interfaces that come, go and flap, and other hosts on them.

use crate::common::{Daemon, ELECTION, SOON, await_address, await_no_address};
use crate::{quick, two_legs};
use standfast_labkit::harness::Test;
use standfast_labkit::{Lab, eventually, tests};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        a_second_holder_of_an_address_is_named,
        a_short_loss_of_carrier_counts_only_without_a_delay,
        an_interface_that_is_deleted_and_made_again_is_used_again,
        an_interface_that_is_renamed_is_gone_until_it_has_its_name_again,
    ]
    .into()
}

/// Ours alone: keepalived does not look.
fn a_second_holder_of_an_address_is_named() {
    let lab = Lab::new("conflict").unwrap();
    let (host, peer) = two_legs(&lab);
    let body = " virtual_ipaddress {\n  10.7.0.100/24\n }\n virtual_ipaddress_excluded {\n  fd77::100/64\n }";
    let daemon = Daemon::start(&lab, &host, &quick("VI_1", 51, body));
    await_address(&host, "10.7.0.100", ELECTION);
    let _other = Daemon::start(&lab, &peer, &quick("VI_1", 52, body));
    let link = peer.run_checked("ip", "-o link show eth0").unwrap();
    let mac = link.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    for address in ["10.7.0.100", "fd77::100"] {
        daemon.await_log(&format!("(VI_1) address {address} on eth0 is also used by {mac}"), ELECTION);
    }
}

fn a_short_loss_of_carrier_counts_only_without_a_delay() {
    let lab = Lab::new("flap").unwrap();
    let (host, peer) = two_legs(&lab);
    let tracking = " track_interface {\n  eth2\n }\n virtual_ipaddress {\n  10.7.0.100/24\n }";
    let delays = "interface_up_down_delays {\n eth2 2 1\n}\n";
    let daemon = Daemon::start(&lab, &host, &(delays.to_owned() + &quick("VI_1", 51, tracking)));
    await_address(&host, "10.7.0.100", ELECTION);
    peer.ip("link set eth2 down").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    peer.ip("link set eth2 up").unwrap();
    std::thread::sleep(Duration::from_millis(2000));
    assert!(host.has_address("eth0", "10.7.0.100"), "{}", daemon.log());
    peer.ip("link set eth2 down").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(host.has_address("eth0", "10.7.0.100"), "two seconds are not over\n{}", daemon.log());
    await_no_address(&host, "10.7.0.100", SOON);
    peer.ip("link set eth2 up").unwrap();
    await_address(&host, "10.7.0.100", ELECTION);
}

fn an_interface_that_is_deleted_and_made_again_is_used_again() {
    let lab = Lab::new("reborn").unwrap();
    let (host, peer) = two_legs(&lab);
    let config = "global_defs {\n dynamic_interfaces\n}\n".to_owned()
        + &quick("VI_1", 51, " virtual_ipaddress {\n  10.7.0.100/24\n }");
    let daemon = Daemon::start(&lab, &host, &config);
    await_address(&host, "10.7.0.100", ELECTION);
    host.ip("link del eth0").unwrap();
    daemon.await_log("(VI_1) Entering FAULT STATE", SOON);
    lab.cable(&host, "eth0", &peer, "eth0").unwrap();
    host.ip("addr add 10.7.0.11/24 dev eth0").unwrap();
    await_address(&host, "10.7.0.100", ELECTION);
    let masters = || daemon.log().matches("(VI_1) Entering MASTER STATE").count();
    eventually(SOON, "a second mastership", || masters() == 2);
}

fn an_interface_that_is_renamed_is_gone_until_it_has_its_name_again() {
    let lab = Lab::new("renamed").unwrap();
    let (host, _) = two_legs(&lab);
    let config = "global_defs {\n dynamic_interfaces\n}\n".to_owned()
        + &quick("VI_1", 51, " track_interface {\n  eth2\n }\n virtual_ipaddress {\n  10.7.0.100/24\n }");
    let _daemon = Daemon::start(&lab, &host, &config);
    await_address(&host, "10.7.0.100", ELECTION);
    host.ip("link set eth2 down").unwrap();
    host.ip("link set eth2 name other").unwrap();
    host.ip("link set other up").unwrap();
    await_no_address(&host, "10.7.0.100", SOON);
    host.ip("link set other down").unwrap();
    host.ip("link set other name eth2").unwrap();
    host.ip("link set eth2 up").unwrap();
    await_address(&host, "10.7.0.100", ELECTION);
}
