use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Powers of two of a microsecond, from 1 us to over half an hour.
const BUCKETS: usize = 32;

/// Counters of a [`Runner`](super::Runner), updated while it runs.
#[derive(Debug, Default)]
pub struct Statistics {
    attempts: AtomicU64,
    peak: AtomicU64,
    lateness: [AtomicU64; BUCKETS],
}

impl Statistics {
    /// Attempts that were begun.
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// The most attempts that were under way at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// The lateness that `share` (0 to 1) of the attempts did not exceed, rounded up to the next power of two of a microsecond.
    /// Lateness is the time from when an attempt was due to when it began.
    pub fn lateness(&self, share: f64) -> Duration {
        let counts: Vec<u64> = self.lateness.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let mut left = counts.iter().sum::<u64>() as f64 * share;
        for (bucket, count) in counts.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 {
                return Duration::from_micros(1 << bucket);
            }
        }
        Duration::from_micros(1 << (BUCKETS - 1))
    }

    pub(super) fn under_way(&self, attempts: usize) {
        self.peak.fetch_max(attempts as u64, Ordering::Relaxed);
    }

    pub(super) fn count(&self, lateness: Duration) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.saturating_sub(1).leading_zeros()) as usize;
        if let Some(bucket) = self.lateness.get(bucket.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_off_the_buckets() {
        let statistics = Statistics::default();
        for micros in [0, 1, 2, 3, 4, 5, 1000, 1024, 1025, 10_000_000_000_000] {
            statistics.count(Duration::from_micros(micros));
        }
        assert_eq!(statistics.attempts(), 10);
        assert_eq!(statistics.lateness(0.2), Duration::from_micros(1));
        assert_eq!(statistics.lateness(0.3), Duration::from_micros(2));
        assert_eq!(statistics.lateness(0.5), Duration::from_micros(4));
        assert_eq!(statistics.lateness(0.8), Duration::from_micros(1024));
        assert_eq!(statistics.lateness(1.0), Duration::from_micros(1 << 31));
    }
}
