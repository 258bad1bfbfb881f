//! Virtual addresses as the kernel holds them, and their announcements.

use crate::Test;
use crate::director::{Director, ELECTION, Lan, VIP, address, second};
use crate::logs;
use crate::wire::{Capture, Frame};
use standfast::netlink::{AddressSpec, Pace};
use standfast::vrrp::VrrpSetup;
use standfast_labkit::{tests, wait_until};
use standfast_vrrp::{Family, RouterConfig, State, Version};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        label_scope_prefix_and_device_are_set,
        ipv6_addresses_skip_duplicate_detection,
        garps_come_in_rounds_and_again_after_the_delay,
        a_pause_between_garps_delays_no_advert,
        an_address_removed_by_hand_comes_back,
        a_router_that_leaves_takes_no_address_of_another,
        what_a_killed_daemon_left_is_removed,
        kept_addresses_stay,
    ]
    .into()
}

fn show(director: &Director, interface: &str) -> String {
    director.host.run_checked("ip", &format!("-o addr show dev {interface}")).unwrap()
}

fn label_scope_prefix_and_device_are_set() {
    let lan = Lan::new("label");
    lan.switch.plug(&lan.one, "eth1").unwrap();
    let mut router = second(255);
    router.config.starts_as_master = true;
    let labelled =
        AddressSpec { label: Some("eth0:vip".into()), ..AddressSpec::new("eth0", address("10.77.0.201"), 24) };
    let link_scope = AddressSpec { scope: 253, ..AddressSpec::new("eth1", address("10.88.0.1"), 28) };
    let broadcast = Some(address("10.99.0.255"));
    let excluded = AddressSpec { broadcast, ..AddressSpec::new("eth0", address("10.99.0.1"), 24) };
    router.belongings.addresses.extend([labelled, link_scope, excluded]);
    let mut one = Director::start(&lan.one, router);
    one.await_state(State::Master, Duration::from_secs(1));
    let has = |interface: &str, text: &str| {
        wait_until(Duration::from_secs(1), || show(&one, interface).contains(text)).is_some()
    };
    for (interface, text) in [
        ("eth0", "inet 10.77.0.200/24 scope global secondary eth0"),
        ("eth0", "inet 10.77.0.201/24 scope global secondary eth0:vip"),
        ("eth0", "inet 10.99.0.1/24 brd 10.99.0.255 scope global eth0"),
        ("eth1", "inet 10.88.0.1/28 scope link eth1"),
    ] {
        assert!(has(interface, text), "{text} is missing:\n{}\n{}", show(&one, interface), logs::all());
    }
    one.stop();
    assert!(!show(&one, "eth0").contains("10.77.0.20") && !show(&one, "eth1").contains("10.88"));
    assert!(show(&one, "eth0").contains("10.77.0.1/24"), "the interface's own address is gone");
}

fn ipv6_addresses_skip_duplicate_detection() {
    let lan = Lan::new("v6");
    let vip = address("fd77::200");
    let mut router = second(150);
    router.config.version = Version::V3;
    router.config.family = Family::V6;
    router.config.multicast_group = RouterConfig::default_group(Family::V6);
    router.config.addresses = vec![vip];
    router.belongings.addresses = vec![AddressSpec::new("eth0", vip, 64)];
    let capture = Capture::start(&lan.client);
    let mut one = Director::start(&lan.one, router);
    one.await_state(State::Master, ELECTION);
    assert!(
        wait_until(Duration::from_secs(1), || show(&one, "eth0").contains("fd77::200/64 scope global nodad")).is_some()
    );
    let is_na = |frame: &Frame| frame.bytes.get(20) == Some(&58) && frame.bytes.get(54) == Some(&136);
    let announced = capture.await_some(5, Duration::from_secs(1), is_na);
    assert_eq!(announced[0].bytes[..6], [0x33, 0x33, 0, 0, 0, 1]);
    let is_advert = |frame: &Frame| frame.bytes.get(12..14) == Some(&[0x86, 0xdd]) && frame.bytes.get(20) == Some(&112);
    let advert = &capture.await_some(1, Duration::from_secs(2), is_advert)[0].bytes;
    assert_eq!((advert[14], advert[15] & 0xf0, advert[21]), (0x6c, 0, 255), "traffic class CS6, hop limit 255");
    assert_eq!(advert[22..24], [0xfe, 0x80], "from the link-local address");
    one.stop();
    assert!(!show(&one, "eth0").contains("fd77::200"));
}

fn garps_come_in_rounds_and_again_after_the_delay() {
    let lan = Lan::new("garp");
    let capture = Capture::start(&lan.client);
    let mut router = second(150);
    router.config.announce.delay = Duration::from_secs(2);
    router.config.announce.repeat = 3;
    router.belongings.addresses.push(AddressSpec::new("eth0", address("10.77.0.201"), 24));
    let mut one = Director::start(&lan.one, router);
    one.await_state(State::Master, ELECTION);
    let is_garp = |frame: &Frame| [200, 201].into_iter().any(|last| frame.is_garp([10, 77, 0, last], 1));
    let garps = capture.await_some(12, Duration::from_secs(4), is_garp);
    let order: Vec<u8> = garps.iter().map(|frame| frame.bytes[31]).collect();
    assert_eq!(order, [200, 201, 200, 201, 200, 201, 200, 201, 200, 201, 200, 201]);
    let pause = garps[6].at - garps[0].at;
    assert!(pause.abs_diff(Duration::from_secs(2)) < Duration::from_secs(1), "{pause:?}");
    eprintln!("a block of six GARPs takes {:?}", garps[5].at - garps[0].at);
}

fn a_pause_between_garps_delays_no_advert() {
    let lan = Lan::new("pace");
    let capture = Capture::start(&lan.client);
    let pace = Pace { garp: Duration::from_millis(300), ..Pace::default() };
    let setup = VrrpSetup { routers: vec![second(150)], pace, ..VrrpSetup::default() };
    let mut one = Director::start_with(&lan.one, setup, None);
    one.await_state(State::Master, ELECTION);
    let garps = capture.await_some(5, Duration::from_secs(3), |frame| frame.is_garp([10, 77, 0, 200], 1));
    for pair in garps[..5].windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause >= Duration::from_millis(295) && pause < Duration::from_millis(900), "{pause:?}");
    }
    let adverts = capture.await_some(2, Duration::from_secs(2), |frame| frame.advert(1).is_some());
    let interval = adverts[1].at - adverts[0].at;
    // Two rounds of five announcements would take longer.
    assert!(interval < Duration::from_millis(1800), "{interval:?}");
}

fn an_address_removed_by_hand_comes_back() {
    let lan = Lan::new("byhand");
    let capture = Capture::start(&lan.client);
    let mut one = Director::start(&lan.one, second(150));
    one.await_state(State::Master, ELECTION);
    assert!(wait_until(Duration::from_secs(1), || one.has(VIP)).is_some());
    lan.one.ip(&format!("addr del {VIP}/24 dev eth0")).unwrap();
    let resigned = capture.await_some(1, Duration::from_secs(1), |frame| frame.advert(1) == Some(0))[0].at;
    assert!(wait_until(Duration::from_secs(2), || one.has(VIP)).is_some(), "{}", logs::all());
    assert_eq!(one.states(), [State::Backup, State::Master, State::Backup, State::Master]);
    let back = capture.pick(|frame| frame.at > resigned && frame.advert(1) == Some(150))[0].at - resigned;
    let skew = Duration::from_secs(1) * 106 / 256;
    assert!(back >= skew && back < skew + Duration::from_secs(1), "{back:?}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(one.states().len(), 4, "our own changes were taken for somebody else's");
}

/// Both addresses are in one network of their own, and the kernel removes the second with the first.
fn a_router_that_leaves_takes_no_address_of_another() {
    let lan = Lan::new("siblings");
    let mut setup = VrrpSetup { routers: vec![second(200), second(190)], ..VrrpSetup::default() };
    for (router, last) in setup.routers.iter_mut().zip([1, 2]) {
        router.config.vrid = last;
        router.belongings.addresses = vec![AddressSpec::new("eth0", address(&format!("10.99.0.{last}")), 24)];
        router.config.addresses = vec![router.belongings.addresses[0].address];
    }
    let mut one = Director::start_with(&lan.one, setup, None);
    assert!(wait_until(ELECTION, || one.has("10.99.0.1") && one.has("10.99.0.2")).is_some());
    let mut fewer = one.setup.clone();
    fewer.routers.remove(0);
    one.handle().reconfigure(fewer);
    assert!(wait_until(Duration::from_secs(1), || !one.has("10.99.0.1")).is_some());
    std::thread::sleep(Duration::from_millis(200));
    assert!(one.has("10.99.0.2"), "{}", logs::all());
    let states = one.states();
    let masters = states.iter().filter(|state| **state == State::Master).count();
    assert_eq!((masters, states.last()), (2, Some(&State::Deleted)), "{states:?}");
}

/// The memory of a killed daemon is what it wrote at its start; the addresses stand as it left them.
fn what_a_killed_daemon_left_is_removed() {
    let lan = Lan::new("orphans");
    let memory = lan.lab.scratch().join("addresses");
    let namespace = lan.one.enter(|| std::fs::read_link("/proc/thread-self/ns/net")).unwrap().unwrap();
    std::fs::write(&memory, format!("{}\neth0 10.77.0.222 24\neth0 10.77.0.223 24\n", namespace.display())).unwrap();
    for last in [200, 222, 240] {
        lan.one.ip(&format!("addr add 10.77.0.{last}/24 dev eth0")).unwrap();
    }
    let setup = VrrpSetup { routers: vec![second(100)], ..VrrpSetup::default() };
    let mut one = Director::start_with(&lan.one, setup, Some(memory.clone()));
    let gone = |last: u8| !lan.one.has_address("eth0", &format!("10.77.0.{last}"));
    assert!(wait_until(Duration::from_secs(1), || gone(200) && gone(222)).is_some(), "{}", logs::all());
    assert!(!gone(240), "an address that nobody configured is not ours to remove");
    assert!(
        wait_until(Duration::from_secs(1), || std::fs::read_to_string(&memory).unwrap().contains("10.77.0.200 24"))
            .is_some()
    );
    one.await_state(State::Master, ELECTION);
    one.stop();
    assert!(!memory.exists(), "a clean stop leaves nothing to remember");
}

fn kept_addresses_stay() {
    let lan = Lan::new("kept");
    let capture = Capture::start(&lan.client);
    let setup = VrrpSetup { routers: vec![second(200)], keep_addresses: true, ..VrrpSetup::default() };
    let mut one = Director::start_with(&lan.one, setup, None);
    one.await_state(State::Master, ELECTION);
    assert!(wait_until(Duration::from_secs(1), || one.has(VIP)).is_some());
    one.stop();
    assert!(one.has(VIP));
    assert!(capture.pick(|frame| frame.advert(1) == Some(0)).is_empty());
}
