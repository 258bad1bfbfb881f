//! Bringing what a batch of packets will need into the processor's caches.

use std::hint::black_box;

use crate::address::Address;
use crate::connection::table::Table;
use crate::packet::Fragment;
use crate::packet::segment::Segment;
use crate::service::Protocol;

/// Below this many connections the table is in the caches anyway.
const WORTHWHILE: usize = 1 << 14;
/// The most packets of one batch.
pub(super) const BATCH: usize = 64;

/// Reads the index slots and then the entries of the packets' connections. No read waits for another of its loop, so
/// that the processor overlaps their cache misses, which the packet path would meet one after the other. The slots are
/// read before they are searched: a search takes turns that the processor guesses, and each wrong guess ends the overlap.
pub(super) fn warm<A: Address>(table: &Table<A>, packets: &[&[u8]]) {
    if table.len() < WORTHWHILE {
        return;
    }
    let mut hashes = [0; BATCH];
    for (hash, packet) in hashes.iter_mut().zip(packets) {
        *hash = flow_hash(table, packet).unwrap_or(0);
    }
    black_box(hashes.map(|hash| table.touch_index(hash)));
    let entries = hashes.map(|hash| table.likely_entry(hash));
    black_box(entries.map(|id| table.get(id).map_or(0, |connection| connection.expires)));
}

/// The same for connections that another director tells of: where each will be found, and where answers of its server.
pub(super) fn warm_hashed<A: Address>(table: &Table<A>, told: impl Iterator<Item = [u32; 2]>) {
    if table.len() < WORTHWHILE {
        return;
    }
    let mut hashes = [[0; 2]; BATCH];
    hashes.iter_mut().zip(told).for_each(|(place, told)| *place = told);
    black_box(hashes.map(|pair| pair.map(|hash| table.touch_index(hash))));
    let entries = hashes.map(|pair| pair.map(|hash| table.likely_entry(hash)));
    black_box(entries.map(|[client, _]| table.get(client).map_or(0, |connection| connection.expires)));
    black_box(entries);
}

fn flow_hash<A: Address>(table: &Table<A>, packet: &[u8]) -> Option<u32> {
    let header = A::parse(packet).ok().filter(|header| header.fragment == Fragment::Whole)?;
    let protocol = Protocol::from_number(header.protocol)?;
    let segment = Segment::parse(protocol, packet.get(header.l4..header.end)?).ok()?;
    Some(table.hash(&segment.key(&header)))
}
