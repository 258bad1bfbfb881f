//! Which addresses this host has, for checks that wait for one (`ha_suspend`).

use crate::netlink::{self, Event, Interface};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use tracing::error;

/// Starts watching; without it, suspended checks stay suspended, and the log says so.
pub(super) fn start() -> Option<netlink::Handle> {
    netlink::start(netlink::Options::default())
        .inspect_err(|error| error!(target: "healthcheck", "Addresses cannot be watched for ha_suspend: {error}"))
        .ok()
}

/// The addresses at this moment.
pub(super) fn present(netlink: &netlink::Handle) -> BTreeSet<IpAddr> {
    let mut known = Known::default();
    known.take(Event::Snapshot(netlink.interfaces()));
    known.all()
}

/// Calls `tell` with all addresses now and whenever they change.
pub(super) fn follow(netlink: &netlink::Handle, tell: impl Fn(BTreeSet<IpAddr>) + Send + 'static) {
    let mut known = Known::default();
    let mut told = None;
    netlink.subscribe(Box::new(move |event| {
        known.take(event);
        let all = known.all();
        if told.as_ref() != Some(&all) {
            tell(all.clone());
            told = Some(all);
        }
    }));
}

/// Addresses by index of their interface.
#[derive(Debug, Default)]
struct Known(BTreeMap<u32, Vec<IpAddr>>);

impl Known {
    fn take(&mut self, event: Event) {
        match event {
            Event::Snapshot(interfaces) => {
                self.0.clear();
                interfaces.iter().for_each(|interface| self.put(interface));
            }
            Event::Changed(interface) => self.put(&interface),
            Event::Removed(interface) => drop(self.0.remove(&interface.index)),
            Event::AddressLost { .. } | Event::PolicyLost { .. } => {}
        }
    }

    fn put(&mut self, interface: &Arc<Interface>) {
        self.0.insert(interface.index, interface.addresses.iter().map(|held| held.address).collect());
    }

    fn all(&self) -> BTreeSet<IpAddr> {
        self.0.values().flatten().copied().collect()
    }
}
