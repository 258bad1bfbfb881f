//! Interfaces with the virtual router's own MAC address: macvlans, there while the daemon runs.

use super::address::AddressSpec;
use super::interface::Interface;
use super::kernel::{Message, request};
use super::worker::Worker;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use nix::errno::Errno;
use standfast_parser::model::AddressOptions;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

/// One macvlan interface of a virtual router (`use_vmac`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmacSpec {
    /// The router, for log lines.
    pub router: Arc<str>,
    /// Name of the interface.
    pub name: String,
    /// Name of the interface that it stands on.
    pub base: String,
    /// Its MAC address, RFC 9568 section 7.3.
    pub mac: [u8; 6],
    /// Group of the interface.
    pub group: Option<u32>,
    /// Whether adverts of IPv6 leave through it: it needs the link-local address of its base then.
    pub link_local: bool,
    /// Whether it carries IPv4: it answers ARP for its own addresses only then.
    pub ipv4: bool,
}

/// Settings of an interface that shares its network with its base.
const IPV4_SETTINGS: [(&str, &str); 5] = [
    // The base answers for its own addresses, this one for the virtual ones.
    ("arp_ignore", "1"),
    ("arp_filter", "0"),
    // Packets to it come with sources that the base routes.
    ("rp_filter", "0"),
    ("accept_local", "1"),
    ("promote_secondaries", "1"),
];

impl VmacSpec {
    fn create(&self, base: u32) -> Message {
        let mut message = LinkMessage::default();
        let mode = InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)]);
        message.attributes = vec![
            LinkAttribute::IfName(self.name.clone()),
            LinkAttribute::Link(base),
            LinkAttribute::Address(self.mac.to_vec()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::MacVlan), LinkInfo::Data(mode)]),
        ];
        message.attributes.extend(self.group.map(LinkAttribute::Group));
        request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// What a killed daemon left is as good as new.
    fn is(&self, interface: &Interface, base: u32) -> bool {
        interface.mac == Some(self.mac) && interface.base == Some(base)
    }

    fn configure(&self) {
        // No link-local address of its own: neighbours must not find the host by it.
        self.set("ipv6", "addr_gen_mode", "1");
        if self.ipv4 {
            IPV4_SETTINGS.iter().for_each(|(setting, value)| self.set("ipv4", setting, value));
        }
    }

    fn set(&self, family: &str, setting: &str, value: &str) {
        let path = format!("/proc/sys/net/{family}/conf/{}/{setting}", self.name);
        if let Err(error) = fs::write(&path, value) {
            tracing::debug!(target: "vrrp", "cannot set {path} to {value}: {error}");
        }
    }
}

impl fmt::Display for VmacSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) VMAC interface {} on {}", self.router, self.name, self.base)
    }
}

fn switch_on(index: u32) -> Message {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    request(RouteNetlinkMessage::SetLink(message), 0)
}

fn delete(index: u32) -> Message {
    let mut message = LinkMessage::default();
    message.header.index = index;
    request(RouteNetlinkMessage::DelLink(message), 0)
}

impl Worker<'_> {
    /// Makes the interfaces that are wanted and removes those that are wanted no longer.
    pub(super) fn set_vmacs(&mut self, wanted: Vec<VmacSpec>) {
        let former = std::mem::replace(&mut self.estate.vmacs, wanted);
        let kept = self.estate.vmacs.clone();
        for gone in former.iter().filter(|spec| !kept.iter().any(|kept| kept.name == spec.name)) {
            self.remove(gone);
        }
        if kept.is_empty() {
            return;
        }
        kept.iter().for_each(|spec| self.make(spec));
        // Whoever starts next must find them switched on.
        self.reread();
    }

    /// An interface changed: one that was waited for may be there, or one of ours may be gone.
    pub(super) fn tend_vmacs(&mut self, interface: &str) {
        let concerned = |spec: &&VmacSpec| spec.base == interface || spec.name == interface;
        let concerned: Vec<VmacSpec> = self.estate.vmacs.iter().filter(concerned).cloned().collect();
        if concerned.is_empty() {
            return;
        }
        for spec in concerned {
            self.make(&spec);
        }
    }

    fn make(&mut self, spec: &VmacSpec) {
        let Some(base) = self.table.by_name(&spec.base).cloned() else { return };
        match self.table.by_name(&spec.name).cloned() {
            Some(interface) if spec.is(&interface, base.index) => self.complete(spec, &base, &interface),
            Some(interface) => {
                tracing::info!(target: "vrrp", "{spec}: replacing an interface of that name that is another one");
                if self.attempt(spec, "remove", delete(interface.index)) {
                    self.create(spec, &base);
                }
            }
            None => self.create(spec, &base),
        }
    }

    fn create(&mut self, spec: &VmacSpec, base: &Arc<Interface>) {
        if !self.attempt(spec, "create", spec.create(base.index)) {
            return;
        }
        tracing::info!(target: "vrrp", "({}): Success creating VMAC interface {}", spec.router, spec.name);
        self.reread();
        if let Some(interface) = self.table.by_name(&spec.name).cloned() {
            self.complete(spec, base, &interface);
        }
    }

    /// Settings come before it is switched on, so that nothing else comes to be on it.
    fn complete(&mut self, spec: &VmacSpec, base: &Interface, interface: &Interface) {
        if !interface.up && base.up {
            spec.configure();
            self.attempt(spec, "switch on", switch_on(interface.index));
        }
        let link_local = |interface: &Interface| {
            interface
                .addresses
                .iter()
                .map(|held| held.address)
                .find(|address| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()))
        };
        if let Some(address) =
            link_local(base).filter(|address| spec.link_local && !self.table.has(interface.index, *address))
        {
            let options = AddressOptions { preferred_lifetime: Some(0), ..AddressOptions::default() };
            let address = AddressSpec { options, ..AddressSpec::new(&spec.name, address, 64) };
            self.attempt(spec, "give a link-local address to", address.add(interface.index));
        }
    }

    fn remove(&mut self, spec: &VmacSpec) {
        if let Some(index) = self.table.by_name(&spec.name).map(|interface| interface.index) {
            self.attempt(spec, "remove", delete(index));
        }
    }

    fn attempt(&mut self, spec: &VmacSpec, doing: &str, message: Message) -> bool {
        match self.kernel.ask(message) {
            Ok(()) | Err(Errno::EEXIST) => true,
            Err(Errno::EOPNOTSUPP) => {
                let VmacSpec { router, name, .. } = spec;
                tracing::error!(
                    target: "vrrp",
                    "({router}): Unable to create VMAC interface {name}: this kernel has no macvlan (CONFIG_MACVLAN)"
                );
                false
            }
            Err(error) => {
                tracing::error!(target: "vrrp", "cannot {doing} {spec}: {}", error.desc());
                false
            }
        }
    }

    /// The kernel's report of what was just made is still to come.
    fn reread(&mut self) {
        match self.kernel.read_table() {
            Ok(table) => self.table = table,
            Err(error) => tracing::error!(target: "vrrp", "cannot read the interfaces: {error}"),
        }
        self.tell_all();
    }
}
