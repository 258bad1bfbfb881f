//! Interfaces by name: the pure crate's [`Link`] is a slot here, so that an interface may vanish and come back with
//! another kernel index without the virtual routers noticing more than a fault.

use crate::netlink::Interface;
use standfast_vrrp::{Family, Link};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Virtual addresses with their prefix lengths: never taken as the source of adverts.
pub(super) type Virtual = HashSet<(IpAddr, u8)>;

/// One interface that a virtual router uses.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) interface: Option<Arc<Interface>>,
    /// For a VMAC, the interface that it stands on, whose address it sends with.
    pub(super) base: Option<Arc<Interface>>,
    /// Whether it counts as usable.
    usable: bool,
    /// When a change of that counts, unless it is over by then.
    due: Option<Instant>,
    /// What the node was told last, so that the many reports that change nothing for it cost nothing.
    pub(super) told: Option<Facts>,
}

/// `interface_up_down_delays`: how long an interface must be down or up until that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delay {
    /// Until it counts as down.
    pub down: Duration,
    /// Until it counts as up.
    pub up: Duration,
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
        self.usable
    }

    /// Takes in what the kernel says. `delay` is how long a change must last until it counts; the loss of the interface itself
    /// counts at once.
    pub(super) fn take(&mut self, interface: Option<Arc<Interface>>, delay: Delay, now: Instant) {
        self.interface = interface;
        let actual = self.interface.as_ref().is_some_and(|interface| interface.is_usable());
        let wait = if actual { delay.up } else { delay.down };
        if actual == self.usable {
            self.due = None;
        } else if wait.is_zero() || self.interface.is_none() {
            (self.usable, self.due) = (actual, None);
        } else if self.due.is_none() {
            self.due = now.checked_add(wait);
        }
    }

    /// A change has lasted long enough to count; true if there is one.
    pub(super) fn ripen(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        (self.usable, self.due) = (!self.usable, None);
        true
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
        let interface = self.base.as_ref().or(self.interface.as_ref())?;
        let own = interface.addresses.iter().filter(|held| !of_routers.contains(&(held.address, held.prefix_len)));
        own.map(|held| held.address).find(|address| match address {
            IpAddr::V4(_) => family == Family::V4,
            IpAddr::V6(address) => family == Family::V6 && is_link_local(*address),
        })
    }
}

/// Slots by [`Link`]; `Link(0)` is "any interface" and has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
}

impl Slots {
    /// The link of the interface called `name`, made on first use.
    pub(super) fn link(&mut self, name: &str) -> Link {
        let position = self.slots.iter().position(|slot| slot.name == name).unwrap_or_else(|| {
            self.slots.push(Slot {
                name: name.to_owned(),
                interface: None,
                base: None,
                usable: false,
                due: None,
                told: None,
            });
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

    /// When [`Slot::ripen`] is due for some slot.
    pub(super) fn due(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.due).min()
    }

    /// The slots in which a change has lasted long enough to count.
    pub(super) fn ripe(&mut self, now: Instant) -> Vec<(Link, String)> {
        let slots = (1..).map(Link).zip(&mut self.slots);
        slots.filter_map(|(link, slot)| slot.ripen(now).then(|| (link, slot.name.clone()))).collect()
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
        Slot { name, interface: Some(Arc::new(interface)), base: None, usable: true, due: None, told: None }
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
    fn a_change_counts_when_it_has_lasted() {
        let mut slot = slot(&[]);
        let (up, now) = (slot.interface.clone(), Instant::now());
        let down = Some(Arc::new(Interface { index: 2, ..Interface::default() }));
        let second = Duration::from_secs(1);
        let delay = Delay { down: second, up: Duration::ZERO };
        slot.take(down.clone(), delay, now);
        assert!(slot.is_usable() && !slot.ripen(now));
        slot.take(up.clone(), delay, now + second / 2);
        assert!(slot.is_usable() && !slot.ripen(now + second), "it came back in time");
        slot.take(down, delay, now + second);
        assert!(slot.ripen(now + second * 2) && !slot.is_usable());
        slot.take(up, delay, now + second * 3);
        assert!(slot.is_usable(), "no delay for this direction");
        slot.take(None, delay, now + second * 4);
        assert!(!slot.is_usable(), "an interface that is gone is gone");
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
