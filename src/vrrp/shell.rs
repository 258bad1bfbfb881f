//! Carries out what the node wants, and tells it what happens.

use super::entries::{self, Entries, Entry};
use super::event::{Views, VrrpEvent};
use super::facts::{self, Interfaces};
use super::rehearsal::{Rehearsal, priority_of};
use super::setup::VrrpSetup;
use super::slots::{Facts, Slot, Slots, Virtual};
use super::socket::{LARGEST, Outgoing};
use super::sockets::Sockets;
use crate::netlink::{self, AddressSpec, Belongings, Event, Interface};
use crate::poller::Poller;
use standfast_vrrp::{Datagram, Effect, Level, Link, Node, Report, RouterId, TrackerName, TrackerStatus};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::UnboundedSender;

/// Datagrams taken from one socket before the thread looks at its timers again.
const BATCH: usize = 64;

/// What outlives a panic: facts about the world, never the state of a router.
pub(super) struct World {
    pub(super) setup: VrrpSetup,
    pub(super) netlink: netlink::Handle,
    pub(super) events: UnboundedSender<VrrpEvent>,
    pub(super) interfaces: Interfaces,
    pub(super) trackers: BTreeMap<TrackerName, TrackerStatus>,
}

pub(super) struct Shell<'a> {
    world: &'a mut World,
    node: Node,
    slots: Slots,
    sockets: Sockets,
    entries: Entries,
    of_routers: Virtual,
    buffer: Box<[u8]>,
    /// Whether the first look at the interfaces is over; from then on their changes are news.
    started: bool,
}

impl<'a> Shell<'a> {
    pub(super) fn start(world: &'a mut World, poller: &Poller) -> Self {
        let mut slots = Slots::default();
        let config = world.setup.node_config(&mut slots);
        let mut sockets = Sockets::default();
        sockets.want(&config);
        let node = Node::new(config, Instant::now());
        let of_routers = world.setup.virtual_addresses();
        let buffer = vec![0; LARGEST].into_boxed_slice();
        let mut shell =
            Self { world, node, slots, sockets, entries: Entries::new(), of_routers, buffer, started: false };
        shell.tell_time();
        entries::enter(&mut shell.entries, &shell.node, &shell.world.setup);
        for (tracker, status) in shell.world.trackers.clone() {
            shell.node.set_tracker(&tracker, status, Instant::now());
        }
        shell.take_all_interfaces(poller);
        shell.settle();
        shell.started = true;
        shell.tell_sockets();
        shell
    }

    /// One line for every socket and what it serves, as keepalived numbers its pool.
    fn tell_sockets(&self) {
        for line in self.sockets.lines(&self.slots) {
            tracing::debug!(target: "vrrp", "VRRP sockpool: [{line}]");
        }
    }

    /// When [`Shell::settle`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.node_deadline(), self.slots.due()].into_iter().flatten().min()
    }

    fn node_deadline(&self) -> Option<Instant> {
        self.node.poll_timeout().map(|(deadline, _)| deadline)
    }

    /// Tells the node the time of day, which `auth_hmac` compares. Once for every wake-up is often enough to follow a clock
    /// that is set.
    pub(super) fn tell_time(&mut self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.node.set_clock(since_1970, Instant::now());
    }

    /// Does what is due and carries out every effect.
    pub(super) fn settle(&mut self) {
        let now = Instant::now();
        if self.slots.due().is_some_and(|due| due <= now) {
            self.take_ripe_links(now);
        }
        if self.node_deadline().is_some_and(|deadline| deadline <= now) {
            self.node.handle_timeout(now);
        }
        self.carry_out_effects();
    }

    /// Hands the datagrams that wait in a socket to the node.
    pub(super) fn receive(&mut self, token: u64) {
        let Some((link, protocol, socket)) = self.sockets.readable(token) else { return };
        for _ in 0..BATCH {
            let incoming = match socket.receive(&mut self.buffer) {
                Ok(Some(incoming)) => incoming,
                Ok(None) => continue,
                Err(_) => return,
            };
            let (Some(ip_header), Some(payload)) =
                (self.buffer.get(..incoming.header), self.buffer.get(incoming.header..incoming.end))
            else {
                continue;
            };
            let (source, destination, ttl) = (incoming.source, incoming.destination, incoming.ttl);
            let datagram = Datagram { link, source, destination, ttl, protocol, ip_header, payload };
            self.node.receive(&datagram, Instant::now());
        }
    }

    /// The master of this name resigns.
    pub(super) fn yield_mastership(&mut self, name: &str, lasts: Duration) -> Result<(), String> {
        let Some(id) = self.node.router_id(name) else { return Err(format!("there is no VRRP instance {name}")) };
        match self.node.yield_mastership(id, lasts, Instant::now()) {
            true => Ok(()),
            false => Err(format!("{name} is not master here")),
        }
    }

    /// A backup of this name leaves a lesser master in place for so long, or no longer.
    pub(super) fn hold_preemption(&mut self, name: &str, lasts: Option<Duration>) {
        let Some(id) = self.node.router_id(name) else { return };
        match lasts {
            Some(lasts) => self.node.hold_preemption(id, lasts, Instant::now()),
            None => self.node.release_preemption(id, Instant::now()),
        }
    }

    pub(super) fn set_tracker(&mut self, tracker: TrackerName, status: TrackerStatus) {
        self.node.set_tracker(&tracker, status, Instant::now());
        self.world.trackers.insert(tracker, status);
    }

    pub(super) fn take_report(&mut self, event: Event, poller: &Poller) {
        match event {
            Event::Snapshot(interfaces) => {
                self.world.interfaces = facts::by_index(interfaces);
                self.take_all_interfaces(poller);
            }
            Event::Changed(interface) => {
                let before = self.world.interfaces.insert(interface.index, Arc::clone(&interface));
                if before.is_none_or(|before| before.name != interface.name) {
                    tracing::debug!(target: "vrrp", "Interface {} added", interface.name);
                }
                let name = interface.name.clone();
                self.update_slot(&name, Some(interface), poller);
                self.update_vmacs_on(&name, poller);
            }
            Event::Removed(interface) => {
                self.world.interfaces.remove(&interface.index);
                self.update_slot(&interface.name, None, poller);
                self.update_vmacs_on(&interface.name, poller);
                tracing::debug!(target: "vrrp", "Interface {} deleted", interface.name);
            }
            Event::AddressLost { owner, address, .. } => self.address_lost(&owner, address),
            Event::PolicyLost { owner, what } => self.policy_lost(&owner, &what),
        }
        self.tell_tracked_sources();
    }

    pub(super) fn reconfigure(&mut self, setup: VrrpSetup, poller: &Poller) {
        self.world.netlink.remember(setup.addresses());
        self.world.netlink.set_pace(setup.pace.clone());
        self.world.netlink.set_firewall(setup.firewall.clone());
        // What goes is still needed for the last adverts.
        let going = self.world.setup.vmacs.iter().filter(|vmac| !setup.vmacs.iter().any(|kept| kept.name == vmac.name));
        let going: Vec<_> = going.cloned().collect();
        self.world.netlink.set_vmacs(setup.vmacs.iter().cloned().chain(going).collect());
        self.world.netlink.set_sysctls(setup.sysctls());
        self.world.netlink.set_statics(Arc::clone(&setup.statics));
        self.world.setup = setup;
        let config = self.world.setup.node_config(&mut self.slots);
        self.of_routers = self.world.setup.virtual_addresses();
        self.sockets.want_besides(&config);
        self.sockets.align(&self.slots, poller);
        self.node.reconfigure(config.clone(), Instant::now());
        entries::enter(&mut self.entries, &self.node, &self.world.setup);
        self.take_all_interfaces(poller);
        self.settle();
        self.forget_removed_routers();
        self.sockets.want(&config);
        self.sockets.align(&self.slots, poller);
        self.tell_sockets();
        self.world.netlink.set_vmacs(self.world.setup.vmacs.clone());
    }

    pub(super) fn clear_statistics(&mut self) {
        self.node.clear_statistics();
    }

    pub(super) fn views(&self) -> Views {
        let link = |(link, slot): (Link, &Slot)| (link, slot.name.clone(), slot.interface.clone());
        let links = self.slots.iter().map(link).collect();
        Views {
            routers: self.node.views(),
            groups: self.node.group_views(),
            links,
            interfaces: self.world.interfaces.values().cloned().collect(),
            sockets: self.sockets.views(&self.slots),
        }
    }

    /// Resigns and removes the addresses, unless they are to be kept.
    pub(super) fn stop(&mut self) {
        if !self.world.setup.keep_addresses {
            self.world.netlink.leave();
            self.node.stop(Instant::now());
            self.carry_out_effects();
        }
    }

    /// Copies of everything that a reload changes, to play one.
    pub(super) fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            node: self.node.clone(),
            slots: self.slots.clone(),
            entries: self.entries.clone(),
            interfaces: self.world.interfaces.clone(),
            vmacs: self.world.setup.vmacs.clone(),
        }
    }

    fn forget_removed_routers(&mut self) {
        let node = &self.node;
        self.entries.retain(|id, _| node.state(*id).is_some());
    }

    fn take_all_interfaces(&mut self, poller: &Poller) {
        let names: Vec<String> = self.slots.iter().map(|(_, slot)| slot.name.clone()).collect();
        for name in names {
            let interface = facts::by_name(&self.world.interfaces, &name);
            self.update_slot(&name, interface, poller);
        }
        self.sockets.align(&self.slots, poller);
        self.tell_tracked_sources();
    }

    /// A VMAC sends with the address of its base.
    fn update_vmacs_on(&mut self, base: &str, poller: &Poller) {
        let on_base = self.world.setup.vmacs.iter().filter(|vmac| vmac.base == base);
        let names: Vec<String> = on_base.map(|vmac| vmac.name.clone()).collect();
        for name in names {
            let interface = facts::by_name(&self.world.interfaces, &name);
            self.update_slot(&name, interface, poller);
        }
    }

    fn update_slot(&mut self, name: &str, interface: Option<Arc<Interface>>, poller: &Poller) {
        let Some(link) = self.slots.by_name(name) else { return };
        let Some(slot) = self.slots.get_mut(link) else { return };
        let was_usable = slot.is_usable();
        let old_index = slot.interface.as_ref().map(|interface| interface.index);
        let World { setup, interfaces, .. } = &*self.world;
        facts::refresh(slot, interface, interfaces, setup, (self.started, Instant::now()));
        let (usable, index) = (slot.is_usable(), slot.interface.as_ref().map(|interface| interface.index));
        if index != old_index {
            self.sockets.align(&self.slots, poller);
        }
        if usable != was_usable && self.started {
            report_link(name, usable);
        }
        self.tell_node(name, link);
    }

    fn take_ripe_links(&mut self, now: Instant) {
        for (link, name) in self.slots.ripe(now) {
            report_link(&name, self.slots.get(link).is_some_and(Slot::is_usable));
            self.tell_node(&name, link);
        }
    }

    fn tell_node(&mut self, name: &str, link: Link) {
        let Some(slot) = self.slots.get_mut(link) else { return };
        if let Some((told, facts)) = facts::tell(&mut self.node, link, slot, &self.of_routers, Instant::now()) {
            tell_sources(name, told, facts);
        }
    }

    fn tell_tracked_sources(&mut self) {
        facts::tell_tracked_sources(&mut self.node, &self.world.setup, &self.world.interfaces, Instant::now());
    }

    fn address_lost(&mut self, owner: &str, address: IpAddr) {
        let is_own = |entry: &Entry| entry.belongings.addresses.iter().any(|spec| spec.address == address);
        let lost = self.entries.iter().find(|(_, entry)| *entry.name == *owner && is_own(entry));
        if let Some((id, _)) = lost {
            self.node.address_lost(*id, address, Instant::now());
        }
    }

    fn policy_lost(&mut self, owner: &str, what: &Arc<str>) {
        if let Some((id, _)) = self.entries.iter().find(|(_, entry)| *entry.name == *owner) {
            self.node.policy_lost(*id, Arc::clone(what), Instant::now());
        }
    }

    fn carry_out_effects(&mut self) {
        while let Some(effect) = self.node.poll_effect() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Advertise { router, link, source, destination, ttl, protocol, identification, payload } => {
                let payload = payload.as_slice();
                let advert = Outgoing { source, destination, ttl, protocol, identification, payload };
                self.send(router, link, &advert);
            }
            Effect::SetAddresses { router }
            | Effect::ClearAddresses { router }
            | Effect::UpdateAddresses { router }
            | Effect::Announce { router, .. }
            | Effect::AnnounceExtra { router } => self.command_netlink(router, &effect),
            Effect::AnnounceSource { router, link, address } => self.announce_source(router, link, address),
            Effect::Report(report) => self.log(&report),
            Effect::UnknownVrid { link, vrid, .. } => {
                let name = self.slots.get(link).map_or("any", |slot| slot.name.as_str());
                tracing::info!(target: "vrrp", "Unknown VRID({vrid}) received on interface({name}). ignoring...");
            }
            effect => self.tell_supervisor(effect),
        }
    }

    /// With what keepalived says of other things that come and go together with the addresses.
    fn log(&self, report: &Report) {
        let entry = self.entries.values().find(|entry| entry.name == report.subject);
        let (before, after) = entry.map(|entry| entry.besides.lines(&report.kind)).unwrap_or_default();
        let name = &report.subject;
        before.iter().for_each(|line| tracing::debug!(target: "vrrp", "({name}) {line}"));
        if !entry.is_some_and(|entry| entry.besides.silences(&report.kind)) {
            log(report);
        }
        after.iter().for_each(|line| tracing::debug!(target: "vrrp", "({name}) {line}"));
    }

    fn send(&self, router: RouterId, link: Link, advert: &Outgoing<'_>) {
        let Err(error) = self.sockets.send(link, advert) else { return };
        // That a farewell cannot leave by an interface that is down is no news.
        if !(is_farewell(advert) && matches!(error, nix::Error::ENETUNREACH | nix::Error::ENETDOWN)) {
            let (name, code) = (self.name(router), error as i32);
            tracing::warn!(target: "vrrp", "({name}): send advert error {code} ({})", error.desc());
        }
    }

    /// On the interface that has the address: the base of a VMAC.
    fn announce_source(&self, router: RouterId, link: Link, address: IpAddr) {
        let (Some(entry), Some(slot)) = (self.entries.get(&router), self.slots.get(link)) else { return };
        let vmac = self.world.setup.vmacs.iter().find(|vmac| vmac.name == slot.name);
        let interface = vmac.map_or(slot.name.as_str(), |vmac| vmac.base.as_str());
        let source = AddressSpec::new(interface, address, if address.is_ipv4() { 32 } else { 128 });
        self.world.netlink.announce(&entry.name, &Arc::new(Belongings::of(vec![source])), 1);
    }

    fn command_netlink(&self, router: RouterId, effect: &Effect) {
        let Some(entry) = self.entries.get(&router) else { return };
        let (netlink, name, belongings) = (&self.world.netlink, &entry.name, &entry.belongings);
        match effect {
            Effect::SetAddresses { .. } => netlink.set(name, belongings),
            Effect::ClearAddresses { .. } => {
                netlink.clear(name, belongings);
                netlink.clear(name, &entry.dropped);
            }
            Effect::UpdateAddresses { .. } => {
                for gone in &entry.dropped.addresses {
                    tracing::info!(target: "vrrp", "({name}) ip address {gone}, no longer exist");
                }
                netlink.clear(name, &entry.dropped);
                netlink.set(name, belongings);
            }
            Effect::Announce { rounds, .. } => netlink.announce(name, belongings, *rounds),
            Effect::AnnounceExtra { .. } => netlink.announce(name, &entry.extra, 1),
            _ => {}
        }
    }

    /// The supervisor may be gone at the very end; then nobody is left to be told.
    fn tell_supervisor(&self, effect: Effect) {
        let event = match effect {
            Effect::Transition { router, from, to, priority, reason } => {
                VrrpEvent::Transition { router: self.name(router), from, to, priority, reason }
            }
            Effect::GroupTransition { group, to } => VrrpEvent::GroupTransition { group, to },
            Effect::MasterReceivedLowerPriority { router } => {
                VrrpEvent::MasterReceivedLowerPriority { router: self.name(router) }
            }
            Effect::SplitBrain { router, rival, over } => {
                VrrpEvent::SplitBrain { router: self.name(router), rival, over }
            }
            Effect::PriorityChanged { router, priority, state } => {
                VrrpEvent::PriorityChanged { router: self.name(router), priority, state }
            }
            _ => return,
        };
        let _ = self.world.events.send(event);
    }

    fn name(&self, router: RouterId) -> Arc<str> {
        self.entries.get(&router).map(|entry| Arc::clone(&entry.name)).unwrap_or_default()
    }
}

fn report_link(name: &str, usable: bool) {
    tracing::info!(target: "vrrp", "Netlink reports {name} {}", if usable { "up" } else { "down" });
}

fn is_farewell(advert: &Outgoing<'_>) -> bool {
    priority_of(advert.protocol, advert.payload) == Some(0)
}

/// Which addresses adverts may come from now on, and which no more.
fn tell_sources(name: &str, before: Option<Facts>, now: Facts) {
    let before = before.map_or([None, None], |facts| [facts.v4, facts.v6]);
    for (old, new) in before.into_iter().zip([now.v4, now.v6]).filter(|(old, new)| old != new) {
        if let Some(old) = old.filter(|_| new.is_none()) {
            tracing::info!(target: "vrrp", "Deassigned address {old} from interface {name}");
        }
        if let Some(new) = new {
            tracing::info!(target: "vrrp", "Assigned address {new} for interface {name}");
        }
    }
}

fn log(report: &Report) {
    match report.level() {
        Level::Detail => tracing::debug!(target: "vrrp", "{report}"),
        Level::Info | Level::Notice => tracing::info!(target: "vrrp", "{report}"),
        Level::Warning => tracing::warn!(target: "vrrp", "{report}"),
    }
}
