//! Adverts right and wrong.

use crate::script::{Scenario, alone, file, instance, pair, two, vi_1};

const TWO_MASTERS: &str = "start d1; start d2; 8; vips; stop d1; stop d2";
const PASS: &str = "authentication {\n auth_type PASS\n auth_pass secret\n }";
const OTHER: &str = "authentication {\n auth_type PASS\n auth_pass other\n }";
const AH: &str = "authentication {\n auth_type AH\n auth_pass secret\n }";
const OTHER_AH: &str = "authentication {\n auth_type AH\n auth_pass other\n }";
const ONE: &str = "10.77.0.200/24";
const BOTH: &str = "10.77.0.200/24\n 10.77.0.201/24";
const REFUSED: [&str; 14] = [
    "ttl 64",
    "badck",
    "vips 10.77.0.99",
    "vips 10.77.0.200,10.77.0.201",
    "vips none",
    "cut 6",
    "count 5",
    "type 2",
    "verover 4",
    "extra 8",
    "vrid 99",
    "src 10.99.0.9",
    "unicast 10.77.0.1",
    "verover 2",
];
const REFUSED_BY_V2: [&str; 3] = ["authtype 1", "authtype 7", "adv 3"];

/// Each advert a second after the other.
fn heard(more: &str, adverts: &[&str]) -> String {
    format!("start d1; 5; {}; vips; stop d1", injected(more, adverts))
}

fn injected(more: &str, adverts: &[&str]) -> String {
    let steps: Vec<String> = adverts.iter().map(|advert| format!("inject c {more} prio 90 {advert}; 1.2")).collect();
    steps.join("; ")
}

fn addresses(first: &str, second: &str, rest: &str) -> Scenario {
    let of = |priority, addresses| instance("VI_1", 51, priority, addresses, rest);
    Scenario::new(two(&of(150, first), &of(100, second)), TWO_MASTERS)
}

fn unicast(rest: &str) -> Vec<(&'static str, String)> {
    let peer =
        |own: u8, other: u8| format!("unicast_src_ip 10.77.0.{own}\n unicast_peer {{\n 10.77.0.{other}\n }}\n{rest}");
    two(&vi_1(150, &peer(1, 2)), &vi_1(100, &peer(2, 1)))
}

const STRANGERS: &str = "inject c prio 200; 1; inject c prio 200 unicast 10.77.0.1; 1.3; \
                         inject c prio 200 unicast 10.77.0.1 src 10.77.0.2 ttl 12; 4.4; vips";

scenarios! {
    inject_v2_refused: Scenario::new(alone(""), heard("", &[REFUSED.as_slice(), &REFUSED_BY_V2].concat()));
    inject_v3_refused: Scenario::new(alone("version 3"), heard("ver 3", &[REFUSED.as_slice(), &["authtype 1", "adv 3"]].concat()));
    inject_refused_by_a_backup: Scenario::new(pair(""),
        format!("start d1; start d2; 5; {}; vips; stop d1; stop d2", injected("", &[REFUSED.as_slice(), &REFUSED_BY_V2].concat())));
    inject_elections: Scenario::new(pair(""),
        "start d1; start d2; 5; inject c prio 90; 1.2; inject c prio 150; 1; inject c prio 150 src 10.77.0.0; 1; \
         inject c prio 255; 1; inject c prio 0; 2; inject c prio 200; 1; vips; stop d1; stop d2");
    inject_v6: Scenario::new(
        vec![("d1", file("", "", &instance("VI_1", 51, 150, "fe80::77\n fd77::200/64", "")))],
        "start d1; 5; inject c ver 3 vips fe80::77,fd77::200 prio 90; 1.2; inject c ver 3 vips fe80::77,fd77::200 prio 90 ttl 64; 1; \
         inject c ver 3 vips fe80::77,fd77::201 prio 90; 1; inject c ver 3 vips fd77::200 prio 90; 1; \
         inject c ver 3 vips fe80::77,fd77::200 prio 150; 1; inject c ver 3 vips fe80::77,fd77::200 prio 200; 1; \
         inject c ver 3 vips fe80::77,fd77::200 prio 0; 2; vips; stop d1");
    master_hears_priority_zero: Scenario::new(alone(""), "start d1; 5; inject c prio 0; 1.5; vips; stop d1");
    unknown_vrid: Scenario::new(alone(""), "start d1; 5; inject c vrid 99; 0.6; inject c vrid 99; 1; stop d1");
    unknown_vrid_logged: Scenario::new(vec![("d1", file("log_unknown_vrids", "", &vi_1(150, "")))],
        "start d1; 5; inject c vrid 99; 0.6; inject c vrid 99; 0.6; inject c vrid 98; 1; stop d1");
    address_list: addresses(BOTH, "10.77.0.200/24\n 10.77.0.202/24", "");
    address_list_count: addresses(BOTH, ONE, "");
    address_list_order: addresses(BOTH, "10.77.0.201/24\n 10.77.0.200/24", "");
    skip_check_of_addresses: addresses(BOTH, ONE, "skip_check_adv_addr on");
    intervals_of_version_2: Scenario::new(two(&vi_1(150, "advert_int 1"), &vi_1(100, "advert_int 2")),
        "start d1; start d2; 12; vips; stop d1; stop d2");
    password_agrees: Scenario::new(pair(PASS), TWO_MASTERS);
    password_differs: Scenario::new(two(&vi_1(150, PASS), &vi_1(100, OTHER)), TWO_MASTERS);
    password_or_none: Scenario::new(two(&vi_1(150, ""), &vi_1(100, PASS)), TWO_MASTERS);
    authentication_header_agrees: Scenario::new(pair(AH), TWO_MASTERS);
    authentication_header_differs: Scenario::new(two(&vi_1(150, AH), &vi_1(100, OTHER_AH)), TWO_MASTERS);
    authentication_header_or_password: Scenario::new(two(&vi_1(150, AH), &vi_1(100, PASS)), TWO_MASTERS);
    versions_differ: Scenario::new(two(&vi_1(150, "version 2"), &vi_1(100, "version 3")), TWO_MASTERS);
    unicast_pair: Scenario::new(unicast(""), format!("start d1; start d2; 6; vips; {STRANGERS}; stop d1; 1.5; vips; stop d2"));
    unicast_pair_checks_sources: Scenario::new(unicast("check_unicast_src"),
        format!("start d1; start d2; 6; vips; {STRANGERS}; stop d1; 1.5; vips; stop d2"));
    unicast_version_3: Scenario::new(unicast("version 3\n advert_int 0.3"), "start d1; start d2; 4; vips; stop d1; 1.5; vips; stop d2");
    unicast_old_checksum: Scenario::new(unicast("version 3\n old_unicast_checksum"),
        "start d1; start d2; 6; vips; stop d1; 1.5; vips; stop d2");
}
