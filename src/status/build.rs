//! From what the parts say of themselves to one picture.

use super::journal::milliseconds;
use super::model::{
    Attempts, Change, Check, Engine, Group, Instance, Master, Note, Notifications, Reloads, Rival, Server, Service,
    Session, Statistics, Status, SyncDaemons, Timer, Traffic, Vote,
};
use crate::dataplane::{ServiceSnapshot, Snapshot};
use crate::health::{CheckReport, ServerReport, ServiceReport};
use crate::logging::clock::time_of;
use crate::translate::{group, names};
use crate::vrrp::Views;
use standfast_ipvs::{DestinationView, DropReason, ServiceId, Stats};
use standfast_parser::model::{Config, VirtualAddress};
use standfast_vrrp::bfd::SessionView;
use standfast_vrrp::priority::Ballot;
use standfast_vrrp::{Family, RouterView};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What a picture is made of.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The configuration that runs.
    pub config: &'a Config,
    /// Its path.
    pub path: &'a str,
    /// Name of the host.
    pub host: &'a str,
    /// When the daemon started.
    pub started: SystemTime,
    /// When the configuration was applied.
    pub configured: SystemTime,
    /// Number of the latest event.
    pub latest_event: u64,
    /// VRRP.
    pub views: &'a Views,
    /// BFD.
    pub sessions: &'a [SessionView],
    /// Pools.
    pub reports: &'a [ServiceReport],
    /// The engine.
    pub engine: Option<&'a Snapshot>,
    /// Announcements by router; `None` when they are not known.
    pub announced: Option<&'a BTreeMap<Arc<str>, u64>>,
    /// Reloads.
    pub reloads: Reloads,
    /// Scripts, mails, FIFO records.
    pub notifications: Notifications,
    /// The sync daemons.
    pub sync: Option<SyncDaemons>,
    /// Who forwards, by the word of `lvs_backend`.
    pub forwarder: Option<&'static str>,
    /// The present on both clocks.
    pub now: (Instant, SystemTime),
}

impl Sources<'_> {
    fn at_ms(&self, at: Instant) -> u64 {
        milliseconds(time_of(at, self.now))
    }

    fn snapshots(&self) -> &[ServiceSnapshot] {
        self.engine.map_or(&[], |engine| engine.services.as_slice())
    }
}

/// The picture.
#[must_use]
pub fn picture(sources: &Sources<'_>) -> Status {
    let planned: Vec<Service> = sources.reports.iter().map(|report| service(sources, report)).collect();
    Status {
        version: crate::cli::VERSION.to_owned(),
        host: sources.host.to_owned(),
        pid: std::process::id(),
        now_at_ms: milliseconds(sources.now.1),
        started_at_ms: milliseconds(sources.started),
        configured_at_ms: milliseconds(sources.configured),
        configuration: sources.path.to_owned(),
        latest_event: sources.latest_event,
        instances: sources.views.routers.iter().map(|router| instance(sources, router)).collect(),
        groups: groups(sources.views),
        sessions: sources.sessions.iter().map(|view| session(sources, view)).collect(),
        services: planned.into_iter().chain(by_hand(sources)).collect(),
        forwarder: sources.forwarder.map(ToOwned::to_owned),
        engine: sources.engine.filter(|_| sources.forwarder != Some("kernel")).map(engine),
        reloads: sources.reloads,
        notifications: sources.notifications,
        sync: sources.sync.clone(),
    }
}

fn instance(sources: &Sources<'_>, router: &RouterView) -> Instance {
    let config = sources.config.instances.iter().find(|instance| *instance.name == *router.name);
    let addresses = |list: &[VirtualAddress]| list.iter().map(address).collect();
    Instance {
        name: router.name.to_string(),
        interface: sources.views.interface_name(router.link).to_owned(),
        vrid: router.vrid,
        family: if router.family == Family::V4 { 4 } else { 6 },
        protocol: router.version.number(),
        state: router.state.to_string(),
        base_priority: router.base_priority,
        effective_priority: router.effective_priority,
        votes: router.votes.iter().map(vote).collect(),
        waits_for: router.waiting_for.as_ref().map(ToString::to_string),
        addresses: config.map(|config| addresses(&config.addresses)).unwrap_or_default(),
        excluded_addresses: config.map(|config| addresses(&config.excluded_addresses)).unwrap_or_default(),
        source: router.source,
        master: router.master.map(|(address, priority)| Master { address, priority }),
        rival: router.rival.as_ref().map(|found| rival(sources, found)),
        preempts: config.is_none_or(|config| config.preempt),
        preempts_at_ms: router.preempt_at.map(|at| sources.at_ms(at)),
        advert_interval_ms: whole(router.master_interval.as_millis()),
        master_down_ms: whole(router.master_down.as_millis()),
        next: router.next().map(|(at, reason)| Timer { at_ms: sources.at_ms(at), reason: reason.to_string() }),
        group: router.group.as_ref().map(ToString::to_string),
        wants_master: router.wants_master,
        history: router.history.iter().map(|change| transition(sources, change)).collect(),
        statistics: statistics(&router.statistics),
        announcements: sources.announced.map(|sent| sent.get(&router.name).copied().unwrap_or(0)),
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn address(address: &VirtualAddress) -> String {
    format!("{}/{}", address.address, address.prefix_len)
}

fn vote(vote: &standfast_vrrp::priority::Vote) -> Vote {
    let (effect, adjustment) = match vote.ballot() {
        Ballot::Adjust(by) => ("adjust", by),
        Ballot::Fault => ("fault", 0),
        Ballot::Pending => ("pending", 0),
    };
    Vote {
        tracker: vote.tracker.to_string(),
        weight: vote.weight,
        reverse: vote.reverse,
        verdict: super::verdict(vote.status),
        effect: effect.to_owned(),
        adjustment,
        of_group: vote.from_group,
    }
}

fn rival(sources: &Sources<'_>, rival: &standfast_vrrp::Rival) -> Rival {
    Rival {
        address: rival.address,
        priority: rival.priority,
        refused: rival.refused.as_ref().map(ToString::to_string),
        since_at_ms: sources.at_ms(rival.since),
        heard_at_ms: sources.at_ms(rival.at),
        adverts: rival.adverts,
    }
}

fn transition(sources: &Sources<'_>, change: &standfast_vrrp::Transition) -> Change {
    Change {
        at_ms: sources.at_ms(change.at),
        from: change.from.to_string(),
        to: change.to.to_string(),
        reason: change.reason.to_string(),
    }
}

fn statistics(counters: &standfast_vrrp::Statistics) -> Statistics {
    Statistics {
        advert_rcvd: counters.adverts_received,
        advert_sent: counters.adverts_sent,
        become_master: counters.became_master,
        release_master: counters.released_master,
        packet_len_err: counters.length_errors,
        advert_interval_err: counters.interval_errors,
        ip_ttl_err: counters.ttl_errors,
        invalid_type_rcvd: counters.type_errors,
        chk_err: counters.checksum_errors,
        addr_list_err: counters.address_errors,
        invalid_authtype: counters.unknown_authentication,
        authtype_mismatch: counters.authentication_mismatches,
        auth_failure: counters.authentication_failures,
        pri_zero_rcvd: counters.priority_zero_received,
        pri_zero_sent: counters.priority_zero_sent,
    }
}

fn groups(views: &Views) -> Vec<Group> {
    let name = |id| views.routers.iter().find(|router| router.id == id).map(|router| router.name.to_string());
    let group = |group: &standfast_vrrp::GroupView| Group {
        name: group.name.to_string(),
        state: group.state.to_string(),
        members: group.members.iter().filter_map(|id| name(*id)).collect(),
    };
    views.groups.iter().map(group).collect()
}

fn session(sources: &Sources<'_>, view: &SessionView) -> Session {
    Session {
        name: view.config.name.clone(),
        neighbor: view.config.neighbor,
        state: view.state.to_string(),
        remote_state: view.remote_state.to_string(),
        diagnostic: view.diagnostic.to_string(),
        since_at_ms: sources.at_ms(view.since),
    }
}

fn service(sources: &Sources<'_>, report: &ServiceReport) -> Service {
    let held = sources.snapshots().iter().filter(|held| report.engines.contains(&held.service.config.id));
    let held: Vec<&ServiceSnapshot> = held.collect();
    let servers: Vec<Server> = report.servers.iter().map(|server| server_of(sources, server, &held)).collect();
    let living = report.servers.iter().filter(|server| server.alive).map(|server| u64::from(server.weight)).sum();
    Service {
        name: report.service.clone(),
        by_hand: false,
        forwarded: !held.is_empty(),
        scheduler: held.first().map_or_else(String::new, |held| held.service.config.scheduler.name().to_owned()),
        quorum: report.quorum,
        needed: report.needed,
        living,
        sorry: report.sorry.clone(),
        sorry_serves: report.sorry_serves,
        traffic: held.iter().fold(Traffic::default(), |sum, held| sum + traffic(&held.service.stats)),
        servers,
    }
}

fn server_of(sources: &Sources<'_>, server: &ServerReport, held: &[&ServiceSnapshot]) -> Server {
    let found: Vec<&DestinationView> = held.iter().filter_map(|held| entry_of(server, held)).collect();
    Server {
        name: server.name.clone(),
        alive: server.alive,
        weight: server.shown,
        full_weight: server.weight,
        notes: notes(sources, server),
        checks: server.checks.iter().map(|report| check(sources, report)).collect(),
        active: found.iter().map(|view| u64::from(view.active)).sum(),
        inactive: found.iter().map(|view| u64::from(view.inactive)).sum(),
        traffic: found.iter().fold(Traffic::default(), |sum, view| sum + traffic(&view.stats)),
    }
}

/// The engine's entry of a server in one of its services.
fn entry_of<'s>(server: &ServerReport, held: &&'s ServiceSnapshot) -> Option<&'s DestinationView> {
    let here = group::destination_of(&held.service.config.id, server.destination.as_ref()?);
    held.destinations.iter().find(|view| (view.config.address, view.config.port) == (here.address, here.port))
}

fn notes(sources: &Sources<'_>, server: &ServerReport) -> Vec<Note> {
    let until = |at: Option<Instant>| at.map(|at| sources.at_ms(at));
    let note = |what: String, at| Note { what, until_at_ms: until(at) };
    let ordered = server.ordered.map(|(weight, at)| match weight {
        0 if server.cut => note("drained by order".to_owned(), None),
        0 => note("draining by order".to_owned(), at),
        weight => note(format!("weight {weight} by order"), at),
    });
    let draining = server.draining.map(|at| note("draining".to_owned(), Some(at)));
    let suspended = server.suspended.map(|at| note("suspended by its traffic".to_owned(), Some(at)));
    let paused = server.paused.map(|at| note("checks paused".to_owned(), at));
    ordered.into_iter().chain(draining).chain(suspended).chain(paused).collect()
}

fn check(sources: &Sources<'_>, report: &CheckReport) -> Check {
    Check {
        kind: report.kind.to_owned(),
        up: report.up,
        since_at_ms: report.verdict.as_ref().map(|verdict| sources.at_ms(verdict.at)),
        reason: report.verdict.as_ref().map(|verdict| verdict.reason.clone()).unwrap_or_default(),
        attempts: report.tally.map(|tally| Attempts {
            ended: tally.attempts,
            failed: tally.failures,
            latest_us: tally.latest.map(|took| whole(took.as_micros())),
        }),
    }
}

/// What stands in the engine and in no pool.
fn by_hand<'a>(sources: &'a Sources<'_>) -> impl Iterator<Item = Service> + 'a {
    let planned: BTreeSet<ServiceId> =
        sources.reports.iter().flat_map(|report| report.engines.iter().copied()).collect();
    let others = sources.snapshots().iter().filter(move |held| !planned.contains(&held.service.config.id));
    others.map(|held| Service {
        name: names::engine_service(&held.service.config.id),
        by_hand: true,
        forwarded: true,
        scheduler: held.service.config.scheduler.name().to_owned(),
        quorum: true,
        needed: 0,
        living: held.destinations.iter().map(|view| u64::from(view.config.weight)).sum(),
        sorry: None,
        sorry_serves: false,
        traffic: traffic(&held.service.stats),
        servers: held.destinations.iter().map(|view| server_by_hand(&held.service.config.id, view)).collect(),
    })
}

fn server_by_hand(id: &ServiceId, view: &DestinationView) -> Server {
    let address = SocketAddr::new(view.config.address, view.config.port);
    Server {
        name: names::socket(address, names::engine_protocol(id)),
        alive: true,
        weight: Some(view.config.weight),
        full_weight: view.config.weight,
        notes: Vec::new(),
        checks: Vec::new(),
        active: u64::from(view.active),
        inactive: u64::from(view.inactive),
        traffic: traffic(&view.stats),
    }
}

fn traffic(stats: &Stats) -> Traffic {
    Traffic {
        connections: stats.connections,
        packets_in: stats.in_packets,
        packets_out: stats.out_packets,
        bytes_in: stats.in_bytes,
        bytes_out: stats.out_bytes,
    }
}

fn engine(snapshot: &Snapshot) -> Engine {
    let driver = &snapshot.driver;
    let dropped = DropReason::ALL.iter().map(|reason| (reason.to_string(), snapshot.engine.dropped(*reason)));
    Engine {
        connections: whole(snapshot.connections as u128),
        carried_connections: whole(snapshot.carried as u128),
        carried_packets: driver.carried,
        received: driver.received,
        sent: driver.sent,
        reinjected: driver.reinjected,
        overflowed: driver.overflowed,
        unsent: driver.refused + driver.unreachable,
        dropped: dropped.filter(|(_, count)| *count > 0).collect(),
        ended_in_defence: snapshot.engine.ended_in_defence,
        restarts: driver.restarts,
    }
}

impl std::ops::Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            packets_in: self.packets_in + other.packets_in,
            packets_out: self.packets_out + other.packets_out,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
        }
    }
}
