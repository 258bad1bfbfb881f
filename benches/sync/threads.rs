//! Processor time of a process's threads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What each thread has had of the processors, at one moment.
pub struct Reading {
    at: Instant,
    threads: BTreeMap<String, Duration>,
}

impl Reading {
    /// Threads of the same name are taken together.
    pub fn of(pid: u32) -> Reading {
        let mut threads: BTreeMap<String, Duration> = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let spent = read("schedstat").split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            *threads.entry(read("comm").trim().to_owned()).or_default() += Duration::from_nanos(spent);
        }
        Reading { at: Instant::now(), threads }
    }

    /// What a thread has spent since an earlier reading.
    pub fn since(&self, earlier: &Reading, thread: &str) -> Duration {
        let spent = |reading: &Reading| reading.threads.get(thread).copied().unwrap_or_default();
        spent(self).saturating_sub(spent(earlier))
    }

    /// The time between two readings.
    pub fn after(&self, earlier: &Reading) -> Duration {
        self.at.saturating_duration_since(earlier.at)
    }
}
