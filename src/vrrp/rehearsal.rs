//! A reload played on copies: the node decides as it would, and nobody carries its effects out.

use super::entries::{self, Entries, Entry};
use super::facts::{self, Interfaces};
use super::setup::VrrpSetup;
use super::slots::Slots;
use crate::netlink::{Belongings, VmacSpec};
use standfast_vrrp::{Effect, Node, RouterId, State, TransitionReason};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Copies of everything that a reload changes.
#[derive(Debug, Default)]
pub struct Rehearsal {
    pub(super) node: Node,
    pub(super) slots: Slots,
    pub(super) entries: Entries,
    pub(super) interfaces: Interfaces,
    pub(super) vmacs: Vec<VmacSpec>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Performance {
    /// Every router that was there or is there afterwards; those that were there first.
    pub parts: Vec<Part>,
    /// Interfaces of virtual routers that are made.
    pub made: Vec<String>,
    /// Interfaces of virtual routers that are removed, or removed and made anew.
    pub unmade: Vec<String>,
}

impl Performance {
    /// VRRP starts with this setup.
    #[must_use]
    pub fn first(setup: &VrrpSetup) -> Self {
        let standing = |config: &standfast_vrrp::RouterConfig| Standing {
            name: config.name.as_str().into(),
            state: State::Init,
            priority: config.priority,
        };
        let part = |router: &super::RouterSetup| Part { after: Some(standing(&router.config)), ..Part::default() };
        Self { parts: setup.routers.iter().map(part).collect(), made: beyond(&setup.vmacs, &[]), unmade: Vec::new() }
    }
}

/// A virtual router.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Before the reload; `None` where the reload adds it.
    pub before: Option<Standing>,
    /// When everything that the reload does at once is done; `None` where the reload removes it.
    pub after: Option<Standing>,
    /// Changes of its state, in order, each with its reason.
    pub transitions: Vec<(State, TransitionReason)>,
    /// Adverts of priority 0.
    pub farewells: u32,
    /// Adverts of another priority, sent out of turn.
    pub adverts: u32,
    /// Its addresses are announced by gratuitous ARP or unsolicited neighbour advertisements.
    pub announces: bool,
    /// What it takes off.
    pub lost: Belongings,
    /// What it sets.
    pub gained: Belongings,
}

/// How a virtual router stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: Arc<str>,
    /// Its state.
    pub state: State,
    /// Its effective priority.
    pub priority: u8,
}

impl Rehearsal {
    /// Plays the reload. The steps are those of the thread, without sockets and netlink.
    #[must_use]
    pub fn reconfigure(mut self, setup: &VrrpSetup, now: Instant) -> Performance {
        while self.node.poll_effect().is_some() {}
        let before = self.standings();
        let held = self.held();
        let config = setup.node_config(&mut self.slots);
        self.node.reconfigure(config, now);
        entries::enter(&mut self.entries, &self.node, setup);
        self.take_all_interfaces(setup, now);
        if self.node.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
            self.node.handle_timeout(now);
        }
        let mut parts = Cast { entries: &self.entries, held, parts: BTreeMap::new() };
        while let Some(effect) = self.node.poll_effect() {
            parts.take(&effect);
        }
        let (made, unmade) = (beyond(&setup.vmacs, &self.vmacs), beyond(&self.vmacs, &setup.vmacs));
        Performance { parts: parts.close(before, self.standings()), made, unmade }
    }

    fn take_all_interfaces(&mut self, setup: &VrrpSetup, now: Instant) {
        let of_routers = setup.virtual_addresses();
        let links: Vec<_> = self.slots.iter().map(|(link, _)| link).collect();
        for link in links {
            let Some(slot) = self.slots.get_mut(link) else { continue };
            let interface = facts::by_name(&self.interfaces, &slot.name);
            facts::refresh(slot, interface, &self.interfaces, setup, (true, now));
            facts::tell(&mut self.node, link, slot, &of_routers, now);
        }
        facts::tell_tracked_sources(&mut self.node, setup, &self.interfaces, now);
    }

    fn standings(&self) -> BTreeMap<RouterId, Standing> {
        let standing = |view: standfast_vrrp::RouterView| {
            (view.id, Standing { name: view.name, state: view.state, priority: view.effective_priority })
        };
        self.node.views().into_iter().map(standing).collect()
    }

    /// What the masters hold.
    fn held(&self) -> BTreeMap<RouterId, Belongings> {
        let is_master = |(id, _): &(&RouterId, &Entry)| self.node.state(**id) == Some(State::Master);
        self.entries.iter().filter(is_master).map(|(id, entry)| (*id, Belongings::clone(&entry.belongings))).collect()
    }
}

/// Names of the first that are not among the second as they are.
fn beyond(these: &[VmacSpec], others: &[VmacSpec]) -> Vec<String> {
    these.iter().filter(|one| !others.contains(one)).map(|one| one.name.clone()).collect()
}

/// The routers while their effects come in.
struct Cast<'a> {
    entries: &'a Entries,
    /// What each holds before the reload.
    held: BTreeMap<RouterId, Belongings>,
    /// Each with what it holds so far; `None` as long as that is what it held before.
    parts: BTreeMap<RouterId, (Part, Option<Belongings>)>,
}

impl Cast<'_> {
    fn take(&mut self, effect: &Effect) {
        let (router, priority) = match effect {
            Effect::Advertise { router, protocol, payload, .. } => (router, priority_of(*protocol, payload)),
            Effect::SetAddresses { router }
            | Effect::ClearAddresses { router }
            | Effect::UpdateAddresses { router }
            | Effect::Announce { router, .. }
            | Effect::AnnounceExtra { router }
            | Effect::Transition { router, .. } => (router, None),
            _ => return,
        };
        let (part, holds) = self.parts.entry(*router).or_default();
        match effect {
            Effect::Advertise { .. } if priority == Some(0) => part.farewells += 1,
            Effect::Advertise { .. } => part.adverts += 1,
            Effect::SetAddresses { .. } | Effect::UpdateAddresses { .. } => {
                *holds = self.entries.get(router).map(|entry| Belongings::clone(&entry.belongings));
            }
            Effect::ClearAddresses { .. } => *holds = Some(Belongings::default()),
            Effect::Announce { .. } | Effect::AnnounceExtra { .. } => part.announces = true,
            Effect::Transition { to, reason, .. } => part.transitions.push((*to, reason.clone())),
            _ => {}
        }
    }

    fn close(mut self, before: BTreeMap<RouterId, Standing>, mut after: BTreeMap<RouterId, Standing>) -> Vec<Part> {
        let mut parts = Vec::new();
        for (id, standing) in before {
            parts.push(self.part(id, Some(standing), after.remove(&id)));
        }
        for (id, standing) in after {
            parts.push(self.part(id, None, Some(standing)));
        }
        parts
    }

    fn part(&mut self, id: RouterId, before: Option<Standing>, after: Option<Standing>) -> Part {
        let (part, holds) = self.parts.remove(&id).unwrap_or_default();
        let held = self.held.remove(&id).unwrap_or_default();
        let holds = holds.unwrap_or_else(|| held.clone());
        Part { before, after, lost: held.without(&holds), gained: holds.without(&held), ..part }
    }
}

/// The priority in an advert, where an authentication header may stand before it.
pub(super) fn priority_of(protocol: u8, payload: &[u8]) -> Option<u8> {
    use standfast_vrrp::packet::{AH_LEN, PROTOCOL_AH};
    let before = if protocol == PROTOCOL_AH { AH_LEN } else { 0 };
    payload.get(before + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{AddressSpec, Interface, InterfaceAddress};
    use crate::vrrp::RouterSetup;
    use standfast_vrrp::{Link, RouterConfig};
    use std::time::Duration;

    fn router(name: &str, vrid: u8, addresses: &[&str]) -> RouterSetup {
        let mut config = RouterConfig::new(name, Link(0), vrid);
        config.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let specs = config.addresses.iter().map(|address| AddressSpec::new("eth0", *address, 24)).collect();
        let belongings = Belongings::of(specs);
        RouterSetup {
            config,
            interface: Some("eth0".to_owned()),
            track_primary: true,
            extra: Arc::default(),
            belongings,
        }
    }

    fn setup(routers: Vec<RouterSetup>) -> VrrpSetup {
        VrrpSetup { routers, ..VrrpSetup::default() }
    }

    /// A rehearsal in which every router of `setup` is master.
    fn masters(setup: &VrrpSetup, now: Instant) -> Rehearsal {
        let held = InterfaceAddress { address: "10.0.0.1".parse().unwrap(), prefix_len: 24, secondary: false };
        let name = "eth0".to_owned();
        let eth0 = Interface { index: 2, name, up: true, running: true, addresses: vec![held], ..Interface::default() };
        let mut slots = Slots::default();
        let node = Node::new(setup.node_config(&mut slots), now);
        let interfaces = facts::by_index(vec![Arc::new(eth0)]);
        let mut rehearsal = Rehearsal { node, slots, interfaces, ..Rehearsal::default() };
        entries::enter(&mut rehearsal.entries, &rehearsal.node, setup);
        rehearsal.take_all_interfaces(setup, now);
        let end = now + Duration::from_secs(4);
        while let Some((due, _)) = rehearsal.node.poll_timeout().filter(|(due, _)| *due <= end) {
            rehearsal.node.handle_timeout(due.max(now));
            while rehearsal.node.poll_effect().is_some() {}
        }
        assert!(rehearsal.standings().values().all(|standing| standing.state == State::Master));
        rehearsal
    }

    fn later(now: Instant) -> Instant {
        now + Duration::from_millis(4500)
    }

    fn addresses(belongings: &Belongings) -> Vec<String> {
        belongings.addresses.iter().map(|spec| spec.address.to_string()).collect()
    }

    #[test]
    fn what_does_not_change_does_nothing() {
        let (now, same) = (Instant::now(), setup(vec![router("VI_1", 51, &["10.0.0.9"])]));
        let played = masters(&same, now).reconfigure(&same, later(now));
        let [part] = &played.parts[..] else { unreachable!("one router") };
        let nothing = Part { before: part.before.clone(), after: part.before.clone(), ..Part::default() };
        assert_eq!(*part, nothing);
    }

    #[test]
    fn a_master_that_is_removed_resigns_and_takes_its_addresses_along() {
        let now = Instant::now();
        let old = setup(vec![router("VI_1", 51, &["10.0.0.9"]), router("VI_2", 52, &["10.0.0.8"])]);
        let new = setup(vec![router("VI_2", 52, &["10.0.0.8"])]);
        let played = masters(&old, now).reconfigure(&new, later(now));
        let [gone, kept] = &played.parts[..] else { unreachable!("two routers") };
        assert_eq!(
            (gone.farewells, gone.after.is_none(), addresses(&gone.lost)),
            (1, true, vec!["10.0.0.9".to_owned()])
        );
        assert_eq!(gone.transitions, [(State::Deleted, TransitionReason::Removed)]);
        assert_eq!((kept.farewells, kept.adverts, kept.transitions.len()), (0, 0, 0));
    }

    #[test]
    fn addresses_that_come_and_go_are_told_apart_from_those_that_stay() {
        let now = Instant::now();
        let old = setup(vec![router("VI_1", 51, &["10.0.0.9", "10.0.0.8"])]);
        let new = setup(vec![router("VI_1", 51, &["10.0.0.9", "10.0.0.7"])]);
        let played = masters(&old, now).reconfigure(&new, later(now));
        let part = &played.parts[0];
        assert_eq!(addresses(&part.lost), ["10.0.0.8"]);
        assert_eq!(addresses(&part.gained), ["10.0.0.7"]);
        assert!(part.announces && part.farewells == 0 && part.transitions.is_empty());
    }

    #[test]
    fn another_identifier_is_another_router() {
        let now = Instant::now();
        let old = setup(vec![router("VI_1", 51, &["10.0.0.9"])]);
        let new = setup(vec![router("VI_1", 77, &["10.0.0.9"])]);
        let played = masters(&old, now).reconfigure(&new, later(now));
        let [gone, come] = &played.parts[..] else { unreachable!("two routers") };
        assert_eq!((gone.farewells, addresses(&gone.lost)), (1, vec!["10.0.0.9".to_owned()]));
        assert_eq!(come.after.as_ref().map(|standing| standing.state), Some(State::Backup));
        assert!(come.before.is_none() && addresses(&come.gained).is_empty());
    }
}
