//! Interfaces by name: the pure crate's [`Link`] is a slot here, so that an interface may vanish and come back with
//! another kernel index without the virtual routers noticing more than a fault.

use crate::netlink::Interface;
use standfast_vrrp::{Family, Link};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Virtual addresses with their prefix lengths: never taken as the source of adverts.
pub(super) type Virtual = HashSet<(IpAddr, u8)>;

/// One interface that a virtual router uses.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) interface: Option<Arc<Interface>>,
    /// What the node was told last, so that the many reports that change nothing for it cost nothing.
    pub(super) told: Option<Facts>,
}

/// What the node wants to know of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) usable: bool,
    pub(super) v4: Option<IpAddr>,
    pub(super) v6: Option<IpAddr>,
}

impl Slot {
    pub(super) fn is_usable(&self) -> bool {
        self.interface.as_ref().is_some_and(|interface| interface.is_usable())
    }

    /// The source of adverts that the node knows.
    pub(super) fn told_source(&self, family: Family) -> Option<IpAddr> {
        self.told.and_then(|facts| if family == Family::V4 { facts.v4 } else { facts.v6 })
    }

    pub(super) fn facts(&self, of_routers: &Virtual) -> Facts {
        let [v4, v6] = [Family::V4, Family::V6].map(|family| self.source(family, of_routers));
        Facts { usable: self.is_usable(), v4, v6 }
    }

    /// The address that adverts leave with: the interface's first for IPv4, its link-local one for IPv6 (RFC 9568 section 5.1.2.1).
    fn source(&self, family: Family, of_routers: &Virtual) -> Option<IpAddr> {
        let interface = self.interface.as_ref()?;
        let own = interface.addresses.iter().filter(|held| !of_routers.contains(&(held.address, held.prefix_len)));
        own.map(|held| held.address).find(|address| match address {
            IpAddr::V4(_) => family == Family::V4,
            IpAddr::V6(address) => family == Family::V6 && is_link_local(*address),
        })
    }
}

/// Slots by [`Link`]; `Link(0)` is "any interface" and has none.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
}

impl Slots {
    /// The link of the interface called `name`, made on first use.
    pub(super) fn link(&mut self, name: &str) -> Link {
        let position = self.slots.iter().position(|slot| slot.name == name).unwrap_or_else(|| {
            self.slots.push(Slot { name: name.to_owned(), interface: None, told: None });
            self.slots.len() - 1
        });
        Link(u32::try_from(position + 1).unwrap_or(u32::MAX))
    }

    pub(super) fn get(&self, link: Link) -> Option<&Slot> {
        self.slots.get(index(link)?)
    }

    pub(super) fn get_mut(&mut self, link: Link) -> Option<&mut Slot> {
        self.slots.get_mut(index(link)?)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Link> {
        self.iter().find(|(_, slot)| slot.name == name).map(|(link, _)| link)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Link, &Slot)> {
        (1..).map(Link).zip(&self.slots)
    }
}

fn index(link: Link) -> Option<usize> {
    usize::try_from(link.0).ok()?.checked_sub(1)
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::InterfaceAddress;

    fn slot(addresses: &[(&str, u8)]) -> Slot {
        let addresses = addresses
            .iter()
            .map(|(address, prefix_len)| InterfaceAddress {
                address: address.parse().expect("an address"),
                prefix_len: *prefix_len,
                secondary: false,
            })
            .collect();
        let name = "eth0".to_owned();
        let interface =
            Interface { index: 2, name: name.clone(), up: true, running: true, addresses, ..Interface::default() };
        Slot { name, interface: Some(Arc::new(interface)), told: None }
    }

    #[test]
    fn a_virtual_address_is_no_source_but_the_owners_own_address_is() {
        let vip = "10.0.0.9".parse().expect("an address");
        let slot = slot(&[("10.0.0.9", 24), ("10.0.0.1", 24), ("fd00::1", 64), ("fe80::1", 64)]);
        let source = |of_routers: Virtual| slot.source(Family::V4, &of_routers).map(|address| address.to_string());
        assert_eq!(source(Virtual::from([(vip, 24)])).as_deref(), Some("10.0.0.1"));
        assert_eq!(source(Virtual::from([(vip, 32)])).as_deref(), Some("10.0.0.9"));
        let v6 = slot.source(Family::V6, &Virtual::new()).map(|address| address.to_string());
        assert_eq!(v6.as_deref(), Some("fe80::1"));
    }

    #[test]
    fn links_are_stable_and_zero_is_no_slot() {
        let mut slots = Slots::default();
        let (first, second) = (slots.link("eth0"), slots.link("eth1"));
        assert_eq!((slots.link("eth0"), slots.by_name("eth1")), (first, Some(second)));
        assert!(slots.get(Link(0)).is_none());
        assert_eq!(slots.get(second).map(|slot| slot.name.as_str()), Some("eth1"));
    }
}
