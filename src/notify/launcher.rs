//! Starts notification scripts and forgets them.
//!
//! Scripts start in the order of the calls and run side by side, as keepalived's do: one that hangs holds back nobody. A script
//! gets SIGTERM when the daemon dies, but for those that tell of its end: `notify_stop` is there to be run to its end.

use super::tally::{Counters, count};
use standfast_checkers::script::{self, Command};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// More scripts than this at once are a sign that they all hang; further ones are not started.
const LIMIT: usize = 512;

/// Starts scripts. Needs a tokio runtime with I/O.
#[derive(Debug, Default)]
pub struct Launcher {
    running: TaskTracker,
    detached: bool,
    counters: Arc<Counters>,
}

impl Launcher {
    /// One that counts what becomes of its scripts.
    #[must_use]
    pub fn counting(counters: Arc<Counters>) -> Self {
        Self { counters, ..Self::default() }
    }

    /// Starts a command with more arguments behind its own. What goes wrong is logged.
    pub fn launch(&self, command: &Command, more: &[&str]) {
        if self.running.len() >= LIMIT {
            count(&self.counters.scripts_failed);
            warn!("{LIMIT} notify scripts are still running - not starting `{}`", command.program());
            return;
        }
        let command = command.clone().with_arguments(more.iter().copied());
        let started = script::launch(&command, self.detached);
        let (program, counters) = (command.program().to_owned(), Arc::clone(&self.counters));
        self.running.spawn(async move {
            let succeeded = finish(started, program).await;
            count(if succeeded { &counters.scripts_ended } else { &counters.scripts_failed });
        });
    }

    /// Scripts that start from here on may outlive the daemon.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    /// Waits for the scripts that are running, `patience` at most; true when none is left.
    pub async fn settle(&self, patience: Duration) -> bool {
        self.running.close();
        let settled = tokio::time::timeout(patience, self.running.wait()).await.is_ok();
        self.running.reopen();
        settled
    }
}

/// Waits for the script's end and logs what went wrong; true when nothing did.
async fn finish(started: impl Future<Output = io::Result<Child>>, program: String) -> bool {
    let ended = match started.await {
        Ok(mut child) => child.wait().await,
        Err(error) => {
            warn!("Cannot run notify script `{program}`: {error}");
            return false;
        }
    };
    match &ended {
        Ok(status) if status.success() => {}
        Ok(status) => debug!("notify script `{program}`: {status}"),
        Err(error) => warn!("notify script `{program}`: {error}"),
    }
    ended.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(text: &str) -> Command {
        Command::new("/bin/sh").with_arguments(["-c", text, "script"])
    }

    #[tokio::test]
    async fn arguments_follow_the_scripts_own() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let launcher = Launcher::default();
        launcher.launch(&shell(&format!("echo \"$@\" > {}", out.display())), &["INSTANCE", "VI 1", "MASTER", "150"]);
        assert!(launcher.settle(Duration::from_secs(20)).await);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "INSTANCE VI 1 MASTER 150\n");
    }

    #[tokio::test]
    async fn a_hanging_script_holds_back_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let launcher = Launcher::default();
        launcher.launch(&shell("exec sleep 3"), &[]);
        launcher.launch(&shell(&format!("echo quick > {}", out.display())), &[]);
        let start = Instant::now();
        while !std::fs::read_to_string(&out).is_ok_and(|text| text == "quick\n") {
            assert!(start.elapsed() < Duration::from_secs(2), "the second script waits for the first");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!launcher.settle(Duration::from_millis(1)).await);
        assert!(launcher.settle(Duration::from_secs(20)).await);
    }

    #[tokio::test]
    async fn what_cannot_start_or_fails_is_only_logged_and_counted() {
        let counters = Arc::<Counters>::default();
        let launcher = Launcher::counting(Arc::clone(&counters));
        launcher.launch(&shell("exit 3"), &[]);
        launcher.launch(&shell("exit 0"), &[]);
        launcher.launch(&Command::new("/no/such"), &[]);
        launcher.launch(&Command::new(""), &[]);
        assert!(launcher.settle(Duration::from_secs(20)).await);
        let tally = counters.tally();
        assert_eq!((tally.scripts_ended, tally.scripts_failed), (1, 3));
    }
}
