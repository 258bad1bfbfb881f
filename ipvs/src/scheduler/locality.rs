//! `lblc` and `lblcr`: the packet's destination address keeps its server, or its set of servers, while they are not
//! overloaded (ip_vs_lblc.c, ip_vs_lblcr.c). Meant for clusters of caches behind a firewall mark.

use std::net::IpAddr;

use super::least::{WEIGHTED_LEAST_CONNECTIONS, overhead};
use super::{Flow, Pool, Schedule};
use crate::connection::state::TICKS;
use crate::hash::Seed;
use crate::service::Destination;

/// Addresses are spread over so many shelves,
const SHELVES: usize = 1024;
/// each with so many places; on a full shelf the address that was asked for least recently makes room.
const PLACES: usize = 16;
/// Servers in a set.
const SET: usize = 16;
/// After so many ticks without a connection an address is forgotten, and of a set that has not changed for so long the busiest
/// server goes: the kernel's defaults of `lblc_expiration` and `lblcr_expiration`.
const EXPIRATION: u64 = 24 * 60 * 60 * TICKS as u64;

/// One server for an address.
#[derive(Debug)]
pub(super) struct Locality {
    places: Places<Option<u32>>,
}

/// Sets of servers for addresses.
#[derive(Debug)]
pub(super) struct Replicated {
    places: Places<Set>,
}

/// The servers of an address, the latest first.
#[derive(Debug, Default)]
struct Set {
    members: [Option<u32>; SET],
    /// The tick of its latest change.
    changed: u64,
}

#[derive(Debug)]
struct Places<T> {
    seed: Seed,
    places: Vec<Option<Place<T>>>,
}

#[derive(Debug)]
struct Place<T> {
    address: IpAddr,
    /// The tick at which it was asked for.
    used: u64,
    held: T,
}

impl<T: Default> Places<T> {
    fn new(seed: Seed) -> Places<T> {
        Places { seed, places: std::iter::repeat_with(|| None).take(SHELVES * PLACES).collect() }
    }

    fn of(&mut self, address: IpAddr, now: u64) -> Option<&mut T> {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let shelf = self.seed.hash([bits as u64, (bits >> 64) as u64], 0) as usize % SHELVES * PLACES;
        let shelf = self.places.get_mut(shelf..shelf + PLACES)?;
        let is_its = |place: &Option<Place<T>>| place.as_ref().is_some_and(|place| place.address == address);
        let found = shelf.iter().position(is_its);
        let oldest = || shelf.iter().enumerate().min_by_key(|(_, place)| place.as_ref().map(|place| place.used));
        let place = shelf.get_mut(found.or_else(|| oldest().map(|(at, _)| at))?)?;
        if !is_its(place) || place.as_ref().is_some_and(|place| now.saturating_sub(place.used) > EXPIRATION) {
            *place = Some(Place { address, used: now, held: T::default() });
        }
        let place = place.as_mut()?;
        place.used = now;
        Some(&mut place.held)
    }
}

impl Set {
    /// The servers of the set that are still the service's.
    fn of<'a>(&self, pool: Pool<'a>) -> impl Iterator<Item = (u32, &'a Destination)> {
        let known = move |number: &u32| Some((*number, pool.get(*number)?)).filter(|_| pool.order.contains(number));
        self.members.iter().flatten().filter_map(known)
    }

    fn insert(&mut self, number: u32, now: u64) {
        if !self.members.contains(&Some(number)) {
            self.members.rotate_right(1);
            self.members[0] = Some(number);
            self.changed = now;
        }
    }

    /// Takes the busiest server out of a set that has been the same for long.
    fn shrink(&mut self, pool: Pool<'_>, now: u64) {
        if self.members.iter().flatten().count() < 2 || now.saturating_sub(self.changed) <= EXPIRATION {
            return;
        }
        let busiest = self.of(pool).filter(|(_, held)| held.weight() > 0).reduce(heavier);
        if let Some(member) = self.members.iter_mut().find(|member| **member == busiest.map(|(number, _)| number)) {
            *member = None;
            self.changed = now;
        }
    }
}

impl Locality {
    pub(super) fn new(seed: Seed) -> Locality {
        Locality { places: Places::new(seed) }
    }
}

impl Schedule for Locality {
    fn removing(&mut self, _: Pool<'_>, number: u32) {
        let is_its = |place: &&mut Option<Place<_>>| place.as_ref().is_some_and(|place| place.held == Some(number));
        for place in self.places.places.iter_mut().filter(is_its) {
            *place = None;
        }
    }

    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32> {
        let place = self.places.of(flow.destination, flow.now)?;
        let held = place.and_then(|number| Some((number, pool.get(number)?)));
        if let Some((number, destination)) = held
            && destination.weight() > 0
            && !is_relieved(pool, destination)
        {
            return Some(number);
        }
        let chosen = least_of_all(pool, flow)?;
        *place = Some(chosen);
        Some(chosen)
    }
}

impl Replicated {
    pub(super) fn new(seed: Seed) -> Replicated {
        Replicated { places: Places::new(seed) }
    }
}

impl Schedule for Replicated {
    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32> {
        let set = self.places.of(flow.destination, flow.now)?;
        let least = set.of(pool).filter(|(_, held)| held.is_open()).reduce(lighter);
        set.shrink(pool, flow.now);
        if let Some((number, destination)) = least
            && !is_relieved(pool, destination)
        {
            return Some(number);
        }
        let chosen = least_of_all(pool, flow)?;
        set.insert(chosen, flow.now);
        Some(chosen)
    }
}

/// Overloaded while another has more than half of its capacity free.
fn is_relieved(pool: Pool<'_>, destination: &Destination) -> bool {
    let idle = |other: &Destination| u64::from(other.active) * 2 < u64::from(other.weight());
    destination.active > destination.weight() && pool.iter().any(|(_, other)| idle(other))
}

fn least_of_all(pool: Pool<'_>, flow: &Flow) -> Option<u32> {
    let mut least = WEIGHTED_LEAST_CONNECTIONS;
    least.pick(pool, flow)
}

fn lighter<'a>(best: (u32, &'a Destination), next: (u32, &'a Destination)) -> (u32, &'a Destination) {
    if is_lighter(next.1, best.1) { next } else { best }
}

fn heavier<'a>(most: (u32, &'a Destination), next: (u32, &'a Destination)) -> (u32, &'a Destination) {
    if is_lighter(most.1, next.1) { next } else { most }
}

fn is_lighter(one: &Destination, other: &Destination) -> bool {
    let share = |one: &Destination, other: &Destination| u128::from(overhead(one)) * u128::from(other.weight());
    share(one, other) < share(other, one)
}
