//! What each router of the node sets, by its identifier.

use super::setup::{RouterSetup, VrrpSetup};
use crate::netlink::Belongings;
use standfast_vrrp::{Node, ReportKind, RouterId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every router that is there, and those that a reload has removed until their last effects are carried out.
pub(super) type Entries = BTreeMap<RouterId, Entry>;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) besides: Besides,
    pub(super) belongings: Arc<Belongings>,
    pub(super) extra: Arc<Belongings>,
    /// What it had before a reload and has no longer.
    pub(super) dropped: Arc<Belongings>,
}

/// What a router has besides the addresses that it advertises.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Besides {
    /// No address is advertised.
    bare: bool,
    excluded: bool,
    routes: bool,
    rules: bool,
}

type Lines = Vec<&'static str>;

impl Besides {
    fn of(router: &RouterSetup) -> Self {
        let Belongings { addresses, routes, rules, .. } = &router.belongings;
        let advertised: usize = router.config.halves().map(|half| half.addresses.len()).sum();
        let bare = advertised == 0;
        Self { bare, excluded: addresses.len() > advertised, routes: !routes.is_empty(), rules: !rules.is_empty() }
    }

    /// Whether the line itself is left out: it is about addresses, and there is none.
    pub(super) fn silences(self, kind: &ReportKind) -> bool {
        self.bare && matches!(kind, ReportKind::SettingAddresses | ReportKind::RemovingAddresses)
    }

    /// keepalived's lines before and behind the one about the addresses.
    pub(super) fn lines(self, kind: &ReportKind) -> (Lines, Lines) {
        let chosen = |lines: [(bool, &'static str); 3]| -> Lines {
            lines.into_iter().filter_map(|(has, line)| has.then_some(line)).collect()
        };
        let none = (false, "");
        match kind {
            ReportKind::SettingAddresses => {
                let routes = (self.routes, "setting Virtual Routes");
                let rules = (self.rules, "setting Virtual Rules");
                (Lines::new(), chosen([(self.excluded, "setting E-VIPs."), routes, rules]))
            }
            ReportKind::RemovingAddresses => {
                let routes = (self.routes, "removing Virtual Routes");
                let before = chosen([(self.rules, "removing Virtual Rules"), routes, none]);
                (before, chosen([(self.excluded, "removing E-VIPs."), none, none]))
            }
            _ => Default::default(),
        }
    }
}

/// Gives every router of the node its name and addresses; those of removed routers stay for their last effects.
pub(super) fn enter(entries: &mut Entries, node: &Node, setup: &VrrpSetup) {
    for view in node.views() {
        let configured = setup.routers.iter().find(|router| router.config.name == *view.name);
        let belongings = Arc::new(configured.map(|router| router.belongings.clone()).unwrap_or_default());
        let old = entries.get(&view.id).map(|entry| Arc::clone(&entry.belongings)).unwrap_or_default();
        let before = entries.get(&view.id).map(|entry| entry.besides).unwrap_or_default();
        let besides = configured.map_or(before, Besides::of);
        let dropped = Arc::new(old.without(&belongings));
        let extra = configured.map(|router| Arc::clone(&router.extra)).unwrap_or_default();
        entries.insert(view.id, Entry { name: view.name, besides, belongings, extra, dropped });
    }
}
