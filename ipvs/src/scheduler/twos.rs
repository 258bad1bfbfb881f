//! `twos`: the less loaded of two destinations drawn by weight (ip_vs_twos.c: the power of two choices).

use super::least::overhead;
use super::{Flow, Pool, Schedule};
use crate::hash::Seed;

/// Draws by hashing a counter with the director's seed.
#[derive(Debug)]
pub(super) struct Twos {
    seed: Seed,
    draws: u64,
}

impl Twos {
    pub(super) fn new(seed: Seed) -> Twos {
        Twos { seed, draws: 0 }
    }

    /// A number below `limit`.
    fn draw(&mut self, limit: u64) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        let number = self.seed.hash([self.draws], 0);
        ((u128::from(number) * u128::from(limit)) >> 64) as u64
    }
}

impl Schedule for Twos {
    fn pick(&mut self, pool: Pool<'_>, _: &Flow) -> Option<u32> {
        let weight = |number: u32| pool.get(number).map_or(0, |destination| u64::from(destination.weight()));
        let total = pool.open().map(|(number, _)| weight(number)).sum();
        let first = by_weight(pool, self.draw(total))?;
        let second = by_weight(pool, self.draw(total))?;
        let load = |number: u32| pool.get(number).map_or(0, |destination| u128::from(overhead(destination)));
        let second_is_less = load(second) * u128::from(weight(first)) < load(first) * u128::from(weight(second));
        Some(if second_is_less { second } else { first })
    }
}

/// The open destination in whose share of all weights the number falls.
fn by_weight(pool: Pool<'_>, mut number: u64) -> Option<u32> {
    let mut open = pool.open();
    let chosen = open.find(|(_, destination)| {
        let weight = u64::from(destination.weight());
        let here = number < weight;
        number = number.saturating_sub(weight);
        here
    });
    chosen.map(|(number, _)| number)
}
