//! A director that sees every packet, and one of which another part carries what it offers: they must agree.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use standfast_ipvs::sync::{Entry, SyncSettings};
use standfast_ipvs::{
    ConnectionId, ConnectionView, Credit, DestinationConfig, Director, Ends, Forwarding, Frame, FullNat, HopId,
    Ingress, Offer, Options, Persistence, Protocol, SchedulerKind, ServiceConfig, ServiceId, Stats, Timeouts, Verdict,
};

use crate::properties::config;
use crate::support::{build, destination, header_length, ip_words, service};

const SERVERS: u8 = 3;
/// Time-outs that a test lives through.
const TIMEOUTS: Timeouts =
    Timeouts { tcp: Duration::from_secs(20), tcp_fin: Duration::from_secs(12), udp: Duration::from_secs(15) };

/// What carries in the place of the kernel.
#[derive(Default)]
struct Kernel {
    flows: HashMap<(u8, Ends), Flow>,
    tallies: HashMap<ConnectionId, Credit>,
    packets: u64,
}

#[derive(Clone, Copy)]
struct Flow {
    connection: ConnectionId,
    leaves: Ends,
    to_server: bool,
    hop: HopId,
}

impl Kernel {
    fn carry(&mut self, offer: &Offer) {
        let Offer { connection, protocol, to_server, to_client, client_hop, sender_hop, .. } = *offer;
        let there = Flow { connection, leaves: to_server.leaves, to_server: true, hop: client_hop };
        self.flows.insert((protocol, to_server.arrives), there);
        if let Some(course) = to_client {
            let back = Flow { connection, leaves: course.leaves, to_server: false, hop: sender_hop };
            self.flows.insert((protocol, course.arrives), back);
        }
        self.tallies.insert(connection, Credit::default());
    }

    fn end(&mut self, connection: ConnectionId) {
        self.flows.retain(|_, flow| flow.connection != connection);
    }

    /// Ends a connection's flows and gives what is left to be credited.
    fn settle(&mut self, connection: ConnectionId) -> Credit {
        self.end(connection);
        self.tallies.remove(&connection).unwrap_or_default()
    }

    fn count(&mut self, flow: &Flow, bytes: usize, now: Instant) {
        let tally = self.tallies.get_mut(&flow.connection).unwrap();
        let way = if flow.to_server { &mut tally.to_server } else { &mut tally.to_client };
        way.packets += 1;
        way.bytes += bytes as u64;
        way.latest = Some(now);
        self.packets += 1;
    }
}

/// Both directors at one moment.
struct Pair {
    whole: Director,
    part: Director,
    kernel: Kernel,
    service: ServiceConfig,
    forwarding: Forwarding,
    now: Instant,
    told: [BTreeMap<String, String>; 2],
    /// Where the server of a client's port is, and as whom it sees the client.
    seen: HashMap<u16, (SocketAddr, SocketAddr)>,
}

/// What to try.
#[derive(Debug, Clone, Copy)]
struct Kind {
    v6: bool,
    protocol: Protocol,
    forwarding: Forwarding,
    scheduler: SchedulerKind,
    persistent: bool,
    at_once: bool,
}

impl Kind {
    fn socket(self, last: u8, port: u16) -> SocketAddr {
        match self.v6 {
            true => format!("[fd00::{last}]:{port}").parse().unwrap(),
            false => SocketAddr::from(([10, 0, 0, last], port)),
        }
    }
}

impl Pair {
    fn new(kind: Kind) -> Pair {
        let source = kind.socket(250, 1).ip();
        let mut config = service(kind.protocol, kind.socket(100, 80), kind.scheduler);
        config.full_nat = FullNat { sources: vec![(source, source)], ..FullNat::default() };
        config.persistence = kind.persistent.then_some(Persistence {
            timeout: Duration::from_secs(30),
            prefix_len: if kind.v6 { 128 } else { 32 },
            engine: None,
        });
        let options = Options { seed: [3, 5], timeouts: TIMEOUTS, connection_limit: 256, ..Options::default() };
        let [mut whole, mut part] = [Director::new(options), Director::new(options)];
        part.set_carriage(6);
        for director in [&mut whole, &mut part] {
            director.set_sync(Some(SyncSettings { at_once: kind.at_once, ..SyncSettings::default() }));
        }
        let (service, forwarding) = (config.clone(), kind.forwarding);
        let (kernel, now) = (Kernel::default(), Instant::now());
        let mut pair =
            Pair { whole, part, kernel, service, forwarding, now, told: Default::default(), seen: HashMap::new() };
        pair.both(|director| director.add_service(config.clone()).unwrap());
        (1..=SERVERS).for_each(|server| pair.add(&pair.server(kind, server, 1)));
        pair
    }

    fn server(&self, kind: Kind, server: u8, weight: u32) -> DestinationConfig {
        let port = if self.forwarding == Forwarding::Dr { 80 } else { 8080 };
        DestinationConfig { weight, ..destination(kind.socket(server, port), self.forwarding) }
    }

    fn id(&self) -> ServiceId {
        self.service.id
    }

    fn both(&mut self, mut act: impl FnMut(&mut Director)) {
        act(&mut self.whole);
        act(&mut self.part);
    }

    fn add(&mut self, server: &DestinationConfig) {
        let id = self.id();
        self.both(|director| _ = director.add_destination(&id, server.clone()));
    }

    fn edit(&mut self, server: &DestinationConfig) {
        let id = self.id();
        self.both(|director| _ = director.edit_destination(&id, server.clone()));
    }

    /// All flows are void, as the driver has it when a server goes.
    fn remove(&mut self, server: &DestinationConfig) {
        self.recall_all();
        let id = self.id();
        self.both(|director| _ = director.remove_destination(&id, server.address, server.port));
    }

    fn recall_all(&mut self) {
        for connection in self.kernel.tallies.keys().copied().collect::<Vec<_>>() {
            let credit = self.kernel.settle(connection);
            self.part.credit(connection, &credit, self.now);
            self.part.recall(connection);
        }
        self.part.renew_offers();
    }

    /// What the driver does about once a second.
    fn credit_all(&mut self) {
        for (connection, tally) in &mut self.kernel.tallies {
            let latest = [tally.to_server.latest, tally.to_client.latest];
            self.part.credit(*connection, &std::mem::take(tally), self.now);
            // The time is that of the latest of all.
            [tally.to_server.latest, tally.to_client.latest] = latest;
        }
    }

    fn release(&mut self) {
        while let Some(released) = self.part.next_released() {
            let credit = self.kernel.settle(released.connection);
            self.part.credit_released(&released, &credit, self.now);
        }
    }

    /// A packet passes both; `accepts` says what becomes of an offer.
    fn pass(&mut self, ends: Ends, flags: &str, hop: HopId, accepts: Option<bool>) -> Option<Ends> {
        let ServiceId::Address(key) = self.service.id else { unreachable!() };
        let mut packets = [packet(key.protocol, ends, flags), packet(key.protocol, ends, flags)];
        let verdict = receive(&mut self.whole, &mut packets[0], hop, self.now);
        let rewritten = ends_of(&packets[0]);
        let flow = self.kernel.flows.get(&(key.protocol.number(), ends)).copied().filter(|flow| flow.hop == hop);
        let plain = key.protocol == Protocol::Udp || flags == "A" || flags == "PA";
        match flow {
            Some(flow) if plain => {
                assert_eq!(rewritten, flow.leaves, "{verdict:?}");
                assert!(matches!(verdict, Verdict::ToServer { .. }) == flow.to_server, "{verdict:?}");
                self.kernel.count(&flow, packets[1].len(), self.now);
            }
            found => {
                if let Some(flow) = found.filter(|_| flags.contains(['F', 'R'])) {
                    self.kernel.end(flow.connection);
                }
                assert_eq!(receive(&mut self.part, &mut packets[1], hop, self.now), verdict, "{ends:?} {flags}");
                assert_eq!(packets[0], packets[1], "{ends:?} {flags}");
                self.release();
                self.attend(accepts);
            }
        }
        matches!(verdict, Verdict::ToServer { .. } | Verdict::ToClient { .. }).then_some(rewritten)
    }

    fn attend(&mut self, accepts: Option<bool>) {
        let Some(offer) = self.part.take_offer() else { return };
        match accepts {
            Some(true) if self.part.carry(offer.connection) => self.kernel.carry(&offer),
            Some(_) => {}
            None => self.part.decline(offer.connection),
        }
    }

    /// A second passes.
    fn tick(&mut self) {
        self.now += Duration::from_secs(1);
        for director in [&mut self.whole, &mut self.part] {
            while director.poll_timeout().is_some_and(|due| due <= self.now) {
                director.handle_timeout(self.now);
            }
        }
        self.release();
        self.credit_all();
    }

    /// Time passes, and more if a connection's time was over: its end may be seen a little later where it was carried, and a template
    /// that then still has it waits for a minute.
    fn wait(&mut self, seconds: u32) {
        (0..seconds).for_each(|_| self.tick());
        // One after the other, if need be.
        for _ in 0..300 {
            let over = self.whole.connections(self.now).any(|view| view.expires_in.is_zero());
            if !over && self.whole.connection_count() == self.part.connection_count() {
                return;
            }
            self.tick();
        }
        assert_eq!(connections(&self.whole, self.now), connections(&self.part, self.now));
    }

    fn compare(&mut self) {
        self.credit_all();
        self.listen();
        let stats = |director: &Director| {
            let services = director.services().into_iter().map(|view| view.stats).collect::<Vec<Stats>>();
            let servers = director.destinations(&self.service.id).unwrap().into_iter();
            let servers = servers.map(|view| {
                (view.config, view.stats, view.active, view.inactive, view.persistent, view.overloaded, view.failures)
            });
            (services, servers.collect::<Vec<_>>(), director.counters().clone())
        };
        assert_eq!(stats(&self.whole), stats(&self.part));
        let [whole, part] = [&self.whole, &self.part].map(|director| connections(director, self.now));
        assert_eq!(whole.keys().collect::<Vec<_>>(), part.keys().collect::<Vec<_>>());
        for (entry, left) in whole {
            assert!(
                left.abs_diff(part[&entry]) <= Duration::from_millis(2_100),
                "{entry}: {left:?} {:?}",
                part[&entry]
            );
        }
        assert_eq!(self.told[0], self.told[1]);
    }

    /// What was told last of each client.
    fn listen(&mut self) {
        for (director, told) in [&mut self.whole, &mut self.part].into_iter().zip(&mut self.told) {
            let records = director.outbox().unwrap().take(Vec::new());
            let mut rest = records.as_slice();
            while let Some((entry, length)) = Entry::decode(rest).ok().filter(|_| !rest.is_empty()) {
                told.insert(entry.client.to_string(), format!("{} {} {:?}", entry.server, entry.state, entry.flags));
                rest = &rest[length..];
            }
        }
    }
}

/// Entries by everything but the time that they have left.
fn connections(director: &Director, now: Instant) -> BTreeMap<String, Duration> {
    let line = |view: ConnectionView| {
        let ConnectionView { protocol, state, client, service, server, template, expires_in } = view;
        (format!("{protocol} {client} {service} {server} {state} {template}"), expires_in)
    };
    director.connections(now).map(line).collect()
}

fn packet(protocol: Protocol, ends: Ends, flags: &str) -> Vec<u8> {
    let ip = ip_words(ends.source.ip(), ends.destination.ip(), 64);
    let ports = format!("{}>{}", ends.source.port(), ends.destination.port());
    build::packet(&match protocol {
        Protocol::Tcp => format!("{ip} TCP {ports} [{flags}] seq 1 ack 1 win 9 data 7"),
        _ => format!("{ip} UDP {ports} len 30"),
    })
}

fn ends_of(packet: &[u8]) -> Ends {
    let (header, socket) = (header_length(packet), |address, port| SocketAddr::new(address, port));
    let port = |at: usize| u16::from_be_bytes([packet[header + at], packet[header + at + 1]]);
    let address = |at: usize| match packet[0] >> 4 {
        4 => <[u8; 4]>::try_from(&packet[12 + 4 * at..16 + 4 * at]).unwrap().into(),
        _ => <[u8; 16]>::try_from(&packet[8 + 16 * at..24 + 16 * at]).unwrap().into(),
    };
    Ends { source: socket(address(0), port(0)), destination: socket(address(1), port(2)) }
}

fn receive(director: &mut Director, packet: &mut [u8], hop: HopId, now: Instant) -> Verdict {
    let mut frame = Frame { packet, checksum_partial: false, gso_size: 0 };
    director.receive(&mut frame, Ingress { client_hop: hop, mark: 0 }, now)
}

/// Something that happens, of the numbers that a step has.
fn happen(pair: &mut Pair, kind: Kind, (what, client, number): (u8, u8, u32)) {
    let port = 2000 + u16::from(client);
    let ends = Ends { source: kind.socket(10 + client % 2, port), destination: kind.socket(100, 80) };
    let hop = HopId(if number.is_multiple_of(41) { 8 } else { 7 });
    let accepts = if number.is_multiple_of(5) { None } else { Some(!number.is_multiple_of(7)) };
    let server = 1 + (number % u32::from(SERVERS)) as u8;
    match what {
        0 => pair.wait(1 + number % 4),
        1 => pair.wait(number % 40),
        2 => pair.edit(&pair.server(kind, server, number / 3 % 3)),
        3 if number.is_multiple_of(4) => pair.remove(&pair.server(kind, server, 1)),
        3 => pair.add(&pair.server(kind, server, 1)),
        4 => {
            pair.credit_all();
            pair.both(|director| director.zero(None).unwrap());
        }
        5 => pair.recall_all(),
        _ => {
            let closing = ["F", "FA", "R", "RA"][number as usize % 4];
            let flags = if number % 60 == 59 { closing } else { "PA" };
            open(pair, ends, hop);
            for _ in 0..number % 9 {
                talk(pair, ends, flags, hop, accepts);
            }
        }
    }
}

/// Opens the connection if it is not there.
fn open(pair: &mut Pair, ends: Ends, hop: HopId) {
    let open = pair.whole.connections(pair.now).any(|view| view.client == ends.source && !view.template);
    if !open {
        for flags in ["S", "A"] {
            if let Some(sent) = pair.pass(ends, flags, hop, Some(true)) {
                pair.seen.insert(ends.source.port(), (sent.destination, sent.source));
            }
            answer(pair, ends, "SA", Some(true));
        }
    }
}

/// A packet of the client, and the server's answer.
fn talk(pair: &mut Pair, ends: Ends, flags: &str, hop: HopId, accepts: Option<bool>) {
    if let Some(sent) = pair.pass(ends, flags, hop, accepts) {
        pair.seen.insert(ends.source.port(), (sent.destination, sent.source));
        answer(pair, ends, if flags == "PA" { "A" } else { flags }, accepts);
    }
}

fn answer(pair: &mut Pair, ends: Ends, flags: &str, accepts: Option<bool>) {
    let seen = pair.seen.get(&ends.source.port()).copied().filter(|_| pair.forwarding != Forwarding::Dr);
    if let Some((source, destination)) = seen {
        pair.pass(Ends { source, destination }, flags, HopId(9), accepts);
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    let forwardings = [Forwarding::Nat, Forwarding::Dr, Forwarding::FullNat];
    let schedulers = [SchedulerKind::Rr, SchedulerKind::Wlc, SchedulerKind::Lc, SchedulerKind::Sed];
    let words = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (prop::sample::select(forwardings.to_vec()), prop::sample::select(schedulers.to_vec()), words).prop_map(
        |(forwarding, scheduler, (v6, udp, persistent, at_once))| {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            Kind { v6, protocol, forwarding, scheduler, persistent, at_once }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases / 4, ..config() })]

    #[test]
    fn whoever_sees_a_part_and_is_credited_with_the_rest_agrees(
        kind in kinds(),
        steps in proptest::collection::vec((0u8..40, 0u8..9, any::<u16>().prop_map(u32::from)), 1..120),
    ) {
        let mut pair = Pair::new(kind);
        for step in steps {
            happen(&mut pair, kind, step);
            pair.compare();
        }
    }
}

fn kind(protocol: Protocol, forwarding: Forwarding) -> Kind {
    Kind { v6: false, protocol, forwarding, scheduler: SchedulerKind::Rr, persistent: false, at_once: false }
}

/// A client and its connection, open and talking until it is carried.
fn carried(kind: Kind) -> (Pair, Ends) {
    let mut pair = Pair::new(kind);
    let ends = Ends { source: kind.socket(10, 2000), destination: kind.socket(100, 80) };
    open(&mut pair, ends, HopId(7));
    (0..9).for_each(|_| talk(&mut pair, ends, "PA", HopId(7), Some(true)));
    (pair, ends)
}

#[test]
fn plain_packets_of_every_two_way_method_and_of_dr_are_carried() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for forwarding in [Forwarding::Nat, Forwarding::Dr, Forwarding::FullNat] {
            let (pair, _) = carried(kind(protocol, forwarding));
            assert_eq!(pair.kernel.flows.len(), if forwarding == Forwarding::Dr { 1 } else { 2 }, "{forwarding:?}");
            assert!(pair.kernel.packets > 0, "{protocol:?} {forwarding:?}");
        }
    }
}

#[test]
fn a_connection_lives_as_long_as_packets_are_carried() {
    let (mut pair, ends) = carried(kind(Protocol::Tcp, Forwarding::Nat));
    let before = pair.kernel.packets;
    for _ in 0..30 {
        pair.wait(15);
        talk(&mut pair, ends, "PA", HopId(7), Some(true));
    }
    assert_eq!((pair.kernel.flows.len(), pair.kernel.packets), (2, before + 60));
    pair.compare();
    pair.wait(23);
    assert_eq!((pair.part.connection_count(), pair.kernel.flows.len()), (0, 0));
}

#[test]
fn another_way_of_the_client_and_a_fin_release() {
    let (mut pair, ends) = carried(kind(Protocol::Tcp, Forwarding::Dr));
    talk(&mut pair, ends, "PA", HopId(8), Some(false));
    assert!(pair.kernel.flows.is_empty());
    talk(&mut pair, ends, "PA", HopId(8), Some(true));
    assert_eq!(pair.kernel.flows.len(), 1);
    talk(&mut pair, ends, "FA", HopId(8), Some(true));
    assert!(pair.kernel.flows.is_empty() && pair.part.next_released().is_none());
    talk(&mut pair, ends, "A", HopId(8), Some(true));
    assert!(pair.kernel.flows.is_empty(), "closing connections are not offered");
    pair.compare();
}

#[test]
fn no_more_are_carried_than_may_be() {
    let kind = kind(Protocol::Tcp, Forwarding::Nat);
    let mut pair = Pair::new(kind);
    for client in 0..9 {
        let ends = Ends { source: kind.socket(10, 2000 + client), destination: kind.socket(100, 80) };
        open(&mut pair, ends, HopId(7));
        (0..9).for_each(|_| talk(&mut pair, ends, "PA", HopId(7), Some(true)));
    }
    assert_eq!(pair.kernel.tallies.len(), 6);
    pair.compare();
}

#[test]
fn what_is_not_plain_is_not_offered() {
    let offered = |director: &mut Director, kind: Kind| {
        let ends = Ends { source: kind.socket(10, 2000), destination: kind.socket(100, 80) };
        (0..40).any(|number| {
            let flags = if number == 0 { "S" } else { "A" };
            receive(director, &mut packet(kind.protocol, ends, flags), HopId(7), Instant::now());
            director.has_carriage_news()
        })
    };
    let kind = kind(Protocol::Udp, Forwarding::Dr);
    let director = |change: fn(&mut ServiceConfig), forwarding, timeouts: Timeouts| {
        let mut director = Director::new(Options { timeouts, connection_limit: 16, ..Options::default() });
        director.set_carriage(4);
        let mut config = service(kind.protocol, kind.socket(100, 80), kind.scheduler);
        change(&mut config);
        director.add_service(config.clone()).unwrap();
        director.add_destination(&config.id, destination(kind.socket(1, 80), forwarding)).unwrap();
        director
    };
    let short = Timeouts { udp: Duration::from_secs(9), ..Timeouts::default() };
    let plain = |_: &mut ServiceConfig| ();
    assert!(offered(&mut director(plain, Forwarding::Dr, Timeouts::default()), kind));
    assert!(!offered(&mut director(plain, Forwarding::Dr, short), kind), "a short time-out");
    assert!(!offered(&mut director(plain, Forwarding::Nat, Timeouts::default()), kind), "no answer");
    assert!(!offered(&mut director(plain, Forwarding::Local, Timeouts::default()), kind), "local");
    assert!(!offered(&mut director(|config| config.one_packet = true, Forwarding::Dr, Timeouts::default()), kind));
}
