//! `vrrp_track_process`: whether enough processes of a kind run.
//!
//! The kernel's process events tell which process to look at; where it does not give them (they need `CAP_NET_ADMIN` and the
//! first network namespace), `/proc` is read once a second.

mod connector;
mod pattern;
mod quorum;

use super::TrackerReport;
use super::watch::{GLANCE, Wanted, Watch};
use connector::{Change, Connector};
use pattern::{Pattern, Process};
use quorum::Quorum;
use standfast_parser::model::{Config, ParamMatch, ReceiveBuffer};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Pace of reading `/proc` without events.
const POLL: Duration = Duration::from_secs(1);

/// A kind of process that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTracker {
    /// Name of the `vrrp_track_process`.
    pub name: String,
    /// Command, and the arguments that must match; never empty.
    pub command: Vec<String>,
    /// How the arguments are compared.
    pub param_match: ParamMatch,
    /// Whether the command line is compared in place of the process's name.
    pub full_command: bool,
    /// Fewest processes that are enough.
    pub quorum: u32,
    /// Most processes that are not too many.
    pub quorum_max: Option<u32>,
    /// How long a change by more processes must last.
    pub fork_delay: Duration,
    /// How long a change by fewer processes must last.
    pub terminate_delay: Duration,
}

/// The processes that instances and groups track.
#[must_use]
pub fn prepare(config: &Config) -> Vec<ProcessTracker> {
    let instances = config.instances.iter().flat_map(|instance| &instance.track_processes);
    let groups = config.sync_groups.iter().flat_map(|group| &group.track_processes);
    let used: BTreeSet<&str> = instances.chain(groups).map(|tracked| tracked.name.as_str()).collect();
    let trackers = config.track_processes.iter().filter(|process| used.contains(process.name.as_str()));
    let tracker = |process: &standfast_parser::model::TrackProcess| ProcessTracker {
        name: process.name.clone(),
        command: process.process.clone(),
        param_match: process.param_match,
        full_command: process.full_command,
        quorum: process.quorum,
        quorum_max: process.quorum_max,
        fork_delay: process.fork_delay,
        terminate_delay: process.terminate_delay,
    };
    trackers.map(tracker).collect()
}

/// Watches processes in a thread of its own, which ends when this is dropped.
pub struct ProcessTrackers {
    report: TrackerReport,
    trackers: Vec<ProcessTracker>,
    buffer: ReceiveBuffer,
    counts: Counts,
    watch: Option<Watch>,
}

/// How many processes of each name run, as seen last.
type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

impl ProcessTrackers {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(report: TrackerReport) -> Self {
        Self { report, trackers: Vec::new(), buffer: ReceiveBuffer::default(), counts: Counts::default(), watch: None }
    }

    /// Watches these processes. The first verdict of each comes at once, without its delays.
    /// `buffer` is that of the socket which hears of processes.
    pub fn update(&mut self, trackers: Vec<ProcessTracker>, buffer: ReceiveBuffer) {
        if trackers != self.trackers || buffer != self.buffer {
            (self.trackers, self.buffer) = (trackers, buffer);
            self.start();
        }
    }

    /// How many processes of each tracker run.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u32> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts again what has ended; true when there was any.
    pub fn revive(&mut self) -> bool {
        let died = self.watch.as_ref().is_some_and(Watch::has_died);
        if died {
            self.start();
        }
        died
    }

    fn start(&mut self) {
        self.watch = None;
        // A thread that is about to end keeps the old ones.
        self.counts = Counts::default();
        if self.trackers.is_empty() {
            return;
        }
        let (trackers, report, counts) = (self.trackers.clone(), self.report.clone(), Arc::clone(&self.counts));
        let buffer = self.buffer;
        let watch = move |wanted: &Wanted| follow(Census::new(&trackers, counts), buffer, &report, wanted);
        self.watch = Some(Watch::start("processes", watch));
    }
}

fn follow(mut census: Census, buffer: ReceiveBuffer, report: &TrackerReport, wanted: &Wanted) {
    // Events first: what happens during the first look at all processes waits in the socket.
    let mut connector = connect(buffer);
    census.take_all();
    let mut looked = Instant::now();
    while !wanted.is_over() {
        census.tell(report);
        let wait = census.patience();
        let Some(events) = &connector else {
            std::thread::sleep(wait);
            if looked.elapsed() >= POLL {
                looked = Instant::now();
                census.take_all();
            }
            continue;
        };
        match events.wait(wait) {
            Ok(changes) => changes.iter().for_each(|(pid, change)| census.take(*pid, *change)),
            Err(connector::Failure::Overrun) => census.take_all(),
            Err(connector::Failure::Refused(error)) => {
                say_that_proc_is_read(&error);
                connector = None;
            }
        }
    }
}

fn connect(buffer: ReceiveBuffer) -> Option<Connector> {
    Connector::open(buffer).map_err(|error| say_that_proc_is_read(&error)).ok()
}

fn say_that_proc_is_read(error: &std::io::Error) {
    warn!(target: "vrrp", "No process events ({error}): tracked processes are looked for once a second");
}

/// Which process counts for which tracker.
struct Census {
    counters: Vec<Counter>,
    counts: Counts,
}

struct Counter {
    name: String,
    pattern: Pattern,
    pids: BTreeSet<u32>,
    quorum: Quorum,
}

impl Census {
    fn new(trackers: &[ProcessTracker], counts: Counts) -> Self {
        let counter = |tracker: &ProcessTracker| Counter {
            name: tracker.name.clone(),
            pattern: Pattern::new(tracker),
            pids: BTreeSet::new(),
            quorum: Quorum::new(tracker),
        };
        Self { counters: trackers.iter().map(counter).collect(), counts }
    }

    fn take_all(&mut self) {
        let running: Vec<(u32, Process)> = pids().filter_map(|pid| Some((pid, Process::read(pid)?))).collect();
        for counter in &mut self.counters {
            let matching = running.iter().filter(|(_, process)| counter.pattern.matches(process));
            counter.pids = matching.map(|(pid, _)| *pid).collect();
        }
    }

    fn take(&mut self, pid: u32, change: Change) {
        let process = if change == Change::Ended { None } else { Process::read(pid) };
        for counter in &mut self.counters {
            if process.as_ref().is_some_and(|process| counter.pattern.matches(process)) {
                counter.pids.insert(pid);
            } else {
                counter.pids.remove(&pid);
            }
        }
    }

    fn tell(&mut self, report: &TrackerReport) {
        let now = Instant::now();
        for counter in &mut self.counters {
            let count = u32::try_from(counter.pids.len()).unwrap_or(u32::MAX);
            note(&self.counts, &counter.name, count);
            let known = counter.quorum.is_known();
            let Some(enough) = counter.quorum.judge(count, now) else { continue };
            if known {
                let word = if enough { "gained" } else { "lost" };
                info!(target: "vrrp", "Quorum {word} for tracked process {} ({count} running)", counter.name);
            }
            let status = if enough { TrackerStatus::Up } else { TrackerStatus::Down };
            report(TrackerName::Process(counter.name.clone()), status);
        }
    }

    /// Until a delay ends, or the thread must look whether it is wanted.
    fn patience(&self) -> Duration {
        let next = self.counters.iter().filter_map(|counter| counter.quorum.deadline()).min();
        next.map_or(GLANCE, |at| at.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), GLANCE))
    }
}

fn note(counts: &Counts, name: &str, count: u32) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    match counts.get_mut(name) {
        Some(known) => *known = count,
        None => drop(counts.insert(name.to_owned(), count)),
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command};
    use std::sync::mpsc::channel;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A program of a name that nothing else on this machine has.
    fn program(directory: &Path) -> PathBuf {
        let path = directory.join(format!("sf{}", std::process::id()));
        std::os::unix::fs::symlink("/bin/sleep", &path).unwrap();
        path
    }

    struct Running(Child);

    impl Running {
        fn start(program: &Path) -> Self {
            Self(Command::new(program).arg("60").spawn().unwrap())
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn processes_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let program = program(directory.path());
        let name = program.file_name().unwrap().to_str().unwrap().to_owned();
        let by_name = ProcessTracker {
            name: "name".into(),
            command: vec![name],
            param_match: ParamMatch::None,
            full_command: false,
            quorum: 2,
            quorum_max: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        };
        let words = vec![program.to_str().unwrap().to_owned(), "60".to_owned()];
        let by_words = ProcessTracker { name: "words".into(), command: words, quorum: 1, ..by_name.clone() };
        let (sender, reports) = channel();
        let mut trackers = ProcessTrackers::new(Arc::new(move |tracker, status| {
            let _ = sender.send((tracker.to_string(), status));
        }));
        let next = || reports.recv_timeout(PATIENCE).map(|(name, status)| format!("{name} {status:?}")).unwrap();
        trackers.update(vec![by_name, by_words], ReceiveBuffer { size: Some(1 << 16), force: false });
        assert_eq!([next(), next()], ["process name Down", "process words Down"]);
        let first = Running::start(&program);
        assert_eq!(next(), "process words Up");
        let second = Running::start(&program);
        assert_eq!(next(), "process name Up");
        // Each tracker counts for itself, one after the other.
        let both = BTreeMap::from([("name".to_owned(), 2), ("words".to_owned(), 2)]);
        standfast_labkit::eventually(PATIENCE, "both to be counted", || trackers.counts() == both);
        drop(first);
        assert_eq!(next(), "process name Down");
        drop(second);
        assert_eq!(next(), "process words Down");
    }
}
