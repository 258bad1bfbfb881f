//! Interoperation: version, family, cast and authentication, each with either of us in either role. Every one elects, fails
//! over, fails back, changes a priority and changes its mind; with passwords that differ there are two masters.

use crate::script::{Scenario, file};

const PASS: &str = "authentication {\n auth_type PASS\n auth_pass secret\n }";
const OTHER: &str = "authentication {\n auth_type PASS\n auth_pass other\n }";
const AH: &str = "authentication {\n auth_type AH\n auth_pass secret\n }";
const OTHER_AH: &str = "authentication {\n auth_type AH\n auth_pass other\n }";
const V2: &str = "version 2\n advert_int 1";
const V3: &str = "version 3\n advert_int 0.5";
const IPV4: [&str; 3] = ["10.77.0.200/24", "10.77.0.1", "10.77.0.2"];
const IPV6: [&str; 3] = ["fe80::200/64\n fd77::200/64", "fe80::77:ff:fe00:1", "fe80::77:ff:fe00:2"];

/// Election, failover by SIGKILL and a dead link, failback, then a reload that lowers the priority, and one that raises it again.
const STEPS: &str = "start d1; 1; start d2; 5.3; vips; kill d1; ip d1 link set eth0 down; 5; vips; ip d1 link set eth0 up; \
                     ip d1 addr add fd77::1/64 dev eth0 nodad; 0.5; start d1; 6.3; vips; conf d1 d1low; hup d1; 6; vips; \
                     conf d1 d1; hup d1; 6; vips; stop d1; 1.5; vips; stop d2";
const TWO_MASTERS: &str = "start d1; 1; start d2; 7; vips; stop d1; stop d2";
/// What a reload says, what depends on who speaks first, and leftovers that one of us removes before looking at states.
const KNOWN: &[&str] = &["setting VIPs", "Received advert from", "addr add", "sent 0 priority"];

fn instance(priority: u8, common: &str, own: &str, addresses: &str) -> String {
    file(
        "",
        "",
        &format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n{common}\n{own}\n \
             virtual_ipaddress {{\n {addresses}\n }}\n}}\n"
        ),
    )
}

fn cast(common: &str, [addresses, one, two]: [&str; 3], unicast: bool) -> Scenario {
    let peer = |own: &str, other: &str| match unicast {
        true => format!("unicast_src_ip {own}\n unicast_peer {{\n {other}\n }}"),
        false => String::new(),
    };
    let (first, second) = (peer(one, two), peer(two, one));
    let configurations = vec![
        ("d1", instance(150, common, &first, addresses)),
        ("d1low", instance(50, common, &first, addresses)),
        ("d2", instance(100, common, &second, addresses)),
    ];
    Scenario::new(configurations, STEPS).known(KNOWN).mixed()
}

fn strangers(one: &str, two: &str) -> Scenario {
    let [address, ..] = IPV4;
    let of = |priority, own: &str| instance(priority, V2, own, address);
    Scenario::new(vec![("d1", of(150, one)), ("d2", of(100, two))], TWO_MASTERS).mixed()
}

fn versions() -> Scenario {
    let [address, ..] = IPV4;
    let of = |priority, common: &str| instance(priority, common, "", address);
    Scenario::new(vec![("d1", of(150, V2)), ("d2", of(100, V3))], TWO_MASTERS).mixed()
}

scenarios! {
    v2_plain: cast(V2, IPV4, false);
    v2_password: cast(&format!("{V2}\n{PASS}"), IPV4, false);
    v2_header: cast(&format!("{V2}\n{AH}"), IPV4, false);
    v2_unicast: cast(V2, IPV4, true);
    v2_unicast_password: cast(&format!("{V2}\n{PASS}"), IPV4, true);
    v2_unicast_header: cast(&format!("{V2}\n{AH}"), IPV4, true);
    v3_plain: cast(V3, IPV4, false);
    v3_unicast: cast(V3, IPV4, true);
    v3_unicast_old_checksum: cast(&format!("{V3}\n old_unicast_checksum"), IPV4, true);
    v3_nopreempt: cast(&format!("{V3}\n nopreempt"), IPV4, false);
    v3_ipv6: cast(V3, IPV6, false);
    v3_ipv6_unicast: cast(V3, IPV6, true);
    mismatch_password: strangers(PASS, OTHER);
    mismatch_password_or_none: strangers(PASS, "");
    mismatch_header: strangers(AH, OTHER_AH);
    mismatch_header_or_password: strangers(AH, PASS);
    mismatch_version: versions();
}
