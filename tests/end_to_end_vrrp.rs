//! VRRP by the real daemon in namespaces: who holds the address, when, and who is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

mod common;

use common::{Daemon, ELECTION, Pair, SOON, await_address, await_no_address};
use nix::sys::signal::Signal;
use standfast_labkit::harness::{self, Test};
use standfast_labkit::servers::MailSink;
use standfast_labkit::tests;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const VIP: &str = "10.7.0.100";

fn main() -> ExitCode {
    let plain = tests![
        the_higher_priority_is_elected,
        an_address_keeps_prefix_label_and_scope,
        a_killed_master_is_replaced_in_about_three_seconds,
        a_stopped_master_hands_over_at_once,
        nopreempt_leaves_the_address_where_it_is,
        a_cut_cable_moves_the_address_and_notifies_fault,
        a_failing_script_lowers_the_priority,
        a_failing_script_without_weight_is_a_fault,
        a_hanging_script_delays_no_advert,
        a_tracked_file_moves_the_address_and_back,
        a_tracked_file_without_weight_is_a_fault,
        a_tracked_process_moves_the_address_and_back,
        notify_scripts_get_keepalived_s_arguments,
        addresses_left_by_a_crash_are_removed,
        a_missing_script_is_reported_and_left_out,
        mails_tell_about_transitions,
        a_wrong_password_is_ignored,
        two_instances_share_the_load,
        signed_adverts_elect_one_master_and_survive_a_change_of_key,
        an_advert_signed_with_another_key_is_ignored,
        a_split_brain_is_told_notified_and_healed,
    ];
    let interop = [
        Test::new("keepalived_is_master_over_us", keepalived_is_master_over_us),
        Test::new("keepalived_is_backup_under_us", keepalived_is_backup_under_us),
        Test::new("both_families_of_one_instance_meet_a_sync_group", both_families_of_one_instance_meet_a_sync_group),
    ];
    let captured = [Test::new("gratuitous_arp_comes_five_times_and_again", gratuitous_arp_comes_five_times_and_again)];
    let interop = interop.map(|test| test.needs(&["keepalived"]));
    harness::main(plain.into_iter().chain(interop).chain(captured.map(|test| test.needs(&["tcpdump"]))))
}

/// An instance with VIP 10.7.0.100 and whatever else `more` says.
fn instance(priority: u8, more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{
            interface eth0
            virtual_router_id 51
            priority {priority}
            advert_int 1
            authentication {{
                auth_type PASS
                auth_pass secret
            }}
            virtual_ipaddress {{
                {VIP}/24
            }}
            {more}
        }}\n"
    )
}

/// A script that appends its arguments to `notify.log` beside it.
fn notify_script(daemon: &Daemon) {
    daemon.script("notify.sh", "#!/bin/sh\necho \"$@\" >> \"${0%/*}/notify.log\"\n");
}

fn the_higher_priority_is_elected() {
    let pair = Pair::new("election");
    let start = Instant::now();
    let (high, low) = (pair.start(0, &instance(150, "state MASTER")), pair.start(1, &instance(100, "")));
    await_address(&pair.directors[0], VIP, ELECTION);
    let took = start.elapsed();
    assert!(took > Duration::from_millis(3200) && took < Duration::from_millis(5000), "{took:?}");
    high.await_log("(VI_1) Entering MASTER STATE", SOON);
    low.await_log("(VI_1) Entering BACKUP STATE", SOON);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!pair.directors[1].has_address("eth0", VIP));
}

fn an_address_keeps_prefix_label_and_scope() {
    let pair = Pair::new("address");
    pair.directors[0].ip("link add name eth9 type veth peer name far").unwrap();
    pair.directors[0].ip("link set eth9 up").unwrap();
    pair.directors[0].ip("link set far up").unwrap();
    let config = instance(150, "").replace(
        &format!("{VIP}/24"),
        "10.7.0.100/24 dev eth0 label eth0:vip
         10.7.0.101 dev eth0 scope link
         10.70.0.1/28 dev eth9",
    );
    let mut daemon = pair.start(0, &config);
    await_address(&pair.directors[0], "10.7.0.101", ELECTION);
    let shown = pair.directors[0].run_checked("ip", "-4 addr show").unwrap();
    let line = |address: &str| shown.lines().find(|line| line.contains(address)).unwrap_or_default().trim().to_owned();
    assert!(line("10.7.0.100/24").contains("scope global secondary eth0:vip"), "{shown}");
    assert!(line("10.7.0.101/32").contains("scope link eth0"), "{shown}");
    assert!(line("10.70.0.1/28").contains("scope global eth9"), "{shown}");
    assert_eq!(daemon.stop(), 0);
    let shown = pair.directors[0].run_checked("ip", "-4 addr show").unwrap();
    assert!(!shown.contains("10.7.0.10") && !shown.contains("10.70.0.1"), "{shown}");
    assert!(shown.contains("10.7.0.11/24"), "{shown}");
}

fn a_killed_master_is_replaced_in_about_three_seconds() {
    let pair = Pair::new("killed");
    let (mut master, _backup) = (pair.start(0, &instance(150, "")), pair.start(1, &instance(100, "")));
    await_address(&pair.directors[0], VIP, ELECTION);
    std::thread::sleep(Duration::from_millis(1200));
    // A power cut: no last word on the wire.
    pair.set_port(0, "down");
    master.process().kill();
    let took = await_address(&pair.directors[1], VIP, ELECTION);
    assert!(took > Duration::from_millis(2400) && took < Duration::from_millis(4200), "{took:?}");
    let (target, limit) = (format!("{VIP}:9").parse().unwrap(), Duration::from_secs(1));
    let refused = pair.client.enter(|| std::net::TcpStream::connect_timeout(&target, limit)).unwrap();
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused, "the address does not answer");
}

fn a_stopped_master_hands_over_at_once() {
    let pair = Pair::new("stopped");
    let (mut master, backup) = (pair.start(0, &instance(150, "")), pair.start(1, &instance(100, "")));
    await_address(&pair.directors[0], VIP, ELECTION);
    backup.await_log("Entering BACKUP STATE", SOON);
    let start = Instant::now();
    assert_eq!(master.stop(), 0);
    await_no_address(&pair.directors[0], VIP, SOON);
    await_address(&pair.directors[1], VIP, SOON);
    // A skew time, 156/256 s, after the advert of priority 0.
    assert!(start.elapsed() < Duration::from_millis(2000), "{:?}", start.elapsed());
    master.launch();
    await_address(&pair.directors[0], VIP, ELECTION);
    await_no_address(&pair.directors[1], VIP, SOON);
}

fn nopreempt_leaves_the_address_where_it_is() {
    let pair = Pair::new("nopreempt");
    let _low = pair.start(1, &instance(100, ""));
    await_address(&pair.directors[1], VIP, ELECTION);
    let high = pair.start(0, &instance(150, "state BACKUP\nnopreempt"));
    high.await_log("Entering BACKUP STATE", SOON);
    std::thread::sleep(Duration::from_secs(5));
    assert!(pair.directors[1].has_address("eth0", VIP) && !pair.directors[0].has_address("eth0", VIP));
}

fn a_cut_cable_moves_the_address_and_notifies_fault() {
    let pair = Pair::new("cable");
    let config = instance(150, "track_interface {\neth0\n}\nnotify DIR/notify.sh");
    let high = Daemon::prepare(&pair.lab, &pair.directors[0], &config);
    notify_script(&high);
    let mut high = high;
    high.launch();
    let _low = pair.start(1, &instance(100, ""));
    await_address(&pair.directors[0], VIP, ELECTION);
    pair.set_port(0, "down");
    high.await_line("notify.log", "INSTANCE VI_1 FAULT 150", SOON);
    await_address(&pair.directors[1], VIP, ELECTION);
    await_no_address(&pair.directors[0], VIP, SOON);
    pair.set_port(0, "up");
    await_address(&pair.directors[0], VIP, ELECTION);
    await_no_address(&pair.directors[1], VIP, SOON);
}

/// `vrrp_script` "is the file DIR/well there", each second.
fn tracked(priority: u8, script: &str) -> String {
    format!("vrrp_script watch {{\n{script}\n}}\n{}", instance(priority, "track_script {\nwatch\n}"))
}

fn a_failing_script_lowers_the_priority() {
    let pair = Pair::new("weight");
    let script = "script \"/usr/bin/test -e DIR/well\"\ninterval 1\nweight -60\nfall 1\nrise 1";
    let mut high = Daemon::prepare(&pair.lab, &pair.directors[0], &tracked(150, script));
    std::fs::write(high.directory.join("well"), "").unwrap();
    high.launch();
    let _low = pair.start(1, &instance(100, ""));
    await_address(&pair.directors[0], VIP, ELECTION);
    std::fs::remove_file(high.directory.join("well")).unwrap();
    await_address(&pair.directors[1], VIP, ELECTION);
    await_no_address(&pair.directors[0], VIP, SOON);
    high.await_log("Changing effective priority from 150 to 90", SOON);
    std::fs::write(high.directory.join("well"), "").unwrap();
    await_address(&pair.directors[0], VIP, ELECTION);
    high.await_log("Changing effective priority from 90 to 150", SOON);
}

fn a_failing_script_without_weight_is_a_fault() {
    let pair = Pair::new("fault");
    let script = "script \"/usr/bin/test -e DIR/well\"\ninterval 1";
    let mut only = Daemon::prepare(&pair.lab, &pair.directors[0], &tracked(150, script));
    only.launch();
    only.await_log("VRRP_Script(watch) failed (exited with status 1)", SOON);
    std::thread::sleep(Duration::from_secs(4));
    assert!(!pair.directors[0].has_address("eth0", VIP));
    std::fs::write(only.directory.join("well"), "").unwrap();
    await_address(&pair.directors[0], VIP, ELECTION);
}

fn a_tracked_file_moves_the_address_and_back() {
    let pair = Pair::new("file");
    let file = "track_file tf {\n file DIR/value\n init_file 0\n}\n";
    let high = pair.start(0, &format!("{file}{}", instance(150, "track_file {\n tf\n }")));
    let low = pair.start(1, &instance(100, ""));
    await_address(&pair.directors[0], VIP, ELECTION);
    assert_eq!(high.lines("value"), ["0"]);
    std::fs::write(high.directory.join("value"), "-60\n").unwrap();
    high.await_log("(VI_1) Changing effective priority from 150 to 90", SOON);
    await_address(&pair.directors[1], VIP, ELECTION);
    std::fs::write(high.directory.join("value"), "10\n").unwrap();
    high.await_log("(VI_1) Changing effective priority from 90 to 160", SOON);
    await_address(&pair.directors[0], VIP, ELECTION);
    std::fs::write(high.directory.join("value"), "-254\n").unwrap();
    high.await_log("(VI_1) Entering FAULT STATE", SOON);
    await_address(&pair.directors[1], VIP, SOON);
    std::fs::remove_file(high.directory.join("value")).unwrap();
    high.await_log("(VI_1): tracked file tf leaving FAULT state", SOON);
    await_address(&pair.directors[0], VIP, ELECTION);
    low.await_log("(VI_1) Entering BACKUP STATE", SOON);
}

fn a_tracked_file_without_weight_is_a_fault() {
    let pair = Pair::new("fileflt");
    let file = |weight| format!("vrrp_track_file tf {{\n file DIR/value\n weight {weight}\n}}\n");
    let text = |weight| format!("{}{}", file(weight), instance(150, "track_file {\n tf\n }"));
    let mut daemon = Daemon::prepare(&pair.lab, &pair.directors[0], &text(0));
    std::fs::write(daemon.directory.join("value"), "1").unwrap();
    daemon.launch();
    daemon.await_log("(VI_1) entering FAULT state", SOON);
    std::fs::write(daemon.directory.join("value"), "0").unwrap();
    await_address(&pair.directors[0], VIP, ELECTION);
    std::fs::write(daemon.directory.join("value"), "20").unwrap();
    await_no_address(&pair.directors[0], VIP, SOON);
    daemon.configure(&text(1));
    daemon.signal(Signal::SIGHUP);
    await_address(&pair.directors[0], VIP, ELECTION);
}

fn a_tracked_process_moves_the_address_and_back() {
    let pair = Pair::new("process");
    let program = format!("sf-e2e-{}", std::process::id());
    let watch = format!("vrrp_track_process p {{\n process {program}\n weight 60\n}}\n");
    let low = pair.start(0, &format!("{watch}{}", instance(100, "track_process {\n p\n }")));
    let _high = pair.start(1, &instance(150, ""));
    await_address(&pair.directors[1], VIP, ELECTION);
    std::os::unix::fs::symlink("/bin/sleep", low.directory.join(&program)).unwrap();
    let mut command = pair.directors[0].command(low.directory.join(&program));
    let mut running = pair.directors[0].start_command(command.arg("60")).unwrap();
    low.await_log("(VI_1) Changing effective priority from 100 to 160", SOON);
    await_address(&pair.directors[0], VIP, ELECTION);
    running.kill();
    low.await_log("(VI_1) Changing effective priority from 160 to 100", SOON);
    await_address(&pair.directors[1], VIP, ELECTION);
}

/// An instance of version 3 with adverts signed by one of the keys.
fn signed(priority: u8, keys: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n version 3\n virtual_router_id 51\n priority {priority}\n advert_int 0.2\n \
         auth_hmac {{\n {keys}\n }}\n virtual_ipaddress {{\n {VIP}/24\n }}\n}}\n"
    )
}

fn signed_adverts_elect_one_master_and_survive_a_change_of_key() {
    let pair = Pair::new("signed");
    let (one, two) = ("1".repeat(32), "32".repeat(32));
    let mut low =
        Daemon::prepare(&pair.lab, &pair.directors[1], &signed(100, "key 1 file:DIR/key\n key 2 file:DIR/two"));
    std::fs::write(low.directory.join("key"), format!("{one}\n")).unwrap();
    std::fs::write(low.directory.join("two"), format!("hex:{two}\n")).unwrap();
    low.launch();
    let both = format!("key 1 {one}\n key 2 hex:{two}\n active_key");
    let mut high = pair.start(0, &signed(150, &format!("{both} 1")));
    await_address(&pair.directors[0], VIP, ELECTION);
    await_no_address(&pair.directors[1], VIP, SOON);
    let masters = low.log().matches("(VI_1) Entering MASTER STATE").count();
    high.configure(&signed(150, &format!("{both} 2")));
    high.signal(Signal::SIGHUP);
    high.await_log("Reload complete", SOON);
    std::thread::sleep(Duration::from_secs(3));
    assert!(pair.directors[0].has_address("eth0", VIP) && !pair.directors[1].has_address("eth0", VIP));
    assert_eq!(low.log().matches("(VI_1) Entering MASTER STATE").count(), masters);
    assert_eq!((high.stop(), low.stop()), (0, 0));
}

fn an_advert_signed_with_another_key_is_ignored() {
    let pair = Pair::new("unsigned");
    let key = |octet: &str| format!("key 1 {}", octet.repeat(32));
    let _high = pair.start(0, &signed(150, &key("a")));
    let _low = pair.start(1, &signed(100, &key("b")));
    await_address(&pair.directors[0], VIP, ELECTION);
    await_address(&pair.directors[1], VIP, ELECTION);
}

fn a_hanging_script_delays_no_advert() {
    let pair = Pair::new("hanging");
    let script = "script \"/bin/sleep 1000\"\ninterval 1\ntimeout 1\nweight -10";
    let mut high = Daemon::prepare(&pair.lab, &pair.directors[0], &tracked(150, script));
    high.launch();
    let low = pair.start(1, &instance(100, ""));
    await_address(&pair.directors[0], VIP, ELECTION);
    std::thread::sleep(Duration::from_secs(5));
    assert!(!low.log().contains("Entering MASTER STATE"), "{}", low.log());
    high.await_log("timed_out", SOON);
    let start = Instant::now();
    assert_eq!(high.stop(), 0);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let left = pair.directors[0].run_checked("ps", "-eo args").unwrap();
    assert!(!left.lines().any(|line| line == "/bin/sleep 1000"), "{left}");
}

fn notify_scripts_get_keepalived_s_arguments() {
    let pair = Pair::new("notify");
    let notify = "notify DIR/notify.sh
         notify_master \"DIR/notify.sh to-master 'two words'\"
         notify_backup \"DIR/notify.sh to-backup\"
         notify_stop \"DIR/notify.sh to-stop\"";
    let mut daemon = Daemon::prepare(&pair.lab, &pair.directors[0], &instance(150, notify));
    notify_script(&daemon);
    daemon.launch();
    for line in ["INSTANCE VI_1 BACKUP 150", "to-backup", "INSTANCE VI_1 MASTER 150", "to-master two words"] {
        daemon.await_line("notify.log", line, ELECTION);
    }
    assert_eq!(daemon.stop(), 0);
    for line in ["INSTANCE VI_1 STOP 150", "to-stop"] {
        daemon.await_line("notify.log", line, SOON);
    }
    assert_eq!(daemon.lines("notify.log").len(), 6, "{:?}", daemon.lines("notify.log"));
}

fn addresses_left_by_a_crash_are_removed() {
    let pair = Pair::new("crash");
    pair.directors[0].ip(&format!("addr add {VIP}/24 dev eth0")).unwrap();
    let _master = pair.start(1, &instance(150, ""));
    let backup = pair.start(0, &instance(100, ""));
    await_no_address(&pair.directors[0], VIP, SOON);
    backup.await_log("Entering BACKUP STATE", SOON);
    await_address(&pair.directors[1], VIP, ELECTION);
}

fn a_missing_script_is_reported_and_left_out() {
    let pair = Pair::new("missing");
    let only = pair.start(0, &tracked(150, "script \"/no/such/script\"\ninterval 1\nweight -60"));
    await_address(&pair.directors[0], VIP, ELECTION);
    assert!(only.log().contains("watch") && only.log().contains("/no/such/script"), "{}", only.log());
}

fn mails_tell_about_transitions() {
    let pair = Pair::new("mail");
    let sink = MailSink::start(&pair.client, "10.7.0.1:25").unwrap();
    let globals = "global_defs {
        notification_email {
            \"Ops Team <ops@example.net>\"
        }
        notification_email_from director@example.net
        smtp_server 10.7.0.1
        router_id LAB
    }\n";
    let mut daemon = pair.start(0, &(globals.to_owned() + &instance(150, "smtp_alert")));
    await_address(&pair.directors[0], VIP, ELECTION);
    let subject = "[LAB] VRRP Instance VI_1 - Entering MASTER state";
    standfast_labkit::eventually(SOON, "the mail", || sink.subjects().contains(&subject.to_owned()));
    let mail = sink.mails().into_iter().find(|mail| mail.header("Subject") == subject).unwrap();
    assert_eq!(mail.recipients, ["ops@example.net"]);
    assert_eq!(mail.body().trim(), "=> VRRP Instance is now owning VRRP VIPs <=");
    assert_eq!(daemon.stop(), 0);
    let stopping = "[LAB] VRRP Instance VI_1 - Stopping".to_owned();
    standfast_labkit::eventually(SOON, "the mail about the stop", || sink.subjects().contains(&stopping));
}

fn a_wrong_password_is_ignored() {
    let pair = Pair::new("password");
    let _one = pair.start(0, &instance(150, ""));
    let two = pair.start(1, &instance(100, "").replace("secret", "other"));
    await_address(&pair.directors[0], VIP, ELECTION);
    await_address(&pair.directors[1], VIP, ELECTION);
    two.await_log("received an invalid passwd!", SOON);
}

fn two_instances_share_the_load() {
    let pair = Pair::new("double");
    let second =
        |priority| instance(priority, "").replace("VI_1", "VI_2").replace("51", "52").replace(VIP, "10.7.0.200");
    let mut one = pair.start(0, &(instance(150, "") + &second(100)));
    let _two = pair.start(1, &(instance(100, "") + &second(150)));
    await_address(&pair.directors[0], VIP, ELECTION);
    await_address(&pair.directors[1], "10.7.0.200", ELECTION);
    assert!(!pair.directors[0].has_address("eth0", "10.7.0.200"));
    one.signal(Signal::SIGTERM);
    await_address(&pair.directors[1], VIP, ELECTION);
}

fn keepalived_is_master_over_us() {
    let pair = Pair::new("under");
    let mut theirs = Daemon::prepare(&pair.lab, &pair.directors[0], &instance(150, "")).with_program("keepalived");
    theirs.launch();
    let ours = pair.start(1, &instance(100, ""));
    await_address(&pair.directors[0], VIP, ELECTION);
    std::thread::sleep(Duration::from_secs(3));
    assert!(!ours.log().contains("Entering MASTER STATE"), "{}", ours.log());
    theirs.stop();
    let took = await_address(&pair.directors[1], VIP, SOON);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

fn keepalived_is_backup_under_us() {
    let pair = Pair::new("over");
    let mut theirs = Daemon::prepare(&pair.lab, &pair.directors[1], &instance(100, "")).with_program("keepalived");
    theirs.launch();
    let mut ours = pair.start(0, &instance(150, ""));
    await_address(&pair.directors[0], VIP, ELECTION);
    std::thread::sleep(Duration::from_secs(3));
    assert!(!theirs.log().contains("Entering MASTER STATE"), "{}", theirs.log());
    assert_eq!(ours.stop(), 0);
    await_address(&pair.directors[1], VIP, SOON);
    ours.launch();
    await_address(&pair.directors[0], VIP, ELECTION);
    await_no_address(&pair.directors[1], VIP, SOON);
}

fn gratuitous_arp_comes_five_times_and_again() {
    let pair = Pair::new("garp");
    let dump = pair.client.start("tcpdump", ["-l", "-n", "-tt", "-i", "eth0", "arp"]).unwrap();
    standfast_labkit::eventually(SOON, "tcpdump", || dump.output().contains("listening"));
    let _daemon = pair.start(0, &instance(150, "garp_master_delay 2"));
    await_address(&pair.directors[0], VIP, ELECTION);
    let wanted = format!("Request who-has {VIP} (ff:ff:ff:ff:ff:ff) tell {VIP}");
    let alternative = format!("Request who-has {VIP} tell {VIP}");
    let times = || -> Vec<f64> {
        let lines = dump.output();
        let seen = lines.lines().filter(|line| line.contains(&wanted) || line.contains(&alternative));
        seen.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
    };
    standfast_labkit::eventually(Duration::from_secs(4), "ten announcements", || times().len() >= 10);
    std::thread::sleep(Duration::from_secs(1));
    let times = times();
    assert_eq!(times.len(), 10, "{times:?}");
    assert!(times[4] - times[0] < 0.1 && times[9] - times[5] < 0.1, "{times:?}");
    assert!((times[5] - times[0] - 2.0).abs() < 0.3, "{times:?}");
}

/// Two masters that refuse each other's adverts; the end of one of them heals it.
fn a_split_brain_is_told_notified_and_healed() {
    let pair = Pair::new("split");
    let more = "split_brain_notify DIR/notify.sh\nsplit_brain_heal\nadvert_int 1";
    let one = Daemon::prepare(&pair.lab, &pair.directors[0], &instance(150, more));
    notify_script(&one);
    let mut one = one;
    one.launch();
    let mut two = pair.start(1, &instance(100, "").replace("secret", "other"));
    one.await_log(
        "Split brain: 10.7.0.12 is master, too, with priority 100, ours 150 (3 adverts)",
        ELECTION + ELECTION,
    );
    one.await_line("notify.log", "INSTANCE VI_1 10.7.0.12", SOON);
    two.stop();
    one.await_log("Split brain is over: 10.7.0.12 is silent", ELECTION);
    assert_eq!(one.lines("notify.log").len(), 1);
}

/// Our one instance of both families, and keepalived's two in a sync group.
fn both_families_of_one_instance_meet_a_sync_group() {
    let pair = Pair::new("dual");
    for (index, host) in pair.directors.iter().enumerate() {
        host.ip(&format!("addr add fd07::{}/64 dev eth0 nodad", index + 1)).unwrap();
    }
    let head = "interface eth0\n virtual_router_id 51\n version 3\n advert_int 0.5\n";
    let ours = format!(
        "vrrp_instance VI_1 {{\n{head} priority 150\n dual_stack\n virtual_ipaddress {{\n {VIP}/24\n fe80::100/64\n \
         fd07::100/64\n }}\n}}\n"
    );
    let theirs = format!(
        "vrrp_sync_group G {{\n group {{\n V4\n V6\n }}\n}}\nvrrp_instance V4 {{\n{head} priority 100\n virtual_ipaddress {{\n \
         {VIP}/24\n }}\n}}\nvrrp_instance V6 {{\n{head} priority 100\n virtual_ipaddress {{\n fe80::100/64\n \
         fd07::100/64\n }}\n}}\n"
    );
    let mut keepalived = Daemon::prepare(&pair.lab, &pair.directors[1], &theirs).with_program("keepalived");
    keepalived.launch();
    keepalived.await_log("(V6) Entering MASTER STATE", ELECTION);
    let mut one = pair.start(0, &ours);
    one.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    for address in [VIP, "fd07::100"] {
        await_address(&pair.directors[0], address, SOON);
        await_no_address(&pair.directors[1], address, SOON);
    }
    for refused in ["expected", "checksum", "not present", "mismatch"] {
        assert!(!keepalived.log().contains(refused), "{}", keepalived.log());
    }
    one.stop();
    for address in [VIP, "fd07::100"] {
        await_address(&pair.directors[1], address, SOON);
    }
    assert_eq!(one.log().matches("Entering MASTER STATE").count(), 1);
}
