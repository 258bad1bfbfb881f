//! Health checks at work: checkers report, pools judge, the forwarding table and the notifier follow.
//!
//! One task owns the pools; it never waits for a script, a mail or the table.

mod effect;
mod farm;
mod ids;
mod plan;
#[cfg(test)]
mod tests;

pub use effect::{FarmEffect, HealthEvent, Table, TableChange};
pub use farm::{Farm, ServiceReport};
pub use ids::Ids;
pub use plan::Plan;

use standfast_checkers::{CheckEvent, Runner, RunnerOptions};
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
    Reports(oneshot::Sender<Vec<ServiceReport>>),
    Stop,
}

impl Health {
    /// Starts the checkers of a plan on the current tokio runtime. Servers enter the table before their first check, unless
    /// they are in alpha mode.
    pub fn start(plan: Plan, table: Box<dyn Table>, outbox: UnboundedSender<HealthEvent>) -> Self {
        let (orders, inbox) = unbounded_channel();
        let (events, verdicts) = unbounded_channel();
        let runner = Runner::start(Vec::new(), events, &RunnerOptions::default());
        let keeper = Keeper { farm: Farm::default(), runner, table, outbox };
        let task = tokio::spawn(keeper.run(plan, inbox, verdicts));
        Self { orders, task }
    }

    /// Takes another plan by differences.
    pub fn load(&self, plan: Plan) {
        self.order(Order::Load(plan));
    }

    /// The state of every pool; empty when the checks have stopped.
    pub async fn reports(&self) -> Vec<ServiceReport> {
        let (answer, reports) = oneshot::channel();
        self.order(Order::Reports(answer));
        reports.await.unwrap_or_default()
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
    table: Box<dyn Table>,
    outbox: UnboundedSender<HealthEvent>,
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
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Load(plan)) => self.load(plan),
                    // A caller that no longer wants the answer has dropped its end.
                    Some(Order::Reports(answer)) => drop(answer.send(self.farm.reports())),
                    Some(Order::Stop) | None => break,
                },
                Some(event) = verdicts.recv() => {
                    self.farm.handle(&event);
                    self.carry_out();
                }
            }
        }
        self.runner.stop().await;
        self.farm.stop();
        carry_out(&mut self.farm, &*self.table, &self.outbox);
    }

    fn load(&mut self, mut plan: Plan) {
        let checkers = std::mem::take(&mut plan.checkers);
        self.farm.load(plan);
        self.carry_out();
        self.runner.update(checkers);
    }

    fn carry_out(&mut self) {
        carry_out(&mut self.farm, &*self.table, &self.outbox);
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
