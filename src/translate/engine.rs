//! Virtual and real servers as the forwarding engine takes them.

use standfast_ipvs::{
    DestinationConfig, Forwarding, Persistence, Protocol, SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId,
    ServiceKey,
};
use standfast_parser::model::{self, ForwardingMethod, RealServer, SorryServer, VirtualServer, VirtualTarget};

/// Why a virtual server is checked but not forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForwarded {
    /// The engine has no such scheduler.
    #[error("the embedded engine has no scheduler `{0}`")]
    Scheduler(String),
    /// The engine does not carry the protocol.
    #[error("the embedded engine does not forward SCTP")]
    Protocol,
    /// The engine does not match services this way.
    #[error("the embedded engine does not serve {0}")]
    Target(&'static str),
    /// The engine does not forward this way.
    #[error("the embedded engine does not forward by `{0}`")]
    Method(&'static str),
}

/// The service of a virtual server.
///
/// # Errors
/// What the engine cannot do.
pub fn service(server: &VirtualServer) -> Result<ServiceConfig, NotForwarded> {
    let VirtualTarget::Address(address) = server.target else {
        return Err(NotForwarded::Target(match server.target {
            VirtualTarget::Fwmark(_) => "firewall marks",
            _ => "virtual server groups",
        }));
    };
    let scheduler: SchedulerKind =
        server.scheduler.parse().map_err(|()| NotForwarded::Scheduler(server.scheduler.clone()))?;
    Ok(ServiceConfig {
        id: ServiceId::Address(ServiceKey {
            protocol: protocol(server.protocol)?,
            address: address.ip(),
            port: address.port(),
        }),
        scheduler,
        flags: SchedulerFlags::default(),
        persistence: server
            .persistence_timeout
            .map(|timeout| Persistence { timeout, prefix_len: server.persistence_granularity }),
        one_packet: server.one_packet,
    })
}

/// The destination of a real server, with the weight of the file.
///
/// # Errors
/// What the engine cannot do.
pub fn destination(server: &RealServer) -> Result<DestinationConfig, NotForwarded> {
    Ok(DestinationConfig {
        address: server.address.ip(),
        port: server.address.port(),
        forwarding: forwarding(server.forwarding)?,
        weight: u32::try_from(server.weight).unwrap_or(0),
        upper_threshold: server.upper_threshold,
        lower_threshold: server.lower_threshold,
    })
}

/// The destination of a sorry server; its weight is the pool's matter.
///
/// # Errors
/// What the engine cannot do.
pub fn sorry(server: &SorryServer) -> Result<DestinationConfig, NotForwarded> {
    Ok(DestinationConfig {
        address: server.address.ip(),
        port: server.address.port(),
        forwarding: forwarding(server.forwarding)?,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    })
}

fn protocol(protocol: model::Protocol) -> Result<Protocol, NotForwarded> {
    match protocol {
        model::Protocol::Tcp => Ok(Protocol::Tcp),
        model::Protocol::Udp => Ok(Protocol::Udp),
        model::Protocol::Sctp => Err(NotForwarded::Protocol),
    }
}

fn forwarding(method: ForwardingMethod) -> Result<Forwarding, NotForwarded> {
    match method {
        ForwardingMethod::Nat => Ok(Forwarding::Nat),
        ForwardingMethod::Dr => Ok(Forwarding::Dr),
        ForwardingMethod::Tun => Err(NotForwarded::Method("TUN")),
        ForwardingMethod::FullNat => Err(NotForwarded::Method("FULLNAT")),
    }
}
