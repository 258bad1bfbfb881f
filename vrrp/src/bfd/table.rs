//! All sessions of one host.

use super::dice::Dice;
use super::packet::{Diagnostic, LENGTH, Packet, State};
use super::session::{Expired, Session, SessionConfig, SessionView, TimerReason, Wish};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A received UDP datagram.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// IP source.
    pub source: IpAddr,
    /// TTL or hop limit, where the socket tells it.
    pub ttl: Option<u8>,
    /// Whether it came in on port 4784.
    pub multihop: bool,
    /// UDP payload.
    pub payload: &'a [u8],
}

/// Something to be done by the caller, in the order in which effects come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a packet to port 3784, or to 4784 where `multihop`, from a port within [`SOURCE_PORTS`](super::SOURCE_PORTS)
    /// that stays the same for the session.
    Send {
        /// Which session.
        session: Arc<str>,
        /// UDP payload.
        payload: [u8; LENGTH],
    },
    /// A session changed its state.
    Changed {
        /// Which session.
        session: Arc<str>,
        /// State before.
        from: State,
        /// State after.
        to: State,
        /// Why, where it went down.
        diagnostic: Diagnostic,
        /// What the other end said last.
        remote_diagnostic: Diagnostic,
        /// Where the detection time ran out.
        expired: Option<Expired>,
    },
}

/// All sessions of one host.
///
/// After every call drain [`Bfd::poll_effect`], then ask [`Bfd::poll_timeout`] again. Hand in the datagrams that wait in
/// the sockets **before** calling [`Bfd::handle_timeout`], so that a late wake-up takes no session for dead whose packets
/// are already there.
#[derive(Debug)]
pub struct Bfd {
    sessions: BTreeMap<u32, (Arc<str>, Session)>,
    order: Vec<u32>,
    queue: BTreeSet<(Instant, TimerReason, u32)>,
    effects: VecDeque<Effect>,
    next_id: u32,
    dice: Dice,
}

impl Bfd {
    /// No sessions yet. The seed decides jitter and discriminators.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            order: Vec::new(),
            queue: BTreeSet::new(),
            effects: VecDeque::new(),
            next_id: 0,
            dice: Dice::new(seed),
        }
    }

    /// Takes sessions in file order. One of the same name, ends and kind goes on; others end, and tell so.
    pub fn configure(&mut self, configs: Vec<SessionConfig>, now: Instant) {
        let before = std::mem::take(&mut self.order);
        for config in configs {
            let same = before.iter().copied().find(|id| self.is_same(*id, &config));
            let id = same.unwrap_or_else(|| self.add(config.clone(), now));
            self.with(id, |session, dice, _| session.update(config, now, dice));
            self.order.push(id);
        }
        for id in before.into_iter().filter(|id| !self.order.contains(id)).collect::<Vec<_>>() {
            self.with(id, |session, _, wishes| session.end(now, wishes));
            self.sessions.remove(&id);
        }
    }

    /// Ends all sessions: their other ends are told.
    pub fn stop(&mut self, now: Instant) {
        for id in self.order.clone() {
            self.with(id, |session, _, wishes| session.end(now, wishes));
        }
    }

    /// A datagram came in. What is no packet for a session of ours is dropped; `false` says so.
    pub fn receive(&mut self, datagram: &Datagram<'_>, now: Instant) -> bool {
        let Ok(packet) = Packet::parse(datagram.payload) else { return false };
        let Some(id) = self.addressee(&packet, datagram) else { return false };
        let accepted = self.sessions.get(&id).is_some_and(|(_, session)| is_near(&session.config, datagram.ttl));
        self.with(id, |session, dice, wishes| match accepted {
            true => session.receive(&packet, now, dice, wishes),
            false => session.refused += 1,
        });
        accepted
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, reason, id)) = self.queue.first().copied().filter(|(deadline, ..)| *deadline <= now) {
            self.with(id, |session, dice, wishes| session.fire(reason, now, dice, wishes));
        }
    }

    /// When to call [`Bfd::handle_timeout`] next, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimerReason)> {
        self.queue.first().map(|(deadline, reason, _)| (*deadline, *reason))
    }

    /// The next thing to be done by the caller.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Every session in file order.
    #[must_use]
    pub fn views(&self) -> Vec<SessionView> {
        self.order.iter().filter_map(|id| self.sessions.get(id)).map(|(_, session)| session.view()).collect()
    }

    fn is_same(&self, id: u32, config: &SessionConfig) -> bool {
        let identity = |config: &SessionConfig| (config.name.clone(), config.neighbor, config.source, config.multihop);
        self.sessions.get(&id).is_some_and(|(_, session)| identity(&session.config) == identity(config))
    }

    fn add(&mut self, config: SessionConfig, now: Instant) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let name = config.name.as_str().into();
        let mut session = Session::new(config, &mut self.dice, now);
        while self.sessions.values().any(|(_, other)| other.discriminator == session.discriminator) {
            session.discriminator = self.dice.discriminator();
        }
        self.queue.extend(session.deadline().map(|(at, reason)| (at, reason, id)));
        self.sessions.insert(id, (name, session));
        id
    }

    /// RFC 5880 section 6.8.6: by our discriminator, or by the sender while that is unknown. Nobody else's address may speak
    /// for the neighbor.
    fn addressee(&self, packet: &Packet, datagram: &Datagram<'_>) -> Option<u32> {
        let is_meant = |session: &Session| {
            session.config.neighbor == datagram.source
                && session.config.multihop == datagram.multihop
                && (packet.your_discriminator == 0 || packet.your_discriminator == session.discriminator)
        };
        self.order.iter().copied().find(|id| self.sessions.get(id).is_some_and(|(_, session)| is_meant(session)))
    }

    /// Lets one session act and keeps the queue right.
    fn with(&mut self, id: u32, act: impl FnOnce(&mut Session, &mut Dice, &mut Vec<Wish>)) {
        let Some((name, session)) = self.sessions.get_mut(&id) else { return };
        let (before, mut wishes) = (session.deadline(), Vec::new());
        act(session, &mut self.dice, &mut wishes);
        let after = session.deadline();
        if before != after {
            if let Some((at, reason)) = before {
                self.queue.remove(&(at, reason, id));
            }
            self.queue.extend(after.map(|(at, reason)| (at, reason, id)));
        }
        let (diagnostic, remote_diagnostic) = session.diagnostics();
        let to = session.state();
        self.effects.extend(wishes.into_iter().map(|wish| {
            let session = Arc::clone(name);
            match wish {
                Wish::Send(packet) => Effect::Send { session, payload: packet.encode() },
                Wish::Changed { from, expired } => {
                    Effect::Changed { session, from, to, diagnostic, remote_diagnostic, expired }
                }
            }
        }));
    }
}

/// RFC 5881 section 5: a packet that lost more of its TTL than allowed comes from afar.
fn is_near(config: &SessionConfig, ttl: Option<u8>) -> bool {
    match (config.max_hops, ttl) {
        (Some(hops), Some(ttl)) => ttl >= config.ttl.saturating_sub(hops),
        _ => true,
    }
}
