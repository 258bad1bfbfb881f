//! Deadlines with reasons, and the queue of all routers' earliest ones.

use crate::effect::RouterId;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Instant;

/// What a router waits for. The order decides between equal deadlines: nothing goes before an advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerReason {
    /// The first step after being configured.
    Start,
    /// The next advert of a master.
    Advertise,
    /// The master down interval of a backup.
    MasterDown,
    /// The skew time after an advert with priority 0.
    Skew,
    /// The second block of announcements after becoming master.
    Announce,
    /// The second block of announcements after an advert of a lower priority.
    AnnounceLowerPriority,
    /// The periodic announcement of a master.
    AnnounceRefresh,
    /// The periodic announcement on interfaces that send no adverts.
    AnnounceExtra,
    /// The silence after which another master counts as gone.
    SplitBrain,
}

impl TimerReason {
    const COUNT: usize = 9;
    const ALL: [Self; Self::COUNT] = [
        Self::Start,
        Self::Advertise,
        Self::MasterDown,
        Self::Skew,
        Self::Announce,
        Self::AnnounceLowerPriority,
        Self::AnnounceRefresh,
        Self::AnnounceExtra,
        Self::SplitBrain,
    ];
}

impl fmt::Display for TimerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Advertise => "next advert",
            Self::MasterDown => "master down interval",
            Self::Skew => "skew time after priority 0",
            Self::Announce => "second block of announcements",
            Self::AnnounceLowerPriority => "second announcement after a lower priority",
            Self::AnnounceRefresh => "refresh of announcements",
            Self::AnnounceExtra => "announcement on other interfaces",
            Self::SplitBrain => "end of a split brain",
        })
    }
}

/// The deadlines of one router.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    deadlines: [Option<Instant>; TimerReason::COUNT],
}

impl Timers {
    pub(crate) fn set(&mut self, reason: TimerReason, deadline: Instant) {
        self.put(reason, Some(deadline));
    }

    pub(crate) fn cancel(&mut self, reason: TimerReason) {
        self.put(reason, None);
    }

    pub(crate) fn clear(&mut self) {
        self.deadlines = [None; TimerReason::COUNT];
    }

    pub(crate) fn earliest(&self) -> Option<(Instant, TimerReason)> {
        let pairs = TimerReason::ALL.iter().zip(&self.deadlines);
        pairs.filter_map(|(reason, deadline)| deadline.map(|at| (at, *reason))).min()
    }

    pub(crate) fn get(&self, reason: TimerReason) -> Option<Instant> {
        let mut pairs = TimerReason::ALL.iter().zip(&self.deadlines);
        pairs.find(|(candidate, _)| **candidate == reason).and_then(|(_, deadline)| *deadline)
    }

    /// All deadlines, earliest first.
    pub(crate) fn sorted(&self) -> Vec<(Instant, TimerReason)> {
        let pairs = TimerReason::ALL.iter().zip(&self.deadlines);
        let mut sorted: Vec<_> = pairs.filter_map(|(reason, deadline)| deadline.map(|at| (at, *reason))).collect();
        sorted.sort_unstable();
        sorted
    }

    fn put(&mut self, reason: TimerReason, deadline: Option<Instant>) {
        let slots = TimerReason::ALL.iter().zip(&mut self.deadlines);
        for (_, slot) in slots.filter(|(candidate, _)| **candidate == reason) {
            *slot = deadline;
        }
    }
}

/// The earliest deadline of every router, ordered. Changing one costs the logarithm of their number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    entries: BTreeSet<(Instant, TimerReason, RouterId)>,
}

impl Queue {
    pub(crate) fn first(&self) -> Option<(Instant, TimerReason, RouterId)> {
        self.entries.first().copied()
    }

    pub(crate) fn replace(
        &mut self,
        router: RouterId,
        old: Option<(Instant, TimerReason)>,
        new: Option<(Instant, TimerReason)>,
    ) {
        if old == new {
            return;
        }
        if let Some((at, reason)) = old {
            self.entries.remove(&(at, reason, router));
        }
        if let Some((at, reason)) = new {
            self.entries.insert((at, reason, router));
        }
    }
}
