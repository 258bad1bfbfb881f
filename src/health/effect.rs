//! What the farm wants done.

use standfast_checkers::script::Command;
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
    /// A real server came or went: run its script, write the FIFO record.
    Server {
        /// `[vip]:tcp:80`.
        service: String,
        /// `[rip]:tcp:80`.
        server: String,
        /// It is up.
        up: bool,
        /// `notify_up` or `notify_down`.
        script: Option<Command>,
    },
    /// A virtual server gained or lost its quorum: run the script, write the FIFO record.
    Quorum {
        /// `[vip]:tcp:80`.
        service: String,
        /// The quorum is there.
        up: bool,
        /// `quorum_up` or `quorum_down`.
        script: Option<Command>,
    },
    /// A mail about a real server whose `smtp_alert` is on.
    ServerMail {
        /// `[vip]:tcp:80`.
        service: String,
        /// `[rip]:tcp:80`.
        server: String,
        /// It is up.
        up: bool,
        /// Body.
        body: String,
    },
    /// Something for the journal alone.
    Note {
        /// What it is about.
        kind: NoteKind,
        /// `[vip]:tcp:80 [rip]:tcp:80`.
        subject: String,
        /// What happened.
        text: String,
    },
    /// A mail about a virtual server whose `smtp_alert` is on.
    QuorumMail {
        /// `[vip]:tcp:80`.
        service: String,
        /// The quorum is there.
        up: bool,
        /// Body.
        body: String,
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
