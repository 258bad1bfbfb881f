//! Mails, FIFOs, and which scripts may run.

use crate::script::{Scenario, alone, file, instance, vi_1};

/// keepalived loses the mails about its end.
const OF_THE_END: &[&str] = &["Stopping"];

fn mailed(instance: &str) -> Vec<(&'static str, String)> {
    let globals = "notification_email {\n root@lab.example\n }\n notification_email_from ka@lab.example\n \
         smtp_server 10.77.0.100\n smtp_helo_name my.helo.example";
    vec![("d1", file(globals, "", instance)), ("d2", file("", "", &vi_1(200, "")))]
}

/// The mail is named; after a while the kernel knows that nobody is there.
const UNREACHABLE: &[&str] = &["Stopping", "The mail `", "No route to host"];
const ELECTIONS: &str = "mail c; start d1; 5; start d2; 5; stop d2; 2; stop d1; mails c";
const GROUP: &str = "vrrp_sync_group G1 {\n group {\n VI_1\n VI_2\n }\n smtp_alert\n}\n";

fn mailed_group() -> Vec<(&'static str, String)> {
    let two = vi_1(150, "smtp_alert") + &instance("VI_2", 52, 150, "10.77.0.201/24", "");
    let mut configurations = mailed(&(GROUP.to_owned() + &two));
    configurations.truncate(1);
    configurations
}

/// Scripts whose files are as they should be, or not.
fn secured(globals: &str) -> Scenario {
    let scripts = "notify_master DIR/ok.sh\n notify_backup DIR/open/x.sh\n notify_fault DIR/plain.sh\n \
                   notify_stop /no/such/script.sh\n notify \"DIR/loose.sh a b\"";
    let text =
        format!("global_defs {{\n router_id LAB\n{globals}\n}}\n{}", vi_1(255, &format!("state MASTER\n{scripts}")));
    let say = |name: &str| format!("echo {name} $# $* uid $(id -u) groups $(id -G) >> DIR/told");
    let steps = format!(
        "write d1 told; mode d1 told 666; directory d1 open; mode d1 open 777; script d1 ok.sh {}; script d1 open/x.sh {}; \
         script d1 plain.sh {}; mode d1 plain.sh 644; script d1 loose.sh {}; mode d1 loose.sh 777; start d1; 2; vips; stop d1; \
         0.5; show d1 told",
        say("ok"),
        say("open"),
        say("plain"),
        say("loose")
    );
    Scenario::new(vec![("d1", text)], steps).known(&["Error setting global script"])
}

const FIFOS: &str = "notify_fifo DIR/fifo\n vrrp_notify_fifo DIR/vrrp_fifo";

fn groups_with_fifos() -> Vec<(&'static str, String)> {
    let two = vi_1(150, "") + &instance("VI_2", 52, 150, "10.77.0.201/24", "");
    let of = |priority: u8| file(FIFOS, &GROUP.replace("smtp_alert", ""), &two.replace("150", &priority.to_string()));
    vec![("d1", of(150)), ("d2", file("", "", &(vi_1(200, "") + &instance("VI_2", 52, 200, "10.77.0.201/24", ""))))]
}

/// Side by side, so that a slow script holds back none.
const SLOW: &str = "script d1 slow.sh echo begin $* >> DIR/told && sleep 3 && echo end $* >> DIR/told";

scenarios! {
    mails: Scenario::new(mailed(&vi_1(150, "smtp_alert")), ELECTIONS).known(OF_THE_END);
    mails_of_a_group: Scenario::new(mailed_group(), "mail c; start d1; 6; stop d1; mails c").known(OF_THE_END);
    mail_server_silent: Scenario::new(
        vec![("d1", mailed(&vi_1(150, "smtp_alert"))[0].1.replace("10.77.0.100", "10.77.0.99\n smtp_connect_timeout 2"))],
        "start d1; 6.5; vips; stop d1").known(UNREACHABLE);
    scripts_of_anybody: secured("");
    scripts_of_root: secured("script_user root");
    scripts_secured_without_a_user: secured("enable_script_security");
    scripts_secured: secured("script_user root\n enable_script_security");
    scripts_of_nobody: secured("script_user nobody\n enable_script_security");
    scripts_of_nobody_and_a_group: secured("script_user nobody nogroup");
    scripts_of_a_stranger: secured("script_user nosuchuser");
    scripts_slow: Scenario::new(
        vec![("d1", file("", "", &vi_1(100, "notify DIR/slow.sh")))],
        format!("{SLOW}; start d1; 5; inject c prio 200; 0.35; inject c prio 0; 1; inject c prio 200; 0.35; inject c prio 0; 5; \
                 show d1 told; stop d1"));
    fifos: Scenario::new(groups_with_fifos(),
        "start d1; 0.3; read d1 fifo; read d1 vrrp_fifo; 0.3; files d1; 4; start d2; 5; stop d2; 1.5; ip d1 link set eth0 down; 1.5; \
         ip d1 link set eth0 up; 5; inject c prio 90; 1; stop d1; lines d1 fifo.log; lines d1 vrrp_fifo.log; files d1").known(FILES_OF_OURS);
    fifo_made_by_others: Scenario::new(vec![("d1", file("notify_fifo DIR/own_fifo", "", &vi_1(150, "")))],
        "fifo d1 own_fifo; read d1 own_fifo; start d1; 5; stop d1; lines d1 own_fifo.log; files d1").known(FILES_OF_OURS);
    fifo_through_a_reload: Scenario::new(
        vec![("d1", file("notify_fifo DIR/fifo", "", &vi_1(150, ""))), ("same", file("notify_fifo DIR/fifo", "", &vi_1(150, "")))],
        "start d1; 0.3; read d1 fifo; 5; conf d1 same; hup d1; 2; inject c prio 200; 1; stop d1; lines d1 fifo.log").known(&["setting VIPs", "fifo.log"]);
    tells_nobody: Scenario::new(alone("smtp_alert"), "start d1; 5; vips; stop d1");
    mails_without_alert: Scenario::new(mailed(&vi_1(150, "")), ELECTIONS);
    pair_that_mails_by_default: Scenario::new(mailed_by_default(), ELECTIONS).known(OF_THE_END);
}

/// What is there beside the files of keepalived.
const FILES_OF_OURS: &[&str] = &["file vrrp.addresses", "pid.sock", "Master received advert"];

fn mailed_by_default() -> Vec<(&'static str, String)> {
    let mut configurations = mailed(&vi_1(150, ""));
    configurations[0].1 = configurations[0].1.replace("smtp_helo_name", "smtp_alert\n smtp_helo_name");
    configurations
}
