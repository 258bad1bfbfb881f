//! What the checkers, the pools and the table shall be, derived from a configuration.

use super::ids::{Ids, ServiceName, kind_name, service_name};
use crate::translate::checkers::{self, Prepare};
use crate::translate::{engine, names};
use standfast_checkers::CheckerSpec;
use standfast_checkers::pool::{PoolChecker, PoolConfig, ServerId};
use standfast_checkers::script::Command;
use standfast_ipvs::{DestinationConfig, ServiceConfig};
use standfast_parser::model::{Config, RealServer, VirtualServer};
use std::collections::BTreeMap;

/// Everything about checks and forwarding that a configuration asks for.
#[derive(Debug, Default)]
pub struct Plan {
    /// Virtual servers in file order.
    pub services: Vec<PlannedService>,
    /// All checkers.
    pub checkers: Vec<CheckerSpec>,
    /// What cannot be done, to be logged.
    pub warnings: Vec<String>,
}

/// One virtual server.
#[derive(Debug)]
pub struct PlannedService {
    /// Identity over reloads.
    pub name: ServiceName,
    /// `[vip]:tcp:80`.
    pub label: String,
    /// The engine's service; `None` where the engine cannot forward it.
    pub engine: Option<ServiceConfig>,
    /// The pool.
    pub pool: PoolConfig,
    /// What the pool's servers are besides.
    pub members: BTreeMap<ServerId, Member>,
    /// The sorry server's destination.
    pub sorry: Option<DestinationConfig>,
    /// `quorum_up`.
    pub quorum_up: Option<Command>,
    /// `quorum_down`.
    pub quorum_down: Option<Command>,
    /// `smtp_alert` of the virtual server.
    pub smtp_alert: bool,
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
    /// It has checkers.
    pub checked: bool,
}

impl Plan {
    /// Plans a configuration. Identities come from `ids`, which outlives the plan.
    pub fn new(config: &Config, ids: &mut Ids, prepare: &mut Prepare<'_>) -> Self {
        let mut planner = Planner { config, ids, prepare, plan: Self::default() };
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
}

impl Planner<'_, '_> {
    fn service(&mut self, service: &VirtualServer) {
        let name = service_name(service);
        let label = names::virtual_server(service);
        let engine = self.possible(&label, engine::service(service));
        let mut pool = checkers::pool(service);
        let mut members = BTreeMap::new();
        for (nth, server) in service.real_servers.iter().enumerate() {
            let twins = service.real_servers.iter().take(nth).filter(|other| other.address == server.address).count();
            let id = self.ids.server((name.clone(), server.address, twins));
            let checks = self.checkers(id, server, service);
            members.insert(id, self.member(server, service, &label, !checks.is_empty()));
            pool.servers.push(checkers::server(id, server, service, checks));
        }
        let sorry = service.sorry_server.as_ref().and_then(|sorry| self.possible(&label, engine::sorry(sorry)));
        let quorum_up = self.command(service.quorum_up.as_ref());
        let quorum_down = self.command(service.quorum_down.as_ref());
        let smtp_alert = service.smtp_alert;
        self.plan.services.push(PlannedService {
            name,
            label,
            engine,
            pool,
            members,
            sorry,
            quorum_up,
            quorum_down,
            smtp_alert,
        });
    }

    fn checkers(&mut self, id: ServerId, server: &RealServer, service: &VirtualServer) -> Vec<PoolChecker> {
        let log_all = self.config.globals.checker_log_all_failures;
        let mut checks = Vec::new();
        for (nth, checker) in server.checkers.iter().enumerate() {
            let kind = kind_name(&checker.kind);
            let twins = server.checkers.iter().take(nth).filter(|other| kind_name(&other.kind) == kind).count();
            let checker_id = self.ids.checker(id, &checker.kind, twins);
            let spec = checkers::spec(checker_id, checker, server, service, log_all, self.prepare);
            if let Some(spec) = spec {
                checks.push(PoolChecker { id: checker_id, alpha: checker.alpha });
                self.plan.checkers.push(spec);
            }
        }
        checks
    }

    fn member(&mut self, server: &RealServer, service: &VirtualServer, label: &str, checked: bool) -> Member {
        Member {
            label: names::socket(server.address, service.protocol),
            destination: self.possible(label, engine::destination(server)),
            notify_up: self.command(server.notify_up.as_ref()),
            notify_down: self.command(server.notify_down.as_ref()),
            smtp_alert: server.smtp_alert,
            checked,
        }
    }

    fn command(&mut self, script: Option<&standfast_parser::model::Script>) -> Option<Command> {
        script.and_then(|script| (self.prepare)(script))
    }

    fn possible<T>(&mut self, label: &str, result: Result<T, engine::NotForwarded>) -> Option<T> {
        result
            .map_err(|reason| {
                let warning = format!("VS {label} is checked but not forwarded: {reason}");
                if !self.plan.warnings.contains(&warning) {
                    self.plan.warnings.push(warning);
                }
            })
            .ok()
    }

    fn forget_absent(&mut self) {
        let living = self.plan.services.iter().flat_map(|service| service.members.keys().copied()).collect();
        self.ids.retain(&living);
    }
}
