//! Start, reload, notification, end.

use crate::script::{Scenario, alone, file, instance, pair, vi_1};

/// Files that only we have, and the numbers of processes.
const FILES: &[&str] = &["vrrp.addresses", "control", "pid.", "has file keepalived"];
/// Addresses left by a daemon that was killed go at the start, whatever they are.
const LEFT: &[&str] = &["d1 has"];
const BROKEN: &str = "this is {\n a\n}\nvrrp_instance X {\n bogus 1\n";
const CHECKED: &str = "reload_check_config";
/// What a dump of keepalived tells of its own processes and buffers, and what ours tells besides.
const DUMPED: &[&str] = &[
    "vrrp.addresses",
    "control",
    "pid",
    "has file keepalived",
    "libnftnl",
    "SNMP socket",
    "DBus service",
    "Gratuitous ARP lower priority",
    "Seen up",
    "Delayed state",
    "NIC netlink",
    "Reset ARP",
    "Original ",
    "Reset promote",
    "Rx buf size",
    "Password =",
    "delay timer not running",
    "Reason =",
    "Waiting for =",
    "Tracked = ",
    "Default interface",
    "Sent: ",
    "Read timeout",
    "Timeout = ",
    // Routes and rules in other words, and addresses of the host.
    "10.98.0.0/16",
    "10.50.0.0/16",
    "10.51.0.0/16",
    "10.97.0.0/16",
    "Additional",
    "10.99.0.1",
    // The umask of scripts.
    "has file told",
    // Lines of a start with a fault, about the file, and between processes.
    "Syncing ",
    "SYNC group",
    "Remove vrrp",
    "tracked file",
    "(file tf down)",
    "removing ",
    "is not used",
    "Received BFD",
    "Printing ",
    "AdminDown",
];
const DUMPS: &str = "write d1 value 3; start d1; 6; signal d1 SIGUSR1; 0.5; signal d1 SIGUSR2; 1; dump d1 keepalived.data; \
                     dump d1 keepalived.stats; dump d1 keepalived_parent.data; files d1; stop d1";

const NOTIFY: &str = "notify DIR/tell.sh\n notify_master \"DIR/tell.sh master\"\n notify_backup \"DIR/tell.sh backup\"\n \
                      notify_fault \"DIR/tell.sh fault\"\n notify_stop \"DIR/tell.sh stop\"\n \
                      notify_deleted \"DIR/tell.sh deleted\"\n notify_master_rx_lower_pri \"DIR/tell.sh lower\"";
const FIFO: &str = "notify_fifo DIR/fifo";

fn reloading(first: String, second: String, steps: &str) -> Scenario {
    Scenario::new(vec![("d1", first), ("other", second), ("d2", file("", "", &both(100)))], steps)
        .known(&["setting VIPs"])
}

fn both(priority: u8) -> String {
    instance("VI_1", 51, priority, "10.77.0.200/24", "") + &instance("VI_2", 52, priority, "10.77.0.201/24", "")
}

/// Two instances of a group with everything that can be tracked, and what there is besides addresses.
fn everything() -> Vec<(&'static str, String)> {
    let blocks = "vrrp_script chk {\n script \"DIR/chk.sh a\"\n interval 1\n rise 2\n fall 3\n}\n\
        vrrp_script other {\n script \"DIR/chk.sh\"\n interval 1.5\n weight -5\n}\n\
        track_file tf {\n file DIR/value\n weight 2\n}\n\
        vrrp_track_process nobody {\n process no_such_program_77\n weight 3\n quorum 2\n}\n\
        bfd_instance peer {\n neighbor_ip 10.77.0.2\n source_ip 10.77.0.1\n}\n\
        static_ipaddress {\n 10.99.0.1/24 dev eth0\n}\n\
        static_routes {\n 10.98.0.0/16 via 10.77.0.3 dev eth0\n}\n\
        static_rules {\n from 10.97.0.0/16 table 97\n}\n\
        vrrp_sync_group G1 {\n group {\n VI_1\n VI_2\n }\n track_interface {\n eth0 weight 2\n }\n\
        notify DIR/tell.sh\n}\n";
    let more = "nopreempt\n garp_master_refresh 60\n track_script {\n chk\n other weight 4\n }\n track_file {\n tf weight 1\n }\n\
        track_process {\n nobody\n }\n track_bfd {\n peer weight 3\n }\n authentication {\n auth_type PASS\n auth_pass secret\n }\n\
        virtual_ipaddress_excluded {\n 10.77.0.210/24 dev eth0\n 2001:db8::100/64 dev eth0\n }\n\
        virtual_routes {\n 10.50.0.0/16 via 10.77.0.3 dev eth0 table 50 metric 10\n unreachable 10.51.0.0/16\n }\n\
        virtual_rules {\n from 10.50.0.0/16 table 50 priority 500\n }\n notify_master \"DIR/tell.sh a\"\n notify \"DIR/tell.sh b\"";
    let unicast = "version 3\n unicast_src_ip 10.77.0.1\n unicast_peer {\n 10.77.0.2\n }";
    let instances = vi_1(150, more) + &instance("VI_2", 52, 150, "10.77.0.201/24", unicast);
    vec![("d1", file("", blocks, &instances)), ("d2", file("", "", &vi_1(100, "")))]
}

fn one(instance: &str) -> String {
    file("", "", instance)
}

/// keepalived makes its FIFO anew at a reload; what is said in that moment is lost.
const RETOLD: &[&str] = &["fifo.log"];
const TWO: &str = "10.77.0.200/24\n 10.77.0.201/24";
const RELOAD: &str = "start d1; 5; conf d1 other; hup d1; 6; vips; stop d1";

scenarios! {
    reload_same: reloading(one(&vi_1(150, "")), one(&vi_1(150, "")), RELOAD);
    reload_adds_an_address: reloading(one(&vi_1(150, "")), one(&instance("VI_1", 51, 150, TWO, "")), RELOAD);
    reload_removes_an_address: reloading(one(&instance("VI_1", 51, 150, TWO, "")), one(&vi_1(150, "")), RELOAD);
    reload_priority: reloading(one(&both(150)), one(&both(50)),
        "start d1; start d2; 5; conf d1 other; hup d1; 6; vips; stop d1; 1; stop d2");
    reload_removes_an_instance: reloading(one(&both(150)), one(&vi_1(150, "")),
        "start d1; start d2; 5.5; vips; conf d1 other; hup d1; 5; vips; conf d1 d1; hup d1; 6; vips; stop d1; 1.5; stop d2");
    reload_renames: reloading(one(&vi_1(150, "")), one(&vi_1(150, "").replace("VI_1", "VI_NEW")), RELOAD).known(&["setting VIPs", "Sending/queueing"]);
    reload_changes_the_vrid: reloading(one(&vi_1(150, "")), one(&vi_1(150, "").replace("51", "53")), RELOAD);
    reload_backup: reloading(one(&both(150)), one(&both(150)),
        "start d1; start d2; 5; hup d2; 5; vips; stop d1; 1.5; stop d2");
    killed_and_restarted: Scenario::new(alone(""), "start d1; 5; vips; kill d1; 1; vips; start d1; 1; vips; 5; vips; stop d1");
    killed_and_restarted_with_a_backup: Scenario::new(pair(""),
        "start d1; start d2; 5; kill d1; 6; vips; start d1; 1; vips; 6; vips; stop d1; 1.5; stop d2");
    killed_and_restarted_with_less: Scenario::new(
        vec![("d1", one(&instance("VI_1", 51, 150, TWO, ""))), ("other", one(&vi_1(150, "")))],
        "start d1; 5; vips; kill d1; conf d1 other; 1; start d1; 6; vips; stop d1").known(LEFT);
    second_start: Scenario::new(alone(""), "start d1; 1; run d1; 1; stop d1");
    runs_without_a_file: Scenario::new(alone(""), "unconf d1; run d1");
    runs_with_half_a_file: Scenario::new(vec![("d1", BROKEN.to_owned())], "run d1");
    runs_with_an_empty_file: Scenario::new(vec![("d1", String::new())], "start d1; 2; stop d1");
    files_of_a_run: Scenario::new(alone(""), "start d1; 2; files d1; stop d1; files d1").known(FILES);
    kept_addresses: Scenario::new(alone(""), "start d1 -V; 5; stop d1; vips");
    no_accept: Scenario::new(alone("version 3\n no_accept"), "start d1; 6; vips; ping c 10.77.0.200; stop d1; vips").known(&["firewall"]);
    accept: Scenario::new(alone("version 3"), "start d1; 6; vips; ping c 10.77.0.200; stop d1");
    reload_of_a_broken_file_checked: Scenario::new(
        vec![("d1", file(CHECKED, "", &vi_1(150, ""))), ("broken", BROKEN.to_owned())],
        "start d1; 5; conf d1 broken; hup d1; 4; vips; stop d1").known(&["validat", "config check log", "keyword", "'{'", "'}'", "is not applied", "what runs"]);
    dumps: Scenario::new(pair(""), DUMPS).known(DUMPED);
    dumps_of_everything: Scenario::new(everything(), DUMPS).known(DUMPED);
    notify: Scenario::new(
        vec![("d1", file(FIFO, "", &vi_1(150, NOTIFY)))],
        "start d1; 0.3; read d1 fifo; 5; show d1 told; inject c prio 200; 1; inject c prio 0; 2; show d1 told; \
         inject c prio 90; 1; ip d1 link set eth0 down; 1; ip d1 link set eth0 up; 5; show d1 told; \
         stop d1; show d1 told; lines d1 fifo.log");
    notify_deleted: Scenario::new(
        vec![("d1", file(FIFO, "", &vi_1(150, NOTIFY))), ("other", file(FIFO, "", &vi_1(150, "").replace("51", "53").replace("VI_1", "VI_OTHER")))],
        "start d1; 5; conf d1 other; hup d1; 0.3; read d1 fifo; 5; show d1 told; stop d1; show d1 told; lines d1 fifo.log").known(RETOLD);
    notify_group: Scenario::new(
        vec![("d1", file(FIFO, &format!("vrrp_sync_group G1 {{\n group {{\n VI_1\n VI_2\n }}\n{NOTIFY_GROUP}\n}}\n"), &both(150)))],
        "start d1; 0.3; read d1 fifo; 5; show d1 told; inject c prio 200; 1; inject c prio 0; 2; show d1 told; \
         ip d1 link set eth0 down; 1; ip d1 link set eth0 up; 5; show d1 told; stop d1; show d1 told; lines d1 fifo.log");
    notify_priority_changes: Scenario::new(
        vec![("d1", file(&format!("{FIFO}\n vrrp_notify_priority_changes on"), "vrrp_script chk {\n script \"DIR/chk.sh\"\n interval 1\n weight -20\n}\n",
            &vi_1(150, "track_script {\n chk\n }")))],
        "start d1; 0.3; read d1 fifo; 5; exits d1 1; 3; exits d1 0; 3; stop d1; lines d1 fifo.log");
}

const NOTIFY_GROUP: &str = "notify DIR/tell.sh\n notify_master \"DIR/tell.sh master\"\n notify_backup \"DIR/tell.sh backup\"\n \
                            notify_fault \"DIR/tell.sh fault\"\n notify_stop \"DIR/tell.sh stop\"";
