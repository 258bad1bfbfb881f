use super::Printer;
use super::words::{script, secret, word};
use crate::model::{
    ClientTls, FlushOnStop, Globals, LifeScript, LvsBackend, LvsSysctl, ProcessSettings, ReceiveBuffer, RxBufferPolicy,
    SyncDaemon, SyncTuning,
};

impl Printer {
    pub(super) fn processes(&mut self, globals: &Globals) {
        self.text("process_name", globals.process_name.as_deref());
        self.process("vrrp", &globals.vrrp_process);
        self.process("checker", &globals.checker_process);
        self.process("bfd", &globals.bfd_process);
        self.optional("max_auto_priority", globals.auto_priority.most);
        self.optional("min_auto_priority_delay", globals.auto_priority.delay.map(|delay| delay.as_micros()));
        self.life_script("startup_script", globals.startup_script.as_ref());
        self.life_script("shutdown_script", globals.shutdown_script.as_ref());
    }

    fn process(&mut self, part: &str, settings: &ProcessSettings) {
        self.text(&format!("{part}_process_name"), settings.name.as_deref());
        self.optional(&format!("{part}_priority"), settings.priority);
        self.optional(&format!("{part}_rt_priority"), settings.rt_priority);
        self.flag(&format!("{part}_no_swap"), settings.no_swap);
        let processors: Vec<String> = settings.cpu_affinity.iter().map(u32::to_string).collect();
        self.optional(&format!("{part}_cpu_affinity"), Some(processors.join(" ")).filter(|p| !p.is_empty()));
        self.optional(&format!("{part}_rlimit_rttime"), settings.rlimit_rttime.map(|time| time.as_micros()));
    }

    fn life_script(&mut self, keyword: &str, given: Option<&LifeScript>) {
        if let Some(given) = given {
            self.value(keyword, script(&given.script));
            self.value(&format!("{keyword}_timeout"), given.timeout.as_secs());
        }
    }

    pub(super) fn daemon(&mut self, globals: &Globals) {
        self.optional("umask", globals.umask.map(|mask| format!("0{mask:o}")));
        self.optional("random_seed", globals.random_seed);
        self.switch("use_symlink_paths", globals.use_symlink_paths);
        self.switch("set_supplementary_groups", globals.set_supplementary_groups);
        self.flag("disable_local_igmp", globals.disable_local_igmp);
        self.flag("log_unknown_vrids", globals.log_unknown_vrids);
        self.seconds("vrrp_delay_after_boot", globals.vrrp_delay_after_boot);
        self.optional("vrrp_rx_bufs_policy", globals.rx_buffer_policy.map(rx_policy));
        self.value("vrrp_rx_bufs_multiplier", globals.rx_buffer_multiplier);
        self.buffers(globals);
        self.flag("fifo_write_vrrp_states_on_reload", globals.fifo_states_on_reload);
        self.files(globals);
    }

    fn buffers(&mut self, globals: &Globals) {
        let buffers = &globals.receive_buffers;
        let named: [(&str, ReceiveBuffer); 5] = [
            ("vrrp_netlink_cmd_rcv_bufs", buffers.vrrp_command),
            ("vrrp_netlink_monitor_rcv_bufs", buffers.vrrp_monitor),
            ("lvs_netlink_cmd_rcv_bufs", buffers.lvs_command),
            ("lvs_netlink_monitor_rcv_bufs", buffers.lvs_monitor),
            ("process_monitor_rcv_bufs", buffers.process_monitor),
        ];
        for (keyword, buffer) in named {
            self.optional(keyword, buffer.size);
            self.flag(&format!("{keyword}_force"), buffer.force);
        }
    }

    fn files(&mut self, globals: &Globals) {
        self.text("state_dump_file", globals.dumps.state.as_deref());
        self.text("stats_dump_file", globals.dumps.stats.as_deref());
        self.text("json_dump_file", globals.dumps.json.as_deref());
        self.optional("json_version", globals.dumps.json_version);
        self.flag("data_use_instance", globals.dumps.with_instance);
        self.text("reload_time_file", globals.reloads.time_file.as_deref());
        self.flag("reload_repeat", globals.reloads.repeat);
        self.text("reload_file", globals.reloads.marker.as_deref());
    }

    pub(super) fn lvs_globals(&mut self, globals: &Globals) {
        self.flag("lvs_flush", globals.lvs_flush);
        match globals.lvs_flush_on_stop {
            FlushOnStop::No => {}
            FlushOnStop::All => self.line("lvs_flush_on_stop"),
            FlushOnStop::Services => self.line("lvs_flush_on_stop VS"),
        }
        self.optional("lvs_sync_daemon", globals.sync_daemon.as_ref().map(sync_daemon));
        self.sync_tuning(&globals.sync_tuning);
        if globals.lvs_backend != LvsBackend::default() {
            self.value("lvs_backend", globals.lvs_backend.word());
        }
        for (sysctl, name, _) in LvsSysctl::ALL {
            if let Some(value) = globals.lvs_sysctls.get(&sysctl) {
                self.line(&format!("lvs_sysctl {name} {value}"));
            }
        }
        self.optional("lvs_busy_poll", globals.lvs_busy_poll.map(|time| time.as_micros()));
        if !globals.lvs_offload {
            self.switch("lvs_offload", false);
        }
        self.optional("web_address", globals.web_address);
        self.switch("rs_init_notifies", globals.rs_init_notifies);
        self.switch("no_checker_emails", globals.no_checker_emails);
        let nftables = &globals.nftables;
        self.text("nftables", nftables.table.as_deref());
        self.optional("nftables_priority", nftables.priority);
        self.flag("nftables_ifindex", nftables.by_index);
        self.text("nftables_ipvs", nftables.ipvs_table.as_deref());
        self.optional("nftables_ipvs_priority", nftables.ipvs_priority);
        self.optional("nftables_ipvs_start_fwmark", nftables.first_fwmark);
        self.flag("nftables_counters", nftables.counters);
    }

    fn sync_tuning(&mut self, tuning: &SyncTuning) {
        let usual = SyncTuning::default();
        let numbers = [
            ("lvs_sync_threshold", tuning.threshold, usual.threshold),
            ("lvs_sync_period", tuning.period, usual.period),
            ("lvs_sync_retries", tuning.retries.into(), usual.retries.into()),
            ("lvs_sync_ports", tuning.ports.into(), usual.ports.into()),
            ("lvs_sync_version", tuning.version.into(), usual.version.into()),
        ];
        for (keyword, number, _) in numbers.into_iter().filter(|(_, number, usual)| number != usual) {
            self.value(keyword, number);
        }
        if !tuning.refresh_period.is_zero() {
            self.seconds("lvs_sync_refresh_period", tuning.refresh_period);
        }
        self.switch("lvs_sync_persist_mode", tuning.persist_mode);
        if !tuning.at_once {
            self.line("lvs_sync_at_once off");
        }
        self.optional("lvs_sync_key", tuning.key.as_ref().map(|key| secret(&key.0)));
    }

    pub(super) fn client_tls(&mut self, tls: &ClientTls) {
        self.block("SSL", |p| {
            p.text("password", tls.password.as_deref());
            p.text("ca", tls.ca.as_deref());
            p.text("certificate", tls.certificate.as_deref());
            p.text("key", tls.key.as_deref());
        });
    }
}

fn rx_policy(policy: RxBufferPolicy) -> String {
    match policy {
        RxBufferPolicy::Mtu => "MTU".to_owned(),
        RxBufferPolicy::Advert => "ADVERT".to_owned(),
        RxBufferPolicy::Size(octets) => octets.to_string(),
    }
}

fn sync_daemon(daemon: &SyncDaemon) -> String {
    let mut text = word(&daemon.interface);
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(" {name} {value}"));
        }
    };
    option("inst", daemon.instance.as_deref().map(word));
    option("id", daemon.id.map(|id| id.to_string()));
    option("maxlen", daemon.maximum_length.map(|length| length.to_string()));
    option("port", daemon.port.map(|port| port.to_string()));
    option("ttl", daemon.ttl.map(|ttl| ttl.to_string()));
    option("group", daemon.group.map(|group| group.to_string()));
    text
}
