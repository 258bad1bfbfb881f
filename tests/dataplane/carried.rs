//! What the kernel carries for the engine, beside the same without it.

use crate::site::{
    Site, VIP, VIP6, add_addresses, add_server, add_service, pattern, serve_tcp, serve_udp, service, wait_for,
};
use standfast::dataplane::{Command, Options};
use standfast_ipvs::{
    ConnectionView, DestinationConfig, Forwarding, FullNat, Protocol, SchedulerKind, ServiceId, State, Stats, Timeouts,
};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const MEGABYTE: usize = 1 << 20;

/// A site and the service that its client talks to.
struct Case {
    site: Site,
    id: ServiceId,
    target: String,
}

impl Case {
    fn new(protocol: Protocol, vip: &str, forwarding: Forwarding, offload: bool) -> Case {
        let site = Site::started(add_addresses, Options { offload, ..Options::default() });
        let v6 = vip.contains(':');
        let (port, server) = match (forwarding, v6) {
            (Forwarding::Dr, false) => (80, "10.0.0.11"),
            (Forwarding::Dr, true) => (80, "fd00::11"),
            (_, false) => (8080, "10.1.0.1"),
            (_, true) => (8080, "fd01::1"),
        };
        match forwarding {
            Forwarding::Dr => {
                site.share_address();
                site.servers[0].ip(&format!("addr add {VIP6}/128 dev lo nodad")).unwrap();
            }
            Forwarding::FullNat => site.director.ip("addr add 10.1.0.250/32 dev eth1").unwrap(),
            _ => site.answer_through_director(),
        }
        let any = match (protocol, forwarding, v6) {
            (Protocol::Udp, Forwarding::Dr, false) => VIP.to_owned(),
            (Protocol::Udp, Forwarding::Dr, true) => format!("[{VIP6}]"),
            (_, _, true) => "[::]".to_owned(),
            _ => "0.0.0.0".to_owned(),
        };
        let serve = if protocol == Protocol::Tcp { serve_tcp } else { serve_udp };
        serve(&site.servers[0], &format!("{any}:{port}"), "web1");
        let id = service(protocol, vip, 80);
        let Command::AddService(mut config) = add_service(id) else { unreachable!() };
        let source = "10.1.0.250".parse().unwrap();
        config.full_nat = FullNat { sources: vec![(source, source)], ..FullNat::default() };
        site.apply(vec![Command::AddService(config), add_server(id, server, port, forwarding)]);
        let target = if v6 { format!("[{vip}]:80") } else { format!("{vip}:80") };
        Case { site, id, target }
    }

    fn udp() -> Case {
        Case::new(Protocol::Udp, VIP, Forwarding::Nat, true)
    }

    fn stats(&self) -> Stats {
        self.site.snapshot().services[0].service.stats
    }

    /// Connections and packets that the kernel carries.
    fn carried(&self) -> (usize, u64) {
        let snapshot = self.site.snapshot();
        (snapshot.carried, snapshot.driver.carried)
    }

    fn connections(&self) -> Vec<ConnectionView> {
        self.site.plane.connections(0).blocking_recv().unwrap()
    }

    fn socket(&self) -> UdpSocket {
        let any = if self.target.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = self.site.client.enter(|| UdpSocket::bind(any)).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket.connect(&self.target).unwrap();
        socket
    }

    /// Asks until the kernel carries the questions.
    fn carried_socket(&self) -> UdpSocket {
        let (socket, before) = (self.socket(), self.carried().1);
        wait_for("the kernel to carry the connection", || {
            asks(&socket, 5);
            self.carried().1 > before
        });
        socket
    }

    fn server(&self) -> DestinationConfig {
        self.site.snapshot().services[0].destinations[0].config.clone()
    }

    fn remove_server(&self) -> Command {
        let DestinationConfig { address, port, .. } = self.server();
        Command::RemoveDestination { service: self.id, address, port }
    }
}

#[track_caller]
fn asks(socket: &UdpSocket, count: usize) {
    for number in 0..count {
        assert!(ask(socket), "no answer to question {number}, {:?}", socket.peer_addr());
    }
}

fn ask(socket: &UdpSocket) -> bool {
    socket.send(b"?").unwrap();
    socket.recv(&mut [0; 16]).is_ok_and(|length| length == 5)
}

/// As many datagrams as were sent are counted, of their size.
pub fn every_datagram_is_counted() {
    const COUNT: u64 = 300;
    for (vip, header) in [(VIP, 28), (VIP6, 48)] {
        for forwarding in [Forwarding::Nat, Forwarding::Dr] {
            let case = Case::new(Protocol::Udp, vip, forwarding, true);
            wait_for(&format!("an answer of {vip} by {forwarding:?}"), || ask(&case.socket()));
            case.site.apply(vec![Command::Zero(None)]);
            asks(&case.socket(), COUNT as usize);
            let (stats, (_, carried)) = (case.stats(), case.carried());
            assert_eq!((stats.in_packets, stats.in_bytes), (COUNT, COUNT * (header + 1)), "{vip} {forwarding:?}");
            let answered = if forwarding == Forwarding::Dr { 0 } else { COUNT };
            assert_eq!(
                (stats.out_packets, stats.out_bytes),
                (answered, answered * (header + 5)),
                "{vip} {forwarding:?}"
            );
            assert!(carried > (COUNT + answered) / 2, "{vip} {forwarding:?}: {carried} carried");
        }
    }
}

/// What the servers' own firewall counts is what the director counts, with and without the kernel's help.
pub fn bulk_is_carried_and_counted() {
    for (vip, forwarding, offload) in [
        (VIP, Forwarding::Nat, false),
        (VIP, Forwarding::Nat, true),
        (VIP6, Forwarding::Nat, true),
        (VIP, Forwarding::Dr, true),
        (VIP, Forwarding::FullNat, true),
    ] {
        let case = Case::new(Protocol::Tcp, vip, forwarding, offload);
        let server = &case.site.servers[0];
        let port = if forwarding == Forwarding::Dr { 80 } else { 8080 };
        let rules = format!(
            "table inet count {{ chain i {{ type filter hook input priority 0; tcp dport {port} counter; }}; \
             chain o {{ type filter hook output priority 0; tcp sport {port} counter; }}; }}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rules).unwrap();
        server.run_checked("nft", &format!("-f {}", file.path().display())).unwrap();
        case.site.transfer(&case.target, 2 * MEGABYTE, 2 * MEGABYTE);
        let counted = |chain: &str| {
            let listing = server.run_checked("nft", &format!("list chain inet count {chain}")).unwrap();
            let words: Vec<_> = listing.split_whitespace().collect();
            let after = |name| words[words.iter().position(|word| *word == name).unwrap() + 1].parse().unwrap();
            (after("packets"), after("bytes"))
        };
        let answers = |counted: (u64, u64)| if forwarding == Forwarding::Dr { (0, 0) } else { counted };
        let what = format!("{vip} {forwarding:?} {offload}");
        // The last acknowledgements may be under way.
        wait_for(&format!("{what}: the same counts"), || {
            let stats = case.stats();
            (stats.in_packets, stats.in_bytes) == counted("i")
                && (stats.out_packets, stats.out_bytes) == answers(counted("o"))
        });
        let ((_, carried), driver) = (case.carried(), case.site.snapshot().driver);
        assert_eq!(carried > 0, offload, "{what}");
        assert!(!offload || carried > driver.received, "{what}: {driver:?}");
    }
}

/// A connection of which the engine sees nothing lives on; one that times out sooner is never carried.
pub fn carried_packets_keep_a_connection_alive() {
    let case = Case::udp();
    let timeouts = |udp| Command::SetTimeouts(Timeouts { udp, ..Timeouts::default() });
    case.site.apply(vec![timeouts(Duration::from_secs(9))]);
    asks(&case.socket(), 60);
    assert_eq!(case.carried(), (0, 0));
    case.site.apply(vec![timeouts(Duration::from_secs(10))]);
    let socket = case.carried_socket();
    let received = case.site.snapshot().driver.received;
    let (start, mut asked) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(13) {
        asks(&socket, 1);
        asked += 1;
        std::thread::sleep(Duration::from_millis(500));
    }
    let (snapshot, port) = (case.site.snapshot(), socket.local_addr().unwrap().port());
    assert!(snapshot.driver.received < received + asked, "{:?}", snapshot.driver);
    let view = case.connections().into_iter().find(|view| view.client.port() == port).unwrap();
    assert!(view.expires_in > Duration::from_secs(8), "{view:?}");
    assert_eq!(snapshot.services[0].service.stats.connections, 2);
}

/// FINs are the engine's: the states and the ends are what they are without the kernel's help.
pub fn a_fin_ends_the_carrying() {
    let ended = |forwarding, offload| {
        let case = Case::new(Protocol::Tcp, VIP, forwarding, offload);
        let state = |wanted: &[State]| {
            wait_for(&format!("{wanted:?} with {forwarding:?}, {offload}"), || {
                case.connections().iter().map(|view| view.state).eq(wanted.iter().copied())
            });
            case.carried().0
        };
        let mut stream = case.site.connect(&case.target).unwrap();
        request(&mut stream, MEGABYTE);
        let carried = state(&[State::Established]);
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let closed = if forwarding == Forwarding::Dr { State::FinWait } else { State::TimeWait };
        (carried, state(&[closed]))
    };
    for forwarding in [Forwarding::Nat, Forwarding::Dr] {
        assert_eq!(ended(forwarding, true), (1, 0), "{forwarding:?}");
        assert_eq!(ended(forwarding, false), (0, 0), "{forwarding:?}");
    }
}

/// Reads what [`serve_tcp`] sends first, and then so much.
fn request(stream: &mut TcpStream, download: usize) {
    stream.read_exact(&mut [0; 4]).unwrap();
    transfer(stream, download);
}

fn transfer(stream: &mut TcpStream, download: usize) {
    stream.write_all(&[(download as u64).to_be_bytes(), (download as u64).to_be_bytes()].concat()).unwrap();
    stream.write_all(&pattern(download)).unwrap();
    let mut answer = vec![0; 8 + download];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer[8..] == pattern(download), "what the client received");
}

pub fn a_removed_server_gets_nothing_more() {
    let case = Case::udp();
    let socket = case.carried_socket();
    let quiesced = DestinationConfig { weight: 0, ..case.server() };
    case.site.apply(vec![Command::EditDestination(case.id, quiesced)]);
    let (before, (connections, packets)) = (case.stats(), case.carried());
    asks(&socket, 20);
    assert_eq!((connections, case.carried()), (1, (1, packets + 40)), "a weight changes nothing");
    case.site.apply(vec![case.remove_server()]);
    // The answer comes when the orders are on their way to the worker: a question is behind them.
    assert_eq!(case.carried().0, 0);
    assert!(!ask(&socket));
    assert_eq!(case.stats().in_packets, before.in_packets + 20);
}

pub fn a_server_that_moves_is_followed() {
    let case = Case::udp();
    let socket = case.carried_socket();
    let (server, mac) = (&case.site.servers[0], "02:00:00:00:77:01");
    server.ip(&format!("link set eth1 address {mac}")).unwrap();
    case.site.director.ip(&format!("neigh replace 10.1.0.1 lladdr {mac} dev eth1")).unwrap();
    case.site.apply(Vec::new());
    server.ip("route replace 10.0.0.10 via 10.1.0.254").unwrap();
    wait_for("the server at its new address", || ask(&socket));
    let before = case.carried().1;
    asks(&socket, 20);
    assert!(case.carried().1 >= before + 30, "carried again");
}

pub fn a_smaller_link_ends_and_begins_the_carrying_anew() {
    let case = Case::new(Protocol::Tcp, VIP, Forwarding::Nat, true);
    let mut stream = case.site.connect(&case.target).unwrap();
    request(&mut stream, MEGABYTE);
    for host in [&case.site.director, &case.site.servers[0]] {
        host.ip("link set eth1 mtu 1300").unwrap();
    }
    case.site.apply(Vec::new());
    let before = case.site.snapshot().driver;
    transfer(&mut stream, MEGABYTE);
    let after = case.site.snapshot().driver;
    assert!(after.too_big > before.too_big, "told by the engine: {after:?}");
    assert!(after.carried > before.carried, "{after:?}");
    assert_eq!(after.refused, 0);
}

pub fn a_changed_service_is_offered_anew() {
    let case = Case::udp();
    let socket = case.carried_socket();
    let Command::AddService(mut config) = add_service(case.id) else { unreachable!() };
    config.scheduler = SchedulerKind::Wlc;
    case.site.apply(vec![Command::EditService(config)]);
    let (connections, packets) = case.carried();
    assert_eq!(connections, 0);
    asks(&socket, 20);
    let after = case.carried();
    assert!(after.0 == 1 && after.1 > packets, "{after:?}");
    case.site.apply(vec![Command::Zero(None)]);
    assert_eq!(case.stats(), Stats::default());
    asks(&socket, 5);
    assert_eq!((case.stats().in_packets, case.stats().out_packets), (5, 5));
}

/// Another client's packets, and the same client's by another way, are told apart.
pub fn only_the_way_that_was_learnt_is_carried() {
    let case = Case::udp();
    let socket = case.carried_socket();
    case.site.client.ip("link set eth0 address 02:00:00:00:77:02").unwrap();
    case.site.director.ip("neigh replace 10.0.0.10 lladdr 02:00:00:00:77:02 dev eth0").unwrap();
    assert!(ask(&socket), "the answer goes to the client's new address");
    let before = case.carried().1;
    asks(&socket, 20);
    assert!(case.carried().1 >= before + 30, "carried from there");
}
