//! The table with its timers against a plain map.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::table::Table;
use super::{Connection, Direction, Key, Links, Method, NONE, State};
use crate::packet::checksum::Change;
use crate::verdict::HopId;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
/// How long after its time an entry may be found at the latest: the width of a slot of the wheel.
const LATE: u32 = 16;

fn connection(client_port: u16, expires: u32) -> Connection<Ipv4Addr> {
    Connection {
        client: Ipv4Addr::new(10, 0, 0, 1),
        service: SERVICE,
        server: SERVER,
        client_port,
        service_port: 80,
        server_port: 8080,
        protocol: 6,
        state: State::Established,
        method: Method::Nat,
        template: false,
        inactive: false,
        heard: 0,
        hop: HopId(0),
        destination: 0,
        control: NONE,
        controlled: 0,
        slot: 0,
        inserted: 0,
        packets: 0,
        expires,
        timeout: 0,
        change: Change::NONE,
        links: Links::NONE,
    }
}

fn keys(client_port: u16) -> [(Key<Ipv4Addr>, Direction); 2] {
    let connection = connection(client_port, 0);
    let server = connection.server_key(&[]).unwrap();
    [(connection.client_key(), Direction::FromClient), (server, Direction::FromServer)]
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u16, u32),
    Prolong(u16, u32),
    Remove(u16),
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    // Also beyond the wheel's 1,024 s.
    let time = prop_oneof![0u32..2_000, 0u32..200_000];
    prop_oneof![
        (1u16..40, time.clone()).prop_map(|(port, time)| Step::Insert(port, time)),
        (1u16..40, time.clone()).prop_map(|(port, time)| Step::Prolong(port, time)),
        (1u16..40).prop_map(Step::Remove),
        time.prop_map(Step::Wait),
    ]
}

/// Entries that are due, removed as the director does.
fn serve(table: &mut Table<Ipv4Addr>, now: u64) -> Vec<(u16, u32)> {
    let mut ended = Vec::new();
    while let Some(id) = table.pop_due(now) {
        let expires = table.get(id).unwrap().expires;
        if expires.wrapping_sub(now as u32) as i32 <= 0 {
            ended.push((table.remove(id).unwrap().client_port, expires));
        } else {
            table.link_again(id);
        }
    }
    ended
}

proptest! {
    #[test]
    fn every_entry_is_found_until_its_time_and_not_much_longer(
        start in prop_oneof![Just(0u64), Just((1 << 32) - 1_000)],
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut table: Table<Ipv4Addr> = Table::new([1, 2], 25);
        let mut model: BTreeMap<u16, (u32, u64)> = BTreeMap::new();
        let mut now = start;
        serve(&mut table, now);
        for step in steps {
            match step {
                Step::Insert(port, time) if !model.contains_key(&port) => {
                    let id = table.insert(connection(port, (now as u32).wrapping_add(time)), None, now);
                    prop_assert_eq!(id.is_some(), model.len() < 25, "the limit");
                    model.extend(id.map(|id| (port, (id, now + u64::from(time)))));
                }
                Step::Prolong(port, time) => {
                    if let Some((id, end)) = model.get_mut(&port) {
                        table.prolong(*id, (now as u32).wrapping_add(time));
                        *end = now + u64::from(time);
                    }
                }
                Step::Remove(port) => {
                    if let Some((id, _)) = model.remove(&port) {
                        prop_assert_eq!(table.remove(id).map(|removed| removed.client_port), Some(port));
                    }
                }
                Step::Wait(time) => now += u64::from(time),
                Step::Insert(..) => (),
            }
            for (port, _) in serve(&mut table, now) {
                let (_, end) = model.remove(&port).unwrap();
                prop_assert!(end <= now, "not before its time");
            }
            for (port, (id, end)) in &model {
                prop_assert!(end + u64::from(LATE) > now, "not long after it");
                for (key, direction) in keys(*port) {
                    prop_assert_eq!(table.find(&key), Some((*id, direction)));
                }
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.next_due().is_some(), !model.is_empty());
            prop_assert!(table.next_due().is_none_or(|due| due > now));
        }
    }
}
