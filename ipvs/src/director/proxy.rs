//! Connections with a header of the PROXY protocol before the client's bytes.

use super::path::{Packet, Path, Target};
use crate::address::Address;
use crate::connection::{Connection, HEARD_HEADER};
use crate::forward::proxy::{self, Prologue};
use crate::packet::ReplyBuffer;
use crate::packet::segment::TcpFlags;
use crate::verdict::{Decision, DropReason, PassReason};

impl<A: Address> Path<'_, A> {
    /// Sends a client's packet, whose ends are rewritten, with the header or behind it.
    pub(super) fn send_behind_header(
        &mut self,
        packet: &mut Packet<'_, '_, A>,
        target: Target<A>,
        ends: (A, A),
    ) -> Result<Decision, Decision> {
        let internal = Decision::Drop(DropReason::Internal);
        let (id, _) = self.table.find(&packet.segment.key(&packet.header)).ok_or(internal)?;
        let connection = self.table.get_mut(id).ok_or(internal)?;
        let segment = packet.frame.packet.get_mut(packet.header.l4..packet.header.end).ok_or(internal)?;
        let number = proxy::sequence(segment).ok_or(Decision::Pass(PassReason::Malformed))?;
        let flags = packet.segment.flags;
        if flags.has(TcpFlags::SYN) {
            connection.controlled = number.wrapping_add(1);
            connection.heard &= !HEARD_HEADER;
            let bare = proxy::carries_bytes(segment).then(|| proxy::bare(packet.frame, &packet.header, ends)).flatten();
            return Ok(self.send_made(bare, packet, target));
        }
        let insertion = connection.insertion().ok_or(internal)?;
        let waits = connection.heard & HEARD_HEADER == 0 && !flags.has(TcpFlags::RST);
        if number != insertion.first || !waits {
            insertion.advance(segment, packet.frame.checksum_partial);
            return Ok(Decision::ToServer(target.address.ip()));
        }
        let prologue = prologue(connection).ok_or(internal)?;
        let made = proxy::begin(packet.frame, &packet.header, ends, &prologue).map_err(Decision::Drop)?;
        Ok(self.send_made(Some(made), packet, target))
    }

    fn send_made(&mut self, made: Option<ReplyBuffer>, packet: &Packet<'_, '_, A>, target: Target<A>) -> Decision {
        match made {
            Some(made) => {
                self.core.reply = Some((made, packet.ingress.client_hop));
                Decision::Instead(target.destination)
            }
            None => Decision::ToServer(target.address.ip()),
        }
    }

    /// Gives a server's acknowledgements in the client's reckoning.
    #[inline]
    pub(super) fn acknowledge_client(&mut self, id: u32, packet: &mut Packet<'_, '_, A>) {
        let Some(connection) = self.table.get_mut(id) else { return };
        let Some(insertion) = connection.insertion().filter(|_| packet.segment.flags.has(TcpFlags::ACK)) else {
            return;
        };
        let Some(segment) = packet.frame.packet.get_mut(packet.header.l4..packet.header.end) else { return };
        if proxy::acknowledgement(segment).is_some_and(|number| insertion.is_over(number)) {
            connection.heard |= HEARD_HEADER;
        }
        insertion.acknowledge(segment, packet.frame.checksum_partial);
    }
}

/// The header of a connection, made again.
fn prologue<A: Address>(connection: &Connection<A>) -> Option<Prologue> {
    let client = (connection.client, connection.client_port);
    let service = (connection.service, connection.service_port);
    Prologue::of_mark(connection.inserted, client, service)
}
