//! Interfaces and trackers that fail, and configurations that change.

use crate::Test;
use crate::director::{Director, ELECTION, Lan, VIP, block_on, instance, second};
use crate::logs;
use crate::wire::{Capture, Frame};
use standfast::netlink::PacketSocket;
use standfast::vrrp::{StartError, VrrpSetup};
use standfast_labkit::{tests, wait_until};
use standfast_vrrp::{State, TrackerConfig, TrackerName, TrackerStatus};
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

pub fn tests() -> Vec<Test> {
    tests![
        an_interface_that_goes_down_is_a_fault,
        the_primary_interface_may_go_untracked,
        a_scripts_weight_moves_the_mastership,
        a_fatal_tracker_is_a_fault,
        a_missing_interface_is_refused,
        a_missing_interface_may_come_later,
        an_interface_without_address_is_a_fault,
        nopreempt_lets_the_lesser_master_be,
        a_reload_of_the_same_changes_nothing,
        a_reload_adds_and_removes_addresses,
        views_tell_state_and_interface,
        a_flood_of_bad_adverts_delays_no_good_one,
    ]
    .into()
}

fn an_interface_that_goes_down_is_a_fault() {
    let lan = Lan::new("down");
    let mut two = Director::start(&lan.two, second(100));
    let mut one = Director::start(&lan.one, second(150));
    one.await_state(State::Master, ELECTION);
    lan.one.ip("link set eth0 down").unwrap();
    one.await_state(State::Fault, Duration::from_secs(1));
    assert!(wait_until(Duration::from_secs(1), || !one.has(VIP)).is_some());
    assert!(logs::contain("Netlink reports eth0 down"));
    two.await_state(State::Master, ELECTION);
    lan.one.ip("link set eth0 up").unwrap();
    one.await_state(State::Master, ELECTION);
    two.await_state(State::Backup, Duration::from_secs(1));
    assert_eq!(one.states(), [State::Backup, State::Master, State::Fault, State::Backup, State::Master]);
}

fn the_primary_interface_may_go_untracked() {
    let lan = Lan::new("untracked");
    let mut router = second(150);
    router.track_primary = false;
    let mut one = Director::start(&lan.one, router);
    one.await_state(State::Master, ELECTION);
    lan.one.ip("link set eth0 down").unwrap();
    assert!(
        wait_until(Duration::from_secs(3), || logs::contain(&format!("({}): send advert error", one.name))).is_some()
    );
    assert_eq!(one.state(), Some(State::Master));
}

fn tracked(priority: u8, weight: i32) -> (standfast::vrrp::RouterSetup, TrackerName) {
    let mut router = second(priority);
    let tracker = TrackerName::Script("check".into());
    router.config.trackers = vec![TrackerConfig { tracker: tracker.clone(), weight, reverse: false }];
    (router, tracker)
}

fn a_scripts_weight_moves_the_mastership() {
    let lan = Lan::new("weight");
    let mut two = Director::start(&lan.two, second(100));
    let (router, script) = tracked(90, 20);
    let mut one = Director::start(&lan.one, router);
    one.handle().set_tracker(script.clone(), TrackerStatus::Up);
    one.await_state(State::Master, ELECTION);
    one.handle().set_tracker(script, TrackerStatus::Down);
    two.await_state(State::Master, ELECTION);
    one.await_state(State::Backup, Duration::from_secs(1));
    assert!(one.logged("Changing effective priority from 110 to 90"), "{}", logs::all());
}

fn a_fatal_tracker_is_a_fault() {
    let lan = Lan::new("fatal");
    let (router, script) = tracked(150, 0);
    let mut one = Director::start(&lan.one, router);
    one.handle().set_tracker(script.clone(), TrackerStatus::Up);
    one.await_state(State::Master, ELECTION);
    one.handle().set_tracker(script.clone(), TrackerStatus::Down);
    one.await_state(State::Fault, Duration::from_secs(1));
    assert!(wait_until(Duration::from_secs(1), || !one.has(VIP)).is_some());
    one.handle().set_tracker(script, TrackerStatus::Up);
    one.await_state(State::Master, ELECTION);
}

fn a_missing_interface_is_refused() {
    let lan = Lan::new("missing");
    let mut router = second(100);
    router.interface = Some("nosuch0".into());
    let setup = VrrpSetup { routers: vec![router], ..VrrpSetup::default() };
    let refused = lan.one.enter(move || {
        let netlink = standfast::netlink::start(standfast::netlink::Options::default()).unwrap();
        standfast::vrrp::start(setup, &netlink, unbounded_channel().0).unwrap_err()
    });
    let error = refused.unwrap();
    assert!(matches!(error, StartError::Interface(_)), "{error}");
    assert!(error.to_string().contains("interface nosuch0 for vrrp_instance"), "{error}");
}

fn a_missing_interface_may_come_later() {
    let lan = Lan::new("later");
    let mut router = second(100);
    router.interface = Some("late0".into());
    router.belongings.addresses[0].interface = "late0".into();
    let setup = VrrpSetup { routers: vec![router], dynamic_interfaces: true, ..VrrpSetup::default() };
    let mut one = Director::start_with(&lan.one, setup, None);
    one.await_state(State::Fault, Duration::from_secs(1));
    for _ in 0..2 {
        lan.switch.plug(&lan.one, "late0").unwrap();
        lan.one.ip("addr add 10.77.1.1/24 dev late0").unwrap();
        one.await_state(State::Master, ELECTION);
        assert!(wait_until(Duration::from_secs(1), || lan.one.has_address("late0", VIP)).is_some(), "{}", logs::all());
        lan.one.ip("link del late0").unwrap();
        one.await_state(State::Fault, Duration::from_secs(1));
    }
}

fn an_interface_without_address_is_a_fault() {
    let lan = Lan::new("noaddress");
    lan.one.ip("addr del 10.77.0.1/24 dev eth0").unwrap();
    let mut one = Director::start(&lan.one, second(150));
    one.await_state(State::Fault, Duration::from_secs(1));
    lan.one.ip("addr add 10.77.0.1/24 dev eth0").unwrap();
    one.await_state(State::Master, ELECTION);
}

fn nopreempt_lets_the_lesser_master_be() {
    let lan = Lan::new("nopreempt");
    let mut two = Director::start(&lan.two, second(100));
    two.await_state(State::Master, ELECTION);
    let mut router = second(150);
    router.config.preempt = false;
    let mut one = Director::start(&lan.one, router);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!((one.states(), two.state()), (vec![State::Backup], Some(State::Master)));
    two.stop();
    one.await_state(State::Master, Duration::from_secs(2));
}

fn a_reload_of_the_same_changes_nothing() {
    let lan = Lan::new("same");
    let capture = Capture::start(&lan.client);
    let mut one = Director::start(&lan.one, instance(150, Duration::from_millis(100)));
    one.await_state(State::Master, ELECTION);
    std::thread::sleep(Duration::from_millis(500));
    capture.forget();
    for _ in 0..20 {
        one.handle().reconfigure(one.setup.clone());
        std::thread::sleep(Duration::from_millis(37));
    }
    assert_eq!(one.states(), [State::Backup, State::Master]);
    assert!(one.has(VIP));
    assert!(capture.pick(|frame| frame.is_garp([10, 77, 0, 200], 1)).is_empty(), "gratuitous ARPs at a reload");
    let adverts = capture.pick(|frame| frame.advert(1).is_some());
    let error = median_error(&adverts);
    assert!(error < Duration::from_millis(40), "{error:?}");
}

fn a_reload_adds_and_removes_addresses() {
    let lan = Lan::new("reload");
    let mut one = Director::start(&lan.one, second(200));
    one.await_state(State::Master, ELECTION);
    let mut setup = one.setup.clone();
    let other = standfast::netlink::AddressSpec::new("eth0", "10.77.0.201".parse().unwrap(), 24);
    setup.routers[0].config.addresses = vec![other.address];
    setup.routers[0].belongings.addresses = vec![other];
    one.handle().reconfigure(setup.clone());
    assert!(
        wait_until(Duration::from_secs(1), || one.has("10.77.0.201") && !one.has(VIP)).is_some(),
        "{}",
        logs::all()
    );
    setup.routers.clear();
    one.handle().reconfigure(setup);
    assert!(wait_until(Duration::from_secs(1), || !one.has("10.77.0.201")).is_some(), "{}", logs::all());
    assert_eq!(one.state(), Some(State::Deleted));
}

fn views_tell_state_and_interface() {
    let lan = Lan::new("views");
    let one = Director::start(&lan.one, second(100));
    let views = block_on(one.handle().views());
    let [router] = &views.routers[..] else { panic!("{views:?}") };
    assert_eq!((&*router.name, router.state), (one.name.as_str(), State::Backup));
    assert_eq!(views.interface_name(router.link), "eth0");
    assert_eq!(router.source, Some("10.77.0.1".parse().unwrap()));
    assert_eq!(router.votes.len(), 1, "the own interface votes");
}

/// Adverts to the right instance with a wrong checksum, as fast as one core can.
fn a_flood_of_bad_adverts_delays_no_good_one() {
    let lan = Lan::new("flood");
    let mut one = Director::start(&lan.one, instance(150, Duration::from_millis(100)));
    one.await_state(State::Master, ELECTION);
    let open = || (PacketSocket::open().unwrap(), nix::net::if_::if_nametoindex("eth0").unwrap());
    let (socket, index) = lan.two.enter(open).unwrap();
    // To its own hardware address, so that the capture does not drown.
    let mut frame = vec![2, 0x77, 0, 0, 0, 1, 2, 0x77, 0, 0, 0, 2, 8, 0];
    let (from, group) = ([10, 77, 0, 2].into(), [224, 0, 0, 18].into());
    frame.extend(standfast_vrrp::packet::ipv4_header(from, group, 112, 255, 1, 12));
    frame.extend([0x31, 51, 200, 1, 0, 10, 0xba, 0xd0, 10, 77, 0, 200]);
    let capture = Capture::start(&lan.client);
    let before = block_on(one.handle().views()).routers[0].statistics.checksum_errors;
    let end = std::time::Instant::now() + Duration::from_secs(2);
    let mut sent = 0_u32;
    while std::time::Instant::now() < end {
        // A full queue is the flood's problem.
        sent += u32::from(socket.send(index, &frame).is_ok());
    }
    let errors = block_on(one.handle().views()).routers[0].statistics.checksum_errors - before;
    let adverts = capture.pick(|frame| frame.advert(1) == Some(150));
    let error = median_error(&adverts);
    eprintln!("{sent} bad adverts sent, {errors} counted, median error of the interval {error:?}");
    assert!(errors > 1000 && adverts.len() >= 15, "{errors} errors, {} adverts", adverts.len());
    assert!(error < Duration::from_millis(50), "{error:?}");
    assert_eq!(one.states(), [State::Backup, State::Master]);
    assert!(logs::count(&format!("({}) ", one.name)) < 100, "a flood of adverts is no flood of log lines");
}

/// How far the pauses between adverts are from 100 ms. The median, because the machine itself may stand still for a moment.
fn median_error(adverts: &[Frame]) -> Duration {
    let errors = adverts.windows(2).map(|pair| (pair[1].at - pair[0].at).abs_diff(Duration::from_millis(100)));
    let mut errors: Vec<Duration> = errors.collect();
    errors.sort_unstable();
    errors[errors.len() / 2]
}
