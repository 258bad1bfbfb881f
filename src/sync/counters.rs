//! What the daemons count.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use standfast_ipvs::sync::{Adoption, Rejection};

const ADOPTIONS: [(Adoption, &str); 5] = [
    (Adoption::Created, "created"),
    (Adoption::Refreshed, "refreshed"),
    (Adoption::Outdated, "outdated"),
    (Adoption::Unsupported, "unsupported"),
    (Adoption::Full, "without room"),
];

/// What became of the entries of one datagram: the threads' counters are touched once for all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AdoptedCounts([u64; ADOPTIONS.len()]);

impl AdoptedCounts {
    /// One more.
    pub(crate) fn count(&mut self, adoption: Adoption) {
        self.0[adoption as usize] += 1;
    }
}

/// Counters that threads share; all only grow.
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    entries_sent: AtomicU64,
    unsent: AtomicU64,
    received: AtomicU64,
    foreign: AtomicU64,
    crowded: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
    adopted: [AtomicU64; ADOPTIONS.len()],
}

impl Counters {
    /// A datagram went out.
    pub(super) fn count_sent(&self, entries: u64) {
        self.sent.fetch_add(1, Relaxed);
        self.entries_sent.fetch_add(entries, Relaxed);
    }

    /// Entries that were not sent.
    pub(super) fn count_unsent(&self, entries: u64) {
        self.unsent.fetch_add(entries, Relaxed);
    }

    /// A datagram came in.
    pub(super) fn count_received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    /// It came from a host that is not on the interface's networks.
    pub(super) fn count_foreign(&self) {
        self.foreign.fetch_add(1, Relaxed);
    }

    /// The sockets had no room for so many.
    pub(super) fn count_crowded(&self, datagrams: u64) {
        self.crowded.fetch_add(datagrams, Relaxed);
    }

    /// Something was wrong with it.
    pub(super) fn count_rejected(&self, why: Rejection) {
        self.rejected[why as usize].fetch_add(1, Relaxed);
    }

    /// What became of the entries of a datagram.
    pub(crate) fn count_adopted(&self, adopted: &AdoptedCounts) {
        for (counter, count) in self.adopted.iter().zip(adopted.0).filter(|(_, count)| *count > 0) {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// The counters at one moment.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let reasons = Rejection::ALL.iter().zip(&self.rejected).map(|(why, count)| (why.text(), read(count)));
        let adopted = ADOPTIONS.iter().zip(&self.adopted).map(|((_, name), count)| (*name, read(count)));
        Tally {
            sent: read(&self.sent),
            entries_sent: read(&self.entries_sent),
            unsent: read(&self.unsent),
            received: read(&self.received),
            foreign: read(&self.foreign),
            crowded: read(&self.crowded),
            rejected: reasons.filter(|(_, count)| *count > 0).collect(),
            adopted: adopted.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// What was sent and received so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams sent.
    pub sent: u64,
    /// Entries in them.
    pub entries_sent: u64,
    /// Entries that could not be sent.
    pub unsent: u64,
    /// Datagrams received.
    pub received: u64,
    /// Of these, from hosts that are not on the interface's networks.
    pub foreign: u64,
    /// Datagrams that came and were thrown away, because they were too many or the data plane was busy for long.
    pub crowded: u64,
    /// Of these, rejected, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Entries taken in, by what became of them.
    pub adopted: Vec<(&'static str, u64)>,
}

impl Tally {
    /// How many datagrams were not believed.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.foreign + self.rejected.iter().map(|(_, count)| count).sum::<u64>()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, entries_sent, unsent, received, foreign, crowded, rejected, adopted } = self;
        write!(f, "{sent} datagrams sent with {entries_sent} entries ({unsent} not sent), {received} received")?;
        write!(f, " ({foreign} from foreign networks, {crowded} not taken in time)")?;
        for (name, count) in adopted {
            write!(f, ", {count} entries {name}")?;
        }
        for (why, count) in rejected {
            write!(f, ", {count} rejected: {why}")?;
        }
        Ok(())
    }
}
