use super::pace::Pace;
use super::{Order, RunnerOptions, Statistics, Tally};
use crate::judge::{Attempt, Judge, Judgement};
use crate::probe;
use crate::spec::{CheckEvent, CheckerId, CheckerSpec, ProbeSpec};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::sleep_until;

/// When the alarm of an empty schedule rings; then it is set anew.
const IDLE: Duration = Duration::from_secs(86_400);

/// The share of a pause by which it may be shorter to make up for lateness. So the small lateness of alarms does not add up over
/// retries, and checkers that were spread over their period stay so when the machine stood still; those that are later than this
/// keep their distances.
const MADE_UP: u32 = 4;

/// All checkers and when each is due.
pub(super) struct Schedule {
    checkers: HashMap<CheckerId, Checker>,
    due: BTreeSet<(Instant, CheckerId)>,
    running: JoinSet<Report>,
    events: UnboundedSender<CheckEvent>,
    max_in_flight: usize,
    pace: Pace,
    /// There were checkers: further ones come with a reload.
    started: bool,
    dice: u64,
    /// Distinguishes the attempts of a checker from those of one that had its identity before.
    generation: u64,
    pub(super) statistics: Arc<Statistics>,
}

struct Checker {
    spec: Arc<CheckerSpec>,
    judge: Judge,
    generation: u64,
    enabled: bool,
    state: State,
    tally: Tally,
}

enum State {
    Waiting(Instant),
    Running(AbortHandle),
}

struct Report {
    id: CheckerId,
    generation: u64,
    attempt: Attempt,
    started: Instant,
    finished: Instant,
    /// By how much it began later than it was due, and ended later than it may last.
    lateness: Duration,
}

impl Schedule {
    pub(super) fn new(events: UnboundedSender<CheckEvent>, options: &RunnerOptions) -> Self {
        Self {
            checkers: HashMap::new(),
            due: BTreeSet::new(),
            running: JoinSet::new(),
            events,
            max_in_flight: options.max_in_flight.max(1),
            pace: Pace::default(),
            started: false,
            dice: options.seed,
            generation: 0,
            statistics: Arc::default(),
        }
    }

    pub(super) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let mut alarm = pin!(sleep_until(tokio::time::Instant::now()));
        loop {
            let next = self.begin_due();
            if alarm.deadline() != next {
                alarm.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Update(specs, suspended)) => self.update(specs, &suspended),
                    Some(Order::Enable(id, enabled)) => self.enable(id, enabled),
                    // Who asked may have gone.
                    Some(Order::Tallies(answer)) => drop(answer.send(self.tallies())),
                    Some(Order::Stop) | None => break,
                },
                Some(ended) = self.running.join_next() => self.take_ended(ended),
                () = self.events.closed() => break,
                () = &mut alarm => {}
            }
        }
        self.running.shutdown().await;
    }

    pub(super) fn update(&mut self, specs: Vec<CheckerSpec>, suspended: &BTreeSet<CheckerId>) {
        let mut wanted: BTreeMap<CheckerId, usize> = BTreeMap::new();
        for (index, spec) in specs.iter().enumerate() {
            wanted.insert(spec.id, index);
        }
        let gone: Vec<_> = self.checkers.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        for id in gone {
            self.remove(id);
        }
        for spec in specs {
            let suspended = suspended.contains(&spec.id);
            self.place(spec, suspended);
        }
        self.started |= !self.checkers.is_empty();
    }

    fn place(&mut self, spec: CheckerSpec, suspended: bool) {
        let id = spec.id;
        let Some(checker) = self.checkers.get_mut(&id) else { return self.add(spec, None, !suspended) };
        if *checker.spec == spec {
            return;
        }
        if checker.spec.probe == spec.probe
            && checker.spec.service == spec.service
            && checker.spec.virtual_service == spec.virtual_service
        {
            checker.judge.reconfigure(spec.settings.clone());
            checker.spec = spec.into();
            self.hasten(id);
            return;
        }
        let enabled = checker.enabled;
        let previous = self.remove(spec.id);
        self.add(spec, previous.as_ref(), enabled);
    }

    /// A shorter `delay_loop` counts from now.
    fn hasten(&mut self, id: CheckerId) {
        let Some(checker) = self.checkers.get_mut(&id) else { return };
        let latest = tokio::time::Instant::now().into_std() + checker.spec.settings.delay_loop;
        if let State::Waiting(at) = &mut checker.state
            && *at > latest
        {
            self.due.remove(&(*at, id));
            *at = latest;
            self.due.insert((latest, id));
        }
    }

    fn add(&mut self, spec: CheckerSpec, previous: Option<&Judge>, enabled: bool) {
        let (id, now) = (spec.id, tokio::time::Instant::now().into_std());
        let mut judge =
            Judge::new(spec.settings.clone(), spec.probe.judge_kind(), &spec.service, &spec.virtual_service);
        if let Some(previous) = previous {
            judge.inherit(previous);
        }
        if self.started {
            judge = judge.joining();
        }
        let verb = if enabled { "Activating" } else { "Deactivating" };
        let text = format!("{verb} healthchecker for service {} for VS {}", spec.service, spec.virtual_service);
        self.send(CheckEvent::Log { id, text });
        let at = judge.first_attempt(now, self.throw());
        self.generation += 1;
        let (generation, state) = (self.generation, State::Waiting(at));
        let checker = Checker { spec: spec.into(), judge, generation, enabled, state, tally: Tally::default() };
        self.checkers.insert(id, checker);
        self.due.insert((at, id));
    }

    fn remove(&mut self, id: CheckerId) -> Option<Judge> {
        let checker = self.checkers.remove(&id)?;
        match checker.state {
            State::Waiting(at) => {
                self.due.remove(&(at, id));
            }
            State::Running(handle) => handle.abort(),
        }
        Some(checker.judge)
    }

    fn enable(&mut self, id: CheckerId, enabled: bool) {
        let Some(checker) = self.checkers.get_mut(&id) else { return };
        if std::mem::replace(&mut checker.enabled, enabled) == enabled {
            return;
        }
        let verb = if enabled { "Activating" } else { "Suspending" };
        let (service, virtual_service) = (&checker.spec.service, &checker.spec.virtual_service);
        let text = format!("{verb} healthchecker for service {service} for VS {virtual_service}");
        self.send(CheckEvent::Log { id, text });
    }

    /// Begins what is due, as far as it may, and says when to look again.
    fn begin_due(&mut self) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        loop {
            // A report wakes us before that.
            let idle = now + IDLE;
            if self.running.len() >= self.max_in_flight {
                return idle;
            }
            match self.due.first() {
                Some((at, _)) if *at <= now.into_std() => {}
                Some((at, _)) => return (*at).into(),
                None => return idle,
            }
            if let Some(until) = self.pace.hold(now.into_std()) {
                return until.into();
            }
            if let Some((at, id)) = self.due.pop_first() {
                self.statistics.count(now.into_std().saturating_duration_since(at));
                self.begin(id, at, now.into_std());
                self.statistics.under_way(self.running.len());
            }
        }
    }

    fn begin(&mut self, id: CheckerId, due: Instant, now: Instant) {
        let Some(checker) = self.checkers.get_mut(&id) else { return };
        if !checker.enabled {
            let at = now + checker.spec.settings.delay_loop;
            checker.state = State::Waiting(at);
            self.due.insert((at, id));
            return;
        }
        self.pace.begin(now);
        let (spec, generation, url) = (checker.spec.clone(), checker.generation, checker.judge.url());
        checker.state = State::Running(self.running.spawn(async move {
            let attempt = probe::attempt(&spec.probe, url).await;
            let finished = tokio::time::Instant::now().into_std();
            let overtime = spec.probe.limit().map(|limit| finished.saturating_duration_since(now + limit));
            let lateness = now.saturating_duration_since(due) + overtime.unwrap_or_default();
            Report { id, generation, attempt, started: now, finished, lateness }
        }));
    }

    /// Takes the attempt that has ended, and others that have by now.
    fn take_ended(&mut self, ended: Result<Report, JoinError>) {
        let mut next = Some(ended);
        while let Some(ended) = next {
            match ended {
                Ok(report) => self.take_report(&report),
                Err(error) => self.take_panic(&error),
            }
            next = self.running.try_join_next();
        }
    }

    fn take_report(&mut self, report: &Report) {
        let id = report.id;
        self.pace.end(report.started);
        let Some(checker) = self.checkers.get_mut(&id).filter(|checker| checker.generation == report.generation) else {
            return;
        };
        let dynamic = matches!(&checker.spec.probe, ProbeSpec::Misc(program) if program.dynamic);
        checker.tally.count(&report.attempt, report.finished.saturating_duration_since(report.started), dynamic);
        let Judgement { next, events } = checker.judge.observe(&report.attempt, report.started, report.finished);
        let pause = next.saturating_duration_since(report.finished);
        let next = next - report.lateness.min(pause / MADE_UP);
        checker.state = State::Waiting(next);
        self.due.insert((next, id));
        for event in events {
            self.send(event.about(id));
        }
    }

    fn tallies(&self) -> HashMap<CheckerId, Tally> {
        self.checkers.iter().map(|(id, checker)| (*id, checker.tally)).collect()
    }

    /// An attempt that panicked is a fault of this program, not of the server: the checker goes on with its next attempt.
    fn take_panic(&mut self, error: &JoinError) {
        let panicked = |state: &State| matches!(state, State::Running(handle) if handle.id() == error.id());
        let Some((id, checker)) = self.checkers.iter_mut().find(|(_, checker)| panicked(&checker.state)) else {
            return;
        };
        let (id, at) = (*id, tokio::time::Instant::now().into_std() + checker.spec.settings.delay_loop);
        checker.state = State::Waiting(at);
        self.due.insert((at, id));
        self.send(CheckEvent::Log { id, text: format!("attempt ended unexpectedly: {error}") });
    }

    fn send(&self, event: CheckEvent) {
        // A closed receiver ends the loop at its next turn.
        let _ = self.events.send(event);
    }

    /// splitmix64: warm-up delays need spreading, not secrecy.
    fn throw(&mut self) -> u32 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX)
    }
}
