//! What telling and taking in connections costs, sockets apart: `cargo bench -p standfast-ipvs --bench sync [CONNECTIONS]`. Times are the
//! processor's, so that those of a busy machine are lengthened by cold caches alone; `valgrind --tool=callgrind` on the built program
//! counts instructions.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads clock, arguments and memory")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use standfast_ipvs::sync::{Adoption, Entry, Flags, Format, Message, Outbox, Packer, SyncSettings, Version};
use standfast_ipvs::{
    DestinationConfig, Director, Forwarding, Frame, HopId, Ingress, Options, Protocol, SchedulerFlags, SchedulerKind,
    ServiceConfig, ServiceId, ServiceKey,
};

fn main() {
    let connections = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(1_000_000_u32);
    println!("load average {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    taking_in(connections);
    for at_once in [None, Some(false), Some(true)] {
        opening(connections.min(200_000), at_once);
    }
}

/// A backup: datagrams of 40 connections each are checked, and each connection is put into the table.
fn taking_in(connections: u32) {
    let mut director = director(connections as usize + 16);
    let datagrams = datagrams(connections);
    let before = resident();
    let created = take_in(&mut director, &datagrams, Adoption::Created);
    let memory = (resident() - before) as f64 / f64::from(created.0);
    println!("{} connections taken in: {:.0} ns and {memory:.0} bytes each", created.0, each(created.1, created.0));
    let refreshed = take_in(&mut director, &datagrams, Adoption::Refreshed);
    println!("{} connections refreshed: {:.0} ns each", refreshed.0, each(refreshed.1, refreshed.0));
    let start = spent();
    let checked = datagrams.iter().filter(|datagram| Message::parse_for(datagram, 7).is_ok()).count();
    println!("{checked} datagrams checked: {:.0} ns each", each(spent() - start, checked as u32));
}

/// As the worker does, behind a receiver that has checked the datagrams: how many connections that became of, and the time for all.
fn take_in(director: &mut Director, datagrams: &[Vec<u8>], wanted: Adoption) -> (u32, Duration) {
    let (now, start, mut count) = (Instant::now(), spent(), 0);
    for datagram in datagrams {
        let message = Message::of_checked(datagram).unwrap();
        director.adopt_all(&message, now, |adoption| count += u32::from(adoption == wanted));
    }
    (count, spent() - start)
}

/// A master: SYN and ACK of each connection, told or not, packed into datagrams that go nowhere.
fn opening(connections: u32, at_once: Option<bool>) {
    let mut director = director(connections as usize + 16);
    director.set_sync(at_once.map(|at_once| SyncSettings { at_once, ..SyncSettings::default() }));
    let format = Format { version: Version::V1, syncid: 7, longest: 1472, patience: Format::PATIENCE };
    let (mut packer, mut spare, mut sent) = (Packer::new(format), Vec::with_capacity(Outbox::CAPACITY), 0_u64);
    let (now, start) = (Instant::now(), spent());
    for number in 0..connections {
        for flags in [2, 16, 16] {
            let mut packet = packet(number, flags);
            let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
            director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, now);
        }
        if number % 64 == 0
            && let Some(outbox) = director.outbox()
        {
            let records = outbox.take(std::mem::take(&mut spare));
            let mut rest = records.as_slice();
            while let Some((record, tail)) = Entry::split_record(rest) {
                packer.push(record, now, &mut |datagram| sent += datagram.len() as u64);
                rest = tail;
            }
            spare = records;
        }
    }
    let name = match at_once {
        None => "told nobody",
        Some(false) => "told by the kernel's rules",
        Some(true) => "told at once",
    };
    let refused = director.outbox().map_or(0, |outbox| outbox.refused());
    let spent = each(spent() - start, connections);
    println!(
        "{connections} connections of three packets, {name}: {spent:.0} ns each, {sent} bytes to send, {refused} refused"
    );
}

fn each(spent: Duration, count: u32) -> f64 {
    spent.as_nanos() as f64 / f64::from(count)
}

fn director(limit: usize) -> Director {
    let mut director = Director::new(Options { seed: [7, 11], connection_limit: limit, ..Options::default() });
    let key = ServiceKey { protocol: Protocol::Tcp, address: [10, 0, 0, 100].into(), port: 80 };
    let config = ServiceConfig {
        id: ServiceId::Address(key),
        scheduler: SchedulerKind::Rr,
        flags: SchedulerFlags::default(),
        persistence: None,
        one_packet: false,
        full_nat: Default::default(),
    };
    director.add_service(config).unwrap();
    let destination = DestinationConfig {
        address: [10, 1, 0, 1].into(),
        port: 80,
        forwarding: Forwarding::Nat,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    director.add_destination(&ServiceId::Address(key), destination).unwrap();
    director
}

fn client(number: u32) -> SocketAddr {
    let [_, high, middle, low] = (number / 50_000).to_be_bytes();
    SocketAddr::from(([10, 64 | high, middle, low], 1024 + (number % 50_000) as u16))
}

fn datagrams(connections: u32) -> Vec<Vec<u8>> {
    let format = Format { version: Version::V1, syncid: 7, longest: 1472, patience: Format::PATIENCE };
    let (mut packer, mut datagrams, mut record) = (Packer::new(format), Vec::new(), Vec::new());
    for number in 0..connections {
        let entry = Entry {
            protocol: 6,
            flags: Flags(0),
            state: 1,
            client: client(number),
            service: SocketAddr::from(([10, 0, 0, 100], 80)),
            server: SocketAddr::from(([10, 1, 0, 1], 80)),
            mark: 0,
            timeout: 900,
            sequences: None,
            engine: None,
            source: None,
        };
        record.clear();
        entry.encode(&mut record);
        packer.push(&record, Instant::now(), &mut |datagram| datagrams.push(datagram.to_vec()));
    }
    packer.flush(&mut |datagram| datagrams.push(datagram.to_vec()));
    datagrams
}

fn packet(number: u32, flags: u8) -> [u8; 40] {
    let client = client(number);
    let mut packet = [0; 40];
    packet[..20].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 10, 0, 0, 100]);
    if let std::net::IpAddr::V4(address) = client.ip() {
        packet[12..16].copy_from_slice(&address.octets());
    }
    let words = packet[..20].as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[20..22].copy_from_slice(&client.port().to_be_bytes());
    packet[22..24].copy_from_slice(&80_u16.to_be_bytes());
    packet[32..34].copy_from_slice(&[0x50, flags]);
    packet
}

/// Processor time of this thread so far.
fn spent() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// Bytes of memory in use by this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
