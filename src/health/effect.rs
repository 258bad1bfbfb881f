//! What the farm wants done.

use crate::notify::Event;
use standfast_ipvs::{DestinationConfig, ServiceConfig, ServiceId};
use std::net::SocketAddr;

/// A change of the forwarding table, in ipvsadm's verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// `-A`.
    AddService(ServiceConfig),
    /// `-E`.
    EditService(ServiceConfig),
    /// `-D`.
    RemoveService(ServiceId),
    /// `-a`.
    AddDestination(ServiceId, DestinationConfig),
    /// `-e`.
    EditDestination(ServiceId, DestinationConfig),
    /// `-d`.
    RemoveDestination(ServiceId, SocketAddr),
}

/// A forwarding table: the embedded engine, or another one that understands the same verbs.
pub trait Table: Send {
    /// Applies changes in order. Refusals are the table's to log.
    fn apply(&self, changes: Vec<TableChange>);
}

/// Something about a pool that others must hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthEvent {
    /// What scripts, FIFOs and mails are told.
    Told(Event),
    /// Something for the journal alone.
    Note {
        /// What it is about.
        kind: NoteKind,
        /// `[vip]:tcp:80 [rip]:tcp:80`.
        subject: String,
        /// What happened.
        text: String,
    },
}

/// What [`HealthEvent::Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// The verdict of a check.
    Check,
    /// An order of a person.
    Order,
    /// Suspended or resumed by its own traffic.
    Traffic,
}

/// One effect, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FarmEffect {
    /// Change the forwarding table.
    Table(TableChange),
    /// Tell the world.
    Event(HealthEvent),
    /// A log line in keepalived's words.
    Log(String),
    /// Something is not right and should be seen.
    Warn(String),
}
