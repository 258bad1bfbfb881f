//! Connections whose plain packets the kernel carries: offered to the driver, credited with what passed by the director,
//! and released when the director has to see every packet again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use super::path::Path;
use super::{Core, Director};
use crate::address::Address;
use crate::connection::state::TICKS;
use crate::connection::table::Table;
use crate::connection::{CARRIED, Connection, DECLINED, HEARD_MORE, Method, NONE, State};
use crate::service::ServiceId;
use crate::stats::Stats;
use crate::verdict::HopId;

/// A TCP connection is offered when its client has sent so many packets, at most 255, and the server has answered after
/// the handshake. Three is the earliest: SYN, ACK, request; fewer mean the same. The earlier, the more of a connection is
/// carried; the later, the fewer short connections pay for entering the kernel's tables and leaving them with nothing
/// carried. With five a client has sent two packets after its request.
const TCP_PACKETS: u8 = 5;
/// The same of UDP, where every question to a name server is a connection of its own.
const UDP_PACKETS: u8 = 8;
/// Who times out sooner is not worth the while, and is credited too seldom to be kept alive.
const LEAST_LIFETIME: u32 = 10 * TICKS;
/// How long a carried connection whose time seems over waits to be credited with what was carried last.
const GRACE: u32 = TICKS;

/// Names a connection that is offered or carried, until it is [released](Director::next_released).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    v6: bool,
    number: u32,
}

/// The two ends that a packet names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Where it says that it comes from.
    pub source: SocketAddr,
    /// Where it says that it goes.
    pub destination: SocketAddr,
}

/// What becomes of a connection's packets in one direction, the time to live apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// The ends that they come with.
    pub arrives: Ends,
    /// The ends that they leave with.
    pub leaves: Ends,
}

/// A connection that others may carry from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub connection: ConnectionId,
    /// TCP's number or UDP's.
    pub protocol: u8,
    /// The client's packets.
    pub to_server: Course,
    /// The server's packets, if they pass the director.
    pub to_client: Option<Course>,
    /// The next hop of the client's packets, as in [`Verdict::ToServer`](crate::Verdict::ToServer).
    pub server: IpAddr,
    /// Where the client's packets come from.
    pub client_hop: HopId,
    /// Where the packet came from with which the connection is offered: the server's, if `to_client` is there.
    pub sender_hop: HopId,
}

/// What was carried in one direction since it was credited last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets; a superpacket is one.
    pub packets: u64,
    /// Their IP lengths.
    pub bytes: u64,
    /// When the latest of all that ever were carried passed.
    pub latest: Option<Instant>,
}

/// What was carried of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// From the client.
    pub to_server: Carried,
    /// From the server.
    pub to_client: Carried,
}

/// A connection that must not be carried any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Released {
    /// Its name, which another connection may have from here on.
    pub connection: ConnectionId,
    destination: u32,
    /// There is nothing left of it but what its server and service count.
    ended: bool,
}

/// The director's side of the bargain.
#[derive(Debug, Default)]
pub(super) struct Carriage {
    most: usize,
    /// Carried connections, and those of `released`.
    carried: usize,
    /// The mark of connections that were declined of late.
    declined: u8,
    offer: Option<(ConnectionId, HopId)>,
    /// Has room for all that are carried.
    released: Vec<Released>,
}

impl Carriage {
    /// Whether a connection more may be carried.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.carried < self.most
    }

    /// A connection ends that was released and not fetched yet.
    fn end(&mut self, connection: ConnectionId) {
        let same = |released: &&mut Released| released.connection == connection;
        self.released.iter_mut().filter(same).for_each(|released| released.ended = true);
    }
}

impl Director {
    /// Offers connections from here on, so that at most so many are carried at a time; memory for them is laid out now.
    pub fn set_carriage(&mut self, most: usize) {
        let declined = DECLINED & DECLINED.wrapping_neg();
        self.core.carriage = Carriage { most, declined, released: Vec::with_capacity(most), ..Carriage::default() };
    }

    /// Whether [`take_offer`](Self::take_offer) or [`next_released`](Self::next_released) have something to give.
    #[inline]
    pub fn has_carriage_news(&self) -> bool {
        self.core.carriage.offer.is_some() || !self.core.carriage.released.is_empty()
    }

    /// The connection of the packet that was received last, if it may be carried. It is offered again with its next
    /// packets unless it is [accepted](Self::carry) or [declined](Self::decline). To be asked for before the next packet,
    /// and after [`next_released`](Self::next_released).
    pub fn take_offer(&mut self) -> Option<Offer> {
        let (id, sender) = self.core.carriage.offer.take()?;
        match id.v6 {
            true => offer(&self.v6, id, sender),
            false => offer(&self.v4, id, sender),
        }
    }

    /// Accepts the offer of a connection; false if as many are carried as may be.
    pub fn carry(&mut self, id: ConnectionId) -> bool {
        let has_room = self.core.carriage.has_room();
        let free = has_room && self.heard(id).is_some_and(|heard| *heard & CARRIED == 0);
        if let Some(heard) = self.heard(id).filter(|_| free) {
            *heard |= CARRIED;
            self.core.carriage.carried += 1;
        }
        free
    }

    /// Has a connection not offered again until [`renew_offers`](Self::renew_offers).
    pub fn decline(&mut self, id: ConnectionId) {
        let mark = self.core.carriage.declined;
        if let Some(heard) = self.heard(id) {
            *heard = *heard & !DECLINED | mark;
        }
    }

    /// What was declined may be offered again: the ways have changed.
    pub fn renew_offers(&mut self) {
        let lowest = DECLINED & DECLINED.wrapping_neg();
        let next = self.core.carriage.declined.wrapping_add(lowest) & DECLINED;
        self.core.carriage.declined = if next == 0 { lowest } else { next };
    }

    /// The driver carries a connection no more, of its own accord; whatever was carried is to be credited before.
    pub fn recall(&mut self, id: ConnectionId) {
        let carried = self.heard(id).filter(|heard| **heard & CARRIED != 0);
        if let Some(heard) = carried {
            *heard &= !CARRIED;
            self.core.carriage.carried -= 1;
        }
    }

    /// A connection that must not be carried any more: it left the state in which all its packets are alike, its client
    /// came another way, its time seems to be over, or it has ended. What was carried is to be credited by
    /// [`credit_released`](Self::credit_released). To be asked after every call that may change connections, until there
    /// is none.
    pub fn next_released(&mut self) -> Option<Released> {
        let released = self.core.carriage.released.pop()?;
        self.core.carriage.carried -= 1;
        Some(released)
    }

    /// Credits a connection, its server and its service with what was carried, and tells other directors of it, as if
    /// these packets had been received when they passed.
    pub fn credit(&mut self, id: ConnectionId, credit: &Credit, now: Instant) {
        let tick = self.clock.tick(now);
        let latest = credit.to_server.latest.max(credit.to_client.latest).map(|latest| self.clock.peek(latest) as u32);
        match id.v6 {
            true => Path::new(&mut self.core, &mut self.v6, tick).credit(id.number, credit, latest),
            false => Path::new(&mut self.core, &mut self.v4, tick).credit(id.number, credit, latest),
        }
    }

    /// The same for what was carried of a connection up to its release.
    pub fn credit_released(&mut self, released: &Released, credit: &Credit, now: Instant) {
        match released.ended {
            true => self.core.credit(released.destination, credit),
            false => self.credit(released.connection, credit, now),
        }
    }

    fn heard(&mut self, id: ConnectionId) -> Option<&mut u8> {
        match id.v6 {
            true => self.v6.get_mut(id.number).map(|connection| &mut connection.heard),
            false => self.v4.get_mut(id.number).map(|connection| &mut connection.heard),
        }
    }
}

fn offer<A: Address>(table: &Table<A>, id: ConnectionId, sender_hop: HopId) -> Option<Offer> {
    let connection = table.get(id.number)?;
    let socket = |address: A, port| SocketAddr::new(address.ip(), port);
    let client = socket(connection.client, connection.client_port);
    let service = socket(connection.service, connection.service_port);
    let server = socket(connection.server, connection.server_port);
    let arrives = Ends { source: client, destination: service };
    let seen = table.seen_by_server(connection).map(|(address, port)| socket(address, port));
    let leaves = seen.map_or(arrives, |seen| Ends { source: seen, destination: server });
    let answers = |seen| Course {
        arrives: Ends { source: server, destination: seen },
        leaves: Ends { source: service, destination: client },
    };
    Some(Offer {
        connection: id,
        protocol: connection.protocol,
        to_server: Course { arrives, leaves },
        to_client: seen.map(answers),
        server: server.ip(),
        client_hop: connection.hop,
        sender_hop,
    })
}

fn name<A: Address>(number: u32) -> ConnectionId {
    ConnectionId { v6: A::ICMP == Ipv6Addr::ICMP, number }
}

const _: () = assert!(Ipv4Addr::ICMP != Ipv6Addr::ICMP, "tells the families apart");

impl<A: Address> Path<'_, A> {
    /// A packet from `sender` has passed: offers its connection if there is nothing to be seen in the next ones.
    #[inline(never)]
    pub(super) fn consider(&mut self, id: u32, sender: HopId) {
        let Some(connection) = self.table.get(id) else { return };
        let known = connection.heard & CARRIED != 0 || connection.heard & DECLINED == self.core.carriage.declined;
        if !known && self.is_ripe(connection) {
            self.core.carriage.offer = Some((name::<A>(id), sender));
        }
    }

    fn is_ripe(&self, connection: &Connection<A>) -> bool {
        let least = match connection.state {
            State::Established => TCP_PACKETS,
            State::Udp => UDP_PACKETS,
            _ => return false,
        };
        let method = match connection.method {
            Method::Nat | Method::FullNat => connection.heard & HEARD_MORE != 0,
            Method::Dr => true,
            Method::Tunnel | Method::Local => false,
        };
        let lifetime = self.core.lifetimes.get(connection.state as usize).copied().unwrap_or(0);
        let plain = method && connection.inserted == 0 && connection.packets >= least && lifetime >= LEAST_LIFETIME;
        plain && self.is_of_plain_service(connection)
    }

    /// Marked packets come by another way, and calls are looked for in the packets.
    fn is_of_plain_service(&self, connection: &Connection<A>) -> bool {
        let Some(destination) = self.core.registry.destination(connection.destination) else { return false };
        let service = self.core.registry.service(destination.owner).filter(|_| destination.available);
        let of_call = self.table.get(connection.control).is_some_and(|template| template.client_port != 0);
        let marked = matches!(destination.service, ServiceId::Fwmark(_));
        service.is_some_and(|service| !service.config.one_packet) && !of_call && !marked
    }

    /// Has a connection carried no more.
    #[cold]
    pub(super) fn release(&mut self, id: u32) {
        let Some(connection) = self.table.get_mut(id).filter(|connection| connection.heard & CARRIED != 0) else {
            return;
        };
        connection.heard &= !CARRIED;
        let destination = connection.destination;
        self.core.carriage.released.push(Released { connection: name::<A>(id), destination, ended: false });
    }

    /// An entry was removed: what is still to be credited goes to its destination alone.
    #[inline]
    pub(super) fn release_removed(&mut self, id: u32, removed: &Connection<A>) {
        let carriage = &mut self.core.carriage;
        if carriage.carried == 0 {
            return;
        }
        let connection = name::<A>(id);
        carriage.end(connection);
        if removed.heard & CARRIED != 0 {
            carriage.released.push(Released { connection, destination: removed.destination, ended: true });
        }
    }

    /// Lets a carried connection whose time seems over live until it has been credited with what was carried last.
    pub(super) fn grant_grace(&mut self, id: u32) {
        self.release(id);
        let expires = self.now.wrapping_add(GRACE);
        if let Some(connection) = self.table.get_mut(id) {
            connection.expires = expires;
        }
        self.table.link_again(id);
    }

    fn credit(&mut self, id: u32, credit: &Credit, latest: Option<u32>) {
        let Some(connection) = self.table.get_mut(id).filter(|connection| connection.destination != NONE) else {
            return;
        };
        let packets = u8::try_from(credit.to_server.packets).unwrap_or(u8::MAX);
        connection.packets = connection.packets.saturating_add(packets);
        let (destination, state) = (connection.destination, connection.state);
        if let Some(latest) = latest.filter(|_| matches!(state, State::Established | State::Udp)) {
            self.prolong_from(id, state, latest);
        }
        self.core.credit(destination, credit);
        if self.core.sync.is_some() && credit.packets() > 0 {
            self.tell_of_carried(id, credit.to_server.packets);
        }
    }

    /// A connection lives on from the latest packet that was carried, unless a later one was seen here.
    fn prolong_from(&mut self, id: u32, state: State, latest: u32) {
        let lifetime = self.core.lifetimes.get(state as usize).copied().unwrap_or(TICKS);
        let expires = latest.wrapping_add(lifetime);
        let held = self.table.get(id).map_or(expires, |connection| connection.expires);
        if expires.wrapping_sub(held) as i32 > 0 {
            self.table.prolong(id, expires);
        }
    }
}

impl Credit {
    /// Packets of both ends.
    pub fn packets(&self) -> u64 {
        self.to_server.packets + self.to_client.packets
    }

    fn add_to(&self, stats: &mut Stats) {
        stats.in_packets += self.to_server.packets;
        stats.in_bytes += self.to_server.bytes;
        stats.out_packets += self.to_client.packets;
        stats.out_bytes += self.to_client.bytes;
    }
}

impl Core {
    /// Counts what was carried for a destination. Its service counts it even if the destination was removed meanwhile.
    fn credit(&mut self, destination: u32, credit: &Credit) {
        self.counters.to_server += credit.to_server.packets;
        self.counters.to_client += credit.to_client.packets;
        let Some(destination) = self.registry.destination_mut(destination) else { return };
        credit.add_to(&mut destination.stats);
        let (owner, id) = (destination.owner, destination.service);
        if let Some(service) = self.registry.service_mut(owner).filter(|service| service.config.id == id) {
            credit.add_to(&mut service.stats);
        }
    }
}
