//! The latest events, numbered, for those who ask what happened.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Events that are kept; older ones are forgotten.
pub const KEPT: usize = 2000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Number since the daemon's start, from 1.
    pub number: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What kind of event.
    pub kind: EntryKind,
    /// Name of an instance, group, virtual server, or virtual and real server.
    pub subject: String,
    /// What happened, for people.
    pub text: String,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An instance changed its state.
    Instance,
    /// A sync group changed its state.
    Group,
    /// The priority of an instance changed.
    Priority,
    /// Another master is there, or gone.
    SplitBrain,
    /// A tracker's verdict changed.
    Tracker,
    /// A BFD session changed.
    Bfd,
    /// A real server came or went.
    Server,
    /// A quorum was gained or lost.
    Quorum,
    /// A check's verdict changed.
    Check,
    /// A server was suspended by its own traffic.
    Traffic,
    /// A person ordered something.
    Order,
    /// The daemon itself: start, reload, faults.
    Daemon,
}

impl EntryKind {
    /// Its name in JSON and on the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Group => "group",
            Self::Priority => "priority",
            Self::SplitBrain => "split_brain",
            Self::Tracker => "tracker",
            Self::Bfd => "bfd",
            Self::Server => "server",
            Self::Quorum => "quorum",
            Self::Check => "check",
            Self::Traffic => "traffic",
            Self::Order => "order",
            Self::Daemon => "daemon",
        }
    }
}

/// The journal; clones are the same one. Writing never waits for a reader longer than it takes to copy a page of entries.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entries: Mutex<VecDeque<JournalEntry>>,
    latest: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self(Arc::new(Shared { entries: Mutex::default(), latest: watch::Sender::new(0) }))
    }
}

impl Journal {
    /// Writes an event down.
    pub fn write(&self, kind: EntryKind, subject: impl Into<String>, text: impl Into<String>, at: SystemTime) {
        let mut entries = self.entries();
        let number = self.latest() + 1;
        if entries.len() >= KEPT {
            entries.pop_front();
        }
        entries.push_back(JournalEntry {
            number,
            at_ms: milliseconds(at),
            kind,
            subject: subject.into(),
            text: text.into(),
        });
        drop(entries);
        self.0.latest.send_replace(number);
    }

    /// The number of the latest event, 0 before the first.
    #[must_use]
    pub fn latest(&self) -> u64 {
        *self.0.latest.borrow()
    }

    /// The events after a number that are still kept, at most `most` of them, the oldest first.
    #[must_use]
    pub fn after(&self, number: u64, most: usize) -> Vec<JournalEntry> {
        self.entries().iter().filter(|entry| entry.number > number).take(most).cloned().collect()
    }

    /// The same, waiting for the next event when there is none.
    pub async fn wait_after(&self, number: u64, most: usize, patience: Duration) -> Vec<JournalEntry> {
        let mut latest = self.0.latest.subscribe();
        // An error would mean that the journal is gone; it is held here. A time-out is an empty answer.
        let _ = tokio::time::timeout(patience, latest.wait_for(|latest| *latest > number)).await;
        self.after(number, most)
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<JournalEntry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970; earlier moments are 0.
#[must_use]
pub fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_make_room_and_numbers_go_on() {
        let journal = Journal::default();
        for nth in 0..KEPT as u64 + 5 {
            journal.write(EntryKind::Daemon, "", nth.to_string(), SystemTime::UNIX_EPOCH);
        }
        let kept = journal.after(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].number, kept[0].text.as_str()), (KEPT, 6, "5"));
        assert_eq!(journal.after(journal.latest() - 2, 1).len(), 1);
        assert!(journal.after(journal.latest(), 9).is_empty());
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_the_next_event_or_goes_away_empty() {
        let journal = Journal::default();
        let patience = Duration::from_millis(20);
        assert!(journal.wait_after(0, 9, patience).await.is_empty());
        let writer = journal.clone();
        let (read, ()) = tokio::join!(journal.wait_after(0, 9, patience), async {
            writer.write(EntryKind::Order, "VI_1", "x", SystemTime::UNIX_EPOCH);
        });
        assert_eq!(read.len(), 1);
    }
}
