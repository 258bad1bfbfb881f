//! ICMP: errors about connections pass through, and errors of our own are made.

use super::path::Path;
use crate::address::Address;
use crate::connection::{Connection, Direction, Method};
use crate::forward::icmp;
use crate::forward::nat::{self, End};
use crate::packet::icmp::{IcmpError, ReplyBuffer};
use crate::packet::segment::Segment;
use crate::packet::{Fragment, Frame, Header};
use crate::service::Protocol;
use crate::verdict::{Decision, DropReason, PassReason};

impl<A: Address> Path<'_, A> {
    #[inline(never)]
    /// Forwards an error about a connection to the end that sent the quoted packet.
    pub(super) fn icmp(&mut self, frame: &mut Frame<'_>, header: &Header<A>) -> Result<Decision, Decision> {
        let not_ours = Decision::Pass(PassReason::Icmp);
        let quote = icmp::quote(frame.packet, header).ok_or(not_ours)?;
        let (id, direction) = self.find_live(&quote.key).ok_or(not_ours)?;
        self.check_icmp(frame, header)?;
        let connection = self.table.get(id).cloned().ok_or(not_ours)?;
        if connection.method == Method::Local {
            return Ok(Decision::Local);
        }
        if header.ttl <= 1 {
            return Err(Decision::Drop(DropReason::TtlExpired));
        }
        self.count_related(&connection, direction, header.end)?;
        A::decrement_ttl(frame.packet);
        if connection.method == Method::Nat {
            icmp::translate(frame.packet, header, &quote, &connection, direction);
        }
        Ok(match direction {
            Direction::FromClient => Decision::ToServer(connection.server.ip()),
            Direction::FromServer => Decision::ToClient(connection.hop),
        })
    }

    fn check_icmp(&self, frame: &Frame<'_>, header: &Header<A>) -> Result<(), Decision> {
        if !A::header_intact(frame.packet, header.l4) {
            return Err(Decision::Drop(DropReason::IpChecksum));
        }
        if !frame.checksum_partial && !icmp::intact(frame.packet, header) {
            return Err(Decision::Drop(DropReason::IcmpChecksum));
        }
        Ok(())
    }

    /// Counts a packet that is no segment of its own.
    pub(super) fn count_related(
        &mut self,
        of: &Connection<A>,
        direction: Direction,
        bytes: usize,
    ) -> Result<(), Decision> {
        match direction {
            Direction::FromServer => self.core.count_out(of.destination, bytes),
            Direction::FromClient if self.core.count_in(of.destination, bytes) => (),
            Direction::FromClient => return Err(Decision::Drop(DropReason::DestinationRemoved)),
        }
        Ok(())
    }

    /// An error about a packet that was rewritten already: it quotes the packet as its sender sent it.
    pub(super) fn error_about_sent(&mut self, packet: &[u8], error: IcmpError) -> Option<ReplyBuffer> {
        let mut copy = ReplyBuffer::default();
        copy.extend(packet);
        let original = copy.get_mut(0..)?;
        let source = self.restore(original);
        let header = A::parse_quoted(original).ok()?;
        if !self.admit_error(header.source) {
            return None;
        }
        let id = self.core.next_identification();
        A::error(original, &header, source.unwrap_or(header.destination), error, id)
    }

    /// Undoes the translation of a packet; gives the virtual address if there was one.
    fn restore(&mut self, packet: &mut [u8]) -> Option<A> {
        let header = A::parse_quoted(packet).ok().filter(|header| !matches!(header.fragment, Fragment::Later(_)))?;
        let protocol = Protocol::from_number(header.protocol)?;
        let segment = Segment::parse(protocol, packet.get(header.l4..)?).ok()?;
        let (id, direction) = self.table.find(&segment.key(&header).reversed())?;
        let connection = self.table.get(id)?;
        let (end, to) = match direction {
            Direction::FromServer => (End::Destination, (connection.service, connection.service_port)),
            Direction::FromClient => (End::Source, (connection.server, connection.server_port)),
        };
        nat::translate(packet, &header, &segment, end, to);
        Some(connection.service)
    }

    /// Whether the rate limit lets one more error go to this address.
    pub(super) fn admit_error(&mut self, peer: A) -> bool {
        let hash = self.table.hash_address(peer);
        self.core.limiter.admit(hash, self.now)
    }
}
