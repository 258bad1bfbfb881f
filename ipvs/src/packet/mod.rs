//! Views over packet bytes.

pub(crate) mod checksum;
pub(crate) mod crc32c;
pub(crate) mod icmp;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod segment;

pub use icmp::ReplyBuffer;

use crate::verdict::HopId;

/// One packet in the driver's buffer, rewritten in place.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The packet from the IP header on. Bytes after the IP length (Ethernet padding) are left alone.
    pub packet: &'a mut [u8],
    /// The checksum field of TCP or UDP holds only the pseudo header's sum, not complemented (virtio-net's
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`, Linux's `CHECKSUM_PARTIAL`).
    pub checksum_partial: bool,
    /// Payload of each segment of a superpacket, 0 when the packet is none.
    pub gso_size: u16,
}

/// Where a frame came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ingress {
    /// The driver's name for the interface and the MAC address that sent the frame.
    pub client_hop: HopId,
    /// The firewall mark, 0 for none.
    pub mark: u32,
}

/// What the packet path wants to know of an IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<A> {
    pub(crate) source: A,
    pub(crate) destination: A,
    /// The transport protocol, after all extension headers.
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    /// Where the transport header begins.
    pub(crate) l4: usize,
    /// Where the packet ends.
    pub(crate) end: usize,
    pub(crate) fragment: Fragment,
}

/// Which part of a datagram a packet is, with the datagram's identification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fragment {
    Whole,
    First(u32),
    Later(u32),
}

#[inline]
pub(crate) fn word(bytes: [u8; 2]) -> u16 {
    u16::from_be_bytes(bytes)
}

/// Reads the 16-bit word at `at`.
#[inline]
pub(crate) fn read(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..)?.first_chunk().copied().map(word)
}

/// Writes the 16-bit word at `at`, if there is one.
#[inline]
pub(crate) fn write(packet: &mut [u8], at: usize, value: u16) {
    if let Some(field) = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = value.to_be_bytes();
    }
}
