//! What the memory alone costs.

use std::hint::black_box;

use super::{BATCH, pages, step};

/// Memory like that of a director's tables, and nothing else of it.
pub struct Control {
    index: Vec<u64>,
    entries: Vec<[u64; 8]>,
    connections: u32,
    next: u32,
}

impl Control {
    /// Slots of the index of a million connections.
    const BITS: u32 = 22;

    pub fn new(connections: u32) -> Control {
        let index = vec![0; 1 << Self::BITS];
        let mut control = Control { index, entries: Vec::with_capacity(1 << 20), connections, next: 0 };
        if connections >= 4096 {
            let [index, entries] = [control.index.as_ptr().addr(), control.entries.as_ptr().addr()];
            pages::make_huge(&(index..index + size_of_val(control.index.as_slice())));
            pages::make_huge(&(entries..entries + control.entries.capacity() * size_of::<[u64; 8]>()));
        }
        for connection in 0..connections {
            control.index[Self::slot(connection)] = connection.into();
            control.entries.push([0; 8]);
        }
        control
    }

    pub fn run(&mut self, packets: u32, overlapped: bool) {
        if overlapped {
            return (0..packets / BATCH as u32).for_each(|_| self.batch());
        }
        for _ in 0..packets {
            let connection = step(&mut self.next, self.connections);
            let entry = self.index[Self::slot(connection)];
            // Always zero, which the processor does not know: the next packet waits for this one's entry.
            self.next ^= self.entries[entry as usize][7] as u32;
        }
    }

    fn batch(&mut self) {
        let connections: [u32; BATCH] = std::array::from_fn(|_| step(&mut self.next, self.connections));
        let entries = connections.map(|connection| self.index[Self::slot(connection)]);
        let read = entries.map(|entry| self.entries[entry as usize][7]);
        self.next ^= black_box(read).iter().fold(0, |all, one| all | one) as u32;
    }

    fn slot(connection: u32) -> usize {
        (u64::from(connection).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS)) as usize
    }
}
