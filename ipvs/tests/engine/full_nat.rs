//! Full NAT: the server sees an address of the director, and may learn who the client is.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use proptest::prelude::*;
use standfast_ipvs::{
    ClientTold, Director, DropReason, Error, Forwarding, Frame, FullNat, HopId, IcmpError, Ingress, Options, Protocol,
    SchedulerKind, ServiceConfig, Verdict,
};

use crate::support::{build, describe, destination, header_length, ip_words, pseudo, service, sum};

struct Bench {
    director: Director,
    config: ServiceConfig,
    now: Instant,
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn told(by_option: bool) -> ClientTold {
    if by_option { ClientTold::Option } else { ClientTold::Nothing }
}

impl Bench {
    fn new(protocol: Protocol, vip: &str, server: &str, pool: (&str, &str), client_option: bool) -> Bench {
        let mut director = Director::new(Options { connection_limit: 70_000, ..Options::default() });
        let mut config = service(protocol, vip.parse().unwrap(), SchedulerKind::Rr);
        config.full_nat = FullNat { sources: vec![(address(pool.0), address(pool.1))], client: told(client_option) };
        director.add_service(config.clone()).unwrap();
        director.add_destination(&config.id, destination(server.parse().unwrap(), Forwarding::FullNat)).unwrap();
        Bench { director, config, now: Instant::now() }
    }

    fn v4(client_option: bool) -> Bench {
        Bench::new(Protocol::Tcp, "10.0.0.100:80", "10.1.0.1:8080", ("10.1.0.250", "10.1.0.251"), client_option)
    }

    fn receive(&mut self, packet: &mut [u8], checksum_partial: bool) -> Verdict {
        let mut frame = Frame { packet, checksum_partial, gso_size: 0 };
        self.director.receive(&mut frame, Ingress { client_hop: HopId(5), mark: 0 }, self.now)
    }

    /// Sends a described packet and gives what goes on.
    fn send(&mut self, text: &str) -> (Verdict, Vec<u8>) {
        let mut packet = build::packet(text);
        let verdict = self.receive(&mut packet, false);
        (verdict, packet)
    }

    fn segment(&mut self, from: SocketAddr, to: SocketAddr, flags: &str) -> (Verdict, Vec<u8>) {
        let ip = ip_words(from.ip(), to.ip(), 64);
        self.send(&format!("{ip} TCP {}>{} [{flags}] seq 1 ack 1 win 1 data 10", from.port(), to.port()))
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Source and destination of a packet.
fn ends(packet: &[u8]) -> (SocketAddr, SocketAddr) {
    let l4 = header_length(packet);
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let v4 = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
    let v6 = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let [from, to] = if packet[0] >> 4 == 4 { [v4(12), v4(16)] } else { [v6(8), v6(24)] };
    (SocketAddr::new(from, port(l4)), SocketAddr::new(to, port(l4 + 2)))
}

fn is_intact(packet: &[u8], protocol: Protocol) -> bool {
    let l4 = header_length(packet);
    let ip = packet[0] >> 4 == 6 || sum(&packet[..l4], 0) == 0xffff;
    ip && sum(&packet[l4..], pseudo(packet, protocol.number(), packet.len() - l4)) == 0xffff
}

const CLIENT: &str = "10.0.0.50:1000";

#[test]
fn the_server_sees_the_director_and_the_client_the_service() {
    for (protocol, vip, server, pool, client) in [
        (Protocol::Tcp, "10.0.0.100:80", "10.1.0.1:8080", ("10.1.0.250", "10.1.0.250"), CLIENT),
        (Protocol::Udp, "10.0.0.100:80", "10.1.0.1:8080", ("10.1.0.250", "10.1.0.250"), CLIENT),
        (Protocol::Tcp, "[fd00::100]:80", "[fd01::1]:8080", ("fd01::f0", "fd01::f0"), "[fd00::50]:1000"),
        (Protocol::Udp, "[fd00::100]:80", "[fd01::1]:8080", ("fd01::f0", "fd01::f0"), "[fd00::50]:1000"),
    ] {
        let mut bench = Bench::new(protocol, vip, server, pool, false);
        let l4 = if protocol == Protocol::Tcp { "[S] seq 1 ack 1 win 1 data 10" } else { "len 18" };
        let send = |bench: &mut Bench, from: SocketAddr, to: SocketAddr| {
            let ip = ip_words(from.ip(), to.ip(), 64);
            bench.send(&format!("{ip} {protocol} {}>{} {l4}", from.port(), to.port()))
        };
        let (verdict, packet) = send(&mut bench, socket(client), socket(vip));
        assert_eq!(verdict, Verdict::ToServer { address: socket(server).ip() });
        let (source, to) = ends(&packet);
        assert_eq!((source.ip(), to), (address(pool.0), socket(server)));
        assert!(FullNat::PORTS.contains(&source.port()) && is_intact(&packet, protocol), "{protocol} {vip}");
        let (verdict, packet) = send(&mut bench, socket(server), source);
        assert_eq!(verdict, Verdict::ToClient { hop: HopId(5) });
        assert_eq!(ends(&packet), (socket(vip), socket(client)));
        assert!(is_intact(&packet, protocol), "{protocol} {vip}");
    }
}

#[test]
fn sources_are_used_once_and_again_when_they_are_free() {
    let mut bench = Bench::new(Protocol::Tcp, "10.0.0.100:80", "10.1.0.1:80", ("10.1.0.250", "10.1.0.251"), false);
    let mut seen = HashSet::new();
    let all = 2 * usize::from(FullNat::PORTS.end - FullNat::PORTS.start);
    let template = build::packet("IP 10.9.0.0>10.0.0.100 ttl 64 tos 0x0 id 1 TCP 1000>80 [S] seq 1 ack 1 win 1 data 0");
    let knock = |bench: &mut Bench, n: usize| {
        let mut packet = template.clone();
        packet[14..16].copy_from_slice(&(n as u16).to_be_bytes());
        packet[10..12].fill(0);
        let checksum = !sum(&packet[..20], 0);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        (bench.receive(&mut packet, false), ends(&packet).0)
    };
    for n in 0..all {
        assert!(seen.insert(knock(&mut bench, n).1), "{n}");
    }
    let (verdict, _) = knock(&mut bench, all);
    assert_eq!(verdict, Verdict::Drop(DropReason::SourcesInUse));
    bench.now += std::time::Duration::from_secs(61);
    let (verdict, source) = knock(&mut bench, all);
    assert!(matches!(verdict, Verdict::ToServer { .. }) && seen.contains(&source), "{verdict:?}");
}

/// Kind 254, length 8, port, address: in the SYN and until the server has said more than its SYN.
#[test]
fn the_client_is_named_during_the_handshake() {
    for partial in [false, true] {
        let mut bench = Bench::v4(true);
        let vip = socket("10.0.0.100:80");
        let toa = |bench: &mut Bench, flags: &str| {
            let text =
                format!("IP 10.0.0.50>10.0.0.100 ttl 64 tos 0x0 id 1 TCP 1000>80 [{flags}] seq 1 ack 1 win 1 data 10");
            let mut packet = build::packet(&text);
            if partial {
                let pseudo = sum(&[], pseudo(&packet, 6, packet.len() - 20));
                packet[36..38].copy_from_slice(&pseudo.to_be_bytes());
            }
            match bench.receive(&mut packet, partial) {
                Verdict::Instead { address, packet } => {
                    assert_eq!(address, socket("10.1.0.1:8080").ip());
                    assert!(is_intact(&packet, Protocol::Tcp), "{}", describe::packet(&packet));
                    assert_eq!(packet[40..48], [254, 8, 0x03, 0xe8, 10, 0, 0, 50]);
                    assert_eq!((packet[32] >> 4, packet.len(), packet[3]), (7, 58, 58));
                    Some(ends(&packet).0)
                }
                Verdict::ToServer { .. } => None,
                other => panic!("{other:?}"),
            }
        };
        let source = toa(&mut bench, "S").unwrap();
        bench.segment(socket("10.1.0.1:8080"), source, "SA");
        assert!(toa(&mut bench, "A").is_some() && toa(&mut bench, "PA").is_some());
        bench.segment(socket("10.1.0.1:8080"), source, "A");
        assert_eq!(toa(&mut bench, "PA"), None);
        assert_eq!(bench.director.connection_count(), 1);
        assert_eq!(bench.segment(socket(CLIENT), vip, "PA").0, Verdict::ToServer { address: address("10.1.0.1") });
    }
}

#[test]
fn errors_pass_both_ways_without_the_other_sides_addresses() {
    let mut bench = Bench::v4(false);
    let (_, packet) = bench.segment(socket(CLIENT), socket("10.0.0.100:80"), "S");
    let source = ends(&packet).0;
    let (port, ip) = (source.port(), source.ip());
    let inner = format!("IP {ip}>10.1.0.1 ttl 63 tos 0x0 id 1 TCP {port}>8080 [S] seq 1 ack 1 win 1 data 10");
    let (verdict, packet) =
        bench.send(&format!("IP 10.1.0.77>{ip} ttl 64 tos 0x0 id 1 ICMP 3.4 rest 0x514 {{{inner}}}"));
    assert_eq!(verdict, Verdict::ToClient { hop: HopId(5) });
    let text = describe::packet(&packet);
    assert!(text.contains("IP 10.0.0.100>10.0.0.50 len") && text.contains("ICMP 3.4 rest 0x514 sum-ok"), "{text}");
    assert!(text.contains("{IP 10.0.0.50>10.0.0.100 ") && text.contains("TCP 1000>80"), "{text}");
    assert!(!text.contains("BADIPSUM"), "{text}");
    let inner = "IP 10.0.0.100>10.0.0.50 ttl 63 tos 0x0 id 1 TCP 80>1000 [A] seq 1 ack 1 win 1 data 10";
    let (verdict, packet) =
        bench.send(&format!("IP 10.0.0.50>10.0.0.100 ttl 64 tos 0x0 id 1 ICMP 3.2 rest 0x0 {{{inner}}}"));
    assert_eq!(verdict, Verdict::ToServer { address: address("10.1.0.1") });
    let text = describe::packet(&packet);
    assert!(text.contains(&format!("IP {ip}>10.1.0.1 len")) && text.contains("sum-ok"), "{text}");
    assert!(text.contains(&format!("{{IP 10.1.0.1>{ip} ")) && text.contains(&format!("TCP 8080>{port}")), "{text}");
}

#[test]
fn an_error_about_a_packet_that_did_not_fit_quotes_what_the_client_sent() {
    let mut bench = Bench::v4(false);
    let sent = "IP 10.0.0.50>10.0.0.100 ttl 64 tos 0x0 id 1 TCP 1000>80 [S] seq 1 ack 1 win 1 data 10";
    let (_, packet) = bench.send(sent);
    let reply = bench.director.error_reply(&packet, IcmpError::TooBig { mtu: 1300 }, bench.now).unwrap();
    let text = describe::packet(&reply);
    assert!(text.starts_with("IP 10.0.0.100>10.0.0.50 ") && text.contains("{IP 10.0.0.50>10.0.0.100 "), "{text}");
    assert!(text.contains("ttl 63") && text.contains("TCP 1000>80") && !text.contains("BADIPSUM"), "{text}");
}

#[test]
fn without_a_pool_of_its_family_it_is_refused() {
    let mut bench = Bench::v4(false);
    bench.config.full_nat = FullNat::default();
    bench.director.edit_service(bench.config.clone()).unwrap();
    let server = destination(socket("10.1.0.2:80"), Forwarding::FullNat);
    assert_eq!(bench.director.add_destination(&bench.config.id, server), Err(Error::NoSource));
    let (verdict, _) = bench.segment(socket(CLIENT), socket("10.0.0.100:80"), "S");
    assert_eq!(verdict, Verdict::Drop(DropReason::SourcesInUse));
}

#[test]
fn connections_keep_their_source_when_the_pool_changes() {
    let mut bench = Bench::v4(false);
    let vip = socket("10.0.0.100:80");
    let (_, before) = bench.segment(socket(CLIENT), vip, "S");
    bench.config.full_nat.sources = vec![(address("10.1.0.240"), address("10.1.0.240"))];
    bench.director.edit_service(bench.config.clone()).unwrap();
    let (_, after) = bench.segment(socket(CLIENT), vip, "A");
    assert_eq!(ends(&before), ends(&after));
    let (_, fresh) = bench.segment(socket("10.0.0.50:1001"), vip, "S");
    assert_eq!(ends(&fresh).0.ip(), address("10.1.0.240"));
    assert_eq!(bench.director.claims().sources, [address("10.1.0.240")]);
}

proptest! {
    #![proptest_config(crate::properties::config())]

    /// However large the pool: it is bounded and its addresses are in it.
    #[test]
    fn pools_are_bounded(first in any::<u128>(), last in any::<u128>()) {
        let v6 = |bits: u128| IpAddr::V6(bits.into());
        let mut director = Director::new(Options { connection_limit: 16, ..Options::default() });
        let mut config = service(Protocol::Tcp, socket("[fd00::100]:80"), SchedulerKind::Rr);
        config.full_nat.sources = vec![(v6(first), v6(last)); 3];
        director.add_service(config).unwrap();
        let sources = director.claims().sources;
        prop_assert!(sources.len() <= FullNat::MOST_ADDRESSES);
        prop_assert!(sources.iter().all(|source| v6(first) <= *source && *source <= v6(last)));
    }
}
