//! Which changes end all flows.

use standfast_ipvs::{DestinationConfig, Director, ServiceConfig, ServiceId};

use crate::dataplane::command::Command;

/// Whether a command may change what becomes of a connection's packets: new services and servers do not, nor do weights and thresholds.
pub(in crate::dataplane) fn changes_ways(command: &Command, director: &Director) -> bool {
    match command {
        Command::AddService(_) | Command::AddDestination(..) | Command::Zero(_) | Command::SetSync(_) => false,
        Command::EditService(config) | Command::PutService(config) => changes_service(config, director),
        Command::EditDestination(id, config) | Command::PutDestination(id, config) => {
            changes_destination(id, config, director)
        }
        Command::RemoveService(_)
        | Command::RemoveDestination { .. }
        | Command::SetTimeouts(_)
        | Command::SetSettings(_) => true,
    }
}

fn changes_service(config: &ServiceConfig, director: &Director) -> bool {
    let services = director.services();
    services.iter().any(|held| held.config.id == config.id && held.config != *config)
}

fn changes_destination(id: &ServiceId, config: &DestinationConfig, director: &Director) -> bool {
    let held = director.destinations(id).unwrap_or_default();
    let same = |view: &&standfast_ipvs::DestinationView| {
        view.config.address == config.address && view.config.port == config.port
    };
    held.iter().find(same).is_some_and(|view| view.config.forwarding != config.forwarding)
}
