//! What must hold for all packets and all histories.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::{build, destination, header_length, ip_words, pseudo, service, sum};
use proptest::prelude::*;
use standfast_ipvs::{
    Director, Forwarding, Frame, HopId, Ingress, Options, Persistence, Protocol, SchedulerKind, ServiceId, Verdict,
};

const SCHEDULERS: [SchedulerKind; 4] = [SchedulerKind::Rr, SchedulerKind::Wrr, SchedulerKind::Wlc, SchedulerKind::Sh];

/// Failures are printed, not kept in files.
pub fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

pub fn director() -> Director {
    Director::new(Options { seed: [7, 11], connection_limit: 256, ..Options::default() })
}

/// A packet with this payload and a right checksum.
fn packet(protocol: Protocol, from: SocketAddr, to: SocketAddr, flags: &str, payload: &[u8]) -> Vec<u8> {
    let ip = ip_words(from.ip(), to.ip(), 64);
    let ports = format!("{}>{}", from.port(), to.port());
    let text = match protocol {
        Protocol::Tcp => format!("{ip} TCP {ports} [{flags}] seq 1 ack 1 win 9 data {}", payload.len()),
        _ => format!("{ip} UDP {ports} len {}", payload.len() + 8),
    };
    let mut packet = build::packet(&text);
    let start = packet.len() - payload.len();
    packet[start..].copy_from_slice(payload);
    let field = checksum_field(&packet, protocol);
    packet[field..field + 2].fill(0);
    let sum = !l4_sum(&packet, protocol);
    let sum = if sum == 0 && protocol == Protocol::Udp { 0xffff } else { sum };
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn checksum_field(packet: &[u8], protocol: Protocol) -> usize {
    header_length(packet) + if protocol == Protocol::Tcp { 16 } else { 6 }
}

fn l4_sum(packet: &[u8], protocol: Protocol) -> u16 {
    let l4 = header_length(packet);
    sum(&packet[l4..], pseudo(packet, protocol.number(), packet.len() - l4))
}

/// Replaces the checksum by what the sender leaves to the hardware.
fn make_partial(packet: &mut [u8], protocol: Protocol) {
    let field = checksum_field(packet, protocol);
    let partial = sum(&[], pseudo(packet, protocol.number(), packet.len() - header_length(packet)));
    packet[field..field + 2].copy_from_slice(&partial.to_be_bytes());
}

/// What the hardware does with it.
fn complete(packet: &mut [u8], protocol: Protocol) {
    let field = checksum_field(packet, protocol);
    let sum = !sum(&packet[header_length(packet)..], 0);
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

fn receive(director: &mut Director, packet: &mut [u8], checksum_partial: bool, now: Instant) -> Verdict {
    let mut frame = Frame { packet, checksum_partial, gso_size: 0 };
    director.receive(&mut frame, Ingress { client_hop: HopId(5), mark: 0 }, now)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

/// Three sockets of one family: client, service, server.
fn sockets() -> impl Strategy<Value = [SocketAddr; 3]> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits >> 8 | 0x0a00_0000)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits >> 8 | 0xfd << 120)));
    let socket = |address| (address, 1u16..).prop_map(|(address, port)| SocketAddr::new(address, port));
    let three = |socket: BoxedStrategy<SocketAddr>| [socket.clone(), socket.clone(), socket];
    prop_oneof![three(socket(v4.boxed()).boxed()), three(socket(v6.boxed()).boxed())]
        .prop_filter("three different addresses", |[a, b, c]| a.ip() != b.ip() && b.ip() != c.ip() && a.ip() != c.ip())
}

/// Up to a superpacket of 64 KB.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let long = (100usize..65_000, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    prop_oneof![8 => proptest::collection::vec(any::<u8>(), 0..100), 1 => long]
}

proptest! {
    #![proptest_config(config())]

    /// A packet to the service arrives at the server as if sent to it, and the server's answer at the client as if
    /// sent by the service: byte for byte but the time to live.
    #[test]
    fn nat_out_and_back_is_the_identity(
        protocol in protocol(),
        [client, virtual_service, server] in sockets(),
        payload in payload(),
        partial in any::<bool>(),
        padding in 0usize..20,
    ) {
        let now = Instant::now();
        let mut director = director();
        let config = service(protocol, virtual_service, SchedulerKind::Rr);
        director.add_service(config.clone()).unwrap();
        director.add_destination(&config.id, destination(server, Forwarding::Nat)).unwrap();
        let legs = [(client, virtual_service, client, server), (server, client, virtual_service, client)];
        for (from, to, as_from, as_to) in legs {
            let mut sent = packet(protocol, from, to, "S", &payload);
            if partial {
                make_partial(&mut sent, protocol);
            }
            sent.extend(vec![0xaa; padding]);
            let verdict = receive(&mut director, &mut sent, partial, now);
            let wanted = match from == client {
                true => Verdict::ToServer { address: server.ip() },
                false => Verdict::ToClient { hop: HopId(5) },
            };
            prop_assert_eq!(verdict, wanted);
            let padded = sent.split_off(sent.len() - padding);
            prop_assert!(padded.iter().all(|&byte| byte == 0xaa));
            if partial {
                complete(&mut sent, protocol);
            }
            let mut expected = packet(protocol, as_from, as_to, "S", &payload);
            age(&mut expected);
            prop_assert_eq!(l4_sum(&sent, protocol), 0xffff);
            let field = checksum_field(&sent, protocol);
            for packet in [&mut sent, &mut expected] {
                packet[field..field + 2].fill(0);
            }
            prop_assert_eq!(sent, expected);
        }
    }

    /// Of all packets of a connection that is not closed, none reaches another server than the first.
    #[test]
    fn a_connection_never_reaches_two_servers(
        scheduler in prop::sample::select(SCHEDULERS.as_slice()),
        steps in proptest::collection::vec((0u8..10, 0u16..8, 0u8..4, 0u32..5), 1..120),
    ) {
        let mut now = Instant::now();
        let (mut director, id, servers) = pool(scheduler, None);
        let mut seen: HashMap<u16, IpAddr> = HashMap::new();
        for (what, port, server, weight) in steps {
            let mut config = destination(servers[usize::from(server)], Forwarding::Nat);
            config.weight = weight;
            match what {
                0 => director.edit_destination(&id, config).unwrap(),
                1 => drop(director.add_destination(&id, config)),
                2 => now += Duration::from_millis(400),
                _ => {
                    let flags = if seen.contains_key(&port) { "A" } else { "S" };
                    let verdict = knock(&mut director, 1, 2000 + port, flags, now);
                    if let Verdict::ToServer { address } = verdict {
                        prop_assert_eq!(*seen.entry(port).or_insert(address), address);
                    }
                    director.handle_timeout(now);
                }
            }
        }
    }

    /// As long as its server is there, a client that keeps coming goes to the same one.
    #[test]
    fn persistence_never_splits_a_client(
        scheduler in prop::sample::select(SCHEDULERS.as_slice()),
        steps in proptest::collection::vec((0u8..6, 1u8..40, 0u8..4, 0u32..5), 1..100),
    ) {
        let mut now = Instant::now();
        let persistence = Persistence { timeout: Duration::from_secs(1000), prefix_len: 29, engine: None };
        let (mut director, id, servers) = pool(scheduler, Some(persistence));
        let mut seen: HashMap<u8, IpAddr> = HashMap::new();
        for (port, (what, client, server, weight)) in (3000..).zip(steps) {
            let mut config = destination(servers[usize::from(server)], Forwarding::Nat);
            config.weight = weight;
            match what {
                0 => director.edit_destination(&id, config).unwrap(),
                1 => now += Duration::from_secs(9),
                _ => {
                    if let Verdict::ToServer { address } = knock(&mut director, client, port, "S", now) {
                        prop_assert_eq!(*seen.entry(client & !7).or_insert(address), address);
                    }
                    director.handle_timeout(now);
                }
            }
        }
    }
}

/// What a hop does to the IP header.
fn age(packet: &mut [u8]) {
    match packet[0] >> 4 {
        4 => {
            packet[8] -= 1;
            packet[10..12].fill(0);
            let sum = !sum(&packet[..header_length(packet)], 0);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        _ => packet[7] -= 1,
    }
}

/// A service with four servers.
fn pool(scheduler: SchedulerKind, persistence: Option<Persistence>) -> (Director, ServiceId, [SocketAddr; 4]) {
    let mut director = director();
    let mut config = service(Protocol::Tcp, "10.0.0.100:80".parse().unwrap(), scheduler);
    config.persistence = persistence;
    let id = config.id;
    director.add_service(config).unwrap();
    let servers = [1, 2, 3, 4].map(|last| SocketAddr::from(([10, 1, 0, last], 80)));
    for server in servers {
        director.add_destination(&id, destination(server, Forwarding::Nat)).unwrap();
    }
    (director, id, servers)
}

fn knock(director: &mut Director, client: u8, port: u16, flags: &str, now: Instant) -> Verdict {
    let from = SocketAddr::from(([10, 0, 0, client], port));
    let mut packet = packet(Protocol::Tcp, from, "10.0.0.100:80".parse().unwrap(), flags, &[]);
    receive(director, &mut packet, false, now)
}
