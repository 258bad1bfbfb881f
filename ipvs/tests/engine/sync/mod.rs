//! Connections told from one director to another.

mod backup;
mod format;
#[path = "../../../../fuzz/sync.rs"]
mod fuzz;
mod master;
mod seal;

use std::net::SocketAddr;

use standfast_ipvs::Director;
use standfast_ipvs::sync::{Entry, Flags};

/// An established connection of 10.0.0.50 from this port to the service at port 80, by NAT to 10.1.0.1.
fn entry(port: u16) -> Entry<'static> {
    let socket = |octets: [u8; 4], port| SocketAddr::from((octets, port));
    Entry {
        protocol: 6,
        flags: Flags(0),
        state: 1,
        client: socket([10, 0, 0, 50], port),
        service: socket([10, 0, 0, 100], 80),
        server: socket([10, 1, 0, 1], 80),
        mark: 0,
        timeout: 900,
        sequences: None,
        engine: None,
        source: None,
    }
}

/// What waits in a director's outbox, each as `CLIENT SERVICE SERVER STATE FLAGS TIMEOUT`.
fn told(director: &mut Director) -> Vec<String> {
    records(director).iter().map(|record| Entry::decode(record).unwrap().0).map(|entry| line(&entry)).collect()
}

fn line(entry: &Entry<'_>) -> String {
    let Entry { client, service, server, state, flags, timeout, .. } = entry;
    format!("{client} {service} {server} {state} {:x} {timeout}", flags.0)
}

fn records(director: &mut Director) -> Vec<Vec<u8>> {
    let bytes = director.outbox().unwrap().take(Vec::new());
    let mut rest = bytes.as_slice();
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (_, length) = Entry::decode(rest).unwrap();
        records.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    records
}
