//! Packet in, verdict, packet out: the fixtures of `packets` here, taken from captures at a director with Linux 6.1's
//! IPVS (client side 10.0.0.0/24 or fd00::/64, server side 10.1.0.0/24 or fd01::/64).
//!
//! A fixture is a row of lines: `service PROTOCOL ADDRESS:PORT SCHEDULER [persistent SECONDS]`, `nat|dr|tun SERVER` for the
//! latest service, `remove` that service, `mtu BYTES`, `set NAME`, `-- title`, `client PACKET` or `server PACKET` (what comes in), then what
//! becomes of it: `to-server`, `to-client`, `reply` with a packet, `pass` or `drop` with the reason, `local`; and
//! `table ENTRY; ENTRY; ...`, the connections that there are.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::{build, describe};
use standfast_ipvs::{
    DestinationConfig, Director, Forwarding, Frame, HopId, IcmpError, Ingress, Options, Persistence, Protocol,
    SchedulerFlags, ServiceConfig, ServiceId, ServiceKey, Settings, Tunnel, Verdict,
};

struct Bench {
    director: Director,
    settings: Settings,
    service: Option<ServiceId>,
    mtu: usize,
    now: Instant,
    outcome: String,
}

impl Bench {
    fn new() -> Bench {
        let options = Options { connection_limit: 1000, ..Options::default() };
        Bench {
            director: Director::new(options),
            settings: Settings::default(),
            service: None,
            mtu: 1500,
            now: Instant::now(),
            outcome: String::new(),
        }
    }

    fn line(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "service" => self.service(rest),
            "nat" => self.destination(Forwarding::Nat, rest),
            "dr" => self.destination(Forwarding::Dr, rest),
            "tun" => self.destination(Forwarding::Tunnel(Tunnel::default()), rest),
            "quiesced" => self.weightless(rest),
            "own" => self.destination(Forwarding::Local, rest),
            "remove" => self.director.remove_service(&self.service.unwrap()).unwrap(),
            "mtu" => self.mtu = rest.parse().unwrap(),
            "set" => self.set(rest),
            "client" => self.receive(HopId(1), rest),
            "server" => self.receive(HopId(2), rest),
            "table" => assert_eq!(self.table(), sorted(rest)),
            "pause" => self.now += Duration::from_secs(rest.parse().unwrap()),
            "--" => (),
            _ => assert_eq!(self.outcome, line),
        }
    }

    fn service(&mut self, text: &str) {
        let words: Vec<_> = text.split_whitespace().collect();
        let protocol = if words[0] == "tcp" { Protocol::Tcp } else { Protocol::Udp };
        let socket: SocketAddr = words[1].parse().unwrap();
        let id = ServiceId::Address(ServiceKey { protocol, address: socket.ip(), port: socket.port() });
        let timeout = words.iter().position(|word| *word == "persistent").map(|at| words[at + 1].parse().unwrap());
        let persistence =
            timeout.map(|timeout| Persistence { timeout: Duration::from_secs(timeout), prefix_len: 32, engine: None });
        let scheduler = words[2].parse().unwrap();
        let flags = SchedulerFlags::default();
        let one_packet = words.contains(&"ops");
        self.director
            .add_service(ServiceConfig { id, scheduler, flags, persistence, one_packet, full_nat: Default::default() })
            .unwrap();
        self.service = Some(id);
    }

    fn destination(&mut self, forwarding: Forwarding, socket: &str) {
        self.add(forwarding, socket, 1);
    }

    fn weightless(&mut self, socket: &str) {
        self.add(Forwarding::Nat, socket, 0);
    }

    fn add(&mut self, forwarding: Forwarding, socket: &str, weight: u32) {
        let socket: SocketAddr = socket.parse().unwrap();
        let config = DestinationConfig {
            address: socket.ip(),
            port: socket.port(),
            forwarding,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        self.director.add_destination(self.service.as_ref().unwrap(), config).unwrap();
    }

    fn set(&mut self, name: &str) {
        match name {
            "sloppy_tcp" => self.settings.sloppy_tcp = true,
            _ => panic!("{name}: no such setting"),
        }
        self.director.set_settings(self.settings);
    }

    fn receive(&mut self, client_hop: HopId, text: &str) {
        let mut packet = build::packet(text);
        assert_eq!(
            without_id(&describe::packet(&packet)),
            without_id(without_fill(text)),
            "the description is consistent"
        );
        let before = packet.clone();
        let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
        let verdict = self.director.receive(&mut frame, Ingress { client_hop, mark: 0 }, self.now);
        assert!(is_sent(&verdict) || packet == before, "{text}: changed without being sent");
        self.outcome = self.carry_out(verdict, &packet);
    }

    /// The driver's part: packets too big for the link are answered.
    fn carry_out(&mut self, verdict: Verdict, packet: &[u8]) -> String {
        let mtu = match &verdict {
            Verdict::Encapsulate { address, tunnel, path_mtu } => {
                usize::from(path_mtu.unwrap_or(self.mtu as u16)) - tunnel.overhead(*address)
            }
            _ => self.mtu,
        };
        if is_sent(&verdict) && packet.len() > mtu {
            let error = IcmpError::TooBig { mtu: mtu as u16 };
            let reply = self.director.error_reply(packet, error, self.now).unwrap();
            return format!("reply {}", without_id(&describe::packet(&reply)));
        }
        match verdict {
            Verdict::Pass(reason) => format!("pass {reason}"),
            Verdict::Drop(reason) => format!("drop {reason}"),
            Verdict::ToServer { address } => format!("to-server {address} {}", describe::packet(packet)),
            Verdict::Instead { address, packet } => format!("instead {address} {}", describe::packet(&packet)),
            Verdict::Encapsulate { address, .. } => format!("tunnel {address} {}", describe::packet(packet)),
            Verdict::ToClient { hop } => {
                assert_eq!(hop, HopId(1), "answers go back where the client's packets come from");
                format!("to-client {}", describe::packet(packet))
            }
            Verdict::Local => "local".to_owned(),
            Verdict::Reply { packet, .. } => format!("reply {}", without_id(&describe::packet(&packet))),
        }
    }

    fn table(&self) -> Vec<String> {
        let entry = |view: standfast_ipvs::ConnectionView| {
            let protocol = if view.protocol == 6 { "TCP" } else { "UDP" };
            let (state, left) = (view.state, view.expires_in.as_secs());
            format!("{protocol} {} {} {} {state} {left}", view.client, view.service, view.server)
        };
        let mut table: Vec<_> = self.director.connections(self.now).map(entry).collect();
        table.sort();
        table
    }
}

fn is_sent(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::ToServer { .. } | Verdict::Encapsulate { .. } | Verdict::ToClient { .. })
}

fn sorted(entries: &str) -> Vec<String> {
    let mut entries: Vec<_> = entries.split("; ").filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    entries.sort();
    entries
}

fn without_fill(text: &str) -> &str {
    text.split(" fill ").next().unwrap()
}

/// An error's identification is the director's own choice.
fn without_id(text: &str) -> String {
    let mut words: Vec<_> = text.split(' ').collect();
    if let Some(at) = words.iter().position(|word| *word == "id") {
        words.drain(at..at + 2);
    }
    words.join(" ")
}

fn run(fixture: &str) {
    let mut bench = Bench::new();
    let mut title = "";
    for (number, line) in (1..).zip(fixture.lines()).filter(|(_, line)| !line.is_empty()) {
        title = if line.starts_with("--") { line } else { title };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.line(line)));
        assert!(outcome.is_ok(), "line {number}, {title}: {line}");
    }
}

macro_rules! fixtures {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            run(include_str!(concat!("packets/", stringify!($name), ".txt")));
        })+
    };
}

fixtures! { nat_basic nat_icmp nat_no_connection nat_mtu no_destination dr tun ipv6 persistence fragments }
