//! A real server as its pool knows it.

use super::{Fact, PoolChecker, ServerConfig, ServerId};
use crate::CheckerId;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) config: ServerConfig,
    /// No checker is down.
    pub(super) alive: bool,
    pub(super) in_table: bool,
    pub(super) checkers: BTreeMap<CheckerId, Standing>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) alpha: bool,
    pub(super) up: bool,
    pub(super) weight: Option<i32>,
    pub(super) shift: i32,
}

/// A server as seen by dumps and statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerView<'a> {
    /// Server.
    pub server: ServerId,
    /// `[ip]:proto:port`.
    pub name: &'a str,
    /// No checker is down.
    pub alive: bool,
    /// It is in the table (perhaps with weight 0).
    pub in_table: bool,
    /// Weight that it has, or would have, while alive.
    pub weight: u32,
    /// Checkers whose verdict is down.
    pub failed_checkers: usize,
}

impl Server {
    pub(super) fn new(config: ServerConfig) -> Self {
        let checkers = config.checkers.iter().map(|checker| (checker.id, Standing::new(checker))).collect();
        Self { config, alive: false, in_table: false, checkers }
    }

    pub(super) fn failed(&self) -> usize {
        self.checkers.values().filter(|checker| !checker.up).count()
    }

    /// The configured weight moved by what each checker asks for, within what the kernel takes.
    pub(super) fn weight(&self) -> u32 {
        let configured = i64::from(self.config.weight);
        let asked = self.checkers.values().filter_map(|checker| checker.weight);
        let shifts: i64 = self.checkers.values().map(|checker| i64::from(checker.shift)).sum();
        let moved = shifts + asked.map(|asked| i64::from(asked) - configured).sum::<i64>();
        u32::try_from((configured + moved).clamp(0, i64::from(i32::MAX))).unwrap_or(0)
    }

    pub(super) fn ask_weight(&mut self, id: CheckerId, weight: Option<i32>) {
        if let Some(checker) = self.checkers.get_mut(&id) {
            checker.weight = weight;
        }
    }

    pub(super) fn set_shift(&mut self, id: CheckerId, shift: i32) {
        if let Some(checker) = self.checkers.get_mut(&id) {
            checker.shift = shift;
        }
    }

    pub(super) fn set_standing(&mut self, id: CheckerId, up: bool) {
        if let Some(checker) = self.checkers.get_mut(&id) {
            checker.up = up;
        }
    }

    pub(super) fn transition_line(&self, up: bool, service: &str) -> String {
        let (verb, preposition) = match (self.config.inhibit_on_failure, up) {
            (true, true) => ("Enabling", "of"),
            (true, false) => ("Disabling", "of"),
            (false, true) => ("Adding", "to"),
            (false, false) => ("Removing", "from"),
        };
        format!("{verb} service {} {preposition} VS {service}", self.config.name)
    }

    pub(super) fn dismissal_line(&self, stopping: bool, service: &str) -> String {
        let verb = if stopping { "Shutting down" } else { "Removing" };
        let inhibited = if self.config.inhibit_on_failure && !self.alive { "(inhibited) " } else { "" };
        format!("{verb} {inhibited}service {} from VS {service}", self.config.name)
    }

    pub(super) fn view(&self) -> ServerView<'_> {
        ServerView {
            server: self.config.id,
            name: &self.config.name,
            alive: self.alive,
            in_table: self.in_table,
            weight: self.weight(),
            failed_checkers: self.failed(),
        }
    }
}

impl Standing {
    pub(super) fn new(checker: &PoolChecker) -> Self {
        match checker.known {
            Some(Fact { up, shift }) => {
                Self { alpha: checker.alpha, up, weight: None, shift: if up { shift } else { 0 } }
            }
            None => Self { alpha: checker.alpha, up: !checker.alpha, weight: None, shift: 0 },
        }
    }
}
