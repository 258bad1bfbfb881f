//! From a frame to what is done with it: the director's verdict, carried as far as bytes go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use standfast_ipvs::{Director, Frame, HopId, IcmpError, Ingress, Verdict};

use super::LOOPBACK;
use super::carrying::{self, Carrying};
use super::command::DriverCounters;
use super::encapsulation::{Passage, Prefix, Wrapped, Wrapping};
use super::fragments::{Fragments, Whole, is_fragment};
use super::hops::{Hop, Hops};
use super::parking::Parking;
use super::ring::VIRTIO_LEN;
use super::routes::{Cut, Held, Routes};
use super::size::{Fit, PREFIX, Virtio, fit, fragment, fragment_v6, resegment};
use super::territory::{Territory, destination, is_local};
use super::topology::{Mac, NextHop};

const TARGET: std::ops::Range<usize> = VIRTIO_LEN..VIRTIO_LEN + 6;
const SENDER: std::ops::Range<usize> = VIRTIO_LEN + 6..VIRTIO_LEN + 12;
const ETHERTYPE: std::ops::Range<usize> = VIRTIO_LEN + 12..PREFIX;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// An interface that the data plane receives from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port {
    /// Its link address.
    pub(super) mac: Mac,
    /// Largest IP packet in bytes.
    pub(super) mtu: usize,
}

/// Ports by interface index.
pub(super) type Ports = BTreeMap<u32, Port>;

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing is sent.
    Discard,
    /// The frame, rewritten in place, is sent on this interface.
    Send(u32),
    /// Other frames are sent in its place.
    Instead(Vec<Vec<u8>>, u32),
    /// Its packet, rewritten in place, is sent behind other headers.
    Prefixed(Prefix, u32),
}

impl Action {
    /// The same for a frame that lies in a buffer of its own, which goes along.
    fn made_of(self, bytes: Vec<u8>) -> Self {
        match self {
            Self::Send(interface) => Self::Instead(vec![bytes], interface),
            Self::Prefixed(prefix, interface) => Self::Instead(vec![prefix.join(&bytes)], interface),
            other => other,
        }
    }

    /// The frames to send for a frame that lies in a buffer of its own.
    fn into_frames(self, bytes: Vec<u8>) -> Vec<(Vec<u8>, u32)> {
        match self {
            Self::Discard => Vec::new(),
            Self::Send(interface) => vec![(bytes, interface)],
            Self::Prefixed(prefix, interface) => vec![(prefix.join(&bytes), interface)],
            Self::Instead(frames, interface) => frames.into_iter().map(|f| (f, interface)).collect(),
        }
    }
}

/// The link level of a transmission.
#[derive(Debug, Clone, Copy)]
struct Egress {
    interface: u32,
    target: Mac,
    sender: Mac,
    mtu: usize,
}

/// The director with what surrounds it on the packet path.
#[derive(Debug)]
pub(super) struct Engine {
    /// Services and connections.
    pub(super) director: Director,
    /// The interfaces.
    pub(super) ports: Arc<Ports>,
    /// What the claim keeps from the host.
    pub(super) territory: Territory,
    /// Counters.
    pub(super) counters: DriverCounters,
    /// Addresses whose way the control thread should find; the worker passes them on.
    pub(super) asks: Vec<IpAddr>,
    /// Where frames came from.
    pub(super) hops: Hops,
    /// The ways to servers.
    pub(super) routes: Routes,
    /// What the kernel carries, where it does.
    pub(super) carrying: Option<Box<Carrying>>,
    fragments: Fragments,
    parking: Parking,
    /// The fragments in which the packet at hand came.
    cut: Option<Cut>,
    /// IP identification of the next tunnel packet that may be fragmented.
    identification: u16,
}

impl Engine {
    /// An engine that knows no interface yet, of which the kernel carries nothing so far.
    pub(super) fn new(mut director: Director, counters: DriverCounters, carrying: Option<Box<Carrying>>) -> Self {
        director.set_carriage(carrying.as_ref().map_or(0, |_| carrying::CONNECTIONS as usize));
        Self {
            director,
            ports: Arc::default(),
            territory: Territory::default(),
            counters,
            asks: Vec::new(),
            hops: Hops::new(),
            routes: Routes::default(),
            carrying,
            fragments: Fragments::default(),
            parking: Parking::default(),
            cut: None,
            identification: 0,
        }
    }

    /// Handles a frame (virtio-net header first) that arrived on an interface.
    pub(super) fn receive(&mut self, bytes: &mut [u8], interface: u32, now: Instant) -> Action {
        if !self.ports.contains_key(&interface) {
            return Action::Discard;
        }
        let Some(virtio) = Virtio::parse(bytes).filter(|_| is_consistent(bytes)) else { return Action::Discard };
        self.counters.received += 1;
        let sender = mac_at(bytes, SENDER);
        let ingress = self.hops.number(Hop { interface, mac: sender });
        if is_fragment(bytes) {
            return self.receive_fragment(bytes, ingress, now);
        }
        self.receive_whole(bytes, &virtio, ingress, now)
    }

    fn receive_fragment(&mut self, bytes: &[u8], ingress: u32, now: Instant) -> Action {
        let packet = bytes.get(PREFIX..).unwrap_or_default();
        if !self.territory.touches(packet) {
            return Action::Discard;
        }
        let Some(whole) = self.fragments.add(bytes, now) else { return Action::Discard };
        let Whole { bytes: mut whole, largest, identification } = whole;
        let Some(virtio) = Virtio::parse(&whole) else { return Action::Discard };
        self.cut = Some(Cut { largest, identification });
        let action = self.receive_whole(&mut whole, &virtio, ingress, now);
        self.cut = None;
        match action {
            Action::Discard => Action::Discard,
            action => action.made_of(whole),
        }
    }

    fn receive_whole(&mut self, bytes: &mut [u8], virtio: &Virtio, ingress: u32, now: Instant) -> Action {
        let packet = bytes.get_mut(PREFIX..).unwrap_or_default();
        if self.territory.is_foreign(packet) {
            self.parking.push(bytes, ingress, self.cut, now);
            return Action::Discard;
        }
        if self.territory.comes_by_queue(packet) {
            return Action::Discard;
        }
        let mut frame = Frame { packet: trimmed(packet), checksum_partial: virtio.partial, gso_size: virtio.segment };
        let verdict = self.director.receive(&mut frame, Ingress { client_hop: HopId(ingress), mark: 0 }, now);
        tracing::trace!(?verdict, "frame");
        if self.director.has_carriage_news() {
            self.attend_carriage(now);
        }
        match self.carry_out(verdict, bytes, ingress, now) {
            Some(action) => action,
            None => self.leave_to_host(bytes),
        }
    }

    /// Handles a packet of a netfilter queue. None if it is the host's own stack's.
    pub(super) fn receive_queued(&mut self, bytes: &mut [u8], hop: Hop, mark: u32, now: Instant) -> Option<Action> {
        self.counters.received += 1;
        let ingress = self.hops.number(hop);
        let packet = bytes.get_mut(PREFIX..).unwrap_or_default();
        let mut frame = Frame { packet, checksum_partial: false, gso_size: 0 };
        let verdict = self.director.receive(&mut frame, Ingress { client_hop: HopId(ingress), mark }, now);
        tracing::trace!(?verdict, mark, "queued packet");
        if self.director.has_carriage_news() {
            self.attend_carriage(now);
        }
        self.carry_out(verdict, bytes, ingress, now)
    }

    fn carry_out(&mut self, verdict: Verdict, bytes: &mut [u8], ingress: u32, now: Instant) -> Option<Action> {
        Some(match verdict {
            Verdict::Pass(_) | Verdict::Local => return None,
            Verdict::Drop(_) => Action::Discard,
            Verdict::ToServer { address } => self.send_towards(bytes, address, None, ingress, now),
            Verdict::Instead { address, packet } => self.send_instead(bytes, &packet, address, ingress, now),
            Verdict::Encapsulate { address, tunnel, path_mtu } => {
                self.send_towards(bytes, address, Some(Passage { tunnel, path_mtu }), ingress, now)
            }
            Verdict::ToClient { hop } => self.send_to_client(bytes, hop, ingress, now),
            Verdict::Reply { packet, hop } => self.answer(&packet, hop.0),
        })
    }

    /// Sends a packet of the engine's in the place of a frame.
    fn send_instead(&mut self, bytes: &[u8], packet: &[u8], address: IpAddr, ingress: u32, now: Instant) -> Action {
        let ethernet = bytes.get(VIRTIO_LEN..PREFIX).unwrap_or_default();
        let mut frame = [&[0; VIRTIO_LEN][..], ethernet, packet].concat();
        let action = self.send_towards(&mut frame, address, None, ingress, now);
        action.made_of(frame)
    }

    /// Takes in the way to an address. Gives the frames that waited for it, with the interfaces to send them on.
    pub(super) fn learn(&mut self, address: IpAddr, next: NextHop, now: Instant) -> Vec<(Vec<u8>, u32)> {
        match self.routes.known(address) {
            Some(known @ NextHop::Via { .. }) if known != next => self.void_carriage(),
            _ => self.renew_carriage(),
        }
        let held = self.routes.learn(address, next, now);
        held.into_iter().flat_map(|held| self.resume(held, address, now)).collect()
    }

    /// When to call [`Engine::unpark`] next.
    pub(super) fn poll_parking(&self) -> Option<Instant> {
        self.parking.due()
    }

    /// Looks again at packets for virtual addresses that were not the host's own when they came: after a change of the territory, and
    /// when the time of the first is up. Gives the frames to send, with their interfaces.
    pub(super) fn unpark(&mut self, now: Instant) -> Vec<(Vec<u8>, u32)> {
        let territory = &self.territory;
        let ready = self.parking.take(now, |bytes| !territory.is_foreign(bytes.get(PREFIX..).unwrap_or_default()));
        // Nearly all are for the same few addresses.
        let mut known = BTreeMap::new();
        let mut is_local = |address: IpAddr| *known.entry(address).or_insert_with(|| is_local(address));
        let mut frames = Vec::new();
        for parked in ready {
            let packet = parked.held.bytes.get(PREFIX..).unwrap_or_default();
            let foreign = self.territory.is_foreign(packet);
            if foreign && destination(packet).is_some_and(&mut is_local) {
                // The kernel was quicker than its message about the address: its stack would answer with RST.
                self.parking.push_again(parked, now);
            } else {
                frames.extend(self.settle(parked.held, foreign, now));
            }
        }
        frames
    }

    fn settle(&mut self, mut held: Held, foreign: bool, now: Instant) -> Vec<(Vec<u8>, u32)> {
        let bytes = &mut held.bytes;
        self.cut = held.cut;
        let action = match Virtio::parse(bytes) {
            _ if foreign => self.leave_to_host(bytes),
            Some(virtio) => self.receive_whole(bytes, &virtio, held.ingress, now),
            None => Action::Discard,
        };
        self.cut = None;
        action.into_frames(held.bytes)
    }

    fn resume(&mut self, mut held: Held, address: IpAddr, now: Instant) -> Vec<(Vec<u8>, u32)> {
        self.cut = held.cut;
        let action = self.send_towards(&mut held.bytes, address, held.passage, held.ingress, now);
        self.cut = None;
        action.into_frames(held.bytes)
    }

    /// Puts a packet back for the host's own stack, if the claim kept it from it.
    fn leave_to_host(&mut self, bytes: &mut [u8]) -> Action {
        if !bytes.get(PREFIX..).is_some_and(|packet| self.territory.covers(packet)) {
            return Action::Discard;
        }
        self.put_back(bytes)
    }

    fn put_back(&mut self, bytes: &mut [u8]) -> Action {
        self.counters.reinjected += 1;
        address_frame(bytes, [0; 6], [0; 6]);
        Action::Send(LOOPBACK)
    }

    fn send_to_client(&mut self, bytes: &mut [u8], hop: HopId, ingress: u32, now: Instant) -> Action {
        let known = self.hops.get(hop.0).and_then(|hop| Some((hop, *self.ports.get(&hop.interface)?)));
        match (known, bytes.get(PREFIX..).and_then(destination)) {
            (Some((Hop { interface, mac }, port)), _) => {
                let egress = Egress { interface, target: mac, sender: port.mac, mtu: port.mtu };
                self.transmit(bytes, egress, ingress, now)
            }
            (None, Some(address)) => self.send_towards(bytes, address, None, ingress, now),
            (None, None) => Action::Discard,
        }
    }

    fn send_towards(
        &mut self,
        bytes: &mut [u8],
        address: IpAddr,
        passage: Option<Passage>,
        ingress: u32,
        now: Instant,
    ) -> Action {
        let way = self.routes.way(address, now);
        if way.ask {
            self.asks.push(address);
        }
        match way.next {
            NextHop::Via { interface, mac, source, mtu, local } => {
                let egress = Egress { interface, target: mac, sender: source, mtu };
                match passage {
                    None => self.transmit(bytes, egress, ingress, now),
                    Some(passage) => self.transmit_inside(bytes, egress, (local, address), passage, ingress, now),
                }
            }
            NextHop::Local => self.put_back(bytes),
            NextHop::Pending => {
                self.counters.unreachable += u64::from(!self.routes.hold(address, bytes, ingress, (passage, self.cut)));
                Action::Discard
            }
            NextHop::Unreachable => {
                self.counters.unreachable += 1;
                self.refuse(bytes, IcmpError::HostUnreachable, ingress, now)
            }
        }
    }

    fn transmit(&mut self, bytes: &mut [u8], egress: Egress, ingress: u32, now: Instant) -> Action {
        let Some(virtio) = Virtio::parse(bytes) else { return Action::Discard };
        virtio.shorten_headers(bytes);
        address_frame(bytes, egress.target, egress.sender);
        let mtu = self.cut.map_or(egress.mtu, |cut| egress.mtu.min(cut.largest));
        match fit(bytes, &virtio, mtu, self.cut.is_some()) {
            Fit::Fits => Action::Send(egress.interface),
            Fit::TooBig => {
                self.counters.too_big += 1;
                let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
                self.refuse(bytes, IcmpError::TooBig { mtu }, ingress, now)
            }
            Fit::Fragment => {
                self.counters.fragmented += 1;
                let v6 = bytes.get(PREFIX).is_some_and(|b| b >> 4 == 6);
                let frames = match self.cut {
                    Some(Cut { identification, .. }) if v6 => fragment_v6(bytes, &virtio, mtu, identification),
                    _ => fragment(bytes, &virtio, mtu),
                };
                Action::Instead(frames, egress.interface)
            }
            Fit::Resegment(payload) => {
                resegment(bytes, payload);
                Action::Send(egress.interface)
            }
        }
    }

    /// Sends a packet inside another one.
    fn transmit_inside(
        &mut self,
        bytes: &mut [u8],
        egress: Egress,
        (local, server): (Option<IpAddr>, IpAddr),
        passage: Passage,
        ingress: u32,
        now: Instant,
    ) -> Action {
        let (Some(virtio), Some(local)) = (Virtio::parse(bytes), local) else {
            self.counters.unreachable += 1;
            return Action::Discard;
        };
        let (target, sender) = (egress.target, egress.sender);
        self.identification = self.identification.wrapping_add(1);
        let wrapping = Wrapping { passage, target, sender, local, server, identification: self.identification };
        match wrapping.wrap(bytes, &virtio, egress.mtu) {
            Wrapped::Prefixed(prefix) => Action::Prefixed(prefix, egress.interface),
            Wrapped::Instead(frames) => {
                self.counters.fragmented += u64::from(!virtio.superpacket);
                Action::Instead(frames, egress.interface)
            }
            Wrapped::TooBig(mtu) => {
                self.counters.too_big += 1;
                self.refuse(bytes, IcmpError::TooBig { mtu }, ingress, now)
            }
        }
    }

    /// Answers the sender of a frame that cannot be sent.
    fn refuse(&mut self, bytes: &[u8], error: IcmpError, ingress: u32, now: Instant) -> Action {
        let packet = bytes.get(PREFIX..).unwrap_or_default();
        match self.director.error_reply(packet, error, now) {
            Some(reply) => self.answer(&reply, ingress),
            None => Action::Discard,
        }
    }

    /// Sends a packet of our own back where a frame came from.
    fn answer(&self, packet: &[u8], ingress: u32) -> Action {
        let Some(hop) = self.hops.get(ingress) else { return Action::Discard };
        let Some(port) = self.ports.get(&hop.interface) else { return Action::Discard };
        let ethertype = if packet.first().is_some_and(|b| b >> 4 == 6) { IPV6 } else { IPV4 };
        let frame = [&[0; VIRTIO_LEN][..], &hop.mac, &port.mac, &ethertype, packet].concat();
        Action::Instead(vec![frame], hop.interface)
    }
}

/// Whether the frame's type and the packet's version say the same; the claim goes by the type, the engine by the version.
fn is_consistent(bytes: &[u8]) -> bool {
    let version = bytes.get(PREFIX).map(|b| b >> 4);
    match bytes.get(ETHERTYPE) {
        Some(kind) if kind == IPV4 => version == Some(4),
        Some(kind) if kind == IPV6 => version == Some(6),
        _ => false,
    }
}

/// The packet without the padding that short Ethernet frames have. A length that makes no sense changes nothing.
fn trimmed(packet: &mut [u8]) -> &mut [u8] {
    let length = without_padding(packet).len();
    packet.get_mut(..length).unwrap_or_default()
}

/// As `trimmed`.
pub(super) fn without_padding(packet: &[u8]) -> &[u8] {
    let field =
        |at: usize| packet.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| usize::from(u16::from_be_bytes(*b)));
    let length = match packet.first().map(|b| b >> 4) {
        Some(4) => field(2),
        Some(6) if field(4) > 0 => field(4) + 40,
        _ => 0,
    };
    match length {
        1.. if length < packet.len() => packet.get(..length).unwrap_or_default(),
        _ => packet,
    }
}

fn mac_at(bytes: &[u8], range: std::ops::Range<usize>) -> Mac {
    bytes.get(range).and_then(|b| b.first_chunk()).copied().unwrap_or_default()
}

fn address_frame(bytes: &mut [u8], target: Mac, sender: Mac) {
    for (range, mac) in [(TARGET, target), (SENDER, sender)] {
        if let Some(field) = bytes.get_mut(range) {
            field.copy_from_slice(&mac);
        }
    }
}
