//! When a director tells of connections: the kernel's rules as recorded, and our own.

use std::time::Duration;

use standfast_ipvs::sync::SyncSettings;
use standfast_ipvs::{Forwarding, Persistence, PersistenceEngine, Protocol, SchedulerKind, Settings};

use super::{records, told};
use crate::support::service;
use crate::support::world::{VIP, World};

fn world(settings: SyncSettings) -> World {
    telling(World::new(Settings::default(), None), settings)
}

fn telling(mut world: World, settings: SyncSettings) -> World {
    world.director.set_sync(Some(settings));
    world
}

fn kernel() -> SyncSettings {
    SyncSettings::default()
}

fn at_once() -> SyncSettings {
    SyncSettings { at_once: true, ..kernel() }
}

/// Which of `count` client packets, `pause` seconds apart, made the connection be told.
fn packets_that_tell(settings: SyncSettings, count: u32, pause: u64) -> Vec<u32> {
    let mut world = world(settings);
    let mut telling = Vec::new();
    for packet in 1..=count {
        world.client(50, 1000, if packet == 1 { "S" } else { "A" });
        telling.extend(told(&mut world.director).iter().map(|_| packet));
        world.wait(pause);
    }
    telling
}

/// ipvs-recordings d1: one NAT connection packet by packet.
#[test]
fn a_life_as_the_kernel_tells_it() {
    let mut world = world(kernel());
    let connection = "10.0.0.50:1000 10.0.0.100:80 10.1.0.3:80";
    let steps = [
        ("c S", None),
        ("s SA", None),
        ("c A", None),
        ("c PA", Some("1 0 900")),
        ("s PA", None),
        ("c A", None),
        ("c FA", Some("7 100 60")),
        ("s FA", None),
        ("c A", Some("5 100 120")),
    ];
    for (step, expected) in steps {
        match step.split_once(' ').unwrap() {
            ("c", flags) => {
                world.client(50, 1000, flags);
            }
            (_, flags) => {
                world.server(3, 50, 1000, flags);
            }
        }
        let expected: Vec<_> = expected.iter().map(|rest| format!("{connection} {rest}")).collect();
        assert_eq!(told(&mut world.director), expected, "{step}");
        world.wait(3);
    }
}

/// ipvs-recordings d4.
#[test]
fn thresholds_as_recorded() {
    let threshold = |threshold, period| SyncSettings { threshold, period, ..kernel() };
    assert_eq!(packets_that_tell(threshold(3, 50), 110, 4), [3, 53, 103]);
    let every_fifth: Vec<_> = (6..=106).step_by(5).collect();
    assert_eq!(packets_that_tell(threshold(1, 5), 110, 4), every_fifth);
    let every_fifth: Vec<_> = (5..=110).step_by(5).collect();
    assert_eq!(packets_that_tell(threshold(0, 5), 110, 4), every_fifth);
    assert_eq!(packets_that_tell(threshold(3, 0), 110, 4), [3]);
}

/// ipvs-recordings d4: told with packets 3, 53 and 103 although the refresh period is ten seconds.
#[test]
fn a_refresh_period_holds_back_what_was_told_lately() {
    let refresh = SyncSettings { refresh_period: Duration::from_secs(10), ..kernel() };
    assert_eq!(packets_that_tell(refresh, 110, 1), [3, 53, 103]);
    let rarely = SyncSettings { period: 2, threshold: 1, refresh_period: Duration::from_secs(60), ..kernel() };
    assert_eq!(packets_that_tell(rarely, 110, 1), [3, 63]);
    let again = SyncSettings { retries: 2, ..rarely };
    assert_eq!(packets_that_tell(again, 62, 1), [3, 11, 19], "twice more, each an eighth of the period later");
    let by_time = SyncSettings { period: 0, ..rarely };
    assert_eq!(packets_that_tell(by_time, 122, 1), [2, 62, 122]);
}

/// ipvs-recordings d6: half open connections are never told of, a server's FIN with the client's next packet.
#[test]
fn states_as_recorded() {
    let mut world = world(kernel());
    for _ in 0..5 {
        world.client(50, 2000, "S");
    }
    assert_eq!(told(&mut world.director), [""; 0]);
    world.hold(50, 1000);
    world.client(50, 1000, "A");
    assert_eq!(told(&mut world.director).len(), 1);
    world.server(2, 50, 1000, "FA");
    assert_eq!(told(&mut world.director), [""; 0]);
    world.client(50, 1000, "A");
    assert_eq!(told(&mut world.director), ["10.0.0.50:1000 10.0.0.100:80 10.1.0.2:80 4 100 120"]);
    world.client(50, 1000, "FA");
    assert_eq!(told(&mut world.director), ["10.0.0.50:1000 10.0.0.100:80 10.1.0.2:80 5 100 120"]);
}

/// ipvs-recordings d3: the flags of each way of forwarding.
#[test]
fn ways_of_forwarding_have_their_flags() {
    for (forwarding, flags) in [(Forwarding::Dr, "83"), (Forwarding::Tunnel(Default::default()), "82")] {
        let mut world = world(kernel());
        (1..=3).for_each(|server| world.remove(server));
        world.forwarding = forwarding;
        world.add(9);
        for flags in ["S", "A", "A"] {
            world.client(50, 1000, flags);
        }
        let expected = format!("10.0.0.50:1000 10.0.0.100:80 10.1.0.9:80 1 {flags} 900");
        assert_eq!(told(&mut world.director), [expected]);
    }
}

/// ipvs-recordings d3 and d6: a template with every client packet, its connection by the count.
#[test]
fn templates_as_recorded() {
    let mut world = telling(World::new(Settings::default(), Some(100)), kernel());
    let template = |state| format!("10.0.0.50:0 10.0.0.100:80 10.1.0.3:80 {state} 1100 100");
    world.client(50, 3001, "S");
    assert_eq!(told(&mut world.director), [template(0)]);
    world.client(50, 3001, "A");
    assert_eq!(told(&mut world.director), [template(1)]);
    world.client(50, 3001, "PA");
    let connection = "10.0.0.50:3001 10.0.0.100:80 10.1.0.3:80 1 0 900".to_owned();
    assert_eq!(told(&mut world.director), [connection, template(1)]);
    world.client(50, 3001, "A");
    assert_eq!(told(&mut world.director), [template(1)]);
}

/// ipvs-recordings d5.
#[test]
fn persist_mode_leaves_the_connections_of_templates_out() {
    let mut world =
        telling(World::new(Settings::default(), Some(100)), SyncSettings { persist_mode: true, ..kernel() });
    world.hold(50, 3001);
    world.client(50, 3001, "A");
    let states: Vec<_> =
        told(&mut world.director).iter().map(|line| line.split(' ').nth(3).unwrap().to_owned()).collect();
    assert_eq!(states, ["0", "1", "1"]);
}

#[test]
fn udp_is_told_by_the_count() {
    let mut config = service(Protocol::Udp, "10.0.0.100:53".parse().unwrap(), SchedulerKind::Rr);
    config.persistence = None;
    let mut world = telling(World::with_service(Settings::default(), config), kernel());
    world.add(1);
    let packet = "IP 10.0.0.50>10.0.0.100 ttl 64 tos 0x0 id 1 DF UDP 3000>53 len 9";
    for _ in 0..2 {
        world.send(packet);
    }
    assert_eq!(told(&mut world.director), [""; 0]);
    world.send(packet);
    assert_eq!(told(&mut world.director), ["10.0.0.50:3000 10.0.0.100:53 10.1.0.1:53 0 100 300"]);
}

#[test]
fn at_once_tells_from_the_first_packet_on() {
    let mut world = world(at_once());
    let connection = "10.0.0.50:1000 10.0.0.100:80 10.1.0.3:80";
    let steps = [
        ("c S", "3 0 60"),
        ("s SA", ""),
        ("c A", "1 0 900"),
        ("c PA", ""),
        ("s FA", "4 100 120"),
        ("c FA", "5 100 120"),
    ];
    for (step, expected) in steps {
        match step.split_once(' ').unwrap() {
            ("c", flags) => {
                world.client(50, 1000, flags);
            }
            (_, flags) => {
                world.server(3, 50, 1000, flags);
            }
        }
        let expected: Vec<_> =
            Some(expected).filter(|rest| !rest.is_empty()).iter().map(|rest| format!("{connection} {rest}")).collect();
        assert_eq!(told(&mut world.director), expected, "{step}");
    }
}

#[test]
fn at_once_tells_again_before_a_quarter_of_the_time_is_over() {
    let tellings = packets_that_tell(at_once(), 50, 10);
    assert_eq!(tellings, [1, 2, 25, 48], "each 225 of 900 seconds, with a packet each ten");
}

/// What a flood of SYNs leaves of the allowance does not hold up connections that are established.
#[test]
fn half_open_connections_are_told_up_to_so_many() {
    let mut world = world(at_once());
    let open = |world: &mut World| {
        for flags in ["A", "R"] {
            world.client(50, 1000, flags);
        }
        told(&mut world.director);
        world.client(50, 1000, "S");
        told(&mut world.director)
    };
    let of_row = (0..SyncSettings::HALF_OPEN_IN_A_ROW).filter(|_| !open(&mut world).is_empty()).count();
    assert_eq!(of_row, SyncSettings::HALF_OPEN_IN_A_ROW as usize);
    assert_eq!(open(&mut world), [""; 0], "the allowance is used up");
    world.client(50, 1000, "S");
    assert_eq!(told(&mut world.director), [""; 0]);
    world.client(50, 1000, "A");
    assert!(told(&mut world.director)[0].contains(" 1 0 900"), "established");
    world.wait(1);
    assert!(open(&mut world)[0].contains(" 3 0 60"), "half open");
}

#[test]
fn a_full_outbox_refuses_and_a_later_packet_tells() {
    let config = service(Protocol::Tcp, "10.0.0.100:80".parse().unwrap(), SchedulerKind::Rr);
    let mut world = telling(World::with_service(Settings::default(), config), at_once());
    world.add(1);
    for round in 0..10 {
        for port in 0..450 {
            world.client(50, 1000 + port, if round % 2 == 0 { "S" } else { "A" });
            if round % 2 == 1 {
                world.client(50, 1000 + port, "R");
            }
        }
    }
    let refused = world.director.outbox().unwrap().refused();
    assert!(refused > 0);
    told(&mut world.director);
    world.client(50, 1000, "S");
    world.client(50, 1000, "A");
    assert!(!told(&mut world.director).is_empty());
    assert_eq!(world.director.outbox().unwrap().refused(), refused);
}

#[test]
fn the_template_of_a_call_is_told_with_its_call() {
    let mut config = service(Protocol::Udp, "10.0.0.100:5060".parse().unwrap(), SchedulerKind::Rr);
    let engine = Some(PersistenceEngine::Sip);
    config.persistence = Some(Persistence { timeout: Duration::from_secs(50), prefix_len: 24, engine });
    let mut world = telling(World::with_service(Settings::default(), config), at_once());
    world.add(1);
    let message = b"INVITE sip:a SIP/2.0\r\nCall-ID: abc@d\r\n\r\n";
    let ip = "IP 10.0.0.50>10.0.0.100 ttl 64 tos 0x0 id 1 DF UDP 3000>5060";
    let mut packet = crate::support::build::packet(&format!("{ip} len {}", message.len() + 8));
    let start = packet.len() - message.len();
    packet[start..].copy_from_slice(message);
    let mut frame = standfast_ipvs::Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 };
    world.director.receive(&mut frame, Default::default(), world.now);
    let records = records(&mut world.director);
    let template = standfast_ipvs::sync::Entry::decode(&records[1]).unwrap().0;
    assert_eq!(super::line(&template), "10.0.0.0:0 10.0.0.100:5060 10.1.0.1:5060 0 1100 50");
    let engine = template.engine.unwrap();
    assert_eq!((engine.name, engine.data), (&b"sip"[..], &b"abc@d"[..]));
}

#[test]
fn all_of_a_table_is_told_in_turns() {
    let mut world = world(kernel());
    for port in 0..30 {
        world.hold(50, 1000 + port);
    }
    world.visit(51, 1);
    told(&mut world.director);
    let mut from = Some(0);
    let mut lines = Vec::new();
    while let Some(place) = from {
        from = world.director.tell_all(place, 7, world.now);
        lines.extend(told(&mut world.director));
    }
    assert_eq!(lines.len(), 31);
    assert!(lines.iter().any(|line| line.ends_with("5 100 120")), "TIME_WAIT, too");
    assert!(lines.iter().all(|line| line.contains(VIP)));
}

#[test]
fn who_tells_nobody_has_no_outbox() {
    let mut world = world(kernel());
    world.director.set_sync(None);
    world.hold(50, 1000);
    assert!(world.director.outbox().is_none());
    assert_eq!(world.director.tell_all(0, 10, world.now), None);
}

#[test]
fn a_connection_from_before_is_told_with_its_next_packet() {
    let mut world = world(kernel());
    world.director.set_sync(None);
    world.hold(50, 1000);
    world.client(51, 1000, "S");
    world.director.set_sync(Some(kernel()));
    world.client(50, 1000, "A");
    world.client(51, 1000, "S");
    let expected = ["10.0.0.50:1000 10.0.0.100:80 10.1.0.3:80 1 0 900"];
    assert_eq!(told(&mut world.director), expected, "and a half open one is not");
    for _ in 0..48 {
        world.client(50, 1000, "A");
    }
    assert_eq!(told(&mut world.director).len(), 0);
    world.client(50, 1000, "A");
    assert_eq!(told(&mut world.director), expected);
}
