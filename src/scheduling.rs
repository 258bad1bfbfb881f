//! Priority, processors and locked memory of the threads that a file may speak about.

use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::Pid;

/// How the threads of a part are scheduled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Before or among other threads.
    pub priority: Priority,
    /// `.._cpu_affinity`: the processors that may run the thread; `None` is all.
    pub affinity: Option<CpuSet>,
    /// `.._no_swap`: keeps the whole process in memory.
    pub lock_memory: bool,
}

/// Priority of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Priority {
    /// A low real-time priority if the kernel grants it, else the best nice value, else none.
    ///
    /// On a machine with every core busy an ordinary thread wakes milliseconds late, which at short advert intervals
    /// makes a backup take over from a master that is alive.
    #[default]
    Automatic,
    /// As `Automatic`, one below.
    Yielding,
    /// `.._rt_priority`: `SCHED_RR` at this priority, 1..=99.
    Realtime(u8),
    /// `.._priority`: nice value, -20..=19.
    Nice(i8),
    /// That of other programs.
    Ordinary,
}

/// Whose threads are scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// VRRP and what it sets in the kernel.
    Vrrp,
    /// The probes of real servers.
    HealthChecks,
    /// BFD.
    Bfd,
    /// Metrics and the status page.
    WebServer,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Vrrp => "VRRP",
            Self::HealthChecks => "health checks",
            Self::Bfd => "BFD",
            Self::WebServer => "the web server",
        }
    }
}

const BEST_NICE: i8 = -20;
/// Room for one below it, for the threads that VRRP must not wait for.
const AUTOMATIC: u8 = 2;

impl Scheduling {
    /// The same for a thread that gives way to the one with these settings: hundreds of addresses to set at once must not keep
    /// an advert from a machine's only core.
    #[must_use]
    pub fn below(self) -> Self {
        let priority = match self.priority {
            Priority::Automatic => Priority::Yielding,
            Priority::Realtime(priority) => Priority::Realtime(priority.saturating_sub(1).max(1)),
            priority => priority,
        };
        Self { priority, lock_memory: false, ..self }
    }

    /// Locks the process's memory if that is wanted, for all threads that there are and will be; gives what is left for each
    /// thread to apply.
    #[must_use]
    pub fn lock_memory(self, part: Part) -> Self {
        if self.lock_memory {
            log_refusal(part, "locked memory", mlockall(lock_what_is_used()));
        }
        Self { lock_memory: false, ..self }
    }

    /// Applies the settings to the calling thread, one of `part`; what the kernel refuses is logged and otherwise ignored.
    pub fn apply(self, part: Part) {
        match self.priority {
            Priority::Automatic => be_preferred(AUTOMATIC),
            Priority::Yielding => be_preferred(AUTOMATIC - 1),
            Priority::Realtime(priority) => log_refusal(part, "real-time priority", set_realtime(priority)),
            Priority::Nice(nice) => log_refusal(part, "process priority", set_nice(nice)),
            Priority::Ordinary => {}
        }
        if let Some(affinity) = self.affinity {
            log_refusal(part, "processor affinity", sched_setaffinity(Pid::from_raw(0), &affinity));
        }
        let _ = self.lock_memory(part);
    }
}

fn be_preferred(realtime: u8) {
    if let Err(error) = set_realtime(realtime).or_else(|_| set_nice(BEST_NICE)) {
        tracing::debug!(target: "vrrp", "no better priority than that of other programs: {}", error.desc());
    }
}

/// Pages are locked as they come into use: the connection tables reserve far more than they will hold.
fn lock_what_is_used() -> MlockAllFlags {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT as libc::c_int);
    MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault
}

fn log_refusal(part: Part, what: &str, outcome: nix::Result<()>) {
    let Err(error) = outcome else { return };
    let text = format!("Unable to set {what} for {}: {}", part.name(), error.desc());
    match part {
        Part::Vrrp => tracing::warn!(target: "vrrp", "{text}"),
        Part::HealthChecks => tracing::warn!(target: "healthcheck", "{text}"),
        Part::Bfd | Part::WebServer => tracing::warn!("{text}"),
    }
}

/// Has the calling thread, if it is an ordinary one, run in turns of this length: it comes sooner when it wakes and gives way sooner, and
/// its share of the processor stays what it is. Linux 6.12 and later, which take 0.1 ms at least; others go on as before.
pub fn run_in_turns(turn: Duration) -> nix::Result<()> {
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all-zero is a valid value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `SIZE` bytes; 0 is the calling thread.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    Errno::result(read)?;
    if attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return Ok(());
    }
    attributes.size = SIZE;
    attributes.sched_runtime = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: `attributes` lives through the call.
    let written = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    Errno::result(written).map(drop)
}

fn set_realtime(priority: u8) -> nix::Result<()> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameters` lives through the call; 0 is the calling thread.
    let outcome = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    Errno::result(outcome).map(drop)
}

fn set_nice(nice: i8) -> nix::Result<()> {
    // SAFETY: takes plain numbers; 0 is the calling thread.
    let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, i32::from(nice)) };
    Errno::result(outcome).map(drop)
}
