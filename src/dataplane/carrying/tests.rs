use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use standfast_ipvs::{
    DestinationConfig, Forwarding, Frame, HopId, Ingress, Offer, Options, Protocol, SchedulerFlags, SchedulerKind,
    ServiceConfig, ServiceId, ServiceKey,
};

use super::*;

/// What a kernel would do with its tables.
#[derive(Debug, Default)]
struct Kernel {
    refuses: bool,
    flows: HashMap<u32, Flow>,
    tallies: HashMap<u32, Tally>,
    voids: usize,
}

#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<Kernel>>);

impl Fake {
    fn with<T>(&self, look: impl FnOnce(&mut Kernel) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn count(&self, slot: u32, packets: u64, now: Instant) {
        self.with(|kernel| {
            let tally = kernel.tallies.entry(slot).or_default();
            *tally = Tally { packets: tally.packets + packets, bytes: tally.bytes + 100 * packets, latest: Some(now) };
        });
    }

    fn slots(&self) -> Vec<u32> {
        let mut slots: Vec<_> = self.with(|kernel| kernel.flows.keys().copied().collect());
        slots.sort_unstable();
        slots
    }
}

impl Carries for Fake {
    fn carries_on(&self, _: u32) -> bool {
        true
    }

    fn add(&mut self, slot: u32, flow: &Flow, _: &Carriage) -> bool {
        self.with(|kernel| {
            kernel.flows.extend(Some((slot, *flow)).filter(|_| !kernel.refuses));
            !kernel.refuses
        })
    }

    fn remove(&mut self, slot: u32) {
        self.with(|kernel| kernel.flows.remove(&slot));
    }

    fn void(&mut self) {
        self.with(|kernel| {
            kernel.flows.clear();
            kernel.voids += 1;
        });
    }

    fn is_carried(&self, slot: u32) -> bool {
        self.with(|kernel| kernel.flows.contains_key(&slot))
    }

    fn tally(&self, slot: u32) -> Tally {
        self.with(|kernel| kernel.tallies.get(&slot).copied().unwrap_or_default())
    }

    fn clear(&mut self, slot: u32) {
        self.with(|kernel| kernel.tallies.remove(&slot));
    }
}

/// A director with one service by DR, what it has carried, and the kernel's part.
struct Worker {
    director: Director,
    carrying: Carrying,
    kernel: Fake,
    now: Instant,
}

impl Worker {
    fn new() -> Self {
        let mut director = Director::new(Options { connection_limit: 1024, ..Options::default() });
        director.add_service(config()).unwrap();
        director.add_destination(&id(), server()).unwrap();
        director.set_carriage(CONNECTIONS as usize);
        let (kernel, now) = (Fake::default(), Instant::now());
        Self { director, carrying: Carrying::new(kernel.clone(), now), kernel, now }
    }

    /// A packet of a client; gives the offer that it led to.
    fn packet(&mut self, client: u16, flags: u8) -> Option<Offer> {
        let mut packet = segment(client, flags);
        let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
        self.director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, self.now);
        self.carrying.settle(&mut self.director, self.now);
        self.director.take_offer()
    }

    /// Lets a client talk until its connection is accepted.
    fn establish(&mut self, client: u16) {
        self.packet(client, SYN);
        let offer = (0..99).find_map(|_| self.packet(client, ACK)).unwrap();
        self.carrying.accept(&mut self.director, offer.connection, legs(&offer), self.now);
    }

    /// Turns until the round is over.
    fn turns(&mut self) {
        while self.turn() {}
    }

    fn turn(&mut self) -> bool {
        self.carrying.enter(&mut self.director, true, self.now);
        self.carrying.go_round(&mut self.director, self.now)
    }

    fn counted(&self) -> u64 {
        self.director.services()[0].stats.in_packets
    }
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 17;
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

fn id() -> ServiceId {
    ServiceKey { protocol: Protocol::Tcp, address: VIP.into(), port: 80 }.into()
}

fn config() -> ServiceConfig {
    ServiceConfig {
        id: id(),
        scheduler: SchedulerKind::Rr,
        flags: SchedulerFlags::default(),
        persistence: None,
        one_packet: false,
        full_nat: Default::default(),
    }
}

fn server() -> DestinationConfig {
    let address = Ipv4Addr::new(10, 1, 0, 1).into();
    let (forwarding, weight, upper_threshold, lower_threshold) = (Forwarding::Dr, 1, 0, 0);
    DestinationConfig { address, port: 80, forwarding, weight, upper_threshold, lower_threshold }
}

fn segment(client: u16, flags: u8) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&[10, 0, 0, 10]);
    packet[16..20].copy_from_slice(&VIP.octets());
    let sum: u32 = packet[..20].as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!sum as u16).to_be_bytes());
    packet[20..22].copy_from_slice(&(1000 + client).to_be_bytes());
    packet[23] = 80;
    packet[32..34].copy_from_slice(&[0x50, flags]);
    packet
}

fn legs(offer: &Offer) -> Legs {
    let none: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let (source, destination) = (offer.to_server.arrives.source, offer.to_server.arrives.destination);
    let flow = Flow { protocol: offer.protocol, source, destination, interface: 2, neighbour: [2; 6] };
    let carriage =
        Carriage { source: none, destination: none, interface: 3, target: [3; 6], sender: [4; 6], mtu: 1500 };
    Legs { to_server: (flow, carriage), to_client: None }
}

#[test]
fn what_was_carried_is_credited_by_rounds() {
    let mut worker = Worker::new();
    (0..300).for_each(|client| {
        worker.establish(client);
        worker.turn();
    });
    worker.turns();
    assert_eq!(worker.kernel.slots().len(), 300);
    let before = worker.counted();
    (0..300).for_each(|number| worker.kernel.count(2 * number, 10, worker.now));
    worker.turns();
    assert_eq!(worker.counted(), before, "not due yet");
    worker.now = worker.carrying.due().unwrap();
    assert!(worker.turn() && worker.counted() > before && worker.counted() < before + 3000, "some a turn");
    worker.turns();
    assert_eq!((worker.counted(), worker.carrying.packets()), (before + 3000, 3000));
    worker.carrying.begin_round();
    worker.turns();
    assert_eq!(worker.counted(), before + 3000, "once");
}

#[test]
fn a_fin_frees_the_slot_and_credits_the_last_packets() {
    let mut worker = Worker::new();
    worker.establish(1);
    worker.turns();
    let before = worker.counted();
    worker.kernel.count(0, 7, worker.now);
    worker.packet(1, FIN);
    assert_eq!((worker.counted(), worker.carrying.connections()), (before + 8, 0));
    assert_eq!((worker.kernel.slots(), worker.carrying.due()), (vec![], None));
}

#[test]
fn what_ends_before_it_entered_does_not_enter() {
    let mut worker = Worker::new();
    worker.establish(1);
    worker.packet(1, FIN);
    worker.turns();
    assert_eq!(worker.kernel.slots(), Vec::<u32>::new());
}

#[test]
fn a_void_ends_all_at_once_and_their_next_packets_enter_anew() {
    let mut worker = Worker::new();
    (0..5).for_each(|client| worker.establish(client));
    worker.turns();
    worker.establish(6);
    let before = worker.counted();
    worker.kernel.count(0, 3, worker.now);
    worker.carrying.void(&mut worker.director);
    assert_eq!((worker.kernel.slots(), worker.kernel.with(|kernel| kernel.voids)), (vec![], 1));
    worker.turns();
    assert_eq!((worker.carrying.connections(), worker.counted()), (0, before + 3));
    assert!(worker.kernel.slots().is_empty(), "what waited to enter had the old ways");
    worker.establish(0);
    worker.turns();
    assert_eq!(worker.carrying.connections(), 1);
}

#[test]
fn nothing_overtakes_what_waits_in_the_ring_unless_it_never_ends() {
    let mut worker = Worker::new();
    worker.establish(1);
    worker.carrying.enter(&mut worker.director, false, worker.now);
    assert!(worker.kernel.slots().is_empty());
    worker.now += ENTERS_WITHIN;
    worker.carrying.enter(&mut worker.director, false, worker.now);
    assert_eq!(worker.kernel.slots(), [0]);
}

#[test]
fn what_finds_no_room_is_declined_until_the_ways_change() {
    let mut worker = Worker::new();
    worker.kernel.with(|kernel| kernel.refuses = true);
    worker.establish(1);
    worker.turns();
    assert_eq!((worker.carrying.connections(), worker.packet(1, ACK)), (0, None));
    worker.carrying.void(&mut worker.director);
    assert!(worker.packet(1, ACK).is_some());
}

#[test]
fn what_the_kernel_gave_up_is_offered_again() {
    let mut worker = Worker::new();
    worker.establish(1);
    worker.turns();
    worker.kernel.with(|kernel| kernel.flows.clear());
    assert!(worker.packet(1, ACK).is_none(), "carried, as far as is known");
    worker.carrying.begin_round();
    worker.turns();
    assert!(worker.packet(1, ACK).is_some());
}

#[test]
fn a_forgotten_connection_leaves_nothing() {
    let mut worker = Worker::new();
    worker.establish(1);
    worker.turns();
    worker.carrying.forget();
    assert_eq!((worker.carrying.connections(), worker.kernel.slots()), (0, vec![]));
    assert_eq!(worker.carrying.free.len(), 1);
}

#[test]
fn weights_thresholds_and_additions_keep_the_ways() {
    let worker = Worker::new();
    let changes = |command| changes_ways(&command, &worker.director);
    let (port, address) = (80, Ipv4Addr::new(10, 1, 0, 1).into());
    use crate::dataplane::command::Command::*;
    let other = DestinationConfig { address: Ipv4Addr::new(10, 1, 0, 2).into(), ..server() };
    let weight = DestinationConfig { weight: 0, upper_threshold: 9, ..server() };
    let nat = DestinationConfig { forwarding: Forwarding::Nat, ..server() };
    for command in [
        AddService(config()),
        PutService(config()),
        PutDestination(id(), other.clone()),
        EditDestination(id(), weight.clone()),
        PutDestination(id(), weight),
        Zero(None),
    ] {
        assert!(!changes(command.clone()), "{command:?}");
    }
    for command in [
        EditService(ServiceConfig { scheduler: SchedulerKind::Wlc, ..config() }),
        EditDestination(id(), nat),
        RemoveDestination { service: id(), address, port },
        RemoveService(id()),
        SetTimeouts(Default::default()),
    ] {
        assert!(changes(command.clone()), "{command:?}");
    }
}
