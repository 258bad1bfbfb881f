use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps between two powers of two of a microsecond.
const STEPS: u32 = 8;
/// Lateness beyond this is not told apart.
const LONGEST: u64 = (1 << 32) - 1;
/// From 1 us to over an hour.
const BUCKETS: usize = 32 * STEPS as usize;

/// Counters of a [`Runner`](super::Runner), updated while it runs.
#[derive(Debug)]
pub struct Statistics {
    attempts: AtomicU64,
    peak: AtomicU64,
    lateness: [AtomicU64; BUCKETS],
}

impl Default for Statistics {
    fn default() -> Self {
        Self { attempts: AtomicU64::new(0), peak: AtomicU64::new(0), lateness: [const { AtomicU64::new(0) }; BUCKETS] }
    }
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

    /// The lateness that `share` (0 to 1) of the attempts did not exceed, rounded up by an eighth at most. Lateness is the time from when an attempt was due to when it began.
    pub fn lateness(&self, share: f64) -> Duration {
        let counts: Vec<u64> = self.lateness.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let mut left = counts.iter().sum::<u64>() as f64 * share;
        for (bucket, count) in counts.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 {
                return upper_bound(bucket);
            }
        }
        upper_bound(BUCKETS - 1)
    }

    pub(super) fn under_way(&self, attempts: usize) {
        self.peak.fetch_max(attempts as u64, Ordering::Relaxed);
    }

    pub(super) fn count(&self, lateness: Duration) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.lateness.get(bucket(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The octave of the number and the eighth of it.
fn bucket(micros: u64) -> usize {
    let micros = micros.clamp(1, LONGEST);
    let octave = micros.ilog2();
    let beyond = micros - (1 << octave);
    let step = (beyond * u64::from(STEPS)) >> octave;
    ((octave * STEPS) as usize + usize::try_from(step).unwrap_or_default()).min(BUCKETS - 1)
}

/// What the numbers in a bucket do not exceed.
fn upper_bound(bucket: usize) -> Duration {
    let (octave, step) = (bucket / STEPS as usize, bucket % STEPS as usize);
    let next = (1u64 << octave) * (u64::from(STEPS) + step as u64 + 1);
    Duration::from_micros((next.div_ceil(u64::from(STEPS)) - 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_off_the_buckets() {
        let statistics = Statistics::default();
        for micros in [0, 1, 2, 3, 4, 5, 1000, 1023, 1152, 10_000_000_000_000] {
            statistics.count(Duration::from_micros(micros));
        }
        assert_eq!(statistics.attempts(), 10);
        assert_eq!(statistics.lateness(0.2), Duration::from_micros(1));
        assert_eq!(statistics.lateness(0.3), Duration::from_micros(2));
        assert_eq!(statistics.lateness(0.5), Duration::from_micros(4));
        assert_eq!(statistics.lateness(0.8), Duration::from_micros(1023));
        assert_eq!(statistics.lateness(0.9), Duration::from_micros(1279));
        assert_eq!(statistics.lateness(1.0), Duration::from_micros((1 << 32) - 1));
    }

    #[test]
    fn bounds_are_an_eighth_apart() {
        for micros in (1..5000).chain([49_999, 50_000, 1_234_567]) {
            let bound = u64::try_from(upper_bound(bucket(micros)).as_micros()).unwrap();
            assert!((micros..=micros + micros / 8).contains(&bound), "{micros} {bound}");
        }
    }
}
