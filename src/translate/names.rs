//! keepalived's notation for services and servers, as log lines, FIFO records and mails have it.

use standfast_parser::model::{Protocol, VirtualServer, VirtualTarget};
use std::net::SocketAddr;

/// `[10.0.0.100]:tcp:80`, `FWM 4` or `[group]:tcp`.
#[must_use]
pub fn virtual_server(server: &VirtualServer) -> String {
    match &server.target {
        VirtualTarget::Address(address) => socket(*address, server.protocol),
        VirtualTarget::Fwmark(mark) => format!("FWM {mark}"),
        VirtualTarget::Group(name) => format!("[{name}]:{}", protocol(server.protocol)),
    }
}

/// `[10.1.0.1]:tcp:80`.
#[must_use]
pub fn socket(address: SocketAddr, transport: Protocol) -> String {
    format!("[{}]:{}:{}", address.ip(), protocol(transport), address.port())
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_written_with_brackets_for_both_families() {
        assert_eq!(socket("10.0.0.1:80".parse().unwrap(), Protocol::Tcp), "[10.0.0.1]:tcp:80");
        assert_eq!(socket("[2001:db8::1]:53".parse().unwrap(), Protocol::Udp), "[2001:db8::1]:udp:53");
    }
}
