//! What the supervisor gives to the VRRP thread.

use super::slots::{Delay, Slots, Virtual};
use crate::netlink::{AddressSpec, Belongings, FirewallOptions, Interface, Pace, Sysctl, VmacKind, VmacSpec};
use crate::scheduling::Scheduling;
use standfast_vrrp::{GroupConfig, Link, NodeConfig, RouterConfig, TrackerConfig, TrackerName, TrackerStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
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
    /// `log_unknown_vrids`.
    pub log_unknown_vrids: bool,
    /// `static_ipaddress`, `static_routes` and `static_rules`.
    pub statics: Arc<Belongings>,
    /// `promote_secondaries`: the interfaces on which an address outlives the first one of its network.
    pub promote_secondaries: Vec<String>,
    /// `use_vmac`: interfaces with the virtual routers' own MAC addresses.
    pub vmacs: Vec<VmacSpec>,
    /// `disable_local_igmp`: no reports of membership in link-local groups.
    pub disable_local_igmp: bool,
    /// `interface_up_down_delays`, by interface.
    pub interface_delays: BTreeMap<String, Delay>,
    /// `nftables` and its companions, for `no_accept`.
    pub firewall: FirewallOptions,
    /// `vrrp_garp_interval` and `vrrp_gna_interval`.
    pub pace: Pace,
    /// `dynamic_interfaces`: interfaces may be missing at the start.
    pub dynamic_interfaces: bool,
    /// `--dont-release-vrrp`: a stop says nothing and leaves the addresses where they are.
    pub keep_addresses: bool,
    /// Verdicts of trackers that are known before the start.
    pub verdicts: Vec<(TrackerName, TrackerStatus)>,
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
    /// `garp_extra_if`: an address of each interface that sends no adverts.
    pub extra: Arc<Belongings>,
    /// What it sets while it is master: advertised addresses first, then the excluded ones, routes and rules.
    pub belongings: Belongings,
}

/// An interface that does not exist; keepalived refuses such a configuration with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("interface {interface} for {user} doesn't exist; create it first, or say dynamic_interfaces in global_defs")]
pub struct MissingInterface {
    /// What needs it.
    pub user: String,
    /// Name of the interface.
    pub interface: String,
}

impl VrrpSetup {
    /// Whether every interface that is named is among `present`; with `dynamic_interfaces` it need not.
    ///
    /// # Errors
    /// Names the first that is missing and what needs it.
    pub fn check_interfaces(&self, present: &[Arc<Interface>]) -> Result<(), MissingInterface> {
        let is_made = |name: &str| self.vmacs.iter().any(|vmac| vmac.name == name);
        let is_missing = |name: &str| !is_made(name) && !present.iter().any(|interface| interface.name == name);
        let missing = self.interfaces().into_iter().find(|(name, _)| is_missing(name));
        match missing.filter(|_| !self.dynamic_interfaces) {
            None => Ok(()),
            Some((interface, user)) => Err(MissingInterface { user, interface: interface.to_owned() }),
        }
    }

    /// Every interface that is named and what needs it.
    fn interfaces(&self) -> Vec<(&str, String)> {
        let bases = self.vmacs.iter().map(|vmac| (vmac.base.as_str(), format!("vrrp_instance {}", vmac.router)));
        let mut found: Vec<_> = bases.collect();
        for router in &self.routers {
            let name = &router.config.name;
            found.extend(router.interface.iter().map(|own| (own.as_str(), format!("vrrp_instance {name}"))));
            let placed = router.belongings.addresses.iter().filter(|spec| !spec.interface.is_empty());
            found.extend(placed.map(|spec| (spec.interface.as_str(), format!("ip address {}", spec.address))));
            let routes = router.belongings.routes.iter();
            found.extend(routes.flat_map(|spec| spec.interfaces().map(move |own| (own, format!("route {spec}")))));
            found.extend(tracked(&router.config.trackers).map(|own| (own, format!("track_interface of {name}"))));
        }
        for group in &self.groups {
            found.extend(tracked(&group.trackers).map(|own| (own, format!("track_interface of {}", group.name))));
        }
        found
    }

    /// Every address of every router.
    #[must_use]
    pub fn addresses(&self) -> Vec<AddressSpec> {
        self.routers.iter().flat_map(|router| router.belongings.addresses.iter().cloned()).collect()
    }

    /// Settings of interfaces while the daemon runs.
    pub(super) fn sysctls(&self) -> Vec<Sysctl> {
        let promoting = self.promote_secondaries.iter().map(|interface| Sysctl {
            interface: interface.clone(),
            family: "ipv4",
            name: "promote_secondaries",
            value: "1",
        });
        // The base of a VMAC answers for its own addresses only.
        let bases: BTreeSet<&String> = self.vmacs.iter().filter(|vmac| vmac.answers()).map(|vmac| &vmac.base).collect();
        let answering = bases.into_iter().flat_map(|interface| {
            // Without arp_announce, it would ask neighbours in the name of a virtual address and spoil what they know of it.
            [("arp_ignore", "1"), ("arp_filter", "1"), ("arp_announce", "2")].map(|(name, value)| Sysctl {
                interface: interface.clone(),
                family: "ipv4",
                name,
                value,
            })
        });
        let silent = self.disable_local_igmp.then(|| Sysctl {
            interface: String::new(),
            family: "ipv4",
            name: "igmp_link_local_mcast_reports",
            value: "0",
        });
        promoting.chain(answering).chain(silent).collect()
    }

    /// The interface that a VMAC stands on, and whose address it sends with.
    pub(super) fn base_of(&self, name: &str) -> Option<&str> {
        self.vmacs
            .iter()
            .find(|vmac| vmac.name == name && matches!(vmac.kind, VmacKind::Macvlan(_)))
            .map(|vmac| vmac.base.as_str())
    }

    pub(super) fn virtual_addresses(&self) -> Virtual {
        let specs = self.routers.iter().flat_map(|router| &router.belongings.addresses);
        specs.map(|spec| (spec.address, spec.prefix_len)).collect()
    }

    /// Every source that `track_src_ip` watches.
    pub(super) fn tracked_sources(&self) -> Vec<IpAddr> {
        let trackers = self.routers.iter().flat_map(|router| &router.config.trackers);
        let source = |tracker: &TrackerConfig| match tracker.tracker {
            TrackerName::Source(address) => Some(address),
            _ => None,
        };
        trackers.filter_map(source).collect()
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
        NodeConfig {
            routers,
            groups: self.groups.clone(),
            startup_delay: self.startup_delay,
            log_unknown_vrids: self.log_unknown_vrids,
        }
    }
}

impl RouterSetup {
    fn router_config(&self, slots: &mut Slots) -> RouterConfig {
        let mut config = self.config.clone();
        let Some(interface) = &self.interface else {
            config.link = Link(0);
            self.track_belongings(&mut config);
            return config;
        };
        config.link = slots.link(interface);
        if let Some(companion) = &mut config.companion {
            companion.link = config.link;
        }
        let tracker = TrackerName::Interface(interface.clone());
        let fatal = |own: &TrackerConfig| own.tracker == tracker && own.weight == 0 && !own.reverse;
        if self.track_primary && !config.trackers.iter().any(fatal) {
            if config.trackers.iter().any(|own| own.tracker == tracker) {
                let name = &config.name;
                tracing::info!(target: "vrrp", "({name}) Ignoring track_interface {interface} since own interface");
            }
            config.trackers.retain(|own| own.tracker != tracker);
            config.trackers.insert(0, TrackerConfig { tracker, weight: 0, reverse: false });
        }
        self.track_belongings(&mut config);
        config
    }

    /// Without an interface that an address, a route or a rule is on, the router cannot do its work, whatever weight it has.
    fn track_belongings(&self, config: &mut RouterConfig) {
        for interface in self.belongings.tracked_interfaces().filter(|name| self.interface.as_deref() != Some(name)) {
            let tracker = TrackerName::Interface(interface.to_owned());
            config.trackers.retain(|own| own.tracker != tracker);
            config.trackers.push(TrackerConfig { tracker, weight: 0, reverse: false });
        }
    }
}

fn tracked(trackers: &[TrackerConfig]) -> impl Iterator<Item = &str> {
    trackers.iter().filter_map(|tracker| match &tracker.tracker {
        TrackerName::Interface(name) => Some(name.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(names: &[&str]) -> Vec<Arc<Interface>> {
        let interface = |(index, name): (usize, &&str)| {
            let (index, name) = (u32::try_from(index).unwrap_or(0) + 1, (*name).to_owned());
            Arc::new(Interface { index, name, up: true, running: true, ..Interface::default() })
        };
        names.iter().enumerate().map(interface).collect()
    }

    fn setup(track_primary: bool) -> VrrpSetup {
        let mut config = RouterConfig::new("VI_1", Link(0), 51);
        let tracker = TrackerName::Interface("eth1".to_owned());
        config.trackers = vec![TrackerConfig { tracker, weight: 10, reverse: false }];
        let interface = Some("eth0".to_owned());
        let (extra, belongings) = (Arc::default(), Belongings::default());
        let router = RouterSetup { config, interface, track_primary, extra, belongings };
        VrrpSetup { routers: vec![router], ..VrrpSetup::default() }
    }

    #[test]
    fn a_missing_interface_is_named_unless_it_may_come_later() {
        let mut setup = setup(true);
        let address = "10.0.0.9".parse().expect("an address");
        setup.routers[0].belongings.addresses = vec![AddressSpec::new("eth2", address, 24)];
        let missing = |setup: &VrrpSetup, names: &[&str]| {
            let error = setup.check_interfaces(&present(names)).expect_err("one is missing").to_string();
            error.split(" doesn't").next().unwrap_or_default().to_owned()
        };
        assert_eq!(missing(&setup, &["lo"]), "interface eth0 for vrrp_instance VI_1");
        assert_eq!(missing(&setup, &["eth0"]), "interface eth2 for ip address 10.0.0.9");
        assert_eq!(missing(&setup, &["eth0", "eth2"]), "interface eth1 for track_interface of VI_1");
        assert_eq!(setup.check_interfaces(&present(&["eth0", "eth1", "eth2"])), Ok(()));
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
}
