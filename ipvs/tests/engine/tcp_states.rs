//! The TCP state table as recorded from Linux 6.1's IPVS: for each state and packet, the state after it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::{build, destination, ip_words, service};
use standfast_ipvs::State::{self, Close, CloseWait, Established, FinWait, SynRecv, SynSent, TimeWait};
use standfast_ipvs::{ConnReuse, Director, Forwarding, Frame, Ingress, Options, Protocol, SchedulerKind, Settings};

/// State, then `SIDE:FLAGS=STATE`: `c` from the client, `s` from the server, `0` for no flags.
type Row = (State, &'static str);

#[rustfmt::skip]
const NAT: &[Row] = &[
    (SynRecv, "c:S=SYN_RECV c:SA=SYN_RECV c:A=ESTABLISHED c:PA=ESTABLISHED c:FA=TIME_WAIT c:F=TIME_WAIT c:R=SYN_RECV c:RA=SYN_RECV c:0=CLOSE c:SF=SYN_RECV s:S=SYN_RECV s:SA=SYN_RECV s:A=ESTABLISHED s:PA=ESTABLISHED s:FA=TIME_WAIT s:F=TIME_WAIT s:R=CLOSE s:RA=CLOSE s:0=CLOSE s:SF=SYN_RECV"),
    (Established, "c:S=ESTABLISHED c:SA=ESTABLISHED c:A=ESTABLISHED c:PA=ESTABLISHED c:FA=CLOSE_WAIT c:F=CLOSE_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=ESTABLISHED s:S=ESTABLISHED s:SA=ESTABLISHED s:A=ESTABLISHED s:PA=ESTABLISHED s:FA=FIN_WAIT s:F=FIN_WAIT s:R=CLOSE s:RA=CLOSE s:0=CLOSE s:SF=ESTABLISHED"),
    (TimeWait, "c:S=SYN_RECV c:SA=SYN_RECV c:A=TIME_WAIT c:PA=TIME_WAIT c:FA=TIME_WAIT c:F=TIME_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV s:S=SYN_SENT s:SA=SYN_SENT s:A=TIME_WAIT s:PA=TIME_WAIT s:FA=TIME_WAIT s:F=TIME_WAIT s:R=TIME_WAIT s:RA=TIME_WAIT s:0=CLOSE s:SF=SYN_SENT"),
    (Close, "c:S=SYN_RECV c:SA=SYN_RECV c:A=CLOSE c:PA=CLOSE c:FA=CLOSE c:F=CLOSE c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV s:S=SYN_SENT s:SA=SYN_SENT s:A=CLOSE s:PA=CLOSE s:FA=CLOSE s:F=CLOSE s:R=CLOSE s:RA=CLOSE s:0=CLOSE s:SF=SYN_SENT"),
    (CloseWait, "c:S=SYN_RECV c:SA=SYN_RECV c:A=CLOSE_WAIT c:PA=CLOSE_WAIT c:FA=CLOSE_WAIT c:F=CLOSE_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV s:S=SYN_SENT s:SA=SYN_SENT s:A=CLOSE_WAIT s:PA=CLOSE_WAIT s:FA=TIME_WAIT s:F=TIME_WAIT s:R=CLOSE s:RA=CLOSE s:0=CLOSE s:SF=SYN_SENT"),
    (FinWait, "c:S=SYN_RECV c:SA=SYN_RECV c:A=FIN_WAIT c:PA=FIN_WAIT c:FA=TIME_WAIT c:F=TIME_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV s:S=SYN_SENT s:SA=SYN_SENT s:A=FIN_WAIT s:PA=FIN_WAIT s:FA=FIN_WAIT s:F=FIN_WAIT s:R=CLOSE s:RA=CLOSE s:0=CLOSE s:SF=SYN_SENT"),
    (SynSent, "c:S=ESTABLISHED c:SA=ESTABLISHED c:A=SYN_SENT c:PA=SYN_SENT c:FA=SYN_SENT c:F=SYN_SENT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=ESTABLISHED s:S=SYN_SENT s:SA=SYN_SENT s:A=SYN_SENT s:PA=SYN_SENT s:FA=SYN_SENT s:F=SYN_SENT s:R=SYN_SENT s:RA=SYN_SENT s:0=CLOSE s:SF=SYN_SENT"),
];

#[rustfmt::skip]
const DR: &[Row] = &[
    (SynRecv, "c:S=SYN_RECV c:SA=SYN_RECV c:A=ESTABLISHED c:PA=ESTABLISHED c:FA=TIME_WAIT c:F=TIME_WAIT c:R=SYN_RECV c:RA=SYN_RECV c:0=CLOSE c:SF=SYN_RECV"),
    (Established, "c:S=ESTABLISHED c:SA=ESTABLISHED c:A=ESTABLISHED c:PA=ESTABLISHED c:FA=FIN_WAIT c:F=FIN_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=ESTABLISHED"),
    (TimeWait, "c:S=SYN_RECV c:SA=SYN_RECV c:A=TIME_WAIT c:PA=TIME_WAIT c:FA=TIME_WAIT c:F=TIME_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV"),
    (Close, "c:S=SYN_RECV c:SA=SYN_RECV c:A=CLOSE c:PA=CLOSE c:FA=CLOSE c:F=CLOSE c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV"),
    (FinWait, "c:S=SYN_RECV c:SA=SYN_RECV c:A=FIN_WAIT c:PA=FIN_WAIT c:FA=FIN_WAIT c:F=FIN_WAIT c:R=CLOSE c:RA=CLOSE c:0=CLOSE c:SF=SYN_RECV"),
];

/// Packets that lead to a state.
fn way(state: State, forwarding: Forwarding) -> &'static [&'static str] {
    match (state, forwarding) {
        (SynRecv, _) => &["c:S"],
        (Established, _) => &["c:S", "c:A"],
        (TimeWait, _) => &["c:S", "c:FA"],
        (Close, _) => &["c:S", "c:0"],
        (CloseWait, _) | (FinWait, Forwarding::Dr) => &["c:S", "c:A", "c:FA"],
        (FinWait, _) => &["c:S", "c:A", "s:FA"],
        (SynSent, _) => &["c:S", "c:FA", "s:S"],
        _ => unreachable!("{state} is no state of TCP"),
    }
}

struct Bench {
    director: Director,
    now: Instant,
}

impl Bench {
    fn new(forwarding: Forwarding, conn_reuse_mode: ConnReuse) -> Bench {
        let settings = Settings { conn_reuse_mode, ..Settings::default() };
        let mut director = Director::new(Options { settings, connection_limit: 100, ..Options::default() });
        let config = service(Protocol::Tcp, socket("10.0.0.100:80"), SchedulerKind::Rr);
        let id = config.id;
        director.add_service(config).unwrap();
        director.add_destination(&id, destination(socket("10.1.0.50:8080"), forwarding)).unwrap();
        Bench { director, now: Instant::now() }
    }

    fn send(&mut self, event: &str) {
        let (side, flags) = event.split_once(':').unwrap();
        let (ends, ports) = match side {
            "c" => (["10.0.0.50", "10.0.0.100"], "1000>80"),
            _ => (["10.1.0.50", "10.0.0.50"], "8080>1000"),
        };
        let ip = ip_words(ends[0].parse().unwrap(), ends[1].parse().unwrap(), 64);
        let mut packet = build::packet(&format!("{ip} TCP {ports} [{flags}] seq 1 ack 1 win 1 data 0"));
        let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
        self.director.receive(&mut frame, Ingress::default(), self.now);
    }

    /// The connection's state and the seconds it has left.
    fn state(&self) -> (State, u64) {
        let connection = self.director.connections(self.now).next().unwrap();
        (connection.state, connection.expires_in.as_secs())
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn lifetime(state: State) -> u64 {
    let known = [(SynRecv, 60), (Established, 900), (TimeWait, 120), (Close, 10), (CloseWait, 60), (FinWait, 120)];
    HashMap::from(known).get(&state).copied().unwrap_or(120)
}

fn check(rows: &[Row], forwarding: Forwarding, conn_reuse_mode: ConnReuse) {
    for &(state, cells) in rows {
        for (event, after) in cells.split(' ').map(|cell| cell.split_once('=').unwrap()) {
            let mut bench = Bench::new(forwarding, conn_reuse_mode);
            way(state, forwarding).iter().for_each(|event| bench.send(event));
            assert_eq!(bench.state().0, state, "the way to {state}");
            bench.now += Duration::from_secs(5);
            bench.send(event);
            let (got, left) = bench.state();
            assert_eq!((got.to_string().as_str(), left), (after, lifetime(got)), "{state} {event} {forwarding:?}");
        }
    }
}

#[test]
fn nat_sees_both_directions() {
    check(NAT, Forwarding::Nat, ConnReuse::Over);
}

#[test]
fn nat_without_reuse() {
    check(NAT, Forwarding::Nat, ConnReuse::Never);
}

#[test]
fn direct_routing_sees_the_client_only() {
    check(DR, Forwarding::Dr, ConnReuse::Over);
}
