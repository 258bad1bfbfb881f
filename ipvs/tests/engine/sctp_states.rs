//! The SCTP state table as recorded from Linux 6.1's IPVS, and what becomes of SCTP packets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::{destination, header_length, service, sum};
use standfast_ipvs::{
    ConnReuse, Director, Forwarding, Frame, Ingress, Options, PassReason, Protocol, SchedulerKind, Settings, State,
    Verdict,
};

/// A state, and `SIDE:CHUNK=STATE`: `c` from the client, `s` from the server.
#[rustfmt::skip]
const RECORDED: &[(&str, &str)] = &[
    ("INIT1", "c:DATA=INIT1 c:INIT=INIT c:INIT_ACK=C-WAIT c:SACK=INIT1 c:HB=INIT1 c:ABORT=CLOSED c:SHUT=INIT1 c:SHUT_ACK=INIT c:ERROR=INIT1 c:COOKIE_E=INIT c:COOKIE_A=INIT1 c:SHUT_C=CLOSED s:DATA=INIT1 s:INIT=C-WAIT s:INIT_ACK=C-SENT s:SACK=INIT1 s:HB=INIT1 s:ABORT=REJECTED s:SHUT=S-SENT s:SHUT_ACK=S-ACK-SENT s:ERROR=CLOSED s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=INIT1"),
    ("INIT", "c:DATA=INIT c:INIT=INIT c:INIT_ACK=C-WAIT c:SACK=INIT c:HB=INIT c:ABORT=CLOSED c:SHUT=INIT c:SHUT_ACK=INIT c:ERROR=INIT c:COOKIE_E=INIT c:COOKIE_A=INIT c:SHUT_C=CLOSED s:DATA=INIT s:INIT=C-WAIT s:INIT_ACK=C-SENT s:SACK=INIT s:HB=INIT s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=S-ACK-SENT s:ERROR=CLOSED s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=INIT"),
    ("C-WAIT", "c:DATA=C-WAIT c:INIT=C-WAIT c:INIT_ACK=COOKIE c:SACK=C-WAIT c:HB=C-WAIT c:ABORT=REJECTED c:SHUT=C-WAIT c:SHUT_ACK=C-WAIT c:ERROR=C-WAIT c:COOKIE_E=C-WAIT c:COOKIE_A=C-WAIT c:SHUT_C=C-WAIT s:DATA=C-WAIT s:INIT=C-WAIT s:INIT_ACK=C-WAIT s:SACK=C-WAIT s:HB=C-WAIT s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=C-WAIT s:ERROR=C-WAIT s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=C-WAIT"),
    ("CLOSED", "c:DATA=CLOSED c:INIT=INIT1 c:INIT_ACK=CLOSED c:SACK=CLOSED c:HB=CLOSED c:ABORT=CLOSED c:SHUT=CLOSED c:SHUT_ACK=CLOSED c:ERROR=CLOSED c:COOKIE_E=CLOSED c:COOKIE_A=CLOSED c:SHUT_C=CLOSED s:DATA=CLOSED s:INIT=C-WAIT s:INIT_ACK=CLOSED s:SACK=CLOSED s:HB=CLOSED s:ABORT=CLOSED s:SHUT=CLOSED s:SHUT_ACK=CLOSED s:ERROR=CLOSED s:COOKIE_E=CLOSED s:COOKIE_A=CLOSED s:SHUT_C=CLOSED"),
    ("C-SENT", "c:DATA=C-SENT c:INIT=C-SENT c:INIT_ACK=C-SENT c:SACK=C-SENT c:HB=C-SENT c:ABORT=CLOSED c:SHUT=C-SENT c:SHUT_ACK=C-SENT c:ERROR=C-SENT c:COOKIE_E=C-REPLIED c:COOKIE_A=C-SENT c:SHUT_C=C-SENT s:DATA=C-SENT s:INIT=C-WAIT s:INIT_ACK=C-SENT s:SACK=C-SENT s:HB=C-SENT s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=S-ACK-SENT s:ERROR=CLOSED s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=C-SENT"),
    ("REJECTED", "c:DATA=REJECTED c:INIT=INIT c:INIT_ACK=REJECTED c:SACK=REJECTED c:HB=REJECTED c:ABORT=CLOSED c:SHUT=REJECTED c:SHUT_ACK=REJECTED c:ERROR=REJECTED c:COOKIE_E=REJECTED c:COOKIE_A=REJECTED c:SHUT_C=REJECTED s:DATA=REJECTED s:INIT=C-WAIT s:INIT_ACK=REJECTED s:SACK=REJECTED s:HB=REJECTED s:ABORT=CLOSED s:SHUT=REJECTED s:SHUT_ACK=REJECTED s:ERROR=REJECTED s:COOKIE_E=REJECTED s:COOKIE_A=REJECTED s:SHUT_C=REJECTED"),
    ("S-SENT", "c:DATA=S-SENT c:INIT=S-SENT c:INIT_ACK=S-SENT c:SACK=S-SENT c:HB=S-SENT c:ABORT=CLOSED c:SHUT=S-SENT c:SHUT_ACK=CLOSED c:ERROR=S-SENT c:COOKIE_E=S-SENT c:COOKIE_A=S-SENT c:SHUT_C=S-SENT s:DATA=S-SENT s:INIT=C-WAIT s:INIT_ACK=S-SENT s:SACK=S-SENT s:HB=S-SENT s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=S-ACK-SENT s:ERROR=S-SENT s:COOKIE_E=S-SENT s:COOKIE_A=S-SENT s:SHUT_C=S-SENT"),
    ("S-ACK-SENT", "c:DATA=S-ACK-SENT c:INIT=S-ACK-SENT c:INIT_ACK=S-ACK-SENT c:SACK=S-ACK-SENT c:HB=S-ACK-SENT c:ABORT=CLOSED c:SHUT=S-ACK-SENT c:SHUT_ACK=CLOSED c:ERROR=S-ACK-SENT c:COOKIE_E=S-ACK-SENT c:COOKIE_A=S-ACK-SENT c:SHUT_C=CLOSED s:DATA=S-ACK-SENT s:INIT=C-WAIT s:INIT_ACK=S-ACK-SENT s:SACK=S-ACK-SENT s:HB=S-ACK-SENT s:ABORT=CLOSED s:SHUT=S-ACK-SENT s:SHUT_ACK=S-ACK-SENT s:ERROR=S-ACK-SENT s:COOKIE_E=S-ACK-SENT s:COOKIE_A=S-ACK-SENT s:SHUT_C=S-ACK-SENT"),
    ("C-ECHOED", "c:DATA=C-ECHOED c:INIT=C-ECHOED c:INIT_ACK=C-ECHOED c:SACK=C-ECHOED c:HB=C-ECHOED c:ABORT=CLOSED c:SHUT=C-ECHOED c:SHUT_ACK=C-ECHOED c:ERROR=CLOSED c:COOKIE_E=C-ECHOED c:COOKIE_A=ESTABLISHED c:SHUT_C=C-ECHOED s:DATA=C-ECHOED s:INIT=C-WAIT s:INIT_ACK=C-ECHOED s:SACK=C-ECHOED s:HB=C-ECHOED s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=C-ECHOED s:ERROR=C-ECHOED s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=C-ECHOED"),
    ("ESTABLISHED", "c:DATA=ESTABLISHED c:INIT=ESTABLISHED c:INIT_ACK=ESTABLISHED c:SACK=ESTABLISHED c:HB=ESTABLISHED c:ABORT=CLOSED c:SHUT=S-RECEIVED c:SHUT_ACK=ESTABLISHED c:ERROR=ESTABLISHED c:COOKIE_E=ESTABLISHED c:COOKIE_A=ESTABLISHED c:SHUT_C=ESTABLISHED s:DATA=ESTABLISHED s:INIT=ESTABLISHED s:INIT_ACK=ESTABLISHED s:SACK=ESTABLISHED s:HB=ESTABLISHED s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=ESTABLISHED s:ERROR=ESTABLISHED s:COOKIE_E=ESTABLISHED s:COOKIE_A=ESTABLISHED s:SHUT_C=ESTABLISHED"),
    ("COOKIE", "c:DATA=COOKIE c:INIT=COOKIE c:INIT_ACK=COOKIE c:SACK=COOKIE c:HB=COOKIE c:ABORT=CLOSED c:SHUT=COOKIE c:SHUT_ACK=COOKIE c:ERROR=COOKIE c:COOKIE_E=COOKIE c:COOKIE_A=COOKIE c:SHUT_C=COOKIE s:DATA=COOKIE s:INIT=C-WAIT s:INIT_ACK=COOKIE s:SACK=COOKIE s:HB=COOKIE s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=COOKIE s:ERROR=COOKIE s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=COOKIE"),
    ("C-REPLIED", "c:DATA=C-REPLIED c:INIT=C-REPLIED c:INIT_ACK=C-REPLIED c:SACK=C-REPLIED c:HB=C-REPLIED c:ABORT=CLOSED c:SHUT=C-REPLIED c:SHUT_ACK=C-REPLIED c:ERROR=C-REPLIED c:COOKIE_E=C-REPLIED c:COOKIE_A=C-REPLIED c:SHUT_C=C-REPLIED s:DATA=C-REPLIED s:INIT=C-WAIT s:INIT_ACK=C-REPLIED s:SACK=C-REPLIED s:HB=C-REPLIED s:ABORT=CLOSED s:SHUT=S-SENT s:SHUT_ACK=S-ACK-SENT s:ERROR=CLOSED s:COOKIE_E=C-ECHOED s:COOKIE_A=ESTABLISHED s:SHUT_C=C-REPLIED"),
    ("S-RECEIVED", "c:DATA=S-RECEIVED c:INIT=S-RECEIVED c:INIT_ACK=S-RECEIVED c:SACK=S-RECEIVED c:HB=S-RECEIVED c:ABORT=CLOSED c:SHUT=S-RECEIVED c:SHUT_ACK=S-RECEIVED c:ERROR=S-RECEIVED c:COOKIE_E=S-RECEIVED c:COOKIE_A=S-RECEIVED c:SHUT_C=S-RECEIVED s:DATA=S-RECEIVED s:INIT=C-WAIT s:INIT_ACK=S-RECEIVED s:SACK=S-RECEIVED s:HB=S-RECEIVED s:ABORT=CLOSED s:SHUT=S-RECEIVED s:SHUT_ACK=S-ACK-SENT s:ERROR=S-RECEIVED s:COOKIE_E=S-RECEIVED s:COOKIE_A=S-RECEIVED s:SHUT_C=S-RECEIVED"),
];

/// Packets that lead to a state.
fn way(state: &str) -> &'static str {
    match state {
        "INIT1" => "c:INIT",
        "INIT" => "c:INIT c:SHUT_ACK",
        "C-WAIT" => "c:INIT c:INIT_ACK",
        "CLOSED" => "c:INIT c:ABORT",
        "C-SENT" => "c:INIT s:INIT_ACK",
        "REJECTED" => "c:INIT s:ABORT",
        "S-SENT" => "c:INIT s:SHUT",
        "S-ACK-SENT" => "c:INIT s:SHUT_ACK",
        "C-ECHOED" => "c:INIT s:COOKIE_E",
        "ESTABLISHED" => "c:INIT s:COOKIE_A",
        "COOKIE" => "c:INIT c:INIT_ACK c:INIT_ACK",
        "C-REPLIED" => "c:INIT s:INIT_ACK c:COOKIE_E",
        "S-RECEIVED" => "c:INIT s:COOKIE_A c:SHUT",
        _ => unreachable!("{state} is no state of SCTP"),
    }
}

const CHUNKS: [(&str, u8); 12] = [
    ("DATA", 0),
    ("INIT", 1),
    ("INIT_ACK", 2),
    ("SACK", 3),
    ("HB", 4),
    ("ABORT", 6),
    ("SHUT", 7),
    ("SHUT_ACK", 8),
    ("ERROR", 9),
    ("COOKIE_E", 10),
    ("COOKIE_A", 11),
    ("SHUT_C", 14),
];

struct Bench {
    director: Director,
    now: Instant,
}

impl Bench {
    /// `conn_reuse_mode` off, so that an INIT meets the connection that there is.
    fn new() -> Bench {
        let settings = Settings { conn_reuse_mode: ConnReuse::Never, ..Settings::default() };
        let mut director = Director::new(Options { settings, connection_limit: 100, ..Options::default() });
        let config = service(Protocol::Sctp, socket("10.0.0.100:80"), SchedulerKind::Rr);
        director.add_service(config.clone()).unwrap();
        director.add_destination(&config.id, destination(socket("10.1.0.50:8080"), Forwarding::Nat)).unwrap();
        Bench { director, now: Instant::now() }
    }

    fn send(&mut self, event: &str) -> (Verdict, Vec<u8>) {
        let (side, name) = event.split_once(':').unwrap();
        let chunk = CHUNKS.iter().find(|(known, _)| *known == name).unwrap().1;
        let mut packet = match side {
            "c" => packet([10, 0, 0, 50], 1000, [10, 0, 0, 100], 80, chunk),
            _ => packet([10, 1, 0, 50], 8080, [10, 0, 0, 50], 1000, chunk),
        };
        let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
        let verdict = self.director.receive(&mut frame, Ingress::default(), self.now);
        (verdict, packet)
    }

    fn state(&self) -> Option<(State, u64)> {
        let connection = self.director.connections(self.now).next()?;
        Some((connection.state, connection.expires_in.as_secs()))
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An SCTP packet of one chunk of 20 bytes, with its CRC.
fn packet(source: [u8; 4], from: u16, target: [u8; 4], to: u16, chunk: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 52, 0, 1, 0x40, 0, 64, 132, 0, 0];
    packet.extend(source.iter().chain(&target));
    let ip = !sum(&packet, 0);
    packet[10..12].copy_from_slice(&ip.to_be_bytes());
    packet.extend(from.to_be_bytes().iter().chain(&to.to_be_bytes()));
    packet.extend([0, 0, 0, 9, 0, 0, 0, 0, chunk, 0, 0, 20]);
    packet.resize(52, 7);
    let crc = crc32c(&packet[20..]);
    packet[28..32].copy_from_slice(&crc.to_le_bytes());
    packet
}

/// Bit by bit, from the definition (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn lifetime(state: &str) -> u64 {
    match state {
        "INIT1" | "REJECTED" => 3,
        "ESTABLISHED" => 900,
        _ => 60,
    }
}

#[test]
fn states_and_time_outs_are_the_kernels() {
    let mut checked = 0;
    for (state, cells) in RECORDED {
        for (event, after) in cells.split(' ').map(|cell| cell.split_once('=').unwrap()) {
            let mut bench = Bench::new();
            way(state).split(' ').for_each(|event| drop(bench.send(event)));
            assert_eq!(bench.state().unwrap().0.to_string(), *state, "the way there");
            bench.now += Duration::from_secs(1);
            bench.send(event);
            let (got, left) = bench.state().unwrap();
            assert_eq!((got.to_string().as_str(), left), (after, lifetime(after)), "{state} {event}");
            checked += 1;
        }
    }
    assert_eq!(checked, 312);
}

#[test]
fn only_an_init_opens() {
    let mut bench = Bench::new();
    for (name, _) in CHUNKS.iter().filter(|(name, _)| *name != "INIT") {
        let (verdict, _) = bench.send(&format!("c:{name}"));
        assert_eq!(verdict, Verdict::Pass(PassReason::NoConnection), "{name}");
    }
    assert_eq!(bench.state(), None);
    assert!(matches!(bench.send("c:INIT").0, Verdict::ToServer { .. }));
}

#[test]
fn the_checksum_is_right_on_both_ways() {
    let mut bench = Bench::new();
    for (event, ports) in [("c:INIT", [1000u16, 8080]), ("s:INIT_ACK", [80, 1000])] {
        let (_, mut sent) = bench.send(event);
        assert_eq!(header_length(&sent), 20);
        assert_eq!(sent[20..24], [ports[0].to_be_bytes(), ports[1].to_be_bytes()].concat());
        let crc = u32::from_le_bytes(sent[28..32].try_into().unwrap());
        sent[28..32].fill(0);
        assert_eq!(crc, crc32c(&sent[20..]), "{event}");
    }
}

#[test]
fn it_counts_as_active_while_established() {
    let mut bench = Bench::new();
    let id = service(Protocol::Sctp, socket("10.0.0.100:80"), SchedulerKind::Rr).id;
    let load = |bench: &Bench| {
        let view = &bench.director.destinations(&id).unwrap()[0];
        (view.active, view.inactive)
    };
    bench.send("c:INIT");
    assert_eq!(load(&bench), (0, 1));
    bench.send("s:COOKIE_A");
    assert_eq!(load(&bench), (1, 0));
    bench.send("c:SHUT");
    assert_eq!(load(&bench), (0, 1));
}
