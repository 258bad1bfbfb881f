//! The engine's clock: ticks since the first moment it heard of.

use std::time::{Duration, Instant};

use crate::connection::state::TICKS;

#[derive(Debug, Default)]
pub(super) struct Clock {
    epoch: Option<Instant>,
}

impl Clock {
    /// Ticks until `now`; 0 for moments before the first.
    #[inline]
    pub(super) fn tick(&mut self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(now);
        ticks_between(epoch, now)
    }

    pub(super) fn peek(&self, now: Instant) -> u64 {
        self.epoch.map_or(0, |epoch| ticks_between(epoch, now))
    }

    /// The moment of a tick.
    pub(super) fn instant(&self, tick: u64) -> Option<Instant> {
        let ticks = u64::from(TICKS);
        let part = Duration::from_secs(tick % ticks) / TICKS;
        self.epoch?.checked_add(Duration::from_secs(tick / ticks) + part)
    }
}

#[inline]
fn ticks_between(epoch: Instant, now: Instant) -> u64 {
    let passed = now.saturating_duration_since(epoch);
    passed.as_secs() * u64::from(TICKS) + u64::from(passed.subsec_nanos() / (1_000_000_000 / TICKS))
}
