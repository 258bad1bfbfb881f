//! `global_defs`.

use super::{
    AutoPriority, DumpFiles, ExtraGarp, FlushOnStop, Garp, LifeScript, LvsBackend, LvsSysctl, Nftables,
    ProcessSettings, ReceiveBuffers, Reloads, RxBufferPolicy, Script, ScriptUser, Statement, SyncDaemon, SyncTuning,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where metrics are served unless a port is named.
pub const WEB_PORT: u16 = 9650;

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
    /// `default_interface`; see [`Globals::fallback_interface`].
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
    /// `v3_checksum_as_v2`: default of the instances' keyword.
    pub v3_checksum_as_v2: bool,
    /// `vrrp_owner_ignore_adverts`: default of the instances' `owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// `vrrp_garp_extra_if`: default of the instances' `garp_extra_if`.
    pub extra_garp: Option<ExtraGarp>,
    /// `vmac_prefix`: how names of VMACs begin, `vrrp` when absent.
    pub vmac_prefix: Option<String>,
    /// `vmac_addr_prefix`: how names of VMACs of addresses begin, as `vmac_prefix` when absent.
    pub vmac_addr_prefix: Option<String>,
    /// `vrrp_startup_delay`.
    pub vrrp_startup_delay: Duration,
    /// `vrrp_notify_priority_changes`: default of the instances' and groups' `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// `vrrp_down_timer_adverts`: default of the instances' `down_timer_adverts`.
    pub down_timer_adverts: Option<u8>,
    /// `vrrp_check_unicast_src`: default of the instances' `check_unicast_src`.
    pub vrrp_check_unicast_src: bool,
    /// `process_name`, up to 15 bytes.
    pub process_name: Option<String>,
    /// The VRRP part.
    pub vrrp_process: ProcessSettings,
    /// The checker part.
    pub checker_process: ProcessSettings,
    /// The BFD part.
    pub bfd_process: ProcessSettings,
    /// `max_auto_priority` and `min_auto_priority_delay`.
    pub auto_priority: AutoPriority,
    /// `startup_script`: run before anything else begins.
    pub startup_script: Option<LifeScript>,
    /// `shutdown_script`: run after everything has ended.
    pub shutdown_script: Option<LifeScript>,
    /// `umask`: permission bits that files do not get; 0o177 when absent.
    pub umask: Option<u16>,
    /// `random_seed` of `${_RANDOM}`.
    pub random_seed: Option<u32>,
    /// `use_symlink_paths`: scripts are run by the path as written.
    pub use_symlink_paths: bool,
    /// `set_supplementary_groups`: scripts run with all groups of their user.
    pub set_supplementary_groups: bool,
    /// `disable_local_igmp`: no IGMP reports for link-local groups.
    pub disable_local_igmp: bool,
    /// `log_unknown_vrids`: adverts of routers that nobody knows are logged.
    pub log_unknown_vrids: bool,
    /// `vrrp_delay_after_boot`: VRRP starts this long after the system at the earliest.
    pub vrrp_delay_after_boot: Duration,
    /// `vrrp_rx_bufs_policy`; the system's default when absent.
    pub rx_buffer_policy: Option<RxBufferPolicy>,
    /// `vrrp_rx_bufs_multiplier`, default 3.
    pub rx_buffer_multiplier: u32,
    /// Receive buffers of netlink sockets.
    pub receive_buffers: ReceiveBuffers,
    /// `fifo_write_vrrp_states_on_reload`: FIFOs get the states again after a reload.
    pub fifo_states_on_reload: bool,
    /// `lvs_flush`: the table is emptied at start.
    pub lvs_flush: bool,
    /// `lvs_flush_on_stop`.
    pub lvs_flush_on_stop: FlushOnStop,
    /// `lvs_sync_daemon`.
    pub sync_daemon: Option<SyncDaemon>,
    /// `lvs_sync_threshold` and its companions.
    pub sync_tuning: SyncTuning,
    /// `nftables` and its companions.
    pub nftables: Nftables,
    /// `rs_init_notifies`: `notify_up` runs at start for servers that begin as healthy.
    pub rs_init_notifies: bool,
    /// `no_checker_emails`: mail only when a server is added or removed, not for each of its checkers.
    pub no_checker_emails: bool,
    /// Dump files.
    pub dumps: DumpFiles,
    /// Reloads at a time.
    pub reloads: Reloads,
    /// `net_namespace_ipvs [NAME]`: namespace of the services; an empty name is the default one.
    pub net_namespace_ipvs: Option<String>,
    /// `lvs_timeouts tcp S tcpfin S udp S`; `None` keeps the engine's defaults.
    pub lvs_timeouts: LvsTimeouts,
    /// `lvs_backend`.
    pub lvs_backend: LvsBackend,
    /// `lvs_sysctl`; what is missing is the kernel's default.
    pub lvs_sysctls: BTreeMap<LvsSysctl, u32>,
    /// `lvs_busy_poll`: how long the forwarding thread looks for packets at most before it sleeps. Unless it is written, not at all where the kernel
    /// carries connections, and 50 microseconds elsewhere.
    pub lvs_busy_poll: Option<Duration>,
    /// `lvs_offload`: the kernel carries the plain packets of established connections, where it can.
    pub lvs_offload: bool,
    /// `web_address`: where metrics and the status page are served; nowhere when absent.
    pub web_address: Option<SocketAddr>,
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

impl Globals {
    /// Where addresses stand whose lines and instances name no interface: `default_interface`, or eth0.
    #[must_use]
    pub fn fallback_interface(&self) -> &str {
        self.default_interface.as_deref().unwrap_or("eth0")
    }
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
            v3_checksum_as_v2: false,
            owner_ignore_adverts: false,
            extra_garp: None,
            vmac_prefix: None,
            vmac_addr_prefix: None,
            vrrp_startup_delay: Duration::ZERO,
            notify_priority_changes: false,
            down_timer_adverts: None,
            vrrp_check_unicast_src: false,
            process_name: None,
            vrrp_process: ProcessSettings::default(),
            checker_process: ProcessSettings::default(),
            bfd_process: ProcessSettings::default(),
            auto_priority: AutoPriority::default(),
            startup_script: None,
            shutdown_script: None,
            umask: None,
            random_seed: None,
            use_symlink_paths: false,
            set_supplementary_groups: false,
            disable_local_igmp: false,
            log_unknown_vrids: false,
            vrrp_delay_after_boot: Duration::ZERO,
            rx_buffer_policy: None,
            rx_buffer_multiplier: 3,
            receive_buffers: ReceiveBuffers::default(),
            fifo_states_on_reload: false,
            lvs_flush: false,
            lvs_flush_on_stop: FlushOnStop::default(),
            sync_daemon: None,
            sync_tuning: SyncTuning::default(),
            nftables: Nftables::default(),
            rs_init_notifies: false,
            no_checker_emails: false,
            dumps: DumpFiles::default(),
            reloads: Reloads::default(),
            net_namespace_ipvs: None,
            lvs_timeouts: LvsTimeouts::default(),
            lvs_backend: LvsBackend::Embedded,
            lvs_sysctls: BTreeMap::new(),
            lvs_busy_poll: None,
            lvs_offload: true,
            web_address: None,
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
    /// Owner of the FIFO; the daemon's own when absent.
    pub user: Option<ScriptUser>,
    /// `*_fifo_script`.
    pub script: Option<Script>,
}

/// `10.0.0.1:80`, `[fd00::1]:80`, or an address alone with `port`; `None` for anything else and for port 0.
#[must_use]
pub fn socket_address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = || text.parse().map(|address: IpAddr| SocketAddr::new(address, port));
    text.parse().or_else(|_| bare()).ok().filter(|address: &SocketAddr| address.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        let told = |text: &str| socket_address(text, 9).map(|address| address.to_string());
        assert_eq!(told("127.0.0.1").as_deref(), Some("127.0.0.1:9"));
        assert_eq!(told("::1").as_deref(), Some("[::1]:9"));
        assert_eq!(told("[fd00::1]:80").as_deref(), Some("[fd00::1]:80"));
        for bad in ["", "localhost:80", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", ":80", "10.0.0.1 80"] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }
}
