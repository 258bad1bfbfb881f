//! Orders of a person as the forwarding table sees them.

use super::easing::table;
use super::*;
use crate::health::{ServerAction, ServerOrder};

const FIRST: &str = "10.1.0.1:80";

impl Bench {
    fn order(&mut self, server: &str, action: ServerAction) -> (Result<Vec<String>, String>, Vec<String>) {
        let order = ServerOrder { server: address(server), service: None, action };
        let said = self.farm.obey(&order, self.now);
        (said, table(self.drain()))
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair())]);
    bench
}

#[test]
fn a_drained_server_leaves_at_its_deadline_and_returns_when_told() {
    let mut bench = bench();
    let (said, changes) = bench.order(FIRST, ServerAction::Drain { deadline: Some(Duration::from_secs(30)) });
    assert_eq!(changes, ["-e 10.1.0.1 -w 0"]);
    let expected = "service [10.1.0.1]:tcp:80 of VS [10.0.0.100]:tcp:80: no new connections, \
                    the last ones are given up after 30 s (weight 0 in the table)";
    assert_eq!(said.unwrap(), [expected]);
    assert_eq!(bench.pass(60), ["30 -d 10.1.0.1"]);
    assert_eq!(bench.order(FIRST, ServerAction::Undo).1, ["-a 10.1.0.1 -w 0", "-e 10.1.0.1 -w 1"]);
}

#[test]
fn checks_go_on_behind_a_drained_server() {
    let mut bench = bench();
    bench.order(FIRST, ServerAction::Drain { deadline: Some(Duration::from_secs(1)) }).0.unwrap();
    bench.pass(2);
    assert_eq!(table(bench.down(0)), Vec::<String>::new());
    assert_eq!(table(bench.up(0)), Vec::<String>::new());
    bench.down(0);
    assert_eq!(bench.order(FIRST, ServerAction::Undo).1, Vec::<String>::new(), "it is dead");
    assert_eq!(table(bench.up(0)), ["-a 10.1.0.1 -w 1"]);
}

#[test]
fn an_ordered_weight_ends_with_its_time_and_survives_a_reload() {
    let mut bench = bench();
    let lasts = Some(Duration::from_secs(60));
    assert_eq!(bench.order(FIRST, ServerAction::Weight { weight: 9, lasts }).1, ["-e 10.1.0.1 -w 9"]);
    assert_eq!(table(bench.load(vec![service("10.0.0.100:80", pair())])), Vec::<String>::new());
    assert_eq!(bench.pass(100), ["60 -e 10.1.0.1 -w 1"]);
}

#[test]
fn an_order_does_not_revive_a_dead_server() {
    let mut bench = bench();
    bench.down(0);
    let (_, changes) = bench.order(FIRST, ServerAction::Weight { weight: 9, lasts: None });
    assert_eq!(changes, Vec::<String>::new());
    assert_eq!(table(bench.up(0)), ["-a 10.1.0.1 -w 9"]);
}

#[test]
fn a_pause_stops_attempts_until_it_is_over() {
    let mut bench = bench();
    assert_eq!(bench.farm.governed(&Default::default()), []);
    bench.order(FIRST, ServerAction::Pause { lasts: Some(Duration::from_secs(5)) }).0.unwrap();
    let paused = |bench: &Bench| bench.farm.governed(&Default::default()).iter().filter(|(_, runs)| !runs).count();
    assert_eq!(paused(&bench), 1);
    bench.pass(10);
    assert_eq!(paused(&bench), 0);
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let mut bench = bench();
    let (said, _) = bench.order("10.1.0.7:80", ServerAction::Undo);
    let expected = "there is no real server 10.1.0.7:80 in the configuration (there are: 10.1.0.1:80 10.1.0.2:80)";
    assert_eq!(said.unwrap_err(), expected);
    let order = ServerOrder { server: address(FIRST), service: Some("x".to_owned()), action: ServerAction::Undo };
    let said = bench.farm.obey(&order, bench.now).unwrap_err();
    assert_eq!(said, "there is no virtual server x in the configuration (there are: [10.0.0.100]:tcp:80)");
}
