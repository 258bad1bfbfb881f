//! Elections with FRR's vrrpd on the other side. It sends from a macvlan with the virtual router's MAC address, which we make for it.

use crate::Test;
use crate::director::{Director, ELECTION, Lan, VIP, instance};
use crate::wire::Capture;
use standfast::netlink::AddressSpec;
use standfast::vrrp::RouterSetup;
use standfast_labkit::{Host, Process, wait_until};
use standfast_vrrp::{Family, RouterConfig, State, Version};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const VRRPD: &str = "/usr/lib/frr/vrrpd";
const ZEBRA: &str = "/usr/lib/frr/zebra";
const SECOND: Duration = Duration::from_secs(1);

pub fn tests() -> Vec<Test> {
    let tests =
        standfast_labkit::tests![version_two_with_frr, version_three_with_frr, version_three_over_ipv6_with_frr,];
    // It changes to a user of its own.
    let needed = |test: Test| test.needs(&[VRRPD, "tcpdump"]).needs_device("macvlan").needs_root();
    tests.into_iter().map(needed).collect()
}

fn version_two_with_frr() {
    let router = |priority| instance(priority, SECOND);
    elect_fail_over_and_return("frr2", 2, VIP, router);
}

fn version_three_with_frr() {
    let router = |priority| {
        let mut router = instance(priority, SECOND);
        router.config.version = Version::V3;
        router
    };
    elect_fail_over_and_return("frr3", 3, VIP, router);
}

fn version_three_over_ipv6_with_frr() {
    let router = |priority| {
        let mut router = instance(priority, SECOND);
        router.config.version = Version::V3;
        router.config.family = Family::V6;
        router.config.multicast_group = RouterConfig::default_group(Family::V6);
        router.belongings.addresses = vec![AddressSpec::new("eth0", "fd77::200".parse().unwrap(), 64)];
        router.config.addresses = vec!["fd77::200".parse().unwrap()];
        router
    };
    elect_fail_over_and_return("frr6", 3, "fd77::200", router);
}

/// FRR has priority 100. Ours is elected, fails, and is elected again; then a lesser one of ours stays backup until FRR dies.
fn elect_fail_over_and_return(name: &str, version: u8, vip: &str, router: impl Fn(u8) -> RouterSetup) {
    let lan = Lan::new(name);
    let capture = Capture::start(&lan.client);
    let mut frr = Frr::start(&lan.two, version, vip);
    let mut ours = Director::start(&lan.one, router(150));
    ours.await_state(State::Master, ELECTION);
    await_speech(&capture, [2, 0x77, 0, 0, 0, 1]);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(speakers(&capture).iter().all(|mac| mac[5] == 1), "FRR speaks, too\n{}", frr.log());
    ours.stop();
    await_speech(&capture, virtual_mac(vip));
    let mut back = Director::start(&lan.one, router(150));
    back.await_state(State::Master, ELECTION);
    assert!(back.logged("Received advert from") || back.states().contains(&State::Backup));
    back.stop();
    await_speech(&capture, virtual_mac(vip));
    let mut lesser = Director::start(&lan.one, router(50));
    std::thread::sleep(SECOND * 4);
    assert_eq!(lesser.states(), [State::Backup], "{}", frr.log());
    frr.vrrpd.kill();
    lesser.await_state(State::Master, ELECTION);
    assert!(wait_until(SECOND, || lesser.has(vip)).is_some());
}

fn virtual_mac(vip: &str) -> [u8; 6] {
    [0, 0, 0x5e, 0, if vip.contains(':') { 2 } else { 1 }, 51]
}

/// The senders of adverts in the last second and a half, by MAC address.
fn speakers(capture: &Capture) -> Vec<[u8; 6]> {
    let is_advert = |bytes: &[u8]| {
        bytes.get(23) == Some(&112) || bytes.get(12..14) == Some(&[0x86, 0xdd]) && bytes.get(20) == Some(&112)
    };
    let frames = capture.pick(|frame| is_advert(&frame.bytes));
    let last = frames.last().map_or(Duration::ZERO, |frame| frame.at);
    let recent = frames.iter().filter(|frame| last.saturating_sub(frame.at) < Duration::from_millis(1400));
    recent.map(|frame| frame.bytes[6..12].try_into().unwrap()).collect()
}

#[track_caller]
fn await_speech(capture: &Capture, mac: [u8; 6]) {
    capture.forget();
    let heard = wait_until(ELECTION, || speakers(capture).contains(&mac));
    assert!(heard.is_some(), "no advert from {mac:02x?}: {:02x?}", speakers(capture));
}

struct Frr {
    vrrpd: Process,
    _zebra: Process,
    _own: tempfile::TempDir,
}

impl Frr {
    fn start(host: &Host, version: u8, vip: &str) -> Self {
        let v6 = vip.contains(':');
        let (family, mac, length) = if v6 { (6, "02", 64) } else { (4, "01", 24) };
        host.ip(&format!("link add vrrp{family}-51 link eth0 type macvlan mode bridge")).unwrap();
        host.ip(&format!("link set vrrp{family}-51 address 00:00:5e:00:{mac}:33")).unwrap();
        host.ip(&format!("addr add {vip}/{length} dev vrrp{family}-51")).unwrap();
        host.ip(&format!("link set vrrp{family}-51 up")).unwrap();
        let own = tempfile::tempdir().unwrap();
        fs::set_permissions(own.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let address = if v6 { "ipv6" } else { "ip" };
        let config = format!(
            "interface eth0\n vrrp 51 version {version}\n vrrp 51 priority 100\n vrrp 51 advertisement-interval 1000\n \
             vrrp 51 {address} {vip}\n"
        );
        let started = |program: &str, name: &str, config: &str| {
            let file = own.path().join(format!("{name}.conf"));
            fs::write(&file, config).unwrap();
            host.start_command(&mut command(host, program, own.path(), name)).unwrap()
        };
        let zebra = started(ZEBRA, "zebra", "");
        std::thread::sleep(Duration::from_millis(500));
        Self { vrrpd: started(VRRPD, "vrrpd", &config), _zebra: zebra, _own: own }
    }

    fn log(&self) -> String {
        self.vrrpd.output()
    }
}

fn command(host: &Host, program: &str, directory: &Path, name: &str) -> Command {
    let mut command = host.command(program);
    command.args(["-P", "0", "--log", "stdout", "-f"]).arg(directory.join(format!("{name}.conf")));
    command.arg("-i").arg(directory.join(format!("{name}.pid")));
    command.arg("--vty_socket").arg(directory).arg("-z").arg(directory.join("zserv"));
    command
}
