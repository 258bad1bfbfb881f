//! One virtual server: its pool, and what the pool has put into the forwarding table.

use super::easing::{Easing, Passive};
use super::effect::{FarmEffect, HealthEvent, NoteKind, TableChange};
use super::facts::{Source, World};
use super::orders::Orders;
use super::plan::{Member, PlannedService};
use super::report::Verdict;
use crate::notify::Event;
use crate::translate::group;
use standfast_checkers::pool::{Fact, Pool, PoolEffect, ServerId};
use standfast_checkers::{CheckEvent, CheckerId};
use standfast_ipvs::{DestinationConfig, ServiceConfig, ServiceId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What happens at one moment, and where its effects go.
pub(super) struct Turn<'a> {
    pub(super) effects: &'a mut VecDeque<FarmEffect>,
    pub(super) now: Instant,
}

impl Turn<'_> {
    pub(super) fn log(&mut self, line: String) {
        self.effects.push_back(FarmEffect::Log(line));
    }

    fn table(&mut self, change: TableChange) {
        self.effects.push_back(FarmEffect::Table(change));
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(FarmEffect::Event(HealthEvent::Told(event)));
    }

    pub(super) fn note(&mut self, kind: NoteKind, subject: String, text: String) {
        self.effects.push_back(FarmEffect::Event(HealthEvent::Note { kind, subject, text }));
    }
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) planned: PlannedService,
    pub(super) pool: Pool,
    /// Who stands in the table, with the pool's weight.
    pub(super) installed: BTreeMap<Slot, Installed>,
    /// Who stands in the table only until its connections have ended.
    pub(super) draining: Vec<Draining>,
    pub(super) easing: Easing,
    pub(super) orders: Orders,
    /// What each check said last.
    pub(super) verdicts: BTreeMap<CheckerId, Verdict>,
    /// Failed connections of each destination as the engine counted them last.
    failures: BTreeMap<(ServiceId, SocketAddr), u64>,
}

/// Who stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Server(ServerId),
    Sorry,
}

#[derive(Debug, Clone)]
pub(super) struct Installed {
    pub(super) config: DestinationConfig,
    /// The weight in the table.
    pub(super) shown: u32,
    pub(super) label: String,
    drain: Option<Duration>,
}

impl Installed {
    pub(super) fn place(&self) -> SocketAddr {
        SocketAddr::new(self.config.address, self.config.port)
    }

    pub(super) fn shown(&self) -> DestinationConfig {
        DestinationConfig { weight: self.shown, ..self.config.clone() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Draining {
    pub(super) installed: Installed,
    pub(super) until: Instant,
}

impl Service {
    pub(super) fn start(mut planned: PlannedService, world: &World, turn: &mut Turn<'_>) -> Self {
        planned.engines.iter().cloned().for_each(|engine| turn.table(TableChange::AddService(engine)));
        planned.inform(world);
        let pool = Pool::new(planned.pool.clone());
        let mut service = Self {
            planned,
            pool,
            installed: BTreeMap::new(),
            draining: Vec::new(),
            easing: Easing::default(),
            orders: Orders::default(),
            verdicts: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        service.drain(turn);
        service
    }

    /// Takes away the services that are not wanted any more.
    pub(super) fn give_up(&mut self, wanted: &[ServiceConfig], turn: &mut Turn<'_>) {
        let wanted: BTreeSet<ServiceId> = wanted.iter().map(|engine| engine.id).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.planned.engines).into_iter().partition(|engine| wanted.contains(&engine.id));
        self.planned.engines = kept;
        gone.into_iter().for_each(|engine| turn.table(TableChange::RemoveService(engine.id)));
    }

    pub(super) fn change(mut self, mut planned: PlannedService, world: &World, turn: &mut Turn<'_>) -> Self {
        planned.inform(world);
        self.tell_group(&planned, turn);
        self.change_engines(&planned.engines, turn);
        self.planned = planned;
        self.pool.update(self.planned.pool.clone());
        self.drain(turn);
        self.learn(|_| true, false, world, turn);
        self.refresh_destinations(turn);
        self.easing.retain(|id| self.planned.members.contains_key(id));
        self.orders.retain(|id| self.planned.members.contains_key(id));
        let living: BTreeSet<CheckerId> = self.planned.checkers().collect();
        self.verdicts.retain(|id, _| living.contains(id));
        self
    }

    pub(super) fn handle(&mut self, event: &CheckEvent, turn: &mut Turn<'_>) {
        if let Some(verdict) = Verdict::of(event, turn.now) {
            self.remember(event.id(), verdict, turn);
        }
        self.pool.handle(event);
        self.drain(turn);
    }

    /// Tells the checkers that follow one of these sources what it says.
    pub(super) fn learn(&mut self, of: impl Fn(&Source) -> bool, first: bool, world: &World, turn: &mut Turn<'_>) {
        for index in 0..self.planned.follows.len() {
            let Some(follow) = self.planned.follows.get(index).filter(|follow| of(&follow.source)) else { continue };
            let Some(fact) = world.fact(&follow.source) else { continue };
            let (checker, source) = (follow.checker, follow.source.clone());
            let was_up = self.pool.is_up(checker).unwrap_or(fact.up);
            if was_up != fact.up || first {
                self.tell_fact(checker, &source, fact, turn);
                self.remember(checker, Verdict::about(&source, fact.up, turn.now), turn);
            }
            let mail = body_about(&source, fact);
            self.pool.learn(checker, fact, first, mail.as_ref());
            self.drain(turn);
        }
    }

    fn remember(&mut self, id: CheckerId, verdict: Verdict, turn: &mut Turn<'_>) {
        let owner = self.planned.members.values().find_map(|member| {
            member.checkers.iter().find(|(checker, _)| *checker == id).map(|(_, kind)| (&member.label, kind))
        });
        if let Some((label, kind)) = owner {
            let text = if verdict.up { format!("{kind} passes") } else { format!("{kind} fails: {}", verdict.reason) };
            turn.note(NoteKind::Check, format!("{} {label}", self.planned.label), text);
        }
        self.verdicts.insert(id, verdict);
    }

    fn tell_fact(&self, checker: CheckerId, source: &Source, fact: Fact, turn: &mut Turn<'_>) {
        let Some(label) = self.planned.label_of(checker) else { return };
        match source {
            Source::File { name, .. } => {
                let state = if fact.up { "leaving" } else { "now" };
                turn.log(format!("({label}): tracked file {name} {state} FAULT state"));
            }
            Source::Bfd { name } => {
                let state = if fact.up { "UP" } else { "DOWN" };
                turn.log(format!("BFD check of [{name}] RS({label}) is {state}"));
            }
        }
    }

    /// Takes the engine's count of connections that failed at a destination.
    pub(super) fn count_failures(&mut self, engine: ServiceId, server: SocketAddr, total: u64, turn: &mut Turn<'_>) {
        let before = self.failures.insert((engine, server), total);
        let fresh = before.map_or(0, |before| total.checked_sub(before).unwrap_or(total));
        let found = self.installed.iter().find(|(_, installed)| {
            let here = group::destination_of(&engine, &installed.config);
            SocketAddr::new(here.address, here.port) == server
        });
        let Some((Slot::Server(id), _)) = found else { return };
        let id = *id;
        let Some(rule) = self.planned.members.get(&id).and_then(|member| member.passive).filter(|_| fresh > 0) else {
            return;
        };
        let count = u32::try_from(fresh).unwrap_or(u32::MAX);
        if self.easing.failed(id, count, rule, turn.now) {
            self.suspend(id, rule, turn);
        }
    }

    /// The last one that serves goes on: a server in trouble is better than none.
    fn suspend(&mut self, id: ServerId, rule: Passive, turn: &mut Turn<'_>) {
        let serves = |(slot, installed): (&Slot, &Installed)| *slot != Slot::Server(id) && installed.shown > 0;
        let label = self.planned.members.get(&id).map_or("", |member| member.label.as_str());
        let (of, failures, window) = (&self.planned.label, rule.failures, rule.window.as_secs_f64());
        let why = format!("{failures} or more connections failed within {window} s");
        if !self.installed.iter().any(serves) {
            return turn.log(format!("Not suspending service {label} of VS {of}, the last that serves: {why}"));
        }
        let text = format!("Suspending service {label} of VS {of} for {} s: {why}", rule.suspend.as_secs_f64());
        turn.note(NoteKind::Traffic, format!("{of} {label}"), text.clone());
        turn.log(text);
        self.easing.suspend(id, turn.now + rule.suspend);
        self.show(Slot::Server(id), turn);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let drained = self.draining.iter().map(|draining| draining.until);
        drained.chain(self.easing.poll_timeout()).chain(self.orders.poll_timeout()).min()
    }

    /// True when a pause is over.
    pub(super) fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> bool {
        let full = |id| self.installed.get(&Slot::Server(id)).map_or(0, |installed| installed.config.weight);
        for (id, resumed) in self.easing.handle_timeout(full, turn.now) {
            if let (true, Some(member)) = (resumed, self.planned.members.get(&id)) {
                turn.log(format!("Resuming service {} of VS {}", member.label, self.planned.label));
            }
            self.show(Slot::Server(id), turn);
        }
        let (over, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.draining).into_iter().partition(|draining| draining.until <= turn.now);
        self.draining = rest;
        for Draining { installed, .. } in over {
            turn.log(format!("Drained service {} of VS {}", installed.label, self.planned.label));
            self.take_out(&installed, turn);
        }
        self.end_orders(turn)
    }

    /// The end of the daemon.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>) {
        for installed in self.installed.values_mut() {
            installed.drain = None;
        }
        self.pool.stop();
        self.drain(turn);
        self.leave_engine(turn);
    }

    pub(super) fn remove(mut self, turn: &mut Turn<'_>) {
        turn.log(format!("Removing Virtual Server {}", self.planned.label));
        self.installed.values_mut().for_each(|installed| installed.drain = None);
        self.pool.remove();
        self.drain(turn);
        self.leave_engine(turn);
    }

    /// Entries of a group that come and go, in keepalived's words.
    fn tell_group(&self, planned: &PlannedService, turn: &mut Turn<'_>) {
        let (Some((name, old)), Some((_, new))) = (&self.planned.group, &planned.group) else { return };
        for entry in old.iter().filter(|entry| !new.contains(entry)) {
            turn.log(format!("VS [{entry}] in group {name} no longer exists"));
        }
        for entry in new.iter().filter(|entry| !old.contains(entry)) {
            turn.log(format!("VS [{entry}] added into group {name}"));
        }
    }

    fn change_engines(&mut self, wanted: &[ServiceConfig], turn: &mut Turn<'_>) {
        let old: BTreeMap<ServiceId, &ServiceConfig> = self.planned.engines.iter().map(|e| (e.id, e)).collect();
        for new in wanted {
            match old.get(&new.id) {
                Some(old) if *old == new => {}
                Some(_) => turn.table(TableChange::EditService(new.clone())),
                None => {
                    turn.table(TableChange::AddService(new.clone()));
                    let places: BTreeSet<_> = self.installed.values().map(Installed::place).collect();
                    for shown in places.into_iter().filter_map(|place| self.standing_at(place)) {
                        turn.table(TableChange::AddDestination(new.id, group::destination_of(&new.id, &shown)));
                    }
                }
            }
        }
    }

    /// Destinations that stay in the table but have other options than before.
    fn refresh_destinations(&mut self, turn: &mut Turn<'_>) {
        let slots: Vec<Slot> = self.installed.keys().copied().collect();
        for slot in slots {
            let (Some(wanted), Some(installed)) = (self.wanted(slot), self.installed.get_mut(&slot)) else { continue };
            (installed.drain, installed.label) = (wanted.drain, wanted.label);
            let wanted = DestinationConfig { weight: installed.config.weight, ..wanted.config };
            if wanted != installed.config {
                installed.config = wanted;
                let place = installed.place();
                self.edit_place(place, turn);
            }
        }
    }

    fn leave_engine(&mut self, turn: &mut Turn<'_>) {
        self.planned.engines.iter().for_each(|engine| turn.table(TableChange::RemoveService(engine.id)));
        self.installed.clear();
        self.draining.clear();
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        while let Some(effect) = self.pool.poll_effect() {
            self.carry_out(effect, turn);
        }
    }

    fn carry_out(&mut self, effect: PoolEffect, turn: &mut Turn<'_>) {
        match effect {
            PoolEffect::AddServer { server, weight } => self.install(Slot::Server(server), weight, turn),
            PoolEffect::SetWeight { server, weight } => self.set_weight(Slot::Server(server), weight, turn),
            PoolEffect::RemoveServer { server } => self.uninstall(Slot::Server(server), turn),
            PoolEffect::AddSorry { weight } => self.install(Slot::Sorry, weight, turn),
            PoolEffect::SetSorryWeight { weight } => self.set_weight(Slot::Sorry, weight, turn),
            PoolEffect::RemoveSorry => self.uninstall(Slot::Sorry, turn),
            PoolEffect::ServerUp { server } => self.tell_server(server, true, turn),
            PoolEffect::ServerDown { server } => {
                self.easing.fell(server);
                self.tell_server(server, false, turn);
            }
            PoolEffect::ServerMail { server, up, changed, body } => self.mail_server(server, up, changed, body, turn),
            PoolEffect::QuorumUp { text } => self.tell_quorum(true, text, turn),
            PoolEffect::QuorumDown { text } => self.tell_quorum(false, text, turn),
            PoolEffect::Log(line) => turn.log(line),
        }
    }

    fn wanted(&self, slot: Slot) -> Option<Installed> {
        let of = |config: &DestinationConfig, label: &str, drain| Installed {
            config: config.clone(),
            shown: config.weight,
            label: label.to_owned(),
            drain,
        };
        match slot {
            Slot::Server(id) => {
                let member = self.planned.members.get(&id)?;
                Some(of(member.destination.as_ref()?, &member.label, member.drain))
            }
            Slot::Sorry => Some(of(self.planned.sorry.as_ref()?, "", None)),
        }
    }

    fn install(&mut self, slot: Slot, weight: u32, turn: &mut Turn<'_>) {
        let Some(mut wanted) = self.wanted(slot) else { return };
        wanted.config.weight = weight;
        wanted.shown = self.weight_to_show(slot, weight, turn.now);
        let place = wanted.place();
        let same = |other: &Draining| other.installed.place() == place;
        let returns = self.draining.iter().position(same).map(|index| self.draining.remove(index)).is_some();
        let shared = self.standing_at(place).is_some();
        self.installed.insert(slot, wanted);
        let Some(shown) = self.standing_at(place).filter(|_| !self.is_cut(slot)) else { return };
        if returns || shared { self.edit(&shown, turn) } else { self.put(&shown, turn) }
    }

    /// The destination at a place: where the sorry server is one of the servers, that with the larger weight.
    pub(super) fn standing_at(&self, place: SocketAddr) -> Option<DestinationConfig> {
        let here = self.installed.iter().filter(|(slot, installed)| installed.place() == place && !self.is_cut(**slot));
        here.map(|(_, installed)| installed).max_by_key(|installed| installed.shown).map(Installed::shown)
    }

    pub(super) fn sorry_stands_at(&self, place: SocketAddr) -> bool {
        self.installed.get(&Slot::Sorry).is_some_and(|sorry| sorry.place() == place)
    }

    fn set_weight(&mut self, slot: Slot, weight: u32, turn: &mut Turn<'_>) {
        let Some(installed) = self.installed.get_mut(&slot) else { return };
        installed.config.weight = weight;
        self.show(slot, turn);
    }

    /// Brings the weight in the table in line.
    pub(super) fn show(&mut self, slot: Slot, turn: &mut Turn<'_>) {
        let Some(full) = self.installed.get(&slot).map(|installed| installed.config.weight) else { return };
        let weight = self.weight_to_show(slot, full, turn.now);
        let Some(installed) = self.installed.get_mut(&slot).filter(|installed| installed.shown != weight) else {
            return;
        };
        installed.shown = weight;
        let place = installed.place();
        self.edit_place(place, turn);
    }

    fn edit_place(&self, place: SocketAddr, turn: &mut Turn<'_>) {
        if let Some(shown) = self.standing_at(place) {
            self.edit(&shown, turn);
        }
    }

    fn is_cut(&self, slot: Slot) -> bool {
        matches!(slot, Slot::Server(id) if self.orders.is_cut(id))
    }

    fn weight_to_show(&mut self, slot: Slot, full: u32, now: Instant) -> u32 {
        let Slot::Server(id) = slot else { return full };
        if full > 0 {
            let slow_start = self.planned.members.get(&id).and_then(|member| member.slow_start);
            self.easing.entered(id, slow_start, now);
        }
        let eased = self.easing.weight(id, full, now);
        // An order does not bring connections to a server that its checks have found dead.
        match self.orders.of(id) {
            Some(ordered) if self.is_alive(id) => ordered.weight,
            _ => eased,
        }
    }

    pub(super) fn is_alive(&self, id: ServerId) -> bool {
        self.pool.servers().any(|view| view.server == id && view.alive)
    }

    fn uninstall(&mut self, slot: Slot, turn: &mut Turn<'_>) {
        let Some(mut installed) = self.installed.remove(&slot) else { return };
        if self.is_cut(slot) {
            return;
        }
        if let Some(other) = self.standing_at(installed.place()) {
            return self.edit(&other, turn);
        }
        let Some(patience) = installed.drain.filter(|patience| !patience.is_zero()) else {
            return self.take_out(&installed, turn);
        };
        let (label, of) = (&installed.label, &self.planned.label);
        turn.log(format!("Draining service {label} of VS {of} for {} s", patience.as_secs_f64()));
        installed.shown = 0;
        self.edit(&installed.shown(), turn);
        self.draining.push(Draining { installed, until: turn.now + patience });
    }

    pub(super) fn put(&self, destination: &DestinationConfig, turn: &mut Turn<'_>) {
        self.each(turn, |id| TableChange::AddDestination(id, group::destination_of(&id, destination)));
    }

    pub(super) fn edit(&self, destination: &DestinationConfig, turn: &mut Turn<'_>) {
        self.each(turn, |id| TableChange::EditDestination(id, group::destination_of(&id, destination)));
    }

    pub(super) fn take_out(&self, installed: &Installed, turn: &mut Turn<'_>) {
        self.each(turn, |id| {
            let DestinationConfig { address, port, .. } = group::destination_of(&id, &installed.config);
            TableChange::RemoveDestination(id, SocketAddr::new(address, port))
        });
    }

    fn each(&self, turn: &mut Turn<'_>, change: impl Fn(ServiceId) -> TableChange) {
        self.planned.engines.iter().for_each(|engine| turn.table(change(engine.id)));
    }

    fn tell_server(&self, id: ServerId, up: bool, turn: &mut Turn<'_>) {
        let Some(member) = self.planned.members.get(&id) else { return };
        let script = if up { &member.notify_up } else { &member.notify_down };
        let (service, server) = (self.planned.label.clone(), member.label.clone());
        turn.tell(Event::Server { service, server, up, script: script.clone() });
    }

    fn mail_server(&self, id: ServerId, up: bool, changed: bool, body: String, turn: &mut Turn<'_>) {
        let wants = |member: &&Member| member.smtp_alert && (changed || !self.planned.only_changes_by_mail);
        let Some(member) = self.planned.members.get(&id).filter(wants) else { return };
        let (service, server) = (self.planned.label.clone(), member.label.clone());
        turn.tell(Event::ServerMail { service, server, up, body });
    }

    fn tell_quorum(&self, up: bool, body: String, turn: &mut Turn<'_>) {
        let script = if up { &self.planned.quorum_up } else { &self.planned.quorum_down };
        let service = self.planned.label.clone();
        turn.tell(Event::Quorum { service: service.clone(), up, script: script.clone() });
        if self.planned.smtp_alert {
            turn.tell(Event::QuorumMail { service, up, body });
        }
    }
}

/// keepalived mails about BFD but not about files.
fn body_about(source: &Source, fact: Fact) -> Option<String> {
    match source {
        Source::File { .. } => None,
        Source::Bfd { name } => {
            let outcome = if fact.up { "succeeded" } else { "failed" };
            Some(format!("=> BFD CHECK {name} {outcome} on service <="))
        }
    }
}
