//! Network address translation of one packet, with incremental checksums.

use crate::address::Address;
use crate::packet::checksum::{Change, delta};
use crate::packet::segment::{Coverage, Segment, mend_checksum};
use crate::packet::{Fragment, Header, write};
use crate::service::Protocol;

/// Which end of the packet is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// The change of checksums from one address and port to another.
pub(crate) fn change<A: Address>(from: (A, u16), to: (A, u16)) -> Change {
    Change { addresses: delta(from.0.sum(), to.0.sum()), ports: delta(u32::from(from.1), u32::from(to.1)) }
}

/// Mends what follows the IP header after one end got another address: its port and the checksum, by `change`.
#[inline(always)]
pub(crate) fn rewrite_segment<A: Address>(
    packet: &mut [u8],
    header: &Header<A>,
    protocol: Protocol,
    end: End,
    (address, port): (A, u16),
    change: Change,
    partial: bool,
) {
    let coverage = match (partial, header.fragment) {
        (true, _) => Coverage::Partial,
        (false, Fragment::Whole) => Coverage::Packet,
        (false, _) => Coverage::Datagram,
    };
    let (source, destination, at) = match end {
        End::Source => (address, header.destination, 0),
        End::Destination => (header.source, address, 2),
    };
    let stop = header.end.min(packet.len());
    let Some(l4) = packet.get_mut(header.l4..stop) else { return };
    write(l4, at, port);
    mend_checksum(protocol, l4, change, coverage, |length| pseudo_sum(source, destination, header.protocol, length));
}

/// Gives one end of a packet with a whole checksum another address and port.
pub(crate) fn translate<A: Address>(packet: &mut [u8], header: &Header<A>, segment: &Segment, end: End, to: (A, u16)) {
    let from = match end {
        End::Source => (header.source, segment.source_port),
        End::Destination => (header.destination, segment.destination_port),
    };
    let change = change(from, to);
    match end {
        End::Source => A::set_source(packet, to.0, change.addresses),
        End::Destination => A::set_destination(packet, to.0, change.addresses),
    }
    rewrite_segment(packet, header, segment.protocol, end, to, change, false);
}

/// The sum of a pseudo header.
pub(crate) fn pseudo_sum<A: Address>(source: A, destination: A, protocol: u8, length: usize) -> u32 {
    source.sum() + destination.sum() + u32::from(protocol) + length as u32
}
