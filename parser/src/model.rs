//! The typed configuration: what a file means after keepalived's defaults and repairs were applied.
//!
//! Every block keeps the [`Span`] of its head so that the daemon can point at it. Durations are [`Duration`], sizes and
//! counts plain integers. Names are keepalived's keywords.

use crate::span::Span;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A whole configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// `global_defs`, merged.
    pub globals: Globals,
    /// `vrrp_script` blocks in file order; names are unique.
    pub scripts: Vec<VrrpScript>,
    /// `vrrp_sync_group` blocks in file order; names are unique.
    pub sync_groups: Vec<SyncGroup>,
    /// `vrrp_instance` blocks in file order; names are unique.
    pub instances: Vec<VrrpInstance>,
    /// `virtual_server` blocks in file order.
    pub virtual_servers: Vec<VirtualServer>,
    /// `virtual_server_group` blocks in file order; names are unique.
    pub virtual_server_groups: Vec<VirtualServerGroup>,
    /// `track_file` blocks in file order; names are unique.
    pub track_files: Vec<TrackFile>,
    /// `vrrp_track_process` blocks in file order; names are unique.
    pub track_processes: Vec<TrackProcess>,
    /// `bfd_instance` blocks in file order; names are unique.
    pub bfd_instances: Vec<BfdInstance>,
    /// Other top-level statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

/// A statement that has no place of its own in the model yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// Keyword and arguments, quotes removed.
    pub words: Vec<String>,
    /// Its block, three levels deep at most.
    pub block: Option<Vec<Statement>>,
    /// Where it stands.
    pub span: Span,
}

/// `virtual_server_group NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServerGroup {
    /// Name that `virtual_server group NAME` refers to.
    pub name: String,
    /// Entries in file order.
    pub entries: Vec<GroupEntry>,
    /// Head of the block.
    pub span: Span,
}

/// One line of `virtual_server_group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEntry {
    /// `IP [PORT]`, `IP-LAST [PORT]` or `IP/PREFIX [PORT]`: all addresses from the first to the last; port 0 is any.
    Addresses {
        /// First address.
        first: IpAddr,
        /// Last address, of the same family.
        last: IpAddr,
        /// Port.
        port: u16,
    },
    /// `fwmark N`.
    Fwmark(u32),
}

/// `track_file NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// Name.
    pub name: String,
    /// `file`.
    pub file: String,
    /// `weight`, -254..=254, default 1: multiplier of the number in the file; 0 makes a number other than 0 a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `init_file [VALUE]`: the file is created with this number.
    pub init_file: Option<i64>,
    /// `init_file ... overwrite`.
    pub overwrite: bool,
    /// Head of the block.
    pub span: Span,
}

/// `vrrp_track_process NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackProcess {
    /// Name.
    pub name: String,
    /// `process`: command and the arguments that must match.
    pub process: Vec<String>,
    /// `param_match`.
    pub param_match: ParamMatch,
    /// `weight`, -254..=254; 0 makes a missing process a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `quorum`, default 1.
    pub quorum: u32,
    /// `quorum_max`; `None` is unlimited.
    pub quorum_max: Option<u32>,
    /// `fork_delay`, or `delay`.
    pub fork_delay: Duration,
    /// `terminate_delay`, or `delay`.
    pub terminate_delay: Duration,
    /// `full_command`.
    pub full_command: bool,
    /// Head of the block.
    pub span: Span,
}

/// `param_match`: how the arguments of a tracked process are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ParamMatch {
    /// Only the command counts.
    #[default]
    None,
    /// `param_match`: all arguments.
    Exact,
    /// `param_match initial`: the first arguments, the last one in part.
    Initial,
    /// `param_match partial`: the first arguments.
    Partial,
}

/// `bfd_instance NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdInstance {
    /// Name.
    pub name: String,
    /// `neighbor_ip`.
    pub neighbor: IpAddr,
    /// `source_ip`.
    pub source: Option<IpAddr>,
    /// `min_rx`, default 10 ms.
    pub min_rx: Duration,
    /// `min_tx`, default 10 ms.
    pub min_tx: Duration,
    /// `idle_tx`, default 1 s.
    pub idle_tx: Duration,
    /// `multiplier`, default 5.
    pub multiplier: u8,
    /// `passive`.
    pub passive: bool,
    /// `ttl` or `hoplimit`, default 255 for IPv4 and 64 for IPv6.
    pub ttl: u8,
    /// `max_hops`, -1 accepts any; default 0.
    pub max_hops: i16,
    /// `weight`, -253..=253; 0 makes a lost session a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `vrrp` absent or `checker` absent: which side hears of it. True: VRRP does.
    pub vrrp: bool,
    /// True: the checkers hear of it.
    pub checker: bool,
    /// Head of the block.
    pub span: Span,
}

/// `global_defs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Globals {
    /// `router_id`; `None` means the host name.
    pub router_id: Option<String>,
    /// `notification_email`: recipients as written, display names included.
    pub notification_email: Vec<String>,
    /// `notification_email_from`; `None` means `user@hostname`.
    pub notification_email_from: Option<String>,
    /// `smtp_server HOST [PORT]`.
    pub smtp_server: Option<SmtpServer>,
    /// `smtp_helo_name`; `None` means the host name.
    pub smtp_helo_name: Option<String>,
    /// `smtp_connect_timeout`, default 30 s.
    pub smtp_connect_timeout: Duration,
    /// `smtp_alert`: default for every `smtp_alert`; unset is off for VRRP and virtual servers, on for real servers.
    pub smtp_alert: Option<bool>,
    /// `smtp_alert_vrrp`.
    pub smtp_alert_vrrp: Option<bool>,
    /// `smtp_alert_checker`.
    pub smtp_alert_checker: Option<bool>,
    /// `no_email_faults`.
    pub no_email_faults: bool,
    /// `script_user USER [GROUP]`.
    pub script_user: Option<ScriptUser>,
    /// `enable_script_security`.
    pub enable_script_security: bool,
    /// `dynamic_interfaces`.
    pub dynamic_interfaces: bool,
    /// `default_interface`.
    pub default_interface: Option<String>,
    /// `vrrp_version`; `None` lets the family decide.
    pub vrrp_version: Option<u8>,
    /// `vrrp_strict`.
    pub vrrp_strict: bool,
    /// `vrrp_skip_check_adv_addr`.
    pub vrrp_skip_check_adv_addr: bool,
    /// `vrrp_mcast_group4`, default 224.0.0.18.
    pub vrrp_mcast_group4: std::net::Ipv4Addr,
    /// `vrrp_mcast_group6`, default ff02::12.
    pub vrrp_mcast_group6: std::net::Ipv6Addr,
    /// `vrrp_garp_*`: defaults that the instances start from.
    pub garp: Garp,
    /// `vrrp_garp_interval`: pause between two gratuitous ARPs on an interface.
    pub garp_interval: Duration,
    /// `vrrp_gna_interval`: the same for unsolicited neighbour advertisements.
    pub gna_interval: Duration,
    /// `vrrp_lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `vrrp_higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// `vrrp_startup_delay`.
    pub vrrp_startup_delay: Duration,
    /// `vrrp_check_unicast_src`: default of the instances' `check_unicast_src`.
    pub vrrp_check_unicast_src: bool,
    /// `vrrp_rt_priority`, 1..=99; goes before `vrrp_priority`.
    pub vrrp_rt_priority: Option<u8>,
    /// `vrrp_priority`: nice value, -20..=19.
    pub vrrp_priority: Option<i8>,
    /// `vrrp_no_swap`.
    pub vrrp_no_swap: bool,
    /// `lvs_timeouts tcp S tcpfin S udp S`; `None` keeps the engine's defaults.
    pub lvs_timeouts: LvsTimeouts,
    /// `child_wait_time`, default 5 s.
    pub child_wait_time: Duration,
    /// `net_namespace NAME`.
    pub net_namespace: Option<String>,
    /// `instance NAME`.
    pub instance: Option<String>,
    /// `use_pid_dir`.
    pub use_pid_dir: bool,
    /// `reload_check_config`, accepted for compatibility: a broken file never replaces a running configuration here.
    pub reload_check_config: bool,
    /// `checker_log_all_failures`.
    pub checker_log_all_failures: bool,
    /// `notify_fifo`.
    pub notify_fifo: Option<Fifo>,
    /// `vrrp_notify_fifo`.
    pub vrrp_notify_fifo: Option<Fifo>,
    /// `lvs_notify_fifo`.
    pub lvs_notify_fifo: Option<Fifo>,
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: None,
            notification_email: Vec::new(),
            notification_email_from: None,
            smtp_server: None,
            smtp_helo_name: None,
            smtp_connect_timeout: Duration::from_secs(30),
            smtp_alert: None,
            smtp_alert_vrrp: None,
            smtp_alert_checker: None,
            no_email_faults: false,
            script_user: None,
            enable_script_security: false,
            dynamic_interfaces: false,
            default_interface: None,
            vrrp_version: None,
            vrrp_strict: false,
            vrrp_skip_check_adv_addr: false,
            vrrp_mcast_group4: std::net::Ipv4Addr::new(224, 0, 0, 18),
            vrrp_mcast_group6: std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
            garp: Garp::default(),
            garp_interval: Duration::ZERO,
            gna_interval: Duration::ZERO,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            vrrp_startup_delay: Duration::ZERO,
            vrrp_check_unicast_src: false,
            vrrp_rt_priority: None,
            vrrp_priority: None,
            vrrp_no_swap: false,
            lvs_timeouts: LvsTimeouts::default(),
            child_wait_time: Duration::from_secs(5),
            net_namespace: None,
            instance: None,
            use_pid_dir: false,
            reload_check_config: false,
            checker_log_all_failures: false,
            notify_fifo: None,
            vrrp_notify_fifo: None,
            lvs_notify_fifo: None,
            kept: Vec::new(),
        }
    }
}

/// `smtp_server`: a name or address and a port (25 by default). Names are resolved when a mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// Host name or address, as written.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// `lvs_timeouts`; a missing value keeps the engine's default (900 s, 120 s, 300 s).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LvsTimeouts {
    /// Established TCP connections.
    pub tcp: Option<Duration>,
    /// TCP connections after a FIN.
    pub tcpfin: Option<Duration>,
    /// UDP connections.
    pub udp: Option<Duration>,
}

/// A `notify_fifo` path and the script that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    /// Path of the FIFO.
    pub path: String,
    /// `*_fifo_script`.
    pub script: Option<Script>,
}

/// A user and, where written, a group that scripts run as. Names or numbers, resolved by the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptUser {
    /// User name or number.
    pub user: String,
    /// Group name or number; `None` is the user's own group.
    pub group: Option<String>,
}

/// A command that keepalived would run: already split into words by its quoting rules (behaviour note 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Program and arguments; never empty. The program is as written: path search and checks are the daemon's.
    pub argv: Vec<String>,
    /// The command as keepalived would print it in its log lines.
    pub text: String,
    /// Explicit user and group.
    pub user: Option<ScriptUser>,
    /// Where the command was written.
    pub span: Span,
}

/// `vrrp_script NAME`.
#[derive(Debug, Clone, PartialEq)]
pub struct VrrpScript {
    /// Name that `track_script` refers to.
    pub name: String,
    /// `script`, with `user`.
    pub script: Script,
    /// `interval`, default 1 s.
    pub interval: Duration,
    /// `timeout`; equal to the interval when absent.
    pub timeout: Duration,
    /// `weight`, -253..=253; 0 makes a failure a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `rise`: successes in a row until it counts as up.
    pub rise: u32,
    /// `fall`: failures in a row until it counts as down.
    pub fall: u32,
    /// `init_fail`: down until the first result.
    pub init_fail: bool,
    /// Head of the block.
    pub span: Span,
}

/// Notification scripts of an instance or a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Script>,
    /// `notify_backup`.
    pub backup: Option<Script>,
    /// `notify_fault`.
    pub fault: Option<Script>,
    /// `notify_stop`.
    pub stop: Option<Script>,
    /// `notify_deleted`.
    pub deleted: Option<Script>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<Script>,
    /// `notify`, called with four more arguments.
    pub any: Option<Script>,
    /// `notify_priority_changes`.
    pub priority_changes: bool,
}

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
    pub track_scripts: Vec<TrackedScript>,
    /// Head of the block.
    pub span: Span,
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
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

/// `auth_hmac`, with every default applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthHmac {
    /// `key` lines in file order; never empty, numbers are unique.
    pub keys: Vec<HmacKey>,
    /// `active_key`: the number of one of `keys`; the first when absent.
    pub active_key: u8,
    /// `time_window`, whole seconds; three advert intervals, at least 5 s, when absent.
    pub time_window: Duration,
    /// `anti_replay monotonic`; false for `time`.
    pub monotonic: bool,
    /// `mode`.
    pub mode: HmacMode,
}

/// One `key` of `auth_hmac`.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// Number, 1..=255.
    pub id: u8,
    /// Where it comes from.
    pub secret: HmacSecret,
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, ..)", self.id)
    }
}

/// The octets of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum HmacSecret {
    /// 32 to 64 octets, written out or as `hex:`.
    Octets(Vec<u8>),
    /// `file:PATH`: the file holds one of these forms.
    File(String),
}

/// `mode` of `auth_hmac`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HmacMode {
    /// Adverts are signed, and only signed ones are taken.
    #[default]
    Enforce,
    /// Adverts are signed, and unsigned ones are taken, too.
    Permissive,
    /// Adverts are not signed; signatures of others are verified.
    ReceiveOnly,
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
    /// `dont_track_primary`.
    pub dont_track_primary: bool,
    /// `track_interface`.
    pub track_interfaces: Vec<TrackedInterface>,
    /// `track_script`.
    pub track_scripts: Vec<TrackedScript>,
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
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
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
    /// `label`.
    pub label: Option<String>,
    /// `peer ADDRESS/PREFIX`.
    pub peer: Option<(IpAddr, u8)>,
    /// Where it was written.
    pub span: Span,
}

/// One line of `track_interface`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedInterface {
    /// Interface.
    pub name: String,
    /// `weight`; 0 makes a loss a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
}

/// One line of `track_script`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedScript {
    /// Name of a script that exists.
    pub name: String,
    /// `weight` of this tracking; `None` takes the script's.
    pub weight: Option<i32>,
    /// `reverse` of this tracking; meaningful only with `weight`.
    pub reverse: bool,
}

/// Transport protocol of a virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// `lb_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardingMethod {
    /// Network address translation.
    Nat,
    /// Direct routing.
    Dr,
    /// Tunnelling.
    Tun,
}

/// What a `virtual_server` serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VirtualTarget {
    /// `virtual_server IP PORT`.
    Address(SocketAddr),
    /// `virtual_server fwmark N`.
    Fwmark(u32),
    /// `virtual_server group NAME`.
    Group(String),
}

/// `virtual_server`, with every default applied.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServer {
    /// What it serves.
    pub target: VirtualTarget,
    /// `protocol`; UDP when absent, as keepalived.
    pub protocol: Protocol,
    /// `lb_algo`, keepalived's word (`rr`, `wlc` ...), default `wlc`.
    pub scheduler: String,
    /// `lb_kind`.
    pub forwarding: ForwardingMethod,
    /// `persistence_timeout`; `None` is not persistent.
    pub persistence_timeout: Option<Duration>,
    /// `persistence_granularity`: prefix length of the client's address (32 or 128 when absent).
    pub persistence_granularity: u8,
    /// `ops`.
    pub one_packet: bool,
    /// `delay_loop`, default 60 s; the servers' checkers inherit it.
    pub delay_loop: Duration,
    /// `alpha`: servers start as failed.
    pub alpha: bool,
    /// `omega`: run quorum and server scripts at shutdown.
    pub omega: bool,
    /// `quorum`, default 1, in sum of weights.
    pub quorum: u32,
    /// `hysteresis`, default 0.
    pub hysteresis: u32,
    /// `quorum_up`.
    pub quorum_up: Option<Script>,
    /// `quorum_down`.
    pub quorum_down: Option<Script>,
    /// `ha_suspend`.
    pub ha_suspend: bool,
    /// `virtualhost`, the Host header of its HTTP checks.
    pub virtualhost: Option<String>,
    /// `sorry_server IP [PORT]`.
    pub sorry_server: Option<SorryServer>,
    /// `smtp_alert` of the virtual server itself (quorum mails), resolved.
    pub smtp_alert: bool,
    /// `real_server` blocks in file order.
    pub real_servers: Vec<RealServer>,
    /// Head of the block.
    pub span: Span,
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

/// `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SorryServer {
    /// Address and port.
    pub address: SocketAddr,
    /// `sorry_server_lvs_method`; the service's method when absent.
    pub forwarding: ForwardingMethod,
    /// `sorry_server_inhibit`.
    pub inhibit: bool,
}

/// `real_server`, with every default applied.
#[derive(Debug, Clone, PartialEq)]
pub struct RealServer {
    /// Address and port.
    pub address: SocketAddr,
    /// `weight`, default 1.
    pub weight: i32,
    /// `lvs_method`; the service's method when absent.
    pub forwarding: ForwardingMethod,
    /// `inhibit_on_failure`.
    pub inhibit_on_failure: bool,
    /// `uthreshold`, 0 is none.
    pub upper_threshold: u32,
    /// `lthreshold`, 0 is none.
    pub lower_threshold: u32,
    /// `alpha`, the service's when absent.
    pub alpha: bool,
    /// `notify_up`.
    pub notify_up: Option<Script>,
    /// `notify_down`.
    pub notify_down: Option<Script>,
    /// `virtualhost`, the service's when absent.
    pub virtualhost: Option<String>,
    /// `smtp_alert`, resolved (on by default).
    pub smtp_alert: bool,
    /// Checkers in file order.
    pub checkers: Vec<Checker>,
    /// Head of the block.
    pub span: Span,
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

/// One checker of a real server, every common option resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Checker {
    /// `connect_ip` and `connect_port`, the server's own when absent.
    pub connect: SocketAddr,
    /// `bindto` and `bind_port`.
    pub bind: Option<SocketAddr>,
    /// `bind_if`.
    pub bind_if: Option<String>,
    /// `fwmark`.
    pub fwmark: Option<u32>,
    /// `connect_timeout`, default 5 s.
    pub connect_timeout: Duration,
    /// `delay_loop`, inherited.
    pub delay_loop: Duration,
    /// `warmup`: the first check comes at random within this time after start; `None` is `delay_loop`.
    pub warmup: Option<Duration>,
    /// `retry`: attempts after the first before it counts as failed (1; MISC 0; DNS 3).
    pub retry: u32,
    /// `delay_before_retry`: 1 s (HTTP 3 s).
    pub delay_before_retry: Duration,
    /// `alpha`, inherited.
    pub alpha: bool,
    /// `log_all_failures`.
    pub log_all_failures: bool,
    /// What is checked.
    pub kind: CheckerKind,
    /// Head of the block.
    pub span: Span,
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

/// Kinds of checker.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckerKind {
    /// `TCP_CHECK`.
    Tcp,
    /// `HTTP_GET` (`tls` false) or `SSL_GET`.
    Http(HttpCheck),
    /// `MISC_CHECK`.
    Misc(MiscCheck),
    /// `SMTP_CHECK`, with `helo_name`.
    Smtp {
        /// Name given to the server.
        helo_name: String,
    },
    /// `DNS_CHECK`.
    Dns {
        /// Record type in capitals, default `SOA`.
        record: String,
        /// Name asked for, default `.`.
        name: String,
    },
    /// `PING_CHECK`.
    Ping,
    /// `UDP_CHECK`.
    Udp(UdpCheck),
    /// `FILE_CHECK`: the name of a `track_file`.
    File(TrackedWeight),
    /// `BFD_CHECK`: the name of a `bfd_instance`.
    Bfd(String),
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpCheck {
    /// `payload`: bytes to send; `None` sends random ones.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`: a reply must come. Its expected bytes, `None` standing for any; empty accepts all replies.
    pub require_reply: Option<Vec<Option<u8>>>,
    /// `min_reply_length`.
    pub min_reply_length: u16,
    /// `max_reply_length`.
    pub max_reply_length: u16,
}

/// A tracked thing by name, with the weight of this tracking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedWeight {
    /// Name of a track_file, vrrp_track_process or bfd_instance that exists.
    pub name: String,
    /// `weight` of this tracking; `None` takes the tracked thing's.
    pub weight: Option<i32>,
    /// `reverse` of this tracking; meaningful only with `weight`.
    pub reverse: bool,
}

/// `HTTP_GET` or `SSL_GET`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCheck {
    /// `SSL_GET`.
    pub tls: bool,
    /// `enable_sni`.
    pub enable_sni: bool,
    /// `http_protocol`.
    pub http_protocol: HttpProtocol,
    /// `fast_recovery`: no pauses between URLs while nothing is known against the server.
    pub fast_recovery: bool,
    /// `url` blocks; never empty.
    pub urls: Vec<HttpUrl>,
}

/// `http_protocol`, default `1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpProtocol {
    /// HTTP/1.0 without `Connection`.
    V1_0,
    /// `1.0C`: HTTP/1.0 with `Connection: close`.
    V1_0Close,
    /// HTTP/1.1 with `Connection: close`.
    V1_1,
}

/// One `url` block.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpUrl {
    /// `path`.
    pub path: String,
    /// `virtualhost`, the server's when absent; `None` sends `IP:PORT`.
    pub virtualhost: Option<String>,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: inclusive ranges; empty accepts 200..=299.
    pub status_codes: Vec<(u16, u16)>,
    /// `regex`: source text of the expression.
    pub regex: Option<String>,
    /// `regex_no_match`: a match is a failure.
    pub regex_no_match: bool,
    /// `regex_options`, PCRE's names.
    pub regex_options: Vec<String>,
    /// `regex_min_offset`: bytes of the body that are passed over.
    pub regex_min_offset: u32,
    /// `regex_max_offset`: the last byte at which a match may begin.
    pub regex_max_offset: Option<u32>,
    /// Statements that are accepted and kept as they stand.
    pub kept: Vec<Statement>,
}

/// `MISC_CHECK`.
#[derive(Debug, Clone, PartialEq)]
pub struct MiscCheck {
    /// `misc_path`, with `user`.
    pub script: Script,
    /// `misc_timeout`, `delay_loop` when absent.
    pub timeout: Duration,
    /// `misc_dynamic`: exit codes 2..=255 set the weight to code - 2.
    pub dynamic: bool,
}
