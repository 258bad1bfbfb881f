//! Telling another director of connections, and taking in what it tells.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connections::counter;
use super::path::{Packet, Path};
use super::{Core, Director, warm};
use crate::address::Address;
use crate::connection::state::{TICKS, ticks};
use crate::connection::table::Table;
use crate::connection::{CARRIED, Connection, Direction, HEARD_MORE, Key, Links, Method, NONE, Source, State, UNBOUND};
use crate::forward::nat;
use crate::packet::checksum::Change;
use crate::persistence::{PersistenceEngine, call_id};
use crate::service::{Protocol, ServiceId};
use crate::sync::{Adoption, EngineData, Entry, Flags, Mark, Message, Outbox, Subject, SyncSettings};
use crate::verdict::HopId;

/// A template's time-out where version 0 does not say it.
const TEMPLATE_LIFETIME: u32 = 180 * TICKS;

/// The sending end.
#[derive(Debug)]
pub(super) struct Telling {
    settings: SyncSettings,
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
        let outbox = self.core.sync.take().map(|telling| telling.outbox);
        self.core.sync =
            settings.map(|settings| Box::new(Telling { settings, outbox: outbox.unwrap_or_else(Outbox::new) }));
    }

    /// The records to be sent, while connections are told of.
    pub fn outbox(&mut self) -> Option<&mut Outbox> {
        self.core.sync.as_mut().map(|telling| &mut telling.outbox)
    }

    /// Takes in all connections of a datagram, as [`adopt`](Self::adopt) does, and tells what became of each.
    pub fn adopt_all(&mut self, message: &Message<'_>, now: Instant, mut told: impl FnMut(Adoption)) {
        let tick = self.clock.tick(now);
        let mut entries = message.entries();
        for _ in 0..usize::from(message.count).div_ceil(warm::BATCH) {
            warm::warm_entries(&self.v4, entries.clone().take(warm::BATCH));
            warm::warm_entries(&self.v6, entries.clone().take(warm::BATCH));
            entries.by_ref().take(warm::BATCH).for_each(|entry| told(self.adopt_at(&entry, tick)));
        }
    }

    /// Takes in a connection that another director has told of: it gets the sent state and time-out, and is bound to
    /// its server if a service here has it (and to its way of forwarding; else to the sent one until then).
    pub fn adopt(&mut self, entry: &Entry<'_>, now: Instant) -> Adoption {
        let tick = self.clock.tick(now);
        self.adopt_at(entry, tick)
    }

    fn adopt_at(&mut self, entry: &Entry<'_>, tick: u64) -> Adoption {
        match entry.client {
            SocketAddr::V4(_) => Path::new(&mut self.core, &mut self.v4, tick).adopt(entry),
            SocketAddr::V6(_) => Path::new(&mut self.core, &mut self.v6, tick).adopt(entry),
        }
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
        if let Some(mark) = self.table.mark(id) {
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

    fn adopt(&mut self, entry: &Entry<'_>) -> Adoption {
        let Some(told) = Told::read(entry, self.core, self.table) else { return Adoption::Unsupported };
        match self.find_live(&told.key) {
            Some((_, Direction::FromServer)) => Adoption::Unsupported,
            Some((id, Direction::FromClient)) => self.meet(id, &told),
            None => self.create(&told),
        }
    }

    /// The entry is known by its client's end.
    fn meet(&mut self, id: u32, told: &Told<A>) -> Adoption {
        let same = self.table.get(id).is_some_and(|held| (held.server, held.server_port) == told.server);
        match (same, told.key.template, told.inactive) {
            (true, ..) => self.refresh(id, told),
            (false, true, _) => {
                self.table.hide_template(id);
                self.create(told)
            }
            (false, false, true) => Adoption::Outdated,
            (false, false, false) => {
                self.end(id);
                self.create(told)
            }
        }
    }

    fn refresh(&mut self, id: u32, told: &Told<A>) -> Adoption {
        self.bind(id, told.mark);
        let Some(held) = self.table.get_mut(id) else { return Adoption::Unsupported };
        let leaves = held.heard & CARRIED != 0 && held.state != told.state;
        held.state = told.state;
        let (turns, destination) = (!held.template && held.inactive != told.inactive, held.destination);
        if held.template {
            held.timeout = told.lifetime;
        } else {
            held.inactive = told.inactive;
        }
        if turns {
            self.core.turn(destination, told.inactive);
        }
        if leaves {
            self.release(id);
        }
        self.settle(id, told);
        Adoption::Refreshed
    }

    fn create(&mut self, told: &Told<A>) -> Adoption {
        let Told { key, server: (server, server_port), state, .. } = *told;
        let source = told.source.and_then(|(address, port)| {
            let number = self.table.number_of(address)?;
            Some(Source { address: number, port }.pack())
        });
        let connection = Connection {
            client: key.source,
            service: key.destination,
            server,
            client_port: key.source_port,
            service_port: key.destination_port,
            server_port,
            protocol: key.protocol,
            state,
            method: if source.is_some() { Method::FullNat } else { told.method },
            template: key.template,
            inactive: told.inactive && !key.template,
            // Its first packets passed elsewhere: silence of the server means nothing here.
            heard: HEARD_MORE,
            hop: HopId(0),
            destination: UNBOUND,
            control: NONE,
            controlled: 0,
            slot: 0,
            inserted: 0,
            // Told with its third packet, as the kernel takes it.
            packets: 3,
            expires: self.now.wrapping_add(told.lifetime),
            timeout: source.unwrap_or(if key.template { told.lifetime } else { 0 }),
            change: match key.template {
                true => Change::NONE,
                false => nat::change((key.destination, key.destination_port), (server, server_port)),
            },
            links: Links::NONE,
        };
        let Some(id) = self.begin(connection) else { return Adoption::Full };
        self.bind(id, told.mark);
        self.settle(id, told);
        Adoption::Created
    }

    /// Time-out and mark after another director's word.
    fn settle(&mut self, id: u32, told: &Told<A>) {
        self.table.prolong(id, self.now.wrapping_add(told.lifetime));
        self.table.set_mark(id, Mark::default());
    }

    /// Binds a connection without a server to the one that it names, if a service has it by now; it then is forwarded
    /// as that server is. True if it was bound.
    pub(super) fn bind(&mut self, id: u32, mark: u32) -> bool {
        let Some(held) = self.table.get(id).filter(|held| held.destination == UNBOUND) else { return false };
        let protocol = Protocol::from_number(held.protocol);
        let service = (held.service.ip(), held.service_port);
        let server = (held.server.ip(), held.server_port);
        let (template, inactive, was) = (held.template, held.inactive, held.method);
        let Some(number) = self.core.registry.find_destination(mark, protocol, service, server) else { return false };
        let Some(destination) = self.core.registry.destination_mut(number) else { return false };
        let method = destination.method();
        if (method == Method::FullNat) != (was == Method::FullNat) {
            // Without the end that the server sees there is no way to it, and with one it is for that way alone.
            return false;
        }
        *counter(destination, template, inactive) += 1;
        destination.judge_load();
        if method != was {
            self.table.set_method(id, method);
        }
        if let Some(held) = self.table.get_mut(id) {
            held.destination = number;
        }
        true
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

/// An entry in the terms of this engine.
#[derive(Debug)]
struct Told<A> {
    key: Key<A>,
    server: (A, u16),
    source: Option<(A, u16)>,
    state: State,
    method: Method,
    inactive: bool,
    mark: u32,
    lifetime: u32,
}

impl<A: Address> Told<A> {
    /// None for what this engine does not forward.
    fn read(entry: &Entry<'_>, core: &Core, table: &Table<A>) -> Option<Told<A>> {
        let template = entry.flags.has(Flags::TEMPLATE);
        let state = State::of_number(entry.state, entry.protocol, template)?;
        let method = match entry.flags.0 & Flags::METHOD {
            Flags::NAT => Method::Nat,
            Flags::LOCAL => Method::Local,
            Flags::TUNNEL => Method::Tunnel,
            Flags::DR => Method::Dr,
            _ => return None,
        };
        if entry.flags.has(Flags::NO_CLIENT_PORT) || (!template && entry.client.port() == 0) {
            return None;
        }
        let socket = |socket: SocketAddr| Some((A::from_ip(socket.ip())?, socket.port()));
        let (client, client_port) = match (template, entry.engine) {
            (true, Some(engine)) => {
                PersistenceEngine::of_name(engine.name)?;
                table.stand_in(engine.data)
            }
            _ => socket(entry.client)?,
        };
        let (service, service_port) = socket(entry.service)?;
        let source = match entry.source {
            Some(source) => Some(socket(source)?),
            None => None,
        };
        let key = Key {
            source: client,
            destination: service,
            source_port: client_port,
            destination_port: service_port,
            protocol: entry.protocol,
            template,
        };
        let lifetime = match entry.timeout {
            0 if template => TEMPLATE_LIFETIME,
            0 => core.lifetimes.get(state as usize).copied()?,
            seconds => ticks(Duration::from_secs(seconds.into())),
        };
        let inactive = entry.flags.has(Flags::INACTIVE);
        let server = socket(entry.server)?;
        Some(Told { key, server, source, state, method, inactive, mark: entry.mark, lifetime })
    }
}
