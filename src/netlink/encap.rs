//! Netlink attributes of routes that wrap their packets (`encap`).

use netlink_packet_core::DefaultNla;
use netlink_packet_route::route::{
    MplsLabel, RouteAttribute, RouteIp6Tunnel, RouteIp6TunnelFlags, RouteIpTunnel, RouteIpTunnelFlags,
    RouteLwEnCapType, RouteLwTunnelEncap, RouteMplsIpTunnel,
};
use standfast_parser::model::{RouteEncap, TunnelHeader};
use std::net::{Ipv4Addr, Ipv6Addr};

/// `ILA_ATTR_LOCATOR`.
const LOCATOR: u16 = 1;

/// `RTA_ENCAP_TYPE` and `RTA_ENCAP`.
pub(super) fn attributes(encap: &RouteEncap) -> [RouteAttribute; 2] {
    let (kind, parts) = match encap {
        RouteEncap::Mpls(labels) => (RouteLwEnCapType::Mpls, vec![RouteLwTunnelEncap::Mpls(mpls(labels))]),
        RouteEncap::Ip(header) => (RouteLwEnCapType::Ip, ip(header).map(RouteLwTunnelEncap::Ip).collect()),
        RouteEncap::Ip6(header) => (RouteLwEnCapType::Ip6, ip6(header).map(RouteLwTunnelEncap::Ip6).collect()),
        RouteEncap::Ila(locator) => {
            let locator = DefaultNla::new(LOCATOR, locator.to_be_bytes().to_vec());
            (RouteLwEnCapType::Ila, vec![RouteLwTunnelEncap::Other(locator)])
        }
    };
    [RouteAttribute::EncapType(kind), RouteAttribute::Encap(parts)]
}

fn mpls(labels: &[u32]) -> RouteMplsIpTunnel {
    let last = labels.len().saturating_sub(1);
    let label =
        |(at, label): (usize, &u32)| MplsLabel { label: *label, traffic_class: 0, bottom_of_stack: at == last, ttl: 0 };
    RouteMplsIpTunnel::Destination(labels.iter().enumerate().map(label).collect())
}

fn ip(header: &TunnelHeader<Ipv4Addr>) -> impl Iterator<Item = RouteIpTunnel> {
    let TunnelHeader { id, destination, source, tos, ttl, flags } = *header;
    let flags = flags.map(RouteIpTunnelFlags::from_bits_retain);
    [
        id.map(RouteIpTunnel::Id),
        destination.map(RouteIpTunnel::Destination),
        source.map(RouteIpTunnel::Source),
        tos.map(RouteIpTunnel::Tos),
        ttl.map(RouteIpTunnel::Ttl),
        flags.map(RouteIpTunnel::Flags),
    ]
    .into_iter()
    .flatten()
}

fn ip6(header: &TunnelHeader<Ipv6Addr>) -> impl Iterator<Item = RouteIp6Tunnel> {
    let TunnelHeader { id, destination, source, tos, ttl, flags } = *header;
    let flags = flags.map(RouteIp6TunnelFlags::from_bits_retain);
    [
        id.map(RouteIp6Tunnel::Id),
        destination.map(RouteIp6Tunnel::Destination),
        source.map(RouteIp6Tunnel::Source),
        tos.map(RouteIp6Tunnel::Tc),
        ttl.map(RouteIp6Tunnel::Hoplimit),
        flags.map(RouteIp6Tunnel::Flags),
    ]
    .into_iter()
    .flatten()
}
