//! `lc`, `wlc`, `sed`, `nq`: the least load for the weight (ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c).

use super::{Flow, Pool, Schedule};
use crate::service::Destination;

/// Compares the open destinations' loads, by cross multiplication with the weights; the first of equals wins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    load: fn(&Destination) -> u64,
    weighted: bool,
    /// A destination without active connections is taken at once.
    idle_first: bool,
}

pub(super) const LEAST_CONNECTIONS: Least = Least { load: overhead, weighted: false, idle_first: false };
pub(super) const WEIGHTED_LEAST_CONNECTIONS: Least = Least { load: overhead, weighted: true, idle_first: false };
pub(super) const SHORTEST_EXPECTED_DELAY: Least = Least { load: expected, weighted: true, idle_first: false };
pub(super) const NEVER_QUEUE: Least = Least { load: expected, weighted: true, idle_first: true };

/// An active connection weighs 256 inactive ones.
pub(super) fn overhead(destination: &Destination) -> u64 {
    u64::from(destination.active) * 256 + u64::from(destination.inactive)
}

/// Active connections with the one to come.
fn expected(destination: &Destination) -> u64 {
    u64::from(destination.active) + 1
}

impl Schedule for Least {
    fn pick(&mut self, pool: Pool<'_>, _: &Flow) -> Option<u32> {
        let idle = pool.open().find(|(_, destination)| self.idle_first && destination.active == 0);
        let least = || pool.open().reduce(|best, next| if self.is_less(next.1, best.1) { next } else { best });
        idle.or_else(least).map(|(number, _)| number)
    }
}

impl Least {
    fn is_less(&self, a: &Destination, b: &Destination) -> bool {
        let weight = |destination: &Destination| if self.weighted { u128::from(destination.weight()) } else { 1 };
        u128::from((self.load)(a)) * weight(b) < u128::from((self.load)(b)) * weight(a)
    }
}
