//! What eases a server in and out of its service: keywords that keepalived does not have.

use super::item::Argument;
use super::words::{Read, Words};
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::PassiveHealth;
use std::time::Duration;

/// Settings of a virtual server and of its real servers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Easing {
    pub(super) slow_start: Option<Duration>,
    pub(super) drain_timeout: Option<Duration>,
    pub(super) passive_health: Option<PassiveHealth>,
}

impl Easing {
    /// These settings, those of `outer` where they are absent.
    pub(super) fn within(self, outer: Self) -> Self {
        Self {
            slow_start: self.slow_start.or(outer.slow_start),
            drain_timeout: self.drain_timeout.or(outer.drain_timeout),
            passive_health: self.passive_health.or(outer.passive_health),
        }
    }
}

impl<'t> Builder<'t> {
    pub(super) fn easing_keyword(&mut self, easing: &mut Easing, item: &Item<'t>) {
        match item.name() {
            "slow_start" => easing.slow_start = item.seconds().or(easing.slow_start),
            "drain_timeout" => easing.drain_timeout = item.seconds().or(easing.drain_timeout),
            _ => easing.passive_health = self.passive_health(item).ok().or(easing.passive_health),
        }
    }

    /// `failures N window SECONDS suspend SECONDS`, in any order.
    fn passive_health(&mut self, item: &Item<'t>) -> Read<PassiveHealth> {
        let (mut failures, mut window, mut suspend) = (None, None, None);
        let first = Argument { text: item.name(), span: item.span() };
        let arguments = item.arguments();
        let mut words = Words::new(&arguments);
        while let Some(word) = words.as_mut().and_then(Words::next) {
            let Some(words) = words.as_mut() else { break };
            match word.text {
                "failures" => failures = Some(self.bounded(words, u32::MAX.into())?),
                "window" => window = Some(Duration::from_secs(self.bounded(words, 86_400)?)),
                "suspend" => suspend = Some(Duration::from_secs(self.bounded(words, 86_400)?)),
                other => {
                    let text = format!("`passive_health` has no option `{other}`");
                    return self.refuse(word, "unknown-option", text);
                }
            }
        }
        match (failures.filter(|failures| *failures > 0), window, suspend) {
            (Some(failures), Some(window), Some(suspend)) => Ok(PassiveHealth { failures, window, suspend }),
            _ => {
                let text = "`passive_health` needs `failures N`, `window SECONDS` and `suspend SECONDS`";
                self.refuse(first, "missing-value", text.to_owned())
            }
        }
    }

    /// `A-B` or `A/N`, any number of them.
    pub(super) fn source_pool(&mut self, item: &Item<'t>) -> Vec<(std::net::IpAddr, std::net::IpAddr)> {
        let mut ranges = Vec::new();
        for word in &item.arguments() {
            match super::virtual_server_group::address_range(word.text) {
                Some(range) => ranges.push(range),
                None => {
                    let text = format!("`{}` is no range of addresses", word.text);
                    let found = Diagnostic::error("invalid-address", text).at(word.span);
                    self.report(found.help("write 10.0.0.1-10.0.0.9 or 10.0.0.0/28; it is ignored"));
                }
            }
        }
        ranges
    }
}
