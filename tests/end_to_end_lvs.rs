//! Forwarding and checkers by the real daemon in namespaces: who answers the client.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

mod common;

use common::site::{NOTICED, Site, TCP_CHECK, VIP, http_check, real_server};
use common::{Daemon, SOON};
use standfast_labkit::servers::{Behaviour, MailSink, UdpResponder, WebServer, http_get};
use standfast_labkit::{eventually, harness, tests};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// MD5 of `web1` and of `web2`.
const DIGESTS: [&str; 2] = ["e694aa37abf20c91a442da4841aeccdf", "bbddbd575d47c5d8a629979213e34add"];

fn main() -> ExitCode {
    harness::main(tests![
        nat_shares_requests_in_turn,
        dr_shares_requests_in_turn,
        weights_share_three_to_one,
        source_hashing_keeps_a_client_on_one_server,
        persistence_keeps_a_client_on_one_server,
        nat_carries_megabytes_both_ways,
        udp_is_shared_too,
        the_host_itself_never_answers_for_a_service,
        other_ports_of_the_address_are_the_host_s,
        a_reload_keeps_connections,
        settings_by_the_kernels_names_count_at_once,
        net_admin_and_net_raw_are_rights_enough,
        a_refusing_server_leaves_and_returns,
        a_wrong_status_removes_a_server,
        a_wrong_digest_removes_a_server,
        every_url_must_be_right,
        a_misc_check_sets_the_weight,
        inhibit_keeps_the_server_without_requests,
        a_local_sorry_server_answers_when_none_is_left,
        a_remote_sorry_server_answers_when_none_is_left,
        notify_and_quorum_scripts_run,
        a_server_that_sends_garbage_leaves,
        a_server_that_drips_or_hangs_leaves,
        mails_tell_about_servers,
        a_hanging_mail_server_costs_nothing,
    ])
}

fn nat_shares_requests_in_turn() {
    let site = Site::nat("nat", 2);
    let _web = site.web_servers();
    let _daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(10, &[("web1", 5), ("web2", 5)]);
}

fn dr_shares_requests_in_turn() {
    let site = Site::dr("dr", 2);
    let _web = site.web_servers();
    let _daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(10, &[("web1", 5), ("web2", 5)]);
}

fn weights_share_three_to_one() {
    let site = Site::dr("wrr", 2);
    let _web = site.web_servers();
    let servers = real_server("10.7.0.21", 3, TCP_CHECK) + &real_server("10.7.0.22", 1, TCP_CHECK);
    let _daemon = site.start(&site.service_of("wrr", "", &servers));
    site.await_tally(12, &[("web1", 9), ("web2", 3)]);
}

fn source_hashing_keeps_a_client_on_one_server() {
    let site = Site::nat("sh", 2);
    let _web = site.web_servers();
    let _daemon = site.start(&site.service("sh", "", TCP_CHECK));
    all_by_one(&site);
}

fn persistence_keeps_a_client_on_one_server() {
    let site = Site::nat("persistence", 2);
    let _web = site.web_servers();
    let _daemon = site.start(&site.service("rr", "persistence_timeout 50", TCP_CHECK));
    all_by_one(&site);
}

fn all_by_one(site: &Site) {
    eventually(NOTICED, "an answer", || site.ask().is_ok());
    let tally = site.tally(8);
    assert!(tally.len() == 1 && (tally.contains_key("web1") || tally.contains_key("web2")), "{tally:?}");
}

fn nat_carries_megabytes_both_ways() {
    let site = Site::nat("bulk", 1);
    let web = site.web_servers();
    let body: String = (0..600_000).map(|n| format!("{n:08}")).collect();
    web[0].set(Behaviour::pages(&[("/", 200, &body)]));
    let _daemon = site.start(&site.service("rr", "", TCP_CHECK));
    eventually(NOTICED, "an answer", || site.ask().is_ok());
    assert!(site.ask().unwrap() == body, "the body came through damaged");
    let long = format!("/{}", "x".repeat(200_000));
    web[0].set(Behaviour::pages(&[(&long, 200, "long path")]));
    let target = SocketAddr::new(VIP.parse().unwrap(), 80);
    assert_eq!(http_get(&site.client, target, &long, SOON).unwrap(), (200, "long path".into()));
}

fn udp_is_shared_too() {
    let site = Site::nat("udp", 2);
    let _responders: Vec<_> =
        site.servers.iter().map(|host| UdpResponder::start(host, "0.0.0.0:53", host.name()).unwrap()).collect();
    let config = format!(
        "virtual_server {VIP} 53 {{\n lb_algo rr\n lb_kind NAT\n protocol UDP\n
            real_server 10.8.0.21 53 {{\n }}\n real_server 10.8.0.22 53 {{\n }}\n }}\n"
    );
    let _daemon = site.start(&config);
    let ask = || -> Option<String> {
        let socket = site.client.enter(|| UdpSocket::bind("10.7.0.1:0")).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.send_to(b"?", (VIP, 53)).unwrap();
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        assert_eq!(from, SocketAddr::new(VIP.parse().unwrap(), 53));
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    eventually(NOTICED, "an answer", || ask().is_some());
    let answers: Vec<_> = (0..4).map(|_| ask().unwrap()).collect();
    assert!(answers[0] != answers[1] && answers[0] == answers[2] && answers[1] == answers[3], "{answers:?}");
}

fn the_host_itself_never_answers_for_a_service() {
    let site = Site::nat("claim", 1);
    let own = WebServer::start(&site.director, "0.0.0.0:80", Behaviour::Text("the director itself".into())).unwrap();
    let web = site.web_server(0);
    let daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(5, &[("web1", 5)]);
    let before = own.requests();
    drop(web);
    daemon.await_log("Removing service [10.8.0.21]:tcp:80 from VS [10.7.0.100]:tcp:80", NOTICED);
    assert!(!site.tally(5).contains_key("the director itself"));
    assert_eq!(own.requests(), before);
}

fn other_ports_of_the_address_are_the_host_s() {
    let site = Site::nat("ports", 1);
    let _web = site.web_servers();
    let _own = WebServer::start(&site.director, "0.0.0.0:8080", Behaviour::Text("director".into())).unwrap();
    let _daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(3, &[("web1", 3)]);
    let target = SocketAddr::new(VIP.parse().unwrap(), 8080);
    assert_eq!(http_get(&site.client, target, "/", SOON).unwrap().1, "director");
    site.client.run_checked("ping", &format!("-c 1 -W 2 {VIP}")).unwrap();
}

fn a_reload_keeps_connections() {
    let site = Site::nat("reload", 2);
    let web = site.web_servers();
    let config = site.service("rr", "", TCP_CHECK);
    let mut daemon = site.start(&config);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    web.iter().for_each(|server| server.set(Behaviour::Drip));
    let before = web.iter().map(WebServer::requests).sum::<u64>();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| site.ask());
        eventually(SOON, "the slow request", || web.iter().map(WebServer::requests).sum::<u64>() > before);
        daemon.configure(&config.replace("lb_algo rr", "lb_algo wlc").replace("weight 1", "weight 5"));
        daemon.signal(nix::sys::signal::Signal::SIGHUP);
        assert_eq!(slow.join().unwrap().unwrap(), "slow");
    });
    daemon.await_log("Reloading", SOON);
}

/// What `sysctl net.ipv4.vs` is for the kernel's IPVS.
fn settings_by_the_kernels_names_count_at_once() {
    let site = Site::nat("sysctl", 1);
    let _web = site.web_servers();
    let config = site.service("rr", "", TCP_CHECK);
    let mut daemon = site.start(&config);
    eventually(NOTICED, "an answer", || site.ask().is_ok());
    let mut reload = |globals: &str| {
        daemon.configure(&format!("{globals}{config}"));
        daemon.signal(nix::sys::signal::Signal::SIGHUP);
    };
    reload("global_defs {\n lvs_sysctl drop_packet 3 am_droprate 1\n}\n");
    eventually(NOTICED, "each connection to be dropped", || site.ask().is_err());
    reload("");
    eventually(NOTICED, "an answer again", || site.ask().is_ok());
}

fn net_admin_and_net_raw_are_rights_enough() {
    let site = Site::nat("rights", 2);
    let _web = site.web_servers();
    let config = site.lab.file("rights.conf", &site.service("rr", "", TCP_CHECK)).unwrap();
    let pid = site.lab.scratch().join("pid");
    let (program, first) = common::program();
    let mut command = site.director.command("setpriv");
    command.args(["--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all"]).arg(program).args(first);
    command.args(["-n", "-l", "-f"]).arg(config).arg("-p").arg(&pid).arg("-c").arg(pid.with_extension("c"));
    let _daemon = site.director.start_command(&mut command).unwrap();
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn a_refusing_server_leaves_and_returns() {
    let site = Site::nat("refusing", 2);
    let mut web = site.web_servers();
    let daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    drop(web.remove(0));
    daemon.await_log("Removing service [10.8.0.21]:tcp:80 from VS [10.7.0.100]:tcp:80", NOTICED);
    site.await_tally(4, &[("web2", 4)]);
    web.push(site.web_server(0));
    daemon.await_log("Adding service [10.8.0.21]:tcp:80 to VS [10.7.0.100]:tcp:80", NOTICED);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn a_wrong_status_removes_a_server() {
    let site = Site::dr("status", 2);
    let web = site.web_servers();
    let _daemon = site.start(&site.service("rr", "", &http_check("path /health\nstatus_code 200")));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    web[0].set(Behaviour::pages(&[("/health", 503, ""), ("/", 200, "web1")]));
    site.await_tally(4, &[("web2", 4)]);
    web[0].set(Behaviour::pages(&[("/health", 200, ""), ("/", 200, "web1")]));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn a_wrong_digest_removes_a_server() {
    let site = Site::dr("digest", 2);
    let web = site.web_servers();
    for (server, name) in web.iter().zip(["web1", "web2"]) {
        server.set(Behaviour::pages(&[("/", 200, name)]));
    }
    let server = |index: usize| {
        let check = http_check(&format!("path /\ndigest {}", DIGESTS[index]));
        real_server(&site.addresses[index], 1, &check)
    };
    let _daemon = site.start(&site.service_of("rr", "", &(server(0) + &server(1))));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    std::thread::sleep(Duration::from_secs(3));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    web[1].set(Behaviour::pages(&[("/", 200, "web2 defaced")]));
    site.await_tally(4, &[("web1", 4)]);
}

fn every_url_must_be_right() {
    let site = Site::nat("urls", 2);
    let web = site.web_servers();
    let check = http_check("path /one\nstatus_code 200\n}\nurl {\npath /two\nstatus_code 204");
    let pages = |name: &str, two: u16| Behaviour::pages(&[("/one", 200, "one"), ("/two", two, ""), ("/", 200, name)]);
    web[0].set(pages("web1", 204));
    web[1].set(pages("web2", 204));
    let _daemon = site.start(&site.service("rr", "", &check));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    std::thread::sleep(Duration::from_secs(3));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    web[1].set(pages("web2", 200));
    site.await_tally(4, &[("web1", 4)]);
}

fn a_misc_check_sets_the_weight() {
    let site = Site::nat("misc", 2);
    let _web = site.web_servers();
    let check = |name: &str| format!("MISC_CHECK {{\n misc_path \"DIR/check.sh {name}\"\n misc_dynamic\n }}");
    let servers = real_server("10.8.0.21", 1, &check("one")) + &real_server("10.8.0.22", 1, &check("two"));
    let mut daemon = Daemon::prepare(&site.lab, &site.director, &site.service_of("wrr", "", &servers));
    daemon.script("check.sh", "#!/bin/sh\nexit \"$(cat \"${0%/*}/$1\")\"\n");
    let set = |name: &str, code: u8| std::fs::write(daemon.directory.join(name), code.to_string()).unwrap();
    set("one", 5);
    set("two", 3);
    daemon.launch();
    site.await_tally(8, &[("web1", 6), ("web2", 2)]);
    std::fs::write(daemon.directory.join("one"), "1").unwrap();
    site.await_tally(4, &[("web2", 4)]);
    std::fs::write(daemon.directory.join("one"), "3").unwrap();
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn inhibit_keeps_the_server_without_requests() {
    let site = Site::nat("inhibit", 2);
    let mut web = site.web_servers();
    let daemon = site.start(&site.service("rr", "", &format!("inhibit_on_failure\n{TCP_CHECK}")));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    drop(web.remove(0));
    daemon.await_log("Disabling service [10.8.0.21]:tcp:80 of VS [10.7.0.100]:tcp:80", NOTICED);
    site.await_tally(4, &[("web2", 4)]);
    web.push(site.web_server(0));
    daemon.await_log("Enabling service [10.8.0.21]:tcp:80 of VS [10.7.0.100]:tcp:80", NOTICED);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn a_local_sorry_server_answers_when_none_is_left() {
    let site = Site::nat("sorry", 1);
    let sorry = WebServer::start(&site.director, "0.0.0.0:80", Behaviour::Text("sorry".into())).unwrap();
    let web = site.web_server(0);
    let daemon = site.start(&site.service("rr", "sorry_server 127.0.0.1 80", TCP_CHECK));
    site.await_tally(4, &[("web1", 4)]);
    let before = sorry.requests();
    site.await_tally(4, &[("web1", 4)]);
    assert_eq!(sorry.requests(), before);
    drop(web);
    daemon.await_log("Adding sorry server [127.0.0.1]:tcp:80 to VS [10.7.0.100]:tcp:80", NOTICED);
    site.await_tally(4, &[("sorry", 4)]);
    let _web = site.web_server(0);
    daemon.await_log("Removing sorry server [127.0.0.1]:tcp:80 from VS [10.7.0.100]:tcp:80", NOTICED);
    site.await_tally(4, &[("web1", 4)]);
}

fn a_remote_sorry_server_answers_when_none_is_left() {
    let site = Site::dr("remote-sorry", 2);
    let _sorry = site.web_server(1);
    let servers = real_server("10.7.0.21", 1, TCP_CHECK);
    let _daemon = site.start(&site.service_of("rr", "sorry_server 10.7.0.22 80", &servers));
    site.await_tally(4, &[("web2", 4)]);
    let _web = site.web_server(0);
    site.await_tally(4, &[("web1", 4)]);
}

fn notify_and_quorum_scripts_run() {
    let site = Site::nat("notify", 1);
    let web = site.web_server(0);
    let inside = format!("notify_up \"DIR/note.sh up 'the server'\"\nnotify_down \"DIR/note.sh down\"\n{TCP_CHECK}");
    let quorum = "quorum 1\nquorum_up \"DIR/note.sh quorum-up\"\nquorum_down \"DIR/note.sh quorum-down\"";
    let mut daemon = Daemon::prepare(&site.lab, &site.director, &site.service("rr", quorum, &inside));
    daemon.script("note.sh", "#!/bin/sh\necho \"$#\" \"$@\" >> \"${0%/*}/notes\"\n");
    daemon.launch();
    site.await_tally(2, &[("web1", 2)]);
    std::thread::sleep(Duration::from_secs(1));
    drop(web);
    daemon.await_line("notes", "1 down", NOTICED);
    daemon.await_line("notes", "1 quorum-down", NOTICED);
    daemon.await_log("Lost quorum", SOON);
    let before = daemon.lines("notes").len();
    let _web = site.web_server(0);
    eventually(NOTICED, "two more notes", || daemon.lines("notes").len() >= before + 2);
    let after = daemon.lines("notes").split_off(before);
    assert!(after.contains(&"2 up the server".into()) && after.contains(&"1 quorum-up".into()), "{after:?}");
    daemon.await_log("Gained quorum", SOON);
}

fn a_server_that_sends_garbage_leaves() {
    let site = Site::nat("garbage", 2);
    let web = site.web_servers();
    let mut daemon = site.start(&site.service("rr", "", &http_check("path /\nstatus_code 200")));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    web[0].set(Behaviour::Garbage);
    site.await_tally(4, &[("web2", 4)]);
    assert!(daemon.process().is_running() && !daemon.log().contains("panicked"), "{}", daemon.log());
    web[0].set(Behaviour::Text("web1".into()));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn a_server_that_drips_or_hangs_leaves() {
    let site = Site::nat("drip", 3);
    let web = site.web_servers();
    let mut daemon = site.start(&site.service("rr", "", &http_check("path /\nstatus_code 200")));
    site.await_tally(6, &[("web1", 2), ("web2", 2), ("web3", 2)]);
    web[0].set(Behaviour::Drip);
    web[1].set(Behaviour::Silent);
    let [first, second] = ["10.8.0.21", "10.8.0.22"].map(|server| format!("Removing service [{server}]:tcp:80"));
    daemon.await_log(&second, Duration::from_secs(15));
    daemon.await_log(&first, Duration::from_secs(15));
    site.await_tally(4, &[("web3", 4)]);
    assert!(daemon.process().is_running());
}

const MAIL: &str = "global_defs {
    notification_email {
        ops@example.net
        boss@example.net
    }
    notification_email_from director@example.net
    smtp_server 10.7.0.1
    smtp_connect_timeout 3
    router_id LAB
}\n";

fn mails_tell_about_servers() {
    let site = Site::nat("mail", 1);
    let sink = MailSink::start(&site.client, "10.7.0.1:25").unwrap();
    let web = site.web_server(0);
    let _daemon = site.start(&(MAIL.to_owned() + &site.service("rr", "", TCP_CHECK)));
    site.await_tally(2, &[("web1", 2)]);
    std::thread::sleep(Duration::from_secs(1));
    drop(web);
    let down = "[LAB] Realserver [10.8.0.21]:tcp:80 of virtual server [10.7.0.100]:tcp:80 - DOWN";
    eventually(NOTICED, "a mail about the loss", || sink.subjects().contains(&down.to_owned()));
    let mail = sink.mails().into_iter().find(|mail| mail.header("Subject") == down).unwrap();
    assert_eq!(
        (mail.sender.clone(), mail.header("From")),
        ("director@example.net".into(), "director@example.net".into())
    );
    assert_eq!(mail.recipients, ["ops@example.net", "boss@example.net"]);
    assert_eq!(mail.header("X-Mailer"), "Keepalived");
    assert_eq!(mail.body().trim(), "=> TCP CHECK failed on service <=");
    let _web = site.web_server(0);
    let up = down.replace("DOWN", "UP");
    eventually(NOTICED, "a mail about the return", || sink.subjects().contains(&up));
}

fn a_hanging_mail_server_costs_nothing() {
    let site = Site::nat("mailhang", 2);
    // It accepts by its backlog and never greets.
    let _listener = site.client.enter(|| TcpListener::bind("10.7.0.1:25")).unwrap().unwrap();
    let mut web = site.web_servers();
    let mut daemon = site.start(&(MAIL.to_owned() + &site.service("rr", "", TCP_CHECK)));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    drop(web.remove(0));
    site.await_tally(4, &[("web2", 4)]);
    web.push(site.web_server(0));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    let start = Instant::now();
    assert_eq!(daemon.stop(), 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
