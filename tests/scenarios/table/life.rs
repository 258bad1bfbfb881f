//! Start, reload, notification, end.

use crate::script::{Scenario, alone, file, instance, pair, vi_1};

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
