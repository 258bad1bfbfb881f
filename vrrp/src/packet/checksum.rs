//! The Internet checksum (RFC 1071) over a VRRP message, with and without a pseudo header.

use super::PROTOCOL_VRRP;
use std::net::IpAddr;

/// A running sum of 16-bit words.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds octets, the last one padded with a zero.
    pub(crate) fn add(mut self, octets: &[u8]) -> Self {
        let (pairs, rest) = octets.as_chunks::<2>();
        self.0 += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
        self.0 += rest.first().map_or(0, |last| u64::from(*last) << 8);
        self
    }

    /// The one's complement of the folded sum; zero over a message that holds a right checksum.
    pub(crate) fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(0)
    }
}

/// The pseudo header of RFC 9568 section 5.2.8 (RFC 8200 section 8.1 for IPv6; its IPv4 like sums to the same).
pub(crate) fn pseudo_header(source: &IpAddr, destination: &IpAddr, length: usize) -> Sum {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    add_address(add_address(Sum::default(), source), destination).add(&length.to_be_bytes()).add(&[0, PROTOCOL_VRRP])
}

fn add_address(sum: Sum, address: &IpAddr) -> Sum {
    match address {
        IpAddr::V4(v4) => sum.add(&v4.octets()),
        IpAddr::V6(v6) => sum.add(&v6.octets()),
    }
}
