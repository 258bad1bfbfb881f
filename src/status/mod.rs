//! One picture of the whole daemon, and a journal of what happened: what clients, the status page and the figures are made of.

mod build;
mod journal;
mod model;

pub use build::{Sources, picture};
pub use journal::{EntryKind, Journal, JournalEntry, KEPT, milliseconds};
pub use model::{
    Attempts, Change, Check, Engine, Group, Instance, Master, Note, Notifications, Reloads, Remembered, Rival, Server,
    Service, Session, Statistics, Status, SyncDaemons, Timer, Traffic, Vote,
};

use standfast_vrrp::TrackerStatus;

/// A tracker's verdict in a word.
#[must_use]
pub fn verdict(status: TrackerStatus) -> String {
    match status {
        TrackerStatus::Unknown => "unknown".to_owned(),
        TrackerStatus::Up => "up".to_owned(),
        TrackerStatus::Down => "down".to_owned(),
        TrackerStatus::Value(value) => value.to_string(),
    }
}
