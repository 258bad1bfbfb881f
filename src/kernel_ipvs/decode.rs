//! Answers from bytes. What is missing or of another length than it should be makes an answer none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::uapi::{self, daemon, dest, flag, forward, service, stats, top, tunnel};
use crate::dataplane::netlink::attributes;
use crate::ipvsadm::{
    Counts, Daemon, Entry, Method, Persistence, Protocol, Role, SchedulerFlag, Server, ServerEntry, Service, Target,
    TimeoutSeconds, Tunnel, TunnelChecksum, TunnelKind,
};

/// Bytes of the generic netlink header.
const HEADER: usize = 4;

/// Number of the family in the controller's answer.
pub(super) fn family_id(message: &[u8]) -> Option<u16> {
    Attributes::of(message)?.half(uapi::FAMILY_ID)
}

/// A service without its servers.
pub(super) fn entry(message: &[u8]) -> Option<Entry> {
    let inner = Attributes::of(message)?.nested(top::SERVICE)?;
    let target = target(inner)?;
    let flags = inner.word(service::FLAGS)?;
    let timeout = inner.word(service::TIMEOUT)?;
    let mask: [u8; 4] = inner.bytes(service::NETMASK)?;
    let service = Service {
        target,
        scheduler: inner.string(service::SCHED_NAME)?,
        flags: scheduler_flags(flags),
        persistence: (flags & flag::PERSISTENT != 0).then_some(Persistence { timeout }),
        netmask: if target.is_ipv6() { Ipv4Addr::BROADCAST } else { Ipv4Addr::from(mask) },
        prefix: if target.is_ipv6() { u8::try_from(u32::from_ne_bytes(mask)).ok()? } else { 32 },
        engine: inner.string(service::PE_NAME).filter(|name| !name.is_empty()),
        one_packet: flags & flag::ONE_PACKET != 0,
    };
    let [counts, rates] = statistics(inner, service::STATS64, service::STATS);
    Some(Entry { service, counts, rates, servers: Vec::new() })
}

fn target(inner: Attributes<'_>) -> Option<Target> {
    let ipv6 = inner.half(service::AF)? == uapi::INET6;
    if let Some(mark) = inner.word(service::FWMARK) {
        return Some(Target::Mark { mark, ipv6 });
    }
    let protocol = match inner.half(service::PROTOCOL)? {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        132 => Protocol::Sctp,
        _ => return None,
    };
    let address = address(inner.bytes(service::ADDR)?, ipv6);
    let port = u16::from_be_bytes(inner.bytes(service::PORT)?);
    Some(Target::Address { protocol, address, port })
}

fn scheduler_flags(flags: u32) -> Vec<SchedulerFlag> {
    let all = [
        (flag::SCHED_1, SchedulerFlag::First),
        (flag::SCHED_2, SchedulerFlag::Second),
        (flag::SCHED_3, SchedulerFlag::Third),
    ];
    all.into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, flag)| flag).collect()
}

/// A server of a service of that family. Kernels before 3.18 do not tell the server's own.
pub(super) fn server(message: &[u8], of_ipv6: bool) -> Option<ServerEntry> {
    let inner = Attributes::of(message)?.nested(top::DEST)?;
    let ipv6 = inner.half(dest::ADDR_FAMILY).map_or(of_ipv6, |family| family == uapi::INET6);
    let server = Server {
        address: address(inner.bytes(dest::ADDR)?, ipv6),
        port: u16::from_be_bytes(inner.bytes(dest::PORT)?),
        method: method(inner.word(dest::FWD_METHOD)?),
        tunnel: tunnel(inner),
        weight: inner.word(dest::WEIGHT)?,
        upper_threshold: inner.word(dest::U_THRESH)?,
        lower_threshold: inner.word(dest::L_THRESH)?,
    };
    let [counts, rates] = statistics(inner, dest::STATS64, dest::STATS);
    Some(ServerEntry {
        server,
        active: inner.word(dest::ACTIVE_CONNS)?,
        inactive: inner.word(dest::INACT_CONNS)?,
        persistent: inner.word(dest::PERSIST_CONNS)?,
        counts,
        rates,
    })
}

fn method(number: u32) -> Method {
    match number & forward::MASK {
        forward::LOCAL => Method::Local,
        forward::TUNNEL => Method::Tunnel,
        forward::ROUTE => Method::Route,
        _ => Method::Masq,
    }
}

fn tunnel(inner: Attributes<'_>) -> Tunnel {
    let kind = match inner.bytes::<1>(dest::TUN_TYPE) {
        Some([tunnel::GUE]) => TunnelKind::Gue,
        Some([tunnel::GRE]) => TunnelKind::Gre,
        _ => TunnelKind::Ipip,
    };
    let flags = inner.half(dest::TUN_FLAGS).unwrap_or(0);
    let checksum = match flags {
        flags if flags & tunnel::REMCSUM != 0 => TunnelChecksum::Remote,
        flags if flags & tunnel::CSUM != 0 => TunnelChecksum::Full,
        _ => TunnelChecksum::None,
    };
    Tunnel { kind, port: inner.bytes(dest::TUN_PORT).map_or(0, u16::from_be_bytes), checksum }
}

/// Counters and rates; those of 64 bits where the kernel has them.
fn statistics(inner: Attributes<'_>, long: u16, short: u16) -> [Counts; 2] {
    let Some(all) = inner.nested(long).or_else(|| inner.nested(short)) else { return [Counts::default(); 2] };
    [stats::CONNS, stats::CPS].map(|first| {
        let number = |ahead| all.number(first + ahead).unwrap_or(0);
        Counts {
            connections: number(0),
            in_packets: number(1),
            out_packets: number(2),
            in_bytes: number(3),
            out_bytes: number(4),
        }
    })
}

/// A sync daemon.
pub(super) fn daemon(message: &[u8]) -> Option<Daemon> {
    let inner = Attributes::of(message)?.nested(top::DAEMON)?;
    let role = match inner.word(daemon::STATE)? {
        daemon::MASTER => Role::Master,
        daemon::BACKUP => Role::Backup,
        _ => return None,
    };
    let group6 = inner.bytes::<16>(daemon::GROUP6).map(|group| IpAddr::V6(Ipv6Addr::from(group)));
    let group = inner.bytes::<4>(daemon::GROUP).map(|group| IpAddr::V4(Ipv4Addr::from(group)));
    Some(Daemon {
        role,
        interface: inner.string(daemon::INTERFACE)?,
        syncid: u8::try_from(inner.word(daemon::SYNC_ID)?).ok()?,
        // Kernels before 4.3 have fixed ones and do not tell them.
        maxlen: inner.half(daemon::MAXLEN).unwrap_or(1472),
        group: group6.or(group).unwrap_or(IpAddr::V4(crate::sync::GROUP)),
        port: inner.half(daemon::PORT).unwrap_or(crate::sync::PORT),
        ttl: inner.bytes::<1>(daemon::TTL).map_or(1, |[ttl]| ttl),
    })
}

/// Time-outs.
pub(super) fn timeouts(message: &[u8]) -> Option<TimeoutSeconds> {
    let all = Attributes::of(message)?;
    // Without the protocol in the kernel there is no time-out of it.
    let tcp = all.word(top::TIMEOUT_TCP).unwrap_or(0);
    let tcpfin = all.word(top::TIMEOUT_TCP_FIN).unwrap_or(0);
    Some(TimeoutSeconds { tcp, tcpfin, udp: all.word(top::TIMEOUT_UDP).unwrap_or(0) })
}

/// Slots of the connection table.
pub(super) fn table_size(message: &[u8]) -> Option<u32> {
    Attributes::of(message)?.word(uapi::INFO_SIZE)
}

fn address(bytes: [u8; 16], ipv6: bool) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    if ipv6 { IpAddr::V6(Ipv6Addr::from(bytes)) } else { IpAddr::V4(Ipv4Addr::new(a, b, c, d)) }
}

/// A row of attributes.
#[derive(Debug, Clone, Copy)]
struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those of a generic netlink message.
    fn of(message: &'a [u8]) -> Option<Self> {
        message.get(HEADER..).map(Attributes)
    }

    fn find(self, kind: u16) -> Option<&'a [u8]> {
        attributes(self.0).find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    fn nested(self, kind: u16) -> Option<Attributes<'a>> {
        self.find(kind).map(Attributes)
    }

    /// The first bytes of a value.
    fn bytes<const N: usize>(self, kind: u16) -> Option<[u8; N]> {
        self.find(kind)?.first_chunk().copied()
    }

    fn half(self, kind: u16) -> Option<u16> {
        self.bytes(kind).map(u16::from_ne_bytes)
    }

    fn word(self, kind: u16) -> Option<u32> {
        self.bytes(kind).map(u32::from_ne_bytes)
    }

    /// A number of four or eight bytes.
    fn number(self, kind: u16) -> Option<u64> {
        let value = self.find(kind)?;
        match value.len() {
            8 => value.first_chunk().copied().map(u64::from_ne_bytes),
            _ => self.word(kind).map(u64::from),
        }
    }

    /// Text up to its final zero.
    fn string(self, kind: u16) -> Option<String> {
        let value = self.find(kind)?;
        let text = value.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}
