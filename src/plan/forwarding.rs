//! What becomes of the forwarding table, and of the connections in it.

use super::model::{Change, CheckChange, ServerChange, ServiceChange};
use super::settings::differences_within;
use crate::dataplane::Snapshot;
use crate::health::{Plan, PlannedService, ServiceName, TableChange, service_name};
use crate::translate::names;
use standfast_checkers::{CheckerId, CheckerSpec};
use standfast_ipvs::{DestinationConfig, Forwarding, ServiceId};
use standfast_parser::model::{Config, VirtualServer};
use standfast_parser::print::print_virtual_server;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The table, as changes come in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table(BTreeMap<ServiceId, BTreeMap<SocketAddr, Held>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    config: DestinationConfig,
    connections: u64,
}

impl Table {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut table = Self::default();
        for held in &snapshot.services {
            let id = held.service.config.id;
            table.0.entry(id).or_default();
            for view in &held.destinations {
                let connections = u64::from(view.active) + u64::from(view.inactive);
                table.put(id, view.config.clone(), connections);
            }
        }
        table
    }

    fn put(&mut self, id: ServiceId, config: DestinationConfig, connections: u64) {
        let place = SocketAddr::new(config.address, config.port);
        self.0.entry(id).or_default().insert(place, Held { config, connections });
    }

    fn at(&self, id: &ServiceId, place: SocketAddr) -> Option<&Held> {
        self.0.get(id)?.get(&place)
    }

    fn places(&self, id: &ServiceId) -> impl Iterator<Item = SocketAddr> {
        self.0.get(id).into_iter().flatten().map(|(place, _)| *place)
    }

    /// The engine keeps the connections of a destination that leaves and finds them again when it comes back.
    pub(super) fn apply(&mut self, change: &TableChange, before: &Table) {
        match change {
            TableChange::AddService(config) => drop(self.0.entry(config.id).or_default()),
            TableChange::EditService(_) => {}
            TableChange::RemoveService(id) => drop(self.0.remove(id)),
            TableChange::AddDestination(id, config) | TableChange::EditDestination(id, config) => {
                let held = before.at(id, SocketAddr::new(config.address, config.port));
                self.put(*id, config.clone(), held.map_or(0, |held| held.connections));
            }
            TableChange::RemoveDestination(id, server) => {
                self.0.get_mut(id).and_then(|places| places.remove(server));
            }
        }
    }

    /// Connections to an address, whatever the service.
    pub(super) fn connections_to(&self, address: IpAddr) -> u64 {
        let is_there = |id: &ServiceId| matches!(id, ServiceId::Address(key) if key.address == address);
        let here = self.0.iter().filter(|(id, _)| is_there(id)).flat_map(|(_, places)| places.values());
        here.map(|held| held.connections).sum()
    }
}

/// A configuration with what became of it here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) config: &'a Config,
    pub(super) plan: &'a Plan,
    pub(super) table: &'a Table,
}

/// Virtual servers that differ; those of the new file first.
pub(super) fn services(before: Side<'_>, after: Side<'_>) -> Vec<ServiceChange> {
    let (old, new) = (by_name(before), by_name(after));
    let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
    let order: BTreeMap<&ServiceName, usize> =
        before.plan.services.iter().chain(&after.plan.services).zip(0..).map(|(one, nth)| (&one.name, nth)).collect();
    let mut names: Vec<&ServiceName> = names.copied().collect();
    names.sort_by_key(|name| order.get(*name));
    names
        .into_iter()
        .filter_map(|name| service((old.get(&name).copied(), before.table), (new.get(&name).copied(), after.table)))
        .collect()
}

/// A virtual server as it is planned and as it is written.
type Written<'a> = (&'a PlannedService, Option<&'a VirtualServer>);

fn by_name<'a>(side: Side<'a>) -> BTreeMap<&'a ServiceName, Written<'a>> {
    let written: BTreeMap<ServiceName, &VirtualServer> =
        side.config.virtual_servers.iter().map(|server| (service_name(server), server)).collect();
    side.plan.services.iter().map(|one| (&one.name, (one, written.get(&one.name).copied()))).collect()
}

fn service(before: (Option<Written<'_>>, &Table), after: (Option<Written<'_>>, &Table)) -> Option<ServiceChange> {
    let change = match (before.0, after.0) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        _ => Change::Changed,
    };
    let engines = |side: Option<Written<'_>>| -> BTreeSet<ServiceId> {
        side.iter().flat_map(|(planned, _)| &planned.engines).map(|engine| engine.id).collect()
    };
    let (old, new) = (engines(before.0), engines(after.0));
    let text = |side: Option<Written<'_>>| side.and_then(|(_, written)| written).map(print_virtual_server);
    let settings = match (text(before.0), text(after.0)) {
        (Some(old), Some(new)) => differences_within(&old, &new),
        _ => Vec::new(),
    };
    let ids = |these: &BTreeSet<ServiceId>, others: &BTreeSet<ServiceId>| {
        these.difference(others).map(names::engine_service).collect::<Vec<_>>()
    };
    let kept = after.0.map(|(planned, _)| planned);
    let changed = ServiceChange {
        name: after.0.or(before.0).map(|(planned, _)| planned.label.clone())?,
        change,
        gains: ids(&new, &old),
        gives_up: ids(&old, &new),
        servers: old.union(&new).flat_map(|id| servers(id, (before.1, after.1), kept)).collect(),
        settings,
    };
    let is_same = change == Change::Changed
        && changed.settings.is_empty()
        && changed.servers.is_empty()
        && changed.gains.is_empty()
        && changed.gives_up.is_empty();
    (!is_same).then_some(changed)
}

fn servers(id: &ServiceId, tables: (&Table, &Table), planned: Option<&PlannedService>) -> Vec<ServerChange> {
    let (before, after) = tables;
    let places: BTreeSet<SocketAddr> = before.places(id).chain(after.places(id)).collect();
    let change = |place| server((id, place), (before.at(id, place), after.at(id, place)), planned);
    places.into_iter().filter_map(change).collect()
}

fn server(
    (id, server): (&ServiceId, SocketAddr),
    (before, after): (Option<&Held>, Option<&Held>),
    planned: Option<&PlannedService>,
) -> Option<ServerChange> {
    if before.map(|held| &held.config) == after.map(|held| &held.config) {
        return None;
    }
    let stays = planned.is_some_and(|planned| planned.serves_by(id, server));
    let change = match (before, after) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        (_, Some(held)) if held.config.weight == 0 && !stays => Change::Drained,
        _ => Change::Changed,
    };
    let connections = before.map_or(0, |held| held.connections);
    let weight = |held: Option<&Held>| held.map(|held| held.config.weight);
    let method = |held: Option<&Held>| held.map(|held| method_name(held.config.forwarding).to_owned());
    Some(ServerChange {
        service: names::engine_service(id),
        name: names::socket(server, names::engine_protocol(id)),
        change,
        weight_before: weight(before),
        weight_after: weight(after),
        method_before: method(before),
        method_after: method(after),
        connections,
        connections_lost: if after.is_none() { connections } else { 0 },
    })
}

/// As in `lb_kind`.
fn method_name(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "NAT",
        Forwarding::Dr => "DR",
        Forwarding::FullNat => "FULLNAT",
        Forwarding::Tunnel(_) => "TUN",
        Forwarding::Local => "local",
    }
}

/// A check with its settings, where it makes attempts of its own.
type Check<'a> = ((&'a str, &'a str, &'static str), Option<&'a CheckerSpec>);

/// Checks that differ.
pub(super) fn checks(before: &Plan, after: &Plan) -> Vec<CheckChange> {
    let (old, new) = (checks_of(before), checks_of(after));
    let gone = old.iter().filter(|(id, _)| !new.contains_key(id)).map(|(_, (names, _))| check(*names, Change::Removed));
    let come = new.iter().filter_map(|(id, (names, spec))| match old.get(id) {
        None => Some(check(*names, Change::Added)),
        Some((_, same)) if same == spec => None,
        Some(_) => Some(check(*names, Change::Changed)),
    });
    gone.chain(come).collect()
}

fn checks_of(plan: &Plan) -> BTreeMap<CheckerId, Check<'_>> {
    let specs: BTreeMap<CheckerId, &CheckerSpec> = plan.checkers.iter().map(|spec| (spec.id, spec)).collect();
    let mut found = BTreeMap::new();
    for service in &plan.services {
        for member in service.members.values() {
            for (id, kind) in &member.checkers {
                let names = (service.label.as_str(), member.label.as_str(), *kind);
                found.insert(*id, (names, specs.get(id).copied()));
            }
        }
    }
    found
}

fn check((service, server, kind): (&str, &str, &'static str), change: Change) -> CheckChange {
    CheckChange { service: service.to_owned(), server: server.to_owned(), kind: kind.to_owned(), change }
}
