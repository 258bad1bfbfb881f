//! Who becomes what: wishes of routers, granted with regard to faults and sync groups.

use crate::effect::{Effect, RouterId, State, TransitionReason};
use crate::group::common_state;
use crate::node::Node;
use crate::report::ReportKind;
use crate::router::{Router, Turn, Wish};
use crate::timer::TimerReason;
use std::sync::Arc;
use std::time::Instant;

impl Node {
    pub(crate) fn grant(&mut self, id: RouterId, wish: Wish, now: Instant) {
        match wish {
            Wish::Nothing => {}
            Wish::GroupAnnounce => self.announce_group(id, now),
            Wish::Master(reason) => self.rise(id, reason, now),
            Wish::Backup(reason) => self.step_down(id, reason, false, now),
        }
    }

    /// Who misled hosts about one member's addresses holds the others' too, most likely.
    fn announce_group(&mut self, id: RouterId, now: Instant) {
        for other in self.others(id) {
            if self.state(other) == Some(State::Master) {
                self.with(other, now, Router::announce_to_the_misled);
            }
        }
    }

    /// Starts all routers whose start is due: first all leftovers are removed, then states are found.
    pub(crate) fn start_due(&mut self, now: Instant) {
        let mut started = Vec::new();
        while let Some((_, TimerReason::Start, id)) = self.first_due().filter(|(deadline, ..)| *deadline <= now) {
            let in_fault = self.unit(id).into_iter().any(|id| self.fault(id).is_some());
            self.with(id, now, |router, turn| router.start(in_fault, turn));
            started.push(id);
        }
        started.sort_by_key(|id| self.order.iter().position(|other| other == id));
        for id in &started {
            self.reassess(*id, now);
        }
        for id in started {
            self.with(id, now, |router, _| router.started());
        }
    }

    /// MASTER for a router whose timer ran out, and for its group if all of it is ready; otherwise another wait.
    fn rise(&mut self, id: RouterId, reason: TransitionReason, now: Instant) {
        let others = self.others(id);
        if !others.iter().all(|other| self.is_ready(*other)) {
            self.with(id, now, Router::wait_for_group);
            return;
        }
        self.with(id, now, |router, turn| router.become_master(reason, turn));
        self.lead(id, State::Master, now, Router::become_master);
    }

    fn is_ready(&self, id: RouterId) -> bool {
        self.routers.get(&id).is_some_and(|router| router.wants_master || router.state == State::Master)
    }

    /// BACKUP for a master and for its whole group.
    pub(crate) fn step_down(&mut self, id: RouterId, reason: TransitionReason, resign: bool, now: Instant) {
        self.with(id, now, |router, turn| router.become_backup(reason, resign, turn));
        self.lead(id, State::Backup, now, move |router, reason, turn| router.become_backup(reason, resign, turn));
    }

    /// Faults come and go: finds the state of a router and of its group.
    pub(crate) fn reassess(&mut self, id: RouterId, now: Instant) {
        let unit: Vec<RouterId> = self.unit(id).into_iter().filter(|id| self.is_running(*id)).collect();
        if !unit.contains(&id) {
            return;
        }
        let faulty: Vec<RouterId> = unit.iter().copied().filter(|id| self.fault(*id).is_some()).collect();
        if let Some(first) = faulty.first() {
            let first = *first;
            self.name_faults_at_start(&unit, now);
            if unit.iter().all(|id| self.state(*id) == Some(State::Init)) {
                self.fall_at_start(unit, first, now);
            } else {
                self.fall(&faulty, first, now);
            }
        } else if !unit.iter().any(|id| self.routers.get(id).is_some_and(Router::is_pending)) {
            self.recover(id, &unit, now);
        }
    }

    fn name_faults_at_start(&mut self, unit: &[RouterId], now: Instant) {
        for id in unit.iter().filter(|id| self.state(**id) == Some(State::Init)).copied().collect::<Vec<_>>() {
            self.with(id, now, |router, turn| router.name_faults_at_start(turn));
        }
    }

    /// A whole unit goes from INIT to FAULT.
    fn fall_at_start(&mut self, mut unit: Vec<RouterId>, first: RouterId, now: Instant) {
        unit.sort_by_key(|id| self.order.iter().position(|other| other == id));
        let group = self.group_name_of(first);
        if let (Some(group), Some(router)) = (&group, self.routers.get(&first)) {
            let at_start = ReportKind::GroupFaultAtStart { member: Arc::clone(&router.name) };
            let kind = if router.is_held() { ReportKind::GroupSync(State::Fault) } else { at_start };
            self.report(Arc::clone(group), kind);
        }
        let others = group.map_or(TransitionReason::NoSource, TransitionReason::Group);
        for id in unit {
            let reason = self.fault(id).unwrap_or_else(|| others.clone());
            self.with(id, now, |router, turn| router.become_faulty(reason, true, turn));
        }
        self.settle_group_of(first);
    }

    fn fall(&mut self, faulty: &[RouterId], first: RouterId, now: Instant) {
        let first = faulty.iter().copied().find(|id| self.state(*id) != Some(State::Fault)).unwrap_or(first);
        let reason = self.fault(first).filter(|_| self.state(first) != Some(State::Fault));
        if let Some(reason) = reason {
            self.with(first, now, |router, turn| router.become_faulty(reason, false, turn));
        } else if self.others(first).iter().all(|id| self.state(*id) == Some(State::Fault)) {
            return self.settle_group_of(first);
        }
        self.lead(first, State::Fault, now, |router, reason, turn| {
            let reason = router.fault().unwrap_or(reason);
            router.become_faulty(reason, true, turn);
        });
    }

    /// INIT or FAULT is over for the whole unit. The owner of the addresses waits for nobody.
    fn recover(&mut self, id: RouterId, unit: &[RouterId], now: Instant) {
        let is_owner = |id: &RouterId| self.routers.get(id).is_some_and(Router::is_owner);
        let owners = unit.iter().all(is_owner);
        let init = |id: &RouterId| !owners && self.state(*id) == Some(State::Init);
        let starting: Vec<RouterId> = unit.iter().copied().filter(init).collect();
        if starting.len() == unit.len() {
            self.tell_group_of(id, State::Backup);
        }
        for id in starting {
            self.with(id, now, |router, turn| router.become_backup(TransitionReason::Started, false, turn));
        }
        let waits = |id: &RouterId| matches!(self.state(*id), Some(State::Init | State::Fault));
        let Some(first) = std::iter::once(id).chain(unit.iter().copied()).find(waits) else {
            self.settle_group_of(id);
            return;
        };
        if owners {
            self.with(first, now, |router, turn| {
                router.report(ReportKind::AdvertTimeout, turn);
                router.become_master(TransitionReason::Owner, turn);
            });
            self.lead(first, State::Master, now, Router::become_master);
        } else {
            self.with(first, now, |router, turn| router.become_backup(TransitionReason::Recovered, false, turn));
            self.lead_out_of_fault(first, now);
        }
    }

    /// The others of a group leave FAULT; a master among them (of a group that a reload changed) is left to `unite`.
    fn lead_out_of_fault(&mut self, first: RouterId, now: Instant) {
        self.lead(first, State::Backup, now, |router, reason, turn| {
            if router.state == State::Fault {
                router.become_backup(reason, false, turn);
            }
        });
    }

    /// The rest of a group follows `leader` into `state`.
    fn lead(
        &mut self,
        leader: RouterId,
        state: State,
        now: Instant,
        follow: impl Fn(&mut Router, TransitionReason, &mut Turn<'_>),
    ) {
        let Some(name) = self.group_name_of(leader) else { return };
        let all = self.others(leader);
        let lonely = all.is_empty();
        let others = all.into_iter().filter(|id| self.is_running(*id) && self.state(*id) != Some(state));
        let others: Vec<RouterId> = others.collect();
        if lonely || !others.is_empty() {
            self.report(Arc::clone(&name), ReportKind::GroupSync(state));
        }
        for id in others {
            let reason = TransitionReason::Group(Arc::clone(&name));
            self.with(id, now, |router, turn| follow(router, reason, turn));
        }
        self.settle_group_of(leader);
    }

    fn settle_group_of(&mut self, id: RouterId) {
        if let Some(group) = self.routers.get(&id).and_then(|router| router.group) {
            self.settle_group(group);
        }
    }

    /// keepalived tells the state of a whole group at the start before those of its members.
    fn tell_group_of(&mut self, id: RouterId, to: State) {
        let group = self.routers.get(&id).and_then(|router| router.group);
        let Some(group) = group.and_then(|group| self.groups.get_mut(group)) else { return };
        if group.state != to {
            group.state = to;
            let group = Arc::clone(&group.name);
            self.push(Effect::GroupTransition { group, to });
        }
    }

    /// Tells a group's state where it changed.
    pub(crate) fn settle_group(&mut self, index: usize) {
        let Some(group) = self.groups.get(index) else { return };
        let to = common_state(group.members.iter().filter_map(|id| self.state(*id)));
        let (from, name) = (group.state, Arc::clone(&group.name));
        if let Some(group) = self.groups.get_mut(index) {
            group.state = to;
        }
        if from != to {
            self.push(Effect::GroupTransition { group: name, to });
        }
    }

    fn group_name_of(&self, id: RouterId) -> Option<Arc<str>> {
        let group = self.routers.get(&id)?.group?;
        self.groups.get(group).map(|group| Arc::clone(&group.name))
    }

    /// A router together with its group.
    pub(crate) fn unit(&self, id: RouterId) -> Vec<RouterId> {
        let group = self.routers.get(&id).and_then(|router| self.groups.get(router.group?));
        group.map_or_else(|| vec![id], |group| group.members.clone())
    }

    fn others(&self, id: RouterId) -> Vec<RouterId> {
        self.unit(id).into_iter().filter(|other| *other != id).collect()
    }

    fn is_running(&self, id: RouterId) -> bool {
        self.routers.get(&id).is_some_and(Router::is_running)
    }

    fn fault(&self, id: RouterId) -> Option<TransitionReason> {
        self.routers.get(&id).and_then(Router::fault)
    }
}
