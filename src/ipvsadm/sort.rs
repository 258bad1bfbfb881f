//! The order of a listing: ipvsadm compares addresses as signed numbers, so 192.0.2.1 stands before 10.0.0.1.

use std::net::IpAddr;

use super::{Entry, ServerEntry, Target};

/// Sorts services, and the servers of each.
pub(super) fn sort(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| key(&entry.service.target));
    for entry in entries {
        entry.servers.sort_by_key(server_key);
    }
}

fn key(target: &Target) -> (i32, bool, u8, AddressKey, u16) {
    match *target {
        Target::Mark { mark, ipv6 } => (mark as i32, ipv6, 0, AddressKey::V4(0), 0),
        Target::Address { protocol, address, port } => {
            (0, address.is_ipv6(), protocol as u8, AddressKey::from(address), port)
        }
    }
}

/// IPv6 servers stand before IPv4 servers.
fn server_key(entry: &ServerEntry) -> (bool, AddressKey, u16) {
    (entry.server.address.is_ipv4(), AddressKey::from(entry.server.address), entry.server.port)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AddressKey {
    V4(i32),
    V6([i32; 4]),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => AddressKey::V4(address.to_bits() as i32),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                AddressKey::V6([96, 64, 32, 0].map(|shift| (bits >> shift) as i32))
            }
        }
    }
}
