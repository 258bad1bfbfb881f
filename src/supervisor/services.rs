//! Health checking and forwarding: the checkers, their pools, and the table that follows them.

use super::traffic::TrafficWatch;
use super::{Outbox, addresses};
use crate::forwarder::{Choice, Forwarder};
use crate::health::{Health, Plan, Table, TableChange, World};
use crate::netlink;
use crate::track::TrackerReport;
use crate::track::file::{self, FileTracker, FileTrackers};
use crate::translate;
use standfast_parser::model::{Config, FlushOnStop, LvsBackend};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

pub(super) struct Services {
    health: Health,
    forwarder: Option<Forwarder>,
    /// `lvs_backend` at the start.
    backend: LvsBackend,
    /// `net_namespace_ipvs` at the start.
    namespace: Option<String>,
    /// Tells of addresses, from the first virtual server with `ha_suspend` on.
    netlink: Option<netlink::Handle>,
    /// There while a server is judged by its traffic.
    traffic: Option<TrafficWatch>,
    files: FileTrackers,
    followed: Vec<FileTracker>,
}

impl Services {
    /// Starts the forwarder and the checkers. Where nothing can forward, servers are still checked and told about.
    pub(super) fn start(plan: Plan, config: &Config, choice: Choice, outbox: &Outbox) -> Self {
        let forwarder = Forwarder::start(&choice);
        let table = forwarder.as_ref().map_or_else(|| Box::new(NoTable) as Box<dyn Table>, Forwarder::table);
        if let Some(forwarder) = &forwarder {
            instruct(forwarder, &plan, config);
        }
        let netlink = plan.watches_addresses().then(addresses::start).flatten();
        let present = netlink.as_ref().map(addresses::present).unwrap_or_default();
        let followed = file::prepare_checkers(config);
        let files = followed.iter().map(|tracker| (tracker.name.clone(), file::first_number(tracker)));
        let world = World { files: files.collect(), ..World::default() };
        let watches_traffic = plan.watches_traffic();
        let scheduling = translate::checkers::scheduling(&config.globals);
        let health = Health::start(plan, present, world, table, outbox.health.clone(), scheduling);
        let mut files = FileTrackers::new(report_files(health.file_line()));
        files.update(followed.clone());
        if let Some(netlink) = &netlink {
            addresses::follow(netlink, health.address_line());
        }
        let mut services = Self {
            health,
            forwarder,
            backend: choice.backend,
            namespace: choice.namespace,
            netlink,
            traffic: None,
            files,
            followed,
        };
        services.watch_traffic(watches_traffic);
        services
    }

    pub(super) fn load(&mut self, plan: Plan, config: &Config, told: Option<LvsBackend>) {
        let choice = Choice::of(config, told);
        if choice.backend != self.backend {
            warn!(target: "healthcheck", "lvs_backend cannot be changed by a reload; it counts from the next start on");
        }
        if choice.namespace != self.namespace {
            warn!(target: "healthcheck", "net_namespace_ipvs cannot be changed by a reload; it counts from the next start on");
        }
        if let Some(forwarder) = &self.forwarder {
            instruct(forwarder, &plan, config);
        }
        if self.netlink.is_none() && plan.watches_addresses() {
            self.netlink = addresses::start();
            if let Some(netlink) = &self.netlink {
                addresses::follow(netlink, self.health.address_line());
            }
        }
        self.watch_traffic(plan.watches_traffic());
        let wanted = file::prepare_checkers(config);
        let tell = self.health.file_line();
        let fresh = wanted.iter().filter(|tracker| !self.followed.iter().any(|old| old.name == tracker.name));
        fresh.for_each(|tracker| tell(&tracker.name, file::first_number(tracker)));
        self.health.load(plan);
        self.files.update(wanted.clone());
        self.followed = wanted;
    }

    fn watch_traffic(&mut self, wanted: bool) {
        let engine = self.forwarder.as_ref().and_then(Forwarder::embedded);
        self.traffic = match (engine, self.traffic.take()) {
            (Some(engine), None) if wanted => Some(TrafficWatch::start(engine.clone(), self.health.traffic_line())),
            (_, running) => running.filter(|_| wanted),
        };
    }

    /// Starts what watches files again, if it has ended; true when it had.
    pub(super) fn revive_trackers(&mut self) -> bool {
        self.files.revive()
    }

    pub(super) fn are_alive(&self) -> bool {
        self.health.is_alive() && self.forwarder.as_ref().is_none_or(Forwarder::is_alive)
    }

    /// The line to whoever forwards, if anybody does.
    pub(super) fn forwarder(&self) -> Option<Forwarder> {
        self.forwarder.clone()
    }

    /// Where services are forwarded, if not in the daemon's own namespace.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Ends the checks, empties the table unless it is to be left, ends what forwards.
    pub(super) async fn stop(self, patience: Duration, leaves: Leaves) {
        if let Some(forwarder) = self.forwarder.as_ref().filter(|_| leaves == Leaves::Everything) {
            forwarder.let_go();
        }
        if tokio::time::timeout(patience, self.health.stop()).await.is_err() {
            warn!(target: "healthcheck", "Health checking did not stop in time");
        }
        if let Some(forwarder) = self.forwarder {
            let flush = if let Leaves::Nothing(flush) = leaves { flush } else { FlushOnStop::No };
            let stopping = tokio::task::spawn_blocking(move || forwarder.stop(flush));
            if tokio::time::timeout(patience, stopping).await.is_err() {
                warn!(target: "healthcheck", "Forwarding did not stop in time");
            }
        }
    }
}

/// What of the table outlives the daemon where the kernel forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Our services stay (`--dont-release-ipvs`).
    Everything,
    /// They go; the whole table goes if the file says so.
    Nothing(FlushOnStop),
}

fn report_files(tell: impl Fn(&str, i32) + Send + Sync + 'static) -> TrackerReport {
    Arc::new(move |tracker, status| {
        if let (TrackerName::File(name), TrackerStatus::Value(value)) = (tracker, status) {
            tell(&name, value);
        }
    })
}

/// What a forwarder is told before its table changes.
fn instruct(forwarder: &Forwarder, plan: &Plan, config: &Config) {
    forwarder.set_timeouts(config.globals.lvs_timeouts);
    forwarder.set_sysctls(&config.globals.lvs_sysctls);
    forwarder.learn(plan);
    forwarder.outlive(config);
}

/// Where nothing forwards, pools go on for those who are told about them.
struct NoTable;

impl Table for NoTable {
    fn apply(&self, _: Vec<TableChange>) {}
}
