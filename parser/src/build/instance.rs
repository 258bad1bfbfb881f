//! `vrrp_instance`: keywords. What they mean together is in `check_vrrp`.

use super::auth_hmac::HmacDraft;
use super::interface::NetworkDraft;
use super::item::Argument;
use super::named::Kind;
use super::{Builder, Item};
use crate::diagnostic::{Diagnostic, LONG_PASSWORD};
use crate::model::{
    Garp, InitialState, Notify, TrackedInterface, TrackedWeight, UnicastPeer, VirtualAddress, VrrpInstance,
};
use crate::span::Span;
use crate::table::{self, Range};
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// What the keywords of an instance said.
#[derive(Debug, Default)]
pub(super) struct InstanceDraft {
    pub(super) state: Option<(InitialState, Span)>,
    pub(super) interface: Option<String>,
    pub(super) virtual_router_id: Option<u8>,
    pub(super) version: Option<u8>,
    pub(super) priority: Option<u8>,
    pub(super) advert_int: Option<(Duration, Span)>,
    pub(super) nopreempt: Option<Span>,
    pub(super) preempt_delay: Option<(Duration, Span)>,
    pub(super) auth_type: Option<(AuthType, Span)>,
    pub(super) auth_pass: Option<[u8; 8]>,
    pub(super) auth_hmac: Option<HmacDraft>,
    pub(super) addresses: Vec<VirtualAddress>,
    pub(super) excluded: Vec<VirtualAddress>,
    pub(super) source: Option<IpAddr>,
    pub(super) source_span: Span,
    pub(super) unicast_source: bool,
    /// Any unicast keyword.
    pub(super) unicast_keyword: Option<Span>,
    pub(super) peers: Vec<UnicastPeer>,
    /// Where each of them was written.
    pub(super) peer_spans: Vec<Span>,
    peer_addresses: HashSet<IpAddr>,
    pub(super) unicast_ttl: Option<(u8, Span)>,
    pub(super) check_unicast_src: bool,
    pub(super) old_unicast_checksum: bool,
    pub(super) timer_expired_backup: Option<(u8, Span)>,
    pub(super) network: NetworkDraft,
    pub(super) dont_track_primary: bool,
    pub(super) track_interfaces: Vec<TrackedInterface>,
    pub(super) track_scripts: Vec<TrackedWeight>,
    pub(super) garp: GarpDraft,
    pub(super) lower_prio_no_advert: Option<bool>,
    pub(super) higher_prio_send_advert: Option<bool>,
    pub(super) accept: Option<bool>,
    pub(super) strict: Option<bool>,
    pub(super) skip_check_adv_addr: Option<bool>,
    pub(super) down_timer_adverts: Option<u8>,
    pub(super) notify: Notify,
    pub(super) notify_priority_changes: Option<bool>,
    pub(super) smtp_alert: Option<bool>,
    pub(super) track_files: Vec<TrackedWeight>,
    pub(super) track_processes: Vec<TrackedWeight>,
    pub(super) track_bfds: Vec<TrackedWeight>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthType {
    Pass,
    Ah,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct GarpDraft {
    delay: Option<Duration>,
    repeat: Option<u32>,
    refresh: Option<Duration>,
    refresh_repeat: Option<u32>,
    lower_prio_delay: Option<Duration>,
    lower_prio_repeat: Option<u32>,
}

impl<'t> Builder<'t> {
    pub(super) fn vrrp_instance(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        if let Some(first) = self.named.head(Kind::Instance, name) {
            let text = format!("vrrp_instance `{name}` exists already; this one is skipped");
            let found = Diagnostic::error("duplicate-instance", text).at(item.argument_span());
            let found = found.related(first, "the first one");
            return self.report(found);
        }
        let mut draft = InstanceDraft::default();
        self.tracked_interface_spans.clear();
        self.named.begin_list();
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::VRRP_INSTANCE) {
                self.instance_keyword(&mut draft, &child, name);
            }
        }
        if let Some(instance) = self.finish_instance(name, item.argument_span(), draft) {
            self.named.insert(Kind::Instance, name, self.config.instances.len(), instance.span);
            self.config.instances.push(instance);
        }
    }

    fn instance_keyword(&mut self, draft: &mut InstanceDraft, item: &Item<'t>, name: &str) {
        let handled = self.notify_keyword(&mut draft.notify, item)
            || self.identity_of_instance(draft, item, name)
            || self.addresses_of_instance(draft, item)
            || self.network_keyword(&mut draft.network, item)
            || draft.garp_keyword(item)
            || draft.switch_keyword(item);
        if !handled && item.name() == "lvs_sync_daemon_interface" {
            self.old_sync_daemon(item, name);
        }
    }

    fn identity_of_instance(&mut self, draft: &mut InstanceDraft, item: &Item<'t>, name: &str) -> bool {
        match item.name() {
            "state" => self.state(draft, item, name),
            "interface" => draft.interface = self.interface_of(item, name).or(draft.interface.take()),
            "virtual_router_id" => draft.virtual_router_id = item.byte().or(draft.virtual_router_id),
            "version" => draft.version = item.byte().or(draft.version),
            "priority" => draft.priority = item.byte(),
            "advert_int" => draft.advert_int = item.seconds().map(|d| (d, item.argument_span())).or(draft.advert_int),
            "preempt_delay" => draft.preempt_delay = item.seconds().map(|d| (d, item.span())).or(draft.preempt_delay),
            "authentication" => self.authentication(draft, item),
            "auth_hmac" => draft.auth_hmac = Some(self.auth_hmac(item)),
            "debug" => {}
            _ => return false,
        }
        true
    }

    fn state(&mut self, draft: &mut InstanceDraft, item: &Item<'t>, name: &str) {
        let state = match item.word() {
            Some("MASTER") => InitialState::Master,
            Some("BACKUP") => InitialState::Backup,
            other => {
                let other = other.unwrap_or("");
                let text = format!("({name}) unknown state `{other}`");
                let found = Diagnostic::error("unknown-state", text).at(item.argument_span());
                let near = crate::suggest::nearest(other, ["MASTER", "BACKUP"]);
                return self.report(found.help("BACKUP is used; states are written in capitals").suggest(near));
            }
        };
        if let (Some((InitialState::Master, first)), InitialState::Backup) = (draft.state, state) {
            let text = format!("({name}) the state is MASTER already; BACKUP is ignored");
            let found = Diagnostic::error("duplicate-state", text).at(item.span());
            return self.report(found.related(first, "given here"));
        }
        draft.state = Some((state, item.span()));
    }

    fn authentication(&mut self, draft: &mut InstanceDraft, item: &Item<'t>) {
        for child in self.children(item.id) {
            let Some(child) = self.item(child, &table::AUTHENTICATION) else {
                continue;
            };
            match (child.name(), child.word()) {
                ("auth_type", Some(word)) => self.auth_type(draft, &child, word),
                ("auth_pass", Some(word)) => draft.auth_pass = Some(self.auth_pass(&child, word)),
                _ => {}
            }
        }
    }

    fn auth_type(&mut self, draft: &mut InstanceDraft, item: &Item<'t>, word: &str) {
        match word {
            "PASS" => draft.auth_type = Some((AuthType::Pass, item.span())),
            "AH" => draft.auth_type = Some((AuthType::Ah, item.span())),
            other => {
                let text = format!("unknown authentication type `{other}`");
                let found = Diagnostic::error("unknown-auth-type", text).at(item.argument_span());
                let near = crate::suggest::nearest(other, ["PASS", "AH"]);
                self.report(found.help("PASS or AH, in capitals; authentication stays off").suggest(near));
            }
        }
    }

    fn auth_pass(&mut self, item: &Item<'t>, word: &str) -> [u8; 8] {
        if word.len() > 8 {
            let found = Diagnostic::error(LONG_PASSWORD, "only the first 8 bytes of the password are used");
            let help = "VRRP sends eight bytes; the peers must cut it in the same way";
            self.report(found.at(item.argument_span()).help(help));
        }
        let mut password = [0; 8];
        for (slot, byte) in password.iter_mut().zip(word.bytes()) {
            *slot = byte;
        }
        password
    }

    fn addresses_of_instance(&mut self, draft: &mut InstanceDraft, item: &Item<'t>) -> bool {
        match item.name() {
            "virtual_ipaddress" => draft.addresses.append(&mut self.virtual_addresses(item)),
            "virtual_ipaddress_excluded" => draft.excluded.append(&mut self.virtual_addresses(item)),
            "unicast_peer" => {
                draft.unicast_keyword = Some(item.span());
                self.unicast_peers(draft, item);
            }
            "mcast_src_ip" => {
                draft.source = item.address().or(draft.source);
                draft.source_span = item.argument_span();
            }
            "unicast_src_ip" => {
                draft.source_span = item.argument_span();
                draft.source = item.address().or(draft.source);
                draft.unicast_source |= item.address().is_some();
                draft.unicast_keyword = Some(item.span());
            }
            "unicast_ttl" => draft.unicast_ttl = item.byte().map(|ttl| (ttl, item.span())).or(draft.unicast_ttl),
            "old_unicast_checksum" => self.old_unicast_checksum(draft, item),
            "track_interface" => self.track_interfaces(&mut draft.track_interfaces, item),
            "track_script" => self.track_scripts(&mut draft.track_scripts, item),
            "track_file" => self.tracked(&mut draft.track_files, item),
            "track_process" => self.tracked(&mut draft.track_processes, item),
            "track_bfd" => self.tracked(&mut draft.track_bfds, item),
            _ => return false,
        }
        true
    }

    fn unicast_peers(&mut self, draft: &mut InstanceDraft, item: &Item<'t>) {
        for id in self.children(item.id) {
            let entry = self.entry(id);
            let Some((first, options)) = entry.split_first() else {
                continue;
            };
            match crate::value::address_and_prefix(first.text).0 {
                Some(address) => {
                    let peer = self.peer_options(address, options);
                    if draft.peer_addresses.insert(address) {
                        draft.peers.push(peer);
                        draft.peer_spans.push(first.span);
                    }
                }
                None => {
                    let text = format!("`{}` is not an IP address", first.text);
                    let found = Diagnostic::error("invalid-address", text).at(first.span);
                    self.report(found.help("the peer is ignored"));
                }
            }
        }
    }

    /// `min_ttl N` and `max_ttl N`.
    fn peer_options(&mut self, address: IpAddr, options: &[Argument<'t>]) -> UnicastPeer {
        let mut peer = UnicastPeer { address, min_ttl: 0, max_ttl: 255 };
        for pair in options.chunks(2) {
            match pair {
                [name, value] if matches!(name.text, "min_ttl" | "max_ttl") => {
                    let range = Range { min: 0, max: 255, strict: false, repair: None };
                    let Some(ttl) = self.number(name.text, *value, range, 1).and_then(|v| u8::try_from(v).ok()) else {
                        continue;
                    };
                    *(if name.text == "min_ttl" { &mut peer.min_ttl } else { &mut peer.max_ttl }) = ttl;
                }
                [name, ..] => {
                    let text = format!("unknown option `{}` of a peer", name.text);
                    let help = "each peer needs a line of its own; this is ignored";
                    self.report(Diagnostic::error("unknown-option", text).at(name.span).help(help));
                }
                [] => {}
            }
        }
        if let (true, Some(word)) = (peer.min_ttl > peer.max_ttl, options.first()) {
            let text = format!("min_ttl {} is above max_ttl {}", peer.min_ttl, peer.max_ttl);
            let help = "every advert of this peer would be refused";
            self.report(Diagnostic::error("empty-range", text).at(word.span).help(help));
        }
        peer
    }

    fn old_unicast_checksum(&mut self, draft: &mut InstanceDraft, item: &Item<'t>) {
        match item.argument(0) {
            None => draft.old_unicast_checksum = true,
            Some(word) if word.text == "never" => draft.old_unicast_checksum = false,
            Some(word) => {
                let text = format!("unknown option `{}` of `old_unicast_checksum`", word.text);
                let help = "`never` exists; the line is ignored";
                self.report(Diagnostic::error("unknown-option", text).at(word.span).help(help));
            }
        }
    }

    fn finish_instance(&mut self, name: &str, span: Span, draft: InstanceDraft) -> Option<VrrpInstance> {
        self.settle_instance(name, span, draft)
    }
}

impl InstanceDraft {
    fn garp_keyword(&mut self, item: &Item<'_>) -> bool {
        let garp = &mut self.garp;
        match item.name() {
            "garp_master_delay" => garp.delay = item.seconds().or(garp.delay),
            "garp_master_repeat" => garp.repeat = item.unsigned().or(garp.repeat),
            "garp_master_refresh" => garp.refresh = item.seconds().or(garp.refresh),
            "garp_master_refresh_repeat" => garp.refresh_repeat = item.unsigned().or(garp.refresh_repeat),
            "garp_lower_prio_delay" => garp.lower_prio_delay = item.seconds().or(garp.lower_prio_delay),
            "garp_lower_prio_repeat" => garp.lower_prio_repeat = item.unsigned().or(garp.lower_prio_repeat),
            _ => return false,
        }
        true
    }

    fn switch_keyword(&mut self, item: &Item<'_>) -> bool {
        match item.name() {
            "nopreempt" => self.nopreempt = Some(item.span()),
            "preempt" => self.nopreempt = None,
            "dont_track_primary" => self.dont_track_primary = true,
            "accept" => self.accept = Some(true),
            "no_accept" => self.accept = Some(false),
            "strict_mode" => self.strict = Some(item.switch()),
            // The argument `off` counts as on in keepalived.
            "skip_check_adv_addr" => self.skip_check_adv_addr = Some(true),
            "lower_prio_no_advert" => self.lower_prio_no_advert = Some(item.switch()),
            "higher_prio_send_advert" => self.higher_prio_send_advert = Some(item.switch()),
            "smtp_alert" => self.smtp_alert = Some(item.switch()),
            "notify_priority_changes" => self.notify_priority_changes = Some(item.switch()),
            "check_unicast_src" => {
                self.check_unicast_src = true;
                self.unicast_keyword = Some(item.span());
            }
            "timer_expired_backup" | "thread_timer_expired" => {
                self.timer_expired_backup = Some((item.byte().unwrap_or(254), item.span()));
            }
            "down_timer_adverts" => self.down_timer_adverts = item.byte().or(self.down_timer_adverts),
            _ => return false,
        }
        true
    }
}

impl GarpDraft {
    /// The instance's settings over the global ones. `lower` are the global lower-priority settings that were given.
    pub(super) fn over(self, global: Garp, lower: (Option<Duration>, Option<u32>)) -> Garp {
        let delay = self.delay.unwrap_or(global.delay);
        let repeat = self.repeat.unwrap_or(global.repeat);
        Garp {
            delay,
            repeat,
            refresh: self.refresh.unwrap_or(global.refresh),
            refresh_repeat: self.refresh_repeat.unwrap_or(global.refresh_repeat),
            lower_prio_delay: self.lower_prio_delay.or(lower.0).unwrap_or(delay),
            lower_prio_repeat: self.lower_prio_repeat.or(lower.1).unwrap_or(repeat),
        }
    }
}
