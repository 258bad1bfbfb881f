//! Which packets are carried, and what of them changes.

use std::net::SocketAddr;

use super::super::{Carriage, Flow};
use super::bench::{Bench, Fate, NEIGHBOUR, SENDER, TARGET};
use super::frames::{Frame, sum};

/// What a packet looks like when it has been carried: as a sender of its new addresses would have made it.
fn carried(frame: &Frame, way: &Carriage) -> Fate {
    let (source, destination) = (way.source, way.destination);
    Fate::Carried(
        Frame { target: TARGET, sender: SENDER, hops: frame.hops - 1, source, destination, ..frame.clone() }.bytes(),
    )
}

/// Puts the right sum into the IPv4 header.
fn seal(bytes: &mut [u8]) {
    bytes[24..26].fill(0);
    let sum = !sum(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn plain_packets_are_carried_and_rewritten() {
    let Some(mut bench) = Bench::open() else { return };
    for (protocol, v6) in [(6, false), (6, true), (17, false), (17, true)] {
        let (flow, way) = bench.nat(protocol, v6);
        bench.carry(0, &flow, &way);
        for payload in [0, 1, 1000] {
            let frame = Frame { payload: vec![7; payload], ..Bench::packet(&flow) };
            assert_eq!(bench.run(&frame.bytes(), 0), carried(&frame, &way), "{frame:?}");
        }
        let tally = bench.carrier.tally(0);
        let headers = if v6 { 40 } else { 20 } + if protocol == 6 { 20 } else { 8 };
        assert_eq!((tally.packets, tally.bytes), (3, 3 * headers + 1001));
        assert!(tally.latest.is_some_and(|latest| latest.elapsed().as_secs() < 5), "{tally:?}");
        bench.carrier.remove(0);
        bench.carrier.clear(0);
    }
}

#[test]
fn every_kind_of_rewriting() {
    let Some(mut bench) = Bench::open() else { return };
    let end = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (protocol, v6) in [(6, false), (6, true), (17, false), (17, true)] {
        let (flow, nat) = bench.nat(protocol, v6);
        let local = if v6 { end("[2001:db8:3::1]:1025") } else { end("203.0.113.254:1025") };
        let direct = Carriage { source: flow.source, destination: flow.destination, ..nat };
        let same_port = SocketAddr::new(nat.destination.ip(), flow.destination.port());
        let ways = [
            nat,
            direct,
            Carriage { source: local, ..nat },
            Carriage { destination: same_port, ..nat },
            Carriage { destination: SocketAddr::new(flow.destination.ip(), 81), ..nat },
            Carriage { source: flow.destination, destination: flow.source, ..nat },
        ];
        for way in ways {
            bench.carry(1, &flow, &way);
            let frame = Bench::packet(&flow);
            assert_eq!(bench.run(&frame.bytes(), 0), carried(&frame, &way), "{way:?}");
        }
    }
}

#[test]
fn whatever_is_not_plain_is_left_to_the_engine() {
    let Some(mut bench) = Bench::open() else { return };
    type Change = (&'static str, fn(&mut Vec<u8>));
    let v4: [Change; 12] = [
        ("another neighbour", |b| b[11] ^= 1),
        ("another host's", |b| b[5] ^= 1),
        ("version", |b| b[14] = 0x55),
        ("an option", |b| b[14] = 0x46),
        ("a first fragment", |b| {
            b[20] |= 0x20;
            seal(b);
        }),
        ("a later fragment", |b| {
            b[21] = 1;
            seal(b);
        }),
        ("a reserved bit", |b| {
            b[20] |= 0x80;
            seal(b);
        }),
        ("the last hop", |b| {
            b[22] = 1;
            seal(b);
        }),
        ("a bad sum", |b| b[24] ^= 1),
        ("longer than the frame", |b| {
            b.pop();
        }),
        ("shorter than its headers", |b| {
            b[16..18].copy_from_slice(&27u16.to_be_bytes());
            seal(b);
        }),
        ("another protocol", |b| {
            b[23] = 132;
            seal(b);
        }),
    ];
    let v6: [Change; 6] = [
        ("another neighbour", |b| b[11] ^= 1),
        ("version", |b| b[14] = 0x40),
        ("the last hop", |b| b[21] = 1),
        ("longer than the frame", |b| b[18] = 9),
        ("an extension header", |b| b[20] = 0),
        ("a fragment header", |b| b[20] = 44),
    ];
    let tcp: [Change; 5] = [
        ("SYN", |b| flags(b, 0x12)),
        ("no ACK", |b| flags(b, 0x08)),
        ("URG", |b| flags(b, 0x30)),
        ("a short header", |b| transport(b, 12, 0x40)),
        ("a header longer than the packet", |b| transport(b, 12, 0xf0)),
    ];
    let udp: [Change; 2] = [
        ("no checksum", |b| {
            transport(b, 6, 0);
            transport(b, 7, 0);
        }),
        ("another length", |b| transport(b, 5, 200)),
    ];
    for (protocol, family) in [(6, false), (6, true), (17, false), (17, true)] {
        let (flow, way) = bench.nat(protocol, family);
        bench.carry(0, &flow, &way);
        let changes = if family { &v6[..] } else { &v4[..] };
        for (name, change) in changes.iter().chain(if protocol == 6 { &tcp[..] } else { &udp[..] }) {
            let mut bytes = Bench::packet(&flow).bytes();
            change(&mut bytes);
            assert_eq!(bench.run(&bytes, 0), Fate::Left, "{name}, protocol {protocol}, IPv6 {family}");
        }
        let frame = Bench::packet(&flow);
        assert_eq!(bench.run(&frame.bytes(), 0), carried(&frame, &way), "the flow is still carried");
        bench.carrier.remove(0);
    }
}

fn transport(bytes: &mut [u8], at: usize, value: u8) {
    let start = if bytes[12] == 0x86 { 54 } else { 34 };
    bytes[start + at] = value;
}

fn flags(bytes: &mut [u8], flags: u8) {
    transport(bytes, 13, flags);
}

#[test]
fn other_flows_are_none_of_a_carried_ones_business() {
    let Some(mut bench) = Bench::open() else { return };
    for v6 in [false, true] {
        let (flow, way) = bench.nat(6, v6);
        bench.carry(0, &flow, &way);
        let plain = Bench::packet(&flow);
        let port = |end: SocketAddr| SocketAddr::new(end.ip(), end.port() + 1);
        let others = [
            Frame { protocol: 17, ..plain.clone() },
            Frame { source: port(flow.source), ..plain.clone() },
            Frame { destination: port(flow.destination), ..plain.clone() },
            Frame { source: flow.destination, destination: flow.source, ..plain.clone() },
            Frame { source: SocketAddr::new(way.destination.ip(), flow.source.port()), ..plain.clone() },
        ];
        for other in others {
            assert_eq!(bench.run(&other.bytes(), 0), Fate::Left, "{other:?}");
        }
    }
}

#[test]
fn packets_that_do_not_fit_the_way_are_left() {
    let Some(mut bench) = Bench::open() else { return };
    for (protocol, v6) in [(6, false), (6, true), (17, false), (17, true)] {
        let (flow, way) = bench.nat(protocol, v6);
        let headers = if v6 { 40 } else { 20 } + if protocol == 6 { 20 } else { 8 };
        bench.carry(0, &flow, &Carriage { mtu: 1000, ..way });
        let of = |payload: usize| Frame { payload: vec![1; payload], ..Bench::packet(&flow) };
        let fits = of(1000 - headers);
        assert_eq!(bench.run(&fits.bytes(), 0), carried(&fits, &way));
        assert_eq!(bench.run(&of(1001 - headers).bytes(), 0), Fate::Left);
        // A superpacket's segments count.
        let large = of(2000);
        let segment = 1000 - headers as u32;
        assert_eq!(bench.run(&large.bytes(), segment), carried(&large, &way), "protocol {protocol}, IPv6 {v6}");
        assert_eq!(bench.run(&large.bytes(), segment + 1), Fate::Left);
    }
}

#[test]
fn padding_of_short_frames_is_carried_along() {
    let Some(mut bench) = Bench::open() else { return };
    let (flow, way) = bench.nat(6, false);
    bench.carry(0, &flow, &way);
    let frame = Frame { payload: Vec::new(), ..Bench::packet(&flow) };
    let (Fate::Carried(out), padded) = (carried(&frame, &way), [frame.bytes(), vec![9; 6]].concat()) else { panic!() };
    assert_eq!(bench.run(&padded, 0), Fate::Carried([out, vec![9; 6]].concat()));
    assert_eq!(bench.carrier.tally(0).bytes, 40);
}

#[test]
fn a_fin_or_reset_ends_both_directions_before_the_engine_sees_it() {
    let Some(mut bench) = Bench::open() else { return };
    for (slot, flag, v6) in [(0, 0x01, false), (1, 0x04, false), (2, 0x11, true), (3, 0x14, true)] {
        let (flow, way) = bench.nat(6, v6);
        let back = Flow { source: way.destination, destination: way.source, ..flow };
        let way_back = Carriage { source: flow.destination, destination: flow.source, ..way };
        bench.carry(slot, &flow, &way);
        bench.carry(slot ^ 1, &back, &way_back);
        let (plain, answer) = (Bench::packet(&flow), Bench::packet(&back));
        assert_eq!(bench.run(&answer.bytes(), 0), carried(&answer, &way_back));
        assert_eq!(bench.run(&Frame { flags: flag, ..plain.clone() }.bytes(), 0), Fate::Left);
        assert!(!bench.carrier.is_carried(slot) && !bench.carrier.is_carried(slot ^ 1));
        assert_eq!(bench.run(&plain.bytes(), 0), Fate::Left);
        assert_eq!(bench.run(&answer.bytes(), 0), Fate::Left);
        bench.carrier.remove(slot);
        bench.carrier.remove(slot ^ 1);
    }
}

#[test]
fn what_is_void_or_removed_is_carried_no_more() {
    let Some(mut bench) = Bench::open() else { return };
    let (flow, way) = bench.nat(6, false);
    let plain = Bench::packet(&flow);
    bench.carry(0, &flow, &way);
    bench.carrier.void();
    assert_eq!((bench.run(&plain.bytes(), 0), bench.carrier.is_carried(0)), (Fate::Left, false));
    bench.carry(0, &flow, &way);
    assert_eq!((bench.run(&plain.bytes(), 0), bench.carrier.is_carried(0)), (carried(&plain, &way), true));
    bench.carrier.remove(0);
    assert_eq!((bench.run(&plain.bytes(), 0), bench.carrier.is_carried(0)), (Fate::Left, false));
    assert_eq!(bench.carrier.tally(0).packets, 1);
    bench.carrier.clear(0);
    assert_eq!(bench.carrier.tally(0), Default::default());
}

#[test]
fn a_slot_that_changes_hands_takes_nothing_along() {
    let Some(mut bench) = Bench::open() else { return };
    let (first, way) = bench.nat(6, false);
    let second = Flow { source: "192.0.2.7:40000".parse().unwrap(), ..first };
    let second_way = Carriage { source: second.source, ..way };
    let (of_first, of_second) = (Bench::packet(&first), Bench::packet(&second));
    bench.carry(0, &first, &way);
    bench.carry(0, &second, &second_way);
    assert_eq!(bench.run(&of_first.bytes(), 0), Fate::Left);
    assert_eq!(bench.run(&of_second.bytes(), 0), carried(&of_second, &second_way));
    bench.carrier.remove(0);
    bench.carry(2, &first, &way);
    assert_eq!(bench.run(&of_first.bytes(), 0), carried(&of_first, &way));
    assert_eq!(bench.run(&of_second.bytes(), 0), Fate::Left);
    // The same flow another way, in the same slot, and from one slot into another.
    bench.carry(2, &first, &Carriage { destination: first.destination, ..way });
    bench.carrier.remove(2);
    bench.carry(5, &first, &way);
    assert_eq!(bench.run(&of_first.bytes(), 0), carried(&of_first, &way));
    // What is void makes room, in whatever slot it is.
    bench.carrier.void();
    bench.carry(6, &first, &way);
    bench.carrier.remove(5);
    assert_eq!(bench.run(&of_first.bytes(), 0), carried(&of_first, &way));
}

#[test]
fn nearly_all_slots_can_be_used_at_once() {
    const CONNECTIONS: u32 = 512;
    let Some(mut bench) = Bench::with(CONNECTIONS) else { return };
    let (flow, way) = bench.nat(17, true);
    let flows = (0..2 * CONNECTIONS as u16).map(|number| {
        let source = SocketAddr::new(flow.source.ip(), 1024 + number);
        (Flow { source, ..flow }, Carriage { source, ..way })
    });
    let flows: Vec<_> = flows.collect();
    let added: Vec<bool> = (0..).zip(&flows).map(|(slot, (flow, way))| bench.carrier.add(slot, flow, way)).collect();
    let refused = added.iter().filter(|added| !**added).count();
    assert!(refused < flows.len() / 50, "{refused} of {} are refused", flows.len());
    for ((flow, way), added) in flows.iter().zip(added) {
        let frame = Bench::packet(flow);
        let expected = if added { carried(&frame, way) } else { Fate::Left };
        assert_eq!(bench.run(&frame.bytes(), 0), expected, "{flow:?}");
    }
}

#[test]
fn a_decision_is_for_one_packet() {
    let Some(mut bench) = Bench::open() else { return };
    for v6 in [false, true] {
        let (flow, way) = bench.nat(6, v6);
        bench.carry(0, &flow, &way);
        let frame = Bench::packet(&flow).bytes();
        let length = if v6 { 62 } else { 42 };
        // A packet that differs in any of what makes it this one, and one of another length.
        for at in 14..length {
            assert_eq!(bench.ask_filter(&frame, 0), 0);
            let mut other = frame.clone();
            other[at] ^= 4;
            assert_eq!(bench.ask_port(&other, 0), (u32::MAX, other.clone()), "byte {at}");
            assert_eq!(bench.ask_port(&frame, 0), (u32::MAX, frame.clone()), "it was taken and is gone");
        }
        assert_eq!(bench.ask_filter(&frame, 0), 0);
        let longer = [&frame[..], &[0]].concat();
        assert_eq!(bench.ask_port(&longer, 0).0, u32::MAX);
        // A packet that is left takes an older decision away.
        assert_eq!(bench.ask_filter(&frame, 0), 0);
        let mut strange = frame.clone();
        strange[11] ^= 1;
        assert_ne!(bench.ask_filter(&strange, 0), 0);
        assert_eq!(bench.ask_port(&frame, 0).0, u32::MAX);
    }
}

#[test]
fn frames_that_end_early_are_left() {
    let Some(mut bench) = Bench::open() else { return };
    for v6 in [false, true] {
        let (flow, way) = bench.nat(6, v6);
        bench.carry(0, &flow, &way);
        let frame = Bench::packet(&flow).bytes();
        // A test run wants a whole IP header.
        for length in if v6 { 54 } else { 34 }..frame.len() {
            assert_eq!(bench.run(&frame[..length], 0), Fate::Left, "{length}");
        }
    }
}

#[test]
fn slots_and_flows_that_cannot_be_are_refused() {
    let Some(mut bench) = Bench::open() else { return };
    let (flow, way) = bench.nat(6, false);
    assert!(!bench.carrier.add(8, &flow, &way), "eight slots");
    assert!(!bench.carrier.add(0, &Flow { interface: bench.interface + 1, ..flow }, &way));
    assert!(!bench.carrier.add(0, &Flow { protocol: 132, ..flow }, &way));
    assert!(!bench.carrier.add(0, &flow, &bench.nat(6, true).1));
    assert!(bench.carrier.carries_on(bench.interface) && !bench.carrier.carries_on(bench.interface + 1));
    bench.carrier.remove(8);
    bench.carrier.clear(8);
    assert_eq!(bench.carrier.tally(8), Default::default());
    assert!(!bench.carrier.is_carried(8));
    // A slot whose next flow is refused carries nothing.
    bench.carry(0, &flow, &way);
    assert!(!bench.carrier.add(0, &Flow { interface: bench.interface + 1, neighbour: NEIGHBOUR, ..flow }, &way));
    assert_eq!(bench.run(&Bench::packet(&flow).bytes(), 0), Fate::Left);
}
