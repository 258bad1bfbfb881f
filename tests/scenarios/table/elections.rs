//! Who becomes master, and when.

use crate::script::{Scenario, alone, between, file, instance, pair, two, vi_1};

/// Of two masters that hear each other again, the lesser one gives way at once if the better one speaks first.
const WHO_SPEAKS_FIRST: &[&str] = &["Received advert from"];
const V3_IN_TENTHS: &str = "version 3\n advert_int 0.2";

fn three() -> Vec<(&'static str, String)> {
    let mut configurations = pair("");
    configurations.push(("d3", file("", "", &vi_1(50, ""))));
    configurations
}

fn partition(rest: &str) -> Scenario {
    Scenario::new(pair(rest), between("cut d1; 6.15; vips; mend d1; 7; vips")).known(WHO_SPEAKS_FIRST)
}

scenarios! {
    preempt: Scenario::new(pair(""), "start d2; 5; start d1; 7; vips; stop d2; stop d1");
    preempt_delay: Scenario::new(pair("preempt_delay 4"), "start d2; 5; start d1; 12.5; vips; stop d2; stop d1");
    nopreempt: Scenario::new(pair("nopreempt"), "start d1; 4.5; start d2; 2; stop d1; 3; vips; start d1; 6; vips; stop d1; stop d2");
    nopreempt_state_master: Scenario::new(alone("state MASTER\n nopreempt"), "start d1; 5; vips; stop d1");
    nopreempt_after_partition: partition("nopreempt");
    both_state_master: Scenario::new(pair("state MASTER"), "start d1; start d2; 6; vips; stop d1; stop d2");
    equal_priority: Scenario::new(two(&vi_1(150, ""), &vi_1(150, "")), "start d1; 0.3; start d2; 6; vips; stop d1; 1; stop d2");
    equal_priority_heal: Scenario::new(
        two(&vi_1(150, ""), &vi_1(150, "")), "start d1; 0.3; start d2; 5; cut d1; 6; vips; mend d1; 5; vips; stop d1; stop d2").known(WHO_SPEAKS_FIRST);
    equal_priority_late_higher_address: Scenario::new(
        two(&vi_1(150, ""), &vi_1(150, "")), "start d1; 5; vips; start d2; 6; vips; stop d1; stop d2");
    higher_priority_send_advert: partition("higher_prio_send_advert");
    lower_priority_no_advert: Scenario::new(alone("lower_prio_no_advert"), "start d1; 5; inject c prio 90; 1.5; vips; stop d1");
    lower_priority_strict: Scenario::new(alone("strict_mode on"), "start d1; 5; inject c prio 90; 1.5; vips; stop d1").known(FIREWALL);
    partition_plain: partition("");
    partition_version_3: partition(V3_IN_TENTHS);
    partition_of_the_backup: Scenario::new(pair(""), between("cut d2; 6; vips; mend d2; 7; vips")).known(WHO_SPEAKS_FIRST);
    three_nodes: Scenario::new(
        three(), "start d1; start d2; start d3; 6; vips; kill d1; ip d1 link set eth0 down; 6; vips; stop d2; 3; vips; stop d3");
    startup_delay: Scenario::new(vec![("d1", file("vrrp_startup_delay 4", "", &vi_1(150, "")))], "start d1; 9; vips; stop d1");
    down_timer_adverts: Scenario::new(pair("down_timer_adverts 1"), "start d1; start d2; 3; vips; kill d1; ip d1 link set eth0 down; 3; vips; stop d2");
    owner: Scenario::new(two(&vi_1(255, "state MASTER"), &vi_1(100, "")), "start d2; 5; start d1; 1; vips; stop d1; 2; vips; stop d2");
    owner_with_state_backup: Scenario::new(two(&vi_1(255, "state BACKUP"), &vi_1(100, "")), "start d2; 5; start d1; 5; vips; stop d1; stop d2");
    owner_nopreempt: Scenario::new(two(&vi_1(255, "state BACKUP\n nopreempt"), &vi_1(100, "")), "start d2; 5; start d1; 5; vips; stop d1; stop d2");
    two_masters_and_preempt_delay: Scenario::new(
        three_delayed(), "start d2; start d3; 5; cut d3; 5; mend d3; start d1; 1; cut d2; 12; vips; mend d2; 4; vips; stop d1; stop d2; stop d3").known(WHO_SPEAKS_FIRST);
    version_3_learns_the_interval: Scenario::new(
        two(&vi_1(150, "version 3\n advert_int 2"), &vi_1(100, "version 3\n advert_int 0.5")),
        "start d1; start d2; 12; vips; kill d1; ip d1 link set eth0 down; 9; vips; stop d2");
    version_3_nopreempt_learns_the_interval: Scenario::new(
        two(&vi_1(150, "version 3\n advert_int 0.5\n nopreempt"), &vi_1(100, "version 3\n advert_int 2\n nopreempt")),
        "start d2; 9; start d1; 6; vips; kill d2; ip d2 link set eth0 down; 9; vips; stop d1");
    ipv6_pair: Scenario::new(
        two(&instance("VI_1", 51, 150, "fe80::77\n fd77::200/64", ""), &instance("VI_1", 51, 100, "fe80::77\n fd77::200/64", "")),
        "start d1; start d2; 6; vips; stop d1; 2; vips; stop d2");
    ipv6_equal_priority_heal: Scenario::new(
        two(&instance("VI_1", 51, 150, "fe80::77\n fd77::200/64", ""), &instance("VI_1", 51, 150, "fe80::77\n fd77::200/64", "")),
        "start d1; 0.3; start d2; 5; cut d1; 6; vips; mend d1; 5; vips; stop d1; stop d2").known(WHO_SPEAKS_FIRST);
}

/// The rule that keeps hosts from the addresses has lines of its own.
const FIREWALL: &[&str] = &["firewall"];

fn three_delayed() -> Vec<(&'static str, String)> {
    let mut configurations = two(&vi_1(150, "preempt_delay 5"), &vi_1(100, ""));
    configurations.push(("d3", file("", "", &vi_1(50, ""))));
    configurations
}
