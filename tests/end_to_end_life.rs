//! The daemon's life: exit codes, pid files, signals, what it leaves behind, and bad surroundings.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

mod common;

use common::{Daemon, ELECTION, Pair, SOON, await_address, await_no_address};
use nix::sys::signal::Signal;
use standfast_labkit::harness::{self, Test};
use standfast_labkit::servers::MailSink;
use standfast_labkit::{Host, Lab, eventually, tests};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const VIP: &str = "10.7.0.100";

const CONFIG: &str = "vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {
        10.7.0.100/24
    }
}
virtual_server 10.7.0.100 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.7.0.21 80 {
        TCP_CHECK {
            connect_timeout 1
        }
    }
}
";

fn main() -> ExitCode {
    let plain = tests![
        config_test_is_silent_about_a_good_file,
        config_test_reports_an_error_with_code_5,
        config_test_of_a_missing_argument_gives_code_2,
        a_missing_interface_ends_with_code_2,
        a_missing_file_ends_with_code_6,
        an_unknown_option_ends_with_code_1,
        version_and_help_say_who_we_are,
        a_second_daemon_on_the_same_pid_file_refuses,
        the_pid_file_of_a_dead_daemon_is_no_obstacle,
        a_stop_leaves_nothing,
        a_kill_leaves_nothing_after_a_restart,
        signals_are_keepalived_s,
        a_reload_changes_what_changed_and_keeps_the_address,
        a_reload_of_a_broken_file_keeps_running,
        a_reload_of_half_a_file_or_none_keeps_running,
        a_reload_starts_and_ends_instances,
        a_hanging_stop_script_does_not_hold_the_daemon,
        scripts_end_with_a_killed_daemon,
        a_mail_at_stop_is_delivered,
        a_network_namespace_that_does_not_exist_ends_with_code_2,
        usr1_writes_the_state,
        files_are_where_the_configuration_says,
        the_log_says_what_becomes_of_a_reload_time,
        it_daemonises_and_writes_pid_files,
        without_rights_it_says_so,
        garbage_as_configuration_never_panics,
    ];
    harness::main(plain.map(|test: Test| test.needs(&["nft"])))
}

/// A host with `eth0`, 10.7.0.11/24, and its peer's end.
fn lone(lab: &Lab) -> Host {
    let (host, peer) = (lab.host("director1").unwrap(), lab.host("peer").unwrap());
    lab.cable(&host, "eth0", &peer, "eth0").unwrap();
    host.ip("addr add 10.7.0.11/24 dev eth0").unwrap();
    host
}

fn prepared(lab: &Lab, config: &str) -> Daemon {
    Daemon::prepare(lab, &lone(lab), config)
}

/// Rules, queueing disciplines and addresses that were not there before a daemon ran.
fn traces(host: &Host) -> String {
    let rules = host.run_checked("nft", "list ruleset").unwrap();
    let qdiscs = host.run_checked("tc", "qdisc show dev eth0").unwrap();
    let links = host.run_checked("ip", "-o link show").unwrap();
    let addresses = host.addresses("eth0").unwrap().into_iter().filter(|a| !a.starts_with("fe80")).collect::<Vec<_>>();
    let names: Vec<_> = links.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    format!("{rules}|{qdiscs}|{names:?}|{addresses:?}|{}", host.run_checked("ip", "rule show").unwrap())
}

fn config_test_is_silent_about_a_good_file() {
    let lab = Lab::new("good").unwrap();
    let daemon = prepared(&lab, CONFIG);
    let finished = daemon.run(&["-t", "-f", daemon.config().to_str().unwrap()]);
    assert_eq!((finished.code(), finished.output.as_str()), (0, ""));
}

fn config_test_reports_an_error_with_code_5() {
    let lab = Lab::new("bad").unwrap();
    let daemon = prepared(&lab, &CONFIG.replace("advert_int", "advert_intt"));
    let finished = daemon.run(&["--config-test", "-f", daemon.config().to_str().unwrap()]);
    assert_eq!(finished.code(), 5, "{}", finished.output);
    assert!(finished.output.contains("advert_intt"), "{}", finished.output);
}

fn config_test_of_a_missing_argument_gives_code_2() {
    let lab = Lab::new("argument").unwrap();
    let daemon = prepared(&lab, &CONFIG.replace("priority 150", "priority"));
    let finished = daemon.run(&["-t", "-f", daemon.config().to_str().unwrap()]);
    assert_eq!(finished.code(), 2, "{}", finished.output);
    assert!(finished.output.contains("priority"), "{}", finished.output);
}

/// Runs the usual way until it ends by itself.
fn exit_code(daemon: &mut Daemon) -> i32 {
    daemon.launch();
    let status = daemon.process().wait(ELECTION);
    status.unwrap_or_else(|| panic!("it still runs:\n{}", daemon.log())).code().unwrap_or(-1)
}

fn a_missing_interface_ends_with_code_2() {
    let lab = Lab::new("interface").unwrap();
    let mut daemon = prepared(&lab, &CONFIG.replace("interface eth0", "interface eth77"));
    assert_eq!(exit_code(&mut daemon), 2, "{}", daemon.log());
    assert!(daemon.log().contains("eth77"), "{}", daemon.log());
}

fn a_network_namespace_that_does_not_exist_ends_with_code_2() {
    let lab = Lab::new("netns").unwrap();
    let mut daemon = prepared(&lab, &format!("net_namespace nosuchns\n{CONFIG}"));
    assert_eq!(exit_code(&mut daemon), 2, "{}", daemon.log());
    assert!(daemon.log().contains("cannot enter network namespace nosuchns"), "{}", daemon.log());
}

fn a_missing_file_ends_with_code_6() {
    let lab = Lab::new("file").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    fs::remove_file(daemon.config()).unwrap();
    assert_eq!(exit_code(&mut daemon), 6, "{}", daemon.log());
    assert!(daemon.log().contains("keepalived.conf"), "{}", daemon.log());
}

fn an_unknown_option_ends_with_code_1() {
    let lab = Lab::new("option").unwrap();
    let finished = prepared(&lab, CONFIG).run(&["--no-such-option"]);
    assert_eq!(finished.code(), 1, "{}", finished.output);
    assert!(finished.output.contains("no-such-option"), "{}", finished.output);
}

fn version_and_help_say_who_we_are() {
    let lab = Lab::new("version").unwrap();
    let daemon = prepared(&lab, CONFIG);
    let (version, help) = (daemon.run(&["--version"]), daemon.run(&["--help"]));
    assert_eq!((version.code(), help.code()), (0, 0));
    assert!(version.output.contains(env!("CARGO_PKG_VERSION")), "{}", version.output);
    for option in ["--use-file", "--dont-fork", "--log-detail", "--config-test", "--vrrp_pid", "--signum"] {
        assert!(help.output.contains(option), "{option} is missing in:\n{}", help.output);
    }
}

fn a_second_daemon_on_the_same_pid_file_refuses() {
    let lab = Lab::new("second").unwrap();
    let host = lone(&lab);
    let mut first = Daemon::start(&lab, &host, CONFIG);
    await_address(&host, VIP, ELECTION);
    let mut second = Daemon::prepare(&lab, &host, CONFIG);
    second.launch();
    let status = second.process().wait(ELECTION);
    assert!(status.is_some(), "the second one runs:\n{}", second.log());
    assert!(second.log().contains("already running"), "{}", second.log());
    assert!(first.process().is_running() && host.has_address("eth0", VIP));
}

fn the_pid_file_of_a_dead_daemon_is_no_obstacle() {
    let lab = Lab::new("stale").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    fs::write(daemon.directory.join("parent.pid"), "999999\n").unwrap();
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    let written = daemon.lines("parent.pid");
    assert_eq!(written, [daemon.process().pid().to_string()]);
    assert_eq!(daemon.stop(), 0);
    assert!(!daemon.directory.join("parent.pid").exists());
}

fn a_stop_leaves_nothing() {
    let lab = Lab::new("stop").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    let before = traces(&daemon.host);
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(traces(&daemon.host), before);
    for name in ["parent.pid", "vrrp.pid", "checkers.pid"] {
        assert!(!daemon.directory.join(name).exists(), "{name}");
    }
}

fn a_kill_leaves_nothing_after_a_restart() {
    let lab = Lab::new("kill").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    let before = traces(&daemon.host);
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    daemon.process().kill();
    daemon.launch();
    await_no_address(&daemon.host, VIP, SOON);
    await_address(&daemon.host, VIP, ELECTION);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(traces(&daemon.host), before);
}

fn signals_are_keepalived_s() {
    let lab = Lab::new("signum").unwrap();
    let daemon = prepared(&lab, CONFIG);
    for (name, number) in [("STOP", Signal::SIGTERM), ("RELOAD", Signal::SIGHUP), ("DATA", Signal::SIGUSR1)] {
        let finished = daemon.run(&[&format!("--signum={name}")]);
        assert_eq!((finished.code(), finished.output.trim()), (0, (number as i32).to_string().as_str()));
    }
    let mut daemon = daemon;
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    daemon.signal(Signal::SIGINT);
    let status = daemon.process().wait(ELECTION).unwrap();
    assert_eq!(status.code(), Some(0));
    await_no_address(&daemon.host, VIP, SOON);
}

fn a_reload_changes_what_changed_and_keeps_the_address() {
    let pair = Pair::new("reload");
    let mut daemon = pair.start(0, CONFIG);
    let host = &pair.directors[0];
    await_address(host, VIP, ELECTION);
    let monitor = host.start("ip", ["monitor", "address"]).unwrap();
    daemon.configure(&CONFIG.replace("10.7.0.100/24\n", "10.7.0.100/24\n10.7.0.101/24\n"));
    daemon.signal(Signal::SIGHUP);
    await_address(host, "10.7.0.101", SOON);
    std::thread::sleep(Duration::from_secs(1));
    assert!(host.has_address("eth0", VIP));
    assert!(!monitor.output().contains(VIP), "the address was touched: {}", monitor.output());
    assert!(!daemon.log().contains("Entering FAULT"), "{}", daemon.log());
    assert!(daemon.process().is_running());
}

fn a_reload_of_a_broken_file_keeps_running() {
    let lab = Lab::new("broken").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    let before = daemon.log().len();
    daemon.configure(&CONFIG.replace("interface eth0", "interface eth77"));
    daemon.signal(Signal::SIGHUP);
    eventually(SOON, "a word about eth77", || daemon.log()[before..].contains("eth77"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(daemon.process().is_running() && daemon.host.has_address("eth0", VIP), "{}", daemon.log());
}

fn a_reload_of_half_a_file_or_none_keeps_running() {
    let lab = Lab::new("half").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    let half = &CONFIG[..CONFIG.find("virtual_ipaddress").unwrap()];
    for broken in [Some(half), Some(""), Some("this {\n a }\n}\n}\n"), None] {
        let before = daemon.log().len();
        match broken {
            Some(text) => daemon.configure(text),
            None => fs::remove_file(daemon.config()).unwrap(),
        }
        daemon.signal(Signal::SIGHUP);
        eventually(SOON, "a refusal", || daemon.log()[before..].contains("goes on unchanged"));
    }
    assert!(daemon.process().is_running() && daemon.host.has_address("eth0", VIP), "{}", daemon.log());
    assert_eq!(daemon.log().matches("removing VIPs").count(), 1, "{}", daemon.log());
    daemon.configure(CONFIG);
    daemon.signal(Signal::SIGHUP);
    daemon.await_log("Reload complete", SOON);
}

fn a_reload_starts_and_ends_instances() {
    let lab = Lab::new("instances").unwrap();
    let services = &CONFIG[CONFIG.find("virtual_server").unwrap()..];
    let mut daemon = prepared(&lab, services);
    daemon.launch();
    daemon.await_log("Startup complete", SOON);
    daemon.configure(CONFIG);
    daemon.signal(Signal::SIGHUP);
    await_address(&daemon.host, VIP, ELECTION);
    daemon.configure(services);
    daemon.signal(Signal::SIGHUP);
    await_no_address(&daemon.host, VIP, SOON);
    assert_eq!(daemon.stop(), 0);
}

fn a_hanging_stop_script_does_not_hold_the_daemon() {
    let lab = Lab::new("hang").unwrap();
    let mut daemon = prepared(&lab, &CONFIG.replace("priority 150", "priority 150\n notify_stop \"/bin/sleep 8\""));
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    let began = Instant::now();
    assert_eq!(daemon.stop(), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!daemon.host.has_address("eth0", VIP));
}

/// keepalived's scripts get SIGTERM when it dies.
fn scripts_end_with_a_killed_daemon() {
    let lab = Lab::new("orphan").unwrap();
    let script = lab.scratch().join("hang");
    let said = lab.scratch().join("said");
    let text = format!(
        "#!/bin/sh\ntrap 'echo ended >> {0}; exit' TERM\necho began >> {0}\nwhile :; do sleep 0.1; done\n",
        said.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let notify = format!("priority 150\n notify_master {}", script.display());
    let mut daemon = prepared(&lab, &CONFIG.replace("priority 150", &notify));
    daemon.launch();
    let says = |text: &str| fs::read_to_string(&said).is_ok_and(|said| said == text);
    eventually(ELECTION, "the script begins", || says("began\n"));
    daemon.process().kill();
    eventually(SOON, "the script ends", || says("began\nended\n"));
}

fn a_mail_at_stop_is_delivered() {
    let lab = Lab::new("farewell").unwrap();
    let host = lone(&lab);
    let sink = MailSink::start(&host, "127.0.0.1:2525").unwrap();
    let globals = "global_defs {
        router_id LAB
        notification_email {
            Ops Team <ops@example.net>
        }
        notification_email_from ka@example.net
        smtp_server 127.0.0.1 2525
    }\n";
    host.ip("link set lo up").unwrap();
    let text = globals.to_owned() + &CONFIG.replace("priority 150", "priority 150\n smtp_alert");
    let mut daemon = Daemon::start(&lab, &host, &text);
    await_address(&host, VIP, ELECTION);
    assert_eq!(daemon.stop(), 0);
    let subjects = sink.subjects();
    for tail in ["Entering BACKUP state", "Entering MASTER state", "Stopping"] {
        assert!(subjects.contains(&format!("[LAB] VRRP Instance VI_1 - {tail}")), "{tail}: {subjects:?}");
    }
    assert!(sink.mails().iter().all(|mail| mail.recipients == ["ops@example.net"]));
}

fn usr1_writes_the_state() {
    let lab = Lab::new("dump").unwrap();
    let mut daemon = prepared(&lab, CONFIG);
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    let _ = fs::remove_file("/tmp/keepalived.data");
    daemon.signal(Signal::SIGUSR1);
    let text = || fs::read_to_string("/tmp/keepalived.data").unwrap_or_default();
    eventually(SOON, "the dump", || text().contains("VRRP Instance = VI_1") && text().contains("State = MASTER"));
    fs::remove_file("/tmp/keepalived.data").unwrap();
}

const FILES: &str = "instance one
global_defs {
    umask 0077
    data_use_instance
    state_dump_file DIR/
    json_dump_file DIR/state.json
    json_version 2
    reload_time_file DIR/when
    reload_file DIR/reading
}
";

fn files_are_where_the_configuration_says() {
    let lab = Lab::new("files").unwrap();
    let mut daemon = prepared(&lab, &(FILES.to_owned() + CONFIG));
    daemon.launch();
    await_address(&daemon.host, VIP, ELECTION);
    let file = |name: &str| daemon.directory.join(name);
    assert_eq!(fs::metadata(file("parent.pid")).unwrap().permissions().mode() & 0o777, 0o600);
    let (data, json, when, reading) = (file("keepalived.one.data"), file("state.json"), file("when"), file("reading"));
    daemon.signal(Signal::SIGUSR1);
    eventually(SOON, "the dump", || fs::read_to_string(&data).is_ok_and(|text| text.contains("VRRP Sockpool")));
    let asked = daemon.run(&["--signum=JSON"]).output;
    let pid = daemon.process().pid();
    daemon.host.run_checked("kill", &format!("-{} {pid}", asked.trim())).unwrap();
    eventually(SOON, "the JSON", || fs::read_to_string(&json).is_ok_and(|text| text.starts_with("{\"vrrp\":[")));
    fs::write(&reading, "wait").unwrap();
    let soon = daemon.host.run("date", ["-u", "-d", "+2sec", "+%F %TZ"]).unwrap().output;
    fs::write(&when, soon).unwrap();
    daemon.await_log("Reload complete", ELECTION);
    eventually(SOON, "files that are done with", || !when.exists() && !reading.exists());
    assert_eq!(daemon.stop(), 0);
}

/// What is written into `reload_time_file`, and the lines that follow; `TIME` is what was written.
const RELOAD_TIMES: &[(&str, &[&str])] = &[
    ("nonsense", &["Reload date/time TIME invalid - ignoring", "Invalid reload time 'TIME' specified - ignoring"]),
    (
        "2037-11-21",
        &["Reload time TIME format is incorrect - ignoring", "Invalid reload time 'TIME' specified - ignoring"],
    ),
    (
        "2037-02-30 10:00:00",
        &["Reload time TIME is not valid - ignoring", "Invalid reload time 'TIME' specified - ignoring"],
    ),
    ("2037-02-03 10:00:00", &["Scheduling reload for TIME"]),
    ("2037-02-03 11:00:00", &["Reload time updated from 2037-02-03 10:00:00 to TIME"]),
    (
        "2001-02-03 10:00:00",
        &[
            "Reload time TIME is in the past - ignoring",
            "Reload date/time is in the past - ignoring",
            "Cancelling reload scheduled for 2037-02-03 11:00:00",
        ],
    ),
    ("37-02-03 12:00:00", &["Scheduling reload for 2037-02-03 12:00:00"]),
];

fn the_log_says_what_becomes_of_a_reload_time() {
    let lab = Lab::new("when").unwrap();
    let mut daemon = prepared(&lab, &("global_defs {\n reload_time_file DIR/when\n}\n".to_owned() + CONFIG));
    daemon.launch();
    daemon.await_log("Startup complete", ELECTION);
    let when = daemon.directory.join("when");
    for (time, lines) in RELOAD_TIMES {
        // Renamed into its place, as what is written there may be read twice.
        let aside = daemon.directory.join("aside");
        fs::write(&aside, format!("{time}\n")).unwrap();
        fs::rename(&aside, &when).unwrap();
        lines.iter().for_each(|line| daemon.await_log(&line.replace("TIME", time), SOON));
    }
    fs::remove_file(&when).unwrap();
    daemon.await_log("Cancelling reload scheduled for 2037-02-03 12:00:00", SOON);
    let expected: Vec<String> = RELOAD_TIMES
        .iter()
        .flat_map(|(time, lines)| lines.iter().map(move |line| line.replace("TIME", time)))
        .chain(["Cancelling reload scheduled for 2037-02-03 12:00:00".to_owned()])
        .collect();
    let log = daemon.log();
    let about = |line: &&str| {
        ["eload time", "eload date", "reload for", "reload scheduled"].iter().any(|part| line.contains(part))
    };
    let told: Vec<&str> = log
        .lines()
        .filter(about)
        .filter_map(|line| line.split_once(" 20")?.1.split_once(": "))
        .map(|(_, line)| line)
        .collect();
    assert_eq!(told, expected);
    assert_eq!(daemon.stop(), 0);
}

fn it_daemonises_and_writes_pid_files() {
    let lab = Lab::new("fork").unwrap();
    let daemon = prepared(&lab, CONFIG);
    let file = |name: &str| daemon.directory.join(name).display().to_string();
    let started = Instant::now();
    let finished = daemon.run(&["-f", &file("keepalived.conf"), "-p", &file("p"), "-r", &file("r"), "-c", &file("c")]);
    assert_eq!(finished.code(), 0, "{}", finished.output);
    assert!(started.elapsed() < SOON);
    await_address(&daemon.host, VIP, ELECTION);
    let pid: i32 = daemon.lines("p")[0].parse().unwrap();
    assert!(!daemon.lines("r").is_empty() && !daemon.lines("c").is_empty());
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    await_no_address(&daemon.host, VIP, ELECTION);
    eventually(ELECTION, "the end of the daemon", || !daemon.directory.join("p").exists());
}

fn without_rights_it_says_so() {
    let lab = Lab::new("rights").unwrap();
    let daemon = prepared(&lab, CONFIG);
    let program = common::program().0.display().to_string();
    let line = format!("setpriv --bounding-set=-all --inh-caps=-all --securebits=+noroot {program} -n -l -f $0");
    let config = daemon.config();
    let finished = daemon.host.run("sh", ["-c", &line, config.to_str().unwrap()]).unwrap();
    assert_ne!(finished.code(), 0, "{}", finished.output);
    let told = finished.output.to_lowercase();
    assert!(told.contains("cap_net") || told.contains("root") || told.contains("permi"), "{}", finished.output);
    assert!(!told.contains("panicked"), "{}", finished.output);
}

fn garbage_as_configuration_never_panics() {
    let lab = Lab::new("garbage").unwrap();
    let daemon = prepared(&lab, CONFIG);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = CONFIG.repeat(3).into_bytes();
    for round in 0..40 {
        for _ in 0..20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(state >> 33).unwrap() % bytes.len();
            bytes[place] = u8::try_from((state >> 17) & 0xff).unwrap();
        }
        fs::write(daemon.config(), &bytes).unwrap();
        let finished = daemon.run(&["-t", "-f", daemon.config().to_str().unwrap()]);
        let allowed = [0, 2, 4, 5, 6].contains(&finished.code());
        assert!(allowed && !finished.output.contains("panicked"), "round {round}: {}", finished.output);
    }
}
