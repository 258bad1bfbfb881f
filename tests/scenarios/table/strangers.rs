//! Configurations as strangers write them: combinations of what the other tables play one by one.

use crate::script::{Scenario, alone, between, file, instance, pair, two, vi_1};

const PASS: &str = "authentication {\n auth_type PASS\n auth_pass secret\n }";
const SIX: &str = "fe80::77\n fd77::200/64";
const ALONE: &str = "start d1; 5; vips; stop d1; vips";
const TWICE: &str = "start d1; start d2; 5; vips; stop d1; 1.5; vips; stop d2";
/// Where a daemon of keepalived's says that it sets what it has set already.
const SET_AGAIN: &[&str] = &["setting VIPs"];
/// That an interface is still down is said once.
const DOWN_AGAIN: &[&str] = &["setting VIPs", "entering FAULT state (interface eth0 down)"];
/// What is said about the file, in other words; who of a group counts its votes first.
const READING: &[&str] =
    &["SYNC group", "sync group", "should be link local", "Remove vrrp instance", "Changing effective priority"];
const OWN_ADDRESS: &[&str] = &["Assigned address 10.77.0.1"];

fn reload(first: &str, second: &str) -> Scenario {
    reload_of(file("", "", first), file("", "", second))
}

fn reload_of(first: String, second: String) -> Scenario {
    let configurations = vec![("d1", first), ("other", second), ("d2", file("", "", &vi_1(100, "")))];
    let steps = "start d1; start d2; 5; vips; conf d1 other; hup d1; 7; vips; conf d1 d1; hup d1; 7; vips; stop d1; 1.5; vips; stop d2";
    Scenario::new(configurations, steps).known(SET_AGAIN)
}

fn voting(group: &str) -> Vec<(&'static str, String)> {
    let blocks = format!(
        "track_file tf {{\n file DIR/value\n weight 1\n}}\nvrrp_sync_group G1 {{\n group {{\n VI_1\n VI_2\n }}\n{group}\n}}\n"
    );
    let instances = vi_1(150, "track_file {\n tf\n }") + &instance("VI_2", 52, 150, "10.77.0.201/24", "");
    let other = vi_1(120, "") + &instance("VI_2", 52, 120, "10.77.0.201/24", "");
    let group = "vrrp_sync_group G1 {\n group {\n VI_1\n VI_2\n }\n}\n";
    vec![("d1", file("", &blocks, &instances)), ("d2", file("", group, &other))]
}

const VOTES: &str = "write d1 value 0; start d1; 0.4; start d2; 6; vips; write d1 value -60; 6; vips; write d1 value 0; 6; vips; \
                     stop d1; 1.5; stop d2";

fn many() -> String {
    (1..=24).map(|last| format!(" 10.77.2.{last}")).collect::<Vec<_>>().join("\n")
}

/// Two unicast instances of the same VRID with a peer each, on d1; d2 is a peer of the first, d3 of the second.
fn shared() -> Vec<(&'static str, String)> {
    let of = |name, priority, address, own: u8, other: u8| {
        let peer = format!("unicast_src_ip 10.77.0.{own}\n unicast_peer {{\n 10.77.0.{other}\n }}");
        instance(name, 51, priority, address, &peer)
    };
    let first = of("VI_1", 150, "10.77.0.200/24", 1, 2) + &of("VI_2", 150, "10.77.0.201/24", 1, 3);
    vec![("d1", file("", "", &first)), ("d2", file("", "", &of("VI_1", 100, "10.77.0.200/24", 2, 1)))]
}

fn unicast(rest: &str) -> Vec<(&'static str, String)> {
    let peer =
        |own: u8, other: u8| format!("unicast_src_ip 10.77.0.{own}\n unicast_peer {{\n 10.77.0.{other}\n }}\n{rest}");
    two(&vi_1(150, &peer(1, 2)), &vi_1(100, &peer(2, 1)))
}

scenarios! {
    owner_by_address: Scenario::new(two(&instance("VI_1", 51, 255, "10.77.0.1/24", "state MASTER"), &instance("VI_1", 51, 100, "10.77.0.1/24", "")),
        "start d2; 5; start d1; 3; vips; stop d1; 2; vips; stop d2").known(OWN_ADDRESS);
    delayed_after_a_fault: Scenario::new(two(&vi_1(150, "preempt_delay 4"), &vi_1(100, "")),
        between("ip d1 link set eth0 down; 5; vips; ip d1 link set eth0 up; 3; vips; 9; vips"));
    delay_without_preemption: Scenario::new(pair("nopreempt\n preempt_delay 3"),
        "start d2; 5; start d1; 9; vips; stop d2; 6; vips; stop d1");
    delay_of_a_lone_router: Scenario::new(alone("preempt_delay 6"), "start d1; 5; vips; 6; vips; stop d1");
    flapping_interface: Scenario::new(pair(""),
        between("ip d1 link set eth0 down; ip d1 link set eth0 up; 6; vips; ip d1 link set eth0 down; 0.3; ip d1 link set eth0 up; 6; vips"));
    stop_while_down: Scenario::new(pair(""), "start d1; start d2; 5; ip d1 link set eth0 down; 2; stop d1; 4; vips; stop d2");
    stop_of_a_backup: Scenario::new(pair(""), "start d1; start d2; 5; stop d2; 2; vips; stop d1");
    families_share_a_vrid: Scenario::new(
        two(&(vi_1(150, "") + &instance("VI_6", 51, 150, SIX, "")), &(vi_1(100, "") + &instance("VI_6", 51, 100, SIX, ""))), TWICE);
    link_local_not_first: Scenario::new(
        two(&instance("VI_1", 51, 150, "fd77::200/64\n fe80::77", ""), &instance("VI_1", 51, 100, "fd77::200/64\n fe80::77", "")), TWICE).known(READING);
    many_addresses: Scenario::new(two(&instance("VI_1", 51, 150, &many(), ""), &instance("VI_1", 51, 100, &many(), "")), TWICE);
    excluded_addresses_of_both_families: Scenario::new(
        pair("virtual_ipaddress_excluded {\n 10.77.0.210/24\n fd77::200/64\n }"), TWICE);
    announcements_tuned: Scenario::new(
        two(&vi_1(150, "garp_master_delay 1\n garp_master_repeat 2\n garp_master_refresh 3\n garp_master_refresh_repeat 3"), &vi_1(100, "")),
        "start d1; start d2; 9; vips; stop d1; 1.5; stop d2");
    announcements_to_a_lesser_master: Scenario::new(alone("garp_lower_prio_delay 1\n garp_lower_prio_repeat 2"),
        "start d1; 5; inject c prio 90; 3; stop d1");
    announcements_paced: Scenario::new(vec![("d1", file("vrrp_garp_interval 0.1\n vrrp_gna_interval 0.1", "", &vi_1(150, "")))], ALONE);
    versions_by_global: Scenario::new(vec![("d1", file("vrrp_version 3", "", &vi_1(150, ""))), ("d2", file("", "", &vi_1(100, "version 3")))], TWICE);
    strict_pair: Scenario::new(vec![("d1", file("vrrp_strict", "", &vi_1(150, "version 3"))), ("d2", file("vrrp_strict", "", &vi_1(100, "version 3")))], TWICE).known(&["firewall"]);
    source_of_multicast: Scenario::new(pair("mcast_src_ip 10.77.0.1").into_iter().take(1).collect(), ALONE);
    source_without_peers: Scenario::new(alone("unicast_src_ip 10.77.0.1"), ALONE);
    unicast_with_password: Scenario::new(unicast(PASS), TWICE);
    unicast_with_ttl: Scenario::new(unicast("unicast_ttl 7"), TWICE);
    group_of_multicast: Scenario::new(
        vec![("d1", file("vrrp_mcast_group4 224.0.0.99", "", &vi_1(150, ""))), ("d2", file("vrrp_mcast_group4 224.0.0.99", "", &vi_1(100, "")))], TWICE);
    votes_of_a_member: Scenario::new(voting(""), VOTES).known(READING);
    votes_of_a_member_count: Scenario::new(voting("sync_group_tracking_weight"), VOTES).known(READING);
    votes_of_the_group: Scenario::new(voting("track_file {\n tf weight 1\n }"), VOTES).known(READING);
    tracks_its_own_interface: Scenario::new(pair("track_interface {\n eth0 weight -30\n }"),
        between("ip d1 link set eth0 down; 5; vips; ip d1 link set eth0 up; 6; vips"));
    reload_to_another_version: reload(&vi_1(150, ""), &vi_1(150, "version 3"));
    reload_to_a_password: reload(&vi_1(150, ""), &vi_1(150, PASS)).known(&["setting VIPs", "Received advert from", "Master received"]);
    reload_to_another_interval: reload(&vi_1(150, ""), &vi_1(150, "advert_int 2"));
    reload_to_a_script: reload_of(
        file("", "", &vi_1(150, "")),
        file("", "vrrp_script chk {\n script DIR/chk.sh\n interval 1\n weight -60\n}\n", &vi_1(150, "track_script {\n chk\n }")));
    reload_to_a_group: reload_of(
        file("", "", &(vi_1(150, "") + &instance("VI_2", 52, 150, "10.77.0.201/24", ""))),
        file("", "vrrp_sync_group G1 {\n group {\n VI_1\n VI_2\n }\n}\n", &(vi_1(150, "") + &instance("VI_2", 52, 150, "10.77.0.201/24", ""))));
    reload_while_down: Scenario::new(
        vec![("d1", file("", "", &vi_1(150, ""))), ("other", file("", "", &vi_1(140, ""))), ("d2", file("", "", &vi_1(100, "")))],
        "start d1; start d2; 5; ip d1 link set eth0 down; 4; conf d1 other; hup d1; 3; ip d1 link set eth0 up; 7; vips; stop d1; 1.5; stop d2").known(DOWN_AGAIN);
    reload_of_a_delayed_router: Scenario::new(
        vec![("d1", file("", "", &vi_1(150, "preempt_delay 6"))), ("other", file("", "", &vi_1(140, "preempt_delay 6"))), ("d2", file("", "", &vi_1(100, "")))],
        "start d2; 5; start d1; 4; conf d1 other; hup d1; 14; vips; stop d1; 1.5; stop d2").known(SET_AGAIN);
    runs_with_a_vrid_twice: Scenario::new(alone("").into_iter().map(|(host, text)| (host, text + &vi_1(150, "").replace("VI_1", "VI_2"))).collect(), "run d1");
    runs_without_addresses: Scenario::new(vec![("d1", file("", "", &vi_1(150, "").replace("10.77.0.200/24", "")))], "start d1; 5; vips; stop d1")
        .known(&["No VIP specified"]);
    runs_with_a_priority_too_high: Scenario::new(vec![("d1", file("", "", &vi_1(150, "").replace("priority 150", "priority 300")))], "start d1; 5; vips; stop d1");
    runs_with_an_unknown_script: Scenario::new(alone("track_script {\n nosuch\n }"), ALONE);
    runs_with_a_script_that_is_missing: Scenario::new(
        vec![("d1", file("", "vrrp_script chk {\n script /no/such/script.sh\n}\n", &vi_1(150, "track_script {\n chk\n }")))], ALONE);
    runs_with_a_group_of_strangers: Scenario::new(
        vec![("d1", file("", "vrrp_sync_group G1 {\n group {\n VI_1\n VI_9\n }\n}\n", &vi_1(150, "")))], ALONE).known(READING);
    unicast_routers_share_a_vrid: Scenario::new(shared(), TWICE);
}
