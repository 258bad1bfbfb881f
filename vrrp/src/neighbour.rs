//! Frames that tell neighbours where an address lives: gratuitous ARP (RFC 5227 section 3, as a request, the way keepalived
//! sends it) and unsolicited neighbour advertisements (RFC 4861 section 7.2.6).

use crate::packet::internet_checksum;
use std::net::{Ipv4Addr, Ipv6Addr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ICMPV6: u8 = 58;
const ICMPV6_LEN: u8 = 32;

/// An Ethernet frame with a broadcast ARP request for `address` by `address`; the target hardware address is broadcast too.
#[must_use]
pub fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    let ip = address.octets();
    fill(
        &mut frame,
        &[
            &[0xff; 6],
            &mac,
            &[0x08, 0x06],
            // Ethernet, IPv4, 6 and 4 octets, request.
            &[0, 1, 8, 0, 6, 4, 0, 1],
            &mac,
            &ip,
            &[0xff; 6],
            &ip,
        ],
    );
    frame
}

/// An Ethernet frame with an unsolicited neighbour advertisement from `address` to all nodes, override flag set.
///
/// `router` sets the router flag: true where the interface forwards.
#[must_use]
pub fn unsolicited_na(mac: [u8; 6], address: Ipv6Addr, router: bool) -> [u8; 86] {
    let flags = if router { 0xa0 } else { 0x20 };
    let mut icmp = [0; ICMPV6_LEN as usize];
    let target = address.octets();
    fill(&mut icmp, &[&[136, 0, 0, 0, flags, 0, 0, 0], &target, &[2, 1], &mac]);
    let checksum = icmpv6_checksum(&address, &icmp);
    icmp[2..4].copy_from_slice(&checksum);
    let mut frame = [0; 86];
    fill(
        &mut frame,
        &[
            &ALL_NODES_MAC,
            &mac,
            &[0x86, 0xdd],
            &[0x60, 0, 0, 0, 0, ICMPV6_LEN, ICMPV6, 255],
            &target,
            &ALL_NODES.octets(),
            &icmp,
        ],
    );
    frame
}

fn icmpv6_checksum(source: &Ipv6Addr, icmp: &[u8]) -> [u8; 2] {
    let pseudo = [0, 0, 0, ICMPV6_LEN, 0, 0, 0, ICMPV6];
    internet_checksum(&[&source.octets(), &ALL_NODES.octets(), &pseudo, icmp]).to_be_bytes()
}

fn fill(buffer: &mut [u8], parts: &[&[u8]]) {
    let octets = parts.iter().flat_map(|part| part.iter());
    for (place, octet) in buffer.iter_mut().zip(octets) {
        *place = *octet;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
    }

    const MAC: [u8; 6] = [2, 0x77, 0, 0, 0, 1];

    #[test]
    fn gratuitous_arp_is_keepalived_s() {
        let expected =
            hex("ff ff ff ff ff ff 02 77 00 00 00 01 08 06 00 01 08 00 06 04 00 01 02 77 00 00 00 01 0a 4d 00 c8 \
             ff ff ff ff ff ff 0a 4d 00 c8");
        assert_eq!(gratuitous_arp(MAC, Ipv4Addr::new(10, 77, 0, 200)).to_vec(), expected);
    }

    #[test]
    fn unsolicited_na_is_keepalived_s() {
        let expected =
            hex("33 33 00 00 00 01 02 77 00 00 00 01 86 dd 60 00 00 00 00 20 3a ff fd 77 00 00 00 00 00 00 00 00 \
             00 00 00 00 02 00 ff 02 00 00 00 00 00 00 00 00 00 00 00 00 00 01 88 00 55 38 20 00 00 00 fd 77 \
             00 00 00 00 00 00 00 00 00 00 00 00 02 00 02 01 02 77 00 00 00 01");
        assert_eq!(unsolicited_na(MAC, "fd77::200".parse().unwrap(), false).to_vec(), expected);
        assert_eq!(unsolicited_na(MAC, "fd77::200".parse().unwrap(), true)[58], 0xa0);
    }
}
