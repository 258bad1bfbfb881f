//! What a person asks of a virtual server: what it does, and that it does otherwise.

use super::effect::NoteKind;
use super::ids::kind_makes_attempts;
use super::orders::{Due, ServerAction, ServerOrder};
use super::plan::Member;
use super::report::{CheckReport, ServerReport, ServiceReport};
use super::service::{Service, Slot, Turn};
use standfast_checkers::CheckerId;
use standfast_checkers::pool::{ServerId, ServerView};
use standfast_ipvs::ServiceId;
use std::net::SocketAddr;

impl Service {
    /// Everything about the pool.
    pub(super) fn report(&self) -> ServiceReport {
        ServiceReport {
            service: self.planned.label.clone(),
            engines: self.planned.engines.iter().map(|engine| engine.id).collect(),
            quorum: self.pool.has_quorum(),
            needed: self.planned.pool.quorum,
            sorry: self.planned.pool.sorry.as_ref().map(|sorry| sorry.name.clone()),
            sorry_serves: self.pool.sorry_serves(),
            servers: self.pool.servers().map(|view| self.report_server(&view)).collect(),
        }
    }

    fn report_server(&self, view: &ServerView<'_>) -> ServerReport {
        let id = view.server;
        let member = self.planned.members.get(&id);
        let installed = self.installed.get(&Slot::Server(id)).filter(|_| !self.orders.is_cut(id));
        let draining = self.draining.iter().find(|draining| draining.installed.label == view.name);
        ServerReport {
            name: view.name.to_owned(),
            alive: view.alive,
            weight: view.weight,
            shown: installed.map(|installed| installed.shown),
            destination: member.and_then(|member| member.destination.clone()),
            draining: draining.map(|draining| draining.until),
            suspended: self.easing.suspended(id),
            ordered: self.orders.of(id).map(|ordered| (ordered.weight, ordered.until.or(ordered.cut))),
            cut: self.orders.is_cut(id),
            paused: self.orders.paused(id),
            checks: member.map(|member| self.report_checks(member)).unwrap_or_default(),
        }
    }

    fn report_checks(&self, member: &Member) -> Vec<CheckReport> {
        let report = |(id, kind): &(CheckerId, &'static str)| CheckReport {
            kind,
            up: self.pool.is_up(*id).unwrap_or(false),
            verdict: self.verdicts.get(id).cloned(),
            checker: *id,
            tally: None,
        };
        member.checkers.iter().map(report).collect()
    }

    /// Whether a person means this virtual server by a name; no name means all.
    pub(super) fn is_called(&self, name: Option<&str>) -> bool {
        let Some(name) = name else { return true };
        let socket: Option<SocketAddr> = name.parse().ok();
        let serves = |id: ServiceId| match id {
            ServiceId::Address(key) => Some(SocketAddr::new(key.address, key.port)) == socket,
            ServiceId::Fwmark(mark) => name.parse() == Ok(mark),
        };
        self.planned.label == name
            || self.planned.group.as_ref().is_some_and(|(group, _)| group == name)
            || self.planned.engines.iter().any(|engine| serves(engine.id))
    }

    /// `10.1.0.1:80` of every real server.
    pub(super) fn server_names(&self) -> Vec<String> {
        self.planned.members.values().filter_map(Member::socket).map(|socket| socket.to_string()).collect()
    }

    /// Carries an order out; a sentence for each server that it concerned.
    pub(super) fn obey(&mut self, order: &ServerOrder, turn: &mut Turn<'_>) -> Vec<String> {
        let meant = self.planned.members.iter().filter(|(_, member)| member.socket() == Some(order.server));
        let meant: Vec<ServerId> = meant.map(|(id, _)| *id).collect();
        meant.into_iter().map(|id| self.obey_one(id, &order.action, turn)).collect()
    }

    fn obey_one(&mut self, id: ServerId, action: &ServerAction, turn: &mut Turn<'_>) -> String {
        let was_cut = self.orders.is_cut(id);
        let said = match *action {
            ServerAction::Drain { deadline } => {
                self.orders.drain(id, deadline, turn.now);
                match deadline {
                    Some(deadline) => {
                        format!("no new connections, the last ones are given up after {} s", deadline.as_secs_f64())
                    }
                    None => "no new connections".to_owned(),
                }
            }
            ServerAction::Weight { weight, lasts } => {
                self.orders.weigh(id, weight, lasts, turn.now);
                let lasts = lasts.map_or_else(String::new, |lasts| format!(" for {} s", lasts.as_secs_f64()));
                format!("weight {weight}{lasts}")
            }
            ServerAction::Undo if self.orders.undo(id) => "back to its configured weight".to_owned(),
            ServerAction::Undo => "nothing was ordered".to_owned(),
            ServerAction::Pause { lasts } => {
                self.orders.pause(id, lasts, turn.now);
                let lasts = lasts.map_or_else(String::new, |lasts| format!(" for {} s", lasts.as_secs_f64()));
                format!("its checks pause{lasts}")
            }
            ServerAction::Resume if self.orders.resume(id) => "its checks go on".to_owned(),
            ServerAction::Resume => "its checks were not paused".to_owned(),
        };
        self.bring_back(id, was_cut, turn);
        self.show(Slot::Server(id), turn);
        self.tell_order(id, &said, turn)
    }

    /// A server that had been cut returns to the table.
    fn bring_back(&mut self, id: ServerId, was_cut: bool, turn: &mut Turn<'_>) {
        if let Some(installed) = self.installed.get(&Slot::Server(id)).filter(|_| was_cut && !self.orders.is_cut(id)) {
            let place = installed.place();
            match self.standing_at(place) {
                Some(shown) if self.sorry_stands_at(place) => self.edit(&shown, turn),
                _ => self.put(&installed.shown(), turn),
            }
        }
    }

    fn tell_order(&self, id: ServerId, said: &str, turn: &mut Turn<'_>) -> String {
        let label = self.planned.members.get(&id).map_or("", |member| member.label.as_str());
        let weight = self.installed.get(&Slot::Server(id)).map(|installed| installed.shown);
        let standing = match weight {
            Some(weight) if !self.orders.is_cut(id) => format!("weight {weight} in the table"),
            _ => "not in the table".to_owned(),
        };
        turn.note(NoteKind::Order, format!("{} {label}", self.planned.label), said.to_owned());
        let sentence = format!("service {label} of VS {}: {said} ({standing})", self.planned.label);
        turn.log(format!("Ordered: {sentence}"));
        sentence
    }

    /// Does what the time of orders brings; true when a pause is over.
    pub(super) fn end_orders(&mut self, turn: &mut Turn<'_>) -> bool {
        let due = self.orders.handle_timeout(turn.now);
        for end in &due {
            let (id, said) = match *end {
                Due::Cut(id) => (id, "the deadline has passed, its last connections are given up"),
                Due::Over(id) => (id, "the time is over, back to its configured weight"),
                Due::Resumed(id) => (id, "the pause is over, its checks go on"),
            };
            match (end, self.installed.get(&Slot::Server(id))) {
                (Due::Cut(_), Some(installed)) => match self.standing_at(installed.place()) {
                    Some(other) => self.edit(&other, turn),
                    None => self.take_out(installed, turn),
                },
                _ => self.show(Slot::Server(id), turn),
            }
            self.tell_order(id, said, turn);
        }
        due.iter().any(|due| matches!(due, Due::Resumed(_)))
    }

    /// The checkers that make attempts, and whether they may: `runs` is what `ha_suspend` says.
    pub(super) fn permits(&self, runs: bool) -> impl Iterator<Item = (CheckerId, bool)> + '_ {
        self.planned.members.iter().flat_map(move |(id, member)| {
            let runs = runs && self.orders.paused(*id).is_none();
            let attempting = member.checkers.iter().filter(|(_, kind)| kind_makes_attempts(kind));
            attempting.map(move |(checker, _)| (*checker, runs))
        })
    }
}
