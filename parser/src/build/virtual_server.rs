//! `virtual_server`.

use super::checker::CheckerDraft;
use super::easing::Easing;
use super::forwarding::Forwarding;
use super::item::Argument;
use super::real_server::RealServerDraft;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{ClientAddress, Family, Protocol, SchedulerFlags, Script, SorryServer, VirtualTarget};
use crate::span::Span;
use crate::suggest::nearest;
use crate::table;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"];
/// Persistence when no time is given, and for services on all ports.
pub(super) const DEFAULT_PERSISTENCE: Duration = Duration::from_secs(360);

/// What the keywords of a virtual server said.
#[derive(Debug, Default)]
pub(super) struct VirtualServerDraft {
    pub(super) protocol: Option<(Protocol, Span)>,
    pub(super) scheduler: Option<String>,
    pub(super) forwarding: Option<Forwarding>,
    pub(super) persistence_timeout: Option<Duration>,
    pub(super) persistence_granularity: Option<u8>,
    pub(super) one_packet: Option<Span>,
    pub(super) common: Inherited,
    pub(super) weight: Option<i32>,
    pub(super) inhibit_on_failure: bool,
    pub(super) omega: bool,
    pub(super) quorum: Option<u32>,
    pub(super) hysteresis: u32,
    pub(super) quorum_up: Option<Box<Script>>,
    pub(super) quorum_down: Option<Box<Script>>,
    pub(super) ha_suspend: bool,
    pub(super) virtualhost: Option<String>,
    pub(super) sorry: Option<SorryDraft>,
    pub(super) smtp_alert: Option<bool>,
    pub(super) real_servers: Vec<RealServerDraft>,
    /// Those of all real servers, one server's after the other's.
    pub(super) checkers: Vec<CheckerDraft>,
    pub(super) flags: SchedulerFlags,
    pub(super) persistence_engine: Option<String>,
    pub(super) family: Option<Family>,
    pub(super) snmp_name: Option<String>,
    pub(super) source_pool: Vec<(IpAddr, IpAddr)>,
    pub(super) client_address: ClientAddress,
    pub(super) tunnel_mss_clamp: bool,
    pub(super) easing: Easing,
}

#[derive(Debug)]
pub(super) struct SorryDraft {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) forwarding: Option<Forwarding>,
    pub(super) inhibit: bool,
}

/// Settings that pass from the virtual server to its servers and their checkers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Inherited {
    pub(super) connect_timeout: Option<Duration>,
    pub(super) delay_loop: Option<Duration>,
    pub(super) warmup: Option<Duration>,
    pub(super) retry: Option<u32>,
    pub(super) delay_before_retry: Option<Duration>,
    pub(super) alpha: Option<bool>,
}

impl Inherited {
    /// True when the keyword was one of these.
    pub(super) fn keyword(&mut self, item: &Item<'_>) -> bool {
        match item.name() {
            "connect_timeout" => self.connect_timeout = item.seconds().or(self.connect_timeout),
            "delay_loop" => self.delay_loop = item.seconds().or(self.delay_loop),
            "warmup" => self.warmup = item.seconds().or(self.warmup),
            "retry" => self.retry = item.unsigned().or(self.retry),
            "delay_before_retry" => self.delay_before_retry = item.seconds().or(self.delay_before_retry),
            "alpha" => self.alpha = Some(!matches!(item.value, super::Value::Switch(false))),
            _ => return false,
        }
        true
    }

    /// These settings, those of `outer` where they are absent.
    pub(super) fn within(self, outer: Self) -> Self {
        Self {
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            delay_loop: self.delay_loop.or(outer.delay_loop),
            warmup: self.warmup.or(outer.warmup),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            alpha: self.alpha.or(outer.alpha),
        }
    }
}

impl<'t> Builder<'t> {
    pub(super) fn virtual_server(&mut self, item: &Item<'t>) {
        let Some(target) = self.virtual_target(item) else {
            return;
        };
        let (real_servers, checkers) = std::mem::take(&mut self.spare_drafts);
        let mut draft = VirtualServerDraft { real_servers, checkers, ..VirtualServerDraft::default() };
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::VIRTUAL_SERVER) {
                self.service_keyword(&mut draft, &child);
            }
        }
        let span = item.argument_span();
        if let Some(server) = self.settle_service(target, span, draft) {
            self.config.virtual_servers.push(server);
        }
    }

    fn virtual_target(&mut self, item: &Item<'t>) -> Option<VirtualTarget> {
        match (item.argument(0), item.argument(1)) {
            (Some(kind), Some(mark)) if kind.text == "fwmark" => match mark.text.parse::<u32>() {
                Ok(mark) if mark > 0 => Some(VirtualTarget::Fwmark(mark)),
                _ => self.bad_target(mark, "a firewall mark is a number from 1 to 4294967295"),
            },
            (Some(kind), Some(name)) if kind.text == "group" => Some(VirtualTarget::Group(name.text.to_owned())),
            (Some(address), port) => {
                let (address, port) = self.socket_address(address, port)?;
                Some(VirtualTarget::Address(SocketAddr::new(address, port.unwrap_or(0))))
            }
            (None, _) => {
                let found = Diagnostic::error(
                    "invalid-address",
                    "`virtual_server` needs an address, `fwmark N` or `group NAME`",
                );
                self.report(found.at(item.span()).help("the block is skipped"));
                None
            }
        }
    }

    fn bad_target(&mut self, argument: Argument<'t>, help: &str) -> Option<VirtualTarget> {
        let text = format!("`{}` is no target of a virtual server", argument.text);
        let found = Diagnostic::error("invalid-address", text).at(argument.span);
        self.report(found.help(format!("{help}; the block is skipped")));
        None
    }

    /// `IP [PORT]`; `None` when either is wrong.
    pub(super) fn socket_address(
        &mut self,
        address: Argument<'t>,
        port: Option<Argument<'t>>,
    ) -> Option<(IpAddr, Option<u16>)> {
        let Ok(parsed) = address.text.parse::<IpAddr>() else {
            let text = format!("`{}` is not an IP address", address.text);
            let found = Diagnostic::error("invalid-address", text).at(address.span);
            self.report(found.help(socket_help(address.text)));
            return None;
        };
        let Some(port) = port else {
            return Some((parsed, None));
        };
        match port.text.parse::<u16>() {
            Ok(port) => Some((parsed, Some(port))),
            Err(_) => {
                let text = format!("`{}` is not a port", port.text);
                let found = Diagnostic::error("invalid-port", text).at(port.span);
                self.report(found.help("a port is a number from 0 to 65535; the block is skipped"));
                None
            }
        }
    }

    fn service_keyword(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) {
        let handled = draft.common.keyword(item)
            || self.scheduling_keyword(draft, item)
            || self.quorum_keyword(draft, item)
            || self.sorry_keyword(draft, item);
        if handled {
            return;
        }
        match item.name() {
            "real_server" => self.real_server(draft, item),
            "weight" => draft.weight = item.integer().and_then(|v| i32::try_from(v).ok()).or(draft.weight),
            "inhibit_on_failure" => draft.inhibit_on_failure = true,
            "virtualhost" => draft.virtualhost = item.text_value(),
            "smtp_alert" => draft.smtp_alert = Some(item.switch()),
            "ha_suspend" => draft.ha_suspend = true,
            "omega" => draft.omega = true,
            "snmp_name" => draft.snmp_name = item.text_value(),
            "source_pool" => draft.source_pool.extend(self.source_pool(item)),
            "client_address" => draft.client_address = self.client_address(item).unwrap_or(draft.client_address),
            "tun_mss_clamp" => draft.tunnel_mss_clamp = item.switch(),
            "slow_start" | "drain_timeout" | "passive_health" => self.easing_keyword(&mut draft.easing, item),
            _ => {}
        }
    }

    fn scheduling_keyword(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) -> bool {
        match item.name() {
            "lb_algo" | "lvs_sched" => draft.scheduler = self.scheduler(item).or(draft.scheduler.take()),
            "lb_kind" | "lvs_method" => draft.forwarding = self.forwarding(item).or(draft.forwarding),
            "protocol" => draft.protocol = self.protocol(item).or(draft.protocol),
            "persistence_timeout" => self.persistence_timeout(draft, item),
            "persistence_granularity" => self.granularity(draft, item),
            "ops" => draft.one_packet = Some(item.span()),
            "persistence_engine" => draft.persistence_engine = self.persistence_engine(item),
            "flag-1" => draft.flags.first = true,
            "flag-2" => draft.flags.second = true,
            "flag-3" => draft.flags.third = true,
            "hashed" | "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback" => self.scheduler_flag(draft, item),
            "ip_family" => draft.family = self.ip_family(item).or(draft.family),
            _ => return false,
        }
        true
    }

    /// Flags that only one scheduler has, which must be named above them.
    fn scheduler_flag(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) {
        let name = item.name();
        let scheduler = draft.scheduler.as_deref().unwrap_or("wlc");
        if !matches!(scheduler, "sh" | "mh") {
            let text = format!("`{name}` has no meaning for the scheduler {scheduler}");
            let found = Diagnostic::error("foreign-flag", text).at(item.span());
            return self.report(found.help("it is ignored; `lb_algo` must stand above it"));
        }
        match name.split_once('-') {
            Some((owner, "port")) if owner == scheduler => draft.flags.second = true,
            Some((owner, "fallback")) if owner == scheduler => draft.flags.first = true,
            _ => {
                let text = format!("`{name}` has no meaning for the scheduler {scheduler}");
                self.report(Diagnostic::trap("foreign-flag", text).at(item.span()).help("it is ignored"));
            }
        }
    }

    /// The kernel's names of persistence engines have 16 bytes with the final zero.
    fn persistence_engine(&mut self, item: &Item<'t>) -> Option<String> {
        let word = item.word()?;
        let kept: String = word.chars().take(15).collect();
        if kept.len() < word.len() {
            let found = Diagnostic::error("long-name", "the name of a persistence engine has up to 15 characters");
            self.report(found.at(item.argument_span()).help(format!("`{kept}` is used")));
        }
        Some(kept)
    }

    fn ip_family(&mut self, item: &Item<'t>) -> Option<Family> {
        match item.word()? {
            "inet" => Some(Family::V4),
            "inet6" => Some(Family::V6),
            other => {
                let text = format!("unknown family `{other}`");
                let found = Diagnostic::error("unknown-family", text).at(item.argument_span());
                self.report(found.help("inet or inet6; the line is ignored"));
                None
            }
        }
    }

    fn scheduler(&mut self, item: &Item<'t>) -> Option<String> {
        let word = item.word()?;
        if SCHEDULERS.contains(&word) {
            return Some(word.to_owned());
        }
        let text = format!("unknown scheduler `{word}`");
        let found = Diagnostic::error("unknown-scheduler", text).at(item.argument_span());
        let found = found.help(format!("schedulers are {}, in small letters", SCHEDULERS.join(", ")));
        self.report(found.suggest(nearest(word, SCHEDULERS)));
        None
    }

    fn protocol(&mut self, item: &Item<'t>) -> Option<(Protocol, Span)> {
        let word = item.word()?;
        let known = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)];
        let protocol = match known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            Some((_, protocol)) => *protocol,
            None => {
                let text = format!("unknown protocol `{word}`");
                let found = Diagnostic::error("unknown-protocol", text).at(item.argument_span());
                self.report(found.help("TCP, UDP or SCTP; the line is ignored"));
                return None;
            }
        };
        Some((protocol, item.span()))
    }

    fn persistence_timeout(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) {
        match item.value {
            super::Value::None => draft.persistence_timeout = Some(DEFAULT_PERSISTENCE),
            super::Value::Integer(_) => draft.persistence_timeout = item.seconds(),
            _ => {}
        }
    }

    fn granularity(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) {
        let Some(word) = item.word() else {
            return;
        };
        let mask = word.parse::<Ipv4Addr>().ok().map(|m| ipnet::ip_mask_to_prefix(IpAddr::V4(m)));
        let prefix = match mask {
            Some(prefix) => prefix.ok(),
            None => word.parse::<u8>().ok().filter(|p| (1..=128).contains(p)),
        };
        if prefix.is_none() {
            let text = format!("`{word}` is not a mask of clients");
            let help = "a netmask such as 255.255.255.0 for IPv4, a length such as 64 for IPv6; the line is ignored";
            let found = match word.parse::<Ipv4Addr>() {
                // keepalived takes any address for a mask.
                Ok(_) => Diagnostic::trap("invalid-granularity", text),
                Err(_) => Diagnostic::error("invalid-granularity", text),
            };
            self.report(found.at(item.argument_span()).help(help));
        }
        draft.persistence_granularity = prefix.or(draft.persistence_granularity);
    }

    fn quorum_keyword(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) -> bool {
        match item.name() {
            "quorum" => draft.quorum = item.unsigned().or(draft.quorum),
            "hysteresis" => draft.hysteresis = item.unsigned().unwrap_or(draft.hysteresis),
            "quorum_up" => self.set_boxed_script(&mut draft.quorum_up, item),
            "quorum_down" => self.set_boxed_script(&mut draft.quorum_down, item),
            _ => return false,
        }
        true
    }

    fn sorry_keyword(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) -> bool {
        match item.name() {
            "sorry_server" => {
                let address = item.argument(0).and_then(|a| self.socket_address(a, item.argument(1)));
                draft.sorry =
                    address.map(|(address, port)| SorryDraft { address, port, forwarding: None, inhibit: false });
            }
            "sorry_server_inhibit" | "sorry_server_lvs_method" => self.sorry_option(draft, item),
            _ => return false,
        }
        true
    }

    fn sorry_option(&mut self, draft: &mut VirtualServerDraft, item: &Item<'t>) {
        let method = if item.name() == "sorry_server_lvs_method" { self.forwarding(item) } else { None };
        let Some(sorry) = &mut draft.sorry else {
            let text = format!("`{}` must follow `sorry_server`", item.name());
            let found = Diagnostic::error("no-sorry-server", text).at(item.span());
            return self.report(found.help("the line is ignored"));
        };
        match item.name() {
            "sorry_server_inhibit" => sorry.inhibit = true,
            _ => sorry.forwarding = method.or(sorry.forwarding),
        }
    }
}

impl SorryDraft {
    pub(super) fn settle(self, service_port: u16, service: Forwarding) -> SorryServer {
        let forwarding = self.forwarding.unwrap_or(service);
        SorryServer {
            address: SocketAddr::new(self.address, self.port.unwrap_or(service_port)),
            forwarding: forwarding.method,
            tunnel: forwarding.tunnel,
            inhibit: self.inhibit,
        }
    }
}

fn socket_help(text: &str) -> String {
    let split = text.rsplit_once(':').filter(|(host, _)| host.parse::<Ipv4Addr>().is_ok());
    match split {
        Some((host, port)) => format!("write the port as a word of its own: `{host} {port}`; the block is skipped"),
        None if text.starts_with('[') => "write IPv6 addresses without brackets; the block is skipped".to_owned(),
        None => "the block is skipped".to_owned(),
    }
}
