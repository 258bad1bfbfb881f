//! Reload by differences.

use crate::config::{Family, GroupConfig, Link, NodeConfig, RouterConfig};
use crate::effect::{RouterId, State, TransitionReason};
use crate::group::{Group, common_state};
use crate::node::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What makes a router the same one after a reload.
type Identity = (Family, u8, Link);

fn identity(config: &RouterConfig) -> Identity {
    (config.family, config.vrid, config.link)
}

impl Node {
    /// Takes a changed configuration.
    ///
    /// Routers are matched by interface, identifier and family. One that did not change keeps its state and timers and
    /// sends nothing; one that is gone resigns and is dropped; one with another name goes on under it; a master whose
    /// advert says something else says it at once. Effects of dropped routers still carry their old identifiers: carry
    /// them out with the old addresses at hand. Masters that go on give [`Effect::UpdateAddresses`].
    ///
    /// [`Effect::UpdateAddresses`]: crate::Effect::UpdateAddresses
    pub fn reconfigure(&mut self, config: NodeConfig, now: Instant) {
        let NodeConfig { routers, groups, log_unknown_vrids, .. } = config;
        self.log_unknown_vrids = log_unknown_vrids;
        self.drop_missing(&routers, now);
        self.dissolve_groups();
        self.order.clear();
        let mut names = BTreeMap::new();
        for router in routers {
            let name = router.name.clone();
            let id = self.take(router, &groups, now);
            self.order.push(id);
            names.entry(name).or_insert(id);
        }
        self.form_groups(&groups, &names);
        self.rebuild_watchers();
        self.reconcile(now);
    }

    fn drop_missing(&mut self, wanted: &[RouterConfig], now: Instant) {
        let wanted: BTreeSet<Identity> = wanted.iter().map(identity).collect();
        let gone = self.routers.values().filter(|router| !wanted.contains(&identity(&router.config)));
        let gone: BTreeSet<RouterId> = gone.map(|router| router.id).collect();
        for id in self.order.clone() {
            if gone.contains(&id) {
                self.with(id, now, |router, turn| router.end(State::Deleted, TransitionReason::Removed, turn));
                self.routers.remove(&id);
            }
        }
        // Halves are entered anew; until then a router is known by itself alone.
        let routers = &self.routers;
        self.index.retain(|key, id| routers.get(id).is_some_and(|router| identity(&router.config) == *key));
    }

    /// Updates the router that has this identity, or adds one.
    fn take(&mut self, config: RouterConfig, groups: &[GroupConfig], now: Instant) -> RouterId {
        let group = groups.iter().find(|group| group.members.contains(&config.name));
        let votes = self.votes(&config.trackers, group);
        let known = self.index.get(&identity(&config)).copied().filter(|id| !self.order.contains(id));
        let sources = self.sources_on(config.link);
        let id = known.unwrap_or_else(|| self.adopt(config.clone(), now));
        for half in config.halves() {
            self.index.insert((half.family, config.vrid, config.link), id);
        }
        self.with(id, now, |router, turn| router.update(config, votes, sources, turn));
        id
    }

    fn dissolve_groups(&mut self) {
        for router in self.routers.values_mut() {
            router.group = None;
        }
    }

    /// The states of groups that go on are carried over by name, so that nothing is told twice.
    fn form_groups(&mut self, groups: &[GroupConfig], names: &BTreeMap<String, RouterId>) {
        let old = std::mem::take(&mut self.groups);
        for config in groups {
            let mut members = Vec::new();
            for id in config.members.iter().filter_map(|name| names.get(name)) {
                let index = self.groups.len();
                if let Some(router) = self.routers.get_mut(id).filter(|router| router.group.is_none()) {
                    router.group = Some(index);
                    members.push(*id);
                }
            }
            let known = old.iter().find(|group| *group.name == *config.name).map(|group| group.state);
            let state = known.unwrap_or(State::Init);
            self.groups.push(Group { name: config.name.as_str().into(), members, state });
        }
    }

    /// Faults that came or went, and groups that are of two minds.
    fn reconcile(&mut self, now: Instant) {
        for id in self.order.clone() {
            self.reassess(id, now);
        }
        for index in 0..self.groups.len() {
            self.unite(index, now);
            self.settle_group(index);
        }
    }

    /// Masters of a group that is not wholly master resign, so that the whole group stands for election.
    fn unite(&mut self, index: usize, now: Instant) {
        let Some(members) = self.groups.get(index).map(|group| group.members.clone()) else { return };
        let common = common_state(members.iter().filter_map(|id| self.state(*id)));
        let divided = |state: Option<State>| state == Some(State::Master) && common != State::Master;
        if let Some(master) = members.iter().copied().find(|id| divided(self.state(*id))) {
            self.step_down(master, TransitionReason::Group(self.group_name_at(index)), true, now);
        }
    }

    fn group_name_at(&self, index: usize) -> std::sync::Arc<str> {
        self.groups.get(index).map_or_else(|| "".into(), |group| std::sync::Arc::clone(&group.name))
    }
}
