//! The threads on which probes run, apart from those of the supervisor, so that they can be scheduled as `checker_*` says.

use crate::scheduling::{Part, Scheduling};
use standfast_checkers::{CheckEvent, Runner, RunnerOptions, script};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedSender;

/// Sending and parsing for ten thousand checks a second fills one processor.
const THREADS: usize = 2;

/// Lives as long as the probes do.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// Without threads of their own, probes run on those of the caller.
    pub(super) fn start(scheduling: Option<Scheduling>) -> Self {
        // Programs start on a thread that has nothing of this; they run as any other, as keepalived's do.
        script::make_ready();
        let scheduling = scheduling.map(|scheduling| scheduling.lock_memory(Part::HealthChecks));
        // Those for blocking work too: they are the checkers' as well.
        let prepare = move || {
            if let Some(scheduling) = scheduling {
                scheduling.apply(Part::HealthChecks);
            }
        };
        let built = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("checks")
            .on_thread_start(prepare)
            .enable_all()
            .build();
        match built {
            Ok(runtime) => Self(Some(runtime)),
            Err(error) => {
                tracing::warn!(target: "healthcheck", "no threads can be had for health checks alone: {error}");
                Self(None)
            }
        }
    }

    /// A runner without checkers.
    pub(super) fn run(&self, events: UnboundedSender<CheckEvent>) -> Runner {
        let _guard = self.0.as_ref().map(Runtime::enter);
        Runner::start(Vec::new(), events, &RunnerOptions::default())
    }
}

impl Drop for Threads {
    /// Within another runtime, none may wait for the end of this one.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
