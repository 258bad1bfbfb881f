use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Attempts that may be opening their sockets at one moment.
const BURST: usize = 64;
/// An attempt of this age has sent what opens its connection and waits for the server.
const YOUTH: Duration = Duration::from_millis(4);

/// Holds attempts back so that no burst of connections leaves this host, as after a pause of the process or for thousands of
/// checkers that have the same moment: [`BURST`] at once, others when these have ended or come of age.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the young attempts began, in order.
    young: VecDeque<Instant>,
}

impl Pace {
    /// Until when the next attempt has to wait; `None` if it may begin.
    pub(super) fn hold(&mut self, now: Instant) -> Option<Instant> {
        while self.young.front().is_some_and(|begun| *begun + YOUTH <= now) {
            self.young.pop_front();
        }
        let oldest = self.young.front().filter(|_| self.young.len() >= BURST)?;
        Some(*oldest + YOUTH)
    }

    /// Counts an attempt; `now` never goes back.
    pub(super) fn begin(&mut self, now: Instant) {
        self.young.push_back(now);
    }

    /// Forgets an attempt that has ended.
    pub(super) fn end(&mut self, begun: Instant) {
        if let Ok(index) = self.young.binary_search(&begun) {
            self.young.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_waits_for_its_elders() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for _ in 0..BURST {
            assert_eq!(pace.hold(start), None);
            pace.begin(start);
        }
        assert_eq!(pace.hold(start), Some(start + YOUTH));
        pace.end(start);
        assert_eq!(pace.hold(start), None);
        pace.begin(start);
        assert_eq!(pace.hold(start + YOUTH / 2), Some(start + YOUTH));
        assert_eq!(pace.hold(start + YOUTH), None);
        assert!(pace.young.is_empty());
        pace.end(start);
    }

    proptest! {
        #[test]
        fn no_more_than_a_burst_in_any_youth(steps in prop::collection::vec((0u64..3, any::<bool>()), 1..600)) {
            let (mut now, mut pace, mut begun) = (Instant::now(), Pace::default(), VecDeque::new());
            for (pause, ends) in steps {
                now += Duration::from_millis(pause);
                if ends && let Some(first) = begun.pop_front() {
                    pace.end(first);
                }
                while pace.hold(now).is_none() {
                    pace.begin(now);
                    begun.push_back(now);
                }
                let young = begun.iter().filter(|begun| **begun + YOUTH > now).count();
                prop_assert_eq!(young, BURST);
                prop_assert_eq!(pace.young.len(), BURST);
            }
        }
    }
}
