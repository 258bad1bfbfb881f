//! Health checks at work: checkers report, pools judge, the forwarding table and the notifier follow.
//!
//! One task owns the pools; it never waits for a script, a mail or the table.

mod easing;
mod effect;
mod facts;
mod farm;
mod ids;
mod operate;
mod orders;
mod plan;
mod report;
mod service;
#[cfg(test)]
mod tests;
mod threads;

pub use easing::Passive;
pub use effect::{FarmEffect, HealthEvent, NoteKind, Table, TableChange};
pub use facts::{Follow, Source, World};
pub use farm::Farm;
pub use ids::{Ids, ServiceName, service_name};
pub use orders::{ServerAction, ServerOrder};
pub use plan::{Plan, PlannedService};
pub use report::{CheckReport, ServerReport, ServiceReport, Verdict};

use crate::scheduling::Scheduling;
use standfast_checkers::{CheckEvent, Runner};
use standfast_ipvs::ServiceId;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use threads::Threads;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The running health checks.
#[derive(Debug)]
pub struct Health {
    orders: UnboundedSender<Order>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Load(Plan),
    Addresses(BTreeSet<IpAddr>),
    File(String, i32),
    Bfd(String, bool),
    Traffic(Vec<Failing>),
    Obey(ServerOrder, oneshot::Sender<Result<Vec<String>, String>>),
    Reports(oneshot::Sender<Vec<ServiceReport>>),
    Rehearse(oneshot::Sender<Farm>),
    Stop,
}

/// Connections that failed at a destination of the engine since it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// The engine's service.
    pub service: ServiceId,
    /// The destination.
    pub server: SocketAddr,
    /// Their number.
    pub total: u64,
}

impl Health {
    /// Starts the checkers of a plan, on a host with these addresses: their pools on the current tokio runtime, their probes on
    /// threads that are scheduled as told. Servers enter the table before their first check, unless they are in alpha mode.
    pub fn start(
        plan: Plan,
        addresses: BTreeSet<IpAddr>,
        world: World,
        table: Box<dyn Table>,
        outbox: UnboundedSender<HealthEvent>,
        scheduling: Option<Scheduling>,
    ) -> Self {
        let (orders, inbox) = unbounded_channel();
        let (events, verdicts) = unbounded_channel();
        let threads = Threads::start(scheduling);
        let runner = threads.run(events);
        let keeper = Keeper { farm: Farm::new(world), runner, addresses, table, outbox, _threads: threads };
        let task = tokio::spawn(keeper.run(plan, inbox, verdicts));
        Self { orders, task }
    }

    /// Takes another plan by differences.
    pub fn load(&self, plan: Plan) {
        self.order(Order::Load(plan));
    }

    /// Takes the addresses that this host has: checkers with `ha_suspend` run while one of theirs is among them.
    pub fn address_line(&self) -> impl Fn(BTreeSet<IpAddr>) + Send + 'static {
        let orders = self.orders.clone();
        // Health checking may have ended before the one who tells of addresses.
        move |present| drop(orders.send(Order::Addresses(present)))
    }

    /// Takes the number of a tracked file.
    pub fn file_line(&self) -> impl Fn(&str, i32) + Send + Sync + 'static {
        let orders = self.orders.clone();
        move |name, value| drop(orders.send(Order::File(name.to_owned(), value)))
    }

    /// Takes what the engine counted (`passive_health`).
    pub fn traffic_line(&self) -> impl Fn(Vec<Failing>) + Send + 'static {
        let orders = self.orders.clone();
        move |counts| drop(orders.send(Order::Traffic(counts)))
    }

    /// Takes the state of a BFD session.
    pub fn set_bfd(&self, name: &str, up: bool) {
        self.order(Order::Bfd(name.to_owned(), up));
    }

    /// Carries out an order of a person; what was done comes back, a sentence for each server, or why nothing was.
    pub fn obey(&self, order: ServerOrder) -> impl Future<Output = Result<Vec<String>, String>> + use<> {
        let (answer, done) = oneshot::channel();
        self.order(Order::Obey(order, answer));
        async { done.await.unwrap_or_else(|_| Err("health checking has stopped".to_owned())) }
    }

    /// The state of every pool; empty when the checks have stopped.
    pub fn reports(&self) -> impl Future<Output = Vec<ServiceReport>> + use<> {
        let (answer, reports) = oneshot::channel();
        self.order(Order::Reports(answer));
        async { reports.await.unwrap_or_default() }
    }

    /// A copy of the pools to play a reload on; `None` when the checks have stopped.
    pub fn rehearsal(&self) -> impl Future<Output = Option<Farm>> + use<> {
        let (answer, copy) = oneshot::channel();
        self.order(Order::Rehearse(answer));
        async { copy.await.ok() }
    }

    /// Whether the task is still at work; it ends early only by a panic.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends the checks and empties the table.
    pub async fn stop(self) {
        self.order(Order::Stop);
        // An error is a panic of the task, which the runtime has reported.
        let _ = self.task.await;
    }

    fn order(&self, order: Order) {
        // The task is gone only after a panic; `is_alive` tells.
        let _ = self.orders.send(order);
    }
}

struct Keeper {
    farm: Farm,
    runner: Runner,
    addresses: BTreeSet<IpAddr>,
    table: Box<dyn Table>,
    outbox: UnboundedSender<HealthEvent>,
    /// The runner's.
    _threads: Threads,
}

impl Keeper {
    async fn run(
        mut self,
        plan: Plan,
        mut inbox: UnboundedReceiver<Order>,
        mut verdicts: UnboundedReceiver<CheckEvent>,
    ) {
        self.load(plan);
        loop {
            let due = self.farm.poll_timeout();
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Load(plan)) => self.load(plan),
                    Some(Order::Addresses(present)) => self.take_addresses(present),
                    Some(Order::File(name, value)) => self.farm.set_file(&name, value, Instant::now()),
                    Some(Order::Traffic(counts)) => self.take_traffic(&counts),
                    Some(Order::Bfd(name, up)) => self.farm.set_bfd(&name, up, Instant::now()),
                    Some(Order::Obey(order, answer)) => drop(answer.send(self.obey(&order))),
                    Some(Order::Reports(answer)) => self.report(answer),
                    Some(Order::Rehearse(answer)) => drop(answer.send(self.farm.clone())),
                    Some(Order::Stop) | None => break,
                },
                Some(event) = verdicts.recv() => {
                    self.farm.handle(&event, Instant::now());
                }
                () = wait_until(due) => {
                    if self.farm.handle_timeout(Instant::now()) {
                        self.govern();
                    }
                }
            }
            self.carry_out();
        }
        self.runner.stop().await;
        self.farm.stop(Instant::now());
        carry_out(&mut self.farm, &*self.table, &self.outbox);
    }

    fn load(&mut self, mut plan: Plan) {
        let checkers = std::mem::take(&mut plan.checkers);
        self.farm.load(plan, Instant::now());
        self.carry_out();
        let governed = self.farm.governed(&self.addresses);
        let suspended = governed.iter().filter(|(_, runs)| !runs).map(|(id, _)| *id);
        self.runner.update_suspended(checkers, suspended.collect());
        self.govern();
    }

    fn take_addresses(&mut self, present: BTreeSet<IpAddr>) {
        let tell = |address: &IpAddr, verb| {
            if self.farm.watches(*address) {
                tracing::info!(target: "healthcheck", "Netlink reflector reports IP {address} {verb}");
            }
        };
        present.difference(&self.addresses).for_each(|address| tell(address, "added"));
        self.addresses.difference(&present).for_each(|address| tell(address, "removed"));
        self.addresses = present;
        self.govern();
    }

    fn take_traffic(&mut self, counts: &[Failing]) {
        let now = Instant::now();
        for Failing { service, server, total } in counts {
            self.farm.count_failures(*service, *server, *total, now);
        }
    }

    fn obey(&mut self, order: &ServerOrder) -> Result<Vec<String>, String> {
        let done = self.farm.obey(order, Instant::now());
        self.govern();
        done
    }

    /// The pools' part at once; what the runner adds is awaited by a task of its own.
    fn report(&self, answer: oneshot::Sender<Vec<ServiceReport>>) {
        let (mut reports, tallies) = (self.farm.reports(), self.runner.tallies());
        tokio::spawn(async move {
            let tallies = tallies.await;
            let servers = reports.iter_mut().flat_map(|report| &mut report.servers);
            for check in servers.flat_map(|server| &mut server.checks) {
                check.tally = tallies.get(&check.checker).copied();
            }
            // A caller that no longer wants the answer has dropped its end.
            drop(answer.send(reports));
        });
    }

    /// Suspends and resumes checkers as their addresses went and came, and as they are told to.
    fn govern(&self) {
        for (id, runs) in self.farm.governed(&self.addresses) {
            self.runner.set_enabled(id, runs);
        }
    }

    fn carry_out(&mut self) {
        carry_out(&mut self.farm, &*self.table, &self.outbox);
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Table changes that follow each other go to the table as one batch.
fn carry_out(farm: &mut Farm, table: &dyn Table, outbox: &UnboundedSender<HealthEvent>) {
    let mut changes = Vec::new();
    while let Some(effect) = farm.poll_effect() {
        match effect {
            FarmEffect::Table(change) => changes.push(change),
            FarmEffect::Log(line) => tracing::info!(target: "healthcheck", "{line}"),
            FarmEffect::Warn(line) => tracing::warn!(target: "healthcheck", "{line}"),
            // Nobody listens any more only while the daemon ends.
            FarmEffect::Event(event) => drop(outbox.send(event)),
        }
    }
    if !changes.is_empty() {
        table.apply(changes);
    }
}
