//! How long the worker looks for packets before it sleeps.

use std::time::Duration;

/// What a sleep that turned out short begins with.
const FIRST: Duration = Duration::from_micros(10);

/// To be woken takes longer than many a request and its answer, and looking takes a processor. So it pays after a sleep that turned out
/// short, and does not after a long one: the time for it doubles with each of the former, up to a limit, and is over with
/// the first of the latter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    longest: Duration,
    window: Duration,
}

impl Patience {
    /// Looks for packets for `longest` at most; zero never looks.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, window: Duration::ZERO }
    }

    /// Whether to go on looking, so long after the last packet.
    pub(super) fn lasts(&self, idle: Duration) -> bool {
        idle < self.window
    }

    /// Takes in how long a sleep was.
    pub(super) fn slept(&mut self, time: Duration) {
        self.window = match time <= self.longest {
            true => (self.window * 2).max(FIRST).min(self.longest),
            false => Duration::ZERO,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(time: u64) -> Duration {
        Duration::from_micros(time)
    }

    #[test]
    fn short_sleeps_make_patient_and_a_long_one_ends_it() {
        let mut patience = Patience::new(us(50));
        assert!(!patience.lasts(Duration::ZERO), "nothing is known yet");
        let windows = [20, 50, 1, 30].map(|time| {
            patience.slept(us(time));
            patience.window
        });
        assert_eq!(windows, [10, 20, 40, 50].map(us));
        assert!(patience.lasts(us(49)) && !patience.lasts(us(50)));
        patience.slept(us(51));
        assert!(!patience.lasts(Duration::ZERO));
    }

    #[test]
    fn a_limit_of_zero_never_looks() {
        let mut patience = Patience::new(Duration::ZERO);
        for time in [0, 1, 50] {
            patience.slept(us(time));
            assert!(!patience.lasts(Duration::ZERO));
        }
    }
}
