//! Elections with the distribution's keepalived on the other side.

use crate::Test;
use crate::director::{Director, ELECTION, Keepalived, Lan, VIP, instance, second};
use crate::logs;
use crate::wire::Capture;
use standfast::netlink::AddressSpec;
use standfast_labkit::wait_until;
use standfast_vrrp::{Authentication, Family, RouterConfig, State, Version};
use std::time::Duration;

const NEEDS: &[&str] = &["keepalived"];

pub fn tests() -> Vec<Test> {
    let tests = standfast_labkit::tests![
        ours_is_master_and_keepalived_is_backup,
        keepalived_is_master_and_ours_is_backup,
        keepalived_dies_and_ours_takes_over,
        passwords_agree,
        a_wrong_password_makes_two_masters,
        version_three_in_tenths_of_a_second,
        authentication_headers_agree,
        unicast_peers_agree,
        ipv6_agrees,
    ];
    tests.into_iter().map(|test| test.needs(NEEDS)).collect()
}

fn body(priority: u8, rest: &str) -> String {
    format!(" priority {priority}\n {rest}\n virtual_ipaddress {{\n  {VIP}/24\n }}\n")
}

fn ours_is_master_and_keepalived_is_backup() {
    let lan = Lan::new("ours");
    let keepalived = Keepalived::start(&lan, &lan.two, &body(100, ""));
    let mut ours = Director::start(&lan.one, second(150));
    ours.await_state(State::Master, ELECTION);
    keepalived.await_log("Entering BACKUP STATE", ELECTION);
    std::thread::sleep(Duration::from_secs(4));
    assert!(ours.has(VIP) && !lan.two.has_address("eth0", VIP));
    assert!(!keepalived.logged("Entering MASTER STATE"), "{}", keepalived.process.output());
    ours.stop();
    let took = keepalived.await_log("Entering MASTER STATE", Duration::from_secs(3));
    assert!(keepalived.logged("Backup received priority 0 advertisement"));
    eprintln!("keepalived took over {took:?} after our stop returned");
}

fn keepalived_is_master_and_ours_is_backup() {
    let lan = Lan::new("theirs");
    let capture = Capture::start(&lan.client);
    let mut keepalived = Keepalived::start(&lan, &lan.two, &body(150, ""));
    keepalived.await_log("Entering MASTER STATE", ELECTION);
    let mut ours = Director::start(&lan.one, second(100));
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(ours.states(), [State::Backup]);
    assert!(capture.pick(|frame| frame.advert(1).is_some()).is_empty(), "the backup spoke");
    keepalived.process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    ours.await_state(State::Master, Duration::from_secs(3));
    assert!(ours.logged("Backup received priority 0 advertisement"));
    capture.await_some(5, Duration::from_secs(1), |frame| frame.is_garp([10, 77, 0, 200], 1));
    assert!(keepalived.process.wait(Duration::from_secs(10)).is_some());
}

fn keepalived_dies_and_ours_takes_over() {
    let lan = Lan::new("dies");
    let capture = Capture::start(&lan.client);
    let mut keepalived = Keepalived::start(&lan, &lan.two, &body(150, ""));
    keepalived.await_log("Entering MASTER STATE", ELECTION);
    let mut ours = Director::start(&lan.one, second(100));
    capture.await_some(3, ELECTION, |frame| frame.advert(2) == Some(150));
    lan.two.ip("link set eth0 down").unwrap();
    keepalived.process.kill();
    ours.await_state(State::Master, ELECTION);
    let last = capture.pick(|frame| frame.advert(2).is_some()).last().unwrap().at;
    let first = capture.await_some(1, Duration::from_secs(1), |frame| frame.advert(1).is_some())[0].at;
    let moment = Duration::from_secs(3) + Duration::from_secs(1) * 156 / 256;
    eprintln!("takeover {:?} after 3 adverts and the skew", (first - last).saturating_sub(moment));
    assert!(first - last >= moment && first - last < moment + Duration::from_millis(100), "{:?}", first - last);
}

fn passwords_agree() {
    let lan = Lan::new("password");
    let rest = "authentication {\n auth_type PASS\n auth_pass secret\n }";
    let keepalived = Keepalived::start(&lan, &lan.two, &body(150, rest));
    let mut router = second(100);
    router.config.authentication = Authentication::Pass(*b"secret\0\0");
    let mut ours = Director::start(&lan.one, router);
    keepalived.await_log("Entering MASTER STATE", ELECTION);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(ours.states(), [State::Backup]);
}

fn a_wrong_password_makes_two_masters() {
    let lan = Lan::new("mismatch");
    let rest = "authentication {\n auth_type PASS\n auth_pass secret\n }";
    let keepalived = Keepalived::start(&lan, &lan.two, &body(150, rest));
    let mut router = second(100);
    router.config.authentication = Authentication::Pass(*b"other\0\0\0");
    let mut ours = Director::start(&lan.one, router);
    ours.await_state(State::Master, ELECTION);
    keepalived.await_log("received an invalid passwd!", ELECTION);
    assert!(ours.logged("received an invalid passwd!"), "{}", logs::all());
    assert!(ours.has(VIP) && lan.two.has_address("eth0", VIP));
}

fn version_three_in_tenths_of_a_second() {
    let lan = Lan::new("v3");
    let mut router = instance(150, Duration::from_millis(100));
    router.config.version = Version::V3;
    let keepalived = Keepalived::start(&lan, &lan.two, &body(100, "version 3\n advert_int 0.1"));
    keepalived.await_log("Entering MASTER STATE", ELECTION);
    let mut ours = Director::start(&lan.one, router);
    ours.await_state(State::Master, Duration::from_secs(2));
    keepalived.await_log("higher priority 150, ours 100", Duration::from_secs(1));
    assert!(wait_until(Duration::from_secs(1), || !lan.two.has_address("eth0", VIP)).is_some());
    ours.stop();
    assert!(wait_until(Duration::from_secs(1), || lan.two.has_address("eth0", VIP)).is_some());
}

fn authentication_headers_agree() {
    let lan = Lan::new("ah");
    let rest = "authentication {\n auth_type AH\n auth_pass secret\n }";
    let keepalived = Keepalived::start(&lan, &lan.two, &body(100, rest));
    let mut router = second(150);
    router.config.authentication = Authentication::Ah(*b"secret\0\0");
    let mut ours = Director::start(&lan.one, router);
    ours.await_state(State::Master, ELECTION);
    std::thread::sleep(Duration::from_secs(4));
    assert!(!keepalived.logged("Entering MASTER STATE"), "{}", keepalived.process.output());
    ours.stop();
    keepalived.await_log("Entering MASTER STATE", Duration::from_secs(3));
}

fn unicast_peers_agree() {
    let lan = Lan::new("unicast");
    let capture = Capture::start(&lan.client);
    let rest = "unicast_src_ip 10.77.0.2\n unicast_peer {\n 10.77.0.1\n }";
    let keepalived = Keepalived::start(&lan, &lan.two, &body(100, rest));
    let mut router = second(150);
    router.config.unicast_peers = vec![[10, 77, 0, 2].into()];
    router.config.source = Some([10, 77, 0, 1].into());
    let mut ours = Director::start(&lan.one, router);
    ours.await_state(State::Master, ELECTION);
    std::thread::sleep(Duration::from_secs(4));
    assert!(!keepalived.logged("Entering MASTER STATE"), "{}", keepalived.process.output());
    let multicast = capture.pick(|frame| frame.vrrp().is_some() && frame.bytes[30] == 224);
    assert!(multicast.is_empty(), "a unicast instance spoke to everybody");
    ours.stop();
    keepalived.await_log("Entering MASTER STATE", Duration::from_secs(3));
}

fn ipv6_agrees() {
    let lan = Lan::new("ipv6");
    let addresses = " virtual_ipaddress {\n  fe80::200/64\n  fd77::200/64\n }\n";
    let keepalived = Keepalived::start(&lan, &lan.two, &format!(" priority 150\n version 3\n{addresses}"));
    keepalived.await_log("Entering MASTER STATE", ELECTION);
    let mut router = second(100);
    router.config.version = Version::V3;
    router.config.family = Family::V6;
    router.config.multicast_group = RouterConfig::default_group(Family::V6);
    router.belongings.addresses =
        ["fe80::200", "fd77::200"].map(|vip| AddressSpec::new("eth0", vip.parse().unwrap(), 64)).into();
    router.config.addresses = router.belongings.addresses.iter().map(|spec| spec.address).collect();
    let mut ours = Director::start(&lan.one, router);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(ours.states(), [State::Backup]);
    keepalived.process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    ours.await_state(State::Master, Duration::from_secs(3));
    assert!(wait_until(Duration::from_secs(1), || ours.has("fd77::200") && ours.has("fe80::200")).is_some());
}
