//! Whatever the kernel carries leaves it as the userspace engine would have sent it, byte for byte.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use standfast_ipvs::{
    DestinationConfig, Director, Forwarding, Frame as Packet, FullNat, HopId, Ingress, Options, Protocol,
    SchedulerFlags, SchedulerKind, ServiceConfig, ServiceKey, Verdict,
};

use super::super::{Carriage, Flow};
use super::bench::{Bench, Fate, HERE, NEIGHBOUR, SENDER, TARGET};
use super::frames::{ACK, Frame};

const SYN: u8 = 2;
const METHODS: [Forwarding; 3] = [Forwarding::Nat, Forwarding::Dr, Forwarding::FullNat];

/// A director with one connection, and its two directions as they arrive.
pub(super) struct Connected {
    director: Director,
    pub(super) protocol: u8,
    /// From the client, and from the server if that comes back through the director.
    pub(super) directions: Vec<(SocketAddr, SocketAddr)>,
}

impl Connected {
    pub(super) fn new(protocol: Protocol, v6: bool, forwarding: Forwarding) -> Connected {
        let [client, address, server, local] = match v6 {
            false => ["192.0.2.1:40000", "198.51.100.1:80", "203.0.113.1:8080", "203.0.113.254:0"],
            true => ["[2001:db8::1]:40000", "[2001:db8:1::1]:80", "[2001:db8:2::1]:8080", "[2001:db8:2::fe]:0"],
        };
        let [client, address, server, local] =
            [client, address, server, local].map(|text| text.parse::<SocketAddr>().unwrap());
        let mut director = Director::new(Options { connection_limit: 16, ..Options::default() });
        let id = ServiceKey { protocol, address: address.ip(), port: address.port() }.into();
        let full_nat = FullNat { sources: vec![(local.ip(), local.ip())], ..FullNat::default() };
        let (scheduler, flags, persistence) = (SchedulerKind::Rr, SchedulerFlags::default(), None);
        let config = ServiceConfig { id, scheduler, flags, persistence, one_packet: false, full_nat };
        director.add_service(config).unwrap();
        let port = if forwarding == Forwarding::Dr { address.port() } else { server.port() };
        let (weight, upper_threshold, lower_threshold) = (1, 0, 0);
        let address_of_server = server.ip();
        let config = DestinationConfig {
            address: address_of_server,
            port,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        };
        director.add_destination(&id, config).unwrap();
        let mut connected = Connected { director, protocol: protocol.number(), directions: vec![(client, address)] };
        connected.connect(forwarding);
        connected
    }

    /// The handshake, or one datagram each way.
    fn connect(&mut self, forwarding: Forwarding) {
        let sent = self.forward(&self.plain(0, SYN)).unwrap();
        if forwarding != Forwarding::Dr {
            self.directions.push((ends(&sent).1, ends(&sent).0));
            self.forward(&self.plain(1, SYN | ACK)).unwrap();
        }
        self.forward(&self.plain(0, ACK)).unwrap();
    }

    pub(super) fn plain(&self, direction: usize, flags: u8) -> Frame {
        let (source, destination) = self.directions[direction];
        let (target, sender, protocol) = (HERE, NEIGHBOUR, self.protocol);
        let payload = b"bytes".to_vec();
        Frame { target, sender, protocol, source, destination, hops: 64, flags, identification: 1, payload }
    }

    /// The packet as the engine sends it on, without its Ethernet header.
    pub(super) fn forward(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        self.forward_bytes(frame.bytes(), false)
    }

    pub(super) fn forward_bytes(&mut self, mut bytes: Vec<u8>, checksum_partial: bool) -> Option<Vec<u8>> {
        let packet = &mut bytes[14..];
        let ingress = Ingress { client_hop: HopId(1), mark: 0 };
        let mut frame = Packet { packet, checksum_partial, gso_size: 0 };
        let verdict = self.director.receive(&mut frame, ingress, Instant::now());
        matches!(verdict, Verdict::ToServer { .. } | Verdict::ToClient { .. }).then(|| bytes[14..].to_vec())
    }

    /// A direction's flow, and its way as the engine's rewriting shows it.
    pub(super) fn flow(&mut self, direction: usize, interfaces: (u32, u32)) -> (Flow, Carriage) {
        let (source, destination) = self.directions[direction];
        let (protocol, neighbour) = (self.protocol, NEIGHBOUR);
        let flow = Flow { protocol, source, destination, interface: interfaces.0, neighbour };
        let sent = self.forward(&self.plain(direction, ACK)).unwrap();
        let (source, destination) = ends(&sent);
        let interface = interfaces.1;
        (flow, Carriage { source, destination, interface, target: TARGET, sender: SENDER, mtu: 1500 })
    }
}

/// Source and destination of a packet.
fn ends(packet: &[u8]) -> (SocketAddr, SocketAddr) {
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    if packet[0] >> 4 == 6 {
        let address = |at: usize| std::net::Ipv6Addr::from(*packet[at..].first_chunk::<16>().unwrap());
        ((address(8), port(40)).into(), (address(24), port(42)).into())
    } else {
        let address = |at: usize| std::net::Ipv4Addr::from(*packet[at..].first_chunk::<4>().unwrap());
        ((address(12), port(20)).into(), (address(16), port(22)).into())
    }
}

/// Every protocol, family, method and direction.
pub(super) fn cases() -> impl Iterator<Item = (Protocol, bool, Forwarding, usize)> {
    let protocols = [Protocol::Tcp, Protocol::Udp].into_iter();
    let families = protocols.flat_map(|protocol| [false, true].map(|v6| (protocol, v6)));
    let methods = families.flat_map(|(protocol, v6)| METHODS.map(|method| (protocol, v6, method)));
    methods.flat_map(|(protocol, v6, method)| {
        let directions = if method == Forwarding::Dr { 1 } else { 2 };
        (0..directions).map(move |direction| (protocol, v6, method, direction))
    })
}

/// What is changed in a plain packet: the values of single bytes, or one bit of one of the first headers.
pub(super) fn mutations() -> impl Strategy<Value = (u8, u8, u16, Vec<u8>, Option<(usize, u8)>)> {
    let flags = prop_oneof![4 => Just(ACK), 2 => Just(ACK | 8), 1 => Just(ACK | 0xc0), 1 => any::<u8>()];
    let bit = proptest::option::weighted(0.4, (14usize..74, 0u8..8));
    let payload = proptest::collection::vec(any::<u8>(), 0..80);
    (any::<u8>(), flags, any::<u16>(), payload, bit)
}

#[test]
fn what_is_carried_is_what_the_engine_would_have_sent() {
    let Some(bench) = Bench::open().map(RefCell::new) else { return };
    let carried = Cell::new(0);
    for (protocol, v6, forwarding, direction) in cases() {
        let interface = bench.borrow().interface;
        let connected = RefCell::new(Connected::new(protocol, v6, forwarding));
        let (flow, way) = connected.borrow_mut().flow(direction, (interface, interface));
        let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
        let result = runner.run(&mutations(), |(hops, flags, identification, payload, bit)| {
            let (mut bench, mut connected) = (bench.borrow_mut(), connected.borrow_mut());
            bench.carry(0, &flow, &way);
            let plain = connected.plain(direction, flags);
            let mut bytes = Frame { hops, flags, identification, payload, ..plain }.bytes();
            if let Some((byte, bit)) = bit.and_then(|(at, bit)| bytes.get_mut(at).map(|byte| (byte, bit))) {
                *byte ^= 1 << bit;
            }
            if let Fate::Carried(out) = bench.run(&bytes, 0) {
                let sent = connected.forward_bytes(bytes, false);
                let ethertype = if v6 { [0x86, 0xdd] } else { [8, 0] };
                let expected = sent.map(|sent| [&TARGET[..], &SENDER, &ethertype, &sent].concat());
                prop_assert_eq!(Some(out), expected);
                carried.set(carried.get() + 1);
            }
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{protocol} IPv6 {v6} {forwarding:?} direction {direction}: {error}"));
    }
    assert!(carried.get() > 500, "only {} packets were carried", carried.get());
}
