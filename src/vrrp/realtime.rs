//! Real-time priority and locked memory for the VRRP thread.

use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall};

/// Scheduling of the VRRP thread; the default leaves everything as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `vrrp_rt_priority`: `SCHED_RR` at this priority, 1..=99.
    pub realtime: Option<u8>,
    /// `vrrp_priority`: nice value, -20..=19. Without effect together with `realtime`.
    pub nice: Option<i8>,
    /// `vrrp_no_swap`: keeps the whole process in memory.
    pub lock_memory: bool,
}

impl Scheduling {
    /// Applies the settings to the calling thread; what the kernel refuses is logged and otherwise ignored.
    pub fn apply(self) {
        if let Some(priority) = self.realtime {
            log_refusal("real-time priority", set_realtime(priority));
        } else if let Some(nice) = self.nice {
            log_refusal("process priority", set_nice(nice));
        }
        if self.lock_memory {
            log_refusal("locked memory", mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE));
        }
    }
}

fn log_refusal(what: &str, outcome: nix::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(target: "vrrp", "Unable to set {what} of the VRRP thread: {}", error.desc());
    }
}

fn set_realtime(priority: u8) -> nix::Result<()> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: `parameters` lives through the call; 0 is the calling thread.
    let outcome =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
    Errno::result(outcome).map(drop)
}

fn set_nice(nice: i8) -> nix::Result<()> {
    // SAFETY: takes plain numbers; 0 is the calling thread.
    let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, i32::from(nice)) };
    Errno::result(outcome).map(drop)
}
