//! Telling another director of connections.

use std::net::SocketAddr;
use std::time::Instant;

use super::path::{Packet, Path};
use super::{Core, Director};
use crate::address::Address;
use crate::connection::state::TICKS;
use crate::connection::{Connection, Method, NONE};
use crate::persistence::{PersistenceEngine, call_id};
use crate::service::ServiceId;
use crate::sync::{EngineData, Entry, Flags, HalfOpen, Outbox, Subject, SyncSettings};

/// The sending end.
#[derive(Debug)]
pub(super) struct Telling {
    settings: SyncSettings,
    half_open: HalfOpen,
    outbox: Outbox,
}

impl Director {
    /// Begins to tell of connections into the [outbox](Self::outbox), changes how, or ends it. Beginning lays out
    /// memory (12 bytes for each connection that there may be); nothing on the packet path does.
    pub fn set_sync(&mut self, settings: Option<SyncSettings>) {
        let begins = settings.is_some() != self.core.sync.is_some();
        if begins {
            self.v4.set_marked(settings.is_some());
            self.v6.set_marked(settings.is_some());
        }
        let before = self.core.sync.take().map(|telling| *telling);
        let (outbox, half_open) = before.map(|telling| (telling.outbox, telling.half_open)).unzip();
        self.core.sync = settings.map(|settings| {
            let (outbox, half_open) = (outbox.unwrap_or_else(Outbox::new), half_open.unwrap_or(HalfOpen::NEW));
            Box::new(Telling { settings, half_open, outbox })
        });
    }

    /// The records to be sent, while connections are told of.
    pub fn outbox(&mut self) -> Option<&mut Outbox> {
        self.core.sync.as_mut().map(|telling| &mut telling.outbox)
    }

    /// Writes connections into the outbox, from the `from`th place of the tables on, until `most` places were looked
    /// at or the outbox is full. Gives the place to go on from, none at the end.
    pub fn tell_all(&mut self, from: usize, most: usize, now: Instant) -> Option<usize> {
        let tick = self.clock.tick(now);
        let v4 = self.v4.places();
        let mut place = from;
        while place < from + most {
            let told = match place.checked_sub(v4) {
                None => Path::new(&mut self.core, &mut self.v4, tick).tell_again(place as u32),
                Some(place) if place < self.v6.places() => {
                    Path::new(&mut self.core, &mut self.v6, tick).tell_again(place as u32)
                }
                Some(_) => return None,
            };
            if !told {
                break;
            }
            place += 1;
        }
        Some(place)
    }
}

impl<A: Address> Path<'_, A> {
    /// A client's packet has passed: tells of its connection, and of the template that it belongs to, if it is time.
    #[inline(never)]
    pub(super) fn tell(&mut self, id: u32, packet: &Packet<'_, '_, A>) {
        let Some(mut telling) = self.core.sync.take() else { return };
        self.tell_one(id, None, &mut telling);
        self.tell_template(id, packet, &mut telling);
        self.core.sync = Some(telling);
    }

    /// A packet that has no connection of its own has passed by a template.
    #[inline(never)]
    pub(super) fn tell_template_alone(&mut self, control: u32, packet: &Packet<'_, '_, A>) {
        let Some(mut telling) = self.core.sync.take() else { return };
        self.tell_one(control, self.call(control, packet), &mut telling);
        self.core.sync = Some(telling);
    }

    fn tell_template(&mut self, id: u32, packet: &Packet<'_, '_, A>, telling: &mut Telling) {
        let control = self.table.get(id).map_or(NONE, |connection| connection.control);
        if control != NONE {
            self.tell_one(control, self.call(control, packet), telling);
        }
    }

    /// What a template of a call stands for, if this packet is of that call: the client's network and the Call-ID.
    fn call<'p>(&self, control: u32, packet: &'p Packet<'_, '_, A>) -> Option<(A, &'p [u8])> {
        let template = self.table.get(control).filter(|template| template.client_port != 0)?;
        let id = call_id(packet.payload())?;
        let owner = self.core.registry.destination(template.destination)?.owner;
        let prefix = self.core.registry.service(owner)?.config.persistence?.prefix_len;
        let same = self.table.stand_in(id) == (template.client, template.client_port);
        same.then(|| (packet.header.source.masked(prefix), id))
    }

    /// A server's packet has passed: the kernel tells with the next packet of the client.
    #[inline(never)]
    pub(super) fn tell_of_answer(&mut self, id: u32) {
        let Some(mut telling) = self.core.sync.take() else { return };
        if telling.settings.at_once {
            self.tell_counted(id, 0, None, &mut telling);
        }
        self.core.sync = Some(telling);
    }

    /// So many packets of the client, and perhaps some of the server, were carried by others: tells at most once.
    pub(super) fn tell_of_carried(&mut self, id: u32, packets: u64) {
        let Some(mut telling) = self.core.sync.take() else { return };
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        if packets > 0 {
            let control = self.table.get(id).map_or(NONE, |connection| connection.control);
            self.tell_some(id, packets, None, &mut telling);
            self.tell_some(control, packets, None, &mut telling);
        } else if telling.settings.at_once {
            self.tell_counted(id, 0, None, &mut telling);
        }
        self.core.sync = Some(telling);
    }

    fn tell_one(&mut self, id: u32, call: Option<(A, &[u8])>, telling: &mut Telling) {
        self.tell_some(id, 1, call, telling);
    }

    fn tell_some(&mut self, id: u32, packets: u32, call: Option<(A, &[u8])>, telling: &mut Telling) {
        if !telling.settings.at_once
            && let Some(mark) = self.table.mark(id)
        {
            self.table.set_mark(id, mark.count(packets));
        }
        self.tell_counted(id, packets, call, telling);
    }

    fn tell_counted(&mut self, id: u32, packets: u32, call: Option<(A, &[u8])>, telling: &mut Telling) {
        let (Some(connection), Some(mark)) = (self.table.get(id), self.table.mark(id)) else { return };
        let lifetime = connection.lifetime(self.core);
        let subject = Subject {
            template: connection.template,
            persistent: connection.control != NONE,
            protocol: connection.protocol,
            state: connection.state,
            lifetime,
            packets,
        };
        let Some(after) = telling.settings.told(&subject, &mark, self.now) else { return };
        if subject.is_half_open() && !telling.half_open.take(self.now) {
            return;
        }
        // Without room the mark stays as it is, so that a later packet tries again.
        if self.write(id, lifetime, call, telling) {
            self.table.set_mark(id, after);
        }
    }

    /// Tells of an entry whatever the rules say, with the time that it has left; false when there is no room.
    fn tell_again(&mut self, id: u32) -> bool {
        let Some(mut telling) = self.core.sync.take() else { return true };
        let room = telling.outbox.has_room();
        let left = self.table.get(id).map(|entry| entry.expires.wrapping_sub(self.now) as i32);
        if let Some(left) = left.filter(|left| room && *left > 0) {
            self.write(id, left.unsigned_abs().max(TICKS), None, &mut telling);
        }
        self.core.sync = Some(telling);
        room
    }

    /// Writes the record of an entry; false if there was no room.
    fn write(&self, id: u32, lifetime: u32, call: Option<(A, &[u8])>, telling: &mut Telling) -> bool {
        let described = self.table.get(id).and_then(|connection| self.describe(connection, lifetime, call));
        described.is_none_or(|entry| telling.outbox.push(&entry))
    }

    /// How an entry is told; none for what the format has no words for: a tunnel to the other family, a hidden
    /// template, and one of a call that is not at hand.
    fn describe<'c>(
        &self,
        connection: &Connection<A>,
        lifetime: u32,
        call: Option<(A, &'c [u8])>,
    ) -> Option<Entry<'c>> {
        let destination = self.core.registry.destination(connection.destination);
        let hidden = connection.template && connection.service_port == u16::MAX;
        let foreign = destination.is_some_and(|held| A::from_ip(held.config.address).is_none());
        let of_call = connection.template && connection.client_port != 0;
        if connection.destination == NONE || hidden || foreign || of_call != call.is_some() {
            return None;
        }
        let mark = match destination.map(|held| held.service) {
            Some(ServiceId::Fwmark(mark)) => mark,
            _ => 0,
        };
        let socket = |address: A, port| SocketAddr::new(address.ip(), port);
        let source = self.table.seen_by_server(connection).filter(|_| connection.method == Method::FullNat);
        let client = call.map_or((connection.client, connection.client_port), |(client, _)| (client, 0));
        Some(Entry {
            protocol: connection.protocol,
            flags: connection.flags(),
            state: connection.state.number(),
            client: socket(client.0, client.1),
            service: socket(connection.service, connection.service_port),
            server: socket(connection.server, connection.server_port),
            mark,
            timeout: lifetime / TICKS,
            sequences: None,
            engine: call.map(|(_, data)| EngineData { name: PersistenceEngine::Sip.name(), data }),
            source: source.map(|(address, port)| socket(address, port)),
        })
    }
}

impl<A: Address> Connection<A> {
    /// Ticks that it lives without a packet.
    fn lifetime(&self, core: &Core) -> u32 {
        match self.template {
            true => self.timeout,
            false => core.lifetimes.get(self.state as usize).copied().unwrap_or(TICKS),
        }
    }

    fn flags(&self) -> Flags {
        let method = match self.method {
            Method::Nat | Method::FullNat => Flags::NAT,
            Method::Dr => Flags::DR | Flags::NO_OUTPUT,
            Method::Tunnel => Flags::TUNNEL | Flags::NO_OUTPUT,
            Method::Local => Flags::LOCAL | Flags::NO_OUTPUT,
        };
        // The kernel's templates have the flag from their servers.
        let inactive = if self.inactive || self.template { Flags::INACTIVE } else { 0 };
        Flags(method | inactive | if self.template { Flags::TEMPLATE } else { 0 })
    }
}
