//! The engine's clock: ticks since the first moment it heard of.

use std::time::{Duration, Instant};

use crate::connection::state::TICKS;

/// The first moment, and the latest with its tick: a driver hands in one moment for many packets.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<Hands>);

#[derive(Debug, Clone, Copy)]
struct Hands {
    epoch: Instant,
    latest: Instant,
    tick: u64,
}

impl Clock {
    /// Ticks until `now`; 0 for moments before the first.
    #[inline]
    pub(super) fn tick(&mut self, now: Instant) -> u64 {
        match self.0 {
            Some(hands) if hands.latest == now => hands.tick,
            _ => self.turn(now),
        }
    }

    fn turn(&mut self, now: Instant) -> u64 {
        let epoch = self.0.map_or(now, |hands| hands.epoch);
        let tick = ticks_between(epoch, now);
        self.0 = Some(Hands { epoch, latest: now, tick });
        tick
    }

    /// The latest tick.
    pub(super) fn latest(&self) -> u64 {
        self.0.map_or(0, |hands| hands.tick)
    }

    pub(super) fn peek(&self, now: Instant) -> u64 {
        self.0.map_or(0, |hands| ticks_between(hands.epoch, now))
    }

    /// The moment of a tick.
    pub(super) fn instant(&self, tick: u64) -> Option<Instant> {
        let ticks = u64::from(TICKS);
        let part = Duration::from_secs(tick % ticks) / TICKS;
        self.0?.epoch.checked_add(Duration::from_secs(tick / ticks) + part)
    }
}

fn ticks_between(epoch: Instant, now: Instant) -> u64 {
    let passed = now.saturating_duration_since(epoch);
    passed.as_secs() * u64::from(TICKS) + u64::from(passed.subsec_nanos() / (1_000_000_000 / TICKS))
}
