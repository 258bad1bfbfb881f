//! The rate limit of ICMP errors: Linux's `icmp_ratelimit` (one a second for each peer, six at once) and
//! `icmp_msgs_per_sec` (a thousand a second in all, fifty at once).

use crate::connection::state::TICKS;

const PEERS: usize = 256;
const ALL: Rate = Rate { per_second: 1000, burst: 50 };
const ONE: Rate = Rate { per_second: 1, burst: 6 };

#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: u32,
    burst: u32,
}

/// Credit in messages times `TICKS`.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    credit: u32,
    at: u32,
}

#[derive(Debug)]
pub(super) struct Limiter {
    all: Bucket,
    peers: [Bucket; PEERS],
}

impl Limiter {
    pub(super) fn new() -> Limiter {
        let full = |rate: Rate| Bucket { credit: rate.burst * TICKS, at: 0 };
        Limiter { all: full(ALL), peers: [full(ONE); PEERS] }
    }

    /// Whether one more error may go to the peer of this hash.
    pub(super) fn admit(&mut self, peer: u32, now: u32) -> bool {
        let peer = self.peers.get_mut(peer as usize % PEERS);
        peer.is_some_and(|peer| peer.take(ONE, now)) && self.all.take(ALL, now)
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: u32) -> bool {
        let passed = now.wrapping_sub(self.at).min(TICKS * rate.burst);
        self.at = now;
        self.credit = (self.credit + passed * rate.per_second).min(rate.burst * TICKS);
        let admitted = self.credit >= TICKS;
        if admitted {
            self.credit -= TICKS;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_at_once_then_one_a_second() {
        let mut limiter = Limiter::new();
        let burst = (0..12).filter(|_| limiter.admit(7, 100)).count();
        assert_eq!(burst, 6);
        assert!(limiter.admit(7, 100 + TICKS));
        assert!(!limiter.admit(7, 100 + TICKS + 1));
        assert!(limiter.admit(8, 100 + TICKS + 1), "peers have buckets of their own");
    }

    #[test]
    fn all_peers_together_are_limited() {
        let mut limiter = Limiter::new();
        let burst = (0..256).filter(|&peer| limiter.admit(peer, 5)).count();
        assert_eq!(burst, 50);
    }
}
