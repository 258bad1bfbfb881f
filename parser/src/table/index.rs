//! Finds the keywords of a block by a hash that the compiler computes.

use super::Keyword;

/// Places of a table; more than twice the keywords of the largest block.
const SLOTS: usize = 512;
/// No keyword.
const EMPTY: (u8, u8) = (u8::MAX, u8::MAX);

/// Part and row of each keyword, at its hash or at the next free place after it.
pub(super) struct Index([(u8, u8); SLOTS]);

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

impl Index {
    pub(super) const fn of(parts: &[&[Keyword]]) -> Self {
        let mut slots = [EMPTY; SLOTS];
        let mut part = 0;
        while part < parts.len() {
            let mut row = 0;
            while row < parts[part].len() {
                let mut slot = hash(parts[part][row].name.as_bytes());
                while slots[slot].0 != u8::MAX {
                    slot = (slot + 1) % SLOTS;
                }
                slots[slot] = (part as u8, row as u8);
                row += 1;
            }
            part += 1;
        }
        Self(slots)
    }

    /// Where a keyword may stand: all places that the table filled from its hash on.
    pub(super) fn slots(&self, name: &str) -> impl Iterator<Item = (u8, u8)> {
        let mut place = hash(name.as_bytes());
        std::iter::from_fn(move || {
            let slot = self.0[place % SLOTS];
            place += 1;
            (slot.0 != EMPTY.0).then_some(slot)
        })
    }
}

/// Length, and three of the bytes: enough to tell most keywords apart.
const fn hash(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (first, middle, last) = (name[0] as usize, name[length / 2] as usize, name[length - 1] as usize);
    (length * 16 + first * 2 + middle * 31 + last * 127) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::super::BLOCKS;

    #[test]
    fn every_keyword_is_found_after_a_few_steps() {
        for block in BLOCKS {
            for keyword in block.keywords() {
                assert_eq!(block.find(keyword.name).map(|k| k.name), Some(keyword.name));
                assert!(block.index.slots(keyword.name).count() < 24, "{} {}", block.path, keyword.name);
            }
            assert!(block.find("").is_none() && block.find("no_such_keyword").is_none());
        }
    }
}
