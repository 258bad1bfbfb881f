//! Programs that people use, through the daemon: curl and nginx, iperf3, dnsmasq; and packets that nobody should send.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

#[path = "../common/mod.rs"]
mod common;
mod nasty;
#[path = "../dataplane/tunnel.rs"]
mod tunnel;
mod web;

use common::site::{NOTICED, Site, TCP_CHECK, VIP};
use common::{Daemon, SOON, plugged};
use nasty::nasty_packets_change_nothing;
use standfast_ipvs::Tunnel;
use standfast_labkit::{Host, Lab, Process, eventually, harness, tests};
use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::Duration;
use web::{Nginx, curl, tally};

const VIP6: &str = "fd07::100";
const MEGABYTE: usize = 1 << 20;

fn main() -> ExitCode {
    let web = tests![
        a_thousand_requests_over_nat,
        a_thousand_requests_over_dr,
        ten_megabytes_both_ways,
        ten_megabytes_without_offloads,
        ten_megabytes_over_ipv6,
        a_link_of_1400_bytes_is_told_to_the_client,
        a_server_behind_a_router,
        a_pair_of_tunnels,
        full_nat_names_the_client,
    ];
    let web = web.map(|test| test.needs(&["curl", "nginx", "ethtool"]));
    let iperf = tests![streams_and_datagrams_of_iperf].map(|test| test.needs(&["iperf3"]));
    let names = tests![names_by_dnsmasq].map(|test| test.needs(&["dnsmasq"]));
    let nasty = tests![nasty_packets_change_nothing];
    harness::main(web.into_iter().chain(iperf).chain(names).chain(nasty))
}

fn nginx_on(site: &Site) -> Vec<Nginx> {
    site.servers.iter().map(|host| Nginx::start(&site.lab, host)).collect()
}

/// As many connections, shared to the last one.
fn a_thousand_requests(site: &Site) {
    let _nginx = nginx_on(site);
    let _daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    let expected = [("web1".to_owned(), 500), ("web2".to_owned(), 500)];
    assert_eq!(tally(&site.client, &format!("http://{VIP}/?[1-1000]")), expected.into());
}

fn a_thousand_requests_over_nat() {
    a_thousand_requests(&Site::nat("requests", 2));
}

fn a_thousand_requests_over_dr() {
    a_thousand_requests(&Site::dr("requests", 2));
}

/// A site of one server, its web server and its daemon.
fn single(kind: fn(&str, u8) -> Site, extra: &str) -> (Site, Vec<Nginx>, Daemon) {
    let site = kind("single", 1);
    let nginx = nginx_on(&site);
    let daemon = site.start(&(site.service("rr", "", TCP_CHECK) + extra));
    eventually(NOTICED, "an answer", || site.ask().is_ok());
    (site, nginx, daemon)
}

fn up_and_down(site: &Site, address: &str, bytes: usize) {
    let body: Vec<u8> = (0..bytes as u64).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 9) as u8).collect();
    let (up, down) = (site.lab.scratch().join("up"), site.lab.scratch().join("down"));
    std::fs::write(&up, &body).unwrap();
    let url = format!("http://{address}/files/body");
    curl(&site.client, &format!("-T {} {url}", up.display()));
    curl(&site.client, &format!("-o {} {url}", down.display()));
    assert!(std::fs::read(down).unwrap() == body, "the body came back changed");
}

fn ten_megabytes_both_ways() {
    for kind in [Site::nat as fn(&str, u8) -> Site, Site::dr] {
        let (site, _nginx, _daemon) = single(kind, "");
        up_and_down(&site, VIP, 10 * MEGABYTE);
    }
}

fn ten_megabytes_without_offloads() {
    let (site, _nginx, _daemon) = single(Site::nat, "");
    for (host, interface) in
        [(&site.client, "eth0"), (&site.director, "eth0"), (&site.director, "eth1"), (&site.servers[0], "eth0")]
    {
        host.run_checked("ethtool", &format!("-K {interface} tso off gso off gro off tx off")).unwrap();
    }
    up_and_down(&site, VIP, 10 * MEGABYTE);
}

fn ten_megabytes_over_ipv6() {
    let extra = format!(
        "virtual_server {VIP6} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server fd08::21 80 {{\n }}\n }}\n"
    );
    let site = Site::nat("six", 1);
    for (host, command) in [
        (&site.client, "addr add fd07::1/64 dev eth0 nodad"),
        (&site.director, "addr add fd07::100/64 dev eth0 nodad"),
        (&site.director, "addr add fd08::1/64 dev eth1 nodad"),
        (&site.servers[0], "addr add fd08::21/64 dev eth0 nodad"),
        (&site.servers[0], "-6 route add default via fd08::1"),
    ] {
        host.ip(command).unwrap();
    }
    let _nginx = nginx_on(&site);
    let _daemon = site.start(&extra);
    let url = format!("http://[{VIP6}]/");
    eventually(NOTICED, "an answer", || site.client.run("curl", ["-sf", "-m", "1", &url]).is_ok_and(|f| f.code() == 0));
    up_and_down(&site, &format!("[{VIP6}]"), 10 * MEGABYTE);
}

/// The client sends segments of 1460 bytes with DF until the director says what fits.
fn a_link_of_1400_bytes_is_told_to_the_client() {
    let (site, _nginx, _daemon) = single(Site::nat, "");
    site.director.ip("link set eth1 mtu 1400").unwrap();
    site.servers[0].ip("link set eth0 mtu 1400").unwrap();
    site.servers[0].ip("route change default via 10.8.0.1 advmss 1460").unwrap();
    up_and_down(&site, VIP, 3 * MEGABYTE);
    let route = site.client.run_checked("ip", &format!("route get {VIP}")).unwrap();
    assert!(route.contains("mtu 1400"), "{route}");
}

/// The neighbour is a router, which then is replaced by one with another link address.
fn a_server_behind_a_router() {
    let site = Site::nat("router", 0);
    let (back, far) = (site.lab.switch("middle").unwrap(), site.lab.switch("far").unwrap());
    back.plug(&site.director, "eth2").unwrap();
    site.director.ip("addr add 10.9.0.1/24 dev eth2").unwrap();
    let router = plugged(&site.lab, &back, "router", "10.9.0.2/24").0;
    far.plug(&router, "eth1").unwrap();
    router.ip("addr add 10.10.0.1/24 dev eth1").unwrap();
    router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    router.ip("route add default via 10.9.0.1").unwrap();
    site.director.ip("route add 10.10.0.0/24 via 10.9.0.2").unwrap();
    let server = plugged(&site.lab, &far, "web1", "10.10.0.21/24").0;
    server.ip("route add default via 10.10.0.1").unwrap();
    let _nginx = Nginx::start(&site.lab, &server);
    let _daemon = site.start(&site.service_of("rr", "", "real_server 10.10.0.21 80 {\n }\n"));
    eventually(NOTICED, "an answer", || site.ask().is_ok());
    router.ip("link set eth0 down").unwrap();
    router.ip("link set eth0 address 02:00:00:00:00:77 up").unwrap();
    router.ip("route replace default via 10.9.0.1").unwrap();
    // It asks for the director, who thereby learns its address.
    router.run_checked("ping", "-c 1 -W 2 10.9.0.1").unwrap();
    eventually(NOTICED, "an answer by the other router", || site.ask().is_ok());
}

/// A tutorial's pair of servers, behind tunnels in place of direct routing.
fn a_pair_of_tunnels() {
    let site = Site::dr("tunnels", 2);
    let _nginx = nginx_on(&site);
    for server in &site.servers {
        tunnel::end(server, Tunnel::default(), false, false);
    }
    let seed = include_str!("../fixtures/seeds/004-lvs-dr-wrr.conf");
    let (_, services) = seed.split_at(seed.find("virtual_server ").unwrap());
    let services = services.replace("lb_kind DR", "lb_kind TUN").replace("192.168.80.200", VIP);
    let services = services.replace("192.168.80.102", "10.7.0.21").replace("192.168.80.103", "10.7.0.22");
    let _daemon = site.start(&services);
    site.await_tally(6, &[("web1", 3), ("web2", 3)]);
    up_and_down_of_one(&site);
}

/// The servers know no way to the client, and yet its address.
fn full_nat_names_the_client() {
    let site = Site::nat("proxy", 1);
    site.servers[0].ip("route del default").unwrap();
    let _nginx = nginx_on(&site);
    let services: String = [(81, "proxy"), (82, "proxy_v1")]
        .map(|(port, told)| {
            format!(
                "virtual_server {VIP} {port} {{\n lb_algo rr\n lb_kind FULLNAT\n protocol TCP\n source_pool 10.8.0.1\n \
                 client_address {told}\n real_server 10.8.0.21 8080 {{\n }}\n }}\n"
            )
        })
        .concat();
    let _daemon = site.start(&services);
    for port in [81, 82] {
        let url = format!("http://{VIP}:{port}/");
        eventually(NOTICED, "an answer", || {
            site.client.run("curl", ["-sf", "-m", "1", &url]).is_ok_and(|finished| finished.code() == 0)
        });
        assert_eq!(tally(&site.client, &format!("{url}?[1-50]")), [("10.7.0.1".to_owned(), 50)].into(), "{port}");
        up_and_down(&site, &format!("{VIP}:{port}"), 10 * MEGABYTE);
    }
}

/// Both servers take the same file, so that it does not matter who is asked.
fn up_and_down_of_one(site: &Site) {
    let body = vec![b'x'; MEGABYTE];
    for server in &site.servers {
        Nginx::put(&site.lab, server, &body);
    }
    let down = site.lab.scratch().join("down");
    curl(&site.client, &format!("-o {} http://{VIP}/files/body", down.display()));
    assert!(std::fs::read(down).unwrap() == body);
}

fn streams_and_datagrams_of_iperf() {
    let site = Site::nat("iperf", 1);
    let _server = site.servers[0].start("iperf3", ["-s"]).unwrap();
    let service = |protocol| {
        let server = "real_server 10.8.0.21 5201 {\n }";
        format!("virtual_server {VIP} 5201 {{\n lb_algo rr\n lb_kind NAT\n protocol {protocol}\n {server}\n }}\n")
    };
    let _daemon = site.start(&(service("TCP") + &service("UDP")));
    let run = |options: &str| site.client.run("iperf3", format!("-c {VIP} {options}").split_whitespace()).unwrap();
    eventually(NOTICED, "iperf3 to get through", || run("-n 1K").code() == 0);
    for options in ["-P 4 -n 20M", "-R -n 20M", "-u -b 20M -l 1200 -n 500K", "-u -R -b 20M -l 1200 -n 500K"] {
        let finished = run(options);
        assert_eq!(finished.code(), 0, "iperf3 {options}: {}", finished.output);
        assert!(finished.output.contains("receiver"), "iperf3 {options}: {}", finished.output);
        assert!(!finished.output.contains("(100%)"), "iperf3 {options}: {}", finished.output);
    }
}

fn names_by_dnsmasq() {
    let site = Site::nat("names", 2);
    let _servers: Vec<Process> =
        site.servers.iter().enumerate().map(|(number, host)| dnsmasq(&site.lab, host, number as u8)).collect();
    let config = format!(
        "virtual_server {VIP} 53 {{\n lb_algo rr\n lb_kind NAT\n protocol UDP\n
         real_server 10.8.0.21 53 {{\n }}\n real_server 10.8.0.22 53 {{\n }}\n }}\n"
    );
    let _daemon = site.start(&config);
    let mut seen = Vec::new();
    eventually(NOTICED, "both servers' answers in turn", || {
        seen = (0..4).filter_map(|_| resolve(&site.client)).collect::<Vec<_>>();
        seen == [[192, 0, 2, 0], [192, 0, 2, 1]].repeat(2) || seen == [[192, 0, 2, 1], [192, 0, 2, 0]].repeat(2)
    });
}

fn dnsmasq(lab: &Lab, host: &Host, number: u8) -> Process {
    let pid = lab.scratch().join(format!("dnsmasq-{number}"));
    let options = format!(
        "--no-daemon --conf-file=/dev/null --no-resolv --no-hosts --user=root --group= --pid-file={} \
         --address=/who.test/192.0.2.{number}",
        pid.display()
    );
    host.start("dnsmasq", options.split_whitespace()).unwrap()
}

/// Asks for the address of `who.test`; it stands at the end of the answer.
fn resolve(client: &Host) -> Option<[u8; 4]> {
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03who\x04test\0\0\x01\0\x01";
    let socket = client.enter(|| UdpSocket::bind("10.7.0.1:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(SOON / 3)).unwrap();
    socket.connect((VIP, 53)).unwrap();
    socket.send(QUERY).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    assert_eq!(&answer[..2], &QUERY[..2]);
    answer[..length].last_chunk().copied()
}

/// How long a program may take for what it is asked here.
const RUN: Duration = Duration::from_secs(30);
