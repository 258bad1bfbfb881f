//! Templates and their timers, quiescing and removal, as recorded from Linux 6.1's IPVS.

use standfast_ipvs::{
    ConnReuse, Defence, PassReason, Persistence, Protocol, SchedulerKind, ServiceConfig, ServiceId, Settings, Verdict,
};
use std::time::Duration;

use crate::support::service;
use crate::support::world::{VIP, World, server_of};

/// The kernel's.
const DEFAULT: Settings = Settings {
    expire_nodest_conn: false,
    expire_quiescent_template: false,
    conn_reuse_mode: ConnReuse::Over,
    sloppy_tcp: false,
    drop_entry: Defence::Never,
    drop_packet: Defence::Never,
    secure_tcp: Defence::Never,
    amemthresh: 1024,
    am_droprate: 10,
};

fn template(client: u8, server: u8, state: &str, seconds: u32) -> String {
    format!("10.0.0.{client}:0 10.0.0.100:80 10.1.0.{server}:80 {state} {seconds}")
}

#[test]
fn a_template_is_assured_by_an_established_connection() {
    let mut world = World::new(DEFAULT, Some(50));
    assert_eq!(world.client(1, 1000, "S"), Some(3));
    assert_eq!(world.table()[0], template(1, 3, "NONE", 50));
    world.client(1, 1000, "R");
    assert_eq!(world.table()[0], template(1, 3, "NONE", 50));
    world.client(1, 1000, "A");
    assert_eq!(world.table()[0], template(1, 3, "ASSURED", 50));
    assert_eq!(world.load(3), (1, 0, 1));
}

#[test]
fn clients_stay_where_they_were() {
    let mut world = World::new(DEFAULT, Some(50));
    let visits = [1, 1, 1, 2, 2, 3, 1, 4];
    let servers: Vec<_> = (1000..).zip(visits).map(|(port, client)| world.visit(client, port).unwrap()).collect();
    assert_eq!(servers, [3, 3, 3, 2, 2, 1, 3, 3]);
    assert_eq!([1, 2, 3].map(|server| world.load(server)), [(0, 1, 1), (0, 2, 1), (0, 5, 2)]);
}

#[test]
fn a_mask_joins_neighbours() {
    let mut world = World::new(DEFAULT, Some(50));
    let ServiceConfig { id, .. } = world.director.services()[0].config.clone();
    let persistence = Some(Persistence { timeout: Duration::from_secs(50), prefix_len: 29, engine: None });
    let config = service(Protocol::Tcp, format!("{VIP}:80").parse().unwrap(), SchedulerKind::Rr);
    world.director.edit_service(ServiceConfig { id, persistence, ..config }).unwrap();
    let servers: String = (1..=20).map(|client| world.visit(client, 1000).unwrap().to_string()).collect();
    assert_eq!(servers, "33333332222222211111");
    assert_eq!(world.table()[0], template(0, 3, "ASSURED", 50));
}

/// A template whose time is over waits a minute, again and again, until its connections are gone; a minute is then its
/// time for good.
#[test]
fn a_template_outlives_its_connections() {
    let mut world = World::new(DEFAULT, Some(5));
    world.hold(1, 20000);
    world.wait(6);
    assert_eq!(world.table()[0], template(1, 3, "ASSURED", 60));
    world.client(1, 20000, "A");
    world.wait(50);
    assert_eq!(world.table()[0], template(1, 3, "ASSURED", 10), "data does not move the timer");
    assert_eq!(world.visit(1, 20001), Some(3));
    assert_eq!(world.table()[0], template(1, 3, "ASSURED", 60), "a connection does");
    world.client(1, 20000, "FA");
    world.server(3, 1, 20000, "FA");
    world.wait(121);
    assert_eq!(world.table().len(), 1, "both connections are over: {:?}", world.table());
    world.wait(61);
    assert!(world.table().is_empty());
    assert_eq!(world.load(3), (0, 0, 0));
}

#[test]
fn a_quiesced_server_keeps_its_clients() {
    let mut world = World::new(DEFAULT, Some(50));
    assert_eq!(world.hold(1, 20000), Some(3));
    world.set_weight(3, 0);
    assert_eq!([20001, 20002].map(|port| world.visit(1, port)), [Some(3); 2]);
    assert_eq!([20001, 20002].map(|port| world.visit(2, port)), [Some(2); 2]);
}

#[test]
fn expire_quiescent_template_sends_them_elsewhere() {
    let mut world = World::new(Settings { expire_quiescent_template: true, ..DEFAULT }, Some(50));
    assert_eq!(world.hold(1, 20000), Some(3));
    world.set_weight(3, 0);
    assert_eq!([20001, 20002].map(|port| world.visit(1, port)), [Some(2); 2]);
    let hidden = "10.0.0.1:0 10.0.0.100:65535 10.1.0.3:65535 ASSURED 50".to_owned();
    assert!(world.table().contains(&hidden), "{:?}", world.table());
    assert!(world.table().contains(&template(1, 2, "ASSURED", 50)));
    assert_eq!(world.client(1, 20000, "A"), Some(3), "the held connection goes on");
}

#[test]
fn a_removed_server_comes_back_with_its_connections() {
    let mut world = World::new(DEFAULT, None);
    assert_eq!(world.hold(1, 22000), Some(3));
    world.remove(3);
    assert_eq!(world.client(1, 22000, "A"), None);
    let visits: String = (22001..22004).map(|port| world.visit(1, port).unwrap().to_string()).collect();
    assert_eq!(visits, "212");
    world.add(3);
    assert_eq!([1, 2, 3].map(|server| world.load(server)), [(0, 1, 0), (0, 2, 0), (1, 0, 0)]);
    assert_eq!(world.view(3).stats.connections, 1);
    assert_eq!(world.client(1, 22000, "A"), Some(3));
    let visits: String = (22004..22007).map(|port| world.visit(1, port).unwrap().to_string()).collect();
    assert_eq!(visits, "132");
}

#[test]
fn expire_nodest_conn_ends_its_connections() {
    let mut world = World::new(Settings { expire_nodest_conn: true, ..DEFAULT }, None);
    assert_eq!(world.hold(1, 22000), Some(3));
    world.remove(3);
    let verdict = world.segment(1, 22000, "A", (VIP, 80));
    assert_eq!(verdict, Verdict::Pass(PassReason::NoConnection), "the host's stack answers with RST");
    assert_eq!(world.director.connection_count(), 0);
}

#[test]
fn a_template_of_a_removed_server_is_replaced() {
    let mut world = World::new(DEFAULT, Some(50));
    assert_eq!(world.visit(1, 22000), Some(3));
    world.remove(3);
    assert_eq!(world.visit(1, 22001), Some(2));
    assert!(world.table().contains(&"10.0.0.1:0 10.0.0.100:65535 10.1.0.3:65535 ASSURED 50".to_owned()));
}

#[test]
fn without_services_the_host_answers() {
    let mut world = World::new(DEFAULT, None);
    assert_eq!(world.hold(1, 22500), Some(3));
    world.director.remove_service(&world.id.clone()).unwrap();
    assert_eq!(world.segment(1, 22500, "A", (VIP, 80)), Verdict::Pass(PassReason::NoService));
    let config = service(Protocol::Tcp, format!("{VIP}:80").parse().unwrap(), SchedulerKind::Rr);
    world.director.add_service(config).unwrap();
    (1..=3).for_each(|server| world.add(server));
    assert_eq!(world.load(3), (1, 0, 0), "the trash gives the server back");
    assert_eq!(world.client(1, 22500, "A"), Some(3));
}

#[test]
fn a_reused_port_is_scheduled_anew() {
    let mut world = World::new(DEFAULT, None);
    let servers: String = (0..4).map(|_| world.visit(1, 20000).unwrap().to_string()).collect();
    assert_eq!(servers, "3213");
}

#[test]
fn a_reused_port_does_not_wait_for_a_server_that_is_gone() {
    for flags in [&["S"][..], &["S", "A"], &["S", "A", "FA"]] {
        let mut world = World::new(DEFAULT, None);
        let dead = world.client(1, 5000, "S").unwrap();
        flags.iter().skip(1).for_each(|flags| assert_eq!(world.client(1, 5000, flags), Some(dead)));
        world.remove(dead);
        let server = world.client(1, 5000, "S");
        assert!(server.is_some_and(|server| server != dead), "{flags:?}: {server:?}");
    }
}

#[test]
fn a_port_whose_connection_was_reset_is_scheduled_anew() {
    let mut world = World::new(DEFAULT, None);
    let first = world.client(1, 5000, "S").unwrap();
    world.server(first, 1, 5000, "RA");
    assert_ne!(world.client(1, 5000, "S"), Some(first), "rr goes on");
}

#[test]
fn without_conn_reuse_mode_it_stays() {
    let mut world = World::new(Settings { conn_reuse_mode: ConnReuse::Never, ..DEFAULT }, None);
    let mut visits = || (0..2).map(|_| world.visit(1, 20000)).collect::<Vec<_>>();
    assert_eq!(visits(), [Some(3); 2]);
    assert_eq!(visits(), [Some(3); 2]);
    world.set_weight(3, 0);
    assert_eq!(world.visit(1, 20000), Some(3));
    world.remove(3);
    assert_eq!(world.visit(1, 20000), None);
}

#[test]
fn expire_nodest_conn_moves_a_reused_port_off_a_quiesced_server() {
    let settings = Settings { conn_reuse_mode: ConnReuse::Never, expire_nodest_conn: true, ..DEFAULT };
    let mut world = World::new(settings, None);
    assert_eq!(world.visit(1, 20000), Some(3));
    world.set_weight(3, 0);
    assert_eq!(world.visit(1, 20000), Some(2));
}

#[test]
fn a_service_of_all_ports() {
    let persistence = Some(Persistence { timeout: Duration::from_secs(50), prefix_len: 32, engine: None });
    let config = service(Protocol::Tcp, format!("{VIP}:0").parse().unwrap(), SchedulerKind::Rr);
    let mut world = World::with_service(DEFAULT, ServiceConfig { persistence, ..config });
    (1..=3).for_each(|server| world.add(server));
    let mut to = |client, port| server_of(&world.segment(client, 1000 + port, "S", (VIP, port)));
    assert_eq!([to(1, 80), to(1, 443), to(2, 443), to(1, 21)], [Some(3), Some(3), Some(2), Some(3)]);
    assert!(world.table().contains(&"10.0.0.1:0 10.0.0.100:0 10.1.0.3:0 NONE 50".to_owned()), "{:?}", world.table());
    assert!(world.table().contains(&"10.0.0.1:1021 10.0.0.100:21 10.1.0.3:21 SYN_RECV 60".to_owned()));
}

#[test]
fn a_firewall_mark_joins_addresses_and_ports() {
    let persistence = Some(Persistence { timeout: Duration::from_secs(50), prefix_len: 32, engine: None });
    let config = service(Protocol::Tcp, format!("{VIP}:0").parse().unwrap(), SchedulerKind::Rr);
    let config = ServiceConfig { id: ServiceId::Fwmark(1234), persistence, ..config };
    let mut world = World::with_service(DEFAULT, config);
    (1..=3).for_each(|server| world.add(server));
    world.mark = 1234;
    let mut to = |client, address| server_of(&world.segment(client, 1000, "S", (address, 80))).unwrap();
    let first = ["10.0.0.100", "10.0.0.101", "10.0.0.102"].map(|address| to(1, address));
    let second = ["10.0.0.100", "10.0.0.103"].map(|address| to(2, address));
    assert_eq!((first, second), ([3, 3, 3], [2, 2]));
    assert!(world.table().contains(&"10.0.0.1:0 0.0.4.210:0 10.1.0.3:0 NONE 50".to_owned()), "{:?}", world.table());
    world.mark = 0;
    assert_eq!(world.segment(3, 1000, "S", (VIP, 80)), Verdict::Pass(PassReason::NotOurs));
}
