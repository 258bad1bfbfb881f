//! What goes over the control socket.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::ipvsadm::{Connection, Daemon, DaemonSettings, Role, Server, Service, Table, Target, TimeoutSeconds};
use crate::plan::Outlook;
use crate::status::{JournalEntry, Remembered, Status};

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

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Everything at one moment.
    Status,
    /// Events after a number, for which the daemon waits a while if there is none yet.
    Events {
        /// The number of the last event that is known; 0 before the first.
        after: u64,
        /// How long to wait for the next one, milliseconds; cut to what the daemon allows.
        wait_ms: u64,
    },
    /// What the engine remembers of a client.
    Client {
        /// Its address.
        client: IpAddr,
        /// One connection's port; all of them where there is none.
        port: Option<u16>,
    },
    /// Keeps new connections away from a server.
    Drain {
        /// The server.
        server: ServerName,
        /// When its last connections are given up, milliseconds from now.
        deadline_ms: Option<u64>,
    },
    /// Gives a server another weight.
    Weight {
        /// The server.
        server: ServerName,
        /// The weight.
        weight: u32,
        /// For so long.
        lasts_ms: Option<u64>,
    },
    /// Undoes `Drain` and `Weight`.
    Undrain {
        /// The server.
        server: ServerName,
    },
    /// Pauses the checks of a server, which keep their verdicts.
    Pause {
        /// The server.
        server: ServerName,
        /// For so long.
        lasts_ms: Option<u64>,
    },
    /// Undoes `Pause`.
    Resume {
        /// The server.
        server: ServerName,
    },
    /// Has a master and its sync group resign.
    Failover {
        /// Name of the instance.
        instance: String,
        /// For so long the instance leaves a lesser master in place.
        lasts_ms: u64,
    },
    /// What a reload would change.
    Plan {
        /// The file in place of the daemon's own; an absolute path.
        file: Option<String>,
    },
    /// Reads the configuration again and applies what differs.
    Reload {
        /// The file in place of the daemon's own, this once; an absolute path.
        file: Option<String>,
        /// Not if a master would give up, an address leave this host or connections be cut.
        refuse_destructive: bool,
    },
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

/// A real server, in one virtual server or wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerName {
    /// Its address and port.
    pub server: SocketAddr,
    /// `10.0.0.100:80`, `[10.0.0.100]:tcp:80`, a firewall mark, or the name of a group.
    pub service: Option<String>,
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
    /// The picture.
    Status(Box<Status>),
    /// Events, the oldest first.
    Events(Vec<JournalEntry>),
    /// Connections and templates of a client, fifty at most.
    Client(Vec<Remembered>),
    /// What was done, a sentence each.
    Told(Vec<String>),
    /// What a reload would change, or has changed.
    Plan(Box<Outlook>),
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
