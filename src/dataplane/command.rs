//! What the daemon asks of the data plane, and what it gets to see.

use std::net::IpAddr;

use standfast_ipvs::sync::SyncSettings;
use standfast_ipvs::{
    Counters, DestinationConfig, DestinationView, Director, ServiceConfig, ServiceId, ServiceView, Settings, Timeouts,
};

use super::Error;

/// A change of the running configuration, by ipvsadm's verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ipvsadm -A`.
    AddService(ServiceConfig),
    /// `ipvsadm -E`.
    EditService(ServiceConfig),
    /// `ipvsadm -A`, or `-E` where it exists: what somebody has made by hand takes the settings of the file.
    PutService(ServiceConfig),
    /// `ipvsadm -D`.
    RemoveService(ServiceId),
    /// `ipvsadm -a`.
    AddDestination(ServiceId, DestinationConfig),
    /// `ipvsadm -e`.
    EditDestination(ServiceId, DestinationConfig),
    /// `ipvsadm -a`, or `-e` where it exists.
    PutDestination(ServiceId, DestinationConfig),
    /// `ipvsadm -d`.
    RemoveDestination {
        /// The service.
        service: ServiceId,
        /// The destination's address.
        address: IpAddr,
        /// The destination's port.
        port: u16,
    },
    /// `ipvsadm --set`; a zero leaves that time-out as it is.
    SetTimeouts(Timeouts),
    /// The settings of `net.ipv4.vs`.
    SetSettings(Settings),
    /// `ipvsadm -Z`, of one service or all.
    Zero(Option<ServiceId>),
    /// When another director is told of connections; `None` tells nobody.
    SetSync(Option<SyncSettings>),
}

impl Command {
    pub(super) fn apply(&self, director: &mut Director) -> Result<(), Error> {
        match self {
            Self::AddService(config) => director.add_service(config.clone())?,
            Self::EditService(config) => director.edit_service(config.clone())?,
            Self::PutService(config) => match director.add_service(config.clone()) {
                Err(standfast_ipvs::Error::ServiceExists) => director.edit_service(config.clone())?,
                outcome => outcome?,
            },
            Self::RemoveService(id) => director.remove_service(id)?,
            Self::AddDestination(id, config) => director.add_destination(id, config.clone())?,
            Self::EditDestination(id, config) => director.edit_destination(id, config.clone())?,
            Self::PutDestination(id, config) => match director.add_destination(id, config.clone()) {
                Err(standfast_ipvs::Error::DestinationExists) => director.edit_destination(id, config.clone())?,
                outcome => outcome?,
            },
            Self::RemoveDestination { service, address, port } => {
                director.remove_destination(service, *address, *port)?;
            }
            Self::SetTimeouts(timeouts) => director.set_timeouts(*timeouts),
            Self::SetSettings(settings) => director.set_settings(*settings),
            Self::Zero(id) => director.zero(id.as_ref())?,
            Self::SetSync(settings) => director.set_sync(*settings),
        }
        Ok(())
    }
}

/// A service with its destinations.
#[derive(Debug, Clone)]
pub struct ServiceSnapshot {
    /// Configuration and counters.
    pub service: ServiceView,
    /// Destinations in the order of the list.
    pub destinations: Vec<DestinationView>,
}

/// The data plane at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Services, sorted by address.
    pub services: Vec<ServiceSnapshot>,
    /// Time-outs of connections.
    pub timeouts: Timeouts,
    /// Number of connections and templates.
    pub connections: usize,
    /// Connections of which the kernel carries the plain packets.
    pub carried: usize,
    /// What the engine did with the packets.
    pub engine: Counters,
    /// What the driver did with the frames.
    pub driver: DriverCounters,
}

/// Counts of frames since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriverCounters {
    /// Frames handed to the engine.
    pub received: u64,
    /// Packets that the kernel carried past the engine.
    pub carried: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames put back through the loopback interface for the host's own stack.
    pub reinjected: u64,
    /// Frames that the kernel refused to send.
    pub refused: u64,
    /// Frames lost because the receive ring was full.
    pub overflowed: u64,
    /// Frames larger than the driver or the socket's queue can take.
    pub oversized: u64,
    /// Packets too big for the outgoing link: answered with ICMP.
    pub too_big: u64,
    /// Packets fragmented for the outgoing link.
    pub fragmented: u64,
    /// Packets without a way to their next hop.
    pub unreachable: u64,
    /// Times that the worker was restarted after a fault of its own.
    pub restarts: u64,
}
