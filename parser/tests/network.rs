//! Routes, rules, virtual interfaces and the options of addresses, and that their printed form means the same.

mod common;

use common::{parse_text, summary, without_spans};
use standfast_parser::Parsed;
use standfast_parser::model::{
    MetricKind, RouteEncap, RouteKind, RuleAction, TunnelChecksum, TunnelHeader, TunnelKind, VmacAddress,
};
use standfast_parser::print::print;
use std::net::Ipv4Addr;

/// Parses a configuration without findings; what is printed must parse to the same model.
fn clean(text: &str) -> Parsed {
    let parsed = parse_text(text);
    assert!(parsed.diagnostics.iter().all(|d| d.code == "service-without-owner"), "{}", summary(&parsed));
    let again = parse_text(print(&parsed.config));
    assert_eq!(without_spans(&parsed.config), without_spans(&again.config), "{}", print(&parsed.config));
    parsed
}

fn instance(body: &str) -> String {
    format!(
        "vrrp_instance V1 {{\ninterface eth0\nvirtual_router_id 5\nvirtual_ipaddress {{\n10.0.0.1/24\n}}\n{body}}}\n"
    )
}

#[test]
fn routes_have_the_grammar_of_ip_route() {
    let body = "virtual_routes {\n\
        10.1.0.0/16 via 10.0.0.254 dev eth0 src 10.0.0.1 table 100 metric 20 scope link mtu lock 1400 rtt 300ms\n\
        default dev eth0 no_track protocol static onlink\n\
        blackhole 10.2.0.0/16 no_track\n\
        10.3.0.0/16 no_track nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.3 dev eth1 onlink\n\
        2001:db8::/32 via fe80::1 dev eth0 pref high append\n}\n";
    let parsed = clean(&instance(body));
    let routes = &parsed.config.instances[0].routes;
    let first = &routes[0];
    assert_eq!((first.destination.to_string().as_str(), first.table, first.metric), ("10.1.0.0/16", 100, Some(20)));
    assert_eq!((first.scope, first.protocol, first.track), (Some(253), Some(18), true));
    let metrics: Vec<_> = first.metrics.iter().map(|m| (m.kind, m.value, m.lock)).collect();
    assert_eq!(metrics, [(MetricKind::Mtu, 1400, true), (MetricKind::Rtt, 2400, false)]);
    assert_eq!((routes[1].destination.to_string().as_str(), routes[1].protocol), ("0.0.0.0/0", Some(4)));
    assert_eq!(routes[2].kind, RouteKind::Blackhole);
    let hops: Vec<_> = routes[3].nexthops.iter().map(|hop| (hop.weight, hop.dev.as_deref(), hop.onlink)).collect();
    assert_eq!(hops, [(Some(3), None, false), (None, Some("eth1"), true)]);
    assert_eq!(routes[4].preference, Some(1));
}

#[test]
fn routes_may_encapsulate() {
    let body = "virtual_routes {\n\
        10.1.0.0/16 encap ip id 7 dst 192.0.2.9 src 192.0.2.2 tos 4 ttl 33 flags 4 via 10.0.0.254 dev eth0\n\
        10.2.0.0/16 encap mpls 100/0x11 via 10.0.0.254 dev eth0 metric 5\n\
        10.3.0.0/16 no_track nexthop via 10.0.0.2 encap ip dst 192.0.2.9 dev eth0 nexthop via 10.0.0.3\n\
        2001:db8::/32 encap ip6 dst 2001:db8:1::1 tc 8 hoplimit 3 via fe80::1 dev eth0\n\
        2001:db8:2::/48 encap ila 1:2:3:ff via fe80::1 dev eth0\n}\n";
    let parsed = clean(&instance(body));
    let routes = &parsed.config.instances[0].routes;
    let outer = TunnelHeader {
        id: Some(7),
        destination: Some(Ipv4Addr::new(192, 0, 2, 9)),
        source: Some(Ipv4Addr::new(192, 0, 2, 2)),
        tos: Some(4),
        ttl: Some(33),
        flags: Some(4),
    };
    assert_eq!(routes[0].encap, Some(RouteEncap::Ip(outer)));
    assert_eq!(routes[0].via, Some(Ipv4Addr::new(10, 0, 0, 254).into()));
    assert_eq!((&routes[1].encap, routes[1].metric), (&Some(RouteEncap::Mpls(vec![100, 17])), Some(5)));
    assert!(matches!(routes[2].nexthops[0].encap, Some(RouteEncap::Ip(_))) && routes[2].nexthops[1].encap.is_none());
    assert!(matches!(routes[3].encap, Some(RouteEncap::Ip6(TunnelHeader { tos: Some(8), ttl: Some(3), .. }))));
    assert_eq!(routes[4].encap, Some(RouteEncap::Ila(0x0001_0002_0003_00ff)));
}

#[test]
fn routes_that_cannot_be_are_left_out() {
    let body = |line: &str| instance(&format!("virtual_routes {{\n{line} no_track\n}}\n"));
    let cases = [
        ("via 10.0.0.1", "no-destination"),
        ("10.0.0.0/8 via fe80::1", "mixed-families"),
        ("10.0.0.0/8 table nosuch", "unknown-name"),
        ("10.0.0.0/40", "invalid-prefix"),
        ("10.0.0.0/8 wheel 3", "invalid-address"),
        ("10.0.0.0/8 nexthop via 10.0.0.1 weight 0", "out-of-range"),
        ("10.0.0.0/8 nexthop via 10.0.0.1 nonsense", "unknown-option"),
        ("10.0.0.0/8 metric", "invalid-number"),
        ("10.0.0.0/8 encap gre", "unknown-option"),
        ("10.0.0.0/8 encap ip ttl 4", "missing-value"),
        ("10.0.0.0/8 encap ip dst 2001:db8::1", "invalid-address"),
        ("10.0.0.0/8 encap ip dst 10.0.0.1 ttl 256", "invalid-number"),
        ("10.0.0.0/8 encap mpls 1048576", "invalid-number"),
        ("10.0.0.0/8 encap ila 1:2:3", "invalid-number"),
    ];
    for (line, code) in cases {
        let parsed = parse_text(body(line));
        let codes: Vec<_> = parsed.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, [code], "{line}");
        assert!(parsed.config.instances[0].routes.is_empty(), "{line}");
    }
}

#[test]
fn rules_have_the_grammar_of_ip_rule() {
    let body = "virtual_rules {\n\
        from 10.1.0.0/16 to 10.2.0.0/16 iif eth0 fwmark 0x10/0xff tos 8 priority 100 table 10\n\
        not from 10.3.0.0/16 priority 101 unreachable\n\
        inet6 priority 102 l3mdev uidrange 10-20\n\
        from 10.4.0.0/16 priority 103 goto 200\n\
        from 10.5.0.0/16 sport 10-20 dport 80 ipproto tcp priority 104 lookup main suppress_prefixlength 0\n}\n";
    let rules = clean(&instance(body)).config.instances[0].rules.clone();
    assert_eq!((rules[0].fwmark, rules[0].tos, rules[0].action), (Some((16, Some(255))), 8, RuleAction::Table(10)));
    assert_eq!((rules[1].invert, rules[1].action), (true, RuleAction::Unreachable));
    assert_eq!((rules[2].user_ids, rules[2].action), (Some((10, 20)), RuleAction::L3mdev));
    assert_eq!(rules[3].action, RuleAction::Goto(200));
    assert_eq!((rules[4].source_ports, rules[4].destination_ports), (Some((10, 20)), Some((80, 80))));
    assert_eq!((rules[4].ip_protocol, rules[4].suppress_prefix_length), (Some(6), Some(0)));
}

#[test]
fn rules_without_a_priority_count_down() {
    let parsed = parse_text("static_rules {\nfrom 10.0.0.0/8 table 1\nfrom 11.0.0.0/8 table 1\n}\n");
    let priorities: Vec<_> = parsed.config.statics.rules.iter().map(|rule| rule.priority).collect();
    assert_eq!(priorities, [16_384, 16_383]);
    assert!(parsed.diagnostics.iter().all(|d| d.code == "no-priority"), "{}", summary(&parsed));
}

#[test]
fn instances_have_interfaces_of_their_own() {
    let parsed = clean(&instance("use_vmac vrrp5 02:00:00:00:01 group 7 netlink_notify_msg\nvmac_xmit_base\n"));
    let vmac = parsed.config.instances[0].vmac.clone().expect("use_vmac");
    assert_eq!((vmac.name.as_deref(), vmac.group, vmac.netlink_notify), (Some("vrrp5"), Some(7), true));
    assert_eq!(vmac.mac, VmacAddress::Prefix([2, 0, 0, 0, 1]));
    let parsed = clean(&instance("use_ipvlan ipv5 10.0.0.7/24 private\n"));
    let made = &parsed.config.instances[0];
    assert_eq!(made.source, Some("10.0.0.7".parse().expect("an address")));
    assert_eq!(made.ipvlan.as_ref().and_then(|ipvlan| ipvlan.address).map(|(_, length)| length), Some(24));
}

#[test]
fn addresses_have_options() {
    let text =
        "static_ipaddress {\n10.9.0.1/24 dev eth1 brd + label eth1:x preferred_lft 60 noprefixroute no_track\n}\n";
    let address = clean(text).config.statics.addresses.remove(0);
    assert_eq!(address.broadcast, Some("10.9.0.255".parse().expect("an address")));
    assert_eq!(address.options.preferred_lifetime, Some(60));
    assert!(address.options.no_prefix_route && address.options.no_track);
}

#[test]
fn tunnels_have_types() {
    let service = |kind: &str| {
        format!(
            "virtual_server 10.0.0.9 80 {{\nlb_algo rr\nlb_kind {kind}\nprotocol TCP\nreal_server 10.1.0.1 80 {{\n}}\n}}\n"
        )
    };
    let tunnel = clean(&service("TUN type gue port 6080 remcsum")).config.virtual_servers[0].tunnel;
    assert_eq!((tunnel.kind, tunnel.checksum), (TunnelKind::Gue { port: 6080 }, TunnelChecksum::Remote));
    for wrong in ["TUN type gue", "TUN port 5", "TUN type ipip csum", "TUN type gre remcsum", "TUN type vxlan"] {
        let parsed = parse_text(service(wrong));
        assert_eq!(parsed.verdict().test, 5, "{wrong}: {}", summary(&parsed));
    }
}

#[test]
fn every_interface_that_is_named_is_listed_where_it_stands() {
    let parsed = clean(&instance("track_interface {\neth1\n}\nvirtual_routes {\n10.1.0.0/16 dev eth2\n}\n"));
    let named: Vec<_> = parsed.interfaces.iter().map(|i| (i.name.as_str(), i.span.line, i.span.column)).collect();
    assert_eq!(named, [("eth0", 2, 11), ("eth1", 8, 1), ("eth2", 11, 17)]);
}
