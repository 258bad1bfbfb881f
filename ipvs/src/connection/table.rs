//! The connection table of one address family.

use std::ops::Range;

use super::fragments::{Datagram, Fragments};
use super::index::Index;
use super::state::State;
use super::wheel::Wheel;
use super::{Connection, Direction, Key, Links, Method, NONE, Source, region};
use crate::address::Address;
use crate::hash::Seed;
use crate::packet::checksum::Change;
use crate::service::FullNat;
use crate::sync::{self, Mark};
use crate::verdict::HopId;

/// Entries, their index and their timers. Memory for all entries is reserved at once, so that nothing on the packet
/// path allocates; the system commits it as it is first touched.
#[derive(Debug)]
pub(crate) struct Table<A> {
    entries: Vec<Connection<A>>,
    index: Index,
    wheel: Wheel,
    seed: Seed,
    fragments: Fragments<A>,
    /// Addresses that full NAT has used: entries refer to them by number, so that none ever goes.
    sources: Vec<A>,
    /// Moves on with every source given out.
    next_source: u32,
    free: u32,
    live: usize,
    limit: usize,
    hand: usize,
    /// What was told of the entries of the same numbers; empty while nobody is told.
    marks: Vec<sync::Words>,
}

impl<A: Address> Table<A> {
    pub(crate) fn new(seed: [u64; 2], limit: usize) -> Table<A> {
        let limit = limit.min(NONE as usize - 1);
        Table {
            entries: Vec::with_capacity(limit),
            index: Index::new(limit * 2),
            wheel: Wheel::new(),
            seed: Seed::new(seed),
            fragments: Fragments::new(Seed::new(seed)),
            sources: Vec::new(),
            next_source: 0,
            free: NONE,
            live: 0,
            limit,
            hand: 0,
            marks: Vec::new(),
        }
    }

    /// Lays out marks for all entries that there may be, or lets them go.
    pub(crate) fn set_marked(&mut self, marked: bool) {
        self.marks = if marked { vec![sync::Words::default(); self.limit] } else { Vec::new() };
    }

    /// Places of entries in use or free, up to the highest that was ever used.
    pub(crate) fn places(&self) -> usize {
        self.entries.len()
    }

    /// The mark of an entry, if there are marks.
    pub(crate) fn mark(&self, id: u32) -> Option<Mark> {
        self.marks.get(id as usize).copied().map(Mark::of_words)
    }

    #[inline]
    pub(crate) fn set_mark(&mut self, id: u32, mark: Mark) {
        if let Some(place) = self.marks.get_mut(id as usize) {
            *place = mark.words();
        }
    }

    /// Gives an entry another way of forwarding, and with it other keys.
    pub(crate) fn set_method(&mut self, id: u32, method: Method) {
        self.leave_index(id);
        if let Some(entry) = self.get_mut(id) {
            entry.method = method;
        }
        self.enter_index(id);
    }

    /// How many connections and templates there are.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&Connection<A>> {
        self.entries.get(id as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Connection<A>> {
        self.entries.get_mut(id as usize)
    }

    /// The connection that a packet belongs to, and its direction.
    #[inline]
    pub(crate) fn find(&self, key: &Key<A>) -> Option<(u32, Direction)> {
        self.find_entry(key).map(|(id, direction, _)| (id, direction))
    }

    /// The same, with the entry.
    #[inline(always)]
    pub(crate) fn find_entry(&self, key: &Key<A>) -> Option<(u32, Direction, &Connection<A>)> {
        self.find_hashed(self.hash(key), key)
    }

    /// The same for a key of this hash.
    #[inline(always)]
    pub(crate) fn find_hashed(&self, hash: u32, key: &Key<A>) -> Option<(u32, Direction, &Connection<A>)> {
        self.index.find(hash, |id| {
            let entry = self.get(id)?;
            Some((id, entry.direction(key, &self.sources)?, entry))
        })
    }

    /// Reads the place of the index where a search for this hash begins.
    #[inline]
    pub(crate) fn touch_index(&self, hash: u32) -> u64 {
        self.index.touch(hash)
    }

    /// The first entry of this hash, unchecked; `NONE` if there is none.
    #[inline]
    pub(crate) fn likely_entry(&self, hash: u32) -> u32 {
        self.index.find(hash, Some).unwrap_or(NONE)
    }

    /// Where entries and index lie, as addresses.
    pub(crate) fn regions(&self) -> [Range<usize>; 2] {
        [region(&self.entries), self.index.region()]
    }

    /// One of the places, each of the same chance for numbers without a pattern of this table's seed.
    pub(crate) fn entry_by_chance(&self, number: u64) -> u32 {
        let chance = self.seed.hash([number], 0) >> 32;
        ((chance * self.entries.len() as u64) >> 32) as u32
    }

    /// Whether the next `insert` fails.
    pub(crate) fn is_full(&self) -> bool {
        self.live >= self.limit
    }

    /// Goes round all entries, one a call.
    pub(crate) fn next_in_turn(&mut self) -> u32 {
        self.hand = (self.hand + 1).checked_rem(self.entries.len()).unwrap_or(0);
        self.hand as u32
    }

    /// Adds an entry whose `expires` is set; none when the table is full. `hashes` are those of the client's key and of the server's, if there
    /// is one, where they are known.
    pub(crate) fn insert(&mut self, connection: Connection<A>, hashes: Option<[u32; 2]>, now: u64) -> Option<u32> {
        if self.live == 0 {
            self.wheel.turn_empty(now);
        }
        let id = self.place(connection)?;
        self.live += 1;
        match hashes {
            Some(hashes) => self.enter_index_hashed(id, hashes),
            None => self.enter_index(id),
        }
        self.link(id);
        Some(id)
    }

    fn place(&mut self, connection: Connection<A>) -> Option<u32> {
        let id = self.free;
        if let Some(entry) = self.get_mut(id) {
            let next = entry.links.next;
            *entry = connection;
            self.free = next;
            return Some(id);
        }
        if self.entries.len() >= self.limit {
            return None;
        }
        self.entries.push(connection);
        Some((self.entries.len() - 1) as u32)
    }

    /// Removes an entry and gives a copy of what it was.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Connection<A>> {
        self.unlink(id);
        self.leave_index(id);
        let free = self.free;
        let entry = self.get_mut(id)?;
        let removed = entry.clone();
        *entry = Connection { links: Links { next: free, ..Links::NONE }, ..unused() };
        self.free = id;
        self.live -= 1;
        Some(removed)
    }

    /// Hides a template from lookups, as the kernel does by port 65535.
    pub(crate) fn hide_template(&mut self, id: u32) {
        self.leave_index(id);
        if let Some(entry) = self.get_mut(id) {
            entry.service_port = u16::MAX;
            entry.server_port = u16::MAX;
        }
        self.enter_index(id);
    }

    /// Sets the end of an entry.
    #[inline]
    pub(crate) fn prolong(&mut self, id: u32, expires: u32) {
        let Some(entry) = self.entries.get_mut(id as usize) else { return };
        entry.expires = expires;
        let slot = entry.slot;
        self.settle(id, slot, expires);
    }

    /// Moves an entry that waits in `slot` if it ends before that one is due: later ones move when it is.
    #[inline(always)]
    pub(crate) fn settle(&mut self, id: u32, slot: u16, expires: u32) {
        if self.wheel.distance(self.wheel.slot_for(expires)) < self.wheel.distance(slot) {
            self.link_again(id);
        }
    }

    /// An entry whose timer slot is due. The caller prolongs or removes it, or calls `link_again`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<u32> {
        let id = self.wheel.due(now).map(|slot| self.wheel.head(slot))?;
        Some(id).filter(|&id| id != NONE)
    }

    /// The next source in turn for a connection to `server`, with the key under which an entry that has it would be
    /// found. None without a pool, or if the addresses of all times are more than there are numbers for.
    pub(crate) fn next_source(&mut self, pool: &[A], server: (A, u16), protocol: u8) -> Option<(Source, Key<A>)> {
        let number = self.next_source;
        self.next_source = number.wrapping_add(1);
        let (destination, port) = candidate(pool, number)?;
        let (source, source_port) = server;
        let key = Key { source, destination, source_port, destination_port: port, protocol, template: false };
        Some((Source { address: self.number_of(destination)?, port }, key))
    }

    /// The number by which entries refer to a source address.
    pub(crate) fn number_of(&mut self, address: A) -> Option<u16> {
        let known = self.sources.iter().position(|known| *known == address);
        if known.is_none() {
            // Once for each address that the configuration ever named.
            self.sources.push(address);
        }
        u16::try_from(known.unwrap_or(self.sources.len() - 1)).ok()
    }

    /// The end that an entry's server sees.
    pub(crate) fn seen_by_server(&self, connection: &Connection<A>) -> Option<(A, u16)> {
        connection.seen_by_server(&self.sources)
    }

    /// The address and port of a source.
    #[inline]
    pub(crate) fn source(&self, source: Source) -> Option<(A, u16)> {
        Some((self.sources.get(usize::from(source.address)).copied()?, source.port))
    }

    /// Puts an entry into the slot of its `expires`.
    pub(crate) fn link_again(&mut self, id: u32) {
        self.unlink(id);
        self.link(id);
    }

    /// The tick at which `pop_due` has something next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        // The driver asks after every batch, and an empty wheel is the slowest to be searched.
        if self.live == 0 { None } else { self.wheel.next() }
    }

    /// Live entries in the order of their memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection<A>> {
        self.entries.iter().filter(|entry| entry.destination != NONE)
    }

    /// Remembers the connection of a datagram whose first fragment was seen.
    pub(crate) fn remember_fragments(&mut self, datagram: Datagram<A>, id: u32, direction: Direction, now: u32) {
        if let Some(connection) = self.entries.get(id as usize) {
            self.fragments.remember(datagram, (id, direction), connection, now);
        }
    }

    /// The connection of a later fragment.
    pub(crate) fn find_fragment(&mut self, datagram: &Datagram<A>, now: u32) -> Option<(u32, Direction)> {
        let entries = &self.entries;
        self.fragments.find(datagram, |id| entries.get(id as usize), now)
    }

    /// A seeded hash of one address.
    pub(crate) fn hash_address(&self, address: A) -> u32 {
        A::hash(self.seed, address, address, 0)
    }

    /// An address and a port that stand for these bytes.
    pub(crate) fn stand_in(&self, bytes: &[u8]) -> (A, u16) {
        let number = self.seed.hash_bytes(bytes);
        (A::from_mark(number as u32), (number >> 32) as u16)
    }

    #[inline]
    pub(crate) fn hash(&self, key: &Key<A>) -> u32 {
        let ports = (u64::from(key.source_port) << 16) | u64::from(key.destination_port);
        let rest = (ports << 16) | (u64::from(key.protocol) << 8) | u64::from(key.template);
        A::hash(self.seed, key.source, key.destination, rest)
    }

    fn keys(&self, id: u32) -> impl Iterator<Item = Key<A>> + use<A> {
        let entry = self.get(id);
        let client = entry.map(Connection::client_key);
        client.into_iter().chain(entry.and_then(|entry| entry.server_key(&self.sources)))
    }

    fn enter_index(&mut self, id: u32) {
        for key in self.keys(id) {
            self.index.insert(self.hash(&key), id);
        }
    }

    fn enter_index_hashed(&mut self, id: u32, hashes: [u32; 2]) {
        debug_assert!(self.keys(id).map(|key| self.hash(&key)).eq(hashes.into_iter().take(self.keys(id).count())));
        let answered = self.get(id).is_some_and(|entry| entry.method.is_two_way() && !entry.template);
        hashes.iter().take(1 + usize::from(answered)).for_each(|hash| self.index.insert(*hash, id));
    }

    fn leave_index(&mut self, id: u32) {
        for key in self.keys(id) {
            self.index.remove(self.hash(&key), id);
        }
    }

    fn link(&mut self, id: u32) {
        let Some(entry) = self.entries.get_mut(id as usize) else { return };
        let slot = self.wheel.slot_for(entry.expires);
        let next = self.wheel.head(slot);
        (entry.links, entry.slot) = (Links { next, previous: NONE }, slot);
        if let Some(next) = self.get_mut(next) {
            next.links.previous = id;
        }
        self.wheel.set_head(slot, id);
    }

    fn unlink(&mut self, id: u32) {
        let Some(entry) = self.get(id) else { return };
        let (Links { next, previous }, slot) = (entry.links, entry.slot);
        match self.get_mut(previous) {
            Some(previous) => previous.links.next = next,
            None => self.wheel.set_head(slot, next),
        }
        if let Some(next) = self.get_mut(next) {
            next.links.previous = previous;
        }
    }
}

/// All addresses take turns, then the ports.
fn candidate<A: Address>(pool: &[A], number: u32) -> Option<(A, u16)> {
    let count = pool.len() as u32;
    let address = pool.get(number.checked_rem(count)? as usize)?;
    let port = (number / count) % u32::from(FullNat::PORTS.end - FullNat::PORTS.start);
    Some((*address, FullNat::PORTS.start + port as u16))
}

/// What a free entry holds: no packet matches it.
fn unused<A: Address>() -> Connection<A> {
    Connection {
        client: A::UNSPECIFIED,
        service: A::UNSPECIFIED,
        server: A::UNSPECIFIED,
        client_port: 0,
        service_port: 0,
        server_port: 0,
        protocol: 0,
        state: State::None,
        method: Method::Local,
        template: false,
        inactive: false,
        heard: 0,
        hop: HopId(0),
        destination: NONE,
        control: NONE,
        controlled: 0,
        slot: 0,
        inserted: 0,
        packets: 0,
        expires: 0,
        timeout: 0,
        change: Change::NONE,
        links: Links::NONE,
    }
}
