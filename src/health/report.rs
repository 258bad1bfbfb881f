//! Pools as those see them who ask.

use super::facts::Source;
use standfast_checkers::{CheckEvent, CheckerId, Tally};
use standfast_ipvs::{DestinationConfig, ServiceId};
use std::time::Instant;

/// A virtual server with its pool.
#[derive(Debug, Clone)]
pub struct ServiceReport {
    /// `[vip]:tcp:80`.
    pub service: String,
    /// The engine's services: several for a group.
    pub engines: Vec<ServiceId>,
    /// The quorum is there.
    pub quorum: bool,
    /// The weight that makes a quorum.
    pub needed: u32,
    /// `[ip]:tcp:80` of the sorry server.
    pub sorry: Option<String>,
    /// The sorry server serves.
    pub sorry_serves: bool,
    /// Real servers in file order.
    pub servers: Vec<ServerReport>,
}

/// A real server.
#[derive(Debug, Clone)]
pub struct ServerReport {
    /// `[rip]:tcp:80`.
    pub name: String,
    /// No check is down.
    pub alive: bool,
    /// The weight that it has, or would have, while alive.
    pub weight: u32,
    /// The weight in the table, which slow start, suspensions and orders make smaller; `None` when it is not there.
    pub shown: Option<u32>,
    /// What the engine knows it by, apart from the ports of groups.
    pub destination: Option<DestinationConfig>,
    /// It has left the pool and stays in the table until its connections have ended, at the latest until then.
    pub draining: Option<Instant>,
    /// `passive_health` keeps new connections away until then.
    pub suspended: Option<Instant>,
    /// The weight that a person ordered, and when the order ends or the server leaves the table.
    pub ordered: Option<(u32, Option<Instant>)>,
    /// The deadline of a drain has passed and the server has left the table.
    pub cut: bool,
    /// Its checks are paused; within, until when.
    pub paused: Option<Option<Instant>>,
    /// Its checks in file order.
    pub checks: Vec<CheckReport>,
}

/// A check of a real server.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// `TCP_CHECK`.
    pub kind: &'static str,
    /// What it counts as: without a verdict up, except in alpha mode.
    pub up: bool,
    /// Its latest verdict.
    pub verdict: Option<Verdict>,
    /// The checker.
    pub checker: CheckerId,
    /// What it has done; `None` for one that makes no attempts of its own, and where the pools are asked alone.
    pub tally: Option<Tally>,
}

/// What a check said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Up.
    pub up: bool,
    /// Why it is down; empty when it is up.
    pub reason: String,
    /// When the verdict was given.
    pub at: Instant,
}

impl Verdict {
    /// The verdict that an event gives, if it gives one.
    pub(super) fn of(event: &CheckEvent, at: Instant) -> Option<Self> {
        match event {
            CheckEvent::Up { .. } => Some(Self { up: true, reason: String::new(), at }),
            CheckEvent::Down { reason, .. } => Some(Self { up: false, reason: reason.clone(), at }),
            CheckEvent::Weight { .. } | CheckEvent::Log { .. } => None,
        }
    }

    /// The verdict of a check that follows something.
    pub(super) fn about(source: &Source, up: bool, at: Instant) -> Self {
        let reason = match source {
            _ if up => String::new(),
            Source::File { name, .. } => format!("the number of track_file {name} is a fault"),
            Source::Bfd { name } => format!("BFD session {name} is down"),
        };
        Self { up, reason, at }
    }
}
