//! All pools of the daemon and what they have put into the forwarding table. No input or output of its own.

use super::effect::{FarmEffect, HealthEvent, TableChange};
use super::ids::ServiceName;
use super::plan::{Plan, PlannedService};
use crate::translate::group;
use standfast_checkers::pool::{Pool, PoolEffect, ServerId, ServerView};
use standfast_checkers::{CheckEvent, CheckerId};
use standfast_ipvs::{DestinationConfig, ServiceConfig, ServiceId};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Every virtual server with its pool.
#[derive(Debug, Default)]
pub struct Farm {
    services: Vec<Service>,
    owners: HashMap<CheckerId, usize>,
    effects: VecDeque<FarmEffect>,
}

#[derive(Debug)]
struct Service {
    planned: PlannedService,
    pool: Pool,
    installed: BTreeMap<Slot, DestinationConfig>,
}

/// Who stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Server(ServerId),
    Sorry,
}

/// A virtual server as dumps show it.
#[derive(Debug, Clone)]
pub struct ServiceReport {
    /// `[vip]:tcp:80`.
    pub service: String,
    /// The quorum is there.
    pub quorum: bool,
    /// The sorry server serves.
    pub sorry_serves: bool,
    /// Real servers: name, alive, weight.
    pub servers: Vec<(String, bool, u32)>,
}

impl Farm {
    /// Takes a plan by differences: what stays keeps its state and its connections.
    pub fn load(&mut self, plan: Plan) {
        self.effects.extend(plan.warnings.into_iter().map(FarmEffect::Warn));
        let mut known: BTreeMap<ServiceName, Service> =
            self.services.drain(..).map(|service| (service.planned.name.clone(), service)).collect();
        let wanted: Vec<_> = plan.services.into_iter().map(|planned| (known.remove(&planned.name), planned)).collect();
        for service in known.into_values() {
            service.remove(&mut self.effects);
        }
        // Every address that is given up goes before another service may take it.
        let mut wanted = wanted;
        for (running, planned) in &mut wanted {
            if let Some(service) = running {
                service.give_up(&planned.engines, &mut self.effects);
            }
        }
        for (running, planned) in wanted {
            let service = match running {
                Some(service) => service.change(planned, &mut self.effects),
                None => Service::start(planned, &mut self.effects),
            };
            self.services.push(service);
        }
        self.index_checkers();
    }

    /// Takes a checker's event.
    pub fn handle(&mut self, event: &CheckEvent) {
        let service = self.owners.get(&event.id()).and_then(|index| self.services.get_mut(*index));
        if let Some(service) = service {
            service.pool.handle(event);
            service.drain(&mut self.effects);
        }
    }

    /// Empties the table.
    pub fn stop(&mut self) {
        for mut service in self.services.drain(..) {
            service.pool.stop();
            service.drain(&mut self.effects);
            service.leave_engine(&mut self.effects);
        }
        self.owners.clear();
    }

    /// The checkers that `ha_suspend` governs, and whether they may run while these addresses are present.
    pub fn governed(&self, present: &BTreeSet<IpAddr>) -> Vec<(CheckerId, bool)> {
        let mut governed = Vec::new();
        for service in &self.services {
            let Some(watched) = &service.planned.watched else { continue };
            let runs = watched.iter().any(|(first, last)| present.range(first..=last).next().is_some());
            governed.extend(service.planned.checkers().map(|id| (id, runs)));
        }
        governed
    }

    /// Whether any service waits for an address.
    #[must_use]
    pub fn watches_addresses(&self) -> bool {
        self.services.iter().any(|service| service.planned.watched.is_some())
    }

    /// Whether any service waits for this address.
    #[must_use]
    pub fn watches(&self, address: IpAddr) -> bool {
        let mut ranges = self.services.iter().filter_map(|service| service.planned.watched.as_ref()).flatten();
        ranges.any(|(first, last)| (first..=last).contains(&&address))
    }

    /// The next effect, oldest first.
    pub fn poll_effect(&mut self) -> Option<FarmEffect> {
        self.effects.pop_front()
    }

    /// The state of every pool.
    #[must_use]
    pub fn reports(&self) -> Vec<ServiceReport> {
        self.services.iter().map(Service::report).collect()
    }

    fn index_checkers(&mut self) {
        self.owners.clear();
        for (index, service) in self.services.iter().enumerate() {
            self.owners.extend(service.planned.checkers().map(|id| (id, index)));
        }
    }
}

impl Service {
    fn start(planned: PlannedService, effects: &mut VecDeque<FarmEffect>) -> Self {
        let additions = planned.engines.iter().cloned().map(TableChange::AddService);
        effects.extend(additions.map(FarmEffect::Table));
        let pool = Pool::new(planned.pool.clone());
        let mut service = Self { planned, pool, installed: BTreeMap::new() };
        service.drain(effects);
        service
    }

    fn change(mut self, planned: PlannedService, effects: &mut VecDeque<FarmEffect>) -> Self {
        self.tell_group(&planned, effects);
        self.change_engines(&planned.engines, effects);
        self.planned = planned;
        self.pool.update(self.planned.pool.clone());
        self.drain(effects);
        self.refresh_destinations(effects);
        self
    }

    /// Takes away the services that are not wanted any more.
    fn give_up(&mut self, wanted: &[ServiceConfig], effects: &mut VecDeque<FarmEffect>) {
        let wanted: BTreeSet<ServiceId> = wanted.iter().map(|engine| engine.id).collect();
        let (kept, gone) = std::mem::take(&mut self.planned.engines).into_iter().partition(|e| wanted.contains(&e.id));
        self.planned.engines = kept;
        let gone: Vec<ServiceConfig> = gone;
        effects.extend(gone.into_iter().map(|engine| FarmEffect::Table(TableChange::RemoveService(engine.id))));
    }

    fn change_engines(&mut self, wanted: &[ServiceConfig], effects: &mut VecDeque<FarmEffect>) {
        let old: BTreeMap<ServiceId, &ServiceConfig> = self.planned.engines.iter().map(|e| (e.id, e)).collect();
        for new in wanted {
            match old.get(&new.id) {
                Some(old) if *old == new => {}
                Some(_) => effects.push_back(FarmEffect::Table(TableChange::EditService(new.clone()))),
                None => {
                    effects.push_back(FarmEffect::Table(TableChange::AddService(new.clone())));
                    let installed = self.installed.values().map(|to| group::destination_of(&new.id, to));
                    let additions = installed.map(|to| TableChange::AddDestination(new.id, to));
                    effects.extend(additions.map(FarmEffect::Table));
                }
            }
        }
    }

    /// Destinations that stay in the table but have other options than before.
    fn refresh_destinations(&mut self, effects: &mut VecDeque<FarmEffect>) {
        let slots: Vec<Slot> = self.installed.keys().copied().collect();
        for slot in slots {
            let (Some(wanted), Some(installed)) = (self.wanted(slot).cloned(), self.installed.get_mut(&slot)) else {
                continue;
            };
            let wanted = DestinationConfig { weight: installed.weight, ..wanted };
            if wanted != *installed {
                *installed = wanted.clone();
                self.table(effects, |id| TableChange::EditDestination(id, group::destination_of(&id, &wanted)));
            }
        }
    }

    /// Entries of a group that come and go, in keepalived's words.
    fn tell_group(&self, planned: &PlannedService, effects: &mut VecDeque<FarmEffect>) {
        let (Some((name, old)), Some((_, new))) = (&self.planned.group, &planned.group) else { return };
        let gone = old.iter().filter(|entry| !new.contains(entry));
        effects.extend(gone.map(|entry| FarmEffect::Log(format!("VS [{entry}] in group {name} no longer exists"))));
        let added = new.iter().filter(|entry| !old.contains(entry));
        effects.extend(added.map(|entry| FarmEffect::Log(format!("VS [{entry}] added into group {name}"))));
    }

    fn remove(mut self, effects: &mut VecDeque<FarmEffect>) {
        effects.push_back(FarmEffect::Log(format!("Removing Virtual Server {}", self.planned.label)));
        self.leave_engine(effects);
    }

    fn leave_engine(&mut self, effects: &mut VecDeque<FarmEffect>) {
        self.table(effects, TableChange::RemoveService);
        self.installed.clear();
    }

    fn report(&self) -> ServiceReport {
        ServiceReport {
            service: self.planned.label.clone(),
            quorum: self.pool.has_quorum(),
            sorry_serves: self.pool.sorry_serves(),
            servers: self
                .pool
                .servers()
                .map(|ServerView { name, alive, weight, .. }| (name.to_owned(), alive, weight))
                .collect(),
        }
    }

    fn drain(&mut self, effects: &mut VecDeque<FarmEffect>) {
        while let Some(effect) = self.pool.poll_effect() {
            self.carry_out(effect, effects);
        }
    }

    fn carry_out(&mut self, effect: PoolEffect, effects: &mut VecDeque<FarmEffect>) {
        match effect {
            PoolEffect::AddServer { server, weight } => self.install(Slot::Server(server), weight, effects),
            PoolEffect::SetWeight { server, weight } => self.set_weight(Slot::Server(server), weight, effects),
            PoolEffect::RemoveServer { server } => self.uninstall(Slot::Server(server), effects),
            PoolEffect::AddSorry { weight } => self.install(Slot::Sorry, weight, effects),
            PoolEffect::SetSorryWeight { weight } => self.set_weight(Slot::Sorry, weight, effects),
            PoolEffect::RemoveSorry => self.uninstall(Slot::Sorry, effects),
            PoolEffect::ServerUp { server } => self.tell_server(server, true, effects),
            PoolEffect::ServerDown { server } => self.tell_server(server, false, effects),
            PoolEffect::ServerMail { server, up, body, .. } => self.mail_server(server, up, body, effects),
            PoolEffect::QuorumUp { text } => self.tell_quorum(true, text, effects),
            PoolEffect::QuorumDown { text } => self.tell_quorum(false, text, effects),
            PoolEffect::Log(line) => effects.push_back(FarmEffect::Log(line)),
        }
    }

    fn wanted(&self, slot: Slot) -> Option<&DestinationConfig> {
        match slot {
            Slot::Server(id) => self.planned.members.get(&id)?.destination.as_ref(),
            Slot::Sorry => self.planned.sorry.as_ref(),
        }
    }

    fn install(&mut self, slot: Slot, weight: u32, effects: &mut VecDeque<FarmEffect>) {
        let Some(wanted) = self.wanted(slot) else { return };
        let destination = DestinationConfig { weight, ..wanted.clone() };
        self.installed.insert(slot, destination.clone());
        self.table(effects, |id| TableChange::AddDestination(id, group::destination_of(&id, &destination)));
    }

    fn set_weight(&mut self, slot: Slot, weight: u32, effects: &mut VecDeque<FarmEffect>) {
        let Some(installed) = self.installed.get_mut(&slot) else { return };
        if installed.weight == weight {
            return;
        }
        installed.weight = weight;
        let destination = installed.clone();
        self.table(effects, |id| TableChange::EditDestination(id, group::destination_of(&id, &destination)));
    }

    fn uninstall(&mut self, slot: Slot, effects: &mut VecDeque<FarmEffect>) {
        let Some(installed) = self.installed.remove(&slot) else { return };
        self.table(effects, |id| {
            let DestinationConfig { address, port, .. } = group::destination_of(&id, &installed);
            TableChange::RemoveDestination(id, SocketAddr::new(address, port))
        });
    }

    fn table(&self, effects: &mut VecDeque<FarmEffect>, change: impl Fn(ServiceId) -> TableChange) {
        effects.extend(self.planned.engines.iter().map(|engine| FarmEffect::Table(change(engine.id))));
    }

    fn tell_server(&self, id: ServerId, up: bool, effects: &mut VecDeque<FarmEffect>) {
        let Some(member) = self.planned.members.get(&id) else { return };
        let script = if up { &member.notify_up } else { &member.notify_down };
        effects.push_back(FarmEffect::Event(HealthEvent::Server {
            service: self.planned.label.clone(),
            server: member.label.clone(),
            up,
            script: script.clone(),
        }));
    }

    fn mail_server(&self, id: ServerId, up: bool, body: String, effects: &mut VecDeque<FarmEffect>) {
        let Some(member) = self.planned.members.get(&id).filter(|member| member.smtp_alert) else { return };
        let (service, server) = (self.planned.label.clone(), member.label.clone());
        effects.push_back(FarmEffect::Event(HealthEvent::ServerMail { service, server, up, body }));
    }

    fn tell_quorum(&self, up: bool, body: String, effects: &mut VecDeque<FarmEffect>) {
        let script = if up { &self.planned.quorum_up } else { &self.planned.quorum_down };
        let service = self.planned.label.clone();
        let event = HealthEvent::Quorum { service: service.clone(), up, script: script.clone() };
        effects.push_back(FarmEffect::Event(event));
        if self.planned.smtp_alert {
            effects.push_back(FarmEffect::Event(HealthEvent::QuorumMail { service, up, body }));
        }
    }
}
