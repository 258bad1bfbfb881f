//! VRRP with what it needs: the netlink thread and the trackers.

use super::Outbox;
use crate::dump::Observed;
use crate::netlink::{self, Interface};
use crate::run::Exit;
use crate::track::file::{self, FileTrackers};
use crate::track::process::ProcessTrackers;
use crate::track::{ScriptTrackers, TrackerReport, Trackers};
use crate::vrrp::{self, Rehearsal, StartError, Views, VrrpSetup};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

pub(super) struct VirtualRouters {
    netlink: netlink::Handle,
    thread: vrrp::Handle,
    scripts: ScriptTrackers,
    files: FileTrackers,
    processes: ProcessTrackers,
}

impl VirtualRouters {
    /// Starts everything; the reason for a failure is logged.
    pub(super) fn start(
        mut setup: VrrpSetup,
        trackers: Trackers,
        memory: &Path,
        outbox: &Outbox,
    ) -> Result<Self, Exit> {
        let netlink = netlink::start(netlink::Options { memory: Some(memory.to_owned()) }).map_err(|error| {
            error!(target: "vrrp", "Cannot start netlink: {error}");
            Exit::Failure
        })?;
        setup.verdicts.extend(file::first_values(&trackers.files));
        let thread = vrrp::start(setup, &netlink, outbox.vrrp.clone()).map_err(|error| {
            error!(target: "vrrp", "{error}");
            exit_of(&error)
        })?;
        let verdicts = outbox.trackers.clone();
        // Nobody listens any more only while the daemon ends.
        let report: TrackerReport = Arc::new(move |tracker, status| drop(verdicts.send((tracker, status))));
        let of_scripts = Arc::clone(&report);
        let scripts = ScriptTrackers::new(Arc::new(move |name, up| {
            of_scripts(TrackerName::Script(name.to_owned()), if up { TrackerStatus::Up } else { TrackerStatus::Down });
        }));
        let files = FileTrackers::new(Arc::clone(&report));
        let processes = ProcessTrackers::new(report);
        let mut routers = Self { netlink, thread, scripts, files, processes };
        routers.track(trackers);
        Ok(routers)
    }

    /// The interfaces that are there.
    pub(super) fn interfaces(&self) -> Vec<Arc<Interface>> {
        self.netlink.interfaces()
    }

    /// Copies to play a reload on; `None` when the thread has ended.
    pub(super) fn rehearsal(&self) -> impl Future<Output = Option<Rehearsal>> + use<> {
        self.thread.rehearsal()
    }

    pub(super) fn reconfigure(&mut self, setup: VrrpSetup, trackers: Trackers) {
        self.thread.reconfigure(setup);
        self.track(trackers);
    }

    fn track(&mut self, trackers: Trackers) {
        self.scripts.update(trackers.scripts);
        self.files.update(trackers.files);
        self.processes.update(trackers.processes, trackers.process_events);
    }

    pub(super) fn tracker_changed(&self, tracker: TrackerName, status: TrackerStatus) {
        self.thread.set_tracker(tracker, status);
    }

    /// Starts trackers again that have ended; true when there was any.
    pub(super) fn revive_trackers(&mut self) -> bool {
        self.scripts.revive() | self.files.revive() | self.processes.revive()
    }

    pub(super) fn clear_statistics(&self) {
        self.thread.clear_statistics();
    }

    pub(super) fn views(&self) -> impl Future<Output = Views> + use<> {
        self.thread.views()
    }

    /// What the trackers have counted so far.
    pub(super) fn observed(&self) -> Observed {
        Observed { scripts: self.scripts.standings(), processes: self.processes.counts() }
    }

    /// Announcements sent, by instance.
    pub(super) fn announced(&self) -> impl Future<Output = Option<BTreeMap<Arc<str>, u64>>> + use<> {
        self.netlink.announced()
    }

    pub(super) fn answers(&self) -> impl Future<Output = bool> + use<> {
        self.thread.answers()
    }

    pub(super) fn yield_mastership(
        &self,
        name: String,
        lasts: Duration,
    ) -> impl Future<Output = Result<(), String>> + use<> {
        self.thread.yield_mastership(name, lasts)
    }

    /// A backup leaves a lesser master in place for so long at least, or no longer.
    pub(super) fn hold_preemption(&self, name: &str, lasts: Option<Duration>) {
        self.thread.hold_preemption(name.to_owned(), lasts);
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
