//! What the machine does to threads that nothing but the machine can delay: of the highest real-time priority, and they only sleep.
//!
//! The processors of a virtual machine stand still whenever their host has other work. One thread, tied to each processor, wakes each
//! millisecond and writes down when its processor did. Another, free as the programs that are measured, wakes as often as they advertise.

use nix::sched::CpuSet;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use standfast::scheduling::{Part, Priority, Scheduling};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WATCH: Duration = Duration::from_millis(1);
/// From here on a wake-up is late because of the machine.
const STALL: Duration = Duration::from_millis(1);
const HIGHEST: u8 = 99;

/// The threads.
pub struct Floor {
    stop: Arc<AtomicBool>,
    control: JoinHandle<Vec<f64>>,
    watchers: Vec<JoinHandle<Vec<Stall>>>,
}

/// A processor stood still: since the epoch.
#[derive(Clone, Copy)]
struct Stall {
    from: Duration,
    to: Duration,
}

impl Stall {
    fn length(self) -> Duration {
        self.to - self.from
    }

    /// How much of it lies between two moments.
    fn within(self, from: Duration, to: Duration) -> Duration {
        self.to.min(to).saturating_sub(self.from.max(from))
    }
}

/// What the threads have seen.
#[derive(Default)]
pub struct Readings {
    /// Deviations of the free thread's pauses from the interval, in milliseconds.
    pub control: Vec<f64>,
    /// By processor.
    stalls: Vec<Vec<Stall>>,
}

impl Floor {
    /// Begins; the free thread wakes each `interval`.
    pub fn start(interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let control = std::thread::spawn(move || control(interval, &until));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let watcher = |core| {
            let until = Arc::clone(&stop);
            std::thread::spawn(move || watch(core, &until))
        };
        let watchers = (0..cores).map(watcher).collect();
        Self { stop, control, watchers }
    }

    pub fn finish(self) -> Readings {
        self.stop.store(true, Ordering::Relaxed);
        let stalls = self.watchers.into_iter().map(|watcher| watcher.join().unwrap()).collect();
        Readings { control: self.control.join().unwrap(), stalls }
    }
}

impl Readings {
    /// The time for which the worst processor stood still between two moments.
    pub fn stalled(&self, from: Duration, to: Duration) -> Duration {
        let sum = |stalls: &Vec<Stall>| stalls.iter().map(|stall| stall.within(from, to)).sum::<Duration>();
        self.stalls.iter().map(sum).max().unwrap_or_default()
    }

    /// The longest stall that touches the time between two moments.
    pub fn longest(&self, from: Duration, to: Duration) -> Duration {
        let touching = self.stalls.iter().flatten().filter(|stall| stall.from < to && stall.to > from);
        touching.map(|stall| stall.length()).max().unwrap_or_default()
    }

    /// Stalls of more than `limit`: how many and the longest.
    pub fn summary(&self, limit: Duration) -> (usize, Duration) {
        let long: Vec<_> =
            self.stalls.iter().flatten().map(|stall| stall.length()).filter(|length| *length > limit).collect();
        (long.len(), long.iter().max().copied().unwrap_or_default())
    }

    /// As if both had been one run.
    pub fn join(&mut self, other: Self) {
        self.control.extend(other.control);
        self.stalls.extend(other.stalls);
    }
}

fn control(interval: Duration, stop: &AtomicBool) -> Vec<f64> {
    Scheduling { priority: Priority::Realtime(HIGHEST), ..Scheduling::default() }.apply(Part::Vrrp);
    let (mut errors, mut before) = (Vec::new(), None);
    tick(interval, stop, |_, _| {
        let woke = monotonic();
        if let Some(before) = before.replace(woke) {
            errors.push(((woke - before).as_secs_f64() - interval.as_secs_f64()).abs() * 1e3);
        }
    });
    errors
}

fn watch(core: usize, stop: &AtomicBool) -> Vec<Stall> {
    let mut affinity = CpuSet::new();
    affinity.set(core).unwrap();
    let priority = Priority::Realtime(HIGHEST);
    Scheduling { priority, affinity: Some(affinity), ..Scheduling::default() }.apply(Part::Vrrp);
    let mut stalls = Vec::new();
    tick(WATCH, stop, |woke, late| {
        if late > STALL {
            stalls.push(Stall { from: woke - late, to: woke });
        }
    });
    stalls
}

/// Wakes at absolute instants and hands over when that was, since the epoch, and how late. Instants that are over are left out.
fn tick(period: Duration, stop: &AtomicBool, mut woken: impl FnMut(Duration, Duration)) {
    let mut due = monotonic() + period;
    while !stop.load(Ordering::Relaxed) {
        clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &TimeSpec::from(due)).unwrap();
        let late = monotonic() - due;
        woken(SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), late);
        due += period;
        while due < monotonic() {
            due += period;
        }
    }
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}
