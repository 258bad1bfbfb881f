//! What the kernel says about interfaces and their addresses, kept up to date from netlink messages.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoVrf, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One interface as the kernel reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address; `None` when it is not six bytes long.
    pub mac: Option<[u8; 6]>,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// `IFF_UP`: switched on by the administrator.
    pub up: bool,
    /// `IFF_RUNNING`: has a carrier.
    pub running: bool,
    /// Addresses in the kernel's order.
    pub addresses: Vec<InterfaceAddress>,
    /// For a VRF, the table that its routes are in.
    pub vrf_table: Option<u32>,
    /// For an interface on top of another one (macvlan, VLAN), the other one's index.
    pub base: Option<u32>,
    /// The bridge, bond or VRF that it belongs to, by index.
    pub master: Option<u32>,
    /// What kind of link it is, for dumps.
    pub nature: Nature,
}

/// What a link is made for. It does not change while the interface lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nature {
    /// `ARPHRD_*`: 1 is Ethernet, 772 the loopback.
    pub hardware: u16,
    /// The hardware address that reaches every host; `None` when it is not six bytes long.
    pub broadcast_mac: Option<[u8; 6]>,
    /// `IFF_BROADCAST`, `IFF_LOOPBACK`, `IFF_POINTOPOINT`, `IFF_NOARP` and `IFF_MULTICAST`.
    pub flags: LinkFlags,
}

impl Nature {
    fn of(message: &LinkMessage) -> Self {
        let lasting = LinkFlags::Broadcast
            | LinkFlags::Loopback
            | LinkFlags::Pointopoint
            | LinkFlags::Noarp
            | LinkFlags::Multicast;
        let flags = message.header.flags & lasting;
        Self { hardware: message.header.link_layer_type.into(), broadcast_mac: None, flags }
    }
}

impl Interface {
    /// Whether adverts can pass: switched on and with a carrier, as keepalived judges it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.up && self.running
    }

    /// The first link-local address of IPv6.
    pub(super) fn link_local(&self) -> Option<IpAddr> {
        let is_link_local = |address: &IpAddr| matches!(address, IpAddr::V6(own) if own.is_unicast_link_local());
        self.addresses.iter().map(|held| held.address).find(is_link_local)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|held| held.address == address)
    }
}

/// One address of an [`Interface`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The local address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
    /// Not the first IPv4 address of its network, so the kernel may remove it together with the first.
    pub secondary: bool,
}

impl InterfaceAddress {
    fn is_same(&self, other: &Self) -> bool {
        (self.address, self.prefix_len) == (other.address, other.prefix_len)
    }
}

/// A change of the [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An interface appeared or something about it changed.
    Changed(Arc<Interface>),
    /// An interface vanished (or has another name).
    Removed(Arc<Interface>),
    /// The kernel took an address away.
    AddressRemoved {
        /// Index of the interface.
        index: u32,
        /// The address.
        address: IpAddr,
    },
}

/// Every interface of the namespace, by index.
#[derive(Debug, Clone, Default)]
pub struct Table {
    interfaces: BTreeMap<u32, Arc<Interface>>,
}

impl Table {
    /// Every interface, by ascending index.
    pub fn interfaces(&self) -> impl Iterator<Item = &Arc<Interface>> {
        self.interfaces.values()
    }

    /// The interface with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Interface>> {
        self.interfaces().find(|interface| interface.name == name)
    }

    /// Name of the interface with this index; empty when there is none.
    #[must_use]
    pub fn name(&self, index: u32) -> String {
        self.interfaces.get(&index).map(|interface| interface.name.clone()).unwrap_or_default()
    }

    /// Whether the interface holds the address, with any prefix length.
    #[must_use]
    pub fn has(&self, index: u32, address: IpAddr) -> bool {
        self.interfaces.get(&index).is_some_and(|interface| interface.holds(address))
    }

    /// Whether the interface holds the address with this prefix length.
    #[must_use]
    pub fn holds(&self, index: u32, address: IpAddr, prefix_len: u8) -> bool {
        let matches = |held: &InterfaceAddress| (held.address, held.prefix_len) == (address, prefix_len);
        self.interfaces.get(&index).is_some_and(|interface| interface.addresses.iter().any(matches))
    }

    /// Whether the address is known and not the first of its network.
    #[must_use]
    pub fn is_secondary(&self, index: u32, address: IpAddr) -> bool {
        let matches = |held: &InterfaceAddress| held.address == address && held.secondary;
        self.interfaces.get(&index).is_some_and(|interface| interface.addresses.iter().any(matches))
    }

    /// Whether an address comes first in its network is unknown on this interface until the kernel says so again.
    pub fn doubt_secondaries(&mut self, index: u32) {
        if let Some(interface) = self.interfaces.get_mut(&index) {
            Arc::make_mut(interface).addresses.iter_mut().for_each(|held| held.secondary = false);
        }
    }

    /// Takes in one netlink message; returns what changed, in order.
    pub fn apply(&mut self, message: &RouteNetlinkMessage) -> Vec<Change> {
        match message {
            RouteNetlinkMessage::NewLink(link) => self.link(link),
            RouteNetlinkMessage::DelLink(link) => self.link_gone(link.header.index),
            RouteNetlinkMessage::NewAddress(address) => self.address(address),
            RouteNetlinkMessage::DelAddress(address) => self.address_gone(address),
            _ => Vec::new(),
        }
    }

    fn link(&mut self, message: &LinkMessage) -> Vec<Change> {
        // Bridges announce their ports with the same message type; those carry no state of the link.
        if u8::from(message.header.interface_family) != 0 {
            return Vec::new();
        }
        let index = message.header.index;
        let old = self.interfaces.get(&index);
        let Some(interface) = read_link(message, old) else { return Vec::new() };
        if old.is_some_and(|old| **old == interface) {
            return Vec::new();
        }
        let renamed = old.filter(|old| old.name != interface.name).cloned();
        let interface = Arc::new(interface);
        self.interfaces.insert(index, Arc::clone(&interface));
        renamed.map(Change::Removed).into_iter().chain([Change::Changed(interface)]).collect()
    }

    fn link_gone(&mut self, index: u32) -> Vec<Change> {
        self.interfaces.remove(&index).map(Change::Removed).into_iter().collect()
    }

    fn address(&mut self, message: &AddressMessage) -> Vec<Change> {
        let Some(added) = read_address(message) else { return Vec::new() };
        self.change_addresses(message.header.index, |addresses| {
            match addresses.iter_mut().find(|held| held.is_same(&added)) {
                Some(held) => held.secondary = added.secondary,
                None => addresses.push(added),
            }
        })
    }

    fn address_gone(&mut self, message: &AddressMessage) -> Vec<Change> {
        let Some(removed) = read_address(message) else { return Vec::new() };
        let index = message.header.index;
        let mut changes = self.change_addresses(index, |addresses| addresses.retain(|held| !held.is_same(&removed)));
        let address = removed.address;
        if !self.interfaces.get(&index).is_some_and(|interface| interface.holds(address)) {
            changes.insert(0, Change::AddressRemoved { index, address });
        }
        changes
    }

    fn change_addresses(&mut self, index: u32, change: impl FnOnce(&mut Vec<InterfaceAddress>)) -> Vec<Change> {
        let Some(interface) = self.interfaces.get_mut(&index) else { return Vec::new() };
        let before = interface.addresses.len();
        change(&mut Arc::make_mut(interface).addresses);
        if interface.addresses.len() == before {
            return Vec::new();
        }
        vec![Change::Changed(Arc::clone(interface))]
    }
}

fn read_link(message: &LinkMessage, old: Option<&Arc<Interface>>) -> Option<Interface> {
    let mut interface = Interface {
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        running: message.header.flags.contains(LinkFlags::Running),
        addresses: old.map(|old| old.addresses.clone()).unwrap_or_default(),
        nature: Nature::of(message),
        ..Interface::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Address(mac) => interface.mac = mac.as_slice().try_into().ok(),
            LinkAttribute::Broadcast(mac) => interface.nature.broadcast_mac = mac.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Link(index) => interface.base = Some(*index).filter(|index| *index != 0),
            LinkAttribute::Controller(index) => interface.master = Some(*index).filter(|index| *index != 0),
            LinkAttribute::LinkInfo(infos) => interface.vrf_table = infos.iter().find_map(vrf_table),
            _ => {}
        }
    }
    (!interface.name.is_empty()).then_some(interface)
}

fn vrf_table(info: &LinkInfo) -> Option<u32> {
    let LinkInfo::Data(InfoData::Vrf(infos)) = info else { return None };
    infos.iter().find_map(|info| match info {
        InfoVrf::TableId(table) => Some(*table),
        _ => None,
    })
}

/// `IFA_LOCAL` is the interface's own address, `IFA_ADDRESS` the peer's on point-to-point links; IPv6 sends only the latter.
fn read_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let secondary = message.header.flags.contains(AddressHeaderFlags::Secondary) && address.is_ipv4();
    Some(InterfaceAddress { address, prefix_len: message.header.prefix_len, secondary })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn link(index: u32, name: &str, flags: LinkFlags) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]));
        RouteNetlinkMessage::NewLink(message)
    }

    fn address(index: u32, last: u8, prefix_len: u8) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = prefix_len;
        message.attributes.push(AddressAttribute::Local(Ipv4Addr::new(10, 0, 0, last).into()));
        message
    }

    #[test]
    fn a_link_that_says_nothing_else_changes_nothing() {
        let mut table = Table::default();
        let up = LinkFlags::Up | LinkFlags::Running;
        assert_eq!(table.apply(&link(2, "eth0", up)).len(), 1);
        assert!(table.apply(&link(2, "eth0", up)).is_empty());
        assert!(table.by_name("eth0").expect("known").is_usable());
        assert_eq!(table.apply(&link(2, "eth0", LinkFlags::Up)).len(), 1);
        assert!(!table.by_name("eth0").expect("known").is_usable());
    }

    #[test]
    fn a_renamed_link_is_removed_under_its_old_name() {
        let mut table = Table::default();
        table.apply(&link(2, "eth0", LinkFlags::Up));
        let changes = table.apply(&link(2, "lan0", LinkFlags::Up));
        assert!(
            matches!(&changes[..], [Change::Removed(old), Change::Changed(new)] if old.name == "eth0" && new.name == "lan0")
        );
    }

    #[test]
    fn an_address_held_twice_is_gone_only_with_the_last_one() {
        let mut table = Table::default();
        table.apply(&link(2, "eth0", LinkFlags::Up));
        table.apply(&RouteNetlinkMessage::NewAddress(address(2, 9, 24)));
        table.apply(&RouteNetlinkMessage::NewAddress(address(2, 9, 32)));
        let first = table.apply(&RouteNetlinkMessage::DelAddress(address(2, 9, 32)));
        assert!(matches!(&first[..], [Change::Changed(_)]), "{first:?}");
        let second = table.apply(&RouteNetlinkMessage::DelAddress(address(2, 9, 24)));
        assert!(matches!(&second[..], [Change::AddressRemoved { index: 2, .. }, Change::Changed(_)]), "{second:?}");
    }

    #[test]
    fn addresses_of_unknown_links_and_links_without_name_are_ignored() {
        let mut table = Table::default();
        assert!(table.apply(&RouteNetlinkMessage::NewAddress(address(9, 1, 24))).is_empty());
        assert!(table.apply(&RouteNetlinkMessage::NewLink(LinkMessage::default())).is_empty());
    }
}
