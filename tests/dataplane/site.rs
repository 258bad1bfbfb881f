//! A client, a director and two servers, with services of a few lines in the servers.
//!
//! ```text
//! client 10.0.0.10 ──┐                      ┌── web1 10.1.0.1 (front 10.0.0.11)
//!                    front ── director ── back
//!                    │   10.0.0.2  10.1.0.254└── web2 10.1.0.2 (front 10.0.0.12)
//!                    └── web1, web2 (for direct routing)
//! ```

use standfast::dataplane::{Command, Dataplane, Error, Handle, Options, Snapshot};
use standfast_ipvs::{
    DestinationConfig, Forwarding, Protocol, SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId, ServiceKey,
};
use standfast_labkit::{Host, Lab, Switch, eventually};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

pub const VIP: &str = "10.0.0.100";
pub const VIP6: &str = "fd00::100";
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Site {
    pub client: Host,
    pub director: Host,
    pub servers: [Host; 2],
    pub front: Switch,
    pub plane: Handle,
    _lab: Lab,
}

impl Site {
    /// The site, with the data plane running and the virtual addresses on the director.
    pub fn new() -> Site {
        Site::prepared(add_addresses)
    }

    /// The site, with something done to the director before the data plane is started.
    pub fn prepared(prepare: impl FnOnce(&Host)) -> Site {
        Site::started(prepare, Options::default())
    }

    /// As [`Site::prepared`], with options of the data plane.
    pub fn started(prepare: impl FnOnce(&Host), options: Options) -> Site {
        let lab = Lab::new("plane").unwrap();
        let [client, director, web1, web2] = ["client", "director", "web1", "web2"].map(|n| lab.host(n).unwrap());
        let (front, back) = (lab.switch("front").unwrap(), lab.switch("back").unwrap());
        for (host, octet) in [(&client, 10), (&director, 2), (&web1, 11), (&web2, 12)] {
            front.plug(host, "eth0").unwrap();
            host.ip(&format!("addr add 10.0.0.{octet}/24 dev eth0")).unwrap();
            host.ip(&format!("addr add fd00::{octet}/64 dev eth0 nodad")).unwrap();
        }
        for (host, octet) in [(&director, 254), (&web1, 1), (&web2, 2)] {
            back.plug(host, "eth1").unwrap();
            host.ip(&format!("addr add 10.1.0.{octet}/24 dev eth1")).unwrap();
            host.ip(&format!("addr add fd01::{octet}/64 dev eth1 nodad")).unwrap();
        }
        client.ip("route add 10.1.0.0/24 via 10.0.0.2").unwrap();
        prepare(&director);
        let plane = director.enter(|| Dataplane::start(options)).unwrap().unwrap();
        Site { client, director, servers: [web1, web2], front, plane, _lab: lab }
    }

    /// Sends the servers' answers back through the director, as NAT needs.
    pub fn answer_through_director(&self) {
        for server in &self.servers {
            server.ip("route add 10.0.0.10 via 10.1.0.254").unwrap();
            server.ip("-6 route add fd00::10 via fd01::254").unwrap();
        }
    }

    /// Gives the servers the virtual address without letting them answer ARP for it, as direct routing needs.
    pub fn share_address(&self) {
        for server in &self.servers {
            server.sysctl("net.ipv4.conf.all.arp_ignore", "1").unwrap();
            server.sysctl("net.ipv4.conf.all.arp_announce", "2").unwrap();
            server.ip(&format!("addr add {VIP}/32 dev lo")).unwrap();
        }
    }

    /// Applies commands. Even without any, the data plane has then seen what happened to the host before.
    pub fn apply(&self, commands: Vec<Command>) {
        for result in self.try_apply(commands) {
            result.unwrap();
        }
    }

    pub fn try_apply(&self, commands: Vec<Command>) -> Vec<Result<(), Error>> {
        self.plane.apply(commands).blocking_recv().unwrap()
    }

    pub fn snapshot(&self) -> Snapshot {
        self.plane.snapshot().blocking_recv().unwrap()
    }

    /// A service with both servers.
    pub fn balance(&self, protocol: Protocol, forwarding: Forwarding) {
        let id = service(protocol, VIP, 80);
        let port = if forwarding == Forwarding::Nat { 8080 } else { 80 };
        let (back, octets) = match forwarding {
            Forwarding::Dr | Forwarding::Local => ("10.0.0", [11, 12]),
            Forwarding::Nat | Forwarding::FullNat | Forwarding::Tunnel(_) => ("10.1.0", [1, 2]),
        };
        let mut commands = vec![add_service(id)];
        commands.extend(octets.map(|o| add_server(id, &format!("{back}.{o}"), port, forwarding)));
        self.apply(commands);
    }

    /// Resets that the director's own stack has sent.
    pub fn resets_by_host(&self) -> u64 {
        let table = self.director.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp")).unwrap().unwrap();
        let mut lines =
            table.lines().filter(|l| l.starts_with("Tcp:")).map(|l| l.split_whitespace().collect::<Vec<_>>());
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let column = names.iter().position(|n| *n == "OutRsts").unwrap();
        values[column].parse().unwrap()
    }

    pub fn connect(&self, address: &str) -> std::io::Result<TcpStream> {
        connect(&self.client, address)
    }

    /// What a server says first to a client that connects.
    pub fn greeting(&self, address: &str) -> std::io::Result<String> {
        let mut stream = self.connect(address)?;
        let mut name = [0; 4];
        stream.read_exact(&mut name)?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Sends `upload` and reads `download` bytes; checks both ends' sums.
    pub fn transfer(&self, address: &str, upload: usize, download: usize) {
        let mut stream = self.connect(address).unwrap();
        let mut name = [0; 4];
        stream.read_exact(&mut name).unwrap();
        let body = pattern(upload);
        stream.write_all(&[(upload as u64).to_be_bytes(), (download as u64).to_be_bytes()].concat()).unwrap();
        stream.write_all(&body).unwrap();
        let mut sum = [0; 8];
        stream.read_exact(&mut sum).unwrap();
        assert_eq!(u64::from_be_bytes(sum), digest(&body), "what the server received");
        let mut received = vec![0; download];
        stream.read_exact(&mut received).unwrap();
        assert!(received == pattern(download), "what the client received");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let alive = self.plane.is_alive();
        self.plane.stop();
        // A panic during a panic would hide the first one.
        if !std::thread::panicking() {
            assert!(alive, "the data plane died under way");
            assert!(!self.plane.is_alive(), "stopped, yet alive");
        }
    }
}

pub fn add_addresses(director: &Host) {
    director.ip(&format!("addr add {VIP}/32 dev eth0")).unwrap();
    director.ip(&format!("addr add {VIP6}/128 dev eth0 nodad")).unwrap();
}

pub fn connect(host: &Host, address: &str) -> std::io::Result<TcpStream> {
    let address: SocketAddr = address.parse().unwrap();
    let stream = host.enter(|| TcpStream::connect_timeout(&address, PATIENCE))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub fn service(protocol: Protocol, address: &str, port: u16) -> ServiceId {
    ServiceKey { protocol, address: address.parse().unwrap(), port }.into()
}

pub fn add_service(id: ServiceId) -> Command {
    let flags = SchedulerFlags::default();
    Command::AddService(ServiceConfig {
        id,
        scheduler: SchedulerKind::Rr,
        flags,
        persistence: None,
        one_packet: false,
        full_nat: Default::default(),
    })
}

pub fn add_server(id: ServiceId, address: &str, port: u16, forwarding: Forwarding) -> Command {
    let address: IpAddr = address.parse().unwrap();
    let (weight, upper_threshold, lower_threshold) = (1, 0, 0);
    Command::AddDestination(
        id,
        DestinationConfig { address, port, forwarding, weight, upper_threshold, lower_threshold },
    )
}

/// Listens in a host, greets every client with a name of four bytes, then serves transfers (see [`Site::transfer`]).
pub fn serve_tcp(host: &Host, address: &str, name: &'static str) {
    let listener = host.enter(|| TcpListener::bind(address)).unwrap().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || serve(stream, name));
        }
    });
}

fn serve(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.write_all(name.as_bytes())?;
    let mut sizes = [0; 16];
    while stream.read_exact(&mut sizes).is_ok() {
        let (upload, download) = sizes.split_at(8);
        let [upload, download] = [upload, download].map(|s| u64::from_be_bytes(s.try_into().unwrap()) as usize);
        let mut body = vec![0; upload];
        stream.read_exact(&mut body)?;
        stream.write_all(&digest(&body).to_be_bytes())?;
        stream.write_all(&pattern(download))?;
    }
    Ok(())
}

/// Answers each datagram with the server's name and the datagram.
pub fn serve_udp(host: &Host, address: &str, name: &'static str) {
    let socket = host.enter(|| UdpSocket::bind(address)).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let answer = [name.as_bytes(), &buffer[..length]].concat();
            if socket.send_to(&answer, peer).is_err() {
                return;
            }
        }
    });
}

/// Sends a datagram from a fresh port and gives the answer.
pub fn ask_udp(host: &Host, address: &str, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = host.enter(|| UdpSocket::bind(any))??;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    socket.connect(address)?;
    socket.send(question)?;
    let mut buffer = vec![0; 65_536];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

pub fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 7) as u8).collect()
}

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

pub fn wait_for(what: &str, condition: impl FnMut() -> bool) {
    eventually(PATIENCE, what, condition);
}
