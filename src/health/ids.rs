//! Identities that outlive a reload.

use standfast_checkers::CheckerId;
use standfast_checkers::pool::ServerId;
use standfast_parser::model::{CheckerKind, Protocol, VirtualServer, VirtualTarget};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A virtual server over reloads: what it serves.
pub type ServiceName = (String, Protocol);

/// A real server over reloads. The last number tells equal addresses of one service apart.
pub type ServerName = (ServiceName, SocketAddr, usize);

/// Hands out identities and remembers them.
#[derive(Debug, Default, Clone)]
pub struct Ids {
    next: u64,
    servers: BTreeMap<ServerName, ServerId>,
    checkers: BTreeMap<(ServerId, &'static str, usize), CheckerId>,
}

/// The identity of a virtual server.
#[must_use]
pub fn service_name(server: &VirtualServer) -> ServiceName {
    let target = match &server.target {
        VirtualTarget::Address(address) => address.to_string(),
        VirtualTarget::Fwmark(mark) => format!("fwmark {mark}"),
        VirtualTarget::Group(name) => format!("group {name}"),
    };
    (target, server.protocol)
}

impl Ids {
    /// The identity of a real server.
    pub fn server(&mut self, name: ServerName) -> ServerId {
        let next = &mut self.next;
        *self.servers.entry(name).or_insert_with(|| ServerId(take(next)))
    }

    /// The identity of a server's nth checker of its kind: edited options keep it, another kind does not.
    pub fn checker(&mut self, server: ServerId, kind: &CheckerKind, nth: usize) -> CheckerId {
        let next = &mut self.next;
        *self.checkers.entry((server, kind.keyword(), nth)).or_insert_with(|| CheckerId(take(next)))
    }

    /// Forgets every server that is not among the living.
    pub fn retain(&mut self, living: &BTreeSet<ServerId>) {
        self.servers.retain(|_, id| living.contains(id));
        self.checkers.retain(|(server, _, _), _| living.contains(server));
    }
}

fn take(next: &mut u64) -> u64 {
    *next += 1;
    *next
}

/// Whether a checker of this kind looks for itself, rather than following what others watch.
#[must_use]
pub fn kind_makes_attempts(kind: &str) -> bool {
    !matches!(kind, "FILE_CHECK" | "BFD_CHECK")
}
