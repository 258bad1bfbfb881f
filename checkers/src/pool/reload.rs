//! A pool takes a changed configuration by differences: what stays keeps its state and its place in the table.

use super::server::{Server, Standing};
use super::{Pool, PoolChecker, PoolConfig, PoolEffect, ServerConfig, Sorry, SorryConfig};
use std::collections::BTreeMap;

impl Pool {
    /// Takes a new configuration. Servers and checkers are matched by their identity; a checker that is new to a server
    /// that lives does not take it down before its first verdict.
    pub fn update(&mut self, config: PoolConfig) {
        self.service = config.service;
        self.quorum = config.quorum;
        self.hysteresis = config.hysteresis;
        self.omega = config.omega;
        self.init_notifies = config.init_notifies;
        self.remove_missing(&config.servers);
        self.change_sorry(config.sorry);
        self.take_servers(config.servers);
        self.update_quorum(false);
        self.call_sorry_if_needed();
        self.prepare_inhibited_sorry();
    }

    fn remove_missing(&mut self, wanted: &[ServerConfig]) {
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get(index) else { continue };
            if wanted.iter().any(|config| config.id == server.config.id) {
                continue;
            }
            let line = format!("service {} no longer exist", server.config.name);
            self.log(line);
            self.dismiss(index, false);
        }
    }

    fn change_sorry(&mut self, wanted: Option<SorryConfig>) {
        if self.sorry.as_ref().map(|sorry| &sorry.config) == wanted.as_ref() {
            return;
        }
        let previous = std::mem::replace(&mut self.sorry, wanted.map(Sorry::new));
        let Some(previous) = previous.filter(|sorry| sorry.in_table) else { return };
        self.log(format!("Removing sorry server {} from VS {}", previous.config.name, self.service));
        self.effect(PoolEffect::RemoveSorry);
        if previous.serving {
            self.restore_living();
        }
    }

    /// The living servers return at once if nobody serves in their place.
    fn restore_living(&mut self) {
        for index in 0..self.servers.len() {
            if self.servers.get(index).is_some_and(|server| server.alive) {
                self.enter_table(index);
            }
        }
    }

    fn take_servers(&mut self, wanted: Vec<ServerConfig>) {
        let mut known: BTreeMap<_, _> =
            std::mem::take(&mut self.servers).into_iter().map(|server| (server.config.id, server)).collect();
        for config in wanted {
            match known.remove(&config.id) {
                Some(server) => self.keep_server(server, config),
                None => {
                    self.servers.push(Server::new(config));
                    self.admit(self.servers.len() - 1);
                }
            }
        }
    }

    fn keep_server(&mut self, server: Server, config: ServerConfig) {
        self.servers.push(server);
        let index = self.servers.len() - 1;
        self.change_weight(index, |server| server.take_config(config));
        self.follow_checkers(index);
        self.follow_inhibition(index);
    }

    /// A server that does not serve enters or leaves the table as `inhibit_on_failure` came or went.
    fn follow_inhibition(&mut self, index: usize) {
        let Some(server) = self.servers.get(index) else { return };
        let (serves, inhibit) = (server.alive && !self.sorry_serves(), server.config.inhibit_on_failure);
        if serves || server.in_table == inhibit {
            return;
        }
        if inhibit {
            self.set_in_table(index, 0);
        } else {
            self.leave_table(index);
        }
    }

    /// The quorum was down already, without a sorry server, and there is one now.
    fn call_sorry_if_needed(&mut self) {
        if !self.quorum_up && self.sorry.is_some() && !self.sorry_serves() {
            self.update_quorum(true);
        }
    }
}

impl Server {
    fn take_config(&mut self, config: ServerConfig) {
        let failed = self.failed() > 0;
        self.checkers = config.checkers.iter().map(|checker| (checker.id, self.standing_of(checker, failed))).collect();
        self.config = config;
    }

    fn standing_of(&self, checker: &PoolChecker, failed: bool) -> Standing {
        match self.checkers.get(&checker.id) {
            Some(standing) => Standing { alpha: checker.alpha, ..*standing },
            None if checker.known.is_some() => Standing::new(checker),
            None => Standing { up: !(checker.alpha && failed), ..Standing::new(checker) },
        }
    }
}
