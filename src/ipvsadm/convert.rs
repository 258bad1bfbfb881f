//! Between the engine's types and those of ipvsadm.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use standfast_ipvs as engine;

use super::{
    Connection, Counts, Method, Persistence, Protocol, SchedulerFlag, Server, ServerEntry, Service, Target, Tunnel,
    TunnelChecksum, TunnelKind,
};
use crate::control::Failure;

/// The words in which ipvsadm tells of a refusal without a better name.
pub(crate) const INVALID: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";
/// A scheduler or a persistence engine that is not there.
pub(crate) const NOT_FOUND: &str = "Scheduler or persistence engine not found";

/// The engine's service that a target means.
pub(crate) fn id(target: &Target) -> engine::ServiceId {
    match *target {
        Target::Mark { mark, .. } => engine::ServiceId::Fwmark(mark),
        Target::Address { protocol, address, port } => {
            let protocol = match protocol {
                Protocol::Tcp => engine::Protocol::Tcp,
                Protocol::Udp => engine::Protocol::Udp,
                Protocol::Sctp => engine::Protocol::Sctp,
            };
            engine::ServiceId::Address(engine::ServiceKey { protocol, address, port })
        }
    }
}

/// A service as the engine takes it.
///
/// # Errors
/// What the engine does not know, in ipvsadm's words.
pub(crate) fn service_config(service: &Service) -> Result<engine::ServiceConfig, Failure> {
    let flag = |flag| service.flags.contains(&flag);
    let engine_of = match service.engine.as_deref() {
        None => None,
        Some("sip") => Some(engine::PersistenceEngine::Sip),
        Some(_) => return Err(Failure::new(NOT_FOUND)),
    };
    let prefix_len = prefix(service)?;
    let persistence = service.persistence.map(|persistence| engine::Persistence {
        timeout: Duration::from_secs(persistence.timeout.into()),
        prefix_len,
        engine: engine_of,
    });
    Ok(engine::ServiceConfig {
        id: id(&service.target),
        scheduler: service.scheduler.parse().map_err(|()| Failure::new(NOT_FOUND))?,
        flags: engine::SchedulerFlags { fallback: flag(SchedulerFlag::First), port: flag(SchedulerFlag::Second) },
        persistence,
        one_packet: service.one_packet,
        full_nat: engine::FullNat::default(),
    })
}

/// The kernel takes any mask; a client's network is always a prefix here.
fn prefix(service: &Service) -> Result<u8, Failure> {
    if service.target.is_ipv6() {
        return Ok(service.prefix);
    }
    let bits = service.netmask.to_bits();
    let ones = bits.leading_ones();
    match ones == bits.count_ones() {
        true => Ok(ones as u8),
        false => Err(Failure::new(format!("the mask {} has a gap; a prefix is needed", service.netmask))),
    }
}

/// A server as the engine takes it.
///
/// # Errors
/// What the engine does not do, in ipvsadm's words.
pub(crate) fn destination(server: &Server) -> Result<engine::DestinationConfig, Failure> {
    let forwarding = match server.method {
        Method::Masq => engine::Forwarding::Nat,
        Method::Route => engine::Forwarding::Dr,
        Method::Local => engine::Forwarding::Local,
        Method::Tunnel => engine::Forwarding::Tunnel(tunnel(server.tunnel)),
        Method::FullNat => return Err(Failure::new(INVALID)),
    };
    if !is_unicast(server.address) {
        return Err(Failure::new(INVALID));
    }
    Ok(engine::DestinationConfig {
        address: server.address,
        port: server.port,
        forwarding,
        weight: server.weight,
        upper_threshold: server.upper_threshold,
        lower_threshold: server.lower_threshold,
    })
}

fn is_unicast(address: IpAddr) -> bool {
    !(address.is_multicast() || address.is_unspecified() || address == IpAddr::V4(Ipv4Addr::BROADCAST))
}

fn tunnel(tunnel: Tunnel) -> engine::Tunnel {
    let kind = match tunnel.kind {
        TunnelKind::Ipip => engine::TunnelKind::Ipip,
        TunnelKind::Gue => engine::TunnelKind::Gue { port: tunnel.port },
        TunnelKind::Gre => engine::TunnelKind::Gre,
    };
    let checksum = match tunnel.checksum {
        TunnelChecksum::None => engine::TunnelChecksum::None,
        TunnelChecksum::Full => engine::TunnelChecksum::Full,
        TunnelChecksum::Remote => engine::TunnelChecksum::Remote,
    };
    engine::Tunnel { kind, checksum, clamp_mss: false }
}

/// The target of one of the engine's services.
pub(crate) fn target(id: &engine::ServiceId) -> Target {
    match id {
        engine::ServiceId::Fwmark(mark) => Target::Mark { mark: *mark, ipv6: false },
        engine::ServiceId::Address(key) => {
            Target::Address { protocol: protocol(key.protocol), address: key.address, port: key.port }
        }
    }
}

fn protocol(protocol: engine::Protocol) -> Protocol {
    match protocol {
        engine::Protocol::Tcp => Protocol::Tcp,
        engine::Protocol::Udp => Protocol::Udp,
        engine::Protocol::Sctp => Protocol::Sctp,
    }
}

/// A service of the engine.
pub(crate) fn service(config: &engine::ServiceConfig) -> Service {
    let target = target(&config.id);
    let prefix =
        config.persistence.map_or(if target.is_ipv6() { 128 } else { 32 }, |persistence| persistence.prefix_len);
    let flags = [(config.flags.fallback, SchedulerFlag::First), (config.flags.port, SchedulerFlag::Second)];
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Service {
        target,
        scheduler: config.scheduler.name().to_owned(),
        flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect(),
        persistence: config.persistence.map(|persistence| Persistence {
            timeout: u32::try_from(persistence.timeout.as_secs()).unwrap_or(u32::MAX),
        }),
        netmask: Ipv4Addr::from_bits(mask),
        prefix,
        engine: config.persistence.and_then(|persistence| persistence.engine).map(|_| "sip".to_owned()),
        one_packet: config.one_packet,
    }
}

/// A destination of the engine with its load.
pub(crate) fn server(view: &engine::DestinationView) -> ServerEntry {
    ServerEntry {
        server: server_of(&view.config),
        active: view.active,
        inactive: view.inactive,
        persistent: view.persistent,
        counts: counts(&view.stats),
        rates: rates(&view.rates),
    }
}

/// A destination of the engine.
pub(crate) fn server_of(config: &engine::DestinationConfig) -> Server {
    let (method, tunnel) = match config.forwarding {
        engine::Forwarding::Nat => (Method::Masq, Tunnel::default()),
        engine::Forwarding::Dr => (Method::Route, Tunnel::default()),
        engine::Forwarding::Local => (Method::Local, Tunnel::default()),
        engine::Forwarding::FullNat => (Method::FullNat, Tunnel::default()),
        engine::Forwarding::Tunnel(tunnel) => (Method::Tunnel, tunnel_of(tunnel)),
    };
    Server {
        address: config.address,
        port: config.port,
        method,
        tunnel,
        weight: config.weight,
        upper_threshold: config.upper_threshold,
        lower_threshold: config.lower_threshold,
    }
}

fn tunnel_of(tunnel: engine::Tunnel) -> Tunnel {
    let (kind, port) = match tunnel.kind {
        engine::TunnelKind::Ipip => (TunnelKind::Ipip, 0),
        engine::TunnelKind::Gue { port } => (TunnelKind::Gue, port),
        engine::TunnelKind::Gre => (TunnelKind::Gre, 0),
    };
    let checksum = match tunnel.checksum {
        engine::TunnelChecksum::None => TunnelChecksum::None,
        engine::TunnelChecksum::Full => TunnelChecksum::Full,
        engine::TunnelChecksum::Remote => TunnelChecksum::Remote,
    };
    Tunnel { kind, port, checksum }
}

/// Counters of the engine.
pub(crate) fn counts(stats: &engine::Stats) -> Counts {
    Counts {
        connections: stats.connections,
        in_packets: stats.in_packets,
        out_packets: stats.out_packets,
        in_bytes: stats.in_bytes,
        out_bytes: stats.out_bytes,
    }
}

/// Counters as the engine has them.
pub(crate) fn stats(counts: &Counts) -> engine::Stats {
    engine::Stats {
        connections: counts.connections,
        in_packets: counts.in_packets,
        out_packets: counts.out_packets,
        in_bytes: counts.in_bytes,
        out_bytes: counts.out_bytes,
    }
}

/// Rates of the engine.
pub(crate) fn rates(rates: &engine::Rates) -> Counts {
    Counts {
        connections: rates.connections,
        in_packets: rates.in_packets,
        out_packets: rates.out_packets,
        in_bytes: rates.in_bytes,
        out_bytes: rates.out_bytes,
    }
}

/// A connection of the engine.
pub(crate) fn connection(view: &engine::ConnectionView) -> Connection {
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().zip([6, 17, 132]);
    Connection {
        protocol: protocol.into_iter().find(|(_, number)| *number == view.protocol).map(|(protocol, _)| protocol),
        expires: view.expires_in.as_secs(),
        state: view.state.to_string(),
        client: view.client,
        service: view.service,
        server: view.server,
        engine: None,
    }
}
