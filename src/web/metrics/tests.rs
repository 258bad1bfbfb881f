use super::*;
use crate::status::{
    Attempts, Change, Check, Engine, Group, Instance, Notifications, Reloads, Rival, Server, Service, Session,
    SyncDaemons, Traffic, Vote,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const NOW: u64 = 1_795_220_465_250;

fn instance() -> Instance {
    let vote = |tracker: &str, effect: &str, adjustment| Vote {
        tracker: tracker.to_owned(),
        weight: adjustment,
        reverse: false,
        verdict: "down".to_owned(),
        effect: effect.to_owned(),
        adjustment,
        of_group: false,
    };
    Instance {
        name: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        vrid: 51,
        family: 4,
        protocol: 3,
        state: "MASTER".to_owned(),
        base_priority: 150,
        effective_priority: 90,
        votes: vec![vote("script \"a\\b\"", "adjust", -60), vote("interface eth1", "fault", 0)],
        waits_for: None,
        addresses: vec!["10.0.0.100/24".to_owned()],
        excluded_addresses: vec!["10.0.0.101/24".to_owned()],
        source: None,
        master: None,
        rival: Some(Rival {
            address: [10, 0, 0, 2].into(),
            priority: 50,
            refused: None,
            since_at_ms: NOW - 3000,
            heard_at_ms: NOW - 1000,
            adverts: 3,
        }),
        preempts: true,
        preempts_at_ms: None,
        advert_interval_ms: 100,
        master_down_ms: 364,
        next: None,
        group: Some("VG_1".to_owned()),
        wants_master: false,
        history: vec![Change {
            at_ms: NOW - 61_000,
            from: "BACKUP".to_owned(),
            to: "MASTER".to_owned(),
            reason: String::new(),
        }],
        statistics: crate::status::Statistics { advert_sent: 610, chk_err: 2, ..Default::default() },
        announcements: Some(12),
    }
}

fn service() -> Service {
    let check = |up: bool| Check {
        kind: "TCP_CHECK".to_owned(),
        up,
        since_at_ms: Some(NOW - 500),
        reason: String::new(),
        attempts: Some(Attempts { ended: 7, failed: 2, latest_us: Some(1500) }),
    };
    let traffic = Traffic { connections: 5, packets_in: 40, packets_out: 30, bytes_in: 4000, bytes_out: 90_000 };
    Service {
        name: "[10.0.0.100]:tcp:80".to_owned(),
        by_hand: false,
        forwarded: true,
        scheduler: "wrr".to_owned(),
        quorum: true,
        needed: 1,
        living: 3,
        sorry: None,
        sorry_serves: false,
        traffic,
        servers: vec![Server {
            name: "[10.1.0.1]:tcp:80".to_owned(),
            alive: true,
            weight: Some(3),
            full_weight: 3,
            notes: Vec::new(),
            checks: vec![check(true), check(false)],
            active: 2,
            inactive: 1,
            traffic,
        }],
    }
}

/// A picture with something of everything.
fn picture() -> Status {
    Status {
        forwarder: Some("embedded".to_owned()),
        version: "Standfast v0.1.0".to_owned(),
        host: "lb1".to_owned(),
        pid: 7,
        now_at_ms: NOW,
        started_at_ms: NOW - 7_200_000,
        configured_at_ms: NOW - 3_600_000,
        configuration: "/etc/keepalived/keepalived.conf".to_owned(),
        latest_event: 9,
        instances: vec![instance()],
        groups: vec![Group { name: "VG_1".to_owned(), state: "MASTER".to_owned(), members: vec!["VI_1".to_owned()] }],
        sessions: vec![Session {
            name: "B1".to_owned(),
            neighbor: [10, 0, 0, 3].into(),
            state: "Up".to_owned(),
            remote_state: "Up".to_owned(),
            diagnostic: String::new(),
            since_at_ms: NOW - 1,
        }],
        services: vec![service()],
        engine: Some(Engine {
            connections: 4,
            carried_connections: 2,
            carried_packets: 900,
            received: 70,
            sent: 69,
            reinjected: 1,
            overflowed: 0,
            unsent: 0,
            dropped: vec![("bad ICMP checksum".to_owned(), 1)],
            ended_in_defence: 0,
            restarts: 0,
        }),
        reloads: Reloads { applied: 2, refused: 1 },
        notifications: Notifications { scripts_ended: 3, scripts_failed: 1, ..Default::default() },
        sync: Some(SyncDaemons {
            sends: true,
            sent: 5,
            adopted: vec![("created".to_owned(), 2)],
            refused: vec![("foreign network".to_owned(), 1)],
            ..Default::default()
        }),
    }
}

fn scrape() -> String {
    text(&picture(), &Process::now())
}

fn families() -> impl Iterator<Item = &'static Family> {
    GROUPS.iter().flat_map(|(_, families)| *families)
}

#[test]
fn a_scrape_is_openmetrics() {
    let process = Process {
        cpu: Some(std::time::Duration::from_millis(1250)),
        resident: Some(12_345_344),
        descriptors: Some(20),
        most_descriptors: Some(1024),
        threads: Some(14),
    };
    insta::assert_snapshot!(text(&picture(), &process));
}

/// OpenMetrics 1.0: unit and suffixes are part of the name, a family stands once, labels are not repeated.
#[test]
fn names_follow_the_rules() {
    let mut seen = BTreeSet::new();
    for family in families() {
        let Family { name, unit, labels, help, .. } = family;
        assert!(seen.insert(*name), "{name} is there twice");
        assert!(name.starts_with("standfast_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{name}");
        assert!(unit.is_none_or(|unit| name.ends_with(&format!("_{unit}"))), "{name}");
        let untold = ["seconds", "bytes"].iter().any(|unit| name.ends_with(&format!("_{unit}")));
        assert_eq!(untold, unit.is_some(), "{name}: the unit is said by the name and by the row");
        assert!(!name.ends_with("_total") && !name.ends_with("_info") && !name.ends_with("_count"), "{name}");
        assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len(), "{name}");
        assert!(!labels.iter().any(|label| ["instance", "job", "le"].contains(label)), "{name}");
        assert!(!help.contains('\n') && !help.contains('|') && !help.ends_with('.'), "{name}: {help}");
    }
}

#[test]
fn every_family_has_samples_and_the_labels_that_it_tells() {
    let text = scrape();
    for family in families() {
        let name = family.sample_name();
        let samples: Vec<&str> =
            text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name.as_str())).collect();
        assert!(!samples.is_empty(), "no sample of {name}");
        for sample in samples {
            let labels = family.labels.iter().all(|label| sample.contains(&format!("{label}=\"")));
            assert!(labels && sample.matches("=\"").count() == family.labels.len(), "{sample}");
        }
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn names_of_the_configuration_cannot_break_a_line() {
    let mut picture = picture();
    picture.instances[0].name = "a\"} 1\nevil{x=\"\\".to_owned();
    let text = text(&picture, &Process::default());
    let expected = r#"standfast_vrrp_priority{vrrp_instance="a\"} 1\nevil{x=\"\\"} 90"#;
    assert!(text.lines().any(|line| line == expected), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("evil")));
}

/// Prometheus throws a scrape with two equal series away as a whole.
#[test]
fn a_name_that_is_there_twice_counts_once() {
    let mut picture = picture();
    picture.instances.push(instance());
    picture.services.push(service());
    let text = text(&picture, &Process::default());
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
        assert!(seen.insert(series), "{series}");
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_page_of_metrics_is_fresh() {
    const MARKS: [&str; 2] = ["<!-- made from the table of metrics -->\n\n", "<!-- end -->"];
    let path = repository("docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let wanted = format!("{before}{}{}{}{after}", MARKS[0], reference(), MARKS[1]);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == wanted, "docs/metrics.md is old: UPDATE_REFERENCE=1 cargo test --lib page_of_metrics");
}

/// What PromQL calls by these names, and a family's labels with those that Prometheus adds.
fn queried(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("standfast_").chain(text.match_indices("process_")) {
        if text[..at].ends_with(word) {
            continue;
        }
        let name: String = text[at..].chars().take_while(|c| word(*c)).collect();
        let rest = &text[at + name.len()..];
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let labels = selector.split(',').filter_map(|part| part.split(['=', '!']).next());
        let labels = labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        found.push((name, labels.collect()));
    }
    found
}

fn check_queries(file: &str, queries: &[String]) {
    let known: BTreeMap<String, &Family> = families().map(|family| (family.sample_name(), family)).collect();
    let mut used = 0;
    for query in queries {
        for (name, labels) in queried(query) {
            let family = known.get(&name).unwrap_or_else(|| panic!("{file}: there is no metric {name}"));
            for label in labels.iter().filter(|label| !["instance", "job"].contains(&label.as_str())) {
                assert!(family.labels.contains(&label.as_str()), "{file}: {name} has no label {label}");
            }
            used += 1;
        }
    }
    assert!(used > 10, "{file} asks for {used} metrics");
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let text = std::fs::read_to_string(repository("examples/grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    collect_queries(&dashboard, &mut queries);
    check_queries("the dashboard", &queries);
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len(), "two panels have one number");
    for panel in panels {
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
    }
}

fn collect_queries(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_str()) {
                    ("expr" | "query", Some(query)) => queries.push(query.to_owned()),
                    _ => collect_queries(value, queries),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_queries(value, queries)),
        _ => {}
    }
}

#[test]
fn the_alert_rules_ask_for_metrics_that_exist() {
    let text = std::fs::read_to_string(repository("examples/standfast-alerts.yml")).unwrap();
    let queries: Vec<String> =
        text.lines().filter_map(|line| line.trim().strip_prefix("expr:")).map(str::to_owned).collect();
    assert_eq!(queries.len(), text.matches("- alert:").count());
    check_queries("the rules", &queries);
}
