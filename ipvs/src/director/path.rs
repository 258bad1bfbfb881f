//! The way of a packet: parsed, matched to its connection, rewritten.

use super::{ConnReuse, Core};
use crate::address::Address;
use crate::connection::table::Table;
use crate::connection::{
    CARRIED, Connection, Direction, HEARD, HEARD_MORE, HEARD_SYN, Method, NONE, Source, tcp::View,
};
use crate::forward::client_option::{ClientOption, with_option};
use crate::forward::nat::{self, End};
use crate::packet::checksum::Change;
use crate::packet::icmp::IcmpError;
use crate::packet::segment::{SCTP_INIT, Segment, TcpFlags};
use crate::packet::{Fragment, Frame, Header, Ingress};
use crate::service::{ClientTold, Protocol};
use crate::verdict::{Decision, DropReason, PassReason};

/// The packet path of one address family at one moment.
#[derive(Debug)]
pub(super) struct Path<'a, A> {
    pub(super) core: &'a mut Core,
    pub(super) table: &'a mut Table<A>,
    /// The tick, and its low half by which entries reckon.
    pub(super) tick: u64,
    pub(super) now: u32,
}

/// A packet of TCP or UDP with what was read from it.
#[derive(Debug)]
pub(super) struct Packet<'a, 'b, A> {
    pub(super) frame: &'a mut Frame<'b>,
    pub(super) header: Header<A>,
    pub(super) segment: Segment,
    pub(super) ingress: Ingress,
}

/// Where a client's packet goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<A> {
    pub(super) method: Method,
    pub(super) address: A,
    pub(super) port: u16,
    pub(super) change: Change,
    pub(super) destination: u32,
    /// Full NAT's, packed.
    pub(super) source: u32,
    /// The mark of the header before the client's bytes, 0 for none.
    pub(super) inserted: u8,
}

impl<A: Address> Packet<'_, '_, A> {
    #[inline(always)]
    fn intact(&self) -> Result<(), Decision> {
        match A::header_intact(self.frame.packet, self.header.l4) {
            true => Ok(()),
            false => Err(Decision::Drop(DropReason::IpChecksum)),
        }
    }

    /// Whether it is a client's first: only then may an old connection give way to a new one.
    #[inline(always)]
    fn is_opening(&self) -> bool {
        match self.segment.protocol {
            Protocol::Tcp => self.segment.flags.has(TcpFlags::SYN),
            Protocol::Udp => false,
            Protocol::Sctp => self.segment.flags.0 == SCTP_INIT,
        }
    }

    /// What follows the UDP header.
    pub(super) fn payload(&self) -> &[u8] {
        let start = self.header.l4 + 8;
        self.frame.packet.get(start..self.header.end).unwrap_or_default()
    }

    fn length(&self) -> usize {
        self.header.end
    }

    /// Gives the other end of a rewritten packet another address and port too.
    fn relabel(&mut self, end: End, to: (A, u16)) {
        let from = match end {
            End::Source => (self.header.source, self.segment.source_port),
            End::Destination => (self.header.destination, self.segment.destination_port),
        };
        let change = nat::change(from, to);
        match end {
            End::Source => A::set_source(self.frame.packet, to.0, change.addresses),
            End::Destination => A::set_destination(self.frame.packet, to.0, change.addresses),
        }
        let partial = self.frame.checksum_partial;
        nat::rewrite_segment(self.frame.packet, &self.header, self.segment.protocol, end, to, change, partial);
    }

    #[inline(always)]
    fn rewrite(&mut self, end: End, to: (A, u16), change: Change) {
        A::hop(self.frame.packet, end, to.0, change.addresses);
        let partial = self.frame.checksum_partial;
        nat::rewrite_segment(self.frame.packet, &self.header, self.segment.protocol, end, to, change, partial);
    }
}

impl<'a, A: Address> Path<'a, A> {
    pub(super) fn new(core: &'a mut Core, table: &'a mut Table<A>, tick: u64) -> Path<'a, A> {
        Path { core, table, tick, now: tick as u32 }
    }

    #[inline]
    pub(super) fn receive(&mut self, frame: &mut Frame<'_>, ingress: Ingress) -> Decision {
        let header = match A::parse(frame.packet) {
            Ok(header) => header,
            Err(reason) => return Decision::Pass(reason),
        };
        let decision = match header.fragment {
            Fragment::Whole => self.whole(frame, header, ingress),
            Fragment::First(id) => self.first_fragment(frame, header, ingress, id),
            Fragment::Later(id) => self.later_fragment(frame, &header, id),
        };
        decision.unwrap_or_else(|decision| decision)
    }

    #[inline(always)]
    fn whole(&mut self, frame: &mut Frame<'_>, header: Header<A>, ingress: Ingress) -> Result<Decision, Decision> {
        match Protocol::from_number(header.protocol) {
            Some(protocol) => self.transport(frame, header, protocol, ingress),
            None if header.protocol == A::ICMP => self.icmp(frame, &header),
            None => Err(Decision::Pass(PassReason::OtherProtocol)),
        }
    }

    #[inline(always)]
    pub(super) fn transport(
        &mut self,
        frame: &mut Frame<'_>,
        header: Header<A>,
        protocol: Protocol,
        ingress: Ingress,
    ) -> Result<Decision, Decision> {
        let l4 = frame.packet.get(header.l4..header.end).unwrap_or_default();
        let segment = Segment::parse(protocol, l4).map_err(Decision::Pass)?;
        let mut packet = Packet { frame, header, segment, ingress };
        match self.find_live_here(&packet.segment.key(&packet.header)) {
            Some((id, Direction::FromClient)) => self.client_packet(id, &mut packet),
            Some((id, Direction::FromServer)) => self.server_packet(id, &mut packet),
            None => self.unknown(&mut packet),
        }
    }

    #[inline(always)]
    fn client_packet(&mut self, id: u32, packet: &mut Packet<'_, '_, A>) -> Result<Decision, Decision> {
        packet.intact()?;
        if packet.is_opening() && self.gives_way(id, packet.ingress.mark) {
            return self.replace(id, packet);
        }
        let connection = self.table.get_mut(id).ok_or(Decision::Drop(DropReason::Internal))?;
        let moved = connection.heard & CARRIED != 0 && connection.hop != packet.ingress.client_hop;
        connection.hop = packet.ingress.client_hop;
        connection.packets = connection.packets.saturating_add(1);
        let &mut Connection { method, server, server_port, change, destination, timeout: source, inserted, .. } =
            connection;
        if !self.core.count_in(destination, packet.length()) {
            return self.orphaned(id, packet);
        }
        let view = if method.is_two_way() { View::Client } else { View::ClientOnly };
        self.advance(id, view, packet.segment.flags);
        if moved {
            self.release(id);
        }
        if self.core.sync.is_some() {
            self.tell(id, packet);
        }
        if method == Method::Dr && self.core.carriage.has_room() {
            self.consider(id, packet.ingress.client_hop);
        }
        self.send(packet, Target { method, address: server, port: server_port, change, destination, source, inserted })
    }

    /// A packet whose destination was removed.
    #[cold]
    fn orphaned(&mut self, id: u32, packet: &mut Packet<'_, '_, A>) -> Result<Decision, Decision> {
        if self.bind(id, packet.ingress.mark) {
            return self.client_packet(id, packet);
        }
        if self.core.registry.is_empty() {
            return Err(Decision::Pass(PassReason::NoService));
        }
        if self.core.settings.expire_nodest_conn {
            self.end(id);
            return self.unknown(packet);
        }
        Err(Decision::Drop(DropReason::DestinationRemoved))
    }

    /// Opens another connection in the place of one that the scheduler still counts: so the kernel's timer has it.
    #[cold]
    fn replace(&mut self, id: u32, packet: &mut Packet<'_, '_, A>) -> Result<Decision, Decision> {
        let old = self.take_out(id);
        let decision = self.unknown(packet);
        if let Some(old) = old {
            self.discount(&old);
        }
        decision
    }

    /// Whether a connection ends because a SYN came that may open another.
    ///
    /// The kernel drops a SYN whose port was used before for a server that has been removed, unless that connection was over;
    /// here another server gets it.
    #[inline(never)]
    fn gives_way(&mut self, id: u32, mark: u32) -> bool {
        self.bind(id, mark);
        let settings = &self.core.settings;
        let Some(connection) = self.table.get(id) else { return false };
        let destination = self.core.registry.destination(connection.destination);
        let quiesced = || destination.is_some_and(|destination| destination.weight() == 0);
        let removed = || destination.is_none_or(|destination| !destination.available);
        let over = connection.may_be_reused(settings.conn_reuse_mode);
        over || settings.conn_reuse_mode != ConnReuse::Never && removed() || settings.expire_nodest_conn && quiesced()
    }

    #[inline(always)]
    fn server_packet(&mut self, id: u32, packet: &mut Packet<'_, '_, A>) -> Result<Decision, Decision> {
        packet.intact()?;
        if packet.header.ttl <= 1 {
            return Err(Decision::Pass(PassReason::TtlExpired));
        }
        let connection = self.table.get_mut(id).ok_or(Decision::Drop(DropReason::Internal))?;
        let answered =
            connection.heard & HEARD == 0 && connection.control != NONE && packet.segment.protocol == Protocol::Udp;
        let control = connection.control;
        connection.heard |= if packet.is_opening() { HEARD_SYN } else { HEARD_MORE };
        let &mut Connection { service, service_port, hop, destination, change, method, .. } = connection;
        let client = (connection.client, connection.client_port);
        self.core.count_out(destination, packet.length());
        self.advance(id, View::Server, packet.segment.flags);
        if answered {
            self.assure(control);
        }
        if self.core.sync.is_some() {
            self.tell_of_answer(id);
        }
        if self.core.carriage.has_room() {
            self.consider(id, packet.ingress.client_hop);
        }
        packet.rewrite(End::Source, (service, service_port), change.reversed());
        if method == Method::FullNat {
            packet.relabel(End::Destination, client);
            self.acknowledge_client(id, packet);
        }
        Ok(Decision::ToClient(hop))
    }

    /// A packet of no connection: it may open one.
    #[inline(never)]
    fn unknown(&mut self, packet: &mut Packet<'_, '_, A>) -> Result<Decision, Decision> {
        let Header { destination, .. } = packet.header;
        let Segment { protocol, destination_port, flags, .. } = packet.segment;
        let service = self.core.registry.find(packet.ingress.mark, protocol, destination.ip(), destination_port);
        let service = service.ok_or(Decision::Pass(PassReason::NotOurs))?;
        if !self.may_open(protocol, flags) {
            return Err(Decision::Pass(PassReason::NoConnection));
        }
        if packet.header.source.is_martian() || self.core.registry.is_virtual(packet.header.source.ip()) {
            return Err(Decision::Pass(PassReason::Martian));
        }
        if self.core.defences.drops_packet() {
            return Err(Decision::Drop(DropReason::Defence));
        }
        packet.intact()?;
        let target = self.open(service, packet)?;
        self.send(packet, target)
    }

    fn may_open(&self, protocol: Protocol, flags: TcpFlags) -> bool {
        match protocol {
            Protocol::Tcp => !flags.has(TcpFlags::RST) && (flags.has(TcpFlags::SYN) || self.core.settings.sloppy_tcp),
            Protocol::Udp => true,
            Protocol::Sctp => flags.0 == SCTP_INIT,
        }
    }

    /// Rewrites a client's packet for its server.
    #[inline(always)]
    fn send(&mut self, packet: &mut Packet<'_, '_, A>, target: Target<A>) -> Result<Decision, Decision> {
        if target.method == Method::Local {
            return Ok(Decision::Local);
        }
        if packet.header.ttl <= 1 {
            return self.reply(packet, IcmpError::TimeExceeded);
        }
        match target.method {
            Method::Nat => packet.rewrite(End::Destination, (target.address, target.port), target.change),
            Method::FullNat => return self.send_from_source(packet, target),
            Method::Tunnel => {
                A::decrement_ttl(packet.frame.packet);
                return Ok(Decision::Encapsulate(target.destination));
            }
            Method::Dr | Method::Local => A::decrement_ttl(packet.frame.packet),
        }
        Ok(Decision::ToServer(target.address.ip()))
    }

    /// Rewrites both ends, and names the client where the service wants that.
    #[inline(never)]
    fn send_from_source(&mut self, packet: &mut Packet<'_, '_, A>, target: Target<A>) -> Result<Decision, Decision> {
        let source = self.table.source(Source::unpack(target.source)).ok_or(Decision::Drop(DropReason::Internal))?;
        let option = self.client_option(packet, target.destination);
        packet.rewrite(End::Destination, (target.address, target.port), target.change);
        packet.relabel(End::Source, source);
        let ends = (source.0, target.address);
        if target.inserted > 0 {
            return self.send_behind_header(packet, target, ends);
        }
        if let Some(longer) = option.and_then(|option| with_option(packet.frame, &packet.header, ends, option)) {
            self.core.reply = Some((longer, packet.ingress.client_hop));
            return Ok(Decision::Instead(target.destination));
        }
        Ok(Decision::ToServer(target.address.ip()))
    }

    /// For a SYN, and for the first packets after it: of these the server's kernel reads it.
    fn client_option(&self, packet: &Packet<'_, '_, A>, destination: u32) -> Option<ClientOption> {
        let owner = self.core.registry.destination(destination)?.owner;
        let wanted = self.core.registry.service(owner)?.config.full_nat.client == ClientTold::Option;
        (wanted && self.is_early(packet) && packet.segment.protocol == Protocol::Tcp)
            .then(|| packet.header.source.client_option(packet.segment.source_port))
    }

    /// Whether the server has sent nothing but its SYN so far.
    fn is_early(&self, packet: &Packet<'_, '_, A>) -> bool {
        let found = self.table.find(&packet.segment.key(&packet.header));
        found.and_then(|(id, _)| self.table.get(id)).is_some_and(|connection| connection.heard & HEARD_MORE == 0)
    }

    /// Answers a client's packet with an ICMP error from the virtual address.
    #[cold]
    pub(super) fn reply(&mut self, packet: &Packet<'_, '_, A>, error: IcmpError) -> Result<Decision, Decision> {
        let suppressed = Decision::Drop(DropReason::ErrorSuppressed);
        if !self.admit_error(packet.header.source) {
            return Err(suppressed);
        }
        let id = self.core.next_identification();
        let icmp = A::error_header(error);
        let reply = A::error(packet.frame.packet, &packet.header, packet.header.destination, icmp, id);
        self.core.reply = Some((reply.ok_or(suppressed)?, packet.ingress.client_hop));
        Ok(Decision::Reply)
    }
}
