//! `keepalived.json`.

use super::Sources;
use super::text::{address_line, quoted};
use crate::netlink::{RouteSpec, RuleSpec};
use serde_json::{Map, Value, json};
use standfast_parser::model::{Auth, ParamMatch, Script, TrackProcess, VrrpInstance};
use standfast_vrrp::{RouterView, State, Statistics, TrackerName, TrackerStatus};
use std::time::{Duration, UNIX_EPOCH};

/// An array with `data` and `stats` of every instance. With `json_version 2`, an object with that array as `vrrp`, and
/// `track_process` where processes are tracked.
#[must_use]
pub fn vrrp_json(sources: &Sources<'_>) -> String {
    let instances: Vec<Value> = sources.views.routers.iter().map(|router| instance(sources, router)).collect();
    if sources.config.globals.dumps.json_version != Some(2) {
        return Value::Array(instances).to_string();
    }
    let mut all = Map::from_iter([("vrrp".to_owned(), Value::Array(instances))]);
    let processes = sources.config.track_processes.iter().map(|process| tracked_process(sources, process));
    insert_list(&mut all, "track_process", processes);
    Value::Object(all).to_string()
}

fn tracked_process(sources: &Sources<'_>, process: &TrackProcess) -> Value {
    let matched = match process.param_match {
        ParamMatch::None => "none",
        ParamMatch::Exact => "exact",
        ParamMatch::Initial => "initial",
        ParamMatch::Partial => "partial",
    };
    let mut value = json!({
        "process": process.name,
        "param_match": matched,
        "min_processes": process.quorum,
        "current_processes": sources.observed.processes.get(&process.name).copied().unwrap_or(0),
        "have_quorum": has_quorum(sources, &process.name),
        "weight": if process.reverse { -process.weight } else { process.weight },
        "terminate_delay": process.terminate_delay.as_secs_f64(),
        "fork_delay": process.fork_delay.as_secs_f64(),
        "full_command": process.full_command,
    });
    if let Some(most) = process.quorum_max {
        value["max_processes"] = json!(most);
    }
    if let Some(parameters) = process.process.get(1..).filter(|parameters| !parameters.is_empty()) {
        value["parameters"] = json!(parameters.join(" "));
    }
    value
}

fn has_quorum(sources: &Sources<'_>, process: &str) -> bool {
    let named = TrackerName::Process(process.to_owned());
    let mut votes = sources.views.routers.iter().flat_map(|router| &router.votes);
    votes.any(|vote| vote.tracker == named && vote.status == TrackerStatus::Up)
}

/// keepalived leaves empty lists out.
fn insert_list(map: &mut Map<String, Value>, name: &str, list: impl Iterator<Item = impl Into<Value>>) {
    let list: Vec<Value> = list.map(Into::into).collect();
    if !list.is_empty() {
        map.insert(name.to_owned(), Value::Array(list));
    }
}

fn instance(sources: &Sources<'_>, router: &RouterView) -> Value {
    let config = sources.config.instances.iter().find(|instance| *instance.name == *router.name);
    let mut data = state(sources, router);
    if let Some(config) = config {
        settings(&mut data, sources, router, config);
    }
    json!({ "data": data, "stats": statistics(&router.statistics) })
}

fn state(sources: &Sources<'_>, router: &RouterView) -> Map<String, Value> {
    let transition = router.last_transition().map_or(UNIX_EPOCH, |last| sources.time_of(last.at));
    let since = transition.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let wanted = if router.wants_master { State::Master } else { router.state };
    let value = json!({
        "iname": &*router.name,
        "ifp_ifname": sources.views.interface_name(router.link),
        "master_priority": router.master.map_or(0, |(_, priority)| priority),
        "last_transition": since.as_secs_f64(),
        "vrid": router.vrid,
        "base_priority": router.base_priority,
        "effective_priority": router.effective_priority,
        "vipset": router.state == State::Master,
        "adver_int": interval(router.advert_interval),
        "master_adver_int": interval(router.master_interval),
        "state": number(router.state),
        "wantstate": number(wanted),
        "version": router.version.number(),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Whole seconds are whole numbers, as version 2 has them.
fn interval(time: Duration) -> Value {
    if time.subsec_nanos() == 0 { json!(time.as_secs()) } else { json!(time.as_secs_f64()) }
}

/// keepalived's numbers of the states.
fn number(state: State) -> u8 {
    match state {
        State::Init => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
        State::Stop => 98,
        State::Deleted => 97,
    }
}

fn settings(data: &mut Map<String, Value>, sources: &Sources<'_>, router: &RouterView, config: &VrrpInstance) {
    let interface = sources.views.interface_name(router.link);
    let set = router.state == State::Master;
    let addresses = |list: &[standfast_parser::model::VirtualAddress]| -> Vec<String> {
        list.iter().map(|address| address_line(address, interface, set)).collect()
    };
    let garp = &config.garp;
    let settings = json!({
        "dont_track_primary": u8::from(config.dont_track_primary),
        "skip_check_adv_addr": u8::from(config.skip_check_adv_addr),
        "strict_mode": u8::from(config.strict),
        "vmac_ifname": vmac(config, interface),
        "garp_delay": garp.delay.as_secs(),
        "garp_refresh": garp.refresh.as_secs(),
        "garp_rep": garp.repeat,
        "garp_refresh_rep": garp.refresh_repeat,
        "garp_lower_prio_delay": garp.lower_prio_delay.as_secs(),
        "garp_lower_prio_rep": garp.lower_prio_repeat,
        "lower_prio_no_advert": u8::from(config.lower_prio_no_advert),
        "higher_prio_send_advert": u8::from(config.higher_prio_send_advert),
        "promote_secondaries": config.promote_secondaries,
        "accept": u8::from(config.accept),
        "nopreempt": !config.preempt,
        "preempt_delay": config.preempt_delay.as_secs(),
        "smtp_alert": config.smtp_alert,
        "notify_deleted": config.notify.deleted.is_some(),
        "vips": addresses(&config.addresses),
    });
    if let Value::Object(settings) = settings {
        data.extend(settings);
    }
    insert_list(data, "evips", addresses(&config.excluded_addresses).into_iter());
    insert_list(data, "vroutes", config.routes.iter().map(|route| RouteSpec::from_config(route).to_string()));
    insert_list(data, "vrules", config.rules.iter().map(|rule| RuleSpec::from_config(rule).to_string()));
    insert_list(data, "track_ifp", config.track_interfaces.iter().map(|tracked| tracked.name.as_str()));
    let commands = config.track_scripts.iter().filter_map(|tracked| command(sources, &tracked.name));
    insert_list(data, "track_script", commands);
    insert_list(data, "track_process", config.track_processes.iter().map(|tracked| tracked.name.as_str()));
    data.insert("auth_type".to_owned(), json!(auth_type(config)));
    for (name, script) in scripts(config) {
        data.insert(name.to_owned(), Value::String(quoted(script)));
    }
}

/// The interface that was made for the instance.
fn vmac<'a>(config: &VrrpInstance, interface: &'a str) -> &'a str {
    let made = (config.vmac.is_some() || config.ipvlan.is_some()) && config.interface.as_deref() != Some(interface);
    if made { interface } else { "" }
}

fn command(sources: &Sources<'_>, script: &str) -> Option<String> {
    let found = sources.config.scripts.iter().find(|known| known.name == script)?;
    Some(quoted(&found.script))
}

/// The number in the advert; the password is nobody's business.
fn auth_type(config: &VrrpInstance) -> u8 {
    match config.auth {
        Auth::None => 0,
        Auth::Pass(_) => 1,
        Auth::Ah(_) => 2,
    }
}

fn scripts(config: &VrrpInstance) -> impl Iterator<Item = (&'static str, &Script)> {
    let notify = &config.notify;
    let all = [
        ("script_backup", &notify.backup),
        ("script_master", &notify.master),
        ("script_fault", &notify.fault),
        ("script_stop", &notify.stop),
        ("script_deleted", &notify.deleted),
        ("script", &notify.any),
        ("script_master_rx_lower_pri", &notify.master_rx_lower_pri),
    ];
    all.into_iter().filter_map(|(name, script)| Some((name, script.as_ref()?)))
}

fn statistics(counters: &Statistics) -> Value {
    json!({
        "advert_rcvd": counters.adverts_received,
        "advert_sent": counters.adverts_sent,
        "become_master": counters.became_master,
        "release_master": counters.released_master,
        "packet_len_err": counters.length_errors,
        "advert_interval_err": counters.interval_errors,
        "ip_ttl_err": counters.ttl_errors,
        "invalid_type_rcvd": counters.type_errors,
        "addr_list_err": counters.address_errors,
        "invalid_authtype": counters.unknown_authentication,
        "authtype_mismatch": counters.authentication_mismatches,
        "auth_failure": counters.authentication_failures,
        "pri_zero_rcvd": counters.priority_zero_received,
        "pri_zero_sent": counters.priority_zero_sent,
    })
}
