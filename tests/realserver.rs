//! `examples/realserver.sh`: what `start` does, and that `stop` undoes that and nothing else.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]

use standfast_labkit::{Finished, Host, Lab, harness, tests};
use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(tests![
        start_hides_the_address_and_stop_undoes_it,
        repeating_either_changes_nothing,
        what_was_there_before_stays,
        a_sysctl_changed_meanwhile_stays,
        one_of_two_addresses_is_taken_back,
        bad_input_changes_nothing,
    ])
}

struct Server {
    lab: Lab,
    host: Host,
    neighbour: Host,
}

impl Server {
    fn new() -> Server {
        let lab = Lab::new("realserver").unwrap();
        let (host, neighbour) = (lab.host("web").unwrap(), lab.host("client").unwrap());
        lab.cable(&host, "eth0", &neighbour, "eth0").unwrap();
        host.ip("addr add 10.9.0.11/24 dev eth0").unwrap();
        neighbour.ip("addr add 10.9.0.1/24 dev eth0").unwrap();
        Server { lab, host, neighbour }
    }

    fn script(&self, arguments: &str) -> Finished {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/realserver.sh");
        let mut command = self.host.command("sh");
        command.arg(script).args(arguments.split_whitespace()).env("STATE_DIR", self.lab.scratch().join("state"));
        self.host.start_command(&mut command).unwrap().finish(std::time::Duration::from_secs(10)).unwrap()
    }

    fn sysctl(&self, name: &str) -> String {
        let path = format!("/proc/sys/net/ipv4/conf/all/{name}");
        self.host.enter(|| std::fs::read_to_string(path)).unwrap().unwrap().trim().to_owned()
    }

    fn sysctls(&self) -> (String, String) {
        (self.sysctl("arp_ignore"), self.sysctl("arp_announce"))
    }

    /// Does anybody answer to an ARP question for `address` on the cable? (Connecting asks; the neighbour table tells.)
    fn answers_arp(&self, address: &str) -> bool {
        let target = format!("{address}:9").parse().unwrap();
        let limit = std::time::Duration::from_millis(300);
        let _ = self.neighbour.enter(|| std::net::TcpStream::connect_timeout(&target, limit)).unwrap();
        self.neighbour.run_checked("ip", &format!("neigh show {address}")).unwrap().contains("lladdr")
    }

    fn state_exists(&self) -> bool {
        self.lab.scratch().join("state").exists()
    }
}

fn pair(ignore: &str, announce: &str) -> (String, String) {
    (ignore.into(), announce.into())
}

fn start_hides_the_address_and_stop_undoes_it() {
    let server = Server::new();
    let before = server.sysctls();
    assert_eq!(server.script("status").code(), 3);
    assert_eq!(server.script("start 10.9.0.100").code(), 0);
    assert!(server.host.addresses("lo").unwrap().contains(&"10.9.0.100/32".into()));
    assert_eq!(server.sysctls(), pair("1", "2"));
    assert!(server.answers_arp("10.9.0.11"));
    assert!(!server.answers_arp("10.9.0.100"));
    let status = server.script("status");
    assert_eq!((status.code(), status.output.contains("10.9.0.100 on lo")), (0, true), "{}", status.output);
    assert_eq!(server.script("stop").code(), 0);
    assert!(!server.host.has_address("lo", "10.9.0.100"));
    assert_eq!(server.sysctls(), before);
    assert!(!server.state_exists());
}

fn repeating_either_changes_nothing() {
    let server = Server::new();
    let before = server.sysctls();
    for _ in 0..2 {
        assert_eq!(server.script("start 10.9.0.100").code(), 0);
    }
    assert_eq!(server.host.addresses("lo").unwrap().iter().filter(|a| a.starts_with("10.9.0.100")).count(), 1);
    for _ in 0..2 {
        assert_eq!(server.script("stop 10.9.0.100").code(), 0);
    }
    assert_eq!(server.sysctls(), before);
}

fn what_was_there_before_stays() {
    let server = Server::new();
    server.host.ip("addr add 10.9.0.100/32 dev lo").unwrap();
    server.host.sysctl("net.ipv4.conf.all.arp_ignore", "2").unwrap();
    server.host.sysctl("net.ipv4.conf.all.arp_announce", "1").unwrap();
    assert_eq!(server.script("start 10.9.0.100").code(), 0);
    assert_eq!(server.sysctls(), pair("2", "2"));
    assert_eq!(server.script("stop").code(), 0);
    assert!(server.host.has_address("lo", "10.9.0.100"));
    assert_eq!(server.sysctls(), pair("2", "1"));
}

fn a_sysctl_changed_meanwhile_stays() {
    let server = Server::new();
    server.host.sysctl("net.ipv4.conf.all.arp_ignore", "0").unwrap();
    assert_eq!(server.script("start 10.9.0.100").code(), 0);
    server.host.sysctl("net.ipv4.conf.all.arp_ignore", "8").unwrap();
    let stop = server.script("stop");
    assert!(stop.code() == 0 && stop.output.contains("changed by somebody else"), "{}", stop.output);
    assert_eq!(server.sysctl("arp_ignore"), "8");
}

fn one_of_two_addresses_is_taken_back() {
    let server = Server::new();
    assert_eq!(server.script("start 10.9.0.100 10.9.0.101").code(), 0);
    assert_eq!(server.script("stop 10.9.0.100").code(), 0);
    assert!(!server.host.has_address("lo", "10.9.0.100") && server.host.has_address("lo", "10.9.0.101"));
    assert_eq!(server.sysctls(), pair("1", "2"));
}

fn bad_input_changes_nothing() {
    let server = Server::new();
    let before = server.sysctls();
    for (arguments, code) in
        [("", 2), ("start", 2), ("dance 10.9.0.1", 2), ("start 2001:db8::1", 1), ("start 10.9.0", 1)]
    {
        assert_eq!(server.script(arguments).code(), code, "{arguments}");
    }
    assert_eq!((server.sysctls(), server.state_exists()), (before, false));
}
