//! Slow start, draining and suspension as the forwarding table sees them.

use super::*;
use crate::health::Passive;
use crate::health::plan::Member;
use standfast_ipvs::{ServiceId, ServiceKey};

const WEB: &str = "10.0.0.100:80";

impl Bench {
    fn load_members(&mut self, servers: Vec<RealServer>, change: impl Fn(&mut Member)) -> Vec<String> {
        let config = Config { virtual_servers: vec![service(WEB, servers)], ..Config::default() };
        let mut plan = Plan::new(&config, &mut self.ids, &mut |_| None);
        self.checkers = plan.checkers.iter().map(|checker| checker.id).collect();
        plan.services.iter_mut().flat_map(|service| service.members.values_mut()).for_each(change);
        self.farm.load(plan, self.now);
        self.drain()
    }

    /// Lets time pass; the table changes with the seconds at which they came.
    pub(super) fn pass(&mut self, seconds: u64) -> Vec<String> {
        let (start, end) = (self.now, self.now + Duration::from_secs(seconds));
        let mut seen = Vec::new();
        while let Some(at) = self.farm.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.farm.handle_timeout(at);
            let at = (at - start).as_secs_f64();
            seen.extend(self.drain().into_iter().map(|change| format!("{at} {change}")));
        }
        self.now = end;
        seen
    }

    fn failures(&mut self, server: &str, total: u64) -> Vec<String> {
        let key = ServiceKey { protocol: standfast_ipvs::Protocol::Tcp, address: [10, 0, 0, 100].into(), port: 80 };
        self.farm.count_failures(ServiceId::Address(key), address(server), total, self.now);
        self.drain()
    }
}

pub(super) fn table(effects: Vec<String>) -> Vec<String> {
    effects.into_iter().filter(|effect| effect.starts_with('-')).collect()
}

#[test]
fn a_recovered_server_starts_slowly() {
    let mut bench = Bench::new();
    let servers = vec![real("10.1.0.1:80", 4), real("10.1.0.2:80", 4)];
    let effects = bench.load_members(servers, |member| member.slow_start = Some(Duration::from_secs(8)));
    assert!(effects.contains(&"-a 10.1.0.1 -w 4".to_owned()), "slow from the start: {effects:?}");
    bench.down(0);
    bench.pass(60);
    assert_eq!(table(bench.up(0)), ["-a 10.1.0.1 -w 1"]);
    assert_eq!(bench.pass(60), ["4 -e 10.1.0.1 -w 2", "6 -e 10.1.0.1 -w 3", "8 -e 10.1.0.1 -w 4"]);
}

#[test]
fn a_second_fall_ends_the_slow_start() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.slow_start = Some(Duration::from_secs(8)));
    bench.down(1);
    assert_eq!(table(bench.up(1)), ["-a 10.1.0.2 -w 1"]);
    assert_eq!(table(bench.down(1)), ["-d 10.1.0.2"]);
    assert_eq!(bench.pass(60), Vec::<String>::new());
}

#[test]
fn a_drained_server_leaves_at_its_deadline() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.drain = Some(Duration::from_secs(30)));
    assert_eq!(table(bench.down(0)), ["-e 10.1.0.1 -w 0"]);
    assert_eq!(bench.pass(29), Vec::<String>::new());
    assert_eq!(bench.pass(29), ["1 -d 10.1.0.1"]);
}

#[test]
fn a_server_that_returns_while_it_drains_keeps_its_connections() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.drain = Some(Duration::from_secs(30)));
    bench.down(1);
    bench.pass(10);
    assert_eq!(table(bench.up(1)), ["-e 10.1.0.2 -w 2"]);
    assert_eq!(bench.pass(60), Vec::<String>::new());
}

#[test]
fn a_server_that_a_reload_removes_is_drained_too() {
    let mut bench = Bench::new();
    let patience = |member: &mut Member| member.drain = Some(Duration::from_secs(30));
    bench.load_members(pair(), patience);
    let effects = bench.load_members(vec![real("10.1.0.2:80", 2)], patience);
    assert_eq!(table(effects), ["-e 10.1.0.1 -w 0"]);
    let effects = bench.load_members(pair(), patience);
    assert_eq!(table(effects), ["-e 10.1.0.1 -w 1"]);
    assert_eq!(bench.pass(60), Vec::<String>::new());
}

#[test]
fn the_end_of_the_daemon_waits_for_no_drain() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.drain = Some(Duration::from_secs(30)));
    bench.down(0);
    bench.farm.stop(bench.now);
    assert_eq!(table(bench.drain()), ["-d 10.1.0.2", "-D"]);
    assert_eq!(bench.farm.poll_timeout(), None);
}

const RULE: Passive = Passive { failures: 3, window: Duration::from_secs(10), suspend: Duration::from_secs(20) };

#[test]
fn failing_connections_suspend_a_server_for_a_while() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.passive = Some(RULE));
    assert_eq!(bench.failures("10.1.0.2:80", 100), Vec::<String>::new(), "what was before its time");
    assert_eq!(bench.failures("10.1.0.2:80", 102), Vec::<String>::new());
    assert_eq!(bench.failures("10.1.0.2:80", 103), ["-e 10.1.0.2 -w 0"]);
    assert_eq!(bench.pass(60), ["20 -e 10.1.0.2 -w 2"]);
    assert_eq!(bench.failures("10.1.0.2:80", 104), Vec::<String>::new());
}

#[test]
fn the_last_server_is_never_suspended() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.passive = Some(RULE));
    bench.down(0);
    bench.failures("10.1.0.2:80", 0);
    assert_eq!(bench.failures("10.1.0.2:80", 50), Vec::<String>::new());
}

#[test]
fn an_engine_that_began_anew_counts_from_zero() {
    let mut bench = Bench::new();
    bench.load_members(pair(), |member| member.passive = Some(RULE));
    bench.failures("10.1.0.2:80", 1000);
    assert_eq!(bench.failures("10.1.0.2:80", 2), Vec::<String>::new());
    assert_eq!(bench.failures("10.1.0.2:80", 3), ["-e 10.1.0.2 -w 0"]);
}
