use super::*;
use crate::netlink::{Interface, InterfaceAddress, Nature};
use crate::vrrp::{SocketView, Views};
use netlink_packet_route::link::LinkFlags;
use standfast_parser::{MemoryLoader, Options, parse};
use standfast_vrrp::{Family, Link, Node, NodeConfig, RouterConfig};
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "global_defs {
    router_id LAB
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 150
    authentication {
        auth_type PASS
        auth_pass secret77
    }
    virtual_ipaddress {
        10.9.9.9/24 label eth0:1
    }
    notify \"/run/n.sh A\"
}
";

/// With its own addresses, a link-local one last, and the virtual one.
fn interface() -> Interface {
    let addresses = [("192.0.2.1", 24), ("10.9.9.9", 24), ("2001:db8::1", 64), ("fe80::1", 64)];
    let held = |(address, prefix_len): (&str, u8)| InterfaceAddress {
        address: address.parse().expect("an address"),
        prefix_len,
        secondary: false,
    };
    let flags = LinkFlags::Broadcast | LinkFlags::Noarp;
    Interface {
        index: 7,
        name: "eth0".to_owned(),
        mac: Some([2, 0, 0, 0, 0, 0xff]),
        mtu: 1500,
        up: true,
        addresses: addresses.map(held).to_vec(),
        nature: Nature { hardware: 1, broadcast_mac: Some([0xff; 6]), flags },
        ..Interface::default()
    }
}

/// The file's configuration and a node with a router of the same name.
fn state() -> (Config, Views) {
    let parsed = parse(&MemoryLoader::single("k.conf", FILE), Path::new("k.conf"), &Options::default());
    let router = RouterConfig { priority: 150, ..RouterConfig::new("VI_1", Link(1), 51) };
    let node = Node::new(NodeConfig { routers: vec![router], ..NodeConfig::default() }, Instant::now());
    let interface = Arc::new(interface());
    let links = vec![(Link(1), "eth0".to_owned(), Some(Arc::clone(&interface)))];
    let socket = SocketView {
        descriptor: Some(13),
        link: Link(1),
        family: Family::V4,
        protocol: 112,
        unicast: None,
        routers: vec![("VI_1".to_owned(), 51)],
    };
    (
        parsed.config,
        Views {
            routers: node.views(),
            groups: node.group_views(),
            links,
            interfaces: vec![interface],
            sockets: vec![socket],
        },
    )
}

fn with_sources<T>(now: (Instant, SystemTime), make: impl FnOnce(&Sources<'_>) -> T) -> T {
    let (config, views) = state();
    make(&Sources {
        config: &config,
        views: &views,
        observed: &Observed::default(),
        policy: &ScriptPolicy::new(&config.globals),
        host: "host",
        now,
    })
}

fn dumps() -> (String, String, String) {
    with_sources((Instant::now(), SystemTime::now()), |sources| {
        (vrrp_data(sources), vrrp_json(sources), vrrp_stats(sources.views))
    })
}

#[test]
fn the_data_file_has_keepalived_s_lines() {
    let (data, _, _) = dumps();
    for line in [
        "------< Global definitions >------",
        " Router ID = LAB",
        "------< VRRP Topology >------",
        " VRRP Instance = VI_1",
        "   State = INIT",
        "   Interface = eth0",
        "   Multicast address 224.0.0.18",
        "   Virtual Router ID = 51",
        "   Priority = 150",
        "   Advert interval = 1 sec",
        "   Authentication type = SIMPLE_PASSWORD",
        "   Promote_secondaries = disabled",
        "   Number of interface and track script faults = 0",
        "   Virtual IP (1):",
        "     10.9.9.9/24 dev eth0 scope global label eth0:1",
    ] {
        assert!(data.lines().any(|found| found == line), "{line} is missing in:\n{data}");
    }
    assert!(data.contains("   Generic state transition script = '/run/n.sh' 'A', uid:gid "), "{data}");
}

#[test]
fn sockets_and_interfaces_are_told() {
    let (data, _, _) = dumps();
    let pool = "------< VRRP Sockpool >------\n fd_in 13 fd_out = 13\n   Interface = eth0\n   Family = IPv4\n   Protocol = VRRP\n   \
                Type = Multicast\n   VRRP instances\n     VI_1 vrid 51\n";
    assert!(data.contains(pool), "{data}");
    let interface = "------< Interfaces >------\n Name = eth0\n   index = 7\n   IPv4 address = 192.0.2.1\n   \
                     IPv6 address = fe80::1\n   MAC = 02:00:00:00:00:ff\n   \
                     MAC broadcast = ff:ff:ff:ff:ff:ff\n   State = UP, not RUNNING, no arp, no multicast\n";
    assert!(data.contains(interface), "{data}");
    assert!(data.contains("   HW Type = ETHERNET\n"), "{data}");
}

#[test]
fn no_dump_shows_a_password() {
    let (data, json, stats) = dumps();
    assert!(![data, json, stats].iter().any(|text| text.contains("secret77")));
}

#[test]
fn the_json_file_is_an_array_of_data_and_stats() {
    let (_, json, _) = dumps();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let data = &value[0]["data"];
    assert_eq!((data["iname"].as_str(), data["vrid"].as_u64()), (Some("VI_1"), Some(51)));
    assert_eq!(data["adver_int"], serde_json::json!(1));
    assert_eq!(data["auth_type"], serde_json::json!(1));
    assert_eq!(data["vips"][0], "10.9.9.9/24 dev eth0 scope global label eth0:1");
    assert_eq!(value[0]["stats"]["become_master"], 0);
}

#[test]
fn the_stats_file_has_keepalived_s_layout() {
    let (_, _, stats) = dumps();
    let head = "VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n    Sent: 0\n  Became master: 0\n";
    assert!(stats.starts_with(head), "{stats}");
    assert!(stats.ends_with("  Priority Zero:\n    Received: 0\n    Sent: 0\n"), "{stats}");
}

#[test]
fn instants_become_times_of_day_on_both_sides_of_the_present() {
    let (now, time) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let second = Duration::from_secs(1);
    with_sources((now, time), |sources| {
        assert_eq!(sources.time_of(now + second), time + second);
        assert_eq!(sources.time_of(now - second), time - second);
    });
}
