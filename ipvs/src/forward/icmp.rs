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
    let kind = packet.get(header.l4)?;
    let start = header.l4 + HEADER;
    let quoted = packet.get(start..header.end)?;
    let inner = A::parse_quoted(quoted).ok()?;
    Protocol::from_number(inner.protocol)?;
    if !A::ICMP_ERRORS.contains(kind)
        || matches!(inner.fragment, Fragment::Later(_))
        || inner.source != header.destination
    {
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
    if !A::ICMP_ERRORS.contains(&icmp[0]) || outer.source != header.destination {
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

/// Rewrites an error about a NAT connection and the packet quoted in it; its checksum is computed anew.
pub(crate) fn translate<A: Address>(
    packet: &mut [u8],
    header: &Header<A>,
    quote: &Quote<A>,
    connection: &Connection<A>,
    direction: Direction,
) {
    let outer = match direction {
        Direction::FromClient => {
            let change = checksum::delta(header.destination.sum(), connection.server.sum());
            A::set_destination(packet, connection.server, change);
            (header.source, connection.server)
        }
        Direction::FromServer => {
            let change = checksum::delta(header.source.sum(), connection.service.sum());
            A::set_source(packet, connection.service, change);
            (connection.service, header.destination)
        }
    };
    let Some(quoted) = packet.get_mut(quote.start..header.end) else { return };
    translate_quote(quoted, &quote.header, connection, direction);
    let Some(icmp) = packet.get_mut(header.l4..header.end) else { return };
    write(icmp, 2, 0);
    let sum = !checksum::sum(icmp, pseudo(outer.0, outer.1, header));
    write(icmp, 2, sum);
}

/// The quoted packet went the other way than the error: what it had for a source is our destination.
fn translate_quote<A: Address>(quoted: &mut [u8], inner: &Header<A>, connection: &Connection<A>, direction: Direction) {
    match direction {
        Direction::FromClient => {
            let change = checksum::delta(inner.source.sum(), connection.server.sum());
            A::set_source(quoted, connection.server, change);
            write(quoted, inner.l4, connection.server_port);
        }
        Direction::FromServer => {
            let change = checksum::delta(inner.destination.sum(), connection.service.sum());
            A::set_destination(quoted, connection.service, change);
            write(quoted, inner.l4 + 2, connection.service_port);
        }
    }
}

fn pseudo<A: Address>(source: A, destination: A, header: &Header<A>) -> u32 {
    match A::ICMP_PSEUDO {
        true => pseudo_sum(source, destination, A::ICMP, header.end - header.l4),
        false => 0,
    }
}
