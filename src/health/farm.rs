//! All pools of the daemon and what they have put into the forwarding table. No input or output of its own.

use super::effect::FarmEffect;
use super::facts::{Source, World};
use super::ids::ServiceName;
use super::orders::ServerOrder;
use super::plan::Plan;
use super::report::ServiceReport;
use super::service::{Service, Turn};
use standfast_checkers::{CheckEvent, CheckerId};
use standfast_ipvs::ServiceId;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Every virtual server with its pool.
/// A clone is a rehearsal: its effects are those that the original would have, and nobody carries them out.
#[derive(Debug, Clone, Default)]
pub struct Farm {
    services: Vec<Service>,
    owners: HashMap<CheckerId, usize>,
    world: World,
    effects: VecDeque<FarmEffect>,
}

impl Farm {
    /// Without services, where this is known already.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { world, ..Self::default() }
    }

    /// Takes a plan by differences: what stays keeps its state and its connections.
    pub fn load(&mut self, plan: Plan, now: Instant) {
        let turn = &mut Turn { effects: &mut self.effects, now };
        turn.effects.extend(plan.warnings.into_iter().map(FarmEffect::Warn));
        let names: BTreeSet<_> = plan.services.iter().map(|planned| planned.name.clone()).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.services.drain(..).partition(|service| names.contains(&service.planned.name));
        gone.into_iter().for_each(|service| service.remove(turn));
        let mut known: BTreeMap<ServiceName, Service> =
            kept.into_iter().map(|service| (service.planned.name.clone(), service)).collect();
        let mut wanted: Vec<_> =
            plan.services.into_iter().map(|planned| (known.remove(&planned.name), planned)).collect();
        // Every address that is given up goes before another service may take it.
        for (running, planned) in &mut wanted {
            if let Some(service) = running {
                service.give_up(&planned.engines, turn);
            }
        }
        for (running, planned) in wanted {
            self.services.push(match running {
                Some(service) => service.change(planned, &self.world, turn),
                None => Service::start(planned, &self.world, turn),
            });
        }
        self.index_checkers();
    }

    /// What taking a plan would do, in order.
    #[must_use]
    pub fn rehearse(mut self, plan: Plan, now: Instant) -> Vec<FarmEffect> {
        self.effects.clear();
        self.load(plan, now);
        self.effects.into()
    }

    /// Takes a checker's event.
    pub fn handle(&mut self, event: &CheckEvent, now: Instant) {
        let service = self.owners.get(&event.id()).and_then(|index| self.services.get_mut(*index));
        if let Some(service) = service {
            service.handle(event, &mut Turn { effects: &mut self.effects, now });
        }
    }

    /// Takes the number of a tracked file.
    pub fn set_file(&mut self, file: &str, value: i32, now: Instant) {
        self.world.files.insert(file.to_owned(), value);
        self.learn(|source| matches!(source, Source::File { name, .. } if name == file), false, now);
    }

    /// Takes the state of a BFD session.
    pub fn set_bfd(&mut self, session: &str, up: bool, now: Instant) {
        let first = self.world.bfds.insert(session.to_owned(), up).is_none();
        self.learn(|source| matches!(source, Source::Bfd { name } if name == session), first, now);
    }

    fn learn(&mut self, of: impl Fn(&Source) -> bool, first: bool, now: Instant) {
        let turn = &mut Turn { effects: &mut self.effects, now };
        self.services.iter_mut().for_each(|service| service.learn(&of, first, &self.world, turn));
    }

    /// Takes the engine's count of connections that failed at a destination, since it is there.
    pub fn count_failures(&mut self, engine: ServiceId, server: SocketAddr, total: u64, now: Instant) {
        let turn = &mut Turn { effects: &mut self.effects, now };
        let serves = |service: &&mut Service| service.planned.engines.iter().any(|config| config.id == engine);
        if let Some(service) = self.services.iter_mut().find(serves) {
            service.count_failures(engine, server, total, turn);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do: a drained server leaves, a weight grows.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.services.iter().filter_map(Service::poll_timeout).min()
    }

    /// Does what is due; true when [`governed`](Self::governed) has another answer then.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let turn = &mut Turn { effects: &mut self.effects, now };
        self.services.iter_mut().fold(false, |resumed, service| resumed | service.handle_timeout(turn))
    }

    /// Carries out an order of a person; a sentence for each server that it concerned.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn obey(&mut self, order: &ServerOrder, now: Instant) -> Result<Vec<String>, String> {
        let turn = &mut Turn { effects: &mut self.effects, now };
        let meant = self.services.iter_mut().filter(|service| service.is_called(order.service.as_deref()));
        let done: Vec<String> = meant.flat_map(|service| service.obey(order, turn)).collect();
        if done.is_empty() { Err(self.unknown(order)) } else { Ok(done) }
    }

    fn unknown(&self, order: &ServerOrder) -> String {
        if let Some(name) =
            order.service.as_deref().filter(|name| !self.services.iter().any(|service| service.is_called(Some(name))))
        {
            let known: Vec<&str> = self.services.iter().map(|service| service.planned.label.as_str()).collect();
            return format!("there is no virtual server {name} in the configuration (there are: {})", known.join(" "));
        }
        let meant = self.services.iter().filter(|service| service.is_called(order.service.as_deref()));
        let known: BTreeSet<String> = meant.flat_map(Service::server_names).collect();
        let known: Vec<String> = known.into_iter().collect();
        format!("there is no real server {} in the configuration (there are: {})", order.server, known.join(" "))
    }

    /// Empties the table.
    pub fn stop(&mut self, now: Instant) {
        let turn = &mut Turn { effects: &mut self.effects, now };
        self.services.drain(..).for_each(|mut service| service.stop(turn));
        self.owners.clear();
    }

    /// The checkers that `ha_suspend` or a person governs, and whether they may run while these addresses are present.
    #[must_use]
    pub fn governed(&self, present: &BTreeSet<IpAddr>) -> Vec<(CheckerId, bool)> {
        let mut governed = Vec::new();
        for service in &self.services {
            let watched = service.planned.watched.as_ref();
            if watched.is_none() && !service.orders.paused_once() {
                continue;
            }
            let runs = watched
                .is_none_or(|watched| watched.iter().any(|(first, last)| present.range(first..=last).next().is_some()));
            governed.extend(service.permits(runs));
        }
        governed
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
