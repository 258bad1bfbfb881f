//! The life of a connection: looked up, moved through its states, ended.

use super::path::Path;
use super::{ConnReuse, Core};
use crate::address::Address;
use crate::connection::sctp;
use crate::connection::state::TICKS;
use crate::connection::tcp::{self, View};
use crate::connection::{CARRIED, Connection, Direction, HEARD, Key, NONE, State};
use crate::packet::segment::TcpFlags;
use crate::service::{Destination, Protocol};
use crate::sync::Mark;

/// How long a template whose time is over waits for its connections, again and again.
const WAIT_FOR_CONTROLLED: u32 = 60 * TICKS;
/// Entries of a full table that are looked at for one that may go.
const SEARCHED: usize = 64;

impl<A: Address> Path<'_, A> {
    /// The entry for `key` whose time is not over.
    #[inline(never)]
    pub(super) fn find_live(&mut self, key: &Key<A>) -> Option<(u32, Direction)> {
        self.find_live_here(key)
    }

    /// The same, for the one place that every packet passes.
    #[inline(always)]
    pub(super) fn find_live_here(&mut self, key: &Key<A>) -> Option<(u32, Direction)> {
        self.find_live_hashed(self.table.hash(key), key)
    }

    /// The same for a key of this hash.
    #[inline(always)]
    pub(super) fn find_live_hashed(&mut self, hash: u32, key: &Key<A>) -> Option<(u32, Direction)> {
        loop {
            let (id, direction, entry) = self.table.find_hashed(hash, key)?;
            if !entry.is_due(self.now) {
                return Some((id, direction));
            }
            self.finish(id);
        }
    }

    #[inline]
    fn is_due(&self, id: u32) -> bool {
        self.table.get(id).is_some_and(|entry| entry.is_due(self.now))
    }

    /// Serves timers that are due.
    pub(super) fn expire(&mut self, budget: usize) {
        for _ in 0..budget {
            let Some(id) = self.table.pop_due(self.tick) else { return };
            if self.is_due(id) {
                self.finish(id);
            } else {
                self.table.link_again(id);
            }
        }
    }

    #[cold]
    /// The time of an entry is over: a template with connections waits for them.
    fn finish(&mut self, id: u32) {
        let now = self.now;
        match self.table.get_mut(id) {
            Some(entry) if entry.template && entry.controlled > 0 => {
                entry.timeout = WAIT_FOR_CONTROLLED;
                entry.expires = now.wrapping_add(WAIT_FOR_CONTROLLED);
                self.table.link_again(id);
            }
            Some(entry) if entry.heard & CARRIED != 0 => self.grant_grace(id),
            _ => {
                self.count_silence(id);
                self.end(id);
            }
        }
    }

    /// Adds an entry and counts it at its destination and its template.
    pub(super) fn begin(&mut self, connection: Connection<A>) -> Option<u32> {
        self.begin_hashed(connection, None)
    }

    /// The same for an entry of which the hashes are known.
    pub(super) fn begin_hashed(&mut self, connection: Connection<A>, hashes: Option<[u32; 2]>) -> Option<u32> {
        let Connection { destination, control, template, inactive, .. } = connection;
        if self.table.is_full() {
            self.make_room();
        }
        let id = self.table.insert(connection, hashes, self.tick)?;
        self.table.set_mark(id, Mark::NEW);
        if let Some(destination) = self.core.registry.destination_mut(destination) {
            *counter(destination, template, inactive) += 1;
            destination.judge_load();
        }
        if let Some(template) = self.table.get_mut(control) {
            template.controlled += 1;
        }
        Some(id)
    }

    /// Ends a connection that an attacker may have opened: half open, closing, or never answered. The kernel does the like
    /// when memory runs low (`drop_entry`). Established connections and templates stay.
    #[cold]
    fn make_room(&mut self) {
        for _ in 0..SEARCHED {
            let id = self.table.next_in_turn();
            if self.table.get(id).is_some_and(Connection::is_expendable) {
                return self.end(id);
            }
        }
    }

    /// Removes an entry and its counts.
    pub(super) fn end(&mut self, id: u32) {
        if let Some(connection) = self.take_out(id) {
            self.discount(&connection);
        }
    }

    /// Removes an entry; its counts stay.
    pub(super) fn take_out(&mut self, id: u32) -> Option<Connection<A>> {
        let removed = self.table.remove(id)?;
        self.release_removed(id, &removed);
        Some(removed)
    }

    /// Ends a connection whose destination was removed, and its template with the last of them.
    pub(super) fn end_departed(&mut self, id: u32) {
        let Some(entry) = self.table.get(id).filter(|entry| entry.controlled == 0) else { return };
        let control = entry.control;
        if self.core.registry.destination(entry.destination).is_none_or(|held| held.available) {
            return;
        }
        self.end(id);
        if self.table.get(control).is_some_and(|template| template.controlled == 0) {
            self.end(control);
        }
    }

    /// Takes a removed entry out of the counts.
    pub(super) fn discount(&mut self, connection: &Connection<A>) {
        let &Connection { destination, control, template, inactive, .. } = connection;
        if let Some(destination) = self.core.registry.destination_mut(destination) {
            let count = counter(destination, template, inactive);
            *count = count.saturating_sub(1);
            destination.judge_load();
        }
        if let Some(template) = self.table.get_mut(control) {
            template.controlled = template.controlled.saturating_sub(1);
        }
    }

    /// Moves a connection to the state after a packet and prolongs it.
    #[inline(always)]
    pub(super) fn advance(&mut self, id: u32, view: View, flags: TcpFlags) {
        let Some(connection) = self.table.get_mut(id) else { return };
        let was = connection.state;
        let next = match connection.protocol {
            number if number == Protocol::Tcp.number() => tcp::next(view, was, flags, self.core.defences.secures_tcp()),
            number if number == Protocol::Udp.number() => State::Udp,
            _ => sctp::next(view, was, flags.0),
        };
        let lifetime = self.core.lifetimes.get(next as usize).copied().unwrap_or(TICKS);
        let expires = self.now.wrapping_add(lifetime);
        connection.expires = expires;
        let slot = connection.slot;
        self.table.settle(id, slot, expires);
        if next != was {
            self.enter(id, next);
            if view == View::Server && next == State::Close {
                self.count_reset(id, was);
            }
        }
    }

    #[inline(never)]
    fn enter(&mut self, id: u32, next: State) {
        let Some(connection) = self.table.get_mut(id) else { return };
        connection.state = next;
        let (control, destination) = (connection.control, connection.destination);
        let carried = connection.heard & CARRIED != 0;
        if connection.inactive == next.is_active() {
            connection.inactive = !connection.inactive;
            let inactive = connection.inactive;
            self.core.turn(destination, inactive);
        }
        if carried {
            self.release(id);
        }
        if control != NONE && next.is_established() {
            self.assure(control);
        }
    }

    #[cold]
    fn count_reset(&mut self, id: u32, was: State) {
        let Some(connection) = self.table.get(id) else { return };
        let Some(destination) = self.core.registry.destination_mut(connection.destination) else { return };
        match was {
            State::SynRecv | State::SynAck => destination.failures.refused += 1,
            State::Established => destination.failures.reset += 1,
            _ => (),
        }
    }

    /// A connection that ends by time: was there ever an answer?
    fn count_silence(&mut self, id: u32) {
        let Some(connection) = self.table.get(id) else { return };
        let asked = matches!(connection.state, State::SynRecv | State::Udp | State::SctpInit1 | State::SctpInit);
        if connection.heard & HEARD != 0 || !asked || !connection.method.is_two_way() {
            return;
        }
        if let Some(destination) = self.core.registry.destination_mut(connection.destination) {
            destination.failures.silent += 1;
        }
    }

    pub(super) fn assure(&mut self, template: u32) {
        if let Some(template) = self.table.get_mut(template) {
            template.state = State::Assured;
        }
    }
}

impl<A> Connection<A> {
    /// Whether its time is over.
    #[inline]
    fn is_due(&self, now: u32) -> bool {
        self.expires.wrapping_sub(now) as i32 <= 0
    }

    fn is_expendable(&self) -> bool {
        let open = matches!(self.state, State::None | State::Established | State::Assured | State::SctpEstablished);
        let answered = self.state == State::Udp && self.heard & HEARD != 0;
        self.destination != NONE && !self.template && !open && !answered
    }

    /// Whether a SYN means another connection. One of a template stays with its server.
    pub(super) fn may_be_reused(&self, mode: ConnReuse) -> bool {
        let over = match self.state {
            State::TimeWait | State::Close | State::SctpClosed => mode != ConnReuse::Never,
            State::FinWait => mode == ConnReuse::HalfOver && !self.method.is_two_way(),
            _ => false,
        };
        over && self.control == NONE
    }
}

impl Core {
    /// Counts a client's packet; false if its destination was removed.
    #[inline]
    pub(super) fn count_in(&mut self, destination: u32, bytes: usize) -> bool {
        let Some(destination) = self.registry.destination_mut(destination) else { return false };
        if !destination.available {
            return false;
        }
        destination.stats.count_in(bytes);
        let owner = destination.owner;
        if let Some(service) = self.registry.service_mut(owner) {
            service.stats.count_in(bytes);
        }
        true
    }

    /// Counts a server's packet.
    #[inline]
    pub(super) fn count_out(&mut self, destination: u32, bytes: usize) {
        let Some(destination) = self.registry.destination_mut(destination) else { return };
        destination.stats.count_out(bytes);
        let owner = if destination.available { destination.owner } else { NONE };
        if let Some(service) = self.registry.service_mut(owner) {
            service.stats.count_out(bytes);
        }
    }

    pub(super) fn turn(&mut self, destination: u32, inactive: bool) {
        let Some(destination) = self.registry.destination_mut(destination) else { return };
        let (from, to) = match inactive {
            true => (&mut destination.active, &mut destination.inactive),
            false => (&mut destination.inactive, &mut destination.active),
        };
        *from = from.saturating_sub(1);
        *to += 1;
    }

    pub(super) fn next_identification(&mut self) -> u16 {
        self.identification = self.identification.wrapping_add(1);
        self.identification
    }
}

pub(super) fn counter(destination: &mut Destination, template: bool, inactive: bool) -> &mut u32 {
    match (template, inactive) {
        (true, _) => &mut destination.persistent,
        (false, true) => &mut destination.inactive,
        (false, false) => &mut destination.active,
    }
}
