//! What the daemon asks for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Address;
use crate::forward::tunnel::Tunnel;
use crate::persistence::Persistence;
use crate::scheduler::{SchedulerFlags, SchedulerKind};

/// A transport protocol that services can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Protocol 6.
    Tcp,
    /// Protocol 17.
    Udp,
    /// Protocol 132.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Protocol> {
        match number {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            132 => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// A virtual service's address. Port 0 stands for all ports and needs persistence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Transport protocol.
    pub protocol: Protocol,
    /// The virtual address.
    pub address: IpAddr,
    /// The virtual port.
    pub port: u16,
}

/// How a virtual service is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceId {
    /// By protocol, address and port.
    Address(ServiceKey),
    /// By the mark that the firewall put on the packet.
    Fwmark(u32),
}

impl Hash for ServiceId {
    /// In one piece: a hasher takes several small ones slowly.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (kind, address, number) = match self {
            ServiceId::Fwmark(mark) => (0, 0, *mark),
            ServiceId::Address(ServiceKey { protocol, address: IpAddr::V4(address), port }) => {
                (protocol.number(), u128::from(address.to_bits()), u32::from(*port))
            }
            ServiceId::Address(ServiceKey { protocol, address: IpAddr::V6(address), port }) => {
                (protocol.number(), address.to_bits(), u32::from(*port) | 1 << 16)
            }
        };
        let [low, high] = [address as u64, (address >> 64) as u64];
        let last = u64::from(kind) << 32 | u64::from(number);
        state.write([low, high, last].map(u64::to_le_bytes).as_flattened());
    }
}

impl ServiceId {
    /// The service's port; 0 for a firewall mark.
    pub(crate) fn port(&self) -> u16 {
        match self {
            ServiceId::Address(key) => key.port,
            ServiceId::Fwmark(_) => 0,
        }
    }
}

impl ServiceKey {
    /// The port of FTP's control connections.
    const FTP: u16 = 21;

    /// Whether a persistent service of this key takes its clients' data connections too, as IPVS has it for FTP.
    pub(crate) fn is_ftp(&self) -> bool {
        self.protocol == Protocol::Tcp && self.port == Self::FTP
    }

    /// The FTP service whose data connection a packet to this port may belong to: active (from 20) or passive.
    pub(crate) fn of_ftp_data(self) -> Option<ServiceKey> {
        let is_data = self.port == 20 || self.port >= 1024;
        (self.protocol == Protocol::Tcp && is_data).then_some(ServiceKey { port: Self::FTP, ..self })
    }
}

impl From<ServiceKey> for ServiceId {
    fn from(key: ServiceKey) -> Self {
        ServiceId::Address(key)
    }
}

/// A virtual service (`ipvsadm -A`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// How packets are matched to it.
    pub id: ServiceId,
    /// Who chooses its destinations.
    pub scheduler: SchedulerKind,
    /// `ipvsadm -b`.
    pub flags: SchedulerFlags,
    /// `ipvsadm -p`.
    pub persistence: Option<Persistence>,
    /// `ipvsadm -o`: every UDP packet is scheduled alone. A server behind full NAT has no use for it.
    pub one_packet: bool,
    /// What its destinations behind full NAT need.
    pub full_nat: FullNat,
}

/// Where full NAT takes its source addresses from, and what it tells the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FullNat {
    /// Inclusive ranges of addresses of this host, of which [`FullNat::MOST_ADDRESSES`] count. Each carries
    /// [`FullNat::PORTS`] connections to each server's port.
    pub sources: Vec<(IpAddr, IpAddr)>,
    /// How servers learn the client's address.
    pub client: ClientTold,
}

/// How a server behind full NAT learns who its client is. TCP only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientTold {
    /// Not at all.
    #[default]
    Nothing,
    /// A TCP option names the client in the packets of the handshake ("TOA": kind 254 with port and IPv4 address, kind
    /// 253 with port and IPv6 address).
    Option,
    /// A line of the PROXY protocol, version 1, comes before the client's first byte.
    ProxyText,
    /// A header of the PROXY protocol, version 2, comes before the client's first byte.
    ProxyBinary,
}

impl FullNat {
    /// More source addresses are not used.
    pub const MOST_ADDRESSES: usize = 1024;
    /// The ports of a source address: below those that Linux gives to the host's own connections.
    pub const PORTS: std::ops::Range<u16> = 1024..32_768;

    /// All addresses of a family.
    pub(crate) fn addresses<A: Address>(&self) -> Vec<A> {
        let number = |address| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let address = |number: u128, like: IpAddr| match like {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
        };
        let range = |&(first, last): &(IpAddr, IpAddr)| {
            (number(first)..=number(last)).take(Self::MOST_ADDRESSES).map(move |number| address(number, first))
        };
        self.sources.iter().flat_map(range).filter_map(A::from_ip).take(Self::MOST_ADDRESSES).collect()
    }
}

/// How packets reach a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Forwarding {
    /// Rewritten addresses and ports, both ways (`-m`).
    Nat,
    /// Only the MAC addresses change (`-g`). The destination's port is the service's.
    Dr,
    /// As `Nat`, and the director puts an address of its own in the place of the client's: the server may be anywhere
    /// that answers it.
    FullNat,
    /// The packet travels inside another one (`-i`). The destination's port is the service's.
    Tunnel(Tunnel),
    /// The host itself serves the virtual address: packets are left as they are. A loopback destination is always
    /// local, but NAT to another port than the service's changes the port.
    Local,
}

impl Forwarding {
    /// The tunnel, if it is one.
    pub(crate) fn tunnel(&self) -> Option<Tunnel> {
        match self {
            Forwarding::Tunnel(tunnel) => Some(*tunnel),
            _ => None,
        }
    }
}

/// A real server of a virtual service (`ipvsadm -a`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// 0 quiesces it: no connection is scheduled to it.
    pub weight: u32,
    /// From this many connections on it is passed over; 0 for no limit.
    pub upper_threshold: u32,
    /// Below this many connections an overloaded destination is used again; 0 means three quarters of the upper.
    pub lower_threshold: u32,
}
