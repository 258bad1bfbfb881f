//! The outlook, as clients get it.

use serde::{Deserialize, Serialize};

/// What a reload would change, or has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Path of the file.
    pub configuration: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why the file is not applied.
    pub refused: Option<String>,
    /// What users of the virtual addresses would notice, the worst first.
    pub losses: Vec<Loss>,
    /// What there is to say about the file.
    pub findings: Vec<Finding>,
    /// Instances that are added, removed or edited, or change their state.
    pub instances: Vec<InstanceChange>,
    /// Interfaces of virtual routers (`use_vmac`, `use_ipvlan`) that are made.
    pub interfaces_made: Vec<String>,
    /// Interfaces of virtual routers that are removed, or removed and made anew.
    pub interfaces_removed: Vec<String>,
    /// Static addresses, routes and rules that are set.
    pub statics_set: Vec<String>,
    /// Static addresses, routes and rules that are taken away.
    pub statics_removed: Vec<String>,
    /// Virtual servers that are added, removed or edited.
    pub services: Vec<ServiceChange>,
    /// Checks that begin, end or go on with other settings.
    pub checks: Vec<CheckChange>,
    /// Servers and quorums that go up or down at once, as scripts and FIFOs are told.
    pub events: Vec<String>,
    /// BFD sessions, tracked scripts, files and processes, and sync daemons.
    pub watchers: Vec<WatcherChange>,
    /// Everything else in the file.
    pub settings: Vec<SettingChange>,
    /// Settings that count from the next start of the daemon on.
    pub restart: Vec<SettingChange>,
}

impl Outlook {
    /// Whether the reload changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
            && self.interfaces_made.is_empty()
            && self.interfaces_removed.is_empty()
            && self.statics_set.is_empty()
            && self.statics_removed.is_empty()
            && self.services.is_empty()
            && self.checks.is_empty()
            && self.events.is_empty()
            && self.watchers.is_empty()
            && self.settings.is_empty()
            && self.restart.is_empty()
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was looked at.
    #[default]
    Planned,
    /// It was applied.
    Applied,
    /// It would not be applied, or was not.
    Refused,
}

/// Something that users notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What kind of thing.
    pub kind: LossKind,
    /// The instance, address or server.
    pub subject: String,
    /// Connections that are cut; 0 for other kinds.
    pub connections: u64,
    /// In words.
    pub text: String,
}

/// Kinds of losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// A master gives up.
    Master,
    /// An address leaves this host.
    Address,
    /// Connections are cut.
    Connections,
}

/// A diagnostic of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `note`, `warning`, `deprecated`, `error`, `security` or `fatal`.
    pub severity: String,
    /// Stable name of its kind.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Path of the file.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// What to do about it.
    pub help: Option<String>,
}

/// How a thing of the old file relates to one of the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It takes no new connections and is gone when its last ones have ended, or when its time is up.
    Drained,
    /// It is there before and after.
    Changed,
}

/// A VRRP instance. Instances are the same when interface, identifier and family are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceChange {
    /// Its name; that of the new file where it has another one there.
    pub name: String,
    /// Its name in the old file, where that is another one.
    pub renamed_from: Option<String>,
    /// What happens to it.
    pub change: Change,
    /// State before; null for a new one.
    pub state_before: Option<String>,
    /// State right after the reload; null for one that is removed.
    pub state_after: Option<String>,
    /// Effective priority before.
    pub priority_before: Option<u8>,
    /// Effective priority after.
    pub priority_after: Option<u8>,
    /// Changes of state on the way, with their reasons.
    pub transitions: Vec<String>,
    /// Adverts of priority 0: the others elect at once.
    pub resigns: u32,
    /// Adverts out of turn that tell the others of something new.
    pub adverts: u32,
    /// Its addresses are announced by gratuitous ARP or neighbour advertisements.
    pub announces: bool,
    /// Addresses, routes and rules that it takes off.
    pub removes: Vec<String>,
    /// Addresses, routes and rules that it sets.
    pub sets: Vec<String>,
    /// Lines of the file that differ.
    pub settings: Vec<SettingChange>,
}

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceChange {
    /// `[10.0.0.100]:tcp:80`.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// Addresses and marks that it begins to serve.
    pub gains: Vec<String>,
    /// Addresses and marks that it ceases to serve.
    pub gives_up: Vec<String>,
    /// Real servers in the forwarding table that come, go or are edited.
    pub servers: Vec<ServerChange>,
    /// Lines of the file that differ.
    pub settings: Vec<SettingChange>,
}

/// A real server in the forwarding table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerChange {
    /// The address or mark that is served: `[10.0.0.100]:tcp:80`.
    pub service: String,
    /// `[10.1.0.1]:tcp:80`.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// Weight in the table before.
    pub weight_before: Option<u32>,
    /// Weight in the table after.
    pub weight_after: Option<u32>,
    /// Forwarding method before, as in `lb_kind`.
    pub method_before: Option<String>,
    /// Forwarding method after.
    pub method_after: Option<String>,
    /// Connections that it has, active and inactive ones.
    pub connections: u64,
    /// How many of them are cut.
    pub connections_lost: u64,
}

/// A check of a real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckChange {
    /// The virtual server.
    pub service: String,
    /// The real server.
    pub server: String,
    /// `TCP_CHECK`.
    pub kind: String,
    /// What happens to it. A changed one keeps its verdict until its next attempts.
    pub change: Change,
}

/// Something that is watched, or that runs beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatcherChange {
    /// `bfd`, `script`, `file`, `process` or `sync_daemon`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub change: Change,
}

/// Lines of the effective configuration that differ (`--print-config`). Passwords are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// The blocks around it, from the outside; empty at the top of what is compared.
    pub within: String,
    /// The line before; null where there was none. A block stands for all that is in it.
    pub before: Option<String>,
    /// The line after; null where there is none.
    pub after: Option<String>,
}
