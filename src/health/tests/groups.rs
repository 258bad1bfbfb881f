//! One pool behind a group of addresses.

use super::*;
use standfast_ipvs::{DestinationConfig, ServiceId};
use standfast_parser::model::{GroupEntry, VirtualServerGroup};
use std::collections::BTreeSet;
use std::net::IpAddr;

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
        self.farm.load(plan, self.now);
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
    bench.farm.handle(
        &CheckEvent::Down { id: bench.checkers[0], first: false, reason: String::new(), mail: None },
        bench.now,
    );
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
    bench.farm.handle(
        &CheckEvent::Down { id: bench.checkers[0], first: false, reason: String::new(), mail: None },
        bench.now,
    );
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
