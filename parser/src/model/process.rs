//! The daemon's own processes, files and sockets.

use super::{HmacSecret, Script};
use std::net::IpAddr;
use std::time::Duration;

/// How the VRRP, the checker or the BFD part runs: `vrrp_*`, `checker_*` and `bfd_*` of `global_defs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessSettings {
    /// `..process_name`, up to 15 bytes.
    pub name: Option<String>,
    /// `.._priority`: nice value, -20..=19.
    pub priority: Option<i8>,
    /// `.._rt_priority`: `SCHED_RR`, 1..=99; goes before the nice value.
    pub rt_priority: Option<u8>,
    /// `.._no_swap`: memory is locked.
    pub no_swap: bool,
    /// `.._cpu_affinity`: numbers of the processors; empty is all.
    pub cpu_affinity: Vec<u32>,
    /// `.._rlimit_rttime`: processor time that a real-time thread may use without waiting; keepalived's default is 10 ms.
    pub rlimit_rttime: Option<Duration>,
}

/// `max_auto_priority` and `min_auto_priority_delay`: how high the daemon may raise itself when it is scheduled late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AutoPriority {
    /// Highest real-time priority, 0..=99. `Some(0)` and `None` leave keepalived as it is; -1 keeps it from speaking of it.
    pub most: Option<i8>,
    /// Lateness that raises it, 1 s when absent.
    pub delay: Option<Duration>,
}

/// `startup_script` or `shutdown_script`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeScript {
    /// What is run, once.
    pub script: Script,
    /// `.._timeout`, 1..=1000 s, default 10 s.
    pub timeout: Duration,
}

/// Receive buffers of a netlink or connector socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Octets; the system's default when absent.
    pub size: Option<u32>,
    /// `.._force`: beyond the system's limit.
    pub force: bool,
}

/// Receive buffers of `global_defs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiveBuffers {
    /// `vrrp_netlink_cmd_rcv_bufs`.
    pub vrrp_command: ReceiveBuffer,
    /// `vrrp_netlink_monitor_rcv_bufs`.
    pub vrrp_monitor: ReceiveBuffer,
    /// `lvs_netlink_cmd_rcv_bufs`.
    pub lvs_command: ReceiveBuffer,
    /// `lvs_netlink_monitor_rcv_bufs`.
    pub lvs_monitor: ReceiveBuffer,
    /// `process_monitor_rcv_bufs`.
    pub process_monitor: ReceiveBuffer,
}

/// `vrrp_rx_bufs_policy`: receive buffers of VRRP sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RxBufferPolicy {
    /// `MTU`: adverts as large as the interface's MTU.
    Mtu,
    /// `ADVERT`: adverts as large as the instance's own.
    Advert,
    /// Octets.
    Size(u32),
}

/// `lvs_flush_on_stop`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlushOnStop {
    /// Services are removed as their states say.
    #[default]
    No,
    /// The table is emptied.
    All,
    /// `VS`: each service of the configuration is removed at once.
    Services,
}

/// `lvs_backend`: who forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LvsBackend {
    /// The engine in this daemon.
    #[default]
    Embedded,
    /// The kernel's IPVS.
    Kernel,
    /// The kernel's IPVS where there is one, else the engine in this daemon.
    Auto,
}

impl LvsBackend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Kernel, Self::Auto];

    /// Its word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kernel => "kernel",
            Self::Auto => "auto",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.word() == word)
    }
}

/// `lvs_sysctl NAME VALUE`: settings of the embedded engine by the names of the kernel's `net.ipv4.vs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LvsSysctl {
    /// Connections of a removed server end at once.
    ExpireNodestConn,
    /// Templates of a server of weight 0 are not followed.
    ExpireQuiescentTemplate,
    /// A SYN on a connection that is over is scheduled anew.
    ConnReuseMode,
    /// Any TCP packet but a RST opens a connection.
    SloppyTcp,
    /// Half open and forgotten connections end before their time.
    DropEntry,
    /// Some packets that would open a connection are dropped.
    DropPacket,
    /// TCP's states follow a stricter table.
    SecureTcp,
    /// Memory is low below so many free pages.
    Amemthresh,
    /// Of so many packets one is dropped while `drop_packet` is 3.
    AmDroprate,
}

impl LvsSysctl {
    /// All of them with the kernel's names and the greatest value.
    pub const ALL: [(LvsSysctl, &'static str, u32); 9] = [
        (LvsSysctl::ExpireNodestConn, "expire_nodest_conn", 1),
        (LvsSysctl::ExpireQuiescentTemplate, "expire_quiescent_template", 1),
        (LvsSysctl::ConnReuseMode, "conn_reuse_mode", 3),
        (LvsSysctl::SloppyTcp, "sloppy_tcp", 1),
        (LvsSysctl::DropEntry, "drop_entry", 3),
        (LvsSysctl::DropPacket, "drop_packet", 3),
        (LvsSysctl::SecureTcp, "secure_tcp", 3),
        (LvsSysctl::Amemthresh, "amemthresh", i32::MAX as u32),
        (LvsSysctl::AmDroprate, "am_droprate", i32::MAX as u32),
    ];
}

/// `lvs_sync_*`: how the embedded engine's sync daemons work. The defaults are those of `net.ipv4.vs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTuning {
    /// `lvs_sync_threshold`: the packet of each period with which a connection is told.
    pub threshold: u32,
    /// `lvs_sync_period`: packets of a period; 0 tells a connection once.
    pub period: u32,
    /// `lvs_sync_refresh_period`; zero is off.
    pub refresh_period: Duration,
    /// `lvs_sync_retries`, 0..=3.
    pub retries: u8,
    /// `lvs_sync_persist_mode`: templates are told, their connections not.
    pub persist_mode: bool,
    /// `lvs_sync_ports`, 1..=64.
    pub ports: u16,
    /// `lvs_sync_version`, 0 or 1.
    pub version: u8,
    /// `lvs_sync_at_once`: directors of this kind are told with the first packet.
    pub at_once: bool,
    /// `lvs_sync_key`: datagrams are signed, and only signed ones are taken.
    pub key: Option<SyncKey>,
}

impl Default for SyncTuning {
    fn default() -> Self {
        Self {
            threshold: 3,
            period: 50,
            refresh_period: Duration::ZERO,
            retries: 0,
            persist_mode: false,
            ports: 1,
            version: 1,
            at_once: true,
            key: None,
        }
    }
}

/// The secret of `lvs_sync_key`, which is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncKey(pub HmacSecret);

impl std::fmt::Debug for SyncKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SyncKey(..)")
    }
}

/// `lvs_sync_daemon`: connections are told to the other director.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Interface of the multicasts.
    pub interface: String,
    /// `inst NAME`: the instance whose state decides between sending and receiving.
    pub instance: Option<String>,
    /// `id`, 0..=255; the instance's `virtual_router_id` when absent.
    pub id: Option<u8>,
    /// `maxlen`: longest datagram in octets, 1..=65507.
    pub maximum_length: Option<u16>,
    /// `port`, 8848 when absent.
    pub port: Option<u16>,
    /// `ttl`, 1 when absent.
    pub ttl: Option<u8>,
    /// `group`, 224.0.0.81 when absent.
    pub group: Option<IpAddr>,
}

/// `nftables` and its companions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nftables {
    /// `nftables [TABLE]` or `vrrp_iptables`: name of the table for `no_accept` and VMACs; `keepalived` without a name.
    pub table: Option<String>,
    /// `nftables_priority` of the base chains, -1 when absent.
    pub priority: Option<i32>,
    /// `nftables_ifindex`: sets hold numbers of interfaces.
    pub by_index: bool,
    /// `nftables_ipvs [TABLE]`: table that marks the packets of groups of virtual servers.
    pub ipvs_table: Option<String>,
    /// `nftables_ipvs_priority`, -1 when absent.
    pub ipvs_priority: Option<i32>,
    /// `nftables_ipvs_start_fwmark`, 1000 when absent.
    pub first_fwmark: Option<u32>,
    /// `nftables_counters`.
    pub counters: bool,
}

/// Files that the daemon writes for others to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpFiles {
    /// `state_dump_file`, `/tmp/keepalived.data` when absent.
    pub state: Option<String>,
    /// `stats_dump_file`, `/tmp/keepalived.stats` when absent.
    pub stats: Option<String>,
    /// `json_dump_file`, `/tmp/keepalived.json` when absent.
    pub json: Option<String>,
    /// `json_version`, 1 or 2.
    pub json_version: Option<u8>,
    /// `data_use_instance`: names of files carry the instance's and the namespace's name.
    pub with_instance: bool,
}

/// `reload_*`: reloads at a time that a file tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloads {
    /// `reload_time_file`: holds the time of the next reload.
    pub time_file: Option<String>,
    /// `reload_repeat`: that file is not removed.
    pub repeat: bool,
    /// `reload_file [PATH]`: exists while the configuration is read; `/run/keepalived.reload` without a path.
    pub marker: Option<String>,
}

/// `SSL`: what the director shows to servers that ask for a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `ca`: certificates of authorities that servers are verified with.
    pub ca: Option<String>,
    /// `certificate`.
    pub certificate: Option<String>,
    /// `key`.
    pub key: Option<String>,
    /// `password` of the key.
    pub password: Option<String>,
}
