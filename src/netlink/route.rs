//! Routes to set, and the netlink messages that set and remove them.

use super::encap;
use super::interface::Table;
use super::kernel::{Message, family_of, request};
use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteMplsTtlPropagation, RouteNextHop,
    RouteNextHopFlags, RouteRealm, RouteType, RouteVia,
};
use standfast_parser::model::{Family, Nexthop, Route, RouteKind, RoutePlacement};
use standfast_parser::span::Span;
use std::fmt;
use std::net::IpAddr;

const TABLE_MAIN: u32 = 254;
/// `RT_SCOPE_*`.
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
const SCOPE_NOWHERE: u8 = 255;
/// `RTPROT_BOOT`: what the kernel shows for routes of nobody in particular.
const PROTOCOL_BOOT: u8 = 3;
/// `IP6_RT_PRIO_USER`: the metric of IPv6 routes that name none.
const IPV6_METRIC: u32 = 1024;
/// `RTAX_LOCK` and `RTAX_CC_ALGO`.
const METRIC_LOCK: u16 = 1;
const METRIC_CONGESTION: u16 = 16;

/// One route that a virtual router sets, or that is there while the daemon runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec(Route);

impl RouteSpec {
    /// The configuration's `line`; where it stands in the file makes no difference.
    #[must_use]
    pub fn from_config(line: &Route) -> Self {
        Self(Route { span: Span::default(), ..line.clone() })
    }

    /// Whether its loss matters.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.0.track
    }

    /// Every interface that it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let nexthops = self.0.nexthops.iter().filter_map(|nexthop| nexthop.dev.as_deref());
        self.0.dev.as_deref().into_iter().chain(nexthops)
    }

    /// `RTM_NEWROUTE`; `None` while an interface that it names does not exist.
    pub(super) fn add(&self, table: &Table) -> Option<Message> {
        let mut message = self.common(table)?;
        let route = &self.0;
        message.header.scope = self.scope().into();
        message.header.protocol = route.protocol.unwrap_or(PROTOCOL_BOOT).into();
        if route.onlink {
            message.header.flags = RouteFlags::Onlink;
        }
        let attributes = &mut message.attributes;
        attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
        attributes.extend(route.realms.map(|both| RouteAttribute::Realm(realm(both))));
        attributes.extend(route.expires.map(RouteAttribute::Expires));
        attributes.extend(route.preference.map(|preference| RouteAttribute::Preference(preference.into())));
        attributes.extend(route.ttl_propagate.map(|on| {
            RouteAttribute::TtlPropagate(match on {
                true => RouteMplsTtlPropagation::Enabled,
                false => RouteMplsTtlPropagation::Disabled,
            })
        }));
        attributes.extend(self.metrics());
        let placement = match route.placement {
            RoutePlacement::Prepend => 0,
            RoutePlacement::Add => NLM_F_EXCL,
            RoutePlacement::Append => NLM_F_APPEND,
        };
        Some(request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | placement))
    }

    /// `RTM_DELROUTE`; `None` while an interface that it names does not exist, for the route went with it.
    pub(super) fn delete(&self, table: &Table) -> Option<Message> {
        let mut message = self.common(table)?;
        message.header.scope = SCOPE_NOWHERE.into();
        message.header.protocol = self.0.protocol.unwrap_or_default().into();
        Some(request(RouteNetlinkMessage::DelRoute(message), 0))
    }

    /// Whether a message of the kernel is about this route.
    pub(super) fn is(&self, message: &RouteMessage, table: &Table) -> bool {
        let route = &self.0;
        let found = Found::new(message);
        let own_index = route.dev.as_deref().and_then(|name| table.by_name(name)).map(|interface| interface.index);
        message.header.address_family == family_of(route.family)
            && message.header.destination_prefix_length == route.destination.prefix_len()
            && found.destination.unwrap_or(unspecified(route.family)) == route.destination.network()
            && message.header.tos == route.tos
            && message.header.kind == RouteType::from(route.kind as u8)
            && found.table.unwrap_or(u32::from(message.header.table)) == self.table_number(table)
            && found.metric.unwrap_or(0) == self.metric()
            && (found.gateway.is_none() || route.via.is_none() || found.gateway == route.via)
            && (found.index.is_none() || own_index.is_none() || found.index == own_index)
    }

    fn common(&self, table: &Table) -> Option<RouteMessage> {
        let route = &self.0;
        let index = match &route.dev {
            Some(name) => Some(table.by_name(name)?.index),
            None => None,
        };
        let number = self.table_number(table);
        let mut message = RouteMessage::default();
        message.header.address_family = family_of(route.family);
        message.header.destination_prefix_length = route.destination.prefix_len();
        message.header.tos = route.tos;
        message.header.kind = RouteType::from(route.kind as u8);
        // Larger numbers go into the attribute alone (RT_TABLE_UNSPEC).
        message.header.table = u8::try_from(number).unwrap_or_default();
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Destination(route.destination.network().into()));
        attributes.push(RouteAttribute::Table(number));
        if let Some(from) = route.from {
            message.header.source_prefix_length = from.prefix_len();
            attributes.push(RouteAttribute::Source(from.network().into()));
        }
        attributes.extend(route.encap.iter().flat_map(encap::attributes));
        attributes.extend(route.via.map(|via| gateway(via, route.family)));
        attributes.extend(index.map(RouteAttribute::Oif));
        attributes.extend(route.metric.map(RouteAttribute::Priority));
        if !route.nexthops.is_empty() {
            let nexthops: Option<Vec<_>> = route.nexthops.iter().map(|one| nexthop(one, route.family, table)).collect();
            attributes.push(RouteAttribute::MultiPath(nexthops?));
        }
        Some(message)
    }

    /// As ip-route(8) chooses it, but for networks behind an interface, which are `link` there and `universe` for keepalived.
    fn scope(&self) -> u8 {
        let route = &self.0;
        if let Some(scope) = route.scope {
            return scope;
        }
        match route.kind {
            _ if route.family == Family::V6 => SCOPE_UNIVERSE,
            RouteKind::Local | RouteKind::Nat => SCOPE_HOST,
            RouteKind::Broadcast | RouteKind::Multicast | RouteKind::Anycast => SCOPE_LINK,
            _ => SCOPE_UNIVERSE,
        }
    }

    fn table_number(&self, table: &Table) -> u32 {
        let of_vrf = self.0.vrf.as_deref().and_then(|name| table.by_name(name)).and_then(|vrf| vrf.vrf_table);
        of_vrf.unwrap_or(if self.0.table == 0 { TABLE_MAIN } else { self.0.table })
    }

    fn metric(&self) -> u32 {
        let default = if self.0.family == Family::V6 { IPV6_METRIC } else { 0 };
        // The kernel takes zero for the default.
        self.0.metric.filter(|metric| *metric > 0).unwrap_or(default)
    }

    fn metrics(&self) -> Option<RouteAttribute> {
        let route = &self.0;
        let locked = route.metrics.iter().filter(|metric| metric.lock).map(|metric| metric.kind as u16);
        let locked = locked.chain(route.congestion_control.iter().filter(|own| own.lock).map(|_| METRIC_CONGESTION));
        let lock = locked.fold(0_u32, |mask, kind| mask | 1 << kind);
        let mut metrics: Vec<_> = (lock != 0).then(|| metric(METRIC_LOCK, lock)).into_iter().collect();
        metrics.extend(route.metrics.iter().map(|own| metric(own.kind as u16, own.value)));
        metrics.extend(route.congestion_control.iter().map(|own| RouteMetric::CcAlgo(own.name.clone())));
        (!metrics.is_empty()).then_some(RouteAttribute::Metrics(metrics))
    }
}

impl fmt::Display for RouteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.0;
        if route.kind != RouteKind::Unicast {
            write!(f, "{} ", route.kind.word())?;
        }
        match route.destination.prefix_len() {
            0 => f.write_str("default")?,
            _ => write!(f, "{}", route.destination)?,
        }
        if let Some(via) = route.via {
            write!(f, " via {via}")?;
        }
        if let Some(dev) = &route.dev {
            write!(f, " dev {dev}")?;
        }
        if route.table != TABLE_MAIN {
            write!(f, " table {}", route.table)?;
        }
        Ok(())
    }
}

/// What identifies the route in a message of the kernel.
#[derive(Default)]
struct Found {
    destination: Option<IpAddr>,
    gateway: Option<IpAddr>,
    table: Option<u32>,
    metric: Option<u32>,
    index: Option<u32>,
}

impl Found {
    fn new(message: &RouteMessage) -> Self {
        let mut found = Self::default();
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => found.destination = ip(address),
                RouteAttribute::Gateway(address) => found.gateway = ip(address),
                RouteAttribute::Via(RouteVia::Inet6(address)) => found.gateway = Some((*address).into()),
                RouteAttribute::Table(table) => found.table = Some(*table),
                RouteAttribute::Priority(metric) => found.metric = Some(*metric),
                RouteAttribute::Oif(index) => found.index = Some(*index),
                _ => {}
            }
        }
        found
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// RFC 5549: an IPv4 route may have an IPv6 gateway, which goes into another attribute.
fn gateway(via: IpAddr, family: Family) -> RouteAttribute {
    match (via, family) {
        (IpAddr::V6(via), Family::V4) => RouteAttribute::Via(RouteVia::Inet6(via)),
        (IpAddr::V4(via), Family::V6) => RouteAttribute::Via(RouteVia::Inet(via)),
        (via, _) => RouteAttribute::Gateway(via.into()),
    }
}

fn nexthop(nexthop: &Nexthop, family: Family, table: &Table) -> Option<RouteNextHop> {
    let mut message = RouteNextHop::default();
    message.hops = nexthop.weight.and_then(|weight| u8::try_from(weight.saturating_sub(1)).ok()).unwrap_or_default();
    message.interface_index = match &nexthop.dev {
        Some(name) => table.by_name(name)?.index,
        None => 0,
    };
    if nexthop.onlink {
        message.flags = RouteNextHopFlags::Onlink;
    }
    message.attributes.extend(nexthop.encap.iter().flat_map(encap::attributes));
    message.attributes.extend(nexthop.via.map(|via| gateway(via, family)));
    message.attributes.extend(nexthop.realms.map(|both| RouteAttribute::Realm(realm(both))));
    Some(message)
}

/// Source realm in the upper half.
pub(super) fn realm(both: u32) -> RouteRealm {
    RouteRealm { source: (both >> 16) as u16, destination: (both & 0xffff) as u16 }
}

fn metric(kind: u16, value: u32) -> RouteMetric {
    RouteMetric::Other(DefaultNla::new(kind, value.to_ne_bytes().to_vec()))
}
