//! Interfaces of virtual routers, there while the daemon runs: macvlans with the router's own MAC address, ipvlans with that of
//! their base.

use super::address::AddressSpec;
use super::interface::Interface;
use super::kernel::{Message, request};
use super::worker::Worker;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanFlags, IpVlanMode, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage, MacVlanMode,
};
use nix::errno::Errno;
use standfast_parser::model::{AddressOptions, IpvlanMode};
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

/// One interface of a virtual router (`use_vmac`, `use_ipvlan`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmacSpec {
    /// The router, for log lines.
    pub router: Arc<str>,
    /// Name of the interface.
    pub name: String,
    /// Name of the interface that it stands on.
    pub base: String,
    /// What it is.
    pub kind: VmacKind,
    /// Group of the interface.
    pub group: Option<u32>,
    /// Whether adverts of IPv6 leave through it: it needs the link-local address of its base then.
    pub link_local: bool,
    /// Whether it carries IPv4: it answers ARP for its own addresses only then.
    pub ipv4: bool,
}

/// The kinds of interfaces that are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmacKind {
    /// A macvlan with this MAC address, RFC 9568 section 7.3.
    Macvlan([u8; 6]),
    /// An ipvlan, which has the MAC address of its base.
    Ipvlan {
        /// How such interfaces of one base reach each other.
        mode: IpvlanMode,
        /// The address that adverts leave with, and its prefix length.
        address: Option<(IpAddr, u8)>,
    },
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
        let (kind, data) = self.kind.data();
        message.attributes = vec![
            LinkAttribute::IfName(self.name.clone()),
            LinkAttribute::Link(base),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]),
        ];
        if let VmacKind::Macvlan(mac) = self.kind {
            message.attributes.push(LinkAttribute::Address(mac.to_vec()));
        }
        message.attributes.extend(self.group.map(LinkAttribute::Group));
        request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// What a killed daemon left is as good as new.
    fn is(&self, interface: &Interface, base: &Interface) -> bool {
        let mac = match self.kind {
            VmacKind::Macvlan(mac) => Some(mac),
            VmacKind::Ipvlan { .. } => base.mac,
        };
        interface.mac == mac && interface.base == Some(base.index)
    }

    /// Whether it answers ARP beside its base.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.ipv4 && self.is_macvlan()
    }

    fn is_macvlan(&self) -> bool {
        matches!(self.kind, VmacKind::Macvlan(_))
    }

    fn configure(&self) {
        // No link-local address of its own: neighbours must not find the host by it. An ipvlan's adverts of IPv6 come from it.
        if self.is_macvlan() || self.ipv4 {
            self.set("ipv6", "addr_gen_mode", "1");
        }
        if self.answers() {
            IPV4_SETTINGS.iter().for_each(|(setting, value)| self.set("ipv4", setting, value));
        }
    }

    /// What it holds as long as it is there.
    fn own_addresses(&self, base: &Interface) -> impl Iterator<Item = AddressSpec> {
        let link_local = base.link_local().filter(|_| self.link_local).map(|address| {
            let options = AddressOptions { preferred_lifetime: Some(0), ..AddressOptions::default() };
            AddressSpec { options, ..AddressSpec::new(&self.name, address, 64) }
        });
        let own = match self.kind {
            VmacKind::Macvlan(_) | VmacKind::Ipvlan { address: None, .. } => None,
            VmacKind::Ipvlan { address: Some((address, prefix_len)), .. } => {
                Some(AddressSpec::new(&self.name, address, prefix_len))
            }
        };
        link_local.into_iter().chain(own)
    }

    fn set(&self, family: &str, setting: &str, value: &str) {
        let path = format!("/proc/sys/net/{family}/conf/{}/{setting}", self.name);
        if let Err(error) = fs::write(&path, value) {
            tracing::debug!(target: "vrrp", "cannot set {path} to {value}: {error}");
        }
    }
}

impl VmacKind {
    fn data(&self) -> (InfoKind, InfoData) {
        match self {
            Self::Macvlan(_) => (InfoKind::MacVlan, InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)])),
            Self::Ipvlan { mode, .. } => {
                let flags = match mode {
                    IpvlanMode::Bridge => IpVlanFlags::empty(),
                    IpvlanMode::Private => IpVlanFlags::Private,
                    IpvlanMode::Vepa => IpVlanFlags::Vepa,
                };
                let data = vec![InfoIpVlan::Mode(IpVlanMode::L2), InfoIpVlan::Flags(flags)];
                (InfoKind::IpVlan, InfoData::IpVlan(data))
            }
        }
    }

    /// keepalived's word, and the kernel's option.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Macvlan(_) => ("VMAC", "macvlan (CONFIG_MACVLAN)"),
            Self::Ipvlan { .. } => ("ipvlan", "ipvlan (CONFIG_IPVLAN)"),
        }
    }
}

impl fmt::Display for VmacSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {} interface {} on {}", self.router, self.kind.names().0, self.name, self.base)
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
            Some(interface) if spec.is(&interface, &base) => self.complete(spec, &base, &interface),
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
        let VmacSpec { router, name, kind, .. } = spec;
        tracing::info!(target: "vrrp", "({router}): Success creating {} interface {name}", kind.names().0);
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
        let missing = |address: &AddressSpec| !self.table.has(interface.index, address.address);
        let missing: Vec<_> = spec.own_addresses(base).filter(missing).collect();
        for address in missing {
            self.attempt(spec, "give an address to", address.add(interface.index));
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
                let VmacSpec { router, name, kind, .. } = spec;
                let (word, option) = kind.names();
                tracing::error!(
                    target: "vrrp",
                    "({router}): Unable to create {word} interface {name}: this kernel has no {option}"
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
