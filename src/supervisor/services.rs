//! Health checking and forwarding: the checkers, their pools, and the table that follows them.

use super::traffic::TrafficWatch;
use super::{Outbox, addresses};
use crate::dataplane::{self, Dataplane};
use crate::health::{Health, Plan, Table, TableChange, World};
use crate::netlink;
use crate::track::TrackerReport;
use crate::track::file::{self, FileTracker, FileTrackers};
use standfast_ipvs::Timeouts;
use standfast_parser::model::{Config, LvsTimeouts};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

pub(super) struct Services {
    health: Health,
    engine: Option<dataplane::Handle>,
    /// Tells of addresses, from the first virtual server with `ha_suspend` on.
    netlink: Option<netlink::Handle>,
    /// There while a server is judged by its traffic.
    traffic: Option<TrafficWatch>,
    files: FileTrackers,
    followed: Vec<FileTracker>,
}

impl Services {
    /// Starts the data plane and the checkers. Where the data plane cannot start, servers are still checked and told about.
    pub(super) fn start(plan: Plan, config: &Config, outbox: &Outbox) -> Self {
        let engine = match Dataplane::start(options(config)) {
            Ok(engine) => Some(engine),
            Err(problem) => {
                error!(target: "healthcheck", "Nothing will be forwarded: {problem}");
                None
            }
        };
        let table: Box<dyn Table> = match &engine {
            Some(engine) => Box::new(Engine(engine.clone())),
            None => Box::new(NoTable),
        };
        let netlink = plan.watches_addresses().then(addresses::start).flatten();
        let present = netlink.as_ref().map(addresses::present).unwrap_or_default();
        let followed = file::prepare_checkers(config);
        let files = followed.iter().map(|tracker| (tracker.name.clone(), file::first_number(tracker)));
        let world = World { files: files.collect(), ..World::default() };
        let watches_traffic = plan.watches_traffic();
        let health = Health::start(plan, present, world, table, outbox.health.clone());
        let mut files = FileTrackers::new(report_files(health.file_line()));
        files.update(followed.clone());
        if let Some(netlink) = &netlink {
            addresses::follow(netlink, health.address_line());
        }
        let mut services = Self { health, engine, netlink, traffic: None, files, followed };
        services.watch_traffic(watches_traffic);
        services.set_timeouts(config.globals.lvs_timeouts);
        services
    }

    pub(super) fn load(&mut self, plan: Plan, config: &Config) {
        self.set_timeouts(config.globals.lvs_timeouts);
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
        self.traffic = match (&self.engine, self.traffic.take()) {
            (Some(engine), None) if wanted => Some(TrafficWatch::start(engine.clone(), self.health.traffic_line())),
            (_, running) => running.filter(|_| wanted),
        };
    }

    /// Starts what watches files again, if it has ended; true when it had.
    pub(super) fn revive_trackers(&mut self) -> bool {
        self.files.revive()
    }

    pub(super) fn are_alive(&self) -> bool {
        self.health.is_alive() && self.engine.as_ref().is_none_or(dataplane::Handle::is_alive)
    }

    /// The line to the data plane, if it runs.
    pub(super) fn engine(&self) -> Option<dataplane::Handle> {
        self.engine.clone()
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Ends the checks, empties the table, ends the data plane.
    pub(super) async fn stop(self, patience: Duration) {
        if tokio::time::timeout(patience, self.health.stop()).await.is_err() {
            warn!(target: "healthcheck", "Health checking did not stop in time");
        }
        if let Some(engine) = self.engine {
            let stopping = tokio::task::spawn_blocking(move || engine.stop());
            if tokio::time::timeout(patience, stopping).await.is_err() {
                warn!(target: "healthcheck", "The data plane did not stop in time");
            }
        }
    }

    fn set_timeouts(&self, timeouts: LvsTimeouts) {
        if let Some(engine) = &self.engine {
            carry_out(engine, vec![dataplane::Command::SetTimeouts(timeouts_of(timeouts))]);
        }
    }
}

fn report_files(tell: impl Fn(&str, i32) + Send + Sync + 'static) -> TrackerReport {
    Arc::new(move |tracker, status| {
        if let (TrackerName::File(name), TrackerStatus::Value(value)) = (tracker, status) {
            tell(&name, value);
        }
    })
}

fn timeouts_of(configured: LvsTimeouts) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        tcp: configured.tcp.unwrap_or(default.tcp),
        tcp_fin: configured.tcpfin.unwrap_or(default.tcp_fin),
        udp: configured.udp.unwrap_or(default.udp),
    }
}

fn options(config: &Config) -> dataplane::Options {
    dataplane::Options { busy_poll: config.globals.lvs_busy_poll, ..dataplane::Options::default() }
}

/// The embedded engine as the pools' table.
struct Engine(dataplane::Handle);

impl Table for Engine {
    fn apply(&self, changes: Vec<TableChange>) {
        carry_out(&self.0, changes.into_iter().map(command_of).collect());
    }
}

/// Where the data plane could not start, pools go on for those who are told about them.
struct NoTable;

impl Table for NoTable {
    fn apply(&self, _: Vec<TableChange>) {}
}

fn command_of(change: TableChange) -> dataplane::Command {
    match change {
        TableChange::AddService(service) => dataplane::Command::AddService(service),
        TableChange::EditService(service) => dataplane::Command::EditService(service),
        TableChange::RemoveService(service) => dataplane::Command::RemoveService(service),
        TableChange::AddDestination(service, server) => dataplane::Command::AddDestination(service, server),
        TableChange::EditDestination(service, server) => dataplane::Command::EditDestination(service, server),
        TableChange::RemoveDestination(service, server) => {
            dataplane::Command::RemoveDestination { service, address: server.ip(), port: server.port() }
        }
    }
}

/// Gives orders and logs the refusals when they come, without waiting for them.
fn carry_out(engine: &dataplane::Handle, commands: Vec<dataplane::Command>) {
    let answers = engine.apply(commands.clone());
    tokio::spawn(async move {
        // A sender that vanished is a data plane that was stopped.
        let answers = answers.await.unwrap_or_default();
        for (command, answer) in commands.iter().zip(answers) {
            if let Err(problem) = answer {
                error!(target: "healthcheck", "The forwarding table refuses {command:?}: {problem}");
            }
        }
    });
}
