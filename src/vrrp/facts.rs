//! What the node is told of the interfaces.

use super::setup::VrrpSetup;
use super::slots::{Delay, Facts, Slot, Virtual};
use crate::netlink::Interface;
use standfast_vrrp::{Family, Link, Node, TrackerName, TrackerStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The kernel's interfaces by index.
pub(super) type Interfaces = BTreeMap<u32, Arc<Interface>>;

pub(super) fn by_index(interfaces: Vec<Arc<Interface>>) -> Interfaces {
    interfaces.into_iter().map(|interface| (interface.index, interface)).collect()
}

pub(super) fn by_name(interfaces: &Interfaces, name: &str) -> Option<Arc<Interface>> {
    interfaces.values().find(|interface| interface.name == name).cloned()
}

/// Brings a slot in line with what there is. A change must last as long as `interface_up_down_delays` says, if `delayed`.
pub(super) fn refresh(
    slot: &mut Slot,
    interface: Option<Arc<Interface>>,
    interfaces: &Interfaces,
    setup: &VrrpSetup,
    (delayed, now): (bool, Instant),
) {
    slot.base = setup.base_of(&slot.name).and_then(|base| by_name(interfaces, base));
    let delay: Delay = setup.interface_delays.get(&slot.name).copied().filter(|_| delayed).unwrap_or_default();
    slot.take(interface, delay, now);
}

/// Tells the node of a slot; what it knew and what it knows, where that is not the same.
pub(super) fn tell(
    node: &mut Node,
    link: Link,
    slot: &mut Slot,
    of_routers: &Virtual,
    now: Instant,
) -> Option<(Option<Facts>, Facts)> {
    let facts = slot.facts(of_routers);
    let told = slot.told.replace(facts);
    if told == Some(facts) {
        return None;
    }
    let status = if facts.usable { TrackerStatus::Up } else { TrackerStatus::Down };
    node.set_source(link, Family::V4, facts.v4, now);
    node.set_source(link, Family::V6, facts.v6, now);
    node.set_tracker(&TrackerName::Interface(slot.name.clone()), status, now);
    Some((told, facts))
}

/// Votes of `track_src_ip`: a source may be on any interface.
pub(super) fn tell_tracked_sources(node: &mut Node, setup: &VrrpSetup, interfaces: &Interfaces, now: Instant) {
    for source in setup.tracked_sources() {
        let held = |interface: &Arc<Interface>| interface.addresses.iter().any(|held| held.address == source);
        let found = interfaces.values().any(held);
        let status = if found { TrackerStatus::Up } else { TrackerStatus::Down };
        node.set_tracker(&TrackerName::Source(source), status, now);
    }
}
