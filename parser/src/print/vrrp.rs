use super::Printer;
use super::words::{command, script, secret, user_words, word};
use crate::model::{
    Auth, AuthHmac, BfdInstance, HmacMode, InitialState, Notify, ParamMatch, Script, SyncGroup, TrackFile,
    TrackProcess, TrackedInterface, TrackedWeight, UnicastPeer, VrrpInstance, VrrpScript,
};
use std::time::Duration;

impl Printer {
    pub(super) fn vrrp_script(&mut self, given: &VrrpScript) {
        self.block(&format!("vrrp_script {}", word(&given.name)), |p| {
            p.value("script", command(&given.script.argv));
            p.optional("user", given.script.user.as_ref().map(user_words));
            p.seconds("interval", given.interval);
            p.seconds("timeout", given.timeout);
            p.value("weight", weighted(given.weight, given.reverse));
            p.value("rise", given.rise);
            p.value("fall", given.fall);
            p.flag("init_fail", given.init_fail);
        });
    }

    pub(super) fn track_file(&mut self, given: &TrackFile) {
        self.block(&format!("track_file {}", word(&given.name)), |p| {
            p.value("file", word(&given.file));
            p.value("weight", weighted(given.weight, given.reverse));
            let overwrite = if given.overwrite { " overwrite" } else { "" };
            p.optional("init_file", given.init_file.map(|v| format!("{v}{overwrite}")));
        });
    }

    pub(super) fn track_process(&mut self, given: &TrackProcess) {
        self.block(&format!("vrrp_track_process {}", word(&given.name)), |p| {
            p.words(std::iter::once("process").chain(given.process.iter().map(String::as_str)));
            match given.param_match {
                ParamMatch::None => {}
                ParamMatch::Exact => p.line("param_match"),
                ParamMatch::Initial => p.line("param_match initial"),
                ParamMatch::Partial => p.line("param_match partial"),
            }
            p.value("weight", weighted(given.weight, given.reverse));
            p.value("quorum", given.quorum);
            p.optional("quorum_max", given.quorum_max);
            p.delay("fork_delay", given.fork_delay);
            p.delay("terminate_delay", given.terminate_delay);
            p.flag("full_command", given.full_command);
        });
    }

    /// A delay that cannot be written when it is zero.
    fn delay(&mut self, keyword: &str, value: Duration) {
        if !value.is_zero() {
            self.seconds(keyword, value);
        }
    }

    pub(super) fn bfd_instance(&mut self, given: &BfdInstance) {
        self.block(&format!("bfd_instance {}", word(&given.name)), |p| {
            p.value("neighbor_ip", given.neighbor);
            p.optional("source_ip", given.source);
            p.value("min_rx", milliseconds(given.min_rx));
            p.value("min_tx", milliseconds(given.min_tx));
            p.value("idle_tx", milliseconds(given.idle_tx));
            p.value("multiplier", given.multiplier);
            p.flag("passive", given.passive);
            p.value(if given.neighbor.is_ipv4() { "ttl" } else { "hoplimit" }, given.ttl);
            p.value("max_hops", given.max_hops);
            p.switch("multihop", given.multihop);
            p.value("weight", weighted(given.weight, given.reverse));
            p.flag("vrrp", given.vrrp && !given.checker);
            p.flag("checker", given.checker && !given.vrrp);
        });
    }

    pub(super) fn sync_group(&mut self, group: &SyncGroup) {
        self.block(&format!("vrrp_sync_group {}", word(&group.name)), |p| {
            let members: Vec<String> = group.members.iter().map(|m| word(m)).collect();
            p.list("group", &members);
            p.flag("sync_group_tracking_weight", group.global_tracking);
            p.trackers(&group.track_interfaces, &group.track_scripts);
            p.tracked("track_file", &group.track_files);
            p.tracked("track_process", &group.track_processes);
            p.tracked("track_bfd", &group.track_bfds);
            p.notify(&group.notify);
            p.switch("smtp_alert", group.smtp_alert);
        });
    }

    fn trackers(&mut self, interfaces: &[TrackedInterface], scripts: &[TrackedWeight]) {
        let interface = |t: &TrackedInterface| match t.weight {
            0 if !t.reverse => word(&t.name),
            weight => format!("{} weight {}", word(&t.name), weighted(weight, t.reverse)),
        };
        let lines: Vec<String> = interfaces.iter().map(interface).collect();
        self.list("track_interface", &lines);
        self.tracked("track_script", scripts);
    }

    fn tracked(&mut self, keyword: &str, list: &[TrackedWeight]) {
        let lines: Vec<String> = list.iter().map(|t| tracked_line(&t.name, t.weight, t.reverse)).collect();
        self.list(keyword, &lines);
    }

    fn notify(&mut self, notify: &Notify) {
        let scripts: [(&str, &Option<Script>); 7] = [
            ("notify_master", &notify.master),
            ("notify_backup", &notify.backup),
            ("notify_fault", &notify.fault),
            ("notify_stop", &notify.stop),
            ("notify_deleted", &notify.deleted),
            ("notify_master_rx_lower_pri", &notify.master_rx_lower_pri),
            ("notify", &notify.any),
        ];
        for (keyword, given) in scripts {
            self.optional(keyword, given.as_ref().map(script));
        }
        self.switch("notify_priority_changes", notify.priority_changes);
    }

    pub(super) fn instance(&mut self, instance: &VrrpInstance) {
        self.block(&format!("vrrp_instance {}", word(&instance.name)), |p| {
            p.value("state", if instance.state == InitialState::Master { "MASTER" } else { "BACKUP" });
            p.text("interface", instance.interface.as_deref());
            p.value("virtual_router_id", instance.virtual_router_id);
            p.value("version", instance.version);
            p.value("priority", instance.priority);
            p.seconds("advert_int", instance.advert_int);
            p.flag("nopreempt", !instance.preempt);
            p.seconds("preempt_delay", instance.preempt_delay);
            p.authentication(&instance.auth);
            p.auth_hmac(instance.auth_hmac.as_ref());
            p.sources(instance);
            p.addresses("virtual_ipaddress", &instance.addresses);
            p.addresses("virtual_ipaddress_excluded", &instance.excluded_addresses);
            p.network(instance);
            p.flag("dont_track_primary", instance.dont_track_primary);
            p.trackers(&instance.track_interfaces, &instance.track_scripts);
            p.tracked("track_file", &instance.track_files);
            p.tracked("track_process", &instance.track_processes);
            p.tracked("track_bfd", &instance.track_bfds);
            p.behaviour(instance);
            p.notify(&instance.notify);
            p.switch("smtp_alert", instance.smtp_alert);
        });
    }

    fn behaviour(&mut self, instance: &VrrpInstance) {
        self.garp("", &instance.garp);
        self.switch("strict_mode", instance.strict);
        self.line(if instance.accept { "accept" } else { "no_accept" });
        self.flag("skip_check_adv_addr", instance.skip_check_adv_addr);
        self.switch("lower_prio_no_advert", instance.lower_prio_no_advert);
        self.switch("higher_prio_send_advert", instance.higher_prio_send_advert);
        self.value("down_timer_adverts", instance.down_timer_adverts);
        self.optional("timer_expired_backup", instance.timer_expired_backup);
    }

    fn authentication(&mut self, auth: &Auth) {
        let (kind, password) = match auth {
            Auth::None => return,
            Auth::Pass(password) => ("PASS", password),
            Auth::Ah(password) => ("AH", password),
        };
        let end = password.iter().position(|b| *b == 0).unwrap_or(password.len());
        let password = String::from_utf8_lossy(password.get(..end).unwrap_or(password)).into_owned();
        self.block("authentication", |p| {
            p.value("auth_type", kind);
            p.value("auth_pass", word(&password));
        });
    }

    fn auth_hmac(&mut self, given: Option<&AuthHmac>) {
        let Some(given) = given else { return };
        self.block("auth_hmac", |p| {
            for key in &given.keys {
                p.line(&format!("key {} {}", key.id, secret(&key.secret)));
            }
            p.value("active_key", given.active_key);
            p.seconds("time_window", given.time_window);
            p.value("anti_replay", if given.monotonic { "monotonic" } else { "time" });
            p.value(
                "mode",
                match given.mode {
                    HmacMode::Enforce => "enforce",
                    HmacMode::Permissive => "permissive",
                    HmacMode::ReceiveOnly => "receive-only",
                },
            );
        });
    }

    fn sources(&mut self, instance: &VrrpInstance) {
        let unicast = !instance.unicast_peers.is_empty();
        self.optional(if unicast { "unicast_src_ip" } else { "mcast_src_ip" }, instance.source);
        let peers: Vec<String> = instance.unicast_peers.iter().map(peer_line).collect();
        self.list("unicast_peer", &peers);
        self.optional("unicast_ttl", instance.unicast_ttl);
        self.flag("check_unicast_src", instance.check_unicast_src);
        self.flag("old_unicast_checksum", instance.old_unicast_checksum);
    }
}

fn peer_line(peer: &UnicastPeer) -> String {
    match (peer.min_ttl, peer.max_ttl) {
        (0, 255) => peer.address.to_string(),
        (min, max) => format!("{} min_ttl {min} max_ttl {max}", peer.address),
    }
}

fn tracked_line(name: &str, weight: Option<i32>, reverse: Option<bool>) -> String {
    let Some(weight) = weight else { return word(name) };
    let reverse = match reverse {
        None => "",
        Some(true) => " reverse",
        Some(false) => " noreverse",
    };
    format!("{} weight {weight}{reverse}", word(name))
}

fn weighted(weight: i32, reverse: bool) -> String {
    if reverse { format!("{weight} reverse") } else { weight.to_string() }
}

fn milliseconds(value: Duration) -> String {
    let micros = value.as_micros();
    match micros % 1000 {
        0 => (micros / 1000).to_string(),
        part => format!("{}.{part:03}", micros / 1000),
    }
}
