//! Client, two directors and a server.

use super::server;
use standfast_labkit::{Host, Lab, Process, Switch, wait_until};
use std::time::Duration;

pub const VIP: &str = "10.7.0.100";
const GATEWAY: &str = "10.8.0.1";
const ELECTION: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Nat,
    Dr,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Nat => "NAT",
            Mode::Dr => "DR",
        }
    }
}

/// What dies of the master.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// All of it.
    Machine,
    /// The daemon alone, by SIGKILL: the host lives on and has the addresses.
    Daemon(Left),
}

/// What a killed daemon leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The rules that keep its host from answering in its place.
    Rules,
    /// Nothing: they are deleted first.
    Nothing,
}

impl Death {
    pub fn name(self) -> &'static str {
        match self {
            Death::Machine => "machine",
            Death::Daemon(Left::Rules) => "daemon",
            Death::Daemon(Left::Nothing) => "bare daemon",
        }
    }
}

pub struct Network {
    pub client: Host,
    directors: [Host; 2],
    daemons: [Process; 2],
    _lab: Lab,
}

impl Network {
    pub fn build(mode: Mode, sync: bool) -> Network {
        let lab = Lab::new("sync").expect("namespaces");
        let (front, back) = (lab.switch("front").unwrap(), lab.switch("back").unwrap());
        let client = plugged(&lab, &front, "client", "10.7.0.1/24");
        let directors = [1, 2].map(|number| {
            let host = plugged(&lab, &front, &format!("director{number}"), &format!("10.7.0.1{number}/24"));
            back.plug(&host, "eth1").unwrap();
            host.ip(&format!("addr add 10.8.0.1{number}/24 dev eth1")).unwrap();
            host.sysctl("net.ipv4.ip_forward", "1").unwrap();
            host
        });
        let server = match mode {
            Mode::Nat => behind_nat(&lab, &back),
            Mode::Dr => beside(&lab, &front),
        };
        server::start(&server);
        let priorities = [150, 100];
        let daemons =
            [0, 1].map(|index| daemon(&lab, &directors[index], &configuration(mode, sync, priorities[index])));
        Network { client, directors, daemons, _lab: lab }
    }

    pub fn await_master(&self) {
        wait_until(ELECTION, || self.directors[0].has_address("eth0", VIP)).expect("a master");
        // The other director is up, and where it is told, it has said so.
        std::thread::sleep(Duration::from_secs(3));
    }

    pub fn kill_master(&mut self, death: Death) {
        if death == Death::Daemon(Left::Nothing) {
            let tables = self.directors[0].run_checked("nft", "list tables netdev").unwrap();
            for will in tables.split_whitespace().filter(|word| word.starts_with("standfast-will")) {
                self.directors[0].run_checked("nft", &format!("delete table netdev {will}")).unwrap();
            }
        }
        self.daemons[0].kill();
        if death == Death::Machine {
            // Its addresses answer no more.
            for interface in ["eth0", "eth1"] {
                self.directors[0].ip(&format!("link set {interface} down")).unwrap();
            }
        }
    }

    pub fn taken_over(&self) -> bool {
        self.directors[1].has_address("eth0", VIP)
    }
}

fn plugged(lab: &Lab, switch: &Switch, name: &str, address: &str) -> Host {
    let host = lab.host(name).unwrap();
    switch.plug(&host, "eth0").unwrap();
    host.ip(&format!("addr add {address} dev eth0")).unwrap();
    host
}

fn behind_nat(lab: &Lab, back: &Switch) -> Host {
    let server = plugged(lab, back, "server", "10.8.0.21/24");
    server.ip(&format!("route add default via {GATEWAY}")).unwrap();
    server
}

fn beside(lab: &Lab, front: &Switch) -> Host {
    let server = plugged(lab, front, "server", "10.7.0.21/24");
    for (name, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
        server.sysctl(&format!("net.ipv4.conf.all.{name}"), value).unwrap();
    }
    server.ip(&format!("addr add {VIP}/32 dev lo")).unwrap();
    server
}

fn configuration(mode: Mode, sync: bool, priority: u8) -> String {
    let instance = |name: &str, interface: &str, number: u8, address: &str| {
        format!(
            "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {number}\n \
             priority {priority}\n advert_int 1\n virtual_ipaddress {{\n {address}/24\n }}\n}}\n"
        )
    };
    let sync = if sync { "lvs_sync_daemon eth1 VI_1" } else { "" };
    let (kind, server) = match mode {
        Mode::Nat => ("NAT", "10.8.0.21"),
        Mode::Dr => ("DR", "10.7.0.21"),
    };
    format!(
        "global_defs {{\n router_id r{priority}\n {sync}\n}}\n\
         vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n}}\n{}{}\
         virtual_server {VIP} 80 {{\n lb_algo rr\n lb_kind {kind}\n protocol TCP\n real_server {server} 80 {{\n }}\n}}\n",
        instance("VI_1", "eth0", 51, VIP),
        instance("VI_2", "eth1", 52, GATEWAY),
    )
}

fn daemon(lab: &Lab, host: &Host, configuration: &str) -> Process {
    let directory = lab.scratch().join(host.name());
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("keepalived.conf"), configuration).unwrap();
    let mut command = host.command(std::env::current_exe().unwrap());
    command.args(["daemon", "-n", "-l", "-D", "-f"]).arg(directory.join("keepalived.conf"));
    for (option, file) in [("-p", "parent.pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid")] {
        command.arg(option).arg(directory.join(file));
    }
    host.start_command(&mut command).unwrap()
}
