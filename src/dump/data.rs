//! `keepalived.data`, `keepalived_parent.data` and `keepalived_check.data`.

use super::text::{address_line, decimal, enabled, quoted, seconds, true_false, yes_no};
use super::{Sources, detail, global, interfaces, sockets, statics, trackers};
use crate::health::{ServerReport, ServiceReport};
use crate::logging::clock::dump_time;
use crate::notify::command::ScriptPolicy;
use standfast_parser::model::{Auth, Config, Notify, Script, VirtualAddress, VrrpInstance};
use standfast_vrrp::priority::Ballot;
use standfast_vrrp::{Family, RouterView, State};
use std::fmt::{Display, Write as _};
use std::time::{Duration, SystemTime};

/// Lines ` name = value` below headings.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub(super) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.text, "------< {text} >------");
    }

    pub(super) fn row(&mut self, indent: usize, name: &str, value: impl Display) {
        let _ = writeln!(self.text, "{:indent$}{name} = {value}", "");
    }

    pub(super) fn line(&mut self, indent: usize, text: impl Display) {
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }
}

/// The global definitions.
#[must_use]
pub fn global_data(config: &Config, host: &str) -> String {
    let mut page = Page::default();
    global::definitions(&mut page, &config.globals, host, std::iter::empty());
    page.text
}

/// The global definitions and the state of every pool.
#[must_use]
pub fn check_data(config: &Config, host: &str, services: &[ServiceReport]) -> String {
    let mut page = Page::default();
    global::definitions(&mut page, &config.globals, host, std::iter::empty());
    page.heading("LVS Topology");
    for service in services {
        page.row(1, "VIP", &service.service);
        page.row(3, "Quorum", if service.quorum { "up" } else { "down" });
        page.row(3, "Sorry server in use", yes_no(service.sorry_serves));
        for ServerReport { name, alive, weight, .. } in &service.servers {
            page.row(3, "Real server", format!("{name}, weight {weight}, {}", if *alive { "alive" } else { "dead" }));
        }
    }
    page.text
}

/// The global definitions, every instance, the groups and the interfaces.
#[must_use]
pub fn vrrp_data(sources: &Sources<'_>) -> String {
    let mut page = Page::default();
    let present = sources.views.interfaces.iter().map(|interface| interface.name.as_str());
    global::definitions(&mut page, &sources.config.globals, sources.host, present);
    statics::all(&mut page, sources.config);
    page.heading("VRRP Topology");
    for router in &sources.views.routers {
        instance(&mut page, sources, router);
    }
    sockets::pool(&mut page, sources.views);
    groups(&mut page, sources);
    trackers::all(&mut page, sources);
    interfaces::all(&mut page, sources);
    page.text
}

fn instance(page: &mut Page, sources: &Sources<'_>, router: &RouterView) {
    page.row(1, "VRRP Instance", &*router.name);
    page.row(3, "VRRP Version", router.version.number());
    if let Some(group) = &router.group {
        page.row(3, "Sync group", group);
    }
    if router.family == Family::V6 {
        page.line(3, "Using Native IPv6");
    }
    let config = sources.config.instances.iter().find(|instance| *instance.name == *router.name);
    state(page, sources, router, config);
    if let Some(config) = config {
        settings(page, sources, router, config);
    }
    for vote in &router.votes {
        let effect = match vote.ballot() {
            Ballot::Adjust(amount) => format!("{amount:+}"),
            Ballot::Fault => "fault".to_owned(),
            Ballot::Pending => "waiting".to_owned(),
        };
        page.row(3, "Tracked", format!("{}, weight {}, effect {effect}", vote.tracker, vote.weight));
    }
}

fn state(page: &mut Page, sources: &Sources<'_>, router: &RouterView, config: Option<&VrrpInstance>) {
    page.row(3, "State", router.state);
    if let Some((address, priority)) = router.master {
        page.row(3, "Master router", address);
        page.row(3, "Master priority", priority);
    }
    if let Some(config) = config {
        detail::flags(page, config);
    }
    page.row(3, "Wantstate", if router.wants_master { State::Master } else { router.state });
    page.row(3, "Number of config faults", 0);
    page.row(3, "Number of interface and track script faults", count(router, Ballot::Fault));
    page.row(3, "Number of track scripts init", count(router, Ballot::Pending));
    if let Some(last) = router.last_transition() {
        let time = sources.time_of(last.at);
        page.row(3, "Last transition", format!("{} ({})", seconds(time), dump_time(time)));
        page.row(3, "Reason", &last.reason);
    }
    if let Some((at, reason)) = router.next() {
        let time: SystemTime = sources.time_of(at);
        page.row(3, "Read timeout", format!("{} ({})", seconds(time), dump_time(time)));
        page.row(3, "Waiting for", reason);
    }
    page.row(3, "Master down timer", format!("{} usecs", router.master_down.as_micros()));
    let interface = sources.views.interface_name(router.link);
    match config {
        Some(config) => detail::interface(page, config, interface),
        None => page.row(3, "Interface", interface),
    }
    if let Some(address) = router.source {
        let origin = if config.is_some_and(|config| config.source.is_some()) { " (from configuration)" } else { "" };
        page.row(3, "Using src_ip", format_args!("{address}{origin}"));
    }
}

fn settings(page: &mut Page, sources: &Sources<'_>, router: &RouterView, config: &VrrpInstance) {
    if config.unicast_peers.is_empty() {
        let globals = &sources.config.globals;
        let group: &dyn Display =
            if router.family == Family::V4 { &globals.vrrp_mcast_group4 } else { &globals.vrrp_mcast_group6 };
        let group = config.multicast_group.map_or_else(|| group.to_string(), |group| group.to_string());
        match kernel_index(sources, router).filter(|_| router.family == Family::V6) {
            Some(index) => page.line(3, format_args!("Multicast address {group}, ifindex {index}")),
            None => page.line(3, format_args!("Multicast address {group}")),
        }
    }
    global::announcements(page, 3, &config.garp, "Gratuitous ARP refresh");
    if let Some(extra) = config.extra_garp {
        let which = if extra.all { "i/f" } else { "VMAC" };
        page.row(3, &format!("Gratuitous ARP for each secondary {which}"), extra.interval.as_secs());
    }
    page.row(3, "Down timer adverts", config.down_timer_adverts);
    page.row(3, "Send advert after receive lower priority advert", true_false(!config.lower_prio_no_advert));
    page.row(3, "Send advert after receive higher priority advert", true_false(config.higher_prio_send_advert));
    page.row(3, "Virtual Router ID", router.vrid);
    page.row(3, "Priority", router.base_priority);
    page.row(3, "Effective priority", router.effective_priority);
    page.row(3, "Total priority", router.effective_priority);
    page.row(3, "Advert interval", interval(config.advert_int, config.version));
    page.row(3, "Accept", enabled(config.accept));
    page.row(3, "Preempt", enabled(config.preempt));
    if !config.preempt_delay.is_zero() {
        page.row(3, "Preempt delay", format!("{} secs", decimal(config.preempt_delay)));
    }
    page.row(3, "Promote_secondaries", enabled(config.promote_secondaries));
    if config.version == 2 {
        page.row(3, "Authentication type", authentication(&config.auth));
        if config.auth != Auth::None {
            page.row(3, "Password", "********");
        }
    }
    let set = router.state == State::Master;
    let interface = sources.views.interface_name(router.link);
    addresses(page, &format!("Virtual IP ({}):", config.addresses.len()), &config.addresses, interface, set);
    addresses(page, "Virtual IP Excluded :", &config.excluded_addresses, interface, set);
    detail::peers(page, config);
    sockets::of(page, sources.views, &router.name);
    detail::policy(page, config);
    detail::tracked_interfaces(page, &config.track_interfaces);
    detail::tracked_scripts(page, sources.config, &config.track_scripts);
    detail::tracked_others(page, sources.config, &config.into());
    page.row(3, "Using smtp notification", yes_no(config.smtp_alert));
    scripts(page, sources.policy, &config.notify);
}

/// The password itself is nobody's business.
fn authentication(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::Pass(_) => "SIMPLE_PASSWORD",
        Auth::Ah(_) => "IPSEC_AH",
    }
}

fn addresses(page: &mut Page, name: &str, list: &[VirtualAddress], interface: &str, set: bool) {
    if list.is_empty() {
        return;
    }
    page.line(3, name);
    for address in list {
        page.line(5, address_line(address, interface, set));
    }
}

/// How many votes amount to this.
fn count(router: &RouterView, ballot: Ballot) -> usize {
    router.votes.iter().filter(|vote| vote.ballot() == ballot).count()
}

fn kernel_index(sources: &Sources<'_>, router: &RouterView) -> Option<u32> {
    let found = sources.views.links.iter().find(|(link, ..)| *link == router.link);
    found.and_then(|(.., interface)| interface.as_ref()).map(|interface| interface.index)
}

fn scripts(page: &mut Page, policy: &ScriptPolicy, notify: &Notify) {
    page.row(3, "Notify deleted", if notify.deleted.is_some() { "Deleted" } else { "Fault" });
    state_scripts(page, policy, notify);
    page.row(3, "Notify priority changes", true_false(notify.priority_changes));
}

/// Scripts of an instance or a group, and who runs them.
fn state_scripts(page: &mut Page, policy: &ScriptPolicy, notify: &Notify) {
    let all: [(&str, &Option<Script>); 7] = [
        ("Backup state transition script", &notify.backup),
        ("Master state transition script", &notify.master),
        ("Fault state transition script", &notify.fault),
        ("Stop state transition script", &notify.stop),
        ("Deleted state transition script", &notify.deleted),
        ("Master rx lower priority script", &notify.master_rx_lower_pri),
        ("Generic state transition script", &notify.any),
    ];
    for (name, script) in all {
        let Some(script) = script else { continue };
        let account = policy.account_of(script).map(|account| format!(", uid:gid {}:{}", account.uid, account.gid));
        page.row(3, name, quoted(script) + &account.unwrap_or_default());
    }
}

fn groups(page: &mut Page, sources: &Sources<'_>) {
    if sources.views.groups.is_empty() {
        return;
    }
    page.heading("VRRP Sync groups");
    for group in &sources.views.groups {
        page.row(1, "VRRP Sync Group", format!("{}, {}", group.name, group.state));
        let members = || sources.views.routers.iter().filter(|router| group.members.contains(&router.id));
        let fault = members().filter(|router| count(router, Ballot::Fault) > 0).count();
        let init = members().filter(|router| router.state == State::Init).count();
        page.line(3, format_args!("Num member fault {fault}, num member init {init}"));
        page.line(3, "VRRP member instances :");
        members().for_each(|router| page.line(5, &router.name));
        if let Some(config) = sources.config.sync_groups.iter().find(|config| *config.name == *group.name) {
            if config.global_tracking {
                page.line(3, "sync group tracking weight set");
            }
            page.row(3, "Using smtp notification", yes_no(config.smtp_alert));
            if config.notify.priority_changes {
                page.row(3, "Notify priority changes", "yes");
            }
            detail::tracked_interfaces(page, &config.track_interfaces);
            detail::tracked_scripts(page, sources.config, &config.track_scripts);
            detail::tracked_others(page, sources.config, &config.into());
            state_scripts(page, sources.policy, &config.notify);
        }
    }
}

fn interval(time: Duration, version: u8) -> String {
    if version == 3 { format!("{} milli-sec", time.as_millis()) } else { format!("{} sec", time.as_secs()) }
}
