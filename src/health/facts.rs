//! What checkers know that make no attempts of their own: files and BFD sessions that others watch.

use standfast_checkers::CheckerId;
use standfast_checkers::pool::Fact;
use std::collections::BTreeMap;

/// A checker that follows what somebody else watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// The checker.
    pub checker: CheckerId,
    /// What it follows.
    pub source: Source,
}

/// What can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `FILE_CHECK`: the number of a `track_file`.
    File {
        /// Name of the `track_file`.
        name: String,
        /// Its multiplier; 0 makes any number but 0 a fault.
        weight: i32,
        /// The multiplier is negated; with weight 0, the number 0 is the fault.
        reverse: bool,
    },
    /// `BFD_CHECK`: a session by the name of its `bfd_instance`.
    Bfd {
        /// Name of the `bfd_instance`.
        name: String,
    },
}

/// The present numbers and states, by name.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Numbers of tracked files; a file that nobody has read counts as 0.
    pub files: BTreeMap<String, i32>,
    /// Sessions that were heard of: true is up.
    pub bfds: BTreeMap<String, bool>,
}

impl World {
    /// What a source says; `None` while nothing is known.
    pub(super) fn fact(&self, source: &Source) -> Option<Fact> {
        match source {
            Source::File { name, weight, reverse } => {
                Some(file_fact(self.files.get(name).copied().unwrap_or(0), *weight, *reverse))
            }
            Source::Bfd { name } => self.bfds.get(name).map(|up| Fact { up: *up, shift: 0 }),
        }
    }
}

/// keepalived's arithmetic: the product of number and weight moves the server's weight; the least number of 32 bits is a fault.
fn file_fact(value: i32, weight: i32, reverse: bool) -> Fact {
    if weight == 0 {
        return Fact { up: (value == 0) != reverse, shift: 0 };
    }
    let product = i64::from(value) * i64::from(weight) * if reverse { -1 } else { 1 };
    let shift = i32::try_from(product).unwrap_or(if product < 0 { i32::MIN } else { i32::MAX });
    Fact { up: shift != i32::MIN, shift }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_moves_the_weight_or_is_a_fault() {
        let fact = |up, shift| Fact { up, shift };
        assert_eq!(file_fact(3, 2, false), fact(true, 6));
        assert_eq!(file_fact(3, 2, true), fact(true, -6));
        assert_eq!(file_fact(i32::MIN, 1, false), fact(false, i32::MIN));
        assert_eq!(file_fact(i32::MAX, -2, false), fact(false, i32::MIN));
        assert_eq!(file_fact(i32::MAX, 2, false), fact(true, i32::MAX));
    }

    #[test]
    fn without_weight_the_number_alone_decides() {
        assert!(file_fact(0, 0, false).up && !file_fact(7, 0, false).up);
        assert!(!file_fact(0, 0, true).up && file_fact(-7, 0, true).up);
    }
}
