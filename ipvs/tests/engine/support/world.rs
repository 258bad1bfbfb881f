//! A director with one service at 10.0.0.100:80 (TCP) and servers 10.1.0.N, and clients 10.0.0.N that knock.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use standfast_ipvs::{
    ConnectionView, DestinationConfig, DestinationView, Director, Forwarding, Frame, HopId, Ingress, Options,
    Persistence, Protocol, SchedulerKind, ServiceConfig, ServiceId, Settings, Verdict,
};

use super::{build, destination, ip_words, service};

pub struct World {
    pub director: Director,
    pub id: ServiceId,
    pub now: Instant,
    pub forwarding: Forwarding,
    pub mark: u32,
}

/// Where the virtual service is.
pub const VIP: &str = "10.0.0.100";

impl World {
    /// Three servers of weight 1 behind `rr`, by NAT.
    pub fn new(settings: Settings, persistent: Option<u64>) -> World {
        let mut config = service(Protocol::Tcp, format!("{VIP}:80").parse().unwrap(), SchedulerKind::Rr);
        config.persistence = persistent.map(|seconds| Persistence {
            timeout: Duration::from_secs(seconds),
            prefix_len: 32,
            engine: None,
        });
        let mut world = World::with_service(settings, config);
        (1..=3).for_each(|server| world.add(server));
        world
    }

    pub fn with_service(settings: Settings, config: ServiceConfig) -> World {
        let mut director = Director::new(Options { settings, connection_limit: 500, ..Options::default() });
        let id = config.id;
        director.add_service(config).unwrap();
        World { director, id, now: Instant::now(), forwarding: Forwarding::Nat, mark: 0 }
    }

    pub fn config(&self, server: u8) -> DestinationConfig {
        let port = match self.id {
            ServiceId::Address(key) => key.port,
            ServiceId::Fwmark(_) => 0,
        };
        destination(SocketAddr::from(([10, 1, 0, server], port)), self.forwarding)
    }

    pub fn add(&mut self, server: u8) {
        self.director.add_destination(&self.id, self.config(server)).unwrap();
    }

    pub fn remove(&mut self, server: u8) {
        let config = self.config(server);
        self.director.remove_destination(&self.id, config.address, config.port).unwrap();
    }

    pub fn set_weight(&mut self, server: u8, weight: u32) {
        let config = DestinationConfig { weight, ..self.config(server) };
        self.director.edit_destination(&self.id, config).unwrap();
    }

    /// Sends a described packet.
    pub fn send(&mut self, text: &str) -> Verdict {
        let mut packet = build::packet(text);
        let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
        self.director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: self.mark }, self.now)
    }

    /// A client's segment to a port of the virtual address.
    pub fn segment(&mut self, client: u8, port: u16, flags: &str, to: (&str, u16)) -> Verdict {
        let ip = ip_words(IpAddr::V4(Ipv4Addr::new(10, 0, 0, client)), to.0.parse().unwrap(), 64);
        self.send(&format!("{ip} TCP {port}>{} [{flags}] seq 1 ack 1 win 1 data 0", to.1))
    }

    /// A segment to the service, and the number of the server that it went to.
    pub fn client(&mut self, client: u8, port: u16, flags: &str) -> Option<u8> {
        server_of(&self.segment(client, port, flags, (VIP, 80)))
    }

    /// A server's segment to a client.
    pub fn server(&mut self, server: u8, client: u8, port: u16, flags: &str) -> Verdict {
        let ip = ip_words(IpAddr::V4(Ipv4Addr::new(10, 1, 0, server)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, client)), 64);
        self.send(&format!("{ip} TCP 80>{port} [{flags}] seq 1 ack 1 win 1 data 0"))
    }

    /// An established connection; gives its server.
    pub fn hold(&mut self, client: u8, port: u16) -> Option<u8> {
        self.client(client, port, "S")?;
        self.client(client, port, "A")
    }

    /// A connection opened and closed by both ends: it is in TIME_WAIT afterwards.
    pub fn visit(&mut self, client: u8, port: u16) -> Option<u8> {
        let server = self.hold(client, port)?;
        self.client(client, port, "FA");
        self.server(server, client, port, "FA");
        Some(server)
    }

    /// Time passes and timers are served.
    pub fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        while self.director.poll_timeout().is_some_and(|due| due <= self.now) {
            self.director.handle_timeout(self.now);
        }
    }

    /// The table, `CLIENT SERVICE SERVER STATE SECONDS`, sorted.
    pub fn table(&self) -> Vec<String> {
        let entry = |view: ConnectionView| {
            format!("{} {} {} {} {}", view.client, view.service, view.server, view.state, view.expires_in.as_secs())
        };
        let mut table: Vec<_> = self.director.connections(self.now).map(entry).collect();
        table.sort();
        table
    }

    pub fn view(&self, server: u8) -> DestinationView {
        let address = self.config(server).address;
        let views = self.director.destinations(&self.id).unwrap();
        views.into_iter().find(|view| view.config.address == address).unwrap()
    }

    /// Active, inactive and persistent connections of a server.
    pub fn load(&self, server: u8) -> (u32, u32, u32) {
        let view = self.view(server);
        (view.active, view.inactive, view.persistent)
    }
}

pub fn server_of(verdict: &Verdict) -> Option<u8> {
    match verdict {
        Verdict::ToServer { address: IpAddr::V4(address) } => Some(address.octets()[3]),
        _ => None,
    }
}
