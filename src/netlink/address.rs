//! Addresses to set, and the netlink messages that set and remove them.

use super::kernel::{Message, request};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use standfast_parser::model::AddressOptions;
use std::net::IpAddr;

/// One address that a virtual router sets on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressSpec {
    /// The address.
    pub address: IpAddr,
    /// Prefix length, at most 32 or 128.
    pub prefix_len: u8,
    /// Name of the interface that carries it.
    pub interface: String,
    /// IPv4 broadcast address; `None` sets none.
    pub broadcast: Option<IpAddr>,
    /// Scope, the kernel's number (0 global, 253 link, 254 host).
    pub scope: u8,
    /// Label (`ip addr ... label`), IPv4 only.
    pub label: Option<String>,
    /// Far end of a point-to-point address and its prefix length.
    pub peer: Option<(IpAddr, u8)>,
    /// Flags and the like.
    pub options: AddressOptions,
}

impl AddressSpec {
    /// A global address without label, broadcast or peer.
    #[must_use]
    pub fn new(interface: &str, address: IpAddr, prefix_len: u8) -> Self {
        let interface = interface.to_owned();
        let options = AddressOptions::default();
        Self { address, prefix_len, interface, broadcast: None, scope: 0, label: None, peer: None, options }
    }

    /// The configuration's `line`, on the instance's `interface` unless it says `dev`.
    #[must_use]
    pub fn from_config(line: &standfast_parser::model::VirtualAddress, interface: &str) -> Self {
        Self::placed(line, line.dev.as_deref().unwrap_or(interface))
    }

    /// The configuration's `line`, on `interface` whatever it says.
    #[must_use]
    pub fn placed(line: &standfast_parser::model::VirtualAddress, interface: &str) -> Self {
        Self {
            address: line.address,
            prefix_len: line.prefix_len,
            interface: interface.to_owned(),
            broadcast: line.broadcast,
            scope: line.scope,
            label: line.label.clone(),
            peer: line.peer,
            options: line.options.clone(),
        }
    }

    /// Whether its loss matters.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        !self.options.no_track
    }

    /// Prefix length that the kernel files the address under: the peer's if there is one.
    pub(super) fn kernel_prefix_len(&self) -> u8 {
        self.peer.map_or(self.prefix_len, |(_, prefix_len)| prefix_len)
    }

    /// Whether both are IPv4 addresses of the same network, of which the kernel makes one the primary.
    pub(super) fn is_sibling(&self, other: &Self) -> bool {
        let network = |spec: &Self| match spec.address {
            IpAddr::V4(address) if spec.peer.is_none() => {
                ipnet::Ipv4Net::new(address, spec.prefix_len).ok().map(|net| net.trunc())
            }
            _ => None,
        };
        self.address != other.address && network(self).is_some_and(|own| network(other) == Some(own))
    }

    /// `RTM_NEWADDR`, refused by the kernel with `EEXIST` if the address stands already.
    pub(super) fn add(&self, index: u32) -> Message {
        let mut message = self.common(index);
        message.header.scope = AddressScope::from(self.scope);
        if let Some(IpAddr::V4(broadcast)) = self.broadcast {
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        if let Some(label) = self.label.as_ref().filter(|_| self.address.is_ipv4()) {
            message.attributes.push(AddressAttribute::Label(label.clone()));
        }
        let flags = self.flags();
        if !flags.is_empty() {
            message.header.flags = AddressHeaderFlags::from_bits_truncate(flags.bits() as u8);
            message.attributes.push(AddressAttribute::Flags(flags));
        }
        if let Some(preferred) = self.preferred_lifetime() {
            let mut lifetimes = CacheInfo::default();
            (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (preferred, u32::MAX);
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
        request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    fn flags(&self) -> AddressFlags {
        let options = &self.options;
        let v6 = self.address.is_ipv6();
        [
            // Duplicate address detection would hold the address back for a second after each failover.
            (v6 && !options.detect_duplicates, AddressFlags::Nodad),
            (v6 && options.home, AddressFlags::Homeaddress),
            (v6 && options.manage_temporary, AddressFlags::Managetempaddr),
            (options.no_prefix_route, AddressFlags::Noprefixroute),
            (options.auto_join, AddressFlags::Mcautojoin),
        ]
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
        .collect()
    }

    /// RFC 5220 section 2.1.3: a virtual IPv6 address of full length is no source for connections of the host.
    fn preferred_lifetime(&self) -> Option<u32> {
        let host_only = self.address.is_ipv6() && self.prefix_len == 128;
        self.options.preferred_lifetime.or(host_only.then_some(0)).filter(|seconds| *seconds != u32::MAX)
    }

    /// `RTM_DELADDR`.
    pub(super) fn delete(&self, index: u32) -> Message {
        request(RouteNetlinkMessage::DelAddress(self.common(index)), 0)
    }

    fn common(&self, index: u32) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.prefix_len = self.kernel_prefix_len();
        message.header.index = index;
        let far = self.peer.map_or(self.address, |(peer, _)| peer);
        message.attributes = vec![AddressAttribute::Local(self.address), AddressAttribute::Address(far)];
        message
    }
}

impl std::fmt::Display for AddressSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} dev {}", self.address, self.prefix_len, self.interface)
    }
}
