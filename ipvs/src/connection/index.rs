//! The hash index of the connection table: open addressing with linear probing, laid out once.

use std::ops::Range;

use super::{NONE, region};

/// Slots of (hash << 32 | entry + 1); 0 is an empty slot. At most half of them are ever full.
#[derive(Debug)]
pub(crate) struct Index {
    slots: Vec<u64>,
    mask: usize,
}

impl Index {
    /// An index with room for `entries`.
    pub(crate) fn new(entries: usize) -> Index {
        let size = (entries.max(1) * 2).next_power_of_two();
        Index { slots: vec![0; size], mask: size - 1 }
    }

    /// The first of the entries under `hash` that pleases; the latest inserted is asked first.
    #[inline(always)]
    pub(crate) fn find<T>(&self, hash: u32, mut pleases: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let mut at = hash as usize;
        loop {
            let slot = self.slot(at & self.mask);
            if slot == 0 {
                return None;
            }
            at += 1;
            if (slot >> 32) as u32 == hash
                && let Some(found) = pleases(entry(slot))
            {
                return Some(found);
            }
        }
    }

    /// Reads the slot where a search for `hash` begins.
    #[inline]
    pub(crate) fn touch(&self, hash: u32) -> u64 {
        self.slot(hash as usize & self.mask)
    }

    /// Where its slots lie, as addresses.
    pub(crate) fn region(&self) -> Range<usize> {
        region(&self.slots)
    }

    pub(crate) fn insert(&mut self, hash: u32, entry: u32) {
        debug_assert_ne!(entry, NONE, "an entry has a number");
        let mut at = hash as usize & self.mask;
        let mut carried = u64::from(hash) << 32 | (u64::from(entry) + 1);
        // The whole run moves on by one place: which leaves its end where the shortest insertion would have put it.
        while carried != 0 {
            let held = self.slot(at);
            self.set(at, carried);
            carried = held;
            at = (at + 1) & self.mask;
        }
    }

    pub(crate) fn remove(&mut self, hash: u32, entry: u32) {
        let wanted = u64::from(hash) << 32 | (u64::from(entry) + 1);
        let mut at = hash as usize & self.mask;
        while self.slot(at) != wanted {
            if self.slot(at) == 0 {
                return;
            }
            at = (at + 1) & self.mask;
        }
        self.close_gap(at);
    }

    /// Moves back every slot of the run that may stand at the gap, so that no search stops early.
    fn close_gap(&mut self, mut gap: usize) {
        let mut at = gap;
        loop {
            at = (at + 1) & self.mask;
            let slot = self.slot(at);
            if slot == 0 {
                return self.set(gap, 0);
            }
            let home = (slot >> 32) as usize & self.mask;
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(gap) & self.mask) {
                self.set(gap, slot);
                gap = at;
            }
        }
    }

    #[inline]
    fn slot(&self, at: usize) -> u64 {
        self.slots.get(at).copied().unwrap_or(0)
    }

    fn set(&mut self, at: usize, value: u64) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = value;
        }
    }
}

#[inline]
fn entry(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few home slots, so that runs are long and wrap around.
        #[test]
        fn behaves_as_a_multimap(steps in proptest::collection::vec((0u32..12, 0u32..20, any::<bool>()), 0..200)) {
            let mut index = Index::new(32);
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (hash, entry, add) in steps {
                let hash = hash.wrapping_sub(6);
                if add && model.len() < 32 && !model.contains(&(hash, entry)) {
                    index.insert(hash, entry);
                    model.push((hash, entry));
                } else {
                    index.remove(hash, entry);
                    model.retain(|&held| held != (hash, entry));
                }
                for hash in (0..12u32).map(|hash| hash.wrapping_sub(6)) {
                    let mut found = Vec::new();
                    let all: Option<()> = index.find(hash, |entry| {
                        found.push(entry);
                        None
                    });
                    prop_assert_eq!(all, None);
                    let mut wanted: Vec<_> = model.iter().filter(|held| held.0 == hash).map(|held| held.1).collect();
                    found.sort_unstable();
                    wanted.sort_unstable();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }
}
