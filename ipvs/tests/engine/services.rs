//! ipvsadm's verbs and refusals, thresholds, statistics and limits.

use standfast_ipvs::{
    Claims, DestinationConfig, Director, DropReason, Error, Failures, Forwarding, Frame, Ingress, Options, Protocol,
    SchedulerKind, ServiceConfig, ServiceKey, Settings, Stats, Timeouts, Verdict,
};
use std::time::{Duration, Instant};

use crate::support::world::{VIP, World, server_of};
use crate::support::{build, destination, service};

#[test]
fn refusals() {
    let mut world = World::new(Settings::default(), None);
    let config = service(Protocol::Tcp, format!("{VIP}:80").parse().unwrap(), SchedulerKind::Rr);
    assert_eq!(world.director.add_service(config.clone()), Err(Error::ServiceExists));
    let other = service(Protocol::Tcp, format!("{VIP}:81").parse().unwrap(), SchedulerKind::Rr);
    assert_eq!(world.director.edit_service(other.clone()), Err(Error::NoSuchService));
    assert_eq!(world.director.remove_service(&other.id), Err(Error::NoSuchService));
    assert_eq!(world.director.add_service(ServiceConfig { one_packet: true, ..other }), Err(Error::OnePacketNeedsUdp));
    let any = service(Protocol::Tcp, format!("{VIP}:0").parse().unwrap(), SchedulerKind::Rr);
    assert_eq!(world.director.add_service(any), Err(Error::ZeroPort));

    let (id, config) = (world.id, world.config(1));
    assert_eq!(world.director.add_destination(&id, config.clone()), Err(Error::DestinationExists));
    let thresholds = DestinationConfig { lower_threshold: 5, upper_threshold: 4, ..config };
    assert_eq!(world.director.edit_destination(&id, thresholds), Err(Error::OutOfRange));
    let stranger = destination("10.1.0.9:80".parse().unwrap(), Forwarding::Nat);
    assert_eq!(world.director.edit_destination(&id, stranger.clone()), Err(Error::NoSuchDestination));
    assert_eq!(world.director.remove_destination(&id, stranger.address, 80), Err(Error::NoSuchDestination));
    let v6 = destination("[fd00::1]:80".parse().unwrap(), Forwarding::Nat);
    assert_eq!(world.director.add_destination(&id, v6), Err(Error::FamilyMismatch));
}

#[test]
fn direct_routing_takes_the_port_of_the_service() {
    let mut world = World::new(Settings::default(), None);
    world.director.add_destination(&world.id, destination("10.1.0.9:8080".parse().unwrap(), Forwarding::Dr)).unwrap();
    assert_eq!(world.view(9).config.port, 80);
}

/// `-x 3` on server 1, `-x 4 -y 2` on 2, `-x 5 -y 4` on 3.
fn limited() -> World {
    let mut world = World::new(Settings::default(), None);
    for (server, upper_threshold, lower_threshold) in [(1, 3, 0), (2, 4, 2), (3, 5, 4)] {
        let config = DestinationConfig { upper_threshold, lower_threshold, ..world.config(server) };
        world.director.edit_destination(&world.id, config).unwrap();
    }
    world
}

#[test]
fn thresholds_pass_full_servers_over() {
    let mut world = limited();
    let servers: String =
        (1000..1014).map(|port| world.hold(1, port).map_or("-".to_owned(), |server| server.to_string())).collect();
    assert_eq!(servers, "321321321323--");
    // Three quarters of 3: server 1 is open again below 2.25 connections; server 2 below 2, server 3 below 4.
    world.client(1, 1002, "R");
    world.wait(11);
    assert_eq!((world.load(1), world.client(2, 1, "S")), ((2, 0, 0), Some(1)));
    assert!(world.view(1).overloaded && world.view(2).overloaded);
    world.client(1, 1000, "R");
    world.wait(11);
    assert_eq!((world.load(3), world.client(2, 2, "S")), ((4, 0, 0), None));
    world.client(1, 1003, "R");
    world.wait(11);
    assert_eq!((world.load(3), world.client(2, 3, "S")), ((3, 0, 0), Some(3)));
}

#[test]
fn counters_are_ip_lengths_both_ways() {
    let mut world = World::new(Settings::default(), None);
    assert_eq!(world.hold(1, 1000), Some(3));
    assert!(matches!(world.server(3, 1, 1000, "A"), Verdict::ToClient { .. }));
    let wanted = Stats { connections: 1, in_packets: 2, in_bytes: 80, out_packets: 1, out_bytes: 40 };
    assert_eq!((world.view(3).stats, world.director.services()[0].stats), (wanted, wanted));
    assert_eq!(world.director.counters().to_server, 2);
    assert_eq!(world.director.counters().to_client, 1);
}

#[test]
fn a_full_table_drops_and_counts() {
    let mut director = Director::new(Options { connection_limit: 2, ..Options::default() });
    let config = service(Protocol::Tcp, format!("{VIP}:80").parse().unwrap(), SchedulerKind::Rr);
    let id = config.id;
    director.add_service(config).unwrap();
    director.add_destination(&id, destination("10.1.0.1:80".parse().unwrap(), Forwarding::Dr)).unwrap();
    let now = Instant::now();
    let mut knock = |port, flags| {
        let text = format!("IP 10.0.0.1>{VIP} ttl 64 tos 0x0 id 1 DF TCP {port}>80 [{flags}] seq 1 ack 1 win 1 data 0");
        let mut packet = build::packet(&text);
        let mut frame = Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
        director.receive(&mut frame, Ingress::default(), now)
    };
    assert_eq!([1, 2].map(|port| server_of(&knock(port, "S"))), [Some(1); 2]);
    assert_eq!([1, 2].map(|port| server_of(&knock(port, "A"))), [Some(1); 2]);
    assert_eq!(knock(3, "S"), Verdict::Drop(DropReason::ConnectionLimit));
    assert_eq!(server_of(&knock(2, "A")), Some(1));
    assert_eq!(director.counters().dropped(DropReason::ConnectionLimit), 1);
    assert_eq!(director.destinations(&id).unwrap()[0].active, 2);
}

#[test]
fn one_packet_scheduling_keeps_nothing() {
    let config = service(Protocol::Udp, format!("{VIP}:53").parse().unwrap(), SchedulerKind::Rr);
    let mut world = World::with_service(Settings::default(), ServiceConfig { one_packet: true, ..config });
    (1..=3).for_each(|server| world.add(server));
    let query = format!("IP 10.0.0.1>{VIP} ttl 64 tos 0x0 id 1 DF UDP 1000>53 len 20");
    let servers: Vec<_> = (0..6).map(|_| server_of(&world.send(&query)).unwrap()).collect();
    assert_eq!(servers, [3, 2, 1, 3, 2, 1]);
    assert_eq!(world.director.connection_count(), 0);
    assert_eq!(world.view(1).stats, Stats { connections: 2, in_packets: 2, in_bytes: 80, ..Stats::default() });
    let answer = world.send("IP 10.1.0.3>10.0.0.1 ttl 64 tos 0x0 id 1 DF UDP 53>1000 len 20");
    assert!(matches!(answer, Verdict::Pass(_)), "answers are not translated: {answer:?}");
}

#[test]
fn connections_end_on_time() {
    let mut world = World::new(Settings::default(), None);
    world.director.set_timeouts(Timeouts {
        tcp: Duration::from_secs(2000),
        tcp_fin: Duration::ZERO,
        udp: Duration::ZERO,
    });
    world.client(1, 1, "S");
    world.hold(1, 2);
    world.visit(1, 3);
    for (wait, left) in [(59, 3), (2, 2), (58, 2), (2, 1), (1878, 1), (2, 0)] {
        world.wait(wait);
        assert_eq!(world.director.connection_count(), left, "{:?}", world.table());
    }
    assert!(world.director.poll_timeout() <= Some(world.now + Duration::from_secs(2)), "only rates are left to do");
}

/// Also without a timer served, nobody meets a connection whose time is over.
#[test]
fn a_late_timer_revives_nothing() {
    let mut world = World::new(Settings::default(), None);
    assert_eq!(world.client(1, 1, "S"), Some(3));
    world.now += Duration::from_secs(61);
    assert_eq!(world.client(1, 1, "A"), None);
    assert_eq!(world.load(3), (0, 0, 0));
}

#[test]
fn a_local_destination_gets_the_packet_as_it_is() {
    let config = service(Protocol::Tcp, format!("{VIP}:80").parse().unwrap(), SchedulerKind::Rr);
    let mut world = World::with_service(Settings::default(), config);
    world.director.add_destination(&world.id, destination("127.0.0.1:80".parse().unwrap(), Forwarding::Nat)).unwrap();
    assert_eq!(world.segment(1, 1000, "S", (VIP, 80)), Verdict::Local);
    assert_eq!(world.segment(1, 1000, "A", (VIP, 80)), Verdict::Local);
    assert_eq!(world.table(), ["10.0.0.1:1000 10.0.0.100:80 127.0.0.1:80 ESTABLISHED 900"]);
}

#[test]
fn claims_name_services_and_translated_servers() {
    let mut world = World::new(Settings::default(), None);
    world.hold(1, 1);
    world.director.add_destination(&world.id, destination("10.1.0.9:80".parse().unwrap(), Forwarding::Dr)).unwrap();
    world.remove(3);
    world.remove(2);
    let key = |address: &str| ServiceKey { protocol: Protocol::Tcp, address: address.parse().unwrap(), port: 80 };
    let servers = ["10.1.0.1", "10.1.0.3"].map(key).to_vec();
    let wanted = Claims { services: vec![key(VIP)], servers, marks: vec![], sources: vec![] };
    assert_eq!(world.director.claims(), wanted, "server 3 is gone but has a connection");
}

/// What a server does to connections, for passive health.
#[test]
fn refusals_resets_and_silence_are_counted() {
    let mut world = World::new(Settings::default(), None);
    let failures = |world: &World, server: u8| world.view(server).failures;
    let first = world.client(1, 1000, "S").unwrap();
    world.server(first, 1, 1000, "RA");
    assert_eq!(failures(&world, first), Failures { refused: 1, ..Failures::default() });
    let second = world.hold(1, 1001).unwrap();
    world.server(second, 1, 1001, "R");
    world.server(second, 1, 1001, "R");
    assert_eq!(failures(&world, second), Failures { reset: 1, ..Failures::default() });
    let third = world.client(1, 1002, "S").unwrap();
    let fourth = world.client(1, 1003, "S").unwrap();
    world.server(fourth, 1, 1003, "SA");
    world.client(1, 1004, "S").unwrap();
    world.client(1, 1004, "R").unwrap();
    world.wait(61);
    assert_eq!(failures(&world, third), Failures { silent: 1, ..Failures::default() });
    assert_eq!(failures(&world, fourth), Failures { refused: 1, ..Failures::default() }, "it had answered");
}

#[test]
fn rates_are_estimated_every_two_seconds() {
    let mut world = World::new(Settings::default(), None);
    world.wait(2);
    for port in 1000..1060 {
        world.client(1, port, "S");
    }
    let rate = |world: &World| world.director.services()[0].rates;
    assert_eq!(rate(&world).connections, 0);
    world.wait(2);
    assert_eq!((rate(&world).connections, rate(&world).in_packets), (7, 7));
    assert_eq!(world.view(1).rates.connections, 2);
    world.wait(2);
    assert_eq!(rate(&world).connections, 6);
}

/// A flood of SYNs fills the table: half-open connections make room, established ones stay.
#[test]
fn a_full_table_gives_up_what_is_half_open() {
    let mut world = World::new(Settings::default(), None);
    for port in 0..100 {
        world.hold(9, port);
    }
    for flood in 0..2000_u16 {
        world.segment((flood % 8) as u8 + 10, 1000 + flood, "S", (VIP, 80));
    }
    assert_eq!(world.director.connection_count(), 500);
    assert!((0..100).all(|port| world.client(9, port, "A").is_some()), "{:?}", world.table());
    assert!(world.hold(1, 77).is_some(), "new clients still come in");
}
