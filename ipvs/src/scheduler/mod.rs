//! Schedulers: each chooses, for the same servers and connections, what the kernel's module of that name chooses.

mod destination_hash;
mod fixed;
mod least;
mod locality;
mod maglev;
mod round_robin;
mod source_hash;
#[cfg(test)]
mod tests;
mod twos;
mod weighted_round_robin;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::hash::Seed;
use crate::service::Destination;

/// The algorithms by ipvsadm's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchedulerKind {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections.
    Wlc,
    /// Shortest expected delay.
    Sed,
    /// Never queue.
    Nq,
    /// Source hashing.
    Sh,
    /// Destination hashing.
    Dh,
    /// Weighted fail-over: the heaviest.
    Fo,
    /// Weighted overflow: the heaviest with fewer active connections than weight.
    Ovf,
    /// Locality-based least connections.
    Lblc,
    /// Locality-based least connections with replication.
    Lblcr,
    /// Maglev hashing.
    Mh,
    /// Power of two choices.
    Twos,
}

impl SchedulerKind {
    const NAMES: [(SchedulerKind, &'static str); 14] = [
        (SchedulerKind::Rr, "rr"),
        (SchedulerKind::Wrr, "wrr"),
        (SchedulerKind::Lc, "lc"),
        (SchedulerKind::Wlc, "wlc"),
        (SchedulerKind::Sed, "sed"),
        (SchedulerKind::Nq, "nq"),
        (SchedulerKind::Sh, "sh"),
        (SchedulerKind::Dh, "dh"),
        (SchedulerKind::Fo, "fo"),
        (SchedulerKind::Ovf, "ovf"),
        (SchedulerKind::Lblc, "lblc"),
        (SchedulerKind::Lblcr, "lblcr"),
        (SchedulerKind::Mh, "mh"),
        (SchedulerKind::Twos, "twos"),
    ];

    /// ipvsadm's name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn build(self, flags: SchedulerFlags, seed: [u64; 2]) -> Box<dyn Schedule> {
        match self {
            SchedulerKind::Rr => Box::new(round_robin::RoundRobin::default()),
            SchedulerKind::Wrr => Box::new(weighted_round_robin::WeightedRoundRobin::default()),
            SchedulerKind::Lc => Box::new(least::LEAST_CONNECTIONS),
            SchedulerKind::Wlc => Box::new(least::WEIGHTED_LEAST_CONNECTIONS),
            SchedulerKind::Sed => Box::new(least::SHORTEST_EXPECTED_DELAY),
            SchedulerKind::Nq => Box::new(least::NEVER_QUEUE),
            SchedulerKind::Sh => Box::new(source_hash::SourceHash::new(flags)),
            SchedulerKind::Dh => Box::new(destination_hash::DestinationHash::default()),
            SchedulerKind::Fo => Box::new(fixed::FailOver),
            SchedulerKind::Ovf => Box::new(fixed::Overflow),
            SchedulerKind::Lblc => Box::new(locality::Locality::new(Seed::new(seed))),
            SchedulerKind::Lblcr => Box::new(locality::Replicated::new(Seed::new(seed))),
            SchedulerKind::Mh => Box::new(maglev::Maglev::new(flags)),
            SchedulerKind::Twos => Box::new(twos::Twos::new(Seed::new(seed))),
        }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = ();

    /// Reads ipvsadm's name; an unknown one is an error without further words.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or(())
    }
}

/// `ipvsadm -b`, for `sh` and `mh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct SchedulerFlags {
    /// Look for another server when the hashed one takes no connections.
    pub fallback: bool,
    /// Hash the client's port too.
    pub port: bool,
}

/// The connection to be scheduled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) source: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination: IpAddr,
    /// The tick.
    pub(crate) now: u64,
}

/// A service's destinations in the order of its list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool<'a> {
    order: &'a [u32],
    destinations: &'a [Destination],
}

impl<'a> Pool<'a> {
    pub(crate) fn new(order: &'a [u32], destinations: &'a [Destination]) -> Pool<'a> {
        Pool { order, destinations }
    }

    /// Numbers and destinations.
    fn iter(self) -> impl Iterator<Item = (u32, &'a Destination)> + Clone {
        self.order.iter().filter_map(move |&number| Some((number, self.get(number)?)))
    }

    /// The destinations that take connections.
    fn open(self) -> impl Iterator<Item = (u32, &'a Destination)> + Clone {
        self.iter().filter(|(_, destination)| destination.is_open())
    }

    fn get(self, number: u32) -> Option<&'a Destination> {
        self.destinations.get(number as usize)
    }

    fn position(self, number: Option<u32>) -> Option<usize> {
        number.and_then(|number| self.order.iter().position(|&held| held == number))
    }
}

/// A scheduling algorithm with its memory.
pub(crate) trait Schedule: fmt::Debug + Send {
    /// Called after destinations were added, edited or removed.
    fn changed(&mut self, _pool: Pool<'_>) {}

    /// Called before a destination is removed.
    fn removing(&mut self, _pool: Pool<'_>, _number: u32) {}

    /// The number of the destination for a connection, or none when nothing is open.
    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32>;
}

/// The hash of `sh`, `dh` and their kin: the address's 32-bit words folded together, times the golden ratio.
fn golden_hash(address: IpAddr, port: u16) -> u8 {
    let value = fold(address).wrapping_add(u32::from(port));
    (value.wrapping_mul(0x61C8_8647) >> 24) as u8
}

fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [96, 64, 32, 0].iter().fold(0, |folded, shift| folded ^ (bits >> shift) as u32)
        }
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
