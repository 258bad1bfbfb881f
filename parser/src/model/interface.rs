//! Interfaces: virtual ones of instances, and what holds for real ones.

use super::{Route, Rule, VirtualAddress};
use crate::span::Span;
use std::net::IpAddr;
use std::time::Duration;

/// `use_vmac`: an own interface (macvlan, private) with a MAC address for the virtual router.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vmac {
    /// Name of the interface; `None` is `vmac_prefix`.`virtual_router_id`, made unique by the daemon.
    pub name: Option<String>,
    /// Its MAC address.
    pub mac: VmacAddress,
    /// `group N`: group of the interface.
    pub group: Option<u32>,
    /// `netlink_notify_msg`: the kernel announces its addresses, as on any interface.
    pub netlink_notify: bool,
}

/// MAC address of a [`Vmac`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VmacAddress {
    /// `00:00:5e:00:01:VRID`, with `02` in the fifth octet for IPv6 (RFC 9568 section 7.3).
    #[default]
    Standard,
    /// Five octets were given; the last one is the virtual router id.
    Prefix([u8; 5]),
    /// All were given.
    Full([u8; 6]),
}

/// `use_ipvlan`: an own interface that shares the MAC address of the real one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ipvlan {
    /// Name of the interface; `None` is chosen as for [`Vmac`].
    pub name: Option<String>,
    /// Address of the interface and its prefix length; also the source of adverts.
    pub address: Option<(IpAddr, u8)>,
    /// `bridge`, `private` or `vepa`.
    pub mode: IpvlanMode,
    /// `group N`: group of the interface.
    pub group: Option<u32>,
}

/// How ipvlan interfaces of one parent talk to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpvlanMode {
    /// `bridge`: directly.
    #[default]
    Bridge,
    /// `private`: not at all.
    Private,
    /// `vepa`: through the switch.
    Vepa,
}

/// `garp_extra_if [all] SECONDS`: gratuitous ARPs on VMACs and other interfaces while master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraGarp {
    /// Period, 1..=86400 s.
    pub interval: Duration,
    /// `all`: interfaces without a VMAC, too.
    pub all: bool,
}

/// `static_ipaddress`, `static_routes` and `static_rules`: there while the daemon runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statics {
    /// Addresses. `dev` is `None` where `default_interface` is meant.
    pub addresses: Vec<VirtualAddress>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
}

/// `track_group NAME`: the instances that go to fault when a static address, route or rule of the group is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackGroup {
    /// Name.
    pub name: String,
    /// Names of instances that exist.
    pub members: Vec<String>,
    /// Head of the block.
    pub span: Span,
}

/// `garp_group`: pauses between announcements that several interfaces share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GarpGroup {
    /// `garp_interval` between gratuitous ARPs.
    pub garp_interval: Duration,
    /// `gna_interval` between unsolicited neighbour advertisements.
    pub gna_interval: Duration,
    /// `interfaces` that share the pause.
    pub interfaces: Vec<String>,
    /// Head of the block.
    pub span: Span,
}

/// How the state of an interface is asked for when the kernel does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Linkbeat {
    /// The daemon chooses.
    #[default]
    Any,
    /// `MII`.
    Mii,
    /// `ETHTOOL`.
    Ethtool,
    /// `IOCTL`.
    Ioctl,
}

/// A line of `linkbeat_interfaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkbeatInterface {
    /// Interface.
    pub name: String,
    /// How it is asked.
    pub kind: Linkbeat,
}

/// A line of `interface_up_down_delays`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceDelay {
    /// Interface.
    pub name: String,
    /// How long it must be down until that counts, up to 255 s.
    pub down: Duration,
    /// How long it must be up until that counts; zero when absent.
    pub up: Duration,
}
