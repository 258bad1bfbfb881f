//! ICMP errors about a connection: the quoted packet is found and translated with the error itself.

use crate::address::Address;
use crate::connection::{Connection, Direction, Key};
use crate::forward::nat::pseudo_sum;
use crate::forward::tunnel;
use crate::packet::{Fragment, Header, checksum, read, write};
use crate::service::Protocol;

/// Length of the header before the quoted packet.
const HEADER: usize = 8;

/// The packet that an ICMP error quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quote<A> {
    header: Header<A>,
    /// Where it begins in the outer packet.
    start: usize,
    /// What the quoted connection's packets in the error's direction are looked up by.
    pub(crate) key: Key<A>,
}

/// The quoted packet, if this is an error that is translated and that was sent to the quoted packet's sender.
pub(crate) fn quote<A: Address>(packet: &[u8], header: &Header<A>) -> Option<Quote<A>> {
    let kind = *packet.get(header.l4)?;
    let start = header.l4 + HEADER;
    let quoted = packet.get(start..header.end)?;
    let inner = A::parse_quoted(quoted).ok()?;
    Protocol::from_number(inner.protocol)?;
    if !A::is_icmp_error(kind) || matches!(inner.fragment, Fragment::Later(_)) || inner.source != header.destination {
        return None;
    }
    let key = Key {
        source: inner.source,
        destination: inner.destination,
        source_port: read(quoted, inner.l4)?,
        destination_port: read(quoted, inner.l4 + 2)?,
        protocol: inner.protocol,
        template: false,
    };
    Some(Quote { header: inner, start, key: key.reversed() })
}

/// The client's packet inside the tunnel's packet that an ICMP error quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside<A> {
    /// Where it begins in the error.
    pub(crate) start: usize,
    /// What its connection is looked up by.
    pub(crate) key: Key<A>,
    /// The tunnel's end.
    pub(crate) server: A,
    /// The first eight bytes of the error, without its checksum.
    pub(crate) icmp: [u8; HEADER],
}

/// Looks for a tunnel's packet in an ICMP error that was sent to the tunnel's beginning.
pub(crate) fn inside<A: Address>(packet: &[u8], header: &Header<A>) -> Option<Inside<A>> {
    let mut icmp: [u8; HEADER] = *packet.get(header.l4..)?.first_chunk()?;
    [icmp[2], icmp[3]] = [0, 0];
    let quoted = packet.get(header.l4 + HEADER..header.end)?;
    let outer = A::parse_quoted(quoted).ok()?;
    if !A::is_icmp_error(icmp[0]) || outer.source != header.destination {
        return None;
    }
    let at = tunnel::inside(quoted, outer.protocol, outer.l4)?;
    let packet = quoted.get(at..)?;
    let inner = A::parse_quoted(packet).ok()?;
    Protocol::from_number(inner.protocol)?;
    let key = Key {
        source: inner.source,
        destination: inner.destination,
        source_port: read(packet, inner.l4)?,
        destination_port: read(packet, inner.l4 + 2)?,
        protocol: inner.protocol,
        template: false,
    };
    let whole = !matches!(inner.fragment, Fragment::Later(_));
    whole.then_some(Inside { start: header.l4 + HEADER + at, key, server: outer.destination, icmp })
}

/// Whether the ICMP checksum is right.
pub(crate) fn intact<A: Address>(packet: &[u8], header: &Header<A>) -> bool {
    let sum = |icmp| checksum::sum(icmp, pseudo(header.source, header.destination, header));
    packet.get(header.l4..header.end).is_some_and(|icmp| sum(icmp) == 0xffff)
}

/// Rewrites an error about a connection whose answers pass the director, and the packet quoted in it; its checksum is
/// computed anew. `seen` is the end that the server sees.
pub(crate) fn translate<A: Address>(
    packet: &mut [u8],
    header: &Header<A>,
    quote: &Quote<A>,
    connection: &Connection<A>,
    seen: (A, u16),
    direction: Direction,
) {
    let client = (connection.client, connection.client_port);
    let (from, to) = match direction {
        Direction::FromClient if header.source == client.0 => (seen.0, connection.server),
        Direction::FromClient => (header.source, connection.server),
        Direction::FromServer => (connection.service, client.0),
    };
    A::set_source(packet, from, checksum::delta(header.source.sum(), from.sum()));
    A::set_destination(packet, to, checksum::delta(header.destination.sum(), to.sum()));
    let Some(quoted) = packet.get_mut(quote.start..header.end) else { return };
    // The quoted packet went the other way than the error.
    match direction {
        Direction::FromClient => {
            set_ends(quoted, &quote.header, (connection.server, connection.server_port), seen);
        }
        Direction::FromServer => {
            set_ends(quoted, &quote.header, client, (connection.service, connection.service_port));
            if let (Some(insertion), Some(segment)) = (connection.insertion(), quoted.get_mut(quote.header.l4..)) {
                insertion.take_back(segment, true);
            }
        }
    }
    let Some(icmp) = packet.get_mut(header.l4..header.end) else { return };
    write(icmp, 2, 0);
    let sum = !checksum::sum(icmp, pseudo(from, to, header));
    write(icmp, 2, sum);
}

fn set_ends<A: Address>(quoted: &mut [u8], inner: &Header<A>, source: (A, u16), destination: (A, u16)) {
    A::set_source(quoted, source.0, checksum::delta(inner.source.sum(), source.0.sum()));
    A::set_destination(quoted, destination.0, checksum::delta(inner.destination.sum(), destination.0.sum()));
    write(quoted, inner.l4, source.1);
    write(quoted, inner.l4 + 2, destination.1);
}

fn pseudo<A: Address>(source: A, destination: A, header: &Header<A>) -> u32 {
    match A::ICMP_PSEUDO {
        true => pseudo_sum(source, destination, A::ICMP, header.end - header.l4),
        false => 0,
    }
}
