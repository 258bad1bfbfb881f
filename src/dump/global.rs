//! The global definitions, first in every dump.

use super::data::Page;
use super::text::{decimal, enabled, tristate, true_false, yes_no};
use crate::notify::command::ScriptPolicy;
use standfast_parser::model::{FlushOnStop, Garp, Globals, ProcessSettings, ReceiveBuffer, SmtpServer};
use std::time::Duration;

/// keepalived's defaults where the configuration is silent.
const RTTIME: Duration = Duration::from_millis(10);
const AUTO_PRIORITY_DELAY: Duration = Duration::from_secs(1);
const DEFAULT_INTERFACE: &str = "eth0";
const UMASK: u16 = 0o177;

/// `interfaces` are the names of those that exist, where they matter.
pub(super) fn definitions<'a>(
    page: &mut Page,
    globals: &Globals,
    host: &str,
    mut interfaces: impl Iterator<Item = &'a str>,
) {
    page.heading("Global definitions");
    page.row(1, "Network namespace", globals.net_namespace.as_deref().unwrap_or("(default)"));
    page.row(1, "Network namespace ipvs", ipvs_namespace(globals));
    page.row(1, "Router ID", globals.router_id.as_deref().unwrap_or(host));
    mail(page, globals, host);
    page.row(1, "Checkers log all failures", true_false(globals.checker_log_all_failures));
    page.line(
        1,
        if globals.reload_check_config { "Test config before reload" } else { "No test config before reload" },
    );
    page.row(1, "Dynamic interfaces", true_false(globals.dynamic_interfaces));
    let assumed = interfaces.any(|name| name == DEFAULT_INTERFACE).then_some(DEFAULT_INTERFACE);
    if let Some(interface) = globals.default_interface.as_deref().or(assumed) {
        page.row(1, "Default interface", interface);
    }
    page.row(1, "Disable local IGMP", yes_no(globals.disable_local_igmp));
    page.row(1, "LVS flush", true_false(globals.lvs_flush));
    page.row(1, "LVS flush on stop", flush(globals.lvs_flush_on_stop));
    page.row(1, "FIFO write vrrp states on reload", true_false(globals.fifo_states_on_reload));
    fifos(page, globals);
    vrrp(page, globals);
    processes(page, globals);
    absent(page);
    page.line(1, format_args!("Script security {}", enabled(globals.enable_script_security)));
    if let Some(account) = ScriptPolicy::new(globals).default_account() {
        page.line(1, format_args!("Default script uid:gid {}:{}", account.uid, account.gid));
    }
    buffers(page, globals);
    page.row(1, "rs_init_notifies", u8::from(globals.rs_init_notifies));
    page.row(1, "no_checker_emails", u8::from(globals.no_checker_emails));
    page.row(1, "rx_bufs_multiples", globals.rx_buffer_multiplier);
    page.row(1, "umask", format_args!("0{:o}", globals.umask.unwrap_or(UMASK)));
}

fn ipvs_namespace(globals: &Globals) -> &str {
    match globals.net_namespace_ipvs.as_deref() {
        None => "(main namespace)",
        Some("") => "(default)",
        Some(name) => name,
    }
}

fn flush(choice: FlushOnStop) -> &'static str {
    match choice {
        FlushOnStop::No => "disabled",
        FlushOnStop::All => "enabled",
        FlushOnStop::Services => "VS",
    }
}

fn mail(page: &mut Page, globals: &Globals, host: &str) {
    if let Some(SmtpServer { host: server, port }) = &globals.smtp_server {
        page.row(1, "Smtp server", server);
        page.row(1, "Smtp server port", port);
        page.row(1, "Smtp HELO name", globals.smtp_helo_name.as_deref().unwrap_or(host));
        page.row(1, "Smtp server connection timeout", globals.smtp_connect_timeout.as_secs());
        if let Some(from) = &globals.notification_email_from {
            page.row(1, "Email notification from", from);
        }
        for address in &globals.notification_email {
            page.row(1, "Email notification", address);
        }
    }
    page.row(1, "Default smtp_alert", tristate(globals.smtp_alert));
    page.row(1, "Default smtp_alert_vrrp", tristate(globals.smtp_alert_vrrp));
    page.row(1, "Default smtp_alert_checker", tristate(globals.smtp_alert_checker));
}

fn fifos(page: &mut Page, globals: &Globals) {
    let all =
        [("Global", &globals.notify_fifo), ("VRRP", &globals.vrrp_notify_fifo), ("LVS", &globals.lvs_notify_fifo)];
    for (name, fifo) in all {
        let Some(fifo) = fifo else { continue };
        page.row(1, &format!("{name} notify fifo"), &fifo.path);
        if let Some(script) = &fifo.script {
            page.row(1, &format!("{name} notify fifo script"), super::text::quoted(script));
        }
    }
}

fn vrrp(page: &mut Page, globals: &Globals) {
    page.row(1, "VRRP notify priority changes", true_false(globals.notify_priority_changes));
    page.row(1, "VRRP IPv4 mcast group", globals.vrrp_mcast_group4);
    page.row(1, "VRRP IPv6 mcast group", globals.vrrp_mcast_group6);
    announcements(page, 1, &globals.garp, "Gratuitous ARP refresh timer");
    page.row(1, "Num adverts before down", globals.down_timer_adverts.unwrap_or(3));
    let extra = globals.extra_garp.as_ref();
    let which = if extra.is_some_and(|extra| extra.all) { "i/f" } else { "VMAC" };
    let interval = extra.map_or(0, |extra| extra.interval.as_secs());
    page.row(1, &format!("Gratuitous ARP for each secondary {which}"), format_args!("{interval}s"));
    page.row(1, "Send advert after receive lower priority advert", true_false(!globals.lower_prio_no_advert));
    page.row(1, "Send advert after receive higher priority advert", true_false(globals.higher_prio_send_advert));
    page.row(1, "Gratuitous ARP interval", decimal(globals.garp_interval));
    page.row(1, "Gratuitous NA interval", decimal(globals.gna_interval));
    page.row(1, "VRRP default protocol version", globals.vrrp_version.unwrap_or(2));
    if let Some(table) = &globals.nftables.table {
        page.row(1, "nftables table name", table);
    }
    page.line(1, if globals.nftables.counters { "nftables with counters" } else { "nftables without counters" });
    page.row(1, "VRRP check unicast_src", true_false(globals.vrrp_check_unicast_src));
    page.row(1, "VRRP skip check advert addresses", true_false(globals.vrrp_skip_check_adv_addr));
    page.row(1, "VRRP strict mode", true_false(globals.vrrp_strict));
    if !globals.vrrp_startup_delay.is_zero() {
        page.row(1, "VRRP startup delay", decimal(globals.vrrp_startup_delay));
    }
}

pub(super) fn announcements(page: &mut Page, indent: usize, garp: &Garp, refresh: &str) {
    page.row(indent, "Gratuitous ARP delay", garp.delay.as_secs());
    page.row(indent, "Gratuitous ARP repeat", garp.repeat);
    page.row(indent, refresh, garp.refresh.as_secs());
    page.row(indent, "Gratuitous ARP refresh repeat", garp.refresh_repeat);
    page.row(indent, "Gratuitous ARP lower priority delay", garp.lower_prio_delay.as_secs());
    page.row(indent, "Gratuitous ARP lower priority repeat", garp.lower_prio_repeat);
}

fn processes(page: &mut Page, globals: &Globals) {
    page.row(1, "Max auto priority", globals.auto_priority.most.unwrap_or(0));
    let delay = globals.auto_priority.delay.unwrap_or(AUTO_PRIORITY_DELAY);
    page.row(1, "Min auto priority delay", format_args!("{} usecs", delay.as_micros()));
    process(page, "VRRP", &globals.vrrp_process);
    process(page, "Checker", &globals.checker_process);
    process(page, "BFD", &globals.bfd_process);
}

fn process(page: &mut Page, name: &str, settings: &ProcessSettings) {
    page.row(1, &format!("{name} process priority"), settings.priority.unwrap_or(0));
    page.row(1, &format!("{name} don't swap"), true_false(settings.no_swap));
    page.row(1, &format!("{name} realtime priority"), settings.rt_priority.unwrap_or(0));
    if !settings.cpu_affinity.is_empty() {
        let list: Vec<String> = settings.cpu_affinity.iter().map(u32::to_string).collect();
        page.row(1, &format!("{name} CPU affinity"), list.join(" "));
    }
    let limit = settings.rlimit_rttime.unwrap_or(RTTIME);
    page.row(1, &format!("{name} realtime limit"), limit.as_micros());
}

/// What keepalived may have been built with, and this daemon has not.
fn absent(page: &mut Page) {
    for name in ["SNMP vrrp", "SNMP checker", "SNMP RFCv2", "SNMP RFCv3", "SNMP traps", "DBus"] {
        page.line(1, format_args!("{name} disabled"));
    }
}

fn buffers(page: &mut Page, globals: &Globals) {
    let buffers = &globals.receive_buffers;
    let all: [(&str, ReceiveBuffer); 5] = [
        ("vrrp_netlink_cmd", buffers.vrrp_command),
        ("vrrp_netlink_monitor", buffers.vrrp_monitor),
        ("process_monitor", buffers.process_monitor),
        ("lvs_netlink_cmd", buffers.lvs_command),
        ("lvs_netlink_monitor", buffers.lvs_monitor),
    ];
    for (name, buffer) in all {
        page.row(1, &format!("{name}_rcv_bufs"), buffer.size.unwrap_or(0));
        page.row(1, &format!("{name}_rcv_bufs_force"), u8::from(buffer.force));
    }
}
