//! Requests as bytes.

use std::net::{IpAddr, Ipv4Addr};

use super::order::{Order, Question, protocol_number};
use super::uapi::{self, command, daemon, dest, flag, forward, service, top, tunnel};
use crate::dataplane::netlink::{DUMP, REQUEST, Writer};
use crate::ipvsadm::{
    DaemonSettings, Method, Role, SchedulerFlag, Server, Service, Target, TimeoutSeconds, TunnelChecksum, TunnelKind,
};

/// Names of schedulers, persistence engines and interfaces have 16 bytes with the final zero.
const LONGEST_NAME: usize = 15;

/// Asks for the number of IPVS's family.
pub(super) fn family_request() -> Writer {
    let mut writer = Writer::default();
    writer.message(uapi::CONTROLLER, REQUEST, 1).raw(&[uapi::GET_FAMILY, 1, 0, 0]);
    writer.string(uapi::FAMILY_NAME, uapi::FAMILY);
    writer
}

/// A question for the family of that number.
pub(super) fn question(family: u16, question: Question<'_>) -> Writer {
    let (command, flags) = match question {
        Question::Services => (command::GET_SERVICE, DUMP),
        Question::Servers(_) => (command::GET_DEST, DUMP),
        Question::Daemons => (command::GET_DAEMON, DUMP),
        Question::Timeouts => (command::GET_CONFIG, 0),
        Question::Info => (command::GET_INFO, 0),
    };
    let mut writer = begin(family, command, flags);
    if let Question::Servers(of) = question {
        writer.nest(top::SERVICE, |inner| target(inner, of));
    }
    writer
}

/// An order for the family of that number.
pub(super) fn order(family: u16, order: &Order) -> Writer {
    let mut writer = begin(family, command_of(order), 0);
    match order {
        Order::AddService(service) | Order::EditService(service) => {
            writer.nest(top::SERVICE, |inner| whole_service(inner, service));
        }
        Order::RemoveService(of) | Order::Zero(Some(of)) => {
            writer.nest(top::SERVICE, |inner| target(inner, of));
        }
        Order::AddServer(of, server) | Order::EditServer(of, server) => {
            writer.nest(top::SERVICE, |inner| target(inner, of));
            writer.nest(top::DEST, |inner| whole_server(inner, server));
        }
        Order::RemoveServer(of, address, port) => {
            writer.nest(top::SERVICE, |inner| target(inner, of));
            writer.nest(top::DEST, |inner| place(inner, *address, *port));
        }
        Order::SetTimeouts(timeouts) => self::timeouts(&mut writer, *timeouts),
        Order::StartDaemon(role, settings) => {
            writer.nest(top::DAEMON, |inner| whole_daemon(inner, *role, settings));
        }
        Order::StopDaemon(role, id) => {
            writer.nest(top::DAEMON, |inner| {
                inner.attribute(daemon::STATE, &state(*role).to_ne_bytes());
                inner.attribute(daemon::SYNC_ID, &u32::from(*id).to_ne_bytes());
            });
        }
        Order::Zero(None) | Order::Flush => {}
    }
    writer
}

fn command_of(order: &Order) -> u8 {
    match order {
        Order::AddService(_) => command::NEW_SERVICE,
        Order::EditService(_) => command::SET_SERVICE,
        Order::RemoveService(_) => command::DEL_SERVICE,
        Order::AddServer(..) => command::NEW_DEST,
        Order::EditServer(..) => command::SET_DEST,
        Order::RemoveServer(..) => command::DEL_DEST,
        Order::Zero(_) => command::ZERO,
        Order::Flush => command::FLUSH,
        Order::SetTimeouts(_) => command::SET_CONFIG,
        Order::StartDaemon(..) => command::NEW_DAEMON,
        Order::StopDaemon(..) => command::DEL_DAEMON,
    }
}

fn begin(family: u16, command: u8, flags: u16) -> Writer {
    let mut writer = Writer::default();
    writer.message(family, REQUEST | flags, 1).raw(&[command, uapi::VERSION, 0, 0]);
    writer
}

fn target(writer: &mut Writer, target: &Target) {
    let family = if target.is_ipv6() { uapi::INET6 } else { uapi::INET };
    writer.attribute(service::AF, &family.to_ne_bytes());
    match *target {
        Target::Mark { mark, .. } => {
            writer.attribute(service::FWMARK, &mark.to_ne_bytes());
        }
        Target::Address { protocol, address, port } => {
            writer.attribute(service::PROTOCOL, &protocol_number(protocol).to_ne_bytes());
            writer.attribute(service::ADDR, &address_bytes(address));
            writer.attribute(service::PORT, &port.to_be_bytes());
        }
    }
}

fn whole_service(writer: &mut Writer, service: &Service) {
    target(writer, &service.target);
    writer.string(service::SCHED_NAME, name(&service.scheduler));
    if let Some(engine) = &service.engine {
        writer.string(service::PE_NAME, name(engine));
    }
    // `struct ip_vs_flags`: the flags, and which of them count.
    let flags = [flags(service).to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
    writer.attribute(service::FLAGS, &flags);
    let timeout = service.persistence.map_or(0, |persistence| persistence.timeout);
    writer.attribute(service::TIMEOUT, &timeout.to_ne_bytes());
    let mask = match service.target.is_ipv6() {
        true => u32::from(service.prefix).to_ne_bytes(),
        false => service.netmask.octets(),
    };
    writer.attribute(service::NETMASK, &mask);
}

/// As much of a name as the kernel has room for; ipvsadm cuts it, too.
fn name(name: &str) -> &str {
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST_NAME).last();
    name.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn flags(service: &Service) -> u32 {
    let scheduler = service.flags.iter().map(|flag| match flag {
        SchedulerFlag::First => flag::SCHED_1,
        SchedulerFlag::Second => flag::SCHED_2,
        SchedulerFlag::Third => flag::SCHED_3,
    });
    let persistent = service.persistence.map_or(0, |_| flag::PERSISTENT);
    let one_packet = if service.one_packet { flag::ONE_PACKET } else { 0 };
    scheduler.fold(persistent | one_packet, |all, flag| all | flag)
}

fn place(writer: &mut Writer, address: IpAddr, port: u16) {
    let family = if address.is_ipv6() { uapi::INET6 } else { uapi::INET };
    writer.attribute(dest::ADDR_FAMILY, &family.to_ne_bytes());
    writer.attribute(dest::ADDR, &address_bytes(address));
    writer.attribute(dest::PORT, &port.to_be_bytes());
}

fn whole_server(writer: &mut Writer, server: &Server) {
    place(writer, server.address, server.port);
    let method = match server.method {
        // Full NAT is refused before it comes here.
        Method::Masq | Method::FullNat => forward::MASQ,
        Method::Local => forward::LOCAL,
        Method::Tunnel => forward::TUNNEL,
        Method::Route => forward::ROUTE,
    };
    let words = [
        (dest::FWD_METHOD, method),
        (dest::WEIGHT, server.weight),
        (dest::U_THRESH, server.upper_threshold),
        (dest::L_THRESH, server.lower_threshold),
    ];
    for (kind, word) in words {
        writer.attribute(kind, &word.to_ne_bytes());
    }
    let kind = match server.tunnel.kind {
        TunnelKind::Ipip => tunnel::IPIP,
        TunnelKind::Gue => tunnel::GUE,
        TunnelKind::Gre => tunnel::GRE,
    };
    let checksum = match server.tunnel.checksum {
        TunnelChecksum::None => 0,
        TunnelChecksum::Full => tunnel::CSUM,
        TunnelChecksum::Remote => tunnel::REMCSUM,
    };
    writer.attribute(dest::TUN_TYPE, &[kind]);
    writer.attribute(dest::TUN_PORT, &server.tunnel.port.to_be_bytes());
    writer.attribute(dest::TUN_FLAGS, &checksum.to_ne_bytes());
}

fn timeouts(writer: &mut Writer, timeouts: TimeoutSeconds) {
    let words =
        [(top::TIMEOUT_TCP, timeouts.tcp), (top::TIMEOUT_TCP_FIN, timeouts.tcpfin), (top::TIMEOUT_UDP, timeouts.udp)];
    for (kind, seconds) in words {
        writer.attribute(kind, &seconds.to_ne_bytes());
    }
}

fn state(role: Role) -> u32 {
    match role {
        Role::Master => daemon::MASTER,
        Role::Backup => daemon::BACKUP,
    }
}

/// What is not asked for is left to the kernel's defaults.
fn whole_daemon(writer: &mut Writer, role: Role, settings: &DaemonSettings) {
    writer.attribute(daemon::STATE, &state(role).to_ne_bytes());
    writer.string(daemon::INTERFACE, name(settings.interface.as_deref().unwrap_or_default()));
    writer.attribute(daemon::SYNC_ID, &u32::from(settings.syncid.unwrap_or(0)).to_ne_bytes());
    if let Some(length) = settings.maxlen {
        writer.attribute(daemon::MAXLEN, &length.to_ne_bytes());
    }
    match settings.group {
        Some(IpAddr::V4(group)) => {
            writer.attribute(daemon::GROUP, &group.octets());
        }
        Some(IpAddr::V6(group)) => {
            writer.attribute(daemon::GROUP6, &group.octets());
        }
        None => {}
    }
    if let Some(port) = settings.port {
        writer.attribute(daemon::PORT, &port.to_ne_bytes());
    }
    if let Some(ttl) = settings.ttl {
        writer.attribute(daemon::TTL, &[ttl]);
    }
}

/// `union nf_inet_addr`: an IPv4 address is the first four bytes of sixteen.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => v4_bytes(address),
        IpAddr::V6(address) => address.octets(),
    }
}

fn v4_bytes(address: Ipv4Addr) -> [u8; 16] {
    let [a, b, c, d] = address.octets();
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}
