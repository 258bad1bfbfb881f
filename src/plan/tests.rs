//! Outlooks of configurations, without a machine below.

use super::*;
use crate::cli::Options;
use crate::health::{Farm, World};
use crate::machine::Machine;
use crate::vrrp::Rehearsal;
use standfast_parser::model::Config;
use standfast_parser::{MemoryLoader, parse};
use std::path::Path;
use std::time::Instant;

fn config(text: &str) -> Config {
    parse(&MemoryLoader::single("k.conf", text), Path::new("k.conf"), &standfast_parser::Options::default()).config
}

fn server(address: &str, weight: u8, inside: &str) -> String {
    format!("real_server {address} 80 {{\n weight {weight}\n {inside}\n TCP_CHECK {{\n connect_timeout 2\n }}\n }}\n")
}

fn service(algorithm: &str, servers: &[String]) -> String {
    format!(
        "virtual_server 10.0.0.100 80 {{\n delay_loop 6\n lb_algo {algorithm}\n lb_kind NAT\n protocol TCP\n{}}}\n",
        servers.concat()
    )
}

/// The pools of the first file are played with the second; there is no data plane and no VRRP.
fn of(before: &str, after: &str) -> Outlook {
    let mut machine = Machine::new(&Options::default());
    let (now, first) = (Instant::now(), machine.prepare(config(before)));
    machine.adopt(&first);
    let mut farm = Farm::new(World::default());
    farm.load(first.plan.clone(), now);
    let scene = Scene {
        before: machine.prepare(config(before)),
        vrrp: Some(Rehearsal::default()),
        farm: Some(farm),
        snapshot: None,
    };
    outlook(scene, &machine.prepare(config(after)), now)
}

#[test]
fn the_same_file_changes_nothing() {
    let file = format!(
        "global_defs {{\n router_id A\n}}\nvrrp_script chk {{\n script /bin/true\n}}\n{}",
        service("rr", &[server("10.1.0.1", 1, ""), server("10.1.0.2", 3, "")])
    );
    let outlook = of(&file, &file);
    assert!(outlook.is_empty() && outlook.losses.is_empty(), "{outlook:#?}");
}

#[test]
fn servers_and_checks_that_come_go_and_change_are_told_apart() {
    let before = service("rr", &[server("10.1.0.1", 1, ""), server("10.1.0.2", 1, "")]);
    let after =
        service("wlc", &[server("10.1.0.1", 1, "").replace("timeout 2", "timeout 3"), server("10.1.0.3", 2, "")]);
    let outlook = of(&before, &after);
    let checks: Vec<_> = outlook.checks.iter().map(|check| (check.server.as_str(), check.change)).collect();
    assert_eq!(
        checks,
        [
            ("[10.1.0.2]:tcp:80", Change::Removed),
            ("[10.1.0.1]:tcp:80", Change::Changed),
            ("[10.1.0.3]:tcp:80", Change::Added)
        ]
    );
    let [service] = &outlook.services[..] else { unreachable!("one service: {outlook:#?}") };
    let within: Vec<_> = service.settings.iter().map(|one| (one.within.as_str(), one.after.as_deref())).collect();
    assert!(within.contains(&("", Some("lb_algo wlc"))), "{within:?}");
    assert!(within.contains(&("real_server 10.1.0.1 80 / TCP_CHECK", Some("connect_timeout 3"))), "{within:?}");
    assert!(within.contains(&("", None)) && within.contains(&("", Some("real_server 10.1.0.3 80"))), "{within:?}");
}

#[test]
fn what_waits_for_a_restart_is_set_apart() {
    let file = |globals: &str| format!("global_defs {{\n router_id A\n{globals}}}\n{}", service("rr", &[]));
    let outlook = of(&file(""), &file("process_name blue\nsmtp_connect_timeout 7\n"));
    assert_eq!(outlook.restart.len(), 1, "{outlook:#?}");
    assert_eq!(outlook.restart[0].after.as_deref(), Some("process_name blue"));
    assert_eq!(outlook.settings[0].after.as_deref(), Some("smtp_connect_timeout 7"));
}

#[test]
fn a_service_that_is_removed_tells_so_once() {
    let second = service("rr", &[server("10.1.0.9", 1, "")]).replace("10.0.0.100", "10.0.0.101");
    let outlook = of(&format!("{}{second}", service("rr", &[])), &service("rr", &[]));
    let [gone] = &outlook.services[..] else { unreachable!("one service: {outlook:#?}") };
    assert_eq!((gone.name.as_str(), gone.change), ("[10.0.0.101]:tcp:80", Change::Removed));
    assert_eq!(gone.gives_up, ["[10.0.0.101]:tcp:80"]);
}
