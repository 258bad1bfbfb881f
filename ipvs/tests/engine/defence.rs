//! `drop_entry`, `drop_packet` and `secure_tcp`, as recorded from Linux 6.1's IPVS.

use standfast_ipvs::{ConnectionView, Defence, DropReason, Protocol, SchedulerKind, ServiceConfig, Settings};

use crate::support::service;
use crate::support::world::World;

fn packets(am_droprate: u32) -> Settings {
    Settings { drop_packet: Defence::Always, am_droprate, ..Settings::default() }
}

fn entries() -> Settings {
    Settings { drop_entry: Defence::Always, ..Settings::default() }
}

/// Which of so many new connections' SYNs are dropped, from a port on.
fn dropped(world: &mut World, first: u16, connections: u16) -> Vec<u16> {
    (0..connections).filter(|number| world.client(1, first + number, "S").is_none()).collect()
}

/// Connections of each of these states.
fn states<const N: usize>(world: &World, states: [&str; N]) -> [usize; N] {
    let table = world.table();
    states.map(|state| table.iter().filter(|entry| entry.contains(&format!(" {state} "))).count())
}

#[test]
fn the_first_of_each_ten_openings_is_dropped() {
    let mut world = World::new(packets(10), None);
    assert_eq!(dropped(&mut world, 1000, 60), [0, 10, 20, 30, 40, 50]);
    assert_eq!(world.director.counters().dropped(DropReason::Defence), 6);
    assert_eq!(dropped(&mut World::new(packets(3), None), 1000, 9), [0, 3, 6]);
    assert_eq!(dropped(&mut World::new(packets(1), None), 1000, 4), [0, 1, 2, 3]);
    assert!(dropped(&mut World::new(packets(0), None), 1000, 30).is_empty());
}

#[test]
fn packets_of_a_connection_are_not_dropped() {
    let mut world = World::new(Settings::default(), None);
    let server = world.hold(1, 1000);
    world.director.set_settings(packets(1));
    assert_eq!(dropped(&mut world, 2000, 5).len(), 5);
    assert!((0..20).all(|_| world.client(1, 1000, "A") == server));
}

#[test]
fn the_less_memory_is_free_the_more_is_dropped() {
    let settings = Settings { drop_packet: Defence::WhenLow, amemthresh: 1000, ..Settings::default() };
    let mut world = World::new(settings, None);
    assert!(world.director.watches_memory());
    assert!(dropped(&mut world, 1000, 20).is_empty(), "nobody has said how much is free");
    for (round, (free, rate)) in (0..).zip([(1000, 0), (999, 1000), (800, 5), (500, 2), (400, 1), (0, 1), (5000, 0)]) {
        world.director.set_free_memory(free);
        world.wait(1);
        let last_of_each: Vec<u16> = (0..20).filter(|number| rate != 0 && (number + 1) % rate == 0).collect();
        assert_eq!(dropped(&mut world, 2000 + 100 * round, 20), last_of_each, "{free} pages free");
    }
}

#[test]
fn each_second_a_thirty_second_of_half_open_connections_ends() {
    let mut world = World::new(entries(), None);
    for port in 0..400 {
        world.client(1, 1000 + port, "S");
    }
    let mut left = vec![400];
    for _ in 0..40 {
        world.wait(1);
        left.push(states(&world, ["SYN_RECV"])[0]);
    }
    for (second, left) in left.iter().enumerate() {
        let expected = 400.0 * (31.0_f64 / 32.0).powi(second as i32);
        assert!((*left as f64 - expected).abs() < 30.0, "{left} after {second} s, not {expected:.0}");
    }
    let gone = 400 - left.last().unwrap();
    assert_eq!(world.director.counters().ended_in_defence, gone as u64);
}

/// Recorded: 400 connections each of UDP with 1, 2, 3, 8 and 9 packets of the client, and how many were left so many seconds after.
const IDLE: [(u64, [u32; 5]); 5] = [
    (55, [400, 400, 400, 400, 400]),
    (65, [327, 365, 378, 390, 400]),
    (125, [54, 145, 212, 314, 400]),
    (185, [11, 55, 113, 253, 400]),
    (255, [2, 20, 58, 198, 400]),
];

#[test]
fn the_more_packets_there_were_the_longer_an_idle_connection_stays() {
    const EACH: u16 = 95;
    let mut world = World::with_service(entries(), udp_service());
    world.add(1);
    for (group, packets) in (0..).zip([1, 2, 3, 8, 9]) {
        for port in (1..=EACH).map(|port| port + 1000 * group) {
            for _ in 0..packets {
                world.send(&format!("IP 10.0.0.1>10.0.0.100 ttl 64 tos 0x0 id 1 DF UDP {port}>80 len 9"));
            }
        }
    }
    let mut passed = 0;
    for (seconds, recorded) in IDLE {
        while passed < seconds {
            world.wait(1);
            passed += 1;
        }
        let port = |view: ConnectionView| usize::from(view.client.port() / 1000);
        let mut left = [0; 5];
        world.director.connections(world.now).for_each(|view| left[port(view)] += 1);
        for (left, recorded) in left.into_iter().zip(recorded) {
            let expected = recorded * u32::from(EACH) / 400;
            assert!(expected.abs_diff(left) <= 14, "{left} after {seconds} s, not {expected}");
        }
    }
}

fn udp_service() -> ServiceConfig {
    service(Protocol::Udp, "10.0.0.100:80".parse().unwrap(), SchedulerKind::Rr)
}

#[test]
fn what_is_in_use_or_closing_stays() {
    let mut world = World::new(entries(), None);
    for port in 0..100 {
        world.visit(1, 1000 + port);
        world.hold(2, 1000 + port);
        assert!((0..7).all(|_| world.client(2, 1000 + port, "A").is_some()));
        world.hold(3, 1000 + port);
    }
    assert_eq!(states(&world, ["TIME_WAIT", "ESTABLISHED"]), [100, 200]);
    world.wait(59);
    assert_eq!(states(&world, ["TIME_WAIT", "ESTABLISHED"]), [100, 200], "less than a minute idle");
    for _ in 0..200 {
        world.wait(1);
    }
    let table = world.table();
    let of = |client: &str| table.iter().filter(|entry| entry.starts_with(client)).count();
    assert_eq!(of("10.0.0.2:"), 100, "nine packets");
    // Of those with two packets every other one that is met ends.
    assert!(of("10.0.0.3:") < 20, "{}", of("10.0.0.3:"));
}

#[test]
fn a_template_that_nothing_has_confirmed_goes_with_its_connection() {
    let mut world = World::new(entries(), Some(600));
    for client in 1..=50 {
        world.client(client, 1000, "S");
        world.hold(100 + client, 1000);
    }
    assert_eq!(states(&world, ["NONE", "SYN_RECV", "ASSURED", "ESTABLISHED"]), [50; 4]);
    for _ in 0..50 {
        world.wait(1);
    }
    let [unconfirmed, half_open, assured, _] = states(&world, ["NONE", "SYN_RECV", "ASSURED", "ESTABLISHED"]);
    assert_eq!((unconfirmed, assured), (half_open, 50));
    assert!(half_open < 25, "{half_open}");
}

#[test]
fn without_it_nothing_ends_before_its_time() {
    let mut world = World::new(Settings::default(), None);
    assert!(!world.director.watches_memory());
    assert_eq!(dropped(&mut world, 1000, 100).len(), 0);
    for _ in 0..55 {
        world.wait(1);
    }
    assert_eq!(states(&world, ["SYN_RECV"]), [100]);
}

#[test]
fn under_secure_tcp_the_server_establishes_the_connection() {
    let mut world = World::new(Settings { secure_tcp: Defence::Always, ..Settings::default() }, None);
    let server = world.client(1, 1000, "S").unwrap();
    let mut after = |side: &str, flags: &str| {
        match side {
            "client" => drop(world.client(1, 1000, flags)),
            _ => drop(world.server(server, 1, 1000, flags)),
        }
        let table = world.table();
        assert_eq!(world.load(server), (1, 0, 0), "half open ones are active");
        table[0].split(' ').skip(3).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(after("client", "A"), "SYN_RECV 60", "an answer that was not asked for");
    assert_eq!(after("server", "SA"), "SYNACK 120");
    assert_eq!(after("client", "A"), "SYNACK 120");
    assert_eq!(after("client", "FA"), "SYNACK 120");
    assert_eq!(after("server", "A"), "ESTABLISHED 900");
}

#[test]
fn secure_tcp_comes_and_goes_with_the_memory() {
    let settings = Settings { secure_tcp: Defence::WhenLow, amemthresh: 1000, ..Settings::default() };
    let mut world = World::new(settings, None);
    assert!(world.director.watches_memory());
    for (port, (free, wanted)) in (1000..).zip([(1000, [1, 0]), (999, [1, 1]), (5000, [2, 1])]) {
        world.director.set_free_memory(free);
        world.wait(1);
        world.hold(1, port);
        assert_eq!(states(&world, ["ESTABLISHED", "SYN_RECV"]), wanted, "{free} pages free");
    }
}
