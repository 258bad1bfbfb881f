//! The clients of the control socket against the real daemon: status, why, events, orders, failover.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

#[path = "../common/mod.rs"]
mod common;
mod intruders;
mod migration;
mod plan;

use common::site::{NOTICED, Site, TCP_CHECK, real_server};
use common::{Daemon, Pair, SOON, await_address};
use intruders::adverts_go_on_whatever_strangers_do_at_the_socket;
use migration::a_pair_moves_from_keepalived_and_back_and_no_client_notices;
use nix::sys::signal::Signal;
use plan::{
    a_broken_file_changes_nothing_and_says_why, a_plan_of_instances_comes_true,
    a_plan_of_servers_comes_true_and_counts_the_connections_that_are_cut, nobody_reads_a_password,
    the_same_file_changes_nothing, what_would_be_noticed_can_be_refused,
};
use standfast_labkit::{Finished, eventually, harness, tests};
use std::process::ExitCode;

fn main() -> ExitCode {
    let own = tests![
        status_and_why_tell_of_pools_and_their_checks,
        a_client_is_told_its_server,
        a_drained_server_gets_no_more_requests,
        a_weight_lasts_as_long_as_ordered,
        paused_checks_keep_their_verdict,
        a_failover_moves_the_address_and_holds,
        events_can_be_followed,
        what_is_unknown_is_refused_by_name,
    ];
    let plans = tests![
        a_plan_of_instances_comes_true,
        a_plan_of_servers_comes_true_and_counts_the_connections_that_are_cut,
        the_same_file_changes_nothing,
        what_would_be_noticed_can_be_refused,
        a_broken_file_changes_nothing_and_says_why,
        nobody_reads_a_password,
    ];
    let intruders = tests![adverts_go_on_whatever_strangers_do_at_the_socket];
    let migration = tests![a_pair_moves_from_keepalived_and_back_and_no_client_notices];
    let migration = migration.map(|test| test.needs(&["keepalived"]));
    harness::main(migration.into_iter().chain(intruders).chain(plans).chain(own))
}

fn ask(daemon: &Daemon, arguments: &[&str]) -> Finished {
    let mut command = daemon.host.command(common::program().0);
    command.args(arguments).env("STANDFAST_SOCKET", daemon.directory.join("parent.sock"));
    daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap()
}

#[track_caller]
fn told(daemon: &Daemon, arguments: &[&str]) -> String {
    let finished = ask(daemon, arguments);
    assert_eq!(finished.code(), 0, "{arguments:?}: {}", finished.output);
    finished.output
}

fn await_told(daemon: &Daemon, arguments: &[&str], part: &str) {
    eventually(NOTICED, part, || ask(daemon, arguments).output.contains(part));
}

fn status_and_why_tell_of_pools_and_their_checks() {
    let site = Site::nat("op-status", 2);
    let _web = site.web_server(0);
    let daemon = site.start(&site.service("wrr", "", TCP_CHECK));
    await_told(&daemon, &["status"], "TCP_CHECK fails for ");
    await_told(&daemon, &["status"], "TCP_CHECK ok");
    let status = told(&daemon, &["status"]);
    assert!(status.contains("[10.7.0.100]:tcp:80"), "{status}");
    assert!(
        status.lines().any(|line| line.contains("[10.8.0.21]:tcp:80") && line.contains("TCP_CHECK ok")),
        "{status}"
    );
    let why = told(&daemon, &["why", "10.8.0.22:80"]);
    assert!(why.contains("is not in the table: TCP_CHECK fails since"), "{why}");
    let json: serde_json::Value = serde_json::from_str(&told(&daemon, &["status", "--json"])).unwrap();
    assert_eq!(json["services"][0]["servers"][1]["alive"], false);
}

fn a_client_is_told_its_server() {
    let site = Site::nat("op-client", 2);
    let _web = site.web_servers();
    let daemon = site.start(&site.service("rr", "persistence_timeout 50", TCP_CHECK));
    await_told(&daemon, &["why", "10.7.0.100:80", "from", "10.7.0.1"], "gets the next server in turn");
    let mut served = String::new();
    eventually(NOTICED, "an answer", || {
        served = site.ask().unwrap_or_default();
        served.starts_with("web")
    });
    let server = if served == "web1" { "10.8.0.21:80" } else { "10.8.0.22:80" };
    let why = told(&daemon, &["why", "10.7.0.100:80", "from", "10.7.0.1"]);
    assert!(why.contains(&format!("is connected to {server} (")), "{why}");
    assert!(why.contains(&format!("new connections of 10.7.0.1 go to {server}: persistence")), "{why}");
}

fn a_drained_server_gets_no_more_requests() {
    let site = Site::nat("op-drain", 2);
    let _web = site.web_servers();
    let mut daemon = site.start(&site.service("rr", "", TCP_CHECK));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    let said = told(&daemon, &["drain", "10.8.0.21:80"]);
    assert!(said.contains("no new connections (weight 0 in the table)"), "{said}");
    site.await_tally(4, &[("web2", 4)]);
    daemon.signal(Signal::SIGHUP);
    daemon.await_log("Reload complete", SOON);
    site.await_tally(4, &[("web2", 4)]);
    told(&daemon, &["undrain", "10.8.0.21:80", "--service", "10.7.0.100:80"]);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    told(&daemon, &["drain", "10.8.0.21:80", "--deadline", "0s"]);
    await_told(&daemon, &["status"], "drained by order");
}

fn a_weight_lasts_as_long_as_ordered() {
    let site = Site::nat("op-weight", 2);
    let _web = site.web_servers();
    let daemon = site.start(&site.service("wrr", "", TCP_CHECK));
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
    told(&daemon, &["weight", "10.8.0.21:80", "3"]);
    site.await_tally(8, &[("web1", 6), ("web2", 2)]);
    told(&daemon, &["weight", "10.8.0.21:80", "5", "--for", "100ms"]);
    site.await_tally(4, &[("web1", 2), ("web2", 2)]);
}

fn paused_checks_keep_their_verdict() {
    let site = Site::nat("op-pause", 1);
    let web = site.web_servers();
    let daemon = site.start(&site.service("rr", "", TCP_CHECK));
    await_told(&daemon, &["status"], "TCP_CHECK ok");
    told(&daemon, &["pause", "10.8.0.21:80"]);
    await_told(&daemon, &["status"], "checks paused; TCP_CHECK ok");
    drop(web);
    told(&daemon, &["resume", "10.8.0.21:80"]);
    await_told(&daemon, &["status"], "TCP_CHECK fails for ");
}

fn a_failover_moves_the_address_and_holds() {
    let pair = Pair::new("op-failover");
    let config = |state: &str, priority: u8| {
        format!(
            "vrrp_instance VI_1 {{\n state {state}\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
             advert_int 1\n virtual_ipaddress {{\n 10.9.9.9/24\n }}\n}}\n"
        )
    };
    let (first, second) = (pair.start(0, &config("MASTER", 150)), pair.start(1, &config("BACKUP", 100)));
    await_address(&first.host, "10.9.9.9", NOTICED);
    await_told(&second, &["why", "VI_1"], "priority 150: a higher priority");
    assert_eq!(told(&first, &["failover", "VI_1"]), "VI_1 has resigned\n");
    await_address(&second.host, "10.9.9.9", NOTICED);
    await_told(&first, &["why", "VI_1"], "a lesser master is left in place; that ends in 4m");
    let again = ask(&first, &["failover", "VI_1"]);
    assert_eq!((again.code(), again.output.as_str()), (1, "standfast: VI_1 is not master here\n"));
    told(&second, &["failover", "VI_1", "--for", "0s"]);
    await_told(&first, &["status"], "MASTER");
}

fn events_can_be_followed() {
    let site = Site::nat("op-events", 1);
    let _web = site.web_servers();
    let daemon = site.start(&site.service("rr", "", TCP_CHECK));
    await_told(&daemon, &["events"], "TCP_CHECK passes");
    let mut command = daemon.host.command(common::program().0);
    command.args(["events", "--follow", "-n", "0", "--json"]);
    command.env("STANDFAST_SOCKET", daemon.directory.join("parent.sock"));
    let mut following = daemon.host.start_command(&mut command).unwrap();
    eventually(SOON, "the order among the events", || {
        told(&daemon, &["weight", "10.8.0.21:80", "2"]);
        following.output().contains("\"kind\":\"order\"")
    });
    following.kill();
}

fn what_is_unknown_is_refused_by_name() {
    let site = Site::nat("op-unknown", 1);
    let daemon = site.start(&site.service_of("rr", "", &real_server("10.8.0.21", 1, "")));
    await_told(&daemon, &["status"], "10.8.0.21");
    for (arguments, part) in [
        (
            &["drain", "10.8.0.99:80"][..],
            "there is no real server 10.8.0.99:80 in the configuration (there are: 10.8.0.21:80)",
        ),
        (&["why", "VI_7"], "nothing here is called VI_7"),
        (&["failover", "VI_7"], "VRRP does not run"),
        (&["weight", "10.8.0.21:80", "70000"], "70000 is not in 0..=65535"),
        (&["pause", "10.8.0.21:80", "--for", "soon"], "invalid value 'soon'"),
    ] {
        let finished = ask(&daemon, arguments);
        assert!(finished.code() != 0 && finished.output.contains(part), "{arguments:?}: {}", finished.output);
    }
}
