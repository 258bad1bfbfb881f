//! Scripts at the daemon's start and end, FIFOs and their owners, and what a reload tells their readers.

use crate::common::{Daemon, ELECTION, SOON, await_address};
use crate::{quick, two_legs};
use nix::sys::signal::Signal;
use standfast_labkit::harness::Test;
use standfast_labkit::{Lab, eventually, tests};
use std::os::unix::fs::MetadataExt as _;

pub fn tests() -> Vec<Test> {
    let [fifo_owner] = tests![a_fifo_belongs_to_the_user_that_is_named];
    let rest = tests![
        scripts_run_before_everything_and_after_everything,
        a_script_that_hangs_at_the_start_is_cut_short,
        a_reload_tells_the_readers_of_a_fifo_where_everything_stands,
        one_announcement_is_enough_with_min_garp,
    ];
    rest.into_iter().chain([fifo_owner.needs_root()]).collect()
}

const VIP: &str = " virtual_ipaddress {\n  10.7.0.100/24\n }";

fn scripts_run_before_everything_and_after_everything() {
    let lab = Lab::new("lifescripts").unwrap();
    let (host, _) = two_legs(&lab);
    let globals = "global_defs {\n script_user root\n startup_script \"DIR/note.sh startup\"\n \
                   shutdown_script \"DIR/note.sh shutdown\"\n}\n";
    let body = format!(" notify_master \"DIR/note.sh master\"\n notify_stop \"DIR/note.sh stop\"\n{VIP}");
    let mut daemon = Daemon::prepare(&lab, &host, &(globals.to_owned() + &quick("VI_1", 51, &body)));
    let notes = daemon.directory.join("notes");
    daemon.script("note.sh", &format!("#!/bin/sh\necho $1 >> {}\n", notes.display()));
    daemon.launch();
    daemon.await_line("notes", "master", ELECTION);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(daemon.lines("notes"), ["startup", "master", "stop", "shutdown"]);
}

fn a_script_that_hangs_at_the_start_is_cut_short() {
    let lab = Lab::new("hangingstart").unwrap();
    let (host, _) = two_legs(&lab);
    let globals = "global_defs {\n script_user root\n startup_script DIR/hang.sh\n startup_script_timeout 1\n}\n";
    let mut daemon = Daemon::prepare(&lab, &host, &(globals.to_owned() + &quick("VI_1", 51, VIP)));
    daemon.script("hang.sh", "#!/bin/sh\nexec sleep 1000\n");
    daemon.launch();
    await_address(&host, "10.7.0.100", ELECTION);
    daemon.await_log("timed out", SOON);
}

fn a_reload_tells_the_readers_of_a_fifo_where_everything_stands() {
    let lab = Lab::new("fiforeload").unwrap();
    let (host, _) = two_legs(&lab);
    let config =
        |more: &str| format!("global_defs {{\n vrrp_notify_fifo DIR/fifo\n{more}}}\n") + &quick("VI_1", 51, VIP);
    let mut daemon = Daemon::prepare(&lab, &host, &config(" fifo_write_vrrp_states_on_reload\n"));
    daemon.launch();
    let out = daemon.directory.join("out");
    let (fifo, records) = (daemon.directory.join("fifo"), || std::fs::read_to_string(&out).unwrap_or_default());
    eventually(SOON, "a FIFO", || fifo.exists());
    let copy = format!("cat {} > {}", fifo.display(), out.display());
    let _reader = host.start("sh", ["-c", copy.as_str()]).unwrap();
    let count = || records().matches("INSTANCE \"VI_1\" MASTER 200\n").count();
    eventually(ELECTION, "a record", || count() == 1);
    daemon.signal(Signal::SIGHUP);
    eventually(SOON, &format!("another record\n{}", records()), || count() == 2);
    daemon.configure(&config(""));
    daemon.signal(Signal::SIGHUP);
    eventually(SOON, "the reload", || daemon.log().matches("Reload complete").count() == 2);
    assert_eq!(count(), 2, "{}", records());
}

fn a_fifo_belongs_to_the_user_that_is_named() {
    let lab = Lab::new("fifouser").unwrap();
    let (host, _) = two_legs(&lab);
    let config = "global_defs {\n notify_fifo DIR/fifo daemon\n}\n".to_owned() + &quick("VI_1", 51, VIP);
    let mut daemon = Daemon::prepare(&lab, &host, &config);
    daemon.launch();
    let fifo = daemon.directory.join("fifo");
    eventually(SOON, "a FIFO", || fifo.metadata().is_ok_and(|metadata| metadata.uid() == 1 && metadata.gid() == 1));
    assert_eq!(daemon.stop(), 0);
    assert!(!fifo.exists());
}

fn one_announcement_is_enough_with_min_garp() {
    let lab = Lab::new("mingarp").unwrap();
    let (host, _) = two_legs(&lab);
    let config = "global_defs {\n vrrp_min_garp\n}\n".to_owned() + &quick("VI_1", 51, VIP);
    let daemon = Daemon::start(&lab, &host, &config);
    await_address(&host, "10.7.0.100", ELECTION);
    std::thread::sleep(SOON / 6);
    assert_eq!(daemon.log().matches("Sending gratuitous ARP on eth0 for 10.7.0.100").count(), 1, "{}", daemon.log());
}
