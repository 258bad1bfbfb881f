//! Parts of an instance in `keepalived.data` that say how it was configured.

use super::data::Page;
use super::text::yes_no;
use crate::netlink::{RouteSpec, RuleSpec};
use standfast_parser::model::{Config, SyncGroup, TrackedInterface, TrackedWeight, VrrpInstance};

/// Flags of an instance; keepalived names only some of them.
pub(super) fn flags(page: &mut Page, config: &VrrpInstance) {
    let unicast = !config.unicast_peers.is_empty();
    let any = unicast || config.unicast_fault_no_peer || config.dont_track_primary || !config.preempt;
    if !any {
        return page.line(3, "Flags: none");
    }
    page.line(3, "Flags:");
    if unicast {
        page.line(5, "Using unicast");
    }
    if config.unicast_fault_no_peer {
        page.line(5, "If unicast go to fault state if no peers");
    }
}

/// The interface that adverts leave through, and what it stands on.
pub(super) fn interface(page: &mut Page, config: &VrrpInstance, interface: &str) {
    let base = config.interface.as_deref().unwrap_or_default();
    let kind = if config.ipvlan.is_some() { "ipvlan" } else { "vmac" };
    if interface == base || base.is_empty() {
        page.row(3, "Interface", interface);
    } else {
        page.row(3, "Interface", format_args!("{interface}, {kind} on {base}"));
    }
    if config.dont_track_primary {
        page.line(3, "VRRP interface tracking disabled");
    }
    if config.skip_check_adv_addr {
        page.line(3, "Skip checking advert IP addresses");
    }
    if config.strict {
        page.line(3, "Enforcing strict VRRP compliance");
    }
}

pub(super) fn peers(page: &mut Page, config: &VrrpInstance) {
    if config.unicast_peers.is_empty() {
        return;
    }
    page.row(3, "Unicast TTL", config.unicast_ttl.unwrap_or(u8::MAX));
    page.line(3, format_args!("Check unicast src : {}", yes_no(config.check_unicast_src)));
    page.line(3, "Unicast Peer :");
    for peer in &config.unicast_peers {
        page.line(5, format_args!("{} min_ttl {} max_ttl {}", peer.address, peer.min_ttl, peer.max_ttl));
    }
    page.row(3, "Unicast checksum compatibility", yes_no(config.old_unicast_checksum));
}

/// Routes and rules.
pub(super) fn policy(page: &mut Page, config: &VrrpInstance) {
    if !config.routes.is_empty() {
        page.line(3, "Virtual Routes :");
        config.routes.iter().for_each(|route| page.line(5, RouteSpec::from_config(route)));
    }
    if !config.rules.is_empty() {
        page.line(3, "Virtual Rules :");
        config.rules.iter().for_each(|rule| page.line(5, RuleSpec::from_config(rule)));
    }
}

pub(super) fn tracked_interfaces(page: &mut Page, tracked: &[TrackedInterface]) {
    if tracked.is_empty() {
        return;
    }
    page.line(3, "Tracked interfaces :");
    for one in tracked {
        page.line(5, format_args!("{} weight {}{}", one.name, one.weight, reversed(one.reverse)));
    }
}

pub(super) fn tracked_scripts(page: &mut Page, config: &Config, tracked: &[TrackedWeight]) {
    if tracked.is_empty() {
        return;
    }
    page.line(3, "Tracked scripts :");
    for one in tracked {
        let own = config.scripts.iter().find(|script| script.name == one.name);
        let (weight, reverse) = one.weighed(own.map_or((0, false), |script| (script.weight, script.reverse)));
        page.line(5, format_args!("{} weight {weight}{}", one.name, reversed(reverse)));
    }
}

/// What an instance or a group tracks besides interfaces and scripts.
pub(super) struct Tracked<'a> {
    files: &'a [TrackedWeight],
    processes: &'a [TrackedWeight],
    sessions: &'a [TrackedWeight],
}

impl<'a> From<&'a VrrpInstance> for Tracked<'a> {
    fn from(of: &'a VrrpInstance) -> Self {
        Self { files: &of.track_files, processes: &of.track_processes, sessions: &of.track_bfds }
    }
}

impl<'a> From<&'a SyncGroup> for Tracked<'a> {
    fn from(of: &'a SyncGroup) -> Self {
        Self { files: &of.track_files, processes: &of.track_processes, sessions: &of.track_bfds }
    }
}

/// Files, processes and BFD sessions, with the weights of this instance or group, or their own.
pub(super) fn tracked_others(page: &mut Page, config: &Config, tracked: &Tracked<'_>) {
    let file = |name: &str| config.track_files.iter().find(|one| one.name == name).map(|one| (one.weight, one.reverse));
    let process =
        |name: &str| config.track_processes.iter().find(|one| one.name == name).map(|one| (one.weight, one.reverse));
    let session =
        |name: &str| config.bfd_instances.iter().find(|one| one.name == name).map(|one| (one.weight, one.reverse));
    weighted(page, "Tracked files :", tracked.files, file);
    weighted(page, "Tracked processes :", tracked.processes, process);
    weighted(page, "Tracked BFDs :", tracked.sessions, session);
}

fn weighted(page: &mut Page, title: &str, tracked: &[TrackedWeight], own: impl Fn(&str) -> Option<(i32, bool)>) {
    if tracked.is_empty() {
        return;
    }
    page.line(3, title);
    for one in tracked {
        let (weight, reverse) = one.weighed(own(&one.name).unwrap_or_default());
        page.line(5, format_args!("{}, weight {weight}{}", one.name, reversed(reverse)));
    }
}

pub(super) fn reversed(reverse: bool) -> &'static str {
    if reverse { " reverse" } else { "" }
}
