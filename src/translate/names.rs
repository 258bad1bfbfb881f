//! keepalived's notation for services and servers, as log lines, FIFO records and mails have it.

use standfast_ipvs::ServiceId;
use standfast_parser::model::{GroupEntry, Protocol, VirtualServer, VirtualServerGroup, VirtualTarget};
use std::net::SocketAddr;

/// `[10.0.0.100]:tcp:80`, `FWM 4` or `[group]:0`.
#[must_use]
pub fn virtual_server(server: &VirtualServer) -> String {
    match &server.target {
        VirtualTarget::Address(address) => socket(*address, Some(server.protocol)),
        VirtualTarget::Fwmark(mark) => format!("FWM {mark}"),
        VirtualTarget::Group(name) => format!("[{name}]:0"),
    }
}

/// `[10.0.0.100]:tcp:80` or `FWM 4`, from the engine's name for a service.
#[must_use]
pub fn engine_service(id: &ServiceId) -> String {
    match id {
        ServiceId::Fwmark(mark) => format!("FWM {mark}"),
        ServiceId::Address(key) => socket(SocketAddr::new(key.address, key.port), engine_protocol(id)),
    }
}

/// The protocol of one of the engine's services: none for firewall marks.
#[must_use]
pub fn engine_protocol(id: &ServiceId) -> Option<Protocol> {
    match id {
        ServiceId::Fwmark(_) => None,
        ServiceId::Address(key) => Some(match key.protocol {
            standfast_ipvs::Protocol::Tcp => Protocol::Tcp,
            standfast_ipvs::Protocol::Udp => Protocol::Udp,
            standfast_ipvs::Protocol::Sctp => Protocol::Sctp,
        }),
    }
}

/// The protocol in the names of a service's real servers: none where firewall marks alone decide.
#[must_use]
pub fn transport(server: &VirtualServer, group: Option<&VirtualServerGroup>) -> Option<Protocol> {
    let by_mark = match (&server.target, group) {
        (VirtualTarget::Fwmark(_), _) => true,
        (VirtualTarget::Group(_), Some(group)) => only_marks(group),
        _ => false,
    };
    (!by_mark).then_some(server.protocol)
}

fn only_marks(group: &VirtualServerGroup) -> bool {
    !group.entries.is_empty() && group.entries.iter().all(|entry| matches!(entry, GroupEntry::Fwmark(_)))
}

/// `[10.1.0.1]:tcp:80`.
#[must_use]
pub fn socket(address: SocketAddr, transport: Option<Protocol>) -> String {
    format!("[{}]:{}:{}", address.ip(), word(transport), address.port())
}

fn word(transport: Option<Protocol>) -> &'static str {
    match transport {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Sctp) => "sctp",
        None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_written_with_brackets_for_both_families() {
        assert_eq!(socket("10.0.0.1:80".parse().unwrap(), Some(Protocol::Tcp)), "[10.0.0.1]:tcp:80");
        assert_eq!(socket("[2001:db8::1]:53".parse().unwrap(), Some(Protocol::Udp)), "[2001:db8::1]:udp:53");
        assert_eq!(socket("10.0.0.1:0".parse().unwrap(), None), "[10.0.0.1]:none:0");
    }
}
