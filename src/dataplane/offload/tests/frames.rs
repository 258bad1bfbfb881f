//! Frames, built field by field, with checksums computed the slow way.

use std::net::{IpAddr, SocketAddr};

use crate::dataplane::topology::Mac;

pub(super) const ACK: u8 = 0x10;

/// A TCP segment or UDP datagram in an Ethernet frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) target: Mac,
    pub(super) sender: Mac,
    pub(super) protocol: u8,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) hops: u8,
    pub(super) flags: u8,
    pub(super) identification: u16,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let segment = self.segment();
        let packet = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = (20 + segment.len()) as u16;
                let mut header = [&[0x45, 0][..], &length.to_be_bytes()].concat();
                header.extend(self.identification.to_be_bytes());
                header.extend([0x40, 0, self.hops, self.protocol, 0, 0]);
                header.extend(from.octets().iter().chain(&to.octets()));
                let sum = !sum(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                [header, segment].concat()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let flow = self.identification.to_be_bytes();
                let mut header = vec![0x60, 0, flow[0], flow[1]];
                header.extend((segment.len() as u16).to_be_bytes());
                header.extend([self.protocol, self.hops]);
                header.extend(from.octets().iter().chain(&to.octets()));
                [header, segment].concat()
            }
            mixed => panic!("{mixed:?}"),
        };
        let ethertype = if self.source.is_ipv6() { [0x86, 0xdd] } else { [0x08, 0x00] };
        [&self.target[..], &self.sender, &ethertype, &packet].concat()
    }

    fn segment(&self) -> Vec<u8> {
        let mut segment = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        let at = if self.protocol == 6 {
            segment.extend([0, 0, 0, 9, 0, 0, 0, 7, 0x50, self.flags, 1, 0, 0, 0, 0, 0]);
            16
        } else {
            segment.extend(((8 + self.payload.len()) as u16).to_be_bytes());
            segment.extend([0, 0]);
            6
        };
        segment.extend(&self.payload);
        let sum = match !sum(&[self.pseudo_header(segment.len()), segment.clone()].concat()) {
            0 if self.protocol == 17 => 0xffff,
            sum => sum,
        };
        segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    fn pseudo_header(&self, length: usize) -> Vec<u8> {
        let addresses = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
            (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
            mixed => panic!("{mixed:?}"),
        };
        [addresses, vec![0, self.protocol], (length as u16).to_be_bytes().to_vec()].concat()
    }

    /// Where the transport header begins.
    pub(super) fn transport(&self) -> usize {
        if self.source.is_ipv6() { 54 } else { 34 }
    }

    /// Where its checksum lies.
    pub(super) fn checksum(&self) -> usize {
        self.transport() + if self.protocol == 6 { 16 } else { 6 }
    }

    /// The frame as a sender leaves it whose interface would finish the checksum.
    pub(super) fn partial(&self) -> Vec<u8> {
        let (mut bytes, at) = (self.bytes(), self.checksum());
        let pseudo = sum(&self.pseudo_header(bytes.len() - self.transport()));
        bytes[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        bytes
    }
}

/// The folded ones' complement sum.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut total: u32 = words.sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
