//! What a director makes of connections that another one tells of.

use std::net::SocketAddr;

use standfast_ipvs::sync::{Adoption, EngineData, Entry, Flags};
use standfast_ipvs::{DropReason, Forwarding, PassReason, Settings, Verdict};

use super::{entry, records};
use crate::support::service;
use crate::support::world::World;

fn world() -> World {
    World::new(Settings::default(), None)
}

impl World {
    fn adopt(&mut self, entry: &Entry<'_>) -> Adoption {
        self.director.adopt(entry, self.now)
    }
}

fn closing(entry: Entry<'static>) -> Entry<'static> {
    Entry { flags: Flags(entry.flags.0 | Flags::INACTIVE), state: 5, timeout: 120, ..entry }
}

fn at(server: u8, port: u16) -> Entry<'static> {
    Entry { server: SocketAddr::from(([10, 1, 0, server], 80)), ..entry(port) }
}

#[test]
fn an_entry_makes_a_connection_with_the_sent_time() {
    let mut world = world();
    assert_eq!(world.adopt(&entry(1000)), Adoption::Created);
    assert_eq!(world.table(), ["10.0.0.50:1000 10.0.0.100:80 10.1.0.1:80 ESTABLISHED 900"]);
    assert_eq!(world.load(1), (1, 0, 0));
    world.wait(100);
    assert_eq!(world.table(), ["10.0.0.50:1000 10.0.0.100:80 10.1.0.1:80 ESTABLISHED 800"]);
    assert_eq!(world.adopt(&entry(1000)), Adoption::Refreshed);
    assert_eq!(world.table(), ["10.0.0.50:1000 10.0.0.100:80 10.1.0.1:80 ESTABLISHED 900"]);
    assert_eq!(world.adopt(&closing(entry(1000))), Adoption::Refreshed);
    assert_eq!(world.table(), ["10.0.0.50:1000 10.0.0.100:80 10.1.0.1:80 TIME_WAIT 120"]);
    assert_eq!(world.load(1), (0, 1, 0));
    world.wait(121);
    assert_eq!((world.table().len(), world.load(1)), (0, (0, 0, 0)));
}

#[test]
fn its_packets_go_on_to_the_same_server_both_ways() {
    let mut world = world();
    (0..10).for_each(|port| assert_eq!(world.adopt(&at(1, 1000 + port)), Adoption::Created));
    for port in 1000..1010 {
        assert_eq!(world.client(50, port, "PA"), Some(1));
    }
    // A server that was answering has no client's packet to wait for.
    world.adopt(&at(2, 2000));
    assert!(matches!(world.server(2, 50, 2000, "A"), Verdict::ToClient { .. }));
    assert_eq!(world.view(1).failures, Default::default());
}

#[test]
fn without_the_server_it_waits_and_is_bound_by_the_next_word_or_packet() {
    let mut world = world();
    (1..=3).for_each(|server| world.remove(server));
    world.adopt(&at(1, 1000));
    world.adopt(&at(1, 1001));
    assert_eq!(world.director.connection_count(), 2);
    let dropped = world.segment(50, 1000, "A", ("10.0.0.100", 80));
    assert_eq!(dropped, Verdict::Drop(DropReason::DestinationRemoved));
    world.add(1);
    assert_eq!(world.load(1), (0, 0, 0));
    assert_eq!(world.adopt(&at(1, 1000)), Adoption::Refreshed);
    assert_eq!(world.load(1), (1, 0, 0));
    assert_eq!(world.client(50, 1001, "A"), Some(1));
    assert_eq!(world.load(1), (2, 0, 0));
    // A SYN that is repeated does not open another one, either.
    world.adopt(&Entry { state: 3, timeout: 60, ..at(2, 1002) });
    world.add(2);
    assert_eq!(world.client(50, 1002, "S"), Some(2));
    assert_eq!(world.load(2), (1, 0, 0));
}

#[test]
fn a_server_that_is_gone_obeys_expire_nodest_conn() {
    let mut world = World::new(Settings { expire_nodest_conn: true, ..Settings::default() }, None);
    world.adopt(&at(9, 1000));
    let verdict = world.segment(50, 1000, "A", ("10.0.0.100", 80));
    assert_eq!(verdict, Verdict::Pass(PassReason::NoConnection), "the host answers with RST");
    assert_eq!(world.director.connection_count(), 0);
}

/// ipvs-recordings d5: a server of another port does not count it, and one of another way of forwarding lends it its own.
#[test]
fn it_is_forwarded_as_its_server() {
    let mut world = world();
    world.adopt(&Entry { server: "10.1.0.1:8080".parse().unwrap(), ..entry(1000) });
    assert_eq!(world.load(1), (0, 0, 0));
    world.remove(2);
    world.forwarding = Forwarding::Dr;
    world.add(2);
    world.adopt(&at(2, 1001));
    assert_eq!(world.load(2), (1, 0, 0));
    assert!(matches!(world.server(2, 50, 1001, "A"), Verdict::Pass(_)), "answers of DR bypass the director");
}

#[test]
fn a_connection_replaced_here_is_not_ended_by_the_old_ones_end() {
    let mut world = world();
    world.adopt(&at(1, 1000));
    assert_eq!(world.adopt(&closing(at(2, 1000))), Adoption::Outdated);
    assert_eq!(world.load(1), (1, 0, 0));
    assert_eq!(world.adopt(&at(2, 1000)), Adoption::Created);
    assert_eq!((world.load(1), world.load(2)), ((0, 0, 0), (1, 0, 0)));
    assert_eq!(world.director.connection_count(), 1);
}

fn template(server: u8) -> Entry<'static> {
    Entry {
        flags: Flags(Flags::INACTIVE | Flags::TEMPLATE),
        client: "10.0.0.50:0".parse().unwrap(),
        timeout: 100,
        ..at(server, 0)
    }
}

#[test]
fn a_template_is_followed_and_replaced() {
    let mut world = World::new(Settings::default(), Some(100));
    world.adopt(&template(1));
    assert_eq!(world.table(), ["10.0.0.50:0 10.0.0.100:80 10.1.0.1:80 ASSURED 100"]);
    assert_eq!(world.load(1), (0, 0, 1));
    world.wait(50);
    assert_eq!(world.client(50, 1000, "S"), Some(1));
    assert_eq!(world.load(1), (1, 0, 1));
    assert_eq!(world.adopt(&template(2)), Adoption::Created);
    assert_eq!(world.client(50, 1001, "S"), Some(2));
    // Without its server it is followed as soon as there is one.
    world.adopt(&Entry { client: "10.0.0.51:0".parse().unwrap(), ..template(4) });
    world.add(4);
    assert_eq!(world.client(51, 1000, "S"), Some(4));
}

#[test]
fn what_is_not_ours_changes_nothing() {
    let mut world = world();
    let unsupported = [
        Entry { protocol: 50, ..entry(1) },
        Entry { state: 8, ..entry(1) },
        Entry { state: 60_000, ..entry(1) },
        Entry { flags: Flags(4), ..entry(1) },
        Entry { flags: Flags(Flags::NO_CLIENT_PORT), ..entry(0) },
        Entry { client: "10.0.0.50:0".parse().unwrap(), ..entry(1) },
        Entry { server: "[fd01::1]:80".parse().unwrap(), ..entry(1) },
        Entry { engine: Some(EngineData { name: b"other", data: b"x" }), ..template(1) },
    ];
    for entry in unsupported {
        assert_eq!(world.adopt(&entry), Adoption::Unsupported, "{entry:?}");
    }
    assert_eq!(world.director.connection_count(), 0);
}

#[test]
fn a_full_table_stays_as_it_is() {
    let mut world = world();
    let adopted: Vec<_> = (1..=600).map(|port| world.adopt(&entry(port))).collect();
    assert_eq!(adopted.iter().filter(|adoption| **adoption == Adoption::Created).count(), 500);
    assert_eq!(adopted.last(), Some(&Adoption::Full));
}

/// Without a time-out (version 0) each entry gets its state's, a template three minutes.
#[test]
fn version_0_leaves_the_time_to_us() {
    let mut world = world();
    world.adopt(&Entry { timeout: 0, ..entry(1000) });
    world.adopt(&Entry { timeout: 0, ..template(1) });
    let expected = [
        "10.0.0.50:0 10.0.0.100:80 10.1.0.1:80 ASSURED 180",
        "10.0.0.50:1000 10.0.0.100:80 10.1.0.1:80 ESTABLISHED 900",
    ];
    assert_eq!(world.table(), expected);
}

/// The template of a call made by one director is found by the same call on another, which hashes otherwise.
#[test]
fn calls_are_followed() {
    let config = |seed| {
        let mut config = service(
            standfast_ipvs::Protocol::Udp,
            "10.0.0.100:5060".parse().unwrap(),
            standfast_ipvs::SchedulerKind::Rr,
        );
        config.persistence = Some(standfast_ipvs::Persistence {
            timeout: std::time::Duration::from_secs(50),
            prefix_len: 32,
            engine: Some(standfast_ipvs::PersistenceEngine::Sip),
        });
        let options = standfast_ipvs::Options { seed: [seed; 2], connection_limit: 50, ..Default::default() };
        let mut director = standfast_ipvs::Director::new(options);
        director.add_service(config.clone()).unwrap();
        let mut world = World { director, ..World::with_service(Settings::default(), config) };
        (1..=3).for_each(|server| world.add(server));
        world
    };
    let mut world = config(7);
    let engine = EngineData { name: b"sip", data: b"abc@d" };
    let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
    let told = Entry {
        protocol: 17,
        client: socket("10.0.0.60:0"),
        service: socket("10.0.0.100:5060"),
        server: socket("10.1.0.2:5060"),
        engine: Some(engine),
        ..template(2)
    };
    assert_eq!(world.adopt(&told), Adoption::Created);
    assert_eq!(world.adopt(&told), Adoption::Refreshed);
    assert_eq!(world.load(2), (0, 0, 1));
}

/// Everything that one director holds goes to another, which then holds the same.
#[test]
fn a_table_told_whole_is_the_same_table() {
    let mut first = world();
    for port in 0..200 {
        let _ = match port % 4 {
            0 => first.hold(50, 1000 + port),
            1 => first.visit(50, 1000 + port),
            2 => first.client(50, 1000 + port, "S"),
            _ => first.client(51, 1000 + port, "S"),
        };
    }
    first.director.set_sync(Some(Default::default()));
    let mut second = World { now: first.now, ..world() };
    let mut from = Some(0);
    while let Some(place) = from {
        from = first.director.tell_all(place, 50, first.now);
        for record in records(&mut first.director) {
            assert_eq!(second.adopt(&Entry::decode(&record).unwrap().0), Adoption::Created);
        }
    }
    assert_eq!(first.table(), second.table());
    for server in 1..=3 {
        assert_eq!(first.load(server), second.load(server));
    }
}
