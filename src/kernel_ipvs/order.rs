//! What is asked of the kernel's IPVS, in ipvsadm's verbs, and its refusals in ipvsadm's words.

use std::fmt;
use std::net::IpAddr;

use crate::ipvsadm::{DaemonSettings, Protocol, Role, Server, Service, Target, TimeoutSeconds};

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// `-A`.
    AddService(Service),
    /// `-E`.
    EditService(Service),
    /// `-D`.
    RemoveService(Target),
    /// `-a`.
    AddServer(Target, Server),
    /// `-e`.
    EditServer(Target, Server),
    /// `-d`.
    RemoveServer(Target, IpAddr, u16),
    /// `-Z`.
    Zero(Option<Target>),
    /// `-C`.
    Flush,
    /// `--set`; a zero keeps that time-out.
    SetTimeouts(TimeoutSeconds),
    /// `--start-daemon`.
    StartDaemon(Role, DaemonSettings),
    /// `--stop-daemon`.
    StopDaemon(Role, u8),
}

/// A question with a row of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question<'a> {
    /// All services.
    Services,
    /// The servers of one.
    Servers(&'a Target),
    /// The sync daemons.
    Daemons,
    /// The time-outs.
    Timeouts,
    /// The size of the table.
    Info,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::AddService(service) | Order::EditService(service) => write!(f, "service {}", Shown(&service.target)),
            Order::RemoveService(target) => write!(f, "the removal of service {}", Shown(target)),
            Order::AddServer(target, server) | Order::EditServer(target, server) => {
                write!(f, "server [{}]:{} of {}", server.address, server.port, Shown(target))
            }
            Order::RemoveServer(target, address, port) => {
                write!(f, "the removal of server [{address}]:{port} of {}", Shown(target))
            }
            Order::Zero(_) => f.write_str("new counters"),
            Order::Flush => f.write_str("an empty table"),
            Order::SetTimeouts(_) => f.write_str("time-outs"),
            Order::StartDaemon(role, _) => write!(f, "the {} sync daemon", role.word()),
            Order::StopDaemon(role, _) => write!(f, "the end of the {} sync daemon", role.word()),
        }
    }
}

/// A target for people.
pub(super) struct Shown<'a>(pub(super) &'a Target);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Target::Mark { mark, .. } => write!(f, "FWM {mark}"),
            Target::Address { protocol, address, port } => write!(f, "[{address}]:{}:{port}", protocol.lower_name()),
        }
    }
}

/// The number in the IP header.
pub(super) fn protocol_number(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// The kernel's refusal of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `errno`.
    pub(super) code: i32,
    /// In ipvsadm's words.
    pub(super) words: String,
}

impl Refusal {
    pub(super) fn new(order: &Order, code: i32) -> Refusal {
        let words = words(order, code).map_or_else(|| system_words(code), ToOwned::to_owned);
        Refusal { code, words }
    }
}

fn words(order: &Order, code: i32) -> Option<&'static str> {
    use libc::{EEXIST, ENOENT, ESRCH};
    Some(match (order, code) {
        (Order::AddService(_), EEXIST) => "Service already exists",
        (Order::AddService(_) | Order::EditService(_), ENOENT) => "Scheduler or persistence engine not found",
        (Order::EditService(_) | Order::RemoveService(_) | Order::Zero(_), ESRCH) => "No such service",
        (Order::AddServer(..) | Order::EditServer(..) | Order::RemoveServer(..), ESRCH) => "Service not defined",
        (Order::AddServer(..), EEXIST) => "Destination already exists",
        (Order::EditServer(..) | Order::RemoveServer(..), ENOENT) => "No such destination",
        (Order::StartDaemon(..), EEXIST) => "Daemon has already run",
        (Order::StopDaemon(..), ESRCH) => "No daemon is running",
        (_, libc::EPERM) => "Permission denied (you must be root)",
        (_, libc::EINVAL) => crate::ipvsadm::convert::INVALID,
        (_, libc::ENOMEM) => "Memory allocation problem",
        (_, libc::EOPNOTSUPP) => "Operation not supported with IPv6",
        (_, libc::EAFNOSUPPORT) => "Operation not supported with specified address family",
        _ => return None,
    })
}

/// As strerror(3).
fn system_words(code: i32) -> String {
    nix::errno::Errno::from_raw(code).desc().to_owned()
}
