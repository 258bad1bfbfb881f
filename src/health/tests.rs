use super::{Farm, FarmEffect, HealthEvent, Ids, Plan, TableChange};
use standfast_checkers::{CheckEvent, CheckerId};
use standfast_ipvs::{DestinationConfig, Forwarding, ServiceId};
use standfast_parser::model::{
    Config, ForwardingMethod, GroupEntry, RealServer, SorryServer, Tunnel, VirtualServer, VirtualServerGroup,
    VirtualTarget,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

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
}

impl Bench {
    fn new() -> Self {
        Self { ids: Ids::default(), farm: Farm::default(), checkers: Vec::new() }
    }

    fn load(&mut self, services: Vec<VirtualServer>) -> Vec<String> {
        self.load_config(&Config { virtual_servers: services, ..Config::default() })
    }

    fn load_config(&mut self, config: &Config) -> Vec<String> {
        let plan = Plan::new(config, &mut self.ids, &mut |_| None);
        self.checkers = plan.checkers.iter().map(|checker| checker.id).collect();
        self.farm.load(plan);
        self.drain()
    }

    fn down(&mut self, nth: usize) -> Vec<String> {
        let id = self.checkers[nth];
        let reason = "refused".to_owned();
        let mail = Some("=> TCP CHECK failed on service <=".to_owned());
        self.farm.handle(&CheckEvent::Down { id, first: false, reason, mail });
        self.drain()
    }

    fn up(&mut self, nth: usize) -> Vec<String> {
        let id = self.checkers[nth];
        let mail = Some("=> TCP CHECK succeed on service <=".to_owned());
        self.farm.handle(&CheckEvent::Up { id, first: false, mail });
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
        FarmEffect::Event(HealthEvent::Server { server, up, .. }) => format!("{server} up={up}"),
        FarmEffect::Event(HealthEvent::ServerMail { server, body, .. }) => format!("mail {server} {body}"),
        FarmEffect::Event(HealthEvent::Quorum { up, .. }) => format!("quorum up={up}"),
        FarmEffect::Event(HealthEvent::QuorumMail { .. }) => "quorum mail".to_owned(),
        FarmEffect::Warn(text) => text,
        FarmEffect::Log(_) => return None,
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
    effects.sort();
    assert_eq!(effects, ["-D", "-E wlc", "-a 10.1.0.3 -w 3", "-e 10.1.0.1 -w 7", "-e 10.1.0.2 -w 2 -g"]);
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

/// Table changes with the service that they are about.
fn named(effect: FarmEffect) -> Option<String> {
    let to = |to: &DestinationConfig| format!("{}:{}", to.address, to.port);
    Some(match effect {
        FarmEffect::Table(TableChange::AddService(service)) => format!("-A {}", id(&service.id)),
        FarmEffect::Table(TableChange::EditService(service)) => format!("-E {}", id(&service.id)),
        FarmEffect::Table(TableChange::RemoveService(service)) => format!("-D {}", id(&service)),
        FarmEffect::Table(TableChange::AddDestination(service, server)) => {
            format!("-a {} {}", id(&service), to(&server))
        }
        FarmEffect::Table(TableChange::EditDestination(service, server)) => {
            format!("-e {} {} -w {}", id(&service), to(&server), server.weight)
        }
        FarmEffect::Table(TableChange::RemoveDestination(service, server)) => format!("-d {} {server}", id(&service)),
        FarmEffect::Log(line) | FarmEffect::Warn(line) => line,
        FarmEffect::Event(_) => return None,
    })
}

fn id(id: &ServiceId) -> String {
    match id {
        ServiceId::Address(key) => format!("{}:{}", key.address, key.port),
        ServiceId::Fwmark(mark) => format!("mark {mark}"),
    }
}

fn group(entries: &[(&str, &str, u16)]) -> VirtualServerGroup {
    let entry = |(first, last, port): &(&str, &str, u16)| GroupEntry::Addresses {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        port: *port,
    };
    VirtualServerGroup { name: "G".to_owned(), entries: entries.iter().map(entry).collect(), span: Default::default() }
}

fn grouped(group: VirtualServerGroup, servers: Vec<RealServer>) -> Config {
    let service = VirtualServer { target: VirtualTarget::Group("G".to_owned()), ..service("10.0.0.1:80", servers) };
    Config { virtual_servers: vec![service], virtual_server_groups: vec![group], ..Config::default() }
}

impl Bench {
    fn load_named(&mut self, config: &Config) -> Vec<String> {
        let plan = Plan::new(config, &mut self.ids, &mut |_| None);
        self.checkers = plan.checkers.iter().map(|checker| checker.id).collect();
        self.farm.load(plan);
        self.drain_named()
    }

    fn drain_named(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.farm.poll_effect()).filter_map(named).collect()
    }
}

#[test]
fn one_pool_drives_every_service_of_a_group() {
    let mut bench = Bench::new();
    let group = group(&[("10.0.0.1", "10.0.0.2", 80), ("10.0.0.9", "10.0.0.9", 81)]);
    let effects = bench.load_named(&grouped(group, vec![real("10.1.0.1:8080", 1)]));
    let expected = [
        "-A 10.0.0.1:80",
        "-A 10.0.0.2:80",
        "-A 10.0.0.9:81",
        "-a 10.0.0.1:80 10.1.0.1:8080",
        "-a 10.0.0.2:80 10.1.0.1:8080",
        "-a 10.0.0.9:81 10.1.0.1:8080",
        "Gained quorum 1+0=1 <= 1 for VS [G]:0",
    ];
    assert_eq!(effects, expected);
    bench.farm.handle(&CheckEvent::Down { id: bench.checkers[0], first: false, reason: String::new(), mail: None });
    let effects = bench.drain_named();
    assert_eq!(effects[0], "Removing service [10.1.0.1]:tcp:8080 from VS [G]:0");
    assert_eq!(effects.iter().filter(|effect| effect.starts_with("-d")).count(), 3);
    assert_eq!(effects.last().map(String::as_str), Some("Lost quorum 1-0=1 > 0 for VS [G]:0"));
}

#[test]
fn without_rewriting_a_server_of_a_group_has_the_port_of_each_service() {
    let mut bench = Bench::new();
    let server = RealServer { forwarding: ForwardingMethod::Dr, ..real("10.1.0.1:0", 1) };
    let config = grouped(group(&[("10.0.0.1", "10.0.0.1", 80), ("10.0.0.1", "10.0.0.1", 443)]), vec![server]);
    let effects = bench.load_named(&config);
    assert!(effects.contains(&"-a 10.0.0.1:80 10.1.0.1:80".to_owned()), "{effects:?}");
    assert!(effects.contains(&"-a 10.0.0.1:443 10.1.0.1:443".to_owned()), "{effects:?}");
}

#[test]
fn entries_of_a_group_come_and_go_with_a_reload() {
    let mut bench = Bench::new();
    let before = group(&[("10.0.0.1", "10.0.0.1", 80), ("10.0.0.3", "10.0.0.4", 80)]);
    bench.load_named(&grouped(before, vec![real("10.1.0.1:80", 1)]));
    let after = group(&[("10.0.0.1", "10.0.0.1", 80), ("10.0.0.2", "10.0.0.2", 80)]);
    let effects = bench.load_named(&grouped(after, vec![real("10.1.0.1:80", 1)]));
    let expected = [
        "-D 10.0.0.3:80",
        "-D 10.0.0.4:80",
        "VS [[10.0.0.3]:tcp:80-10.0.0.4] in group G no longer exists",
        "VS [[10.0.0.2]:tcp:80] added into group G",
        "-A 10.0.0.2:80",
        "-a 10.0.0.2:80 10.1.0.1:80",
    ];
    assert_eq!(effects, expected);
}

#[test]
fn an_address_may_pass_from_one_service_to_an_earlier_one() {
    let mut bench = Bench::new();
    let taking = |entries: &[(&str, &str, u16)], other: &str| {
        let mut config = grouped(group(entries), vec![real("10.1.0.1:80", 1)]);
        config.virtual_servers.push(service(other, vec![real("10.1.0.2:80", 1)]));
        config
    };
    bench.load_named(&taking(&[("10.0.0.1", "10.0.0.1", 80)], "10.0.0.2:80"));
    let both = taking(&[("10.0.0.1", "10.0.0.2", 80)], "10.0.0.2:80");
    let effects = bench.load_named(&both);
    assert_eq!(
        effects[0],
        "VS [10.0.0.2]:tcp:80: [10.0.0.2]:tcp:80 is served by an earlier virtual server already (1 in all)"
    );
    let position = |text: &str| effects.iter().position(|effect| effect == text).unwrap();
    assert!(position("-D 10.0.0.2:80") < position("-A 10.0.0.2:80"), "{effects:?}");
}

#[test]
fn a_mark_alone_has_no_protocol_in_its_names() {
    let mut bench = Bench::new();
    let wanted =
        VirtualServer { target: VirtualTarget::Fwmark(4), ..service("10.0.0.1:80", vec![real("10.1.0.1:0", 1)]) };
    bench.load_named(&Config { virtual_servers: vec![wanted], ..Config::default() });
    bench.farm.handle(&CheckEvent::Down { id: bench.checkers[0], first: false, reason: String::new(), mail: None });
    assert_eq!(bench.drain_named()[0], "Removing service [10.1.0.1]:none:0 from VS FWM 4");
}

#[test]
fn suspended_services_wait_for_one_of_their_addresses() {
    let mut bench = Bench::new();
    let mut config = grouped(group(&[("10.0.0.1", "10.0.0.9", 80)]), vec![real("10.1.0.1:80", 1)]);
    config.virtual_servers[0].ha_suspend = true;
    config.virtual_servers.push(service("10.0.0.100:80", vec![real("10.1.0.2:80", 1)]));
    bench.load_named(&config);
    let runs = |addresses: &[&str]| {
        let present: BTreeSet<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        bench.farm.governed(&present)
    };
    assert_eq!(runs(&["10.0.0.10", "10.0.0.100"]), [(bench.checkers[0], false)]);
    assert_eq!(runs(&["10.0.0.5"]), [(bench.checkers[0], true)]);
}

#[test]
fn stopping_empties_the_table() {
    let mut bench = Bench::new();
    bench.load(vec![service("10.0.0.100:80", pair())]);
    bench.farm.stop();
    let table: Vec<_> = bench.drain().into_iter().filter(|effect| effect.starts_with('-')).collect();
    assert_eq!(table, ["-d 10.1.0.1", "-d 10.1.0.2", "-D"]);
}
