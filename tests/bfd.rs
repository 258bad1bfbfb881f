//! BFD between two of ours, with the distribution's keepalived, and with FRR's bfdd.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]
#![expect(clippy::panic, reason = "a test without the test attribute")]

mod common;

use common::{Daemon, ELECTION, SOON, plugged};
use nix::sys::signal::Signal;
use standfast_labkit::harness::{self, Test};
use standfast_labkit::{Host, Lab, Process, Switch};
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::time::Duration;

const FRR: &str = "/usr/lib/frr/bfdd";
const ZEBRA: &str = "/usr/lib/frr/zebra";

fn main() -> ExitCode {
    let ours = standfast_labkit::tests![
        a_session_votes_and_a_cut_is_noticed_at_once,
        a_session_moves_by_reload,
        sessions_through_a_router,
        hops_are_counted
    ];
    let keepalived = standfast_labkit::tests![with_keepalived, with_keepalived_over_ipv6];
    let frr = standfast_labkit::tests![with_frr, with_frr_through_a_router];
    let frr = frr.map(|test: Test| test.needs(&[FRR, "vtysh"]).needs_root());
    let keepalived = keepalived.map(|test| test.needs(&["keepalived"]));
    harness::main(ours.into_iter().chain(keepalived).chain(frr))
}

struct Wire {
    lab: Lab,
    switch: Switch,
    hosts: [Host; 2],
    ports: [String; 2],
}

impl Wire {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name).unwrap();
        let switch = lab.switch("lan").unwrap();
        let [one, two] = [1, 2].map(|n| plugged(&lab, &switch, &format!("d{n}"), &format!("10.7.0.{n}/24")));
        for (n, (host, _)) in [(1, &one), (2, &two)] {
            host.ip(&format!("addr add fd07::{n}/64 dev eth0 nodad")).unwrap();
        }
        Self { lab, switch, hosts: [one.0, two.0], ports: [one.1, two.1] }
    }

    fn cut(&self) {
        self.switch.host().ip(&format!("link set {} down", self.ports[1])).unwrap();
    }

    fn mend(&self) {
        self.switch.host().ip(&format!("link set {} up", self.ports[1])).unwrap();
    }

    fn daemon(&self, index: usize, config: &str) -> Daemon {
        let mut daemon = Daemon::prepare(&self.lab, &self.hosts[index], config);
        daemon.launch();
        daemon
    }

    fn keepalived(&self, index: usize, config: &str) -> Daemon {
        let mut daemon = Daemon::prepare(&self.lab, &self.hosts[index], config).with_program("keepalived");
        let pid = format!("-b {}", daemon.directory.join("bfd.pid").display());
        daemon = daemon.with_arguments(&pid);
        daemon.launch();
        daemon
    }
}

fn session(own: &str, other: &str, rest: &str) -> String {
    format!(
        "bfd_instance peer {{\n neighbor_ip {other}\n source_ip {own}\n min_rx 50\n min_tx 50\n \
         multiplier 3\n{rest}\n}}\n"
    )
}

/// A master that needs the session to be up.
fn tracking(session: &str) -> String {
    format!(
        "{session}vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 7\n priority 150\n version 3\n advert_int 0.2\n \
         track_bfd {{\n peer\n }}\n virtual_ipaddress {{\n 10.7.0.9/24\n }}\n}}\n"
    )
}

const UP: &str = "(peer) Entering Up state";
const EXPIRED: &str = "Local diagnostic - Control Detection Time Expired";

fn a_session_votes_and_a_cut_is_noticed_at_once() {
    let wire = Wire::new("bfd-vote");
    let one = wire.daemon(0, &tracking(&session("10.7.0.1", "10.7.0.2", "")));
    one.await_log("(VI_1): entering FAULT state (bfd peer down)", SOON);
    let mut two = wire.daemon(1, &session("10.7.0.2", "10.7.0.1", ""));
    one.await_log(UP, ELECTION);
    one.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    wire.cut();
    one.await_log(EXPIRED, SOON);
    one.await_log("(VI_1) Entering FAULT STATE", SOON);
    two.await_log(EXPIRED, SOON);
    wire.mend();
    let again = standfast_labkit::wait_until(ELECTION, || one.log().matches(UP).count() == 2);
    assert!(again.is_some(), "not up again");
    one.await_log("VRRP_Instance(VI_1) Tracked BFD instance peer is UP", SOON);
    assert_eq!(two.stop(), 0);
    one.await_log("Remote diagnostic - Administratively Down", SOON);
}

fn a_session_moves_by_reload() {
    let wire = Wire::new("bfd-reload");
    let mut one = wire.daemon(0, &tracking(&session("10.7.0.1", "10.7.0.2", "")));
    let two = wire.daemon(1, &session("fd07::2", "fd07::1", "hoplimit 255"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!one.log().contains(UP));
    one.configure(&tracking(&session("fd07::1", "fd07::2", "hoplimit 255")));
    one.signal(Signal::SIGHUP);
    one.await_log(UP, ELECTION);
    two.await_log(UP, SOON);
    one.await_log("(VI_1) Entering MASTER STATE", ELECTION);
}

fn with_keepalived() {
    meets_keepalived("bfd-keepalived", ["10.7.0.1", "10.7.0.2"]);
}

fn with_keepalived_over_ipv6() {
    meets_keepalived("bfd-keepalived6", ["fd07::1", "fd07::2"]);
}

fn meets_keepalived(name: &str, [own, other]: [&str; 2]) {
    let wire = Wire::new(name);
    let mut one = wire.daemon(0, &tracking(&session(own, other, "")));
    let two = wire.keepalived(1, &session(other, own, ""));
    one.await_log(UP, ELECTION);
    two.await_log(UP, SOON);
    wire.cut();
    one.await_log(EXPIRED, SOON);
    two.await_log(EXPIRED, SOON);
    wire.mend();
    let again = standfast_labkit::wait_until(ELECTION, || one.log().matches(UP).count() == 2);
    assert!(again.is_some(), "not up again");
    assert_eq!(one.stop(), 0);
    two.await_log("Local diagnostic - Neighbor Signaled Session Down, Remote diagnostic - Administratively Down", SOON);
}

/// Two hosts with a router between them.
struct Routed {
    lab: Lab,
    router: Host,
    hosts: [Host; 2],
}

impl Routed {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name).unwrap();
        let router = lab.host("r").unwrap();
        router.sysctl("net.ipv4.ip_forward", "1").unwrap();
        router.sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
        let hosts = [1, 2].map(|n| behind(&lab, &router, n));
        Self { lab, router, hosts }
    }
}

fn behind(lab: &Lab, router: &Host, n: u8) -> Host {
    let host = lab.host(&format!("d{n}")).unwrap();
    lab.cable(&host, "eth0", router, &format!("eth{n}")).unwrap();
    for (of, interface, last) in [(&host, "eth0".to_owned(), 1), (router, format!("eth{n}"), 254)] {
        of.ip(&format!("link set {interface} up")).unwrap();
        of.ip(&format!("addr add 10.7.{n}.{last}/24 dev {interface}")).unwrap();
        of.ip(&format!("addr add fd07:{n}::{last}/64 dev {interface} nodad")).unwrap();
    }
    host.ip(&format!("route add default via 10.7.{n}.254")).unwrap();
    host.ip(&format!("-6 route add default via fd07:{n}::254")).unwrap();
    host
}

/// A session of each family, 10 ms three times.
fn far(own: u8, other: u8, rest: &str) -> String {
    let of = |name: &str, own: String, other: String, ttl: &str| {
        format!(
            "bfd_instance {name} {{\n neighbor_ip {other}\n source_ip {own}\n min_rx 10\n min_tx 10\n \
             multiplier 3\n multihop on\n {ttl} 255\n{rest}\n}}\n"
        )
    };
    of("four", format!("10.7.{own}.1"), format!("10.7.{other}.1"), "ttl")
        + &of("six", format!("fd07:{own}::1"), format!("fd07:{other}::1"), "hoplimit")
}

const FAR_UP: [&str; 2] = ["(four) Entering Up state", "(six) Entering Up state"];
const FAR_DOWN: [&str; 2] = ["(four) Entering Down state", "(six) Entering Down state"];

fn sessions_through_a_router() {
    let site = Routed::new("bfd-router");
    let daemons = [0, 1].map(|n| Daemon::start(&site.lab, &site.hosts[n], &far([1, 2][n], [2, 1][n], "max_hops 1")));
    daemons.iter().for_each(|daemon| FAR_UP.iter().for_each(|up| daemon.await_log(up, ELECTION)));
    site.router.ip("link set eth2 down").unwrap();
    daemons.iter().for_each(|daemon| FAR_DOWN.iter().for_each(|down| daemon.await_log(down, SOON)));
    let before = daemons[0].log().matches(FAR_UP[0]).count();
    site.router.ip("link set eth2 up").unwrap();
    let again = standfast_labkit::wait_until(ELECTION, || daemons[0].log().matches(FAR_UP[0]).count() > before);
    assert!(again.is_some(), "not up again:\n{}", daemons[0].log());
}

/// Who is further away than `max_hops` says is not heard (GTSM, RFC 5082).
fn hops_are_counted() {
    let site = Routed::new("bfd-hops");
    let near = Daemon::start(&site.lab, &site.hosts[0], &far(1, 2, "max_hops 0"));
    let open = Daemon::start(&site.lab, &site.hosts[1], &far(2, 1, "max_hops 1"));
    std::thread::sleep(Duration::from_millis(2_500));
    for daemon in [&near, &open] {
        assert!(FAR_UP.iter().all(|up| !daemon.log().contains(up)), "{}", daemon.log());
    }
}

/// bfdd with the zebra that tells it of interfaces, asked through vtysh.
struct Frr {
    bfdd: Process,
    _zebra: Process,
    own: tempfile::TempDir,
    host: Host,
}

impl Frr {
    /// `peers` are statements of its `bfd` block.
    fn start(host: &Host, peers: &str) -> Self {
        // It runs as a user of its own.
        let own = tempfile::tempdir().unwrap();
        std::fs::set_permissions(own.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let directory = own.path().to_owned();
        let config = directory.join("bfdd.conf");
        std::fs::write(&config, format!("bfd\n{peers}")).unwrap();
        let command = |program: &str, name: &str, config: &std::path::Path| {
            let mut command = host.command(program);
            command.args(["-P", "0", "--log", "stdout"]);
            command.arg("-f").arg(config).arg("-i").arg(directory.join(name));
            command.arg("--vty_socket").arg(&directory).arg("-z").arg(directory.join("zserv"));
            command
        };
        let empty = directory.join("zebra.conf");
        std::fs::write(&empty, "").unwrap();
        let zebra = host.start_command(&mut command(ZEBRA, "zebra.pid", &empty)).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let mut bfdd = command(FRR, "bfdd.pid", &config);
        bfdd.arg("--bfdctl").arg(directory.join("bfdctl"));
        let bfdd = host.start_command(&mut bfdd).unwrap();
        Self { bfdd, _zebra: zebra, own, host: host.clone() }
    }

    fn shows(&self) -> String {
        let socket = self.own.path().display().to_string();
        let shown = self.host.run("vtysh", ["--vty_socket", &socket, "-d", "bfdd", "-c", "show bfd peers"]);
        shown.map_or_else(|error| error.to_string(), |shown| shown.output)
    }

    fn says(&self, wanted: &str) -> bool {
        self.shows().contains(wanted)
    }
}

fn peer(addresses: &str, interval: u32) -> String {
    format!(
        " peer {addresses}\n  receive-interval {interval}\n  transmit-interval {interval}\n  detect-multiplier 3\n  no shutdown\n"
    )
}

fn with_frr() {
    let wire = Wire::new("bfd-frr");
    let frr = Frr::start(&wire.hosts[1], &peer("10.7.0.1 local-address 10.7.0.2 interface eth0", 50));
    let mut one = wire.daemon(0, &tracking(&session("10.7.0.1", "10.7.0.2", "")));
    let up = standfast_labkit::wait_until(ELECTION, || one.log().contains(UP));
    assert!(up.is_some(), "{}\n{}\n{}", one.log(), frr.shows(), frr.bfdd.output());
    assert!(frr.says("Status: up"));
    assert_eq!(one.stop(), 0);
    let down = standfast_labkit::wait_until(SOON, || frr.says("Remote diagnostics: administratively down"));
    assert!(down.is_some() || frr.says("Status: down"), "FRR did not hear the farewell");
}

fn with_frr_through_a_router() {
    let site = Routed::new("bfd-frr-router");
    let peers =
        peer("10.7.1.1 multihop local-address 10.7.2.1", 10) + &peer("fd07:1::1 multihop local-address fd07:2::1", 10);
    let frr = Frr::start(&site.hosts[1], &peers);
    let one = Daemon::start(&site.lab, &site.hosts[0], &far(1, 2, "max_hops 1"));
    for up in FAR_UP {
        let found = standfast_labkit::wait_until(ELECTION, || one.log().contains(up));
        assert!(found.is_some(), "no {up}: {}\n{}\n{}", one.log(), frr.shows(), frr.bfdd.output());
    }
    site.router.ip("link set eth2 down").unwrap();
    FAR_DOWN.iter().for_each(|down| one.await_log(down, SOON));
    let down = standfast_labkit::wait_until(SOON, || frr.says("Status: down"));
    assert!(down.is_some(), "{}", frr.shows());
}
