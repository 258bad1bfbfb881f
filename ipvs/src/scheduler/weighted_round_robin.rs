//! `wrr`: rounds in which the current weight falls step by step (ip_vs_wrr.c).

use super::{Flow, Pool, Schedule, greatest_common_divisor};

/// A destination takes part in a round if its weight is at least the round's.
#[derive(Debug)]
pub(super) struct WeightedRoundRobin {
    last: Option<u32>,
    current: i64,
    /// The first round's weight: the biggest, less the step, plus one.
    highest: i64,
    /// The greatest common divisor of the weights.
    step: i64,
}

impl Default for WeightedRoundRobin {
    fn default() -> Self {
        WeightedRoundRobin { last: None, current: 0, highest: 0, step: 1 }
    }
}

impl Schedule for WeightedRoundRobin {
    fn changed(&mut self, pool: Pool<'_>) {
        let weights = pool.iter().map(|(_, destination)| destination.weight());
        let divisor = weights.clone().fold(0, greatest_common_divisor).max(1);
        self.step = i64::from(divisor);
        self.highest = i64::from(weights.max().unwrap_or(0)) - (self.step - 1);
        self.last = None;
        if self.current > self.highest || self.current == 0 {
            self.current = self.highest;
        } else if self.step > 1 {
            self.current = self.current / self.step * self.step + 1;
        }
    }

    fn pick(&mut self, pool: Pool<'_>, _: &Flow) -> Option<u32> {
        let heaviest = pool.open().map(|(_, destination)| i64::from(destination.weight())).max()?;
        let rest = pool.position(self.last).map_or(0, |position| position + 1);
        let mut chosen = self.next_of_round(pool, rest);
        while chosen.is_none() {
            self.next_round(heaviest);
            chosen = self.next_of_round(pool, 0);
        }
        self.last = chosen;
        chosen
    }
}

impl WeightedRoundRobin {
    fn next_of_round(&self, pool: Pool<'_>, from: usize) -> Option<u32> {
        let takes_part = |number: &&u32| {
            let destination = pool.get(**number);
            destination.is_some_and(|held| held.is_open() && i64::from(held.weight()) >= self.current)
        };
        pool.order.get(from..)?.iter().find(takes_part).copied()
    }

    /// Goes to the next round in which somebody takes part: at most one wrap and one jump away.
    fn next_round(&mut self, heaviest: i64) {
        self.current -= self.step;
        if self.current <= 0 {
            self.current = self.highest;
        }
        if self.current > heaviest {
            let steps = (self.current - heaviest + self.step - 1) / self.step;
            self.current -= steps * self.step;
        }
    }
}
