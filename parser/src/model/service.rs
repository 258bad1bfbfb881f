//! Virtual and real servers.

use super::{Checker, Family, Script};
use crate::span::Span;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
    /// `FULLNAT`, which keepalived does not have: both addresses are translated.
    FullNat,
}

/// How TUN wraps packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// `type`.
    pub kind: TunnelKind,
    /// `nocsum`, `csum` or `remcsum`.
    pub checksum: TunnelChecksum,
}

/// `type` of a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TunnelKind {
    /// `ipip`: IP in IP.
    #[default]
    Ipip,
    /// `gue port N`: generic UDP encapsulation.
    Gue {
        /// UDP port of the real server.
        port: u16,
    },
    /// `gre`: generic routing encapsulation.
    Gre,
}

/// Checksum of a tunnel's header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TunnelChecksum {
    /// `nocsum`.
    #[default]
    None,
    /// `csum`.
    Full,
    /// `remcsum`: remote checksum offload, GUE only.
    Remote,
}

/// `client_address`: how a server behind full NAT learns who its client is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// `none`: not at all.
    #[default]
    Hidden,
    /// `toa`: by a TCP option.
    TcpOption,
    /// `proxy`: by a header of the PROXY protocol, version 2.
    ProxyProtocol,
    /// `proxy_v1`: by a line of the PROXY protocol, version 1.
    ProxyText,
}

/// Flags of a scheduler (`IP_VS_SVC_F_SCHED1` and its like).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback` or `mh-fallback`: another server when the chosen one is unusable.
    pub first: bool,
    /// `flag-2`, `sh-port` or `mh-port`: the source port is hashed, too.
    pub second: bool,
    /// `flag-3`.
    pub third: bool,
}

/// `passive_health failures N window SECONDS suspend SECONDS`: what the traffic itself tells about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassiveHealth {
    /// Failed connections, at least 1, ...
    pub failures: u32,
    /// ... within this time ...
    pub window: Duration,
    /// ... keep new connections away for this long.
    pub suspend: Duration,
}

/// What a `virtual_server` serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Flags of the scheduler.
    pub scheduler_flags: SchedulerFlags,
    /// `ip_family`: said only for marks whose servers are all reached by tunnels.
    pub family: Option<Family>,
    /// `lb_kind`.
    pub forwarding: ForwardingMethod,
    /// How TUN wraps packets.
    pub tunnel: Tunnel,
    /// `source_pool`: inclusive ranges that full NAT takes its source addresses from.
    pub source_pool: Vec<(IpAddr, IpAddr)>,
    /// `client_address`, full NAT only.
    pub client_address: ClientAddress,
    /// `tun_mss_clamp`: the MSS in SYNs is lowered so that wrapped segments fit.
    pub tunnel_mss_clamp: bool,
    /// `persistence_engine`, such as `sip`.
    pub persistence_engine: Option<String>,
    /// `snmp_name`.
    pub snmp_name: Option<String>,
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
    pub quorum_up: Option<Box<Script>>,
    /// `quorum_down`.
    pub quorum_down: Option<Box<Script>>,
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
}

/// `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SorryServer {
    /// Address and port.
    pub address: SocketAddr,
    /// `sorry_server_lvs_method`; the service's method when absent.
    pub forwarding: ForwardingMethod,
    /// How TUN wraps packets.
    pub tunnel: Tunnel,
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
    /// How TUN wraps packets.
    pub tunnel: Tunnel,
    /// `inhibit_on_failure`.
    pub inhibit_on_failure: bool,
    /// `uthreshold`, 0 is none.
    pub upper_threshold: u32,
    /// `lthreshold`, 0 is none.
    pub lower_threshold: u32,
    /// `alpha`, the service's when absent.
    pub alpha: bool,
    /// `notify_up`.
    pub notify_up: Option<Box<Script>>,
    /// `notify_down`.
    pub notify_down: Option<Box<Script>>,
    /// `virtualhost`, the service's when absent.
    pub virtualhost: Option<String>,
    /// `smtp_alert`, resolved (on by default).
    pub smtp_alert: bool,
    /// Checkers in file order.
    pub checkers: Vec<Checker>,
    /// `snmp_name`.
    pub snmp_name: Option<String>,
    /// `slow_start`: time in which the weight grows after a recovery; the service's when absent.
    pub slow_start: Option<Duration>,
    /// `drain_timeout`: how long connections may last after the server was taken out; the service's when absent.
    pub drain_timeout: Option<Duration>,
    /// `passive_health`; the service's when absent.
    pub passive_health: Option<PassiveHealth>,
    /// Head of the block.
    pub span: Span,
}
