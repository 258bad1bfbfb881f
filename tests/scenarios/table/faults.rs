//! Interfaces and addresses that come and go.

use crate::script::{Scenario, alone, between, file, instance, pair, two, vi_1};

const DUMMY: &str = "ip d1 link add dum0 type veth peer name dum0p; ip d1 link set dum0p up; ip d1 link set dum0 up";

/// The address and the virtual addresses below it vanish together: by way of BACKUP, or to FAULT at once.
const AT_ONCE: &[&str] = &["Entering BACKUP STATE", "Entering FAULT STATE", "reports IP"];
/// Members of a group rise in the same instant; whose advert is heard first is chance, as is when the kernel gives a link its
/// address.
const EITHER_MEMBER: &[&str] = &["Received advert from", "Master received advert", "for interface dum0"];

fn grouped(first: (u8, u8), second: (u8, u8), group: &str, rest: &str) -> Vec<(&'static str, String)> {
    let of = |(one, other)| {
        let instances =
            instance("VI_1", 51, one, "10.77.0.200/24", "") + &instance("VI_2", 52, other, "10.77.0.201/24", rest);
        let group = format!("vrrp_sync_group G1 {{\n group {{\n VI_1\n VI_2\n }}\n{group}\n}}\n");
        file("", &group, &instances)
    };
    vec![("d1", of(first)), ("d2", of(second))]
}

fn tracking(rest: &str) -> Vec<(&'static str, String)> {
    two(&vi_1(150, rest), &vi_1(100, ""))
}

scenarios! {
    interface_down: Scenario::new(pair(""), between("ip d1 link set eth0 down; 5; vips; ip d1 link set eth0 up; 6; vips"));
    interface_down_nopreempt: Scenario::new(pair("nopreempt"), between("ip d1 link set eth0 down; 5; vips; ip d1 link set eth0 up; 6; vips"));
    down_at_start: Scenario::new(alone(""), "ip d1 link set eth0 down; start d1; 4; ip d1 link set eth0 up; 6; vips; stop d1");
    dont_track_primary: Scenario::new(pair("dont_track_primary"),
        between("ip d1 link set eth0 down; 6.65; vips; ip d1 link set eth0 up; 6; vips")).known(&["Received advert from"]);
    address_of_the_interface_lost: Scenario::new(pair(""),
        between("ip d1 addr del 10.77.0.1/24 dev eth0; 6; vips; ip d1 addr add 10.77.0.1/24 dev eth0; 6; vips")).known(AT_ONCE);
    no_address_at_start: Scenario::new(alone(""),
        "ip d1 addr del 10.77.0.1/24 dev eth0; start d1; 4; ip d1 addr add 10.77.0.1/24 dev eth0; 6; vips; stop d1");
    address_deleted_by_hand: Scenario::new(pair(""), between("ip d1 addr del 10.77.0.200/24 dev eth0; 4; vips"));
    track_interface: Scenario::new(tracking("track_interface {\n dum0\n }"),
        format!("{DUMMY}; {}", between("ip d1 link set dum0 down; 5; vips; ip d1 link set dum0 up; 6; vips")));
    track_interface_deleted: Scenario::new(
        vec![("d1", file("dynamic_interfaces", "", &vi_1(150, "track_interface {\n dum0\n }"))), ("d2", file("", "", &vi_1(100, "")))],
        format!("{DUMMY}; {}", between(&format!("ip d1 link del dum0; 5; vips; {DUMMY}; 6; vips"))));
    track_interface_weight: Scenario::new(tracking("track_interface {\n dum0 weight -60\n }"),
        format!("{DUMMY}; {}", between("ip d1 link set dum0 down; 5; vips; ip d1 link set dum0 up; 6; vips")));
    track_interface_reverse: Scenario::new(tracking("track_interface {\n dum0 weight 60 reverse\n }"),
        format!("{DUMMY}; start d2; 0.5; start d1; 5; vips; ip d1 link set dum0 down; 5; vips; ip d1 link set dum0 up; 6; vips; \
                 stop d1; stop d2"));
    missing_interface: Scenario::new(
        vec![("d1", file("", "", &vi_1(150, "").replace("eth0", "nosuch0")))], "start d1; 2; stop d1");
    missing_interface_dynamic: Scenario::new(
        vec![("d1", file("dynamic_interfaces", "", &vi_1(150, "").replace("eth0", "late0")))],
        "start d1; 3; ip d1 link add late0 type veth peer name late0p; ip d1 link set late0p up; \
         ip d1 link set late0 up multicast on; ip d1 addr add 10.77.1.1/24 dev late0; 6; ip d1 link del late0; 2; kill d1");
    sync_group: Scenario::new(grouped((150, 150), (100, 100), "", "track_interface {\n dum0\n }"),
        format!("{DUMMY}; {}; {}", DUMMY.replace("d1", "d2"),
            between("ip d1 link set dum0 down; 5; vips; ip d1 link set dum0 up; 6; vips"))).known(EITHER_MEMBER);
    sync_group_down_at_start: Scenario::new(
        grouped((150, 150), (100, 100), "", "track_interface {\n dum0\n }").into_iter().take(1).collect(),
        format!("{DUMMY}; ip d1 link set dum0 down; start d1; 4; vips; ip d1 link set dum0 up; 6; vips; stop d1")).known(EITHER_MEMBER);
    sync_group_different_priorities: Scenario::new(grouped((150, 100), (100, 150), "", ""),
        "start d1; 0.4; start d2; 8; vips; stop d1; 2; vips; stop d2");
    sync_group_tracks: Scenario::new(grouped((150, 150), (100, 100), "track_interface {\n dum0\n }", ""),
        format!("{DUMMY}; {}; {}", DUMMY.replace("d1", "d2"),
            between("ip d1 link set dum0 down; 5; vips; ip d1 link set dum0 up; 6; vips"))).known(EITHER_MEMBER);
    sync_group_partition: Scenario::new(grouped((150, 150), (100, 100), "", ""), between("cut d1; 6.15; vips; mend d1; 7; vips")).known(EITHER_MEMBER);
}
