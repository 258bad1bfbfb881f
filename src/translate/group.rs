//! Virtual servers that stand for several services of the engine.

use super::engine::{self, NotForwarded};
use super::names;
use standfast_ipvs::{DestinationConfig, Forwarding, Persistence, ServiceConfig, ServiceId, ServiceKey};
use standfast_parser::model::{GroupEntry, VirtualServer, VirtualServerGroup, VirtualTarget};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// More services than this do not belong to one group.
pub const MOST_SERVICES: usize = 1 << 16;
/// What a service on all ports gets when it asks for no persistence.
const PERSISTENCE: Duration = Duration::from_secs(360);

/// The group that a virtual server names.
#[must_use]
pub fn of<'g>(server: &VirtualServer, groups: &'g [VirtualServerGroup]) -> Option<&'g VirtualServerGroup> {
    match &server.target {
        VirtualTarget::Group(name) => groups.iter().find(|group| &group.name == name),
        _ => None,
    }
}

/// The engine's services for a virtual server: one for an address or a mark, one for each address and mark of a group.
///
/// # Errors
/// What the engine cannot do.
pub fn services(
    server: &VirtualServer,
    group: Option<&VirtualServerGroup>,
) -> Result<Vec<ServiceConfig>, NotForwarded> {
    let VirtualTarget::Group(_) = server.target else {
        return Ok(vec![engine::service(server)?]);
    };
    let entries = group.map_or(&[][..], |group| &group.entries);
    let anywhere = entries.iter().any(|entry| matches!(entry, GroupEntry::Addresses { port: 0, .. }));
    let mut services = Vec::new();
    for entry in entries {
        let mut first = engine::service(&VirtualServer { target: target(entry), ..server.clone() })?;
        if anywhere && first.persistence.is_none() {
            first.persistence = Some(Persistence { timeout: PERSISTENCE, ..everything(entry) });
        }
        services.extend(each(entry, &first).take(MOST_SERVICES.saturating_sub(services.len())));
    }
    Ok(services)
}

/// Whether a group has more addresses than are served.
#[must_use]
pub fn is_too_large(group: &VirtualServerGroup) -> bool {
    let mut total = 0_u128;
    for entry in &group.entries {
        total = total.saturating_add(match entry {
            GroupEntry::Addresses { first, last, .. } => number(*last).saturating_sub(number(*first)).saturating_add(1),
            GroupEntry::Fwmark(_) => 1,
        });
    }
    total > MOST_SERVICES as u128
}

/// The entries of a group as keepalived's log lines name them.
#[must_use]
pub fn entry_names(server: &VirtualServer, group: &VirtualServerGroup) -> Vec<String> {
    let name = |entry: &GroupEntry| match entry {
        GroupEntry::Fwmark(mark) => format!("FWM {mark}"),
        GroupEntry::Addresses { first, last, port } => {
            let socket = names::socket(SocketAddr::new(*first, *port), Some(server.protocol));
            if first == last { socket } else { format!("{socket}-{last}") }
        }
    };
    group.entries.iter().map(name).collect()
}

/// The addresses whose presence `ha_suspend` waits for; `None` where the checks never pause. Marks have no address.
#[must_use]
pub fn watched(server: &VirtualServer, group: Option<&VirtualServerGroup>) -> Option<Vec<(IpAddr, IpAddr)>> {
    if !server.ha_suspend {
        return None;
    }
    match &server.target {
        VirtualTarget::Address(address) => Some(vec![(address.ip(), address.ip())]),
        VirtualTarget::Fwmark(_) => None,
        VirtualTarget::Group(_) => group?.entries.iter().map(range).collect(),
    }
}

/// A destination as one of the services has it: only rewriting gives it a port of its own.
#[must_use]
pub fn destination_of(service: &ServiceId, destination: &DestinationConfig) -> DestinationConfig {
    let port = match (service, destination.forwarding) {
        (_, Forwarding::Nat | Forwarding::FullNat) => destination.port,
        (ServiceId::Address(key), _) => key.port,
        (ServiceId::Fwmark(_), _) => 0,
    };
    DestinationConfig { port, ..destination.clone() }
}

fn target(entry: &GroupEntry) -> VirtualTarget {
    match entry {
        GroupEntry::Addresses { first, port, .. } => VirtualTarget::Address(SocketAddr::new(*first, *port)),
        GroupEntry::Fwmark(mark) => VirtualTarget::Fwmark(*mark),
    }
}

/// Persistence of single clients.
fn everything(entry: &GroupEntry) -> Persistence {
    let v6 = matches!(entry, GroupEntry::Addresses { first: IpAddr::V6(_), .. });
    Persistence { timeout: PERSISTENCE, prefix_len: if v6 { 128 } else { 32 }, engine: None }
}

fn each<'a>(entry: &'a GroupEntry, first: &'a ServiceConfig) -> impl Iterator<Item = ServiceConfig> + 'a {
    let numbers = match (entry, first.id) {
        (GroupEntry::Addresses { first: from, last, .. }, ServiceId::Address(_)) => number(*from)..=number(*last),
        _ => 0..=0,
    };
    numbers.map(move |value| ServiceConfig { id: moved(first.id, value), ..first.clone() })
}

fn moved(id: ServiceId, to: u128) -> ServiceId {
    match id {
        ServiceId::Address(key) => ServiceId::Address(ServiceKey { address: address(to, key.address), ..key }),
        ServiceId::Fwmark(_) => id,
    }
}

fn range(entry: &GroupEntry) -> Option<(IpAddr, IpAddr)> {
    match entry {
        GroupEntry::Addresses { first, last, .. } => Some((*first, *last)),
        GroupEntry::Fwmark(_) => None,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(value: u128, like: IpAddr) -> IpAddr {
    match like {
        // The value lies between two addresses of this family.
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(value).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(value)),
    }
}
