//! The PROXY protocol's header before a client's bytes: the server reads header and bytes, the client notices nothing.

use std::time::Instant;

use proptest::prelude::*;
use standfast_ipvs::{
    ClientTold, Director, DropReason, Forwarding, Frame, FullNat, HopId, Ingress, Options, Protocol, SchedulerKind,
    Verdict,
};

use crate::support::{build, describe, destination, header_length, pseudo, service, sum};

const SYN: u8 = 2;
const ACK: u8 = 16;
/// The client's and the server's first numbers are close to the end of the range.
const CLIENT: u32 = 0xffff_fff0;
const SERVER: u32 = 0xffff_ff00;

struct Bench {
    director: Director,
    v6: bool,
    partial: bool,
    /// The end that the server sees.
    source: Vec<u8>,
    now: Instant,
}

impl Bench {
    fn new(told: ClientTold, v6: bool, partial: bool) -> Bench {
        let [vip, server, pool] = match v6 {
            true => ["[fd00::100]:80", "[fd01::1]:8080", "fd01::f0"],
            false => ["10.0.0.100:80", "10.1.0.1:8080", "10.1.0.250"],
        };
        let mut director = Director::new(Options { connection_limit: 16, ..Options::default() });
        let mut config = service(Protocol::Tcp, vip.parse().unwrap(), SchedulerKind::Rr);
        let pool = pool.parse().unwrap();
        config.full_nat = FullNat { sources: vec![(pool, pool)], client: told };
        director.add_service(config.clone()).unwrap();
        director.add_destination(&config.id, destination(server.parse().unwrap(), Forwarding::FullNat)).unwrap();
        Bench { director, v6, partial, source: Vec::new(), now: Instant::now() }
    }

    /// A packet as it goes on; none if it is dropped.
    fn receive(&mut self, mut packet: Vec<u8>) -> Option<Vec<u8>> {
        let mut frame = Frame { packet: &mut packet, checksum_partial: self.partial, gso_size: 0 };
        match self.director.receive(&mut frame, Ingress { client_hop: HopId(5), mark: 0 }, self.now) {
            Verdict::ToServer { .. } | Verdict::ToClient { .. } => {
                assert!(self.partial || is_intact(&packet), "{}", describe::packet(&packet));
                Some(packet)
            }
            Verdict::Instead { packet, .. } => {
                assert!(is_intact(&packet), "{}", describe::packet(&packet));
                Some(packet.to_vec())
            }
            Verdict::Drop(_) => None,
            other => panic!("{other:?}"),
        }
    }

    fn client(&mut self, number: u32, flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let ends = if self.v6 { "fd00::50>fd00::100" } else { "10.0.0.50>10.0.0.100" };
        let packet = self.packet(ends, [1000, 80], number, SERVER + 1, flags, &[], payload);
        let out = self.receive(packet)?;
        let l4 = header_length(&out);
        self.source = if self.v6 { out[8..24].to_vec() } else { out[12..16].to_vec() };
        self.source.extend(&out[l4..l4 + 2]);
        Some(out)
    }

    fn server(&mut self, acknowledgement: u32, flags: u8, options: &[u8]) -> Vec<u8> {
        let port = u16::from_be_bytes(*self.source.last_chunk().unwrap());
        let ends = if self.v6 { "fd01::1>fd01::f0" } else { "10.1.0.1>10.1.0.250" };
        let packet = self.packet(ends, [8080, port], SERVER, acknowledgement, flags, options, b"answer");
        self.receive(packet).unwrap()
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a header")]
    fn packet(
        &self,
        ends: &str,
        ports: [u16; 2],
        number: u32,
        acknowledgement: u32,
        flags: u8,
        options: &[u8],
        payload: &[u8],
    ) -> Vec<u8> {
        let data = options.len() + payload.len();
        let ip = if self.v6 {
            format!("IP6 {ends} hlim 64 tc/fl 60000000")
        } else {
            format!("IP {ends} ttl 64 tos 0x0 id 1")
        };
        let [from, to] = ports;
        let mut packet = build::packet(&format!("{ip} TCP {from}>{to} [A] seq 1 ack 1 win 1 data {data}"));
        let l4 = header_length(&packet);
        packet[l4 + 4..l4 + 8].copy_from_slice(&number.to_be_bytes());
        packet[l4 + 8..l4 + 12].copy_from_slice(&acknowledgement.to_be_bytes());
        packet[l4 + 12] = 0x50 + ((options.len() as u8 / 4) << 4);
        packet[l4 + 13] = flags;
        packet[l4 + 20..].copy_from_slice(&[options, payload].concat());
        packet[l4 + 16..l4 + 18].fill(0);
        let pseudo = pseudo(&packet, 6, packet.len() - l4);
        let sum = if self.partial { sum(&[], pseudo) } else { !sum(&packet[l4..], pseudo) };
        packet[l4 + 16..l4 + 18].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn shake_hands(&mut self) {
        self.client(CLIENT, SYN, b"").unwrap();
        let answer = self.server(CLIENT.wrapping_add(1), SYN | ACK, &[]);
        assert_eq!(acknowledgement(&answer), CLIENT.wrapping_add(1));
    }
}

fn is_intact(packet: &[u8]) -> bool {
    let l4 = header_length(packet);
    let ip = packet[0] >> 4 == 6 || sum(&packet[..l4], 0) == 0xffff;
    ip && sum(&packet[l4..], pseudo(packet, 6, packet.len() - l4)) == 0xffff
}

fn long(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*packet[header_length(packet) + at..].first_chunk().unwrap())
}

fn number(packet: &[u8]) -> u32 {
    long(packet, 4)
}

fn acknowledgement(packet: &[u8]) -> u32 {
    long(packet, 8)
}

fn payload(packet: &[u8]) -> &[u8] {
    let l4 = header_length(packet);
    &packet[l4 + usize::from(packet[l4 + 12] >> 4) * 4..]
}

fn expected(told: ClientTold, v6: bool) -> Vec<u8> {
    match (told, v6) {
        (ClientTold::ProxyText, false) => b"PROXY TCP4 10.0.0.50 10.0.0.100 1000 80\r\n".to_vec(),
        (ClientTold::ProxyText, true) => b"PROXY TCP6 fd00::50 fd00::100 1000 80\r\n".to_vec(),
        (_, false) => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x32\x0a\0\0\x64\x03\xe8\0\x50".to_vec(),
        (_, true) => {
            let address = |last: [u8; 2]| [&[0xfd, 0][..], &[0; 12], &last].concat();
            let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
            [start, address([0, 0x50]), address([1, 0]), b"\x03\xe8\0\x50".to_vec()].concat()
        }
    }
}

fn variants() -> impl Iterator<Item = (ClientTold, bool, bool)> {
    let told = [ClientTold::ProxyText, ClientTold::ProxyBinary].into_iter();
    told.flat_map(|told| [(false, false), (false, true), (true, false), (true, true)].map(|(v6, p)| (told, v6, p)))
}

#[test]
fn the_header_comes_with_the_end_of_the_handshake() {
    for (told, v6, partial) in variants() {
        let mut bench = Bench::new(told, v6, partial);
        bench.shake_hands();
        let (first, header) = (CLIENT.wrapping_add(1), expected(told, v6));
        let ack = bench.client(first, ACK, b"").unwrap();
        assert_eq!((number(&ack), payload(&ack)), (first, &header[..]), "{told:?} {v6}");
        let shift = header.len() as u32;
        // It is acknowledged: the client hears of no byte of its own.
        let answer = bench.server(first.wrapping_add(shift), ACK, &[]);
        assert_eq!(acknowledgement(&answer), first);
        let data = bench.client(first, ACK, b"GET /").unwrap();
        assert_eq!((number(&data), payload(&data)), (first.wrapping_add(shift), &b"GET /"[..]));
        let answer = bench.server(first.wrapping_add(shift + 5), ACK, &[]);
        assert_eq!(acknowledgement(&answer), first.wrapping_add(5));
        let fin = bench.client(first.wrapping_add(5), ACK | 1, b"").unwrap();
        assert_eq!(number(&fin), first.wrapping_add(shift + 5));
    }
}

#[test]
fn the_header_comes_before_the_first_bytes_too() {
    for (told, v6, partial) in variants() {
        let mut bench = Bench::new(told, v6, partial);
        bench.shake_hands();
        let (first, header) = (CLIENT.wrapping_add(1), expected(told, v6));
        let both = [&header[..], b"GET /"].concat();
        for _ in 0..2 {
            let data = bench.client(first, ACK, b"GET /").unwrap();
            assert_eq!((number(&data), payload(&data)), (first, &both[..]));
        }
        // Too much for one packet: the header alone, and the client's bytes when they come again.
        let data = bench.client(first, ACK | 1, &[7; 1300]).unwrap();
        assert_eq!((number(&data), payload(&data)), (first, &header[..]));
        assert_eq!(data[header_length(&data) + 13] & 1, 0, "no FIN before all bytes");
        bench.server(first.wrapping_add(header.len() as u32), ACK, &[]);
        let data = bench.client(first, ACK | 1, &[7; 1300]).unwrap();
        assert_eq!((number(&data), payload(&data).len()), (first.wrapping_add(header.len() as u32), 1300));
    }
}

#[test]
fn bytes_of_a_syn_wait() {
    for (told, v6, partial) in variants() {
        let mut bench = Bench::new(told, v6, partial);
        let syn = bench.client(CLIENT, SYN, b"early").unwrap();
        assert_eq!((number(&syn), payload(&syn)), (CLIENT, &b""[..]));
    }
}

#[test]
fn selective_acknowledgements_are_moved() {
    for (told, v6, partial) in variants() {
        let mut bench = Bench::new(told, v6, partial);
        bench.shake_hands();
        let (first, shift) = (CLIENT.wrapping_add(1), expected(told, v6).len() as u32);
        bench.client(first, ACK, b"").unwrap();
        for padding in [2, 1] {
            let edges = [first, first.wrapping_add(shift + 100)].map(u32::to_be_bytes);
            let mut options = vec![1; padding];
            options.extend([5, 10]);
            options.extend(edges.concat());
            options.resize(12, 0);
            let answer = bench.server(first.wrapping_add(3), ACK, &options);
            let at = 20 + padding + 2;
            assert_eq!((long(&answer, at), long(&answer, at + 4)), (first, first.wrapping_add(100)));
            assert_eq!(acknowledgement(&answer), first, "a part of the header is nothing to the client");
        }
    }
}

#[test]
fn a_damaged_segment_is_not_made_right() {
    let mut bench = Bench::new(ClientTold::ProxyText, false, false);
    bench.shake_hands();
    let mut packet =
        bench.packet("10.0.0.50>10.0.0.100", [1000, 80], CLIENT.wrapping_add(1), SERVER, ACK, &[], b"GET /");
    *packet.last_mut().unwrap() ^= 1;
    assert_eq!(bench.receive(packet), None);
    assert_eq!(bench.director.counters().dropped(DropReason::TcpChecksum), 1);
}

#[test]
fn errors_quote_what_the_client_sent() {
    let mut bench = Bench::new(ClientTold::ProxyBinary, false, false);
    bench.shake_hands();
    let first = CLIENT.wrapping_add(1);
    bench.client(first, ACK, b"").unwrap();
    bench.server(first.wrapping_add(28), ACK, &[]);
    let data = bench.client(first, ACK, b"GET /").unwrap();
    let error = standfast_ipvs::IcmpError::TooBig { mtu: 1300 };
    let reply = bench.director.error_reply(&data, error, bench.now).unwrap();
    assert_eq!(u32::from_be_bytes(*reply[20 + 8 + 20 + 4..].first_chunk().unwrap()), first);
}

proptest! {
    #![proptest_config(crate::properties::config())]

    /// Segments come in any pieces, are lost and sent again: the server puts together the header and the client's bytes, and
    /// the client is told of no byte that it has not sent.
    #[test]
    fn a_lossy_way_keeps_the_stream(
        steps in proptest::collection::vec((0usize..400, 1usize..1500, any::<bool>(), any::<bool>()), 1..60),
        text in any::<bool>(),
        v6 in any::<bool>(),
        partial in any::<bool>(),
    ) {
        let told = if text { ClientTold::ProxyText } else { ClientTold::ProxyBinary };
        let mut bench = Bench::new(told, v6, partial);
        bench.shake_hands();
        let (first, header) = (CLIENT.wrapping_add(1), expected(told, v6));
        let stream: Vec<u8> = (0..4000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let whole = [&header[..], &stream].concat();
        let (mut received, mut known) = (vec![false; whole.len()], 0);
        for (back, length, arrives, answered) in steps {
            let from = known.min(stream.len()).saturating_sub(back);
            let to = (from + length).min(stream.len());
            let Some(out) = bench.client(first.wrapping_add(from as u32), ACK, &stream[from..to]) else { continue };
            if arrives {
                let start = number(&out).wrapping_sub(first) as usize;
                let bytes = payload(&out);
                prop_assert_eq!(bytes, &whole[start..start + bytes.len()]);
                received[start..start + bytes.len()].fill(true);
            }
            let gathered = received.iter().take_while(|there| **there).count();
            if answered {
                let answer = bench.server(first.wrapping_add(gathered as u32), ACK, &[]);
                let told = acknowledgement(&answer).wrapping_sub(first) as usize;
                prop_assert_eq!(told, gathered.saturating_sub(header.len()));
                known = known.max(told);
            }
        }
    }
}
