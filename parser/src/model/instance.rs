//! `vrrp_instance` and `vrrp_sync_group`.

use super::{AuthHmac, ExtraGarp, Ipvlan, Notify, Route, Rule, Script, TrackedInterface, TrackedWeight, Vmac};
use crate::span::Span;
use std::net::IpAddr;
use std::time::Duration;

/// `vrrp_sync_group NAME`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncGroup {
    /// Name.
    pub name: String,
    /// `group { ... }`: names of instances that exist.
    pub members: Vec<String>,
    /// Scripts.
    pub notify: Notify,
    /// `smtp_alert` resolved against the globals.
    pub smtp_alert: bool,
    /// `global_tracking`.
    pub global_tracking: bool,
    /// `track_interface` of the group.
    pub track_interfaces: Vec<TrackedInterface>,
    /// `track_script` of the group.
    pub track_scripts: Vec<TrackedWeight>,
    /// Head of the block.
    pub span: Span,
    /// `track_file`.
    pub track_files: Vec<TrackedWeight>,
    /// `track_process`.
    pub track_processes: Vec<TrackedWeight>,
    /// `track_bfd`.
    pub track_bfds: Vec<TrackedWeight>,
}

/// Address family of an instance, decided by its first address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// `authentication`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// No authentication.
    #[default]
    None,
    /// `auth_type PASS`: the first eight bytes of the password, padded with zeros.
    Pass([u8; 8]),
    /// `auth_type AH`: the first eight bytes of the password, padded with zeros.
    Ah([u8; 8]),
}

/// Initial state asked for by `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialState {
    /// `state MASTER`.
    Master,
    /// `state BACKUP`.
    Backup,
}

/// Gratuitous ARP (and unsolicited neighbour advertisement) settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garp {
    /// `garp_master_delay`: second block after becoming master, default 5 s; zero means none.
    pub delay: Duration,
    /// `garp_master_repeat`: packets per address in a block, default 5.
    pub repeat: u32,
    /// `garp_master_refresh`: period of refreshes while master, zero means never.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`, default 1.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_delay`, default as `delay`.
    pub lower_prio_delay: Duration,
    /// `garp_lower_prio_repeat`, default as `repeat`.
    pub lower_prio_repeat: u32,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
        }
    }
}

/// `vrrp_instance NAME`, with every default applied.
#[derive(Debug, Clone, PartialEq)]
pub struct VrrpInstance {
    /// Name.
    pub name: String,
    /// `state`.
    pub state: InitialState,
    /// `interface`; `None` only for unicast instances with `unicast_src_ip`.
    pub interface: Option<String>,
    /// `virtual_router_id`, 1..=255.
    pub virtual_router_id: u8,
    /// Protocol version, 2 or 3.
    pub version: u8,
    /// Family of the adverts.
    pub family: Family,
    /// `priority`, 1..=255.
    pub priority: u8,
    /// `advert_int`, whole seconds for version 2, centiseconds for version 3.
    pub advert_int: Duration,
    /// `nopreempt` absent.
    pub preempt: bool,
    /// `preempt_delay`.
    pub preempt_delay: Duration,
    /// `authentication`.
    pub auth: Auth,
    /// `auth_hmac`.
    pub auth_hmac: Option<AuthHmac>,
    /// `virtual_ipaddress`: advertised addresses, in file order.
    pub addresses: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded`: set but not advertised.
    pub excluded_addresses: Vec<VirtualAddress>,
    /// `mcast_src_ip` or `unicast_src_ip`.
    pub source: Option<IpAddr>,
    /// `unicast_peer`; empty means multicast.
    pub unicast_peers: Vec<UnicastPeer>,
    /// `unicast_ttl`; `None` leaves 255 for IPv4 and the kernel's hop limit for IPv6.
    pub unicast_ttl: Option<u8>,
    /// `check_unicast_src`, globals applied: adverts come from a peer or are rejected.
    pub check_unicast_src: bool,
    /// `old_unicast_checksum`; false for `never` and when absent.
    pub old_unicast_checksum: bool,
    /// `timer_expired_backup`, 254 when it has no number; only with `nopreempt`.
    pub timer_expired_backup: Option<u8>,
    /// `use_vmac`.
    pub vmac: Option<Vmac>,
    /// `use_vmac_addr`: addresses with a `dev` of their own get macvlan interfaces, too.
    pub vmac_addresses: bool,
    /// `vmac_xmit_base`: adverts leave by the real interface.
    pub vmac_xmit_base: bool,
    /// `use_ipvlan`.
    pub ipvlan: Option<Ipvlan>,
    /// `vrf`: device for unicast sockets of an instance without `interface`.
    pub vrf: Option<String>,
    /// `virtual_routes`: there while master.
    pub routes: Vec<Route>,
    /// `virtual_rules`: there while master.
    pub rules: Vec<Rule>,
    /// `promote_secondaries`: sets the interface's sysctl, so that removing an address keeps those below it.
    pub promote_secondaries: bool,
    /// `mcast_dst_ip`: group of this instance instead of the global one; of the instance's family.
    pub multicast_group: Option<IpAddr>,
    /// `track_src_ip`: fault while the source address is missing.
    pub track_source: bool,
    /// `unicast_fault_no_peer`: fault instead of multicast when no peer is left.
    pub unicast_fault_no_peer: bool,
    /// `v3_checksum_as_v2`, globals applied: checksums of VRRP 3 over IPv4 leave the pseudo header out.
    pub v3_checksum_as_v2: bool,
    /// `owner_ignore_adverts`, globals applied: the owner of the addresses (priority 255) ignores adverts.
    pub owner_ignore_adverts: bool,
    /// `no_virtual_ipaddress`: it is meant that there are none.
    pub no_virtual_ipaddress: bool,
    /// `kernel_rx_buf_size`: octets.
    pub kernel_rx_buf_size: Option<u32>,
    /// `garp_extra_if`, globals applied.
    pub extra_garp: Option<ExtraGarp>,
    /// `linkbeat_use_polling`: the state of its interface is asked for.
    pub linkbeat_use_polling: bool,
    /// `dual_stack`, which keepalived does not have: adverts of both families.
    pub dual_stack: bool,
    /// `split_brain_notify`, which keepalived does not have.
    pub split_brain_notify: Option<Script>,
    /// `split_brain_heal`, which keepalived does not have.
    pub split_brain_heal: bool,
    /// `dont_track_primary`.
    pub dont_track_primary: bool,
    /// `track_interface`.
    pub track_interfaces: Vec<TrackedInterface>,
    /// `track_script`.
    pub track_scripts: Vec<TrackedWeight>,
    /// Gratuitous ARP settings, globals applied.
    pub garp: Garp,
    /// `lower_prio_no_advert`, globals applied.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`, globals applied.
    pub higher_prio_send_advert: bool,
    /// `accept` (true) or `no_accept`.
    pub accept: bool,
    /// `strict_mode` or the global `vrrp_strict`.
    pub strict: bool,
    /// `skip_check_adv_addr`, globals applied.
    pub skip_check_adv_addr: bool,
    /// `down_timer_adverts`, default 3.
    pub down_timer_adverts: u8,
    /// Scripts.
    pub notify: Notify,
    /// `smtp_alert` resolved against the globals.
    pub smtp_alert: bool,
    /// Head of the block.
    pub span: Span,
    /// `track_file`.
    pub track_files: Vec<TrackedWeight>,
    /// `track_process`.
    pub track_processes: Vec<TrackedWeight>,
    /// `track_bfd`.
    pub track_bfds: Vec<TrackedWeight>,
}

/// One line of `unicast_peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnicastPeer {
    /// Its address.
    pub address: IpAddr,
    /// `min_ttl`: lowest TTL or hop limit of its adverts, default 0.
    pub min_ttl: u8,
    /// `max_ttl`: highest TTL or hop limit of its adverts, default 255.
    pub max_ttl: u8,
}

/// One line of `virtual_ipaddress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Prefix length, /32 or /128 when absent.
    pub prefix_len: u8,
    /// `brd ADDRESS`; `brd +`/`-` already computed; `None` sets none.
    pub broadcast: Option<IpAddr>,
    /// `dev`; `None` is the instance's interface.
    pub dev: Option<String>,
    /// `scope`, kernel number (0 global, 253 link, 254 host, 200 site).
    pub scope: u8,
    /// `label`, up to 15 bytes.
    pub label: Option<String>,
    /// `peer ADDRESS/PREFIX`.
    pub peer: Option<(IpAddr, u8)>,
    /// Flags and the like.
    pub options: AddressOptions,
    /// Where it was written.
    pub span: Span,
}

/// What else a line of `virtual_ipaddress` or `static_ipaddress` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressOptions {
    /// `home`: `IFA_F_HOMEADDRESS`.
    pub home: bool,
    /// `-nodad`: the kernel looks for duplicates of an IPv6 address, which it does not for virtual ones otherwise.
    pub detect_duplicates: bool,
    /// `mngtmpaddr`: `IFA_F_MANAGETEMPADDR`.
    pub manage_temporary: bool,
    /// `noprefixroute`: `IFA_F_NOPREFIXROUTE`.
    pub no_prefix_route: bool,
    /// `autojoin`: `IFA_F_MCAUTOJOIN`.
    pub auto_join: bool,
    /// `no_track`: its loss is no reason to act.
    pub no_track: bool,
    /// `preferred_lft`: seconds, `u32::MAX` for `forever`. Absent: `forever`, and 0 for IPv6 addresses of length 128.
    pub preferred_lifetime: Option<u32>,
    /// `use_vmac`: on an own macvlan interface, virtual addresses only.
    pub use_vmac: bool,
    /// `track_group NAME`, static addresses only.
    pub track_group: Option<String>,
}
