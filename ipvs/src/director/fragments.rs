//! Fragments: the first goes the way of any packet, the others follow it.

use super::path::Path;
use crate::address::Address;
use crate::connection::fragments::Datagram;
use crate::connection::{Connection, Direction, Method};
use crate::packet::checksum::delta;
use crate::packet::segment::Segment;
use crate::packet::{Frame, Header, Ingress};
use crate::service::Protocol;
use crate::verdict::{Decision, DropReason, PassReason};

impl<A: Address> Path<'_, A> {
    #[inline(never)]
    /// Handles a datagram's first fragment and remembers its connection for the others.
    pub(super) fn first_fragment(
        &mut self,
        frame: &mut Frame<'_>,
        header: Header<A>,
        ingress: Ingress,
        identification: u32,
    ) -> Result<Decision, Decision> {
        let not_ours = Decision::Pass(PassReason::Fragment);
        let protocol = Protocol::from_number(header.protocol).ok_or(not_ours)?;
        let l4 = frame.packet.get(header.l4..header.end).unwrap_or_default();
        let segment = Segment::parse(protocol, l4).map_err(Decision::Pass)?;
        let decision = self.transport(frame, header, protocol, ingress)?;
        let key = segment.key(&header);
        if let Some((id, direction)) = self.table.find(&key) {
            self.table.remember_fragments(header.datagram(identification), id, direction, self.now);
        }
        Ok(decision)
    }

    #[inline(never)]
    /// Sends a later fragment after the first. Without a first one the host's stack gets it, as it got the first.
    pub(super) fn later_fragment(
        &mut self,
        frame: &mut Frame<'_>,
        header: &Header<A>,
        identification: u32,
    ) -> Result<Decision, Decision> {
        let not_ours = Decision::Pass(PassReason::Fragment);
        let found = self.table.find_fragment(&header.datagram(identification), self.now);
        let (id, direction) = found.ok_or(not_ours)?;
        let connection = self.table.get(id).ok_or(not_ours)?.clone();
        if !A::header_intact(frame.packet, header.l4) {
            return Err(Decision::Drop(DropReason::IpChecksum));
        }
        if connection.method == Method::Local {
            return Ok(Decision::Local);
        }
        if header.ttl <= 1 {
            return Err(Decision::Drop(DropReason::TtlExpired));
        }
        self.count_related(&connection, direction, header.end)?;
        A::decrement_ttl(frame.packet);
        if let (Method::FullNat, Some(source)) = (connection.method, self.table.seen_by_server(&connection)) {
            readdress_other_end(frame.packet, header, &connection, source.0, direction);
        }
        Ok(readdress(frame.packet, &connection, direction))
    }
}

/// What full NAT does beyond NAT.
fn readdress_other_end<A: Address>(
    packet: &mut [u8],
    header: &Header<A>,
    connection: &Connection<A>,
    source: A,
    direction: Direction,
) {
    match direction {
        Direction::FromClient => {
            A::set_source(packet, source, delta(header.source.sum(), source.sum()));
        }
        Direction::FromServer => {
            A::set_destination(packet, connection.client, delta(header.destination.sum(), connection.client.sum()));
        }
    }
}

/// Only the addresses are in a later fragment.
fn readdress<A: Address>(packet: &mut [u8], connection: &Connection<A>, direction: Direction) -> Decision {
    match direction {
        Direction::FromClient => {
            match connection.method {
                Method::Tunnel => return Decision::Encapsulate(connection.destination),
                Method::Nat | Method::FullNat => {
                    A::set_destination(packet, connection.server, connection.change.addresses);
                }
                Method::Dr | Method::Local => (),
            }
            Decision::ToServer(connection.server.ip())
        }
        Direction::FromServer => {
            A::set_source(packet, connection.service, connection.change.reversed().addresses);
            Decision::ToClient(connection.hop)
        }
    }
}

impl<A: Address> Header<A> {
    fn datagram(&self, identification: u32) -> Datagram<A> {
        Datagram { source: self.source, destination: self.destination, protocol: self.protocol, identification }
    }
}
