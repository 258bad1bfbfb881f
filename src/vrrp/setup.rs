//! What the supervisor gives to the VRRP thread.

use super::slots::{Slots, Virtual};
use crate::netlink::{AddressSpec, Interface, Pace};
use crate::scheduling::Scheduling;
use standfast_vrrp::{GroupConfig, Link, NodeConfig, RouterConfig, TrackerConfig, TrackerName};
use std::sync::Arc;
use std::time::Duration;

/// Every virtual router of the host and how the thread treats them.
#[derive(Debug, Clone, Default)]
pub struct VrrpSetup {
    /// Instances in file order.
    pub routers: Vec<RouterSetup>,
    /// Sync groups in file order.
    pub groups: Vec<GroupConfig>,
    /// `vrrp_startup_delay`.
    pub startup_delay: Duration,
    /// `vrrp_garp_interval` and `vrrp_gna_interval`.
    pub pace: Pace,
    /// `dynamic_interfaces`: interfaces may be missing at the start.
    pub dynamic_interfaces: bool,
    /// `--dont-release-vrrp`: a stop says nothing and leaves the addresses where they are.
    pub keep_addresses: bool,
    /// Scheduling of this thread and of the netlink thread, which announces the addresses.
    pub scheduling: Scheduling,
}

/// One virtual router with what only the daemon knows of it.
#[derive(Debug, Clone)]
pub struct RouterSetup {
    /// Protocol settings. Its `link` is filled in here, and the vote of its own interface is added to its trackers.
    pub config: RouterConfig,
    /// `interface`; `None` for unicast instances without one.
    pub interface: Option<String>,
    /// False for `dont_track_primary`.
    pub track_primary: bool,
    /// Every address that it sets, advertised ones first, then the excluded ones.
    pub addresses: Vec<AddressSpec>,
}

/// An instance on an interface that does not exist; keepalived refuses such a configuration with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "interface {interface} for vrrp_instance {router} doesn't exist; create it first, or say dynamic_interfaces in global_defs"
)]
pub struct MissingInterface {
    /// Name of the instance.
    pub router: String,
    /// Name of the interface.
    pub interface: String,
}

impl VrrpSetup {
    /// The first instance whose interface is not among `present`; none with `dynamic_interfaces`.
    ///
    /// # Errors
    /// Names the instance and the interface.
    pub fn check_interfaces(&self, present: &[Arc<Interface>]) -> Result<(), MissingInterface> {
        let missing = |name: &&String| !present.iter().any(|interface| interface.name == **name);
        for router in self.routers.iter().filter(|_| !self.dynamic_interfaces) {
            if let Some(interface) = router.interface.as_ref().filter(missing) {
                let (router, interface) = (router.config.name.clone(), interface.clone());
                return Err(MissingInterface { router, interface });
            }
        }
        Ok(())
    }

    /// Drops `track_interface` lines on interfaces that do not exist, as keepalived does without `dynamic_interfaces`.
    pub(super) fn drop_missing_trackers(&mut self, present: &[Arc<Interface>]) {
        if self.dynamic_interfaces {
            return;
        }
        let routers = self.routers.iter_mut().map(|router| (&router.config.name, &mut router.config.trackers));
        let groups = self.groups.iter_mut().map(|group| (&group.name, &mut group.trackers));
        for (owner, trackers) in routers.chain(groups) {
            trackers.retain(|tracker| keep_tracker(owner, tracker, present));
        }
    }

    /// Every address of every router.
    #[must_use]
    pub fn addresses(&self) -> Vec<AddressSpec> {
        self.routers.iter().flat_map(|router| router.addresses.iter().cloned()).collect()
    }

    pub(super) fn virtual_addresses(&self) -> Virtual {
        let specs = self.routers.iter().flat_map(|router| &router.addresses);
        specs.map(|spec| (spec.address, spec.prefix_len)).collect()
    }

    /// The pure crate's view, with links from `slots`; watched interfaces get a slot, too.
    pub(super) fn node_config(&self, slots: &mut Slots) -> NodeConfig {
        let routers: Vec<_> = self.routers.iter().map(|router| router.router_config(slots)).collect();
        let trackers = routers.iter().flat_map(|router| &router.trackers);
        for tracker in trackers.chain(self.groups.iter().flat_map(|group| &group.trackers)) {
            if let TrackerName::Interface(name) = &tracker.tracker {
                slots.link(name);
            }
        }
        NodeConfig { routers, groups: self.groups.clone(), startup_delay: self.startup_delay }
    }
}

impl RouterSetup {
    fn router_config(&self, slots: &mut Slots) -> RouterConfig {
        let mut config = self.config.clone();
        let Some(interface) = &self.interface else {
            config.link = Link(0);
            return config;
        };
        config.link = slots.link(interface);
        let tracker = TrackerName::Interface(interface.clone());
        let fatal = |own: &TrackerConfig| own.tracker == tracker && own.weight == 0 && !own.reverse;
        if self.track_primary && !config.trackers.iter().any(fatal) {
            config.trackers.retain(|own| own.tracker != tracker);
            config.trackers.insert(0, TrackerConfig { tracker, weight: 0, reverse: false });
        }
        config
    }
}

fn keep_tracker(owner: &str, tracker: &TrackerConfig, present: &[Arc<Interface>]) -> bool {
    let TrackerName::Interface(name) = &tracker.tracker else { return true };
    let exists = present.iter().any(|interface| interface.name == *name);
    if !exists {
        tracing::warn!(target: "vrrp", "({owner}) track_interface {name} doesn't exist - ignoring");
    }
    exists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(names: &[&str]) -> Vec<Arc<Interface>> {
        let interface = |(index, name): (usize, &&str)| {
            let (index, name) = (u32::try_from(index).unwrap_or(0) + 1, (*name).to_owned());
            Arc::new(Interface { index, name, mac: None, mtu: 1500, up: true, running: true, addresses: Vec::new() })
        };
        names.iter().enumerate().map(interface).collect()
    }

    fn setup(track_primary: bool) -> VrrpSetup {
        let mut config = RouterConfig::new("VI_1", Link(0), 51);
        let tracker = TrackerName::Interface("eth1".to_owned());
        config.trackers = vec![TrackerConfig { tracker, weight: 10, reverse: false }];
        let interface = Some("eth0".to_owned());
        let router = RouterSetup { config, interface, track_primary, addresses: Vec::new() };
        VrrpSetup { routers: vec![router], ..VrrpSetup::default() }
    }

    #[test]
    fn a_missing_interface_is_named_unless_it_may_come_later() {
        let mut setup = setup(true);
        let error = setup.check_interfaces(&present(&["lo"])).expect_err("eth0 is missing");
        assert!(error.to_string().starts_with("interface eth0 for vrrp_instance VI_1 doesn't exist"), "{error}");
        assert_eq!(setup.check_interfaces(&present(&["lo", "eth0"])), Ok(()));
        setup.dynamic_interfaces = true;
        assert_eq!(setup.check_interfaces(&[]), Ok(()));
    }

    #[test]
    fn the_own_interface_votes_unless_it_is_not_tracked() {
        let names = |setup: &VrrpSetup| -> Vec<String> {
            let config = setup.node_config(&mut Slots::default());
            config.routers[0].trackers.iter().map(|tracker| tracker.tracker.to_string()).collect()
        };
        assert_eq!(names(&setup(true)), ["interface eth0", "interface eth1"]);
        assert_eq!(names(&setup(false)), ["interface eth1"]);
    }

    #[test]
    fn a_tracker_on_a_missing_interface_is_dropped() {
        let mut setup = setup(false);
        setup.drop_missing_trackers(&present(&["eth0"]));
        assert!(setup.routers[0].config.trackers.is_empty());
    }
}
