//! What the system says of this process, for the figures that every Prometheus client gives.

use std::fs;
use std::time::Duration;

/// The process at one moment; what cannot be read is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Processor time of all threads.
    pub cpu: Option<Duration>,
    /// Bytes in memory.
    pub resident: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Most descriptors that it may open.
    pub most_descriptors: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Process {
    /// Looks at the system's files, which never wait.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).ok();
        let time = |time: nix::sys::time::TimeVal| {
            let (seconds, micros) = (u64::try_from(time.tv_sec()).ok()?, u64::try_from(time.tv_usec()).ok()?);
            Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
        };
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).ok();
        Self {
            cpu: usage.and_then(|usage| Some(time(usage.user_time())? + time(usage.system_time())?)),
            resident: field(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024),
            descriptors: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            most_descriptors: limit.map(|(soft, _)| soft),
            threads: field(&status, "Threads:"),
        }
    }
}

/// The number behind a name in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let process = Process::now();
        assert!(process.resident.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.descriptors.is_some_and(|open| open > 2) && process.threads.is_some_and(|threads| threads > 0));
        assert!(process.cpu.is_some() && process.most_descriptors.is_some());
        assert_eq!(field("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(field("Name:\tx\n", "VmRSS:"), None);
    }
}
