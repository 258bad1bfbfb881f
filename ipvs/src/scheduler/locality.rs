//! `lblc` and `lblcr`: the packet's destination address keeps its server, or its set of servers, while they are not
//! overloaded (ip_vs_lblc.c, ip_vs_lblcr.c). Meant for clusters of caches behind a firewall mark.

use std::net::IpAddr;

use super::least::{WEIGHTED_LEAST_CONNECTIONS, overhead};
use super::{Flow, Pool, Schedule};
use crate::hash::Seed;
use crate::service::Destination;

/// Places for addresses; two that meet in one place take it from each other.
const PLACES: usize = 1024;
/// Servers in a set.
const SET: usize = 16;

/// One server for an address.
#[derive(Debug)]
pub(super) struct Locality {
    places: Places<Option<u32>>,
}

/// A set of servers for an address, the latest first.
#[derive(Debug)]
pub(super) struct Replicated {
    places: Places<[Option<u32>; SET]>,
}

#[derive(Debug)]
struct Places<T> {
    seed: Seed,
    places: Vec<Option<(IpAddr, T)>>,
}

impl<T: Default> Places<T> {
    fn new(seed: Seed) -> Places<T> {
        Places { seed, places: std::iter::repeat_with(|| None).take(PLACES).collect() }
    }

    fn of(&mut self, address: IpAddr) -> Option<&mut T> {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let place = self.seed.hash([bits as u64, (bits >> 64) as u64], 0) as usize % PLACES;
        let place = self.places.get_mut(place)?;
        if place.as_ref().is_none_or(|held| held.0 != address) {
            *place = Some((address, T::default()));
        }
        place.as_mut().map(|held| &mut held.1)
    }
}

impl Locality {
    pub(super) fn new(seed: Seed) -> Locality {
        Locality { places: Places::new(seed) }
    }
}

impl Schedule for Locality {
    fn removing(&mut self, _: Pool<'_>, number: u32) {
        for place in self.places.places.iter_mut().filter(|place| place.as_ref().is_some_and(|p| p.1 == Some(number))) {
            *place = None;
        }
    }

    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32> {
        let place = self.places.of(flow.destination)?;
        let held = place.and_then(|number| Some((number, pool.get(number)?)));
        if let Some((number, destination)) = held
            && destination.is_open()
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
        let set = self.places.of(flow.destination)?;
        let members = set.iter().flatten().filter_map(|&number| Some((number, pool.get(number)?)));
        let least = members.filter(|(number, held)| held.is_open() && pool.order.contains(number)).reduce(lighter);
        if let Some((number, destination)) = least
            && !is_relieved(pool, destination)
        {
            return Some(number);
        }
        let chosen = least_of_all(pool, flow)?;
        if !set.contains(&Some(chosen)) {
            set.rotate_right(1);
            set[0] = Some(chosen);
        }
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
    let share = |one: &Destination, other: &Destination| u128::from(overhead(one)) * u128::from(other.weight());
    if share(next.1, best.1) < share(best.1, next.1) { next } else { best }
}
