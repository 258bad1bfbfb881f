//! What the packet path needs to know of an address family.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::forward::client_option::ClientOption;
use crate::forward::nat::End;
use crate::hash::Seed;
use crate::packet::icmp::{IcmpError, ReplyBuffer};
use crate::packet::{Header, ipv4, ipv6};
use crate::service::Sources;
use crate::verdict::PassReason;

/// `Ipv4Addr` or `Ipv6Addr`: the packet path is written once and compiled for each.
pub(crate) trait Address: Copy + Eq + Debug + 'static {
    /// Protocol number of this family's ICMP.
    const ICMP: u8;
    /// Types of ICMP errors that are translated: a bit for each of the first 128. For IPv6 all are errors.
    const ICMP_ERRORS: u128;
    /// Whether the ICMP checksum covers a pseudo header.
    const ICMP_PSEUDO: bool;
    /// The filler of unused table entries.
    const UNSPECIFIED: Self;

    /// Whether an ICMP message of this type is an error that is translated.
    fn is_icmp_error(kind: u8) -> bool {
        Self::ICMP_ERRORS.checked_shr(kind.into()).is_some_and(|errors| errors & 1 != 0)
    }

    fn from_ip(address: IpAddr) -> Option<Self>;
    /// A service's source addresses of this family.
    fn sources(of: &Sources) -> &[Self];
    /// The TCP option that names a client: kind, length, port, address.
    fn client_option(self, port: u16) -> ClientOption;
    fn ip(self) -> IpAddr;
    /// What a template of a firewall-mark service has for the virtual address.
    fn from_mark(mark: u32) -> Self;
    /// Whether no packet from a network has this source, as Linux sees it.
    fn is_martian(self) -> bool;
    /// The first `prefix` bits.
    fn masked(self, prefix: u8) -> Self;
    /// The sum of the address's 16-bit words, not folded.
    fn sum(self) -> u32;
    /// Hash of a pair of addresses and the seven low bytes of `rest` (ports, protocol, kind).
    fn hash(seed: Seed, source: Self, destination: Self, rest: u64) -> u32;

    /// Validates the IP header: if it succeeds, `l4 <= end <= packet.len()`.
    fn parse(packet: &[u8]) -> Result<Header<Self>, PassReason>;
    /// As `parse`, for a packet quoted in an ICMP error, of which the end may be missing.
    fn parse_quoted(packet: &[u8]) -> Result<Header<Self>, PassReason>;
    /// Whether the header's own checksum is right (IPv6 has none).
    fn header_intact(packet: &[u8], l4: usize) -> bool;
    /// Writes a new source or destination; `change` is the checksum difference.
    fn set_source(packet: &mut [u8], address: Self, change: u16);
    fn set_destination(packet: &mut [u8], address: Self, change: u16);
    fn decrement_ttl(packet: &mut [u8]);
    /// `decrement_ttl` with `set_source` or `set_destination`, in one.
    fn hop(packet: &mut [u8], end: End, address: Self, change: u16);
    /// The MTU that an ICMP error tells of, if that is what it is about. Without one (RFC 1191 section 5) it is none.
    fn told_mtu(icmp: [u8; 8]) -> Option<u16>;
    /// Writes the packet's length into the IP header.
    fn set_length(packet: &mut [u8], length: usize);
    /// The first eight bytes of an ICMP error.
    fn error_header(error: IcmpError) -> [u8; 8];
    /// The ICMP error about `packet`, from `source` to the packet's sender.
    fn error(packet: &[u8], header: &Header<Self>, source: Self, icmp: [u8; 8], id: u16) -> Option<ReplyBuffer>;
}

impl Address for Ipv4Addr {
    const ICMP: u8 = 1;
    const ICMP_ERRORS: u128 = 1 << 3 | 1 << 4 | 1 << 11;
    const ICMP_PSEUDO: bool = false;
    const UNSPECIFIED: Self = Ipv4Addr::UNSPECIFIED;

    fn from_ip(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn sources(of: &Sources) -> &[Self] {
        &of.v4
    }

    fn client_option(self, port: u16) -> ClientOption {
        ClientOption::new(254, port, &self.octets())
    }

    fn ip(self) -> IpAddr {
        IpAddr::V4(self)
    }

    fn from_mark(mark: u32) -> Self {
        Ipv4Addr::from_bits(mark)
    }

    fn is_martian(self) -> bool {
        self.octets()[0] == 0 || self.is_loopback() || self.is_multicast() || self.is_broadcast()
    }

    fn masked(self, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        Ipv4Addr::from_bits(self.to_bits() & mask)
    }

    #[inline]
    fn sum(self) -> u32 {
        let bits = self.to_bits();
        (bits >> 16) + (bits & 0xffff)
    }

    #[inline]
    fn hash(seed: Seed, source: Self, destination: Self, rest: u64) -> u32 {
        let addresses = (u64::from(source.to_bits()) << 32) | u64::from(destination.to_bits());
        seed.hash([addresses], rest) as u32
    }

    #[inline]
    fn parse(packet: &[u8]) -> Result<Header<Self>, PassReason> {
        ipv4::parse(packet)
    }

    fn parse_quoted(packet: &[u8]) -> Result<Header<Self>, PassReason> {
        ipv4::parse_quoted(packet)
    }

    #[inline(always)]
    fn header_intact(packet: &[u8], l4: usize) -> bool {
        ipv4::header_intact(packet, l4)
    }

    #[inline]
    fn set_source(packet: &mut [u8], address: Self, change: u16) {
        ipv4::set_address(packet, ipv4::SOURCE, address, change);
    }

    #[inline]
    fn set_destination(packet: &mut [u8], address: Self, change: u16) {
        ipv4::set_address(packet, ipv4::DESTINATION, address, change);
    }

    #[inline]
    fn decrement_ttl(packet: &mut [u8]) {
        ipv4::decrement_ttl(packet);
    }

    #[inline(always)]
    fn hop(packet: &mut [u8], end: End, address: Self, change: u16) {
        match end {
            End::Source => ipv4::hop(packet, ipv4::SOURCE, address, change),
            End::Destination => ipv4::hop(packet, ipv4::DESTINATION, address, change),
        }
    }

    fn told_mtu(icmp: [u8; 8]) -> Option<u16> {
        let mtu = u16::from_be_bytes([icmp[6], icmp[7]]);
        (icmp[0] == 3 && icmp[1] == 4 && mtu > 0).then_some(mtu)
    }

    fn set_length(packet: &mut [u8], length: usize) {
        ipv4::set_length(packet, length);
    }

    fn error_header(error: IcmpError) -> [u8; 8] {
        error.v4_header()
    }

    fn error(packet: &[u8], header: &Header<Self>, source: Self, icmp: [u8; 8], id: u16) -> Option<ReplyBuffer> {
        ipv4::error(packet, header, source, icmp, id)
    }
}

impl Address for Ipv6Addr {
    const ICMP: u8 = 58;
    const ICMP_ERRORS: u128 = u128::MAX;
    const ICMP_PSEUDO: bool = true;
    const UNSPECIFIED: Self = Ipv6Addr::UNSPECIFIED;

    fn from_ip(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }

    fn sources(of: &Sources) -> &[Self] {
        &of.v6
    }

    fn client_option(self, port: u16) -> ClientOption {
        ClientOption::new(253, port, &self.octets())
    }

    fn ip(self) -> IpAddr {
        IpAddr::V6(self)
    }

    fn from_mark(mark: u32) -> Self {
        Ipv6Addr::from_bits(u128::from(mark) << 96)
    }

    fn is_martian(self) -> bool {
        self.is_loopback() || self.is_multicast()
    }

    fn masked(self, prefix: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
        Ipv6Addr::from_bits(self.to_bits() & mask)
    }

    fn sum(self) -> u32 {
        self.segments().iter().map(|&word| u32::from(word)).sum()
    }

    fn hash(seed: Seed, source: Self, destination: Self, rest: u64) -> u32 {
        let [source, destination] = [source.to_bits(), destination.to_bits()];
        let words = [source as u64, (source >> 64) as u64, destination as u64, (destination >> 64) as u64];
        seed.hash(words, rest) as u32
    }

    fn parse(packet: &[u8]) -> Result<Header<Self>, PassReason> {
        ipv6::parse(packet)
    }

    fn parse_quoted(packet: &[u8]) -> Result<Header<Self>, PassReason> {
        ipv6::parse_quoted(packet)
    }

    fn header_intact(_: &[u8], _: usize) -> bool {
        true
    }

    fn set_source(packet: &mut [u8], address: Self, _: u16) {
        ipv6::set_address(packet, ipv6::SOURCE, address);
    }

    fn set_destination(packet: &mut [u8], address: Self, _: u16) {
        ipv6::set_address(packet, ipv6::DESTINATION, address);
    }

    fn decrement_ttl(packet: &mut [u8]) {
        ipv6::decrement_hop_limit(packet);
    }

    fn hop(packet: &mut [u8], end: End, address: Self, change: u16) {
        Self::decrement_ttl(packet);
        match end {
            End::Source => Self::set_source(packet, address, change),
            End::Destination => Self::set_destination(packet, address, change),
        }
    }

    fn told_mtu(icmp: [u8; 8]) -> Option<u16> {
        let mtu = u32::from_be_bytes([icmp[4], icmp[5], icmp[6], icmp[7]]);
        (icmp[0] == 2 && mtu > 0).then(|| u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    fn set_length(packet: &mut [u8], length: usize) {
        ipv6::set_length(packet, length);
    }

    fn error_header(error: IcmpError) -> [u8; 8] {
        error.v6_header()
    }

    fn error(packet: &[u8], header: &Header<Self>, source: Self, icmp: [u8; 8], _: u16) -> Option<ReplyBuffer> {
        ipv6::error(packet, header, source, icmp)
    }
}
