//! The classic BPF program that keeps unrelated traffic from waking the data plane.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::claim::Claims;

/// Above this many addresses the program only sorts by protocol: a program has 4096 instructions at most, and the
/// socket's option memory may hold fewer.
const EXACT_ADDRESSES: usize = 200;
const EXACT_INTERFACES: usize = 32;
const ACCEPT: u32 = 0x4_0000;
const DROP: u32 = 0;

pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const LOAD_HALF: u16 = 0x28;
pub(super) const LOAD_BYTE: u16 = 0x30;
pub(super) const LOAD_BYTE_INDEXED: u16 = 0x50;
pub(super) const LOAD_IP_HEADER_LENGTH: u16 = 0xb1;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const RETURN: u16 = 0x06;

const ANCILLARY: u32 = libc::SKF_AD_OFF as u32;
pub(super) const PACKET_TYPE: u32 = ANCILLARY.wrapping_add(libc::SKF_AD_PKTTYPE as u32);
pub(super) const INTERFACE: u32 = ANCILLARY.wrapping_add(libc::SKF_AD_IFINDEX as u32);
pub(super) const VLAN_PRESENT: u32 = ANCILLARY.wrapping_add(libc::SKF_AD_VLAN_TAG_PRESENT as u32);

/// One instruction, as `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Operation.
    pub(super) code: u16,
    /// Instructions to skip if true.
    pub(super) jump_true: u8,
    /// Instructions to skip if false.
    pub(super) jump_false: u8,
    /// Operand.
    pub(super) operand: u32,
}

/// Passes IPv4 and IPv6 packets to or from a claimed address and ICMP errors, sent to this host, not VLAN-tagged, and
/// not received on the loopback or one of the `ignored` interfaces.
pub(super) fn program(claims: &Claims, ignored: &BTreeSet<u32>) -> Vec<Instruction> {
    let mut p = Program::default();
    p.load(LOAD_WORD, PACKET_TYPE).unless_equal_drop(0);
    p.load(LOAD_WORD, VLAN_PRESENT).unless_equal_drop(0);
    p.load(LOAD_WORD, INTERFACE).if_equal(super::LOOPBACK, DROP);
    for interface in ignored.iter().take(EXACT_INTERFACES) {
        p.if_equal(*interface, DROP);
    }
    p.load(LOAD_HALF, 12);
    // A conditional jump reaches 255 instructions, a program for one family may be longer: the IPv4 part is
    // entered by falling through and the IPv6 part by an unconditional jump.
    let (v4, v6) = (ipv4_part(claims), ipv6_part(claims));
    p.push(JUMP_EQUAL, 1, 0, 0x0800);
    p.push(JUMP_ALWAYS, 0, 0, v4.len() as u32);
    p.instructions.extend(v4);
    p.unless_equal_drop(0x86dd);
    p.instructions.extend(v6);
    p.instructions
}

pub(super) const JUMP_ALWAYS: u16 = 0x05;

fn ipv4_part(claims: &Claims) -> Vec<Instruction> {
    let mut p = Program::default();
    let words = |set: BTreeSet<IpAddr>| {
        set.into_iter()
            .filter_map(|a| match a {
                IpAddr::V4(a) => Some(u32::from(a)),
                IpAddr::V6(_) => None,
            })
            .collect::<Vec<_>>()
    };
    let (to, from) = (words(destinations(claims)), words(sources(claims)));
    if to.is_empty() && from.is_empty() {
        p.push(RETURN, 0, 0, DROP);
        return p.instructions;
    }
    if to.len() + from.len() > EXACT_ADDRESSES {
        p.push(RETURN, 0, 0, ACCEPT);
        return p.instructions;
    }
    p.load(LOAD_WORD, 30);
    to.iter().for_each(|a| p.if_equal(*a, ACCEPT));
    p.load(LOAD_WORD, 26);
    from.iter().for_each(|a| p.if_equal(*a, ACCEPT));
    p.load(LOAD_BYTE, 23).unless_equal_drop(1);
    p.push(LOAD_IP_HEADER_LENGTH, 0, 0, 14);
    p.load(LOAD_BYTE_INDEXED, 14);
    for error in [3, 4, 11, 12] {
        p.if_equal(error, ACCEPT);
    }
    p.push(RETURN, 0, 0, DROP);
    p.instructions
}

fn ipv6_part(claims: &Claims) -> Vec<Instruction> {
    let mut p = Program::default();
    let v6 = |set: BTreeSet<IpAddr>| set.into_iter().filter(IpAddr::is_ipv6).count();
    let (to, from) = (v6(destinations(claims)), v6(sources(claims)));
    if to + from == 0 {
        p.push(RETURN, 0, 0, DROP);
        return p.instructions;
    }
    if to + from > EXACT_ADDRESSES / 4 {
        p.push(RETURN, 0, 0, ACCEPT);
        return p.instructions;
    }
    destinations(claims).iter().for_each(|a| p.if_ipv6(38, a));
    sources(claims).iter().for_each(|a| p.if_ipv6(22, a));
    p.load(LOAD_BYTE, 20).unless_equal_drop(58);
    p.load(LOAD_BYTE, 54);
    for error in [1, 2, 3, 4] {
        p.if_equal(error, ACCEPT);
    }
    p.push(RETURN, 0, 0, DROP);
    p.instructions
}

fn destinations(claims: &Claims) -> BTreeSet<IpAddr> {
    claims.services.iter().map(|f| f.address).collect()
}

fn sources(claims: &Claims) -> BTreeSet<IpAddr> {
    claims.servers.iter().map(|f| f.address).collect()
}

#[derive(Default)]
struct Program {
    instructions: Vec<Instruction>,
}

impl Program {
    fn push(&mut self, code: u16, jump_true: u8, jump_false: u8, operand: u32) {
        self.instructions.push(Instruction { code, jump_true, jump_false, operand });
    }

    fn load(&mut self, code: u16, at: u32) -> &mut Self {
        self.push(code, 0, 0, at);
        self
    }

    fn if_equal(&mut self, value: u32, result: u32) {
        self.push(JUMP_EQUAL, 0, 1, value);
        self.push(RETURN, 0, 0, result);
    }

    fn unless_equal_drop(&mut self, value: u32) {
        self.push(JUMP_EQUAL, 1, 0, value);
        self.push(RETURN, 0, 0, DROP);
    }

    fn if_ipv6(&mut self, at: u32, address: &IpAddr) {
        let IpAddr::V6(address) = address else { return };
        let octets = address.octets();
        let (words, _) = octets.as_chunks::<4>();
        for (i, word) in words.iter().enumerate() {
            self.load(LOAD_WORD, at + 4 * i as u32);
            let to_next_address = 2 * (3 - i as u8) + 1;
            self.push(JUMP_EQUAL, 0, to_next_address, u32::from_be_bytes(*word));
        }
        self.push(RETURN, 0, 0, ACCEPT);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::claim::Flow;
    use super::*;

    /// Runs a program as the kernel would; `None` if it runs off its end or out of the frame.
    pub(in crate::dataplane) fn run(program: &[Instruction], frame: &[u8], interface: u32) -> Option<u32> {
        let (mut at, mut a, mut x) = (0usize, 0u32, 0u32);
        loop {
            let i = program.get(at)?;
            at += 1;
            let from = i.operand as usize;
            match i.code {
                LOAD_WORD if i.operand == PACKET_TYPE || i.operand == VLAN_PRESENT => a = 0,
                LOAD_WORD if i.operand == INTERFACE => a = interface,
                LOAD_WORD => a = u32::from_be_bytes(frame.get(from..from + 4)?.try_into().ok()?),
                LOAD_HALF => a = u32::from(u16::from_be_bytes(frame.get(from..from + 2)?.try_into().ok()?)),
                LOAD_BYTE => a = u32::from(*frame.get(from)?),
                LOAD_BYTE_INDEXED => a = u32::from(*frame.get(from + x as usize)?),
                LOAD_IP_HEADER_LENGTH => x = 4 * u32::from(*frame.get(from)? & 15),
                JUMP_EQUAL => at += usize::from(if a == i.operand { i.jump_true } else { i.jump_false }),
                JUMP_ALWAYS => at += i.operand as usize,
                RETURN => return Some(i.operand),
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn v4(source: [u8; 4], destination: [u8; 4], protocol: u8, first: u8) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 21, 0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend(source.iter().chain(&destination).chain(&[first, 0, 0, 0]));
        frame
    }

    fn v6(source: &str, destination: &str, protocol: u8, first: u8) -> Vec<u8> {
        let octets = |a: &str| a.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 4, protocol, 64]);
        frame.extend(octets(source).iter().chain(&octets(destination)).chain(&[first, 0, 0, 0]));
        frame
    }

    fn flow(address: &str) -> Flow {
        Flow { protocol: 6, address: address.parse().unwrap(), port: 80 }
    }

    fn claims() -> Claims {
        Claims {
            services: ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"].map(flow).into(),
            servers: ["10.1.0.1", "fd01::1"].map(flow).into(),
            ..Claims::default()
        }
    }

    #[test]
    fn claimed_addresses_and_icmp_errors_pass() {
        let program = program(&claims(), &BTreeSet::from([9]));
        let accepted = |frame: &[u8]| run(&program, frame, 2) == Some(ACCEPT);
        assert!(accepted(&v4([1, 2, 3, 4], [10, 0, 0, 2], 6, 0)));
        assert!(accepted(&v4([10, 1, 0, 1], [1, 2, 3, 4], 17, 0)));
        assert!(accepted(&v4([1, 2, 3, 4], [5, 6, 7, 8], 1, 3)));
        assert!(accepted(&v6("fd09::9", "fd00::2", 6, 0)));
        assert!(accepted(&v6("fd01::1", "fd09::9", 6, 0)));
        assert!(accepted(&v6("fd09::1", "fd09::9", 58, 2)));
        assert!(!accepted(&v4([1, 2, 3, 4], [10, 0, 0, 3], 6, 0)));
        assert!(!accepted(&v4([10, 0, 0, 1], [1, 2, 3, 4], 6, 0)));
        assert!(!accepted(&v4([1, 2, 3, 4], [5, 6, 7, 8], 1, 8)));
        assert!(!accepted(&v6("fd00::1", "fd09::9", 6, 0)));
        assert!(!accepted(&v6("fd09::1", "fd09::9", 58, 128)));
    }

    #[test]
    fn loopback_and_ignored_interfaces_are_left_alone() {
        let program = program(&claims(), &BTreeSet::from([9]));
        let frame = v4([1, 2, 3, 4], [10, 0, 0, 2], 6, 0);
        assert_eq!([1, 2, 9].map(|i| run(&program, &frame, i)), [Some(DROP), Some(ACCEPT), Some(DROP)]);
    }

    #[test]
    fn without_services_nothing_passes() {
        let program = program(&Claims::default(), &BTreeSet::new());
        assert_eq!(run(&program, &v4([1, 2, 3, 4], [5, 6, 7, 8], 1, 3), 2), Some(DROP));
        assert_eq!(run(&program, &v6("fd00::1", "fd09::9", 6, 0), 2), Some(DROP));
    }

    #[test]
    fn many_addresses_make_a_coarse_program_that_stays_short() {
        let flows = |n: u32| {
            (0..n).map(|i| Flow { protocol: 6, address: IpAddr::V4((0x0a00_0000 + i).into()), port: 1 }).collect()
        };
        for count in [EXACT_ADDRESSES as u32, EXACT_ADDRESSES as u32 + 1, 100_000] {
            let many = Claims { services: flows(count), ..Claims::default() };
            let program = program(&many, &(2..1000).collect());
            assert!(program.len() < 700, "{}", program.len());
            assert_eq!(run(&program, &v4([1, 2, 3, 4], [10, 0, 0, 7], 6, 0), 5000), Some(ACCEPT));
            assert_eq!(run(&program, &v6("fd00::1", "fd09::9", 6, 0), 5000), Some(DROP));
        }
    }
}
