use super::line::Line;
use super::{status, time, why};
use crate::status::{
    Change, Check, Instance, Master, Note, Remembered, Server, Service, Statistics, Status, Timer, Traffic, Vote,
};
use clap::CommandFactory as _;
use std::time::Duration;

const NOW: u64 = 1_795_220_465_000;

fn instance() -> Instance {
    let change = |ago: u64, from: &str, to: &str, reason: &str| Change {
        at_ms: NOW - ago,
        from: from.to_owned(),
        to: to.to_owned(),
        reason: reason.to_owned(),
    };
    let vote = |tracker: &str, weight: i32, verdict: &str, adjustment: i32| Vote {
        tracker: tracker.to_owned(),
        weight,
        reverse: false,
        verdict: verdict.to_owned(),
        effect: "adjust".to_owned(),
        adjustment,
        of_group: false,
    };
    Instance {
        name: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        vrid: 51,
        family: 4,
        protocol: 2,
        state: "BACKUP".to_owned(),
        base_priority: 150,
        effective_priority: 90,
        votes: vec![vote("script chk", -60, "down", -60), vote("interface eth0", 0, "up", 0)],
        waits_for: None,
        addresses: vec!["10.0.0.100/24".to_owned()],
        excluded_addresses: Vec::new(),
        source: Some([10, 0, 0, 1].into()),
        master: Some(Master { address: [10, 0, 0, 2].into(), priority: 100 }),
        rival: None,
        preempts: true,
        preempts_at_ms: None,
        advert_interval_ms: 1000,
        master_down_ms: 3648,
        next: Some(Timer { at_ms: NOW + 2900, reason: "master down interval".to_owned() }),
        group: None,
        wants_master: false,
        history: vec![
            change(7_200_000, "INIT", "BACKUP", "started"),
            change(7_196_000, "BACKUP", "MASTER", "no advert from a master in time"),
            change(65_000, "MASTER", "BACKUP", "advert from 10.0.0.2 with higher priority 100"),
        ],
        statistics: Statistics::default(),
        announcements: Some(6),
    }
}

fn server(name: &str, alive: bool, weight: Option<u32>) -> Server {
    let reason = if alive { "" } else { "Connection refused" };
    Server {
        name: name.to_owned(),
        alive,
        weight,
        full_weight: 3,
        notes: Vec::new(),
        checks: vec![Check {
            kind: "TCP_CHECK".to_owned(),
            up: alive,
            since_at_ms: Some(NOW - 61_000),
            reason: reason.to_owned(),
            attempts: None,
        }],
        active: 2,
        inactive: 1,
        traffic: Traffic::default(),
    }
}

fn picture() -> Status {
    let drained = Server {
        notes: vec![Note { what: "draining by order".to_owned(), until_at_ms: Some(NOW + 90_000) }],
        ..server("[10.1.0.3]:tcp:80", true, Some(0))
    };
    let service = Service {
        name: "[10.0.0.100]:tcp:80".to_owned(),
        by_hand: false,
        forwarded: true,
        scheduler: "wrr".to_owned(),
        quorum: true,
        needed: 1,
        living: 6,
        sorry: Some("[127.0.0.1]:tcp:80".to_owned()),
        sorry_serves: false,
        traffic: Traffic::default(),
        servers: vec![server("[10.1.0.1]:tcp:80", true, Some(3)), server("[10.1.0.2]:tcp:80", false, None), drained],
    };
    Status {
        version: "Standfast v0".to_owned(),
        host: "lb1".to_owned(),
        pid: 7,
        now_at_ms: NOW,
        started_at_ms: NOW - 7_200_000,
        configured_at_ms: NOW - 7_200_000,
        configuration: "/etc/keepalived/keepalived.conf".to_owned(),
        latest_event: 3,
        instances: vec![instance()],
        groups: Vec::new(),
        sessions: Vec::new(),
        services: vec![service],
        forwarder: Some("embedded".to_owned()),
        engine: None,
        reloads: Default::default(),
        notifications: Default::default(),
        sync: None,
    }
}

#[test]
fn the_picture_is_a_page_of_tables() {
    insta::assert_snapshot!(status::text(&picture()));
}

#[test]
fn why_names_every_vote_and_the_reason_of_the_last_change() {
    let picture = picture();
    let text = why::find(&picture, "VI_1").unwrap().text(&picture);
    for part in [
        "VI_1 is BACKUP since ",
        "(1m 5s ago): advert from 10.0.0.2 with higher priority 100\n",
        "priority 90: 150 configured\n  script chk: down, -60 (weight -60)\n  interface eth0: up, +0 (weight 0)\n",
        "the master is 10.0.0.2, priority 100: a higher priority\n",
        "next: master down interval in 2.9s\n",
        "BACKUP -> MASTER: no advert from a master in time\n",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn servers_are_found_by_address_and_explained() {
    let picture = picture();
    let text = why::find(&picture, "10.1.0.2:80").unwrap().text(&picture);
    assert!(text.starts_with("[10.1.0.2]:tcp:80 of [10.0.0.100]:tcp:80 is not in the table: TCP_CHECK fails since "));
    assert!(text.ends_with("(1m 1s ago): Connection refused\n"), "{text}");
    let text = why::find(&picture, "10.0.0.100:80").unwrap().text(&picture);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(why::find(&picture, "VI_2").unwrap_err().contains("there are: VI_1 [10.0.0.100]:tcp:80"));
}

#[test]
fn a_client_hears_of_its_connection_its_template_or_the_rule() {
    let mut picture = picture();
    picture.services[0].scheduler = "rr".to_owned();
    let service = &picture.services[0];
    let client = "198.51.100.7".parse().unwrap();
    let text = why::client_text(&picture, service, &[], client);
    assert!(text.starts_with("nothing is remembered of 198.51.100.7\na new connection gets the next server in turn"));
    let entry = Remembered {
        client: "198.51.100.0:0".parse().unwrap(),
        service: "10.0.0.100:80".parse().unwrap(),
        server: "10.1.0.1:80".parse().unwrap(),
        template: true,
        state: "NONE".to_owned(),
        expires_in_ms: 40_000,
    };
    assert!(why::is_of(service, &entry));
    let text = why::client_text(&picture, service, &[entry], client);
    assert_eq!(text, "new connections of 198.51.100.7 go to 10.1.0.1:80: persistence, for another 40.0s\n");
    assert!(why::client(&["from".to_owned(), "nobody".to_owned()]).is_err());
}

#[test]
fn times_are_read_and_written_as_people_do() {
    assert_eq!(time::parse("30"), Ok(Duration::from_secs(30)));
    assert_eq!(time::parse("1h 30m"), Ok(Duration::from_secs(5400)));
    assert!(time::parse("soon").is_err());
    let lengths = [(40, "40ms"), (3_650, "3.6s"), (60_000, "1m"), (5_400_000, "1h 30m"), (90_061_000, "1d 1h")];
    for (ms, text) in lengths {
        assert_eq!(time::length(ms), text);
    }
}

#[test]
fn the_command_line_is_sound() {
    Line::command().debug_assert();
}
