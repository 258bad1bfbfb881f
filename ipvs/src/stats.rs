//! Counters of services, destinations and verdicts.

use crate::verdict::{Decision, DropReason, PassReason};

/// What `ipvsadm --stats` shows: bytes are IP lengths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets from servers (NAT only; the answers of DR bypass the director).
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes from servers.
    pub out_bytes: u64,
}

impl Stats {
    fn fields(&self) -> [u64; 5] {
        [self.connections, self.in_packets, self.out_packets, self.in_bytes, self.out_bytes]
    }

    pub(crate) fn count_in(&mut self, bytes: usize) {
        self.in_packets += 1;
        self.in_bytes += bytes as u64;
    }

    pub(crate) fn count_out(&mut self, bytes: usize) {
        self.out_packets += 1;
        self.out_bytes += bytes as u64;
    }
}

/// What `ipvsadm --rate` shows, each per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets from servers.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes from servers.
    pub out_bytes: u64,
}

/// What a destination did to connections, for judging it by its traffic (NAT only: other answers bypass the director).
/// All of these only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// Connections that it reset before they were established.
    pub refused: u64,
    /// Established connections that it reset.
    pub reset: u64,
    /// Connections that ended by time without one packet from it.
    pub silent: u64,
}

/// The kernel's estimator (net/netfilter/ipvs/ip_vs_est.c): every two seconds a rate moves by a quarter of the way to
/// the rate of these two seconds. Packets and connections are kept in units of 1/1024 a second, bytes of 1/32.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Estimator {
    last: Stats,
    /// Connections, packets in and out, bytes in and out.
    scaled: [i64; 5],
}

impl Estimator {
    /// Seconds between two calls of `update`.
    pub(crate) const INTERVAL: u32 = 2;
    /// Two seconds' events to the units of a rate.
    const SHIFTS: [u32; 5] = [9, 9, 9, 4, 4];

    pub(crate) fn update(&mut self, stats: &Stats) {
        let (before, after) = (self.last.fields(), stats.fields());
        self.last = *stats;
        for (((rate, shift), before), after) in self.scaled.iter_mut().zip(Self::SHIFTS).zip(before).zip(after) {
            let recent = after.saturating_sub(before).min(1 << 48) << shift;
            *rate += (recent as i64 - *rate) >> 2;
        }
    }

    /// The counters begin at zero again; the rates go on.
    pub(crate) fn restart(&mut self) {
        self.last = Stats::default();
    }

    pub(crate) fn rates(&self) -> Rates {
        let shown = |scaled: i64, shift: u32| ((scaled + (1 << shift) - 1).max(0) >> (shift + 1)) as u64;
        let [connections, in_packets, out_packets, in_bytes, out_bytes] = self.scaled;
        Rates {
            connections: shown(connections, 9),
            in_packets: shown(in_packets, 9),
            out_packets: shown(out_packets, 9),
            in_bytes: shown(in_bytes, 4),
            out_bytes: shown(out_bytes, 4),
        }
    }
}

/// How many packets got which verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    passed: [u64; PassReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    /// Packets sent to servers.
    pub to_server: u64,
    /// Packets sent to clients.
    pub to_client: u64,
    /// Packets for a destination on this host.
    pub local: u64,
    /// ICMP errors answered.
    pub replies: u64,
    /// Connections and templates that `drop_entry` ended before their time.
    pub ended_in_defence: u64,
}

impl Counters {
    /// Packets left to the host for this reason.
    pub fn passed(&self, reason: PassReason) -> u64 {
        self.passed[reason as usize]
    }

    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(crate) fn count(&mut self, decision: Decision) {
        match decision {
            Decision::Pass(reason) => self.passed[reason as usize] += 1,
            Decision::Drop(reason) => self.dropped[reason as usize] += 1,
            Decision::ToServer(_) | Decision::Encapsulate(_) | Decision::Instead(_) => self.to_server += 1,
            Decision::ToClient(_) => self.to_client += 1,
            Decision::Local => self.local += 1,
            Decision::Reply => self.replies += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: 60 connections within one interval (ipvs-recordings/b/b10_rates.txt).
    #[test]
    fn rates_fade_as_the_kernels() {
        let mut estimator = Estimator::default();
        let stats = Stats { connections: 60, in_bytes: 64_000, ..Stats::default() };
        let shown: Vec<_> = (0..11)
            .map(|_| {
                estimator.update(&stats);
                estimator.rates().connections
            })
            .collect();
        assert_eq!(shown, [7, 6, 4, 3, 2, 2, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_steady_rate_is_met() {
        let mut estimator = Estimator::default();
        let mut stats = Stats::default();
        for _ in 0..200 {
            stats.in_packets += 2_000;
            stats.in_bytes += 3_000_000_000;
            estimator.update(&stats);
        }
        let rates = estimator.rates();
        assert_eq!((rates.in_packets, rates.in_bytes, rates.connections), (1_000, 1_500_000_000, 0));
    }
}
