//! Connections as listings show them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::state::{State, TICKS};
use super::{Connection, Method};
use crate::address::Address;

/// A line of `ipvsadm -Lnc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionView {
    /// Protocol number; 0 ("IP") for the template of a firewall-mark service.
    pub protocol: u8,
    /// Time until the entry ends if no packet comes.
    pub expires_in: Duration,
    /// Its state.
    pub state: State,
    /// The client; port 0 and a masked address for a template.
    pub client: SocketAddr,
    /// The virtual service.
    pub service: SocketAddr,
    /// The real server.
    pub server: SocketAddr,
    /// Whether this is a persistence template.
    pub template: bool,
}

impl ConnectionView {
    /// `server` is the destination's address: a tunnel's may be of another family than the entry.
    pub(crate) fn new<A: Address>(connection: &Connection<A>, server: Option<IpAddr>, now: u32) -> ConnectionView {
        let left = (connection.expires.wrapping_sub(now) as i32).max(0) as u32;
        let socket = |address: A, port| SocketAddr::new(address.ip(), port);
        ConnectionView {
            protocol: connection.protocol,
            expires_in: Duration::from_secs(u64::from(left)) / TICKS,
            state: connection.state,
            client: socket(connection.client, connection.client_port),
            service: socket(connection.service, connection.service_port),
            server: match (connection.method, server) {
                (Method::Tunnel, Some(server)) => SocketAddr::new(server, connection.server_port),
                _ => socket(connection.server, connection.server_port),
            },
            template: connection.template,
        }
    }
}
