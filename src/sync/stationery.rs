//! Signing what is sent.

use std::hash::{BuildHasher, Hasher};

use standfast_ipvs::sync::{Seal, Stamp};

use super::Key;

/// Signs datagrams, if there is a key.
#[derive(Debug)]
pub(super) struct Stationery {
    seal: Option<Seal>,
    stamp: Stamp,
    buffer: Vec<u8>,
}

impl Stationery {
    /// Of a sender that has drawn this number.
    pub(super) fn new(key: Option<&Key>, session: u64) -> Stationery {
        let stamp = Stamp { session, sequence: 0, hearers: [0; Seal::MOST_HEARERS] };
        Stationery { seal: key.and_then(Key::seal), stamp, buffer: Vec::new() }
    }

    /// Names the receivers that are heard.
    pub(super) fn address(&mut self, hearers: [u64; Seal::MOST_HEARERS]) {
        self.stamp.hearers = hearers;
    }

    /// The datagram as it is sent.
    pub(super) fn finish<'d>(&'d mut self, datagram: &'d [u8]) -> &'d [u8] {
        let Some(seal) = &self.seal else { return datagram };
        self.stamp.sequence += 1;
        self.buffer.clear();
        self.buffer.extend(datagram);
        seal.close(&mut self.buffer, &self.stamp);
        &self.buffer
    }
}

/// A number that no other daemon is likely to draw: the standard library keys its hasher from the system's random numbers.
pub(super) fn drawn() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish().max(1)
}
