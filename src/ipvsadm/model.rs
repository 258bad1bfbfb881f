//! What ipvsadm talks about, as it goes between the command and the daemon.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// SCTP, 132.
    Sctp,
}

impl Protocol {
    /// As listings write it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }

    /// As `/etc/services` writes it.
    pub fn lower_name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// The option that names a service of it.
    pub(super) fn option(self) -> &'static str {
        match self {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
            Protocol::Sctp => "--sctp-service",
        }
    }
}

/// How a virtual service is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// By protocol, address and port; port 0 is any.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// Virtual address.
        address: IpAddr,
        /// Virtual port.
        port: u16,
    },
    /// By firewall mark.
    Mark {
        /// The mark, not 0.
        mark: u32,
        /// Whether its packets are IPv6.
        ipv6: bool,
    },
}

impl Target {
    /// Whether its clients are of IPv6.
    pub fn is_ipv6(&self) -> bool {
        match self {
            Target::Address { address, .. } => address.is_ipv6(),
            Target::Mark { ipv6, .. } => *ipv6,
        }
    }

    /// Its protocol; TCP for a mark, as ipvsadm looks names of ports up.
    pub fn protocol(&self) -> Protocol {
        match self {
            Target::Address { protocol, .. } => *protocol,
            Target::Mark { .. } => Protocol::Tcp,
        }
    }
}

/// Persistence of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds, 1..=2147483.
    pub timeout: u32,
}

/// One of the three flags that a scheduler can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerFlag {
    /// `flag-1`: `sh-fallback`, `mh-fallback`.
    First,
    /// `flag-2`: `sh-port`, `mh-port`.
    Second,
    /// `flag-3`.
    Third,
}

/// A virtual service (`-A`, `-E`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// How it is found.
    pub target: Target,
    /// Name of the scheduler, as given.
    pub scheduler: String,
    /// Scheduler flags in order, each once.
    pub flags: Vec<SchedulerFlag>,
    /// `-p`.
    pub persistence: Option<Persistence>,
    /// `-M` of IPv4: the mask's bits; all ones when absent.
    pub netmask: Ipv4Addr,
    /// `-M` of IPv6: 1..=128; 128 when absent.
    pub prefix: u8,
    /// `--pe`.
    pub engine: Option<String>,
    /// `-o`.
    pub one_packet: bool,
}

/// How packets reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// NAT, `-m`.
    Masq,
    /// Direct routing, `-g`.
    Route,
    /// Tunnel, `-i`.
    Tunnel,
    /// The director itself.
    Local,
    /// Full NAT: ours; no option of ipvsadm makes it.
    FullNat,
}

/// Kind of tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// GRE.
    Gre,
}

/// Checksum of a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelChecksum {
    /// None.
    #[default]
    None,
    /// A checksum.
    Full,
    /// Remote checksum offload.
    Remote,
}

/// Tunnel options of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Kind.
    pub kind: TunnelKind,
    /// Destination port, for GUE.
    pub port: u16,
    /// Checksum, for GUE and GRE.
    pub checksum: TunnelChecksum,
}

/// A real server (`-a`, `-e`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How packets reach it.
    pub method: Method,
    /// Tunnel options.
    pub tunnel: Tunnel,
    /// 0..=2147483647.
    pub weight: u32,
    /// `-x`, 0 for none.
    pub upper_threshold: u32,
    /// `-y`, 0 for none.
    pub lower_threshold: u32,
}

/// Which sync daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It sends.
    Master,
    /// It receives.
    Backup,
}

impl Role {
    /// As `--start-daemon` has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Backup => "backup",
        }
    }
}

/// `--start-daemon`: what is absent is the daemon's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSettings {
    /// `--mcast-interface`.
    pub interface: Option<String>,
    /// `--syncid`, 0..=255.
    pub syncid: Option<u8>,
    /// `--sync-maxlen`, 1..=65507.
    pub maxlen: Option<u16>,
    /// `--mcast-group`.
    pub group: Option<IpAddr>,
    /// `--mcast-port`.
    pub port: Option<u16>,
    /// `--mcast-ttl`.
    pub ttl: Option<u8>,
}

/// Time-outs in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutSeconds {
    /// Established TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcpfin: u32,
    /// UDP.
    pub udp: u32,
}

/// Counters (`--stats`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets from servers.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes from servers.
    pub out_bytes: u64,
}

/// Rates per second (`--rate`), rounded.
pub type Rates = Counts;

/// A server as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    /// Its configuration.
    pub server: Server,
    /// Connections in an active state.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Counters.
    pub counts: Counts,
    /// Rates.
    pub rates: Rates,
}

/// A service as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its configuration.
    pub service: Service,
    /// Counters.
    pub counts: Counts,
    /// Rates.
    pub rates: Rates,
    /// Servers, the latest added first.
    pub servers: Vec<ServerEntry>,
}

/// Everything that a listing of services needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Slots of the connection table.
    pub size: u32,
    /// Services.
    pub entries: Vec<Entry>,
}

/// A running sync daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Which.
    pub role: Role,
    /// Interface.
    pub interface: String,
    /// Sync id.
    pub syncid: u8,
    /// Longest datagram.
    pub maxlen: u16,
    /// Multicast group.
    pub group: IpAddr,
    /// Port.
    pub port: u16,
    /// TTL.
    pub ttl: u8,
}

/// A connection (`-c`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// `None` is the template of a firewall mark ("IP").
    pub protocol: Option<Protocol>,
    /// Seconds until it ends without a packet.
    pub expires: u64,
    /// Name of its state.
    pub state: String,
    /// Client.
    pub client: SocketAddr,
    /// Virtual address.
    pub service: SocketAddr,
    /// Server.
    pub server: SocketAddr,
    /// Name and data of its persistence engine.
    pub engine: Option<(String, String)>,
}
