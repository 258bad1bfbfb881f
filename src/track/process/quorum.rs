//! Whether there are enough processes, after the delays. Pure.

use super::ProcessTracker;
use std::time::{Duration, Instant};

/// Counts become a verdict.
#[derive(Debug)]
pub(super) struct Quorum {
    least: u32,
    most: Option<u32>,
    fork_delay: Duration,
    terminate_delay: Duration,
    count: u32,
    told: Option<bool>,
    due: Option<Instant>,
}

impl Quorum {
    pub(super) fn new(tracker: &ProcessTracker) -> Self {
        Self {
            least: tracker.quorum,
            most: tracker.quorum_max,
            fork_delay: tracker.fork_delay,
            terminate_delay: tracker.terminate_delay,
            count: 0,
            told: None,
            due: None,
        }
    }

    /// Whether there was a verdict.
    pub(super) fn is_known(&self) -> bool {
        self.told.is_some()
    }

    /// When [`Quorum::judge`] must be called again, whatever the count.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The verdict, when it is the first or another one. More processes change it after `fork_delay`, fewer after
    /// `terminate_delay`, unless it changes back before.
    pub(super) fn judge(&mut self, count: u32, now: Instant) -> Option<bool> {
        let delay = if count > self.count { self.fork_delay } else { self.terminate_delay };
        self.count = count;
        let enough = count >= self.least && self.most.is_none_or(|most| count <= most);
        if self.told == Some(enough) {
            self.due = None;
            return None;
        }
        if self.told.is_some() && *self.due.get_or_insert(now + delay) > now {
            return None;
        }
        self.due = None;
        self.told = Some(enough);
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_parser::model::ParamMatch;

    /// Verdicts of counts at milliseconds.
    fn verdicts(least: u32, most: Option<u32>, delays: (u64, u64), counts: &[(u64, u32)]) -> Vec<Option<bool>> {
        let mut quorum = Quorum::new(&ProcessTracker {
            name: "p".into(),
            command: vec!["x".into()],
            param_match: ParamMatch::None,
            full_command: false,
            quorum: least,
            quorum_max: most,
            fork_delay: Duration::from_millis(delays.0),
            terminate_delay: Duration::from_millis(delays.1),
        });
        let start = Instant::now();
        counts.iter().map(|(at, count)| quorum.judge(*count, start + Duration::from_millis(*at))).collect()
    }

    #[test]
    fn the_first_count_is_judged_at_once() {
        assert_eq!(verdicts(1, None, (500, 500), &[(0, 0)]), [Some(false)]);
        assert_eq!(verdicts(1, None, (500, 500), &[(0, 1)]), [Some(true)]);
    }

    #[test]
    fn between_least_and_most_is_enough() {
        let counts = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 3)];
        assert_eq!(verdicts(2, Some(3), (0, 0), &counts), [Some(false), Some(true), None, Some(false), Some(true)]);
        assert_eq!(verdicts(1, Some(0), (0, 0), &[(0, 0), (1, 1)]), [Some(false), None]);
    }

    #[test]
    fn a_restart_within_the_delay_is_not_noticed() {
        let counts = [(0, 1), (10, 0), (300, 0), (400, 1), (1000, 1), (1100, 0), (1599, 0), (1600, 0)];
        let expected = [Some(true), None, None, None, None, None, None, Some(false)];
        assert_eq!(verdicts(1, None, (0, 500), &counts), expected);
    }

    #[test]
    fn gaining_has_its_own_delay() {
        assert_eq!(
            verdicts(1, None, (200, 0), &[(0, 0), (5, 1), (204, 1), (205, 1)]),
            [Some(false), None, None, Some(true)]
        );
    }
}
