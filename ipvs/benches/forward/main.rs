//! What a packet costs, in nanoseconds, and what connections cost, in memory: `cargo bench -p standfast-ipvs`.
//!
//! Tables lie on huge pages, as the daemon asks for; `-- small-pages` measures without them. The last two rows are the control:
//! a read at a random place of memory like the index, and one that depends on it at a place of memory like the entries,
//! with nothing else done, for one packet after the other or for 32 at once. No table of this shape can cost less.
//!
//! With the arguments `count CASE CONNECTIONS PACKETS` it runs one case and prints nothing, for a counter of
//! instructions: run it with two numbers of packets under `valgrind --tool=callgrind --collect-atstart=no
//! --toggle-collect='standfast_ipvs::director::Director::receive'` and divide the difference.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its arguments")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark stops at the first surprise")]

mod control;
mod pages;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use control::Control;
use standfast_ipvs::{
    DestinationConfig, Director, Forwarding, Frame, HopId, Ingress, Options, Protocol, SchedulerFlags, SchedulerKind,
    ServiceConfig, ServiceId, ServiceKey, Verdict,
};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const SERVERS: u8 = 8;
const BATCH: usize = 32;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    NatIn,
    NatOut,
    Dr,
    New,
    /// As `NatIn`, announced in batches of 32.
    NatInWarm,
    /// Only the making of packets, which all cases contain.
    Idle,
}

impl Case {
    const ALL: [(Case, &'static str); 6] = [
        (Case::NatIn, "nat-in"),
        (Case::NatInWarm, "nat-in-warm"),
        (Case::NatOut, "nat-out"),
        (Case::Dr, "dr"),
        (Case::New, "new"),
        (Case::Idle, "idle"),
    ];

    fn forwarding(self) -> Forwarding {
        if self == Case::Dr { Forwarding::Dr } else { Forwarding::Nat }
    }
}

struct Bench {
    director: Director,
    case: Case,
    connections: u32,
    now: Instant,
    /// Which server each connection went to.
    servers: Vec<Ipv4Addr>,
    /// Steps through the connections in an order that no prefetcher guesses.
    next: u32,
}

impl Bench {
    fn new(case: Case, connections: u32) -> Bench {
        let defaults = Options::default();
        let room_for_new = if case == Case::New { connections as usize + 1_000_000 } else { 0 };
        let connection_limit = defaults.connection_limit.max(room_for_new);
        let mut director = Director::new(Options { seed: [3, 5], connection_limit, ..defaults });
        let address = IpAddr::V4(VIP);
        let id = ServiceId::Address(ServiceKey { protocol: Protocol::Tcp, address, port: 80 });
        let flags = SchedulerFlags::default();
        let scheduler = SchedulerKind::Wlc;
        director
            .add_service(ServiceConfig {
                id,
                scheduler,
                flags,
                persistence: None,
                one_packet: false,
                full_nat: Default::default(),
            })
            .unwrap();
        for server in 1..=SERVERS {
            let config = DestinationConfig {
                address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, server)),
                port: 8080,
                forwarding: case.forwarding(),
                weight: 1,
                upper_threshold: 0,
                lower_threshold: 0,
            };
            director.add_destination(&id, config).unwrap();
        }
        let mut bench = Bench { director, case, connections, now: Instant::now(), servers: Vec::new(), next: 0 };
        bench.fill();
        bench
    }

    fn fill(&mut self) {
        let mut advised = [const { 0..0 }; 4];
        for connection in 0..self.connections {
            if connection % 4096 == 0 {
                pages::advise(self.director.large_tables(), &mut advised);
            }
            let Verdict::ToServer { address: IpAddr::V4(server) } = self.client_packet(connection, SYN) else {
                panic!("connection {connection} was refused")
            };
            self.servers.push(server);
            self.client_packet(connection, ACK);
        }
        pages::advise(self.director.large_tables(), &mut advised);
    }

    #[inline]
    fn client_packet(&mut self, connection: u32, flags: u8) -> Verdict {
        let (client, port) = client(connection);
        self.send(&mut packet(client, port, VIP, 80, flags))
    }

    #[inline]
    fn send(&mut self, packet: &mut [u8]) -> Verdict {
        let mut frame = Frame { packet, checksum_partial: false, gso_size: 0 };
        self.director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, self.now)
    }

    fn another(&mut self) -> u32 {
        step(&mut self.next, self.connections)
    }

    fn run(&mut self, packets: u32) {
        if self.case == Case::NatInWarm {
            return (0..packets / BATCH as u32).for_each(|_| self.run_batch());
        }
        for _ in 0..packets {
            let connection = self.another();
            let verdict = match self.case {
                Case::NatIn | Case::NatInWarm | Case::Dr => self.client_packet(connection, ACK),
                Case::NatOut => self.server_packet(connection),
                Case::New => self.open_another(),
                Case::Idle => idle(connection),
            };
            assert!(matches!(verdict, Verdict::ToServer { .. } | Verdict::ToClient { .. }), "{verdict:?}");
        }
    }

    fn run_batch(&mut self) {
        let mut batch: [[u8; 60]; BATCH] = std::array::from_fn(|_| {
            let (client, port) = client(self.another());
            packet(client, port, VIP, 80, ACK)
        });
        self.director.warm(&batch.each_ref().map(<[u8; 60]>::as_slice));
        for packet in &mut batch {
            let verdict = self.send(packet);
            assert!(matches!(verdict, Verdict::ToServer { .. }), "{verdict:?}");
        }
    }

    fn server_packet(&mut self, connection: u32) -> Verdict {
        let (client, port) = client(connection);
        let server = self.servers[connection as usize];
        self.send(&mut packet(server, 8080, client, port, ACK))
    }

    fn open_another(&mut self) -> Verdict {
        self.connections += 1;
        self.client_packet(self.connections - 1, SYN)
    }
}

/// A number below `connections` in an order that no prefetcher guesses.
#[inline]
fn step(state: &mut u32, connections: u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    ((u64::from(*state) * u64::from(connections)) >> 32) as u32
}

fn idle(connection: u32) -> Verdict {
    let (client, port) = client(connection);
    let packet = std::hint::black_box(packet(client, port, VIP, 80, ACK));
    Verdict::ToClient { hop: HopId(u32::from(packet[30])) }
}

fn client(connection: u32) -> (Ipv4Addr, u16) {
    (Ipv4Addr::from_bits(0xac10_0000 + connection / 50_000), 1024 + (connection % 50_000) as u16)
}

/// A TCP packet of 60 bytes with a right IP checksum.
#[inline]
fn packet(source: Ipv4Addr, source_port: u16, destination: Ipv4Addr, destination_port: u16, flags: u8) -> [u8; 60] {
    let mut packet = [0; 60];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&destination.octets());
    let words = packet[..20].as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    packet[20..22].copy_from_slice(&source_port.to_be_bytes());
    packet[22..24].copy_from_slice(&destination_port.to_be_bytes());
    packet[32] = 0x50;
    packet[33] = flags;
    packet
}

fn measure(case: Case, connections: u32) -> f64 {
    let mut bench = Bench::new(case, connections);
    best_round(|packets| bench.run(packets))
}

fn measure_control(connections: u32, overlapped: bool) -> f64 {
    let mut control = Control::new(connections);
    best_round(|packets| control.run(packets, overlapped))
}

/// The best of short rounds, in nanoseconds a packet: the one that was interrupted least.
fn best_round(mut run: impl FnMut(u32)) -> f64 {
    const ROUNDS: usize = 60;
    const PACKETS: u32 = 10_000;
    run(PACKETS);
    let round = |_| {
        let start = Instant::now();
        run(PACKETS);
        start.elapsed()
    };
    let best = (0..ROUNDS).map(round).min().unwrap_or(Duration::ZERO);
    best.as_nanos() as f64 / f64::from(PACKETS)
}

fn count(arguments: &[String]) {
    let [case, connections, packets] = arguments else { panic!("count CASE CONNECTIONS PACKETS") };
    let case = Case::ALL.iter().find(|(_, name)| name == case).unwrap().0;
    Bench::new(case, connections.parse().unwrap()).run(packets.parse().unwrap());
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench" && argument != pages::SMALL).collect();
    match arguments.split_first() {
        Some((verb, rest)) if verb == "count" => return count(rest),
        // `cargo test --benches` runs every benchmark once: it only has to work.
        Some((flag, _)) if flag == "--test" => return Bench::new(Case::NatIn, 100).run(100),
        _ => (),
    }
    print_row("connections", &SIZES);
    print_row("MB", &SIZES.map(megabytes));
    println!("nanoseconds a packet (making the packet included)");
    for (case, name) in Case::ALL {
        print_row(name, &SIZES.map(|connections| format!("{:.1}", measure(case, connections))));
    }
    for (overlapped, name) in [(false, "two reads"), (true, "overlapped")] {
        print_row(name, &SIZES.map(|connections| format!("{:.1}", measure_control(connections, overlapped))));
    }
}

fn print_row(name: &str, values: &[impl std::fmt::Display; SIZES.len()]) {
    print!("{name:>12}");
    values.iter().for_each(|value| print!(" {value:>10}"));
    println!();
}

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// What a director takes of memory, and how much of it is in use with that many connections.
fn megabytes(connections: u32) -> String {
    let before = resident();
    let bench = Bench::new(Case::Dr, connections);
    let taken = resident().saturating_sub(before) - bench.servers.len() * size_of::<Ipv4Addr>();
    format!("{:.1}", taken as f64 / 1e6)
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
