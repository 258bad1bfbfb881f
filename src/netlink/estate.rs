//! What is set and for whom, and how it is set, removed and put back.

use super::address::AddressSpec;
use super::belongings::Belongings;
use super::firewall::Firewall;
use super::kernel::Message;
use super::memory::Memory;
use super::route::RouteSpec;
use super::rule::RuleSpec;
use super::sysctl::Sysctls;
use super::vmac::VmacSpec;
use super::worker::Worker;
use super::{Event, Options, Subscriber};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

const NO_INTERFACE: u32 = 0;

/// What outlives a panic of the worker.
pub(super) struct Estate {
    pub(super) memory: Memory,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) leaving: bool,
    pub(super) sysctls: Sysctls,
    pub(super) firewall: Firewall,
    pub(super) vmacs: Vec<VmacSpec>,
    /// By interface.
    addresses: HashMap<(u32, IpAddr), Owned<AddressSpec>>,
    routes: Vec<Owned<RouteSpec>>,
    rules: Vec<Owned<RuleSpec>>,
    statics: Arc<Belongings>,
}

struct Owned<T> {
    owner: Owner,
    spec: T,
}

/// Who holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A virtual router, as long as it is master.
    Router(Arc<str>),
    /// The daemon, as long as it runs.
    Statics,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(name) => write!(f, "({name})"),
            Self::Statics => f.write_str("(static)"),
        }
    }
}

impl Estate {
    pub(super) fn new(options: Options) -> Self {
        Self {
            memory: Memory::new(options.memory),
            subscribers: Vec::new(),
            leaving: false,
            sysctls: Sysctls::default(),
            firewall: Firewall::default(),
            vmacs: Vec::new(),
            addresses: HashMap::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            statics: Arc::default(),
        }
    }

    pub(super) fn remember(&self, mut configured: Vec<AddressSpec>) {
        configured.extend(self.addresses.values().map(|owned| owned.spec.clone()));
        self.memory.store(&configured);
    }

    /// Every address that a router holds.
    pub(super) fn virtual_addresses(&self) -> BTreeSet<IpAddr> {
        self.addresses.iter().filter(|(_, own)| own.owner != Owner::Statics).map(|((_, address), _)| *address).collect()
    }

    /// Who holds an address on an interface.
    pub(super) fn holder(&self, index: u32, address: IpAddr) -> Option<&Owner> {
        self.addresses.get(&(index, address)).map(|owned| &owned.owner)
    }

    /// What takes everything off an interface that was set on it.
    pub(super) fn removals(&self, index: u32) -> Vec<Message> {
        let held = self.addresses.iter().filter(|((on, _), _)| *on == index);
        held.map(|(_, owned)| owned.spec.delete(index)).collect()
    }

    pub(super) fn forget_interface(&mut self, gone: u32) {
        self.addresses.retain(|(index, _), _| *index != gone);
    }
}

impl Worker<'_> {
    pub(super) fn recover(&mut self, configured: &[AddressSpec]) {
        let mut left = self.estate.memory.recall();
        left.extend_from_slice(configured);
        let mut seen = BTreeSet::new();
        let left = left.iter().filter(|spec| !self.is_owned(spec) && self.stands(spec));
        let left: Vec<_> = left.filter(|spec| seen.insert((&spec.interface, spec.address))).collect();
        for spec in &left {
            tracing::info!(target: "vrrp", "removing {spec}, left behind by a daemon that did not stop cleanly");
        }
        self.delete_addresses(&left);
        self.estate.remember(configured.to_vec());
    }

    /// Brings what is there while the daemon runs in line with `wanted`.
    pub(super) fn set_statics(&mut self, wanted: &Arc<Belongings>) {
        let former = std::mem::replace(&mut self.estate.statics, Arc::clone(wanted));
        self.clear(&Owner::Statics, &former.without(wanted));
        self.set(&Owner::Statics, &wanted.without(&former));
    }

    /// An interface can be used again: the kernel may have dropped what stood on it.
    pub(super) fn restore_statics(&mut self, interface: &str) {
        let statics = Arc::clone(&self.estate.statics);
        let is_meant = |name: &str| name == interface;
        let lost = Belongings {
            addresses: statics.addresses.iter().filter(|spec| is_meant(&spec.interface)).cloned().collect(),
            routes: statics.routes.iter().filter(|spec| spec.interfaces().any(is_meant)).cloned().collect(),
            ..Belongings::default()
        };
        self.set(&Owner::Statics, &lost);
    }

    /// Sets addresses, routes and rules, in this order and in one go; what stands already is adopted.
    pub(super) fn set(&mut self, owner: &Owner, belongings: &Belongings) {
        if belongings.has_policy() {
            self.hear_policy();
        }
        if let Owner::Router(owner) = owner {
            self.block(owner, belongings);
        }
        let mut requests = Requests::default();
        for spec in &belongings.addresses {
            match self.index(spec) {
                NO_INTERFACE => tracing::warn!(target: "vrrp", "{owner} cannot set {spec}: no such interface"),
                index => requests.push(Thing::Address(spec, index), spec.add(index)),
            }
        }
        for spec in &belongings.routes {
            match spec.add(&self.table) {
                None => tracing::warn!(target: "vrrp", "{owner} cannot set route {spec}: no such interface"),
                Some(message) => requests.push(Thing::Route(spec), message),
            }
        }
        for spec in &belongings.rules {
            requests.push(Thing::Rule(spec), spec.add());
        }
        let outcomes = self.kernel.carry_out(&mut requests.messages);
        for (thing, outcome) in requests.things.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) | Err(Errno::EEXIST) => self.own(owner, thing),
                Err(error) => tracing::warn!(target: "vrrp", "{owner} cannot set {thing}: {}", error.desc()),
            }
        }
    }

    /// Before the addresses stand, so that no packet slips through.
    fn block(&mut self, owner: &Arc<str>, belongings: &Belongings) {
        let refused = belongings.addresses.iter().filter(|_| belongings.no_accept);
        let refused: Vec<_> = refused.map(|spec| (spec.address, self.index(spec))).collect();
        self.estate.firewall.block(owner, refused.into_iter());
    }

    fn own(&mut self, owner: &Owner, thing: Thing<'_>) {
        let owner = owner.clone();
        match thing {
            Thing::Address(spec, index) => {
                self.addresses_changed = true;
                self.estate.addresses.insert((index, spec.address), Owned { owner, spec: spec.clone() });
            }
            Thing::Route(spec) => add(&mut self.estate.routes, Owned { owner, spec: spec.clone() }),
            Thing::Rule(spec) => add(&mut self.estate.rules, Owned { owner, spec: spec.clone() }),
        }
    }

    pub(super) fn announce(&mut self, owner: &Arc<str>, addresses: &[AddressSpec], rounds: u32) {
        for spec in addresses.iter().filter(|_| rounds > 0) {
            let kind = if spec.address.is_ipv4() { "gratuitous ARPs" } else { "Unsolicited Neighbour Adverts" };
            let (interface, address) = (&spec.interface, spec.address);
            tracing::debug!(target: "vrrp", "({owner}) Sending/queueing {kind} on {interface} for {address}");
        }
        self.announcer.enqueue(owner, addresses, rounds);
    }

    /// Removes rules, routes and addresses as far as they stand.
    pub(super) fn clear(&mut self, owner: &Owner, belongings: &Belongings) {
        let mut requests = Requests::default();
        for spec in &belongings.rules {
            self.estate.rules.retain(|owned| owned.spec != *spec);
            requests.push(Thing::Rule(spec), spec.delete());
        }
        for spec in &belongings.routes {
            self.estate.routes.retain(|owned| owned.spec != *spec);
            if let Some(message) = spec.delete(&self.table) {
                requests.push(Thing::Route(spec), message);
            }
        }
        let outcomes = self.kernel.carry_out(&mut requests.messages);
        for (thing, outcome) in requests.things.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) | Err(Errno::ENOENT | Errno::ESRCH | Errno::ENODEV | Errno::ENETUNREACH) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot remove {thing}: {}", error.desc()),
            }
        }
        let standing =
            belongings.addresses.iter().filter(|spec| self.is_owned(spec) || self.stands(spec)).collect::<Vec<_>>();
        self.delete_addresses(&standing);
        if let Owner::Router(owner) = owner {
            let gone: Vec<_> = belongings.addresses.iter().map(|spec| (spec.address, self.index(spec))).collect();
            self.estate.firewall.pass(owner, gone.into_iter());
        }
    }

    fn delete_addresses(&mut self, addresses: &[&AddressSpec]) {
        let placed: Vec<_> = addresses.iter().map(|spec| (*spec, self.index(spec))).collect();
        let mut requests: Vec<Message> = placed.iter().map(|(spec, index)| spec.delete(*index)).collect();
        self.addresses_changed |= !placed.is_empty();
        for (spec, index) in &placed {
            self.estate.addresses.remove(&(*index, spec.address));
            self.conflicts.forget(spec.address);
        }
        for ((spec, index), outcome) in placed.into_iter().zip(self.kernel.carry_out(&mut requests)) {
            match outcome {
                Ok(()) => {
                    self.expect_removal(index, spec.address);
                    self.restore_siblings(index, spec);
                }
                Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot remove {spec}: {}", error.desc()),
            }
        }
    }

    /// Unless `promote_secondaries` is set, the kernel removes all IPv4 addresses of a network with the first of them;
    /// those that others hold are put back at once.
    fn restore_siblings(&mut self, index: u32, removed: &AddressSpec) {
        if self.leaving || self.table.is_secondary(index, removed.address) {
            return;
        }
        let held =
            self.estate.addresses.iter().filter(|((on, _), owned)| *on == index && owned.spec.is_sibling(removed));
        let siblings: Vec<AddressSpec> = held.map(|(_, owned)| owned.spec.clone()).collect();
        for spec in siblings {
            match self.kernel.ask(spec.add(index)) {
                Ok(()) => {
                    self.expect_removal(index, spec.address);
                    self.table.doubt_secondaries(index);
                }
                Err(Errno::EEXIST) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot put {spec} back: {}", error.desc()),
            }
        }
    }

    fn expect_removal(&mut self, index: u32, address: IpAddr) {
        *self.expected.entry((index, address)).or_default() += 1;
    }

    pub(super) fn address_removed(&mut self, index: u32, address: IpAddr) {
        if let Some(expected) = self.expected.get_mut(&(index, address)) {
            *expected -= 1;
            if *expected == 0 {
                self.expected.remove(&(index, address));
            }
            return;
        }
        let Some(Owned { owner, spec }) = self.estate.addresses.remove(&(index, address)) else { return };
        let interface = self.table.name(index);
        tracing::info!(target: "vrrp", "Netlink reflector reports IP {address} removed from {interface}");
        match owner {
            _ if !spec.is_tracked() => {}
            Owner::Statics => {
                tracing::info!(target: "vrrp", "Restoring deleted static address {spec}");
                self.set(&Owner::Statics, &Belongings::of(vec![spec]));
            }
            Owner::Router(owner) => self.losses.push(Event::AddressLost { owner, interface, address }),
        }
    }

    /// Somebody else removed a route or a rule, maybe one of ours.
    pub(super) fn policy_removed(&mut self, message: &RouteNetlinkMessage) {
        let (lost, what, owner, tracked) = match message {
            RouteNetlinkMessage::DelRoute(message) => {
                let Some(place) = self.estate.routes.iter().position(|own| own.spec.is(message, &self.table)) else {
                    return;
                };
                let Owned { owner, spec } = self.estate.routes.swap_remove(place);
                let (what, tracked) = (format!("route {spec}"), spec.is_tracked());
                (Belongings { routes: vec![spec], ..Belongings::default() }, what, owner, tracked)
            }
            RouteNetlinkMessage::DelRule(message) => {
                let Some(place) = self.estate.rules.iter().position(|own| own.spec.is(message)) else { return };
                let Owned { owner, spec } = self.estate.rules.swap_remove(place);
                let (what, tracked) = (format!("rule {spec}"), spec.is_tracked());
                (Belongings { rules: vec![spec], ..Belongings::default() }, what, owner, tracked)
            }
            _ => return,
        };
        tracing::info!(target: "vrrp", "Netlink reflector reports {what} removed");
        match owner {
            _ if !tracked => {}
            Owner::Statics => {
                tracing::info!(target: "vrrp", "Restoring deleted static {what}");
                self.set(&Owner::Statics, &lost);
            }
            Owner::Router(owner) => self.losses.push(Event::PolicyLost { owner, what: what.into() }),
        }
    }

    /// After a gap in the kernel's reports: whatever was removed meanwhile is set again; the rest stands.
    pub(super) fn restore_policy(&mut self) {
        let routes = self.estate.routes.iter().map(|own| (own.owner.clone(), Thing::Route(&own.spec).belongings()));
        let rules = self.estate.rules.iter().map(|own| (own.owner.clone(), Thing::Rule(&own.spec).belongings()));
        let held: Vec<_> = routes.chain(rules).collect();
        for (owner, belongings) in held {
            self.set(&owner, &belongings);
        }
    }

    pub(super) fn find_lost(&mut self) {
        let (table, owned) = (&self.table, &self.estate.addresses);
        let lost: Vec<_> = owned.keys().filter(|(index, address)| !table.has(*index, *address)).copied().collect();
        for (index, address) in lost {
            self.address_removed(index, address);
        }
    }

    fn index(&self, spec: &AddressSpec) -> u32 {
        self.table.by_name(&spec.interface).map_or(NO_INTERFACE, |interface| interface.index)
    }

    fn is_owned(&self, spec: &AddressSpec) -> bool {
        self.estate.addresses.contains_key(&(self.index(spec), spec.address))
    }

    fn stands(&self, spec: &AddressSpec) -> bool {
        self.table.holds(self.index(spec), spec.address, spec.kernel_prefix_len())
    }
}

fn add<T: PartialEq>(held: &mut Vec<Owned<T>>, owned: Owned<T>) {
    match held.iter_mut().find(|known| known.spec == owned.spec) {
        Some(known) => *known = owned,
        None => held.push(owned),
    }
}

/// One of the things that requests are about.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Address(&'a AddressSpec, u32),
    Route(&'a RouteSpec),
    Rule(&'a RuleSpec),
}

impl Thing<'_> {
    fn belongings(self) -> Belongings {
        let mut belongings = Belongings::default();
        match self {
            Self::Address(spec, _) => belongings.addresses.push(spec.clone()),
            Self::Route(spec) => belongings.routes.push(spec.clone()),
            Self::Rule(spec) => belongings.rules.push(spec.clone()),
        }
        belongings
    }
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(spec, _) => spec.fmt(f),
            Self::Route(spec) => write!(f, "route {spec}"),
            Self::Rule(spec) => write!(f, "rule {spec}"),
        }
    }
}

/// Requests of one go, with what each is about.
#[derive(Default)]
struct Requests<'a> {
    things: Vec<Thing<'a>>,
    messages: Vec<Message>,
}

impl<'a> Requests<'a> {
    fn push(&mut self, thing: Thing<'a>, message: Message) {
        self.things.push(thing);
        self.messages.push(message);
    }
}
