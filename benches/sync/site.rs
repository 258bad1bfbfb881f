//! Two directors on a front network, with a network of their own for what they tell each other.

use serde_json::Value;
use standfast_labkit::{Host, Lab, Process, Switch, eventually, wait_until};
use std::path::PathBuf;
use std::time::Duration;

pub const VIP: &str = "10.7.0.100";
pub const SERVER: &str = "10.7.0.21";
const ELECTION: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(10);

pub struct Site {
    /// 10.7.0.1 on the front network.
    pub client: Host,
    /// 10.7.0.21 there, with the virtual address on its loopback interface.
    pub server: Host,
    /// 10.7.0.11 and 10.7.0.12 by eth0; 10.9.0.11 and 10.9.0.12 on the directors' network by eth1.
    pub directors: [Director; 2],
    /// 10.9.0.66 on the directors' network.
    pub stranger: Host,
    _lab: Lab,
}

/// A daemon in its host.
pub struct Director {
    pub host: Host,
    directory: PathBuf,
    process: Option<Process>,
}

impl Site {
    /// Starts nothing.
    pub fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("namespaces");
        let (front, between) = (lab.switch("front").unwrap(), lab.switch("between").unwrap());
        let client = plugged(&lab, &front, "client", "10.7.0.1/24");
        let server = plugged(&lab, &front, "server", &format!("{SERVER}/24"));
        for (name, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
            server.sysctl(&format!("net.ipv4.conf.all.{name}"), value).unwrap();
        }
        server.ip(&format!("addr add {VIP}/32 dev lo")).unwrap();
        let directors = [1, 2].map(|number| {
            let host = plugged(&lab, &front, &format!("director{number}"), &format!("10.7.0.1{number}/24"));
            between.plug(&host, "eth1").unwrap();
            host.ip(&format!("addr add 10.9.0.1{number}/24 dev eth1")).unwrap();
            let directory = lab.scratch().join(host.name());
            std::fs::create_dir_all(&directory).unwrap();
            Director { host, directory, process: None }
        });
        let stranger = plugged(&lab, &between, "stranger", "10.9.0.66/24");
        stranger.ip("addr add 192.0.2.66/24 dev eth0").unwrap();
        stranger.ip("route add 224.0.0.0/4 dev eth0").unwrap();
        Site { client, server, directors, stranger, _lab: lab }
    }

    /// Starts both directors; the first becomes master.
    pub fn start(&mut self, globals: &str) {
        for (director, priority) in self.directors.iter_mut().zip([150, 100]) {
            director.start(&configuration(priority, globals));
        }
        self.await_master();
    }

    pub fn await_master(&self) {
        let first = &self.directors[0].host;
        wait_until(ELECTION, || first.has_address("eth0", VIP)).expect("the first director is master");
    }
}

fn plugged(lab: &Lab, switch: &Switch, name: &str, address: &str) -> Host {
    let host = lab.host(name).unwrap();
    switch.plug(&host, "eth0").unwrap();
    host.ip(&format!("addr add {address} dev eth0")).unwrap();
    host
}

/// The virtual address by VRRP, and behind it TCP and UDP services by direct routing.
pub fn configuration(priority: u8, globals: &str) -> String {
    let service = |protocol: &str, port: u16| {
        format!(
            "virtual_server {VIP} {port} {{\n lb_algo rr\n lb_kind DR\n protocol {protocol}\n real_server {SERVER} {port} {{\n }}\n}}\n"
        )
    };
    format!(
        "global_defs {{\n router_id r{priority}\n vrrp_version 3\n{globals}\n}}\n\
         vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 1\n \
         virtual_ipaddress {{\n {VIP}/24\n }}\n}}\n{}{}",
        service("TCP", 80),
        service("UDP", 7),
    )
}

impl Director {
    pub fn start(&mut self, configuration: &str) {
        std::fs::write(self.directory.join("keepalived.conf"), configuration).unwrap();
        self.launch();
    }

    /// Starts it with the configuration that it had.
    pub fn launch(&mut self) {
        let mut command = self.host.command(std::env::current_exe().unwrap());
        command.args(["daemon", "-n", "-l", "-D", "-f"]).arg(self.directory.join("keepalived.conf"));
        for (option, file) in [("-p", "parent.pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid")] {
            command.arg(option).arg(self.directory.join(file));
        }
        self.process = Some(self.host.start_command(&mut command).unwrap());
        self.await_log("Startup complete");
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it was started").pid()
    }

    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    pub fn await_log(&self, text: &str) {
        eventually(ELECTION, text, || self.log().contains(text));
    }

    /// `standfast status --json`.
    pub fn status(&self) -> Value {
        let mut command = self.host.command(std::env::current_exe().unwrap());
        command.args(["daemon", "status", "--json"]).env("STANDFAST_SOCKET", self.directory.join("parent.sock"));
        let finished = self.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
        serde_json::from_str(&finished.output).expect("status as JSON")
    }

    /// Connections in the engine's table.
    pub fn connections(&self) -> u64 {
        self.status()["engine"]["connections"].as_u64().unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}
