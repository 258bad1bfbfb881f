//! What is written into the journal.

use super::Supervisor;
use crate::health::{HealthEvent, NoteKind};
use crate::notify::Event;
use crate::status::{EntryKind, verdict};
use crate::vrrp::VrrpEvent;
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::time::SystemTime;

impl Supervisor<'_> {
    pub(super) fn note_daemon(&self, text: impl Into<String>) {
        self.note(EntryKind::Daemon, "", text);
    }

    pub(super) fn note_tracker(&self, tracker: &TrackerName, status: TrackerStatus) {
        self.note(EntryKind::Tracker, tracker.to_string(), verdict(status));
    }

    pub(super) fn note_session(&self, name: &str, up: bool) {
        self.note(EntryKind::Bfd, name, if up { "up" } else { "down" });
    }

    pub(super) fn note_vrrp(&self, event: &VrrpEvent) {
        let (kind, subject, text) = match event {
            VrrpEvent::Transition { router, from, to, priority, reason } => {
                (EntryKind::Instance, &**router, format!("{from} -> {to}, priority {priority}: {reason}"))
            }
            VrrpEvent::GroupTransition { group, to } => (EntryKind::Group, &**group, to.to_string()),
            VrrpEvent::MasterReceivedLowerPriority { router } => {
                (EntryKind::SplitBrain, &**router, "an advert of a lower priority was heard".to_owned())
            }
            VrrpEvent::SplitBrain { router, rival, over: false } => {
                (EntryKind::SplitBrain, &**router, format!("{rival} is master, too"))
            }
            VrrpEvent::SplitBrain { router, rival, over: true } => {
                (EntryKind::SplitBrain, &**router, format!("{rival} is not heard any more"))
            }
            VrrpEvent::PriorityChanged { router, priority, state } => {
                (EntryKind::Priority, &**router, format!("{priority} in state {state}"))
            }
            VrrpEvent::Restarted { message } => (EntryKind::Daemon, "VRRP", format!("started again after: {message}")),
            VrrpEvent::Ended { error: Some(error) } => (EntryKind::Daemon, "VRRP", error.clone()),
            VrrpEvent::Ended { error: None } => return,
        };
        self.note(kind, subject, text);
    }

    pub(super) fn note_health(&self, event: &HealthEvent) {
        match event {
            HealthEvent::Told(Event::Server { service, server, up, .. }) => {
                self.note(EntryKind::Server, format!("{service} {server}"), if *up { "up" } else { "down" });
            }
            HealthEvent::Told(Event::Quorum { service, up, .. }) => {
                self.note(EntryKind::Quorum, service.clone(), if *up { "gained" } else { "lost" });
            }
            HealthEvent::Note { kind, subject, text } => self.note(kind_of(*kind), subject.clone(), text.clone()),
            HealthEvent::Told(_) => {}
        }
    }

    pub(super) fn note(&self, kind: EntryKind, subject: impl Into<String>, text: impl Into<String>) {
        self.journal.write(kind, subject, text, SystemTime::now());
    }
}

fn kind_of(kind: NoteKind) -> EntryKind {
    match kind {
        NoteKind::Check => EntryKind::Check,
        NoteKind::Order => EntryKind::Order,
        NoteKind::Traffic => EntryKind::Traffic,
    }
}
