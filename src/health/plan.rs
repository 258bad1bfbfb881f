//! What the checkers, the pools and the table shall be, derived from a configuration.

use super::easing::Passive;
use super::facts::{Follow, Source, World};
use super::ids::{Ids, ServiceName, service_name};
use crate::translate::checkers::{self, Names, Prepare};
use crate::translate::{engine, group, names};
use standfast_checkers::pool::{PoolChecker, PoolConfig, ServerConfig, ServerId};
use standfast_checkers::script::Command;
use standfast_checkers::{CheckerId, CheckerSpec, ProbeSpec, TlsIdentity};
use standfast_ipvs::{DestinationConfig, ServiceConfig, ServiceId};
use standfast_parser::model::{CheckerKind, Config, Family, PassiveHealth, Protocol, RealServer, VirtualServer};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Everything about checks and forwarding that a configuration asks for.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Virtual servers in file order.
    pub services: Vec<PlannedService>,
    /// All checkers.
    pub checkers: Vec<CheckerSpec>,
    /// What cannot be done, to be logged.
    pub warnings: Vec<String>,
}

/// One virtual server.
#[derive(Debug, Clone)]
pub struct PlannedService {
    /// Identity over reloads.
    pub name: ServiceName,
    /// `[vip]:tcp:80`.
    pub label: String,
    /// The engine's services: several for a group, none where the engine cannot forward it.
    pub engines: Vec<ServiceConfig>,
    /// Name and entries of its `virtual_server_group`.
    pub group: Option<(String, Vec<String>)>,
    /// `ha_suspend`: ranges of addresses; it is checked while one of them is present. `None` checks always.
    pub watched: Option<Vec<(IpAddr, IpAddr)>>,
    /// The pool.
    pub pool: PoolConfig,
    /// What the pool's servers are besides.
    pub members: BTreeMap<ServerId, Member>,
    /// `ip_family`, for marks whose servers are all at ends of tunnels: whether it is IPv6.
    pub ipv6: Option<bool>,
    /// The sorry server's destination.
    pub sorry: Option<DestinationConfig>,
    /// `quorum_up`.
    pub quorum_up: Option<Command>,
    /// `quorum_down`.
    pub quorum_down: Option<Command>,
    /// `smtp_alert` of the virtual server.
    pub smtp_alert: bool,
    /// `no_checker_emails`: mails about servers only when their state changes.
    pub only_changes_by_mail: bool,
    /// Checkers that follow what others watch.
    pub follows: Vec<Follow>,
}

impl PlannedService {
    /// Gives checkers that follow something what is known about it.
    pub(super) fn inform(&mut self, world: &World) {
        for follow in &self.follows {
            let mut checkers = self.pool.servers.iter_mut().flat_map(|server| &mut server.checkers);
            if let Some(checker) = checkers.find(|checker| checker.id == follow.checker) {
                checker.known = world.fact(&follow.source);
            }
        }
    }

    /// The name of the server that a checker belongs to.
    pub(super) fn label_of(&self, id: CheckerId) -> Option<&str> {
        let has = |server: &&ServerConfig| server.checkers.iter().any(|checker| checker.id == id);
        self.pool.servers.iter().find(has).map(|server| server.name.as_str())
    }

    /// Whether one of its servers, or its sorry server, stands at this place in one of its services.
    #[must_use]
    pub fn serves_by(&self, service: &ServiceId, place: SocketAddr) -> bool {
        let at = |destination: &DestinationConfig| {
            let here = group::destination_of(service, destination);
            SocketAddr::new(here.address, here.port) == place
        };
        let members = self.members.values().filter_map(|member| member.destination.as_ref());
        members.chain(&self.sorry).any(at)
    }

    /// Every checker of its servers.
    pub fn checkers(&self) -> impl Iterator<Item = CheckerId> + '_ {
        self.pool.servers.iter().flat_map(|server| &server.checkers).map(|checker| checker.id)
    }
}

/// A real server.
#[derive(Debug, Clone)]
pub struct Member {
    /// `[rip]:tcp:80`.
    pub label: String,
    /// The engine's destination.
    pub destination: Option<DestinationConfig>,
    /// `notify_up`.
    pub notify_up: Option<Command>,
    /// `notify_down`.
    pub notify_down: Option<Command>,
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// Its checkers in file order, with the names of their kinds.
    pub checkers: Vec<(CheckerId, &'static str)>,
    /// `slow_start`.
    pub slow_start: Option<Duration>,
    /// `drain_timeout`.
    pub drain: Option<Duration>,
    /// `passive_health`.
    pub passive: Option<Passive>,
}

impl Member {
    /// Its address and port.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.destination.as_ref().map(|destination| SocketAddr::new(destination.address, destination.port))
    }
}

impl Plan {
    /// Whether any service waits for its address (`ha_suspend`).
    #[must_use]
    pub fn watches_addresses(&self) -> bool {
        self.services.iter().any(|service| service.watched.is_some())
    }

    /// Whether any server is judged by its traffic (`passive_health`).
    #[must_use]
    pub fn watches_traffic(&self) -> bool {
        self.services.iter().any(|service| service.members.values().any(|member| member.passive.is_some()))
    }

    /// Has checks over TLS show this certificate to servers that ask for one.
    #[must_use]
    pub fn with_identity(mut self, identity: Option<&TlsIdentity>) -> Self {
        for checker in &mut self.checkers {
            match &mut checker.probe {
                ProbeSpec::Http(http) if http.tls => http.identity = identity.cloned(),
                ProbeSpec::Grpc(grpc) if grpc.tls => grpc.identity = identity.cloned(),
                _ => {}
            }
        }
        self
    }

    /// Plans a configuration. Identities come from `ids`, which outlives the plan.
    pub fn new(config: &Config, ids: &mut Ids, prepare: &mut Prepare<'_>) -> Self {
        let mut planner = Planner { config, ids, prepare, plan: Self::default(), served: BTreeSet::new() };
        for server in &config.virtual_servers {
            planner.service(server);
        }
        planner.forget_absent();
        planner.plan
    }
}

struct Planner<'a, 'p> {
    config: &'a Config,
    ids: &'a mut Ids,
    prepare: &'a mut Prepare<'p>,
    plan: Plan,
    /// What earlier services have the engine serve.
    served: BTreeSet<ServiceId>,
}

impl Planner<'_, '_> {
    fn service(&mut self, service: &VirtualServer) {
        let group = group::of(service, &self.config.virtual_server_groups);
        let transport = names::transport(service, group);
        let label = names::virtual_server(service);
        let engines = self.engines(&label, service, group);
        let mut planned = PlannedService {
            name: service_name(service),
            engines,
            group: group.map(|group| (group.name.clone(), group::entry_names(service, group))),
            watched: group::watched(service, group),
            pool: checkers::pool(service, transport, self.config.globals.rs_init_notifies),
            members: BTreeMap::new(),
            ipv6: service.family.map(|family| family == Family::V6),
            sorry: service.sorry_server.as_ref().map(|sorry| engine::sorry(service, sorry)),
            quorum_up: self.command(service.quorum_up.as_deref()),
            quorum_down: self.command(service.quorum_down.as_deref()),
            smtp_alert: service.smtp_alert,
            only_changes_by_mail: self.config.globals.no_checker_emails,
            follows: Vec::new(),
            label,
        };
        for nth in 0..service.real_servers.len() {
            self.server(service, nth, transport, &mut planned);
        }
        self.plan.services.push(planned);
    }

    fn server(&mut self, service: &VirtualServer, nth: usize, transport: Option<Protocol>, into: &mut PlannedService) {
        let Some((server, before)) = service.real_servers.get(..=nth).and_then(<[_]>::split_last) else { return };
        let twins = before.iter().filter(|other| other.address == server.address).count();
        let id = self.ids.server((into.name.clone(), server.address, twins));
        let names = Names { server: names::socket(server.address, transport), service: into.label.clone() };
        let (checks, kinds): (Vec<_>, Vec<_>) =
            self.checkers(id, server, &names, &mut into.follows).into_iter().unzip();
        let member = self.member((service, server), &names, checks.iter().map(|check| check.id).zip(kinds).collect());
        into.members.insert(id, member);
        into.pool.servers.push(checkers::server(id, server, &names.server, checks));
    }

    /// What the engine serves, without what an earlier virtual server has already.
    fn engines(
        &mut self,
        label: &str,
        service: &VirtualServer,
        group: Option<&standfast_parser::model::VirtualServerGroup>,
    ) -> Vec<ServiceConfig> {
        if group.is_some_and(group::is_too_large) {
            self.warn(format!("VS {label}: only the first {} addresses of its group are served", group::MOST_SERVICES));
        }
        let services = self.possible(label, group::services(service, group)).unwrap_or_default();
        let (fresh, taken): (Vec<_>, Vec<_>) = services.into_iter().partition(|found| self.served.insert(found.id));
        if let Some(first) = taken.first() {
            let name = names::engine_service(&first.id);
            self.warn(format!(
                "VS {label}: {name} is served by an earlier virtual server already ({} in all)",
                taken.len()
            ));
        }
        fresh
    }

    fn checkers(
        &mut self,
        id: ServerId,
        server: &RealServer,
        names: &Names,
        follows: &mut Vec<Follow>,
    ) -> Vec<(PoolChecker, &'static str)> {
        let log_all = self.config.globals.checker_log_all_failures;
        let mut checks = Vec::new();
        for (nth, checker) in server.checkers.iter().enumerate() {
            let kind = checker.kind.keyword();
            let twins = server.checkers.iter().take(nth).filter(|other| other.kind.keyword() == kind).count();
            let checker_id = self.ids.checker(id, &checker.kind, twins);
            let source = self.source(&checker.kind);
            let spec = checkers::spec(checker_id, checker, names, log_all, self.prepare);
            if source.is_some() || spec.is_some() {
                checks.push((PoolChecker::new(checker_id, checker.alpha), kind));
            }
            follows.extend(source.map(|source| Follow { checker: checker_id, source }));
            self.plan.checkers.extend(spec);
        }
        checks
    }

    /// What a checker without attempts follows.
    fn source(&self, kind: &CheckerKind) -> Option<Source> {
        match kind {
            CheckerKind::File(tracked) => {
                let file = self.config.track_files.iter().find(|file| file.name == tracked.name)?;
                let (weight, reverse) = tracked.weighed((file.weight, file.reverse));
                Some(Source::File { name: file.name.clone(), weight, reverse })
            }
            CheckerKind::Bfd(name) => Some(Source::Bfd { name: name.clone() }),
            _ => None,
        }
    }

    fn member(
        &mut self,
        (service, server): (&VirtualServer, &RealServer),
        names: &Names,
        checkers: Vec<(CheckerId, &'static str)>,
    ) -> Member {
        Member {
            label: names.server.clone(),
            destination: Some(engine::destination(service, server)),
            notify_up: self.command(server.notify_up.as_deref()),
            notify_down: self.command(server.notify_down.as_deref()),
            smtp_alert: server.smtp_alert,
            checkers,
            slow_start: server.slow_start,
            drain: server.drain_timeout,
            passive: server.passive_health.map(passive),
        }
    }

    fn command(&mut self, script: Option<&standfast_parser::model::Script>) -> Option<Command> {
        script.and_then(|script| (self.prepare)(script))
    }

    fn possible<T>(&mut self, label: &str, result: Result<T, engine::NotForwarded>) -> Option<T> {
        result.map_err(|reason| self.warn(format!("VS {label} is checked but not forwarded: {reason}"))).ok()
    }

    fn warn(&mut self, warning: String) {
        if !self.plan.warnings.contains(&warning) {
            self.plan.warnings.push(warning);
        }
    }

    fn forget_absent(&mut self) {
        let living = self.plan.services.iter().flat_map(|service| service.members.keys().copied()).collect();
        self.ids.retain(&living);
    }
}

fn passive(rule: PassiveHealth) -> Passive {
    Passive { failures: rule.failures, window: rule.window, suspend: rule.suspend }
}
