//! How the weight of a server in the table differs from what its pool says: slow start, and suspension by its own traffic.
//! Pure: instants are arguments.

use standfast_checkers::pool::ServerId;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Weights are not changed more often than this.
const SHORTEST_STEP: Duration = Duration::from_millis(100);

/// `passive_health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passive {
    /// `failures`: so many failed connections
    pub failures: u32,
    /// `window`: within this time
    pub window: Duration,
    /// `suspend`: keep new connections away for so long.
    pub suspend: Duration,
}

/// What is under way with the servers of one virtual server.
#[derive(Debug, Clone, Default)]
pub(super) struct Easing {
    servers: BTreeMap<ServerId, Ease>,
}

#[derive(Debug, Clone, Default)]
struct Ease {
    /// It was down since it was last in service.
    fallen: bool,
    ramp: Option<Ramp>,
    suspended: Option<Instant>,
    /// When connections failed, with their number.
    failures: VecDeque<(Instant, u32)>,
}

#[derive(Debug, Clone)]
struct Ramp {
    since: Instant,
    length: Duration,
    next: Instant,
}

impl Easing {
    /// The server went down.
    pub(super) fn fell(&mut self, id: ServerId) {
        self.servers.insert(id, Ease { fallen: true, ..Ease::default() });
    }

    /// The server takes connections; after a fall it starts slowly.
    pub(super) fn entered(&mut self, id: ServerId, slow_start: Option<Duration>, now: Instant) {
        let Some(ease) = self.servers.get_mut(&id).filter(|ease| ease.fallen) else { return };
        ease.fallen = false;
        ease.ramp = slow_start.filter(|length| !length.is_zero()).map(|length| Ramp { since: now, length, next: now });
    }

    /// The weight for the table in place of the pool's `full`.
    pub(super) fn weight(&self, id: ServerId, full: u32, now: Instant) -> u32 {
        let Some(ease) = self.servers.get(&id) else { return full };
        match (&ease.suspended, &ease.ramp) {
            (Some(_), _) => 0,
            (None, Some(ramp)) => ramp.weight(full, now),
            (None, None) => full,
        }
    }

    /// Takes note of failed connections; true when their number is too large. They are forgotten then.
    pub(super) fn failed(&mut self, id: ServerId, count: u32, rule: Passive, now: Instant) -> bool {
        let ease = self.servers.entry(id).or_default();
        ease.failures.push_back((now, count));
        while ease.failures.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > rule.window) {
            ease.failures.pop_front();
        }
        let total = ease.failures.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        let exceeded = ease.suspended.is_none() && total >= rule.failures;
        if exceeded {
            ease.failures.clear();
        }
        exceeded
    }

    /// Keeps new connections away until then.
    pub(super) fn suspend(&mut self, id: ServerId, until: Instant) {
        self.servers.entry(id).or_default().suspended = Some(until);
    }

    /// The end of its suspension.
    pub(super) fn suspended(&self, id: ServerId) -> Option<Instant> {
        self.servers.get(&id)?.suspended
    }

    /// Forgets the servers that are gone.
    pub(super) fn retain(&mut self, lives: impl Fn(&ServerId) -> bool) {
        self.servers.retain(|id, _| lives(id));
    }

    /// When `handle_timeout` has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = |ease: &Ease| [ease.suspended, ease.ramp.as_ref().map(|ramp| ramp.next)].into_iter().flatten().min();
        self.servers.values().filter_map(due).min()
    }

    /// Ends suspensions and moves ramps on; gives the servers whose weight may differ now, and whether a suspension ended.
    /// `full` tells the pool's weight of a server.
    pub(super) fn handle_timeout(&mut self, full: impl Fn(ServerId) -> u32, now: Instant) -> Vec<(ServerId, bool)> {
        let mut moved = Vec::new();
        for (id, ease) in &mut self.servers {
            let resumed = ease.suspended.take_if(|until| *until <= now).is_some();
            let stepped = ease.ramp.as_ref().is_some_and(|ramp| ramp.next <= now);
            ease.ramp.take_if(|ramp| now >= ramp.since + ramp.length);
            if let Some(ramp) = ease.ramp.as_mut().filter(|_| stepped) {
                ramp.next = ramp.next_step(full(*id), now);
            }
            if resumed || stepped {
                moved.push((*id, resumed));
            }
        }
        moved
    }
}

impl Ramp {
    /// From 1 to `full` in proportion to the time.
    fn weight(&self, full: u32, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= self.length {
            return full;
        }
        let share = elapsed.as_nanos() * u128::from(full) / self.length.as_nanos();
        u32::try_from(share).unwrap_or(full).max(1).min(full)
    }

    /// When the weight grows by one, or a little later.
    fn next_step(&self, full: u32, now: Instant) -> Instant {
        let step = (self.length / full.max(1)).max(SHORTEST_STEP);
        let passed = now.saturating_duration_since(self.since).as_nanos() / step.as_nanos();
        let steps = u32::try_from(passed + 1).unwrap_or(u32::MAX);
        (self.since + step.saturating_mul(steps)).min(self.since + self.length).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVER: ServerId = ServerId(1);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Lets the timers run and notes the weights with the seconds at which they changed.
    fn climb(easing: &mut Easing, full: u32, start: Instant) -> Vec<(f64, u32)> {
        let mut seen = vec![(0.0, easing.weight(SERVER, full, start))];
        while let Some(at) = easing.poll_timeout() {
            easing.handle_timeout(|_| full, at);
            let weight = easing.weight(SERVER, full, at);
            if seen.last().is_none_or(|(_, last)| *last != weight) {
                seen.push(((at - start).as_secs_f64(), weight));
            }
        }
        seen
    }

    fn recovered(slow_start: Duration, now: Instant) -> Easing {
        let mut easing = Easing::default();
        easing.fell(SERVER);
        easing.entered(SERVER, Some(slow_start), now);
        easing
    }

    #[test]
    fn a_recovered_server_climbs_step_by_step() {
        let start = Instant::now();
        let expected = [(0.0, 1), (4.0, 2), (6.0, 3), (8.0, 4), (10.0, 5)];
        assert_eq!(climb(&mut recovered(secs(10), start), 5, start), expected);
    }

    #[test]
    fn a_server_that_never_fell_starts_at_once() {
        let mut easing = Easing::default();
        easing.entered(SERVER, Some(secs(10)), Instant::now());
        assert_eq!((easing.weight(SERVER, 7, Instant::now()), easing.poll_timeout()), (7, None));
    }

    #[test]
    fn a_weight_of_zero_stays_zero() {
        let start = Instant::now();
        assert_eq!(climb(&mut recovered(secs(2), start), 0, start), [(0.0, 0)]);
    }

    #[test]
    fn failures_count_within_their_window_only() {
        let (mut easing, start) = (Easing::default(), Instant::now());
        let rule = Passive { failures: 3, window: secs(10), suspend: secs(30) };
        assert!(!easing.failed(SERVER, 2, rule, start));
        assert!(!easing.failed(SERVER, 2, rule, start + secs(11)));
        assert!(easing.failed(SERVER, 1, rule, start + secs(12)));
        easing.suspend(SERVER, start + secs(42));
        assert_eq!(easing.weight(SERVER, 5, start + secs(13)), 0);
        assert!(!easing.failed(SERVER, 9, rule, start + secs(14)));
        assert_eq!(easing.poll_timeout(), Some(start + secs(42)));
        assert_eq!(easing.handle_timeout(|_| 5, start + secs(42)), [(SERVER, true)]);
        assert_eq!((easing.weight(SERVER, 5, start + secs(42)), easing.poll_timeout()), (5, None));
    }

    proptest! {
        /// The weight never falls, ends at the pool's, and the timers end; steps are not closer than the shortest one.
        #[test]
        fn ramps_rise_and_end(full in 0..2000_u32, length in 1..100_000_u64) {
            let start = Instant::now();
            let length = Duration::from_millis(length);
            let seen = climb(&mut recovered(length, start), full, start);
            prop_assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1));
            prop_assert_eq!(seen.last().map(|(_, weight)| *weight), Some(full));
            let shortest = SHORTEST_STEP.min(length).as_secs_f64();
            let inner = &seen[..seen.len().saturating_sub(1)];
            prop_assert!(inner.windows(2).all(|pair| pair[1].0 - pair[0].0 >= shortest - 1e-6));
            prop_assert!(seen.last().is_some_and(|(at, _)| *at <= length.as_secs_f64() + 1e-6));
        }
    }
}
