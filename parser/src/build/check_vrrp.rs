//! What the keywords of an instance mean together, and the instances beside each other.

use super::Builder;
use super::instance::{AuthType, InstanceDraft};
use super::named::Kind;
use super::words::family_of as family_of_address;
use crate::diagnostic::{Diagnostic, Weight};
use crate::model::{Auth, Family, InitialState, UnicastPeer, VirtualAddress, VrrpInstance};
use crate::span::Span;
use std::net::IpAddr;
use std::time::Duration;

/// Version 3 has twelve bits of centiseconds for the interval.
const LONGEST_V3_INTERVAL: Duration = Duration::from_millis(40_950);

impl Builder<'_> {
    /// The instance with every default, or `None` when it cannot run.
    pub(super) fn settle_instance(&mut self, name: &str, span: Span, mut draft: InstanceDraft) -> Option<VrrpInstance> {
        let strict = draft.strict.unwrap_or(self.config.globals.vrrp_strict);
        let family = family_of(&draft);
        let version = self.version(name, span, &draft, family);
        let priority = priority(&draft);
        let state = self.initial_state(name, &draft, priority);
        self.settle_addresses(name, span, &mut draft, family, strict || version == 3);
        self.settle_preemption(name, &mut draft, priority);
        self.settle_late_timer(name, &mut draft);
        let auth = self.auth(name, span, &draft, version, strict);
        let advert_int = self.advert_int(name, &draft, version);
        let hmac = draft.auth_hmac.take();
        let auth_hmac = hmac.and_then(|hmac| self.settle_hmac(name, hmac, advert_int));
        self.settle_tracking(name, &mut draft);
        self.check_unicast(name, &draft);
        self.settle_peers(name, &mut draft, family);
        self.check_group(name, &mut draft, family);
        self.check_network(name, span, &mut draft, family);
        self.check_weights(name, &draft, priority);
        let virtual_router_id = self.required_id(name, span, &draft);
        self.required_interface(name, span, &draft)?;
        let virtual_router_id = virtual_router_id?;
        Some(VrrpInstance {
            state,
            version,
            family,
            priority,
            advert_int,
            auth,
            auth_hmac,
            ..self.assemble(name, span, virtual_router_id, strict, draft)
        })
    }

    fn version(&mut self, name: &str, span: Span, draft: &InstanceDraft, family: Family) -> u8 {
        let asked = draft.version.or(self.config.globals.vrrp_version);
        if family == Family::V4 {
            return asked.unwrap_or(2);
        }
        if draft.version == Some(2) {
            let text = format!("({name}) IPv6 needs VRRP version 3");
            let found = Diagnostic::error("version", text).at(span);
            self.report(found.help("version 3 is used"));
        }
        3
    }

    fn initial_state(&mut self, name: &str, draft: &InstanceDraft, priority: u8) -> InitialState {
        match draft.state {
            Some((InitialState::Master, span)) if matches!(draft.auth_type, Some((AuthType::Ah, _))) => {
                let text = format!("({name}) the initial state MASTER does not work with AH authentication");
                self.report(Diagnostic::error("master-with-ah", text).at(span).help("BACKUP is used"));
                InitialState::Backup
            }
            Some((state, _)) => state,
            None if priority == 255 => InitialState::Master,
            None => InitialState::Backup,
        }
    }

    fn settle_addresses(&mut self, name: &str, span: Span, draft: &mut InstanceDraft, family: Family, needs_one: bool) {
        let both = draft.network.dual_stack;
        let fits = |a: &VirtualAddress| both || a.address.is_ipv4() == (family == Family::V4);
        for stranger in draft.addresses.iter().filter(|a| !fits(a)) {
            let text = format!("({name}) {} is not of the family of the first address", stranger.address);
            let found = Diagnostic::error("mixed-families", text).at(stranger.span);
            self.diagnostics
                .push(found.help("the address is ignored; use another instance, or virtual_ipaddress_excluded"));
        }
        draft.addresses.retain(fits);
        self.drop_repeated(name, &mut draft.addresses);
        if !draft.addresses.is_empty() || draft.network.no_virtual_ipaddress {
            return;
        }
        let text = format!("({name}) has no virtual address");
        let found =
            if needs_one { Diagnostic::fatal("no-address", text) } else { Diagnostic::error("no-address", text) };
        self.report(found.at(span).help("give one in `virtual_ipaddress`"));
    }

    fn drop_repeated(&mut self, name: &str, addresses: &mut Vec<VirtualAddress>) {
        let mut seen = std::collections::HashSet::new();
        let diagnostics = &mut self.diagnostics;
        addresses.retain(|a| {
            let fresh = seen.insert((a.address, a.dev.clone()));
            if !fresh {
                let text = format!("({name}) {} is given twice", a.address);
                diagnostics.push(Diagnostic::trap("duplicate-address", text).at(a.span).help("it is used once"));
            }
            fresh
        });
    }

    fn settle_preemption(&mut self, name: &str, draft: &mut InstanceDraft, priority: u8) {
        let master = matches!(draft.state, Some((InitialState::Master, _)));
        let reason = if master {
            "with the initial state MASTER"
        } else if priority == 255 {
            "with priority 255"
        } else {
            return self.delay_without_preemption(name, draft);
        };
        if let Some(span) = draft.nopreempt.take() {
            let text = format!("({name}) `nopreempt` does not work {reason}");
            let found = Diagnostic::error("nopreempt-master", text).at(span);
            self.report(found.help("`nopreempt` is ignored; use `state BACKUP` on all peers"));
        }
        if let Some((_, span)) = draft.preempt_delay.take_if(|d| !d.0.is_zero()) {
            let text = format!("({name}) `preempt_delay` does not work {reason}");
            let found = Diagnostic::error("preempt-delay-master", text).at(span);
            self.report(found.help("`preempt_delay` is ignored; use `state BACKUP` on all peers"));
        }
    }

    fn delay_without_preemption(&mut self, name: &str, draft: &InstanceDraft) {
        if let (Some(_), Some((delay, span))) = (draft.nopreempt, draft.preempt_delay)
            && !delay.is_zero()
        {
            let text = format!("({name}) `preempt_delay` has no effect with `nopreempt`");
            self.report(Diagnostic::trap("preempt-delay-nopreempt", text).at(span));
        }
    }

    fn settle_late_timer(&mut self, name: &str, draft: &mut InstanceDraft) {
        if draft.nopreempt.is_none()
            && let Some((_, span)) = draft.timer_expired_backup.take()
        {
            let text = format!("({name}) `timer_expired_backup` needs `nopreempt`");
            self.report(Diagnostic::error("timer-expired-backup", text).at(span).help("the line is ignored"));
        }
    }

    fn auth(&mut self, name: &str, span: Span, draft: &InstanceDraft, version: u8, strict: bool) -> Auth {
        let Some((kind, at)) = draft.auth_type else {
            if draft.auth_pass.is_some() {
                let text = format!("({name}) a password without `auth_type` is not used");
                self.report(Diagnostic::trap("no-auth-type", text).at(span).help("add `auth_type PASS`"));
            }
            return Auth::None;
        };
        let text = if version == 3 {
            format!("({name}) VRRP version 3 has no authentication")
        } else if strict {
            format!("({name}) strict mode allows no authentication")
        } else if draft.auth_pass.is_none() {
            format!("({name}) authentication without a password")
        } else {
            let password = draft.auth_pass.unwrap_or_default();
            return match kind {
                AuthType::Pass => Auth::Pass(password),
                AuthType::Ah => Auth::Ah(password),
            };
        };
        self.report(Diagnostic::error("no-authentication", text).at(at).help("adverts are not authenticated"));
        Auth::None
    }

    fn advert_int(&mut self, name: &str, draft: &InstanceDraft, version: u8) -> Duration {
        let Some((asked, span)) = draft.advert_int else {
            return Duration::from_secs(1);
        };
        let used = if version == 2 { whole_seconds(asked) } else { centiseconds(asked) };
        if used != asked {
            let unit = if version == 2 { "whole seconds" } else { "centiseconds up to 40.95 seconds" };
            let text = format!("({name}) VRRP version {version} has intervals of {unit}");
            let found = Diagnostic::error("advert-interval", text).at(span);
            self.report(found.help(format!("{} seconds are used", used.as_secs_f64())));
        }
        used
    }

    fn settle_tracking(&mut self, name: &str, draft: &mut InstanceDraft) {
        let Some(own) = draft.interface.clone() else {
            return;
        };
        let plain = |t: &crate::model::TrackedInterface| t.name == own && t.weight == 0;
        if draft.dont_track_primary || !draft.track_interfaces.iter().any(plain) {
            return;
        }
        draft.track_interfaces.retain(|t| !plain(t));
        let span = self.tracked_interface_spans.get(own.as_str()).copied();
        let text = format!("({name}) tracks its own interface `{own}` anyway");
        let mut found = Diagnostic::error("tracks-itself", text).help("the line has no effect");
        found.span = span;
        self.report(found);
    }

    /// The owner of the addresses keeps priority 255 whatever its trackers say.
    fn check_weights(&mut self, name: &str, draft: &InstanceDraft, priority: u8) {
        let of_script = |t: &crate::model::TrackedWeight| {
            let own = self.named.index(Kind::Script, &t.name).and_then(|index| self.config.scripts.get(index));
            t.weight.or(own.map(|script| script.weight)).is_some_and(|weight| weight != 0)
        };
        let weighted =
            draft.track_scripts.iter().any(of_script) || draft.track_interfaces.iter().any(|t| t.weight != 0);
        let Some((_, span)) = draft.state.filter(|_| priority == 255 && weighted) else {
            return;
        };
        let text = format!("({name}) has priority 255: the weights of its trackers change nothing");
        let help = "give a `priority` below 255; `state MASTER` without one means 255";
        self.report(Diagnostic::trap("idle-weights", text).at(span).help(help));
    }

    fn check_unicast(&mut self, name: &str, draft: &InstanceDraft) {
        if let (Some(span), true) = (draft.unicast_keyword, draft.peers.is_empty()) {
            let text = format!("({name}) unicast without a peer is deprecated");
            let found = Diagnostic::deprecated("unicast-without-peer", text).at(span);
            self.report(found.help("adverts go to the multicast group; use `mcast_src_ip`, or name the peers"));
        }
    }

    /// keepalived lets the first address of all decide; here the virtual ones do.
    fn settle_peers(&mut self, name: &str, draft: &mut InstanceDraft, family: Family) {
        let both = draft.network.dual_stack;
        let fits = |peer: &UnicastPeer| both || family_of_address(peer.address) == family;
        let strangers = draft.peers.iter().zip(&draft.peer_spans).filter(|(peer, _)| !fits(peer));
        for (peer, span) in strangers {
            let text = format!("({name}) peer {} is not of the family of the virtual addresses", peer.address);
            let found = Diagnostic::error("mixed-families", text).at(*span);
            self.diagnostics.push(found.help("the peer is ignored; use another instance for the other family"));
        }
        draft.peers.retain(fits);
    }

    fn check_group(&mut self, name: &str, draft: &mut InstanceDraft, family: Family) {
        let stranger = |(group, _): &(IpAddr, Span)| family_of_address(*group) != family;
        let Some((group, span)) = draft.network.multicast_group.take_if(|found| stranger(found)) else {
            return;
        };
        let text = format!("({name}) {group} is not of the family of the addresses");
        let found = Diagnostic::error("mixed-families", text).at(span);
        self.report(found.help("the global group is used"));
    }

    /// Keywords that mean nothing without another one.
    fn check_network(&mut self, name: &str, span: Span, draft: &mut InstanceDraft, family: Family) {
        let multicast = draft.peers.is_empty();
        if let Some((_, span)) = draft.unicast_ttl.take_if(|_| multicast) {
            self.without_effect_here(span, format!("({name}) `unicast_ttl` needs unicast peers"));
        }
        let source_span = draft.source_span;
        if draft.source.take_if(|source| family_of_address(*source) != family).is_some() {
            self.without_effect_here(
                source_span,
                format!("({name}) the source address is not of the family of the addresses"),
            );
        }
        if family == Family::V4 && draft.network.ipvlan.as_ref().is_some_and(|ipvlan| ipvlan.address.is_none()) {
            let found =
                Diagnostic::error("ipvlan-address", format!("({name}) `use_ipvlan` with IPv4 needs an address"));
            let help = "write it after `use_ipvlan`; keepalived keeps the instance in FAULT without one";
            self.report(found.at(span).help(help));
        }
        let network = &mut draft.network;
        let virtual_interface = network.vmac.is_some() || network.ipvlan.is_some();
        if let Some(span) = network.vmac_xmit_base.take_if(|_| !virtual_interface) {
            self.without_effect_here(span, format!("({name}) `vmac_xmit_base` needs `use_vmac`"));
        }
        let homeless = network.ipvlan.as_ref().is_some_and(|ipvlan| ipvlan.address.is_none()) && family == Family::V4;
        if let Some(span) = network.ipvlan_span.filter(|_| homeless) {
            let found =
                Diagnostic::error("ipvlan-without-address", format!("({name}) an ipvlan for IPv4 needs an address"));
            self.report(found.at(span).help("adverts leave with it; the instance stays in FAULT state without it"));
        }
        let own = draft.interface.is_some() || multicast;
        if let Some((_, span)) = draft.network.vrf.take_if(|_| own) {
            self.without_effect_here(span, format!("({name}) `vrf` is for unicast without `interface`"));
        }
    }

    fn without_effect_here(&mut self, span: Span, text: String) {
        self.report(Diagnostic::error("without-effect", text).at(span).help("the line is ignored"));
    }

    fn required_id(&mut self, name: &str, span: Span, draft: &InstanceDraft) -> Option<u8> {
        if draft.virtual_router_id.is_none() {
            let text = format!("({name}) has no valid `virtual_router_id`");
            let found = Diagnostic::fatal("no-router-id", text).at(span);
            self.report(found.help("every instance needs one, from 1 to 255"));
        }
        draft.virtual_router_id
    }

    fn required_interface(&mut self, name: &str, span: Span, draft: &InstanceDraft) -> Option<()> {
        if draft.interface.is_some() || (draft.unicast_source && !draft.peers.is_empty()) {
            return Some(());
        }
        let text = format!("({name}) has no `interface`");
        let found = Diagnostic::fatal("no-interface", text).at(span).weighing(Weight::Counts);
        self.report(found.help("only unicast instances with `unicast_src_ip` and `unicast_peer` can do without"));
        None
    }

    /// Instances beside each other.
    pub(super) fn check_vrrp(&mut self) {
        self.resolve_groups();
        self.weigh_members();
        let mut seen = std::collections::HashMap::new();
        let mut found = Vec::new();
        // Unicast instances tell each other's adverts apart by their peers.
        let multicast = |i: &&VrrpInstance| i.interface.is_some() && i.unicast_peers.is_empty();
        for instance in self.config.instances.iter().filter(multicast) {
            let key = (instance.interface.clone(), instance.family, instance.virtual_router_id);
            if let Some((other, span)) = seen.insert(key, (&instance.name, instance.span)) {
                let interface = instance.interface.as_deref().unwrap_or("");
                let text = format!(
                    "{other} and {} both use virtual_router_id {} on {interface}",
                    instance.name, instance.virtual_router_id
                );
                let diagnostic = Diagnostic::fatal("duplicate-router-id", text).weighing(Weight::Counts);
                found.push(diagnostic.at(instance.span).related(span, "the other one"));
            }
        }
        found.into_iter().for_each(|d| self.report(d));
    }
}

fn family_of(draft: &InstanceDraft) -> Family {
    if draft.network.native_ipv6 {
        return Family::V6;
    }
    let ipvlan = draft.network.ipvlan.as_ref().and_then(|ipvlan| ipvlan.address);
    let first = draft.addresses.first().map(|a| a.address).or(ipvlan.map(|(address, _)| address));
    let any =
        first.or(draft.source).or(draft.peers.first().map(|p| p.address)).or(draft.excluded.first().map(|a| a.address));
    any.map_or(Family::V4, family_of_address)
}

/// keepalived takes a master without a priority for the owner of the addresses.
fn priority(draft: &InstanceDraft) -> u8 {
    let master = matches!(draft.state, Some((InitialState::Master, _)));
    draft.priority.unwrap_or(if master { 255 } else { 100 })
}

/// Rounded to the nearest second, at least one.
fn whole_seconds(asked: Duration) -> Duration {
    let seconds = asked.as_secs() + u64::from(asked.subsec_millis() >= 500);
    Duration::from_secs(seconds.max(1))
}

fn centiseconds(asked: Duration) -> Duration {
    let centis = (asked.as_millis() + 5) / 10;
    let millis = u64::try_from(centis * 10).unwrap_or(u64::MAX).max(10);
    Duration::from_millis(millis).min(LONGEST_V3_INTERVAL)
}
