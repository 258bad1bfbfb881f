//! Carries out what the sessions want, and tells them what happens.

use super::Report;
use super::socket::{Listener, Sender};
use crate::poller::{FIRST_SOCKET, Poller};
use standfast_vrrp::bfd::{Bfd, Datagram, Effect, SessionConfig, SessionView, State};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Instant;

/// Datagrams taken from one socket before the thread looks at its timers again.
const BATCH: usize = 64;
/// More than any control packet; what is longer is cut, and its length field tells.
const LARGEST: usize = 256;

pub(super) struct Shell {
    bfd: Bfd,
    report: Report,
    /// By family (IPv6?) and by multihop.
    listeners: BTreeMap<(bool, bool), (u64, Listener)>,
    senders: BTreeMap<Arc<str>, (SessionConfig, Sender)>,
    next: u64,
}

impl Shell {
    pub(super) fn new(report: Report) -> Self {
        let bfd = Bfd::new(RandomState::new().hash_one(()));
        Self { bfd, report, listeners: BTreeMap::new(), senders: BTreeMap::new(), next: FIRST_SOCKET }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.bfd.poll_timeout().map(|(deadline, _)| deadline)
    }

    pub(super) fn views(&self) -> Vec<SessionView> {
        self.bfd.views()
    }

    pub(super) fn configure(&mut self, sessions: Vec<SessionConfig>, poller: &Poller) {
        self.listen(&sessions, poller);
        let known: Vec<String> = self.bfd.views().into_iter().map(|view| view.config.name).collect();
        for fresh in sessions.iter().filter(|session| !known.contains(&session.name)) {
            (self.report)(&fresh.name, false);
        }
        self.bfd.configure(sessions.clone(), Instant::now());
        // Sessions that end say so through their old sockets.
        self.settle();
        let before = std::mem::take(&mut self.senders);
        for session in sessions {
            let name: Arc<str> = session.name.as_str().into();
            let old = before.get(&name).filter(|(config, _)| *config == session).map(|(_, sender)| sender.clone());
            let sender = old.unwrap_or_else(|| Sender::new(&session));
            self.senders.insert(name, (session, sender));
        }
    }

    /// Opens what is needed and not open, closes the rest.
    fn listen(&mut self, sessions: &[SessionConfig], poller: &Poller) {
        let kind = |session: &SessionConfig| (session.neighbor.is_ipv6(), session.multihop);
        self.listeners.retain(|known, _| sessions.iter().any(|session| kind(session) == *known));
        for wanted in sessions.iter().map(kind) {
            if self.listeners.contains_key(&wanted) {
                continue;
            }
            let opened = Listener::open(wanted.0, wanted.1).and_then(|listener| {
                poller.watch(&listener, self.next)?;
                Ok(listener)
            });
            match opened {
                Ok(listener) => drop(self.listeners.insert(wanted, (self.next, listener))),
                Err(error) => tracing::error!(target: "vrrp", "Unable to open a BFD listening socket: {error}"),
            }
            self.next += 1;
        }
    }

    pub(super) fn receive(&mut self, token: u64) {
        let found = self.listeners.iter().find(|(_, (own, _))| *own == token);
        let Some((&(_, multihop), (_, listener))) = found else { return };
        let mut buffer = [0; LARGEST];
        for _ in 0..BATCH {
            let Ok(incoming) = listener.receive(&mut buffer) else { return };
            let Some((source, ttl, length)) = incoming else { continue };
            let Some(payload) = buffer.get(..length) else { continue };
            self.bfd.receive(&Datagram { source, ttl, multihop, payload }, Instant::now());
        }
    }

    /// Does what is due and carries out every effect.
    pub(super) fn settle(&mut self) {
        let now = Instant::now();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.bfd.handle_timeout(now);
        }
        while let Some(effect) = self.bfd.poll_effect() {
            self.carry_out(effect);
        }
    }

    pub(super) fn stop(&mut self) {
        self.bfd.stop(Instant::now());
        self.settle();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { session, payload } => {
                if let Some((config, sender)) = self.senders.get_mut(&session) {
                    sender.send(config, &payload);
                }
            }
            Effect::Changed { ref session, from, to, .. } => {
                log(&effect);
                if (from == State::Up) != (to == State::Up) {
                    (self.report)(session, to == State::Up);
                }
            }
        }
    }
}

/// keepalived's words.
fn log(effect: &Effect) {
    let Effect::Changed { session, from, to, diagnostic, remote_diagnostic, expired } = effect else { return };
    if let (Some(expired), State::Up) = (expired, from) {
        let (after, overdue) = (expired.after.as_millis(), expired.overdue.as_micros());
        tracing::warn!(target: "vrrp", "({session}) Expired after {after} ms ({overdue} usec overdue)");
    }
    match to {
        State::Up => tracing::info!(target: "vrrp", "({session}) Entering {to} state"),
        State::AdminDown => tracing::warn!(target: "vrrp", "({session}) Entering {to} state"),
        State::Down if *from == State::Up => tracing::warn!(
            target: "vrrp",
            "({session}) Entering {to} state (Local diagnostic - {diagnostic}, Remote diagnostic - {remote_diagnostic})"
        ),
        _ => tracing::trace!(target: "vrrp", "({session}) Entering {to} state"),
    }
}
