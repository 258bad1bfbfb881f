//! Calls about the forwarding table, carried out by the data plane.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use standfast_ipvs as engine;

use super::{Answer, Failure, Request};
use crate::dataplane::{Command, Error, Handle, Snapshot};
use crate::ipvsadm::{
    Connection, Counts, Entry, Method, Persistence, Protocol, SchedulerFlag, Server, ServerEntry, Service, Table,
    Target, TimeoutSeconds, Tunnel, TunnelChecksum, TunnelKind,
};

/// The words in which ipvsadm tells of a refusal without a better name.
const INVALID: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";
const NOT_FOUND: &str = "Scheduler or persistence engine not found";

/// Carries a call out. Without a data plane the table is empty.
///
/// # Errors
/// What the engine refuses, in ipvsadm's words.
pub async fn answer(request: Request, handle: Option<Handle>) -> Result<Answer, Failure> {
    match request {
        Request::Services => Ok(Answer::Services(table(snapshot(handle.as_ref()).await?.as_ref()))),
        Request::Timeouts => Ok(Answer::Timeouts(timeouts(snapshot(handle.as_ref()).await?.as_ref()))),
        Request::Connections { skip } => connections(skip, handle.as_ref()).await,
        Request::Clear => clear(handle.as_ref()).await,
        order => {
            let mut command = command(order)?;
            let words = Words::of(&command);
            let handle = handle.ok_or_else(|| Failure::new(words.absent()))?;
            if let Command::EditService(config) = &mut command {
                keep_full_nat(config, snapshot(Some(&handle)).await?.as_ref());
            }
            let mut results = handle.apply(vec![command]).await.map_err(|_| stopped())?;
            results.pop().unwrap_or(Err(Error::Stopped)).map_err(|error| words.refusal(&error))?;
            Ok(Answer::Done)
        }
    }
}

/// ipvsadm has no words for full NAT: what the file says of it stays.
fn keep_full_nat(config: &mut engine::ServiceConfig, snapshot: Option<&Snapshot>) {
    let mut services = snapshot.into_iter().flat_map(|snapshot| &snapshot.services);
    if let Some(held) = services.find(|held| held.service.config.id == config.id) {
        config.full_nat = held.service.config.full_nat.clone();
    }
}

fn stopped() -> Failure {
    Failure::new(Error::Stopped.to_string())
}

async fn snapshot(handle: Option<&Handle>) -> Result<Option<Snapshot>, Failure> {
    match handle {
        None => Ok(None),
        Some(handle) => handle.snapshot().await.map(Some).map_err(|_| stopped()),
    }
}

async fn connections(skip: usize, handle: Option<&Handle>) -> Result<Answer, Failure> {
    let Some(handle) = handle else { return Ok(Answer::Connections(Vec::new())) };
    let views = handle.connections(skip).await.map_err(|_| stopped())?;
    Ok(Answer::Connections(views.iter().map(connection).collect()))
}

async fn clear(handle: Option<&Handle>) -> Result<Answer, Failure> {
    if let (Some(handle), Some(snapshot)) = (handle, snapshot(handle).await?) {
        let ids = snapshot.services.iter().map(|entry| Command::RemoveService(entry.service.config.id));
        let results = handle.apply(ids.collect()).await.map_err(|_| stopped())?;
        results.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| Failure::new(error.to_string()))?;
    }
    Ok(Answer::Done)
}

/// ipvsadm has other words for a missing service when a server is meant.
#[derive(Debug, Clone, Copy)]
enum Words {
    OfService,
    OfServer,
}

impl Words {
    fn of(command: &Command) -> Words {
        match command {
            Command::AddDestination(..) | Command::EditDestination(..) | Command::RemoveDestination { .. } => {
                Words::OfServer
            }
            _ => Words::OfService,
        }
    }

    fn absent(self) -> &'static str {
        match self {
            Words::OfService => "No such service",
            Words::OfServer => "Service not defined",
        }
    }

    fn refusal(self, error: &Error) -> Failure {
        match error {
            Error::Engine(engine::Error::NoSuchService) => Failure::new(self.absent()),
            error => Failure::new(error.to_string()),
        }
    }
}

fn command(order: Request) -> Result<Command, Failure> {
    Ok(match order {
        Request::AddService(service) => Command::AddService(service_config(&service)?),
        Request::EditService(service) => Command::EditService(service_config(&service)?),
        Request::RemoveService(target) => Command::RemoveService(id(&target)),
        Request::AddServer(target, server) => Command::AddDestination(id(&target), destination(&server)?),
        Request::EditServer(target, server) => Command::EditDestination(id(&target), destination(&server)?),
        Request::RemoveServer(target, address, port) => {
            Command::RemoveDestination { service: id(&target), address, port }
        }
        Request::Zero(target) => Command::Zero(target.as_ref().map(id)),
        Request::SetTimeouts(timeouts) => Command::SetTimeouts(engine::Timeouts {
            tcp: Duration::from_secs(timeouts.tcp.into()),
            tcp_fin: Duration::from_secs(timeouts.tcpfin.into()),
            udp: Duration::from_secs(timeouts.udp.into()),
        }),
        _ => return Err(Failure::new(INVALID)),
    })
}

fn id(target: &Target) -> engine::ServiceId {
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

fn service_config(service: &Service) -> Result<engine::ServiceConfig, Failure> {
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

fn destination(server: &Server) -> Result<engine::DestinationConfig, Failure> {
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
    engine::Tunnel { kind, checksum: tunnel.checksum != TunnelChecksum::None, clamp_mss: false }
}

/// Slots that listings speak of: the kernel's usual number, as our table has no fixed one.
const SIZE: u32 = 4096;

fn table(snapshot: Option<&Snapshot>) -> Table {
    let entries = snapshot.into_iter().flat_map(|snapshot| &snapshot.services);
    let entries = entries.map(|entry| Entry {
        service: service(&entry.service.config),
        counts: counts(&entry.service.stats),
        rates: rates(&entry.service.rates),
        servers: entry.destinations.iter().map(server).collect(),
    });
    Table { size: SIZE, entries: entries.collect() }
}

fn timeouts(snapshot: Option<&Snapshot>) -> TimeoutSeconds {
    let timeouts = snapshot.map_or_else(engine::Timeouts::default, |snapshot| snapshot.timeouts);
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    TimeoutSeconds { tcp: seconds(timeouts.tcp), tcpfin: seconds(timeouts.tcp_fin), udp: seconds(timeouts.udp) }
}

fn target(id: &engine::ServiceId) -> Target {
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

fn service(config: &engine::ServiceConfig) -> Service {
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

fn server(view: &engine::DestinationView) -> ServerEntry {
    let config = &view.config;
    let (method, tunnel) = match config.forwarding {
        engine::Forwarding::Nat => (Method::Masq, Tunnel::default()),
        engine::Forwarding::Dr => (Method::Route, Tunnel::default()),
        engine::Forwarding::Local => (Method::Local, Tunnel::default()),
        engine::Forwarding::FullNat => (Method::FullNat, Tunnel::default()),
        engine::Forwarding::Tunnel(tunnel) => (Method::Tunnel, tunnel_of(tunnel)),
    };
    ServerEntry {
        server: Server {
            address: config.address,
            port: config.port,
            method,
            tunnel,
            weight: config.weight,
            upper_threshold: config.upper_threshold,
            lower_threshold: config.lower_threshold,
        },
        active: view.active,
        inactive: view.inactive,
        persistent: view.persistent,
        counts: counts(&view.stats),
        rates: rates(&view.rates),
    }
}

fn tunnel_of(tunnel: engine::Tunnel) -> Tunnel {
    let (kind, port) = match tunnel.kind {
        engine::TunnelKind::Ipip => (TunnelKind::Ipip, 0),
        engine::TunnelKind::Gue { port } => (TunnelKind::Gue, port),
        engine::TunnelKind::Gre => (TunnelKind::Gre, 0),
    };
    let checksum = if tunnel.checksum { TunnelChecksum::Full } else { TunnelChecksum::None };
    Tunnel { kind, port, checksum }
}

fn counts(stats: &engine::Stats) -> Counts {
    Counts {
        connections: stats.connections,
        in_packets: stats.in_packets,
        out_packets: stats.out_packets,
        in_bytes: stats.in_bytes,
        out_bytes: stats.out_bytes,
    }
}

fn rates(rates: &engine::Rates) -> Counts {
    Counts {
        connections: rates.connections,
        in_packets: rates.in_packets,
        out_packets: rates.out_packets,
        in_bytes: rates.in_bytes,
        out_bytes: rates.out_bytes,
    }
}

fn connection(view: &engine::ConnectionView) -> Connection {
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
