//! What goes over the control socket.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ipvsadm::{Connection, Daemon, DaemonSettings, Role, Server, Service, Table, Target, TimeoutSeconds};

/// The version of the messages. A daemon refuses calls of another one.
pub const VERSION: u32 = 1;

/// A line from a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// [`VERSION`].
    pub version: u32,
    /// What is wanted.
    pub request: Request,
}

/// What a client wants: the forwarding table by ipvsadm's verbs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// All services with their servers, counters and rates.
    Services,
    /// Connections from the `skip`th on, as many as the daemon gives at once.
    Connections {
        /// How many to leave out.
        skip: usize,
    },
    /// Time-outs of connections.
    Timeouts,
    /// Sync daemons.
    Daemons,
    /// `-A`.
    AddService(Service),
    /// `-E`.
    EditService(Service),
    /// `-D`.
    RemoveService(Target),
    /// `-a`.
    AddServer(Target, Server),
    /// `-e`.
    EditServer(Target, Server),
    /// `-d`.
    RemoveServer(Target, IpAddr, u16),
    /// `-C`.
    Clear,
    /// `-Z`.
    Zero(Option<Target>),
    /// `--set`; a zero keeps that time-out.
    SetTimeouts(TimeoutSeconds),
    /// `--start-daemon`.
    StartDaemon(Role, DaemonSettings),
    /// `--stop-daemon`.
    StopDaemon(Role, Option<u8>),
}

impl Request {
    /// Whether it makes something, so that a data plane is needed where there is none yet.
    #[must_use]
    pub fn makes_something(&self) -> bool {
        matches!(self, Request::AddService(_) | Request::SetTimeouts(_))
    }
}

/// A line from the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`VERSION`].
    pub version: u32,
    /// What was asked for, or why not.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The two ends that a call can come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Answer(Answer),
    /// It was refused.
    Failure(Failure),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An order was carried out.
    Done,
    /// Services.
    Services(Table),
    /// Connections; none when `skip` was past the end.
    Connections(Vec<Connection>),
    /// Time-outs.
    Timeouts(TimeoutSeconds),
    /// Sync daemons.
    Daemons(Vec<Daemon>),
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For people.
    pub text: String,
}

impl Failure {
    /// A refusal in these words.
    pub fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into() }
    }
}

impl From<Result<Answer, Failure>> for Reply {
    fn from(result: Result<Answer, Failure>) -> Self {
        let outcome = match result {
            Ok(answer) => Outcome::Answer(answer),
            Err(failure) => Outcome::Failure(failure),
        };
        Reply { version: VERSION, outcome }
    }
}
