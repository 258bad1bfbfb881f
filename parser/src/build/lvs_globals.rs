//! `global_defs`: the table of services, its synchronisation and nftables; and `SSL`.

use super::auth_hmac::secret;
use super::item::Argument;
use super::words::{Read, Words};
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{ClientTls, FlushOnStop, LvsBackend, LvsSysctl, SyncDaemon, SyncKey, WEB_PORT, socket_address};
use crate::table;
use std::net::IpAddr;
use std::time::Duration;

/// The kernel's names of interfaces have 16 bytes with the final zero.
const LONGEST_NAME: usize = 15;

fn microseconds(item: &Item<'_>) -> Option<Duration> {
    item.integer().and_then(|number| u64::try_from(number).ok()).map(Duration::from_micros)
}

impl<'t> Builder<'t> {
    pub(super) fn forwarding_global(&mut self, item: &Item<'t>) -> bool {
        let globals = &mut self.config.globals;
        match item.name() {
            "lvs_flush" => globals.lvs_flush = true,
            "lvs_backend" => self.backend(item),
            "lvs_sync_key" => self.sync_key(item),
            "lvs_flush_on_stop" | "lvs_flush_onstop" => self.flush_on_stop(item),
            "lvs_sync_daemon" => self.sync_daemon(item),
            "rs_init_notifies" => globals.rs_init_notifies = item.switch(),
            "web_address" => self.web_address(item),
            "lvs_sysctl" => self.lvs_sysctl(item),
            "lvs_busy_poll" => globals.lvs_busy_poll = microseconds(item).or(globals.lvs_busy_poll),
            "lvs_offload" => globals.lvs_offload = item.switch(),
            "no_checker_emails" => globals.no_checker_emails = item.switch(),
            _ => return self.sync_tuning(item) || self.nftables_keyword(item),
        }
        true
    }

    fn lvs_sysctl(&mut self, item: &Item<'t>) {
        for pair in item.arguments().chunks(2) {
            let [name, value] = pair else {
                let found = Diagnostic::error("missing-value", "a setting of `lvs_sysctl` needs a name and a value");
                return self.report(found.at(item.span()).help("what comes before it is used"));
            };
            let Some((sysctl, _, greatest)) = LvsSysctl::ALL.into_iter().find(|(_, known, _)| *known == name.text)
            else {
                let known = LvsSysctl::ALL.map(|(_, name, _)| name).join(", ");
                let text = format!("unknown setting `{}` of `lvs_sysctl`", name.text);
                self.report(Diagnostic::error("unknown-option", text).at(name.span).help(format!("{known} exist")));
                continue;
            };
            let range = table::Range { min: 0, max: greatest.into(), strict: false, repair: None };
            let number = self.number(name.text, *value, range, 1).and_then(|number| u32::try_from(number).ok());
            if let Some(number) = number {
                self.config.globals.lvs_sysctls.insert(sysctl, number);
            }
        }
    }

    fn sync_tuning(&mut self, item: &Item<'t>) -> bool {
        let tuning = &mut self.config.globals.sync_tuning;
        match item.name() {
            "lvs_sync_threshold" => tuning.threshold = item.unsigned().unwrap_or(tuning.threshold),
            "lvs_sync_period" => tuning.period = item.unsigned().unwrap_or(tuning.period),
            "lvs_sync_refresh_period" => tuning.refresh_period = item.seconds().unwrap_or(tuning.refresh_period),
            "lvs_sync_retries" => tuning.retries = item.byte().unwrap_or(tuning.retries),
            "lvs_sync_persist_mode" => tuning.persist_mode = item.switch(),
            "lvs_sync_ports" => tuning.ports = item.port().unwrap_or(tuning.ports),
            "lvs_sync_version" => tuning.version = item.byte().unwrap_or(tuning.version),
            "lvs_sync_at_once" => tuning.at_once = item.switch(),
            _ => return false,
        }
        true
    }

    /// Without the signatures that were asked for, datagrams would be taken from anybody: that is refused.
    fn sync_key(&mut self, item: &Item<'t>) {
        let Some(word) = item.word() else { return };
        match secret(word) {
            Some(secret) => self.config.globals.sync_tuning.key = Some(SyncKey(secret)),
            None => {
                let found = Diagnostic::fatal("hmac-key", "the secret of `lvs_sync_key` is not 32 to 64 octets");
                self.report(found.at(item.argument_span()).help("write it out, or as `hex:` or `file:`"));
            }
        }
    }

    fn nftables_keyword(&mut self, item: &Item<'t>) -> bool {
        let nftables = &mut self.config.globals.nftables;
        let whole = || item.integer().and_then(|v| i32::try_from(v).ok());
        let table = |usual: &str| Some(item.text_value().unwrap_or_else(|| usual.to_owned()));
        match item.name() {
            "nftables" => nftables.table = table("keepalived"),
            // What iptables was for is done by nftables.
            "vrrp_iptables" => nftables.table = nftables.table.take().or_else(|| Some("keepalived".to_owned())),
            "nftables_priority" => nftables.priority = whole().or(nftables.priority),
            "nftables_ifindex" => nftables.by_index = true,
            "nftables_ipvs" => nftables.ipvs_table = table("keepalived_ipvs"),
            "nftables_ipvs_priority" => nftables.ipvs_priority = whole().or(nftables.ipvs_priority),
            "nftables_ipvs_start_fwmark" => nftables.first_fwmark = item.unsigned().or(nftables.first_fwmark),
            "nftables_counters" => nftables.counters = true,
            _ => return false,
        }
        true
    }

    fn web_address(&mut self, item: &Item<'t>) {
        let Some(text) = item.word() else { return };
        self.config.globals.web_address = socket_address(text, WEB_PORT);
        if self.config.globals.web_address.is_none() {
            let found = Diagnostic::error("invalid-address", format!("`{text}` is no address with a port"));
            let help = format!("write 127.0.0.1:{WEB_PORT}, [::1]:{WEB_PORT} or an address alone; nothing is served");
            self.report(found.at(item.argument_span()).help(help));
        }
    }

    fn backend(&mut self, item: &Item<'t>) {
        let Some(word) = item.word() else { return };
        match LvsBackend::of(word) {
            Some(backend) => self.config.globals.lvs_backend = backend,
            None => {
                let found = Diagnostic::error("unknown-option", format!("unknown backend `{word}`"));
                self.report(
                    found.at(item.argument_span()).help("write `embedded`, `kernel` or `auto`; the line is ignored"),
                );
            }
        }
    }

    fn flush_on_stop(&mut self, item: &Item<'t>) {
        let flush = match item.word() {
            None => FlushOnStop::All,
            Some("VS") => FlushOnStop::Services,
            Some(other) => {
                let text = format!("unknown option `{other}` of `{}`", item.name());
                let found = Diagnostic::error("unknown-option", text).at(item.argument_span());
                return self.report(found.help("`VS` exists; the line is ignored"));
            }
        };
        self.config.globals.lvs_flush_on_stop = flush;
    }

    fn sync_daemon(&mut self, item: &Item<'t>) {
        if self.config.globals.sync_daemon.is_some() {
            let found = Diagnostic::error("duplicate-sync-daemon", "`lvs_sync_daemon` is given already");
            return self.report(found.at(item.span()).help("this one is ignored"));
        }
        let Some(interface) = item.argument(0) else { return };
        if interface.text.len() > LONGEST_NAME {
            let found = Diagnostic::error("interface-name", "an interface name has up to 15 characters");
            return self.report(found.at(interface.span).help("the line is ignored"));
        }
        let mut daemon = SyncDaemon {
            interface: interface.text.to_owned(),
            instance: None,
            id: None,
            maximum_length: None,
            port: None,
            ttl: None,
            group: None,
        };
        let arguments = item.arguments();
        let mut words = Words::new(&arguments);
        let mut position = 0;
        while let Some(word) = words.as_mut().and_then(Words::next) {
            position += 1;
            let Some(words) = words.as_mut().filter(|_| position > 1) else { continue };
            // What is wrong has been reported; the rest of the line counts all the same.
            let _ = self.sync_option(&mut daemon, position, word, words);
        }
        self.config.globals.sync_daemon = Some(daemon);
    }

    /// `lvs_sync_daemon_interface` of an instance, unless the globals say more.
    pub(super) fn old_sync_daemon(&mut self, item: &Item<'t>, instance: &str) {
        let Some(interface) = item.text_value().filter(|name| name.len() <= LONGEST_NAME) else { return };
        self.config.globals.sync_daemon.get_or_insert(SyncDaemon {
            interface,
            instance: Some(instance.to_owned()),
            id: None,
            maximum_length: None,
            port: None,
            ttl: None,
            group: None,
        });
    }

    fn sync_option(
        &mut self,
        daemon: &mut SyncDaemon,
        position: usize,
        word: Argument<'t>,
        words: &mut Words<'_, 't>,
    ) -> Read<()> {
        match word.text {
            "inst" => {
                let name = self.text_of(words)?;
                daemon.instance.get_or_insert(name);
            }
            "id" => daemon.id = Some(self.bounded(words, 255)?),
            "maxlen" => daemon.maximum_length = Some(self.bounded(words, 65_507)?),
            "port" => daemon.port = Some(self.bounded(words, 65_535)?),
            "ttl" => daemon.ttl = Some(self.bounded(words, 255)?),
            "group" => daemon.group = self.sync_group(words)?,
            _ if position == 2 => daemon.instance = Some(word.text.to_owned()),
            number if position == 3 && number.parse::<u8>().is_ok() => {
                daemon.id = number.parse().ok();
                let found = Diagnostic::error("bare-sync-id", "the number of the daemon needs `id` before it");
                self.report(found.at(word.span).help(format!("write `id {number}`; it is used")));
            }
            other => {
                let text = format!("unknown option `{other}` of `lvs_sync_daemon`");
                let found = Diagnostic::error("unknown-option", text).at(word.span);
                self.report(found.help("inst, id, maxlen, port, ttl and group exist; it is ignored"));
            }
        }
        Ok(())
    }

    fn sync_group(&mut self, words: &mut Words<'_, 't>) -> Read<Option<IpAddr>> {
        let value = self.value(words)?;
        let group = value.text.parse().ok().filter(IpAddr::is_multicast);
        if group.is_none() {
            let text = format!("`{}` is no multicast address", value.text);
            self.report(Diagnostic::error("invalid-address", text).at(value.span).help("the option is ignored"));
        }
        Ok(group)
    }

    pub(super) fn client_tls(&mut self, item: &Item<'t>) {
        let mut tls = ClientTls::default();
        for child in self.children(item.id) {
            let Some(child) = self.item(child, &table::SSL) else { continue };
            let slot = match child.name() {
                "ca" => &mut tls.ca,
                "certificate" => &mut tls.certificate,
                "key" => &mut tls.key,
                _ => &mut tls.password,
            };
            *slot = child.text_value();
        }
        self.config.client_tls = Some(tls);
    }
}
