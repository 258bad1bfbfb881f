//! Where clients' frames come from: interface and link address behind a small number.

use std::collections::HashMap;

use super::topology::Mac;

const SLOTS: usize = 1 << 16;

/// An interface and a link address on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    /// Interface index.
    pub(super) interface: u32,
    /// Link address of the neighbour.
    pub(super) mac: Mac,
}

/// Numbers for hops. At most 65,536 are known; the one learnt first makes room, and its number is never given to
/// another hop before its generation comes round again.
#[derive(Debug)]
pub(super) struct Hops {
    slots: Vec<(u16, Hop)>,
    numbers: HashMap<Hop, u32>,
    next: usize,
    latest: Option<(Hop, u32)>,
    capacity: usize,
}

impl Hops {
    /// An empty table.
    pub(super) fn new() -> Self {
        Self::with_capacity(SLOTS)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { slots: Vec::new(), numbers: HashMap::new(), next: 0, latest: None, capacity: capacity.clamp(1, SLOTS) }
    }

    /// The number of a hop, learnt if need be.
    pub(super) fn number(&mut self, hop: Hop) -> u32 {
        match self.latest {
            Some((known, number)) if known == hop => return number,
            _ => {}
        }
        let number = self.numbers.get(&hop).copied().unwrap_or_else(|| self.learn(hop));
        self.latest = Some((hop, number));
        number
    }

    /// The hop behind a number, if it is still known.
    pub(super) fn get(&self, number: u32) -> Option<Hop> {
        let (generation, hop) = self.slots.get(number as usize & (SLOTS - 1))?;
        (u32::from(*generation) == number >> 16).then_some(*hop)
    }

    fn learn(&mut self, hop: Hop) -> u32 {
        let slot = self.next;
        self.next = (self.next + 1) % self.capacity;
        let generation = match self.slots.get_mut(slot) {
            Some(entry) => {
                self.numbers.remove(&entry.1);
                *entry = (entry.0.wrapping_add(1), hop);
                entry.0
            }
            None => {
                self.slots.push((1, hop));
                1
            }
        };
        let number = u32::from(generation) << 16 | slot as u32;
        self.numbers.insert(hop, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(n: u8) -> Hop {
        Hop { interface: 2, mac: [2, 0, 0, 0, 0, n] }
    }

    #[test]
    fn a_hop_keeps_its_number() {
        let mut hops = Hops::new();
        let numbers = [hops.number(hop(1)), hops.number(hop(2)), hops.number(hop(1))];
        assert_eq!(numbers[0], numbers[2]);
        assert_eq!(hops.get(numbers[1]), Some(hop(2)));
        assert_eq!(hops.get(0), None);
    }

    #[test]
    fn a_forgotten_number_leads_nowhere() {
        let mut hops = Hops::with_capacity(2);
        let first = hops.number(hop(1));
        hops.number(hop(2));
        let third = hops.number(hop(3));
        assert_eq!(hops.get(first), None);
        assert_eq!(hops.get(third), Some(hop(3)));
        assert_ne!(hops.number(hop(1)), first);
        assert_eq!(hops.slots.len(), 2);
    }
}
