//! `bindto`, `bind_port`, `bind_if`, `fwmark`, `connect_ip` and `connect_port` of every kind of check, as they leave the host.

use crate::common::Daemon;
use crate::common::site::{NOTICED, Site};
use standfast_labkit::wait_until;

/// Kind, what is inside its block, and how nftables names its packets; `PORT` is the port that it connects to.
const KINDS: [(&str, &str, &str); 8] = [
    ("TCP_CHECK", "", "tcp dport PORT tcp sport SOURCE"),
    ("HTTP_GET", "url {\npath /\n}", "tcp dport PORT tcp sport SOURCE"),
    ("SSL_GET", "url {\npath /\n}", "tcp dport PORT tcp sport SOURCE"),
    ("SMTP_CHECK", "", "tcp dport PORT tcp sport SOURCE"),
    ("DNS_CHECK", "", "udp dport PORT udp sport SOURCE"),
    ("UDP_CHECK", "", "udp dport PORT udp sport SOURCE"),
    ("GRPC_CHECK", "", "tcp dport PORT tcp sport SOURCE"),
    ("PING_CHECK", "", "meta l4proto { icmp, ipv6-icmp }"),
];

struct Family {
    name: &'static str,
    server: &'static str,
    elsewhere: &'static str,
    source: &'static str,
    service: &'static str,
}

const V4: Family =
    Family { name: "ip", server: "10.8.0.21", elsewhere: "10.8.0.77", source: "10.8.0.9", service: "10.7.0.100" };
const V6: Family = Family {
    name: "ip6",
    server: "2001:db8:8::21",
    elsewhere: "2001:db8:8::77",
    source: "2001:db8:8::9",
    service: "2001:db8:7::100",
};

pub fn every_kind_leaves_as_it_is_told() {
    leaves_as_told("options4", &V4);
}

pub fn every_kind_leaves_as_it_is_told_in_ipv6() {
    leaves_as_told("options6", &V6);
}

fn leaves_as_told(lab: &str, family: &Family) {
    let site = Site::nat(lab, 1);
    site.director.ip("addr add 10.8.0.9/24 dev eth1").unwrap();
    for address in ["2001:db8:8::1", "2001:db8:8::9"] {
        site.director.ip(&format!("addr add {address}/64 dev eth1 nodad")).unwrap();
    }
    let server = &site.servers[0];
    server.ip("addr add 10.8.0.77/24 dev eth0").unwrap();
    server.ip("addr add 2001:db8:8::77/64 dev eth0 nodad").unwrap();
    let rules = site.lab.file("rules.nft", &rules(family)).unwrap();
    site.director.run_checked("nft", &format!("-f {}", rules.display())).unwrap();
    let daemon = Daemon::start(&site.lab, &site.director, &config(family));
    let seen = |index: usize| {
        let listing = site.director.run_checked("nft", &format!("list counter inet t c{index}")).unwrap();
        !listing.contains("packets 0 ")
    };
    for (index, (kind, ..)) in KINDS.iter().enumerate() {
        let found = wait_until(NOTICED, || seen(index));
        assert!(found.is_some(), "no packet of {kind} as it should be:\n{}", daemon.log());
    }
}

fn rules(Family { name, elsewhere, source, .. }: &Family) -> String {
    let mut text = String::from("table inet t {\n");
    for index in 0..KINDS.len() {
        text += &format!("counter c{index} {{ }}\n");
    }
    text += "chain out {\ntype filter hook output priority 0;\n";
    for (index, (_, _, protocol)) in KINDS.iter().enumerate() {
        let protocol = numbered(protocol, index);
        text += &format!(
            "oifname eth1 meta mark {} {name} saddr {source} {name} daddr {elsewhere} {protocol} counter name c{index}\n",
            70 + index
        );
    }
    text + "}\n}\n"
}

fn numbered(protocol: &str, index: usize) -> String {
    protocol.replace("PORT", &(7000 + index).to_string()).replace("SOURCE", &(7100 + index).to_string())
}

fn config(Family { server, elsewhere, source, service, .. }: &Family) -> String {
    let checks = KINDS.iter().enumerate().map(|(index, (kind, inside, _))| {
        let (port, bind, mark) = (7000 + index, 7100 + index, 70 + index);
        format!(
            "{kind} {{\n{inside}\nconnect_ip {elsewhere}\nconnect_port {port}\nbindto {source}\nbind_port {bind}\n\
             bind_if eth1\nfwmark {mark}\nconnect_timeout 1\nwarmup 0\n}}\n"
        )
    });
    format!(
        "virtual_server {service} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n\
         real_server {server} 80 {{\n{}}}\n}}\n",
        checks.collect::<String>()
    )
}
