//! The typed configuration: what a file means after keepalived's defaults and repairs were applied.
//!
//! Every block keeps the [`Span`] of its head so that the daemon can point at it. Durations are [`std::time::Duration`], sizes and
//! counts plain integers. Names are keepalived's keywords.

mod auth_hmac;
mod checker;
mod globals;
mod instance;
mod interface;
mod process;
mod route;
mod script;
mod service;
mod tracker;

pub use auth_hmac::*;
pub use checker::*;
pub use globals::*;
pub use instance::*;
pub use interface::*;
pub use process::*;
pub use route::*;
pub use script::*;
pub use service::*;
pub use tracker::*;

use crate::span::Span;

/// A whole configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// `global_defs`, merged.
    pub globals: Globals,
    /// `vrrp_script` blocks in file order; names are unique.
    pub scripts: Vec<VrrpScript>,
    /// `vrrp_sync_group` blocks in file order; names are unique.
    pub sync_groups: Vec<SyncGroup>,
    /// `vrrp_instance` blocks in file order; names are unique.
    pub instances: Vec<VrrpInstance>,
    /// `virtual_server` blocks in file order.
    pub virtual_servers: Vec<VirtualServer>,
    /// `virtual_server_group` blocks in file order; names are unique.
    pub virtual_server_groups: Vec<VirtualServerGroup>,
    /// `track_file` blocks in file order; names are unique.
    pub track_files: Vec<TrackFile>,
    /// `vrrp_track_process` blocks in file order; names are unique.
    pub track_processes: Vec<TrackProcess>,
    /// `bfd_instance` blocks in file order; names are unique.
    pub bfd_instances: Vec<BfdInstance>,
    /// `static_ipaddress`, `static_routes` and `static_rules`.
    pub statics: Statics,
    /// `track_group` blocks in file order; names are unique.
    pub track_groups: Vec<TrackGroup>,
    /// `garp_group` blocks in file order.
    pub garp_groups: Vec<GarpGroup>,
    /// `linkbeat_interfaces`: interfaces whose state is asked for.
    pub linkbeat_interfaces: Vec<LinkbeatInterface>,
    /// `linkbeat_use_polling`: the state of all interfaces is asked for.
    pub linkbeat_use_polling: bool,
    /// `interface_up_down_delays`.
    pub interface_delays: Vec<InterfaceDelay>,
    /// `SSL`.
    pub client_tls: Option<ClientTls>,
    /// Other top-level statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

/// A statement that has no place of its own in the model yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// Keyword and arguments, quotes removed.
    pub words: Vec<String>,
    /// Its block, three levels deep at most.
    pub block: Option<Vec<Statement>>,
    /// Where it stands.
    pub span: Span,
}
