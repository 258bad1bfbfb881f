//! Keeps thousands of checkers on time: one task, one ordered set of deadlines, a task per attempt only while it lasts.

mod pace;
mod schedule;
mod statistics;
mod tally;

pub use statistics::Statistics;
pub use tally::Tally;

use crate::spec::{CheckEvent, CheckerId, CheckerSpec};
use nix::sys::resource::{Resource, getrlimit};
use schedule::Schedule;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// More attempts at once need more memory than they are worth.
const MOST_IN_FLIGHT: usize = 32_768;

/// Knobs of a [`Runner`].
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Attempts under way at once; further ones wait in the order in which they are due. Each may hold one descriptor.
    pub max_in_flight: usize,
    /// Seed of the warm-up delays.
    pub seed: u64,
}

impl Default for RunnerOptions {
    /// Half of the descriptors that the process may open as attempts at once, a random seed.
    fn default() -> Self {
        // A failure is that of a kernel which does not know the limit.
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let half = usize::try_from(descriptors / 2).unwrap_or(usize::MAX);
        Self { max_in_flight: half.clamp(16, MOST_IN_FLIGHT), seed: RandomState::new().hash_one("warmup") }
    }
}

/// Runs checkers until it is stopped or dropped.
#[derive(Debug)]
pub struct Runner {
    orders: UnboundedSender<Order>,
    task: JoinHandle<()>,
    statistics: Arc<Statistics>,
}

#[derive(Debug)]
enum Order {
    Update(Vec<CheckerSpec>, BTreeSet<CheckerId>),
    Enable(CheckerId, bool),
    Tallies(oneshot::Sender<HashMap<CheckerId, Tally>>),
    Stop,
}

impl Runner {
    /// Starts checkers on the current tokio runtime. Verdicts go to `events`; a closed receiver stops the runner.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn start(specs: Vec<CheckerSpec>, events: UnboundedSender<CheckEvent>, options: &RunnerOptions) -> Self {
        let (orders, inbox) = unbounded_channel();
        let mut schedule = Schedule::new(events, options);
        schedule.update(specs, &BTreeSet::new());
        let statistics = schedule.statistics.clone();
        let task = tokio::spawn(schedule.run(inbox));
        Self { orders, task, statistics }
    }

    /// Takes a new set of checkers by differences: equal ones keep their phase and state, edited ones their verdict.
    pub fn update(&self, specs: Vec<CheckerSpec>) {
        self.update_suspended(specs, BTreeSet::new());
    }

    /// The same, where those of the new ones that are in `suspended` begin as [`set_enabled`](Self::set_enabled) leaves them.
    pub fn update_suspended(&self, specs: Vec<CheckerSpec>, suspended: BTreeSet<CheckerId>) {
        self.order(Order::Update(specs, suspended));
    }

    /// Suspends or resumes a checker (`ha_suspend`). A suspended one makes no attempts and keeps its verdict.
    pub fn set_enabled(&self, id: CheckerId, enabled: bool) {
        self.order(Order::Enable(id, enabled));
    }

    /// Counters of attempts and of their lateness.
    pub fn statistics(&self) -> Arc<Statistics> {
        self.statistics.clone()
    }

    /// What every checker has done; empty when the runner has ended.
    pub fn tallies(&self) -> impl Future<Output = HashMap<CheckerId, Tally>> + use<> {
        let (answer, tallies) = oneshot::channel();
        self.order(Order::Tallies(answer));
        async { tallies.await.unwrap_or_default() }
    }

    /// Ends all checkers; programs under way are killed.
    pub async fn stop(self) {
        self.order(Order::Stop);
        // The task ends by itself; it can only be cancelled together with the runtime.
        let _ = self.task.await;
    }

    fn order(&self, order: Order) {
        // The task is gone only if the receiver of the events is.
        let _ = self.orders.send(order);
    }
}

#[cfg(test)]
mod tests;
