//! The share of time that the receiving end may take.

use std::time::{Duration, Instant};

/// So many datagrams in a slot, then the kernel's queue has to hold the rest. A full one holds 40 connections, so this is a million
/// a second. What was taken beyond it, because it came with the last of the slot, counts in the next ones.
const IN_A_SLOT: u32 = 250;
const SLOT: Duration = Duration::from_millis(10);

/// Counts datagrams in slots of time.
#[derive(Debug)]
pub(super) struct Share {
    since: Instant,
    taken: u32,
}

impl Share {
    pub(super) fn new(now: Instant) -> Share {
        Share { since: now, taken: 0 }
    }

    /// How many datagrams may be taken at present.
    pub(super) fn left(&mut self, now: Instant) -> u32 {
        let slots = now.saturating_duration_since(self.since).as_nanos() / SLOT.as_nanos();
        if slots > 0 {
            let slots = u32::try_from(slots).unwrap_or(u32::MAX);
            (self.since, self.taken) = (now, self.taken.saturating_sub(IN_A_SLOT.saturating_mul(slots)));
        }
        IN_A_SLOT.saturating_sub(self.taken)
    }

    /// These were taken.
    pub(super) fn spend(&mut self, taken: u32) {
        self.taken = self.taken.saturating_add(taken);
    }

    /// How long it is until there is a share again.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        SLOT.saturating_sub(now.saturating_duration_since(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes whenever, a second brings no more than a hundred and one slots, and what came with the last of them.
        #[test]
        fn a_flood_gets_its_share_and_no_more(
            arrivals in proptest::collection::vec((0..20_000_u64, 0..2_000_u32), 1..400),
            together in 1..500_u32,
        ) {
            let start = Instant::now();
            let (mut share, mut now, mut taken) = (Share::new(start), start, Vec::new());
            for (pause, waiting) in arrivals {
                now += Duration::from_micros(pause);
                let left = share.left(now);
                // Who may take one takes all that come with it.
                let takes = waiting.min(left.next_multiple_of(together));
                share.spend(takes);
                taken.push((now, takes));
                prop_assert!(left > 0 || (share.pause(now) > Duration::ZERO && share.pause(now) <= SLOT));
            }
            for (at, _) in &taken {
                let second = taken.iter().filter(|(then, _)| then >= at && *then < *at + Duration::from_secs(1));
                prop_assert!(second.map(|(_, count)| count).sum::<u32>() <= 101 * IN_A_SLOT + together);
            }
        }
    }
}
