//! Changes of state. The caller has made sure that they are wanted and allowed.

use super::{HISTORY, Router, Turn, interval, later};
use crate::config::Link;
use crate::effect::{Effect, State, TransitionReason};
use crate::report::ReportKind;
use crate::timer::TimerReason;
use crate::view::Transition;
use std::time::Duration;

/// How a master takes its leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// Another master has taken over already.
    None,
    /// Priority 0 once, and no word of it.
    Silent,
    /// Priority 0 once.
    Once,
    /// Priority 0 twice, as keepalived does on entering FAULT.
    Twice,
}

impl Router {
    /// The start is due: whatever an earlier life left behind is taken off. A router that a reload added says nothing of it, and one
    /// that begins `in_fault`, of its own or of its group, says it afterwards.
    pub(crate) fn start(&mut self, in_fault: bool, turn: &mut Turn<'_>) {
        self.timers.cancel(TimerReason::Start);
        let (from, to) = (self.priority.base(), self.priority.effective());
        if from != to {
            self.report(ReportKind::PriorityChanged { from, to }, turn);
        }
        if self.is_first_start && !in_fault {
            self.report(ReportKind::RemovingAddresses, turn);
        }
        turn.effects.push_back(Effect::ClearAddresses { router: self.id });
    }

    /// RFC 9568 section 6.4.2, the timer fires: advert first, then the addresses, then their announcement.
    pub(crate) fn become_master(&mut self, reason: TransitionReason, turn: &mut Turn<'_>) {
        let (from, to) = (self.master_interval, interval(&self.config));
        self.timers.clear();
        self.armed = None;
        self.master = None;
        self.second_master = None;
        self.preempt_at = None;
        self.master_interval = to;
        self.advertise_now(turn);
        self.report(ReportKind::EnteringMaster, turn);
        if from != to {
            self.report(ReportKind::IntervalRestored { from, to }, turn);
        }
        self.report(ReportKind::SettingAddresses, turn);
        turn.effects.push_back(Effect::SetAddresses { router: self.id });
        self.announce_twice(turn);
        self.start_refresh(turn.now);
        self.start_extra(later(turn.now, self.config.announce.delay));
        self.statistics.became_master += 1;
        self.change(State::Master, reason, turn);
    }

    /// BACKUP from INIT, FAULT, or MASTER; `resign` says goodbye first and comes back after the skew time.
    pub(crate) fn become_backup(&mut self, reason: TransitionReason, resign: bool, turn: &mut Turn<'_>) {
        let init = self.state == State::Init && !self.held;
        let is_back = matches!(self.state, State::Init | State::Fault) && !init;
        let follows = matches!(reason, TransitionReason::Group(_));
        self.report(ReportKind::EnteringBackup { init }, turn);
        self.release(if resign { Farewell::Once } else { Farewell::None }, turn);
        self.change(State::Backup, reason, turn);
        if is_back && !follows {
            self.announce_source(turn);
        }
        self.arm(if resign { TimerReason::Skew } else { TimerReason::MasterDown }, turn.now);
    }

    fn announce_source(&self, turn: &mut Turn<'_>) {
        let link = self.config.link;
        let unicast = !self.config.unicast_peers.is_empty() && link != Link(0);
        if let Some(address) = self.source.filter(|_| unicast) {
            self.report(ReportKind::AnnouncingSource(address), turn);
            turn.effects.push_back(Effect::AnnounceSource { router: self.id, link, address });
        }
    }

    /// A backup that has just resigned gives the others more than the skew time, and does not preempt for so long.
    pub(crate) fn hold_back(&mut self, lasts: Duration, turn: &mut Turn<'_>) {
        if self.state == State::Backup {
            self.arm(TimerReason::MasterDown, turn.now);
            self.preempt_at = Some(later(turn.now, lasts));
        }
    }

    /// A backup leaves a lesser master in place for so long at least.
    pub(crate) fn hold_preemption(&mut self, lasts: Duration, turn: &mut Turn<'_>) {
        if self.state == State::Backup {
            let end = later(turn.now, lasts.max(self.config.preempt_delay));
            self.preempt_at = Some(self.preempt_at.map_or(end, |at| at.max(end)));
        }
    }

    /// The end of a hold: from here on `preempt_delay` counts.
    pub(crate) fn release_preemption(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::Backup && self.preempt_at.is_some() {
            self.preempt_at = Some(later(turn.now, self.config.preempt_delay));
        }
    }

    /// FAULT. The first router of a group resigns twice where it was master, one that `follows` once and in silence.
    pub(crate) fn become_faulty(&mut self, reason: TransitionReason, follows: bool, turn: &mut Turn<'_>) {
        match self.state {
            State::Init => self.report_fault_at_start(turn),
            State::Backup if follows => {}
            _ => self.report(ReportKind::EnteringFault, turn),
        }
        self.release(if follows { Farewell::Silent } else { Farewell::Twice }, turn);
        self.change(State::Fault, reason, turn);
    }

    /// Says what keeps a router in INIT from becoming anything else.
    pub(crate) fn name_faults_at_start(&self, turn: &mut Turn<'_>) {
        for vote in self.priority.faults() {
            let kind = ReportKind::TrackerDownAtStart { tracker: vote.tracker.clone(), sum: vote.sum() };
            self.report(kind, turn);
        }
        if self.config.lacks_peers {
            self.report(ReportKind::NoPeers, turn);
        }
        if self.source.is_none() {
            self.report(ReportKind::NoSourceAtStart(self.config.family), turn);
        }
    }

    fn report_fault_at_start(&self, turn: &mut Turn<'_>) {
        self.report(ReportKind::FaultAtStart, turn);
        let is_tracker = self.priority.faults().next().is_some();
        if self.is_first_start && !self.held && (!is_tracker || self.source.is_some()) {
            self.report(ReportKind::RemovingAddresses, turn);
        }
    }

    /// The end, RFC 9568 section 6.4.3 "Shutdown": `state` is STOP or DELETED.
    pub(crate) fn end(&mut self, state: State, reason: TransitionReason, turn: &mut Turn<'_>) {
        self.release(Farewell::Once, turn);
        self.change(state, reason, turn);
    }

    /// Lets go of everything that the state holds.
    fn release(&mut self, farewell: Farewell, turn: &mut Turn<'_>) {
        self.timers.clear();
        self.armed = None;
        self.master = None;
        self.second_master = None;
        self.rival = None;
        self.preempt_at = None;
        self.wants_master = false;
        if self.state != State::Master {
            return;
        }
        let times = match farewell {
            Farewell::None => 0,
            Farewell::Silent | Farewell::Once => 1,
            Farewell::Twice => 2,
        };
        (0..times).for_each(|_| self.advertise(0, turn));
        if matches!(farewell, Farewell::Once | Farewell::Twice) {
            self.report(ReportKind::SentPriorityZero, turn);
        }
        self.statistics.released_master += 1;
        self.clear_addresses(turn);
    }

    fn clear_addresses(&self, turn: &mut Turn<'_>) {
        self.report(ReportKind::RemovingAddresses, turn);
        turn.effects.push_back(Effect::ClearAddresses { router: self.id });
    }

    fn change(&mut self, to: State, reason: TransitionReason, turn: &mut Turn<'_>) {
        let from = std::mem::replace(&mut self.state, to);
        self.wants_master = false;
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Transition { at: turn.now, from, to, reason: reason.clone() });
        let priority = self.priority.effective();
        turn.effects.push_back(Effect::Transition { router: self.id, from, to, priority, reason });
    }

    /// The group keeps this router from being master: another master down interval.
    pub(crate) fn wait_for_group(&mut self, turn: &mut Turn<'_>) {
        self.arm(TimerReason::MasterDown, turn.now);
    }

    /// An advert out of turn; the next one follows after a whole interval.
    pub(crate) fn advertise_now(&mut self, turn: &mut Turn<'_>) {
        self.timers.set(TimerReason::Advertise, later(turn.now, interval(&self.config)));
        self.advertise(self.priority.effective(), turn);
    }
}
