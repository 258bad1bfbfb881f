//! The director: services, connections and the way of a packet through them.

mod adopt;
mod carriage;
mod clock;
mod connections;
mod defence;
mod fragments;
mod icmp;
mod limiter;
mod path;
mod proxy;
mod schedule;
mod sync;
mod warm;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::{Duration, Instant};

use carriage::Carriage;
pub use carriage::{Carried, ConnectionId, Course, Credit, Ends, Offer, Released};
use clock::Clock;
pub use defence::Defence;
use defence::Defences;
use limiter::Limiter;
use path::Path;

use crate::connection::state::{TICKS, ticks};
use crate::connection::table::Table;
use crate::connection::{ConnectionView, State, Timeouts};
use crate::packet::icmp::IcmpError;
use crate::packet::{Frame, Ingress, ReplyBuffer};
use crate::service::{
    Destination, DestinationConfig, DestinationView, Error, Protocol, Registry, Service, ServiceConfig, ServiceId,
    ServiceKey, ServiceView,
};
use crate::stats::{Counters, Estimator};
use crate::verdict::{Decision, DropReason, HopId, Verdict};

/// How many timers one call of [`Director::handle_timeout`] serves at most, so that packets do not wait for it.
const TIMER_BUDGET: usize = 256;

/// How many places of the tables one call looks at for connections of removed destinations.
const SWEPT: usize = 2048;

/// From so many entries on, their index alone lies on more pages than the processor remembers.
const MANY: usize = 4096;

/// What a director is made with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Random numbers, fresh for each process: they keep strangers from choosing connections that collide.
    pub seed: [u64; 2],
    /// Connection time-outs.
    pub timeouts: Timeouts,
    /// The most connections and templates of each address family. Memory (96 bytes an IPv4 entry, 160 an IPv6 one) is
    /// reserved for them at once and committed by the system as it is used; the 32 of them that are the index are
    /// spread, so that few connections commit most of it.
    pub connection_limit: usize,
    /// The kernel's `net.ipv4.vs` settings.
    pub settings: Settings,
}

impl Default for Options {
    /// IPVS's defaults, a million connections (2^20), and a seed of zeros, which is good for tests only.
    fn default() -> Self {
        Options {
            seed: [0; 2],
            timeouts: Timeouts::default(),
            connection_limit: 1 << 20,
            settings: Settings::default(),
        }
    }
}

/// Settings by the names of `net.ipv4.vs` (the kernel's Documentation/networking/ipvs-sysctl.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Connections of a removed destination end at once instead of waiting for its return.
    pub expire_nodest_conn: bool,
    /// Templates of a destination with weight 0 are not followed any more.
    pub expire_quiescent_template: bool,
    /// Whether a SYN on a connection that is over is scheduled anew.
    pub conn_reuse_mode: ConnReuse,
    /// Any TCP packet but a RST opens a connection.
    pub sloppy_tcp: bool,
    /// When half open and forgotten connections end before their time.
    pub drop_entry: Defence,
    /// When some packets that would open a connection are dropped: of [`amemthresh`](Self::amemthresh) divided by what
    /// is missing to it one, or of [`am_droprate`](Self::am_droprate) one with [`Defence::Always`].
    pub drop_packet: Defence,
    /// When TCP's states follow another table, in which the client's packets alone establish no connection that is
    /// answered through the director.
    pub secure_tcp: Defence,
    /// Memory is low when fewer pages than these are free.
    pub amemthresh: u32,
    /// 0 drops none.
    pub am_droprate: u32,
}

impl Default for Settings {
    /// The kernel's defaults: only `conn_reuse_mode` is on; 1,024 pages, and one of ten packets.
    fn default() -> Self {
        Settings {
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            conn_reuse_mode: ConnReuse::Over,
            sloppy_tcp: false,
            drop_entry: Defence::Never,
            drop_packet: Defence::Never,
            secure_tcp: Defence::Never,
            amemthresh: 1024,
            am_droprate: 10,
        }
    }
}

/// When the port of an old connection may serve another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnReuse {
    /// The sysctl's 0: it goes to the server of the old one.
    Never,
    /// 1: in TIME_WAIT, after a reset, and after the end of SCTP.
    #[default]
    Over,
    /// 2 and 3: in FIN_WAIT too, where the server's packets bypass the director; no other state tells the end there.
    HalfOver,
}

impl ConnReuse {
    /// The sysctl's number, of which the lowest two bits count.
    pub fn of_number(number: u32) -> ConnReuse {
        match number {
            0 => ConnReuse::Never,
            number if number & 2 == 0 => ConnReuse::Over,
            _ => ConnReuse::HalfOver,
        }
    }
}

/// What the host's own stack must leave alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Clients' packets to these. Port 0 stands for all ports.
    pub services: Vec<ServiceKey>,
    /// NAT servers' answers: protocol, address and port of the server. Port 0 stands for all ports.
    pub servers: Vec<ServiceKey>,
    /// Clients' packets with these firewall marks.
    pub marks: Vec<u32>,
    /// Addresses of the host to which servers behind full NAT answer, on [`FullNat::PORTS`](crate::FullNat::PORTS).
    pub sources: Vec<IpAddr>,
}

/// What all address families share.
#[derive(Debug)]
pub(crate) struct Core {
    registry: Registry,
    settings: Settings,
    /// Ticks that a connection lives in each state.
    lifetimes: [u32; State::COUNT],
    counters: Counters,
    limiter: Limiter,
    defences: Defences,
    reply: Option<(ReplyBuffer, HopId)>,
    /// IP identification of the next ICMP error.
    identification: u16,
    /// There while another director is told of connections.
    sync: Option<Box<sync::Telling>>,
    /// What the kernel carries.
    carriage: Carriage,
}

impl Core {
    #[inline(never)]
    fn encapsulate(&self, destination: u32, now: u32) -> Verdict {
        match self.registry.destination(destination) {
            Some(Destination { config, tunnel, path_mtu, .. }) => Verdict::Encapsulate {
                address: config.address,
                tunnel: *tunnel,
                path_mtu: path_mtu.filter(|known| known.is_fresh(now)).map(|known| known.bytes),
            },
            None => Verdict::Drop(DropReason::Internal),
        }
    }
}

/// The forwarding engine. See the crate's documentation.
#[derive(Debug)]
pub struct Director {
    core: Core,
    v4: Table<Ipv4Addr>,
    v6: Table<Ipv6Addr>,
    clock: Clock,
    /// The tick of the next estimate of rates.
    next_estimate: u64,
    /// The place of the tables from which on to look for connections of removed destinations.
    sweep: Option<usize>,
}

impl Director {
    /// A director without services.
    pub fn new(options: Options) -> Director {
        let mut core = Core {
            registry: Registry::new(options.seed),
            settings: options.settings,
            lifetimes: State::ALL.map(|state| options.timeouts.ticks(state)),
            counters: Counters::default(),
            limiter: Limiter::new(),
            defences: Defences::default(),
            reply: None,
            identification: options.seed[0] as u16,
            sync: None,
            carriage: Carriage::default(),
        };
        core.defences.judge(&options.settings);
        Director {
            core,
            v4: Table::new(options.seed, options.connection_limit),
            v6: Table::new(options.seed, options.connection_limit),
            clock: Clock::default(),
            next_estimate: 0,
            sweep: None,
        }
    }

    /// Handles one packet, which is rewritten in place if the verdict is `ToServer` or `ToClient`, and untouched
    /// otherwise.
    pub fn receive(&mut self, frame: &mut Frame<'_>, ingress: Ingress, now: Instant) -> Verdict {
        let tick = self.clock.tick(now);
        let decision = match frame.packet.first().map(|byte| byte >> 4) {
            Some(6) => Path::new(&mut self.core, &mut self.v6, tick).receive(frame, ingress),
            _ => Path::new(&mut self.core, &mut self.v4, tick).receive(frame, ingress),
        };
        match decision {
            Decision::ToServer(address) => {
                self.core.counters.to_server += 1;
                Verdict::ToServer { address }
            }
            Decision::ToClient(hop) => {
                self.core.counters.to_client += 1;
                Verdict::ToClient { hop }
            }
            rarer => {
                self.core.counters.count(rarer);
                self.verdict(rarer, tick as u32)
            }
        }
    }

    /// Hints that these packets come next, at most 64 of one address family (of the first packet). It changes nothing
    /// but the time that `receive` takes for them: with very many connections, their entries are fetched from memory
    /// all at once instead of one after the other.
    pub fn warm(&self, packets: &[&[u8]]) {
        let packets = packets.get(..warm::BATCH).unwrap_or(packets);
        match packets.first().and_then(|packet| packet.first()).map(|byte| byte >> 4) {
            Some(6) => warm::warm(&self.v6, packets),
            _ => warm::warm(&self.v4, packets),
        }
    }

    /// The memory of the tables with so many entries that packets reach it at random, as addresses; empty ranges for
    /// the others. Nothing may be read or written by them; a driver may tell the system that huge pages are worth their
    /// while there (`madvise(2)`), which spares a walk of page tables for each of the two reads that a packet needs.
    pub fn large_tables(&self) -> [Range<usize>; 4] {
        let large = |entries: usize, regions: [Range<usize>; 2]| if entries >= MANY { regions } else { [0..0, 0..0] };
        let [v4, v4_index] = large(self.v4.len(), self.v4.regions());
        let [v6, v6_index] = large(self.v6.len(), self.v6.regions());
        [v4, v4_index, v6, v6_index]
    }

    #[inline(never)]
    fn verdict(&mut self, decision: Decision, now: u32) -> Verdict {
        match decision {
            Decision::Pass(reason) => Verdict::Pass(reason),
            Decision::Drop(reason) => Verdict::Drop(reason),
            Decision::ToServer(address) => Verdict::ToServer { address },
            Decision::Instead(destination) => {
                let (packet, _) = self.core.reply.take().unwrap_or_default();
                match self.core.registry.destination(destination) {
                    Some(destination) => Verdict::Instead { address: destination.config.address, packet },
                    None => Verdict::Drop(DropReason::Internal),
                }
            }
            Decision::Encapsulate(destination) => self.core.encapsulate(destination, now),
            Decision::ToClient(hop) => Verdict::ToClient { hop },
            Decision::Local => Verdict::Local,
            Decision::Reply => {
                let (packet, hop) = self.core.reply.take().unwrap_or_default();
                Verdict::Reply { packet, hop }
            }
        }
    }

    /// The ICMP error with which the driver answers a frame that it could not send: one that `receive` rewrote and
    /// that turned out too big for its link, or whose next hop does not answer. It quotes the packet as its sender
    /// knows it and goes back through the frame's ingress. None when the rate limit or RFC 1122 forbids an error.
    pub fn error_reply(&mut self, packet: &[u8], error: IcmpError, now: Instant) -> Option<ReplyBuffer> {
        let tick = self.clock.tick(now);
        match packet.first().map(|byte| byte >> 4) {
            Some(6) => Path::new(&mut self.core, &mut self.v6, tick).error_about_sent(packet, error),
            _ => Path::new(&mut self.core, &mut self.v4, tick).error_about_sent(packet, error),
        }
    }

    /// Whether [`Director::set_free_memory`] makes a difference.
    pub fn watches_memory(&self) -> bool {
        let Settings { drop_entry, drop_packet, secure_tcp, .. } = self.core.settings;
        [drop_entry, drop_packet, secure_tcp].contains(&Defence::WhenLow)
    }

    /// How much memory the host has free, in pages (the kernel's IPVS counts free and buffer memory); to be told about
    /// every second. What was never told is not low.
    pub fn set_free_memory(&mut self, pages: u64) {
        self.core.defences.set_free(pages);
    }

    /// Ends connections whose time has come, a bounded number in one call, estimates rates every two seconds and judges
    /// the defence every second: call again when `poll_timeout` says so.
    pub fn handle_timeout(&mut self, now: Instant) {
        let tick = self.clock.tick(now);
        Path::new(&mut self.core, &mut self.v4, tick).expire(TIMER_BUDGET);
        Path::new(&mut self.core, &mut self.v6, tick).expire(TIMER_BUDGET);
        self.sweep(tick);
        self.defend(tick);
        if tick >= self.next_estimate {
            self.core.registry.estimate();
            self.next_estimate = tick + u64::from(Estimator::INTERVAL * TICKS);
        }
    }

    /// Ends connections of removed destinations, some of them in each call.
    fn sweep(&mut self, tick: u64) {
        let Some(from) = self.sweep.take() else { return };
        let (v4, v6, to) = (self.v4.places(), self.v6.places(), from + SWEPT);
        let mut path = Path::new(&mut self.core, &mut self.v4, tick);
        (from.min(v4)..to.min(v4)).for_each(|place| path.end_departed(place as u32));
        let mut path = Path::new(&mut self.core, &mut self.v6, tick);
        (from.saturating_sub(v4)..to.saturating_sub(v4).min(v6)).for_each(|place| path.end_departed(place as u32));
        self.sweep = Some(to).filter(|to| *to < v4 + v6);
    }

    fn defend(&mut self, tick: u64) {
        let Core { defences, settings, .. } = &mut self.core;
        defences.turn(tick, settings, [self.v4.places(), self.v6.places()]);
        let [v4, v6] = [0, 1].map(|family| defences.take_looks(family, TIMER_BUDGET));
        if v4 + v6 > 0 {
            Path::new(&mut self.core, &mut self.v4, tick).thin_out(v4);
            Path::new(&mut self.core, &mut self.v6, tick).thin_out(v6);
        }
    }

    /// When to call `handle_timeout` next; any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let estimate = (!self.core.registry.is_empty()).then_some(self.next_estimate);
        let defence = self.core.defences.next(&self.core.settings);
        let sweep = self.sweep.map(|_| 0);
        let next = [self.v4.next_due(), self.v6.next_due(), estimate, defence, sweep].into_iter().flatten().min();
        self.clock.instant(next?)
    }

    /// `ipvsadm --set`: a zero leaves that time-out as it is. Connections take it over with their next packet.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        for (state, duration) in
            [(State::Established, timeouts.tcp), (State::FinWait, timeouts.tcp_fin), (State::Udp, timeouts.udp)]
        {
            if let Some(lifetime) = self.core.lifetimes.get_mut(state as usize).filter(|_| duration > Duration::ZERO) {
                *lifetime = ticks(duration);
            }
        }
    }

    /// The time-outs in force.
    pub fn timeouts(&self) -> Timeouts {
        let lifetime = |state: State| {
            let ticks = self.core.lifetimes.get(state as usize).copied().unwrap_or(0);
            Duration::from_secs(ticks.into()) / TICKS
        };
        Timeouts { tcp: lifetime(State::Established), tcp_fin: lifetime(State::FinWait), udp: lifetime(State::Udp) }
    }

    /// `ipvsadm -Z`: the counters of a service and its destinations, or of all, begin at zero; rates go on.
    pub fn zero(&mut self, id: Option<&ServiceId>) -> Result<(), Error> {
        self.core.registry.zero(id)
    }

    /// Changes the kernel-like settings.
    pub fn set_settings(&mut self, settings: Settings) {
        self.core.settings = settings;
        self.core.defences.judge(&settings);
    }

    /// `ipvsadm -A`.
    pub fn add_service(&mut self, config: ServiceConfig) -> Result<(), Error> {
        self.core.registry.add_service(config)
    }

    /// `ipvsadm -E`: the destinations stay; the scheduler starts anew if it is another.
    pub fn edit_service(&mut self, config: ServiceConfig) -> Result<(), Error> {
        self.core.registry.edit_service(config)
    }

    /// `ipvsadm -D`: the destinations go too; their connections wait for their return.
    pub fn remove_service(&mut self, id: &ServiceId) -> Result<(), Error> {
        self.core.registry.set_now(self.clock.latest());
        self.core.registry.remove_service(id)?;
        self.depart();
        Ok(())
    }

    /// `ipvsadm -a`: at the head of the service's list. A destination that was removed comes back with its counters while
    /// it has connections, and for two minutes.
    pub fn add_destination(&mut self, id: &ServiceId, config: DestinationConfig) -> Result<(), Error> {
        self.core.registry.set_now(self.clock.latest());
        self.core.registry.add_destination(id, config)
    }

    /// `ipvsadm -e`: found by address and port.
    pub fn edit_destination(&mut self, id: &ServiceId, config: DestinationConfig) -> Result<(), Error> {
        self.core.registry.edit_destination(id, config)
    }

    /// `ipvsadm -d`: its connections stay and their packets are dropped until it returns; with
    /// [`Settings::expire_nodest_conn`] they end.
    pub fn remove_destination(&mut self, id: &ServiceId, address: IpAddr, port: u16) -> Result<(), Error> {
        self.core.registry.set_now(self.clock.latest());
        self.core.registry.remove_destination(id, address, port)?;
        self.depart();
        Ok(())
    }

    fn depart(&mut self) {
        if self.core.settings.expire_nodest_conn {
            self.sweep = Some(0);
        }
    }

    /// All services, sorted by their addresses.
    pub fn services(&self) -> Vec<ServiceView> {
        let view = |service: &Service| ServiceView {
            config: service.config.clone(),
            stats: service.stats,
            rates: service.estimator.rates(),
        };
        self.core.registry.services().into_iter().map(view).collect()
    }

    /// A service's destinations in the order of its list.
    pub fn destinations(&self, id: &ServiceId) -> Result<Vec<DestinationView>, Error> {
        let registry = &self.core.registry;
        let service = registry.service_of(id)?;
        Ok(service.order.iter().filter_map(|&number| registry.destination(number)).map(DestinationView::from).collect())
    }

    /// All connections and templates as of `now`.
    pub fn connections(&self, now: Instant) -> impl Iterator<Item = ConnectionView> {
        let tick = self.clock.peek(now) as u32;
        let server = |destination| self.core.registry.destination(destination).map(|held| held.config.address);
        let v4 = self.v4.iter().map(move |entry| ConnectionView::new(entry, server(entry.destination), tick));
        v4.chain(self.v6.iter().map(move |entry| ConnectionView::new(entry, server(entry.destination), tick)))
    }

    /// How many connections and templates there are.
    pub fn connection_count(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// What the driver has to keep from the host's own stack, each sorted.
    pub fn claims(&self) -> Claims {
        let mut claims = Claims::default();
        for service in self.core.registry.services() {
            match service.config.id {
                ServiceId::Address(key) if service.takes_ftp_data() => {
                    claims.services.push(ServiceKey { port: 0, ..key });
                }
                ServiceId::Address(key) => claims.services.push(key),
                ServiceId::Fwmark(mark) => claims.marks.push(mark),
            }
            claims.sources.extend(service.sources.v4.iter().copied().map(IpAddr::V4));
            claims.sources.extend(service.sources.v6.iter().copied().map(IpAddr::V6));
        }
        claims.sources.sort_unstable();
        claims.sources.dedup();
        claims.servers = self.claimed_servers();
        claims
    }

    fn claimed_servers(&self) -> Vec<ServiceKey> {
        let nat = |destination: &&Destination| destination.method().is_two_way() || destination.local_port().is_some();
        let registry = &self.core.registry;
        let of_ftp = |held: &Destination| registry.service(held.owner).is_some_and(Service::takes_ftp_data);
        let answering = |held| answering(held, of_ftp(held));
        let mut servers: Vec<_> = registry.destinations().filter(nat).flat_map(answering).collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }
}

/// Where a destination's answers come from. What a mark stands for may go to any port, unless the destination has one; FTP's
/// data too.
fn answering(destination: &Destination, of_ftp: bool) -> Vec<ServiceKey> {
    let (address, port) = match (destination.local_port(), destination.service) {
        (Some(port), ServiceId::Address(key)) => (key.address, port),
        _ if of_ftp => (destination.config.address, 0),
        _ => (destination.config.address, destination.config.port),
    };
    let protocols = match &destination.service {
        ServiceId::Address(key) => std::slice::from_ref(&key.protocol),
        ServiceId::Fwmark(_) => &Protocol::ALL,
    };
    protocols.iter().map(|&protocol| ServiceKey { protocol, address, port }).collect()
}
