//! What became of scripts, mails and FIFO records.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that the parts of the notifier share; all only grow.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) scripts_ended: AtomicU64,
    pub(super) scripts_failed: AtomicU64,
    pub(super) mails_sent: AtomicU64,
    pub(super) mails_failed: AtomicU64,
    pub(super) records_lost: AtomicU64,
}

/// The counters at one moment, since the daemon's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Notification scripts that ended with status 0.
    pub scripts_ended: u64,
    /// Those that ended otherwise or could not be started.
    pub scripts_failed: u64,
    /// Mails that the mail server took.
    pub mails_sent: u64,
    /// Mails that it did not take, and those dropped because it is slow.
    pub mails_failed: u64,
    /// FIFO records that found no room.
    pub records_lost: u64,
}

impl Counters {
    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Tally {
            scripts_ended: read(&self.scripts_ended),
            scripts_failed: read(&self.scripts_failed),
            mails_sent: read(&self.mails_sent),
            mails_failed: read(&self.mails_failed),
            records_lost: read(&self.records_lost),
        }
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
