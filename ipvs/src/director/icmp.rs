//! ICMP: errors about connections pass through, and errors of our own are made.

use super::path::Path;
use crate::address::Address;
use crate::connection::{Connection, Direction, Method};
use crate::forward::icmp;
use crate::forward::nat::{self, End};
use crate::packet::icmp::{IcmpError, ReplyBuffer};
use crate::packet::segment::Segment;
use crate::packet::{Fragment, Frame, Header};
use crate::service::{PathMtu, Protocol};
use crate::verdict::{Decision, DropReason, PassReason};

impl<A: Address> Path<'_, A> {
    #[inline(never)]
    /// Forwards an error about a connection to the end that sent the quoted packet.
    pub(super) fn icmp(&mut self, frame: &mut Frame<'_>, header: &Header<A>) -> Result<Decision, Decision> {
        let not_ours = Decision::Pass(PassReason::Icmp);
        let quote = icmp::quote(frame.packet, header);
        let found = quote.and_then(|quote| Some((quote, self.find_live(&quote.key)?)));
        let Some((quote, (id, direction))) = found else {
            return self.tunnel_error(frame, header).ok_or(not_ours)?;
        };
        let connection = self.table.get(id).cloned().ok_or(not_ours)?;
        self.check_icmp(frame, header, connection.method)?;
        if connection.method == Method::Local {
            return Ok(Decision::Local);
        }
        self.count_related(&connection, direction, header.end)?;
        if header.ttl <= 1 {
            return Err(Decision::Drop(DropReason::TtlExpired));
        }
        A::decrement_ttl(frame.packet);
        if let Some(seen) = self.table.seen_by_server(&connection) {
            icmp::translate(frame.packet, header, &quote, &connection, seen, direction);
        }
        Ok(match direction {
            Direction::FromClient if connection.method == Method::Tunnel => {
                Decision::Encapsulate(connection.destination)
            }
            Direction::FromClient => Decision::ToServer(connection.server.ip()),
            Direction::FromServer => Decision::ToClient(connection.hop),
        })
    }

    /// An error about a tunnel's packet becomes one about the packet inside, from the virtual address to the client.
    fn tunnel_error(&mut self, frame: &Frame<'_>, header: &Header<A>) -> Option<Result<Decision, Decision>> {
        let inside = icmp::inside(frame.packet, header)?;
        let (id, _) = self.find_live(&inside.key).filter(|(_, direction)| *direction == Direction::FromClient)?;
        let connection = self.table.get(id).filter(|connection| connection.method == Method::Tunnel)?.clone();
        let destination = self.core.registry.destination_mut(connection.destination)?;
        if destination.config.address != inside.server.ip() {
            return None;
        }
        if let Err(decision) = self.check_icmp(frame, header, Method::Nat) {
            return Some(Err(decision));
        }
        let mut icmp = [inside.icmp[0], inside.icmp[1], 0, 0, 0, 0, 0, 0];
        if let Some(mtu) = A::told_mtu(inside.icmp) {
            let overhead = self.note_path_mtu(connection.destination, mtu);
            icmp = A::error_header(IcmpError::TooBig { mtu: mtu.saturating_sub(overhead) });
        }
        Some(self.tell_client(frame.packet.get(inside.start..header.end)?, &connection, icmp))
    }

    /// Remembers the path MTU to a tunnel's end; gives what the tunnel adds to a packet.
    fn note_path_mtu(&mut self, destination: u32, mtu: u16) -> u16 {
        let now = self.now;
        let Some(destination) = self.core.registry.destination_mut(destination) else { return 0 };
        destination.path_mtu = Some(PathMtu::new(mtu, now));
        destination.tunnel.overhead(destination.config.address) as u16
    }

    /// Sends a client an ICMP error about a packet of its own.
    fn tell_client(&mut self, packet: &[u8], connection: &Connection<A>, icmp: [u8; 8]) -> Result<Decision, Decision> {
        let suppressed = Decision::Drop(DropReason::ErrorSuppressed);
        if !self.admit_error(connection.client) {
            return Err(suppressed);
        }
        let header = A::parse_quoted(packet).map_err(Decision::Pass)?;
        let id = self.core.next_identification();
        let reply = A::error(packet, &header, connection.service, icmp, id);
        self.core.reply = Some((reply.ok_or(suppressed)?, connection.hop));
        Ok(Decision::Reply)
    }

    /// What is sent on as it is keeps its checksum too, right or wrong.
    fn check_icmp(&self, frame: &Frame<'_>, header: &Header<A>, method: Method) -> Result<(), Decision> {
        if !A::header_intact(frame.packet, header.l4) {
            return Err(Decision::Drop(DropReason::IpChecksum));
        }
        if method.is_two_way() && !frame.checksum_partial && !icmp::intact(frame.packet, header) {
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
        A::error(original, &header, source.unwrap_or(header.destination), A::error_header(error), id)
    }

    /// Undoes the translation of a packet; gives the virtual address if there was one.
    fn restore(&mut self, packet: &mut [u8]) -> Option<A> {
        let header = A::parse_quoted(packet).ok().filter(|header| !matches!(header.fragment, Fragment::Later(_)))?;
        let protocol = Protocol::from_number(header.protocol)?;
        let segment = Segment::parse(protocol, packet.get(header.l4..)?).ok()?;
        let (id, direction) = self.table.find(&segment.key(&header).reversed())?;
        let connection = self.table.get(id)?;
        let service = (connection.service, connection.service_port);
        let ends = match direction {
            Direction::FromServer => {
                [(End::Destination, service), (End::Source, (connection.client, connection.client_port))]
            }
            Direction::FromClient => {
                let seen = self.table.seen_by_server(connection)?;
                [(End::Source, (connection.server, connection.server_port)), (End::Destination, seen)]
            }
        };
        if let (Some(insertion), Direction::FromServer) = (connection.insertion(), direction) {
            packet.get_mut(header.l4..).into_iter().for_each(|segment| insertion.take_back(segment, false));
        }
        for (end, to) in ends {
            nat::translate(packet, &header, &segment, end, to);
        }
        Some(service.0)
    }

    /// Whether the rate limit lets one more error go to this address.
    pub(super) fn admit_error(&mut self, peer: A) -> bool {
        let hash = self.table.hash_address(peer);
        self.core.limiter.admit(hash, self.now)
    }
}
