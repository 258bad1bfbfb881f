//! Where the packet path leaves records for the sender.

use super::{Entry, LONGEST_RECORD};

/// Records that wait to be taken, in one buffer that never grows. When it is full, records are refused and counted;
/// the rules then try again with a later packet.
#[derive(Debug)]
pub struct Outbox {
    records: Vec<u8>,
    refused: u64,
}

impl Outbox {
    /// Bytes that wait at most: 1,800 IPv4 connections.
    pub const CAPACITY: usize = 1 << 16;

    pub(crate) fn new() -> Outbox {
        Outbox { records: Vec::with_capacity(Self::CAPACITY), refused: 0 }
    }

    /// Whether there is something to take.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many records found no room so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Gives the records, each to be split off with [`Entry::split_record`], and goes on with `spare`, which is emptied and of
    /// which the capacity is kept if it suffices.
    pub fn take(&mut self, mut spare: Vec<u8>) -> Vec<u8> {
        spare.clear();
        spare.reserve(Self::CAPACITY);
        std::mem::replace(&mut self.records, spare)
    }

    /// Throws away what waits, as refused.
    pub fn discard(&mut self) {
        let mut rest = self.records.as_slice();
        while let Some((_, tail)) = Entry::split_record(rest) {
            self.refused += 1;
            rest = tail;
        }
        self.records.clear();
    }

    pub(crate) fn has_room(&self) -> bool {
        self.records.len() + LONGEST_RECORD <= Self::CAPACITY
    }

    /// False when there is no room for the record.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> bool {
        let room = self.has_room();
        match room {
            true => entry.encode(&mut self.records),
            false => self.refused += 1,
        }
        room
    }
}
