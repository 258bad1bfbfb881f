//! One pool behind many addresses, and checks that wait for theirs.

use crate::common::site::{NOTICED, Site, TCP_CHECK, VIP, real_server};
use crate::common::{Daemon, SOON};
use standfast_labkit::eventually;
use standfast_labkit::servers::{Behaviour, WebServer, http_get};
use std::net::SocketAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn ask(site: &Site, target: &str) -> Option<String> {
    let target: SocketAddr = target.parse().unwrap();
    http_get(&site.client, target, "/", PATIENCE).ok().map(|(_, body)| body)
}

pub fn every_address_of_a_group_is_served() {
    let site = Site::nat("group", 2);
    let mut web = site.web_servers();
    for last in 101..=103 {
        site.director.ip(&format!("addr add 10.7.0.{last}/24 dev eth0")).unwrap();
    }
    let servers: String = site.addresses.iter().map(|address| real_server(address, 1, TCP_CHECK)).collect();
    let with = |entries: &str| {
        format!(
            "virtual_server_group web {{\n{entries}\n}}\nvirtual_server group web {{\n delay_loop 1\n lb_algo rr\n\
             lb_kind NAT\n protocol TCP\n{servers}}}\n"
        )
    };
    let mut daemon = site.start(&with("10.7.0.101-102 80\n10.7.0.103 8080"));
    daemon.await_log("Gained quorum 1+0=1 <= 2 for VS [web]:0", SOON);
    for target in ["10.7.0.101:80", "10.7.0.102:80", "10.7.0.103:8080"] {
        eventually(NOTICED, target, || ask(&site, target).is_some_and(|answer| answer.starts_with("web")));
    }
    drop(web.remove(0));
    daemon.await_log("Removing service [10.8.0.21]:tcp:80 from VS [web]:0", NOTICED);
    // The line comes before the engine has taken the server out.
    for target in ["10.7.0.101:80", "10.7.0.102:80", "10.7.0.103:8080"] {
        let web2_alone = || (0..3).all(|_| ask(&site, target).as_deref() == Some("web2"));
        eventually(NOTICED, &format!("web2 alone at {target}"), web2_alone);
    }
    daemon.configure(&with("10.7.0.101 80\n10.7.0.103 80"));
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.await_log("VS [[10.7.0.101]:tcp:80-10.7.0.102] in group web no longer exists", NOTICED);
    daemon.await_log("VS [[10.7.0.103]:tcp:80] added into group web", SOON);
    eventually(NOTICED, "the new port", || ask(&site, "10.7.0.103:80").as_deref() == Some("web2"));
    assert_eq!(ask(&site, "10.7.0.101:80").as_deref(), Some("web2"));
    assert_eq!(ask(&site, "10.7.0.102:80"), None);
}

pub fn checks_are_suspended_while_the_address_is_elsewhere() {
    let site = Site::nat("suspend", 1);
    let web = site.web_servers();
    site.director.ip(&format!("addr del {VIP}/24 dev eth0")).unwrap();
    let servers = real_server("10.8.0.21", 1, TCP_CHECK);
    let daemon = site.start(&site.service_of("rr", "ha_suspend", &servers));
    let of = "healthchecker for service [10.8.0.21]:tcp:80 for VS [10.7.0.100]:tcp:80";
    daemon.await_log(&format!("Deactivating {of}"), SOON);
    drop(web);
    // Its first check would come within two seconds.
    std::thread::sleep(Duration::from_secs(4));
    assert!(!daemon.log().contains("TCP_CHECK"), "it is checked:\n{}", daemon.log());
    site.director.ip(&format!("addr add {VIP}/24 dev eth0")).unwrap();
    daemon.await_log(&format!("Activating {of}"), SOON);
    daemon.await_log("Removing service [10.8.0.21]:tcp:80 from VS [10.7.0.100]:tcp:80", NOTICED);
    site.director.ip(&format!("addr del {VIP}/24 dev eth0")).unwrap();
    daemon.await_log(&format!("Suspending {of}"), SOON);
    let _web = site.web_servers();
    std::thread::sleep(Duration::from_secs(3));
    assert!(!daemon.log().contains("Adding service"), "it is checked:\n{}", daemon.log());
}

pub fn a_tracked_file_moves_the_weight_and_takes_a_server_out() {
    let site = Site::nat("file", 2);
    let _web = site.web_servers();
    let check = "FILE_CHECK {\n track_file load\n }";
    let servers = real_server("10.8.0.21", 1, check)
        + &real_server("10.8.0.22", 1, "FILE_CHECK {\n track_file gone\n weight 0\n }");
    let files = "track_file load {\n file DIR/load\n weight 1\n}\ntrack_file gone {\n file DIR/gone\n init_file 0\n}\n";
    let mut daemon =
        Daemon::prepare(&site.lab, &site.director, &(files.to_owned() + &site.service_of("wrr", "", &servers)));
    let write = |name: &str, number: &str| std::fs::write(daemon.directory.join(name), number).unwrap();
    write("load", "2");
    daemon.launch();
    site.await_tally(8, &[("web1", 6), ("web2", 2)]);
    std::fs::write(daemon.directory.join("load"), "0").unwrap();
    daemon
        .await_log("Changing weight from 3 to 1 for active service [10.8.0.21]:tcp:80 of VS [10.7.0.100]:tcp:80", SOON);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    std::fs::write(daemon.directory.join("gone"), "1").unwrap();
    daemon.await_log("([10.8.0.22]:tcp:80): tracked file gone now FAULT state", SOON);
    daemon.await_log("Removing service [10.8.0.22]:tcp:80 from VS [10.7.0.100]:tcp:80", SOON);
    site.await_tally(4, &[("web1", 4)]);
    std::fs::write(daemon.directory.join("gone"), "0").unwrap();
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

pub fn a_drained_server_finishes_its_connections() {
    let site = Site::nat("drain", 2);
    let web = site.web_servers();
    let servers = real_server("10.8.0.21", 100, &format!("drain_timeout 60\n{TCP_CHECK}"))
        + &real_server("10.8.0.22", 100, TCP_CHECK);
    let mut daemon = site.start(&site.service_of("wrr", "", &servers));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    web[0].set(Behaviour::Drip);
    web[1].set(Behaviour::Drip);
    let before = web[0].requests();
    std::thread::scope(|scope| {
        // Whichever of the two goes to the first server must survive its removal.
        let slow = [scope.spawn(|| site.ask()), scope.spawn(|| site.ask())];
        eventually(SOON, "a slow request to the first server", || web[0].requests() > before);
        daemon.configure(&site.service_of("wrr", "", &real_server("10.8.0.22", 100, TCP_CHECK)));
        daemon.signal(nix::sys::signal::Signal::SIGHUP);
        daemon.await_log("Draining service [10.8.0.21]:tcp:80 of VS [10.7.0.100]:tcp:80 for 60 s", SOON);
        for request in slow {
            assert_eq!(request.join().unwrap().unwrap(), "slow");
        }
    });
}

pub fn readers_of_the_fifo_hear_of_servers_and_quorums() {
    let site = Site::nat("fifo", 1);
    let web = site.web_server(0);
    let globals =
        "global_defs {\n lvs_notify_fifo DIR/fifo\n lvs_notify_fifo_script DIR/reader.sh\n rs_init_notifies\n}\n";
    let servers = real_server("10.8.0.21", 1, TCP_CHECK);
    let config = globals.to_owned() + &site.service_of("rr", "", &servers);
    let mut daemon = Daemon::prepare(&site.lab, &site.director, &config);
    daemon.script("reader.sh", "#!/bin/bash\nwhile read -r line; do echo \"<$line>\" >> \"$1.seen\"; done < \"$1\"\n");
    daemon.launch();
    daemon.await_line("fifo.seen", "<VS [10.7.0.100]:tcp:80 UP>", SOON);
    drop(web);
    daemon.await_line("fifo.seen", "<VS [10.7.0.100]:tcp:80 DOWN>", NOTICED);
    let expected = [
        "<RS [10.8.0.21]:tcp:80 [10.7.0.100]:tcp:80 UP>",
        "<VS [10.7.0.100]:tcp:80 UP>",
        "<RS [10.8.0.21]:tcp:80 [10.7.0.100]:tcp:80 DOWN>",
        "<VS [10.7.0.100]:tcp:80 DOWN>",
    ];
    assert_eq!(daemon.lines("fifo.seen"), expected);
}

pub fn refused_connections_suspend_a_server_ahead_of_its_check() {
    let site = Site::nat("passive", 2);
    let web = site.web_server(1);
    // The check looks at another port than the clients.
    let _alive = WebServer::start(&site.servers[0], "0.0.0.0:81", Behaviour::Text("alive".into())).unwrap();
    let passive = "passive_health failures 3 window 20 suspend 600\nTCP_CHECK {\n connect_port 81\n }";
    let servers = real_server("10.8.0.21", 1, passive) + &real_server("10.8.0.22", 1, TCP_CHECK);
    let daemon = site.start(&site.service_of("rr", "", &servers));
    daemon.await_log("TCP connection to [10.8.0.21]:tcp:80 success.", NOTICED);
    let suspended = "Suspending service [10.8.0.21]:tcp:80 of VS [10.7.0.100]:tcp:80 for 600 s";
    eventually(NOTICED, "enough failures", || {
        site.tally(4);
        daemon.log().contains(suspended)
    });
    site.await_tally(6, &[("web2", 6)]);
    drop(web);
}
