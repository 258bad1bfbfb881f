//! One instance with addresses of both families: two adverts, one state.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use standfast_vrrp::*;
use std::net::IpAddr;
use support::*;

fn dual(priority: u8) -> RouterConfig {
    let mut config = vi("VI_1", 51, priority);
    let mut six = config.clone();
    six.family = Family::V6;
    six.version = Version::V3;
    six.addresses = vec![ip("fe80::77"), ip("fd77::200")];
    six.multicast_group = RouterConfig::default_group(Family::V6);
    config.companion = Some(Box::new(six));
    config
}

fn six(config: &RouterConfig) -> &RouterConfig {
    config.companion.as_ref().unwrap()
}

fn destinations(lab: &mut Lab) -> Vec<(IpAddr, u8)> {
    let sent = |effect: &Effect| match effect {
        Effect::Advertise { destination, payload, .. } => Some((*destination, payload[0] >> 4)),
        _ => None,
    };
    let found = lab.effects.iter().filter_map(sent).collect();
    lab.effects.clear();
    found
}

fn master(config: RouterConfig) -> Lab {
    let mut lab = Lab::new(node_of(vec![config]));
    lab.run_to(3_500).take();
    assert_eq!(lab.state(), State::Master);
    lab.effects.clear();
    lab
}

#[test]
fn both_families_are_advertised_and_told_of_once() {
    let mut lab = Lab::new(node_of(vec![dual(150)]));
    let trace = lab.run_to(3_500).take();
    assert_eq!(trace.iter().filter(|line| line.contains("notify")).count(), 2, "{trace:?}");
    let both = [(ip("224.0.0.18"), 2), (ip("ff02::12"), 3)];
    assert_eq!(destinations(&mut lab), both);
    lab.run_to(4_500);
    assert_eq!(destinations(&mut lab), both);
    lab.node.stop(lab.now);
    lab.collect();
    assert_eq!(destinations(&mut lab), both);
}

#[test]
fn either_family_keeps_a_backup_down() {
    let config = dual(100);
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    for second in 1..10 {
        lab.run_to(second * 1_000);
        if second % 2 == 0 {
            lab.hear(&config, "10.77.0.2", 150);
        } else {
            lab.hear(six(&config), "fe80::2", 150);
        }
    }
    assert_eq!(lab.state(), State::Backup);
    assert_eq!(lab.view().statistics.adverts_received, 9);
    lab.run_to(20_000);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_higher_priority_in_either_family_wins() {
    let config = dual(150);
    let mut lab = master(config.clone());
    lab.hear(six(&config), "fe80::2", 200);
    assert_eq!(lab.state(), State::Backup);
    let mut lab = master(config.clone());
    lab.hear(&config, "10.77.0.2", 200);
    assert_eq!(lab.state(), State::Backup);
}

#[test]
fn equals_are_decided_by_the_first_family_alone() {
    let config = dual(150);
    let mut lab = master(config.clone());
    assert!(lab.hear(six(&config), "fe80::9", 150).take().is_empty());
    assert_eq!(lab.state(), State::Master);
    lab.hear(&config, "10.77.0.9", 150);
    assert_eq!(lab.state(), State::Backup);
}

#[test]
fn a_missing_ipv6_address_leaves_the_other_half_alone() {
    let mut lab = master(dual(150));
    lab.node.set_source(LINK, Family::V6, None, lab.now);
    lab.run_to(4_500);
    assert_eq!((lab.state(), destinations(&mut lab)), (State::Master, vec![(ip("224.0.0.18"), 2)]));
    lab.node.set_source(LINK, Family::V6, Some(ip("fe80::1")), lab.now);
    lab.run_to(5_500);
    assert_eq!(destinations(&mut lab).len(), 2);
}

#[test]
fn own_adverts_of_both_families_are_ignored() {
    let config = dual(150);
    let mut lab = master(config.clone());
    lab.hear(six(&config), "fe80::1", 200).hear(&config, "10.77.0.1", 200);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_reload_adds_and_removes_the_other_half() {
    let config = dual(150);
    let single = RouterConfig { companion: None, ..config.clone() };
    let mut lab = master(single.clone());
    lab.node.reconfigure(node_of(vec![config.clone()]), lab.now);
    lab.run_to(3_600);
    assert_eq!(destinations(&mut lab).len(), 2, "the new half is told of at once");
    lab.node.reconfigure(node_of(vec![single]), lab.now);
    lab.run_to(3_700);
    assert_eq!(destinations(&mut lab), [(ip("224.0.0.18"), 2)]);
    lab.hear(six(&config), "fe80::2", 200);
    assert_eq!(lab.state(), State::Master);
}
