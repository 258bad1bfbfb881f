//! Commands, `vrrp_script` and notifications.

use crate::span::Span;
use std::time::Duration;

/// A user and, where written, a group that scripts run as. Names or numbers, resolved by the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptUser {
    /// User name or number.
    pub user: String,
    /// Group name or number; `None` is the user's own group.
    pub group: Option<String>,
}

/// A command that keepalived would run: already split into words by its quoting rules (behaviour note 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Program and arguments; never empty. The program is as written: path search and checks are the daemon's.
    pub argv: Vec<String>,
    /// The command as keepalived would print it in its log lines.
    pub text: String,
    /// Explicit user and group.
    pub user: Option<ScriptUser>,
    /// Where the command was written.
    pub span: Span,
}

/// `vrrp_script NAME`.
#[derive(Debug, Clone, PartialEq)]
pub struct VrrpScript {
    /// Name that `track_script` refers to.
    pub name: String,
    /// `script`, with `user`.
    pub script: Script,
    /// `interval`, default 1 s.
    pub interval: Duration,
    /// `timeout`; equal to the interval when absent.
    pub timeout: Duration,
    /// `weight`, -253..=253; 0 makes a failure a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `rise`: successes in a row until it counts as up.
    pub rise: u32,
    /// `fall`: failures in a row until it counts as down.
    pub fall: u32,
    /// `init_fail`: down until the first result.
    pub init_fail: bool,
    /// Head of the block.
    pub span: Span,
}

/// Notification scripts of an instance or a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Script>,
    /// `notify_backup`.
    pub backup: Option<Script>,
    /// `notify_fault`.
    pub fault: Option<Script>,
    /// `notify_stop`.
    pub stop: Option<Script>,
    /// `notify_deleted`.
    pub deleted: Option<Script>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<Script>,
    /// `notify`, called with four more arguments.
    pub any: Option<Script>,
    /// `notify_priority_changes`.
    pub priority_changes: bool,
}
