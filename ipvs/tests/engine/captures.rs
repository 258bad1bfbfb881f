//! Whole conversations captured around a director with Linux 6.1's IPVS: what the engine makes of the packets that came in is,
//! byte for byte, what the kernel sent.

#![expect(clippy::disallowed_types, reason = "a test reads its captures from files")]

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use crate::support::{destination, service};
use pcap_file::pcap::PcapReader;
use standfast_ipvs::{Director, Forwarding, Frame, HopId, Ingress, Options, Protocol, SchedulerKind, Tunnel, Verdict};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const VIP: [u8; 4] = [10, 0, 0, 100];
const SERVER: [u8; 4] = [10, 1, 0, 1];

/// The IP packets of a capture, without the padding of short frames.
fn packets(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/captures").join(format!("{name}.pcap"));
    let mut reader = PcapReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let data = packet.unwrap().data.into_owned();
        if data[12..14] == [8, 0] {
            let length = usize::from(u16::from_be_bytes([data[16], data[17]]));
            packets.push(data[14..14 + length].to_vec());
        }
    }
    packets
}

fn from(packets: Vec<Vec<u8>>, source: [u8; 4]) -> Vec<Vec<u8>> {
    packets.into_iter().filter(|packet| packet[12..16] == source).collect()
}

/// All packets of the conversation in an order in which they may have come: as they lie in the client's capture.
struct Conversation {
    director: Director,
    now: Instant,
}

impl Conversation {
    fn new(protocol: Protocol, server: &str, forwarding: Forwarding) -> Conversation {
        let mut director = Director::new(Options { connection_limit: 16, ..Options::default() });
        let port = if protocol == Protocol::Tcp { 80 } else { 53 };
        let config = service(protocol, SocketAddr::from((VIP, port)), SchedulerKind::Rr);
        director.add_service(config.clone()).unwrap();
        let server = SocketAddr::new(server.parse().unwrap(), port);
        director.add_destination(&config.id, destination(server, forwarding)).unwrap();
        Conversation { director, now: Instant::now() }
    }

    fn receive(&mut self, packet: &[u8]) -> (Verdict, Vec<u8>) {
        let mut bytes = packet.to_vec();
        let mut frame = Frame { packet: &mut bytes, checksum_partial: false, gso_size: 0 };
        let verdict = self.director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, self.now);
        (verdict, bytes)
    }
}

fn name(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Tcp { "tcp" } else { "udp" }
}

#[test]
fn nat() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut conversation = Conversation::new(protocol, "10.1.0.1", Forwarding::Nat);
        let front = packets(&format!("nat_{}.1-client", name(protocol)));
        let back = packets(&format!("nat_{}.3-director-back", name(protocol)));
        let mut to_server = from(back.clone(), CLIENT).into_iter();
        let mut answers = from(back, SERVER).into_iter();
        for packet in front {
            let (input, wanted) = match packet[12..16] == CLIENT {
                true => (packet, to_server.next().unwrap()),
                false => (answers.next().unwrap(), packet),
            };
            let (verdict, made) = conversation.receive(&input);
            assert!(matches!(verdict, Verdict::ToServer { .. } | Verdict::ToClient { .. }), "{verdict:?}");
            assert_eq!(made, wanted, "{protocol}");
        }
        assert_eq!((to_server.next(), answers.next()), (None, None));
    }
}

#[test]
fn direct_routing() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut conversation = Conversation::new(protocol, "10.0.0.60", Forwarding::Dr);
        let sent = from(packets(&format!("dr_{}.1-client", name(protocol))), CLIENT);
        let arrived = from(packets(&format!("dr_{}.4-server", name(protocol))), CLIENT);
        assert_eq!(sent.len(), arrived.len());
        for (packet, wanted) in sent.iter().zip(&arrived) {
            let (verdict, made) = conversation.receive(packet);
            assert_eq!(verdict, Verdict::ToServer { address: "10.0.0.60".parse().unwrap() });
            assert_eq!(&made, wanted, "{protocol}");
        }
    }
}

#[test]
fn tunnels() {
    let tunnel = Tunnel::default();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut conversation = Conversation::new(protocol, "10.1.0.1", Forwarding::Tunnel(tunnel));
        let sent = from(packets(&format!("tun_{}.1-client", name(protocol))), CLIENT);
        let outer = packets(&format!("tun_{}.2-director-front", name(protocol)));
        let outer: Vec<_> = outer.into_iter().filter(|packet| packet[9] == 4).collect();
        assert_eq!(sent.len(), outer.len());
        for (packet, wanted) in sent.iter().zip(&outer) {
            let (verdict, made) = conversation.receive(packet);
            let Verdict::Encapsulate { address, tunnel, path_mtu: None } = verdict else { panic!("{verdict:?}") };
            let local = IpAddr::from([10, 0, 0, 254]);
            let headers = tunnel.headers(&made, local, address, u16::from_be_bytes([wanted[4], wanted[5]])).unwrap();
            assert_eq!(&[&headers[..], &made].concat(), wanted, "{protocol}");
        }
    }
}
