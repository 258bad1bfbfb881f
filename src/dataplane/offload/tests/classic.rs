//! The translated filter says what the classic one says.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::bench::{Bench, HERE, NEIGHBOUR};
use crate::dataplane::claim::{Claims, Flow};
use crate::dataplane::filter::{self, Instruction};

fn claims() -> Claims {
    let flow = |address: &str| Flow { protocol: 6, address: address.parse().unwrap(), port: 80 };
    Claims {
        services: ["10.0.0.1", "192.168.0.2", "fd00::1", "fd00::2"].map(flow).into(),
        servers: ["10.1.0.1", "fd01::1"].map(flow).into(),
        ..Claims::default()
    }
}

#[test]
fn random_frames_get_the_same_verdict() {
    let Some(bench) = Bench::open() else { return };
    let program = filter::program(&claims(), &BTreeSet::from([9]));
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    let addresses = prop_oneof![
        Just([10, 0, 0, 1]),
        Just([192, 168, 0, 2]),
        Just([10, 1, 0, 1]),
        Just([0xfd, 0, 0, 0]),
        any::<[u8; 4]>()
    ];
    let first = prop_oneof![Just(0x45u8), Just(0x46), Just(0x60), any::<u8>()];
    let protocol = prop_oneof![Just(1u8), Just(58), Just(6), any::<u8>()];
    let ethertype = prop_oneof![Just([8u8, 0]), Just([0x86, 0xdd]), any::<[u8; 2]>()];
    let parts = (ethertype, first, protocol, [addresses.clone(), addresses], proptest::collection::vec(0u8..6, 0..60));
    let result = runner.run(&parts, |(ethertype, first, protocol, [from, to], rest)| {
        let v4 = [&[first, 0, 0, 30, 0, 0, 0, 0, 64, protocol, 0, 0][..], &from, &to].concat();
        let zeros = [0; 11];
        let v6 = [&[first, 0, 0, 0, 0, 8, protocol, 64][..], &from, &zeros, &[1], &to, &zeros, &[1]].concat();
        let packet = if ethertype == [8, 0] { v4 } else { v6 };
        let frame = [&HERE[..], &NEIGHBOUR, &ethertype, &packet, &rest].concat();
        let expected = filter::tests::run(&program, &frame, bench.interface).unwrap_or(0);
        prop_assert_eq!(bench.run_classic(&program, &frame), expected, "{:02x?}", frame);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn the_context_is_read_as_the_ancillary_data() {
    let Some(bench) = Bench::open() else { return };
    let (mut frame, load) =
        (vec![0; 60], |operand| Instruction { code: filter::LOAD_WORD, jump_true: 0, jump_false: 0, operand });
    frame[..6].copy_from_slice(&HERE);
    let equal = |operand| Instruction { code: filter::JUMP_EQUAL, jump_true: 0, jump_false: 1, operand };
    for (place, value) in [(filter::INTERFACE, bench.interface), (filter::PACKET_TYPE, 0), (filter::VLAN_PRESENT, 0)] {
        let returning = super::bench::returning;
        assert_eq!(bench.run_classic(&[load(place), equal(value), returning(5), returning(6)], &frame), 5);
        assert_eq!(bench.run_classic(&[load(place), equal(value + 1), returning(5), returning(6)], &frame), 6);
    }
}

#[test]
fn long_filters_are_accepted() {
    let Some(bench) = Bench::open() else { return };
    let flows =
        |n: u32| (0..n).map(|i| Flow { protocol: 6, address: std::net::IpAddr::V4((0x0a00_0000 + i).into()), port: 1 });
    let v6 = (0..48u16).map(|i| Flow {
        protocol: 6,
        address: std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, i).into(),
        port: 1,
    });
    let claims = Claims { services: flows(199).chain(v6).collect(), ..Claims::default() };
    let program = filter::program(&claims, &(2..40).filter(|i| *i != bench.interface).collect());
    bench.programs.filter(&program).unwrap();
    let frame = [&HERE[..], &NEIGHBOUR, &[8, 0, 0x45], &[0; 15], &[10, 0, 0, 198], &[0; 20]].concat();
    assert_ne!(bench.run_classic(&program, &frame), 0);
}

#[test]
fn what_the_classic_filter_never_has_is_refused() {
    let Some(bench) = Bench::open() else { return };
    let one = |code, operand| bench.programs.filter(&[Instruction { code, jump_true: 0, jump_false: 0, operand }]);
    assert_eq!(one(0x87, 0).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    assert_eq!(one(filter::LOAD_WORD, u32::MAX).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    assert_eq!(one(filter::JUMP_ALWAYS, 1).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let said = one(filter::LOAD_HALF, 12).unwrap_err().to_string();
    assert!(said.contains("last insn"), "the verifier's words: {said}");
}
