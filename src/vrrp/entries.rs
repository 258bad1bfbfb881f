//! What each router of the node sets, by its identifier.

use super::setup::VrrpSetup;
use crate::netlink::Belongings;
use standfast_vrrp::{Node, RouterId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every router that is there, and those that a reload has removed until their last effects are carried out.
pub(super) type Entries = BTreeMap<RouterId, Entry>;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) belongings: Arc<Belongings>,
    pub(super) extra: Arc<Belongings>,
    /// What it had before a reload and has no longer.
    pub(super) dropped: Arc<Belongings>,
}

/// Gives every router of the node its name and addresses; those of removed routers stay for their last effects.
pub(super) fn enter(entries: &mut Entries, node: &Node, setup: &VrrpSetup) {
    for view in node.views() {
        let configured = setup.routers.iter().find(|router| router.config.name == *view.name);
        let belongings = Arc::new(configured.map(|router| router.belongings.clone()).unwrap_or_default());
        let old = entries.get(&view.id).map(|entry| Arc::clone(&entry.belongings)).unwrap_or_default();
        let dropped = Arc::new(old.without(&belongings));
        let extra = configured.map(|router| Arc::clone(&router.extra)).unwrap_or_default();
        entries.insert(view.id, Entry { name: view.name, belongings, extra, dropped });
    }
}
