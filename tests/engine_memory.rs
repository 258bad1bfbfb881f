//! What the forwarding engine asks of memory: nothing on the packet path, and little for each connection.

#![expect(unsafe_code, reason = "an allocator that counts is one that the standard library calls")]
#![expect(clippy::unwrap_used, reason = "helpers of tests do not carry the test attribute")]

use standfast_ipvs::{
    ClientTold, DestinationConfig, Director, Forwarding, Frame, FullNat, HopId, Ingress, Options, Protocol,
    SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId, ServiceKey, Tunnel, Verdict,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Instant;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all calls go to the system's allocator as they are; the counter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 17;

fn director(forwarding: Forwarding, connection_limit: usize) -> Director {
    let mut director = Director::new(Options { seed: [1, 2], connection_limit, ..Options::default() });
    let address = Ipv4Addr::new(10, 0, 0, 100).into();
    let id = ServiceId::Address(ServiceKey { protocol: Protocol::Tcp, address, port: 80 });
    let source = Ipv4Addr::new(10, 1, 0, 250).into();
    let config = ServiceConfig {
        id,
        scheduler: SchedulerKind::Wlc,
        flags: SchedulerFlags::default(),
        persistence: None,
        one_packet: false,
        full_nat: FullNat { sources: vec![(source, source)], client: ClientTold::Option },
    };
    director.add_service(config).unwrap();
    for server in 1..=4 {
        let address = Ipv4Addr::new(10, 1, 0, server).into();
        let (weight, upper_threshold, lower_threshold) = (1, 0, 0);
        let config = DestinationConfig { address, port: 80, forwarding, weight, upper_threshold, lower_threshold };
        director.add_destination(&id, config).unwrap();
    }
    director
}

fn packet(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), flags: u8) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&source.0.octets());
    packet[16..20].copy_from_slice(&destination.0.octets());
    let sum: u32 = packet[..20].as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    packet[20..22].copy_from_slice(&source.1.to_be_bytes());
    packet[22..24].copy_from_slice(&destination.1.to_be_bytes());
    packet[32..34].copy_from_slice(&[0x50, flags]);
    packet
}

fn receive(director: &mut Director, packet: &mut [u8], now: Instant) -> Verdict {
    let mut frame = Frame { packet, checksum_partial: false, gso_size: 0 };
    director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, now)
}

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 100), 80);

fn client(number: u32) -> (Ipv4Addr, u16) {
    (Ipv4Addr::from_bits(0xac10_0000 + number / 50_000), 1024 + (number % 50_000) as u16)
}

/// Lives of connections: opened, answered, closed, refused, expired, and malformed packets in between.
fn lives(director: &mut Director, from: u32, now: Instant) {
    for number in from..from + 200 {
        for flags in [SYN, ACK, ACK, FIN, ACK] {
            let mut sent = packet(client(number), VIP, flags);
            let verdict = receive(director, &mut sent, now);
            if matches!(verdict, Verdict::ToServer { .. }) {
                let [a, b, c, d] = [16, 17, 18, 19].map(|at| sent[at]);
                let server = (Ipv4Addr::new(a, b, c, d), 80);
                receive(director, &mut packet(server, client(number), flags), now);
            }
        }
        receive(director, &mut packet(client(number), (Ipv4Addr::new(9, 9, 9, 9), 1), SYN), now);
        receive(director, &mut packet(client(number), VIP, ACK)[..21], now);
    }
    director.handle_timeout(now);
}

#[test]
fn the_packet_path_allocates_nothing() {
    for forwarding in [Forwarding::Nat, Forwarding::Dr, Forwarding::FullNat, Forwarding::Tunnel(Tunnel::default())] {
        let now = Instant::now();
        let mut director = director(forwarding, 1 << 16);
        // The first connections may make room for what depends on the configuration.
        lives(&mut director, 0, now);
        let before = ALLOCATIONS.with(Cell::get);
        for round in 1..10 {
            lives(&mut director, round * 200, now + std::time::Duration::from_secs(u64::from(round) * 30));
        }
        let allocated = ALLOCATIONS.with(Cell::get) - before;
        assert_eq!(allocated, 0, "{forwarding:?}");
    }
}

/// Pages of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_connection_takes_at_most_128_bytes() {
    const CONNECTIONS: u32 = 200_000;
    let now = Instant::now();
    let mut director = director(Forwarding::Nat, CONNECTIONS as usize);
    let before = resident();
    for number in 0..CONNECTIONS {
        receive(&mut director, &mut packet(client(number), VIP, SYN), now);
    }
    assert_eq!(director.connection_count(), CONNECTIONS as usize);
    let each = (resident() - before) / CONNECTIONS as usize;
    assert!(each <= 128, "{each} bytes each");
}
