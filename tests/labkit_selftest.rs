//! The lab itself: hosts reach each other, nothing leaks, processes die with their guard.

#![expect(clippy::unwrap_used, reason = "a test without the test attribute")]

use standfast_labkit::{Lab, eventually, harness, tests};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    harness::main(tests![
        hosts_reach_each_other_over_a_switch,
        a_socket_stays_in_its_host,
        a_sysctl_is_written_in_its_host_only,
        a_dropped_process_is_dead,
        a_failing_command_says_what_it_wrote,
        scratch_is_removed_with_the_lab,
    ])
}

fn hosts_reach_each_other_over_a_switch() {
    let lab = Lab::new("switch").unwrap();
    let switch = lab.switch("lan").unwrap();
    let hosts = ["a", "b", "c"].map(|name| lab.host(name).unwrap());
    for (number, host) in hosts.iter().enumerate() {
        switch.plug(host, "eth0").unwrap();
        host.ip(&format!("addr add 10.77.0.{}/24 dev eth0", number + 1)).unwrap();
    }
    let listener = hosts[1].enter(|| TcpListener::bind("10.77.0.2:80")).unwrap().unwrap();
    let client = hosts[2].enter(|| TcpStream::connect("10.77.0.2:80")).unwrap();
    client.unwrap().write_all(b"ping").unwrap();
    let mut heard = String::new();
    listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "ping");
}

fn a_socket_stays_in_its_host() {
    let lab = Lab::new("stay").unwrap();
    let (a, b) = (lab.host("a").unwrap(), lab.host("b").unwrap());
    lab.cable(&a, "ens33", &b, "enp0s8").unwrap();
    a.ip("addr add 10.78.0.1/30 dev ens33").unwrap();
    b.ip("addr add 10.78.0.2/30 dev enp0s8").unwrap();
    let listener = a.enter(|| TcpListener::bind("10.78.0.1:8080")).unwrap().unwrap();
    assert!(b.enter(|| TcpListener::bind("10.78.0.1:8080")).unwrap().is_err());
    let thread = b.spawn(|| TcpStream::connect("10.78.0.1:8080").map(drop)).unwrap();
    listener.accept().unwrap();
    thread.join().unwrap().unwrap().unwrap();
}

fn a_sysctl_is_written_in_its_host_only() {
    let lab = Lab::new("sysctl").unwrap();
    let (a, b) = (lab.host("a").unwrap(), lab.host("b").unwrap());
    a.sysctl("net.ipv4.ip_forward", "1").unwrap();
    b.sysctl("net.ipv4.ip_forward", "0").unwrap();
    let read = |host: &standfast_labkit::Host| {
        host.enter(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")).unwrap().unwrap()
    };
    assert_eq!((read(&a).trim(), read(&b).trim()), ("1", "0"));
    assert!(a.sysctl("net.ipv4.no_such", "1").unwrap_err().to_string().contains("no_such"));
}

fn a_dropped_process_is_dead() {
    let lab = Lab::new("drop").unwrap();
    let host = lab.host("a").unwrap();
    let mut process = host.start("sh", ["-c", "echo ready; exec sleep 60"]).unwrap();
    eventually(Duration::from_secs(5), "the first output", || process.output().contains("ready"));
    assert!(process.is_running());
    let entry = format!("/proc/{}", process.pid());
    drop(process);
    assert!(!std::path::Path::new(&entry).exists());
}

fn a_failing_command_says_what_it_wrote() {
    let lab = Lab::new("fail").unwrap();
    let host = lab.host("a").unwrap();
    let message = host.ip("link set nowhere up").unwrap_err().to_string();
    assert!(message.contains("nowhere") && message.contains("failed with code 1"), "{message}");
    assert_eq!(host.run("sh", ["-c", "exit 7"]).unwrap().code(), 7);
    assert!(host.start("no-such-program", [""; 0]).unwrap_err().to_string().contains("no-such-program"));
}

fn scratch_is_removed_with_the_lab() {
    let lab = Lab::new("scratch").unwrap();
    let path = lab.file("a.conf", "text").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    drop(lab);
    assert!(!path.exists());
}
