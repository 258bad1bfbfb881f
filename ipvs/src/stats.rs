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
    pub(crate) fn count_in(&mut self, bytes: usize) {
        self.in_packets += 1;
        self.in_bytes += bytes as u64;
    }

    pub(crate) fn count_out(&mut self, bytes: usize) {
        self.out_packets += 1;
        self.out_bytes += bytes as u64;
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
            Decision::ToServer(_) | Decision::Encapsulate(_) => self.to_server += 1,
            Decision::ToClient(_) => self.to_client += 1,
            Decision::Local => self.local += 1,
            Decision::Reply => self.replies += 1,
        }
    }
}
