//! Trackers that the daemon itself watches: `vrrp_script`, `track_file`, `vrrp_track_process`.

mod directories;
pub mod file;
mod judge;
pub mod line;
pub mod process;
mod watch;

pub use judge::{Run, ScriptJudge, Verdict};

use crate::notify::command::{Command, Outcome, ScriptPolicy};
use crate::users::Account;
use file::FileTracker;
use process::ProcessTracker;
use standfast_checkers::script;
use standfast_parser::model::{Config, ReceiveBuffer};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

/// What is told about a script's state: name, and whether it is up. Called from a task; must not wait.
pub type Report = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// What is told about any other tracker. Called from a thread; must not wait.
pub type TrackerReport = Arc<dyn Fn(TrackerName, TrackerStatus) + Send + Sync>;

/// Everything that is watched for a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trackers {
    /// Scripts.
    pub scripts: Vec<ScriptTracker>,
    /// Files.
    pub files: Vec<FileTracker>,
    /// Processes.
    pub processes: Vec<ProcessTracker>,
    /// Buffer of the socket that hears of processes.
    pub process_events: ReceiveBuffer,
}

/// A script that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptTracker {
    /// Name of the `vrrp_script`.
    pub name: String,
    /// What runs.
    pub command: Command,
    /// From start to start.
    pub interval: Duration,
    /// Limit of a run.
    pub timeout: Duration,
    /// Successes in a row until it is up.
    pub rise: u32,
    /// Failures in a row until it is down.
    pub fall: u32,
    /// Down until the first run ends.
    pub init_fail: bool,
}

/// Checks the scripts that instances and groups track. A script that may not run is taken out of `config` everywhere, so that
/// its trackers do as if it had never been named; what there is to say is added to `policy` and returned.
pub fn prepare(config: &mut Config, policy: &mut ScriptPolicy) -> (Vec<ScriptTracker>, Vec<String>) {
    let used = used_scripts(config);
    let (mut trackers, mut notes, mut disabled) = (Vec::new(), Vec::new(), BTreeSet::new());
    for script in config.scripts.iter().filter(|script| used.contains(&script.name)) {
        match policy.prepare(&script.script) {
            Outcome::Ready(command) => trackers.push(ScriptTracker {
                name: script.name.clone(),
                command,
                interval: script.interval,
                timeout: script.timeout,
                rise: script.rise,
                fall: script.fall,
                init_fail: script.init_fail,
            }),
            Outcome::Disabled(problem) => {
                let why = if problem.is_insecure() { "due to insecure" } else { "since not found/accessible" };
                notes.push(format!("Disabling track script {} {why}", script.name));
                disabled.insert(script.name.clone());
            }
        }
    }
    remove_trackers(config, &disabled);
    (trackers, notes)
}

fn used_scripts(config: &Config) -> BTreeSet<String> {
    let instances = config.instances.iter().flat_map(|instance| &instance.track_scripts);
    let groups = config.sync_groups.iter().flat_map(|group| &group.track_scripts);
    instances.chain(groups).map(|tracked| tracked.name.clone()).collect()
}

fn remove_trackers(config: &mut Config, names: &BTreeSet<String>) {
    let instances = config.instances.iter_mut().map(|instance| &mut instance.track_scripts);
    let groups = config.sync_groups.iter_mut().map(|group| &mut group.track_scripts);
    for tracked in instances.chain(groups) {
        tracked.retain(|tracked| !names.contains(&tracked.name));
    }
}

/// Runs the tracked scripts. Needs a tokio runtime; dropping it kills what runs.
pub struct ScriptTrackers {
    report: Report,
    watched: BTreeMap<String, Watched>,
}

/// Where a script stands, for dumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptStanding {
    /// See [`ScriptJudge::result`]; `None` before the first run has ended.
    pub result: Option<u32>,
    /// Whether it runs at this moment.
    pub running: bool,
    /// Who runs it.
    pub account: Account,
}

struct Watched {
    tracker: ScriptTracker,
    judge: Arc<Mutex<ScriptJudge>>,
    running: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptTrackers {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(report: Report) -> Self {
        Self { report, watched: BTreeMap::new() }
    }

    /// Watches these scripts. A script that stays as it was goes on undisturbed; one that changed keeps its state until it has run.
    pub fn update(&mut self, trackers: Vec<ScriptTracker>) {
        let mut before = std::mem::take(&mut self.watched);
        for tracker in trackers {
            let watched = match before.remove(&tracker.name) {
                Some(same) if same.tracker == tracker => same,
                Some(other) => self.watch(tracker, Some(&other)),
                None => self.watch(tracker, None),
            };
            self.watched.insert(watched.tracker.name.clone(), watched);
        }
    }

    /// Starts again what has ended, which only a fault of ours can make happen; true when there was any.
    pub fn revive(&mut self) -> bool {
        let dead: Vec<ScriptTracker> = self
            .watched
            .values()
            .filter(|watched| watched.task.is_finished())
            .map(|watched| watched.tracker.clone())
            .collect();
        for tracker in &dead {
            let watched = self.watch(tracker.clone(), self.watched.get(&tracker.name));
            self.watched.insert(tracker.name.clone(), watched);
        }
        !dead.is_empty()
    }

    /// The states that are known, by name.
    #[must_use]
    pub fn states(&self) -> BTreeMap<String, Option<bool>> {
        let state = |watched: &Watched| lock(&watched.judge).state();
        self.watched.iter().map(|(name, watched)| (name.clone(), state(watched))).collect()
    }

    /// Where every script stands, by name.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<String, ScriptStanding> {
        let standing = |watched: &Watched| ScriptStanding {
            result: lock(&watched.judge).result(),
            running: watched.running.load(Ordering::Relaxed),
            account: watched.tracker.command.account,
        };
        self.watched.iter().map(|(name, watched)| (name.clone(), standing(watched))).collect()
    }

    fn watch(&self, tracker: ScriptTracker, before: Option<&Watched>) -> Watched {
        let mut judge =
            before.map_or_else(|| ScriptJudge::new(tracker.rise, tracker.fall), |old| lock(&old.judge).clone());
        judge.set_limits(tracker.rise, tracker.fall);
        if tracker.init_fail && judge.state().is_none() {
            (self.report)(&tracker.name, false);
        }
        let judge = Arc::new(Mutex::new(judge));
        let running = Arc::<AtomicBool>::default();
        let (told, flag) = (Arc::clone(&judge), Arc::clone(&running));
        let task = tokio::spawn(run(tracker.clone(), told, flag, Arc::clone(&self.report)));
        Watched { tracker, judge, running, task }
    }
}

fn lock(judge: &Mutex<ScriptJudge>) -> std::sync::MutexGuard<'_, ScriptJudge> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(tracker: ScriptTracker, judge: Arc<Mutex<ScriptJudge>>, running: Arc<AtomicBool>, report: Report) {
    let command = tracker.command.for_checkers().with_timeout(tracker.timeout);
    let mut ticks = interval(tracker.interval.max(Duration::from_millis(1)));
    // A run that outlasts its interval skips the ticks it covers, as keepalived does.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        running.store(true, Ordering::Relaxed);
        let outcome = script::run(&command).await;
        running.store(false, Ordering::Relaxed);
        let run = match outcome {
            Ok(script::Outcome::Exited(status)) => Run::Exited(status),
            Ok(script::Outcome::Signaled(signal)) => Run::Signaled(signal),
            Ok(script::Outcome::TimedOut) => Run::TimedOut,
            Err(error) => Run::NotStarted(error.to_string()),
        };
        let verdict = lock(&judge).judge(&run);
        announce(&tracker.name, &run, &verdict);
        if let Some(up) = verdict.change {
            report(&tracker.name, up);
        }
    }
}

fn announce(name: &str, run: &Run, verdict: &Verdict) {
    if let Some(status) = verdict.other_status {
        info!(target: "vrrp", "Script `{name}` now returning {status}");
    }
    if verdict.change.is_some() {
        info!(target: "vrrp", "VRRP_Script({name}) {run}");
    }
}

#[cfg(test)]
mod tests;
