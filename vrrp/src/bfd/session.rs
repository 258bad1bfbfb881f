//! One session: RFC 5880 section 6.

use super::dice::Dice;
use super::packet::{Diagnostic, Packet, State};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// No interval of ours is shorter, so that no timer can spin.
const SHORTEST: Duration = Duration::from_millis(1);

/// One `bfd_instance`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Name, as log lines and trackers show it.
    pub name: String,
    /// The other end.
    pub neighbor: IpAddr,
    /// Address to send from.
    pub source: Option<IpAddr>,
    /// `min_rx`: packets are wanted no more often.
    pub min_rx: Duration,
    /// `min_tx`: how often packets are sent while up, at most.
    pub min_tx: Duration,
    /// `idle_tx`: how often packets are sent while not up.
    pub idle_tx: Duration,
    /// `multiplier`: missed packets until the other end counts us down, 1..=255.
    pub multiplier: u8,
    /// `passive`: say nothing before the other end does.
    pub passive: bool,
    /// `ttl` or `hoplimit`: of packets sent, and what those of the other end should start from.
    pub ttl: u8,
    /// `max_hops`: by how much a received TTL may be lower; `None` takes any.
    pub max_hops: Option<u8>,
    /// `multihop`: port 4784.
    pub multihop: bool,
}

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerReason {
    /// The detection time without a packet.
    Detection,
    /// The next packet.
    Transmit,
}

impl fmt::Display for TimerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detection => "end of the detection time",
            Self::Transmit => "next control packet",
        })
    }
}

/// Everything about one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Configuration.
    pub config: SessionConfig,
    /// Our state.
    pub state: State,
    /// Why it went down last.
    pub diagnostic: Diagnostic,
    /// State of the other end, as heard last.
    pub remote_state: State,
    /// The other end's diagnostic, as heard last.
    pub remote_diagnostic: Diagnostic,
    /// Our number of the session.
    pub discriminator: u32,
    /// The other end's; 0 while unknown.
    pub remote_discriminator: u32,
    /// Interval of our packets, before the jitter; `None` while there are none.
    pub transmit_interval: Option<Duration>,
    /// Detection time; zero before anything was heard.
    pub detection_time: Duration,
    /// Packets taken.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that were for this session and refused.
    pub refused: u64,
    /// When the state changed last.
    pub since: Instant,
}

/// A detection time that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The detection time.
    pub after: Duration,
    /// How late its end was noticed.
    pub overdue: Duration,
}

/// What a session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Send(Packet),
    Changed { from: State, expired: Option<Expired> },
}

#[derive(Debug, Clone, Copy)]
struct Remote {
    state: State,
    diagnostic: Diagnostic,
    discriminator: u32,
    min_tx: Duration,
    min_rx: Duration,
    multiplier: u8,
    demand: bool,
}

/// RFC 5880 section 6.8.1: before anything is heard, one microsecond stands for the other end's interval.
const UNHEARD: Remote = Remote {
    state: State::Down,
    diagnostic: Diagnostic::NONE,
    discriminator: 0,
    min_tx: Duration::ZERO,
    min_rx: Duration::from_micros(1),
    multiplier: 0,
    demand: false,
};

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) config: SessionConfig,
    pub(super) discriminator: u32,
    pub(super) refused: u64,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    polling: bool,
    transmit_at: Option<Instant>,
    expires_at: Option<Instant>,
    received: u64,
    sent: u64,
    since: Instant,
}

impl Session {
    pub(super) fn new(config: SessionConfig, dice: &mut Dice, now: Instant) -> Self {
        let mut session = Self {
            discriminator: dice.discriminator(),
            refused: 0,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: UNHEARD,
            polling: false,
            transmit_at: None,
            expires_at: None,
            received: 0,
            sent: 0,
            since: now,
            config,
        };
        session.schedule(now, dice);
        session
    }

    pub(super) fn deadline(&self) -> Option<(Instant, TimerReason)> {
        let expiry = self.expires_at.map(|at| (at, TimerReason::Detection));
        let transmission = self.transmit_at.map(|at| (at, TimerReason::Transmit));
        expiry.into_iter().chain(transmission).min()
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn diagnostics(&self) -> (Diagnostic, Diagnostic) {
        (self.diagnostic, self.remote.diagnostic)
    }

    /// Does one thing that is due.
    pub(super) fn fire(&mut self, reason: TimerReason, now: Instant, dice: &mut Dice, wishes: &mut Vec<Wish>) {
        match reason {
            TimerReason::Transmit => {
                self.transmit(false, wishes);
                self.schedule(now, dice);
            }
            TimerReason::Detection => self.expire(now, dice, wishes),
        }
    }

    /// RFC 5880 section 6.8.4: nothing came within the detection time.
    fn expire(&mut self, now: Instant, dice: &mut Dice, wishes: &mut Vec<Wish>) {
        let expired = self
            .expires_at
            .take()
            .map(|at| Expired { after: self.detection_time(), overdue: now.saturating_duration_since(at) });
        let was_heard = matches!(self.state, State::Init | State::Up);
        self.remote.discriminator = 0;
        self.remote.demand = false;
        if was_heard {
            self.diagnostic = Diagnostic::EXPIRED;
            self.enter(State::Down, expired, now, dice, wishes);
        }
        if self.config.passive {
            self.transmit_at = None;
        }
    }

    /// RFC 5880 section 6.8.6, from where the session is known.
    pub(super) fn receive(&mut self, packet: &Packet, now: Instant, dice: &mut Dice, wishes: &mut Vec<Wish>) {
        if self.state == State::AdminDown {
            self.refused += 1;
            return;
        }
        self.received += 1;
        let interval = self.interval();
        self.remote = Remote {
            state: packet.state,
            diagnostic: packet.diagnostic,
            discriminator: packet.my_discriminator,
            min_tx: packet.desired_min_tx,
            min_rx: packet.required_min_rx,
            multiplier: packet.multiplier,
            demand: packet.demand,
        };
        self.polling &= !packet.is_final;
        self.expires_at = now.checked_add(self.detection_time());
        self.follow(packet.state, now, dice, wishes);
        if self.transmit_at.is_none() || self.interval() != interval {
            self.schedule(now, dice);
        }
        if packet.poll {
            self.transmit(true, wishes);
        }
    }

    fn follow(&mut self, theirs: State, now: Instant, dice: &mut Dice, wishes: &mut Vec<Wish>) {
        let to = match (self.state, theirs) {
            (State::Down, State::Down) => State::Init,
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => State::Up,
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => State::Down,
            (same, _) => same,
        };
        if to == self.state {
            return;
        }
        self.diagnostic = if to == State::Down { Diagnostic::NEIGHBOR_DOWN } else { Diagnostic::NONE };
        self.enter(to, None, now, dice, wishes);
    }

    fn enter(&mut self, to: State, expired: Option<Expired>, now: Instant, dice: &mut Dice, wishes: &mut Vec<Wish>) {
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        // The interval changes from idle_tx to min_tx, which only a poll may do (section 6.8.3).
        self.polling = to == State::Up;
        wishes.push(Wish::Changed { from, expired });
        // Section 6.8.7: what differs from the last packet is said at once.
        if !self.is_silent() {
            self.transmit(false, wishes);
        }
        self.schedule(now, dice);
    }

    /// The end: told once, then nothing more.
    pub(super) fn end(&mut self, now: Instant, wishes: &mut Vec<Wish>) {
        let from = std::mem::replace(&mut self.state, State::AdminDown);
        if from == State::AdminDown {
            return;
        }
        (self.diagnostic, self.since) = (Diagnostic::ADMIN_DOWN, now);
        (self.transmit_at, self.expires_at, self.polling) = (None, None, false);
        wishes.push(Wish::Changed { from, expired: None });
        if self.remote.discriminator != 0 {
            self.transmit(false, wishes);
        }
    }

    /// Takes changed settings of the same session. While up a poll tells the other end.
    pub(super) fn update(&mut self, config: SessionConfig, now: Instant, dice: &mut Dice) {
        if self.config == config {
            return;
        }
        self.config = config;
        self.polling = self.state == State::Up;
        self.schedule(now, dice);
    }

    fn is_silent(&self) -> bool {
        self.config.passive && self.remote.discriminator == 0
    }

    /// Sections 6.8.2 and 6.8.7: the slower of what we want and what the other end takes; `None`: no periodic packets.
    fn interval(&self) -> Option<Duration> {
        let demanded = self.remote.demand && self.state == State::Up && self.remote.state == State::Up && !self.polling;
        let none = self.state == State::AdminDown || self.is_silent() || self.remote.min_rx.is_zero() || demanded;
        (!none).then(|| self.desired_min_tx().max(self.remote.min_rx))
    }

    fn desired_min_tx(&self) -> Duration {
        let wanted = if self.state == State::Up { self.config.min_tx } else { self.config.idle_tx };
        wanted.max(SHORTEST)
    }

    fn required_min_rx(&self) -> Duration {
        self.config.min_rx.max(SHORTEST)
    }

    /// Section 6.8.4.
    fn detection_time(&self) -> Duration {
        self.required_min_rx().max(self.remote.min_tx) * u32::from(self.remote.multiplier)
    }

    /// Section 6.8.7: the interval less 0 to 25 %, or 10 to 25 % where one missed packet is enough.
    fn schedule(&mut self, now: Instant, dice: &mut Dice) {
        let least = if self.config.multiplier == 1 { 100 } else { 0 };
        let jitter = dice.per_mille(least, 250);
        let wait = self.interval().map(|interval| interval * (1000 - jitter) / 1000);
        self.transmit_at = wait.and_then(|wait| now.checked_add(wait));
    }

    fn transmit(&mut self, is_final: bool, wishes: &mut Vec<Wish>) {
        self.sent += 1;
        wishes.push(Wish::Send(Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling && !is_final,
            is_final,
            demand: false,
            multiplier: self.config.multiplier.max(1),
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: self.required_min_rx(),
        }));
    }

    pub(super) fn view(&self) -> SessionView {
        SessionView {
            config: self.config.clone(),
            state: self.state,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            discriminator: self.discriminator,
            remote_discriminator: self.remote.discriminator,
            transmit_interval: self.interval(),
            detection_time: self.detection_time(),
            received: self.received,
            sent: self.sent,
            refused: self.refused,
            since: self.since,
        }
    }
}
