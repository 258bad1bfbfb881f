//! Connections told to another director: the daemons as ipvsadm and VRRP steer them, a failover, and strangers in the group.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

#[path = "../common/mod.rs"]
mod common;

mod crash;
mod keywords;
#[expect(dead_code, reason = "what the tests of VRRP look for is there, too")]
#[path = "../vrrp/wire.rs"]
mod wire;

use crash::{
    a_daemon_killed_on_a_living_host_breaks_nothing, an_orderly_end_leaves_nothing_and_a_kill_what_ends_by_itself,
    marked_services_are_silent_after_a_kill,
};
use keywords::{
    an_ipv6_group, at_once_can_be_switched_off, at_once_to_directors_of_this_kind,
    daemons_follow_the_instance_that_has_them, persistence_alone, retries_within_the_refresh_period,
    services_in_a_namespace_of_their_own, several_ports, the_line_of_the_daemon_says_where_and_how,
    the_refresh_period_spares_entries, threshold_and_period, version_0,
};

use common::{Daemon, ELECTION, SOON, plugged};
use nix::sys::signal::Signal;
use standfast_ipvs::sync::{Extension, Message, Seal, Stamp};
use standfast_labkit::{Host, Lab, eventually, harness, tests};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    harness::main(tests![
        connections_survive_their_director,
        signed_connections_survive_it_too,
        ipvsadm_starts_lists_and_stops_daemons,
        a_stranger_in_the_group_changes_nothing,
        with_a_key_only_signed_and_fresh_datagrams_count,
        a_flood_gets_its_share,
        a_daemon_killed_on_a_living_host_breaks_nothing,
        an_orderly_end_leaves_nothing_and_a_kill_what_ends_by_itself,
        marked_services_are_silent_after_a_kill,
        the_line_of_the_daemon_says_where_and_how,
        an_ipv6_group,
        threshold_and_period,
        the_refresh_period_spares_entries,
        retries_within_the_refresh_period,
        persistence_alone,
        several_ports,
        version_0,
        at_once_to_directors_of_this_kind,
        at_once_can_be_switched_off,
        daemons_follow_the_instance_that_has_them,
        services_in_a_namespace_of_their_own,
    ])
}

const VIP: &str = "10.7.0.100";
const BATCH: Duration = Duration::from_secs(8);

/// What ipvsadm prints beside a daemon, and its exit code.
fn ipvsadm(daemon: &Daemon, arguments: &str) -> (String, i32) {
    let mut command = daemon.host.command(common::program().0);
    let socket = daemon.directory.join("parent.sock");
    command.arg("ipvsadm").args(arguments.split_whitespace()).env("STANDFAST_SOCKET", socket);
    let finished = daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
    (finished.output.trim_end().to_owned(), finished.code())
}

/// Two directors between a client and a server that talks with whoever connects.
struct Site {
    client: Host,
    directors: [Daemon; 2],
    _lab: Lab,
}

impl Site {
    fn new(name: &str, globals: &str) -> Site {
        let lab = Lab::new(name).unwrap();
        let (front, back) = (lab.switch("front").unwrap(), lab.switch("back").unwrap());
        let client = plugged(&lab, &front, "client", "10.7.0.1/24").0;
        let directors = [1, 2].map(|number| {
            let host = plugged(&lab, &front, &format!("director{number}"), &format!("10.7.0.1{number}/24")).0;
            back.plug(&host, "eth1").unwrap();
            host.ip(&format!("addr add 10.8.0.1{number}/24 dev eth1")).unwrap();
            host.sysctl("net.ipv4.ip_forward", "1").unwrap();
            Daemon::start(&lab, &host, &configuration(200 - 50 * number, globals))
        });
        let server = lab.host("server").unwrap();
        back.plug(&server, "eth0").unwrap();
        server.ip("addr add 10.8.0.21/24 dev eth0").unwrap();
        server.ip("route add default via 10.8.0.1").unwrap();
        talk(&server);
        Site { client, directors, _lab: lab }
    }

    fn connect(&self, wish: u8) -> TcpStream {
        let mut stream = self.client.enter(|| TcpStream::connect((VIP, 80))).unwrap().unwrap();
        stream.set_read_timeout(Some(ELECTION * 3)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&[wish]).unwrap();
        stream
    }
}

fn configuration(priority: u32, globals: &str) -> String {
    let instance = |name: &str, interface: &str, number: u8, address: &str| {
        format!(
            "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {number}\n \
             priority {priority}\n advert_int 1\n virtual_ipaddress {{\n {address}/24\n }}\n}}\n"
        )
    };
    format!(
        "global_defs {{\n router_id r{priority}\n vrrp_version 3\n lvs_sync_daemon eth1 VI_1\n{globals}}}\n\
         vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n}}\n{}{}\
         virtual_server {VIP} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.8.0.21 80 {{\n }}\n}}\n",
        instance("VI_1", "eth0", 51, VIP),
        instance("VI_2", "eth1", 52, "10.8.0.1"),
    )
}

/// Port 80: a client that says `e` gets back what it says, one that says `s` gets bytes without end.
fn talk(server: &Host) {
    let listener = server.enter(|| TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0];
                let mut wish = |stream: &mut TcpStream| stream.read_exact(&mut buffer).map(|()| buffer[0]);
                match wish(&mut stream) {
                    Ok(b's') => {
                        while stream.write_all(&[7; 512]).is_ok() {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    }
                    _ => {
                        while let Ok(byte) = wish(&mut stream) {
                            if stream.write_all(&[byte]).is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
}

fn echo(stream: &mut TcpStream, byte: u8) {
    stream.write_all(&[byte]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [byte]);
}

fn connections_survive_their_director() {
    survive(Site::new("sync-failover", ""));
}

const KEY: &str = "a key of thirty-two octets, or more";

fn signed_connections_survive_it_too() {
    survive(Site::new("sync-signed", &format!(" lvs_sync_key \"{KEY}\"\n lvs_sync_ports 2\n")));
}

fn survive(mut site: Site) {
    site.directors[0].await_log("(VI_1) Entering MASTER STATE", ELECTION);
    let daemons = |daemon: &Daemon| ipvsadm(daemon, "-l --daemon").0;
    let rest = "sync daemon (mcast=eth1, syncid=51, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
    eventually(SOON, "the daemons of their states", || {
        daemons(&site.directors[0]) == format!("master {rest}")
            && daemons(&site.directors[1]) == format!("backup {rest}")
    });
    let (mut talk, mut stream) = (site.connect(b'e'), site.connect(b's'));
    (0..5).for_each(|byte| echo(&mut talk, byte));
    stream.read_exact(&mut [0; 4096]).unwrap();
    eventually(BATCH, "both connections on the backup", || {
        ipvsadm(&site.directors[1], "-Lnc").0.matches("ESTABLISHED 10.7.0.1:").count() == 2
    });
    let before = ipvsadm(&site.directors[1], "-Ln").0;
    assert!(before.contains("10.8.0.21:80                 Masq    1      2          0"), "{before}");
    // The whole machine dies, not the daemon alone.
    site.directors[0].host.ip("link set eth0 down").unwrap();
    site.directors[0].process().kill();
    stream.read_exact(&mut vec![0; 64 << 10]).unwrap();
    echo(&mut talk, 77);
    site.directors[1].await_log("Started the master sync daemon", SOON);
    // The first one returns and takes over again: whoever said nothing meanwhile has been told of, too.
    site.directors[0].host.ip("link set eth0 up").unwrap();
    site.directors[0].launch();
    site.directors[0].await_log("All connections of the other director have come", ELECTION);
    site.directors[0].await_log("(VI_1) Entering MASTER STATE", ELECTION);
    let log = site.directors[0].log();
    let [come, master] = ["All connections of the other", "(VI_1) Entering MASTER STATE"].map(|line| log.rfind(line));
    assert!(come < master, "it waits for the connections: {log}");
    echo(&mut talk, 78);
    stream.read_exact(&mut vec![0; 64 << 10]).unwrap();
    site.directors[0].await_log("Started the master sync daemon", SOON);
}

fn lonely(name: &str, globals: &str) -> (Lab, Host, Daemon) {
    let lab = Lab::new(name).unwrap();
    let switch = lab.switch("lan").unwrap();
    let stranger = plugged(&lab, &switch, "stranger", "10.7.0.2/24").0;
    let host = plugged(&lab, &switch, "director", "10.7.0.11/24").0;
    let config = format!(
        "global_defs {{\n{globals}}}\nvirtual_server 10.0.0.100 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         real_server 10.1.0.50 8080 {{\n }}\n}}\n"
    );
    let daemon = Daemon::start(&lab, &host, &config);
    daemon.await_log("Startup complete", SOON);
    (lab, stranger, daemon)
}

fn ipvsadm_starts_lists_and_stops_daemons() {
    let (_lab, _, daemon) = lonely("sync-adm", "");
    let asked = |arguments: &str| ipvsadm(&daemon, arguments);
    let refused = |text: &str| (text.to_owned(), 255);
    assert_eq!(asked("-l --daemon"), (String::new(), 0));
    assert_eq!(asked("--stop-daemon master"), refused("No daemon is running"));
    assert_eq!(asked("--start-daemon master"), refused("No such device"));
    assert_eq!(asked("--start-daemon master --mcast-interface nope"), refused("No such device"));
    assert_eq!(asked("--start-daemon master --mcast-interface eth0 --syncid 7"), (String::new(), 0));
    assert_eq!(asked("--start-daemon master --mcast-interface eth0"), refused("Daemon has already run"));
    let options = "--mcast-group 224.0.1.99 --mcast-port 9000 --mcast-ttl 5 --sync-maxlen 1000";
    assert_eq!(asked(&format!("--start-daemon backup --mcast-interface eth0 {options}")), (String::new(), 0));
    let both = "master sync daemon (mcast=eth0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n\
                backup sync daemon (mcast=eth0, syncid=0, maxlen=1000, group=224.0.1.99, port=9000, ttl=5)";
    assert_eq!(asked("-l --daemon"), (both.to_owned(), 0));
    assert_eq!(asked("--stop-daemon backup"), (String::new(), 0));
    let v6 = "--mcast-group ff02::51";
    assert_eq!(asked(&format!("--start-daemon backup --mcast-interface eth0 {v6}")), (String::new(), 0));
    assert!(asked("-l --daemon").0.ends_with("(mcast=eth0, syncid=0, maxlen=1452, group=ff02::51, port=8848, ttl=1)"));
    assert_eq!(asked("--stop-daemon master"), (String::new(), 0));
    assert_eq!(asked("--stop-daemon backup"), (String::new(), 0));
    assert_eq!(asked("-l --daemon"), (String::new(), 0));
}

/// A datagram as Linux sends it: one established connection.
const GOOD: &str = "0007002c010100000006002400000000000103e800501f9000000000000003840a0000320a0000640a010032";

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn a_stranger_in_the_group_changes_nothing() {
    let (_lab, stranger, mut daemon) = lonely("sync-strange", "");
    assert_eq!(ipvsadm(&daemon, "--start-daemon backup --mcast-interface eth0 --syncid 7").1, 0);
    stranger.ip("addr add 192.0.2.7/24 dev eth0").unwrap();
    let from = |address: &str| {
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        stranger
            .enter(|| UdpSocket::bind(address).and_then(|socket| socket.connect(("224.0.0.81", 8848)).map(|()| socket)))
            .unwrap()
    };
    stranger.ip("route add 224.0.0.0/4 dev eth0").unwrap();
    let (near, far, good) = (from("10.7.0.2").unwrap(), from("192.0.2.7").unwrap(), bytes_of(GOOD));
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    far.send(&good).unwrap();
    for bad in [changed(1, 8), changed(3, 45), changed(4, 2), changed(5, 9), changed(8, 9), good[..20].to_vec()] {
        near.send(&bad).unwrap();
    }
    near.send(&changed(17, 0x63)).unwrap();
    near.send(&bytes_of("0007000801010000")[..7]).unwrap();
    near.send(&good).unwrap();
    eventually(SOON, "the good one", || ipvsadm(&daemon, "-Lnc").0.contains("10.0.0.50:1000"));
    assert_eq!(ipvsadm(&daemon, "-Lnc").0.lines().count(), 3, "two lines of head");
    assert!(ipvsadm(&daemon, "-Ln").0.contains("10.1.0.50:8080               Masq    1      1          0"));
    daemon.await_log("datagrams of the sync group were not believed", SOON);
    daemon.signal(Signal::SIGTERM);
    daemon.await_log("Sync daemons stopped: ", SOON);
    let log = daemon.log();
    assert!(log.contains("10 received (1 from foreign networks") && log.contains("1 entries unsupported"), "{log}");
}

/// What `standfast status` says of the daemons.
fn figures(daemon: &Daemon) -> String {
    let mut command = daemon.host.command(common::program().0);
    command.arg("status").env("STANDFAST_SOCKET", daemon.directory.join("parent.sock"));
    let finished = daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
    finished.output.lines().find(|line| line.starts_with("Sync: ")).unwrap_or_default().to_owned()
}

/// A socket of the neighbour that speaks to the group.
fn speaker(stranger: &Host) -> UdpSocket {
    stranger.ip("route add 224.0.0.0/4 dev eth0").unwrap();
    let socket = stranger.enter(|| UdpSocket::bind("10.7.0.2:0")).unwrap().unwrap();
    socket.connect(("224.0.0.81", 8848)).unwrap();
    socket
}

/// The number that the receiving daemon has drawn, from what it says each second.
fn number_heard(stranger: &Host) -> u64 {
    let socket = stranger.enter(|| UdpSocket::bind("0.0.0.0:8848")).unwrap().unwrap();
    socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 81), &Ipv4Addr::new(10, 7, 0, 2)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut buffer = [0; 2000];
    let length = socket.recv(&mut buffer).unwrap();
    let datagram = &buffer[..length];
    let message = Message::parse(datagram).unwrap();
    Seal::new(KEY.as_bytes()).unwrap().open(datagram, &message).unwrap();
    match Extension::parse(message.extension) {
        Some(Extension::Hello { daemon, .. }) => daemon,
        other => panic!("{other:?}"),
    }
}

fn with_a_key_only_signed_and_fresh_datagrams_count() {
    let (_lab, stranger, daemon) = lonely("sync-key", &format!(" lvs_sync_key \"{KEY}\"\n"));
    assert_eq!(ipvsadm(&daemon, "--start-daemon backup --mcast-interface eth0 --syncid 7").1, 0);
    let (near, number) = (speaker(&stranger), number_heard(&stranger));
    let sealed = |port: u16, key: &str, session, sequence, hearer| {
        let mut datagram = bytes_of(GOOD);
        datagram[18..20].copy_from_slice(&port.to_be_bytes());
        let stamp = Stamp { session, sequence, hearers: [hearer, 0, 0, 0] };
        Seal::new(key.as_bytes()).unwrap().close(&mut datagram, &stamp);
        datagram
    };
    let genuine = sealed(1001, KEY, 5, 1, number);
    near.send(&bytes_of(GOOD)).unwrap();
    near.send(&sealed(1002, "another key that has many octets...", 5, 2, number)).unwrap();
    near.send(&sealed(1003, KEY, 5, 3, number ^ 1)).unwrap();
    near.send(&genuine).unwrap();
    near.send(&genuine).unwrap();
    near.send(&sealed(1004, KEY, 5, 4, number)).unwrap();
    eventually(SOON, "the last one", || ipvsadm(&daemon, "-Lnc").0.contains("10.0.0.50:1004"));
    let connections = ipvsadm(&daemon, "-Lnc").0;
    assert!(connections.contains("10.0.0.50:1001") && connections.lines().count() == 4, "{connections}");
    let shown = figures(&daemon);
    for part in ["Sync: receives;", "1 not signed", "1 wrongly signed", "1 signed for another daemon", "1 a replay"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

fn a_flood_gets_its_share() {
    let (_lab, stranger, daemon) = lonely("sync-flood", "");
    assert_eq!(ipvsadm(&daemon, "--start-daemon backup --mcast-interface eth0 --syncid 7").1, 0);
    let (near, start) = (speaker(&stranger), Instant::now());
    let mut bad = bytes_of(GOOD);
    bad[5] = 9;
    for _ in 0..100_000 {
        // What the link does not take is none that the daemon sees.
        let _ = near.send(&bad);
    }
    let good = bytes_of(GOOD);
    eventually(ELECTION, "a good one after the flood", || {
        near.send(&good).unwrap();
        ipvsadm(&daemon, "-Lnc").0.contains("10.0.0.50:1000")
    });
    let shown = figures(&daemon);
    let received: u64 =
        shown.split(" entries, ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    // 250 in a slot of 10 ms, the slots that began before and end after, and what came by one call with the last of them.
    let most = (start.elapsed().as_millis() as u64 / 10 + 2) * 250 + 4096;
    assert!(received > 1000 && received <= most, "{received} received, at most {most}: {shown}");
    assert!(shown.contains("of an unknown version"), "{shown}");
}
