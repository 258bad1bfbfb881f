//! Routes and rules of the kernel's routing policy.

use super::Family;
use crate::span::Span;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A line of `virtual_routes` or `static_routes`. Names of tables, protocols and so on are resolved to the kernel's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Family of the destination.
    pub family: Family,
    /// `unicast` when absent.
    pub kind: RouteKind,
    /// Destination; `default` is the network of length 0. Bits below the length are as written.
    pub destination: IpNet,
    /// `from`: source network, IPv6 only.
    pub from: Option<IpNet>,
    /// `src`: preferred source address.
    pub source: Option<IpAddr>,
    /// `encap`: what its packets are wrapped in.
    pub encap: Option<RouteEncap>,
    /// `via`: gateway, of either family.
    pub via: Option<IpAddr>,
    /// `dev` or `oif`.
    pub dev: Option<String>,
    /// `table`, 254 (main) when absent. `vrf` goes before it.
    pub table: u32,
    /// `vrf`: the interface whose table is meant.
    pub vrf: Option<String>,
    /// `metric`, `priority` or `preference`.
    pub metric: Option<u32>,
    /// `protocol`; 18 (keepalived) for routes that are tracked, and when absent.
    pub protocol: Option<u8>,
    /// `scope`; the kernel's number, chosen by the sort of route when absent.
    pub scope: Option<u8>,
    /// `tos` or `dsfield`.
    pub tos: u8,
    /// `realms FROM/TO`: source realm in the upper half, destination realm in the lower. IPv4 only.
    pub realms: Option<u32>,
    /// `onlink`.
    pub onlink: bool,
    /// `expires`: seconds, IPv6 only.
    pub expires: Option<u32>,
    /// `pref`: router preference of RFC 4191 in the kernel's numbers (0 medium, 1 high, 3 low), IPv6 only.
    pub preference: Option<u8>,
    /// `ttl-propagate enabled|disabled`.
    pub ttl_propagate: Option<bool>,
    /// `mtu`, `rtt` and their like, each at most once.
    pub metrics: Vec<RouteMetric>,
    /// `congctl [lock] NAME`.
    pub congestion_control: Option<CongestionControl>,
    /// `nexthop` groups; empty for a route with one way.
    pub nexthops: Vec<Nexthop>,
    /// `add`, `append`, `prepend`.
    pub placement: RoutePlacement,
    /// `no_track` absent: the loss of the route is a fault of the instance. Only for routes with `dev`.
    pub track: bool,
    /// `track_group NAME`, static routes only.
    pub track_group: Option<String>,
    /// Where it was written.
    pub span: Span,
}

/// Type of a route, with the kernel's number (`RTN_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RouteKind {
    /// `unicast`.
    #[default]
    Unicast = 1,
    /// `local`.
    Local = 2,
    /// `broadcast` or `brd`.
    Broadcast = 3,
    /// `anycast`.
    Anycast = 4,
    /// `multicast`.
    Multicast = 5,
    /// `blackhole`: dropped in silence.
    Blackhole = 6,
    /// `unreachable`.
    Unreachable = 7,
    /// `prohibit`.
    Prohibit = 8,
    /// `throw`: look-up goes on with the next rule.
    Throw = 9,
    /// `nat`.
    Nat = 10,
    /// `xresolve`.
    ExternalResolver = 11,
}

impl RouteKind {
    /// The word for it, as `ip route` has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Anycast => "anycast",
            Self::Multicast => "multicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
            Self::Nat => "nat",
            Self::ExternalResolver => "xresolve",
        }
    }
}

/// `encap TYPE ...` of a route or a next hop, as in ip-route(8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteEncap {
    /// `mpls LABEL[/LABEL...]`: 1 to 16 labels of 20 bits, the outermost first.
    Mpls(Vec<u32>),
    /// `ip`.
    Ip(TunnelHeader<Ipv4Addr>),
    /// `ip6`.
    Ip6(TunnelHeader<Ipv6Addr>),
    /// `ila A:B:C:D`: the locator.
    Ila(u64),
}

/// What the outer header has; it has an identifier or a destination at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelHeader<A> {
    /// `id`.
    pub id: Option<u64>,
    /// `dst`.
    pub destination: Option<A>,
    /// `src`.
    pub source: Option<A>,
    /// `tos` or `tc`.
    pub tos: Option<u8>,
    /// `ttl` or `hoplimit`.
    pub ttl: Option<u8>,
    /// `flags`.
    pub flags: Option<u16>,
}

impl<A> Default for TunnelHeader<A> {
    fn default() -> Self {
        Self { id: None, destination: None, source: None, tos: None, ttl: None, flags: None }
    }
}

/// Where a route goes among those of the same destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoutePlacement {
    /// Before them: neither `NLM_F_EXCL` nor `NLM_F_APPEND`. The default.
    #[default]
    Prepend,
    /// `add`: only if there is none (`NLM_F_EXCL`).
    Add,
    /// `append`: after them (`NLM_F_APPEND`).
    Append,
}

/// One of a route's metrics, in the kernel's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteMetric {
    /// Which.
    pub kind: MetricKind,
    /// Its value; `rtt` in 1/8 ms, `rttvar` in 1/4 ms, `rto_min` in ms; `features` as bits.
    pub value: u32,
    /// `lock`: the kernel must not learn another value.
    pub lock: bool,
}

/// Metrics of a route, with the kernel's number (`RTAX_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum MetricKind {
    /// `mtu`.
    Mtu = 2,
    /// `window`.
    Window = 3,
    /// `rtt`.
    Rtt = 4,
    /// `rttvar`.
    RttVar = 5,
    /// `ssthresh`.
    SlowStartThreshold = 6,
    /// `cwnd`.
    CongestionWindow = 7,
    /// `advmss`.
    AdvertisedMss = 8,
    /// `reordering`.
    Reordering = 9,
    /// `hoplimit`.
    HopLimit = 10,
    /// `initcwnd`.
    InitialCongestionWindow = 11,
    /// `features ecn`: bit 0.
    Features = 12,
    /// `rto_min`.
    MinimumRto = 13,
    /// `initrwnd`.
    InitialReceiveWindow = 14,
    /// `quickack 0|1`.
    QuickAck = 15,
    /// `fastopen_no_cookie 0|1`.
    FastOpenNoCookie = 17,
}

/// `congctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CongestionControl {
    /// The algorithm's name.
    pub name: String,
    /// `lock`.
    pub lock: bool,
}

/// `nexthop` of a route with several ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nexthop {
    /// `via`.
    pub via: Option<IpAddr>,
    /// `dev`.
    pub dev: Option<String>,
    /// `weight`, 1..=256; 1 when absent. The kernel is told one less.
    pub weight: Option<u16>,
    /// `onlink`.
    pub onlink: bool,
    /// `realms`, as in [`Route`].
    pub realms: Option<u32>,
    /// `encap`.
    pub encap: Option<RouteEncap>,
}

/// A line of `virtual_rules` or `static_rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Family, IPv4 when nothing tells.
    pub family: Family,
    /// `not`: applies to packets that do not match.
    pub invert: bool,
    /// `from`; `None` is everything.
    pub from: Option<IpNet>,
    /// `to`; `None` is everything.
    pub to: Option<IpNet>,
    /// `iif` or `dev`.
    pub input: Option<String>,
    /// `oif`.
    pub output: Option<String>,
    /// `fwmark MARK[/MASK]`.
    pub fwmark: Option<(u32, Option<u32>)>,
    /// `tos` or `dsfield`.
    pub tos: u8,
    /// `priority`, `preference` or `order`. Without one: 16384 for the first such rule of a family, one less for each further one.
    pub priority: u32,
    /// What happens to packets that match.
    pub action: RuleAction,
    /// `realms`, as in [`Route`].
    pub realms: Option<u32>,
    /// `suppress_prefixlength`.
    pub suppress_prefix_length: Option<u32>,
    /// `suppress_ifgroup`.
    pub suppress_group: Option<u32>,
    /// `tunnel-id`.
    pub tunnel_id: Option<u64>,
    /// `uidrange FIRST-LAST`.
    pub user_ids: Option<(u32, u32)>,
    /// `protocol`: who made the rule; 18 (keepalived) for rules that are tracked.
    pub protocol: Option<u8>,
    /// `ipproto`.
    pub ip_protocol: Option<u8>,
    /// `sport FIRST[-LAST]`.
    pub source_ports: Option<(u16, u16)>,
    /// `dport FIRST[-LAST]`.
    pub destination_ports: Option<(u16, u16)>,
    /// `no_track` absent: the loss of the rule is a fault of the instance.
    pub track: bool,
    /// `track_group NAME`, static rules only.
    pub track_group: Option<String>,
    /// Where it was written.
    pub span: Span,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// `table N` or `lookup N`.
    Table(u32),
    /// `l3mdev`: the table of the packet's VRF.
    L3mdev,
    /// `goto PRIORITY`.
    Goto(u32),
    /// `nop`.
    Nop,
    /// `blackhole`.
    Blackhole,
    /// `unreachable`.
    Unreachable,
    /// `prohibit`.
    Prohibit,
}
