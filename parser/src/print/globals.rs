use super::Printer;
use super::words::{command, user_words, word};
use crate::model::{Fifo, Garp, Globals};

impl Printer {
    /// What keepalived reads outside `global_defs`.
    pub(super) fn root_keywords(&mut self, globals: &Globals) {
        if let Some(namespace) = &globals.net_namespace_ipvs {
            self.line(
                format!("net_namespace_ipvs {}", if namespace.is_empty() { String::new() } else { word(namespace) })
                    .trim_end(),
            );
        }
        self.text("net_namespace", globals.net_namespace.as_deref());
        self.text("instance", globals.instance.as_deref());
        self.flag("use_pid_dir", globals.use_pid_dir);
        self.seconds("child_wait_time", globals.child_wait_time);
    }

    pub(super) fn globals(&mut self, globals: &Globals) {
        self.text("router_id", globals.router_id.as_deref());
        self.mail(globals);
        self.optional("script_user", globals.script_user.as_ref().map(user_words));
        self.flag("enable_script_security", globals.enable_script_security);
        self.flag("dynamic_interfaces", globals.dynamic_interfaces);
        self.text("default_interface", globals.default_interface.as_deref());
        self.vrrp_defaults(globals);
        self.timeouts(globals);
        self.flag("reload_check_config", globals.reload_check_config);
        self.switch("checker_log_all_failures", globals.checker_log_all_failures);
        self.processes(globals);
        self.daemon(globals);
        self.lvs_globals(globals);
        self.fifo("notify_fifo", globals.notify_fifo.as_ref());
        self.fifo("vrrp_notify_fifo", globals.vrrp_notify_fifo.as_ref());
        self.fifo("lvs_notify_fifo", globals.lvs_notify_fifo.as_ref());
        globals.kept.iter().for_each(|s| self.statement(s));
    }

    fn mail(&mut self, globals: &Globals) {
        let recipients: Vec<String> = globals.notification_email.iter().map(|r| word(r)).collect();
        self.list("notification_email", &recipients);
        self.text("notification_email_from", globals.notification_email_from.as_deref());
        self.optional("smtp_server", globals.smtp_server.as_ref().map(|s| format!("{} {}", word(&s.host), s.port)));
        self.text("smtp_helo_name", globals.smtp_helo_name.as_deref());
        self.seconds("smtp_connect_timeout", globals.smtp_connect_timeout);
        self.optional_switch("smtp_alert", globals.smtp_alert);
        self.optional_switch("smtp_alert_vrrp", globals.smtp_alert_vrrp);
        self.optional_switch("smtp_alert_checker", globals.smtp_alert_checker);
        self.flag("no_email_faults", globals.no_email_faults);
    }

    fn vrrp_defaults(&mut self, globals: &Globals) {
        self.optional("vrrp_version", globals.vrrp_version);
        self.switch("vrrp_strict", globals.vrrp_strict);
        self.switch("vrrp_skip_check_adv_addr", globals.vrrp_skip_check_adv_addr);
        self.value("vrrp_mcast_group4", globals.vrrp_mcast_group4);
        self.value("vrrp_mcast_group6", globals.vrrp_mcast_group6);
        self.garp("vrrp_", &globals.garp);
        if !globals.garp_interval.is_zero() {
            self.seconds("vrrp_garp_interval", globals.garp_interval);
        }
        if !globals.gna_interval.is_zero() {
            self.seconds("vrrp_gna_interval", globals.gna_interval);
        }
        self.switch("vrrp_lower_prio_no_advert", globals.lower_prio_no_advert);
        self.switch("vrrp_higher_prio_send_advert", globals.higher_prio_send_advert);
        self.flag("v3_checksum_as_v2", globals.v3_checksum_as_v2);
        self.switch("vrrp_owner_ignore_adverts", globals.owner_ignore_adverts);
        self.text("vmac_prefix", globals.vmac_prefix.as_deref());
        self.text("vmac_addr_prefix", globals.vmac_addr_prefix.as_deref());
        self.extra_garp("vrrp_garp_extra_if", globals.extra_garp);
        if globals.notify_priority_changes {
            self.switch("vrrp_notify_priority_changes", true);
        }
        self.optional("vrrp_down_timer_adverts", globals.down_timer_adverts);
        self.flag("vrrp_check_unicast_src", globals.vrrp_check_unicast_src);
        if !globals.vrrp_startup_delay.is_zero() {
            self.seconds("vrrp_startup_delay", globals.vrrp_startup_delay);
        }
    }

    pub(super) fn garp(&mut self, prefix: &str, garp: &Garp) {
        self.seconds(&format!("{prefix}garp_master_delay"), garp.delay);
        self.value(&format!("{prefix}garp_master_repeat"), garp.repeat);
        self.seconds(&format!("{prefix}garp_master_refresh"), garp.refresh);
        self.value(&format!("{prefix}garp_master_refresh_repeat"), garp.refresh_repeat);
        self.seconds(&format!("{prefix}garp_lower_prio_delay"), garp.lower_prio_delay);
        self.value(&format!("{prefix}garp_lower_prio_repeat"), garp.lower_prio_repeat);
    }

    fn timeouts(&mut self, globals: &Globals) {
        let timeouts = &globals.lvs_timeouts;
        let named = [("tcp", timeouts.tcp), ("tcpfin", timeouts.tcpfin), ("udp", timeouts.udp)];
        let given = named.iter().filter_map(|(name, time)| Some(format!("{name} {}", (*time)?.as_secs())));
        let text = given.collect::<Vec<_>>().join(" ");
        self.optional("lvs_timeouts", (!text.is_empty()).then_some(text));
    }

    fn fifo(&mut self, keyword: &str, fifo: Option<&Fifo>) {
        let Some(fifo) = fifo else {
            return;
        };
        let user = fifo.user.as_ref().map(|u| format!(" {}", user_words(u))).unwrap_or_default();
        self.value(keyword, format!("{}{user}", word(&fifo.path)));
        if let Some(script) = &fifo.script {
            let user = script.user.as_ref().map(|u| format!(" {}", user_words(u))).unwrap_or_default();
            self.value(&format!("{keyword}_script"), format!("{}{user}", command(&script.argv)));
        }
    }
}
