//! `global_defs`.

use super::item::Argument;
use super::script::user_of;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{Fifo, Garp, ScriptUser, SmtpServer};
use crate::table;
use std::net::IpAddr;
use std::time::Duration;

/// `router_id` of the sample configurations that are copied most.
const SAMPLE_ROUTER_IDS: [&str; 3] = ["LVS_DEVEL", "LVS_MASTER", "haproxy_DEVEL"];

/// What only shows its value when all `global_defs` were read.
#[derive(Debug, Default, Clone)]
pub(crate) struct GlobalDrafts {
    pub(crate) lower_prio_delay: Option<Duration>,
    pub(crate) lower_prio_repeat: Option<u32>,
    pub(super) script_timeouts: [Option<Duration>; 2],
    fifo_scripts: [Option<crate::model::Script>; 3],
}

impl<'t> Builder<'t> {
    pub(super) fn global_defs(&mut self, item: &Item<'t>) {
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::GLOBAL_DEFS) {
                self.global_keyword(&child);
            }
        }
    }

    fn global_keyword(&mut self, item: &Item<'t>) {
        let handled = self.identity_keyword(item)
            || self.mail_keyword(item)
            || self.vrrp_default_keyword(item)
            || self.garp_keyword(item)
            || self.fifo_keyword(item)
            || self.process_keyword(item)
            || self.daemon_keyword(item)
            || self.forwarding_global(item);
        if !handled {
            if item.name() == "include_check" {
                self.check_include_words(item);
            }
            let statement = self.keep(&table::GLOBAL_DEFS, item);
            self.config.globals.kept.push(statement);
        }
    }

    fn check_include_words(&mut self, item: &Item<'t>) {
        const KNOWN: [&str; 4] = ["read", "match", "wildcard_match", "brace_match"];
        for word in item.arguments() {
            if !KNOWN.contains(&word.text.trim_start_matches(['+', '-'])) {
                let found = Diagnostic::error("unknown-option", format!("unknown check `{}` of includes", word.text));
                self.report(found.at(word.span).help(format!("{} exist", KNOWN.join(", "))));
            }
        }
    }

    fn identity_keyword(&mut self, item: &Item<'t>) -> bool {
        match item.name() {
            "router_id" => self.router_id(item),
            "script_user" => self.config.globals.script_user = user_of(item),
            "enable_script_security" => self.config.globals.enable_script_security = true,
            "dynamic_interfaces" => self.dynamic_interfaces(item),
            "default_interface" => self.config.globals.default_interface = item.text_value(),
            "lvs_timeouts" => self.lvs_timeouts(item),
            "reload_check_config" => self.config.globals.reload_check_config = true,
            "checker_log_all_failures" => self.config.globals.checker_log_all_failures = item.switch(),
            _ => return false,
        }
        true
    }

    fn mail_keyword(&mut self, item: &Item<'t>) -> bool {
        let globals = &mut self.config.globals;
        match item.name() {
            "notification_email" => self.notification_email(item),
            "notification_email_from" => globals.notification_email_from = item.text_value(),
            "smtp_server" => self.smtp_server(item),
            "smtp_helo_name" => globals.smtp_helo_name = item.text_value(),
            "smtp_connect_timeout" => self.smtp_connect_timeout(item),
            "smtp_alert" => globals.smtp_alert = Some(item.switch()),
            "smtp_alert_vrrp" => globals.smtp_alert_vrrp = Some(item.switch()),
            "smtp_alert_checker" => globals.smtp_alert_checker = Some(item.switch()),
            "no_email_faults" => globals.no_email_faults = true,
            _ => return false,
        }
        true
    }

    fn notification_email(&mut self, item: &Item<'t>) {
        let words: Vec<String> = self.block_words(item).map(|(text, _)| text.to_owned()).collect();
        if words.is_empty() {
            let found = Diagnostic::warning("empty-block", "this `notification_email` block is empty");
            self.report(found.at(item.span()));
        }
        self.config.globals.notification_email.extend(words);
    }

    fn smtp_server(&mut self, item: &Item<'t>) {
        let Some(host) = item.argument(0) else {
            return;
        };
        let port = match item.argument(1) {
            Some(word) => self.port_argument(item.name(), word),
            None => Some(25),
        };
        self.config.globals.smtp_server = Some(SmtpServer { host: host.text.to_owned(), port: port.unwrap_or(25) });
    }

    fn smtp_connect_timeout(&mut self, item: &Item<'t>) {
        let Some(timeout) = item.seconds() else {
            return;
        };
        if timeout.is_zero() {
            let found = Diagnostic::error("out-of-range", "`smtp_connect_timeout` must be greater than 0");
            self.report(found.at(item.argument_span()).help("1 second is used"));
        }
        self.config.globals.smtp_connect_timeout = timeout.max(Duration::from_secs(1));
    }

    fn vrrp_default_keyword(&mut self, item: &Item<'t>) -> bool {
        let globals = &mut self.config.globals;
        match item.name() {
            "vrrp_version" => globals.vrrp_version = item.byte().or(globals.vrrp_version),
            "vrrp_strict" => globals.vrrp_strict = item.switch(),
            "vrrp_skip_check_adv_addr" => globals.vrrp_skip_check_adv_addr = item.switch(),
            "vrrp_lower_prio_no_advert" => globals.lower_prio_no_advert = item.switch(),
            "vrrp_higher_prio_send_advert" => globals.higher_prio_send_advert = item.switch(),
            "vrrp_startup_delay" => globals.vrrp_startup_delay = item.seconds().unwrap_or(globals.vrrp_startup_delay),
            "vrrp_delay_after_boot" => {
                globals.vrrp_delay_after_boot = item.seconds().unwrap_or(globals.vrrp_delay_after_boot);
            }
            "log_unknown_vrids" => globals.log_unknown_vrids = true,
            "disable_local_igmp" => globals.disable_local_igmp = true,
            "vrrp_min_garp" => self.min_garp(item),
            "v3_checksum_as_v2" => globals.v3_checksum_as_v2 = true,
            "vrrp_owner_ignore_adverts" => globals.owner_ignore_adverts = item.switch(),
            "vmac_prefix" => globals.vmac_prefix = item.text_value(),
            "vmac_addr_prefix" => globals.vmac_addr_prefix = item.text_value(),
            "vrrp_garp_extra_if" | "vrrp_vmac_garp_intvl" => {
                let given = self.extra_garp(item);
                self.config.globals.extra_garp = given.or(self.config.globals.extra_garp);
            }
            "vrrp_check_unicast_src" => globals.vrrp_check_unicast_src = true,
            "vrrp_mcast_group4" | "vrrp_mcast_group6" => self.multicast_group(item),
            "vrrp_notify_priority_changes" => globals.notify_priority_changes = item.switch(),
            "vrrp_down_timer_adverts" => globals.down_timer_adverts = item.byte(),
            _ => return false,
        }
        true
    }

    fn multicast_group(&mut self, item: &Item<'t>) {
        let globals = &mut self.config.globals;
        match (item.name(), item.address()) {
            ("vrrp_mcast_group4", Some(IpAddr::V4(group))) if group.is_multicast() => globals.vrrp_mcast_group4 = group,
            ("vrrp_mcast_group6", Some(IpAddr::V6(group))) if group.is_multicast() => globals.vrrp_mcast_group6 = group,
            (_, Some(group)) => {
                let text = format!("{group} is no multicast address for `{}`", item.name());
                let found = Diagnostic::error("invalid-address", text).at(item.argument_span());
                self.report(found.help("the line is ignored"));
            }
            (_, None) => {}
        }
    }

    fn garp_keyword(&mut self, item: &Item<'t>) -> bool {
        let Some(name) = item.name().strip_prefix("vrrp_") else {
            return false;
        };
        let garp = &mut self.config.globals.garp;
        match name {
            "garp_master_delay" => garp.delay = item.seconds().unwrap_or(garp.delay),
            "garp_master_repeat" => garp.repeat = item.unsigned().unwrap_or(garp.repeat).max(1),
            "garp_master_refresh" => garp.refresh = item.seconds().unwrap_or(garp.refresh),
            "garp_master_refresh_repeat" => garp.refresh_repeat = item.unsigned().unwrap_or(garp.refresh_repeat).max(1),
            "garp_lower_prio_delay" => self.drafts.lower_prio_delay = item.seconds().or(self.drafts.lower_prio_delay),
            "garp_lower_prio_repeat" => {
                self.drafts.lower_prio_repeat = item.unsigned().or(self.drafts.lower_prio_repeat);
            }
            "garp_interval" => self.config.globals.garp_interval = item.seconds().unwrap_or_default(),
            "gna_interval" => self.config.globals.gna_interval = item.seconds().unwrap_or_default(),
            _ => return false,
        }
        true
    }

    /// One announcement and no second block, where nothing else was said above.
    fn min_garp(&mut self, item: &Item<'t>) {
        if item.value == super::Value::Switch(false) {
            return;
        }
        let (garp, usual) = (&mut self.config.globals.garp, Garp::default());
        if garp.repeat == usual.repeat {
            garp.repeat = 1;
        }
        if garp.delay == usual.delay {
            garp.delay = Duration::ZERO;
        }
    }

    fn fifo_keyword(&mut self, item: &Item<'t>) -> bool {
        let globals = &mut self.config.globals;
        let owner = |user: Argument<'t>| ScriptUser {
            user: user.text.to_owned(),
            group: item.argument(2).map(|group| group.text.to_owned()),
        };
        let fifo = || {
            let path = item.argument(0)?.text.to_owned();
            Some(Fifo { path, user: item.argument(1).map(owner), script: None })
        };
        match item.name() {
            "notify_fifo" => globals.notify_fifo = fifo(),
            "vrrp_notify_fifo" => globals.vrrp_notify_fifo = fifo(),
            "lvs_notify_fifo" => globals.lvs_notify_fifo = fifo(),
            "notify_fifo_script" => self.drafts.fifo_scripts[0] = item.script(),
            "vrrp_notify_fifo_script" => self.drafts.fifo_scripts[1] = item.script(),
            "lvs_notify_fifo_script" => self.drafts.fifo_scripts[2] = item.script(),
            _ => return false,
        }
        true
    }

    /// Names that came with a sample and stayed tell two routers' mails apart no longer.
    fn router_id(&mut self, item: &Item<'t>) {
        self.config.globals.router_id = item.text_value();
        let Some(name) = item.word().filter(|name| SAMPLE_ROUTER_IDS.contains(name)) else { return };
        let text = format!("`{name}` is the `router_id` of a sample configuration");
        let found = Diagnostic::trap("sample-router-id", text).at(item.argument_span());
        self.report(found.help("give each router a name of its own, or leave the line out: the host name is used"));
    }

    fn dynamic_interfaces(&mut self, item: &Item<'t>) {
        self.config.globals.dynamic_interfaces = true;
        if let Some(other) = item.word().filter(|word| *word != "allow_if_changes") {
            let text = format!("unknown option `{other}` of `dynamic_interfaces`");
            let found = Diagnostic::error("unknown-option", text).at(item.argument_span());
            self.report(found.help("`allow_if_changes` exists; the option is ignored"));
        }
    }

    fn lvs_timeouts(&mut self, item: &Item<'t>) {
        if item.argument(0).is_none() {
            let found = Diagnostic::error("missing-value", "`lvs_timeouts` needs a time").at(item.span());
            self.report(found.help("write `tcp`, `tcpfin` or `udp` and seconds"));
        }
        for pair in item.arguments().chunks(2) {
            let [name, value] = pair else {
                let found = Diagnostic::error("missing-value", "a time-out needs a name and a value");
                return self.report(found.at(item.span()));
            };
            let range = table::Range { min: 0, max: 2_678_400, strict: false, repair: None };
            let seconds = self.number("lvs_timeouts", *value, range, 1);
            let seconds = seconds.and_then(|v| u64::try_from(v).ok()).map(Duration::from_secs);
            let timeouts = &mut self.config.globals.lvs_timeouts;
            match name.text {
                "tcp" => timeouts.tcp = seconds,
                "tcpfin" => timeouts.tcpfin = seconds,
                "udp" => timeouts.udp = seconds,
                other => {
                    let text = format!("unknown time-out `{other}`");
                    let found = Diagnostic::error("unknown-option", text).at(name.span);
                    self.report(found.help("tcp, tcpfin and udp exist"));
                }
            }
        }
    }

    /// Defaults that depend on other globals.
    pub(super) fn settle_globals(&mut self) {
        let globals = &mut self.config.globals;
        globals.garp.lower_prio_delay = self.drafts.lower_prio_delay.unwrap_or(globals.garp.delay);
        globals.garp.lower_prio_repeat = self.drafts.lower_prio_repeat.unwrap_or(globals.garp.repeat);
        for (script, timeout) in [
            (&mut globals.startup_script, self.drafts.script_timeouts[0]),
            (&mut globals.shutdown_script, self.drafts.script_timeouts[1]),
        ] {
            if let (Some(script), Some(timeout)) = (script, timeout) {
                script.timeout = timeout;
            }
        }
        let fifos = [&mut globals.notify_fifo, &mut globals.vrrp_notify_fifo, &mut globals.lvs_notify_fifo];
        for (fifo, script) in fifos.into_iter().zip(&self.drafts.fifo_scripts) {
            if let Some(fifo) = fifo {
                fifo.script.clone_from(script);
            }
        }
    }
}
