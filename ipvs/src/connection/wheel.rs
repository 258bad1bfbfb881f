//! The timer wheel: a ring of slots of a quarter of a second, each the head of a list that runs through the entries.
//!
//! A packet that prolongs its connection writes only the entry's `expires`; the entry moves in the wheel when its slot
//! comes due. Only an earlier end moves it at once.

use super::NONE;

/// Ticks per slot.
const WIDTH: u64 = 16;
/// Slots of the ring: 1,024 s. A later end waits in the farthest slot and is put back from there.
const SLOTS: usize = 4096;

#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Vec<u32>,
    /// One bit per slot that is not empty.
    occupied: [u64; SLOTS / 64],
    /// The first tick of the earliest slot that may not be empty.
    cursor: u64,
}

impl Wheel {
    pub(crate) fn new() -> Wheel {
        Wheel { heads: vec![NONE; SLOTS], occupied: [0; SLOTS / 64], cursor: 0 }
    }

    /// The slot for an end at `expires`.
    #[inline]
    pub(crate) fn slot_for(&self, expires: u32) -> u16 {
        const FARTHEST: u64 = (SLOTS as u64 - 1) * WIDTH;
        let ahead = expires.wrapping_sub(self.cursor as u32) as i32;
        slot_of(self.cursor + (ahead.max(0) as u64).min(FARTHEST)) as u16
    }

    /// How many slots `slot` lies ahead.
    #[inline]
    pub(crate) fn distance(&self, slot: u16) -> u16 {
        slot.wrapping_sub(slot_of(self.cursor) as u16) & (SLOTS as u16 - 1)
    }

    pub(crate) fn head(&self, slot: u16) -> u32 {
        self.heads.get(usize::from(slot)).copied().unwrap_or(NONE)
    }

    pub(crate) fn set_head(&mut self, slot: u16, head: u32) {
        let slot = usize::from(slot);
        if let Some(place) = self.heads.get_mut(slot) {
            *place = head;
        }
        if let Some(word) = self.occupied.get_mut(slot / 64) {
            let bit = 1 << (slot % 64);
            *word = if head == NONE { *word & !bit } else { *word | bit };
        }
    }

    /// The earliest slot if it is due at `now`.
    pub(crate) fn due(&mut self, now: u64) -> Option<u16> {
        let passed = now.saturating_sub(self.cursor) / WIDTH * WIDTH;
        let ahead = self.first_occupied().map_or(passed, |ahead| ahead * WIDTH);
        self.cursor += ahead.min(passed);
        (ahead < passed).then_some(slot_of(self.cursor) as u16)
    }

    /// Turns an empty wheel to `now`: nobody may have looked at it for long.
    pub(crate) fn turn_empty(&mut self, now: u64) {
        self.cursor = now / WIDTH * WIDTH;
    }

    /// The tick at which the earliest slot is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.first_occupied().map(|ahead| self.cursor + (ahead + 1) * WIDTH)
    }

    fn first_occupied(&self) -> Option<u64> {
        let start = slot_of(self.cursor);
        let whole = (0..=SLOTS / 64).find_map(|step| {
            let at = (start / 64 + step) % (SLOTS / 64);
            let mask = if step == 0 { u64::MAX << (start % 64) } else { u64::MAX };
            let word = self.occupied.get(at).copied().unwrap_or(0) & mask;
            (word != 0).then(|| at * 64 + word.trailing_zeros() as usize)
        });
        whole.map(|slot| (slot.wrapping_sub(start) & (SLOTS - 1)) as u64)
    }
}

#[inline]
fn slot_of(tick: u64) -> usize {
    (tick / WIDTH) as usize & (SLOTS - 1)
}
