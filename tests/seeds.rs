//! The configurations of `fixtures/seeds`: what `-t` says about each, and several of them at work, unchanged.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

mod common;
#[path = "dataplane/tunnel.rs"]
mod tunnel;

use common::site::NOTICED;
use common::{Daemon, ELECTION, SOON, await_no_address};
use standfast_ipvs::Tunnel;
use standfast_labkit::harness::{self, Test};
use standfast_labkit::servers::{Behaviour, WebServer, http_get};
use standfast_labkit::{Host, Lab, Switch, eventually, tests, wait_until};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let plain = tests![
        every_seed_is_judged_as_keepalived_does,
        the_nopreempt_pair_forwards_and_stays_where_it_is,
        the_master_and_backup_pair_is_sticky_and_fails_over,
        the_weighted_pair_serves_from_both,
        the_http_checked_cluster_serves,
        the_tcp_checked_cluster_falls_back_to_its_sorry_server,
        the_nat_cluster_shares_by_weight,
        the_double_master_pair_shares_and_takes_over,
        every_example_is_clean,
        the_double_master_example_shares_and_takes_over,
        the_haproxy_example_follows_haproxy,
        the_tunnel_example_reaches_other_networks,
    ];
    let haproxy = Test::new("the_haproxy_watch_raises_the_priority", the_haproxy_watch_raises_the_priority);
    harness::main(plain.into_iter().chain([haproxy.needs(&["killall"])]))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds")
}

fn seed(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(name).with_extension("conf")).unwrap()
}

/// A host with all the interface names of the tutorials.
fn tutorial_host(lab: &Lab) -> Host {
    let (host, far) = (lab.host("director").unwrap(), lab.host("far").unwrap());
    for interface in ["eth0", "eth1", "ens33", "enp0s8"] {
        lab.cable(&host, interface, &far, interface).unwrap();
    }
    host
}

fn every_seed_is_judged_as_keepalived_does() {
    let lab = Lab::new("seeds").unwrap();
    let host = tutorial_host(&lab);
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            wrong.extend(judge(&lab, &host, &path));
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count, 11);
}

/// What differs from the `.expected` file.
fn judge(lab: &Lab, host: &Host, path: &Path) -> Vec<String> {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let daemon = Daemon::prepare(lab, host, &std::fs::read_to_string(path).unwrap());
    let finished = daemon.run(&["-t", "-f", daemon.config().to_str().unwrap()]);
    let expected = std::fs::read_to_string(path.with_extension("expected")).unwrap();
    let mut wrong = Vec::new();
    for line in expected.lines() {
        let (place, word) = line.split_once(' ').unwrap();
        let good = match place {
            "exit" => finished.code().to_string() == word,
            number => mentions(&finished.output, number, word),
        };
        if !good {
            wrong.push(format!("{name}: expected `{line}`, got exit {} and\n{}", finished.code(), finished.output));
        }
    }
    wrong
}

/// Is there a message about this line that has this word? Messages are parted by blank lines; each names `file:line:column`.
fn mentions(output: &str, line: &str, word: &str) -> bool {
    let place = format!("keepalived.conf:{line}:");
    output.split("\n\n").any(|message| message.contains(&place) && message.contains(word))
}

/// Directors, web servers and a client on one network, as a tutorial has them.
struct Tutorial {
    interface: &'static str,
    client: Host,
    directors: Vec<Host>,
    servers: Vec<Host>,
    vip: &'static str,
    lab: Lab,
}

impl Tutorial {
    /// `network` is the first three parts of the addresses and the prefix length.
    fn new(
        interface: &'static str,
        network: (&str, u8),
        directors: &[u8],
        servers: &[u8],
        vip: &'static str,
    ) -> Tutorial {
        let lab = Lab::new("tutorial").unwrap();
        let switch = lab.switch("lan").unwrap();
        let (prefix, length) = network;
        let plug =
            |name: &str, number: &u8| plugged(&lab, &switch, name, interface, &format!("{prefix}.{number}/{length}"));
        let client = plug("client", &250);
        let directors = directors.iter().map(|number| plug(&format!("director{number}"), number)).collect();
        let servers: Vec<Host> = servers.iter().map(|number| plug(&format!("web{number}"), number)).collect();
        for server in &servers {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/realserver.sh");
            let mut command = server.command("sh");
            command.args([script, "start", vip]).env("STATE_DIR", lab.scratch().join(server.name()));
            let finished = server.start_command(&mut command).unwrap().finish(SOON).unwrap();
            assert!(finished.status.success(), "{}", finished.output);
        }
        Tutorial { interface, client, directors, servers, vip, lab }
    }

    fn web_servers(&self) -> Vec<WebServer> {
        let text = |host: &Host| Behaviour::Text(host.name().to_owned());
        self.servers.iter().map(|host| WebServer::start(host, "0.0.0.0:80", text(host)).unwrap()).collect()
    }

    fn start(&self, index: usize, config: &str) -> Daemon {
        Daemon::start(&self.lab, &self.directors[index], config)
    }

    #[track_caller]
    fn await_vip(&self, index: usize, limit: Duration) {
        let host = &self.directors[index];
        eventually(limit, &format!("{} on {}", self.vip, host.name()), || host.has_address(self.interface, self.vip));
    }

    fn holds_vip(&self, index: usize) -> bool {
        self.directors[index].has_address(self.interface, self.vip)
    }

    fn tally(&self, requests: u32) -> BTreeMap<String, u32> {
        tally(&self.client, self.vip, requests)
    }
}

fn plugged(lab: &Lab, switch: &Switch, name: &str, interface: &str, address: &str) -> Host {
    let host = lab.host(name).unwrap();
    switch.plug(&host, interface).unwrap();
    host.ip(&format!("addr add {address} dev {interface}")).unwrap();
    host
}

fn tally(client: &Host, vip: &str, requests: u32) -> BTreeMap<String, u32> {
    let target = SocketAddr::new(vip.parse().unwrap(), 80);
    let mut tally = BTreeMap::new();
    for _ in 0..requests {
        let answer = http_get(client, target, "/", Duration::from_secs(2));
        let name = answer.map_or_else(|error| format!("error: {:?}", error.kind()), |(_, body)| body);
        *tally.entry(name).or_default() += 1;
    }
    tally
}

#[track_caller]
fn await_tally(client: &Host, vip: &str, requests: u32, limit: Duration, expected: &[(&str, u32)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let mut seen = BTreeMap::new();
    let found = wait_until(limit, || {
        seen = tally(client, vip, requests);
        seen == expected
    });
    assert!(found.is_some(), "the answers stay {seen:?}, not {expected:?}");
}

fn the_nopreempt_pair_forwards_and_stays_where_it_is() {
    let tutorial = Tutorial::new("enp0s8", ("192.168.56", 24), &[100, 101], &[102, 103], "192.168.56.200");
    let _web = tutorial.web_servers();
    let mut low = tutorial.start(1, &seed("000-lvs-dr-nopreempt-node2"));
    tutorial.await_vip(1, ELECTION);
    let _high = tutorial.start(0, &seed("000-lvs-dr-nopreempt-node1"));
    await_tally(&tutorial.client, tutorial.vip, 4, NOTICED, &[("web102", 2), ("web103", 2)]);
    std::thread::sleep(Duration::from_secs(5));
    assert!(tutorial.holds_vip(1) && !tutorial.holds_vip(0));
    let shown = tutorial.directors[1].run_checked("ip", "-4 -o addr show dev enp0s8").unwrap();
    assert!(shown.contains("192.168.56.200/24") && shown.contains("enp0s8:1"), "{shown}");
    low.process().kill();
    tutorial.await_vip(0, ELECTION);
    await_tally(&tutorial.client, tutorial.vip, 4, NOTICED, &[("web102", 2), ("web103", 2)]);
}

fn the_master_and_backup_pair_is_sticky_and_fails_over() {
    let tutorial = Tutorial::new("ens33", ("192.168.200", 24), &[100, 101], &[102, 103], "192.168.200.88");
    let _web = tutorial.web_servers();
    let mut master = tutorial.start(0, &seed("001-lvs-dr-master"));
    let _backup = tutorial.start(1, &seed("001-lvs-dr-backup"));
    tutorial.await_vip(0, ELECTION);
    eventually(NOTICED, "answers", || tutorial.tally(1).keys().all(|name| name.starts_with("web")));
    assert_eq!(tutorial.tally(6).len(), 1, "persistence_timeout 50 keeps a client on one server");
    assert!(!tutorial.holds_vip(1));
    assert_eq!(master.stop(), 0);
    tutorial.await_vip(1, ELECTION);
    eventually(NOTICED, "answers", || tutorial.tally(1).keys().all(|name| name.starts_with("web")));
    assert_eq!(tutorial.tally(6).len(), 1);
}

fn the_weighted_pair_serves_from_both() {
    let tutorial = Tutorial::new("eth1", ("192.168.80", 24), &[100], &[102, 103], "192.168.80.200");
    let _web = tutorial.web_servers();
    let _daemon = tutorial.start(0, &seed("004-lvs-dr-wrr"));
    tutorial.await_vip(0, ELECTION);
    assert!(tutorial.directors[0].addresses("eth1").unwrap().contains(&"192.168.80.200/32".into()));
    await_tally(&tutorial.client, tutorial.vip, 6, NOTICED, &[("web102", 3), ("web103", 3)]);
}

fn the_http_checked_cluster_serves() {
    let tutorial = Tutorial::new("eth0", ("172.16.100", 16), &[8], &[11, 12], "172.16.100.1");
    let _web = tutorial.web_servers();
    let _daemon = tutorial.start(0, &seed("004-lvs-dr-http-get"));
    tutorial.await_vip(0, ELECTION);
    eventually(NOTICED, "answers", || tutorial.tally(1).keys().all(|name| name.starts_with("web")));
    assert_eq!(tutorial.tally(6).len(), 1, "persistence_timeout 50 keeps a client on one server");
}

fn the_tcp_checked_cluster_falls_back_to_its_sorry_server() {
    let tutorial = Tutorial::new("eth0", ("172.16.100", 16), &[8], &[11, 12], "172.16.100.1");
    let web = tutorial.web_servers();
    let sorry = Behaviour::Text("sorry".into());
    let _sorry = WebServer::start(&tutorial.directors[0], "0.0.0.0:80", sorry).unwrap();
    let daemon = tutorial.start(0, &seed("004-lvs-dr-tcp-check-sorry"));
    tutorial.await_vip(0, ELECTION);
    eventually(NOTICED, "answers", || tutorial.tally(1).keys().all(|name| name.starts_with("web")));
    drop(web);
    daemon.await_log("Adding sorry server [127.0.0.1]:tcp:80 to VS [172.16.100.1]:tcp:80", Duration::from_secs(25));
    await_tally(&tutorial.client, tutorial.vip, 3, NOTICED, &[("sorry", 3)]);
}

fn the_nat_cluster_shares_by_weight() {
    let lab = Lab::new("nat").unwrap();
    let (front, back) = (lab.switch("front").unwrap(), lab.switch("back").unwrap());
    let client = plugged(&lab, &front, "client", "eth0", "192.168.0.10/24");
    let proxy = plugged(&lab, &front, "proxy", "eth0", "192.168.0.11/24");
    back.plug(&proxy, "eth1").unwrap();
    proxy.ip("addr add 192.168.1.11/24 dev eth1").unwrap();
    proxy.sysctl("net.ipv4.ip_forward", "1").unwrap();
    let start = |name: &str, number: u8| {
        let host = plugged(&lab, &back, name, "eth1", &format!("192.168.1.{number}/24"));
        host.ip("route add default via 192.168.1.11").unwrap();
        WebServer::start(&host, "0.0.0.0:80", Behaviour::Text(name.to_owned())).unwrap()
    };
    let _web = [start("web1", 12), start("web2", 13)];
    let _daemon = Daemon::start(&lab, &proxy, &seed("003-lvs-nat-wrr"));
    await_tally(&client, "192.168.0.11", 6, NOTICED, &[("web1", 2), ("web2", 4)]);
}

/// The other node's file, made as the comments in the seed say: `BACKUP for slave routers`, `100 for BACKUP`.
fn other_master(config: &str) -> String {
    let (first, second) = config.split_at(config.find("vrrp_instance VI_2").unwrap());
    let first = first.replace("state MASTER", "state BACKUP").replace("priority 101", "priority 100");
    first + &second.replace("state BACKUP", "state MASTER").replace("priority 100", "priority 101")
}

fn the_double_master_pair_shares_and_takes_over() {
    let tutorial = Tutorial::new("eth0", ("172.16.100", 16), &[6, 7], &[], "172.16.100.1");
    let config = seed("004-double-master");
    let (mut one, _two) = (tutorial.start(0, &config), tutorial.start(1, &other_master(&config)));
    let second_vip = |index: usize| tutorial.directors[index].has_address("eth0", "172.16.100.2");
    tutorial.await_vip(0, ELECTION);
    eventually(ELECTION, "172.16.100.2 on the second node", || second_vip(1));
    std::thread::sleep(Duration::from_secs(2));
    assert!(!tutorial.holds_vip(1) && !second_vip(0));
    assert_eq!(one.stop(), 0);
    tutorial.await_vip(1, ELECTION);
    await_no_address(&tutorial.directors[0], tutorial.vip, SOON);
    assert!(second_vip(1));
}

/// A program that only its name tells from another: `killall` sees those of every test that runs meanwhile,
/// and those of the machine. The name is at most 15 bytes long, as the kernel keeps it.
fn program_named(tutorial: &Tutorial, name: &str) -> PathBuf {
    let program = tutorial.lab.scratch().join(name);
    std::fs::copy("/bin/sleep", &program).unwrap();
    program
}

fn the_haproxy_watch_raises_the_priority() {
    let tutorial = Tutorial::new("eth0", ("172.16.100", 16), &[6], &[], "172.16.100.1");
    let name = format!("haproxy{}", std::process::id());
    let daemon =
        tutorial.start(0, &seed("004-haproxy-ha").replace("killall -0 haproxy", &format!("killall -0 {name}")));
    tutorial.await_vip(0, ELECTION);
    let program = program_named(&tutorial, &name);
    let haproxy = tutorial.directors[0].start(program.to_str().unwrap(), ["100"]).unwrap();
    daemon.await_log("(VI_1) Changing effective priority from 101 to 103", SOON);
    drop(haproxy);
    daemon.await_log("(VI_1) Changing effective priority from 103 to 101", SOON);
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)).unwrap()
}

fn every_example_is_clean() {
    let lab = Lab::new("examples").unwrap();
    let host = tutorial_host(&lab);
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> =
        files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")).collect();
    assert!(files.len() >= 10, "{files:?}");
    for path in files {
        let finished = host.run(env!("CARGO_BIN_EXE_standfast"), ["-t", "-f", path.to_str().unwrap()]).unwrap();
        assert_eq!((finished.code(), finished.output.as_str()), (0, ""), "{}", path.display());
    }
}

fn the_double_master_example_shares_and_takes_over() {
    let pair = Tutorial::new("eth0", ("192.0.2", 24), &[2, 3], &[], "192.0.2.101");
    let one = pair.start(0, &example("double-master1.conf"));
    let mut two = pair.start(1, &example("double-master2.conf"));
    let second_vip = |index: usize| pair.directors[index].has_address("eth0", "192.0.2.102");
    pair.await_vip(0, ELECTION);
    eventually(ELECTION, "192.0.2.102 on the second director", || second_vip(1));
    assert!(!pair.holds_vip(1) && !second_vip(0));
    assert_eq!(two.stop(), 0);
    eventually(ELECTION, "both addresses on the first director", || pair.holds_vip(0) && second_vip(0));
    drop(one);
}

fn the_haproxy_example_follows_haproxy() {
    let pair = Tutorial::new("eth0", ("192.0.2", 24), &[2, 3], &[], "192.0.2.100");
    let program = program_named(&pair, "balancer");
    let run = |index: usize| pair.directors[index].start(program.to_str().unwrap(), ["100"]).unwrap();
    // All hosts of all tests see each other's processes, which haproxy's name alone would mix up.
    let watch = |index: usize| {
        let file = pair.lab.scratch().join(format!("haproxy{index}.pid"));
        let script = format!("/bin/sh -c 'kill -0 $(cat {})'", file.display());
        (file, example(&format!("haproxy-director{}.conf", index + 1)).replace("/usr/bin/killall -0 haproxy", &script))
    };
    let (haproxies, watches) = ([run(0), run(1)], [watch(0), watch(1)]);
    for (haproxy, (file, _)) in haproxies.iter().zip(&watches) {
        std::fs::write(file, haproxy.pid().to_string()).unwrap();
    }
    let daemons = [pair.start(0, &watches[0].1), pair.start(1, &watches[1].1)];
    pair.await_vip(0, ELECTION);
    daemons[1].await_log("Changing effective priority from 100 to 102", SOON);
    let [first, _second] = haproxies;
    drop(first);
    pair.await_vip(1, ELECTION);
}

fn the_tunnel_example_reaches_other_networks() {
    let site = Tutorial::new("eth0", ("192.0.2", 24), &[2], &[], "192.0.2.100");
    let director = &site.directors[0];
    let switch = site.lab.switch("far").unwrap();
    switch.plug(director, "eth1").unwrap();
    // The servers' own way to the client: answers through the director would come from its own address, which it refuses.
    switch.plug(&site.client, "eth1").unwrap();
    let mut servers = Vec::new();
    for (name, address) in [("web1", "198.51.100.11"), ("web2", "203.0.113.12")] {
        let network = address.rsplit_once('.').unwrap().0;
        director.ip(&format!("addr add {network}.1/24 dev eth1")).unwrap();
        let server = plugged(&site.lab, &switch, name, "eth0", &format!("{address}/24"));
        site.client.ip(&format!("addr add {network}.250/24 dev eth1")).unwrap();
        server.ip(&format!("route add default via {network}.250")).unwrap();
        server.ip("addr add 192.0.2.100/32 dev lo").unwrap();
        tunnel::end(&server, Tunnel::default(), false, false);
        servers.push((WebServer::start(&server, "0.0.0.0:80", Behaviour::Text(name.to_owned())).unwrap(), server));
    }
    let _daemon = site.start(0, &example("tun-director1.conf"));
    site.await_vip(0, ELECTION);
    await_tally(&site.client, site.vip, 4, NOTICED, &[("web1", 2), ("web2", 2)]);
}
