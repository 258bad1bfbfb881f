mod easing;
mod facts;
mod groups;
mod orders;
mod recorded;

use super::{Farm, FarmEffect, HealthEvent, Ids, Plan, TableChange};
use crate::notify::Event;
use standfast_checkers::{CheckEvent, CheckerId};
use standfast_ipvs::Forwarding;
use standfast_parser::model::{
    Config, ForwardingMethod, RealServer, SorryServer, Tunnel, VirtualServer, VirtualTarget,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A server as the file would give it, with a TCP check every second.
fn real(text: &str, weight: i32) -> RealServer {
    let address = address(text);
    let inside = format!("weight {weight}\nTCP_CHECK {{\nretry 0\n}}");
    let text = format!("real_server {} {} {{\n{inside}\n}}", address.ip(), address.port());
    let mut services = services(&format!("virtual_server 10.0.0.100 80 {{\n{COMMON}{text}\n}}\n"));
    services.remove(0).real_servers.remove(0)
}

fn service(text: &str, servers: Vec<RealServer>) -> VirtualServer {
    let address = address(text);
    let head = format!("virtual_server {} {}", address.ip(), address.port());
    let mut services = services(&format!("{head} {{\n{COMMON}real_server 10.9.9.9 80 {{\n}}\n}}\n"));
    VirtualServer { real_servers: servers, ..services.remove(0) }
}

const COMMON: &str = "lb_algo rr\nlb_kind NAT\nprotocol TCP\ndelay_loop 1\nconnect_timeout 1\n";

fn services(text: &str) -> Vec<VirtualServer> {
    let loader = standfast_parser::MemoryLoader::single("test.conf", text);
    let options = standfast_parser::Options::default();
    standfast_parser::parse(&loader, "test.conf".as_ref(), &options).config.virtual_servers
}

struct Bench {
    ids: Ids,
    farm: Farm,
    checkers: Vec<CheckerId>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { ids: Ids::default(), farm: Farm::default(), checkers: Vec::new(), now: Instant::now() }
    }

    fn load(&mut self, services: Vec<VirtualServer>) -> Vec<String> {
        self.load_config(&Config { virtual_servers: services, ..Config::default() })
    }

    fn load_config(&mut self, config: &Config) -> Vec<String> {
        let plan = Plan::new(config, &mut self.ids, &mut |_| None);
        self.checkers = plan.checkers.iter().map(|checker| checker.id).collect();
        self.farm.load(plan, self.now);
        self.drain()
    }

    fn down(&mut self, nth: usize) -> Vec<String> {
        let id = self.checkers[nth];
        let reason = "refused".to_owned();
        let mail = Some("=> TCP CHECK failed on service <=".to_owned());
        self.farm.handle(&CheckEvent::Down { id, first: false, reason, mail }, self.now);
        self.drain()
    }

    fn up(&mut self, nth: usize) -> Vec<String> {
        let id = self.checkers[nth];
        let mail = Some("=> TCP CHECK succeed on service <=".to_owned());
        self.farm.handle(&CheckEvent::Up { id, first: false, mail }, self.now);
        self.drain()
    }

    /// Table changes and events in short.
    fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.farm.poll_effect()).filter_map(shorten).collect()
    }
}

fn shorten(effect: FarmEffect) -> Option<String> {
    Some(match effect {
        FarmEffect::Table(TableChange::AddService(service)) => format!("-A {}", service.scheduler),
        FarmEffect::Table(TableChange::EditService(service)) => format!("-E {}", service.scheduler),
        FarmEffect::Table(TableChange::RemoveService(_)) => "-D".to_owned(),
        FarmEffect::Table(TableChange::AddDestination(_, to)) => format!("-a {} -w {}", to.address, to.weight),
        FarmEffect::Table(TableChange::EditDestination(_, to)) => {
            let dr = if to.forwarding == Forwarding::Dr { " -g" } else { "" };
            format!("-e {} -w {}{dr}", to.address, to.weight)
        }
        FarmEffect::Table(TableChange::RemoveDestination(_, to)) => format!("-d {}", to.ip()),
        FarmEffect::Event(HealthEvent::Told(Event::Server { server, up, .. })) => format!("{server} up={up}"),
        FarmEffect::Event(HealthEvent::Told(Event::ServerMail { server, body, .. })) => format!("mail {server} {body}"),
        FarmEffect::Event(HealthEvent::Told(Event::Quorum { up, .. })) => format!("quorum up={up}"),
        FarmEffect::Event(HealthEvent::Told(Event::QuorumMail { .. })) => "quorum mail".to_owned(),
        FarmEffect::Warn(text) => text,
        FarmEffect::Log(_) | FarmEffect::Event(_) => return None,
    })
}

fn pair() -> Vec<RealServer> {
    vec![real("10.1.0.1:80", 1), real("10.1.0.2:80", 2)]
}

#[test]
fn servers_enter_the_table_before_their_first_check() {
    let mut bench = Bench::new();
    let effects = bench.load(vec![service("10.0.0.100:80", pair())]);
    assert_eq!(effects, ["-A rr", "-a 10.1.0.1 -w 1", "-a 10.1.0.2 -w 2", "quorum up=true"]);
}

#[test]
fn a_failed_server_leaves_and_returns_with_mail_and_notification() {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair())]);
    let down =
        ["-d 10.1.0.1", "[10.1.0.1]:tcp:80 up=false", "mail [10.1.0.1]:tcp:80 => TCP CHECK failed on service <="];
    assert_eq!(bench.down(0), down);
    let up =
        ["-a 10.1.0.1 -w 1", "[10.1.0.1]:tcp:80 up=true", "mail [10.1.0.1]:tcp:80 => TCP CHECK succeed on service <="];
    assert_eq!(bench.up(0), up);
}

#[test]
fn the_sorry_server_serves_while_nobody_else_does() {
    let mut bench = Bench::new();
    let sorry = SorryServer {
        address: address("127.0.0.1:80"),
        forwarding: ForwardingMethod::Dr,
        tunnel: Tunnel::default(),
        inhibit: false,
    };
    bench.load(vec![VirtualServer { sorry_server: Some(sorry), ..service("10.0.0.100:80", pair()) }]);
    bench.down(0);
    let effects = bench.down(1);
    assert!(effects.contains(&"-a 127.0.0.1 -w 1".to_owned()), "{effects:?}");
    let effects = bench.up(1);
    let table: Vec<_> = effects.iter().filter(|effect| effect.starts_with('-')).collect();
    assert_eq!(table, ["-d 127.0.0.1", "-a 10.1.0.2 -w 2"]);
}

/// The table takes a destination once.
#[test]
fn the_sorry_server_may_be_one_of_the_servers() {
    let table =
        |effects: Vec<String>| -> Vec<_> { effects.into_iter().filter(|effect| effect.starts_with('-')).collect() };
    let mut bench = Bench::new();
    let sorry = SorryServer {
        address: address("10.1.0.2:80"),
        forwarding: ForwardingMethod::Nat,
        tunnel: Tunnel::default(),
        inhibit: false,
    };
    let wanted = VirtualServer { sorry_server: Some(sorry), quorum: 2, ..service("10.0.0.100:80", pair()) };
    bench.load(vec![wanted.clone()]);
    assert_eq!(table(bench.down(0)), ["-d 10.1.0.1"]);
    assert_eq!(table(bench.down(1)), ["-d 10.1.0.2", "-a 10.1.0.2 -w 1"]);
    assert_eq!(table(bench.up(1)), ["-d 10.1.0.2", "-a 10.1.0.2 -w 2"]);
    // With the quorum lost while it lives, it stays with the sorry server's weight.
    bench.load(vec![VirtualServer { quorum: 3, ..wanted }]);
    bench.up(0);
    assert_eq!(table(bench.down(0)), ["-d 10.1.0.1", "-e 10.1.0.2 -w 2", "-e 10.1.0.2 -w 1"]);
    assert_eq!(table(bench.up(0)), ["-d 10.1.0.2", "-a 10.1.0.1 -w 1", "-a 10.1.0.2 -w 2"]);
}

#[test]
fn an_equal_configuration_changes_nothing() {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair())]);
    let before = bench.checkers.clone();
    assert_eq!(bench.load(vec![service("10.0.0.100:80", pair())]), Vec::<String>::new());
    assert_eq!(bench.checkers, before);
}

#[test]
fn a_reload_edits_in_place() {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair()), service("10.0.0.101:80", pair())]);
    let servers = vec![
        RealServer { weight: 7, ..real("10.1.0.1:80", 1) },
        RealServer { forwarding: ForwardingMethod::Dr, ..real("10.1.0.2:80", 2) },
        real("10.1.0.3:80", 3),
    ];
    let wanted = VirtualServer { scheduler: "wlc".to_owned(), ..service("10.0.0.100:80", servers) };
    let mut effects = bench.load(vec![wanted]);
    let removal: Vec<_> = effects.drain(..8).collect();
    let expected = [
        "-d 10.1.0.1",
        "[10.1.0.1]:tcp:80 up=false",
        "mail [10.1.0.1]:tcp:80 => Removing <=",
        "-d 10.1.0.2",
        "[10.1.0.2]:tcp:80 up=false",
        "mail [10.1.0.2]:tcp:80 => Removing <=",
        "quorum up=false",
        "-D",
    ];
    assert_eq!(removal, expected);
    effects.sort();
    assert_eq!(effects, ["-E wlc", "-a 10.1.0.3 -w 3", "-e 10.1.0.1 -w 7", "-e 10.1.0.2 -w 2 -g"]);
}

#[test]
fn a_removed_server_leaves_the_table_under_its_old_address() {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair())]);
    let effects = bench.load(vec![service("10.0.0.100:80", vec![real("10.1.0.2:80", 2)])]);
    assert!(effects.contains(&"-d 10.1.0.1".to_owned()), "{effects:?}");
    assert!(!effects.contains(&"-d 10.1.0.2".to_owned()), "{effects:?}");
}

#[test]
fn what_the_engine_cannot_forward_is_said_and_still_checked() {
    let mut bench = Bench::new();
    let wanted = VirtualServer { scheduler: "nonsense".to_owned(), ..service("10.0.0.100:80", pair()) };
    let effects = bench.load(vec![wanted]);
    let said = "VS [10.0.0.100]:tcp:80 is checked but not forwarded: the embedded engine has no scheduler `nonsense`";
    assert_eq!(effects, [said, "quorum up=true"]);
    assert_eq!(bench.checkers.len(), 2);
}

#[test]
fn stopping_empties_the_table() {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair())]);
    bench.farm.stop(bench.now);
    let table: Vec<_> = bench.drain().into_iter().filter(|effect| effect.starts_with('-')).collect();
    assert_eq!(table, ["-d 10.1.0.1", "-d 10.1.0.2", "-D"]);
}
