//! Names of servers as keepalived writes them in log lines, mails and FIFO records.

use standfast_parser::model::{Protocol, VirtualServer, VirtualTarget};
use std::net::SocketAddr;

/// `[10.0.0.100]:tcp:80`, `FWM 5`, or `[name]:0` for a group, which has no port of its own.
#[must_use]
pub fn virtual_server_name(server: &VirtualServer) -> String {
    match &server.target {
        VirtualTarget::Address(address) => service_name(*address, server.protocol),
        VirtualTarget::Fwmark(mark) => format!("FWM {mark}"),
        VirtualTarget::Group(name) => format!("[{name}]:0"),
    }
}

/// `[10.1.0.1]:tcp:80`: a real server of a virtual server with this protocol.
#[must_use]
pub fn real_server_name(address: SocketAddr, protocol: Protocol) -> String {
    service_name(address, protocol)
}

fn service_name(address: SocketAddr, protocol: Protocol) -> String {
    format!("[{}]:{}:{}", address.ip(), word(protocol), address.port())
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}
