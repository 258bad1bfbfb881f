//! Network address translation of one packet, with incremental checksums.

use crate::address::Address;
use crate::packet::checksum::delta;
use crate::packet::segment::{Change, Segment, mend_checksum};
use crate::packet::{Header, write};

/// Which end of the packet is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Gives one end of the packet another address and port.
#[inline]
pub(crate) fn rewrite<A: Address>(
    packet: &mut [u8],
    header: &Header<A>,
    segment: &Segment,
    end: End,
    (address, port): (A, u16),
    partial: bool,
) {
    let (old_address, old_port, at) = match end {
        End::Source => (header.source, segment.source_port, 0),
        End::Destination => (header.destination, segment.destination_port, 2),
    };
    let addresses = delta(old_address.sum(), address.sum());
    let (source, destination) = match end {
        End::Source => (address, header.destination),
        End::Destination => (header.source, address),
    };
    match end {
        End::Source => A::set_source(packet, address, addresses),
        End::Destination => A::set_destination(packet, address, addresses),
    }
    let stop = header.end.min(packet.len());
    let Some(l4) = packet.get_mut(header.l4..stop) else { return };
    write(l4, at, port);
    let change = Change { addresses, ports: delta(u32::from(old_port), u32::from(port)), partial };
    mend_checksum(segment.protocol, l4, change, |length| pseudo_sum(source, destination, header.protocol, length));
}

/// The sum of a pseudo header.
pub(crate) fn pseudo_sum<A: Address>(source: A, destination: A, protocol: u8, length: usize) -> u32 {
    source.sum() + destination.sum() + u32::from(protocol) + length as u32
}
