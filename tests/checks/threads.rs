//! `checker_priority`, `checker_rt_priority`, `checker_cpu_affinity` and `checker_no_swap`, as the kernel shows them of the threads.

use crate::common::site::{NOTICED, Site, real_server};
use crate::common::{Daemon, SOON};
use standfast_labkit::{eventually, wait_until};
use std::fs;
use std::path::Path;

/// A thread: its name, nice value, policy, real-time priority and the processors that it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thread {
    name: String,
    nice: i32,
    policy: u32,
    realtime: u32,
    processors: String,
}

/// `SCHED_RR` of sched(7).
const ROUND_ROBIN: u32 = 2;

fn threads(daemon: &mut Daemon) -> Vec<Thread> {
    let tasks = format!("/proc/{}/task", daemon.process().pid());
    // A thread may end while it is looked at.
    fs::read_dir(tasks).unwrap().filter_map(|task| thread(&task.ok()?.path())).collect()
}

fn thread(task: &Path) -> Option<Thread> {
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    let (name, fields) = (name(&stat)?, stat.rsplit(')').next()?.split_whitespace().collect::<Vec<_>>());
    // Fields 19, 40 and 41 of proc_pid_stat(5); the first one behind the name is 3.
    let field = |number: usize| fields.get(number - 3);
    Some(Thread {
        name,
        nice: field(19)?.parse().ok()?,
        realtime: field(40)?.parse().ok()?,
        policy: field(41)?.parse().ok()?,
        processors: processors(&fs::read_to_string(task.join("status")).ok()?)?,
    })
}

fn name(stat: &str) -> Option<String> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned())
}

fn processors(status: &str) -> Option<String> {
    Some(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().to_owned())
}

/// The first processor that this test itself may use.
fn a_processor() -> String {
    let own = processors(&fs::read_to_string("/proc/self/status").unwrap()).unwrap();
    own.split([',', '-']).next().unwrap().to_owned()
}

fn started(site: &Site, globals: &str, check: &str) -> Daemon {
    let servers = real_server(&site.addresses[0], 1, check);
    let daemon = site.start(&format!("global_defs {{\n{globals}\n}}\n{}", site.service_of("rr", "", &servers)));
    daemon.await_log("Activating healthchecker", SOON);
    daemon
}

pub fn the_threads_of_checks_are_scheduled_as_told() {
    let site = Site::nat("threads", 1);
    let processor = a_processor();
    let globals = format!("script_user root\nchecker_priority 7\nchecker_cpu_affinity {processor}\nchecker_no_swap");
    let check = "MISC_CHECK {\n misc_path \"/bin/sh -c 'cat /proc/$$/stat /proc/$$/status > DIR/program'\"\n }";
    let mut daemon = started(&site, &globals, check);
    let told = |thread: &Thread| (thread.nice, thread.processors.as_str()) == (7, processor.as_str());
    eventually(SOON, "threads of the checks", || threads(&mut daemon).iter().any(|thread| thread.name == "checks"));
    let all = threads(&mut daemon);
    for thread in &all {
        // What the kernel does not grant VRRP is another nice value, but never this one.
        assert_eq!(told(thread), thread.name == "checks", "{thread:?} of {all:?}");
    }
    let program = daemon.config().with_file_name("program");
    let complete = || fs::read_to_string(&program).is_ok_and(|text| text.contains("nonvoluntary_ctxt_switches"));
    assert!(wait_until(NOTICED, complete).is_some(), "no program ran:\n{}", daemon.log());
    let text = fs::read_to_string(program).unwrap();
    let nice = text.rsplit(')').next().unwrap().split_whitespace().nth(19 - 3).unwrap();
    assert_eq!((nice, processors(&text) == processors(&fs::read_to_string("/proc/self/status").unwrap())), ("0", true));
    let locked = fs::read_to_string(format!("/proc/{}/status", daemon.process().pid())).unwrap();
    let locked = locked.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap().trim() != "0 kB";
    assert_ne!(locked, daemon.log().contains("Unable to set locked memory for health checks"), "{}", daemon.log());
}

pub fn checks_in_real_time_stay_below_vrrp() {
    let site = Site::nat("realtime", 1);
    let web = site.web_servers();
    let vrrp = "vrrp_instance V {\n interface eth0\n virtual_router_id 7\n virtual_ipaddress {\n 10.7.0.77\n }\n}\n";
    let globals = format!("checker_rt_priority 30\n}}\n{vrrp}global_defs {{");
    let mut daemon = started(&site, &globals, "TCP_CHECK {\n retry 0\n }");
    let realtime = |daemon: &mut Daemon, name: &str| {
        let thread = threads(daemon).into_iter().find(|thread| thread.name == name);
        thread.map(|thread| (thread.policy, thread.realtime))
    };
    eventually(SOON, "all threads", || ["checks", "vrrp"].iter().all(|name| realtime(&mut daemon, name).is_some()));
    let granted = Some((ROUND_ROBIN, 30));
    let reached = wait_until(SOON, || realtime(&mut daemon, "checks") == granted).is_some();
    assert_ne!(
        reached,
        daemon.log().contains("Unable to set real-time priority for health checks"),
        "{}",
        daemon.log()
    );
    if reached {
        assert_eq!(realtime(&mut daemon, "vrrp"), Some((ROUND_ROBIN, 32)));
    }
    drop(web);
    daemon.await_log("Removing service [10.8.0.21]:tcp:80", NOTICED);
}
