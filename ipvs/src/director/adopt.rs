//! Taking in what another director tells of connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::connections::counter;
use super::path::Path;
use super::{Core, Director, warm};
use crate::address::Address;
use crate::connection::state::{TICKS, ticks};
use crate::connection::table::Table;
use crate::connection::{CARRIED, Connection, Direction, HEARD_MORE, Key, Links, Method, NONE, Source, State, UNBOUND};
use crate::forward::nat;
use crate::packet::checksum::Change;
use crate::persistence::PersistenceEngine;
use crate::service::Protocol;
use crate::sync::{Adoption, EngineData, Entry, Flags, Mark, Message, Part, Plain};
use crate::verdict::HopId;

/// A template's time-out where version 0 does not say it.
const TEMPLATE_LIFETIME: u32 = 180 * TICKS;

/// An entry of either family as it was read; none for what this engine does not forward.
#[derive(Debug, Clone, Copy)]
enum Item {
    V4(Told<Ipv4Addr>),
    V6(Told<Ipv6Addr>),
    Unsupported,
}

impl Director {
    /// Takes in all connections of a datagram, as [`adopt`](Self::adopt) does, and tells what became of each.
    pub fn adopt_all(&mut self, message: &Message<'_>, now: Instant, mut told: impl FnMut(Adoption)) {
        let tick = self.clock.tick(now);
        let (mut parts, mut batch) = (message.parts(), [Item::Unsupported; warm::BATCH]);
        for _ in 0..usize::from(message.count).div_ceil(warm::BATCH) {
            let read = batch.iter_mut().zip(&mut parts).map(|(place, part)| *place = self.item(&part)).count();
            let batch = batch.get(..read).unwrap_or_default();
            self.warm_items(batch);
            batch.iter().for_each(|item| told(self.adopt_item(item, tick)));
        }
    }

    /// Takes in a connection that another director has told of: it gets the sent state and time-out, and is bound to
    /// its server if a service here has it (and to its way of forwarding; else to the sent one until then).
    pub fn adopt(&mut self, entry: &Entry<'_>, now: Instant) -> Adoption {
        let tick = self.clock.tick(now);
        let item = self.item_of_entry(entry);
        self.adopt_item(&item, tick)
    }

    fn item(&self, part: &Part<'_>) -> Item {
        let told = match part {
            Part::V4(plain) => Told::read(plain, None, None, &self.core, &self.v4).map(Item::V4),
            Part::V6(plain) => Told::read(plain, None, None, &self.core, &self.v6).map(Item::V6),
            Part::Record(record) => Entry::decode(record).ok().map(|(entry, _)| self.item_of_entry(&entry)),
        };
        told.unwrap_or(Item::Unsupported)
    }

    fn item_of_entry(&self, entry: &Entry<'_>) -> Item {
        let told = match entry.client.ip() {
            IpAddr::V4(_) => Told::of_entry(entry, &self.core, &self.v4).map(Item::V4),
            IpAddr::V6(_) => Told::of_entry(entry, &self.core, &self.v6).map(Item::V6),
        };
        told.unwrap_or(Item::Unsupported)
    }

    /// Has the places fetched from memory where these will be found, and where answers of their servers.
    fn warm_items(&self, batch: &[Item]) {
        warm::warm_hashed(
            &self.v4,
            batch.iter().filter_map(|item| if let Item::V4(told) = item { Some(told.hashes) } else { None }),
        );
        warm::warm_hashed(
            &self.v6,
            batch.iter().filter_map(|item| if let Item::V6(told) = item { Some(told.hashes) } else { None }),
        );
    }

    fn adopt_item(&mut self, item: &Item, tick: u64) -> Adoption {
        match item {
            Item::V4(told) => Path::new(&mut self.core, &mut self.v4, tick).adopt(told),
            Item::V6(told) => Path::new(&mut self.core, &mut self.v6, tick).adopt(told),
            Item::Unsupported => Adoption::Unsupported,
        }
    }
}

impl<A: Address> Path<'_, A> {
    fn adopt(&mut self, told: &Told<A>) -> Adoption {
        match self.find_live_hashed(told.hashes[0], &told.key) {
            Some((_, Direction::FromServer)) => Adoption::Unsupported,
            Some((id, Direction::FromClient)) => self.meet(id, told),
            None => self.create(told),
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
        let hashes = Some(told.hashes).filter(|_| told.source.is_none());
        let Some(id) = self.begin_hashed(connection, hashes) else { return Adoption::Full };
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

/// An entry in the terms of this engine.
#[derive(Debug, Clone, Copy)]
struct Told<A> {
    key: Key<A>,
    /// Of the key, and of the one of its server's answers; the former again where they bypass the director.
    hashes: [u32; 2],
    server: (A, u16),
    source: Option<(A, u16)>,
    state: State,
    method: Method,
    inactive: bool,
    mark: u32,
    lifetime: u32,
}

impl<A: Address> Told<A> {
    fn of_entry(entry: &Entry<'_>, core: &Core, table: &Table<A>) -> Option<Told<A>> {
        let socket = |socket: SocketAddr| Some((A::from_ip(socket.ip())?, socket.port()));
        let source = match entry.source {
            Some(source) => Some(socket(source)?),
            None => None,
        };
        let plain = Plain {
            protocol: entry.protocol,
            flags: entry.flags,
            state: entry.state,
            client: socket(entry.client)?,
            service: socket(entry.service)?,
            server: socket(entry.server)?,
            mark: entry.mark,
            timeout: entry.timeout,
        };
        Told::read(&plain, entry.engine, source, core, table)
    }

    /// None for what this engine does not forward.
    fn read(
        plain: &Plain<A>,
        engine: Option<EngineData<'_>>,
        source: Option<(A, u16)>,
        core: &Core,
        table: &Table<A>,
    ) -> Option<Told<A>> {
        let template = plain.flags.has(Flags::TEMPLATE);
        let state = State::of_number(plain.state, plain.protocol, template)?;
        let method = match plain.flags.0 & Flags::METHOD {
            Flags::NAT => Method::Nat,
            Flags::LOCAL => Method::Local,
            Flags::TUNNEL => Method::Tunnel,
            Flags::DR => Method::Dr,
            _ => return None,
        };
        if plain.flags.has(Flags::NO_CLIENT_PORT) || (!template && plain.client.1 == 0) {
            return None;
        }
        let (client, client_port) = match (template, engine) {
            (true, Some(engine)) => {
                PersistenceEngine::of_name(engine.name)?;
                table.stand_in(engine.data)
            }
            _ => plain.client,
        };
        let (service, service_port) = plain.service;
        let key = Key {
            source: client,
            destination: service,
            source_port: client_port,
            destination_port: service_port,
            protocol: plain.protocol,
            template,
        };
        let lifetime = match plain.timeout {
            0 if template => TEMPLATE_LIFETIME,
            0 => core.lifetimes.get(state as usize).copied()?,
            seconds => ticks(Duration::from_secs(seconds.into())),
        };
        let (inactive, server) = (plain.flags.has(Flags::INACTIVE), plain.server);
        let hash = table.hash(&key);
        let answered = method == Method::Nat && !template && source.is_none();
        let hashes = [hash, if answered { table.hash(&key.answered_by(server)) } else { hash }];
        Some(Told { key, hashes, server, source, state, method, inactive, mark: plain.mark, lifetime })
    }
}
