//! Routes and rules of instances, and static addresses, routes and rules.

use crate::common::{Daemon, ELECTION, SOON, await_address, await_no_address};
use crate::{quick, two_legs};
use nix::sys::signal::Signal;
use standfast_labkit::harness::Test;
use standfast_labkit::{Host, Lab, eventually, tests};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        routes_and_rules_come_with_the_mastership_and_go_with_it,
        every_option_of_routes_and_rules_reaches_the_kernel,
        routes_that_encapsulate_reach_the_kernel,
        a_tracked_route_or_rule_removed_by_hand_costs_the_mastership_for_a_moment,
        what_is_not_tracked_may_be_removed,
        an_interface_that_a_tracked_thing_is_on_must_be_up,
        static_things_are_there_while_the_daemon_runs_and_put_back,
        a_track_group_ties_instances_to_the_interface_of_static_things,
        a_reload_changes_only_what_changed,
        a_killed_daemon_s_routes_and_rules_are_cleared_away,
        secondaries_are_promoted_while_the_daemon_runs,
        address_options_reach_the_kernel,
    ]
    .into()
}

fn routes(host: &Host) -> String {
    let v6 = host.run_checked("ip", "-6 route show table all").unwrap();
    host.run_checked("ip", "-4 route show table all").unwrap() + &v6
}

fn rules(host: &Host) -> String {
    host.run_checked("ip", "-4 rule show").unwrap() + &host.run_checked("ip", "-6 rule show").unwrap()
}

#[track_caller]
fn await_route(host: &Host, text: &str) {
    eventually(ELECTION, &format!("route {text}, there are\n{}", routes(host)), || routes(host).contains(text));
}

#[track_caller]
fn await_rule(host: &Host, text: &str) {
    eventually(ELECTION, &format!("rule {text}, there are\n{}", rules(host)), || rules(host).contains(text));
}

const POLICY: &str = " virtual_ipaddress {
  10.7.0.100/24
 }
 virtual_routes {
  10.88.0.0/24 via 10.7.0.9 dev eth0
  src 10.7.0.100 10.89.0.0/24 via 10.7.0.9 dev eth0 table 100
  blackhole 10.90.0.0/24 no_track
 }
 virtual_rules {
  from 10.88.0.0/24 table 100 priority 1000
  to 10.99.0.0/24 table 100 priority 1001 no_track
 }";

fn started(lab: &Lab, body: &str) -> (Daemon, Host) {
    let (host, _) = two_legs(lab);
    let daemon = Daemon::start(lab, &host, &quick("VI_1", 51, body));
    await_address(&host, "10.7.0.100", ELECTION);
    (daemon, host)
}

fn routes_and_rules_come_with_the_mastership_and_go_with_it() {
    let lab = Lab::new("routes").unwrap();
    let (mut daemon, host) = started(&lab, POLICY);
    await_route(&host, "10.88.0.0/24 via 10.7.0.9 dev eth0 proto keepalived");
    await_route(&host, "10.89.0.0/24 via 10.7.0.9 dev eth0 table 100 proto keepalived src 10.7.0.100");
    await_route(&host, "blackhole 10.90.0.0/24");
    await_rule(&host, "1000:\tfrom 10.88.0.0/24 lookup 100 proto keepalived");
    await_rule(&host, "1001:\tfrom all to 10.99.0.0/24 lookup 100");
    assert_eq!(daemon.stop(), 0);
    let left = (routes(&host), rules(&host));
    for text in ["10.88", "10.89", "10.90", "10.99", "lookup 100"] {
        assert!(!left.0.contains(text) && !left.1.contains(text), "{text} is left: {left:?}");
    }
}

fn every_option_of_routes_and_rules_reaches_the_kernel() {
    let lab = Lab::new("options").unwrap();
    let (mut daemon, host) = started(
        &lab,
        " virtual_ipaddress {
  10.7.0.100/24
 }
 virtual_routes {
  default via 10.7.0.8 dev eth0 metric 77 mtu lock 1400 initcwnd 20
  10.91.0.0/24 via 10.7.0.9 dev eth0 tos 0x10 metric 5 onlink
  10.92.0.0/24 dev eth2 scope link
  10.93.0.0/24 nexthop via 10.7.0.8 dev eth0 weight 2 nexthop via 10.66.0.9 dev eth2 weight 1
  fd01::/64 dev eth0 metric 512
  unreachable 10.94.0.0/24
  10.95.0.0/24 via 10.7.0.9 dev eth0 table 1000
 }
 virtual_rules {
  from 10.1.0.0/16 to 10.2.0.0/16 iif eth2 fwmark 7/0xff table 1000 priority 900
  from 10.3.0.0/16 prohibit priority 901
  fd02::/64 table 5 priority 902
  from 10.4.0.0/16 ipproto tcp dport 80-90 table 5 priority 903
 }"
        .replace("  fd02::/64 table", "  from fd02::/64 table")
        .as_str(),
    );
    for text in [
        "default via 10.7.0.8 dev eth0 proto keepalived metric 77 mtu lock 1400 initcwnd 20",
        "10.91.0.0/24 tos 0x10 via 10.7.0.9 dev eth0 proto keepalived metric 5 onlink",
        "10.92.0.0/24 dev eth2 proto keepalived scope link",
        "nexthop via 10.7.0.8 dev eth0 weight 2",
        "nexthop via 10.66.0.9 dev eth2 weight 1",
        "fd01::/64 dev eth0 proto keepalived metric 512",
        "unreachable 10.94.0.0/24 proto keepalived",
        "10.95.0.0/24 via 10.7.0.9 dev eth0 table 1000 proto keepalived",
    ] {
        // Newer versions of ip(8) show the type of service by its name.
        let named = text.replace("tos 0x10", "tos lowdelay");
        eventually(SOON, text, || routes(&host).contains(text) || routes(&host).contains(&named));
    }
    for text in [
        "900:\tfrom 10.1.0.0/16 to 10.2.0.0/16 fwmark 0x7/0xff iif eth2 lookup 1000",
        "901:\tfrom 10.3.0.0/16 prohibit",
        "902:\tfrom fd02::/64 lookup 5",
        "903:\tfrom 10.4.0.0/16 ipproto tcp dport 80-90 lookup 5",
    ] {
        await_rule(&host, text);
    }
    assert_eq!(daemon.stop(), 0);
    assert!(!routes(&host).contains("keepalived") && !rules(&host).contains("keepalived"), "{}", routes(&host));
}

fn routes_that_encapsulate_reach_the_kernel() {
    let lab = Lab::new("encap").unwrap();
    let (mut daemon, host) = started(
        &lab,
        " virtual_ipaddress {
  10.7.0.100/24
 }
 virtual_routes {
  10.96.0.0/24 encap ip id 7 dst 10.7.0.9 src 10.7.0.11 tos 4 ttl 33 via 10.7.0.9 dev eth0
  10.97.0.0/24 no_track nexthop encap ip dst 10.7.0.8 via 10.7.0.8 dev eth0 nexthop via 10.7.0.9 dev eth0
  fd03::/64 encap ip6 id 9 dst fd04::1 hoplimit 5 dev eth0
 }",
    );
    for text in [
        "10.96.0.0/24  encap ip id 7 src 10.7.0.11 dst 10.7.0.9 ttl 33 tos 4 via 10.7.0.9 dev eth0 proto keepalived",
        "nexthop  encap ip id 0 src 0.0.0.0 dst 10.7.0.8",
        "fd03::/64  encap ip6 id 9 src :: dst fd04::1 hoplimit 5 tc 0 dev eth0 proto keepalived",
    ] {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        eventually(SOON, text, || plain(&routes(&host)).contains(&plain(text)));
    }
    assert_eq!(daemon.stop(), 0);
    assert!(!routes(&host).contains("encap"), "{}", routes(&host));
}

fn a_tracked_route_or_rule_removed_by_hand_costs_the_mastership_for_a_moment() {
    let lab = Lab::new("lost").unwrap();
    let (daemon, host) = started(&lab, POLICY);
    for (number, deletion) in ["route del 10.88.0.0/24", "rule del pref 1000"].into_iter().enumerate() {
        await_rule(&host, "1000:");
        host.ip(deletion).unwrap();
        let lost = || daemon.log().matches("(VI_1) sent 0 priority").count() == number + 1;
        eventually(SOON, &format!("a resignation\n{}", daemon.log()), lost);
        let back = || daemon.log().matches("(VI_1) Entering MASTER STATE").count() == number + 2;
        eventually(SOON, &format!("a return\n{}", daemon.log()), back);
    }
    await_route(&host, "10.88.0.0/24 via 10.7.0.9 dev eth0 proto keepalived");
    await_rule(&host, "1000:");
}

fn what_is_not_tracked_may_be_removed() {
    let lab = Lab::new("untracked").unwrap();
    let (daemon, host) = started(&lab, &POLICY.replace("10.7.0.100/24\n", "10.7.0.100/24\n  10.7.0.101/24 no_track\n"));
    await_address(&host, "10.7.0.101", SOON);
    await_rule(&host, "1001:");
    for deletion in ["route del blackhole 10.90.0.0/24", "rule del pref 1001", "addr del 10.7.0.101/24 dev eth0"] {
        host.ip(deletion).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(!daemon.log().contains("sent 0 priority"), "{}", daemon.log());
    assert!(!host.has_address("eth0", "10.7.0.101"));
}

fn an_interface_that_a_tracked_thing_is_on_must_be_up() {
    let lab = Lab::new("implicit").unwrap();
    let (host, _) = two_legs(&lab);
    let vip = |last: u8| format!(" virtual_ipaddress {{\n  10.7.0.{last}/24\n }}\n");
    let config = [
        quick("A", 1, " virtual_ipaddress {\n  10.7.0.101/24\n  10.66.0.101/24 dev eth2\n }"),
        quick("B", 2, &(vip(102) + " virtual_routes {\n  10.88.0.0/24 via 10.66.0.9 dev eth2\n }")),
        quick("C", 3, &(vip(103) + " virtual_rules {\n  from 10.1.0.0/16 iif eth2 table 5 priority 77\n }")),
        quick("D", 4, " virtual_ipaddress {\n  10.7.0.104/24\n  10.66.0.104/24 dev eth2 no_track\n }"),
    ];
    let _daemon = Daemon::start(&lab, &host, &config.concat());
    for last in 101..=104 {
        await_address(&host, &format!("10.7.0.{last}"), ELECTION);
    }
    host.ip("link set eth2 down").unwrap();
    for last in 101..=103 {
        await_no_address(&host, &format!("10.7.0.{last}"), SOON);
    }
    assert!(host.has_address("eth0", "10.7.0.104"), "what is not tracked costs nothing");
    host.ip("link set eth2 up").unwrap();
    for last in 101..=103 {
        await_address(&host, &format!("10.7.0.{last}"), ELECTION);
    }
    await_route(&host, "10.88.0.0/24 via 10.66.0.9 dev eth2");
}

const STATICS: &str = "track_group TG {
 group {
  VI_1
 }
}
static_ipaddress {
 10.50.0.1/24 dev eth2 GROUP
 10.51.0.1/24 dev eth2 no_track
}
static_routes {
 10.60.0.0/24 via 10.66.0.9 dev eth2 GROUP
}
static_rules {
 from 10.60.0.0/24 table 77 priority 2000
}
";

fn with_statics(group: &str) -> String {
    // A group is defined before the instances and names them, which keepalived checks at the end.
    STATICS.replace("GROUP", group) + &quick("VI_1", 51, " virtual_ipaddress {\n  10.7.0.100/24\n }")
}

/// keepalived 2.2.7 does not put the route back when the interface comes up.
fn static_things_are_there_while_the_daemon_runs_and_put_back() {
    let lab = Lab::new("statics").unwrap();
    let (host, _) = two_legs(&lab);
    let mut daemon = Daemon::start(&lab, &host, &with_statics(""));
    let address = |text: &str| host.has_address("eth2", text);
    eventually(SOON, "static addresses", || address("10.50.0.1") && address("10.51.0.1"));
    await_route(&host, "10.60.0.0/24 via 10.66.0.9 dev eth2 proto keepalived");
    await_rule(&host, "2000:\tfrom 10.60.0.0/24 lookup 77");
    await_address(&host, "10.7.0.100", ELECTION);
    for deletion in [
        "addr del 10.50.0.1/24 dev eth2",
        "addr del 10.51.0.1/24 dev eth2",
        "route del 10.60.0.0/24",
        "rule del pref 2000",
    ] {
        host.ip(deletion).unwrap();
    }
    eventually(SOON, &format!("the address\n{}", daemon.log()), || address("10.50.0.1"));
    await_route(&host, "10.60.0.0/24 via");
    await_rule(&host, "2000:");
    assert!(!address("10.51.0.1"), "what is not tracked may be removed");
    daemon.await_log("Restoring deleted static address 10.50.0.1/24 dev eth2", SOON);
    host.ip("link set eth2 down").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    host.ip("link set eth2 up").unwrap();
    await_route(&host, "10.60.0.0/24 via");
    assert!(host.has_address("eth0", "10.7.0.100"));
    assert_eq!(daemon.stop(), 0);
    assert!(!address("10.50.0.1") && !routes(&host).contains("10.60") && !rules(&host).contains("2000:"));
}

fn a_track_group_ties_instances_to_the_interface_of_static_things() {
    let lab = Lab::new("trackgroup").unwrap();
    let (host, _) = two_legs(&lab);
    let daemon = Daemon::start(&lab, &host, &with_statics("track_group TG"));
    await_address(&host, "10.7.0.100", ELECTION);
    host.ip("link set eth2 down").unwrap();
    await_no_address(&host, "10.7.0.100", SOON);
    daemon.await_log("(VI_1) Entering FAULT STATE", SOON);
    host.ip("link set eth2 up").unwrap();
    await_address(&host, "10.7.0.100", ELECTION);
}

fn a_reload_changes_only_what_changed() {
    let lab = Lab::new("reload").unwrap();
    let (mut daemon, host) = started(&lab, POLICY);
    await_rule(&host, "1000:");
    let before = routes(&host);
    let changed = POLICY.replace("10.88.0.0/24 via", "10.87.0.0/24 via").replace("priority 1001", "priority 1002");
    daemon.configure(&quick("VI_1", 51, &changed));
    daemon.signal(Signal::SIGHUP);
    await_route(&host, "10.87.0.0/24 via");
    await_rule(&host, "1002:");
    eventually(SOON, "the old ones gone", || {
        !routes(&host).contains("10.88.0.0/24") && !rules(&host).contains("1001:")
    });
    let same = |text: &str| text.lines().filter(|line| line.contains("10.89")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(same(&before), same(&routes(&host)));
    assert!(!daemon.log().contains("sent 0 priority") && host.has_address("eth0", "10.7.0.100"), "{}", daemon.log());
}

/// The child of a killed keepalived cleans up by itself.
fn a_killed_daemon_s_routes_and_rules_are_cleared_away() {
    let lab = Lab::new("killed").unwrap();
    let (mut daemon, host) = started(&lab, POLICY);
    await_rule(&host, "1000:");
    daemon.signal(Signal::SIGKILL);
    daemon.process().wait(SOON).unwrap();
    daemon.configure(
        &quick("VI_1", 51, &POLICY.replace(" table 100 priority", " table 101 priority"))
            .replace("advert_int 0.1", "advert_int 10"),
    );
    assert!(routes(&host).contains("10.88.0.0/24"), "the kill took the route");
    daemon.launch();
    eventually(SOON, "the route gone", || !routes(&host).contains("10.88.0.0/24"));
}

fn secondaries_are_promoted_while_the_daemon_runs() {
    let lab = Lab::new("promote").unwrap();
    let (host, _) = two_legs(&lab);
    let setting = || host.run_checked("cat", "/proc/sys/net/ipv4/conf/eth0/promote_secondaries").unwrap();
    let before = setting();
    host.sysctl("net.ipv4.conf.eth0.promote_secondaries", "0").unwrap();
    let body = " promote_secondaries\n virtual_ipaddress {\n  10.7.0.100/24\n }";
    let globals = "global_defs {\n disable_local_igmp\n}\n".to_owned();
    let mut daemon = Daemon::start(&lab, &host, &(globals + &quick("VI_1", 51, body)));
    let igmp = || host.run_checked("cat", "/proc/sys/net/ipv4/igmp_link_local_mcast_reports").unwrap();
    await_address(&host, "10.7.0.100", ELECTION);
    assert_eq!((setting().trim(), igmp().trim()), ("1", "0"), "before all: {before}");
    assert_eq!(daemon.stop(), 0);
    assert_eq!((setting().trim(), igmp().trim()), ("0", "1"));
}

/// keepalived 2.2.7 leaves the far end and the lifetime of IPv4 addresses out.
fn address_options_reach_the_kernel() {
    let lab = Lab::new("flags").unwrap();
    let body = " virtual_ipaddress {
  fd77::100/64
  fd77::101/64 home
  fd77::102/64 preferred_lft 0
  fd77::103/128
  fd77::104/64 noprefixroute
  fd77::105/64 mngtmpaddr
 }
 virtual_ipaddress_excluded {
  10.7.0.100/24
  10.8.0.110/24 brd + scope link label eth0:vip preferred_lft 0
  10.7.1.1 peer 10.7.1.2/32
 }";
    let (_daemon, host) = started(&lab, body);
    let shown = || host.run_checked("ip", "addr show dev eth0").unwrap().replace("\n       ", " ");
    for text in [
        "inet6 fd77::100/64 scope global nodad  valid_lft forever preferred_lft forever",
        "inet6 fd77::101/64 scope global nodad home",
        "inet6 fd77::102/64 scope global nodad deprecated",
        "inet6 fd77::103/128 scope global nodad deprecated",
        "inet6 fd77::104/64 scope global nodad noprefixroute",
        "inet6 fd77::105/64 scope global nodad mngtmpaddr",
        "inet 10.8.0.110/24 brd 10.8.0.255 scope link deprecated",
        "scope link deprecated eth0:vip",
        "inet 10.7.1.1 peer 10.7.1.2/32 scope global eth0",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        eventually(SOON, &format!("{text} in\n{}", shown()), || squeezed(&shown()).contains(&squeezed(text)));
    }
}
