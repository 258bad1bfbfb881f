//! The data plane with the kernel around it: packets of real clients through the director to real servers.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]

mod carried;
mod site;
mod soak;
mod tunnel;

use carried::{
    a_changed_service_is_offered_anew, a_fin_ends_the_carrying, a_removed_server_gets_nothing_more,
    a_server_that_moves_is_followed, a_smaller_link_ends_and_begins_the_carrying_anew, bulk_is_carried_and_counted,
    carried_packets_keep_a_connection_alive, every_datagram_is_counted, only_the_way_that_was_learnt_is_carried,
};
use site::{
    PATIENCE, Site, VIP, VIP6, add_addresses, add_server, add_service, ask_udp, connect, serve_tcp, serve_udp, service,
    wait_for,
};
use standfast::dataplane::{Command, Dataplane, Options};
use standfast_ipvs::{
    ClientTold, DestinationConfig, Forwarding, FullNat, Protocol, ServiceId, Settings, Tunnel, TunnelChecksum,
    TunnelKind,
};
use standfast_labkit::harness::{self, Test};
use standfast_labkit::{Lab, tests};
use std::io::{ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const CHILD: &str = "STANDFAST_DATAPLANE_TEST_CHILD";
const MEGABYTE: usize = 1 << 20;

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return run_child();
    }
    let plain = tests![
        nat_tcp_is_spread_in_turn,
        nat_udp_is_spread_in_turn,
        a_worker_that_looks_instead_of_sleeping,
        dr_tcp_is_spread_in_turn,
        dr_udp_is_spread_in_turn,
        nat_of_ipv6,
        a_local_server_on_another_port_is_reached,
        full_nat_needs_no_way_back,
        tunnels_of_every_kind,
        tunnels_between_families,
        tunnels_carry_bulk,
        tunnels_lower_the_segment_size,
        nat_carries_bulk_both_ways,
        dr_carries_bulk_both_ways,
        the_host_resets_what_has_no_connection,
        a_local_server_is_reached,
        everything_else_is_untouched,
        a_service_moves_in_with_its_address,
        a_server_that_is_not_there_is_unreachable,
        an_interface_that_comes_later_is_claimed,
        a_smaller_link_behind_is_respected,
        large_datagrams_pass_in_fragments,
        large_datagrams_of_ipv6_pass_in_fragments,
        a_refused_command_changes_nothing,
        a_removed_service_goes_back_to_the_host,
    ];
    let with_nft = tests![a_killed_process_leaves_no_claim, marked_packets_are_served].map(|t| t.needs(&["nft"]));
    let with_ethtool = tests![bulk_without_offloads].map(|t| t.needs(&["ethtool"]));
    let with_setpriv = tests![without_capabilities_it_says_which].map(|t| t.needs(&["setpriv"]));
    let carried = tests![
        every_datagram_is_counted,
        carried_packets_keep_a_connection_alive,
        a_fin_ends_the_carrying,
        a_removed_server_gets_nothing_more,
        a_server_that_moves_is_followed,
        a_smaller_link_ends_and_begins_the_carrying_anew,
        a_changed_service_is_offered_anew,
        only_the_way_that_was_learnt_is_carried,
    ];
    let counted = tests![bulk_is_carried_and_counted].map(|t| t.needs(&["nft"]));
    let carried = carried.into_iter().chain(counted).map(|t| t.unless(Dataplane::lacks_for_offload));
    let long = [Test::new("soak", soak::soak).long()];
    harness::main(plain.into_iter().chain(carried).chain(long).chain(with_nft).chain(with_ethtool).chain(with_setpriv))
}

fn nat_site(protocol: Protocol) -> Site {
    let site = Site::new();
    site.answer_through_director();
    for (server, name) in site.servers.iter().zip(["web1", "web2"]) {
        match protocol {
            Protocol::Tcp => serve_tcp(server, "0.0.0.0:8080", name),
            _ => serve_udp(server, "0.0.0.0:8080", name),
        }
    }
    site.balance(protocol, Forwarding::Nat);
    site
}

fn dr_site(protocol: Protocol) -> Site {
    let site = Site::new();
    site.share_address();
    for (server, name) in site.servers.iter().zip(["web1", "web2"]) {
        match protocol {
            Protocol::Tcp => serve_tcp(server, "0.0.0.0:80", name),
            _ => serve_udp(server, "10.0.0.100:80", name),
        }
    }
    site.balance(protocol, Forwarding::Dr);
    site
}

fn greetings(site: &Site, count: usize) -> Vec<String> {
    (0..count).map(|_| site.greeting("10.0.0.100:80").unwrap()).collect()
}

fn udp_answers(site: &Site, count: usize) -> Vec<String> {
    let answer = |_| String::from_utf8(ask_udp(&site.client, "10.0.0.100:80", b"?").unwrap()).unwrap();
    (0..count).map(answer).collect()
}

fn nat_tcp_is_spread_in_turn() {
    let site = nat_site(Protocol::Tcp);
    assert_eq!(greetings(&site, 6), ["web2", "web1", "web2", "web1", "web2", "web1"]);
    assert_eq!(site.resets_by_host(), 0);
    let snapshot = site.snapshot();
    assert_eq!(snapshot.services[0].service.stats.connections, 6);
    assert!(snapshot.engine.to_client > 0 && snapshot.driver.sent > 0);
}

/// The worker finds packets, orders and the end as it does when it sleeps.
fn a_worker_that_looks_instead_of_sleeping() {
    let busy_poll = Duration::from_millis(20);
    let site = Site::started(add_addresses, Options { busy_poll: Some(busy_poll), ..Options::default() });
    serve_udp(&site.servers[0], "0.0.0.0:8080", "web1");
    site.answer_through_director();
    let id = service(Protocol::Udp, VIP, 80);
    site.apply(vec![add_service(id), add_server(id, "10.1.0.1", 8080, Forwarding::Nat)]);
    assert_eq!(udp_answers(&site, 20), vec!["web1?"; 20]);
    std::thread::sleep(busy_poll * 3);
    assert_eq!(udp_answers(&site, 2), vec!["web1?"; 2], "after it fell asleep");
}

fn nat_udp_is_spread_in_turn() {
    let site = nat_site(Protocol::Udp);
    assert_eq!(udp_answers(&site, 4), ["web2?", "web1?", "web2?", "web1?"]);
}

fn dr_tcp_is_spread_in_turn() {
    let site = dr_site(Protocol::Tcp);
    assert_eq!(greetings(&site, 6), ["web2", "web1", "web2", "web1", "web2", "web1"]);
    assert_eq!(site.resets_by_host(), 0);
    assert_eq!(site.snapshot().engine.to_client, 0);
}

fn dr_udp_is_spread_in_turn() {
    let site = dr_site(Protocol::Udp);
    assert_eq!(udp_answers(&site, 4), ["web2?", "web1?", "web2?", "web1?"]);
}

fn nat_of_ipv6() {
    let site = Site::new();
    site.answer_through_director();
    serve_tcp(&site.servers[0], "[::]:8080", "web1");
    serve_udp(&site.servers[0], "[::]:8080", "web1");
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let id = service(protocol, VIP6, 80);
        site.apply(vec![add_service(id), add_server(id, "fd01::1", 8080, Forwarding::Nat)]);
    }
    site.transfer("[fd00::100]:80", 2 * MEGABYTE, 2 * MEGABYTE);
    assert_eq!(ask_udp(&site.client, "[fd00::100]:80", b"?").unwrap(), b"web1?");
    assert_eq!(site.resets_by_host(), 0);
}

/// The servers know no way to the client: they answer to addresses of the director, one of which it uses itself.
fn full_nat_needs_no_way_back() {
    let site = Site::new();
    site.director.ip("addr add 10.1.0.250/32 dev eth1").unwrap();
    site.director.ip("addr add fd01::f0/128 dev eth1 nodad").unwrap();
    for (server, name) in site.servers.iter().zip(["web1", "web2"]) {
        server.ip("addr del 10.0.0.11/24 dev eth0").or_else(|_| server.ip("addr del 10.0.0.12/24 dev eth0")).unwrap();
        serve_tcp(server, "[::]:8080", name);
        serve_udp(server, "0.0.0.0:8080", name);
    }
    let range = |first: &str, last: &str| (first.parse().unwrap(), last.parse().unwrap());
    let sources =
        vec![range("10.1.0.250", "10.1.0.250"), range("10.1.0.254", "10.1.0.254"), range("fd01::f0", "fd01::f0")];
    for (protocol, vip, servers, client_option) in [
        (Protocol::Tcp, VIP, ["10.1.0.1", "10.1.0.2"], true),
        (Protocol::Udp, VIP, ["10.1.0.1", "10.1.0.2"], false),
        (Protocol::Tcp, VIP6, ["fd01::1", "fd01::2"], true),
    ] {
        let id = service(protocol, vip, 80);
        let Command::AddService(mut config) = add_service(id) else { unreachable!() };
        let client = if client_option { ClientTold::Option } else { ClientTold::Nothing };
        config.full_nat = FullNat { sources: sources.clone(), client };
        site.apply(vec![Command::AddService(config)]);
        site.apply(servers.map(|server| add_server(id, server, 8080, Forwarding::FullNat)).into());
    }
    assert_eq!(greetings(&site, 4), ["web2", "web1", "web2", "web1"]);
    assert_eq!(udp_answers(&site, 2), ["web2?", "web1?"]);
    site.transfer("10.0.0.100:80", 3 * MEGABYTE, 3 * MEGABYTE);
    site.transfer("[fd00::100]:80", MEGABYTE, MEGABYTE);
    let mut check = connect(&site.director, "10.1.0.1:8080").unwrap();
    check.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(site.resets_by_host(), 0);
    let missing = Command::AddDestination(service(Protocol::Tcp, VIP, 80), {
        let address = "fd01::9".parse().unwrap();
        let forwarding = Forwarding::FullNat;
        DestinationConfig { address, port: 80, forwarding, weight: 1, upper_threshold: 0, lower_threshold: 0 }
    });
    assert!(site.try_apply(vec![missing])[0].is_err());
}

fn tun_site(tunnel: Tunnel) -> Site {
    let site = Site::new();
    site.share_address();
    for (server, name) in site.servers.iter().zip(["web1", "web2"]) {
        tunnel::end(server, tunnel, false, false);
        serve_tcp(server, "0.0.0.0:80", name);
        serve_udp(server, "10.0.0.100:80", name);
    }
    site.balance(Protocol::Tcp, Forwarding::Tunnel(tunnel));
    site.balance(Protocol::Udp, Forwarding::Tunnel(tunnel));
    site
}

fn tunnels_of_every_kind() {
    for kind in [TunnelKind::Ipip, TunnelKind::Gue { port: 6080 }, TunnelKind::Gre] {
        let site = tun_site(Tunnel { kind, checksum: TunnelChecksum::Full, ..Tunnel::default() });
        assert_eq!(greetings(&site, 4), ["web2", "web1", "web2", "web1"], "{kind:?}");
        let question = site::pattern(4000);
        let answer = ask_udp(&site.client, "10.0.0.100:80", &question).unwrap();
        assert!(answer.strip_prefix(b"web2").is_some_and(|echo| echo == question), "{kind:?}: fragments");
        assert_eq!(site.resets_by_host(), 0, "{kind:?}");
    }
}

fn tunnels_between_families() {
    let site = Site::new();
    site.share_address();
    let server = &site.servers[0];
    server.ip(&format!("addr add {VIP6}/128 dev lo nodad")).unwrap();
    serve_tcp(server, "[::]:80", "web1");
    let tunnel = Tunnel::default();
    for (outer_v6, inner_v6) in [(false, true), (true, false), (true, true)] {
        tunnel::end(server, tunnel, outer_v6, inner_v6);
    }
    for (port, vip, end) in [(80, VIP, "fd01::1"), (80, VIP6, "fd01::1"), (81, VIP6, "10.1.0.1")] {
        let id = service(Protocol::Tcp, vip, port);
        site.apply(vec![add_service(id), add_server(id, end, port, Forwarding::Tunnel(tunnel))]);
    }
    serve_tcp(server, "[::]:81", "web1");
    for address in ["10.0.0.100:80", "[fd00::100]:80", "[fd00::100]:81"] {
        site.transfer(address, MEGABYTE, MEGABYTE);
    }
    assert_eq!(site.resets_by_host(), 0);
}

/// What a server may send is bounded by what the client's SYN tells it, and that by the tunnel.
fn tunnels_lower_the_segment_size() {
    let site = Site::new();
    site.share_address();
    for (port, clamp_mss, told) in [(80, true, 1428), (81, false, 1448)] {
        let tunnel = Tunnel { clamp_mss, ..Tunnel::default() };
        let id = service(Protocol::Tcp, VIP, port);
        site.apply(vec![add_service(id), add_server(id, "10.1.0.1", port, Forwarding::Tunnel(tunnel))]);
        let listener = site.servers[0].enter(|| std::net::TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
        if port == 80 {
            tunnel::end(&site.servers[0], tunnel, false, false);
        }
        let _stream = site.connect(&format!("{VIP}:{port}")).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        // Less the 12 bytes of the timestamps.
        assert_eq!(socket2::SockRef::from(&accepted).tcp_mss().unwrap(), told, "clamp_mss {clamp_mss}");
    }
}

/// Superpackets are cut to what fits the tunnel, after the client has been told what that is.
fn tunnels_carry_bulk() {
    let site = tun_site(Tunnel::default());
    site.transfer("10.0.0.100:80", 3 * MEGABYTE, 3 * MEGABYTE);
    let driver = site.snapshot().driver;
    assert!(driver.too_big > 0, "{driver:?}");
    assert_eq!((driver.refused, driver.oversized), (0, 0), "{driver:?}");
}

fn nat_carries_bulk_both_ways() {
    let site = nat_site(Protocol::Tcp);
    site.transfer("10.0.0.100:80", 10 * MEGABYTE, 10 * MEGABYTE);
    let driver = site.snapshot().driver;
    let carried = 20 * MEGABYTE as u64;
    assert!(driver.received < carried / 1448, "superpackets stay whole: {driver:?}");
    assert_eq!((driver.oversized, site.resets_by_host()), (0, 0), "{driver:?}");
}

fn dr_carries_bulk_both_ways() {
    let site = dr_site(Protocol::Tcp);
    site.transfer("10.0.0.100:80", 10 * MEGABYTE, 10 * MEGABYTE);
    assert_eq!(site.snapshot().driver.oversized, 0);
}

fn bulk_without_offloads() {
    let site = nat_site(Protocol::Tcp);
    for host in [&site.client, &site.servers[0], &site.servers[1], &site.director] {
        host.run_checked("ethtool", "-K eth0 tso off gso off gro off tx off").unwrap();
    }
    for host in [&site.servers[0], &site.servers[1], &site.director] {
        host.run_checked("ethtool", "-K eth1 tso off gso off gro off tx off").unwrap();
    }
    site.transfer("10.0.0.100:80", 3 * MEGABYTE, 3 * MEGABYTE);
}

/// A packet that belongs to no connection is the host's, who answers as it would without us.
fn the_host_resets_what_has_no_connection() {
    let site = nat_site(Protocol::Tcp);
    let mut stream = site.connect("10.0.0.100:80").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(site.resets_by_host(), 0);
    let service = service(Protocol::Tcp, VIP, 80);
    let remove = |address: &str| Command::RemoveDestination { service, address: address.parse().unwrap(), port: 8080 };
    let forget = Command::SetSettings(Settings { expire_nodest_conn: true, ..Settings::default() });
    site.apply(vec![forget, remove("10.1.0.1"), remove("10.1.0.2")]);
    // On a busy machine a late acknowledgement has been answered already.
    let reset = stream.write_all(b"anybody there?").and_then(|()| stream.read(&mut [0; 1])).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    assert!(site.resets_by_host() > 0);
    assert!(site.snapshot().driver.reinjected > 0);
}

/// `sorry_server 127.0.0.1`, under a strict source check too.
fn a_local_server_is_reached() {
    let site = Site::prepared(|director| {
        add_addresses(director);
        director.sysctl("net.ipv4.conf.all.rp_filter", "1").unwrap();
    });
    serve_tcp(&site.director, "0.0.0.0:80", "sorr");
    serve_udp(&site.director, "10.0.0.100:80", "sorr");
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let id = service(protocol, VIP, 80);
        site.apply(vec![add_service(id), add_server(id, "127.0.0.1", 80, Forwarding::Dr)]);
    }
    site.transfer("10.0.0.100:80", 10 * MEGABYTE, 10 * MEGABYTE);
    assert_eq!(ask_udp(&site.client, "10.0.0.100:80", b"?").unwrap(), b"sorr?");
    assert!(site.snapshot().engine.local > 0);
}

/// `sorry_server 127.0.0.1 8080`, and NAT to an address of the director itself: the answers come from its own stack.
fn a_local_server_on_another_port_is_reached() {
    let site = Site::new();
    serve_tcp(&site.director, "0.0.0.0:8080", "sorr");
    serve_udp(&site.director, "10.0.0.2:8080", "self");
    let (tcp, udp) = (service(Protocol::Tcp, VIP, 80), service(Protocol::Udp, VIP, 80));
    site.apply(vec![add_service(tcp), add_server(tcp, "127.0.0.1", 8080, Forwarding::Nat)]);
    site.apply(vec![add_service(udp), add_server(udp, "10.0.0.2", 8080, Forwarding::Nat)]);
    site.transfer("10.0.0.100:80", MEGABYTE, MEGABYTE);
    assert_eq!(ask_udp(&site.client, "10.0.0.100:80", b"?").unwrap(), b"self?");
    assert_eq!(ask_udp(&site.client, "10.0.0.2:8080", b"?").unwrap(), b"self?", "asked directly");
    assert_eq!(site.resets_by_host(), 0);
    site.apply(vec![Command::RemoveService(tcp), Command::RemoveService(udp)]);
    assert_eq!(site.connect("10.0.0.100:80").unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// The firewall marks packets after the packet sockets have seen them: they come by a netfilter queue.
fn marked_packets_are_served() {
    let site = nat_site(Protocol::Tcp);
    let rules = "table inet m { chain p { type filter hook prerouting priority mangle; \
                 ip daddr 10.0.0.100 tcp dport { 21, 8000-8010 } meta mark set 7; \
                 ip6 daddr fd00::100 udp dport 53 meta mark set 8; }; }";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    site.director.run_checked("nft", &format!("-f {}", file.path().display())).unwrap();
    for port in ["0.0.0.0:21", "0.0.0.0:8001", "[::]:53"] {
        site.servers.iter().zip(["web1", "web2"]).for_each(|(server, name)| serve_tcp(server, port, name));
    }
    serve_udp(&site.servers[0], "[::]:53", "web1");
    let (mark, mark6) = (ServiceId::Fwmark(7), ServiceId::Fwmark(8));
    site.apply(vec![add_service(mark), add_server(mark, "10.1.0.1", 0, Forwarding::Nat)]);
    site.apply(vec![add_server(mark, "10.1.0.2", 0, Forwarding::Nat), add_service(mark6)]);
    site.apply(vec![add_server(mark6, "fd01::1", 0, Forwarding::Nat)]);
    let names = ["10.0.0.100:21", "10.0.0.100:8001", "10.0.0.100:21"].map(|to| site.greeting(to).unwrap());
    assert_eq!(names, ["web2", "web1", "web2"], "one service for all ports");
    site.transfer("10.0.0.100:8001", MEGABYTE, MEGABYTE);
    assert_eq!(ask_udp(&site.client, "[fd00::100]:53", b"?").unwrap(), b"web1?");
    assert_eq!(greetings(&site, 2), ["web2", "web1"], "beside a service of an address");
    assert_eq!(site.connect("10.0.0.100:22").unwrap_err().kind(), ErrorKind::ConnectionRefused, "not marked");
    site.client.run_checked("ping", "-c 1 -W 2 10.0.0.100").unwrap();
    let counted = site.snapshot().services.iter().map(|s| s.service.stats.connections).sum::<u64>();
    assert_eq!(counted, 3 + 1 + 1 + 2, "each once");
    site.apply(vec![Command::RemoveService(mark)]);
    assert_eq!(site.connect("10.0.0.100:21").unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

fn everything_else_is_untouched() {
    let site = nat_site(Protocol::Tcp);
    site.director.sysctl("net.ipv4.ip_forward", "1").unwrap();
    serve_tcp(&site.director, "0.0.0.0:22", "sshd");
    serve_tcp(&site.servers[0], "0.0.0.0:22", "sshd");
    assert_eq!(site.greeting("10.0.0.100:22").unwrap(), "sshd", "another port of the virtual address");
    assert_eq!(site.greeting("10.1.0.1:22").unwrap(), "sshd", "another port of a server, through the director");
    assert_eq!(site.greeting("10.1.0.1:8080").unwrap(), "web1", "a server without the service, through the director");
    site.transfer("10.1.0.1:8080", MEGABYTE, MEGABYTE);
    let mut check = connect(&site.director, "10.1.0.1:8080").unwrap();
    check.read_exact(&mut [0; 4]).unwrap();
    site.client.run_checked("ping", "-c 2 -i 0.1 -W 2 10.0.0.100").unwrap();
    assert_eq!(greetings(&site, 2).len(), 2);
}

/// A backup director has the service but not the address; IPVS leaves such packets alone, and so do we.
fn a_service_moves_in_with_its_address() {
    let site = Site::prepared(|_| ());
    site.answer_through_director();
    serve_tcp(&site.servers[0], "0.0.0.0:8080", "web1");
    let id = service(Protocol::Tcp, VIP, 80);
    site.apply(vec![add_service(id), add_server(id, "10.1.0.1", 8080, Forwarding::Nat)]);
    site.client.ip(&format!("neigh replace {VIP} lladdr {} dev eth0", link_address(&site))).unwrap();
    let address = "10.0.0.100:80".parse().unwrap();
    let attempt = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).map(drop);
    assert_eq!(site.client.enter(attempt).unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(site.snapshot().engine.to_server, 0);
    assert!(site.snapshot().driver.reinjected > 0);
    add_addresses(&site.director);
    assert_eq!(site.greeting("10.0.0.100:80").unwrap(), "web1");
    assert_eq!(site.resets_by_host(), 0);
}

fn link_address(site: &Site) -> String {
    let listing = site.director.run_checked("ip", "-o link show dev eth0").unwrap();
    let mut words = listing.split_whitespace().skip_while(|w| *w != "link/ether");
    words.nth(1).unwrap().to_owned()
}

fn a_server_that_is_not_there_is_unreachable() {
    let site = Site::new();
    let id = service(Protocol::Tcp, VIP, 80);
    site.apply(vec![add_service(id), add_server(id, "10.1.0.77", 8080, Forwarding::Nat)]);
    let start = Instant::now();
    let refused = site.connect("10.0.0.100:80").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::HostUnreachable, "{refused}");
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    site.servers[0].ip("addr add 10.1.0.77/24 dev eth1").unwrap();
    site.answer_through_director();
    serve_tcp(&site.servers[0], "0.0.0.0:8080", "web1");
    wait_for("the server to be found", || site.greeting("10.0.0.100:80").is_ok_and(|name| name == "web1"));
}

fn an_interface_that_comes_later_is_claimed() {
    let site = nat_site(Protocol::Tcp);
    site.front.plug(&site.director, "late0").unwrap();
    site.director.ip("link set eth0 down").unwrap();
    site.director.ip("addr flush dev eth0").unwrap();
    site.director.ip("addr add 10.0.0.2/24 dev late0").unwrap();
    site.director.ip(&format!("addr add {VIP}/32 dev late0")).unwrap();
    site.client.ip("neigh flush dev eth0").unwrap();
    site.apply(Vec::new());
    assert_eq!(greetings(&site, 2), ["web2", "web1"]);
    site.director.ip("link set late0 down").unwrap();
    site.director.ip("link set late0 name later0").unwrap();
    site.director.ip("link set later0 up").unwrap();
    site.apply(Vec::new());
    assert_eq!(greetings(&site, 2), ["web2", "web1"]);
    assert_eq!(site.resets_by_host(), 0);
}

fn a_smaller_link_behind_is_respected() {
    let site = nat_site(Protocol::Tcp);
    for host in [&site.director, &site.servers[0], &site.servers[1]] {
        host.ip("link set eth1 mtu 1400").unwrap();
    }
    // Servers that announce their small MTU in the handshake would keep the client from sending more.
    for server in &site.servers {
        server.ip("route replace 10.0.0.10 via 10.1.0.254 advmss 1460").unwrap();
    }
    site.transfer("10.0.0.100:80", 3 * MEGABYTE, 3 * MEGABYTE);
    let driver = site.snapshot().driver;
    assert!(driver.too_big > 0, "{driver:?}");
    assert_eq!(driver.refused, 0, "{driver:?}");
}

fn large_datagrams_pass_in_fragments() {
    let site = nat_site(Protocol::Udp);
    let question = site::pattern(9000);
    let answer = ask_udp(&site.client, "10.0.0.100:80", &question).unwrap();
    assert!(answer.strip_prefix(b"web2").is_some_and(|echo| echo == question));
    let snapshot = site.snapshot();
    assert_eq!((snapshot.engine.to_server, snapshot.engine.to_client), (1, 1));
    assert_eq!(snapshot.driver.fragmented, 2);
}

fn large_datagrams_of_ipv6_pass_in_fragments() {
    let site = Site::new();
    site.answer_through_director();
    serve_udp(&site.servers[0], "[::]:8080", "web1");
    let id = service(Protocol::Udp, VIP6, 80);
    site.apply(vec![add_service(id), add_server(id, "fd01::1", 8080, Forwarding::Nat)]);
    let question = site::pattern(9000);
    let answer = ask_udp(&site.client, "[fd00::100]:80", &question).unwrap();
    assert!(answer.strip_prefix(b"web1").is_some_and(|echo| echo == question));
    let snapshot = site.snapshot();
    assert_eq!((snapshot.engine.to_server, snapshot.engine.to_client, snapshot.driver.fragmented), (1, 1, 2));
}

fn a_refused_command_changes_nothing() {
    let site = nat_site(Protocol::Tcp);
    let id = service(Protocol::Tcp, VIP, 80);
    let results = site.try_apply(vec![add_service(id), Command::RemoveService(service(Protocol::Tcp, VIP, 81))]);
    assert!(results.iter().all(Result::is_err), "{results:?}");
    assert_eq!(greetings(&site, 2), ["web2", "web1"]);
}

fn a_removed_service_goes_back_to_the_host() {
    let site = nat_site(Protocol::Tcp);
    assert_eq!(greetings(&site, 1), ["web2"]);
    site.apply(vec![Command::RemoveService(service(Protocol::Tcp, VIP, 80))]);
    assert_eq!(site.connect("10.0.0.100:80").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    serve_tcp(&site.director, "0.0.0.0:80", "host");
    assert_eq!(site.greeting("10.0.0.100:80").unwrap(), "host");
}

fn a_killed_process_leaves_no_claim() {
    let lab = Lab::new("kill").unwrap();
    let host = lab.host("director").unwrap();
    let mut command = host.command(std::env::current_exe().unwrap());
    let mut process = host.start_command(command.env(CHILD, "1")).unwrap();
    wait_for("the child to claim", || process.output().contains("claimed"));
    let rules = || host.run_checked("nft", "list ruleset").unwrap();
    assert!(rules().contains("10.0.0.100 . tcp . 80"), "{}", rules());
    process.kill();
    wait_for("the claim to go with its process", || rules().trim().is_empty());
}

fn without_capabilities_it_says_which() {
    let lab = Lab::new("caps").unwrap();
    let host = lab.host("director").unwrap();
    for dropped in ["-net_raw", "-net_admin"] {
        let mut command = host.command("setpriv");
        command.args([format!("--bounding-set={dropped}"), format!("--inh-caps={dropped}")]);
        let process = host.start_command(command.arg(std::env::current_exe().unwrap()).env(CHILD, "1")).unwrap();
        let finished = process.finish(PATIENCE).unwrap();
        let name = format!("CAP{}", dropped.to_uppercase().replace('-', "_"));
        assert!(finished.output.contains(&name), "{}", finished.output);
        assert_eq!((finished.code(), finished.output.lines().count()), (1, 1), "{}", finished.output);
    }
}

/// The process of the two tests above.
fn run_child() -> ExitCode {
    let plane = match Dataplane::start(Options::default()) {
        Ok(plane) => plane,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let results = plane.apply(vec![add_service(service(Protocol::Tcp, VIP, 80))]).blocking_recv().unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    println!("claimed");
    std::thread::sleep(PATIENCE * 4);
    plane.stop();
    ExitCode::SUCCESS
}
