//! Bringing what a batch of packets will need into the processor's caches.

use std::hint::black_box;
use std::net::SocketAddr;

use crate::address::Address;
use crate::connection::Key;
use crate::connection::table::Table;
use crate::packet::Fragment;
use crate::packet::segment::Segment;
use crate::service::Protocol;
use crate::sync::{Entry, Flags};

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
pub(super) fn warm_entries<'e, A: Address>(table: &Table<A>, entries: impl Iterator<Item = Entry<'e>>) {
    if table.len() < WORTHWHILE {
        return;
    }
    let mut hashes = [[0; 2]; BATCH];
    for (hash, entry) in hashes.iter_mut().zip(entries) {
        *hash = entry_hashes(table, &entry).unwrap_or_default();
    }
    let entries = hashes.map(|[client, server]| [client, server].map(|hash| table.likely_entry(hash)));
    black_box(entries.map(|[client, _]| table.get(client).map_or(0, |connection| connection.expires)));
    black_box(entries);
}

fn entry_hashes<A: Address>(table: &Table<A>, entry: &Entry<'_>) -> Option<[u32; 2]> {
    let key = |source: SocketAddr, destination: SocketAddr, template| {
        let (source_port, destination_port) = (source.port(), destination.port());
        let (source, destination) = (A::from_ip(source.ip())?, A::from_ip(destination.ip())?);
        Some(Key { source, destination, source_port, destination_port, protocol: entry.protocol, template })
    };
    let client = table.hash(&key(entry.client, entry.service, entry.flags.has(Flags::TEMPLATE))?);
    let answered = entry.flags.0 & Flags::METHOD == Flags::NAT;
    let server = if answered { table.hash(&key(entry.server, entry.client, false)?) } else { client };
    Some([client, server])
}

fn flow_hash<A: Address>(table: &Table<A>, packet: &[u8]) -> Option<u32> {
    let header = A::parse(packet).ok().filter(|header| header.fragment == Fragment::Whole)?;
    let protocol = Protocol::from_number(header.protocol)?;
    let segment = Segment::parse(protocol, packet.get(header.l4..header.end)?).ok()?;
    Some(table.hash(&segment.key(&header)))
}
