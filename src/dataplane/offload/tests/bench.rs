//! Both programs on single packets, without a network: the filter runs as a classifier, so that test runs show it the whole frame.

use std::os::fd::OwnedFd;

use nix::net::if_::if_nametoindex;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use standfast_labkit::{Host, Lab};

use super::super::system::{self, ProgramKind};
use super::super::{Carriage, Carrier, Flow, Programs, receive};
use super::frames::{ACK, Frame};
use super::opened;
use crate::dataplane::engine::{Port, Ports};
use crate::dataplane::filter::{Instruction, RETURN};
use crate::dataplane::topology::Mac;

pub(super) const HERE: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const NEIGHBOUR: Mac = [2, 0, 0, 0, 0, 2];
pub(super) const TARGET: Mac = [2, 0, 0, 0, 0, 3];
pub(super) const SENDER: Mac = [2, 0, 0, 0, 0, 4];
/// What the classic filter gives here.
const LEFT: u32 = 77;
const REDIRECTED: u32 = 7;
/// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`: the kernel has the sum over all of the packet, and looks whether it is right afterwards. Linux 6.11.
const CHECKSUM_COMPLETE: u32 = 4;
/// `BPF_F_TEST_SKB_NON_LINEAR`: only the Ethernet header is where programs look. Linux 6.19.
const NOT_LINEAR: u32 = 8;
const NEXT: u32 = u32::MAX;

pub(super) struct Bench {
    pub(super) programs: Programs,
    pub(super) carrier: Carrier,
    filter: OwnedFd,
    /// Flags that make the port's program's life harder, as far as the kernel knows them.
    hardship: u32,
    pub(super) interface: u32,
    host: Host,
    _lab: Lab,
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The ring gets it, and the port's program leaves it as it is.
    Left,
    /// It left so.
    Carried(Vec<u8>),
}

impl Bench {
    /// Slots for four connections, or None where that is not permitted.
    pub(super) fn open() -> Option<Bench> {
        Self::with(4)
    }

    /// The same for so many connections.
    pub(super) fn with(connections: u32) -> Option<Bench> {
        let (lab, host, mut programs, carrier) = opened(connections)?;
        stay_on_this_processor();
        host.ip("link add port type veth peer name other").unwrap();
        host.ip("link set port address 02:00:00:00:00:01 up").unwrap();
        let interface = host.enter(|| if_nametoindex("port")).unwrap().unwrap();
        host.enter(|| programs.follow(&ports(&[interface]))).unwrap();
        let filter = as_classifier(&programs, &[returning(LEFT)]);
        let mut bench = Bench { programs, carrier, filter, hardship: 0, interface, host, _lab: lab };
        let frame = Bench::packet(&bench.nat(6, false).0).bytes();
        for flag in [CHECKSUM_COMPLETE, NOT_LINEAR] {
            let run = || system::test_run(&bench.programs.redirect, &frame, &[0; 192], (1, flag));
            let known = bench.host.enter(run).unwrap().is_ok();
            bench.hardship |= if known { flag } else { 0 };
        }
        Some(bench)
    }

    /// A flow of this protocol to this bench, with the way that NAT has for it; of documentation's addresses.
    pub(super) fn nat(&self, protocol: u8, v6: bool) -> (Flow, Carriage) {
        let [client, address, server] = match v6 {
            false => ["192.0.2.1:40000", "198.51.100.1:80", "203.0.113.1:8080"],
            true => ["[2001:db8::1]:40000", "[2001:db8:1::1]:80", "[2001:db8:2::1]:8080"],
        };
        let [client, address, server] = [client, address, server].map(|text| text.parse().unwrap());
        let (interface, neighbour) = (self.interface, NEIGHBOUR);
        (
            Flow { protocol, source: client, destination: address, interface, neighbour },
            Carriage { source: client, destination: server, interface, target: TARGET, sender: SENDER, mtu: 1500 },
        )
    }

    /// A plain packet of a flow.
    pub(super) fn packet(flow: &Flow) -> Frame {
        Frame {
            target: HERE,
            sender: flow.neighbour,
            protocol: flow.protocol,
            source: flow.source,
            destination: flow.destination,
            hops: 64,
            flags: ACK,
            identification: 0x1234,
            payload: b"some bytes of payload".to_vec(),
        }
    }

    pub(super) fn carry(&mut self, slot: u32, flow: &Flow, carriage: &Carriage) {
        assert!(self.carrier.add(slot, flow, carriage));
    }

    /// Runs both programs as they run for a packet that arrives.
    pub(super) fn run(&self, frame: &[u8], segment: u32) -> Fate {
        match self.ask_filter(frame, segment) {
            LEFT => {
                assert_eq!(self.ask_port(frame, segment), (NEXT, frame.to_vec()), "left, and yet not left alone");
                Fate::Left
            }
            0 => {
                let (verdict, out) = self.ask_port(frame, segment);
                assert_eq!(verdict, REDIRECTED, "taken from the ring, and yet not carried");
                Fate::Carried(out)
            }
            other => panic!("the filter gives {other}"),
        }
    }

    pub(super) fn ask_filter(&self, frame: &[u8], segment: u32) -> u32 {
        self.test_run(&self.filter, frame, segment).0
    }

    pub(super) fn ask_port(&self, frame: &[u8], segment: u32) -> (u32, Vec<u8>) {
        self.test_run_with(&self.programs.redirect, frame, segment, self.hardship)
    }

    /// The mean of many runs of the filter for one packet, in nanoseconds.
    pub(super) fn time_filter(&self, frame: &[u8]) -> u32 {
        let mut context = [0; 192];
        context[40..44].copy_from_slice(&self.interface.to_ne_bytes());
        let run = || system::test_run(&self.filter, frame, &context, (200_000, 0)).unwrap().2;
        self.host.enter(run).unwrap()
    }

    /// Runs a classic program as the ring's filter.
    pub(super) fn run_classic(&self, classic: &[Instruction], frame: &[u8]) -> u32 {
        self.test_run(&as_classifier(&self.programs, classic), frame, 0).0
    }

    fn test_run(&self, program: &OwnedFd, frame: &[u8], segment: u32) -> (u32, Vec<u8>) {
        self.test_run_with(program, frame, segment, 0)
    }

    fn test_run_with(&self, program: &OwnedFd, frame: &[u8], segment: u32, flags: u32) -> (u32, Vec<u8>) {
        let mut context = [0; 192];
        context[40..44].copy_from_slice(&self.interface.to_ne_bytes());
        context[176..180].copy_from_slice(&segment.to_ne_bytes());
        let (verdict, out, _) =
            self.host.enter(|| system::test_run(program, frame, &context, (1, flags))).unwrap().unwrap();
        (verdict, out)
    }
}

pub(super) fn ports(interfaces: &[u32]) -> Ports {
    interfaces.iter().map(|interface| (*interface, Port { mac: HERE, mtu: 1500 })).collect()
}

pub(super) fn returning(operand: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand }
}

fn as_classifier(programs: &Programs, classic: &[Instruction]) -> OwnedFd {
    let program = receive::program(&programs.maps, classic).unwrap();
    system::load_program(ProgramKind::Classifier, &program).unwrap()
}

/// Decisions belong to a processor. Threads that this one starts stay there too.
fn stay_on_this_processor() {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let first = (0..CpuSet::count()).find(|number| all.is_set(*number).unwrap()).unwrap();
    let mut one = CpuSet::new();
    one.set(first).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
}
