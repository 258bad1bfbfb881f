//! `real_server`.

use super::easing::Easing;
use super::forwarding::Forwarding;
use super::virtual_server::{Inherited, VirtualServerDraft};
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::Script;
use crate::span::Span;
use crate::table::{self, Block};
use std::net::IpAddr;

/// What the keywords of a real server said.
#[derive(Debug)]
pub(super) struct RealServerDraft {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) weight: Option<i32>,
    pub(super) forwarding: Option<Forwarding>,
    pub(super) inhibit_on_failure: Option<bool>,
    pub(super) upper_threshold: u32,
    pub(super) lower_threshold: u32,
    pub(super) common: Inherited,
    pub(super) notify_up: Option<Box<Script>>,
    pub(super) notify_down: Option<Box<Script>>,
    pub(super) virtualhost: Option<String>,
    pub(super) smtp_alert: Option<bool>,
    /// How many of the service's checkers are this server's.
    pub(super) checkers: usize,
    pub(super) snmp_name: Option<String>,
    pub(super) easing: Easing,
    pub(super) span: Span,
}

impl RealServerDraft {
    fn new(address: IpAddr, port: Option<u16>, span: Span) -> Self {
        Self {
            address,
            port,
            weight: None,
            forwarding: None,
            inhibit_on_failure: None,
            upper_threshold: 0,
            lower_threshold: 0,
            common: Inherited::default(),
            notify_up: None,
            notify_down: None,
            virtualhost: None,
            smtp_alert: None,
            checkers: 0,
            snmp_name: None,
            easing: Easing::default(),
            span,
        }
    }
}

impl<'t> Builder<'t> {
    pub(super) fn real_server(&mut self, service: &mut VirtualServerDraft, item: &Item<'t>) {
        let Some(address) = item.argument(0) else {
            let found = Diagnostic::error("invalid-address", "`real_server` needs an address").at(item.span());
            return self.report(found.help("the block is skipped"));
        };
        let Some((ip, port)) = self.socket_address(address, item.argument(1)) else {
            return;
        };
        let mut draft = RealServerDraft::new(ip, port, address.span);
        let before = service.checkers.len();
        for child in self.children(item.id) {
            let Some(child) = self.item(child, &table::REAL_SERVER) else {
                continue;
            };
            match checker_block(child.name()) {
                Some(block) => service.checkers.extend(self.checker(&child, block, ip)),
                None => self.real_server_keyword(&mut draft, &child),
            }
        }
        draft.checkers = service.checkers.len() - before;
        service.real_servers.push(draft);
    }

    fn real_server_keyword(&mut self, draft: &mut RealServerDraft, item: &Item<'t>) {
        if draft.common.keyword(item) {
            return;
        }
        match item.name() {
            "weight" => draft.weight = item.integer().and_then(|v| i32::try_from(v).ok()).or(draft.weight),
            "lvs_method" => draft.forwarding = self.forwarding(item).or(draft.forwarding),
            "uthreshold" => draft.upper_threshold = item.unsigned().unwrap_or(draft.upper_threshold),
            "lthreshold" => draft.lower_threshold = item.unsigned().unwrap_or(draft.lower_threshold),
            "inhibit_on_failure" => draft.inhibit_on_failure = Some(item.switch()),
            "notify_up" => self.set_boxed_script(&mut draft.notify_up, item),
            "notify_down" => self.set_boxed_script(&mut draft.notify_down, item),
            "virtualhost" => draft.virtualhost = item.text_value(),
            "smtp_alert" => draft.smtp_alert = Some(item.switch()),
            "snmp_name" => draft.snmp_name = item.text_value(),
            "slow_start" | "drain_timeout" | "passive_health" => self.easing_keyword(&mut draft.easing, item),
            _ => {}
        }
    }
}

fn checker_block(name: &str) -> Option<&'static Block> {
    Some(match name {
        "TCP_CHECK" => &table::TCP_CHECK,
        "HTTP_GET" => &table::HTTP_GET,
        "SSL_GET" => &table::SSL_GET,
        "MISC_CHECK" => &table::MISC_CHECK,
        "SMTP_CHECK" => &table::SMTP_CHECK,
        "DNS_CHECK" => &table::DNS_CHECK,
        "PING_CHECK" => &table::PING_CHECK,
        "UDP_CHECK" => &table::UDP_CHECK,
        "GRPC_CHECK" => &table::GRPC_CHECK,
        "FILE_CHECK" => &table::FILE_CHECK,
        "BFD_CHECK" => &table::BFD_CHECK,
        _ => return None,
    })
}
