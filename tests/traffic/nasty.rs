//! Frames that no stack sends, over a real cable, while the daemon forwards and keeps its virtual address.

use super::common::site::{NOTICED, Site, TCP_CHECK};
use standfast::netlink::PacketSocket;
use standfast_labkit::{Host, eventually};

/// Times that each frame is sent, so that the queues see them together.
const ROUNDS: usize = 50;

pub fn nasty_packets_change_nothing() {
    let site = Site::nat("nasty", 2);
    let _web = site.web_servers();
    let service = |address: &str, protocol: &str, port: u16| {
        let server = if address.contains(':') { "fd08::21" } else { "10.8.0.21" };
        format!(
            "virtual_server {address} {port} {{\n lb_algo rr\n lb_kind NAT\n protocol {protocol}\n \
             real_server {server} {port} {{\n }}\n }}\n"
        )
    };
    let vrrp = "vrrp_instance VI_1 {\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 200\n \
                advert_int 0.1\n virtual_ipaddress {\n 10.7.0.200\n }\n }\n";
    let six =
        "virtual_server fd07::100 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server fd08::21 80 {\n }\n }\n";
    site.director.ip("addr add fd07::100/64 dev eth0 nodad").unwrap();
    let config = site.service("rr", "", TCP_CHECK)
        + &service("10.7.0.100", "UDP", 53)
        + &service("10.7.0.100", "SCTP", 9)
        + six
        + vrrp;
    let mut daemon = site.start(&config);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    eventually(NOTICED, "the virtual address", || site.director.has_address("eth0", "10.7.0.200"));
    let transitions = |log: &str| log.matches("STATE").count();
    let before = transitions(&daemon.log());
    let frames = frames(link_address(&site.director), link_address(&site.client));
    site.client.enter(|| send(&frames)).unwrap();
    site.await_tally(10, &[("web1", 5), ("web2", 5)]);
    let log = daemon.log();
    assert_eq!(transitions(&log), before, "{log}");
    assert!(!log.contains("starts anew") && !log.contains("panicked"), "{log}");
    assert!(site.director.has_address("eth0", "10.7.0.200"));
    assert_eq!(daemon.stop(), 0);
}

fn send(frames: &[Vec<u8>]) {
    let interface = nix::net::if_::if_nametoindex("eth0").unwrap();
    let socket = PacketSocket::open().unwrap();
    for _ in 0..ROUNDS {
        for frame in frames {
            // A full queue, or a frame that the interface itself refuses, is no fault of the director.
            let _ = socket.send(interface, frame);
        }
    }
}

fn link_address(host: &Host) -> [u8; 6] {
    let listing = host.run_checked("ip", "-o link show dev eth0").unwrap();
    let text = listing.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    let octets: Vec<u8> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    octets.try_into().unwrap()
}

/// All frames, each with its Ethernet header.
fn frames(to: [u8; 6], from: [u8; 6]) -> Vec<Vec<u8>> {
    let four = packets().into_iter().map(|packet| ([8, 0], packet));
    let six = packets6().into_iter().map(|packet| ([0x86, 0xdd], packet));
    // The type says one family, the packet another.
    let crossed = [([0x86, 0xdd], ipv4(6, 0x4000, &tcp(80, 0x50, 2))), ([8, 0], ipv6(6, &tcp(80, 0x50, 2)))];
    let frame = |(kind, packet): ([u8; 2], Vec<u8>)| [&to[..], &from, &kind, &packet].concat();
    four.chain(six).chain(crossed).map(frame).collect()
}

fn packets() -> Vec<Vec<u8>> {
    let whole = ipv4(6, 0x4000, &tcp(80, 0x50, 2));
    let changed = |at: usize, value: u8| mended(with(&whole, at, value));
    let datagram = ipv4(17, 0, &udp(53, 16));
    let error = |inner: &[u8]| ipv4(1, 0, &icmp(3, 4, inner));
    let own_error = error(&whole);
    let mut long_options = vec![0x4f];
    long_options.extend(&whole[1..20]);
    long_options.extend([[0x83, 40, 4, 10, 7, 0].as_slice(), &[7; 34]].concat());
    long_options.extend(&whole[20..]);
    vec![
        changed(0, 0x40),
        changed(0, 0x44),
        changed(0, 0x4f),
        changed(0, 0x75),
        changed(2, 0xff),
        mended(with(&with(&whole, 2, 0), 3, 10)),
        with(&whole, 10, whole[10] ^ 0xff),
        changed(8, 0),
        changed(9, 255),
        whole[..10].to_vec(),
        whole[..21].to_vec(),
        mended(long_options),
        ipv4(6, 0x4000, &tcp(80, 0x00, 2)),
        ipv4(6, 0x4000, &tcp(80, 0xf0, 2)),
        ipv4(6, 0x4000, &tcp(80, 0x50, 0xff)),
        ipv4(6, 0x4000, &tcp(80, 0x50, 0)),
        ipv4(6, 0x4000, &with(&tcp(80, 0x60, 2), 20, 1)[..22]),
        ipv4(17, 0, &udp(53, 0)),
        ipv4(17, 0, &udp(53, 7)),
        ipv4(17, 0, &udp(53, 60_000)),
        ipv4(17, 0, &[0, 53]),
        ipv4(132, 0, &[0, 9, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0]),
        // Fragments: a tiny first one, overlapping ones, a teardrop, one that ends past 65,535, a thousand of nothing.
        ipv4(6, 0x2000, &tcp(80, 0x50, 2)[..8]),
        ipv4(6, 0x2001, &tcp(80, 0x50, 2)[8..16]),
        ipv4(17, 0x2000, &datagram[20..]),
        ipv4(17, 0x0001, &datagram[20..]),
        ipv4(17, 0x0002, &[0; 4]),
        ipv4(17, 0x1fff, &[0xaa; 1400]),
        ipv4(17, 0x2003, &[]),
        // Errors about errors, about themselves, about next to nothing, with a length that lies.
        error(&own_error),
        error(&whole[..20]),
        error(&whole[..8]),
        error(&[]),
        error(&with(&whole, 0, 0x4f)),
        error(&swapped(&whole)),
        ipv4(1, 0, &with(&icmp(3, 4, &whole), 2, 1)),
        // The director's own addresses as senders.
        mended(with(&with(&whole, 15, 100), 14, 0)),
        mended(with(&with(&whole, 12, 127), 15, 1)),
        mended([&whole[..12], &[224, 0, 0, 18], &whole[16..]].concat()),
        // What is left of a VRRP advert.
        ipv4(112, 0, &[0x21, 51, 255]),
    ]
}

fn packets6() -> Vec<Vec<u8>> {
    let segment = tcp(80, 0x50, 2);
    let whole = ipv6(6, &segment);
    let chain = |first: u8, headers: &[u8]| ipv6(first, &[headers, &segment].concat());
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let many = (0..40).flat_map(|_| options(60)).chain(options(6)).collect::<Vec<_>>();
    vec![
        with(&whole, 4, 0xff),
        with(&whole, 5, 3),
        whole[..39].to_vec(),
        chain(0, &options(6)),
        chain(60, &many),
        chain(60, &[6, 255, 1, 4, 0, 0, 0, 0]),
        // Routing headers of type 0 and 4, and one that points behind itself.
        chain(43, &[&[6, 2, 0, 1, 0, 0, 0, 0][..], &[0xfd; 16]].concat()),
        chain(43, &[&[6, 2, 4, 200, 0, 0, 0, 0][..], &[0xfd; 16]].concat()),
        chain(43, &[6, 0, 0, 255, 0, 0, 0, 0]),
        // A jumbogram: no length but an option that has one.
        with(&with(&chain(0, &[6, 0, 0xc2, 4, 0, 1, 0, 0]), 4, 0), 5, 0),
        // Fragments: atomic, tiny, overlapping, without an end, with odd length.
        chain(44, &[6, 0, 0, 0, 0, 0, 0, 1]),
        ipv6(44, &[&[6, 0, 0, 1, 0, 0, 0, 2][..], &segment[..8]].concat()),
        ipv6(44, &[&[6, 0, 0, 8, 0, 0, 0, 2][..], &segment[..16]].concat()),
        ipv6(44, &[&[6, 0, 0xff, 0xf9, 0, 0, 0, 2][..], &segment[..13]].concat()),
        ipv6(44, &[6, 0, 0]),
        chain(51, &[6, 4, 0, 0, 0, 0, 0, 1]),
        chain(59, &[]),
        ipv6(58, &icmp(2, 0, &whole)),
        ipv6(58, &icmp(1, 4, &ipv6(58, &icmp(2, 0, &whole)))),
        ipv6(58, &icmp(2, 0, &whole[..20])),
    ]
}

fn with(packet: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at] = value;
    packet
}

/// Ends exchanged, as a packet is quoted by one who got the answer.
fn swapped(packet: &[u8]) -> Vec<u8> {
    let ends = [&packet[16..20], &packet[12..16]].concat();
    mended([&packet[..12], &ends, &packet[22..24], &packet[20..22], &packet[24..]].concat())
}

/// From the client to the virtual address; `flags` are the flags and the offset.
fn ipv4(protocol: u8, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(flags.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 7, 0, 1, 10, 7, 0, 100]);
    packet.extend(payload);
    mended(packet)
}

/// With a right header checksum, as far as there is a header.
fn mended(mut packet: Vec<u8>) -> Vec<u8> {
    let end = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len().max(20));
    packet[10..12].fill(0);
    let words = packet[..end.min(packet.len())]
        .chunks(2)
        .map(|word| u32::from_be_bytes([0, 0, word[0], *word.get(1).unwrap_or(&0)]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let address = |last: u8| {
        [
            0xfd,
            7,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            if last == 100 { 1 } else { 0 },
            if last == 100 { 0 } else { last },
        ]
    };
    let length = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &address(1), &address(100), payload].concat()
}

/// `offset` is the octet of the data offset.
fn tcp(port: u16, offset: u8, flags: u8) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![0x30, 0x39, high, low, 0, 0, 0, 1, 0, 0, 0, 0, offset, flags, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4]
}

/// With a length that may lie; 8 bytes follow the header.
fn udp(port: u16, length: u16) -> Vec<u8> {
    let ([high, low], [long, short]) = (port.to_be_bytes(), length.to_be_bytes());
    vec![0x30, 0x39, high, low, long, short, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
}

fn icmp(kind: u8, code: u8, inner: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 5, 0];
    message.extend(inner);
    let words = message.chunks(2).map(|word| u32::from_be_bytes([0, 0, word[0], *word.get(1).unwrap_or(&0)]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}
