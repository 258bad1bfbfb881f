//! Which packets the claim keeps from the host's own stack: the same answer that the nftables rules give.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use standfast_ipvs::FullNat;

use super::claim::{Claims, Flow};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
const EXTENSIONS: usize = 8;

/// What the worker knows of the claim.
#[derive(Debug, Default)]
pub(super) struct Territory {
    claims: Claims,
    addresses: BTreeSet<IpAddr>,
    foreign: BTreeSet<IpAddr>,
}

impl Territory {
    /// The territory that these claims make.
    pub(super) fn new(claims: Claims) -> Self {
        let foreign = claims.services.iter().map(|f| f.address).filter(|a| !claims.own.contains(a)).collect();
        let addresses = claims.services.iter().chain(&claims.servers).map(|f| f.address).collect();
        Self { claims, addresses, foreign }
    }

    /// Whether whatever is the engine's here is its own there too.
    pub(super) fn lies_within(&self, other: &Territory) -> bool {
        let (mine, other) = (&self.claims, &other.claims);
        let settled = mine.own == other.own && mine.marks == other.marks && mine.sources.is_subset(&other.sources);
        settled && mine.services.is_subset(&other.services) && mine.servers.is_subset(&other.servers)
    }

    /// Whether the packet is for a virtual address that the host does not have at present: then it is not the engine's, as
    /// IPVS acts on local input only.
    pub(super) fn is_foreign(&self, packet: &[u8]) -> bool {
        !self.foreign.is_empty() && destination(packet).is_some_and(|a| self.foreign.contains(&a))
    }

    /// Whether the engine gets the packet by a netfilter queue, with its mark: then a packet socket sees it too, and too early. ICMP
    /// always comes by the packet socket.
    pub(super) fn comes_by_queue(&self, packet: &[u8]) -> bool {
        let marks = !self.claims.marks.is_empty();
        marks && Ends::parse(packet).is_some_and(|ends| !matches!(ends.protocol, ICMP | ICMPV6)) && !self.covers(packet)
    }

    /// Whether a packet goes to a virtual address or comes from a NAT server, whatever its ports.
    pub(super) fn touches(&self, packet: &[u8]) -> bool {
        Ends::parse(packet)
            .is_some_and(|e| self.addresses.contains(&e.destination) || self.addresses.contains(&e.source))
    }

    /// Whether the claim dropped the packet on its way to the host's own stack.
    pub(super) fn covers(&self, packet: &[u8]) -> bool {
        let Some(ends) = Ends::parse(packet) else { return false };
        let within = |set: &BTreeSet<Flow>, address, port: Option<u16>| {
            let flow = |port| Flow { protocol: ends.protocol, address, port };
            set.contains(&flow(0)) || port.is_some_and(|port| set.contains(&flow(port)))
        };
        let to_service = within(&self.claims.services, ends.destination, ends.ports.map(|p| p.1));
        let from_server = within(&self.claims.servers, ends.source, ends.ports.map(|p| p.0));
        let to_source =
            |(_, port): (u16, u16)| port < FullNat::PORTS.end && self.claims.sources.contains(&ends.destination);
        to_service || from_server && (!self.claims.own.contains(&ends.destination) || ends.ports.is_some_and(to_source))
    }
}

/// The address that an IP packet goes to.
pub(super) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => packet.get(16..)?.first_chunk::<4>().map(|a| IpAddr::from(*a)),
        6 => packet.get(24..)?.first_chunk::<16>().map(|a| IpAddr::from(*a)),
        _ => None,
    }
}

/// Whether the host has the address at this moment, as the kernel's routes say: an address reaches itself.
pub(super) fn is_local(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9)).map(|()| socket));
    socket.and_then(|socket| socket.local_addr()).is_ok_and(|own| own.ip() == address)
}

/// What nftables reads of a packet. Without ports: a fragment that is not the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    ports: Option<(u16, u16)>,
}

impl Ends {
    fn parse(packet: &[u8]) -> Option<Self> {
        let destination = destination(packet)?;
        let source = match destination {
            IpAddr::V4(_) => IpAddr::from(*packet.get(12..)?.first_chunk::<4>()?),
            IpAddr::V6(_) => IpAddr::from(*packet.get(8..)?.first_chunk::<16>()?),
        };
        let (protocol, ports_at) = upper_layer(packet)?;
        let ports = ports_at.and_then(|at| Some((half(packet, at)?, half(packet, at + 2)?)));
        Some(Self { protocol, source, destination, ports })
    }
}

/// The protocol that an IP packet carries, and where its header begins; there is none in a fragment that is not the first.
pub(crate) fn upper_layer(packet: &[u8]) -> Option<(u8, Option<usize>)> {
    match packet.first()? >> 4 {
        4 => {
            let later = half(packet, 6)? & 0x1fff != 0;
            let header = usize::from(packet.first()? & 15) * 4;
            Some((*packet.get(9)?, (!later).then_some(header)))
        }
        _ => behind_extensions(packet),
    }
}

fn behind_extensions(packet: &[u8]) -> Option<(u8, Option<usize>)> {
    let (mut next, mut at) = (*packet.get(6)?, 40);
    for _ in 0..EXTENSIONS {
        let length = match next {
            HOP_BY_HOP | ROUTING | OPTIONS => usize::from(*packet.get(at + 1)?) * 8 + 8,
            FRAGMENT if half(packet, at + 2)? & 0xfff8 != 0 => return Some((*packet.get(at)?, None)),
            FRAGMENT => 8,
            protocol => return Some((protocol, Some(at))),
        };
        next = *packet.get(at)?;
        at += length;
    }
    None
}

fn half(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(source: [u8; 4], destination: [u8; 4], ports: (u16, u16), fragment: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 17, 0, 0]);
        packet.extend(source.iter().chain(&destination));
        packet.extend(ports.0.to_be_bytes().iter().chain(&ports.1.to_be_bytes()).chain(&[0, 8, 0, 0]));
        packet
    }

    fn territory() -> Territory {
        let flow = |address: &str, port| Flow { protocol: 17, address: address.parse().unwrap(), port };
        Territory::new(Claims {
            services: [flow("10.0.0.100", 53), flow("10.0.0.101", 0), flow("fd00::1", 53)].into(),
            servers: [flow("10.1.0.1", 5353)].into(),
            own: ["10.0.0.100", "10.0.0.2"].map(|a| a.parse().unwrap()).into(),
            ..Claims::default()
        })
    }

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        assert!(is_local("127.0.0.1".parse().unwrap()));
        assert!(!is_local("192.0.2.77".parse().unwrap()));
    }

    #[test]
    fn services_and_answers_are_covered_and_nothing_else() {
        let t = territory();
        let (client, vip, server) = ([9, 9, 9, 9], [10, 0, 0, 100], [10, 1, 0, 1]);
        assert!(t.covers(&udp(client, vip, (1000, 53), 0)));
        assert!(t.covers(&udp(client, vip, (1000, 53), 0x2000)));
        assert!(!t.covers(&udp(client, vip, (1000, 53), 0x0010)));
        assert!(!t.covers(&udp(client, vip, (1000, 54), 0)));
        assert!(t.covers(&udp(client, [10, 0, 0, 101], (1000, 54), 0x0010)));
        assert!(t.covers(&udp(server, client, (5353, 1000), 0)));
        assert!(!t.covers(&udp(server, client, (5354, 1000), 0)));
        assert!(!t.covers(&udp(server, [10, 0, 0, 2], (5353, 1000), 0)));
    }

    #[test]
    fn answers_to_full_nat_are_covered_by_their_port() {
        let mut t = territory();
        t.claims.sources.insert("10.0.0.2".parse().unwrap());
        assert!(t.covers(&udp([10, 1, 0, 1], [10, 0, 0, 2], (5353, 32_767), 0)));
        assert!(!t.covers(&udp([10, 1, 0, 1], [10, 0, 0, 2], (5353, 32_768), 0)), "a connection of the host's own");
        assert!(!t.covers(&udp([10, 1, 0, 1], [10, 0, 0, 2], (5354, 1_000), 0)));
    }

    #[test]
    fn a_virtual_address_that_is_elsewhere_is_foreign() {
        let t = territory();
        assert!(!t.is_foreign(&udp([9, 9, 9, 9], [10, 0, 0, 100], (1, 53), 0)));
        assert!(t.is_foreign(&udp([9, 9, 9, 9], [10, 0, 0, 101], (1, 53), 0)));
        assert!(!t.is_foreign(&udp([9, 9, 9, 9], [10, 0, 0, 2], (1, 53), 0)));
    }

    #[test]
    fn with_marks_only_what_is_claimed_comes_by_the_packet_socket() {
        let claimed = udp([9, 9, 9, 9], [10, 0, 0, 100], (1000, 53), 0);
        let other = udp([9, 9, 9, 9], [10, 0, 0, 100], (1000, 54), 0);
        let icmp: Vec<u8> = other.iter().enumerate().map(|(at, byte)| if at == 9 { ICMP } else { *byte }).collect();
        let mut t = territory();
        let by_queue = |t: &Territory| [&claimed, &other, &icmp].map(|packet| t.comes_by_queue(packet));
        assert_eq!(by_queue(&t), [false; 3]);
        t.claims.marks.insert(7);
        assert_eq!(by_queue(&t), [false, true, false]);
    }

    #[test]
    fn extension_headers_are_walked() {
        let address = |a: &str| a.parse::<Ipv6Addr>().unwrap().octets();
        let packet = |extensions: &[u8], first: u8| {
            let mut p = vec![0x60, 0, 0, 0, 0, 0, first, 64];
            p.extend(address("fd09::9").iter().chain(&address("fd00::1")).chain(extensions));
            p.extend([3, 232, 0, 53, 0, 8, 0, 0]);
            p
        };
        let t = territory();
        assert!(t.covers(&packet(&[], 17)));
        assert!(t.covers(&packet(&[17, 0, 1, 4, 0, 0, 0, 0], OPTIONS)));
        assert!(t.covers(&packet(&[17, 0, 0, 1, 0, 0, 0, 7], FRAGMENT)));
        assert!(!t.covers(&packet(&[17, 0, 0, 9, 0, 0, 0, 7], FRAGMENT)));
        for length in 0..60 {
            t.covers(&packet(&[60, 9, 0, 0], OPTIONS)[..length.min(50)]);
            t.covers(&udp([9; 4], [10, 0, 0, 100], (1, 53), 0)[..length.min(27)]);
        }
    }
}
