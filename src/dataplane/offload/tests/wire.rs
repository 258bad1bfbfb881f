//! Frames put on a real cable: what arrives on the other side of the director, with offloads that test runs do not have.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use standfast_ipvs::{Forwarding, Protocol};
use standfast_labkit::{Host, Lab, eventually};

use super::super::{Carriage, Carrier, Programs};
use super::bench::{NEIGHBOUR, SENDER, TARGET, ports, returning};
use super::director::{Connected, cases};
use super::frames::{ACK, Frame};
use super::opened;
use crate::dataplane::packet_socket::{
    RingLayout, attach_ebpf, attach_filter, link_address, open_receiver, open_sender,
};
use crate::dataplane::ring::{Ring, SendQueue, VIRTIO_LEN};

const EVERYTHING: u32 = 0x4_0000;
const PATIENCE: Duration = Duration::from_secs(8);
const LAYOUT: RingLayout = RingLayout { block_size: 1 << 16, block_count: 8, frame_size: 1 << 13, frame_count: 64 };

/// client eth0 - eth0 director eth1 - eth0 server; nobody has an address.
pub(super) struct Wire {
    client: Host,
    _server: Host,
    director: Host,
    pub(super) carrier: Carrier,
    pub(super) programs: Programs,
    pub(super) filter: OwnedFd,
    pub(super) interfaces: (u32, u32),
    /// What the director's engine would get, and what comes to the server.
    rings: [Ring; 2],
    _lab: Lab,
}

impl Wire {
    pub(super) fn open() -> Option<Wire> {
        let (lab, director, mut programs, carrier) = opened(4)?;
        let [client, server] = ["client", "server"].map(|name| lab.host(name).unwrap());
        for host in [&client, &server, &director] {
            host.sysctl("net.ipv6.conf.all.disable_ipv6", "1").unwrap();
            host.sysctl("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
        }
        lab.cable(&client, "eth0", &director, "eth0").unwrap();
        lab.cable(&director, "eth1", &server, "eth0").unwrap();
        director.ip("link set eth0 address 02:00:00:00:00:01").unwrap();
        for (host, interface) in [(&client, "eth0"), (&director, "eth0"), (&director, "eth1"), (&server, "eth0")] {
            host.ip(&format!("link set {interface} mtu 9000")).unwrap();
        }
        let index = |name: &'static str| director.enter(|| if_nametoindex(name)).unwrap().unwrap();
        let interfaces = (index("eth0"), index("eth1"));
        director.enter(|| programs.follow(&ports(&[interfaces.0, interfaces.1]))).unwrap();
        let ring = |host: &Host| {
            let socket = host.enter(|| open_receiver(LAYOUT, 1 << 20)).unwrap().unwrap();
            attach_filter(&socket, &[returning(EVERYTHING)]).unwrap();
            socket
        };
        let filter = programs.filter(&[returning(EVERYTHING)]).unwrap();
        let sockets = [ring(&director), ring(&server)];
        attach_ebpf(&sockets[0], &filter).unwrap();
        let rings = sockets.map(|socket| Ring::map(socket, LAYOUT).unwrap());
        Some(Wire { client, _server: server, director, carrier, programs, filter, interfaces, rings, _lab: lab })
    }

    /// Sends frames, with their virtio-net headers, from the client's side.
    pub(super) fn send(&self, frames: &[(Vec<u8>, Vec<u8>)]) {
        let send = || {
            let index = if_nametoindex("eth0")?;
            let socket = open_sender(false, 1 << 20)?;
            let refused = |number: usize, error: io::Error| panic!("frame {number}: {error}");
            let with_address = frames.iter().map(|(header, frame)| {
                let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
                ([&header[..], &frame[..]], link_address(index, ethertype))
            });
            SendQueue::new(64).send(&socket, with_address, refused);
            io::Result::Ok(())
        };
        self.client.enter(send).unwrap().unwrap();
    }

    /// The next frame from or to our addresses that one of the rings gets, with its virtio-net header.
    fn next(&mut self, ring: usize, what: &str) -> Vec<u8> {
        let ring = &mut self.rings[ring];
        let mut found = None;
        eventually(PATIENCE, what, || {
            while let Some(info) = ring.info(0) {
                let mut frame = ring.frame(0, &info).to_vec();
                if info.queued {
                    let (mut buffers, mut lengths) = ([vec![0; 70_000]], [0]);
                    assert_eq!(ring.fetch(&mut buffers, &mut lengths), 1);
                    frame = buffers[0][..lengths[0]].to_vec();
                }
                ring.release(1);
                if [SENDER, NEIGHBOUR].iter().any(|mac| frame.get(VIRTIO_LEN + 6..VIRTIO_LEN + 12) == Some(mac)) {
                    found = Some(frame);
                    return true;
                }
            }
            false
        });
        found.unwrap()
    }
}

/// The header of a frame whose checksum the interface finishes, and which is a superpacket unless `segment` is 0.
fn virtio(frame: &Frame, segment: u16) -> Vec<u8> {
    let transport = frame.transport() as u16;
    let (kind, headers) = match (segment, frame.protocol) {
        (0, _) => (0, 0),
        (_, 17) => (5, transport + 8),
        _ => (if frame.source.is_ipv6() { 4 } else { 1 }, transport + 20),
    };
    let offset = (frame.checksum() - frame.transport()) as u16;
    let mut header = vec![1, kind];
    header.extend([headers, segment, transport, offset].map(u16::to_ne_bytes).concat());
    header
}

/// Header and frame without what only this machine reads: how much is headers.
fn comparable(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let (header, frame) = bytes.split_at(VIRTIO_LEN);
    ([&header[..2], &header[4..]].concat(), frame)
}

#[test]
fn partial_checksums_and_superpackets_leave_as_the_engine_would_send_them() {
    let Some(mut wire) = Wire::open() else { return };
    for (protocol, v6, forwarding, direction) in cases() {
        let mut connected = Connected::new(protocol, v6, forwarding);
        let (flow, way) = connected.flow(direction, wire.interfaces);
        assert!(wire.carrier.add(0, &flow, &way));
        for (payload, segment) in [(0, 0), (1, 0), (777, 0), (5000, 1000), (40_001, 1400)] {
            let frame = Frame { payload: vec![payload as u8; payload], ..connected.plain(direction, ACK) };
            let (header, bytes) = (virtio(&frame, segment), frame.partial());
            wire.send(&[(header.clone(), bytes.clone())]);
            let what = format!("{protocol} IPv6 {v6} {forwarding:?} direction {direction} payload {payload}");
            let arrived = wire.next(1, &what);
            let sent = connected.forward_bytes(bytes.clone(), true).unwrap();
            let expected = [&header[..], &TARGET, &SENDER, &bytes[12..14], &sent].concat();
            assert_eq!(comparable(&arrived), comparable(&expected), "{what}");
        }
        wire.carrier.remove(0);
    }
    assert!(wire.rings[0].info(0).is_none(), "the engine sees nothing of it");
}

#[test]
fn checksums_are_finished_where_the_way_out_cannot() {
    let Some(mut wire) = Wire::open() else { return };
    if let Err(reason) = standfast_labkit::require_tools(&["ethtool"]) {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    wire.director.run_checked("ethtool", "-K eth1 tx off").unwrap();
    for (protocol, v6) in [(Protocol::Tcp, false), (Protocol::Tcp, true), (Protocol::Udp, false), (Protocol::Udp, true)]
    {
        let mut connected = Connected::new(protocol, v6, Forwarding::FullNat);
        let (flow, way) = connected.flow(0, wire.interfaces);
        assert!(wire.carrier.add(0, &flow, &way));
        let frame = Frame { payload: vec![3; 333], ..connected.plain(0, ACK) };
        wire.send(&[(virtio(&frame, 0), frame.partial())]);
        let (source, destination) = (way.source, way.destination);
        let expected = Frame { target: TARGET, sender: SENDER, hops: 63, source, destination, ..frame };
        assert_eq!(&wire.next(1, "a finished frame")[VIRTIO_LEN..], expected.bytes(), "{protocol} IPv6 {v6}");
        wire.carrier.remove(0);
    }
}

/// A frame longer than a page lies in pages but for its Ethernet header, when its sender does not say how long its headers are.
#[test]
fn headers_are_found_wherever_they_lie() {
    let Some(mut wire) = Wire::open() else { return };
    for (protocol, v6) in [(Protocol::Tcp, false), (Protocol::Udp, true)] {
        let mut connected = Connected::new(protocol, v6, Forwarding::Nat);
        let (flow, way) = connected.flow(0, wire.interfaces);
        assert!(wire.carrier.add(0, &flow, &Carriage { mtu: 9000, ..way }));
        let frame = Frame { payload: vec![5; 6000], ..connected.plain(0, ACK) };
        wire.send(&[(vec![0; VIRTIO_LEN], frame.bytes())]);
        let (source, destination) = (way.source, way.destination);
        let expected = Frame { target: TARGET, sender: SENDER, hops: 63, source, destination, ..frame };
        assert!(wire.next(1, "a long frame")[VIRTIO_LEN..] == expected.bytes(), "{protocol} IPv6 {v6}");
        wire.carrier.remove(0);
    }
}

#[test]
fn the_end_of_a_connection_is_the_engines_and_so_is_all_behind_it() {
    let Some(mut wire) = Wire::open() else { return };
    let mut connected = Connected::new(Protocol::Tcp, false, Forwarding::Nat);
    let (flow, way) = connected.flow(0, wire.interfaces);
    assert!(wire.carrier.add(0, &flow, &way));
    let plain = connected.plain(0, ACK);
    let numbered = |identification, flags| Frame { identification, flags, ..plain.clone() }.bytes();
    let sent = [numbered(1, ACK), numbered(2, ACK | 1), numbered(3, ACK)];
    wire.send(&sent.clone().map(|frame| (vec![0; VIRTIO_LEN], frame)));
    let arrived = wire.next(1, "what came before the FIN");
    assert_eq!(arrived[VIRTIO_LEN + 18..][..2], [0, 1]);
    assert_eq!(wire.next(0, "the FIN")[VIRTIO_LEN..], sent[1]);
    assert_eq!(wire.next(0, "what came behind it")[VIRTIO_LEN..], sent[2]);
    assert!(!wire.carrier.is_carried(0));
    assert_eq!(wire.carrier.tally(0).packets, 1);
}

#[test]
fn a_port_that_is_let_go_carries_nothing_and_keeps_no_packet() {
    let Some(mut wire) = Wire::open() else { return };
    let mut connected = Connected::new(Protocol::Udp, true, Forwarding::Nat);
    let (flow, way) = connected.flow(0, wire.interfaces);
    assert!(wire.carrier.add(0, &flow, &way));
    let second = wire.interfaces.1;
    wire.director.enter(|| wire.programs.follow(&ports(&[second]))).unwrap();
    assert!(!wire.carrier.is_carried(0) && !wire.carrier.carries_on(wire.interfaces.0));
    assert!(!wire.carrier.add(0, &flow, &way));
    let frame = connected.plain(0, ACK).bytes();
    wire.send(&[(vec![0; VIRTIO_LEN], frame.clone())]);
    assert_eq!(wire.next(0, "the frame")[VIRTIO_LEN..], frame);
    assert!(wire.rings[1].info(0).is_none());
}
