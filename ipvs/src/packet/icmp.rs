//! ICMP errors: what they are called in each family, and the buffer that carries one.

use std::fmt;
use std::ops::Deref;

/// An error that the director reports to a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpError {
    /// IPv4 3.3, IPv6 1.4.
    PortUnreachable,
    /// IPv4 3.1, IPv6 1.3.
    HostUnreachable,
    /// IPv4 3.4, IPv6 2.0.
    TooBig {
        /// The MTU of the next link in bytes.
        mtu: u16,
    },
    /// IPv4 11.0, IPv6 3.0.
    TimeExceeded,
}

impl IcmpError {
    pub(crate) fn v4_header(self) -> [u8; 8] {
        let [high, low] = self.mtu().to_be_bytes();
        let (kind, code) = match self {
            IcmpError::PortUnreachable => (3, 3),
            IcmpError::HostUnreachable => (3, 1),
            IcmpError::TooBig { .. } => (3, 4),
            IcmpError::TimeExceeded => (11, 0),
        };
        [kind, code, 0, 0, 0, 0, high, low]
    }

    pub(crate) fn v6_header(self) -> [u8; 8] {
        let [high, low] = self.mtu().to_be_bytes();
        let (kind, code) = match self {
            IcmpError::PortUnreachable => (1, 4),
            IcmpError::HostUnreachable => (1, 3),
            IcmpError::TooBig { .. } => (2, 0),
            IcmpError::TimeExceeded => (3, 0),
        };
        [kind, code, 0, 0, 0, 0, high, low]
    }

    fn mtu(self) -> u16 {
        match self {
            IcmpError::TooBig { mtu } => mtu,
            _ => 0,
        }
    }
}

/// A whole IP packet that the engine made; dereferences to its bytes.
#[derive(Clone)]
pub struct ReplyBuffer {
    bytes: [u8; ReplyBuffer::CAPACITY],
    length: usize,
}

impl ReplyBuffer {
    /// Long enough for the longest error (RFC 4443: the IPv6 minimum MTU).
    pub(crate) const CAPACITY: usize = 1280;

    /// Appends as much as fits.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        let taken = free.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
        self.length += taken;
    }

    pub(crate) fn get_mut(&mut self, range: std::ops::RangeFrom<usize>) -> Option<&mut [u8]> {
        self.bytes.get_mut(range.start..self.length)
    }
}

impl Default for ReplyBuffer {
    fn default() -> Self {
        ReplyBuffer { bytes: [0; ReplyBuffer::CAPACITY], length: 0 }
    }
}

impl Deref for ReplyBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl PartialEq for ReplyBuffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ReplyBuffer {}

impl fmt::Debug for ReplyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyBuffer({} bytes)", self.length)
    }
}
