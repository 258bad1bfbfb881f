//! Connections and persistence templates: what one is, where they are kept, and when they end.

pub(crate) mod fragments;
mod index;
pub(crate) mod sctp;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod tcp;
#[cfg(test)]
mod tests;
mod view;
mod wheel;

use std::ops::Range;

pub use state::{State, Timeouts};
pub use view::ConnectionView;

use crate::address::Address;
use crate::forward::proxy::Insertion;
use crate::packet::checksum::Change;
use crate::verdict::HopId;

/// The absence of a table index.
pub(crate) const NONE: u32 = u32::MAX;

/// The destination of a connection that another director has told of, while no service here has its server.
pub(crate) const UNBOUND: u32 = u32::MAX - 1;

/// The server's SYN was seen.
pub(crate) const HEARD_SYN: u8 = 1;
/// Another packet of the server was seen.
pub(crate) const HEARD_MORE: u8 = 2;
/// The server has acknowledged the header that was inserted before the client's bytes.
pub(crate) const HEARD_HEADER: u8 = 4;
/// Any of these.
pub(crate) const HEARD: u8 = HEARD_SYN | HEARD_MORE | HEARD_HEADER;
/// The driver has others carry the connection's plain packets.
pub(crate) const CARRIED: u8 = 8;
/// The driver has declined to do so: a number that means something as long as it is the director's.
pub(crate) const DECLINED: u8 = 0xf0;

/// The addresses that a vector has taken, used or not.
pub(crate) fn region<T>(vector: &Vec<T>) -> Range<usize> {
    let start = vector.as_ptr().addr();
    start..start + vector.capacity() * size_of::<T>()
}

/// How packets of a connection reach its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Nat,
    FullNat,
    Dr,
    Tunnel,
    Local,
}

impl Method {
    /// Whether answers pass the director.
    #[inline]
    pub(crate) fn is_two_way(self) -> bool {
        matches!(self, Method::Nat | Method::FullNat)
    }
}

/// Which end sent a packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    FromClient,
    FromServer,
}

/// One entry of the table. For IPv4 it is exactly one cache line.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct Connection<A> {
    pub(crate) client: A,
    /// The address that the client talks to; the mark of a firewall-mark service in its template.
    pub(crate) service: A,
    pub(crate) server: A,
    pub(crate) client_port: u16,
    pub(crate) service_port: u16,
    pub(crate) server_port: u16,
    /// Protocol number; 0 in the template of a firewall-mark service.
    pub(crate) protocol: u8,
    pub(crate) state: State,
    pub(crate) method: Method,
    pub(crate) template: bool,
    /// Counted among its destination's inactive connections.
    pub(crate) inactive: bool,
    /// What the server has sent: [`HEARD_SYN`], [`HEARD_MORE`], [`HEARD_HEADER`]; and [`CARRIED`], [`DECLINED`].
    pub(crate) heard: u8,
    /// The mark of the header inserted before the client's bytes; 0 for nearly all connections.
    pub(crate) inserted: u8,
    /// Packets of the client, up to 255.
    pub(crate) packets: u8,
    pub(crate) hop: HopId,
    pub(crate) destination: u32,
    /// The template that this connection belongs to.
    pub(crate) control: u32,
    /// How many connections belong to this template; of a connection with bytes inserted, the sequence number of the
    /// client's first byte.
    pub(crate) controlled: u32,
    /// The tick of its end.
    pub(crate) expires: u32,
    /// A template's own time-out in ticks; the packed [`Source`] of a connection behind full NAT.
    pub(crate) timeout: u32,
    /// What the translation of a client's packet does to its checksums.
    pub(crate) change: Change,
    pub(crate) links: Links,
    /// The wheel's slot that it waits in.
    pub(crate) slot: u16,
}

/// Place in the timer wheel, or in the list of free entries (`next` alone).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    next: u32,
    previous: u32,
}

impl Links {
    pub(crate) const NONE: Links = Links { next: NONE, previous: NONE };
}

/// The end that a server behind full NAT sees: the table's number of an address, and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) address: u16,
    pub(crate) port: u16,
}

impl Source {
    pub(crate) fn pack(self) -> u32 {
        u32::from(self.address) << 16 | u32::from(self.port)
    }

    pub(crate) fn unpack(packed: u32) -> Source {
        Source { address: (packed >> 16) as u16, port: packed as u16 }
    }
}

/// What a packet (or a template) is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<A> {
    pub(crate) source: A,
    pub(crate) destination: A,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) protocol: u8,
    pub(crate) template: bool,
}

impl<A: Address> Key<A> {
    /// The key of packets that go the other way.
    pub(crate) fn reversed(self) -> Self {
        Key {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self
        }
    }

    /// The key of a server's answers, where it sees the client itself.
    pub(crate) fn answered_by(self, (source, source_port): (A, u16)) -> Self {
        Key {
            source,
            source_port,
            destination: self.source,
            destination_port: self.source_port,
            protocol: self.protocol,
            template: false,
        }
    }
}

impl<A: Address> Connection<A> {
    /// The bytes inserted before the client's.
    #[inline]
    pub(crate) fn insertion(&self) -> Option<Insertion> {
        Insertion::of_mark(self.inserted, self.controlled)
    }

    pub(crate) fn client_key(&self) -> Key<A> {
        Key {
            source: self.client,
            destination: self.service,
            source_port: self.client_port,
            destination_port: self.service_port,
            protocol: self.protocol,
            template: self.template,
        }
    }

    /// Whom a server sends its answers to, if they pass the director. `sources` are the table's.
    pub(crate) fn seen_by_server(&self, sources: &[A]) -> Option<(A, u16)> {
        match self.method {
            _ if self.template => None,
            Method::Nat => Some((self.client, self.client_port)),
            Method::FullNat => {
                let source = Source::unpack(self.timeout);
                Some((sources.get(usize::from(source.address)).copied()?, source.port))
            }
            Method::Dr | Method::Tunnel | Method::Local => None,
        }
    }

    /// The key of a server's answers; those that bypass the director have none.
    pub(crate) fn server_key(&self, sources: &[A]) -> Option<Key<A>> {
        let (destination, destination_port) = self.seen_by_server(sources)?;
        Some(Key {
            source: self.server,
            destination,
            source_port: self.server_port,
            destination_port,
            protocol: self.protocol,
            template: false,
        })
    }

    #[inline]
    pub(crate) fn direction(&self, key: &Key<A>, sources: &[A]) -> Option<Direction> {
        if self.protocol != key.protocol || self.template != key.template {
            return None;
        }
        if self.is_client_of(key) {
            return Some(Direction::FromClient);
        }
        self.is_server_of(key, sources).then_some(Direction::FromServer)
    }

    #[inline]
    fn is_client_of(&self, key: &Key<A>) -> bool {
        self.client == key.source
            && self.service == key.destination
            && self.client_port == key.source_port
            && self.service_port == key.destination_port
    }

    #[inline]
    fn is_server_of(&self, key: &Key<A>, sources: &[A]) -> bool {
        self.server == key.source
            && self.server_port == key.source_port
            && match self.method {
                Method::Nat => self.client == key.destination && self.client_port == key.destination_port,
                Method::FullNat => self.seen_by_server(sources) == Some((key.destination, key.destination_port)),
                Method::Dr | Method::Tunnel | Method::Local => false,
            }
    }
}

const _: () = assert!(size_of::<Connection<std::net::Ipv4Addr>>() == 64, "one cache line");
