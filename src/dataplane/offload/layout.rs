//! The memory that the programs and the worker share: what lies where.
//!
//! A flow is found by a hash of its addresses, ports and protocol, which leads to a bucket; a bucket's entries name slots, and the slot says
//! whose it is. Only the worker writes buckets, by single stores, so that flows come and go without a system call; whatever the filter
//! reads there, the slot has the last word.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use super::{Carriage, Flow};

/// Entries of a bucket: two words of two.
pub(super) const WAYS: usize = 4;
/// Bytes of a bucket.
pub(super) const BUCKET: usize = 4 * WAYS;
/// An entry's lower bits are the slot's number and one, its upper ones are taken from the hash and never all zero.
pub(super) const SLOT_BITS: u32 = 20;
/// The slot's part of an entry.
pub(super) const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// Of the hash to the upper part of an entry.
pub(super) const TAG_SHIFT: u32 = 64 - (32 - SLOT_BITS);
/// The bit that no tag is without.
pub(super) const TAG_BIT: u32 = 1 << SLOT_BITS;
/// What the filter reads of a flow's addresses at most, and its ports and protocol.
const HASHED: usize = 5;

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Bytes of a slot.
pub(super) const SLOT: usize = 144;
/// A slot as the worker reads and writes it.
pub(super) const SLOT_WORDS: usize = SLOT / 8;

/// Places in a slot. All of `u32`, `u64` and packet bytes lie as their size wants it.
pub(super) mod slot {
    /// `u32`: the flow's number, never 0 while it is valid. With `EPOCH` one word of the worker's.
    pub(in super::super) const GENERATION: i16 = 0;
    /// `u32`: valid while this is the epoch.
    pub(in super::super) const EPOCH: i16 = 4;
    /// `u64`: packets carried.
    pub(in super::super) const PACKETS: i16 = 8;
    /// `u64`: their bytes.
    pub(in super::super) const BYTES: i16 = 16;
    /// `u64`: `CLOCK_MONOTONIC` in nanoseconds at the last packet, 0 before the first.
    pub(in super::super) const LATEST: i16 = 24;
    /// `u32`: interface of arrival.
    pub(in super::super) const INTERFACE: i16 = 32;
    /// `u32`: interface to send on.
    pub(in super::super) const WAY: i16 = 36;
    /// Six bytes of the sender's link address and two of the ethertype, as in the frame.
    pub(in super::super) const NEIGHBOUR: i16 = 40;
    /// `u16`: the largest IP packet.
    pub(in super::super) const MTU: i16 = 48;
    /// Both new link addresses and the ethertype, as in the frame.
    pub(in super::super) const ETHERNET: i16 = 50;
    /// Address that the flow comes from, the first four bytes for IPv4.
    pub(in super::super) const SOURCE: i16 = 64;
    /// Address that it is for.
    pub(in super::super) const DESTINATION: i16 = 80;
    /// Both ports, as in the packet.
    pub(in super::super) const PORTS: i16 = 96;
    /// `u32`: IP protocol, 0 in a slot without a flow.
    pub(in super::super) const PROTOCOL: i16 = 100;
    /// New source address.
    pub(in super::super) const NEW_SOURCE: i16 = 104;
    /// New destination address.
    pub(in super::super) const NEW_DESTINATION: i16 = 120;
    /// New ports.
    pub(in super::super) const NEW_PORTS: i16 = 136;
    /// `u16`: what the new addresses add to a sum, 0 if there are none.
    pub(in super::super) const ADDRESS_CHANGE: i16 = 140;
    /// `u16`: what the new ports add to a sum, 0 if there are none.
    pub(in super::super) const PORT_CHANGE: i16 = 142;
}

/// Bytes of a decision.
pub(super) const DECISION: usize = 144;

/// Places in a decision, which only the programs see. The bytes before `IMAGE` lie so that its IP header is aligned.
pub(super) mod decision {
    /// `u32`: 0 for none, otherwise the bytes of `IMAGE`.
    pub(in super::super) const ARMED: i16 = 0;
    /// `u32`: the packet's interface.
    pub(in super::super) const INTERFACE: i16 = 4;
    /// `u32`: the packet's length with its Ethernet header.
    pub(in super::super) const LENGTH: i16 = 8;
    /// `u32`: interface to send on.
    pub(in super::super) const WAY: i16 = 12;
    /// `u32`: where the transport checksum lies in the frame.
    pub(in super::super) const CHECKSUM_AT: i16 = 16;
    /// `u32`: flags for its update.
    pub(in super::super) const FLAGS: i16 = 20;
    /// `u32`: as in the slot.
    pub(in super::super) const ADDRESS_CHANGE: i16 = 24;
    /// `u32`: as in the slot.
    pub(in super::super) const PORT_CHANGE: i16 = 28;
    /// The IP header and eight bytes more, as they arrived: what the decision is for.
    pub(in super::super) const IDENTITY: i16 = 32;
    /// The frame's beginning as it leaves, up to the ports.
    pub(in super::super) const IMAGE: i16 = 82;
}

/// A keyed hash that takes a few instructions: strangers choose ports, and must not choose buckets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds {
    /// What it begins with.
    pub(super) start: u64,
    /// By what each word is multiplied, odd.
    pub(super) factor: u64,
}

impl Seeds {
    /// Fresh ones.
    pub(super) fn random() -> Self {
        let random = || RandomState::new().hash_one(0);
        Self { start: random(), factor: random() | 1 }
    }

    /// The hash of the flow that a slot with these words has or had; None if it never had one.
    pub(super) fn hash(&self, words: &[u64; SLOT_WORDS]) -> Option<u64> {
        let (hashed, length) = hashed(words)?;
        Some(hashed.iter().take(length).fold(self.start, |hash, word| {
            let product = (hash ^ word).wrapping_mul(self.factor);
            product ^ product >> 32
        }))
    }
}

/// What an entry has of a hash.
pub(super) fn tag(hash: u64) -> u32 {
    ((hash >> TAG_SHIFT) as u32) << SLOT_BITS | TAG_BIT
}

/// Addresses, then ports and protocol, as words of the processor.
fn hashed(words: &[u64; SLOT_WORDS]) -> Option<([u64; HASHED], usize)> {
    let mut bytes = [0; SLOT];
    for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *chunk = word.to_ne_bytes();
    }
    let half = |at: i16| field(&bytes, at).map(|half| u64::from(u32::from_ne_bytes(half)));
    let whole = |at: i16| field(&bytes, at).map(u64::from_ne_bytes);
    let ports = half(slot::PORTS)? | half(slot::PROTOCOL)? << 32;
    let v4 = [half(slot::SOURCE)? | half(slot::DESTINATION)? << 32, ports, 0, 0, 0];
    let [a, b] = [whole(slot::SOURCE)?, whole(slot::SOURCE + 8)?];
    let v6 = [a, b, whole(slot::DESTINATION)?, whole(slot::DESTINATION + 8)?, ports];
    match (half(slot::PROTOCOL)?, field(&bytes, slot::NEIGHBOUR + 6)?) {
        (0, _) => None,
        (_, IPV6) => Some((v6, HASHED)),
        _ => Some((v4, 2)),
    }
}

/// The slot's words for a flow that is valid; the word of generation and epoch is left to the caller. None for what cannot be
/// carried.
pub(super) fn words(flow: &Flow, carriage: &Carriage) -> Option<[u64; SLOT_WORDS]> {
    if !is_possible(flow, carriage) {
        return None;
    }
    let ethertype = if flow.source.is_ipv6() { IPV6 } else { IPV4 };
    let mut bytes = [0; SLOT];
    let mut put = |at: i16, value: &[u8]| {
        let at = at.unsigned_abs().into();
        if let Some(field) = bytes.get_mut(at..at + value.len()) {
            field.copy_from_slice(value);
        }
    };
    put(slot::INTERFACE, &flow.interface.to_ne_bytes());
    put(slot::WAY, &carriage.interface.to_ne_bytes());
    put(slot::NEIGHBOUR, &flow.neighbour);
    put(slot::NEIGHBOUR + 6, &ethertype);
    put(slot::MTU, &u16::try_from(carriage.mtu).unwrap_or(u16::MAX).to_ne_bytes());
    put(slot::ETHERNET, &carriage.target);
    put(slot::ETHERNET + 6, &carriage.sender);
    put(slot::ETHERNET + 12, &ethertype);
    put(slot::SOURCE, &octets(flow.source.ip()));
    put(slot::DESTINATION, &octets(flow.destination.ip()));
    put(slot::NEW_SOURCE, &octets(carriage.source.ip()));
    put(slot::NEW_DESTINATION, &octets(carriage.destination.ip()));
    put(slot::PORTS, &ports(flow.source, flow.destination));
    put(slot::NEW_PORTS, &ports(carriage.source, carriage.destination));
    put(slot::PROTOCOL, &u32::from(flow.protocol).to_ne_bytes());
    let (addresses, numbers) = changes(flow, carriage);
    put(slot::ADDRESS_CHANGE, &addresses.to_ne_bytes());
    put(slot::PORT_CHANGE, &numbers.to_ne_bytes());
    Some(std::array::from_fn(|i| bytes.as_chunks().0.get(i).copied().map_or(0, u64::from_ne_bytes)))
}

fn field<const N: usize>(bytes: &[u8; SLOT], at: i16) -> Option<[u8; N]> {
    bytes.get(usize::from(at.unsigned_abs())..)?.first_chunk().copied()
}

/// The word of a slot that makes it valid, or not with generation 0.
pub(super) fn validity(generation: u32, epoch: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (generation.to_ne_bytes(), epoch.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// Generation and epoch of that word.
pub(super) fn parts(validity: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = validity.to_ne_bytes();
    (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
}

fn is_possible(flow: &Flow, carriage: &Carriage) -> bool {
    let ends = [flow.source, flow.destination, carriage.source, carriage.destination];
    let one_family = ends.iter().all(|end| end.is_ipv6() == flow.source.is_ipv6());
    matches!(i32::from(flow.protocol), libc::IPPROTO_TCP | libc::IPPROTO_UDP) && one_family
}

/// In network order, the first four for IPv4.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn ports(source: SocketAddr, destination: SocketAddr) -> [u8; 4] {
    let ([a, b], [c, d]) = (source.port().to_be_bytes(), destination.port().to_be_bytes());
    [a, b, c, d]
}

/// What new addresses and new ports add to a sum.
fn changes(flow: &Flow, carriage: &Carriage) -> (u16, u16) {
    let addresses = |source: SocketAddr, destination: SocketAddr| [octets(source.ip()), octets(destination.ip())];
    let old = addresses(flow.source, flow.destination);
    let new = addresses(carriage.source, carriage.destination);
    let old_ports = ports(flow.source, flow.destination);
    let new_ports = ports(carriage.source, carriage.destination);
    (change(old.as_flattened(), new.as_flattened()), change(&old_ports, &new_ports))
}

/// RFC 1624: the sum, in the processor's byte order, of what goes (complemented) and what comes. 0 for bytes that stay; a change that
/// adds nothing is the other zero of ones' complement.
fn change(old: &[u8], new: &[u8]) -> u16 {
    if old == new {
        return 0;
    }
    let words = |bytes: &[u8], mask: u16| -> u32 {
        bytes.as_chunks().0.iter().map(|word| u32::from(u16::from_ne_bytes(*word) ^ mask)).sum()
    };
    let sum = words(old, u16::MAX) + words(new, 0);
    let folded = (sum & 0xffff) + (sum >> 16);
    match (folded & 0xffff) + (folded >> 16) {
        0 => u16::MAX,
        folded => folded as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn flow(source: &str, destination: &str) -> Flow {
        let (source, destination) = (end(source), end(destination));
        Flow { protocol: 6, source, destination, interface: 3, neighbour: [2, 0, 0, 0, 0, 1] }
    }

    fn carriage(source: &str, destination: &str) -> Carriage {
        let (source, destination) = (end(source), end(destination));
        Carriage {
            source,
            destination,
            interface: 4,
            target: [2, 0, 0, 0, 0, 2],
            sender: [2, 0, 0, 0, 0, 3],
            mtu: 1500,
        }
    }

    #[test]
    fn a_hash_is_of_addresses_ports_and_protocol_alone() {
        let seeds = Seeds { start: 7, factor: 0x9e37_79b9_7f4a_7c15 };
        let way = carriage("10.0.0.1:258", "10.1.0.1:8080");
        let of = |flow: &Flow| seeds.hash(&words(flow, &way).unwrap()).unwrap();
        let flow = flow("10.0.0.1:258", "10.0.0.2:80");
        assert_eq!(of(&flow), of(&Flow { interface: 9, neighbour: [9; 6], ..flow }));
        let others = [
            Flow { protocol: 17, ..flow },
            Flow { source: end("10.0.0.1:259"), ..flow },
            Flow { destination: end("10.0.0.3:80"), ..flow },
            Flow { source: flow.destination, destination: flow.source, ..flow },
        ];
        others.iter().for_each(|other| assert_ne!(of(&flow), of(other), "{other:?}"));
        assert_eq!(seeds.hash(&[0; SLOT_WORDS]), None);
    }

    #[test]
    fn hashes_of_neighbouring_ports_are_spread() {
        let seeds = Seeds::random();
        let of = |source: String, server: &str| {
            let (flow, way) = (flow(&source, server), carriage(&source, server));
            seeds.hash(&words(&flow, &way).unwrap()).unwrap()
        };
        for v6 in [false, true] {
            let mut buckets = [0u32; 1024];
            let mut tags = std::collections::BTreeSet::new();
            for port in 1..=2048 {
                let hash = match v6 {
                    false => of(format!("10.0.0.1:{port}"), "10.0.0.2:80"),
                    true => of(format!("[fd00::1]:{port}"), "[fd00::2]:80"),
                };
                buckets[hash as usize % 1024] += 1;
                tags.insert(tag(hash));
            }
            assert!(buckets.iter().all(|filled| *filled < 16), "{:?}", buckets.iter().max());
            assert!(tags.len() > 500, "{}", tags.len());
        }
    }

    #[test]
    fn what_cannot_be_carried_has_no_words() {
        let (flow, way) = (flow("10.0.0.1:1", "10.0.0.2:80"), carriage("10.0.0.1:1", "10.1.0.1:80"));
        assert!(words(&flow, &way).is_some());
        assert_eq!(words(&Flow { protocol: 132, ..flow }, &way), None);
        assert_eq!(words(&flow, &Carriage { destination: end("[fd00::1]:80"), ..way }), None);
    }

    #[test]
    fn a_change_is_told_from_none() {
        assert_eq!(change(&[1, 2, 3, 4], &[1, 2, 3, 4]), 0);
        assert_eq!(change(&[1, 2, 3, 4], &[3, 4, 1, 2]), u16::MAX);
        assert_eq!(change(&[0, 1], &[0, 3]), u16::from_ne_bytes([0, 2]));
    }

    #[test]
    fn validity_is_two_words_in_the_order_of_the_slot() {
        assert_eq!(parts(validity(7, 9)), (7, 9));
        assert_eq!(validity(7, 9).to_ne_bytes()[..4], 7u32.to_ne_bytes());
    }
}
