//! ipvsadm's language against the real daemon, and strangers at its control socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

mod common;

use common::site::{Site, TCP_CHECK};
use common::{Daemon, SOON};
use nix::sys::signal::Signal;
use standfast::dataplane::Dataplane;
use standfast_labkit::servers::UdpResponder;
use standfast_labkit::{Finished, eventually, harness, tests};
use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

fn main() -> ExitCode {
    let carried = tests![what_the_kernel_carries_is_counted].map(|test| test.unless(Dataplane::lacks_for_offload));
    let rest = tests![
        the_pool_of_the_file_is_listed,
        a_service_made_by_hand_serves_and_survives_a_reload,
        a_service_made_by_hand_takes_what_the_file_says_of_it,
        a_daemon_without_services_takes_one,
        a_saved_table_is_restored,
        connections_and_counters_are_shown,
        what_tutorials_type_is_answered_by_links_of_its_name,
        every_recorded_command_has_its_recorded_answer,
        a_restored_table_stops_where_ipvsadm_s_does,
        strangers_at_the_socket_are_borne,
        without_a_daemon_it_says_so,
        a_kernel_without_ipvs_is_told_in_a_sentence,
        auto_forwards_with_or_without_the_kernels_ipvs,
    ];
    harness::main(rest.into_iter().chain(carried))
}

/// `standfast ipvsadm ...` beside the daemon.
fn ipvsadm(daemon: &Daemon, arguments: &str) -> Finished {
    client(daemon, &format!("ipvsadm {arguments}"))
}

fn client(daemon: &Daemon, arguments: &str) -> Finished {
    let mut command = daemon.host.command(common::program().0);
    command.args(arguments.split_whitespace()).env("STANDFAST_SOCKET", socket(daemon));
    daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap()
}

fn socket(daemon: &Daemon) -> std::path::PathBuf {
    daemon.directory.join("parent.sock")
}

/// What it prints when it succeeds.
#[track_caller]
fn shown(daemon: &Daemon, arguments: &str) -> String {
    let finished = ipvsadm(daemon, arguments);
    assert_eq!(finished.code(), 0, "ipvsadm {arguments}: {}", finished.output);
    finished.output
}

fn await_table(daemon: &Daemon, lines: &[&str]) {
    eventually(SOON, "the table", || {
        let table = ipvsadm(daemon, "-Ln").output;
        lines.iter().all(|line| table.lines().any(|shown| shown.trim_end() == *line))
    });
}

fn the_pool_of_the_file_is_listed() {
    let site = Site::nat("adm-list", 2);
    let _web = site.web_servers();
    let daemon = site.start(&site.service("wrr", "persistence_timeout 50", TCP_CHECK));
    await_table(
        &daemon,
        &[
            "IP Virtual Server version 1.2.1 (size=4096)",
            "TCP  10.7.0.100:80 wrr persistent 50",
            "  -> 10.8.0.21:80                 Masq    1      0          0",
            "  -> 10.8.0.22:80                 Masq    1      0          0",
        ],
    );
    assert_eq!(shown(&daemon, "-L --timeout"), "Timeout (tcp tcpfin udp): 900 120 300\n");
}

fn a_service_made_by_hand_serves_and_survives_a_reload() {
    let site = Site::nat("adm-hand", 1);
    let _web = site.web_servers();
    let config = site.service("rr", "", TCP_CHECK).replace(" 80 {\n delay_loop", " 81 {\n delay_loop");
    let mut daemon = site.start(&config);
    await_table(&daemon, &["TCP  10.7.0.100:81 rr"]);
    shown(&daemon, "-A -t 10.7.0.100:80 -s rr");
    shown(&daemon, "-a -t 10.7.0.100:80 -r 10.8.0.21 -m");
    site.await_tally(2, &[("web1", 2)]);
    let again = ipvsadm(&daemon, "-A -t 10.7.0.100:80 -s rr");
    assert_eq!((again.code(), again.output.as_str()), (255, "Service already exists\n"));
    daemon.signal(Signal::SIGHUP);
    daemon.await_log("Reload complete", SOON);
    site.await_tally(2, &[("web1", 2)]);
    shown(&daemon, "-D -t 10.7.0.100:80");
    let gone = ipvsadm(&daemon, "-D -t 10.7.0.100:80");
    assert_eq!((gone.code(), gone.output.as_str()), (255, "No such service\n"));
}

fn a_service_made_by_hand_takes_what_the_file_says_of_it() {
    let site = Site::nat("adm-both", 1);
    let _web = site.web_servers();
    let mut daemon = site.start("global_defs {\n router_id alone\n}\n");
    daemon.await_log("Startup complete", SOON);
    shown(&daemon, "-A -t 10.7.0.100:80 -s lc");
    shown(&daemon, "-a -t 10.7.0.100:80 -r 10.8.0.21 -m -w 7");
    shown(&daemon, "-a -t 10.7.0.100:80 -r 10.8.0.99 -m -w 0");
    daemon.configure(&site.service("wrr", "", TCP_CHECK));
    daemon.signal(Signal::SIGHUP);
    await_table(
        &daemon,
        &[
            "TCP  10.7.0.100:80 wrr",
            "  -> 10.8.0.21:80                 Masq    1      0          0",
            "  -> 10.8.0.99:80                 Masq    0      0          0",
        ],
    );
    site.await_tally(2, &[("web1", 2)]);
    assert!(!daemon.log().contains("refuses"), "{}", daemon.log());
}

fn a_daemon_without_services_takes_one() {
    let site = Site::dr("adm-first", 1);
    let _web = site.web_servers();
    let daemon = site.start("global_defs {\n router_id alone\n}\n");
    daemon.await_log("Startup complete", SOON);
    assert!(!shown(&daemon, "-Ln").contains("TCP"));
    shown(&daemon, "-A -t 10.7.0.100:80");
    shown(&daemon, "-a -t 10.7.0.100:80 -r 10.7.0.21");
    site.await_tally(2, &[("web1", 2)]);
}

fn a_saved_table_is_restored() {
    let site = Site::nat("adm-save", 2);
    let daemon = site.start(&site.service("rr", "", ""));
    let lines = "-A -t 10.7.0.100:80 -s rr\n-a -t 10.7.0.100:80 -r 10.8.0.21:80 -m -w 1\n-a -t 10.7.0.100:80 -r 10.8.0.22:80 -m -w 1\n";
    eventually(SOON, "the table", || ipvsadm(&daemon, "-S -n").output == lines);
    shown(&daemon, "-C");
    assert_eq!(shown(&daemon, "-S -n"), "");
    let file = daemon.directory.join("saved");
    std::fs::write(&file, lines).unwrap();
    let mut command = daemon.host.command(common::program().0);
    command.args(["ipvsadm", "-R"]).env("STANDFAST_SOCKET", socket(&daemon)).stdin(File::open(&file).unwrap());
    let restored = daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
    assert_eq!(restored.code(), 0, "{}", restored.output);
    assert_eq!(shown(&daemon, "-S -n"), lines);
}

fn connections_and_counters_are_shown() {
    let site = Site::nat("adm-stats", 1);
    let _web = site.web_servers();
    let daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(3, &[("web1", 3)]);
    let connections = shown(&daemon, "-Lnc");
    let entry = |line: &&str| line.starts_with("TCP 0") && line.contains(" TIME_WAIT   10.7.0.1:");
    assert!(connections.lines().filter(entry).count() >= 3, "{connections}");
    let count = |options: &str| -> u64 {
        let table = shown(&daemon, options);
        let line = table.lines().find(|line| line.starts_with("TCP  10.7.0.100:80")).unwrap().to_owned();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    assert!(count("-Ln --stats") >= 3);
    shown(&daemon, "-Z");
    assert_eq!(count("-Ln --stats --exact"), 0);
}

/// One conversation over UDP: mostly carried by the kernel, counted as if it were not, over a reload and until the daemon is killed.
fn what_the_kernel_carries_is_counted() {
    let site = Site::nat("adm-carry", 1);
    let _responder = UdpResponder::start(&site.servers[0], "0.0.0.0:53", "web1").unwrap();
    let config = "global_defs {\n lvs_offload SWITCH\n}\nvirtual_server 10.7.0.100 53 {\n lb_algo rr\n lb_kind NAT\n protocol UDP\n \
                  real_server 10.8.0.21 53 {\n }\n }\n";
    let socket = site.client.enter(|| UdpSocket::bind("10.7.0.1:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(SOON / 2)).unwrap();
    let ask = || socket.send_to(b"?", "10.7.0.100:53").is_ok() && socket.recv(&mut [0; 16]).is_ok();
    for (switch, said) in [("off", "The kernel carries no connections: lvs_offload is off"), ("on", CARRIES)] {
        let mut daemon = site.start(&config.replace("SWITCH", switch));
        daemon.await_log(said, SOON);
        eventually(SOON, "an answer", ask);
        shown(&daemon, "-Z");
        (0..100).for_each(|_| assert!(ask()));
        let counts = ["1", "100", "100", "2900", "3200"];
        assert_eq!(exact(&daemon)[1..], counts[1..], "{switch}");
        let status = client(&daemon, "status").output;
        assert_eq!(status.contains("; the kernel carried "), switch == "on", "{status}");
        daemon.configure(&config.replace("SWITCH", switch).replace("lb_algo rr", "lb_algo wlc"));
        daemon.signal(Signal::SIGHUP);
        daemon.await_log("Reload complete", SOON);
        (0..20).for_each(|_| assert!(ask()));
        assert_eq!(exact(&daemon)[1..3], ["120", "120"]);
        daemon.process().kill();
        assert!(!ask() && !ask(), "nothing carries for the dead");
    }
}

const CARRIES: &str = "The kernel carries the packets of established connections";

/// Connections, packets and bytes of the one service.
fn exact(daemon: &Daemon) -> Vec<String> {
    let table = shown(daemon, "-Ln --stats --exact");
    let line = table.lines().find(|line| line.starts_with("UDP  10.7.0.100:53")).unwrap();
    line.split_whitespace().skip(2).map(str::to_owned).collect()
}

/// Commands that the documents of LVS and keepalived type, with what they show.
const TYPED: &str = "\
$ ipvsadm -C
$ ipvsadm -L
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
$ ipvsadm -A -t 192.168.0.11:80 -s wrr; echo $?
0
$ ipvsadm -a -t 192.168.0.11:80 -r 192.168.1.12 -w 1 -m; echo $?
0
$ ipvsadm -a -t 192.168.0.11:80 -r 192.168.1.13 -w 2 -m; echo $?
0
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.168.0.11:80 wrr
  -> 192.168.1.12:80              Masq    1      0          0         
  -> 192.168.1.13:80              Masq    2      0          0         
$ ipvsadm-save -n > saved; cat saved
-A -t 192.168.0.11:80 -s wrr
-a -t 192.168.0.11:80 -r 192.168.1.12:80 -m -w 1
-a -t 192.168.0.11:80 -r 192.168.1.13:80 -m -w 2
$ ipvsadm --save -n | diff - saved && ipvsadm -C && ipvsadm -Sn | wc -l
0
$ ipvsadm -R < saved; ipvsadm-save -n | diff - saved
$ ipvsadm -E -t 192.168.0.11:80 -s rr; ipvsadm -e -t 192.168.0.11:80 -r 192.168.1.12 -g; ipvsadm -S -n
-A -t 192.168.0.11:80 -s rr
-a -t 192.168.0.11:80 -r 192.168.1.12:80 -g -w 1
-a -t 192.168.0.11:80 -r 192.168.1.13:80 -m -w 2
$ ipvsadm -Ln --stats
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.168.0.11:80                     0        0        0        0        0
  -> 192.168.1.12:80                     0        0        0        0        0
  -> 192.168.1.13:80                     0        0        0        0        0
$ ipvsadm -d -t 192.168.0.11:80 -r 192.168.1.12; ipvsadm -D -t 192.168.0.11:80; ipvsadm-restore < saved; ipvsadm --set 30 5 60; ipvsadm -L --timeout
Timeout (tcp tcpfin udp): 30 5 60
$ ipvsadm -Z; ipvsadm -lnc
IPVS connection entries
pro expire state       source             virtual            destination
$ ipvsadm | tail -2
  -> 192.168.1.12:http            Masq    1      0          0         
  -> 192.168.1.13:http            Masq    2      0          0         
";

fn what_tutorials_type_is_answered_by_links_of_its_name() {
    let site = Site::nat("adm-typed", 0);
    let daemon = site.start("global_defs {\n router_id alone\n}\n");
    daemon.await_log("Startup complete", SOON);
    for name in ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"] {
        std::os::unix::fs::symlink(common::program().0, daemon.directory.join(name)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", daemon.directory.display());
    for typed in TYPED.split("$ ").skip(1) {
        let (line, expected) = typed.split_once('\n').unwrap();
        let mut command = daemon.host.command("sh");
        command.args(["-c", line]).current_dir(&daemon.directory).env("PATH", &path);
        command.env("STANDFAST_SOCKET", socket(&daemon));
        let answer = daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
        assert_eq!(answer.output, expected, "{line}");
    }
}

/// A conversation with ipvsadm 1.31 and Linux 6.1, line by line: each command, its status unless that is 0, its output.
fn every_recorded_command_has_its_recorded_answer() {
    let site = Site::nat("adm-recorded", 0);
    let daemon = site.start("global_defs {\n router_id alone\n}\n");
    daemon.await_log("Startup complete", SOON);
    let recorded = include_str!("fixtures/ipvsadm/commands.txt");
    let mut wrong = Vec::new();
    for entry in recorded.split("# ipvsadm ").skip(1) {
        let (head, expected) = entry.split_once('\n').unwrap();
        let (command, code) = head.split_once("    -> exit ").unwrap_or((head, "0"));
        let (code, expected) = known_difference(command).unwrap_or_else(|| (code, here(expected)));
        let answer = ipvsadm(&daemon, command);
        let is_same = match command.contains("--nosort") {
            true => sorted(&answer.output) == sorted(&expected),
            false => answer.output == expected,
        };
        if answer.code().to_string() != code || !is_same {
            let difference = difference(&expected, &answer.output);
            wrong.push(format!("ipvsadm {command}: {code}, here {}\n{difference}", answer.code()));
        }
    }
    assert!(wrong.is_empty(), "{} answers are not as recorded:\n{}", wrong.len(), wrong.join("\n"));
}

/// Status and output of commands that `docs/ipvs-differences.md` speaks of.
fn known_difference(command: &str) -> Option<(&'static str, String)> {
    let said = match command {
        "-A -f 1 -s rr -6" => "Service already exists\n",
        "-A -t 10.0.0.100:81 -s rr -p 10 -M 255.0.255.0" => "the mask 255.0.255.0 has a gap; a prefix is needed\n",
        _ => return None,
    };
    Some(("255", said.to_owned()))
}

/// What is recorded, with the differences that `docs/ipvs-differences.md` speaks of.
fn here(recorded: &str) -> String {
    let one_mark_for_both_families = |line: &&str| !line.starts_with("FWM  1 IPv6") && !line.starts_with("-A -f 1 -6");
    let lines = recorded.lines().filter(one_mark_for_both_families).map(|line| {
        let line = line.replace("flag-2,flag-3", "flag-2").replace(" -f 2 -6 ", " -f 2 ");
        let line = line.replace("FWM  2 IPv6 rr", "FWM  2 rr").replace("FWM  2 IPv6", "FWM  2     ");
        let engine = if line.contains(" -p ") { "" } else { " --pe sip" };
        line.strip_suffix(engine).unwrap_or(&line).to_owned() + "\n"
    });
    lines.collect()
}

/// The order is that of a hash table.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn difference(expected: &str, found: &str) -> String {
    let gone =
        expected.lines().filter(|line| !found.lines().any(|other| other == *line)).map(|line| format!("- {line}\n"));
    let come =
        found.lines().filter(|line| !expected.lines().any(|other| other == *line)).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

/// What ipvsadm 1.31 makes of the same lines: a refusal of the table is told and the next line is read; a line that is none ends it.
fn a_restored_table_stops_where_ipvsadm_s_does() {
    let site = Site::nat("adm-restore", 0);
    let daemon = site.start("global_defs {\n router_id alone\n}\n");
    daemon.await_log("Startup complete", SOON);
    let restore = |lines: &str| {
        let file = daemon.directory.join("lines");
        std::fs::write(&file, lines).unwrap();
        let mut command = daemon.host.command(common::program().0);
        command.args(["ipvsadm", "-R"]).env("STANDFAST_SOCKET", socket(&daemon)).stdin(File::open(&file).unwrap());
        let ended = daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
        (ended.code(), ended.output)
    };
    let first = "-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.1.0.1:80 -m -w 1\n";
    assert_eq!(restore(first), (0, String::new()));
    assert_eq!(restore(first), (255, "Service already exists\nDestination already exists\n".to_owned()));
    let (code, output) = restore("-A -t 10.0.0.100:81 -s rr\nbogus line\n-A -t 10.0.0.100:82 -s rr\n");
    assert!(code == 255 && output.starts_with("Try `"), "{code} {output}");
    let (code, output) = restore("# comment\n\n-A -t 10.0.0.100:83 -s rr\n");
    assert!(code == 255 && output.starts_with("Try `"), "{code} {output}");
    let refused = "Scheduler or persistence engine not found\n".to_owned();
    assert_eq!(restore("-A -t 10.0.0.100:84 -s nosuch\n-A -t 10.0.0.100:85 -s rr\n"), (0, refused));
    let rest = "-A -t 10.0.0.100:81 -s rr\n-A -t 10.0.0.100:85 -s rr\n";
    assert_eq!(shown(&daemon, "-S -n"), format!("{first}{rest}"));
}

/// Half-open clients, garbage and endless lines: the socket is root's alone, and still answers.
fn strangers_at_the_socket_are_borne() {
    let site = Site::nat("adm-strangers", 1);
    let daemon = site.start(&site.service("rr", "", ""));
    await_table(&daemon, &["TCP  10.7.0.100:80 rr"]);
    let path = socket(&daemon);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let silent: Vec<UnixStream> = (0..8).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let ask = |line: &[u8]| -> String {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // The daemon may close before everything is written.
        let _ = stream.write_all(line);
        let mut reply = [0; 512];
        let length = stream.read(&mut reply).unwrap_or(0);
        String::from_utf8_lossy(&reply[..length]).into_owned()
    };
    assert!(ask(b"{]\n").contains("not a call"));
    assert!(ask(b"{\"version\":99,\"request\":\"services\"}\n").contains("version 1"));
    assert_eq!(ask(&vec![b'x'; 1 << 20]), "");
    assert!(ask(b"\xff\xfe\n").contains("not a call"));
    assert!(shown(&daemon, "-Ln").contains("10.7.0.100:80"));
    drop(silent);
}

fn without_a_daemon_it_says_so() {
    let site = Site::nat("adm-none", 0);
    let daemon = Daemon::prepare(&site.lab, &site.director, "");
    let refused = ipvsadm(&daemon, "-Ln");
    assert_eq!(refused.code(), 255);
    assert!(refused.output.contains("cannot reach the daemon") && refused.output.contains("is it running?"));
}

const NONE: &str = "this kernel has no IPVS (module ip_vs)";

/// The daemon with its service by this backend, and whether the kernel has IPVS.
fn by_backend(name: &str, backend: &str) -> (Site, Daemon, bool) {
    let site = Site::nat(name, 1);
    let config = format!("global_defs {{\n lvs_backend {backend}\n}}\n{}", site.service("rr", "", ""));
    let daemon = site.start(&config);
    daemon.await_log("Startup complete", SOON);
    let kernels = daemon.log().contains("Forwarding by the kernel's IPVS");
    assert!(kernels != daemon.log().contains(NONE), "{}", daemon.log());
    (site, daemon, kernels)
}

fn a_kernel_without_ipvs_is_told_in_a_sentence() {
    let (_site, mut daemon, kernels) = by_backend("adm-kernel", "kernel");
    if kernels {
        return await_table(&daemon, &["TCP  10.7.0.100:80 rr"]);
    }
    assert!(daemon.log().contains(&format!("Nothing will be forwarded: {NONE}; lvs_backend embedded needs none")));
    assert_eq!(shown(&daemon, "-Ln").lines().count(), 3, "an empty table");
    assert_eq!(ipvsadm(&daemon, "-A -t 10.7.0.100:81 -s rr").output, "No such service\n");
    daemon.signal(Signal::SIGTERM);
    daemon.await_log("Stopped Standfast", SOON);
}

fn auto_forwards_with_or_without_the_kernels_ipvs() {
    let (_site, daemon, _) = by_backend("adm-auto", "auto");
    await_table(&daemon, &["TCP  10.7.0.100:80 rr", "  -> 10.8.0.21:80                 Masq    1      0          0"]);
}
