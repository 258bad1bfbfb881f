//! Virtual servers, their real servers, and checks.

use super::{Family, Samples, Value, View, counter, gauge, info, seconds};
use crate::status::{Check, Server, Service, Traffic};
use std::time::Duration;

const VIRTUAL: &[&str] = &["virtual_server"];
const VIRTUAL_WAY: &[&str] = &["virtual_server", "direction"];
const REAL: &[&str] = &["virtual_server", "real_server"];
const REAL_WAY: &[&str] = &["virtual_server", "real_server", "direction"];
const CHECK: &[&str] = &["virtual_server", "real_server", "check", "position"];

fn each(view: &View<'_>, out: &mut Samples, value: impl Fn(&Service) -> Value) {
    view.status.services.iter().for_each(|service| out.put(&[&service.name], value(service)));
}

/// Both directions; the answers of DR and tunnels bypass the director and are not counted.
fn each_way(view: &View<'_>, out: &mut Samples, ways: impl Fn(&Traffic) -> (u64, u64)) {
    for service in &view.status.services {
        let (inward, outward) = ways(&service.traffic);
        out.put(&[&service.name, "in"], inward);
        out.put(&[&service.name, "out"], outward);
    }
}

fn servers<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a str, &'a Server)> {
    let services = view.status.services.iter();
    services.flat_map(|service| service.servers.iter().map(|server| (service.name.as_str(), server)))
}

fn each_server(view: &View<'_>, out: &mut Samples, value: impl Fn(&Server) -> Value) {
    servers(view).for_each(|(service, server)| out.put(&[service, &server.name], value(server)));
}

fn each_server_way(view: &View<'_>, out: &mut Samples, ways: impl Fn(&Traffic) -> (u64, u64)) {
    for (service, server) in servers(view) {
        let (inward, outward) = ways(&server.traffic);
        out.put(&[service, &server.name, "in"], inward);
        out.put(&[service, &server.name, "out"], outward);
    }
}

fn each_check(view: &View<'_>, out: &mut Samples, value: impl Fn(&Check) -> Option<Value>) {
    for (service, server) in servers(view) {
        for (place, check) in server.checks.iter().enumerate() {
            if let Some(value) = value(check) {
                out.put(&[service, &server.name, &check.kind, &(place + 1).to_string()], value);
            }
        }
    }
}

pub(super) const VIRTUAL_SERVERS: &[Family] = &[
    info(
        "standfast_virtual_server",
        &["virtual_server", "scheduler", "by_hand"],
        "What a virtual server is; `by_hand` is `true` when it was made with ipvsadm",
        |view, out| {
            for service in &view.status.services {
                let by_hand = if service.by_hand { "true" } else { "false" };
                out.put(&[&service.name, &service.scheduler, by_hand], 1);
            }
        },
    ),
    gauge("standfast_virtual_server_quorum", VIRTUAL, "1 while the quorum is there", |view, out| {
        each(view, out, |service| service.quorum.into());
    }),
    gauge("standfast_virtual_server_quorum_weight", VIRTUAL, "Weight that makes a quorum", |view, out| {
        each(view, out, |service| u64::from(service.needed).into());
    }),
    gauge("standfast_virtual_server_living_weight", VIRTUAL, "Weight of the real servers that live", |view, out| {
        each(view, out, |service| service.living.into());
    }),
    gauge("standfast_virtual_server_sorry_active", VIRTUAL, "1 while the sorry server serves", |view, out| {
        each(view, out, |service| service.sorry_serves.into());
    }),
    gauge("standfast_virtual_server_forwarded", VIRTUAL, "1 while the engine forwards it", |view, out| {
        each(view, out, |service| service.forwarded.into());
    }),
    counter(
        "standfast_virtual_server_scheduled_connections",
        VIRTUAL,
        "Connections that were given a server",
        |view, out| each(view, out, |service| service.traffic.connections.into()),
    ),
    counter(
        "standfast_virtual_server_packets",
        VIRTUAL_WAY,
        "Packets: `in` of clients, `out` of servers (NAT only: with DR and tunnels answers bypass the director)",
        |view, out| each_way(view, out, |traffic| (traffic.packets_in, traffic.packets_out)),
    ),
    counter("standfast_virtual_server_traffic_bytes", VIRTUAL_WAY, "The bytes of these packets", |view, out| {
        each_way(view, out, |traffic| (traffic.bytes_in, traffic.bytes_out));
    })
    .bytes(),
];

pub(super) const REAL_SERVERS: &[Family] = &[
    gauge("standfast_real_server_up", REAL, "1 while no check is down", |view, out| {
        each_server(view, out, |server| server.alive.into());
    }),
    gauge(
        "standfast_real_server_weight",
        REAL,
        "Weight in the table; 0 also where the server is not in it",
        |view, out| each_server(view, out, |server| u64::from(server.weight.unwrap_or(0)).into()),
    ),
    gauge("standfast_real_server_full_weight", REAL, "Weight that its pool gives it while it lives", |view, out| {
        each_server(view, out, |server| u64::from(server.full_weight).into());
    }),
    gauge(
        "standfast_real_server_special",
        REAL,
        "Number of things that are special about it: drains, suspensions, ordered weights, paused checks",
        |view, out| each_server(view, out, |server| (server.notes.len() as u64).into()),
    ),
    gauge(
        "standfast_real_server_connections",
        &["virtual_server", "real_server", "state"],
        "Connections that are remembered: `active` established ones, `inactive` others",
        |view, out| {
            for (service, server) in servers(view) {
                out.put(&[service, &server.name, "active"], server.active);
                out.put(&[service, &server.name, "inactive"], server.inactive);
            }
        },
    ),
    counter(
        "standfast_real_server_scheduled_connections",
        REAL,
        "Connections that it was given since it entered the table",
        |view, out| each_server(view, out, |server| server.traffic.connections.into()),
    ),
    counter(
        "standfast_real_server_packets",
        REAL_WAY,
        "Packets since it entered the table: `in` of clients, `out` of the server (NAT only)",
        |view, out| each_server_way(view, out, |traffic| (traffic.packets_in, traffic.packets_out)),
    ),
    counter("standfast_real_server_traffic_bytes", REAL_WAY, "The bytes of these packets", |view, out| {
        each_server_way(view, out, |traffic| (traffic.bytes_in, traffic.bytes_out));
    })
    .bytes(),
    gauge(
        "standfast_check_up",
        CHECK,
        "1 while a check counts as up; `check` is its kind, `position` its place among the server's checks, from 1",
        |view, out| each_check(view, out, |check| Some(check.up.into())),
    ),
    gauge(
        "standfast_check_since_timestamp_seconds",
        CHECK,
        "When its latest verdict was given, since 1970; absent before the first",
        |view, out| each_check(view, out, |check| check.since_at_ms.map(seconds)),
    )
    .seconds(),
    counter(
        "standfast_check_attempts",
        CHECK,
        "Attempts that have ended; absent for checks that follow a file or a BFD session",
        |view, out| each_check(view, out, |check| Some(check.attempts?.ended.into())),
    ),
    counter(
        "standfast_check_failures",
        CHECK,
        "Attempts that failed, those that were retried included",
        |view, out| each_check(view, out, |check| Some(check.attempts?.failed.into())),
    ),
    gauge("standfast_check_latest_seconds", CHECK, "How long the latest attempt took", |view, out| {
        each_check(view, out, |check| Some(Duration::from_micros(check.attempts?.latest_us?).into()));
    })
    .seconds(),
];
