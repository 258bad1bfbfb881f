//! One virtual router: RFC 9568 section 6 (RFC 3768 section 6) as keepalived lives it.
//!
//! A router decides by itself what an advert or a timer means, but says only [`Wish`] where that would change its state:
//! the node grants the wish, after asking the sync group.

mod advert;
mod freshness;
mod rivals;
mod transition;

use crate::config::{Family, RouterConfig, TrackerName, TrackerStatus, Version};
use crate::effect::{Effect, RouterId, State, TransitionReason};
use crate::priority::{OWNER, Priority, Vote};
use crate::report::{Report, ReportKind};
use crate::restraint::Restraint;
use crate::timer::{TimerReason, Timers};
use crate::view::{Rival, RouterView, Statistics, Transition};
use freshness::Freshness;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Transitions that are kept.
const HISTORY: usize = 16;
/// No interval is shorter, so that no timer can fire twice in the same instant.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// No timer reaches further, so that arithmetic on instants cannot overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);
/// A wake-up that comes later than this was not held up by other threads, but by a machine that stood still.
const OVERSLEPT: Duration = Duration::from_millis(2);

/// The moment, and where effects go.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    /// Time since 1970, for `auth_hmac` alone.
    pub(crate) clock: Duration,
    pub(crate) effects: &'a mut VecDeque<Effect>,
}

/// A change of state that a router asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Wish {
    /// None.
    #[default]
    Nothing,
    /// MASTER, because the timer ran out.
    Master(TransitionReason),
    /// No change, but the masters of its group announce their addresses as it did.
    GroupAnnounce,
    /// BACKUP, because another master is better.
    Backup(TransitionReason),
}

/// The addresses of an interface that adverts may come from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sources {
    pub(crate) v4: Option<IpAddr>,
    pub(crate) v6: Option<IpAddr>,
}

impl Sources {
    fn of(self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// What the deadline of a backup counts from.
#[derive(Debug, Clone, Copy)]
struct Armed {
    since: Instant,
    reason: TimerReason,
    /// Whether it was prolonged because this router had overslept.
    prolonged: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Router {
    pub(crate) id: RouterId,
    pub(crate) name: Arc<str>,
    pub(crate) config: RouterConfig,
    pub(crate) group: Option<usize>,
    pub(crate) state: State,
    pub(crate) timers: Timers,
    pub(crate) wants_master: bool,
    priority: Priority,
    source: Option<IpAddr>,
    /// Source of the companion's adverts.
    second_source: Option<IpAddr>,
    /// The source that was lost, for the farewell alone.
    lost_source: Option<IpAddr>,
    not_before: Instant,
    /// Whether it was there when the node started, and not added by a reload.
    is_first_start: bool,
    /// Waits in INIT for a first verdict.
    held: bool,
    armed: Option<Armed>,
    master: Option<(IpAddr, u8)>,
    /// The same master, as the companion's family knows it.
    second_master: Option<IpAddr>,
    rival: Option<Rival>,
    /// When addresses were announced last after a split brain.
    healed_at: Option<Instant>,
    master_interval: Duration,
    preempt_at: Option<Instant>,
    identification: u16,
    ah_sequence: u32,
    freshness: Freshness,
    rejections: Restraint,
    history: VecDeque<Transition>,
    statistics: Statistics,
}

impl Router {
    /// A router in INIT whose start is due at `now`.
    pub(crate) fn new(id: RouterId, config: RouterConfig, is_first_start: bool, now: Instant) -> Self {
        let mut timers = Timers::default();
        timers.set(TimerReason::Start, now);
        Self {
            id,
            name: config.name.as_str().into(),
            group: None,
            state: State::Init,
            timers,
            wants_master: false,
            priority: Priority::new(config.priority, Vec::new()),
            source: config.source,
            second_source: None,
            lost_source: None,
            not_before: now,
            is_first_start,
            held: false,
            armed: None,
            master: None,
            second_master: None,
            rival: None,
            healed_at: None,
            master_interval: interval(&config),
            preempt_at: None,
            identification: 0,
            ah_sequence: 0,
            freshness: Freshness::default(),
            rejections: Restraint::default(),
            history: VecDeque::new(),
            statistics: Statistics::default(),
            config,
        }
    }

    /// False until the start timer fired, and after the end.
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.state, State::Stop | State::Deleted) && self.timers.get(TimerReason::Start).is_none()
    }

    /// Whether it is master from the start: an owner with `state BACKUP` waits like anybody else in keepalived.
    pub(crate) fn is_owner(&self) -> bool {
        self.config.priority == OWNER && self.config.starts_as_master
    }

    /// The first reason for FAULT that lies in this router itself.
    pub(crate) fn fault(&self) -> Option<TransitionReason> {
        let tracker = self.priority.fault().cloned().map(TransitionReason::Tracker);
        let peers = self.config.lacks_peers.then_some(TransitionReason::NoPeers);
        tracker.or(peers).or_else(|| self.source.is_none().then_some(TransitionReason::NoSource))
    }

    /// Who votes on it.
    pub(crate) fn trackers(&self) -> impl Iterator<Item = &TrackerName> {
        self.priority.votes().iter().map(|vote| &vote.tracker)
    }

    fn pending(&self) -> Option<TrackerName> {
        let waits = matches!(self.state, State::Init | State::Fault);
        self.priority.pending().filter(|_| waits).cloned()
    }

    /// Whether a first verdict is missing.
    pub(crate) fn is_pending(&self) -> bool {
        self.priority.pending().is_some()
    }

    /// The start is over; what is still in INIT waits for a verdict.
    pub(crate) fn started(&mut self) {
        self.held = self.state == State::Init;
    }

    /// Whether it was still in INIT when the start was over.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// Waits `delay` longer before the first election.
    pub(crate) fn delay_start(&mut self, delay: Duration, now: Instant) {
        self.not_before = later(now, delay);
    }

    /// The interface's addresses changed.
    pub(crate) fn set_sources(&mut self, sources: Sources) {
        let of = |half: &RouterConfig| half.source.or(sources.of(half.family));
        self.lost_source = self.source.or(self.lost_source);
        (self.source, self.second_source) = (of(&self.config), self.config.companion.as_deref().and_then(of));
    }

    /// Where adverts of a family come from.
    fn source_of(&self, family: Family) -> Option<IpAddr> {
        if family == self.config.family { self.source } else { self.second_source }
    }

    /// A verdict came in.
    pub(crate) fn vote(&mut self, tracker: &TrackerName, status: TrackerStatus, turn: &mut Turn<'_>) {
        let (priority, fault) = (self.priority.effective(), self.file_fault(tracker));
        let changed = self.priority.set(tracker, status);
        if let (true, TrackerName::Bfd(session)) = (changed && self.is_running(), tracker) {
            let (session, up) = (session.clone(), status == TrackerStatus::Up);
            self.report(ReportKind::BfdChanged { session, up }, turn);
        }
        if self.file_fault(tracker) != fault
            && let TrackerName::File(file) = tracker
        {
            // The change of state that follows says all there is to say, as does the start.
            if self.is_running() {
                self.report(ReportKind::FileFault { file: file.clone(), fault: !fault }, turn);
            }
            return self.rearm();
        }
        self.priority_changed(priority, turn);
    }

    fn file_fault(&self, tracker: &TrackerName) -> bool {
        matches!(tracker, TrackerName::File(_)) && self.priority.faults().any(|vote| vote.tracker == *tracker)
    }

    fn priority_changed(&mut self, from: u8, turn: &mut Turn<'_>) {
        let to = self.priority.effective();
        if from == to || !self.is_running() {
            return;
        }
        self.report(ReportKind::PriorityChanged { from, to }, turn);
        turn.effects.push_back(Effect::PriorityChanged { router: self.id, priority: to, state: self.state });
        self.rearm();
    }

    /// A timer of this router is due.
    pub(crate) fn fire(&mut self, deadline: Instant, reason: TimerReason, turn: &mut Turn<'_>) -> Wish {
        self.timers.cancel(reason);
        match reason {
            TimerReason::Start => Wish::Nothing,
            TimerReason::Advertise => self.fire_advertise(deadline, turn),
            TimerReason::MasterDown => self.ran_out(TransitionReason::AdvertTimeout, deadline, turn),
            TimerReason::Skew => self.ran_out(TransitionReason::MasterResigned, deadline, turn),
            TimerReason::SplitBrain => self.split_brain_over(turn),
            TimerReason::Announce => self.announce(self.config.announce.repeat, turn),
            TimerReason::AnnounceLowerPriority => self.announce(self.config.announce.lower_prio_repeat, turn),
            TimerReason::AnnounceRefresh => {
                self.timers.set(reason, later(turn.now, self.config.announce.refresh.max(SHORTEST_INTERVAL)));
                self.announce(self.config.announce.refresh_repeat, turn)
            }
            TimerReason::AnnounceExtra => {
                self.start_extra(turn.now);
                turn.effects.push_back(Effect::AnnounceExtra { router: self.id });
                Wish::Nothing
            }
        }
    }

    /// RFC 9568 section 6.4.3: the advert timer of a master.
    fn fire_advertise(&mut self, deadline: Instant, turn: &mut Turn<'_>) -> Wish {
        let period = interval(&self.config);
        let late = turn.now.saturating_duration_since(deadline);
        if self.is_overdue(late) {
            self.report(ReportKind::TimerLate(late), turn);
            return Wish::Backup(TransitionReason::TimerLate);
        }
        let next = later(deadline, period);
        let next = if next > turn.now { next } else { later(turn.now, period) };
        self.timers.set(TimerReason::Advertise, next);
        self.advertise(self.priority.effective(), turn);
        Wish::Nothing
    }

    /// Whether a backup of the configured priority has taken over: its wait began one interval before our deadline.
    fn is_overdue(&self, late: Duration) -> bool {
        let period = interval(&self.config);
        let wait = |priority| period * u32::from(self.config.down_timer_adverts.max(1)) + self.skew_of(priority);
        self.config.timer_expired_backup.is_some_and(|priority| period + late >= wait(priority))
    }

    /// RFC 9568 section 6.4.2: the master down timer of a backup.
    fn ran_out(&mut self, reason: TransitionReason, deadline: Instant, turn: &mut Turn<'_>) -> Wish {
        if self.overslept(deadline, turn) {
            return Wish::Nothing;
        }
        self.report(ReportKind::AdvertTimeout, turn);
        self.wants_master = true;
        Wish::Master(reason)
    }

    /// A backup that stood still itself (a paused virtual machine, a stopped process) has not heard what was said meanwhile: adverts may
    /// still be on their way through its host, and a master on the same machine has stood still, too. It listens once for as long
    /// as it slept, one advert interval at most.
    fn overslept(&mut self, deadline: Instant, turn: &mut Turn<'_>) -> bool {
        let late = turn.now.saturating_duration_since(deadline);
        let Some(armed) = self.armed.as_mut().filter(|armed| late > OVERSLEPT && !armed.prolonged) else {
            return false;
        };
        armed.prolonged = true;
        self.timers.set(armed.reason, later(turn.now, late.min(self.master_interval)));
        self.report(ReportKind::Overslept(late), turn);
        true
    }

    fn announce(&mut self, rounds: u32, turn: &mut Turn<'_>) -> Wish {
        if rounds > 0 {
            turn.effects.push_back(Effect::Announce { router: self.id, rounds });
        }
        Wish::Nothing
    }

    /// Announces all addresses now and after the delay, as on becoming master.
    pub(crate) fn announce_twice(&mut self, turn: &mut Turn<'_>) {
        self.announce(self.config.announce.repeat, turn);
        if !self.config.announce.delay.is_zero() {
            self.timers.set(TimerReason::Announce, later(turn.now, self.config.announce.delay));
        }
    }

    /// Starts the wait of a backup.
    pub(crate) fn arm(&mut self, reason: TimerReason, now: Instant) {
        self.armed = Some(Armed { since: now.max(self.not_before), reason, prolonged: false });
        self.rearm();
    }

    /// Computes the deadline of a backup anew, from the same beginning.
    fn rearm(&mut self) {
        let (State::Backup, Some(armed)) = (self.state, self.armed) else { return };
        self.timers.cancel(TimerReason::MasterDown);
        self.timers.cancel(TimerReason::Skew);
        let wait = if armed.reason == TimerReason::Skew { self.skew() } else { self.master_down() };
        self.timers.set(armed.reason, later(armed.since, wait));
    }

    /// Skew_Time: RFC 9568 section 6.1, RFC 3768 section 6.1.
    pub(crate) fn skew(&self) -> Duration {
        self.skew_of(self.priority.effective())
    }

    fn skew_of(&self, priority: u8) -> Duration {
        let unit = match self.config.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.master_interval,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// Master_Down_Interval, with `down_timer_adverts` in place of three.
    pub(crate) fn master_down(&self) -> Duration {
        self.master_interval * u32::from(self.config.down_timer_adverts.max(1)) + self.skew()
    }

    /// Takes a changed configuration of the same router. What did not change stays as it is.
    pub(crate) fn update(&mut self, config: RouterConfig, votes: Vec<Vote>, sources: Sources, turn: &mut Turn<'_>) {
        let gained = config.addresses.iter().any(|address| !self.config.addresses.contains(address));
        let (old_priority, old) = (self.priority.effective(), std::mem::replace(&mut self.config, config));
        self.name = self.config.name.as_str().into();
        self.priority = Priority::new(self.config.priority, votes);
        self.set_sources(sources);
        if interval(&old) != interval(&self.config) || old.version != self.config.version {
            self.master_interval = interval(&self.config);
        }
        self.rearm();
        if self.state != State::Master {
            return;
        }
        if self.advert_differs(&old, old_priority) {
            self.advertise_now(turn);
        }
        turn.effects.push_back(Effect::UpdateAddresses { router: self.id });
        if gained {
            self.announce_twice(turn);
        }
        if old.announce.refresh != self.config.announce.refresh {
            self.start_refresh(turn.now);
        }
        if old.announce.extra != self.config.announce.extra {
            self.start_extra(turn.now);
        }
    }

    fn advert_differs(&self, old: &RouterConfig, old_priority: u8) -> bool {
        let new = &self.config;
        old_priority != self.priority.effective()
            || (old.version, interval(old)) != (new.version, interval(new))
            || (&old.authentication, &old.authenticator) != (&new.authentication, &new.authenticator)
            || old.companion != new.companion
            || (old.source, &old.unicast_peers, old.multicast_group)
                != (new.source, &new.unicast_peers, new.multicast_group)
    }

    fn start_refresh(&mut self, now: Instant) {
        self.timers.cancel(TimerReason::AnnounceRefresh);
        if !self.config.announce.refresh.is_zero() {
            let period = self.config.announce.refresh.max(SHORTEST_INTERVAL);
            self.timers.set(TimerReason::AnnounceRefresh, later(now, period));
        }
    }

    /// The period begins anew.
    fn start_extra(&mut self, from: Instant) {
        self.timers.cancel(TimerReason::AnnounceExtra);
        if !self.config.announce.extra.is_zero() {
            let period = self.config.announce.extra.max(SHORTEST_INTERVAL);
            self.timers.set(TimerReason::AnnounceExtra, later(from, period));
        }
    }

    pub(crate) fn report(&self, kind: ReportKind, turn: &mut Turn<'_>) {
        turn.effects.push_back(Effect::Report(Report { subject: Arc::clone(&self.name), kind }));
    }

    pub(crate) fn clear_statistics(&mut self) {
        self.statistics = Statistics::default();
    }

    pub(crate) fn view(&self, group: Option<Arc<str>>) -> RouterView {
        RouterView {
            id: self.id,
            name: Arc::clone(&self.name),
            link: self.config.link,
            vrid: self.config.vrid,
            family: self.config.family,
            version: self.config.version,
            state: self.state,
            base_priority: self.priority.base(),
            effective_priority: self.priority.effective(),
            votes: self.priority.votes().to_vec(),
            waiting_for: self.pending(),
            source: self.source,
            second_source: self.second_source,
            master: self.master,
            rival: self.rival.clone(),
            advert_interval: interval(&self.config),
            master_interval: self.master_interval,
            skew: self.skew(),
            master_down: self.master_down(),
            timers: self.timers.sorted(),
            wants_master: self.wants_master,
            preempt_at: self.preempt_at,
            group,
            history: self.history.iter().cloned().collect(),
            statistics: self.statistics,
        }
    }
}

/// The configured interval, never so short that timers would spin.
fn interval(config: &RouterConfig) -> Duration {
    config.advert_interval.clamp(SHORTEST_INTERVAL, LONGEST_WAIT)
}

fn later(from: Instant, wait: Duration) -> Instant {
    from.checked_add(wait.min(LONGEST_WAIT)).unwrap_or(from)
}
