//! What the programs cost a packet.

use std::os::fd::{AsRawFd, OwnedFd};

use standfast_ipvs::{Forwarding, Protocol};

use super::super::system::measure_run_times;
use super::bench::Bench;
use super::director::Connected;
use super::frames::{ACK, Frame};
use super::wire::Wire;
use crate::dataplane::ring::VIRTIO_LEN;

const BATCH: usize = 64;
const BATCHES: usize = 300;

/// Nanoseconds and number of a program's runs since they are measured.
fn runs(program: &OwnedFd) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap();
    (field("run_time_ns:"), field("run_cnt:"))
}

/// The machine should be calm. Of some rounds the quickest counts; with the kernel's two looks at the clock, which every program is charged.
#[test]
#[ignore = "long: measures, and prints what it finds"]
fn nanoseconds_a_packet() {
    let Some(mut wire) = Wire::open() else { return };
    let _measured = measure_run_times().unwrap();
    for (protocol, v6, method, carried) in [
        (Protocol::Tcp, false, Forwarding::Nat, true),
        (Protocol::Tcp, true, Forwarding::Nat, true),
        (Protocol::Udp, false, Forwarding::Nat, true),
        (Protocol::Tcp, false, Forwarding::Dr, true),
        (Protocol::Tcp, false, Forwarding::Nat, false),
    ] {
        let mut connected = Connected::new(protocol, v6, method);
        let (flow, way) = connected.flow(0, wire.interfaces);
        if carried {
            assert!(wire.carrier.add(0, &flow, &way));
        }
        let frame = Frame { payload: vec![0; 10], ..connected.plain(0, ACK) }.bytes();
        let batch = vec![(vec![0; VIRTIO_LEN], frame); BATCH];
        let mut best = (u64::MAX, u64::MAX);
        for _ in 0..10 {
            let before = [runs(&wire.filter), runs(&wire.programs.redirect)];
            (0..BATCHES / 10).for_each(|_| wire.send(&batch));
            let after = [runs(&wire.filter), runs(&wire.programs.redirect)];
            let each = |i: usize| (after[i].0 - before[i].0) / (after[i].1 - before[i].1).max(1);
            best = (best.0.min(each(0)), best.1.min(each(1)));
        }
        println!("{protocol} IPv6 {v6} {method:?} carried {carried}: filter {} ns, port {} ns", best.0, best.1);
        wire.carrier.remove(0);
    }
}

/// The filter alone, without anybody's look at the clock.
#[test]
#[ignore = "long: measures, and prints what it finds"]
fn nanoseconds_of_the_filter() {
    let Some(mut bench) = Bench::open() else { return };
    for v6 in [false, true] {
        let (flow, way) = bench.nat(6, v6);
        let best = |bench: &Bench| (0..10).map(|_| bench.time_filter(&Bench::packet(&flow).bytes())).min().unwrap();
        let unknown = best(&bench);
        bench.carry(0, &flow, &way);
        println!("IPv6 {v6}: unknown {unknown} ns, carried {} ns", best(&bench));
        bench.carrier.remove(0);
    }
}
