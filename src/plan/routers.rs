//! What becomes of the instances and of static addresses, routes and rules.

use super::model::{Change, InstanceChange};
use super::settings::differences_within;
use crate::netlink::Belongings;
use crate::vrrp::{Part, Performance, Standing};
use standfast_parser::model::{Config, VrrpInstance};
use standfast_parser::print::print_instance;
use standfast_vrrp::State;

/// Instances that are not as they were.
pub(super) fn instances(played: &Performance, before: &Config, after: &Config) -> Vec<InstanceChange> {
    played.parts.iter().filter_map(|part| instance(part, before, after)).collect()
}

fn instance(part: &Part, before: &Config, after: &Config) -> Option<InstanceChange> {
    let change = match (&part.before, &part.after) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        _ => Change::Changed,
    };
    let text = |config: &Config, standing: &Option<Standing>| {
        standing.as_ref().and_then(|standing| written(config, &standing.name)).map(print_instance)
    };
    let settings = match (text(before, &part.before), text(after, &part.after)) {
        (Some(old), Some(new)) => differences_within(&old, &new),
        _ => Vec::new(),
    };
    let is_same = Part { before: None, after: None, ..part.clone() } == Part::default() && part.before == part.after;
    if is_same && settings.is_empty() {
        return None;
    }
    let name = |standing: &Option<Standing>| standing.as_ref().map(|standing| standing.name.to_string());
    let state = |standing: &Option<Standing>| standing.as_ref().map(|standing| standing.state.to_string());
    let priority = |standing: &Option<Standing>| standing.as_ref().map(|standing| standing.priority);
    let (old_name, new_name) = (name(&part.before), name(&part.after));
    Some(InstanceChange {
        name: new_name.clone().or_else(|| old_name.clone())?,
        renamed_from: old_name.filter(|old| new_name.as_ref().is_some_and(|new| new != old)),
        change,
        state_before: state(&part.before),
        state_after: state(&part.after),
        priority_before: priority(&part.before),
        priority_after: priority(&part.after),
        transitions: part.transitions.iter().map(|(to, reason)| format!("{to}: {reason}")).collect(),
        resigns: part.farewells,
        adverts: part.adverts,
        announces: part.announces,
        removes: things(&part.lost),
        sets: things(&part.gained),
        settings,
    })
}

fn written<'a>(config: &'a Config, name: &str) -> Option<&'a VrrpInstance> {
    config.instances.iter().find(|instance| instance.name == name)
}

/// Addresses, routes and rules, each in a line.
pub(super) fn things(belongings: &Belongings) -> Vec<String> {
    let addresses = belongings.addresses.iter().map(|spec| format!("address {spec}"));
    let routes = belongings.routes.iter().map(|spec| format!("route {spec}"));
    let rules = belongings.rules.iter().map(|spec| format!("rule {spec}"));
    addresses.chain(routes).chain(rules).collect()
}

/// Masters that are none afterwards, with the last reason.
pub(super) fn abdications(played: &Performance) -> impl Iterator<Item = (&Standing, String)> {
    let is_master = |standing: &Option<Standing>| standing.as_ref().is_some_and(|found| found.state == State::Master);
    let gone = played.parts.iter().filter(move |part| is_master(&part.before) && !is_master(&part.after));
    gone.filter_map(|part| {
        let why = part.transitions.last().map_or_else(String::new, |(_, reason)| reason.to_string());
        Some((part.before.as_ref()?, why))
    })
}

/// Addresses that somebody takes off and nobody sets.
pub(super) fn departures(played: &Performance) -> impl Iterator<Item = &crate::netlink::AddressSpec> {
    let stays = |address: std::net::IpAddr| {
        let gained = played.parts.iter().flat_map(|part| &part.gained.addresses);
        gained.into_iter().any(|spec| spec.address == address)
    };
    played.parts.iter().flat_map(|part| &part.lost.addresses).filter(move |spec| !stays(spec.address))
}
