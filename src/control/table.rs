//! Calls about the forwarding table, carried out by whoever forwards.

use std::time::Duration;

use standfast_ipvs as engine;

use super::{Answer, Failure, Request};
use crate::dataplane::{Command, Error, Handle, Snapshot};
use crate::forwarder::Forwarder;
use crate::ipvsadm::convert::{INVALID, connection, counts, destination, id, rates, server, service, service_config};
use crate::ipvsadm::{Entry, Table, TimeoutSeconds};

/// Carries a call out. Where nobody forwards the table is empty.
///
/// # Errors
/// What the engine or the kernel refuses, in ipvsadm's words.
pub async fn answer(request: Request, forwarder: Option<Forwarder>) -> Result<Answer, Failure> {
    match forwarder {
        Some(Forwarder::Kernel(kernel)) => kernel.call(request).await.unwrap_or_else(|_| Err(stopped())),
        Some(Forwarder::Embedded(engine)) => answer_embedded(request, Some(engine)).await,
        None => answer_embedded(request, None).await,
    }
}

async fn answer_embedded(request: Request, handle: Option<Handle>) -> Result<Answer, Failure> {
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
