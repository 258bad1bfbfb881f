//! What the daemon says of itself: the answer to `standfast status`, and what its page and its figures are made of.
//!
//! Moments are milliseconds since 1970 and end in `_at_ms`; lengths of time are milliseconds and end in `_ms`. Fields may be
//! added to these; those that are there keep their meaning as long as the version of the control socket stays.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

pub use crate::notify::Tally as Notifications;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `Standfast v0.1.0`.
    pub version: String,
    /// Name of this host.
    pub host: String,
    /// Process number.
    pub pid: u32,
    /// The moment of this answer.
    pub now_at_ms: u64,
    /// When the daemon started.
    pub started_at_ms: u64,
    /// When the running configuration was applied.
    pub configured_at_ms: u64,
    /// The configuration's path.
    pub configuration: String,
    /// Number of the latest event.
    pub latest_event: u64,
    /// VRRP instances in file order.
    pub instances: Vec<Instance>,
    /// Sync groups in file order.
    pub groups: Vec<Group>,
    /// BFD sessions in file order.
    pub sessions: Vec<Session>,
    /// Virtual servers in file order, then those that were made by hand.
    pub services: Vec<Service>,
    /// Who forwards: `embedded` or `kernel`; nobody without virtual servers.
    #[serde(default)]
    pub forwarder: Option<String>,
    /// The embedded engine, if it runs.
    pub engine: Option<Engine>,
    /// Reloads since the start.
    #[serde(default)]
    pub reloads: Reloads,
    /// What became of scripts, mails and FIFO records since the start.
    #[serde(default)]
    pub notifications: Notifications,
    /// The sync daemons, once there was one.
    #[serde(default)]
    pub sync: Option<SyncDaemons>,
}

/// Reloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// Those that were applied.
    pub applied: u64,
    /// Those that left everything as it was, because the file had faults.
    pub refused: u64,
}

/// The sync daemons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemons {
    /// A daemon sends.
    pub sends: bool,
    /// A daemon receives.
    pub receives: bool,
    /// Datagrams sent.
    pub sent: u64,
    /// Connections told in them.
    pub entries_sent: u64,
    /// Connections that could not be told.
    pub unsent: u64,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams received and not used, by reason.
    pub refused: Vec<(String, u64)>,
    /// Connections that were told of, by what became of them.
    pub adopted: Vec<(String, u64)>,
}

/// A VRRP instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Name.
    pub name: String,
    /// Interface that adverts go through.
    pub interface: String,
    /// Virtual router identifier.
    pub vrid: u8,
    /// 4 or 6.
    pub family: u8,
    /// Version of the protocol.
    pub protocol: u8,
    /// `INIT`, `BACKUP`, `MASTER`, `FAULT`.
    pub state: String,
    /// Configured priority.
    pub base_priority: u8,
    /// Priority with every vote.
    pub effective_priority: u8,
    /// Every tracker's vote.
    pub votes: Vec<Vote>,
    /// The tracker that an instance in INIT waits for.
    pub waits_for: Option<String>,
    /// Advertised addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Addresses that are not advertised.
    pub excluded_addresses: Vec<String>,
    /// Address that adverts come from.
    pub source: Option<IpAddr>,
    /// The master that was heard last; none while this one is master.
    pub master: Option<Master>,
    /// A second master that was heard while this one is master.
    pub rival: Option<Rival>,
    /// A lower priority does not take the place of a higher one that comes later (`nopreempt` unset).
    pub preempts: bool,
    /// End of `preempt_delay`, or of an ordered failover: until then a lesser master is left in place.
    pub preempts_at_ms: Option<u64>,
    /// Interval of adverts that counts.
    pub advert_interval_ms: u64,
    /// Silence after which a master counts as gone.
    pub master_down_ms: u64,
    /// The next thing to happen by time.
    pub next: Option<Timer>,
    /// Sync group.
    pub group: Option<String>,
    /// It would be master, and only its sync group keeps it.
    pub wants_master: bool,
    /// The latest changes of state, oldest first.
    pub history: Vec<Change>,
    /// Counters, named as in keepalived's JSON file.
    pub statistics: Statistics,
    /// Gratuitous ARPs and unsolicited neighbour advertisements sent; none where the kernel kept the answer waiting.
    #[serde(default)]
    pub announcements: Option<u64>,
}

/// A tracker's vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// `script chk_nginx`.
    pub tracker: String,
    /// Configured weight.
    pub weight: i32,
    /// The direction is turned.
    pub reverse: bool,
    /// `up`, `down`, `unknown`, or the number of a file.
    pub verdict: String,
    /// `adjust`, `fault`, or `pending`.
    pub effect: String,
    /// What it adds to the priority.
    pub adjustment: i32,
    /// It votes by way of the sync group.
    pub of_group: bool,
}

/// A master that was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// Its address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
}

/// A second master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// Its address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Why its adverts are refused; none where they count.
    pub refused: Option<String>,
    /// When it was heard first.
    pub since_at_ms: u64,
    /// When it was heard last.
    pub heard_at_ms: u64,
    /// Number of its adverts.
    pub adverts: u32,
}

/// Something to happen by time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// When.
    pub at_ms: u64,
    /// What.
    pub reason: String,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at_ms: u64,
    /// State before.
    pub from: String,
    /// State after.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// Counters of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of keepalived's statistics")]
pub struct Statistics {
    pub advert_rcvd: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_len_err: u64,
    pub advert_interval_err: u64,
    pub ip_ttl_err: u64,
    pub invalid_type_rcvd: u64,
    pub chk_err: u64,
    pub addr_list_err: u64,
    pub invalid_authtype: u64,
    pub authtype_mismatch: u64,
    pub auth_failure: u64,
    pub pri_zero_rcvd: u64,
    pub pri_zero_sent: u64,
}

/// A sync group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// State of all members.
    pub state: String,
    /// Names of its instances.
    pub members: Vec<String>,
}

/// A BFD session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Name.
    pub name: String,
    /// The other end.
    pub neighbor: IpAddr,
    /// `Up`, `Down`, `Init`, `AdminDown`.
    pub state: String,
    /// The other end's state, as heard last.
    pub remote_state: String,
    /// Why it went down last.
    pub diagnostic: String,
    /// When the state changed last.
    pub since_at_ms: u64,
}

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// `[10.0.0.100]:tcp:80`.
    pub name: String,
    /// It was made by hand with ipvsadm and has no checks.
    pub by_hand: bool,
    /// The engine forwards it.
    pub forwarded: bool,
    /// Scheduler.
    pub scheduler: String,
    /// The quorum is there.
    pub quorum: bool,
    /// The weight that makes a quorum.
    pub needed: u32,
    /// The weight of those that live.
    pub living: u64,
    /// The sorry server.
    pub sorry: Option<String>,
    /// The sorry server serves.
    pub sorry_serves: bool,
    /// Counters since the start.
    pub traffic: Traffic,
    /// Real servers in file order.
    pub servers: Vec<Server>,
}

/// Counters of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections made.
    pub connections: u64,
    /// Packets of clients.
    pub packets_in: u64,
    /// Packets of servers.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

/// A real server of a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `[10.1.0.1]:tcp:80`.
    pub name: String,
    /// No check is down.
    pub alive: bool,
    /// Weight in the table; none when it is not there.
    pub weight: Option<u32>,
    /// Weight that its pool gives it while it lives.
    pub full_weight: u32,
    /// What is special about it: `draining`, `suspended`, `weight ordered`, `drained`, `checks paused`.
    pub notes: Vec<Note>,
    /// Its checks.
    pub checks: Vec<Check>,
    /// Established connections.
    pub active: u64,
    /// Others that are remembered.
    pub inactive: u64,
    /// Counters since it entered the table.
    pub traffic: Traffic,
}

/// Something special.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What.
    pub what: String,
    /// When it ends by itself.
    pub until_at_ms: Option<u64>,
}

/// A check of a real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `TCP_CHECK`.
    pub kind: String,
    /// What it counts as.
    pub up: bool,
    /// When its latest verdict was given; none before the first.
    pub since_at_ms: Option<u64>,
    /// Why it is down; empty when it is up.
    pub reason: String,
    /// What it has done; none for one that only follows a file or a BFD session.
    #[serde(default)]
    pub attempts: Option<Attempts>,
}

/// What a check has done since it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Attempts that have ended.
    pub ended: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// How long the latest one took, microseconds; none before the first.
    pub latest_us: Option<u64>,
}

/// What the engine remembers of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The client; of a template its network, and port 0.
    pub client: SocketAddr,
    /// The virtual service.
    pub service: SocketAddr,
    /// The server that it goes to.
    pub server: SocketAddr,
    /// It binds all connections of the client (`persistence_timeout`).
    pub template: bool,
    /// `ESTABLISHED`.
    pub state: String,
    /// How long it is remembered if no packet comes.
    pub expires_in_ms: u64,
}

/// The forwarding engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Connections and templates that are remembered.
    pub connections: u64,
    /// Connections of which the kernel carries the plain packets.
    pub carried_connections: u64,
    /// Packets that it carried past the engine.
    pub carried_packets: u64,
    /// Frames handed to the engine.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames left to the host's own stack.
    pub reinjected: u64,
    /// Frames lost because the receive ring was full.
    pub overflowed: u64,
    /// Frames that the kernel refused to send, and packets without a way.
    pub unsent: u64,
    /// Packets dropped, by reason.
    pub dropped: Vec<(String, u64)>,
    /// Connections and templates that `drop_entry` ended before their time.
    pub ended_in_defence: u64,
    /// Times that it was restarted after a fault of its own.
    pub restarts: u64,
}
