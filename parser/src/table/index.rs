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
        let start = hash(name.as_bytes());
        let places = (0..SLOTS).map(move |step| (start + step) % SLOTS);
        places.map(|place| self.0.get(place).copied().unwrap_or(EMPTY)).take_while(|slot| *slot != EMPTY)
    }
}

/// Length, and four of the bytes: enough to tell nearly all keywords apart.
const fn hash(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (first, middle) = (name[0] as usize, name[length / 2] as usize);
    let (late, last) = (name[length * 3 / 4] as usize, name[length - 1] as usize);
    (length + first * 31 + middle * 7 + late * 53 + last * 127) % SLOTS
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
