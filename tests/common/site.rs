//! A client, a director and two web servers, wired for NAT or for DR. The VIP is a plain address of the director: no election.

use super::{Daemon, plugged};
use standfast_labkit::servers::{Behaviour, WebServer, http_get};
use standfast_labkit::{Host, Lab, Switch, wait_until};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub const VIP: &str = "10.7.0.100";
/// A checker's round of 1 s, a retry, and a slow machine.
pub const NOTICED: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(2);

/// Client 10.7.0.1, director 10.7.0.11 and VIP 10.7.0.100 on `eth0`.
pub struct Site {
    pub client: Host,
    pub director: Host,
    pub servers: Vec<Host>,
    /// Addresses of the servers, as real servers of the director.
    pub addresses: Vec<String>,
    pub front: Switch,
    pub kind: &'static str,
    pub lab: Lab,
}

impl Site {
    /// The servers are 10.8.0.21.. behind the director's `eth1`, 10.8.0.1, which is their default gateway.
    pub fn nat(name: &str, servers: u8) -> Site {
        let mut site = Site::front(name, "NAT");
        let back = site.lab.switch("back").unwrap();
        back.plug(&site.director, "eth1").unwrap();
        site.director.ip("addr add 10.8.0.1/24 dev eth1").unwrap();
        for number in 1..=servers {
            let host = site.lab.host(&format!("web{number}")).unwrap();
            back.plug(&host, "eth0").unwrap();
            host.ip(&format!("addr add 10.8.0.2{number}/24 dev eth0")).unwrap();
            host.ip("route add default via 10.8.0.1").unwrap();
            site.servers.push(host);
            site.addresses.push(format!("10.8.0.2{number}"));
        }
        site
    }

    /// The servers are 10.7.0.21.. on the same switch, with the VIP on `lo`.
    pub fn dr(name: &str, servers: u8) -> Site {
        let mut site = Site::front(name, "DR");
        for number in 1..=servers {
            let address = format!("10.7.0.2{number}");
            let host = plugged(&site.lab, &site.front, &format!("web{number}"), &format!("{address}/24")).0;
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/realserver.sh");
            let mut command = host.command("sh");
            command.args([script, "start", VIP]).env("STATE_DIR", site.lab.scratch().join(host.name()));
            let finished = host.start_command(&mut command).unwrap().finish(PATIENCE).unwrap();
            assert!(finished.status.success(), "{}", finished.output);
            site.servers.push(host);
            site.addresses.push(address);
        }
        site
    }

    fn front(name: &str, kind: &'static str) -> Site {
        let lab = Lab::new(name).unwrap();
        let front = lab.switch("front").unwrap();
        let client = plugged(&lab, &front, "client", "10.7.0.1/24").0;
        let director = plugged(&lab, &front, "director", "10.7.0.11/24").0;
        director.ip(&format!("addr add {VIP}/24 dev eth0")).unwrap();
        director.sysctl("net.ipv4.ip_forward", "1").unwrap();
        Site { client, director, servers: Vec::new(), addresses: Vec::new(), front, kind, lab }
    }

    /// A web server on port 80 of each server, answering with its name.
    pub fn web_servers(&self) -> Vec<WebServer> {
        (0..self.servers.len()).map(|index| self.web_server(index)).collect()
    }

    pub fn web_server(&self, index: usize) -> WebServer {
        let host = &self.servers[index];
        WebServer::start(host, "0.0.0.0:80", Behaviour::Text(host.name().to_owned())).unwrap()
    }

    /// A virtual server VIP:80 of this site's kind; `checker` is the same for each server, `extra` goes beside them.
    pub fn service(&self, scheduler: &str, extra: &str, checker: &str) -> String {
        let servers = self.addresses.iter().map(|address| real_server(address, 1, checker));
        self.service_of(scheduler, extra, &servers.collect::<String>())
    }

    pub fn service_of(&self, scheduler: &str, extra: &str, servers: &str) -> String {
        let kind = self.kind;
        format!(
            "virtual_server {VIP} 80 {{\n delay_loop 1\n lb_algo {scheduler}\n lb_kind {kind}\n protocol TCP\n {extra}\n {servers} }}\n"
        )
    }

    pub fn start(&self, config: &str) -> Daemon {
        Daemon::start(&self.lab, &self.director, config)
    }

    /// One request to the VIP; the body.
    pub fn ask(&self) -> std::io::Result<String> {
        let target = SocketAddr::new(VIP.parse().unwrap(), 80);
        http_get(&self.client, target, "/", PATIENCE).map(|(_, body)| body)
    }

    /// That many requests one after the other, counted by answer; errors by kind.
    pub fn tally(&self, requests: u32) -> BTreeMap<String, u32> {
        let mut tally = BTreeMap::new();
        for _ in 0..requests {
            let answer = self.ask().unwrap_or_else(|error| format!("error: {:?}", error.kind()));
            *tally.entry(answer).or_default() += 1;
        }
        tally
    }

    /// Waits until `requests` requests in a row bring this tally.
    #[track_caller]
    pub fn await_tally(&self, requests: u32, expected: &[(&str, u32)]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let mut seen = BTreeMap::new();
        let found = wait_until(NOTICED, || {
            seen = self.tally(requests);
            seen == expected
        });
        assert!(found.is_some(), "the answers stay {seen:?}, not {expected:?}");
    }
}

/// A `real_server` block on port 80.
pub fn real_server(address: &str, weight: u32, inside: &str) -> String {
    format!("real_server {address} 80 {{\n weight {weight}\n {inside}\n }}\n")
}

pub const TCP_CHECK: &str = "TCP_CHECK {\n connect_timeout 1\n retry 1\n delay_before_retry 1\n }";

/// `HTTP_GET` with this inside its `url` block.
pub fn http_check(url: &str) -> String {
    format!("HTTP_GET {{\n url {{\n {url}\n }}\n connect_timeout 1\n retry 1\n delay_before_retry 1\n }}")
}
