//! VRRP with what it needs: the netlink thread and the tracked scripts.

use super::Outbox;
use crate::netlink;
use crate::run::Exit;
use crate::track::{ScriptTracker, ScriptTrackers};
use crate::vrrp::{self, StartError, Views, VrrpSetup};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

pub(super) struct VirtualRouters {
    netlink: netlink::Handle,
    thread: vrrp::Handle,
    scripts: ScriptTrackers,
}

impl VirtualRouters {
    /// Starts everything; the reason for a failure is logged.
    pub(super) fn start(
        setup: VrrpSetup,
        trackers: Vec<ScriptTracker>,
        memory: &Path,
        outbox: &Outbox,
    ) -> Result<Self, Exit> {
        let netlink = netlink::start(netlink::Options { memory: Some(memory.to_owned()) }).map_err(|error| {
            error!(target: "vrrp", "Cannot start netlink: {error}");
            Exit::Failure
        })?;
        let thread = vrrp::start(setup, &netlink, outbox.vrrp.clone()).map_err(|error| {
            error!(target: "vrrp", "{error}");
            exit_of(&error)
        })?;
        let verdicts = outbox.scripts.clone();
        // Nobody listens any more only while the daemon ends.
        let mut scripts = ScriptTrackers::new(Arc::new(move |name, up| drop(verdicts.send((name.to_owned(), up)))));
        scripts.update(trackers);
        Ok(Self { netlink, thread, scripts })
    }

    /// Why another setup cannot be applied.
    pub(super) fn accepts(&self, setup: &VrrpSetup) -> Result<(), String> {
        setup.check_interfaces(&self.netlink.interfaces()).map_err(|missing| missing.to_string())
    }

    pub(super) fn reconfigure(&mut self, setup: VrrpSetup, trackers: Vec<ScriptTracker>) {
        self.thread.reconfigure(setup);
        self.scripts.update(trackers);
    }

    pub(super) fn script_changed(&self, name: String, up: bool) {
        let status = if up { TrackerStatus::Up } else { TrackerStatus::Down };
        self.thread.set_tracker(TrackerName::Script(name), status);
    }

    pub(super) fn revive_scripts(&mut self) -> bool {
        self.scripts.revive()
    }

    pub(super) async fn views(&self) -> Views {
        self.thread.views().await
    }

    /// Priority 0, addresses away, thread ended; false when that takes longer than `patience`.
    pub(super) async fn stop(self, patience: Duration) -> bool {
        drop(self.scripts);
        let stopped = self.thread.stop(patience).await;
        let settled = self.netlink.settle(patience);
        stopped && settled
    }
}

fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Capability(_) => Exit::Permission,
        StartError::Interface(_) => Exit::Config,
        StartError::System(_) => Exit::Failure,
    }
}
