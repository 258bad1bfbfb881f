//! BFD sessions and who hears of them.

use super::Outbox;
use crate::bfd::{self, Handle};
use crate::scheduling::Scheduling;
use standfast_parser::model::{BfdInstance, Config};
use standfast_vrrp::bfd::{SessionConfig, SessionView};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// The thread, once there was a session, and what every session was told to be last.
#[derive(Default)]
pub(super) struct Sessions {
    thread: Option<Handle>,
    up: BTreeMap<String, bool>,
}

impl Sessions {
    /// Brings the sessions in line with a configuration.
    pub(super) fn apply(&mut self, wanted: Vec<SessionConfig>, scheduling: Scheduling, outbox: &Outbox) {
        self.up.retain(|name, _| wanted.iter().any(|session| session.name == *name));
        for session in &wanted {
            self.up.entry(session.name.clone()).or_insert(false);
        }
        match &self.thread {
            Some(thread) => thread.configure(wanted),
            None if wanted.is_empty() => {}
            None => self.start(wanted, scheduling, outbox),
        }
    }

    fn start(&mut self, wanted: Vec<SessionConfig>, scheduling: Scheduling, outbox: &Outbox) {
        let events = outbox.sessions.clone();
        // Nobody listens any more only while the daemon ends.
        let report: bfd::Report = Arc::new(move |name, up| drop(events.send((name.to_owned(), up))));
        match bfd::start(wanted, scheduling, report) {
            Ok(thread) => self.thread = Some(thread),
            Err(problem) => error!(target: "vrrp", "Cannot start BFD: {problem}"),
        }
    }

    /// Remembers what a session has become.
    pub(super) fn take(&mut self, name: &str, up: bool) {
        if let Some(known) = self.up.get_mut(name) {
            *known = up;
        }
    }

    /// What VRRP is to know before its first election. A session that is not up yet is down.
    pub(super) fn verdicts(&self, config: &Config) -> Vec<(TrackerName, TrackerStatus)> {
        self.heard(config, |session| session.vrrp).map(|(name, up)| verdict(name, up)).collect()
    }

    /// What the checkers are to know.
    pub(super) fn of_checkers(&self, config: &Config) -> Vec<(String, bool)> {
        self.heard(config, |session| session.checker).map(|(name, up)| (name.to_owned(), up)).collect()
    }

    fn heard<'a>(
        &'a self,
        config: &'a Config,
        by: impl Fn(&BfdInstance) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a str, bool)> {
        let sessions = config.bfd_instances.iter().filter(move |session| by(session));
        sessions.filter_map(|session| Some((session.name.as_str(), *self.up.get(&session.name)?)))
    }

    /// Every session; none where there is no thread.
    pub(super) fn views(&self) -> impl Future<Output = Vec<SessionView>> + use<> {
        let asked = self.thread.as_ref().map(Handle::views);
        async {
            match asked {
                Some(asked) => asked.await,
                None => Vec::new(),
            }
        }
    }

    /// Tells the neighbors; false when that takes longer than `patience`.
    pub(super) async fn stop(self, patience: Duration) -> bool {
        match self.thread {
            Some(thread) => thread.stop(patience).await,
            None => true,
        }
    }
}

/// A session as a tracker of VRRP.
pub(super) fn verdict(name: &str, up: bool) -> (TrackerName, TrackerStatus) {
    (TrackerName::Bfd(name.to_owned()), if up { TrackerStatus::Up } else { TrackerStatus::Down })
}
