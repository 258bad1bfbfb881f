//! `global_defs`.

use super::{ExtraGarp, Garp, Script, ScriptUser, Statement};
use std::time::Duration;

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
            v3_checksum_as_v2: false,
            owner_ignore_adverts: false,
            extra_garp: None,
            vmac_prefix: None,
            vmac_addr_prefix: None,
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
