//! All routers and sync groups of one host.

use crate::config::{Family, GroupConfig, Link, NodeConfig, RouterConfig, TrackerConfig, TrackerName, TrackerStatus};
use crate::effect::{Effect, RouterId, State, TransitionReason};
use crate::group::Group;
use crate::packet::{AH_LEN, Advert, PROTOCOL_AH, Rejection};
use crate::priority::Vote;
use crate::report::{Report, ReportKind};
use crate::restraint::Restraint;
use crate::router::{Router, Sources, Turn};
use crate::timer::{Queue, TimerReason};
use crate::view::{GroupView, RouterView};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A received IP datagram of protocol 112 or 51.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Interface that it came in by.
    pub link: Link,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit, where the socket tells it.
    pub ttl: Option<u8>,
    /// IP protocol: 112, or 51 for an authentication header.
    pub protocol: u8,
    /// The IPv4 header as received; needed for protocol 51 only, may be empty otherwise.
    pub ip_header: &'a [u8],
    /// What follows the IP header (and its options).
    pub payload: &'a [u8],
}

impl Datagram<'_> {
    /// The VRRP message, where an authentication header may stand before it.
    pub(crate) fn message(&self) -> &[u8] {
        let before = if self.protocol == PROTOCOL_AH { AH_LEN } else { 0 };
        self.payload.get(before..).unwrap_or_default()
    }
}

/// All VRRP instances of one host.
///
/// After every call, first drain [`Node::poll_effect`], then ask [`Node::poll_timeout`] again: any call may have moved the
/// earliest deadline. Hand in the datagrams that wait in the sockets **before** calling [`Node::handle_timeout`], so that
/// a late wake-up does not take a master for dead whose adverts are already there.
///
/// A clone is a rehearsal: what it is told happens to it alone, and its effects are those that the original would have.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub(crate) routers: BTreeMap<RouterId, Router>,
    pub(crate) order: Vec<RouterId>,
    pub(crate) groups: Vec<Group>,
    pub(crate) statuses: BTreeMap<TrackerName, TrackerStatus>,
    pub(crate) sources: BTreeMap<(Link, Family), IpAddr>,
    pub(crate) index: BTreeMap<(Family, u8, Link), RouterId>,
    watchers: BTreeMap<TrackerName, Vec<RouterId>>,
    queue: Queue,
    effects: VecDeque<Effect>,
    next_id: u32,
    /// Whether [`Node::handle_timeout`] was called: routers that come later were added by a reload.
    has_started: bool,
    clock: Option<(Instant, Duration)>,
    pub(crate) log_unknown_vrids: bool,
    unknown_vrids: Restraint,
}

impl Node {
    /// A node whose routers are in INIT.
    ///
    /// Their start is due at `now`: tell it sources and tracker verdicts first, then call [`Node::handle_timeout`].
    #[must_use]
    pub fn new(config: NodeConfig, now: Instant) -> Self {
        let mut node = Self::default();
        let delay = config.startup_delay;
        node.reconfigure(config, now);
        if delay.is_zero() {
            return node;
        }
        node.report("", ReportKind::StartupDelay(delay));
        for router in node.routers.values_mut() {
            router.delay_start(delay, now);
        }
        node
    }

    /// An advert came in. Anything that is none is counted and dropped.
    pub fn receive(&mut self, datagram: &Datagram<'_>, now: Instant) {
        let Some(id) = self.addressee(datagram, now) else { return };
        let wish = self.with(id, now, |router, turn| router.receive(datagram, turn));
        self.grant(id, wish, now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.has_started = true;
        self.start_due(now);
        while let Some((deadline, reason, id)) = self.queue.first().filter(|(deadline, ..)| *deadline <= now) {
            let wish = self.with(id, now, |router, turn| router.fire(deadline, reason, turn));
            self.grant(id, wish, now);
        }
    }

    /// When to call [`Node::handle_timeout`] next, and what for. `None` while nothing is awaited but input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimerReason)> {
        self.queue.first().map(|(deadline, reason, _)| (deadline, reason))
    }

    /// The next thing to be done by the caller.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A tracker's verdict. Verdicts are kept, also for routers that a later reload adds.
    pub fn set_tracker(&mut self, tracker: &TrackerName, status: TrackerStatus, now: Instant) {
        self.statuses.insert(tracker.clone(), status);
        let watchers = self.watchers.get(tracker).cloned().unwrap_or_default();
        for id in &watchers {
            self.with(*id, now, |router, turn| router.vote(tracker, status, turn));
        }
        for id in watchers {
            self.reassess(id, now);
        }
    }

    /// The first address of an interface, which adverts come from; link-local for IPv6. `None`: it has none.
    pub fn set_source(&mut self, link: Link, family: Family, address: Option<IpAddr>, now: Instant) {
        match address {
            Some(address) => self.sources.insert((link, family), address),
            None => self.sources.remove(&(link, family)),
        };
        let affected: Vec<RouterId> = self.order.iter().copied().filter(|id| self.uses(*id, link, family)).collect();
        for id in affected {
            let sources = self.sources_on(link);
            self.with(id, now, |router, _| router.set_sources(sources));
            self.reassess(id, now);
        }
    }

    pub(crate) fn sources_on(&self, link: Link) -> Sources {
        let of = |family| self.sources.get(&(link, family)).copied();
        Sources { v4: of(Family::V4), v6: of(Family::V6) }
    }

    /// The time of day: `since_1970` at `now`. `auth_hmac` with `anti_replay time` needs it before the first advert, and
    /// again whenever the clock may have been set; once in a second is enough.
    pub fn set_clock(&mut self, since_1970: Duration, now: Instant) {
        self.clock = Some((now, since_1970));
    }

    /// The interface of a router has another index, because it was deleted and made again.
    pub fn set_link(&mut self, router: RouterId, link: Link, now: Instant) {
        let Some(found) = self.routers.get_mut(&router) else { return };
        let (vrid, old) = (found.config.vrid, found.config.link);
        let families: Vec<Family> = found.config.halves().map(|half| half.family).collect();
        found.config.link = link;
        for family in families {
            if self.index.get(&(family, vrid, old)) == Some(&router) {
                self.index.remove(&(family, vrid, old));
            }
            self.index.insert((family, vrid, link), router);
        }
        let sources = self.sources_on(link);
        self.with(router, now, |router, _| router.set_sources(sources));
        self.reassess(router, now);
    }

    /// Somebody took a virtual address off the interface of a master: it resigns and comes back after the skew time.
    pub fn address_lost(&mut self, router: RouterId, address: IpAddr, now: Instant) {
        if self.state(router) == Some(State::Master) {
            self.step_down(router, TransitionReason::AddressLost(address), true, now);
        }
    }

    /// Somebody removed a route or a rule of a master, described by `what`: as [`Node::address_lost`].
    pub fn policy_lost(&mut self, router: RouterId, what: Arc<str>, now: Instant) {
        if self.state(router) == Some(State::Master) {
            self.step_down(router, TransitionReason::PolicyLost(what), true, now);
        }
    }

    /// A person wants another router to be master: this one, and its group, resign and wait for a whole master down interval.
    /// For so long as `lasts` a lesser master is left in place, as with `preempt_delay`. False when it is not master.
    pub fn yield_mastership(&mut self, router: RouterId, lasts: Duration, now: Instant) -> bool {
        let is_master = self.state(router) == Some(State::Master);
        if is_master {
            self.step_down(router, TransitionReason::Ordered, true, now);
            for member in self.unit(router) {
                self.with(member, now, |router, turn| router.hold_back(lasts, turn));
            }
        }
        is_master
    }

    /// A backup that is not ready yet, and its group, leave a lesser master in place for so long at least; one that is silent has
    /// its place taken as ever.
    pub fn hold_preemption(&mut self, router: RouterId, lasts: Duration, now: Instant) {
        for member in self.unit(router) {
            self.with(member, now, |router, turn| router.hold_preemption(lasts, turn));
        }
    }

    /// It is ready: what is left of a hold is over.
    pub fn release_preemption(&mut self, router: RouterId, now: Instant) {
        for member in self.unit(router) {
            self.with(member, now, Router::release_preemption);
        }
    }

    /// Announces the addresses of a master once more, at once and after the usual delay.
    pub fn announce(&mut self, router: RouterId, now: Instant) {
        if self.state(router) == Some(State::Master) {
            self.with(router, now, Router::announce_twice);
        }
    }

    /// Ends all routers: masters resign and lose their addresses. Nothing is awaited afterwards.
    pub fn stop(&mut self, now: Instant) {
        for id in self.order.clone() {
            if self.state(id) != Some(State::Stop) {
                self.with(id, now, |router, turn| router.end(State::Stop, TransitionReason::Stopped, turn));
            }
        }
        for group in 0..self.groups.len() {
            self.settle_group(group);
        }
    }

    /// All counters of all routers begin at zero again.
    pub fn clear_statistics(&mut self) {
        self.routers.values_mut().for_each(Router::clear_statistics);
    }

    /// Every router in configuration order.
    #[must_use]
    pub fn views(&self) -> Vec<RouterView> {
        let routers = self.order.iter().filter_map(|id| self.routers.get(id));
        routers.map(|router| router.view(self.group_name(router))).collect()
    }

    /// Every sync group in configuration order.
    #[must_use]
    pub fn group_views(&self) -> Vec<GroupView> {
        let view = |group: &Group| GroupView {
            name: Arc::clone(&group.name),
            state: group.state,
            members: group.members.clone(),
        };
        self.groups.iter().map(view).collect()
    }

    /// The identifier of the router with this name.
    #[must_use]
    pub fn router_id(&self, name: &str) -> Option<RouterId> {
        self.routers.values().find(|router| &*router.name == name).map(|router| router.id)
    }

    /// State of a router.
    #[must_use]
    pub fn state(&self, router: RouterId) -> Option<State> {
        self.routers.get(&router).map(|router| router.state)
    }

    fn group_name(&self, router: &Router) -> Option<Arc<str>> {
        let group = self.groups.get(router.group?)?;
        Some(Arc::clone(&group.name))
    }

    fn uses(&self, id: RouterId, link: Link, family: Family) -> bool {
        self.routers.get(&id).is_some_and(|router| router.config.link == link && router.config.half(family).is_some())
    }

    /// The router that a datagram is meant for; an unknown identifier is dropped in silence, as keepalived does.
    fn addressee(&mut self, datagram: &Datagram<'_>, now: Instant) -> Option<RouterId> {
        let family = Family::of(&datagram.source);
        let Some(vrid) = Advert::peek_vrid(datagram.message()) else {
            self.too_short(datagram, family, now);
            return None;
        };
        let on = |link| self.index.get(&(family, vrid, link)).copied();
        let found = on(datagram.link).or_else(|| on(Link(0)));
        if found.is_none() && self.log_unknown_vrids {
            self.tell_unknown_vrid(datagram, vrid, now);
        }
        found
    }

    fn tell_unknown_vrid(&mut self, datagram: &Datagram<'_>, vrid: u8, now: Instant) {
        if self.unknown_vrids.allow(now) {
            self.push(Effect::UnknownVrid { link: datagram.link, vrid, from: datagram.source });
        }
    }

    /// Without an identifier the datagram is charged to the routers of its interface.
    fn too_short(&mut self, datagram: &Datagram<'_>, family: Family, now: Instant) {
        let rejection = match Advert::parse(datagram.payload, family, false) {
            Err(rejection @ Rejection::TooShort { .. }) => rejection,
            _ => Rejection::AhHeader,
        };
        let link = datagram.link;
        let Some(id) = self.order.iter().copied().find(|id| self.uses(*id, link, family)) else { return };
        self.with(id, now, |router, turn| router.reject(rejection, turn));
    }

    /// Lets one router act and keeps the queue of deadlines right.
    pub(crate) fn with<R: Default>(
        &mut self,
        id: RouterId,
        now: Instant,
        act: impl FnOnce(&mut Router, &mut Turn<'_>) -> R,
    ) -> R {
        let Some(router) = self.routers.get_mut(&id) else { return R::default() };
        let before = router.timers.earliest();
        let clock = self.clock.map_or(Duration::ZERO, |(then, clock)| clock + now.saturating_duration_since(then));
        let answer = act(router, &mut Turn { now, clock, effects: &mut self.effects });
        self.queue.replace(id, before, router.timers.earliest());
        answer
    }

    pub(crate) fn report(&mut self, subject: impl Into<Arc<str>>, kind: ReportKind) {
        self.effects.push_back(Effect::Report(Report { subject: subject.into(), kind }));
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn first_due(&self) -> Option<(Instant, TimerReason, RouterId)> {
        self.queue.first()
    }

    /// Takes in a router whose start is due.
    pub(crate) fn adopt(&mut self, config: RouterConfig, now: Instant) -> RouterId {
        let id = RouterId(self.next_id);
        self.next_id += 1;
        let sources = self.sources_on(config.link);
        let mut router = Router::new(id, config, !self.has_started, now);
        router.set_sources(sources);
        self.queue.replace(id, None, router.timers.earliest());
        self.routers.insert(id, router);
        id
    }

    /// Who votes on a router, with the verdicts that are known. What both it and its group watch has one vote, with the group's
    /// weight unless it is fatal for the router.
    pub(crate) fn votes(&self, own: &[TrackerConfig], group: Option<&GroupConfig>) -> Vec<Vote> {
        let of_group = group.map_or(&[][..], |group| &group.trackers);
        let fatal = |tracker: &TrackerName| own.iter().any(|own| own.weight == 0 && own.tracker == *tracker);
        let shared = |tracker: &TrackerName| of_group.iter().any(|group| group.tracker == *tracker);
        let own_votes = own.iter().filter(|own| own.weight == 0 || !shared(&own.tracker));
        let group_votes = of_group.iter().filter(|group| !fatal(&group.tracker));
        let own_votes = own_votes.map(|tracker| Vote::new(tracker, false));
        let mut votes: Vec<Vote> = own_votes.chain(group_votes.map(|tracker| Vote::new(tracker, true))).collect();
        for vote in &mut votes {
            vote.set(self.statuses.get(&vote.tracker).copied().unwrap_or_default());
        }
        votes
    }

    pub(crate) fn rebuild_watchers(&mut self) {
        self.watchers.clear();
        for id in &self.order {
            let Some(router) = self.routers.get(id) else { continue };
            for tracker in router.trackers() {
                let watching = self.watchers.entry(tracker.clone()).or_default();
                if watching.last() != Some(id) {
                    watching.push(*id);
                }
            }
        }
    }
}
