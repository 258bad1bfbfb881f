//! ICMP errors about a tunnel's packets become errors about the client's.

use std::net::IpAddr;

use crate::support::{build, describe, header_length, pseudo, sum, world::World};
use standfast_ipvs::{Forwarding, HopId, PassReason, Settings, Tunnel, TunnelChecksum, TunnelKind, Verdict};

const KINDS: [TunnelKind; 3] = [TunnelKind::Ipip, TunnelKind::Gue { port: 6080 }, TunnelKind::Gre];
const INNER: &str =
    "IP 10.0.0.50>10.0.0.100 len 1040 ttl 63 tos 0x0 id 1 DF TCP 8000>80 [A] seq 1001 ack 1 win 64240 data 1000";

fn tunnel_world(tunnel: Tunnel) -> World {
    let mut world = World::new(Settings::default(), None);
    (1..=3).for_each(|server| world.remove(server));
    world.forwarding = Forwarding::Tunnel(tunnel);
    world.add(50);
    assert!(matches!(world.segment(50, 8000, "S", ("10.0.0.100", 80)), Verdict::Encapsulate { .. }));
    world
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A router's error about the director's packet to the server, of which `quoted` bytes come back.
fn error(tunnel: Tunnel, server: &str, kind: &str, quoted: usize) -> Vec<u8> {
    let inner = build::packet(INNER);
    let headers = tunnel.headers(&inner, address("10.1.0.254"), address(server), 1).unwrap();
    let outer = [&headers[..], &inner].concat();
    let text = format!("IP 10.1.0.77>10.1.0.254 len {} ttl 64 tos 0x0 id 1 DF ICMP {kind}", 28 + quoted);
    let mut packet = build::packet(&text);
    packet[28..].copy_from_slice(&outer[..quoted]);
    packet[22..24].fill(0);
    let sum = !sum(&packet[20..], 0);
    packet[22..24].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// What the client gets.
fn told(world: &mut World, mut packet: Vec<u8>) -> Option<String> {
    let mut frame = standfast_ipvs::Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
    let ingress = standfast_ipvs::Ingress { client_hop: HopId(9), mark: 0 };
    match world.director.receive(&mut frame, ingress, world.now) {
        Verdict::Reply { packet, hop } => {
            assert_eq!(hop, HopId(1), "it goes where the client is");
            Some(describe::packet(&packet))
        }
        Verdict::Pass(PassReason::Icmp) => None,
        other => panic!("{other:?}"),
    }
}

/// ipvs-recordings/c/c2_tun_packets.txt: 208 of 228 bytes come back. The kernel's first error names the old MTU; this one
/// names the new one at once.
#[test]
fn an_error_that_quotes_enough_reaches_the_client() {
    for kind in KINDS {
        let tunnel = Tunnel { kind, ..Tunnel::default() };
        let overhead = tunnel.overhead(address("10.1.0.50"));
        for (error_kind, rest) in [("3.4 rest 0x514", 1300 - overhead), ("11.0 rest 0x0", 0), ("3.2 rest 0x0", 0)] {
            let mut world = tunnel_world(tunnel);
            let told = told(&mut world, error(tunnel, "10.1.0.50", error_kind, 200)).unwrap();
            let (code, _) = error_kind.split_once(' ').unwrap();
            let length = 228 - overhead;
            let wanted =
                format!("IP 10.0.0.100>10.0.0.50 len {length} ttl 64 tos 0xc0 id 1 ICMP {code} rest {rest:#x} sum-ok");
            let quote = "{IP 10.0.0.50>10.0.0.100 len 1040 ttl 63 tos 0x0 id 1 DF TCP 8000>80 [A] seq 1001";
            assert!(told.starts_with(&format!("{wanted} {quote}")), "{kind:?}: {told}");
        }
    }
}

#[test]
fn what_quotes_too_little_or_another_is_the_hosts() {
    for kind in KINDS {
        let tunnel = Tunnel { kind, checksum: TunnelChecksum::Full, ..Tunnel::default() };
        let mut world = tunnel_world(tunnel);
        assert_eq!(told(&mut world, error(tunnel, "10.1.0.50", "3.4 rest 0x514", 28)), None);
        assert_eq!(told(&mut world, error(tunnel, "10.1.0.51", "3.4 rest 0x514", 200)), None);
        assert_eq!(told(&mut world, error(tunnel, "10.1.0.50", "5.1 rest 0x514", 200)), None);
    }
}

#[test]
fn the_path_is_remembered_for_ten_minutes() {
    let tunnel = Tunnel::default();
    let mut world = tunnel_world(tunnel);
    told(&mut world, error(tunnel, "10.1.0.50", "3.4 rest 0x514", 200)).unwrap();
    let path_mtu = |world: &mut World| match world.segment(50, 8000, "A", ("10.0.0.100", 80)) {
        Verdict::Encapsulate { path_mtu, .. } => path_mtu,
        other => panic!("{other:?}"),
    };
    assert_eq!(path_mtu(&mut world), Some(1300));
    told(&mut world, error(tunnel, "10.1.0.50", "3.4 rest 0x44", 200)).unwrap();
    assert_eq!(path_mtu(&mut world), Some(552), "less is not believed");
    world.now += std::time::Duration::from_secs(601);
    assert_eq!(path_mtu(&mut world), None);
}

#[test]
fn an_edit_to_another_method_leaves_connections_in_their_tunnel() {
    let mut world = tunnel_world(Tunnel { kind: TunnelKind::Gre, checksum: TunnelChecksum::Full, clamp_mss: false });
    world.forwarding = Forwarding::Nat;
    world.set_weight(50, 1);
    let verdict = world.segment(50, 8000, "A", ("10.0.0.100", 80));
    assert!(
        matches!(verdict, Verdict::Encapsulate { tunnel: Tunnel { kind: TunnelKind::Gre, .. }, .. }),
        "{verdict:?}"
    );
    assert!(matches!(world.segment(50, 8001, "S", ("10.0.0.100", 80)), Verdict::ToServer { .. }));
}

/// The ends of an IPv6 tunnel, its kernel counterpart being IPv4 only.
#[test]
fn ipv6_does_the_same() {
    let tunnel = Tunnel::default();
    let mut world = tunnel_world(tunnel);
    let id =
        standfast_ipvs::ServiceKey { protocol: standfast_ipvs::Protocol::Tcp, address: address("fd00::100"), port: 80 };
    let config =
        crate::support::service(id.protocol, "[fd00::100]:80".parse().unwrap(), standfast_ipvs::SchedulerKind::Rr);
    world.director.add_service(config).unwrap();
    let server = crate::support::destination("[fd01::50]:80".parse().unwrap(), Forwarding::Tunnel(tunnel));
    world.director.add_destination(&id.into(), server).unwrap();
    let inner = "IP6 fd00::50>fd00::100 hlim 64 tc/fl 60000000 TCP 1300>80 [S] seq 1000 ack 0 win 1 data 0";
    assert!(matches!(world.send(inner), Verdict::Encapsulate { .. }));
    let inner = build::packet(inner);
    let headers = tunnel.headers(&inner, address("fd01::254"), address("fd01::50"), 0).unwrap();
    let quote = [&headers[..], &inner].concat();
    let mut packet = build::packet("IP6 fd01::77>fd01::254 hlim 64 tc/fl 60000000 ICMP6 2.0 rest 0x514");
    packet.extend(&quote);
    packet[4..6].copy_from_slice(&(8 + quote.len() as u16).to_be_bytes());
    packet[42..44].fill(0);
    let l4 = header_length(&packet);
    let checksum = !sum(&packet[l4..], pseudo(&packet, 58, packet.len() - l4));
    packet[42..44].copy_from_slice(&checksum.to_be_bytes());
    let told = told(&mut world, packet).unwrap();
    let wanted =
        "IP6 fd00::100>fd00::50 hlim 64 tc/fl 60000000 ICMP6 2.0 rest 0x4ec sum-ok {IP6 fd00::50>fd00::100 hlim 64";
    assert!(told.starts_with(wanted), "{told}");
}
