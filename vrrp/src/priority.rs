//! Base priority, the vote of each tracker by name, and what follows from them.

use crate::config::{TrackerConfig, TrackerName, TrackerStatus};

/// Priority of the owner of the addresses; no vote changes it (RFC 9568 section 5.2.4).
pub const OWNER: u8 = 255;

/// Greatest effect of one tracker.
const LIMIT: i32 = 253;

/// One tracker's vote on one router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Who votes.
    pub tracker: TrackerName,
    /// Weight as configured.
    pub weight: i32,
    /// Whether the direction is turned.
    pub reverse: bool,
    /// Its latest verdict.
    pub status: TrackerStatus,
    /// Whether it votes through the sync group.
    pub from_group: bool,
    /// What it adds to the base priority: that of its latest verdict that was no fault.
    adjustment: i32,
}

/// What a vote amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ballot {
    /// Added to the base priority.
    Adjust(i32),
    /// The router must not be master nor backup.
    Fault,
    /// The first verdict is missing and the router waits for it.
    Pending,
}

impl Vote {
    /// A vote of which no verdict is known.
    #[must_use]
    pub fn new(config: &TrackerConfig, from_group: bool) -> Self {
        Self {
            tracker: config.tracker.clone(),
            weight: config.weight,
            reverse: config.reverse,
            status: TrackerStatus::Unknown,
            from_group,
            adjustment: 0,
        }
    }

    /// What the latest verdict amounts to.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        match self.status {
            TrackerStatus::Unknown if self.weight == 0 => Ballot::Pending,
            TrackerStatus::Unknown => Ballot::Adjust(0),
            TrackerStatus::Value(value) => self.value(value),
            TrackerStatus::Up => self.up_or_down(true),
            TrackerStatus::Down => self.up_or_down(false),
        }
    }

    fn up_or_down(&self, up: bool) -> Ballot {
        if self.weight == 0 {
            return if up == self.reverse { Ballot::Fault } else { Ballot::Adjust(0) };
        }
        let counts = (self.weight > 0) == up;
        Ballot::Adjust(if counts { self.signed(self.weight).clamp(-LIMIT, LIMIT) } else { 0 })
    }

    fn value(&self, value: i32) -> Ballot {
        if self.weight == 0 {
            return self.up_or_down(value == 0);
        }
        let product = self.signed(self.weight).saturating_mul(value);
        if product < -LIMIT { Ballot::Fault } else { Ballot::Adjust(product.min(LIMIT)) }
    }

    /// What a file's value amounts to, weighed; -254 and less is a fault. 0 where there is no value.
    #[must_use]
    pub fn sum(&self) -> i32 {
        match self.status {
            TrackerStatus::Value(value) if self.weight == 0 && (value == 0) == self.reverse => -LIMIT - 1,
            TrackerStatus::Value(value) => self.signed(self.weight).saturating_mul(value),
            _ => 0,
        }
    }

    /// Takes a verdict; a fault leaves the priority as it was.
    pub fn set(&mut self, status: TrackerStatus) {
        self.status = status;
        if let Ballot::Adjust(by) = self.ballot() {
            self.adjustment = by;
        }
    }

    fn signed(&self, number: i32) -> i32 {
        if self.reverse { number.saturating_neg() } else { number }
    }
}

/// The base priority and all votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priority {
    base: u8,
    votes: Vec<Vote>,
    effective: u8,
}

impl Priority {
    /// A priority with the given voters. Nobody's weight counts for the owner of the addresses.
    #[must_use]
    pub fn new(base: u8, mut votes: Vec<Vote>) -> Self {
        votes.retain(|vote| base != OWNER || vote.weight == 0);
        let mut priority = Self { base, votes, effective: base };
        priority.count();
        priority
    }

    /// The configured priority.
    #[must_use]
    pub fn base(&self) -> u8 {
        self.base
    }

    /// Base and votes, within 1..=254; 255 for the owner.
    #[must_use]
    pub fn effective(&self) -> u8 {
        self.effective
    }

    /// All votes in configuration order, the group's last.
    #[must_use]
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// Records a verdict. True if it changed any vote.
    pub fn set(&mut self, tracker: &TrackerName, status: TrackerStatus) -> bool {
        let mut changed = false;
        for vote in self.votes.iter_mut().filter(|vote| vote.tracker == *tracker) {
            changed |= vote.status != status;
            vote.set(status);
        }
        self.count();
        changed
    }

    /// The first tracker that makes the router faulty.
    #[must_use]
    pub fn fault(&self) -> Option<&TrackerName> {
        self.first(Ballot::Fault)
    }

    /// Every vote that makes the router faulty.
    pub fn faults(&self) -> impl Iterator<Item = &Vote> {
        self.votes.iter().filter(|vote| vote.ballot() == Ballot::Fault)
    }

    /// The first tracker whose first verdict the router waits for.
    #[must_use]
    pub fn pending(&self) -> Option<&TrackerName> {
        self.first(Ballot::Pending)
    }

    /// Another router owns the addresses, too: goes on as the best of the others.
    pub fn disown(&mut self) {
        if self.base == OWNER {
            self.base = OWNER - 1;
            self.count();
        }
    }

    fn first(&self, ballot: Ballot) -> Option<&TrackerName> {
        self.votes.iter().find(|vote| vote.ballot() == ballot).map(|vote| &vote.tracker)
    }

    fn count(&mut self) {
        self.effective = if self.base == OWNER { OWNER } else { self.sum() };
    }

    fn sum(&self) -> u8 {
        let adjustments = self.votes.iter().map(|vote| i64::from(vote.adjustment));
        let total = i64::from(self.base) + adjustments.sum::<i64>();
        u8::try_from(total.clamp(1, 254)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(base: u8, weight: i32) -> (Priority, TrackerName) {
        let tracker = TrackerName::File("load".to_owned());
        let config = TrackerConfig { tracker: tracker.clone(), weight, reverse: false };
        (Priority::new(base, vec![Vote::new(&config, false)]), tracker)
    }

    #[test]
    fn a_fault_leaves_the_priority_as_it_was() {
        let (mut priority, tracker) = priority(90, 3);
        priority.set(&tracker, TrackerStatus::Value(10));
        priority.set(&tracker, TrackerStatus::Value(-200));
        assert_eq!((priority.effective(), priority.fault()), (120, Some(&tracker)));
        priority.set(&tracker, TrackerStatus::Value(5));
        assert_eq!((priority.effective(), priority.fault()), (105, None));
    }

    #[test]
    fn no_weight_moves_the_owner() {
        let (mut priority, tracker) = priority(OWNER, 2);
        priority.set(&tracker, TrackerStatus::Value(-200));
        assert_eq!((priority.effective(), priority.fault()), (OWNER, None));
    }

    #[test]
    fn a_plain_tracker_faults_the_owner_too() {
        let (mut priority, tracker) = priority(OWNER, 0);
        priority.set(&tracker, TrackerStatus::Value(1));
        assert_eq!(priority.fault(), Some(&tracker));
    }
}
