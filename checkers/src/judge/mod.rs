//! How attempts become verdicts: retries, delays, alpha mode, recovery. Pure: instants and dice are arguments.
//!
//! The rules are keepalived 2.2.7's, kind by kind, because they differ: TCP and HTTP count a delay from the end of an
//! attempt, MISC from its start; HTTP wants another full round after a failed URL has passed; one failure is enough for
//! a first verdict.

mod http;
mod misc;
mod plain;

use crate::{CheckEvent, CheckerId, script};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// keepalived starts no check in its first second.
const BOOTSTRAP_DELAY: Duration = Duration::from_secs(1);

/// The options that decide about timing and patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgeSettings {
    /// `delay_loop`: pause between two regular attempts.
    pub delay_loop: Duration,
    /// `retry`: attempts after a first failed one until the verdict is down, so N + 1 attempts in all.
    pub retry: u32,
    /// `delay_before_retry`: pause before such an attempt.
    pub delay_before_retry: Duration,
    /// `warmup`: the first attempt comes at random within this time, after one second.
    pub warmup: Duration,
    /// `alpha`: down until the first success.
    pub alpha: bool,
    /// `log_all_failures`, or the global `checker_log_all_failures`: failed attempts are logged, not only verdicts.
    pub log_all_failures: bool,
}

/// What is judged; carries the words that log lines need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgeKind {
    /// `TCP_CHECK`.
    Tcp,
    /// `HTTP_GET` and `SSL_GET`.
    Http {
        /// Paths of the URLs, in turn.
        paths: Vec<String>,
        /// `fast_recovery`.
        fast_recovery: bool,
    },
    /// `MISC_CHECK`.
    Misc {
        /// The program for log lines.
        program: String,
        /// `misc_dynamic`.
        dynamic: bool,
    },
    /// `SMTP_CHECK`.
    Smtp,
    /// `DNS_CHECK`.
    Dns,
    /// `UDP_CHECK`.
    Udp,
    /// `PING_CHECK`.
    Ping,
    /// `GRPC_CHECK`.
    Grpc,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The server answered as it should.
    Passed,
    /// The URL answered as it should.
    HttpPassed(Evidence),
    /// It did not.
    Failed(Fault),
    /// The program of a MISC_CHECK has ended.
    Script(script::Outcome),
    /// The attempt could not be made for a reason on this side; nothing is known about the server.
    Unjudged(String),
}

/// The strictest thing that an HTTP answer was measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Only the status code.
    Status,
    /// The digest of the body.
    Digest,
    /// An expression that the body matches, or does not match, as it should.
    Pattern,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// keepalived's words for it, a part of its log lines (`Timeout connecting`).
    pub phrase: Cow<'static, str>,
    /// What happened, for people.
    pub detail: String,
}

impl Fault {
    /// A fault with keepalived's words and our own.
    pub fn new(phrase: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { phrase: phrase.into(), detail: detail.into() }
    }
}

/// A step of a checker's verdict. Order matters and is keepalived's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// A log line.
    Log(String),
    /// Another weight, or `None` for the configured one.
    Weight(Option<i32>),
    /// Up; `first` if it is the first verdict, `mail` is the body that keepalived would send.
    Up {
        /// First verdict.
        first: bool,
        /// Mail body.
        mail: Option<String>,
    },
    /// Down.
    Down {
        /// First verdict.
        first: bool,
        /// Why the last attempt failed.
        reason: String,
        /// Mail body.
        mail: Option<String>,
    },
}

impl Judged {
    /// The event of the checker with this identity.
    pub fn about(self, id: CheckerId) -> CheckEvent {
        match self {
            Self::Log(text) => CheckEvent::Log { id, text },
            Self::Weight(weight) => CheckEvent::Weight { id, weight },
            Self::Up { first, mail } => CheckEvent::Up { id, first, mail },
            Self::Down { first, reason, mail } => CheckEvent::Down { id, first, reason, mail },
        }
    }
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// When the next attempt is due.
    pub next: Instant,
    /// What is to be told.
    pub events: Vec<Judged>,
}

/// The memory of one checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    settings: JudgeSettings,
    kind: JudgeKind,
    /// `[ip]:proto:port` of the real and of the virtual server.
    names: Names,
    standing: Standing,
    round: http::Round,
    /// Weight that the last successful MISC_CHECK asked for.
    weight: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    service: String,
    virtual_service: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    up: bool,
    has_run: bool,
    /// An attempt was made.
    tried: bool,
    /// It came with a reload.
    joined: bool,
    /// Failed attempts that count towards `retry`.
    tries: u32,
}

impl Judge {
    /// A checker without history: up, or down in alpha mode, and its first failure is a verdict.
    pub fn new(settings: JudgeSettings, kind: JudgeKind, service: &str, virtual_service: &str) -> Self {
        let up = !settings.alpha;
        let mut judge = Self {
            settings,
            kind,
            names: Names { service: service.to_owned(), virtual_service: virtual_service.to_owned() },
            standing: Standing { up, has_run: false, tried: false, joined: false, tries: 0 },
            round: http::Round::default(),
            weight: None,
        };
        judge.standing.tries = judge.first_tries();
        judge
    }

    /// A checker that comes with a reload is as patient as it will ever be: only at the start one failure is enough.
    #[must_use]
    pub fn joining(mut self) -> Self {
        self.standing.joined = true;
        self.standing.tries = 0;
        self
    }

    /// What counts as failed before the first attempt.
    fn first_tries(&self) -> u32 {
        // keepalived's SMTP checker forgets at the start of each round that one failure would be enough.
        if self.standing.joined || self.kind == JudgeKind::Smtp { 0 } else { self.settings.retry }
    }

    /// When the first attempt is due; `dice` is uniform over its range.
    pub fn first_attempt(&self, now: Instant, dice: u32) -> Instant {
        now + BOOTSTRAP_DELAY + self.settings.warmup.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }

    /// The verdict that stands.
    pub fn is_up(&self) -> bool {
        self.standing.up
    }

    /// Whether a verdict was given yet.
    pub fn has_run(&self) -> bool {
        self.standing.has_run
    }

    /// Index of the URL that the next attempt fetches.
    pub fn url(&self) -> usize {
        self.round.url()
    }

    /// Takes settings that were edited; the verdict and the failures counted so far remain, but a server that
    /// has used up its new patience needs one more failure.
    pub fn reconfigure(&mut self, settings: JudgeSettings) {
        if self.standing.has_run && self.standing.tries > 0 {
            self.standing.tries = self.standing.tries.min(settings.retry.saturating_sub(1));
        } else if !self.standing.has_run {
            self.standing.tries = if self.standing.joined { 0 } else { settings.retry };
        }
        self.settings = settings;
    }

    /// Takes over the verdict of the checker that this one replaces. It must prove itself anew.
    pub fn inherit(&mut self, previous: &Judge) {
        self.standing.up = previous.standing.up;
    }

    /// Judges an attempt that began at `started` and ended at `finished`.
    pub fn observe(&mut self, attempt: &Attempt, started: Instant, finished: Instant) -> Judgement {
        let judgement = self.judge(attempt, started, finished);
        self.standing.tried |= !matches!(attempt, Attempt::Unjudged(_));
        judgement
    }

    fn judge(&mut self, attempt: &Attempt, started: Instant, finished: Instant) -> Judgement {
        match attempt {
            Attempt::Unjudged(text) => Judgement {
                next: finished + self.settings.delay_loop,
                events: vec![Judged::Log(format!("{} {text}", self.names.service))],
            },
            Attempt::Script(outcome) => self.observe_script(outcome, started, finished),
            Attempt::Passed => self.observe_answer(Ok(Evidence::Status), finished),
            Attempt::HttpPassed(evidence) => self.observe_answer(Ok(*evidence), finished),
            Attempt::Failed(fault) => self.observe_answer(Err(fault), finished),
        }
    }

    fn observe_answer(&mut self, answer: Result<Evidence, &Fault>, finished: Instant) -> Judgement {
        let mut events = Vec::new();
        let delay = match &self.kind {
            JudgeKind::Http { .. } => self.observe_url(answer, &mut events),
            _ => self.observe_plain(answer.map(|_| ()), &mut events),
        };
        Judgement { next: finished + delay, events }
    }

    /// Whether a verdict "up" would be news.
    fn unproven(&self) -> bool {
        !self.standing.up || !self.standing.has_run
    }

    /// Whether a verdict "down" would be news.
    fn vulnerable(&self) -> bool {
        self.standing.up || !self.standing.has_run
    }

    fn rise(&mut self, mail: impl FnOnce() -> String, events: &mut Vec<Judged>) {
        let mail = (!self.standing.up).then(mail);
        events.push(Judged::Up { first: !self.standing.has_run, mail });
        self.standing.up = true;
        self.standing.has_run = true;
    }

    fn fall(&mut self, reason: String, mail: impl FnOnce() -> String, events: &mut Vec<Judged>) {
        let mail = self.standing.up.then(mail);
        events.push(Judged::Down { first: !self.standing.has_run, reason, mail });
        self.standing.up = false;
        self.standing.has_run = true;
    }
}

#[cfg(test)]
mod tests;
