//! The pool of one virtual server: which real servers are in the forwarding table, with which weight. Pure.
//!
//! Verdicts of checkers go in ([`Pool::handle`]), effects come out ([`Pool::poll_effect`]) in keepalived's order. Ask for effects
//! until `None` after every call that changes the pool, the construction included.

mod config;
mod quorum;
mod reload;
mod server;

pub use config::{Fact, PoolChecker, PoolConfig, ServerConfig, ServerId, SorryConfig};
pub use server::ServerView;

use crate::{CheckEvent, CheckerId};
use server::Server;
use std::collections::VecDeque;

/// What the daemon carries out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolEffect {
    /// The server enters the table.
    AddServer {
        /// Server.
        server: ServerId,
        /// Its weight there.
        weight: u32,
    },
    /// The server leaves the table.
    RemoveServer {
        /// Server.
        server: ServerId,
    },
    /// The weight of a server in the table changes; 0 takes no new connections.
    SetWeight {
        /// Server.
        server: ServerId,
        /// Its weight.
        weight: u32,
    },
    /// The sorry server enters the table.
    AddSorry {
        /// Its weight there.
        weight: u32,
    },
    /// The weight of the sorry server in the table changes (`sorry_server_inhibit`).
    SetSorryWeight {
        /// Its weight.
        weight: u32,
    },
    /// The sorry server leaves the table.
    RemoveSorry,
    /// Run `notify_up` and write the FIFO record.
    ServerUp {
        /// Server.
        server: ServerId,
    },
    /// Run `notify_down` and write the FIFO record.
    ServerDown {
        /// Server.
        server: ServerId,
    },
    /// Mail about a server, if it wants mails.
    ServerMail {
        /// Server.
        server: ServerId,
        /// The subject says UP (else DOWN).
        up: bool,
        /// The server's own state changed, not only that of one of its checkers (`no_checker_emails` wants only those).
        changed: bool,
        /// Body, with keepalived's arrows.
        body: String,
    },
    /// Run `quorum_up`, write the FIFO record, mail the text if the virtual server wants mails.
    QuorumUp {
        /// Body of the mail.
        text: String,
    },
    /// The same for `quorum_down`.
    QuorumDown {
        /// Body of the mail.
        text: String,
    },
    /// A log line.
    Log(String),
}

/// The pool of one virtual server.
#[derive(Debug, Clone)]
pub struct Pool {
    service: String,
    quorum: u32,
    hysteresis: u32,
    omega: bool,
    init_notifies: bool,
    sorry: Option<Sorry>,
    servers: Vec<Server>,
    quorum_up: bool,
    effects: VecDeque<PoolEffect>,
}

#[derive(Debug, Clone)]
struct Sorry {
    config: SorryConfig,
    in_table: bool,
    serving: bool,
}

impl Pool {
    /// Starts a pool: servers that are not in alpha mode enter the table at once, before any check.
    pub fn new(config: PoolConfig) -> Self {
        let mut pool = Self {
            service: config.service,
            quorum: config.quorum,
            hysteresis: config.hysteresis,
            omega: config.omega,
            init_notifies: config.init_notifies,
            sorry: config.sorry.map(Sorry::new),
            servers: config.servers.into_iter().map(Server::new).collect(),
            quorum_up: false,
            effects: VecDeque::new(),
        };
        for index in 0..pool.servers.len() {
            pool.admit(index);
        }
        pool.update_quorum(true);
        pool.prepare_inhibited_sorry();
        pool
    }

    /// Takes a checker's event. Returns whether the checker belongs to this pool.
    pub fn handle(&mut self, event: &CheckEvent) -> bool {
        let id = event.id();
        let Some(index) = self.servers.iter().position(|server| server.checkers.contains_key(&id)) else {
            return false;
        };
        match event {
            CheckEvent::Log { text, .. } => self.log(text.clone()),
            CheckEvent::Weight { weight, .. } => {
                self.change_weight(index, |server| server.ask_weight(id, *weight));
                self.update_quorum(false);
            }
            CheckEvent::Up { first, mail, .. } => self.verdict(index, id, true, *first, mail.as_ref()),
            CheckEvent::Down { first, mail, .. } => {
                // The weight that a program asked for ends with its verdict, without a word.
                self.with(index, |server| server.ask_weight(id, None));
                self.verdict(index, id, false, *first, mail.as_ref());
            }
        }
        true
    }

    /// Takes what a checker without attempts says; `mail` is the body about a change. Returns whether the checker belongs to
    /// this pool.
    pub fn learn(&mut self, id: CheckerId, fact: Fact, first: bool, mail: Option<&String>) -> bool {
        let Some((index, standing)) = self.standing(id) else { return false };
        match (standing.up, fact.up) {
            (true, true) => {
                self.change_weight(index, |server| server.set_shift(id, fact.shift));
                self.update_quorum(false);
            }
            // The weight of a server that does not serve changes without a word.
            (_, up) => self.with(index, |server| server.set_shift(id, if up { fact.shift } else { 0 })),
        }
        if first || standing.up != fact.up {
            self.verdict(index, id, fact.up, first, mail);
        }
        true
    }

    fn standing(&self, id: CheckerId) -> Option<(usize, server::Standing)> {
        let find = |(index, server): (usize, &Server)| Some((index, *server.checkers.get(&id)?));
        self.servers.iter().enumerate().find_map(find)
    }

    /// The next effect, oldest first.
    pub fn poll_effect(&mut self) -> Option<PoolEffect> {
        self.effects.pop_front()
    }

    /// Ends the pool: everything leaves the table; with `omega` the notifications for "down" are due, too.
    pub fn stop(&mut self) {
        if self.sorry.take().is_some_and(|sorry| sorry.in_table) {
            self.effect(PoolEffect::RemoveSorry);
        }
        for index in 0..self.servers.len() {
            self.dismiss(index, true);
        }
        self.quorum_up = false;
        if self.omega {
            self.effect(PoolEffect::QuorumDown { text: "=> Shutting down <=".to_owned() });
        }
    }

    /// Ends the pool because a reload took its virtual server away: everything leaves the table and is told about.
    pub fn remove(&mut self) {
        if self.sorry.take().is_some_and(|sorry| sorry.in_table) {
            self.effect(PoolEffect::RemoveSorry);
        }
        for index in 0..self.servers.len() {
            self.dismiss(index, false);
        }
        self.lose_all();
    }

    /// Whether the living servers' weights reach the quorum (hysteresis applied).
    pub fn has_quorum(&self) -> bool {
        self.quorum_up
    }

    /// Whether the sorry server serves.
    pub fn sorry_serves(&self) -> bool {
        self.sorry.as_ref().is_some_and(|sorry| sorry.serving)
    }

    /// The verdict of one checker; `None` where it does not belong to this pool.
    pub fn is_up(&self, id: CheckerId) -> Option<bool> {
        self.standing(id).map(|(_, standing)| standing.up)
    }

    /// The servers in the order of the file.
    pub fn servers(&self) -> impl Iterator<Item = ServerView<'_>> {
        self.servers.iter().map(Server::view)
    }

    /// First entry of a server.
    fn admit(&mut self, index: usize) {
        let Some(server) = self.servers.get(index) else { return };
        let (alive, inhibit) = (server.failed() == 0, server.config.inhibit_on_failure);
        self.with(index, |server| server.alive = alive);
        if alive {
            self.enter_table(index);
            if self.init_notifies {
                self.notify(index);
            }
        } else if inhibit && !self.sorry_serves() {
            self.set_in_table(index, 0);
        }
    }

    fn verdict(&mut self, index: usize, id: CheckerId, up: bool, first: bool, mail: Option<&String>) {
        let Some(server) = self.servers.get(index) else { return };
        let Some(standing) = server.checkers.get(&id).copied() else { return };
        let was_alive = server.alive;
        if standing.up == up {
            if first && (standing.alpha || !up) {
                self.notify(index);
            }
        } else {
            self.with(index, |server| server.set_standing(id, up));
            self.follow_checkers(index);
            self.update_quorum(false);
        }
        self.mail(index, was_alive, mail);
    }

    /// Brings the server's state in line with its checkers.
    fn follow_checkers(&mut self, index: usize) {
        let Some(server) = self.servers.get(index) else { return };
        let alive = server.failed() == 0;
        if alive == server.alive {
            return;
        }
        let line = server.transition_line(alive, &self.service);
        self.log(line);
        self.with(index, |server| server.alive = alive);
        if alive {
            self.enter_table(index);
        } else {
            self.leave_table(index);
        }
        self.notify(index);
    }

    /// A living server enters the table, unless the sorry server has it for itself.
    fn enter_table(&mut self, index: usize) {
        if self.sorry_serves() {
            return;
        }
        if let Some(server) = self.servers.get(index) {
            let weight = server.weight();
            self.set_in_table(index, weight);
        }
    }

    fn set_in_table(&mut self, index: usize, weight: u32) {
        let Some(server) = self.servers.get_mut(index) else { return };
        let (id, known) = (server.config.id, std::mem::replace(&mut server.in_table, true));
        self.effect(if known {
            PoolEffect::SetWeight { server: id, weight }
        } else {
            PoolEffect::AddServer { server: id, weight }
        });
    }

    fn leave_table(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else { return };
        let id = server.config.id;
        if !server.in_table {
            return;
        }
        if server.config.inhibit_on_failure {
            self.effect(PoolEffect::SetWeight { server: id, weight: 0 });
        } else {
            server.in_table = false;
            self.effect(PoolEffect::RemoveServer { server: id });
        }
    }

    fn change_weight(&mut self, index: usize, change: impl FnOnce(&mut Server)) {
        let Some(server) = self.servers.get_mut(index) else { return };
        let old = server.weight();
        change(server);
        let new = server.weight();
        if old == new {
            return;
        }
        let (id, name, alive, in_table) = (server.config.id, &server.config.name, server.alive, server.in_table);
        let active = if alive { "" } else { "in" };
        let line =
            format!("Changing weight from {old} to {new} for {active}active service {name} of VS {}", self.service);
        self.log(line);
        if in_table && alive && !self.sorry_serves() {
            self.effect(PoolEffect::SetWeight { server: id, weight: new });
        }
    }

    /// The server leaves for good.
    fn dismiss(&mut self, index: usize, stopping: bool) {
        let Some(server) = self.servers.get_mut(index) else { return };
        let (id, was_in_table) = (server.config.id, std::mem::take(&mut server.in_table));
        let line = server.dismissal_line(stopping, &self.service);
        let was_alive = std::mem::take(&mut server.alive);
        if was_in_table || stopping {
            self.log(line);
        }
        if was_in_table {
            self.effect(PoolEffect::RemoveServer { server: id });
        }
        if was_alive && (self.omega || !stopping) {
            self.notify(index);
            let body = if stopping { "=> Shutting down <=" } else { "=> Removing <=" };
            self.mail(index, true, Some(&body.to_owned()));
        }
    }

    fn notify(&mut self, index: usize) {
        let Some(server) = self.servers.get(index) else { return };
        let id = server.config.id;
        self.effect(if server.alive {
            PoolEffect::ServerUp { server: id }
        } else {
            PoolEffect::ServerDown { server: id }
        });
    }

    fn mail(&mut self, index: usize, was_alive: bool, body: Option<&String>) {
        let (Some(server), Some(body)) = (self.servers.get(index), body) else { return };
        let effect = PoolEffect::ServerMail {
            server: server.config.id,
            up: server.alive,
            changed: was_alive != server.alive,
            body: body.clone(),
        };
        self.effect(effect);
    }

    fn with(&mut self, index: usize, change: impl FnOnce(&mut Server)) {
        if let Some(server) = self.servers.get_mut(index) {
            change(server);
        }
    }

    fn log(&mut self, line: String) {
        self.effect(PoolEffect::Log(line));
    }

    fn effect(&mut self, effect: PoolEffect) {
        self.effects.push_back(effect);
    }
}

impl Sorry {
    fn new(config: SorryConfig) -> Self {
        Self { config, in_table: false, serving: false }
    }
}

#[cfg(test)]
mod tests;
