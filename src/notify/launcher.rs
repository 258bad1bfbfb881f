//! Starts notification scripts and forgets them.
//!
//! Scripts start in the order of the calls and run side by side, as keepalived's do: one that hangs holds back nobody. A script
//! outlives the daemon if it must (`notify_stop` is there to be run to its end).

use super::command::Command;
use crate::users::Account;
use std::io;
use std::process::Stdio;
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
}

impl Launcher {
    /// Starts a command with more arguments behind its own. What goes wrong is logged.
    pub fn launch(&self, command: &Command, more: &[&str]) {
        if self.running.len() >= LIMIT {
            warn!("{LIMIT} notify scripts are still running - not starting `{}`", command.text);
            return;
        }
        match start(command, more) {
            Ok(child) => {
                self.running.spawn(finish(child, command.text.clone()));
            }
            Err(error) => warn!("Cannot run notify script `{}`: {error}", command.text),
        }
    }

    /// Waits for the scripts that are running, `patience` at most; true when none is left.
    pub async fn settle(&self, patience: Duration) -> bool {
        self.running.close();
        let settled = tokio::time::timeout(patience, self.running.wait()).await.is_ok();
        self.running.reopen();
        settled
    }
}

fn start(command: &Command, more: &[&str]) -> io::Result<Child> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut process = tokio::process::Command::new(program);
    process.args(arguments).args(more);
    process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    process.env_remove("IFS").env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH").env_remove("NOTIFY_SOCKET");
    // Setting what is set already would drop supplementary groups, which an unprivileged user namespace forbids.
    if command.account != Account::own() {
        process.uid(command.account.uid).gid(command.account.gid);
    }
    process.spawn()
}

async fn finish(mut child: Child, text: String) {
    match child.wait().await {
        Ok(status) if status.success() => {}
        Ok(status) => debug!("notify script `{text}`: {status}"),
        Err(error) => warn!("notify script `{text}`: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(text: &str) -> Command {
        let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned(), "script".to_owned()];
        Command { argv, account: Account::own(), text: text.to_owned() }
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
    async fn what_cannot_start_is_only_logged() {
        let launcher = Launcher::default();
        let command = Command { argv: vec!["/no/such".into()], account: Account::own(), text: "/no/such".into() };
        launcher.launch(&command, &[]);
        launcher.launch(&Command { argv: Vec::new(), ..command }, &[]);
        assert!(launcher.settle(Duration::from_secs(1)).await);
    }
}
