//! What a plan says of the table beyond its changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use standfast_ipvs::{DestinationConfig, Forwarding, ServiceId};

use crate::health::{Plan, PlannedService};
use crate::translate::group;

/// Which servers the file knows, and of which family the services of its marks are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Every server of a service, whether it serves at present or not.
    servers: BTreeMap<ServiceId, BTreeSet<SocketAddr>>,
    ipv6_marks: BTreeSet<u32>,
}

impl Census {
    /// Of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Census {
        let mut census = Census::default();
        for service in &plan.services {
            census.take(service);
        }
        census
    }

    fn take(&mut self, service: &PlannedService) {
        let servers = service.members.values().filter_map(|member| member.destination.as_ref());
        let servers: Vec<&DestinationConfig> = servers.chain(&service.sorry).collect();
        let ipv6 = is_ipv6(service, &servers);
        for id in service.engines.iter().map(|engine| engine.id) {
            let places = servers.iter().map(|server| place(&group::destination_of(&id, server)));
            self.servers.entry(id).or_default().extend(places);
            if let ServiceId::Fwmark(mark) = id
                && ipv6
            {
                self.ipv6_marks.insert(mark);
            }
        }
    }

    /// Whether a server is one of the file's.
    pub(super) fn knows(&self, id: ServiceId, place: SocketAddr) -> bool {
        self.servers.get(&id).is_some_and(|servers| servers.contains(&place))
    }

    /// Whether the service of a mark is one of IPv6.
    pub(super) fn is_ipv6(&self, mark: u32) -> bool {
        self.ipv6_marks.contains(&mark)
    }
}

/// As keepalived: `ip_family`, else the family of a server that is not at the end of a tunnel, else that of any.
fn is_ipv6(service: &PlannedService, servers: &[&DestinationConfig]) -> bool {
    let plain = servers.iter().find(|server| !matches!(server.forwarding, Forwarding::Tunnel(_)));
    let told = plain.or(servers.first()).is_some_and(|server| server.address.is_ipv6());
    match plain {
        None => service.ipv6.unwrap_or(told),
        Some(_) => told,
    }
}

/// Address and port of a destination.
pub(super) fn place(config: &DestinationConfig) -> SocketAddr {
    SocketAddr::new(config.address, config.port)
}
