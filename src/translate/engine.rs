//! Virtual and real servers as the forwarding engine takes them.

use std::net::SocketAddr;

use standfast_ipvs::{
    ClientTold, DestinationConfig, Forwarding, FullNat, Persistence, PersistenceEngine, Protocol, SchedulerFlags,
    SchedulerKind, ServiceConfig, ServiceId, ServiceKey, Tunnel, TunnelChecksum, TunnelKind,
};
use standfast_parser::model::{
    self, ClientAddress, ForwardingMethod, RealServer, SorryServer, VirtualServer, VirtualTarget,
};

/// Why a virtual server is checked but not forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForwarded {
    /// The engine has no such scheduler.
    #[error("the embedded engine has no scheduler `{0}`")]
    Scheduler(String),
    /// The engine does not match services this way.
    #[error("the embedded engine does not serve {0}")]
    Target(&'static str),
    /// The engine does not forward this way.
    #[error("the embedded engine does not forward by `{0}`")]
    Method(&'static str),
    /// The engine tells clients apart by nothing of this name.
    #[error("the embedded engine has no persistence engine `{0}`, only `sip`")]
    PersistenceEngine(String),
}

/// The service of a virtual server.
///
/// # Errors
/// What the engine cannot do.
pub fn service(server: &VirtualServer) -> Result<ServiceConfig, NotForwarded> {
    let id = match server.target {
        VirtualTarget::Address(address) => address_id(server.protocol, address),
        VirtualTarget::Fwmark(mark) => ServiceId::Fwmark(mark),
        VirtualTarget::Group(_) => return Err(NotForwarded::Target("virtual server groups")),
    };
    let scheduler: SchedulerKind =
        server.scheduler.parse().map_err(|()| NotForwarded::Scheduler(server.scheduler.clone()))?;
    Ok(ServiceConfig {
        id,
        scheduler,
        flags: SchedulerFlags { fallback: server.scheduler_flags.first, port: server.scheduler_flags.second },
        persistence: persistence(server)?,
        one_packet: server.one_packet,
        full_nat: full_nat(server),
    })
}

/// A service found by address and port; an address range is a row of these.
#[must_use]
pub fn address_id(protocol: model::Protocol, address: SocketAddr) -> ServiceId {
    let protocol = match protocol {
        model::Protocol::Tcp => Protocol::Tcp,
        model::Protocol::Udp => Protocol::Udp,
        model::Protocol::Sctp => Protocol::Sctp,
    };
    ServiceId::Address(ServiceKey { protocol, address: address.ip(), port: address.port() })
}

fn full_nat(server: &VirtualServer) -> FullNat {
    let client = match server.client_address {
        ClientAddress::Hidden => ClientTold::Nothing,
        ClientAddress::TcpOption => ClientTold::Option,
        ClientAddress::ProxyProtocol => ClientTold::ProxyBinary,
        ClientAddress::ProxyText => ClientTold::ProxyText,
    };
    FullNat { sources: server.source_pool.clone(), client }
}

fn persistence(server: &VirtualServer) -> Result<Option<Persistence>, NotForwarded> {
    let engine = match server.persistence_engine.as_deref() {
        None => None,
        Some("sip") => Some(PersistenceEngine::Sip),
        Some(other) => return Err(NotForwarded::PersistenceEngine(other.to_owned())),
    };
    let prefix_len = server.persistence_granularity;
    Ok(server.persistence_timeout.map(|timeout| Persistence { timeout, prefix_len, engine }))
}

/// The destination of a real server of a virtual server, with the weight of the file.
#[must_use]
pub fn destination(of: &VirtualServer, server: &RealServer) -> DestinationConfig {
    DestinationConfig {
        address: server.address.ip(),
        port: server.address.port(),
        forwarding: forwarding(server.forwarding, server.tunnel, of.tunnel_mss_clamp),
        weight: u32::try_from(server.weight).unwrap_or(0),
        upper_threshold: server.upper_threshold,
        lower_threshold: server.lower_threshold,
    }
}

/// The destination of a virtual server's sorry server; its weight is the pool's matter.
#[must_use]
pub fn sorry(of: &VirtualServer, server: &SorryServer) -> DestinationConfig {
    DestinationConfig {
        address: server.address.ip(),
        port: server.address.port(),
        forwarding: forwarding(server.forwarding, server.tunnel, of.tunnel_mss_clamp),
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn forwarding(method: ForwardingMethod, tunnel: model::Tunnel, clamp_mss: bool) -> Forwarding {
    match method {
        ForwardingMethod::Nat => Forwarding::Nat,
        ForwardingMethod::Dr => Forwarding::Dr,
        ForwardingMethod::Tun => Forwarding::Tunnel(self::tunnel(tunnel, clamp_mss)),
        ForwardingMethod::FullNat => Forwarding::FullNat,
    }
}

fn tunnel(tunnel: model::Tunnel, clamp_mss: bool) -> Tunnel {
    let kind = match tunnel.kind {
        model::TunnelKind::Ipip => TunnelKind::Ipip,
        model::TunnelKind::Gue { port } => TunnelKind::Gue { port },
        model::TunnelKind::Gre => TunnelKind::Gre,
    };
    let checksum = match tunnel.checksum {
        model::TunnelChecksum::None => TunnelChecksum::None,
        model::TunnelChecksum::Full => TunnelChecksum::Full,
        model::TunnelChecksum::Remote => TunnelChecksum::Remote,
    };
    Tunnel { kind, checksum, clamp_mss }
}
